/* SPDX-License-Identifier: Apache-2.0
 *
 * Our msgpack cursor against msgpack-c: what msgpack-c packs at random we must skip to the byte,
 * and what we skip of random bytes msgpack-c must find to be as long.
 */
#include <criterion/criterion.h>
#include <msgpack.h>

#include "property/generate.h"

#define ROUNDS 2000

static struct gen gen;

static void setup(void) {
    gen_init(&gen, gen_seed());
}

static void teardown(void) {
    gen_fini(&gen);
}

TestSuite(wire_msgpack, .init = setup, .fini = teardown);

static void pack_scalar(msgpack_packer *packer) {
    struct span bytes = gen_bytes(&gen, 0, 300);
    switch (gen_below(&gen, 9)) {
    case 0:
        (void)msgpack_pack_nil(packer);
        break;
    case 1:
        (void)msgpack_pack_true(packer);
        break;
    case 2:
        (void)msgpack_pack_uint64(packer, gen_number(&gen));
        break;
    case 3:
        (void)msgpack_pack_int64(packer, -(int64_t)(gen_number(&gen) >> 1));
        break;
    case 4:
        (void)msgpack_pack_float(packer, 1.5f);
        break;
    case 5:
        (void)msgpack_pack_double(packer, -2.25);
        break;
    case 6:
        (void)msgpack_pack_str_with_body(packer, bytes.data, bytes.len);
        break;
    case 7:
        (void)msgpack_pack_bin_with_body(packer, bytes.data, bytes.len);
        break;
    default:
        (void)msgpack_pack_ext_with_body(packer, bytes.data, bytes.len, 7);
    }
}

/* One random item, nested to at most `depth`. */
static void pack_item(msgpack_packer *packer, int depth) {
    uint64_t choice = depth == 0 ? 9 : gen_below(&gen, 4);
    uint64_t count = gen_below(&gen, 4);
    if (choice > 1) {
        pack_scalar(packer);
        return;
    }
    if (choice == 0) {
        (void)msgpack_pack_array(packer, count);
    } else {
        (void)msgpack_pack_map(packer, count);
    }
    for (uint64_t i = 0; i < count * (choice + 1); i++) {
        pack_item(packer, depth - 1);
    }
}

Test(wire_msgpack, skipping_ends_where_the_item_ends) {
    for (int round = 0; round < ROUNDS; round++) {
        msgpack_sbuffer buffer;
        msgpack_packer packer;
        gen_reset(&gen);
        msgpack_sbuffer_init(&buffer);
        msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
        pack_item(&packer, 5);
        struct span item = heap_copy(span_of(buffer.data, buffer.size));
        struct wire_reader reader = wire_reader_of(item);
        struct span whole = wire_read_mp_item(&reader);
        cr_assert(wire_reader_done(&reader) && span_equal(whole, item), "round %d", round);
        for (size_t len = 0; len < item.len; len++) {
            struct wire_reader cut = wire_reader_of(span_of(item.data, len));
            wire_skip_mp(&cut);
            cr_assert(cut.has_failed, "round %d cut to %zu", round, len);
        }
        heap_free(item);
        msgpack_sbuffer_destroy(&buffer);
    }
}

/* How long msgpack-c finds the first item to be; 0 if it is none. */
static size_t oracle_len(struct span bytes) {
    msgpack_unpacked item;
    size_t offset = 0;
    msgpack_unpacked_init(&item);
    msgpack_unpack_return verdict =
        msgpack_unpack_next(&item, (const char *)bytes.data, bytes.len, &offset);
    msgpack_unpacked_destroy(&item);
    return verdict == MSGPACK_UNPACK_SUCCESS ? offset : 0;
}

Test(wire_msgpack, what_is_skipped_of_random_bytes_is_an_item_to_the_oracle) {
    size_t skipped = 0;
    for (int round = 0; round < ROUNDS * 10; round++) {
        gen_reset(&gen);
        struct span bytes = heap_copy(gen_bytes(&gen, 1, 60));
        struct wire_reader reader = wire_reader_of(bytes);
        struct span item = wire_read_mp_item(&reader);
        if (!reader.has_failed) {
            cr_assert_eq(oracle_len(bytes), item.len, "round %d", round);
            skipped++;
        }
        heap_free(bytes);
    }
    cr_assert_gt(skipped, 100); /* else the test proves nothing */
}

static void read_any(struct wire_reader *reader) {
    switch (gen_below(&gen, 7)) {
    case 0:
        (void)wire_read_mp_uint(reader);
        break;
    case 1:
        wire_skip_mp(reader);
        break;
    case 2:
        (void)wire_read_mp_text(reader, 40);
        break;
    case 3:
        (void)wire_read_mp_bytes(reader, 40);
        break;
    case 4:
        (void)wire_read_mp_array(reader, 40);
        break;
    case 5:
        (void)wire_read_mp_map(reader);
        break;
    default:
        wire_skip_mp(reader);
    }
}

Test(wire_msgpack, no_sequence_of_reads_leaves_the_bytes) {
    for (int round = 0; round < ROUNDS * 10; round++) {
        gen_reset(&gen);
        struct span bytes = heap_copy(gen_bytes(&gen, 0, 40));
        struct wire_reader reader = wire_reader_of(bytes);
        for (int i = 0; i < 60 && wire_reader_more(&reader); i++) {
            read_any(&reader);
        }
        cr_assert(reader.has_failed || reader.rest.len < bytes.len || bytes.len == 0);
        heap_free(bytes);
    }
}

Test(wire_msgpack, integers_come_back_in_their_shortest_form) {
    for (int round = 0; round < ROUNDS; round++) {
        uint8_t room[16];
        uint64_t value = gen_number(&gen);
        struct wire_writer writer = wire_writer_of(room, sizeof room);
        wire_write_mp_uint(&writer, value);
        struct span bytes = wire_writer_view(&writer);
        size_t shortest = value < 128        ? 1
                          : value < 256      ? 2
                          : value < 65536    ? 3
                          : value >> 32 == 0 ? 5
                                             : 9;
        cr_assert_eq(bytes.len, shortest);
        struct wire_reader reader = wire_reader_of(bytes);
        cr_assert_eq(wire_read_mp_uint(&reader), value);
        cr_assert(wire_reader_done(&reader));
    }
}
