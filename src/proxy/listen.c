/* SPDX-License-Identifier: Apache-2.0
 *
 * Forwards: a listener each, whose connections go to one service; one for datagrams is a port of
 * udp_port.c.
 *
 * Short of descriptors a listener rests for 100 ms: the kernel keeps reporting the connection that
 * cannot be accepted, and the loop would spin. At connections_max all rest until one connection has
 * gone.
 */
#include "proxy/connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/time.h"
#include "proxy/address.h"
#include "proxy/udp.h"

/* Accepted in one turn before others get theirs. */
#define ACCEPTS_PER_TURN 64

/* The kernel caps it at net.core.somaxconn (4,096 since Linux 5.4). */
#define BACKLOG 4096

#define FILES_PAUSE (100 * NS_PER_MS)

struct forward {
    struct proxy *proxy;
    struct forward *next;
    char name_space[WEFT_NAME_MAX + 1];
    char name[WEFT_NAME_MAX + 1];
    enum proxy_protocol protocol;
    struct udp_port *port;            /* of UDP; then fd and the events are not used */
    struct address wanted;            /* as asked for: the port may be 0 */
    struct address bound;             /* as the kernel made it */
    char text[WEFT_ENDPOINT_MAX + 1]; /* of bound */
    int fd;
    struct event acceptable;
    struct event resume; /* armed while resting for want of descriptors */
    size_t connections;
    uint64_t accepted, failed;
};

const char *forward_name_space(const struct forward *forward) {
    return forward->name_space;
}

const char *forward_name(const struct forward *forward) {
    return forward->name;
}

void forward_joined(struct forward *forward) {
    forward->connections++;
    forward->accepted++;
}

void forward_left(struct forward *forward, bool is_accepted) {
    ASSERT(forward->connections > 0);
    forward->connections--;
    forward->failed += is_accepted ? 0 : 1;
}

/* --- accepting --- */

static void rest(struct forward *forward) {
    struct proxy *proxy = forward->proxy;
    int error = errno;
    uint64_t skipped = 0;
    struct timeval time = proxy_timeval(FILES_PAUSE);
    event_del(&forward->acceptable);
    evtimer_add(&forward->resume, &time);
    if (proxy_may_warn(proxy, PROXY_WARNING_FILES, &skipped)) {
        trace(proxy->config.host, TRACE_WARN, "proxy-accept-paused",
              "address=%s reason=\"%s\" skipped=%llu", forward->text, strerror(error),
              (unsigned long long)skipped);
    }
}

static void listen_again(struct forward *forward) {
    if (!forward->proxy->is_full && evtimer_pending(&forward->resume, NULL) == 0) {
        event_add(&forward->acceptable, NULL);
    }
}

static void on_resume(evutil_socket_t fd, short what, void *arg) {
    (void)fd;
    (void)what;
    listen_again(arg);
}

/* At connections_max. */
static void rest_all(struct proxy *proxy) {
    uint64_t skipped = 0;
    proxy->is_full = true;
    for (struct forward *forward = proxy->forwards; forward != NULL; forward = forward->next) {
        if (forward->fd >= 0) {
            event_del(&forward->acceptable);
        }
    }
    if (proxy_may_warn(proxy, PROXY_WARNING_FULL, &skipped)) {
        trace(proxy->config.host, TRACE_WARN, "proxy-full", "connections=%zu skipped=%llu",
              proxy->connection_count, (unsigned long long)skipped);
    }
}

void forwards_resume(struct proxy *proxy) {
    if (!proxy->is_full || proxy->connection_count >= proxy->config.connections_max) {
        return;
    }
    proxy->is_full = false;
    for (struct forward *forward = proxy->forwards; forward != NULL; forward = forward->next) {
        if (forward->fd >= 0) {
            listen_again(forward);
        }
    }
}

/* Errors of accept that are the connection's own, not the listener's (accept(2)): try the next. */
static bool is_passing(int error) {
    return error == ECONNABORTED || error == EINTR || error == EPROTO || error == ENETDOWN ||
           error == ENOPROTOOPT || error == EHOSTDOWN || error == ENONET || error == EHOSTUNREACH ||
           error == EOPNOTSUPP || error == ENETUNREACH;
}

/* Accepts one; false if there is none to be had now. */
static bool accept_one(struct forward *forward) {
    struct proxy *proxy = forward->proxy;
    if (proxy->connection_count >= proxy->config.connections_max) {
        rest_all(proxy);
        return false;
    }
    int fd = accept4(forward->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        connection_accept(proxy, forward, fd);
        return true;
    }
    if (is_passing(errno)) {
        return true;
    }
    if (errno != EAGAIN && errno != EWOULDBLOCK) {
        rest(forward);
    }
    return false;
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg) {
    struct forward *forward = arg;
    struct proxy *proxy = forward->proxy;
    (void)fd;
    (void)what;
    for (int i = 0; i < ACCEPTS_PER_TURN && accept_one(forward); i++) {
    }
    proxy_pump(proxy);
}

/* --- listening --- */

/* Binds and listens; -1 and errno on failure. */
static int open_listener(const struct address *address, bool is_shared) {
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (is_shared) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    }
    socket_tune(fd); /* Linux hands it down to what is accepted */
    if (address->storage.ss_family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    }
    if (bind(fd, (const struct sockaddr *)&address->storage, address->len) == 0 &&
        listen(fd, BACKLOG) == 0) {
        return fd;
    }
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static void close_listener(struct forward *forward) {
    udp_port_free(forward->port);
    forward->port = NULL;
    if (forward->fd >= 0) {
        event_del(&forward->acceptable);
        event_del(&forward->resume);
        close(forward->fd);
        forward->fd = -1;
    }
}

static void note_address(struct forward *forward, int fd, const struct address *wanted) {
    forward->wanted = *wanted;
    forward->bound = (struct address){.len = sizeof forward->bound.storage};
    (void)getsockname(fd, (struct sockaddr *)&forward->bound.storage, &forward->bound.len);
    address_format(&forward->bound, forward->text);
}

static enum weft_err move_port(struct forward *forward, const struct address *address) {
    int fd = udp_bind(address, forward->proxy->config.is_port_shared);
    if (fd < 0) {
        return WEFT_ERR_IO;
    }
    struct udp_port *port = udp_port_new(forward->proxy, forward->name_space, forward->name, fd);
    if (port == NULL) {
        close(fd);
        return WEFT_ERR_MEMORY;
    }
    close_listener(forward);
    forward->port = port;
    note_address(forward, fd, address);
    return WEFT_OK;
}

/* Listens at the address instead of where it did, if anywhere. On failure nothing has changed. */
static enum weft_err move_listener(struct forward *forward, const struct address *address) {
    if (forward->protocol == PROXY_UDP) {
        return move_port(forward, address);
    }
    int fd = open_listener(address, forward->proxy->config.is_port_shared);
    if (fd < 0) {
        return WEFT_ERR_IO;
    }
    close_listener(forward);
    forward->fd = fd;
    note_address(forward, fd, address);
    struct event_base *base = forward->proxy->config.base;
    event_assign(&forward->acceptable, base, fd, EV_READ | EV_PERSIST, on_acceptable, forward);
    evtimer_assign(&forward->resume, base, on_resume, forward);
    listen_again(forward);
    return WEFT_OK;
}

/* --- the list of forwards --- */

static bool is_of(const struct forward *forward, const char *name_space, const char *name,
                  enum proxy_protocol protocol) {
    return forward->protocol == protocol && strcmp(forward->name_space, name_space) == 0 &&
           strcmp(forward->name, name) == 0;
}

/* Where the pointer to the forward stands; at the end of the list if there is none. */
static struct forward **find(struct proxy *proxy, const char *name_space, const char *name,
                             enum proxy_protocol protocol) {
    struct forward **at = &proxy->forwards;
    while (*at != NULL && !is_of(*at, name_space, name, protocol)) {
        at = &(*at)->next;
    }
    return at;
}

static bool is_taken(const struct proxy *proxy, const struct forward *except,
                     enum proxy_protocol protocol, const struct address *address) {
    for (const struct forward *other = proxy->forwards; other != NULL; other = other->next) {
        if (other != except && other->protocol == protocol &&
            address_equal(&other->bound, address)) {
            return true;
        }
    }
    return false;
}

/* A forward that listens nowhere yet; NULL when out of memory. */
static struct forward *forward_new(struct proxy *proxy, const char *name_space, const char *name,
                                   enum proxy_protocol protocol) {
    struct forward *forward = calloc(1, sizeof *forward);
    if (forward != NULL) {
        forward->proxy = proxy;
        forward->fd = -1;
        forward->protocol = protocol;
        memcpy(forward->name_space, name_space, strlen(name_space) + 1);
        memcpy(forward->name, name, strlen(name) + 1);
    }
    return forward;
}

/* Lets the forward listen and puts it at the end of the list, or frees it. Takes NULL. */
static enum weft_err add(struct forward **at, struct forward *forward,
                         const struct address *address) {
    if (forward == NULL) {
        return WEFT_ERR_MEMORY;
    }
    enum weft_err err = move_listener(forward, address);
    if (err != WEFT_OK) {
        int error = errno;
        free(forward);
        errno = error;
        return err;
    }
    *at = forward;
    return WEFT_OK;
}

static enum weft_err replace(struct forward *forward, const struct address *address) {
    if (address_equal(&forward->wanted, address) || address_equal(&forward->bound, address)) {
        return WEFT_OK;
    }
    return move_listener(forward, address);
}

static bool is_name(const char *name) {
    size_t len = strnlen(name, WEFT_NAME_MAX + 1);
    return len >= 1 && len <= WEFT_NAME_MAX;
}

enum weft_err proxy_add_forward(struct proxy *proxy, const char *name_space, const char *name,
                                enum proxy_protocol protocol, const char *address, char *bound) {
    ASSERT(proxy != NULL && address != NULL && bound != NULL);
    struct address wanted;
    if (!is_name(name_space) || !is_name(name) || address_parse(address, &wanted) != WEFT_OK) {
        return WEFT_ERR_INVALID;
    }
    struct forward **at = find(proxy, name_space, name, protocol);
    if (is_taken(proxy, *at, protocol, &wanted)) {
        return WEFT_ERR_EXISTS;
    }
    enum weft_err err = *at == NULL
                            ? add(at, forward_new(proxy, name_space, name, protocol), &wanted)
                            : replace(*at, &wanted);
    if (err == WEFT_OK) {
        memcpy(bound, (*at)->text, sizeof(*at)->text);
    }
    return err;
}

static void disown_connections(struct forward *forward) {
    struct connection *connection = forward->proxy->connections;
    for (; connection != NULL; connection = connection->next) {
        if (connection->forward == forward) {
            connection->forward = NULL;
        }
    }
}

enum weft_err proxy_remove_forward(struct proxy *proxy, const char *name_space, const char *name,
                                   enum proxy_protocol protocol) {
    ASSERT(proxy != NULL && name_space != NULL && name != NULL);
    struct forward **at = find(proxy, name_space, name, protocol);
    struct forward *forward = *at;
    if (forward == NULL) {
        return WEFT_ERR_NOT_FOUND;
    }
    *at = forward->next;
    disown_connections(forward);
    close_listener(forward);
    free(forward);
    return WEFT_OK;
}

void proxy_each_forward(const struct proxy *proxy,
                        void (*each)(void *ctx, const struct proxy_forward_view *view), void *ctx) {
    ASSERT(proxy != NULL && each != NULL);
    for (const struct forward *forward = proxy->forwards; forward != NULL;
         forward = forward->next) {
        struct proxy_forward_view view = {
            .name_space = forward->name_space,
            .name = forward->name,
            .protocol = forward->protocol,
            .address = forward->text,
            .connections = forward->connections,
            .accepted = forward->accepted,
            .failed = forward->failed,
        };
        if (forward->port != NULL) {
            const struct udp_counts counts = udp_port_count(forward->port);
            view.connections = counts.flows;
            view.accepted = counts.opened;
            view.failed = counts.failed;
        }
        each(ctx, &view);
    }
}

void forwards_free(struct proxy *proxy) {
    while (proxy->forwards != NULL) {
        struct forward *forward = proxy->forwards;
        proxy->forwards = forward->next;
        close_listener(forward);
        free(forward);
    }
}
