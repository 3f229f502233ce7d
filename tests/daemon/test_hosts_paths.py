#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hosts of their own that cannot all reach each other: behind NAT, which may forget; with one family of
addresses or both."""

import time

from hosts import PORT, Flow, HostTest, harness, measured


class Nat(HostTest):
    """Two sites behind routers of their own, both at 192.168.1.2, and a relay that both can dial."""

    def site(self, name, public):
        router, lan = self.router(f"router-{name}", self.wan, public)
        return router, self.behind(lan, f"site-{name}")

    def behind_nat(self):
        self.wan = self.switch("wan")
        relay = self.host("relay", wan=(self.wan, "10.9.0.1/24"))
        relay.daemon()
        self.router_a, self.a = self.site("a", "10.9.0.11/24")
        self.router_b, self.b = self.site("b", "10.9.0.12/24")
        source = self.b.listen()
        web = f"web=127.0.0.1:{source.getsockname()[1]}"
        self.b.daemon("--seed", f"10.9.0.1:{PORT}", "--service", web)
        self.a.daemon("--seed", f"10.9.0.1:{PORT}", "--forward", "web=0")
        self.a.node.wait_service("web")
        flow = Flow(self, source, self.a, self.a.node.forward_address("web"))
        flow.wait_more()
        return relay, flow

    def test_sites_behind_nat_meet_over_a_relay(self):
        """Each learns that the other listens at 192.168.1.2, where it finds but itself."""
        relay, _ = self.behind_nat()
        self.a.node.wait(lambda: self.a.node.get("status")["verdict"] == "healthy", "health")
        self.assertEqual(self.a.node.get("status")["links"]["established"], 1)
        self.assertEqual(relay.node.get("status")["links"]["established"], 2)
        for host in (self.a, self.b, relay):
            self.assertEqual(host.node.get("status")["culprits"], [])

    def test_nat_forgets_its_mapping_under_a_stream(self):
        _, flow = self.behind_nat()
        # Masquerading forgets what it knows of an address that goes.
        self.router_a.ip("addr del 10.9.0.11/24 dev wan", "addr add 10.9.0.11/24 dev wan")
        begun = time.monotonic()
        flow.wait_more(2_000_000)
        self.assertIsNone(flow.problem)
        measured(f"longest pause {flow.longest:.1f} s, 2 MB after {time.monotonic() - begun:.1f} s")
        self.assertGreater(flow.longest, 1, "nothing was forgotten: this proves nothing")
        self.assertLess(flow.longest, 6)


class Families(HostTest):
    def test_a_dual_stack_relay_joins_both_families(self):
        wan = self.switch("wan")
        relay = self.host("relay", wan=(wan, "10.9.0.1/24", "fd09::1/64"))
        relay.daemon()
        four = self.host("four", wan=(wan, "10.9.0.11/24"))
        four.sysctl(ipv6__conf__all__disable_ipv6=1)
        six = self.host("six", wan=(wan, "fd09::12/64"))
        source = six.listen("::1")
        six.daemon("--seed", f"[fd09::1]:{PORT}", "--service", f"web=[::1]:{source.getsockname()[1]}")
        four.daemon("--seed", f"10.9.0.1:{PORT}", "--forward", "web=0")
        four.node.wait_service("web")
        flow = Flow(self, source, four, four.node.forward_address("web"))
        flow.wait_more()
        self.assertIsNone(flow.problem)
        addresses = relay.node.get("status")["addresses"]
        self.assertIn(f"10.9.0.1:{PORT}", addresses)
        self.assertIn(f"[fd09::1]:{PORT}", addresses)

    def test_ipv6_alone_is_enough(self):
        """And the members of one network that dialled a seed find each other."""
        wan = self.switch("wan")
        hosts = [self.host(f"six-{n}", wan=(wan, f"fd09::{n}/64")) for n in (1, 2, 3)]
        hosts[0].daemon()
        for host in hosts[1:]:
            host.daemon("--seed", f"[fd09::1]:{PORT}")
        for host in hosts:
            host.node.wait_links(2)
            host.node.wait_reach(*(other.name for other in hosts if other is not host))


if __name__ == "__main__":
    harness.main()
