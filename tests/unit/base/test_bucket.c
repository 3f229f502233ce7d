/* SPDX-License-Identifier: Apache-2.0
 *
 * The token bucket: the burst at once, then the rate, whatever the rhythm of asking.
 */
#include <criterion/criterion.h>

#include "base/bucket.h"
#include "base/rng.h"

#define START (1000 * NS_PER_S)

/* How many single tokens can be had at one moment, at most `tries`. */
static uint64_t take_all(struct bucket *bucket, uint64_t rate, uint64_t burst, weft_ns now) {
    uint64_t taken = 0;
    while (taken < 10 * burst && bucket_take(bucket, 1, rate, burst, now)) {
        taken++;
    }
    return taken;
}

Test(bucket, gives_the_burst_at_once_and_no_more) {
    struct bucket bucket = {0};
    cr_expect_eq(take_all(&bucket, 10, 5, START), 5);
    cr_expect_eq(take_all(&bucket, 10, 5, START), 0);
}

Test(bucket, refills_at_the_rate) {
    struct bucket bucket = {0};
    cr_assert_eq(take_all(&bucket, 10, 5, START), 5);
    cr_expect_not(bucket_take(&bucket, 1, 10, 5, START + 100 * NS_PER_MS - 1));
    cr_expect(bucket_take(&bucket, 1, 10, 5, START + 100 * NS_PER_MS));
    cr_expect_not(bucket_take(&bucket, 1, 10, 5, START + 100 * NS_PER_MS));
    cr_expect_eq(take_all(&bucket, 10, 5, START + 300 * NS_PER_MS), 2);
}

Test(bucket, never_holds_more_than_the_burst) {
    struct bucket bucket = {0};
    cr_assert_eq(take_all(&bucket, 10, 5, START), 5);
    cr_expect_eq(take_all(&bucket, 10, 5, START + 3600 * NS_PER_S), 5);
}

Test(bucket, refusal_costs_nothing) {
    struct bucket bucket = {0};
    cr_expect(bucket_take(&bucket, 3, 10, 5, START));
    for (int i = 0; i < 100; i++) {
        cr_expect_not(bucket_take(&bucket, 3, 10, 5, START));
    }
    cr_expect(bucket_take(&bucket, 2, 10, 5, START));
}

/* To the token, whatever the moment: who asks first whether one is left must then get it. */
Test(bucket, left_is_what_can_be_taken) {
    struct rng rng;
    uint8_t seed[32] = {5};
    rng_init(&rng, seed);
    struct bucket bucket = {0};
    weft_ns now = START;
    for (unsigned i = 0; i < 10000; i++) {
        struct bucket copy = bucket;
        uint64_t left = bucket_left(&bucket, 7, 16, now);
        cr_assert_eq(take_all(&copy, 7, 16, now), left, "at %llu", (unsigned long long)now);
        (void)bucket_take(&bucket, rng_below(&rng, 4), 7, 16, now);
        now += rng_below(&rng, NS_PER_S);
    }
}

Test(bucket, works_at_time_zero_and_at_the_end_of_time) {
    struct bucket early = {0};
    cr_expect_eq(take_all(&early, 10, 5, 0), 5);
    struct bucket late = {.ready = WEFT_NEVER - 1};
    (void)bucket_take(&late, 1, 10, 5, WEFT_NEVER - 1); /* must not wrap and give for ever */
    cr_expect_geq(late.ready, WEFT_NEVER - 1);
}

/* Over any span: at most burst + rate * span; and with a token in reserve for the rhythm's gaps,
 * which stay below one token's time, an asker loses nothing. */
Test(bucket, keeps_the_rate_over_random_rhythms) {
    for (uint8_t seed = 0; seed < 50; seed++) {
        struct rng rng;
        rng_init(&rng, (const uint8_t[32]){seed, 1});
        uint64_t rate = 1 + rng_below(&rng, 1000);
        uint64_t burst = 2 + rng_below(&rng, 50);
        struct bucket bucket = {0};
        weft_ns now = START;
        uint64_t taken = 0;
        for (int i = 0; i < 2000; i++) {
            now += rng_below(&rng, NS_PER_S / rate);
            taken += bucket_take(&bucket, 1, rate, burst, now) ? 1 : 0;
        }
        uint64_t earned = (now - START) * rate / NS_PER_S;
        cr_expect_leq(taken, burst + earned + 1, "seed %u", seed);
        cr_expect_geq(taken + 1, earned, "seed %u", seed);
    }
}
