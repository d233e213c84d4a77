"""kinesis-local and moto's DynamoDB: a stream is scaled up and down behind a lag, two copies read it, one is killed."""

from copies import Copies
from lease_table import Table
from report import Report
from resharding import FIRST_EVENT_SECONDS, Stream, name
from servers import kinesis_local, moto, wait_until

FAILOVER_SECONDS = 5
RECORDS = 160
# Of one call: what is put is a lag for a while.
RECORDS_MAX = 4


def run(suite, directory, report: Report):
    """The scenario."""
    with kinesis_local(suite, directory) as kinesis, moto(directory) as dynamodb:
        stream = Stream(kinesis)
        copies = Copies(suite, directory, kinesis, dynamodb, FAILOVER_SECONDS, "ab", RECORDS_MAX)
        try:
            with Table(dynamodb, copies.is_alive, copies.is_anybody_alive) as table:
                scale_twice(stream, table, copies, report)
                table.stop()
                codes = [copy.stop() for copy in copies.copies]
                report.check("both end with exit code 0", codes == [0, 0], f"{codes}")
            table.tell(report, FAILOVER_SECONDS)
        finally:
            copies.close()
            report.count(stream.put_ids(), copies)


def scale_twice(stream: Stream, table: Table, copies: Copies, report: Report):
    a, b = copies.copies
    stream.put(RECORDS)
    a.start()
    wait_until("the first event", FIRST_EVENT_SECONDS, copies.delivered)
    b.start()
    wait_until("both to read", FIRST_EVENT_SECONDS, lambda: len(table.owners()) == 2)
    stream.put(RECORDS)
    step(stream, copies, report, 4)
    stream.put(RECORDS)
    a.kill()
    report.faults["kills"] += 1
    stream.put(RECORDS)
    a.start()
    step(stream, copies, report, 2)
    stream.put(RECORDS)
    copies.wait_for_all(stream)


def step(stream: Stream, copies: Copies, report: Report, count: int):
    before = len(stream.open_shards())
    parents, children = stream.scale(count)
    behind = stream.behind(parents, copies.delivered())
    report.faults["scalings behind a lag"] += any(behind.values())
    report.check(
        f"scaled from {before} to {count} shards behind a lag", any(behind.values()),
        f"{', '.join(map(name, parents))} -> {', '.join(map(name, children))}; unread: {', '.join(map(str, behind.values()))}",
    )
