/* SPDX-License-Identifier: Apache-2.0
 *
 * One link against bytes of any kind. The first byte chooses the victim: a link that accepts, one
 * that dialled, or one that is established with an insider who seals what the script says. The
 * second is how many bytes a read brings.
 *
 * Bounds that hold whatever comes: before authentication no more bytes out than in, for one that
 * accepts; and a link that is down stays down.
 */
#include "base/check.h"
#include "base/time.h"
#include "fuzz/fuzz.h"
#include "fuzz/insider.h"

#define STEPS_MAX 256
#define NOW (5 * NS_PER_S)

enum step {
    STEP_RECORD,  /* seal these plaintext bytes */
    STEP_FRAME,   /* seal one frame: kind, flags, body */
    STEP_CARRIER, /* seal a carrier of a stated length, then send some payload */
    STEP_RAW,     /* bytes as they are */
    STEP_WAIT,    /* let time pass */
    STEP_SEND,    /* the victim sends a frame of its own */
    STEP_CLOSE,   /* the victim closes */
    STEP_COUNT,
};

struct bout {
    struct fuzz_node victim;
    struct fuzz_insider insider;
    struct link *link;
    size_t chunk;
    weft_ns now;
};

static void seal(struct bout *bout, struct span plain) {
    static uint8_t record[RECORD_LENGTH_BYTES + RECORD_BYTES_MAX];
    size_t len = fuzz_insider_seal(&bout->insider, plain, record);
    fuzz_feed(bout->link, span_of(record, len), bout->chunk, bout->now);
}

static void seal_frame(struct bout *bout, uint8_t kind, uint8_t flags, struct span body) {
    static uint8_t plain[WIRE_FRAME_HEADER_BYTES + WIRE_BODY_BYTES_MAX];
    struct wire_writer writer = wire_writer_of(plain, sizeof plain);
    wire_write_u8(&writer, kind);
    wire_write_u8(&writer, flags);
    wire_write_u16(&writer, (uint16_t)body.len);
    wire_write_bytes(&writer, body);
    seal(bout, wire_writer_view(&writer));
}

static void seal_carrier(struct bout *bout, struct wire_reader *script) {
    uint8_t body[WIRE_CARRIER_HEADER_BYTES];
    struct wire_writer writer = wire_writer_of(body, sizeof body);
    const struct wire_carrier carrier = {
        .travel = {.hops = 3}, .class = wire_read_u8(script), .length = wire_read_u16(script)};
    wire_carrier_encode(&writer, &carrier);
    seal_frame(bout, WIRE_CARRIER, 0, wire_writer_view(&writer));
    fuzz_feed(bout->link, fuzz_take(script, WIRE_PACKET_BYTES_MAX), bout->chunk, bout->now);
}

static void send(struct bout *bout, struct span body) {
    struct frame *frame = frame_new(WIRE_FRAME_HEADER_BYTES + body.len);
    ASSERT(frame != NULL);
    struct wire_writer writer = wire_writer_of(frame->data, frame->size);
    size_t begin = wire_frame_begin(&writer, WIRE_GOSSIP, 0);
    wire_write_bytes(&writer, body);
    wire_frame_end(&writer, begin);
    frame->len = (uint32_t)wire_writer_view(&writer).len;
    enum weft_err err = link_send(bout->link, frame, NULL, WIRE_CLASS_MESSAGE, 0, bout->now);
    ASSERT(err == WEFT_OK || err == WEFT_ERR_FULL || err == WEFT_ERR_STATE);
    frame_unref(frame);
}

static void take_step(struct bout *bout, struct wire_reader *script) {
    enum step step = (enum step)(wire_read_u8(script) % STEP_COUNT);
    uint8_t kind;
    uint8_t flags;
    switch (step) {
    case STEP_RECORD:
        seal(bout, fuzz_take(script, RECORD_PLAIN_MAX));
        break;
    case STEP_FRAME:
        kind = wire_read_u8(script);
        flags = wire_read_u8(script);
        seal_frame(bout, kind, flags, fuzz_take(script, WIRE_BODY_BYTES_MAX));
        break;
    case STEP_CARRIER:
        seal_carrier(bout, script);
        break;
    case STEP_RAW:
        fuzz_feed(bout->link, fuzz_take(script, 4096), bout->chunk, bout->now);
        break;
    case STEP_WAIT:
        bout->now += wire_read_u16(script) * NS_PER_MS;
        link_tick(bout->link, bout->now);
        break;
    case STEP_SEND:
        send(bout, fuzz_take(script, 4096));
        break;
    case STEP_CLOSE:
        link_close(bout->link, WIRE_CLOSE_BYE, "enough");
        break;
    case STEP_COUNT:
        break;
    }
}

static void run_established(struct bout *bout, struct wire_reader *script) {
    fuzz_insider_up(&bout->insider, &bout->victim, bout->now, &bout->link);
    for (unsigned i = 0; i < STEPS_MAX && wire_reader_more(script); i++) {
        take_step(bout, script);
        (void)fuzz_drain(bout->link, bout->now);
    }
    fuzz_insider_fini(&bout->insider);
}

static void run_stranger(struct bout *bout, enum link_role role, struct span bytes) {
    ASSERT(link_new(&bout->victim.shared, role, NULL, bout->now, &bout->link) == WEFT_OK);
    size_t out = role == LINK_DIALLED ? 0 : fuzz_drain(bout->link, bout->now);
    ASSERT(out == 0); /* who accepts does not speak first */
    fuzz_feed(bout->link, bytes, bout->chunk, bout->now);
    out = fuzz_drain(bout->link, bout->now);
    ASSERT(role == LINK_DIALLED || link_is_up(bout->link) || out <= bytes.len);
    link_tick(bout->link, bout->now + LINK_HANDSHAKE_TIMEOUT);
    (void)fuzz_drain(bout->link, bout->now + LINK_HANDSHAKE_TIMEOUT);
    size_t room = 0;
    ASSERT(link_is_up(bout->link) || link_read_space(bout->link, &room) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const enum link_role roles[] = {LINK_ACCEPTED, LINK_DIALLED};
    struct wire_reader script = wire_reader_of(span_of(data, size));
    struct bout bout = {.now = NOW};
    uint8_t choice = wire_read_u8(&script) % 4;
    bout.chunk = 1 + (size_t)wire_read_u8(&script) * 64;
    fuzz_node_init(&bout.victim, 1);
    if (choice < 2) {
        run_stranger(&bout, roles[choice], script.rest);
    } else {
        run_established(&bout, &script);
    }
    link_free(bout.link);
    identity_fini(&bout.victim.identity);
    return 0;
}
