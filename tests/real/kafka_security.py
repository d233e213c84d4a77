"""TLS and SASL at Apache Kafka: every way in, and what is said to who may not come in."""

import base64
import contextlib
import json
import re
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from certificates import Authority
from findings import compact
from kafka_broker import PASSWORD, USER, Kafka
from kafka_flow import LANDING_SECONDS, Flow, last_line, once_each, sink
from report import Report
from servers import wait_until

FINDINGS = 60
TOKEN_SECONDS = 3600


class Credentials:
    """The files that the sinks are told to read."""

    def __init__(self, place: Path, broker: Kafka):
        self.authority = broker.authority.path
        self.stranger = Authority(place, "stranger").path
        self.certificate, self.key = broker.authority.issue("client")
        self.password, self.token = place / "password", place / "token"
        self.password.write_text(PASSWORD)
        self.token.write_text(unsecured_token())

    def tls(self, authority: Path, more: str = "") -> str:
        return f"[sink.kafka.out.tls]\nca_file = {quoted(authority)}\n{more}"

    def client_certificate(self) -> str:
        return f"certificate_file = {quoted(self.certificate)}\nkey_file = {quoted(self.key)}\n"

    def sasl(self, mechanism: str, password: Path | None = None) -> str:
        words = f'mechanism = "{mechanism}"\nusername = "{USER}"\npassword = {{ file = {quoted(password or self.password)} }}\n'
        return f"[sink.kafka.out.sasl]\n{words}"

    def oauth(self, words: str) -> str:
        return f'[sink.kafka.out.sasl]\nmechanism = "OAUTHBEARER"\n{words}'


def run(suite, place: Path, broker: Kafka, report: Report):
    """A case for each way in, and one for a wrong password."""
    own = Credentials(place, broker)
    given = own.oauth(f"token = {{ file = {quoted(own.token)} }}\n")
    nobody = ("no certificate", own.tls(own.authority), "the client's own certificate")
    strange = ("foreign authority", own.tls(own.stranger) + own.sasl("SCRAM-SHA-512"), "check `ca_file`")
    in_clear = ("no TLS", own.sasl("SCRAM-SHA-512"), "check `tls`")
    mechanism = ("unknown mechanism", own.sasl("SCRAM-SHA-256"), "check the mechanism")
    for name, listener, tables, refused in (
        ("SASL PLAIN", "SASL", own.sasl("PLAIN"), (mechanism,)),
        ("SCRAM-SHA-512", "SASL", own.sasl("SCRAM-SHA-512"), ()),
        ("SCRAM-SHA-512 over TLS", "SASL_TLS", own.tls(own.authority) + own.sasl("SCRAM-SHA-512"), (strange, in_clear)),
        ("mutual TLS", "MUTUAL", own.tls(own.authority, own.client_certificate()), (nobody,)),
        ("OAUTHBEARER, given token", "SASL", given, ()),
    ):
        enter(suite, place, broker, report.case(name), listener, tables, refused)
    with token_endpoint() as (url, granted):
        words = f'token_endpoint = "{url}"\nclient_id = "{USER}"\nclient_secret = {{ file = {quoted(own.password)} }}\n'
        case = report.case("OAUTHBEARER, token endpoint")
        enter(suite, place, broker, case, "SASL", own.oauth(words), ())
        case.check("the tokens came from the endpoint", granted, f"{len(granted)} were handed out")
    wrong_password(suite, place, broker, own, report.case("wrong password"))


def enter(suite, place: Path, broker: Kafka, case: Report, listener: str, tables: str, refused: tuple):
    """Delivers through a secured listener, and asks in the ways that have to be refused."""
    topic = re.sub("[^a-z0-9]+", "-", case.scenario.lower())
    broker.create(topic)
    for how, wrong, remedy in refused:
        with Flow(suite, place, broker, case, sink(broker.address(listener), topic, wrong), (topic,), how) as flow:
            flow.check_refusal(how, remedy)
    with Flow(suite, place, broker, case, sink(broker.address(listener), topic, tables), (topic,)) as flow:
        flow.start()
        flow.feed.put_findings(FINDINGS)
        flow.finish()
    once_each(case)


def wrong_password(suite, place: Path, broker: Kafka, own: Credentials, case: Report):
    """The lane pauses and keeps everything, and goes on when the file holds the right one."""
    broker.create("locked")
    password = place / "wrong-password"
    password.write_text("wrong-EXAMPLE")
    tables = sink(broker.address("SASL"), "locked", own.sasl("SCRAM-SHA-512", password))
    with Flow(suite, place, broker, case, tables, ("locked",)) as flow:
        flow.check_refusal("wrong password", "check the mechanism and the credentials")
        flow.feed.start()
        flow.feed.put_findings(FINDINGS)
        wait_until("the lane to pause", LANDING_SECONDS, lambda: flow.feed.has_said("lane pauses"))
        case.check("nothing came in", flow.count() == 0, f"{flow.count()} records")
        password.write_text(PASSWORD)
        flow.finish()
        log = flow.feed.log().read_text(errors="replace")
    case.check("the log tells no password", PASSWORD not in log and "wrong-EXAMPLE" not in log)
    once_each(case)


@contextlib.contextmanager
def token_endpoint():
    """Hands out tokens for the client's credentials, as an identity provider does. Gives its URL, and what it handed out."""
    granted = []
    credentials = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            form = urllib.parse.parse_qs(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
            is_known = self.headers.get("Authorization") == f"Basic {credentials}"
            is_right = is_known and form["grant_type"] == ["client_credentials"]
            answer = {"error": "invalid_client"}
            if is_right:
                answer = {"access_token": unsecured_token(), "token_type": "Bearer", "expires_in": TOKEN_SECONDS}
                granted.append(form)
            self.send_response(200 if is_right else 401)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(compact(answer).encode())

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/oauth2/token", granted
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def unsecured_token() -> str:
    """A token without a signature, which the broker's validator for trials takes."""
    now = int(time.time())
    parts = ({"alg": "none"}, {"sub": USER, "iat": now, "exp": now + TOKEN_SECONDS})
    return ".".join(base64.urlsafe_b64encode(compact(part).encode()).decode().rstrip("=") for part in parts) + "."


def quoted(path: Path) -> str:
    return json.dumps(str(path))
