/* SPDX-License-Identifier: Apache-2.0
 *
 * When a change is due: soon after the first, at once when a link of our own is lost, seldom in a
 * storm; and that nothing is computed until somebody asks.
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

Test(pacing, computes_at_once_after_our_own_first_word) {
    struct graph graph = {.count = 1, .ids = {graph_id(0)}};
    struct router *router = graph_router(&graph, 0);
    graph_tell(&graph, router, 0, NS_PER_S);
    cr_expect(router_update(router, NS_PER_S));
    cr_expect_not(router_update(router, NS_PER_S), "only once");
    cr_expect_eq(router_deadline(router), WEFT_NEVER);
    router_free(router);
}

/* A node that has just started, and a neighbour: both words of the link come within moments. */
Test(pacing, the_first_link_does_not_wait_for_a_turn_that_was_spent_alone) {
    struct graph graph = {.count = 2, .ids = {graph_id(0), graph_id(1)}};
    struct router *router = graph_router(&graph, 0);
    graph_tell(&graph, router, 0, NS_PER_S);
    cr_expect(router_update(router, NS_PER_S));
    cr_expect_not(router_path_to(router, &graph.ids[1]).is_reachable);
    weft_ns now = NS_PER_S + 12 * NS_PER_MS;
    graph_link(&graph, 0, 1, 10);
    graph_tell(&graph, router, 0, now);
    graph_tell(&graph, router, 1, now);
    router_clock(router, now);
    cr_expect(router_update(router, now));
    cr_expect(router_path_to(router, &graph.ids[1]).is_reachable);
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

/* A4: who makes new links last in a mesh of which most fell must not be waited for. */
Test(pacing, computes_100_ms_apart_in_a_storm_as_long_as_it_is_hurried) {
    struct line line;
    line_init(&line);
    weft_ns until = line.now + 3 * NS_PER_S;
    weft_ns last = line.now;
    router_hurry(line.router, until);
    while (line.now < until) {
        line_flap(&line);
        line.now = graph_settle(line.router);
        cr_expect_leq(line.now - last, 100 * NS_PER_MS);
        last = line.now;
    }
    line_flap(&line);
    cr_expect_eq(graph_settle(line.router), last + 600 * NS_PER_MS);
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
            (void)router_digest(line.router); /* somebody always asks */
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
    router_own_lost(line.router, line.now);
    cr_expect(router_update(line.router, line.now));
    cr_expect_eq(router_reachable_count(line.router), 0);
    router_free(line.router);
}

/* B9: paths may wait, but who is gone is to be known to all soon. */
Test(pacing, finds_who_is_lost_within_100_ms_in_any_storm) {
    struct line line;
    struct weft_peer_id peer;
    bool is_reached;
    line_init(&line);
    for (int i = 0; i < 12; i++) {
        line_flap(&line);
        line.now = graph_settle(line.router);
    }
    while (router_next_reach(line.router, &peer, &is_reached)) {
    }
    graph_unlink(&line.graph, 2, 3);
    graph_tell(&line.graph, line.router, 2, line.now);
    weft_ns due = router_deadline(line.router);
    cr_expect_leq(due, line.now + 100 * NS_PER_MS);
    cr_expect_not(router_update(line.router, due), "the paths are not due");
    cr_assert(router_next_reach(line.router, &peer, &is_reached));
    cr_expect(weft_peer_id_equal(&peer, &line.graph.ids[3]) && !is_reached);
    cr_expect_gt(router_deadline(line.router), line.now + 500 * NS_PER_MS);
    router_free(line.router);
}

/* B8: the paths that are still in use lead to it, each node's another way. */
Test(pacing, passes_nothing_on_to_who_is_lost_while_paths_wait) {
    struct line line;
    struct weft_peer_id next;
    line_init(&line);
    for (int i = 0; i < 12; i++) {
        line_flap(&line);
        line.now = graph_settle(line.router);
    }
    cr_assert(router_next_hop(line.router, &line.graph.ids[3], &next));
    graph_unlink(&line.graph, 2, 3);
    graph_tell(&line.graph, line.router, 2, line.now);
    const struct router_passage passage = {
        .destination = &line.graph.ids[3], .from = &line.graph.ids[0], .hops = 5};
    cr_expect_eq(router_forward(line.router, &passage, line.now, &next), FORWARD_SEND);
    weft_ns due = router_deadline(line.router);
    cr_assert_not(router_update(line.router, due), "the paths are not due");
    cr_expect_eq(router_forward(line.router, &passage, due, &next), FORWARD_NO_ROUTE);
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

Test(pacing, takes_a_neighbours_word_that_it_leaves_at_once) {
    struct line line;
    line_init(&line);
    for (int i = 0; i < 12; i++) {
        line_flap(&line);
        line.now = graph_settle(line.router);
    }
    line.now += NS_PER_MS;
    line.graph.is_leaving[2] = true;
    graph_tell(&line.graph, line.router, 2, line.now);
    cr_expect_gt(router_deadline(line.router), line.now + 500 * NS_PER_MS, "it has time");
    line.graph.is_leaving[1] = true;
    graph_tell(&line.graph, line.router, 1, line.now);
    cr_expect(router_update(line.router, line.now));
    graph_tell(&line.graph, line.router, 1, line.now);
    cr_expect_not(router_update(line.router, line.now), "it says so once");
    router_free(line.router);
}

Test(pacing, a_link_that_we_retire_goes_100_ms_after_the_last_computation) {
    struct line line;
    line_init(&line);
    line_flap(&line);
    line.now = graph_settle(line.router);
    line.graph.costs[0][1] = 0;
    graph_tell(&line.graph, line.router, 0, line.now + NS_PER_MS);
    cr_expect_not(router_update(line.router, router_deadline(line.router)), "who is lost");
    cr_expect_eq(router_deadline(line.router), line.now + 100 * NS_PER_MS);
    router_free(line.router);
}

/* Who asks late has the computation late, and the next one is as far from it as from any. */
Test(pacing, counts_from_when_somebody_asked) {
    struct line line;
    line_init(&line);
    line_flap(&line);
    line.now = router_deadline(line.router);
    cr_assert(router_update(line.router, line.now));
    line.now += 90 * NS_PER_MS;
    router_clock(line.router, line.now);
    (void)router_digest(line.router);
    line_flap(&line);
    cr_expect_not(router_update(line.router, line.now + 10 * NS_PER_MS));
    cr_expect_eq(router_deadline(line.router), line.now + 100 * NS_PER_MS);
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

Test(asking, computes_nothing_until_somebody_asks) {
    struct line line;
    line_init(&line);
    uint64_t before = router_computation_count(line.router);
    for (int i = 0; i < 10; i++) {
        line_flap(&line);
        line.now = graph_settle(line.router);
        cr_expect_eq(router_reachable_count(line.router), 3);
        cr_expect(router_reaches(line.router, &line.graph.ids[3]));
        cr_expect_eq(router_peers_behind(line.router, &line.graph.ids[1]), 0);
    }
    cr_expect_eq(router_computation_count(line.router), before);
    cr_expect_eq(router_path_to(line.router, &line.graph.ids[3]).hops, 3);
    cr_expect_eq(router_peers_behind(line.router, &line.graph.ids[1]), 3);
    (void)router_path_to(line.router, &line.graph.ids[2]);
    cr_expect_neq(router_digest(line.router), 0);
    cr_expect_eq(router_computation_count(line.router), before + 1, "one for all questions");
    router_free(line.router);
}

Test(asking, gets_the_former_answers_until_the_change_is_due) {
    struct line line;
    line_init(&line);
    cr_expect_eq(router_path_to(line.router, &line.graph.ids[3]).hops, 3);
    graph_link(&line.graph, 1, 3, 1);
    graph_tell(&line.graph, line.router, 1, line.now);
    graph_tell(&line.graph, line.router, 3, line.now);
    cr_expect_eq(router_path_to(line.router, &line.graph.ids[3]).hops, 3);
    cr_expect(router_update(line.router, line.now + 10 * NS_PER_MS));
    cr_expect_eq(router_path_to(line.router, &line.graph.ids[3]).hops, 2);
    router_free(line.router);
}

/* Two ways of the same cost and length are told apart. */
Test(asking, sees_by_the_trail_that_a_path_goes_another_way) {
    struct line line;
    line_init(&line);
    graph_link(&line.graph, 0, 1, 10);
    graph_link(&line.graph, 1, 3, 10);
    graph_unlink(&line.graph, 2, 3);
    for (uint32_t i = 0; i < 4; i++) {
        graph_tell(&line.graph, line.router, i, line.now);
    }
    line.now = graph_settle(line.router);
    struct router_path first = router_path_to(line.router, &line.graph.ids[3]);
    graph_unlink(&line.graph, 1, 3);
    graph_link(&line.graph, 0, 2, 10);
    graph_link(&line.graph, 2, 3, 10);
    for (uint32_t i = 0; i < 4; i++) {
        graph_tell(&line.graph, line.router, i, line.now);
    }
    line.now = graph_settle(line.router);
    struct router_path second = router_path_to(line.router, &line.graph.ids[3]);
    cr_expect_eq(first.cost_us, second.cost_us);
    cr_expect_eq(first.hops, second.hops);
    cr_expect_neq(first.trail, second.trail);
    router_free(line.router);
}

static bool goes_by(struct line *line, uint32_t to, uint32_t by) {
    struct weft_peer_id next = {0};
    return router_next_hop(line->router, &line->graph.ids[to], &next) &&
           weft_peer_id_equal(&next, &line->graph.ids[by]);
}

/* 4 joins at 3, and 5 behind it; 6 at us, and 7 behind it. 8 speaks of a link that 3 denies. */
Test(asking, sends_to_who_came_since_by_way_of_whom_they_hang_on) {
    struct line line;
    line_init(&line);
    cr_assert(goes_by(&line, 3, 1));
    line.graph.count = 9;
    for (uint32_t i = 4; i < 9; i++) {
        line.graph.ids[i] = graph_id(i);
    }
    graph_link(&line.graph, 3, 4, 10);
    graph_link(&line.graph, 4, 5, 10);
    graph_link(&line.graph, 0, 6, 10);
    graph_link(&line.graph, 6, 7, 10);
    line.graph.costs[8][3] = 10;
    for (uint32_t i = 0; i < 9; i++) {
        graph_tell(&line.graph, line.router, i, line.now);
    }
    uint64_t computations = router_computation_count(line.router);
    cr_expect(goes_by(&line, 4, 1));
    cr_expect(goes_by(&line, 5, 1));
    cr_expect(goes_by(&line, 6, 6));
    cr_expect(goes_by(&line, 7, 6));
    struct weft_peer_id next;
    cr_expect_not(router_next_hop(line.router, &line.graph.ids[8], &next));
    const struct router_passage back = {
        .destination = &line.graph.ids[4], .from = &line.graph.ids[1], .hops = 5};
    cr_expect_eq(router_forward(line.router, &back, line.now, &next), FORWARD_NO_ROUTE);
    cr_expect_eq(router_computation_count(line.router), computations);
    graph_settle(line.router);
    cr_expect(goes_by(&line, 5, 1));
    cr_expect(goes_by(&line, 7, 6));
    router_free(line.router);
}
