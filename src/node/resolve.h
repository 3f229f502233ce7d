/* SPDX-License-Identifier: Apache-2.0
 *
 * Host names to addresses without blocking, asked afresh each time: /etc/hosts and
 * /etc/resolv.conf are read again too, since machines at the edge move between networks.
 */
#ifndef NODE_RESOLVE_H
#define NODE_RESOLVE_H

#include <event2/event.h>
#include <sys/socket.h>

#include "weft/types.h"

#define RESOLVE_ADDRESSES_MAX 8 /* of one name that are tried */

struct resolved {
    struct sockaddr_storage addresses[RESOLVE_ADDRESSES_MAX];
    socklen_t lens[RESOLVE_ADDRESSES_MAX];
    size_t count;
};

/* Takes "host:port" or "[v6]:port" apart; false if it is neither. `host` has room for 256 bytes. */
bool resolve_split(const char *endpoint, char *host, char *port);

/* Reads a literal; false for a name. */
bool resolve_literal(const char *endpoint, struct resolved *out);

struct lookup;

/* Asks for a name. `done` runs later, once, from the loop: `error` is NULL and there is at least
 * one address, or it says why not. lookup_free before that cancels it. NULL when out of memory. */
struct lookup *lookup_new(struct event_base *base, const char *endpoint,
                          void (*done)(void *ctx, const struct resolved *found, const char *error),
                          void *ctx);
/* Takes NULL. Not from within `done`. */
void lookup_free(struct lookup *lookup);

#endif
