#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that check_layout.py finds what it is for, and nothing in code that is right."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

import check_layout

SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"


class Tree(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.write("src/base/check.h", "")

    def write(self, path, text, first=SPDX):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(first + text, encoding="utf-8")

    def refuses(self, path, text, fault, line=2):
        """The one file yields exactly the one fault, and is named with its line."""
        self.write(path, text)
        self.assertEqual(check_layout.check(self.root), [f"{path}:{line}: {fault}"])
        (self.root / path).unlink()

    def accepts(self, path, text):
        self.write(path, text)
        self.assertEqual(check_layout.check(self.root), [])
        (self.root / path).unlink()


class Includes(Tree):
    def test_every_pair_of_folders_is_decided_by_the_table(self):
        for user, allowed in check_layout.FOLDERS.items():
            for used in check_layout.FOLDERS:
                path = {"weft": "include/weft", "sim": "sim"}.get(user, f"src/{user}") + "/x.h"
                text = f'#include "{used}/y.h"\n'
                if used in (user, "base", "weft", *allowed):
                    self.accepts(path, text)
                else:
                    self.refuses(path, text, f"{user} may not include {used}")

    def test_siblings_do_not_know_each_other(self):
        for user, used in (("gossip", "router"), ("router", "stream"), ("core", "link"),
                           ("store", "proxy"), ("cli", "core"), ("base", "wire"),
                           ("wire", "noise"), ("link", "gossip")):  # fmt: skip
            self.refuses(f"src/{user}/x.c", f'#include "{used}/y.h"\n',
                         f"{user} may not include {used}")  # fmt: skip

    def test_includes_are_spelt_from_src(self):
        fault = "project includes are spelt from src"
        self.refuses("src/base/ring.c", '#include "ring.h"\n', fault)
        self.refuses("src/core/core.c", '#include "../base/ring.h"\n', fault)
        self.accepts("sim/world.c", '#include "sim/world.h"\n')

    def test_core_folders_have_no_clock_socket_thread_or_store(self):
        for folder in ("base", "wire", "noise", "router", "gossip", "stream", "link", "core"):
            for header in ("time.h", "sys/time.h", "sys/socket.h", "netinet/in.h", "pthread.h",
                           "threads.h", "unistd.h", "fcntl.h"):  # fmt: skip
                self.refuses(f"src/{folder}/x.c", f"#include <{header}>\n",
                             f"{folder} does no I/O and may not use <{header}>")  # fmt: skip
            for header in ("sqlite3.h", "event2/event.h", "event.h", "jansson.h", "curl/curl.h"):
                self.refuses(f"src/{folder}/x.c", f"#include <{header}>\n",
                             f"{folder} may not use <{header}>")  # fmt: skip
            self.accepts(f"src/{folder}/x.c", "#include <stdint.h>\n#include <string.h>\n")

    def test_libraries_stay_in_their_folders(self):
        self.accepts("src/base/map.c", "#include <uthash.h>\n")
        self.accepts("src/noise/aead.c", "#include <sodium.h>\n#include <openssl/evp.h>\n")
        self.accepts("src/proxy/dns.c", "#include <event2/dns.h>\n#include <sys/socket.h>\n")
        self.accepts("src/store/writer.c", "#include <pthread.h>\n#include <sqlite3.h>\n")
        self.refuses("src/core/x.c", "#include <sodium.h>\n", "core may not use <sodium.h>")
        self.refuses("src/gossip/x.c", "#include <uthash.h>\n", "gossip may not use <uthash.h>")
        self.refuses("src/proxy/x.c", "#include <sqlite3.h>\n", "proxy may not use <sqlite3.h>")
        self.refuses("src/store/x.c", "#include <event2/event.h>\n",
                     "store may not use <event2/event.h>")  # fmt: skip
        self.refuses("src/cli/x.c", "#include <sqlite3.h>\n", "cli may not use <sqlite3.h>")

    def test_the_simulator_has_no_wall_clock(self):
        fault = "sim has a clock and a network of its own and may not use <time.h>"
        self.refuses("sim/main.c", "#include <time.h>\n", fault)

    def test_one_file_of_the_simulator_shows_real_time(self):
        self.accepts("sim/progress.c", "#include <time.h>\n")
        self.refuses("sim/progress.c", "#include <sys/socket.h>\n",
                     "sim has a clock and a network of its own and may not use <sys/socket.h>")
        self.refuses("src/core/progress.c", "#include <time.h>\n",
                     "core does no I/O and may not use <time.h>")

    def test_assert_is_refused_everywhere(self):
        fault = "<assert.h> is off in release builds; use base/check.h"
        for path in ("src/base/x.c", "src/node/x.c", "src/cli/x.c", "sim/x.c", "include/weft/x.h"):
            self.refuses(path, "#include <assert.h>\n", fault)

    def test_spacing_hides_nothing_and_comments_do_not_count(self):
        self.refuses("src/core/x.c", "\n  #  include\t<time.h>\n",
                     "core does no I/O and may not use <time.h>", line=3)  # fmt: skip
        self.accepts("src/core/x.c", "/*\n#include <time.h>\n*/\n// #include <time.h>\n")

    def test_an_unknown_folder_is_reported(self):
        self.write("src/util/util.c", "")
        self.assertEqual(check_layout.check(self.root),
                         ["src/util: a folder that the layout does not know"])  # fmt: skip


class Calls(Tree):
    def test_each_banned_function_is_refused_in_every_folder(self):
        for name in check_layout.BANNED:
            for path in ("src/base/x.c", "src/node/x.c", "src/cli/x.c", "sim/x.c"):
                text = f"void f(void) {{\n    (void){name} (a);\n}}\n"
                self.refuses(path, text, f"{name} is banned", line=3)

    def test_look_alikes_are_not(self):
        self.accepts("src/node/x.c", "int f(void) {\n    return snprintf(a, 1, \"%d\", 1) +\n"
                     "        host_rand(2) + host->time(3) + host.time(4) + link_time(5);\n}\n"
                     "/* time(NULL) */ const char *const g = \"strcpy(a, b)\";\n")  # fmt: skip


class State(Tree):
    STATIC = "static state: one process holds many nodes"
    GLOBAL = "global state: one process holds many nodes"

    def test_static_variables_are_refused_in_core_folders(self):
        for text in ("static int count;\n", "static int count = 0;\n",
                     "static char room[16];\n", "static const char *names[] = {0};\n",
                     "static const char *name = 0;\n", "static struct thing thing = {.a = 1};\n",
                     "static _Thread_local int count;\n", "static void (*hook)(void);\n",
                     "static struct { int a; } both;\n"):  # fmt: skip
            self.refuses("src/router/x.c", text, self.STATIC)

    def test_so_are_those_inside_a_function(self):
        self.refuses("src/core/x.c", "int f(void) {\n    static int calls;\n    return ++calls;\n}\n",
                     self.STATIC, line=3)  # fmt: skip

    def test_and_globals(self):
        for text in ("int count;\n", "int count = 3;\n", "struct thing all[4];\n",
                     "extern int count;\n", "struct thing { int a; } both;\n",
                     "const char *name = 0;\n", "void (*hook)(void);\n",
                     "int f(void) {\n    return 1;\n}\nint count;\n"):  # fmt: skip
            self.refuses("src/gossip/x.c", text, self.GLOBAL, line=text.count("\n") + 1)

    def test_constants_types_and_functions_are_not(self):
        self.accepts("src/gossip/x.c", """
#define STATE static int count
#define LONG(a) \\
    static int count = (a)
struct thing;
struct thing {
    int (*call)(void);
    struct thing *next;
};
enum kind { KIND_A = 1, KIND_B };
typedef struct thing *thing_of(int a);
_Static_assert(sizeof(int) == 4, "");
static const int bounds[] = {1, 2};
static const char *const names[] = {"static int x;"};
static const struct row { int a; } rows[] = {{1}, {2}};
static void (*const hooks[])(void) = {0};
const int limit = 3;
static int helper(struct thing *thing, int (*call)(int));
__attribute__((noinline)) static void other(void) {
    static const int table[2] = {1, 2};
    int x = table[0];
}
static inline struct thing *get(void) {
    return (struct thing *){0};
}
extern int weft_f(int a);
void weft_each(int a, void (*each)(void *ctx, int b), void *ctx);
void (*weft_hook_of(int a))(int b);
void (*const hook)(int b) = 0;
enum weft_err weft_g(void) {
    int local = 1;
    return local;
}
""")

    def test_hosts_may_keep_state(self):
        self.accepts("src/node/x.c", "static volatile int signals;\nint count;\n")


class Files(Tree):
    def test_at_most_800_lines(self):
        self.accepts("src/base/x.c", "\n" * 799)
        self.refuses("src/cli/x.c", "\n" * 800, "801 lines; split files beyond 800", line=801)

    def test_the_licence_comes_first(self):
        self.write("src/base/x.c", "int f(void);\n", first="")
        self.assertEqual(check_layout.check(self.root),
                         ["src/base/x.c:1: the first line names no licence"])  # fmt: skip


class Program(Tree):
    def run_on(self, root):
        script = pathlib.Path(check_layout.__file__)
        return subprocess.run([sys.executable, "-B", script, root], capture_output=True,
                              text=True, check=False)  # fmt: skip

    def test_exit_status_and_output_tell(self):
        self.assertEqual(self.run_on(self.root).returncode, 0)
        self.write("src/base/x.c", "#include <time.h>\nint count;\n")
        run = self.run_on(self.root)
        self.assertEqual(run.returncode, 1)
        self.assertEqual(len(run.stdout.splitlines()), 2)

    def test_a_folder_without_sources_is_no_success(self):
        with tempfile.TemporaryDirectory() as empty:
            self.assertEqual(self.run_on(empty).returncode, 2)


if __name__ == "__main__":
    unittest.main()
