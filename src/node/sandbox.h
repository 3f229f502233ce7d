/* SPDX-License-Identifier: Apache-2.0
 *
 * What weftd gives up once it runs, so that whoever takes it over by a fault of ours has a process
 * that can use sockets and its own folder, and little else.
 *
 *   privileges   nothing gained by exec: no_new_privs
 *   dumps        no core file, and not a page of memory in one that root takes by force
 *   files        Landlock: reads the system's and its configuration's folder, writes its state
 *   calls        seccomp: the system calls that it needs; execve and its like end the process
 *
 *   sandbox_begin     before threads and before anything is read: privileges, dumps, files
 *   sandbox_finish    when all listeners are bound: calls, for every thread there is
 *
 * What a kernel lacks is left out and named; it is never a reason not to run. A build with a
 * sanitizer keeps dumps and calls open: its own runtime needs them. docs/hardening.md says it for
 * operators.
 */
#ifndef NODE_SANDBOX_H
#define NODE_SANDBOX_H

#include "node/config.h"

enum sandbox_part {
    SANDBOX_PRIVILEGES = 1,
    SANDBOX_DUMPS = 2,
    SANDBOX_FILES = 4,
    SANDBOX_CALLS = 8,
    SANDBOX_ALL = 15,
};

/* "privileges,dumps,files,calls": the parts in force, or "none". */
#define SANDBOX_TEXT_BYTES 64

/* Each returns the parts of enum sandbox_part that it put in force. The state folder exists. */
unsigned sandbox_begin(const struct config *config);
unsigned sandbox_finish(void);

/* What this build puts in force where the kernel has it all. */
unsigned sandbox_expected(void);

void sandbox_text(unsigned parts, char out[SANDBOX_TEXT_BYTES]);

/* The parts by themselves: whether they are in force now. Not to be taken back. */
bool sandbox_no_dumps(void);
bool sandbox_files(const struct config *config);
bool sandbox_calls(void);

#endif
