/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames and their bodies: what each decoder refuses, at each field's edges (T4).
 */
#include <criterion/criterion.h>

#include "wire/message.h"

static uint8_t room[70000];

#define REFUSED(kind, message) cr_assert_not(wire_##kind##_survives(message))

/* Defines a function that encodes a message and says whether the result decodes. */
#define SURVIVES(kind)                                                                             \
    static bool wire_##kind##_survives(const struct wire_##kind *message) {                        \
        struct wire_##kind out;                                                                    \
        struct wire_writer writer = wire_writer_of(room, sizeof room);                             \
        wire_##kind##_encode(&writer, message);                                                    \
        return !writer.has_failed &&                                                               \
               wire_##kind##_decode(wire_writer_view(&writer), &out) == WEFT_OK;                   \
    }

SURVIVES(unicast)
SURVIVES(broadcast)
SURVIVES(gossip)
SURVIVES(carrier)
SURVIVES(rekey)
SURVIVES(close)
SURVIVES(sync)
SURVIVES(pull)
SURVIVES(records)

/* A record's plaintext of one frame header with this length and `present` bytes behind it. */
static bool takes_frame(size_t length, size_t present) {
    memset(room, 0, sizeof room);
    room[0] = WIRE_GOSSIP;
    room[2] = (uint8_t)(length >> 8);
    room[3] = (uint8_t)length;
    struct wire_reader reader = wire_reader_of(span_of(room, present + 4));
    struct wire_frame frame;
    return wire_frame_next(&reader, &frame) == WEFT_OK && frame.body.len == length;
}

Test(wire_message, a_frame_length_is_believed_up_to_its_bound) {
    cr_assert(takes_frame(0, 0));
    cr_assert(takes_frame(1, 1));
    cr_assert_not(takes_frame(1, 0));
    cr_assert(takes_frame(WIRE_BODY_BYTES_MAX - 1, 65000));
    cr_assert(takes_frame(WIRE_BODY_BYTES_MAX, 65000));
    cr_assert_not(takes_frame(WIRE_BODY_BYTES_MAX + 1, 65000));
    cr_assert_not(takes_frame(65535, 65535));
}

Test(wire_message, an_unknown_kind_is_a_frame_like_any) {
    static const uint8_t bytes[] = {200, WIRE_FLAG_ESSENTIAL, 0, 1, 42, 1, 0, 0, 0};
    struct wire_reader reader = wire_reader_of(span_of(bytes, sizeof bytes));
    struct wire_frame frame;
    cr_assert_eq(wire_frame_next(&reader, &frame), WEFT_OK);
    cr_assert(frame.kind == 200 && frame.flags == WIRE_FLAG_ESSENTIAL && frame.body.data[0] == 42);
    cr_assert_eq(wire_frame_next(&reader, &frame), WEFT_OK);
    cr_assert(frame.kind == 1 && frame.body.len == 0 && wire_reader_done(&reader));
}

Test(wire_message, a_body_that_is_too_long_fails_the_writer) {
    static uint8_t large[WIRE_BODY_BYTES_MAX + 8];
    struct wire_writer writer = wire_writer_of(large, sizeof large);
    static const uint8_t zeroes[WIRE_BODY_BYTES_MAX];
    size_t begin = wire_frame_begin(&writer, WIRE_GOSSIP, 0);
    wire_write_bytes(&writer, span_of(zeroes, sizeof zeroes));
    wire_frame_end(&writer, begin);
    cr_assert_not(writer.has_failed);
    cr_assert(large[2] == (WIRE_BODY_BYTES_MAX >> 8) && large[3] == (WIRE_BODY_BYTES_MAX & 255));
    wire_write_u8(&writer, 1);
    wire_frame_end(&writer, begin);
    cr_assert(writer.has_failed);
}

Test(wire_message, ending_a_frame_that_did_not_fit_changes_nothing) {
    uint8_t small[5] = {0, 0, 0, 0, 9};
    struct wire_writer writer = wire_writer_of(small, 2);
    size_t begin = wire_frame_begin(&writer, WIRE_GOSSIP, 0);
    wire_frame_end(&writer, begin);
    cr_assert(writer.has_failed && small[2] == 0 && small[4] == 9);
}

Test(wire_message, more_hops_than_the_limit_are_refused) {
    struct wire_unicast unicast = {.travel.hops = WIRE_HOPS_MAX, .packet = span_of_text("x")};
    cr_assert(wire_unicast_survives(&unicast));
    unicast.travel.hops = WIRE_HOPS_MAX + 1;
    REFUSED(unicast, &unicast);
}

Test(wire_message, a_unicast_without_a_packet_is_refused) {
    struct wire_unicast unicast = {.packet = span_of(NULL, 0)};
    REFUSED(unicast, &unicast);
}

static struct wire_broadcast good_broadcast(void) {
    static const uint8_t signature[64];
    return (struct wire_broadcast){.incarnation = 1,
                                   .sequence = 1,
                                   .channel = span_of_text("chat"),
                                   .payload = span_of_text("hello"),
                                   .signature = span_of(signature, sizeof signature)};
}

Test(wire_message, broadcast_numbers_lie_between_one_and_two_to_the_63) {
    struct wire_broadcast broadcast = good_broadcast();
    cr_assert(wire_broadcast_survives(&broadcast));
    broadcast.incarnation = 0;
    REFUSED(broadcast, &broadcast);
    broadcast.incarnation = ((uint64_t)1 << 63) - 1;
    cr_assert(wire_broadcast_survives(&broadcast));
    broadcast.sequence = (uint64_t)1 << 63;
    REFUSED(broadcast, &broadcast);
    broadcast.sequence = UINT64_MAX;
    REFUSED(broadcast, &broadcast);
}

Test(wire_message, a_broadcast_signs_from_its_key_to_its_payload) {
    struct wire_broadcast broadcast = good_broadcast();
    struct wire_broadcast out;
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    wire_broadcast_encode(&writer, &broadcast);
    cr_assert_eq(wire_broadcast_decode(wire_writer_view(&writer), &out), WEFT_OK);
    cr_assert_eq(out.signed_part.data, room + 13);
    cr_assert_eq(out.signed_part.len, 32 + 8 + 8 + 5 + 2 + 5);
    cr_assert_eq(out.signature.data, out.signed_part.data + out.signed_part.len);
}

Test(wire_message, a_broadcast_with_an_odd_signature_or_huge_payload_is_not_written) {
    static const uint8_t large[UINT16_MAX + 1];
    struct wire_broadcast broadcast = good_broadcast();
    broadcast.signature.len = 63;
    REFUSED(broadcast, &broadcast);
    broadcast = good_broadcast();
    broadcast.payload = span_of(large, sizeof large);
    REFUSED(broadcast, &broadcast);
}

Test(wire_message, a_channel_must_be_a_name) {
    struct wire_gossip gossip = {.channel = span_of_text("a/b")};
    REFUSED(gossip, &gossip);
    gossip.channel = span_of_text("");
    REFUSED(gossip, &gossip);
    gossip.channel = span_of_text("a.b");
    cr_assert(wire_gossip_survives(&gossip));
    static const uint8_t lies[] = {0, 0, 0, 1, 255, 'a'};
    struct wire_gossip out;
    cr_assert_neq(wire_gossip_decode(span_of(lies, sizeof lies), &out), WEFT_OK);
}

Test(wire_message, a_carrier_has_a_payload_and_a_known_class) {
    struct wire_carrier carrier = {.class = WIRE_CLASS_STREAM, .length = 1};
    cr_assert(wire_carrier_survives(&carrier));
    carrier.length = WIRE_PACKET_BYTES_MAX;
    cr_assert(wire_carrier_survives(&carrier));
    carrier.length = 0;
    REFUSED(carrier, &carrier);
    carrier.length = 1;
    carrier.class = WIRE_CLASS_COUNT;
    REFUSED(carrier, &carrier);
}

Test(wire_message, a_rekey_has_three_steps_and_the_last_is_empty) {
    struct wire_rekey rekey = {.step = 1, .message = span_of_text("noise")};
    cr_assert(wire_rekey_survives(&rekey));
    rekey.step = 3;
    REFUSED(rekey, &rekey);
    rekey.message.len = 0;
    cr_assert(wire_rekey_survives(&rekey));
    rekey.step = 2;
    REFUSED(rekey, &rekey);
    rekey.step = 4;
    REFUSED(rekey, &rekey);
    rekey.step = 0;
    REFUSED(rekey, &rekey);
}

Test(wire_message, a_close_text_is_short_and_printable) {
    char text[202];
    memset(text, 'x', sizeof text);
    struct wire_close close = {.reason = WIRE_CLOSE_BYE, .text = span_of(text, 200)};
    cr_assert(wire_close_survives(&close));
    close.text.len = 201;
    REFUSED(close, &close);
    close.text = span_of_text("two\nlines");
    REFUSED(close, &close);
    close.text = span_of_text("\x7f");
    REFUSED(close, &close);
    close.text = span_of(NULL, 0);
    cr_assert(wire_close_survives(&close));
    close.reason = 0;
    REFUSED(close, &close);
}

/* A list of one record of `len` zero bytes whose length says `claim`. */
static bool takes_record(size_t claim, size_t len) {
    static uint8_t list[60000];
    list[0] = (uint8_t)(claim >> 8);
    list[1] = (uint8_t)claim;
    struct wire_records records = {span_of(list, len + 2)};
    return wire_records_survives(&records);
}

Test(wire_message, a_record_length_is_believed_up_to_its_bound) {
    size_t max = 118 + 131 + 50000;
    cr_assert(takes_record(118, 118));
    cr_assert_not(takes_record(117, 117));
    cr_assert_not(takes_record(0, 0));
    cr_assert_not(takes_record(1, 1));
    cr_assert(takes_record(max - 1, max - 1));
    cr_assert(takes_record(max, max));
    cr_assert_not(takes_record(max + 1, max + 1));
    cr_assert_not(takes_record(119, 118));
    cr_assert_not(takes_record(65535, 59998));
}

/* One sync item with these first bytes, then zeroes to `len`. */
static bool takes_item(const uint8_t *head, size_t head_len, size_t len) {
    uint8_t items[600] = {0};
    memcpy(items, head, head_len);
    struct wire_sync sync = {.items = span_of(items, len)};
    return wire_sync_survives(&sync);
}
#define TAKES_ITEM(len, ...)                                                                       \
    takes_item((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), len)

Test(wire_message, sync_items_are_as_long_as_they_say) {
    cr_assert(TAKES_ITEM(2 + 64, 1, 0));
    cr_assert_not(TAKES_ITEM(2 + 63, 1, 0));
    cr_assert(TAKES_ITEM(5, 2, 0, 0, 0, 0));
    cr_assert(TAKES_ITEM(5 + 12, 2, 0, 1, 0, 1));
    cr_assert_not(TAKES_ITEM(5 + 11, 2, 0, 1, 0, 1));
    cr_assert_not(TAKES_ITEM(5 + 12, 2, 0, 1, 0, 2));
    cr_assert_not(TAKES_ITEM(5 + 12, 2, 0, 1, 0xff, 0xff));
    cr_assert(TAKES_ITEM(4 + 8, 3, 0, 0, 1));
    cr_assert_not(TAKES_ITEM(4 + 7, 3, 0, 0, 1));
    cr_assert_not(TAKES_ITEM(4 + 8, 3, 0, 0xff, 0xff));
}

Test(wire_message, sync_items_of_unknown_mode_or_depth_are_refused) {
    cr_assert_not(TAKES_ITEM(66, 0, 0));
    cr_assert_not(TAKES_ITEM(66, 4, 0));
    cr_assert_not(TAKES_ITEM(5, 2, 0, 2, 0, 0));        /* an answer is 0 or 1 */
    cr_assert(TAKES_ITEM(2 + 8 + 3, 2, 16, 0xab));      /* a list of one name */
    cr_assert_not(TAKES_ITEM(2 + 9 + 3, 2, 17, 0xab));  /* deeper than a name is long */
    cr_assert_not(TAKES_ITEM(2 + 8 + 64, 1, 16, 0xab)); /* one name has no children */
    cr_assert(TAKES_ITEM(2 + 8 + 64, 1, 15, 0xab));
    cr_assert(TAKES_ITEM(2 + 1 + 64, 1, 1, 0xa0));
    cr_assert_not(TAKES_ITEM(2 + 1 + 64, 1, 1, 0xab)); /* half a byte of prefix, all of it set */
    cr_assert_not(TAKES_ITEM(2 + 64 + 128, 1, 255, 0xab));
}

Test(wire_message, a_pull_ends_below_the_limit) {
    struct wire_pull pull = {.incarnation = 1, .from = 1, .count = 1};
    cr_assert(wire_pull_survives(&pull));
    pull.count = 0;
    REFUSED(pull, &pull);
    pull.count = 2;
    pull.from = ((uint64_t)1 << 63) - 2;
    cr_assert(wire_pull_survives(&pull));
    pull.count = 3;
    REFUSED(pull, &pull);
    pull.from = 0;
    REFUSED(pull, &pull);
}

Test(wire_message, heads_may_stand_at_zero_but_not_at_the_limit) {
    struct wire_head head = {.incarnation = 1, .sequence = 0};
    struct wire_heads heads;
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    wire_head_encode(&writer, &head);
    cr_assert_eq(wire_heads_decode(wire_writer_view(&writer), &heads), WEFT_OK);
    head.sequence = (uint64_t)1 << 63;
    wire_head_encode(&writer, &head);
    cr_assert_neq(wire_heads_decode(wire_writer_view(&writer), &heads), WEFT_OK);
}
