#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The control API as docs/api.md has it, asked well and asked badly."""

import http.client
import json
import socket

import harness
from harness import ApiError, WeftTest


class Api(WeftTest):
    def test_status_has_what_scripts_depend_on(self):
        status = self.node("a").get("status")
        for key in ("id", "name", "version", "incarnation", "uptime_s", "verdict", "links",
                    "peers", "services", "streams", "rss_bytes", "cipher", "provider", "listen", "control",
                    "state", "degree", "problems", "culprits", "strangers", "forwarded", "dropped",
                    "sessions", "session_count"):  # fmt: skip
            self.assertIn(key, status)
        self.assertEqual(set(status["links"]), {"established", "connecting", "failed"})
        self.assertLessEqual({"open", "resumed"}, set(status["streams"]))
        self.assertGreater(status["rss_bytes"], 1_000_000)
        self.assertRegex(status["provider"], r"^libcrypto 3\.\d+\.\d+, libsodium 1\.\d+\.\d+ if small$")

    def test_each_session_has_its_cipher_and_age(self):
        a = self.node("a")
        b = self.join("b", a)
        b.wait_reach("a")
        b.api("POST", "/v1/ping", {"peer": "a"})
        ends = (b.get("status"), a.get("status"))
        for status, name in zip(ends, ("a", "b")):
            self.assertEqual(status["session_count"], 1)
            session = status["sessions"][0]
            self.assertEqual((session["name"], session["streams"]), (name, 0))
            self.assertEqual(session["cipher"], status["cipher"], "one machine, one preference")
            self.assertLessEqual(session["keys_age_s"], session["age_s"])
            self.assertLess(session["age_s"], 60)

    def test_tables_have_what_scripts_depend_on(self):
        a = self.node("a", "--service", "web=127.0.0.1:80")
        b = self.join("b", a, "--seed", "127.0.0.1:1", "--forward", "web=0")
        b.wait_service("web")
        b.wait_reach("a")
        links = b.wait(lambda: both_states(b.get("links")), "a link up and one waiting")
        for row in links:
            for key in ("peer", "name", "address", "direction", "state", "since_s", "rtt_ms",
                        "tx_bytes", "rx_bytes", "queue_bytes", "error", "retry_s", "trial_s"):  # fmt: skip
                self.assertIn(key, row)
        for row in b.get("peers"):
            for key in ("id", "name", "reachable", "hops", "cost_ms", "next_hop", "links",
                        "version", "incarnation"):  # fmt: skip
                self.assertIn(key, row)
        self.assertEqual(set(b.get("services")[0]["endpoints"][0]) & {"peer", "address", "state"},
                         {"peer", "address", "state"})  # fmt: skip
        self.assertLessEqual({"peer", "next_hop", "hops", "cost_ms"}, set(b.get("routes")[0]))
        # A link is in the topology once both ends have told of it, moments after it is used.
        b.wait(lambda: b.get("topology")["links"], "the link told by both")
        topology = b.get("topology")
        self.assertEqual(sorted(row["name"] for row in topology["nodes"]), ["a", "b"])
        self.assertEqual(len(topology["links"]), 1)

    def test_who_lost_its_only_peer_is_isolated_even_with_nobody_to_dial(self):
        a = self.node("a", "--discovery", "off")
        b = self.join("b", a)
        a.wait_reach("b")
        self.assertEqual(a.get("status")["peers"], {"reachable": 1, "known": 1})
        b.kill()
        a.wait_links(0)
        self.assertEqual(a.get("status")["verdict"], "isolated")
        a.stop()
        a.start()
        status = a.get("status")
        self.assertEqual((status["verdict"], a.get("links")), ("isolated", []))
        self.assertEqual(status["problems"][0]["cause"], "no address is known")

    def test_what_is_unhealthy_has_cause_and_next_step(self):
        a = self.node("a", "--seed", "127.0.0.1:1")
        a.wait(lambda: seed_problem(a.get("status")["problems"]), "the seed to be a problem")
        status = a.get("status")
        self.assertEqual(status["verdict"], "isolated")
        problem = seed_problem(status["problems"])
        self.assertIn("refused", problem["cause"])
        self.assertRegex(problem["next"], r"tried again in [\d.]+ s|trying again now")
        self.assertEqual(a.request("GET", "/readyz")[0], 503)
        self.assertEqual(a.request("GET", "/healthz")[0], 200)

    def test_ping_and_trace(self):
        a = self.node("a")
        b = self.join("b", a)
        b.wait_reach("a")
        for name in ("a", a.id, a.id[:8]):
            answer = b.api("POST", "/v1/ping", {"peer": name})
            self.assertEqual((answer["id"], answer["name"]), (a.id, "a"))
            self.assertGreater(answer["rtt_ms"], 0)
        self.assertEqual(b.api("POST", "/v1/ping", {"peer": "b"})["name"], "b")
        path = b.api("POST", "/v1/trace", {"target": "a"})["path"]
        self.assertEqual([hop["name"] for hop in path], ["b", "a"])
        self.refused(b, 404, "POST", "/v1/ping", {"peer": "nobody"})
        self.refused(b, 404, "POST", "/v1/trace", {"target": "nobody"})

    def test_ping_of_a_silent_peer_times_out(self):
        a = self.node("a", "--heartbeat", "20s")
        b = self.join("b", a, "--heartbeat", "20s")
        b.wait_reach("a")
        a.signal(19)
        self.refused(b, 504, "POST", "/v1/ping", {"peer": "a", "timeout_ms": 200})
        a.signal(18)

    def test_an_invitation_leads_in(self):
        a = self.node("a")
        token = a.get("invite")["token"]
        self.assertTrue(token.startswith("weft1:"))
        b = self.node("b", secret=a.secret)
        self.assertEqual(b.api("POST", "/v1/join", {"token": token})["peer"], a.id)
        b.wait_reach("a")
        self.refused(a, 409, "POST", "/v1/join", {"token": token})
        self.refused(b, 400, "POST", "/v1/join", {"token": token[:-6]})
        stranger = self.node("s")
        self.refused(stranger, 409, "POST", "/v1/join", {"token": token})
        b.stop()
        b.start()
        b.wait_reach("a")

    def test_requests_that_make_no_sense_are_told_so(self):
        a = self.node("a")
        self.refused(a, 404, "GET", "/v1/nothing")
        self.refused(a, 404, "DELETE", "/v1/services/absent")
        self.refused(a, 405, "DELETE", "/v1/status")
        self.refused(a, 400, "POST", "/v1/services", [1])
        self.refused(a, 400, "POST", "/v1/services", {"name": 3})
        self.refused(a, 400, "POST", "/v1/ping")
        try:
            self.refused(a, 413, "POST", "/v1/ping", {"peer": "x" * 100_000})
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before it was all sent
        for raw in (b"\0\0\0\r\n\r\n", b"GET\r\n\r\n", b"A" * 100_000):
            with socket.socket(socket.AF_UNIX) as rude:
                rude.settimeout(harness.PATIENCE)
                rude.connect(str(a.control))
                try:
                    rude.sendall(raw)
                    rude.shutdown(socket.SHUT_WR)
                    while rude.recv(4096):
                        pass
                except OSError:
                    pass
        self.assertEqual(a.get("status")["name"], "a")

    def test_a_client_that_hangs_up_early_is_no_matter(self):
        a = self.node("a")
        b = self.join("b", a)
        b.wait_reach("a")
        a.signal(19)
        for body in ('{"peer":"a"}', '{"target":"a"}'):
            path = "/v1/ping" if "peer" in body else "/v1/trace"
            with socket.socket(socket.AF_UNIX) as rude:
                rude.connect(str(b.control))
                rude.sendall(
                    f"POST {path} HTTP/1.1\r\nHost: w\r\nContent-Length: {len(body)}\r\n\r\n{body}"
                    .encode()
                )  # fmt: skip
        a.signal(18)
        self.assertEqual(b.api("POST", "/v1/ping", {"peer": "a"})["name"], "a")
        self.assertEqual(b.stop(), 0)

    def test_events_follow(self):
        a = self.node("a")
        with a.events() as stream:
            lines = stream.makefile("rb")
            b = self.join("b", a)
            b.wait_reach("a")
            found = None
            while found is None:
                line = lines.readline()
                self.assertTrue(line, "the stream ended")
                if line.startswith(b"{"):
                    event = json.loads(line)
                    found = event if event["event"] == "link-up" else None
        self.assertEqual(found["detail"]["peer"], "b")
        self.assertEqual(set(found), {"seq", "time", "level", "event", "detail"})
        since = a.request("GET", f"/v1/events?since={found['seq']}")[1]
        self.assertNotIn(f'"seq":{found["seq"]},', since)

    def test_a_follower_that_never_reads_or_leaves_is_bounded(self):
        a = self.node("a")
        with a.events():
            pass
        with a.events() as deaf:
            for i in range(3000):
                a.request("POST", "/v1/forwards", {"service": f"s{i % 50}", "listen": "0"})
            del deaf
        self.assertLess(a.get("status")["rss_bytes"], 400_000_000)

    def test_the_public_port_only_shows(self):
        a = self.node("a", "--http", "127.0.0.1:0")
        port = next(
            p for p in harness.listening_ports(a.process.pid)
            if p != int(a.address.rsplit(":", 1)[1])
        )  # fmt: skip
        self.assertEqual(self.public(port, "GET", "/v1/status")[0], 200)
        status, text = self.public(port, "GET", "/metrics")
        self.assertEqual(status, 200)
        self.assertIn("weft_links 0", text)
        self.assertEqual(self.public(port, "GET", "/readyz")[0], 200)
        for method, path in (("GET", "/v1/invite"), ("POST", "/v1/stop"), ("POST", "/v1/services"),
                             ("DELETE", "/v1/services/web"), ("POST", "/v1/join")):  # fmt: skip
            status, text = self.public(port, method, path, "{}")
            self.assertIn(status, (403, 405), path)
            self.assertNotIn("weft1:", text)
        self.assertEqual(a.get("status")["name"], "a")

    def public(self, port, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=harness.PATIENCE)
        connection.request(method, path, body)
        answer = connection.getresponse()
        result = answer.status, answer.read().decode()
        connection.close()
        return result

    def refused(self, node, status, method, path, body=None):
        with self.assertRaises(ApiError) as caught:
            node.api(method, path, body)
        self.assertEqual(caught.exception.status, status, caught.exception.body)


def seed_problem(problems):
    return next((p for p in problems if "127.0.0.1:1" in p["what"]), None)


def both_states(rows):
    return rows if {"established", "waiting"} <= {row["state"] for row in rows} else None


if __name__ == "__main__":
    harness.main()
