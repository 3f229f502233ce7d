# SPDX-License-Identifier: Apache-2.0
"""The tunnel side by side with what people use today: rows P1 to P14.

Every pass starts each tunnel anew, one after the other, measures it and stops it, so that whatever
else the machine does meets all of them alike; the table shows medians over the passes, what weft
reaches as a share of raw TCP in the same run, and against the best of the others. On a busy machine
believe CPU seconds and ratios, not Gbit/s. `work of others` says how busy it was.

  P1, P2   direct, one iperf3 stream: Gbit/s; CPU seconds of both ends' tunnel processes per GB
  P3       direct, 32 streams; how many cores the busier of the two nodes took, and the machine
  P4, P5   over a relay, one stream: Gbit/s; the relay's own CPU seconds per GB
  P6, P7   one request of 200 bytes after the other over one connection, direct and relayed
  P8, P9   wrk against nginx, 64 connections: requests a second, CPU us of the tunnel for each
  P10      32 at a time: connect, request, answer, end
  P11      KB that each of 1,000 idle connections adds at both ends together
  P12      RSS of one end, the average of both, before any traffic
  P13      from the start of the processes to the first answer
  P14      the longest pause of a bulk stream whose relay is killed, or stopped; another relay exists
"""
import argparse
import json
import os
import resource
import signal
import statistics
import sys
import time

import traffic
from places import Missed, Places, cpu_s, rss_kb
from report import Load, machine
from tunnels import TUNNELS, installed

UP, DOWN = 1, -1  # whether more is better


class Row:
    """One figure of one row, for each tunnel."""

    def __init__(self, row, text, unit, better, goal=None):
        self.row, self.text, self.unit, self.better, self.goal = row, text, unit, better, goal
        self.values = {}
        self.failures = {}

    def note(self, tunnel, value):
        self.values.setdefault(tunnel, []).append(value)

    def median(self, tunnel):
        return statistics.median(self.values[tunnel]) if tunnel in self.values else None

    def best_peer(self):
        peers = [name for name in self.values if name not in ("raw", "weft")]
        return max(peers, key=lambda name: self.better * self.median(name), default=None)

    def ratio(self, other):
        ours, theirs = self.median("weft"), self.median(other) if other else None
        return ours / theirs if ours is not None and theirs else None

    def verdict(self):
        ours = self.median("weft")
        if "weft" in self.failures:
            return "FAILED"
        if self.goal is None or ours is None:
            return ""
        return "reached" if self.better * ours >= self.better * self.goal else "missed"

    def as_json(self):
        return {"row": self.row, "figure": self.text, "unit": self.unit, "goal": self.goal,
                "values": self.values, "failures": self.failures, "verdict": self.verdict(),
                "of_raw": self.ratio("raw"), "best_peer": self.best_peer(),
                "of_best_peer": self.ratio(self.best_peer())}


ROWS = {
    "p1": Row("P1", "direct, 1 stream", "Gbit/s", UP, 8.5),
    "p2": Row("P2", "direct, 1 stream", "CPU s/GB", DOWN, 1.4),
    "p3": Row("P3", "direct, 32 streams", "Gbit/s", UP, 8),
    "p3.cpu": Row("P3", "direct, 32 streams", "CPU s/GB", DOWN),
    "p3.end": Row("P3", "  its busiest node", "cores", DOWN),
    "p3.all": Row("P3", "  the whole machine", "cores", DOWN),
    "p4": Row("P4", "relayed, 1 stream", "Gbit/s", UP, 6.5),
    "p5": Row("P5", "relay, 1 stream", "CPU s/GB", DOWN, 0.5),
    "p6": Row("P6", "request p50, direct", "ms", DOWN, 0.110),
    "p6.p99": Row("P6", "request p99, direct", "ms", DOWN, 0.18),
    "p7": Row("P7", "request p50, relayed", "ms", DOWN, 0.150),
    "p8": Row("P8", "requests, 64 connections", "/s", UP, 60000),
    "p9": Row("P9", "request, 64 connections", "CPU us", DOWN, 20),
    "p10": Row("P10", "new connections, 32 at a time", "/s", UP, 10000),
    "p10.cpu": Row("P10", "new connection", "CPU us", DOWN),
    "p11": Row("P11", "idle connection, A+B", "KB", DOWN, 6),
    "p11.many": Row("P11", "idle connection of 10,000", "KB", DOWN, 6),
    "p12": Row("P12", "idle RSS of one end", "MB", DOWN, 5),
    "p13": Row("P13", "cold start", "s", DOWN, 0.05),
    "p14.kill": Row("P14", "pause, relay killed", "s", DOWN, 0.2),
    "p14.stop": Row("P14", "pause, relay stopped", "s", DOWN, 3.8),
    "p14.fast": Row("P14", "pause, stopped, heartbeat fast", "s", DOWN, 0.75),
}


class Bench:
    """One run over all passes."""

    def __init__(self, places, options):
        self.places, self.options = places, options
        self.services = traffic.Services(places, options.traffic)

    def wants(self, *rows):
        return bool(set(rows) & self.options.rows)

    def tunnel(self, name, relays):
        return TUNNELS[name](self.places, relays, self.services.at, self.options)

    def attempt(self, name, keys, measure, *arguments):
        """Notes what `measure` returns; `keys` says under which of ROWS each of its figures goes."""
        try:
            found = measure(*arguments)
        except (Missed, OSError) as error:
            for key in keys.values():
                ROWS[key].failures.setdefault(name, str(error)[:300])
            return
        for figure, key in keys.items():
            ROWS[key].note(name, found[figure])

    def open(self, name, relays):
        """An open tunnel, or None."""
        tunnel = self.tunnel(name, relays)
        try:
            cold = traffic.cold_start(self.places, self.options.traffic, tunnel)
        except (Missed, OSError) as error:
            tunnel.close()
            ROWS["p13"].failures.setdefault(name, str(error)[:300])
            return None
        if not relays and name != "raw" and self.wants("P13"):
            ROWS["p13"].note(name, cold["cold_s"])
        return tunnel

    def direct(self, name):
        tunnel = self.open(name, [])
        if tunnel is None:
            return
        try:
            self.measure_direct(name, tunnel)
        finally:
            tunnel.close()

    def measure_direct(self, name, tunnel):
        places, options = self.places, self.options
        if self.wants("P12") and name != "raw":
            ROWS["p12"].note(name, rss_kb(tunnel.pids()) / 1024 / 2)
        if self.wants("P11") and name != "raw":
            self.attempt(name, {"kb": "p11"}, traffic.idle, places, options.traffic, tunnel, 1000)
            if options.many:
                self.attempt(name, {"kb": "p11.many"}, traffic.idle, places, options.traffic,
                             tunnel, 10000)
        if self.wants("P6"):
            self.attempt(name, {"p50": "p6", "p99": "p6.p99"}, self.ping, tunnel)
        if self.wants("P1", "P2"):
            self.attempt(name, {"gbit": "p1", "cpu": "p2"}, traffic.bulk, places, tunnel,
                         options.seconds, 1)
        if self.wants("P3"):
            self.attempt(name, {"gbit": "p3", "cpu": "p3.cpu", "end": "p3.end", "all": "p3.all"},
                         traffic.bulk, places, tunnel, options.seconds, 32)
        if self.wants("P8", "P9"):
            self.attempt(name, {"rate": "p8", "us": "p9"}, traffic.requests, places, tunnel,
                         options.seconds, 64)
        if self.wants("P10"):
            self.attempt(name, {"rate": "p10", "us": "p10.cpu"}, self.connect, tunnel)

    def ping(self, tunnel):
        found = traffic.client(self.places, self.options.traffic, tunnel, "ping", "web",
                               self.options.seconds)
        return {"p50": found["p50_us"] / 1000, "p99": found["p99_us"] / 1000}

    def connect(self, tunnel):
        before = cpu_s(tunnel.pids())
        found = traffic.client(self.places, self.options.traffic, tunnel, "connect", "web",
                               self.options.seconds, 32)
        if found["connections"] == 0:
            raise Missed(f"{tunnel.name}: no connection was answered")
        spent = cpu_s(tunnel.pids()) - before
        return {"rate": found["per_s"], "us": 1e6 * spent / found["connections"]}

    def relayed(self, name):
        tunnel = self.open(name, ["r1"])
        if tunnel is None:
            return
        try:
            if self.wants("P7"):
                self.attempt(name, {"p50": "p7"}, self.ping, tunnel)
            if self.wants("P4", "P5"):
                self.attempt(name, {"gbit": "p4", "relay_cpu": "p5"}, traffic.bulk, self.places,
                             tunnel, self.options.seconds, 1, ["r1"])
        finally:
            tunnel.close()

    def failover(self, key, number, heartbeat, seconds):
        self.options.heartbeat = heartbeat
        tunnel = self.open("weft", ["r1", "r2"])
        self.options.heartbeat = "1s"
        if tunnel is None:
            return
        try:
            self.attempt("weft", {"s": key}, traffic.stall, self.places, self.options.traffic,
                         tunnel, number, seconds)
        finally:
            tunnel.close()

    def one_pass(self):
        for name in self.options.peers:
            if self.wants("P1", "P2", "P3", "P6", "P8", "P9", "P10", "P11", "P12", "P13"):
                self.direct(name)
            if self.wants("P4", "P5", "P7"):
                self.relayed(name)
        if self.wants("P14") and "weft" in self.options.peers:
            self.failover("p14.kill", signal.SIGKILL, "1s", 4)
            self.failover("p14.stop", signal.SIGSTOP, "1s", 8)
            self.failover("p14.fast", signal.SIGSTOP, "fast", 4)


def parse(argv):
    parser = argparse.ArgumentParser(prog="bench tunnel", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    every = ",".join(f"P{i}" for i in range(1, 15))
    parser.add_argument("--rows", default=every, help="which rows, such as P1,P4; all by default")
    parser.add_argument("--peers", default=",".join(TUNNELS),
                        help="which of them, by default what is installed of: %(default)s")
    parser.add_argument("--runs", type=int, default=3, help="passes; 3 by default")
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement; 5 by default")
    parser.add_argument("--quick", action="store_true",
                        help="one pass of 2 s each with raw TCP, weft and haproxy TLS")
    parser.add_argument("--many", action="store_true", help="P11 with 10,000 connections too")
    parser.add_argument("--json", default="build/bench/tunnel.json", help="where to write it")
    parser.add_argument("--prefix", default="weft-bench", help="begins the namespaces' names")
    parser.add_argument("--bin", default="build/release/bin", help="the programs to measure")
    options = parser.parse_args(argv)
    options.rows = set(options.rows.upper().split(","))
    options.peers = options.peers.split(",")
    unknown = (options.rows - set(every.split(","))) | (set(options.peers) - set(TUNNELS))
    if unknown or options.runs < 1 or options.seconds < 1:
        parser.error(f"no such row or peer: {', '.join(sorted(unknown))}" if unknown
                     else "--runs and --seconds are 1 up")
    if options.quick:
        options.runs, options.seconds = 1, 2
        options.peers = [name for name in options.peers if name in ("raw", "weft", "haproxy")]
    options.heartbeat = "1s"
    options.weftd = os.path.abspath(os.path.join(options.bin, "weftd"))
    options.traffic = os.path.abspath(os.path.join(options.bin, "bench_traffic"))
    return options


def number(value):
    if value is None:
        return "-"
    if value >= 100000:
        return f"{value / 1000:.0f}k"
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def ratio(value):
    return "" if value is None else f"{value:.2f}"


def print_table(rows, peers):
    width = max(len(f"{row.text}, {row.unit}") for row in rows)
    heads = "".join(f"{name:>14}" for name in peers)
    print(f"{'row':4} {'figure':{width}} {'goal':>6}{heads}   of raw  of best peer           verdict")
    for row in rows:
        cells = "".join(f"{number(row.median(name)):>14}" for name in peers)
        best = row.best_peer()
        against = f"{ratio(row.ratio(best)):>5} {best}" if best else ""
        print(f"{row.row:4} {row.text + ', ' + row.unit:{width}} {number(row.goal):>6}{cells}"
              f"   {ratio(row.ratio('raw')):>6}  {against:21}  {row.verdict()}")
    for row in rows:
        for name, why in row.failures.items():
            print(f"{row.row:4} {name}: {why}")


def write_json(path, rows, extra):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w") as file:
        json.dump({"machine": machine(), **extra, "rows": [row.as_json() for row in rows]}, file,
                  indent=1)
        file.write("\n")


def ours_s():
    """CPU seconds of this program and all that it ever started."""
    gone = resource.getrusage(resource.RUSAGE_CHILDREN)
    return cpu_s([os.getpid()]) + gone.ru_utime + gone.ru_stime


def missing(options):
    for name in options.peers:
        if not installed(name):
            print(f"bench tunnel: {name} is left out: {TUNNELS[name].program} is not installed",
                  file=sys.stderr)
    return [name for name in options.peers if installed(name)]


def main(argv):
    options = parse(argv)
    options.peers = missing(options)
    for program in (options.weftd, options.traffic):
        if not os.access(program, os.X_OK):
            sys.exit(f"bench tunnel: {program} is not there: build the release preset first")
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    load, begun = Load(), ours_s()
    with Places(options.prefix) as places:
        if not places.is_apart:
            print("bench tunnel: without root everything runs on loopback; a relay is then no "
                  "detour for raw TCP", file=sys.stderr)
        bench = Bench(places, options)
        time.sleep(0.5)
        for index in range(options.runs):
            print(f"pass {index + 1} of {options.runs}", file=sys.stderr)
            bench.one_pass()
        others = load.others(ours_s() - begun)
    shown = [row for row in ROWS.values()
             if row.row in options.rows and (row.values or row.failures)]
    print_table(shown, options.peers)
    print(f"work of others meanwhile: {others:.2f} of {os.cpu_count()} cores; "
          f"medians of {options.runs} of {options.seconds} s each")
    write_json(options.json, shown, {"runs": options.runs, "seconds": options.seconds,
                                     "apart": places.is_apart, "others_cores": others})
    return int(any(row.verdict() == "FAILED" for row in shown))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
