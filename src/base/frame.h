/* SPDX-License-Identifier: Apache-2.0
 *
 * Counted, immutable bytes. Gossip encodes a frame once and every link's queue holds a reference.
 * Counting is not atomic: a frame stays on the thread that made it.
 */
#ifndef BASE_FRAME_H
#define BASE_FRAME_H

#include "base/span.h"

struct frame {
    uint32_t reference_count;
    uint32_t len;   /* bytes used */
    uint32_t size;  /* bytes there is room for */
    uint8_t data[]; /* may be written only by who made it, before it is first shared */
};

/* A frame with one reference and room for `size` bytes, len 0; NULL when out of memory. */
struct frame *frame_new(size_t size);

/* A frame with one reference that holds a copy of `bytes`; NULL when out of memory. */
struct frame *frame_copy(struct span bytes);

/* One more reference; returns its argument. */
struct frame *frame_ref(struct frame *frame);

/* Drops one reference; the last one frees. Takes NULL. */
void frame_unref(struct frame *frame);

static inline struct span frame_view(const struct frame *frame) {
    return span_of(frame->data, frame->len);
}

#endif
