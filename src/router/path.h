/* SPDX-License-Identifier: Apache-2.0
 *
 * Shortest paths as a pure function of a graph: Dijkstra (1959) with an indexed binary heap over
 * dense node indices and integer costs. Nodes are numbered in increasing order of peer id, so that
 * comparing indices compares ids: every node that holds the same graph computes the same tree,
 * whatever order its records came in.
 *
 * Among equal costs fewer hops win, then the parent with the smaller id. Costs are at least 1, so
 * all candidates for a node's parent are settled before the node itself: the heap need only order
 * by cost, and ties are decided while relaxing.
 */
#ifndef ROUTER_PATH_H
#define ROUTER_PATH_H

#include "weft/types.h"

#define PATH_NONE UINT32_MAX
#define PATH_UNREACHED UINT64_MAX

struct path_arc {
    uint32_t to;
    uint32_t cost_us; /* at least 1 */
};

/* Compressed rows: the arcs of node u are arcs[rows[u]] up to, not including, arcs[rows[u + 1]]. */
struct path_graph {
    uint32_t node_count;
    uint32_t *rows; /* node_count + 1 */
    struct path_arc *arcs;
};

/* What a computation says of one node. */
struct path_node {
    uint64_t cost_us; /* PATH_UNREACHED if no path leads here */
    uint32_t hops;
    uint32_t parent; /* the last node before this one; PATH_NONE for the source and the unreached */
    uint32_t first;  /* the first node after the source; the source itself for the source */
    uint32_t place;  /* 1-based index in the heap, 0 if not there */
};

struct path_entry {
    uint64_t cost_us;
    uint32_t node;
};

/* Computes the tree of `source`, each link costing `hop_us` more than it says. `nodes` has room for
 * node_count, `heap` for node_count + 1; both are overwritten. Cost: (nodes + arcs) x log nodes. */
void path_compute(const struct path_graph *graph, uint32_t source, uint32_t hop_us,
                  struct path_entry *heap, struct path_node *nodes);

/* The same as if `without`, another node than the source, had no links: it is not reached. */
void path_compute_without(const struct path_graph *graph, uint32_t source, uint32_t without,
                          struct path_entry *heap, struct path_node *nodes);

/* Makes a tree that path_compute made right again after the costs of some arcs changed, or arcs
 * came or went: the same as a computation from scratch, at the cost of what is affected. Every arc
 * must have one that leads back, before and after, and every node must be reached. `touched`: the
 * far ends of all arcs that differ, others among them do no harm. `heap` has room for node_count
 * + 1. */
void path_repair(const struct path_graph *graph, uint32_t source, struct path_entry *heap,
                 struct path_node *nodes, const uint32_t *touched, size_t touched_count);

/* What an arc costs; 0 if there is none. Rows must be in increasing order of `to`. */
uint32_t path_cost(const struct path_graph *graph, uint32_t from, uint32_t to);

#endif
