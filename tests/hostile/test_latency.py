#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a flood costs those who talk through its victim: their round trips, against those of just before and after.
The daemons are those of the release preset, for a sanitizer's times say nothing, and the way to the victim is as
long as one between sites is (40 ms there and back, by a relay): on one machine a message takes 0.05 ms, and any work
at all is many times that."""

import concurrent.futures
import os
import socketserver
import subprocess
import sys
import time

import hostile
import real
from hostile import HostileTest, p99
from test_floods import MANY, cheap_frames

DELAY_RELAY = os.environ.get("DELAY_RELAY", "delay_relay")
DELAY_MS = 20  # each way
AT_ONCE = 3  # messages under way
USUAL_S = 1.0  # measured before each flood and again after it: others may want the machine too
FLOOD_MS = 2000


class Latency(HostileTest):
    def far_from(self, node):
        """An address that leads to the node, the long way."""
        address = f"127.0.0.1:{real.free_port()}"
        relay = subprocess.Popen(
            [DELAY_RELAY, str(1000 * DELAY_MS), "0", str(1 << 20), f"{address}={node.address}"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

        def end():
            relay.kill()
            relay.wait()
            relay.stdout.close()

        self.addCleanup(end)
        self.assertEqual(relay.stdout.readline(), "ready\n")
        return address

    def round_trip(self):
        """Milliseconds from the far node over the victim to the near one and back, as it measures them."""
        return self.far.api("POST", "/v1/ping", {"peer": "near", "timeout_ms": 10000})["rtt_ms"]

    def round_trips(self, is_over):
        """Those that began before it was over, several at a time."""

        def repeat():
            times = []
            while not is_over():
                times.append(self.round_trip())
            return times

        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            runs = [pool.submit(repeat) for _ in range(AT_ONCE)]
        return [one for run in runs for one in run.result()]

    def usual(self):
        until = time.monotonic() + USUAL_S
        return self.round_trips(lambda: time.monotonic() > until)

    def beside(self, flood, attacker):
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            running = pool.submit(flood, attacker)
            times = self.round_trips(running.done)
            running.result()
        return times

    def test_round_trips_over_the_victim_at_most_double(self):
        floods = {what: lambda attacker, plain=plain: attacker.repeat(MANY, FLOOD_MS, plain)
                  for what, plain in cheap_frames().items()}  # fmt: skip
        floods["invented peers"] = lambda attacker: attacker.say("phantoms", 40000, FLOOD_MS, 50)
        floods["streams"] = lambda attacker: attacker.say(
            "opens", 100000, FLOOD_MS, "web", attacker.secret
        )
        quiet = ["--discovery", "off"]
        victim = self.node("victim", "--service", f"web={self.serve(socketserver.BaseRequestHandler)}", *quiet)
        near = self.join("near", victim, *quiet)
        self.far = self.node("far", "--seed", self.far_from(victim), *quiet, secret=victim.secret)
        self.far.wait_reach("victim", "near")
        self.assertGreaterEqual(self.round_trip(), 2 * DELAY_MS)
        nodes = (victim, near, self.far)
        for number, (what, flood) in enumerate(floods.items()):
            attacker = self.insider(victim).dial(victim, f"127.31.{number}.1")
            attacker.say("announce", 1000, 1, 1)
            view = self.honest_view(nodes)
            usual = self.usual()
            times = self.beside(flood, attacker)
            self.until_blamed(victim, attacker, lambda flood=flood, attacker=attacker: flood(attacker))
            attacker.say("hangup")
            usual += self.usual()
            with self.subTest(what):
                print(f"    {what}: p99 of {len(times)} {p99(times):.1f} ms, "
                      f"of {len(usual)} without {p99(usual):.1f} ms", file=sys.stderr, flush=True)  # fmt: skip
                self.assertLessEqual(p99(times), 2 * p99(usual))
                self.assertEqual(self.honest_view(nodes), view)
                self.assert_blamed_once(victim, attacker)


if __name__ == "__main__":
    hostile.main()
