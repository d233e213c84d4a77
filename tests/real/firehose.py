"""moto: PutRecordBatch to a Firehose stream, which writes to S3. No limits and no failed records: moto has none."""

import base64
import json

from between import ANSWER_LOST, CUT, between, some
from bucket import Bucket, events_of
from deliveries import check_is_ready, check_tells, deliver, pauses
from feed import Feed
from report import Report
from servers import REGION, client, moto

FINDINGS = 400
BATCH_ENTRIES = 25
# What the service calls 1,000 KB, taken at its smaller meaning.
RECORD_BYTES_MAX = 1_000_000
HARMED = 4


class Stream:
    """A Firehose stream that writes to a bucket of its own."""

    def __init__(self, endpoint: str, name: str):
        self.firehose = client("firehose", endpoint)
        self.name = name
        self.bucket = Bucket(endpoint, f"{name}-bucket")

    def create(self):
        self.bucket.create()
        # What is left out, the service describes by its defaults, and the SDK requires it; moto describes what it was told.
        destination = {
            "RoleARN": "arn:aws:iam::123456789012:role/firehose", "BucketARN": f"arn:aws:s3:::{self.bucket.name}",
            "Prefix": "events/", "CompressionFormat": "UNCOMPRESSED",
            "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300},
            "EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"},
        }
        self.firehose.create_delivery_stream(DeliveryStreamName=self.name, ExtendedS3DestinationConfiguration=destination)

    def sink(self, url: str, options: str = "") -> str:
        return f"""
[sink.firehose.out]
stream = "{self.name}"
region = "{REGION}"
endpoint_url = "{url}"
{options}
[sink.firehose.out.lane]
batch_age_max = "200ms"
retry_first = "100ms"
retry_max = "1s"
pause_probe = "1s"
"""

    def accepted(self):
        return events_of(self.bucket.objects().values())


def run(suite, directory, report: Report):
    """The scenario."""
    with moto(directory) as endpoint:
        each_its_own(suite, directory, endpoint, report.case("one event a record"))
        packed(suite, directory, endpoint, report.case("packed"))
        answers_lost(suite, directory, endpoint, report.case("answers lost"))
        calls_cut(suite, directory, endpoint, report.case("calls cut"))
        no_stream(suite, directory, endpoint, report.case("no stream at first"))


def each_its_own(suite, directory, endpoint: str, report: Report):
    stream = Stream(endpoint, "plain")
    stream.create()
    with between(endpoint) as (url, passed):
        fed(suite, directory, stream, stream.sink(url), report)
    records = [record for call in puts(passed) for record in records_of(call)]
    alone = [record for record in records if record.count(b"\n") == 1 and record.endswith(b"\n")]
    report.check("each record is one event and a line break", len(alone) == len(records) == FINDINGS, f"{len(records)} records")
    report.check("nothing came twice", not report.duplicates)


def packed(suite, directory, endpoint: str, report: Report):
    stream = Stream(endpoint, "packed")
    stream.create()
    with between(endpoint) as (url, passed):
        tables = stream.sink(url, "pack = true\n").replace('batch_age_max = "200ms"', 'batch_age_max = "2s"')
        fed(suite, directory, stream, tables, report, findings=5 * FINDINGS)
    records = [record for call in puts(passed) for record in records_of(call)]
    most, largest = max(record.count(b"\n") for record in records), max(map(len, records))
    few = len(records) < report.put / 10
    report.check("records hold several events", most > 1 and few, f"{len(records)} records, up to {most} events")
    whole = all(record.endswith(b"\n") for record in records)
    report.check("no record is cut or too large", whole and largest <= RECORD_BYTES_MAX, f"up to {largest} bytes")
    report.check("nothing came twice", not report.duplicates)


def answers_lost(suite, directory, endpoint: str, report: Report):
    stream = Stream(endpoint, "answers-lost")
    stream.create()
    with between(endpoint, some(ANSWER_LOST, HARMED, is_put)) as (url, passed):
        fed(suite, directory, stream, stream.sink(url) + f"batch_entries_max = {BATCH_ENTRIES}\n", report)
    report.faults += passed.done()
    report.check("answers got lost", passed.done()[ANSWER_LOST] == HARMED, f"{passed.done()[ANSWER_LOST]}")
    twice = sum(len(records_of(call)) for call in puts(passed) if call.harm)
    report.check("what is there twice is what nobody was told of", report.duplicates == twice, f"{report.duplicates} of {twice}")


def calls_cut(suite, directory, endpoint: str, report: Report):
    stream = Stream(endpoint, "calls-cut")
    stream.create()
    with between(endpoint, some(CUT, HARMED, is_put)) as (url, passed):
        fed(suite, directory, stream, stream.sink(url) + f"batch_entries_max = {BATCH_ENTRIES}\n", report)
    report.faults += passed.done()
    report.check("calls were cut", passed.done()[CUT] == HARMED, f"{passed.done()[CUT]}")
    report.check("nothing came twice", not report.duplicates)


def no_stream(suite, directory, endpoint: str, report: Report):
    stream = Stream(endpoint, "late")
    feed = Feed(suite.binary, directory / stream.name, stream.sink(endpoint))
    check_tells(feed, "create the Firehose stream", report)

    def put():
        feed.put_findings(FINDINGS)
        pauses(feed, "ResourceNotFoundException")
        report.faults["streams missing"] += 1
        stream.create()

    deliver(feed, put, stream.accepted, report)
    report.check("nothing came twice", not report.duplicates)
    check_is_ready(feed, report)


def fed(suite, directory, stream: Stream, sink: str, report: Report, findings: int = FINDINGS):
    """Puts findings and waits until siemline has delivered them all."""
    feed = Feed(suite.binary, directory / stream.name, sink)
    deliver(feed, lambda: feed.put_findings(findings), stream.accepted, report)


def is_put(_method: str, _target: str, headers: dict) -> bool:
    return headers.get("x-amz-target", "").endswith(".PutRecordBatch")


def puts(passed) -> list:
    return passed.calls(lambda call: is_put(call.method, call.target, call.headers))


def records_of(call) -> list:
    """The bytes of each record of a PutRecordBatch."""
    return [base64.b64decode(record["Data"]) for record in json.loads(call.body)["Records"]]
