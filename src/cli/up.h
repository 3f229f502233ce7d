/* SPDX-License-Identifier: Apache-2.0
 *
 * What `weft up` was asked for, and the two ways of doing it: starting a daemon, or telling the one
 * that runs.
 *
 *   cmd_up.c     reads the flags, decides, prints what came of it
 *   up_start.c   writes the secret of an invitation, starts weftd, waits until it answers
 *   up_apply.c   joins, exports, forwards; waits for a link and for the services
 */
#ifndef CLI_UP_H
#define CLI_UP_H

#include <stdint.h>

#include "cli/cli.h"
#include "cli/daemon.h"
#include "cli/forwards.h"
#include "invite/invite.h"

#define UP_MS_MAX 20000 /* from the command to the last service: a person waits no longer */

struct up_forward {
    struct forward wanted;
    char address[FORWARD_LISTEN_BYTES]; /* once it listens */
};

struct up {
    struct cli *cli;
    struct up_forward *forwards;
    size_t forward_count;
    const char **exports; /* NAME=HOST:PORT, borrowed */
    size_t export_count;
    struct invite invite;
    char *token; /* NULL without --join */
    bool is_foreground;
    bool is_started; /* by us, now; else it ran already */
    struct daemon daemon;
    char *log_path;
    int64_t deadline_ms;
};

/* Starts weftd and waits until it answers. Returns the exit status; what is wrong was said. */
int up_start(struct up *up);

/* Applies the invitation, exports and forwards, and waits for what they need. */
int up_apply(struct up *up);

#endif
