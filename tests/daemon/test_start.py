#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a daemon refuses to start with, in words that help, and what it exposes once it runs."""

import os
import re
import socket
import stat

import harness
from harness import WeftTest, listening_ports, refused_start


class Start(WeftTest):
    def refuse(self, status, *command, env=None):
        state = ["--state", str(self.folder / "refused")]
        got, said = refused_start(self, *state, *command, env=env)
        self.assertEqual(got, status, said)
        return said

    def write(self, name, text, mode=0o600):
        path = self.folder / name
        path.touch(mode=mode)
        path.write_text(text)
        return str(path)

    def test_a_wrong_key_names_file_line_and_key(self):
        file = self.write("weft.yaml", "name: a\ndegreee: 3\n")
        said = self.refuse(78, "--config", file)
        self.assertRegex(said, r"weft\.yaml:2: .*degreee")

    def test_a_wrong_value_says_what_was_expected(self):
        file = self.write("weft.yaml", "name: a\n\ndegree: many\n")
        said = self.refuse(78, "--config", file)
        self.assertRegex(said, r"weft\.yaml:3: .*degree.*expected")

    def test_a_wrong_variable_is_named(self):
        said = self.refuse(78, env={"WEFT_DEGREE": "many"})
        self.assertIn("WEFT_DEGREE", said)

    def test_a_wrong_flag_is_usage(self):
        self.assertIn("--degre", self.refuse(2, "--degre", "3"))

    def test_a_port_in_use_is_told(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            said = self.refuse(1, "--listen", f"127.0.0.1:{port}")
        self.assertIn(f"127.0.0.1:{port}", said)
        self.assertIn("in use", said)

    def test_a_second_daemon_on_the_same_state_is_refused(self):
        a = self.node("a")
        status, said = refused_start(self, "--listen", "127.0.0.1:0", "--state", str(a.state))
        self.assertEqual(status, 1)
        self.assertIn(str(a.process.pid), said)
        self.assertEqual(a.get("status")["name"], "a")

    def test_a_second_daemon_on_the_same_control_socket_is_refused(self):
        a = self.node("a")
        said = self.refuse(1, "--listen", "127.0.0.1:0", "--control", str(a.control))
        self.assertIn(str(a.control), said)
        self.assertEqual(a.get("status")["name"], "a")

    def test_a_file_in_the_way_of_the_control_socket_is_left_alone(self):
        file = self.write("precious", "keep me")
        said = self.refuse(1, "--listen", "127.0.0.1:0", "--control", file)
        self.assertIn("precious", said)
        self.assertEqual((self.folder / "precious").read_text(), "keep me")

    def test_a_control_path_that_is_too_long_is_told(self):
        path = str(self.folder / ("x" * 120))
        said = self.refuse(78, "--listen", "127.0.0.1:0", "--control", path)
        self.assertIn("at most", said)

    def test_a_stale_control_socket_is_replaced(self):
        a = self.node("a")
        a.kill()
        self.assertTrue(a.control.exists())
        a.start()
        self.assertEqual(a.get("status")["incarnation"], 2)

    def test_a_secret_that_others_can_read_is_refused(self):
        file = self.write("secret", "00" * 32 + "\n")
        os.chmod(file, 0o644)
        said = self.refuse(78, "--listen", "127.0.0.1:0", "--secret-file", file)
        self.assertIn(file, said)

    def test_a_secret_file_that_is_missing_is_refused(self):
        file = str(self.folder / "absent")
        said = self.refuse(78, "--listen", "127.0.0.1:0", "--secret-file", file)
        self.assertIn("absent", said)

    def test_a_state_folder_that_others_can_read_is_refused(self):
        folder = self.folder / "open"
        folder.mkdir()
        os.chmod(folder, 0o755)
        status, said = refused_start(self, "--listen", "127.0.0.1:0", "--state", str(folder))
        self.assertEqual(status, 78)
        self.assertIn(str(folder), said)

    def test_a_broken_identity_is_never_replaced(self):
        a = self.node("a")
        a.stop()
        (a.state / "identity").write_text("not a key\n")
        status, said = refused_start(self, "--listen", "127.0.0.1:0", "--state", str(a.state))
        self.assertEqual(status, 78, said)
        self.assertEqual((a.state / "identity").read_text(), "not a key\n")

    def test_help_and_version_need_nothing(self):
        for flag, expected in (("--help", "--seed"), ("--version", "weftd 0.")):
            node = harness.Node(self, "a", flag).spawn()
            self.assertEqual(node.wait_exit(), 0)
            self.assertIn(expected, node.process.stdout.read().decode())

    def test_the_identity_stays_and_the_incarnation_grows(self):
        a = self.node("a")
        first = a.id
        self.assertEqual(a.get("status")["incarnation"], 1)
        a.stop()
        a.start()
        self.assertEqual(a.id, first)
        self.assertEqual(a.get("status")["incarnation"], 2)


class Exposure(WeftTest):
    def test_the_control_socket_is_for_its_owner_alone(self):
        a = self.node("a")
        self.assertEqual(stat.S_IMODE(a.control.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(a.state.stat().st_mode), 0o700)

    def test_only_the_peer_port_listens(self):
        a = self.node("a")
        port = int(a.address.rsplit(":", 1)[1])
        self.assertEqual(listening_ports(a.process.pid), {port})

    def test_what_was_asked_for_listens_too(self):
        a = self.node("a", "--forward", "web=0", "--http", "127.0.0.1:0")
        self.assertEqual(len(listening_ports(a.process.pid)), 3)

    def test_no_secret_is_ever_logged(self):
        a = self.node("a", "--log-level", "debug")
        b = self.join("b", a, "--log-level", "debug", "--log-format", "json")
        stranger = self.node("s", "--seed", a.address, "--log-level", "debug")
        b.wait_reach("a")
        a.wait_event("handshake-failed")
        token = a.get("invite")["token"]
        b.request("POST", "/v1/join", {"token": token})
        stranger.request("POST", "/v1/join", {"token": token})
        stranger.signal(1)
        for node in (a, b, stranger):
            node.stop()
        secrets = [digits(node.secret) for node in (a, stranger)]
        secrets += [digits((node.state / "identity").read_text()) for node in (a, b, stranger)]
        secrets.append(token[len("weft1:") :])
        for node in (a, b, stranger):
            said = node.log() + (node.state / "store.db").read_bytes().decode("latin-1")
            self.assertGreater(len(node.log()), 0)
            for secret in secrets:
                self.assertNotIn(secret[:16], said)

    def test_ready_is_one_line(self):
        a = self.node("a")
        self.assertRegex(
            a.ready_line,
            r"^ready name=a id=[a-z2-7]{26} listen=127\.0\.0\.1:\d+ control=\S+/control\.sock\n$",
        )
        a.stop()
        self.assertEqual(a.process.stdout.read(), b"")


def digits(text):
    """The 64 hexadecimal digits of a key file."""
    return re.search(r"[0-9a-f]{64}", text).group(0)


if __name__ == "__main__":
    harness.main()
