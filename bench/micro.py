# SPDX-License-Identifier: Apache-2.0
"""The operations that everything is made of (bench_micro.c): instructions and allocations of each by
callgrind, which do not depend on how busy the machine is, and CPU nanoseconds, which do.

Each is run with two counts, and the difference divided. What is committed in bench/micro.json is
the measure: more than 3 % more instructions, or any more allocations, is worse, and the exit status
says so. `--commit` writes the new figures there.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

from callgrind import totals

COMMITTED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "micro.json")
WORSE = 1.03
COUNTS = {  # under callgrind; natively so many times more
    "seal-60k": 20, "seal-256": 2000, "seal-64-chacha": 2000, "link-frame": 3200, "link-1400": 1600,
    "link-60k": 400, "relay-1400": 2000, "relay-60k": 2000, "paths-1000": 20, "newcomer-200": 1,
}
NATIVE = 10


def counted(program, name, count, folder):
    out = os.path.join(folder, "callgrind")
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


def verdict(found, before):
    if before is None:
        return "new"
    is_worse = (found["instructions"] > WORSE * before["instructions"]
                or found["allocations"] > before["allocations"])
    return "WORSE" if is_worse else f"{found['instructions'] / before['instructions'] - 1:+.1%}"


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
    committed = {}
    if os.path.exists(COMMITTED):
        with open(COMMITTED) as file:
            committed = json.load(file)
    is_worse = False
    print(f"{'operation':16}{'instructions':>14}{'committed':>12}{'':>9}{'allocations':>13}{'ns CPU':>12}")
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            found, before = measure(program, name, folder), committed.get(name)
            says = verdict(found, before)
            is_worse = is_worse or says == "WORSE"
            print(f"{name:16}{found['instructions']:14}{before['instructions'] if before else '-':>12}"
                  f"{says:>9}{found['allocations']:13}{found['ns']:12}")
            committed[name] = {key: found[key] for key in ("instructions", "allocations")}
    if options.commit:
        with open(COMMITTED, "w") as file:
            json.dump({name: committed[name] for name in COUNTS if name in committed}, file, indent=1)
            file.write("\n")
    return int(is_worse and not options.commit)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
