#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads docs/security.md against the tests: each case has some, and each that it names is there.
The tests that docs/streams.md names for its claims must be there too.

    check_cases.py ROOT [CTEST_NAMES]    one line a fault; exit status 1 if there was any

A test of Python must be of a file that is run: its entry is looked up in the list of names given.
"""

import ast
import pathlib
import re
import subprocess
import sys

CASES = [*(f"T{number}" for number in range(1, 23)), "C7"]
PYTHON = {"hostile": "tests/hostile", "daemon": "tests/daemon", "real": "tests/daemon"}


def criterion_tests(root):
    """All `suite.test` of the tree."""
    found = set()
    for folder in ("tests/unit", "tests/property"):
        for file in (root / folder).rglob("*.c"):
            for suite, name in re.findall(r"^Test\(\s*(\w+),\s*(\w+)", file.read_text(), re.M):
                found.add(f"{suite}.{name}")
    return found


def python_tests(root, entry):
    """The methods that the file of a ctest entry runs; None if there is no such file."""
    group, name = entry.split("_", 1)
    prefix = "test_real_" if group == "real" else "test_"
    file = root / PYTHON[group] / f"{prefix}{name}.py"
    if not file.exists():
        return None
    tree = ast.parse(file.read_text())
    return {
        method.name
        for owner in tree.body if isinstance(owner, ast.ClassDef)
        for method in owner.body if isinstance(method, ast.FunctionDef)
    }  # fmt: skip


def rows(text):
    """{case: [names of tests]} of the table of cases; a case may have several rows."""
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        case = re.match(r"([TC]\d+)\b", cells[0])
        if line.startswith("| ") and case:
            found.setdefault(case.group(1), []).extend(re.findall(r"`([^`]+)`", cells[-1]))
    return found


def claims(text):
    """{claim: [names of tests]} of a table that has tests in its last column."""
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        names = re.findall(r"`([\w-]+\.\w+)`", cells[-1]) if line.startswith("|") else []
        if names:
            found[cells[0]] = names
    return found


def fault_of(root, name, criterion, entries):
    """What is wrong with the name of a test; None if it is there."""
    if name.endswith(".yaml"):
        file = root / "sim/scenarios" / name
        runs = file.exists() and re.search(r"^suite-seeds: *[1-9]", file.read_text(), re.M)
        return None if runs else "no scenario of the suite"
    suite, _, test = name.partition(".")
    if suite.split("_")[0] in PYTHON and test.startswith("test_"):
        if entries is not None and suite not in entries:
            return "no ctest entry runs its file"
        return None if test in (python_tests(root, suite) or ()) else "no such test"
    return None if name in criterion else "no such test"


def check(root, entries=None):
    """The faults, one line each."""
    criterion = criterion_tests(root)
    found = rows((root / "docs/security.md").read_text())
    faults = [f"{case}: no row" for case in CASES if case not in found]
    streams = root / "docs/streams.md"
    found |= claims(streams.read_text()) if streams.exists() else {}
    for case, names in found.items():
        if not names:
            faults.append(f"{case}: no test")
        for name in names:
            fault = fault_of(root, name, criterion, entries)
            if fault:
                faults.append(f"{case}: {name}: {fault}")
    return faults


def main():
    root = pathlib.Path(sys.argv[1])
    entries = None
    if len(sys.argv) > 2:
        listed = subprocess.run(["ctest", "--test-dir", sys.argv[2], "-N"], capture_output=True,
                                text=True, check=True).stdout  # fmt: skip
        entries = set(re.findall(r"Test +#\d+: (\w+)", listed))
    faults = check(root, entries)
    print("\n".join(faults) or f"{len(CASES)} cases, each with its tests")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
