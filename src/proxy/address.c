/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/address.h"

#include <event2/util.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/span.h"

#define PORT_MAX 65535

static bool is_port(const char *text) {
    size_t len = strlen(text);
    return len >= 1 && len <= 5 && strspn(text, "0123456789") == len &&
           strtoul(text, NULL, 10) <= PORT_MAX;
}

/* The host's characters: between brackets, or all before the colon if there are no more colons. */
static struct span host_of(const char *text, const char *colon) {
    size_t len = (size_t)(colon - text);
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        return span_of(text + 1, len - 2);
    }
    return memchr(text, ':', len) == NULL ? span_of(text, len) : span_of(NULL, 0);
}

enum weft_err endpoint_parse(const char *text, struct endpoint *out) {
    ASSERT(text != NULL && out != NULL);
    const char *colon = strrchr(text, ':');
    if (colon == NULL || !is_port(colon + 1)) {
        return WEFT_ERR_INVALID;
    }
    struct span host = host_of(text, colon);
    struct endpoint endpoint = {0};
    if (host.len == 0 || !span_to_text(host, endpoint.host, sizeof endpoint.host)) {
        return WEFT_ERR_INVALID;
    }
    memcpy(endpoint.port, colon + 1, strlen(colon + 1));
    *out = endpoint;
    return WEFT_OK;
}

enum weft_err address_parse(const char *text, struct address *out) {
    struct endpoint endpoint;
    if (endpoint_parse(text, &endpoint) != WEFT_OK) {
        return WEFT_ERR_INVALID;
    }
    const char *host = strcmp(endpoint.host, "localhost") == 0 ? "127.0.0.1" : endpoint.host;
    struct evutil_addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                    .ai_flags = EVUTIL_AI_NUMERICHOST | EVUTIL_AI_NUMERICSERV};
    struct evutil_addrinfo *found = NULL;
    if (evutil_getaddrinfo(host, endpoint.port, &hints, &found) != 0) {
        return WEFT_ERR_INVALID;
    }
    *out = (struct address){.len = found->ai_addrlen};
    memcpy(&out->storage, found->ai_addr, found->ai_addrlen);
    evutil_freeaddrinfo(found);
    return WEFT_OK;
}

bool address_is_loopback(const struct sockaddr *address) {
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    switch (address->sa_family) {
    case AF_INET:
        memcpy(&four, address, sizeof four);
        return ntohl(four.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    case AF_INET6:
        memcpy(&six, address, sizeof six);
        return IN6_IS_ADDR_LOOPBACK(&six.sin6_addr);
    default:
        return false;
    }
}

bool address_equal(const struct address *a, const struct address *b) {
    return evutil_sockaddr_cmp((const struct sockaddr *)&a->storage,
                               (const struct sockaddr *)&b->storage, 1) == 0;
}

void address_format(const struct address *address, char *out) {
    char host[WEFT_ENDPOINT_MAX - 8] = "?"; /* less brackets, colon and port */
    char port[6] = "0";
    (void)getnameinfo((const struct sockaddr *)&address->storage, address->len, host, sizeof host,
                      port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
    bool is_v6 = address->storage.ss_family == AF_INET6;
    snprintf(out, WEFT_ENDPOINT_MAX + 1, is_v6 ? "[%s]:%s" : "%s:%s", host, port);
}
