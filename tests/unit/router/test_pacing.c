/* SPDX-License-Identifier: Apache-2.0
 *
 * When routes are computed: soon after the first change, at once when a link of our own is lost,
 * seldom in a storm; and what a computation says has changed.
 */
#include <criterion/criterion.h>

#include "graph.h"

/* 0 - 1 - 2 - 3, computed, and long quiet at `now`. */
struct line {
    struct graph graph;
    struct router *router;
    weft_ns now;
};

static void line_init(struct line *line) {
    line->graph = (struct graph){.count = 4};
    for (uint32_t i = 0; i < 4; i++) {
        line->graph.ids[i] = graph_id(i);
    }
    graph_link(&line->graph, 0, 1, 10);
    graph_link(&line->graph, 1, 2, 10);
    graph_link(&line->graph, 2, 3, 10);
    line->router = graph_router(&line->graph, 0);
    struct rng rng = graph_rng(1);
    graph_tell_all(&line->graph, line->router, &rng, 0);
    line->now = 100 * NS_PER_S;
}

/* Changes what node 2 pays to node 3. */
static void line_flap(struct line *line) {
    line->graph.costs[2][3] ^= 1;
    graph_tell(&line->graph, line->router, 2, line->now);
}

static void drain(struct router *router) {
    struct router_change change;
    while (router_next_change(router, &change)) {
    }
}

Test(pacing, computes_at_once_after_our_own_first_word) {
    struct graph graph = {.count = 1, .ids = {graph_id(0)}};
    struct router *router = graph_router(&graph, 0);
    graph_tell(&graph, router, 0, NS_PER_S);
    cr_expect(router_update(router, NS_PER_S));
    cr_expect_not(router_update(router, NS_PER_S), "only once");
    cr_expect_eq(router_deadline(router), WEFT_NEVER);
    router_free(router);
}

Test(pacing, computes_10_ms_after_the_first_change) {
    struct line line;
    line_init(&line);
    line_flap(&line);
    cr_expect_eq(router_deadline(line.router), line.now + 10 * NS_PER_MS);
    cr_expect_not(router_update(line.router, line.now + 10 * NS_PER_MS - 1));
    cr_expect(router_update(line.router, line.now + 10 * NS_PER_MS));
    router_free(line.router);
}

Test(pacing, later_changes_do_not_put_off_the_computation) {
    struct line line;
    line_init(&line);
    line_flap(&line);
    weft_ns due = router_deadline(line.router);
    line.now += 9 * NS_PER_MS;
    line_flap(&line);
    cr_expect_eq(router_deadline(line.router), due);
    router_free(line.router);
}

Test(pacing, computes_100_ms_apart_and_then_600_ms_apart_in_a_storm) {
    struct line line;
    line_init(&line);
    weft_ns last = 0;
    for (int i = 0; i < 12; i++) {
        line_flap(&line);
        weft_ns at = graph_settle(line.router);
        weft_ns gap = i <= 8 ? 100 * NS_PER_MS : 600 * NS_PER_MS;
        cr_expect(i == 0 || at == last + gap, "computation %d after %lu", i, at - last);
        last = at;
        line.now = at;
    }
    router_free(line.router);
}

/* B6: 100 flaps a second for a minute elsewhere. */
Test(pacing, computes_at_most_twice_a_second_in_a_steady_storm) {
    struct line line;
    line_init(&line);
    uint64_t before = router_computation_count(line.router);
    weft_ns last = 0;
    for (int i = 0; i < 6000; i++) {
        line_flap(&line);
        if (router_update(line.router, line.now)) {
            cr_assert(last == 0 || line.now - last >= 100 * NS_PER_MS, "A5");
            last = line.now;
        }
        line.now += 10 * NS_PER_MS;
    }
    uint64_t count = router_computation_count(line.router) - before;
    cr_expect_leq(count, 120);
    cr_expect_geq(count, 55, "nor may it stop");
    router_free(line.router);
}

Test(pacing, is_quick_again_after_2_s_of_quiet) {
    struct line line;
    line_init(&line);
    for (int i = 0; i < 12; i++) {
        line_flap(&line);
        line.now = graph_settle(line.router);
    }
    line.now += 2 * NS_PER_S;
    line_flap(&line);
    cr_expect_eq(router_deadline(line.router), line.now + 10 * NS_PER_MS);
    router_free(line.router);
}

Test(pacing, computes_the_loss_of_an_own_link_at_once_in_any_storm) {
    struct line line;
    line_init(&line);
    for (int i = 0; i < 12; i++) {
        line_flap(&line);
        line.now = graph_settle(line.router);
    }
    graph_unlink(&line.graph, 0, 1);
    graph_tell(&line.graph, line.router, 0, line.now);
    cr_expect(router_update(line.router, line.now));
    cr_expect_eq(router_reachable_count(line.router), 0);
    router_free(line.router);
}

Test(pacing, takes_a_neighbours_word_that_our_link_is_gone_at_once_too) {
    struct line line;
    line_init(&line);
    line.graph.costs[1][0] = 0;
    graph_tell(&line.graph, line.router, 1, line.now);
    cr_expect(router_update(line.router, line.now));
    router_free(line.router);
}

Test(pacing, computes_a_new_own_link_at_once_but_100_ms_apart) {
    struct line line;
    line_init(&line);
    graph_link(&line.graph, 0, 2, 10);
    graph_tell(&line.graph, line.router, 0, line.now);
    graph_tell(&line.graph, line.router, 2, line.now);
    cr_expect(router_update(line.router, line.now));
    graph_link(&line.graph, 0, 3, 10);
    graph_tell(&line.graph, line.router, 0, line.now);
    graph_tell(&line.graph, line.router, 3, line.now);
    cr_expect_eq(router_deadline(line.router), line.now + 100 * NS_PER_MS);
    router_free(line.router);
}

Test(pacing, a_word_that_moves_no_path_asks_for_no_computation) {
    struct line line;
    line_init(&line);
    graph_tell(&line.graph, line.router, 2, line.now); /* a new version, the same links */
    graph_tell(&line.graph, line.router, 0, line.now);
    line.graph.costs[3][1] = 5; /* a claim that 1 does not return */
    graph_tell(&line.graph, line.router, 3, line.now);
    struct weft_peer_id stranger = graph_id(77);
    router_remove_peer(line.router, &stranger, line.now);
    cr_expect_eq(router_deadline(line.router), WEFT_NEVER);
    cr_expect_not(router_update(line.router, line.now + NS_PER_S));
    router_free(line.router);
}

/* Applies changes to what was known: `paths` then equals what the router says. */
static void changes_apply(struct line *line, struct router_path paths[4]) {
    struct router_change change;
    while (router_next_change(line->router, &change)) {
        uint32_t node = graph_find(&line->graph, &change.peer);
        cr_assert_lt(node, 4);
        cr_assert_eq(change.before.is_reachable, paths[node].is_reachable);
        cr_assert_eq(change.before.cost_us, paths[node].cost_us);
        cr_assert_eq(change.before.hops, paths[node].hops);
        paths[node] = change.after;
    }
    for (uint32_t i = 1; i < 4; i++) {
        struct router_path path = router_path_to(line->router, &line->graph.ids[i]);
        cr_assert_eq(paths[i].is_reachable, path.is_reachable);
        cr_assert_eq(paths[i].cost_us, path.cost_us);
        cr_assert(weft_peer_id_equal(&paths[i].next_hop, &path.next_hop));
    }
}

Test(changes, lead_from_each_state_to_the_next) {
    struct line line;
    line_init(&line);
    struct router_path paths[4] = {{0}};
    struct rng rng = graph_rng(4711);
    for (int i = 0; i < 300; i++) {
        if (i % 3 == 0) { /* else leave some untaken, to be merged */
            changes_apply(&line, paths);
        }
        uint32_t a = (uint32_t)rng_below(&rng, 4);
        uint32_t b = (uint32_t)rng_below(&rng, 4);
        if (a != b) {
            graph_link(&line.graph, a, b, (uint32_t)rng_below(&rng, 4));
        }
        graph_tell(&line.graph, line.router, a, line.now);
        graph_tell(&line.graph, line.router, b, line.now);
        if (rng_below(&rng, 5) == 0) {
            router_remove_peer(line.router, &line.graph.ids[1 + rng_below(&rng, 3)], line.now);
        }
        line.now += 5 * NS_PER_S;
        (void)router_update(line.router, line.now);
        struct router_change one;
        if (i % 7 == 0 && router_next_change(line.router, &one)) {
            paths[graph_find(&line.graph, &one.peer)] = one.after;
        }
    }
    router_free(line.router);
}

Test(changes, that_came_and_went_untaken_are_not_told) {
    struct line line;
    line_init(&line);
    drain(line.router);
    graph_unlink(&line.graph, 0, 1);
    graph_tell(&line.graph, line.router, 0, line.now);
    graph_settle(line.router);
    graph_link(&line.graph, 0, 1, 10);
    graph_tell(&line.graph, line.router, 0, line.now);
    graph_settle(line.router);
    struct router_change change;
    cr_expect_not(router_next_change(line.router, &change));
    router_free(line.router);
}

Test(changes, name_each_peer_once_in_order_with_before_and_after) {
    struct line line;
    line_init(&line);
    struct router_change last = {0};
    struct router_change change;
    int count = 0;
    while (router_next_change(line.router, &change)) {
        cr_expect(count == 0 || weft_peer_id_compare(&last.peer, &change.peer) < 0);
        cr_expect_not(change.before.is_reachable);
        cr_expect(change.after.is_reachable);
        last = change;
        count++;
    }
    cr_expect_eq(count, 3);
    router_free(line.router);
}
