/* SPDX-License-Identifier: Apache-2.0
 *
 * One link's life as the host sees it: states, closing, bounds, deadlines, memory.
 */
#include <criterion/criterion.h>
#include <malloc.h>

#include "base/frame_pool.h"
#include "link/farewell.h"
#include "support/failing_alloc.h"
#include "unit/link/insider.h"

#define NOW ((weft_ns)5000000000)
#define IDLE_BYTES_MAX 4096

#if defined(__SANITIZE_ADDRESS__)
size_t __sanitizer_get_current_allocated_bytes(void);
static size_t allocated(void) {
    return __sanitizer_get_current_allocated_bytes();
}
#else
static size_t allocated(void) {
    return mallinfo2().uordblks;
}
#endif

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

TestSuite(link_life, .init = setup, .fini = teardown);

/* ---- sending ---- */

Test(link_life, takes_frames_only_while_up) {
    pair_open(&a, &b, NOW);
    cr_assert(!link_is_up(a.link));
    cr_assert_eq(send_frame(&a, WIRE_UNICAST, 1, 1, WIRE_CLASS_MESSAGE, NOW), WEFT_ERR_STATE);
    cr_assert_eq(link_room(a.link, WIRE_CLASS_MESSAGE), 0);
    pair_settle(&a, &b, NULL, SIZE_MAX, NOW);
    cr_assert_eq(send_frame(&a, WIRE_UNICAST, 1, 1, WIRE_CLASS_MESSAGE, NOW), WEFT_OK);
    cr_assert_gt(link_room(a.link, WIRE_CLASS_MESSAGE), 4000000);
    link_close(a.link, WIRE_CLOSE_BYE, "enough");
    cr_assert_eq(send_frame(&a, WIRE_UNICAST, 1, 1, WIRE_CLASS_MESSAGE, NOW), WEFT_ERR_STATE);
}

Test(link_life, wants_to_write_only_when_it_has_something) {
    struct span span;
    cr_assert(!link_wants_write(a.link));
    cr_assert_eq(link_write_spans(a.link, NOW, &span, 1), 0);
    cr_assert_eq(send_frame(&a, WIRE_UNICAST, 1, 1, WIRE_CLASS_MESSAGE, NOW), WEFT_OK);
    cr_assert(link_wants_write(a.link));
    cr_assert_eq(link_write_spans(a.link, NOW, &span, 1), 1);
    link_write_done(a.link, span.len - 1);
    cr_assert(link_wants_write(a.link));
    link_write_done(a.link, 1);
    cr_assert(!link_wants_write(a.link));
}

Test(link_life, what_is_urgent_overtakes_until_it_is_sealed) {
    struct bytes expected = {.data = NULL};
    for (uint32_t i = 0; i < 30; i++) {
        cr_assert_eq(send_carrier(&a, 1, 60000, i, NOW), WEFT_OK);
    }
    end_flush(&a, NOW, 1000); /* one record is bound */
    cr_assert_eq(send_frame(&a, WIRE_HEARTBEAT, 21, 1, WIRE_CLASS_CONTROL, NOW), WEFT_OK);
    pair_settle(&a, &b, NULL, SIZE_MAX, NOW);
    expect_carrier(&expected, 1, 60000, 0);
    expect_frame(&expected, WIRE_HEARTBEAT, 21, 1);
    expect_carrier(&expected, 1, 60000, 1);
    cr_assert_eq(b.frame_count, 31);
    cr_assert_arr_eq(b.got.data, expected.data, expected.len);
    bytes_free(&expected);
}

Test(link_life, a_slow_link_marks_carriers_but_not_the_shared_frame) {
    struct frame *frame = carrier_of(7, 60000);
    struct frame *payload = payload_of(60000, 1);
    for (uint32_t i = 0; i < 60; i++) {
        cr_assert_eq(link_send(a.link, frame, payload, WIRE_CLASS_STREAM, 7, NOW), WEFT_OK);
    }
    size_t first = a.wire.len;
    for (weft_ns i = 0; i < 60; i++) { /* one every 10 ms, so the budget falls to one a record */
        end_flush(&a, NOW + i * 10 * NS_PER_MS, 60066);
    }
    end_feed(&b, a.wire.data + first, a.wire.len - first, SIZE_MAX, NOW);
    cr_assert_geq(b.frame_count, 59);
    size_t each = 6 + 44 + 4 + 60000;
    cr_assert_eq(b.got.data[6 + 41], 0);
    cr_assert_eq(b.got.data[8 * each + 6 + 41], 0); /* it has not stood for 100 ms yet */
    cr_assert_eq(b.got.data[40 * each + 6 + 41], WIRE_CARRIER_CONGESTED);
    cr_assert_eq(frame->data[4 + 41], 0);
    frame_unref(frame);
    frame_unref(payload);
}

Test(link_life, refuses_or_cuts_what_is_beyond_the_bound) {
    while (send_frame(&a, WIRE_UNICAST, 50000, 1, WIRE_CLASS_MESSAGE, NOW) == WEFT_OK) {
    }
    for (uint32_t i = 0; i < 100; i++) {
        cr_assert_eq(send_carrier(&a, 1, 60000, 1, NOW), WEFT_OK);
    }
    cr_assert_eq(link_take_cut(a.link), 36, "69 fit, and each cut leaves an eighth free");
    cr_assert_eq(link_take_cut(a.link), 0);
    cr_assert_eq(send_frame(&a, WIRE_UNICAST, 50000, 1, WIRE_CLASS_MESSAGE, NOW), WEFT_ERR_FULL);
    cr_assert(link_is_up(a.link));
    pair_settle(&a, &b, NULL, SIZE_MAX, NOW);
    cr_assert(!a.is_down && !b.is_down);
}

Test(link_life, a_peer_that_lets_control_stand_is_cut_off) {
    while (send_frame(&a, WIRE_HEARTBEAT, 21, 1, WIRE_CLASS_CONTROL, NOW) == WEFT_OK) {
    }
    cr_assert(!link_is_up(a.link));
    cr_assert_leq(link_deadline(a.link), NOW); /* an event waits */
    end_events(&a, NOW);
    cr_assert(a.is_down);
    cr_assert_eq(a.down.err, WEFT_ERR_FULL);
    cr_assert(!link_wants_write(a.link));
}

/* The host may be in the middle of a frame of this very link when it ends. */
Test(link_life, a_lent_frame_outlives_the_end_of_its_link) {
    cr_assert_eq(send_carrier(&a, 1, 5000, 1, NOW), WEFT_OK);
    end_flush(&a, NOW, SIZE_MAX);
    size_t len = 0;
    size_t at = a.delivered;
    uint8_t *space = link_read_space(b.link, &len);
    memcpy(space, a.wire.data + at, a.wire.len - at);
    link_read_done(b.link, a.wire.len - at, NOW);
    struct link_event event;
    cr_assert(link_next_event(b.link, NOW, &event));
    while (send_frame(&b, WIRE_HEARTBEAT, 21, 1, WIRE_CLASS_CONTROL, NOW) == WEFT_OK) {
    }
    struct frame *payload = payload_of(5000, 1);
    cr_assert(span_equal(event.payload.bytes, frame_view(payload)));
    frame_unref(payload);
}

/* ---- closing ---- */

Test(link_life, a_close_reaches_the_peer_behind_control_and_before_the_rest) {
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(send_frame(&a, WIRE_UNICAST, 9, i, WIRE_CLASS_MESSAGE, NOW), WEFT_OK);
        cr_assert_eq(send_carrier(&a, 1, 9, i, NOW), WEFT_OK);
    }
    cr_assert_eq(send_frame(&a, WIRE_RECORDS, 9, 3, WIRE_CLASS_CONTROL, NOW), WEFT_OK);
    link_close(a.link, WIRE_CLOSE_SURPLUS, "degree 8");
    cr_assert(link_wants_write(a.link));
    pair_settle(&a, &b, NULL, SIZE_MAX, NOW);
    cr_assert_eq(b.frame_count, 1);
    cr_assert(b.is_down);
    cr_assert_eq(b.down.err, WEFT_ERR_REFUSED);
    cr_assert_eq(b.down.close_reason, WIRE_CLOSE_SURPLUS);
    cr_assert_not_null(strstr(b.down.detail, "degree 8"));
    cr_assert(!a.is_down);
    cr_assert(!link_wants_write(a.link));
}

Test(link_life, a_close_cleans_its_text) {
    char text[400];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    text[3] = '\n';
    link_close(a.link, WIRE_CLOSE_BYE, text);
    pair_settle(&a, &b, NULL, SIZE_MAX, NOW);
    cr_assert_eq(b.down.err, WEFT_ERR_REFUSED, "%s", b.down.detail);
    cr_assert_not_null(strstr(b.down.detail, "xxx?xxx"));
}

Test(link_life, a_close_of_every_reason_is_told_in_words) {
    for (uint32_t reason = 1; reason < 256; reason++) {
        struct frame *frame = farewell_make((enum wire_close_reason)reason, NULL);
        struct span body = span_of(frame->data + 4, frame->len - 4);
        uint8_t got = 0;
        char detail[200] = "";
        cr_assert_eq(farewell_tell(body, &got, detail, sizeof detail), WEFT_OK);
        cr_assert_eq(got, reason);
        cr_assert_gt(strlen(detail), 18);
        frame_unref(frame);
    }
}

Test(link_life, a_malformed_close_ends_the_link_all_the_same) {
    insider_up(&insider, &b, NOW);
    insider_frame(&insider, &b, WIRE_CLOSE, 0, span_of("\0", 1), NOW);
    cr_assert(b.is_down);
    cr_assert_eq(b.down.err, WEFT_ERR_MALFORMED);
    cr_assert_eq(b.down.close_reason, 0);
}

Test(link_life, nothing_comes_out_of_a_link_we_closed) {
    link_close(a.link, WIRE_CLOSE_BYE, NULL);
    cr_assert_eq(send_frame(&b, WIRE_UNICAST, 9, 1, WIRE_CLASS_MESSAGE, NOW), WEFT_OK);
    end_flush(&b, NOW, SIZE_MAX);
    end_feed(&a, b.wire.data + b.delivered, b.wire.len - b.delivered, SIZE_MAX, NOW);
    cr_assert_eq(a.frame_count, 0);
    cr_assert(!a.is_down);
}

Test(link_life, a_close_that_is_not_read_times_out) {
    link_close(a.link, WIRE_CLOSE_BYE, NULL);
    weft_ns end = link_deadline(a.link);
    cr_assert_leq(end, NOW + NS_PER_S);
    link_tick(a.link, end);
    end_events(&a, end);
    cr_assert(a.is_down);
    cr_assert_eq(a.down.err, WEFT_ERR_TIMEOUT);
}

Test(link_life, a_close_before_it_is_up_says_nothing) {
    pair_open(&a, &b, NOW);
    link_close(a.link, WIRE_CLOSE_BYE, NULL);
    link_close(b.link, WIRE_CLOSE_BYE, NULL);
    cr_assert(!link_wants_write(a.link) && !link_wants_write(b.link));
    end_events(&a, NOW);
    cr_assert(!a.is_down);
    cr_assert_eq(link_deadline(a.link), WEFT_NEVER);
}

Test(link_life, closing_twice_closes_once) {
    link_close(a.link, WIRE_CLOSE_BYE, "first");
    link_close(a.link, WIRE_CLOSE_SLOW, "second");
    pair_settle(&a, &b, NULL, SIZE_MAX, NOW);
    cr_assert_eq(b.down.close_reason, WIRE_CLOSE_BYE);
}

/* ---- garbage and truncation at any time ---- */

Test(link_life, garbage_at_any_place_ends_only_this_link) {
    for (uint8_t seed = 0; seed < 100; seed++) {
        struct rng rng;
        uint8_t bytes[32] = {seed, 31};
        rng_init(&rng, bytes);
        pair_open(&a, &b, NOW);
        pair_settle(&a, &b, &rng, 40, NOW);
        cr_assert_eq(send_carrier(&a, 1, 300, 1, NOW), WEFT_OK);
        end_flush(&a, NOW, SIZE_MAX);
        size_t keep = (size_t)rng_below(&rng, a.wire.len - a.delivered);
        end_feed(&b, a.wire.data + a.delivered, keep, SIZE_MAX, NOW);
        uint8_t garbage[70000];
        for (size_t i = 0; i < sizeof garbage; i++) {
            garbage[i] = (uint8_t)rng_next(&rng);
        }
        end_feed(&b, garbage, sizeof garbage, 1 + (size_t)rng_below(&rng, 9000), NOW);
        cr_assert(b.is_down, "seed %u", seed);
    }
}

/* ---- memory ---- */

/* As a length does that was changed on the way. */
Test(link_life, a_record_that_does_not_end_ends_the_link) {
    const uint8_t head[] = {0xff, 0xf0};
    weft_ns now = NOW;

    end_feed(&b, head, sizeof head, sizeof head, now);
    for (int i = 0; i < 14; i++) { /* what comes meanwhile is no sign of an end */
        now += NS_PER_S;
        end_feed(&b, head, sizeof head, sizeof head, now);
        link_tick(b.link, now);
    }
    end_events(&b, now);
    cr_assert(link_is_up(b.link));
    cr_assert_leq(link_deadline(b.link), NOW + 15 * NS_PER_S);
    now = NOW + 15 * NS_PER_S;
    link_tick(b.link, now);
    end_events(&b, now);
    cr_expect(b.is_down);
    cr_expect_eq(b.down.err, WEFT_ERR_MALFORMED);
}

/* One that is slow to come is another thing: each frame of it is a sign. */
Test(link_life, a_slow_link_lives) {
    weft_ns now = NOW;

    for (uint32_t i = 0; i < 8; i++) {
        cr_assert_eq(send_carrier(&a, 1, 60000, i, now), WEFT_OK);
    }
    end_flush(&a, now, SIZE_MAX);
    while (a.delivered < a.wire.len) {
        size_t left = a.wire.len - a.delivered;
        size_t len = left < 6000 ? left : 6000;
        now += NS_PER_S;
        end_feed(&b, a.wire.data + a.delivered, len, len, now);
        a.delivered += len;
        link_tick(b.link, now);
        end_events(&b, now);
        cr_assert(link_is_up(b.link));
    }
}

Test(link_life, an_idle_link_holds_less_than_4_kb) {
    for (uint32_t i = 0; i < 60; i++) { /* it was busy once */
        cr_assert_eq(send_carrier(&a, i, 60000, i, NOW), WEFT_OK);
        cr_assert_eq(send_frame(&b, WIRE_UNICAST, 30000, i, WIRE_CLASS_MESSAGE, NOW), WEFT_OK);
    }
    pair_settle(&a, &b, NULL, SIZE_MAX, NOW);
    for (weft_ns i = 1; i <= 3; i++) {
        link_tick(a.link, NOW + i * NS_PER_S);
        link_tick(b.link, NOW + i * NS_PER_S);
    }
    size_t both = allocated();
    link_free(a.link);
    link_free(b.link);
    a.link = b.link = NULL;
    cr_assert_leq((both - allocated()) / 2, IDLE_BYTES_MAX, "%zu bytes", (both - allocated()) / 2);
}

/* Heartbeats come and go for as long as a link lives: what it held for bulk goes all the same. */
Test(link_life, a_link_that_only_beats_holds_no_more_than_an_idle_one) {
    a.shared.blocks = frame_pool_new();
    b.shared.blocks = frame_pool_new();
    pair_up(&a, &b, NOW);
    for (uint32_t i = 0; i < 60; i++) {
        cr_assert_eq(send_carrier(&a, i, 60000, i, NOW), WEFT_OK);
    }
    pair_settle(&a, &b, NULL, SIZE_MAX, NOW);
    cr_assert_gt(frame_pool_block_bytes(b.shared.blocks), 262144, "bulk is read into large blocks");
    for (uint32_t i = 1; i <= 30; i++) {
        weft_ns now = NOW + i * NS_PER_S / 10 * 9;
        cr_assert_eq(send_frame(&a, WIRE_HEARTBEAT, 21, i, WIRE_CLASS_CONTROL, now), WEFT_OK);
        cr_assert_eq(send_frame(&b, WIRE_HEARTBEAT, 21, i, WIRE_CLASS_CONTROL, now), WEFT_OK);
        pair_settle(&a, &b, NULL, SIZE_MAX, now);
        link_tick(a.link, now);
        link_tick(b.link, now);
    }
    cr_assert_eq(frame_pool_block_bytes(b.shared.blocks), 0, "%zu bytes",
                 frame_pool_block_bytes(b.shared.blocks));
    frame_pool_free(a.shared.blocks);
    frame_pool_free(b.shared.blocks);
}

Test(link_life, looks_for_idle_memory_once_and_then_sleeps) {
    cr_assert_eq(send_frame(&a, WIRE_UNICAST, 9, 1, WIRE_CLASS_MESSAGE, NOW), WEFT_OK);
    pair_settle(&a, &b, NULL, SIZE_MAX, NOW);
    cr_assert_leq(link_deadline(a.link), NOW + NS_PER_S);
    link_tick(a.link, NOW + NS_PER_S);
    link_tick(a.link, NOW + 2 * NS_PER_S);
    cr_assert_eq(link_deadline(a.link), NOW + a.shared.rekey_after);
}

/* One frame from `a` to `b`; whether that allocated anything. */
static bool allocates(struct frame *frame) {
    struct span span;
    struct link_event event;
    size_t len = 0;
    failing_alloc_arm(1);
    bool is_sent = link_send(a.link, frame, NULL, WIRE_CLASS_MESSAGE, 0, NOW) == WEFT_OK &&
                   link_write_spans(a.link, NOW, &span, 1) == 1;
    uint8_t *space = link_read_space(b.link, &len);
    if (is_sent && space != NULL) {
        memcpy(space, span.data, span.len);
        link_write_done(a.link, span.len);
        link_read_done(b.link, span.len, NOW);
        is_sent = link_next_event(b.link, NOW, &event) && !link_next_event(b.link, NOW, &event);
    }
    return failing_alloc_disarm() || !is_sent || space == NULL;
}

/* A link at rest holds neither a batch nor a block, and yet needs no new ones. */
Test(link_life, uses_again_what_it_writes_from_and_reads_into) {
    struct frame *frame = frame_of(WIRE_UNICAST, 1000, 1);
    a.shared.blocks = frame_pool_new();
    b.shared.blocks = frame_pool_new();
    pair_open(&a, &b, NOW);
    pair_settle(&a, &b, NULL, SIZE_MAX, NOW);
    cr_assert_eq(send_frame(&a, WIRE_UNICAST, 1000, 1, WIRE_CLASS_MESSAGE, NOW), WEFT_OK);
    pair_settle(&a, &b, NULL, SIZE_MAX, NOW);
    for (int i = 0; i < 10; i++) {
        cr_assert(!allocates(frame), "frame %d", i);
    }
    frame_pool_trim(a.shared.blocks);
    frame_pool_trim(a.shared.blocks);
    cr_assert(allocates(frame), "what lay unused was freed");
    frame_unref(frame);
    frame_pool_free(a.shared.blocks);
    frame_pool_free(b.shared.blocks);
}

Test(link_life, a_half_open_link_holds_less_than_8_kb) {
    size_t before = allocated();
    pair_open(&a, &b, NOW);
    before = allocated(); /* what the first pair held is gone */
    end_open(&b, LINK_ACCEPTED, NULL, NOW);
    end_feed(&b, "weft\x01\x01\x03\x7a", 8, SIZE_MAX, NOW);
    cr_assert_leq(allocated(), before + 8192);
}

/* Every allocation of a link's life failing in turn: it ends or refuses, and nothing else. */
Test(link_life, survives_every_allocation_failing) {
    struct frame *frame = frame_of(WIRE_UNICAST, 3000, 1);
    FAILING_ALLOC_EACH(nth) {
        struct link *dialled = NULL;
        struct link *accepted = NULL;
        if (link_new(&a.shared, LINK_DIALLED, NULL, NOW, &dialled) == WEFT_OK &&
            link_new(&b.shared, LINK_ACCEPTED, NULL, NOW, &accepted) == WEFT_OK) {
            struct link *ends[2] = {dialled, accepted};
            for (int step = 0; step < 12; step++) {
                struct link *from = ends[step % 2];
                struct link *to = ends[1 - step % 2];
                struct span spans[8];
                struct link_event event;
                size_t len = 0;
                if (link_is_up(from)) {
                    (void)!link_send(from, frame, NULL, WIRE_CLASS_STREAM, 1, NOW);
                }
                weft_ns now = NOW + (step >= 6 ? 120 * NS_PER_S : 0);
                link_tick(from, now);
                size_t count = link_write_spans(from, now, spans, 8);
                uint8_t *space = count == 0 ? NULL : link_read_space(to, &len);
                if (space != NULL) {
                    len = len < spans[0].len ? len : spans[0].len;
                    memcpy(space, spans[0].data, len);
                    link_read_done(to, len, now);
                    link_write_done(from, len);
                }
                while (link_next_event(to, now, &event)) {
                }
            }
        }
        if (!failing_alloc_disarm()) { /* the last run got as far as new keys */
            cr_assert_eq(link_count(dialled).rekeys, 1);
            cr_assert_eq(link_count(accepted).rekeys, 1);
        }
        link_free(dialled);
        link_free(accepted);
    }
    frame_unref(frame);
}
