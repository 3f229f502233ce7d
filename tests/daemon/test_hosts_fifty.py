#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fifty daemons, each on a host of its own, release build, as a mesh is found: most in one network, some
with both families of addresses or IPv6 alone, some behind NAT, some far away. How fast all of them know
that one was killed (a socket closed) and that one stands still (it says nothing more): B9. And how fast they
are a mesh again after all lost their power at once."""

import calendar
import contextlib
import re
import selectors
import signal
import time

from hosts import PORT, HostTest, harness, measured

COUNT = 50
DUALS = 10  # both families; the first is the seed of all
SIXES = 6  # IPv6 alone
SITES = 2  # networks behind NAT, ...
NATTED = 3  # ... with so many hosts each
FARS = 4  # whose only way leads through a relay that holds all up
FAR_MS = 10  # each way
KILLED_S = 0.3
SILENT_S = 3.8
POWER_S = 20  # from nothing to all processes and all paths, on two cores
REST_S = 1.0  # without a link or a peer that comes or goes
CHANGE = re.compile(
    rb'"time":"([^".]+)\.(\d{3})Z","level":"\w+","event":"(peer|link)-(up|down)",'
    rb'"detail":{[^}]*?(?:"id":"(\w+)")?}'
)


def seconds(stamp, millis):
    return calendar.timegm(time.strptime(stamp.decode(), "%Y-%m-%dT%H:%M:%S")) + int(millis) / 1000


class Follower:
    """What one daemon says of whom it reaches, with its own times, as it says it: nobody is asked
    again and again, which would take time from all of them."""

    def __init__(self, test, node):
        self.socket = test.kept.enter_context(node.events())
        self.left = b""
        self.reached = set()
        self.since = 0.0  # when that changed

    def read(self):
        """Whether a link or a peer came or went."""
        data = self.socket.recv(1 << 18)
        if not data:
            raise AssertionError("a daemon ended its event stream")
        lines = (self.left + data).split(b"\n")
        self.left = lines.pop()
        changes = CHANGE.findall(b"\n".join(lines))
        for stamp, millis, what, way, peer in changes:
            if what == b"peer":
                (self.reached.add if way == b"up" else self.reached.discard)(peer)
                self.since = seconds(stamp, millis)
        return bool(changes)


class Fifty(HostTest):
    def setUp(self):
        super().setUp()
        self.hosts = []
        self.make_hosts()
        self.kept = contextlib.ExitStack()
        self.addCleanup(self.kept.close)
        self.selector = self.kept.enter_context(selectors.DefaultSelector())
        for host in self.hosts:
            host.follower = Follower(self, host.node)
            self.selector.register(host.follower.socket, selectors.EVENT_READ, host.follower)

    def make_hosts(self):
        wan, far = self.switch("wan"), self.switch("far")
        self.duals = [
            self.start(self.host(f"dual-{n}", wan=(wan, f"10.9.0.{n}/24", f"fd09::{n}/64")))
            for n in range(1, DUALS + 1)
        ]
        self.sixes = [
            self.start(self.host(f"six-{n}", wan=(wan, f"fd09::1:{n}/64")), "[fd09::1]")
            for n in range(1, SIXES + 1)
        ]
        self.natted = []
        for site in range(1, SITES + 1):
            _, lan = self.router(f"router-{site}", wan, f"10.9.0.{200 + site}/24")
            self.natted += [
                self.start(self.behind(lan, f"nat-{site}-{n}", 1 + n)) for n in range(1, NATTED + 1)
            ]
        relay = self.host("relay", wan=(wan, "10.9.0.210/24"), far=(far, "10.8.0.1/24"))
        self.delay(relay, FAR_MS, {f"10.8.0.1:{PORT}": f"10.9.0.1:{PORT}"})
        self.fars = [
            self.start(self.host(f"far-{n}", far=(far, f"10.8.0.{1 + n}/24")), "10.8.0.1")
            for n in range(1, FARS + 1)
        ]
        self.fours = [
            self.start(self.host(f"four-{n}", wan=(wan, f"10.9.0.{100 + n}/24")))
            for n in range(1, COUNT - len(self.hosts) + 1)
        ]

    def start(self, host, seed="10.9.0.1"):
        host.daemon(*(["--seed", f"{seed}:{PORT}"] if self.hosts else []))
        self.hosts.append(host)
        return host

    def wait_all(self, hosts, count):
        """Until all of them reach so many; when, by their own clocks, the last of them came to."""
        deadline = time.monotonic() + harness.PATIENCE
        while any(len(host.follower.reached) != count for host in hosts):
            for key, _ in self.selector.select(max(0.0, deadline - time.monotonic())):
                key.data.read()
            if time.monotonic() > deadline:
                found = {host.name: len(host.follower.reached) for host in hosts}
                raise AssertionError(f"not all reach {count}: {found}")
        return max(host.follower.since for host in hosts)

    def wait_rest(self):
        """Until nothing has come or gone for a while."""
        deadline = time.monotonic() + harness.PATIENCE
        quiet_at = time.monotonic() + REST_S
        while (left := quiet_at - time.monotonic()) > 0:
            for key, _ in self.selector.select(left):
                if key.data.read():
                    quiet_at = time.monotonic() + REST_S
            self.assertLess(time.monotonic(), deadline, "links come and go without end")

    def leave(self, host):
        """Its stream is heeded no more; who is left."""
        self.selector.unregister(host.follower.socket)
        self.hosts.remove(host)
        return self.hosts

    def links(self, host):
        ups = [row for row in host.node.get("links") if row["state"] == "established"]
        self.assertTrue(ups, host.name)
        return ups

    def check_kinds(self):
        """Each host is what it was made to be."""
        for host in self.sixes:
            for link in self.links(host):
                self.assertTrue(link["address"].startswith("["), link)
        for host in self.natted:
            for link in self.links(host):
                is_inside = link["name"].startswith(host.name[: len("nat-1-")])
                self.assertTrue(link["direction"] == "out" or is_inside, link)
        for host in self.fars:
            to_seed = next(row for row in self.links(host) if row["name"] == "dual-1")
            self.assertGreaterEqual(to_seed["rtt_ms"], 2 * FAR_MS)
        used = {row["address"][0] == "[" for host in self.duals for row in self.links(host)}
        self.assertEqual(used, {True, False}, "both families are used")

    def kill(self, victim):
        """Seconds until all others know."""
        rest = self.leave(victim)
        killed = time.time()
        victim.node.process.kill()
        took = self.wait_all(rest, len(rest) - 1) - killed
        measured(f"kill -9 of {victim.name} known to all after {took:.3f} s")
        return took

    def test_a_kill_and_a_stop_are_known_to_all_in_time(self):
        began = time.time()
        formed = self.wait_all(self.hosts, COUNT - 1)
        measured(f"all know all {max(0.0, formed - began):.1f} s after the last was started")
        self.wait_rest()
        self.check_kinds()
        took = []
        for victim in (self.fours[7], self.duals[3], self.sixes[2], self.natted[1], self.fars[1]):
            took.append(self.kill(victim))
            self.wait_rest()
        silent = self.fours[3]
        rest = self.leave(silent)
        stopped = time.time()
        silent.node.signal(signal.SIGSTOP)
        silence = self.wait_all(rest, len(rest) - 1) - stopped
        measured(f"SIGSTOP known to all after {silence:.2f} s")
        silent.node.signal(signal.SIGCONT)
        self.wait_all(rest, len(rest))
        self.assertLess(max(took), KILLED_S)
        self.assertLess(silence, SILENT_S)

    def test_all_power_is_lost_and_comes_back(self):
        """What a node knew it knows again, whoever starts first; all know all."""
        self.wait_all(self.hosts, COUNT - 1)
        for host in self.hosts:
            self.selector.unregister(host.follower.socket)
            host.node.process.kill()
        for host in self.hosts:
            host.node.wait_exit()
        began = time.time()
        for host in reversed(self.hosts):  # so that the seed of all comes last
            host.node.spawn()
        for host in self.hosts:
            host.node.ready_line = host.node.read_line()
            self.assertTrue(host.node.ready_line.startswith("ready "), host.node.log())
            host.follower = Follower(self, host.node)
            self.selector.register(host.follower.socket, selectors.EVENT_READ, host.follower)
        formed = self.wait_all(self.hosts, COUNT - 1)
        measured(f"all know all {formed - began:.1f} s after power came back")
        self.check_kinds()
        for host in self.hosts:
            self.assertEqual(host.node.get("status")["incarnation"], 2)
        self.assertLess(formed - began, POWER_S)


if __name__ == "__main__":
    harness.main()
