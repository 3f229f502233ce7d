# SPDX-License-Identifier: Apache-2.0
"""The operations that everything is made of (bench_micro.c): instructions and allocations of each by
callgrind, which do not depend on how busy the machine is, and CPU nanoseconds, which do.

Each is run with two counts, and the difference divided. What is committed in bench/micro.json is
the measure: more than 3 % more instructions, or any more allocations, is worse, and the exit status
says so. Instructions are compared only where the compiler, libcrypto and valgrind are those that the
committed figures were taken with; allocations everywhere. `--commit` writes the new figures there.
"""
import argparse
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import tempfile

from callgrind import totals

COMMITTED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "micro.json")
WORSE = 1.03
COUNTS = {  # under callgrind; natively so many times more
    "seal-60k": 20, "seal-256": 2000, "seal-64-chacha": 2000,
    "seal-60k-chacha": 20, "seal-64": 2000, "link-frame": 3200, "link-1400": 1600,
    "link-60k": 400, "relay-1400": 2000, "relay-60k": 2000, "stream-60k": 400,
    "paths-1000": 20, "paths-1000-all": 2, "sync-2000": 20, "newcomer-200": 1,
}
NATIVE = 10


def counted(program, name, count, folder):
    out = os.path.join(folder, f"{name}-{count}")
    subprocess.run(["valgrind", "--tool=callgrind", "-q", f"--callgrind-out-file={out}", program,
                    name, str(count)], check=True, stdout=subprocess.DEVNULL)
    with open(out) as file:
        return totals(file.read())


def cpu_ns(program, name, count):
    process = subprocess.Popen([program, name, str(count)])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"bench micro: {name} failed")
    return 1e9 * (usage.ru_utime + usage.ru_stime)


def measure(program, name, folder):
    count = COUNTS[name]
    once, twice = (counted(program, name, times * count, folder) for times in (1, 2))
    native = cpu_ns(program, name, NATIVE * count), cpu_ns(program, name, 2 * NATIVE * count)
    return {"instructions": round((twice[0] - once[0]) / count),
            "allocations": round((twice[1] - once[1]) / count, 3),
            "ns": round((native[1] - native[0]) / (NATIVE * count))}


def tools():
    """What instruction counts depend on besides the source."""
    says = [subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()[0]
            for words in (["cc", "--version"], ["pkg-config", "--modversion", "libcrypto"], ["valgrind", "--version"])]
    return {"compiler": says[0], "libcrypto": says[1], "valgrind": re.sub("^valgrind-", "", says[2])}


def verdict(found, before, is_same):
    if before is None:
        return "new"
    if found["allocations"] > before["allocations"]:
        return "WORSE"
    if not is_same:
        return "-"
    more = found["instructions"] / before["instructions"]
    return "WORSE" if more > WORSE else f"{more - 1:+.1%}"


def main(argv):
    parser = argparse.ArgumentParser(prog="bench micro", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", default=",".join(COUNTS), help="by default %(default)s")
    parser.add_argument("--commit", action="store_true", help="write the figures to bench/micro.json")
    parser.add_argument("--bin", default="build/release/bin", help="the program to measure")
    options = parser.parse_args(argv)
    names = options.operations.split(",")
    if set(names) - set(COUNTS):
        parser.error(f"operations are {', '.join(COUNTS)}")
    program = os.path.abspath(os.path.join(options.bin, "bench_micro"))
    committed = {"tools": None, "operations": {}}
    if os.path.exists(COMMITTED):
        with open(COMMITTED) as file:
            committed = json.load(file)
    ours, figures = tools(), committed["operations"]
    is_same = committed["tools"] == ours
    if not is_same:
        print(f"instructions are not compared: here {ours}, committed {committed['tools']}")
    is_worse = False
    print(f"{'operation':16}{'instructions':>14}{'committed':>12}{'':>9}{'allocations':>13}{'committed':>12}{'ns CPU':>12}")
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, found in zip(names, pool.map(lambda name: measure(program, name, folder), names)):
            before = figures.get(name)
            says = verdict(found, before, is_same)
            is_worse = is_worse or says == "WORSE"
            was = before or {"instructions": "-", "allocations": "-"}
            print(f"{name:16}{found['instructions']:14}{was['instructions']:>12}{says:>9}"
                  f"{found['allocations']:13}{was['allocations']:>12}{found['ns']:12}")
            figures[name] = {key: found[key] for key in ("instructions", "allocations")}
    if options.commit:
        with open(COMMITTED, "w") as file:
            json.dump({"tools": ours, "operations": {name: figures[name] for name in COUNTS if name in figures}},
                      file, indent=1)
            file.write("\n")
    return int(is_worse and not options.commit)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
