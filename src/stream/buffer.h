/* SPDX-License-Identifier: Apache-2.0
 *
 * The bytes that a stream has yet to see acknowledged, in blocks.
 */
#ifndef STREAM_BUFFER_H
#define STREAM_BUFFER_H

#include "stream/state.h"

/* How many bytes fit now: within the stream's own bound and that of all streams together. */
size_t buffer_room(const struct streams *streams, const struct send_side *send);

/* The room that wakes a writer: a full packet, if there is that much for one. A stream that holds
 * nothing has more. */
size_t buffer_worth_waking(const struct streams *streams, const struct send_side *send);

/* Where the next bytes go, *len of them at most; NULL when there is no room, or no memory. The next
 * call of this module on this stream is buffer_written or buffer_fini. */
uint8_t *buffer_space(struct streams *streams, struct send_side *send, size_t *len);

/* So many bytes stand there now; 0 is allowed. */
void buffer_written(struct streams *streams, struct send_side *send, size_t len);

/* Copies what there is room for; returns how much. */
size_t buffer_write(struct streams *streams, struct send_side *send, struct span bytes);

/* Frees the blocks that are acknowledged as a whole; the last one once nothing is left. */
void buffer_free_acked(struct streams *streams, struct send_side *send);

void buffer_fini(struct streams *streams, struct send_side *send);

/* Frees the blocks that are kept to be used again. */
void buffers_fini(struct streams *streams);

#endif
