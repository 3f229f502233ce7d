/* SPDX-License-Identifier: Apache-2.0
 *
 * A mesh to test against: who lists whom at what cost, a naive answer to every question, and the
 * records that tell a router of it.
 */
#ifndef UNIT_ROUTER_GRAPH_H
#define UNIT_ROUTER_GRAPH_H

#include "base/rng.h"
#include "base/time.h"
#include "router/router.h"

#define GRAPH_MAX 64
#define GRAPH_FAR UINT64_MAX

struct graph {
    uint32_t count;
    struct weft_peer_id ids[GRAPH_MAX];
    uint32_t costs[GRAPH_MAX]
                  [GRAPH_MAX]; /* what the row says it pays to the column; 0: not listed */
    bool is_leaving[GRAPH_MAX];
};

/* A generator for a numbered seed. */
struct rng graph_rng(uint64_t seed);

/* An id that depends on nothing but the number. */
struct weft_peer_id graph_id(uint64_t number);

/* Two-way links with the given chance in percent, one-way claims among them, costs of 1 to
 * cost_max: a small cost_max makes many ties. */
void graph_random(struct graph *graph, uint32_t count, uint32_t percent, uint32_t cost_max,
                  struct rng *rng);

/* Adds a two-way link. */
void graph_link(struct graph *graph, uint32_t a, uint32_t b, uint32_t cost_us);
void graph_unlink(struct graph *graph, uint32_t a, uint32_t b);

/* What an arc costs as routes see it; 0 if the link does not count. */
uint64_t graph_arc(const struct graph *graph, uint32_t from, uint32_t to);

/* The least cost from each to each (Floyd, Warshall). */
void graph_distances(const struct graph *graph, uint64_t out[GRAPH_MAX][GRAPH_MAX]);

/* A router of node `self` that knows nothing yet. */
struct router *graph_router(const struct graph *graph, uint32_t self);
/* The same, which shares what it computes. */
struct router *graph_router_pooled(const struct graph *graph, uint32_t self,
                                   struct graph_pool *pool);

/* Tells a router what one node says of itself; fails the test if it refuses. */
void graph_tell(const struct graph *graph, struct router *router, uint32_t node, weft_ns now);
/* Tells all, in an order drawn by chance, and computes. */
void graph_tell_all(const struct graph *graph, struct router *router, struct rng *rng, weft_ns now);

/* Has a router say that `peer` lists these links, at `flags`. */
enum weft_err graph_say(struct router *router, const struct weft_peer_id *peer,
                        const struct wire_peer_link *links, uint32_t link_count, uint32_t flags,
                        weft_ns now);

/* Lets time pass until what changed is due; returns when. */
weft_ns graph_settle(struct router *router);

/* Encodes and decodes a body with these links and addresses; borrowed from `buffer`. */
#define GRAPH_BODY_BYTES 50000
struct wire_peer_body graph_body(uint8_t *buffer, const struct wire_peer_source *source);

/* The node with this id, or count. */
uint32_t graph_find(const struct graph *graph, const struct weft_peer_id *id);

#endif
