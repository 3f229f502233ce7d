/* SPDX-License-Identifier: Apache-2.0
 *
 * The graph under records that lie, that come and go, and that are many.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "graph.h"
#include "router/topology.h"

static struct router *router_of(uint64_t self, size_t peers_max) {
    struct router *router = NULL;
    struct router_config config = {.self = graph_id(self), .peers_max = peers_max};
    cr_assert_eq(router_new(&config, &router), WEFT_OK);
    return router;
}

static int link_order(const void *a, const void *b) {
    const struct wire_peer_link *left = a;
    const struct wire_peer_link *right = b;
    return weft_peer_id_compare(&left->peer, &right->peer);
}

/* The id that sorts as the number does. */
static struct weft_peer_id id_in_order(uint32_t number) {
    struct weft_peer_id id = {{0}};
    for (unsigned i = 0; i < 4; i++) {
        id.bytes[i] = (uint8_t)(number >> (24 - 8 * i));
    }
    return id;
}

static enum weft_err say_phantoms(struct router *router, const struct weft_peer_id *peer,
                                  uint32_t first, uint32_t count) {
    struct wire_peer_link *links = calloc(count, sizeof *links);
    cr_assert_not_null(links);
    for (uint32_t i = 0; i < count; i++) {
        links[i] = (struct wire_peer_link){.peer = id_in_order(first + i), .cost_us = 1};
    }
    enum weft_err err = graph_say(router, peer, links, count, 0, 0);
    free(links);
    return err;
}

Test(topology, invented_neighbours_take_no_place_of_a_peer) {
    struct router *router = router_of(0, 3);
    struct weft_peer_id liar = graph_id(1);
    struct weft_peer_id honest = graph_id(2);
    struct weft_peer_id self = graph_id(0);
    cr_expect_eq(say_phantoms(router, &liar, 1, 1024), WEFT_OK);
    cr_expect_eq(router_degree(router, &liar), 0);
    struct wire_peer_link to_self = {.peer = self, .cost_us = 1};
    struct wire_peer_link to_honest = {.peer = honest, .cost_us = 1};
    cr_expect_eq(graph_say(router, &honest, &to_self, 1, 0, 0), WEFT_OK);
    cr_expect_eq(graph_say(router, &self, &to_honest, 1, 0, 0), WEFT_OK);
    cr_expect(router_update(router, 0));
    cr_expect_eq(router_reachable_count(router), 1);
    struct weft_peer_id phantom = id_in_order(1);
    cr_expect_not(router_path_to(router, &phantom).is_reachable);
    router_free(router);
}

Test(topology, refuses_peers_beyond_its_bound_and_keeps_the_rest) {
    struct router *router = router_of(0, 2);
    struct weft_peer_id ids[3] = {graph_id(0), graph_id(1), graph_id(2)};
    struct wire_peer_link to_1 = {.peer = ids[1], .cost_us = 5};
    struct wire_peer_link to_0 = {.peer = ids[0], .cost_us = 5};
    cr_expect_eq(graph_say(router, &ids[0], &to_1, 1, 0, 0), WEFT_OK);
    cr_expect_eq(graph_say(router, &ids[1], &to_0, 1, 0, 0), WEFT_OK);
    cr_expect_eq(graph_say(router, &ids[2], &to_0, 1, 0, 0), WEFT_ERR_FULL);
    cr_expect_eq(graph_say(router, &ids[1], &to_0, 1, 0, 0), WEFT_OK, "a known peer may speak on");
    cr_expect(router_update(router, 0));
    cr_expect_eq(router_reachable_count(router), 1);
    router_remove_peer(router, &ids[1], 0);
    cr_expect_eq(graph_say(router, &ids[2], &to_0, 1, 0, 0), WEFT_OK, "room again");
    router_free(router);
}

/* T11: 10 times as many liars as the bound on extra links bears, each with the longest list. */
Test(topology, bounds_the_links_of_liars_without_refusing_usual_peers) {
    struct router *router = router_of(0, 4000);
    size_t refused = 0;
    for (uint32_t i = 1; i <= 600; i++) {
        struct weft_peer_id liar = graph_id(i);
        refused += say_phantoms(router, &liar, 1, 1024) == WEFT_ERR_FULL ? 1 : 0;
    }
    cr_expect_eq(600 - refused, TOPOLOGY_LINKS_EXTRA_MAX / (1024 - TOPOLOGY_LINKS_FREE));
    struct weft_peer_id usual = graph_id(1000);
    struct weft_peer_id self = graph_id(0);
    cr_expect_eq(say_phantoms(router, &usual, 1, TOPOLOGY_LINKS_FREE), WEFT_OK);
    cr_expect_eq(say_phantoms(router, &self, 1, 1024), WEFT_OK, "our own word always counts");
    struct weft_peer_id liar = graph_id(1);
    router_remove_peer(router, &liar, 0);
    router_remove_peer(router, &self, 0);
    liar = graph_id(601);
    cr_expect_eq(say_phantoms(router, &liar, 1, 1024), WEFT_OK,
                 "what is given back is there again");
    router_free(router);
}

Test(topology, leaves_out_links_to_oneself) {
    struct router *router = router_of(0, 4);
    struct weft_peer_id self = graph_id(0);
    struct wire_peer_link to_self = {.peer = self, .cost_us = 1};
    cr_expect_eq(graph_say(router, &self, &to_self, 1, 0, 0), WEFT_OK);
    cr_expect_eq(router_degree(router, &self), 0);
    cr_expect(router_update(router, 0));
    router_free(router);
}

Test(topology, the_dearest_links_do_not_wrap_even_when_leaving) {
    struct router *router = router_of(0, 4);
    struct weft_peer_id ids[2] = {graph_id(0), graph_id(1)};
    struct wire_peer_link to_1 = {.peer = ids[1], .cost_us = (uint32_t)1 << 31};
    struct wire_peer_link to_0 = {.peer = ids[0], .cost_us = (uint32_t)1 << 31};
    cr_expect_eq(graph_say(router, &ids[0], &to_1, 1, WIRE_PEER_LEAVING, 0), WEFT_OK);
    cr_expect_eq(graph_say(router, &ids[1], &to_0, 1, 0, 0), WEFT_OK);
    cr_expect(router_update(router, 0));
    cr_expect_eq(router_path_to(router, &ids[1]).cost_us, ((uint64_t)1 << 31) + 1000000);
    router_free(router);
}

/* The mutual count of a peer read off the graph afresh. */
static uint32_t degree_naive(const struct graph *graph, const bool *has_spoken, uint32_t node) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < graph->count; i++) {
        bool is_mutual = has_spoken[node] && has_spoken[i] && graph_arc(graph, node, i) != 0;
        count += is_mutual ? 1 : 0;
    }
    return count;
}

/* Words come, change and go in any order: marks at both ends stay right. */
Test(topology, keeps_two_way_marks_right_over_random_histories) {
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct rng rng = graph_rng(seed);
        static struct graph graph;
        bool has_spoken[GRAPH_MAX] = {false};
        graph_random(&graph, 12, 40, 10, &rng);
        struct router *router = graph_router(&graph, 0);
        for (int i = 0; i < 300; i++) {
            uint32_t node = (uint32_t)rng_below(&rng, graph.count);
            has_spoken[node] = rng_below(&rng, 4) != 0;
            if (has_spoken[node]) {
                graph_tell(&graph, router, node, 0);
            } else {
                router_remove_peer(router, &graph.ids[node], 0);
            }
            node = (uint32_t)rng_below(&rng, graph.count);
            cr_assert_eq(router_degree(router, &graph.ids[node]),
                         degree_naive(&graph, has_spoken, node), "seed %lu step %d", seed, i);
            uint32_t other = (uint32_t)rng_below(&rng, graph.count);
            bool is_link = has_spoken[node] && has_spoken[other] &&
                           graph_arc(&graph, node, other) != 0 &&
                           graph_arc(&graph, other, node) != 0;
            cr_assert_eq(router_has_link(router, &graph.ids[node], &graph.ids[other]), is_link,
                         "seed %lu step %d", seed, i);
        }
        router_free(router);
    }
}

/* Ids that are all alike but for their ends, and ids that are not, side by side: each is found. */
Test(topology, finds_peers_whose_ids_a_liar_made_alike) {
    struct router *router = router_of(0, 2000);
    struct weft_peer_id ids[900];
    struct rng rng = graph_rng(5);
    for (uint32_t i = 0; i < 900; i++) {
        ids[i] = graph_id(i + 1);
        if (i % 3 != 0) {
            memset(ids[i].bytes, i % 3 == 1 ? 0x80 : 0x07, i % 2 == 0 ? 4 : 9);
        }
    }
    bool is_known[900] = {false};
    for (uint32_t i = 0; i < 4000; i++) {
        uint32_t at = (uint32_t)rng_below(&rng, 900);
        is_known[at] = rng_below(&rng, 3) != 0;
        if (is_known[at]) {
            struct wire_peer_link link = {.peer = graph_id(0), .cost_us = 1};
            cr_assert_eq(graph_say(router, &ids[at], &link, 1, 0, 0), WEFT_OK);
        } else {
            router_remove_peer(router, &ids[at], 0);
        }
    }
    struct wire_peer_link links[900];
    uint32_t count = 0;
    uint32_t known = 0;
    for (uint32_t first = 0; first < 900; first++) {
        known += is_known[first] ? 1 : 0;
        links[count++] = (struct wire_peer_link){.peer = ids[first], .cost_us = 1};
    }
    qsort(links, count, sizeof links[0], link_order);
    struct weft_peer_id self = graph_id(0);
    cr_assert_eq(graph_say(router, &self, links, count, 0, 0), WEFT_OK);
    cr_expect_eq(router_degree(router, &self), known);
    cr_expect_eq(router_reachable_count(router), known);
    for (uint32_t i = 0; i < 900; i++) {
        cr_assert_eq(router_reaches(router, &ids[i]), is_known[i], "%u", i);
    }
    router_free(router);
}
