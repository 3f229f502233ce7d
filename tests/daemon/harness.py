# SPDX-License-Identifier: Apache-2.0
"""Drives real weftd processes on loopback: kernel-chosen ports, state in a temporary folder.

Nothing here sleeps for a guessed time. Waiting means: follow the daemon's events, and look again
at the condition whenever one arrives (or a short poll, for what has no event), until it holds or
the test has waited far longer than it ever should (PATIENCE).
"""

import contextlib
import hashlib
import http.client
import http.server
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import unittest

WEFTD = os.environ.get("WEFTD", "weftd")
PATIENCE = 30.0  # seconds; sanitizers and a busy machine make things slow, never this slow
POLL = 0.05
LEFT_OUT = 77  # the status of a suite of which nothing was run: ctest calls it skipped, not passed
SANITIZER = re.compile(r"ERROR: [A-Za-z]+Sanitizer|runtime error:|assertion|claim")


def can_read(stream, seconds):
    """Whether there is something within that time. Descriptors beyond 1,023 are none of select's."""
    poll = select.poll()
    poll.register(stream, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=PATIENCE):
        super().__init__("weft", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class ApiError(Exception):
    def __init__(self, status, body):
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body


class Node:
    """One weftd process."""

    def __init__(self, test, name, *flags, secret=None, state=None, listen="127.0.0.1:0", env=None):
        self.test = test
        self.name = name
        self.state = pathlib.Path(state or test.folder / name)
        self.flags = list(flags)
        self.listen = listen
        self.env = env or {}
        self.process = None
        self.ready_line = None
        if secret is not None:
            self.put_secret(secret)

    def put_secret(self, text):
        self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.state / "secret"
        path.touch(mode=0o600)
        path.write_text(text)

    @property
    def secret(self):
        return (self.state / "secret").read_text()

    @property
    def control(self):
        return self.state / "control.sock"

    def command(self):
        return [WEFTD, "--name", self.name, "--listen", self.listen, "--state", str(self.state),
                *self.flags]  # fmt: skip

    def spawn(self):
        """Starts the process without waiting for anything."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("WEFT_")}
        environment.update(self.env)
        self.stderr_path = self.test.folder / f"{self.name}.err"
        if self.process is not None:
            self.process.stdout.close()
        with open(self.stderr_path, "ab") as stderr:
            self.process = subprocess.Popen(
                self.command(), stdout=subprocess.PIPE, stderr=stderr, env=environment
            )
        if self not in self.test.processes:
            self.test.processes.append(self)
        return self

    def start(self):
        self.spawn()
        self.ready_line = self.read_line()
        if not self.ready_line.startswith("ready "):
            status = self.process.wait(PATIENCE)
            raise AssertionError(f"{self.name} did not start ({status}): {self.log()}")
        return self

    def read_line(self):
        deadline = time.monotonic() + PATIENCE
        line = b""
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            ready = can_read(self.process.stdout, max(left, 0))
            if not ready:
                raise AssertionError(f"{self.name} said nothing: {self.log()}")
            byte = os.read(self.process.stdout.fileno(), 1)
            if not byte:
                break
            line += byte
        return line.decode()

    def log(self):
        return self.stderr_path.read_text(errors="replace")

    @property
    def address(self):
        """The first address that this node listens on."""
        return re.search(r"listen=([^, ]+)", self.ready_line).group(1)

    @property
    def id(self):
        return re.search(r"id=(\w+)", self.ready_line).group(1)

    def request(self, method, path, body=None, timeout=PATIENCE):
        """The answer as (status, text)."""
        connection = UnixConnection(self.control, timeout)
        with contextlib.closing(connection):
            connection.request(method, path, json.dumps(body) if body is not None else None)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def api(self, method, path, body=None):
        """The answer's JSON; ApiError unless 200."""
        status, text = self.request(method, path, body)
        if status != 200:
            raise ApiError(status, text)
        return json.loads(text)

    def get(self, what):
        return self.api("GET", f"/v1/{what}")

    @contextlib.contextmanager
    def events(self):
        """The socket of an event stream that goes on, behind its headers."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.closing(connection):
            connection.connect(str(self.control))
            connection.sendall(b"GET /v1/events?follow=1 HTTP/1.1\r\nHost: weft\r\n\r\n")
            yield connection

    def wait(self, holds, what):
        """Waits until holds() is true; returns what it returned."""
        deadline = time.monotonic() + PATIENCE
        with self.events() as stream:
            while True:
                result = holds()
                if result:
                    return result
                if time.monotonic() > deadline:
                    raise AssertionError(f"{self.name}: waited in vain for {what}\n{self.log()}")
                if can_read(stream, POLL) and not stream.recv(65536):
                    raise AssertionError(f"{self.name} ended the event stream\n{self.log()}")

    def event_lines(self):
        _, text = self.request("GET", "/v1/events")
        return [json.loads(line) for line in text.splitlines()]

    def wait_event(self, name, **fields):
        def found():
            for event in self.event_lines():
                detail = event["detail"]
                if event["event"] == name and all(detail.get(k) == v for k, v in fields.items()):
                    return event
            return None

        return self.wait(found, f"event {name} {fields}")

    def wait_links(self, count):
        return self.wait(
            lambda: self.get("status")["links"]["established"] == count, f"{count} links"
        )

    def wait_reach(self, *names):
        def reached():
            near = {row["name"] for row in self.get("peers") if row["reachable"]}
            return near.issuperset(names)

        return self.wait(reached, f"reaching {names}")

    def wait_service(self, name, state="fresh"):
        def known():
            for row in self.get("services"):
                if row["name"] == name and any(e["state"] == state for e in row["endpoints"]):
                    return row
            return None

        return self.wait(known, f"{state} service {name}")

    def forward_address(self, service):
        for row in self.get("forwards"):
            if row["service"] == service:
                return row["address"]
        raise AssertionError(f"no forward of {service}")

    def signal(self, number):
        self.process.send_signal(number)

    def wait_exit(self):
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end: {self.log()}") from None

    def stop(self):
        self.signal(signal.SIGTERM)
        return self.wait_exit()

    def kill(self):
        self.process.kill()
        return self.wait_exit()

    def end(self):
        """For the end of a test: whatever state it is in."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


class WeftTest(unittest.TestCase):
    def setUp(self):
        self.processes = []
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="weft-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.addCleanup(self.end_all)

    def end_all(self):
        for node in self.processes:
            node.end()
        for node in self.processes:
            found = SANITIZER.search(node.log())
            if found:
                raise AssertionError(f"{node.name}: {node.log()}")

    def node(self, name, *flags, **options):
        return Node(self, name, *flags, **options).start()

    def join(self, name, first, *flags, **options):
        """A node of the same mesh that dials `first`."""
        return self.node(name, "--seed", first.address, *flags, secret=first.secret, **options)

    def http_service(self, body):
        """An HTTP server with one page; its address."""

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return self.serve(Handler)

    def serve(self, handler):
        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            request_queue_size = 1024  # fewer, and a crowd is met by SYN cookies that fail

        server = Server(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()

        def end():
            server.shutdown()
            thread.join()
            server.server_close()

        self.addCleanup(end)
        return f"127.0.0.1:{server.server_address[1]}"

    def fetch(self, address):
        host, port = address.rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("GET", "/")
            return connection.getresponse().read()


def refused_start(test, *command, env=None):
    """Runs weftd with what it must refuse: (exit status, what it said)."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WEFT_")}
    environment.update(env or {})
    done = subprocess.run(
        [WEFTD, *command], capture_output=True, text=True, timeout=PATIENCE, env=environment
    )
    test.assertIsNone(SANITIZER.search(done.stderr), done.stderr)
    test.assertNotIn("ready", done.stdout)
    return done.returncode, done.stderr


def payload(size):
    """Bytes that no compression or repetition could fake."""
    block = hashlib.sha256(b"weft").digest()
    out = bytearray()
    while len(out) < size:
        block = hashlib.sha512(block).digest()
        out += block * 64
    return bytes(out[:size])


def listening_ports(pid):
    """TCP ports that the process listens on."""
    inodes = set()
    for entry in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            found = re.match(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{entry}"))
            if found:
                inodes.add(found.group(1))
    ports = set()
    for table in ("tcp", "tcp6"):
        with open(f"/proc/{pid}/net/{table}") as file:
            for line in list(file)[1:]:
                fields = line.split()
                if fields[3] == "0A" and fields[9] in inodes:
                    ports.add(int(fields[1].split(":")[1], 16))
    return ports


def tell_left_out(skipped):
    """Says which tests were left out and why; in the file WEFT_LEFT_OUT too, for who runs many suites."""
    suite = pathlib.Path(sys.argv[0]).stem
    lines = [f"left out: {suite}.{test.id().removeprefix('__main__.')}: {reason}"
             for test, reason in skipped]  # fmt: skip
    print("".join(line + "\n" for line in lines), end="", flush=True)
    if "WEFT_LEFT_OUT" in os.environ:
        with open(os.environ["WEFT_LEFT_OUT"], "a") as file:
            file.write("".join(line + "\n" for line in lines))


def main():
    """Runs the tests of a suite; status LEFT_OUT if none of them could be run."""
    result = unittest.main(verbosity=2, exit=False).result
    tell_left_out(result.skipped)
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(LEFT_OUT if result.skipped and len(result.skipped) >= result.testsRun else 0)
