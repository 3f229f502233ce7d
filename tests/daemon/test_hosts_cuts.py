#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hosts of their own, and what breaks between them while a stream runs: packets dropped, refused, lost
in one direction; an address that changes; an uplink that comes late; power cut for all."""

import time

from hosts import PORT, HostTest, harness, measured

DEAD_S = 3.8  # B3: three heartbeats without a byte, and what it takes to find another way
TOLD_S = 1.0  # where the ends of a link are told at once that it is gone


class Cuts(HostTest):
    def cut_under_a_stream(self, what, *rules):
        """Cuts the relay on the path off from site-a; the stream goes on over the other one."""
        self.triangle()
        flow = self.flow()
        relay = self.relay_on_path()
        self.a.filter(*(rule.format(relay=self.address_of(relay)) for rule in rules))
        begun = time.monotonic()
        self.a.node.wait_links(1)
        noticed = time.monotonic() - begun
        flow.wait_more()
        self.assertEqual(self.relay_on_path(), self.other(relay))
        self.assertIsNone(flow.problem)
        measured(f"{what}: noticed after {noticed:.1f} s, longest pause {flow.longest:.1f} s")
        self.a.filter()
        self.a.node.wait_links(2)  # and it comes back
        flow.wait_more()
        return noticed, flow.longest

    def address_of(self, relay):
        return f"10.9.0.{self.relays.index(relay) + 1}"

    def test_packets_are_dropped(self):
        noticed, pause = self.cut_under_a_stream(
            "DROP", "-A INPUT -s {relay} -j DROP", "-A OUTPUT -d {relay} -j DROP"
        )
        self.assertLess(noticed, DEAD_S)
        self.assertLess(pause, DEAD_S)

    def test_packets_are_refused(self):
        """Both ends are told so at once, and the stream hardly pauses. The refusals themselves must pass."""
        refusal = "-p tcp ! --tcp-flags RST RST -j REJECT --reject-with tcp-reset"
        noticed, pause = self.cut_under_a_stream(
            "REJECT", f"-A INPUT -s {{relay}} {refusal}", f"-A OUTPUT -d {{relay}} {refusal}"
        )
        self.assertLess(noticed, TOLD_S)
        self.assertLess(pause, TOLD_S)

    def test_packets_are_refused_as_firewalls_do(self):
        """By ICMP, which no TCP connection that stands ends for (RFC 5927, section 5): silence is what ends it."""
        noticed, pause = self.cut_under_a_stream(
            "REJECT by ICMP", "-A INPUT -s {relay} -j REJECT", "-A OUTPUT -d {relay} -j REJECT"
        )
        self.assertLess(noticed, DEAD_S)
        self.assertLess(pause, DEAD_S)

    def test_what_comes_is_lost_and_what_goes_is_not(self):
        noticed, pause = self.cut_under_a_stream("one way, in", "-A INPUT -s {relay} -j DROP")
        self.assertLess(noticed, DEAD_S)
        self.assertLess(pause, DEAD_S)

    def test_what_goes_is_lost_and_what_comes_is_not(self):
        noticed, pause = self.cut_under_a_stream("one way, out", "-A OUTPUT -d {relay} -j DROP")
        self.assertLess(noticed, DEAD_S)
        self.assertLess(pause, DEAD_S)


class Moves(HostTest):
    def test_a_site_changes_its_address_under_a_stream(self):
        self.triangle()
        flow = self.flow()
        self.a.ip("addr del 10.9.0.11/24 dev wan", "addr add 10.9.0.111/24 dev wan")
        flow.wait_more()
        self.a.node.wait_links(2)
        flow.wait_more()
        self.assertIsNone(flow.problem)
        measured(f"longest pause {flow.longest:.1f} s")
        self.assertLess(flow.longest, DEAD_S + 1)
        for relay in self.relays:
            rows = [row for row in relay.node.get("links") if row["name"] == "site-a"]
            self.assertEqual([row["state"] for row in rows], ["established"], rows)
            self.assertIn("10.9.0.111", rows[0]["address"])

    def test_both_sites_change_their_addresses_at_once_under_a_stream(self):
        self.triangle()
        flow = self.flow()
        for site, number in ((self.a, 11), (self.b, 12)):
            site.ip(f"addr del 10.9.0.{number}/24 dev wan", f"addr add 10.9.0.{number + 100}/24 dev wan")
        flow.wait_more()
        for site in (self.a, self.b):
            site.node.wait_links(2)
        flow.wait_more()
        self.assertIsNone(flow.problem)
        measured(f"longest pause {flow.longest:.1f} s")
        self.assertLess(flow.longest, DEAD_S + 1)
        for relay in self.relays:
            rows = {row["name"]: row for row in relay.node.get("links")}
            for site, address in (("site-a", "10.9.0.111"), ("site-b", "10.9.0.112")):
                self.assertEqual(rows[site]["state"], "established", rows)
                self.assertIn(address, rows[site]["address"])

    def test_a_cold_start_without_an_uplink_finds_the_mesh_later(self):
        wan = self.switch("wan")
        relay = self.host("relay", wan=(wan, "10.9.0.1/24"))
        relay.daemon("--service", "web=127.0.0.1:1")
        site = self.host("site", wan=(wan, "10.9.0.11/24"))
        site.ip("link set wan down")
        site.daemon("--seed", f"10.9.0.1:{PORT}", "--forward", "web=0")
        problem = site.node.wait(
            lambda: [p for p in site.node.get("status")["problems"] if "seed" in p["what"]],
            "the uplink to be missed",
        )[0]
        self.assertIn("unreachable", problem["cause"])
        self.assertEqual(site.node.get("status")["verdict"], "isolated")
        site.ip("link set wan up")
        begun = time.monotonic()
        site.node.wait_service("web")
        measured(f"in the mesh {time.monotonic() - begun:.1f} s after the uplink came")
        self.assertEqual(site.node.get("status")["verdict"], "healthy")

    def test_all_power_is_lost_and_comes_back(self):
        """What a node knew it knows again, and who is there finds each other, whoever starts first."""
        self.triangle()
        self.flow().end()
        hosts = [*self.relays, self.a, self.b]
        for host in hosts:
            host.node.process.kill()
        for host in hosts:
            host.node.wait_exit()
        begun = time.monotonic()
        for host in reversed(hosts):
            host.node.spawn()
        for host in reversed(hosts):
            host.node.ready_line = host.node.read_line()
            self.assertTrue(host.node.ready_line.startswith("ready "), host.node.log())
        for host in hosts:
            host.node.wait_reach(*(other.name for other in hosts if other is not host))
        self.a.node.wait_service("web")
        measured(f"all know all {time.monotonic() - begun:.1f} s after power came back")
        for host in hosts:
            self.assertEqual(host.node.get("status")["incarnation"], 2)


if __name__ == "__main__":
    harness.main()
