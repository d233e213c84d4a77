"""moto: objects in a bucket of S3, whole and in parts, by the time of their events. No throttling: moto has none."""

import gzip
import json
import random
import re
from collections import Counter

import zstandard

from between import ANSWER_LOST, between, some
from bucket import Bucket, events_of
from deliveries import check_is_ready, check_tells, deliver, pauses
from feed import Feed
from findings import compact
from report import Report
from servers import REGION, moto

FINDINGS = 400
BATCH_ENTRIES = 50
HARMED = 4
SEED = 20261123

# Findings long enough for objects of several parts, of text that compresses badly.
LARGE = 160
LARGE_BYTES = 100_000
PART_BYTES = 5 << 20

# The prefix is the default one, by the time of the findings (see findings.py).
KEY = re.compile(r"siemline/aws\.guardduty/year=2026/month=01/day=31/hour=12/[0-9a-f]{32}\.ndjson\.(gz|zst)")
ROLE = "arn:aws:iam::123456789012:role/archive"


def run(suite, directory, report: Report):
    """The scenario."""
    with moto(directory) as endpoint:
        for name in ("gzip", "zstd"):
            compressed(suite, directory, endpoint, name, report.case(name))
        parts(suite, directory, endpoint, report.case("in parts"))
        part_lost(suite, directory, endpoint, report.case("a part's answer lost"))
        answers_lost(suite, directory, endpoint, report.case("answers lost"))
        no_bucket(suite, directory, endpoint, report.case("no bucket at first"))
        role(suite, directory, endpoint, report.case("by a role"))


def compressed(suite, directory, endpoint: str, name: str, report: Report):
    bucket = made(endpoint, name)
    fed(suite, directory, bucket, sink(bucket, endpoint, f'compression = "{name}"\n') + entries(), report)
    once(bucket, report)


def parts(suite, directory, endpoint: str, report: Report):
    bucket = made(endpoint, "parts")
    with between(endpoint) as (url, passed):
        fed_large(suite, directory, bucket, sink(bucket, url, large("zstd")), report)
    uploads = passed.calls(lambda call: is_of_a_part(call.method, call.target, call.headers))
    counts = list(Counter(call.path() for call in uploads).values())
    report.check("large objects came in parts", max(counts, default=0) > 1, f"{counts} parts")
    largest = max((len(call.body) for call in uploads), default=0)
    report.check("no part is larger than it may be", 0 < largest <= PART_BYTES, f"up to {largest} bytes")
    once(bucket, report)


def part_lost(suite, directory, endpoint: str, report: Report):
    """The answer to a part gets lost: the upload is given up, and the object written again from its beginning."""
    bucket = made(endpoint, "part-lost")
    with between(endpoint, some(ANSWER_LOST, 1, is_of_a_part)) as (url, passed):
        fed_large(suite, directory, bucket, sink(bucket, url, large("gzip")), report)
    report.faults["parts' answers lost"] += passed.done()[ANSWER_LOST]
    given_up = passed.calls(lambda call: call.method == "DELETE" and "uploadId=" in call.target)
    was_harmed = passed.done()[ANSWER_LOST] == 1
    report.check("the upload was given up", was_harmed and len(given_up) == 1, f"{len(given_up)} given up")
    once(bucket, report)


def answers_lost(suite, directory, endpoint: str, report: Report):
    bucket = made(endpoint, "answers-lost")
    with between(endpoint, some(ANSWER_LOST, HARMED, is_of_an_object)) as (url, passed):
        fed(suite, directory, bucket, sink(bucket, url) + entries(), report)
    report.faults += passed.done()
    report.check("answers got lost", passed.done()[ANSWER_LOST] == HARMED, f"{passed.done()[ANSWER_LOST]}")
    written = Counter(call.path() for call in passed.calls(lambda call: call.was_carried_out()))
    again = sum(written.values()) - len(written)
    overwrote = again == HARMED and len(written) == len(bucket.objects())
    report.check("what was written again overwrote itself", overwrote, f"{again} of {len(written)} objects")
    once(bucket, report)


def no_bucket(suite, directory, endpoint: str, report: Report):
    bucket = Bucket(endpoint, "archive-late")
    feed = Feed(suite.binary, directory / bucket.name, sink(bucket, endpoint))
    check_tells(feed, "make the bucket", report)

    def put():
        feed.put_findings(FINDINGS)
        pauses(feed, "s3_NoSuchBucket")
        report.faults["buckets missing"] += 1
        bucket.create()

    deliver(feed, put, lambda: accepted(bucket), report)
    check_is_ready(feed, report)
    once(bucket, report)


def role(suite, directory, endpoint: str, report: Report):
    """The role's credentials come from STS, and sign what goes to S3."""
    bucket = made(endpoint, "role")
    options = f'assume_role = "{ROLE}"\nexternal_id = "archive-EXAMPLE"\n'
    with between(endpoint) as (url, passed):
        fed(suite, directory, bucket, sink(bucket, url, options), report, {"AWS_ENDPOINT_URL_STS": url})
    asked = passed.calls(lambda call: b"Action=AssumeRole&" in call.body and b"ExternalId=archive-EXAMPLE" in call.body)
    was_assumed = asked and all(call.was_carried_out() for call in asked)
    report.check("the role was assumed, with its external id", was_assumed, f"{len(asked)} times")
    # A key of the role's begins so, that of the environment with AKID.
    signed = [call.headers["authorization"] for call in passed.calls(lambda call: call.method == "PUT")]
    by_role = [one for one in signed if "Credential=ASIA" in one]
    report.check("its credentials signed every object", signed and signed == by_role, f"{len(by_role)} of {len(signed)}")
    once(bucket, report)


def made(endpoint: str, name: str) -> Bucket:
    bucket = Bucket(endpoint, f"archive-{name}")
    bucket.create()
    return bucket


def sink(bucket: Bucket, url: str, options: str = "") -> str:
    return f"""
[sink.s3.out]
bucket = "{bucket.name}"
region = "{REGION}"
endpoint_url = "{url}"
path_style = true
{options}
[sink.s3.out.lane]
batch_age_max = "2s"
retry_first = "100ms"
retry_max = "1s"
pause_probe = "1s"
"""


def entries() -> str:
    return f"batch_entries_max = {BATCH_ENTRIES}\n"


def large(compression: str) -> str:
    return f'compression = "{compression}"\ncompression_level = 1\npart_bytes = "5MiB"\n'


def fed(suite, directory, bucket: Bucket, tables: str, report: Report, environment: dict | None = None):
    """Puts findings and waits until siemline has delivered them all."""
    feed = Feed(suite.binary, directory / bucket.name, tables, environment)
    deliver(feed, lambda: feed.put_findings(FINDINGS), lambda: accepted(bucket), report)


def fed_large(suite, directory, bucket: Bucket, tables: str, report: Report):
    """The same with findings that are long and hard to compress, in batches that are full before they are old."""
    feed = Feed(suite.binary, directory / bucket.name, tables.replace('batch_age_max = "2s"', 'batch_age_max = "30s"'))
    deliver(feed, lambda: feed.put(large_findings(feed)), lambda: accepted(bucket), report)


def large_findings(feed: Feed) -> list:
    chance = random.Random(SEED)
    made_large = []
    for _ in range(LARGE):
        finding_id, text = feed.findings.finding()
        document = json.loads(text)
        document.get("detail", document)["description"] = chance.randbytes(LARGE_BYTES // 2).hex()
        made_large.append((finding_id, compact(document)))
    return made_large


def once(bucket: Bucket, report: Report):
    """What holds of every archive: each event once, in an object of its hour, and no upload left behind."""
    keys = list(bucket.objects())
    strange = [key for key in keys if not KEY.fullmatch(key)]
    report.check("each event stands in one object, once", not report.duplicates, f"{len(keys)} objects")
    report.check("objects stand below log type and hour", keys and not strange, f"{strange[:2]}")
    report.check("no upload is left behind", not bucket.uploads())


def accepted(bucket: Bucket) -> Counter:
    return events_of(unpacked(key, body) for key, body in bucket.objects().items())


def unpacked(key: str, body: bytes) -> bytes:
    if key.endswith(".gz"):
        return gzip.decompress(body)
    return zstandard.ZstdDecompressor().decompressobj().decompress(body) if key.endswith(".zst") else body


def is_of_an_object(method: str, _target: str, _headers: dict) -> bool:
    return method == "PUT"


def is_of_a_part(method: str, target: str, _headers: dict) -> bool:
    return method == "PUT" and "partNumber=" in target
