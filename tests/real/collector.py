"""The OpenTelemetry Collector's HEC receiver, with acknowledgement and without: losses, limits, kills."""

import contextlib
import gzip
import json

from between import ANSWER_LOST, CUT, Call, between, none, some
from deliveries import SECONDS, check_is_ready, check_tells, deliver, pauses
from feed import Feed
from hec import stacked
from receiver import Receiver, members
from report import Report
from servers import HEC_TOKEN, wait_until

FINDINGS = 400
# As many as feed.py has siemline read at once: what is put in such numbers is on its way.
BATCH_ENTRIES = 20
# `TIME` of findings.py.
TIME_NANOSECONDS = "1769860800000000000"
POLLS_HARMED = 3
PENDING_MAX = 2
# Above each event of the findings, and below a batch of them.
REQUEST_BYTES_MAX = 40_000
KILLS = 3
ACKNOWLEDGED = 'acknowledgement = true\nacknowledgement_interval = "200ms"'
# Where acknowledgements never come, nothing but this ends the wait for them.
IMPATIENT = f'{ACKNOWLEDGED}\nacknowledgement_timeout = "4s"'
CHANNEL = "x-splunk-request-channel"
# What the sink's metadata becomes in the Collector.
ABOUT = {"com.splunk.index": "main", "com.splunk.source": "suite", "host.name": "feed"}


def run(suite, directory, report: Report):
    """The scenario."""
    accepted(suite, directory / "accepted", report.case("accepted"))
    acknowledged(suite, directory / "acknowledged", report.case("acknowledged"))
    raw(suite, directory / "raw", report.case("raw"))
    polls_lost(suite, directory / "polls-lost", report.case("acknowledgements lost"))
    forgotten(suite, directory / "forgotten", report.case("acknowledgements forgotten"))
    limited(suite, directory / "limited", report.case("a limit of size"))
    killed(suite, directory / "killed", IMPATIENT, report.case("killed, with acknowledgement"))
    killed(suite, directory / "killed-accepted", "", report.case("killed, without"))
    unavailable(suite, directory / "unavailable", report.case("no acknowledgement at first"))


@contextlib.contextmanager
def fed(suite, directory, options: str, harm=none, **limits):
    """A Collector, what stands before it, and a siemline that sends there; to be started by `deliver`."""
    directory.mkdir()
    receiver = Receiver(suite, directory / "collector", **limits)
    try:
        receiver.start()
        with between(receiver.endpoint, harm) as (url, passed):
            sink = f"""
[sink.splunk_hec.out]
endpoint = "{url}"
token = {{ env = "HEC_TOKEN" }}
index = "main"
source = "suite"
host = "feed"
{options}

[sink.splunk_hec.out.lane]
batch_entries_max = {BATCH_ENTRIES}
batch_age_max = "200ms"
retry_first = "100ms"
retry_max = "1s"
pause_probe = "1s"
"""
            yield receiver, passed, Feed(suite.binary, directory / "feed", sink, {"HEC_TOKEN": HEC_TOKEN})
    finally:
        receiver.stop()


def accepted(suite, directory, report: Report):
    """Without acknowledgement. The receiver looks at no token: what it is given is passed on, and seen."""
    with fed(suite, directory, "") as (receiver, passed, feed):
        check_is_ready(feed, report)
        deliver(feed, lambda: feed.put_findings(FINDINGS), receiver.accepted, report)
        logs = receiver.logs()
    is_gzip = [call.headers.get("content-encoding") == "gzip" for call in posts(passed)]
    report.check("every batch came in gzip", is_gzip and all(is_gzip), f"{len(is_gzip)} batches")
    report.check("none asked for an acknowledgement", not polls(passed) and not channels(passed))
    about = {**ABOUT, "com.splunk.hec.access_token": HEC_TOKEN}
    is_told = all(about.items() <= resource.items() and "com.splunk.sourcetype" in resource for resource, _ in logs)
    report.check("each came with index, source, host, sourcetype and token", is_told, f"{logs[0][0]}")
    is_timed = all(log["timeUnixNano"] == TIME_NANOSECONDS for _, log in logs)
    report.check("each came with its time", is_timed, logs[0][1]["timeUnixNano"])
    uids = {members(log["attributes"]).get("siemline_uid") for _, log in logs}
    report.check("each has a uid of its own", len(uids - {None}) == FINDINGS, f"{len(uids)}")
    report.check("nothing came twice", not report.duplicates)


def acknowledged(suite, directory, report: Report):
    """While no question is answered nothing is settled, though all is there."""
    held = [False]

    def hold(_method: str, target: str, _headers: dict):
        return CUT if held[0] and is_poll(target) else None

    with fed(suite, directory, ACKNOWLEDGED, hold) as (receiver, passed, feed):
        def put():
            feed.put_findings(FINDINGS - BATCH_ENTRIES)
            wait_until("most to be acknowledged", SECONDS, lambda: acknowledged_in(passed) == FINDINGS - BATCH_ENTRIES)
            held[0] = True
            feed.put_findings(BATCH_ENTRIES)
            feed.process.stdin.close()
            wait_until("all to be there", SECONDS, lambda: len(receiver.accepted()) == FINDINGS)
            before = len(polls(passed))
            wait_until("questions without an answer", SECONDS, lambda: len(polls(passed)) >= before + POLLS_HARMED)
            report.check("what is there is not settled before it is acknowledged", feed.is_running())
            report.faults["questions cut"] += passed.done()[CUT]
            held[0] = False

        deliver(feed, put, receiver.accepted, report)
        check_is_ready(feed, report)
    taken, told = taken_ids(passed), told_ids(passed)
    is_whole = taken and taken.keys() == told
    report.check("each batch was asked for until it was acknowledged", is_whole, f"{len(told)} of {len(taken)}")
    report.check("nothing came twice", not report.duplicates)


def raw(suite, directory, report: Report):
    with fed(suite, directory, f'{ACKNOWLEDGED}\nmode = "raw"') as (receiver, passed, feed):
        check_is_ready(feed, report)
        deliver(feed, lambda: feed.put_findings(FINDINGS), receiver.accepted, report)
        logs = receiver.logs()
    is_raw = [call.path().endswith("/services/collector/raw") for call in posts(passed)]
    report.check("every batch went to the raw endpoint", is_raw and all(is_raw), f"{len(is_raw)} batches")
    is_told = all(ABOUT.items() <= resource.items() and "com.splunk.sourcetype" in resource for resource, _ in logs)
    report.check("each line came with index, source, host and sourcetype", is_told, f"{logs[0][0]}")
    report.check("each line is one event", all("stringValue" in log["body"] for _, log in logs))
    report.check("nothing came twice", not report.duplicates)


def polls_lost(suite, directory, report: Report):
    """The extension tells an acknowledgement once, as Splunk does: whom the answer does not reach, it never tells again."""
    harm = some(ANSWER_LOST, POLLS_HARMED, lambda _method, target, _headers: is_poll(target))
    with fed(suite, directory, IMPATIENT, harm) as (receiver, passed, feed):
        deliver(feed, lambda: feed.put_findings(FINDINGS), receiver.accepted, report)
    taken = taken_ids(passed)
    lost = {name for call in polls(passed) if call.harm for name in told_by(call)}
    report.faults["acknowledgements lost"] += len(lost)
    report.check("acknowledgements got lost", lost, f"{len(lost)}")
    # On a slow machine others may not be acknowledged in time either.
    least = sum(taken[name] for name in lost)
    report.check("what nobody was told of was sent again", report.duplicates >= least, f"{report.duplicates}, at least {least}")


def forgotten(suite, directory, report: Report):
    """The extension forgets the oldest of more acknowledgements than it may remember."""
    with fed(suite, directory, IMPATIENT, pending_max=PENDING_MAX) as (receiver, passed, feed):
        deliver(feed, lambda: feed.put_findings(FINDINGS), receiver.accepted, report)
    taken, told = taken_ids(passed), told_ids(passed)
    gone = taken.keys() - told
    report.faults["acknowledgements forgotten"] += len(gone)
    report.check("acknowledgements were forgotten", gone, f"{len(gone)} of {len(taken)}")
    least = sum(taken[name] for name in gone)
    report.check("what was forgotten was sent again", report.duplicates >= least, f"{report.duplicates}, at least {least}")


def limited(suite, directory, report: Report):
    """The receiver answers a body above its limit as it answers what is no JSON, and names no event."""
    with fed(suite, directory, ACKNOWLEDGED, request_bytes_max=REQUEST_BYTES_MAX) as (receiver, passed, feed):
        deliver(feed, lambda: feed.put_findings(FINDINGS), receiver.accepted, report)
    refused = [call for call in posts(passed) if call.status == 400]
    report.faults["batches refused"] += len(refused)
    report.check("batches were refused, and came in parts", refused, f"{len(refused)}: {refused[0].said if refused else b''}")
    report.check("nothing came twice", not report.duplicates)


def killed(suite, directory, options: str, report: Report):
    """What the Collector has answered is in its file, so nothing is lost. What it had not answered comes again."""
    with fed(suite, directory, options) as (receiver, passed, feed):
        def put():
            for _ in range(KILLS):
                before = len(receiver.accepted())
                feed.put_findings(FINDINGS // 4)
                wait_until("most to arrive", SECONDS, lambda: len(receiver.accepted()) >= before + FINDINGS // 8)
                feed.put_findings(FINDINGS // 4)
                met = len(passed.calls(Call.met_nobody))
                receiver.kill()
                feed.put_findings(BATCH_ENTRIES)
                wait_until("calls to meet nobody", SECONDS, lambda: len(passed.calls(Call.met_nobody)) > met)
                report.faults["kills"] += 1
                receiver.start()

        deliver(feed, put, receiver.accepted, report)
    if options:
        # The extension counts from 1 again: an id that comes twice tells of the restart.
        report.check("a channel was left after a restart", len(channels(passed)) > 1, f"{len(channels(passed))} channels")


def unavailable(suite, directory, report: Report):
    """A Collector without the extension, which is then configured."""
    with fed(suite, directory, ACKNOWLEDGED, pending_max=0) as (receiver, _passed, feed):
        check_tells(feed, "no acknowledgements can be read", report)

        def put():
            feed.put_findings(FINDINGS)
            pauses(feed, "no_ack_id")
            report.faults["acknowledgement missing"] += 1
            receiver.stop()
            receiver.pending_max = FINDINGS
            receiver.start()

        deliver(feed, put, receiver.accepted, report)
        check_is_ready(feed, report)


def is_poll(target: str) -> bool:
    return target.endswith("/services/collector/ack")


def polls(passed) -> list:
    """The questions about acknowledgements, without those of `check --connect`, for whose id nothing was ever sent."""
    return passed.calls(lambda call: is_poll(call.target) and asked_for(call) != [0])


def asked_for(call) -> list:
    return json.loads(call.body)["acks"]


def posts(passed) -> list:
    """The batches. An empty one is a question of `check --connect`."""
    return passed.calls(lambda call: call.method == "POST" and not is_poll(call.target) and call.body)


def channels(passed) -> set:
    """The channels under which batches came."""
    return {call.headers.get(CHANNEL) for call in posts(passed)} - {None}


def taken_ids(passed) -> dict:
    """The number of events under each id that was handed out, by channel and id."""
    answered = [call for call in posts(passed) if call.was_carried_out()]
    return {(call.headers.get(CHANNEL), json.loads(call.said)["ackId"]): events_in(call) for call in answered}


def told_ids(passed) -> set:
    """The ids that siemline was told of, by channel and id."""
    return {name for call in polls(passed) if not call.harm for name in told_by(call)}


def acknowledged_in(passed) -> int:
    """The number of events that siemline was told of."""
    taken = taken_ids(passed)
    return sum(taken[name] for name in told_ids(passed))


def told_by(call) -> list:
    """What one answer says is acknowledged."""
    told = json.loads(call.said or '{"acks": {}}')["acks"]
    return [(call.headers[CHANNEL], int(number)) for number, is_told in told.items() if is_told]


def events_in(call) -> int:
    """The events of a batch for the event endpoint, or the lines for the raw one."""
    text = (gzip.decompress(call.body) if call.headers.get("content-encoding") == "gzip" else call.body).decode()
    return text.count("\n") if call.path().endswith("/raw") else sum(1 for _ in stacked(text))
