/* SPDX-License-Identifier: Apache-2.0
 *
 * The mesh to test against.
 */
#include "graph.h"

#include <criterion/criterion.h>
#include <stdlib.h>

struct rng graph_rng(uint64_t seed) {
    uint8_t bytes[32] = {0};
    for (unsigned i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(seed >> (8 * i));
    }
    bytes[31] = 1;
    struct rng rng;
    rng_init(&rng, bytes);
    return rng;
}

struct weft_peer_id graph_id(uint64_t number) {
    struct rng rng = graph_rng(number ^ 0x1d5eed);
    struct weft_peer_id id;
    for (size_t i = 0; i < sizeof id.bytes; i++) {
        id.bytes[i] = (uint8_t)rng_next(&rng);
    }
    return id;
}

void graph_random(struct graph *graph, uint32_t count, uint32_t percent, uint32_t cost_max,
                  struct rng *rng) {
    *graph = (struct graph){.count = count};
    for (uint32_t i = 0; i < count; i++) {
        graph->ids[i] = graph_id(rng_next(rng));
        graph->is_leaving[i] = rng_below(rng, 16) == 0;
        for (uint32_t j = 0; j < i; j++) {
            bool is_linked = rng_below(rng, 100) < percent;
            bool is_claimed = rng_below(rng, 100) < 5;
            graph->costs[i][j] =
                is_linked || is_claimed ? 1 + (uint32_t)rng_below(rng, cost_max) : 0;
            graph->costs[j][i] = is_linked ? 1 + (uint32_t)rng_below(rng, cost_max) : 0;
        }
    }
}

void graph_link(struct graph *graph, uint32_t a, uint32_t b, uint32_t cost_us) {
    graph->costs[a][b] = cost_us;
    graph->costs[b][a] = cost_us;
}

void graph_unlink(struct graph *graph, uint32_t a, uint32_t b) {
    graph_link(graph, a, b, 0);
}

uint64_t graph_arc(const struct graph *graph, uint32_t from, uint32_t to) {
    if (graph->costs[from][to] == 0 || graph->costs[to][from] == 0) {
        return 0;
    }
    return graph->costs[from][to] + (graph->is_leaving[from] ? (uint64_t)1000000 : 0);
}

void graph_distances(const struct graph *graph, uint64_t out[GRAPH_MAX][GRAPH_MAX]) {
    uint32_t n = graph->count;
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < n; j++) {
            uint64_t arc = graph_arc(graph, i, j);
            out[i][j] = i == j ? 0 : (arc != 0 ? arc : GRAPH_FAR);
        }
    }
    for (uint32_t k = 0; k < n; k++) {
        for (uint32_t i = 0; i < n; i++) {
            for (uint32_t j = 0; out[i][k] != GRAPH_FAR && j < n; j++) {
                if (out[k][j] != GRAPH_FAR && out[i][k] + out[k][j] < out[i][j]) {
                    out[i][j] = out[i][k] + out[k][j];
                }
            }
        }
    }
}

struct router *graph_router(const struct graph *graph, uint32_t self) {
    return graph_router_pooled(graph, self, NULL);
}

struct router *graph_router_pooled(const struct graph *graph, uint32_t self,
                                   struct graph_pool *pool) {
    struct router *router = NULL;
    struct router_config config = {.self = graph->ids[self], .peers_max = 16384, .pool = pool};
    cr_assert_eq(router_new(&config, &router), WEFT_OK);
    return router;
}

struct wire_peer_body graph_body(uint8_t *buffer, const struct wire_peer_source *source) {
    struct wire_peer_source whole = *source;
    whole.name = "n";
    whole.software = "weft";
    struct wire_writer writer = wire_writer_of(buffer, GRAPH_BODY_BYTES);
    wire_peer_body_encode(&writer, &whole);
    struct wire_peer_body body;
    cr_assert_eq(wire_peer_body_decode(wire_writer_view(&writer), &body), WEFT_OK);
    return body;
}

enum weft_err graph_say(struct router *router, const struct weft_peer_id *peer,
                        const struct wire_peer_link *links, uint32_t link_count, uint32_t flags,
                        weft_ns now) {
    uint8_t *buffer = malloc(GRAPH_BODY_BYTES);
    cr_assert_not_null(buffer);
    struct wire_peer_source source = {.links = links, .link_count = link_count, .flags = flags};
    struct wire_peer_body body = graph_body(buffer, &source);
    struct wire_word *word = NULL;
    cr_assert_eq(wire_word_new(peer, &body, &word), WEFT_OK);
    enum weft_err err = router_set_peer(router, word, now);
    wire_word_unref(word);
    free(buffer);
    return err;
}

static int link_compare(const void *a, const void *b) {
    const struct wire_peer_link *left = a;
    const struct wire_peer_link *right = b;
    return weft_peer_id_compare(&left->peer, &right->peer);
}

void graph_tell(const struct graph *graph, struct router *router, uint32_t node, weft_ns now) {
    struct wire_peer_link links[GRAPH_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < graph->count; i++) {
        if (graph->costs[node][i] != 0) {
            links[count++] =
                (struct wire_peer_link){.peer = graph->ids[i], .cost_us = graph->costs[node][i]};
        }
    }
    qsort(links, count, sizeof links[0], link_compare);
    uint32_t flags = graph->is_leaving[node] ? WIRE_PEER_LEAVING : 0;
    cr_assert_eq(graph_say(router, &graph->ids[node], links, count, flags, now), WEFT_OK);
}

void graph_tell_all(const struct graph *graph, struct router *router, struct rng *rng,
                    weft_ns now) {
    uint32_t order[GRAPH_MAX];
    for (uint32_t i = 0; i < graph->count; i++) {
        uint32_t place = (uint32_t)rng_below(rng, i + 1);
        order[i] = order[place];
        order[place] = i;
    }
    for (uint32_t i = 0; i < graph->count; i++) {
        graph_tell(graph, router, order[i], now);
    }
    graph_settle(router);
}

weft_ns graph_settle(struct router *router) {
    weft_ns due = router_deadline(router);
    cr_assert_neq(due, WEFT_NEVER, "nothing to compute");
    while (!router_update(router, due)) { /* losses are looked into before */
        cr_assert_gt(router_deadline(router), due);
        due = router_deadline(router);
    }
    return due;
}

uint32_t graph_find(const struct graph *graph, const struct weft_peer_id *id) {
    uint32_t node = 0;
    while (node < graph->count && !weft_peer_id_equal(&graph->ids[node], id)) {
        node++;
    }
    return node;
}
