/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "sim/load_parts.h"

#define NODES_MAX 24
#define FORMED (20 * NS_PER_S)
#define KIB ((uint64_t)1024)

/* A small mesh that has formed, with one load that begins at t=0. */
struct stage {
    struct scenario scenario;
    struct scenario_load load;
    struct scenario_fault fault;
    struct world *world;
    struct load *loads;
};

static struct scenario scenario_of(uint32_t nodes) {
    return (struct scenario){
        .name = "test",
        .nodes = nodes,
        .topology = {.kind = TOPOLOGY_RING},
        .has_discovery = true,
        .degree = 4,
        .heartbeat_ns = NS_PER_S,
        .hold_ns = 60 * NS_PER_S,
        .fade_ns = 600 * NS_PER_S,
        .link = {.delay_ns = {5 * NS_PER_MS, 10 * NS_PER_MS},
                 .rate = 10 * KIB * KIB,
                 .buffer = 256 * KIB},
        .form_within_ns = FORMED,
        .run_ns = 60 * NS_PER_S,
    };
}

/* Forms the mesh; `load` may be NULL. */
static struct stage *stage_new(uint32_t nodes, const struct scenario_load *load) {
    struct stage *stage = must(calloc(1, sizeof(*stage)));
    struct scenario_error error = {.text = ""};
    stage->scenario = scenario_of(nodes);
    if (load != NULL) {
        stage->load = *load;
        stage->scenario.loads = &stage->load;
        stage->scenario.load_count = 1;
    }
    const struct world_options options = {
        .scenario = &stage->scenario, .seed = 7, .is_sharing = true};
    stage->world = world_new(&options, &error);
    cr_assert_not_null(stage->world, "%s", error.text);
    stage->loads = load_new(stage->world);
    world_run(stage->world, FORMED);
    return stage;
}

/* A fault in the plan makes the load look out for what is cut unseen; nobody begins it here. */
static struct stage *stage_with_faults(uint32_t nodes, const struct scenario_load *load) {
    struct stage *stage = stage_new(nodes, load);
    stage->fault = (struct scenario_fault){.kind = FAULT_PARTITION, .count = 1};
    stage->scenario.faults = &stage->fault;
    stage->scenario.fault_count = 1;
    stage->loads->truth.has_faults = true;
    return stage;
}

static void stage_free(struct stage *stage) {
    load_free(stage->loads);
    world_free(stage->world);
    free(stage);
}

static void run(struct stage *stage, weft_ns span) {
    world_run(stage->world, time_after(world_now(stage->world), span));
}

static int64_t ask(const struct stage *stage, const char *question) {
    int64_t value = -1;
    enum metric_unit unit = UNIT_COUNT;
    cr_assert(metrics_ask(world_metrics(stage->world), question, &value, &unit), "%s", question);
    return value;
}

static void expect_no_breach(const struct stage *stage) {
    const char *invariant = "";
    const char *detail = "";
    cr_assert_not(load_breach(stage->loads, &invariant, &detail), "%s: %s", invariant, detail);
}

static const char *breach_of(const struct stage *stage) {
    const char *invariant = "none";
    const char *detail = "";
    (void)load_breach(stage->loads, &invariant, &detail);
    return invariant;
}

static const struct scenario_pick everybody = {.kind = PICK_ALL};

static uint32_t list_zero[] = {0};
static uint32_t list_one[] = {1};
static const struct scenario_pick node_zero = {
    .kind = PICK_LIST, .list = list_zero, .list_count = 1};
static const struct scenario_pick node_one = {.kind = PICK_LIST, .list = list_one, .list_count = 1};

static struct scenario_load messages(enum load_kind kind, uint64_t count, uint64_t every_ns) {
    return (struct scenario_load){.kind = kind,
                                  .who = everybody,
                                  .to = everybody,
                                  .count = count,
                                  .every_ns = every_ns,
                                  .bytes = {100, 2000}};
}

static struct scenario_load stream_load(enum stream_shape shape, uint64_t bytes, uint64_t count) {
    return (struct scenario_load){.kind = LOAD_STREAMS,
                                  .who = everybody,
                                  .to = everybody,
                                  .shape = shape,
                                  .count = count,
                                  .streams = 1,
                                  .bytes = {bytes, bytes}};
}

/* --- messages --- */

Test(sim_load, every_broadcast_reaches_every_node_once) {
    const struct scenario_load load = messages(LOAD_BROADCAST, 3, NS_PER_S);
    struct stage *stage = stage_new(12, &load);
    load_begin(stage->loads);
    run(stage, 20 * NS_PER_S);
    load_report(stage->loads);
    expect_no_breach(stage);
    cr_expect_eq(ask(stage, "broadcast.sent"), 36);
    cr_expect_eq(ask(stage, "broadcast.delivered"), 36 * 11);
    cr_expect_eq(ask(stage, "broadcast.missed"), 0);
    cr_expect_eq(ask(stage, "broadcast.first.reached"), 1000000);
    cr_expect_eq(ask(stage, "broadcast.complete.count"), 36);
    cr_expect_geq(ask(stage, "broadcast.latency.min"), (int64_t)(5 * NS_PER_MS));
    cr_expect_lt(ask(stage, "broadcast.latency.max"), (int64_t)NS_PER_S);
    cr_expect_geq(ask(stage, "broadcast.hops.min"), 1);
    cr_expect_gt(ask(stage, "broadcast.hops.max"), 1);
    stage_free(stage);
}

Test(sim_load, broadcasts_without_an_interval_are_sent_at_once) {
    const struct scenario_load load = messages(LOAD_BROADCAST, 1, 0);
    struct stage *stage = stage_new(10, &load);
    load_begin(stage->loads);
    run(stage, 0);
    cr_expect_eq(ask(stage, "broadcast.sent"), 10);
    run(stage, 10 * NS_PER_S);
    load_report(stage->loads);
    cr_expect_eq(ask(stage, "broadcast.delivered"), 90);
    stage_free(stage);
}

Test(sim_load, a_broadcast_that_a_connected_node_never_gets_is_missed) {
    struct stage *stage = stage_new(8, NULL);
    load_begin(stage->loads);
    core_channel_close(world_core(stage->world, 3), LOAD_CHANNEL); /* its application is deaf */
    message_broadcast(stage->loads, &stage->loads->nodes[0], 100);
    world_pump(stage->world, 0);
    run(stage, 10 * NS_PER_S);
    load_report(stage->loads);
    expect_no_breach(stage);
    cr_expect_eq(ask(stage, "broadcast.missed"), 1);
    cr_expect_eq(ask(stage, "broadcast.complete.count"), 0);
    cr_expect_eq(ask(stage, "broadcast.first.reached"), 6 * 1000000 / 7);
    cr_expect_eq(ask(stage, "broadcast.whole.count"), 0);
    stage_free(stage);
}

Test(sim_load, all_are_reached_again_from_the_first_broadcast_that_nobody_misses) {
    struct stage *stage = stage_new(8, NULL);
    load_begin(stage->loads);
    core_channel_close(world_core(stage->world, 3), LOAD_CHANNEL);
    message_broadcast(stage->loads, &stage->loads->nodes[0], 100);
    world_pump(stage->world, 0);
    run(stage, 2 * NS_PER_S);
    messages_node_started(stage->loads, &stage->loads->nodes[3], world_core(stage->world, 3));
    for (int i = 0; i < 2; i++) {
        message_broadcast(stage->loads, &stage->loads->nodes[0], 100);
        world_pump(stage->world, 0);
        run(stage, 2 * NS_PER_S);
    }
    load_report(stage->loads);
    expect_no_breach(stage);
    cr_expect_eq(ask(stage, "broadcast.first.reached"), 6 * 1000000 / 7);
    cr_expect_eq(ask(stage, "broadcast.whole.count"), 1);
    cr_expect_gt(ask(stage, "broadcast.whole.max"), (int64_t)(2 * NS_PER_S));
    cr_expect_lt(ask(stage, "broadcast.whole.max"), (int64_t)(3 * NS_PER_S));
    stage_free(stage);
}

Test(sim_load, nothing_is_owed_to_a_node_that_went_or_was_cut_off) {
    struct stage *stage = stage_with_faults(8, NULL);
    bool side[NODES_MAX] = {[5] = true};
    load_begin(stage->loads);
    world_crash(stage->world, 3, WORLD_CRASH_KEEP, true);
    uint64_t cut =
        net_begin_around(world_net(stage->world), NET_SILENCE, side, true, world_now(stage->world));
    message_broadcast(stage->loads, &stage->loads->nodes[0], 100);
    world_pump(stage->world, 0);
    run(stage, 10 * NS_PER_S);
    cr_expect_eq(ask(stage, "broadcast.delivered"), 5);
    net_end(world_net(stage->world), cut, world_now(stage->world));
    run(stage, 30 * NS_PER_S);
    load_report(stage->loads);
    expect_no_breach(stage);
    cr_expect_eq(ask(stage, "broadcast.missed"), 0);
    stage_free(stage);
}

Test(sim_load, a_second_delivery_of_a_broadcast_is_a_breach) {
    struct stage *stage = stage_new(6, NULL);
    uint8_t payload[64];
    struct load_node *origin = &stage->loads->nodes[0];
    load_begin(stage->loads);
    message_broadcast(stage->loads, origin, sizeof(payload));
    world_pump(stage->world, 0);
    run(stage, NS_PER_S);
    /* The same message under a new number of the protocol's: to the application it is a repeat. */
    struct broadcast *sent = &stage->loads->messages.broadcasts[1];
    struct wire_writer writer = wire_writer_of(payload, sizeof(payload));
    wire_write_u32(&writer, 0x57534d31U);
    wire_write_u32(&writer, 1);
    wire_write_u32(&writer, 0);
    wire_write_u32(&writer, 0);
    wire_write_u64(&writer, sent->serial);
    wire_write_u64(&writer, sent->sent_at);
    load_fill(sent->serial ^ sent->sent_at, 0, payload + 32, 32);
    expect_no_breach(stage);
    cr_assert_eq(core_channel_broadcast(world_core(stage->world, 0), LOAD_CHANNEL,
                                        span_of(payload, sizeof(payload)),
                                        world_node_now(stage->world, 0)),
                 WEFT_OK);
    world_pump(stage->world, 0);
    run(stage, NS_PER_S);
    cr_expect_str_eq(breach_of(stage), "each broadcast is delivered at most once");
    stage_free(stage);
}

Test(sim_load, a_message_that_nobody_sent_is_a_breach) {
    struct stage *stage = stage_new(6, NULL);
    static const uint8_t bytes[40] = {1, 2, 3};
    load_begin(stage->loads);
    cr_assert_eq(core_channel_unicast(world_core(stage->world, 0), LOAD_CHANNEL,
                                      world_id(stage->world, 4), span_of(bytes, sizeof(bytes)),
                                      world_node_now(stage->world, 0)),
                 WEFT_OK);
    world_pump(stage->world, 0);
    run(stage, NS_PER_S);
    cr_expect_str_eq(breach_of(stage), "nothing is delivered that was not sent");
    stage_free(stage);
}

Test(sim_load, a_second_delivery_of_a_unicast_is_a_breach) {
    struct scenario_load load = messages(LOAD_UNICAST, 1, 0);
    load.who = node_zero;
    load.to = node_one;
    struct stage *stage = stage_new(4, &load);
    load_begin(stage->loads);
    run(stage, NS_PER_S);
    cr_assert_eq(ask(stage, "unicast.arrived"), 1);
    struct load_node *sender = &stage->loads->nodes[0];
    sender->number--; /* the next one says that it is the last one again */
    message_unicast(stage->loads, sender, 1, 100);
    sender->unicasts[1].has_arrived = true;
    world_pump(stage->world, 0);
    run(stage, NS_PER_S);
    cr_expect_str_eq(breach_of(stage), "each unicast is delivered at most once");
    stage_free(stage);
}

Test(sim_load, every_unicast_arrives_in_a_mesh_at_peace) {
    const struct scenario_load load = messages(LOAD_UNICAST, 0, 200 * NS_PER_MS);
    struct stage *stage = stage_new(10, &load);
    load_begin(stage->loads);
    run(stage, 10 * NS_PER_S);
    load_end(stage->loads);
    run(stage, 10 * NS_PER_S);
    load_report(stage->loads);
    expect_no_breach(stage);
    cr_expect_geq(ask(stage, "unicast.sent"), 490);
    cr_expect_eq(ask(stage, "unicast.arrived"), ask(stage, "unicast.sent"));
    cr_expect_eq(ask(stage, "unicast.lost"), 0);
    cr_expect_eq(ask(stage, "unicast.arrived_share"), 1000000);
    stage_free(stage);
}

Test(sim_load, a_unicast_to_a_deaf_node_is_lost_and_counts_against_the_mesh) {
    struct scenario_load load = messages(LOAD_UNICAST, 4, NS_PER_S);
    load.who = node_zero;
    load.to = node_one;
    struct stage *stage = stage_new(5, &load);
    load_begin(stage->loads);
    core_channel_close(world_core(stage->world, 1), LOAD_CHANNEL);
    run(stage, 20 * NS_PER_S);
    load_report(stage->loads);
    cr_expect_eq(ask(stage, "unicast.lost"), 4);
    cr_expect_eq(ask(stage, "unicast.arrived_share"), 0);
    stage_free(stage);
}

/* --- services --- */

Test(sim_load, changes_of_services_come_to_know_of_all) {
    struct scenario_load load = messages(LOAD_SERVICES, 3, 500 * NS_PER_MS);
    load.is_before_form = true;
    struct stage *stage = stage_new(8, &load);
    struct core_status status;
    core_get_status(world_core(stage->world, 2), &status);
    cr_expect_eq(status.services, 24, "all were there before t=0");
    load_begin(stage->loads);
    run(stage, 10 * NS_PER_S);
    load_end(stage->loads);
    run(stage, 15 * NS_PER_S);
    load_report(stage->loads);
    expect_no_breach(stage);
    cr_expect_geq(ask(stage, "service.changes"), 150);
    cr_expect_eq(ask(stage, "service.latency.count") + ask(stage, "service.superseded"),
                 ask(stage, "service.changes"));
    cr_expect_eq(ask(stage, "service.stale"), 0);
    cr_expect_gt(ask(stage, "service.latency.min"), 0);
    cr_expect_lt(ask(stage, "service.latency.p99"), (int64_t)NS_PER_S);
    stage_free(stage);
}

Test(sim_load, services_that_are_not_there_before_begin_with_their_load) {
    struct scenario_load load = messages(LOAD_SERVICES, 2, 0);
    load.at_ns = 2 * NS_PER_S;
    struct stage *stage = stage_new(6, &load);
    struct core_status status;
    load_begin(stage->loads);
    run(stage, NS_PER_S);
    core_get_status(world_core(stage->world, 2), &status);
    cr_expect_eq(status.services, 0);
    run(stage, 5 * NS_PER_S);
    core_get_status(world_core(stage->world, 2), &status);
    cr_expect_eq(status.services, 12);
    cr_expect_eq(ask(stage, "service.changes"), 12);
    cr_expect_eq(ask(stage, "service.latency.count"), 12);
    stage_free(stage);
}

Test(sim_load, a_change_that_did_not_reach_a_connected_node_is_stale) {
    struct scenario_load load = messages(LOAD_SERVICES, 1, 0);
    load.who = node_zero;
    load.is_before_form = true;
    struct stage *stage = stage_new(6, &load);
    struct rng rng;
    load_begin(stage->loads);
    world_rng(stage->world, "test", &rng);
    services_change(stage->loads, 0, &rng); /* never pumped: nobody is told */
    cr_expect_eq(stage->loads->services.all[0].owed.count, 5);
    stage->loads->services.all[0].changed_at -= 11 * NS_PER_S;
    load_report(stage->loads);
    cr_expect_eq(ask(stage, "service.stale"), 5);
    stage_free(stage);
}

/* --- streams --- */

static void expect_all_done(enum stream_shape shape, uint64_t bytes) {
    const struct scenario_load load = stream_load(shape, bytes, 3);
    struct stage *stage = stage_new(8, &load);
    load_begin(stage->loads);
    run(stage, 40 * NS_PER_S);
    load_end(stage->loads);
    run(stage, 10 * NS_PER_S);
    load_report(stage->loads);
    expect_no_breach(stage);
    cr_expect_eq(ask(stage, "stream.opened"), 24, "shape %d", (int)shape);
    cr_expect_eq(ask(stage, "stream.done"), 24, "shape %d", (int)shape);
    cr_expect_eq(ask(stage, "stream.failed"), 0, "shape %d", (int)shape);
    cr_expect_eq(ask(stage, "stream.open_time.count"), 24, "shape %d", (int)shape);
    cr_expect_geq(ask(stage, "stream.bytes"), (int64_t)(24 * bytes), "shape %d", (int)shape);
    cr_expect_eq(load_unfinished(stage->loads), 0, "shape %d", (int)shape);
    stage_free(stage);
}

Test(sim_load, uploads_arrive_whole) {
    expect_all_done(SHAPE_UPLOAD, 300 * KIB);
}

Test(sim_load, downloads_arrive_whole) {
    expect_all_done(SHAPE_DOWNLOAD, 300 * KIB);
}

Test(sim_load, echoes_come_back_whole) {
    expect_all_done(SHAPE_ECHO, 300 * KIB);
}

Test(sim_load, streams_without_a_byte_of_content_end_well) {
    expect_all_done(SHAPE_UPLOAD, 0);
    expect_all_done(SHAPE_DOWNLOAD, 0);
    expect_all_done(SHAPE_ECHO, 1);
}

Test(sim_load, pings_are_timed_until_the_load_ends) {
    struct scenario_load load = stream_load(SHAPE_PING, 64, 0);
    load.every_ns = 200 * NS_PER_MS;
    struct stage *stage = stage_new(6, &load);
    load_begin(stage->loads);
    run(stage, 10 * NS_PER_S);
    load_end(stage->loads);
    run(stage, 5 * NS_PER_S);
    load_report(stage->loads);
    expect_no_breach(stage);
    cr_expect_geq(ask(stage, "ping.latency.count"), 6 * 40);
    cr_expect_geq(ask(stage, "ping.latency.min"), (int64_t)(10 * NS_PER_MS));
    cr_expect_eq(ask(stage, "stream.done"), 6);
    cr_expect_eq(load_unfinished(stage->loads), 0);
    stage_free(stage);
}

Test(sim_load, bulk_flows_run_until_told_and_share_fairly) {
    struct scenario_load load = stream_load(SHAPE_BULK, 0, 0);
    load.who = node_zero;
    load.to = node_one;
    load.streams = 4;
    load.until_ns = 15 * NS_PER_S;
    load.rate_after_ns = 5 * NS_PER_S;
    struct stage *stage = stage_new(4, &load);
    load_begin(stage->loads);
    run(stage, 30 * NS_PER_S);
    load_end(stage->loads);
    load_report(stage->loads);
    expect_no_breach(stage);
    cr_expect_eq(ask(stage, "stream.done"), 4);
    cr_expect_gt(ask(stage, "stream.bytes"), (int64_t)(50 * KIB * KIB));
    cr_expect_gt(ask(stage, "fairness"), 950000);
    cr_expect_leq(ask(stage, "fairness"), 1000000);
    /* All four together have the link of 10 MiB/s, less headers. */
    cr_expect_eq(ask(stage, "stream.rate_after.count"), 4);
    cr_expect_gt(ask(stage, "stream.rate_after.sum"), (int64_t)(9 * KIB * KIB));
    cr_expect_leq(ask(stage, "stream.rate_after.sum"), (int64_t)(10 * KIB * KIB));
    stage_free(stage);
}

/* A stream of 1 MiB from node 0 to node 1 that is under way. */
static struct stage *stage_midway(void) {
    struct scenario_load load = stream_load(SHAPE_UPLOAD, 8 * KIB * KIB, 1);
    load.who = node_zero;
    load.to = node_one;
    struct stage *stage = stage_with_faults(6, &load);
    load_begin(stage->loads);
    run(stage, 300 * NS_PER_MS);
    const struct flow *flow = stage->loads->flows.first;
    cr_assert_not_null(flow);
    cr_assert_gt(flow->ends[FLOW_SERVER]->read, 1000);
    cr_assert_lt(flow->ends[FLOW_SERVER]->read, 7 * KIB * KIB);
    expect_no_breach(stage);
    return stage;
}

Test(sim_load, bytes_that_the_load_did_not_write_are_a_breach) {
    struct stage *stage = stage_midway();
    struct flow *flow = stage->loads->flows.first;
    struct streams *streams = core_streams(world_core(stage->world, 1));
    /* The server has nothing to say yet; the client's buffer is full. */
    cr_assert_eq(streams_write(streams, flow->ends[FLOW_SERVER]->stream, span_of("alien!", 6),
                               world_node_now(stage->world, 1)),
                 6);
    world_pump(stage->world, 1);
    run(stage, 10 * NS_PER_S);
    cr_expect_str_eq(breach_of(stage), "stream bytes delivered are a prefix of those written");
    stage_free(stage);
}

Test(sim_load, bytes_at_another_offset_than_written_are_a_breach) {
    struct stage *stage = stage_midway();
    stage->loads->flows.first->ends[FLOW_SERVER]->read++; /* as if one had been left out */
    run(stage, 10 * NS_PER_S);
    cr_expect_str_eq(breach_of(stage), "stream bytes delivered are a prefix of those written");
    stage_free(stage);
}

Test(sim_load, more_bytes_than_were_written_are_a_breach) {
    struct stage *stage = stage_midway();
    stage->loads->flows.first->written[FLOW_CLIENT] = 1;
    run(stage, 10 * NS_PER_S);
    cr_expect_str_eq(breach_of(stage), "stream bytes delivered are a prefix of those written");
    stage_free(stage);
}

Test(sim_load, an_end_before_the_writer_ended_is_a_breach) {
    struct stage *stage = stage_midway();
    struct flow *flow = stage->loads->flows.first;
    streams_finish(core_streams(world_core(stage->world, 0)), flow->ends[FLOW_CLIENT]->stream,
                   world_node_now(stage->world, 0));
    world_pump(stage->world, 0);
    run(stage, 10 * NS_PER_S);
    cr_expect_str_eq(breach_of(stage), "a stream ends where its writer ended it");
    stage_free(stage);
}

Test(sim_load, a_reset_without_cause_is_a_breach) {
    struct stage *stage = stage_midway();
    struct flow *flow = stage->loads->flows.first;
    core_stream_reset(world_core(stage->world, 0), flow->ends[FLOW_CLIENT]->stream,
                      WIRE_RESET_APPLICATION, world_node_now(stage->world, 0));
    world_pump(stage->world, 0);
    run(stage, 5 * NS_PER_S);
    cr_expect_str_eq(breach_of(stage),
                     "a stream is not reset while both ends live and a path exists");
    stage_free(stage);
}

Test(sim_load, a_reset_because_an_end_restarted_is_honest) {
    struct stage *stage = stage_midway();
    world_crash(stage->world, 1, WORLD_CRASH_KEEP, true);
    run(stage, NS_PER_S);
    world_start(stage->world, 1);
    run(stage, 100 * NS_PER_S);
    load_report(stage->loads);
    expect_no_breach(stage);
    cr_expect_eq(ask(stage, "stream.failed"), 1);
    cr_expect_eq(load_unfinished(stage->loads), 0);
    stage_free(stage);
}

Test(sim_load, a_reset_after_the_hold_time_without_a_path_is_honest) {
    struct stage *stage = stage_midway();
    bool side[NODES_MAX] = {[1] = true};
    (void)net_begin_around(world_net(stage->world), NET_SILENCE, side, true,
                           world_now(stage->world));
    run(stage, 30 * NS_PER_S);
    cr_expect_eq(load_unfinished(stage->loads), 1, "it waits for a path");
    run(stage, 60 * NS_PER_S);
    expect_no_breach(stage);
    load_report(stage->loads);
    cr_expect_eq(ask(stage, "stream.failed"), 1);
    stage_free(stage);
}

Test(sim_load, a_stream_goes_on_after_a_partition_is_healed) {
    struct stage *stage = stage_midway();
    bool side[NODES_MAX] = {[1] = true};
    uint64_t cut =
        net_begin_around(world_net(stage->world), NET_SILENCE, side, true, world_now(stage->world));
    run(stage, 15 * NS_PER_S);
    net_end(world_net(stage->world), cut, world_now(stage->world));
    run(stage, 40 * NS_PER_S);
    expect_no_breach(stage);
    load_report(stage->loads);
    cr_expect_eq(ask(stage, "stream.done"), 1);
    cr_expect_geq(ask(stage, "stream.stall.max"), (int64_t)(10 * NS_PER_S));
    stage_free(stage);
}

/* --- the whole --- */

Test(sim_load, the_same_seed_does_the_same) {
    uint64_t hashes[2];
    for (unsigned i = 0; i < 2; i++) {
        const struct scenario_load load = stream_load(SHAPE_ECHO, 100 * KIB, 0);
        struct stage *stage = stage_new(6, &load);
        load_begin(stage->loads);
        run(stage, 5 * NS_PER_S);
        hashes[i] = world_trace_hash(stage->world);
        stage_free(stage);
    }
    cr_expect_eq(hashes[0], hashes[1]);
}

Test(sim_load, content_is_the_same_however_it_is_cut) {
    uint8_t whole[100];
    uint8_t cut[100];
    load_fill(42, 1000, whole, sizeof(whole));
    for (size_t at = 0; at < sizeof(cut); at++) {
        load_fill(42, 1000 + at, cut + at, 1);
    }
    cr_expect_eq(memcmp(whole, cut, sizeof(whole)), 0);
    load_fill(43, 1000, cut, sizeof(cut));
    cr_expect_neq(memcmp(whole, cut, sizeof(whole)), 0, "another stream, other bytes");
}
