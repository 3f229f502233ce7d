#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Installs into an empty prefix, builds the example with pkg-config and cc, and counts with three
processes, over a line of links and over the loss of its middle."""

import os
import pathlib
import select
import shutil
import subprocess
import tempfile
import time
import unittest

BUILD = os.environ["WEFT_BUILD"]
SOURCE = pathlib.Path(os.environ["WEFT_SOURCE"])
CC = os.environ.get("CC", "cc")
CMAKE = os.environ.get("CMAKE", "cmake")
SANITIZE = os.environ.get("WEFT_SANITIZE", "")
PATIENCE = 40.0
SECRET = "5e" * 32


class Peer:
    def __init__(self, program, name, listen, *seeds):
        self.name = name
        self.output = b""
        self.process = subprocess.Popen(
            [program, name, SECRET, listen, *seeds],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        self.address = self.wait_line("listening ").split()[1]

    def say(self, text):
        self.process.stdin.write(text.encode() + b"\n")

    def wait_line(self, wanted):
        """Reads on until a line begins with `wanted`; returns it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            for line in self.output.decode().splitlines(keepends=True):
                if line.startswith(wanted) and line.endswith("\n"):
                    self.output = b""
                    return line.strip()
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self.process.stdout], [], [], max(left, 0))
            chunk = os.read(self.process.stdout.fileno(), 4096) if ready else b""
            if not chunk:
                raise AssertionError(f"{self.name}: no {wanted!r} after {self.output!r}")
            self.output += chunk

    def quit(self):
        self.say("quit")
        return self.process.wait(PATIENCE)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Counter(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.prefix = pathlib.Path(tempfile.mkdtemp(prefix="weft-install-"))
        cls.addClassCleanup(shutil.rmtree, cls.prefix, ignore_errors=True)
        run(CMAKE, "--install", BUILD, "--prefix", str(cls.prefix))
        cls.program = str(cls.prefix / "counter")
        found = next(cls.prefix.glob("**/weft.pc"))
        environment = {**os.environ, "PKG_CONFIG_PATH": str(found.parent)}
        flags = run("pkg-config", "--cflags", "--libs", "weft", env=environment).split()
        extra = [f"-fsanitize={SANITIZE}"] if SANITIZE else []
        run(CC, "-std=c11", "-Wall", "-Wextra", "-Werror", *extra,
            str(SOURCE / "examples" / "counter.c"), "-o", cls.program, *flags, "-lpthread",
            f"-Wl,-rpath,{found.parent.parent}")  # fmt: skip

    def peer(self, name, listen, *seeds):
        peer = Peer(self.program, name, listen, *seeds)
        self.addCleanup(peer.end)
        return peer

    def test_what_was_installed(self):
        for path in ("bin/weftd", "include/weft/weft.h", "include/weft/node.h"):
            self.assertTrue((self.prefix / path).exists(), path)
        for name in ("libweft.a", "libweft.so", "weft.pc", "weftd.8"):
            self.assertTrue(list(self.prefix.glob(f"**/{name}")), name)
        version = run(str(self.prefix / "bin" / "weftd"), "--version")
        self.assertTrue(version.startswith("weftd "))

    def test_only_public_names_are_exported(self):
        library = next(self.prefix.glob("**/libweft.so"))
        names = [line.split()[-1] for line in
                 run("nm", "-D", "--defined-only", str(library)).splitlines()]  # fmt: skip
        self.assertIn("weft_node_new", names)
        self.assertEqual([name for name in names if not name.startswith("weft_")], [])

    def test_three_peers_agree(self):
        a = self.peer("a", "127.0.0.1:0")
        b = self.peer("b", "127.0.0.1:0", a.address)
        c = self.peer("c", "127.0.0.1:0", b.address)
        a.say("add 1")
        b.say("add 20")
        c.say("add 300")
        for peer in (a, b, c):
            peer.wait_line("total 321")
        for peer in (a, b, c):
            self.assertEqual(peer.quit(), 0)

    def test_they_agree_again_after_one_was_lost(self):
        a = self.peer("a", "127.0.0.1:0")
        b = self.peer("b", "127.0.0.1:0", a.address)
        a.say("add 5")
        b.wait_line("total 5")
        a.process.kill()
        a.process.wait()
        b.say("add 10")  # while nobody hears it
        b.wait_line("total 15")
        again = self.peer("a", a.address)
        again.say("add 100")  # a new identity: an entry of its own
        again.wait_line("total 115")
        b.wait_line("total 115")
        late = self.peer("c", "127.0.0.1:0", b.address)
        late.wait_line("total 115")


def run(*command, env=None):
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{command}: {done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    unittest.main(verbosity=2)
