/* SPDX-License-Identifier: Apache-2.0
 *
 * The read buffer: 16 KiB for a link that says little, the longest record with its payloads once
 * reads fill that, so that a busy link costs few system calls and an idle one no memory.
 *
 *    block   [ consumed, perhaps lent | begin .. end | free ]
 *    others  [ pinned ] [ pinned ] [ to be reused ] ...
 */
#include <stdlib.h>

#include "base/check.h"
#include "base/frame_pool.h"
#include "link/record.h"

#define SMALL ((size_t)16384)
#define READ_MAX                                                                                   \
    ((size_t)262144) /* of one read: twice what the kernel holds back; fits a core's cache */

static size_t max_of(size_t a, size_t b) {
    return a > b ? a : b;
}

static size_t min_of(size_t a, size_t b) {
    return a < b ? a : b;
}

static bool is_pinned(const struct frame *block) {
    return block != NULL && block->reference_count > 1;
}

/* ---- blocks ---- */

static bool has_too_many(const struct inbuf *in) {
    return in->pool != NULL && frame_pool_block_bytes(in->pool) > in->pool_bytes_max;
}

/* A block that nobody else holds: one that was read before, or a new one. */
static struct frame *block_take(struct inbuf *in, size_t size) {
    for (size_t i = 0; i < INBUF_OTHERS; i++) {
        struct frame *block = in->others[i];
        if (block != NULL && !is_pinned(block) && block->size >= size) {
            in->others[i] = NULL;
            return block;
        }
    }
    /* No packet in a small one is long enough to be kept there: it goes with what it was read for.
     */
    return size <= SMALL ? frame_pool_take(in->pool, size) : frame_pool_block(in->pool, size);
}

/* Where a block is kept once it is not read into any more. While it is pinned there is a place:
 * inbuf_lend saw to that. */
static struct frame **place_for(struct inbuf *in) {
    struct frame **free_block = NULL;
    for (size_t i = 0; i < INBUF_OTHERS; i++) {
        if (in->others[i] == NULL) {
            return &in->others[i];
        }
        free_block = is_pinned(in->others[i]) ? free_block : &in->others[i];
    }
    return free_block;
}

static void block_leave(struct inbuf *in) {
    struct frame *block = in->block;
    struct frame **place = place_for(in);
    bool is_kept = is_pinned(block) || (block != NULL && block->size > SMALL && place != NULL);
    in->block = NULL;
    if (!is_kept) {
        frame_unref(block);
        return;
    }
    ASSERT(place != NULL);
    frame_unref(*place);
    *place = block;
}

struct loan inbuf_lend(const struct inbuf *in, struct span bytes) {
    size_t pinned = 0;
    for (size_t i = 0; i < INBUF_OTHERS; i++) {
        pinned += is_pinned(in->others[i]) ? 1 : 0;
    }
    bool may_lend = (pinned < INBUF_OTHERS || is_pinned(in->block)) && !has_too_many(in);
    return (struct loan){.bytes = bytes, .block = may_lend ? in->block : NULL};
}

/* ---- the buffer ---- */

static void begin_with(struct inbuf *in, struct frame *block, struct span first,
                       struct span second) {
    if (first.len > 0) {
        memmove(block->data, first.data, first.len);
    }
    if (second.len > 0) {
        memmove(block->data + first.len, second.data, second.len);
    }
    in->begin = 0;
    in->end = first.len + second.len;
}

bool inbuf_gather(struct inbuf *in, struct span first, struct span second, size_t size) {
    if (in->block != NULL && in->size >= size && !is_pinned(in->block)) {
        begin_with(in, in->block, first, second);
        return true;
    }
    struct frame *block = block_take(in, size);
    if (block == NULL) {
        return false;
    }
    begin_with(in, block, first, second);
    block_leave(in);
    in->block = block;
    in->data = block->data;
    in->size = block->size;
    return true;
}

/* Whether what is free at the end is too little to be worth a read, and moving is cheap. */
static bool is_cramped(const struct inbuf *in) {
    return in->size - in->end < in->size / 4 && in->end - in->begin <= in->size / 2;
}

/* The size a block should have: one of two, or what a handshake may fill. */
static size_t size_for(const struct inbuf *in, size_t need, size_t cap) {
    bool is_small = need <= SMALL && !in->wants_more;
    return is_small ? min_of(SMALL, cap) : cap;
}

/* Makes room where there is too little. False without memory. */
static bool make_room(struct inbuf *in, size_t need, size_t cap) {
    size_t size = size_for(in, need, cap);
    size_t held = in->end - in->begin;
    const struct span nothing = {.data = NULL, .len = 0};
    if (in->size < need || (in->size < size && held <= in->size / 2)) {
        return inbuf_gather(in, inbuf_view(in), nothing, size);
    }
    bool is_short = in->size - in->begin < need || is_cramped(in);
    return !is_short || inbuf_gather(in, inbuf_view(in), nothing, in->size);
}

uint8_t *inbuf_space(struct inbuf *in, size_t need, size_t cap, size_t *len) {
    size_t held = in->end - in->begin;
    ASSERT(held < cap && need <= cap);
    if (held == 0 && !is_pinned(in->block)) {
        in->begin = in->end = 0;
    }
    if (!make_room(in, max_of(need, held + 1), cap)) {
        return NULL;
    }
    in->offered = min_of(min_of(in->size - in->end, cap - held), READ_MAX);
    *len = in->offered;
    return in->data + in->end;
}

void inbuf_done(struct inbuf *in, size_t len) {
    ASSERT(len <= in->offered);
    in->wants_more = in->wants_more || (len == in->offered && len >= SMALL / 2);
    in->end += len;
    in->offered = 0;
}

static void block_drop(struct frame **block) {
    if (!is_pinned(*block)) { /* a pinned one stays counted until it is free */
        frame_unref(*block);
        *block = NULL;
    }
}

/* Blocks that are only kept to be read into again. */
static void others_drop(struct inbuf *in) {
    for (size_t i = 0; i < INBUF_OTHERS; i++) {
        block_drop(&in->others[i]);
    }
}

void inbuf_relax(struct inbuf *in, bool is_idle) {
    if (has_too_many(in)) {
        others_drop(in);
    }
    if (in->begin != in->end || (in->size > SMALL && !is_idle)) {
        return;
    }
    if (is_idle) {
        others_drop(in);
    }
    if (is_pinned(in->block)) {
        return;
    }
    block_drop(&in->block);
    in->data = NULL;
    in->size = in->begin = in->end = in->offered = 0;
    in->wants_more = in->wants_more && !is_idle;
}

void inbuf_fini(struct inbuf *in) {
    frame_unref(in->block);
    for (size_t i = 0; i < INBUF_OTHERS; i++) {
        frame_unref(in->others[i]);
    }
    *in = (struct inbuf){.pool = in->pool, .pool_bytes_max = in->pool_bytes_max};
}
