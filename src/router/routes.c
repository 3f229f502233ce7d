/* SPDX-License-Identifier: Apache-2.0
 *
 * Our own tree, kept small.
 */
#include "router/routes.h"

#include <stdlib.h>

#include "base/check.h"

void routes_init(struct routes *routes, struct frozen *graph, const struct weft_peer_id *self) {
    *routes = (struct routes){.graph = graph, .self = frozen_find(graph, self)};
    ASSERT(routes->self != PATH_NONE);
}

void routes_fini(struct routes *routes) {
    frozen_unref(routes->graph);
    free(routes->parents);
    *routes = (struct routes){0};
}

static uint32_t own_degree(const struct routes *routes) {
    const uint32_t *rows = routes->graph->paths.rows;
    return rows[routes->self + 1] - rows[routes->self];
}

/* Which of our links leads to a neighbour. */
static uint16_t link_of(const struct routes *routes, uint32_t neighbour) {
    const struct path_graph *paths = &routes->graph->paths;
    uint32_t low = paths->rows[routes->self];
    uint32_t high = paths->rows[routes->self + 1];
    while (paths->arcs[low].to != neighbour) {
        uint32_t middle = low + (high - low) / 2;
        bool is_right = paths->arcs[middle].to <= neighbour;
        low = is_right ? middle : low;
        high = is_right ? high : middle;
    }
    return (uint16_t)(low - paths->rows[routes->self]);
}

static void tree_pack(struct routes *routes, const struct path_node *nodes) {
    for (uint32_t i = 0; i < routes->graph->paths.node_count; i++) {
        routes->parents[i] = nodes[i].parent;
        if (i == routes->self) {
            routes->firsts[i] = UINT16_MAX;
        } else {
            routes->firsts[i] = link_of(routes, nodes[i].first);
            routes->behind[routes->firsts[i]]++;
        }
    }
}

enum weft_err routes_compute(struct routes *routes) {
    if (routes->parents != NULL) {
        return WEFT_OK;
    }
    size_t count = routes->graph->paths.node_count;
    size_t degree = own_degree(routes);
    ASSERT(degree < UINT16_MAX); /* WIRE_LINKS_MAX */
    uint32_t *block = calloc(1, (count + degree) * sizeof(uint32_t) + count * sizeof(uint16_t));
    struct path_node *nodes = block != NULL ? frozen_compute(routes->graph, routes->self) : NULL;
    if (nodes == NULL) {
        free(block);
        return WEFT_ERR_MEMORY;
    }
    routes->parents = block;
    routes->behind = block + count;
    routes->firsts = (uint16_t *)(block + count + degree);
    tree_pack(routes, nodes);
    free(nodes);
    return WEFT_OK;
}

const struct weft_peer_id *routes_next_hop(const struct routes *routes, uint32_t node) {
    ASSERT(node != routes->self);
    const struct path_graph *paths = &routes->graph->paths;
    uint32_t arc = paths->rows[routes->self] + routes->firsts[node];
    return &routes->graph->ids[paths->arcs[arc].to];
}

struct router_path routes_path(const struct routes *routes, uint32_t node) {
    const struct frozen *graph = routes->graph;
    struct router_path path = {.is_reachable = true, .next_hop = *routes_next_hop(routes, node)};
    uint64_t weight = 1; /* powers of 3: the order of the nodes counts */
    while (node != routes->self) {
        uint32_t parent = routes->parents[node];
        path.hops++;
        path.cost_us += frozen_cost(graph, parent, node);
        path.trail += weight * graph->tags[node];
        weight *= 3;
        node = parent;
    }
    return path;
}

uint32_t routes_behind(const struct routes *routes, uint32_t node) {
    bool is_neighbour = node != routes->self && frozen_cost(routes->graph, routes->self, node) != 0;
    return is_neighbour ? routes->behind[link_of(routes, node)] : 0;
}
