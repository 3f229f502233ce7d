/* SPDX-License-Identifier: Apache-2.0
 *
 * Broadcasts, unicasts and gossip of channels over a mesh of cores.
 */
#include <criterion/criterion.h>

#include "base/time.h"
#include "support/mesh.h"

#define NODES 12

/* What one node's gossiper saw and holds. */
struct counter {
    uint64_t broadcasts;
    uint64_t unicasts;
    uint8_t counts[NODES]; /* an increment-only counter: the larger wins */
};

static void on_unicast(void *ctx, const struct weft_peer_id *source, struct span payload) {
    struct counter *counter = ctx;
    (void)source;
    counter->unicasts += payload.len;
}

static bool on_broadcast(void *ctx, const struct weft_peer_id *source, struct span payload) {
    struct counter *counter = ctx;
    (void)source;
    (void)payload;
    counter->broadcasts++;
    return true;
}

static struct frame *complete(void *ctx) {
    const struct counter *counter = ctx;
    return frame_copy(span_of(counter->counts, NODES));
}

static struct frame *on_gossip(void *ctx, struct span payload) {
    struct counter *counter = ctx;
    bool is_new = false;
    for (size_t i = 0; i < NODES && payload.len == NODES; i++) {
        if (payload.data[i] > counter->counts[i]) {
            counter->counts[i] = payload.data[i];
            is_new = true;
        }
    }
    return is_new ? complete(counter) : NULL;
}

static struct mesh *make(struct counter counters[NODES], size_t without) {
    const struct mesh_config config = {
        .seed = 5, .nodes = NODES, .delay = NS_PER_MS, .has_discovery = true, .degree = 4};
    struct mesh *mesh = mesh_new(&config);
    for (size_t i = 1; i < NODES; i++) {
        mesh_seed(mesh, i, (i - 1) / 2);
    }
    for (size_t i = 0; i < NODES; i++) {
        const struct gossiper gossiper = {.ctx = &counters[i],
                                          .unicast = on_unicast,
                                          .broadcast = on_broadcast,
                                          .complete = complete,
                                          .gossip = on_gossip};
        mesh_start(mesh, i);
        if (i != without) {
            cr_assert_eq(
                core_channel_open(mesh_core(mesh, i), "counter", &gossiper, mesh_now(mesh)),
                WEFT_OK);
        }
    }
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 10 * NS_PER_S));
    mesh_run(mesh, 20 * NS_PER_S);
    cr_assert(mesh_is_settled(mesh));
    return mesh;
}

Test(core_channels, a_settled_mesh_delivers_a_broadcast_once_over_n_minus_1_sends) {
    struct counter counters[NODES] = {0};
    struct mesh *mesh = make(counters, SIZE_MAX);
    uint64_t before = mesh_frames(mesh, WIRE_BROADCAST);
    cr_assert_eq(core_channel_broadcast(mesh_core(mesh, 0), "counter", span_of_text("hello"),
                                        mesh_now(mesh)),
                 WEFT_OK);
    mesh_run(mesh, NS_PER_S);
    for (size_t i = 1; i < NODES; i++) {
        cr_assert_eq(counters[i].broadcasts, 1, "node %zu got %llu", i,
                     (unsigned long long)counters[i].broadcasts);
    }
    cr_assert_eq(counters[0].broadcasts, 0);
    cr_assert_eq(mesh_frames(mesh, WIRE_BROADCAST) - before, NODES - 1);
    mesh_free(mesh);
}

Test(core_channels, a_node_without_the_gossiper_still_relays) {
    struct counter counters[NODES] = {0};
    struct mesh *mesh = make(counters, 0);
    cr_assert_eq(core_channel_broadcast(mesh_core(mesh, 1), "counter", span_of_text("hello"),
                                        mesh_now(mesh)),
                 WEFT_OK);
    mesh_run(mesh, NS_PER_S);
    for (size_t i = 2; i < NODES; i++) {
        cr_assert_eq(counters[i].broadcasts, 1, "node %zu", i);
    }
    cr_assert_eq(counters[0].broadcasts, 0);
    mesh_free(mesh);
}

Test(core_channels, broadcasts_reach_all_while_nodes_die_and_return) {
    struct counter counters[NODES] = {0};
    struct mesh *mesh = make(counters, SIZE_MAX);
    for (unsigned i = 0; i < 20; i++) {
        cr_assert_eq(core_channel_broadcast(mesh_core(mesh, 0), "counter", span_of_text("hello"),
                                            mesh_now(mesh)),
                     WEFT_OK);
        mesh_run(mesh, 500 * NS_PER_US);
        if (i == 10) {
            mesh_kill(mesh, 11);
        }
    }
    mesh_run(mesh, 10 * NS_PER_S);
    for (size_t i = 1; i < NODES - 1; i++) {
        cr_assert_eq(counters[i].broadcasts, 20, "node %zu got %llu", i,
                     (unsigned long long)counters[i].broadcasts);
    }
    mesh_free(mesh);
}

Test(core_channels, a_unicast_arrives_and_names_its_source) {
    struct counter counters[NODES] = {0};
    struct mesh *mesh = make(counters, SIZE_MAX);
    cr_assert_eq(core_channel_unicast(mesh_core(mesh, 0), "counter", mesh_id(mesh, 11),
                                      span_of_text("four"), mesh_now(mesh)),
                 WEFT_OK);
    mesh_run(mesh, NS_PER_S);
    cr_assert_eq(counters[11].unicasts, 4);
    mesh_free(mesh);
}

Test(core_channels, gossip_brings_all_counters_in_step) {
    struct counter counters[NODES] = {0};
    struct mesh *mesh = make(counters, SIZE_MAX);
    for (size_t i = 0; i < NODES; i++) {
        counters[i].counts[i] = (uint8_t)(i + 1);
        cr_assert_eq(core_channel_gossip(mesh_core(mesh, i), "counter",
                                         span_of(counters[i].counts, NODES), mesh_now(mesh)),
                     WEFT_OK);
    }
    mesh_run(mesh, 2 * NS_PER_S);
    for (size_t i = 0; i < NODES; i++) {
        cr_assert_arr_eq(counters[i].counts, counters[0].counts, NODES, "node %zu", i);
    }
    cr_assert_eq(counters[0].counts[NODES - 1], NODES);
    mesh_free(mesh);
}

static void open_at(struct mesh *mesh, size_t node, struct counter *counter) {
    const struct gossiper gossiper = {.ctx = counter, .unicast = on_unicast};
    mesh_start(mesh, node);
    cr_assert_eq(core_channel_open(mesh_core(mesh, node), "counter", &gossiper, mesh_now(mesh)),
                 WEFT_OK);
}

static void count_accepted(void *ctx, const struct core_link_view *view) {
    size_t *count = ctx;
    *count += view->role == LINK_ACCEPTED ? 1 : 0;
}

/* Each dials the other, the one with the smaller id later: its link replaces the first, over which
 * the other goes on sending for as long as it has not heard of that. */
Test(core_channels, nothing_is_lost_when_a_link_replaces_another) {
    struct counter counters[2] = {0};
    const struct mesh_config config = {.seed = 5, .nodes = 2, .delay = 20 * NS_PER_MS};
    struct mesh *mesh = mesh_new(&config);
    size_t first = weft_peer_id_compare(mesh_id(mesh, 0), mesh_id(mesh, 1)) < 0 ? 1 : 0;
    uint64_t sent = 0;
    mesh_seed(mesh, first, 1 - first);
    open_at(mesh, 0, &counters[0]);
    open_at(mesh, 1, &counters[1]);
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 10 * NS_PER_S));
    mesh_seed(mesh, 1 - first, first);
    for (; sent < 2000; sent++) {
        for (size_t i = 0; i < 2; i++) {
            cr_assert_eq(core_channel_unicast(mesh_core(mesh, i), "counter", mesh_id(mesh, 1 - i),
                                              span_of_text("x"), mesh_now(mesh)),
                         WEFT_OK);
        }
        mesh_run(mesh, NS_PER_MS);
    }
    mesh_run(mesh, NS_PER_S);
    cr_expect_eq(counters[0].unicasts, sent);
    cr_expect_eq(counters[1].unicasts, sent);
    size_t links = 0;
    core_each_link(mesh_core(mesh, first), count_accepted, &links);
    cr_expect_eq(links, 1, "the one that was dialled later");
    mesh_free(mesh);
}
