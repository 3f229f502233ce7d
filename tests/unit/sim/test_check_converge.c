/* SPDX-License-Identifier: Apache-2.0
 *
 * How long views take to be right again, and what was declared dead without being so; the oracle
 * and its tables against naive ones.
 */
#include "checked.h"

static const struct scenario_fault crash = {
    .kind = FAULT_CRASH, .at_ns = NS_PER_S, .count = 1, .who = {.kind = PICK_COUNT, .count = 1}};

Test(check_converge, seen_crash_is_routed_around_at_once) {
    struct rig *rig = rig_ring(10, NULL, &crash);
    rig_run(rig, 10 * NS_PER_S);
    checks_report(rig->checks);
    cr_expect_eq(rig_ask(rig, "reroute.time.count"), 1);
    cr_expect_eq(rig_ask(rig, "converge.time.count"), 1);
    cr_expect_gt(rig_ask(rig, "reroute.time.max"), (int64_t)(2 * NS_PER_MS));
    cr_expect_lt(rig_ask(rig, "reroute.time.max"), (int64_t)(500 * NS_PER_MS));
    cr_expect_lt(rig_ask(rig, "converge.time.max"), (int64_t)NS_PER_S);
    cr_expect_eq(rig_ask(rig, "converge.unfinished"), 0);
    rig_free(rig);
}

Test(check_converge, unseen_death_takes_the_patience_of_heartbeats) {
    struct scenario_fault power = crash;
    power.kind = FAULT_POWER;
    struct rig *rig = rig_ring(10, NULL, &power);
    rig_run(rig, 10 * NS_PER_S);
    checks_report(rig->checks);
    cr_expect_eq(rig_ask(rig, "reroute.time.count"), 1);
    cr_expect_gt(rig_ask(rig, "reroute.time.max"), (int64_t)(2 * NS_PER_S));
    cr_expect_lt(rig_ask(rig, "reroute.time.max"), (int64_t)(4500 * NS_PER_MS));
    cr_expect_eq(rig_ask(rig, "false_downs"), 0);
    rig_free(rig);
}

Test(check_converge, silent_cut_is_not_over_before_it_is_known) {
    const struct scenario_fault silence = {.kind = FAULT_SILENCE,
                                           .at_ns = NS_PER_S,
                                           .count = 1,
                                           .who = {.kind = PICK_COUNT, .count = 1}};
    struct rig *rig = rig_ring(10, NULL, &silence);
    rig_run(rig, 10 * NS_PER_S);
    checks_report(rig->checks);
    cr_expect_gt(rig_ask(rig, "converge.time.min"), (int64_t)(2 * NS_PER_S));
    cr_expect_eq(rig_ask(rig, "false_downs"), 0, "nothing passed there");
    rig_free(rig);
}

Test(check_converge, heal_is_timed_too) {
    struct scenario_fault partition = {.kind = FAULT_PARTITION,
                                       .at_ns = NS_PER_S,
                                       .count = 1,
                                       .span_ns = 10 * NS_PER_S,
                                       .who = {.kind = PICK_COUNT, .count = 4}};
    struct rig *rig = rig_ring(10, NULL, &partition);
    rig_run(rig, 8 * NS_PER_S);
    int64_t before = rig_ask(rig, "converge.time.count");
    rig_run(rig, 60 * NS_PER_S);
    cr_expect_eq(before, 1);
    cr_expect_eq(rig_ask(rig, "converge.time.count"), 2);
    cr_expect_eq(rig_ask(rig, "heal.equal_time.count"), 1);
    cr_expect_gt(rig_ask(rig, "heal.equal_time.max"), (int64_t)(10 * NS_PER_MS));
    cr_expect_lt(rig_ask(rig, "heal.equal_time.max"), (int64_t)(40 * NS_PER_S));
    cr_expect_gt(rig_ask(rig, "heal.link_bytes.max"), 500);
    checks_report(rig->checks);
    cr_expect_eq(rig_ask(rig, "converge.unfinished"), 0);
    cr_expect_eq(rig_ask(rig, "healthy.removed"), 0);
    rig_free(rig);
}

Test(check_converge, bytes_between_the_sides_count_until_sets_are_equal) {
    struct rig *rig = rig_ring(6, NULL, NULL);
    bool is_in[6] = {true, true, true};
    (void)net_begin_around(world_net(rig->world), NET_CUT, is_in, true, world_now(rig->world));
    rig_run(rig, 5 * NS_PER_S);
    heal_begin(rig->checks, world_now(rig->world));
    heal_sent(rig->checks, 2, 3, 100);
    heal_sent(rig->checks, 3, 2, 50);
    heal_sent(rig->checks, 0, 5, 20);
    heal_sent(rig->checks, 0, 1, 1000);
    cr_expect_not(heal_poll(rig->checks), "what cannot be together is equal in itself");
    heal_sent(rig->checks, 2, 3, 100);
    cr_expect_eq(rig_ask(rig, "heal.link_bytes.max"), 150);
    rig_free(rig);
}

/* ---- declared dead ---- */

static void trace_of(struct rig *rig, uint32_t node, const char *name, const char *detail) {
    const struct trace_event event = {.name = name, .detail = detail};
    healthy_traced(rig->checks, node, &event);
}

Test(check_converge, link_given_up_for_nothing_is_counted) {
    struct rig *rig = rig_ring(6, NULL, NULL);
    trace_of(rig, 0, "link-silent", "peer=node-1 remote=10.0.0.1:9338");
    trace_of(rig, 0, "link-up", "peer=node-1 remote=10.0.0.1:9338");
    checks_report(rig->checks);
    cr_expect_eq(rig_ask(rig, "false_downs"), 1);
    cr_expect_eq(rig_ask(rig, "links.healthy_down"), 1);
    rig_free(rig);
}

Test(check_converge, link_given_up_with_reason_is_not_counted) {
    struct rig *rig = rig_ring(6, NULL, NULL);
    (void)net_begin_between(world_net(rig->world), NET_SILENCE, 1, 0, world_now(rig->world));
    trace_of(rig, 0, "link-silent", "peer=node-1 remote=10.0.0.1:9338");
    world_pause(rig->world, 3, true);
    world_pause(rig->world, 3, false);
    trace_of(rig, 2, "link-silent", "peer=node-3 remote=10.0.0.3:9338");
    trace_of(rig, 2, "link-silent", "peer=stranger remote=10.0.0.3:9338");
    checks_report(rig->checks);
    cr_expect_eq(rig_ask(rig, "false_downs"), 0);
    rig_free(rig);
}

static void lose(struct rig *rig, uint32_t node, uint32_t peer) {
    char detail[100];
    char text[WEFT_PEER_ID_TEXT];
    weft_peer_id_format(world_id(rig->world, peer), text);
    (void)snprintf(detail, sizeof detail, "peer=node-%u id=%s", peer, text);
    trace_of(rig, node, "peer-down", detail);
}

Test(check_converge, healthy_node_that_another_loses_is_counted) {
    struct rig *rig = rig_ring(6, NULL, NULL);
    lose(rig, 0, 1);
    checks_report(rig->checks);
    cr_expect_eq(rig_ask(rig, "healthy.removed"), 1);
    rig_free(rig);
}

Test(check_converge, node_that_no_way_leads_to_may_be_lost) {
    struct scenario scenario = rig_scenario(TOPOLOGY_LINE, 3);
    struct rig *rig = rig_of(&scenario, NULL, NULL);
    rig_begin(rig);
    (void)net_begin_between(world_net(rig->world), NET_SILENCE, 1, 2, world_now(rig->world));
    lose(rig, 0, 2);
    checks_report(rig->checks);
    cr_expect_eq(rig_ask(rig, "healthy.removed"), 0);
    rig_free(rig);
}

Test(check_converge, faulty_node_is_counted_once_a_change) {
    struct rig *rig = rig_ring(6, NULL, &crash);
    rig_run(rig, 10 * NS_PER_S);
    checks_report(rig->checks);
    cr_expect_eq(rig_ask(rig, "faulty.changes.count"), 1);
    cr_expect_eq(rig_ask(rig, "faulty.changes.max"), 1, "gone, as the first healthy node saw it");
    cr_expect_gt(rig_ask(rig, "faulty.settled.max"), 0);
    cr_expect_lt(rig_ask(rig, "faulty.settled.max"), (int64_t)NS_PER_S);
    cr_expect_eq(rig_ask(rig, "healthy.removed"), 0);
    rig_free(rig);
}

/* ---- traffic ---- */

Test(check_traffic, computations_and_records_elsewhere_are_timed) {
    struct rig *rig = rig_ring(6, NULL, &crash);
    rig_run(rig, 10 * NS_PER_S);
    checks_report(rig->checks);
    cr_expect_eq(rig_ask(rig, "computations.rate.count"), 5);
    cr_expect_gt(rig_ask(rig, "computations.rate.min"), 0);
    cr_expect_lt(rig_ask(rig, "computations.rate.max"), 2000000);
    cr_expect_gt(rig_ask(rig, "record.rate.mean"), 0);
    cr_expect_gt(rig_ask(rig, "computations.gap.count"), 0);
    cr_expect_gt(rig_ask(rig, "traffic.seed_bytes"), 0);
    cr_expect_gt(rig_ask(rig, "traffic.peak_frame"), 100);
    rig_free(rig);
}

Test(check_traffic, report_is_written_once) {
    struct rig *rig = rig_ring(6, NULL, &crash);
    rig_run(rig, 5 * NS_PER_S);
    checks_report(rig->checks);
    checks_report(rig->checks);
    cr_expect_eq(rig_ask(rig, "traffic.node_mean.count"), 6);
    rig_free(rig);
}

/* ---- oracle ---- */

Test(oracle, paths_are_those_of_bellman_and_ford) {
    struct scenario scenario = rig_scenario(TOPOLOGY_GRID, 25);
    struct rig *rig = rig_of(&scenario, NULL, NULL);
    rig_begin(rig);
    struct oracle *oracle = &rig->checks->oracle;
    oracle_look(oracle);
    for (uint32_t source = 0; source < 25; source += 6) {
        uint64_t best[25];
        memset(best, 0xff, sizeof best);
        best[source] = 0;
        for (int round = 0; round < 25; round++) {
            for (uint32_t u = 0; u < 25; u++) {
                for (uint32_t i = oracle->rows[u]; i < oracle->rows[u + 1]; i++) {
                    uint32_t to = oracle->arcs[i].to;
                    uint64_t over = best[u] + oracle->arcs[i].cost_us;
                    best[to] = best[u] != UINT64_MAX && over < best[to] ? over : best[to];
                }
            }
        }
        cr_expect_arr_eq(oracle_paths(oracle, source), best, sizeof best);
    }
    rig_free(rig);
}

Test(oracle, parts_follow_a_partition) {
    struct rig *rig = rig_ring(6, NULL, NULL);
    bool is_in[6] = {true, true, true};
    (void)net_begin_around(world_net(rig->world), NET_CUT, is_in, true, world_now(rig->world));
    rig_run(rig, 5 * NS_PER_S);
    struct oracle *oracle = &rig->checks->oracle;
    oracle_look(oracle);
    cr_expect_eq(oracle->parts[2], 0);
    cr_expect_eq(oracle->parts[5], 3);
    cr_expect_eq(oracle->sizes[0], 3);
    cr_expect_eq(oracle_paths(oracle, 0)[4], ORACLE_UNREACHED);
    cr_expect(converge_is_right(rig->checks), "each side is right about itself");
    cr_expect_not(checks_is_settled(rig->checks), "but not everybody reaches everybody");
    rig_free(rig);
}

Test(seen, remembers_as_a_plain_list_does) {
    struct seen seen;
    uint64_t values[500] = {0};
    struct rng rng;
    const uint8_t seed[32] = {9};
    rng_init(&rng, seed);
    seen_init(&seen, WEFT_NEVER, SIZE_MAX);
    for (uint32_t i = 0; i < 5000; i++) {
        uint64_t key = rng_below(&rng, 500);
        bool is_new = false;
        struct seen_entry *entry = seen_add(&seen, key * 64, 0, &is_new);
        cr_assert_eq(is_new, values[key] == 0);
        cr_assert_eq(entry->a, key == 0 && is_new ? 0 : values[key]);
        entry->a = i + 1;
        values[key] = i + 1;
    }
    cr_expect_null(seen_find(&seen, 500 * 64));
    seen_fini(&seen);
}

Test(seen, forgets_only_after_two_turns) {
    struct seen seen;
    bool is_new = false;
    seen_init(&seen, NS_PER_S, SIZE_MAX);
    (void)seen_add(&seen, 7, 0, &is_new);
    (void)seen_add(&seen, 8, 2 * NS_PER_S, &is_new);
    cr_expect_not_null(seen_find(&seen, 7));
    (void)seen_add(&seen, 9, 4 * NS_PER_S, &is_new);
    cr_expect_null(seen_find(&seen, 7));
    cr_expect_not_null(seen_find(&seen, 8));
    seen_fini(&seen);
}

Test(seen, turns_when_it_is_full) {
    struct seen seen;
    bool is_new = false;
    seen_init(&seen, WEFT_NEVER, 10);
    for (uint64_t key = 1; key <= 21; key++) {
        (void)seen_add(&seen, key, 0, &is_new);
    }
    cr_expect_null(seen_find(&seen, 10));
    cr_expect_not_null(seen_find(&seen, 11));
    seen_fini(&seen);
}

Test(seen, hash_depends_on_every_byte_and_the_length) {
    uint8_t bytes[33] = {0};
    uint64_t plain = seen_hash(1, bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] ^= 1;
        cr_expect_neq(seen_hash(1, bytes, sizeof bytes), plain, "byte %zu", i);
        bytes[i] ^= 1;
    }
    cr_expect_neq(seen_hash(1, bytes, 32), plain);
    cr_expect_neq(seen_hash(2, bytes, sizeof bytes), plain);
}
