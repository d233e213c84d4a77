"""Servers on the loopback interface: started, waited for, and always stopped."""

import contextlib
import os
import random
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import boto3
import botocore.config

READY_SECONDS = 90
STOP_SECONDS = 3

REGION = "eu-west-1"
# Of no account: the stand-ins take any.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secretEXAMPLE",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
}
HEC_TOKEN = "00000000-0000-4000-8000-0000000EXAMPLE"


class Failure(Exception):
    """What ends a scenario, in words for people."""


def plain_environment(home: Path) -> dict:
    """An environment without proxies, profiles and credentials of the machine's owner."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR", "PYTHONPATH", "SIEMLINE_LOG") if name in os.environ}
    return {**kept, "HOME": str(home), "RUST_BACKTRACE": "1"}


def wait_until(what: str, seconds: float, condition):
    """The first true value of `condition`; a failure when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.1)


def tail(path: Path, lines: int = 25) -> str:
    """The end of a log, indented."""
    with contextlib.suppress(OSError):
        return "\n".join("    " + line for line in path.read_text(errors="replace").splitlines()[-lines:])
    return ""


def stop_process(process: subprocess.Popen, seconds: float) -> int:
    """Asks a process to end, and ends it when it does not in time. Gives its exit code back, negative for a signal."""
    if process.poll() is None:
        process.terminate()
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


@contextlib.contextmanager
def kinesis_local(suite, directory: Path):
    """A Kinesis that splits and merges as the service does. Gives its endpoint."""
    main = suite.component("kinesis_local")
    plain, tls = free_ports(2)
    environment = {"KINESIS_MOCK_PLAIN_PORT": str(plain), "KINESIS_MOCK_TLS_PORT": str(tls), "LOG_LEVEL": "WARN"}
    command = [suite.components["node"], "--require", str(Path(__file__).with_name("loopback.js")), str(main)]
    with server("kinesis-local", command, environment, main.parent, directory, f"http://127.0.0.1:{plain}/healthcheck"):
        yield f"http://127.0.0.1:{plain}"


@contextlib.contextmanager
def moto(directory: Path):
    """CloudWatch Logs and a simple Kinesis. Gives its endpoint."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with server("moto", command, CREDENTIALS, directory, directory, f"http://127.0.0.1:{port}/moto-api/"):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def server(name: str, command: list, environment: dict, cwd: Path, directory: Path, ready_url: str):
    log = directory / f"{name}.log"
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=cwd, env={**plain_environment(directory), **environment},
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )
    try:
        def is_ready():
            if process.poll() is not None:
                raise Failure(f"{name} ended with exit code {process.returncode} before it was ready:\n{tail(log)}")
            return answers(ready_url)

        wait_until(f"{name} to be ready", READY_SECONDS, is_ready)
        print(f"  {name} is ready after {time.monotonic() - began:.1f} s", flush=True)
        yield
    finally:
        stop_process(process, STOP_SECONDS)


def answers(url: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5) as answer:
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False


def free_ports(count: int) -> list:
    """Ports where nobody listens, below those that the system gives to clients: none of these takes one meanwhile."""
    sockets = []
    try:
        while len(sockets) < count:
            with contextlib.suppress(OSError):
                sockets.append(socket.create_server(("127.0.0.1", random.randrange(16_000, 32_000))))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def client(service: str, endpoint: str):
    """A client of a stand-in, which retries what a loaded machine makes slow."""
    return boto3.client(
        service, endpoint_url=endpoint, region_name=REGION,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        config=botocore.config.Config(
            retries={"mode": "standard", "total_max_attempts": 5}, connect_timeout=10, read_timeout=60, proxies={},
        ),
    )
