"""What OpenSearch is put through, whichever its version."""

import contextlib
import json
import re

from feed import Feed, finding_id_of
from findings import ACCOUNT, compact
from opensearch_node import Node
from report import Report
from servers import Failure, free_ports, wait_until

FINISH_SECONDS = 150
SEEN_SECONDS = 60

# What siemline says at its end of the sink called `out`.
SUMMARY = re.compile(r"^  out +(?P<delivered>\d+) +(?P<duplicates>\d+) +(?P<dead>\d+) +(?P<requests>\d+) +(?P<failures>\d+)$", re.M)


def run(suite, name: str, directory, report: Report):
    """All cases on one node."""
    with contextlib.closing(Node(suite, name, directory)) as node:
        node.start()
        cases = Cases(suite.binary, directory, node, report)
        cases.data_stream()
        cases.named_by_fields()
        cases.mapping_conflict()
        cases.latest_states()
        cases.write_block()
        cases.pressure()
        cases.dead_endpoint()
        cases.killed_node()


class Cases:
    """The cases, each with an index and a siemline of its own."""

    def __init__(self, binary: str, directory, node: Node, report: Report):
        self.binary = binary
        self.directory = directory
        self.node = node
        self.report = report

    def feed(self, name: str, options: str = "", endpoints: list | None = None, seed: int = 20261123) -> Feed:
        endpoints = endpoints or [self.node.endpoint()]
        sink = f"[sink.elastic.out]\nendpoints = {json.dumps(endpoints)}\n{options}"
        return Feed(self.binary, self.directory / name, sink, seed=seed)

    def data_stream(self):
        """The templates first, then the events, then the same events again."""
        report = self.report.case("data stream")
        with contextlib.closing(self.feed("stream")) as feed:
            check(feed, report, "run `siemline setup elastic`", "before the templates are there")
            self.set_up(feed, report)
            check(feed, report, None, "with the templates")
            deliver(feed, report, 400)
            index = "logs-siemline.ecs-default"
            report.settle(feed.sent, self.node.accepted(index), dead(feed))
            (backing,) = {document["_index"] for document in self.node.documents(index)}
            report.check("the data stream was made by the first document", backing.startswith(f".ds-{index}-"), backing)
            self.check_backing(backing, report)
        report = self.report.case("the same again")
        with contextlib.closing(self.feed("again")) as feed:
            figures = deliver(feed, report, 400)
            report.settle(feed.sent, self.node.accepted(index), dead(feed))
            report.check("each was answered as a duplicate", figures["duplicates"] == 400, f"{figures['duplicates']} were")
            report.faults["conflicts (409)"] = figures["duplicates"]

    def set_up(self, feed: Feed, report: Report):
        """`setup elastic` installs what it prints; this OpenSearch has no plugin for its lifecycle, and that is said."""
        printed = json.loads(feed.command("setup elastic", "--dry-run", "--opensearch").stdout)
        done = feed.command("setup elastic")
        report.check("setup elastic ends with exit code 0", done.returncode == 0, done.stderr)
        for request, body in printed.items():
            line = next((line for line in done.stdout.splitlines() if line.startswith(request + ": ")), "")
            path = request.removeprefix("PUT ")
            if path.startswith("/_plugins/"):
                report.check("a lifecycle that the cluster does not know is left out, and said", "left out" in line, line)
            else:
                differs = [name for name, value in body.items() if self.installed(path, name) != as_kept(value)]
                report.check(f"{path} stands in the cluster as it was printed", not differs, f"{line}; differs: {differs}")

    def installed(self, path: str, name: str):
        """A part of a template, as the cluster gives it back."""
        (template,) = next(iter(self.node.must("GET", path).values()))
        (body,) = [value for key, value in template.items() if key != "name"]
        # Every data stream has this field, and the cluster says so.
        return {} if name == "data_stream" else body[name]

    def check_backing(self, backing: str, report: Report):
        """The backing index has the types that the templates give, and no field was guessed."""
        properties = self.node.must("GET", f"/{backing}/_mapping")[backing]["mappings"]["properties"]
        found = [properties["source"]["properties"][name]["type"] for name in ("ip", "port")]
        report.check("its fields have the types of ECS", found == ["ip", "long"], f"{found}")

    def named_by_fields(self):
        """One index for each account, up to the bound; the rest share one."""
        report = self.report.case("index named by fields")
        options = 'index = "plain-{account}"\nindexes_max = 3\nformat = "ocsf"\n'
        accounts = [f"{number}11122223333" for number in range(1, 6)]
        with contextlib.closing(self.feed("names", options)) as feed:
            lines = [edited(feed, lambda finding, to=accounts[number % 5]: move(finding, to)) for number in range(200)]
            deliver(feed, report, lines)
            report.settle(feed.sent, self.node.accepted("plain-*"), dead(feed))
        places = {}
        for document in self.node.documents("plain-*"):
            places.setdefault(document["_index"], set()).add(document["_source"]["cloud"]["account"]["uid"])
        expected = {f"plain-{account}": {account} for account in accounts[:3]} | {"plain-other": set(accounts[3:])}
        report.check("each account has its index, up to the bound", places == expected, f"{sorted(places)}")

    def mapping_conflict(self):
        """A field whose type some of the events do not have."""
        report = self.report.case("mapping conflict")
        self.node.must("PUT", "/conflict", {"mappings": {"properties": {"message": {"type": "long"}}}})
        with contextlib.closing(self.feed("conflict", 'index = "conflict"\nformat = "ocsf"\n')) as feed:
            lines = [edited(feed, lambda finding, number=number: finding.update(title=title(number))) for number in range(300)]
            wrong = {finding_id for number, (finding_id, _) in enumerate(lines) if not title(number).isdigit()}
            deliver(feed, report, lines)
            report.settle(feed.sent, self.node.accepted("conflict"), dead(feed))
            report.check("the dead letters are those that conflict", dead(feed) == wrong, f"{len(dead(feed))} of {len(wrong)}")
            words = {letter["words"] for letter in feed.dead_letters()}
            told = all("mapper_parsing_exception" in one and "[message]" in one for one in words)
            report.check("they hold the cluster's words", told, f"{next(iter(words), '')[:120]}")
            report.faults["documents refused (400)"] = len(feed.dead_letters())

    def latest_states(self):
        """Three words on each finding, of which the newest is not the last to come."""
        report = self.report.case("latest states")
        options = 'index = "history"\nlatest = "latest"\nformat = "ocsf"\n'
        versions = ("2026-01-31T12:00:01Z", "2026-01-31T12:00:03Z", "2026-01-31T12:00:02Z")
        with contextlib.closing(self.feed("latest", options)) as feed:
            made = [feed.findings.finding() for _ in range(100)]
            for at in versions:
                # In a run of its own, so that none is late by chance.
                deliver(feed, report, [(f"{one} {at}", at_time(line, at)) for one, line in made])
        words = [document["_source"] for document in self.node.documents("history")]
        kept = [f"{one['finding_info']['uid_alt']} {iso(one['finding_info']['modified_time'])}" for one in words]
        report.settle(feed.sent, {one: kept.count(one) for one in kept}, dead(feed))
        latest = [document["_source"]["finding_info"] for document in self.node.documents("latest")]
        held = {one["uid_alt"]: iso(one["modified_time"]) for one in latest}
        report.check("each finding has one latest state", len(latest) == len(held) == len(made), f"{len(latest)} documents")
        late = [one for one in held.values() if one != versions[1]]
        report.check("an older word took no newer one's place", not late, f"{len(late)} did")
        report.faults["older words"] = len(made)

    def write_block(self):
        """Nothing may be written to the index for a while: the lane waits, and asks now and then."""
        report = self.report.case("write block")
        self.node.must("PUT", "/blocked")
        options = 'index = "blocked"\nformat = "ocsf"\n[sink.elastic.out.lane]\npause_probe = "1s"\n'
        with contextlib.closing(self.feed("blocked", options)) as feed:
            feed.start()
            feed.put_findings(100)
            wait_until("the first documents", SEEN_SECONDS, lambda: self.node.accepted("blocked"))
            self.node.must("PUT", "/blocked/_settings", {"index.blocks.write": True})
            feed.put_steadily(200, 200)
            wait_until("the lane to pause", SEEN_SECONDS, lambda: feed.has_said("lane pauses") and feed.has_said("cluster_block"))
            report.faults["blocks (403)"] += 1
            self.node.must("PUT", "/blocked/_settings", {"index.blocks.write": False})
            wait_until("the lane to go on", SEEN_SECONDS, lambda: feed.has_said("lane goes on"))
            finish(feed, report)
            report.settle(feed.sent, self.node.accepted("blocked"), dead(feed))

    def pressure(self):
        """The block of a disk that is full, and then more writes at once than the node's queue holds."""
        report = self.report.case("pressure")
        self.node.must("PUT", "/pressed", {"settings": {"number_of_shards": 12, "number_of_replicas": 0}})
        options = """\
index = "pressed"
format = "ocsf"
[sink.elastic.out.lane]
requests_in_flight_max = 16
batch_entries_max = 50
retry_first = "100ms"
retry_max = "1s"
"""
        before = self.node.rejected()
        self.node.must("PUT", "/pressed/_settings", {"index.blocks.read_only_allow_delete": True})
        with contextlib.closing(self.feed("pressed", options)) as feed:
            feed.start()
            feed.put_steadily(3000, 1000)
            wait_until("the lane to see the full disk", SEEN_SECONDS, lambda: feed.has_said("disk usage exceeded"))
            report.faults["full disks (429)"] += 1
            self.node.must("PUT", "/pressed/_settings", {"index.blocks.read_only_allow_delete": None})
            finish(feed, report)
            report.settle(feed.sent, self.node.accepted("pressed"), dead(feed))
            rejected = self.node.rejected() - before
            report.check("the node turned writes away", rejected > 0, f"{rejected} of them")
            report.faults["writes turned away (429)"] = rejected

    def dead_endpoint(self):
        """Two nodes, of which one is not there."""
        report = self.report.case("dead endpoint")
        nobody = f"http://127.0.0.1:{free_ports(1)[0]}"
        options = 'index = "failover"\nformat = "ocsf"\n'
        with contextlib.closing(self.feed("failover", options, [nobody, self.node.endpoint()])) as feed:
            check(feed, report, None, "with one node of two")
            figures = deliver(feed, report, 400)
            report.settle(feed.sent, self.node.accepted("failover"), dead(feed))
            report.faults["requests to nobody"] = figures["failures"]
            report.check("the dead node was tried", figures["failures"] > 0, f"{figures['failures']} requests failed")
        with contextlib.closing(self.feed("nobody", options, [nobody])) as feed:
            check(feed, report, "cannot connect", "with nobody there")

    def killed_node(self):
        """SIGKILL while documents come, and a new start on the same files."""
        report = self.report.case("killed node")
        options = """\
index = "killed"
format = "ocsf"
[sink.elastic.out.lane]
batch_entries_max = 20
retry_max = "2s"
"""
        with contextlib.closing(self.feed("killed", options)) as feed:
            feed.start()
            feed.put_steadily(2000, 200)
            wait_until("some hundred documents", SEEN_SECONDS, lambda: len(self.accepted_so_far("killed")) > 300)
            self.node.kill()
            wait_until("the lane to see it", SEEN_SECONDS, lambda: feed.has_said("accepts nothing"))
            report.faults["kills"] += 1
            self.node.start()
            finish(feed, report)
            report.settle(feed.sent, self.node.accepted("killed"), dead(feed))

    def accepted_so_far(self, index: str) -> dict:
        """None where the index is not there yet."""
        return self.node.accepted(index) if self.node.ask("HEAD", f"/{index}")[0] == 200 else {}


def deliver(feed: Feed, report: Report, lines) -> dict:
    """One run of siemline over these lines, or so many findings. Gives the figures that it says at its end."""
    feed.start()
    if isinstance(lines, int):
        feed.put_findings(lines)
    else:
        feed.put(lines)
    return finish(feed, report)


def finish(feed: Feed, report: Report) -> dict:
    code = feed.finish(FINISH_SECONDS)
    report.check("siemline ends with exit code 0", code == 0, f"exit code {code}")
    found = SUMMARY.search(feed.log().read_text(errors="replace"))
    if found is None:
        raise Failure(f"siemline says no figures of its sink: {feed.log()}")
    return {name: int(figure) for name, figure in found.groupdict().items()}


def check(feed: Feed, report: Report, words: str | None, when: str):
    """`siemline check --connect` says that the sink is ready, or what to do."""
    done = feed.command("check", "--connect")
    line = next((line for line in done.stdout.splitlines() if line.startswith("sink out: ")), done.stderr)
    is_right = words in line and done.returncode == 1 if words else line == "sink out: ready" and done.returncode == 0
    report.check(f"check --connect {when} says {'what to do' if words else 'that it is ready'}", is_right, line[:200])


def as_kept(part):
    """A part of a template in the form in which the cluster keeps it: settings are texts, below the parts of their names."""
    if not isinstance(part, dict) or "settings" not in part:
        return part
    settings = {}
    for name, value in part["settings"].items():
        *above, last = name.split(".")
        place = settings
        for one in above:
            place = place.setdefault(one, {})
        place[last] = json.dumps(value)
    return {**part, "settings": settings}


def dead(feed: Feed) -> set:
    return {finding_id_of(letter["original"]) for letter in feed.dead_letters()}


def edited(feed: Feed, edit) -> tuple:
    """The next finding, after an edit of the finding in it."""
    finding_id, line = feed.findings.finding()
    document = json.loads(line)
    edit(document.get("detail", document))
    return finding_id, compact(document)


def move(finding: dict, account: str):
    """Moves a finding to another account."""
    finding["accountId"] = account
    finding["arn"] = finding["arn"].replace(ACCOUNT, account)


def title(number: int) -> str:
    """The title of a finding for an index where titles are numbers: of each tenth it is none."""
    return str(number) if number % 10 else f"no. {number}"


def at_time(line: str, time: str) -> str:
    """A finding as it was updated at this time. An envelope of its own has an id of its own."""
    document = json.loads(line)
    document.get("detail", document)["updatedAt"] = time
    if "detail" in document:
        document["time"], document["id"] = time, document["id"][:-2] + time[-3:-1]
    return compact(document)


def iso(milliseconds: int) -> str:
    """The time of a finding, as it was put."""
    return f"2026-01-31T12:00:{milliseconds // 1000 % 60:02}Z"
