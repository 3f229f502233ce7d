/* SPDX-License-Identifier: Apache-2.0
 *
 * A frozen graph: the peers that are reached and their mutual links, numbered in order of peer id.
 * Counted and immutable, so that cores that know the same share one (pool.h). Broadcast trees are
 * computed from the same graph as paths, so that they are those which the digest names even while
 * newer words wait.
 *
 * All its nodes are reached from each: mutual links lead both ways.
 */
#ifndef ROUTER_FROZEN_H
#define ROUTER_FROZEN_H

#include "router/path.h"
#include "router/topology.h"

/* What a hop through a peer that is leaving costs on top: it is used only if nothing else is left.
 */
#define FROZEN_LEAVING_US 1000000

struct frozen {
    uint32_t reference_count;
    struct path_graph paths;
    struct weft_peer_id *ids; /* of each node, in increasing order */
    uint64_t *tags;           /* a hash of each node's id */
    uint32_t *starts;         /* where ids that begin with each value of index_bits bits start */
    uint32_t index_bits;
    uint64_t digest;         /* of ids, links and costs: equal graphs, equal trees */
    struct graph_pool *pool; /* where its trees are remembered, or NULL */
    size_t arcs_size;        /* room for so many */
    uint32_t **trees;        /* by source: the parent of each node; NULL where not remembered */
    size_t tree_bytes;
};

/* Freezes what hangs on us; all orphans must be settled and our own word known. WEFT_ERR_MEMORY.
 * Cost: linear in peers and links. */
WEFT_MUST_CHECK enum weft_err frozen_new(const struct topology *topology, struct frozen **out);
struct frozen *frozen_ref(struct frozen *graph);
/* Takes NULL. */
void frozen_unref(struct frozen *graph);

/* The node of a peer, or PATH_NONE. */
uint32_t frozen_find(const struct frozen *graph, const struct weft_peer_id *peer);

/* What each hop costs more in the trees of broadcasts than in paths: a tree of shortest paths alone
 * is deep where delays differ (8 hops where 5 do), and each hop is one more place to fail; A2. */
#define FROZEN_TREE_HOP_US 20000

/* Computes the shortest paths from a source, each link costing `hop_us` more than it says: one
 * entry a node, the caller's to free. NULL when out of memory. */
struct path_node *frozen_compute(const struct frozen *graph, uint32_t source, uint32_t hop_us);

/* The same, by cost alone, as if `without`, another node than the source, were not there. */
struct path_node *frozen_compute_without(const struct frozen *graph, uint32_t source,
                                         uint32_t without);

/* Which neighbours of `self` hang below it in the tree of `source`'s broadcasts; `out` has room for
 * all its neighbours. WEFT_ERR_MEMORY. Cost: a computation, unless the pool remembers the tree. */
WEFT_MUST_CHECK enum weft_err frozen_children(struct frozen *graph, uint32_t source, uint32_t self,
                                              uint32_t *out, uint32_t *count);

/* Nodes whose arcs in a patch changed. */
struct frozen_touched {
    uint32_t *nodes;
    size_t count;
    size_t size;
};

/* Makes a graph that nobody else holds what frozen_new would make of the topology now, which may
 * differ by topology->edits only. Adds to `touched`, which begins as zeroes and is the caller's to
 * free, the far ends of all arcs that may differ. WEFT_ERR_MEMORY: the graph is no longer of use.
 * Cost: the edited rows, and moving the arcs behind them. */
WEFT_MUST_CHECK enum weft_err frozen_patch(struct frozen *graph, const struct topology *topology,
                                           struct frozen_touched *touched);

/* Forgets the trees. */
void frozen_trees_drop(struct frozen *graph);

#endif
