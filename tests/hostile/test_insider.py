#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who has the mesh secret and a key of its own, and breaks the protocol: its link ends, it is named,
and nobody else notices."""

import os
import signal
import socket
import socketserver
import struct
import time

import hostile
from hostile import (
    BROADCAST,
    CARRIER,
    CLOSE,
    DELTAS,
    GOSSIP,
    HEADS,
    HEARTBEAT,
    NOTES,
    PROTOCOL,
    PULL,
    RECORDS,
    REKEY,
    SYNC,
    TRAVEL,
    UNICAST,
    HostileTest,
    frame,
    peer_body,
    records,
    service_body,
)

LIMIT = 1 << 63
LENGTHS = (0, 1, 16, 17, 0x7FFF, 0xFFFE, 0xFFFF)
ORDER = (1 << 252) + 27742317777372353535851937790883648493  # of Ed25519's base point


def carrier(source, destination, length, level=2, flow=1):
    return TRAVEL + source + destination + struct.pack(">IBBH", flow, level, 0, length)


def sync(*items):
    return frame(SYNC, struct.pack(">Q", 7) + b"".join(items))


def bad_bodies():
    """Per kind what is not its layout: {what: frame}."""
    me, you = bytes(16), bytes(range(16))
    place = bytes(range(8))
    entry = place + bytes(4)
    return {
        "heartbeat cut": frame(HEARTBEAT, bytes(20)),
        "heartbeat long": frame(HEARTBEAT, bytes(22)),
        "heartbeat empty": frame(HEARTBEAT),
        "unicast cut": frame(UNICAST, TRAVEL + me + you),
        "unicast of 33 hops": frame(UNICAST, struct.pack(">HBB", 0, 0, 33) + me + you + b"x"),
        "carrier cut": frame(CARRIER, carrier(me, you, 1)[:-1]),
        "carrier long": frame(CARRIER, carrier(me, you, 1) + b"x"),
        "carrier of nothing": frame(CARRIER, carrier(me, you, 0)),
        "broadcast cut": frame(BROADCAST, bytes(128)),
        "broadcast with a lying payload": frame(
            BROADCAST,
            TRAVEL + bytes(9) + bytes(48) + b"\x04chat" + b"\xff\xff" + bytes(70),
        ),
        "gossip of a channel too long": frame(GOSSIP, TRAVEL + b"\xffchat"),
        "gossip of a channel without name": frame(GOSSIP, TRAVEL + b"\x00xx"),
        "gossip of a bad name": frame(GOSSIP, TRAVEL + b"\x04-hat"),
        "record of length 0": frame(RECORDS, b"\x00\x00"),
        "record of length 117": frame(RECORDS, struct.pack(">H", 117) + bytes(117)),
        "record of length 65535": frame(RECORDS, b"\xff\xff" + bytes(200)),
        "record cut": frame(RECORDS, struct.pack(">H", 118) + bytes(117)),
        "sync cut": frame(SYNC, bytes(7)),
        "sync of an unknown mode": sync(b"\x09\x00"),
        "sync of depth 17": sync(b"\x01\x11" + bytes(9 + 64)),
        "sync fingerprints of depth 16": sync(b"\x01\x10" + bytes(8 + 64)),
        "sync list of 65535": sync(b"\x02\x00\x00\xff\xff" + entry),
        "sync list out of order": sync(b"\x02\x00\x00\x00\x02" + entry + bytes(12)),
        "sync list outside its range": sync(b"\x02\x02\xff\x00\x00\x01" + entry),
        "sync want of 65535": sync(b"\x03\x00\xff\xff" + place),
        "pull of none": frame(PULL, bytes(16) + struct.pack(">QQH", 1, 1, 0)),
        "pull beyond the end": frame(PULL, bytes(16) + struct.pack(">QQH", 1, LIMIT - 1, 2)),
        "heads cut": frame(HEADS, bytes(31)),
        "rekey of step 0": frame(REKEY, b"\x00x"),
        "rekey of step 4": frame(REKEY, b"\x04x"),
        "rekey out of turn": frame(REKEY, b"\x02" + bytes(48)),
        "rekey end out of turn": frame(REKEY, b"\x03"),
        "rekey with garbage": frame(REKEY, b"\x01" + bytes(48)),
        "close without a reason": frame(CLOSE, b"\x00"),
        "close with an escape": frame(CLOSE, b"\x01\x1b[2J"),
        "close too long": frame(CLOSE, b"\x01" + b"x" * 201),
        "an essential kind": frame(200, b"xyz", flags=1),
        "frame longer than its record": frame(HEARTBEAT, bytes(21), length=22),
        "frame of 60001": frame(UNICAST, bytes(100), length=60001),
        "frame of 65535": frame(RECORDS, bytes(100), length=65535),
        "half a header": b"\x01\x00",
    }


def edges(width, most):
    """What a length field of so many bytes may claim, `most` being its greatest honest value."""
    values = {0, 1, most - 1, most, most + 1, 1 << 31, (1 << 32) - 1, (1 << 8 * width) - 1}
    return sorted(value for value in values if 0 <= value < 1 << 8 * width)


def length_fields():
    """Each length or count inside a frame: (what, width, greatest, the true one, frame of a value)."""
    you, name, entry = bytes(range(16)), b"\x04chat", bytes(range(8)) + bytes(4)

    def record(value, at, width):
        whole = struct.pack(">HBB", 999, 0, 3) + b"key" + bytes(32 + 16) + b"\x00\x04body" + bytes(64)
        return whole[:at] + value.to_bytes(width, "big") + whole[at + width :]

    return (
        ("a frame's body", 2, 60000, 21, lambda n: frame(HEARTBEAT, bytes(21), length=n)),
        ("a record of a list", 2, 59998, 120,
         lambda n: frame(RECORDS, struct.pack(">H", n) + bytes(120))),
        ("a record's key", 1, 131, 3, lambda n: records(record(n, 3, 1))),
        ("a record's body", 2, 50000, 4, lambda n: records(record(n, 55, 2))),
        ("a broadcast's channel", 1, 63, 4, lambda n: frame(
            BROADCAST, TRAVEL + bytes(9 + 48) + bytes([n]) + name[1:] + b"\x00\x01x" + bytes(64))),
        ("a broadcast's payload", 2, 49152, 1, lambda n: frame(
            BROADCAST, TRAVEL + bytes(9 + 48) + name + struct.pack(">H", n) + b"x" + bytes(64))),
        ("a gossip's channel", 1, 63, 4,  # "-": a shorter one is no name either
         lambda n: frame(GOSSIP, TRAVEL + bytes([n]) + b"-hat" + b"xx")),
        ("a list's places", 2, 65535, 1, lambda n: sync(b"\x02\x00\x00" + struct.pack(">H", n) + entry)),
        ("a want's places", 2, 65535, 1, lambda n: sync(b"\x03\x00" + struct.pack(">H", n) + you[:8])),
        ("an item's depth", 1, 16, 0, lambda n: sync(b"\x01" + bytes([n]) + bytes(16 * 4))),
        ("a delta's edits", 4, 20000, 3, lambda n: frame(
            DELTAS, you[:4] + b"\x01\x02\x01\xce" + struct.pack(">I", n) + b"\x00\x00\x00" + bytes(64))),
    )  # fmt: skip


def bad_maps():
    """Bodies of peer records that are not msgpack as it must be (T10): {what: body}."""
    whole = peer_body()
    nested = b"\x83\xa1i\x07\xa1n\xa1x\xa1z" + b"\x91" * 17 + b"\x00"
    keys = b"".join(b"\xa1" + bytes([0x30 + i]) + b"\x00" for i in range(66))
    return {
        "an array of four billion": b"\x83\xa1i\x07\xa1n\xa1x\xa1z\xdd\xff\xff\xff\xff",
        "a map of four billion": b"\xdf\xff\xff\xff\xff",
        "a text of 2^31": b"\x82\xa1i\x07\xa1n\xdb\x80\x00\x00\x00",
        "a text of 2^32-1": b"\x82\xa1i\x07\xa1n\xdb\xff\xff\xff\xff",
        "bytes of 2^31": b"\x83\xa1i\x07\xa1n\xa1x\xa1z\xc6\x80\x00\x00\x00",
        "an extension of 2^32-1": b"\x83\xa1i\x07\xa1n\xa1x\xa1z\xc9\xff\xff\xff\xff\x01",
        "a map of 2^31": b"\xdf\x80\x00\x00\x00",
        "a text of two billion": b"\x82\xa1i\x07\xa1n\xdb\x7f\xff\xff\xff",
        "links of 65535": b"\x83\xa1i\x07\xa1l\xdc\xff\xff\xa1n\xa1x",
        "nested 17 deep": nested,
        "a key twice": b"\x83\xa1i\x07\xa1i\x07\xa1n\xa1x",
        "keys out of order": b"\x82\xa1n\xa1x\xa1i\x07",
        "66 keys": b"\xde\x00\x42" + keys,
        "a name with an escape": b"\x82\xa1i\x07\xa1n\xa4\x1b[2J",
        "an empty name": b"\x82\xa1i\x07\xa1n\xa0",
        "no name": b"\x81\xa1i\x07",
        "cut": whole[:-1],
        "long": whole + b"\x00",
        "not a map": b"\x93\x01\x02\x03",
        "nothing": b"",
    }


class Insider(HostileTest):
    def setUp(self):
        super().setUp()
        self.networks = 0

    def fresh(self, attacker, node):
        """Dials as somebody new, from a network of its own."""
        self.networks += 1
        attacker.identity(os.urandom(32).hex())
        return attacker.dial(node, f"127.30.{self.networks}.1")

    def assert_ends(self, attacker, node, what):
        """The link ends for breaking the protocol, and the attacker is named for it."""
        state = attacker.wait_down()
        self.assertEqual(state["reason"], PROTOCOL, f"{what}: {state}")
        with self.subTest(what):
            self.assert_blamed_once(node, attacker)

    def test_each_malformed_frame_ends_its_link(self):
        a, b, c = self.mesh()
        attacker = self.insider(a)
        with self.undisturbed(a, b, c):
            for what, plain in bad_bodies().items():
                with self.subTest(what):
                    self.fresh(attacker, a).frame(plain)
                    self.assert_ends(attacker, a, what)

    def test_each_record_comes_but_once(self):
        """T1: each record of a link again, on the same link, on a new one, and back to its sender."""
        a, b, c = self.mesh()
        attacker = self.insider(a)
        plains = [frame(HEARTBEAT, bytes(21)), frame(HEADS), frame(RECORDS), frame(200, b"x"),
                  sync(), 3 * frame(HEARTBEAT, bytes(21)), frame(SYNC, bytes(8))]  # fmt: skip
        with self.undisturbed(a, b, c):
            self.fresh(attacker, a)
            old = [attacker.seal(plain) for plain in plains]
            for record in old:
                self.assertTrue(attacker.raw(record))
            self.assertTrue(attacker.sync()["up"], "each is good once")
            theirs = attacker.kept()
            self.assertGreaterEqual(len(theirs), 2)
            for i, record in enumerate(old):
                self.fresh(attacker, a)
                attacker.raw(record)
                self.assert_ends(attacker, a, f"record {i} on a new link")
                self.fresh(attacker, a)
                for plain in plains[:i]:
                    attacker.frame(plain)
                record = attacker.seal(plains[i])
                attacker.raw(record + record)
                self.assert_ends(attacker, a, f"record {i} on the same link")
            for i, record in enumerate(theirs):
                self.fresh(attacker, a)
                attacker.raw(record)
                self.assert_ends(attacker, a, f"their record {i} on a new link")
            self.fresh(attacker, a)
            attacker.sync()
            attacker.raw(attacker.kept()[0])
            self.assert_ends(attacker, a, "their first record on the same link")

    def test_lying_lengths_of_records_end_the_link(self):
        """T4: before a byte of them is believed."""
        a, b, c = self.mesh()
        attacker = self.insider(a)
        with self.undisturbed(a, b, c):
            for length in LENGTHS:
                with self.subTest(length):
                    self.fresh(attacker, a).say("raw", length.to_bytes(2, "big") + bytes(length + 2))
                    self.assert_ends(attacker, a, length)
            with self.subTest("more payload than a record may bring"):
                self.fresh(attacker, a)
                head = frame(CARRIER, carrier(bytes(16), bytes(16), 65535))
                attacker.frame(5 * head, bytes(5 * 65535))
                self.assert_ends(attacker, a, "payload")

    def test_no_length_inside_a_frame_is_believed(self):
        """T4: each at 0, 1, around its greatest, 2^31 and 2^32-1: only the true one is taken."""
        a, b, c = self.mesh()
        attacker = self.insider(a)
        tried = 0
        with self.undisturbed(a, b, c, grows=16 * hostile.MIB):
            for what, width, most, true, make in length_fields():
                for value in set(edges(width, most)) - {true}:
                    self.fresh(attacker, a).frame(make(value))
                    self.assert_ends(attacker, a, f"{what} of {value}")
                    tried += 1
        self.assertGreater(tried, 50)

    def test_unknown_things_are_skipped(self):
        """T20: kinds of frames and records of later versions, in an old mesh."""
        a, b, c = self.mesh()
        attacker = self.insider(a).dial(a)
        with self.undisturbed(a, b, c):
            attacker.frame(frame(200, b"later") + frame(201) + frame(HEARTBEAT, bytes(21)))
            attacker.say("announce", 1000, 1, 1)
            for node in (a, b, c):
                node.wait_reach("attacker")
            known = [self.metric(node, "weft_records") for node in (a, b, c)]
            attacker.frame(records(attacker.record(999, b"key", body=b"later")))
            self.assertTrue(attacker.sync()["up"])
            for node, count in zip((a, b, c), known):  # kept, and passed on
                node.wait(
                    lambda node=node, count=count: self.metric(node, "weft_records") == count + 1,
                    "the record of a kind to come",
                )
            self.assertEqual(a.get("status")["culprits"], [])

    def test_hostile_maps_of_peers_are_not_believed(self):
        """T10: a body that its owner signed but nobody can read."""
        a, b, c = self.mesh()
        attacker = self.insider(a)
        with self.undisturbed(a, b, c, grows=32 * hostile.MIB):
            for what, body in bad_maps().items():
                with self.subTest(what):
                    self.fresh(attacker, a)
                    attacker.frame(records(attacker.record(1, body=body)))
                    attacker.frame(
                        records(attacker.record(2, b"default/web", body=body, version=2))
                    )
                    attacker.sync()
                    for node in (a, b, c):
                        self.assertEqual(node.get("services"), [], what)
                        known = {peer["id"] for peer in node.get("peers")}
                        self.assertLessEqual(known, {a.id, b.id, c.id, attacker.id}, what)

    def test_versions_beyond_the_end_are_refused(self):
        """T11: 2^64-1 is malformed; 2^63-1 of one's own is one's own affair."""
        a, b, c = self.mesh()
        attacker = self.insider(a)
        body = service_body()
        with self.undisturbed(a, b, c):
            for incarnation, version in ((0, 1), (1, 0), (1, LIMIT), (LIMIT, 1), (1, 2 * LIMIT - 1),
                                         (2 * LIMIT - 1, 2 * LIMIT - 1)):  # fmt: skip
                what = f"{incarnation}.{version}"
                with self.subTest(what):
                    self.fresh(attacker, a)
                    attacker.frame(
                        records(attacker.record(2, b"default/web", incarnation, version, body))
                    )
                    self.assert_ends(attacker, a, what)
            self.fresh(attacker, a)
            attacker.say("announce", 1000, LIMIT - 1, LIMIT - 1)
            attacker.frame(records(attacker.record(2, b"default/web", LIMIT - 1, LIMIT - 1, body)))
            self.assertTrue(attacker.sync()["up"])
            c.wait_service("web")

    def test_nobody_writes_anothers_records(self):
        """T12: a false signature, an unsigned record, one about somebody else."""
        a, b, c = self.mesh("--service", "web=127.0.0.1:80")
        for node in (a, b, c):
            node.wait(lambda node=node: len(node.get("services")[0]["endpoints"]) == 3, "three")
        attacker = self.insider(a)
        before = c.get("services")
        with self.undisturbed(a, b, c):
            genuine = attacker.record(2, b"default/web", 99, 99, service_body("6.6.6.6:66"))
            b_key = self.key_of(b)
            key_at = 2 + 1 + 1 + len(b"default/web")
            cases = {
                "signed by another": genuine[:key_at] + b_key + genuine[key_at + 32 :],
                "unsigned": genuine[:-64] + bytes(64),
                "changed": genuine[:-70] + b"\x31" + genuine[-69:],
                # T5: the same signature in other bytes must not make another record of it.
                "signature encoded again": genuine[:-32] + self.encoded_again(genuine[-32:]),
            }
            for what, forged in cases.items():
                self.fresh(attacker, a).frame(records(forged))
                self.assert_ends(attacker, a, what)
            message = attacker.broadcast(5)
            at = 4 + 4 + 1 + 8
            for what, forged in {
                "broadcast of another": message[:at] + b_key + message[at + 32 :],
                "broadcast unsigned": message[:-64] + bytes(64),
                "broadcast's signature encoded again": message[:-32] + self.encoded_again(message[-32:]),
            }.items():
                self.fresh(attacker, a).frame(forged)
                self.assert_ends(attacker, a, what)
        self.assertEqual(self.without_age(c.get("services")), self.without_age(before))

    def encoded_again(self, half):
        """The second half of a signature, a number modulo the group's order, written otherwise."""
        return (int.from_bytes(half, "little") + ORDER).to_bytes(32, "little")

    def without_age(self, services):
        return [
            sorted((e["peer"], e["address"], e["state"]) for e in service["endpoints"])
            for service in services
        ]

    def key_of(self, node):
        seed = hostile.digits((node.state / "identity").read_text())
        helper = self.insider(node)
        helper.identity(seed)
        return bytes.fromhex(helper.key)

    def test_a_key_that_is_not_proven_is_refused(self):
        """T7: the hello names one key, the handshake proves another; and the victim's own."""
        a, b, c = self.mesh()
        attacker = self.insider(a)
        with self.undisturbed(a, b, c):
            attacker.say("claim", self.key_of(b))
            self.assert_refused(attacker, a, "127.40.1.1")
            attacker.identity(hostile.digits((a.state / "identity").read_text()))
            attacker.say("mask")
            self.assert_refused(attacker, a, "127.40.1.2")
        self.assertIn("is not the one that was proven", a.log())
        self.assertIn("our own key", a.log())

    def assert_refused(self, attacker, node, source):
        """The dialler may think that it is up until it hears nothing more."""
        if attacker.try_dial(node, source).startswith("up"):
            attacker.wait_down()
        self.assertEqual(attacker.listen().get("k1", 0), 0)

    def test_forged_sources_reach_nobody(self):
        """T8: who sent a thing is for the session to prove, whatever a neighbour says."""
        a, b, c = self.mesh()
        attacker = self.insider(a).dial(a)
        attacker.say("announce", 1000, 1, 1)
        ids = [self.raw_id(node) for node in (a, b, c)]
        packets = {
            "init": b"\x01" + bytes(4) + os.urandom(96 + 120),
            "response": b"\x02" + bytes(8) + os.urandom(48 + 120),
            "sealed": b"\x03" + os.urandom(4) + bytes(8) + os.urandom(100),
            "unknown": b"\x04" + os.urandom(4),
            "nothing known": b"\x09" + os.urandom(40),
            "cut": b"\x03\x00",
        }
        with self.undisturbed(a, b, c):
            for packet in packets.values():
                for source in ids:
                    for destination in ids:
                        attacker.frame(frame(UNICAST, TRAVEL + source + destination + packet))
                        attacker.frame(
                            frame(CARRIER, carrier(source, destination, len(packet))), packet
                        )
            # Of broadcasts and records that others made it may tell, or ask: it gets nothing by that.
            for source in ids:
                attacker.frame(frame(HEADS, source + struct.pack(">QQ", 1, 1000)))
                attacker.frame(frame(PULL, source + struct.pack(">QQH", 1, 1, 1000)))
                attacker.frame(frame(NOTES, b"\x01" + source[:4] + b"\x63\x63"))
                attacker.frame(frame(GOSSIP, TRAVEL + b"\x04chat" + source))
                attacker.frame(frame(SYNC, bytes(8) + b"\x02\x00\x00\x00\x01" + source[:12]))
            self.assertTrue(attacker.sync()["up"])
            self.assertEqual(a.get("status")["culprits"], [])

    def test_deltas_of_records_without_a_body(self):
        """T4: a tombstone has no body that could be changed."""
        a, b, c = self.mesh()
        attacker = self.insider(a).dial(a)
        attacker.say("announce", 1000, 1, 1)
        for node in (a, b, c):
            node.wait_reach("attacker")
        buried = attacker.record(2, b"default/web", 1, 5, flags=1)
        name = attacker.place(2, b"default/web")[:4]
        with self.undisturbed(a, b, c):
            attacker.frame(records(buried))
            for edits in (b"", b"\x00\x00\x03abc", b"\x00\x00\x00", b"\x01\x00\x01x"):
                body = name + b"\x01\x06\x01" + bytes([len(edits)]) + edits + bytes(64)
                attacker.frame(frame(DELTAS, body))
            self.assertTrue(attacker.sync()["up"])
        for node in (a, b, c):
            self.assertEqual(node.get("services"), [])

    def test_no_signed_thing_is_believed_of_another(self):
        """T8, T12: kinds whose source signs: the name of another, and the signature of a liar."""
        a, b, c = self.mesh("--service", "web=127.0.0.1:80")
        attacker = self.insider(a)
        c.wait(lambda: len(c.get("services")[0]["endpoints"]) == 3, "all three endpoints")
        before = self.without_age(c.get("services"))
        with self.undisturbed(a, b, c):
            for node in (a, b, c):
                key = self.key_of(node)
                for kind, name in ((1, b""), (2, b"default/web"), (999, b"later")):
                    self.fresh(attacker, a)
                    mine = attacker.record(kind, name, 1 << 40, 9, peer_body() if kind == 1 else b"")
                    at = 4 + len(name)
                    attacker.frame(records(mine[:at] + key + mine[at + 32 :]))
                    self.assert_ends(attacker, a, f"record {kind} of {node.name}")
                self.fresh(attacker, a)
                for _ in range(40):  # as deltas, whose bases the liar guesses: not one is taken
                    attacker.frame(frame(DELTAS, os.urandom(4) + b"\x01\x09\x01\x00" + bytes(64)))
                self.assertTrue(attacker.sync()["up"])
        self.assertEqual(self.without_age(c.get("services")), before)

    def test_packets_of_a_session_that_come_three_times_count_once(self):
        """T1, T6: a relay that passes on again and again what is sealed beyond its reach."""
        a, b, c = self.mesh("--service", f"web={self.serve(socketserver.BaseRequestHandler)}")
        attacker = self.insider(a).dial(a)
        attacker.say("announce", 1000, 1, 1)
        b.wait_reach("attacker")
        refused = self.metric(a, "weft_packets_refused_total")
        opened = a.get("status")["streams"]["opened"]
        attacker.say("thrice")
        with self.undisturbed(a, b, c):
            sent = int(attacker.say("opens", 2000, 1500, "web", attacker.secret).split()[1])
            self.assertTrue(attacker.sync()["up"])
        more = a.get("status")["streams"]["opened"] - opened
        self.assertTrue(0 < more <= sent, f"{more} streams of {sent}")
        self.assertGreater(self.metric(a, "weft_packets_refused_total") - refused, 10)

    def test_deadlines_of_two_links_may_pass_at_once(self):
        """A record that does not end (15 s) and a dial that nobody answers (5 s), both of which the daemon finds
        due in one tick, since it stood still: what the first tells the core is later than the tick."""
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        a = self.node("a", "--discovery", "off", "--seed", f"127.0.0.1:{silent.getsockname()[1]}")
        for _ in range(2):  # the second dial begins when the first was given up: its deadline is known
            self.addCleanup(silent.accept()[0].close)
        attacker = self.insider(a).dial(a)
        attacker.raw(b"\xff\xff\x00")
        a.get("status")  # has read what came before it
        a.signal(signal.SIGSTOP)
        time.sleep(17)
        a.signal(signal.SIGCONT)
        a.wait(lambda: a.get("status")["links"]["established"] == 0, "the link that stood still to end")
        self.assertIsNone(a.process.poll())

    def test_its_own_record_from_nowhere_is_outlived(self):
        """A node hears a far newer record of its own, signed with its own key: it raises above it
        and goes on. At the very end of the numbers too."""
        a, b, c = self.mesh()
        seed = hostile.digits((a.state / "identity").read_text())
        attacker = self.insider(b).dial(b)
        with self.undisturbed(b, c):
            for life, (incarnation, version) in enumerate(
                ((1, LIMIT - 1), (50, 7), (LIMIT - 2, LIMIT - 1))
            ):  # each of another instance: the same one twice would be a clone
                body = peer_body("a", 99 + life)
                attacker.frame(records(attacker.record(1, b"", incarnation, version, body, 0, seed)))
                attacker.sync()
                for node in (b, c):  # until a has raised above it, it may still seem to be in reach
                    node.wait(
                        lambda node=node, above=incarnation: self.incarnation_of(node, a) > above,
                        "a to raise above the record",
                    )
                    node.wait_reach("a")
            self.assertIsNone(a.process.poll(), a.log())
        b.api("POST", "/v1/ping", {"peer": a.id})

    def incarnation_of(self, node, other):
        return max((p["incarnation"] for p in node.get("peers") if p["id"] == other.id), default=0)


if __name__ == "__main__":
    hostile.main()
