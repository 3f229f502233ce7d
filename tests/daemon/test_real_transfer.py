#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""curl and nginx over one relay: down, up, with relays that die, and with a reader that stops."""

import signal
import time

import harness
from real import BIG, MEGABYTE, Progress, RealTest, report, sha256, write_random

PAUSE = 5.0  # seconds without any path
STALLED = 10.0  # seconds in which one reader reads nothing


class Transfer(RealTest):
    def start(self, relays=1):
        self.sites(relays, web=self.start_nginx())
        self.digest = write_random(self.www / "big", BIG)

    def check(self, process, target, progress):
        self.watch(progress)
        self.finish(process)
        self.assertEqual(target.stat().st_size, BIG)
        self.assertEqual(sha256(target), self.digest)

    def test_a_big_file_down_and_up(self):
        self.start()
        process, target, progress = self.download("big")
        begun = time.monotonic()
        self.check(process, target, progress)
        report(f"down {BIG / MEGABYTE / (progress.changed - begun):.0f} MB/s")
        begun = time.monotonic()
        self.finish(self.curl("--upload-file", str(self.www / "big"), self.url("up")))
        report(f"up {BIG / MEGABYTE / (time.monotonic() - begun):.0f} MB/s")
        self.assertEqual(sha256(self.www / "up"), self.digest)
        self.assertGreater(self.relays[0].get("status")["forwarded"], 0)
        self.check_ports()

    def check_ports(self):
        """T13: nothing but the peer port, and the forwards that were asked for, listens."""
        for node in self.processes:
            wanted = {int(node.address.rsplit(":", 1)[1])}
            wanted |= {int(row["address"].rsplit(":", 1)[1]) for row in node.get("forwards")}
            self.assertEqual(harness.listening_ports(node.process.pid), wanted, node.name)

    def test_the_relay_on_the_path_is_killed(self):
        self.lose_relay(signal.SIGKILL)

    def test_the_relay_on_the_path_is_stopped(self):
        self.lose_relay(signal.SIGSTOP)

    def lose_relay(self, number):
        self.start(relays=2)
        relay = self.relay_on_path()
        process, target, progress = self.download("big")
        self.watch(progress, until=BIG // 3)
        relay.signal(number)
        self.assertLess(progress.value, BIG * 0.9, "the download was too fast to be disturbed")
        self.check(process, target, progress)
        report(f"{number.name}: longest stall {progress.longest * 1000:.0f} ms")
        self.assertNotEqual(self.relay_on_path(), relay)

    def test_the_only_relay_is_killed_and_comes_back(self):
        self.start()
        process, target, progress = self.download("big")
        self.watch(progress, until=BIG // 3)
        self.relays[0].kill()
        self.assertLess(progress.value, BIG * 0.9, "the download was too fast to be disturbed")
        self.watch_for(progress, PAUSE)
        self.assertLess(progress.value, BIG, "the download went on without a path")
        self.relays[0].start()
        back = time.monotonic()
        self.watch(progress, until=progress.value + 1)
        report(f"flowing {(time.monotonic() - back) * 1000:.0f} ms after the relay was ready")
        self.check(process, target, progress)
        report(f"longest stall {progress.longest * 1000:.0f} ms")

    def watch_for(self, progress, seconds):
        self.assertFalse(progress.wait(seconds), "the application noticed")

    def test_a_reader_that_stops_leaves_the_other_its_speed(self):
        self.start()
        with open(self.www / "endless", "wb") as file:
            file.truncate(1 << 40)
        moved = Progress(self.curl(self.url("endless")))
        before = self.speed(moved, STALLED / 4)
        process, target, progress = self.download("big")
        self.watch(progress, until=BIG // 20)
        process.send_signal(signal.SIGSTOP)
        moved.longest = 0.0
        during = self.speed(moved, STALLED)
        stood = moved.longest
        self.assertLess(target.stat().st_size, BIG * 0.9, "the reader did not stop")
        process.send_signal(signal.SIGCONT)
        self.check(process, target, progress)
        report(
            f"{before / MEGABYTE:.0f} MB/s before, {during / MEGABYTE:.0f} MB/s while the other"
            f" reader stood for {STALLED:.0f} s, longest stall {stood * 1000:.0f} ms"
        )
        self.assertGreaterEqual(during, before / 2)

    def speed(self, moved, seconds):
        """Bytes a second; observed, not waited for."""
        first, begun = moved.value, time.monotonic()
        self.watch_for(moved, seconds)
        return (moved.value - first) / (time.monotonic() - begun)


if __name__ == "__main__":
    harness.main()
