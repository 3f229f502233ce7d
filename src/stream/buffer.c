/* SPDX-License-Identifier: Apache-2.0
 *
 * The send buffer: a list of blocks that bytes are read into straight from a socket.
 *
 *   head -> [ acked.. ] -> [ ..next.. ] -> tail [ ..end | room ]
 *   spare    [ lent, not yet in use ]
 *
 * Blocks grow as the reads fill them, so that a request costs one small block and a bulk stream few
 * large reads; an idle stream, with all acknowledged, has none.
 */
#include "stream/buffer.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define LENT_BYTES WIRE_OPEN_CREDIT /* of these one is kept for the next read */
#define FULL_BYTES ((size_t)4 * DATA_BYTES_MAX)
#define FULL_KEPT_MAX 4 /* a megabyte, until nobody needs them for a while */

/* By appetite: what may go with an OPEN; a packet; as many as one read gains by. */
static const uint32_t BLOCK_BYTES[] = {LENT_BYTES, DATA_BYTES_MAX, FULL_BYTES};
#define APPETITE_MAX 2
#define SHARE_DIVISOR 8
#define RESERVE_DIVISOR 2 /* so much of a peer's share is for streams that have credit */
#define COPIED_MIN 4096   /* small writes that follow each other share a block */
#define CUT_MIN                                                                                    \
    960 /* what a read left in a nearly empty block moves to one of this or its own size, which    \
           with its head is of those that the allocator keeps at hand */

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

static size_t tail_room(const struct send_side *send) {
    return send->tail == NULL ? 0 : send->tail->size - send->tail->len;
}

static uint64_t left_of(const struct streams *streams, uint64_t total) {
    return streams->send_bytes >= total ? 0 : total - streams->send_bytes;
}

static uint64_t peer_held(const struct send_side *send) {
    return send->peer_held == NULL ? 0 : *send->peer_held;
}

/* What the streams of one peer may take together: as much as it leaves to all others. Credit and
 * acknowledgements are the peer's word, and one that gives the first and never the second would
 * hold all there is. */
static uint64_t peer_max(const struct streams *streams, const struct send_side *send) {
    return (left_of(streams, streams->config.send_bytes_total_max) + peer_held(send)) / 2;
}

/* What the blocks of one stream may take: less, the fuller its peer's share is, so that there is
 * always some left for who comes later or writes less (dynamic thresholds, Choudhury and Hahne
 * 1998). It falls with the square of what is left: an eighth of that each would leave readers that
 * stall one after another 1/5000 of the share at the 64th, this leaves 1/9.
 *
 * A stream that may not send yet, for want of credit, finds the share smaller by a reserve: it is
 * for those whose readers do read, however many others stand still (D7). One byte it may have in
 * any case: a stream that holds nothing would not know that it waits, nor ask for credit that was
 * lost. */
static size_t own_max(const struct streams *streams, const struct send_side *send) {
    uint64_t total = peer_max(streams, send);
    total -= send->end < send->credit ? 0 : total / RESERVE_DIVISOR;
    uint64_t held = peer_held(send);
    uint64_t left = held >= total ? 0 : total - held;
    size_t share = (size_t)(left / SHARE_DIVISOR * (left / 256) / (total / 256 + 1));
    uint64_t free = left_of(streams, streams->config.send_bytes_total_max);
    share = share == 0 ? smaller(1, (size_t)free) : share;
    return smaller(share, streams->config.send_bytes_max);
}

/* How large the stream's next block may be; 0 rather than a sliver. */
static size_t block_room(const struct streams *streams, const struct send_side *send) {
    size_t most = own_max(streams, send);
    size_t room = send->held >= most ? 0 : most - send->held;
    return room < buffer_worth_waking(streams, send) ? 0 : room;
}

size_t buffer_room(const struct streams *streams, const struct send_side *send) {
    return block_room(streams, send) + tail_room(send);
}

size_t buffer_worth_waking(const struct streams *streams, const struct send_side *send) {
    size_t half = own_max(streams, send) / 2;
    return half == 0 ? 1 : smaller(half, DATA_BYTES_MAX);
}

static void take_memory(struct streams *streams, struct send_side *send, size_t size) {
    streams->send_bytes += size;
    send->held += size;
    if (send->peer_held != NULL) {
        *send->peer_held += size;
    }
}

static void give_memory(struct streams *streams, struct send_side *send, size_t size) {
    ASSERT(streams->send_bytes >= size && send->held >= size);
    streams->send_bytes -= size;
    send->held -= size;
    if (send->peer_held != NULL) {
        *send->peer_held -= size;
    }
}

/* Blocks of one size that lie free, the one freed last first. */
static struct send_blocks *kept_of(struct streams *streams, size_t size) {
    return size == FULL_BYTES ? &streams->full_blocks : &streams->lent_blocks;
}

/* How many; 0 of those that have no such size. */
static uint32_t kept_max(size_t size) {
    return size == FULL_BYTES ? FULL_KEPT_MAX : size == LENT_BYTES ? 1 : 0;
}

static struct send_chunk *kept_take(struct send_blocks *kept) {
    struct send_chunk *chunk = kept->first;
    kept->first = chunk->next;
    kept->count--;
    kept->unused = kept->count < kept->unused ? kept->count : kept->unused;
    return chunk;
}

static void kept_drop(struct send_blocks *kept, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        free(kept_take(kept));
    }
    kept->unused = kept->count;
}

void streams_trim(struct streams *streams) {
    kept_drop(&streams->full_blocks, streams->full_blocks.unused);
}

void buffers_fini(struct streams *streams) {
    kept_drop(&streams->lent_blocks, streams->lent_blocks.count);
    kept_drop(&streams->full_blocks, streams->full_blocks.count);
}

static struct send_chunk *chunk_new(struct streams *streams, struct send_side *send, size_t size) {
    struct send_blocks *kept = kept_of(streams, size);
    struct send_chunk *chunk = NULL;
    if (kept_max(size) > 0 && kept->count > 0) {
        chunk = kept_take(kept);
    } else if (size > 0) {
        chunk = malloc(sizeof *chunk + size);
    }
    if (chunk != NULL) {
        *chunk = (struct send_chunk){.size = (uint32_t)size};
        take_memory(streams, send, size);
    }
    return chunk;
}

static void chunk_free(struct streams *streams, struct send_side *send, struct send_chunk *chunk) {
    if (chunk == NULL) {
        return;
    }
    give_memory(streams, send, chunk->size);
    struct send_blocks *kept = kept_of(streams, chunk->size);
    if (kept->count >= kept_max(chunk->size)) {
        free(chunk);
        return;
    }
    chunk->next = kept->first;
    kept->first = chunk;
    kept->count++;
}

static void chunk_append(struct send_side *send, struct send_chunk *chunk) {
    chunk->start = send->end;
    if (send->tail == NULL) {
        send->head = chunk;
    } else {
        send->tail->next = chunk;
    }
    send->tail = chunk;
}

/* The block that the next bytes go to; NULL when there is no room, or no memory. */
static struct send_chunk *chunk_for_space(struct streams *streams, struct send_side *send) {
    size_t half = (own_max(streams, send) + 1) / 2; /* one is filled while the other travels */
    size_t wish = smaller(BLOCK_BYTES[send->appetite], half);
    if (tail_room(send) > 0 && tail_room(send) >= wish / 2) {
        return send->tail;
    }
    send->spare = chunk_new(streams, send, smaller(wish, block_room(streams, send)));
    return send->spare != NULL || tail_room(send) == 0 ? send->spare : send->tail;
}

uint8_t *buffer_space(struct streams *streams, struct send_side *send, size_t *len) {
    ASSERT(send->spare == NULL && send->offered == 0);
    struct send_chunk *chunk = chunk_for_space(streams, send);
    if (chunk == NULL) {
        return NULL;
    }
    send->offered = chunk->size - chunk->len;
    *len = send->offered;
    return chunk->bytes + chunk->len;
}

/* Reads that fill what they are given deserve more; those that leave nearly all of it, less. */
static void learn(struct send_side *send, size_t len) {
    size_t wish = BLOCK_BYTES[send->appetite];
    if (len == send->offered && len >= wish / 2 && send->appetite < APPETITE_MAX) {
        send->appetite++;
    } else if (len < wish / 16 && send->appetite > 0) {
        send->appetite--;
    }
}

/* Most reads of a request or an answer leave most of the block empty: what they hold until it is
 * acknowledged should not cost 16 KiB, and the block serves the next read, of whatever stream. */
static struct send_chunk *cut_down(struct streams *streams, struct send_side *send,
                                   struct send_chunk *chunk, size_t len) {
    size_t size = len < CUT_MIN ? CUT_MIN : len;
    struct send_chunk *cut = size > chunk->size / 2 ? NULL : chunk_new(streams, send, size);
    if (cut == NULL) {
        return chunk;
    }
    memcpy(cut->bytes, chunk->bytes, len);
    chunk_free(streams, send, chunk);
    return cut;
}

void buffer_written(struct streams *streams, struct send_side *send, size_t len) {
    ASSERT(len <= send->offered);
    struct send_chunk *spare = send->spare;
    send->spare = NULL;
    if (len == 0) {
        chunk_free(streams, send, spare);
        send->offered = 0;
        return;
    }
    learn(send, len);
    if (spare != NULL) {
        chunk_append(send, cut_down(streams, send, spare, len));
    }
    send->tail->len += (uint32_t)len;
    send->end += len;
    send->offered = 0;
}

/* A block to copy `want` bytes to; behind a backlog, which will leave in full packets, a full one,
 * unless that is more than `most`. */
static bool add_chunk(struct streams *streams, struct send_side *send, size_t want, size_t most) {
    bool is_first = send->tail == NULL && want < DATA_BYTES_MAX;
    size_t least = want < COPIED_MIN ? COPIED_MIN : want;
    struct send_chunk *chunk =
        chunk_new(streams, send, smaller(is_first ? least : DATA_BYTES_MAX, most));
    if (chunk != NULL) {
        chunk_append(send, chunk);
    }
    return chunk != NULL;
}

size_t buffer_write(struct streams *streams, struct send_side *send, struct span bytes) {
    size_t most = buffer_room(streams, send);
    size_t room = smaller(most, bytes.len);
    size_t taken = 0;
    while (taken < room) {
        if (tail_room(send) == 0 && !add_chunk(streams, send, room - taken, most - taken)) {
            break;
        }
        size_t len = smaller(tail_room(send), room - taken);
        memcpy(send->tail->bytes + send->tail->len, bytes.data + taken, len);
        send->tail->len += (uint32_t)len;
        send->end += len;
        taken += len;
    }
    return taken;
}

void buffer_free_acked(struct streams *streams, struct send_side *send) {
    while (send->head != NULL && send->head->start + send->head->len <= send->acked &&
           (send->head != send->tail || send->acked == send->end)) {
        struct send_chunk *chunk = send->head;
        send->head = chunk->next;
        if (send->cursor == chunk) {
            send->cursor = NULL;
        }
        chunk_free(streams, send, chunk);
    }
    if (send->head == NULL) {
        send->tail = NULL;
    }
}

void buffer_fini(struct streams *streams, struct send_side *send) {
    chunk_free(streams, send, send->spare);
    while (send->head != NULL) {
        struct send_chunk *chunk = send->head;
        send->head = chunk->next;
        chunk_free(streams, send, chunk);
    }
    send->spare = NULL;
    send->tail = NULL;
    send->cursor = NULL;
    send->offered = 0;
}
