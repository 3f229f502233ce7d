/* SPDX-License-Identifier: Apache-2.0
 *
 * Routers of one process share what they compute, and answer as if they did not; and what a pair of
 * nodes costs at rest.
 */
#include <criterion/criterion.h>
#include <malloc.h>
#include <stdlib.h>

#include "graph.h"
#include "router/frozen.h"

static struct graph_pool *make_pool(void) {
    const struct hash_key key = {{1, 2, 3}};
    struct graph_pool *pool = graph_pool_new(&key);
    cr_assert_not_null(pool);
    return pool;
}

/* All that a router says of one peer. */
static void answers_compare(struct router *alone, struct router *pooled,
                            const struct weft_peer_id *peer, uint64_t seed) {
    struct router_path a = router_path_to(alone, peer);
    struct router_path b = router_path_to(pooled, peer);
    cr_assert_eq(a.is_reachable, b.is_reachable, "seed %lu", seed);
    cr_assert_eq(a.cost_us, b.cost_us, "seed %lu", seed);
    cr_assert_eq(a.hops, b.hops, "seed %lu", seed);
    cr_assert_eq(a.trail, b.trail, "seed %lu", seed);
    cr_assert(weft_peer_id_equal(&a.next_hop, &b.next_hop), "seed %lu", seed);
    struct weft_peer_id one[GRAPH_MAX] = {{{0}}};
    struct weft_peer_id other[GRAPH_MAX] = {{{0}}};
    size_t count = router_children(alone, peer, one, GRAPH_MAX);
    cr_assert_eq(router_children(pooled, peer, other, GRAPH_MAX), count, "seed %lu", seed);
    cr_assert_arr_eq(one, other, sizeof one, "seed %lu", seed);
    cr_assert_eq(router_peers_behind(alone, peer), router_peers_behind(pooled, peer));
}

/* Who came and went, in order: gossip draws whom to tell in that order. */
static void reach_compare(struct router *alone, struct router *pooled, uint64_t seed) {
    struct weft_peer_id one;
    struct weft_peer_id other;
    bool is_one_reached = false;
    bool is_other_reached = false;
    while (router_next_reach(alone, &one, &is_one_reached)) {
        cr_assert(router_next_reach(pooled, &other, &is_other_reached), "seed %lu", seed);
        cr_assert(weft_peer_id_equal(&one, &other), "seed %lu", seed);
        cr_assert_eq(is_one_reached, is_other_reached, "seed %lu", seed);
    }
    cr_assert_not(router_next_reach(pooled, &other, &is_other_reached), "seed %lu", seed);
}

static void all_compare(const struct graph *graph, struct router *alone, struct router *pooled,
                        uint64_t seed) {
    for (uint32_t i = 0; i < graph->count; i++) {
        answers_compare(alone, pooled, &graph->ids[i], seed);
    }
    reach_compare(alone, pooled, seed);
    cr_assert_eq(router_digest(alone), router_digest(pooled), "seed %lu", seed);
    cr_assert_eq(router_computation_count(alone), router_computation_count(pooled));
    cr_assert_eq(router_deadline(alone), router_deadline(pooled));
}

#define SHARERS 4

static void change_one(struct graph *graph, uint32_t a, uint32_t b, struct rng *rng) {
    graph->is_leaving[a] ^= rng_below(rng, 8) == 0;
    if (a != b) {
        graph->costs[a][b] = rng_below(rng, 3) != 0 ? 1 + (uint32_t)rng_below(rng, 3) : 0;
        graph->costs[b][a] = graph->costs[a][b];
    }
    bool is_cut_off = rng_below(rng, 6) == 0;
    for (uint32_t i = 0; is_cut_off && i < graph->count; i++) {
        graph_unlink(graph, a, i); /* of many at once some find another way, or none */
    }
}

static void history_check(uint64_t seed, struct graph_pool *pool) {
    static struct graph graph;
    struct router *routers[2][SHARERS];
    struct rng rng = graph_rng(seed);
    graph_random(&graph, 20, 12, 3, &rng);
    for (uint32_t i = graph.count; i > 0; i--) { /* numbers in another order than words come */
        cr_assert_neq(peer_table_take(graph_pool_peers(pool), &graph.ids[i - 1]), PEER_TABLE_NONE);
    }
    for (uint32_t i = 0; i < SHARERS; i++) {
        routers[0][i] = graph_router(&graph, i);
        routers[1][i] = graph_router_pooled(&graph, i, pool);
        for (uint32_t node = 0; node < graph.count; node++) {
            graph_tell(&graph, routers[0][i], node, 0);
            graph_tell(&graph, routers[1][i], node, 0);
        }
    }
    for (weft_ns now = NS_PER_S; now < 60 * NS_PER_S; now += NS_PER_S) {
        uint32_t a = (uint32_t)rng_below(&rng, graph.count);
        uint32_t b = (uint32_t)rng_below(&rng, graph.count);
        change_one(&graph, a, b, &rng);
        bool is_forgotten = rng_below(&rng, 10) == 0 && b >= SHARERS;
        for (uint32_t i = 0; i < SHARERS * 2; i++) {
            struct router *router = routers[i / SHARERS][i % SHARERS];
            graph_tell(&graph, router, a, now);
            graph_tell(&graph, router, b, now);
            if (is_forgotten) {
                router_remove_peer(router, &graph.ids[b], now);
            }
            (void)router_update(router, now + NS_PER_S / 2);
        }
        for (uint32_t i = 0; i < SHARERS; i++) {
            all_compare(&graph, routers[0][i], routers[1][i], seed);
        }
    }
    for (uint32_t i = 0; i < SHARERS * 2; i++) {
        router_free(routers[i / SHARERS][i % SHARERS]);
    }
}

Test(pool, routers_that_share_answer_as_those_alone_over_random_histories) {
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct graph_pool *pool = make_pool();
        history_check(seed, pool);
        const struct graph_pool_counters *counters = graph_pool_counters(pool);
        cr_expect_gt(counters->found, counters->asked / 4, "seed %lu: little was shared", seed);
        cr_expect_gt(counters->trees_found, counters->trees, "seed %lu", seed);
        graph_pool_free(pool);
    }
}

/* A ring of words that many routers share; costs may be told from outside. */
struct ring_mesh {
    uint32_t count;
    struct weft_peer_id *ids;
    struct wire_word **words;
};

static int id_compare(const void *a, const void *b) {
    return weft_peer_id_compare(a, b);
}

#define REACH 4 /* neighbours on either side: a degree of 8 */

static void ring_word(struct ring_mesh *mesh, uint32_t node, uint32_t cost_us) {
    struct wire_peer_link links[2 * REACH];
    for (uint32_t i = 0; i < REACH; i++) {
        uint32_t after = (node + i + 1) % mesh->count;
        uint32_t before = (node + mesh->count - i - 1) % mesh->count;
        links[2 * i] = (struct wire_peer_link){.peer = mesh->ids[after], .cost_us = cost_us};
        links[2 * i + 1] = (struct wire_peer_link){.peer = mesh->ids[before], .cost_us = cost_us};
    }
    qsort(links, 2 * (size_t)REACH, sizeof links[0], id_compare); /* the id stands first */
    static uint8_t buffer[GRAPH_BODY_BYTES];
    const struct wire_peer_source source = {.links = links, .link_count = 2 * REACH};
    const struct wire_peer_body body = graph_body(buffer, &source);
    wire_word_unref(mesh->words[node]);
    cr_assert_eq(wire_word_new(&mesh->ids[node], &body, &mesh->words[node]), WEFT_OK);
}

static void ring_mesh_init(struct ring_mesh *mesh, uint32_t count) {
    *mesh = (struct ring_mesh){.count = count};
    mesh->ids = calloc(count, sizeof *mesh->ids);
    mesh->words = calloc(count, sizeof(struct wire_word *));
    for (uint32_t i = 0; i < count; i++) {
        mesh->ids[i] = graph_id(i);
    }
    for (uint32_t i = 0; i < count; i++) {
        ring_word(mesh, i, 10);
    }
}

static void ring_mesh_fini(struct ring_mesh *mesh) {
    for (uint32_t i = 0; i < mesh->count; i++) {
        wire_word_unref(mesh->words[i]);
    }
    free(mesh->ids);
    free(mesh->words);
}

static struct router *ring_router(const struct ring_mesh *mesh, uint32_t self,
                                  struct graph_pool *pool) {
    struct router *router = NULL;
    struct router_config config = {.self = mesh->ids[self], .peers_max = 16384, .pool = pool};
    struct weft_peer_id peer;
    bool is_reached = false;
    cr_assert_eq(router_new(&config, &router), WEFT_OK);
    for (uint32_t i = 1; i <= mesh->count; i++) { /* our own last: then all come at once */
        struct wire_word *word = mesh->words[(self + i) % mesh->count];
        cr_assert_eq(router_set_peer(router, word, 0), WEFT_OK);
        while (router_next_reach(router, &peer, &is_reached)) {
        }
    }
    cr_assert(router_update(router, NS_PER_S));
    cr_assert_eq(router_reachable_count(router), mesh->count - 1);
    return router;
}

extern size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t heap_bytes(void) {
    if (__sanitizer_get_current_allocated_bytes != NULL) {
        return __sanitizer_get_current_allocated_bytes();
    }
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

#define CORES 10
#define PEERS 3000

/* The simulator's ten thousand nodes know ten thousand peers each: every byte here is 100 MB. */
Test(pool, a_pair_of_nodes_costs_16_bytes_at_rest_and_22_with_paths_asked_for) {
    struct ring_mesh mesh;
    struct router *routers[CORES];
    struct graph_pool *pool = make_pool();
    ring_mesh_init(&mesh, PEERS);
    size_t before = heap_bytes();
    for (uint32_t i = 0; i < CORES; i++) {
        routers[i] = ring_router(&mesh, i, pool);
    }
    size_t table = (size_t)PEERS * 32; /* of all */
    size_t at_rest = heap_bytes() - before;
    cr_expect_leq(at_rest, (size_t)CORES * PEERS * 16 + CORES * 3000 + table, "%zu", at_rest);
    for (uint32_t i = 0; i < CORES; i++) {
        cr_assert(router_path_to(routers[i], &mesh.ids[PEERS / 2]).is_reachable);
    }
    size_t asked = heap_bytes() - before;
    size_t shared = table + (size_t)PEERS * (8 * sizeof(struct path_arc) + 64);
    cr_expect_leq(asked, (size_t)CORES * PEERS * 22 + CORES * 3000 + shared, "%zu", asked);
    cr_expect_eq(graph_pool_counters(pool)->found, CORES - 1);
    for (uint32_t i = 0; i < CORES; i++) {
        router_free(routers[i]);
    }
    ring_mesh_fini(&mesh);
    graph_pool_free(pool);
}

Test(pool, forgets_the_graph_unused_for_longest_and_those_who_hold_it_do_not_mind) {
    struct ring_mesh mesh;
    struct graph_pool *pool = make_pool();
    struct weft_peer_id children[2 * REACH];
    ring_mesh_init(&mesh, 30);
    struct router *holder = ring_router(&mesh, 0, pool);
    uint64_t digest = router_digest(holder);
    size_t count = router_children(holder, &mesh.ids[3], children, 2 * REACH);
    struct router *other = ring_router(&mesh, 1, pool);
    for (uint32_t i = 0; i < POOL_GRAPHS_MAX + 1; i++) {
        ring_word(&mesh, 5, 100 + i);
        weft_ns now = (10 + i) * NS_PER_S;
        cr_assert_eq(router_set_peer(other, mesh.words[5], now), WEFT_OK);
        cr_assert(router_update(other, now + NS_PER_S / 2));
        cr_assert_neq(router_digest(other), digest);
    }
    cr_expect_eq(router_digest(holder), digest);
    cr_expect_eq(router_children(holder, &mesh.ids[3], children, 2 * REACH), count);
    cr_expect_gt(router_children(holder, &mesh.ids[0], children, 2 * REACH), 0);
    ring_word(&mesh, 5, 10);
    uint64_t found = graph_pool_counters(pool)->found;
    struct router *late = ring_router(&mesh, 2, pool);
    cr_expect_eq(router_digest(late), digest);
    cr_expect_eq(graph_pool_counters(pool)->found, found, "forgotten, so frozen anew");
    router_free(holder);
    router_free(other);
    router_free(late);
    ring_mesh_fini(&mesh);
    graph_pool_free(pool);
}

Test(pool, forgets_trees_beyond_its_bound_and_computes_them_again) {
    struct ring_mesh mesh;
    struct graph_pool *pool = make_pool();
    struct weft_peer_id children[2 * REACH];
    ring_mesh_init(&mesh, 30);
    struct router *a = ring_router(&mesh, 0, pool);
    struct router *b = ring_router(&mesh, 1, pool);
    size_t count = router_children(b, &mesh.ids[3], children, 2 * REACH);
    cr_expect_eq(graph_pool_counters(pool)->trees, 1);
    (void)router_children(a, &mesh.ids[3], children, 2 * REACH);
    cr_expect_eq(graph_pool_counters(pool)->trees, 1, "shared");
    ring_word(&mesh, 7, 90);
    struct router *d = ring_router(&mesh, 1, pool); /* another graph with trees */
    (void)router_children(d, &mesh.ids[3], children, 2 * REACH);
    (void)router_digest(a);
    ring_word(&mesh, 7, 10);
    graph_pool_take_room(pool, 2 * POOL_TREES_BYTES); /* and more than there is to forget */
    graph_pool_give_room(pool, 2 * POOL_TREES_BYTES);
    struct router *c = ring_router(&mesh, 1, pool);
    cr_expect_eq(router_children(c, &mesh.ids[3], children, 2 * REACH), count);
    cr_expect_eq(graph_pool_counters(pool)->trees, 3);
    router_free(a);
    router_free(b);
    router_free(c);
    router_free(d);
    ring_mesh_fini(&mesh);
    graph_pool_free(pool);
    graph_pool_free(NULL);
}
