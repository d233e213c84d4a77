"""kinesis-local and moto's DynamoDB: copies share a stream, and are killed, paused and stopped while it is resharded.

A copy that is paused for longer than the failover time is a zombie when it wakes: it believes that it owns what others have
taken meanwhile. What it delivers then comes twice; what it must not do is to write a checkpoint.
"""

import signal
import threading
import time
from collections import Counter

from forwarder import Forwarder
from report import Report
from resharding import DRAIN_SECONDS, FIRST_EVENT_SECONDS, STREAM, Stream
from servers import client, kinesis_local, moto, wait_until

TABLE = "siemline"
FAILOVER_SECONDS = 5
RECORDS = 120
# The stand-ins answer slowly: a share is even after some steps of one lease each.
BALANCE_SECONDS = 90


class Copies:
    """Several siemlines on one stream, seen as one."""

    def __init__(self, binary: str, directory, kinesis: str, dynamodb: str):
        lease = f'create_table = true, failover = "{FAILOVER_SECONDS}s", endpoint_url = "{dynamodb}"'
        self.copies = []
        for name in ("a", "b", "c"):
            place = directory / name
            place.mkdir()
            self.copies.append(Forwarder(binary, place, kinesis, STREAM, 10, f'lease_table = "{TABLE}"\n', lease))
        self.events = {}

    def delivered(self) -> dict:
        for copy in self.copies:
            self.events.update(copy.delivered())
        return self.events

    def duplicates(self) -> int:
        arrivals = Counter()
        for copy in self.copies:
            arrivals += copy.arrivals
        return sum(arrivals.values()) - len(arrivals)

    def dead_lettered(self) -> int:
        return sum(copy.dead_lettered() for copy in self.copies)

    def close(self):
        for copy in self.copies:
            copy.close()

    def wait_for_all(self, stream: Stream):
        wait_until("everything that was put", DRAIN_SECONDS, lambda: set(stream.shard_of) <= self.delivered().keys())


class Table:
    """The leases, as anybody sees them; and how long a shard stood without a living owner's write."""

    def __init__(self, endpoint: str):
        self.dynamodb = client("dynamodb", endpoint)
        self.checkpoints = {}
        self.moved_back = []
        self.standing = {}
        self.longest = 0.0
        self.ended = threading.Event()
        self.watching = threading.Thread(target=self.watch, daemon=True)

    def leases(self) -> dict:
        try:
            items = self.dynamodb.scan(TableName=TABLE, ConsistentRead=True)["Items"]
        except self.dynamodb.exceptions.ResourceNotFoundException:
            return {}
        return {item["leaseKey"]["S"]: item for item in items}

    def owners(self) -> Counter:
        """How many unfinished leases each owner has, leases that are being handed over left out."""
        settled = [
            item for item in self.leases().values()
            if item["checkpoint"]["S"] != "SHARD_END" and "checkpointOwner" not in item
        ]
        return Counter(item["leaseOwner"]["S"] for item in settled if "leaseOwner" in item)

    def watch(self):
        while not self.ended.wait(0.1):
            now = time.monotonic()
            for key, item in self.leases().items():
                place = rank(item["checkpoint"]["S"])
                if place < self.checkpoints.get(key, (0, 0)):
                    self.moved_back.append(key)
                self.checkpoints[key] = place
                if place[0] == 2:
                    self.standing.pop(key, None)
                    continue
                counter, since = self.standing.get(key, (None, now))
                if counter != item["leaseCounter"]["N"]:
                    since = now
                self.standing[key] = (item["leaseCounter"]["N"], since)
                self.longest = max(self.longest, now - since)


def rank(checkpoint: str) -> tuple:
    if checkpoint == "SHARD_END":
        return (2, 0)
    return (1, int(checkpoint)) if checkpoint.isdigit() else (0, 0)


def run(suite, directory, report: Report):
    """The scenario."""
    with kinesis_local(suite, directory) as kinesis, moto(directory) as dynamodb:
        stream, table = Stream(kinesis), Table(dynamodb)
        copies = Copies(suite.binary, directory, kinesis, dynamodb)
        table.watching.start()
        try:
            share(stream, table, copies, report)
        finally:
            table.ended.set()
            table.watching.join()
            copies.close()
            report.count(set(stream.shard_of), copies)


def share(stream: Stream, table: Table, copies: Copies, report: Report):
    a, b, c = copies.copies
    stream.put(RECORDS)
    a.start()
    wait_until("the first event", FIRST_EVENT_SECONDS, copies.delivered)
    stream.split(stream.open_shards()[0])
    stream.split(stream.open_shards()[-1])
    report.splits += 2
    stream.put(RECORDS)
    b.start()
    copies.wait_for_all(stream)
    wait_until("two even shares", BALANCE_SECONDS, lambda: sorted(table.owners().values()) == [2, 2])
    report.check("scaling out shares evenly", True, str(dict(table.owners())))

    before = copies.duplicates()
    began = time.monotonic()
    code = a.stop()
    wait_until("the other to have all", BALANCE_SECONDS, lambda: sorted(table.owners().values()) == [4])
    took = time.monotonic() - began
    copies.delivered()
    report.check("a copy that is stopped hands over", code == 0, f"exit code {code}, {took:.1f} s after SIGTERM")
    report.check("without a duplicate", copies.duplicates() == before, f"{copies.duplicates() - before} events")

    c.start()
    wait_until("two even shares", BALANCE_SECONDS, lambda: sorted(table.owners().values()) == [2, 2])
    stream.put(RECORDS)
    b.process.send_signal(signal.SIGKILL)
    b.process.wait()
    b.process = None
    copies.wait_for_all(stream)
    report.check("a copy that is killed is taken over from", sorted(table.owners().values())[-1] == 4, str(dict(table.owners())))

    a.start()
    wait_until("two even shares", BALANCE_SECONDS, lambda: sorted(table.owners().values()) == [2, 2])
    stream.merge(*stream.open_shards()[1:3])
    report.merges += 1
    stream.put(RECORDS)
    began = time.monotonic()
    c.process.send_signal(signal.SIGSTOP)
    copies.wait_for_all(stream)
    wait_until("the paused one to have lost all", BALANCE_SECONDS, lambda: len(table.owners()) == 1)
    # Its last renewal was before the pause, so the others may have all before the failover time is over for it, too.
    time.sleep(max(0, began + FAILOVER_SECONDS + 1 - time.monotonic()))
    paused = time.monotonic() - began
    c.process.send_signal(signal.SIGCONT)
    stream.put(RECORDS)
    copies.wait_for_all(stream)
    report.check("a zombie stops nobody", True, f"it was paused for {paused:.1f} s")
    codes = [a.stop(), c.stop()]
    copies.delivered()
    report.check("all end with exit code 0", codes == [0, 0], f"{codes}")
    report.check("all leases are released", not table.owners(), str(dict(table.owners())))
    report.check("no checkpoint moved back", not table.moved_back, f"{table.moved_back}")
    # Seen from outside: the failover time, one renewal, and what a loaded machine takes to answer.
    bound = FAILOVER_SECONDS * 4 / 3 + 5
    report.check("no shard stood for long", table.longest <= bound, f"{table.longest:.1f} s without a write at the most")
