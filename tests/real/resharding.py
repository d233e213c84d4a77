"""kinesis-local: a stream is split and merged while the reader lags behind, and the reader is restarted in the middle.

The reader takes few records a call, and the service's limit of five calls a second for a shard does the rest: what was put
before a split or a merge is still unread when it lands. That is counted each time, on the very shards that are closed.
"""

import json
import threading

from findings import Findings
from forwarder import DETECTION_FINDING, Forwarder
from report import Report
from servers import Failure, client, kinesis_local, wait_until

STREAM = "findings"
GROUP = "/aws/events/guardduty"
SEED = 20260131

# Of one call, so that a shard yields at most 25 records a second.
RECORDS_MAX = 5

BACKLOG_RECORDS = 400
LATER_RECORDS = 120

PUT_ATTEMPTS = 10
RESHARD_SECONDS = 120
FIRST_EVENT_SECONDS = 180
DRAIN_SECONDS = 240


class Stream:
    """The stream as the suite knows it: which event was put on which shard, and where there."""

    def __init__(self, endpoint: str, shards: int = 2, seed: int = SEED):
        self.kinesis = client("kinesis", endpoint)
        self.findings = Findings(seed)
        # One puts at a time: the order of a shard's records is the order of their sequence numbers.
        self.putting = threading.Lock()
        self.shard_of = {}
        self.place_of = {}
        # Put by a call that had to be made again: they may stand in the stream twice.
        self.doubtful = set()
        self.parents = {}
        self.records = 0
        self.kinesis.create_stream(StreamName=STREAM, ShardCount=shards)
        wait_until("the stream to be active", RESHARD_SECONDS, self.is_active)

    def is_active(self) -> bool:
        description = self.kinesis.describe_stream_summary(StreamName=STREAM)["StreamDescriptionSummary"]
        return description["StreamStatus"] == "ACTIVE"

    def put_ids(self) -> set:
        with self.putting:
            return set(self.shard_of)

    def put(self, count: int):
        """Puts so many records, over all shards that are open."""
        with self.putting:
            self.put_all([self.entry() for _ in range(count)])

    def put_all(self, waiting: list):
        """Puts entries, each the ids of its events in their order, a partition key, and the record's bytes."""
        for _ in range(PUT_ATTEMPTS):
            refused = []
            for start in range(0, len(waiting), 100):
                refused += self.put_some(waiting[start : start + 100])
            if not refused:
                return
            waiting = refused
        raise Failure(f"{len(waiting)} records were refused {PUT_ATTEMPTS} times")

    def put_some(self, entries: list) -> list:
        answer = self.kinesis.put_records(
            StreamName=STREAM, Records=[{"Data": data, "PartitionKey": key} for _, key, data in entries]
        )
        if answer["ResponseMetadata"].get("RetryAttempts"):
            self.doubtful.update(event_id for entry in entries for event_id in entry[0])
        refused = []
        for entry, result in zip(entries, answer["Records"], strict=True):
            if "ShardId" not in result:
                refused.append(entry)
                continue
            for index, event_id in enumerate(entry[0]):
                self.shard_of[event_id] = result["ShardId"]
                self.place_of[event_id] = (int(result["SequenceNumber"]), index)
        return refused

    def entry(self) -> tuple:
        self.records += 1
        ids, data = self.findings.record(GROUP, f"events-{self.records % 3}")
        return ids, f"key-{self.records}", data

    def behind(self, shards: list, events: dict) -> dict:
        """How many events of these shards are not among those that were delivered."""
        with self.putting:
            where = list(self.shard_of.items())
        counts = {shard: 0 for shard in shards}
        for event_id, shard in where:
            if shard in counts and event_id not in events:
                counts[shard] += 1
        return counts

    def out_of_order(self, arrived: dict) -> list:
        """Events that arrived before one that stands earlier in their shard, by the order of arrival of one process."""
        latest, early = {}, []
        for event_id in sorted((arrived.keys() & self.shard_of.keys()) - self.doubtful, key=arrived.get):
            shard, place = self.shard_of[event_id], self.place_of[event_id]
            if place < latest.get(shard, place):
                early.append(event_id)
            latest[shard] = max(place, latest.get(shard, place))
        return early

    def shards(self) -> dict:
        """All shards by id."""
        shards, more = [], {"StreamName": STREAM}
        while more:
            answer = self.kinesis.list_shards(**more)
            shards += answer["Shards"]
            more = {"NextToken": answer["NextToken"]} if answer.get("NextToken") else None
        return {shard["ShardId"]: shard for shard in shards}

    def open_shards(self) -> list:
        """The open shards, in the order of their hash ranges: neighbours can be merged."""
        shards = [shard for shard in self.shards().values() if "EndingSequenceNumber" not in shard["SequenceNumberRange"]]
        return sorted(shards, key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))

    def split(self, shard: dict) -> tuple:
        """Splits a shard in the middle; gives parents and children back when it has landed."""
        hashes = shard["HashKeyRange"]
        middle = (int(hashes["StartingHashKey"]) + int(hashes["EndingHashKey"])) // 2 + 1
        self.kinesis.split_shard(StreamName=STREAM, ShardToSplit=shard["ShardId"], NewStartingHashKey=str(middle))
        return self.landed([shard["ShardId"]], 2)

    def merge(self, shard: dict, neighbour: dict) -> tuple:
        """Merges two neighbours; gives parents and children back when it has landed."""
        parents = [shard["ShardId"], neighbour["ShardId"]]
        self.kinesis.merge_shards(StreamName=STREAM, ShardToMerge=parents[0], AdjacentShardToMerge=parents[1])
        return self.landed(parents, 1)

    def scale(self, count: int) -> tuple:
        """Makes it so many even shards, as the service does it: gives parents and children back when it has landed."""
        before = {shard["ShardId"] for shard in self.open_shards()}
        self.kinesis.update_shard_count(StreamName=STREAM, TargetShardCount=count, ScalingType="UNIFORM_SCALING")
        wait_until(f"{count} open shards", RESHARD_SECONDS, lambda: self.is_active() and len(self.open_shards()) == count)
        after = {shard["ShardId"] for shard in self.open_shards()}
        return sorted(before - after), sorted(after - before)

    def landed(self, parents: list, count: int) -> tuple:
        """Landed: the stream is active again, the parents are closed, and the children are open."""

        def children():
            if not self.is_active():
                return None
            opened = [
                shard["ShardId"]
                for shard in self.open_shards()
                if set(parents) == {shard[name] for name in ("ParentShardId", "AdjacentParentShardId") if shard.get(name)}
            ]
            still_open = {shard["ShardId"] for shard in self.open_shards()} & set(parents)
            return opened if len(opened) == count and not still_open else None

        opened = wait_until(f"children of {' and '.join(parents)}", RESHARD_SECONDS, children)
        for child in opened:
            self.parents[child] = set(parents)
        return parents, opened


def run(suite, directory, report: Report):
    """The scenario."""
    with kinesis_local(suite, directory) as endpoint:
        stream = Stream(endpoint)
        forwarder = Forwarder(suite.binary, directory, endpoint, STREAM, RECORDS_MAX)
        try:
            reshard(stream, forwarder, report)
        finally:
            forwarder.close()
            report.count(set(stream.shard_of), forwarder)


def reshard(stream: Stream, forwarder: Forwarder, report: Report):
    stream.put(BACKLOG_RECORDS)
    print(f"  put {stream.records} records with {len(stream.shard_of)} events as a backlog", flush=True)
    forwarder.start()
    forwarder.wait_for("the first event", bool, FIRST_EVENT_SECONDS)

    step(report, stream, forwarder, "split", "while the reader reads", lambda: stream.split(stream.open_shards()[0]))
    stream.put(LATER_RECORDS)
    # The second child of the split, whose parent is not read to its end yet, and the other of the first two shards.
    step(report, stream, forwarder, "merge", "while the reader reads", lambda: stream.merge(*stream.open_shards()[1:3]))
    stream.put(LATER_RECORDS)

    third = len(stream.shard_of) // 3
    forwarder.wait_for("a third of the events", lambda events: len(events) >= third, DRAIN_SECONDS)
    code = forwarder.stop()
    before = len(forwarder.delivered())
    repeated = forwarder.duplicates()
    behind = len(stream.shard_of) - before
    report.check("SIGTERM in the middle ends with exit code 0", code == 0 and behind > 0, f"exit code {code}, lag {behind} events")
    report.check("the checkpoints are whole", json.loads(forwarder.checkpoints.read_text()), forwarder.checkpoints.name)

    step(report, stream, forwarder, "split", "while the reader is away", lambda: stream.split(stream.open_shards()[-1]))
    stream.put(LATER_RECORDS)
    forwarder.start()
    forwarder.wait_for("an event after the restart", lambda events: len(events) > before, FIRST_EVENT_SECONDS)
    step(report, stream, forwarder, "merge", "after the restart", lambda: stream.merge(*stream.open_shards()[-2:]))
    stream.put(LATER_RECORDS)

    put = set(stream.shard_of)
    forwarder.wait_for("everything that was put", lambda events: put <= events.keys(), DRAIN_SECONDS)
    code = forwarder.stop()
    forwarder.delivered()
    report.check("SIGTERM at the end ends with exit code 0", code == 0, f"exit code {code}")
    again = forwarder.duplicates() - repeated
    report.check("the restart went on from the checkpoint", again < before, f"{again} of {before} events came once more")
    check_order(stream, forwarder, report)
    strange = [one for one, event in forwarder.events.items() if not is_right(event)]
    report.check("every event is a Detection Finding that knows its log group", not strange, f"{len(strange)} are not")


def step(report: Report, stream: Stream, forwarder: Forwarder, kind: str, when: str, reshard):
    """A split or a merge, counted if there was a lag on its parents before it began and still when it had landed."""
    put_before = len(stream.shard_of)
    delivered_before = len(forwarder.delivered())
    parents, children = reshard()
    events = forwarder.delivered()
    behind = stream.behind(parents, events)
    lagged = all(behind.values()) and len(events) < put_before
    if kind == "split":
        report.splits += lagged
    else:
        report.merges += lagged
    moved = f"{', '.join(name(one) for one in parents)} -> {', '.join(name(one) for one in children)}"
    lag = ", ".join(f"{count} on {name(parent)}" for parent, count in behind.items())
    report.check(
        f"a {kind} landed behind a lag, {when}", lagged,
        f"{moved}; put {put_before}, delivered {delivered_before} before and {len(events)} after; still unread: {lag}",
    )


def check_order(stream: Stream, forwarder: Forwarder, report: Report):
    """Children come after their parents: no event of a shard before the last event of the shards it was made of."""
    arrived = {finding_id: index for index, finding_id in enumerate(forwarder.events)}
    first, last = {}, {}
    for finding_id, shard in stream.shard_of.items():
        index = arrived.get(finding_id, -1)
        first[shard] = min(first.get(shard, index), index)
        last[shard] = max(last.get(shard, index), index)
    empty = [name(shard) for shard in stream.shards() if shard not in first]
    early = [
        f"{name(child)} before the end of {name(parent)}"
        for child, parents in stream.parents.items()
        for parent in parents
        if child in first and parent in last and first[child] < last[parent]
    ]
    report.check("every shard held events", not empty, f"{len(first)} shards{some_of(empty)}")
    report.check("children came after their parents", not early, f"{len(stream.parents)} children{some_of(early)}")


def is_right(event: dict) -> bool:
    metadata = event["metadata"]
    return (
        event["class_uid"] == DETECTION_FINDING
        and metadata.get("log_name") == GROUP
        and metadata.get("log_source", "").startswith("events-")
    )


def name(shard: str) -> str:
    """`shardId-000000000003` as `shard 3`."""
    return f"shard {int(shard.rpartition('-')[2])}"


def some_of(words: list) -> str:
    return f", but: {'; '.join(words[:5])}" if words else ""
