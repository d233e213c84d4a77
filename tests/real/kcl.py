"""A worker on the real Kinesis Client Library (KCL) and a siemline, on one stream and one lease table.

The scenarios `kcl_2`, `kcl_3` and `kcl_compatible` are made of what stands here. Moto's DynamoDB holds the table: KCL 3 adds
an index to it, and its lock client writes expressions of which dynalite does not know all.
"""

import base64
import signal
import subprocess
import time
from collections import Counter

from aggregate import aggregate
from forwarder import Forwarder
from lease_table import TABLE, Table
from process import Process
from report import Report
from resharding import DRAIN_SECONDS, FIRST_EVENT_SECONDS, GROUP, STREAM, Stream
from servers import CREDENTIALS, Failure, kinesis_local, moto, plain_environment, wait_until

FAILOVER_SECONDS = 5
# KCL looks for leases to take every two failover times, and takes one at a time from another worker.
BALANCE_SECONDS = 180
# Longer than the worker waits for its library, and what a loaded machine adds.
STOP_SECONDS = 60
# Of SIGTERM, which is how the JVM ends after its hooks.
TERMINATED = 128 + signal.SIGTERM

SHARDS = 4
RECORDS = 80
# Of one call, so that a shard yields at most 25 records a second, and there is always something left to hand over.
RECORDS_MAX = 5
# Every third record is an aggregate of so many.
AGGREGATED = 4
# Records of each shard after which KCL stops in the next aggregate.
STOP_AFTER = 12


class MixedStream(Stream):
    """A stream of plain records and aggregates, which knows what each of them holds."""

    def __init__(self, endpoint: str):
        self.ids_of = {}
        super().__init__(endpoint, SHARDS)

    def entry(self) -> tuple:
        self.records += 1
        key = f"key-{self.records}"
        if self.records % 3:
            ids, data = self.plain()
            return ids, key, data
        # All with the key of the whole: KCL throws away what does not belong to the shard.
        records = [self.plain() for _ in range(AGGREGATED)]
        return [one for ids, _ in records for one in ids], key, aggregate([(key, None, data) for _, data in records])

    def plain(self) -> tuple:
        ids, data = self.findings.record(GROUP, f"events-{self.records % 3}")
        self.ids_of[data] = ids
        return ids, data


class Java(Process):
    """The worker on KCL, started and stopped as often as a scenario likes."""

    def __init__(self, jars, directory, kinesis: str, dynamodb: str, stream: MixedStream):
        super().__init__("KCL", directory, directory / "records.tsv", STOP_SECONDS)
        self.jars = jars
        self.stream = stream
        self.options = {
            "kinesis": kinesis, "dynamodb": dynamodb, "stream": STREAM, "table": TABLE, "output": self.output,
            "failover_ms": FAILOVER_SECONDS * 1000, "records_max": RECORDS_MAX, "idle_ms": 200,
        }

    def start(self, mode: str, stop_after: int = 0):
        self.starts += 1
        options = {**self.options, "worker": self.worker(), "mode": mode, "stop_after": stop_after}
        # Small and soon up: a scenario is over before the better compiler has paid.
        command = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{self.jars}/classes:{self.jars}/lib/*"]
        command += ["-Dorg.slf4j.simpleLogger.showDateTime=true", "worker.Worker"]
        with self.log().open("wb") as output:
            self.process = subprocess.Popen(
                command + [f"{name}={value}" for name, value in options.items()], cwd=self.directory,
                env={**plain_environment(self.directory), **CREDENTIALS},
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )

    def is_awake(self) -> bool:
        """Whether it is up: the JVM and its library take their time."""
        return self.is_running() and "Initialization complete" in self.log().read_text(errors="replace")

    def worker(self) -> str:
        """The id of the running worker."""
        return f"java-{self.starts}"

    def delivered(self) -> Counter:
        """How often each event is in the file by now."""
        for line in self.new_lines():
            data = base64.b64decode(line.split(b"\t")[3])
            self.arrivals.update(self.stream.ids_of.get(data, [data.hex()]))
        return self.arrivals


class Both:
    """The two readers, seen as one."""

    def __init__(self, suite, version: int, directory, kinesis: str, dynamodb: str, stream: MixedStream):
        lease = f'keys = "shard", create_table = true, failover = "{FAILOVER_SECONDS}s", endpoint_url = "{dynamodb}"'
        place = directory / "siemline"
        place.mkdir()
        self.siemline = Forwarder(suite.binary, place, kinesis, STREAM, RECORDS_MAX, f'lease_table = "{TABLE}"\n', lease)
        self.java = Java(suite.component(f"kcl{version}"), directory, kinesis, dynamodb, stream)
        self.stream = stream

    @property
    def events(self) -> set:
        self.siemline.delivered()
        self.java.delivered()
        return self.siemline.arrivals.keys() | self.java.arrivals.keys()

    def duplicates(self) -> int:
        arrivals = self.siemline.arrivals + self.java.arrivals
        return sum(arrivals.values()) - len(arrivals)

    def dead_lettered(self) -> int:
        return self.siemline.dead_lettered()

    def leases_lost(self) -> int:
        """How many leases a living reader has lost, as the logs say."""
        ours = sum(path.read_text(errors="replace").count("lease lost,") for path in self.siemline.directory.glob("siemline-*.log"))
        theirs = sum(path.read_text(errors="replace").count("\nlost shardId-") for path in self.java.directory.glob("kcl-*.log"))
        return ours + theirs

    def is_anybody_alive(self) -> bool:
        return self.siemline.is_awake() or self.java.is_awake()

    def is_alive(self, owner: str) -> bool:
        """Whether the owner of a lease is the KCL or the siemline that runs, and not one that ran before it."""
        return self.is_java(owner) or self.is_siemline(owner)

    def is_java(self, owner: str) -> bool:
        return self.java.process is not None and owner == self.java.worker()

    def is_siemline(self, owner: str) -> bool:
        return self.siemline.is_awake() and f":{self.siemline.host()}:" in owner

    def wait_for_all(self):
        wait_until("everything that was put", DRAIN_SECONDS, lambda: self.stream.put_ids() <= self.events)

    def close(self):
        for one in (self.java, self.siemline):
            if one.process is not None:
                one.kill()


class Play:
    """What the parts of a scenario work on."""

    def __init__(self, stream: MixedStream, table: Table, both: Both, report: Report):
        self.stream, self.table, self.both, self.report = stream, table, both, report
        self.siemline, self.java = both.siemline, both.java

    def split(self, shard: int):
        self.stream.split(self.stream.open_shards()[shard])
        self.report.splits += 1

    def merge(self, shard: int):
        self.stream.merge(*self.stream.open_shards()[shard : shard + 2])
        self.report.merges += 1

    def kill(self, one):
        one.kill()
        self.report.faults["kills"] += 1

    def leases(self) -> tuple:
        """How many leases the running KCL has, and how many the running siemline."""
        owners = self.table.owners()
        return tuple(sum(owners[owner] for owner in owners if has(owner)) for has in (self.both.is_java, self.both.is_siemline))

    def share(self, name: str, of_kcl: int, of_siemline: int):
        """Waits until KCL and siemline have so many leases, and everything is read."""
        deadline = time.monotonic() + BALANCE_SECONDS
        while self.leases() != (of_kcl, of_siemline):
            if time.monotonic() > deadline:
                raise Failure(f"{name}: waited in vain, they have: {self.owners()}")
            self.is_running()
            time.sleep(0.2)
        self.both.wait_for_all()
        self.report.check(name, True, self.owners())

    def owners(self) -> str:
        owners = sorted(self.table.owners().items())
        return ", ".join(f"{owner.rpartition(':')[0] or owner} {count}" for owner, count in owners) or "nobody has a lease"

    def is_running(self) -> bool:
        """Reads what they have delivered; fails where one of them has ended by itself."""
        return self.both.events is not None


def play(suite, version: int, directory, report: Report, parts):
    """Starts the servers and the watch, plays the parts, and counts what came of them."""
    with kinesis_local(suite, directory) as kinesis, moto(directory) as dynamodb:
        stream = MixedStream(kinesis)
        both = Both(suite, version, directory, kinesis, dynamodb, stream)
        try:
            with Table(dynamodb, both.is_alive, both.is_anybody_alive) as table:
                for part in parts:
                    part(Play(stream, table, both, report))
            # KCL looks every two failover times, and takes the leases of one that died in up to three looks.
            table.tell(report, FAILOVER_SECONDS)
        finally:
            both.close()
            report.count(stream.put_ids(), both)


def hand_over(mode: str, play: Play):
    """One after the other reads the stream, each from where the other one stopped: nothing comes twice. KCL runs in the end."""
    stream, both, report, siemline, java = play.stream, play.both, play.report, play.siemline, play.java
    read_before, twice_before, lost_before = len(both.events), both.duplicates(), both.leases_lost()

    def check(name: str):
        twice, lost = both.duplicates() - twice_before, both.leases_lost() - lost_before
        left = len(stream.put_ids()) - len(both.events)
        words = f"{len(both.events) - read_before} events so far, {left} left, {twice} came twice"
        # Alone, one loses a lease only when the machine stands still for the failover time. It may read some again then.
        report.check(name, twice == 0 or lost > 0, f"{words}, {lost} leases lost" if lost else words)

    stream.put(3 * RECORDS)
    java.start(mode, STOP_AFTER)
    wait_until(
        "KCL to stop inside of an aggregate in each shard", FIRST_EVENT_SECONDS,
        lambda: play.is_running() and is_inside(play.table),
    )
    codes = [java.stop()]
    check("KCL stops inside of an aggregate in each shard")

    third = len(both.events) + (len(stream.put_ids()) - len(both.events)) // 3
    siemline.start()
    wait_until("siemline to go on", FIRST_EVENT_SECONDS, lambda: len(both.events) > third)
    codes.append(siemline.stop())
    check("siemline goes on behind KCL's last record")

    # The end of a parent, and the leases of its children, are KCL's to write now.
    play.split(0)
    stream.put(RECORDS)
    java.start(mode)
    both.wait_for_all()
    codes.append(java.stop())
    check("KCL goes on behind siemline's last record, and in the children of a split")

    # And now siemline's, in shards whose leases KCL has made.
    play.split(-1)
    play.merge(0)
    stream.put(RECORDS)
    siemline.start()
    both.wait_for_all()
    codes.append(siemline.stop())
    check("siemline goes on in shards that KCL has begun, and in the children of a split and a merge")

    stream.put(RECORDS)
    java.start(mode)
    both.wait_for_all()
    check("KCL goes on in shards that siemline has begun")
    report.check("all end as they should", codes == [TERMINATED, 0, TERMINATED, 0], f"exit codes {codes}")


def is_inside(table: Table) -> bool:
    """Whether the checkpoint of every shard lies behind the second record of an aggregate."""
    unfinished = [item for item in table.leases().values() if item["checkpoint"]["S"] != "SHARD_END"]
    numbers = {item["checkpointSubSequenceNumber"]["N"] for item in unfinished}
    return len(unfinished) >= SHARDS and numbers == {"1"}


def meet(mode: str, play: Play):
    """Siemline has all leases, and KCL comes beside it. In this order, since KCL waits for up to half a minute before it fills
    an empty table."""
    play.siemline.start()
    play.stream.put(RECORDS)
    play.share("siemline takes all leases", 0, SHARDS)
    play.java.start(mode)
    play.stream.put(RECORDS)
    play.share("KCL takes its share from siemline", SHARDS // 2, SHARDS // 2)


def come_back(play: Play):
    """Siemline is killed beside KCL, and started again."""
    play.stream.put(RECORDS)
    play.kill(play.siemline)
    play.share("KCL takes over from siemline that is killed", SHARDS, 0)
    play.siemline.start()
    play.stream.put(RECORDS)
    play.share("siemline takes its share from KCL", SHARDS // 2, SHARDS // 2)


def reshard(play: Play):
    """The stream is split and merged under both, KCL is killed, and siemline stopped.

    There is no even share afterwards: KCL counts the leases of finished shards as leases of their owner, for as long as they
    are kept, which is minutes.
    """
    play.stream.put(RECORDS)
    play.merge(1)
    play.split(0)
    play.stream.put(RECORDS)
    play.both.wait_for_all()
    play.report.check("the stream is split and merged while both read", True, play.owners())
    play.stream.put(RECORDS)
    play.kill(play.java)
    play.share("siemline takes over from KCL that is killed", 0, SHARDS)
    code = play.siemline.stop()
    play.report.check("siemline ends as it should", code == 0, f"exit code {code}")


def ruled(play: Play):
    """KCL 3 runs, and its leader assigns all leases: siemline takes none while it lives, and all when it is gone."""
    stream, both, report, siemline, java = play.stream, play.both, play.report, play.siemline, play.java
    shards = len(stream.open_shards())
    play.share("the leader has all leases assigned to KCL", shards, 0)
    siemline.start()
    read_before = siemline.arrivals.total()
    stream.put(RECORDS)
    both.wait_for_all()
    wait_until("siemline to say who rules", FIRST_EVENT_SECONDS, lambda: siemline.has_said(RULED))
    taken = siemline.arrivals.total() - read_before
    report.check("siemline says that a leader rules, and reads nothing", taken == 0, play.owners())

    stream.put(RECORDS)
    play.kill(java)
    play.share("siemline takes over when the leader is gone", 0, shards)
    wait_until("siemline to say that it is free", FIRST_EVENT_SECONDS, lambda: siemline.has_said(FREE))

    java.start("3x")
    stream.put(RECORDS)
    wait_until("a new leader", BALANCE_SECONDS, lambda: play.is_running() and siemline.has_said(RULED, 2))
    stream.put(RECORDS)
    both.wait_for_all()
    report.check("a leader leaves siemline what it has", play.leases()[1] > 0, play.owners())
    codes = [siemline.stop()]
    stream.put(RECORDS)
    play.share("the leader has what siemline gives back assigned to KCL", shards, 0)
    codes.append(java.stop())
    report.check("both end as they should", codes == [0, TERMINATED], f"exit codes {codes}")


# What siemline's log says.
RULED = "a leader of KCL 3 assigns the leases of this table"
FREE = "no leader of KCL 3 assigns the leases any more"


def end(play: Play):
    """KCL runs, and is stopped."""
    code = play.java.stop()
    play.report.check("KCL ends as it should", code == TERMINATED, f"exit code {code}")
