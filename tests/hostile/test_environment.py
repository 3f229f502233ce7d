#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is hostile without meaning it: full disks, taken ports, folders of others and of later
versions, names of 10 kB."""

import contextlib
import os
import shutil
import socket
import sqlite3
import subprocess
import unittest

import hostile
from hostile import HostileTest, harness, refused_start

LONG = "x" * 10240
NOBODY = 65534


class Environment(HostileTest):
    def refuse(self, status, *command):
        said_status, said = refused_start(self, *command)
        self.assertEqual(said_status, status, said)
        self.assertLessEqual(len(said), 2000, "an error is a line, not a dump")
        return said

    def test_a_service_name_of_10_kb_is_refused_everywhere(self):
        a = self.node("a")
        for body in ({"name": LONG, "endpoint": "127.0.0.1:1"},
                     {"name": "web", "namespace": LONG, "endpoint": "127.0.0.1:1"},
                     {"name": "web", "endpoint": LONG}):  # fmt: skip
            status, said = a.request("POST", "/v1/services", body)
            self.assertEqual(status, 400, said)
            self.assertIn("message", said)
            self.assertLess(len(said), 1000)
        status, _ = a.request("POST", "/v1/forwards", {"service": LONG})
        self.assertEqual(status, 400)
        status, _ = a.request("DELETE", f"/v1/services/{LONG}")
        self.assertIn(status, (400, 404, 414))
        for target in (f"/v1/{LONG}", f"/v1/services/{LONG}"):
            status, _ = a.request("GET", target)
            self.assertIn(status, (400, 404, 405, 414))
        self.assertEqual(a.get("services"), [])
        state = ["--listen", "127.0.0.1:0", "--state", str(self.folder / "other")]
        for flags in (["--service", f"{LONG}=127.0.0.1:1"], ["--service", f"web={LONG}:1"],
                      ["--forward", f"{LONG}=0"], ["--name", LONG], ["--seed", LONG]):  # fmt: skip
            said = self.refuse(78, *state, *flags)
            self.assertIn(flags[0], said)
        with contextlib.suppress(BrokenPipeError):  # it need not take all of it to say no
            status, _ = a.request("POST", "/v1/services", {"name": "x" * (4 << 20)})
            self.assertIn(status, (400, 413))
        self.assertEqual(a.get("status")["verdict"], "healthy")

    def test_a_port_in_use_is_told_with_what_to_do(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            said = self.refuse(1, "--listen", address, "--state", str(self.folder / "p"))
        self.assertIn(address, said)
        self.assertIn("--listen", said)

    def test_a_state_folder_of_a_newer_version_is_left_alone(self):
        a = self.node("a")
        a.stop()
        with sqlite3.connect(a.state / "store.db") as store:
            store.execute("UPDATE meta SET value = 9999 WHERE key = 'schema_version'")
        store.close()
        said = self.refuse(78, "--listen", "127.0.0.1:0", "--state", str(a.state))
        self.assertIn("store.db", said)
        self.assertIn("newer", said)
        with sqlite3.connect(a.state / "store.db") as store:
            query = "SELECT value FROM meta WHERE key = 'schema_version'"
            self.assertEqual(store.execute(query).fetchone(), (9999,))
        store.close()

    def test_a_store_that_is_none_is_put_aside_and_told(self):
        """With it goes the count of lives: the mesh remembers later ones and makes it rise above."""
        a = self.node("a")
        b = self.join("b", a)
        c = self.join("c", b, "--discovery", "off")
        b.listen = b.address  # the same port in each life
        for _ in range(3):
            b.stop()
            b.start()
        for node in (a, c):
            node.wait_reach("b")
        lives = b.get("status")["incarnation"]
        b.kill()
        (b.state / "store.db").write_bytes(os.urandom(8192))
        for rest in ("store.db-wal", "store.db-shm"):
            (b.state / rest).unlink(missing_ok=True)
        b.start()
        self.assertIn("store-corrupt", [event["event"] for event in b.event_lines()])
        self.assertEqual(len(list(b.state.glob("store.db.corrupt-*"))), 1)
        for node in (a, c):
            node.wait(lambda node=node: self.incarnation_of(node, b) > lives, "its new life")
            node.wait_reach("b")
            node.api("POST", "/v1/ping", {"peer": b.id})

    def incarnation_of(self, node, other):
        return max((p["incarnation"] for p in node.get("peers") if p["id"] == other.id), default=0)

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("setpriv"), "needs root and setpriv")
    def test_no_permission_is_told(self):
        """Without privileges: a folder of root's, one that cannot be made, a port below 1024."""
        os.chmod(self.folder, 0o755)
        locked = self.folder / "locked"
        locked.mkdir(mode=0o700)
        mine = self.folder / "mine"
        mine.mkdir(mode=0o700)
        os.chown(mine, NOBODY, NOBODY)
        for flags, expected in (
            (["--state", str(locked)], "locked"),
            (["--state", str(locked / "inner")], "locked"),
            (["--state", "/proc/weft"], "/proc/weft"),
            (["--state", str(mine), "--control", str(locked / "control.sock")], "control"),
        ):
            with self.subTest(flags):
                said = self.unprivileged("--listen", "127.0.0.1:0", *flags)
                self.assertIn(expected, said)
        secret = self.folder / "secret"
        secret.touch(mode=0o600)
        secret.write_text("00" * 32 + "\n")
        said = self.unprivileged("--listen", "127.0.0.1:0", "--state", str(mine), "--secret-file",
                                 str(secret))  # fmt: skip
        self.assertIn(str(secret), said)

    def unprivileged(self, *flags):
        program = self.folder / "weftd"  # where it was built, others may not go
        if not program.exists():
            shutil.copy2(harness.WEFTD, program)
        drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        done = subprocess.run(
            [*drop, str(program), *flags], capture_output=True, text=True, timeout=harness.PATIENCE
        )
        self.assertIn(done.returncode, (1, 78), done.stderr)
        self.assertIsNone(harness.SANITIZER.search(done.stderr), done.stderr)
        self.assertLess(len(done.stderr.splitlines()), 4, done.stderr)
        return done.stderr

    @unittest.skipUnless(os.geteuid() == 0, "needs root to mount a small disk")
    def test_a_full_disk_stops_nothing_and_is_said(self):
        disk = self.folder / "disk"
        disk.mkdir()
        options = ["-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", str(disk)]
        if subprocess.run(["mount", *options], capture_output=True).returncode != 0:
            self.skipTest("tmpfs cannot be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", str(disk)], check=False)
        state = disk / "state"
        state.mkdir(mode=0o700)
        a = self.node("a", state=state)
        b = self.join("b", a)
        b.wait_reach("a")
        self.fill(disk / "filler")
        for i in range(60):
            a.request("POST", "/v1/services", {"name": f"s{i}", "endpoint": "127.0.0.1:1"})
            b.request("POST", "/v1/services", {"name": f"t{i}", "endpoint": "127.0.0.1:1"})
        a.wait(
            lambda: any("store" in p["what"] for p in a.get("status")["problems"]),
            "the full disk in the status",
        )
        b.wait_service("s59")
        a.wait_service("t59")
        a.api("POST", "/v1/ping", {"peer": "b"})
        (disk / "filler").unlink()
        a.wait(lambda: a.get("status")["problems"] == [], "what waited to be written")
        a.stop()
        a.start()
        names = {service["name"] for service in a.get("services")}
        self.assertTrue({"s0", "s59"} <= names, "what was promised is there")

    def fill(self, path):
        """Takes all the room that there is."""
        fd = os.open(path, os.O_WRONLY | os.O_CREAT)
        with contextlib.suppress(OSError):
            while True:
                os.write(fd, bytes(4096))
        os.close(fd)


if __name__ == "__main__":
    hostile.main()
