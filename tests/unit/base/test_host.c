/* SPDX-License-Identifier: Apache-2.0
 *
 * What the core tells its host, and asks of it.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "base/host.h"

struct listener {
    int calls;
    enum trace_level level;
    char name[32];
    char detail[600];
};

static void listen_trace(void *ctx, const struct trace_event *event) {
    struct listener *listener = ctx;
    listener->calls++;
    listener->level = event->level;
    (void)snprintf(listener->name, sizeof listener->name, "%s", event->name);
    (void)snprintf(listener->detail, sizeof listener->detail, "%s", event->detail);
}

static void count_random(void *ctx, uint8_t *out, size_t len) {
    uint8_t *next = ctx;
    for (size_t i = 0; i < len; i++) {
        out[i] = (*next)++;
    }
}

Test(trace, formats_the_detail) {
    struct listener listener = {0};
    struct host host = {.ctx = &listener, .trace = listen_trace};
    trace(&host, TRACE_WARN, "peer-down", "peer=%s reason=%d", "abc", 7);
    cr_expect_eq(listener.calls, 1);
    cr_expect_eq(listener.level, TRACE_WARN);
    cr_expect_str_eq(listener.name, "peer-down");
    cr_expect_str_eq(listener.detail, "peer=abc reason=7");
}

Test(trace, cuts_a_detail_at_500_bytes) {
    struct listener listener = {0};
    struct host host = {.ctx = &listener, .trace = listen_trace};
    char text[601];
    memset(text, 'x', 600);
    text[600] = '\0';
    trace(&host, TRACE_INFO, "long", "%s", text);
    cr_expect_eq(strlen(listener.detail), 500);
    text[500] = '\0';
    trace(&host, TRACE_INFO, "exact", "%s", text);
    cr_expect_str_eq(listener.detail, text);
}

Test(trace, has_an_empty_detail_when_it_cannot_be_formatted) {
    struct listener listener = {.detail = "untouched"};
    struct host host = {.ctx = &listener, .trace = listen_trace};
    const wchar_t foreign[] = {0x20ac, 0}; /* not in the "C" locale */
    trace(&host, TRACE_INFO, "wide", "%ls", foreign);
    cr_expect_eq(listener.calls, 1);
    cr_expect_str_empty(listener.detail);
}

Test(trace, needs_no_listener) {
    struct host host = {0};
    trace(&host, TRACE_ERROR, "nobody", "count=%d", 1);
}

Test(host, random_fills_exactly_what_was_asked) {
    uint8_t next = 1;
    struct host host = {.ctx = &next, .random = count_random};
    uint8_t bytes[6] = {0};
    host_random(&host, bytes + 1, 4);
    cr_expect_arr_eq(bytes, ((uint8_t[6]){0, 1, 2, 3, 4, 0}), 6);
}

Test(host, random_must_exist, .signal = SIGABRT) {
    struct host host = {0};
    uint8_t byte = 0;
    host_random(&host, &byte, 1);
}
