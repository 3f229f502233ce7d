#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What it takes to open a stream over a long link: one round trip, and no handshake once there is a
session."""

import os
import socket
import subprocess
import time

import harness
from harness import PATIENCE
from real import RealTest, free_port, report
from test_real_streams import Echo

DELAY_RELAY = os.environ.get("DELAY_RELAY", "delay_relay")
DELAY_S = 0.1  # one way
STREAMS = 20


class Open(RealTest):
    def setUp(self):
        super().setUp()
        if not os.path.exists(DELAY_RELAY):
            self.skipTest(f"no {DELAY_RELAY}")
        self.far = self.node("far", "--discovery", "off", "--service", f"echo={self.serve(Echo)}")
        entry = f"127.0.0.1:{free_port()}"
        wire = self.start_program([DELAY_RELAY, str(round(1e6 * DELAY_S)), "0", str(1 << 20),
                                   f"{entry}={self.far.address}"],
                                  stdout=subprocess.PIPE, text=True)  # fmt: skip
        self.assertEqual(wire.stdout.readline(), "ready\n")
        self.site_a = self.node("near", "--seed", entry, "--discovery", "off", "--forward",
                                "echo=0", secret=self.far.secret)  # fmt: skip
        self.site_a.wait_service("echo")

    def ask(self):
        """How long an answer takes whose question was said as soon as the application connected."""
        begun = time.monotonic()
        with socket.create_connection(self.forward("echo"), PATIENCE) as sock:
            sock.sendall(b"question")
            self.assertEqual(sock.recv(100), b"question")
            return time.monotonic() - begun

    def session(self):
        """(when its keys were made, streams that were ever opened), as the near end tells."""
        status = self.site_a.get("status")
        (row,) = status["sessions"]
        return time.monotonic() - row["keys_age_s"], status["streams"]["opened"]

    def test_an_answer_takes_one_round_trip(self):
        first = self.ask()
        made, opened = self.session()
        times = sorted(self.ask() for _ in range(STREAMS))
        report(f"first answer {first:.3f} s, with a session {times[0]:.3f} to {times[-1]:.3f} s")
        self.assertGreater(first, 4 * DELAY_S)  # there a handshake went before
        self.assertGreaterEqual(times[0], 2 * DELAY_S)
        self.assertLess(times[STREAMS // 2], 3 * DELAY_S)  # two round trips are 4
        made_now, opened_now = self.session()
        self.assertAlmostEqual(made_now, made, delta=1)  # no new keys since
        self.assertEqual(opened_now, opened + STREAMS)


if __name__ == "__main__":
    harness.main()
