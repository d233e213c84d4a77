"""Every event that siemline makes is valid OCSF, says a validator that is not ours.

As a scenario of the suite: over the records of the quickstart and the input of every `[[test]]` of every mapping. By hand,
or where there are samples: `tests/real/run schema FILE...`.

The validator is the package `jsonschema` with what the package `ocsf-json-schema` makes of OCSF's own schema for the class
and the profiles of an event. It knows nothing of ours: not our table, not our checker.
"""

import argparse
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import tomli
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

REPOSITORY = Path(__file__).resolve().parents[2]
OCSF = "1.8.0"
SHOWN_MAX = 20

# What came as OCSF passes through as its sender made it, extensions and all: it is not ours to answer for.
CAME_AS_OCSF = re.compile(r'\\*"class_uid\\*"\s*:')


class Validator:
    """Validates events, and remembers the schema of each class and set of profiles."""

    def __init__(self):
        self.ocsf = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=OCSF))
        self.schemas = {}
        self.classes = Counter()

    def errors(self, event: dict) -> list:
        """What is wrong with an event, one line each."""
        metadata = event.get("metadata", {})
        if metadata.get("version") != OCSF:
            return [f"metadata.version: {metadata.get('version')!r} is not {OCSF}"]
        key = (event.get("class_uid"), *sorted(metadata.get("profiles", [])))
        if key not in self.schemas:
            name = self.ocsf.lookup_class_name_from_uid(key[0])
            self.schemas[key] = Draft202012Validator(self.ocsf.get_class_schema(name, list(key[1:])))
        self.classes[key[0]] += 1
        found = self.schemas[key].iter_errors(event)
        return [f"{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in found]


def run(suite, place: Path, report):
    files = sorted((REPOSITORY / "config" / "quickstart" / "records").glob("*.gz"))
    report.check("the quickstart has records", files, f"{len(files)} files")
    inputs, foreign = tests(place)
    report.check("the mappings have tests", inputs, f"{len(inputs)} inputs, and {foreign} that came as OCSF")
    for name, paths in (("the quickstart's records", files), ("the mappings' tests", inputs)):
        count, problems, classes = validate(suite.binary, paths)
        report.check(f"{name}: all valid OCSF", count and not problems, summary(count, problems, classes))
    told = planted()
    report.check("the validator tells what is wrong", all(told.values()), f"{[name for name, is_told in told.items() if not is_told]}")


def tests(place: Path) -> tuple:
    """A file for the input of each `[[test]]`, and how many were left out because they are OCSF already."""
    files, foreign = [], 0
    for mapping in sorted((REPOSITORY / "mappings").rglob("*.toml")):
        for number, case in enumerate(tomli.loads(mapping.read_text(encoding="utf-8")).get("test", [])):
            # A mapping's tests of another engine (projections) have no event of AWS as their input.
            if not isinstance(case.get("input"), str) or mapping.parent.name == "project":
                continue
            if CAME_AS_OCSF.search(case["input"]):
                foreign += 1
                continue
            path = place / f"{mapping.stem}-{number}"
            path.write_text(case["input"], encoding="utf-8")
            files.append(path)
    return files, foreign


def validate(binary: str, files: list) -> tuple:
    """How many events siemline makes of these files, what is wrong with them, and their classes."""
    command = [binary, "normalize", *map(str, files)]
    done = subprocess.run(command, capture_output=True, check=False)
    problems = []
    # 3: something was dead-lettered, such as the record of the quickstart that is broken on purpose.
    if done.returncode not in (0, 3):
        problems.append(f"exit code {done.returncode}: {done.stderr.decode(errors='replace')[-500:]}")
    validator = Validator()
    lines = done.stdout.splitlines()
    for number, line in enumerate(lines, 1):
        event = json.loads(line)
        if event.get("metadata", {}).get("uid") is None:
            problems.append(f"event {number}: no metadata.uid")
        problems += [f"event {number} ({event.get('class_name')}): {error}" for error in validator.errors(event)]
    return len(lines), problems, validator.classes


def summary(count: int, problems: list, classes: Counter) -> str:
    by_class = ", ".join(f"{uid}: {number}" for uid, number in sorted(classes.items()))
    shown = "".join(f"\n       {problem}" for problem in problems[:SHOWN_MAX])
    return f"{count} events ({by_class}), {len(problems)} problems{shown}"


def planted() -> dict:
    """Mistakes made on purpose, and whether the validator told: one that is never told would make the rest worthless."""
    event = {
        "class_uid": 4001, "category_uid": 4, "activity_id": 6, "type_uid": 400106, "severity_id": 1, "time": 1741079700000,
        "metadata": {"version": OCSF, "product": {"name": "Amazon VPC"}, "profiles": ["cloud"]},
        "cloud": {"provider": "AWS"}, "src_endpoint": {"ip": "198.51.100.7"},
    }
    mistakes = {
        "a required attribute that is not there": lambda one: one.pop("time"),
        "an attribute that nobody knows": lambda one: one.update(colour="green"),
        "a text where a number belongs": lambda one: one.update(time="now"),
        "a word outside the enumeration": lambda one: one.update(activity_id=77),
        "an attribute of an undeclared profile": lambda one: one.update(action_id=1),
        "an address that is none": lambda one: one.update(src_endpoint={"ip": "nowhere"}),
        "an object without what it must have": lambda one: one.update(connection_info={}),
    }
    validator = Validator()
    told = {"nothing wrong": not validator.errors(event)}
    for name, make in mistakes.items():
        wrong = json.loads(json.dumps(event))
        make(wrong)
        told[name] = bool(validator.errors(wrong))
    return told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("files", nargs="+", type=Path)
    args = parser.parse_args()
    count, problems, classes = validate(args.binary, args.files)
    print(summary(count, problems, classes))
    return 1 if problems or not count else 0


if __name__ == "__main__":
    sys.exit(main())
