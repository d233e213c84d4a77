"""KCL 3 and siemline on one lease table: each goes on where the other stopped, and a leader that lives has the table."""

from functools import partial

import kcl
from report import Report


def run(suite, directory, report: Report):
    """The scenario."""
    kcl.play(suite, 3, directory, report, [partial(kcl.hand_over, "3x"), kcl.ruled])
