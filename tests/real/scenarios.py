"""Which scenarios there are, what each needs, and which of them a command line means.

`run` asks this file what to install before anything of it is there, so it needs Python alone.
"""

import argparse
import sys
from dataclasses import dataclass

USAGE = 64


@dataclass(frozen=True)
class Scenario:
    """One scenario: the module of its name has `run(suite, place, report)`."""

    name: str
    group: str
    # Each is a function `have_<need>` of `run`.
    needs: tuple
    # No measure of quality, only the time after which it counts as stuck, on a machine that is busy with other things.
    seconds_max: int = 600


# A new scenario is one line here and a module with its name.
SCENARIOS = (
    Scenario("resharding", "kinesis", ("kinesis_local",)),
    Scenario("fan_out", "kinesis", ("kinesis_local",)),
    Scenario("leases", "kinesis", ("kinesis_local",)),
    Scenario("uniform", "kinesis", ("kinesis_local",)),
    Scenario("kpl", "kinesis", ("kinesis_local",)),
    Scenario("soak", "kinesis", ("kinesis_local",), 1200),
    Scenario("kcl_2", "kcl", ("kinesis_local", "kcl")),
    Scenario("kcl_3", "kcl", ("kinesis_local", "kcl")),
    Scenario("kcl_compatible", "kcl", ("kinesis_local", "kcl")),
    Scenario("subscription", "logs", ()),
    Scenario("opensearch_2", "sinks", ("jre", "opensearch_2")),
    Scenario("opensearch_3", "sinks", ("jre", "opensearch_3")),
    Scenario("schema", "ocsf", ()),
    Scenario("kafka", "sinks", ("kafka",)),
    Scenario("firehose", "sinks", ()),
    Scenario("archive", "sinks", ("zstandard",)),
)


class Parser(argparse.ArgumentParser):
    def error(self, message: str):
        print(f"tests/real/run: {message}\n{names()}", file=sys.stderr)
        sys.exit(USAGE)


def names() -> str:
    groups = {}
    for scenario in SCENARIOS:
        groups.setdefault(scenario.group, []).append(scenario.name)
    lines = [f"  {group}: {', '.join(members)}" for group, members in groups.items()]
    return "groups and their scenarios (`all`, or no name at all: every one):\n" + "\n".join(lines)


def parser() -> Parser:
    made = Parser(
        prog="tests/real/run", description="The suite against real servers.", epilog=names(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("names", nargs="*", metavar="NAME", help="a scenario, or a group of them")
    made.add_argument("--seconds", type=int, default=60, help="how long the soak makes trouble (default: 60)")
    made.add_argument("--seed", type=int, help="what the soak's plan is drawn from (default: another one each time)")
    made.add_argument("--keep", action="store_true", help="keep logs and output, also where everything passed")
    return made


def chosen(words: list) -> list:
    """The scenarios that these names mean, each once, in the order of the table."""
    known = {scenario.group for scenario in SCENARIOS} | {scenario.name for scenario in SCENARIOS} | {"all"}
    strangers = [word for word in words if word not in known]
    if strangers:
        parser().error(f"no scenario or group is called {', '.join(map(repr, strangers))}")
    everything = not words or "all" in words
    return [one for one in SCENARIOS if everything or one.name in words or one.group in words]


if __name__ == "__main__":
    wanted = chosen(parser().parse_args().names)
    print("\n".join(sorted({need for scenario in wanted for need in scenario.needs})))
