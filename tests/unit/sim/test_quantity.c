/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "sim/quantity.h"
#include "sim/scenario.h"
#include "sim/suggest.h"

static uint64_t time_of(const char *text) {
    uint64_t value = 0;
    cr_assert(quantity_time(text, &value), "%s", text);
    return value;
}

static uint64_t bytes_of(const char *text) {
    uint64_t value = 0;
    cr_assert(quantity_bytes(text, &value), "%s", text);
    return value;
}

static uint64_t rate_of(const char *text) {
    uint64_t value = 0;
    cr_assert(quantity_rate(text, &value), "%s", text);
    return value;
}

Test(quantity, reads_times_in_every_unit) {
    cr_assert_eq(time_of("0"), 0);
    cr_assert_eq(time_of("7ns"), 7);
    cr_assert_eq(time_of("10us"), 10000);
    cr_assert_eq(time_of("300ms"), 300000000);
    cr_assert_eq(time_of("1.5s"), 1500000000);
    cr_assert_eq(time_of("10min"), UINT64_C(600000000000));
    cr_assert_eq(time_of("1h"), UINT64_C(3600000000000));
    cr_assert_eq(time_of("2d"), UINT64_C(172800000000000));
}

Test(quantity, refuses_what_is_no_time_and_leaves_the_result_alone) {
    static const char *const WRONG[] = {"",
                                        "5",
                                        "s",
                                        "-1s",
                                        "1 s",
                                        "1.s",
                                        ".5s",
                                        "1.5",
                                        "1e3s",
                                        "1,5s",
                                        "5S",
                                        "5sec",
                                        "1s2",
                                        "0x10s",
                                        "+1s",
                                        "0.5ns",
                                        " 1s",
                                        "1s ",
                                        "1..2",
                                        "1.2.3s",
                                        "99999999999999s",
                                        "5000000000d",
                                        "1.1234567s"};
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++) {
        uint64_t value = 42;
        cr_expect_not(quantity_time(WRONG[i], &value), "'%s'", WRONG[i]);
        cr_expect_eq(value, 42);
    }
}

Test(quantity, tells_thousands_from_powers_of_two) {
    cr_assert_eq(bytes_of("100"), 100);
    cr_assert_eq(bytes_of("100B"), 100);
    cr_assert_eq(bytes_of("1.5KB"), 1500);
    cr_assert_eq(bytes_of("1.5KiB"), 1536);
    cr_assert_eq(bytes_of("1MiB"), 1048576);
    cr_assert_eq(bytes_of("20MB"), 20000000);
    cr_assert_eq(bytes_of("2GB"), 2000000000);
}

Test(quantity, refuses_sizes_that_are_not_whole) {
    uint64_t value = 0;
    cr_assert_not(quantity_bytes("0.5", &value));
    cr_assert_not(quantity_bytes("1.0001KB", &value));
    cr_assert_not(quantity_bytes("1kb", &value));
    cr_assert_not(quantity_bytes("9999999999999GB", &value));
}

Test(quantity, reads_rates_as_bytes_a_second) {
    cr_assert_eq(rate_of("100Mbit"), 12500000);
    cr_assert_eq(rate_of("1Gbit"), 125000000);
    cr_assert_eq(rate_of("64Kbit"), 8000);
    cr_assert_eq(rate_of("1.5KB/s"), 1500);
    uint64_t value = 0;
    cr_assert_not(quantity_rate("100", &value));
    cr_assert_not(quantity_rate("9bit", &value)); /* not a whole byte */
}

Test(quantity, reads_shares_in_millionths) {
    uint32_t ppm = 0;
    cr_assert(quantity_share("0.5%", &ppm));
    cr_assert_eq(ppm, 5000);
    cr_assert(quantity_share("100%", &ppm));
    cr_assert_eq(ppm, 1000000);
    cr_assert(quantity_share("0.005", &ppm));
    cr_assert_eq(ppm, 5000);
    cr_assert(quantity_share("0.0001%", &ppm));
    cr_assert_eq(ppm, 1);
    cr_assert_not(quantity_share("101%", &ppm));
    cr_assert_not(quantity_share("2", &ppm));
    cr_assert_not(quantity_share("0.00001%", &ppm));
    cr_assert_not(quantity_share("5 %", &ppm));
}

Test(quantity, reads_counts_up_to_their_bound) {
    uint64_t value = 0;
    cr_assert(quantity_count("20", 20, &value));
    cr_assert_eq(value, 20);
    cr_assert_not(quantity_count("21", 20, &value));
    cr_assert_not(quantity_count("", 20, &value));
    cr_assert_not(quantity_count("1.0", 20, &value));
    cr_assert_not(quantity_count("99999999999999999999", UINT64_MAX, &value));
}

Test(quantity, lends_the_low_end_the_unit_of_the_high_one) {
    struct range range;
    cr_assert(quantity_time_range("1..50ms", &range));
    cr_assert_eq(range.low, 1000000);
    cr_assert_eq(range.high, 50000000);
    cr_assert(quantity_time_range("10us..1.5s", &range));
    cr_assert_eq(range.low, 10000);
    cr_assert_eq(range.high, 1500000000);
    cr_assert(quantity_time_range("20ms", &range));
    cr_assert_eq(range.low, range.high);
    cr_assert(quantity_bytes_range("1KiB..1MiB", &range));
    cr_assert_eq(range.low, 1024);
    cr_assert_eq(range.high, 1048576);
    cr_assert(quantity_bytes_range("1..64KiB", &range));
    cr_assert_eq(range.low, 1024);
}

Test(quantity, refuses_ranges_that_run_backwards_or_lack_an_end) {
    static const char *const WRONG[] = {"50..1ms",   "..50ms",        "1ms..", "1..2",
                                        "1ms...2ms", "1ms..2ms..3ms", ""};
    for (size_t i = 0; i < sizeof WRONG / sizeof WRONG[0]; i++) {
        struct range range = {.low = 7, .high = 7};
        cr_expect_not(quantity_time_range(WRONG[i], &range), "'%s'", WRONG[i]);
        cr_expect_eq(range.low, 7);
    }
}

Test(suggest, counts_edits) {
    cr_assert_eq(suggest_distance("", ""), 0);
    cr_assert_eq(suggest_distance("kitten", "sitting"), 3);
    cr_assert_eq(suggest_distance("abc", ""), 3);
    cr_assert_eq(suggest_distance("ab", "ba"), 2);
}

Test(suggest, names_the_nearest_word_and_none_that_is_far) {
    static const char *const WORDS[] = {"crash", "pause", "partition"};
    cr_assert_str_eq(suggest_nearest("crahs", WORDS, 3), "crash");
    cr_assert_str_eq(suggest_nearest("partitoin", WORDS, 3), "partition");
    cr_assert_null(suggest_nearest("zebra", WORDS, 3));
    cr_assert_null(suggest_nearest("x", WORDS, 0));
}

Test(suggest, takes_texts_of_any_length) {
    char text[200];
    static const char *const WORDS[] = {"crash"};
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    cr_assert_null(suggest_nearest(text, WORDS, 1));
}
