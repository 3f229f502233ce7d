#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A service is reached by name, near and far, and is still there after a restart."""

import hashlib
import socket
import socketserver
import threading

import harness
from harness import ApiError, WeftTest, payload


class Upper(socketserver.StreamRequestHandler):
    """Answers only when the request has ended: needs half-close."""

    def handle(self):
        self.wfile.write(self.rfile.read().upper())


class Service(WeftTest):
    def test_direct(self):
        body = payload(3_000_000)
        a = self.node("a", "--service", f"web={self.http_service(body)}")
        b = self.join("b", a, "--forward", "web=0")
        b.wait_service("web")
        self.assertEqual(digest(self.fetch(b.forward_address("web"))), digest(body))

    def test_over_a_relay(self):
        body = payload(3_000_000)
        relay = self.node("r", "--discovery", "off")
        a = self.join("a", relay, "--discovery", "off", "--forward", "web=0")
        b = self.join("b", relay, "--discovery", "off", "--service", f"web={self.http_service(body)}")
        a.wait_service("web")
        self.assertEqual(digest(self.fetch(a.forward_address("web"))), digest(body))
        self.assertEqual([row["name"] for row in a.get("links")], ["r"])
        self.assertEqual([row["name"] for row in b.get("links")], ["r"])
        self.assertGreater(relay.get("status")["forwarded"], 0)
        path = a.api("POST", "/v1/trace", {"target": "web"})["path"]
        self.assertEqual([hop["name"] for hop in path], ["a", "r", "b"])

    def test_on_the_same_node(self):
        a = self.node("a", "--service", f"web={self.http_service(b'here')}", "--forward", "web=0")
        self.assertEqual(self.fetch(a.forward_address("web")), b"here")

    def test_half_close_reaches_the_service_and_comes_back(self):
        a = self.node("a", "--service", f"upper={self.serve(Upper)}")
        b = self.join("b", a, "--forward", "upper=0")
        b.wait_service("upper")
        host, port = b.forward_address("upper").rsplit(":", 1)
        with socket.create_connection((host, int(port)), harness.PATIENCE) as client:
            client.sendall(b"half a word")
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(client.makefile("rb").read(), b"HALF A WORD")

    def test_many_at_once(self):
        a = self.node("a", "--service", f"web={self.http_service(b'one of many')}")
        b = self.join("b", a, "--forward", "web=0")
        b.wait_service("web")
        address = b.forward_address("web")
        answers = []
        threads = [
            threading.Thread(target=lambda: answers.append(self.fetch(address))) for _ in range(50)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(answers, [b"one of many"] * 50)
        b.wait(lambda: b.get("status")["streams"]["open"] == 0, "all streams to end")
        b.wait(lambda: a.get("status")["streams"]["open"] == 0, "all streams to end there too")

    def test_the_relay_restarts_under_a_download(self):
        body = payload(20_000_000)
        relay = self.node("r", "--discovery", "off")
        a = self.join("a", relay, "--discovery", "off", "--forward", "web=0")
        self.join("b", relay, "--discovery", "off", "--service", f"web={self.http_service(body)}")
        a.wait_service("web")
        host, port = a.forward_address("web").rsplit(":", 1)
        with socket.create_connection((host, int(port)), harness.PATIENCE * 2) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            got = client.recv(65536)
            relay.kill()
            relay.listen = relay.address
            relay.start()
            got += client.makefile("rb").read()
        self.assertEqual(digest(got.split(b"\r\n\r\n", 1)[1]), digest(body))

    def test_an_added_service_survives_a_restart(self):
        a = self.node("a")
        added = a.api("POST", "/v1/services", {"name": "db", "endpoint": "127.0.0.1:5432"})
        self.assertEqual(added["endpoints"], ["127.0.0.1:5432"])
        self.assertEqual(a.stop(), 0)
        a.start()
        row = a.wait_service("db")
        self.assertEqual(row["endpoints"][0]["address"], "127.0.0.1:5432")
        a.api("DELETE", "/v1/services/default%2Fdb")
        self.assertEqual(a.get("services"), [])
        self.assertEqual(a.stop(), 0)
        a.start()
        self.assertEqual(a.get("services"), [])

    def test_an_added_service_survives_a_kill(self):
        a = self.node("a")
        a.api("POST", "/v1/services", {"name": "db", "endpoint": "127.0.0.1:5432"})
        a.wait(lambda: metric(a, "weft_store_waiting") == 0, "the store to have written")
        a.kill()
        a.start()
        a.wait_service("db")

    def test_an_added_forward_survives_a_restart_at_its_port(self):
        a = self.node("a")
        made = a.api("POST", "/v1/forwards", {"service": "web"})
        again = a.api("POST", "/v1/forwards", {"service": "web", "listen": made["address"]})
        self.assertEqual(made["address"], again["address"])
        for listen in ("nowhere:80", "127.0.0.1:65536", "127.0.0.1", "x", "[::1:80"):
            with self.assertRaises(ApiError):
                a.api("POST", "/v1/forwards", {"service": "other", "listen": listen})
        self.assertEqual(a.stop(), 0)
        a.start()
        self.assertEqual(a.forward_address("web"), made["address"])
        a.api("DELETE", "/v1/forwards/web")
        self.assertEqual(a.get("forwards"), [])

    def test_a_withdrawn_service_is_gone_elsewhere(self):
        a = self.node("a", "--service", "web=127.0.0.1:1")
        b = self.join("b", a)
        b.wait_service("web")
        a.api("DELETE", "/v1/services/web?endpoint=127.0.0.1:1")
        b.wait(lambda: b.get("services") == [], "the service to be gone")

    def test_a_service_of_a_dead_node_is_stale(self):
        a = self.node("a", "--service", "web=127.0.0.1:1")
        b = self.join("b", a, "--forward", "web=0")
        b.wait_service("web")
        self.assertEqual(b.get("status")["problems"], [])
        a.kill()
        b.wait_service("web", state="stale")
        causes = [problem["cause"] for problem in b.get("status")["problems"]]
        self.assertIn("no node that offers the service is in reach", causes)

    def test_an_unknown_service_resets_the_client(self):
        a = self.node("a", "--forward", "nowhere=0")
        host, port = a.forward_address("nowhere").rsplit(":", 1)
        with self.assertRaises(ConnectionResetError):  # so soon that connect may see it
            with socket.create_connection((host, int(port)), harness.PATIENCE) as client:
                client.recv(1)
        self.assertEqual(a.get("status")["verdict"], "degraded")
        self.assertEqual(a.get("forwards")[0]["last_failure"], "no node in reach offers it")

    def test_whoever_is_reset_can_learn_why(self):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            a = self.node("a", "--service", f"dead=127.0.0.1:{closed.getsockname()[1]}")
            b = self.join("b", a, "--forward", "dead=0")
            b.wait_service("dead")
            host, port = b.forward_address("dead").rsplit(":", 1)
            with self.assertRaises(ConnectionResetError):  # so soon that connect may see it
                with socket.create_connection((host, int(port)), harness.PATIENCE) as client:
                    client.recv(1)
        why = "its node cannot connect to it"
        b.wait_event("forward-refused", service="default/dead", why=why)
        row = b.get("forwards")[0]
        self.assertEqual((row["failed"], row["last_failure"], row["error"]), (1, why, ""))

    def test_names_that_are_none_are_refused(self):
        a = self.node("a")
        for name in ("", "-x", "a b", "x" * 10_000, "a/b/c", "\u00e9"):
            with self.assertRaises(ApiError) as refused:
                a.api("POST", "/v1/services", {"name": name, "endpoint": "127.0.0.1:1"})
            self.assertEqual(refused.exception.status, 400)
        for endpoint in ("", "127.0.0.1", "127.0.0.1:0", "x:99999", "a b:1", ":1"):
            with self.assertRaises(ApiError) as refused:
                a.api("POST", "/v1/services", {"name": "web", "endpoint": endpoint})
            self.assertEqual(refused.exception.status, 400)
        self.assertEqual(a.get("services"), [])

    def test_a_taken_port_is_a_conflict_and_changes_nothing(self):
        a = self.node("a")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            with self.assertRaises(ApiError) as refused:
                a.api("POST", "/v1/forwards", {"service": "web", "listen": address})
        self.assertEqual(refused.exception.status, 409)
        self.assertEqual(a.get("forwards"), [])

    def test_a_configured_forward_whose_port_is_taken_is_a_problem_until_it_is_free(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            service = self.http_service(b"late")
            a = self.node("a", "--service", f"web={service}", "--forward", f"web={port}")
            problem = a.get("status")["problems"][0]
            self.assertIn("web", problem["what"])
            self.assertIn(str(port), problem["cause"])
        a.wait(lambda: not a.get("status")["problems"], "the forward to listen")
        self.assertEqual(self.fetch(f"127.0.0.1:{port}"), b"late")


def metric(node, name):
    _, text = node.request("GET", "/metrics")
    for line in text.splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    raise AssertionError(f"no metric {name}")


def digest(data):
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    harness.main()
