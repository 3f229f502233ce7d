#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads every C file of the tree against the layout that docs/architecture.md describes.

    check_layout.py ROOT        prints one line a violation; exit status 1 if there was any

What is checked, and why a compiler does not do it:
  - who includes whom: only src is on the include path, so the compiler finds every folder;
  - the system headers of the folders without I/O: no clock, socket, thread, libevent, SQLite;
  - variables that live as long as the process in those folders: one process holds many nodes;
  - functions that are banned everywhere, <assert.h>, and files of more than 800 lines.

The checker reads C by regular expression, after blanking comments and literals. That is exact for
includes and calls, and good enough for variables in code that clang-format has laid out.
"""

import pathlib
import re
import sys

LINES_MAX = 800

# Folder -> project folders that it may include, beside itself, base and include/weft.
FOLDERS = {
    "base": [],
    "wire": [],
    "noise": [],
    "router": ["wire", "noise"],
    "gossip": ["wire", "noise"],
    "stream": ["wire", "noise"],
    "link": ["wire", "noise"],
    "core": ["wire", "noise", "router", "gossip", "stream"],
    "invite": [],
    "proxy": [],
    "store": [],
    "node": ["wire", "noise", "router", "gossip", "stream", "link", "core", "proxy", "store",
             "invite"],
    "cli": ["invite"],
    "sim": ["wire", "noise", "router", "gossip", "stream", "link", "core"],
    "weft": [],
}

# Folders that do no I/O: what they may include is listed, all else is refused.
PURE = ["base", "wire", "noise", "router", "gossip", "stream", "link", "core", "weft"]
PURE_HEADERS = [
    "ctype.h", "endian.h", "errno.h", "inttypes.h", "limits.h", "stdalign.h", "stdarg.h", "stdbool.h",
    "stddef.h", "stdint.h", "stdio.h", "stdlib.h", "string.h",
]  # fmt: skip

# Libraries of others, by the start of the header's name, and the folders that may use them.
LIBRARIES = {
    "uthash.h": ["base"],
    "utlist.h": ["base"],
    "utarray.h": ["base"],
    "msgpack": ["wire", "noise", "node"],
    "sodium": ["wire", "noise", "invite", "node"],
    "openssl/": ["wire", "noise", "node"],
    "event2/": ["proxy", "node"],
    "event.h": [],
    "sqlite3": ["store", "node"],
    "jansson": ["node", "cli", "sim"],
    "curl/": ["cli"],
    "yaml.h": ["node", "sim"],
    "cyaml/": ["node"],
    "asm/hwcap.h": ["noise"],  # which cipher the processor favours
    "sys/auxv.h": ["noise"],
    "sanitizer/": ["base"],  # to poison what lies in a pool
}

# Beyond the pure folders only the simulator is held to this: its time and its network are its own.
WORLD_HEADERS = [
    "time.h", "sys/time.h", "sys/socket.h", "sys/epoll.h", "sys/timerfd.h", "sys/un.h", "poll.h",
    "netdb.h", "netinet/", "arpa/", "pthread.h", "threads.h",
]  # fmt: skip

# Real time is shown to people who wait, by one file, and decides nothing.
WORLD_EXEMPT = {"sim/progress.c": ["time.h"]}
# The one choice of a planted defect, in builds that have any (-DWEFT_DEFECTS=ON).
STATE_EXEMPT = {"src/base/defect.c", "src/base/defect.h"}

BANNED = ["strcpy", "strcat", "sprintf", "atoi", "sscanf", "strtok", "rand", "time",
          "gettimeofday", "alloca"]  # fmt: skip

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
BLANKED = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n\\]|\\\n|\\.)*", re.MULTILINE)
# A member called time, or a name that ends in one, is no call of the library's.
BANNED_CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
LOCAL_STATIC = re.compile(r"\bstatic\b([^;=({\[]*)([;=({\[])(\s*\*[^)]*\))?")
NO_VARIABLE = re.compile(r"^(typedef|_Static_assert|static_assert)\b")
POINTER_VARIABLE = re.compile(r"^[^(]*\(\s*\*\s*(const\s+)?\w+\s*\)")
BARE_TYPE = re.compile(r"^(struct|union|enum)(\s+__attribute__\s*\(\(.*?\)\))?(\s+\w+)?\s*(\{\})?$")


def blank(match):
    """What was matched, without its characters but with its line ends."""
    return re.sub(r"[^\n]", " ", match.group(0))


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def include_fault(folder, quote, header, exempt):
    """Why `folder` may not include `header`, or None; `exempt`: what one file of it may."""
    first = header.split("/")[0]
    if header == "assert.h":
        return "<assert.h> is off in release builds; use base/check.h"
    if first in FOLDERS and "/" in header:
        allowed = [folder, "base", "weft", *FOLDERS[folder]]
        return None if first in allowed else f"{folder} may not include {first}"
    if quote == '"':
        return "project includes are spelt from src"
    for start, users in LIBRARIES.items():
        if header.startswith(start):
            return None if folder in users else f"{folder} may not use <{header}>"
    if folder in PURE and header not in PURE_HEADERS:
        return f"{folder} does no I/O and may not use <{header}>"
    if header in exempt:
        return None
    if folder == "sim" and any(header.startswith(start) for start in WORLD_HEADERS):
        return f"sim has a clock and a network of its own and may not use <{header}>"
    return None


def include_faults(folder, text, exempt):
    for match in INCLUDE.finditer(text):
        fault = include_fault(folder, *match.groups(), exempt)
        if fault:
            yield line_of(text, match.start()), fault


def is_constant(declaration):
    """Whether what is declared, not merely what it points to, is const."""
    return re.search(r"\bconst\b", declaration.rsplit("*", 1)[-1]) is not None


def local_variable_faults(code):
    """Static variables, wherever they stand."""
    for match in LOCAL_STATIC.finditer(code):
        declaration, end, pointer = match.groups()
        if end == "(" and pointer is None:
            continue  # a function
        if not is_constant(declaration if end != "(" else pointer):
            yield line_of(code, match.start()), "static state: one process holds many nodes"


def top_level(code):
    """Yields (offset, text) of each declaration outside all braces, inner text left out."""
    depth, start, text = 0, None, ""
    for offset, char in enumerate(code):
        if char == "}":
            depth -= 1
            is_function = depth == 0 and text.rstrip("{").rstrip().endswith(")")
            text = "" if is_function else text + "}" if depth == 0 else text
        elif char == "{":
            text += "{" if depth == 0 else ""
            depth += 1
        elif depth == 0 and char == ";":
            yield start, text.strip()
            text = ""
        elif depth == 0:
            start = offset if not text.strip() else start
            text += char


def global_variable_faults(code):
    """Variables at file scope that are not static, or only declared here."""
    for offset, text in top_level(code):
        declared = text.split("=")[0].strip()
        plain = re.sub(r"__attribute__\s*\(\(.*?\)\)|\[[^\]]*\]", "", declared).strip()
        is_static = re.search(r"\bstatic\b", plain) is not None  # found as a static variable
        if not plain or is_static or NO_VARIABLE.match(plain) or BARE_TYPE.match(plain):
            continue
        if "(" in plain and not POINTER_VARIABLE.match(plain):
            continue  # a function
        if not is_constant(plain):
            yield line_of(code, offset), "global state: one process holds many nodes"


def call_faults(code):
    for match in BANNED_CALL.finditer(code):
        yield line_of(code, match.start()), f"{match.group(1)} is banned"


def file_faults(folder, name, text):
    """Yields (line, fault) for one file of `folder`; `name`: as seen from the root."""
    line_count = text.count("\n")
    if line_count > LINES_MAX:
        yield line_count, f"{line_count} lines; split files beyond {LINES_MAX}"
    if "SPDX-License-Identifier: Apache-2.0" not in text.split("\n", 1)[0]:
        yield 1, "the first line names no licence"
    # Literals are blanked for the code, but an include's quoted name is one.
    no_comments = BLANKED.sub(lambda m: blank(m) if m.group(0)[0] == "/" else m.group(0), text)
    yield from include_faults(folder, no_comments, WORLD_EXEMPT.get(name, []))
    code = BLANKED.sub(blank, text)
    yield from call_faults(code)
    if folder in PURE:
        plain = DIRECTIVE.sub(blank, code)
        yield from local_variable_faults(plain)
        if name not in STATE_EXEMPT:
            yield from global_variable_faults(plain)


def folders_of(root):
    """Yields (folder's name, path) for each folder to be read; a name is None if unknown."""
    source = root / "src"
    for path in sorted(source.iterdir()) if source.is_dir() else []:
        if path.is_dir():
            yield path.name if path.name in FOLDERS else None, path
    for name, path in (("weft", root / "include" / "weft"), ("sim", root / "sim")):
        if path.is_dir():
            yield name, path


def check(root):
    """All violations below `root`, as lines of text."""
    faults = []
    for folder, path in folders_of(root):
        files = sorted(p for p in path.rglob("*") if p.suffix in (".c", ".h"))
        if folder is None:
            faults.append(f"{path.relative_to(root)}: a folder that the layout does not know")
            continue
        for file in files:
            name = file.relative_to(root).as_posix()
            for line, fault in file_faults(folder, name, file.read_text(encoding="utf-8")):
                faults.append(f"{name}:{line}: {fault}")
    return faults


def main(arguments):
    if len(arguments) != 1 or not (pathlib.Path(arguments[0]) / "src" / "base").is_dir():
        print("usage: check_layout.py ROOT (a source tree with src/base)", file=sys.stderr)
        return 2
    faults = check(pathlib.Path(arguments[0]))
    print("\n".join(faults) if faults else "the layout holds")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
