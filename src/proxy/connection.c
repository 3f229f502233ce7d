/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "proxy/dial.h"

static struct span stream_key(const uint64_t *stream) {
    return span_of(stream, sizeof *stream);
}

/* --- beginning and end --- */

/* A connection in the proxy's list; NULL when out of memory. */
static struct connection *connection_new(struct proxy *proxy, struct forward *forward) {
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) {
        return NULL;
    }
    connection->proxy = proxy;
    connection->forward = forward;
    connection->near.fd = -1;
    connection->next = proxy->connections;
    if (proxy->connections != NULL) {
        proxy->connections->previous = connection;
    }
    proxy->connections = connection;
    proxy->connection_count++;
    if (forward != NULL) {
        forward_joined(forward);
    }
    return connection;
}

static void unlink_connection(struct connection *connection) {
    struct proxy *proxy = connection->proxy;
    if (connection->previous != NULL) {
        connection->previous->next = connection->next;
    } else {
        proxy->connections = connection->next;
    }
    if (connection->next != NULL) {
        connection->next->previous = connection->previous;
    }
    proxy->connection_count--;
}

void connection_free(struct connection *connection, enum sock_close how) {
    struct proxy *proxy = connection->proxy;
    ASSERT(connection->stream == 0);
    dial_free(connection->dial);
    sock_close(&connection->near, how);
    if (connection->far != NULL) {
        sock_close(connection->far, how);
        free(connection->far);
    }
    if (connection->forward != NULL) {
        forward_left(connection->forward, connection->is_accepted);
    }
    unlink_connection(connection);
    free(connection);
    forwards_resume(proxy);
}

static void forget_stream(struct connection *connection) {
    (void)map_remove(connection->proxy->streams, stream_key(&connection->stream));
    connection->stream = 0;
}

void connection_abort(struct connection *connection, enum proxy_reset reason) {
    const struct proxy_backend *backend = &connection->proxy->config.backend;
    if (connection->stream != 0) {
        backend->reset(backend->ctx, connection->stream, reason);
        forget_stream(connection);
    }
    connection_free(connection, SOCK_CLOSE_RESET);
}

/* The stream has ended by itself. */
static void release(struct connection *connection, enum sock_close how) {
    const struct proxy_backend *backend = &connection->proxy->config.backend;
    backend->release(backend->ctx, connection->stream);
    forget_stream(connection);
    connection_free(connection, how);
}

/* --- carrying --- */

/* Both directions are over: the descriptor need not wait for the last acknowledgement. */
static void settle(struct connection *connection) {
    if (sock_is_done(&connection->near)) {
        sock_close(&connection->near, SOCK_CLOSE_WELL);
    }
}

/* The stream gives no more. If the socket does not either, `settle` closes it just now, and that
 * sends the FIN too. */
static void end_out(struct sock *near) {
    if (near->is_ended) {
        near->is_shut = true;
    } else {
        sock_shut(near);
    }
}

/* The stream has no room. Whether the socket's end is all that waits is worth knowing; bytes stay
 * where they are until the mesh says that there is room. */
static bool wait_for_room(struct sock *near, bool *is_held) {
    uint8_t byte = 0;
    ssize_t waiting = recv(near->fd, &byte, 1, MSG_PEEK);
    near->is_ended = waiting == 0;
    *is_held = waiting > 0;
    return waiting >= 0 || errno == EAGAIN || errno == EINTR;
}

/* Moves what one read gives from the socket to the stream, of whose buffer `space` is part. Sets
 * `is_more` if there may be more to read. */
static bool read_once(struct connection *connection, uint8_t *space, size_t len, bool *is_more) {
    const struct proxy_backend *backend = &connection->proxy->config.backend;
    ssize_t received = sock_receive(&connection->near, space, len);
    backend->written(backend->ctx, connection->stream, received > 0 ? (size_t)received : 0);
    *is_more = received >= 0 && (size_t)received == len;
    return received >= 0;
}

/* Socket to stream, until the socket has no more, the stream takes no more or the turn is over.
 * False if that ended the connection. */
static bool carry_in(struct connection *connection) {
    const struct proxy_backend *backend = &connection->proxy->config.backend;
    struct sock *near = &connection->near;
    size_t budget = PROXY_TURN_BYTES;
    bool is_more = !near->is_ended && near->fd >= 0;
    bool is_well = true;
    bool is_held = false;
    while (is_well && is_more && budget > 0) {
        size_t len = 0;
        uint8_t *space = backend->write_space(backend->ctx, connection->stream, &len);
        if (space == NULL) {
            is_well = wait_for_room(near, &is_held);
            break;
        }
        is_well = read_once(connection, space, len, &is_more);
        budget -= len < budget ? len : budget;
    }
    if (!is_well) {
        connection_abort(connection, PROXY_RESET_APPLICATION);
        return false;
    }
    sock_want_read(near, !is_held);
    return true;
}

/* After carry_in: the socket's end becomes the stream's. */
static void carry_end(struct connection *connection, bool was_ended) {
    const struct proxy_backend *backend = &connection->proxy->config.backend;
    if (connection->near.is_ended && !was_ended) {
        backend->finish(backend->ctx, connection->stream);
    }
    settle(connection);
}

/* Sends what the stream has, as far as the socket takes it; how much, -1 if the connection is lost.
 * `is_more`: the socket took less than was there. */
static ssize_t write_once(struct connection *connection, bool *is_more) {
    const struct proxy_backend *backend = &connection->proxy->config.backend;
    struct span pieces[SOCK_PIECES_MAX];
    size_t total = 0;
    size_t count = backend->peek(backend->ctx, connection->stream, pieces, SOCK_PIECES_MAX);
    for (size_t i = 0; i < count; i++) {
        total += pieces[i].len;
    }
    ssize_t sent = count == 0 ? 0 : sock_send_all(&connection->near, pieces, count);
    *is_more = sent >= 0 && (size_t)sent < total;
    if (sent > 0) {
        backend->consume(backend->ctx, connection->stream, (size_t)sent);
    }
    return sent;
}

/* Stream to socket, until the stream has no more, the socket takes no more or the turn is over. May
 * end the connection. */
static void carry_out(struct connection *connection) {
    const struct proxy_backend *backend = &connection->proxy->config.backend;
    struct sock *near = &connection->near;
    size_t moved = 0;
    ssize_t sent = 1;
    bool is_jammed = false;
    while (sent > 0 && !is_jammed && moved < PROXY_TURN_BYTES) {
        sent = write_once(connection, &is_jammed);
        moved += sent > 0 ? (size_t)sent : 0;
    }
    if (sent < 0) {
        connection_abort(connection, PROXY_RESET_APPLICATION);
        return;
    }
    bool is_more = is_jammed || sent > 0;
    sock_want_write(near, is_more);
    if (!is_more && backend->is_finished(backend->ctx, connection->stream)) {
        end_out(near);
    }
    settle(connection);
}

static void on_readable(evutil_socket_t fd, short what, void *arg) {
    struct sock *sock = arg;
    struct connection *connection = sock->connection;
    struct proxy *proxy = connection->proxy;
    bool was_ended = sock->is_ended;
    (void)fd;
    (void)what;
    if (carry_in(connection)) {
        carry_end(connection, was_ended);
    }
    proxy_pump(proxy);
}

static void on_writable(evutil_socket_t fd, short what, void *arg) {
    struct sock *sock = arg;
    struct proxy *proxy = sock->connection->proxy;
    (void)fd;
    (void)what;
    carry_out(sock->connection);
    proxy_pump(proxy);
}

/* The connection has its socket, which waits for nothing yet. */
static void take_socket(struct connection *connection, int fd) {
    sock_open(&connection->near, connection->proxy->config.base, fd, connection, on_readable,
              on_writable);
}

/* The connection has its stream. WEFT_ERR_MEMORY, and then the stream is still the caller's. */
static enum weft_err take_stream(struct connection *connection, uint64_t stream) {
    enum weft_err err = map_add(connection->proxy->streams, stream_key(&stream), connection);
    connection->stream = err == WEFT_OK ? stream : 0;
    return err;
}

/* This node's own endpoints of a service. Borrowed until the next call. */
static size_t own_endpoints(struct proxy *proxy, const char *name_space, const char *name,
                            const char **out) {
    const struct proxy_backend *backend = &proxy->config.backend;
    size_t count = backend->local_endpoints(backend->ctx, name_space, name, PROXY_TCP, out,
                                            PROXY_ENDPOINTS_MAX);
    return count < PROXY_ENDPOINTS_MAX ? count : PROXY_ENDPOINTS_MAX;
}

/* --- a forward --- */

static void open_stream(struct connection *connection) {
    const struct proxy_backend *backend = &connection->proxy->config.backend;
    const struct forward *forward = connection->forward;
    uint64_t stream = 0;
    enum weft_err err = WEFT_ERR_NOT_FOUND;
    if (forward != NULL) { /* it may have been removed while we dialled */
        err = backend->open(backend->ctx, forward_name_space(forward), forward_name(forward),
                            &stream);
    }
    if (err == WEFT_OK && take_stream(connection, stream) != WEFT_OK) {
        backend->reset(backend->ctx, stream, PROXY_RESET_REFUSED);
        err = WEFT_ERR_MEMORY;
    }
    if (err != WEFT_OK) {
        connection_free(connection, SOCK_CLOSE_RESET);
        return;
    }
    sock_want_read(&connection->near, true);
}

static void on_local_dialled(void *ctx, int fd) {
    struct connection *connection = ctx;
    connection->dial = NULL;
    if (fd < 0) {
        open_stream(connection);
        return;
    }
    connection->is_accepted = true;
    local_join(connection, fd);
}

void connection_accept(struct proxy *proxy, struct forward *forward, int fd) {
    struct connection *connection = connection_new(proxy, forward);
    if (connection == NULL) {
        socket_reset(fd);
        return;
    }
    take_socket(connection, fd);
    const char *endpoints[PROXY_ENDPOINTS_MAX];
    size_t count =
        own_endpoints(proxy, forward_name_space(forward), forward_name(forward), endpoints);
    if (count > 0) {
        connection->dial =
            dial_new(proxy, SOCK_STREAM, endpoints, count, on_local_dialled, connection);
    }
    if (connection->dial == NULL) {
        open_stream(connection);
    }
}

/* --- an export --- */

static void on_service_dialled(void *ctx, int fd) {
    struct connection *connection = ctx;
    const struct proxy_backend *backend = &connection->proxy->config.backend;
    connection->dial = NULL;
    if (fd < 0) {
        connection_abort(connection, PROXY_RESET_CONNECT_FAILED);
        return;
    }
    take_socket(connection, fd);
    connection->is_accepted = true;
    backend->accept(backend->ctx, connection->stream);
    sock_want_read(&connection->near, true);
    carry_out(connection);
}

/* Starts connecting to the service. Otherwise the reason, and the stream is still the caller's. */
static enum proxy_reset serve(struct proxy *proxy, uint64_t stream, const char *const *endpoints,
                              size_t count) {
    struct connection *connection = connection_new(proxy, NULL);
    if (connection == NULL) {
        return PROXY_RESET_REFUSED;
    }
    if (take_stream(connection, stream) != WEFT_OK) {
        connection_free(connection, SOCK_CLOSE_RESET);
        return PROXY_RESET_REFUSED;
    }
    connection->dial =
        dial_new(proxy, SOCK_STREAM, endpoints, count, on_service_dialled, connection);
    if (connection->dial == NULL) {
        forget_stream(connection);
        connection_free(connection, SOCK_CLOSE_RESET);
        return PROXY_RESET_REFUSED;
    }
    return 0;
}

void proxy_incoming(struct proxy *proxy, uint64_t stream, const char *name_space,
                    const char *name) {
    ASSERT(proxy != NULL && stream != 0);
    const struct proxy_backend *backend = &proxy->config.backend;
    const char *endpoints[PROXY_ENDPOINTS_MAX];
    enum proxy_reset reason = PROXY_RESET_NO_SERVICE;
    size_t count = own_endpoints(proxy, name_space, name, endpoints);
    if (proxy->connection_count >= proxy->config.connections_max) {
        reason = PROXY_RESET_REFUSED;
    } else if (count > 0) {
        reason = serve(proxy, stream, endpoints, count);
    }
    if (reason != 0) {
        backend->reset(backend->ctx, stream, reason);
    }
}

/* --- what the mesh says --- */

/* Room in the stream: reads at once, for there is most likely something waiting. */
static void on_room(struct connection *connection) {
    bool was_ended = connection->near.is_ended;
    if (carry_in(connection)) {
        carry_end(connection, was_ended);
    }
}

static void on_event(struct connection *connection, enum proxy_event event) {
    bool is_carrying = connection->near.connection != NULL && connection->near.fd >= 0;
    switch (event) {
    case PROXY_EVENT_ACCEPTED:
        connection->is_accepted = true;
        break;
    case PROXY_EVENT_READABLE:
        if (is_carrying) {
            carry_out(connection);
        }
        break;
    case PROXY_EVENT_WRITABLE:
        if (is_carrying) {
            on_room(connection);
        }
        break;
    case PROXY_EVENT_RESET:
        release(connection, SOCK_CLOSE_RESET);
        break;
    case PROXY_EVENT_CLOSED:
        release(connection, SOCK_CLOSE_WELL);
        break;
    }
}

void proxy_stream_event(struct proxy *proxy, uint64_t stream, enum proxy_event event) {
    ASSERT(proxy != NULL);
    struct connection *connection = map_find(proxy->streams, stream_key(&stream));
    if (connection != NULL) { /* what we reset ourselves may still have news on its way */
        on_event(connection, event);
    }
}

bool proxy_stream_service(const struct proxy *proxy, uint64_t stream, const char **name_space,
                          const char **name) {
    ASSERT(proxy != NULL && name_space != NULL && name != NULL);
    const struct connection *connection = map_find(proxy->streams, stream_key(&stream));
    if (connection == NULL || connection->forward == NULL || connection->is_accepted) {
        return false;
    }
    *name_space = forward_name_space(connection->forward);
    *name = forward_name(connection->forward);
    return true;
}
