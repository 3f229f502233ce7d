/* SPDX-License-Identifier: Apache-2.0
 *
 * xoshiro256** 1.0, after the public-domain reference by Blackman and Vigna (prng.di.unimi.it).
 */
#include "base/rng.h"

#include "base/check.h"
#include "base/time.h"

/* Seeds that differ in one bit draw alike at first, the first time even the same: the generator
 * needs about ten steps to spread a bit over its state. Tests and simulations count their seeds. */
#define WARM_UP_DRAWS 20

static uint64_t rotate(uint64_t word, unsigned bits) {
    return (word << bits) | (word >> (64 - bits));
}

static uint64_t read_u64_le(const uint8_t *bytes) {
    uint64_t word = 0;
    for (unsigned i = 0; i < 8; i++) {
        word |= (uint64_t)bytes[i] << (8 * i);
    }
    return word;
}

uint64_t rng_next(struct rng *rng) {
    uint64_t *s = rng->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 45);
    return result;
}

void rng_init(struct rng *rng, const uint8_t seed[32]) {
    uint64_t any = 0;
    for (size_t i = 0; i < 4; i++) {
        rng->state[i] = read_u64_le(seed + 8 * i);
        any |= rng->state[i];
    }
    if (any == 0) {
        /* The one state that xoshiro never leaves. Any other will do: the golden ratio's bits. */
        rng->state[0] = 0x9e3779b97f4a7c15;
    }
    for (int i = 0; i < WARM_UP_DRAWS; i++) {
        (void)rng_next(rng);
    }
}

uint64_t rng_below(struct rng *rng, uint64_t bound) {
    ASSERT(bound >= 1);
    /* 2^64 mod bound: draws below it would make the small remainders likelier. Less than half of
     * all draws are refused whatever the bound, so the loop ends. */
    uint64_t refused = (0 - bound) % bound;
    uint64_t draw = rng_next(rng);
    while (draw < refused) {
        draw = rng_next(rng);
    }
    return draw % bound;
}

weft_ns rng_jitter(struct rng *rng, weft_ns span) {
    weft_ns quarter = span / 4;
    return time_after(span - quarter, rng_below(rng, 2 * quarter + 1));
}
