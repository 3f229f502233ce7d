#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a suite says of tests that it could not run."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import harness

SUITE = """
import sys, unittest
sys.path.insert(0, {folder!r})
import harness

class Some(unittest.TestCase):
    def test_there(self):
        {there}

    def test_missing(self):
        self.skipTest("no such facility")

harness.main()
"""


class LeftOut(unittest.TestCase):
    def run_suite(self, there):
        """(status, what it printed, what it wrote into the file of those left out)."""
        with tempfile.TemporaryDirectory() as folder:
            suite, told = pathlib.Path(folder, "test_some.py"), pathlib.Path(folder, "told")
            suite.write_text(SUITE.format(folder=os.path.dirname(harness.__file__), there=there))
            done = subprocess.run([sys.executable, "-B", suite], capture_output=True, text=True, check=False,
                                  env={**os.environ, "WEFT_LEFT_OUT": str(told)})  # fmt: skip
            return done.returncode, done.stdout, told.read_text()

    LINE = "left out: test_some.Some.test_missing: no such facility\n"

    def test_what_is_missing_is_told_and_the_rest_counts(self):
        self.assertEqual(self.run_suite("pass"), (0, self.LINE, self.LINE))

    def test_a_failure_beside_it_fails(self):
        self.assertEqual(self.run_suite("self.fail()"), (1, self.LINE, self.LINE))

    def test_a_suite_of_which_nothing_ran_did_not_pass(self):
        status, _, told = self.run_suite("self.skipTest('nor this')")
        self.assertEqual(status, harness.LEFT_OUT)
        self.assertEqual(told.count("left out: "), 2)


class Sweep(unittest.TestCase):
    """tests/scenario/run.sh, with seeds that do not hold yet and a simulator that agrees to all."""

    def run_sweep(self, scenario, seeds):
        """(status, what it wrote into the file of those left out)."""
        with tempfile.TemporaryDirectory() as folder:
            script, told = pathlib.Path(folder, "run.sh"), pathlib.Path(folder, "told")
            shutil.copy(pathlib.Path(harness.__file__).parents[1] / "scenario/run.sh", script)
            script.with_name("unpinned.txt").write_text("# SEEDS REASON\ntree 3..5 too slow: 7 s\nring 2 lost\n")
            done = subprocess.run(["sh", script, "frames", scenario, seeds], check=False,
                                  env={**os.environ, "WEFT_LEFT_OUT": str(told), "WEFT_SIM": "true"})  # fmt: skip
            return done.returncode, told.read_text() if told.exists() else ""

    def test_a_part_is_told_with_its_reason_and_the_rest_counts(self):
        self.assertEqual(self.run_sweep("tree", "1..4"),
                         (0, "left out: tree (frames) seeds 3..4: too slow: 7 s\n"))  # fmt: skip

    def test_where_nothing_is_left_it_did_not_pass(self):
        self.assertEqual(self.run_sweep("ring", "2"),
                         (harness.LEFT_OUT, "left out: ring (frames) seed 2: lost\n"))  # fmt: skip

    def test_nothing_is_told_where_all_ran(self):
        self.assertEqual(self.run_sweep("tree", "6..9"), (0, ""))
        self.assertEqual(self.run_sweep("other", "1..9"), (0, ""))


if __name__ == "__main__":
    harness.main()
