#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Strangers in numbers against a daemon on a host of its own, and readers that stall behind a relay: what
they may cost (C3, C4, T9, T14). The daemons are those of the release preset, for what is compared are bytes and CPU
seconds. WEFT_HOSTILE_LONG=1 (scripts/test --long) floods for the full minute."""

import contextlib
import os
import re
import selectors
import socket
import subprocess
import threading
import time

import hostile
from hostile import MIB, HostileTest
from hosts import PORT, HostTest, harness, measured

FLOOD = os.environ.get("HOSTILE_FLOOD", "hostile_flood")
IS_LONG = bool(os.environ.get("WEFT_HOSTILE_LONG"))
SECONDS = 60 if IS_LONG else 8
RATE_MIN = 9000 if IS_LONG else 3000  # of 10,000 connections a second, the flood's own share of two cores permitting
TICKS = os.sysconf("SC_CLK_TCK")
QUIET_S = 1  # so long without a byte taken, and all that may be kept of a stream is


def cpu_seconds(node):
    with open(f"/proc/{pid_of(node)}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def pid_of(node):
    """Of weftd itself: nsenter runs it in its own place."""
    return node.process.pid


class Strangers(HostTest, HostileTest):
    def setUp(self):
        super().setUp()
        self.wan = self.switch("wan")
        self.victim = self.host("victim", wan=(self.wan, "10.9.0.1/24", "10.66.254.254/16"))
        self.victim.daemon("--http", "127.0.0.1:0")
        self.friend = self.host("friend", wan=(self.wan, "10.9.0.2/24"))
        self.friend.daemon("--seed", f"10.9.0.1:{PORT}")
        self.friend.node.wait_links(1)
        self.victim.node.wait_reach("friend")
        addresses = [f"10.66.16.{n}/16" for n in range(1, 251)]
        addresses += [f"10.66.{n // 15}.{1 + n % 15}/16" for n in range(16 * 15)]
        self.crowd = self.host("crowd", wan=(self.wan, *addresses))
        self.crowd.ip("route add 10.9.0.0/24 dev wan")

    @contextlib.contextmanager
    def flood(self, mode, rate, held, seconds, prefix="10.66.16"):
        """Runs the strangers beside the block; what they say at their end goes into the dictionary."""
        command = ["nsenter", f"--net=/run/netns/{self.crowd.netns}", FLOOD, "10.9.0.1", str(PORT),
                   prefix, mode, str(rate), str(held), str(1000 * seconds)]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        said = {}
        try:
            self.assertEqual(process.stdout.readline(), "begun\n")
            yield said
            rest, _ = process.communicate(timeout=seconds + harness.PATIENCE)
            said.update({key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", rest)})
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def newcomer(self, number):
        """Somebody from another network joins; seconds from its start to its link."""
        host = self.host(f"newcomer{number}", wan=(self.wan, f"10.9.0.{10 + number}/24"))
        started = time.monotonic()
        host.daemon("--seed", f"10.9.0.1:{PORT}", "--discovery", "off")
        host.node.wait_reach("victim")
        return time.monotonic() - started

    def cost(self, since):
        """What the victim's memory grew by and its share of a core since (rss, cpu, time)."""
        grown = self.victim.node.get("status")["rss_bytes"] - since[0]
        return grown, (cpu_seconds(self.victim.node) - since[1]) / (time.monotonic() - since[2])

    def standing(self):
        node = self.victim.node
        return node.get("status")["rss_bytes"], cpu_seconds(node), time.monotonic()

    def test_ten_thousand_connections_a_second_from_one_network(self):
        """C3."""
        with self.undisturbed(self.victim.node, self.friend.node, grows=16 * MIB):
            since = self.standing()
            with self.flood("knock", 10000, 4000, SECONDS) as flood:
                self.victim.node.wait(
                    lambda: "connection-refused" in self.victim.node.log(), "the flood to be felt"
                )
                joined = [self.newcomer(number) for number in range(3)]
            grown, share = self.cost(since)
        rate = flood["connected"] / SECONDS
        measured(f"{rate:.0f} connections/s for {SECONDS} s: RSS + {grown >> 10} KiB, {share:.2f} of a core, "
                 f"newcomers in after {', '.join(f'{s:.2f}' for s in joined)} s")  # fmt: skip
        self.assertEqual(flood["in"], 0, "not one byte of answer")
        self.assertGreater(rate, RATE_MIN, "a flood, even where two cores are shared")
        self.assertLessEqual(grown, 16 * MIB)
        self.assertLessEqual(share, 0.5)
        self.assertLess(max(joined), 1)
        self.assertNotIn("link-down", self.victim.node.log())
        lines = [line for line in self.victim.node.log().splitlines() if "refused" in line]
        minutes = 1 + SECONDS // 60  # begun
        self.assertLessEqual(len(lines), 250 * minutes + 50, "one line an address and minute, and few more")

    def half_open(self, mode):
        """Ten thousand who stay, from 16 networks: how many at once, for how long, and at what cost."""
        node = self.victim.node
        with self.undisturbed(node, self.friend.node, grows=8 * MIB):
            since = self.standing()
            with self.flood(mode, 2500, 10000, SECONDS, "10.66") as flood:
                node.wait(lambda: self.metric(node, "weft_handshakes") > 200, "places to be taken")
                joined = self.newcomer(9)
            grown, share = self.cost(since)
        most = self.metric(node, "weft_handshakes_most")
        measured(f"{mode}: {flood['tried']} tried, {most} handshakes at once, the longest stayed "
                 f"{flood['stayed_ms']} ms, RSS + {grown >> 10} KiB, {share:.2f} of a core, a newcomer in "
                 f"after {joined:.2f} s")  # fmt: skip
        self.assertGreater(flood["tried"], 10000)
        self.assertGreater(flood["connected"], 1000)
        self.assertTrue(200 < most <= 256, most)
        self.assertEqual(flood["in"], 0)
        self.assertEqual(flood["more_out"], 0)
        self.assertLessEqual(flood["stayed_ms"], 6500, "5 s, and what the machine takes to notice")
        self.assertLess(joined, 1)

    def test_ten_thousand_that_say_nothing(self):
        """C4, T9: half-open."""
        self.half_open("hold")

    def test_ten_thousand_that_say_a_byte_a_second(self):
        """C4, T9: none stays longer than who says nothing."""
        self.half_open("slow")

    def test_ten_thousand_that_say_a_kilobyte_and_wait(self):
        """C4, T9: 1 KiB is all that is kept of each."""
        self.half_open("fill")


class Stalled(HostTest, HostileTest):
    def endless(self, host):
        """A service there that writes to whoever connects, as fast as it is taken; its address."""
        with host.entered():
            listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        listener.setblocking(False)
        over = threading.Event()
        self.took = threading.Event()  # somebody took something

        def run():
            block = bytes(1 << 16)
            poll = selectors.DefaultSelector()
            poll.register(listener, selectors.EVENT_READ)
            while not over.is_set():
                for key, _ in poll.select(0.05):
                    if key.fileobj is listener:
                        client, _ = listener.accept()
                        client.setblocking(False)
                        poll.register(client, selectors.EVENT_WRITE)
                        continue
                    try:
                        key.fileobj.send(block)
                        self.took.set()
                    except BlockingIOError:
                        pass
                    except OSError:
                        poll.unregister(key.fileobj)
                        key.fileobj.close()
            for key in list(poll.get_map().values()):
                key.fileobj.close()
            poll.close()

        thread = threading.Thread(target=run)
        thread.start()

        def end():
            over.set()
            thread.join()

        self.addCleanup(end)
        return "127.0.0.1:%d" % listener.getsockname()[1]

    def test_a_thousand_readers_that_stall_behind_a_relay(self):
        """T14: what nobody reads stays with who sent it; the relay keeps no more than its queues."""
        a, relay, b = self.line_of_three()
        host, port = hostile.split_address(b.node.forward_address("web"))
        before = relay.node.get("status")["rss_bytes"]
        with contextlib.ExitStack() as stack:
            for _ in range(1000):
                with b.entered():
                    stalled = stack.enter_context(socket.socket())
                stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                stalled.connect((host, port))
            self.stand_still(relay.node, b, (host, port), before)

    def stand_still(self, relay, b, address, before):
        """Until nobody takes anything any more; then what it costs the relay, and who is not stalled."""
        b.node.wait(lambda: b.node.get("status")["streams"]["opened"] >= 1000, "a thousand streams")
        while self.took.wait(QUIET_S):
            self.took.clear()
        moved = self.metric(b.node, "weft_stream_bytes_received_total")
        self.assertGreater(moved, 8 * MIB)
        with self.undisturbed(relay, b.node, grows=8 * MIB):
            with b.connect(*address) as reader:
                got = 0
                while got < 2 * MIB:
                    piece = reader.recv(1 << 16)
                    self.assertTrue(piece)
                    got += len(piece)
        grown = relay.get("status")["rss_bytes"] - before
        measured(f"{moved >> 20} MiB for a thousand readers that stall, relay + {grown >> 10} KiB")
        self.assertLessEqual(grown, 24 * MIB, "two queues of 4 MiB and the blocks they pin")

    def line_of_three(self):
        """a, who serves without end; b, who asks; and between them a relay. What the kernels of the
        ends keep of each connection is small, so that it is the mesh which must hold the rest."""
        left, right = self.switch("left"), self.switch("right")
        bounded = {"WEFT_LIMITS_BUFFERS": "32"}
        a = self.host("a", left=(left, "10.9.1.1/24"))
        relay = self.host("relay", left=(left, "10.9.1.2/24"), right=(right, "10.9.2.2/24"))
        b = self.host("b", right=(right, "10.9.2.1/24"))
        for host in (a, b):
            host.sysctl(ipv4__tcp_wmem="'4096 16384 65536'", ipv4__tcp_rmem="'4096 16384 65536'")
        quiet = ["--discovery", "off"]
        a.daemon("--service", f"web={self.endless(a)}", *quiet, env=bounded)
        relay.daemon("--seed", f"10.9.1.1:{PORT}", *quiet)
        b.daemon("--seed", f"10.9.2.2:{PORT}", "--forward", "web=0", *quiet, env=bounded)
        b.node.wait_reach("a", "relay")
        b.node.wait_service("web")
        return a, relay, b


if __name__ == "__main__":
    hostile.main()
