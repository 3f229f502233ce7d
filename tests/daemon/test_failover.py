#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""D1 with real processes: relays die under streams of all sizes, and nothing is lost, repeated or
reordered. WEFT_FAILOVERS says how often (10), WEFT_SEED when each dies.

          .-- r1 --.
    a ---<--- r2 --->--- b    an echo service at b; all that is sent must come back as it was
          '-- r3 --'          the relay that carries most is killed, and started again

The relays dial: one that has just started knows nothing of the failures that a dialler waits longer
after.
"""

import os
import random
import sys

from echo import Echo, Load
from harness import WeftTest, main

FAILOVERS = int(os.environ.get("WEFT_FAILOVERS", 10))
SEED = int(os.environ.get("WEFT_SEED", random.randrange(1 << 32)))
STREAMS = 24
RELAYS = ("r1", "r2", "r3")
BUSY_FRAMES = (200, 2000)  # a relay that carries has passed on so many since the last one died


class Failover(WeftTest):
    def test_streams_of_all_sizes_outlive_their_relays(self):
        quiet = ["--discovery", "off"]
        b = self.node("b", *quiet, "--service", f"echo={self.serve(Echo)}")
        a = self.node("a", *quiet, "--forward", "echo=0", secret=b.secret)
        seeds = ["--seed", a.address, "--seed", b.address]
        relays = [self.node(name, *quiet, *seeds, secret=b.secret) for name in RELAYS]
        a.wait_service("echo")
        for node in (a, b):
            node.wait_links(len(relays))
        load = Load(self, a.forward_address("echo"), STREAMS)
        choose = random.Random(SEED)
        for index in range(FAILOVERS):
            self.fail_over(a, b, relays, choose.randint(*BUSY_FRAMES))
            self.assertEqual(load.wrong, [], f"after {index + 1} failovers, seed {SEED}")
            if index % 50 == 49:
                print(f"    {index + 1} failovers, {sum(load.done.values())} streams",
                      file=sys.stderr, flush=True)  # fmt: skip
        load.end()
        self.assertEqual(load.wrong, [], f"after all failovers, seed {SEED}")
        self.assertTrue(all(load.done.values()), f"each size was carried: {load.done}")
        resumed = [node.get("status")["streams"]["resumed"] for node in (a, b)]
        self.assertGreater(min(resumed), 0)
        for node in (a, b):  # honest relays give no false alarm, however they die
            self.assertIn("\nweft_packets_spoilt_total 0\n", node.request("GET", "/metrics")[1])
        print(f"{FAILOVERS} failovers under {sum(load.done.values())} streams, resumed {resumed[0]} "
              f"times: {load.done}")  # fmt: skip

    def fail_over(self, a, b, relays, busy):
        before = [relay.get("status")["forwarded"] for relay in relays]

        def carrier():
            gone = [relay.get("status")["forwarded"] - at for relay, at in zip(relays, before)]
            return relays[gone.index(max(gone))] if max(gone) > busy else None

        victim = a.wait(carrier, "a relay that carries")
        victim.kill()
        victim.start()
        for node in (a, b):
            node.wait_links(len(relays))


if __name__ == "__main__":
    main()
