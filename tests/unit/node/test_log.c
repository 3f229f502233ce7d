/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines: exact text, JSON that a parser takes whatever the detail holds, levels, limits.
 */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "node/log.h"

#define MOMENT 1795208400123u /* 2026-11-20T21:00:00.123Z */

static void format(enum config_log_format how, const char *name, const char *detail,
                   char out[LOG_LINE_BYTES]) {
    struct trace_event event = {.level = TRACE_INFO, .name = name, .detail = detail};
    size_t len = log_format_line(how, MOMENT, &event, out);
    cr_assert_eq(len, strlen(out));
    cr_assert_lt(len, LOG_LINE_BYTES);
    cr_assert_eq(out[len - 1], '\n');
    cr_assert_eq(strchr(out, '\n'), out + len - 1, "one line an event");
}

Test(log, a_text_line) {
    char line[LOG_LINE_BYTES];
    format(CONFIG_LOG_TEXT, "peer-up", "peer=abcd link=3", line);
    cr_assert_str_eq(line, "2026-11-20T21:00:00.123Z info peer-up peer=abcd link=3\n");
    format(CONFIG_LOG_TEXT, "ready", "", line);
    cr_assert_str_eq(line, "2026-11-20T21:00:00.123Z info ready\n");
    format(CONFIG_LOG_TEXT, "ready", NULL, line);
    cr_assert_str_eq(line, "2026-11-20T21:00:00.123Z info ready\n");
}

Test(log, a_json_line) {
    char line[LOG_LINE_BYTES];
    format(CONFIG_LOG_JSON, "peer-up", "peer=abcd why=\"it said \\\"no\\\"\" n=", line);
    cr_assert_str_eq(line, "{\"time\":\"2026-11-20T21:00:00.123Z\",\"level\":\"info\","
                           "\"event\":\"peer-up\",\"peer\":\"abcd\","
                           "\"why\":\"it said \\\"no\\\"\",\"n\":\"\"}\n");
}

Test(log, what_a_peer_says_cannot_make_a_line_or_a_colour) {
    char line[LOG_LINE_BYTES];
    format(CONFIG_LOG_TEXT, "peer-up", "name=a\nb\x1b[31m\x7f\xc2\x9b\xff \xc3\xa9", line);
    cr_assert_str_eq(line, "2026-11-20T21:00:00.123Z info peer-up "
                           "name=a\\u000ab\\u001b[31m\\u007f\\u00c2\\u009b\\u00ff \xc3\xa9\n");
}

Test(log, fields_are_taken_apart) {
    const char *detail = " a=1  b:\xdf=\"x y\" free c=\"\\\"q\\\\\" =7 \"d e\" last=\"open";
    static const char *const expected[][2] = {{"a", "1"},      {"b__", "x y"}, {"note", "free"},
                                              {"c", "\"q\\"},  {"note", "7"},  {"note", "d e"},
                                              {"last", "open"}};
    char key[LOG_KEY_BYTES];
    char value[LOG_VALUE_BYTES];
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        cr_assert(log_next_field(&detail, key, value), "field %zu", i);
        cr_assert_str_eq(key, expected[i][0]);
        cr_assert_str_eq(value, expected[i][1]);
    }
    cr_assert_not(log_next_field(&detail, key, value));
    detail = NULL;
    cr_assert_not(log_next_field(&detail, key, value));
}

static json_t *parse(const char *line) {
    json_error_t error;
    json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, &error);
    cr_assert_not_null(object, "%s in %s", error.text, line);
    return object;
}

Test(log, a_detail_cannot_take_the_place_of_the_lines_own_fields) {
    char line[LOG_LINE_BYTES];
    format(CONFIG_LOG_JSON, "peer-up", "level=error time=x event=y a=1 a=2 b=3", line);
    json_t *object = parse(line);
    cr_assert_str_eq(json_string_value(json_object_get(object, "level")), "info");
    cr_assert_str_eq(json_string_value(json_object_get(object, "event")), "peer-up");
    cr_assert_str_eq(json_string_value(json_object_get(object, "a")), "1");
    cr_assert_str_eq(json_string_value(json_object_get(object, "b")), "3");
    json_decref(object);
}

static void random_detail(struct rng *rng, char *out, size_t size) {
    static const char likely[] = "a=b \"\\=\" =\"\n\xc3\xa9\xed\xa0\x80\xf0\x9f\x98\x80\xf4\x90";
    size_t len = rng_below(rng, size);
    for (size_t i = 0; i < len; i++) {
        bool is_any = rng_below(rng, 4) == 0;
        out[i] =
            is_any ? (char)(1 + rng_below(rng, 255)) : likely[rng_below(rng, sizeof likely - 1)];
    }
    out[len] = '\0';
}

Test(log, any_detail_yields_one_line_of_valid_json) {
    for (unsigned seed = 0; seed < 3000; seed++) {
        struct rng rng;
        char detail[1500];
        char line[LOG_LINE_BYTES];
        rng_init(&rng, (const uint8_t[32]){(uint8_t)seed, (uint8_t)(seed >> 8), 6});
        random_detail(&rng, detail, sizeof detail);
        format(CONFIG_LOG_JSON, "peer-up", detail, line);
        json_error_t error;
        json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, &error);
        cr_assert_not_null(object, "seed %u: %s", seed, error.text);
        cr_assert_str_eq(json_string_value(json_object_get(object, "event")), "peer-up");
        json_decref(object);
        format(CONFIG_LOG_TEXT, "peer-up", detail, line);
    }
}

Test(log, a_line_too_long_is_cut_at_a_field_and_stays_json) {
    char detail[6000] = "";
    char line[LOG_LINE_BYTES];
    size_t len = 0;
    for (int i = 0; i < 300; i++) {
        len += (size_t)snprintf(detail + len, sizeof detail - len, "key%d=abcdef\x01 ", i);
    }
    format(CONFIG_LOG_JSON, "peer-up", detail, line);
    json_t *object = parse(line);
    cr_assert_str_eq(json_string_value(json_object_get(object, "key9")), "abcdef\x01");
    cr_assert_gt(strlen(line), LOG_LINE_BYTES - 100);
    json_decref(object);
    format(CONFIG_LOG_TEXT, "peer-up", detail, line);
    cr_assert_gt(strlen(line), LOG_LINE_BYTES - 100);
}

/* What a log wrote to a stream in memory. */
static char *written(enum trace_level level, enum config_log_format how) {
    char *text = NULL;
    size_t len = 0;
    FILE *stream = open_memstream(&text, &len);
    struct log *log = log_new(stream, level, how);
    cr_assert_not_null(log);
    log_error(log, "e", "n=%d", 1);
    log_warn(log, "w", "n=%d", 2);
    log_info(log, "i", "n=%d", 3);
    log_debug(log, "d", "n=%d", 4);
    log_set(log, TRACE_ERROR, CONFIG_LOG_TEXT);
    log_warn(log, "late", "n=%d", 5);
    log_free(log);
    log_free(NULL);
    (void)fclose(stream);
    return text;
}

static size_t lines_of(const char *text) {
    size_t count = 0;
    for (; *text != '\0'; text++) {
        count += *text == '\n' ? 1 : 0;
    }
    return count;
}

Test(log, levels_below_the_chosen_one_are_left_out) {
    for (enum trace_level level = TRACE_ERROR; level <= TRACE_DEBUG; level++) {
        char *text = written(level, CONFIG_LOG_TEXT);
        cr_assert_eq(lines_of(text), (size_t)level + 1);
        cr_assert_not_null(strstr(text, " error e n=1\n"));
        cr_assert_null(strstr(text, "late"));
        free(text);
    }
    char *text = written(TRACE_DEBUG, CONFIG_LOG_JSON);
    cr_assert_not_null(strstr(text, "\"level\":\"debug\",\"event\":\"d\",\"n\":\"4\"}"));
    free(text);
}

Test(log, the_stamp_is_the_present) {
    char *text = written(TRACE_ERROR, CONFIG_LOG_TEXT);
    cr_assert_geq(strtol(text, NULL, 10), 2024);
    cr_assert_eq(text[23], 'Z');
    free(text);
}

Test(log, a_limit_lets_a_burst_through_then_one_a_period) {
    struct log_limit limit;
    uint64_t hidden = 9;
    log_limit_init(&limit, 3, NS_PER_S);
    for (int i = 0; i < 3; i++) {
        cr_assert(log_limit_pass(&limit, "bad-frame", 5 * NS_PER_S, &hidden));
        cr_assert_eq(hidden, 0);
    }
    for (int i = 0; i < 100; i++) {
        cr_assert_not(log_limit_pass(&limit, "bad-frame", 5 * NS_PER_S + 1, &hidden));
    }
    cr_assert(log_limit_pass(&limit, "other", 5 * NS_PER_S, &hidden), "names are told apart");
    cr_assert(log_limit_pass(&limit, "bad-frame", 6 * NS_PER_S, &hidden));
    cr_assert_eq(hidden, 100, "what was left out is told");
    cr_assert_not(log_limit_pass(&limit, "bad-frame", 6 * NS_PER_S, &hidden));
    cr_assert(log_limit_pass(&limit, "bad-frame", 60 * NS_PER_S, &hidden));
    cr_assert_eq(hidden, 1);
}

Test(log, more_names_than_places_share_the_last) {
    static char names[LOG_LIMIT_NAMES + 40][8];
    struct log_limit limit;
    uint64_t hidden = 0;
    size_t passed = 0;
    log_limit_init(&limit, 1, NS_PER_S);
    for (size_t i = 0; i < LOG_LIMIT_NAMES + 40; i++) {
        (void)snprintf(names[i], sizeof names[i], "n%zu", i);
        passed += log_limit_pass(&limit, names[i], NS_PER_S, &hidden) ? 1 : 0;
    }
    cr_assert_eq(passed, LOG_LIMIT_NAMES);
}
