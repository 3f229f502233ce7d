/* SPDX-License-Identifier: Apache-2.0
 *
 * Counted, immutable bytes. Gossip encodes a frame once and every link's queue holds a reference.
 * A slice shares the bytes of a larger frame, so that what came in one read can go on without a
 * copy. Counting is not atomic: a frame stays on the thread that made it.
 */
#ifndef BASE_FRAME_H
#define BASE_FRAME_H

#include "base/span.h"

struct frame {
    uint32_t reference_count;
    uint32_t len;            /* bytes used */
    uint32_t size;           /* bytes there is room for */
    uint32_t shelf;          /* of the pool: where it lies when free */
    struct frame_pool *pool; /* where its memory goes back to (frame_pool.h); NULL: to the heap */
    struct frame *whole;     /* goes with the last reference: of a slice, what it shares; or NULL */
    uint8_t *data;           /* may be written only by who made it, before it is first shared */
};

/* A frame with one reference and room for `size` bytes, len 0; NULL when out of memory. */
struct frame *frame_new(size_t size);

/* A frame with one reference that holds a copy of `bytes`; NULL when out of memory. */
struct frame *frame_copy(struct span bytes);

/* A frame with one reference that shares `bytes`, which lie in `whole`, and keeps that alive; NULL
 * when out of memory. */
struct frame *frame_slice(struct frame *whole, struct span bytes);

/* Makes a new frame such a slice. */
void frame_share(struct frame *slice, struct frame *whole, struct span bytes);

/* One more reference; returns its argument. */
struct frame *frame_ref(struct frame *frame);

/* Drops one reference; the last one frees. Takes NULL. */
void frame_unref(struct frame *frame);

static inline struct span frame_view(const struct frame *frame) {
    return span_of(frame->data, frame->len);
}

/* Bytes lent for a call. If `block` is set they lie in it, and nobody else reads them: who borrows
 * them may overwrite them (a packet is opened in place), and may keep a slice of them. */
struct loan {
    struct span bytes;
    struct frame *block; /* NULL: the bytes may only be read, and must be copied to be kept */
};

static inline struct loan loan_of(struct span bytes) {
    return (struct loan){.bytes = bytes};
}

/* A slice of fewer bytes than this would keep too much alive for too little. */
#define LOAN_SLICE_MIN ((size_t)16384)

static inline bool loan_is_worth_a_slice(const struct loan *loan) {
    return loan->block != NULL && loan->bytes.len >= LOAN_SLICE_MIN;
}

/* Keeps the bytes beyond the call: as a slice where that is allowed and worth it, else as a copy.
 * NULL when out of memory. */
struct frame *loan_keep(const struct loan *loan);

/* Where lent bytes of a block may be overwritten. */
static inline uint8_t *loan_data(const struct loan *loan) {
    return loan->block->data + (loan->bytes.data - loan->block->data);
}

#endif
