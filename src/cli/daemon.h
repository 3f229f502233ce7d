/* SPDX-License-Identifier: Apache-2.0
 *
 * The daemon as a process: starting it, seeing it end, and what it logged.
 */
#ifndef CLI_DAEMON_H
#define CLI_DAEMON_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct daemon_plan {
    const char *program;  /* a path, or a name to look for along PATH */
    char *const *argv;    /* NULL-ended */
    const char *log_path; /* NULL: it stays in the foreground and logs to stderr */
};

struct daemon {
    pid_t pid;
    bool has_ended;
    int wait_status; /* once it has ended */
    const char *log_path;
    off_t log_start; /* where its part of the log begins */
};

/* Forks and executes; in a session of its own unless it stays in the foreground. False with a
 * sentence said. */
bool daemon_start(const struct daemon_plan *plan, struct daemon *out);

/* Whether it has ended; does not wait. */
bool daemon_has_ended(struct daemon *daemon);

/* Says how it ended and the last lines of its log. Returns the exit status for that: 78 for a
 * configuration that it refused, 2 for a flag, else 1. */
int daemon_failed(const struct daemon *daemon);

/* Tells it to leave. */
void daemon_terminate(const struct daemon *daemon);

/* Waits until it ends, handing SIGTERM and SIGHUP on. The caller has blocked them, SIGINT and
 * SIGCHLD. Returns its exit status. */
int daemon_wait(struct daemon *daemon);

/* The process at the other end of a control socket: its id, 0 if it cannot be known, -1 if nobody
 * answers. */
pid_t daemon_pid_of(const char *socket_path);

/* Waits until that process has gone. False if it is still there at the deadline. */
bool daemon_wait_gone(const char *socket_path, pid_t pid, long deadline_ms);

#endif
