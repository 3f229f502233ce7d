/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/topology.h"

#include "base/check.h"
#include "sim/graph.h"
#include "sim/must.h"

#define PPM_ONE 1000000U

/* How the ends of an edge of the graph are told apart. */
enum dialling {
    LARGER_DIALS,
    EITHER_DIALS, /* drawn: in random graphs each node has about half of its neighbours as seeds */
};

static void rng_for_topology(uint64_t seed, struct rng *out) {
    uint8_t bytes[32] = "........topology of the mesh";
    for (unsigned i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(seed >> (8 * i));
    }
    rng_init(out, bytes);
}

/* The edge list. */

static void push_edge(struct plan *plan, size_t *room, uint32_t a, uint32_t b) {
    if (plan->edge_count == *room) {
        *room = *room == 0 ? 64 : 2 * *room;
        plan->edges = must(realloc(plan->edges, *room * sizeof(*plan->edges)));
    }
    plan->edges[plan->edge_count++] = (struct scenario_edge){.a = a, .b = b};
}

static int compare_edges(const void *left, const void *right) {
    const struct scenario_edge *a = left;
    const struct scenario_edge *b = right;
    if (a->a != b->a) {
        return a->a < b->a ? -1 : 1;
    }
    return (a->b > b->b) - (a->b < b->b);
}

static void take_edges_of(struct plan *plan, size_t *room, const struct graph *graph, uint32_t a,
                          struct rng *turns) {
    for (uint32_t i = 0; i < graph->nodes[a].degree; i++) {
        uint32_t b = graph->nodes[a].neighbours[i];
        if (b > a) {
            continue; /* taken from the other end */
        }
        bool is_turned = turns != NULL && rng_below(turns, 2) == 1;
        push_edge(plan, room, is_turned ? b : a, is_turned ? a : b);
    }
}

static void take_edges(struct plan *plan, const struct graph *graph, enum dialling dialling,
                       struct rng *rng) {
    size_t room = 0;
    for (uint32_t a = 0; a < graph->node_count; a++) {
        take_edges_of(plan, &room, graph, a, dialling == EITHER_DIALS ? rng : NULL);
    }
}

/* Regular shapes: node i dials earlier ones. */

static void draw_line(struct graph *graph) {
    for (uint32_t i = 1; i < graph->node_count; i++) {
        (void)graph_add(graph, i, i - 1);
    }
}

static void draw_ring(struct graph *graph) {
    draw_line(graph);
    (void)graph_add(graph, graph->node_count - 1, 0); /* no edge more for one or two nodes */
}

static void draw_tree(struct graph *graph, uint32_t children) {
    for (uint32_t i = 1; i < graph->node_count; i++) {
        (void)graph_add(graph, i, (i - 1) / children);
    }
}

static void draw_grid(struct graph *graph) {
    uint32_t width = 1;
    while (width * width < graph->node_count) {
        width++;
    }
    for (uint32_t i = 1; i < graph->node_count; i++) {
        if (i % width != 0) {
            (void)graph_add(graph, i, i - 1);
        }
        if (i >= width) {
            (void)graph_add(graph, i, i - width);
        }
    }
}

static void draw_full(struct graph *graph, uint32_t first, uint32_t count) {
    for (uint32_t i = 1; i < count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            (void)graph_add(graph, first + i, first + j);
        }
    }
}

static void draw_seeds(struct graph *graph, uint32_t seeds) {
    draw_full(graph, 0, seeds);
    for (uint32_t i = seeds; i < graph->node_count; i++) {
        for (uint32_t seed = 0; seed < seeds; seed++) {
            (void)graph_add(graph, i, seed);
        }
    }
}

/* Hubs 0 .. hubs-1, fully joined; then site after site, each fully joined inside. A site's uplinks
 * go to different hubs and are dialled by its nodes in turn. */
static void draw_site(struct graph *graph, const struct scenario_topology *topology, uint32_t first,
                      struct rng *rng) {
    draw_full(graph, first, topology->site_nodes);
    for (uint32_t made = 0; made < topology->site_uplinks;) {
        uint32_t hub = (uint32_t)rng_below(rng, topology->hubs);
        bool is_taken = false;
        for (uint32_t i = 0; i < topology->site_nodes; i++) {
            is_taken = is_taken || graph_has(graph, first + i, hub);
        }
        if (!is_taken && graph_add(graph, first + made % topology->site_nodes, hub)) {
            made++;
        }
    }
}

static enum weft_err draw_sites(struct graph *graph, const struct scenario_topology *topology,
                                struct rng *rng) {
    uint32_t n = graph->node_count;
    bool is_whole = topology->hubs >= 1 && topology->hubs <= n && topology->site_nodes >= 1 &&
                    (n - topology->hubs) % topology->site_nodes == 0;
    bool is_joined = topology->site_uplinks >= 1 && topology->site_uplinks <= topology->hubs;
    if (!is_whole || !is_joined) {
        return WEFT_ERR_INVALID;
    }
    draw_full(graph, 0, topology->hubs);
    for (uint32_t first = topology->hubs; first < n; first += topology->site_nodes) {
        draw_site(graph, topology, first, rng);
    }
    return WEFT_OK;
}

static void copy_half(struct graph *graph, const struct graph *half, uint32_t first) {
    for (uint32_t a = 0; a < half->node_count; a++) {
        for (uint32_t i = 0; i < half->nodes[a].degree; i++) {
            (void)graph_add(graph, first + a, first + half->nodes[a].neighbours[i]);
        }
    }
}

/* Bridges have no end in common. */
static void draw_bridges(struct graph *graph, uint32_t bridges, struct rng *rng) {
    uint32_t size = graph->node_count / 2;
    bool *is_used = must(calloc(graph->node_count, sizeof(*is_used)));
    for (uint32_t made = 0; made < bridges;) {
        uint32_t a = (uint32_t)rng_below(rng, size);
        uint32_t b = size + (uint32_t)rng_below(rng, size);
        if (!is_used[a] && !is_used[b]) {
            (void)graph_add(graph, a, b);
            is_used[a] = is_used[b] = true;
            made++;
        }
    }
    free(is_used);
}

static enum weft_err draw_halves(struct graph *graph, const struct scenario_topology *topology,
                                 struct rng *rng) {
    uint32_t size = graph->node_count / 2;
    enum weft_err err = WEFT_OK;
    if (graph->node_count % 2 != 0 || topology->bridges < 1 || topology->bridges > size) {
        return WEFT_ERR_INVALID;
    }
    for (uint32_t first = 0; first <= size && err == WEFT_OK; first += size) {
        struct graph half;
        graph_init(&half, size);
        err = graph_random_regular(&half, topology->degree, rng);
        copy_half(graph, &half, first);
        graph_fini(&half);
    }
    draw_bridges(graph, topology->bridges, rng);
    return err;
}

static enum weft_err draw_list(struct graph *graph, const struct scenario_topology *topology) {
    for (size_t i = 0; i < topology->edge_count; i++) {
        const struct scenario_edge *edge = &topology->edges[i];
        bool is_inside = edge->a < graph->node_count && edge->b < graph->node_count;
        if (!is_inside || !graph_add(graph, edge->a, edge->b)) {
            return WEFT_ERR_INVALID;
        }
    }
    return WEFT_OK;
}

static enum weft_err draw_small_world(struct graph *graph, const struct scenario_topology *topology,
                                      struct rng *rng) {
    uint32_t degree = topology->degree;
    if (degree < 2 || degree % 2 != 0 || degree >= graph->node_count) {
        return WEFT_ERR_INVALID;
    }
    graph_small_world(graph, degree, topology->rewired_ppm, rng);
    return WEFT_OK;
}

static enum weft_err draw_scale_free(struct graph *graph, const struct scenario_topology *topology,
                                     struct rng *rng) {
    if (topology->degree < 1 || topology->degree >= graph->node_count) {
        return WEFT_ERR_INVALID;
    }
    graph_scale_free(graph, topology->degree, rng);
    return WEFT_OK;
}

static enum weft_err draw(struct graph *graph, const struct scenario_topology *topology,
                          struct rng *rng) {
    uint32_t n = graph->node_count;
    switch (topology->kind) {
    case TOPOLOGY_LINE:
        draw_line(graph);
        return WEFT_OK;
    case TOPOLOGY_RING:
        draw_ring(graph);
        return WEFT_OK;
    case TOPOLOGY_STAR:
        draw_tree(graph, n);
        return WEFT_OK;
    case TOPOLOGY_GRID:
        draw_grid(graph);
        return WEFT_OK;
    case TOPOLOGY_TREE:
        draw_tree(graph, topology->degree < 1 ? 1 : topology->degree);
        return WEFT_OK;
    case TOPOLOGY_FULL:
        draw_full(graph, 0, n);
        return WEFT_OK;
    case TOPOLOGY_RANDOM_REGULAR:
        return graph_random_regular(graph, topology->degree, rng);
    case TOPOLOGY_SMALL_WORLD:
        return draw_small_world(graph, topology, rng);
    case TOPOLOGY_SCALE_FREE:
        return draw_scale_free(graph, topology, rng);
    case TOPOLOGY_SITES:
        return draw_sites(graph, topology, rng);
    case TOPOLOGY_SEED:
        draw_seeds(graph, topology->seeds < n ? topology->seeds : n);
        return WEFT_OK;
    case TOPOLOGY_HALVES:
        return draw_halves(graph, topology, rng);
    case TOPOLOGY_LIST:
        return draw_list(graph, topology);
    case TOPOLOGY_KIND_COUNT:
        break;
    }
    return WEFT_ERR_INVALID;
}

static bool is_connected(const struct graph *graph) {
    uint32_t *label = must(calloc(graph->node_count, sizeof(*label)));
    uint32_t count = graph_components(graph, label);
    free(label);
    return count == 1;
}

static bool is_drawn(enum topology_kind kind) {
    return kind == TOPOLOGY_RANDOM_REGULAR || kind == TOPOLOGY_SMALL_WORLD ||
           kind == TOPOLOGY_HALVES;
}

static void list_edges(struct plan *plan, const struct graph *graph,
                       const struct scenario_topology *topology, struct rng *rng) {
    if (topology->kind == TOPOLOGY_LIST) {
        size_t room = 0;
        for (size_t i = 0; i < topology->edge_count; i++) {
            push_edge(plan, &room, topology->edges[i].a, topology->edges[i].b);
        }
    } else {
        take_edges(plan, graph, is_drawn(topology->kind) ? EITHER_DIALS : LARGER_DIALS, rng);
    }
    if (plan->edge_count > 1) {
        qsort(plan->edges, plan->edge_count, sizeof(*plan->edges), compare_edges);
    }
}

enum weft_err plan_make(const struct scenario *scenario, uint64_t seed, struct plan *out) {
    ASSERT(scenario != NULL && out != NULL);
    if (scenario->nodes == 0) {
        return WEFT_ERR_INVALID;
    }
    const struct scenario_topology *topology = &scenario->topology;
    bool has_hubs = topology->kind == TOPOLOGY_SITES;
    struct plan plan = {.node_count = scenario->nodes,
                        .hub_count = has_hubs ? topology->hubs : 0,
                        .site_nodes = has_hubs ? topology->site_nodes : 0};
    struct graph graph;
    struct rng rng;
    rng_for_topology(seed, &rng);
    graph_init(&graph, scenario->nodes);
    enum weft_err err = draw(&graph, topology, &rng);
    if (err == WEFT_OK && !is_connected(&graph)) {
        err = WEFT_ERR_INVALID;
    }
    if (err == WEFT_OK) {
        list_edges(&plan, &graph, topology, &rng);
        *out = plan;
    }
    graph_fini(&graph);
    return err;
}

void plan_fini(struct plan *plan) {
    free(plan->edges);
    *plan = (struct plan){0};
}

bool plan_reaches(const struct plan *plan, uint32_t from, uint32_t to) {
    ASSERT(from < plan->node_count && to < plan->node_count);
    if (plan->hub_count == 0 || from < plan->hub_count || to < plan->hub_count) {
        return true;
    }
    return (from - plan->hub_count) / plan->site_nodes == (to - plan->hub_count) / plan->site_nodes;
}
