/* SPDX-License-Identifier: Apache-2.0
 *
 * Cleaning, wrapping and tables: what holds for any bytes.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "cli/table.h"

#define SEED 20261120
#define ROUNDS 5000
#define BYTES_MAX 64

static void expect_clean(const char *text, const char *expected) {
    char *clean = text_clean(text);
    cr_expect_str_eq(clean, expected);
    free(clean);
}

/* A run that can be repeated: failures print the number. */
static void seed_with(struct rng *rng, unsigned number) {
    uint8_t seed[32] = {0};
    memcpy(seed, &number, sizeof(number));
    rng_init(rng, seed);
}

/* What a stream got, as text; the caller's to free. */
struct capture {
    FILE *out;
    char *text;
    size_t size;
};

static void capture_begin(struct capture *capture) {
    capture->out = open_memstream(&capture->text, &capture->size);
    cr_assert_not_null(capture->out);
}

static void capture_expect(struct capture *capture, const char *expected) {
    (void)fclose(capture->out);
    cr_expect_str_eq(capture->text, expected);
    free(capture->text);
}

Test(cli_text, plain_and_accented_text_stays) {
    expect_clean("", "");
    expect_clean("site-a ~ 100 %", "site-a ~ 100 %");
    expect_clean("K\u00fcche \u6771\u4eac \U0001f9f6", "K\u00fcche \u6771\u4eac \U0001f9f6");
}

Test(cli_text, controls_are_shown_as_numbers) {
    expect_clean("\x1b[31m", "\\x1b[31m");
    expect_clean("a\nb\rc\td\x7f", "a\\x0ab\\x0dc\\x09d\\x7f");
    expect_clean("\xc2\x85\xc2\x9b", "\\u{85}\\u{9b}");
}

Test(cli_text, what_is_invisible_or_turns_the_direction_is_shown_as_numbers) {
    expect_clean("\u202egnp", "\\u{202e}gnp");
    expect_clean("\u2066\u200b\u2028\ufeff\u00ad", "\\u{2066}\\u{200b}\\u{2028}\\u{feff}\\u{ad}");
    expect_clean("\U000e0041", "\\u{e0041}");
}

Test(cli_text, bytes_that_are_no_utf8_are_shown_one_by_one) {
    expect_clean("\xff\xfe", "\\xff\\xfe");
    expect_clean("\xc0\xaf", "\\xc0\\xaf");                   /* overlong */
    expect_clean("\xed\xa0\x80", "\\xed\\xa0\\x80");          /* half of a pair */
    expect_clean("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* beyond the last */
    expect_clean("\xe2\x82", "\\xe2\\x82");                   /* cut off */
    expect_clean("\xe2"
                 "A",
                 "\\xe2"
                 "A");
}

static bool is_harmless(const char *clean) {
    for (const unsigned char *at = (const unsigned char *)clean; *at != '\0'; at++) {
        if (*at < 0x20 || *at == 0x7f) {
            return false;
        }
    }
    return true;
}

Test(cli_text, random_bytes_become_harmless_and_stay_so) {
    struct rng rng;
    seed_with(&rng, SEED);
    for (int round = 0; round < ROUNDS; round++) {
        char text[BYTES_MAX + 1] = {0};
        size_t len = rng_below(&rng, BYTES_MAX);
        for (size_t i = 0; i < len; i++) {
            text[i] = (char)(1 + rng_below(&rng, 255));
        }
        char *once = text_clean(text);
        char *twice = text_clean(once);
        cr_assert(is_harmless(once), "seed %d, round %d", SEED, round);
        cr_assert_str_eq(once, twice, "seed %d, round %d", SEED, round);
        cr_assert_leq(text_width(once), strlen(once));
        free(once);
        free(twice);
    }
}

Test(cli_text, width_counts_characters_not_bytes) {
    cr_expect_eq(text_width(""), 0);
    cr_expect_eq(text_width("K\u00fcche"), 5);
}

Test(cli_text, a_line_cannot_be_faked_by_a_line_end) {
    struct capture capture;
    capture_begin(&capture);
    text_line(capture.out, "name %s", "a\nweft: all is well");
    capture_expect(&capture, "name a\\x0aweft: all is well\n");
}

Test(cli_text, wrapping_breaks_at_spaces_and_indents_the_rest) {
    struct capture capture;
    capture_begin(&capture);
    cr_expect_eq(text_wrapped(capture.out, 2, 20, 9, "one two three four five six"), 2);
    capture_expect(&capture, "  one two three four\n    five six\n");
}

Test(cli_text, wrapping_breaks_words_that_fit_no_line) {
    struct capture capture;
    capture_begin(&capture);
    cr_expect_eq(text_wrapped(capture.out, 0, 10, 9, "aaaaaaaaaaaaaaaaaa"), 2);
    capture_expect(&capture, "aaaaaaaaaa\n  aaaaaaaa\n");
}

Test(cli_text, wrapping_marks_what_it_leaves_out) {
    struct capture capture;
    capture_begin(&capture);
    cr_expect_eq(text_wrapped(capture.out, 0, 12, 2, "one two three four five six seven"), 2);
    capture_expect(&capture, "one two\n  three f...\n");
}

Test(cli_text, nothing_is_still_a_line) {
    struct capture capture;
    capture_begin(&capture);
    cr_expect_eq(text_wrapped(capture.out, 2, 20, 3, ""), 1);
    capture_expect(&capture, "  \n");
}

Test(cli_text, wrapped_lines_never_exceed_their_room) {
    struct rng rng;
    seed_with(&rng, SEED + 1);
    for (int round = 0; round < ROUNDS / 10; round++) {
        char text[401];
        size_t len = rng_below(&rng, 400);
        for (size_t i = 0; i < len; i++) {
            text[i] = rng_below(&rng, 6) == 0 ? ' ' : 'x';
        }
        text[len] = '\0';
        size_t columns = 20 + rng_below(&rng, 60);
        size_t lines_max = 1 + rng_below(&rng, 5);
        struct capture capture;
        capture_begin(&capture);
        size_t lines = text_wrapped(capture.out, 4, columns, lines_max, text);
        (void)fclose(capture.out);
        cr_assert_leq(lines, lines_max);
        size_t counted = 0;
        for (char *at = capture.text; *at != '\0'; at += strcspn(at, "\n") + 1) {
            counted++;
            cr_assert_leq(strcspn(at, "\n"), columns, "seed %d, round %d", SEED + 1, round);
        }
        cr_assert_eq(counted, lines);
        free(capture.text);
    }
}

Test(cli_text, styles_are_codes_only_with_colour) {
    struct capture capture;
    capture_begin(&capture);
    text_styled(capture.out, false, STYLE_BAD, "a");
    text_styled(capture.out, true, STYLE_PLAIN, "b");
    text_styled(capture.out, true, STYLE_BAD, "c");
    capture_expect(&capture, "ab\033[31mc\033[0m");
}

static const struct table_column two[] = {{"NAME", false}, {"SIZE", true}};

Test(cli_table, numbers_end_under_each_other_and_no_line_ends_in_spaces) {
    struct table table;
    struct capture capture;
    table_init(&table, two, 2);
    table_add(&table, "a");
    table_add(&table, "1 B");
    table_add(&table, "K\u00fcche");
    table_add(&table, "");
    table_add(&table, "long name");
    table_addf(&table, "%d kB", 1000);
    capture_begin(&capture);
    table_print(&table, capture.out, false, 3);
    table_fini(&table);
    capture_expect(&capture, "NAME          SIZE\n"
                             "a              1 B\n"
                             "K\u00fcche\n"
                             "long name  1000 kB\n");
}

Test(cli_table, rows_beyond_the_bound_are_left_out_and_do_not_widen) {
    struct table table;
    struct capture capture;
    table_init(&table, two, 2);
    for (int i = 0; i < 100; i++) {
        table_add(&table, i == 99 ? "a very long name" : "a");
        table_addf(&table, "%d", i);
    }
    cr_expect_eq(table_rows(&table), 100);
    capture_begin(&capture);
    table_print(&table, capture.out, false, 1);
    table_fini(&table);
    capture_expect(&capture, "NAME  SIZE\na        0\n");
}

Test(cli_table, cells_are_cleaned) {
    struct table table;
    struct capture capture;
    table_init(&table, two, 2);
    table_add_styled(&table, STYLE_GOOD, "\x1b");
    table_add(&table, "1");
    capture_begin(&capture);
    table_print(&table, capture.out, true, 1);
    table_fini(&table);
    capture_expect(&capture, "\033[1mNAME\033[0m  \033[1mSIZE\033[0m\n"
                             "\033[32m\\x1b\033[0m     1\n");
}
