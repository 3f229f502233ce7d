# SPDX-License-Identifier: Apache-2.0
"""What a node of a mesh costs, by the number of nodes and of services: scripts/capacity.

Each size is played twice, with a short and a long quiet time: their difference is what the quiet
time costs, the short one is what forming costs. Up to --own-copies nodes each core keeps and
verifies its own records, as a real node does, so that memory and CPU of the process, shared out over
its nodes, are a node's (and the simulator's own part on top: an upper bound). Beyond, only traffic is
measured, which sharing does not change. Beyond --cold nodes the mesh does not form from cold: it starts
warm as a random graph of degree 8 (docs/simulation.md), and what forming costs is not measured.
"""
import argparse
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import plot

ROOT = pathlib.Path(__file__).resolve().parents[3]
SCENARIO = ROOT / "sim/scenarios/capacity.yaml"
SIM = os.environ.get("WEFT_SIM", str(ROOT / "build/release/bin/weft-sim"))
SHORT_S, LONG_S = 20, 140
SERVICES = 2  # a site, while N grows
SITES = 100  # while M grows

# Column, its unit, what it is called.
COLUMNS = [
    ("traffic_mean", "B/s", "traffic in and out, mean node"),
    ("traffic_max", "B/s", "traffic in and out, busiest node"),
    ("form_bytes", "B", "bytes sent a node to form"),
    ("memory", "B", "memory a node"),
    ("cpu", "us/s", "CPU a node, quiet"),
    ("form_cpu", "us", "CPU a node to form"),
]


WARM = [(r"^topology: .*", "topology: {kind: random-regular, degree: 8}"),
        (r"^form: {(.*)}", r"form: {\1, warm: on}")]  # fmt: skip


def scenario(nodes, services, run_s, is_warm):
    text = SCENARIO.read_text(encoding="utf-8")
    wanted = [(r"^nodes: .*", f"nodes: {nodes}"), (r"^run: .*", f"run: {run_s}s"),
              (r"count: \d+, every: 10min", f"count: {services}, every: 10min")]  # fmt: skip
    for pattern, value in wanted + (WARM if is_warm else []):
        text, found = re.subn(pattern, value, text, flags=re.M)
        assert found == 1, pattern
    return text


def play(nodes, services, run_s, seed, flags, is_warm=False):
    """The result of a run, with the CPU seconds and the peak memory of its process."""
    with tempfile.TemporaryDirectory() as folder:
        path, out = pathlib.Path(folder, "capacity.yaml"), pathlib.Path(folder, "out.json")
        path.write_text(scenario(nodes, services, run_s, is_warm), encoding="utf-8")
        process = subprocess.Popen([SIM, "run", str(path), "--seed", str(seed), "--quiet",
                                    "--json", str(out), *flags])  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 1) or not out.exists():
            sys.exit(f"weft-sim ended with {process.returncode} at {nodes} nodes")
        result = json.loads(out.read_text(encoding="utf-8"))
    if process.returncode == 1:
        print(f"{nodes} nodes, {services} services: not all held", file=sys.stderr)
    result["cpu_s"] = usage.ru_utime + usage.ru_stime
    result["rss_bytes"] = usage.ru_maxrss * 1024
    return result


def empty_bytes(seed):
    """What the process takes but for its nodes."""
    return play(2, SERVICES, SHORT_S, seed, ["--no-sharing"])["rss_bytes"]


def form_bytes(result):
    series = result["series"]
    columns = [i for i, name in enumerate(series["columns"], 1) if name.startswith("traffic.")]
    rows = [row for row in series["rows"] if row[0] <= result["formed_s"]]
    return sum(row[i] for row in rows for i in columns) * series["interval_s"]


def measure(nodes, services, wanted, base_bytes):
    flags = ["--no-sharing"] if nodes <= wanted.own_copies else []
    is_warm = nodes > wanted.cold
    long = play(nodes, services, LONG_S, wanted.seed, flags, is_warm)
    mean = next(m for m in long["metrics"] if m["name"] == "traffic.node_mean")
    row = {"nodes": nodes, "services": services,
           "traffic_mean": mean["mean"], "traffic_max": mean["max"]}  # fmt: skip
    if not is_warm:
        row |= {"formed_s": long["formed_s"], "form_bytes": form_bytes(long) / nodes}
    if flags:
        short = play(nodes, services, SHORT_S, wanted.seed, flags, is_warm)
        cpu = max(0.0, long["cpu_s"] - short["cpu_s"]) / (LONG_S - SHORT_S)
        row |= {"memory": (long["rss_bytes"] - base_bytes) / nodes, "cpu": cpu / nodes * 1e6}
        if not is_warm:
            row["form_cpu"] = short["cpu_s"] / nodes * 1e6
    print(f"{nodes} nodes, {services} services: done", file=sys.stderr, flush=True)
    return row


def line_fit(xs, ys):
    """a, b and R^2 of y = a + b x, by least squares of relative errors: small meshes count too."""
    weights = [1 / (y * y) if y else 0 for y in ys]
    total = sum(weights)
    x_mean = sum(w * x for w, x in zip(weights, xs)) / total
    y_mean = sum(w * y for w, y in zip(weights, ys)) / total
    spread = sum(w * (x - x_mean) ** 2 for w, x in zip(weights, xs))
    slope = sum(w * (x - x_mean) * (y - y_mean) for w, x, y in zip(weights, xs, ys)) / spread
    start = y_mean - slope * x_mean
    left = sum(w * (y - start - slope * x) ** 2 for w, x, y in zip(weights, xs, ys))
    whole = sum(w * (y - y_mean) ** 2 for w, y in zip(weights, ys))
    return start, slope, 1 - left / whole if whole else 1.0


LAWS = {"x": float, "log2 x": math.log2, "sqrt x": math.sqrt, "x log2 x": lambda x: x * math.log2(x)}


def law(points):
    """The best of the laws y = a + b f(x): (name, a, b, R^2); None with fewer than three points."""
    points = [(x, y) for x, y in points if y]
    if len(points) < 3:
        return None
    xs, ys = zip(*points)
    fits = [(name, *line_fit([f(x) for x in xs], ys)) for name, f in LAWS.items()]
    return max(fits, key=lambda fit: fit[3])


def number(value):
    """Three digits, with k or M."""
    for unit, size in (("M", 1e6), ("k", 1e3), ("", 1)):
        if abs(value) >= size or not unit:
            return f"{value / size:.3g}{unit}"
    return ""


def table(rows, key):
    print("| " + key + " | formed, s | " + " | ".join(f"{text}, {unit}" for _, unit, text in COLUMNS) + " |")
    print("|" + "---|" * (len(COLUMNS) + 2))
    for row in rows:
        cells = [number(row[name]) if name in row else "" for name, _, _ in COLUMNS]
        formed = f"{row['formed_s']:.1f}" if "formed_s" in row else ""
        print(f"| {row[key]:,} | {formed} | " + " | ".join(cells) + " |")


def laws(rows, key, letter):
    for name, unit, text in COLUMNS:
        fit = law([(row[key], row.get(name)) for row in rows])
        if fit:
            print(f"{text} = {number(fit[1])} + {number(fit[2])} {fit[0].replace('x', letter)} {unit}"
                  f"   (R2 {fit[3]:.3f})")  # fmt: skip


def save(path, found):
    """After each size: a long sweep that is ended early keeps what it has."""
    if path:
        pathlib.Path(path).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def numbers(text):
    return [int(word) for word in text.split(",") if word]


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/capacity")
    parser.add_argument("--nodes", type=numbers, default=[10, 30, 100, 300, 1000])
    parser.add_argument("--services", type=numbers, default=[1, 2, 5, 10, 20])
    parser.add_argument("--own-copies", type=int, default=300)
    parser.add_argument("--cold", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json")
    parser.add_argument("--from", dest="source")
    parser.add_argument("--plot")
    return parser.parse_args()


def main():
    wanted = arguments()
    if wanted.source:
        found = json.loads(pathlib.Path(wanted.source).read_text(encoding="utf-8"))
    else:
        found = {"nodes": [], "services": []}
        base_bytes = empty_bytes(wanted.seed)
        sizes = [("nodes", n, SERVICES) for n in wanted.nodes]
        sizes += [("services", SITES, m) for m in wanted.services]
        for key, nodes, services in sizes:
            found[key].append(measure(nodes, services, wanted, base_bytes))
            save(wanted.json, found)
    for key, letter in (("nodes", "N"), ("services", "M")):
        if found[key]:
            table(found[key], key)
            print()
            laws(found[key], key, letter)
            print()
    if wanted.plot:
        pathlib.Path(wanted.plot).write_text(plot.svg(found["nodes"], COLUMNS, law, LAWS), encoding="utf-8")


if __name__ == "__main__":
    main()
