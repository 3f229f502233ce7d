#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What stands between the two ends of a stream learns nothing and changes nothing unnoticed.

    a --middle--> r <--middle-- b        the service is b's, r relays; the middles see every byte

A middle flips, drops, repeats, swaps or adds bytes of a link; what a relay that holds the link's
keys can do besides is in test_relay_inside.py, and in the simulator (tests/unit/sim/test_liar.c).
"""

import contextlib
import hashlib
import random
import re
import secrets
import signal
import socket
import threading

from hostile import MIB, HostileTest, main, split_address
from harness import payload

MARK = secrets.token_bytes(32)


class Middle:
    """Carries a link, keeps what it saw, and once does to it what it is told."""

    def __init__(self, test, node):
        self.node = node
        self.lock = threading.Lock()
        self.seen = {"out": bytearray(), "in": bytearray()}
        self.deed = None  # (direction, how many bytes of it to let pass, what to do)
        self.sockets = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self.run)]
        self.threads[0].start()
        test.addCleanup(self.end)

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(split_address(self.node.address))
                self.sockets += [client, server]
                for ends in ((client, server, "out"), (server, client, "in")):
                    self.threads.append(threading.Thread(target=self.carry, args=ends))
                    self.threads[-1].start()

    def carry(self, source, target, direction):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(self.change(direction, data))
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def change(self, direction, data):
        with self.lock:
            self.seen[direction] += data
            if self.deed is None or self.deed[0] != direction:
                return data
            _, left, act = self.deed
            if len(data) <= left + 64:
                self.deed = (direction, max(left - len(data), 0), act)
                return data
            self.deed = None
            return data[:left] + act(data[left:])

    def do(self, direction, after, act):
        with self.lock:
            self.deed = (direction, after, act)

    def end(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for end in self.sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        for end in self.sockets:
            end.close()


def memory(pid):
    """All that a process has in memory and may write to."""
    found = bytearray()
    with open(f"/proc/{pid}/smaps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for part in re.finditer(r"^(\w+)-(\w+) rw.*\n(?:\w.*\n)*?Rss: +(\d+) kB", maps.read(), re.M):
            begin, end = int(part[1], 16), int(part[2], 16)
            if int(part[3]) == 0 or end - begin > 512 * MIB:
                continue  # untouched, or a sanitizer's shadow
            with contextlib.suppress(OSError):
                mem.seek(begin)
                found += mem.read(end - begin)
    return bytes(found)


def digest(data):
    return hashlib.sha256(data).hexdigest()


def flip(data):
    return bytes([data[0] ^ 1 << random.randrange(8)]) + data[1:]


def drop(data):
    return data[random.randrange(1, 48) :]


def repeat(data):
    return data[:48] + data


def swap(data):
    return data[24:48] + data[:24] + data[48:]


def add(data):
    return secrets.token_bytes(random.randrange(1, 48)) + data


class Relay(HostileTest):
    def scene(self, body):
        """b offers the body, a fetches it over r."""
        quiet = ["--discovery", "off", "--sandbox", "off"]
        self.r = self.node("r", *quiet)
        self.middles = [Middle(self, self.r), Middle(self, self.r)]
        seeds = [["--seed", middle.address, *quiet] for middle in self.middles]
        self.b = self.node("b", *seeds[1], "--service", f"web={self.http_service(body)}",
                           secret=self.r.secret)  # fmt: skip
        self.a = self.node("a", *seeds[0], "--forward", "web=0", secret=self.r.secret)
        self.a.wait_service("web")
        self.assertEqual(digest(self.fetch(self.a.forward_address("web"))), digest(body))

    def test_neither_the_relay_nor_the_wire_holds_a_word(self):
        body = MARK * (8 * MIB // len(MARK))
        self.scene(body)
        stopped = []
        wire = self.middles[1]
        before = len(wire.seen["out"])

        def look(data):
            """In the midst of the transfer: the relay and the service's node stand still."""
            for node in (self.r, self.b):
                node.signal(signal.SIGSTOP)
            stopped.append((memory(self.r.process.pid), memory(self.b.process.pid)))
            for node in (self.r, self.b):
                node.signal(signal.SIGCONT)
            return data

        for after in (1 * MIB, 3 * MIB, 6 * MIB):
            wire.do("out", after, look)
            self.assertEqual(digest(self.fetch(self.a.forward_address("web"))), digest(body))
        self.assertEqual(len(stopped), 3)
        self.assertGreater(len(wire.seen["out"]) - before, 3 * len(body))
        for relay, end in stopped:
            self.assertIn(MARK, end, "where it is plain it is found")
            self.assertNotIn(MARK[:16], relay)
        for middle in self.middles:
            for seen in middle.seen.values():
                self.assertNotIn(MARK[:16], seen)
                self.assertNotIn(b"GET / HTTP", seen)
                self.assertNotIn(b"Content-Length", seen)

    def detections(self):
        """Packets that an end refused, and links that were ended."""
        count = 0
        for node in (self.a, self.r, self.b):
            _, text = node.request("GET", "/metrics")
            count += int(re.search(r"^weft_packets_refused_total (\d+)", text, re.M)[1])
            count += sum(line["event"] == "link-down" for line in node.event_lines())
        return count

    def meddle(self, act, tries):
        body = payload(1 * MIB)
        self.scene(body)
        random.seed(7)
        for index in range(tries):
            before = self.detections()
            middle, way = random.choice([(self.middles[0], "in"), (self.middles[1], "out")])
            middle.do(way, random.randrange(900000), act)
            self.assertEqual(digest(self.fetch(self.a.forward_address("web"))), digest(body), f"try {index}")
            self.assertIsNone(middle.deed, f"nothing was done in try {index}")
            self.a.wait(lambda: self.detections() > before, f"the deed of try {index} to be noticed")

    def test_every_flipped_bit_is_noticed(self):
        self.meddle(flip, 40)

    def test_every_dropped_piece_is_noticed(self):
        self.meddle(drop, 5)

    def test_every_repeated_piece_is_noticed(self):
        self.meddle(repeat, 5)

    def test_every_swapped_piece_is_noticed(self):
        self.meddle(swap, 5)

    def test_every_added_piece_is_noticed(self):
        self.meddle(add, 5)


if __name__ == "__main__":
    main()
