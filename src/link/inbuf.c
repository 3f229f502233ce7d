/* SPDX-License-Identifier: Apache-2.0
 *
 * The read buffer: 16 KiB for a link that says little, 256 KiB once reads fill it, so that a busy
 * link costs few system calls and an idle one no memory.
 */
#include <stdlib.h>

#include "base/check.h"
#include "link/record.h"

#define TARGET_MIN ((size_t)16384)
#define TARGET_MAX                                                                                 \
    ((size_t)262144) /* twice what the kernel holds back; still fits a core's cache */

static void compact(struct inbuf *in) {
    size_t held = in->end - in->begin;
    if (held > 0 && in->begin > 0) {
        memmove(in->data, in->data + in->begin, held);
    }
    in->begin = 0;
    in->end = held;
}

static bool resize(struct inbuf *in, size_t size) {
    compact(in);
    uint8_t *data = realloc(in->data, size);
    if (data == NULL) {
        return false;
    }
    in->data = data;
    in->size = size;
    return true;
}

/* Whether what is free at the end is too little to be worth a read, and moving is cheap. */
static bool is_cramped(const struct inbuf *in) {
    return in->size - in->end < in->size / 4 && in->end - in->begin <= in->size / 2;
}

static size_t max_of(size_t a, size_t b) {
    return a > b ? a : b;
}

static size_t min_of(size_t a, size_t b) {
    return a < b ? a : b;
}

uint8_t *inbuf_space(struct inbuf *in, size_t need, size_t cap, size_t *len) {
    size_t held = in->end - in->begin;
    ASSERT(held < cap && need <= cap);
    if (in->target == 0) {
        in->target = TARGET_MIN;
    }
    need = max_of(need, held + 1);
    size_t wish = min_of(max_of(in->target, need), cap);
    if (in->size < need || (in->size < wish && held <= in->size / 2)) {
        if (!resize(in, wish)) {
            return NULL;
        }
    } else if (in->size - in->begin < need || is_cramped(in)) {
        compact(in);
    }
    in->offered = min_of(in->size - in->end, cap - held);
    *len = in->offered;
    return in->data + in->end;
}

void inbuf_done(struct inbuf *in, size_t len) {
    ASSERT(len <= in->offered);
    if (len == in->offered && len >= in->target / 2) {
        in->target = min_of(in->target * 4, TARGET_MAX);
    }
    in->end += len;
    in->offered = 0;
}

void inbuf_relax(struct inbuf *in, bool is_idle) {
    if (in->begin != in->end || (in->size > TARGET_MIN && !is_idle)) {
        return;
    }
    free(in->data);
    in->data = NULL;
    in->size = in->begin = in->end = in->offered = 0;
    in->target = is_idle ? TARGET_MIN : in->target;
}

void inbuf_fini(struct inbuf *in) {
    free(in->data);
    *in = (struct inbuf){.data = NULL};
}
