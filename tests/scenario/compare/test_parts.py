#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The rules of the comparison: who should reach whom, when all were right, what agrees."""

import contextlib
import io
import os
import pathlib
import tempfile
import unittest
from unittest import mock

import cases
import compare
import simulated
from actual import LINE
from cases import CASES, Case, full, line, ring
from compare import DIAL_SLACK_MS, FACTOR, SLACK_MS, Row
from network import Network
from views import Word, right_since

SIM = os.environ.get("WEFT_SIM", "weft-sim")


def cut_line(**options):
    return Case("line", 4, line(4), "cut", (1,), 1, other=(2,), **options)


def killed():
    return Case("ring", 3, ring(3), "kill", (0,), 1)


class Expected(unittest.TestCase):
    def test_all_reach_all_while_nothing_is_wrong(self):
        for case in CASES:
            everybody = set(range(case.nodes))
            for node, reached in case.expected(False).items():
                self.assertEqual(reached, everybody - {node}, case.title)

    def test_a_cut_parts_those_who_have_no_other_way(self):
        self.assertEqual(cut_line().expected(True), {0: {1}, 1: {0}, 2: {3}, 3: {2}})
        halves = Case("halves", 4, full(4), "cut", (0, 1), 1)
        self.assertEqual(halves.expected(True), {0: {1}, 1: {0}, 2: {3}, 3: {2}})
        around = Case("ring", 4, ring(4), "cut", (1,), 1, other=(2,))
        self.assertEqual(around.expected(True), around.expected(False))

    def test_of_a_ring_with_a_cut_all_links_but_one_stay(self):
        around = Case("ring", 3, ring(3), "cut", (1,), 1, other=(2,), sees="links")
        self.assertEqual(around.links(), {frozenset((0, 1)), frozenset((0, 2))})

    def test_nobody_is_asked_who_is_dead(self):
        self.assertEqual(killed().expected(True), {1: {2}, 2: {1}})

    def test_with_discovery_a_dead_seed_parts_nobody(self):
        star = Case("star", 4, cases.through_seed(4), "kill", (0,), 1, discovery=True)
        self.assertEqual(star.expected(True), {1: {2, 3}, 2: {1, 3}, 3: {1, 2}})

    def test_faults_are_spread_over_heartbeats_of_any_interval(self):
        for interval in (1.0, 0.2):
            phases = sorted(cases.fault_at(number) % interval for number in range(10))
            gaps = [b - a for a, b in zip(phases, [*phases[1:], phases[0] + interval])]
            self.assertLess(max(gaps), 0.35 * interval)


class RightSince(unittest.TestCase):
    def right(self, *words, expected=None, begin=10.0, end=20.0):
        return right_since([Word(*word) for word in words], expected or {0: {"b"}, 1: {"a"}}, begin,
                           end)  # fmt: skip

    def test_is_when_the_last_came_right(self):
        self.assertEqual(self.right((11.0, 0, "peer-up", "b"), (12.5, 1, "peer-up", "a")), 12.5)

    def test_is_the_beginning_if_nothing_had_to_change(self):
        self.assertEqual(self.right((1.0, 0, "peer-up", "b"), (2.0, 1, "peer-up", "a")), 10.0)

    def test_is_never_while_one_is_wrong(self):
        self.assertIsNone(self.right((11.0, 0, "peer-up", "b")))
        self.assertIsNone(self.right((11.0, 0, "peer-up", "b"), (12.0, 1, "peer-up", "a"),
                                     (12.1, 1, "peer-up", "c")))  # fmt: skip

    def test_counts_from_the_last_time_it_went_wrong(self):
        words = [(11.0, 0, "peer-up", "b"), (11.0, 1, "peer-up", "a"), (12.0, 1, "peer-down", "a"),
                 (13.0, 1, "peer-up", "a")]  # fmt: skip
        self.assertEqual(self.right(*words), 13.0)

    def test_does_not_look_beyond_the_end(self):
        self.assertIsNone(self.right((11.0, 0, "peer-up", "b"), (21.0, 1, "peer-up", "a")))

    def test_a_start_begins_with_nothing(self):
        words = [(1.0, 0, "peer-up", "b"), (1.0, 1, "peer-up", "a"), (11.0, 1, "started")]
        self.assertIsNone(self.right(*words))
        self.assertEqual(self.right(*words, (12.0, 1, "peer-up", "a")), 12.0)


class Sources(unittest.TestCase):
    def test_daemons_log_and_simulators_trace_say_the_same(self):
        log = ("2026-11-21T02:04:28.640Z info started name=node-1 id=uih version=0.1.0\n"
               "2026-11-21T02:04:29.095Z info peer-up peer=node-0 id=y2f\n"
               "2026-11-21T02:04:33.096Z info peer-down hidden=3 peer=node-0 id=y2f\n"
               "2026-11-21T02:04:33.096Z debug reach peers=0\n")  # fmt: skip
        said = [(reach or started, peer) for _, _, reach, started, peer in LINE.findall(log)]
        trace = ("1.000000000 1 node up\n"
                 "1.500000000 1 core info peer-up peer=node-0 id=y2f\n"
                 "1.500000000 1 sent to=0 kind=records bytes=4\n"
                 "2.500000000 1 core info peer-down peer=node-0 id=y2f\n")  # fmt: skip
        words, ids = simulated.words_of(trace)
        self.assertEqual(said, [("started", "uih"), ("peer-up", "y2f"), ("peer-down", "y2f")])
        self.assertEqual([word.kind for word in words], [kind for kind, _ in said])
        self.assertEqual(ids, {0: "y2f"})

    def test_every_case_is_a_scenario_that_comes_right_each_time(self):
        with tempfile.TemporaryDirectory() as folder:
            for case in CASES:
                times = simulated.run(SIM, case, 1, pathlib.Path(folder))
                self.assertEqual(len(times), len(case.events))
                self.assertNotIn(None, times, case.title)
                self.assertGreater(min(times), 0.0, case.title)

    def test_what_is_cut_is_dropped_both_ways_on_all_links_between(self):
        self.assertEqual(list(Network(cut_line(), "").rules()),
                         ["-A FORWARD -s 10.77.2.2 -d 10.77.1.2 -j DROP",
                          "-A FORWARD -s 10.77.1.2 -d 10.77.2.2 -j DROP"])  # fmt: skip
        far = list(Network(cut_line(delay_ms=20), "").rules())
        self.assertEqual(far, ["-A INPUT -p tcp -s 10.77.2.2 --dport 20001 -j DROP",
                               "-A OUTPUT -p tcp -d 10.77.2.2 --sport 20001 -j DROP"])  # fmt: skip


class Verdict(unittest.TestCase):
    def row(self, simulator, real, event="restart"):
        return Row(killed(), event, simulator, real)

    def test_medians_agree_within_the_factor_either_way(self):
        self.assertTrue(self.row([2000] * 3, [2000 * FACTOR] * 3).agrees())
        self.assertTrue(self.row([2000 * FACTOR], [2000]).agrees())
        self.assertFalse(self.row([2000], [2000 * FACTOR + 1]).agrees())
        self.assertFalse(self.row([2000 * FACTOR + 1], [2000]).agrees())

    def test_small_times_may_differ_by_the_slack(self):
        self.assertTrue(self.row([10], [10 + SLACK_MS]).agrees())
        self.assertFalse(self.row([10], [11 + SLACK_MS]).agrees())

    def test_what_waits_for_the_next_dial_may_differ_by_more(self):
        self.assertTrue(self.row([300], [300 + DIAL_SLACK_MS], "end of DROP").agrees())
        self.assertFalse(self.row([300], [301 + DIAL_SLACK_MS], "end of DROP").agrees())

    def test_one_outlier_changes_no_median(self):
        self.assertTrue(self.row([100, 100, 9000], [100, 100, 100]).agrees())

    def test_what_never_came_right_does_not_agree(self):
        row = self.row([100, 100, 100], [100, None, 100])
        self.assertFalse(row.agrees())
        self.assertEqual(row.cells()[-1], "NO: 1 never right")
        self.assertFalse(self.row([100], [None]).agrees())


class Program(unittest.TestCase):
    def test_without_root_it_says_so_and_skips(self):
        said = io.StringIO()
        with tempfile.TemporaryDirectory() as folder:
            told = pathlib.Path(folder, "left-out")
            with mock.patch.dict(os.environ, WEFT_LEFT_OUT=str(told)), \
                 mock.patch("os.geteuid", return_value=1000), contextlib.redirect_stderr(said):  # fmt: skip
                self.assertEqual(compare.main(["--quick"]), 77)
            self.assertIn("needs root", told.read_text())
        self.assertIn("needs root", said.getvalue())


if __name__ == "__main__":
    unittest.main()
