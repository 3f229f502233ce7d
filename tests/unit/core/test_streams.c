/* SPDX-License-Identifier: Apache-2.0
 *
 * What the core adds to streams: who is asked for one and how long that is remembered; a
 * leave while one is open; silence and blame.
 */
#include <criterion/criterion.h>

#include "base/time.h"
#include "core/internal.h"
#include "support/mesh.h"

#define CLIENT 0
#define RELAY 1

/* The client writes as much as is taken, up to `total`; the servers accept and swallow. */
struct flow {
    struct stream_id stream;
    uint64_t written;
    uint64_t total;
    uint64_t swallowed[MESH_NODES_MAX];
    bool is_deaf; /* servers leave what comes unread */
    bool is_reset;
    bool is_closed;
};

static void flow_write(struct flow *flow, struct mesh *mesh) {
    static const uint8_t bytes[16384];
    struct streams *streams = core_streams(mesh_core(mesh, CLIENT));
    size_t taken = sizeof(bytes);
    while (flow->written < flow->total && taken == sizeof(bytes)) {
        taken = streams_write(streams, flow->stream, span_of(bytes, sizeof(bytes)), mesh_now(mesh));
        flow->written += taken;
    }
    if (flow->written >= flow->total) {
        streams_finish(streams, flow->stream, mesh_now(mesh));
    }
}

static void swallow(struct flow *flow, struct mesh *mesh, size_t node, struct stream_id stream) {
    struct streams *streams = core_streams(mesh_core(mesh, node));
    struct span bytes = streams_peek(streams, stream);
    while (bytes.len > 0 && !flow->is_deaf) {
        flow->swallowed[node] += bytes.len;
        streams_consume(streams, stream, bytes.len, mesh_now(mesh));
        bytes = streams_peek(streams, stream);
    }
    if (streams_is_finished(streams, stream)) {
        streams_finish(streams, stream, mesh_now(mesh));
    }
}

static void on_stream(void *ctx, struct mesh *mesh, size_t node, const struct stream_event *event) {
    struct flow *flow = ctx;
    struct streams *streams = core_streams(mesh_core(mesh, node));
    if (event->kind == STREAM_EVENT_RESET || event->kind == STREAM_EVENT_CLOSED) {
        flow->is_reset |= node == CLIENT && event->kind == STREAM_EVENT_RESET;
        flow->is_closed |= node == CLIENT && event->kind == STREAM_EVENT_CLOSED;
        streams_release(streams, event->stream);
    } else if (event->kind == STREAM_EVENT_INCOMING) {
        streams_accept(streams, event->stream, mesh_now(mesh));
        swallow(flow, mesh, node, event->stream);
    } else if (event->kind == STREAM_EVENT_READABLE) {
        swallow(flow, mesh, node, event->stream);
    } else if (event->kind == STREAM_EVENT_WRITABLE && node == CLIENT) {
        flow_write(flow, mesh);
    }
}

/* The client 0 and the servers 2, 3 ... around the relay 1; all servers offer "web". */
static struct mesh *make(struct flow *flow, size_t nodes) {
    const struct mesh_config config = {
        .seed = 11, .nodes = nodes, .delay = NS_PER_MS, .on_stream = on_stream, .ctx = flow};
    const struct wire_endpoint endpoint = {.address = span_of_text("127.0.0.1:80"), .weight = 1};
    const struct core_offer offer = {
        .protocol = WIRE_PROTOCOL_TCP, .endpoints = &endpoint, .endpoint_count = 1};
    struct mesh *mesh = mesh_new(&config);
    mesh_allow_none(mesh);
    for (size_t i = 0; i < nodes; i++) {
        if (i != RELAY) {
            mesh_seed(mesh, i, RELAY);
        }
        mesh_start(mesh, i);
    }
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 5 * NS_PER_S));
    for (size_t i = 2; i < nodes; i++) {
        cr_assert_eq(core_offer(mesh_core(mesh, i), "default", "web", &offer, mesh_now(mesh)),
                     WEFT_OK);
    }
    mesh_run(mesh, NS_PER_S);
    return mesh;
}

static void open_flow(struct mesh *mesh, struct flow *flow, uint64_t total) {
    flow->total = total;
    cr_assert_eq(core_stream_open(mesh_core(mesh, CLIENT), "default", "web", WIRE_PROTOCOL_TCP,
                                  mesh_now(mesh), &flow->stream),
                 WEFT_OK);
    flow_write(flow, mesh);
}

static size_t attempts(struct mesh *mesh) {
    return map_count(mesh_core(mesh, CLIENT)->attempts);
}

static size_t preferred(struct mesh *mesh) {
    struct core_provider best;
    cr_assert_eq(
        core_providers(mesh_core(mesh, CLIENT), "default", "web", WIRE_PROTOCOL_TCP, &best, 1), 1);
    return mesh_node_of(mesh, &best.peer);
}

static void note_accepted(void *ctx, struct mesh *mesh, size_t node,
                          const struct stream_event *event) {
    bool *is_accepted = ctx;
    if (event->kind == STREAM_EVENT_INCOMING) {
        streams_accept(core_streams(mesh_core(mesh, node)), event->stream, mesh_now(mesh));
    }
    *is_accepted |= event->kind == STREAM_EVENT_ACCEPTED;
}

/* The routes that each computed alone keep nobody waiting; that its first word was told to nobody
 * holds back the second, which names the link, by PUBLISH_GAP_NEEDED at most. */
Test(core_streams, two_that_start_together_carry_a_stream_as_soon_as_both_say_so) {
    bool is_accepted = false;
    const struct mesh_config config = {
        .seed = 5, .nodes = 2, .delay = NS_PER_MS, .on_stream = note_accepted, .ctx = &is_accepted};
    const struct wire_endpoint endpoint = {.address = span_of_text("127.0.0.1:80"), .weight = 1};
    const struct core_offer offer = {
        .protocol = WIRE_PROTOCOL_TCP, .endpoints = &endpoint, .endpoint_count = 1};
    struct mesh *mesh = mesh_new(&config);
    struct stream_id stream;
    mesh_seed(mesh, 0, 1);
    mesh_start(mesh, 1);
    mesh_start(mesh, 0);
    cr_assert_eq(core_offer(mesh_core(mesh, 1), "default", "web", &offer, mesh_now(mesh)), WEFT_OK);
    weft_ns begun = mesh_now(mesh);
    enum weft_err err = WEFT_ERR_NOT_FOUND;
    while (err == WEFT_ERR_NOT_FOUND && mesh_now(mesh) < begun + NS_PER_S) {
        mesh_run(mesh, NS_PER_MS / 2);
        err = core_stream_open(mesh_core(mesh, 0), "default", "web", WIRE_PROTOCOL_TCP,
                               mesh_now(mesh), &stream);
    }
    cr_assert_eq(err, WEFT_OK);
    while (!is_accepted && mesh_now(mesh) < begun + NS_PER_S) {
        mesh_run(mesh, NS_PER_MS / 2);
    }
    cr_expect_leq(mesh_now(mesh) - begun, PUBLISH_GAP_NEEDED + 10 * NS_PER_MS, "%lu us",
                  (mesh_now(mesh) - begun) / NS_PER_US);
    mesh_free(mesh);
}

Test(core_streams, an_open_ends_when_it_is_accepted) {
    struct flow flow = {0};
    struct mesh *mesh = make(&flow, 3);
    open_flow(mesh, &flow, 100000);
    cr_assert_eq(attempts(mesh), 1);
    mesh_run(mesh, 100 * NS_PER_MS);
    cr_assert_eq(attempts(mesh), 0);
    mesh_free(mesh);
}

/* With a session there: the OPEN and all the bytes that may go with it, the acceptance, the end of
 * each side, each over two links. */
Test(core_streams, an_open_over_a_relay_costs_a_packet_on_each_link) {
    struct flow flow = {0};
    struct mesh *mesh = make(&flow, 3);
    open_flow(mesh, &flow, 1); /* the session is made */
    mesh_run(mesh, NS_PER_S);
    cr_assert(flow.is_closed);
    uint64_t before = mesh_frames(mesh, WIRE_CARRIER) + mesh_frames(mesh, WIRE_UNICAST);
    flow = (struct flow){0};
    open_flow(mesh, &flow, WIRE_OPEN_CREDIT);
    mesh_run(mesh, 2 * NS_PER_MS); /* one way: two links */
    cr_assert_eq(flow.swallowed[2], WIRE_OPEN_CREDIT, "the bytes came with the OPEN");
    mesh_run(mesh, NS_PER_S);
    cr_assert(flow.is_closed);
    uint64_t frames = mesh_frames(mesh, WIRE_CARRIER) + mesh_frames(mesh, WIRE_UNICAST) - before;
    cr_assert_leq(frames, 2 * 4, "%llu frames", (unsigned long long)frames);
    mesh_free(mesh);
}

/* An application that goes away before the far side has answered. */
Test(core_streams, a_stream_reset_before_the_accept_leaves_nothing) {
    struct flow flow = {0};
    struct mesh *mesh = make(&flow, 4);
    mesh_pause(mesh, preferred(mesh), true);
    for (unsigned i = 0; i < 100; i++) {
        open_flow(mesh, &flow, 1000);
        mesh_run(mesh, NS_PER_MS);
        cr_assert_eq(attempts(mesh), 1);
        core_stream_reset(mesh_core(mesh, CLIENT), flow.stream, WIRE_RESET_REFUSED, mesh_now(mesh));
        cr_assert_eq(attempts(mesh), 0);
    }
    mesh_run(mesh, 10 * NS_PER_S); /* the provider is dropped, and nobody else is asked */
    cr_assert_eq(flow.swallowed[2] + flow.swallowed[3], 0);
    cr_assert_eq(streams_count(core_streams(mesh_core(mesh, CLIENT))).open, 0);
    mesh_free(mesh);
}

Test(core_streams, a_leave_goes_on_when_the_last_stream_has_ended) {
    struct flow flow = {.is_deaf = true};
    struct mesh *mesh = make(&flow, 3);
    open_flow(mesh, &flow, UINT64_MAX);
    mesh_run(mesh, NS_PER_S);
    core_leave(mesh_core(mesh, CLIENT), 60 * NS_PER_S, mesh_now(mesh));
    mesh_run(mesh, 2 * NS_PER_S);
    cr_assert_not(mesh_has_left(mesh, CLIENT));
    core_stream_reset(mesh_core(mesh, CLIENT), flow.stream, WIRE_RESET_REFUSED, mesh_now(mesh));
    mesh_run(mesh, NS_PER_S);
    cr_assert(mesh_has_left(mesh, CLIENT));
    mesh_free(mesh);
}

/* Node 0's link is given up no sooner than this after the last sign of life. */
static weft_ns patience(weft_ns delay, weft_ns heartbeat) {
    const struct mesh_config config = {
        .seed = 4, .nodes = 2, .delay = delay, .heartbeat = heartbeat};
    struct mesh *mesh = mesh_new(&config);
    struct core_status status = {.links = 1};
    mesh_seed(mesh, 1, 0);
    mesh_start(mesh, 0);
    mesh_start(mesh, 1);
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 3 * NS_PER_S));
    mesh_run(mesh, 2 * NS_PER_S);
    weft_ns heard = core_neighbour(mesh_core(mesh, 0), mesh_id(mesh, 1))->last_heard;
    mesh_silence(mesh, 0, 1, true);
    while (status.links == 1) {
        const struct core_link *link = core_neighbour(mesh_core(mesh, 0), mesh_id(mesh, 1));
        heard = link->last_heard; /* what was on its way still came */
        mesh_run(mesh, 5 * NS_PER_MS);
        core_get_status(mesh_core(mesh, 0), &status);
    }
    weft_ns span = mesh_now(mesh) - heard;
    mesh_free(mesh);
    return span;
}

/* What is lost twice is there after 700 ms: TCP repeats after a round trip and 200 ms each (B4). */
Test(core_streams, a_far_link_is_not_given_up_before_tcp_could_repeat_twice) {
    weft_ns near = patience(NS_PER_MS, 200 * NS_PER_MS);
    weft_ns far = patience(25 * NS_PER_MS, 200 * NS_PER_MS);
    weft_ns slow = patience(25 * NS_PER_MS, NS_PER_S);
    cr_expect_geq(near, 650 * NS_PER_MS);
    cr_expect_leq(near, 670 * NS_PER_MS);
    cr_expect_geq(far, 740 * NS_PER_MS);
    cr_expect_leq(far, 770 * NS_PER_MS);
    cr_expect_geq(slow, 3000 * NS_PER_MS);
    cr_expect_leq(slow, 3010 * NS_PER_MS);
}

/* 200 ms heartbeats: dead after 650 ms where a round trip takes no time. */
Test(core_streams, the_fast_profile_finds_a_silent_peer_in_three_quarters_of_a_second) {
    const struct mesh_config config = {
        .seed = 4, .nodes = 2, .delay = NS_PER_MS, .heartbeat = 200 * NS_PER_MS};
    struct mesh *mesh = mesh_new(&config);
    struct core_status status;
    mesh_seed(mesh, 1, 0);
    mesh_start(mesh, 0);
    mesh_start(mesh, 1);
    cr_assert(mesh_run_until(mesh, mesh_is_settled, NS_PER_S));
    mesh_run(mesh, NS_PER_S);
    mesh_silence(mesh, 0, 1, true);
    mesh_run(mesh, 390 * NS_PER_MS);
    core_get_status(mesh_core(mesh, 0), &status);
    cr_assert_eq(status.links, 1);
    mesh_run(mesh, 360 * NS_PER_MS);
    core_get_status(mesh_core(mesh, 0), &status);
    cr_assert_eq(status.links, 0);
    mesh_free(mesh);
}

Test(core_streams, a_culprit_is_listed_by_its_last_deed_and_the_quietest_forgotten) {
    struct flow flow = {0};
    struct mesh *mesh = make(&flow, 2);
    struct core *core = mesh_core(mesh, CLIENT);
    struct core_culprit list[CULPRITS_MAX + 1];
    cr_assert_eq(core_culprits(core, list, CULPRITS_MAX + 1), 0);
    for (uint8_t i = 1; i <= CULPRITS_MAX; i++) {
        core_culprit(core, &(struct weft_peer_id){{i}}, "one");
    }
    core_culprit(core, &(struct weft_peer_id){{1}}, "two");
    core_culprit(core, &(struct weft_peer_id){{200}}, "three"); /* drops 2, quiet for longest */
    cr_assert_eq(core_culprits(core, list, CULPRITS_MAX + 1), CULPRITS_MAX);
    cr_assert_eq(list[0].peer.bytes[0], 200);
    cr_assert_eq(list[0].count, 1);
    cr_assert_eq(list[1].peer.bytes[0], 1);
    cr_assert_eq(list[1].count, 2);
    cr_assert_str_eq(list[1].detail, "two");
    cr_assert_eq(list[CULPRITS_MAX - 1].peer.bytes[0], 3);
    cr_assert_eq(core_culprits(core, list, 2), 2);
    mesh_free(mesh);
}
