/* SPDX-License-Identifier: Apache-2.0
 *
 * Our own tree, kept small.
 */
#include "router/routes.h"

#include <stdlib.h>

#include "base/check.h"
#include "router/attach.h"

void routes_init(struct routes *routes, struct frozen *graph, const struct weft_peer_id *self) {
    *routes = (struct routes){
        .graph = graph, .is_shared = graph->pool != NULL, .self = frozen_find(graph, self)};
    ASSERT(routes->self != PATH_NONE);
}

void routes_fini(struct routes *routes) {
    frozen_unref(routes->graph);
    free(routes->parents);
    free(routes->nodes);
    *routes = (struct routes){0};
}

static uint32_t own_degree(const struct routes *routes) {
    const uint32_t *rows = routes->graph->paths.rows;
    return rows[routes->self + 1] - rows[routes->self];
}

/* Which of our links each neighbour is, at its node; all other nodes mean nothing. */
static void links_number(const struct routes *routes, uint16_t *links) {
    const struct path_graph *paths = &routes->graph->paths;
    uint32_t row = paths->rows[routes->self];
    for (uint32_t i = row; i < paths->rows[routes->self + 1]; i++) {
        links[paths->arcs[i].to] = (uint16_t)(i - row);
    }
}

static void tree_pack(struct routes *routes, const uint16_t *links) {
    for (uint32_t i = 0; i < routes->graph->paths.node_count; i++) {
        routes->parents[i] = routes->nodes[i].parent;
        routes->firsts[i] = UINT16_MAX;
        if (i != routes->self) {
            routes->firsts[i] = links[routes->nodes[i].first];
            routes->behind[routes->firsts[i]]++;
        }
    }
}

/* Makes the small form from the tree in full. */
static enum weft_err routes_pack(struct routes *routes) {
    size_t count = routes->graph->paths.node_count;
    size_t degree = own_degree(routes);
    ASSERT(degree < UINT16_MAX); /* WIRE_LINKS_MAX */
    uint16_t *links = calloc(count, sizeof *links);
    free(routes->parents);
    routes->parents = calloc(1, (count + degree) * sizeof(uint32_t) + count * sizeof(uint16_t));
    if (routes->parents == NULL || links == NULL) {
        free(links);
        free(routes->parents);
        routes->parents = NULL;
        return WEFT_ERR_MEMORY;
    }
    routes->behind = routes->parents + count;
    routes->firsts = (uint16_t *)(routes->behind + degree);
    links_number(routes, links);
    tree_pack(routes, links);
    free(links);
    return WEFT_OK;
}

static void nodes_drop(struct routes *routes) {
    free(routes->nodes);
    routes->nodes = NULL;
}

enum weft_err routes_compute(struct routes *routes) {
    if (routes->parents != NULL) {
        return WEFT_OK;
    }
    nodes_drop(routes);
    routes->nodes = frozen_compute(routes->graph, routes->self, 0);
    enum weft_err err = routes->nodes != NULL ? routes_pack(routes) : WEFT_ERR_MEMORY;
    if (err != WEFT_OK || routes->is_shared) {
        nodes_drop(routes);
    }
    return err;
}

static enum weft_err tree_repair(struct routes *routes, const struct frozen_touched *touched) {
    struct path_entry *heap = malloc(((size_t)routes->graph->paths.node_count + 1) * sizeof *heap);
    if (heap == NULL) {
        return WEFT_ERR_MEMORY;
    }
    path_repair(&routes->graph->paths, routes->self, heap, routes->nodes, touched->nodes,
                touched->count);
    free(heap);
    return routes_pack(routes);
}

enum weft_err routes_patch(struct routes *routes, const struct topology *topology) {
    struct frozen_touched touched = {0};
    enum weft_err err = frozen_patch(routes->graph, topology, &touched);
    routes->is_asked = false;
    if (err == WEFT_OK && routes->nodes != NULL) {
        err = tree_repair(routes, &touched);
    }
    free(touched.nodes);
    return err;
}

const struct weft_peer_id *routes_next_hop(const struct routes *routes, uint32_t node) {
    ASSERT(node != routes->self);
    const struct path_graph *paths = &routes->graph->paths;
    uint32_t arc = paths->rows[routes->self] + routes->firsts[node];
    return &routes->graph->ids[paths->arcs[arc].to];
}

const struct weft_peer_id *routes_next_hop_to_new(const struct routes *routes,
                                                  const struct topology *topology,
                                                  const struct weft_peer_id *peer) {
    uint32_t slot = topology_find(topology, peer);
    while (slot != TOPOLOGY_NONE) {
        uint32_t parent = topology->parents[slot];
        if (parent == TOPOLOGY_NONE || parent == ATTACH_ORPHAN || parent == slot) {
            return NULL;
        }
        if (parent == topology->self_slot) {
            return &topology->words[slot]->owner;
        }
        uint32_t node = frozen_find(routes->graph, &topology->words[parent]->owner);
        if (node != PATH_NONE) {
            return routes_next_hop(routes, node);
        }
        slot = parent;
    }
    return NULL;
}

struct router_path routes_path(const struct routes *routes, uint32_t node) {
    const struct frozen *graph = routes->graph;
    struct router_path path = {.is_reachable = true, .next_hop = *routes_next_hop(routes, node)};
    uint64_t weight = 1; /* powers of 3: the order of the nodes counts */
    while (node != routes->self) {
        uint32_t parent = routes->parents[node];
        path.hops++;
        path.cost_us += path_cost(&graph->paths, parent, node);
        path.trail += weight * graph->tags[node];
        weight *= 3;
        node = parent;
    }
    return path;
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

uint32_t routes_behind(const struct routes *routes, uint32_t node) {
    bool is_neighbour =
        node != routes->self && path_cost(&routes->graph->paths, routes->self, node) != 0;
    return is_neighbour ? routes->behind[link_of(routes, node)] : 0;
}

size_t routes_trace(const struct routes *routes, uint32_t node, struct weft_peer_id *out,
                    size_t max) {
    size_t hops = node != routes->self ? routes_path(routes, node).hops : 0;
    if (hops >= max) {
        return 0;
    }
    for (size_t i = hops + 1; i > 0; i--) {
        out[i - 1] = routes->graph->ids[node];
        node = routes->parents[node];
    }
    return hops + 1;
}
