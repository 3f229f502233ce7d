/* SPDX-License-Identifier: Apache-2.0
 *
 * Counted bytes: the count, the length and the bytes are one allocation; a slice is its head only.
 */
#include "base/frame.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/frame_pool.h"

struct frame *frame_new(size_t size) {
    /* No frame is anywhere near this long; a size that a peer had a say in must not abort. */
    if (size > UINT32_MAX) {
        return NULL;
    }
    struct frame *frame = malloc(sizeof *frame + size);
    if (frame != NULL) {
        *frame = (struct frame){
            .reference_count = 1, .size = (uint32_t)size, .data = (uint8_t *)(frame + 1)};
    }
    return frame;
}

struct frame *frame_copy(struct span bytes) {
    struct frame *frame = frame_new(bytes.len);
    if (frame != NULL && bytes.len > 0) {
        memcpy(frame->data, bytes.data, bytes.len);
        frame->len = (uint32_t)bytes.len;
    }
    return frame;
}

void frame_share(struct frame *slice, struct frame *whole, struct span bytes) {
    size_t at = (size_t)(bytes.data - whole->data);
    ASSERT(bytes.data >= whole->data && at <= whole->size && bytes.len <= whole->size - at);
    slice->whole = frame_ref(whole);
    slice->data = whole->data + at;
    slice->len = slice->size = (uint32_t)bytes.len;
}

struct frame *frame_slice(struct frame *whole, struct span bytes) {
    struct frame *slice = frame_new(0);
    if (slice != NULL) {
        frame_share(slice, whole, bytes);
    }
    return slice;
}

struct frame *loan_keep(const struct loan *loan) {
    return loan_is_worth_a_slice(loan) ? frame_slice(loan->block, loan->bytes)
                                       : frame_copy(loan->bytes);
}

struct frame *frame_ref(struct frame *frame) {
    ASSERT(frame->reference_count > 0 && frame->reference_count < UINT32_MAX);
    frame->reference_count++;
    return frame;
}

void frame_unref(struct frame *frame) {
    if (frame == NULL) {
        return;
    }
    ASSERT(frame->reference_count > 0);
    frame->reference_count--;
    if (frame->reference_count > 0) {
        return;
    }
    frame_unref(frame->whole);
    if (frame->pool != NULL) {
        frame_pool_give(frame->pool, frame);
    } else {
        free(frame);
    }
}
