/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames that come from the very neighbour that their path leads back to.
 */
#include <criterion/criterion.h>

#include "graph.h"
#include "router/around.h"
#include "support/failing_alloc.h"

#define LATER (100 * NS_PER_S)

/* Node 0 with the way to node 2 over node 1, and a longer one over nodes 3 and 4.
 *
 *     0 --10-- 1 --10-- 2
 *     |                 |
 *     10       far      10
 *     |                 |
 *     3 -------20------ 4        far: a link 3 - 1 of that cost, if any
 */
static struct router *square_router(struct graph *graph, uint32_t far) {
    *graph = (struct graph){.count = 5};
    for (uint32_t i = 0; i < graph->count; i++) {
        graph->ids[i] = graph_id(i);
    }
    graph_link(graph, 0, 1, 10);
    graph_link(graph, 1, 2, 10);
    graph_link(graph, 0, 3, 10);
    graph_link(graph, 3, 4, 20);
    graph_link(graph, 4, 2, 10);
    if (far != 0) {
        graph_link(graph, 3, 1, far);
    }
    struct router *router = graph_router(graph, 0);
    struct rng rng = graph_rng(1);
    graph_tell_all(graph, router, &rng, 0);
    return router;
}

static struct router_passage passage_of(const struct graph *graph, uint32_t from, uint32_t to) {
    return (struct router_passage){
        .destination = &graph->ids[to], .from = &graph->ids[from], .hops = 5};
}

Test(around, takes_another_neighbour_than_the_one_it_came_from) {
    struct graph graph;
    struct router *router = square_router(&graph, 20);
    struct weft_peer_id next;
    struct router_passage passage = passage_of(&graph, 1, 4);
    cr_expect_eq(router_forward(router, &passage, LATER, &next), FORWARD_SEND);
    cr_expect(weft_peer_id_equal(&next, &graph.ids[3]), "no need to go round");
    passage = passage_of(&graph, 1, 2);
    cr_expect_eq(router_forward(router, &passage, LATER, &next), FORWARD_NO_ROUTE,
                 "3 reaches 2 by way of 1 as well as by 4: 30 each");
    router_free(router);
    router = square_router(&graph, 21);
    cr_expect_eq(router_forward(router, &passage, LATER, &next), FORWARD_NO_ROUTE,
                 "or back through us: 30 too");
    router_free(router);
}

Test(around, goes_only_to_whom_it_does_not_come_back_from) {
    struct graph graph;
    struct router *router = square_router(&graph, 0);
    struct weft_peer_id next;
    graph.costs[3][4] = graph.costs[4][3] = 15; /* 3 to 2 over 4: 25, over us and 1: 30 */
    graph_tell(&graph, router, 3, NS_PER_S);
    graph_tell(&graph, router, 4, NS_PER_S);
    graph_settle(router);
    const struct router_passage passage = passage_of(&graph, 1, 2);
    cr_expect_eq(router_forward(router, &passage, LATER, &next), FORWARD_ROUND);
    cr_expect(weft_peer_id_equal(&next, &graph.ids[3]));
    router_free(router);
}

/* The node at the corner of many squares: each frame may go round one neighbour. */
static struct router *near_router(struct graph *graph) {
    struct router *router = square_router(graph, 0);
    graph->costs[3][4] = graph->costs[4][3] = 1;
    graph_tell(graph, router, 3, NS_PER_S);
    graph_tell(graph, router, 4, NS_PER_S);
    graph->costs[1][2] = graph->costs[2][1] = 1;
    graph_tell(graph, router, 1, NS_PER_S);
    graph_tell(graph, router, 2, NS_PER_S);
    graph_settle(router);
    return router;
}

Test(around, goes_round_once_only) {
    struct graph graph;
    struct router *router = near_router(&graph);
    struct weft_peer_id next;
    struct router_passage passage = passage_of(&graph, 1, 2);
    cr_expect_eq(router_forward(router, &passage, LATER, &next), FORWARD_ROUND);
    passage.has_gone_round = true;
    cr_expect_eq(router_forward(router, &passage, LATER, &next), FORWARD_NO_ROUTE);
    passage = passage_of(&graph, 3, 2);
    passage.has_gone_round = true;
    cr_expect_eq(router_forward(router, &passage, LATER, &next), FORWARD_SEND, "on its way");
    router_free(router);
}

/* Who sends us such a frame then has mostly not heard yet, nor have the others. */
Test(around, drops_for_100_ms_after_a_loss) {
    struct graph graph;
    struct router *router = near_router(&graph);
    struct weft_peer_id next;
    const struct router_passage passage = passage_of(&graph, 1, 2);
    graph_link(&graph, 1, 4, 50);
    graph_tell(&graph, router, 1, LATER);
    graph_tell(&graph, router, 4, LATER);
    cr_expect_eq(router_forward(router, &passage, LATER, &next), FORWARD_ROUND, "a gain");
    graph_unlink(&graph, 1, 4);
    graph_tell(&graph, router, 1, LATER);
    cr_expect_eq(router_forward(router, &passage, LATER, &next), FORWARD_NO_ROUTE);
    cr_expect_eq(router_forward(router, &passage, LATER + 100 * NS_PER_MS - 1, &next),
                 FORWARD_NO_ROUTE);
    cr_expect_eq(router_forward(router, &passage, LATER + 100 * NS_PER_MS, &next), FORWARD_ROUND);
    router_free(router);
}

/* A hub 0 between `count` pairs: each i reaches its far end i + count directly or over the hub's
 * spare neighbour. Whoever returns frames to us on purpose makes us compute. */
Test(around, computes_for_so_many_neighbours_a_graph_and_no_more) {
    enum { PAIRS = AROUNDS_MAX + 1, SPARE = 2 * PAIRS + 1 };
    struct graph graph = {.count = SPARE + 1};
    for (uint32_t i = 0; i < graph.count; i++) {
        graph.ids[i] = graph_id(i);
    }
    graph_link(&graph, 0, SPARE, 10);
    for (uint32_t i = 1; i <= PAIRS; i++) {
        graph_link(&graph, 0, i, 10);
        graph_link(&graph, i, i + PAIRS, 1);
        graph_link(&graph, SPARE, i + PAIRS, 5);
    }
    struct router *router = graph_router(&graph, 0);
    struct rng rng = graph_rng(1);
    graph_tell_all(&graph, router, &rng, 0);
    struct weft_peer_id next;
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 1; i <= PAIRS; i++) {
            const struct router_passage passage = passage_of(&graph, i, i + PAIRS);
            enum forward_verdict verdict = router_forward(router, &passage, LATER, &next);
            cr_expect_eq(verdict, i <= AROUNDS_MAX ? FORWARD_ROUND : FORWARD_NO_ROUTE, "%u", i);
        }
    }
    graph.costs[0][1] = 9;
    graph_tell(&graph, router, 0, LATER);
    graph_settle(router);
    const struct router_passage passage = passage_of(&graph, PAIRS, 2 * PAIRS);
    cr_expect_eq(router_forward(router, &passage, LATER, &next), FORWARD_ROUND, "a new graph");
    router_free(router);
}

Test(around, drops_when_memory_is_short_and_finds_the_way_later) {
    struct graph graph;
    struct router *router = near_router(&graph);
    struct weft_peer_id next;
    const struct router_passage passage = passage_of(&graph, 1, 2);
    cr_assert_eq(router_next_hop(router, &graph.ids[2], &next), true);
    FAILING_ALLOC_EACH(nth) {
        enum forward_verdict verdict = router_forward(router, &passage, LATER, &next);
        cr_assert_eq(verdict, failing_alloc_disarm() ? FORWARD_NO_ROUTE : FORWARD_ROUND);
    }
    cr_expect_eq(router_forward(router, &passage, LATER, &next), FORWARD_ROUND);
    router_free(router);
}

/* --- whole meshes, where all know the same --- */

#define ROUNDS 20
#define NODES_MAX 16

struct mesh {
    struct graph graph;
    struct router *routers[GRAPH_MAX];
};

/* Costs are alike both ways, as round trips are. */
static void mesh_init(struct mesh *mesh, uint64_t seed) {
    struct rng rng = graph_rng(seed);
    uint32_t count = 4 + (uint32_t)rng_below(&rng, NODES_MAX - 3);
    *mesh = (struct mesh){0};
    graph_random(&mesh->graph, count, 30, seed % 2 == 0 ? 3 : 1000, &rng);
    for (uint32_t a = 0; a < count; a++) {
        for (uint32_t b = 0; b < a; b++) {
            mesh->graph.costs[a][b] = mesh->graph.costs[b][a];
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        mesh->routers[i] = graph_router(&mesh->graph, i);
        graph_tell_all(&mesh->graph, mesh->routers[i], &rng, 0);
    }
}

/* Follows a frame that `at` was sent round `avoided`; whether it arrives and meets neither again.
 */
static bool arrives(const struct mesh *mesh, uint32_t at, uint32_t avoided, uint32_t next,
                    uint32_t to) {
    uint32_t from = at;
    for (uint32_t hops = 0; hops < mesh->graph.count; hops++) {
        if (next == to) {
            return true;
        }
        struct router_passage passage = passage_of(&mesh->graph, from, to);
        passage.has_gone_round = true;
        struct weft_peer_id id;
        if (next == at || next == avoided ||
            router_forward(mesh->routers[next], &passage, LATER, &id) != FORWARD_SEND) {
            return false;
        }
        from = next;
        next = graph_find(&mesh->graph, &id);
    }
    return false;
}

static uint32_t check_at(const struct mesh *mesh, uint32_t at, uint32_t to, uint64_t seed) {
    struct weft_peer_id back;
    struct weft_peer_id id;
    if (at == to || !router_next_hop(mesh->routers[at], &mesh->graph.ids[to], &back)) {
        return 0;
    }
    uint32_t from = graph_find(&mesh->graph, &back);
    const struct router_passage passage = passage_of(&mesh->graph, from, to);
    enum forward_verdict verdict = router_forward(mesh->routers[at], &passage, LATER, &id);
    if (verdict != FORWARD_ROUND) {
        cr_assert_eq(verdict, FORWARD_NO_ROUTE, "seed %lu", seed);
        return 0;
    }
    uint32_t next = graph_find(&mesh->graph, &id);
    cr_assert(arrives(mesh, at, from, next, to), "seed %lu: %u by %u round %u to %u", seed, at,
              next, from, to);
    return 1;
}

Test(around, leads_to_the_destination_past_both) {
    uint32_t found = 0;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        static struct mesh mesh; /* too large for a stack under ASan */
        mesh_init(&mesh, seed);
        for (uint32_t pair = 0; pair < mesh.graph.count * mesh.graph.count; pair++) {
            found += check_at(&mesh, pair / mesh.graph.count, pair % mesh.graph.count, seed);
        }
        for (uint32_t i = 0; i < mesh.graph.count; i++) {
            router_free(mesh.routers[i]);
        }
    }
    cr_expect_gt(found, 100);
}
