/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection's life. It is of one of three shapes, which share how they begin and end:
 *
 *   forward   near: the application's socket     stream to another node
 *   export    near: the service's socket         stream from another node
 *   local     near: the application's socket     far: the service's socket, no stream
 *
 *               accepted socket                    incoming stream
 *                |           |                            |
 *        service is here   elsewhere                      v
 *                v           |                         dialling --none answers--> reset
 *            dialling --none-+----> carrying <--connected-+
 *                |                     |
 *            connected --> carrying    both directions over: socket closed, waits for CLOSED
 *
 * Any loss or reset on one side resets the other. Socket -> stream carries no more than the
 * stream's room, stream -> socket consumes no more than the socket took. After a socket's FIN it is
 * not watched any more; if it then vanishes, the next write to it says so.
 */
#ifndef PROXY_CONNECTION_H
#define PROXY_CONNECTION_H

#include "proxy/internal.h"
#include "proxy/socket.h"

struct dial;
struct forward;

/* About 600 bytes with its place in the table of streams: what an idle connection costs beside its
 * socket. */
struct connection {
    struct proxy *proxy;
    struct connection *next, *previous;
    struct forward *forward; /* NULL: an export, or its forward was removed */
    uint64_t stream;         /* 0: none (yet) */
    struct dial *dial;       /* while dialling */
    struct sock near;
    struct sock *far; /* local only */
    bool is_accepted; /* the far side took it, or will not be asked */
};

/* An application connected to a forward's listener; takes the socket. */
void connection_accept(struct proxy *proxy, struct forward *forward, int fd);

/* Ends it: resets the stream with this reason, and the sockets. The connection is freed. */
void connection_abort(struct connection *connection, enum proxy_reset reason);

/* Frees a connection that has no stream any more, or never had; closes its sockets. */
void connection_free(struct connection *connection, enum sock_close how);

/* --- local.c --- */

/* Connects near with the service's socket, which it takes. Frees the connection if memory is short.
 */
void local_join(struct connection *connection, int service_fd);

/* --- listen.c --- */

/* Counts what became of a forward's connection. */
void forward_joined(struct forward *forward);
void forward_left(struct forward *forward, bool is_accepted);
const char *forward_name_space(const struct forward *forward);
const char *forward_name(const struct forward *forward);

/* There is room again below connections_max: all listeners accept. */
void forwards_resume(struct proxy *proxy);

/* Stops all and frees them; connections must be gone. */
void forwards_free(struct proxy *proxy);

#endif
