"""Apache Kafka: one broker in KRaft mode, restarted and paused in the flow, which refuses, and lets in by every kind of key."""

import json
import random
from collections import Counter
from pathlib import Path

import kafka_security
from feed import finding_id_of
from findings import ACCOUNT, compact
from kafka_broker import Kafka, kafka
from kafka_flow import DRAIN_SECONDS, LANDING_SECONDS, Flow, id_of, once_each, sink
from report import Report
from servers import wait_until

FINDINGS = 300
PARTITIONS = 3
LATE_TOPIC = "findings-critical"

# While the broker is away: so many, at so many a second.
STEADY, A_SECOND = 500, 50
# With every look at what has become of them.
TRICKLE = 5

# What is harmless to Kafka's producers: longer than any restart of the broker takes.
PATIENT = 'request_timeout = "5m"'
# What is not: librdkafka gives a message up after two seconds less.
HASTY = 'request_timeout = "4s"'

# The size of a batch that a topic takes, and of a finding that does not fit.
BATCH_BYTES_MAX = 20_000
LARGE_BYTES = 60_000


def run(suite, place: Path, report: Report):
    """The scenario."""
    with kafka(suite, place) as broker:
        for name, case in CASES:
            case(suite, place, broker, report.case(name))
        kafka_security.run(suite, place, broker, report)


def produce(suite, place, broker: Kafka, case: Report):
    """Options as they are by default."""
    broker.create("security", PARTITIONS)
    with Flow(suite, place, broker, case, sink(broker.address("OPEN"), "security"), ("security",)) as flow:
        flow.start()
        flow.feed.put_findings(FINDINGS)
        records = [record for _, record in flow.finish()]
    once_each(case)
    events = [(record, json.loads(record.value)) for record in records]
    told = [event["finding_info"]["uid"].encode() == record.key for record, event in events]
    case.check("the key of each is the finding's uid", all(told), f"{told.count(False)} have another")
    astray = [record for record in records if record.partition != record.home]
    case.check("each stands where the Java producer would have put it", not astray, f"{len(astray)} do not")
    used = {record.partition for record in records}
    case.check("every partition is used", len(used) == PARTITIONS, f"{len(used)} of {PARTITIONS}")
    headers = {(*sorted(record.headers), record.headers["log_type"], record.headers["format"]) for record in records}
    expected = {("format", "log_type", "siemline_uid", "aws.guardduty", "ocsf")}
    case.check("each has the headers", headers == expected, f"{headers}")
    uids = {record.headers["siemline_uid"] for record in records}
    case.check("each has a siemline_uid of its own", len(uids) == FINDINGS, f"{len(uids)} of {FINDINGS}")
    batches = broker.batches("security")
    compressions = {batch.compression for batch in batches}
    case.check("every batch is compressed with zstd", compressions == {"zstd"}, f"{compressions} in {len(batches)} batches")
    check_sequences(broker, case, "security")


def check_sequences(broker: Kafka, case: Report, topic: str):
    """That one producer wrote the topic, and numbered its records without a gap in each partition: idempotence as stored."""
    batches = broker.batches(topic)
    producers = {(batch.producer_id, batch.epoch) for batch in batches}
    case.check("one idempotent producer wrote them", len(producers) == 1 and min(producers)[0] >= 0, f"(id, epoch): {producers}")
    next_of, gaps = Counter(), 0
    for batch in batches:
        gaps += batch.first_sequence != next_of[batch.partition]
        next_of[batch.partition] = batch.first_sequence + batch.records
    case.check("its sequence numbers have no gap", not gaps, f"{gaps} gaps in {len(batches)} batches")


def templated(suite, place, broker: Kafka, case: Report):
    """One of the topics that the events name is not there: that is the fault of these events, and delays no other."""
    topics = tuple(f"findings-{severity}" for severity in ("low", "medium", "high"))
    for topic in topics:
        broker.create(topic, PARTITIONS)
    # A topic that was made is seen at once.
    more = 'key = "{account:-none}"\ncompression = "lz4"\nlibrdkafka = { "topic.metadata.refresh.interval.ms" = "500" }\n'
    tables = sink(broker.address("OPEN"), "findings-{severity}", more, "entry_retry_max = 3")
    with Flow(suite, place, broker, case, tables, (*topics, LATE_TOPIC)) as flow:
        flow.start()

        def is_given_up() -> bool:
            flow.feed.put_findings(TRICKLE)
            return bool(flow.feed.dead_letters())

        # As long as others are delivered: what nobody can have is not held against the event.
        wait_until("a dead letter", DRAIN_SECONDS, is_given_up)
        case.faults["topic absent"] += 1
        broker.create(LATE_TOPIC, PARTITIONS)
        records = flow.finish(dead_letters=None)
        letters = flow.feed.dead_letters()
    once_each(case)
    astray = [record for topic, record in records if topic != f"findings-{json.loads(record.value)['severity'].lower()}"]
    case.check("each stands in the topic that it names", not astray, f"{len(astray)} do not")
    keys = {record.key for _, record in records}
    case.check("the key of each is its account", keys == {ACCOUNT.encode()}, f"{keys}")
    told = [letter for letter in letters if f"`{LATE_TOPIC}`" in letter["words"] and letter["reason"] == "entry_retry_max"]
    case.check("the dead letters tell the topic to make", len(told) == len(letters), letters[0]["words"])


def silence(suite, place, broker: Kafka, case: Report):
    """Paused for longer than messages may take, while requests are under way: the one way to duplicates."""
    broker.create("paused", PARTITIONS)
    with Flow(suite, place, broker, case, sink(broker.address("OPEN"), "paused", "", HASTY), ("paused",)) as flow:
        flow.start()
        flow.feed.put_steadily(STEADY, A_SECOND)
        wait_until("the first records", DRAIN_SECONDS, flow.count)
        broker.pause()
        try:
            wait_until("messages to be given up", DRAIN_SECONDS, lambda: flow.feed.has_said("destination accepts nothing"))
        finally:
            broker.resume()
        case.faults["broker paused"] += 1
        records = [record for _, record in flow.finish()]
    uids = {}
    for record in records:
        uids.setdefault(id_of(record), set()).add(record.headers["siemline_uid"])
    strange = [one for one, known in uids.items() if len(known) > 1]
    words = f"{case.duplicates} duplicates, {len(strange)} have several"
    case.check("what stands there twice has one siemline_uid", not strange, words)


def restarts(suite, place, broker: Kafka, case: Report):
    """Killed and stopped while findings flow. One producer outlives it all, and its numbers keep everything from doubling."""
    broker.create("restarted", PARTITIONS)
    with Flow(suite, place, broker, case, sink(broker.address("OPEN"), "restarted", "", PATIENT), ("restarted",)) as flow:
        flow.start()
        for fault, end in (("SIGKILL", broker.kill), ("SIGTERM", broker.stop), ("SIGKILL", broker.kill)):
            flow.feed.put_steadily(STEADY, A_SECOND)
            before = flow.count()
            wait_until("more records", DRAIN_SECONDS, lambda: flow.count() > before)
            is_flowing = flow.feed.writer.is_alive()
            end()
            broker.start()
            case.faults[f"broker restarted after {fault}"] += is_flowing
            flow.feed.writer.join(DRAIN_SECONDS)
        flow.finish()
    case.check("the broker was restarted in the flow", sum(case.faults.values()) == 3, case.landed())
    once_each(case)
    check_sequences(broker, case, "restarted")


def absent_topic(suite, place, broker: Kafka, case: Report):
    """No such topic: it is named, the lane pauses, and goes on when the topic is made."""
    with Flow(suite, place, broker, case, sink(broker.address("OPEN"), "absent"), ("absent",)) as flow:
        flow.check_refusal("topic absent", "create the topic")
        flow.feed.start()
        flow.feed.put_findings(FINDINGS)
        wait_until("the lane to pause", LANDING_SECONDS, lambda: flow.feed.has_said("lane pauses"))
        broker.create("absent", PARTITIONS)
        flow.finish()
    once_each(case)


def too_large(suite, place, broker: Kafka, case: Report):
    """Above the limit of the topic, which siemline does not know."""
    broker.create("small", PARTITIONS, max_message_bytes=BATCH_BYTES_MAX)
    chance, larger = random.Random(LARGE_BYTES), set()
    with Flow(suite, place, broker, case, sink(broker.address("OPEN"), "small"), ("small",)) as flow:
        flow.start()
        for _ in range(3):
            flow.feed.put_findings(20)
            finding_id, line = flow.feed.findings.finding()
            finding = json.loads(line)
            # Nothing that compression makes smaller.
            finding.get("detail", finding)["title"] = f"{chance.getrandbits(4 * LARGE_BYTES):x}"
            flow.feed.put([(finding_id, compact(finding))])
            flow.feed.put_findings(20)
            larger.add(finding_id)
        flow.finish(dead_letters=len(larger))
        letters = flow.feed.dead_letters()
    dead = {finding_id_of(letter["original"]) for letter in letters}
    case.faults["too large"] += len(letters)
    case.check("these are what is larger", dead == larger, f"{len(dead - larger)} are not")
    words = "Broker: Message size too large"
    told = [letter for letter in letters if letter["reason"] == "too_large" and words in letter["words"]]
    case.check("the dead letters hold the broker's words", len(told) == len(letters), letters[0]["words"])
    once_each(case)


CASES = (
    ("idempotent producer", produce),
    ("topics and keys by template", templated),
    ("absent topic", absent_topic),
    ("too large", too_large),
    ("broker restarts", restarts),
    ("broker paused", silence),
)
