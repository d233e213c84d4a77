package client;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Base64;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.record.FileLogInputStream.FileChannelRecordBatch;
import org.apache.kafka.common.record.FileRecords;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Asks a broker for what a scenario wants to know, and makes what it needs there, with Kafka's own client.
 *
 * <p>Its one argument is the broker's address. Each line on standard input is a command, its words separated by tabs. It is
 * answered with lines on standard output, of which the last is {@code ok}, or {@code failed} with the reason:
 *
 * <ul>
 *   <li>{@code brokers}: how many brokers there are
 *   <li>{@code create TOPIC PARTITIONS [PROPERTY=VALUE]...}
 *   <li>{@code user NAME PASSWORD}: makes a user of SCRAM-SHA-512
 *   <li>{@code count TOPIC}: how many records it holds
 *   <li>{@code read TOPIC}: a line for each record, see {@link #line}
 *   <li>{@code batches TOPIC DIRECTORY}: a line for each batch in the segments that the broker has in this directory: partition,
 *       compression, producer id, its epoch, first sequence number, and number of records
 * </ul>
 */
public final class Client {
    private static final Duration PATIENCE = Duration.ofSeconds(60);
    private static final int ITERATIONS = 4096;

    private final Map<String, Object> settings = new HashMap<>();
    private final PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);

    private Client(String broker) {
        settings.put("bootstrap.servers", broker);
    }

    public static void main(String[] arguments) throws IOException {
        new Client(arguments[0]).serve();
    }

    private void serve() throws IOException {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            try {
                obey(line.split("\t"));
                out.println("ok");
            } catch (Exception failure) {
                out.println("failed " + failure.toString().replace('\n', ' '));
            }
            out.flush();
        }
    }

    private void obey(String[] words) throws Exception {
        switch (words[0]) {
            case "brokers":
                brokers();
                break;
            case "create":
                create(words);
                break;
            case "user":
                user(words[1], words[2]);
                break;
            case "count":
                count(words[1]);
                break;
            case "read":
                read(words[1]);
                break;
            case "batches":
                batches(words[1], new File(words[2]));
                break;
            default:
                throw new IllegalArgumentException("no such command");
        }
    }

    private void brokers() throws Exception {
        Map<String, Object> impatient = new HashMap<>(settings);
        impatient.put("request.timeout.ms", 2000);
        impatient.put("default.api.timeout.ms", 4000);
        try (Admin admin = Admin.create(impatient)) {
            out.println(admin.describeCluster().nodes().get().size());
        }
    }

    private void create(String[] words) throws Exception {
        Map<String, String> properties = Stream.of(words).skip(3).map(word -> word.split("=", 2))
                .collect(Collectors.toMap(pair -> pair[0], pair -> pair[1]));
        NewTopic topic = new NewTopic(words[1], Optional.of(Integer.valueOf(words[2])), Optional.empty()).configs(properties);
        try (Admin admin = Admin.create(settings)) {
            admin.createTopics(List.of(topic)).all().get();
        }
    }

    private void user(String name, String password) throws Exception {
        ScramCredentialInfo how = new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS);
        try (Admin admin = Admin.create(settings)) {
            admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion(name, how, password))).all().get();
        }
    }

    private void count(String topic) {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
            out.println(consumer.endOffsets(partitions(consumer, topic), PATIENCE).values().stream()
                    .mapToLong(Long::longValue).sum());
        }
    }

    private void read(String topic) {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
            List<TopicPartition> partitions = partitions(consumer, topic);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions, PATIENCE);
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            long deadline = System.nanoTime() + PATIENCE.toNanos();
            while (ends.entrySet().stream().anyMatch(end -> consumer.position(end.getKey(), PATIENCE) < end.getValue())) {
                if (System.nanoTime() > deadline) {
                    throw new IllegalStateException("the topic was not read to its end in " + PATIENCE);
                }
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                    out.println(line(record, partitions.size()));
                }
            }
        }
    }

    /**
     * A record as a line: its partition; the partition to which the Java producer would have sent its key; key and value in
     * Base64; and its headers as {@code name=value}, the values in Base64. For what is not there stands {@code -}.
     */
    private static String line(ConsumerRecord<byte[], byte[]> record, int partitions) {
        StringBuilder line = new StringBuilder().append(record.partition()).append('\t');
        line.append(record.key() == null ? "-" : BuiltInPartitioner.partitionForKey(record.key(), partitions)).append('\t');
        line.append(text(record.key())).append('\t').append(text(record.value()));
        for (Header header : record.headers()) {
            line.append('\t').append(header.key()).append('=').append(text(header.value()));
        }
        return line.toString();
    }

    private static String text(byte[] bytes) {
        return bytes == null ? "-" : Base64.getEncoder().encodeToString(bytes);
    }

    private void batches(String topic, File directory) throws IOException {
        File[] partitions = directory.listFiles((in, name) -> name.matches(topic.replace(".", "\\.") + "-\\d+"));
        for (File partition : partitions) {
            File[] segments = partition.listFiles((in, name) -> name.endsWith(".log"));
            for (File segment : Stream.of(segments).sorted(Comparator.comparing(File::getName)).collect(Collectors.toList())) {
                try (FileRecords records = FileRecords.open(segment, false)) {
                    for (FileChannelRecordBatch batch : records.batches()) {
                        out.println(String.join("\t", partition.getName().substring(topic.length() + 1),
                                batch.compressionType().name, Long.toString(batch.producerId()),
                                Short.toString(batch.producerEpoch()), Integer.toString(batch.baseSequence()),
                                batch.countOrNull().toString()));
                    }
                }
            }
        }
    }

    private KafkaConsumer<byte[], byte[]> consumer() {
        return new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static List<TopicPartition> partitions(KafkaConsumer<byte[], byte[]> consumer, String topic) {
        return consumer.partitionsFor(topic, PATIENCE).stream()
                .map(one -> new TopicPartition(topic, one.partition())).collect(Collectors.toList());
    }
}
