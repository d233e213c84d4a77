"""A siemline that feeds an Apache Kafka, and the account of what has become of its findings."""

import json
import re
from collections import Counter
from pathlib import Path

from feed import Feed, finding_id_of
from forwarder import event_id
from kafka_broker import Kafka, Record
from report import Report

# A machine may be busy with other things.
DRAIN_SECONDS = 240
LANDING_SECONDS = 60


class Flow:
    """A siemline that feeds the broker, and what has become of its findings."""

    def __init__(self, suite, place: Path, broker: Kafka, case: Report, tables: str, topics: tuple, part: str = ""):
        name = re.sub("[^a-z0-9]+", "-", f"{case.scenario} {part}".lower()).strip("-")
        self.feed = Feed(suite.binary, place / name, tables)
        self.broker = broker
        self.case = case
        self.topics = topics

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.feed.close()

    def start(self):
        """Asks whether it would be taken, as an operator does, and starts."""
        asked = self.feed.command("check", "--connect")
        self.case.check("`check --connect` says that it is well", asked.returncode == 0, last_line(asked.stdout + asked.stderr))
        self.feed.start()

    def check_refusal(self, how: str, remedy: str):
        """Asks as it has to be refused, and whether the remedy is told."""
        asked = self.feed.command("check", "--connect")
        words = asked.stdout + asked.stderr
        is_told = asked.returncode != 0 and remedy in words
        self.case.check(f"{how}: `check --connect` says what to do", is_told, last_line(words))
        self.case.faults[how] += is_told

    def count(self) -> int:
        return sum(self.broker.count(topic) for topic in self.topics)

    def finish(self, dead_letters: int | None = 0) -> list:
        """Waits until everything is delivered or dead-lettered, and settles the account. The records, with their topics.

        `dead_letters` is how many there have to be; none where chance decides.
        """
        code = self.feed.finish(DRAIN_SECONDS)
        self.case.check("it ends with exit code 0", code == 0, f"exit code {code}")
        records = [(topic, record) for topic in self.topics for record in self.broker.read(topic)]
        dead = {finding_id_of(letter["original"]) for letter in self.feed.dead_letters()}
        self.case.settle(self.feed.sent, Counter(id_of(record) for _, record in records), dead)
        expected = "nothing was" if dead_letters == 0 else "what cannot be taken, and nothing else, was"
        if dead_letters is not None:
            self.case.check(f"{expected} dead-lettered", len(dead) == dead_letters, f"{len(dead)} dead letters")
        return records


def once_each(case: Report):
    case.check("nothing stands there twice", case.duplicates == 0, f"{case.duplicates} duplicates")


def id_of(record: Record) -> str:
    """The id of the finding in a record."""
    return event_id(json.loads(record.value))


def last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]


def sink(brokers: str, topic: str, more: str = "", lane: str = "") -> str:
    """The tables of a Kafka sink called `out`: `more` are more of its options and tables, `lane` more of its lane."""
    return f"""
[sink.kafka.out]
brokers = [{json.dumps(brokers)}]
topic = {json.dumps(topic)}
{more}
[sink.kafka.out.lane]
batch_entries_max = 50
batch_age_max = "100ms"
retry_first = "100ms"
retry_max = "1s"
pause_probe = "1s"
{lane}
"""
