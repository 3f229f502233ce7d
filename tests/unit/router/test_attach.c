/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is reached is known as records come and go, ahead of any computation.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/time.h"
#include "graph.h"
#include "router/router.h"

/* What router_next_reach told so far. */
struct told {
    bool is_reached[GRAPH_MAX];
    uint32_t came;
    uint32_t went;
};

static void listen(const struct graph *graph, struct router *router, struct told *told) {
    struct weft_peer_id peer;
    bool is_reached = false;
    told->came = 0;
    told->went = 0;
    while (router_next_reach(router, &peer, &is_reached)) {
        uint32_t node = graph_find(graph, &peer);
        cr_assert_lt(node, graph->count);
        cr_assert_neq(told->is_reached[node], is_reached, "told twice");
        told->is_reached[node] = is_reached;
        told->came += is_reached ? 1 : 0;
        told->went += is_reached ? 0 : 1;
    }
}

/* 0 - 1 - 2 - 3 - 4, and we are 0. */
static void make_line(struct graph *graph) {
    *graph = (struct graph){.count = 5};
    for (uint32_t i = 0; i < 5; i++) {
        graph->ids[i] = graph_id(i + 1);
    }
    for (uint32_t i = 1; i < 5; i++) {
        graph_link(graph, i - 1, i, 1000);
    }
}

Test(attach, a_peer_hangs_on_us_when_its_word_joins_the_line) {
    static struct graph graph;
    struct told told = {.came = 0};
    make_line(&graph);
    struct router *router = graph_router(&graph, 0);
    graph_tell(&graph, router, 0, NS_PER_S);
    graph_tell(&graph, router, 1, NS_PER_S);
    listen(&graph, router, &told);
    cr_assert_eq(told.came, 1);
    graph_tell(&graph, router, 2, NS_PER_S);
    listen(&graph, router, &told);
    cr_assert_eq(told.came, 1);
    router_free(router);
}

Test(attach, what_came_early_hangs_on_us_with_the_missing_word) {
    static struct graph graph;
    struct told told = {.came = 0};
    make_line(&graph);
    struct router *router = graph_router(&graph, 0);
    graph_tell(&graph, router, 4, NS_PER_S);
    graph_tell(&graph, router, 3, NS_PER_S);
    graph_tell(&graph, router, 1, NS_PER_S);
    graph_tell(&graph, router, 0, NS_PER_S);
    listen(&graph, router, &told);
    cr_assert_eq(told.came, 1);
    graph_tell(&graph, router, 2, NS_PER_S);
    listen(&graph, router, &told);
    cr_assert_eq(told.came, 3);
    router_free(router);
}

Test(attach, a_loss_is_told_when_it_is_due_and_not_if_it_was_made_good_before) {
    static struct graph graph;
    struct told told = {.came = 0};
    make_line(&graph);
    struct router *router = graph_router(&graph, 0);
    for (uint32_t i = 0; i < 5; i++) {
        graph_tell(&graph, router, i, NS_PER_S);
    }
    listen(&graph, router, &told);
    cr_assert(router_update(router, 2 * NS_PER_S));
    graph_unlink(&graph, 1, 2);
    graph_tell(&graph, router, 1, 10 * NS_PER_S);
    listen(&graph, router, &told);
    cr_expect_eq(told.went, 0, "not yet due");
    graph_link(&graph, 1, 2, 1000);
    graph_tell(&graph, router, 1, 10 * NS_PER_S);
    cr_expect(router_update(router, 11 * NS_PER_S));
    listen(&graph, router, &told);
    cr_expect_eq(told.went, 0, "made good");
    graph_unlink(&graph, 1, 2);
    graph_tell(&graph, router, 2, 20 * NS_PER_S);
    cr_expect(router_update(router, 21 * NS_PER_S));
    listen(&graph, router, &told);
    cr_expect_eq(told.went, 3);
    router_free(router);
}

Test(attach, a_peer_whose_word_is_removed_is_told_at_once_and_those_behind_when_due) {
    static struct graph graph;
    struct told told = {.came = 0};
    make_line(&graph);
    struct router *router = graph_router(&graph, 0);
    for (uint32_t i = 0; i < 5; i++) {
        graph_tell(&graph, router, i, NS_PER_S);
    }
    cr_assert(router_update(router, 2 * NS_PER_S));
    listen(&graph, router, &told);
    router_remove_peer(router, &graph.ids[2], 3 * NS_PER_S);
    listen(&graph, router, &told);
    cr_expect_eq(told.went, 1);
    cr_assert(router_update(router, 6 * NS_PER_S));
    listen(&graph, router, &told);
    cr_expect_eq(told.went, 2);
    graph_tell(&graph, router, 2, 7 * NS_PER_S);
    listen(&graph, router, &told);
    cr_expect_eq(told.came, 3);
    router_free(router);
}

/* Who is reached from node 0 by two-way links, given who has spoken. */
static void reached_naive(const struct graph *graph, const bool *has_spoken, bool *out) {
    uint32_t queue[GRAPH_MAX] = {0};
    uint32_t count = has_spoken[0] ? 1 : 0;
    memset(out, 0, GRAPH_MAX * sizeof *out);
    out[0] = has_spoken[0];
    for (uint32_t at = 0; at < count; at++) {
        for (uint32_t i = 0; i < graph->count; i++) {
            if (!out[i] && has_spoken[i] && graph_arc(graph, queue[at], i) != 0) {
                out[i] = true;
                queue[count++] = i;
            }
        }
    }
}

/* One step of a random history: words change, come, go; the graph stays what was said last. */
static void step(struct graph *graph, struct router *router, bool *has_spoken, struct rng *rng,
                 weft_ns now) {
    uint32_t a = (uint32_t)rng_below(rng, graph->count);
    uint32_t b = (uint32_t)rng_below(rng, graph->count);
    uint64_t kind = rng_below(rng, 10);
    if (kind == 0) {
        has_spoken[a] = false;
        router_remove_peer(router, &graph->ids[a], now);
        return;
    }
    if (a != b) {
        graph->costs[a][b] = kind < 5 ? 1 + (uint32_t)rng_below(rng, 3) : 0;
    }
    has_spoken[a] = true;
    graph_tell(graph, router, a, now);
}

static void history_check(uint64_t seed, uint32_t count, uint32_t percent) {
    struct rng rng = graph_rng(seed);
    static struct graph graph;
    struct told told = {.came = 0};
    bool has_spoken[GRAPH_MAX] = {false};
    graph_random(&graph, count, percent, 3, &rng);
    struct router *router = graph_router(&graph, 0);
    weft_ns now = 0;
    for (int i = 0; i < 400; i++) {
        now += 10 * NS_PER_S;
        for (uint64_t steps = 1 + rng_below(&rng, 6); steps > 0; steps--) {
            step(&graph, router, has_spoken, &rng, now);
            if (rng_below(&rng, 3) == 0) {
                listen(&graph, router, &told);
            }
        }
        (void)router_update(router, now + NS_PER_S);
        listen(&graph, router, &told);
        bool expected[GRAPH_MAX];
        reached_naive(&graph, has_spoken, expected);
        for (uint32_t node = 1; node < graph.count; node++) {
            cr_assert_eq(told.is_reached[node], expected[node], "seed %lu step %d node %u", seed, i,
                         node);
            cr_assert_eq(router_reaches(router, &graph.ids[node]), expected[node]);
            struct router_path path = router_path_to(router, &graph.ids[node]);
            cr_assert_eq(path.is_reachable, expected[node], "seed %lu step %d node %u", seed, i,
                         node);
        }
    }
    router_free(router);
}

/* Sparse graphs fall apart all the time, in pieces large and small. */
Test(attach, tells_exactly_who_is_reached_over_random_histories) {
    for (uint64_t seed = 1; seed <= 12; seed++) {
        history_check(seed, 20, 8 + 3 * (uint32_t)(seed % 4));
    }
}

Test(attach, tells_exactly_who_is_reached_in_a_larger_sparse_mesh) {
    for (uint64_t seed = 100; seed <= 103; seed++) {
        history_check(seed, 60, 3);
    }
}
