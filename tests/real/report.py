"""What a scenario found: checks that passed or failed, and one row of figures."""

import time
from dataclasses import dataclass, field


@dataclass
class Report:
    """The findings of one scenario. A check fails by its name, so that the others still tell their part."""

    scenario: str
    put: int = 0
    delivered: int = 0
    duplicates: int = 0
    lost: int = 0
    splits: int = 0
    merges: int = 0
    checks: list = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    def check(self, name: str, passed: bool, details: str = ""):
        self.checks.append((name, bool(passed)))
        print(f"  {'ok  ' if passed else 'FAIL'} {name}{': ' + details if details else ''}", flush=True)

    def count(self, put: set, forwarder):
        """Compares what was put with what came out: the law that nothing is lost, and nothing made up."""
        out = set(forwarder.events)
        lost, foreign = sorted(put - out), sorted(out - put)
        self.put, self.delivered, self.lost = len(put), len(put & out), len(lost)
        self.duplicates = forwarder.duplicates()
        self.check("everything put came out", put and not lost, f"{self.delivered} of {self.put}{some(lost)}")
        self.check("nothing else came out", not foreign, f"{len(foreign)} unknown{some(foreign)}")
        dead = forwarder.dead_lettered()
        self.check("nothing was dead-lettered", dead == 0, f"{dead} dead letters")

    def failed(self) -> int:
        return sum(not passed for _, passed in self.checks)


def some(ids: list) -> str:
    return "".join(f" {one[:80]!r}" for one in ids[:3])


def print_table(reports: list):
    columns = ("scenario", "put", "delivered", "duplicates", "lost", "splits", "merges", "seconds")
    rows = [columns] + [
        tuple(f"{value:.0f}" if isinstance(value, float) else str(value) for value in (getattr(one, name) for name in columns))
        for one in reports
    ]
    widths = [max(len(row[index]) for row in rows) for index in range(len(columns))]
    print()
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        print("  ".join(cells))
    checks = [passed for one in reports for _, passed in one.checks]
    print(f"\n{sum(checks)} passed, {len(checks) - sum(checks)} failed", flush=True)
