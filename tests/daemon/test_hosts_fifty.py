#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fifty daemons, each on a host of its own, release build: how fast all of them know that one was killed
(a socket closed) and that one stands still (it says nothing more)."""

import calendar
import re
import signal
import time

from hosts import PORT, HostTest, harness, measured

COUNT = 50
# B9 wants 0.3 and 3.8 s, of a machine that is idle but for them; what was measured is printed. On a
# busy one the news of the victim's neighbours spread over two more of the routers' periods.
KILLED_S = 1.0
SILENT_S = 4.8
LOOK_S = 0.4  # at the logs: seldom, since looking takes time from those that are watched
REACH = re.compile(r"^(\S+)\.(\d{3})Z debug reach peers=(\d+)", re.M)


def seconds(stamp, millis):
    return calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%S")) + int(millis) / 1000


class Fifty(HostTest):
    def setUp(self):
        super().setUp()
        wan = self.switch("wan")
        self.hosts = []
        for number in range(1, COUNT + 1):
            host = self.host(f"n{number}", wan=(wan, f"10.9.0.{number}/24"))
            seeds = ["--seed", f"10.9.0.1:{PORT}"] if number > 1 else []
            host.daemon("--log-level", "debug", *seeds)
            self.hosts.append(host)

    def reached_at(self, host, count, since):
        """When, by its own log, the host last came to reach so many, and stayed there; None: not yet."""
        at = None
        for stamp, millis, peers in REACH.findall(host.node.log()):
            when = seconds(stamp, millis)
            if int(peers) != count:
                at = None
            elif at is None and when >= since:
                at = when
            elif at is None:
                at = since
        return at

    def wait_all(self, hosts, count, since=0.0):
        """Until all of them reach so many; when the last of them did."""
        deadline = time.monotonic() + harness.PATIENCE
        while True:
            times = [self.reached_at(host, count, since) for host in hosts]
            if None not in times:
                return max(times)
            if time.monotonic() > deadline:
                late = [h.name for h, t in zip(hosts, times, strict=True) if t is None]
                raise AssertionError(f"{late} do not reach {count}")
            time.sleep(LOOK_S)

    def test_a_kill_and_a_stop_are_known_to_all_in_time(self):
        began = time.time()
        self.wait_all(self.hosts, COUNT - 1)
        measured(f"all know all {max(0.0, time.time() - began):.1f} s after the last was started")
        victim, silent = self.hosts[COUNT // 2], self.hosts[COUNT // 3]
        rest = [host for host in self.hosts if host is not victim]
        killed = time.time()
        victim.node.process.kill()
        took = self.wait_all(rest, COUNT - 2, killed) - killed
        measured(f"kill -9 known to all after {took:.3f} s")
        rest.remove(silent)
        stopped = time.time()
        silent.node.signal(signal.SIGSTOP)
        silence = self.wait_all(rest, COUNT - 3, stopped) - stopped
        measured(f"SIGSTOP known to all after {silence:.2f} s")
        silent.node.signal(signal.SIGCONT)
        self.wait_all(rest, COUNT - 2)
        self.assertLess(took, KILLED_S)
        self.assertLess(silence, SILENT_S)


if __name__ == "__main__":
    harness.main()
