/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/link/pair.h"

#include <criterion/criterion.h>
#include <stdlib.h>

void bytes_add(struct bytes *bytes, const void *data, size_t len) {
    if (bytes->len + len > bytes->size) {
        bytes->size = (bytes->len + len) * 2;
        bytes->data = realloc(bytes->data, bytes->size);
        cr_assert_not_null(bytes->data);
    }
    if (len > 0) {
        memcpy(bytes->data + bytes->len, data, len);
    }
    bytes->len += len;
}

void bytes_free(struct bytes *bytes) {
    free(bytes->data);
    *bytes = (struct bytes){.data = NULL};
}

static void draw(void *ctx, uint8_t *out, size_t len) {
    struct rng *rng = ctx;
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)rng_next(rng);
    }
}

void end_init(struct end *end, uint8_t seed, uint8_t secret) {
    *end = (struct end){.delivered = 0};
    uint8_t bytes[32];
    cr_assert_eq(noise_setup(), WEFT_OK);
    memset(bytes, seed, sizeof bytes);
    rng_init(&end->rng, bytes);
    identity_from_seed(&end->identity, bytes);
    memset(bytes, secret, sizeof bytes);
    link_shared_init(&end->shared, bytes);
    end->host = (struct host){.ctx = &end->rng, .random = draw};
    end->shared.host = &end->host;
    end->shared.identity = &end->identity;
    end->shared.hello.key = end->identity.key;
    end->shared.hello.name = span_of_text(seed % 2 == 0 ? "even" : "odd");
    end->shared.hello.incarnation = 1;
    end->shared.hello.instance = seed;
}

static void end_forget(struct end *end) {
    link_free(end->link);
    bytes_free(&end->wire);
    bytes_free(&end->got);
    end->link = NULL;
    end->delivered = end->frame_count = 0;
    end->is_up = end->is_down = false;
}

void end_fini(struct end *end) {
    end_forget(end);
    identity_fini(&end->identity);
}

void end_open(struct end *end, enum link_role role, const struct weft_peer_id *expected,
              weft_ns now) {
    end_forget(end);
    cr_assert_eq(link_new(&end->shared, role, expected, now, &end->link), WEFT_OK);
}

size_t end_flush(struct end *end, weft_ns now, size_t max) {
    struct span spans[64];
    size_t total = 0;
    while (total < max) {
        size_t count = link_write_spans(end->link, now, spans, 64);
        size_t len = 0;
        for (size_t i = 0; i < count && total + len < max; i++) {
            size_t left = max - total - len;
            size_t part = spans[i].len < left ? spans[i].len : left;
            bytes_add(&end->wire, spans[i].data, part);
            len += part;
        }
        if (len == 0) {
            break;
        }
        link_write_done(end->link, len);
        total += len;
    }
    return total;
}

static void number_add(struct bytes *bytes, size_t number) {
    uint32_t value = (uint32_t)number;
    bytes_add(bytes, &value, sizeof value);
}

static void frame_log(struct bytes *got, uint8_t kind, uint8_t flags, struct span body,
                      struct span payload) {
    bytes_add(got, &kind, 1);
    bytes_add(got, &flags, 1);
    number_add(got, body.len);
    bytes_add(got, body.data, body.len);
    number_add(got, payload.len);
    bytes_add(got, payload.data, payload.len);
}

static void event_take(struct end *end, const struct link_event *event) {
    cr_assert(!end->is_down, "an event after the last");
    switch (event->kind) {
    case LINK_EVENT_UP:
        cr_assert(!end->is_up);
        end->is_up = true;
        end->peer = event->peer;
        end->version = event->version;
        (void)span_to_text(event->hello.name, end->peer_name, sizeof end->peer_name);
        break;
    case LINK_EVENT_FRAME:
        cr_assert(end->is_up);
        end->frame_count++;
        frame_log(&end->got, event->frame.kind, event->frame.flags, event->frame.body,
                  event->payload.bytes);
        break;
    case LINK_EVENT_DOWN:
        end->is_down = true;
        end->down = *event;
        cr_assert(event->detail[0] != '\0');
        break;
    }
}

void end_events(struct end *end, weft_ns now) {
    struct link_event event;
    while (link_next_event(end->link, now, &event)) {
        event_take(end, &event);
    }
}

void end_feed(struct end *end, const void *data, size_t len, size_t chunk, weft_ns now) {
    const uint8_t *next = data;
    while (len > 0) {
        size_t room = 0;
        uint8_t *space = link_read_space(end->link, &room);
        if (space == NULL) {
            break;
        }
        cr_assert_geq(room, 1);
        size_t part = len < room ? len : room;
        part = part < chunk ? part : chunk;
        memcpy(space, next, part);
        link_read_done(end->link, part, now);
        end_events(end, now);
        next += part;
        len -= part;
    }
}

void pair_open(struct end *a, struct end *b, weft_ns now) {
    end_open(a, LINK_DIALLED, NULL, now);
    end_open(b, LINK_ACCEPTED, NULL, now);
}

/* Carries one chunk; whether anything moved. */
static bool carry(struct end *from, struct end *to, struct rng *rng, size_t cut, weft_ns now) {
    size_t chunk = rng == NULL ? cut : 1 + (size_t)rng_below(rng, cut);
    size_t moved = end_flush(from, now, chunk);
    size_t left = from->wire.len - from->delivered;
    chunk = rng == NULL ? cut : 1 + (size_t)rng_below(rng, cut);
    chunk = chunk < left ? chunk : left;
    end_feed(to, from->wire.data + from->delivered, chunk, chunk, now);
    from->delivered += chunk;
    return moved > 0 || chunk > 0;
}

void pair_settle(struct end *a, struct end *b, struct rng *rng, size_t cut, weft_ns now) {
    bool has_moved = true;
    while (has_moved) {
        has_moved = carry(a, b, rng, cut, now);
        has_moved = carry(b, a, rng, cut, now) || has_moved;
    }
}

void pair_up(struct end *a, struct end *b, weft_ns now) {
    pair_open(a, b, now);
    pair_settle(a, b, NULL, SIZE_MAX, now);
    cr_assert(a->is_up, "dialler: %s", a->down.detail);
    cr_assert(b->is_up, "acceptor: %s", b->down.detail);
}

static void fill(uint8_t *out, size_t len, uint32_t seed) {
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)(seed + i * 7 + (i >> 8));
    }
}

struct frame *frame_of(uint8_t kind, size_t len, uint32_t seed) {
    struct frame *frame = frame_new(WIRE_FRAME_HEADER_BYTES + len);
    frame->data[0] = kind;
    frame->data[1] = 0;
    frame->data[2] = (uint8_t)(len >> 8);
    frame->data[3] = (uint8_t)len;
    fill(frame->data + WIRE_FRAME_HEADER_BYTES, len, seed);
    frame->len = (uint32_t)(WIRE_FRAME_HEADER_BYTES + len);
    return frame;
}

struct frame *carrier_of(uint32_t flow, uint16_t len) {
    struct frame *frame = frame_new(WIRE_FRAME_HEADER_BYTES + WIRE_CARRIER_HEADER_BYTES);
    struct wire_writer writer = wire_writer_of(frame->data, frame->size);
    struct wire_carrier carrier = {
        .travel = {.hops = WIRE_HOPS_MAX}, .flow = flow, .class = WIRE_CLASS_STREAM, .length = len};
    size_t begin = wire_frame_begin(&writer, WIRE_CARRIER, 0);
    wire_carrier_encode(&writer, &carrier);
    wire_frame_end(&writer, begin);
    frame->len = (uint32_t)wire_writer_view(&writer).len;
    return frame;
}

struct frame *payload_of(uint16_t len, uint32_t seed) {
    struct frame *payload = frame_new(len);
    fill(payload->data, len, seed);
    payload->len = len;
    return payload;
}

enum weft_err send_frame(struct end *end, uint8_t kind, size_t len, uint32_t seed,
                         enum wire_class class, weft_ns now) {
    struct frame *frame = frame_of(kind, len, seed);
    enum weft_err err = link_send(end->link, frame, NULL, class, 0, now);
    frame_unref(frame);
    return err;
}

enum weft_err send_carrier(struct end *end, uint32_t flow, uint16_t len, uint32_t seed,
                           weft_ns now) {
    struct frame *frame = carrier_of(flow, len);
    struct frame *payload = payload_of(len, seed);
    enum weft_err err = link_send(end->link, frame, payload, WIRE_CLASS_STREAM, flow, now);
    frame_unref(frame);
    frame_unref(payload);
    return err;
}

void expect_frame(struct bytes *expected, uint8_t kind, size_t len, uint32_t seed) {
    struct frame *frame = frame_of(kind, len, seed);
    frame_log(expected, kind, 0, span_of(frame->data + WIRE_FRAME_HEADER_BYTES, len),
              span_of(NULL, 0));
    frame_unref(frame);
}

void expect_carrier(struct bytes *expected, uint32_t flow, uint16_t len, uint32_t seed) {
    struct frame *frame = carrier_of(flow, len);
    struct frame *payload = payload_of(len, seed);
    frame_log(expected, WIRE_CARRIER, 0,
              span_of(frame->data + WIRE_FRAME_HEADER_BYTES, WIRE_CARRIER_HEADER_BYTES),
              frame_view(payload));
    frame_unref(frame);
    frame_unref(payload);
}
