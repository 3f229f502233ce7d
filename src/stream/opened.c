/* SPDX-License-Identifier: Apache-2.0
 *
 * A window with a memory of its gaps, in the order in which they left it.
 */
#include "stream/opened.h"

#include <string.h>

#include "base/check.h"

static size_t place_of(const struct opened_ids *opened, uint64_t number) {
    size_t at = 0;
    while (at < opened->missing_count && opened->missing[at] != number) {
        at++;
    }
    return at;
}

static void forget(struct opened_ids *opened, size_t at) {
    opened->missing_count--;
    memmove(opened->missing + at, opened->missing + at + 1,
            (opened->missing_count - at) * sizeof opened->missing[0]);
}

static void miss(struct opened_ids *opened, uint64_t number) {
    if (opened->missing_count == OPENED_MISSING_MAX) {
        forget(opened, 0);
    }
    opened->missing[opened->missing_count++] = number;
}

static uint64_t lowest_of(uint64_t next) {
    return next < REPLAY_WINDOW_PACKETS ? 0 : next - REPLAY_WINDOW_PACKETS;
}

/* The window is about to move up to `number`. Who opens in turn moves it by little; of a leap only
 * the last numbers that leave are looked at, and none that was never in it. */
static void keep_gaps(struct opened_ids *opened, uint64_t number) {
    uint64_t next = opened->window.next;
    uint64_t end = lowest_of(number + 1);
    end = end < next ? end : next;
    uint64_t at = lowest_of(next);
    at = end > at + OPENED_MISSING_MAX ? end - OPENED_MISSING_MAX : at;
    for (; at < end; at++) {
        if (at > 0 && !replay_was_seen(&opened->window, at)) {
            miss(opened, at);
        }
    }
}

bool opened_is_new(const struct opened_ids *opened, uint64_t number) {
    return replay_is_new(&opened->window, number) ||
           place_of(opened, number) < opened->missing_count;
}

void opened_mark(struct opened_ids *opened, uint64_t number) {
    ASSERT(opened_is_new(opened, number));
    size_t at = place_of(opened, number);
    if (at < opened->missing_count) {
        forget(opened, at);
        return;
    }
    if (number >= opened->window.next) {
        keep_gaps(opened, number);
    }
    replay_mark(&opened->window, number);
}
