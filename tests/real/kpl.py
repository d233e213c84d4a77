"""kinesis-local: aggregates of the Kinesis Producer Library, over a stop, a split and a kill; whole ones and broken ones.

The reader's chunks are smaller than most aggregates, so that stops and kills land inside of them.
"""

import base64
import json

from aggregate import MAGIC, aggregate, document, lengthy, number, seal
from forwarder import Forwarder
from report import Report
from resharding import DRAIN_SECONDS, FIRST_EVENT_SECONDS, GROUP, STREAM, Stream
from servers import kinesis_local, wait_until

RECORDS_MAX = 3
AGGREGATES = 40
USER_RECORDS_MAX = 24

OPTIONS = """\
chunk_bytes_max = "4KiB"
window_chunks_max = 4
"""

# One worker hands chunks on in the order in which they were read.
TABLES = """
[pipeline]
workers = 1
"""


def run(suite, directory, report: Report):
    """The scenario."""
    with kinesis_local(suite, directory) as endpoint:
        stream = Stream(endpoint)
        forwarder = Forwarder(suite.binary, directory, endpoint, STREAM, RECORDS_MAX, OPTIONS, tables=TABLES)
        broken = broken_records()
        try:
            read(stream, forwarder, broken, report)
        finally:
            forwarder.close()
            report.count(stream.put_ids(), forwarder, dead_letters=len(broken))


def read(stream: Stream, forwarder: Forwarder, broken: dict, report: Report):
    put_aggregates(stream)
    print(f"  put {stream.records} records, {AGGREGATES} of them aggregates, with {len(stream.shard_of)} events", flush=True)
    forwarder.start()
    third = len(stream.shard_of) // 3
    forwarder.wait_for("a third of the events", lambda events: len(events) >= third, DRAIN_SECONDS)
    code = forwarder.stop()
    before = len(forwarder.events)
    behind = len(stream.shard_of) - before
    report.check("SIGTERM in the middle ends with exit code 0", code == 0 and behind > 0, f"exit code {code}, lag {behind} events")
    report.faults["stops behind a lag"] += behind > 0

    stream.split(stream.open_shards()[0])
    report.splits += 1
    put_aggregates(stream)
    forwarder.start()
    more = before + (len(stream.shard_of) - before) // 2
    forwarder.wait_for("half of the rest", lambda events: len(events) >= more, DRAIN_SECONDS)
    report.check("the stop made no duplicate", not forwarder.duplicates(), f"{forwarder.duplicates()} events")
    forwarder.kill()
    behind = len(stream.shard_of) - len(forwarder.events)
    report.check("SIGKILL in the middle", behind > 0, f"lag {behind} events")
    report.faults["kills behind a lag"] += behind > 0

    forwarder.start()
    put = stream.put_ids()
    forwarder.wait_for("everything that was put", lambda events: put <= events.keys(), DRAIN_SECONDS)
    report.check("every user record came, of aggregates and beside them", put <= forwarder.events.keys(), f"{len(put)} events")
    early = [one for life in forwarder.lives for one in stream.out_of_order(life)]
    report.check("in the order of their shards and aggregates", not early, f"{len(early)} came early")

    for record in broken.values():
        stream.kinesis.put_record(StreamName=STREAM, Data=record, PartitionKey="broken")
    wait_until("the dead letters", FIRST_EVENT_SECONDS, lambda: forwarder.dead_lettered() >= len(broken))
    last = aggregated(stream, "last")
    with stream.putting:
        stream.put_all([last])
    forwarder.wait_for("what came behind the broken ones", lambda events: set(last[0]) <= events.keys(), FIRST_EVENT_SECONDS)
    letters = [json.loads(line) for path in forwarder.dead_letters.glob("*") for line in path.read_bytes().splitlines()]
    kept = {base64.b64decode(letter.get("original_base64", "")) for letter in letters}
    missing = [name for name, record in broken.items() if record not in kept]
    report.check("broken aggregates are kept whole, and stop nothing", not missing, f"{len(broken)} kinds, without {missing}")
    report.faults["broken aggregates"] += len(broken)
    code = forwarder.stop()
    report.check("SIGTERM at the end ends with exit code 0", code == 0, f"exit code {code}")


def put_aggregates(stream: Stream):
    """Aggregates, and one plain record for every other of them, over all shards."""
    with stream.putting:
        waiting = []
        for count in range(AGGREGATES):
            waiting.append(aggregated(stream, f"key-{stream.records}"))
            if count % 2:
                waiting.append(stream.entry())
        stream.put_all(waiting)


def aggregated(stream: Stream, key: str) -> tuple:
    """An entry of the stream: an aggregate of findings, bare and in subscription records, some with a hash key of their own."""
    findings = stream.findings
    stream.records += 1
    ids, user_records = [], []
    for count in range(findings.random.randint(1, USER_RECORDS_MAX)):
        made, data = findings.plain() if count % 2 else findings.record(GROUP, f"events-{count % 3}")
        hash_key = findings.random.getrandbits(128) if findings.random.random() < 0.3 else None
        ids += made
        user_records.append((f"user-{count % 5}", hash_key, data))
    return ids, key, aggregate(user_records)


def broken_records() -> dict:
    """Records that begin like aggregates and are none. None is UTF-8, since the magic is not."""
    whole = document([("key", None, b'{"n": 1}'), ("key", 7, b'{"n": 2}')])
    return {
        "another MD5": MAGIC + whole + bytes(16),
        "cut, with its MD5": seal(whole[:-5]),
        "a key that is not in the table": seal(whole + lengthy(3, number(1, 77) + lengthy(3, b"{}"))),
        "text behind the magic": MAGIC + b"what is this",
        "the magic alone": MAGIC,
        "no user record": aggregate([]),
    }
