# SPDX-License-Identifier: Apache-2.0
"""Row M10: broadcasts among many processes that embed a node (bench_broadcast.c).

All join one seed at once. As soon as each of them reaches all others, 31 broadcasts go out, each from
another node, with a short pause between; after some settling 31 more. The figure is the median over
broadcasts of the time to the last of the receivers. A broadcast that one of them never got, or got
twice, is counted.
"""
import re
import secrets
import statistics
import subprocess
import tempfile
import time

BROADCASTS = 31
PAUSE_S = 0.05
FORM_PATIENCE_S = 60
SETTLE_S = 10
STRAGGLERS_S = 3
GOT = re.compile(r"^got (\d+) (\d+)$", re.M)


class Node:
    def __init__(self, program, name, secret, seed=None):
        self.out = tempfile.TemporaryFile("w+")
        argv = [program, name, secret, "127.0.0.1:0"] + ([seed] if seed else [])
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=self.out, text=True)

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def said(self):
        self.out.seek(0)
        return self.out.read()

    def wait(self, pattern, patience_s):
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            match = re.search(pattern, self.said(), re.M)
            if match:
                return match
            time.sleep(0.002)
        raise OSError(f"a node did not say {pattern!r} in {patience_s} s")

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.out.close()


def send_all(nodes, first):
    for number in range(first, first + BROADCASTS):
        nodes[number * 7 % len(nodes)].tell(f"send {number}")
        time.sleep(PAUSE_S)
    time.sleep(STRAGGLERS_S)


def judge(nodes, first):
    """(time to the last in ms, how many missed somebody, how many came twice to somebody)"""
    times = {number: [] for number in range(first, first + BROADCASTS)}
    for node in nodes:
        for number, latency_us in GOT.findall(node.said()):
            if int(number) in times:
                times[int(number)].append(int(latency_us) / 1000)
    full = len(nodes) - 1
    last_ms = statistics.median(max(got) for got in times.values() if got)
    return (last_ms, sum(len(got) < full for got in times.values()),
            sum(len(got) > full for got in times.values()))


def run(nodes, program, count):
    secret = secrets.token_hex(32)
    nodes.append(Node(program, "n0", secret))
    seed = nodes[0].wait(r"^listening (\S+)$", 10)[1]
    nodes += [Node(program, f"n{i}", secret, seed) for i in range(1, count)]
    for node in nodes:
        node.tell(f"form {count - 1}")
    for node in nodes:
        node.wait("^formed$", FORM_PATIENCE_S)
    send_all(nodes, 0)
    time.sleep(SETTLE_S)
    send_all(nodes, BROADCASTS)
    first_ms, missed, repeated = judge(nodes, 0)
    last_ms, missed_later, repeated_later = judge(nodes, BROADCASTS)
    return {"ms": last_ms, "missed": missed + missed_later,
            "repeated": repeated + repeated_later, "first_ms": first_ms}


def measure_broadcast(program, count):
    nodes = []
    try:
        return run(nodes, program, count)
    finally:
        for node in nodes:
            node.stop()
