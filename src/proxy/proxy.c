/* SPDX-License-Identifier: Apache-2.0
 *
 * The proxy as a whole: what its connections share, and its beginning and end.
 */
#include "proxy/internal.h"

#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/time.h"
#include "proxy/connection.h"
#include "proxy/resolve.h"
#include "proxy/udp.h"

#define CONNECTIONS_MAX 16384
#define SERVED_MAX 1024
#define CONNECT_TIMEOUT (5 * NS_PER_S)

/* Between two warnings of one kind. */
#define WARNING_QUIET (60 * NS_PER_S)

void proxy_pump(struct proxy *proxy) {
    proxy->config.backend.pump(proxy->config.backend.ctx);
}

static weft_ns monotonic_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (weft_ns)time.tv_sec * NS_PER_S + (weft_ns)time.tv_nsec;
}

bool proxy_may_warn(struct proxy *proxy, enum proxy_warning warning, uint64_t *skipped) {
    struct warning_state *state = &proxy->warnings[warning];
    weft_ns now = monotonic_now();
    if (now < state->quiet_until) {
        state->skipped++;
        return false;
    }
    *skipped = state->skipped;
    *state = (struct warning_state){.quiet_until = time_after(now, WARNING_QUIET)};
    return true;
}

struct timeval proxy_timeval(weft_ns span) {
    return (struct timeval){.tv_sec = (time_t)(span / NS_PER_S),
                            .tv_usec = (suseconds_t)(span % NS_PER_S / NS_PER_US)};
}

enum weft_err proxy_new(const struct proxy_config *config, struct proxy **out) {
    ASSERT(config != NULL && config->base != NULL && config->host != NULL && out != NULL);
    struct proxy *proxy = calloc(1, sizeof *proxy);
    if (proxy == NULL) {
        return WEFT_ERR_MEMORY;
    }
    proxy->config = *config;
    if (proxy->config.connections_max == 0) {
        proxy->config.connections_max = CONNECTIONS_MAX;
    }
    if (proxy->config.served_max == 0) {
        proxy->config.served_max = SERVED_MAX;
    }
    if (proxy->config.connect_timeout == 0) {
        proxy->config.connect_timeout = CONNECT_TIMEOUT;
    }
    struct hash_key key;
    host_random(config->host, key.bytes, sizeof key.bytes);
    proxy->streams = map_new(proxy->config.connections_max, &key);
    proxy->flows = map_new(PROXY_FLOWS_MAX, &key);
    if (proxy->streams == NULL || proxy->flows == NULL) {
        proxy_free(proxy);
        return WEFT_ERR_MEMORY;
    }
    *out = proxy;
    return WEFT_OK;
}

void proxy_free(struct proxy *proxy) {
    if (proxy == NULL) {
        return;
    }
    proxy->is_full = false;
    while (proxy->connections != NULL) {
        connection_abort(proxy->connections, PROXY_RESET_APPLICATION);
    }
    forwards_free(proxy);
    udp_serve_end(proxy);
    resolver_free(proxy->resolver);
    map_free(proxy->streams);
    map_free(proxy->flows);
    free(proxy->batch);
    sock_pipe_close(&proxy->pipe);
    free(proxy);
}

uint64_t proxy_local_bytes(const struct proxy *proxy) {
    ASSERT(proxy != NULL);
    return proxy->local_bytes;
}

size_t proxy_connection_count(const struct proxy *proxy) {
    ASSERT(proxy != NULL);
    return proxy->connection_count;
}
