/* SPDX-License-Identifier: Apache-2.0
 *
 * Borrowed bytes: a pointer and a length that somebody else owns.
 */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const uint8_t *data; /* may be NULL when len is 0 */
    size_t len;
};

static inline struct span span_of(const void *data, size_t len) {
    return (struct span){.data = data, .len = len};
}

/* The characters of a NUL-terminated text, without the NUL. */
static inline struct span span_of_text(const char *text) {
    return span_of(text, strlen(text));
}

static inline bool span_equal(struct span a, struct span b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Copies into a NUL-terminated text of `size` bytes; false, and an empty text, if it does not fit
 * or holds a NUL. */
static inline bool span_to_text(struct span span, char *out, size_t size) {
    out[0] = '\0';
    if (span.len >= size || (span.len > 0 && memchr(span.data, 0, span.len) != NULL)) {
        return false;
    }
    if (span.len > 0) {
        memcpy(out, span.data, span.len);
    }
    out[span.len] = '\0';
    return true;
}

#endif
