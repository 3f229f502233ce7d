/* SPDX-License-Identifier: Apache-2.0
 *
 * Payloads that are kept where they were read: they stay as they are while reading goes on, may be
 * overwritten without harm to what comes later, and pin a bounded number of blocks.
 */
#include <criterion/criterion.h>

#include "base/check.h"
#include "base/frame_pool.h"
#include "link/record.h"
#include "unit/link/pair.h"

#define NOW ((weft_ns)1000)
#define PACKET 61000
#define COUNT 200
#define SCRIBBLE 0xee

static struct end a;
static struct end b;
static struct frame *kept[COUNT];
static size_t kept_count;

static void up(void) {
    end_init(&a, 1, 9);
    end_init(&b, 2, 9);
    pair_up(&a, &b, NOW);
}

static void down(void) {
    for (size_t i = 0; i < kept_count; i++) {
        frame_unref(kept[i]);
    }
    end_fini(&a);
    end_fini(&b);
}

TestSuite(link_loan, .init = up, .fini = down);

static struct span expected_of(size_t index, struct frame **out) {
    *out = payload_of(PACKET, (uint32_t)index);
    return frame_view(*out);
}

/* Takes what has come, checks it, keeps it and writes over it. */
static void take(void) {
    struct link_event event;
    while (link_next_event(b.link, NOW, &event)) {
        struct frame *same;
        cr_assert_eq(event.kind, LINK_EVENT_FRAME);
        cr_assert(span_equal(event.payload.bytes, expected_of(kept_count, &same)));
        frame_unref(same);
        struct frame *frame = loan_keep(&event.payload);
        cr_assert_not_null(frame);
        memset(frame->data, SCRIBBLE, frame->len);
        kept[kept_count++] = frame;
    }
}

/* One packet, in reads of any size. */
static void carry(size_t cut) {
    cr_assert_eq(send_carrier(&a, 1, PACKET, (uint32_t)kept_count, NOW), WEFT_OK);
    end_flush(&a, NOW, SIZE_MAX);
    while (a.delivered < a.wire.len) {
        size_t len = 0;
        size_t left = a.wire.len - a.delivered;
        uint8_t *space = link_read_space(b.link, &len);
        cr_assert_not_null(space);
        len = len < left ? len : left;
        len = len < cut ? len : cut;
        memcpy(space, a.wire.data + a.delivered, len);
        link_read_done(b.link, len, NOW);
        a.delivered += len;
        take();
    }
}

static size_t slice_count(void) {
    size_t count = 0;
    for (size_t i = 0; i < kept_count; i++) {
        count += kept[i]->whole != NULL ? 1 : 0;
    }
    return count;
}

static size_t block_count(void) {
    size_t count = 0;
    for (size_t i = 0; i < kept_count; i++) {
        bool is_new = kept[i]->whole != NULL;
        for (size_t j = 0; j < i; j++) {
            is_new = is_new && kept[i]->whole != kept[j]->whole;
        }
        count += is_new ? 1 : 0;
    }
    return count;
}

static void expect_untouched(void) {
    for (size_t i = 0; i < kept_count; i++) {
        cr_assert_eq(kept[i]->len, PACKET);
        for (size_t at = 0; at < PACKET; at++) {
            cr_assert_eq(kept[i]->data[at], SCRIBBLE);
        }
    }
}

Test(link_loan, what_is_kept_is_neither_copied_nor_touched_again) {
    for (int i = 0; i < 20; i++) {
        carry(SIZE_MAX);
    }
    cr_assert_eq(kept_count, 20);
    cr_assert_geq(slice_count(), 19); /* the first came in a small buffer's time */
    expect_untouched();
}

Test(link_loan, holds_for_reads_of_any_size) {
    const size_t cuts[] = {1000, 7777, 40000, 61070, 100000};
    for (int i = 0; i < 25; i++) {
        carry(cuts[i % 5]);
    }
    cr_assert_eq(kept_count, 25);
    expect_untouched();
}

Test(link_loan, pins_few_blocks_and_then_copies) {
    for (int i = 0; i < COUNT; i++) {
        carry(SIZE_MAX);
    }
    cr_assert_eq(kept_count, COUNT);
    cr_assert_leq(block_count(), INBUF_OTHERS + 1);
    cr_assert_lt(slice_count(), COUNT);
    cr_assert_null(kept[COUNT - 1]->whole);
    expect_untouched();
}

Test(link_loan, lends_again_once_blocks_are_free) {
    for (int i = 0; i < COUNT - 2; i++) {
        carry(SIZE_MAX);
    }
    for (size_t i = 0; i < kept_count; i++) {
        frame_unref(kept[i]);
        kept[i] = frame_copy(span_of(NULL, 0));
    }
    carry(SIZE_MAX);
    cr_assert_not_null(kept[kept_count - 1]->whole);
}

/* A pinned block stays counted although the link has given back what it could. */
Test(link_loan, an_idle_link_does_not_forget_what_is_pinned) {
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 30; i++) {
            carry(SIZE_MAX);
        }
        link_tick(b.link, NOW + (weft_ns)(round + 1) * 3 * NS_PER_S);
        link_tick(b.link, NOW + (weft_ns)(round + 1) * 5 * NS_PER_S);
    }
    cr_assert_leq(block_count(), INBUF_OTHERS + 1);
    expect_untouched();
}

/* What still comes is read and forgotten, and not to where others read. */
Test(link_loan, a_link_that_closes_leaves_what_is_kept_alone) {
    for (int i = 0; i < 3; i++) {
        carry(SIZE_MAX);
    }
    link_close(b.link, WIRE_CLOSE_BYE, "leaving");
    for (int i = 0; i < 100; i++) {
        size_t len = 0;
        uint8_t *space = link_read_space(b.link, &len);
        cr_assert_not_null(space);
        memset(space, 0xaa, len);
        link_read_done(b.link, len, NOW);
    }
    expect_untouched();
}

Test(link_loan, a_slice_outlives_its_link) {
    for (int i = 0; i < 3; i++) {
        carry(SIZE_MAX);
    }
    end_fini(&b);
    end_init(&b, 2, 9);
    expect_untouched();
}

/* ---- what closed links leave behind ---- */

#define SLICE 16384
#define CAP (2 + 65535 + 262144)
#define LINKS 20

/* One link: of each block that it reads, one small packet stays. Returns how many did, as slices.
 */
static size_t leave_slices(struct frame_pool *pool, size_t bytes_max, struct frame **stays) {
    struct inbuf in = {.pool = pool, .pool_bytes_max = bytes_max};
    const struct frame *last = NULL;
    size_t count = 0;
    in.wants_more = true;
    for (size_t traffic = 0; traffic < (size_t)12 * CAP; traffic += SLICE) {
        size_t len = 0;
        uint8_t *space = inbuf_space(&in, SLICE, CAP, &len);
        cr_assert_not_null(space);
        memset(space, 1, SLICE);
        inbuf_done(&in, SLICE);
        struct loan loan = inbuf_lend(&in, span_of(in.data + in.begin, SLICE));
        if (loan.block != NULL && in.block != last) {
            last = in.block;
            stays[count++] = loan_keep(&loan);
        }
        in.begin = in.end;
        inbuf_relax(&in, false);
    }
    inbuf_fini(&in);
    return count;
}

static size_t left_behind(struct frame_pool *pool, size_t bytes_max) {
    static struct frame *stays[LINKS * (INBUF_OTHERS + 1)];
    size_t count = 0;
    for (unsigned i = 0; i < LINKS; i++) {
        count += leave_slices(pool, bytes_max, stays + count);
    }
    size_t bytes = frame_pool_block_bytes(pool);
    for (size_t i = 0; i < count; i++) {
        frame_unref(stays[i]);
    }
    cr_assert_eq(frame_pool_block_bytes(pool), 0);
    return bytes;
}

/* Who reconnects would else have nine blocks more each time, for a packet of 16 KiB each. */
Test(link_loan, blocks_that_closed_links_pinned_have_a_bound_for_all) {
    struct frame_pool *pool = frame_pool_new();
    size_t bytes_max = (size_t)4 << 20;
    cr_assert_geq(left_behind(pool, SIZE_MAX), (size_t)LINKS * (INBUF_OTHERS - 1) * CAP);
    cr_assert_leq(left_behind(pool, bytes_max), bytes_max + CAP);
    cr_assert_gt(left_behind(pool, bytes_max), bytes_max / 2);
    frame_pool_free(pool);
}

/* Beyond the bound links keep no blocks to be read into again, which would keep them beyond it. */
Test(link_loan, unused_blocks_go_where_there_are_too_many) {
    struct frame_pool *pool = frame_pool_new();
    struct frame *stays[INBUF_OTHERS + 1];
    size_t count = leave_slices(pool, SIZE_MAX, stays);
    struct inbuf in = {.pool = pool, .pool_bytes_max = SIZE_MAX};
    size_t len = 0;
    in.wants_more = true;
    for (unsigned i = 0; i < 3; i++) { /* three blocks, of which two wait to be used again */
        cr_assert_not_null(inbuf_space(&in, SLICE, CAP, &len));
        inbuf_done(&in, SLICE);
        struct loan loan = inbuf_lend(&in, span_of(in.data, SLICE));
        struct frame *frame = loan_keep(&loan);
        cr_assert(inbuf_gather(&in, inbuf_view(&in), span_of(NULL, 0), CAP));
        frame_unref(frame);
        in.begin = in.end;
    }
    size_t before = frame_pool_block_bytes(pool);
    inbuf_relax(&in, false);
    cr_assert_eq(frame_pool_block_bytes(pool), before);
    in.pool_bytes_max = 1;
    inbuf_relax(&in, false);
    cr_assert_lt(frame_pool_block_bytes(pool), before);
    inbuf_fini(&in);
    for (size_t i = 0; i < count; i++) {
        frame_unref(stays[i]);
    }
    frame_pool_free(pool);
}
