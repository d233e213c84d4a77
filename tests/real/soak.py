"""kinesis-local and moto's DynamoDB: copies, streams and sinks in trouble at random, for as long as is asked for.

The plan of troubles is drawn from a seed, which is printed; `--seed` draws it again. A trouble counts when it has hit: a kill
when the killed process held chunks that no sink had settled, a split when its parent was not read to the end. When the time
is over, what has not hit yet is made again, in a way that is likely to, so that no run passes without its faults.
"""

import contextlib
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass

import hec
import kpl
from copies import Copies
from lease_table import Table
from report import Report
from resharding import FIRST_EVENT_SECONDS, GROUP, Stream, name
from servers import Failure, kinesis_local, moto, wait_until

FAILOVER_SECONDS = 4
SHARDS = 3
SHARDS_MAX = 5

# kinesis-local takes a few hundred kilobytes a second, and a machine may be busy: this is a tenth of it.
PUT_EVERY_SECONDS = 0.3
PUT_RECORDS_MAX = 8
BURST_RECORDS = 40

# Of one call, so that a shard yields at most 20 records a second, and a burst is a lag for a while.
RECORDS_MAX = 4

SETTLE_SECONDS = 600
ATTEMPTS_MAX = 5

# How long something may take to hit, on a machine that is busy with other things.
HIT_SECONDS = 30

# Few unsettled chunks: while a sink fails, what is put stays in the stream and becomes the lag that troubles want.
OPTIONS = """\
window_chunks_max = 4
chunk_bytes_max = "16KiB"
"""

# One worker hands chunks on in the order in which they were read.
TABLES = """
[pipeline]
workers = 1
"""

# A deck of troubles: each comes once before any comes again, kills twice.
DECK = ("kill", "kill", "stop", "pause", "split", "merge", *hec.FAULTS)

# What has to have hit before the run may end, by the trouble that makes it.
MUST_HIT = {
    "kill": "kills with unsettled chunks",
    "stop": "stops",
    "pause": "zombies",
    "split": "splits behind a lag",
    "merge": "merges behind a lag",
    **{fault: f"HEC {fault}" for fault in hec.FAULTS},
}


@dataclass(frozen=True)
class Trouble:
    """One trouble: how long to wait before it, whom it meets, and how long it lasts, as parts of what there is."""

    kind: str
    wait: float
    whom: float
    length: float


class Plan:
    """Troubles without an end, drawn from a seed: the same seed, the same troubles."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.copies = self.random.randint(2, 4)
        self.deck = []

    def next(self) -> Trouble:
        if not self.deck:
            self.deck = list(DECK)
            self.random.shuffle(self.deck)
        return self.trouble(self.deck.pop())

    def trouble(self, kind: str) -> Trouble:
        return Trouble(kind, self.random.uniform(0.2, 1.5), self.random.random(), self.random.random())


class Producer:
    """Puts records all the time: plain ones, subscription records in gzip, and aggregates."""

    def __init__(self, stream: Stream, seed: int):
        self.stream = stream
        self.random = random.Random(seed)
        self.ended = threading.Event()
        self.failure = None
        self.kinds = Counter()
        self.putting = threading.Thread(target=self.put_on, daemon=True)

    def put_on(self):
        try:
            while not self.ended.wait(PUT_EVERY_SECONDS):
                self.put(self.random.randint(1, PUT_RECORDS_MAX))
        except Exception as failure:  # It is told where the main thread looks.
            self.failure = failure

    def put(self, count: int):
        with self.stream.putting:
            self.stream.put_all([self.entry() for _ in range(count)])

    def entry(self) -> tuple:
        key = f"key-{self.stream.records}"
        draw = self.random.random()
        if draw < 0.2:
            self.kinds["aggregates"] += 1
            return kpl.aggregated(self.stream, key)
        self.stream.records += 1
        if draw < 0.6:
            self.kinds["plain"] += 1
            ids, data = self.stream.findings.plain()
        else:
            self.kinds["subscription"] += 1
            ids, data = self.stream.findings.record(GROUP, "events-0")
        return ids, key, data

    def end(self):
        self.ended.set()
        if self.putting.is_alive():
            self.putting.join()

    def look(self):
        if self.failure is not None:
            raise Failure(f"nothing can be put any more: {self.failure!r}")


def run(suite, directory, report: Report):
    """The scenario."""
    seed = random.SystemRandom().getrandbits(32) if suite.seed is None else suite.seed
    print(f"  seed {seed}: `tests/real/run soak --seconds {suite.seconds} --seed {seed}` makes the same troubles", flush=True)
    plan = Plan(seed)
    sink = hec.Hec(seed, latency_seconds=0.4, silence_seconds=4.0)
    with kinesis_local(suite, directory) as kinesis, moto(directory) as dynamodb, hec.serving(sink) as url:
        stream = Stream(kinesis, SHARDS, seed)
        names = "abcd"[: plan.copies]
        copies = Copies(suite, directory, kinesis, dynamodb, FAILOVER_SECONDS, names, RECORDS_MAX, OPTIONS, TABLES + sink.table(url))
        with Table(dynamodb, copies.is_alive, copies.is_anybody_alive) as table:
            soak = Soak(plan, stream, copies, sink, table, report, Producer(stream, seed))
            try:
                soak.run(suite.seconds)
            finally:
                soak.producer.end()
                # The table is judged by what it was while the copies ran.
                table.stop()
                copies.close()
                tell(soak)


class Soak:
    """One run of it."""

    def __init__(self, plan, stream, copies, sink, table, report, producer):
        self.plan = plan
        self.stream = stream
        self.copies = copies
        self.sink = sink
        self.table = table
        self.report = report
        self.producer = producer
        self.codes = Counter()
        self.began = time.monotonic()

    def say(self, words: str):
        print(f"  {time.monotonic() - self.began:5.1f} s  {words}", flush=True)

    def run(self, seconds: int):
        first, *others = self.copies.copies
        self.producer.put(BURST_RECORDS)
        first.start()
        wait_until("the first event", FIRST_EVENT_SECONDS, self.copies.delivered)
        for copy in others:
            copy.start()
        self.producer.putting.start()
        readers = min(SHARDS, len(self.copies.copies))
        wait_until("the copies to share", FIRST_EVENT_SECONDS, lambda: len(self.table.owners()) >= readers)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.make(self.plan.next())
        for kind, what in MUST_HIT.items():
            for _ in range(ATTEMPTS_MAX):
                if self.hits()[what]:
                    break
                self.say(f"once more, until it hits: {kind}")
                self.insist(kind, what)
        self.settle()

    def insist(self, kind: str, what: str):
        """Makes a trouble when it is likely to hit."""
        self.producer.put(BURST_RECORDS)
        if kind in hec.FAULTS:
            self.sink.fail(kind, HIT_SECONDS)
            with contextlib.suppress(Failure):
                wait_until(what, HIT_SECONDS, lambda: self.sink.hit[kind])
            self.sink.recover()
        else:
            # A sink that takes nothing keeps chunks unsettled and lets a lag grow.
            self.sink.fail("busy", HIT_SECONDS)
            time.sleep(1)
            self.make(self.plan.trouble(kind))
            self.sink.recover()

    def hits(self) -> Counter:
        """What has hit by now, by its name in the table."""
        met = Counter({MUST_HIT[fault]: count for fault, count in self.sink.hit.items()})
        return self.report.faults + met

    def make(self, trouble: Trouble):
        time.sleep(trouble.wait)
        self.producer.look()
        self.copies.delivered()
        if trouble.kind in hec.FAULTS:
            seconds = 1.5 + 4 * trouble.length
            self.sink.fail(trouble.kind, seconds)
            self.say(f"HEC is {trouble.kind} for {seconds:.1f} s")
        else:
            getattr(self, trouble.kind)(trouble)

    def kill(self, trouble: Trouble):
        copy = self.pick(trouble)
        self.producer.put(BURST_RECORDS)
        copy.kill()
        # What this start has written to its file and HEC has not taken was read, and is settled nowhere.
        unsettled = copy.lives[-1].keys() - self.sink.delivered().keys()
        self.report.faults["kills"] += 1
        self.report.faults["kills with unsettled chunks"] += bool(unsettled)
        self.say(f"killed {copy.host()}, {len(unsettled)} events read and not settled")
        time.sleep(trouble.length * 1.5 * FAILOVER_SECONDS)
        copy.start()

    def stop(self, trouble: Trouble):
        copy = self.pick(trouble)
        code = copy.stop()
        self.codes[code] += 1
        self.report.faults["stops"] += 1
        self.say(f"stopped {copy.host()}, exit code {code}")
        time.sleep(trouble.length * FAILOVER_SECONDS)
        copy.start()

    def pause(self, trouble: Trouble):
        """It is away for longer than the failover time, and wakes as an owner of what others have taken."""
        copy = self.pick(trouble)
        owner = f":{copy.host()}:"
        before = self.owned(owner)
        copy.pause()
        self.say(f"paused {copy.host()}, which owns {len(before)} shards")
        self.producer.put(BURST_RECORDS)
        time.sleep((1.5 + trouble.length) * FAILOVER_SECONDS)
        with contextlib.suppress(Failure):
            wait_until("the others to take its shards", HIT_SECONDS, lambda: before - self.owned(owner) or not before)
        taken = before - self.owned(owner)
        copy.resume()
        self.say(f"woke {copy.host()}, {len(taken)} shards were taken from it")
        self.report.faults["zombies"] += bool(taken)

    def split(self, trouble: Trouble):
        shards = self.stream.open_shards()
        if len(shards) >= SHARDS_MAX:
            return self.merge(trouble)
        shard = shards[int(trouble.whom * len(shards))]
        return self.reshard("splits behind a lag", lambda: self.stream.split(shard))

    def merge(self, trouble: Trouble):
        shards = self.stream.open_shards()
        if len(shards) <= 2:
            return self.split(trouble)
        at = int(trouble.whom * (len(shards) - 1))
        return self.reshard("merges behind a lag", lambda: self.stream.merge(shards[at], shards[at + 1]))

    def reshard(self, what: str, reshard):
        self.producer.put(BURST_RECORDS)
        parents, children = reshard()
        here, there = self.copies.delivered(), self.sink.delivered()
        behind = self.stream.behind(parents, here.keys() & there.keys())
        self.report.faults[what] += all(behind.values())
        moved = f"{', '.join(map(name, parents))} -> {', '.join(map(name, children))}"
        self.say(f"{moved}, unread: {', '.join(map(str, behind.values()))} events")

    def pick(self, trouble: Trouble):
        """One of the copies, all of which run between two troubles: one that reads something, if any does."""
        awake = self.copies.awake()
        chosen = [copy for copy in awake if self.owned(f":{copy.host()}:")] or awake
        return chosen[int(trouble.whom * len(chosen))]

    def owned(self, owner: str) -> set:
        return {shard for shard, item in self.table.leases().items() if owner in item.get("leaseOwner", {}).get("S", "")}

    def settle(self):
        """No more trouble: everything comes to every sink, and then all end in peace."""
        self.sink.recover()
        self.producer.end()
        self.producer.look()
        put = self.stream.put_ids()

        def is_everywhere() -> bool:
            here, there = self.copies.delivered(), self.sink.delivered()
            return put <= here.keys() and put <= there.keys()

        began = time.monotonic()
        wait_until("everything to be at every sink", SETTLE_SECONDS, is_everywhere)
        self.say(f"everything is at every sink, {time.monotonic() - began:.1f} s after the last trouble")
        self.table.stop()
        for copy in self.copies.copies:
            self.codes[copy.stop()] += 1


def tell(soak: Soak):
    report, stream, copies, sink = soak.report, soak.stream, soak.copies, soak.sink
    counted = ", ".join(f"{count} {kind}" for kind, count in soak.producer.kinds.items())
    print(f"  put {stream.records} records ({counted}) on {len(stream.shards())} shards, for {len(copies.copies)} copies", flush=True)
    report.count(stream.put_ids(), copies, sink)
    lives = [life for copy in copies.copies for life in copy.lives]
    early = [one for life in lives for one in stream.out_of_order(life)]
    report.check("each process delivered a shard's records in their order", not early, f"{len(lives)} processes, {len(early)} came early")
    report.check("every stop ended with exit code 0", set(soak.codes) == {0}, f"{dict(soak.codes)}")
    report.check("HEC was sent what it understands", not sink.strange, f"{sink.strange[:3]}")
    soak.table.tell(report, FAILOVER_SECONDS)
    owned = soak.table.owners()
    report.check("all leases are released", not owned, f"{dict(owned)}")
    hits = soak.hits()
    report.faults = hits
    missing = [what for what in MUST_HIT.values() if not hits[what]]
    report.check("every kind of fault has hit", not missing and hits["leases moved"], f"missing: {missing}" if missing else report.landed())
