/* SPDX-License-Identifier: Apache-2.0
 *
 * Congestion: how many bytes may be on their way to one peer, all streams together. Doubles each
 * round trip until the first mark or proven loss, then adds a packet a round trip; a mark takes
 * 15 % off, a loss 30 %, at most once a round trip. Losses of a dead path do not count: they say
 * nothing of the next one. Relays mark before they drop, so a loss is rare.
 */
#ifndef STREAM_WINDOW_H
#define STREAM_WINDOW_H

#include "stream/state.h"

#define WINDOW_BYTES_FIRST ((uint64_t)256 * 1024)
#define WINDOW_BYTES_MIN                                                                           \
    ((uint64_t)128 * 1024) /* two full packets: one travels while one is sent */
#define WINDOW_BYTES_MAX ((uint64_t)64 * 1024 * 1024) /* 10 Gbit/s over 50 ms */

/* What a segment counts for: even an empty one costs something. */
static inline uint64_t window_cost(const struct segment *segment) {
    return (uint64_t)segment->len + 64;
}

void window_init(struct session *session);

/* Whether another packet may leave. */
bool window_has_room(const struct session *session);

/* Whether a packet of a stream that is not accepted yet may leave too. Those are counted apart:
 * their acks wait for services to connect, and a service that hangs must not hold up the streams
 * that move. Beyond the bound an OPEN goes without bytes. */
bool window_has_early_room(const struct session *session);

/* Whether a packet of a thin stream may leave ahead of the others, and beyond a full window. Those
 * are counted apart, up to a quarter of it, so that an echo does not wait until bulk makes room and
 * however many there are leave bulk its own. Beyond the bound they take their turn. */
bool window_has_thin_room(const struct session *session);

/* How many bytes the next packet takes. What leaves in 1 ms, as whatever comes behind a packet
 * waits for the whole of it at each link on the way: 60 KiB are 5 ms at 100 Mbit/s. */
size_t window_packet_bytes(const struct session *session);

void window_sent(struct session *session, const struct segment *segment);

/* A segment arrived. Not timed: the ack may be the answer to a probe instead of to the segment. */
void window_arrived(struct session *session, const struct segment *segment, bool is_timed,
                    weft_ns now);

/* A segment is not on its way any more: lost, or its stream ended. */
void window_forget(struct session *session, const struct segment *segment);

/* A relay marked, or a loss was proven, by packet `order`: takes so much off. A mark comes while
 * the queue is still short, so that less is enough and a long path stays full (RFC 8511). */
#define WINDOW_CUT_MARK 15
#define WINDOW_CUT_LOSS 30
void window_cut(struct session *session, uint64_t order, unsigned percent);

/* Takes one measured round trip into the smoothed one. */
void window_measure(struct session *session, weft_ns rtt);

#endif
