/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is told of whom, and who can reach whom: made from a scenario and a seed, before anything
 * runs.
 */
#ifndef SIM_TOPOLOGY_H
#define SIM_TOPOLOGY_H

#include "base/rng.h"
#include "sim/scenario.h"

/* A plan: edges are seeds (a dials b), sorted by (a, b), without repeats either way. */
struct plan {
    uint32_t node_count;
    uint32_t hub_count; /* SITES: nodes 0 .. hub_count-1 are hubs; else 0 */
    uint32_t site_nodes;
    struct scenario_edge *edges;
    size_t edge_count;
};

/* WEFT_ERR_INVALID when no such graph exists (an odd number of odd degrees ...). The graph is
 * connected. */
WEFT_MUST_CHECK enum weft_err plan_make(const struct scenario *scenario, uint64_t seed,
                                        struct plan *out);
void plan_fini(struct plan *plan);

/* Whether `from` can open a connection to `to` at all: SITES: the same site, or one of them a hub;
 * else everybody. */
bool plan_reaches(const struct plan *plan, uint32_t from, uint32_t to);

/* Draws the nodes that a pick means, without repeats, in increasing order; `out` has room for
 * node_count. Returns how many. */
size_t plan_pick(const struct plan *plan, const struct scenario_pick *pick, struct rng *rng,
                 uint32_t *out);

#endif
