#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""weft up and down with a program that plays weftd: test_up.py WEFT [unittest arguments].

A copy of weft stands beside a "weftd" that is fake_daemon.py, as a package would install the two.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import stat
import sys
import time
import unittest

from support import PATIENCE_S, WEFT, Case, token_of

HERE = pathlib.Path(__file__).resolve().parent
LINKED = {"GET /v1/status": [200, {"id": "a" * 26, "name": "site-b", "listen": ["[::]:9338"],
                                   "links": {"established": 1}}]}


def offered(state):
    endpoint = {"self": False, "address": "127.0.0.1:80", "state": state}
    return [200, [{"name": "web", "namespace": "default", "endpoints": [endpoint]}]]


OFFERED = {"GET /v1/services": offered("fresh")}
JOINED = {"POST /v1/join": [200, {"peer": "p", "name": "site-a"}]}
LISTENING = {"GET /v1/forwards": [200, [{"service": "web", "namespace": "default", "error": "",
                                         "address": "127.0.0.1:40001"}]]}


def is_alive(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def until(condition, what):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


class Up(Case):
    def setUp(self):
        super().setUp()
        bin_folder = self.folder / "bin"
        bin_folder.mkdir()
        self.program = str(bin_folder / "weft")
        shutil.copy2(WEFT, self.program)
        self.weftd = bin_folder / "weftd"
        self.weftd.write_text(f'#!/bin/sh\nexec "{sys.executable}" -B "{HERE / "fake_daemon.py"}" "$@"\n')
        self.weftd.chmod(0o755)
        self.state = self.folder / "deep" / "state"
        self.socket = self.state / "control.sock"
        self.addCleanup(self.end)

    def end(self):
        """Ends what a failed test left running: by the lock that is the socket's other end."""
        pid = self.pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            until(lambda: not is_alive(pid), "SIGKILL")

    def pid(self):
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.socket))
            except OSError:
                return None
            return int.from_bytes(
                probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4], sys.byteorder)

    def up(self, *arguments, fake=None, **environment):
        return self.weft("--state", str(self.state), "up", *arguments, WEFT_CONTROL="",
                         FAKE=json.dumps(fake or {}), **environment)

    def down(self):
        return self.weft("--state", str(self.state), "down", WEFT_CONTROL="")

    def runs(self):
        return json.loads((self.state / "runs.json").read_text())

    def test_the_first_machine_gets_an_invitation_to_paste(self):
        done = self.up("--export", "web=127.0.0.1:8080")
        self.assertEqual((done.returncode, done.stdout), (0, "weft up --join weft1:TOKEN\n"), done.stderr)
        self.assertEqual(self.runs(), [["--state", str(self.state), "--control", str(self.socket),
                                        "--service", "web=127.0.0.1:8080", *self.port_flags()]])

    def port_flags(self):
        """What weft up adds when something else has the default port on this machine."""
        return ["--listen", ":0"] if "--listen" in self.runs()[-1] else []

    def test_the_daemon_goes_on_in_a_session_of_its_own_with_a_private_log(self):
        self.assertEqual(self.up(fake={"say": "an event"}).returncode, 0)
        pid = self.pid()
        self.assertTrue(is_alive(pid))
        self.assertEqual(os.getsid(pid), pid)
        self.assertEqual(pathlib.Path(f"/proc/{pid}/fd/0").resolve(), pathlib.Path("/dev/null"))
        log = self.state / "weftd.log"
        self.assertEqual(stat.S_IMODE(log.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(self.state.stat().st_mode), 0o700)
        self.assertEqual(log.read_text(), "an event\n")  # not "ready" too: it may be all JSON

    def test_down_returns_when_the_process_has_gone(self):
        self.assertEqual(self.up().returncode, 0)
        pid = self.pid()
        done = self.down()
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        self.assertFalse(is_alive(pid))
        self.assertTrue(pathlib.Path(f"{self.socket}.stopping").exists())
        self.assertEqual(self.down().returncode, 3)

    def test_up_waits_for_a_daemon_that_is_leaving(self):
        self.assertEqual(self.up().returncode, 0)
        before = self.pid()
        self.assertEqual(self.weft("stop").returncode, 0)
        done = self.up()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("leaving", done.stderr)
        self.assertFalse(is_alive(before))
        self.assertNotEqual(self.pid(), before)
        self.assertEqual(len(self.runs()), 2)

    def test_a_second_machine_joins_and_says_where_the_service_is(self):
        secret = bytes(range(32))
        token = token_of(secret=secret)
        done = self.up("--join", token, "--forward", "web", "--name", "site-b",
                       fake={"answers": {**LINKED, **OFFERED, **JOINED, **LISTENING}})
        self.assertEqual((done.returncode, done.stdout), (0, "web is at 127.0.0.1:40001\n"), done.stderr)
        file = self.state / "secret"
        self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600)
        self.assertIn(secret.hex(), file.read_text())
        (run,) = self.runs()
        self.assertNotIn(token, run)
        self.assertIn("web=127.0.0.1:0", run)
        self.assertIn("site-b", run)
        os.kill(self.pid(), signal.SIGTERM)
        until(lambda: (self.state / "requests.json").exists(), "requests")
        asked = json.loads((self.state / "requests.json").read_text())
        self.assertIn(["POST", "/v1/join", {"token": token}], asked)

    def test_it_waits_until_a_provider_is_in_reach_not_only_known(self):
        answers = [[200, []], offered("stale"), offered("stale"), offered("fresh")]
        done = self.up("--join", token_of(), "--forward", "web",
                       fake={"answers": {**LINKED, **JOINED, **LISTENING},
                             "in_turn": {"GET /v1/services": answers}})
        self.assertEqual((done.returncode, done.stdout), (0, "web is at 127.0.0.1:40001\n"), done.stderr)
        os.kill(self.pid(), signal.SIGTERM)
        until(lambda: (self.state / "requests.json").exists(), "requests")
        asked = json.loads((self.state / "requests.json").read_text())
        self.assertEqual([path for _, path, _ in asked].count("/v1/services"), len(answers))

    def test_no_secret_is_printed(self):
        secret = bytes(range(200, 232))
        done = self.up("--join", token_of(secret=secret), fake={"answers": {**LINKED, **JOINED}})
        self.assertEqual(done.returncode, 0)
        self.assertNotIn(secret.hex(), done.stdout + done.stderr + (self.state / "weftd.log").read_text())
        self.assertNotIn("weft1:", done.stdout + done.stderr)

    def test_another_meshs_secret_is_never_replaced(self):
        self.state.mkdir(parents=True)
        file = self.state / "secret"
        file.write_text("# ours\n" + "ab" * 32 + "\n")
        done = self.up("--join", token_of(secret=bytes(32)))
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"{file} holds the secret of another mesh", done.stderr)
        self.assertIn("ab" * 32, file.read_text())
        self.assertFalse((self.state / "runs.json").exists())

    def test_the_same_secret_in_another_spelling_is_fine(self):
        self.state.mkdir(parents=True)
        (self.state / "secret").write_text("# by hand\n\n" + "AB" * 32)
        done = self.up("--join", token_of(secret=bytes([0xAB]) * 32),
                       fake={"answers": {**LINKED, **JOINED}})
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_file_that_is_no_secret_is_a_mistake_in_the_configuration(self):
        self.state.mkdir(parents=True)
        for text in ("", "xyz", "ab" * 31, "ab" * 33, "ab" * 32 + "\nmore"):
            (self.state / "secret").write_text(text)
            self.assertEqual(self.up("--join", token_of()).returncode, 78, text)

    def test_a_failed_start_shows_what_the_daemon_said(self):
        (self.folder / "deep").mkdir()
        self.state.mkdir()
        (self.state / "weftd.log").write_text("an old line of an earlier run\n" * 3)
        done = self.up(fake={"exit": 1, "say": "weftd: the disk \x1b[31mis full"})
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("  weftd: the disk \\x1b[31mis full\n", done.stderr)
        self.assertNotIn("an old line", done.stderr)

    def test_a_refused_configuration_is_status_78(self):
        done = self.up(fake={"exit": 78, "say": "weftd: weft.yaml:3: degree: expected a number"})
        self.assertEqual(done.returncode, 78)
        self.assertIn("weft.yaml:3: degree", done.stderr)

    def test_a_daemon_that_is_not_there_is_said_so(self):
        self.weftd.unlink()
        done = self.up(PATH="/nonexistent")
        self.assertEqual(done.returncode, 1)
        self.assertIn("weftd: No such file", done.stderr)

    def test_a_killed_daemon_is_told_from_one_that_gave_up(self):
        self.weftd.write_text("#!/bin/sh\nkill -9 $$\n")
        done = self.up()
        self.assertEqual(done.returncode, 1)
        self.assertIn("killed by signal 9", done.stderr)

    def busy(self):
        """Holds the default port; another program may do that already."""
        holder = socket.socket(socket.AF_INET6)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.addCleanup(holder.close)
        with contextlib.suppress(OSError):
            holder.bind(("::", 9338))
            holder.listen()

    def test_a_busy_default_port_gives_way_to_another(self):
        self.busy()
        done = self.up(fake={"busy_unless_listen": True})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("Port 9338 is in use", done.stderr)
        self.assertEqual(self.runs()[-1][-2:], ["--listen", ":0"])

    def test_a_chosen_port_is_not_replaced(self):
        self.busy()
        for arguments, environment in ((["--listen", ":9338"], {}), ([], {"WEFT_LISTEN": ":9338"}),
                                       (["--config", "x.yaml"], {})):
            done = self.up(*arguments, fake={"exit": 1}, **environment)
            self.assertEqual(done.returncode, 1)
            self.assertNotIn(":0", self.runs()[-1])

    def test_all_other_flags_are_the_daemons(self):
        flags = ["--name", "x", "--listen", ":1", "--listen", "[::1]:2", "--seed", "h:1", "--degree", "3",
                 "--heartbeat", "fast", "--discovery", "off", "--share-ports", "on", "--http", "127.0.0.1:0",
                 "--log-level", "debug", "--log-format", "json", "--secret-file", "/x", "--config", "/y"]
        self.assertEqual(self.up(*flags).returncode, 0)
        self.assertEqual(self.runs()[0][4:], flags)

    def test_up_again_tells_the_running_daemon(self):
        answers = {**LINKED, **OFFERED, **JOINED, **LISTENING,
                   "POST /v1/services": [200, {}],
                   "POST /v1/forwards": [200, {"address": "127.0.0.1:5000"}]}
        self.assertEqual(self.up(fake={"answers": answers}).returncode, 0)
        pid = self.pid()
        done = self.up("--export", "db=127.0.0.1:5432", "--forward", "web", "--forward", "web=5000",
                       "--join", token_of(), "--name", "other")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, "web is at 127.0.0.1:40001\nweb is at 127.0.0.1:5000\n")
        self.assertIn("--name changes nothing now", done.stderr)
        self.assertEqual(self.pid(), pid)
        os.kill(pid, signal.SIGTERM)
        until(lambda: (self.state / "requests.json").exists(), "requests")
        asked = json.loads((self.state / "requests.json").read_text())
        self.assertIn(["POST", "/v1/services", {"name": "db", "endpoint": "127.0.0.1:5432"}], asked)
        self.assertIn(["POST", "/v1/forwards", {"service": "web", "listen": "127.0.0.1:5000"}], asked)
        self.assertEqual(len(self.runs()), 1)

    def test_a_refused_invitation_takes_the_start_back(self):
        refusal = {"POST /v1/join": [409, {"error": "conflict", "message": "this is your own"}]}
        done = self.up("--join", token_of(), fake={"answers": refusal})
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("this is your own", done.stderr)
        self.assertIsNone(self.pid())
        self.assertEqual((self.state / "signal").read_text(), str(int(signal.SIGTERM)))

    def test_json_is_one_document(self):
        done = self.up("--forward", "web", "--json", fake={"answers": {**OFFERED, **LISTENING}})
        self.assertEqual(done.returncode, 0, done.stderr)
        told = json.loads(done.stdout)
        self.assertEqual(told["forwards"], [{"service": "web", "address": "127.0.0.1:40001"}])
        self.assertEqual((told["started"], told["invite"]), (True, "weft1:TOKEN"))
        self.assertFalse(json.loads(self.up("--json").stdout)["started"])

    def test_in_the_foreground_it_stays_and_hands_signals_on(self):
        with self.weft_start("--state", str(self.state), "up", "--foreground", WEFT_CONTROL="",
                             FAKE=json.dumps({"exit_after": 9})) as process:
            self.assertEqual(process.stdout.readline(), "weft up --join weft1:TOKEN\n")
            child = self.pid()
            self.assertIsNone(process.poll())
            self.assertNotEqual(os.getsid(child), child)
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(PATIENCE_S), 9)
            process.communicate()
        self.assertFalse(is_alive(child))
        self.assertFalse((self.state / "weftd.log").exists())

    def test_in_the_foreground_the_daemon_does_not_outlive_it(self):
        with self.weft_start("--state", str(self.state), "up", "--foreground", WEFT_CONTROL="",
                             FAKE="{}") as process:
            process.stdout.readline()
            child = self.pid()
            process.kill()
            process.wait()
            until(lambda: not is_alive(child), "the daemon outlives weft up --foreground")
            process.communicate()

    def test_a_folder_that_cannot_be_made_is_said_so(self):
        (self.folder / "deep").write_text("a file")
        done = self.up()
        self.assertEqual(done.returncode, 1)
        self.assertIn(str(self.state), done.stderr)


if __name__ == "__main__":
    sys.argv.remove(WEFT)
    unittest.main(verbosity=1)
