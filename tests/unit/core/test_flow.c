/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams when the way is narrow or nobody answers: they wait for room on the link, and for an
 * answer.
 */
#include <criterion/criterion.h>

#include "base/time.h"
#include "support/mesh.h"

#define CLIENT 0
#define TOTAL 3000000

struct download {
    struct stream_id stream;
    uint64_t written;
    uint64_t read;
    bool is_accepted;
    bool is_reset;
    size_t asked[4];
    bool is_mute[4]; /* takes the stream and never answers */
};

static void pour(struct download *download, struct mesh *mesh) {
    static const uint8_t bytes[65536] = {1};
    struct streams *streams = core_streams(mesh_core(mesh, CLIENT));
    while (download->written < TOTAL) {
        uint64_t left = TOTAL - download->written;
        size_t len = left < sizeof bytes ? (size_t)left : sizeof bytes;
        size_t taken =
            streams_write(streams, download->stream, span_of(bytes, len), mesh_now(mesh));
        download->written += taken;
        if (taken < len) {
            return;
        }
    }
    streams_finish(streams, download->stream, mesh_now(mesh));
}

static void client_event(struct download *download, struct mesh *mesh,
                         const struct stream_event *event) {
    struct streams *streams = core_streams(mesh_core(mesh, CLIENT));
    if (event->kind == STREAM_EVENT_WRITABLE) {
        pour(download, mesh);
    } else if (event->kind == STREAM_EVENT_ACCEPTED) {
        download->is_accepted = true;
    } else if (event->kind == STREAM_EVENT_RESET) {
        download->is_reset = true;
        streams_release(streams, event->stream);
    } else if (event->kind == STREAM_EVENT_CLOSED) {
        streams_release(streams, event->stream);
    }
}

static void server_event(struct download *download, struct mesh *mesh, size_t node,
                         const struct stream_event *event) {
    struct streams *streams = core_streams(mesh_core(mesh, node));
    if (event->kind == STREAM_EVENT_INCOMING) {
        download->asked[node]++;
        if (!download->is_mute[node]) {
            streams_accept(streams, event->stream, mesh_now(mesh));
        }
    } else if (event->kind == STREAM_EVENT_RESET || event->kind == STREAM_EVENT_CLOSED) {
        streams_release(streams, event->stream);
    } else {
        struct span bytes = streams_peek(streams, event->stream);
        while (bytes.len > 0) {
            download->read += bytes.len;
            streams_consume(streams, event->stream, bytes.len, mesh_now(mesh));
            bytes = streams_peek(streams, event->stream);
        }
    }
}

static void on_stream(void *ctx, struct mesh *mesh, size_t node, const struct stream_event *event) {
    if (node == CLIENT) {
        client_event(ctx, mesh, event);
    } else {
        server_event(ctx, mesh, node, event);
    }
}

static void offer(struct mesh *mesh, size_t node) {
    const struct wire_endpoint endpoint = {.address = span_of_text("127.0.0.1:80"), .weight = 1};
    const struct core_offer offered = {
        .protocol = WIRE_PROTOCOL_TCP, .endpoints = &endpoint, .endpoint_count = 1};
    cr_assert_eq(core_offer(mesh_core(mesh, node), "default", "web", &offered, mesh_now(mesh)),
                 WEFT_OK);
}

/* The client behind node 1; nodes 2 and 3 behind it too. */
static struct mesh *make(struct download *download, uint64_t rate, size_t pipe_bytes) {
    const struct mesh_config config = {.seed = 11,
                                       .nodes = 4,
                                       .delay = 2 * NS_PER_MS,
                                       .pipe_rate = rate,
                                       .pipe_bytes = pipe_bytes,
                                       .on_stream = on_stream,
                                       .ctx = download};
    struct mesh *mesh = mesh_new(&config);
    mesh_allow_none(mesh);
    mesh_seed(mesh, 0, 1);
    mesh_seed(mesh, 2, 1);
    mesh_seed(mesh, 3, 1);
    for (size_t i = 0; i < 4; i++) {
        mesh_start(mesh, i);
    }
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 5 * NS_PER_S));
    return mesh;
}

static void open_web(struct mesh *mesh, struct download *download) {
    mesh_run(mesh, 500 * NS_PER_MS);
    cr_assert_eq(core_stream_open(mesh_core(mesh, CLIENT), "default", "web", WIRE_PROTOCOL_TCP,
                                  mesh_now(mesh), &download->stream),
                 WEFT_OK);
}

Test(core_flow, a_stream_waits_for_room_on_its_link_and_drops_nothing) {
    struct download download = {0};
    struct mesh *mesh = make(&download, 1000000, (size_t)192 * 1024);
    struct core_status status;
    offer(mesh, 1);
    open_web(mesh, &download);
    pour(&download, mesh);
    mesh_run(mesh, 2 * NS_PER_S);
    cr_assert_lt(download.read, TOTAL, "3 s of bytes in 2 s");
    cr_assert_gt(download.read, TOTAL / 3);
    mesh_run(mesh, 4 * NS_PER_S);
    cr_assert_eq(download.read, TOTAL);
    core_get_status(mesh_core(mesh, CLIENT), &status);
    cr_assert_eq(status.frames_dropped[CORE_DROP_NO_ROOM], 0);
    cr_assert_eq(status.streams.bytes_resent, 0);
    mesh_free(mesh);
}

Test(core_flow, a_node_that_stops_with_streams_waiting_frees_them) {
    struct download download = {.is_mute = {[2] = true}};
    struct mesh *mesh = make(&download, 1000000, (size_t)192 * 1024);
    offer(mesh, 1);
    open_web(mesh, &download);
    pour(&download, mesh);
    mesh_run(mesh, 500 * NS_PER_MS);
    struct download other = {0};
    cr_assert_eq(
        core_withdraw(mesh_core(mesh, 1), "default", "web", WIRE_PROTOCOL_TCP, mesh_now(mesh)),
        WEFT_OK);
    offer(mesh, 2);
    open_web(mesh, &other);
    mesh_kill(mesh, CLIENT); /* one stream blocked, one unanswered; ASan looks for what is left */
    mesh_run(mesh, NS_PER_S);
    cr_assert_lt(download.read, TOTAL);
    mesh_free(mesh);
}

Test(core_flow, a_blocked_link_that_dies_lets_its_streams_go_on_over_the_next) {
    struct download download = {0};
    struct mesh *mesh = make(&download, 1000000, (size_t)192 * 1024);
    offer(mesh, 1);
    open_web(mesh, &download);
    pour(&download, mesh);
    mesh_run(mesh, 500 * NS_PER_MS);
    mesh_cut(mesh, CLIENT, 1);
    mesh_run(mesh, 20 * NS_PER_S);
    cr_assert_eq(download.read, TOTAL);
    cr_assert_not(download.is_reset);
    mesh_free(mesh);
}

Test(core_flow, with_nobody_else_to_ask_an_unanswered_stream_waits) {
    struct download download = {.is_mute = {[2] = true}};
    struct mesh *mesh = make(&download, 0, 0);
    offer(mesh, 2);
    open_web(mesh, &download);
    mesh_run(mesh, NS_PER_S);
    mesh_kill(mesh, 2);
    mesh_run(mesh, 10 * NS_PER_S);
    cr_assert_not(download.is_reset);
    mesh_run(mesh, 60 * NS_PER_S);
    cr_assert(download.is_reset, "after the hold time it is over");
    mesh_free(mesh);
}
