/* SPDX-License-Identifier: Apache-2.0
 *
 * The sending half of a stream: bytes kept until the far end node acknowledged them, and what was
 * sent of them in which packet.
 *
 *        acked             next            end
 *   ---+---------------------+---------------+----
 *      | segments: in flight,|  written, not |
 *      | arrived or lost     |  yet sent     |
 *   ---+---------------------+---------------+----
 */
#ifndef STREAM_SEND_H
#define STREAM_SEND_H

#include "stream/state.h"

void send_init(struct send_side *send);

/* Frees the bytes and takes what is on its way off the peer's window. */
void send_fini(struct stream *stream, struct streams *streams);

/* How many bytes a write would take now. */
size_t send_room(const struct streams *streams, const struct stream *stream);

/* Copies what there is room for; returns how much. */
size_t send_write(struct streams *streams, struct stream *stream, struct span bytes);

/* As buffer_space; NULL also when nothing more may be written. */
uint8_t *send_space(struct streams *streams, struct stream *stream, size_t *len);

/* Whether a packet could be built now, but for the peer's window. */
bool send_has_work(const struct send_side *send);

/* Whether so little is unacknowledged that it may go ahead of other streams. */
bool send_is_thin(const struct send_side *send);

/* Whether an answer is awaited: bytes on their way, or credit for those that wait. */
bool send_is_waiting(const struct send_side *send);

/* The next segment to send, marked as sent by packet `order`. Lost ones go first. False when there
 * is nothing, or no memory. The bytes are borrowed until the segment is acknowledged. */
bool send_take(struct streams *streams, struct stream *stream, weft_ns now, struct segment *out,
               struct span *bytes);

/* Takes an ack in. *is_news says whether it told anything new. WEFT_ERR_MALFORMED: it acknowledges
 * what was never sent (T14). */
WEFT_MUST_CHECK enum weft_err send_ack(struct streams *streams, struct stream *stream,
                                       const struct wire_part_ack *ack, weft_ns now, bool *is_news);

/* Everything on its way that left before packet `order` is lost: a later probe was answered. */
void send_lose_before(struct stream *stream, uint64_t order);

/* Whether something is on its way; if so, when the last of it left. */
bool send_is_in_flight(const struct send_side *send, weft_ns *last_sent_at);

/* The first segment on its way is to be sent again at once, on suspicion. */
void send_lose_first(struct stream *stream);

/* Back to nothing sent, for another peer: every byte is still here. */
void send_rewind(struct stream *stream);

#endif
