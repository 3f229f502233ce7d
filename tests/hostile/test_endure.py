#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What must leave no trace in a daemon: ten thousand links that came and went, and a time of day that somebody
sets (T22). The daemons are those of the release preset, whose memory is their own."""

import calendar
import os
import socket
import socketserver
import struct
import time

import hostile
import real
from hostile import MIB, Attacker, HostileTest, harness, split_address

LIBRARY = os.environ.get("CLOCK_SHIFT_LIBRARY", "libclock_shift.so")
HOUR = 3600


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)


def switches(node):
    """How often it went to sleep so far: each timer that fires makes it once more."""
    with open(f"/proc/{node.process.pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt"))


class Endure(HostileTest):
    def setUp(self):
        super().setUp()
        if harness.WEFTD != str(real.BIN / "weftd"):
            self.skipTest("needs the daemon of the release preset")

    def standing(self, node):
        """Memory, descriptors, how often it wakes in two quiet seconds, and the timers and events it waits
        for, the question's own among them. The questions come last: their connections are descriptors."""
        before = switches(node)
        time.sleep(2)
        woken = switches(node) - before
        descriptors = len(os.listdir(f"/proc/{node.process.pid}/fd"))
        waits = tuple(self.metric(node, name) for name in ("weft_timers", "weft_events"))
        return node.get("status")["rss_bytes"], descriptors, woken, waits

    def test_ten_thousand_reconnects_leave_nothing(self):
        a = self.node("a")
        attacker = Attacker(self, a.secret)
        address = split_address(a.address)

        def reconnect(count):
            made = int(attacker.say("reconnect", *address, count).split()[1])
            a.wait(lambda: a.get("status")["links"]["established"] == 0, "the last link to go")
            return made

        self.assertEqual(reconnect(1000), 1000)  # what is kept of those who came is there now
        before = self.standing(a)
        started = time.monotonic()
        made = reconnect(9000)
        took = time.monotonic() - started
        after = self.standing(a)
        real.report(f"{made} links in {took:.1f} s: RSS {before[0] >> 10} -> {after[0] >> 10} KiB, descriptors "
                    f"{before[1]} -> {after[1]}, wakes {before[2]} -> {after[2]}, timers and events {before[3]} -> {after[3]}")  # fmt: skip
        self.assertEqual(made, 9000)
        self.assertLessEqual(after[0] - before[0], MIB)
        self.assertEqual(after[1], before[1])
        self.assertLessEqual(after[2], 2 * before[2] + 10)
        self.assertEqual(after[3], before[3])
        self.assertEqual(self.metric(a, "weft_handshakes"), 0)

    def set_clock(self, seconds):
        (self.folder / "shift").write_bytes(struct.pack("=q", seconds))

    def test_the_time_of_day_may_jump(self):
        """T22: an hour forward, an hour back, and a day before the start: links and streams stay."""
        self.set_clock(0)
        shifted = {"LD_PRELOAD": LIBRARY, "CLOCK_SHIFT": str(self.folder / "shift")}
        a = self.node("a", "--service", f"echo={self.serve(Echo)}", env=shifted)
        b = self.join("b", a, "--forward", "echo=0")
        b.wait_service("echo")
        a.wait_reach("b")
        address = split_address(b.forward_address("echo"))
        with socket.create_connection(address, harness.PATIENCE) as stream:
            self.exchange(stream, b"before")
            links = [(row["peer"], row["address"]) for row in a.get("links")]
            sessions = self.metric(a, "weft_sessions")
            for number, shift in enumerate((HOUR, 0, -HOUR, -24 * HOUR, HOUR)):
                self.set_clock(shift)
                self.exchange(stream, b"after %d" % shift)
                b.api("POST", "/v1/ping", {"peer": "a"})
                a.api("POST", "/v1/ping", {"peer": "b"})
                late = self.join(f"late-{number}", a, "--discovery", "off")
                late.wait_reach("a", "b")  # newcomers are let in, too
                self.assertEqual(self.time_of(a), shift // HOUR)
                late.stop()
                self.assertIn(links[0], [(row["peer"], row["address"]) for row in a.get("links")])
                self.assertGreaterEqual(self.metric(a, "weft_sessions"), sessions)
            for node, other in ((a, "b"), (b, "a")):
                self.assertNotIn(f"link-down peer={other} ", node.log())
                self.assertNotIn("link-silent", node.log())

    def exchange(self, stream, data):
        stream.sendall(data)
        got = b""
        while len(got) < len(data):
            piece = stream.recv(65536)
            self.assertTrue(piece, "the stream ended")
            got += piece
        self.assertEqual(got, data)

    def time_of(self, node):
        """How many hours the time in its log is ahead of ours: the jump was one."""
        stamp = node.log().splitlines()[-1].split()[0]
        seconds = calendar.timegm(time.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S"))
        return round((seconds - time.time()) / HOUR)


if __name__ == "__main__":
    hostile.main()
