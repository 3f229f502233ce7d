/* SPDX-License-Identifier: Apache-2.0
 *
 * Host names by evdns. A base for each look-up is dearer than one for all, but is never stale and
 * leaves nothing behind in a daemon that rarely resolves anything.
 */
#include "node/resolve.h"

#include <event2/dns.h>
#include <event2/util.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct lookup {
    struct evdns_base *dns;
    struct evdns_getaddrinfo_request *request;
    struct event *later; /* so that `done` never runs inside lookup_new */
    struct resolved found;
    char error[160];
    void (*done)(void *ctx, const struct resolved *found, const char *error);
    void *ctx;
};

bool resolve_split(const char *endpoint, char *host, char *port) {
    const char *colon = strrchr(endpoint, ':');
    if (colon == NULL || colon == endpoint || strlen(colon + 1) > 5 || colon[1] == '\0') {
        return false;
    }
    const char *start = endpoint;
    const char *end = colon;
    if (*start == '[' && end[-1] == ']') {
        start++;
        end--;
    }
    if (end <= start || end - start > 255) {
        return false;
    }
    memcpy(host, start, (size_t)(end - start));
    host[end - start] = '\0';
    (void)snprintf(port, 6, "%s", colon + 1);
    return true;
}

bool resolve_literal(const char *endpoint, struct resolved *out) {
    int len = sizeof(out->addresses[0]);
    memset(out, 0, sizeof(*out));
    if (evutil_parse_sockaddr_port(endpoint, (struct sockaddr *)&out->addresses[0], &len) != 0) {
        return false;
    }
    out->lens[0] = (socklen_t)len;
    out->count = 1;
    return true;
}

static void take(struct lookup *lookup, const struct evutil_addrinfo *list) {
    struct resolved *found = &lookup->found;
    for (; list != NULL && found->count < RESOLVE_ADDRESSES_MAX; list = list->ai_next) {
        if (list->ai_addrlen <= sizeof(found->addresses[0])) {
            memcpy(&found->addresses[found->count], list->ai_addr, list->ai_addrlen);
            found->lens[found->count++] = list->ai_addrlen;
        }
    }
}

static void on_answer(int failed, struct evutil_addrinfo *list, void *ctx) {
    struct lookup *lookup = ctx;
    lookup->request = NULL;
    if (failed == EVUTIL_EAI_CANCEL) {
        return;
    }
    if (failed == 0) {
        take(lookup, list);
    }
    if (list != NULL) {
        evutil_freeaddrinfo(list);
    }
    if (lookup->found.count == 0) {
        (void)snprintf(lookup->error, sizeof(lookup->error), "cannot resolve the name: %s",
                       failed != 0 ? evutil_gai_strerror(failed) : "no address");
    }
    event_active(lookup->later, EV_TIMEOUT, 0);
}

static void on_later(evutil_socket_t fd, short what, void *arg) {
    struct lookup *lookup = arg;
    (void)fd;
    (void)what;
    lookup->done(lookup->ctx, &lookup->found, lookup->found.count > 0 ? NULL : lookup->error);
}

static bool ask(struct lookup *lookup, struct event_base *base, const char *host,
                const char *port) {
    const struct evutil_addrinfo hints = {
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
        .ai_protocol = IPPROTO_TCP,
        .ai_flags = EVUTIL_AI_ADDRCONFIG,
    };
    lookup->dns = evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    lookup->later = event_new(base, -1, 0, on_later, lookup);
    if (lookup->dns == NULL || lookup->later == NULL) {
        return false;
    }
    /* A missing file is no fault: names in /etc/hosts still resolve. */
    (void)evdns_base_resolv_conf_parse(lookup->dns, DNS_OPTIONS_ALL, "/etc/resolv.conf");
    (void)evdns_base_set_option(lookup->dns, "timeout:", "2");
    (void)evdns_base_set_option(lookup->dns, "attempts:", "2");
    lookup->request = evdns_getaddrinfo(lookup->dns, host, port, &hints, on_answer, lookup);
    return true;
}

struct lookup *lookup_new(struct event_base *base, const char *endpoint,
                          void (*done)(void *ctx, const struct resolved *found, const char *error),
                          void *ctx) {
    char host[256];
    char port[8];
    struct lookup *lookup = calloc(1, sizeof(*lookup));
    if (lookup == NULL || !resolve_split(endpoint, host, port)) {
        free(lookup);
        return NULL;
    }
    lookup->done = done;
    lookup->ctx = ctx;
    if (!ask(lookup, base, host, port)) {
        lookup_free(lookup);
        return NULL;
    }
    return lookup;
}

void lookup_free(struct lookup *lookup) {
    if (lookup == NULL) {
        return;
    }
    if (lookup->request != NULL) {
        evdns_getaddrinfo_cancel(lookup->request);
    }
    if (lookup->dns != NULL) {
        evdns_base_free(lookup->dns, 0);
    }
    if (lookup->later != NULL) {
        event_free(lookup->later);
    }
    free(lookup);
}
