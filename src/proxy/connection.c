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

/* The stream's buffer is full. A write that falls short makes the mesh say when there is room, so
 * one is made with a byte that stays in the socket unless it is taken after all. */
static bool wait_for_room(struct connection *connection, bool *is_held) {
    const struct proxy_backend *backend = &connection->proxy->config.backend;
    struct sock *near = &connection->near;
    uint8_t byte = 0;
    ssize_t waiting = recv(near->fd, &byte, 1, MSG_PEEK);
    if (waiting == 0) {
        near->is_ended = true;
        return true;
    }
    if (waiting < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    if (backend->write(backend->ctx, connection->stream, span_of(&byte, 1)) == 0) {
        *is_held = true;
        return true;
    }
    return recv(near->fd, &byte, 1, 0) == 1;
}

/* Moves up to `len` bytes from the socket to the stream. Sets `is_more` if there may be more to
 * read. */
static bool read_once(struct connection *connection, size_t len, bool *is_more) {
    const struct proxy_backend *backend = &connection->proxy->config.backend;
    uint8_t *scratch = connection->proxy->scratch;
    ssize_t received = sock_receive(&connection->near, scratch, len);
    if (received < 0) {
        return false;
    }
    *is_more = (size_t)received == len;
    if (received == 0) {
        return true;
    }
    struct span bytes = span_of(scratch, (size_t)received);
    return backend->write(backend->ctx, connection->stream, bytes) == bytes.len;
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
        size_t room = backend->write_room(backend->ctx, connection->stream);
        if (room == 0) {
            is_well = wait_for_room(connection, &is_held);
            break;
        }
        size_t len = room < PROXY_SCRATCH_BYTES ? room : PROXY_SCRATCH_BYTES;
        len = len < budget ? len : budget;
        is_well = read_once(connection, len, &is_more);
        budget -= len;
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

/* Stream to socket, until the stream has no more, the socket takes no more or the turn is over. May
 * end the connection. */
static void carry_out(struct connection *connection) {
    const struct proxy_backend *backend = &connection->proxy->config.backend;
    struct sock *near = &connection->near;
    size_t budget = PROXY_TURN_BYTES;
    struct span bytes = backend->peek(backend->ctx, connection->stream);
    while (bytes.len > 0 && budget > 0) {
        bytes.len = bytes.len < budget ? bytes.len : budget;
        ssize_t sent = sock_send(near, bytes);
        if (sent < 0) {
            connection_abort(connection, PROXY_RESET_APPLICATION);
            return;
        }
        if (sent == 0) {
            break;
        }
        budget -= (size_t)sent;
        backend->consume(backend->ctx, connection->stream, (size_t)sent);
        bytes = backend->peek(backend->ctx, connection->stream);
    }
    sock_want_write(near, bytes.len > 0);
    if (bytes.len == 0 && backend->is_finished(backend->ctx, connection->stream)) {
        sock_shut(near);
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
    socket_keep_alive(fd);
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
