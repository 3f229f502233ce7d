# SPDX-License-Identifier: Apache-2.0
"""Many real daemons on this machine, watched without disturbing them.

The one idea: a daemon's own log says, to the millisecond, how many peers it can reach whenever that
changes (debug level: lines about single peers are rate limited), and which one it lost. The fleet sends every log to a file and reads what was appended, so that being measured costs
a daemon nothing. The loop that reads decides only when to stop waiting: its period does not enter
the times, which are the log's, and enters the CPU seconds as what is spent within one period.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

POLL_S = 0.02  # of the log files
STAMP = rb"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{3})Z "
REACH = re.compile(STAMP + rb"debug reach peers=(\d+)", re.M)
DOWN = re.compile(STAMP + rb"info peer-down (?:hidden=\d+ )?peer=\S+ id=(\S+)", re.M)
CPU_CLOCK = 2  # CPUCLOCK_SCHED: all threads, in nanoseconds


def wall_of(seconds, millis, cache={}):
    """Seconds since 1970 of a log line's stamp; all lines of one second share the parse."""
    if seconds not in cache:
        cache[seconds] = calendar_seconds(seconds.decode())
    return cache[seconds] + int(millis) / 1000


def calendar_seconds(text):
    import calendar
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))


class Missed(Exception):
    """What was waited for did not come in time."""


class Daemon:
    """One process: what its log said, what it costs."""

    def __init__(self, name, argv, folder):
        self.name = name
        self.folder = folder
        self.id = self.listen = None
        self.reach = 0      # peers reachable now
        self.reach_at = 0.0 # when that became so
        self.down = {}      # id of a peer -> when it ceased to be reachable
        self.log_at = self.out_at = 0
        self.is_dead = False
        self.out_file = open(os.path.join(folder, "out"), "w+b")
        self.log_file = open(os.path.join(folder, "log"), "w+b")
        self.started = time.time()
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self.out_file,
                                        stderr=self.log_file)

    @staticmethod
    def fresh(file, at):
        """The whole lines behind `at`."""
        data = os.pread(file.fileno(), 1 << 20, at)
        return data[:data.rfind(b"\n") + 1]

    def read(self):
        if self.id is None:
            self.read_ready()
        data = self.fresh(self.log_file, self.log_at)
        self.log_at += len(data)
        for match in REACH.finditer(data):
            self.reach, self.reach_at = int(match[3]), wall_of(match[1], match[2])
        for match in DOWN.finditer(data):
            self.down[match[3].decode()] = wall_of(match[1], match[2])

    def read_ready(self):
        match = re.match(rb"ready name=\S+ id=(\S+) listen=(\S+)",
                         self.fresh(self.out_file, 0))
        if match:
            self.id, self.listen = match[1].decode(), match[2].decode()
        elif self.process.poll() is not None:
            raise Missed(f"{self.name} exited: " + self.tail())

    def tail(self):
        return self.fresh(self.log_file, 0)[-400:].decode(errors="replace")

    def cpu_s(self):
        return time.clock_gettime((~self.process.pid << 3) | CPU_CLOCK)

    def memory_kb(self):
        with open(f"/proc/{self.process.pid}/smaps_rollup") as file:
            sizes = {line.split(":")[0]: int(line.split()[1])
                     for line in file if line.endswith("kB\n")}
        return sizes

    def ask(self, path):
        """One answer of the control socket: after a measurement, to check it."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(10)
            control.connect(os.path.join(self.folder, "control.sock"))
            control.sendall(f"GET {path} HTTP/1.1\r\nHost: weft\r\nConnection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda: control.recv(65536), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        if b"200" not in head.split(b"\r\n")[0]:
            raise Missed(f"{self.name}: {path}: {head[:100]!r}")
        return json.loads(body)


class Fleet:
    """Daemons that share a secret and a folder. Use it in a `with`: it leaves nothing behind."""

    def __init__(self, weftd, flags=()):
        self.weftd = weftd
        self.flags = list(flags)
        self.folder = tempfile.mkdtemp(prefix="weft-bench-")
        self.daemons = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for daemon in self.daemons:
            if daemon.process.poll() is None:
                daemon.process.kill()
        for daemon in self.daemons:
            daemon.process.wait()
            daemon.out_file.close()
            daemon.log_file.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, seed=None, flags=()):
        """One more daemon; the first one makes the secret that the others read."""
        name = f"n{len(self.daemons)}"
        folder = os.path.join(self.folder, name)
        os.mkdir(folder, 0o700)
        argv = [self.weftd, "--name", name, "--state", folder, "--listen", "127.0.0.1:0",
                "--log-level", "debug", *self.flags, *flags]
        if self.daemons:
            argv += ["--secret-file", os.path.join(self.daemons[0].folder, "secret")]
        if seed is not None:
            argv += ["--seed", seed.listen]
        daemon = Daemon(name, argv, folder)
        self.daemons.append(daemon)
        return daemon

    def alive(self):
        return [daemon for daemon in self.daemons if not daemon.is_dead]

    def wait(self, is_met, patience_s, what):
        """Reads logs until is_met(); returns the time at which it stopped looking."""
        deadline = time.monotonic() + patience_s
        while True:
            for daemon in self.alive():
                daemon.read()
            if is_met():
                return
            if time.monotonic() > deadline:
                raise Missed(f"{what}: not in {patience_s} s ({self.knowledge()})")
            time.sleep(POLL_S)

    def knowledge(self):
        known = sorted(daemon.reach for daemon in self.alive())
        return f"{len(known)} daemons know {known[0]} to {known[-1]} others"

    def wait_ready(self, daemon, patience_s=10):
        self.wait(lambda: daemon.id is not None, patience_s, f"{daemon.name} ready")

    def wait_full(self, patience_s):
        """All know all. Returns (when the last one learned of the last, CPU seconds by then)."""
        count = len(self.daemons) - 1
        self.wait(lambda: all(daemon.reach == count for daemon in self.daemons), patience_s,
                  "all know all")
        cpu = self.cpu_s()
        return max(daemon.reach_at for daemon in self.daemons), cpu

    def check_full(self):
        """Asks each daemon whether what its log said still holds."""
        count = len(self.daemons) - 1
        for daemon in self.daemons:
            reachable = daemon.ask("/v1/status")["peers"]["reachable"]
            if reachable != count:
                raise Missed(f"{daemon.name} reaches {reachable} of {count}")

    def strike(self, victim, number, patience_s):
        """Sends a signal; seconds until the last of the others had dropped the victim."""
        for daemon in self.alive():
            daemon.down.pop(victim.id, None)
        begun = time.time()
        victim.process.send_signal(number)
        victim.is_dead = True
        self.wait(lambda: all(victim.id in daemon.down for daemon in self.alive()), patience_s,
                  f"{victim.name} dropped by all")
        seconds = max(daemon.down[victim.id] for daemon in self.alive()) - begun
        if number != signal.SIGKILL:
            victim.process.kill()
        return seconds

    def cpu_s(self):
        return sum(daemon.cpu_s() for daemon in self.alive())
