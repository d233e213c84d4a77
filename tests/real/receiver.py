"""An OpenTelemetry Collector whose HEC receiver writes to files, started and ended as often as a scenario likes."""

import json
import subprocess
from collections import Counter
from pathlib import Path

from forwarder import event_id
from servers import READY_SECONDS, STOP_SECONDS, Failure, answers, free_ports, plain_environment, stop_process, tail, wait_until


class Receiver:
    """One Collector. `pending_max`: how many acknowledgements it remembers; 0 for none at all.

    Each start writes a file of its own. It is written before the receiver answers, and not forced to the disk: what was
    answered survives the Collector, and not the machine.
    """

    def __init__(self, suite, directory: Path, pending_max: int = 10_000, request_bytes_max: int = 20_000_000):
        directory.mkdir()
        self.binary = suite.component("collector")
        self.directory = directory
        self.pending_max = pending_max
        self.request_bytes_max = request_bytes_max
        (self.port,) = free_ports(1)
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.starts = 0
        self.process = None

    def start(self):
        self.starts += 1
        config, log = self.directory / f"collector-{self.starts}.yaml", self.directory / f"collector-{self.starts}.log"
        config.write_text(json.dumps(self.configuration()))
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [str(self.binary), "--config", f"file:{config}"], cwd=self.directory, env=plain_environment(self.directory),
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )

        def is_ready():
            if self.process.poll() is not None:
                raise Failure(f"the Collector ended with exit code {self.process.returncode}:\n{tail(log)}")
            return answers(f"{self.endpoint}/services/collector/health")

        wait_until("the Collector to be ready", READY_SECONDS, is_ready)

    def configuration(self) -> dict:
        """YAML's subset that is JSON."""
        receiver = {
            "endpoint": f"127.0.0.1:{self.port}", "access_token_passthrough": True,
            "max_request_body_size": self.request_bytes_max,
        }
        service = {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {"logs": {"receivers": ["splunk_hec"], "exporters": ["file"]}},
        }
        made = {"receivers": {"splunk_hec": receiver}, "service": service}
        if self.pending_max:
            limits = {"max_number_of_partition": 100, "max_number_of_pending_acks_per_partition": self.pending_max}
            made["extensions"] = {"ack": limits}
            receiver["ack"] = {"extension": "ack"}
            service["extensions"] = ["ack"]
        # With rotation, and only then, the exporter writes without a buffer in its memory.
        made["exporters"] = {"file": {"path": str(self.file(self.starts)), "rotation": {"max_megabytes": 1000}}}
        return made

    def file(self, start: int) -> Path:
        return self.directory / f"logs-{start}.json"

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Whatever happened: no process is left."""
        if self.process is not None:
            stop_process(self.process, STOP_SECONDS)

    def logs(self) -> list:
        """Each log record that any of its lives has written, with the attributes of its resource."""
        found = []
        for start in range(1, self.starts + 1):
            file = self.file(start)
            whole = file.read_bytes().rpartition(b"\n")[0] if file.exists() else b""
            for line in whole.splitlines():
                for resource in json.loads(line)["resourceLogs"]:
                    about = members(resource["resource"].get("attributes", []))
                    found += [(about, log) for scope in resource["scopeLogs"] for log in scope["logRecords"]]
        return found

    def accepted(self) -> Counter:
        """How often each event came, by the id of its finding."""
        return Counter(event_id(event_of(log)) for _, log in self.logs())


def event_of(log: dict) -> dict:
    """The event in a log record: an object, or a line from the raw endpoint."""
    body = plain(log["body"])
    return json.loads(body) if isinstance(body, str) else body


def members(pairs: list) -> dict:
    return {pair["key"]: plain(pair["value"]) for pair in pairs}


def plain(value: dict):
    """A value of OTLP's as JSON has it."""
    if "kvlistValue" in value:
        return members(value["kvlistValue"].get("values", []))
    if "arrayValue" in value:
        return [plain(one) for one in value["arrayValue"].get("values", [])]
    return next(iter(value.values()), None)
