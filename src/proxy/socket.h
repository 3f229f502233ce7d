/* SPDX-License-Identifier: Apache-2.0
 *
 * One connected socket of a connection: its two events and what became of its two directions.
 */
#ifndef PROXY_SOCKET_H
#define PROXY_SOCKET_H

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/span.h"

struct connection;

#define SOCK_PIECES_MAX 16 /* packets of up to 60 KB: as much as a turn may move */

/* Bytes on their way inside the kernel. */
struct sock_pipe {
    int out, in;
    size_t held;
    bool is_open;
};

struct sock {
    struct connection *connection;
    int fd; /* -1 once closed */
    struct event readable;
    struct event writable;
    bool is_ended;        /* its FIN was read: it sends no more */
    bool is_shut;         /* our FIN was sent: it is sent no more */
    struct sock_pipe jam; /* local shortcut only: what came from the other and was not taken */
};

/* TCP_NODELAY: what the application wrote at once is not held back for more. */
void socket_tune(int fd);

/* A service that vanished without a word is noticed in two minutes. */
void socket_keep_alive(int fd);

/* A zeroed sock with a connected fd, which is its own from now on. Waits for nothing yet. */
void sock_open(struct sock *sock, struct event_base *base, int fd, struct connection *connection,
               event_callback_fn on_readable, event_callback_fn on_writable);

enum sock_close {
    SOCK_CLOSE_WELL,  /* what was sent still arrives */
    SOCK_CLOSE_RESET, /* RST */
};
/* Closes if open and frees. Takes zeroed memory. */
void sock_close(struct sock *sock, enum sock_close how);

/* With all that it holds. Takes zeroed memory. */
void sock_pipe_close(struct sock_pipe *pipe);

/* Resets a socket that no sock owns. */
void socket_reset(int fd);

/* Sends at most SOCK_PIECES_MAX pieces; how many bytes were taken, 0 if none for now, -1 if the
 * connection is lost. */
ssize_t sock_send_all(const struct sock *sock, const struct span *pieces, size_t count);

/* Receives; how many bytes, 0 for none now, -1 if the connection is lost. At the end of what comes,
 * sets is_ended and returns 0. size >= 1. */
ssize_t sock_receive(struct sock *sock, uint8_t *out, size_t size);

/* Half-close: sends our FIN once. */
void sock_shut(struct sock *sock);

/* Whether both directions are over. */
static inline bool sock_is_done(const struct sock *sock) {
    return sock->is_ended && sock->is_shut;
}

/* Reading is of no use after the end; an event that is armed already stays so. */
void sock_want_read(struct sock *sock, bool is_wanted);
void sock_want_write(struct sock *sock, bool is_wanted);

#endif
