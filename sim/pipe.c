/* SPDX-License-Identifier: Apache-2.0
 *
 * A singly linked queue and four formulas.
 */
#include "sim/pipe.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/time.h"

void parcel_free(struct parcel *parcel) {
    frame_unref(parcel->frame);
    frame_unref(parcel->payload);
    free(parcel);
}

/* When the wire has sent `len` more bytes. */
static weft_ns wire_time(struct pipe *pipe, const struct scenario_quality *quality, size_t len,
                         weft_ns now) {
    if (quality->rate == 0) {
        return now;
    }
    weft_ns start = pipe->free_at > now ? pipe->free_at : now;
    pipe->free_at = start + (uint64_t)len * NS_PER_S / quality->rate;
    return pipe->free_at;
}

void pipe_put(struct pipe *pipe, const struct scenario_quality *quality, struct parcel *parcel,
              weft_ns delay, weft_ns now) {
    parcel->sent = now;
    parcel->at = wire_time(pipe, quality, parcel->len, now) + delay;
    parcel->next = NULL;
    pipe->in_flight += parcel->len;
    if (pipe->tail == NULL) {
        pipe->head = parcel;
    } else {
        pipe->tail->next = parcel;
    }
    pipe->tail = parcel;
}

struct parcel *pipe_take(struct pipe *pipe) {
    struct parcel *parcel = pipe->head;
    pipe->head = parcel->next;
    if (pipe->head == NULL) {
        pipe->tail = NULL;
    }
    return parcel;
}

void pipe_clear(struct pipe *pipe) {
    while (pipe->head != NULL) {
        parcel_free(pipe_take(pipe));
    }
    pipe->in_flight = 0;
    pipe->unheard = 0;
}

static size_t unsent(const struct pipe *pipe, const struct scenario_quality *quality, weft_ns now) {
    if (quality->rate == 0 || pipe->free_at <= now) {
        return 0;
    }
    return (size_t)((pipe->free_at - now) * quality->rate / NS_PER_S);
}

size_t pipe_room(const struct pipe *pipe, const struct scenario_quality *quality, weft_ns now) {
    size_t waits = unsent(pipe, quality, now);
    size_t by_wire = waits < PIPE_UNSENT_MAX ? PIPE_UNSENT_MAX - waits : 0;
    size_t by_buffer = pipe->in_flight < quality->buffer ? quality->buffer - pipe->in_flight : 0;
    return by_wire < by_buffer && quality->rate != 0 ? by_wire : by_buffer;
}

weft_ns pipe_room_at(const struct pipe *pipe, const struct scenario_quality *quality) {
    weft_ns half = PIPE_UNSENT_MAX / 2 * NS_PER_S / quality->rate;
    return pipe->free_at > half ? pipe->free_at - half : 0;
}

static size_t segments_behind(const struct pipe *pipe) {
    size_t bytes = 0;
    size_t count = 0;
    const struct parcel *parcel = pipe->head->next;
    for (; parcel != NULL && count < PIPE_DUPLICATES; parcel = parcel->next) {
        bytes += parcel->len;
        count = bytes / PIPE_SEGMENT_BYTES + 1;
    }
    /* Of a long parcel usually a segment in its middle is the lost one. */
    return count + pipe->head->len / PIPE_SEGMENT_BYTES / 2;
}

weft_ns pipe_retry_after(const struct pipe *pipe, weft_ns round_trip, weft_ns rto_min,
                         bool is_silent) {
    uint16_t tries = pipe->head->tries;
    ASSERT(tries > 0);
    if (!is_silent && tries == 1 && segments_behind(pipe) >= PIPE_DUPLICATES) {
        return round_trip;
    }
    weft_ns first = rto_min + round_trip;
    unsigned doubled = tries < 3 ? 0 : tries - 2U;
    weft_ns wait = doubled < 10 ? first << doubled : PIPE_RTO_MAX;
    return wait < PIPE_RTO_MAX ? wait : PIPE_RTO_MAX;
}

bool pipe_show_hole(struct pipe *pipe, const struct parcel *by, weft_ns round_trip) {
    struct parcel *head = pipe->head;
    weft_ns reordering = round_trip / 4;
    weft_ns at = by->at + round_trip + (by->sent - head->sent < reordering ? reordering : 0);
    if (head->tries != 1 || at >= head->at) {
        return false;
    }
    head->at = at;
    return true;
}
