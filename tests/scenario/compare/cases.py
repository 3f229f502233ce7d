# SPDX-License-Identifier: Apache-2.0
"""What is played in both worlds: small meshes, one fault each, and what should then be seen.

A case has links a-b (a dials b), a fault that lasts a while, and so three events: all are started
at once and find each other; the fault begins; it ends. `expected` says whom each node should reach
after each: who is alive and connected to it by links that carry.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    nodes: int
    edges: tuple
    fault: str  # kill, stop, leave, cut
    who: tuple  # the nodes; with cut: one side
    span_s: float
    delay_ms: int = 0
    heartbeat: str = "1s"
    discovery: bool = False
    other: tuple = ()  # with cut: the other side; all others if empty
    sees: str = "reach"  # or links: it is over when all agree on all links, and its end is not timed

    @property
    def title(self):
        return f"{self.name}, {self.delay_ms} ms"

    @property
    def events(self):
        if self.sees == "links":
            return "form", "DROP, all links known"
        begin, end = {"kill": ("kill -9", "restart"), "stop": ("SIGSTOP", "SIGCONT"),
                      "leave": ("SIGTERM", "restart"), "cut": ("DROP", "end of DROP")}[self.fault]  # fmt: skip
        return "form", begin, end

    def is_cut(self, a, b):
        other = self.other or tuple(n for n in range(self.nodes) if n not in self.who)
        one_way = a in self.who and b in other
        return self.fault == "cut" and (one_way or (b in self.who and a in other))

    def links(self):
        """Those that all know of while the fault lasts, as sets of two."""
        return {frozenset(edge) for edge in self.edges if not self.is_cut(*edge)}

    def pairs(self):
        """All that are or may become linked."""
        if not self.discovery:
            return self.edges
        return tuple((a, b) for a in range(self.nodes) for b in range(a))

    def expected(self, is_faulty):
        """{node: the set it should reach}, of nodes that should see anything at all."""
        dead = set(self.who) if is_faulty and self.fault != "cut" else set()
        part = {node: {node} for node in range(self.nodes) if node not in dead}
        for a, b in self.pairs():
            if a in part and b in part and not (is_faulty and self.is_cut(a, b)):
                merged = part[a] | part[b]
                for node in merged:
                    part[node] = merged
        return {node: nodes - {node} for node, nodes in part.items()}


def line(count):
    return tuple((i, i - 1) for i in range(1, count))


def ring(count):
    return (*line(count), (0, count - 1))


def full(count):
    return tuple((a, b) for a in range(count) for b in range(a))


def through_seed(count):
    return tuple((i, 0) for i in range(1, count))


CASES = (
    Case("line of 5, its middle cut", 5, line(5), "cut", (2,), 7, other=(3,)),
    Case("line of 5, its middle cut", 5, line(5), "cut", (2,), 7, other=(3,), delay_ms=20),
    Case("ring of 6, a link cut", 6, ring(6), "cut", (2,), 7, other=(3,), sees="links"),
    Case("ring of 6, a link cut", 6, ring(6), "cut", (2,), 7, other=(3,), sees="links", delay_ms=20),
    Case("ring of 6, one killed", 6, ring(6), "kill", (2,), 4),
    Case("ring of 6, one killed", 6, ring(6), "kill", (2,), 4, delay_ms=20),
    Case("ring of 12, one killed", 12, ring(12), "kill", (5,), 4, delay_ms=20),
    Case("full mesh of 6, one stopped", 6, full(6), "stop", (2,), 8),
    Case("full mesh of 6, one stopped", 6, full(6), "stop", (2,), 8, delay_ms=20),
    Case("same, heartbeat 200 ms", 6, full(6), "stop", (2,), 4, heartbeat="200ms"),
    Case("full mesh of 6, halves parted", 6, full(6), "cut", (0, 1, 2), 7),
    Case("full mesh of 6, halves parted", 6, full(6), "cut", (0, 1, 2), 7, delay_ms=20),
    Case("8 through one seed, one leaves", 8, through_seed(8), "leave", (3,), 4, discovery=True),
    Case("line of 4, one leaves", 4, line(4), "leave", (3,), 4, delay_ms=20),
)
QUICK = tuple(
    case for case in CASES
    if case.title in ("ring of 6, one killed, 20 ms", "same, heartbeat 200 ms, 0 ms",
                      "line of 4, one leaves, 20 ms")
)  # fmt: skip

GOLDEN = 0.618034
QUIET_S = 2.0  # between the mesh formed and t=0
SETTLE_S = 0.5  # what was right must have stayed so for that long


def fault_at(number):
    """When the fault of a run comes, from t=0. Heartbeats beat since the mesh formed: so that runs
    do not hit the same phase, whatever the interval, they are spread over a second by the golden
    ratio. Run n of either world hits the same one."""
    return 1.0 + number * GOLDEN % 1.0
