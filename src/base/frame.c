/* SPDX-License-Identifier: Apache-2.0
 *
 * Counted bytes: the count, the length and the bytes are one allocation; a slice is its head only.
 */
#include "base/frame.h"

#include <stdlib.h>

#include "base/check.h"

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

struct frame *frame_slice(struct frame *whole, struct span bytes) {
    size_t at = (size_t)(bytes.data - whole->data);
    ASSERT(bytes.data >= whole->data && at <= whole->size && bytes.len <= whole->size - at);
    struct frame *slice = malloc(sizeof *slice);
    if (slice != NULL) {
        *slice = (struct frame){.reference_count = 1,
                                .len = (uint32_t)bytes.len,
                                .size = (uint32_t)bytes.len,
                                .whole = frame_ref(whole),
                                .data = whole->data + at};
    }
    return slice;
}

struct frame *loan_keep(const struct loan *loan) {
    bool is_worth = loan->block != NULL && loan->bytes.len >= LOAN_SLICE_MIN;
    return is_worth ? frame_slice(loan->block, loan->bytes) : frame_copy(loan->bytes);
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
    if (frame->reference_count == 0) {
        frame_unref(frame->whole);
        free(frame);
    }
}
