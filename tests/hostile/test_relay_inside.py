#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A relay with valid keys on both sides that spoils what passes through it changes no stream, and
the ends count each packet that it spoilt.

    a -------- r -------- b      r is weftd with another link_send (relay.c); an echo service at b
"""

import mmap
import os
import struct
import sys

from hostile import HostileTest, main
from echo import Echo, Load
from harness import Node

RELAY = os.environ.get("HOSTILE_RELAY", "hostile_relay")
DEEDS = ("nothing", "flip", "cut", "grow", "drop", "travel", "source", "destination", "flow", "class", "flags",
         "repeat", "hold", "invent", "rename", "shake")  # fmt: skip
STREAMS = 8


class LyingRelay(Node):
    """The daemon with relay.c in it, and the board that says what it does."""

    def __init__(self, test, name, *flags, **options):
        board = test.folder / "board"
        board.write_bytes(bytes(40))
        with open(board, "r+b") as file:
            self.board = mmap.mmap(file.fileno(), 40)
        super().__init__(test, name, *flags, env={"RELAY_BOARD": str(board)}, **options)

    def command(self):
        return [RELAY, *super().command()[1:]]

    def do(self, deed, every, count):
        """Of the packets from now on, one in `every` until `count` are spoilt."""
        self.board[:] = struct.pack("=QQQQQ", 0, every, count, 0, 0)
        self.board[:8] = struct.pack("=Q", DEEDS.index(deed))

    @property
    def done(self):
        return struct.unpack("=Q", self.board[24:32])[0]

    @property
    def bytes(self):
        """Of payload, at least, that the packets of these deeds held."""
        return struct.unpack("=Q", self.board[32:40])[0]


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
        for tenth in range(1, 11):  # it is progress that takes no longer
            share = count * tenth // 10
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

    def expect_nothing(self, deed, count=200):
        """What the ends cannot tell from a busy relay: nothing is refused, and nothing is lost."""
        spoilt = self.counted("spoilt")
        refused = self.spoil(deed, 8, count)
        self.assertEqual(self.r.done, count)
        self.assertEqual(refused(), 0)
        self.assertEqual(self.counted("spoilt"), spoilt)
        self.assertEqual(self.link_losses(), 0)

    def resent(self):
        return sum(self.metric(node, "weft_stream_bytes_resent_total") for node in (self.a, self.b))

    def test_dropped_packets_are_sent_again(self):
        """Each stream arrived whole, so of each byte one copy more was sent than was dropped."""
        self.scene()
        before = self.resent()
        self.expect_nothing("drop")
        self.report_bytes("dropped", self.resent() - before)
        self.assertGreater(self.r.bytes, 0)
        self.assertGreaterEqual(self.resent() - before, self.r.bytes)

    def test_packets_out_of_order_are_put_in_order(self):
        """They are taken as they come: what is late is not waited for with the rest thrown away."""
        self.scene()
        before = self.resent()
        self.expect_nothing("hold")
        self.report_bytes("held back", self.resent() - before)
        self.assertGreater(self.r.bytes, 0)

    def report_bytes(self, deed, resent):
        print(f"    {self.r.bytes} bytes of payload {deed}, {resent} sent again", file=sys.stderr, flush=True)

    def test_what_a_relay_may_read_changes_no_stream(self):
        """Area, level, hops, flow and flags are nothing that an end goes by."""
        self.scene()
        for deed in ("travel", "flow", "flags"):
            with self.subTest(deed):
                self.expect_nothing(deed)

    def test_every_packet_said_to_come_from_another_is_counted(self):
        self.expect_counted("source", count=50)  # each loses a packet: it takes long

    def test_every_packet_sent_astray_is_dropped_and_sent_again(self):
        """Who gets it knows no way to whom it is said to be for, and counts that."""
        self.scene()
        before = self.astray()
        self.expect_nothing("destination", count=50)
        self.assertEqual(self.astray() - before, 50)

    def astray(self):
        name = r'weft_frames_dropped_total\{reason="no_route"\}'
        return sum(self.metric(node, name) for node in (self.a, self.b))

    def test_a_class_that_there_is_not_ends_the_link_and_names_the_relay(self):
        self.scene()
        refused = self.spoil("class", 8, 1)
        self.assertEqual(self.r.done, 1)
        self.assertEqual(refused(), 0)
        self.assertEqual(self.link_losses(), 1)
        culprits = sum((node.get("status")["culprits"] for node in (self.a, self.b)), [])
        self.assertEqual([culprit["peer"] for culprit in culprits], [self.r.id])
        self.assertEqual([culprit["count"] for culprit in culprits], [1])

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
