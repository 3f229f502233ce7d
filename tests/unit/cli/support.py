# SPDX-License-Identifier: Apache-2.0
"""What the tests of the command line share: running weft, piped or on a terminal, and tokens."""

import base64
import contextlib
import fcntl
import hashlib
import os
import pathlib
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

WEFT = str(pathlib.Path(sys.argv[1]).resolve()) if len(sys.argv) > 1 else "weft"
if len(sys.argv) > 1:
    sys.argv[1] = WEFT
PATIENCE_S = 60  # only ever reached by a test that fails


def clean_environment(**more):
    """Nothing of weft's from outside; what ASan needs stays."""
    kept = {k: v for k, v in os.environ.items()
            if not k.startswith(("WEFT_", "XDG_")) and k not in ("NO_COLOR", "TERM")}
    return {**kept, "LC_ALL": "C.UTF-8", **more}


class Case(unittest.TestCase):
    """A folder of its own with the path of a socket in it."""

    program = WEFT

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="weft-cli.")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.socket = self.folder / "control.sock"

    def weft(self, *arguments, stdin="", **environment):
        """Runs weft; a leak that ASan finds is an exit status that no test expects."""
        return subprocess.run(
            [self.program, *arguments], input=stdin, capture_output=True, text=True, check=False,
            timeout=PATIENCE_S,
            env=clean_environment(**{"WEFT_CONTROL": str(self.socket), **environment}))

    def weft_start(self, *arguments, **environment):
        process = subprocess.Popen(
            [self.program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            stdin=subprocess.DEVNULL,
            env=clean_environment(**{"WEFT_CONTROL": str(self.socket), **environment}))
        self.addCleanup(lambda: process.poll() is None and process.kill())
        return process


class Terminal:
    """A pseudo-terminal of 80 x 24 with weft on it."""

    def __init__(self, arguments, environment):
        try:
            self.master, self.slave = pty.openpty()
        except OSError as err:  # a chroot without /dev/pts
            raise unittest.SkipTest(f"no pseudo-terminal: {err}") from err
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 200, 0, 0))
        self.modes_before = self.modes()
        self.process = subprocess.Popen(
            [WEFT, *arguments], stdin=self.slave, stdout=self.slave, stderr=self.slave,
            env=clean_environment(**environment))

    def modes(self):
        return termios.tcgetattr(self.slave)

    def type(self, keys):
        os.write(self.master, keys)

    def kill(self, number):
        self.process.send_signal(number)

    def wait(self):
        return self.process.wait(PATIENCE_S)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@contextlib.contextmanager
def spawn_on_terminal(arguments, **environment):
    terminal = Terminal(arguments, environment)
    try:
        yield terminal
    finally:
        terminal.close()


def read_until(terminal, text):
    """What comes out until `text` is in it; until weft has ended if None."""
    got = ""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        has_ended = terminal.process.poll() is not None
        ready, _, _ = select.select([terminal.master], [], [], 0.02)
        if ready:
            got += os.read(terminal.master, 65536).decode(errors="replace")
            if text is not None and text in got:
                return got
        elif has_ended:
            break
    if text is not None:
        raise AssertionError(f"{text!r} never came: {got[-500:]!r}")
    return got


def token_of(secret=bytes(32), name="site-a", addresses=("127.0.0.1:9338",)):
    """An invitation, as src/invite/invite.h lays it out."""
    key = bytes(range(100, 132))
    whole = b"\x01" + secret + key + bytes([len(name)]) + name.encode() + bytes([len(addresses)])
    whole += b"".join(bytes([len(a)]) + a.encode() for a in addresses)
    whole += hashlib.blake2b(whole, digest_size=32).digest()[:4]
    return "weft1:" + base64.urlsafe_b64encode(whole).decode().rstrip("=")
