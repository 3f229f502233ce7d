#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`scripts/bench tunnel` measures each of its rows: what it shows is for who runs it to judge, but a row
that it cannot measure is a fault of it, or of weft. WEFTD says which programs are measured."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import harness

BENCH = pathlib.Path(harness.__file__).parents[2] / "bench/tunnel.py"
SERVERS = ("nginx", "iperf3", "wrk")
ROWS = {f"P{i}" for i in range(1, 15)}
MOST = {  # far above what any machine reaches, so that a wrong unit shows
    "Gbit/s": 1000, "CPU s/GB": 100, "cores": os.cpu_count() + 0.5, "ms": 1000, "/s": 10_000_000,
    "CPU us": 100_000, "KB": 1000, "MB": 1000, "s": 30,
}  # fmt: skip


class Bench(unittest.TestCase):
    def run_bench(self, *options):
        """(the finished process, the rows that it wrote)."""
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder, "tunnel.json")
            done = subprocess.run(
                [sys.executable, "-B", BENCH, "--runs", "1", "--seconds", "1", "--peers", "raw,weft",
                 "--prefix", f"weft-test-{os.getpid()}", "--bin", os.path.dirname(os.environ["WEFTD"]),
                 "--json", out, *options], capture_output=True, text=True, check=False)  # fmt: skip
            return done, json.loads(out.read_text())["rows"] if out.exists() else []

    def test_each_row_has_a_figure(self):
        path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
        missing = [name for name in SERVERS if shutil.which(name, path=path) is None]
        if missing:
            self.skipTest(f"{' and '.join(missing)} not installed")
        done, rows = self.run_bench()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual({row["row"] for row in rows}, ROWS)
        for row in rows:
            with self.subTest(row=row["row"], figure=row["figure"]):
                self.assertEqual(row["failures"], {})
                self.assertIn("weft", row["values"])
                (ours,) = row["values"]["weft"]
                self.assertGreater(ours, 0)
                for values in row["values"].values():  # raw TCP has no processes, so no CPU
                    self.assertGreaterEqual(values[0], 0)
                    self.assertLess(values[0], MOST[row["unit"]])


if __name__ == "__main__":
    harness.main()
