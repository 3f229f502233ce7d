#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A daemon killed at any moment comes back whole, is taken back at once, and is believed.

Seeded: WEFT_SEED repeats a run's choices (the moments themselves are the machine's).
"""

import contextlib
import json
import os
import random
import shutil
import socket
import sqlite3
import statistics
import time

import harness
from harness import ApiError
from real import IS_SANITIZED, SEED, RealTest, report

ROUNDS = int(os.environ.get("WEFT_REAL_ROUNDS", 40 if IS_SANITIZED else 200))
NAMES = [f"kept-{number}" for number in range(6)]
ADDRESS = "127.0.0.1:9"
START_MS = 60  # about how long a start takes: within it, some are killed too
AT_ONCE = 5.0 if IS_SANITIZED else 0.9  # seconds; it takes 0.16, and what is lost is repeated after 1


class Model:
    """What a node's store must hold: certain once it was written, open before that."""

    def __init__(self):
        self.certain = {}  # name -> whether it is there
        self.open = set()

    def set(self, name, is_there):
        self.certain[name] = is_there
        self.open.add(name)

    def written(self):
        self.open.clear()

    def wrong(self, found):
        """Names that the node should have and has not, or the other way round."""
        return [
            name
            for name, is_there in self.certain.items()
            if name not in self.open and is_there != (name in found)
        ]

    def settle(self, found):
        self.certain = {name: name in found for name in NAMES}
        self.open.clear()


class Restart(RealTest):
    def test_killed_at_any_moment_two_hundred_times(self):
        rng = random.Random(SEED)
        report(f"WEFT_SEED={SEED}")
        self.page = b"still here"
        self.make_triangle()
        models = {node.name: Model() for node in self.nodes}
        starts, joins = [], []
        for number in range(ROUNDS):
            victim = rng.choice(self.nodes)
            with self.subTest(round=number, victim=victim.name, seed=SEED):
                self.disturb(victim, models[victim.name], rng)
                begun = time.monotonic()
                victim.start()
                starts.append(time.monotonic() - begun)
                begun = time.monotonic()
                self.check_return(victim, models[victim.name], begun)
                joins.append(time.monotonic() - begun)
        for what, times in (("ready", starts), ("believed by all", joins)):
            report(
                f"{ROUNDS} kills: {what} after {statistics.median(times) * 1000:.0f} ms (median),"
                f" {max(times) * 1000:.0f} ms (longest)"
            )

    def make_triangle(self):
        """Three nodes, each with a service of its configuration, each dialling the others."""
        web = self.http_service(self.page)
        self.nodes = [self.node("a", "--service", f"web-a={web}")]
        for name in ("b", "c"):
            self.nodes.append(self.join(name, self.nodes[0], "--service", f"web-{name}={web}"))
        for node in self.nodes:
            node.listen = node.address
            node.flags = ["--service", f"web-{node.name}={web}"]
            for other in self.others(node):
                node.flags += ["--seed", other.address, "--forward", f"web-{other.name}=0"]
            self.assertEqual(node.stop(), 0)
            node.start()
        for node in self.nodes:
            node.wait_reach(*(other.name for other in self.others(node)))

    def others(self, node):
        return [other for other in self.nodes if other is not node]

    def disturb(self, victim, model, rng):
        """Has the victim write, kills it at some moment of that, and maybe again as it starts."""
        for _ in range(rng.randrange(3)):
            self.change(victim, model, rng)
        if rng.random() < 0.3:
            victim.wait(lambda: metric(victim, "weft_store_waiting") == 0, "the store")
            model.written()
        if rng.random() < 0.7:
            self.change_unheard(victim, model, rng)
        time.sleep(rng.random() * 0.004)
        victim.kill()
        self.check_store(victim)
        if rng.random() < 0.3:
            victim.spawn()
            time.sleep(rng.random() * START_MS / 1000)
            victim.kill()
            self.check_store(victim)

    def change(self, victim, model, rng):
        name, is_there = rng.choice(NAMES), rng.random() < 0.5
        model.set(name, is_there)
        if is_there:
            victim.api("POST", "/v1/services", {"name": name, "endpoint": ADDRESS})
            return
        with contextlib.suppress(ApiError):  # it was not there
            victim.api("DELETE", f"/v1/services/{name}")

    def change_unheard(self, victim, model, rng):
        """Asks for a change and does not wait for the answer."""
        name = rng.choice(NAMES)
        model.set(name, True)
        body = json.dumps({"name": name, "endpoint": ADDRESS})
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(victim.control))
            head = f"POST /v1/services HTTP/1.1\r\nHost: weft\r\nContent-Length: {len(body)}\r\n\r\n"
            sock.sendall((head + body).encode())

    def check_store(self, victim):
        """SQLite's own check, on a copy: the original is the daemon's to recover."""
        copy = self.folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(victim.state, copy, ignore=shutil.ignore_patterns("*.sock"))
        self.assertGreater((copy / "store.db").stat().st_size, 0)
        with contextlib.closing(sqlite3.connect(copy / "store.db")) as db:
            self.assertEqual(db.execute("pragma integrity_check").fetchall(), [("ok",)])

    def check_return(self, victim, model, begun):
        own = services_of(victim, victim)
        kept = own - {(f"web-{victim.name}", "fresh")}
        names = {name for name, _ in kept}
        self.assertIn((f"web-{victim.name}", "fresh"), own)
        self.assertEqual(model.wrong(names), [])
        model.settle(names)
        for other in self.others(victim):
            other.wait(lambda: fresh_of(other, victim) == own, f"believing {victim.name}: {own}")
        self.assertLess(time.monotonic() - begun, AT_ONCE)
        friend = self.others(victim)[0]
        victim.wait_service(f"web-{friend.name}")
        for client, server in ((victim, friend), (friend, victim)):
            address = client.forward_address(f"web-{server.name}")
            self.assertEqual(self.fetch(address), self.page)

    def test_what_a_former_life_offered_is_gone_everywhere(self):
        first = self.node("a")
        second = self.join("b", first)
        victim = self.join("c", first, "--service", f"old={ADDRESS}", "--service", f"new={ADDRESS}")
        victim.api("POST", "/v1/services", {"name": "added", "endpoint": ADDRESS})
        for other in (first, second):
            other.wait_service("added")
        victim.kill()
        for other in (first, second):
            other.wait_service("old", state="stale")
        victim.flags = ["--seed", first.address, "--service", f"new={ADDRESS}"]
        victim.start()
        with contextlib.suppress(ApiError):  # killed before it was written
            victim.api("DELETE", "/v1/services/added")
        self.wait_only_new(victim, first, second)
        second.kill()  # what its store remembers of the former life counts no more
        second.start()
        self.wait_only_new(victim, first, second)

    def wait_only_new(self, victim, *others):
        for other in others:
            other.wait(lambda: services_of(other, victim) == {("new", "fresh")}, "only the new one")


def services_of(node, owner):
    """(name, state) of all that a node knows of another's services."""
    return {
        (row["name"], endpoint["state"])
        for row in node.get("services")
        for endpoint in row["endpoints"]
        if endpoint["peer"] == owner.id
    }


def fresh_of(node, owner):
    """The same but for what it said in a former life, which is forgotten a little later."""
    return {row for row in services_of(node, owner) if row[1] == "fresh"}


def metric(node, name):
    _, text = node.request("GET", "/metrics")
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(name + " "))


if __name__ == "__main__":
    harness.main()
