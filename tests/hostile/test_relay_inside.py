#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A relay with valid keys on both sides that spoils what passes through it changes no stream, and
the ends count each packet that it spoilt.

    a -------- r -------- b      r is weftd with another link_send (relay.c); an echo service at b
"""

import mmap
import os
import struct

from hostile import HostileTest, main
from echo import Echo, Load
from harness import Node

RELAY = os.environ.get("HOSTILE_RELAY", "hostile_relay")
DEEDS = ("nothing", "flip", "cut", "grow", "drop", "head", "repeat", "hold", "invent", "rename", "shake")
STREAMS = 8


class LyingRelay(Node):
    """The daemon with relay.c in it, and the board that says what it does."""

    def __init__(self, test, name, *flags, **options):
        board = test.folder / "board"
        board.write_bytes(bytes(32))
        with open(board, "r+b") as file:
            self.board = mmap.mmap(file.fileno(), 32)
        super().__init__(test, name, *flags, env={"RELAY_BOARD": str(board)}, **options)

    def command(self):
        return [RELAY, *super().command()[1:]]

    def do(self, deed, every, count):
        """Of the packets from now on, one in `every` until `count` are spoilt."""
        self.board[:] = struct.pack("=QQQQ", 0, every, count, 0)
        self.board[:8] = struct.pack("=Q", DEEDS.index(deed))

    @property
    def done(self):
        return struct.unpack("=Q", self.board[24:32])[0]


class RelayInside(HostileTest):
    def scene(self):
        quiet = ["--discovery", "off", "--sandbox", "off"]
        self.b = self.node("b", *quiet, "--service", f"echo={self.serve(Echo)}")
        self.a = self.node("a", *quiet, "--forward", "echo=0", secret=self.b.secret)
        self.r = LyingRelay(self, "r", *quiet, "--seed", self.a.address, "--seed", self.b.address,
                            secret=self.b.secret).start()  # fmt: skip
        self.a.wait_service("echo")

    def counted(self, what):
        return sum(self.metric(node, f"weft_packets_{what}_total") for node in (self.a, self.b))

    def refused(self):
        return self.counted("refused")

    def expect_told(self):
        """Log and status of an end say it, the log once a minute; nobody is named for certain."""
        said = set()
        for node in (self.a, self.b):
            events = [line for line in node.event_lines() if line["event"] == "packet-spoilt"]
            status = node.get("status")
            problems = [row for row in status["problems"] if "altered" in row["what"]]
            self.assertLessEqual(len(events), 2)
            self.assertEqual(len(problems), 1 if events else 0)
            self.assertTrue(all("over r:" in row["cause"] for row in problems), problems)
            self.assertEqual(status["culprits"], [])
            said |= {event["detail"]["by"] for event in events}
        self.assertEqual(said, {self.r.id})

    def link_losses(self):
        return sum(event["event"] == "link-down" for node in (self.a, self.b)
                   for event in node.event_lines())  # fmt: skip

    def spoil(self, deed, every, count):
        """Streams of all sizes while the relay does `count` deeds; how many packets were refused."""
        load = Load(self, self.a.forward_address("echo"), STREAMS)
        self.a.wait(lambda: all(load.done.values()), "a stream of each size")
        before = self.refused()
        self.r.do(deed, every, count)
        for share in range(count // 10, count + 1, count // 10):  # it is progress that takes no longer
            self.a.wait(lambda: self.r.done >= share or load.wrong, f"{share} times {deed}")
        load.end()
        self.assertEqual(load.wrong, [])
        return lambda: self.refused() - before

    def expect_counted(self, deed, every=8, count=200):
        """Each deed is counted by an end, once, and no link is lost for it."""
        self.scene()
        refused = self.spoil(deed, every, count)
        self.a.wait(lambda: refused() >= count, f"{count} packets to be refused, not {refused()}")
        self.assertEqual(refused(), count)
        self.assertEqual(self.link_losses(), 0)
        self.assertGreater(self.counted("spoilt"), count / 2, "all but those that name no session")
        self.expect_told()

    def test_every_flipped_bit_of_a_packet_is_counted(self):
        self.expect_counted("flip")

    def test_every_shortened_packet_is_counted(self):
        self.expect_counted("cut")

    def test_every_lengthened_packet_is_counted(self):
        self.expect_counted("grow")

    def test_every_repeated_packet_is_counted(self):
        self.expect_counted("repeat")

    def test_every_invented_packet_is_counted(self):
        self.expect_counted("invent")

    def test_every_packet_in_anothers_name_is_counted(self):
        self.expect_counted("rename")

    def expect_nothing(self, deed):
        """What the ends cannot tell from a busy relay: nothing is refused, and nothing is lost."""
        self.scene()
        self.assertEqual(self.metric(self.a, "weft_stream_bytes_resent_total"), 0)
        refused = self.spoil(deed, 8, 200)
        self.assertEqual(refused(), 0)
        self.assertEqual(self.counted("spoilt"), 0)
        self.assertEqual(self.link_losses(), 0)

    def test_dropped_packets_are_sent_again(self):
        self.expect_nothing("drop")
        resent = [self.metric(node, "weft_stream_bytes_resent_total") for node in (self.a, self.b)]
        self.assertGreater(sum(resent), 0)

    def test_packets_out_of_order_are_put_in_order(self):
        self.expect_nothing("hold")

    def test_what_is_said_of_a_packet_changes_no_stream(self):
        """Hops, source, destination, flow, class and flags are a relay's to read and so to spoil; for
        a class that there is not the link is ended and the relay named."""
        self.scene()
        refused = self.spoil("head", 8, 100)
        self.a.wait(lambda: refused() > 0, "a packet whose source was changed to be refused")
        self.assertGreater(self.counted("spoilt"), 0)
        if self.link_losses() > 0:
            culprits = [node.get("status")["culprits"] for node in (self.a, self.b)]
            self.assertIn(self.r.id, [culprit["peer"] for culprit in sum(culprits, [])])

    def test_a_session_is_made_though_handshakes_are_spoilt(self):
        self.scene()
        self.r.do("shake", 1, 3)  # the first three, whichever way they go
        load = Load(self, self.a.forward_address("echo"), STREAMS)
        self.a.wait(lambda: all(load.done.values()) or load.wrong, "a stream of each size")
        load.end()
        self.assertEqual(load.wrong, [])
        self.assertEqual(self.r.done, 3)


if __name__ == "__main__":
    main()
