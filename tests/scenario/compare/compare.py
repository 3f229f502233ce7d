#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same small scenarios in the simulator and with real daemons: do the times agree?

A row is one event of one case: how long until every node that is alive reaches all those that it
can reach, and nobody else. Medians are compared: they agree if one is at most FACTOR times the
other, or if they differ by at most SLACK_MS; after a cut in silence, by at most DIAL_SLACK_MS,
since a connection is tried once a second and medians of few draws from a second wander. Real
daemons need root (network namespaces, iptables); without it nothing is compared, and the exit
status is 77.

Exit status: 0 all rows agree, 1 some do not, 77 cannot be run here.
"""

import argparse
import concurrent.futures
import datetime
import json
import os
import pathlib
import platform
import shutil
import statistics
import sys
import tempfile

import actual
import network
import simulated
from cases import CASES, QUICK

FACTOR = 1.25
SLACK_MS = 60
QUICK_SLACK_MS = 150  # two runs are no median
DIAL_SLACK_MS = 400
SKIPPED = 77
PROGRAMS = ("weftd", "weft", "weft-sim", "delay_relay")
NEEDED = ("ip", "iptables-restore")


class Row:
    def __init__(self, case, event, simulator, real, slack_ms=SLACK_MS):
        self.case, self.event = case, event
        self.slack_ms = DIAL_SLACK_MS if event == "end of DROP" else slack_ms
        self.simulator = sorted(ms for ms in simulator if ms is not None)
        self.real = sorted(ms for ms in real if ms is not None)
        self.missed = len(simulator) + len(real) - len(self.simulator) - len(self.real)

    @property
    def medians(self):
        return statistics.median(self.simulator), statistics.median(self.real)

    @property
    def ratio(self):
        simulator, real = self.medians
        return real / simulator

    def agrees(self):
        if self.missed > 0 or not self.simulator or not self.real:
            return False
        simulator, real = self.medians
        return max(simulator, real) <= max(FACTOR * min(simulator, real),
                                           min(simulator, real) + self.slack_ms)  # fmt: skip

    def verdict(self):
        if self.agrees():
            return "yes"
        return f"NO: {self.missed} never right" if self.missed else "NO"

    def cells(self):
        ratio = f"{self.ratio:.2f}" if self.simulator and self.real else "-"
        return (self.case.title, self.event, spread(self.simulator), spread(self.real), ratio,
                self.verdict())  # fmt: skip

    def json(self):
        return {"scenario": self.case.name, "delay_ms": self.case.delay_ms, "event": self.event,
                "simulator_ms": self.simulator, "real_ms": self.real, "missed": self.missed,
                "agrees": self.agrees()}  # fmt: skip


def spread(values):
    if not values:
        return "-"
    return f"{statistics.median(values):.0f} ({values[0]:.0f}-{values[-1]:.0f})"


HEAD = ("scenario, delay", "event", "simulator, ms", "real, ms", "ratio", "agree")


def table(rows):
    lines = [HEAD, tuple("-" for _ in HEAD), *(row.cells() for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    for line in lines:
        fill = "-" if line[0] == "-" else " "
        cells = (cell.ljust(width, fill) for cell, width in zip(line, widths))
        print("| " + " | ".join(cells) + " |")


def in_ms(times):
    return [None if time is None else time * 1000 for time in times]


def play_simulated(options, case):
    with tempfile.TemporaryDirectory(prefix="weft-compare-") as folder:
        return [in_ms(simulated.run(options.programs["weft-sim"], case, number,
                                    pathlib.Path(folder)))
                for number in range(options.runs)]  # fmt: skip


def play_real(options, case, number):
    """One run; what failed to come right is a row that does not agree."""
    try:
        return in_ms(actual.run(options.programs, case, number))
    except actual.Missed as missed:
        print(f"compare: {missed}", file=sys.stderr)
        return [None] * len(case.events)


def play_all_real(options, cases):
    """{case: its runs}; a few meshes at a time, since they mostly wait."""
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        runs = {case: [] for case in cases}
        for number in range(options.runs):
            for case in cases:
                runs[case].append(pool.submit(play_real, options, case, number))
        return {case: [run.result() for run in futures] for case, futures in runs.items()}


def compare(options, cases):
    real = play_all_real(options, cases)
    rows = []
    for case in cases:
        simulator = play_simulated(options, case)
        for event, one, other in zip(case.events, zip(*simulator), zip(*real[case])):
            rows.append(Row(case, event, one, other, options.slack_ms))
    return rows


def surroundings(options, load):
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} processors, {platform.system()} {platform.release()}",
        "load_before_and_after": [round(value, 1) for value in load],
        "runs": options.runs,
        "at_a_time": options.jobs,
        "factor": FACTOR,
        "slack_ms": options.slack_ms,
        "dial_slack_ms": DIAL_SLACK_MS,
    }


def parse(argv):
    parser = argparse.ArgumentParser(prog="compare", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--bin", action="append", help="a folder of the programs; the first that has"
                        " one gives it (build/release/bin)")  # fmt: skip
    parser.add_argument("--runs", type=int, default=10, help="runs of each scenario in each (10)")
    parser.add_argument("--jobs", type=int, default=4, help="real meshes at a time (4)")
    parser.add_argument("--only", default="", help="scenarios whose title holds this")
    parser.add_argument("--quick", action="store_true", help="three scenarios, two runs each, more slack")
    parser.add_argument("--json", help="write the result there too")
    options = parser.parse_args(argv)
    if options.quick:
        options.runs, options.jobs = 2, len(QUICK)
    options.slack_ms = QUICK_SLACK_MS if options.quick else SLACK_MS
    options.programs = {name: find(name, options.bin or ["build/release/bin"]) for name in PROGRAMS}
    return options


def find(name, folders):
    paths = [str(pathlib.Path(folder).resolve() / name) for folder in folders]
    return next((path for path in paths if os.access(path, os.X_OK)), paths[-1])


def why_not(options):
    """Why it cannot be run here, or None."""
    if os.geteuid() != 0:
        return "it needs root, for network namespaces and iptables"
    for name in NEEDED:
        if shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is None:
            return f"there is no {name}"
    for path in options.programs.values():
        if not os.access(path, os.X_OK):
            return f"there is no {path}"
    try:
        network.probe()
    except OSError as error:
        return f"no network namespace can be made: {error}"
    return None


def main(argv):
    options = parse(argv)
    reason = why_not(options)
    if reason is not None:
        print(f"compare: skipped: {reason}", file=sys.stderr)
        if "WEFT_LEFT_OUT" in os.environ:
            with open(os.environ["WEFT_LEFT_OUT"], "a") as told:
                print(f"left out: sim_compare: {reason}", file=told)
        return SKIPPED
    chosen = [case for case in (QUICK if options.quick else CASES) if options.only in case.title]
    load = os.getloadavg()[0]
    rows = compare(options, chosen)
    about = surroundings(options, (load, os.getloadavg()[0]))
    table(rows)
    print(", ".join(f"{key} {value}" for key, value in about.items()))
    if options.json:
        pathlib.Path(options.json).write_text(
            json.dumps({**about, "rows": [row.json() for row in rows]}, indent=1) + "\n")  # fmt: skip
    return 0 if rows and all(row.agrees() for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
