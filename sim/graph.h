/* SPDX-License-Identifier: Apache-2.0
 *
 * A simple undirected graph: no loops, no repeated edges. What the topologies are built in.
 */
#ifndef SIM_GRAPH_H
#define SIM_GRAPH_H

#include "base/rng.h"

struct graph_node {
    uint32_t *neighbours; /* in the order they were added, but for removals */
    uint32_t degree;
    uint32_t room;
};

struct graph {
    struct graph_node *nodes;
    uint32_t node_count;
    size_t edge_count;
};

void graph_init(struct graph *graph, uint32_t node_count); /* no edges yet */
void graph_fini(struct graph *graph);                      /* takes zeroed memory */

/* Adds an edge; false, and nothing done, for a loop or a repeat. Cost: the smaller degree. */
bool graph_add(struct graph *graph, uint32_t a, uint32_t b);
/* Removes an edge that is there. */
void graph_remove(struct graph *graph, uint32_t a, uint32_t b);
bool graph_has(const struct graph *graph, uint32_t a, uint32_t b);
uint32_t graph_degree(const struct graph *graph, uint32_t node);

/* Labels each node with its component, numbered from 0 by least node; returns how many there are.
 * `label` has room for node_count. */
uint32_t graph_components(const struct graph *graph, uint32_t *label);

/* Random graphs; each leaves the graph connected. `graph` has no edges before. */

/* Each node of degree `degree`: stubs paired at random, loops and repeats repaired by swaps with
 * random edges (McKay and Wormald), components joined by swaps. WEFT_ERR_INVALID if there is no
 * such graph: degree >= node_count, odd times odd, or a degree of less than 2 beyond two nodes. */
WEFT_MUST_CHECK enum weft_err graph_random_regular(struct graph *graph, uint32_t degree,
                                                   struct rng *rng);
/* Watts and Strogatz: a ring joined to the `degree` nearest (even, < node_count), each edge moved
 * to a random end with probability `ppm`. Moves that leave the graph in pieces are mended by one
 * edge a piece. */
void graph_small_world(struct graph *graph, uint32_t degree, uint32_t ppm, struct rng *rng);
/* Barabasi and Albert: `degree` + 1 nodes fully joined, then each newcomer joined to `degree`
 * others drawn by their degree; 1 <= degree < node_count. */
void graph_scale_free(struct graph *graph, uint32_t degree, struct rng *rng);

#endif
