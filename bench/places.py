# SPDX-License-Identifier: Apache-2.0
"""Where a benchmark's processes run: network namespaces joined by veth pairs, or loopback.

    A ------------- B      direct
     \\-- R1 --------/      relayed; R1 also routes IP, for raw TCP on the same way
      \\- R2 -------/       another relay, for when the first one dies

Namespaces take root. Without it everything runs on loopback, where A, R and B are only names; then
"relayed" raw TCP is direct. Processes and namespaces are gone when the `with` ends.
"""
import os
import shutil
import socket
import subprocess
import tempfile
import time

CPU_CLOCK = 2  # CPUCLOCK_SCHED: all threads of a process, in nanoseconds
PAIRS = [("a", "b"), ("a", "r1"), ("r1", "b"), ("a", "r2"), ("r2", "b")]


class Missed(Exception):
    """What was waited for did not come, or came wrong."""


def run(*argv):
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode != 0:
        raise Missed(f"{' '.join(argv)}: {done.stderr.strip()}")


def parents():
    """pid -> parent, of all processes."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                found[int(name)] = int(file.read().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    return found


def tree(roots):
    """These processes and what they started."""
    parent_of = parents()
    members = {pid for pid in roots if pid in parent_of}
    size = -1
    while size != len(members):
        size = len(members)
        members |= {pid for pid, parent in parent_of.items() if parent in members}
    return members


def cpu_s(roots):
    total = 0.0
    for pid in tree(roots):
        try:
            total += time.clock_gettime((~pid << 3) | CPU_CLOCK)
        except OSError:
            continue
    return total


def rss_kb(roots):
    total = 0
    for pid in tree(roots):
        with open(f"/proc/{pid}/status") as file:
            total += sum(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
    return total


class Places:
    """A, B, R1 and R2. `prefix` begins the names of the namespaces."""

    def __init__(self, prefix):
        self.prefix = prefix
        self.is_apart = os.geteuid() == 0
        self.folder = tempfile.mkdtemp(prefix=f"{prefix}-")
        self.port_next = 20001
        self.processes = []

    def __enter__(self):
        try:
            if self.is_apart:
                self.build()
        except Missed:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stop(self.processes)
        if self.is_apart:
            for place in ("a", "b", "r1", "r2"):
                subprocess.run(["ip", "netns", "del", self.name(place)], capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def name(self, place):
        return f"{self.prefix}-{place}"

    def build(self):
        for place in ("a", "b", "r1", "r2"):
            run("ip", "netns", "add", self.name(place))
            run("ip", "-n", self.name(place), "link", "set", "lo", "up")
        for index, (left, right) in enumerate(PAIRS):
            self.join(left, right, index)
        run("ip", "netns", "exec", self.name("r1"), "sysctl", "-qw", "net.ipv4.ip_forward=1")
        run("ip", "-n", self.name("a"), "route", "add", "10.213.2.0/24", "via", "10.213.1.2")
        run("ip", "-n", self.name("b"), "route", "add", "10.213.1.0/24", "via", "10.213.2.1")

    def join(self, left, right, index):
        ends = [(left, f"to-{right}", 1), (right, f"to-{left}", 2)]
        run("ip", "link", "add", ends[0][1], "netns", self.name(left), "type", "veth",
            "peer", "name", ends[1][1], "netns", self.name(right))
        for place, device, host in ends:
            run("ip", "-n", self.name(place), "addr", "add", f"10.213.{index}.{host}/24",
                "dev", device)
            run("ip", "-n", self.name(place), "link", "set", device, "up")

    def address(self, place, seen_from):
        """Of a place, on the network that it shares with another (B seen from A: the direct one;
        raw TCP over the relay is to B seen from R1)."""
        if not self.is_apart:
            return "127.0.0.1"
        for index, pair in enumerate(PAIRS):
            if {place, seen_from} == set(pair):
                return f"10.213.{index}.{1 + pair.index(place)}"
        raise KeyError((place, seen_from))

    def port(self):
        """One that nobody listens on."""
        if self.is_apart:
            self.port_next += 1
            return self.port_next
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    def argv(self, place, argv):
        return ["ip", "netns", "exec", self.name(place), *argv] if self.is_apart else list(argv)

    def start(self, place, argv):
        log = open(os.path.join(self.folder, f"{os.path.basename(argv[0])}-{place}.log"), "ab")
        process = subprocess.Popen(self.argv(place, argv), stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=log)
        log.close()
        self.processes.append(process)
        return process

    def stop(self, processes):
        members = tree([process.pid for process in processes if process.poll() is None])
        for pid in members:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                continue
        for process in processes:
            process.wait()
        self.processes = [process for process in self.processes if process not in processes]

    def ask(self, place, argv, patience_s):
        """Runs a program to its end; what it printed."""
        try:
            done = subprocess.run(self.argv(place, argv), capture_output=True, text=True,
                                  timeout=patience_s)
        except subprocess.TimeoutExpired:
            raise Missed(f"{' '.join(map(str, argv))}: not in {patience_s} s") from None
        if done.returncode != 0:
            raise Missed(f"{' '.join(map(str, argv))}: {(done.stderr + done.stdout)[-300:]}")
        return done.stdout
