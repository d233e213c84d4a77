"""The binary under test: its configuration, its process, and what it delivers."""

import json
import signal
import subprocess
import time
from pathlib import Path

from process import Process
from servers import CREDENTIALS, HEC_TOKEN, REGION, Failure, plain_environment, stop_process, tail

# Longer than `shutdown_grace`, which is 25 s, and what a loaded machine adds.
STOP_SECONDS = 90

# The stand-ins answer slowly on a loaded machine, so nothing is said after so long without progress.
PROGRESS_SECONDS = 120

BASE_EVENT = 0
DETECTION_FINDING = 2004


class Forwarder(Process):
    """One siemline with one Kinesis source and one file sink, started and stopped as often as a scenario likes.

    `options` are more options of the source, `tables` more tables of the configuration, such as another sink.
    """

    def __init__(
        self, binary: str, directory: Path, endpoint: str, stream: str, records_max: int, options: str = "",
        lease: str = "file_may_vanish = true", tables: str = "",
    ):
        super().__init__("siemline", directory, directory / "events.ndjson", STOP_SECONDS)
        self.binary = binary
        self.config = directory / "siemline.toml"
        self.checkpoints = directory / "checkpoints.json"
        self.dead_letters = directory / "dead-letters"
        self.is_paused = False
        # What came out, by id, in the order of first arrival.
        self.events = {}
        # What each start delivered, in the order in which each event came first from it.
        self.lives = []
        self.config.write_text(f"""\
[source.kinesis.findings]
stream = "{stream}"
region = "{REGION}"
endpoint_url = "{endpoint}"
checkpoint_file = {json.dumps(str(self.checkpoints))}
lease = {{ {lease} }}
checkpoint_interval = "200ms"
idle_wait = "200ms"
shard_sync_interval = "500ms"
records_max = {records_max}
{options}
[sink.file.out]
path = {json.dumps(str(self.output))}

[sink.file.out.lane]
batch_age_max = "100ms"

[dead_letter.file]
directory = {json.dumps(str(self.dead_letters))}
{tables}""")

    def host(self) -> str:
        """The name of the machine that the process believes to be on, another one for each start: leases tell it."""
        return f"{self.directory.name}-{self.starts}"

    def start(self):
        self.starts += 1
        self.lives.append({})
        with self.log().open("wb") as output:
            self.process = subprocess.Popen(
                [self.binary, "run", "--config", str(self.config)], cwd=self.directory,
                env={**plain_environment(self.directory), **CREDENTIALS, "HOSTNAME": self.host(), "HEC_TOKEN": HEC_TOKEN},
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )

    def pause(self):
        self.is_paused = True
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)
        self.is_paused = False

    def is_awake(self) -> bool:
        return self.is_running() and not self.is_paused

    def close(self):
        """Whatever happened: no process is left."""
        if self.process is not None:
            if self.is_paused:
                self.resume()
            stop_process(self.process, STOP_SECONDS)

    def delivered(self) -> dict:
        """The events in the file by now, by id, in the order in which each came first."""
        for line in self.new_lines():
            event = json.loads(line)
            self.arrivals[event_id(event)] += 1
            self.events.setdefault(event_id(event), event)
            self.lives[-1].setdefault(event_id(event), len(self.lives[-1]))
        return self.events

    def wait_for(self, what: str, condition, seconds: float):
        """Waits until the delivered events meet a condition, as long as more of them come."""
        deadline = time.monotonic() + seconds
        count, progress_at = -1, time.monotonic()
        while not condition(self.delivered()):
            now = time.monotonic()
            if len(self.events) != count:
                count, progress_at = len(self.events), now
            if now > deadline or now > progress_at + PROGRESS_SECONDS:
                raise Failure(f"waited in vain for {what}; {count} events were delivered:\n{tail(self.log())}")
            time.sleep(0.1)

    def has_said(self, words: str, times: int = 1) -> bool:
        """Whether the log of this start holds the words so often."""
        return self.log().read_text(errors="replace").count(words) >= times

    def duplicates(self) -> int:
        return sum(self.arrivals.values()) - len(self.arrivals)

    def dead_lettered(self) -> int:
        return sum(len(path.read_bytes().splitlines()) for path in self.dead_letters.glob("*"))


def event_id(event: dict) -> str:
    """What the suite put in to know an event again: a finding's id, or the text of a line."""
    if event["class_uid"] == DETECTION_FINDING:
        return event["finding_info"]["uid_alt"]
    return event.get("message", json.dumps(event))
