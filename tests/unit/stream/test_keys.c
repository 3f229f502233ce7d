/* SPDX-License-Identifier: Apache-2.0
 *
 * The replay window against a naive one that remembers every number.
 */
#include <criterion/criterion.h>

#include "base/rng.h"
#include "stream/keys.h"
#include "stream/opened.h"

#define NUMBERS 100000

Test(replay, agrees_with_a_model) {
    static bool seen[NUMBERS];
    for (uint64_t seed = 1; seed < 20; seed++) {
        struct replay_window window = {.next = 0};
        struct rng rng;
        uint8_t bytes[32] = {(uint8_t)seed};
        rng_init(&rng, bytes);
        memset(seen, 0, sizeof seen);
        uint64_t highest = 0;
        bool has_any = false;
        for (int i = 0; i < 40000; i++) {
            uint64_t reach = rng_below(&rng, 50) == 0 ? 9000 : 40;
            uint64_t base = highest > 9000 && rng_below(&rng, 3) == 0
                                ? highest - rng_below(&rng, 9000)
                                : highest;
            uint64_t number = base + rng_below(&rng, reach);
            if (number >= NUMBERS) {
                break;
            }
            bool is_old = has_any && number + REPLAY_WINDOW_PACKETS <= highest;
            bool expected = !seen[number] && !is_old;
            cr_assert_eq(replay_is_new(&window, number), expected, "seed %llu, number %llu",
                         (unsigned long long)seed, (unsigned long long)number);
            cr_assert_eq(replay_was_seen(&window, number), seen[number] && !is_old);
            if (expected) {
                replay_mark(&window, number);
                seen[number] = true;
                highest = has_any && highest > number ? highest : number;
                has_any = true;
            }
        }
    }
}

Test(replay, takes_numbers_in_any_order_within_the_window) {
    struct replay_window window = {.next = 0};
    for (uint64_t number = REPLAY_WINDOW_PACKETS; number > 0; number--) {
        cr_assert(replay_is_new(&window, number - 1));
        replay_mark(&window, number - 1);
        cr_assert(!replay_is_new(&window, number - 1));
    }
    cr_assert(replay_is_new(&window, REPLAY_WINDOW_PACKETS));
    replay_mark(&window, UINT64_C(1) << 50);
    cr_assert(!replay_is_new(&window, REPLAY_WINDOW_PACKETS));
}

/* Taken, it made the window begin anew: whatever was seen before was new again. */
Test(replay, the_last_number_is_never_new) {
    struct replay_window window = {.next = 0};
    replay_mark(&window, 5);
    cr_assert(!replay_is_new(&window, UINT64_MAX));
    cr_assert(!replay_was_seen(&window, UINT64_MAX));
    cr_assert(replay_is_new(&window, UINT64_MAX - 1));
    replay_mark(&window, UINT64_MAX - 1);
    cr_assert(!replay_is_new(&window, UINT64_MAX));
    cr_assert(!replay_is_new(&window, UINT64_MAX - 1));
    cr_assert(!replay_is_new(&window, 5));
}

Test(opened, an_id_opens_once_and_one_that_did_not_is_remembered) {
    static struct opened_ids opened;
    opened = (struct opened_ids){.missing_count = 0};
    for (uint64_t id = 1; id <= 50000; id++) {
        if (id % 1000 == 0 && id > 5000) {
            continue; /* lost */
        }
        cr_assert(opened_is_new(&opened, id));
        opened_mark(&opened, id);
        cr_assert_not(opened_is_new(&opened, id));
    }
    for (uint64_t id = 6000; id <= 50000; id += 1000) {
        cr_expect(opened_is_new(&opened, id), "%llu", (unsigned long long)id);
        cr_expect_not(opened_is_new(&opened, id - 1));
        opened_mark(&opened, id);
        cr_expect_not(opened_is_new(&opened, id));
    }
    opened_mark(&opened, (uint64_t)1 << 40); /* a leap costs and keeps little */
    cr_expect_leq(opened.missing_count, OPENED_MISSING_MAX);
    cr_expect_not(opened_is_new(&opened, 49999));
}
