/* SPDX-License-Identifier: Apache-2.0
 *
 * Two links in one process.
 */
#include "pair.h"

#include <string.h>

#include "base/check.h"
#include "base/frame_pool.h"

void pair_random(void *ctx, uint8_t *out, size_t len) {
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
    peer->host = (struct host){.ctx = &peer->rng, .random = pair_random};
    peer->shared.host = &peer->host;
    peer->shared.identity = &peer->identity;
    peer->shared.hello.name = span_of_text("bench");
    peer->shared.hello.incarnation = 1;
    peer->shared.blocks = frame_pool_new();
    peer->shared.block_bytes_max = SIZE_MAX;
    ASSERT(peer->shared.blocks != NULL);
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
            if (peer->on_frame != NULL) {
                peer->on_frame(peer->ctx, &event);
            }
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

uint64_t pair_carry(struct peer *from, struct peer *to) {
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

void pair_init(struct peer *dialler, struct peer *acceptor) {
    peer_init(dialler, 1, LINK_DIALLED);
    peer_init(acceptor, 2, LINK_ACCEPTED);
    (void)pair_carry(dialler, acceptor);
    (void)pair_carry(acceptor, dialler);
    (void)pair_carry(dialler, acceptor);
    (void)events_take(acceptor);
}

void pair_fini(struct peer *dialler, struct peer *acceptor) {
    link_free(dialler->link);
    link_free(acceptor->link);
    frame_pool_free(dialler->shared.blocks);
    frame_pool_free(acceptor->shared.blocks);
}

struct frame *pair_frame(uint16_t carried) {
    enum wire_kind kind = carried > 0 ? WIRE_CARRIER : WIRE_UNICAST;
    struct frame *frame = frame_new(128);
    ASSERT(frame != NULL);
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

struct frame *pair_payload(uint16_t carried) {
    struct frame *payload = carried > 0 ? frame_new(carried) : NULL;
    if (payload != NULL) {
        memset(payload->data, 1, carried);
        payload->len = carried;
    }
    return payload;
}
