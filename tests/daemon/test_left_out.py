#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a suite says of tests that it could not run."""

import os
import pathlib
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


if __name__ == "__main__":
    harness.main()
