#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What bulk costs, counted: how much goes with one call of the kernel, and what is copied besides.

A library that is preloaded counts (tests/support/call_counter.c). What a call moves depends on how much
waits when a daemon comes to look, and so on what else the machine does: of many stretches of the bulk
the best counts for each figure. What the code does not allow no stretch shows.
"""

import contextlib
import os
import socket
import socketserver
import struct

import harness
from harness import PATIENCE
from real import IS_SANITIZED, MEGABYTE, RealTest, report

COUNTER = os.environ.get("CALL_COUNTER_LIBRARY", "libcall_counter.so")
SUMS = ["recv_calls", "recv_bytes", "send_calls", "send_bytes", "splice_calls", "splice_bytes",
        "waits", "ioctls", "copies", "copied"]  # fmt: skip
WARM = 100 * MEGABYTE
STRETCH = 50 * MEGABYTE
STRETCHES = 12
# kB with one call, at least, of an end and of a relay, which finds less at a time. Measured: reads
# of 193 to 262 and 161 to 225, 127 to 131 and 106 to 110 with half as much to a read; writes of 208
# to 374 and 144 to 195, of the sender 119 to 123 with half as much to a write.
END_KB = {"recv": 160, "send": 160}
RELAY_KB = {"recv": 130, "send": 80}
WAITS = 6  # for a megabyte, at most; measured: 0.6 to 3.8
IOCTLS = 0.1  # likewise; a fast link has no use for any; 0.9 before it was told
# Copies, in parts of what came. The start of a packet that a read ended in is moved: 0.04 to 0.11
# of what is read from a link, 1.0 with each packet copied. Who reads from an application and seals
# copies nothing: 0.0005.
MOVED = 0.16
SEALED = 0.01


class Source(socketserver.BaseRequestHandler):
    """Sends for as long as somebody reads."""

    def handle(self):
        block = os.urandom(1 << 20)
        with contextlib.suppress(OSError):
            while True:
                self.request.sendall(block)


def read_all(sock, size):
    buffer = bytearray(1 << 20)
    while size > 0:
        got = sock.recv_into(buffer)
        if got == 0:
            raise AssertionError("the stream ended")
        size -= got


def cpu_user(node):
    with open(f"/proc/{node.process.pid}/stat", encoding="ascii") as file:
        return int(file.read().rsplit(")", 1)[1].split()[11]) / os.sysconf("SC_CLK_TCK")


class HotPath(RealTest):
    def setUp(self):
        super().setUp()
        if IS_SANITIZED or not os.path.exists(COUNTER):
            self.skipTest("counts calls of the release build alone")

    def counted(self, name):
        """The environment of a daemon whose calls are counted."""
        path = self.folder / f"{name}.counts"
        path.write_bytes(bytes(8 * len(SUMS)))
        return {"LD_PRELOAD": COUNTER, "CALL_COUNTS": str(path)}

    def sums(self, node):
        data = (self.folder / f"{node.name}.counts").read_bytes()
        return dict(zip(SUMS, struct.unpack(f"={len(SUMS)}Q", data)))

    def start(self, name, *flags, first=None):
        return self.node(name, "--discovery", "off", *flags, env=self.counted(name),
                         **({"secret": first.secret} if first else {}))  # fmt: skip

    def bulk(self, nodes, entry):
        """For each node the best that a stretch of the bulk showed, and all of it."""
        entry.wait_service("source")
        host, port = entry.forward_address("source").rsplit(":", 1)
        with socket.create_connection((host, int(port)), PATIENCE) as sock:
            read_all(sock, WARM)
            user = [cpu_user(node) for node in nodes]
            seen = [[self.sums(node) for node in nodes]]
            for _ in range(STRETCHES):
                read_all(sock, STRETCH)
                seen.append([self.sums(node) for node in nodes])
            user = [cpu_user(node) - begun for node, begun in zip(nodes, user)]
        return [self.best(*each) for each in zip(nodes, zip(*seen), user)]

    def best(self, node, seen, user):
        stretches = [self.grown(*pair) for pair in zip(seen, seen[1:])]
        sums = {
            name: (max if name.endswith("_kb") else min)(each[name] for each in stretches)
            for name in stretches[0]
        }
        whole = self.grown(seen[0], seen[-1])
        self.assertGreater(whole["moved"], 0.8 * STRETCHES * STRETCH, node.name)
        whole["user_s"] = user * 1e9 / whole["moved"]
        for each, what in ((sums, "best"), (whole, "all")):
            report(
                f"{node.name}, {what}: kB a recv {each['recv_kb']:.0f}, a sendmsg"
                f" {each['send_kb']:.0f}; for each MB {each['waits']:.2f} waits,"
                f" {each['ioctls']:.3f} ioctls; copied {each['copied']:.4f} of it"
            )
        report(f"{node.name}: user {whole['user_s']:.2f} s/GB")
        return sums, whole

    def grown(self, before, after):
        sums = {name: after[name] - before[name] for name in SUMS}
        sums["moved"] = max(sums["recv_bytes"], sums["splice_bytes"] / 2, 1)
        for kind in ("recv", "send"):
            sums[f"{kind}_kb"] = sums[f"{kind}_bytes"] / max(sums[f"{kind}_calls"], 1) / 1000
        for name in ("waits", "ioctls"):
            sums[name] *= 1e6 / sums["moved"]
        sums["copied"] /= sums["moved"]
        return sums

    def check(self, sums, copied, at_least=END_KB):
        best, _ = sums
        for kind, kilobytes in at_least.items():
            self.assertGreater(best[f"{kind}_kb"], kilobytes)
        self.assertLess(best["waits"], WAITS)
        self.assertLess(best["ioctls"], IOCTLS)
        self.assertLess(best["copied"], copied)

    def test_bulk_goes_in_large_reads_and_writes_and_is_hardly_copied(self):
        far = self.start("far", "--service", f"source={self.serve(Source)}")
        near = self.start("near", "--seed", far.address, "--forward", "source=0", first=far)
        near, far = self.bulk([near, far], near)
        self.check(near, MOVED)
        self.check(far, SEALED)

    def test_a_relay_moves_bulk_in_large_reads_and_writes(self):
        relay = self.start("relay")
        seed = ["--seed", relay.address]
        service = ["--service", f"source={self.serve(Source)}"]
        far = self.start("far", *seed, *service, first=relay)
        near = self.start("near", *seed, "--forward", "source=0", first=relay)
        near, relay, far = self.bulk([near, relay, far], near)
        self.check(near, MOVED)
        self.check(relay, MOVED, RELAY_KB)
        self.check(far, SEALED)

    def test_what_stays_on_a_node_is_spliced(self):
        """Neither read nor written nor copied by the daemon, so neither sealed."""
        alone = self.start("alone", "--service", f"source={self.serve(Source)}",
                           "--forward", "source=0")  # fmt: skip
        ((_, sums),) = self.bulk([alone], alone)
        self.assertGreaterEqual(sums["splice_bytes"], 1.8 * STRETCHES * STRETCH)
        self.assertLess(sums["recv_bytes"] + sums["send_bytes"], sums["moved"] / 1000)
        self.assertLess(sums["copied"], 0.001)
        self.assertLess(sums["user_s"], 0.08)  # to seal would be 0.17 and more at each end


if __name__ == "__main__":
    harness.main()
