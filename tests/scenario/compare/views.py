# SPDX-License-Identifier: Apache-2.0
"""From what nodes said to when all views were right.

Cores say "peer-up" and "peer-down" in the simulator's trace and in the daemon's log alike, so both
are measured by the same rule: an event is over when the last node came to reach exactly those that
it should, and stayed so.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Word:
    """One thing that one node said."""

    at: float
    node: int
    kind: str  # started, peer-up, peer-down
    peer: str = ""  # its id


def right_since(words, expected, begin, end):
    """When the last of the nodes in `expected` ({node: ids it should reach}) was right for good
    between begin and end; None if one never was."""
    reached = {node: set() for node in expected}
    since = {node: begin if not ids else None for node, ids in expected.items()}
    for word in sorted(words, key=lambda word: word.at):
        if word.node not in expected or word.at > end:
            continue
        apply(reached[word.node], word)
        is_right = reached[word.node] == expected[word.node]
        if not is_right:
            since[word.node] = None
        elif since[word.node] is None:
            since[word.node] = max(word.at, begin)
    if None in since.values():
        return None
    return max(since.values())


def apply(reached, word):
    if word.kind == "started":
        reached.clear()
    elif word.kind == "peer-up":
        reached.add(word.peer)
    else:
        reached.discard(word.peer)
