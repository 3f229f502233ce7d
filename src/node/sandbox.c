/* SPDX-License-Identifier: Apache-2.0
 *
 * The order of the parts, and the two that need no table.
 */
#include "node/sandbox.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#ifdef WEFT_SANITIZED
#define IS_SANITIZED true
#else
#define IS_SANITIZED false
#endif

/* Which mappings a core file holds: none. It also binds gdb's gcore, which root may always use. */
static bool empty_core_filter(void) {
    int file = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);
    bool is_written = file >= 0 && write(file, "0", 1) == 1;
    if (file >= 0) {
        (void)close(file);
    }
    return is_written;
}

bool sandbox_no_dumps(void) {
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};
    (void)empty_core_filter(); /* before prctl: after it, the file is root's */
    return setrlimit(RLIMIT_CORE, &none) == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
}

unsigned sandbox_begin(const struct config *config) {
    unsigned parts = 0;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) {
        parts |= SANDBOX_PRIVILEGES;
    }
    if (!IS_SANITIZED && sandbox_no_dumps()) {
        parts |= SANDBOX_DUMPS;
    }
    if (sandbox_files(config)) {
        parts |= SANDBOX_FILES;
    }
    return parts;
}

unsigned sandbox_finish(void) {
    return !IS_SANITIZED && sandbox_calls() ? SANDBOX_CALLS : 0;
}

unsigned sandbox_expected(void) {
    return IS_SANITIZED ? SANDBOX_PRIVILEGES | SANDBOX_FILES : SANDBOX_ALL;
}

void sandbox_text(unsigned parts, char out[SANDBOX_TEXT_BYTES]) {
    static const char *const names[] = {"privileges", "dumps", "files", "calls"};
    size_t len = 0;
    (void)snprintf(out, SANDBOX_TEXT_BYTES, "none");
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if ((parts & (1U << i)) != 0) {
            len += (size_t)snprintf(out + len, SANDBOX_TEXT_BYTES - len, "%s%s", len > 0 ? "," : "",
                                    names[i]);
        }
    }
}
