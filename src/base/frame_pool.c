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

struct size {
    uint32_t bytes;
    uint32_t count_max; /* kept free */
};

/* What one turn of a loop may have of each: it reads 256 KiB of a link. 1.1 MB in all. */
static const struct size SIZES[FRAME_POOL_SIZES] = {
    {.bytes = 64, .count_max = 512}, /* headers, slices, small packets */
    {.bytes = 2048, .count_max = 256},
    {.bytes = LOAN_SLICE_MIN, .count_max = 32}, /* longer ones are slices */
};

struct shelf {
    struct frame *free;
    uint32_t count;
    uint32_t unused; /* the least that lay here since the last trim */
};

struct frame_pool {
    struct shelf shelves[FRAME_POOL_SIZES];
    size_t out; /* frames that somebody refers to */
    bool is_closed;
};

struct frame_pool *frame_pool_new(void) {
    return calloc(1, sizeof(struct frame_pool));
}

static uint8_t *room_of(struct frame *frame) {
    return (uint8_t *)(frame + 1);
}

static struct frame *shelf_take(struct shelf *shelf) {
    struct frame *frame = shelf->free;
    shelf->free = frame->whole;
    shelf->count--;
    shelf->unused = shelf->count < shelf->unused ? shelf->count : shelf->unused;
    return frame;
}

static void shelf_drop(struct shelf *shelf, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        struct frame *frame = shelf_take(shelf);
        ASAN_UNPOISON_MEMORY_REGION(room_of(frame), SIZES[frame->shelf].bytes);
        free(frame);
    }
    shelf->unused = shelf->count;
}

void frame_pool_trim(struct frame_pool *pool) {
    for (size_t i = 0; i < FRAME_POOL_SIZES; i++) {
        shelf_drop(&pool->shelves[i], pool->shelves[i].unused);
    }
}

void frame_pool_free(struct frame_pool *pool) {
    if (pool == NULL) {
        return;
    }
    for (size_t i = 0; i < FRAME_POOL_SIZES; i++) {
        shelf_drop(&pool->shelves[i], pool->shelves[i].count);
    }
    pool->is_closed = true;
    if (pool->out == 0) {
        free(pool);
    }
}

/* The smallest size that is enough; FRAME_POOL_SIZES if none is. */
static size_t index_for(size_t size) {
    size_t index = 0;
    while (index < FRAME_POOL_SIZES && SIZES[index].bytes < size) {
        index++;
    }
    return index;
}

struct frame *frame_pool_take(struct frame_pool *pool, size_t size) {
    size_t index = index_for(size);
    if (index == FRAME_POOL_SIZES) {
        return frame_new(size);
    }
    struct shelf *shelf = &pool->shelves[index];
    struct frame *frame =
        shelf->free != NULL ? shelf_take(shelf) : malloc(sizeof *frame + SIZES[index].bytes);
    if (frame == NULL) {
        return NULL;
    }
    *frame = (struct frame){.reference_count = 1,
                            .size = SIZES[index].bytes,
                            .shelf = (uint32_t)index,
                            .pool = pool,
                            .data = room_of(frame)};
    ASAN_UNPOISON_MEMORY_REGION(frame->data, frame->size);
    pool->out++;
    return frame;
}

struct frame *frame_pool_copy(struct frame_pool *pool, struct span bytes) {
    struct frame *frame = frame_pool_take(pool, bytes.len);
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

void frame_pool_give(struct frame_pool *pool, struct frame *frame) {
    uint32_t index = frame->shelf;
    struct shelf *shelf = &pool->shelves[index];
    ASSERT(pool->out > 0);
    pool->out--;
    if (pool->is_closed || shelf->count == SIZES[index].count_max) {
        free(frame);
    } else {
        ASAN_POISON_MEMORY_REGION(room_of(frame), SIZES[index].bytes);
        frame->whole = shelf->free;
        shelf->free = frame;
        shelf->count++;
    }
    if (pool->is_closed && pool->out == 0) {
        free(pool);
    }
}
