/* SPDX-License-Identifier: Apache-2.0
 *
 * Both ends on this node: bytes go from socket to socket and are never sealed.
 *
 *   from --recv--> scratch --send--> to
 *                     +--what `to` did not take--> to->pending; `from` is not read until it is gone
 *
 * So a pair at rest owns no buffer, and one in a jam at most PROXY_SCRATCH_BYTES each way.
 */
#include "proxy/connection.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static struct sock *other_side(struct sock *sock) {
    struct connection *connection = sock->connection;
    return sock == &connection->near ? connection->far : &connection->near;
}

/* Keeps what was not taken; false when out of memory. */
static bool keep(struct sock *sock, struct span bytes) {
    ASSERT(sock->pending == NULL);
    sock->pending = malloc(bytes.len);
    if (sock->pending == NULL) {
        return false;
    }
    memcpy(sock->pending, bytes.data, bytes.len);
    sock->pending_done = 0;
    sock->pending_len = bytes.len;
    return true;
}

/* Sends what is kept, if anything is; false if the connection is lost. */
static bool flush(struct sock *sock) {
    while (sock->pending != NULL) {
        struct span left =
            span_of(sock->pending + sock->pending_done, sock->pending_len - sock->pending_done);
        ssize_t sent = sock_send(sock, left);
        if (sent <= 0) {
            return sent == 0;
        }
        sock->pending_done += (size_t)sent;
        if (sock->pending_done == sock->pending_len) {
            free(sock->pending);
            sock->pending = NULL;
        }
    }
    return true;
}

/* Moves one buffer's worth; false if the connection is lost. `moved` receives how much was read. */
static bool move_once(struct sock *from, struct sock *to, size_t *moved) {
    uint8_t *scratch = from->connection->proxy->scratch;
    ssize_t received = sock_receive(from, scratch, PROXY_SCRATCH_BYTES);
    *moved = received > 0 ? (size_t)received : 0;
    if (received <= 0) {
        return received == 0;
    }
    ssize_t sent = sock_send(to, span_of(scratch, (size_t)received));
    if (sent < 0) {
        return false;
    }
    return sent == received || keep(to, span_of(scratch + sent, (size_t)(received - sent)));
}

/* Moves until there is no more to read, no room to write or the turn is over; false if the
 * connection is lost. */
static bool move(struct sock *from, struct sock *to) {
    bool is_well = flush(to);
    size_t moved = PROXY_SCRATCH_BYTES;
    size_t budget = PROXY_TURN_BYTES;
    while (is_well && to->pending == NULL && !from->is_ended && budget > 0 &&
           moved == PROXY_SCRATCH_BYTES) {
        is_well = move_once(from, to, &moved);
        budget -= moved;
    }
    return is_well;
}

/* What each side waits for now, and the end of a direction. */
static void settle(struct sock *from, struct sock *to) {
    bool is_jammed = to->pending != NULL;
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
