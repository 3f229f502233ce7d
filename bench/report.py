# SPDX-License-Identifier: Apache-2.0
"""What a benchmark reached: rows with goals, a table for people, JSON for programs, and the machine
it ran on with what else that machine was doing."""
import json
import os
import platform
import statistics
import time


def busy_s():
    """CPU seconds spent by everybody on this machine since it started."""
    with open("/proc/stat") as file:
        ticks = [int(word) for word in file.readline().split()[1:9]]
    user, nice, system, _, _, irq, softirq, steal = ticks
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def first_field(path, key):
    with open(path) as file:
        for line in file:
            if line.startswith(key):
                return line.split(":", 1)[1].strip()
    return "unknown"


def machine():
    return {
        "cpu": first_field("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "memory": first_field("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "load": os.getloadavg(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


class Load:
    """How many cores' worth of work others did between two moments: not the daemons, not we."""

    def __init__(self):
        self.begun, self.busy, self.ours = time.monotonic(), busy_s(), time.process_time()

    def others(self, daemons_cpu_s):
        seconds = max(time.monotonic() - self.begun, 0.001)
        ours = time.process_time() - self.ours + daemons_cpu_s
        return max(busy_s() - self.busy - ours, 0) / seconds


class Figure:
    """One number of one row over all runs; `limit` is the goal, None for what is only told, and the
    least that is good if `is_floor`, else the most."""

    def __init__(self, row, text, unit, limit=None, is_floor=False):
        self.row, self.text, self.unit, self.limit = row, text, unit, limit
        self.is_floor = is_floor
        self.values = []
        self.failures = []

    def verdict(self):
        if self.limit is None and not self.failures:
            return ""
        if not self.values or self.failures:
            return "FAILED"
        median = statistics.median(self.values)
        is_good = median >= self.limit if self.is_floor else median <= self.limit
        return "reached" if is_good else "MISSED"

    def reached(self):
        if not self.values:
            return "-"
        low, high = min(self.values), max(self.values)
        text = f"{statistics.median(self.values):.3g}"
        return text if len(self.values) == 1 else f"{text} ({low:.3g}-{high:.3g})"

    def as_json(self):
        return {
            "row": self.row, "figure": self.text, "unit": self.unit, "goal": self.limit,
            "median": statistics.median(self.values) if self.values else None,
            "values": self.values, "failures": self.failures, "verdict": self.verdict(),
        }


def print_table(figures):
    width = max(len(figure.text) for figure in figures)
    print(f"{'row':4} {'figure':{width}} {'goal':>8} {'reached: median (min-max)':26} verdict")
    for figure in figures:
        goal = "" if figure.limit is None else f"{figure.limit:g}"
        print(f"{figure.row:4} {figure.text:{width}} {goal:>8} "
              f"{figure.reached() + ' ' + figure.unit:26} {figure.verdict()}")
        for failure in figure.failures:
            print(f"     {failure}")


def write_json(path, figures, extra):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w") as file:
        json.dump({"machine": machine(), **extra,
                   "figures": [figure.as_json() for figure in figures]}, file, indent=1)
        file.write("\n")
