/* SPDX-License-Identifier: Apache-2.0
 *
 * What one computation found: the graph as it was at that moment, frozen and numbered in order of
 * peer id, our own tree over it, and what follows. Broadcast trees are computed from the same
 * frozen graph, so that they are those which the digest names even while newer records wait.
 */
#ifndef ROUTER_ROUTES_H
#define ROUTER_ROUTES_H

#include "router/path.h"
#include "router/router.h"
#include "router/topology.h"

/* What a hop through a peer that is leaving costs on top: it is used only if nothing else is left.
 */
#define ROUTES_LEAVING_US 1000000

struct routes {
    struct path_graph graph;  /* peers that have a mutual link, and ourselves */
    struct weft_peer_id *ids; /* of each node, in increasing order */
    struct path_node *nodes;  /* our own tree */
    uint32_t *behind;         /* of a neighbour: how many peers' paths begin with it */
    struct path_entry *heap;  /* scratch for any computation over this graph */
    struct path_node *tree;   /* scratch for the trees of others */
    uint32_t self;            /* our node; PATH_NONE if we have not spoken yet */
    uint32_t reachable_count; /* without ourselves */
    uint64_t digest;
};

/* Computes from the graph as known; numbers the topology's peers (rank). WEFT_ERR_MEMORY. */
WEFT_MUST_CHECK enum weft_err routes_init(struct routes *routes, struct topology *topology);
/* Takes zeroed memory. */
void routes_fini(struct routes *routes);

/* The node of a peer, or PATH_NONE. Cost: a binary search. */
uint32_t routes_find(const struct routes *routes, const struct weft_peer_id *peer);

/* The path to a node; all zero if it is PATH_NONE or unreached. */
struct router_path routes_path(const struct routes *routes, uint32_t node);

/* Computes the tree of another source into routes->tree. */
void routes_compute_tree(const struct routes *routes, uint32_t source);

#endif
