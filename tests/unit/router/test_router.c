/* SPDX-License-Identifier: Apache-2.0
 *
 * Routes of whole meshes: every node computes for itself, from records that came in its own order,
 * and together they must make sense.
 */
#include <criterion/criterion.h>

#include "graph.h"

#define ROUNDS 25
#define NODES_MAX 24

/* A mesh and the router of each of its nodes. */
struct mesh {
    struct graph graph;
    struct router *routers[GRAPH_MAX];
    uint64_t distances[GRAPH_MAX][GRAPH_MAX];
    uint64_t seed;
};

static void mesh_init(struct mesh *mesh, uint64_t seed) {
    struct rng rng = graph_rng(seed);
    mesh->seed = seed;
    uint32_t count = 2 + (uint32_t)rng_below(&rng, NODES_MAX - 1);
    uint32_t cost_max = rng_below(&rng, 2) == 0 ? 3 : 100000;
    graph_random(&mesh->graph, count, 5 + (uint32_t)rng_below(&rng, 30), cost_max, &rng);
    graph_distances(&mesh->graph, mesh->distances);
    for (uint32_t i = 0; i < count; i++) {
        mesh->routers[i] = graph_router(&mesh->graph, i);
        graph_tell_all(&mesh->graph, mesh->routers[i], &rng, NS_PER_S);
    }
}

static void mesh_fini(struct mesh *mesh) {
    for (uint32_t i = 0; i < mesh->graph.count; i++) {
        router_free(mesh->routers[i]);
    }
}

static void each_mesh(void (*check)(struct mesh *mesh)) {
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        static struct mesh mesh; /* too large for a stack under ASan */
        mesh_init(&mesh, seed);
        check(&mesh);
        mesh_fini(&mesh);
    }
}

static struct router_path path_of(const struct mesh *mesh, uint32_t from, uint32_t to) {
    return router_path_to(mesh->routers[from], &mesh->graph.ids[to]);
}

/* Goes from node to node as frames do; the cost and the number of links that it took. */
static uint64_t follow(const struct mesh *mesh, uint32_t from, uint32_t to, uint32_t *hops) {
    uint64_t cost_us = 0;
    *hops = 0;
    while (from != to) {
        struct router_path path = path_of(mesh, from, to);
        cr_assert(path.is_reachable, "seed %lu: lost on the way", mesh->seed);
        uint32_t next = graph_find(&mesh->graph, &path.next_hop);
        uint64_t arc = graph_arc(&mesh->graph, from, next);
        cr_assert_neq(arc, 0, "seed %lu: no link to the next hop", mesh->seed);
        cost_us += arc;
        from = next;
        *hops += 1;
        cr_assert_leq(*hops, mesh->graph.count, "seed %lu: a loop", mesh->seed);
    }
    return cost_us;
}

static void pair_check(const struct mesh *mesh, uint32_t from, uint32_t to) {
    struct router_path path = path_of(mesh, from, to);
    bool is_reachable = mesh->distances[from][to] != GRAPH_FAR;
    cr_assert_eq(path.is_reachable, is_reachable, "seed %lu", mesh->seed);
    if (!is_reachable) {
        return;
    }
    uint32_t hops = 0;
    cr_assert_eq(path.cost_us, mesh->distances[from][to], "seed %lu: %u to %u", mesh->seed, from,
                 to);
    cr_assert_eq(follow(mesh, from, to, &hops), path.cost_us, "seed %lu", mesh->seed);
}

static void paths_check(struct mesh *mesh) {
    for (uint32_t i = 0; i < mesh->graph.count; i++) {
        for (uint32_t j = 0; j < mesh->graph.count; j++) {
            pair_check(mesh, i, j);
        }
    }
}

Test(router, next_hops_of_all_nodes_lead_along_shortest_paths) {
    each_mesh(paths_check);
}

/* Spreads a broadcast over the children that each node computes: how often each was reached. */
static uint32_t spread(struct mesh *mesh, uint32_t source, uint32_t reached[GRAPH_MAX]) {
    uint32_t queue[GRAPH_MAX] = {source};
    uint32_t queued = 1;
    uint32_t sent = 0;
    reached[source] = 1;
    for (uint32_t at = 0; at < queued; at++) {
        struct weft_peer_id children[GRAPH_MAX];
        size_t count = router_children(mesh->routers[queue[at]], &mesh->graph.ids[source], children,
                                       GRAPH_MAX);
        for (size_t i = 0; i < count; i++) {
            uint32_t child = graph_find(&mesh->graph, &children[i]);
            cr_assert_neq(graph_arc(&mesh->graph, queue[at], child), 0);
            sent++;
            if (++reached[child] == 1) {
                queue[queued++] = child;
            }
        }
    }
    return sent;
}

static void trees_check(struct mesh *mesh) {
    for (uint32_t source = 0; source < mesh->graph.count; source++) {
        uint32_t reached[GRAPH_MAX] = {0};
        uint32_t sent = spread(mesh, source, reached);
        uint32_t others = 0;
        for (uint32_t i = 0; i < mesh->graph.count; i++) {
            bool is_near = mesh->distances[source][i] != GRAPH_FAR;
            cr_assert_eq(reached[i], is_near ? 1 : 0, "seed %lu: %u from %u", mesh->seed, i,
                         source);
            others += is_near && i != source ? 1 : 0;
        }
        cr_assert_eq(sent, others, "seed %lu: not a tree", mesh->seed);
    }
}

Test(router, children_of_all_nodes_make_one_tree_per_source) {
    each_mesh(trees_check);
}

static void digests_check(struct mesh *mesh) {
    for (uint32_t i = 0; i < mesh->graph.count; i++) {
        for (uint32_t j = 0; j < mesh->graph.count; j++) {
            bool is_near = mesh->distances[i][j] != GRAPH_FAR;
            bool is_equal = router_digest(mesh->routers[i]) == router_digest(mesh->routers[j]);
            cr_assert_eq(is_near, is_equal, "seed %lu: %u and %u", mesh->seed, i, j);
        }
    }
}

Test(router, digests_agree_within_a_partition_whatever_the_order_and_differ_between) {
    each_mesh(digests_check);
}

static void counts_check(struct mesh *mesh) {
    for (uint32_t i = 0; i < mesh->graph.count; i++) {
        (void)path_of(mesh, i, i == 0 ? mesh->graph.count - 1 : 0); /* shares follow from paths */
        size_t near = 0;
        size_t behind = 0;
        size_t degree = 0;
        for (uint32_t j = 0; j < mesh->graph.count; j++) {
            near += j != i && mesh->distances[i][j] != GRAPH_FAR ? 1 : 0;
            bool is_neighbour = graph_arc(&mesh->graph, i, j) != 0;
            degree += is_neighbour ? 1 : 0;
            size_t share = router_peers_behind(mesh->routers[i], &mesh->graph.ids[j]);
            behind += share;
            cr_assert(is_neighbour || share == 0, "seed %lu", mesh->seed);
        }
        cr_assert_eq(router_reachable_count(mesh->routers[i]), near, "seed %lu", mesh->seed);
        cr_assert_eq(behind, near, "seed %lu", mesh->seed);
        cr_assert_eq(router_degree(mesh->routers[0], &mesh->graph.ids[i]), degree, "seed %lu",
                     mesh->seed);
    }
}

Test(router, counts_neighbours_reachable_peers_and_those_behind_each_neighbour) {
    each_mesh(counts_check);
}

static void traces_check(struct mesh *mesh) {
    for (uint32_t to = 0; to < mesh->graph.count; to++) {
        struct weft_peer_id trace[GRAPH_MAX];
        struct router_path path = path_of(mesh, 0, to);
        size_t len = router_trace(mesh->routers[0], &mesh->graph.ids[to], trace, GRAPH_MAX);
        cr_assert_eq(len, path.is_reachable ? path.hops + 1u : 0u, "seed %lu", mesh->seed);
        uint64_t cost_us = 0;
        for (size_t i = 1; i < len; i++) {
            cost_us += graph_arc(&mesh->graph, graph_find(&mesh->graph, &trace[i - 1]),
                                 graph_find(&mesh->graph, &trace[i]));
        }
        cr_assert_eq(cost_us, path.cost_us, "seed %lu", mesh->seed);
        cr_assert(len == 0 || weft_peer_id_equal(&trace[len - 1], &mesh->graph.ids[to]));
        cr_assert_eq(router_trace(mesh->routers[0], &mesh->graph.ids[to], trace, path.hops), 0);
    }
}

Test(router, traces_the_whole_path_or_nothing) {
    each_mesh(traces_check);
}

static size_t reached_count(const struct graph *graph, uint32_t from) {
    static uint64_t distances[GRAPH_MAX][GRAPH_MAX];
    size_t count = 0;
    graph_distances(graph, distances);
    for (uint32_t i = 0; i < graph->count; i++) {
        count += distances[from][i] != GRAPH_FAR ? 1 : 0;
    }
    return count;
}

static void spares_check(struct mesh *mesh) {
    size_t before = reached_count(&mesh->graph, 0);
    for (uint32_t i = 1; i < mesh->graph.count; i++) {
        struct graph without = mesh->graph;
        graph_unlink(&without, 0, i);
        bool is_whole = reached_count(&without, 0) == before;
        bool is_near = mesh->distances[0][i] != GRAPH_FAR;
        cr_assert_eq(router_can_spare(mesh->routers[0], &mesh->graph.ids[i]), is_whole && is_near,
                     "seed %lu: %u", mesh->seed, i);
    }
}

Test(router, can_spare_a_link_exactly_if_nothing_is_lost_with_it) {
    each_mesh(spares_check);
}

static struct router *line_router(struct graph *graph) {
    *graph = (struct graph){.count = 4};
    for (uint32_t i = 0; i < 4; i++) {
        graph->ids[i] = graph_id(i);
    }
    graph_link(graph, 0, 1, 10);
    graph_link(graph, 1, 2, 10);
    graph_link(graph, 2, 3, 10);
    struct router *router = graph_router(graph, 0);
    struct rng rng = graph_rng(1);
    graph_tell_all(graph, router, &rng, 0);
    return router;
}

Test(router, counts_a_link_only_when_both_ends_list_it) {
    struct graph graph;
    struct router *router = line_router(&graph);
    cr_assert(router_path_to(router, &graph.ids[3]).is_reachable);
    graph.costs[2][1] = 0; /* 2 no longer says that it hears 1 */
    graph_tell(&graph, router, 2, NS_PER_S);
    graph_settle(router);
    cr_expect_not(router_path_to(router, &graph.ids[2]).is_reachable);
    cr_expect_not(router_path_to(router, &graph.ids[3]).is_reachable);
    cr_expect(router_path_to(router, &graph.ids[1]).is_reachable);
    router_free(router);
}

Test(router, costs_an_arc_what_its_own_end_says) {
    struct graph graph;
    struct router *router = line_router(&graph);
    graph.costs[0][1] = 7;
    graph.costs[1][0] = 5000;
    graph_tell(&graph, router, 0, NS_PER_S);
    graph_tell(&graph, router, 1, NS_PER_S);
    graph_settle(router);
    cr_expect_eq(router_path_to(router, &graph.ids[1]).cost_us, 7);
    router_free(router);
}

Test(router, goes_through_a_leaving_peer_only_if_there_is_no_other_way) {
    struct graph graph;
    struct router *router = line_router(&graph);
    graph.is_leaving[1] = true;
    graph_tell(&graph, router, 1, NS_PER_S);
    graph_settle(router);
    cr_expect_eq(router_path_to(router, &graph.ids[1]).cost_us, 10, "itself is as near as ever");
    cr_expect_eq(router_path_to(router, &graph.ids[2]).cost_us, 1000020);
    graph_link(&graph, 0, 3, 400000);
    graph_tell(&graph, router, 0, 2 * NS_PER_S);
    graph_tell(&graph, router, 3, 2 * NS_PER_S);
    graph_settle(router);
    struct router_path path = router_path_to(router, &graph.ids[2]);
    cr_expect(weft_peer_id_equal(&path.next_hop, &graph.ids[3]));
    router_free(router);
}

Test(router, knows_only_itself_before_the_first_word) {
    struct graph graph = {.count = 2, .ids = {graph_id(0), graph_id(1)}};
    struct router *router = graph_router(&graph, 0);
    struct weft_peer_id out[2];
    struct router_path own = router_path_to(router, &graph.ids[0]);
    cr_expect(own.is_reachable);
    cr_expect_eq(own.hops, 0);
    cr_expect(weft_peer_id_equal(&own.next_hop, &graph.ids[0]));
    cr_expect_not(router_path_to(router, &graph.ids[1]).is_reachable);
    cr_expect_eq(router_children(router, &graph.ids[0], out, 2), 0);
    cr_expect_eq(router_trace(router, &graph.ids[1], out, 2), 0);
    cr_expect_eq(router_deadline(router), WEFT_NEVER);
    cr_expect_not(router_can_spare(router, &graph.ids[1]));
    router_free(router);
}

/* Others' words alone lead nowhere, and harm nothing. */
Test(router, reaches_nobody_before_its_own_word) {
    struct graph graph = {.count = 2, .ids = {graph_id(0), graph_id(1)}};
    graph_link(&graph, 0, 1, 1);
    struct router *router = graph_router(&graph, 0);
    graph_tell(&graph, router, 1, 0);
    cr_expect_eq(router_deadline(router), WEFT_NEVER, "a one-way claim changes nothing");
    graph_tell(&graph, router, 0, 0);
    graph_settle(router);
    cr_expect_eq(router_reachable_count(router), 1);
    router_remove_peer(router, &graph.ids[0], NS_PER_S);
    graph_settle(router);
    cr_expect_eq(router_reachable_count(router), 0);
    router_free(router);
}

Test(router, forwards_delivers_or_drops_with_a_reason) {
    struct graph graph;
    struct router *router = line_router(&graph);
    struct weft_peer_id stranger = graph_id(99);
    struct weft_peer_id next;
    struct router_passage here = {.destination = &graph.ids[0], .from = &stranger, .hops = 1};
    struct router_passage there = {.destination = &graph.ids[3], .from = &stranger, .hops = 1};
    const struct router_passage away = {.destination = &stranger, .from = &stranger, .hops = 1};
    cr_expect_eq(router_forward(router, &here, 0, &next), FORWARD_DELIVER);
    cr_expect_eq(router_forward(router, &away, 0, &next), FORWARD_NO_ROUTE);
    cr_expect_eq(router_forward(router, &there, 0, &next), FORWARD_SEND);
    cr_expect(weft_peer_id_equal(&next, &graph.ids[1]));
    here.hops = there.hops = 0;
    cr_expect_eq(router_forward(router, &there, 0, &next), FORWARD_NO_HOPS);
    cr_expect_eq(router_forward(router, &here, 0, &next), FORWARD_DELIVER);
    router_free(router);
}

/* The trees belong to the digest: both are of the last computation, whatever came in since. */
Test(router, keeps_trees_and_digest_together_until_the_next_computation) {
    struct graph graph;
    struct router *router = line_router(&graph);
    struct weft_peer_id children[4];
    uint64_t digest = router_digest(router);
    graph_link(&graph, 0, 3, 1);
    graph_tell(&graph, router, 3, NS_PER_S);
    graph_tell(&graph, router, 0, NS_PER_S);
    cr_expect_eq(router_digest(router), digest);
    cr_expect_eq(router_children(router, &graph.ids[0], children, 4), 1);
    graph_settle(router);
    cr_expect_neq(router_digest(router), digest);
    cr_expect_eq(router_children(router, &graph.ids[0], children, 4), 2);
    cr_expect_eq(router_children(router, &graph.ids[0], children, 1), 1, "at most max are written");
    router_free(router);
}

/* A star's centre is asked for more trees than the cache holds, twice round. */
Test(router, answers_for_more_sources_than_it_caches) {
    struct router *router = NULL;
    struct router_config config = {.self = graph_id(0), .peers_max = 200};
    cr_assert_eq(router_new(&config, &router), WEFT_OK);
    struct wire_peer_link hub = {.peer = graph_id(0), .cost_us = 1};
    struct weft_peer_id leaves[100];
    for (uint32_t i = 0; i < 100; i++) {
        leaves[i].bytes[0] = (uint8_t)i;
        memset(leaves[i].bytes + 1, 7, sizeof leaves[i].bytes - 1);
        cr_assert_eq(graph_say(router, &leaves[i], &hub, 1, 0, 0), WEFT_OK);
    }
    struct wire_peer_link spokes[100];
    for (uint32_t i = 0; i < 100; i++) {
        spokes[i] = (struct wire_peer_link){.peer = leaves[i], .cost_us = 1};
    }
    cr_assert_eq(graph_say(router, &config.self, spokes, 100, 0, 0), WEFT_OK);
    graph_settle(router);
    for (uint32_t i = 0; i < 200; i++) {
        struct weft_peer_id children[100];
        cr_assert_eq(router_children(router, &leaves[i % 100], children, 100), 99);
    }
    router_free(router);
}
