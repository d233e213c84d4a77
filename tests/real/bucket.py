"""A bucket of moto's S3, and what lies in it."""

import json
from collections import Counter

from forwarder import event_id
from servers import REGION, client


class Bucket:
    """Looks in a bucket past whatever stands between siemline and S3."""

    def __init__(self, endpoint: str, name: str):
        self.s3 = client("s3", endpoint)
        self.name = name

    def create(self):
        self.s3.create_bucket(Bucket=self.name, CreateBucketConfiguration={"LocationConstraint": REGION})

    def objects(self) -> dict:
        """The bytes of each object, by key."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        keys = [one["Key"] for page in pages for one in page.get("Contents", ())]
        return {key: self.s3.get_object(Bucket=self.name, Key=key)["Body"].read() for key in keys}

    def uploads(self) -> list:
        """The keys of uploads that were begun, and neither finished nor given up."""
        return [one["Key"] for one in self.s3.list_multipart_uploads(Bucket=self.name).get("Uploads", ())]


def events_of(bodies) -> Counter:
    """How often each event stands in these texts of NDJSON, by the id of its finding."""
    return Counter(event_id(json.loads(line)) for body in bodies for line in body.splitlines())
