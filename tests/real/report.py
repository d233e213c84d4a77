"""What a scenario found: checks that passed or failed, and one row of figures."""

import time
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Report:
    """The findings of one scenario. A check fails by its name, so that the others still tell their part."""

    scenario: str
    put: int = 0
    delivered: int = 0
    duplicates: int = 0
    dead_lettered: int = 0
    lost: int = 0
    # The longest time that a shard stood without an owner who could read it, in seconds, where somebody watched.
    ownerless: float | None = None
    splits: int = 0
    merges: int = 0
    # What else was done to the system under test and was seen to have hit it.
    faults: Counter = field(default_factory=Counter)
    checks: list = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    # Rows of their own, where a scenario has parts.
    cases: list = field(default_factory=list)

    def case(self, name: str) -> "Report":
        """A part of the scenario, with checks and a row of its own. Its time ends when the next begins, or the scenario."""
        print(f"  {name}", flush=True)
        self.end()
        self.cases.append(Report(f"{self.scenario}: {name}"))
        return self.cases[-1]

    def end(self):
        """Stops the clock, also that of the last case."""
        self.seconds = time.monotonic() - self.began
        if self.cases and not self.cases[-1].seconds:
            self.cases[-1].end()

    def rows(self) -> list:
        """What has a row in the table: the cases, or the scenario itself where it has none, or checks beside them."""
        return self.cases if self.cases and not self.checks else [self, *self.cases]

    def check(self, name: str, passed: bool, details: str = ""):
        self.checks.append((name, bool(passed)))
        print(f"  {'ok  ' if passed else 'FAIL'} {name}{': ' + details if details else ''}", flush=True)

    def count(self, put: set, *outs, dead_letters: int = 0):
        """Compares what was put with what came out of each sink: the law that nothing is lost, and nothing made up.

        `dead_letters` is how many there have to be, of what was broken when it was put.
        """
        events = [set(out.events) for out in outs]
        everywhere, anywhere = set.intersection(*events), set.union(*events)
        lost, foreign = sorted(put - everywhere), sorted(anywhere - put)
        self.put, self.delivered, self.lost = len(put), len(put & everywhere), len(lost)
        self.duplicates = sum(out.duplicates() for out in outs)
        self.check("everything put came out", put and not lost, f"{self.delivered} of {self.put}{some(lost)}")
        self.check("nothing else came out", not foreign, f"{len(foreign)} unknown{some(foreign)}")
        self.dead_lettered = dead = sum(out.dead_lettered() for out in outs)
        expected = "what was broken, and nothing else, was" if dead_letters else "nothing was"
        self.check(f"{expected} dead-lettered", dead == dead_letters, f"{dead} dead letters")

    def settle(self, sent: set, accepted: Counter, dead_letters: set):
        """Compares what was sent to a destination with how often it accepted each, and with what was dead-lettered."""
        self.put, self.delivered = len(sent), len(sent & accepted.keys())
        self.duplicates = sum(accepted.values()) - len(accepted)
        self.dead_lettered = len(dead_letters)
        lost, foreign = sorted(sent - accepted.keys() - dead_letters), sorted(accepted.keys() - sent)
        self.lost = len(lost)
        words = f"{self.delivered} accepted and {self.dead_lettered} dead letters of {self.put}, {self.duplicates} duplicates"
        self.check("every event was accepted or dead-lettered", sent and not lost, words + some(lost))
        self.check("nothing else came", not foreign, f"{len(foreign)} unknown{some(foreign)}")
        both = sorted(dead_letters & accepted.keys())
        self.check("nothing that was accepted was dead-lettered too", not both, f"{len(both)}{some(both)}")

    def failed(self) -> int:
        return sum(not passed for _, passed in self.checks)

    def landed(self) -> str:
        """The faults that landed, in words."""
        all_of_them = {"splits": self.splits, "merges": self.merges, **self.faults}
        return ", ".join(f"{fault} {count}" for fault, count in all_of_them.items() if count) or "-"


def some(ids: list) -> str:
    return "".join(f" {one[:80]!r}" for one in ids[:3])


def print_table(reports: list):
    reports = [row for report in reports for row in report.rows()]
    figures = ("put", "delivered", "duplicates", "dead_lettered", "lost", "ownerless", "seconds")
    titles = ("sent", "accepted", "duplicates", "dead-lettered", "lost", "ownerless", "seconds")
    rows = [("scenario", *titles, "faults landed")]
    rows += [(one.scenario, *(figure(getattr(one, name), name) for name in figures), one.landed()) for one in reports]
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    print()
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1])]
        print("  ".join([row[0].ljust(widths[0]), *cells, row[-1]]))
    checks = [passed for one in reports for _, passed in one.checks]
    print(f"\n{sum(checks)} passed, {len(checks) - sum(checks)} failed", flush=True)


def figure(value, name: str) -> str:
    if value is None:
        return "-"
    return f"{value:.1f} s" if name == "ownerless" else f"{value:.0f}"
