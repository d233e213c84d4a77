"""Runs the scenarios and says what came of them. Started by `run`, which has installed what is needed."""

import argparse
import contextlib
import importlib
import os
import shutil
import signal
import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path

import scenarios
from report import Report, print_table
from servers import Failure


@dataclass(frozen=True)
class Suite:
    """What every scenario is given."""

    binary: str
    # Where the components are that `run` has installed, by name.
    components: dict
    seconds: int
    seed: int | None

    def component(self, name: str) -> Path:
        return Path(self.components[name])


def main() -> int:
    parser = scenarios.parser()
    parser.add_argument("--binary", required=True, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--directory", required=True, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--component", action="append", default=[], help=argparse.SUPPRESS)
    args = parser.parse_args()
    # Ended from outside, or stuck: the servers are stopped on the way out.
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, leave)
    # What the machine's owner has set up for AWS or for a proxy is none of the suite's business.
    for variable in list(os.environ):
        if variable.startswith("AWS_") or variable.lower().endswith("_proxy"):
            del os.environ[variable]
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull

    components = dict(one.split("=", 1) for one in args.component)
    suite = Suite(str(args.binary.resolve()), components, args.seconds, args.seed)
    args.directory.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="run-", dir=args.directory.resolve()))
    reports = [play(suite, scenario, directory / scenario.name) for scenario in scenarios.chosen(args.names)]
    print_table(reports)
    failed = sum(row.failed() for report in reports for row in report.rows())
    if failed or args.keep:
        print(f"logs, checkpoints and output are in {directory}", flush=True)
        return 1 if failed else 0
    with contextlib.suppress(OSError):
        shutil.rmtree(directory)
    return 0


def play(suite: Suite, scenario: scenarios.Scenario, place: Path) -> Report:
    """One scenario. What ends it early is a failed check."""
    module = importlib.import_module(scenario.name)
    print(f"\n{scenario.name}: {module.__doc__.splitlines()[0]}", flush=True)
    report = Report(scenario.name)
    place.mkdir()
    # A longer soak is stuck later.
    signal.alarm(scenario.seconds_max + suite.seconds)
    try:
        module.run(suite, place, report)
    except Failure as failure:
        report.check("the scenario came to its end", False, str(failure))
    except Exception:
        report.check("the scenario came to its end", False, "\n" + traceback.format_exc())
    finally:
        signal.alarm(0)
    report.end()
    return report


def leave(number: int, _frame):
    if number == signal.SIGALRM:
        raise Failure("the scenario is stuck: it took longer than ever it should")
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
