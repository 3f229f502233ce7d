#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""weft-sim as a program: what its exit status, output and files promise to scripts."""

import json
import os
import pathlib
import pty
import re
import subprocess
import tempfile
import unittest

SIM = os.environ["WEFT_SIM"]
SCENARIOS = pathlib.Path(__file__).resolve().parents[2] / "sim" / "scenarios"
CALM = """\
name: calm
about: Five nodes that talk a little.
targets: Z1
nodes: 5
topology: {kind: ring}
link: {delay: 2ms..9ms}
load:
  - broadcast: {from: all, count: 2, every: 300ms}
run: 2s
rest: 5s
expect:
  - broadcast.sent == 10
"""
MISSED = CALM.replace("== 10", "== 11").replace("name: calm", "name: missed")
BROKEN = CALM.replace("ring", "rang").replace("name: calm", "name: broken")


class SimTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.library = self.folder / "library"
        self.library.mkdir()
        (self.library / "calm.yaml").write_text(CALM)
        (self.library / "missed.yaml").write_text(MISSED)

    def sim(self, *arguments, status=0):
        run = subprocess.run([SIM, *arguments], capture_output=True, text=True, check=False,
                             cwd=self.folder, stdin=subprocess.DEVNULL,
                             env={**os.environ, "WEFT_SCENARIOS": str(self.library)})  # fmt: skip
        self.assertEqual(run.returncode, status, run.stdout + run.stderr)
        return run


class Run(SimTest):
    def test_what_holds_ends_well_and_says_nothing_on_standard_error(self):
        run = self.sim("run", "calm")
        self.assertIn("calm: 5 nodes, seed 1: HELD", run.stdout)
        self.assertEqual(run.stderr, "")

    def test_summary_fits_a_terminal(self):
        lines = self.sim("run", "missed", status=1).stdout.splitlines()
        self.assertLessEqual(len(lines), 22)
        self.assertLessEqual(max(map(len, lines)), 80)

    def test_a_failure_names_seed_time_what_and_the_command_that_replays_it(self):
        error = self.sim("run", "missed", "--seed", "7", "--no-sharing", status=1).stderr
        self.assertRegex(error, r"seed 7, at [0-9.]+ s: broadcast.sent == 11: 10\n")
        replay = re.search(r"^replay: weft-sim (.*)$", error, re.MULTILINE).group(1)
        self.assertEqual(replay, "run missed --seed 7 --no-sharing")
        self.assertEqual(self.sim(*replay.split(), status=1).stderr, error)

    def test_quiet_says_only_what_failed(self):
        self.assertEqual(self.sim("run", "calm", "--quiet").stdout, "")
        run = self.sim("run", "missed", "--quiet", status=1)
        self.assertEqual(run.stdout, "")
        self.assertIn("replay:", run.stderr)

    def test_a_path_serves_as_well_as_a_name(self):
        by_name = self.sim("run", "calm", "--hash").stdout
        self.assertEqual(self.sim("run", "library/calm.yaml", "--hash").stdout, by_name)

    def test_hash_is_one_line_and_follows_the_seed(self):
        first = self.sim("run", "calm", "--hash").stdout
        self.assertRegex(first, r"^[0-9a-f]{16}\n$")
        self.assertEqual(self.sim("run", "calm", "--hash", "--seed=1").stdout, first)
        self.assertNotEqual(self.sim("run", "calm", "--hash", "--seed=2").stdout, first)

    def test_what_nodes_share_changes_nothing(self):
        for name in ("clock-jump", "one-way", "restart"):
            path = str(SCENARIOS / f"{name}.yaml")
            hashes = [subprocess.run([SIM, "run", path, "--hash", *flags], check=False,
                                     capture_output=True).stdout
                      for flags in ([], ["--no-sharing"])]  # fmt: skip
            self.assertEqual(len(hashes[0]), 17)
            self.assertEqual(hashes[0], hashes[1], name)

    def test_json_goes_to_a_file_or_alone_to_standard_output(self):
        self.sim("run", "calm", "--json", "out.json")
        result = json.loads((self.folder / "out.json").read_text())
        run = self.sim("run", "calm", "--json", "-")
        self.assertEqual(json.loads(run.stdout), result)
        self.assertEqual(result["verdict"], "held")
        self.assertEqual(result["command"], "weft-sim run calm --seed 1")
        self.assertEqual(result["trace_hash"], self.sim("run", "calm", "--hash").stdout.strip())
        self.assertIn("HELD", run.stderr)

    def test_report_is_one_page_with_the_result_inside(self):
        self.sim("run", "calm", "--quiet", "--report", "out.html")
        page = (self.folder / "out.html").read_text()
        self.assertIn('"weft-sim run calm --seed 1"', page)

    def test_trace_is_sorted_by_time_and_has_every_node(self):
        crash = CALM.replace("run: 2s", "run: 2s\nfaults:\n  - {at: 1s, crash: 1, for: 500ms}\n")
        (self.library / "crash.yaml").write_text(crash.replace("== 10", "> 0"))
        self.sim("run", "crash", "--quiet", "--trace", "out.trace")
        lines = (self.folder / "out.trace").read_text().splitlines()
        times = [float(line.split()[0]) for line in lines]
        self.assertEqual(times, sorted(times))
        self.assertEqual({line.split()[1] for line in lines}, {*"01234", "--"})

    def test_files_that_cannot_be_written_are_named(self):
        for flag in ("--json", "--report", "--trace"):
            run = self.sim("run", "calm", "--quiet", flag, "no/such/folder/out", status=74)
            self.assertIn("no/such/folder/out: No such file or directory", run.stderr)

    def test_progress_is_shown_on_a_terminal_only_and_wiped(self):
        ours, theirs = pty.openpty()
        with os.fdopen(ours, "rb", buffering=0) as screen:
            subprocess.run([SIM, "run", "calm"], stderr=theirs, stdout=subprocess.DEVNULL,
                           check=True, cwd=self.folder,
                           env={**os.environ, "WEFT_SCENARIOS": str(self.library)})  # fmt: skip
            os.close(theirs)
            self.assertTrue(screen.read(4096).endswith(b"\r\x1b[K"))


class Mistakes(SimTest):
    def test_on_the_command_line(self):
        for arguments in (["run"], ["run", "calm", "more"], ["run", "calm", "--sed", "1"],
                          ["run", "calm", "--seed", "x"], ["run", "calm", "--seed", "-1"],
                          ["run", "calm", "--json"], ["sweep"], ["sweep", "calm", "--seeds", "3..1"],
                          ["sweep", "calm", "--seeds", "0..18446744073709551615"],
                          ["sweep", "calm", "--jobs", "0"], ["list", "more"], ["frobnicate"], [],
                          ["bench", "--nodes", "3"], ["bench", "--nodes", "x"]):  # fmt: skip
            with self.subTest(arguments=arguments):
                self.assertNotEqual(self.sim(*arguments, status=2).stderr, "")

    def test_in_a_scenario_name_file_and_line(self):
        (self.library / "broken.yaml").write_text(BROKEN)
        run = self.sim("run", "broken", status=78)
        self.assertRegex(run.stderr, r"broken.yaml:5: .*kind")
        self.assertEqual(self.sim("sweep", "calm", "broken", status=78).stdout, "")

    def test_an_unknown_scenario_points_to_the_list(self):
        self.assertIn("weft-sim list", self.sim("run", "storm", status=78).stderr)


class Sweep(SimTest):
    def test_runs_each_seed_of_each_file(self):
        run = self.sim("sweep", "calm", "library/calm.yaml", "--seeds", "3..5")
        self.assertEqual(run.stdout, "6 passed, 0 failed\n")

    def test_failures_come_with_their_commands(self):
        run = self.sim("sweep", "missed", "--seeds", "1..3", "--keep-going", status=1)
        for seed in (1, 2, 3):
            self.assertIn(f"    replay: weft-sim run missed --seed {seed}\n", run.stdout)
        self.assertTrue(run.stdout.endswith("0 passed, 3 failed\n"))

    def test_stops_at_the_first_failure_unless_told_otherwise(self):
        run = self.sim("sweep", "missed", "--seeds", "1..50", "--jobs", "1", status=1)
        self.assertTrue(run.stdout.endswith("0 passed, 1 failed\n"))

    def test_a_replay_finds_what_the_sweep_found(self):
        swept = self.sim("sweep", "missed", "--seeds", "4", status=1).stdout
        replay = re.search(r"replay: weft-sim (.*)$", swept, re.MULTILINE).group(1)
        alone = self.sim(*replay.split(), status=1).stderr
        self.assertEqual(re.search(r"at ([0-9.]+ m?s): (.*)$", alone, re.MULTILINE).groups(),
                         re.search(r"at ([0-9.]+ m?s): (.*)$", swept, re.MULTILINE).groups())  # fmt: skip

    def test_kinds_of_fault_that_were_never_drawn_fail_it_if_asked(self):
        crash = CALM.replace("run: 2s", "run: 2s\nfaults:\n  - {at: 1s, crash: 1, for: 500ms}\n")
        (self.library / "crash.yaml").write_text(crash.replace("== 10", "> 0"))
        run = self.sim("sweep", "crash", "--seeds", "1..2")
        self.assertRegex(run.stdout, r"^faults: crash 2 power 0 ")
        run = self.sim("sweep", "crash", "--seeds", "1..2", "--require-all-faults", status=1)
        self.assertIn("kinds of fault were never drawn\n", run.stdout)
        self.assertTrue(run.stdout.endswith("2 passed, 0 failed\n"))


class List(SimTest):
    def test_shows_what_can_be_run(self):
        run = self.sim("list")
        self.assertRegex(run.stdout, r"calm +5 +Z1 +Five nodes that talk a little\.\n")

    def test_as_json(self):
        listed = json.loads(self.sim("list", "--json").stdout)
        self.assertEqual([scenario["name"] for scenario in listed], ["calm", "missed"])
        self.assertEqual(listed[0], {"name": "calm", "nodes": 5, "targets": "Z1", "mode": "none",
                                     "about": "Five nodes that talk a little.", "suite_seeds": 0})

    def test_one_that_is_wrong_does_not_hide_the_others(self):
        (self.library / "broken.yaml").write_text(BROKEN)
        self.assertIn("calm", self.sim("list", status=78).stdout)


class Help(SimTest):
    def test_each_command_has_some(self):
        overview = self.sim("--help").stdout
        for command in ("run", "sweep", "list", "bench"):
            self.assertRegex(overview, rf"\n  {command} +\w")
            self.assertIn(f"usage: weft-sim {command}", self.sim(command, "--help").stdout)
        self.assertTrue(self.sim("--version").stdout.startswith("weft-sim "))


class Bench(SimTest):
    def test_prints_speed_and_memory(self):
        run = self.sim("bench", "--nodes", "10")
        for expected in ("forming", "steady", "events", "memory"):
            self.assertIn(f"  {expected}", run.stdout)


if __name__ == "__main__":
    unittest.main()
