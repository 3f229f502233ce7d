/* SPDX-License-Identifier: Apache-2.0
 *
 * The congestion window of one peer.
 */
#include "stream/window.h"

#include "base/check.h"

/* What a packet lasts at the session's own rate. Who comes behind one waits for all of it at each
 * link on the way, so it must be short beside the 5 ms that a queue may stand (CoDel) and the 15 ms
 * that a ping beside bulk may lose over two links (D4); shorter ones cost headers, a tag and a turn
 * each. It decides between 131 and 490 Mbit/s: below, packets are as short as they get, above as
 * long. d4-ping-beside-bulk for 20 s, what the p99 of a ping is above the 20 ms of the way:
 *
 *   PACKET_TIME   at 50, 100, 250 Mbit/s   packets at 250
 *   1/4 ms        20.9  15.1  5.7 ms       84,600
 *   1 ms          20.9  14.6  7.0 ms       50,800
 *   4 ms          30.1  22.5  6.8 ms       22,700
 *
 * Four times as short gains 1.3 ms at one rate for two thirds more packets; four times as long
 * misses D4. */
#define PACKET_TIME NS_PER_MS
#define PACKET_BYTES_MIN 16384 /* below, headers and work for each packet begin to count */
#define PACKET_BYTES 65536     /* what a round trip adds once the path's limit was met */

void window_init(struct session *session) {
    session->window_bytes = WINDOW_BYTES_FIRST;
    session->is_slow_start = true;
}

bool window_has_room(const struct session *session) {
    return session->in_flight_bytes < session->window_bytes;
}

bool window_has_early_room(const struct session *session) {
    return window_has_room(session) && session->early_bytes < session->window_bytes / 2;
}

bool window_has_thin_room(const struct session *session) {
    return session->thin_bytes < session->window_bytes / 4;
}

size_t window_packet_bytes(const struct session *session) {
    if (session->rtt == 0) {
        return DATA_BYTES_MAX;
    }
    uint64_t bytes = session->window_bytes * PACKET_TIME / session->rtt;
    bytes = bytes < PACKET_BYTES_MIN ? PACKET_BYTES_MIN : bytes;
    return bytes < DATA_BYTES_MAX ? (size_t)bytes : DATA_BYTES_MAX;
}

/* Where a segment is counted. */
static uint64_t *counter_of(struct session *session, const struct segment *segment) {
    if (segment->is_thin) {
        return &session->thin_bytes;
    }
    return segment->is_early ? &session->early_bytes : &session->in_flight_bytes;
}

void window_sent(struct session *session, const struct segment *segment) {
    *counter_of(session, segment) += window_cost(segment);
}

/* An application that sends little proves nothing about the path: only a used window grows. */
static void grow(struct session *session, uint64_t bytes) {
    if (session->in_flight_bytes < session->window_bytes / 2) {
        return;
    }
    uint64_t more = session->is_slow_start ? bytes : PACKET_BYTES * bytes / session->window_bytes;
    session->window_bytes += more;
    if (session->window_bytes > WINDOW_BYTES_MAX) {
        session->window_bytes = WINDOW_BYTES_MAX;
    }
}

void window_arrived(struct session *session, const struct segment *segment, bool is_timed,
                    weft_ns now) {
    if (!segment->is_early && !segment->is_thin) {
        grow(session, window_cost(segment));
    }
    window_forget(session, segment);
    if (segment->is_resent) {
        return;
    }
    if (!segment->is_thin && segment->order > session->acked_order) {
        session->acked_order = segment->order;
    }
    if (is_timed && !segment->is_early) {
        window_measure(session, time_since(segment->sent_at, now));
    }
}

void window_forget(struct session *session, const struct segment *segment) {
    uint64_t *counter = counter_of(session, segment);
    ASSERT(*counter >= window_cost(segment));
    *counter -= window_cost(segment);
}

void window_cut(struct session *session, uint64_t order, unsigned percent) {
    if (order < session->cut_order) {
        return;
    }
    session->is_slow_start = false;
    session->window_bytes = session->window_bytes - session->window_bytes * percent / 100;
    if (session->window_bytes < WINDOW_BYTES_MIN) {
        session->window_bytes = WINDOW_BYTES_MIN;
    }
    session->cut_order = session->order_next;
}

void window_measure(struct session *session, weft_ns rtt) {
    weft_ns sample = rtt == 0 ? 1 : rtt;
    if (session->rtt_min == 0 || sample < session->rtt_min) {
        session->rtt_min = sample;
    }
    session->rtt = session->rtt == 0 ? sample : session->rtt - session->rtt / 8 + sample / 8;
}
