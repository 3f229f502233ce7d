# SPDX-License-Identifier: Apache-2.0
"""Planted defects are in no binary that was not built for them, and each is somewhere in src.

usage: test_defects.py ROOT ON|OFF BINARY...
"""
import pathlib
import re
import sys
import unittest

MARK = b"weft planted defects are compiled in"
ROOT = pathlib.Path(sys.argv[1])
IS_ON = sys.argv[2] == "ON"
BINARIES = [pathlib.Path(name) for name in sys.argv[3:]]
HEADER = (ROOT / "src/base/defect.h").read_text(encoding="utf-8")
# Identifier and name of each row of DEFECT_LIST.
ROWS = re.findall(r'X\(\s*(\w+),\s*"([a-z-]+)"', HEADER)
# Names that no text of the programs has by chance.
NAMES = [name for _, name in ROWS if name.count("-") >= 1]


def uses():
    found = set()
    for path in (ROOT / "src").rglob("*.c"):
        if path.parent.name != "base":
            found.update(re.findall(r"\bDEFECT\((\w+)\)", path.read_text(encoding="utf-8")))
    return found


class Binaries(unittest.TestCase):
    def test_only_a_build_for_them_has_defects(self):
        self.assertTrue(BINARIES)
        for path in BINARIES:
            self.assertEqual(MARK in path.read_bytes(), IS_ON, path)

    def test_no_name_of_a_defect_is_in_other_builds(self):
        for path in [] if IS_ON else BINARIES:
            text = path.read_bytes()
            self.assertEqual([name for name in NAMES if b"\0" + name.encode() + b"\0" in text], [], path)


class Sources(unittest.TestCase):
    def test_there_are_at_least_twenty(self):
        self.assertGreaterEqual(len(ROWS), 20)

    def test_each_is_planted_and_nothing_else_is(self):
        self.assertEqual(uses(), {identifier for identifier, _ in ROWS})

    def test_the_table_names_each_and_a_scenario_that_is_there(self):
        folder = ROOT / "tests/scenario/defects"
        lines = (folder / "table").read_text(encoding="utf-8").splitlines()
        table = [line.split() for line in lines if line and not line.startswith("#")]
        self.assertEqual([row[0] for row in table], [name for _, name in ROWS])
        for _, scenario, seeds in table:
            self.assertTrue((folder / f"{scenario}.yaml").is_file(), scenario)
            self.assertLessEqual(int(seeds), 1000)

    def test_no_preset_sets_the_option(self):
        presets = (ROOT / "CMakePresets.json").read_text(encoding="utf-8")
        self.assertNotIn("WEFT_DEFECTS", presets)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
