/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/link/insider.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static void fetch(struct insider *insider, struct end *victim, weft_ns now) {
    end_flush(victim, now, SIZE_MAX);
    while (insider->read_done < victim->wire.len) {
        size_t room = 0;
        size_t left = victim->wire.len - insider->read_done;
        uint8_t *space = inbuf_space(&insider->in, 0, 1 << 20, &room);
        room = room < left ? room : left;
        memcpy(space, victim->wire.data + insider->read_done, room);
        inbuf_done(&insider->in, room);
        insider->read_done += room;
    }
}

void insider_up(struct insider *insider, struct end *victim, weft_ns now) {
    *insider = (struct insider){.counter = 0};
    end_init(&insider->end, 66, 9);
    end_open(victim, LINK_ACCEPTED, NULL, now);
    struct handshake *hs = NULL;
    struct link_fault fault;
    cr_assert_eq(handshake_new(&insider->end.shared, LINK_DIALLED, NULL, &hs), WEFT_OK);
    end_feed(victim, hs->out, hs->out_len, SIZE_MAX, now);
    hs->out_done = hs->out_len;
    fetch(insider, victim, now);
    cr_assert_eq(handshake_read(hs, &insider->end.shared, &insider->in, &fault), HANDSHAKE_DONE);
    end_feed(victim, hs->out, hs->out_len, SIZE_MAX, now);
    cr_assert(victim->is_up);
    struct noise_keys keys;
    noise_handshake_split(hs->noise, &keys);
    insider->send = aead_new(AEAD_CHACHA20_POLY1305, keys.send);
    insider->reader.aead = aead_new(AEAD_CHACHA20_POLY1305, keys.receive);
    rekey_init(&insider->rekey, LINK_DIALLED, &keys, noise_handshake_remote_static(hs->noise), now);
    handshake_free(hs);
}

void insider_fini(struct insider *insider) {
    aead_free(insider->send);
    rekey_fini(&insider->rekey);
    record_reader_fini(&insider->reader);
    inbuf_fini(&insider->in);
    end_fini(&insider->end);
}

void insider_send(struct insider *insider, struct end *victim, const void *plain, size_t len,
                  size_t payload_len, weft_ns now) {
    size_t length = len + AEAD_TAG_BYTES;
    uint8_t *bytes = calloc(1, RECORD_LENGTH_BYTES + length + payload_len);
    bytes[0] = (uint8_t)(length >> 8);
    bytes[1] = (uint8_t)length;
    memcpy(bytes + RECORD_LENGTH_BYTES, plain, len);
    aead_seal(insider->send, insider->counter++, span_of(NULL, 0), bytes + RECORD_LENGTH_BYTES,
              len);
    end_feed(victim, bytes, RECORD_LENGTH_BYTES + length + payload_len, SIZE_MAX, now);
    free(bytes);
}

void insider_frame(struct insider *insider, struct end *victim, uint8_t kind, uint8_t flags,
                   struct span body, weft_ns now) {
    uint8_t plain[2048] = {kind, flags, (uint8_t)(body.len >> 8), (uint8_t)body.len};
    cr_assert_leq(body.len, sizeof plain - WIRE_FRAME_HEADER_BYTES);
    if (body.len > 0) {
        memcpy(plain + WIRE_FRAME_HEADER_BYTES, body.data, body.len);
    }
    insider_send(insider, victim, plain, WIRE_FRAME_HEADER_BYTES + body.len, 0, now);
}

bool insider_read(struct insider *insider, struct end *victim, struct wire_frame *out,
                  weft_ns now) {
    struct loan payload;
    struct link_fault fault;
    fetch(insider, victim, now);
    enum record_result result = record_read(&insider->reader, &insider->in, out, &payload, &fault);
    cr_assert_neq(result, RECORD_FAULT, "%s", result == RECORD_FAULT ? fault.text : "");
    return result == RECORD_FRAME;
}
