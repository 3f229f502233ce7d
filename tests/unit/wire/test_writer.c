/* SPDX-License-Identifier: Apache-2.0
 *
 * The cursor that writes: its bound, its sticky failure, and msgpack's shortest forms.
 */
#include <criterion/criterion.h>

#include "wire/writer.h"

static void expect_bytes(const struct wire_writer *writer, struct span expected) {
    cr_assert(span_equal(wire_writer_view(writer), expected));
}

Test(wire_writer, integers_are_big_endian) {
    uint8_t room[15];
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    wire_write_u8(&writer, 1);
    wire_write_u16(&writer, 0x0203);
    wire_write_u32(&writer, 0x04050607);
    wire_write_u64(&writer, 0x08090a0b0c0d0e0f);
    static const uint8_t expected[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    expect_bytes(&writer, span_of(expected, sizeof expected));
}

Test(wire_writer, what_does_not_fit_fails_for_good) {
    uint8_t room[3] = {0, 0, 77};
    struct wire_writer writer = wire_writer_of(room, 2);
    wire_write_u32(&writer, 1);
    cr_assert(writer.has_failed);
    wire_write_u8(&writer, 1);
    cr_assert(writer.has_failed);
    cr_assert_eq(wire_writer_view(&writer).len, 0);
    cr_assert_eq(room[2], 77);
}

Test(wire_writer, a_full_writer_takes_nothing_gladly) {
    struct wire_writer writer = wire_writer_of(NULL, 0);
    wire_write_bytes(&writer, span_of(NULL, 0));
    cr_assert_not(writer.has_failed);
    wire_write_u8(&writer, 1);
    cr_assert(writer.has_failed);
}

Test(wire_writer, a_short_text_has_a_length_byte) {
    uint8_t room[300];
    static const uint8_t zeroes[256];
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    wire_write_short(&writer, span_of_text("ab"));
    expect_bytes(&writer, span_of("\x02"
                                  "ab",
                                  3));
    wire_write_short(&writer, span_of(zeroes, 255));
    cr_assert_not(writer.has_failed);
    struct wire_writer other = wire_writer_of(room, sizeof room);
    wire_write_short(&other, span_of(zeroes, 256));
    cr_assert(other.has_failed);
}

Test(wire_writer, msgpack_is_written_in_its_shortest_form) {
    uint8_t room[64];
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    wire_write_mp_map(&writer, 2);
    wire_write_mp_key(&writer, 'a');
    wire_write_mp_array(&writer, 3);
    wire_write_mp_uint(&writer, 127);
    wire_write_mp_uint(&writer, 128);
    wire_write_mp_uint(&writer, 3);
    wire_write_mp_key(&writer, 'b');
    wire_write_mp_bytes(&writer, span_of_text("xy"));
    static const uint8_t expected[] = {0x82, 0xa1, 'a', 0x93, 127, 0xcc, 128,
                                       3,    0xa1, 'b', 0xc4, 2,   'x',  'y'};
    expect_bytes(&writer, span_of(expected, sizeof expected));
}

Test(wire_writer, msgpack_that_does_not_fit_fails) {
    uint8_t room[4];
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    wire_write_mp_text(&writer, span_of_text("abcd"));
    cr_assert(writer.has_failed);
}
