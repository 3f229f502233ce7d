/* SPDX-License-Identifier: Apache-2.0
 *
 * Samples, topology events and the trace file over a world that is made up here: its functions that
 * they use stand in this file.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/frame.h"
#include "base/time.h"
#include "sim/must.h"
#include "sim/series.h"
#include "sim/trace.h"

#define OBSERVERS_MAX 4

struct world {
    struct plan plan;
    struct observer observers[OBSERVERS_MAX];
    size_t observer_count;
    weft_ns now;
    enum node_state *states;
    uint64_t *digests;
};

/* A core is nothing but a place in its world's digests. */
uint64_t core_records_digest(const struct core *core) {
    uint64_t digest = 0;
    memcpy(&digest, core, sizeof(digest));
    return digest;
}

struct core *world_core(struct world *world, uint32_t node) {
    bool has_core = world->states[node] == NODE_UP || world->states[node] == NODE_PAUSED;
    return has_core ? (struct core *)(void *)&world->digests[node] : NULL;
}

void world_add_observer(struct world *world, const struct observer *observer) {
    cr_assert_lt(world->observer_count, OBSERVERS_MAX);
    world->observers[world->observer_count] = *observer;
    world->observer_count++;
}

weft_ns world_now(const struct world *world) {
    return world->now;
}

uint32_t world_node_count(const struct world *world) {
    return world->plan.node_count;
}

enum node_state world_node_state(const struct world *world, uint32_t node) {
    return world->states[node];
}

const struct plan *world_plan(const struct world *world) {
    return &world->plan;
}

static struct fault_done made_up_faults[] = {
    {.at = NS_PER_S + 2 * NS_PER_S, .until = WEFT_NEVER, .kind = FAULT_CRASH, .what = "1 node: 4"},
    {.at = NS_PER_S + 3 * NS_PER_S, .until = WEFT_NEVER, .kind = FAULT_CUT, .what = "2 paths"},
};

size_t faults_done(const struct faults *faults, const struct fault_done **out) {
    *out = made_up_faults;
    return *(const size_t *)(const void *)faults;
}

const char *fault_kind_name(enum fault_kind kind) {
    return kind == FAULT_CRASH ? "crash" : "cut";
}

static struct world *world_make(uint32_t node_count) {
    struct world *world = must(calloc(1, sizeof(*world)));
    world->plan.node_count = node_count;
    world->now = NS_PER_S;
    world->states = must(calloc(node_count, sizeof(world->states[0])));
    world->digests = must(calloc(node_count, sizeof(world->digests[0])));
    return world;
}

static void world_unmake(struct world *world) {
    free(world->plan.edges);
    free(world->states);
    free(world->digests);
    free(world);
}

static void set_state(struct world *world, uint32_t node, enum node_state state) {
    world->states[node] = state;
    for (size_t i = 0; i < world->observer_count; i++) {
        if (world->observers[i].state != NULL) {
            world->observers[i].state(world->observers[i].ctx, node, state);
        }
    }
}

/* One end of a link. */
static void set_end(struct world *world, uint32_t node, uint32_t other, bool is_up) {
    for (size_t i = 0; i < world->observer_count; i++) {
        if (world->observers[i].link != NULL) {
            world->observers[i].link(world->observers[i].ctx, node, other,
                                     (struct link_id){.value = node}, is_up);
        }
    }
}

static void set_link(struct world *world, uint32_t a, uint32_t b, bool is_up) {
    set_end(world, a, b, is_up);
    set_end(world, b, a, is_up);
}

static void send(struct world *world, uint8_t kind, uint32_t len, uint32_t payload_len) {
    struct action action = {.kind = ACTION_SEND};
    action.frame = must(frame_new(len));
    action.frame->data[0] = kind;
    action.frame->len = len;
    if (payload_len > 0) {
        action.payload = must(frame_new(payload_len));
        action.payload->len = payload_len;
    }
    for (size_t i = 0; i < world->observer_count; i++) {
        if (world->observers[i].sent != NULL) {
            world->observers[i].sent(world->observers[i].ctx, 0, 1, &action);
        }
    }
    frame_unref(action.frame);
    frame_unref(action.payload);
}

static void expect_event(const struct topology_log *log, size_t index,
                         enum topology_event_kind kind, uint32_t a, uint32_t b) {
    const struct topology_event *events = NULL;
    size_t count = topology_log_events(log, &events);
    cr_assert_lt(index, count);
    cr_assert_eq(events[index].kind, kind, "event %zu is %s", index,
                 topology_event_name(events[index].kind));
    cr_assert_eq(events[index].a, a);
    cr_assert(kind >= TOPOLOGY_NODE_UP || events[index].b == b);
}

static size_t event_count(const struct topology_log *log) {
    const struct topology_event *events = NULL;
    return topology_log_events(log, &events);
}

Test(sim_topology_log, a_link_is_up_while_both_ends_hold_one) {
    struct world *world = world_make(4);
    struct topology_log *log = topology_log_new(world);
    set_end(world, 3, 1, true);
    cr_assert_eq(event_count(log), 0);
    set_end(world, 1, 3, true);
    expect_event(log, 0, TOPOLOGY_LINK_UP, 1, 3);
    cr_assert_eq(topology_log_links_up(log), 1);
    set_end(world, 1, 3, false);
    expect_event(log, 1, TOPOLOGY_LINK_DOWN, 1, 3);
    set_end(world, 3, 1, false);
    cr_assert_eq(event_count(log), 2);
    cr_assert_eq(topology_log_links_up(log), 0);
    topology_log_free(log);
    world_unmake(world);
}

Test(sim_topology_log, two_connections_of_one_pair_are_one_link) {
    struct world *world = world_make(2);
    struct topology_log *log = topology_log_new(world);
    set_link(world, 0, 1, true);
    set_link(world, 0, 1, true);
    set_link(world, 0, 1, false);
    cr_assert_eq(event_count(log), 1);
    cr_assert_eq(topology_log_links_up(log), 1);
    set_link(world, 0, 1, false);
    expect_event(log, 1, TOPOLOGY_LINK_DOWN, 0, 1);
    topology_log_free(log);
    world_unmake(world);
}

Test(sim_topology_log, a_link_outlives_one_end_until_the_other_notices) {
    struct world *world = world_make(4);
    struct topology_log *log = topology_log_new(world);
    set_link(world, 0, 1, true);
    set_link(world, 0, 2, true);
    set_state(world, 0, NODE_DOWN);
    expect_event(log, 2, TOPOLOGY_NODE_DOWN, 0, 0);
    cr_assert_eq(topology_log_links_up(log), 2);
    set_end(world, 1, 0, false);
    expect_event(log, 3, TOPOLOGY_LINK_DOWN, 0, 1);
    set_state(world, 2, NODE_DOWN); /* nobody is left to notice */
    expect_event(log, 4, TOPOLOGY_LINK_DOWN, 0, 2);
    expect_event(log, 5, TOPOLOGY_NODE_DOWN, 2, 2);
    cr_assert_eq(event_count(log), 6);
    cr_assert_eq(topology_log_links_up(log), 0);
    topology_log_free(log);
    world_unmake(world);
}

Test(sim_topology_log, who_returns_before_that_was_never_away) {
    struct world *world = world_make(2);
    struct topology_log *log = topology_log_new(world);
    set_link(world, 0, 1, true);
    set_state(world, 0, NODE_DOWN);
    set_state(world, 0, NODE_UP);
    set_link(world, 0, 1, true); /* the new one, and only then */
    set_end(world, 1, 0, false); /* the old one goes */
    cr_assert_eq(event_count(log), 3);
    cr_assert_eq(topology_log_links_up(log), 1);
    set_end(world, 1, 0, false);
    expect_event(log, 3, TOPOLOGY_LINK_DOWN, 0, 1);
    topology_log_free(log);
    world_unmake(world);
}

Test(sim_topology_log, an_end_that_goes_unheard_of_changes_nothing) {
    struct world *world = world_make(2);
    struct topology_log *log = topology_log_new(world);
    set_end(world, 0, 1, false);
    set_end(world, 1, 0, true);
    cr_assert_eq(event_count(log), 0);
    cr_assert_eq(topology_log_links_up(log), 0);
    topology_log_free(log);
    world_unmake(world);
}

Test(sim_topology_log, times_count_from_the_worlds_start) {
    struct world *world = world_make(2);
    struct topology_log *log = topology_log_new(world);
    const struct topology_event *events = NULL;
    world->now = NS_PER_S + 250 * NS_PER_MS;
    set_state(world, 1, NODE_LEFT);
    cr_assert_eq(topology_log_events(log, &events), 1);
    cr_assert_eq(events[0].at, 250 * NS_PER_MS);
    cr_assert_eq(events[0].kind, TOPOLOGY_NODE_LEFT);
    topology_log_free(log);
    world_unmake(world);
}

/* A ring, so that a walk from node 0 goes both ways round. */
static void make_ring(struct world *world) {
    uint32_t count = world->plan.node_count;
    world->plan.edges = must(calloc(count, sizeof(world->plan.edges[0])));
    world->plan.edge_count = count;
    for (uint32_t node = 0; node < count; node++) {
        world->plan.edges[node] = (struct scenario_edge){node, (node + 1) % count};
    }
}

Test(sim_topology_log, a_large_world_is_sampled_in_one_piece) {
    struct world *world = world_make(3 * TOPOLOGY_LOG_NODES_MAX);
    const uint32_t *sample = NULL;
    make_ring(world);
    struct topology_log *log = topology_log_new(world);
    size_t count = topology_log_sample(log, &sample);
    cr_assert_eq(count, TOPOLOGY_LOG_NODES_MAX);
    bool *is_taken = must(calloc(world->plan.node_count, sizeof(is_taken[0])));
    for (size_t i = 0; i < count; i++) {
        cr_assert_not(is_taken[sample[i]]);
        is_taken[sample[i]] = true;
    }
    size_t gaps = 0; /* in a ring, one piece has one end */
    for (uint32_t node = 0; node < world->plan.node_count; node++) {
        gaps += is_taken[node] && !is_taken[(node + 1) % world->plan.node_count] ? 1 : 0;
    }
    cr_assert_eq(gaps, 1);
    set_link(world, sample[0], sample[1], true);
    expect_event(log, 0, TOPOLOGY_LINK_UP, sample[0] < sample[1] ? 0 : 1,
                 sample[0] < sample[1] ? 1 : 0);
    uint32_t outside = 0;
    while (is_taken[outside]) {
        outside++;
    }
    set_link(world, outside, outside + 1, true);
    set_link(world, sample[0], outside, true);
    set_state(world, outside, NODE_DOWN);
    cr_assert_eq(event_count(log), 1);
    cr_assert_eq(topology_log_links_up(log), 3);
    free(is_taken);
    topology_log_free(log);
    world_unmake(world);
}

Test(sim_topology_log, too_many_events_halve_the_sample) {
    struct world *world = world_make(64);
    struct topology_log *log = topology_log_new(world);
    const uint32_t *sample = NULL;
    const struct topology_event *events = NULL;
    for (size_t i = 0; i <= TOPOLOGY_LOG_EVENTS_MAX; i++) {
        set_state(world, (uint32_t)(i % 64), i / 64 % 2 == 0 ? NODE_UP : NODE_PAUSED);
    }
    cr_assert_eq(topology_log_sample(log, &sample), 32);
    size_t count = topology_log_events(log, &events);
    cr_assert_geq(count, TOPOLOGY_LOG_EVENTS_MAX / 2);
    cr_assert_leq(count, TOPOLOGY_LOG_EVENTS_MAX / 2 + 1);
    for (size_t i = 0; i < count; i++) {
        cr_assert_lt(events[i].a, 32);
    }
    topology_log_free(log);
    world_unmake(world);
}

Test(sim_topology_log, is_bounded_however_much_happens) {
    struct world *world = world_make(16);
    struct topology_log *log = topology_log_new(world);
    for (size_t i = 0; i < TOPOLOGY_LOG_EVENTS_MAX + 5000; i++) {
        set_state(world, 0, i % 2 == 0 ? NODE_UP : NODE_PAUSED);
    }
    cr_assert_eq(event_count(log), TOPOLOGY_LOG_EVENTS_MAX);
    topology_log_free(log);
    world_unmake(world);
}

/* Lets the clock reach the next sample, and takes it. */
static void step(struct world *world, struct series *series) {
    world->now = series_due(series);
    series_sample(series);
}

static const struct series_row *last_row(const struct series *series) {
    const struct series_row *rows = NULL;
    size_t count = series_rows(series, &rows);
    cr_assert_gt(count, 0);
    return &rows[count - 1];
}

Test(sim_series, counts_what_was_sent_by_kind_and_interval) {
    struct world *world = world_make(2);
    struct series *series = series_new(world);
    send(world, WIRE_HEARTBEAT, 25, 0);
    send(world, WIRE_HEARTBEAT, 25, 0);
    send(world, WIRE_CARRIER, 48, 1000);
    send(world, WIRE_RECORDS, 300, 0);
    send(world, WIRE_SYNC, 40, 0);
    send(world, WIRE_PULL, 10, 0);
    send(world, WIRE_UNICAST, 70, 0);
    send(world, WIRE_CLOSE, 5, 0);
    send(world, 200, 7, 0);
    step(world, series);
    const uint64_t expected[TRAFFIC_COUNT] = {
        [TRAFFIC_HEARTBEAT] = 50, [TRAFFIC_GOSSIP] = 340,   [TRAFFIC_BROADCAST] = 10,
        [TRAFFIC_UNICAST] = 70,   [TRAFFIC_CARRIER] = 1048, [TRAFFIC_CONTROL] = 12};
    for (size_t kind = 0; kind < TRAFFIC_COUNT; kind++) {
        cr_assert_eq(last_row(series)->bytes[kind], expected[kind], "kind %zu", kind);
    }
    step(world, series);
    cr_assert_eq(last_row(series)->bytes[TRAFFIC_HEARTBEAT], 0);
    series_free(series);
    world_unmake(world);
}

Test(sim_series, waits_until_a_sample_is_due) {
    struct world *world = world_make(2);
    struct series *series = series_new(world);
    const struct series_row *rows = NULL;
    world->now = series_due(series) - 1;
    series_sample(series);
    cr_assert_eq(series_rows(series, &rows), 0);
    world->now++;
    series_sample(series);
    cr_assert_eq(series_rows(series, &rows), 1);
    cr_assert_eq(rows[0].at, SERIES_INTERVAL);
    series_free(series);
    world_unmake(world);
}

Test(sim_series, settled_is_the_share_of_the_largest_agreement_among_the_living) {
    static const uint64_t digests[] = {7, 9, 7, 9, 9, 1, 9, 9};
    struct world *world = world_make(8);
    struct series *series = series_new(world);
    for (uint32_t node = 0; node < 8; node++) {
        world->digests[node] = digests[node];
        set_state(world, node, node < 6 ? NODE_UP : NODE_DOWN);
    }
    step(world, series);
    cr_assert_eq(last_row(series)->nodes_up, 6);
    cr_assert_eq(last_row(series)->settled_ppm, 500000); /* three 9s of six */
    series_free(series);
    world_unmake(world);
}

Test(sim_series, a_world_without_the_living_is_not_settled) {
    struct world *world = world_make(3);
    struct series *series = series_new(world);
    step(world, series);
    cr_assert_eq(last_row(series)->nodes_up, 0);
    cr_assert_eq(last_row(series)->settled_ppm, 0);
    series_free(series);
    world_unmake(world);
}

Test(sim_series, counts_links_that_are_up) {
    struct world *world = world_make(3);
    struct series *series = series_new(world);
    set_link(world, 0, 1, true);
    set_link(world, 1, 2, true);
    step(world, series);
    cr_assert_eq(last_row(series)->links_up, 2);
    series_free(series);
    world_unmake(world);
}

Test(sim_series, a_long_run_takes_no_more_rows_and_loses_no_bytes) {
    struct world *world = world_make(2);
    struct series *series = series_new(world);
    const struct series_row *rows = NULL;
    uint64_t sent = 0;
    for (int i = 0; i < 10 * SERIES_ROWS_MAX; i++) {
        send(world, WIRE_HEARTBEAT, 25, 0);
        sent += 25;
        step(world, series);
        cr_assert_lt(series_rows(series, &rows), SERIES_ROWS_MAX);
    }
    size_t count = series_rows(series, &rows);
    uint64_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        kept += rows[i].bytes[TRAFFIC_HEARTBEAT];
        cr_assert_eq(rows[i].at, (i + 1) * series_interval(series));
    }
    cr_assert_eq(kept, sent);
    cr_assert_gt(series_interval(series), SERIES_INTERVAL);
    series_free(series);
    world_unmake(world);
}

/* What a trace wrote; the caller's to free. */
static char *written(FILE *file) {
    long size = ftell(file);
    char *text = must(calloc(1, (size_t)size + 1));
    rewind(file);
    cr_assert_eq(fread(text, 1, (size_t)size, file), (size_t)size);
    return text;
}

Test(sim_trace, writes_a_line_an_event) {
    struct world *world = world_make(3);
    FILE *file = tmpfile();
    struct trace_file *trace = trace_file_new(world, file);
    world->now = NS_PER_S + 12345678901;
    send(world, WIRE_CARRIER, 48, 1000);
    set_end(world, 2, 1, true);
    set_end(world, 2, 1, false);
    set_state(world, 1, NODE_PAUSED);
    struct trace_event event = {TRACE_WARN, "clone-seen", "peer=abc"};
    world->observers[0].traced(world->observers[0].ctx, 2, &event);
    struct wire_frame frame = {.kind = 99, .body = span_of("xyz", 3)};
    world->observers[0].received(world->observers[0].ctx, 0, 1, &frame, span_of("", 0));
    char *text = written(file);
    cr_assert_str_eq(text, "12.345678901 0 sent to=1 kind=carrier bytes=1048\n"
                           "12.345678901 2 link-up to=1 link=2\n"
                           "12.345678901 2 link-down to=1 link=2\n"
                           "12.345678901 1 node paused\n"
                           "12.345678901 2 core warn clone-seen peer=abc\n"
                           "12.345678901 0 received from=1 kind=unknown bytes=7\n");
    free(text);
    trace_file_free(trace);
    cr_assert_eq(fclose(file), 0);
    world_unmake(world);
}

Test(sim_trace, tells_each_fault_once_and_before_what_came_of_it) {
    struct world *world = world_make(1);
    FILE *file = tmpfile();
    struct trace_file *trace = trace_file_new(world, file);
    size_t fault_count = 0;
    trace_file_watch(trace, (const struct faults *)(const void *)&fault_count);
    set_state(world, 0, NODE_UP);
    fault_count = 1;
    world->now = made_up_faults[0].at;
    set_state(world, 0, NODE_DOWN);
    set_state(world, 0, NODE_UP);
    fault_count = 2;
    trace_file_free(trace);
    char *text = written(file);
    cr_assert_str_eq(text, "0.000000000 0 node up\n"
                           "2.000000000 -- fault crash 1 node: 4\n"
                           "2.000000000 0 node down\n"
                           "2.000000000 0 node up\n"
                           "3.000000000 -- fault cut 2 paths\n");
    free(text);
    cr_assert_eq(fclose(file), 0);
    world_unmake(world);
}
