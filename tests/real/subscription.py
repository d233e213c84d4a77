"""moto: subscription filters of CloudWatch Logs feed a stream. No resharding: moto's closed shards never end."""

import time

from findings import Findings
from forwarder import BASE_EVENT, DETECTION_FINDING, Forwarder
from report import Report
from servers import Failure, client, moto

STREAM = "logs"
FINDINGS = "/aws/events/guardduty"
LINES = "/app/web"
LOG_STREAMS = ("blue", "green")
SEED = 20260201

BATCHES = 30
FINDINGS_A_BATCH = 5
LINES_A_BATCH = 8
RECORDS_MAX = 1000
DRAIN_SECONDS = 120


class Groups:
    """Two log groups with a subscription filter each, and what was put into them: class, group and log stream by id."""

    def __init__(self, endpoint: str):
        self.logs = client("logs", endpoint)
        self.findings = Findings(SEED)
        self.put = {}
        self.lines = 0
        kinesis = client("kinesis", endpoint)
        kinesis.create_stream(StreamName=STREAM, ShardCount=2)
        kinesis.get_waiter("stream_exists").wait(StreamName=STREAM, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        arn = kinesis.describe_stream_summary(StreamName=STREAM)["StreamDescriptionSummary"]["StreamARN"]
        for group in (FINDINGS, LINES):
            self.logs.create_log_group(logGroupName=group)
            for stream in LOG_STREAMS:
                self.logs.create_log_stream(logGroupName=group, logStreamName=stream)
            self.logs.put_subscription_filter(
                logGroupName=group, filterName="everything", filterPattern="", destinationArn=arn,
                roleArn="arn:aws:iam::111122223333:role/dummy",
            )

    def put_batches(self, count: int):
        for batch in range(count):
            stream = LOG_STREAMS[batch % len(LOG_STREAMS)]
            self.put_events(FINDINGS, stream, DETECTION_FINDING, [self.findings.finding() for _ in range(FINDINGS_A_BATCH)])
            self.put_events(LINES, stream, BASE_EVENT, [self.line() for _ in range(LINES_A_BATCH)])

    def line(self) -> tuple:
        """A log event of plain text. One in four has several lines, and stays one event all the same."""
        self.lines += 1
        text = f"worker {self.lines}: took 3 ms, 100 % “fine”"
        if self.lines % 4 == 0:
            text += f"\n  caused by: nothing\n\tat line {self.lines}"
        return text, text

    def put_events(self, group: str, stream: str, class_uid: int, events: list):
        now = int(time.time() * 1000)
        answer = self.logs.put_log_events(
            logGroupName=group, logStreamName=stream,
            logEvents=[{"timestamp": now, "message": text} for _, text in events],
        )
        if answer.get("rejectedLogEventsInfo"):
            raise Failure(f"CloudWatch Logs rejected log events: {answer['rejectedLogEventsInfo']}")
        for one, _ in events:
            self.put[one] = (class_uid, group, stream)


def run(suite, directory, report: Report):
    """The scenario."""
    with moto(directory) as endpoint:
        groups = Groups(endpoint)
        forwarder = Forwarder(suite.binary, directory, endpoint, STREAM, RECORDS_MAX)
        try:
            subscribe(groups, forwarder, report)
        finally:
            forwarder.close()
            report.count(set(groups.put), forwarder)


def subscribe(groups: Groups, forwarder: Forwarder, report: Report):
    # One half waits in the stream when the reader starts, the other comes while it reads.
    groups.put_batches(BATCHES // 2)
    forwarder.start()
    forwarder.wait_for("the first event", bool, DRAIN_SECONDS)
    groups.put_batches(BATCHES - BATCHES // 2)
    put = set(groups.put)
    forwarder.wait_for("everything that was put", lambda events: put <= events.keys(), DRAIN_SECONDS)
    code = forwarder.stop()
    forwarder.delivered()
    report.check("SIGTERM ends with exit code 0", code == 0, f"exit code {code}")
    wrong = [one for one, event in forwarder.events.items() if told(event) != groups.put.get(one)]
    report.check("every event knows its class, log group and log stream", not wrong, f"{len(wrong)} do not: {wrong[:2]}")


def told(event: dict) -> tuple:
    metadata = event["metadata"]
    return event["class_uid"], metadata.get("log_name"), metadata.get("log_source")
