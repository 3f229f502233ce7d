/* SPDX-License-Identifier: Apache-2.0
 *
 * Freezing the graph and computing our tree over it.
 */
#include "router/routes.h"

#include <stdlib.h>

#include "base/check.h"

/* SplitMix64's finaliser (Steele, Lea, Flood 2014): every bit of the input moves every bit out. */
static uint64_t mix(uint64_t word) {
    word ^= word >> 30;
    word *= 0xbf58476d1ce4e5b9;
    word ^= word >> 27;
    word *= 0x94d049bb133111eb;
    return word ^ word >> 31;
}

/* The id's bytes in a fixed order, so that machines of either endianness agree. */
static uint64_t id_mix(const struct weft_peer_id *id) {
    uint64_t high = 0;
    uint64_t low = 0;
    for (size_t i = 0; i < 8; i++) {
        high = high << 8 | id->bytes[i];
        low = low << 8 | id->bytes[8 + i];
    }
    return mix(mix(high) + low);
}

/* Sums one hash per reachable peer and arc: a sum has no order. A liar who finds a collision makes
 * some frames travel a tree that others do not share; repair makes good for that. */
static uint64_t digest_of(const struct routes *routes) {
    const struct path_graph *graph = &routes->graph;
    const uint64_t *id_hashes = graph->tags;
    uint64_t digest = 0;
    for (uint32_t u = 0; u < graph->node_count; u++) {
        if (routes->nodes[u].cost_us == PATH_UNREACHED) {
            continue;
        }
        digest += id_hashes[u];
        for (uint32_t i = graph->rows[u]; i < graph->rows[u + 1]; i++) {
            uint64_t pair = 3 * id_hashes[u] + id_hashes[graph->arcs[i].to];
            digest += mix(pair ^ mix(graph->arcs[i].cost_us));
        }
    }
    return digest;
}

static bool is_node(const struct topology *topology, const struct topology_peer *peer) {
    return peer->mutual_count > 0 || weft_peer_id_equal(&peer->id, &topology->self);
}

/* Numbers the peers that take part; counts them and their arcs. */
static uint32_t peers_number(struct topology *topology, size_t *arc_count) {
    uint32_t count = 0;
    *arc_count = 0;
    for (uint32_t i = 0; i < topology->count; i++) {
        struct topology_peer *peer = &topology->peers[topology->order[i]];
        peer->rank = is_node(topology, peer) ? count++ : PATH_NONE;
        *arc_count += peer->mutual_count;
    }
    return count;
}

static enum weft_err routes_reserve(struct routes *routes, uint32_t count, size_t arc_count) {
    routes->graph.node_count = count;
    routes->graph.rows = calloc((size_t)count + 1, sizeof *routes->graph.rows);
    routes->graph.arcs = malloc((arc_count + 1) * sizeof *routes->graph.arcs);
    routes->graph.tags = malloc(((size_t)count + 1) * sizeof *routes->graph.tags);
    routes->ids = malloc(((size_t)count + 1) * sizeof *routes->ids);
    routes->nodes = malloc(((size_t)count + 1) * sizeof *routes->nodes);
    routes->tree = malloc(((size_t)count + 1) * sizeof *routes->tree);
    routes->heap = malloc(((size_t)count + 1) * sizeof *routes->heap);
    routes->behind = calloc((size_t)count + 1, sizeof *routes->behind);
    bool is_whole = routes->graph.rows != NULL && routes->graph.arcs != NULL &&
                    routes->graph.tags != NULL && routes->ids != NULL && routes->nodes != NULL &&
                    routes->tree != NULL && routes->heap != NULL && routes->behind != NULL;
    return is_whole ? WEFT_OK : WEFT_ERR_MEMORY;
}

/* Writes a peer's mutual links as arcs; returns where the next peer's begin. */
static uint32_t row_freeze(struct routes *routes, const struct topology *topology,
                           const struct topology_peer *peer, uint32_t next) {
    uint32_t extra_us = peer->is_leaving ? ROUTES_LEAVING_US : 0;
    for (uint32_t i = 0; i < peer->link_count; i++) {
        const struct topology_link *link = &peer->links[i];
        if (link->slot != TOPOLOGY_NONE) {
            uint32_t room_us = UINT32_MAX - link->cost_us;
            routes->graph.arcs[next++] = (struct path_arc){
                .to = topology->peers[link->slot].rank,
                .cost_us = link->cost_us + (extra_us < room_us ? extra_us : room_us)};
        }
    }
    return next;
}

static void graph_freeze(struct routes *routes, const struct topology *topology) {
    uint32_t next = 0;
    for (uint32_t i = 0; i < topology->count; i++) {
        const struct topology_peer *peer = &topology->peers[topology->order[i]];
        if (peer->rank == PATH_NONE) {
            continue;
        }
        routes->ids[peer->rank] = peer->id;
        routes->graph.tags[peer->rank] = id_mix(&peer->id);
        routes->graph.rows[peer->rank] = next;
        next = row_freeze(routes, topology, peer, next);
    }
    routes->graph.rows[routes->graph.node_count] = next;
}

/* Counts who is reached, and behind which neighbour. */
static void reach_count(struct routes *routes) {
    for (uint32_t i = 0; i < routes->graph.node_count; i++) {
        if (routes->nodes[i].cost_us != PATH_UNREACHED && i != routes->self) {
            routes->reachable_count++;
            routes->behind[routes->nodes[i].first]++;
        }
    }
}

static void routes_compute(struct routes *routes, const struct topology *topology) {
    graph_freeze(routes, topology);
    routes->self = routes_find(routes, &topology->self);
    if (routes->self == PATH_NONE) {
        routes->graph.node_count = 0; /* before our first word nothing is reached */
        return;
    }
    path_compute(&routes->graph, routes->self, routes->heap, routes->nodes);
    reach_count(routes);
    routes->digest = digest_of(routes);
}

enum weft_err routes_init(struct routes *routes, struct topology *topology) {
    *routes = (struct routes){.self = PATH_NONE};
    size_t arc_count = 0;
    uint32_t count = peers_number(topology, &arc_count);
    enum weft_err err = routes_reserve(routes, count, arc_count);
    if (err == WEFT_OK) {
        routes_compute(routes, topology);
    } else {
        routes_fini(routes); /* takes half-built objects */
    }
    return err;
}

void routes_fini(struct routes *routes) {
    free(routes->graph.rows);
    free(routes->graph.arcs);
    free(routes->graph.tags);
    free(routes->ids);
    free(routes->nodes);
    free(routes->tree);
    free(routes->heap);
    free(routes->behind);
    *routes = (struct routes){.self = PATH_NONE};
}

uint32_t routes_find(const struct routes *routes, const struct weft_peer_id *peer) {
    uint32_t low = 0;
    uint32_t high = routes->graph.node_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = weft_peer_id_compare(&routes->ids[middle], peer);
        if (order == 0) {
            return middle;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return PATH_NONE;
}

struct router_path routes_path(const struct routes *routes, uint32_t node) {
    if (node == PATH_NONE || routes->nodes[node].cost_us == PATH_UNREACHED) {
        return (struct router_path){0};
    }
    return (struct router_path){.is_reachable = true,
                                .next_hop = routes->ids[routes->nodes[node].first],
                                .hops = routes->nodes[node].hops,
                                .trail = routes->nodes[node].trail,
                                .cost_us = routes->nodes[node].cost_us};
}

void routes_compute_tree(const struct routes *routes, uint32_t source) {
    path_compute(&routes->graph, source, routes->heap, routes->tree);
}
