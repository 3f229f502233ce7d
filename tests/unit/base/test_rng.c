/* SPDX-License-Identifier: Apache-2.0
 *
 * xoshiro256** against the reference's output, and the shape of what is derived from it.
 */
#include <criterion/criterion.h>
#include <signal.h>

#include "base/rng.h"
#include "base/time.h"

static struct rng rng_seeded(uint8_t seed) {
    struct rng rng;
    rng_init(&rng, (const uint8_t[32]){seed, 0x5e});
    return rng;
}

/* The reference implementation (prng.di.unimi.it) from the state 1, 2, 3, 4. */
Test(rng, matches_the_reference) {
    static const uint64_t expected[] = {
        11520,
        0,
        1509978240,
        1215971899390074240,
        1216172134540287360,
        607988272756665600,
        16172922978634559625u,
        8476171486693032832,
        10595114339597558777u,
        2904607092377533576,
    };
    struct rng rng = {.state = {1, 2, 3, 4}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        cr_expect_eq(rng_next(&rng), expected[i], "draw %zu", i);
    }
}

/* What a seed means may not depend on the machine: 20 draws from it read as little-endian. */
Test(rng, reads_its_seed_little_endian_and_warms_up) {
    uint8_t seed[32] = {[0] = 1, [9] = 1, [18] = 1, [27] = 1};
    struct rng rng;
    rng_init(&rng, seed);
    struct rng expected = {.state = {1, 1u << 8, 1u << 16, 1u << 24}};
    for (int i = 0; i < 20; i++) {
        (void)rng_next(&expected);
    }
    cr_expect_arr_eq(rng.state, expected.state, sizeof rng.state);
}

Test(rng, an_all_zero_seed_still_draws) {
    struct rng rng;
    rng_init(&rng, (const uint8_t[32]){0});
    uint64_t any = 0;
    for (int i = 0; i < 10; i++) {
        any |= rng_next(&rng);
    }
    cr_expect_neq(any, 0);
}

Test(rng, equal_seeds_draw_equally) {
    struct rng a = rng_seeded(1);
    struct rng b = rng_seeded(1);
    for (int i = 0; i < 1000; i++) {
        cr_assert_eq(rng_next(&a), rng_next(&b));
    }
}

/* The first draws of seeds that differ in one bit: about 32 of 64 bits differ, never nearly none.
 */
Test(rng, seeds_one_bit_apart_draw_differently_at_once) {
    struct rng zero;
    rng_init(&zero, (const uint8_t[32]){[31] = 0x80});
    uint64_t draw = rng_next(&zero);
    for (size_t bit = 0; bit < 255; bit++) {
        uint8_t seed[32] = {[31] = 0x80};
        seed[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        struct rng rng;
        rng_init(&rng, seed);
        int differing = __builtin_popcountll(draw ^ rng_next(&rng));
        cr_expect_gt(differing, 12, "bit %zu", bit);
        cr_expect_lt(differing, 52, "bit %zu", bit);
    }
}

Test(rng, below_one_is_always_zero) {
    struct rng rng = rng_seeded(3);
    for (int i = 0; i < 100; i++) {
        cr_expect_eq(rng_below(&rng, 1), 0);
    }
}

Test(rng, below_refuses_a_bound_of_zero, .signal = SIGABRT) {
    struct rng rng = rng_seeded(3);
    (void)rng_below(&rng, 0);
}

/* Chi-squared over `bound` cells: the expectation is bound - 1, its deviation sqrt(2 bound). The
 * seed is fixed, so the test is not flaky; six deviations leave room for any honest change of it.
 */
Test(rng, below_is_uniform) {
    static const uint64_t bounds[] = {2, 3, 7, 10, 100, 128};
    for (size_t b = 0; b < sizeof bounds / sizeof bounds[0]; b++) {
        uint64_t bound = bounds[b];
        struct rng rng = rng_seeded((uint8_t)bound);
        double cells[128] = {0};
        for (uint64_t i = 0; i < bound * 1000; i++) {
            uint64_t draw = rng_below(&rng, bound);
            cr_assert_lt(draw, bound);
            cells[draw]++;
        }
        double chi2 = 0;
        for (uint64_t i = 0; i < bound; i++) {
            chi2 += (cells[i] - 1000) * (cells[i] - 1000) / 1000;
        }
        double excess = chi2 - (double)(bound - 1);
        cr_expect_lt(excess * excess, 36.0 * 2.0 * (double)bound, "bound %lu: %f", bound, chi2);
    }
}

/* At 3 * 2^62 a plain modulo would draw the lower third twice as often. */
Test(rng, below_has_no_modulo_bias) {
    struct rng rng = rng_seeded(4);
    uint64_t third = (uint64_t)1 << 62;
    int low = 0;
    for (int i = 0; i < 30000; i++) {
        low += rng_below(&rng, 3 * third) < third ? 1 : 0;
    }
    cr_expect_gt(low, 9500);
    cr_expect_lt(low, 10500);
}

Test(rng, jitter_spreads_over_a_quarter_either_way) {
    struct rng rng = rng_seeded(5);
    weft_ns low = WEFT_NEVER;
    weft_ns high = 0;
    for (int i = 0; i < 10000; i++) {
        weft_ns span = rng_jitter(&rng, 1000);
        low = time_min(low, span);
        high = span > high ? span : high;
    }
    cr_expect_eq(low, 750);
    cr_expect_eq(high, 1250);
}

Test(rng, jitter_of_the_extremes_does_not_wrap) {
    struct rng rng = rng_seeded(6);
    for (int i = 0; i < 1000; i++) {
        cr_expect_eq(rng_jitter(&rng, 0), 0);
        cr_expect_eq(rng_jitter(&rng, 3), 3);
        cr_expect_geq(rng_jitter(&rng, WEFT_NEVER), WEFT_NEVER / 4 * 3);
    }
}
