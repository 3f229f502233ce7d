#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the daemon of the release build gives up, says to a service manager, and keeps out of core files."""

import contextlib
import hashlib
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import time
import unittest

import harness
import real
from harness import PATIENCE, Node, WeftTest

ALL = "privileges,dumps,files,calls"
UNIT = real.ROOT / "packaging/weft.service"


def program(test, name):
    found = real.find_program(name)
    return found if found is not None else test.skipTest(f"{name} is not installed")


def has_landlock():
    """Asks the kernel for its version, as the daemon does."""
    import ctypes

    return ctypes.CDLL(None, use_errno=True).syscall(444, None, 0, 1) > 0


class Sandbox(WeftTest):
    def thread_facts(self, node, key):
        """The key's value for each thread of the daemon."""
        for task in pathlib.Path(f"/proc/{node.process.pid}/task").iterdir():
            yield re.search(rf"^{key}:\s*(\d+)", (task / "status").read_text(), re.M).group(1)

    def configured(self, text, *flags, **options):
        self.etc = self.folder / "etc"
        self.etc.mkdir()
        self.file = self.etc / "weft.yaml"
        self.file.write_text(text)
        return self.node("a", "--config", str(self.file), *flags, **options)

    def reload(self, node, event):
        before = sum(e["event"] == event for e in node.event_lines())
        node.signal(signal.SIGHUP)
        return node.wait(
            lambda: [e for e in node.event_lines() if e["event"] == event][before:], event
        )[0]

    def test_it_is_in_force_for_every_thread(self):
        a = self.node("a")
        expected = ALL if has_landlock() else ALL.replace("files,", "")
        self.assertEqual(a.get("status")["sandbox"], expected)
        self.assertEqual(set(self.thread_facts(a, "NoNewPrivs")), {"1"})
        self.assertEqual(set(self.thread_facts(a, "Seccomp")), {"2"})
        limits = pathlib.Path(f"/proc/{a.process.pid}/limits").read_text()
        self.assertRegex(limits, r"Max core file size +0 +0 ")

    def test_off_is_off_and_says_so(self):
        for options in ({}, {"env": {"WEFT_SANDBOX": "off"}}):
            flags = [] if options else ["--sandbox", "off"]
            a = self.node(f"a{len(flags)}", *flags, **options)
            self.assertEqual(a.get("status")["sandbox"], "off")
            self.assertEqual(set(self.thread_facts(a, "Seccomp")), {"0"})
            self.assertEqual(set(self.thread_facts(a, "NoNewPrivs")), {"0"})
            self.assertIn("warn sandbox in-force=off", a.log())

    def test_a_configuration_that_was_replaced_is_read_again(self):
        a = self.configured("services:\n  web: 127.0.0.1:80\n")
        fresh = self.etc / "weft.yaml.new"
        fresh.write_text("services:\n  db: 127.0.0.1:5432\n")
        os.replace(fresh, self.file)
        self.reload(a, "reloaded")
        self.assertEqual([row["name"] for row in a.get("services")], ["db"])

    def test_a_file_elsewhere_cannot_be_read(self):
        if not has_landlock():
            self.skipTest("this kernel has no Landlock")
        a = self.configured("name: a\n")
        (self.folder / "elsewhere.yaml").write_text("services:\n  db: 127.0.0.1:5432\n")
        self.file.unlink()
        self.file.symlink_to(self.folder / "elsewhere.yaml")
        event = self.reload(a, "reload-refused")
        self.assertIn("ermission denied", event["detail"]["why"])
        self.assertEqual(a.get("services"), [])

    def test_names_resolve_and_new_ports_listen(self):
        a = self.node("a", "--service", f"web={self.http_service(b'page')}")
        port = a.address.rsplit(":", 1)[1]
        b = self.node("b", "--seed", f"localhost:{port}", secret=a.secret)
        b.wait_service("web")
        made = b.api("POST", "/v1/forwards", {"service": "web", "address": "127.0.0.1:0"})
        self.assertEqual(self.fetch(made.get("address") or b.forward_address("web")), b"page")
        c = self.node("c", "--service", f"far=localhost:{port}", "--seed", a.address, secret=a.secret)
        c.wait_reach("b")


class Secrets(WeftTest):
    def secrets_of(self, node):
        """Each long-lived secret of a node by name, in the form that its memory holds it."""
        digits = re.compile(r"^[0-9a-f]{64}$", re.M)
        mesh = bytes.fromhex(digits.search(node.secret).group())
        found = {"the mesh secret": mesh}
        identity = (node.state / "identity").read_text()
        found["the identity"] = bytes.fromhex(digits.search(identity).group())
        for label in ("weft link psk", "weft session psk"):
            found[label] = hashlib.blake2b(label.encode(), key=mesh, digest_size=32).digest()
        return found

    def keys_in(self, core, node):
        return [name for name, secret in self.secrets_of(node).items() if secret in core]

    def core_of(self, node):
        gcore = program(self, "gcore")
        done = subprocess.run(
            [gcore, "-o", self.folder / "core", str(node.process.pid)],
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        core = self.folder / f"core.{node.process.pid}"
        if not core.exists():
            self.skipTest(f"gcore may not look at the daemon: {done.stderr.strip()[-200:]}")
        return core.read_bytes()

    def pair(self, *flags):
        """Two nodes that have a link and an end-to-end session."""
        a = self.node("a", "--service", f"web={self.http_service(b'page')}", *flags)
        a.api("POST", "/v1/services", {"name": "mnemosyne", "endpoint": "127.0.0.1:1"})
        b = self.join("b", a, "--forward", "web=0")
        b.wait_service("web")
        self.assertEqual(self.fetch(b.forward_address("web")), b"page")
        return a

    def test_a_core_of_a_daemon_with_its_sandbox_holds_no_memory(self):
        a = self.pair()
        core = self.core_of(a)
        self.assertFalse(b"mnemosyne" in core)
        self.assertEqual(self.keys_in(core, a), [])

    def test_a_core_without_the_sandbox_holds_memory_but_no_key(self):
        a = self.pair("--sandbox", "off")
        core = self.core_of(a)
        self.assertTrue(b"mnemosyne" in core)  # it does hold what it knows
        self.assertEqual(self.keys_in(core, a), [])


class Manager(WeftTest):
    """A service manager that hears what systemd would."""

    def setUp(self):
        super().setUp()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        self.socket.bind(str(self.folder / "notify"))

    def heard(self):
        ready, _, _ = select.select([self.socket], [], [], PATIENCE)
        self.assertTrue(ready, "nothing was said")
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().split("\n"))

    def managed(self, *flags, **env):
        return self.node("a", *flags, env={"NOTIFY_SOCKET": str(self.folder / "notify"), **env})

    def test_ready_reload_and_stop_are_told_in_order(self):
        a = self.managed()
        ready = self.heard()
        self.assertEqual(ready["READY"], "1")
        self.assertTrue(ready["STATUS"].startswith("healthy: 0 links, 0 of 0 peers"), ready)
        before = time.monotonic_ns() // 1000
        a.signal(signal.SIGHUP)
        reloading = self.heard()
        self.assertEqual(reloading["RELOADING"], "1")
        self.assertTrue(before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000)
        self.assertEqual(self.heard()["READY"], "1")
        a.signal(signal.SIGTERM)
        self.assertEqual(self.heard()["STOPPING"], "1")
        self.assertEqual(a.wait_exit(), 0)

    def test_who_was_told_that_it_is_ready_is_let_in_at_once(self):
        """Each listener is bound by then: for peers, of a forward, for the control socket and the pages."""
        peers, forward, pages = (real.free_port() for _ in range(3))
        a = Node(self, "a", "--forward", f"web={forward}", "--http", f"127.0.0.1:{pages}",
                 listen=f"127.0.0.1:{peers}", env={"NOTIFY_SOCKET": str(self.folder / "notify")})  # fmt: skip
        a.spawn()
        self.assertEqual(self.heard()["READY"], "1")
        for port in (peers, forward, pages):  # once each: nobody waits for them here
            # Nobody offers "web": who is let in there is hung up on, maybe before connect returns.
            with contextlib.suppress(ConnectionResetError):
                socket.create_connection(("127.0.0.1", port), PATIENCE).close()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
            control.connect(str(a.control))

    def test_a_reload_that_is_refused_ends_too(self):
        file = self.folder / "weft.yaml"
        file.write_text("name: a\n")
        a = self.managed("--config", str(file))
        self.heard()
        file.write_text("no-such-key: 1\n")
        a.signal(signal.SIGHUP)
        self.assertEqual(self.heard()["RELOADING"], "1")
        self.assertEqual(self.heard()["READY"], "1")

    def test_the_watchdog_hears_of_a_loop_that_turns(self):
        a = self.managed(WATCHDOG_USEC="200000")
        self.heard()
        begun = time.monotonic()
        for _ in range(5):
            self.assertEqual(self.heard()["WATCHDOG"], "1")
        self.assertLess(time.monotonic() - begun, 5)
        a.signal(signal.SIGSTOP)
        self.drain()
        ready, _, _ = select.select([self.socket], [], [], 0.5)
        self.assertEqual(ready, [], "a daemon that stands still vouched for itself")
        a.signal(signal.SIGCONT)
        self.assertEqual(self.heard()["WATCHDOG"], "1")

    def drain(self):
        """SIGSTOP takes hold a moment after it was sent."""
        while select.select([self.socket], [], [], 0.3)[0]:
            self.socket.recv(4096)


class Built(unittest.TestCase):
    """The release build's programs, as the linker left them."""

    def setUp(self):
        if not (real.BIN / "weft").exists():
            self.skipTest(f"no release build in {real.BIN}")

    def readelf(self, name, *flags):
        tool = program(self, "readelf")
        return subprocess.run(
            [tool, "-W", *flags, real.BIN / name], capture_output=True, text=True, check=True
        ).stdout

    def test_position_relro_and_stack(self):
        for name in ("weftd", "weft"):
            header = self.readelf(name, "-h", "-l", "-d")
            self.assertRegex(header, r"Type: +DYN", name)
            self.assertIn("GNU_RELRO", header, name)
            self.assertRegex(header, r"FLAGS_1\).*NOW.*PIE", name)
            self.assertRegex(header, r"GNU_STACK +(0x0+ +)+0x[0-9a-f]+ RW ", name)

    def test_canaries_and_checked_copies(self):
        for name in ("weftd", "weft"):
            symbols = self.readelf(name, "--dyn-syms")
            self.assertIn("__stack_chk_fail", symbols, name)
            self.assertRegex(symbols, r"__(v?snprintf|memcpy|fprintf|read|recv)_chk", name)

    def test_indirect_branches_land_on_marks(self):
        """CET: each function of ours whose address lies in a table begins with endbr64. (The mark
        of the whole file is the C library's to give; Debian 12's start-up code has none.)"""
        if os.uname().machine != "x86_64":
            self.skipTest("this machine is no x86-64")
        for name in ("weftd", "weft"):
            text = re.search(
                r"\] \.text +PROGBITS +(\w+) (\w+) (\w+)", self.readelf(name, "-S")
            ).groups()
            start, offset, size = (int(number, 16) for number in text)
            code = (real.BIN / name).read_bytes()[offset : offset + size]
            stored = re.findall(r"R_X86_64_RELATIVE +([0-9a-f]+)", self.readelf(name, "-r"))
            functions = [int(at, 16) - start for at in stored]
            functions = [at for at in functions if 0 <= at < size]
            self.assertGreater(len(functions), 10, name)
            for at in functions:
                self.assertEqual(code[at : at + 4], b"\xf3\x0f\x1e\xfa", f"{name}: {at + start:x}")


class Unit(unittest.TestCase):
    def test_systemd_finds_little_exposed(self):
        tool = program(self, "systemd-analyze")
        done = subprocess.run(
            [tool, "security", "--no-pager", "--offline=true", "--threshold=12", str(UNIT)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if "xposure" not in done.stdout:
            self.skipTest(f"this systemd-analyze cannot look at files: {done.stderr.strip()}")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_every_line_of_it_is_known(self):
        """To this systemd; notify-reload came with version 253, and older ones pass it over."""
        tool = program(self, "systemd-analyze")
        done = subprocess.run(
            [tool, "security", "--no-pager", "--offline=true", str(UNIT)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        complaints = [line for line in done.stderr.splitlines() if "notify-reload" not in line]
        self.assertEqual(complaints, [])


if __name__ == "__main__":
    harness.main()
