/* SPDX-License-Identifier: Apache-2.0
 *
 * Invariants in tiny worlds: they hold in a sound one, and each can fail: watches are fed forged
 * events, states at rest are looked at while something is wrong.
 */
#include "checked.h"

/* ---- what is sound ---- */

Test(check, sound_mesh_breaks_nothing) {
    struct rig *rig = rig_ring(8, NULL, NULL);
    rig_run(rig, 60 * NS_PER_S);
    checks_at_rest(rig->checks);
    rig_expect_whole(rig);
    const enum check_id looked_at[] = {
        CHECK_ORIGIN,       CHECK_LOAD,          CHECK_VERSIONS,   CHECK_BOUNDS,
        CHECK_FOREIGN,      CHECK_REST_TOPOLOGY, CHECK_REST_LINKS, CHECK_REST_PATHS,
        CHECK_REST_RECORDS, CHECK_REST_STREAMS,  CHECK_REST_QUIET,
    };
    for (size_t i = 0; i < sizeof looked_at / sizeof *looked_at; i++) {
        const struct check_result *result = rig_result(rig, looked_at[i]);
        cr_expect(result->checked > 0, "%s was never looked at", result->name);
    }
    cr_expect_gt(rig_ask(rig, "form.view.max"), 0);
    cr_expect_geq(rig_ask(rig, "form.time.max"), rig_ask(rig, "form.view.max"));
    cr_expect_gt(rig_ask(rig, "traffic.node_rate.mean"), 0);
    cr_expect_eq(rig_ask(rig, "false_downs"), 0);
    rig_free(rig);
}

Test(check, sound_messages_and_streams_break_nothing) {
    const struct scenario_load streams = {.kind = LOAD_STREAMS,
                                          .shape = SHAPE_ECHO,
                                          .bytes = {1000, 50000},
                                          .streams = 2,
                                          .until_ns = 20 * NS_PER_S};
    struct rig *rig = rig_ring(8, &streams, NULL);
    rig_run(rig, 30 * NS_PER_S);
    load_end(rig->loads);
    rig_run(rig, 60 * NS_PER_S);
    checks_at_rest(rig->checks);
    rig_expect_whole(rig);
    cr_expect_gt(rig_result(rig, CHECK_NUMBERS)->checked, 1000U);
    cr_expect_gt(rig_result(rig, CHECK_HOPS)->checked, 1000U);
    cr_expect_gt(rig_ask(rig, "traffic.bytes.carrier"), 100000);
    rig_free(rig);
}

Test(check, settled_means_all_there_and_agreed) {
    struct scenario scenario = rig_scenario(TOPOLOGY_RING, 6);
    struct rig *rig = rig_of(&scenario, NULL, NULL);
    rig_run(rig, NS_PER_MS);
    cr_expect_not(checks_is_settled(rig->checks));
    rig_begin(rig);
    world_crash(rig->world, 2, WORLD_CRASH_KEEP, true);
    cr_expect_not(checks_is_settled(rig->checks), "the others do not know yet");
    rig_run(rig, 5 * NS_PER_S);
    cr_expect(checks_is_settled(rig->checks));
    rig_free(rig);
}

/* ---- records ---- */

static struct record *record_of(const struct rig *rig, uint32_t owner, uint64_t version) {
    struct record *record = NULL;
    uint8_t bytes[200];
    struct wire_writer writer = wire_writer_of(bytes, sizeof bytes);
    const struct wire_endpoint endpoint = {
        .address = span_of_text("127.0.0.1:80"), .health = WIRE_HEALTH_GOOD, .weight = 1};
    wire_service_body_encode(&writer, WIRE_PROTOCOL_TCP, &endpoint, 1);
    const struct wire_record fields = {.kind = WIRE_RECORD_SERVICE,
                                       .key = span_of_text("default/web"),
                                       .owner = world_identity(rig->world, owner)->key,
                                       .incarnation = 1,
                                       .version = version,
                                       .body = wire_writer_view(&writer)};
    cr_assert_eq(record_sign(world_identity(rig->world, owner), &fields, &record), WEFT_OK);
    return record;
}

/* As if its owner had put it on a link. */
static void send_record(struct rig *rig, uint32_t owner, const struct record *record) {
    uint8_t bytes[600];
    struct wire_writer writer = wire_writer_of(bytes, sizeof bytes);
    wire_write_u16(&writer, (uint16_t)record->encoded.len);
    wire_write_bytes(&writer, record->encoded);
    watch_records_sent(rig->checks, owner, wire_writer_view(&writer));
}

Test(check, record_that_its_owner_never_sent_is_caught) {
    struct rig *rig = rig_ring(4, NULL, NULL);
    struct record *record = record_of(rig, 1, 5);
    watch_saved(rig->checks, 2, record, false);
    rig_expect_broken(rig, CHECK_ORIGIN);
    record_unref(record);
    rig_free(rig);
}

Test(check, record_that_its_owner_sent_is_taken) {
    struct rig *rig = rig_ring(4, NULL, NULL);
    struct record *record = record_of(rig, 1, 5);
    send_record(rig, 1, record);
    watch_saved(rig->checks, 2, record, false);
    rig_expect_whole(rig);
    record_unref(record);
    rig_free(rig);
}

Test(check, version_that_goes_back_is_caught) {
    struct rig *rig = rig_ring(4, NULL, NULL);
    struct record *newer = record_of(rig, 1, 6);
    struct record *older = record_of(rig, 1, 5);
    send_record(rig, 1, older);
    send_record(rig, 1, newer);
    watch_saved(rig->checks, 2, newer, false);
    watch_saved(rig->checks, 2, newer, false);
    watch_saved(rig->checks, 3, older, false);
    rig_expect_whole(rig);
    watch_saved(rig->checks, 2, older, false);
    rig_expect_broken(rig, CHECK_VERSIONS);
    record_unref(newer);
    record_unref(older);
    rig_free(rig);
}

Test(check, owner_that_sends_an_older_version_is_caught) {
    struct rig *rig = rig_ring(4, NULL, NULL);
    struct record *newer = record_of(rig, 1, 6);
    struct record *older = record_of(rig, 1, 5);
    send_record(rig, 1, newer);
    send_record(rig, 1, older);
    rig_expect_broken(rig, CHECK_VERSIONS);
    record_unref(newer);
    record_unref(older);
    rig_free(rig);
}

Test(check, what_was_forgotten_may_begin_anew) {
    struct rig *rig = rig_ring(4, NULL, NULL);
    struct record *newer = record_of(rig, 1, 6);
    struct record *older = record_of(rig, 1, 5);
    send_record(rig, 1, older);
    send_record(rig, 1, newer);
    watch_saved(rig->checks, 2, newer, false);
    watch_saved(rig->checks, 2, newer, true);
    watch_saved(rig->checks, 2, older, false);
    rig_expect_whole(rig);
    record_unref(newer);
    record_unref(older);
    rig_free(rig);
}

/* ---- bounds, links, load ---- */

Test(check, queue_beyond_its_bound_is_caught) {
    struct rig *rig = rig_ring(4, NULL, NULL);
    const struct core_status fine = {.records = 65536, .peers_known = 3, .peers_reachable = 3};
    watch_status(rig->checks, 1, &fine);
    rig_expect_whole(rig);
    const struct core_status full = {.streams = {.sessions = 4097}};
    watch_status(rig->checks, 1, &full);
    rig_expect_broken(rig, CHECK_BOUNDS);
    rig_free(rig);
}

Test(check, foreign_key_on_a_link_is_caught) {
    struct rig *rig = rig_ring(4, NULL, NULL);
    struct core_link_view view = {.link = {.value = 9}, .peer = *world_id(rig->world, 1)};
    watch_link(rig->checks, 0, &view, 1);
    rig_expect_whole(rig);
    view.peer.bytes[3] ^= 1;
    watch_link(rig->checks, 0, &view, 1);
    rig_expect_broken(rig, CHECK_FOREIGN);
    rig_free(rig);
}

Test(check, link_that_the_network_does_not_know_is_caught) {
    struct rig *rig = rig_ring(4, NULL, NULL);
    const struct core_link_view view = {.peer = *world_id(rig->world, 1)};
    watch_link(rig->checks, 0, &view, ORACLE_NONE);
    rig_expect_broken(rig, CHECK_FOREIGN);
    rig_free(rig);
}

Test(check, breach_of_the_load_is_taken_over) {
    struct rig *rig = rig_ring(4, NULL, NULL);
    load_break(rig->loads, "bytes are as written", "node %u: offset %u differs", 1U, 7U);
    rig_run(rig, 2 * NS_PER_S);
    rig_expect_broken(rig, CHECK_LOAD);
    cr_expect_str_eq(rig_result(rig, CHECK_LOAD)->detail,
                     "bytes are as written: node 1: offset 7 differs");
    rig_free(rig);
}

Test(check, first_breach_stays_and_stops_the_world) {
    struct rig *rig = rig_ring(4, NULL, NULL);
    weft_ns at = world_now(rig->world);
    check_break(rig->checks, CHECK_BOUNDS, "node 1: expected %d, found %d, first", 1, 2);
    rig_run(rig, NS_PER_S);
    check_break(rig->checks, CHECK_BOUNDS, "node 1: expected %d, found %d, second", 1, 3);
    rig_expect_broken(rig, CHECK_BOUNDS);
    cr_expect_str_eq(rig_result(rig, CHECK_BOUNDS)->detail, "node 1: expected 1, found 2, first");
    cr_expect_eq(rig_result(rig, CHECK_BOUNDS)->at, at);
    rig_free(rig);
}

/* ---- at rest ---- */

static bool *all_core(const struct rig *rig) {
    bool *is_core = must(calloc(rig->scenario.nodes, sizeof *is_core));
    for (uint32_t i = 0; i < rig->scenario.nodes; i++) {
        is_core[i] = world_core(rig->world, i) != NULL;
    }
    return is_core;
}

Test(check_at_rest, view_with_a_dead_node_is_caught) {
    struct rig *rig = rig_ring(6, NULL, NULL);
    world_crash(rig->world, 2, WORLD_CRASH_KEEP, false);
    bool *is_core = all_core(rig);
    cr_expect_not(rest_topology(rig->checks, is_core));
    rig_expect_broken(rig, CHECK_REST_TOPOLOGY);
    free(is_core);
    rig_free(rig);
}

Test(check_at_rest, link_that_nothing_passes_is_caught) {
    struct rig *rig = rig_ring(6, NULL, NULL);
    bool *is_core = all_core(rig);
    (void)net_begin_between(world_net(rig->world), NET_SILENCE, 2, 3, world_now(rig->world));
    cr_expect(rest_topology(rig->checks, is_core), "all agree on what is wrong");
    rig_expect_broken(rig, CHECK_REST_LINKS);
    free(is_core);
    rig_free(rig);
}

Test(check_at_rest, path_that_is_not_the_shortest_is_caught) {
    struct rig *rig = rig_ring(6, NULL, NULL);
    bool *is_core = all_core(rig);
    cr_assert(rest_topology(rig->checks, is_core));
    rest_paths(rig->checks, is_core);
    rig_expect_whole(rig);
    rig->checks->oracle.arcs[0].cost_us -= 1;
    rig->checks->oracle.paths_from = ORACLE_NONE;
    rest_paths(rig->checks, is_core);
    rig_expect_broken(rig, CHECK_REST_PATHS);
    free(is_core);
    rig_free(rig);
}

Test(check_at_rest, record_that_not_all_have_is_caught) {
    struct rig *rig = rig_ring(6, NULL, NULL);
    bool *is_core = all_core(rig);
    const struct wire_endpoint endpoint = {
        .address = span_of_text("127.0.0.1:80"), .health = WIRE_HEALTH_GOOD, .weight = 1};
    const struct core_offer offer = {
        .protocol = WIRE_PROTOCOL_TCP, .endpoints = &endpoint, .endpoint_count = 1};
    cr_assert(rest_topology(rig->checks, is_core));
    rest_records(rig->checks, is_core);
    rig_expect_whole(rig);
    cr_assert_eq(
        core_offer(world_core(rig->world, 4), "default", "web", &offer, world_now(rig->world)),
        WEFT_OK);
    rest_records(rig->checks, is_core);
    rig_expect_broken(rig, CHECK_REST_RECORDS);
    free(is_core);
    rig_free(rig);
}

Test(check_at_rest, stream_that_has_not_drained_is_caught) {
    const struct scenario_load bulk = {
        .kind = LOAD_STREAMS, .shape = SHAPE_BULK, .bytes = {1000, 1000}, .streams = 1};
    struct scenario scenario = rig_scenario(TOPOLOGY_LINE, 3);
    scenario.link.rate = (uint64_t)1 << 20;
    struct rig *rig = rig_of(&scenario, &bulk, NULL);
    rig_begin(rig);
    rig_run(rig, 5 * NS_PER_S);
    cr_assert_gt(load_unfinished(rig->loads), 0);
    checks_at_rest(rig->checks);
    cr_expect(rig_result(rig, CHECK_REST_STREAMS)->is_broken);
    rig_free(rig);
}

/* Node 1 relays between the ends, or pretends to. */
static bool drains_over_a_liar(uint32_t lies) {
    uint32_t relay = 1;
    uint32_t ends[] = {0, 2};
    const struct scenario_load bulk = {
        .kind = LOAD_STREAMS,
        .shape = SHAPE_BULK,
        .bytes = {100000000, 100000000},
        .streams = 1,
        .who = {.kind = PICK_LIST, .list = &ends[0], .list_count = 1},
        .to = {.kind = PICK_LIST, .list = &ends[1], .list_count = 1}};
    const struct scenario_fault line = {
        .kind = FAULT_LIAR,
        .at_ns = 5 * NS_PER_S,
        .count = 1,
        .lies = lies,
        .who = {.kind = PICK_LIST, .list = &relay, .list_count = 1}};
    struct scenario scenario = rig_scenario(TOPOLOGY_LINE, 3);
    scenario.link.rate = (uint64_t)1 << 20;
    struct rig *rig = rig_of(&scenario, &bulk, &line);
    rig_begin(rig);
    rig_run(rig, 10 * NS_PER_S);
    cr_assert_eq(load_unfinished(rig->loads), 1);
    bool *is_core = all_core(rig);
    rest_streams(rig->checks, is_core);
    bool is_broken = rig_result(rig, CHECK_REST_STREAMS)->is_broken;
    free(is_core);
    rig_free(rig);
    return !is_broken;
}

Test(check_at_rest, stream_over_a_node_that_drops_is_not_counted_but_over_any_other) {
    cr_expect(drains_over_a_liar(LIE_DROP));
    cr_expect(!drains_over_a_liar(LIE_REORDER));
}

Test(check_at_rest, storm_that_does_not_end_is_caught) {
    struct rig *rig = rig_ring(4, NULL, NULL);
    const struct second before = {.frames = 4000, .bytes = 200000, .steps = 9000, .links = 8};
    struct second after = {.frames = 7900, .bytes = 600000, .steps = 11000, .links = 8};
    rest_quiet(rig->checks, &before, &after);
    rig_expect_whole(rig);
    after.frames = 8100;
    rest_quiet(rig->checks, &before, &after);
    rig_expect_broken(rig, CHECK_REST_QUIET);
    rig_free(rig);
}

Test(check_at_rest, more_links_may_beat_more) {
    struct rig *rig = rig_ring(4, NULL, NULL);
    const struct second before = {.frames = 4000, .bytes = 200000, .steps = 9000, .links = 8};
    const struct second after = {.frames = 15000, .bytes = 1200000, .steps = 30000, .links = 16};
    rest_quiet(rig->checks, &before, &after);
    rig_expect_whole(rig);
    rig_free(rig);
}

Test(check_at_rest, departed_node_that_is_still_reached_is_caught) {
    struct rig *rig = rig_ring(6, NULL, NULL);
    rig_run(rig, 20 * NS_PER_S);
    world_crash(rig->world, 2, WORLD_CRASH_KEEP, false);
    bool *is_core = all_core(rig);
    rest_departed(rig->checks, is_core);
    rig_expect_whole(rig);
    rig->checks->nodes[2].state_at -= 31 * NS_PER_S;
    rest_departed(rig->checks, is_core);
    rig_expect_broken(rig, CHECK_REST_DEPARTED);
    free(is_core);
    rig_free(rig);
}

/* Node 1, a neighbour of the departed node 2, tells for ever that they are linked. */
Test(check_at_rest, departed_node_that_a_forger_may_claim_is_no_breach) {
    uint32_t forger = 1;
    const struct scenario_fault line = {
        .kind = FAULT_LIAR,
        .count = 1,
        .lies = LIE_FORGE,
        .who = {.kind = PICK_LIST, .list = &forger, .list_count = 1}};
    struct rig *rig = rig_ring(6, NULL, &line);
    rig_run(rig, NS_PER_S);
    cr_assert_eq(faults_lies_of(rig->faults, 1), (uint32_t)LIE_FORGE);
    world_crash(rig->world, 2, WORLD_CRASH_KEEP, false);
    bool *is_core = all_core(rig);
    is_core[1] = false;
    rig->checks->nodes[2].state_at -= 31 * NS_PER_S;
    rest_departed(rig->checks, is_core);
    rig_expect_whole(rig);
    free(is_core);
    rig_free(rig);
}

Test(check_at_rest, record_of_a_departed_node_fades) {
    struct scenario scenario = rig_scenario(TOPOLOGY_RING, 6);
    scenario.fade_ns = 60 * NS_PER_S;
    struct rig *rig = rig_of(&scenario, NULL, NULL);
    rig_begin(rig);
    world_crash(rig->world, 2, WORLD_CRASH_KEEP, true);
    rig_run(rig, 10 * NS_PER_S);
    bool *is_core = all_core(rig);
    rest_departed(rig->checks, is_core);
    rig_expect_whole(rig);
    rig_run(rig, 160 * NS_PER_S);
    rest_departed(rig->checks, is_core);
    rig_expect_whole(rig);
    free(is_core);
    rig_free(rig);
}

Test(check_at_rest, record_of_a_departed_node_that_does_not_fade_is_caught) {
    struct rig *rig = rig_ring(6, NULL, NULL);
    world_crash(rig->world, 2, WORLD_CRASH_KEEP, true);
    rig_run(rig, 10 * NS_PER_S);
    bool *is_core = all_core(rig);
    rig->scenario.fade_ns = NS_PER_S;
    rig->checks->nodes[2].state_at = 0;
    rig_run(rig, 90 * NS_PER_S);
    rest_departed(rig->checks, is_core);
    rig_expect_broken(rig, CHECK_REST_DEPARTED);
    free(is_core);
    rig_free(rig);
}
