/* SPDX-License-Identifier: Apache-2.0
 *
 * Shortest paths against Bellman and Ford, and ties against the rule read literally.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "graph.h"
#include "router/path.h"

#define NODES 40
#define ROUNDS 150

/* A graph as a matrix; 0: no arc. */
struct matrix {
    uint32_t count;
    uint32_t costs[NODES][NODES];
};

static void matrix_random(struct matrix *matrix, struct rng *rng) {
    *matrix = (struct matrix){.count = 1 + (uint32_t)rng_below(rng, NODES)};
    uint64_t percent = rng_below(rng, 40);
    uint64_t cost_max = rng_below(rng, 2) == 0 ? 3 : 1000000;
    for (uint32_t i = 0; i < matrix->count; i++) {
        for (uint32_t j = 0; j < matrix->count; j++) {
            bool has_arc = i != j && rng_below(rng, 100) < percent;
            matrix->costs[i][j] = has_arc ? 1 + (uint32_t)rng_below(rng, cost_max) : 0;
        }
    }
}

static struct path_graph matrix_freeze(const struct matrix *matrix) {
    struct path_graph graph = {.node_count = matrix->count};
    graph.rows = calloc(matrix->count + 1u, sizeof *graph.rows);
    graph.arcs = calloc((size_t)matrix->count * matrix->count, sizeof *graph.arcs);
    uint32_t next = 0;
    for (uint32_t i = 0; i < matrix->count; i++) {
        graph.rows[i] = next;
        for (uint32_t j = 0; j < matrix->count; j++) {
            if (matrix->costs[i][j] != 0) {
                graph.arcs[next++] = (struct path_arc){.to = j, .cost_us = matrix->costs[i][j]};
            }
        }
    }
    graph.rows[matrix->count] = next;
    return graph;
}

static void graph_fini(struct path_graph *graph) {
    free(graph->rows);
    free(graph->arcs);
}

/* Bellman, Ford: relaxes everything until nothing moves. */
static void naive_costs(const struct matrix *matrix, uint32_t source, uint64_t out[NODES]) {
    for (uint32_t i = 0; i < matrix->count; i++) {
        out[i] = i == source ? 0 : PATH_UNREACHED;
    }
    for (uint32_t round = 0; round < matrix->count; round++) {
        for (uint32_t i = 0; i < matrix->count; i++) {
            for (uint32_t j = 0; out[i] != PATH_UNREACHED && j < matrix->count; j++) {
                uint32_t arc = matrix->costs[i][j];
                if (arc != 0 && out[i] + arc < out[j]) {
                    out[j] = out[i] + arc;
                }
            }
        }
    }
}

/* The parent that the rule names, given right costs and hops of all others. */
static uint32_t naive_parent(const struct matrix *matrix, const struct path_node *nodes,
                             uint32_t node) {
    uint32_t best = PATH_NONE;
    for (uint32_t i = 0; i < matrix->count; i++) {
        uint32_t arc = matrix->costs[i][node];
        bool is_tight = arc != 0 && nodes[i].cost_us != PATH_UNREACHED &&
                        nodes[i].cost_us + arc == nodes[node].cost_us;
        if (is_tight && (best == PATH_NONE || nodes[i].hops < nodes[best].hops)) {
            best = i; /* i rises: among equal hops the smallest id stays */
        }
    }
    return best;
}

static void node_check(const struct matrix *matrix, const struct path_node *nodes, uint32_t source,
                       uint32_t node, uint64_t round) {
    if (node == source || nodes[node].cost_us == PATH_UNREACHED) {
        cr_assert_eq(nodes[node].parent, PATH_NONE, "round %lu", round);
        return;
    }
    uint32_t parent = nodes[node].parent;
    cr_assert_eq(parent, naive_parent(matrix, nodes, node), "round %lu node %u", round, node);
    cr_assert_eq(nodes[node].hops, nodes[parent].hops + 1, "round %lu", round);
    cr_assert_eq(nodes[node].first, parent == source ? node : nodes[parent].first, "round %lu",
                 round);
}

static void tree_check(const struct matrix *matrix, const struct path_graph *graph, uint32_t source,
                       uint64_t round) {
    struct path_node nodes[NODES];
    struct path_entry heap[NODES + 1];
    uint64_t expected[NODES];
    path_compute(graph, source, heap, nodes);
    naive_costs(matrix, source, expected);
    for (uint32_t i = 0; i < matrix->count; i++) {
        cr_assert_eq(nodes[i].cost_us, expected[i], "round %lu: %u to %u", round, source, i);
        node_check(matrix, nodes, source, i, round);
    }
}

Test(path, agrees_with_a_naive_version_and_the_rule_for_ties) {
    for (uint64_t round = 0; round < ROUNDS; round++) {
        struct rng rng = graph_rng(round);
        struct matrix matrix;
        matrix_random(&matrix, &rng);
        struct path_graph graph = matrix_freeze(&matrix);
        tree_check(&matrix, &graph, (uint32_t)rng_below(&rng, matrix.count), round);
        graph_fini(&graph);
    }
}

Test(path, of_a_single_node_is_itself) {
    struct matrix matrix = {.count = 1};
    struct path_graph graph = matrix_freeze(&matrix);
    struct path_node node;
    struct path_entry heap[2];
    path_compute(&graph, 0, heap, &node);
    cr_expect_eq(node.cost_us, 0);
    cr_expect_eq(node.hops, 0);
    cr_expect_eq(node.first, 0);
    graph_fini(&graph);
}

/* Eight links at the dearest a record may say must not wrap. */
Test(path, sums_beyond_32_bits) {
    struct matrix matrix = {.count = 9};
    for (uint32_t i = 0; i < 8; i++) {
        matrix.costs[i][i + 1] = UINT32_MAX;
    }
    struct path_graph graph = matrix_freeze(&matrix);
    struct path_node nodes[9];
    struct path_entry heap[10];
    path_compute(&graph, 0, heap, nodes);
    cr_expect_eq(nodes[8].cost_us, 8 * (uint64_t)UINT32_MAX);
    cr_expect_eq(nodes[8].hops, 8);
    graph_fini(&graph);
}

Test(path, prefers_fewer_hops_then_the_smaller_parent_at_equal_cost) {
    struct matrix matrix = {.count = 5};
    matrix.costs[0][3] = 4; /* direct */
    matrix.costs[0][1] = 2; /* or by 1 */
    matrix.costs[1][3] = 2;
    matrix.costs[0][2] = 2; /* 4 is as near by 1 as by 2 */
    matrix.costs[2][4] = 5;
    matrix.costs[1][4] = 5;
    struct path_graph graph = matrix_freeze(&matrix);
    struct path_node nodes[5];
    struct path_entry heap[6];
    path_compute(&graph, 0, heap, nodes);
    cr_expect_eq(nodes[3].parent, 0);
    cr_expect_eq(nodes[3].hops, 1);
    cr_expect_eq(nodes[4].parent, 1);
    graph_fini(&graph);
}
