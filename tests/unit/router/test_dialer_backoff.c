/* SPDX-License-Identifier: Apache-2.0
 *
 * How long the connection maker leaves alone what failed.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "dialer_fixture.h"

/* Fails the dial that is under way fourteen times: each wait is twice the one before, until it is
 * `longest`, give or take a quarter. Before that two short ones if nobody ever answered there. */
static void expect_back_off(struct fixture *f, bool is_unknown, weft_ns longest) {
    struct dial dial;
    cr_assert(fixture_next(f, &dial));
    for (int i = is_unknown ? -2 : 0; i < 12; i++) {
        const weft_ns early[] = {10 * NS_PER_MS, 40 * NS_PER_MS};
        weft_ns expected = i < 0 ? early[i + 2] : time_min(longest, (250 * NS_PER_MS) << i);
        weft_ns failed_at = f->now;
        dialer_failed(f->dialer, f->router, dial.token, "refused", f->now);
        struct dialer_target target;
        cr_assert(dialer_target_at(f->dialer, 0, &target));
        cr_assert(fixture_wait_dial(f, &dial));
        cr_assert_eq(f->now, target.retry_at, "what status says of attempt %d", i);
        weft_ns gap = f->now - failed_at;
        cr_assert_geq(gap, expected - expected / 4, "attempt %d", i);
        cr_assert_leq(gap, expected + expected / 4, "attempt %d", i);
    }
}

Test(dialer_backoff, backs_off_from_250_ms_to_30_s_from_a_seed_that_others_reach) {
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct fixture f;
        struct weft_peer_id peer = graph_id(3);
        fixture_init(&f, false);
        fixture_ring(&f, 10);
        cr_assert_eq(dialer_add_seed(f.dialer, "a:1", &peer), WEFT_OK);
        expect_back_off(&f, false, 30 * NS_PER_S);
        fixture_fini(&f);
    }
}

Test(dialer_backoff, backs_off_to_3_s_from_a_seed_that_no_path_leads_to) {
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct fixture f;
        struct weft_peer_id peer = graph_id(99);
        fixture_init(&f, false);
        fixture_ring(&f, 10);
        cr_assert_eq(dialer_add_seed(f.dialer, "a:1", seed % 2 == 0 ? &peer : NULL), WEFT_OK);
        expect_back_off(&f, seed % 2 == 1, 3 * NS_PER_S);
        fixture_fini(&f);
    }
}

static int peer_compare(const void *a, const void *b) {
    const struct wire_peer_link *left = a;
    const struct wire_peer_link *right = b;
    return weft_peer_id_compare(&left->peer, &right->peer);
}

/* A mesh of two rows: we are linked to 30, and each of those to 19 more. */
static void reach_600(struct fixture *f) {
    struct wire_peer_link ours[30];
    for (uint32_t hub = 0; hub < 30; hub++) {
        struct wire_peer_link links[20];
        struct weft_peer_id hub_id = graph_id(1000 + hub);
        links[0] = (struct wire_peer_link){.peer = graph_id(0), .cost_us = 10};
        for (uint32_t i = 1; i < 20; i++) {
            struct weft_peer_id leaf = graph_id(2000 + 20 * hub + i);
            struct wire_peer_link back = {.peer = hub_id, .cost_us = 10};
            links[i] = (struct wire_peer_link){.peer = leaf, .cost_us = 10};
            cr_assert_eq(graph_say(f->router, &leaf, &back, 1, 0, f->now), WEFT_OK);
        }
        qsort(links, 20, sizeof links[0], peer_compare);
        cr_assert_eq(graph_say(f->router, &hub_id, links, 20, 0, f->now), WEFT_OK);
        ours[hub] = (struct wire_peer_link){.peer = hub_id, .cost_us = 10};
    }
    struct weft_peer_id self = graph_id(0);
    qsort(ours, 30, sizeof ours[0], peer_compare);
    cr_assert_eq(graph_say(f->router, &self, ours, 30, 0, f->now), WEFT_OK);
    graph_settle(f->router);
    cr_assert_eq(router_reachable_count(f->router), 600);
}

/* How long a seed is left alone that has failed often, of as many lost ones. */
static weft_ns wait_of_many(bool may_discover, bool is_large, int lost) {
    struct fixture f;
    struct dial dial;
    fixture_init(&f, may_discover);
    if (is_large) {
        reach_600(&f);
    }
    for (int i = 0; i < lost; i++) {
        char endpoint[16];
        snprintf(endpoint, sizeof endpoint, "s%d:1", i);
        fixture_add_seed(&f, endpoint);
    }
    struct dialer_target target = {0};
    while (target.failure_count < 10) {
        cr_assert(fixture_wait_dial(&f, &dial));
        dialer_failed(f.dialer, f.router, dial.token, "refused", f.now);
        cr_assert(dialer_target_at(f.dialer, 0, &target));
    }
    weft_ns wait = target.retry_at - f.now;
    fixture_fini(&f);
    return wait;
}

static void expect_about(weft_ns wait, weft_ns expected) {
    cr_expect_geq(wait, expected - expected / 4);
    cr_expect_leq(wait, expected + expected / 4);
}

Test(dialer_backoff, dials_lost_seeds_less_often_the_more_of_them_there_are) {
    expect_about(wait_of_many(false, false, 3), 3 * NS_PER_S);
    expect_about(wait_of_many(false, false, 12), 12 * NS_PER_S);
    expect_about(wait_of_many(false, false, 40), 30 * NS_PER_S);
}

Test(dialer_backoff, leaves_a_lost_seed_to_the_others_of_a_large_mesh_with_discovery) {
    expect_about(wait_of_many(true, true, 1), 6 * NS_PER_S);
    expect_about(wait_of_many(false, true, 1), 3 * NS_PER_S);
}
