"""A siemline that reads findings from its standard input and delivers them to one destination."""

import json
import subprocess
import threading
import time
from pathlib import Path

from findings import Findings
from process import Process
from servers import CREDENTIALS, Failure, plain_environment, tail

# Longer than `shutdown_grace`, and what a loaded machine adds.
STOP_SECONDS = 90


class Feed(Process):
    """One siemline between a pipe and the sink called `out`, which `sink` configures, with all its tables.

    `tables` are more tables, such as routes. What is put is on its way at once; `finish` closes the pipe, upon which siemline
    delivers what it has and ends.
    """

    def __init__(self, binary: str, directory: Path, sink: str, environment: dict | None = None, tables: str = "", seed: int = 20261123):
        directory.mkdir()
        super().__init__("siemline", directory, directory / "unused", STOP_SECONDS)
        self.binary = binary
        self.environment = environment or {}
        self.config = directory / "siemline.toml"
        self.letters = directory / "dead-letters"
        self.findings = Findings(seed)
        # The ids of the findings that were put.
        self.sent = set()
        self.writer = None
        self.config.write_text(f"""\
[source.file.pipe]
paths = ["-"]
chunk_records_max = 20

{sink}
[dead_letter.file]
directory = {json.dumps(str(self.letters))}
{tables}""")

    def environment_of_process(self) -> dict:
        return {**plain_environment(self.directory), **CREDENTIALS, **self.environment}

    def command(self, name: str, *arguments: str, seconds: float = 90) -> subprocess.CompletedProcess:
        """Another command of siemline (of one word or two) with the same configuration, to its end."""
        return subprocess.run(
            [self.binary, *name.split(), "--config", str(self.config), *arguments], cwd=self.directory, timeout=seconds,
            env=self.environment_of_process(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )

    def start(self):
        self.starts += 1
        with self.log().open("wb") as output:
            self.process = subprocess.Popen(
                [self.binary, "run", "--config", str(self.config)], cwd=self.directory, env=self.environment_of_process(),
                stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT,
            )

    def put(self, lines: list):
        """Writes lines, each with the id of its finding. Blocks as long as siemline reads no more."""
        for finding_id, line in lines:
            self.sent.add(finding_id)
            self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def put_findings(self, count: int):
        self.put([self.findings.finding() for _ in range(count)])

    def put_steadily(self, count: int, a_second: float):
        """Puts findings at a rate, beside the scenario, which goes on to do its harm. `finish` waits for the last."""
        def write():
            for _ in range(count):
                self.put_findings(1)
                time.sleep(1 / a_second)

        self.writer = threading.Thread(target=write, daemon=True)
        self.writer.start()

    def finish(self, seconds: float) -> int:
        """Closes the pipe and waits until siemline has delivered all and ends; its exit code."""
        if self.writer is not None:
            self.writer.join(seconds)
            self.writer = None
        began = time.monotonic()
        self.process.stdin.close()
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired as timeout:
            raise Failure(f"siemline did not end in {seconds:.0f} s:\n{tail(self.log())}") from timeout
        self.process = None
        print(f"    siemline ended with exit code {code} {time.monotonic() - began:.1f} s after its input", flush=True)
        return code

    def delivered(self):
        """Nothing: what the destination has is asked of it."""

    def close(self):
        """Whatever happened: no process is left."""
        if self.process is not None:
            self.kill()

    def dead_letters(self) -> list:
        """The dead letters in the file, each as an object."""
        lines = [line for path in sorted(self.letters.glob("*")) for line in path.read_bytes().splitlines()]
        return [json.loads(line) for line in lines]

    def has_said(self, words: str, times: int = 1) -> bool:
        """Whether the log of this start holds the words so often."""
        return self.log().read_text(errors="replace").count(words) >= times


def finding_id_of(original: str) -> str:
    """The id of a finding as it was put, bare or as EventBridge wraps it."""
    document = json.loads(original)
    return document.get("detail", document)["id"]
