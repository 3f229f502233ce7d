#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The relay of the comparison delays, and otherwise behaves as a wire does."""

import os
import random
import select
import socket
import subprocess
import threading
import time
import unittest

RELAY = os.environ.get("DELAY_RELAY", "delay_relay")
PATIENCE = 20
BUFFER = 64 * 1024


def take_all(sock):
    parts = []
    while part := sock.recv(65536):
        parts.append(part)
    return b"".join(parts)


class Relay(unittest.TestCase):
    def begin(self, delay_us=0, rate=0, target=None):
        """A relay before a listener of ours; (listener, the relay's address)."""
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(PATIENCE)
        self.addCleanup(listener.close)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = probe.getsockname()
        port = target or listener.getsockname()[1]
        process = subprocess.Popen(
            [RELAY, str(delay_us), str(rate), str(BUFFER),
             f"127.0.0.1:{address[1]}=127.0.0.1:{port}"], stdout=subprocess.PIPE)  # fmt: skip
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        return listener, address

    def connect(self, address):
        sock = socket.create_connection(address, PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.addCleanup(sock.close)
        return sock

    def join(self, **options):
        """Both ends of one connection through a relay."""
        listener, address = self.begin(**options)
        near = self.connect(address)
        far, _ = listener.accept()
        far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        far.settimeout(PATIENCE)
        self.addCleanup(far.close)
        return near, far

    def test_every_byte_takes_the_delay_each_way(self):
        near, far = self.join(delay_us=30_000)
        for one, other in ((near, far), (far, near)):
            begun = time.monotonic()
            one.sendall(b"x")
            self.assertEqual(other.recv(1), b"x")
            self.assertGreaterEqual(time.monotonic() - begun, 0.030)

    def test_first_bytes_wait_for_the_handshake_that_was_not_made(self):
        listener, address = self.begin(delay_us=30_000)
        begun = time.monotonic()
        near = self.connect(address)
        near.sendall(b"x")
        far, _ = listener.accept()
        self.addCleanup(far.close)
        self.assertGreaterEqual(time.monotonic() - begun, 0.060)
        self.assertEqual(far.recv(1), b"x")
        self.assertGreaterEqual(time.monotonic() - begun, 0.090)

    def test_much_arrives_whole_both_ways_at_once(self):
        near, far = self.join(delay_us=5_000)
        data = [random.Random(seed).randbytes(3_000_000) for seed in (1, 2)]
        got = {}

        def send(sock, bytes_):
            sock.sendall(bytes_)
            sock.shutdown(socket.SHUT_WR)

        def take(sock, name):
            got[name] = take_all(sock)

        threads = [threading.Thread(target=send, args=(near, data[0])),
                   threading.Thread(target=send, args=(far, data[1])),
                   threading.Thread(target=take, args=(far, "far")),
                   threading.Thread(target=take, args=(near, "near"))]  # fmt: skip
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        self.assertEqual(got["far"], data[0])
        self.assertEqual(got["near"], data[1])

    def test_one_direction_may_end_while_the_other_goes_on(self):
        near, far = self.join(delay_us=5_000)
        near.sendall(b"question")
        near.shutdown(socket.SHUT_WR)
        self.assertEqual(take_all(far), b"question")
        far.sendall(b"answer")
        far.close()
        self.assertEqual(take_all(near), b"answer")

    def test_who_does_not_read_stops_the_sender(self):
        near, far = self.join()
        near.setblocking(False)
        sent = 0
        while select.select([], [near], [], 1)[1]:  # until there was no room for a second
            sent += near.send(bytes(65536))
        self.assertLess(sent, 32_000_000)  # kernels hold a few MB each, the relay its bound
        near.setblocking(True)
        near.shutdown(socket.SHUT_WR)
        self.assertEqual(len(take_all(far)), sent)

    def test_rate_is_a_bound(self):
        near, far = self.join(rate=1_000_000)
        begun = time.monotonic()
        near.sendall(bytes(400_000))
        near.shutdown(socket.SHUT_WR)
        self.assertEqual(len(take_all(far)), 400_000)
        self.assertGreaterEqual(time.monotonic() - begun, 0.39)

    def test_refused_behind_it_is_a_reset_before_it(self):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            _, address = self.begin(delay_us=20_000, target=nobody.getsockname()[1])
            near = self.connect(address)
            with self.assertRaises(ConnectionResetError):
                near.recv(1)

    def test_reset_arrives_as_an_end(self):
        near, far = self.join()
        far.sendall(b"x")
        self.assertEqual(near.recv(1), b"x")
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        far.close()
        self.assertEqual(near.recv(1), b"")


if __name__ == "__main__":
    unittest.main()
