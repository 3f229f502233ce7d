# SPDX-License-Identifier: Apache-2.0
"""Daemons on hosts of their own: network namespaces, joined by switches and routers that a test makes.

    switch("wan")                       a namespace with a bridge
    host("site-a", wan="10.9.0.2/24")   a namespace with a cable to each switch named
    host.daemon("--seed", ...)          a weftd in there; its control socket is in reach as ever
    router("r", wan, "10.9.0.9/24")     a network of its own behind NAT: (the router, its switch)
    delay(space, 10, {...})             a TCP relay in there that makes what goes through it late
    Flow(server_host, client_host, ...) numbered bytes through a forward, checked as they come

All of it goes with the test. Where namespaces cannot be made the tests are left out, and say so.
"""

import array
import contextlib
import ctypes
import os
import select
import socket
import subprocess
import threading
import time

import harness
import real
from harness import PATIENCE, WeftTest

CLONE_NEWNET = 0x40000000
PORT = 9338
DELAY_RELAY = os.environ.get("DELAY_RELAY", "delay_relay")
LIBC = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """This machine does not let us make what a test needs."""


def run(*command, text=None):
    done = subprocess.run(list(map(str, command)), input=text, text=True, capture_output=True,
                          check=False)  # fmt: skip
    if done.returncode != 0:
        raise Refused(f"{' '.join(map(str, command))}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


class Space:
    """A network namespace."""

    numbers = iter(range(1 << 30))

    def __init__(self, test, name):
        self.test = test
        self.name = name
        self.netns = f"hosts{os.getpid() % 100000}x{next(self.numbers)}"
        run("ip", "netns", "add", self.netns)
        test.addCleanup(subprocess.run, ["ip", "netns", "del", self.netns], check=False)
        self.ip("link set lo up")

    def ip(self, *lines):
        run("ip", "-n", self.netns, "-batch", "-", text="\n".join(lines) + "\n")

    def run(self, *command, text=None):
        return run("nsenter", f"--net=/run/netns/{self.netns}", *command, text=text)

    def sysctl(self, **values):
        """sysctl(ipv4__ip_forward=1): below /proc/sys/net."""
        for key, value in values.items():
            path = "/proc/sys/net/" + key.replace("__", "/")
            self.run("sh", "-c", f"echo {value} > {path}")

    def filter(self, *rules, table="filter", program="iptables"):
        """These rules and no others, all at once."""
        self.run(f"{program}-restore", text=f"*{table}\n" + "\n".join(rules) + "\nCOMMIT\n")

    @contextlib.contextmanager
    def entered(self):
        """The calling thread is in there; sockets that it makes stay there."""
        with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{self.netns}") as there:
            if LIBC.setns(there.fileno(), CLONE_NEWNET) != 0:
                raise Refused(f"setns: {os.strerror(ctypes.get_errno())}")
            try:
                yield
            finally:
                LIBC.setns(home.fileno(), CLONE_NEWNET)

    def connect(self, host, port):
        with self.entered():
            return socket.create_connection((host, port), PATIENCE)

    def listen(self, host="127.0.0.1", port=0):
        with self.entered():
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            return socket.create_server((host, port), family=family, backlog=128)


class HostNode(harness.Node):
    def __init__(self, host, *flags, **options):
        self.host = host
        super().__init__(host.test, host.name, *flags, **options)

    def command(self):
        return ["nsenter", f"--net=/run/netns/{self.host.netns}", *self.host.limits,
                *super().command()]  # fmt: skip


class Host(Space):
    """A machine: a space that runs a daemon."""

    def __init__(self, test, name):
        super().__init__(test, name)
        self.node = None
        self.limits = []  # a command that runs the daemon within limits

    def daemon(self, *flags, **options):
        """Starts its daemon, in the mesh of the test."""
        options.setdefault("listen", f":{PORT}")
        options.setdefault("secret", self.test.secret)
        self.node = HostNode(self, *flags, **options)
        return self.node.start()


class HostTest(WeftTest):
    secret = "c0ffee" + "00" * 29 + "\n"

    def setUp(self):
        super().setUp()
        if os.geteuid() != 0:
            self.skipTest("only root can make network namespaces")
        try:
            probe = Space(self, "probe")
            probe.filter()
        except (Refused, FileNotFoundError) as reason:
            self.skipTest(str(reason))

    def switch(self, name):
        space = Space(self, name)
        space.ip("link add name bridge type bridge", "link set bridge up")
        return space

    def plug(self, space, switch, address, device):
        """A cable from the space to the switch."""
        far = f"c{next(Space.numbers)}"
        switch.ip(f"link add {far} type veth peer name {device} netns {space.netns}",
                  f"link set {far} master bridge up")  # fmt: skip
        nodad = " nodad" if ":" in address else ""
        space.ip(f"addr add {address} dev {device}{nodad}", f"link set {device} up")

    def host(self, name, **cables):
        """host("a", wan=(switch, "10.0.0.1/24", ...)): a device `wan` with these addresses."""
        host = Host(self, name)
        for device, (switch, *addresses) in cables.items():
            self.plug(host, switch, addresses[0], device)
            for address in addresses[1:]:
                nodad = " nodad" if ":" in address else ""
                host.ip(f"addr add {address} dev {device}{nodad}")
        return host

    def router(self, name, wan, public):
        """A router of the address `public`, and behind it 192.168.1.0/24: (the router, its switch)."""
        router = Space(self, name)
        self.plug(router, wan, public, "wan")
        lan = self.switch(f"{name}-lan")
        self.plug(router, lan, "192.168.1.1/24", "lan")
        router.sysctl(ipv4__ip_forward=1)
        router.filter("-A POSTROUTING -o wan -j MASQUERADE", table="nat")
        # As routers sold in shops: nobody from outside, and no connection that it does not know.
        router.filter(
            "-A FORWARD -i wan -m conntrack --ctstate ESTABLISHED -j ACCEPT",
            "-A FORWARD -i lan -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT",
            "-A FORWARD -j DROP",
        )
        router.sysctl(netfilter__nf_conntrack_tcp_loose=0)
        return router, lan

    def behind(self, lan, name, number=2):
        """A host in the network of a router."""
        host = self.host(name, lan=(lan, f"192.168.1.{number}/24"))
        host.ip("route add default via 192.168.1.1")
        return host

    def delay(self, space, millis, routes):
        """Until the end of the test, in that space: {where it listens: where that leads}, late."""
        command = ["nsenter", f"--net=/run/netns/{space.netns}", DELAY_RELAY, str(1000 * millis),
                   "0", str(1 << 20), *(f"{near}={far}" for near, far in routes.items())]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

        def end():
            process.kill()
            process.wait()
            process.stdout.close()

        self.addCleanup(end)
        self.assertEqual(process.stdout.readline(), "ready\n")

    def triangle(self, *flags):
        """Two sites that only dial two relays, all in one network; `web` is offered at site-b."""
        self.wan = self.switch("wan")
        self.relays = [self.host(f"relay-{n}", wan=(self.wan, f"10.9.0.{n}/24")) for n in (1, 2)]
        self.relays[0].daemon(*flags)
        self.relays[1].daemon("--seed", f"10.9.0.1:{PORT}", *flags)
        self.b = self.host("site-b", wan=(self.wan, "10.9.0.12/24"))
        self.a = self.host("site-a", wan=(self.wan, "10.9.0.11/24"))
        seeds = ["--seed", f"10.9.0.1:{PORT}", "--seed", f"10.9.0.2:{PORT}", "--discovery", "off"]
        self.source = self.b.listen()
        self.b.daemon("--service", f"web=127.0.0.1:{self.source.getsockname()[1]}", *seeds, *flags)
        self.a.daemon("--forward", "web=0", *seeds, *flags)
        for site in (self.a, self.b):
            site.node.wait_links(2)
        self.a.node.wait_service("web")

    def flow(self):
        """Starts numbered bytes from the service at site-b to a client at site-a."""
        flow = Flow(self, self.source, self.a, self.a.node.forward_address("web"))
        flow.wait_more()
        return flow

    def relay_on_path(self):
        """Where site-a sends what goes to site-b."""
        path = self.a.node.api("POST", "/v1/trace", {"target": "site-b"})["path"]
        return next(relay for relay in self.relays if relay.name == path[1]["name"])

    def other(self, relay):
        return next(r for r in self.relays if r is not relay)


class Flow:
    """A server that sends 8-byte numbers, 2 MB/s, and a client that finds each in its place."""

    WORDS = 1024  # a piece
    RATE = 2_000_000
    SO_MAX_PACING_RATE = 47  # linux/socket.h; the kernel then sends no faster

    def __init__(self, test, listener, client_host, forward):
        self.test = test
        self.listener = listener
        self.received = 0  # bytes that were right
        self.moved = threading.Condition()
        self.problem = None
        self.is_over = False
        self.longest = 0.0  # the longest pause
        self.threads = [threading.Thread(target=self.send), threading.Thread(target=self.receive)]
        host, port = forward.rsplit(":", 1)
        self.client = client_host.connect(host, int(port))
        test.addCleanup(self.end)
        for thread in self.threads:
            thread.start()

    def send(self):
        with contextlib.suppress(OSError):
            self.listener.settimeout(PATIENCE)
            connection, _ = self.listener.accept()
            with connection:
                connection.setsockopt(socket.SOL_SOCKET, self.SO_MAX_PACING_RATE, self.RATE)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
                number = 0
                while not self.is_over:
                    connection.sendall(array.array("Q", range(number, number + self.WORDS)))
                    number += self.WORDS

    def receive(self):
        left, number, last = b"", 0, time.monotonic()
        while not self.is_over:
            try:
                ready, _, _ = select.select([self.client], [], [], 0.2)
                data = self.client.recv(1 << 16) if ready else None
            except OSError as error:
                data, self.problem = b"", f"{error}"
            if data is None:
                continue
            if not data:
                self.problem = self.problem or "the stream ended"
                break
            now = time.monotonic()
            self.longest = max(self.longest, now - last)
            last = now
            left += data
            words = len(left) // 8
            if left[: words * 8] != array.array("Q", range(number, number + words)).tobytes():
                self.problem = f"wrong bytes behind {number * 8}"
                break
            left, number = left[words * 8 :], number + words
            with self.moved:
                self.received += len(data)
                self.moved.notify_all()
        with self.moved:
            self.moved.notify_all()

    def wait_more(self, more=200_000):
        """Until so many bytes more have come; how long that took."""
        begun = time.monotonic()
        with self.moved:
            wanted = self.received + more
            if not self.moved.wait_for(lambda: self.problem or self.received >= wanted, PATIENCE):
                raise AssertionError(f"the stream stands still at {self.received} bytes")
        if self.problem:
            raise AssertionError(f"{self.problem} after {self.received} bytes")
        return time.monotonic() - begun

    def end(self):
        self.is_over = True
        with contextlib.suppress(OSError):
            self.client.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(PATIENCE)
        self.client.close()


measured = real.report
