/* SPDX-License-Identifier: Apache-2.0
 *
 * Properties of every row of the table of frame kinds, and of signed records. Since each binary
 * message has exactly one encoding, whatever decodes must encode to the very bytes it came from:
 * that claim is checked for valid, cut, stretched, flipped and random bytes alike.
 */
#include <criterion/criterion.h>

#include "property/generate.h"

#define ROUNDS 200

static struct gen gen;

static void setup(void) {
    gen_init(&gen, gen_seed());
}

static void teardown(void) {
    gen_fini(&gen);
}

TestSuite(wire_frames, .init = setup, .fini = teardown);

/* Decodes a copy; if that succeeds the message must encode to the same bytes. */
static bool decodes(const struct wire_type *type, struct span body) {
    static uint8_t room[WIRE_BODY_BYTES_MAX];
    union wire_any message;
    memset(&message, 0, sizeof message);
    struct span copy = heap_copy(body);
    bool is_good = type->decode(copy, &message) == WEFT_OK;
    if (is_good) {
        struct wire_writer writer = wire_writer_of(room, sizeof room);
        type->encode(&writer, &message);
        cr_assert(!writer.has_failed && span_equal(wire_writer_view(&writer), body),
                  "%s encodes otherwise", type->name);
        cr_assert(body.len >= type->body_bytes_min && body.len <= type->body_bytes_max);
    }
    heap_free(copy);
    return is_good;
}

/* Runs a check over random valid bodies of every row. */
static void for_each_body(void (*check)(const struct wire_type *type, struct span body)) {
    size_t count = 0;
    const struct wire_type *types = wire_types(&count);
    for (size_t i = 0; i < count; i++) {
        for (int round = 0; round < ROUNDS; round++) {
            union wire_any message;
            gen_reset(&gen);
            cr_assert(gen_message(&gen, (uint8_t)types[i].kind, &message), "no generator for %s",
                      types[i].name);
            check(&types[i], gen_encode(&gen, &types[i], &message));
        }
    }
}

static void check_identity(const struct wire_type *type, struct span body) {
    cr_assert(decodes(type, body), "%s", type->name);
}

Test(wire_frames, decode_is_the_inverse_of_encode) {
    for_each_body(check_identity);
}

static void check_cut(const struct wire_type *type, struct span body) {
    size_t step = body.len > 300 ? 7 : 1;
    for (size_t len = 0; len < body.len; len += step) {
        bool is_good = decodes(type, span_of(body.data, len));
        bool is_fixed = type->body_bytes_min == type->body_bytes_max;
        cr_assert(!is_good || (!is_fixed && len >= type->body_bytes_min), "%s cut to %zu",
                  type->name, len);
    }
}

Test(wire_frames, a_cut_body_is_refused_or_another_whole_message) {
    for_each_body(check_cut);
}

static void check_stretched(const struct wire_type *type, struct span body) {
    uint8_t stretched[WIRE_BODY_BYTES_MAX];
    memcpy(stretched, body.data, body.len);
    stretched[body.len] = (uint8_t)gen_number(&gen);
    bool is_good = decodes(type, span_of(stretched, body.len + 1));
    cr_assert(!is_good || type->body_bytes_min != type->body_bytes_max, "%s", type->name);
}

Test(wire_frames, an_extra_byte_is_refused_or_part_of_the_message) {
    for_each_body(check_stretched);
}

static void check_flipped(const struct wire_type *type, struct span body) {
    if (body.len == 0) {
        return;
    }
    uint8_t flipped[WIRE_BODY_BYTES_MAX];
    memcpy(flipped, body.data, body.len);
    flipped[gen_below(&gen, body.len)] ^= (uint8_t)gen_between(&gen, 1, 255);
    (void)decodes(type, span_of(flipped, body.len));
}

Test(wire_frames, a_flipped_body_never_reads_past_its_end) {
    for_each_body(check_flipped);
}

Test(wire_frames, random_bytes_never_read_past_their_end) {
    size_t count = 0;
    const struct wire_type *types = wire_types(&count);
    for (size_t i = 0; i < count * ROUNDS * 5; i++) {
        gen_reset(&gen);
        (void)decodes(&types[i % count], gen_bytes(&gen, 0, 300));
    }
}

static void check_frame_cut(const struct wire_type *type, struct span body) {
    static uint8_t room[WIRE_BODY_BYTES_MAX + WIRE_FRAME_HEADER_BYTES];
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    size_t begin = wire_frame_begin(&writer, type->kind, 0);
    wire_write_bytes(&writer, body);
    wire_frame_end(&writer, begin);
    struct span whole = wire_writer_view(&writer);
    size_t step = whole.len > 300 ? 7 : 1;
    for (size_t len = 0; len < whole.len; len += step) {
        struct span copy = heap_copy(span_of(whole.data, len));
        struct wire_reader reader = wire_reader_of(copy);
        struct wire_frame frame;
        cr_assert_eq(wire_frame_next(&reader, &frame), WEFT_ERR_MALFORMED, "%s", type->name);
        heap_free(copy);
    }
}

Test(wire_frames, every_truncation_of_a_frame_is_refused) {
    for_each_body(check_frame_cut);
}

Test(wire_frames, a_body_beyond_its_bounds_is_refused) {
    static uint8_t zeroes[UINT16_MAX + 1];
    size_t count = 0;
    const struct wire_type *types = wire_types(&count);
    for (size_t i = 0; i < count; i++) {
        union wire_any message;
        size_t min = types[i].body_bytes_min;
        if (min > 0) {
            cr_assert_neq(types[i].decode(span_of(zeroes, min - 1), &message), WEFT_OK);
        }
        struct span above = span_of(zeroes, types[i].body_bytes_max + 1);
        cr_assert_neq(types[i].decode(above, &message), WEFT_OK, "%s", types[i].name);
        cr_assert_neq(types[i].decode(span_of(zeroes, sizeof zeroes), &message), WEFT_OK);
    }
}

Test(wire_frames, table_is_in_order_of_kind_and_finds_its_rows) {
    size_t count = 0;
    const struct wire_type *types = wire_types(&count);
    for (size_t i = 0; i < count; i++) {
        cr_assert(i == 0 || types[i].kind > types[i - 1].kind);
        cr_assert_eq(wire_type_of((uint8_t)types[i].kind), &types[i]);
        cr_assert_lt(types[i].class, WIRE_CLASS_COUNT);
    }
    cr_assert_null(wire_type_of(0));
    cr_assert_null(wire_type_of(200));
}

/* Decodes a copy of a record; what decodes encodes to the same bytes. */
static bool record_decodes(struct span bytes) {
    uint8_t room[1024];
    struct wire_record record;
    struct span copy = heap_copy(bytes);
    bool is_good = wire_record_decode(copy, &record) == WEFT_OK;
    if (is_good) {
        struct wire_writer writer = wire_writer_of(room, sizeof room);
        wire_record_encode_unsigned(&writer, &record);
        cr_assert(span_equal(wire_writer_view(&writer), record.signed_part));
        wire_write_bytes(&writer, record.signature);
        cr_assert(span_equal(wire_writer_view(&writer), bytes));
    }
    heap_free(copy);
    return is_good;
}

Test(wire_frames, a_record_decodes_to_what_was_encoded) {
    for (int round = 0; round < ROUNDS * 5; round++) {
        gen_reset(&gen);
        cr_assert(record_decodes(gen_record(&gen)));
    }
}

Test(wire_frames, every_truncation_and_extra_byte_of_a_record_is_refused) {
    for (int round = 0; round < ROUNDS / 4; round++) {
        gen_reset(&gen);
        struct span record = gen_record(&gen);
        uint8_t stretched[1024] = {0};
        memcpy(stretched, record.data, record.len);
        cr_assert_not(record_decodes(span_of(stretched, record.len + 1)));
        for (size_t len = 0; len < record.len; len++) {
            cr_assert_not(record_decodes(span_of(record.data, len)));
        }
    }
}

Test(wire_frames, a_flipped_record_never_reads_past_its_end) {
    for (int round = 0; round < ROUNDS * 20; round++) {
        gen_reset(&gen);
        struct span record = gen_record(&gen);
        uint8_t flipped[1024];
        memcpy(flipped, record.data, record.len);
        flipped[gen_below(&gen, record.len)] ^= (uint8_t)gen_between(&gen, 1, 255);
        (void)record_decodes(span_of(flipped, record.len));
    }
}
