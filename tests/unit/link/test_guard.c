/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may knock: strangers are slowed by where they come from, and never shut a newcomer out.
 */
#include <criterion/criterion.h>

#include "base/time.h"
#include "link/guard.h"
#include "support/failing_alloc.h"

#define START ((weft_ns)1000000000000)

static struct guard *guard;
static uint64_t link_next;

static void setup(void) {
    struct guard_config config;
    guard_config_defaults(&config);
    cr_assert_eq(guard_new(&config, &guard), WEFT_OK);
}

static void teardown(void) {
    guard_free(guard);
}

TestSuite(link_guard, .init = setup, .fini = teardown);

static struct link_id evicted;

static enum guard_verdict knock4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, weft_ns now) {
    uint8_t address[4] = {a, b, c, d};
    struct link_id link = {.value = ++link_next};
    return guard_knock(guard, span_of(address, 4), link, now, &evicted);
}

static enum guard_verdict knock6(uint8_t site, uint8_t host, weft_ns now) {
    uint8_t address[16] = {0x20, 1, 0xd, 0xb8, 0, site, 9, [15] = host};
    struct link_id link = {.value = ++link_next};
    return guard_knock(guard, span_of(address, 16), link, now, &evicted);
}

static void settle_last(void) {
    guard_settled(guard, (struct link_id){.value = link_next});
}

Test(link_guard, has_the_documented_defaults) {
    struct guard_config config;
    guard_config_defaults(&config);
    cr_assert_eq(config.half_open_max, 256);
    cr_assert_eq(config.prefixes_max, 4096);
    cr_assert_eq(config.prefix_burst, 50);
    cr_assert_eq(config.prefix_rate, 10);
}

Test(link_guard, admits_50_at_once_and_10_a_second_of_one_prefix) {
    for (uint8_t i = 0; i < 50; i++) {
        cr_assert_eq(knock4(10, 0, 0, i, START), GUARD_ADMIT);
        settle_last();
    }
    cr_assert_eq(knock4(10, 0, 0, 99, START), GUARD_TOO_FAST);
    cr_assert_eq(knock4(10, 0, 1, 99, START), GUARD_ADMIT); /* another /24 */
    size_t admitted = 0;
    for (weft_ns now = START; now < START + 10 * NS_PER_S; now += NS_PER_MS) {
        admitted += knock4(10, 0, 0, 1, now) == GUARD_ADMIT ? 1 : 0;
        settle_last();
    }
    cr_assert_geq(admitted, 98);
    cr_assert_leq(admitted, 101);
}

Test(link_guard, counts_ipv6_by_48_bits) {
    for (uint8_t i = 0; i < 50; i++) {
        cr_assert_eq(knock6(1, i, START), GUARD_ADMIT);
        settle_last();
    }
    cr_assert_eq(knock6(1, 200, START), GUARD_TOO_FAST);
    cr_assert_eq(knock6(2, 200, START), GUARD_ADMIT);
}

Test(link_guard, sees_through_mapped_addresses) {
    uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff, [12] = 10, [13] = 0, [14] = 0, [15] = 7};
    for (uint8_t i = 0; i < 50; i++) {
        cr_assert_eq(knock4(10, 0, 0, i, START), GUARD_ADMIT);
        settle_last();
    }
    struct link_id link = {.value = 1000};
    cr_assert_eq(guard_knock(guard, span_of(mapped, 16), link, START, &evicted), GUARD_TOO_FAST);
    mapped[14] = 1; /* elsewhere: all of IPv4 does not share one /48 */
    cr_assert_eq(guard_knock(guard, span_of(mapped, 16), link, START, &evicted), GUARD_ADMIT);
}

Test(link_guard, refuses_more_half_open_ones_than_its_bound) {
    for (uint16_t i = 0; i < 256; i++) {
        cr_assert_eq(knock4(10, 1, (uint8_t)i, 1, START), GUARD_ADMIT);
    }
    cr_assert_eq(guard_half_open_count(guard), 256);
    cr_assert_eq(knock4(10, 2, 0, 1, START + NS_PER_S), GUARD_FULL);
    cr_assert_eq(evicted.value, 0);
}

Test(link_guard, lets_the_oldest_go_once_it_had_its_second) {
    uint64_t first = link_next + 1;
    for (uint16_t i = 0; i < 256; i++) {
        cr_assert_eq(knock4(10, 1, (uint8_t)i, 1, START + i), GUARD_ADMIT);
        cr_assert_eq(evicted.value, 0);
    }
    cr_assert_eq(knock4(10, 2, 0, 1, START + NS_PER_S + 1), GUARD_ADMIT);
    cr_assert_eq(evicted.value, first);
    cr_assert_eq(guard_half_open_count(guard), 256);
    cr_assert_eq(knock4(10, 2, 1, 1, START + NS_PER_S + 1), GUARD_FULL); /* the next is younger */
}

/* Sixteen networks of strangers filled all places within a tenth of a second, and a newcomer was
 * refused until the first of them was a second old. */
Test(link_guard, a_newcomer_takes_the_place_of_one_of_the_largest_crowd) {
    uint64_t before = link_next;
    for (uint16_t i = 0; i < 256; i++) {
        cr_assert_eq(knock4(10, 1, (uint8_t)(i % 16), (uint8_t)(i / 16), START + i), GUARD_ADMIT);
    }
    for (uint8_t i = 0; i < 15; i++) {
        cr_assert_eq(knock4(10, 2, 0, i, START + NS_PER_MS), GUARD_ADMIT);
        cr_assert_eq(evicted.value, before + 1 + i, "the oldest of a network that lost none");
    }
    cr_assert_eq(knock4(10, 2, 0, 15, START + NS_PER_MS), GUARD_FULL, "no network has more by two");
    cr_assert_eq(guard_half_open_count(guard), 256);
    cr_assert_eq(knock4(10, 3, 0, 1, START + NS_PER_MS), GUARD_ADMIT, "and others still come in");
    cr_assert_eq(knock4(10, 1, 15, 99, START + NS_PER_MS), GUARD_FULL, "but not the crowd itself");
}

Test(link_guard, settled_ones_make_room) {
    for (uint16_t i = 0; i < 256; i++) {
        cr_assert_eq(knock4(10, 1, (uint8_t)i, 1, START), GUARD_ADMIT);
    }
    guard_settled(guard, (struct link_id){.value = link_next - 100});
    guard_settled(guard, (struct link_id){.value = 999999}); /* unknown: ignored */
    cr_assert_eq(guard_half_open_count(guard), 255);
    cr_assert_eq(guard_half_open_most(guard), 256, "what was is remembered");
    cr_assert_eq(knock4(10, 2, 0, 1, START), GUARD_ADMIT);
    cr_assert_eq(evicted.value, 0);
}

/* C3: 10,000 connections a second from one prefix for a minute, none of which ends its handshake
 * before the 5 s are over; every second somebody from elsewhere knocks. */
Test(link_guard, a_flood_from_one_prefix_does_not_shut_newcomers_out) {
    struct {
        struct link_id link;
        weft_ns until;
    } open[1024];
    size_t count = 0;
    size_t admitted = 0;
    for (weft_ns now = START; now < START + 60 * NS_PER_S; now += NS_PER_MS / 10) {
        while (count > 0 && open[0].until <= now) {
            guard_settled(guard, open[0].link);
            memmove(open, open + 1, --count * sizeof open[0]);
        }
        if (knock4(203, 0, 113, (uint8_t)now, now) == GUARD_ADMIT) {
            admitted++;
            open[count].link.value = link_next;
            open[count++].until = now + 5 * NS_PER_S;
        }
        if ((now - START) % NS_PER_S == 0) {
            uint8_t second = (uint8_t)((now - START) / NS_PER_S);
            cr_assert_eq(knock4(198, 51, second, 1, now), GUARD_ADMIT, "second %u", second);
            settle_last();
        }
        cr_assert_leq(guard_half_open_count(guard), 101);
    }
    cr_assert_leq(admitted, 50 + 600);
}

/* The same from so many prefixes that the bound is reached: a newcomer waits a second at most. */
Test(link_guard, a_flood_from_everywhere_delays_newcomers_by_a_second) {
    weft_ns asked = 0;
    weft_ns longest = 0;
    for (weft_ns now = START; now < START + 20 * NS_PER_S; now += NS_PER_MS) {
        (void)knock4(100, (uint8_t)link_next, (uint8_t)(link_next >> 8), 1, now);
        if (asked == 0) {
            asked = now;
        }
        if (knock4(198, (uint8_t)link_next, (uint8_t)(link_next >> 8), 1, now) == GUARD_ADMIT) {
            longest = now - asked > longest ? now - asked : longest;
            asked = 0;
        }
        cr_assert_leq(guard_half_open_count(guard), 256);
    }
    cr_assert_leq(longest, NS_PER_S + NS_PER_MS);
}

Test(link_guard, remembers_so_many_prefixes_and_forgets_the_quietest) {
    for (uint8_t i = 0; i < 50; i++) {
        cr_assert_eq(knock4(10, 0, 0, i, START), GUARD_ADMIT);
        settle_last();
    }
    for (uint32_t i = 0; i < 4095; i++) { /* as many others as there is room for */
        cr_assert_eq(knock4(11, (uint8_t)(i >> 8), (uint8_t)i, 1, START), GUARD_ADMIT);
        settle_last();
    }
    cr_assert_eq(knock4(10, 0, 0, 1, START), GUARD_TOO_FAST); /* remembered, and now the newest */
    for (uint32_t i = 0; i < 4095; i++) {
        cr_assert_eq(knock4(12, (uint8_t)(i >> 8), (uint8_t)i, 1, START), GUARD_ADMIT);
        settle_last();
    }
    cr_assert_eq(knock4(10, 0, 0, 1, START), GUARD_TOO_FAST);
    for (uint32_t i = 0; i < 4096; i++) {
        cr_assert_eq(knock4(13, (uint8_t)(i >> 8), (uint8_t)i, 1, START), GUARD_ADMIT);
        settle_last();
    }
    cr_assert_eq(knock4(10, 0, 0, 1, START), GUARD_ADMIT); /* forgotten */
}

/* ---- replays ---- */

static void ephemeral_of(uint32_t number, uint8_t out[32]) {
    memset(out, 0, 32);
    memcpy(out, &number, sizeof number);
}

Test(link_guard, knows_the_last_4096_first_messages) {
    uint8_t ephemeral[32];
    for (uint32_t i = 0; i < 4096; i++) {
        ephemeral_of(i, ephemeral);
        cr_assert(!guard_is_replay(guard, ephemeral));
    }
    for (uint32_t i = 0; i < 4096; i++) {
        ephemeral_of(i, ephemeral);
        cr_assert(guard_is_replay(guard, ephemeral), "message %u", i);
    }
    ephemeral_of(5000, ephemeral);
    cr_assert(!guard_is_replay(guard, ephemeral));
    cr_assert(guard_is_replay(guard, ephemeral));
    ephemeral_of(0, ephemeral);
    cr_assert(!guard_is_replay(guard, ephemeral)); /* the oldest made room */
}

Test(link_guard, remembers_first_messages_without_allocating) {
    uint8_t ephemeral[32];
    ephemeral_of(7, ephemeral);
    failing_alloc_arm(1);
    cr_assert(!guard_is_replay(guard, ephemeral));
    cr_assert(guard_is_replay(guard, ephemeral));
    cr_assert(!failing_alloc_disarm(), "memory grows with each link");
}

/* ---- faults ---- */

Test(link_guard, logs_faults_at_the_first_and_then_at_doublings_a_minute_apart) {
    uint8_t address[4] = {192, 0, 2, 1};
    uint8_t other[4] = {192, 0, 2, 2};
    uint64_t count = 0;
    cr_assert(guard_fault(guard, span_of(address, 4), START, &count));
    cr_assert_eq(count, 1);
    cr_assert(!guard_fault(guard, span_of(address, 4), START + NS_PER_S, &count));
    cr_assert_eq(count, 2);
    for (int i = 0; i < 7; i++) {
        cr_assert(!guard_fault(guard, span_of(address, 4), START + 59 * NS_PER_S, &count));
    }
    cr_assert(guard_fault(guard, span_of(address, 4), START + 60 * NS_PER_S, &count));
    cr_assert_eq(count, 10);
    for (int i = 0; i < 9; i++) { /* a minute is over, but it has not doubled */
        cr_assert(!guard_fault(guard, span_of(address, 4), START + 200 * NS_PER_S, &count));
    }
    cr_assert(guard_fault(guard, span_of(address, 4), START + 200 * NS_PER_S, &count));
    cr_assert_eq(count, 20);
    cr_assert(guard_fault(guard, span_of(other, 4), START, &count)); /* each its own */
    cr_assert_eq(count, 1);
}
