/* SPDX-License-Identifier: Apache-2.0
 *
 * What the fuzz targets share: the entry that libFuzzer (or replay.c, for the corpora) calls, and a
 * cursor over its input. Reads past the input's end give zero, so every input is a whole script.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "base/host.h"
#include "base/rng.h"
#include "base/span.h"
#include "wire/reader.h"

/* Runs one input; always 0. A finding is an abort or a sanitizer's report. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Up to `max` bytes, as many as the next two say, or as there are. */
static inline struct span fuzz_take(struct wire_reader *script, size_t max) {
    size_t want = wire_read_u16(script);
    want = want < max ? want : max;
    return wire_read_bytes(script, want < script->rest.len ? want : script->rest.len);
}

/* Reads every byte, so that ASan looks at all of what was lent. */
static inline void fuzz_touch(struct span bytes) {
    volatile uint8_t sum = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        sum = (uint8_t)(sum + bytes.data[i]);
    }
}

/* struct host.random over a struct rng: one input runs the same way every time. */
static inline void fuzz_random(void *ctx, uint8_t *out, size_t len) {
    struct rng *rng = ctx;
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)rng_next(rng);
    }
}

#endif
