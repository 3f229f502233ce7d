# SPDX-License-Identifier: Apache-2.0
"""Real programs talking through real daemons, all on loopback.

The daemons are those of WEFT_BIN (by default build/release/bin: speed is part of what is tested),
or else the harness's own. WEFT_SANITIZED says that a sanitizer slows them and keeps what they free:
sizes are smaller then, and memory is not compared. A program that is not installed skips its tests.
"""

import contextlib
import hashlib
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import threading
import time

import harness
from harness import PATIENCE, POLL, WeftTest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("WEFT_BIN", ROOT / "build/release/bin"))
if (BIN / "weftd").exists():
    harness.WEFTD = str(BIN / "weftd")
else:
    print(f"no weftd in {BIN}: testing {harness.WEFTD}", file=sys.stderr)

MEGABYTE = 1_000_000
IS_SANITIZED = bool(os.environ.get("WEFT_SANITIZED"))
BIG = 60 * MEGABYTE if IS_SANITIZED else 300 * MEGABYTE
SEED = int(os.environ.get("WEFT_SEED", random.randrange(1 << 32)))


def find_program(name, *folders):
    """Where it is, or None. Debian keeps some out of an ordinary user's PATH."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", *map(str, folders)])
    return shutil.which(name, path=path)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def write_random(path, size):
    """A file that nothing could compress or guess; its SHA-256."""
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        while size > 0:
            block = os.urandom(min(size, 1 << 20))
            digest.update(block)
            size -= file.write(block)
    return digest.hexdigest()


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pings(connected, count):
    """Round trips in ms of those that came back, one after the other, over a datagram or a stream socket."""
    times = []
    connected.settimeout(2)
    for number in range(count):
        data = b"%04d" % number
        begun = time.monotonic()
        connected.send(data)
        with contextlib.suppress(TimeoutError):
            while connected.recv(4) != data:
                pass
            times.append((time.monotonic() - begun) * 1000)
    return times


def report(text):
    """A measured number; shown with the test's result."""
    print(f"    measured: {text}", file=sys.stderr, flush=True)


class Progress:
    """Takes what a program writes, into a file if there is one: how much that is so far, and the
    longest that nothing came."""

    def __init__(self, process, target=None):
        self.source = os.dup(process.stdout.fileno())
        self.target = target
        self.value = 0
        self.changed = time.monotonic()
        self.longest = 0.0
        self.is_over = False
        self.moved = threading.Condition()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(open(self.target, "wb")) if self.target else None
            stack.callback(os.close, self.source)
            while data := os.read(self.source, 1 << 18):
                if file is not None:
                    file.write(data)
                self.note(len(data))
        with self.moved:
            self.is_over = True
            self.moved.notify_all()

    def note(self, count):
        now = time.monotonic()
        with self.moved:
            self.longest = max(self.longest, now - self.changed)
            self.value, self.changed = self.value + count, now
            self.moved.notify_all()

    def wait(self, seconds, until=None):
        """Until it passed a mark, or the program wrote its last; at most so long. Whether so."""
        with self.moved:
            return self.moved.wait_for(
                lambda: self.is_over or (until is not None and self.value >= until), seconds
            )


def descriptors(pid):
    """What each descriptor of a process is."""
    for entry in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            yield os.readlink(f"/proc/{pid}/fd/{entry}")


def connected_controls(node):
    """Connections to the control socket, which come and go with our questions."""
    with open("/proc/net/unix") as table:
        rows = [line.split() for line in table if line.rstrip().endswith(str(node.control))]
    return {f"socket:[{row[6]}]" for row in rows if row[5] == "03"}


def lasting_descriptors(node):
    """What each descriptor of a daemon is, but for connections to its control socket."""
    control = connected_controls(node)
    return [name for name in descriptors(node.process.pid) if name not in control]


def is_at_rest(status):
    """No stream, and no socket of an application either: those may end a moment later."""
    return status["streams"]["open"] == 0 and status["connections"] == 0


class RealTest(WeftTest):
    """Two sites that can only meet over relays, as in the demo."""

    def need(self, name, *folders):
        found = find_program(name, *folders)
        if found is None:
            self.skipTest(f"{name} is not installed")
        return found

    def sites(self, relays=1, **services):
        """Starts relays and two sites; the services stand behind site-b, forwards at site-a."""
        self.relays = [self.node("relay-1", "--discovery", "off")]
        for number in range(2, relays + 1):
            self.relays.append(self.join(f"relay-{number}", self.relays[0], "--discovery", "off"))
        for relay in self.relays:
            relay.listen = relay.address  # where it is found again after a restart
        self.site_b = self.site("site-b", "--service", services)
        self.site_a = self.site("site-a", "--forward", {name: "0" for name in services})
        for name in services:
            self.site_a.wait_service(name)
        self.site_a.wait_links(relays)
        self.site_b.wait_links(relays)

    def site(self, name, flag, values):
        flags = ["--discovery", "off"]
        for relay in self.relays[1:]:
            flags += ["--seed", relay.address]
        for key, value in values.items():
            flags += [flag, f"{key}={value}"]
        return self.join(name, self.relays[0], *flags)

    def forward(self, service):
        """(host, port) at which site-a offers it."""
        host, port = self.site_a.forward_address(service).rsplit(":", 1)
        return host, int(port)

    def url(self, path, service="web"):
        return "http://%s:%d/%s" % (*self.forward(service), path)

    def relay_on_path(self):
        """The relay that carries what goes from site-a to site-b."""
        path = self.site_a.api("POST", "/v1/trace", {"target": "site-b"})["path"]
        self.assertEqual(len(path), 3, path)
        return next(relay for relay in self.relays if relay.name == path[1]["name"])

    def start_program(self, command, **options):
        """A process that is ended with the test, whatever became of it."""
        options.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen(list(map(str, command)), **options)

        def end():
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()

        self.addCleanup(end)
        return process

    def start_server(self, name, command_of, **options):
        """A server on a port of the kernel's choice; command_of(port) starts it. Its address."""
        with open(self.folder / f"{name}.log", "ab") as log:
            for _ in range(3):  # somebody else may take the port first
                port = free_port()
                options.update(stdout=log, stderr=log)
                process = self.start_program(command_of(port), **options)
                if self.wait_port(process, port):
                    return f"127.0.0.1:{port}"
        raise AssertionError(f"{name}: {(self.folder / f'{name}.log').read_text()}")

    def wait_port(self, process, port):
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), PATIENCE).close()
                return True
            time.sleep(POLL / 5)
        return False

    def finish(self, process, patience=120):
        """Waits for a client; what it wrote. It must have succeeded."""
        out, err = process.communicate(timeout=patience)
        self.assertEqual(process.returncode, 0, (process.args, out, err))
        return out.decode() if out is not None else None

    def run_program(self, *command, patience=120, **options):
        return self.finish(
            self.start_program(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options),
            patience,
        )

    def wait_no_streams(self):
        for node in (self.site_a, self.site_b):
            node.wait(lambda: is_at_rest(node.get("status")), "all streams and connections to end")

    # --- nginx and curl ---

    def start_nginx(self):
        """Serves and takes (PUT) files of the folder `www`. Its address."""
        nginx = self.need("nginx")
        self.need("curl")
        self.www = self.folder / "www"
        self.www.mkdir()
        config = self.folder / "nginx.conf"

        def command(port):
            config.write_text(NGINX.format(folder=self.folder, port=port))
            return [nginx, "-e", self.folder / "nginx.err", "-c", config]

        return self.start_server("nginx", command)

    def curl(self, *arguments, **options):
        """Starts curl; a reset or a short answer ends it with a status that is not 0."""
        command = ["curl", "--silent", "--show-error", "--fail", *arguments]
        options.setdefault("stdout", subprocess.PIPE)
        return self.start_program(command, stderr=subprocess.PIPE, **options)

    def download(self, path):
        """Starts a download; (process, where it goes, its progress in bytes)."""
        target = self.folder / f"got-{path}"
        process = self.curl(self.url(path))
        return process, target, Progress(process, target)

    def watch(self, progress, until=None, patience=120):
        """Waits until a download passed a mark, or for its end."""
        progress.wait(patience, until)
        if until is not None:
            self.assertGreaterEqual(progress.value, until, "it ended before, or stands still")


# One process, so that a kill ends all of it; logs and bodies stay in the test's folder.
NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.err;
events {{ worker_connections 2048; }}
http {{
    access_log off; sendfile on;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        root {folder}/www; client_max_body_size 0; dav_methods PUT DELETE;
        location /small/ {{ client_max_body_size 1k; }}
    }}
}}
"""
