# SPDX-License-Identifier: Apache-2.0
"""The simulator's side: a case as a scenario file, a run, its trace."""

import json
import re
import subprocess

from cases import QUIET_S, fault_at
from views import Word, right_since

LINE = re.compile(
    r"^(\d+\.\d+) (\d+) (?:node (up)|core info (peer-up|peer-down) peer=(\S+) id=(\S+))", re.M
)
FAULT = re.compile(r"^(\d+\.\d+) -- fault ", re.M)


def scenario(case, name, at_s):
    """The text of the scenario file."""
    who = json.dumps(list(case.who))
    fault = {"kill": f"crash: {who}", "stop": f"pause: {who}", "leave": f"leave: {who}",
             "cut": f"silence: {who}"}[case.fault]  # fmt: skip
    if case.other:
        fault += f", with: {json.dumps(list(case.other))}"
    elif case.fault == "cut":
        fault = f"partition: {who}"
    if case.sees == "reach":
        fault += f", for: {round(case.span_s * 1000)}ms"
    edges = json.dumps([list(edge) for edge in case.edges])
    return f"""\
name: {name}
about: {case.title}, as it is compared with real daemons.
nodes: {case.nodes}
topology: {{kind: list, edges: {edges}}}
discovery: {"on" if case.discovery else "off"}
heartbeat: {case.heartbeat}
link: {{delay: {case.delay_ms * 1000 + 50}us}}
form: {{within: 30s, quiet: {round(QUIET_S * 1000)}ms}}
run: {round((at_s + case.span_s + 30) * 1000)}ms
rest: 0
faults:
  - {{at: {round(at_s * 1000)}ms, {fault}}}
"""


def words_of(trace):
    """What the nodes said, and {number: id}."""
    words, ids = [], {}
    for match in LINE.finditer(trace):
        at, node = float(match[1]), int(match[2])
        if match[3]:
            words.append(Word(at, node, "started"))
        else:
            words.append(Word(at, node, match[4], match[6]))
            if match[4] == "peer-up":
                ids[int(match[5].removeprefix("node-"))] = match[6]
    return words, ids


def times_of_links(case, trace, result):
    """The mesh forms as ever; then the simulator's own word for when all views are right."""
    words, ids = words_of(trace)
    expected = {node: {ids[peer] for peer in peers} for node, peers in case.expected(False).items()}
    form = right_since(words, expected, 0.0, float(FAULT.search(trace)[1]))
    converge = next(row for row in result["metrics"] if row["name"] == "converge.time")
    return [form, converge["max"] / 1e9 if converge["count"] == 1 else None]


def times_of(case, trace):
    """The three times in seconds; None for what never came to be right."""
    words, ids = words_of(trace)
    fault = float(FAULT.search(trace)[1])
    over = fault + case.span_s
    if case.fault in ("kill", "leave"):
        over = max(word.at for word in words if word.kind == "started" and word.node in case.who)
    times = []
    for is_faulty, begin, end in ((False, 0.0, fault), (True, fault, over - 1e-6),
                                  (False, over, over + 29)):  # fmt: skip
        expected = {node: {ids[peer] for peer in peers}
                    for node, peers in case.expected(is_faulty).items()}  # fmt: skip
        right = right_since(words, expected, begin, end)
        times.append(None if right is None else right - begin)
    return times


def run(weft_sim, case, number, folder):
    """The times of one run."""
    name = f"case-{number}"
    file, trace, result = (folder / f"{name}.{end}" for end in ("yaml", "trace", "json"))
    file.write_text(scenario(case, name, fault_at(number)))
    done = subprocess.run(
        [weft_sim, "run", str(file), "--seed", str(number + 1), "--trace", str(trace), "--json",
         str(result), "--quiet"], capture_output=True, text=True, check=False)  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"{case.title}: {done.stdout}{done.stderr}")
    if case.sees == "links":
        return times_of_links(case, trace.read_text(), json.loads(result.read_text()))
    return times_of(case, trace.read_text())


