# SPDX-License-Identifier: Apache-2.0
"""What the hostile tests share: the attacker program, victims, and what must not change for them.

An attack runs inside `self.undisturbed(...)`: the honest nodes keep their routes and links, their
pings take at most twice as long as before, ninety-nine of a hundred (or SLOW, where sanitizers and
two cores blur that; test_latency.py measures it), and their memory grows by no more than a stated bound. The harness fails a
test whose daemons crashed or made a sanitizer speak.
"""

import contextlib
import hashlib
import math
import os
import re
import struct
import subprocess
import sys
import threading
import time

os.environ["ASAN_OPTIONS"] = ":".join(  # freed memory kept for the sanitizer is not the daemon's
    filter(None, [os.environ.get("ASAN_OPTIONS"), "quarantine_size_mb=4"])
)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "daemon"))

import harness  # noqa: E402
from harness import Node, WeftTest, main, refused_start  # noqa: E402, F401

ATTACKER = os.environ.get("ATTACKER", "hostile_attacker")
SLOW = 0.25  # seconds; a ping under attack may take this long whatever it took before
MIB = 1 << 20

# Frame kinds and close reasons of docs/protocol.md.
HEARTBEAT, UNICAST, BROADCAST, GOSSIP, CARRIER = 1, 2, 3, 4, 5
REKEY, CLOSE, RECORDS, SYNC, PULL, HEADS, DELTAS, NOTES = 16, 17, 18, 19, 20, 21, 22, 23
PROTOCOL = 3
ANSWER = 2  # a heartbeat's flag


def digits(text):
    """The 64 hexadecimal digits of a key file."""
    return re.search(r"[0-9a-f]{64}", text).group(0)


def p99(times):
    """What 99 of 100 are not above; of fewer than 100 the largest but none."""
    return sorted(times)[max(0, math.ceil(0.99 * len(times)) - 1)]


def split_address(address):
    host, port = address.rsplit(":", 1)
    return host, int(port)


def frame(kind, body=b"", flags=0, length=None):
    """A frame; `length` is what it claims."""
    return struct.pack(">BBH", kind, flags, len(body) if length is None else length) + body


def records(*encoded):
    return frame(RECORDS, b"".join(struct.pack(">H", len(one)) + one for one in encoded))


def text(value):
    value = value.encode()
    assert len(value) < 32
    return bytes([0xA0 | len(value)]) + value


def peer_body(name="attacker", instance=7):
    """The smallest body of a peer record: {i: instance, n: name}."""
    return b"\x82\xa1i\xcf" + struct.pack(">Q", instance) + b"\xa1n" + text(name)


def service_body(address="127.0.0.1:80"):
    return b"\x82\xa1e\x91\x93" + text(address) + b"\x00\x01\xa1p\x01"


TRAVEL = struct.pack(">HBB", 0, 0, 32)


class Attacker:
    """The attacker program: an insider when it was given the secret."""

    def __init__(self, test, secret=None, seed=None):
        self.process = subprocess.Popen(
            [ATTACKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        test.addCleanup(self.end)
        self.secret = digits(secret) if secret else None
        self.id = None
        if secret:
            self.say("secret", self.secret)
        self.identity(seed or os.urandom(32).hex())

    def end(self):
        if self.process.stdin.closed:
            return
        self.process.stdin.close()
        try:
            self.process.wait(harness.PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        said = self.process.stderr.read().decode()
        self.process.stdout.close()
        self.process.stderr.close()
        assert self.process.returncode == 0, f"the attacker itself failed: {said}"

    def say(self, *words):
        line = " ".join(word.hex() if isinstance(word, bytes) else str(word) for word in words)
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().decode()
        assert answer and answer != "what?\n", f"{line[:200]}: {answer}"
        return answer.strip()

    def identity(self, seed):
        self.seed = seed
        _, self.id, _, self.key = self.say("identity", seed).split()

    def dial(self, node, *source):
        answer = self.say("dial", *split_address(node.address), *source)
        assert answer == f"up {node.id}", answer
        return self

    def try_dial(self, node, *source):
        return self.say("dial", *split_address(node.address), *source)

    def frame(self, plain, payload=b""):
        return self.say("frame", plain, *([payload] if payload else [])) == "ok"

    def seal(self, plain):
        """The sealed record, which is not sent."""
        return bytes.fromhex(self.say("seal", plain).split()[1])

    def raw(self, data):
        return self.say("raw", data) == "ok"

    def kept(self):
        """The first records that came, as they came."""
        self.listen(0)
        return [bytes.fromhex(record) for record in self.say("kept").split()[1:]]

    def repeat(self, count, ms, plain):
        return int(self.say("repeat", count, ms, plain).split()[1])

    def record(self, kind, key=b"", incarnation=1, version=1, body=b"", flags=0, seed=None):
        said = self.say("record", kind, flags, key.hex() or "-", incarnation, version,
                        body.hex() or "-", *([seed] if seed else []))  # fmt: skip
        return bytes.fromhex(said.split()[1])

    def place(self, kind, key):
        """The place of a record of ours: docs/protocol.md, section 6.2."""
        id = hashlib.blake2b(bytes.fromhex(self.key), digest_size=32).digest()[:16]
        data = b"weft place 1\0" + struct.pack(">H", kind) + id + key
        return hashlib.blake2b(data, digest_size=32).digest()

    def broadcast(self, sequence, incarnation=1, channel="chat", payload=b"x", seed=None):
        said = self.say("broadcast", sequence, incarnation, channel, payload,
                        *([seed] if seed else []))  # fmt: skip
        return frame(BROADCAST, bytes.fromhex(said.split()[1]))

    def listen(self, ms=0):
        """What came so far: {up, reason, in, out, why, k1, k2 ...}."""
        said = self.say("listen", ms)
        state = {key: int(value) for key, value in re.findall(r" (\w+)=(\d+)", said)}
        state["why"] = said.split(" why=", 1)[1]
        return state

    def wait_down(self):
        """The victim closed the link: what it said."""
        deadline = time.monotonic() + harness.PATIENCE
        while time.monotonic() < deadline:
            state = self.listen(50)
            if not state["up"]:
                return state
        raise AssertionError("the victim keeps the link")

    def sync(self):
        """Waits until the victim has read all that was sent: it answers heartbeats in order, those
        of a young link at once."""
        beats = self.listen(0).get("k1", 0)
        self.frame(2 * frame(HEARTBEAT, bytes([ANSWER]) + bytes(20)))
        deadline = time.monotonic() + harness.PATIENCE
        while time.monotonic() < deadline:
            state = self.listen(10)
            if not state["up"] or state.get("k1", 0) > beats + 1:
                return state
        raise AssertionError("the victim says nothing any more")


class Watch:
    """Pings from one node to another until told to stop."""

    def __init__(self, node, target):
        self.node, self.target = node, target
        self.times = []
        self.errors = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.over.is_set():
            started = time.monotonic()
            try:
                self.node.api("POST", "/v1/ping", {"peer": self.target.name, "timeout_ms": 10000})
                self.times.append(time.monotonic() - started)
            except Exception as error:  # noqa: BLE001: all of them are the finding
                self.errors.append(str(error))
            self.over.wait(0.02)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


class HostileTest(WeftTest):
    def mesh(self, *flags):
        """Three honest nodes, each linked to the others."""
        a = self.node("a", *flags)
        b = self.join("b", a, *flags)
        c = self.join("c", a, *flags)
        for node in (a, b, c):
            node.wait_links(2)
        for node, others in ((a, "bc"), (b, "ac"), (c, "ab")):
            node.wait_reach(*others)
        return a, b, c

    def insider(self, node, seed=None):
        return Attacker(self, node.secret, seed)

    def honest_view(self, nodes):
        """What each honest node says of the others: whom it reaches, over whom (which of two honest
        ways is cheaper may change with the load of this machine), and its links."""
        ids = {node.id for node in nodes}
        honest = {node.id for node in self.processes}
        return {
            node.name: (
                {(r["peer"], r["next_hop"] in honest) for r in node.get("routes")
                 if r["peer"] in ids},
                {(r["peer"], r["direction"], r["address"]) for r in node.get("links")
                 if r["peer"] in ids and r["state"] == "established"},
            )
            for node in nodes
        }  # fmt: skip

    def ping_times(self, node, target, count=10):
        times = []
        for _ in range(count):
            started = time.monotonic()
            node.api("POST", "/v1/ping", {"peer": target.name})
            times.append(time.monotonic() - started)
        return times

    @contextlib.contextmanager
    def undisturbed(self, *nodes, grows=64 * MIB):
        """Checks what must not change for `nodes` while the block attacks the first of them."""
        before = self.honest_view(nodes)
        sizes = {node.name: node.get("status")["rss_bytes"] for node in nodes}
        starts = {node.name: node.event_lines()[-1]["seq"] for node in nodes}
        usual = p99(self.ping_times(nodes[1], nodes[0], 30))
        with Watch(nodes[1], nodes[0]) as watch:
            yield watch
        self.assertEqual(watch.errors, [])
        if watch.times:
            print(f"    {len(watch.times)} pings, p99 {p99(watch.times):.3f} s, before {usual:.3f} s",
                  file=sys.stderr, flush=True)  # fmt: skip
            self.assertLessEqual(p99(watch.times), max(2 * usual, SLOW))
        self.assertEqual(self.honest_view(nodes), before)
        names = {node.name for node in nodes} | {node.id for node in nodes}
        for node in nodes:
            self.assertIsNone(node.process.poll(), f"{node.name} died: {node.log()}")
            size = node.get("status")["rss_bytes"]
            self.assertLessEqual(size - sizes[node.name], grows, f"{node.name} grew")
            blamed = {culprit["peer"] for culprit in node.get("status")["culprits"]}
            self.assertEqual(blamed & names, set(), f"{node.name} blames the honest")
            for event in node.event_lines():
                if event["seq"] > starts[node.name]:
                    is_loss = event["event"] in ("peer-down", "link-down", "link-silent")
                    self.assertFalse(is_loss and event["detail"].get("peer") in names, event)

    def raw_id(self, node):
        value = 0
        for character in node.id:
            value = value << 5 | "abcdefghijklmnopqrstuvwxyz234567".index(character)
        return (value >> 2).to_bytes(16, "big")

    def metric(self, node, name):
        _, text = node.request("GET", "/metrics")
        return int(re.search(rf"^{name} (\d+)$", text, re.M).group(1))

    def is_blamed(self, node, attacker):
        return any(culprit["peer"] == attacker.id for culprit in node.get("status")["culprits"])

    def until_blamed(self, node, attacker, flood):
        """Floods again until the node names the attacker, which may take long on a slow machine."""
        deadline = time.monotonic() + harness.PATIENCE
        while not self.is_blamed(node, attacker) and time.monotonic() < deadline:
            flood()

    def assert_blamed_once(self, node, attacker):
        """One log line names the attacker, and so does the status."""
        node.wait(lambda: self.is_blamed(node, attacker), "the culprit in the status")
        lines = [
            line for line in node.log().splitlines()
            if " culprit " in f" {line} " and attacker.id in line
        ]  # fmt: skip
        self.assertEqual(len(lines), 1, node.log())
