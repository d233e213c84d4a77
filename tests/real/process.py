"""A process that reads a stream and writes what it read into a file, started and stopped as often as a scenario likes."""

import time
from collections import Counter
from pathlib import Path

from servers import Failure, stop_process, tail


class Process:
    """What siemline and a worker on KCL have in common. Each says how it is started, and takes in the lines it wrote (`delivered`)."""

    def __init__(self, name: str, directory: Path, output: Path, stop_seconds: float):
        self.name = name
        self.directory = directory
        self.output = output
        self.stop_seconds = stop_seconds
        self.process = None
        self.starts = 0
        # How often each event came.
        self.arrivals = Counter()
        self.read_to = 0

    def stop(self) -> int:
        """SIGTERM; gives the exit code back."""
        began = time.monotonic()
        code = stop_process(self.process, self.stop_seconds)
        self.process = None
        self.delivered()
        took = time.monotonic() - began
        print(f"  {self.name}, start {self.starts}: exit code {code} {took:.1f} s after SIGTERM", flush=True)
        return code

    def kill(self):
        """SIGKILL. What it had written until then counts."""
        self.process.kill()
        self.process.wait()
        self.process = None
        self.delivered()

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def new_lines(self) -> list:
        """The whole lines that came into the file since the last look. A process that ended by itself is a failure."""
        if self.process is not None and self.process.poll() is not None:
            raise Failure(f"{self.name} ended by itself with exit code {self.process.returncode}:\n{tail(self.log())}")
        if not self.output.exists():
            return []
        with self.output.open("rb") as file:
            file.seek(self.read_to)
            written = file.read()
        complete = written[: written.rfind(b"\n") + 1]
        self.read_to += len(complete)
        return complete.splitlines()

    def log(self) -> Path:
        return self.directory / f"{self.name.lower()}-{self.starts}.log"
