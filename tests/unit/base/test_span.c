/* SPDX-License-Identifier: Apache-2.0
 *
 * Borrowed bytes, and the arithmetic of time beside them: both are header-only.
 */
#include <criterion/criterion.h>

#include "base/span.h"
#include "base/time.h"

Test(span, equal_compares_length_and_bytes) {
    cr_expect(span_equal(span_of_text("abc"), span_of_text("abc")));
    cr_expect_not(span_equal(span_of_text("abc"), span_of_text("abd")));
    cr_expect_not(span_equal(span_of_text("abc"), span_of_text("ab")));
    cr_expect(span_equal(span_of(NULL, 0), span_of_text("")));
}

Test(span, becomes_a_text_when_it_fits_with_its_nul) {
    char text[4] = "zzz";
    cr_expect(span_to_text(span_of_text("abc"), text, sizeof text));
    cr_expect_str_eq(text, "abc");
    cr_expect(span_to_text(span_of(NULL, 0), text, sizeof text));
    cr_expect_str_empty(text);
}

Test(span, refuses_a_text_that_is_too_long_or_holds_a_nul) {
    char text[4] = "zzz";
    cr_expect_not(span_to_text(span_of_text("abcd"), text, sizeof text));
    cr_expect_str_empty(text);
    text[0] = 'z';
    cr_expect_not(span_to_text(span_of("a\0b", 3), text, sizeof text));
    cr_expect_str_empty(text);
}

Test(time, stops_at_never_instead_of_wrapping) {
    cr_expect_eq(time_after(1, 2), 3);
    cr_expect_eq(time_after(WEFT_NEVER - 1, 1), WEFT_NEVER);
    cr_expect_eq(time_after(WEFT_NEVER - 1, 2), WEFT_NEVER);
    cr_expect_eq(time_after(WEFT_NEVER, WEFT_NEVER), WEFT_NEVER);
}

Test(time, since_the_future_is_nothing) {
    cr_expect_eq(time_since(3, 10), 7);
    cr_expect_eq(time_since(10, 10), 0);
    cr_expect_eq(time_since(11, 10), 0);
}

Test(time, min_is_the_earlier) {
    cr_expect_eq(time_min(3, WEFT_NEVER), 3);
    cr_expect_eq(time_min(WEFT_NEVER, 3), 3);
}
