/* SPDX-License-Identifier: Apache-2.0
 *
 *   step --> next address: connecting --> done
 *    ^  \                       |
 *    |   -> next endpoint: resolving (names only)
 *    +------- failed, timed out, answered -------+
 */
#include "proxy/dial.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "proxy/address.h"
#include "proxy/resolve.h"
#include "proxy/socket.h"

/* Addresses of one endpoint that are tried: a name may have many, an application will not wait for
 * them. */
#define ADDRESSES_MAX 8

struct dial {
    struct proxy *proxy;
    dial_done *done;
    void *ctx;
    struct event timer;     /* the next step, or the end of waiting for one */
    struct event connected; /* of fd, if that is not -1 */
    int fd;
    int type; /* of sockets */
    struct resolve *resolve;
    struct evutil_addrinfo *addresses;
    struct evutil_addrinfo *address; /* the next to try */
    size_t addresses_left;
    size_t endpoint_count, endpoint_next;
    struct endpoint endpoints[]; /* those that can be read at all */
};

static void close_socket(struct dial *dial) {
    if (dial->fd >= 0) {
        event_del(&dial->connected);
        close(dial->fd);
        dial->fd = -1;
    }
}

static void forget_addresses(struct dial *dial) {
    if (dial->addresses != NULL) {
        evutil_freeaddrinfo(dial->addresses);
    }
    dial->addresses = NULL;
    dial->address = NULL;
}

void dial_free(struct dial *dial) {
    if (dial == NULL) {
        return;
    }
    close_socket(dial);
    forget_addresses(dial);
    resolve_cancel(dial->resolve);
    event_del(&dial->timer);
    free(dial);
}

static void warn_of_failure(struct dial *dial) {
    struct proxy *proxy = dial->proxy;
    uint64_t skipped = 0;
    size_t last = dial->endpoint_count - 1;
    if (dial->endpoint_count > 0 && proxy_may_warn(proxy, PROXY_WARNING_CONNECT, &skipped)) {
        trace(proxy->config.host, TRACE_WARN, "proxy-service-unreachable",
              "host=%s port=%s endpoints=%zu skipped=%llu", dial->endpoints[last].host,
              dial->endpoints[last].port, dial->endpoint_count, (unsigned long long)skipped);
    }
}

static void finish(struct dial *dial, int fd) {
    if (fd < 0) {
        warn_of_failure(dial);
    }
    dial_done *done = dial->done;
    void *ctx = dial->ctx;
    struct proxy *proxy = dial->proxy;
    dial->fd = -1;
    dial_free(dial);
    done(ctx, fd);
    proxy_pump(proxy);
}

static void wait_at_most(struct dial *dial, weft_ns span) {
    struct timeval time = proxy_timeval(span);
    evtimer_add(&dial->timer, &time);
}

enum attempt {
    ATTEMPT_FAILED,
    ATTEMPT_WAITS, /* `connected` or `timer` goes on */
    ATTEMPT_CONNECTED,
};

static void step(struct dial *dial);

static void on_connected(evutil_socket_t fd, short what, void *arg) {
    struct dial *dial = arg;
    int error = 0;
    socklen_t len = sizeof error;
    (void)what;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0) {
        event_del(&dial->connected);
        finish(dial, fd);
        return;
    }
    close_socket(dial);
    step(dial);
}

static void tune(int fd, const struct sockaddr *address) {
    socket_tune(fd);
    if (!address_is_loopback(address)) { /* our own kernel does not vanish without a word */
        socket_keep_alive(fd);
    }
}

/* On this machine a connection stands when connect returns, though it says EINPROGRESS; asking at
 * once spares a turn of the loop. */
static bool is_connected(int fd) {
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    return getpeername(fd, (struct sockaddr *)&peer, &len) == 0;
}

/* Starts connecting. */
static enum attempt try_address(struct dial *dial, const struct evutil_addrinfo *address) {
    int fd = socket(address->ai_family, dial->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return ATTEMPT_FAILED;
    }
    if (dial->type == SOCK_STREAM) {
        tune(fd, address->ai_addr);
    }
    if (connect(fd, address->ai_addr, address->ai_addrlen) != 0 && errno != EINPROGRESS) {
        close(fd);
        return ATTEMPT_FAILED;
    }
    dial->fd = fd;
    if (is_connected(fd)) {
        return ATTEMPT_CONNECTED;
    }
    event_assign(&dial->connected, dial->proxy->config.base, fd, EV_WRITE, on_connected, dial);
    event_add(&dial->connected, NULL);
    wait_at_most(dial, dial->proxy->config.connect_timeout);
    return ATTEMPT_WAITS;
}

static void take_addresses(struct dial *dial, struct evutil_addrinfo *addresses) {
    forget_addresses(dial);
    dial->addresses = addresses;
    dial->address = addresses;
    dial->addresses_left = ADDRESSES_MAX;
}

/* May come from inside resolve_name: the step is taken from the loop. */
static void on_resolved(void *ctx, struct evutil_addrinfo *addresses) {
    struct dial *dial = ctx;
    dial->resolve = NULL;
    take_addresses(dial, addresses);
    wait_at_most(dial, 0);
}

/* Asks for the addresses of a name; false if there is no resolver to ask. */
static bool ask(struct dial *dial, const struct endpoint *endpoint) {
    struct proxy *proxy = dial->proxy;
    if (proxy->resolver == NULL) {
        proxy->resolver = resolver_new(proxy->config.base);
    }
    if (proxy->resolver == NULL) {
        return false;
    }
    wait_at_most(dial, proxy->config.connect_timeout);
    dial->resolve = resolve_name(proxy->resolver, endpoint, on_resolved, dial);
    return true;
}

/* Goes on to the next endpoint; true if its answer must be waited for. */
static bool next_endpoint(struct dial *dial) {
    const struct endpoint *endpoint = &dial->endpoints[dial->endpoint_next++];
    take_addresses(dial, resolve_numeric(endpoint));
    return dial->addresses == NULL && ask(dial, endpoint);
}

/* Tries the addresses at hand until one does not fail at once. */
static enum attempt next_address(struct dial *dial) {
    enum attempt attempt = ATTEMPT_FAILED;
    while (attempt == ATTEMPT_FAILED && dial->address != NULL && dial->addresses_left > 0) {
        const struct evutil_addrinfo *address = dial->address;
        dial->address = address->ai_next;
        dial->addresses_left--;
        attempt = try_address(dial, address);
    }
    return attempt;
}

static void step(struct dial *dial) {
    enum attempt attempt;
    event_del(&dial->timer);
    while ((attempt = next_address(dial)) == ATTEMPT_FAILED) {
        if (dial->endpoint_next == dial->endpoint_count) {
            finish(dial, -1);
            return;
        }
        if (next_endpoint(dial)) {
            return;
        }
    }
    if (attempt == ATTEMPT_CONNECTED) {
        finish(dial, dial->fd);
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg) {
    struct dial *dial = arg;
    (void)fd;
    (void)what;
    close_socket(dial);
    resolve_cancel(dial->resolve);
    dial->resolve = NULL;
    step(dial);
}

struct dial *dial_new(struct proxy *proxy, int type, const char *const *endpoints, size_t count,
                      dial_done *done, void *ctx) {
    ASSERT(count >= 1 && count <= PROXY_ENDPOINTS_MAX);
    struct dial *dial = calloc(1, sizeof *dial + count * sizeof dial->endpoints[0]);
    if (dial == NULL) {
        return NULL;
    }
    dial->proxy = proxy;
    dial->done = done;
    dial->ctx = ctx;
    dial->fd = -1;
    dial->type = type;
    for (size_t i = 0; i < count; i++) {
        if (endpoint_parse(endpoints[i], &dial->endpoints[dial->endpoint_count]) == WEFT_OK) {
            dial->endpoint_count++;
        }
    }
    evtimer_assign(&dial->timer, proxy->config.base, on_timer, dial);
    event_active(&dial->timer, EV_TIMEOUT, 0);
    return dial;
}
