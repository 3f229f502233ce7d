/* SPDX-License-Identifier: Apache-2.0
 *
 * Which losses count, and how long links are on trial for them.
 */
#include "router/damping.h"

#include <criterion/criterion.h>

#include "graph.h"
#include "support/failing_alloc.h"

/* Eight links, of which the far ends of seven are there and deny them. */
static const struct damping_loss alone = {.listed = 8, .denying = 7};

static bool lose(struct damping *damping, uint64_t peer, const struct damping_loss *loss,
                 weft_ns now) {
    struct weft_peer_id id = graph_id(peer);
    return damping_lost(damping, &id, loss, now);
}

static weft_ns trial(const struct damping *damping, uint64_t peer, weft_ns now) {
    struct weft_peer_id id = graph_id(peer);
    return damping_trial(damping, &id, now);
}

Test(damping, one_loss_is_nearly_free_and_more_are_not) {
    struct damping damping = {0};
    cr_expect_eq(trial(&damping, 1, 0), 0);
    cr_expect(lose(&damping, 1, &alone, NS_PER_S));
    cr_expect_eq(trial(&damping, 1, NS_PER_S), DAMPING_SHORT_NS);
    cr_expect(lose(&damping, 1, &alone, 2 * NS_PER_S));
    cr_expect_eq(trial(&damping, 1, 2 * NS_PER_S), DAMPING_LONG_NS);
    cr_expect(lose(&damping, 1, &alone, 3 * NS_PER_S));
    cr_expect_eq(trial(&damping, 1, 3 * NS_PER_S), DAMPING_LONG_NS);
    cr_expect_eq(trial(&damping, 2, 3 * NS_PER_S), 0, "another is not meant");
    damping_fini(&damping);
}

Test(damping, losses_are_forgotten) {
    struct damping damping = {0};
    lose(&damping, 1, &alone, NS_PER_S);
    lose(&damping, 1, &alone, 2 * NS_PER_S);
    weft_ns over = 2 * NS_PER_S + DAMPING_MEMORY_NS;
    cr_expect_eq(trial(&damping, 1, over - 1), DAMPING_LONG_NS);
    cr_expect_eq(trial(&damping, 1, over), 0);
    cr_expect(lose(&damping, 1, &alone, over));
    cr_expect_eq(trial(&damping, 1, over), DAMPING_SHORT_NS, "counted from the beginning");
    damping_fini(&damping);
}

Test(damping, who_leaves_or_is_torn_off_with_others_or_hangs_on_two_links_is_not_counted) {
    const struct damping_loss leaving = {.listed = 8, .denying = 8, .is_leaving = true};
    const struct damping_loss torn = {.listed = 8, .denying = 6};
    const struct damping_loss thin = {.listed = 2, .denying = 2};
    struct damping damping = {0};
    cr_expect_not(lose(&damping, 1, &leaving, NS_PER_S));
    cr_expect_not(lose(&damping, 1, &torn, NS_PER_S));
    cr_expect_not(lose(&damping, 1, &thin, NS_PER_S));
    cr_expect_eq(trial(&damping, 1, NS_PER_S), 0);
    cr_expect_eq(damping.count, 0);
    damping_fini(&damping);
}

Test(damping, links_that_were_lost_one_by_one_count_for_a_while) {
    const struct damping_loss thin = {.listed = 1, .denying = 1};
    struct weft_peer_id id = graph_id(1);
    struct damping damping = {0};
    damping_thinned(&damping, &id, NS_PER_S);
    cr_expect_eq(trial(&damping, 1, NS_PER_S), 0, "that alone is no loss");
    cr_expect(lose(&damping, 1, &thin, NS_PER_S + DAMPING_THINNED_NS - 1));
    cr_expect_not(lose(&damping, 1, &thin, NS_PER_S + DAMPING_THINNED_NS));
    damping_fini(&damping);
}

Test(damping, the_table_is_bounded_and_the_quietest_goes) {
    struct damping damping = {0};
    for (uint64_t i = 0; i <= DAMPING_PEERS_MAX; i++) {
        cr_expect(lose(&damping, 10 + i, &alone, NS_PER_S + i));
    }
    cr_expect_eq(damping.count, DAMPING_PEERS_MAX);
    cr_expect_eq(trial(&damping, 10, 2 * NS_PER_S), 0);
    cr_expect_eq(trial(&damping, 11, 2 * NS_PER_S), DAMPING_SHORT_NS);
    cr_expect_eq(trial(&damping, 10 + DAMPING_PEERS_MAX, 2 * NS_PER_S), DAMPING_SHORT_NS);
    damping_fini(&damping);
}

Test(damping, short_of_memory_it_forgives) {
    FAILING_ALLOC_EACH(nth) {
        struct damping damping = {0};
        bool is_counted = lose(&damping, 1, &alone, NS_PER_S);
        cr_expect_eq(!is_counted, failing_alloc_disarm());
        cr_expect_eq(trial(&damping, 1, NS_PER_S), is_counted ? DAMPING_SHORT_NS : 0);
        cr_expect(lose(&damping, 1, &alone, NS_PER_S));
        damping_fini(&damping);
    }
}

/* Ourselves, 0, fully linked with 1 to 4; 5 has links with 1, 2 and 3, and 6 hangs on 5. */
static void hub_make(struct graph *graph) {
    *graph = (struct graph){.count = 7};
    for (uint32_t i = 0; i < graph->count; i++) {
        graph->ids[i] = graph_id(i);
    }
    for (uint32_t i = 1; i <= 4; i++) {
        graph_link(graph, 0, i, 10);
    }
    for (uint32_t i = 1; i <= 3; i++) {
        graph_link(graph, 5, i, 10);
    }
    graph_link(graph, 5, 6, 10);
}

Test(damping, words_tell_who_went_alone_and_who_is_behind_whom) {
    struct graph graph;
    hub_make(&graph);
    struct router *router = graph_router(&graph, 0);
    struct rng rng = graph_rng(1);
    graph_tell_all(&graph, router, &rng, 0);
    cr_expect_eq(router_listed(router, &graph.ids[5]), 4);
    for (uint32_t i = 1; i <= 3; i++) {
        graph.costs[i][5] = 0;
        graph_tell(&graph, router, i, NS_PER_S);
    }
    graph_settle(router);
    cr_assert_not(router_reaches(router, &graph.ids[5]));
    struct damping_loss loss = router_loss_of(router, &graph.ids[5]);
    cr_expect_eq(loss.listed, 4);
    cr_expect_eq(loss.denying, 3, "6 went too and still lists it");
    cr_expect_not(loss.is_leaving);
    loss = router_loss_of(router, &graph.ids[6]);
    cr_expect_eq(loss.listed, 1);
    cr_expect_eq(loss.denying, 0, "it did not go alone");
    struct weft_peer_id behind[4];
    cr_assert_eq(router_behind(router, &graph.ids[5], behind, 4), 1);
    cr_expect(weft_peer_id_equal(&behind[0], &graph.ids[6]));
    cr_expect_eq(router_behind(router, &graph.ids[1], behind, 4), 0);
    router_free(router);
}

Test(damping, of_a_stranger_words_tell_nothing) {
    struct graph graph;
    hub_make(&graph);
    struct router *router = graph_router(&graph, 0);
    struct weft_peer_id stranger = graph_id(99);
    struct weft_peer_id behind;
    cr_expect_eq(router_loss_of(router, &stranger).listed, 0);
    cr_expect_eq(router_behind(router, &stranger, &behind, 1), 0);
    cr_expect_eq(router_listed(router, &stranger), 0);
    router_free(router);
}
