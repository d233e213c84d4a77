#!/usr/bin/env python3
"""Normalizes the samples beside the repository and holds the result against what it has to be.

usage: over_shared.py SHARED    (from the repository's root; the release binary is built if it is not there)
"""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

SHARED = Path(sys.argv[1])
SAMPLES = SHARED / "samples"
VALIDATOR = SHARED / "ocsf" / "ocsf_validate.py"

# Free-form attributes are all that ENIs, image and profile details have to go to, so not everything can be typed.
TYPED_PERCENT_MIN = 55.0
UNMAPPED_PERCENT_MAX = 5.0

EQUATION = re.compile(r"^read (\d+) = out (\d+) \+ filtered (\d+).* \+ dead-lettered (\d+)", re.MULTILINE)
STATISTICS = re.compile(r"^(\S+) +(\d+) +\d+ +\d+ +([\d.]+) % +\d+ +([\d.]+) % +\d+ +([\d.]+) %", re.MULTILINE)

failures = []


def main() -> int:
    findings()
    everything()
    cloudtrail()
    vpc_flow()
    print(f"{len(failures)} failed" if failures else "all hold")
    return 1 if failures else 0


def findings():
    events, text, errors = normalize("guardduty.ndjson", "guardduty_api.ndjson")
    validated = validate(text)
    expect("GuardDuty: 42 events, all valid", "events=42 " in validated and " failed=0 " in validated, validated)
    expect("GuardDuty: all of class 2004", classes(events) == {2004: 42}, dict(classes(events)))
    rows = {row[0]: row for row in STATISTICS.findall(errors)}
    name, count, typed, free, unmapped = rows.get("aws.guardduty", ("", "0", "0", "0", "100"))
    figures = f"typed {typed} %, free-form {free} %, unmapped {unmapped} %"
    expect(f"GuardDuty: at least {TYPED_PERCENT_MIN} % typed", count == "42" and float(typed) >= TYPED_PERCENT_MIN, figures)
    expect(f"GuardDuty: at most {UNMAPPED_PERCENT_MAX} % unmapped", float(unmapped) <= UNMAPPED_PERCENT_MAX, figures)


def everything():
    paths = sorted(SAMPLES.glob("*.ndjson")) + sorted(SAMPLES.glob("*.log"))
    events, text, errors = normalize(*(path.name for path in paths))
    found = EQUATION.search(errors)
    read, out, filtered, dead = map(int, found.groups()) if found else (0, 0, 0, 0)
    words = found.group(0) if found else "no equation on standard error"
    expect("all samples: read = out + filtered + dead-lettered", found and read == out + filtered + dead, words)
    expect("all samples: out is what was written", out == len(events), f"{len(events)} lines")
    expect("all samples: one filtered, none dead-lettered", (filtered, dead) == (1, 0), words)
    validated = validate(text)
    expect("all samples: valid OCSF", f"events={out} " in validated and " failed=0 " in validated, validated)


def cloudtrail():
    events, _, _ = normalize("cloudtrail.ndjson")
    found = classes(events)
    expect("CloudTrail: 309 records", len(events) == 309, len(events))
    expect("CloudTrail: four classes, no base event", set(found) == {6003, 3002, 3001, 3006}, dict(found))
    groups = [event for event in events if event.get("api", {}).get("operation") == "AddUserToGroup"]
    wrong = [event["class_uid"] for event in groups if event["class_uid"] != 3006]
    expect("CloudTrail: AddUserToGroup is 3006", groups and not wrong, f"{len(groups)} of them, wrong: {wrong}")


def vpc_flow():
    events, _, _ = normalize("vpcflow.log")
    found = classes(events)
    expect("VPC flow: 11 of 13 lines are 4001", len(events) == 13 and found[4001] == 11, dict(found))


def normalize(*names: str) -> tuple:
    """The events of these samples, their text as it was written, and what was said on standard error."""
    command = ["cargo", "run", "--quiet", "--locked", "--release", "--", "normalize", "--stats"]
    done = subprocess.run(command + [str(SAMPLES / name) for name in names], capture_output=True, check=False)
    errors = done.stderr.decode(errors="replace")
    expect(f"normalize {names[0]}{' and more' if names[1:] else ''} ends with exit code 0", done.returncode == 0, errors[-500:])
    return [json.loads(line) for line in done.stdout.splitlines()], done.stdout, errors


def validate(text: bytes) -> str:
    """The validator's summary."""
    done = subprocess.run([sys.executable, str(VALIDATOR)], input=text, capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode(errors="replace")
    summary = [line for line in said.splitlines() if line.startswith("events=")]
    return summary[-1] if summary else said[-500:]


def classes(events: list) -> Counter:
    return Counter(event["class_uid"] for event in events)


def expect(name: str, holds, details):
    print(f"{'ok  ' if holds else 'FAIL'} {name}{'' if holds else f': {details}'}", flush=True)
    if not holds:
        failures.append(name)


if __name__ == "__main__":
    sys.exit(main())
