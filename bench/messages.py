# SPDX-License-Identifier: Apache-2.0
"""Messages between two programs that embed a node (bench_messages.c): rows M11 and M12.

  M11   A sends B as many messages as are taken, 100 bytes and 16 KB each: how many B has a second,
        and the CPU seconds of both for a GB, or for a million
  M12   one message there and one back: the median, direct and over a relay (weftd)

As root A, R and B are network namespaces joined by veth pairs; else all is on loopback.
"""
import argparse
import os
import secrets
import select
import subprocess
import sys
import time

from places import Missed, Places, cpu_s
from report import Figure, Load, print_table, write_json

FIGURES = {
    "small": Figure("M11", "messages of 100 bytes a second, A-B", "/s", 1000000, is_floor=True),
    "small.cpu": Figure("M11", "CPU of both for a million of them", "s"),
    "large": Figure("M11", "messages of 16 KB a second, A-B", "/s", 60000, is_floor=True),
    "large.cpu": Figure("M11", "CPU of both for a GB of them", "s"),
    "direct": Figure("M12", "there and back, A-B, median", "us", 40),
    "relayed": Figure("M12", "there and back, A-R-B, median", "us", 80),
}
FLOODS = {"small": (1000000, 100), "large": (60000, 16384)}
PINGS = 20000
PATIENCE_S = 60


class Node:
    def __init__(self, places, place, argv):
        self.process = subprocess.Popen(places.argv(place, argv), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        places.processes.append(self.process)

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def answer(self, verb):
        if not select.select([self.process.stdout], [], [], PATIENCE_S)[0]:
            raise Missed(f"a node did not say {verb} in {PATIENCE_S} s")
        line = self.process.stdout.readline().split()
        if not line or line[0] != verb:
            raise Missed(f"a node said {line} and not {verb}")
        return line[1:]

    def ask(self, line):
        self.tell(line)
        return self.answer(line.split()[0])


def relay(places, options, secret):
    """weftd between A and B; where each of them finds it."""
    path = os.path.join(places.folder, "secret")
    state = os.path.join(places.folder, "relay-" + secrets.token_hex(4))
    with open(path, "w") as file:
        file.write(secret + "\n")
    os.chmod(path, 0o600)
    os.mkdir(state, 0o700)
    listens = {place: f"{places.address('r1', place)}:{places.port()}" for place in ("a", "b")}
    argv = [options.weftd, "--name", "r", "--state", state, "--secret-file", path]
    for listen in listens.values():
        argv += ["--listen", listen]
    return places.start("r1", argv), listens


def pair(places, options, is_relayed):
    """(A, what to stop), A reaching B."""
    secret = secrets.token_hex(32)
    stop = []
    seeds = {}
    if is_relayed:
        daemon, seeds = relay(places, options, secret)
        stop.append(daemon)
    at = "127.0.0.1:0" if is_relayed else f"{places.address('b', 'a')}:{places.port()}"
    argv = [options.program, "b", secret, at]
    b = Node(places, "b", argv + ([seeds["b"]] if seeds else []))
    a = Node(places, "a", [options.program, "a", secret, "127.0.0.1:0",
                           seeds["a"] if seeds else b.answer("listening")[0]])
    a.answer("listening")
    a.ask("peer b")
    return a, stop + [a.process, b.process]


def flood(a, processes, key):
    count, size = FLOODS[key]
    a.ask(f"flood {count // 20} {size}")  # warms what a session needs
    before = cpu_s([process.pid for process in processes])
    received, us = a.ask(f"flood {count} {size}")
    spent = cpu_s([process.pid for process in processes]) - before
    if int(received) < count:
        raise Missed(f"{received} of {count} messages came")
    FIGURES[key].values.append(count / (float(us) / 1e6))
    FIGURES[key + ".cpu"].values.append(spent / (count / 1e6 if size < 1000 else count * size / 1e9))


def one_pass(places, options):
    for key in ("direct", "relayed"):
        a, processes = pair(places, options, key == "relayed")
        try:
            a.ask(f"ping {PINGS // 20} 100")
            FIGURES[key].values.append(float(a.ask(f"ping {PINGS} 100")[0]))
            for name in FLOODS if key == "direct" else ():
                flood(a, processes, name)
        except (Missed, OSError) as error:
            FIGURES[key].failures.append(str(error)[:300])
        finally:
            places.stop(processes)


def main(argv):
    parser = argparse.ArgumentParser(prog="bench messages", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="passes; 3 by default")
    parser.add_argument("--json", default="build/bench/messages.json", help="where to write it")
    parser.add_argument("--prefix", default="weft-messages", help="begins the namespaces' names")
    parser.add_argument("--bin", default="build/release/bin", help="the programs to measure")
    options = parser.parse_args(argv)
    options.weftd = os.path.abspath(os.path.join(options.bin, "weftd"))
    options.program = os.path.abspath(os.path.join(options.bin, "bench_messages"))
    load, begun = Load(), time.process_time()
    with Places(options.prefix) as places:
        for _ in range(options.runs):
            one_pass(places, options)
    figures = list(FIGURES.values())
    print_table(figures)
    others = load.others(time.process_time() - begun)
    print(f"work of all on this machine meanwhile: {others:.2f} of {os.cpu_count()} cores")
    write_json(options.json, figures, {"runs": options.runs, "apart": places.is_apart})
    return int(any(figure.verdict() == "FAILED" for figure in figures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
