"""KCL 2 and siemline on one lease table: they read beside each other, and each goes on where the other stopped."""

from functools import partial

import kcl
from report import Report


def run(suite, directory, report: Report):
    """The scenario."""
    parts = [partial(kcl.meet, "2x"), kcl.come_back, kcl.reshard, partial(kcl.hand_over, "2x"), kcl.end]
    kcl.play(suite, 2, directory, report, parts)
