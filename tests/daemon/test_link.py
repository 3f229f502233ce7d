#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Daemons find, prove and lose each other."""

import contextlib
import os
import resource
import socket
import unittest

import harness
from harness import WeftTest


class Link(WeftTest):
    def test_two_nodes_link(self):
        a = self.node("a")
        b = self.join("b", a)
        b.wait_reach("a")
        a.wait_reach("b")
        row = b.get("links")[0]
        self.assertEqual(row["peer"], a.id)
        self.assertEqual(row["direction"], "out")
        self.assertEqual(row["state"], "established")
        self.assertEqual(row["address"], a.address)
        self.assertEqual(a.get("links")[0]["direction"], "in")
        self.assertEqual(a.get("status")["verdict"], "healthy")
        self.assertEqual(b.get("status")["verdict"], "healthy")

    def test_no_openssl_configuration_is_read(self):
        config = self.folder / "openssl.cnf"
        config.write_text(
            "openssl_conf = all\n[all]\nproviders = some\nalg_section = evp\n"
            "[some]\nnull = on\n[on]\nactivate = 1\n[evp]\ndefault_properties = fips=yes\n"
        )  # with it, libcrypto has no cipher at all
        a = self.node("a", "--sandbox", "off", env={"OPENSSL_CONF": str(config)})  # may read it
        b = self.join("b", a)
        b.wait_reach("a")

    def test_a_third_is_found_without_being_told_of(self):
        a = self.node("a")
        b = self.join("b", a)
        c = self.join("c", a)
        b.wait_links(2)
        c.wait_links(2)

    def test_discovery_off_dials_only_seeds(self):
        a = self.node("a", "--discovery", "off")
        b = self.join("b", a, "--discovery", "off")
        c = self.join("c", a, "--discovery", "off")
        b.wait_reach("a", "c")
        c.wait_reach("a", "b")
        self.assertEqual([row["name"] for row in b.get("links")], ["a"])
        route = next(row for row in b.get("routes") if row["name"] == "c")
        self.assertEqual((route["hops"], route["next_hop_name"]), (2, "a"))
        peer = next(row for row in b.get("peers") if row["name"] == "c")
        self.assertEqual((peer["hops"], peer["next_hop_name"]), (2, "a"))

    def test_a_wrong_secret_is_refused_and_said_on_both_sides(self):
        a = self.node("a")
        b = self.node("b", "--seed", a.address)  # makes a secret of its own
        b.wait(lambda: b.get("status")["problems"], "a problem")
        a.wait_event("handshake-failed", direction="in")
        self.assertEqual(b.get("status")["verdict"], "isolated")
        problems = b.get("status")["problems"]
        self.assertTrue(any(a.address in problem["what"] for problem in problems), problems)
        self.assertEqual(a.get("status")["links"]["established"], 0)
        self.assertEqual(a.get("status")["verdict"], "healthy")

    def test_a_seed_with_a_peer_id_must_be_that_peer(self):
        a = self.node("a")
        b = self.node("b", "--seed", f"{a.id}@{a.address}", secret=a.secret)
        b.wait_reach("a")
        c = self.node("c", "--seed", f"{b.id}@{a.address}", "--discovery", "off", secret=a.secret)
        c.wait(
            lambda: any(row["error"] for row in c.get("links") if row["state"] == "waiting"),
            "the wrong peer to be refused",
        )
        self.assertEqual(c.get("status")["links"]["established"], 0)

    def test_a_host_name_is_a_seed(self):
        a = self.node("a")
        port = a.address.rsplit(":", 1)[1]
        b = self.node("b", "--seed", f"localhost:{port}", secret=a.secret)
        b.wait_reach("a")

    @unittest.skipUnless(socket.has_ipv6, "no IPv6 here")
    def test_ipv6_carries_links(self):
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(("::1", 0))
        except OSError:
            self.skipTest("no IPv6 loopback here")
        a = self.node("a", listen="[::1]:0")
        b = self.join("b", a, listen="[::1]:0")
        b.wait_reach("a")
        self.assertTrue(b.get("links")[0]["address"].startswith("[::1]:"))

    def test_garbage_disturbs_nobody(self):
        a = self.node("a")
        b = self.join("b", a)
        b.wait_reach("a")
        host, port = a.address.rsplit(":", 1)
        for bytes_sent in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 4096, b"\0" * 100):
            with socket.create_connection((host, int(port)), harness.PATIENCE) as stranger:
                with contextlib.suppress(OSError):  # it may have hung up already
                    stranger.sendall(bytes_sent)
                    stranger.shutdown(socket.SHUT_WR)
                self.assertEqual(answer_to(stranger), b"")
        a.wait_event("handshake-failed")
        self.assertEqual(a.get("status")["links"]["established"], 1)

    def test_out_of_descriptors_it_pauses_and_comes_back(self):
        a = self.node("a")
        pid = a.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        self.assertEqual(a.get("status")["verdict"], "healthy")
        few = len(os.listdir(f"/proc/{pid}/fd")) + 4
        host, port = a.address.rsplit(":", 1)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (few, before[1]))
        strangers = [socket.create_connection((host, int(port)), 5) for _ in range(20)]
        spent = cpu_ticks(pid)
        with self.assertRaises(OSError):  # no descriptor for the control socket either
            a.request("GET", "/healthz", timeout=1)
        self.assertLess(cpu_ticks(pid) - spent, os.sysconf("SC_CLK_TCK") // 2)
        for stranger in strangers:
            stranger.close()
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        a.wait_event("accept-paused")
        self.join("b", a).wait_reach("a")

    def test_a_killed_peer_is_seen_at_once_and_taken_back(self):
        a = self.node("a")
        b = self.join("b", a)
        b.wait_reach("a")
        a.wait_reach("b")
        first = b.get("status")["incarnation"]
        b.kill()
        a.wait_links(0)
        b.start()
        a.wait_reach("b")
        self.assertGreater(b.get("status")["incarnation"], first)
        self.assertEqual(b.id, a.get("links")[0]["peer"])


def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def answer_to(stranger):
    """All that a stranger is told."""
    got = b""
    try:
        while chunk := stranger.recv(4096):
            got += chunk
    except ConnectionResetError:
        pass
    return got


if __name__ == "__main__":
    harness.main()
