# SPDX-License-Identifier: Apache-2.0
"""The real side: weftd processes in namespaces, watched through the log that each writes."""

import calendar
import json
import pathlib
import re
import signal
import socket
import subprocess
import tempfile
import time

from cases import QUIET_S, SETTLE_S, fault_at
from network import Network
from views import Word, right_since

PATIENCE_S = 30
POLL_S = 0.03  # of the logs: enters no figure, for lines have stamps
LINKS_POLL_S = 0.003  # enters the figures of cases that see links
LINE = re.compile(
    r"^(\S+)\.(\d{3})Z info (?:(peer-up|peer-down) .*?|(started) .*?)\bid=(\w+)", re.M
)


class Missed(Exception):
    """What was waited for did not come."""


class Daemon:
    def __init__(self, network, node, weftd, folder):
        self.network, self.node, self.weftd = network, node, weftd
        self.state = folder / f"n{node}"
        self.state.mkdir(mode=0o700)
        self.log = folder / f"n{node}.log"
        self.out = folder / f"n{node}.out"
        self.config = folder / f"n{node}.yaml"
        self.secret = folder / "secret"
        self.id = None
        self.process = None

    def configure(self, seeds):
        case = self.network.case
        self.config.write_text(
            f'name: node-{self.node}\nlisten: ["{self.network.listen(self.node)}"]\n'
            f"state: {self.state}\nsecret_file: {self.secret}\nheartbeat: {case.heartbeat}\n"
            f"discovery: {'on' if case.discovery else 'off'}\n"
            + (f"seeds: [{', '.join(map(repr, seeds))}]\n" if seeds else "")
        )

    def spawn(self):
        with open(self.log, "ab") as log, open(self.out, "wb") as out:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", self.network.space(self.node), self.weftd, "--config",
                 str(self.config)], stdin=subprocess.DEVNULL, stdout=out, stderr=log)  # fmt: skip

    def is_ready(self):
        """Whether signals do what they should; started, it says a moment later that it is."""
        return self.id is not None and "\n" in self.out.read_text()

    def end(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        if self.process is not None:
            self.process.wait()

    def links(self):
        """{link as a set of two ids: its costs}, as the daemon knows them."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(PATIENCE_S)
            control.connect(str(self.state / "control.sock"))
            control.sendall(b"GET /v1/topology HTTP/1.1\r\nHost: weft\r\nConnection: close\r\n\r\n")
            answer = b"".join(iter(lambda: control.recv(65536), b""))
        rows = json.loads(answer.partition(b"\r\n\r\n")[2])["links"]
        return {frozenset((row["a"], row["b"])): (row["cost_ab_ms"], row["cost_ba_ms"])
                for row in rows}  # fmt: skip

    def words(self):
        out = []
        for day, millis, reach, started, peer in LINE.findall(self.log.read_text()):
            at = calendar.timegm(time.strptime(day, "%Y-%m-%dT%H:%M:%S")) + int(millis) / 1000
            out.append(Word(at, self.node, reach or started, "" if started else peer))
            self.id = peer if started else self.id
        return out


class Mesh:
    def __init__(self, case, programs, folder):
        self.case = case
        self.network = Network(case, programs["delay_relay"])
        self.programs, self.folder = programs, pathlib.Path(folder)
        self.daemons = []

    def __enter__(self):
        self.network.__enter__()
        return self

    def __exit__(self, *_):
        for daemon in self.daemons:
            daemon.end()
        self.network.__exit__()

    def start(self):
        """All listen, none dials yet."""
        secret = self.folder / "secret"
        secret.touch(mode=0o600)
        secret.write_bytes(subprocess.check_output([self.programs["weft"], "secret"]))
        for node in range(self.case.nodes):
            daemon = Daemon(self.network, node, self.programs["weftd"], self.folder)
            daemon.configure([])
            daemon.spawn()
            self.daemons.append(daemon)
        self.wait(lambda _: all(daemon.is_ready() for daemon in self.daemons), "all are ready")

    def join(self):
        """All dial at once; when."""
        for daemon in self.daemons:
            daemon.configure([self.network.seed(index)
                              for index, (a, _) in enumerate(self.case.edges) if a == daemon.node])  # fmt: skip
        now = time.time()
        for daemon in self.daemons:
            daemon.process.send_signal(signal.SIGHUP)
        return now

    def words(self):
        return [word for daemon in self.daemons for word in daemon.words()]

    def wait(self, holds, what):
        deadline = time.monotonic() + PATIENCE_S
        while not holds(self.words()):
            if time.monotonic() > deadline:
                raise Missed(f"{self.case.title}: {what}: not within {PATIENCE_S} s")
            time.sleep(POLL_S)

    def expected(self, is_faulty):
        return {node: {self.daemons[peer].id for peer in peers}
                for node, peers in self.case.expected(is_faulty).items()}  # fmt: skip

    def wait_right(self, is_faulty, begin, what):
        """Until all are right and stay so for a while; how long it took them."""
        expected = self.expected(is_faulty)
        right = None

        def is_over(words):
            nonlocal right
            now = time.time()
            right = right_since(words, expected, begin, now)
            return right is not None and now - right >= SETTLE_S

        self.wait(is_over, what)
        return max(right - begin, 0.0)

    def wait_links(self, begin, what):
        """Until all know exactly the links that are left, at the same costs; how long it took. Asks
        whoever was wrong last until it is right, as the simulator does."""
        ids = [daemon.id for daemon in self.daemons]
        expected = {frozenset(ids[node] for node in link) for link in self.case.links()}
        at, agreed, first = 0, 0, None
        deadline = time.monotonic() + PATIENCE_S
        while agreed < len(ids):
            links = self.daemons[at].links()
            if links.keys() == expected and (agreed == 0 or links == first):
                first, agreed, at = links, agreed + 1, (at + 1) % len(ids)
                continue
            agreed = 0
            if time.monotonic() > deadline:
                raise Missed(f"{self.case.title}: {what}: not within {PATIENCE_S} s")
            time.sleep(LINKS_POLL_S)
        return time.time() - begin

    def begin_fault(self):
        victims = [self.daemons[node] for node in self.case.who]
        numbers = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "leave": signal.SIGTERM}
        if self.case.fault == "cut":
            self.network.cut()
            return time.time()
        now = time.time()
        for victim in victims:
            victim.process.send_signal(numbers[self.case.fault])
        return now

    def end_fault(self):
        victims = [self.daemons[node] for node in self.case.who]
        if self.case.fault == "cut":
            self.network.heal()
            return time.time()
        if self.case.fault == "stop":
            now = time.time()
            for victim in victims:
                victim.process.send_signal(signal.SIGCONT)
            return now
        return self.restart(victims)

    def restart(self, victims):
        """When the last of them listened again: a process takes time to start, which the simulator
        does not play."""
        for victim in victims:
            victim.process.wait(PATIENCE_S)
            victim.spawn()
        begun = time.time()

        def started(words):
            return [word.at for word in words if word.kind == "started" and word.at > begun - 0.001]

        self.wait(lambda words: len(started(words)) == len(victims), "all listen again")
        return max(started(self.words()))


def sleep_until(at):
    time.sleep(max(at - time.time(), 0))


def play(mesh, number):
    mesh.start()
    begun = mesh.join()
    times = [mesh.wait_right(False, begun, "form")]
    sleep_until(begun + times[0] + QUIET_S + fault_at(number))
    begun = mesh.begin_fault()
    if mesh.case.sees == "links":
        return [*times, mesh.wait_links(begun, mesh.case.events[1])]
    times.append(mesh.wait_right(True, begun, mesh.case.events[1]))
    sleep_until(begun + mesh.case.span_s)
    begun = mesh.end_fault()
    times.append(mesh.wait_right(False, begun, mesh.case.events[2]))
    return times


def run(programs, case, number):
    """The times of one run."""
    with tempfile.TemporaryDirectory(prefix="weft-compare-") as folder:
        with Mesh(case, programs, folder) as mesh:
            return play(mesh, number)
