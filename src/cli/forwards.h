/* SPDX-License-Identifier: Apache-2.0
 *
 * A forward as it is typed: the service, and where to listen.
 */
#ifndef CLI_FORWARDS_H
#define CLI_FORWARDS_H

#include "cli/cli.h"

#define FORWARD_NAME_BYTES 128
#define FORWARD_LISTEN_BYTES 280

struct forward {
    char name[FORWARD_NAME_BYTES];
    char listen[FORWARD_LISTEN_BYTES]; /* ADDR:PORT; port 0: the system chooses */
    bool is_any_port;                  /* none was typed */
};

/* Takes NAME and [ADDR:]PORT; `listen` is NULL for any port of 127.0.0.1. False if it is none. */
bool forward_of(const char *name, const char *listen, struct forward *out);

/* Takes NAME[=[ADDR:]PORT]. */
bool forward_parse(const char *text, struct forward *out);

/* Asks the daemon to listen; `out` holds `address`. Returns the exit status. */
int forward_ask(struct cli *cli, const struct forward *forward, json_t **out);

/* Whether a row of a list of services or forwards, whose name is under `key`, is that service. */
bool forward_is_of(const struct forward *forward, const json_t *row, const char *key);

#endif
