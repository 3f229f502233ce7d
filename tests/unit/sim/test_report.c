/* SPDX-License-Identifier: Apache-2.0
 *
 * How a run's JSON gets into the page. What the page makes of it is tests/scenario/report's.
 */
#include "sim/report.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sim/page/page.h"

#define PAGE_BYTES_MAX (4U << 20)

/* The page for a JSON text, NUL-terminated; the caller frees it. */
static char *page_of(const char *json) {
    char path[] = "/tmp/weft-report-XXXXXX";
    int fd = mkstemp(path);
    cr_assert(fd >= 0);
    cr_assert_eq(close(fd), 0);
    cr_assert_eq(report_write(path, span_of_text(json)), WEFT_OK);
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file);
    char *page = calloc(1, PAGE_BYTES_MAX);
    cr_assert_not_null(page);
    cr_assert_lt(fread(page, 1, PAGE_BYTES_MAX - 1, file), PAGE_BYTES_MAX - 1);
    cr_assert_eq(fclose(file), 0);
    cr_assert_eq(unlink(path), 0);
    return page;
}

/* What stands between the page's head and its tail. */
static char *json_in_page(const char *json) {
    char *page = page_of(json);
    size_t len = strlen(page);
    cr_assert_geq(len, page_head_size + page_tail_size);
    cr_assert_eq(memcmp(page, page_head, page_head_size), 0);
    cr_assert_eq(memcmp(page + len - page_tail_size, page_tail, page_tail_size), 0);
    char *inside = strndup(page + page_head_size, len - page_head_size - page_tail_size);
    cr_assert_not_null(inside);
    free(page);
    return inside;
}

static void expect_inside(const char *json, const char *expected) {
    char *inside = json_in_page(json);
    cr_expect_str_eq(inside, expected);
    free(inside);
}

Test(sim_report, puts_the_json_between_head_and_tail) {
    expect_inside("{\"version\":1}", "{\"version\":1}");
}

Test(sim_report, escapes_what_could_end_the_element) {
    expect_inside("{\"a\":\"</script>\"}", "{\"a\":\"\\u003c/script>\"}");
    expect_inside("{\"a\":\"<!-- <SCRIPT\"}", "{\"a\":\"\\u003c!-- \\u003cSCRIPT\"}");
}

Test(sim_report, escapes_at_both_ends_and_side_by_side) {
    expect_inside("<", "\\u003c");
    expect_inside("<<a<", "\\u003c\\u003ca\\u003c");
}

Test(sim_report, leaves_every_other_byte_alone) {
    expect_inside("{\"a\":\"\\u003c & > ' \\\\ \xc3\xa9\"}",
                  "{\"a\":\"\\u003c & > ' \\\\ \xc3\xa9\"}");
}

Test(sim_report, page_asks_the_network_for_nothing) {
    char *page = page_of("{}");
    cr_expect_null(strstr(page, "src=\"http"));
    cr_expect_null(strstr(page, "@import"));
    cr_expect_null(strstr(page, "@file:"), "something was not inlined");
    cr_expect_not_null(strstr(page, "default-src 'none'"));
    cr_expect_not_null(strstr(page, "Permission is hereby granted"), "the licences are missing");
    free(page);
}

Test(sim_report, says_when_the_file_cannot_be_made) {
    errno = 0;
    cr_expect_eq(report_write("/nonexistent/report.html", span_of_text("{}")), WEFT_ERR_IO);
    cr_expect_eq(errno, ENOENT);
}

Test(sim_report, says_when_the_disk_is_full) {
    errno = 0;
    cr_expect_eq(report_write("/dev/full", span_of_text("{}")), WEFT_ERR_IO);
    cr_expect_eq(errno, ENOSPC);
}
