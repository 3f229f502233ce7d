/* SPDX-License-Identifier: Apache-2.0
 *
 * Endpoints as text, "host:port" and "[v6]:port", and as socket addresses.
 */
#ifndef PROXY_ADDRESS_H
#define PROXY_ADDRESS_H

#include <sys/socket.h>

#include "weft/types.h"

struct address {
    struct sockaddr_storage storage;
    socklen_t len;
};

struct endpoint {
    char host[WEFT_ENDPOINT_MAX + 1]; /* without brackets */
    char port[6];                     /* decimal digits, 0 to 65535 */
};

/* Splits a text. WEFT_ERR_INVALID: no host, no port, a port that is none, an IPv6 address without
 * brackets. */
WEFT_MUST_CHECK enum weft_err endpoint_parse(const char *text, struct endpoint *out);

/* An address to listen at: numeric, or "localhost", which is 127.0.0.1. WEFT_ERR_INVALID for
 * others. */
WEFT_MUST_CHECK enum weft_err address_parse(const char *text, struct address *out);

/* 127.0.0.0/8 or ::1. */
bool address_is_loopback(const struct sockaddr *address);

bool address_equal(const struct address *a, const struct address *b);

/* Writes "ip:port" or "[ip]:port"; out has WEFT_ENDPOINT_MAX + 1 bytes. */
void address_format(const struct address *address, char *out);

#endif
