#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Several daemons of one machine share the port of a forward: all of them carry, and one that dies
leaves its share to the others."""

import contextlib
import socket
import socketserver

import harness
from harness import PATIENCE, WeftTest
from test_udp import TIMEOUT, Server, place

CONNECTIONS = 40
FEWEST = 3  # of 40 to one of two: the kernel deals them out by chance


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(1 << 16):
            self.request.sendall(data)


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class SharedPorts(WeftTest):
    def ends(self, service, behind, *flags):
        """Two daemons that offer the service and two that lead to it; the port."""
        port = free_port(socket.SOCK_DGRAM if service.endswith("/udp") else socket.SOCK_STREAM)
        first = self.node("far-1", "--service", f"{service}={behind}")
        self.far = [first, self.join("far-2", first, "--service", f"{service}={behind}")]
        self.near = [
            self.join(f"near-{number}", first, "--forward", f"{service}={port}", *flags)
            for number in (1, 2)
        ]
        for node in self.near:
            node.wait(lambda node=node: self.knows_both(node), "both who offer it")
        return port

    @staticmethod
    def knows_both(node):
        return any(
            sum(endpoint["state"] == "fresh" for endpoint in service["endpoints"]) == 2
            for service in node.get("services")
        )

    def ask(self, port):
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
            client.sendall(b"question")
            self.assertEqual(client.recv(100), b"question")

    def opened(self, nodes):
        return [node.get("status")["streams"]["opened"] for node in nodes]

    def test_all_carry_connections_and_who_is_left_all(self):
        port = self.ends("echo", self.serve(Echo), "--share-ports", "on")
        for _ in range(CONNECTIONS):
            self.ask(port)
        near = self.opened(self.near)
        self.assertEqual(sum(near), CONNECTIONS)
        self.assertGreaterEqual(min(near), FEWEST)
        self.assertEqual(sum(self.opened(self.far)), CONNECTIONS)
        self.near[0].kill()
        for _ in range(10):
            self.ask(port)

    def test_all_carry_datagrams_each_senders_by_one(self):
        server = Server(self)
        port = self.ends("echo/udp", server.address, "--share-ports", "on")
        with contextlib.ExitStack() as stack:  # open to the end: each has a port of its own
            for number in range(CONNECTIONS):
                client = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                client.settimeout(TIMEOUT)
                client.connect(("127.0.0.1", port))
                for turn in range(2):
                    client.send(b"%d %d" % (number, turn))
                    self.assertEqual(client.recv(100), b"%d %d" % (number, turn))
        self.assertEqual(len(server.sources), CONNECTIONS)
        flows = [node.get("status")["datagrams"]["opened"] for node in self.near]
        self.assertEqual(sum(flows), CONNECTIONS)
        self.assertGreaterEqual(min(flows), FEWEST)

    def test_nobody_shares_who_was_not_told_to(self):
        port = self.ends("echo", self.serve(Echo))
        host, bound = self.near[0].forward_address("echo").rsplit(":", 1)
        self.assertEqual(int(bound), port)
        (forward,) = self.near[1].get("forwards")
        self.assertIn("in use", forward["error"])


if __name__ == "__main__":
    harness.main()
