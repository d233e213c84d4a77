"""An Apache Kafka of one broker that is its own controller (KRaft), and a client on its own library that looks into it."""

import base64
import contextlib
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from certificates import Authority
from servers import Failure, free_ports, plain_environment, stop_process, tail, wait_until

# A JVM on a machine that is busy with other things.
READY_SECONDS = 180
STOP_SECONDS = 60

SECURITY = "org.apache.kafka.common.security"
USER = "siemline"
PASSWORD = "password-EXAMPLE"

# Each listener with the protocol of Kafka that it speaks.
LISTENERS = {"OPEN": "PLAINTEXT", "SASL": "SASL_PLAINTEXT", "SASL_TLS": "SASL_SSL", "MUTUAL": "SSL", "CONTROLLER": "PLAINTEXT"}

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
inter.broker.listener.name=OPEN
listeners={listeners}
advertised.listeners={advertised}
listener.security.protocol.map={protocols}
log.dirs={data}
auto.create.topics.enable=false
default.replication.factor=1
num.network.threads=2
num.io.threads=2
broker.session.timeout.ms=6000
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={truststore}
listener.name.mutual.ssl.client.auth=required
listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512,OAUTHBEARER
listener.name.sasl.plain.sasl.jaas.config={security}.plain.PlainLoginModule required user_{user}="{password}";
listener.name.sasl.scram-sha-512.sasl.jaas.config={security}.scram.ScramLoginModule required;
listener.name.sasl.oauthbearer.sasl.jaas.config={oauth}OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="b";
listener.name.sasl_tls.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_tls.scram-sha-512.sasl.jaas.config={security}.scram.ScramLoginModule required;
"""


@dataclass(frozen=True)
class Record:
    """A record as the client read it."""

    partition: int
    # Where the Java producer would have put a record of this key; none for a record without one.
    home: int | None
    key: bytes | None
    value: bytes
    headers: dict


@dataclass(frozen=True)
class Stored:
    """A batch as it lies in a segment."""

    partition: int
    compression: str
    producer_id: int
    epoch: int
    first_sequence: int
    records: int


class Kafka:
    """The broker, started and stopped as often as a scenario likes, and what lies in it."""

    def __init__(self, home: Path, directory: Path):
        directory.mkdir()
        self.home = home
        self.directory = directory
        self.data = directory / "data"
        self.properties = directory / "server.properties"
        self.log = directory / "kafka.log"
        self.authority = Authority(directory, "authority")
        self.ports = dict(zip(LISTENERS, free_ports(len(LISTENERS))))
        self.broker = self.client = None

    def address(self, listener: str) -> str:
        return f"127.0.0.1:{self.ports[listener]}"

    def prepare(self):
        """Writes the configuration and the storage."""
        certificate, key = self.authority.issue("broker")
        keystore = self.directory / "keystore.pem"
        keystore.write_bytes(key.read_bytes() + certificate.read_bytes())
        listeners = {name: f"{name}://{self.address(name)}" for name in LISTENERS}
        self.properties.write_text(PROPERTIES.format(
            controller=self.ports["CONTROLLER"], listeners=",".join(listeners.values()), data=self.data, keystore=keystore,
            advertised=",".join(listeners[name] for name in LISTENERS if name != "CONTROLLER"), truststore=self.authority.path,
            protocols=",".join(f"{name}:{protocol}" for name, protocol in LISTENERS.items()),
            security=SECURITY, oauth=f"{SECURITY}.oauthbearer.", user=USER, password=PASSWORD,
        ))
        cluster = base64.urlsafe_b64encode(b"siemline-EXAMPLE").decode().rstrip("=")
        formatting = self.java("kafka.tools.StorageTool", "format", "--cluster-id", cluster, "--config", str(self.properties))
        done = subprocess.run(formatting, env=plain_environment(self.directory), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failure(f"Kafka's storage was not made: {done.stdout}{done.stderr}")

    def java(self, main: str, *arguments: str) -> list:
        path = f"{self.home}/classes:{self.home}/lib/*"
        quick = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Djava.io.tmpdir={self.directory}")
        return ["java", *quick, "-cp", path, main, *arguments]

    def start(self):
        """Starts the broker, and waits until it can be written to."""
        began = time.monotonic()
        with self.log.open("ab") as output:
            self.broker = subprocess.Popen(
                self.java("kafka.Kafka", str(self.properties)), env=plain_environment(self.directory),
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )
        if self.client is None:
            with (self.directory / "client.log").open("wb") as errors:
                self.client = subprocess.Popen(
                    self.java("client.Client", self.address("OPEN")), env=plain_environment(self.directory),
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                )
        wait_until("Kafka to be ready", READY_SECONDS, self.is_ready)
        print(f"    Kafka is ready after {time.monotonic() - began:.1f} s", flush=True)

    def is_ready(self) -> bool:
        if self.broker.poll() is not None:
            raise Failure(f"Kafka ended with exit code {self.broker.returncode}:\n{tail(self.log)}")
        try:
            return self.ask("brokers") == ["1"]
        except Refused:
            return False

    def kill(self):
        """SIGKILL."""
        self.broker.kill()
        self.broker.wait()

    def stop(self):
        """SIGTERM: it hands over, closes its files and ends."""
        code = stop_process(self.broker, STOP_SECONDS)
        if code < 0:
            raise Failure(f"Kafka did not end in {STOP_SECONDS} s:\n{tail(self.log)}")

    def pause(self):
        self.broker.send_signal(signal.SIGSTOP)

    def resume(self):
        self.broker.send_signal(signal.SIGCONT)

    def close(self):
        """Whatever happened: no process is left. SIGKILL ends a paused one too."""
        for process in (self.broker, self.client):
            if process is not None:
                process.kill()
                process.wait()

    def ask(self, *words: str) -> list:
        """Has the client do something, and gives back what it answers."""
        self.client.stdin.write("\t".join(words) + "\n")
        self.client.stdin.flush()
        lines = []
        for line in self.client.stdout:
            line = line.rstrip("\n")
            if line == "ok":
                return lines
            if line.startswith("failed "):
                raise Refused(f"Kafka's client: {words[0]} {line}")
            lines.append(line)
        raise Failure(f"Kafka's client ended:\n{tail(self.directory / 'client.log')}")

    def create(self, topic: str, partitions: int = 1, **properties):
        self.ask("create", topic, str(partitions), *(f"{name.replace('_', '.')}={value}" for name, value in properties.items()))

    def count(self, topic: str) -> int:
        return int(self.ask("count", topic)[0])

    def read(self, topic: str) -> list:
        """The records of a topic."""
        return [record(line) for line in self.ask("read", topic)]

    def batches(self, topic: str) -> list:
        """The batches in the segments of a topic, in their order in each partition."""
        return [stored(line) for line in self.ask("batches", topic, str(self.data))]


class Refused(Failure):
    """What the client was told to do did not come about."""


@contextlib.contextmanager
def kafka(suite, place: Path):
    """A broker that runs, with a user of SCRAM."""
    made = Kafka(suite.component("kafka"), place / "kafka")
    try:
        made.prepare()
        made.start()
        made.ask("user", USER, PASSWORD)
        yield made
    finally:
        made.close()


def record(line: str) -> Record:
    partition, home, key, value, *headers = line.split("\t")
    pairs = [header.split("=", 1) for header in headers]
    return Record(
        int(partition), None if home == "-" else int(home), decoded(key), decoded(value) or b"",
        {name: (decoded(value) or b"").decode() for name, value in pairs},
    )


def decoded(text: str) -> bytes | None:
    return None if text == "-" else base64.b64decode(text)


def stored(line: str) -> Stored:
    partition, compression, *numbers = line.split("\t")
    return Stored(int(partition), compression, *map(int, numbers))
