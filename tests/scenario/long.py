#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sweeps at length, with seeds that no push runs: scripts/test --long.

    long.py WEFT_SIM [SEEDS]

Chaos scenarios share SEEDS seeds (2,000), and every kind of fault must come up in them; each other
scenario of the suite gets 50 times the seeds that a push gives it, a tenth of SEEDS at most. The
first seed is 1,001. Exit status 0 only when all held.
"""

import json
import subprocess
import sys

FIRST = 1001
SEEDS = 2000
FACTOR = 50


def sweep(sim, names, count, *flags):
    seeds = f"{FIRST}..{FIRST + count - 1}"
    print(f"{' '.join(names)}: seeds {seeds}", flush=True)
    return subprocess.run([sim, "sweep", *names, "--seeds", seeds, "--keep-going", *flags],
                          check=False).returncode == 0  # fmt: skip


def main(arguments):
    if len(arguments) not in (1, 2):
        print("usage: long.py WEFT_SIM [SEEDS]", file=sys.stderr)
        return 2
    sim = arguments[0]
    total = int(arguments[1]) if len(arguments) == 2 else SEEDS
    listed = subprocess.run([sim, "list", "--json"], check=True, capture_output=True)
    scenarios = [s for s in json.loads(listed.stdout) if s["suite_seeds"] > 0]
    chaos = [s["name"] for s in scenarios if s["mode"] != "none"]
    held = []
    if chaos:
        held.append(sweep(sim, chaos, max(1, total // len(chaos)), "--require-all-faults"))
    for scenario in scenarios:
        if scenario["mode"] == "none":
            count = min(FACTOR * scenario["suite_seeds"], max(1, total // 10))
            held.append(sweep(sim, [scenario["name"]], count))
    print(f"{sum(held)} sweeps held, {len(held) - sum(held)} failed")
    return 0 if held and all(held) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
