/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers for people: the edges of each unit, and values that no honest daemon sends.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "cli/format.h"

struct sample {
    double value;
    const char *text;
};

static void expect_all(struct format (*format)(double), const struct sample *samples) {
    for (; samples->text != NULL; samples++) {
        cr_expect_str_eq(format(samples->value).text, samples->text);
    }
}

Test(cli_format, bytes_by_powers_of_a_thousand) {
    static const struct sample samples[] = {
        {0, "0 B"},         {1, "1 B"},
        {999, "999 B"},     {1000, "1.0 kB"},
        {1500, "1.5 kB"},   {9940, "9.9 kB"},
        {9960, "10 kB"},    {999400, "999 kB"},
        {999600, "1.0 MB"}, {300000000, "300 MB"},
        {1e12, "1.0 TB"},   {2e15, "2.0 PB"},
        {5e18, "5000 PB"},  {0, NULL},
    };
    expect_all(format_bytes, samples);
}

Test(cli_format, rates_say_so) {
    cr_expect_str_eq(format_rate(1250000).text, "1.2 MB/s");
}

Test(cli_format, milliseconds_keep_two_or_three_digits) {
    static const struct sample samples[] = {
        {0, "0.00 ms"},   {0.123, "0.12 ms"}, {0.994, "0.99 ms"}, {0.996, "1.0 ms"},
        {1.26, "1.3 ms"}, {99.4, "99.4 ms"},  {99.6, "100 ms"},   {999, "999 ms"},
        {999.6, "1.0 s"}, {1250, "1.2 s"},    {60000, "60.0 s"},  {0, NULL},
    };
    expect_all(format_ms, samples);
}

Test(cli_format, durations_show_two_units) {
    static const struct sample samples[] = {
        {0, "0 s"},          {0.9, "0 s"},          {45, "45 s"},       {60, "1 min"},
        {61, "1 min 1 s"},   {3599, "59 min 59 s"}, {3600, "1 h"},      {3659, "1 h"},
        {7500, "2 h 5 min"}, {86400, "1 d"},        {90000, "1 d 1 h"}, {8640000, "100 d"},
        {0, NULL},
    };
    expect_all(format_duration, samples);
}

Test(cli_format, broken_numbers_do_no_harm) {
    const double values[] = {-1, -1e300, 1e300, (double)INFINITY, -(double)INFINITY, (double)NAN};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        cr_expect_lt(strlen(format_bytes(values[i]).text), FORMAT_BYTES - 1);
        cr_expect_lt(strlen(format_rate(values[i]).text), FORMAT_BYTES - 1);
        cr_expect_lt(strlen(format_ms(values[i]).text), FORMAT_BYTES - 1);
        cr_expect_lt(strlen(format_duration(values[i]).text), FORMAT_BYTES - 1);
    }
    cr_expect_str_eq(format_bytes(-5).text, "0 B");
    cr_expect_str_eq(format_ms((double)NAN).text, "0.00 ms");
    cr_expect_str_eq(format_duration((double)NAN).text, "0 s");
}
