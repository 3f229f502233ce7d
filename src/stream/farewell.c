/* SPDX-License-Identifier: Apache-2.0
 *
 * Last words. An ack of all that is lost is asked for again; a reset is repeated until it is
 * answered, five times at most.
 */
#include "stream/farewell.h"

#include <string.h>

#include "base/check.h"
#include "stream/session.h"

#define RESET_TRIES_MAX 5

void session_say(struct session *session, const struct farewell *farewell) {
    if (ring_push(&session->farewells, farewell) == WEFT_OK) {
        session_wake(session);
    }
}

static void say_reset(struct session *session, const struct pending_reset *reset) {
    struct farewell farewell = {.stream = reset->stream, .reason = reset->reason};
    session_say(session, &farewell);
}

/* One count for each end that opens: its ids only grow, so what is newer was not forgotten. */
static uint64_t number_of(uint64_t stream) {
    return stream & (UINT64_MAX >> 1);
}

static void lose_reset(struct session *session, uint64_t stream) {
    uint64_t *lost = &session->lost_resets[stream >> 63];
    *lost = number_of(stream) >= *lost ? number_of(stream) + 1 : *lost;
}

bool session_may_have_lost_reset(const struct session *session, uint64_t stream) {
    return number_of(stream) < session->lost_resets[stream >> 63];
}

void session_say_reset(struct session *session, uint64_t stream, enum wire_reset_reason reason,
                       weft_ns now) {
    struct pending_reset reset = {.stream = stream, .reason = (uint16_t)reason};
    struct pending_reset oldest;
    if (session->resets.count == RESETS_MAX && ring_pop(&session->resets, &oldest)) {
        lose_reset(session, oldest.stream); /* the peer's probe will find it gone */
    }
    if (ring_push(&session->resets, &reset) != WEFT_OK) { /* it is said once, and not again */
        lose_reset(session, stream);
    }
    say_reset(session, &reset);
    session->reset_tries = 0;
    if (!timer_is_armed(&session->resets_timer)) {
        timers_arm(&session->streams->timers, &session->resets_timer, time_after(now, NS_PER_S));
    }
}

void session_unsay(struct session *session) {
    memset(session->lost_resets, 0, sizeof session->lost_resets);
    ring_clear(&session->farewells);
    ring_clear(&session->resets);
    ring_clear(&session->flow_ends);
    ring_clear(&session->pongs);
    session->probe_heard = 0;
}

bool session_reset_answered(struct session *session, uint64_t stream) {
    bool is_found = false;
    size_t count = session->resets.count;
    for (size_t i = 0; i < count; i++) {
        struct pending_reset reset;
        (void)ring_pop(&session->resets, &reset);
        if (reset.stream == stream) {
            is_found = true;
        } else {
            enum weft_err err = ring_push(&session->resets, &reset);
            ASSERT(err == WEFT_OK); /* its place is still there */
        }
    }
    return is_found;
}

void session_say_resets_again(struct session *session) {
    const struct pending_reset *reset;
    for (size_t i = 0; (reset = ring_at(&session->resets, i)) != NULL; i++) {
        say_reset(session, reset);
    }
}

static void lose_all_resets(struct session *session) {
    struct pending_reset reset;
    while (ring_pop(&session->resets, &reset)) {
        lose_reset(session, reset.stream);
    }
}

void session_resets_timer(struct session *session, weft_ns now) {
    if (session->reset_tries >= RESET_TRIES_MAX) {
        lose_all_resets(session);
    }
    if (session->resets.count == 0) {
        return;
    }
    if (session->route != STREAM_ROUTE_NONE) {
        session->reset_tries++;
        session_say_resets_again(session);
    }
    timers_arm(&session->streams->timers, &session->resets_timer,
               time_after(now, NS_PER_S << session->reset_tries));
}
