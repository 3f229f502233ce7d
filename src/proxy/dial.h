/* SPDX-License-Identifier: Apache-2.0
 *
 * Connects to the first endpoint of a service that answers: each endpoint in turn, each address of
 * it in turn, with a time-out for each. What is needed only until then lives here, not in the
 * connection.
 */
#ifndef PROXY_DIAL_H
#define PROXY_DIAL_H

#include "proxy/internal.h"

struct dial;

/* `fd` is the connected socket, the callee's to close, or -1: no endpoint answered. The dial is
 * gone. The loop is pumped when this returns. */
typedef void dial_done(void *ctx, int fd);

/* Starts, with sockets of `type`: SOCK_STREAM, or SOCK_DGRAM, which asks nobody and takes the first
 * endpoint that has an address. `done` never runs before this returns. The texts are copied; count
 * is 1 to PROXY_ENDPOINTS_MAX. NULL when out of memory. */
struct dial *dial_new(struct proxy *proxy, int type, const char *const *endpoints, size_t count,
                      dial_done *done, void *ctx);

/* Gives up without calling `done`. Takes NULL. */
void dial_free(struct dial *dial);

#endif
