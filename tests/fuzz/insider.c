/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz/insider.h"

#include "base/check.h"
#include "fuzz/fuzz.h"

void fuzz_node_init(struct fuzz_node *node, uint8_t seed) {
    uint8_t bytes[32];
    *node = (struct fuzz_node){.host = {.random = fuzz_random}};
    ASSERT(noise_setup() == WEFT_OK);
    memset(bytes, seed, sizeof bytes);
    rng_init(&node->rng, bytes);
    identity_from_seed(&node->identity, bytes);
    memset(bytes, 9, sizeof bytes);
    link_shared_init(&node->shared, bytes);
    node->host.ctx = &node->rng;
    node->shared.host = &node->host;
    node->shared.identity = &node->identity;
    node->shared.hello.key = node->identity.key;
    node->shared.hello.name = span_of_text("fuzz");
    node->shared.hello.incarnation = 1;
    node->shared.hello.instance = seed;
}

static void check_event(const struct link_event *event) {
    ASSERT(event->kind != LINK_EVENT_DOWN || event->detail[0] != '\0');
    if (event->kind == LINK_EVENT_FRAME) {
        ASSERT(event->frame.body.len <= WIRE_BODY_BYTES_MAX);
        ASSERT(event->payload.bytes.len <= WIRE_PACKET_BYTES_MAX);
        fuzz_touch(event->frame.body);
        fuzz_touch(event->payload.bytes);
    }
}

static void take_events(struct link *link, weft_ns now) {
    struct link_event event;
    bool is_down = false;
    while (link_next_event(link, now, &event)) {
        ASSERT(!is_down);
        check_event(&event);
        is_down = event.kind == LINK_EVENT_DOWN;
    }
}

void fuzz_feed(struct link *link, struct span bytes, size_t chunk, weft_ns now) {
    while (bytes.len > 0) {
        size_t room = 0;
        uint8_t *space = link_read_space(link, &room);
        if (space == NULL) {
            return;
        }
        ASSERT(room > 0);
        size_t part = bytes.len < chunk ? bytes.len : chunk;
        part = part < room ? part : room;
        memcpy(space, bytes.data, part);
        link_read_done(link, part, now);
        take_events(link, now);
        bytes = span_of(bytes.data + part, bytes.len - part);
    }
}

size_t fuzz_drain(struct link *link, weft_ns now) {
    struct span spans[16];
    size_t total = 0;
    take_events(link, now);
    for (;;) {
        size_t len = 0;
        size_t count = link_write_spans(link, now, spans, 16);
        for (size_t i = 0; i < count; i++) {
            fuzz_touch(spans[i]);
            len += spans[i].len;
        }
        if (len == 0) {
            return total;
        }
        link_write_done(link, len);
        total += len;
    }
}

/* Carries what the victim has to say to the insider's side of the handshake. */
static void fetch(struct link *victim, struct inbuf *in, weft_ns now) {
    struct span spans[16];
    size_t count = link_write_spans(victim, now, spans, 16);
    for (size_t i = 0; i < count; i++) {
        size_t room = 0;
        uint8_t *space = inbuf_space(in, spans[i].len, LINK_HANDSHAKE_BYTES_MAX, &room);
        ASSERT(space != NULL && room >= spans[i].len);
        memcpy(space, spans[i].data, spans[i].len);
        inbuf_done(in, spans[i].len);
        link_write_done(victim, spans[i].len);
    }
}

void fuzz_insider_up(struct fuzz_insider *insider, const struct fuzz_node *victim, weft_ns now,
                     struct link **out) {
    struct handshake *hs = NULL;
    struct inbuf in = {.block = NULL};
    struct link_fault fault;
    struct noise_keys keys;
    *insider = (struct fuzz_insider){.counter = 0};
    fuzz_node_init(&insider->node, 66);
    ASSERT(link_new(&victim->shared, LINK_ACCEPTED, NULL, now, out) == WEFT_OK);
    ASSERT(handshake_new(&insider->node.shared, LINK_DIALLED, NULL, &hs) == WEFT_OK);
    fuzz_feed(*out, handshake_pending(hs), SIZE_MAX, now);
    hs->out_done = hs->out_len;
    fetch(*out, &in, now);
    ASSERT(handshake_read(hs, &insider->node.shared, &in, &fault) == HANDSHAKE_DONE);
    fuzz_feed(*out, handshake_pending(hs), SIZE_MAX, now);
    ASSERT(link_is_up(*out));
    noise_handshake_split(hs->noise, &keys);
    insider->send = aead_new(AEAD_CHACHA20_POLY1305, keys.send);
    ASSERT(insider->send != NULL);
    handshake_free(hs);
    inbuf_fini(&in);
}

void fuzz_insider_fini(struct fuzz_insider *insider) {
    aead_free(insider->send);
    identity_fini(&insider->node.identity);
}

size_t fuzz_insider_seal(struct fuzz_insider *insider, struct span plain, uint8_t *out) {
    size_t length = plain.len + AEAD_TAG_BYTES;
    if (plain.len == 0 || length > RECORD_BYTES_MAX) {
        return 0;
    }
    out[0] = (uint8_t)(length >> 8);
    out[1] = (uint8_t)length;
    memcpy(out + RECORD_LENGTH_BYTES, plain.data, plain.len);
    aead_seal(insider->send, insider->counter++, span_of(NULL, 0), out + RECORD_LENGTH_BYTES,
              plain.len);
    return RECORD_LENGTH_BYTES + length;
}
