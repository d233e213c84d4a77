"""What the scenarios of one destination do alike: feed a siemline, wait for its end, and count what arrived."""

from feed import Feed
from report import Report
from servers import wait_until

# Until all is delivered, on a machine that is busy with other things.
SECONDS = 120


def deliver(feed: Feed, put, accepted, report: Report):
    """Starts siemline, puts what `put` puts, and compares it at the end with what `accepted` counts at the destination."""
    try:
        feed.start()
        put()
        code = feed.finish(SECONDS)
        is_well = code == 0 and not feed.dead_letters()
        report.check("siemline ends with exit code 0, without dead letters", is_well, f"exit code {code}")
    finally:
        feed.close()
        report.settle(feed.sent, accepted(), set())


def pauses(feed: Feed, code: str):
    """Waits until the lane pauses, and says why."""
    wait_until("the lane to pause", SECONDS, lambda: feed.has_said("lane pauses") and feed.has_said(code))


def check_tells(feed: Feed, words: str, report: Report):
    """`check --connect` says that the sink is not ready, and these words."""
    asked = feed.command("check", "--connect")
    is_told = asked.returncode == 1 and "sink out: NOT READY" in asked.stdout and words in asked.stdout
    report.check("`check --connect` tells what to do", is_told, f"exit code {asked.returncode}: {words}")


def check_is_ready(feed: Feed, report: Report):
    """`check --connect` says that the sink is ready."""
    asked = feed.command("check", "--connect")
    is_ready = asked.returncode == 0 and "sink out: ready" in asked.stdout
    report.check("`check --connect` says that it is ready", is_ready, f"exit code {asked.returncode}")
