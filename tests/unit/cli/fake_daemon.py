# SPDX-License-Identifier: Apache-2.0
"""A stand-in for weftd's control socket: canned answers to the requests of docs/api.md.

As a module: FakeDaemon(path) serves in threads of the test; `answers` maps (method, path) to
(status, body) or to a function of the request; `requests` lists what was asked.

As a program it plays weftd for `weft up`: see FAKE in the environment, below.
"""

import json
import os
import pathlib
import signal
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler

STATUS = {
    "id": "abcdefghijklmnopqrstuvwxyz", "name": "site-a", "version": "0.1.0", "incarnation": 4,
    "uptime_s": 11520, "verdict": "healthy",
    "links": {"established": 3, "connecting": 0, "failed": 0},
    "peers": {"reachable": 4, "known": 5}, "services": 2,
    "streams": {"open": 1, "opened": 12, "resumed": 2}, "rss_bytes": 5100000,
    "cipher": "aes-256-gcm", "provider": "libcrypto 3.0.15, libsodium 1.0.18 if small",
    "listen": ["[::]:9338"], "control": "/x/control.sock",
    "state": "/x", "degree": 8, "problems": [], "culprits": [], "strangers": [], "forwarded": 0,
    "dropped": {"no_route": 0, "no_hops": 0, "no_room": 0, "late": 0, "memory": 0},
    "sessions": [], "session_count": 0,
}  # fmt: skip
LINKS = [
    {"peer": "b" * 26, "name": "relay-1", "address": "192.0.2.1:9338", "direction": "out",
     "state": "established", "since_s": 100.0, "rtt_ms": 1.25, "tx_bytes": 1500000,
     "rx_bytes": 2000, "queue_bytes": 0, "error": "", "retry_s": None, "trial_s": None},
    {"peer": "", "name": "", "address": "relay-2:9338", "direction": "out", "state": "waiting",
     "since_s": None, "rtt_ms": None, "tx_bytes": 0, "rx_bytes": 0, "queue_bytes": 0,
     "error": "connection refused", "retry_s": 11.2},
]  # fmt: skip
PEERS = [
    {"id": "a" * 26, "name": "site-a", "reachable": True, "hops": 0, "cost_ms": 0, "next_hop": "",
     "links": 3, "version": "0.1.0", "incarnation": 4, "addresses": [], "labels": {},
     "name_clash": False, "self": True},
    {"id": "b" * 26, "name": "relay-1", "reachable": True, "hops": 1, "cost_ms": 1.5,
     "next_hop": "b" * 26, "next_hop_name": "relay-1", "links": 2, "version": "0.1.0", "incarnation": 1, "addresses": [],
     "labels": {}, "name_clash": True, "self": False},
    {"id": "c" * 26, "name": "", "reachable": False, "hops": None, "cost_ms": None, "next_hop": "",
     "links": 0, "version": "0.1.0", "incarnation": 9, "addresses": [], "labels": {},
     "name_clash": False, "self": False},
]  # fmt: skip
ROUTES = [{"peer": "b" * 26, "name": "relay-1", "next_hop": "b" * 26, "next_hop_name": "relay-1",
           "hops": 1, "cost_ms": 1.5}]  # fmt: skip
SERVICES = [
    {"name": "web", "namespace": "default", "protocol": "tcp", "endpoints": [
        {"peer": "b" * 26, "peer_name": "site-b", "address": "127.0.0.1:8080", "state": "fresh",
         "weight": 1, "self": False, "age_s": 75}]},
    {"name": "db", "namespace": "prod", "protocol": "tcp", "endpoints": [
        {"peer": "a" * 26, "peer_name": "site-a", "address": "127.0.0.1:5432", "state": "stale",
         "weight": 1, "self": True, "age_s": 3700}]},
]  # fmt: skip
TOPOLOGY = {
    "nodes": [{"id": "a" * 26, "name": "site-a", "reachable": True, "self": True},
              {"id": "b" * 26, "name": "relay-1", "reachable": True, "self": False},
              {"id": "c" * 26, "name": 'quo"te\\', "reachable": False, "self": False}],
    "links": [{"a": "a" * 26, "b": "b" * 26, "cost_ab_ms": 1.5, "cost_ba_ms": 2.5}],
}  # fmt: skip
FORWARDS = [{"service": "web", "namespace": "default", "address": "127.0.0.1:40001",
             "connections": 1, "accepted": 7, "failed": 0, "error": ""}]  # fmt: skip
EVENTS = [
    {"seq": 1, "time": "2026-11-20T22:50:26.005Z", "level": "info", "event": "link-up",
     "detail": {"peer": "relay-1", "link": "1"}},
    {"seq": 2, "time": "2026-11-20T22:50:27.005Z", "level": "warn", "event": "link-down",
     "detail": {"peer": "relay-1", "why": "timed out"}},
]  # fmt: skip


def standard_answers():
    """Every request that is answered alike by any healthy daemon."""
    return {
        ("GET", "/v1/status"): (200, STATUS),
        ("GET", "/v1/links"): (200, LINKS),
        ("GET", "/v1/peers"): (200, PEERS),
        ("GET", "/v1/routes"): (200, ROUTES),
        ("GET", "/v1/services"): (200, SERVICES),
        ("GET", "/v1/topology"): (200, TOPOLOGY),
        ("GET", "/v1/forwards"): (200, FORWARDS),
        ("GET", "/v1/version"): (200, {"version": "9.9.9"}),
        ("GET", "/healthz"): (200, {"live": True}),
        ("GET", "/readyz"): (200, {"ready": True, "verdict": "healthy"}),
        ("POST", "/v1/stop"): (200, {}),
    }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def address_string(self):
        return "unix"

    def answer(self):
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length)) if length else None
        daemon = self.server.daemon
        daemon.requests.append((self.command, self.path, body))
        found = daemon.answers.get((self.command, self.path))
        status, value = found(self, body) if callable(found) else found or (
            404, {"error": "not-found", "message": f"no {self.path} here"})
        if value is None:
            return  # the function wrote the answer itself
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = answer  # noqa: N815


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, *_):
        pass  # a client that went away is part of the tests


class FakeDaemon:
    def __init__(self, path, answers=None):
        """`answers` go on top of the standard ones before anybody can ask."""
        self.path = str(path)
        self.answers = {**standard_answers(), **(answers or {})}
        self.requests = []
        self.server = Server(self.path, Handler)
        self.server.daemon = self
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        pathlib.Path(self.path).unlink(missing_ok=True)


def flags_of(argv):
    """[--flag, value, ...] as (flag, value) pairs."""
    return list(zip(argv[0::2], argv[1::2], strict=True))


def stop_answer(handler, _body):
    """Answers, and exits only a good while later: `weft down` must wait for that."""
    daemon = handler.server.daemon
    daemon.answers[("GET", "/v1/status")] = (200, dict(STATUS, verdict="leaving"))
    pathlib.Path(daemon.path + ".stopping").touch()
    threading.Timer(0.3, os._exit, args=(0,)).start()
    return 200, {}


def in_turn(answers):
    """Each answer once, and the last one for ever."""
    left = list(answers)
    return lambda _handler, _body: tuple(left.pop(0) if len(left) > 1 else left[0])


def play_weftd(argv):
    """FAKE, a JSON object: `exit` and `say` end at once; `busy_unless_listen` exits 1 unless
    --listen is given; else it serves, with `answers` ({"GET /path": [status, body]}) on top, and
    `in_turn` ({"GET /path": [[status, body], ...]}) where an answer changes."""
    fake = json.loads(os.environ.get("FAKE", "{}"))
    flags = flags_of(argv)
    values = dict(flags)
    state = pathlib.Path(values["--state"])
    runs = state / "runs.json"
    before = json.loads(runs.read_text()) if runs.exists() else []
    runs.write_text(json.dumps([*before, argv]))
    if "say" in fake:
        print(fake["say"], file=sys.stderr, flush=True)
    if "exit" in fake:
        return fake["exit"]
    if fake.get("busy_unless_listen") and "--listen" not in values:
        return 1
    # Not before this line: whoever sees the socket may send a signal.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    pathlib.Path(values["--control"]).unlink(missing_ok=True)  # of one that was killed, as weftd does
    answers = {("POST", "/v1/stop"): stop_answer,
               ("GET", "/v1/invite"): (200, {"token": "weft1:TOKEN"})}  # fmt: skip
    for key, answer in fake.get("answers", {}).items():
        answers[tuple(key.split(" "))] = tuple(answer)
    for key, changing in fake.get("in_turn", {}).items():
        answers[tuple(key.split(" "))] = in_turn(changing)
    daemon = FakeDaemon(values["--control"], answers)
    print("ready", flush=True)
    got = signal.sigwait({signal.SIGTERM, signal.SIGINT})
    (state / "signal").write_text(str(int(got)))
    (state / "requests.json").write_text(json.dumps(daemon.requests))
    daemon.close()
    return fake.get("exit_after", 0)


if __name__ == "__main__":
    sys.exit(play_weftd(sys.argv[1:]))
