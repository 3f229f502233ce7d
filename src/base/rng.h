/* SPDX-License-Identifier: Apache-2.0
 *
 * xoshiro256** (Blackman, Vigna 2018): seeded choices and jitter. Never keys, nonces or anything a
 * peer must not guess: those come from host.random.
 */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include "weft/types.h"

struct rng {
    uint64_t state[4];
};

/* Seeds from 32 bytes; all zero is mapped to a fixed non-zero state. Seeds that differ in a single
 * bit draw as differently as any. */
void rng_init(struct rng *rng, const uint8_t seed[32]);

uint64_t rng_next(struct rng *rng);

/* Uniform in [0, bound), without modulo bias; bound >= 1. */
uint64_t rng_below(struct rng *rng, uint64_t bound);

/* Uniform in [span - span/4, span + span/4]: spreads what would otherwise happen at once. */
weft_ns rng_jitter(struct rng *rng, weft_ns span);

#endif
