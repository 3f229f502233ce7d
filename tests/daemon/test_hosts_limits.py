#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hosts of their own with little of something: descriptors, memory. The daemon refuses or waits; it does not
fall over, and what it has already goes on."""

import contextlib
import os
import pathlib
import select
import threading
import time

from hosts import PORT, Flow, HostTest, Space, harness, measured

MEBIBYTE = 1 << 20


class Descriptors(HostTest):
    def test_without_descriptors_it_goes_on_and_recovers(self):
        wan = self.switch("wan")
        b = self.host("b", wan=(wan, "10.9.0.2/24"))
        b.limits = ["prlimit", "--nofile=48:48"]
        source = b.listen()
        a = self.host("a", wan=(wan, "10.9.0.1/24"))
        a.daemon("--forward", "web=0")
        web = f"web=127.0.0.1:{source.getsockname()[1]}"
        b.daemon("--seed", f"10.9.0.1:{PORT}", "--service", web, "--http", "127.0.0.1:0")
        a.node.wait_service("web")
        flow = Flow(self, source, a, a.node.forward_address("web"))
        flow.wait_more()
        with b.node.events() as events, contextlib.ExitStack() as crowd:
            for _ in range(100):
                crowd.enter_context(a.connect("10.9.0.2", PORT))
            events.settimeout(harness.PATIENCE)
            said = b""
            while b'"event":"accept-paused"' not in said:
                said += events.recv(65536)
            flow.wait_more(2_000_000)  # the link and the stream are not affected
        c = self.host("c", wan=(wan, "10.9.0.3/24"))
        c.daemon("--seed", f"10.9.0.2:{PORT}", "--discovery", "off")
        c.node.wait_reach("a", "b")  # and newcomers are let in again
        flow.wait_more()
        self.assertIsNone(flow.problem)
        self.assertEqual(a.node.get("links")[0]["direction"], "in")
        self.assertNotIn("link-down", b.node.log())


class Cgroup:
    """A memory limit for what is started under it: version 2 where the machine has it, else 1."""

    def __init__(self, test, limit):
        self.test = test
        root = pathlib.Path("/sys/fs/cgroup")
        is_one = (root / "memory/cgroup.procs").exists()
        name = f"weft-hosts-{os.getpid()}-{next(Space.numbers)}"
        self.folder = (root / "memory" if is_one else root) / name
        self.kills = self.folder / ("memory.oom_control" if is_one else "memory.events")
        try:
            self.folder.mkdir()
            test.addCleanup(self.remove)
            file = "memory.limit_in_bytes" if is_one else "memory.max"
            (self.folder / file).write_text(str(limit))
        except OSError as error:
            test.skipTest(f"no memory cgroup can be made here: {error}")
        self.command = ["sh", "-c", f'echo $$ >{self.folder}/cgroup.procs; exec "$@"', "sh"]

    def remove(self):
        for node in self.test.processes:
            node.end()  # a group with a process in it stays
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def killed(self):
        """How often the kernel killed somebody for want of memory."""
        for line in self.kills.read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
        return 0


class Memory(HostTest):
    LIMIT = 48 * MEBIBYTE
    READERS = 64

    def endless(self, listener):
        """Sends to whoever connects, as much as they take."""

        def feed(connection):
            with contextlib.suppress(OSError), connection:
                while True:
                    connection.sendall(bytes(1 << 16))

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=feed, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        self.addCleanup(listener.close)

    def test_stalled_readers_fit_into_a_small_machine(self):
        """Readers that stop, and a service that does not: what both daemons keep for them stays
        within what their cgroups allow, and one more reader is served."""
        wan = self.switch("wan")
        b = self.host("b", wan=(wan, "10.9.0.2/24"))
        a = self.host("a", wan=(wan, "10.9.0.1/24"))
        groups = [Cgroup(self, self.LIMIT), Cgroup(self, self.LIMIT)]
        a.limits, b.limits = (group.command for group in groups)
        listener, good = b.listen(), b.listen()
        self.endless(listener)
        a.daemon("--forward", "flood=0", "--forward", "web=0")
        flood = f"flood=127.0.0.1:{listener.getsockname()[1]}"
        web = f"web=127.0.0.1:{good.getsockname()[1]}"
        b.daemon("--seed", f"10.9.0.1:{PORT}", "--service", flood, "--service", web)
        a.node.wait_service("flood")
        a.node.wait_service("web")
        host, port = a.node.forward_address("flood").rsplit(":", 1)
        with contextlib.ExitStack() as readers:
            for _ in range(self.READERS):
                reader = readers.enter_context(a.connect(host, int(port)))
                self.assertTrue(reader.recv(1))
            self.wait_full(a, b)
            flow = Flow(self, good, a, a.node.forward_address("web"))
            flow.wait_more()
            rss = {h.name: h.node.get("status")["rss_bytes"] / MEBIBYTE for h in (a, b)}
            measured(", ".join(f"{name}: {size:.0f} MiB" for name, size in rss.items()))
        for host in (a, b):
            self.assertIsNone(host.node.process.poll(), host.node.log())
        self.assertEqual([group.killed() for group in groups], [0, 0])

    def wait_full(self, *hosts):
        """Until their memory has not grown for a second."""
        last, since = None, time.monotonic()
        deadline = since + harness.PATIENCE
        while time.monotonic() - since < 1:
            sizes = [host.node.get("status")["rss_bytes"] // MEBIBYTE for host in hosts]
            if sizes != last:
                last, since = sizes, time.monotonic()
            self.assertLess(time.monotonic(), deadline, f"it grows and grows: {sizes}")
            select.select([], [], [], 0.1)


if __name__ == "__main__":
    harness.main()
