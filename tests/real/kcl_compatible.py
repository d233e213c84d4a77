"""KCL 3, in its client version compatible with KCL 2, and siemline read beside each other from one lease table."""

from functools import partial

import kcl
from report import Report


def run(suite, directory, report: Report):
    """The scenario."""
    kcl.play(suite, 3, directory, report, [partial(kcl.meet, "compatible"), kcl.reshard])
