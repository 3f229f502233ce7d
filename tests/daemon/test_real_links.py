#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A thousand real links that come and go leave nothing behind."""

import os
import time

import harness
from real import IS_SANITIZED, RealTest, lasting_descriptors, report

FLOOD = os.environ.get("WEFT_LINK_FLOOD", "link_flood")
LINKS = 1_000
AT_ONCE = 10
# Fills what a daemon keeps on purpose, and in bounds: the last 1,000 events.
EARLIER = 600
# Measured: 8 to 24 kB. One leaked allocation a link would be more than this.
MEMORY_MORE = 48 * 1024


class Links(RealTest):
    def test_a_thousand_links_of_the_same_ten_peers(self):
        self.compare(peers=AT_ONCE)

    def test_a_thousand_links_of_a_thousand_peers(self):
        self.compare(peers=LINKS)

    def compare(self, peers):
        self.hub = self.node("hub", "--discovery", "off")
        self.flood(EARLIER, peers)
        self.flood(AT_ONCE, peers)
        begun = time.monotonic()
        costs = [self.cost()]
        for _ in range(2):
            self.flood(LINKS, peers)
            costs.append(self.cost())
        taken = time.monotonic() - begun
        files, memory = zip(*costs)
        report(
            f"twice {LINKS} links of {peers} peers in {taken:.1f} s: descriptors {files},"
            f" memory {memory}"
        )
        self.assertEqual(files[-1], files[0])
        # The heap may settle once; what leaks, leaks each time.
        growth = min(after - before for before, after in zip(memory, memory[1:]))
        if not IS_SANITIZED:
            self.assertLess(growth, MEMORY_MORE)

    def flood(self, count, peers):
        port = self.hub.address.rsplit(":", 1)[1]
        with open(self.hub.state / "secret", "rb") as secret:
            said = self.run_program(FLOOD, port, count, AT_ONCE, peers, stdin=secret)
        self.assertEqual(said, f"{count} links\n")

    def cost(self):
        self.hub.wait_links(0)
        files = lasting_descriptors(self.hub)
        return len(files), self.hub.get("status")["rss_bytes"]


if __name__ == "__main__":
    harness.main()
