#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""SIGHUP, SIGTERM, SIGINT, SIGKILL, SIGSTOP."""

import shutil
import signal
import socket
import socketserver
import sys
import time

import harness
from harness import WeftTest


class Reload(WeftTest):
    def configured(self, name, text, **options):
        self.file = self.folder / f"{name}.yaml"
        self.file.write_text(text)
        return self.node(name, "--config", str(self.file), **options)

    def reload(self, node, text, event):
        self.file.write_text(text)
        before = len([e for e in node.event_lines() if e["event"] == event])
        node.signal(signal.SIGHUP)
        return node.wait(
            lambda: [e for e in node.event_lines() if e["event"] == event][before:], event
        )[0]

    def test_services_and_seeds_change_under_way(self):
        other = self.node("b")
        a = self.configured("a", "services:\n  web: 127.0.0.1:80\n", secret=other.secret)
        self.assertEqual([row["name"] for row in a.get("services")], ["web"])
        text = f"services:\n  db: 127.0.0.1:5432\nseeds: [{other.address}]\n"
        self.reload(a, text, "reloaded")
        other.wait_service("db")
        self.assertEqual([row["name"] for row in a.get("services")], ["db"])

    def test_a_bad_file_changes_nothing_and_is_reported(self):
        a = self.configured("a", "services:\n  web: 127.0.0.1:80\n")
        before = a.get("status")
        event = self.reload(a, "services:\n  db: 127.0.0.1:1\nno-such-key: 1\n", "reload-refused")
        self.assertIn("no-such-key", event["detail"]["why"])
        self.assertEqual(event["level"], "error")
        self.assertEqual([row["name"] for row in a.get("services")], ["web"])
        self.assertEqual(a.get("status")["incarnation"], before["incarnation"])

    def test_what_needs_a_restart_is_named(self):
        a = self.configured("a", "degree: 8\n")
        self.reload(a, "degree: 3\n", "reloaded")
        a.wait_event("reload-needs-restart", key="degree")
        self.assertEqual(a.get("status")["degree"], 8)


    def test_a_hangup_during_the_start_is_heeded_after_it(self):
        a = Hung(self, "a").start()
        a.wait_event("reloaded")


class Flaps(WeftTest):
    def test_who_comes_and_goes_is_named_and_so_are_its_links(self):
        """Everybody loses d twice: the others see that and when, and d that nobody counts it."""
        a = self.node("a", "--heartbeat", "fast")
        others = [self.node(name, "--heartbeat", "fast", "--seed", a.address, secret=a.secret)
                  for name in "bcd"]  # fmt: skip
        d = others[-1]
        for node in (a, *others):
            node.wait_links(3)
        rest = (a, *others[:-1])
        for _ in range(2):
            for node in rest:  # a loss counts of who had three links
                node.wait(lambda node=node: self.links_of(node, "d") == 3, "d with its links")
            d.signal(signal.SIGSTOP)
            try:
                for node in rest:
                    node.wait(lambda node=node: self.links_of(node, "d") is None, "d to be lost")
            finally:
                d.signal(signal.SIGCONT)
        problem = a.wait(lambda: self.on_trial(a), "d to be named, with a link on trial")
        self.assertIn("comes and goes", problem["what"])
        self.assertRegex(problem["cause"], "was lost 2 times, .* last [0-9]+ s ago; its links count")
        self.assertRegex(problem["next"], "in reach in [0-9]+ s if")
        row = next(r for r in a.get("links") if r["trial_s"] is not None)
        self.assertEqual((row["name"], row["state"]), ("d", "established"))
        self.assertTrue(0 < row["trial_s"] <= 30, row)
        d.wait(lambda: self.problem(d, "no peer counts"), "d to see why it is alone")

    def links_of(self, node, name):
        """How many links a node lists that is in reach."""
        rows = [r["links"] for r in node.get("peers") if r["name"] == name and r["reachable"]]
        return rows[0] if rows else None

    def on_trial(self, node):
        problem = self.problem(node, "d (")
        return problem if problem and "if the link" in problem["next"] else None

    def problem(self, node, what):
        return next((p for p in node.get("status")["problems"] if what in p["what"]), None)


class Hung(harness.Node):
    """A daemon to which SIGHUP was sent before its first instruction, held back until it looks."""

    PROGRAM = (
        "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP]);"
        "os.kill(os.getpid(), signal.SIGHUP); os.execv(sys.argv[1], sys.argv[1:])"
    )

    def command(self):
        weftd, *flags = super().command()
        return [sys.executable, "-c", self.PROGRAM, shutil.which(weftd), *flags]


class Stop(WeftTest):
    def test_sigterm_leaves_in_order(self):
        a = self.node("a")
        b = self.join("b", a, "--service", "web=127.0.0.1:1")
        a.wait_service("web")
        started = time.monotonic()
        b.signal(signal.SIGTERM)
        self.assertEqual(b.wait_exit(), 0)
        self.assertLess(time.monotonic() - started, 5)
        a.wait_links(0)
        self.assertEqual(a.get("services"), [])  # withdrawn, not stale
        self.assertFalse(b.control.exists())

    def test_sigint_does_the_same(self):
        a = self.node("a")
        a.signal(signal.SIGINT)
        self.assertEqual(a.wait_exit(), 0)

    def test_a_second_sigterm_exits_at_once(self):
        a = self.node("a", "--service", f"hold={self.serve(hold())}")
        b = self.join("b", a, "--forward", "hold=0")
        b.wait_service("hold")
        host, port = b.forward_address("hold").rsplit(":", 1)
        with socket.create_connection((host, int(port)), harness.PATIENCE) as client:
            self.assertEqual(client.recv(1), b"x")
            b.signal(signal.SIGTERM)  # waits for the stream
            b.wait(lambda: b.get("status")["verdict"] == "leaving", "the leave to begin")
            started = time.monotonic()
            b.signal(signal.SIGTERM)
            b.wait_exit()
            self.assertLess(time.monotonic() - started, 4)

    def test_stop_by_the_api_does_the_same(self):
        a = self.node("a")
        self.assertEqual(a.api("POST", "/v1/stop"), {})
        self.assertEqual(a.wait_exit(), 0)

    def test_a_stopped_process_is_dropped_and_taken_back(self):
        a = self.node("a", "--heartbeat", "200ms")
        b = self.join("b", a, "--heartbeat", "200ms")
        a.wait_reach("b")
        b.signal(signal.SIGSTOP)
        a.wait_links(0)
        b.signal(signal.SIGCONT)
        a.wait_reach("b")

    def test_killed_again_and_again_its_state_stays_sound(self):
        a = self.node("a")
        b = self.join("b", a)
        b.api("POST", "/v1/services", {"name": "db", "endpoint": "127.0.0.1:5432"})
        b.wait(lambda: metric_waiting(b) == 0, "the store to have written")
        for life in range(2, 8):
            b.kill()
            b.start()
            self.assertEqual(b.get("status")["incarnation"], life)
            a.wait_service("db")
        b.wait_reach("a")


def metric_waiting(node):
    _, text = node.request("GET", "/metrics")
    return int(text.split("\nweft_store_waiting ", 1)[1].split()[0])


def hold():
    """A service that says one byte and then waits for the end."""
    class Hold(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.sendall(b"x")
            self.request.recv(1)

    return Hold


if __name__ == "__main__":
    harness.main()
