#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Services over UDP are reached by name: DNS, QUIC-sized packets, many clients, and what refuses."""

import contextlib
import socket
import struct
import threading

import harness
from harness import ApiError, WeftTest, payload

LARGEST = 65366  # docs/protocol.md, section 10.1
TIMEOUT = 2.0  # of one try: datagrams may be lost, and then a client asks again


class Server:
    """A UDP service: answers with what `reply` makes of a datagram, and counts its clients."""

    def __init__(self, test, reply=lambda data: data, address="127.0.0.1"):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind((address, 0))
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        self.reply = reply
        self.sources = []
        self.got = 0
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        test.addCleanup(self.end)

    def run(self):
        while True:
            data, source = self.socket.recvfrom(65536)
            if data == b"stop the server":
                return
            self.got += 1
            if source not in self.sources:
                self.sources.append(source)
            answer = self.reply(data)
            if answer is not None:
                self.socket.sendto(answer, source)

    def end(self):
        if self.thread.is_alive():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                other.sendto(b"stop the server", self.socket.getsockname())
            self.thread.join()
        self.socket.close()


def dns_reply(query):
    """What a DNS server says to a question for an A record: 192.0.2.7."""
    answer = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04" + bytes([192, 0, 2, 7])
    return query[:2] + b"\x84\x00" + query[4:6] + b"\x00\x01\x00\x00\x00\x00" + query[12:] + answer


def dns_query(name, number):
    labels = b"".join(bytes([len(word)]) + word.encode() for word in name.split("."))
    head = struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0)
    return head + labels + b"\x00\x00\x01\x00\x01"


def place(address):
    host, port = address.rsplit(":", 1)
    return host, int(port)


class Udp(WeftTest):
    @contextlib.contextmanager
    def client(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            client.settimeout(TIMEOUT)
            yield client

    def ask(self, client, address, data, tries=10):
        """The answer, asked for as often as a client would."""
        for _ in range(tries):
            client.sendto(data, place(address))
            with contextlib.suppress(TimeoutError):
                return client.recv(65536)
        raise AssertionError(f"no answer from {address}")

    def pair(self, server, *flags):
        """A node that offers the server as echo over UDP, another with a forward; its address."""
        a = self.node("a", "--service", f"echo/udp={server.address}", *flags)
        b = self.join("b", a, "--forward", "echo/udp=0", *flags)
        b.wait_service("echo")
        return a, b, b.forward_address("echo")

    def test_a_name_is_resolved(self):
        server = Server(self, dns_reply)
        a = self.node("a", "--service", f"dns/udp={server.address}")
        b = self.join("b", a, "--forward", "dns/udp=0")
        row = b.wait_service("dns")
        self.assertEqual(row["protocol"], "udp")
        with self.client() as client:
            query = dns_query("web.example.org", 4711)
            answer = self.ask(client, b.forward_address("dns"), query)
        self.assertEqual(answer, dns_reply(query))

    def test_every_size_arrives_whole_or_not_at_all(self):
        server = Server(self)
        _, b, address = self.pair(server)
        with self.client() as client:
            for size in (0, 1, 512, 1200, 1252, 1452, 1472, 9000, LARGEST):
                data = payload(size)
                self.assertEqual(self.ask(client, address, data), data, f"{size} bytes")
            before = b.get("status")["datagrams"]["dropped"]
            client.sendto(payload(LARGEST + 1), place(address))
            b.wait(lambda: b.get("status")["datagrams"]["dropped"] > before, "a drop")
            self.assertEqual(self.ask(client, address, b"still there"), b"still there")

    def test_over_a_relay(self):
        server = Server(self)
        relay = self.node("r", "--discovery", "off")
        a = self.join("a", relay, "--discovery", "off", "--forward", "echo/udp=0")
        self.join("b", relay, "--discovery", "off", "--service", f"echo/udp={server.address}")
        a.wait_service("echo")
        data = payload(1452)
        with self.client() as client:
            self.assertEqual(self.ask(client, a.forward_address("echo"), data), data)
        self.assertGreater(relay.get("status")["forwarded"], 0)
        self.assertEqual(relay.get("status")["datagrams"]["flows"], 0)
        path = a.api("POST", "/v1/trace", {"target": "echo/udp"})["path"]
        self.assertEqual([hop["name"] for hop in path], ["a", "r", "b"])

    def test_another_relay_takes_over(self):
        server = Server(self)
        relays = [self.node("r1", "--discovery", "off")]
        relays.append(self.node("r2", "--discovery", "off", secret=relays[0].secret))
        sites = [
            self.join(name, relays[0], "--seed", relays[1].address, "--discovery", "off", *flags)
            for name, flags in (
                ("a", ("--forward", "echo/udp=0")),
                ("b", ("--service", f"echo/udp={server.address}")),
            )
        ]
        for site in sites:
            site.wait_links(2)
        sites[0].wait_service("echo")
        address = sites[0].forward_address("echo")
        with self.client() as client:
            self.assertEqual(self.ask(client, address, b"one"), b"one")
            path = sites[0].api("POST", "/v1/trace", {"target": "echo/udp"})["path"]
            {relay.name: relay for relay in relays}[path[1]["name"]].kill()
            self.assertEqual(self.ask(client, address, b"two"), b"two")
        self.assertEqual(len(server.sources), 1, "the same flow")

    def test_on_the_same_node(self):
        server = Server(self)
        a = self.node("a", "--service", f"echo/udp={server.address}", "--forward", "echo/udp=0")
        with self.client() as client:
            self.assertEqual(self.ask(client, a.forward_address("echo"), b"here"), b"here")

    def test_each_client_has_a_flow_of_its_own_and_keeps_it(self):
        server = Server(self)
        a, b, address = self.pair(server)
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(self.client()) for _ in range(20)]
            for round in range(3):
                for number, client in enumerate(clients):
                    data = b"client %d round %d" % (number, round)
                    self.assertEqual(self.ask(client, address, data), data)
        self.assertEqual(len(server.sources), 20)
        self.assertEqual(a.get("status")["datagrams"]["flows"], 20)
        row = b.get("forwards")[0]
        self.assertEqual((row["connections"], row["accepted"], row["failed"]), (20, 20, 0))
        self.assertEqual(row["protocol"], "udp")

    def test_bursts_arrive(self):
        server = Server(self)
        _, _, address = self.pair(server)
        got = set()
        with self.client() as client:
            self.ask(client, address, b"first")
            for burst in range(20):
                for number in range(16):
                    client.sendto(struct.pack(">HH", burst, number) + bytes(1200), place(address))
                for _ in range(16):
                    got.add(client.recv(65536)[:4])
        self.assertEqual(len(got), 320)

    def test_idle_flows_end(self):
        server = Server(self, lambda data: data if data != b"mute" else None)
        env = {"WEFT_UDP_IDLE": "3s", "WEFT_UDP_UNANSWERED": "1s"}
        a = self.node("a", "--service", f"echo/udp={server.address}", env=env)
        b = self.join("b", a, "--forward", "echo/udp=0", env=env)
        b.wait_service("echo")
        address = b.forward_address("echo")
        with self.client() as answered, self.client() as mute:
            self.ask(answered, address, b"hello")
            mute.sendto(b"mute", place(address))
            b.wait(lambda: b.get("forwards")[0]["accepted"] == 2, "both flows")
            b.wait(lambda: b.get("forwards")[0]["connections"] == 0, "both to end")
            a.wait(lambda: a.get("status")["datagrams"]["flows"] == 0, "no flow there either")
            self.assertEqual(self.ask(answered, address, b"again"), b"again")
        self.assertEqual(b.get("forwards")[0]["failed"], 0)

    def test_nothing_listens_there(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
        a = self.node("a", "--service", f"echo/udp=127.0.0.1:{port}")
        b = self.join("b", a, "--forward", "echo/udp=0")
        b.wait_service("echo")
        address = b.forward_address("echo")
        why = "its node cannot connect to it"
        with self.client() as client:
            client.sendto(b"anybody?", place(address))
            b.wait_event("forward-refused", service="default/echo", why=why)
            self.assertEqual(b.get("forwards")[0]["last_failure"], why)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as late:
                late.bind(("127.0.0.1", port))
                late.settimeout(harness.PATIENCE)
                client.sendto(b"now?", place(address))
                data, source = late.recvfrom(100)
                late.sendto(b"yes", source)
                self.assertEqual(client.recv(100), b"yes")
        self.assertEqual(data, b"now?")

    def test_the_next_endpoint_serves_when_one_refuses(self):
        server = Server(self)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
            closed.bind(("127.0.0.1", 0))
            dead = "127.0.0.1:%d" % closed.getsockname()[1]
        a = self.node(
            "a", "--service", f"echo/udp={dead}", "--service", f"echo/udp={server.address}"
        )
        b = self.join("b", a, "--forward", "echo/udp=0")
        b.wait_service("echo")
        with self.client() as client:
            self.assertEqual(self.ask(client, b.forward_address("echo"), b"x"), b"x")
        self.assertEqual(b.get("forwards")[0]["failed"], 0)

    def test_another_provider_takes_over(self):
        servers = {"b": Server(self), "c": Server(self)}
        a = self.node("a", "--forward", "echo/udp=0")
        nodes = {
            name: self.join(name, a, "--service", f"echo/udp={server.address}")
            for name, server in servers.items()
        }
        a.wait(lambda: len(a.wait_service("echo")["endpoints"]) == 2, "both providers")
        address = a.forward_address("echo")
        with self.client() as client:
            self.ask(client, address, b"one")
            first = "b" if servers["b"].got else "c"
            second = "c" if first == "b" else "b"
            nodes[first].kill()
            self.assertEqual(self.ask(client, address, b"two"), b"two")
        self.assertGreater(servers[second].got, 0)

    def test_tcp_and_udp_share_a_name(self):
        server = Server(self)
        a = self.node(
            "a",
            "--service", f"dns={self.http_service(b'over tcp')}",
            "--service", f"dns/udp={server.address}",
        )  # fmt: skip
        b = self.join("b", a, "--forward", "dns=0", "--forward", "dns/udp=0")
        b.wait(lambda: len(b.get("services")) == 2, "both services")
        addresses = {row["protocol"]: row["address"] for row in b.get("forwards")}
        self.assertEqual(self.fetch(addresses["tcp"]), b"over tcp")
        with self.client() as client:
            self.assertEqual(self.ask(client, addresses["udp"], b"over udp"), b"over udp")
        a.api("DELETE", "/v1/services/dns")
        a.api("POST", "/v1/services", {"name": "other/udp", "endpoint": "127.0.0.1:9"})
        b.wait(
            lambda: {(row["name"], row["protocol"]) for row in b.get("services")}
            == {("dns", "udp"), ("other", "udp")},
            "one to go and one to come",
        )

    def test_what_was_added_survives_a_restart(self):
        server = Server(self)
        a = self.node("a")
        added = a.api("POST", "/v1/services", {"name": "echo/udp", "endpoint": server.address})
        self.assertEqual((added["name"], added["protocol"]), ("echo", "udp"))
        made = a.api("POST", "/v1/forwards", {"service": "echo/udp"})
        self.assertEqual(a.stop(), 0)
        a.start()
        self.assertEqual(a.forward_address("echo"), made["address"])
        with self.client() as client:
            self.assertEqual(self.ask(client, made["address"], b"x"), b"x")
        a.api("DELETE", "/v1/forwards/echo%2Fudp")
        a.api("DELETE", "/v1/services/echo%2Fudp")
        self.assertEqual((a.get("services"), a.get("forwards")), ([], []))
        with self.assertRaises(ApiError):
            a.api("DELETE", "/v1/services/echo%2Fudp")
        self.assertEqual(a.stop(), 0)
        a.start()
        self.assertEqual((a.get("services"), a.get("forwards")), ([], []))

    def test_the_answer_comes_from_the_address_that_was_asked(self):
        server = Server(self)
        a = self.node("a", "--service", f"echo/udp={server.address}")
        b = self.join("b", a, "--forward", "echo/udp=0.0.0.0:0")
        b.wait_service("echo")
        port = place(b.forward_address("echo"))[1]
        for host in ("127.0.0.2", "127.0.0.3"):
            with self.client() as client:
                client.connect((host, port))  # takes answers from there only
                client.send(b"x")
                self.assertEqual(client.recv(100), b"x")

    def test_a_file_may_say_so_both_ways(self):
        server = Server(self)
        for number, text in enumerate(
            (f"echo/udp: {server.address}", f"echo: {{endpoints: '{server.address}', protocol: udp}}")
        ):
            path = self.folder / f"{number}.yaml"
            path.write_text(f"services:\n  {text}\nforwards:\n  echo/udp: 0\nudp:\n  idle: 60s\n")
            node = self.node(f"n{number}", "--config", str(path))
            with self.client() as client:
                self.assertEqual(self.ask(client, node.forward_address("echo"), b"x"), b"x")

    def test_an_unknown_service_is_a_problem_and_a_failure(self):
        a = self.node("a", "--forward", "nowhere/udp=0")
        with self.client() as client:
            client.sendto(b"x", place(a.forward_address("nowhere")))
            a.wait(lambda: a.get("forwards")[0]["failed"] == 1, "the failure")
        row = a.get("forwards")[0]
        self.assertEqual(row["last_failure"], "no node in reach offers it")
        problems = a.get("status")["problems"]
        self.assertIn("nowhere/udp", problems[0]["what"])


if __name__ == "__main__":
    harness.main()
