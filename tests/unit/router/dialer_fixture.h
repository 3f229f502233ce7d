/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection maker at the test bench: with a router that it asks, and steps of its life in short.
 */
#ifndef UNIT_ROUTER_DIALER_FIXTURE_H
#define UNIT_ROUTER_DIALER_FIXTURE_H

#include "graph.h"
#include "router/dialer.h"

/* A dialer, and a router that it asks. */
struct fixture {
    uint64_t random_state;
    struct host host;
    struct dialer_config config;
    struct dialer *dialer;
    struct router *router;
    weft_ns now;
    uint64_t link_last;
};

void fixture_init(struct fixture *fixture, bool may_discover);
void fixture_fini(struct fixture *fixture);
bool fixture_next(struct fixture *fixture, struct dial *out);
/* Sleeps from deadline to deadline, a minute at most, until there is a dial. */
bool fixture_wait_dial(struct fixture *fixture, struct dial *out);
void fixture_learn(struct fixture *fixture, uint64_t peer, const char *const *addresses,
                   uint32_t count);
void fixture_learn_one(struct fixture *fixture, uint64_t peer, const char *address);
/* A candidate in a network of its own. */
void fixture_learn_apart(struct fixture *fixture, uint64_t peer);
struct link_id fixture_link_up(struct fixture *fixture, uint64_t peer, uint64_t token);
/* Links to the peers 1 .. count, which they dialled. */
void fixture_links_up(struct fixture *fixture, uint64_t count);
void fixture_add_seed(struct fixture *fixture, const char *endpoint);
/* The router learns that the peers 1 .. count are linked to us and, in a ring, to four on each
 * side. */
void fixture_ring(struct fixture *fixture, uint32_t count);

#endif
