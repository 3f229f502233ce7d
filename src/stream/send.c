/* SPDX-License-Identifier: Apache-2.0
 *
 * The bookkeeping of what is on its way, and the proof of losses: packets of one
 * stream stay in order on one path, so a segment is lost when a later one of the same path arrived.
 */
#include "stream/send.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/defect.h"
#include "stream/buffer.h"
#include "stream/window.h"

#define FORMER_PATH_MAX NS_PER_S /* beyond 4 round trips: queues of the former path empty */

void send_init(struct send_side *send) {
    *send = (struct send_side){.head = NULL};
    ring_init(&send->segments, sizeof(struct segment), SEGMENTS_MAX);
}

static void forget_segments(struct stream *stream) {
    struct segment *segment;
    for (size_t i = 0; (segment = ring_at(&stream->send.segments, i)) != NULL; i++) {
        if (segment->state == SEGMENT_IN_FLIGHT && stream->session != NULL) {
            window_forget(stream->session, segment);
        }
    }
    ring_fini(&stream->send.segments);
    ring_init(&stream->send.segments, sizeof(struct segment), SEGMENTS_MAX);
    stream->send.lost_count = 0;
}

void send_fini(struct stream *stream, struct streams *streams) {
    forget_segments(stream);
    buffer_fini(streams, &stream->send);
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

static bool may_write(const struct stream *stream) {
    return !stream->send.is_finished && stream->state != STREAM_STATE_ENDED;
}

size_t send_room(const struct streams *streams, const struct stream *stream) {
    return may_write(stream) ? buffer_room(streams, &stream->send) : 0;
}

size_t send_write(struct streams *streams, struct stream *stream, struct span bytes) {
    return may_write(stream) ? buffer_write(streams, &stream->send, bytes) : 0;
}

uint8_t *send_space(struct streams *streams, struct stream *stream, size_t *len) {
    return may_write(stream) ? buffer_space(streams, &stream->send, len) : NULL;
}

static bool has_new(const struct send_side *send) {
    if (send->segments.count >= SEGMENTS_MAX) {
        return false;
    }
    if (send->next < send->end) {
        return DEFECT(CREDIT_IGNORED) || send->next < send->credit;
    }
    return send->is_finished && !send->is_fin_sent;
}

bool send_has_work(const struct send_side *send) {
    return send->lost_count > 0 || has_new(send);
}

bool send_is_thin(const struct send_side *send) {
    return send->end - send->acked <= THIN_BYTES_MAX;
}

bool send_is_waiting(const struct send_side *send) {
    return send->segments.count > 0 || send->next < send->end;
}

static struct segment *first_in(const struct send_side *send, enum segment_state state) {
    struct segment *segment;
    for (size_t i = 0; (segment = ring_at(&send->segments, i)) != NULL; i++) {
        if (segment->state == state) {
            return segment;
        }
    }
    return NULL;
}

/* The block that holds offset `next`, or NULL when no written byte is left to send. */
static struct send_chunk *find_cursor(struct send_side *send) {
    struct send_chunk *chunk = send->cursor != NULL ? send->cursor : send->head;
    while (chunk != NULL && chunk->start + chunk->len <= send->next) {
        chunk = chunk->next;
    }
    send->cursor = chunk;
    return chunk;
}

/* The segment that begins at `next`; not yet in the ring. */
static struct segment new_segment(struct send_side *send, size_t bytes_max) {
    struct segment segment = {.start = send->next, .state = SEGMENT_IN_FLIGHT};
    uint64_t end = send->next;
    if (send->next < send->end) {
        segment.chunk = find_cursor(send);
        ASSERT(segment.chunk != NULL);
        end = segment.chunk->start + segment.chunk->len;
    }
    bool is_bound = segment.chunk != NULL && !DEFECT(CREDIT_IGNORED);
    end = end > send->credit && is_bound ? send->credit : end;
    segment.len = (uint32_t)smaller((size_t)(end - send->next), bytes_max);
    segment.has_fin = send->is_finished && send->next + segment.len == send->end;
    return segment;
}

static bool take_new(struct send_side *send, size_t bytes_max, struct segment *out) {
    if (!has_new(send)) {
        return false;
    }
    *out = new_segment(send, bytes_max);
    return true;
}

static void stamp(const struct stream *stream, struct segment *segment, weft_ns now) {
    segment->state = SEGMENT_IN_FLIGHT;
    segment->order = stream->session->order_next;
    segment->sent_at = now;
    segment->is_early = stream->state == STREAM_STATE_OPENING;
    segment->is_thin =
        !segment->is_early && send_is_thin(&stream->send) && window_has_thin_room(stream->session);
    if (now < stream->session->unsettled_until) {
        stream->session->epoch_order = segment->order + 1;
    }
    window_sent(stream->session, segment);
}

static bool take_lost(struct streams *streams, struct stream *stream, weft_ns now,
                      struct segment *out) {
    struct segment *segment = first_in(&stream->send, SEGMENT_LOST);
    if (segment == NULL || DEFECT(LOST_FORGOTTEN)) {
        return false;
    }
    segment->is_resent = true;
    stream->send.has_resent = true;
    stream->send.lost_count--;
    streams->counters.bytes_resent += segment->len;
    stamp(stream, segment, now);
    *out = *segment;
    return true;
}

bool send_take(struct streams *streams, struct stream *stream, weft_ns now, struct segment *out,
               struct span *bytes) {
    struct send_side *send = &stream->send;
    if (!take_lost(streams, stream, now, out)) {
        if (!take_new(send, window_packet_bytes(stream->session), out)) {
            return false;
        }
        stamp(stream, out, now);
        if (ring_push(&send->segments, out) != WEFT_OK) {
            window_forget(stream->session, out);
            return false;
        }
        send->next += out->len;
        send->is_fin_sent = send->is_fin_sent || out->has_fin;
        streams->counters.bytes_sent += out->len;
    }
    *bytes = out->chunk == NULL
                 ? span_of(NULL, 0)
                 : span_of(out->chunk->bytes + (out->start - out->chunk->start), out->len);
    return true;
}

static bool ack_is_possible(const struct send_side *send, const struct wire_part_ack *ack) {
    if (ack->cumulative > send->next) {
        return false;
    }
    if ((ack->flags & WIRE_ACK_FIN) != 0 && (!send->is_fin_sent || ack->cumulative != send->end)) {
        return false;
    }
    uint64_t at = ack->cumulative;
    for (uint8_t i = 0; i < ack->range_count; i++) {
        if (ack->ranges[i].start < at || ack->ranges[i].end <= ack->ranges[i].start) {
            return false;
        }
        at = ack->ranges[i].end;
    }
    return at <= send->next;
}

/* The highest order that an ack newly proves to have arrived over the present path. */
struct proof {
    uint64_t order;
    bool is_there;
};

static void arrived(struct stream *stream, struct segment *segment, weft_ns now,
                    struct proof *proof) {
    if (segment->state == SEGMENT_LOST) {
        stream->send.lost_count--;
    }
    if (segment->state != SEGMENT_IN_FLIGHT) {
        return;
    }
    window_arrived(stream->session, segment, stream->probe_tries == 0, now);
    if (segment->is_resent || segment->order < stream->session->epoch_order) {
        return;
    }
    proof->order = proof->is_there && proof->order > segment->order ? proof->order : segment->order;
    proof->is_there = true;
}

/* An ack ended inside a segment: what is left of it stays as it was. One that a range said had
 * arrived goes back on its way, as its end evidently did not. */
static void trim(struct stream *stream, struct segment *segment, uint64_t upto) {
    if (upto <= segment->start) {
        return;
    }
    bool is_counted = segment->state == SEGMENT_IN_FLIGHT;
    if (is_counted) {
        window_forget(stream->session, segment);
    }
    segment->len -= (uint32_t)(upto - segment->start);
    segment->start = upto;
    if (segment->len == 0) {
        segment->chunk = NULL; /* only the FIN is left; the block may go */
    }
    if (segment->state == SEGMENT_ARRIVED) {
        segment->state = SEGMENT_IN_FLIGHT;
        is_counted = true;
    }
    if (is_counted) {
        window_sent(stream->session, segment);
    }
}

static bool is_covered(const struct segment *segment, uint64_t upto, bool is_fin) {
    return segment->start + segment->len <= upto && (!segment->has_fin || is_fin);
}

static void take_cumulative(struct streams *streams, struct stream *stream,
                            const struct wire_part_ack *ack, weft_ns now, struct proof *proof) {
    struct send_side *send = &stream->send;
    bool is_fin = (ack->flags & WIRE_ACK_FIN) != 0;
    struct segment *segment;
    while ((segment = ring_at(&send->segments, 0)) != NULL &&
           is_covered(segment, ack->cumulative, is_fin)) {
        struct segment gone;
        arrived(stream, segment, now, proof);
        (void)ring_pop(&send->segments, &gone);
    }
    if (segment != NULL) {
        trim(stream, segment, ack->cumulative);
    } else {
        send->has_resent = false;
    }
    send->acked = ack->cumulative;
    send->is_fin_acked = is_fin;
    buffer_free_acked(streams, send);
}

static bool is_in_ranges(const struct segment *segment, const struct wire_part_ack *ack) {
    for (uint8_t i = 0; i < ack->range_count; i++) {
        if (ack->ranges[i].start <= segment->start &&
            segment->start + segment->len <= ack->ranges[i].end) {
            return segment->len > 0;
        }
    }
    return false;
}

static bool take_ranges(struct stream *stream, const struct wire_part_ack *ack, weft_ns now,
                        struct proof *proof) {
    bool is_news = false;
    struct segment *segment;
    for (size_t i = 0; (segment = ring_at(&stream->send.segments, i)) != NULL; i++) {
        if (segment->state != SEGMENT_ARRIVED && is_in_ranges(segment, ack)) {
            arrived(stream, segment, now, proof);
            segment->state = SEGMENT_ARRIVED;
            is_news = true;
        }
    }
    return is_news;
}

static void lose(struct stream *stream, struct segment *segment) {
    window_forget(stream->session, segment);
    segment->state = SEGMENT_LOST;
    stream->send.lost_count++;
}

/* Segments of the present path that left before one that arrived are lost; and those of a former
 * path that are so late that they can no longer come. */
static bool is_lost(const struct session *session, const struct segment *segment, weft_ns now) {
    return segment->order >= session->epoch_order ||
           time_after(segment->sent_at, 4 * session->rtt + FORMER_PATH_MAX) <= now;
}

static void lose_proven(struct stream *stream, uint64_t order, weft_ns now) {
    bool has_lost = false;
    struct segment *segment;
    for (size_t i = 0; (segment = ring_at(&stream->send.segments, i)) != NULL; i++) {
        if (segment->state == SEGMENT_IN_FLIGHT && segment->order < order &&
            is_lost(stream->session, segment, now)) {
            lose(stream, segment);
            has_lost = true;
        }
    }
    if (has_lost) {
        window_cut(stream->session, order, WINDOW_CUT_LOSS);
    }
}

static void take_marks(struct stream *stream, uint32_t marks) {
    uint32_t more = marks - stream->send.marks;
    if (more == 0 || more > UINT32_MAX / 2) {
        return; /* none, or an older ack */
    }
    stream->send.marks = marks;
    window_cut(stream->session, stream->session->acked_order, WINDOW_CUT_MARK);
}

enum weft_err send_ack(struct streams *streams, struct stream *stream,
                       const struct wire_part_ack *ack, weft_ns now, bool *is_news) {
    struct send_side *send = &stream->send;
    *is_news = false;
    if (!ack_is_possible(send, ack)) {
        return WEFT_ERR_MALFORMED;
    }
    struct proof proof = {.is_there = false};
    bool is_fin_news = (ack->flags & WIRE_ACK_FIN) != 0 && !send->is_fin_acked;
    if (ack->cumulative > send->acked || is_fin_news) {
        take_cumulative(streams, stream, ack, now, &proof);
        *is_news = true;
    }
    if (ack->range_count > 0 && take_ranges(stream, ack, now, &proof)) {
        *is_news = true;
    }
    if (proof.is_there && (ack->range_count > 0 || send->has_resent)) {
        lose_proven(stream, proof.order, now);
    }
    if (ack->credit > send->credit) {
        send->credit = ack->credit;
        *is_news = true;
    }
    take_marks(stream, ack->marks);
    return WEFT_OK;
}

void send_lose_before(struct stream *stream, uint64_t order) {
    struct segment *segment;
    for (size_t i = 0; (segment = ring_at(&stream->send.segments, i)) != NULL; i++) {
        if (segment->state == SEGMENT_IN_FLIGHT && segment->order < order) {
            lose(stream, segment);
        }
    }
}

bool send_is_in_flight(const struct send_side *send, weft_ns *last_sent_at) {
    bool is_any = false;
    const struct segment *segment;
    for (size_t i = 0; (segment = ring_at(&send->segments, i)) != NULL; i++) {
        if (segment->state == SEGMENT_IN_FLIGHT) {
            *last_sent_at = segment->sent_at;
            is_any = true;
        }
    }
    return is_any;
}

void send_lose_first(struct stream *stream) {
    struct segment *segment = first_in(&stream->send, SEGMENT_IN_FLIGHT);
    if (segment != NULL) {
        lose(stream, segment);
    }
}

void send_rewind(struct stream *stream) {
    struct send_side *send = &stream->send;
    ASSERT(send->acked == 0);
    forget_segments(stream);
    stream->session->streams->counters.bytes_sent -= send->next;
    send->cursor = NULL;
    send->next = 0;
    send->credit = 0;
    send->marks = 0;
    send->is_fin_sent = false;
    send->has_resent = false;
}
