/* SPDX-License-Identifier: Apache-2.0
 *
 * Records between two links that are up: whatever the cut, what was sent arrives whole and in
 * order; whatever was changed on the way or made by a hostile peer ends the link.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "unit/link/insider.h"

#define NOW ((weft_ns)5000000000)

static struct end a;
static struct end b;
static struct insider insider;

static void setup(void) {
    end_init(&a, 2, 9);
    end_init(&b, 3, 9);
    pair_up(&a, &b, NOW);
}

static void teardown(void) {
    end_fini(&a);
    end_fini(&b);
    insider_fini(&insider);
}

TestSuite(link_record, .init = setup, .fini = teardown);

static void seed_rng(struct rng *rng, uint32_t seed) {
    uint8_t bytes[32] = {(uint8_t)seed, (uint8_t)(seed >> 8), 42};
    rng_init(rng, bytes);
}

static void expect_got(const struct end *end, const struct bytes *expected, const char *name) {
    cr_assert_eq(end->got.len, expected->len, "%s: %zu bytes for %zu", name, end->got.len,
                 expected->len);
    cr_assert(expected->len == 0 || memcmp(end->got.data, expected->data, expected->len) == 0,
              "%s: bytes differ", name);
}

/* The link ended, and one record goes out that says why; nothing after it. */
static void expect_fault(struct end *end, enum weft_err err) {
    cr_assert(end->is_down);
    cr_assert_eq(end->down.err, err, "%s: %s", weft_err_name(end->down.err), end->down.detail);
    cr_assert(link_wants_write(end->link));
    size_t went = end_flush(end, NOW, SIZE_MAX);
    cr_assert_eq(went, 2 + 4 + 1 + strlen(end->down.detail) + 16, "%zu: %s", went,
                 end->down.detail);
    cr_assert_eq(end_flush(end, NOW, SIZE_MAX), 0);
    cr_assert_eq(link_send(end->link, NULL, NULL, WIRE_CLASS_CONTROL, 0, NOW), WEFT_ERR_STATE);
}

/* ---- what was sent arrives ---- */

Test(link_record, carries_a_frame) {
    struct bytes expected = {.data = NULL};
    cr_assert_eq(send_frame(&a, WIRE_UNICAST, 100, 1, WIRE_CLASS_MESSAGE, NOW), WEFT_OK);
    expect_frame(&expected, WIRE_UNICAST, 100, 1);
    pair_settle(&a, &b, NULL, SIZE_MAX, NOW);
    expect_got(&b, &expected, "b");
    bytes_free(&expected);
}

Test(link_record, carries_frames_of_every_awkward_size) {
    static const size_t sizes[] = {0, 1, 2, 3, 255, 256, 16384, 59999, WIRE_BODY_BYTES_MAX};
    struct bytes expected = {.data = NULL};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        cr_assert_eq(send_frame(&a, WIRE_GOSSIP, sizes[i], 1, WIRE_CLASS_MESSAGE, NOW), WEFT_OK);
        expect_frame(&expected, WIRE_GOSSIP, sizes[i], 1);
    }
    pair_settle(&a, &b, NULL, SIZE_MAX, NOW);
    expect_got(&b, &expected, "b");
    bytes_free(&expected);
}

Test(link_record, carries_packets_of_every_awkward_size) {
    static const uint16_t sizes[] = {1, 2, 1400, 16384, 60000, 65534, 65535};
    struct bytes expected = {.data = NULL};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        cr_assert_eq(send_carrier(&a, 7, sizes[i], (uint32_t)i, NOW), WEFT_OK);
        expect_carrier(&expected, 7, sizes[i], (uint32_t)i);
    }
    pair_settle(&a, &b, NULL, SIZE_MAX, NOW);
    expect_got(&b, &expected, "b");
    bytes_free(&expected);
}

Test(link_record, shares_one_record_among_small_frames) {
    for (uint32_t i = 0; i < 100; i++) {
        cr_assert_eq(send_frame(&a, WIRE_UNICAST, 100, i, WIRE_CLASS_MESSAGE, NOW), WEFT_OK);
    }
    struct span spans[64];
    cr_assert_eq(link_write_spans(a.link, NOW, spans, 64), 1);
    cr_assert_eq(link_count(a.link).records_out, 1);
    cr_assert_eq(link_count(a.link).frames_out, 100);
    cr_assert_eq(spans[0].len, 2 + 100 * 104 + 16);
}

Test(link_record, hands_payloads_out_where_they_lie) {
    struct frame *frame = carrier_of(7, 5000);
    struct frame *payload = payload_of(5000, 1);
    cr_assert_eq(link_send(a.link, frame, payload, WIRE_CLASS_STREAM, 7, NOW), WEFT_OK);
    struct span spans[64];
    cr_assert_eq(link_write_spans(a.link, NOW, spans, 64), 2);
    cr_assert_eq(spans[0].len, 2 + 48 + 16);
    cr_assert_eq(spans[1].data, payload->data);
    cr_assert_eq(spans[1].len, 5000);
    cr_assert_eq(payload->reference_count, 2);
    link_write_done(a.link, spans[0].len + spans[1].len);
    cr_assert_eq(payload->reference_count, 1);
    cr_assert_eq(frame->reference_count, 1);
    frame_unref(frame);
    frame_unref(payload);
}

Test(link_record, gives_as_many_spans_as_asked_and_goes_on_where_it_stopped) {
    struct bytes expected = {.data = NULL};
    for (uint32_t i = 0; i < 20; i++) {
        cr_assert_eq(send_carrier(&a, 7, 100, i, NOW), WEFT_OK);
        expect_carrier(&expected, 7, 100, i);
    }
    struct span span;
    while (link_write_spans(a.link, NOW, &span, 1) == 1) {
        size_t part = span.len < 33 ? span.len : 33;
        bytes_add(&a.wire, span.data, part);
        link_write_done(a.link, part);
    }
    pair_settle(&a, &b, NULL, SIZE_MAX, NOW);
    expect_got(&b, &expected, "b");
    bytes_free(&expected);
}

/* Random sizes and kinds, both ways at once, cut at random places. */
static void random_traffic(uint32_t seed) {
    struct rng rng;
    seed_rng(&rng, seed);
    struct bytes expected[2] = {{.data = NULL}, {.data = NULL}};
    struct end *ends[2] = {&a, &b};
    size_t cut = (size_t)1 << rng_below(&rng, 20);
    for (uint32_t i = 0; i < 60; i++) {
        size_t way = (size_t)rng_below(&rng, 2);
        size_t size = (size_t)rng_below(&rng, (uint64_t)2 << rng_below(&rng, 15));
        if (rng_below(&rng, 2) == 0) {
            uint16_t len = (uint16_t)(size + 1);
            cr_assert_eq(send_carrier(ends[way], 7, len, i, NOW), WEFT_OK);
            expect_carrier(&expected[way], 7, len, i);
        } else {
            struct frame *frame = frame_of(WIRE_RECORDS, size % 60000, i);
            /* in the same class and flow, so that the order is the order of sending */
            cr_assert_eq(link_send(ends[way]->link, frame, NULL, WIRE_CLASS_STREAM, 7, NOW),
                         WEFT_OK);
            frame_unref(frame);
            expect_frame(&expected[way], WIRE_RECORDS, size % 60000, i);
        }
        if (rng_below(&rng, 4) == 0) {
            end_flush(ends[way], NOW, (size_t)rng_below(&rng, 5000));
        }
    }
    pair_settle(&a, &b, &rng, cut, NOW);
    expect_got(&b, &expected[0], "b");
    expect_got(&a, &expected[1], "a");
    bytes_free(&expected[0]);
    bytes_free(&expected[1]);
}

Test(link_record, carries_random_traffic_over_random_cuts) {
    for (uint32_t seed = 0; seed < 60; seed++) {
        pair_up(&a, &b, NOW);
        random_traffic(seed);
        cr_assert(!a.is_down && !b.is_down, "seed %u", seed);
    }
}

Test(link_record, counts_what_passed) {
    cr_assert_eq(send_frame(&a, WIRE_UNICAST, 10, 1, WIRE_CLASS_MESSAGE, NOW), WEFT_OK);
    cr_assert_gt(link_count(a.link).queued_bytes, 0);
    pair_settle(&a, &b, NULL, SIZE_MAX, NOW);
    cr_assert_eq(link_count(a.link).queued_bytes, 0);
    cr_assert_eq(link_count(a.link).bytes_out, a.wire.len);
    cr_assert_eq(link_count(b.link).bytes_in, a.wire.len);
    cr_assert_eq(link_count(b.link).frames_in, 1);
    cr_assert_eq(link_count(b.link).records_in, 1);
}

/* ---- what is changed on the way ---- */

/* Three records of `a`, not delivered yet; where each begins. */
static void three_records(size_t begin[4]) {
    begin[0] = a.wire.len;
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(send_frame(&a, WIRE_UNICAST, 40, i, WIRE_CLASS_MESSAGE, NOW), WEFT_OK);
        end_flush(&a, NOW, SIZE_MAX);
        begin[i + 1] = a.wire.len;
    }
}

Test(link_record, a_changed_bit_ends_the_link) {
    for (size_t at = 0; at < 62; at++) {
        size_t begin[4];
        pair_up(&a, &b, NOW);
        three_records(begin);
        a.wire.data[begin[0] + at] ^= (uint8_t)(1 << at % 8);
        end_feed(&b, a.wire.data + begin[0], begin[3] - begin[0], SIZE_MAX, NOW);
        if (at < 2) { /* the length: it may be waiting for more */
            uint8_t more[66000] = {0};
            end_feed(&b, more, sizeof more, SIZE_MAX, NOW);
        }
        cr_assert(b.is_down && b.frame_count == 0, "byte %zu", at);
    }
}

Test(link_record, a_dropped_record_ends_the_link) {
    size_t begin[4];
    three_records(begin);
    end_feed(&b, a.wire.data + begin[0], begin[1] - begin[0], SIZE_MAX, NOW);
    cr_assert_eq(b.frame_count, 1);
    end_feed(&b, a.wire.data + begin[2], begin[3] - begin[2], SIZE_MAX, NOW);
    cr_assert_eq(b.frame_count, 1);
    expect_fault(&b, WEFT_ERR_AUTH);
}

Test(link_record, reordered_records_end_the_link) {
    size_t begin[4];
    three_records(begin);
    end_feed(&b, a.wire.data + begin[1], begin[2] - begin[1], SIZE_MAX, NOW);
    cr_assert_eq(b.frame_count, 0);
    expect_fault(&b, WEFT_ERR_AUTH);
}

/* T1 on the same connection, on a new one and back to its sender. */
Test(link_record, replayed_records_end_the_link) {
    size_t begin[4];
    three_records(begin);
    struct bytes old = {.data = NULL};
    bytes_add(&old, a.wire.data + begin[0], begin[1] - begin[0]);
    end_feed(&b, old.data, old.len, SIZE_MAX, NOW);
    end_feed(&b, old.data, old.len, SIZE_MAX, NOW);
    cr_assert_eq(b.frame_count, 1);
    expect_fault(&b, WEFT_ERR_AUTH);
    end_feed(&a, old.data, old.len, SIZE_MAX, NOW);
    expect_fault(&a, WEFT_ERR_AUTH);
    pair_up(&a, &b, NOW);
    end_feed(&b, old.data, old.len, SIZE_MAX, NOW);
    cr_assert_eq(b.frame_count, 0);
    expect_fault(&b, WEFT_ERR_AUTH);
    bytes_free(&old);
}

/* T4. */
Test(link_record, refuses_impossible_lengths) {
    for (uint16_t length = 0; length <= 16; length++) {
        uint8_t head[2] = {0, (uint8_t)length};
        pair_up(&a, &b, NOW);
        end_feed(&b, head, sizeof head, SIZE_MAX, NOW);
        expect_fault(&b, WEFT_ERR_MALFORMED);
    }
}

Test(link_record, garbage_of_a_possible_length_does_not_open) {
    static const size_t lengths[] = {17, 18, 32767, 32768, 65534, 65535};
    static uint8_t garbage[2 + 65535];
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        pair_up(&a, &b, NOW);
        garbage[0] = (uint8_t)(lengths[i] >> 8);
        garbage[1] = (uint8_t)lengths[i];
        end_feed(&b, garbage, 1 + lengths[i], SIZE_MAX, NOW);
        cr_assert(!b.is_down, "length %zu", lengths[i]);
        end_feed(&b, garbage, 1, SIZE_MAX, NOW);
        expect_fault(&b, WEFT_ERR_AUTH);
    }
}

/* ---- what a hostile peer seals ---- */

Test(link_record, takes_the_largest_record_and_payload) {
    struct bytes plain = {.data = NULL};
    size_t payload = 0;
    while (payload < RECORD_PAYLOAD_MAX) {
        size_t left = RECORD_PAYLOAD_MAX - payload;
        uint16_t len = (uint16_t)(left < 65535 ? left : 65535);
        struct frame *frame = carrier_of(1, len);
        bytes_add(&plain, frame->data, frame->len);
        frame_unref(frame);
        payload += len;
    }
    size_t filler = RECORD_PLAIN_MAX - plain.len - WIRE_FRAME_HEADER_BYTES;
    cr_assert_gt(filler, WIRE_BODY_BYTES_MAX); /* so it takes two */
    for (size_t body = WIRE_BODY_BYTES_MAX; plain.len < RECORD_PLAIN_MAX;
         body = RECORD_PLAIN_MAX - plain.len - WIRE_FRAME_HEADER_BYTES) {
        struct frame *frame = frame_of(WIRE_GOSSIP, body, 1);
        bytes_add(&plain, frame->data, frame->len);
        frame_unref(frame);
    }
    insider_up(&insider, &b, NOW);
    insider_send(&insider, &b, plain.data, plain.len, payload, NOW);
    cr_assert(!b.is_down, "%s", b.down.detail);
    cr_assert_eq(b.frame_count, 7);
    bytes_free(&plain);
}

Test(link_record, refuses_one_byte_of_payload_too_many) {
    struct bytes plain = {.data = NULL};
    static const uint16_t sizes[] = {65535, 65535, 65535, 65535, 5};
    for (size_t i = 0; i < 5; i++) {
        struct frame *frame = carrier_of(1, sizes[i]);
        bytes_add(&plain, frame->data, frame->len);
        frame_unref(frame);
    }
    insider_up(&insider, &b, NOW);
    insider_send(&insider, &b, plain.data, plain.len, 262145, NOW);
    cr_assert_eq(b.frame_count, 4);
    expect_fault(&b, WEFT_ERR_MALFORMED);
    bytes_free(&plain);
}

Test(link_record, refuses_frames_that_do_not_fill_their_record) {
    static const uint8_t plains[][6] = {
        {2, 0, 0, 0, 2, 0}, {2, 0, 0, 3, 1, 1}, {2, 0, 0xff, 0xff, 1, 1}, {2, 0, 0, 1, 1, 9}};
    for (size_t i = 0; i < 4; i++) {
        insider_up(&insider, &b, NOW);
        insider_send(&insider, &b, plains[i], 6, 0, NOW);
        expect_fault(&b, WEFT_ERR_MALFORMED);
        insider_fini(&insider);
    }
    insider_up(&insider, &b, NOW);
}

Test(link_record, refuses_a_carrier_of_nothing_and_a_carrier_cut_short) {
    struct frame *frame = carrier_of(1, 1);
    frame->data[frame->len - 1] = 0;
    insider_up(&insider, &b, NOW);
    insider_send(&insider, &b, frame->data, frame->len, 0, NOW);
    expect_fault(&b, WEFT_ERR_MALFORMED);
    insider_fini(&insider);
    insider_up(&insider, &b, NOW);
    insider_frame(&insider, &b, WIRE_CARRIER, 0, span_of(frame->data + 4, 43), NOW);
    expect_fault(&b, WEFT_ERR_MALFORMED);
    frame_unref(frame);
}

/* T20. */
Test(link_record, hands_unknown_kinds_on_unless_they_are_essential) {
    insider_up(&insider, &b, NOW);
    insider_frame(&insider, &b, 200, 0, span_of_text("from the future"), NOW);
    cr_assert(!b.is_down && b.frame_count == 1);
    insider_frame(&insider, &b, WIRE_UNICAST, 0, span_of_text("x"), NOW);
    cr_assert_eq(b.frame_count, 2);
    insider_frame(&insider, &b, 200, WIRE_FLAG_ESSENTIAL, span_of_text("y"), NOW);
    expect_fault(&b, WEFT_ERR_MALFORMED);
}

/* Random plaintexts under valid keys: the link ends or goes on, nothing else. */
Test(link_record, survives_random_plaintexts) {
    for (uint32_t seed = 0; seed < 300; seed++) {
        struct rng rng;
        seed_rng(&rng, seed);
        uint8_t plain[300];
        insider_up(&insider, &b, NOW);
        for (int record = 0; record < 10 && !b.is_down; record++) {
            size_t len = 1 + (size_t)rng_below(&rng, sizeof plain);
            for (size_t i = 0; i < len; i++) {
                plain[i] = (uint8_t)rng_below(&rng, 256);
            }
            plain[0] = (uint8_t)rng_below(&rng, 24);
            size_t body = len > 4 ? len - 4 : 0;
            if (rng_below(&rng, 4) > 0 && len > 4) {
                plain[2] = (uint8_t)(body >> 8);
                plain[3] = (uint8_t)body;
            }
            insider_send(&insider, &b, plain, len, (size_t)rng_below(&rng, 70000), NOW);
        }
        end_flush(&b, NOW, SIZE_MAX);
        insider_fini(&insider);
    }
    insider_up(&insider, &b, NOW);
}
