/* SPDX-License-Identifier: Apache-2.0
 *
 * The budget that neighbours share.
 */
#include <criterion/criterion.h>

#include "stream/budget.h"

#define RATE 500
#define BURST 1000

static struct budget budget;
static weft_ns now;

static void setup(void) {
    budget = (struct budget){.halved_at = 0};
    now = 1000 * NS_PER_S;
}

static struct weft_peer_id neighbour_of(unsigned index) {
    return (struct weft_peer_id){.bytes = {1, (uint8_t)index}};
}

static bool take(unsigned index) {
    struct weft_peer_id neighbour = neighbour_of(index);
    return budget_take(&budget, &neighbour, RATE, BURST, now);
}

/* `greedy` neighbours ask without end for so many ms; returns what they got of it together. */
static unsigned press(unsigned greedy, unsigned span_ms) {
    unsigned got = 0;
    for (unsigned ms = 0; ms < span_ms; ms++) {
        for (unsigned i = 0; i < greedy; i++) {
            got += take(i) ? 1 : 0;
        }
        now += NS_PER_MS;
    }
    return got;
}

Test(stream_budget, one_neighbour_alone_has_nearly_all, .init = setup) {
    unsigned got = press(1, 20000);
    cr_assert_geq(got, 20 * RATE * 8 / 10, "%u", got);
    cr_assert_leq(got, BURST + 20 * RATE, "%u", got);
}

Test(stream_budget, who_takes_little_finds_something_however_many_take_all, .init = setup) {
    static const unsigned crowds[] = {1, 2, 5, 10, 20, 40, BUDGET_ACCOUNTS - 1};
    for (unsigned c = 0; c < sizeof crowds / sizeof *crowds; c++) {
        setup();
        (void)press(crowds[c], 5000);
        for (unsigned i = 0; i < 20; i++) {
            cr_assert(take(200), "beside %u, the %uth", crowds[c], i);
            (void)press(crowds[c], 1037); /* not only when all was just halved */
        }
    }
}

Test(stream_budget, who_comes_over_many_links_in_turn_gains_nothing, .init = setup) {
    unsigned got = press(200, 20000);
    cr_assert_leq(got, BURST + 20 * RATE, "%u", got);
    uint64_t left = bucket_left(&budget.bucket, RATE, BURST, now);
    cr_assert_geq(left, RATE / BUDGET_ACCOUNTS, "some is always left: %llu",
                  (unsigned long long)left);
}
