/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames whose memory is used again: what a node makes for each packet comes from here (a packet
 * that it seals, a header, a slice or a copy of a small packet that it passes on or keeps to be
 * read), so that none of this allocates once it runs.
 *
 * Sizes are powers of two from 64 to 65,536 bytes: a frame has less than twice the room it was
 * taken for (64 bytes at least). What is larger comes from the heap and goes back there; so do
 * copies of more than 16 KiB, which are rare, may wait for long and are counted by their size. Of
 * all sizes together 1 MiB is kept free: beyond, memory goes back to the heap too. frame_pool_trim
 * gives back what was not needed lately. Frames may outlive the pool: the last of them takes what
 * is left of it along.
 *
 * Blocks, which hosts read into, come from the heap and go back there; the pool counts their bytes,
 * so that all links together can have a bound.
 *
 * Where a pool is asked for a frame it may be NULL: then the heap is.
 */
#ifndef BASE_FRAME_POOL_H
#define BASE_FRAME_POOL_H

#include "base/frame.h"

#define FRAME_POOL_SIZES 11

struct frame_pool;

/* NULL when out of memory. */
struct frame_pool *frame_pool_new(void);

/* Takes NULL. */
void frame_pool_free(struct frame_pool *pool);

/* As frame_new, but there may be room for more than `size` bytes. */
struct frame *frame_pool_take(struct frame_pool *pool, size_t size);

/* As frame_copy. */
struct frame *frame_pool_copy(struct frame_pool *pool, struct span bytes);

/* As loan_keep. */
struct frame *frame_pool_keep(struct frame_pool *pool, const struct loan *loan);

/* A block: counts until nobody refers to it or to a slice of it, as a packet of 16 KiB that waits
 * keeps all of the 320 KiB that were read with it. NULL when out of memory. */
struct frame *frame_pool_block(struct frame_pool *pool, size_t size);

/* Bytes of all blocks that there are. */
size_t frame_pool_block_bytes(const struct frame_pool *pool);

/* Frees what has lain unused since the last call. */
void frame_pool_trim(struct frame_pool *pool);

/* For frame_unref: a frame of this pool that nobody refers to. */
void frame_pool_give(struct frame_pool *pool, struct frame *frame);

#endif
