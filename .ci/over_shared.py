#!/usr/bin/env python3
"""Normalizes the samples beside the repository and holds the result against what it has to be.

usage: over_shared.py SHARED           (from the repository's root; the release binary is built if it is not there)
       over_shared.py SHARED --table   prints what the table of samples would say now, to be read before it is taken over
"""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from vocabulary import Vocabulary

SHARED = Path(sys.argv[1])
SAMPLES = SHARED / "samples"
VALIDATOR = SHARED / "ocsf" / "ocsf_validate.py"

# Free-form attributes are all that ENIs, image and profile details have to go to, so not everything can be typed.
TYPED_PERCENT_MIN = 55.0
UNMAPPED_PERCENT_MAX = 5.0

# What becomes of the lines of each file: how many events of each log type, and of each class. An event of the log type `base`
# is one that no mapping knows; why it is none, the third column says.
SAMPLES_TABLE = {
    "alb_elb_access.log": ({"aws.alb": 32}, {4002: 32}, ""),
    "asff.ndjson": ({"aws.securityhub": 32}, {2003: 19, 2004: 13}, ""),
    "bedrock_invocation.ndjson": ({"aws.bedrock_invocation": 2}, {6003: 2}, ""),
    "cloudtrail.ndjson": ({"aws.cloudtrail": 309}, {3001: 23, 3002: 18, 3006: 3, 6003: 265}, ""),
    "config.ndjson": ({"aws.config": 2, "base": 1}, {0: 1, 3004: 2}, "one line is a type's schema and no event"),
    "cwl_subscription.ndjson": (
        {"aws.cloudtrail": 7, "aws.cloudwatch_log": 1, "aws.lambda": 8, "aws.vpc_flow": 1, "base": 10},
        {0: 10, 4001: 1, 6002: 7, 6003: 7, 6008: 2},
        "three beginnings of a document that was cut off, and seven events of users' own log groups",
    ),
    "eks_audit.ndjson": ({"aws.eks_audit": 44}, {6003: 44}, ""),
    "eventbridge.ndjson": (
        {"aws.cloudtrail": 5, "aws.guardduty": 19, "aws.inspector2": 2, "aws.securityhub": 12, "base": 28},
        {0: 28, 2002: 1, 2003: 12, 2004: 19, 6003: 5, 6007: 1},
        "events of sources that no mapping is for",
    ),
    "firehose_http.ndjson": ({"base": 4}, {0: 4}, "events of users' own"),
    "firehose_lambda.ndjson": ({"base": 2}, {0: 2}, "events of users' own"),
    "guardduty.ndjson": ({"aws.guardduty": 15}, {2004: 15}, ""),
    "guardduty_api.ndjson": ({"aws.guardduty": 27}, {2004: 27}, ""),
    "inspector2.ndjson": ({"aws.inspector2": 20}, {2002: 20}, ""),
    "inspector_classic.ndjson": ({"aws.inspector": 1}, {2004: 1}, ""),
    "kinesis_lambda.ndjson": ({"base": 14}, {0: 14}, "events of users' own"),
    "kpl_aggregated.ndjson": ({"base": 1}, {0: 1}, "the wrapper of the collection"),
    "macie.ndjson": ({"aws.macie": 1}, {2006: 1}, ""),
    "network_firewall.ndjson": ({"aws.network_firewall": 1}, {4001: 1}, ""),
    "route53_resolver.ndjson": ({"aws.route53_resolver": 7}, {4003: 7}, ""),
    "s3_access.log": ({"aws.s3_access": 3}, {6003: 3}, ""),
    "s3_notification.ndjson": ({"aws.s3_notification": 10, "base": 1}, {0: 1, 6005: 10}, "a fragment that names an object only"),
    "sns_lambda.ndjson": ({"aws.cloudwatch_alarm": 5, "base": 4}, {0: 4, 2004: 5}, "events of users' own"),
    "sqs_lambda.ndjson": ({"base": 8}, {0: 8}, "events of users' own, and one in an envelope of Kafka's"),
    "vpcflow.log": ({"aws.vpc_flow": 11, "base": 2}, {0: 2, 4001: 11}, "two lines of a format that nothing names"),
    "waf.ndjson": ({"aws.waf": 20}, {4001: 1, 4002: 19}, ""),
}

# Leaves in `unmapped`, in percent, at most: where an issue names a bound, that; else what is left with a reason in docs/coverage.md.
UNMAPPED_PERCENT_MAX_BY_TYPE = {
    "aws.waf": 5.0, "aws.route53_resolver": 5.0, "aws.vpc_flow": 5.0, "aws.eks_audit": 5.0, "aws.s3_access": 5.0,
    "aws.bedrock_invocation": 5.0, "aws.lambda": 5.0, "aws.alb": 10.0, "aws.network_firewall": 25.0,
}

# The order of the two lines of `vpcflow.log` that nothing names.
VPC_FLOW_COLUMNS = (
    "az-id sublocation-type sublocation-id action tcp-flags pkt-srcaddr pkt-dstaddr pkt-src-aws-service"
    " pkt-dst-aws-service traffic-path flow-direction log-status"
)

EQUATION = re.compile(r"^read (\d+) = out (\d+) \+ filtered (\d+).* \+ dead-lettered (\d+)", re.MULTILINE)
STATISTICS = re.compile(r"^(\S+) +(\d+) +\d+ +\d+ +([\d.]+) % +\d+ +([\d.]+) % +\d+ +([\d.]+) %", re.MULTILINE)

failures = []


def main() -> int:
    if "--table" in sys.argv[2:]:
        return print_table()
    findings()
    everything()
    every_file()
    cloudtrail()
    vpc_flow()
    projections()
    second_validator()
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
    events, _, _ = normalize("vpcflow.log", options=["--columns", f"aws.vpc_flow={VPC_FLOW_COLUMNS}"])
    named = [event for event in events if event["class_uid"] == 4001]
    holds = len(named) == 2 and all(event["connection_info"]["tcp_flags"] in (3, 19) for event in named)
    expect("VPC flow: with their columns configured, the two other lines are 4001", holds, dict(classes(events)))


def every_file():
    """Each file by itself: what became of its lines, and how much of a log type stands in `unmapped`."""
    files = {path.name for pattern in ("*.ndjson", "*.log") for path in SAMPLES.glob(pattern)}
    expect("the table names every file", files == set(SAMPLES_TABLE), files ^ set(SAMPLES_TABLE))
    for name in sorted(files & set(SAMPLES_TABLE)):
        log_types, wanted, why = SAMPLES_TABLE[name]
        events, _, errors = normalize(name)
        rows = {row[0]: (int(row[1]), float(row[4])) for row in STATISTICS.findall(errors)}
        found = {log_type: count for log_type, (count, _) in rows.items()}
        expect(f"{name}: {log_types}, classes {wanted}", (found, dict(classes(events))) == (log_types, wanted), (found, dict(classes(events))))
        expect(f"{name}: no line of a known type is a base event", "base" not in found or why, found)
        for log_type, (_, unmapped) in rows.items():
            most = UNMAPPED_PERCENT_MAX_BY_TYPE.get(log_type)
            if most is not None:
                expect(f"{name}: at most {most} % of {log_type} unmapped", unmapped <= most, f"{unmapped} %")


def projections():
    """Every sample in the words of ECS and of Splunk's CIM, held against the tables of the project."""
    names = [path.name for pattern in ("*.ndjson", "*.log") for path in sorted(SAMPLES.glob(pattern))]
    for form, table, wanted in (
        ("ecs", "src/ecs/table-8.17.txt", ("@timestamp", "event.kind", "event.category", "cloud.account.id", "cloud.region", "rule.name", "ecs.version")),
        ("cim", "src/cim/table-6.0.txt", ("severity", "signature", "dest")),
    ):
        vocabulary = Vocabulary(Path(table))
        documents, _, _ = normalize(*names, options=["--format", form])
        faults = [fault for document in documents for fault in vocabulary.faults(document)]
        expect(f"{form}: {len(documents)} documents are as the table says", documents and not faults, faults[:20])
        findings, _, _ = normalize("guardduty.ndjson", "guardduty_api.ndjson", options=["--format", form])
        missing = [path for document in findings for path in wanted if not there(document, path)]
        expect(f"{form}: GuardDuty's {len(findings)} findings have {', '.join(wanted)}", len(findings) == 42 and not missing, Counter(missing))


def there(document: dict, path: str) -> bool:
    for name in path.split("."):
        if not isinstance(document, dict) or name not in document:
            return False
        document = document[name]
    return True


def second_validator():
    """The validator of tests/real, which is not ours, over all samples."""
    paths = [str(SAMPLES / name) for name in sorted(SAMPLES_TABLE)]
    done = subprocess.run(["tests/real/run", "schema", *paths], capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode(errors="replace").strip()
    expect("all samples: the second validator agrees", done.returncode == 0, said[-2000:])


def print_table() -> int:
    for path in sorted([*SAMPLES.glob("*.ndjson"), *SAMPLES.glob("*.log")]):
        events, _, errors = normalize(path.name)
        log_types = {row[0]: int(row[1]) for row in STATISTICS.findall(errors)}
        why = SAMPLES_TABLE.get(path.name, ("", "", ""))[2]
        print(f"    {json.dumps(path.name)}: ({json.dumps(log_types)}, {dict(sorted(classes(events).items()))}, {json.dumps(why)}),")
    return 0


def normalize(*names: str, options: list = ()) -> tuple:
    """The events of these samples, their text as it was written, and what was said on standard error."""
    command = ["cargo", "run", "--quiet", "--locked", "--release", "--", "normalize", "--stats"]
    done = subprocess.run([*command, *options, *(str(SAMPLES / name) for name in names)], capture_output=True, check=False)
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
