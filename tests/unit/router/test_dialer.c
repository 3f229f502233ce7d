/* SPDX-License-Identifier: Apache-2.0
 *
 * The connection maker by itself: whom it dials, and how often.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "dialer_fixture.h"

Test(dialer, has_nothing_to_do_and_no_deadline_at_first) {
    struct fixture f;
    struct dial dial;
    fixture_init(&f, true);
    cr_expect_not(fixture_next(&f, &dial));
    cr_expect_eq(dialer_deadline(f.dialer), WEFT_NEVER);
    fixture_fini(&f);
}

Test(dialer, dials_a_seed_at_once_and_only_once_at_a_time) {
    struct fixture f;
    struct dial dial;
    fixture_init(&f, false);
    fixture_add_seed(&f, "seed.example.org:9338");
    cr_assert(fixture_next(&f, &dial));
    cr_expect_str_eq(dial.endpoint, "seed.example.org:9338");
    cr_expect_not(dial.is_peer_known);
    cr_expect_neq(dial.token, 0);
    cr_expect_not(fixture_next(&f, &dial));
    fixture_fini(&f);
}

Test(dialer, works_off_a_list_of_seeds_one_by_one) {
    struct fixture f;
    struct dial first;
    struct dial dial;
    fixture_init(&f, true);
    fixture_add_seed(&f, "10.0.1.1:1");
    fixture_add_seed(&f, "10.0.2.1:1");
    fixture_add_seed(&f, "10.0.3.1:1");
    cr_assert(fixture_next(&f, &first));
    weft_ns dialled_at = f.now;
    cr_assert(fixture_wait_dial(&f, &dial), "another, should the first be dead");
    cr_expect_eq(f.now - dialled_at, 300 * NS_PER_MS);
    dialer_failed(f.dialer, f.router, dial.token, "refused", f.now);
    cr_expect(fixture_next(&f, &dial), "the last one at once");
    fixture_fini(&f);
}

Test(dialer, is_in_no_hurry_for_further_seeds_of_a_large_mesh) {
    struct fixture f;
    struct dial dial;
    fixture_init(&f, true);
    fixture_ring(&f, 40);
    fixture_add_seed(&f, "10.0.1.1:1");
    fixture_add_seed(&f, "10.0.2.1:1");
    fixture_add_seed(&f, "10.0.3.1:1");
    cr_assert(fixture_next(&f, &dial));
    weft_ns dialled_at = f.now;
    (void)fixture_link_up(&f, 1, dial.token);
    cr_assert(fixture_wait_dial(&f, &dial));
    cr_expect_eq(f.now - dialled_at, 2 * NS_PER_S);
    (void)fixture_link_up(&f, 2, dial.token);
    (void)fixture_link_up(&f, 3, 0);
    (void)fixture_link_up(&f, 4, 0);
    dialled_at = f.now;
    cr_assert(fixture_wait_dial(&f, &dial), "half the degree is there");
    cr_expect_eq(f.now - dialled_at, 10 * NS_PER_S);
    fixture_fini(&f);
}

Test(dialer, a_seed_that_all_have_lost_waits_for_no_other_one) {
    struct fixture f;
    struct dial dial;
    fixture_init(&f, true);
    fixture_ring(&f, 40);
    struct weft_peer_id lost = graph_id(900);
    cr_assert_eq(dialer_add_seed(f.dialer, "10.0.1.1:1", &lost), WEFT_OK);
    cr_assert(fixture_next(&f, &dial));
    dialer_failed(f.dialer, f.router, dial.token, "refused", f.now);
    fixture_add_seed(&f, "10.0.2.1:1");
    fixture_add_seed(&f, "10.0.3.1:1");
    cr_assert(fixture_next(&f, &dial));
    cr_assert_not(dial.is_peer_known);
    (void)fixture_link_up(&f, 5, dial.token);
    weft_ns begun = f.now;
    cr_assert(fixture_wait_dial(&f, &dial)); /* the other unknown one has to wait for 2 s */
    cr_expect(dial.is_peer_known);
    cr_expect_leq(f.now - begun, 400 * NS_PER_MS);
    fixture_fini(&f);
}

/* Whether the dial that asked who a seed is was only that, with so many links. */
static bool has_only_asked(uint64_t links, uint64_t answers) {
    struct fixture f;
    struct dial dial;
    fixture_init(&f, true);
    fixture_ring(&f, 40);
    for (uint64_t peer = 1; peer <= links; peer++) {
        (void)fixture_link_up(&f, peer, 0);
    }
    fixture_add_seed(&f, "10.0.1.1:1");
    cr_assert(fixture_next(&f, &dial));
    struct weft_peer_id peer = graph_id(answers);
    bool has = dialer_only_asked(f.dialer, f.router, dial.token, &peer);
    fixture_fini(&f);
    return has;
}

Test(dialer, needs_no_link_to_a_seed_that_is_reached_when_there_are_enough) {
    cr_expect(has_only_asked(8, 20));
    cr_expect_not(has_only_asked(7, 20));
    cr_expect_not(has_only_asked(8, 200), "it may be the way into another mesh");
}

Test(dialer, newcomers_begin_with_different_seeds) {
    size_t firsts = 0;
    for (uint64_t i = 0; i < 40; i++) {
        struct fixture f;
        struct dial dial;
        fixture_init(&f, true);
        f.random_state = 100 * i;
        dialer_free(f.dialer);
        cr_assert_eq(dialer_new(&f.config, &f.dialer), WEFT_OK);
        fixture_add_seed(&f, "10.0.1.1:1");
        fixture_add_seed(&f, "10.0.2.1:1");
        cr_assert(fixture_next(&f, &dial));
        firsts += strcmp(dial.endpoint, "10.0.1.1:1") == 0 ? 1 : 0;
        fixture_fini(&f);
    }
    cr_expect(firsts > 8 && firsts < 32, "%zu", firsts);
}

Test(dialer, refuses_seeds_that_are_doubled_or_no_endpoints) {
    struct fixture f;
    fixture_init(&f, false);
    struct weft_peer_id self = graph_id(0);
    fixture_add_seed(&f, "a:1");
    cr_expect_eq(dialer_add_seed(f.dialer, "a:1", NULL), WEFT_ERR_EXISTS);
    cr_expect_eq(dialer_add_seed(f.dialer, "", NULL), WEFT_ERR_INVALID);
    cr_expect_eq(dialer_add_seed(f.dialer, "host", NULL), WEFT_ERR_INVALID);
    cr_expect_eq(dialer_add_seed(f.dialer, ":99", NULL), WEFT_ERR_INVALID);
    cr_expect_eq(dialer_add_seed(f.dialer, "host:", NULL), WEFT_ERR_INVALID);
    cr_expect_eq(dialer_add_seed(f.dialer, "b:1", &self), WEFT_ERR_INVALID);
    char endpoint[WEFT_ENDPOINT_MAX + 2];
    memset(endpoint, 'h', sizeof endpoint);
    memcpy(endpoint + sizeof endpoint - 3, ":1", 3);
    cr_expect_eq(dialer_add_seed(f.dialer, endpoint, NULL), WEFT_ERR_INVALID);
    for (int i = 1; i < 256; i++) {
        snprintf(endpoint, sizeof endpoint, "s%d:1", i);
        cr_assert_eq(dialer_add_seed(f.dialer, endpoint, NULL), WEFT_OK);
    }
    cr_expect_eq(dialer_add_seed(f.dialer, "more:1", NULL), WEFT_ERR_FULL);
    fixture_fini(&f);
}

Test(dialer, forgets_the_back_off_when_a_link_has_lived_10_s) {
    struct fixture f;
    struct dial dial;
    fixture_init(&f, false);
    fixture_add_seed(&f, "a:1");
    for (int i = 0; i < 6; i++) {
        cr_assert(fixture_wait_dial(&f, &dial));
        dialer_failed(f.dialer, f.router, dial.token, "refused", f.now);
    }
    cr_assert(fixture_wait_dial(&f, &dial));
    struct link_id link = fixture_link_up(&f, 1, dial.token);
    f.now += 10 * NS_PER_S;
    weft_ns down_at = f.now;
    dialer_link_down(f.dialer, link, false, f.now);
    cr_assert(fixture_wait_dial(&f, &dial));
    cr_expect_leq(f.now - down_at, 313 * NS_PER_MS);
    link = fixture_link_up(&f, 1, dial.token); /* and a short life counts as a failure */
    dialer_link_down(f.dialer, link, false, f.now);
    struct dialer_target target;
    cr_assert(dialer_target_at(f.dialer, 0, &target));
    cr_expect_eq(target.failure_count, 1);
    fixture_fini(&f);
}

Test(dialer, is_in_no_hurry_after_a_deliberate_close) {
    struct fixture f;
    struct dial dial;
    fixture_init(&f, true);
    fixture_learn_one(&f, 1, "10.0.0.1:9338");
    cr_assert(fixture_next(&f, &dial));
    struct link_id link = fixture_link_up(&f, 1, dial.token);
    f.now += 20 * NS_PER_S;
    weft_ns down_at = f.now;
    dialer_link_down(f.dialer, link, true, f.now);
    cr_assert(fixture_wait_dial(&f, &dial));
    cr_expect_geq(f.now - down_at, 22 * NS_PER_S);
    fixture_fini(&f);
}

Test(dialer, keeps_at_most_4_dials_under_way_and_20_a_second) {
    struct fixture f;
    struct dial dial;
    fixture_init(&f, false);
    char endpoint[16];
    for (int i = 0; i < 200; i++) {
        snprintf(endpoint, sizeof endpoint, "s%d:1", i);
        fixture_add_seed(&f, endpoint);
    }
    for (int i = 0; i < 4; i++) {
        cr_assert(fixture_next(&f, &dial));
    }
    cr_expect_not(fixture_next(&f, &dial));
    weft_ns times[100];
    for (size_t i = 0; i < 100; i++) { /* tokens count up from the first of the four */
        dialer_failed(f.dialer, f.router, dial.token, "refused", f.now);
        cr_assert(fixture_wait_dial(&f, &dial));
        times[i] = f.now;
        cr_assert(i < 20 || f.now - times[i - 20] >= NS_PER_S, "dial %zu", i);
    }
    cr_expect_leq(times[99] - times[0], 9 * NS_PER_S, "nor much slower");
    fixture_fini(&f);
}

Test(dialer, without_discovery_dials_no_learned_address) {
    struct fixture f;
    struct dial dial;
    fixture_init(&f, false);
    fixture_learn_one(&f, 1, "10.0.0.1:9338");
    cr_expect_not(fixture_wait_dial(&f, &dial));
    fixture_fini(&f);
}

Test(dialer, dials_half_its_degree_at_once_and_the_rest_unhurried) {
    struct fixture f;
    struct dial dial;
    fixture_init(&f, true);
    for (uint64_t i = 1; i <= 30; i++) {
        fixture_learn_apart(&f, i);
    }
    for (uint64_t i = 1; i <= 8; i++) {
        weft_ns asked = f.now;
        cr_assert(fixture_wait_dial(&f, &dial));
        cr_expect(i > 4 || f.now == asked, "the first four without waiting");
        cr_expect_leq(f.now - asked, 2500 * NS_PER_MS, "two seconds and their jitter");
        cr_expect(dial.is_peer_known);
        uint64_t peer = 1;
        struct weft_peer_id id = graph_id(peer);
        while (!weft_peer_id_equal(&id, &dial.peer)) {
            id = graph_id(++peer);
            cr_assert_leq(peer, 30);
        }
        fixture_link_up(&f, peer, dial.token);
    }
    cr_expect_not(fixture_next(&f, &dial));
    fixture_fini(&f);
}

/* Takes a dial and has it answered; when. */
static weft_ns dial_answered(struct fixture *f) {
    struct dial dial;
    cr_assert(fixture_wait_dial(f, &dial));
    cr_assert(dial.is_peer_known);
    struct link_id link = {.value = ++f->link_last};
    dialer_link_up(f->dialer, link, &dial.peer, dial.token, f->now);
    return f->now;
}

/* Eight links to peers that nobody can dial, which have lasted, and candidates enough. */
static void settled_init(struct fixture *f, struct link_id links[8]) {
    fixture_init(f, true);
    for (uint64_t i = 0; i < 8; i++) {
        links[i] = fixture_link_up(f, 101 + i, 0);
    }
    f->now += 60 * NS_PER_S;
    for (uint64_t i = 1; i <= 30; i++) {
        fixture_learn_apart(f, i);
    }
}

Test(dialer, who_lost_most_links_at_once_has_new_ones_within_two_seconds) {
    struct fixture f;
    struct link_id links[8];
    struct dial dial;
    settled_init(&f, links);
    for (size_t i = 0; i < 6; i++) {
        f.now += 50 * NS_PER_MS;
        dialer_link_down(f.dialer, links[i], false, f.now);
    }
    weft_ns fell = f.now;
    cr_expect(dialer_is_hurried(f.dialer, f.now));
    cr_expect_eq(dialer_hurried_until(f.dialer), fell + 3 * NS_PER_S);
    for (size_t i = 0; i < 6; i++) {
        cr_expect_leq(dial_answered(&f) - fell, 2 * NS_PER_S, "dial %zu", i);
    }
    cr_expect_not(fixture_next(&f, &dial), "and no more than it wants");
    f.now += 3 * NS_PER_S;
    cr_expect_not(dialer_is_hurried(f.dialer, f.now));
    fixture_fini(&f);
}

Test(dialer, who_loses_links_one_by_one_or_on_purpose_is_in_no_hurry) {
    struct fixture f;
    struct link_id links[8];
    settled_init(&f, links);
    for (size_t i = 0; i < 6; i++) {
        f.now += 1100 * NS_PER_MS;
        dialer_link_down(f.dialer, links[i], false, f.now);
        cr_expect_not(dialer_is_hurried(f.dialer, f.now));
    }
    fixture_fini(&f);
    settled_init(&f, links);
    for (size_t i = 0; i < 6; i++) {
        dialer_link_down(f.dialer, links[i], true, f.now);
        cr_expect_not(dialer_is_hurried(f.dialer, f.now));
    }
    fixture_fini(&f);
}

Test(dialer, a_dial_that_failed_does_not_use_up_a_turn) {
    struct fixture f;
    struct link_id links[8];
    struct dial dial;
    settled_init(&f, links);
    dialer_link_down(f.dialer, links[0], false, f.now);
    cr_assert(fixture_wait_dial(&f, &dial));
    weft_ns dialled = f.now;
    dialer_failed(f.dialer, f.router, dial.token, "refused", f.now);
    cr_assert(fixture_wait_dial(&f, &dial));
    cr_expect_leq(f.now - dialled, 100 * NS_PER_MS);
    fixture_fini(&f);
}

Test(dialer, tries_each_address_of_a_peer_before_it_backs_off) {
    struct fixture f;
    struct dial dial;
    fixture_init(&f, true);
    const char *const addresses[] = {"10.0.0.1:1", "not-a-literal:1", "203.0.113.5:2",
                                     "[fd00::1]:3"};
    fixture_learn(&f, 1, addresses, 4);
    static const char *const expected[] = {"10.0.0.1:1", "203.0.113.5:2", "[fd00::1]:3"};
    weft_ns start = f.now;
    for (size_t i = 0; i < 3; i++) {
        cr_assert(fixture_next(&f, &dial));
        cr_expect_str_eq(dial.endpoint, expected[i]);
        dialer_failed(f.dialer, f.router, dial.token, "refused", f.now);
    }
    cr_expect_not(fixture_next(&f, &dial));
    cr_assert(fixture_wait_dial(&f, &dial));
    cr_expect_str_eq(dial.endpoint, expected[0]);
    cr_expect_geq(f.now - start, 187 * NS_PER_MS);
    fixture_fini(&f);
}

Test(dialer, forgets_and_replaces_learned_addresses) {
    struct fixture f;
    struct dial dial;
    fixture_init(&f, true);
    struct weft_peer_id peer = graph_id(1);
    fixture_learn_one(&f, 1, "10.0.0.1:1");
    fixture_learn_one(&f, 1, "10.0.0.2:1");
    cr_assert(fixture_next(&f, &dial));
    cr_expect_str_eq(dial.endpoint, "10.0.0.2:1");
    dialer_forget(f.dialer, &peer); /* while it is being dialled */
    dialer_failed(f.dialer, f.router, dial.token, "refused", f.now);
    cr_expect_not(fixture_wait_dial(&f, &dial));
    fixture_learn_one(&f, 1, "10.0.0.1:1");
    fixture_learn(&f, 1, NULL, 0);
    cr_expect_not(fixture_wait_dial(&f, &dial));
    fixture_learn_one(&f, 0, "10.0.0.9:1"); /* our own record */
    cr_expect_not(fixture_wait_dial(&f, &dial));
    fixture_fini(&f);
}

/* T19: many identities from one network get two links. */
Test(dialer, makes_at_most_two_links_into_one_public_prefix) {
    struct fixture f;
    struct dial dial;
    fixture_init(&f, true);
    char address[32];
    for (uint64_t i = 1; i <= 50; i++) {
        snprintf(address, sizeof address, "203.0.113.%u:9338", (unsigned)i);
        fixture_learn_one(&f, i, address);
    }
    int count = 0;
    for (; count < 10 && fixture_wait_dial(&f, &dial); count++) {
        struct link_id link = {.value = ++f.link_last};
        dialer_link_up(f.dialer, link, &dial.peer, dial.token, f.now);
    }
    cr_expect_eq(count, 2);
    fixture_learn_one(&f, 60, "198.51.100.1:9338");
    cr_assert(fixture_wait_dial(&f, &dial));
    cr_expect_str_eq(dial.endpoint, "198.51.100.1:9338");
    fixture_add_seed(&f, "203.0.113.77:9338");
    cr_expect(fixture_wait_dial(&f, &dial), "what the operator wants is not capped");
    fixture_fini(&f);
}

Test(dialer, holds_no_more_addresses_than_it_may) {
    struct fixture f;
    fixture_init(&f, true);
    dialer_free(f.dialer);
    f.config.candidates_max = 20;
    cr_assert_eq(dialer_new(&f.config, &f.dialer), WEFT_OK);
    const char *const addresses[] = {"10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"};
    for (uint64_t i = 1; i <= 500; i++) {
        fixture_learn(&f, i, addresses, 3);
    }
    struct dial dial;
    int peers = 0;
    bool has_late = false;
    struct weft_peer_id seen[100];
    while (peers < 100 && fixture_wait_dial(&f, &dial) && f.now < 600 * NS_PER_S) {
        bool is_new = true;
        for (int i = 0; i < peers; i++) {
            is_new = is_new && !weft_peer_id_equal(&seen[i], &dial.peer);
        }
        seen[peers] = dial.peer;
        peers += is_new ? 1 : 0;
        for (uint64_t i = 100; i <= 500; i++) {
            struct weft_peer_id id = graph_id(i);
            has_late = has_late || weft_peer_id_equal(&id, &dial.peer);
        }
        dialer_failed(f.dialer, f.router, dial.token, "refused", f.now);
    }
    cr_expect_eq(peers, 6, "18 of 20 addresses");
    cr_expect(has_late, "the first to come do not keep the table");
    fixture_fini(&f);
}

Test(dialer, takes_another_answer_from_a_seed_but_not_from_a_pinned_or_learned_peer) {
    struct fixture f;
    struct dial dial;
    struct dialer_target target;
    fixture_init(&f, false);
    struct weft_peer_id pinned = graph_id(5);
    cr_assert_eq(dialer_add_seed(f.dialer, "a:1", &pinned), WEFT_OK);
    cr_assert(fixture_next(&f, &dial));
    cr_expect(dial.is_peer_known);
    cr_expect(weft_peer_id_equal(&dial.peer, &pinned));
    fixture_link_up(&f, 6, dial.token);
    cr_assert(dialer_target_at(f.dialer, 0, &target));
    cr_expect_eq(target.failure_count, 1);
    cr_expect_str_eq(target.error, "another peer answered");
    dialer_remove_seed(f.dialer, "a:1");
    fixture_add_seed(&f, "b:1");
    cr_assert(fixture_wait_dial(&f, &dial));
    struct link_id link = fixture_link_up(&f, 7, dial.token);
    dialer_link_down(f.dialer, link, false, f.now);
    cr_assert(fixture_wait_dial(&f, &dial));
    cr_expect_not(dial.is_peer_known, "a seed may come back with a new key");
    fixture_link_up(&f, 8, dial.token);
    cr_expect_not(dialer_target_at(f.dialer, 0, &target));
    fixture_fini(&f);
}

Test(dialer, counts_a_seed_as_kept_up_by_any_link_to_its_peer) {
    struct fixture f;
    struct dial dial;
    fixture_init(&f, false);
    fixture_add_seed(&f, "a:1");
    fixture_add_seed(&f, "b:1");
    cr_assert(fixture_next(&f, &dial));
    fixture_link_up(&f, 1, dial.token);
    cr_assert(fixture_next(&f, &dial));
    struct link_id duplicate = fixture_link_up(&f, 1, dial.token);
    dialer_link_down(f.dialer, duplicate, true, f.now);
    cr_expect_not(fixture_wait_dial(&f, &dial));
    fixture_fini(&f);
}

Test(dialer, wants_every_seed_without_discovery) {
    struct fixture f;
    struct dial dial;
    fixture_init(&f, false);
    fixture_links_up(&f, 12);
    fixture_ring(&f, 20);
    fixture_add_seed(&f, "a:1");
    cr_expect(fixture_next(&f, &dial));
    fixture_fini(&f);
}

/* With discovery a seed that the mesh reaches anyway is left alone; one that it does not is not. */
Test(dialer, forces_a_seeds_link_only_where_it_is_needed) {
    struct fixture f;
    struct dial dial;
    fixture_init(&f, true);
    fixture_ring(&f, 20);
    fixture_links_up(&f, 8);
    struct weft_peer_id reached = graph_id(15);
    struct weft_peer_id lost = graph_id(200);
    cr_assert_eq(dialer_add_seed(f.dialer, "reached:1", &reached), WEFT_OK);
    cr_expect_not(fixture_wait_dial(&f, &dial));
    cr_assert_eq(dialer_add_seed(f.dialer, "lost:1", &lost), WEFT_OK);
    cr_assert(fixture_wait_dial(&f, &dial));
    cr_expect_str_eq(dial.endpoint, "lost:1");
    dialer_failed(f.dialer, f.router, dial.token, "refused", f.now);
    cr_expect(fixture_wait_dial(&f, &dial), "it is never given up");
    fixture_fini(&f);
}

/* The other half of a healed partition may have nobody's seed. */
Test(dialer, probes_peers_that_no_path_reaches_now_and_then) {
    struct fixture f;
    struct dial dial;
    fixture_init(&f, true);
    fixture_ring(&f, 20);
    fixture_links_up(&f, 8);
    fixture_learn_apart(&f, 15); /* reachable: not worth a link now */
    fixture_learn_apart(&f, 99);
    weft_ns start = f.now;
    cr_assert(fixture_wait_dial(&f, &dial));
    struct weft_peer_id lost = graph_id(99);
    cr_expect(weft_peer_id_equal(&dial.peer, &lost));
    cr_expect_geq(f.now - start, 7 * NS_PER_S);
    cr_expect_leq(f.now - start, 14 * NS_PER_S);
    fixture_fini(&f);
}

Test(dialer, lists_targets_without_a_link_seeds_first) {
    struct fixture f;
    struct dial dial;
    struct dialer_target target;
    fixture_init(&f, true);
    fixture_learn_one(&f, 1, "10.0.0.1:1");
    fixture_learn_one(&f, 2, "10.0.0.2:1");
    cr_expect_not(dialer_target_at(f.dialer, 0, &target), "untried candidates are not listed");
    fixture_add_seed(&f, "a:1");
    cr_assert(fixture_next(&f, &dial));
    dialer_failed(f.dialer, f.router, dial.token, "no such host", f.now);
    cr_assert(fixture_next(&f, &dial));
    cr_assert(dialer_target_at(f.dialer, 0, &target));
    cr_expect(target.is_seed);
    cr_expect_not(target.is_dialling);
    cr_expect_str_eq(target.endpoint, "a:1");
    cr_expect_str_eq(target.error, "no such host");
    cr_expect_eq(target.failure_count, 1);
    cr_expect_gt(target.retry_at, f.now);
    cr_assert(dialer_target_at(f.dialer, 1, &target));
    cr_expect(target.is_dialling);
    cr_expect_eq(target.retry_at, WEFT_NEVER);
    cr_expect(weft_peer_id_equal(&target.peer, &dial.peer));
    cr_expect_not(dialer_target_at(f.dialer, 2, &target));
    fixture_fini(&f);
}

Test(dialer, ignores_tokens_and_links_that_it_does_not_know) {
    struct fixture f;
    fixture_init(&f, true);
    dialer_failed(f.dialer, f.router, 4711, "?", f.now);
    dialer_failed(f.dialer, f.router, 0, "?", f.now);
    dialer_link_down(f.dialer, (struct link_id){.value = 9}, false, f.now);
    dialer_cost(f.dialer, (struct link_id){.value = 9}, 1);
    dialer_remove_seed(f.dialer, "nowhere:1");
    fixture_fini(&f);
}
