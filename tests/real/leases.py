"""kinesis-local and moto's DynamoDB: copies share a stream, and are killed, paused and stopped while it is resharded.

A copy that is paused for longer than the failover time is a zombie when it wakes: it believes that it owns what others have
taken meanwhile. What it delivers then comes twice; what it must not do is to write a checkpoint.
"""

import time

from copies import Copies
from lease_table import Table
from report import Report
from resharding import FIRST_EVENT_SECONDS, Stream
from servers import kinesis_local, moto, wait_until

FAILOVER_SECONDS = 5
RECORDS = 120
# The stand-ins answer slowly: a share is even after some steps of one lease each.
BALANCE_SECONDS = 180


def run(suite, directory, report: Report):
    """The scenario."""
    with kinesis_local(suite, directory) as kinesis, moto(directory) as dynamodb:
        stream = Stream(kinesis)
        copies = Copies(suite, directory, kinesis, dynamodb, FAILOVER_SECONDS, "abc")
        try:
            with Table(dynamodb, copies.is_alive, copies.is_anybody_alive) as table:
                share(stream, table, copies, report)
            table.tell(report, FAILOVER_SECONDS)
        finally:
            copies.close()
            report.count(stream.put_ids(), copies)


def share(stream: Stream, table: Table, copies: Copies, report: Report):
    a, b, c = copies.copies

    def wait_for_shares(what: str, shares: list):
        wait_until(what, BALANCE_SECONDS, lambda: sorted(table.owners().values()) == shares)

    stream.put(RECORDS)
    a.start()
    wait_until("the first event", FIRST_EVENT_SECONDS, copies.delivered)
    stream.split(stream.open_shards()[0])
    stream.split(stream.open_shards()[-1])
    report.splits += 2
    stream.put(RECORDS)
    b.start()
    copies.wait_for_all(stream)
    wait_for_shares("two even shares", [2, 2])
    report.check("scaling out shares evenly", True, str(dict(table.owners())))

    before = copies.duplicates()
    began = time.monotonic()
    code = a.stop()
    wait_for_shares("the other to have all", [4])
    took = time.monotonic() - began
    copies.delivered()
    report.check("a copy that is stopped hands over", code == 0, f"exit code {code}, {took:.1f} s after SIGTERM")
    report.check("without a duplicate", copies.duplicates() == before, f"{copies.duplicates() - before} events")
    report.faults["stops"] += 1

    c.start()
    wait_for_shares("two even shares", [2, 2])
    stream.put(RECORDS)
    b.kill()
    report.faults["kills"] += 1
    copies.wait_for_all(stream)
    wait_for_shares("the dead one's leases to be taken", [4])
    report.check("a copy that is killed is taken over from", True, str(dict(table.owners())))

    a.start()
    wait_for_shares("two even shares", [2, 2])
    stream.merge(*stream.open_shards()[1:3])
    report.merges += 1
    stream.put(RECORDS)
    began = time.monotonic()
    c.pause()
    copies.wait_for_all(stream)
    wait_until("the paused one to have lost all", BALANCE_SECONDS, lambda: len(table.owners()) == 1)
    # Its last renewal was before the pause, so the others may have all before the failover time is over for it, too.
    time.sleep(max(0, began + FAILOVER_SECONDS + 1 - time.monotonic()))
    paused = time.monotonic() - began
    c.resume()
    report.faults["zombies"] += 1
    stream.put(RECORDS)
    copies.wait_for_all(stream)
    report.check("a zombie stops nobody", True, f"it was paused for {paused:.1f} s")
    codes = [a.stop(), c.stop()]
    copies.delivered()
    report.check("all end with exit code 0", codes == [0, 0], f"{codes}")
    report.check("all leases are released", not table.owners(), str(dict(table.owners())))
