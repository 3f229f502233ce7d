/* SPDX-License-Identifier: Apache-2.0
 *
 * Every encoder of src/wire, with whatever its caller may hand it: what was written decodes to what
 * was meant, or the writer has failed. The room is sometimes too small, on purpose, and lengths go
 * beyond what a layout holds.
 *
 * The first byte chooses the message, the next two the room.
 */
#include "base/check.h"
#include "fuzz/fuzz.h"
#include "wire/record.h"
#include "wire/session.h"

#define ROOM_BYTES 200000
#define TEXTS_MAX 16
#define LINKS 40

static uint8_t room[ROOM_BYTES];

/* Bytes of the script, or as many zeroes as it says: long ones need not be in the corpus. */
static struct span some_bytes(struct wire_reader *script) {
    static const uint8_t zeroes[70000];
    uint32_t long_len = 0;
    uint8_t choice = wire_read_u8(script);
    if (choice < 0xf0) {
        size_t len = choice < script->rest.len ? choice : script->rest.len;
        return wire_read_bytes(script, len);
    }
    long_len = wire_read_u32(script) % (uint32_t)sizeof zeroes;
    return span_of(zeroes, long_len);
}

static const char *some_text(struct wire_reader *script, char out[256]) {
    struct span bytes = some_bytes(script);
    (void)span_to_text(bytes, out, 256);
    return out;
}

static struct wire_travel some_travel(struct wire_reader *script) {
    return (struct wire_travel){.area = wire_read_u16(script),
                                .level = wire_read_u8(script),
                                .hops = wire_read_u8(script) % (WIRE_HOPS_MAX + 1)};
}

/* A body goes into a frame, which is read back. */
static void check_frame(const struct wire_type *type, struct wire_writer *writer, size_t begin) {
    struct wire_frame frame;
    union wire_any again;
    wire_frame_end(writer, begin);
    struct wire_reader reader = wire_reader_of(wire_writer_view(writer));
    if (writer->has_failed) {
        ASSERT(!wire_reader_more(&reader));
        return;
    }
    ASSERT(wire_frame_next(&reader, &frame) == WEFT_OK && wire_reader_done(&reader));
    ASSERT(frame.kind == type->kind);
    memset(&again, 0, sizeof again);
    (void)type->decode(frame.body, &again); /* the caller's values may be none */
}

static void fill_message(enum wire_kind kind, struct wire_reader *script, union wire_any *out) {
    static const uint8_t signature[64];
    switch (kind) {
    case WIRE_HEARTBEAT:
        out->heartbeat.sent_us = wire_read_u32(script);
        break;
    case WIRE_UNICAST:
        out->unicast.travel = some_travel(script);
        out->unicast.packet = some_bytes(script);
        break;
    case WIRE_BROADCAST:
        out->broadcast.travel = some_travel(script);
        out->broadcast.channel = some_bytes(script);
        out->broadcast.payload = some_bytes(script);
        out->broadcast.signature = span_of(signature, wire_read_u8(script) < 200 ? 64 : 63);
        break;
    case WIRE_GOSSIP:
        out->gossip.channel = some_bytes(script);
        out->gossip.payload = some_bytes(script);
        break;
    case WIRE_CARRIER:
        out->carrier.length = wire_read_u16(script);
        break;
    case WIRE_REKEY:
        out->rekey.step = wire_read_u8(script);
        out->rekey.message = some_bytes(script);
        break;
    case WIRE_CLOSE:
        out->close.reason = wire_read_u8(script);
        out->close.text = some_bytes(script);
        break;
    case WIRE_NOTES:
        out->notes.act = wire_read_u8(script);
        out->notes.list = some_bytes(script);
        break;
    case WIRE_PULL:
        out->pull.from = wire_read_u64(script);
        break;
    case WIRE_RECORDS:
    case WIRE_SYNC:
    case WIRE_HEADS:
    case WIRE_DELTAS:
        out->records.list = some_bytes(script); /* sync too: a salt, then bytes */
        break;
    }
}

static void encode_message(struct wire_reader *script, struct wire_writer *writer) {
    size_t count = 0;
    const struct wire_type *types = wire_types(&count);
    const struct wire_type *type = &types[wire_read_u8(script) % count];
    union wire_any message;
    memset(&message, 0, sizeof message);
    fill_message((enum wire_kind)type->kind, script, &message);
    if (type->kind == WIRE_SYNC) {
        message.sync = (struct wire_sync){.salt = 7, .items = some_bytes(script)};
    }
    size_t begin = wire_frame_begin(writer, (enum wire_kind)type->kind, wire_read_u8(script));
    type->encode(writer, &message);
    check_frame(type, writer, begin);
}

static void fill_part(struct wire_reader *script, struct wire_part *out) {
    switch ((enum wire_part_type)out->type) {
    case WIRE_PART_OPEN:
        out->as.open.name_space = some_bytes(script);
        out->as.open.name = some_bytes(script);
        break;
    case WIRE_PART_DATA:
        out->as.data.bytes = some_bytes(script);
        break;
    case WIRE_PART_ACK:
        out->as.ack.range_count = wire_read_u8(script) % (WIRE_ACK_RANGES_MAX + 1);
        for (size_t i = 0; i < out->as.ack.range_count; i++) {
            out->as.ack.ranges[i].start = wire_read_u64(script);
            out->as.ack.ranges[i].end = wire_read_u64(script);
        }
        break;
    case WIRE_PART_MESSAGE:
        out->as.message.channel = some_bytes(script);
        out->as.message.payload = some_bytes(script);
        break;
    case WIRE_PART_DATAGRAM:
        out->as.datagram.flags = wire_read_u8(script);
        out->as.datagram.name_space = some_bytes(script);
        out->as.datagram.name = some_bytes(script);
        out->as.datagram.bytes = some_bytes(script);
        break;
    case WIRE_PART_ACCEPT:
    case WIRE_PART_RESET:
    case WIRE_PART_PROBE:
    case WIRE_PART_PING:
    case WIRE_PART_PONG:
    case WIRE_PART_FLOW_END:
        out->as.accept.stream = wire_read_u64(script);
        break;
    default:
        out->body = some_bytes(script);
        break;
    }
}

static void encode_part(struct wire_reader *script, struct wire_writer *writer) {
    struct wire_part part;
    struct wire_part again;
    memset(&part, 0, sizeof part);
    part.type = wire_read_u8(script);
    fill_part(script, &part);
    wire_part_encode(writer, &part);
    struct wire_reader reader = wire_reader_of(wire_writer_view(writer));
    if (!writer->has_failed && wire_part_next(&reader, &again) == WEFT_OK) {
        ASSERT(again.type == part.type && wire_reader_done(&reader));
    }
}

/* A data part whose bytes stand behind it, as packets are built. */
static void encode_data(struct wire_reader *script, struct wire_writer *writer) {
    const struct wire_part_data data = {.stream = wire_read_u64(script),
                                        .offset = wire_read_u32(script),
                                        .flags = wire_read_u8(script)};
    struct span bytes = some_bytes(script);
    struct wire_part again;
    bytes.len = bytes.len < 60000 ? bytes.len : 60000;
    wire_data_begin(writer, &data, bytes.len);
    wire_write_bytes(writer, bytes);
    struct wire_reader reader = wire_reader_of(wire_writer_view(writer));
    if (!writer->has_failed) {
        ASSERT(wire_part_next(&reader, &again) == WEFT_OK && wire_reader_done(&reader));
        ASSERT(again.as.data.offset == data.offset && span_equal(again.as.data.bytes, bytes));
    }
}

static void encode_packet(struct wire_reader *script, struct wire_writer *writer) {
    struct wire_packet packet = {.type = wire_read_u8(script) % 6,
                                 .sender_index = wire_read_u32(script),
                                 .number = wire_read_u64(script)};
    struct wire_packet again;
    packet.rest = some_bytes(script);
    if (packet.type < WIRE_PACKET_INIT || packet.type > WIRE_PACKET_UNKNOWN) {
        packet.type = WIRE_PACKET_SEALED;
    }
    wire_packet_encode(writer, &packet);
    if (!writer->has_failed && wire_packet_decode(wire_writer_view(writer), &again) == WEFT_OK) {
        ASSERT(again.type == packet.type);
    }
}

static void encode_record(struct wire_reader *script, struct wire_writer *writer) {
    static const uint8_t signature[64];
    struct wire_record again;
    struct wire_record record = {.kind = wire_read_u16(script),
                                 .flags = wire_read_u8(script) & WIRE_RECORD_TOMBSTONE,
                                 .incarnation = wire_read_u64(script),
                                 .version = wire_read_u64(script)};
    record.key = some_bytes(script);
    record.body = some_bytes(script);
    wire_record_encode_unsigned(writer, &record);
    wire_write_bytes(writer, span_of(signature, sizeof signature));
    if (!writer->has_failed && wire_record_decode(wire_writer_view(writer), &again) == WEFT_OK) {
        ASSERT(span_equal(again.key, record.key) && span_equal(again.body, record.body));
    }
}

static void encode_service(struct wire_reader *script, struct wire_writer *writer) {
    struct wire_endpoint endpoints[WIRE_ENDPOINTS_MAX];
    struct wire_service_body again;
    uint32_t count = 1 + wire_read_u8(script) % WIRE_ENDPOINTS_MAX;
    uint8_t protocol = wire_read_u8(script);
    for (uint32_t i = 0; i < count; i++) {
        endpoints[i] = (struct wire_endpoint){.address = some_bytes(script),
                                              .health = wire_read_u8(script),
                                              .weight = wire_read_u8(script)};
    }
    wire_service_body_encode(writer, protocol, endpoints, count);
    if (!writer->has_failed &&
        wire_service_body_decode(wire_writer_view(writer), &again) == WEFT_OK) {
        ASSERT(again.protocol == protocol && again.endpoints.count == count);
    }
}

static void encode_peer(struct wire_reader *script, struct wire_writer *writer) {
    static char texts[2 * TEXTS_MAX + 2][256];
    static struct wire_peer_link links[LINKS];
    const char *list[2 * TEXTS_MAX];
    struct wire_peer_body again;
    struct wire_peer_source source = {.name = some_text(script, texts[0]),
                                      .software = some_text(script, texts[1]),
                                      .instance = wire_read_u64(script),
                                      .area = wire_read_u16(script),
                                      .flags = wire_read_u32(script),
                                      .addresses = list,
                                      .labels = list,
                                      .links = links};
    source.address_count = wire_read_u8(script) % TEXTS_MAX;
    source.label_count = wire_read_u8(script) % TEXTS_MAX;
    source.link_count = wire_read_u8(script) % LINKS;
    for (size_t i = 0; i < (size_t)2 * TEXTS_MAX; i++) {
        list[i] = some_text(script, texts[2 + i]);
    }
    for (uint32_t i = 0; i < source.link_count; i++) {
        links[i] = (struct wire_peer_link){.peer = wire_read_peer(script),
                                           .cost_us = wire_read_u32(script)};
    }
    wire_peer_body_encode(writer, &source);
    if (!writer->has_failed && wire_peer_body_decode(wire_writer_view(writer), &again) == WEFT_OK) {
        ASSERT(again.instance == source.instance && again.links.count == source.link_count);
        ASSERT(span_equal(again.name, span_of_text(source.name)));
    }
}

static void encode_hello(struct wire_reader *script, struct wire_writer *writer) {
    static char texts[TEXTS_MAX + 1][256];
    const char *list[TEXTS_MAX];
    struct wire_hello again;
    struct wire_hello hello = {.version_min = wire_read_u8(script),
                               .version_max = wire_read_u8(script),
                               .features = wire_read_u64(script),
                               .incarnation = wire_read_u64(script),
                               .instance = wire_read_u64(script),
                               .area = wire_read_u16(script)};
    hello.name = span_of_text(some_text(script, texts[TEXTS_MAX]));
    if (!wire_name_is_valid(hello.name)) { /* the configuration's are */
        hello.name = span_of_text("fuzz");
    }
    uint32_t count = wire_read_u8(script) % TEXTS_MAX;
    for (uint32_t i = 0; i < count; i++) {
        list[i] = some_text(script, texts[i]);
    }
    wire_hello_encode(writer, &hello, list, count);
    if (!writer->has_failed && wire_hello_decode(wire_writer_view(writer), &again) == WEFT_OK) {
        ASSERT(again.features == hello.features && again.instance == hello.instance);
        ASSERT(writer->len <= WIRE_HELLO_BYTES_MAX);
    }
}

static void encode_session_hello(struct wire_reader *script, struct wire_writer *writer) {
    struct wire_session_hello again;
    const struct wire_session_hello hello = {.ciphers = wire_read_u8(script),
                                             .epoch = wire_read_u64(script),
                                             .incarnation = wire_read_u64(script),
                                             .instance = wire_read_u64(script),
                                             .session = wire_read_u64(script)};
    wire_session_hello_encode(writer, &hello);
    if (!writer->has_failed &&
        wire_session_hello_decode(wire_writer_view(writer), &again) == WEFT_OK) {
        ASSERT(again.epoch == hello.epoch && again.session == hello.session);
    }
}

static void encode_delta(struct wire_reader *script, struct wire_writer *writer) {
    static uint8_t edits_room[ROOM_BYTES];
    static const uint8_t signature[64];
    struct wire_writer edits = wire_writer_of(edits_room, sizeof edits_room);
    struct wire_delta again;
    struct wire_delta delta = {.incarnation = wire_read_u64(script),
                               .version = wire_read_u64(script),
                               .step = wire_read_u32(script)};
    for (unsigned i = wire_read_u8(script) % 4; i > 0; i--) {
        const struct wire_edit edit = {.skip = wire_read_u16(script),
                                       .cut = wire_read_u16(script),
                                       .bytes = some_bytes(script)};
        wire_edit_encode(&edits, &edit);
    }
    delta.edits = wire_writer_view(&edits);
    delta.signature = span_of(signature, sizeof signature);
    wire_delta_encode(writer, &delta);
    struct wire_reader reader = wire_reader_of(wire_writer_view(writer));
    if (!writer->has_failed && wire_deltas_next(&reader, &again) == WEFT_OK) {
        ASSERT(again.step == delta.step && span_equal(again.edits, delta.edits));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static void (*const encoders[])(struct wire_reader * script, struct wire_writer * writer) = {
        encode_message, encode_part, encode_data,  encode_packet,        encode_record,
        encode_service, encode_peer, encode_hello, encode_session_hello, encode_delta,
    };
    struct wire_reader script = wire_reader_of(span_of(data, size));
    uint8_t choice = wire_read_u8(&script) % (sizeof encoders / sizeof encoders[0]);
    size_t bytes = wire_read_u16(&script);
    struct wire_writer writer = wire_writer_of(room, bytes == 0 ? sizeof room : bytes);
    encoders[choice](&script, &writer);
    return 0;
}
