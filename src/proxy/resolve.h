/* SPDX-License-Identifier: Apache-2.0
 *
 * Host names to addresses without ever blocking the loop: numeric ones at once, others by
 * /etc/hosts and DNS (libevent's resolver), which is only started when the first name asks for it.
 */
#ifndef PROXY_RESOLVE_H
#define PROXY_RESOLVE_H

#include <event2/event.h>
#include <event2/util.h>

#include "proxy/address.h"

struct resolver;
struct resolve;

/* The list is the callee's to free with evutil_freeaddrinfo; NULL if the name has no address. */
typedef void resolve_done(void *ctx, struct evutil_addrinfo *addresses);

/* NULL when out of memory. */
struct resolver *resolver_new(struct event_base *base);

/* Nobody may be waiting for an answer any more: cancel first. Takes NULL. */
void resolver_free(struct resolver *resolver);

/* The addresses of a numeric endpoint; NULL if the host is a name. */
struct evutil_addrinfo *resolve_numeric(const struct endpoint *endpoint);

/* Asks for a name. `done` may run before this returns, and then, as when out of memory, NULL is
 * returned. */
struct resolve *resolve_name(struct resolver *resolver, const struct endpoint *endpoint,
                             resolve_done *done, void *ctx);

/* `done` will not be called. Takes NULL. */
void resolve_cancel(struct resolve *resolve);

#endif
