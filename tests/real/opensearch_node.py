"""One node of OpenSearch on the loopback interface, which can be killed and started again, and what is asked of it."""

import contextlib
import json
import os
import shutil
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

from servers import Failure, free_ports, plain_environment, stop_process, tail, wait_until

# A JVM on a machine that is busy with other things.
READY_SECONDS = 180
STOP_SECONDS = 10
# OpenSearch does not run as root. This is `nobody`, as every Linux has it.
NOBODY = 65534
# What a search answers at most, without pages.
HITS_MAX = 10_000

SETTINGS = {
    "discovery.type": "single-node",
    "network.host": "127.0.0.1",
    # Else a machine whose disk is nearly full gets its indexes blocked in the middle of it.
    "cluster.routing.allocation.disk.threshold_enabled": False,
    # One writer, and a queue for what the other cases ask of it: an index with many shards asks for more at once.
    "thread_pool.write.size": 1,
    "thread_pool.write.queue_size": 4,
}


class Node:
    """A node with files of its own; the program and its Java are links to what `run` has installed, or copies of it.

    They lie in the system's temporary directory, which everybody may enter: the caches of root nobody else may.
    """

    def __init__(self, suite, name: str, directory: Path, plugins: dict | None = None, settings: dict | None = None):
        """`name` is the component's; `plugins` are directories by the name that they have in the node's home."""
        self.directory = directory
        self.starts = 0
        self.process = None
        self.place = Path(tempfile.mkdtemp(prefix="siemline-opensearch-"))
        self.place.chmod(0o755)
        self.home, self.java = self.place / "home", self.place / "java"
        targets = {self.home: suite.component(name), self.java: suite.component("jre")}
        targets |= {self.home / "plugins" / plugin: source for plugin, source in (plugins or {}).items()}
        for target, source in targets.items():
            shutil.copytree(source, target, copy_function=link_or_copy)
        self.port, self.transport = free_ports(2)
        # Where it speaks TLS: the authority's certificate, and whom to ask as.
        self.ca = None
        self.authorization = None
        self.configure(settings or {})

    def configure(self, settings: dict):
        for name in ("conf", "data", "logs", "tmp"):
            (self.place / name).mkdir()
        paths = {f"path.{name}": str(self.place / name) for name in ("data", "logs")}
        ports = {"http.port": self.port, "transport.port": self.transport}
        # YAML is a superset of JSON.
        (self.place / "conf" / "opensearch.yml").write_text(json.dumps({**SETTINGS, **paths, **ports, **settings}))
        shutil.copy(self.home / "config" / "log4j2.properties", self.place / "conf")

    def command(self) -> list:
        tmp = self.place / "tmp"
        agent = self.home / "agent" / "opensearch-agent.jar"
        guard = f"-javaagent:{agent}" if agent.exists() else "-Djava.security.manager=allow"
        return [
            str(self.java / "bin" / "java"), "-Xms512m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", guard,
            f"-Djava.io.tmpdir={tmp}", f"-Djna.tmpdir={tmp}", "-Djna.nosys=true", "-Dio.netty.noUnsafe=true",
            "-Dlog4j.shutdownHookEnabled=false", "-Dlog4j2.disable.jmx=true",
            f"-Dopensearch.path.home={self.home}", f"-Dopensearch.path.conf={self.place / 'conf'}",
            "-Dopensearch.distribution.type=zip", "-Dopensearch.bundled_jdk=false",
            "-cp", f"{self.home}/lib/*", "org.opensearch.bootstrap.OpenSearch",
        ]

    def start(self):
        """Starts the node and waits until it answers."""
        began = time.monotonic()
        self.starts += 1
        identity = {}
        if os.getuid() == 0:
            identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            for path in (self.place / name for name in ("conf", "data", "logs", "tmp")):
                give_away(path)
        with self.log().open("wb") as output:
            self.process = subprocess.Popen(
                self.command(), cwd=self.home, env=plain_environment(self.place / "tmp"), stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, **identity,
            )
        wait_until("OpenSearch to be ready", READY_SECONDS, self.is_ready)
        version = self.must("GET", "/")["version"]["number"]
        print(f"  OpenSearch {version} is ready after {time.monotonic() - began:.1f} s", flush=True)

    def is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise Failure(f"OpenSearch ended with exit code {self.process.returncode} before it was ready:\n{tail(self.log())}")
        with contextlib.suppress(OSError):
            return self.ask("GET", "/_cluster/health?wait_for_status=yellow&timeout=1s")[0] == 200
        return False

    def kill(self):
        """SIGKILL."""
        self.process.kill()
        self.process.wait()
        self.process = None

    def close(self):
        """Whatever happened: neither process nor files are left."""
        if self.process is not None:
            stop_process(self.process, STOP_SECONDS)
        shutil.rmtree(self.place, ignore_errors=True)

    def log(self) -> Path:
        return self.directory / f"opensearch-{self.port}-{self.starts}.log"

    def endpoint(self) -> str:
        return f"{'https' if self.ca else 'http'}://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: dict | None = None) -> tuple:
        """The status of an answer, and the answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.endpoint() + path, data, {"content-type": "application/json"}, method=method)
        if self.authorization:
            request.add_header("authorization", self.authorization)
        handlers = [urllib.request.ProxyHandler({})]
        if self.ca:
            handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=self.ca)))
        try:
            with urllib.request.build_opener(*handlers).open(request, timeout=60) as answer:
                return answer.status, json_of(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json_of(error.read())

    def must(self, method: str, path: str, body: dict | None = None):
        """An answer, which has to be a good one."""
        status, answer = self.ask(method, path, body)
        if not 200 <= status < 300:
            raise Failure(f"OpenSearch answered {method} {path} with {status}: {answer}")
        return answer

    def documents(self, index: str) -> list:
        """All documents of an index, each with its `_index` and its `_source`."""
        self.must("POST", f"/{index}/_refresh")
        found = self.must("POST", f"/{index}/_search", {"size": HITS_MAX, "track_total_hits": True})["hits"]
        if found["total"]["value"] != len(found["hits"]):
            raise Failure(f"{index} has {found['total']['value']} documents, which are more than a search answers")
        return found["hits"]

    def accepted(self, index: str) -> Counter:
        """How many documents an index has of each finding."""
        return Counter(finding_id(document["_source"]) for document in self.documents(index))

    def rejected(self) -> int:
        """How many writes the node has turned away because its queue was full, since it was started."""
        (node,) = self.must("GET", "/_nodes/stats/thread_pool")["nodes"].values()
        return node["thread_pool"]["write"]["rejected"]


def link_or_copy(source: str, target: str):
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def give_away(path: Path):
    """A directory and all in it to the user that OpenSearch runs as."""
    for directory, _, files in os.walk(path):
        for one in (directory, *(os.path.join(directory, name) for name in files)):
            os.chown(one, NOBODY, NOBODY)


def json_of(body: bytes):
    """What an answer says, or its text where it is none of JSON."""
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


def finding_id(document: dict) -> str:
    """The id of the finding in a document of either format."""
    return document.get("ocsf", document)["finding_info"]["uid_alt"]
