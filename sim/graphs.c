/* SPDX-License-Identifier: Apache-2.0
 *
 * The random graphs of graph.h. Every loop that draws until something fits is bounded.
 */
#include "sim/graph.h"

#include "base/check.h"
#include "sim/must.h"

/* Swaps tried for one bad pair before the pairing is begun anew: at the degrees we pair at (at most
 * half of all) a random edge fits with a probability of at least about 1/16. */
#define REPAIR_TRIES_MAX 4000
/* Pairings tried; tiny dense graphs may need a few. */
#define PAIRING_TRIES_MAX 64
/* Draws to join components; each joins two with a probability of at least one in a few. */
#define JOIN_TRIES_MAX 1000000
#define PPM_ONE 1000000U

struct edge {
    uint32_t a;
    uint32_t b;
};

static void clear(struct graph *graph) {
    for (uint32_t i = 0; i < graph->node_count; i++) {
        graph->nodes[i].degree = 0;
    }
    graph->edge_count = 0;
}

static uint32_t draw_node(const struct graph *graph, struct rng *rng) {
    return (uint32_t)rng_below(rng, graph->node_count);
}

/* A random edge, as an ordered pair; not quite uniform where degrees differ. */
static bool draw_edge(const struct graph *graph, struct rng *rng, struct edge *out) {
    uint32_t a = draw_node(graph, rng);
    const struct graph_node *node = &graph->nodes[a];
    if (node->degree == 0) {
        return false;
    }
    *out = (struct edge){.a = a, .b = node->neighbours[rng_below(rng, node->degree)]};
    return true;
}

static void shuffle(uint32_t *items, size_t count, struct rng *rng) {
    for (size_t i = count; i > 1; i--) {
        size_t other = (size_t)rng_below(rng, i);
        uint32_t kept = items[i - 1];
        items[i - 1] = items[other];
        items[other] = kept;
    }
}

/* Regular graphs. */

static bool may_add(const struct graph *graph, uint32_t a, uint32_t b) {
    return a != b && !graph_has(graph, a, b);
}

/* Gives both stubs of a bad pair an end: an edge c-d becomes a-c and b-d. */
static bool repair(struct graph *graph, const struct edge *bad, struct rng *rng) {
    struct edge edge;
    for (uint32_t i = 0; i < REPAIR_TRIES_MAX; i++) {
        bool is_drawn = draw_edge(graph, rng, &edge);
        if (is_drawn && may_add(graph, bad->a, edge.a) && may_add(graph, bad->b, edge.b)) {
            graph_remove(graph, edge.a, edge.b);
            return graph_add(graph, bad->a, edge.a) && graph_add(graph, bad->b, edge.b);
        }
    }
    return false;
}

static bool pair_stubs(struct graph *graph, const uint32_t *stubs, size_t count, struct rng *rng) {
    struct edge *bad = must(calloc(count / 2 + 1, sizeof(*bad)));
    size_t bad_count = 0;
    bool is_done = true;
    for (size_t i = 0; i + 1 < count; i += 2) {
        if (!graph_add(graph, stubs[i], stubs[i + 1])) {
            bad[bad_count++] = (struct edge){.a = stubs[i], .b = stubs[i + 1]};
        }
    }
    for (size_t i = 0; i < bad_count && is_done; i++) {
        is_done = repair(graph, &bad[i], rng);
    }
    free(bad);
    return is_done;
}

/* What is left when luck fails: each node joined to the `degree` nearest on a ring. */
static void make_circulant(struct graph *graph, uint32_t degree) {
    uint32_t n = graph->node_count;
    clear(graph);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t step = 1; step <= degree / 2; step++) {
            (void)graph_add(graph, i, (i + step) % n);
        }
        if (degree % 2 == 1 && i < n / 2) {
            (void)graph_add(graph, i, i + n / 2);
        }
    }
}

/* Any graph of that degree, at most half of all, connected or not. */
static void make_regular(struct graph *graph, uint32_t degree, struct rng *rng) {
    size_t count = (size_t)graph->node_count * degree;
    uint32_t *stubs = must(calloc(count + 1, sizeof(*stubs)));
    bool is_done = false;
    for (size_t i = 0; i < count; i++) {
        stubs[i] = (uint32_t)(i / degree);
    }
    for (uint32_t i = 0; i < PAIRING_TRIES_MAX && !is_done; i++) {
        clear(graph);
        shuffle(stubs, count, rng);
        is_done = pair_stubs(graph, stubs, count, rng);
    }
    free(stubs);
    if (!is_done) {
        make_circulant(graph, degree);
    }
}

static void add_lacking(struct graph *graph, const struct graph *lacking, uint32_t a) {
    for (uint32_t b = 0; b < a; b++) {
        if (!graph_has(lacking, a, b)) {
            (void)graph_add(graph, a, b);
        }
    }
}

/* A dense graph is what a sparse one lacks. */
static void make_dense(struct graph *graph, uint32_t degree, struct rng *rng) {
    struct graph lacking;
    graph_init(&lacking, graph->node_count);
    make_regular(&lacking, graph->node_count - 1 - degree, rng);
    for (uint32_t a = 0; a < graph->node_count; a++) {
        add_lacking(graph, &lacking, a);
    }
    graph_fini(&lacking);
}

/* Joins components by swapping the ends of an edge in each: degrees stay, and unless both edges
 * were bridges the two become one. Never makes more pieces of it. */
static bool join_by_swaps(struct graph *graph, struct rng *rng) {
    uint32_t *label = must(calloc(graph->node_count, sizeof(*label)));
    uint32_t count = graph_components(graph, label);
    for (uint32_t i = 0; i < JOIN_TRIES_MAX && count > 1; i++) {
        struct edge one;
        struct edge two;
        if (draw_edge(graph, rng, &one) && draw_edge(graph, rng, &two) &&
            label[one.a] != label[two.a]) {
            graph_remove(graph, one.a, one.b);
            graph_remove(graph, two.a, two.b);
            (void)graph_add(graph, one.a, two.a);
            (void)graph_add(graph, one.b, two.b);
            count = graph_components(graph, label);
        }
    }
    free(label);
    return count == 1;
}

enum weft_err graph_random_regular(struct graph *graph, uint32_t degree, struct rng *rng) {
    uint32_t n = graph->node_count;
    ASSERT(graph->edge_count == 0);
    bool is_even = (uint64_t)n * degree % 2 == 0;
    bool may_connect = degree >= 2 || degree + 1 == n;
    if (degree >= n || !is_even || !may_connect) {
        return WEFT_ERR_INVALID;
    }
    if (degree > (n - 1) / 2) {
        make_dense(graph, degree, rng);
    } else {
        make_regular(graph, degree, rng);
    }
    return join_by_swaps(graph, rng) ? WEFT_OK : WEFT_ERR_INVALID;
}

/* Small worlds. */

/* Joins each further component to the first by one edge between random members. */
static void join_by_edges(struct graph *graph, struct rng *rng) {
    uint32_t *label = must(calloc(graph->node_count, sizeof(*label)));
    uint32_t count = graph_components(graph, label);
    while (count > 1) {
        uint32_t a = draw_node(graph, rng);
        uint32_t b = draw_node(graph, rng);
        if (label[a] != label[b]) {
            (void)graph_add(graph, a, b);
            count = graph_components(graph, label);
        }
    }
    free(label);
}

static void rewire(struct graph *graph, uint32_t from, uint32_t to, uint32_t ppm, struct rng *rng) {
    if (rng_below(rng, PPM_ONE) >= ppm) {
        return;
    }
    uint32_t instead = draw_node(graph, rng);
    if (graph_has(graph, from, to) && graph_add(graph, from, instead)) {
        graph_remove(graph, from, to);
    }
}

void graph_small_world(struct graph *graph, uint32_t degree, uint32_t ppm, struct rng *rng) {
    uint32_t n = graph->node_count;
    ASSERT(degree >= 2 && degree % 2 == 0 && degree < n && ppm <= PPM_ONE);
    make_circulant(graph, degree);
    for (uint32_t step = 1; step <= degree / 2; step++) {
        for (uint32_t i = 0; i < n; i++) {
            rewire(graph, i, (i + step) % n, ppm, rng);
        }
    }
    join_by_edges(graph, rng);
}

/* Scale-free graphs. Each edge leaves both its ends in `ends`, so that a uniform draw from there is
 * a draw by degree. */

static void join_newcomer(struct graph *graph, uint32_t node, uint32_t degree, uint32_t *ends,
                          struct rng *rng) {
    size_t count = 2 * graph->edge_count;
    while (graph_degree(graph, node) < degree) {
        (void)graph_add(graph, node, ends[rng_below(rng, count)]);
    }
    for (uint32_t i = 0; i < degree; i++) {
        ends[count++] = node;
        ends[count++] = graph->nodes[node].neighbours[i];
    }
}

void graph_scale_free(struct graph *graph, uint32_t degree, struct rng *rng) {
    uint32_t n = graph->node_count;
    ASSERT(degree >= 1 && degree < n && graph->edge_count == 0);
    uint32_t *ends = must(calloc(2 * (size_t)n * (degree + 1), sizeof(*ends)));
    size_t count = 0;
    for (uint32_t a = 0; a <= degree; a++) {
        for (uint32_t b = 0; b < a; b++) {
            (void)graph_add(graph, a, b);
            ends[count++] = a;
            ends[count++] = b;
        }
    }
    for (uint32_t node = degree + 1; node < n; node++) {
        join_newcomer(graph, node, degree, ends, rng);
    }
    free(ends);
}
