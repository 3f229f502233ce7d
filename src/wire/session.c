/* SPDX-License-Identifier: Apache-2.0
 *
 * What two end nodes say to each other: the packet's outside, which relays may see, and the parts
 * inside a sealed one. docs/protocol.md, "Sessions" and "Streams".
 */
#include "wire/session.h"

#include "base/check.h"
#include "wire/body.h"

#define SEALED_TAG_BYTES 16

static void read_init(struct wire_reader *reader, struct wire_init *out) {
    wire_read_copy(reader, out->key.bytes, sizeof out->key.bytes);
    out->incarnation = wire_read_u64(reader);
    out->instance = wire_read_u64(reader);
    out->epoch = wire_read_u64(reader);
    wire_read_copy(reader, out->mac, sizeof out->mac);
}

static void write_init(struct wire_writer *writer, const struct wire_init *init) {
    wire_write_bytes(writer, span_of(init->key.bytes, sizeof init->key.bytes));
    wire_write_u64(writer, init->incarnation);
    wire_write_u64(writer, init->instance);
    wire_write_u64(writer, init->epoch);
    wire_write_bytes(writer, span_of(init->mac, sizeof init->mac));
}

static void read_packet(struct wire_reader *reader, struct wire_packet *out) {
    switch ((enum wire_packet_type)out->type) {
    case WIRE_PACKET_INIT:
        out->sender_index = wire_read_u32(reader);
        read_init(reader, &out->init);
        wire_demand(reader, wire_reader_more(reader));
        break;
    case WIRE_PACKET_RESPONSE:
        out->sender_index = wire_read_u32(reader);
        out->receiver_index = wire_read_u32(reader);
        wire_demand(reader, wire_reader_more(reader));
        break;
    case WIRE_PACKET_SEALED:
        out->receiver_index = wire_read_u32(reader);
        out->number = wire_read_u64(reader);
        wire_demand(reader, reader->rest.len >= SEALED_TAG_BYTES);
        break;
    case WIRE_PACKET_UNKNOWN:
        out->receiver_index = wire_read_u32(reader);
        wire_demand(reader, reader->rest.len == 0);
        break;
    default: /* a peer's byte may be anything */
        wire_reader_fail(reader);
    }
}

enum weft_err wire_packet_decode(struct span bytes, struct wire_packet *out) {
    struct wire_reader reader = wire_reader_of(bytes);
    *out = (struct wire_packet){0};
    wire_demand(&reader, bytes.len <= WIRE_PACKET_BYTES_MAX);
    out->type = wire_read_u8(&reader);
    read_packet(&reader, out);
    out->rest = wire_read_rest(&reader);
    return wire_verdict(&reader);
}

void wire_packet_encode(struct wire_writer *writer, const struct wire_packet *packet) {
    wire_write_u8(writer, packet->type);
    if (packet->type == WIRE_PACKET_INIT || packet->type == WIRE_PACKET_RESPONSE) {
        wire_write_u32(writer, packet->sender_index);
    }
    if (packet->type == WIRE_PACKET_INIT) {
        write_init(writer, &packet->init);
    } else {
        wire_write_u32(writer, packet->receiver_index);
    }
    if (packet->type == WIRE_PACKET_SEALED) {
        wire_write_u64(writer, packet->number);
    }
    wire_write_bytes(writer, packet->rest);
}

enum weft_err wire_session_hello_decode(struct span bytes, struct wire_session_hello *out) {
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_map map = wire_map_of(&reader);
    struct wire_fields fields = {0};
    char key;
    *out = (struct wire_session_hello){0};
    while (wire_fields_next(&fields, &map, &key)) {
        switch (key) {
        case 'c':
            out->ciphers = (uint8_t)wire_read_mp_between(&reader, 1, UINT8_MAX);
            break;
        case 'e':
            out->epoch = wire_read_mp_between(&reader, 0, WIRE_VERSION_LIMIT - 1);
            break;
        case 'i':
            out->instance = wire_read_mp_uint(&reader);
            break;
        case 'k':
            wire_read_mp_exact(&reader, out->key.bytes, sizeof out->key.bytes);
            break;
        case 's':
            out->session = wire_read_mp_uint(&reader);
            break;
        case 'v':
            out->incarnation = wire_read_mp_between(&reader, 1, WIRE_VERSION_LIMIT - 1);
            break;
        default:
            wire_skip_mp(&reader);
        }
    }
    wire_fields_demand(&fields, &reader, "ceikv");
    return wire_verdict(&reader);
}

void wire_session_hello_encode(struct wire_writer *writer, const struct wire_session_hello *hello) {
    wire_write_mp_map(writer, hello->session != 0 ? 6 : 5);
    wire_write_mp_key(writer, 'c');
    wire_write_mp_uint(writer, hello->ciphers);
    wire_write_mp_key(writer, 'e');
    wire_write_mp_uint(writer, hello->epoch);
    wire_write_mp_key(writer, 'i');
    wire_write_mp_uint(writer, hello->instance);
    wire_write_mp_key(writer, 'k');
    wire_write_mp_bytes(writer, span_of(hello->key.bytes, sizeof hello->key.bytes));
    if (hello->session != 0) {
        wire_write_mp_key(writer, 's');
        wire_write_mp_uint(writer, hello->session);
    }
    wire_write_mp_key(writer, 'v');
    wire_write_mp_uint(writer, hello->incarnation);
}

static void read_open(struct wire_reader *reader, struct wire_part_open *out) {
    out->stream = wire_read_u64(reader);
    out->credit = wire_read_u64(reader);
    out->protocol = wire_read_u8(reader);
    out->name_space = wire_read_name(reader);
    out->name = wire_read_name(reader);
}

static void read_data(struct wire_reader *reader, struct wire_part_data *out) {
    out->stream = wire_read_u64(reader);
    out->offset = wire_read_u64(reader);
    out->flags = wire_read_u8(reader);
    out->bytes = wire_read_rest(reader);
    wire_demand(reader, out->bytes.len <= UINT64_MAX - out->offset);
}

/* Increasing, disjoint, none empty, none touching what lies before it. */
static void read_ranges(struct wire_reader *reader, struct wire_part_ack *out) {
    uint64_t end = out->cumulative;
    for (size_t i = 0; i < out->range_count; i++) {
        struct wire_range *range = &out->ranges[i];
        range->start = wire_read_u64(reader);
        range->end = wire_read_u64(reader);
        wire_demand(reader, range->start > end && range->end > range->start);
        end = range->end;
    }
}

static void read_ack(struct wire_reader *reader, struct wire_part_ack *out) {
    out->stream = wire_read_u64(reader);
    out->flags = wire_read_u8(reader);
    out->cumulative = wire_read_u64(reader);
    out->credit = wire_read_u64(reader);
    out->marks = wire_read_u32(reader);
    out->range_count = wire_read_u8(reader);
    if (out->range_count > WIRE_ACK_RANGES_MAX) {
        wire_reader_fail(reader);
        return;
    }
    read_ranges(reader, out);
}

static void read_message(struct wire_reader *reader, struct wire_part_message *out) {
    out->channel = wire_read_name(reader);
    out->payload = wire_read_rest(reader);
}

static void read_datagram(struct wire_reader *reader, struct wire_part_datagram *out) {
    out->flow = wire_read_u64(reader);
    out->flags = wire_read_u8(reader);
    if ((out->flags & WIRE_DATAGRAM_NAMED) != 0) {
        out->name_space = wire_read_name(reader);
        out->name = wire_read_name(reader);
    }
    out->bytes = wire_read_rest(reader);
}

static void read_part(struct wire_reader *reader, struct wire_part *out) {
    switch ((enum wire_part_type)out->type) {
    case WIRE_PART_OPEN:
        read_open(reader, &out->as.open);
        break;
    case WIRE_PART_ACCEPT:
        out->as.accept.stream = wire_read_u64(reader);
        out->as.accept.credit = wire_read_u64(reader);
        break;
    case WIRE_PART_DATA:
        read_data(reader, &out->as.data);
        break;
    case WIRE_PART_ACK:
        read_ack(reader, &out->as.ack);
        break;
    case WIRE_PART_RESET:
        out->as.reset.stream = wire_read_u64(reader);
        out->as.reset.reason = wire_read_u16(reader);
        break;
    case WIRE_PART_PROBE:
        out->as.probe.stream = wire_read_u64(reader);
        break;
    case WIRE_PART_MESSAGE:
        read_message(reader, &out->as.message);
        break;
    case WIRE_PART_PING:
    case WIRE_PART_PONG:
        out->as.ping.token = wire_read_u64(reader);
        break;
    case WIRE_PART_DATAGRAM:
        read_datagram(reader, &out->as.datagram);
        break;
    case WIRE_PART_FLOW_END:
        out->as.flow_end.flow = wire_read_u64(reader);
        out->as.flow_end.reason = wire_read_u16(reader);
        break;
    default: /* not ours to understand: the body stays as it is */
        (void)wire_read_rest(reader);
    }
}

enum weft_err wire_part_next(struct wire_reader *plaintext, struct wire_part *out) {
    out->type = wire_read_u8(plaintext);
    out->body = wire_read_bytes(plaintext, wire_read_u16(plaintext));
    if (plaintext->has_failed) {
        return WEFT_ERR_MALFORMED;
    }
    struct wire_reader reader = wire_reader_of(out->body);
    read_part(&reader, out);
    if (!wire_reader_done(&reader)) {
        wire_reader_fail(plaintext);
        return WEFT_ERR_MALFORMED;
    }
    return WEFT_OK;
}

static void write_open(struct wire_writer *writer, const struct wire_part_open *open) {
    wire_write_u64(writer, open->stream);
    wire_write_u64(writer, open->credit);
    wire_write_u8(writer, open->protocol);
    wire_write_short(writer, open->name_space);
    wire_write_short(writer, open->name);
}

static void write_data_header(struct wire_writer *writer, const struct wire_part_data *data) {
    wire_write_u64(writer, data->stream);
    wire_write_u64(writer, data->offset);
    wire_write_u8(writer, data->flags);
}

static void write_ack(struct wire_writer *writer, const struct wire_part_ack *ack) {
    ASSERT(ack->range_count <= WIRE_ACK_RANGES_MAX);
    wire_write_u64(writer, ack->stream);
    wire_write_u8(writer, ack->flags);
    wire_write_u64(writer, ack->cumulative);
    wire_write_u64(writer, ack->credit);
    wire_write_u32(writer, ack->marks);
    wire_write_u8(writer, ack->range_count);
    for (size_t i = 0; i < ack->range_count; i++) {
        wire_write_u64(writer, ack->ranges[i].start);
        wire_write_u64(writer, ack->ranges[i].end);
    }
}

static void write_datagram(struct wire_writer *writer, const struct wire_part_datagram *datagram) {
    wire_write_u64(writer, datagram->flow);
    wire_write_u8(writer, datagram->flags);
    if ((datagram->flags & WIRE_DATAGRAM_NAMED) != 0) {
        wire_write_short(writer, datagram->name_space);
        wire_write_short(writer, datagram->name);
    }
    wire_write_bytes(writer, datagram->bytes);
}

static void write_part(struct wire_writer *writer, const struct wire_part *part) {
    switch ((enum wire_part_type)part->type) {
    case WIRE_PART_OPEN:
        write_open(writer, &part->as.open);
        break;
    case WIRE_PART_ACCEPT:
        wire_write_u64(writer, part->as.accept.stream);
        wire_write_u64(writer, part->as.accept.credit);
        break;
    case WIRE_PART_DATA:
        write_data_header(writer, &part->as.data);
        wire_write_bytes(writer, part->as.data.bytes);
        break;
    case WIRE_PART_ACK:
        write_ack(writer, &part->as.ack);
        break;
    case WIRE_PART_RESET:
        wire_write_u64(writer, part->as.reset.stream);
        wire_write_u16(writer, part->as.reset.reason);
        break;
    case WIRE_PART_PROBE:
        wire_write_u64(writer, part->as.probe.stream);
        break;
    case WIRE_PART_MESSAGE:
        wire_write_short(writer, part->as.message.channel);
        wire_write_bytes(writer, part->as.message.payload);
        break;
    case WIRE_PART_PING:
    case WIRE_PART_PONG:
        wire_write_u64(writer, part->as.ping.token);
        break;
    case WIRE_PART_DATAGRAM:
        write_datagram(writer, &part->as.datagram);
        break;
    case WIRE_PART_FLOW_END:
        wire_write_u64(writer, part->as.flow_end.flow);
        wire_write_u16(writer, part->as.flow_end.reason);
        break;
    default:
        wire_write_bytes(writer, part->body);
    }
}

void wire_data_begin(struct wire_writer *writer, const struct wire_part_data *data, size_t len) {
    ASSERT(len <= UINT16_MAX - WIRE_DATA_HEADER_BYTES);
    wire_write_u8(writer, WIRE_PART_DATA);
    wire_write_u16(writer, (uint16_t)(WIRE_DATA_HEADER_BYTES + len));
    write_data_header(writer, data);
}

void wire_part_encode(struct wire_writer *writer, const struct wire_part *part) {
    wire_write_u8(writer, part->type);
    size_t begin = writer->len;
    wire_write_u16(writer, 0);
    write_part(writer, part);
    if (writer->has_failed) {
        return;
    }
    size_t len = writer->len - begin - 2;
    if (len > UINT16_MAX) {
        writer->has_failed = true;
        return;
    }
    writer->data[begin] = (uint8_t)(len >> 8);
    writer->data[begin + 1] = (uint8_t)len;
}
