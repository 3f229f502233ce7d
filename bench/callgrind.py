# SPDX-License-Identifier: Apache-2.0
"""Reads what callgrind writes."""
import re

ALLOCATORS = ("malloc", "calloc", "realloc")


def totals(text):
    """(instructions, calls of the allocator) of one dump."""
    named = dict(re.findall(r"^c?fn=\((\d+)\) (\S+)$", text, re.M))
    wanted = {number for number, name in named.items() if name in ALLOCATORS}
    calls = re.findall(r"^cfn=\((\d+)\).*\ncalls=(\d+)", text, re.M)
    return (int(re.search(r"^totals: (\d+)", text, re.M)[1]),
            sum(int(count) for number, count in calls if number in wanted))
