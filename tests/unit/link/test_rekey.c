/* SPDX-License-Identifier: Apache-2.0
 *
 * New keys inside a link that stands: nothing is lost over it, nothing old is taken after it, and
 * nobody but the dialler begins it.
 */
#include <criterion/criterion.h>

#include "unit/link/insider.h"

#define START ((weft_ns)1000000000)
#define DUE (START + 120 * NS_PER_S)
#define STOP (START + 180 * NS_PER_S)

static struct end a;
static struct end b;

static void setup(void) {
    end_init(&a, 2, 9);
    end_init(&b, 3, 9);
    pair_up(&a, &b, START);
}

static void teardown(void) {
    end_fini(&a);
    end_fini(&b);
}

TestSuite(link_rekey, .init = setup, .fini = teardown);

static void tick(struct end *end, weft_ns now) {
    link_tick(end->link, now);
    end_events(end, now);
}

Test(link_rekey, happens_after_120_seconds_on_a_quiet_link) {
    tick(&a, DUE - 1);
    tick(&b, DUE - 1);
    cr_assert(!link_wants_write(a.link) && !link_wants_write(b.link));
    cr_assert_leq(link_deadline(a.link), DUE);
    tick(&b, DUE);
    cr_assert(!link_wants_write(b.link)); /* only the dialler begins */
    tick(&a, DUE);
    cr_assert(link_wants_write(a.link));
    pair_settle(&a, &b, NULL, SIZE_MAX, DUE);
    cr_assert_eq(link_count(a.link).rekeys, 1);
    cr_assert_eq(link_count(b.link).rekeys, 1);
    cr_assert_eq(a.frame_count + b.frame_count, 0); /* nobody sees the frames */
    cr_assert_eq(send_frame(&a, WIRE_UNICAST, 9, 1, WIRE_CLASS_MESSAGE, DUE), WEFT_OK);
    cr_assert_eq(send_frame(&b, WIRE_UNICAST, 9, 1, WIRE_CLASS_MESSAGE, DUE), WEFT_OK);
    pair_settle(&a, &b, NULL, SIZE_MAX, DUE);
    cr_assert_eq(a.frame_count, 1);
    cr_assert_eq(b.frame_count, 1);
}

Test(link_rekey, happens_again_and_again) {
    for (uint64_t round = 1; round <= 20; round++) {
        weft_ns now = START + round * 120 * NS_PER_S;
        tick(&a, now);
        tick(&b, now);
        pair_settle(&a, &b, NULL, 7, now);
        cr_assert_eq(link_count(a.link).rekeys, round);
        cr_assert_eq(link_count(b.link).rekeys, round);
    }
}

Test(link_rekey, the_hard_stop_closes_both_sides) {
    tick(&a, DUE); /* begins; its bytes never arrive */
    tick(&a, STOP - 1);
    tick(&b, STOP - 1);
    cr_assert(!a.is_down && !b.is_down);
    cr_assert_leq(link_deadline(a.link), STOP);
    cr_assert_leq(link_deadline(b.link), STOP);
    tick(&a, STOP);
    tick(&b, STOP);
    cr_assert(a.is_down && a.down.err == WEFT_ERR_TIMEOUT);
    cr_assert(b.is_down && b.down.err == WEFT_ERR_TIMEOUT);
    cr_assert(!link_wants_write(a.link) && !link_wants_write(b.link));
}

/* Frames flow both ways all the time, bytes are cut anywhere, keys change every few records. */
static void under_load(uint8_t seed) {
    struct rng rng;
    uint8_t bytes[32] = {seed, 77};
    rng_init(&rng, bytes);
    struct bytes expected[2] = {{.data = NULL}, {.data = NULL}};
    struct end *ends[2] = {&a, &b};
    size_t cut = (size_t)1 << (10 + rng_below(&rng, 7)); /* fast enough for the hard stop */
    weft_ns now = START;
    for (uint32_t i = 0; i < 400; i++) {
        size_t way = (size_t)rng_below(&rng, 2);
        uint16_t len = (uint16_t)(1 + rng_below(&rng, 2000));
        now += rng_below(&rng, NS_PER_S);
        if (send_carrier(ends[way], 7, len, i, now) == WEFT_OK) {
            expect_carrier(&expected[way], 7, len, i);
        }
        link_tick(a.link, now);
        link_tick(b.link, now);
        for (size_t step = rng_below(&rng, 6); step > 0; step--) {
            struct end *from = ends[rng_below(&rng, 2)];
            struct end *to = from == &a ? &b : &a;
            end_flush(from, now, 1 + rng_below(&rng, cut));
            size_t left = from->wire.len - from->delivered;
            size_t part = 1 + rng_below(&rng, cut);
            part = part < left ? part : left;
            end_feed(to, from->wire.data + from->delivered, part, SIZE_MAX, now);
            from->delivered += part;
        }
    }
    pair_settle(&a, &b, &rng, cut, now);
    cr_assert(!a.is_down && !b.is_down, "seed %u: %s%s", seed, a.is_down ? a.down.detail : "",
              b.is_down ? b.down.detail : "");
    cr_assert(!link_wants_write(a.link) && !link_wants_write(b.link));
    cr_assert_eq(a.delivered, a.wire.len);
    cr_assert_eq(b.delivered, b.wire.len);
    cr_assert_eq(b.got.len, expected[0].len, "seed %u: %zu %zu", seed, b.got.len, expected[0].len);
    cr_assert_arr_eq(b.got.data, expected[0].data, expected[0].len);
    cr_assert_eq(a.got.len, expected[1].len, "seed %u", seed);
    cr_assert_arr_eq(a.got.data, expected[1].data, expected[1].len);
    bytes_free(&expected[0]);
    bytes_free(&expected[1]);
}

Test(link_rekey, loses_nothing_under_load_by_records) {
    a.shared.rekey_records = b.shared.rekey_records = 8;
    for (uint8_t seed = 0; seed < 40; seed++) {
        pair_up(&a, &b, START);
        under_load(seed);
        cr_assert_gt(link_count(a.link).rekeys, 2, "seed %u", seed);
    }
}

Test(link_rekey, loses_nothing_under_load_by_time) {
    a.shared.rekey_after = b.shared.rekey_after = 5 * NS_PER_S;
    for (uint8_t seed = 0; seed < 40; seed++) {
        pair_up(&a, &b, START);
        under_load(seed);
        cr_assert_gt(link_count(a.link).rekeys, 2, "seed %u", seed);
    }
}

/* ---- a hostile dialler ---- */

static struct insider insider;

static struct span rekey_body(const struct rekey *rekey) {
    return span_of(rekey->frame + WIRE_FRAME_HEADER_BYTES,
                   rekey->frame_len - WIRE_FRAME_HEADER_BYTES);
}

/* Goes through the steps up to the one to be sent as step 3. */
static void two_steps(weft_ns now) {
    struct wire_frame answer;
    struct link_fault fault;
    cr_assert_eq(rekey_start(&insider.rekey, &insider.end.shared), WEFT_OK);
    insider_frame(&insider, &b, WIRE_REKEY, 0, rekey_body(&insider.rekey), now);
    insider.rekey.frame_len = 0;
    cr_assert(!b.is_down, "%s", b.down.detail);
    cr_assert(insider_read(&insider, &b, &answer, now));
    cr_assert_eq(answer.kind, WIRE_REKEY);
    cr_assert(
        rekey_take(&insider.rekey, &insider.end.shared, answer.body, &insider.reader, now, &fault));
}

static void expect_refused(enum weft_err err) {
    cr_assert(b.is_down);
    cr_assert_eq(b.down.err, err, "%s: %s", weft_err_name(b.down.err), b.down.detail);
    bool is_told = err == WEFT_ERR_MALFORMED || err == WEFT_ERR_AUTH;
    cr_assert_eq(link_wants_write(b.link), is_told);
    insider_fini(&insider);
}

Test(link_rekey, takes_both_keys_as_the_protocol_says) {
    struct wire_frame frame;
    insider_up(&insider, &b, START);
    two_steps(DUE);
    cr_assert_eq(send_frame(&b, WIRE_UNICAST, 9, 1, WIRE_CLASS_MESSAGE, DUE), WEFT_OK);
    cr_assert(insider_read(&insider, &b, &frame, DUE)); /* already under the new key */
    cr_assert_eq(frame.kind, WIRE_UNICAST);
    insider_frame(&insider, &b, WIRE_UNICAST, 0, span_of_text("old"), DUE);
    cr_assert_eq(b.frame_count, 1);
    insider_frame(&insider, &b, WIRE_REKEY, 0, rekey_body(&insider.rekey), DUE);
    aead_free(insider.send);
    insider.send = insider.rekey.next_send;
    insider.rekey.next_send = NULL;
    insider.counter = 0;
    insider_frame(&insider, &b, WIRE_UNICAST, 0, span_of_text("new"), DUE);
    cr_assert_eq(b.frame_count, 2);
    insider_fini(&insider);
}

Test(link_rekey, the_old_key_is_refused_after_step_3) {
    insider_up(&insider, &b, START);
    two_steps(DUE);
    insider_frame(&insider, &b, WIRE_REKEY, 0, rekey_body(&insider.rekey), DUE);
    cr_assert(!b.is_down);
    insider_frame(&insider, &b, WIRE_UNICAST, 0, span_of_text("old"), DUE);
    cr_assert_eq(b.frame_count, 0);
    expect_refused(WEFT_ERR_AUTH);
}

Test(link_rekey, step_3_must_end_its_record) {
    insider_up(&insider, &b, START);
    two_steps(DUE);
    insider_send(&insider, &b, "\x10\0\0\x01\x03\x02\0\0\0", 9, 0, DUE);
    expect_refused(WEFT_ERR_MALFORMED);
}

Test(link_rekey, step_3_carries_no_message) {
    insider_up(&insider, &b, START);
    two_steps(DUE);
    insider_frame(&insider, &b, WIRE_REKEY, 0, span_of("\x03x", 2), DUE);
    expect_refused(WEFT_ERR_MALFORMED);
}

Test(link_rekey, a_step_that_is_not_due_is_refused) {
    static const uint8_t steps[] = {0, 2, 3, 4, 255};
    for (size_t i = 0; i < sizeof steps; i++) {
        uint8_t body[49] = {steps[i]};
        insider_up(&insider, &b, START);
        insider_frame(&insider, &b, WIRE_REKEY, 0, span_of(body, sizeof body), DUE);
        expect_refused(WEFT_ERR_MALFORMED);
    }
}

Test(link_rekey, a_second_step_1_is_refused) {
    insider_up(&insider, &b, START);
    two_steps(DUE);
    uint8_t body[49] = {1};
    insider_frame(&insider, &b, WIRE_REKEY, 0, span_of(body, sizeof body), DUE);
    expect_refused(WEFT_ERR_MALFORMED);
}

Test(link_rekey, a_message_that_does_not_open_is_refused) {
    for (size_t len = 4; len <= 60; len += 4) {
        uint8_t body[61] = {1, 9, 9, 9};
        insider_up(&insider, &b, START);
        insider_frame(&insider, &b, WIRE_REKEY, 0, span_of(body, 1 + len), DUE);
        expect_refused(WEFT_ERR_AUTH);
    }
}

Test(link_rekey, an_empty_frame_is_refused) {
    insider_up(&insider, &b, START);
    insider_frame(&insider, &b, WIRE_REKEY, 0, span_of(NULL, 0), DUE);
    expect_refused(WEFT_ERR_MALFORMED);
}

/* T15: three Diffie-Hellmans for one small frame. */
Test(link_rekey, cannot_be_asked_for_all_the_time) {
    uint8_t body[49] = {1};
    insider_up(&insider, &b, START);
    two_steps(DUE);
    insider_frame(&insider, &b, WIRE_REKEY, 0, rekey_body(&insider.rekey), DUE);
    aead_free(insider.send);
    insider.send = insider.rekey.next_send;
    insider.rekey.next_send = NULL;
    insider.counter = 0;
    cr_assert_eq(link_count(b.link).rekeys, 1);
    insider_frame(&insider, &b, WIRE_REKEY, 0, span_of(body, sizeof body), DUE + NS_PER_S);
    expect_refused(WEFT_ERR_MALFORMED);
}

Test(link_rekey, the_acceptor_may_not_begin) {
    struct rekey rekey = {.role = LINK_DIALLED};
    uint8_t body[49] = {1};
    struct link_fault fault;
    struct record_reader reader = {.counter = 0};
    cr_assert(!rekey_take(&rekey, &a.shared, span_of(body, sizeof body), &reader, DUE, &fault));
    cr_assert_eq(fault.err, WEFT_ERR_MALFORMED);
}

Test(link_rekey, a_dialler_that_never_begins_is_cut_off) {
    insider_up(&insider, &b, START);
    link_tick(b.link, STOP);
    end_events(&b, STOP);
    expect_refused(WEFT_ERR_TIMEOUT);
}
