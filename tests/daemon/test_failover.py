#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""D1 with real processes: relays die under streams of all sizes, and nothing is lost, repeated or
reordered.

    a --- r1 --- b      an echo service at b; all that is sent must come back as it was
     \\--- r2 ---/       the relay that carries most is killed, and started again, in turn
"""

import contextlib
import hashlib
import random
import socket
import socketserver
import threading

from harness import PATIENCE, WeftTest, main, payload

FAILOVERS = 10
SIZES = (1, 100, 1400, 16384, 65537, 300000, 1000000, 4000000)
STREAMS = 24


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        with contextlib.suppress(OSError):
            while data := self.request.recv(65536):
                self.request.sendall(data)
            self.request.shutdown(socket.SHUT_WR)


class Load:
    """Streams one after the other in each of many threads, until told."""

    def __init__(self, address):
        self.address = address
        self.bytes = payload(max(SIZES) + 1000)
        self.lock = threading.Lock()
        self.is_over = False
        self.done = dict.fromkeys(SIZES, 0)
        self.wrong = []
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(STREAMS)]
        for thread in self.threads:
            thread.start()

    def run(self, index):
        choose = random.Random(index)
        while not self.is_over:
            size = SIZES[index % len(SIZES)]
            start = choose.randrange(1000)
            try:
                self.one(self.bytes[start : start + size])
            except (OSError, AssertionError) as error:
                with self.lock:
                    self.wrong.append(f"{size} bytes: {error!r}")
                return
            with self.lock:
                self.done[size] += 1

    def one(self, data):
        host, port = self.address.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=2 * PATIENCE) as sock:
            sender = threading.Thread(target=self.send, args=(sock, data))
            sender.start()
            heard = hashlib.sha256()
            count = 0
            while part := sock.recv(262144):
                heard.update(part)
                count += len(part)
            sender.join()
            assert count == len(data), f"{count} of {len(data)} came back"
            assert heard.digest() == hashlib.sha256(data).digest(), "other bytes came back"

    @staticmethod
    def send(sock, data):
        with contextlib.suppress(OSError):
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)

    def end(self):
        self.is_over = True
        for thread in self.threads:
            thread.join()


class Failover(WeftTest):
    def test_streams_of_all_sizes_outlive_their_relays(self):
        quiet = ["--discovery", "off"]
        relays = [self.node("r1", *quiet)]
        relays.append(self.node("r2", *quiet, secret=relays[0].secret))
        for relay in relays:  # it comes back at the same address
            relay.listen = relay.address
        seeds = [word for relay in relays for word in ("--seed", relay.address)]
        b = self.node("b", *quiet, *seeds, "--service", f"echo={self.serve(Echo)}",
                      secret=relays[0].secret)  # fmt: skip
        a = self.node("a", *quiet, *seeds, "--forward", "echo=0", secret=relays[0].secret)
        a.wait_service("echo")
        a.wait_links(2)
        b.wait_links(2)
        load = Load(a.forward_address("echo"))
        self.addCleanup(load.end)
        for _ in range(FAILOVERS):
            self.fail_over(a, b, relays)
            self.assertEqual(load.wrong, [])
        load.end()
        self.assertEqual(load.wrong, [])
        self.assertTrue(all(load.done.values()), f"each size was carried: {load.done}")
        print(f"{FAILOVERS} failovers under {sum(load.done.values())} streams: {load.done}")

    def fail_over(self, a, b, relays):
        before = [relay.get("status")["forwarded"] for relay in relays]

        def carrier():
            gone = [relay.get("status")["forwarded"] - at for relay, at in zip(relays, before)]
            return relays[gone.index(max(gone))] if max(gone) > 200 else None

        victim = a.wait(carrier, "a relay that carries")
        victim.kill()
        victim.start()
        for node in (a, b):
            node.wait_links(2)


if __name__ == "__main__":
    main()
