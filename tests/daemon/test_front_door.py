# SPDX-License-Identifier: Apache-2.0
"""The three commands of README.md, read from there and run by a shell, one machine each, timed.

As root a machine is a network namespace, the two joined by a veth pair and nothing else: default
port, no shared loopback. Without root, or where namespaces cannot be made, they share the loopback
and WEFT_LISTEN gives each a port of its own.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import unittest

import harness
from harness import PATIENCE, WeftTest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(harness.WEFTD).resolve().parent
LIMIT_S = 20.0  # sanitized and on a busy machine; measured without both: 0.4 s
PAGE = "served behind site-a\n"


def readme_commands():
    """[(machine, command)] of the tour on two machines, without the remarks."""
    text = (ROOT / "README.md").read_text()
    found = re.findall(r"^    (site-[ab])\$ (.+?) *(?:#.*)?$", text, re.MULTILINE)
    assert [machine for machine, _ in found] == ["site-a", "site-b", "site-b"], found
    return found


def can_make_namespaces():
    tools = all(shutil.which(tool) for tool in ("unshare", "nsenter", "ip"))
    return (
        tools
        and os.geteuid() == 0
        and subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode == 0
    )


class Machine:
    """A home, and perhaps a network, of its own."""

    def __init__(self, test, name):
        self.test = test
        self.name = name
        self.home = test.folder / name
        self.home.mkdir()
        self.state = self.home / "state"
        self.inside = []  # the prefix of commands that run there
        self.listen = None

    def environment(self):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("WEFT_", "XDG_"))}
        kept.pop("http_proxy", None)
        path = f"{BIN}:{kept.get('PATH', '/usr/bin:/bin')}"
        more = {"WEFT_LISTEN": self.listen} if self.listen else {}
        # As root the state would go to /var/lib/weft, which is this machine's own.
        return {**kept, "HOME": str(self.home), "WEFT_STATE": str(self.state), "PATH": path, **more}

    def run(self, command):
        done = subprocess.run(
            [*self.inside, "sh", "-c", command], capture_output=True, text=True,
            timeout=PATIENCE * 2, env=self.environment(), stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self.test.assertEqual(done.returncode, 0, f"{self.name}$ {command}\n{done.stderr}")
        return done.stdout

    def spawn(self, *command):
        process = subprocess.Popen(
            [*self.inside, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.test.addCleanup(process.stdout.close)
        self.test.addCleanup(process.wait)
        self.test.addCleanup(process.kill)
        return process

    def pid(self):
        try:
            return int((self.state / "lock").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def is_alive(self):
        """Whether the daemon that took the lock is there, not another of its number or a zombie."""
        try:
            stat = pathlib.Path(f"/proc/{self.pid()}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return False
        return "(weftd) " in stat and "(weftd) Z" not in stat

    def end(self):
        """For the end of a test that failed."""
        if self.is_alive():
            os.kill(self.pid(), signal.SIGKILL)

    def log(self):
        return (self.state / "weftd.log").read_text()


class Tour:
    """What both worlds have in common; a world makes machines and may move the port."""

    web_port = 8080

    def machines(self, *names):
        made = {name: self.machine(name) for name in names}
        self.connect(list(made.values()))
        for machine in made.values():
            self.addCleanup(machine.end)
        return made

    def serve_page(self, machine):
        folder = machine.home / "www"
        folder.mkdir()
        (folder / "index.html").write_text(PAGE)
        server = machine.spawn(
            sys.executable, "-u", "-m", "http.server", str(self.web_port), "--bind", "127.0.0.1",
            "--directory", str(folder),
        )  # fmt: skip
        self.assertIn(b"Serving HTTP", server.stdout.readline())  # said once it listens

    def play(self, machines):
        """Runs the README's commands; what was printed stands where it says `...` and PORT."""
        token = port = out = None
        begun = time.monotonic()
        took = []
        for name, command in readme_commands():
            command = command.replace("127.0.0.1:8080", f"127.0.0.1:{self.web_port}")
            command = command.replace("weft1:...", token or "").replace("PORT", port or "")
            before = time.monotonic()
            out = machines[name].run(command)
            took.append(f"{time.monotonic() - before:.2f} s")
            token = token or re.search(r"weft1:\S+", out).group(0)
            found = re.search(r"^web is at 127\.0\.0\.1:(\d+)$", out, re.MULTILINE)
            port = found.group(1) if found else port
        total = time.monotonic() - begun
        print(f"    measured: {' + '.join(took)} = {total:.2f} s", file=sys.stderr, flush=True)
        self.assertEqual(out, PAGE)
        self.assertLess(total, LIMIT_S)
        return token

    def leave(self, machines):
        for machine in machines.values():
            machine.run("weft down")
            self.assertFalse(machine.is_alive())
            self.assertIsNone(harness.SANITIZER.search(machine.log()), machine.log())

    def test_the_three_commands_of_the_readme(self):
        machines = self.machines("site-a", "site-b")
        self.serve_page(machines["site-a"])
        self.play(machines)
        self.leave(machines)

    def test_a_third_machine_joins_with_the_same_invitation(self):
        machines = self.machines("site-a", "site-b", "site-c")
        self.serve_page(machines["site-a"])
        token = self.play(machines)
        third = machines["site-c"]
        out = third.run(f"weft up --join {token} --forward web")
        port = re.search(r"^web is at 127\.0\.0\.1:(\d+)$", out, re.MULTILINE).group(1)
        self.assertEqual(third.run(f"curl -sS http://127.0.0.1:{port}/"), PAGE)
        self.leave(machines)

    def test_a_log_in_json_is_json_in_every_line(self):
        machines = self.machines("site-a")
        machines["site-a"].run("weft up --log-format json --name site-a")
        log = machines["site-a"].log()
        first = json.loads(log.splitlines()[0])
        self.assertEqual((first["event"], first["name"]), ("started", "site-a"))
        self.leave(machines)
        for line in machines["site-a"].log().splitlines():
            json.loads(line)

    def test_what_is_in_an_invitation_is_shown_without_the_secret(self):
        machines = self.machines("site-a")
        token = re.search(r"weft1:\S+", machines["site-a"].run("weft up")).group(0)
        secret = re.search(r"[0-9a-f]{64}", (machines["site-a"].state / "secret").read_text())
        shown = machines["site-a"].run(f"weft invite show {token}")
        self.assertIn("addresses", shown)
        self.assertNotIn(secret.group(0), shown)
        self.leave(machines)


class OnLoopback(Tour, WeftTest):
    def setUp(self):
        super().setUp()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.web_port = probe.getsockname()[1]

    def machine(self, name):
        machine = Machine(self, name)
        machine.listen = "127.0.0.1:0"
        return machine

    def connect(self, machines):
        pass


@unittest.skipUnless(can_make_namespaces(), "no network namespaces: not root, or not allowed")
class InNamespaces(Tour, WeftTest):
    def machine(self, name):
        machine = Machine(self, name)
        machine.inside = self.namespace()
        return machine

    def namespace(self):
        """A network namespace that lives until the process in it reads the end of its input."""
        process = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo ready; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.stdin.close)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        inside = ["nsenter", f"--net=/proc/{process.pid}/ns/net"]
        subprocess.run([*inside, "ip", "link", "set", "lo", "up"], check=True)
        return inside

    def connect(self, machines):
        """One cable from every machine into a switch that nothing else is on."""
        switch = self.namespace()
        subprocess.run([*switch, "ip", "link", "add", "br0", "type", "bridge"], check=True)
        subprocess.run([*switch, "ip", "link", "set", "br0", "up"], check=True)
        for number, machine in enumerate(machines, 1):
            path = machine.inside[1].removeprefix("--net=")
            pid = path.split("/")[2]
            port = f"port{number}"
            for command in (
                [*switch, "ip", "link", "add", port, "type", "veth", "peer", "name", "eth0",
                 "netns", pid],
                [*switch, "ip", "link", "set", port, "master", "br0", "up"],
                [*machine.inside, "ip", "addr", "add", f"10.9.8.{number}/24", "dev", "eth0"],
                [*machine.inside, "ip", "link", "set", "eth0", "up"],
            ):  # fmt: skip
                subprocess.run(command, check=True)


if __name__ == "__main__":
    harness.main()
