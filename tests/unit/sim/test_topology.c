/* SPDX-License-Identifier: Apache-2.0
 *
 * Properties of the plans of all topologies, over many sizes and seeds.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "sim/graph.h"
#include "sim/topology.h"

#define SEEDS 20

static struct scenario scenario_of(enum topology_kind kind, uint32_t nodes, uint32_t degree) {
    struct scenario scenario = {.nodes = nodes};
    scenario.topology = (struct scenario_topology){.kind = kind,
                                                   .degree = degree,
                                                   .seeds = 1,
                                                   .rewired_ppm = 200000,
                                                   .hubs = 4,
                                                   .site_nodes = 2,
                                                   .site_uplinks = 2,
                                                   .bridges = 3};
    return scenario;
}

/* The plan as a graph; fails on loops, repeats, disorder, or more than one component. */
static struct graph checked(const struct plan *plan) {
    struct graph graph;
    graph_init(&graph, plan->node_count);
    for (size_t i = 0; i < plan->edge_count; i++) {
        const struct scenario_edge *edge = &plan->edges[i];
        cr_assert(edge->a < plan->node_count && edge->b < plan->node_count);
        cr_assert(graph_add(&graph, edge->a, edge->b), "repeat %u-%u", edge->a, edge->b);
        if (i > 0) {
            const struct scenario_edge *before = &plan->edges[i - 1];
            cr_assert(before->a < edge->a || (before->a == edge->a && before->b < edge->b));
        }
    }
    uint32_t *label = calloc(plan->node_count, sizeof(*label));
    cr_assert_eq(graph_components(&graph, label), 1, "not connected");
    free(label);
    return graph;
}

static struct graph make(const struct scenario *scenario, uint64_t seed, struct plan *plan) {
    cr_assert_eq(plan_make(scenario, seed, plan), WEFT_OK, "kind %d nodes %u degree %u seed %llu",
                 (int)scenario->topology.kind, scenario->nodes, scenario->topology.degree,
                 (unsigned long long)seed);
    return checked(plan);
}

static size_t edges_of(enum topology_kind kind, uint32_t nodes, uint32_t degree) {
    struct scenario scenario = scenario_of(kind, nodes, degree);
    struct plan plan;
    struct graph graph = make(&scenario, 1, &plan);
    size_t count = plan.edge_count;
    graph_fini(&graph);
    plan_fini(&plan);
    return count;
}

Test(topology, regular_shapes_have_the_edges_they_should) {
    for (uint32_t n = 3; n < 40; n++) {
        cr_expect_eq(edges_of(TOPOLOGY_LINE, n, 0), n - 1);
        cr_expect_eq(edges_of(TOPOLOGY_RING, n, 0), n);
        cr_expect_eq(edges_of(TOPOLOGY_STAR, n, 0), n - 1);
        cr_expect_eq(edges_of(TOPOLOGY_TREE, n, 3), n - 1);
        cr_expect_eq(edges_of(TOPOLOGY_FULL, n, 0), (size_t)n * (n - 1) / 2);
        cr_expect_eq(edges_of(TOPOLOGY_SEED, n, 0), n - 1);
    }
    cr_expect_eq(edges_of(TOPOLOGY_GRID, 16, 0), 24);
    cr_expect_eq(edges_of(TOPOLOGY_GRID, 10, 0), 13); /* 4 + 4 + 2 */
}

Test(topology, takes_one_and_two_nodes) {
    static const enum topology_kind KINDS[] = {TOPOLOGY_LINE, TOPOLOGY_RING, TOPOLOGY_STAR,
                                               TOPOLOGY_GRID, TOPOLOGY_TREE, TOPOLOGY_FULL,
                                               TOPOLOGY_SEED};
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++) {
        cr_expect_eq(edges_of(KINDS[i], 1, 2), 0);
        cr_expect_eq(edges_of(KINDS[i], 2, 2), 1);
    }
    cr_expect_eq(edges_of(TOPOLOGY_RANDOM_REGULAR, 2, 1), 1);
}

static void check_regular(uint32_t nodes, uint32_t degree, uint64_t seed) {
    struct scenario scenario = scenario_of(TOPOLOGY_RANDOM_REGULAR, nodes, degree);
    struct plan plan;
    struct graph graph = make(&scenario, seed, &plan);
    for (uint32_t i = 0; i < nodes; i++) {
        cr_assert_eq(graph_degree(&graph, i), degree, "nodes %u degree %u seed %llu node %u", nodes,
                     degree, (unsigned long long)seed, i);
    }
    graph_fini(&graph);
    plan_fini(&plan);
}

Test(topology, random_regular_graphs_are_regular_at_every_size_and_degree) {
    for (uint32_t nodes = 3; nodes <= 24; nodes++) {
        for (uint32_t degree = 2; degree < nodes; degree++) {
            for (uint64_t seed = 0; seed < 4 && nodes * degree % 2 == 0; seed++) {
                check_regular(nodes, degree, seed);
            }
        }
    }
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        check_regular(200, 2, seed); /* a union of rings, as long as nothing joins them */
        check_regular(1000, 8, seed);
    }
    check_regular(10000, 8, 1);
}

/* In the pairing model each pair of nodes is joined about equally often. */
Test(topology, random_regular_graphs_favour_no_edge) {
    uint32_t seen[10][10] = {{0}};
    for (uint64_t seed = 0; seed < 600; seed++) {
        struct scenario scenario = scenario_of(TOPOLOGY_RANDOM_REGULAR, 10, 3);
        struct plan plan;
        struct graph graph = make(&scenario, seed, &plan);
        for (size_t i = 0; i < plan.edge_count; i++) {
            seen[plan.edges[i].a][plan.edges[i].b]++;
        }
        graph_fini(&graph);
        plan_fini(&plan);
    }
    for (uint32_t a = 0; a < 10; a++) {
        for (uint32_t b = 0; b < a; b++) {
            uint32_t count = seen[a][b] + seen[b][a]; /* 200 expected, deviation 12 */
            cr_expect(count > 130 && count < 270, "%u-%u: %u", a, b, count);
            cr_expect(seen[a][b] > 50 && seen[b][a] > 50, "%u dials %u too often", a, b);
        }
    }
}

Test(topology, small_worlds_keep_the_number_of_edges_and_move_some) {
    size_t moved = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct scenario scenario = scenario_of(TOPOLOGY_SMALL_WORLD, 100, 4);
        struct plan plan;
        struct graph graph = make(&scenario, seed, &plan);
        cr_assert_geq(plan.edge_count, 200, "seed %llu", (unsigned long long)seed);
        cr_assert_leq(plan.edge_count, 204);
        for (size_t i = 0; i < plan.edge_count; i++) {
            uint32_t gap = (plan.edges[i].a + 100 - plan.edges[i].b) % 100;
            moved += gap > 2 && gap < 98 ? 1 : 0;
        }
        graph_fini(&graph);
        plan_fini(&plan);
    }
    cr_assert(moved > SEEDS * 20 && moved < SEEDS * 60, "%zu", moved); /* of 200, 40 expected */
}

Test(topology, a_small_world_without_moves_is_a_ring_of_neighbours) {
    struct scenario scenario = scenario_of(TOPOLOGY_SMALL_WORLD, 30, 4);
    scenario.topology.rewired_ppm = 0;
    struct plan plan;
    struct graph graph = make(&scenario, 3, &plan);
    for (uint32_t i = 0; i < 30; i++) {
        cr_assert(graph_has(&graph, i, (i + 1) % 30) && graph_has(&graph, i, (i + 2) % 30));
    }
    graph_fini(&graph);
    plan_fini(&plan);
}

Test(topology, scale_free_graphs_grow_hubs) {
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct scenario scenario = scenario_of(TOPOLOGY_SCALE_FREE, 500, 2);
        struct plan plan;
        struct graph graph = make(&scenario, seed, &plan);
        uint32_t most = 0;
        for (uint32_t i = 0; i < 500; i++) {
            most = graph_degree(&graph, i) > most ? graph_degree(&graph, i) : most;
            cr_assert_geq(graph_degree(&graph, i), 2);
        }
        cr_assert_eq(plan.edge_count, 3 + 2 * 497);
        cr_assert_gt(most, 20, "seed %llu: %u", (unsigned long long)seed, most);
        graph_fini(&graph);
        plan_fini(&plan);
    }
}

Test(topology, each_site_is_joined_inside_and_to_as_many_hubs_as_it_has_uplinks) {
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct scenario scenario = scenario_of(TOPOLOGY_SITES, 4 + 2 * 30, 0);
        struct plan plan;
        struct graph graph = make(&scenario, seed, &plan);
        cr_assert_eq(plan.hub_count, 4);
        for (uint32_t first = 4; first < 64; first += 2) {
            uint32_t uplinks = graph_degree(&graph, first) + graph_degree(&graph, first + 1) - 2;
            cr_assert(graph_has(&graph, first, first + 1));
            cr_assert_eq(uplinks, 2);
        }
        cr_assert_eq(plan.edge_count, 6 + 30 + 60);
        graph_fini(&graph);
        plan_fini(&plan);
    }
}

Test(topology, sites_reach_hubs_and_themselves_only) {
    struct scenario scenario = scenario_of(TOPOLOGY_SITES, 10, 0);
    struct plan plan;
    struct graph graph = make(&scenario, 1, &plan);
    cr_expect(plan_reaches(&plan, 4, 5));
    cr_expect(plan_reaches(&plan, 4, 0));
    cr_expect(plan_reaches(&plan, 3, 9));
    cr_expect_not(plan_reaches(&plan, 5, 6));
    cr_expect_not(plan_reaches(&plan, 9, 4));
    graph_fini(&graph);
    plan_fini(&plan);
}

Test(topology, halves_are_joined_by_their_bridges_alone) {
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct scenario scenario = scenario_of(TOPOLOGY_HALVES, 100, 4);
        struct plan plan;
        struct graph graph = make(&scenario, seed, &plan);
        size_t bridges = 0;
        for (size_t i = 0; i < plan.edge_count; i++) {
            bridges += (plan.edges[i].a < 50) != (plan.edges[i].b < 50) ? 1 : 0;
        }
        cr_assert_eq(bridges, 3);
        cr_assert_eq(plan.edge_count, 203);
        cr_assert(plan_reaches(&plan, 0, 99));
        graph_fini(&graph);
        plan_fini(&plan);
    }
}

Test(topology, a_list_is_taken_as_it_is) {
    struct scenario_edge edges[] = {{2, 0}, {1, 2}};
    struct scenario scenario = scenario_of(TOPOLOGY_LIST, 3, 0);
    scenario.topology.edges = edges;
    scenario.topology.edge_count = 2;
    struct plan plan;
    struct graph graph = make(&scenario, 1, &plan);
    cr_assert(plan.edges[0].a == 1 && plan.edges[0].b == 2);
    cr_assert(plan.edges[1].a == 2 && plan.edges[1].b == 0);
    graph_fini(&graph);
    plan_fini(&plan);
}

Test(topology, refuses_lists_with_repeats_loops_strangers_or_islands) {
    struct scenario_edge wrong[][3] = {
        {{0, 1}, {1, 0}, {1, 2}}, {{0, 1}, {1, 2}, {2, 2}}, {{0, 1}, {1, 2}, {2, 3}}};
    struct scenario scenario = scenario_of(TOPOLOGY_LIST, 3, 0);
    struct plan plan = {.node_count = 77};
    scenario.topology.edge_count = 3;
    for (size_t i = 0; i < 3; i++) {
        scenario.topology.edges = wrong[i];
        cr_expect_eq(plan_make(&scenario, 1, &plan), WEFT_ERR_INVALID);
    }
    scenario.topology.edge_count = 1; /* node 2 is on its own */
    cr_expect_eq(plan_make(&scenario, 1, &plan), WEFT_ERR_INVALID);
    cr_expect_eq(plan.node_count, 77, "written to without success");
}

Test(topology, refuses_graphs_that_do_not_exist) {
    static const struct {
        enum topology_kind kind;
        uint32_t nodes;
        uint32_t degree;
    } WRONG[] = {
        {TOPOLOGY_RANDOM_REGULAR, 5, 3},
        {TOPOLOGY_RANDOM_REGULAR, 4, 4},
        {TOPOLOGY_RANDOM_REGULAR, 10, 1},
        {TOPOLOGY_SMALL_WORLD, 10, 3},
        {TOPOLOGY_SMALL_WORLD, 4, 4},
        {TOPOLOGY_SCALE_FREE, 4, 4},
        {TOPOLOGY_SITES, 5, 0},
        {TOPOLOGY_SITES, 3, 0},
        {TOPOLOGY_HALVES, 11, 2},
        {TOPOLOGY_HALVES, 4, 2},
        {TOPOLOGY_LINE, 0, 0},
    };
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++) {
        struct scenario scenario = scenario_of(WRONG[i].kind, WRONG[i].nodes, WRONG[i].degree);
        struct plan plan;
        cr_expect_eq(plan_make(&scenario, 1, &plan), WEFT_ERR_INVALID, "row %zu", i);
    }
}

Test(topology, the_same_seed_draws_the_same_and_another_another) {
    static const enum topology_kind KINDS[] = {TOPOLOGY_RANDOM_REGULAR, TOPOLOGY_SMALL_WORLD,
                                               TOPOLOGY_SCALE_FREE, TOPOLOGY_SITES,
                                               TOPOLOGY_HALVES};
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++) {
        struct scenario scenario = scenario_of(KINDS[i], 64, 4);
        struct plan plans[3];
        cr_assert_eq(plan_make(&scenario, 5, &plans[0]), WEFT_OK);
        cr_assert_eq(plan_make(&scenario, 5, &plans[1]), WEFT_OK);
        cr_assert_eq(plan_make(&scenario, 6, &plans[2]), WEFT_OK);
        size_t bytes = plans[0].edge_count * sizeof(struct scenario_edge);
        cr_expect_eq(plans[0].edge_count, plans[1].edge_count);
        cr_expect_eq(memcmp(plans[0].edges, plans[1].edges, bytes), 0);
        bool is_same = plans[0].edge_count == plans[2].edge_count &&
                       memcmp(plans[0].edges, plans[2].edges, bytes) == 0;
        cr_expect_not(is_same, "kind %d", (int)KINDS[i]);
        for (size_t j = 0; j < 3; j++) {
            plan_fini(&plans[j]);
        }
    }
}

/* Picks. */

static struct rng rng_of(uint8_t seed) {
    uint8_t bytes[32] = {seed};
    struct rng rng;
    rng_init(&rng, bytes);
    return rng;
}

static void assert_increasing(const uint32_t *nodes, size_t count, uint32_t end) {
    for (size_t i = 0; i < count; i++) {
        cr_assert_lt(nodes[i], end);
        cr_assert(i == 0 || nodes[i - 1] < nodes[i]);
    }
}

Test(pick, draws_as_many_as_asked_in_order_without_repeats) {
    struct plan plan = {.node_count = 50};
    uint32_t out[50];
    for (uint8_t seed = 0; seed < 50; seed++) {
        struct rng rng = rng_of(seed);
        struct scenario_pick pick = {.kind = PICK_COUNT, .count = seed};
        size_t count = plan_pick(&plan, &pick, &rng, out);
        cr_assert_eq(count, seed);
        assert_increasing(out, count, 50);
    }
}

Test(pick, draws_each_node_about_equally_often) {
    struct plan plan = {.node_count = 10};
    struct rng rng = rng_of(3);
    struct scenario_pick pick = {.kind = PICK_COUNT, .count = 3};
    uint32_t out[10];
    uint32_t seen[10] = {0};
    for (int i = 0; i < 2000; i++) {
        cr_assert_eq(plan_pick(&plan, &pick, &rng, out), 3);
        for (int j = 0; j < 3; j++) {
            seen[out[j]]++;
        }
    }
    for (int i = 0; i < 10; i++) {
        cr_expect(seen[i] > 500 && seen[i] < 700, "%d: %u", i, seen[i]); /* 600 expected */
    }
}

Test(pick, rounds_shares_and_takes_at_least_one) {
    struct plan plan = {.node_count = 10};
    struct rng rng = rng_of(1);
    uint32_t out[10];
    struct scenario_pick pick = {.kind = PICK_PPM, .ppm = 1};
    cr_expect_eq(plan_pick(&plan, &pick, &rng, out), 1);
    pick.ppm = 250000;
    cr_expect_eq(plan_pick(&plan, &pick, &rng, out), 3);
    pick.ppm = 1000000;
    cr_expect_eq(plan_pick(&plan, &pick, &rng, out), 10);
}

Test(pick, draws_among_some_only) {
    struct plan plan = {.node_count = 20, .hub_count = 5, .site_nodes = 1};
    struct rng rng = rng_of(1);
    uint32_t list[] = {2, 11, 17};
    uint32_t out[20];
    struct scenario_pick hubs = {.kind = PICK_COUNT, .among = PICK_HUBS, .count = 2};
    cr_expect_eq(plan_pick(&plan, &hubs, &rng, out), 2);
    assert_increasing(out, 2, 5);
    struct scenario_pick sites = {.kind = PICK_PPM, .among = PICK_SITES, .ppm = 200000};
    cr_expect_eq(plan_pick(&plan, &sites, &rng, out), 3);
    cr_expect_geq(out[0], 5);
    struct scenario_pick some = {
        .kind = PICK_COUNT, .among = PICK_LIST, .count = 9, .list = list, .list_count = 3};
    cr_expect_eq(plan_pick(&plan, &some, &rng, out), 3);
    cr_expect_eq(out[2], 17);
    some.kind = PICK_LIST;
    cr_expect_eq(plan_pick(&plan, &some, &rng, out), 3);
    cr_expect_eq(out[0], 2);
    struct scenario_pick all = {.kind = PICK_ALL};
    cr_expect_eq(plan_pick(&plan, &all, &rng, out), 20);
}
