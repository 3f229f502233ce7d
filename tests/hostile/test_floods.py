#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An insider that keeps to the layout and sends far too much of it: what it costs is bounded, and
the honest nodes go on as before."""

import contextlib
import os
import socket
import socketserver
import struct
import threading
import time

import hostile
from hostile import (
    ANSWER,
    DELTAS,
    GOSSIP,
    HEADS,
    HEARTBEAT,
    MIB,
    NOTES,
    PULL,
    RECORDS,
    SYNC,
    TRAVEL,
    UNICAST,
    HostileTest,
    frame,
    records,
    service_body,
)

FLOOD_MS = 1000
MANY = 1 << 40
ASK_ALL = b"\x01\x00" + os.urandom(16 * 4)  # fingerprints of depth 0 that differ everywhere


def sync(*items):
    return frame(SYNC, struct.pack(">Q", 7) + b"".join(items))


def cheap_frames():
    """Frames by name that cost their sender little and their receiver much, each as often as a record holds."""
    wants = b"\x03\x00" + struct.pack(">H", 7200) + bytes(8 * 7200)
    return {
        "heartbeats": 100 * frame(HEARTBEAT, bytes([ANSWER]) + bytes(20)),
        "reconciliations": 4 * sync(ASK_ALL),
        "many items": sync(*(880 * [ASK_ALL])),
        "wants": sync(wants),
        "empty records": 1000 * frame(RECORDS),
        "empty heads": 1000 * frame(HEADS),
        "heads": frame(HEADS, b"".join(os.urandom(16) + struct.pack(">QQ", 1, 1 << 62)
                                       for _ in range(1800))),
        "pulls": 1000 * frame(PULL, os.urandom(16) + struct.pack(">QQH", 1, 1, 65535)),
        "deltas": frame(DELTAS, b"".join(os.urandom(4) + b"\x01\x09\x01\x00" + bytes(64)
                                         for _ in range(800))),
        "notes": 100 * frame(NOTES, b"\x02" + os.urandom(600)),
        "unicasts nowhere": 400 * frame(UNICAST, TRAVEL + os.urandom(32) + b"\x04abcd"),
        "unknown kinds": 10000 * frame(99),
    }  # fmt: skip


class Floods(HostileTest):
    def announced(self, node):
        """An insider that the whole mesh knows."""
        attacker = self.insider(node).dial(node)
        attacker.say("announce", 1000, 1, 1)
        return attacker

    def test_cheap_frames_that_cost_dear_work(self):
        """T15, T17: heartbeats that want an answer, reconciliations of everything, empty frames,
        asks for what does not exist."""
        a, b, c = self.mesh("--service", "web=127.0.0.1:80")
        for number, (what, plain) in enumerate(cheap_frames().items()):
            # Each over a link of its own: the victim ends that of who does not take its answers.
            attacker = self.insider(a).dial(a, f"127.31.{number}.1")
            attacker.say("announce", 1000, 1, 1)
            with self.subTest(what), self.undisturbed(a, b, c):
                sent = attacker.repeat(MANY, FLOOD_MS, plain)
                # On a slow machine it takes longer to be more than anybody honest would say.
                self.until_blamed(a, attacker, lambda: attacker.repeat(MANY, FLOOD_MS, plain))
                self.assertGreater(sent * len(plain), 200_000, "a flood")
                self.assert_blamed_once(a, attacker)
            attacker.say("hangup")
        self.assertLess(len(a.log().splitlines()), 200, "nothing is logged per frame")

    def test_a_million_invented_peers(self):
        """T11: each record signed, each claiming a link to the attacker."""
        a, b, c = self.mesh()
        attacker = self.announced(a)
        with self.undisturbed(a, b, c, grows=128 * MIB):
            # More than the 20,000 that a newcomer to a large mesh may tell of at once; and as many more
            # as it takes to come faster than the 2,000 a second that it may tell of then.
            attacker.say("phantoms", 40000, 60000, 50)
            self.until_blamed(a, attacker, lambda: attacker.say("phantoms", 10000, 60000, 50))
        self.assert_blamed_once(a, attacker)
        for node in (b, c):
            known = node.get("status")["peers"]["known"]
            self.assertLessEqual(known, 4, "strangers that nothing reaches are not passed on")

    def test_records_of_one_owner_are_bounded(self):
        """1,024 records and 256 KiB of one owner, whatever kind they are."""
        a, b, c = self.mesh()
        attacker = self.announced(a)
        body = os.urandom(20000)
        with self.undisturbed(a, b, c, grows=64 * MIB):
            for i in range(400):
                attacker.frame(records(attacker.record(999, b"%d" % i, body=body)))
            for i in range(1200):
                attacker.frame(
                    records(attacker.record(2, b"default/s%d" % i, body=service_body()))
                )
            attacker.sync()
            for node in (a, b, c):
                self.assertLessEqual(len(node.get("services")), 1024)
        self.assert_blamed_once(a, attacker)

    def test_versions_without_end(self):
        """One record, a new version each time: honest news still gets through."""
        a, b, c = self.mesh()
        attacker = self.announced(a)
        with self.undisturbed(a, b, c):
            for version in range(1, 1500):
                attacker.frame(
                    records(attacker.record(2, b"default/x", 1, version, service_body()))
                )
            b.api("POST", "/v1/services", {"name": "honest", "endpoint": "127.0.0.1:1"})
            c.wait_service("honest")

    def test_broadcasts_and_gossip_without_end(self):
        a, b, c = self.mesh()
        attacker = self.announced(a)
        c.wait_reach("attacker")
        with self.undisturbed(a, b, c):
            for sequence in (1, 2, 1 << 20, 1 << 62, (1 << 63) - 1):
                attacker.frame(attacker.broadcast(sequence))
            for i in range(300):
                attacker.frame(attacker.broadcast(i + 3, payload=os.urandom(20000)))
            for i in range(300):  # of sources that nobody knows
                attacker.frame(attacker.broadcast(1, seed=os.urandom(32).hex()))
            for i in range(300):
                attacker.frame(frame(GOSSIP, TRAVEL + b"\x04chat" + os.urandom(30000)))
            for i in range(600):
                name = b"c%d" % i
                attacker.frame(frame(GOSSIP, TRAVEL + bytes([len(name)]) + name + os.urandom(9000)))
            self.assertTrue(attacker.sync()["up"])

    def test_streams_opened_and_reset_at_once(self):
        """T15: rapid reset, against a real service."""
        accepted = []

        class Count(socketserver.BaseRequestHandler):
            def handle(self):
                accepted.append(1)

        address = self.serve(Count)
        a, b, c = self.mesh("--service", f"web={address}")
        attacker = self.announced(a)
        b.wait_reach("attacker")
        with self.undisturbed(a, b, c, grows=96 * MIB):
            said = attacker.say("opens", 100000, 3000, "web", attacker.secret)
            self.assertGreater(int(said.split()[1]), 1000)
        self.assert_blamed_once(a, attacker)
        self.assertGreater(len(accepted), 0, "the flood reached the service")
        # What is left of a peer that went silent waits for its return: a minute, and bounded.
        left = a.get("status")["streams"]["open"]
        self.assertLessEqual(left, 16384)
        print(f"{left} streams wait for the attacker")
        before = len(accepted)
        b.api("POST", "/v1/forwards", {"service": "web"})
        host, port = hostile.split_address(b.forward_address("web"))
        with socket.create_connection((host, port), hostile.harness.PATIENCE) as honest:
            self.assertEqual(honest.recv(1), b"")
        self.assertGreater(len(accepted), before, "honest streams get through")

    def udp_echo(self):
        """A UDP service that answers with what it gets; its address."""
        service = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        service.bind(("127.0.0.1", 0))

        def run():
            data, source = service.recvfrom(65536)
            while data != b"stop":
                service.sendto(data, source)
                data, source = service.recvfrom(65536)

        thread = threading.Thread(target=run)
        thread.start()

        def end():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                other.sendto(b"stop", service.getsockname())
            thread.join()
            service.close()

        self.addCleanup(end)
        return "127.0.0.1:%d" % service.getsockname()[1]

    def ask_udp(self, address):
        """One exchange, tried as often as a client would."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(1)
            for number in range(20):
                client.sendto(b"%d" % number, hostile.split_address(address))
                with contextlib.suppress(TimeoutError):
                    return client.recv(100)
        raise AssertionError("no answer")

    def test_a_flood_of_flows_costs_what_it_may(self):
        """T15: each is a socket at the victim; its own give way, not those of others."""
        a, b, c = self.mesh("--service", f"echo/udp={self.udp_echo()}")
        attacker = self.announced(a)
        b.wait_reach("attacker")
        b.wait_service("echo")
        address = b.api("POST", "/v1/forwards", {"service": "echo/udp"})["address"]
        self.ask_udp(address)
        with self.undisturbed(a, b, c, grows=96 * MIB):
            said = attacker.say("flows", 100000, 3000, "echo", attacker.secret)
            self.assertGreater(int(said.split()[1]), 5000)
            self.ask_udp(address)
        self.assert_blamed_once(a, attacker)
        datagrams = a.get("status")["datagrams"]
        print(f"of {said.split()[1]} flows {datagrams}")
        self.assertLessEqual(datagrams["flows"], 8192 // 4 + 2)
        self.assertLessEqual(len(os.listdir(f"/proc/{a.process.pid}/fd")), 8192 // 4 + 100)
        self.assertEqual(b.get("forwards")[0]["failed"], 0)

    def test_flows_to_what_is_not_offered_leave_nothing(self):
        a, b, c = self.mesh("--service", f"echo/udp={self.udp_echo()}")
        attacker = self.announced(a)
        b.wait_reach("attacker")
        with self.undisturbed(a, b, c, grows=48 * MIB):
            said = attacker.say("flows", 20000, 2000, "nothing", attacker.secret)
            self.assertGreater(int(said.split()[1]), 1000)
        self.assert_blamed_once(a, attacker)
        a.wait(lambda: a.get("status")["datagrams"]["flows"] == 0, "no flow to be left")

    def test_sybils_four_to_one(self):
        """T19: they dial, stay, and claim to be near; who was there before stays linked."""
        a, b, c = self.mesh()
        sybils = []
        with self.undisturbed(a, b, c, grows=32 * MIB):
            for number in range(12):
                sybil = self.insider(a).dial(a, f"127.32.{number}.1")
                sybil.say("announce", 1, 1, 1)
                sybils.append(sybil)
            over = time.monotonic() + 6  # 5 s is the age at which links are trimmed
            while time.monotonic() < over:
                for sybil in sybils:
                    sybil.frame(frame(HEARTBEAT, bytes(21)))
                    sybil.listen(8)
            up = sum(sybil.listen(0)["up"] for sybil in sybils)
            print(f"{up} of 12 sybils hold a link")

    def test_a_peer_that_does_not_read_is_let_go(self):
        """T14, T16: it asks without end and never reads; the others do not wait for it."""
        a, b, c = self.mesh("--service", "web=127.0.0.1:80")
        attacker = self.insider(a).dial(a)
        with self.undisturbed(a, b, c, grows=48 * MIB):
            attacker.say("deaf", 40000, 3000, sync(*(800 * [ASK_ALL])))


if __name__ == "__main__":
    hostile.main()
