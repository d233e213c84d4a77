"""Runs the scenarios and says what came of them. Started by `run`, which has installed what is needed."""

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import fan_out
import leases
import resharding
import schema
import subscription
from report import Report, print_table
from servers import Failure

# The bound for the whole suite, with room for the installation of its parts.
SUITE_SECONDS = 720


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True, type=Path)
    parser.add_argument("--node", required=True)
    parser.add_argument("--kinesis-local", required=True, type=Path)
    parser.add_argument("--directory", required=True, type=Path)
    args = parser.parse_args()
    # Ended from outside, or stuck: the servers are stopped on the way out.
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, leave)
    signal.alarm(SUITE_SECONDS)
    # What the machine's owner has set up for AWS or for a proxy is none of the suite's business.
    for variable in list(os.environ):
        if variable.startswith("AWS_") or variable.lower().endswith("_proxy"):
            del os.environ[variable]
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull

    binary = str(args.binary.resolve())
    args.directory.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="run-", dir=args.directory.resolve()))
    scenarios = [
        ("resharding", lambda place, report: resharding.run(binary, args.node, args.kinesis_local, place, report)),
        ("fan_out", lambda place, report: fan_out.run(binary, args.node, args.kinesis_local, place, report)),
        ("leases", lambda place, report: leases.run(binary, args.node, args.kinesis_local, place, report)),
        ("subscription", lambda place, report: subscription.run(binary, place, report)),
        ("schema", lambda place, report: schema.run(binary, place, report)),
    ]
    reports = [play(name, scenario, directory / name) for name, scenario in scenarios]
    print_table(reports)
    failed = sum(report.failed() for report in reports)
    if failed:
        print(f"logs, checkpoints and output are in {directory}", flush=True)
        return 1
    with contextlib.suppress(OSError):
        shutil.rmtree(directory)
    return 0


def play(name: str, scenario, place: Path) -> Report:
    """One scenario. What ends it early is a failed check."""
    print(f"\n{name}: {sys.modules[name].__doc__.splitlines()[0]}", flush=True)
    report = Report(name)
    place.mkdir()
    try:
        scenario(place, report)
    except Failure as failure:
        report.check("the scenario came to its end", False, str(failure))
    except Exception:
        report.check("the scenario came to its end", False, "\n" + traceback.format_exc())
    report.seconds = time.monotonic() - report.began
    return report


def leave(number: int, _frame):
    if number == signal.SIGALRM:
        raise Failure(f"the suite took longer than {SUITE_SECONDS} s")
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
