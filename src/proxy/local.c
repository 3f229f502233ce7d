/* SPDX-License-Identifier: Apache-2.0
 *
 * Both ends on this node: bytes go from socket to socket inside the kernel, never sealed, never
 * copied to us.
 *
 *   from --splice--> the proxy's pipe --splice--> to
 *                          +--what `to` did not take stays in it: it is then to->jam, and `from` is
 *                             not read until it is empty
 *
 * So a pair at rest owns no pipe, and one in a jam one of PIPE_BYTES each way. Splice knows no
 * MSG_NOSIGNAL: whoever runs the loop has SIGPIPE ignored or blocked.
 */
#include "proxy/connection.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"

/* As much as a turn of a stream reads; the kernel may grant less, never more than 1 MiB. */
#define PIPE_BYTES ((size_t)256 * 1024)

/* After less than this there is most likely no more: the loop says so if there is. */
#define MORE_MIN ((size_t)32 * 1024)

static struct sock *other_side(struct sock *sock) {
    struct connection *connection = sock->connection;
    return sock == &connection->near ? connection->far : &connection->near;
}

/* The proxy has its pipe, which is empty; false without descriptors. */
static bool pipe_ready(struct proxy *proxy) {
    int ends[2];
    if (proxy->pipe.is_open) {
        return true;
    }
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) {
        return false;
    }
    (void)fcntl(ends[1], F_SETPIPE_SZ,
                (int)PIPE_BYTES); /* refused beyond a user's quota: then 64 KiB */
    proxy->pipe = (struct sock_pipe){.out = ends[0], .in = ends[1], .is_open = true};
    return true;
}

/* Sends what the pipe holds, as far as it is taken; false if the connection is lost. */
static bool drain(struct sock_pipe *pipe, const struct sock *to) {
    ssize_t sent = 1;
    while (pipe->held > 0 && sent > 0) {
        sent = splice(pipe->out, NULL, to->fd, NULL, pipe->held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        pipe->held -= sent > 0 ? (size_t)sent : 0;
    }
    return sent >= 0 || errno == EAGAIN || errno == EINTR;
}

/* Sends what is kept, if anything is; false if the connection is lost. */
static bool flush(struct sock *sock) {
    struct proxy *proxy = sock->connection->proxy;
    if (!sock->jam.is_open) {
        return true;
    }
    bool is_well = drain(&sock->jam, sock);
    if (is_well && sock->jam.held == 0 && !proxy->pipe.is_open) {
        proxy->pipe = sock->jam;
        sock->jam = (struct sock_pipe){0};
    } else if (is_well && sock->jam.held == 0) {
        sock_pipe_close(&sock->jam);
    }
    return is_well;
}

/* Moves one pipe's worth; false if the connection is lost. `moved` receives how much was read. */
static bool move_once(struct sock *from, struct sock *to, size_t *moved) {
    struct proxy *proxy = from->connection->proxy;
    struct sock_pipe *pipe = &proxy->pipe;
    *moved = 0;
    if (!pipe_ready(proxy)) {
        return false;
    }
    ssize_t read =
        splice(from->fd, NULL, pipe->in, NULL, PIPE_BYTES, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    from->is_ended = read == 0;
    if (read <= 0) {
        return read == 0 || errno == EAGAIN || errno == EINTR;
    }
    *moved = (size_t)read;
    pipe->held = *moved;
    proxy->local_bytes += *moved;
    bool is_well = drain(pipe, to);
    if (pipe->held > 0) {
        to->jam = *pipe; /* closed with its socket, if that is lost */
        *pipe = (struct sock_pipe){0};
    }
    return is_well;
}

/* Moves until there is no more to read, no room to write or the turn is over; false if the
 * connection is lost. */
static bool move(struct sock *from, struct sock *to) {
    bool is_well = flush(to);
    size_t moved = MORE_MIN;
    size_t budget = PROXY_TURN_BYTES;
    while (is_well && !to->jam.is_open && !from->is_ended && budget > 0 && moved >= MORE_MIN) {
        is_well = move_once(from, to, &moved);
        budget -= moved < budget ? moved : budget;
    }
    return is_well;
}

/* What each side waits for now, and the end of a direction. */
static void settle(struct sock *from, struct sock *to) {
    bool is_jammed = to->jam.is_open;
    sock_want_read(from, !is_jammed && !from->is_ended);
    sock_want_write(to, is_jammed);
    if (from->is_ended && !is_jammed) {
        sock_shut(to);
    }
}

static void carry(struct sock *from, struct sock *to) {
    struct connection *connection = from->connection;
    struct proxy *proxy = connection->proxy;
    if (!move(from, to)) {
        connection_free(connection, SOCK_CLOSE_RESET);
    } else {
        settle(from, to);
        if (sock_is_done(from) && sock_is_done(to)) {
            connection_free(connection, SOCK_CLOSE_WELL);
        }
    }
    proxy_pump(proxy);
}

static void on_readable(evutil_socket_t fd, short what, void *arg) {
    struct sock *from = arg;
    (void)fd;
    (void)what;
    carry(from, other_side(from));
}

static void on_writable(evutil_socket_t fd, short what, void *arg) {
    struct sock *to = arg;
    (void)fd;
    (void)what;
    carry(other_side(to), to);
}

void local_join(struct connection *connection, int service_fd) {
    struct event_base *base = connection->proxy->config.base;
    struct sock *near = &connection->near;
    struct sock *far = calloc(1, sizeof *far);
    if (far == NULL) {
        socket_reset(service_fd);
        connection_free(connection, SOCK_CLOSE_RESET);
        return;
    }
    connection->far = far;
    sock_open(near, base, near->fd, connection, on_readable, on_writable);
    sock_open(far, base, service_fd, connection, on_readable, on_writable);
    sock_want_read(near, true);
    sock_want_read(far, true);
}
