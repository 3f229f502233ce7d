#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A slow link, 10 Mbit/s and little in between, that a stream fills: what is asked beside it, by
datagrams and by another stream, waits for a bounded time, and the stream has the rest of the link."""

import contextlib
import os
import socket
import subprocess
import threading
import time

import harness
from real import RealTest, free_port, pings
from real import report as measured

DELAY_RELAY = os.environ.get("DELAY_RELAY", "delay_relay")

RATE = 10_000_000
DELAY_MS = 5  # one way
HELD = 16384  # bytes that the wire takes ahead of time
BEATS = 50  # questions of each kind
USUALLY_MS, AT_WORST_MS = 110, 300  # what bulk may add; 128 KiB in the kernel alone would be 105 ms


class Echo:
    """Answers each datagram or each byte of a connection with itself, until the end of the test."""

    def __init__(self, test):
        self.datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.datagrams.bind(("127.0.0.1", 0))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.datagrams.getsockname()[1]
        self.stream_port = self.listener.getsockname()[1]
        self.is_over = False
        for each in (self.datagrams, self.listener):
            each.settimeout(0.2)
            test.addCleanup(each.close)
        threads = [threading.Thread(target=each) for each in (self.answer, self.accept)]
        for thread in threads:
            thread.start()
            test.addCleanup(thread.join)
        test.addCleanup(self.end)

    def answer(self):
        while not self.is_over:
            with contextlib.suppress(TimeoutError):
                data, source = self.datagrams.recvfrom(2048)
                self.datagrams.sendto(data, source)

    def accept(self):
        while not self.is_over:
            with contextlib.suppress(TimeoutError):
                connection, _ = self.listener.accept()
                connection.settimeout(0.2)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with connection:
                    self.repeat(connection)
                return

    def repeat(self, connection):
        """The far end may be gone without a word: then the stream waits, and we do not."""
        data = b"?"
        while data and not self.is_over:
            with contextlib.suppress(TimeoutError):
                data = connection.recv(2048)
                connection.sendall(data)

    def end(self):
        self.is_over = True


def at(times, share):
    return times[min(len(times) - 1, int(len(times) * share))]


class Slow(RealTest):
    def setUp(self):
        super().setUp()
        if not os.path.exists(DELAY_RELAY):
            self.skipTest(f"no {DELAY_RELAY}")
        echo = Echo(self)
        self.sink = socket.create_server(("127.0.0.1", 0))
        self.sink.settimeout(harness.PATIENCE)
        self.addCleanup(self.sink.close)
        a = self.node("site-a", "--discovery", "off", "--service", f"echo/udp=127.0.0.1:{echo.port}",
                      "--service", f"echo=127.0.0.1:{echo.stream_port}",
                      "--service", f"bulk=127.0.0.1:{self.sink.getsockname()[1]}")  # fmt: skip
        near = f"127.0.0.1:{free_port()}"
        self.wire(near, a.address)
        self.b = self.node("site-b", "--seed", near, "--discovery", "off", "--forward", "echo/udp=0",
                           "--forward", "echo=0", "--forward", "bulk=0", secret=a.secret)  # fmt: skip
        for service in ("echo", "bulk"):
            self.b.wait_service(service)
        self.entries = {(row["service"], row["protocol"]): row["address"] for row in self.b.get("forwards")}

    def wire(self, near, far):
        wire = subprocess.Popen([DELAY_RELAY, str(1000 * DELAY_MS), str(RATE // 8), str(HELD), f"{near}={far}"],
                                stdout=subprocess.PIPE, text=True)  # fmt: skip

        def end():
            wire.kill()
            wire.communicate()

        self.addCleanup(end)
        self.assertEqual(wire.stdout.readline(), "ready\n")

    def connect(self, service, protocol):
        host, port = self.entries[service, protocol].rsplit(":", 1)
        if protocol == "tcp":
            connection = socket.create_connection((host, int(port)), harness.PATIENCE)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            connection.connect((host, int(port)))
        self.addCleanup(connection.close)
        return connection

    def test_what_is_asked_beside_bulk_is_answered_in_bounded_time(self):
        datagrams, stream = self.connect("echo", "udp"), self.connect("echo", "tcp")
        quiet = sorted(pings(datagrams, BEATS))
        pouring = self.connect("bulk", "tcp")
        drain, _ = self.sink.accept()
        self.addCleanup(drain.close)
        taken = [0]

        def pour():
            with contextlib.suppress(OSError):
                while True:
                    pouring.sendall(bytes(1 << 16))

        def swallow():
            with contextlib.suppress(OSError):
                while data := drain.recv(1 << 18):
                    taken[0] += len(data)

        threads = [threading.Thread(target=each) for each in (pour, swallow)]
        for thread in threads:
            thread.start()
        self.b.wait(lambda: taken[0] > RATE // 8, "a second of bulk: its window is what the link carries")
        begun, before = time.monotonic(), taken[0]
        beside, by_stream = sorted(pings(datagrams, BEATS)), sorted(pings(stream, BEATS))
        rate = 8 * (taken[0] - before) / (time.monotonic() - begun)
        for each in (pouring, drain):
            each.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        measured(f"asked alone p50 {at(quiet, 0.5):.1f} ms, p99 {at(quiet, 0.99):.1f}; beside bulk of "
                 f"{rate / 1e6:.1f} Mbit/s datagrams p50 {at(beside, 0.5):.1f}, p99 {at(beside, 0.99):.1f}, "
                 f"worst {beside[-1]:.1f}, {BEATS - len(beside)} lost; a stream p50 {at(by_stream, 0.5):.1f}, "
                 f"p99 {at(by_stream, 0.99):.1f}, worst {by_stream[-1]:.1f}")  # fmt: skip
        self.assertGreater(rate, 0.8 * RATE)
        self.assertGreaterEqual(len(beside), 0.99 * BEATS)
        self.assertEqual(len(by_stream), BEATS)
        for times in (beside, by_stream):
            self.assertLess(at(times, 0.5), at(quiet, 0.5) + USUALLY_MS)
            self.assertLess(at(times, 0.99), at(quiet, 0.99) + AT_WORST_MS)


if __name__ == "__main__":
    harness.main()
