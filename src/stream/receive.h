/* SPDX-License-Identifier: Apache-2.0
 *
 * The receiving half of a stream: bytes in order for the application, bytes beyond a gap, credit.
 *
 *      consumed        arrived                    granted
 *   ------+---------------+-----[###]----[##]-----------+---
 *         |  to be read   | gap   beyond the gap        |
 *
 * Memory is bounded by the window whatever the peer cuts its bytes into: small pieces in order are
 * gathered in blocks; pieces beyond a gap are counted with their overhead, and what does not fit is
 * dropped unacknowledged (T15).
 */
#ifndef STREAM_RECEIVE_H
#define STREAM_RECEIVE_H

#include "stream/state.h"

void receive_init(struct receive_side *receive, const struct streams *streams);
void receive_fini(struct receive_side *receive, struct streams *streams);

/* What one DATA part did. */
struct receive_result {
    bool is_new;      /* it brought bytes, or the end */
    bool must_ack;    /* at once: a gap, a repeat, or much is unacknowledged */
    bool was_dropped; /* no room beyond the gap */
};

/* Takes a part in. `frame` is the packet that holds its bytes, if it may be kept, else NULL.
 * WEFT_ERR_MALFORMED: beyond the credit, or it contradicts a FIN. */
WEFT_MUST_CHECK enum weft_err receive_data(struct receive_side *receive,
                                           const struct wire_part_data *part, struct frame *frame,
                                           struct receive_result *out);

/* The bytes in order that nobody consumed yet, as up to `max` pieces; returns how many. */
size_t receive_peek(const struct receive_side *receive, struct span *out, size_t max);

/* Frees `len` bytes that were peeked; widens the window if the reader is fast. True if the credit
 * this frees is worth an ack. */
bool receive_consume(struct streams *streams, struct stream *stream, size_t len, weft_ns now);

/* Whether all arrived; whether all was read. */
bool receive_has_all(const struct receive_side *receive);
bool receive_is_done(const struct receive_side *receive);

/* Whether there are bytes or the end to peek. */
bool receive_is_readable(const struct receive_side *receive);

/* Counts the credit that the peer's OPEN gave itself. */
void receive_grant_early(struct receive_side *receive, struct streams *streams);

/* Raises the credit as far as window and node-wide budget allow; returns it. */
uint64_t receive_grant(struct receive_side *receive, struct streams *streams);

/* Whether the delay of the ack is over by count: a share of the window or two packets. */
bool receive_must_ack(const struct receive_side *receive);

/* Fills in an ack of all that arrived, and counts as having sent it. */
void receive_ack(struct stream *stream, struct streams *streams, struct wire_part_ack *out);

#endif
