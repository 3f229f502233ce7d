# SPDX-License-Identifier: Apache-2.0
"""What one request and one new connection ask of the kernel and the processor, node by node.

System calls (perf's trace points) and instructions in user space (callgrind) do not depend on how
busy the machine is, except through how much each turn of a loop finds to do. So they are what a
change of the request path is judged by.

  ping      one request after the other over one connection
  requests  wrk against nginx over 64 connections
  connect   32 at a time: connect, request, answer, end

Each is measured direct (A, B) and, for ping, over a relay (A, R, B).
"""
import argparse
import collections
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time

import traffic
from callgrind import totals
from places import Missed, Places, cpu_s, tree
from tunnels import TUNNELS, which

CALLS = ("epoll_wait", "epoll_ctl", "timerfd_settime", "recvfrom", "sendmsg", "sendto", "read",
         "write", "accept4", "socket", "connect", "close", "shutdown", "setsockopt", "getsockopt",
         "splice", "pipe2", "futex", "mmap", "munmap", "madvise", "brk")
LOADS = {"ping": [], "requests": [], "connect": [], "relayed": ["r1"]}


class Counted(TUNNELS["weft"]):
    """weftd under callgrind, its counting off until told."""

    def start(self, place, argv):
        if self.options.is_instrumented:
            out = os.path.join(self.places.folder, f"callgrind-{place}")
            argv = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "-q",
                    f"--callgrind-out-file={out}", *argv]
        super().start(place, argv)


def daemons(tunnel):
    """place -> pid of the daemon itself, not of what started it."""
    return {place: max(tree([process.pid])) for place, process in tunnel.processes.items()}


def perf(pid, out):
    events = ",".join(["raw_syscalls:sys_enter", "context-switches", "page-faults"]
                      + [f"syscalls:sys_enter_{call}" for call in CALLS])
    return subprocess.Popen(["perf", "stat", "-x,", "-e", events, "-o", out, "-p", str(pid)],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def perf_read(path):
    found = {}
    with open(path) as file:
        for line in file:
            fields = line.strip().split(",")
            if len(fields) > 2 and fields[0].isdigit():
                name = fields[2].replace("syscalls:sys_enter_", "")
                found[{"raw_syscalls:sys_enter": "all calls"}.get(name, name)] = int(fields[0])
    return found


def load(bench, kind, tunnel):
    """Sends what is asked; how many requests were answered."""
    seconds = bench.options.seconds
    if kind == "requests":
        host, port = tunnel.entry["web"]
        text = bench.places.ask("a", [which("wrk"), "-t1", "-c64", f"-d{seconds}s",
                                      f"http://{host}:{port}/"], seconds + 30)
        return int(re.search(r"(\d+) requests in", text)[1])
    if kind == "connect":
        found = traffic.client(bench.places, bench.options.traffic, tunnel, "connect", "web",
                               seconds, 32)
        return int(found["connections"])
    found = traffic.client(bench.places, bench.options.traffic, tunnel, "ping", "web", seconds)
    return int(found["requests"])


class Bench:
    def __init__(self, places, options):
        self.places, self.options = places, options
        self.services = traffic.Services(places, options.traffic)

    def calls(self, kind, tunnel):
        """node -> {call: per request}."""
        pids = daemons(tunnel)
        outs = {place: os.path.join(self.places.folder, f"perf-{place}") for place in pids}
        counting = [perf(pid, outs[place]) for place, pid in pids.items()]
        time.sleep(0.5)
        before = {place: cpu_s([pid]) for place, pid in pids.items()}
        count = load(self, kind, tunnel)
        spent = {place: cpu_s([pid]) - before[place] for place, pid in pids.items()}
        for process in counting:
            process.send_signal(signal.SIGINT)
            process.wait()
        found = {}
        for place, out in outs.items():
            found[place] = {name: value / count for name, value in perf_read(out).items()}
            found[place]["CPU us"] = 1e6 * spent[place] / count
        return found

    def instructions(self, kind, tunnel):
        """node -> {instructions: per request, mallocs: per request}."""
        pids = daemons(tunnel)
        for pid in pids.values():
            subprocess.run(["callgrind_control", "-i", "on", str(pid)], check=True,
                           capture_output=True)
        count = load(self, kind, tunnel)
        found = {}
        for place, pid in pids.items():
            subprocess.run(["callgrind_control", "-i", "off", str(pid)], check=True,
                           capture_output=True)
            subprocess.run(["callgrind_control", "-d", str(pid)], check=True, capture_output=True)
            found[place] = callgrind_read(self.places.folder, place, count,
                                          self.options.keep and f"{self.options.keep}/{kind}")
        return found

    def measure(self, kind):
        found = collections.defaultdict(dict)
        for is_instrumented in (False, True):
            if is_instrumented and not which("valgrind"):
                continue
            self.options.is_instrumented = is_instrumented
            tunnel = Counted(self.places, LOADS[kind], self.services.at, self.options)
            try:
                traffic.cold_start(self.places, self.options.traffic, tunnel)
                load(self, kind, tunnel)  # warm
                measure = self.instructions if is_instrumented else self.calls
                for place, figures in measure(kind, tunnel).items():
                    found[place].update(figures)
            finally:
                tunnel.close()
        return found


def callgrind_read(folder, place, count, keep):
    """Instructions and allocations, from the newest dump of a process."""
    names = [name for name in os.listdir(folder) if re.fullmatch(rf"callgrind-{place}\.\d+", name)]
    if not names:
        raise Missed(f"callgrind wrote nothing for {place}")
    path = os.path.join(folder, max(names, key=lambda name: int(name.rsplit(".", 1)[1])))
    with open(path) as file:
        text = file.read()
    instructions, allocations = totals(text)
    if keep:
        os.makedirs(keep, exist_ok=True)
        with open(os.path.join(keep, f"callgrind.out.{place}"), "w") as file:
            file.write(text)
    return {"instructions": instructions / count, "allocations": allocations / count}


def print_table(kind, found):
    places = sorted(found, key=["a", "r1", "b"].index)
    names = ["instructions", "allocations", "CPU us", "context-switches", "page-faults",
             "all calls"]
    names += sorted((name for name in CALLS if any(found[p].get(name, 0) >= 0.0005 for p in places)),
                    key=lambda name: -sum(found[p].get(name, 0) for p in places))
    print(f"{kind:20}" + "".join(f"{place.upper():>12}" for place in places))
    for name in names:
        cells = [found[place].get(name) for place in places]
        shown = "".join(f"{'-' if cell is None else format(cell, '.3f') if cell < 100 else round(cell):>12}"
                        for cell in cells)
        print(f"  {name:18}{shown}")


def parse(argv):
    parser = argparse.ArgumentParser(prog="bench counts", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loads", default=",".join(LOADS), help="by default %(default)s")
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--json", default="build/bench/counts.json")
    parser.add_argument("--keep", help="a folder for callgrind's dumps")
    parser.add_argument("--prefix", default="weft-count", help="begins the namespaces' names")
    parser.add_argument("--bin", default="build/release/bin", help="the programs to measure")
    options = parser.parse_args(argv)
    options.loads = options.loads.split(",")
    if set(options.loads) - set(LOADS):
        parser.error(f"loads are {', '.join(LOADS)}")
    options.heartbeat = "1s"
    options.weftd = os.path.abspath(os.path.join(options.bin, "weftd"))
    options.traffic = os.path.abspath(os.path.join(options.bin, "bench_traffic"))
    return options


def main(argv):
    options = parse(argv)
    if not which("perf") or os.geteuid() != 0:
        sys.exit("bench counts: needs root and perf (linux-perf) for the trace points")
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    results = {}
    with Places(options.prefix) as places:
        bench = Bench(places, options)
        time.sleep(0.5)
        for kind in options.loads:
            results[kind] = bench.measure(kind)
            print_table(kind, results[kind])
    os.makedirs(os.path.dirname(os.path.abspath(options.json)), exist_ok=True)
    with open(options.json, "w") as file:
        json.dump(results, file, indent=1)
        file.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
