"""kinesis-local: enhanced fan-out with the real SDK, over a split, a merge and a restart.

The emulator tells no subscription that its shard has ended, and ends none by itself; siemline renews them every few seconds
and asks then. Nothing of the stream is polled but the ends of closed shards.
"""

from forwarder import Forwarder
from report import Report
from resharding import DRAIN_SECONDS, FIRST_EVENT_SECONDS, STREAM, Stream, check_order
from servers import kinesis_local

RECORDS = 60

OPTIONS = """\
mode = "fan_out"
subscription_renewal = "6s"
"""


def run(suite, directory, report: Report):
    """The scenario."""
    with kinesis_local(suite, directory) as endpoint:
        stream = Stream(endpoint)
        forwarder = Forwarder(suite.binary, directory, endpoint, STREAM, 10000, OPTIONS)
        try:
            subscribe(stream, forwarder, report)
        finally:
            forwarder.close()
            report.count(set(stream.shard_of), forwarder)


def subscribe(stream: Stream, forwarder: Forwarder, report: Report):
    stream.put(RECORDS)
    forwarder.start()
    forwarder.wait_for("the first event", bool, FIRST_EVENT_SECONDS)
    stream.split(stream.open_shards()[0])
    report.splits += 1
    stream.put(RECORDS)
    # What was put comes while the subscription lasts, not with the next one.
    put = set(stream.shard_of)
    forwarder.wait_for("everything that was put", lambda events: put <= events.keys(), DRAIN_SECONDS)
    code = forwarder.stop()
    before = len(forwarder.delivered())
    report.check("SIGTERM in the middle ends with exit code 0", code == 0, f"exit code {code}, {before} events")

    stream.merge(*stream.open_shards()[1:3])
    report.merges += 1
    stream.put(RECORDS)
    forwarder.start()
    put = set(stream.shard_of)
    forwarder.wait_for("everything that was put", lambda events: put <= events.keys(), DRAIN_SECONDS)
    code = forwarder.stop()
    forwarder.delivered()
    report.check("SIGTERM at the end ends with exit code 0", code == 0, f"exit code {code}")
    report.check("nothing came twice", not forwarder.duplicates(), f"{forwarder.duplicates()} did")
    consumers = stream.kinesis.list_stream_consumers(StreamARN=arn(stream))["Consumers"]
    names = [consumer["ConsumerName"] for consumer in consumers]
    report.check("one consumer is registered, once", names == ["siemline-findings"], f"{names}")
    check_order(stream, forwarder, report)


def arn(stream: Stream) -> str:
    summary = stream.kinesis.describe_stream_summary(StreamName=STREAM)
    return summary["StreamDescriptionSummary"]["StreamARN"]
