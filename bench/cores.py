# SPDX-License-Identifier: Apache-2.0
"""Whether more loops carry more: streams of one iperf3 through one daemon at each end, and through
several, each with a loop and links of its own. They share the port of the forward and all offer the
service; nothing else is told to them.

`cores` is how many of them the whole machine was busy with: where that is all there are, no way to
share the work out can carry much more. So --share holds each daemon to a part of a core, which
leaves cores free as a larger machine would.
"""
import argparse
import os
import statistics
import sys
import time

import traffic
from places import Missed, Places, tree
from tunnel import number
from tunnels import Raw, Weft, which


class Held:
    """A control group for each process, in which it gets `share` percent of a core. As root."""

    PERIOD_US = 10000

    def __init__(self, share):
        self.share, self.groups = share, []
        roots = ("/sys/fs/cgroup/cpu", "/sys/fs/cgroup")  # version 1, version 2
        self.root = next((root for root in roots if os.path.exists(f"{root}/cgroup.procs")), None)

    def hold(self, pid):
        group = f"{self.root}/weft-cores-{pid}"
        os.mkdir(group)
        self.groups.append(group)
        quota = self.PERIOD_US * self.share // 100
        if os.path.exists(f"{group}/cpu.max"):
            self.write(group, "cpu.max", f"{quota} {self.PERIOD_US}")
        else:
            self.write(group, "cpu.cfs_period_us", self.PERIOD_US)
            self.write(group, "cpu.cfs_quota_us", quota)
        self.write(group, "cgroup.procs", pid)

    @staticmethod
    def write(group, name, value):
        with open(f"{group}/{name}", "w") as file:
            file.write(str(value))

    def release(self):
        """After the processes ended."""
        while self.groups:
            os.rmdir(self.groups.pop())


class Several(Weft):
    """`count` daemons at each end, which share the forward's port."""

    count = 1

    def start(self, place, argv):
        """Under a key of its own each: several run in one place."""
        self.processes[f"{place}{len(self.processes)}"] = self.places.start(place, argv)

    def open(self):
        self.secret = self.write("secret", "5" * 64 + "\n")
        at = {place: [(self.places.address(place, other), self.places.port())
                      for _ in range(self.count)] for place, other in (("a", "b"), ("b", "a"))}
        self.entry = {name: ("127.0.0.1", self.places.port()) for name in self.services}
        flags = {"b": [f"--service={name}={host}:{port}"
                       for name, (host, port) in self.services.items()],
                 "a": ["--share-ports=on", *(f"--forward={name}={host}:{port}"
                                             for name, (host, port) in self.entry.items())]}
        for place in ("b", "a"):
            for listen in at[place]:
                self.daemon(place, [listen], at["b"], flags[place] + ["--discovery=on"])


class Two(Several):
    count = 2


WAYS = [("raw TCP", Raw), ("one daemon", Several), ("two daemons", Two)]


def measure(places, options, held, kind, services):
    """{(streams, figure): value}."""
    found = {}
    tunnel = kind(places, [], services.at, options)
    try:
        traffic.cold_start(places, options.traffic, tunnel)
        time.sleep(options.settle)
        for pid in tunnel.pids() if options.share else []:
            held.hold(max(tree([pid])))
        for streams in options.streams:
            carried = traffic.bulk(places, tunnel, options.seconds, streams)
            for figure, name in (("gbit", "Gbit/s"), ("cpu", "CPU s/GB"), ("all", "cores")):
                found[streams, name] = carried[figure]
    finally:
        tunnel.close()
        held.release()
    return found


def parse(argv):
    parser = argparse.ArgumentParser(prog="bench cores", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="passes; %(default)s by default")
    parser.add_argument("--seconds", type=int, default=3, help="of each; %(default)s by default")
    parser.add_argument("--streams", default="32", help="how many; %(default)s by default")
    parser.add_argument("--share", type=int, metavar="PERCENT",
                        help="of a core for each daemon; as root, with control groups")
    parser.add_argument("--bin", default="build/release/bin", help="the programs to measure")
    options = parser.parse_args(argv)
    options.streams = [int(count) for count in options.streams.split(",")]
    if options.runs < 1 or options.seconds < 1 or min(options.streams) < 1:
        parser.error("--runs, --seconds and --streams are 1 up")
    options.weftd = os.path.abspath(os.path.join(options.bin, "weftd"))
    options.traffic = os.path.abspath(os.path.join(options.bin, "bench_traffic"))
    options.heartbeat = "1s"
    options.settle = 2  # until all daemons know the ways between them
    return options


def print_table(options, found):
    print(f"{'streams':>7} {'figure':10}" + "".join(f"{name:>24}" for name, _ in WAYS))
    for streams, figure in found[WAYS[0][0]][0]:
        cells = ""
        for name, _ in WAYS:
            values = sorted(once[streams, figure] for once in found[name])
            median = number(statistics.median(values))
            cells += f"{f'{median} ({number(values[0])} to {number(values[-1])})':>24}"
        print(f"{streams:7} {figure:10}{cells}")
    held = f", each daemon held to {options.share} % of one" if options.share else ""
    print(f"medians of {options.runs} of {options.seconds} s each, least and most; "
          f"{os.cpu_count()} cores{held}")


def main(argv):
    options = parse(argv)
    held = Held(options.share)
    if options.share and (os.geteuid() != 0 or held.root is None):
        sys.exit("bench cores: --share needs root and control groups")
    if not which("iperf3") or not which("nginx"):
        sys.exit("bench cores: iperf3 and nginx are not installed")
    found = {name: [] for name, _ in WAYS}
    with Places("weft-cores") as places:
        services = traffic.Services(places, options.traffic)
        time.sleep(0.5)
        try:
            for _ in range(options.runs):
                for name, kind in WAYS:
                    found[name].append(measure(places, options, held, kind, services))
        except Missed as missed:
            sys.exit(f"bench cores: {missed}")
    print_table(options, found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
