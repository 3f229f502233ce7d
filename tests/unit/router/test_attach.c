/* SPDX-License-Identifier: Apache-2.0
 *
 * Who hangs on our graph is known as records arrive, ahead of the computation.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/time.h"
#include "graph.h"
#include "router/router.h"

static size_t drain(struct router *router) {
    struct weft_peer_id peer;
    size_t count = 0;
    while (router_next_attached(router, &peer)) {
        count++;
    }
    return count;
}

/* 0 - 1 - 2 - 3 - 4, and we are 0. */
static void make_line(struct graph *graph) {
    graph->count = 5;
    for (uint32_t i = 0; i < 5; i++) {
        graph->ids[i] = graph_id(i + 1);
    }
    for (uint32_t i = 1; i < 5; i++) {
        graph_link(graph, i - 1, i, 1000);
    }
}

Test(attach, a_peer_hangs_on_us_when_its_word_joins_the_line) {
    static struct graph graph;
    make_line(&graph);
    struct router *router = graph_router(&graph, 0);
    graph_tell(&graph, router, 0, NS_PER_S);
    drain(router);
    graph_tell(&graph, router, 1, NS_PER_S);
    cr_assert_eq(drain(router), 1);
    graph_tell(&graph, router, 2, NS_PER_S);
    cr_assert_eq(drain(router), 1);
    router_free(router);
}

Test(attach, what_came_early_hangs_on_us_with_the_missing_word) {
    static struct graph graph;
    make_line(&graph);
    struct router *router = graph_router(&graph, 0);
    graph_tell(&graph, router, 0, NS_PER_S);
    drain(router);
    graph_tell(&graph, router, 4, NS_PER_S);
    graph_tell(&graph, router, 3, NS_PER_S);
    graph_tell(&graph, router, 2, NS_PER_S);
    cr_assert_eq(drain(router), 0, "they know each other, but not us");
    graph_tell(&graph, router, 1, NS_PER_S);
    cr_assert_eq(drain(router), 4);
    router_free(router);
}

Test(attach, each_is_told_once_and_again_only_after_it_was_lost) {
    static struct graph graph;
    make_line(&graph);
    struct router *router = graph_router(&graph, 0);
    for (uint32_t i = 0; i < 5; i++) {
        graph_tell(&graph, router, i, NS_PER_S);
    }
    drain(router);
    cr_assert(router_update(router, 2 * NS_PER_S));
    graph_tell(&graph, router, 3, 3 * NS_PER_S);
    cr_assert_eq(drain(router), 0);
    router_remove_peer(router, &graph.ids[2], 3 * NS_PER_S);
    cr_assert(router_update(router, 6 * NS_PER_S));
    graph_tell(&graph, router, 2, 7 * NS_PER_S);
    cr_assert_eq(drain(router), 3);
    router_free(router);
}
