#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One key in two places (T18), and one name claimed by two nodes."""

import shutil
import time

import hostile
from hostile import HostileTest, harness


class Clone(HostileTest):
    def copy_state(self, node, name):
        """What a disk image keeps: the identity, the secret, and the store."""
        target = self.folder / name
        target.mkdir(mode=0o700)
        for file in ("identity", "secret", "store.db", "store.db-wal", "store.db-shm"):
            if (node.state / file).exists():
                shutil.copy2(node.state / file, target / file)
        return target

    def flaps(self, node, peer, since):
        """How often `peer` went away for `node` after that event."""
        return [
            event for event in node.event_lines()
            if event["seq"] > since and event["event"] == "peer-down"
            and event["detail"].get("peer") == peer
        ]  # fmt: skip

    def test_a_cloned_disk_is_found_and_one_of_two_quarantined(self):
        a, b, c = self.mesh()
        original = self.join("twin", a)
        for node in (a, b, c):
            node.wait_reach("twin")
        state = self.copy_state(original, "copy")
        marks = {node.name: node.event_lines()[-1]["seq"] for node in (a, b, c)}
        honest = self.honest_view((a, b, c))
        started = time.monotonic()
        copy = self.node("twin-copy", "--name", "twin", "--seed", a.address, state=state)
        self.assertEqual(copy.id, original.id)
        twins = (original, copy)

        def found():
            return any(
                event["event"] == "clone" for twin in twins for event in twin.event_lines()
            )

        a.wait(found, "the clone to be found")
        print(f"found after {time.monotonic() - started:.1f} s")
        self.assertLess(time.monotonic() - started, 5)
        a.wait(
            lambda: sum(t.get("status")["verdict"] == "quarantined" for t in twins) == 1,
            "one of the two to be quarantined",
        )
        out, stays = sorted(twins, key=lambda t: t.get("status")["verdict"] != "quarantined")
        event = next(
            event for twin in twins for event in twin.event_lines() if event["event"] == "clone"
        )
        named = event["detail"]["here"] + " " + event["detail"]["there"]
        for twin in twins:
            self.assertIn(twin.address, named, "both addresses are named")
        problem = out.get("status")["problems"][0]
        self.assertIn("key", problem["what"])
        self.assertTrue(problem["next"])
        for node in (a, b, c):
            node.wait_reach("twin")
        stays.wait_reach("a", "b", "c")
        # Over to the newcomer, and at most once back; the words of the two may besides come in such an order
        # that a path is lost and found within one millisecond. That none flaps in the ten seconds after is seen
        # on virtual time: core_own.a_cloned_disk_is_found_at_once_and_routes_go_over_once_and_back.
        for node in (a, b, c):
            self.assertLessEqual(len(self.flaps(node, "twin", marks[node.name])), 3, node.log())
            lines = [line for line in node.log().splitlines() if "clone" in line]
            self.assertLessEqual(len(lines), 1)
        for twin in twins:
            lines = [line for line in twin.log().splitlines() if " clone " in line]
            self.assertLessEqual(len(lines), 2, twin.log())
        self.assertEqual(self.honest_view((a, b, c)), honest)

    def test_a_name_claimed_twice_is_shown(self):
        a, b, c = self.mesh()
        other = self.join("another-b", a, "--name", "b")
        a.wait(
            lambda: [p["name_clash"] for p in a.get("peers") if p["name"] == "b"] == [True, True],
            "two nodes named b",
        )
        self.assertFalse(any(p["name_clash"] for p in a.get("peers") if p["name"] != "b"))
        problems = [problem["what"] for problem in a.get("status")["problems"]]
        self.assertTrue(any("name b" in what for what in problems), problems)
        for node in (b, other):  # each can still be asked for by its id
            a.api("POST", "/v1/ping", {"peer": node.id})
        with self.assertRaises(harness.ApiError) as raised:
            a.api("POST", "/v1/ping", {"peer": "b"})
        self.assertIn(raised.exception.status, (400, 404, 409))


if __name__ == "__main__":
    hostile.main()
