/* SPDX-License-Identifier: Apache-2.0
 *
 * Properties of session packets and of the parts inside them.
 */
#include <criterion/criterion.h>

#include "property/generate.h"

#define ROUNDS 300
#define PART_TYPES 12 /* eleven known, one from the future */

static struct gen gen;

static void setup(void) {
    gen_init(&gen, gen_seed());
}

static void teardown(void) {
    gen_fini(&gen);
}

TestSuite(wire_session, .init = setup, .fini = teardown);

static bool packet_decodes(struct span bytes) {
    uint8_t room[1024];
    struct wire_packet packet;
    struct span copy = heap_copy(bytes);
    bool is_good = wire_packet_decode(copy, &packet) == WEFT_OK;
    if (is_good) {
        struct wire_writer writer = wire_writer_of(room, sizeof room);
        wire_packet_encode(&writer, &packet);
        cr_assert(span_equal(wire_writer_view(&writer), bytes));
    }
    heap_free(copy);
    return is_good;
}

Test(wire_session, a_packet_decodes_to_what_was_encoded) {
    for (int round = 0; round < ROUNDS; round++) {
        uint8_t room[512];
        struct wire_packet packet;
        gen_reset(&gen);
        gen_packet(&gen, &packet);
        struct wire_writer writer = wire_writer_of(room, sizeof room);
        wire_packet_encode(&writer, &packet);
        struct span bytes = wire_writer_view(&writer);
        cr_assert(packet_decodes(bytes));
        size_t fixed = bytes.len - packet.rest.len;
        for (size_t len = 0; len < fixed; len++) {
            cr_assert_not(packet_decodes(span_of(bytes.data, len)));
        }
    }
}

Test(wire_session, random_packets_never_read_past_their_end) {
    for (int round = 0; round < ROUNDS * 20; round++) {
        gen_reset(&gen);
        uint8_t bytes[64];
        struct span random = gen_bytes(&gen, 0, sizeof bytes);
        if (random.len > 0) {
            memcpy(bytes, random.data, random.len);
            bytes[0] &= 7;
        }
        (void)packet_decodes(span_of(bytes, random.len));
    }
}

/* Decodes one part that must fill the bytes; what decodes encodes to the same bytes. */
static bool part_decodes(struct span bytes) {
    uint8_t room[4096];
    struct wire_part part;
    memset(&part, 0, sizeof part);
    struct span copy = heap_copy(bytes);
    struct wire_reader reader = wire_reader_of(copy);
    bool is_good = wire_part_next(&reader, &part) == WEFT_OK && wire_reader_done(&reader);
    if (is_good) {
        struct wire_writer writer = wire_writer_of(room, sizeof room);
        wire_part_encode(&writer, &part);
        cr_assert(span_equal(wire_writer_view(&writer), bytes), "part %u", part.type);
    }
    heap_free(copy);
    return is_good;
}

/* Parts carry their length, so unlike a body no cut or stretched part is another good one. */
static void check_part(uint8_t type) {
    uint8_t room[1024] = {0};
    struct wire_part part;
    gen_part(&gen, type, &part);
    struct wire_writer writer = wire_writer_of(room, sizeof room - 1);
    wire_part_encode(&writer, &part);
    struct span bytes = wire_writer_view(&writer);
    cr_assert(part_decodes(bytes), "part %u", type);
    cr_assert_not(part_decodes(span_of(room, bytes.len + 1)), "part %u", type);
    for (size_t len = 0; len < bytes.len; len++) {
        cr_assert_not(part_decodes(span_of(room, len)), "part %u cut to %zu", type, len);
    }
    for (int i = 0; i < 20; i++) {
        size_t at = (size_t)gen_below(&gen, bytes.len);
        uint8_t before = room[at];
        room[at] = (uint8_t)gen_number(&gen);
        (void)part_decodes(bytes);
        room[at] = before;
    }
}

Test(wire_session, every_part_decodes_to_what_was_encoded_and_is_exact) {
    for (int round = 0; round < ROUNDS; round++) {
        gen_reset(&gen);
        check_part((uint8_t)(1 + round % PART_TYPES));
    }
}

Test(wire_session, parts_follow_each_other_in_a_packet) {
    uint8_t room[8192];
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    for (uint8_t type = 1; type <= PART_TYPES; type++) {
        struct wire_part part;
        gen_part(&gen, type, &part);
        wire_part_encode(&writer, &part);
    }
    struct wire_reader reader = wire_reader_of(wire_writer_view(&writer));
    for (uint8_t type = 1; type <= PART_TYPES; type++) {
        struct wire_part part;
        cr_assert_eq(wire_part_next(&reader, &part), WEFT_OK);
        cr_assert_eq(part.type, type);
    }
    cr_assert(wire_reader_done(&reader));
}
