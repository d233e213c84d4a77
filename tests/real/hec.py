"""A HEC on the loopback interface that takes events, and for a while does not."""

import contextlib
import gzip
import json
import random
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from forwarder import event_id
from servers import HEC_TOKEN

PATH = "/services/collector/event"

# How it can fail, by the name of the fault: a status, HEC's code, and more headers; or no answer at all.
ANSWERS = {
    "busy": (503, 9, {}),
    "throttled": (429, 26, {"Retry-After": "1"}),
    "broken": (500, 8, {}),
}
SILENT = ("silent after taking", "silent without taking")
FAULTS = (*ANSWERS, *SILENT)


class Hec:
    """What arrived, by event id, in the way that a forwarder's output is looked at."""

    def __init__(self, seed: int, latency_seconds: float, silence_seconds: float):
        self.latency_seconds = latency_seconds
        self.silence_seconds = silence_seconds
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.events = {}
        self.arrivals = Counter()
        # Requests that met a fault, by its name; and requests that no forwarder should send.
        self.hit = Counter()
        self.strange = []
        self.fault, self.fault_until = None, 0.0

    def fail(self, fault: str, seconds: float):
        with self.lock:
            self.fault, self.fault_until = fault, time.monotonic() + seconds

    def recover(self):
        with self.lock:
            self.fault = None

    def delivered(self) -> dict:
        with self.lock:
            return dict(self.events)

    def duplicates(self) -> int:
        with self.lock:
            return sum(self.arrivals.values()) - len(self.arrivals)

    def dead_lettered(self) -> int:
        """The copies count them, for all their sinks."""
        return 0

    def table(self, url: str) -> str:
        """The sink as a configuration names it: small batches and short waits."""
        return f"""
[sink.splunk_hec.soc]
endpoint = "{url}"
token = {{ env = "HEC_TOKEN" }}

[sink.splunk_hec.soc.lane]
batch_entries_max = 50
batch_age_max = "200ms"
requests_in_flight_max = 2
request_timeout = "2s"
retry_first = "100ms"
retry_max = "1s"
"""

    def take(self, headers, path: str, body: bytes) -> tuple | None:
        """One request, to its answer: status, HEC's code and more headers; or none."""
        if headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        events = list(stacked(body.decode()))
        with self.lock:
            if path != PATH or headers.get("Authorization") != f"Splunk {HEC_TOKEN}" or not events:
                self.strange.append(f"{path}: {len(events)} events")
                return 400, 6, {}
            fault = self.fault if time.monotonic() < self.fault_until else None
            if fault:
                self.hit[fault] += 1
            if fault is None or fault == "silent after taking":
                for event in events:
                    self.arrivals[event_id(event)] += 1
                    self.events.setdefault(event_id(event), event)
            latency = self.random.random() * self.latency_seconds
        if fault in SILENT:
            time.sleep(self.silence_seconds)
            return None
        time.sleep(latency)
        return ANSWERS.get(fault, (200, 0, {}))


@contextlib.contextmanager
def serving(hec: Hec):
    """Serves it, and gives its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = hec.take(self.headers, self.path, body)
            if answer is None:
                self.close_connection = True
                return
            status, code, headers = answer
            text = json.dumps({"text": "as the code says", "code": code}).encode()
            # Who asked may have gone: killed, or tired of waiting.
            with contextlib.suppress(OSError):
                self.send_response(status)
                for name, value in {**headers, "Content-Type": "application/json", "Content-Length": len(text)}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(text)

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_):
            """A connection that was cut, mostly by a kill: what it costs is counted at the sinks."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def stacked(text: str):
    """The events of a request: JSON objects, one behind the other."""
    decoder, at = json.JSONDecoder(), 0
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        if at == len(text):
            return
        envelope, at = decoder.raw_decode(text, at)
        yield envelope["event"]
