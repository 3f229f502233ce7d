/* SPDX-License-Identifier: Apache-2.0
 *
 * The operations that everything else is made of, so many times each: `bench_micro OPERATION
 * COUNT`. bench/micro.py runs this under callgrind with two counts and takes the difference, so
 * that what comes before the operations does not count.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/time.h"
#include "bench_known.h"
#include "bench_stream.h"
#include "core/core.h"
#include "noise/aead.h"
#include "pair.h"
#include "support/mesh.h"

#define RECORDS 200 /* of one node, which another gets to know */

/* ---- sealing ---- */

static void seal_and_open(enum aead_cipher cipher, size_t len, unsigned long count) {
    static uint8_t bytes[65536];
    static const uint8_t key[32] = {1};
    static const uint8_t ad[16] = {2};
    struct aead *seal = aead_new(cipher, key);
    struct aead *open = aead_new(cipher, key);
    ASSERT(seal != NULL && open != NULL);
    for (unsigned long i = 0; i < count; i++) {
        aead_seal(seal, i, span_of(ad, sizeof ad), bytes, len);
        enum weft_err err = aead_open(open, i, span_of(ad, sizeof ad), bytes, len + AEAD_TAG_BYTES);
        ASSERT(err == WEFT_OK);
    }
    aead_free(seal);
    aead_free(open);
}

static void seal_packet(unsigned long count) {
    seal_and_open(AEAD_AES_256_GCM, 61440, count);
}

static void seal_request(unsigned long count) {
    seal_and_open(AEAD_AES_256_GCM, 256, count);
}

static void seal_record(unsigned long count) {
    seal_and_open(AEAD_CHACHA20_POLY1305, 64, count);
}

/* What each cipher's rival would cost: aead_preferred chooses between them. */
static void seal_packet_chacha(unsigned long count) {
    seal_and_open(AEAD_CHACHA20_POLY1305, 61440, count);
}

static void seal_record_aes(unsigned long count) {
    seal_and_open(AEAD_AES_256_GCM, 64, count);
}

/* ---- links ---- */

/* `batch` frames at a time, as a turn of a loop has them. */
static void over_link(unsigned long count, uint16_t carried, unsigned batch) {
    static struct peer a;
    static struct peer b;
    struct frame *frame = pair_frame(carried);
    struct frame *payload = pair_payload(carried);
    pair_init(&a, &b);
    for (unsigned long i = 0; i < count; i++) {
        enum wire_class class = carried > 0 ? WIRE_CLASS_STREAM : WIRE_CLASS_MESSAGE;
        ASSERT(link_send(a.link, frame, payload, class, 7, 0) == WEFT_OK);
        if (i % batch == batch - 1) {
            (void)pair_carry(&a, &b);
        }
    }
    frame_unref(frame);
    frame_unref(payload);
    pair_fini(&a, &b);
}

static void link_frames(unsigned long count) {
    over_link(count, 0, 64);
}

static void link_packets(unsigned long count) {
    over_link(count, 1400, 64);
}

static void link_bulk(unsigned long count) {
    over_link(count, 60000, 4);
}

/* ---- a relay's core ---- */

/* A neighbour's link. */
struct known {
    const struct weft_peer_id *peer;
    struct link_id link;
};

static void find_link(void *ctx, const struct core_link_view *view) {
    struct known *known = ctx;
    if (weft_peer_id_equal(&view->peer, known->peer)) {
        known->link = view->link;
    }
}

/* 0 - 1 - 2: what 0 sends to 2 is given to 1, and what that does with it is dropped. */
static void dispatch(unsigned long count, struct loan payload) {
    const struct mesh_config config = {.seed = 1, .nodes = 3, .delay = NS_PER_MS};
    struct mesh *mesh = mesh_new(&config);
    mesh_allow_none(mesh);
    mesh_seed(mesh, 0, 1);
    mesh_seed(mesh, 2, 1);
    for (size_t i = 0; i < 3; i++) {
        mesh_start(mesh, i);
    }
    ASSERT(mesh_run_until(mesh, mesh_is_settled, 5 * NS_PER_S));
    mesh_run(mesh, NS_PER_S);
    struct core *core = mesh_core(mesh, 1);
    struct action action;
    struct known known = {.peer = mesh_id(mesh, 0)};
    core_each_link(core, find_link, &known);
    const struct wire_carrier carrier = {.travel = {.hops = 5},
                                         .source = *mesh_id(mesh, 0),
                                         .destination = *mesh_id(mesh, 2),
                                         .flow = 7,
                                         .class = WIRE_CLASS_STREAM,
                                         .length = (uint16_t)payload.bytes.len};
    uint8_t head[64];
    struct wire_writer writer = wire_writer_of(head, sizeof head);
    wire_carrier_encode(&writer, &carrier);
    const struct wire_frame frame = {.kind = WIRE_CARRIER, .body = wire_writer_view(&writer)};
    const size_t room[WIRE_CLASS_COUNT] = {1 << 20, 1 << 20, 1 << 20};
    uint64_t sent = 0;
    for (unsigned long i = 0; i < count; i++) {
        core_link_frame(core, known.link, &frame, payload, mesh_now(mesh));
        while (core_next_action(core, &action)) {
            sent += action.kind == ACTION_SEND && action.payload != NULL ? 1 : 0;
            core_link_room(core, action.link, room, mesh_now(mesh));
            action_release(&action);
        }
    }
    ASSERT(sent == count);
    mesh_free(mesh);
}

static void dispatch_small(unsigned long count) {
    static const uint8_t bytes[1400];
    dispatch(count, loan_of(span_of(bytes, sizeof bytes)));
}

static void dispatch_bulk(unsigned long count) {
    struct frame *block = frame_new(61440);
    ASSERT(block != NULL);
    dispatch(count, (struct loan){.bytes = span_of(block->data, block->size), .block = block});
    frame_unref(block);
}

/* ---- a stream's two ends ---- */

static void stream_pieces(unsigned long count) {
    bench_stream_begin();
    bench_stream_move(count);
    bench_stream_end();
}

/* ---- records ---- */

static struct mesh *mesh_of_two(void) {
    const struct mesh_config config = {.seed = 1, .nodes = 2, .delay = NS_PER_MS};
    struct mesh *mesh = mesh_new(&config);
    mesh_seed(mesh, 1, 0);
    mesh_start(mesh, 0);
    for (unsigned i = 0; i < RECORDS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "service-%u", i);
        bench_offer(mesh, 0, name);
    }
    mesh_run(mesh, NS_PER_S);
    return mesh;
}

static bool knows_all(struct mesh *mesh) {
    char name[16];
    struct core_provider provider;
    (void)snprintf(name, sizeof name, "service-%u", RECORDS - 1);
    return core_providers(mesh_core(mesh, 1), "default", name, WIRE_PROTOCOL_TCP, &provider, 1) ==
           1;
}

/* A node that has nothing gets the records of its neighbour, checks and keeps them. */
static void newcomer(unsigned long count) {
    struct mesh *mesh = mesh_of_two();
    for (unsigned long i = 0; i < count; i++) {
        mesh_start(mesh, 1);
        ASSERT(mesh_run_until(mesh, knows_all, 10 * NS_PER_S));
        mesh_kill(mesh, 1);
        mesh_run(mesh, 10 * NS_PER_S);
    }
    mesh_free(mesh);
}

struct operation {
    const char *name;
    void (*run)(unsigned long count);
};

static const struct operation operations[] = {
    {"seal-60k", seal_packet},           {"seal-256", seal_request},
    {"seal-64-chacha", seal_record},     {"seal-60k-chacha", seal_packet_chacha},
    {"seal-64", seal_record_aes},        {"link-frame", link_frames},
    {"link-1400", link_packets},         {"link-60k", link_bulk},
    {"relay-1400", dispatch_small},      {"relay-60k", dispatch_bulk},
    {"stream-60k", stream_pieces},       {"paths-1000", bench_paths_changed},
    {"paths-1000-all", bench_paths_all}, {"sync-2000", bench_sync},
    {"newcomer-200", newcomer},
};

int main(int argc, char **argv) {
    if (argc != 3 || noise_setup() != WEFT_OK) {
        (void)fprintf(stderr, "usage: bench_micro OPERATION COUNT\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        if (strcmp(argv[1], operations[i].name) == 0) {
            operations[i].run(strtoul(argv[2], NULL, 10));
            return EXIT_SUCCESS;
        }
    }
    (void)fprintf(stderr, "bench_micro: no operation %s\n", argv[1]);
    return 2;
}
