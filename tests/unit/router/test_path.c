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
    path_compute(graph, source, 0, heap, nodes);
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

Test(path, without_a_node_is_as_if_it_had_no_links) {
    for (uint64_t round = 0; round < ROUNDS; round++) {
        struct rng rng = graph_rng(round);
        struct matrix matrix;
        struct path_node nodes[NODES];
        struct path_node expected[NODES];
        struct path_entry heap[NODES + 1];
        matrix_random(&matrix, &rng);
        uint32_t source = (uint32_t)rng_below(&rng, matrix.count);
        uint32_t without = (uint32_t)rng_below(&rng, matrix.count);
        if (source == without) {
            continue;
        }
        struct path_graph graph = matrix_freeze(&matrix);
        path_compute_without(&graph, source, without, heap, nodes);
        graph_fini(&graph);
        for (uint32_t i = 0; i < matrix.count; i++) {
            matrix.costs[i][without] = matrix.costs[without][i] = 0;
        }
        graph = matrix_freeze(&matrix);
        path_compute(&graph, source, 0, heap, expected);
        graph_fini(&graph);
        for (uint32_t i = 0; i < matrix.count; i++) {
            cr_assert_eq(nodes[i].cost_us, expected[i].cost_us, "round %lu node %u", round, i);
            cr_assert_eq(nodes[i].parent, expected[i].parent, "round %lu node %u", round, i);
            cr_assert_eq(nodes[i].first, expected[i].first, "round %lu node %u", round, i);
        }
    }
}

Test(path, of_a_single_node_is_itself) {
    struct matrix matrix = {.count = 1};
    struct path_graph graph = matrix_freeze(&matrix);
    struct path_node node;
    struct path_entry heap[2];
    path_compute(&graph, 0, 0, heap, &node);
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
    path_compute(&graph, 0, 0, heap, nodes);
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
    path_compute(&graph, 0, 0, heap, nodes);
    cr_expect_eq(nodes[3].parent, 0);
    cr_expect_eq(nodes[3].hops, 1);
    cr_expect_eq(nodes[4].parent, 1);
    graph_fini(&graph);
}

Test(path, takes_a_dearer_link_where_each_hop_has_its_price) {
    struct matrix matrix = {.count = 3};
    matrix.costs[0][2] = 9; /* direct */
    matrix.costs[0][1] = 2; /* or by 1 */
    matrix.costs[1][2] = 2;
    struct path_graph graph = matrix_freeze(&matrix);
    struct path_node nodes[3];
    struct path_entry heap[4];
    path_compute(&graph, 0, 0, heap, nodes);
    cr_expect_eq(nodes[2].parent, 1);
    path_compute(&graph, 0, 6, heap, nodes);
    cr_expect_eq(nodes[2].parent, 0);
    path_compute(&graph, 0, 4, heap, nodes); /* 13 against 12 */
    cr_expect_eq(nodes[2].parent, 1);
    graph_fini(&graph);
}

/* A connected graph whose arcs lead both ways, at costs of their own. */
static void matrix_two_way(struct matrix *matrix, struct rng *rng, uint32_t cost_max) {
    *matrix = (struct matrix){.count = 3 + (uint32_t)rng_below(rng, NODES - 3)};
    uint64_t percent = rng_below(rng, 30);
    for (uint32_t i = 0; i < matrix->count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (j + 1 == i || rng_below(rng, 100) < percent) {
                matrix->costs[i][j] = 1 + (uint32_t)rng_below(rng, cost_max);
                matrix->costs[j][i] = 1 + (uint32_t)rng_below(rng, cost_max);
            }
        }
    }
}

/* Changes, adds or takes a link away; the line that holds the graph together stays. */
static void matrix_change(struct matrix *matrix, struct rng *rng, uint32_t cost_max,
                          uint32_t touched[2]) {
    uint32_t a = (uint32_t)rng_below(rng, matrix->count);
    uint32_t b = (uint32_t)rng_below(rng, matrix->count);
    touched[0] = a;
    touched[1] = b;
    if (a == b) {
        return;
    }
    bool is_held = a + 1 == b || b + 1 == a;
    bool is_removed = !is_held && rng_below(rng, 3) == 0;
    matrix->costs[a][b] = is_removed ? 0 : 1 + (uint32_t)rng_below(rng, cost_max);
    if (is_removed || matrix->costs[b][a] == 0) {
        matrix->costs[b][a] = is_removed ? 0 : 1 + (uint32_t)rng_below(rng, cost_max);
    }
}

static void repair_check(const struct matrix *matrix, uint32_t source, struct path_node *nodes,
                         const uint32_t *touched, size_t touched_count, uint64_t round) {
    struct path_graph graph = matrix_freeze(matrix);
    struct path_node expected[NODES];
    struct path_entry heap[NODES + 1];
    path_repair(&graph, source, heap, nodes, touched, touched_count);
    path_compute(&graph, source, 0, heap, expected);
    for (uint32_t i = 0; i < matrix->count; i++) {
        cr_assert_eq(nodes[i].cost_us, expected[i].cost_us, "round %lu node %u", round, i);
        cr_assert_eq(nodes[i].hops, expected[i].hops, "round %lu node %u", round, i);
        cr_assert_eq(nodes[i].parent, expected[i].parent, "round %lu node %u", round, i);
        cr_assert_eq(nodes[i].first, expected[i].first, "round %lu node %u", round, i);
        cr_assert_eq(nodes[i].place, 0, "round %lu node %u", round, i);
    }
    graph_fini(&graph);
}

/* Small costs make ties, large ones long detours. */
Test(path, repaired_after_random_changes_is_as_computed_from_scratch) {
    for (uint64_t round = 0; round < ROUNDS; round++) {
        struct rng rng = graph_rng(round);
        struct matrix matrix;
        struct path_node nodes[NODES];
        struct path_entry heap[NODES + 1];
        uint32_t touched[10];
        uint32_t cost_max = round % 2 == 0 ? 3 : 1000;
        matrix_two_way(&matrix, &rng, cost_max);
        uint32_t source = (uint32_t)rng_below(&rng, matrix.count);
        struct path_graph graph = matrix_freeze(&matrix);
        path_compute(&graph, source, 0, heap, nodes);
        graph_fini(&graph);
        for (int i = 0; i < 40; i++) {
            size_t count = 1 + (size_t)rng_below(&rng, 5);
            for (size_t change = 0; change < count; change++) {
                matrix_change(&matrix, &rng, cost_max, touched + 2 * change);
            }
            repair_check(&matrix, source, nodes, touched, 2 * count, round);
        }
    }
}

Test(path, costs_of_arcs_are_found_and_those_of_no_arc_are_none) {
    struct rng rng = graph_rng(99);
    struct matrix matrix;
    matrix_random(&matrix, &rng);
    struct path_graph graph = matrix_freeze(&matrix);
    for (uint32_t i = 0; i < matrix.count; i++) {
        for (uint32_t j = 0; j < matrix.count; j++) {
            cr_expect_eq(path_cost(&graph, i, j), matrix.costs[i][j]);
        }
    }
    graph_fini(&graph);
}
