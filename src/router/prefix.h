/* SPDX-License-Identifier: Apache-2.0
 *
 * The network part of an address: who can take many addresses out of one prefix cheaply may not
 * fill our links from it (T19).
 */
#ifndef ROUTER_PREFIX_H
#define ROUTER_PREFIX_H

#include "weft/types.h"

enum prefix_kind {
    PREFIX_NONE,   /* not a literal address */
    PREFIX_LOCAL,  /* loopback, private, link-local: one operator's, not capped */
    PREFIX_PUBLIC, /* an IPv4 /24 or an IPv6 /48 */
};

struct prefix {
    enum prefix_kind kind;
    uint64_t value; /* equal for equal prefixes of the public kind */
};

/* The prefix of "a.b.c.d:port" or "[v6]:port". */
struct prefix router_prefix_of(const char *endpoint);

static inline bool prefix_is_shared(struct prefix a, struct prefix b) {
    return a.kind == PREFIX_PUBLIC && b.kind == PREFIX_PUBLIC && a.value == b.value;
}

#endif
