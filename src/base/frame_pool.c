/* SPDX-License-Identifier: Apache-2.0
 *
 * A list of free frames for each size, last in, first out: the next to be used is still in the
 * cache. A free frame's `whole` is the next one. Under AddressSanitizer their bytes are poisoned,
 * so that who reads a frame that he gave up is found as if it had been freed.
 */
#include "base/frame_pool.h"

#include <stdlib.h>

#include "base/check.h"

#ifdef WEFT_SANITIZED
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(bytes, len) ((void)(bytes), (void)(len))
#define ASAN_UNPOISON_MEMORY_REGION(bytes, len) ((void)(bytes), (void)(len))
#endif

/* Bytes in a frame of a shelf: powers of two from 64, so that what waits for long in a queue holds
 * less than twice what it fills. */
static size_t size_at(size_t shelf) {
    return (size_t)64 << shelf;
}

_Static_assert(((size_t)64 << (FRAME_POOL_SIZES - 1)) == 65536, "the largest packet fits");

/* Kept free, heads and all: what one turn of a loop may take, which reads 256 KiB of a link or of
 * an application. */
#define KEPT_BYTES_MAX ((size_t)1 << 20)

/* The shelf of blocks, which are freed at once. */
#define BLOCK_SHELF FRAME_POOL_SIZES

struct shelf {
    struct frame *free;
    uint32_t count;
    uint32_t unused; /* the least that lay here since the last trim */
};

struct frame_pool {
    struct shelf shelves[FRAME_POOL_SIZES];
    size_t kept; /* bytes of all free frames */
    size_t out;  /* frames that somebody refers to, blocks among them */
    size_t block_bytes;
    bool is_closed;
};

struct frame_pool *frame_pool_new(void) {
    return calloc(1, sizeof(struct frame_pool));
}

static uint8_t *room_of(struct frame *frame) {
    return (uint8_t *)(frame + 1);
}

/* Bytes that a frame of a shelf takes. */
static size_t whole_at(size_t shelf) {
    return sizeof(struct frame) + size_at(shelf);
}

static struct frame *shelf_take(struct frame_pool *pool, size_t index) {
    struct shelf *shelf = &pool->shelves[index];
    struct frame *frame = shelf->free;
    shelf->free = frame->whole;
    shelf->count--;
    pool->kept -= whole_at(index);
    shelf->unused = shelf->count < shelf->unused ? shelf->count : shelf->unused;
    return frame;
}

static void shelf_drop(struct frame_pool *pool, size_t index, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        struct frame *frame = shelf_take(pool, index);
        ASAN_UNPOISON_MEMORY_REGION(room_of(frame), size_at(index));
        free(frame);
    }
    pool->shelves[index].unused = pool->shelves[index].count;
}

void frame_pool_trim(struct frame_pool *pool) {
    for (size_t i = 0; i < FRAME_POOL_SIZES; i++) {
        shelf_drop(pool, i, pool->shelves[i].unused);
    }
}

void frame_pool_free(struct frame_pool *pool) {
    if (pool == NULL) {
        return;
    }
    for (size_t i = 0; i < FRAME_POOL_SIZES; i++) {
        shelf_drop(pool, i, pool->shelves[i].count);
    }
    pool->is_closed = true;
    if (pool->out == 0) {
        free(pool);
    }
}

/* The smallest size that is enough; FRAME_POOL_SIZES or more if none is. */
static size_t index_for(size_t size) {
    return size <= size_at(0) ? 0 : (size_t)(64 - 6 - __builtin_clzll(size - 1));
}

struct frame *frame_pool_take(struct frame_pool *pool, size_t size) {
    size_t index = index_for(size);
    if (pool == NULL || index >= FRAME_POOL_SIZES) {
        return frame_new(size);
    }
    struct frame *frame =
        pool->shelves[index].free != NULL ? shelf_take(pool, index) : malloc(whole_at(index));
    if (frame == NULL) {
        return NULL;
    }
    *frame = (struct frame){.reference_count = 1,
                            .size = (uint32_t)size_at(index),
                            .shelf = (uint32_t)index,
                            .pool = pool,
                            .data = room_of(frame)};
    ASAN_UNPOISON_MEMORY_REGION(frame->data, frame->size);
    pool->out++;
    return frame;
}

struct frame *frame_pool_copy(struct frame_pool *pool, struct span bytes) {
    bool is_large = bytes.len > LOAN_SLICE_MIN;
    struct frame *frame = is_large ? frame_new(bytes.len) : frame_pool_take(pool, bytes.len);
    if (frame != NULL && bytes.len > 0) {
        memcpy(frame->data, bytes.data, bytes.len);
        frame->len = (uint32_t)bytes.len;
    }
    return frame;
}

struct frame *frame_pool_keep(struct frame_pool *pool, const struct loan *loan) {
    if (!loan_is_worth_a_slice(loan)) {
        return frame_pool_copy(pool, loan->bytes);
    }
    struct frame *slice = frame_pool_take(pool, 0);
    if (slice != NULL) {
        frame_share(slice, loan->block, loan->bytes);
    }
    return slice;
}

struct frame *frame_pool_block(struct frame_pool *pool, size_t size) {
    struct frame *block = frame_new(size);
    if (block != NULL && pool != NULL) {
        block->pool = pool;
        block->shelf = BLOCK_SHELF;
        pool->out++;
        pool->block_bytes += size;
    }
    return block;
}

size_t frame_pool_block_bytes(const struct frame_pool *pool) {
    return pool->block_bytes;
}

static void put_back(struct frame_pool *pool, struct frame *frame) {
    uint32_t index = frame->shelf;
    struct shelf *shelf = &pool->shelves[index];
    if (pool->is_closed || pool->kept + whole_at(index) > KEPT_BYTES_MAX) {
        free(frame);
    } else {
        ASAN_POISON_MEMORY_REGION(room_of(frame), size_at(index));
        frame->whole = shelf->free;
        shelf->free = frame;
        shelf->count++;
        pool->kept += whole_at(index);
    }
}

void frame_pool_give(struct frame_pool *pool, struct frame *frame) {
    ASSERT(pool->out > 0);
    pool->out--;
    if (frame->shelf == BLOCK_SHELF) {
        ASSERT(pool->block_bytes >= frame->size);
        pool->block_bytes -= frame->size;
        free(frame);
    } else {
        put_back(pool, frame);
    }
    if (pool->is_closed && pool->out == 0) {
        free(pool);
    }
}
