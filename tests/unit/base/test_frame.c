/* SPDX-License-Identifier: Apache-2.0
 *
 * Counted bytes. That the last unref frees is LeakSanitizer's to see; that an earlier one does not,
 * AddressSanitizer's.
 */
#include <criterion/criterion.h>
#include <signal.h>

#include "base/frame.h"

Test(frame, starts_empty_with_one_reference) {
    struct frame *frame = frame_new(100);
    cr_assert_not_null(frame);
    cr_expect_eq(frame->reference_count, 1);
    cr_expect_eq(frame->len, 0);
    cr_expect_eq(frame->size, 100);
    memset(frame->data, 0xff, 100);
    frame_unref(frame);
}

Test(frame, copies_bytes_that_may_then_change) {
    char bytes[] = "hello";
    struct frame *frame = frame_copy(span_of(bytes, 5));
    bytes[0] = 'j';
    cr_expect(span_equal(frame_view(frame), span_of_text("hello")));
    frame_unref(frame);
}

Test(frame, may_hold_nothing) {
    struct frame *frame = frame_copy(span_of(NULL, 0));
    cr_assert_not_null(frame);
    cr_expect_eq(frame_view(frame).len, 0);
    frame_unref(frame);
}

Test(frame, lives_until_its_last_reference_goes) {
    struct frame *frame = frame_copy(span_of_text("shared"));
    for (uint32_t i = 1; i <= 1000; i++) {
        cr_assert_eq(frame_ref(frame), frame);
        cr_assert_eq(frame->reference_count, i + 1);
    }
    for (uint32_t i = 1000; i > 0; i--) {
        frame_unref(frame);
        cr_assert_eq(frame->reference_count, i);
        cr_assert(span_equal(frame_view(frame), span_of_text("shared")));
    }
    frame_unref(frame);
}

Test(frame, a_slice_shares_bytes_and_keeps_them_alive) {
    struct frame *whole = frame_copy(span_of_text("0123456789"));
    struct frame *slice = frame_slice(whole, span_of(whole->data + 3, 4));
    cr_assert_not_null(slice);
    cr_expect_eq(slice->data, whole->data + 3);
    frame_unref(whole);
    cr_expect(span_equal(frame_view(slice), span_of_text("3456")));
    frame_unref(slice);
}

Test(frame, a_slice_must_lie_in_its_whole, .signal = SIGABRT) {
    struct frame *whole = frame_copy(span_of_text("0123456789"));
    (void)frame_slice(whole, span_of(whole->data + 3, 8));
}

Test(frame, a_loan_is_kept_as_a_slice_if_it_is_large_and_has_a_block) {
    struct frame *whole = frame_new(2 * LOAN_SLICE_MIN);
    memset(whole->data, 7, whole->size);
    const size_t lens[] = {LOAN_SLICE_MIN - 1, LOAN_SLICE_MIN};
    for (int has_block = 0; has_block < 2; has_block++) {
        for (int i = 0; i < 2; i++) {
            struct loan loan = {.bytes = span_of(whole->data + 5, lens[i]),
                                .block = has_block ? whole : NULL};
            struct frame *kept = loan_keep(&loan);
            cr_expect_eq(kept->whole != NULL, has_block && i == 1);
            cr_expect(span_equal(frame_view(kept), loan.bytes));
            frame_unref(kept);
        }
    }
    cr_expect_eq(whole->reference_count, 1);
    frame_unref(whole);
}

Test(frame, unref_takes_null) {
    frame_unref(NULL);
}

Test(frame, refuses_a_size_that_its_length_cannot_hold) {
    cr_expect_null(frame_new((size_t)UINT32_MAX + 1));
    cr_expect_null(frame_new(SIZE_MAX));
}

Test(frame, ref_refuses_to_wrap_the_count, .signal = SIGABRT) {
    struct frame frame = {.reference_count = UINT32_MAX};
    (void)frame_ref(&frame);
}

Test(frame, unref_refuses_a_dead_frame, .signal = SIGABRT) {
    struct frame frame = {.reference_count = 0};
    frame_unref(&frame);
}
