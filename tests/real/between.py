"""A server between siemline and a stand-in: it passes calls on, notes them, and does harm to some."""

import contextlib
import http.client
import threading
import urllib.parse
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# The call was carried out, and nobody is told.
ANSWER_LOST = "answers lost"
# The call never came to the stand-in.
CUT = "calls cut"

# A stand-in on a loaded machine.
ANSWER_SECONDS = 60

# What belongs to one connection, or is said anew.
OF_THE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect"}


@dataclass(frozen=True)
class Call:
    """One call of siemline's."""

    method: str
    # Path and query.
    target: str
    # By their names in small letters.
    headers: dict
    body: bytes
    # What was done to it.
    harm: str | None
    # What the stand-in said; none where it was not asked, or gave no answer.
    status: int | None
    # The body of its answer.
    said: bytes

    def path(self) -> str:
        """The path in plain letters."""
        return urllib.parse.unquote(self.target.partition("?")[0])

    def was_carried_out(self) -> bool:
        return self.status is not None and self.status < 300

    def met_nobody(self) -> bool:
        """The stand-in was away, or went away over it."""
        return self.harm is None and self.status is None


class Between:
    """Which calls came. `harm` is asked for each, with method, target and headers, what is to be done to it."""

    def __init__(self, endpoint: str, harm):
        self.authority = endpoint.removeprefix("http://")
        self.harm = harm
        self.lock = threading.Lock()
        self.noted = []

    def calls(self, is_meant=lambda call: True) -> list:
        with self.lock:
            return [call for call in self.noted if is_meant(call)]

    def done(self) -> Counter:
        """How often each harm was done: the lost answers are those to calls that the stand-in has carried out."""
        return Counter(call.harm for call in self.calls() if call.harm == CUT or call.harm and call.was_carried_out())

    def take(self, method: str, target: str, headers: dict, body: bytes):
        """One call, to the stand-in's answer: status, headers and body; or none."""
        with self.lock:
            harm = self.harm(method, target, headers)
        answer = None if harm == CUT else self.ask(method, target, headers, body)
        with self.lock:
            self.noted.append(Call(method, target, headers, body, harm, answer and answer[0], answer[2] if answer else b""))
        return None if harm else answer

    def ask(self, method: str, target: str, headers: dict, body: bytes) -> tuple | None:
        connection = http.client.HTTPConnection(self.authority, timeout=ANSWER_SECONDS)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            passed = {name: value for name, value in headers.items() if name not in OF_THE_CONNECTION}
            connection.request(method, target, body, passed)
            answer = connection.getresponse()
            said = [(name, value) for name, value in answer.getheaders() if name.lower() not in OF_THE_CONNECTION]
            return answer.status, said, answer.read()
        return None


def none(_method: str, _target: str, _headers: dict):
    """No harm."""


def some(harm: str, limit: int, is_meant):
    """Does it to every other call that is meant, so often, and to no other call."""
    counts = iter(range(2 * limit))

    def decide(method: str, target: str, headers: dict):
        return harm if is_meant(method, target, headers) and next(counts, 1) % 2 == 0 else None

    return decide


@contextlib.contextmanager
def between(endpoint: str, harm=none):
    """Serves it, and gives its URL and what it notes."""
    made = Between(endpoint, harm)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = made.take(self.command, self.path, headers, body)
            if answer is None:
                self.close_connection = True
                return
            status, headers, body = answer
            self.send_response_only(status)
            for name, value in [*headers, ("Content-Length", len(body))]:
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(body)

        do_DELETE = do_GET = do_POST = do_PUT = pass_on

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_):
            """Who asked has gone: what that costs is counted in the bucket."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
