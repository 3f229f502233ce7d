#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A disk that is full: no start on it, but no end of a daemon that runs."""

import os
import subprocess

import harness
from harness import WeftTest, refused_start


class FullDisk(WeftTest):
    def setUp(self):
        super().setUp()
        self.disk = self.folder / "disk"
        self.disk.mkdir(mode=0o700)
        if os.geteuid() != 0:
            self.skipTest("only root can mount a small disk")
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "none", str(self.disk)],
            capture_output=True, check=False,
        )  # fmt: skip
        if mounted.returncode != 0:
            self.skipTest("this machine mounts no tmpfs: " + mounted.stderr.decode())
        self.addCleanup(subprocess.run, ["umount", "-l", str(self.disk)], check=False)

    def fill(self):
        try:
            with open(self.disk / "filler", "ab", buffering=0) as file:
                while file.write(b"\0" * 4096):
                    pass
        except OSError:
            pass

    def test_a_running_daemon_goes_on_and_says_so(self):
        a = self.node("a", state=self.disk / "a")
        self.fill()
        for i in range(200):
            a.request("POST", "/v1/services", {"name": f"s{i}", "endpoint": "127.0.0.1:1"})
        problem = a.wait(
            lambda: [p for p in a.get("status")["problems"] if "store" in p["what"]], "the problem"
        )[0]
        self.assertIn("full", problem["cause"])
        self.assertEqual(a.get("status")["verdict"], "degraded")
        b = self.join("b", a)
        b.wait_reach("a")
        os.unlink(self.disk / "filler")
        a.wait(lambda: not a.get("status")["problems"], "the store to recover")
        self.assertEqual(a.stop(), 0)
        a.start()
        self.assertEqual(len(a.get("services")), 200)

    def test_no_start_on_a_full_disk(self):
        self.fill()
        status, said = refused_start(
            self, "--listen", "127.0.0.1:0", "--state", str(self.disk / "a")
        )
        self.assertEqual(status, 1)
        self.assertIn(str(self.disk), said)


if __name__ == "__main__":
    harness.main()
