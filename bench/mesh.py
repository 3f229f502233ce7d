# SPDX-License-Identifier: Apache-2.0
"""The mesh with real daemons, many on this machine: rows M1 to M10, and B5.

Each scenario starts a fleet, measures several rows on it and ends it; scenarios are repeated as
wholes, and the table shows medians. `scripts/bench mesh --help` says how to run it.

What the rows mean exactly:
  M1-M3, M5  The seed runs; then all others are started at once. Seconds from the start of the first
             of them (their own start-up included) until the last daemon reaches all others, as its
             log says ("reach"). CPU seconds of all daemons since their birth.
  M4         A binary tree, discovery off, each node started when its parent is ready. Seconds from
             the start of the last one.
  M6         VmRSS of the median daemon, settled.
  M7         CPU seconds of all daemons over 20 s, settled.
  M8, M9     Seconds from the signal to the last daemon's line "peer-down" about the victim.
  M10        From weft_node_broadcast in one process to the callback in the last of the others.
  B5         All paths of a graph of 10,000 nodes and 80,000 arcs, in one process of its own: from
             nothing, and (median of 21) after the cost of one link has changed.
"""
import argparse
import os
import signal
import statistics
import subprocess
import sys
import time

from broadcast import measure_broadcast
from fleet import POLL_S, Fleet, Missed
from report import Figure, Load, print_table, write_json

SETTLE_S = 15  # a mesh that formed at once has too many links, and trims them at an age of 5 s
IDLE_S = 20
JOIN_PATIENCE_S = 60

FIGURES = {
    "m1.s": Figure("M1", "N=50 join one seed: all know all", "s", 1),
    "m1.last_s": Figure("M1", "  from the start of the last process", "s"),
    "m1.cpu": Figure("M1", "  CPU of all", "CPU s", 1),
    "m1.load": Figure("M1", "  work of others meanwhile", "cores"),
    "m2.s": Figure("M2", "N=100 join one seed: all know all", "s", 2),
    "m2.last_s": Figure("M2", "  from the start of the last process", "s"),
    "m2.cpu": Figure("M2", "  CPU of all", "CPU s", 3),
    "m2.load": Figure("M2", "  work of others meanwhile", "cores"),
    "m3.s": Figure("M3", "N=200 join one seed: all know all", "s", 4),
    "m3.last_s": Figure("M3", "  from the start of the last process", "s"),
    "m3.cpu": Figure("M3", "  CPU of all", "CPU s", 8),
    "m3.load": Figure("M3", "  work of others meanwhile", "cores"),
    "m4.s": Figure("M4", "tree of 200, discovery off", "s", 0.5),
    "m4.first_s": Figure("M4", "  from the start of the first process", "s"),
    "m4.cpu": Figure("M4", "  CPU of all", "CPU s"),
    "m4.load": Figure("M4", "  work of others meanwhile", "cores"),
    "m5.s": Figure("M5", "degree 8, one seed, N=50", "s", 1),
    "m5.alone": Figure("M5", "  nodes without a link", "", 0),
    "m5.links": Figure("M5", "  most links of one node", ""),
    "m5.load": Figure("M5", "  work of others meanwhile", "cores"),
    "m6.rss50": Figure("M6", "RSS per node at N=50", "MB", 5),
    "m6.own50": Figure("M6", "  of it private to the process", "MB"),
    "m6.rss100": Figure("M6", "RSS per node at N=100", "MB", 5),
    "m6.own100": Figure("M6", "  of it private to the process", "MB"),
    "m7.cpu": Figure("M7", "idle CPU of all 50, of one core", "%", 5),
    "m8.s": Figure("M8", "kill -9 seen by all, N=50", "s", 0.15),
    "m9.s": Figure("M9", "SIGSTOP: dropped by all, N=50", "s", 3.5),
    "m9.fast_s": Figure("M9", "  heartbeat fast", "s", 0.75),
    "m10.ms": Figure("M10", "broadcast to the last of 50", "ms", 5),
    "m10.missed": Figure("M10", "  missed just after forming", "", 0),
    "m10.repeated": Figure("M10", "  delivered twice", "", 0),
    "m10.first_ms": Figure("M10", "  to the last, just after forming", "ms"),
    "b5.all": Figure("B5", "all paths of 10,000 nodes", "ms", 15),
    "b5.changed": Figure("B5", "  after one link changed", "ms", 1),
    "b5.tree": Figure("B5", "  one broadcast tree", "ms"),
}


def note(key, value):
    FIGURES[key].values.append(value)


def join(weftd, count, flags=()):
    """A fleet whose first daemon is ready and whose others were started at once."""
    fleet = Fleet(weftd, flags)
    fleet.wait_ready(fleet.start())
    for _ in range(count - 1):
        fleet.start(seed=fleet.daemons[0])
    return fleet


def note_join(fleet, prefix, load):
    done, cpu = fleet.wait_full(JOIN_PATIENCE_S)
    note(f"{prefix}.s", done - fleet.daemons[1].started)
    if f"{prefix}.last_s" in FIGURES:
        note(f"{prefix}.last_s", done - fleet.daemons[-1].started)
    if f"{prefix}.cpu" in FIGURES:
        note(f"{prefix}.cpu", cpu)
    note(f"{prefix}.load", load.others(cpu))


def note_memory(fleet, count):
    sizes = [daemon.memory_kb() for daemon in fleet.daemons]
    own = [size["Private_Clean"] + size["Private_Dirty"] for size in sizes]
    note(f"m6.rss{count}", statistics.median(size["Rss"] for size in sizes) / 1024)
    note(f"m6.own{count}", statistics.median(own) / 1024)


def note_idle(fleet):
    cpu, begun = fleet.cpu_s(), time.monotonic()
    time.sleep(IDLE_S)
    note("m7.cpu", 100 * (fleet.cpu_s() - cpu) / (time.monotonic() - begun))


def scenario_50(weftd, rows):
    load = Load()
    with join(weftd, 50) as fleet:
        note_join(fleet, "m1", load)
        fleet.check_full()
        if rows & {"M6", "M7", "M8", "M9"}:
            time.sleep(SETTLE_S)
        if "M6" in rows:
            note_memory(fleet, 50)
        if "M7" in rows:
            note_idle(fleet)
        if "M8" in rows:
            note("m8.s", fleet.strike(fleet.daemons[7], signal.SIGKILL, 30))
        if "M9" in rows:
            time.sleep(2)
            note("m9.s", fleet.strike(fleet.daemons[23], signal.SIGSTOP, 30))


def scenario_fast(weftd, _):
    with join(weftd, 50, ["--heartbeat", "fast"]) as fleet:
        fleet.wait_full(JOIN_PATIENCE_S)
        time.sleep(SETTLE_S)
        note("m9.fast_s", fleet.strike(fleet.daemons[23], signal.SIGSTOP, 30))


def scenario_100(weftd, rows):
    load = Load()
    with join(weftd, 100) as fleet:
        note_join(fleet, "m2", load)
        fleet.check_full()
        if "M6" in rows:
            time.sleep(SETTLE_S)
            note_memory(fleet, 100)


def scenario_200(weftd, _):
    load = Load()
    with join(weftd, 200) as fleet:
        note_join(fleet, "m3", load)
        fleet.check_full()


def scenario_tree(weftd, _):
    load = Load()
    with Fleet(weftd, ["--discovery", "off"]) as fleet:
        fleet.start()
        for index in range(1, 200):
            parent = fleet.daemons[(index - 1) // 2]
            fleet.wait_ready(parent)
            fleet.start(seed=parent)
        done, cpu = fleet.wait_full(JOIN_PATIENCE_S)
        note("m4.s", done - fleet.daemons[-1].started)
        note("m4.first_s", done - fleet.daemons[0].started)
        note("m4.cpu", cpu)
        note("m4.load", load.others(cpu))
        fleet.check_full()


def scenario_degree(weftd, _):
    load = Load()
    with join(weftd, 50, ["--degree", "8"]) as fleet:
        note_join(fleet, "m5", load)
        links = [daemon.ask("/v1/status")["links"]["established"] for daemon in fleet.daemons]
        note("m5.alone", sum(count == 0 for count in links))
        note("m5.links", max(links))
        fleet.check_full()


def scenario_broadcast(weftd, _):
    program = os.path.join(os.path.dirname(weftd), "bench_broadcast")
    for key, value in measure_broadcast(program, 50).items():
        note(f"m10.{key}", value)


def scenario_paths(weftd, _):
    program = os.path.join(os.path.dirname(weftd), "bench_path")
    lines = subprocess.run([program], capture_output=True, text=True, check=True).stdout.split("\n")
    found = dict(line.split() for line in lines if line)
    for key in ("all", "changed", "tree"):
        note(f"b5.{key}", float(found[key]))


# What measures which rows; a failure is charged to the first.
SCENARIOS = [
    (scenario_50, "m1.s", {"M1", "M6", "M7", "M8", "M9"}),
    (scenario_100, "m2.s", {"M2", "M6"}),
    (scenario_200, "m3.s", {"M3"}),
    (scenario_tree, "m4.s", {"M4"}),
    (scenario_degree, "m5.s", {"M5"}),
    (scenario_fast, "m9.fast_s", {"M9"}),
    (scenario_broadcast, "m10.ms", {"M10"}),
    (scenario_paths, "b5.all", {"B5"}),
]


def parse(argv):
    parser = argparse.ArgumentParser(prog="bench mesh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join([f"M{i}" for i in range(1, 11)] + ["B5"]),
                        help="which rows, such as M1,M8; all by default")
    parser.add_argument("--runs", type=int, default=3, help="how often; 3 by default")
    parser.add_argument("--json", default="build/bench/mesh.json", help="where to write the result")
    parser.add_argument("--weftd", default="build/release/bin/weftd", help="the daemon to measure")
    options = parser.parse_args(argv)
    options.rows = set(options.rows.upper().split(","))
    unknown = options.rows - set().union(*(rows for _, _, rows in SCENARIOS))
    if unknown or options.runs < 1:
        parser.error(f"no such row: {', '.join(sorted(unknown))}" if unknown else "--runs is 1 up")
    options.weftd = os.path.abspath(options.weftd)
    return options


def run_one(scenario, key, options):
    try:
        scenario(options.weftd, options.rows)
    except (Missed, OSError, subprocess.SubprocessError) as error:
        FIGURES[key].failures.append(str(error))


def main(argv):
    options = parse(argv)
    if not os.access(options.weftd, os.X_OK):
        sys.exit(f"bench mesh: {options.weftd} is not there: build the release preset first")
    for number in range(options.runs):
        for scenario, key, rows in SCENARIOS:
            if rows & options.rows:
                print(f"run {number + 1} of {options.runs}: {scenario.__name__}", file=sys.stderr)
                run_one(scenario, key, options)
    shown = [figure for figure in FIGURES.values()
             if figure.row in options.rows and (figure.values or figure.failures)]
    print_table(shown)
    write_json(options.json, shown, {"runs": options.runs, "poll_s": POLL_S})
    return int(any(figure.verdict() == "FAILED" for figure in shown))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
