/* SPDX-License-Identifier: Apache-2.0
 *
 * libevent answers a cancelled question later, through the loop, and then still looks at its DNS
 * base. So a resolver that is freed with answers outstanding lives on until the last has come.
 */
#include "proxy/resolve.h"

#include <event2/dns.h>
#include <stdlib.h>

#include "base/check.h"

struct resolver {
    struct event_base *base;
    struct evdns_base *dns;
    size_t pending;
    bool is_closing;
};

struct resolve {
    struct resolver *resolver;
    struct evdns_getaddrinfo_request *request;
    resolve_done *done; /* NULL once cancelled */
    void *ctx;
    bool is_answered;
    bool is_asking; /* evdns_getaddrinfo has not returned yet */
};

struct resolver *resolver_new(struct event_base *base) {
    struct resolver *resolver = calloc(1, sizeof *resolver);
    if (resolver == NULL) {
        return NULL;
    }
    resolver->base = base;
    resolver->dns = evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (resolver->dns == NULL) {
        free(resolver);
        return NULL;
    }
    /* Without the file the hosts file and the defaults still serve. */
    (void)evdns_base_resolv_conf_parse(resolver->dns, DNS_OPTIONS_ALL, "/etc/resolv.conf");
    return resolver;
}

static void resolver_destroy(evutil_socket_t fd, short what, void *arg) {
    struct resolver *resolver = arg;
    (void)fd;
    (void)what;
    evdns_base_free(resolver->dns, 0);
    free(resolver);
}

/* Not at once: libevent is inside the answer that called us. */
static void destroy_later(struct resolver *resolver) {
    struct timeval now = {0, 0};
    (void)event_base_once(resolver->base, -1, EV_TIMEOUT, resolver_destroy, resolver, &now);
}

void resolver_free(struct resolver *resolver) {
    if (resolver == NULL) {
        return;
    }
    resolver->is_closing = true;
    if (resolver->pending == 0) {
        resolver_destroy(-1, 0, resolver);
    }
}

struct evutil_addrinfo *resolve_numeric(const struct endpoint *endpoint) {
    struct evutil_addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                    .ai_flags = EVUTIL_AI_NUMERICHOST | EVUTIL_AI_NUMERICSERV};
    struct evutil_addrinfo *found = NULL;
    return evutil_getaddrinfo(endpoint->host, endpoint->port, &hints, &found) == 0 ? found : NULL;
}

static void on_answer(int result, struct evutil_addrinfo *addresses, void *arg) {
    struct resolve *resolve = arg;
    struct resolver *resolver = resolve->resolver;
    resolve_done *done = resolve->done;
    void *ctx = resolve->ctx;
    resolve->is_answered = true;
    resolver->pending--;
    if (!resolve->is_asking) {
        free(resolve);
    }
    if (resolver->is_closing && resolver->pending == 0) {
        destroy_later(resolver);
    }
    if (done != NULL) {
        done(ctx, result == 0 ? addresses : NULL);
    } else if (addresses != NULL) {
        evutil_freeaddrinfo(addresses);
    }
}

struct resolve *resolve_name(struct resolver *resolver, const struct endpoint *endpoint,
                             resolve_done *done, void *ctx) {
    ASSERT(!resolver->is_closing);
    struct resolve *resolve = calloc(1, sizeof *resolve);
    if (resolve == NULL) {
        done(ctx, NULL);
        return NULL;
    }
    *resolve = (struct resolve){.resolver = resolver, .done = done, .ctx = ctx, .is_asking = true};
    struct evutil_addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
    resolver->pending++;
    resolve->request = evdns_getaddrinfo(resolver->dns, endpoint->host, endpoint->port, &hints,
                                         on_answer, resolve);
    resolve->is_asking = false;
    if (resolve->is_answered) {
        free(resolve);
        return NULL;
    }
    return resolve;
}

void resolve_cancel(struct resolve *resolve) {
    if (resolve != NULL) {
        resolve->done = NULL;
        evdns_getaddrinfo_cancel(resolve->request);
    }
}
