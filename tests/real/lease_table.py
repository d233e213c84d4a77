"""The table of leases, watched from outside while a scenario runs."""

import threading
import time
from collections import Counter

from botocore.exceptions import BotoCoreError, ClientError
from servers import client

TABLE = "siemline"
SHARD_END = "SHARD_END"

LOOK_SECONDS = 0.1


class Table:
    """The leases, as anybody sees them: who has which, how often they moved, and how long a shard had no owner who reads.

    `is_alive(owner)` says whether the process behind an owner runs and is not paused; `is_anybody_alive()` whether there is
    one at all who could take a lease. One that is still starting counts as there, so that the time is never told too short.
    """

    def __init__(self, endpoint: str, is_alive, is_anybody_alive):
        self.dynamodb = client("dynamodb", endpoint)
        self.is_alive = is_alive
        self.is_anybody_alive = is_anybody_alive
        self.checkpoints = {}
        self.last_owner = {}
        self.ownerless_since = {}
        self.looks = 0
        # What must not be.
        self.moved_back = []
        self.before_parents = set()
        # What is told.
        self.moves = 0
        self.ownerless_longest = 0.0
        self.ownerless_where = "nowhere"
        self.ended = threading.Event()
        self.watching = threading.Thread(target=self.watch, daemon=True)

    def __enter__(self):
        self.watching.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Looks no more. It may be said twice."""
        self.ended.set()
        self.watching.join()

    def leases(self) -> dict:
        """All leases by shard."""
        try:
            pages = list(self.dynamodb.get_paginator("scan").paginate(TableName=TABLE, ConsistentRead=True))
        except self.dynamodb.exceptions.ResourceNotFoundException:
            return {}
        items = [item for page in pages for item in page["Items"] if "checkpoint" in item]
        return {item["leaseKey"]["S"].rpartition(":")[2]: item for item in items}

    def owners(self) -> Counter:
        """How many unfinished leases each owner has, leases that are being handed over left out."""
        settled = [item for item in self.leases().values() if not is_finished(item) and "checkpointOwner" not in item]
        return Counter(item["leaseOwner"]["S"] for item in settled if "leaseOwner" in item)

    def unfinished(self) -> int:
        return sum(not is_finished(item) for item in self.leases().values())

    def watch(self):
        while not self.ended.wait(LOOK_SECONDS):
            try:
                leases = self.leases()
            except (BotoCoreError, ClientError):
                # The stand-in of a loaded machine; how often somebody looked is checked in the end.
                continue
            self.looks += 1
            self.look(leases, time.monotonic())

    def look(self, leases: dict, now: float):
        is_anybody_alive = self.is_anybody_alive()
        for shard, item in leases.items():
            place = rank(item)
            if place < self.checkpoints.get(shard, (0, 0, 0)):
                self.moved_back.append(shard)
            self.checkpoints[shard] = place
            waits = any(parent in leases and not is_finished(leases[parent]) for parent in parents(item))
            if waits and place > (0, 0, 0):
                self.before_parents.add(shard)
            owner = reader(item)
            if owner:
                self.moves += self.last_owner.get(shard, owner) != owner
                self.last_owner[shard] = owner
            is_read = owner is not None and self.is_alive(owner)
            if is_finished(item) or waits or is_read or not is_anybody_alive:
                self.ownerless_since.pop(shard, None)
                continue
            since = self.ownerless_since.setdefault(shard, now)
            if now - since > self.ownerless_longest:
                self.ownerless_longest = now - since
                self.ownerless_where = f"{shard}, which {self.last_owner.get(shard, 'nobody')} had before"

    def tell(self, report, failover_seconds: float):
        """The checks that hold for every scenario with leases."""
        report.ownerless = self.ownerless_longest
        report.faults["leases moved"] += self.moves
        report.check("the table was watched", self.looks > 10, f"{self.looks} looks")
        report.check("no checkpoint moved back", not self.moved_back, f"{self.moved_back}")
        report.check("no shard was read before its parents were", not self.before_parents, f"{sorted(self.before_parents)}")
        # The failover time and a renewal, and what a machine that is busy with other things may take to answer.
        bound = failover_seconds * 4 / 3 + ALLOWANCE_SECONDS
        report.check(
            "no shard stood without an owner for long", self.ownerless_longest <= bound,
            f"{self.ownerless_longest:.1f} s at the most, failover {failover_seconds:.0f} s: {self.ownerless_where}",
        )


# Generous: it tells a shard that nobody takes from one that waits for a slow machine.
ALLOWANCE_SECONDS = 45


def is_finished(item: dict) -> bool:
    return item["checkpoint"]["S"] == SHARD_END


def reader(item: dict) -> str | None:
    """Who reads: the owner; and while a lease is being handed over, the one that still has it."""
    for name in ("checkpointOwner", "leaseOwner"):
        if name in item:
            return item[name]["S"]
    return None


def parents(item: dict) -> list:
    return item.get("parentShardId", {}).get("SS", [])


def rank(item: dict) -> tuple:
    """Where a checkpoint stands: before all records, at one and in it, or behind all."""
    checkpoint = item["checkpoint"]["S"]
    if checkpoint == SHARD_END:
        return (2, 0, 0)
    if not checkpoint.isdigit():
        return (0, 0, 0)
    return (1, int(checkpoint), int(item.get("checkpointSubSequenceNumber", {}).get("N", 0)))
