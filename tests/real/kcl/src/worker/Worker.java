package worker;

import java.io.BufferedWriter;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;

import software.amazon.awssdk.awscore.client.builder.AwsAsyncClientBuilder;
import software.amazon.awssdk.awscore.client.builder.AwsClientBuilder;
import software.amazon.awssdk.http.Protocol;
import software.amazon.awssdk.http.nio.netty.NettyNioAsyncHttpClient;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.coordinator.CoordinatorConfig;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.leases.LeaseManagementConfig;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.processor.SingleStreamTracker;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

/**
 * One worker of the Kinesis Client Library that writes what it reads to a file, and ends gracefully on SIGTERM.
 *
 * <p>Credentials and region come from the environment. Nothing is sent to CloudWatch. The options, each as
 * {@code name=value}: {@code kinesis}, {@code dynamodb} (endpoints), {@code stream}, {@code table}, {@code worker},
 * {@code output}, {@code mode} (2x, compatible, 3x), {@code failover_ms}, {@code records_max} (of one call),
 * {@code idle_ms} (between calls), and {@code stop_after} (see {@link Shard}).
 */
public final class Worker {
    /**
     * How long the end may take. Checkpoints are written within a second or so; KCL 2 then waits without end for a shard that it
     * had read to its end just before.
     */
    private static final Duration GRACE = Duration.ofSeconds(12);

    private final Map<String, String> options = new HashMap<>();

    private Worker(String[] arguments) {
        for (String argument : arguments) {
            String[] parts = argument.split("=", 2);
            options.put(parts[0], parts[1]);
        }
    }

    public static void main(String[] arguments) throws IOException {
        new Worker(arguments).run();
    }

    private void run() throws IOException {
        Path path = Path.of(text("output"));
        try (BufferedWriter output = Files.newBufferedWriter(path, StandardOpenOption.CREATE, StandardOpenOption.APPEND)) {
            Scheduler scheduler = scheduler(output);
            Runtime.getRuntime().addShutdownHook(new Thread(() -> end(scheduler)));
            scheduler.run();
        }
    }

    private static void end(Scheduler scheduler) {
        try {
            scheduler.startGracefulShutdown().get(GRACE.toMillis(), TimeUnit.MILLISECONDS);
        } catch (Exception exception) {
            exception.printStackTrace();
        }
    }

    private Scheduler scheduler(BufferedWriter output) {
        KinesisAsyncClient kinesis = client(KinesisAsyncClient.builder(), text("kinesis"));
        DynamoDbAsyncClient dynamodb = client(DynamoDbAsyncClient.builder(), text("dynamodb"));
        // The library asks for the client, and with the metrics switched off never uses it.
        CloudWatchAsyncClient cloudwatch = client(CloudWatchAsyncClient.builder(), text("dynamodb"));
        InitialPositionInStreamExtended oldest =
                InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON);
        ConfigsBuilder configs = new ConfigsBuilder(
                new SingleStreamTracker(text("stream"), oldest), text("table"), kinesis, dynamodb, cloudwatch,
                text("worker"), () -> new Shard(output, number("stop_after")));

        // A scenario takes seconds, where the defaults are made for days.
        CoordinatorConfig coordination = configs.coordinatorConfig()
                .parentShardPollIntervalMillis(500)
                .shardConsumerDispatchPollIntervalMillis(200);
        LeaseManagementConfig leases = configs.leaseManagementConfig()
                .failoverTimeMillis(number("failover_ms"))
                .shardSyncIntervalMillis(2_000)
                .leasesRecoveryAuditorExecutionFrequencyMillis(2_000);
        Edition.tune(coordination, leases, text("mode"));
        PollingConfig polling = new PollingConfig(text("stream"), kinesis)
                .maxRecords((int) number("records_max"))
                .idleTimeBetweenReadsInMillis(number("idle_ms"));
        return new Scheduler(
                configs.checkpointConfig(), coordination, leases, configs.lifecycleConfig(),
                configs.metricsConfig().metricsFactory(new NullMetricsFactory()), configs.processorConfig(),
                configs.retrievalConfig().retrievalSpecificConfig(polling));
    }

    /** A client of a stand-in, which speaks HTTP/1.1 without TLS. */
    private static <B extends AwsAsyncClientBuilder<B, C> & AwsClientBuilder<B, C>, C> C client(B builder, String endpoint) {
        return builder.endpointOverride(URI.create(endpoint))
                .httpClientBuilder(NettyNioAsyncHttpClient.builder().protocol(Protocol.HTTP1_1))
                .build();
    }

    private String text(String name) {
        return options.get(name);
    }

    private long number(String name) {
        return Long.parseLong(text(name));
    }
}
