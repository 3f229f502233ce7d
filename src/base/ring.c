/* SPDX-License-Identifier: Apache-2.0
 *
 * The bounded queue. The storage is a power of two long, so that a place is found by masking.
 */
#include "base/ring.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* What the first push makes room for: most queues hold a handful of elements or very many. */
#define SIZE_FIRST 8

static uint8_t *slot(const struct ring *ring, size_t index) {
    return ring->elements + ((ring->head + index) & (ring->size - 1)) * ring->element_bytes;
}

/* The storage doubled, the oldest element first; on failure nothing changes. */
static enum weft_err grow(struct ring *ring) {
    size_t size = ring->size == 0 ? SIZE_FIRST : ring->size * 2;
    while (ring->size == 0 && size / 2 >= ring->count_max) {
        size /= 2;
    }
    if (size < ring->size || size > SIZE_MAX / ring->element_bytes) {
        return WEFT_ERR_MEMORY;
    }
    uint8_t *elements = malloc(size * ring->element_bytes);
    if (elements == NULL) {
        return WEFT_ERR_MEMORY;
    }
    for (size_t i = 0; i < ring->count; i++) {
        memcpy(elements + i * ring->element_bytes, slot(ring, i), ring->element_bytes);
    }
    free(ring->elements);
    ring->elements = elements;
    ring->size = size;
    ring->head = 0;
    return WEFT_OK;
}

void ring_init(struct ring *ring, size_t element_bytes, size_t count_max) {
    ASSERT(element_bytes >= 1 && count_max >= 1);
    *ring = (struct ring){.element_bytes = element_bytes, .count_max = count_max};
}

void ring_fini(struct ring *ring) {
    free(ring->elements);
    *ring = (struct ring){.elements = NULL};
}

enum weft_err ring_push(struct ring *ring, const void *element) {
    ASSERT(ring->element_bytes >= 1);
    if (ring->count >= ring->count_max) {
        return WEFT_ERR_FULL;
    }
    if (ring->count == ring->size) {
        enum weft_err err = grow(ring);
        if (err != WEFT_OK) {
            return err;
        }
    }
    memcpy(slot(ring, ring->count), element, ring->element_bytes);
    ring->count++;
    return WEFT_OK;
}

bool ring_pop(struct ring *ring, void *out) {
    if (ring->count == 0) {
        return false;
    }
    memcpy(out, slot(ring, 0), ring->element_bytes);
    ring->head = (ring->head + 1) & (ring->size - 1);
    ring->count--;
    return true;
}

void ring_clear(struct ring *ring) {
    ring->head = 0;
    ring->count = 0;
}

void *ring_at(const struct ring *ring, size_t index) {
    return index < ring->count ? slot(ring, index) : NULL;
}
