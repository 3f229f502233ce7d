/* SPDX-License-Identifier: Apache-2.0
 *
 * The cursor that reads: sticky failure, and msgpack that lies about lengths, counts and depth
 * (T10).
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "wire/reader.h"

#define READER_OF(...)                                                                             \
    wire_reader_of(span_of((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})))

Test(wire_reader, integers_are_big_endian) {
    struct wire_reader reader = READER_OF(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    cr_assert_eq(wire_read_u8(&reader), 1);
    cr_assert_eq(wire_read_u16(&reader), 0x0203);
    cr_assert_eq(wire_read_u32(&reader), 0x04050607);
    cr_assert_eq(wire_read_u64(&reader), 0x08090a0b0c0d0e0f);
    cr_assert(wire_reader_done(&reader));
}

Test(wire_reader, a_read_past_the_end_yields_zero_and_fails_for_good) {
    struct wire_reader reader = READER_OF(1, 2, 3);
    cr_assert_eq(wire_read_u32(&reader), 0);
    cr_assert(reader.has_failed);
    cr_assert_eq(wire_read_u8(&reader), 0);
    cr_assert_not(wire_reader_done(&reader));
    cr_assert_not(wire_reader_more(&reader));
}

Test(wire_reader, a_copy_past_the_end_is_zeroed) {
    struct wire_reader reader = READER_OF(1, 2, 3);
    uint8_t out[4] = {9, 9, 9, 9};
    wire_read_copy(&reader, out, sizeof out);
    cr_assert(reader.has_failed);
    cr_assert_arr_eq(out, ((uint8_t[4]){0}), sizeof out);
}

Test(wire_reader, reading_nothing_of_nothing_is_no_failure) {
    struct wire_reader reader = wire_reader_of(span_of(NULL, 0));
    uint8_t untouched = 7;
    wire_read_copy(&reader, &untouched, 0);
    cr_assert_eq(wire_read_bytes(&reader, 0).len, 0);
    cr_assert(wire_reader_done(&reader));
    cr_assert_eq(untouched, 7);
}

Test(wire_reader, a_short_text_beyond_its_bound_fails) {
    struct wire_reader fits = READER_OF(2, 'a', 'b');
    struct wire_reader longer = READER_OF(3, 'a', 'b', 'c');
    struct wire_reader lies = READER_OF(2, 'a');
    cr_assert(span_equal(wire_read_short(&fits, 2), span_of_text("ab")));
    cr_assert_eq(wire_read_short(&longer, 2).len, 0);
    cr_assert_eq(wire_read_short(&lies, 2).len, 0);
    cr_assert(wire_reader_done(&fits) && longer.has_failed && lies.has_failed);
}

Test(wire_reader, a_peer_id_is_sixteen_bytes) {
    struct wire_reader reader = READER_OF(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
    struct weft_peer_id id = wire_read_peer(&reader);
    cr_assert(id.bytes[0] == 1 && id.bytes[15] == 16 && wire_reader_done(&reader));
}

Test(wire_reader, unsigned_integers_of_any_width_are_read) {
    struct wire_reader reader =
        READER_OF(5, 0xcc, 5, 0xcd, 0, 5, 0xce, 0, 0, 0, 5, 0xcf, 0, 0, 0, 0, 0, 0, 0, 5);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(wire_read_mp_uint(&reader), 5);
    }
    cr_assert(wire_reader_done(&reader));
}

Test(wire_reader, texts_and_bytes_of_any_width_are_read) {
    struct wire_reader reader =
        READER_OF(0xa1, 'x', 0xd9, 1, 'x', 0xda, 0, 1, 'x', 0xdb, 0, 0, 0, 1, 'x', 0xc4, 1, 'x',
                  0xc5, 0, 1, 'x', 0xc6, 0, 0, 0, 1, 'x');
    for (int i = 0; i < 4; i++) {
        cr_assert(span_equal(wire_read_mp_text(&reader, 1), span_of_text("x")));
    }
    for (int i = 0; i < 3; i++) {
        cr_assert(span_equal(wire_read_mp_bytes(&reader, 1), span_of_text("x")));
    }
    cr_assert(wire_reader_done(&reader));
}

Test(wire_reader, another_type_than_asked_for_fails) {
    struct wire_reader signed_one = READER_OF(0xd0, 5);
    struct wire_reader text = READER_OF(0xa1, 'x');
    struct wire_reader number = READER_OF(1);
    struct wire_reader nil = READER_OF(0xc0);
    cr_assert_eq(wire_read_mp_uint(&signed_one), 0);
    cr_assert_eq(wire_read_mp_bytes(&text, 9).len, 0);
    cr_assert_eq(wire_read_mp_text(&number, 9).len, 0);
    cr_assert_eq(wire_read_mp_map(&nil), 0);
    cr_assert(signed_one.has_failed && text.has_failed && number.has_failed && nil.has_failed);
}

Test(wire_reader, booleans_are_skipped) {
    struct wire_reader reader = READER_OF(0xc3, 0xc2);
    wire_skip_mp(&reader);
    wire_skip_mp(&reader);
    cr_assert(wire_reader_done(&reader));
}

Test(wire_reader, the_byte_that_msgpack_never_uses_is_refused) {
    struct wire_reader reader = READER_OF(0xc1, 0);
    wire_skip_mp(&reader);
    cr_assert(reader.has_failed);
}

/* Skips a head of one type byte and a 32-bit length, followed by 40 zero bytes. */
static bool skips_claim(uint8_t type, uint32_t claim) {
    uint8_t *bytes = calloc(45, 1);
    cr_assert_not_null(bytes);
    bytes[0] = type;
    for (int i = 0; i < 4; i++) {
        bytes[1 + i] = (uint8_t)(claim >> (24 - 8 * i));
    }
    struct wire_reader reader = wire_reader_of(span_of(bytes, 45));
    wire_skip_mp(&reader);
    bool is_skipped = !reader.has_failed;
    free(bytes);
    return is_skipped;
}

Test(wire_reader, counts_and_lengths_beyond_what_is_left_are_refused) {
    static const struct {
        uint8_t type;
        uint32_t most;
    } heads[] = {{0xdb, 40}, {0xc6, 40}, {0xc9, 39}, {0xdd, 40}, {0xdf, 20}};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        cr_assert(skips_claim(heads[i].type, 0));
        cr_assert(skips_claim(heads[i].type, 1));
        cr_assert(skips_claim(heads[i].type, heads[i].most - 1));
        cr_assert(skips_claim(heads[i].type, heads[i].most), "0x%x", heads[i].type);
        cr_assert_not(skips_claim(heads[i].type, heads[i].most + 1), "0x%x", heads[i].type);
        cr_assert_not(skips_claim(heads[i].type, (uint32_t)1 << 31));
        cr_assert_not(skips_claim(heads[i].type, UINT32_MAX));
        cr_assert_not(skips_claim(heads[i].type, UINT32_MAX - 1));
    }
}

Test(wire_reader, typed_reads_refuse_counts_beyond_what_is_left) {
    struct wire_reader array = READER_OF(0xdd, 0xff, 0xff, 0xff, 0xff, 0);
    struct wire_reader map = READER_OF(0x82, 0xa1, 'a', 1);
    struct wire_reader text = READER_OF(0xdb, 0xff, 0xff, 0xff, 0xff, 'x');
    cr_assert_eq(wire_read_mp_array(&array, UINT32_MAX), 0);
    cr_assert_eq(wire_read_mp_text(&text, SIZE_MAX).len, 0);
    cr_assert(array.has_failed && text.has_failed);
    cr_assert_eq(wire_read_mp_map(&map), 0, "two pairs need four bytes");
}

static bool skips_nesting(size_t depth, uint8_t innermost) {
    uint8_t bytes[64];
    memset(bytes, 0x91, depth);
    bytes[depth] = innermost;
    struct wire_reader reader = wire_reader_of(span_of(bytes, depth + 1));
    wire_skip_mp(&reader);
    return wire_reader_done(&reader);
}

Test(wire_reader, nesting_deeper_than_sixteen_is_refused) {
    cr_assert(skips_nesting(1, 0xc0));
    cr_assert(skips_nesting(15, 0x90));
    cr_assert(skips_nesting(16, 0xc0));
    cr_assert_not(skips_nesting(16, 0x90), "the empty array is the seventeenth");
    cr_assert_not(skips_nesting(17, 0xc0));
    cr_assert_not(skips_nesting(60, 0xc0));
}

Test(wire_reader, depth_is_that_of_nesting_not_of_what_went_before) {
    uint8_t bytes[1 + 15 * 16];
    size_t len = 0;
    bytes[len++] = 0x9f; /* fifteen arrays, each fifteen deep */
    for (int i = 0; i < 15; i++) {
        memset(bytes + len, 0x91, 15);
        len += 15;
        bytes[len++] = 1;
    }
    struct wire_reader reader = wire_reader_of(span_of(bytes, len));
    wire_skip_mp(&reader);
    cr_assert(wire_reader_done(&reader));
}

/* A map16 of `count` pairs of numbers. */
static bool skips_map(uint16_t count) {
    uint8_t bytes[3 + 2 * 80] = {0xde, (uint8_t)(count >> 8), (uint8_t)count};
    struct wire_reader reader = wire_reader_of(span_of(bytes, 3 + 2 * (size_t)count));
    struct wire_reader again = reader;
    wire_skip_mp(&reader);
    cr_assert_eq(wire_read_mp_map(&again) == count, !reader.has_failed);
    return wire_reader_done(&reader);
}

Test(wire_reader, more_than_sixty_four_keys_are_refused) {
    cr_assert(skips_map(64));
    cr_assert_not(skips_map(65));
}

/* Walks a map to its end, skipping every value; how many keys it gave, or -1. */
static int walk(struct wire_reader *reader) {
    struct wire_map map = wire_map_of(reader);
    char key;
    int count = 0;
    while (wire_map_next(&map, &key)) {
        wire_skip_mp(reader);
        count++;
    }
    return wire_reader_done(reader) ? count : -1;
}

Test(wire_reader, a_map_is_walked_in_order_of_its_keys) {
    struct wire_reader good = READER_OF(0x83, 0xa1, 'a', 1, 0xa1, 'c', 0x91, 2, 0xa1, 'z', 0xc0);
    struct wire_reader empty = READER_OF(0x80);
    cr_assert_eq(walk(&good), 3);
    cr_assert_eq(walk(&empty), 0);
}

Test(wire_reader, duplicate_disordered_and_odd_keys_are_refused) {
    struct wire_reader twice = READER_OF(0x82, 0xa1, 'a', 1, 0xa1, 'a', 2);
    struct wire_reader disordered = READER_OF(0x82, 0xa1, 'b', 1, 0xa1, 'a', 2);
    struct wire_reader longer = READER_OF(0x81, 0xa2, 'a', 'b', 1);
    struct wire_reader none = READER_OF(0x81, 0xa0, 1);
    struct wire_reader number = READER_OF(0x81, 1, 1);
    struct wire_reader high = READER_OF(0x81, 0xa1, 0x80, 1);
    struct wire_reader nul = READER_OF(0x81, 0xa1, 0, 1);
    cr_assert_eq(walk(&twice), -1);
    cr_assert_eq(walk(&disordered), -1);
    cr_assert_eq(walk(&longer), -1);
    cr_assert_eq(walk(&none), -1);
    cr_assert_eq(walk(&number), -1);
    cr_assert_eq(walk(&high), -1);
    cr_assert_eq(walk(&nul), -1);
}

Test(wire_reader, an_item_is_borrowed_whole) {
    struct wire_reader reader = READER_OF(0x92, 1, 0xa1, 'x', 9);
    struct span item = wire_read_mp_item(&reader);
    cr_assert_eq(item.len, 4);
    cr_assert_eq(reader.rest.len, 1);
    struct wire_reader broken = READER_OF(0x92, 1);
    cr_assert_eq(wire_read_mp_item(&broken).len, 0);
}
