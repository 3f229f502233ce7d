/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes a second through two links in one process, sealing and opening included, one copy between
 * them in place of the kernel: 60 KB carriers, whose payload links do not seal, and 100-byte
 * frames, which they do. Not a test: prints a line for each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/rng.h"
#include "base/time.h"
#include "link/link.h"

#define RUN_NS ((weft_ns)2 * NS_PER_S)
#define FRAMES_AT_ONCE 512

struct peer {
    struct identity identity;
    struct host host;
    struct rng rng;
    struct link_shared shared;
    struct link *link;
};

static weft_ns clock_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (weft_ns)now.tv_sec * NS_PER_S + (weft_ns)now.tv_nsec;
}

static void draw(void *ctx, uint8_t *out, size_t len) {
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)rng_next(ctx);
    }
}

static void peer_init(struct peer *peer, uint8_t seed, enum link_role role) {
    uint8_t bytes[32] = {seed};
    uint8_t secret[32] = {0};
    rng_init(&peer->rng, bytes);
    identity_from_seed(&peer->identity, bytes);
    link_shared_init(&peer->shared, secret);
    peer->host = (struct host){.ctx = &peer->rng, .random = draw};
    peer->shared.host = &peer->host;
    peer->shared.identity = &peer->identity;
    peer->shared.hello.name = span_of_text("bench");
    peer->shared.hello.incarnation = 1;
    enum weft_err err = link_new(&peer->shared, role, NULL, 0, &peer->link);
    ASSERT(err == WEFT_OK);
}

static uint64_t events_take(struct peer *peer) {
    struct link_event event;
    uint64_t bytes = 0;
    while (link_next_event(peer->link, 0, &event)) {
        ASSERT(event.kind != LINK_EVENT_DOWN);
        if (event.kind == LINK_EVENT_FRAME) {
            bytes += event.payload.bytes.len > 0 ? event.payload.bytes.len : event.frame.body.len;
        }
    }
    return bytes;
}

static uint64_t feed(struct peer *peer, struct span bytes) {
    uint64_t taken = 0;
    while (bytes.len > 0) {
        size_t len = 0;
        uint8_t *space = link_read_space(peer->link, &len);
        ASSERT(space != NULL);
        len = len < bytes.len ? len : bytes.len;
        memcpy(space, bytes.data, len);
        link_read_done(peer->link, len, 0);
        taken += events_take(peer);
        bytes = span_of(bytes.data + len, bytes.len - len);
    }
    return taken;
}

static uint64_t carry(struct peer *from, struct peer *to) {
    struct span spans[64];
    uint64_t taken = 0;
    size_t count = link_write_spans(from->link, 0, spans, 64);
    while (count > 0) {
        size_t len = 0;
        for (size_t i = 0; i < count; i++) {
            taken += feed(to, spans[i]);
            len += spans[i].len;
        }
        link_write_done(from->link, len);
        count = link_write_spans(from->link, 0, spans, 64);
    }
    return taken;
}

static struct frame *frame_make(enum wire_kind kind, uint16_t carried) {
    struct frame *frame = frame_new(100);
    struct wire_writer writer = wire_writer_of(frame->data, frame->size);
    struct wire_carrier carrier = {.flow = 7, .class = WIRE_CLASS_STREAM, .length = carried};
    uint8_t body[96] = {0};
    size_t begin = wire_frame_begin(&writer, kind, 0);
    if (kind == WIRE_CARRIER) {
        wire_carrier_encode(&writer, &carrier);
    } else {
        wire_write_bytes(&writer, span_of(body, sizeof body));
    }
    wire_frame_end(&writer, begin);
    frame->len = (uint32_t)wire_writer_view(&writer).len;
    return frame;
}

static void run(const char *name, struct peer *a, struct peer *b, uint16_t carried, int batch) {
    struct frame *frame = frame_make(carried > 0 ? WIRE_CARRIER : WIRE_UNICAST, carried);
    struct frame *payload = carried > 0 ? frame_new(carried) : NULL;
    if (payload != NULL) {
        memset(payload->data, 1, carried);
        payload->len = carried;
    }
    uint64_t bytes = 0;
    weft_ns start = clock_now();
    weft_ns now = start;
    while (now - start < RUN_NS) {
        for (int i = 0; i < batch; i++) {
            enum wire_class class = carried > 0 ? WIRE_CLASS_STREAM : WIRE_CLASS_MESSAGE;
            enum weft_err err = link_send(a->link, frame, payload, class, 7, 0);
            ASSERT(err == WEFT_OK);
        }
        bytes += carry(a, b);
        now = clock_now();
    }
    double seconds = (double)(now - start) / 1e9;
    double unit = carried > 0 ? carried : 96;
    printf("%-16s %6.2f GB/s %10.0f frames/s\n", name, (double)bytes / seconds / 1e9,
           (double)bytes / unit / seconds);
    frame_unref(frame);
    frame_unref(payload);
}

int main(void) {
    static struct peer a;
    static struct peer b;
    if (noise_setup() != WEFT_OK) {
        return EXIT_FAILURE;
    }
    peer_init(&a, 1, LINK_DIALLED);
    peer_init(&b, 2, LINK_ACCEPTED);
    carry(&a, &b);
    carry(&b, &a);
    carry(&a, &b);
    events_take(&b);
    run("carrier 60000", &a, &b, 60000, 32);
    run("carrier 1400", &a, &b, 1400, 512);
    run("frame 100", &a, &b, 0, FRAMES_AT_ONCE);
    link_free(a.link);
    link_free(b.link);
    return EXIT_SUCCESS;
}
