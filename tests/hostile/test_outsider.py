#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who does not have the mesh secret gets no byte, no memory and nobody's attention."""

import contextlib
import re
import select
import socket
import socketserver
import threading
import time
import unittest

import hostile
from hostile import Attacker, HostileTest, harness, split_address


def knock(node, source=None):
    sock = socket.socket()
    sock.settimeout(harness.PATIENCE)
    if source:
        sock.bind((source, 0))
    sock.connect(split_address(node.address))
    return sock


def drain(sock):
    """All that the other side says until it closes."""
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while True:
            piece = sock.recv(65536)
            if not piece:
                return got
            got += piece
    return got


class Recorder:
    """Stands between a dialler and a node; keeps what each said and may change it on the way."""

    def __init__(self, test, node, change=lambda direction, data: data):
        self.node, self.change = node, change
        self.sessions = []  # [{"out": bytes of the dialler, "in": bytes of the node}]
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.threads = []
        self.is_over = False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        test.addCleanup(self.end)

    def run(self):
        while not self.is_over:
            if not select.select([self.listener], [], [], 0.05)[0]:
                continue
            client, _ = self.listener.accept()
            session = {"out": b"", "in": b""}
            self.sessions.append(session)
            thread = threading.Thread(target=self.carry, args=(client, session))
            thread.start()
            self.threads.append(thread)

    def carry(self, client, session):
        with contextlib.suppress(OSError), client, knock(self.node) as server:
            ways = {client: (server, "out"), server: (client, "in")}
            while not self.is_over:
                for source in select.select(list(ways), [], [], 0.05)[0]:
                    target, direction = ways[source]
                    data = source.recv(65536)
                    if not data:
                        return
                    session[direction] += data
                    target.sendall(self.change(direction, data))

    def end(self):
        self.is_over = True
        self.thread.join()
        for thread in self.threads:
            thread.join()
        self.listener.close()


class Outsider(HostileTest):
    def setUp(self):
        super().setUp()
        self.networks = 0

    def fresh_source(self):
        """An address in a network that nobody knocked from: not even the rate speaks against it."""
        self.networks += 1
        return f"127.20.{self.networks}.1"

    def assert_silent(self, node, data, what, source=None):
        """Sends bytes; the node must close without one byte."""
        with knock(node, source) as sock:
            with contextlib.suppress(OSError):
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
            self.assertEqual(drain(sock), b"", what)

    def pieces(self, session, direction):
        """The recorded bytes of one direction by their lengths: messages, then records."""
        data = session[direction]
        preamble = 6 if direction == "out" else 0
        pieces = []
        while len(data) > preamble + 2:
            end = preamble + 2 + int.from_bytes(data[preamble : preamble + 2], "big")
            pieces.append(data[:end])
            data, preamble = data[end:], 0
        self.assertGreater(len(pieces), 3, "a handshake and some records")
        return pieces

    def first_message(self, node):
        """The first message of a dialler that has the secret, which nobody has seen."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = "127.0.0.1:%d" % listener.getsockname()[1]
            dialler = self.node("first", "--seed", address, secret=node.secret)
            listener.settimeout(harness.PATIENCE)
            client, _ = listener.accept()
            with client:
                client.settimeout(harness.PATIENCE)
                said = b""
                while len(said) < 898:
                    said += client.recv(65536)
            dialler.kill()
        return said

    def recorded_session(self, a):
        """What a real dialler said to `a` in one whole session, and what `a` said."""
        recorder = Recorder(self, a)
        d = self.node("d", "--seed", recorder.address, "--discovery", "off", secret=a.secret)
        d.wait_reach("a")
        d.stop()
        return recorder.sessions[0]

    def test_garbage_lengths_and_truncation_get_no_answer(self):
        a, b, c = self.mesh()
        session = self.recorded_session(a)
        first = session["out"][:898]
        cases = {
            "nothing": b"",
            "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "zeroes": bytes(5000),
            "preamble alone": b"weft\x01\x01",
            "no version": b"weft\x00\x00" + bytes(892),
            "versions turned round": b"weft\x02\x01" + bytes(892),
            "other magic": b"Weft" + first[4:],
        }
        for length in (0, 1, 47, 48, 1015, 1016, 1017, 0x7FFF, 0x8000, 0xFFFF):
            head = b"weft\x01\x01" + length.to_bytes(2, "big")
            cases[f"length {length}"] = head + bytes(min(length, 4096))
        for size in (1, 5, 7, 8, 40, 897):
            cases[f"first {size} bytes"] = first[:size]
        for at in (8, 39, 40, 60, 897):
            flipped = bytearray(first)
            flipped[at] ^= 1
            cases[f"bit of byte {at} flipped"] = bytes(flipped)
        with self.undisturbed(a, b, c, grows=16 * hostile.MIB):
            for what, data in cases.items():
                self.assert_silent(a, data, what)
        said = a.log().count("event=handshake-failed") or a.log().count("handshake-failed")
        self.assertLessEqual(said, 3, "logged once per address, with a count")
        self.assertGreaterEqual(said, 1)
        strangers = a.get("status")["strangers"]
        self.assertEqual([row["remote"].rsplit(":", 1)[0] for row in strangers[:1]], ["127.0.0.1"])
        self.assertGreaterEqual(strangers[0]["count"], len(cases) // 2)

    def test_a_replay_gets_no_answer(self):
        """T1: on the same node, on another one, and the node's own bytes in return."""
        a, b, c = self.mesh()
        session = self.recorded_session(a)
        self.assertGreater(len(session["in"]), 100)
        self.assertLessEqual(
            len(session["in"][:2]) + int.from_bytes(session["in"][:2], "big"), 898,
            "the answer is no longer than the question",
        )  # fmt: skip
        with self.undisturbed(a, b, c):
            self.assert_silent(a, session["out"][:898], "first message again")
            self.assert_silent(a, session["out"], "whole session again")
            self.assert_silent(a, session["in"], "the node's own bytes")
            for direction in ("out", "in"):  # each message and record of it, alone
                for i, record in enumerate(self.pieces(session, direction)):
                    self.assert_silent(a, record, f"{direction} {i}", self.fresh_source())
        # Another node never saw this first message. It may answer it, with no more than it got, but
        # nothing that follows opens.
        with knock(b) as sock:
            with contextlib.suppress(OSError):
                sock.sendall(session["out"])
                sock.shutdown(socket.SHUT_WR)
            self.assertLessEqual(len(drain(sock)), 898)
        self.assertEqual(b.get("status")["links"]["established"], 2)

    def test_its_own_bytes_reflected_prove_nothing(self):
        """T2: a node that dials is answered with what it says."""
        a = self.node("a")
        listener = socket.create_server(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % listener.getsockname()[1]
        d = self.node("d", "--seed", address, secret=a.secret)
        listener.settimeout(harness.PATIENCE)
        client, _ = listener.accept()
        with listener, client:
            client.settimeout(harness.PATIENCE)
            said = client.recv(65536)
            while len(said) < 898:
                said += client.recv(65536)
            client.sendall(said)
            self.assertEqual(drain(client), b"", "nothing more than its first message")
        d.wait_event("handshake-failed", direction="out")
        self.assertEqual(d.get("status")["links"]["established"], 0)

    def test_a_node_led_to_itself_finds_its_own_key(self):
        """T2: between its door and its own dialling, whoever stands there learns and gains nothing."""
        a = self.node("a")
        recorder = Recorder(self, a)
        a.stop()
        a.flags += ["--seed", recorder.address]
        a.listen = a.address
        a.start()
        a.wait_event("handshake-failed", direction="out")
        self.assertIn("our own key", a.log())
        self.assertEqual(a.get("status")["links"]["established"], 0)
        self.assertLessEqual(len(recorder.sessions[0]["in"]), 898)
        self.assertEqual(len(recorder.sessions[0]["out"]), 898, "it does not go on to prove itself")

    def test_no_offer_can_be_changed_on_the_way(self):
        """T3: each bit of what a dialler offers, and each version stripped, raised or lowered. The
        features are in the sealed part of the handshake, of which any changed bit ends it
        (link_handshake, noise_hostile)."""
        a, b, c = self.mesh()
        with self.undisturbed(a, b, c):
            first = self.first_message(a)
            offers = {bytes((low, high)) for low, high in ((1, 2), (0, 1), (1, 255), (2, 2), (0, 0))}
            for bit in range(16):
                offers.add((int.from_bytes(first[4:6], "big") ^ 1 << bit).to_bytes(2, "big"))
            for offer in offers:
                changed = first[:4] + offer + first[6:]
                self.assert_silent(a, changed, f"versions {offer.hex()}", self.fresh_source())
            for bit in range(64):
                changed = bytearray(first)
                changed[bit // 8] ^= 1 << bit % 8
                self.assert_silent(a, bytes(changed), f"bit {bit}", self.fresh_source())
            with knock(a, self.fresh_source()) as sock:  # as it was: it is answered, with no more than it brought
                sock.sendall(first)
                sock.shutdown(socket.SHUT_WR)
                self.assertTrue(0 < len(drain(sock)) <= 898)

    def test_a_record_changed_on_the_way_ends_the_link(self):
        a = self.node("a")
        state = {"seen": 0, "done": False}

        def change(direction, data):
            if direction == "out":
                state["seen"] += len(data)
                if state["seen"] > 2000 and not state["done"]:
                    state["done"] = True
                    return data[:-1] + bytes([data[-1] ^ 1])
            return data

        recorder = Recorder(self, a, change)
        d = self.node("d", "--seed", recorder.address, "--heartbeat", "200ms", "--discovery", "off",
                      secret=a.secret)  # fmt: skip
        d.wait_event("link-down")
        d.wait(lambda: len(recorder.sessions) >= 2, "a new try")
        d.wait_links(1)

    def test_a_large_body_first_is_not_taken(self):
        """T9: megabytes before anything is proven: the connection ends at the first that is wrong."""
        a, b, c = self.mesh()
        with self.undisturbed(a, b, c, grows=8 * hostile.MIB):
            for head in (b"", b"weft\x01\x01\xff\xff", b"weft\x01\x01\x03\x7a"):
                with knock(a) as sock:
                    sent = len(head)
                    with contextlib.suppress(OSError):
                        sock.sendall(head)
                        while sent < 64 * hostile.MIB:
                            sent += sock.send(bytes(65536))
                    self.assertLess(sent, 64 * hostile.MIB, "the kernel's buffers at most")
                    with contextlib.suppress(OSError):
                        self.assertEqual(drain(sock), b"")

    def test_a_wrong_secret_is_refused(self):
        a, b, c = self.mesh()
        stranger = Attacker(self, "11" * 32)
        with self.undisturbed(a, b, c):
            self.assertTrue(stranger.try_dial(a).startswith("down"))
        self.assertEqual(stranger.listen()["in"], 0)
        a.wait_event("handshake-failed", direction="in")

    def test_one_byte_a_second_ends_after_five(self):
        """T9, C4: and hundreds that wait take neither memory nor the honest nodes' time."""
        a, b, c = self.mesh()
        first = b"weft\x01\x01\x03\x7a" + bytes(100)
        with self.undisturbed(a, b, c, grows=32 * hostile.MIB), contextlib.ExitStack() as stack:
            started = time.monotonic()
            slow = stack.enter_context(knock(a))
            waiting = []
            for i in range(360):  # each prefix has 50 at once: from eight of them
                sock = stack.enter_context(knock(a, f"127.9.{i % 8}.1"))
                sock.setblocking(False)
                with contextlib.suppress(OSError):
                    sock.sendall(b"weft\x01\x01\x03\x7a" + bytes(800))
                waiting.append(sock)
            a.wait(lambda: self.count_open(waiting) <= 256, "the others to be refused")
            self.assertGreaterEqual(self.count_open(waiting), 200)
            ended = None
            for byte in first:
                try:
                    slow.sendall(bytes([byte]))
                except OSError:
                    break
                if select.select([slow], [], [], 0.5)[0]:
                    self.assertEqual(drain(slow), b"")
                    ended = time.monotonic() - started
                    break
            self.assertIsNotNone(ended, "it was closed")
            self.assertLess(ended, 7)
            a.wait(lambda: self.count_open(waiting) == 0, "the half-open ones to be closed")

    def count_open(self, socks):
        count = 0
        for sock in socks:
            try:
                self.assertEqual(sock.recv(1), b"")
            except BlockingIOError:
                count += 1
            except OSError:
                pass
        return count

    def test_a_newcomer_gets_in_during_a_flood(self):
        """C3: thousands of connections a second from one network."""
        a, b, c = self.mesh()
        flooder = Attacker(self)
        newcomer = Attacker(self, a.secret)
        state = {}

        def flood():
            state["sent"] = flooder.say("knock", *split_address(a.address), "127.66.6", 5000)

        thread = threading.Thread(target=flood)
        with self.undisturbed(a, b, c):
            thread.start()
            try:
                a.wait(lambda: "connection-refused" in a.log(), "the flood to be felt")
                for i in range(3):
                    started = time.monotonic()
                    newcomer.dial(a, f"127.77.7.{i + 1}")
                    self.assertLess(time.monotonic() - started, 1)
            finally:
                thread.join()
        sent = int(state["sent"].split()[1])
        self.assertGreater(sent, 2500)
        refused = [line for line in a.log().splitlines() if "connection-refused" in line]
        self.assertLessEqual(len(refused), 260, "one line per address at most")
        strangers = a.get("status")["strangers"]
        self.assertEqual({row["remote"].rsplit(".", 1)[0] for row in strangers}, {"127.66.6"})
        self.assertEqual({row["why"] for row in strangers}, {"too many connections from this network"})


class Excluded(HostileTest):
    """T5: what there is instead of revoking a key. The others get a new secret; then who has the old one is
    nobody, whatever key it has."""

    def renew(self, node, secret):
        """Gives a node another secret and starts it again at its old address; when that was done."""
        node.listen = node.address
        self.assertEqual(node.stop(), 0)
        node.put_secret(secret)
        node.start()
        return time.monotonic()

    def test_who_is_not_given_the_new_secret_is_out(self):
        heard = []

        class Echo(socketserver.BaseRequestHandler):
            def handle(self):
                with contextlib.suppress(ConnectionResetError):
                    while data := self.request.recv(65536):
                        heard.append(data)
                        self.request.sendall(data)

        a = self.node("a", "--service", f"echo={self.serve(Echo)}")
        b = self.join("b", a)
        also = ("--seed", b.address, "--forward", "echo=0", "--service", "lure=127.0.0.1:9")
        c = self.join("c", a, *also)
        for node in (a, b, c):
            node.wait_links(2)
        c.wait_service("echo")
        old = a.secret
        with socket.create_connection(split_address(c.forward_address("echo")), harness.PATIENCE) as live:
            live.sendall(b"before")
            self.assertEqual(live.recv(6), b"before")
            self.renew(a, "11" * 32 + "\n")
            since = self.renew(b, a.secret)
            c.wait_links(0)
            self.assertLess(time.monotonic() - since, 1, "links of the old secret end with the news")
            for node, other in ((a, "b"), (b, "a")):
                node.wait_reach(other)
            live.sendall(b"after")  # the stream waits for a path, in vain
            self.knocks_in_vain(c, a, b)
        self.assertEqual(heard, [b"before"])
        for node in (a, b):
            self.assertFalse([p for p in node.get("peers") if p["id"] == c.id and p["reachable"]])
            self.assertNotIn("fresh", [e["state"] for s in node.get("services") if s["name"] == "lure"
                                       for e in s["endpoints"]])  # fmt: skip
        # Nor does it help to have the key of one that stayed.
        thief = Attacker(self, old, hostile.digits((b.state / "identity").read_text()))
        self.assertTrue(thief.try_dial(a).startswith("down"))

    def knocks_in_vain(self, node, *others):
        """Until it has tried each of these seeds again and again."""

        def has_tried():
            said = {p["what"]: p["cause"] for p in node.get("status")["problems"]}
            causes = [said.get(f"no link to seed {other.address}", "") for other in others]
            return all(int(tries) >= 2 for cause in causes for tries in self.tries_of(cause))

        node.wait(has_tried, "dials that fail")
        self.assertEqual(node.get("status")["links"]["established"], 0)

    def tries_of(self, cause):
        return re.findall(r"\((\d+) tries\)", cause) or ["0"]


if __name__ == "__main__":
    hostile.main()
