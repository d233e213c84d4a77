package worker;

import java.io.BufferedWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Base64;

import software.amazon.kinesis.exceptions.InvalidStateException;
import software.amazon.kinesis.exceptions.ShutdownException;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ProcessRecordsInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.processor.RecordProcessorCheckpointer;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.retrieval.KinesisClientRecord;

/**
 * Writes the records of one shard to the output that all shards share, a line for each: shard, sequence number, sub-sequence
 * number, data in Base64. What is in the checkpoint is in the file before.
 *
 * <p>With {@code stop_after} it stops in the middle: at the first record with the sub-sequence number 1 after so many
 * records, which lies inside of an aggregate of three or more, it writes the checkpoint and takes nothing more.
 */
final class Shard implements ShardRecordProcessor {
    private final BufferedWriter output;
    private final long stopAfter;
    private String id;
    private long written;
    private boolean isStopped;
    private KinesisClientRecord last;

    Shard(BufferedWriter output, long stopAfter) {
        this.output = output;
        this.stopAfter = stopAfter;
    }

    @Override
    public void initialize(InitializationInput input) {
        id = input.shardId();
        System.err.println("reading " + id + " behind " + input.extendedSequenceNumber());
    }

    @Override
    public void processRecords(ProcessRecordsInput input) {
        boolean isAny = false;
        for (KinesisClientRecord record : input.records()) {
            if (isStopped) {
                break;
            }
            write(record);
            isAny = true;
            isStopped = stopAfter > 0 && written >= stopAfter && record.aggregated() && record.subSequenceNumber() == 1;
        }
        if (isAny) {
            checkpoint(input.checkpointer());
        }
    }

    @Override
    public void leaseLost(LeaseLostInput input) {
        System.err.println("lost " + id);
    }

    @Override
    public void shardEnded(ShardEndedInput input) {
        try {
            if (!isStopped) {
                input.checkpointer().checkpoint();
            }
        } catch (ShutdownException | InvalidStateException exception) {
            System.err.println("no checkpoint at the end of " + id + ": " + exception);
        }
    }

    @Override
    public void shutdownRequested(ShutdownRequestedInput input) {
        if (last != null) {
            checkpoint(input.checkpointer());
        }
    }

    private void write(KinesisClientRecord record) {
        byte[] data = new byte[record.data().remaining()];
        record.data().duplicate().get(data);
        String line = String.join(
                "\t", id, record.sequenceNumber(), Long.toString(record.subSequenceNumber()),
                Base64.getEncoder().encodeToString(data));
        try {
            synchronized (output) {
                output.write(line + "\n");
                output.flush();
            }
        } catch (IOException exception) {
            throw new UncheckedIOException(exception);
        }
        written += 1;
        last = record;
    }

    private void checkpoint(RecordProcessorCheckpointer checkpointer) {
        try {
            checkpointer.checkpoint(last.sequenceNumber(), last.subSequenceNumber());
        } catch (ShutdownException | InvalidStateException exception) {
            System.err.println("no checkpoint for " + id + ": " + exception);
        }
    }
}
