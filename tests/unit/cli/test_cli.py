#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The program weft against a fake control socket: test_cli.py WEFT [unittest arguments].

What scripts depend on: outputs, exit statuses, JSON; and what people do: 80 x 24, colours only on a
terminal, suggestions, no byte of a peer's name that the terminal would obey.
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import unittest

import fake_daemon
from support import WEFT, Case, clean_environment, read_until, spawn_on_terminal, token_of

HOSTILE = "ev\x1b[2Jil\r\nfake line\x07\u009b\u202e\u2028\x7f"


class WithoutDaemon(Case):
    def test_no_command_is_a_mistake_that_shows_the_commands(self):
        done = self.weft()
        self.assertEqual(done.returncode, 2)
        self.assertEqual(done.stdout, "")
        self.assertIn("COMMAND", done.stderr)

    def test_help_goes_to_stdout(self):
        for arguments in (["help"], ["--help"], ["-h"]):
            done = self.weft(*arguments)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("weft up --export", done.stdout)

    def test_each_command_explains_itself(self):
        listed = re.findall(r"^  (\w+) +", self.weft("help").stdout, re.MULTILINE)
        self.assertGreaterEqual(len(listed), 19)
        for name in listed:
            done = self.weft("help", name)
            self.assertEqual(done.returncode, 0)
            self.assertTrue(done.stdout.startswith(f"usage: weft {name}"), done.stdout)
            self.assertEqual(self.weft(name, "--help").stdout, done.stdout)

    def test_help_of_nothing_is_not_found(self):
        self.assertEqual(self.weft("help", "nonsense").returncode, 4)

    def test_the_manual_names_every_command_and_flag(self):
        manual = (pathlib.Path(__file__).resolve().parents[3] / "docs/man/weft.1").read_text()
        manual = manual.replace("\\-", "-")
        handed_on = set(re.findall(r"^  (--[a-z-]+)", self.weft("help", "up").stdout, re.MULTILINE))
        handed_on -= {"--export", "--join", "--forward", "--foreground", "--control", "--state",
                      "--json", "--version"}
        for name in re.findall(r"^  (\w+) +", self.weft("help").stdout, re.MULTILINE):
            self.assertIn(f"weft {name}", manual)
            flags = re.findall(r"^  (?:-h, |-f, )?(--[a-z-]+)", self.weft("help", name).stdout,
                               re.MULTILINE)
            for flag in set(flags) - handed_on - {"--follow"}:
                self.assertIn(flag, manual, name)

    def test_version(self):
        self.assertRegex(self.weft("--version").stdout, r"^weft \d+\.\d+\.\d+\n$")
        done = self.weft("--json", "version")
        self.assertEqual(done.returncode, 0)
        self.assertIsNone(json.loads(done.stdout)["daemon"])

    def test_mistyped_commands_get_a_suggestion(self):
        for typed, meant in (("statsu", "status"), ("link", "links"), ("toplogy", "topology")):
            done = self.weft(typed)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn(f'did you mean "{meant}"?', done.stderr)
        self.assertNotIn("did you mean", self.weft("xyzzyplugh").stderr)

    def test_mistyped_flags_get_a_suggestion(self):
        self.assertIn("did you mean --json?", self.weft("status", "--jsn").stderr)
        self.assertIn("did you mean --check?", self.weft("status", "--chekc").stderr)
        self.assertIn("did you mean --export?", self.weft("up", "--exprot", "a=b:1").stderr)

    def test_wrong_usage_is_status_2(self):
        for arguments in (["status", "more"], ["ping"], ["status", "--check"], ["status", "--json=1"],
                          ["status", "--check", "alive"], ["service", "add", "web"],
                          ["service", "put", "a=b:1"], ["service", "add", "=b:1"],
                          ["service", "remove", "a="], ["forward", "web", "http"],
                          ["forward", "web", "--remove", "web"], ["events", "--since", "x"],
                          ["ping", "x", "--timeout", "0"], ["ping", "x", "--timeout", "1x"],
                          ["up", "--export", "web"], ["up", "--export", "=a:1"],
                          ["up", "--forward", "web=x"], ["up", "--join", "nonsense"],
                          ["invite", "shwo", "x"], ["invite", "show"],
                          ["invite", "show", "nonsense"], ["watch"], ["--json", "watch"]):
            done = self.weft(*arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""), arguments)
            self.assertIn("weft: ", done.stderr)

    def test_what_is_missing_is_shown_by_the_usage(self):
        self.assertIn("usage: weft ping PEER\n", self.weft("ping").stderr)
        self.assertIn("       weft service remove NAME", self.weft("service").stderr)

    def test_an_unreachable_daemon_is_status_3_and_its_socket_is_named(self):
        commands = (["status"], ["links"], ["peers"], ["routes"], ["services"], ["forward"],
                    ["topology"], ["ping", "x"], ["trace", "x"], ["events"], ["events", "-f"],
                    ["invite"], ["stop"], ["down"], ["status", "--check", "live"],
                    ["status", "--check", "ready"], ["service", "add", "a=b:1"],
                    ["service", "remove", "a"], ["forward", "a"], ["forward", "--remove", "a"])
        for command in commands:
            done = self.weft(*command)
            self.assertEqual((done.returncode, done.stdout), (3, ""), command)
            self.assertIn(str(self.socket), done.stderr)

    def test_where_the_socket_is_looked_for(self):
        def tried(*arguments, **environment):
            done = subprocess.run([WEFT, *arguments, "status"], capture_output=True, text=True,
                                  env=clean_environment(**environment), check=False)
            self.assertEqual(done.returncode, 3)
            return re.search(r"answers on (\S+) ", done.stderr).group(1)

        everything = {"WEFT_CONTROL": "/nope/c", "WEFT_STATE": "/nope/s"}
        self.assertEqual(tried("--control", "/nope/x", **everything), "/nope/x")
        self.assertEqual(tried("--state", "/nope/y", **everything), "/nope/c")
        self.assertEqual(tried(**everything), "/nope/c")
        self.assertEqual(tried("--state", "/nope/y", WEFT_STATE="/nope/s"), "/nope/y/control.sock")
        self.assertEqual(tried(WEFT_STATE="/nope/s"), "/nope/s/control.sock")
        if os.geteuid() == 0:
            return  # a daemon of the system may run: its folder is not ours to expect anything of
        self.assertEqual(tried(XDG_STATE_HOME="/nope/x"), "/nope/x/weft/control.sock")
        self.assertEqual(tried(HOME="/nope"), "/nope/.local/state/weft/control.sock")

    def test_a_socket_path_too_long_is_said_so(self):
        done = self.weft("--control", "/" + "x" * 200, "status")
        self.assertEqual(done.returncode, 3)
        self.assertIn("too long", done.stderr)

    def test_secrets_are_fresh_and_in_the_form_of_the_file(self):
        first, second = self.weft("secret").stdout, self.weft("secret").stdout
        self.assertRegex(first, r"^#[^\n]*\n[0-9a-f]{64}\n$")
        self.assertNotEqual(first, second)
        self.assertRegex(json.loads(self.weft("--json", "secret").stdout)["secret"], r"^[0-9a-f]{64}$")

    def test_an_invitation_is_shown_without_its_secret(self):
        secret = bytes(range(32))
        token = token_of(secret=secret, name="site-a", addresses=["192.0.2.1:9338", "[::1]:9"])
        done = self.weft("invite", "show", token)
        self.assertEqual(done.returncode, 0)
        for part in ("site-a", "192.0.2.1:9338", "[::1]:9"):
            self.assertIn(part, done.stdout)
        self.assertNotIn(secret.hex(), done.stdout + done.stderr)
        shown = json.loads(self.weft("--json", "invite", "show", token).stdout)
        self.assertEqual(sorted(shown), ["addresses", "id", "key", "name"])
        self.assertEqual(shown["addresses"], ["192.0.2.1:9338", "[::1]:9"])

    def test_an_invitation_may_come_from_stdin_and_with_its_command(self):
        token = token_of(name="site-a")
        for given in (token, f"  {token}\n", f"weft up --join {token}\n"):
            done = self.weft("invite", "show", "-", stdin=given)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("site-a", done.stdout)

    def test_a_damaged_invitation_is_not_quoted(self):
        token = token_of()
        done = self.weft("invite", "show", token[:-8] + "AAAAAAAA")
        self.assertEqual(done.returncode, 2)
        self.assertNotIn(token[6:30], done.stderr)

    def test_a_full_disk_is_no_success(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([WEFT, "secret"], stdout=full, env=clean_environment(), check=False)
        self.assertEqual(done.returncode, 1)


class WithDaemon(Case):
    def setUp(self):
        super().setUp()
        self.daemon = fake_daemon.FakeDaemon(self.socket)
        self.addCleanup(self.daemon.close)

    def answer(self, method, path, status, body):
        self.daemon.answers[(method, path)] = (status, body)

    def asked(self):
        return self.daemon.requests[-1]

    def test_json_is_what_the_daemon_said(self):
        for command, path in (("status", "/v1/status"), ("links", "/v1/links"),
                              ("peers", "/v1/peers"), ("routes", "/v1/routes"),
                              ("services", "/v1/services"), ("topology", "/v1/topology"),
                              ("forward", "/v1/forwards")):
            done = self.weft("--json", command)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertEqual(json.loads(done.stdout), self.daemon.answers[("GET", path)][1])
            self.assertEqual(self.weft(command, "--json").stdout, done.stdout)

    def test_status_says_who_and_how(self):
        lines = self.weft("status").stdout.splitlines()
        self.assertEqual(lines[0], "site-a (abcdefghijklmnopqrstuvwxyz) is healthy")
        self.assertEqual(lines[1], "weft 0.1.0, up 3 h 12 min, 5.1 MB, listens on [::]:9338")
        self.assertEqual(lines[3:], ["links     3 established",
                                     "peers     4 reachable, 5 known",
                                     "services  2 known",
                                     "streams   1 open, 12 opened so far, "
                                     "2 resumed over another path",
                                     "sealing   aes-256-gcm preferred, by libcrypto 3.0.15, libsodium 1.0.18 if small"])

    def test_status_says_what_the_daemon_keeps_itself_from(self):
        for in_force, shown in (
            ("privileges,dumps,files,calls",
             "privileges, dumps, files (Landlock), calls (seccomp)"),
            ("privileges,dumps", "privileges, dumps; not files (Landlock), calls (seccomp)"),
            ("off", "off"),
            ("none", "none"),
        ):  # fmt: skip
            self.answer("GET", "/v1/status", 200, dict(fake_daemon.STATUS, sandbox=in_force))
            self.assertEqual(self.weft("status").stdout.splitlines()[-1], f"sandbox   {shown}")
        self.answer("GET", "/v1/status", 200, dict(fake_daemon.STATUS, sandbox=None))
        self.assertNotIn("sandbox", self.weft("status").stdout)

    def test_status_says_what_was_dropped_and_why(self):
        dropped = dict(fake_daemon.STATUS["dropped"], late=18, no_route=2)
        self.answer("GET", "/v1/status", 200, dict(fake_daemon.STATUS, dropped=dropped))
        self.assertIn("\ndropped   18 late datagrams, 2 no route\n", self.weft("status").stdout)

    def sessions(self, count):
        return {"session_count": count, "sessions": [
            {"peer": "p" * 26, "name": f"site-{i}", "cipher": "chacha20-poly1305", "age_s": 7200.0,
             "keys_age_s": 60.0, "streams": 1} for i in range(min(count, 64))]}

    def test_status_says_with_whom_there_are_keys_and_which_cipher(self):
        self.answer("GET", "/v1/status", 200, dict(fake_daemon.STATUS, **self.sessions(2)))
        self.assertEqual(self.weft("status").stdout.splitlines()[-4:], [
            "", "Sealed end to end, 2:",
            "  site-0 by chacha20-poly1305, for 2 h, keys 1 min old",
            "  site-1 by chacha20-poly1305, for 2 h, keys 1 min old"])
        self.answer("GET", "/v1/status", 200, dict(fake_daemon.STATUS, **self.sessions(4000)))
        lines = self.weft("status").stdout.splitlines()
        self.assertLessEqual(len(lines), 24)
        shown = sum("chacha20" in line for line in lines)
        self.assertGreater(shown, 5)
        self.assertEqual(f"  ... and {4000 - shown} more: weft --json status lists 64", lines[-1])
        self.answer("GET", "/v1/status", 200, dict(fake_daemon.STATUS, **self.sessions(64)))
        self.assertTrue(self.weft("status").stdout.endswith(f"  ... and {64 - shown} more: weft --json status\n"))
        too_low = dict(self.sessions(64), session_count=1)
        self.answer("GET", "/v1/status", 200, dict(fake_daemon.STATUS, **too_low))
        self.assertIn(f"... and {64 - shown} more:", self.weft("status").stdout)

    def problems(self, count, size):
        return [{"what": f"no link with relay-{i}" + " word" * size,
                 "cause": "connection refused" + "x" * size, "next": "tried again in 12 s" + " y" * size}
                for i in range(count)]

    def test_status_fits_80_by_24_whatever_is_wrong(self):
        for count in (0, 1, 2, 3, 5, 64):
            for size in (0, 10, 40, 900):
                for culprits in (0, 1, 16):
                    status = dict(
                        fake_daemon.STATUS, name="n" * 63, verdict="quarantined", sandbox="privileges,dumps",
                        problems=self.problems(count, size), listen=["h" * 200],
                        dropped=dict.fromkeys(("late", "no_room", "no_route"), 1234567),
                        strangers=[{"remote": "[fd09::1234]:61234", "why": "w" * 95, "count": 7, "age_s": 3}],
                        culprits=[{"peer": "p" * 26, "name": "m" * 63, "detail": "d" * size,
                                   "count": 3}] * culprits)
                    self.answer("GET", "/v1/status", 200, status)
                    lines = self.weft("status").stdout.splitlines()
                    where = f"{count} problems of {size}, {culprits} culprits"
                    self.assertLessEqual(len(lines), 24, where)
                    self.assertLessEqual(max(map(len, lines)), 80, where)
                    shown = sum("no link with" in line for line in lines)
                    self.assertGreaterEqual(shown, min(count, 1), where)
                    if culprits:
                        self.assertTrue(any("misbehaves" in line for line in lines) or
                                        any("more:" in line for line in lines), where)
                    left_out = [int(n) for line in lines for n in re.findall(r"and (\d+) more", line)]
                    shown += sum("misbehaves" in line for line in lines)
                    self.assertEqual(shown + sum(left_out), count + culprits, where)

    def test_status_shows_who_was_not_let_in_last(self):
        strangers = [{"remote": f"192.0.2.{n}:4000", "why": "a wrong secret", "count": 12 - n, "age_s": 3}
                     for n in range(4)]  # fmt: skip
        self.answer("GET", "/v1/status", 200, dict(fake_daemon.STATUS, strangers=strangers))
        self.assertIn("\n\n  192.0.2.0:4000 not let in, 3 s ago: a wrong secret (12 times)\n",
                      self.weft("status").stdout)

    def test_status_shows_cause_and_next_step(self):
        self.answer("GET", "/v1/status", 200,
                    dict(fake_daemon.STATUS, verdict="degraded", problems=self.problems(1, 0)))
        done = self.weft("status")
        self.assertEqual(done.returncode, 0)
        self.assertIn("\n  no link with relay-0\n    cause: connection refused\n"
                      "    next: tried again in 12 s\n", done.stdout)

    def test_checks_for_supervisors(self):
        self.assertEqual(self.weft("status", "--check", "live").returncode, 0)
        done = self.weft("status", "--check", "ready")
        self.assertEqual((done.returncode, done.stdout), (0, "ready: healthy\n"))
        self.answer("GET", "/readyz", 503, {"ready": False, "verdict": "isolated"})
        done = self.weft("status", "--check=ready")
        self.assertEqual((done.returncode, done.stdout), (5, "not ready: isolated\n"))
        done = self.weft("--json", "status", "--check", "ready")
        self.assertEqual((done.returncode, json.loads(done.stdout)["ok"]), (5, False))
        self.answer("GET", "/healthz", 500, b"")
        self.assertEqual(self.weft("status", "--check", "live").returncode, 5)

    def test_links_are_a_table_with_aligned_numbers(self):
        lines = self.weft("links").stdout.splitlines()
        self.assertEqual(lines[0].split(), ["PEER", "ADDRESS", "DIR", "STATE", "UP", "RTT", "TX",
                                            "RX", "TX/S", "RX/S", "QUEUE", "ERROR"])
        self.assertEqual(re.split(r" {2,}", lines[1]),
                         ["relay-1", "192.0.2.1:9338", "out", "established", "1 min 40 s", "1.2 ms",
                          "1.5 MB", "2.0 kB", "15 kB/s", "20 B/s", "0 B"])
        self.assertIn("connection refused; tried again in 12 s", lines[2])
        for title, value in (("RTT", "1.2 ms"), ("TX", "1.5 MB"), ("QUEUE", "0 B")):
            end = re.search(rf"{title}(?= |$)", lines[0]).end()
            self.assertEqual(lines[1][:end].rsplit("  ", 1)[1], value)
        self.assertTrue(all(line == line.rstrip() for line in lines))

    def test_a_link_on_trial_is_shown_so(self):
        row = {**self.daemon.answers[("GET", "/v1/links")][1][0], "trial_s": 11.2}
        self.answer("GET", "/v1/links", 200, [row])
        self.assertIn(" on trial, 12 s left ", self.weft("links").stdout)

    def test_peers_routes_services_forwards(self):
        peers = self.weft("peers").stdout
        self.assertRegex(peers, r"site-a +a{26} +yes +0 .* this node")
        self.assertRegex(peers, r"relay-1 +b{26} +yes +1 +1.5 ms +relay-1 .* name clash")
        self.assertRegex(peers, r"\n +c{26} +no +0 ")
        self.assertRegex(self.weft("routes").stdout, r"relay-1 +b{26} +relay-1 +1 +1.5 ms\n")
        services = self.weft("services").stdout
        self.assertRegex(services, r"web +site-b +127.0.0.1:8080 +fresh +1 min 15 s\n")
        self.assertRegex(services, r"prod/db +site-a +127.0.0.1:5432 +stale +1 h 1 min +this node\n")
        self.assertRegex(self.weft("forward").stdout, r"web +127.0.0.1:40001 +1 +7 +0\n")

    def test_empty_lists_say_what_to_do_and_print_nothing(self):
        for command, path in (("links", "/v1/links"), ("peers", "/v1/peers"),
                              ("routes", "/v1/routes"), ("services", "/v1/services"),
                              ("forward", "/v1/forwards")):
            self.answer("GET", path, 200, [])
            done = self.weft(command)
            self.assertEqual((done.returncode, done.stdout), (0, ""))
            self.assertNotEqual(done.stderr, "")
            self.assertEqual(json.loads(self.weft(command, "--json").stdout), [])

    def test_topology_as_lines_and_as_graph(self):
        lines = self.weft("topology").stdout
        self.assertRegex(lines, r"site-a +a{26} +yes +relay-1 1.5 ms\n")
        self.assertRegex(lines, r"relay-1 +b{26} +yes +site-a 2.5 ms\n")
        dot = self.weft("topology", "--dot").stdout
        self.assertTrue(dot.startswith("graph weft {\n") and dot.endswith("}\n"))
        self.assertIn(f'"{"a" * 26}" -- "{"b" * 26}" [label="1.5 ms"];', dot)
        self.assertIn(r'[label="quo\"te\\", style=dashed];', dot)

    def test_ping(self):
        self.answer("POST", "/v1/ping", 200, {"id": "b" * 26, "name": "site-b", "rtt_ms": 0.314})
        done = self.weft("ping", "site-b", "--timeout", "2")
        self.assertEqual(done.stdout, f"site-b ({'b' * 26}): 0.31 ms\n")
        method, path, body = self.asked()
        self.assertEqual((method, path, body["peer"]), ("POST", "/v1/ping", "site-b"))
        self.assertAlmostEqual(body["timeout_ms"], 2000, delta=2)

    def test_ping_tells_unknown_from_silent(self):
        self.answer("POST", "/v1/ping", 404, {"error": "not-found", "message": "no such peer"})
        done = self.weft("ping", "x")
        self.assertEqual((done.returncode, done.stderr), (4, "weft: no such peer\n"))
        self.answer("POST", "/v1/ping", 504, {"error": "timeout", "message": "no answer"})
        self.assertEqual(self.weft("ping", "x").returncode, 7)

    def test_a_daemon_that_does_not_answer_is_status_7(self):
        release = threading.Event()
        self.addCleanup(release.set)
        self.daemon.answers[("POST", "/v1/ping")] = lambda *_: (release.wait(30), (200, {}))[1]
        self.assertEqual(self.weft("ping", "x", "--timeout", "0.05").returncode, 7)

    def test_trace(self):
        hops = [{"id": "a" * 26, "name": "site-a", "rtt_ms": 0},
                {"id": "b" * 26, "name": "relay-1", "rtt_ms": 1.5}]
        self.answer("POST", "/v1/trace", 200, {"target": "web", "path": hops})
        done = self.weft("trace", "web")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"  1  relay-1  b{26} +1.5 ms\n")
        self.assertEqual(self.asked(), ("POST", "/v1/trace", {"target": "web"}))
        self.assertEqual(json.loads(self.weft("--json", "trace", "web").stdout)["path"], hops)
        hops[1]["rtt_ms"] = None
        done = self.weft("trace", "web")
        self.assertEqual(done.returncode, 7)
        self.assertIn("no answer", done.stdout)

    def test_http_statuses_become_exit_statuses(self):
        for http, expected in ((400, 2), (404, 4), (405, 1), (409, 1), (500, 1), (503, 5), (504, 7)):
            self.answer("GET", "/v1/invite", http, {"error": "kind", "message": f"because {http}"})
            done = self.weft("invite")
            self.assertEqual((done.returncode, done.stdout), (expected, ""))
            self.assertIn(f"because {http}", done.stderr)

    def test_an_answer_that_is_no_json_is_a_failure(self):
        for body in (b"", b"<html>", b'{"id": ', b"\xff\xfe", b"[" * 10000):
            self.answer("GET", "/v1/status", 200, body)
            self.assertEqual(self.weft("status").returncode, 1, body[:20])

    def test_an_answer_without_end_is_given_up(self):
        self.answer("GET", "/v1/status", 200, b" " * (64 * 1024 * 1024 + 1))
        self.assertEqual(self.weft("status").returncode, 1)
        self.answer("GET", "/v1/events?since=0", 200, b"x" * 1_000_000)
        self.assertEqual(self.weft("events").returncode, 1)

    def test_a_daemon_that_breaks_off_is_status_3(self):
        def break_off(handler, _body):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
            handler.close_connection = True
            return 200, None

        self.daemon.answers[("GET", "/v1/status")] = break_off
        self.assertEqual(self.weft("status").returncode, 3)

    def test_json_of_other_types_than_expected_does_no_harm(self):
        for value in ([], {}, 1, "text", None, [1, "x", None, [], {}], {"links": 3, "problems": {}},
                      {"nodes": 1, "links": [[], 2]}, [{"endpoints": 5, "name": 7, "since_s": "x"}]):
            for path in list(self.daemon.answers):
                if path[0] == "GET":
                    self.answer("GET", path[1], 200, json.dumps(value).encode())
            for command in ("status", "links", "peers", "routes", "services", "topology", "forward"):
                self.assertEqual(self.weft(command).returncode, 0, (command, value))
            self.assertEqual(self.weft("topology", "--dot").returncode, 0)

    def test_services_are_added_and_removed(self):
        self.answer("POST", "/v1/services", 200, {"name": "web", "endpoints": ["127.0.0.1:80"]})
        done = self.weft("service", "add", "web=127.0.0.1:80")
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        self.assertEqual(self.asked(), ("POST", "/v1/services",
                                        {"name": "web", "endpoint": "127.0.0.1:80"}))
        self.assertEqual(json.loads(self.weft("--json", "service", "add", "web=h:80").stdout)["name"],
                         "web")
        self.answer("DELETE", "/v1/services/prod%2Fweb", 200, {})
        self.assertEqual(self.weft("service", "remove", "prod/web").returncode, 0)
        path = "/v1/services/web?endpoint=%5B%3A%3A1%5D%3A80"
        self.answer("DELETE", path, 200, {})
        self.assertEqual(self.weft("service", "remove", "web=[::1]:80").returncode, 0)
        self.assertEqual(self.weft("service", "remove", "other").returncode, 4)
        self.assertEqual(self.asked()[1], "/v1/services/other")

    def test_no_name_leaves_its_place_in_a_path(self):
        for name in ("../stop", "a?b", "a#b", "a b", "a%2fb", "a&endpoint"):
            self.assertEqual(self.weft("service", "remove", name).returncode, 4)
            tail = self.asked()[1].removeprefix("/v1/services/")
            self.assertRegex(tail, r"^[A-Za-z0-9._~%-]+$")

    def test_forwards_are_made_and_removed(self):
        self.answer("POST", "/v1/forwards", 200, {"service": "web", "address": "127.0.0.1:4000"})
        for typed, listen in (([], "127.0.0.1:0"), (["4000"], "127.0.0.1:4000"),
                              ([":4000"], "127.0.0.1:4000"), (["0.0.0.0:4000"], "0.0.0.0:4000"),
                              (["[::1]:4000"], "[::1]:4000")):
            done = self.weft("forward", "web", *typed)
            self.assertEqual((done.returncode, done.stdout), (0, "web is at 127.0.0.1:4000\n"))
            self.assertEqual(self.asked()[2], {"service": "web", "listen": listen})
        self.answer("DELETE", "/v1/forwards/web", 200, {"service": "web"})
        self.assertEqual(self.weft("forward", "--remove", "web").returncode, 0)
        self.assertEqual(self.weft("forward", "--remove", "other").returncode, 4)

    def events(self, path="/v1/events?since=0"):
        lines = "".join(json.dumps(event) + "\n" for event in fake_daemon.EVENTS)
        self.answer("GET", path, 200, lines.encode())

    def test_events_are_one_line_each(self):
        self.events()
        self.assertEqual(self.weft("events").stdout,
                         "2026-11-20T22:50:26.005Z info  link-up peer=relay-1 link=1\n"
                         '2026-11-20T22:50:27.005Z warn  link-down peer=relay-1 why="timed out"\n')
        self.assertEqual(json.loads(self.weft("--json", "events").stdout), fake_daemon.EVENTS)
        self.events("/v1/events?since=17")
        self.assertEqual(self.weft("events", "--since", "17").returncode, 0)

    def follow(self, handler, _body):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for event in fake_daemon.EVENTS:
            line = json.dumps(event).encode() + b"\n"
            for part in (line[:20], line[20:]):  # a line may come in pieces
                handler.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        handler.wfile.flush()
        self.more.wait(30)
        handler.wfile.write(b"0\r\n\r\n")
        return 200, None

    def test_followed_events_come_as_they_happen(self):
        self.more = threading.Event()
        self.daemon.answers[("GET", "/v1/events?since=0&follow=1")] = self.follow
        with self.weft_start("--json", "events", "-f") as process:
            lines = [json.loads(process.stdout.readline()) for _ in fake_daemon.EVENTS]
            self.assertIsNone(process.poll())
            self.more.set()
            self.assertEqual(process.wait(30), 0)
            process.communicate()
        self.assertEqual(lines, fake_daemon.EVENTS)

    def test_a_reader_that_went_away_ends_the_following(self):
        self.more = threading.Event()
        self.addCleanup(self.more.set)
        self.daemon.answers[("GET", "/v1/events?since=0&follow=1")] = self.follow
        with self.weft_start("events", "-f") as process:
            process.stdout.close()
            self.assertEqual(process.wait(30), 1)
            process.stderr.close()

    def test_invite_prints_the_token_alone(self):
        self.answer("GET", "/v1/invite", 200, {"token": "weft1:abc"})
        self.assertEqual(self.weft("invite").stdout, "weft1:abc\n")
        self.assertEqual(json.loads(self.weft("--json", "invite").stdout), {"token": "weft1:abc"})

    def test_version_of_the_daemon(self):
        self.assertIn("daemon 9.9.9\n", self.weft("version").stdout)
        self.assertEqual(json.loads(self.weft("--json", "version").stdout)["daemon"], "9.9.9")

    def test_stop_does_not_wait(self):
        self.assertEqual(self.weft("stop").returncode, 0)
        self.assertEqual(self.asked()[:2], ("POST", "/v1/stop"))

    def poison(self):
        """Every text of every answer is hostile."""
        def poisoned(value):
            if isinstance(value, str):
                return HOSTILE
            if isinstance(value, list):
                return [poisoned(item) for item in value]
            if isinstance(value, dict):
                return {key: poisoned(item) for key, item in value.items()}
            return value

        hops = [{"id": "x", "name": HOSTILE, "rtt_ms": 1}]
        self.answer("POST", "/v1/trace", 200, {"target": HOSTILE, "path": hops})
        self.answer("POST", "/v1/ping", 200, hops[0])
        self.answer("POST", "/v1/forwards", 200, {"address": HOSTILE})
        self.answer("GET", "/v1/invite", 400, {"error": "x", "message": HOSTILE})
        lines = "".join(json.dumps(poisoned(e)) + "\n" for e in fake_daemon.EVENTS)
        self.answer("GET", "/v1/events?since=0", 200, lines.encode())
        for key, (status, body) in list(self.daemon.answers.items()):
            if isinstance(body, list | dict) and status == 200:
                self.answer(*key, status, poisoned(body))
        self.answer("GET", "/v1/status", 200, poisoned(
            dict(fake_daemon.STATUS, problems=self.problems(2, 1),
                 culprits=[{"peer": "x", "name": "y", "detail": "z", "count": 1}])))

    def test_nothing_of_a_peer_reaches_the_terminal_raw(self):
        self.poison()
        for command in (["status"], ["links"], ["peers"], ["routes"], ["services"], ["topology"],
                        ["topology", "--dot"], ["forward"], ["forward", "web"], ["ping", "x"],
                        ["trace", "x"], ["events"], ["invite"], ["version"], ["--json", "status"],
                        ["status", "--check", "ready"]):
            done = self.weft(*command)
            self.assertRegex(done.stdout + done.stderr, r"\Aweft|ev", command)
            for text in (done.stdout, done.stderr):
                bad = re.search(r"[^\x20-\x7e\n]", text)
                self.assertIsNone(bad, (command, bad))
                self.assertNotRegex(text, r"(?m)^fake line", command)

    def test_no_colour_unless_on_a_terminal(self):
        self.assertNotIn("\x1b", self.weft("links", TERM="xterm").stdout)
        environment = dict(TERM="xterm", WEFT_CONTROL=str(self.socket))
        with spawn_on_terminal(["links"], **environment) as terminal:
            self.assertIn("\x1b[32m", read_until(terminal, None))
        for off in (dict(NO_COLOR="1"), dict(TERM="dumb")):
            with spawn_on_terminal(["links"], **{**environment, **off}) as terminal:
                self.assertNotIn("\x1b", read_until(terminal, None))

    def test_no_colour_in_json_even_on_a_terminal(self):
        environment = dict(TERM="xterm", WEFT_CONTROL=str(self.socket))
        with spawn_on_terminal(["--json", "status"], **environment) as terminal:
            self.assertNotIn("\x1b", read_until(terminal, None))

    def watch(self, end, status=0):
        environment = dict(TERM="xterm", WEFT_CONTROL=str(self.socket))
        with spawn_on_terminal(["watch"], **environment) as terminal:
            before = terminal.modes_before
            drawn = read_until(terminal, "relay-2:9338")
            end(terminal)
            drawn += read_until(terminal, None)
            self.assertEqual(terminal.wait(), status)
            self.assertEqual(terminal.modes(), before)
        self.assertIn("is \x1b[32mhealthy", drawn)
        self.assertLess(drawn.index("\x1b[?1049h"), drawn.index("site-a"))
        self.assertTrue(drawn.rstrip().endswith("\x1b[?25h\x1b[?1049l"), repr(drawn[-60:]))

    def test_watch_ends_with_q_and_restores_the_terminal(self):
        self.watch(lambda terminal: terminal.type(b"q"))

    def test_watch_ends_with_ctrl_c_and_restores_the_terminal(self):
        self.watch(lambda terminal: terminal.type(b"\x03"))

    def test_watch_dies_of_a_signal_only_after_it_restored_the_terminal(self):
        self.watch(lambda terminal: terminal.kill(signal.SIGTERM), status=-signal.SIGTERM)

    def test_watch_goes_on_with_what_changes(self):
        environment = dict(TERM="xterm", WEFT_CONTROL=str(self.socket))
        with spawn_on_terminal(["watch"], **environment) as terminal:
            read_until(terminal, "healthy")
            self.answer("GET", "/v1/status", 200, dict(fake_daemon.STATUS, verdict="degraded"))
            read_until(terminal, "degraded")
            self.answer("GET", "/v1/status", 500, {})
            read_until(terminal, "No daemon answers")
            terminal.type(b"q")
            read_until(terminal, None)
            self.assertEqual(terminal.wait(), 0)


if __name__ == "__main__":
    sys.argv.remove(WEFT)
    unittest.main(verbosity=1)
