#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that check_cases.py finds a test that is gone."""

import pathlib
import tempfile
import unittest

import check_cases


class Tree(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.write("tests/unit/a.c", "Test(suite, holds) {\n}\n")
        self.write("tests/hostile/test_x.py", "class X:\n    def test_holds(self):\n        pass\n")
        self.write("sim/scenarios/run.yaml", "suite-seeds: 3\n")
        self.write("sim/scenarios/idle.yaml", "suite-seeds: 0\n")

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def faults(self, tests, entries=None):
        lines = [f"| {case} x | y | `z` | `suite.holds` |" for case in check_cases.CASES[1:]]
        self.write("docs/security.md", "\n".join([f"| T1 x | y | z | {tests} |", *lines]))
        return check_cases.check(self.root, entries)

    def test_what_is_there_is_accepted(self):
        tests = "`suite.holds` `hostile_x.test_holds` `run.yaml`"
        self.assertEqual(self.faults(tests, {"hostile_x"}), [])

    def test_what_is_gone_is_found(self):
        for name in ("suite.gone", "other.holds", "hostile_x.test_gone", "hostile_y.test_holds",
                     "idle.yaml", "gone.yaml"):  # fmt: skip
            self.assertEqual(len(self.faults(f"`suite.holds` `{name}`")), 1, name)

    def test_each_row_of_a_case_is_read(self):
        self.assertEqual(len(self.faults("`suite.holds` |\n| T1 again | y | z | `suite.gone`")), 1)

    def test_a_claim_of_streams_without_its_test_is_found(self):
        self.write("docs/streams.md", "| a claim | `suite.holds` `run.yaml` |\n| of `b` | c |\n")
        self.assertEqual(self.faults("`suite.holds`"), [])
        self.write("docs/streams.md", "| a claim | `suite.holds` `suite.gone` |\n")
        self.assertEqual(self.faults("`suite.holds`"), ["a claim: suite.gone: no such test"])

    def test_a_file_that_nothing_runs_is_found(self):
        self.assertEqual(len(self.faults("`hostile_x.test_holds`", {"hostile_z"})), 1)

    def test_a_case_without_test_or_row_is_found(self):
        self.assertEqual(self.faults("none"), ["T1: no test"])
        self.write("docs/security.md", "")
        self.assertEqual(len(check_cases.check(self.root)), 23)


if __name__ == "__main__":
    unittest.main()
