/* SPDX-License-Identifier: Apache-2.0
 *
 * All that two end nodes do for a stream between them but the system calls: two cores and the link
 * between them, with a copy in place of the kernel.
 *
 *   write space --> core --> link --copy--> link --> core --> peek, consume
 *                    ^                                 |
 *                    +------- acknowledgements --------+
 */
#include "bench_stream.h"

#include "base/check.h"
#include "base/time.h"
#include "pair.h"
#include "support/mesh.h"

#define SERVICE "bulk"
#define PIECES_A_TURN 4 /* as a turn of the daemon reads 240 KiB from an application */
#define TURN (100 * NS_PER_US)
#define WARM_UP 2000 /* pieces until windows and pools have grown */

struct end {
    struct core *core;
    struct link_id link; /* as the core calls it */
    struct peer peer;    /* the link itself */
    struct stream_id stream;
    weft_ns now;
};

static struct end ends[2];
static struct mesh *mesh_of_ends;

/* While the mesh runs: keeps the stream that came, and takes nothing from it. */
static void on_stream(void *ctx, struct mesh *mesh, size_t node, const struct stream_event *event) {
    (void)ctx;
    if (event->kind == STREAM_EVENT_INCOMING) {
        ends[node].stream = event->stream;
        streams_accept(core_streams(mesh_core(mesh, node)), event->stream, mesh_now(mesh));
    }
}

static void keep_link(void *ctx, const struct core_link_view *view) {
    struct end *end = ctx;
    end->link = view->link;
}

static void on_frame(void *ctx, const struct link_event *event) {
    struct end *end = ctx;
    core_link_frame(end->core, end->link, &event->frame, event->payload, end->now);
}

void bench_offer(struct mesh *mesh, unsigned node, const char *name) {
    const struct wire_endpoint endpoint = {.address = span_of_text("127.0.0.1:80"), .weight = 1};
    const struct core_offer offer = {
        .protocol = WIRE_PROTOCOL_TCP, .endpoints = &endpoint, .endpoint_count = 1};
    enum weft_err err = core_offer(mesh_core(mesh, node), "default", name, &offer, mesh_now(mesh));
    ASSERT(err == WEFT_OK);
}

/* Two cores that know each other, and a stream from the first to the second. */
static struct mesh *mesh_with_stream(void) {
    const struct mesh_config config = {
        .seed = 1, .nodes = 2, .delay = NS_PER_MS, .on_stream = on_stream};
    struct mesh *mesh = mesh_new(&config);
    mesh_seed(mesh, 1, 0);
    mesh_start(mesh, 0);
    mesh_start(mesh, 1);
    bench_offer(mesh, 1, SERVICE);
    ASSERT(mesh_run_until(mesh, mesh_is_settled, 5 * NS_PER_S));
    mesh_run(mesh, NS_PER_S);
    enum weft_err err = core_stream_open(mesh_core(mesh, 0), "default", SERVICE, WIRE_PROTOCOL_TCP,
                                         mesh_now(mesh), &ends[0].stream);
    ASSERT(err == WEFT_OK);
    mesh_run(mesh, NS_PER_S);
    ASSERT(ends[1].stream.value != 0);
    return mesh;
}

static void tell_room(struct end *end) {
    size_t room[WIRE_CLASS_COUNT];
    for (int class = 0; class < WIRE_CLASS_COUNT; class ++) {
        room[class] = link_room(end->peer.link, (enum wire_class) class);
    }
    core_link_room(end->core, end->link, room, end->now);
}

/* What the core wants sent goes to the link; nothing else matters here. */
static void pump(struct end *end) {
    struct action action;
    while (core_next_action(end->core, &action)) {
        if (action.kind == ACTION_SEND) {
            enum weft_err err = link_send(end->peer.link, action.frame, action.payload,
                                          action.class, action.flow, 0);
            ASSERT(err == WEFT_OK);
        }
        action_release(&action);
    }
}

static uint64_t read_all(struct end *end) {
    struct streams *streams = core_streams(end->core);
    struct span pieces[16];
    uint64_t taken = 0;
    size_t count = streams_peek_all(streams, end->stream, pieces, 16);
    while (count > 0) {
        size_t len = 0;
        for (size_t i = 0; i < count; i++) {
            len += pieces[i].len;
        }
        streams_consume(streams, end->stream, len, end->now);
        taken += len;
        count = streams_peek_all(streams, end->stream, pieces, 16);
    }
    return taken;
}

static uint64_t write_some(struct end *end, uint64_t bytes) {
    struct streams *streams = core_streams(end->core);
    size_t len = 0;
    if (bytes == 0 || streams_write_space(streams, end->stream, &len) == NULL) {
        return 0;
    }
    len = len < bytes ? len : (size_t)bytes;
    streams_written(streams, end->stream, len, end->now);
    return len;
}

/* One turn of both loops; how much was read at the far end. */
static uint64_t turn(uint64_t *unwritten) {
    for (size_t i = 0; i < 2; i++) {
        ends[i].now += TURN;
        if (core_deadline(ends[i].core) <= ends[i].now) {
            core_tick(ends[i].core, ends[i].now);
        }
    }
    uint64_t budget = *unwritten < PIECES_A_TURN * BENCH_PIECE_BYTES
                          ? *unwritten
                          : PIECES_A_TURN * BENCH_PIECE_BYTES;
    *unwritten -= write_some(&ends[0], budget);
    uint64_t taken = 0;
    for (size_t i = 0; i < 2; i++) {
        pump(&ends[i]);
        (void)pair_carry(&ends[i].peer, &ends[1 - i].peer);
        tell_room(&ends[i]);
        taken += i == 0 ? read_all(&ends[1]) : 0;
    }
    return taken;
}

void bench_stream_move(unsigned long count) {
    uint64_t unwritten = count * BENCH_PIECE_BYTES;
    uint64_t unread = unwritten;
    while (unread > 0) {
        unread -= turn(&unwritten);
    }
}

void bench_stream_begin(void) {
    mesh_of_ends = mesh_with_stream();
    pair_init(&ends[0].peer, &ends[1].peer);
    for (size_t i = 0; i < 2; i++) {
        ends[i].core = mesh_core(mesh_of_ends, i);
        ends[i].now = mesh_now(mesh_of_ends);
        ends[i].peer.on_frame = on_frame;
        ends[i].peer.ctx = &ends[i];
        core_each_link(ends[i].core, keep_link, &ends[i]);
        tell_room(&ends[i]);
    }
    bench_stream_move(WARM_UP);
}

void bench_stream_end(void) {
    pair_fini(&ends[0].peer, &ends[1].peer);
    mesh_free(mesh_of_ends);
}
