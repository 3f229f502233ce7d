# SPDX-License-Identifier: Apache-2.0
"""A network of namespaces: one for each node, and a router between them that may be told to drop.

    node 0 --- 10.77.0.0/24 --- router --- 10.77.1.0/24 --- node 1
                                  |
                          delay_relay, where links are long

A cut is one iptables-restore in the router: all of it at once, and no node can tell.
"""

import os
import subprocess

PORT = 9338
RELAY_PORT = 20000
RELAY_BUFFER = 256 * 1024  # as the simulator's links


def ip(*words, text=None):
    done = subprocess.run(["ip", *words], input=text, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")


class Network:
    """Use it in a `with`: it leaves nothing behind."""

    numbers = iter(range(1 << 30))

    def __init__(self, case, relay_program):
        self.case = case
        self.prefix = f"wc{os.getpid() % 100000}x{next(self.numbers) % 1000}"
        self.router = f"{self.prefix}r"
        self.relay_program = relay_program
        self.relay = None
        self.made = []

    def __enter__(self):
        try:
            self.make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.relay is not None:
            self.relay.kill()
            self.relay.wait()
            self.relay.stdout.close()
        for name in self.made:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def space(self, node):
        return f"{self.prefix}n{node}"

    def add_space(self, name):
        ip("netns", "add", name)
        self.made.append(name)

    def make(self):
        nodes = range(self.case.nodes)
        for name in (self.router, *map(self.space, nodes)):
            self.add_space(name)
        ip("-batch", "-", text="".join(
            f"link add v{n} netns {self.router} type veth peer name out netns {self.space(n)}\n"
            for n in nodes))  # fmt: skip
        ip("-n", self.router, "-batch", "-", text="link set lo up\n" + "".join(
            f"addr add 10.77.{n}.1/24 dev v{n}\nlink set v{n} up\n" for n in nodes))  # fmt: skip
        for node in nodes:
            ip("-n", self.space(node), "-batch", "-", text=(
                f"link set lo up\naddr add 10.77.{node}.2/24 dev out\nlink set out up\n"
                f"route add default via 10.77.{node}.1\n"))  # fmt: skip
        self.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        if self.case.delay_ms > 0:
            self.start_relay()

    def run(self, *command, text=None):
        """A program in the router."""
        subprocess.run(["ip", "netns", "exec", self.router, *command], input=text, text=True,
                       check=True, capture_output=True)  # fmt: skip

    def start_relay(self):
        routes = [f"0.0.0.0:{RELAY_PORT + i}=10.77.{b}.2:{PORT}"
                  for i, (_, b) in enumerate(self.case.edges)]  # fmt: skip
        self.relay = subprocess.Popen(
            ["ip", "netns", "exec", self.router, self.relay_program,
             str(self.case.delay_ms * 1000), "0", str(RELAY_BUFFER), *routes],
            stdout=subprocess.PIPE)  # fmt: skip
        if self.relay.stdout.readline() != b"ready\n":
            raise OSError("the relay did not start")

    def listen(self, node):
        return f"10.77.{node}.2:{PORT}"

    def seed(self, index):
        """What the dialler of an edge is told."""
        a, b = self.case.edges[index]
        return f"10.77.{a}.1:{RELAY_PORT + index}" if self.case.delay_ms > 0 else self.listen(b)

    def rules(self):
        for index, (a, b) in enumerate(self.case.edges):
            if not self.case.is_cut(a, b):
                continue
            if self.case.delay_ms > 0:
                port = RELAY_PORT + index
                yield f"-A INPUT -p tcp -s 10.77.{a}.2 --dport {port} -j DROP"
                yield f"-A OUTPUT -p tcp -d 10.77.{a}.2 --sport {port} -j DROP"
            else:
                yield f"-A FORWARD -s 10.77.{a}.2 -d 10.77.{b}.2 -j DROP"
                yield f"-A FORWARD -s 10.77.{b}.2 -d 10.77.{a}.2 -j DROP"

    def cut(self):
        self.run("iptables-restore", text="*filter\n" + "\n".join(self.rules()) + "\nCOMMIT\n")

    def heal(self):
        self.run("iptables-restore", text="*filter\nCOMMIT\n")


def probe():
    """OSError where no network of this kind can be made."""
    name = f"wc{os.getpid() % 100000}probe"
    ip("netns", "add", name)
    try:
        done = subprocess.run(["ip", "netns", "exec", name, "iptables-restore"], check=False,
                              input="*filter\nCOMMIT\n", text=True, capture_output=True)  # fmt: skip
    finally:
        ip("netns", "del", name)
    if done.returncode != 0:
        raise OSError(f"iptables: {done.stderr.strip()}")
