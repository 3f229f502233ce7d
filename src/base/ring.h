/* SPDX-License-Identifier: Apache-2.0
 *
 * A bounded first-in first-out queue of equal-sized elements. It grows by doubling up to its bound
 * and refuses beyond: what happens then is the caller's rule, written next to the call.
 *
 *     head    tail
 *       v       v
 *   [ . a b c d . . . ]      count = 4, size = 8: 0 or a power of two, at most double count_max
 */
#ifndef BASE_RING_H
#define BASE_RING_H

#include "weft/types.h"

struct ring {
    uint8_t *elements;
    size_t element_bytes;
    size_t size;  /* elements there is room for now */
    size_t head;  /* index of the oldest */
    size_t count; /* elements queued */
    size_t count_max;
};

/* An empty ring; allocates nothing yet. element_bytes and count_max are at least 1. */
void ring_init(struct ring *ring, size_t element_bytes, size_t count_max);

/* Frees the storage; the elements are not looked at. Takes zeroed memory. */
void ring_fini(struct ring *ring);

/* Copies an element in at the tail. WEFT_ERR_FULL at the bound, WEFT_ERR_MEMORY. */
WEFT_MUST_CHECK enum weft_err ring_push(struct ring *ring, const void *element);

/* Copies the oldest element out and removes it; false when empty. */
bool ring_pop(struct ring *ring, void *out);

/* Removes all; the storage stays. The elements are not looked at. */
void ring_clear(struct ring *ring);

/* Borrows the element `index` places behind the head; NULL past the end. Valid until a push or pop.
 */
void *ring_at(const struct ring *ring, size_t index);

#endif
