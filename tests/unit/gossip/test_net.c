/* SPDX-License-Identifier: Apache-2.0
 *
 * Meshes of gossips: everything reaches everybody, broadcasts once, and what goes wrong is
 * repaired.
 */
#include <stdio.h>
#include <stdlib.h>

#include <criterion/criterion.h>

#include "net.h"

static size_t live_count(const struct net *net, size_t node) {
    return recordset_live_count(gossip_records(net->nodes[node].gossip));
}

Test(gossip_net, records_reach_everybody) {
    struct net *net = net_new(kit_seed(), 24);
    net_wire(net, 24);
    for (size_t i = 0; i < net->count; i++) {
        net_publish(net, i, "default/web", "body");
    }
    net_run(net, 3 * NS_PER_S);
    cr_assert(net_is_equal(net));
    cr_assert_eq(live_count(net, 0), 48);
    cr_assert_eq(live_count(net, 23), 48);
    net_free(net);
}

Test(gossip_net, a_change_reaches_everybody_at_once_by_pushes) {
    struct net *net = net_new(2, 24);
    net_wire(net, 24);
    net_run(net, 10 * NS_PER_S);
    uint64_t begun = 0;
    for (size_t i = 0; i < net->count; i++) {
        begun += gossip_count(net->nodes[i].gossip).sync_begun;
    }
    net_publish(net, 5, "default/new", "body");
    net_run(net, 100 * NS_PER_MS);
    cr_assert(net_is_equal(net));
    for (size_t i = 0; i < net->count; i++) {
        begun -= gossip_count(net->nodes[i].gossip).sync_begun;
    }
    cr_assert_eq(begun, 0, "without a reconciliation");
    net_free(net);
}

Test(gossip_net, a_settled_mesh_at_rest_is_quiet) {
    struct net *net = net_new(3, 16);
    net_wire(net, 16);
    net_run(net, 10 * NS_PER_S);
    uint64_t before = net->bytes;
    net_run(net, 20 * NS_PER_S);
    cr_assert_leq(net->bytes - before, 16 * 1000);
    net_free(net);
}

Test(gossip_net, a_settled_mesh_delivers_a_broadcast_once_over_n_minus_1_sends) {
    struct net *net = net_new(4, 20);
    net_wire(net, 20);
    net_run(net, 5 * NS_PER_S);
    uint64_t before = net->frames[WIRE_BROADCAST];
    for (uint8_t i = 0; i < 10; i++) {
        net_broadcast(net, i, i);
    }
    net_run(net, NS_PER_S);
    for (uint8_t i = 0; i < 10; i++) {
        cr_assert_eq(net_heard(net, i, i, 1), 19, "broadcast %d", i);
    }
    cr_assert_eq(net->frames[WIRE_BROADCAST] - before, 10 * 19);
    net_free(net);
}

Test(gossip_net, while_views_differ_broadcasts_flood_and_still_arrive_once) {
    struct net *net = net_new(5, 20);
    net_wire(net, 20);
    net_run(net, 5 * NS_PER_S);
    uint64_t before = net->frames[WIRE_BROADCAST];
    for (size_t i = 0; i < net->count; i++) {
        net->nodes[i].view = i % 3;
    }
    net_broadcast(net, 0, 7);
    net_run(net, NS_PER_S);
    cr_assert_eq(net_heard(net, 0, 7, 1), 19);
    cr_assert_gt(net->frames[WIRE_BROADCAST] - before, 19);
    net_free(net);
}

Test(gossip_net, a_broadcast_lost_with_its_link_is_pulled) {
    struct net *net = net_new(6, 8);
    net_wire(net, 0);
    net_run(net, 5 * NS_PER_S);
    net_broadcast(net, 0, 1);
    net_run(net, 12 * NS_PER_MS); /* on its way round the ring, two links far */
    net_cut(net, 2, 3);
    net_cut(net, 5, 6);
    net_join(net, 1, 4);
    net_join(net, 7, 5);
    net_run(net, 5 * NS_PER_S);
    cr_assert_eq(net_heard(net, 0, 1, 1), 7);
    net_free(net);
}

Test(gossip_net, a_gap_is_pulled_after_a_moment) {
    struct net *net = net_new(7, 3);
    for (size_t i = 0; i < 3; i++) {
        net_start(net, i, 1);
    }
    net_join(net, 0, 1);
    net_join(net, 1, 2);
    net_run(net, 5 * NS_PER_S);
    net->lose_kind = WIRE_BROADCAST;
    net->lose_from = 1;
    net->lose_to = 2;
    net_broadcast(net, 0, 1);
    net_broadcast(net, 0, 2);
    net_run(net, 40 * NS_PER_MS);
    net->lose_kind = 0;
    net_broadcast(net, 0, 3);
    net_run(net, NS_PER_S);
    cr_assert_eq(net_heard(net, 0, 1, 1), 2);
    cr_assert_eq(net_heard(net, 0, 2, 1), 2);
    cr_assert_eq(net_heard(net, 0, 3, 1), 2);
    net_free(net);
}

Test(gossip_net, random_cuts_and_joins_lose_no_broadcast_and_repeat_none) {
    for (uint64_t round = 0; round < 5; round++) {
        uint64_t seed = kit_seed() + round;
        struct net *net = net_new(seed, 16);
        struct rng rng = kit_rng(seed);
        net_wire(net, 16);
        net_run(net, 5 * NS_PER_S);
        for (uint8_t i = 0; i < 100; i++) {
            size_t a = (size_t)rng_below(&rng, 16);
            size_t b = (size_t)rng_below(&rng, 16);
            net_broadcast(net, i % 16, i);
            if (rng_below(&rng, 3) == 0 && net->links[a][b] != 0 && (a + 1) % 16 != b &&
                (b + 1) % 16 != a) {
                net_cut(net, a, b);
            } else if (rng_below(&rng, 3) == 0) {
                net_join(net, a, b);
            }
            net_run(net, rng_below(&rng, 20) * NS_PER_MS);
        }
        net_run(net, 10 * NS_PER_S);
        for (uint8_t i = 0; i < 100; i++) {
            cr_assert_eq(net_heard(net, i % 16, i, 1), 15, "seed %llu broadcast %d",
                         (unsigned long long)seed, i);
        }
        cr_assert(net_is_equal(net));
        net_free(net);
    }
}

Test(gossip_net, a_healed_partition_costs_what_changed) {
    struct net *net = net_new(8, 32);
    for (size_t i = 0; i < 32; i++) {
        net_start(net, i, 1);
    }
    for (size_t i = 0; i < 32; i++) {
        net_join(net, i, i % 16 == 15 ? i - 15 : i + 1);
    }
    net_join(net, 0, 16);
    for (size_t i = 0; i < 32; i++) {
        for (char key = 'a'; key < 'm'; key++) {
            char name[] = {'d', '/', key, 0};
            net_publish(net, i, name, "a body of some length, as services have, and a bit more");
        }
    }
    net_run(net, 20 * NS_PER_S);
    cr_assert(net_is_equal(net));
    net_cut(net, 0, 16);
    net_run(net, 30 * NS_PER_S);
    net_publish(net, 3, "d/a", "changed");
    net_publish(net, 20, "d/b", "changed too");
    net_run(net, 5 * NS_PER_S);
    uint64_t before = net->bytes;
    net_join(net, 0, 16);
    net_run(net, 5 * NS_PER_S);
    cr_assert(net_is_equal(net));
    cr_assert_eq(live_count(net, 9), 32 * 13);
    fprintf(stderr, "healing moved %llu bytes\n", (unsigned long long)(net->bytes - before));
    cr_assert_leq(net->bytes - before, 60000);
    net_free(net);
}

Test(gossip_net, a_restarted_nodes_old_services_vanish_everywhere) {
    struct net *net = net_new(9, 10);
    net_wire(net, 5);
    net_publish(net, 4, "default/old", "x");
    net_run(net, 5 * NS_PER_S);
    cr_assert_eq(live_count(net, 0), 11);
    net_stop(net, 4);
    net_run(net, NS_PER_S);
    cr_assert_eq(live_count(net, 0), 9);
    net_start(net, 4, 2);
    net_join(net, 4, 3);
    net_run(net, 6 * NS_PER_S);
    cr_assert(net_is_equal(net));
    cr_assert_eq(live_count(net, 0), 10);
    cr_assert_eq(recordset_count(gossip_records(net->nodes[7].gossip)), 10);
    net_free(net);
}

static bool knows_service(const struct net *net, size_t at, size_t owner, const char *key) {
    return recordset_find(gossip_records(net->nodes[at].gossip), WIRE_RECORD_SERVICE,
                          &net->nodes[owner].identity.id, span_of_text(key)) != NULL;
}

static size_t count_knowing(const struct net *net, size_t owner, const char *key) {
    size_t count = 0;
    for (size_t i = 0; i < net->count; i++) {
        count += knows_service(net, i, owner, key) ? 1 : 0;
    }
    return count;
}

/* Changes without end, so that news go as notes where they may. */
static void make_busy(struct net *net, size_t at) {
    for (char body = 'a'; body < 'a' + 12; body++) {
        char text[] = {body, 0};
        net_publish(net, at, "busy/box", text);
        net_run(net, 20 * NS_PER_MS);
    }
}

/* What a node says of itself changes with its links: here its name does. */
static void tell_peer(struct net *net, size_t at, const char *name) {
    uint8_t body[512];
    size_t len = kit_peer_body(body, sizeof body, net->nodes[at].instance, name);
    cr_assert_eq(gossip_publish(net->nodes[at].gossip, WIRE_RECORD_PEER, span_of(NULL, 0),
                                span_of(body, len), net->now),
                 WEFT_OK);
    net_run(net, 0);
}

static void load_record(void *ctx, struct record *record, bool is_live) {
    (void)is_live;
    cr_assert_eq(gossip_load(ctx, record->encoded, 0, 0), WEFT_OK);
}

/* Starts a node again with what another knew: its store. */
static void start_again(struct net *net, size_t at, uint64_t incarnation, size_t other) {
    net_start(net, at, incarnation);
    recordset_each(gossip_records(net->nodes[other].gossip), load_record, net->nodes[at].gossip);
}

/* The first peer record of the next life may come alone: by another way than its services, or to a
 * neighbour that is told nothing when the link comes up, since it is in the mesh already. Who asks
 * for a service meanwhile is not to be refused. */
static void check_restart(struct net *net, size_t victim, size_t first, size_t second) {
    net_publish(net, victim, "default/web", "x");
    net_publish(net, victim, "default/old", "x");
    net_run(net, 5 * NS_PER_S);
    make_busy(net, second);
    net_stop(net, victim);
    start_again(net, victim, 2, first);
    net_publish(net, victim, "default/web", "x");
    net_publish(net, victim, "default/new", "x");
    net_join(net, victim, first);
    tell_peer(net, victim, "linked");
    net_run(net, NS_PER_MS);
    net_join(net, victim, second);
    tell_peer(net, victim, "linked-twice");
    for (size_t ms = 0; ms < 8000; ms++) {
        net_run(net, NS_PER_MS);
        size_t web = count_knowing(net, victim, "default/web");
        cr_assert_eq(web, net->count, "%zu know it after %zu ms", web, ms);
        cr_assert(ms < 500 || count_knowing(net, victim, "default/new") == net->count);
    }
    cr_assert(net_is_equal(net));
    cr_assert_eq(count_knowing(net, victim, "default/old"), 0);
}

Test(gossip_net, a_service_is_known_all_the_while_its_node_restarts) {
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct net *net = net_new(seed, 3);
        net_wire(net, 0);
        check_restart(net, 1, seed % 2 * 2, 2 - seed % 2 * 2);
        net_free(net);
    }
}

Test(gossip_net, a_service_is_known_at_a_distance_all_the_while_its_node_restarts) {
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct net *net = net_new(seed, 10);
        net_wire(net, 2);
        check_restart(net, 4, 3, 5);
        net_free(net);
    }
}

/* Each life waits for its own records: those of the one before last are not kept by the last. */
Test(gossip_net, a_node_that_restarts_again_and_again_keeps_its_service_and_nothing_else) {
    struct net *net = net_new(9, 6);
    net_wire(net, 2);
    net_publish(net, 1, "default/web", "x");
    net_publish(net, 1, "default/old", "x");
    net_run(net, 5 * NS_PER_S);
    for (uint64_t life = 2; life < 12; life++) {
        net_stop(net, 1);
        start_again(net, 1, life, 0);
        net_publish(net, 1, "default/web", "x");
        net_join(net, 1, 0);
        net_join(net, 1, 2);
        tell_peer(net, 1, "linked");
        for (size_t ms = 0; ms < 1000; ms++) {
            net_run(net, NS_PER_MS);
            cr_assert_eq(count_knowing(net, 1, "default/web"), 6, "life %d", (int)life);
        }
    }
    cr_assert_eq(count_knowing(net, 1, "default/old"), 0);
    net_free(net);
}

/* What is kept of a former life takes no room from the next. */
Test(gossip_net, a_restarted_node_may_offer_as_much_as_before_under_other_names) {
    struct net *net = net_new(9, 2);
    net_start(net, 0, 1);
    net_start(net, 1, 1);
    net_join(net, 0, 1);
    size_t most = kit_bounds().owner_records_max - 1; /* and the peer record */
    char key[32];
    for (uint64_t life = 1; life <= 2; life++) {
        for (size_t i = 0; i < most; i++) {
            (void)snprintf(key, sizeof key, "life-%d/%zu", (int)life, i);
            net_publish(net, 1, key, "x");
        }
        net_run(net, 3 * NS_PER_S);
        cr_assert(net_is_equal(net));
        cr_assert_eq(live_count(net, 0), most + 2);
        if (life == 1) {
            net_stop(net, 1);
            net_start(net, 1, 2);
            net_join(net, 0, 1);
            net_run(net, NS_PER_S);
        }
    }
    net_free(net);
}

Test(gossip_net, a_node_that_forgot_its_incarnation_is_raised_above_its_former_life) {
    struct net *net = net_new(10, 10);
    net_wire(net, 5);
    uint8_t body[512];
    size_t len = kit_peer_body(body, sizeof body, net->nodes[4].instance, "renamed");
    cr_assert_eq(gossip_publish(net->nodes[4].gossip, WIRE_RECORD_PEER, span_of(NULL, 0),
                                span_of(body, len), net->now),
                 WEFT_OK);
    net_publish(net, 4, "default/old", "x");
    net_run(net, 5 * NS_PER_S);
    net_stop(net, 4);
    net_run(net, NS_PER_S);
    net_start(net, 4, 1);
    net_publish(net, 4, "default/new", "y");
    net_join(net, 4, 3);
    net_run(net, 5 * NS_PER_S);
    cr_assert(net_is_equal(net));
    cr_assert_gt(gossip_incarnation(net->nodes[4].gossip), 1);
    cr_assert_eq(live_count(net, 0), 11);
    for (size_t i = 0; i < net->count; i++) {
        cr_assert_eq(net->nodes[i].clones, 0);
    }
    net_free(net);
}

Test(gossip_net, channel_state_reaches_everybody_through_nodes_that_do_not_know_it) {
    struct net *net = net_new(11, 12);
    for (size_t i = 0; i < 12; i++) {
        net->nodes[i].has_channels = i % 3 == 0;
    }
    net_wire(net, 0);
    net_run(net, 3 * NS_PER_S);
    net->nodes[0].sum = 42;
    cr_assert_eq(
        gossip_channel_send(net->nodes[0].gossip, "sum", span_of(&net->nodes[0].sum, 1), net->now),
        WEFT_OK);
    net_broadcast(net, 0, 9);
    net_run(net, 2 * NS_PER_S);
    for (size_t i = 0; i < 12; i += 3) {
        cr_assert_eq(net->nodes[i].sum, 42, "node %zu", i);
        cr_assert_leq(net->nodes[i].sum_calls, 4);
    }
    cr_assert_eq(net_heard(net, 0, 9, 1), 3, "those with the channel, once each");
    net_free(net);
}

Test(gossip_net, a_new_neighbour_gets_the_complete_state) {
    struct net *net = net_new(12, 2);
    net_start(net, 0, 1);
    net_start(net, 1, 1);
    net->nodes[0].sum = 17;
    net_join(net, 0, 1);
    net_run(net, 100 * NS_PER_MS);
    cr_assert_eq(net->nodes[1].sum, 17);
    net_free(net);
}

Test(gossip_net, the_same_seed_moves_the_same_bytes) {
    uint64_t bytes[2];
    for (int i = 0; i < 2; i++) {
        struct net *net = net_new(13, 20);
        net_wire(net, 30);
        net_publish(net, 3, "default/x", "y");
        net_run(net, 5 * NS_PER_S);
        bytes[i] = net->bytes;
        net_free(net);
    }
    cr_assert_eq(bytes[0], bytes[1]);
}
