/* SPDX-License-Identifier: Apache-2.0
 *
 * Whom the connection maker lets in, and which links it goes without.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "dialer_fixture.h"

Test(dialer_trim, admits_beyond_the_bound_newcomers_only_and_few) {
    struct fixture f;
    fixture_init(&f, true);
    fixture_ring(&f, 20);
    for (uint64_t i = 1; i <= 64; i++) {
        struct weft_peer_id id = graph_id(1000 + i);
        cr_assert(dialer_admit(f.dialer, f.router, &id));
        fixture_link_up(&f, 1000 + i, 0);
    }
    struct weft_peer_id known = graph_id(3);
    struct weft_peer_id newcomer = graph_id(500);
    cr_expect_not(dialer_admit(f.dialer, f.router, &known));
    for (uint64_t i = 0; i < 8; i++) {
        cr_expect(dialer_admit(f.dialer, f.router, &newcomer));
        fixture_link_up(&f, 600 + i, 0);
    }
    cr_expect_not(dialer_admit(f.dialer, f.router, &newcomer));
    struct weft_peer_id linked = graph_id(1001);
    cr_expect(dialer_admit(f.dialer, f.router, &linked), "a duplicate is the core's to resolve");
    fixture_fini(&f);
}

Test(dialer_trim, admits_above_what_is_borne_only_who_lacks_links) {
    struct fixture f;
    fixture_init(&f, true);
    fixture_ring(&f, 20);
    struct weft_peer_id well_off = graph_id(3);
    struct weft_peer_id stranger = graph_id(500);
    for (uint64_t i = 1; i <= 12; i++) {
        cr_expect(dialer_admit(f.dialer, f.router, &well_off), "at %u", (unsigned)i);
        fixture_link_up(&f, 1000 + i, 0);
    }
    cr_expect_not(dialer_admit(f.dialer, f.router, &well_off), "nine others link to it");
    cr_expect(dialer_admit(f.dialer, f.router, &stranger));
    fixture_fini(&f);
}

Test(dialer_trim, without_discovery_admits_up_to_the_bound) {
    struct fixture f;
    fixture_init(&f, false);
    fixture_ring(&f, 20);
    struct weft_peer_id well_off = graph_id(3);
    for (uint64_t i = 1; i <= 64; i++) {
        cr_expect(dialer_admit(f.dialer, f.router, &well_off));
        fixture_link_up(&f, 1000 + i, 0);
    }
    cr_expect_not(dialer_admit(f.dialer, f.router, &well_off));
    fixture_fini(&f);
}

static bool trim(struct fixture *f, struct link_id *out) {
    return dialer_next_trim(f->dialer, f->router, f->now, out);
}

Test(dialer_trim, makes_room_for_a_newcomer_at_the_cost_of_a_link_that_can_be_spared) {
    struct fixture f;
    struct link_id link;
    fixture_init(&f, true);
    dialer_free(f.dialer);
    f.config.links_max = 10;
    cr_assert_eq(dialer_new(&f.config, &f.dialer), WEFT_OK);
    fixture_ring(&f, 10);
    fixture_links_up(&f, 10);
    cr_expect_not(trim(&f, &link));
    struct weft_peer_id newcomer = graph_id(500);
    cr_assert(dialer_admit(f.dialer, f.router, &newcomer));
    struct link_id new_link = fixture_link_up(&f, 500, 0);
    cr_assert(trim(&f, &link));
    cr_expect_neq(link.value, new_link.value, "it depends on us");
    cr_expect_gt(link.value, 2, "the oldest are kept");
    dialer_link_down(f.dialer, link, true, f.now);
    f.now += NS_PER_S;
    cr_expect_not(trim(&f, &link), "one for one");
    fixture_fini(&f);
}

/* Peers 1 .. 14 hang together, all have more than their degree, and their ids decide who trims. */
Test(dialer_trim, trims_from_above_the_slack_down_to_the_degree) {
    struct fixture f;
    struct link_id link;
    fixture_init(&f, true);
    fixture_ring(&f, 14);
    fixture_links_up(&f, 12);
    f.now += 6 * NS_PER_S;
    cr_expect_not(trim(&f, &link), "12 are borne");
    fixture_link_up(&f, 13, 0);
    f.now += 6 * NS_PER_S;
    int count = 0;
    for (; count < 20; count++) {
        if (!trim(&f, &link)) {
            break;
        }
        cr_expect_gt(link.value, 2, "the oldest are kept");
        dialer_link_down(f.dialer, link, true, f.now);
        struct link_id other;
        cr_expect_not(trim(&f, &other), "not two at one moment");
        struct dial dial;
        while (fixture_next(&f, &dial)) {
        }
        cr_assert_gt(dialer_deadline(f.dialer), f.now, "it would spin");
        f.now += 100 * NS_PER_MS;
    }
    cr_expect_eq(count, 5);
    fixture_fini(&f);
}

Test(dialer_trim, trims_no_young_link_no_seed_and_none_that_the_mesh_needs) {
    struct fixture f;
    struct link_id link;
    fixture_init(&f, true);
    fixture_ring(&f, 14);
    fixture_links_up(&f, 14);
    f.now += 4 * NS_PER_S;
    cr_expect_not(trim(&f, &link), "too young");
    char endpoint[16];
    for (uint64_t i = 1; i <= 14; i++) {
        struct weft_peer_id peer = graph_id(i);
        snprintf(endpoint, sizeof endpoint, "s%u:1", (unsigned)i);
        cr_assert_eq(dialer_add_seed(f.dialer, endpoint, &peer), WEFT_OK);
    }
    f.now += 10 * NS_PER_S;
    cr_expect_not(trim(&f, &link), "all are seeds");
    fixture_fini(&f);

    fixture_init(&f, true);
    for (uint64_t i = 1; i <= 14; i++) { /* the router knows of none of them */
        fixture_link_up(&f, i, 0);
    }
    f.now += 10 * NS_PER_S;
    cr_expect_not(trim(&f, &link), "nothing proves that they can do without us");
    fixture_fini(&f);
}

/* Peers 1 .. 60, each with links to us and to `step_max` on each side of a ring. */
static void crowd(struct fixture *f, uint32_t step_max) {
    struct graph graph = {.count = 61};
    for (uint32_t i = 0; i <= 60; i++) {
        graph.ids[i] = graph_id(i);
    }
    for (uint32_t i = 1; i <= 60; i++) {
        graph_link(&graph, 0, i, 10);
        for (uint32_t step = 1; step <= step_max; step++) {
            graph_link(&graph, i, 1 + (i - 1 + step) % 60, 10);
        }
        fixture_link_up(f, i, 0);
    }
    for (uint32_t i = 0; i <= 60; i++) {
        graph_tell(&graph, f->router, i, f->now);
    }
    graph_settle(f->router);
}

static size_t trim_all(struct fixture *f) {
    struct link_id link;
    size_t count = 0;
    while (trim(f, &link)) {
        dialer_link_down(f->dialer, link, true, f->now);
        count++;
    }
    return count;
}

Test(dialer_trim, a_crowd_is_let_go_many_at_a_time_and_young) {
    struct fixture f;
    fixture_init(&f, true);
    crowd(&f, 2);
    f.now += 900 * NS_PER_MS;
    cr_expect_eq(trim_all(&f), 0, "all are too young");
    f.now += NS_PER_S;
    cr_expect_eq(trim_all(&f), 32);
    f.now += 100 * NS_PER_MS;
    cr_expect_eq(trim_all(&f), 4, "down to 24, which are no crowd");
    fixture_fini(&f);
}

Test(dialer_trim, of_a_crowd_those_with_few_links_are_kept) {
    struct fixture f;
    fixture_init(&f, true);
    crowd(&f, 1);
    f.now += 10 * NS_PER_S;
    cr_expect_eq(trim_all(&f), 0, "three links each, ours among them");
    fixture_fini(&f);
}

Test(dialer_trim, keeps_the_nearest) {
    struct fixture f;
    struct link_id link;
    fixture_init(&f, true);
    fixture_ring(&f, 20);
    for (uint64_t i = 1; i <= 20; i++) {
        struct link_id up = fixture_link_up(&f, i, 0);
        dialer_cost(f.dialer, up, i == 11 || i == 17 ? 100 : 50000);
    }
    f.now += 6 * NS_PER_S;
    while (trim(&f, &link)) {
        cr_expect_neq(link.value, 11);
        cr_expect_neq(link.value, 17);
        dialer_link_down(f.dialer, link, true, f.now);
        f.now += 100 * NS_PER_MS;
    }
    fixture_fini(&f);
}

#define HONEST 10 /* the last two of them configured; all older than the sybils */
#define SYBILS 40

static void mesh_with_sybils(struct fixture *f, bool is_well_linked) {
    struct graph graph = {.count = 1 + HONEST + SYBILS};
    for (uint32_t i = 0; i < graph.count; i++) {
        graph.ids[i] = graph_id(i);
    }
    for (uint32_t i = 1; i < graph.count; i++) {
        graph_link(&graph, 0, i, 10);
        for (uint32_t k = 1; k < i; k++) {
            if (i <= HONEST || (k > HONEST && is_well_linked)) {
                graph_link(&graph, i, k, 10);
            }
        }
    }
    for (uint32_t i = 0; i < graph.count; i++) {
        graph_tell(&graph, f->router, i, f->now);
    }
    graph_settle(f->router);
}

/* What is left of the honest links after a minute of 40 sybils that dial; those claim links to all
 * of each other, or to nobody but us, and seem nearer than any honest peer. */
static size_t honest_left(bool is_well_linked, size_t *configured) {
    struct fixture f;
    bool is_up[1 + HONEST + SYBILS] = {false};
    fixture_init(&f, true);
    for (uint64_t i = HONEST - 1; i <= HONEST; i++) {
        struct weft_peer_id peer = graph_id(i);
        cr_assert_eq(dialer_add_seed(f.dialer, i == HONEST ? "s1:1" : "s2:1", &peer), WEFT_OK);
    }
    for (uint64_t i = 1; i <= HONEST; i++) {
        dialer_cost(f.dialer, fixture_link_up(&f, i, 0), 10000);
        is_up[i] = true;
    }
    f.now += 60 * NS_PER_S;
    mesh_with_sybils(&f, is_well_linked);
    for (uint64_t i = HONEST + 1; i <= HONEST + SYBILS; i++) {
        struct weft_peer_id sybil = graph_id(i);
        (void)dialer_admit(f.dialer, f.router, &sybil);
        dialer_cost(f.dialer, fixture_link_up(&f, i, 0), 100);
        is_up[i] = true;
    }
    for (unsigned turn = 0; turn < 600; turn++) {
        struct link_id link;
        f.now += 100 * NS_PER_MS;
        if (trim(&f, &link)) {
            dialer_link_down(f.dialer, link, true, f.now);
            is_up[link.value] = false; /* links are numbered as their peers are */
        }
    }
    size_t left = 0;
    for (size_t i = 1; i <= HONEST; i++) {
        left += is_up[i] ? 1 : 0;
    }
    *configured = (size_t)is_up[HONEST - 1] + (size_t)is_up[HONEST];
    fixture_fini(&f);
    return left;
}

/* T19. */
Test(dialer_trim, four_sybils_to_each_honest_peer_leave_the_configured_and_the_old_ones) {
    for (unsigned way = 0; way < 2; way++) {
        size_t configured = 0;
        size_t left = honest_left(way == 0, &configured);
        cr_expect_eq(configured, 2, "way %u", way);
        cr_expect_geq(left, 4, "way %u: %zu left, two of them old ones", way, left);
    }
}
