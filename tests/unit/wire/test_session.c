/* SPDX-License-Identifier: Apache-2.0
 *
 * Session packets and parts: what their decoders refuse.
 */
#include <criterion/criterion.h>

#include "wire/session.h"

static uint8_t room[70000];

static bool packet_of(size_t len, uint8_t type) {
    struct wire_packet packet;
    memset(room, 0, sizeof room);
    room[0] = type;
    return wire_packet_decode(span_of(room, len), &packet) == WEFT_OK;
}

Test(wire_session, packets_have_a_least_and_a_greatest_size) {
    cr_assert_not(packet_of(0, 0));
    cr_assert_not(packet_of(WIRE_INIT_HEADER_BYTES, WIRE_PACKET_INIT));
    cr_assert(packet_of(WIRE_INIT_HEADER_BYTES + 1, WIRE_PACKET_INIT));
    cr_assert_not(packet_of(9, WIRE_PACKET_RESPONSE));
    cr_assert(packet_of(10, WIRE_PACKET_RESPONSE));
    cr_assert_not(packet_of(28, WIRE_PACKET_SEALED));
    cr_assert(packet_of(29, WIRE_PACKET_SEALED));
    cr_assert(packet_of(WIRE_PACKET_BYTES_MAX, WIRE_PACKET_SEALED));
    cr_assert_not(packet_of(WIRE_PACKET_BYTES_MAX + 1, WIRE_PACKET_SEALED));
    cr_assert(packet_of(5, WIRE_PACKET_UNKNOWN));
    cr_assert_not(packet_of(6, WIRE_PACKET_UNKNOWN));
    cr_assert_not(packet_of(4, WIRE_PACKET_UNKNOWN));
}

Test(wire_session, unknown_packet_types_are_refused) {
    cr_assert_not(packet_of(40, 0));
    cr_assert_not(packet_of(40, 5));
    cr_assert_not(packet_of(40, 255));
}

/* Whether a part survives being encoded and decoded. */
static bool part_survives(const struct wire_part *part) {
    struct wire_part out;
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    wire_part_encode(&writer, part);
    struct wire_reader reader = wire_reader_of(wire_writer_view(&writer));
    return !writer.has_failed && wire_part_next(&reader, &out) == WEFT_OK;
}

static bool ack_survives(uint64_t cumulative, uint8_t count, const uint64_t *edges) {
    struct wire_part part = {.type = WIRE_PART_ACK};
    part.as.ack.cumulative = cumulative;
    part.as.ack.range_count = count;
    for (size_t i = 0; i < count; i++) {
        part.as.ack.ranges[i] = (struct wire_range){edges[2 * i], edges[2 * i + 1]};
    }
    return part_survives(&part);
}
#define ACK_SURVIVES(cumulative, count, ...)                                                       \
    ack_survives(cumulative, count, (const uint64_t[]){__VA_ARGS__})

Test(wire_session, ranges_are_ordered_disjoint_and_not_empty) {
    cr_assert(ACK_SURVIVES(10, 2, 11, 12, 13, 14));
    cr_assert_not(ACK_SURVIVES(10, 1, 10, 12), "touches what is below it");
    cr_assert_not(ACK_SURVIVES(10, 1, 9, 12));
    cr_assert_not(ACK_SURVIVES(10, 1, 11, 11));
    cr_assert_not(ACK_SURVIVES(10, 1, 12, 11));
    cr_assert_not(ACK_SURVIVES(10, 2, 11, 12, 12, 13));
    cr_assert_not(ACK_SURVIVES(10, 2, 20, 30, 11, 12));
    cr_assert(ACK_SURVIVES(UINT64_MAX - 2, 1, UINT64_MAX - 1, UINT64_MAX));
    cr_assert_not(ACK_SURVIVES(UINT64_MAX, 1, 0, 1));
}

Test(wire_session, seventeen_ranges_are_refused) {
    struct wire_part part = {.type = WIRE_PART_ACK};
    struct wire_part out;
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    wire_part_encode(&writer, &part);
    size_t len = writer.len + 17 * 16;
    memset(room + writer.len, 0, 17 * 16);
    for (uint8_t i = 0; i < 17; i++) {
        room[writer.len + 16 * i + 7] = (uint8_t)(2 * i + 1);
        room[writer.len + 16 * i + 15] = (uint8_t)(2 * i + 2);
    }
    size_t body = len - WIRE_PART_HEADER_BYTES;
    room[1] = (uint8_t)(body >> 8);
    room[2] = (uint8_t)body;
    room[writer.len - 1] = 17;
    struct wire_reader reader = wire_reader_of(span_of(room, len));
    cr_assert_neq(wire_part_next(&reader, &out), WEFT_OK);
    body -= 16;
    room[1] = (uint8_t)(body >> 8);
    room[2] = (uint8_t)body;
    room[writer.len - 1] = 16;
    reader = wire_reader_of(span_of(room, len - 16));
    cr_assert_eq(wire_part_next(&reader, &out), WEFT_OK);
    cr_assert_eq(out.as.ack.ranges[15].end, 32);
}

Test(wire_session, data_does_not_reach_beyond_the_last_offset) {
    struct wire_part part = {.type = WIRE_PART_DATA};
    part.as.data.bytes = span_of_text("abcd");
    part.as.data.offset = UINT64_MAX - 4;
    cr_assert(part_survives(&part));
    part.as.data.offset = UINT64_MAX - 3;
    cr_assert_not(part_survives(&part));
}

Test(wire_session, an_open_names_a_service) {
    struct wire_part part = {.type = WIRE_PART_OPEN};
    part.as.open.name_space = span_of_text("default");
    part.as.open.name = span_of_text("web");
    cr_assert(part_survives(&part));
    part.as.open.name = span_of_text("w b");
    cr_assert_not(part_survives(&part));
    part.as.open.name = span_of(NULL, 0);
    cr_assert_not(part_survives(&part));
}

Test(wire_session, a_part_of_known_type_and_other_size_is_refused) {
    static const uint8_t sizes[] = {0, 16, 0, 0, 10, 8, 0, 8, 8};
    for (uint8_t type = WIRE_PART_OPEN; type <= WIRE_PART_PONG; type++) {
        size_t size = sizes[type - 1];
        for (size_t len = 0; size > 0 && len < 20; len++) {
            struct wire_part part;
            uint8_t bytes[32] = {type, 0, (uint8_t)len};
            struct wire_reader reader = wire_reader_of(span_of(bytes, 3 + len));
            bool is_good = wire_part_next(&reader, &part) == WEFT_OK;
            cr_assert_eq(is_good, len == size, "type %u length %zu", type, len);
        }
    }
}

Test(wire_session, an_unknown_part_keeps_its_body) {
    static const uint8_t bytes[] = {77, 0, 2, 8, 9, 6, 0, 8, 0, 0, 0, 0, 0, 0, 0, 5};
    struct wire_reader reader = wire_reader_of(span_of(bytes, sizeof bytes));
    struct wire_part part;
    cr_assert_eq(wire_part_next(&reader, &part), WEFT_OK);
    cr_assert(part.type == 77 && part.body.len == 2 && part.body.data[1] == 9);
    cr_assert_eq(wire_part_next(&reader, &part), WEFT_OK);
    cr_assert(part.type == WIRE_PART_PROBE && part.as.probe.stream == 5);
}

Test(wire_session, a_part_longer_than_its_packet_fails_the_packet_for_good) {
    static const uint8_t bytes[] = {77, 0xff, 0xff, 6, 0, 8, 0, 0, 0, 0, 0, 0, 0, 5};
    struct wire_reader reader = wire_reader_of(span_of(bytes, sizeof bytes));
    struct wire_part part;
    cr_assert_eq(wire_part_next(&reader, &part), WEFT_ERR_MALFORMED);
    cr_assert_eq(wire_part_next(&reader, &part), WEFT_ERR_MALFORMED);
}

Test(wire_session, a_part_that_is_too_long_is_not_written) {
    static const uint8_t large[UINT16_MAX];
    struct wire_part part = {.type = WIRE_PART_DATA};
    part.as.data.bytes = span_of(large, UINT16_MAX - WIRE_DATA_HEADER_BYTES);
    cr_assert(part_survives(&part));
    part.as.data.bytes.len++;
    cr_assert_not(part_survives(&part));
}

Test(wire_session, a_part_that_does_not_fit_fails_the_writer) {
    struct wire_part part = {.type = WIRE_PART_PROBE};
    struct wire_writer writer = wire_writer_of(room, 5);
    wire_part_encode(&writer, &part);
    cr_assert(writer.has_failed);
}

static bool hello_survives(uint8_t ciphers, uint64_t epoch, uint64_t incarnation) {
    struct wire_session_hello hello = {.ciphers = ciphers, .epoch = epoch};
    struct wire_session_hello out;
    hello.incarnation = incarnation;
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    wire_session_hello_encode(&writer, &hello);
    return wire_session_hello_decode(wire_writer_view(&writer), &out) == WEFT_OK;
}

Test(wire_session, a_session_hello_has_a_cipher_and_bounded_numbers) {
    cr_assert(hello_survives(1, 0, 1));
    cr_assert_not(hello_survives(0, 1, 1));
    cr_assert_not(hello_survives(1, 1, 0));
    cr_assert_not(hello_survives(1, 1, UINT64_MAX));
    cr_assert_not(hello_survives(1, (uint64_t)1 << 63, 1));
}

Test(wire_session, a_session_hello_lacks_nothing) {
    struct wire_session_hello out;
    static const char *const keys[] = {"eikv", "cikv", "cekv", "ceiv", "ceik"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct wire_writer writer = wire_writer_of(room, sizeof room);
        wire_write_mp_map(&writer, 4);
        for (const char *key = keys[i]; *key != '\0'; key++) {
            static const uint8_t zeroes[WEFT_KEY_BYTES];
            wire_write_mp_key(&writer, *key);
            if (*key == 'k') {
                wire_write_mp_bytes(&writer, span_of(zeroes, sizeof zeroes));
            } else {
                wire_write_mp_uint(&writer, 1);
            }
        }
        cr_assert_neq(wire_session_hello_decode(wire_writer_view(&writer), &out), WEFT_OK);
    }
}
