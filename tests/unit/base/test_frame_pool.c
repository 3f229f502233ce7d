/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames whose memory is used again. What is freed too early or never is AddressSanitizer's to see.
 */
#include <criterion/criterion.h>

#include "base/frame_pool.h"
#include "support/failing_alloc.h"

static struct frame_pool *pool;

static void setup(void) {
    pool = frame_pool_new();
    cr_assert_not_null(pool);
}

static void teardown(void) {
    frame_pool_free(pool);
}

TestSuite(frame_pool, .init = setup, .fini = teardown);

/* Takes `count` frames of each size and drops them. */
static void use(size_t count) {
    static struct frame *frames[3 * 1024];
    static const size_t sizes[] = {60, 1400, 9000};
    for (size_t i = 0; i < 3 * count; i++) {
        frames[i] = frame_pool_take(pool, sizes[i % 3]);
    }
    for (size_t i = 0; i < 3 * count; i++) {
        frame_unref(frames[i]);
    }
}

static bool allocates(size_t count) {
    failing_alloc_arm(1);
    use(count);
    return failing_alloc_disarm();
}

Test(frame_pool, what_was_dropped_is_used_again) {
    cr_expect(allocates(1));
    use(20);
    cr_expect(!allocates(20));
    cr_expect(allocates(21));
}

Test(frame_pool, frames_hold_what_was_asked_for) {
    for (size_t size = 0; size < 80000; size = 2 * size + 1) {
        struct frame *frame = frame_pool_take(pool, size);
        cr_assert_not_null(frame);
        cr_expect_geq(frame->size, size);
        cr_expect_eq(frame->len, 0);
        memset(frame->data, 0xff, frame->size);
        frame_unref(frame);
    }
}

Test(frame_pool, a_copy_and_a_slice_are_kept_as_loans_are) {
    struct frame *whole = frame_new(2 * LOAN_SLICE_MIN);
    memset(whole->data, 7, whole->size);
    static const size_t lens[] = {100, LOAN_SLICE_MIN - 1, LOAN_SLICE_MIN};
    for (int round = 0; round < 2; round++) { /* the second time out of what the first left */
        for (int i = 0; i < 3; i++) {
            const struct loan loan = {.bytes = span_of(whole->data + 5, lens[i]), .block = whole};
            struct frame *kept = frame_pool_keep(pool, &loan);
            cr_expect_eq(kept->whole != NULL, i == 2);
            cr_expect_eq(whole->reference_count, i == 2 ? 2 : 1);
            cr_expect(span_equal(frame_view(kept), loan.bytes));
            frame_unref(kept);
        }
        cr_expect_eq(whole->reference_count, 1);
    }
    frame_unref(whole);
}

Test(frame_pool, has_less_than_twice_the_room_that_was_asked_for) {
    for (size_t size = 33; size < 70000; size++) {
        struct frame *frame = frame_pool_take(pool, size);
        cr_assert_lt(frame->size, 2 * size);
        frame_unref(frame);
    }
}

Test(frame_pool, keeps_a_bounded_number) {
    use(1000);
    cr_expect(!allocates(32));
    cr_expect(allocates(1000));
}

Test(frame_pool, trimming_leaves_what_is_needed) {
    use(20);
    frame_pool_trim(pool);
    cr_expect(!allocates(10), "all 20 had been out since the last trim");
    frame_pool_trim(pool); /* frees the ten that lay unused, of each size */
    cr_expect(!allocates(10));
    cr_expect(allocates(11));
}

Test(frame_pool, frames_may_outlive_it) {
    struct frame *first = frame_pool_copy(pool, span_of_text("first"));
    struct frame *second = frame_pool_copy(pool, span_of_text("second"));
    frame_pool_free(pool);
    pool = NULL;
    frame_unref(first);
    cr_expect(span_equal(frame_view(second), span_of_text("second")));
    frame_unref(second);
}

Test(frame_pool, says_when_there_is_no_memory) {
    struct frame *whole = frame_new(LOAN_SLICE_MIN);
    const struct loan loan = {.bytes = span_of(whole->data, whole->size), .block = whole};
    failing_alloc_arm(1);
    cr_expect_null(frame_pool_keep(pool, &loan));
    cr_expect(failing_alloc_disarm());
    cr_expect_eq(whole->reference_count, 1);
    failing_alloc_arm(1);
    cr_expect_null(frame_pool_take(pool, 20000));
    cr_expect(failing_alloc_disarm());
    failing_alloc_arm(1);
    cr_expect_null(frame_pool_take(pool, 100000));
    cr_expect(failing_alloc_disarm());
    frame_unref(whole);
}

Test(frame_pool, keeps_the_largest_packet_but_no_large_copy) {
    static const uint8_t bytes[LOAN_SLICE_MIN + 1];
    frame_unref(frame_pool_take(pool, 65536));
    failing_alloc_arm(1);
    struct frame *packet = frame_pool_take(pool, 65536);
    cr_expect(!failing_alloc_disarm());
    frame_unref(packet);
    struct frame *copy = frame_pool_copy(pool, span_of(bytes, sizeof(bytes)));
    cr_expect_eq(copy->size, sizeof(bytes));
    frame_unref(copy);
}

Test(frame_pool, where_there_is_none_frames_come_from_the_heap) {
    struct frame *whole = frame_pool_block(NULL, LOAN_SLICE_MIN);
    const struct loan loan = {.bytes = span_of(whole->data, whole->size), .block = whole};
    struct frame *slice = frame_pool_keep(NULL, &loan);
    struct frame *copy = frame_pool_copy(NULL, span_of_text("copy"));
    cr_expect_eq(slice->whole, whole);
    cr_expect_eq(copy->size, 4);
    frame_unref(slice);
    frame_unref(copy);
    frame_unref(whole);
}

Test(frame_pool, blocks_count_until_the_last_slice_of_them_is_gone) {
    struct frame *block = frame_pool_block(pool, 2 * LOAN_SLICE_MIN);
    cr_assert_not_null(block);
    cr_expect_eq(frame_pool_block_bytes(pool), 2 * LOAN_SLICE_MIN);
    struct loan loan = {.bytes = span_of(block->data, LOAN_SLICE_MIN), .block = block};
    struct frame *kept = frame_pool_keep(pool, &loan);
    frame_unref(block);
    cr_expect_eq(frame_pool_block_bytes(pool), 2 * LOAN_SLICE_MIN);
    frame_unref(kept);
    cr_expect_eq(frame_pool_block_bytes(pool), 0);
    block = frame_pool_block(pool, 100);
    frame_pool_free(pool); /* the block takes it along */
    pool = NULL;
    frame_unref(block);
}
