/* SPDX-License-Identifier: Apache-2.0
 *
 * The connection maker by itself: whom it dials, how often, and whom it lets in and goes without.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "graph.h"
#include "router/dialer.h"

static void random_fill(void *ctx, uint8_t *out, size_t len) {
    uint64_t *state = ctx;
    struct rng rng = graph_rng(++*state);
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)rng_next(&rng);
    }
}

/* A dialer, and a router that it asks. */
struct fixture {
    uint64_t random_state;
    struct host host;
    struct dialer_config config;
    struct dialer *dialer;
    struct router *router;
    weft_ns now;
    uint64_t link_last;
};

static void fixture_init(struct fixture *fixture, bool may_discover) {
    *fixture = (struct fixture){.now = NS_PER_S};
    fixture->host = (struct host){.ctx = &fixture->random_state, .random = random_fill};
    fixture->config = (struct dialer_config){.self = graph_id(0),
                                             .host = &fixture->host,
                                             .degree = 8,
                                             .links_max = 64,
                                             .may_discover = may_discover,
                                             .candidates_max = 1024};
    cr_assert_eq(dialer_new(&fixture->config, &fixture->dialer), WEFT_OK);
    struct router_config config = {.self = graph_id(0), .peers_max = 1000};
    cr_assert_eq(router_new(&config, &fixture->router), WEFT_OK);
}

static void fixture_fini(struct fixture *fixture) {
    dialer_free(fixture->dialer);
    router_free(fixture->router);
}

static bool next(struct fixture *fixture, struct dial *out) {
    return dialer_next_dial(fixture->dialer, fixture->router, fixture->now, out);
}

/* Sleeps from deadline to deadline, a minute at most, until there is a dial. */
static bool wait_dial(struct fixture *fixture, struct dial *out) {
    weft_ns end = fixture->now + 60 * NS_PER_S;
    while (fixture->now < end) {
        if (next(fixture, out)) {
            return true;
        }
        struct link_id surplus;
        cr_assert_not(dialer_next_trim(fixture->dialer, fixture->router, fixture->now, &surplus));
        weft_ns deadline = dialer_deadline(fixture->dialer);
        cr_assert_gt(deadline, fixture->now, "it would spin");
        fixture->now = deadline;
    }
    return false;
}

static void learn(struct fixture *fixture, uint64_t peer, const char *const *addresses,
                  uint32_t count) {
    uint8_t buffer[2000];
    struct weft_peer_id id = graph_id(peer);
    struct wire_peer_source source = {
        .name = "n", .software = "", .addresses = addresses, .address_count = count};
    struct wire_writer writer = wire_writer_of(buffer, sizeof buffer);
    wire_peer_body_encode(&writer, &source);
    struct wire_peer_body body;
    cr_assert_eq(wire_peer_body_decode(wire_writer_view(&writer), &body), WEFT_OK);
    dialer_learn(fixture->dialer, &id, &body, fixture->now);
}

static void learn_one(struct fixture *fixture, uint64_t peer, const char *address) {
    learn(fixture, peer, &address, 1);
}

/* A candidate in a network of its own. */
static void learn_apart(struct fixture *fixture, uint64_t peer) {
    char address[32];
    snprintf(address, sizeof address, "10.0.%u.1:9338", (unsigned)peer);
    learn_one(fixture, peer, address);
}

static struct link_id link_up(struct fixture *fixture, uint64_t peer, uint64_t token) {
    struct weft_peer_id id = graph_id(peer);
    struct link_id link = {.value = ++fixture->link_last};
    dialer_link_up(fixture->dialer, link, &id, token, fixture->now);
    return link;
}

static void add_seed(struct fixture *fixture, const char *endpoint) {
    cr_assert_eq(dialer_add_seed(fixture->dialer, endpoint, NULL), WEFT_OK);
}

/* The router learns that each of the peers 1 .. count is linked to us and to its two neighbours in
 * a ring, and to `others` strangers besides. */
static void ring(struct fixture *fixture, uint32_t count) {
    struct graph graph = {.count = count + 1};
    for (uint32_t i = 0; i <= count; i++) {
        graph.ids[i] = graph_id(i);
    }
    for (uint32_t i = 1; i <= count; i++) {
        graph_link(&graph, 0, i, 10);
        for (uint32_t step = 1; step <= 4; step++) {
            graph_link(&graph, i, 1 + (i - 1 + step) % count, 10);
        }
    }
    for (uint32_t i = 0; i <= count; i++) {
        graph_tell(&graph, fixture->router, i, fixture->now);
    }
    graph_settle(fixture->router);
}

Test(dialer, has_nothing_to_do_and_no_deadline_at_first) {
    struct fixture f;
    struct dial dial;
    fixture_init(&f, true);
    cr_expect_not(next(&f, &dial));
    cr_expect_eq(dialer_deadline(f.dialer), WEFT_NEVER);
    fixture_fini(&f);
}

Test(dialer, dials_a_seed_at_once_and_only_once_at_a_time) {
    struct fixture f;
    struct dial dial;
    fixture_init(&f, false);
    add_seed(&f, "seed.example.org:9338");
    cr_assert(next(&f, &dial));
    cr_expect_str_eq(dial.endpoint, "seed.example.org:9338");
    cr_expect_not(dial.is_peer_known);
    cr_expect_neq(dial.token, 0);
    cr_expect_not(next(&f, &dial));
    fixture_fini(&f);
}

Test(dialer, refuses_seeds_that_are_doubled_or_no_endpoints) {
    struct fixture f;
    fixture_init(&f, false);
    struct weft_peer_id self = graph_id(0);
    add_seed(&f, "a:1");
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

Test(dialer, backs_off_from_250_ms_to_30_s_with_jitter) {
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct fixture f;
        struct dial dial;
        fixture_init(&f, false);
        add_seed(&f, "a:1");
        cr_assert(next(&f, &dial));
        weft_ns expected = 250 * NS_PER_MS;
        for (int i = 0; i < 12; i++) {
            weft_ns failed_at = f.now;
            dialer_failed(f.dialer, dial.token, "refused", f.now);
            cr_assert(wait_dial(&f, &dial));
            weft_ns gap = f.now - failed_at;
            cr_assert_geq(gap, expected - expected / 4, "attempt %d", i);
            cr_assert_leq(gap, expected + expected / 4, "attempt %d", i);
            expected = time_min(2 * expected, 30 * NS_PER_S);
        }
        fixture_fini(&f);
    }
}

Test(dialer, forgets_the_back_off_when_a_link_has_lived_10_s) {
    struct fixture f;
    struct dial dial;
    fixture_init(&f, false);
    add_seed(&f, "a:1");
    for (int i = 0; i < 6; i++) {
        cr_assert(wait_dial(&f, &dial));
        dialer_failed(f.dialer, dial.token, "refused", f.now);
    }
    cr_assert(wait_dial(&f, &dial));
    struct link_id link = link_up(&f, 1, dial.token);
    f.now += 10 * NS_PER_S;
    weft_ns down_at = f.now;
    dialer_link_down(f.dialer, link, false, f.now);
    cr_assert(wait_dial(&f, &dial));
    cr_expect_leq(f.now - down_at, 313 * NS_PER_MS);
    link = link_up(&f, 1, dial.token); /* and a short life counts as a failure */
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
    learn_one(&f, 1, "10.0.0.1:9338");
    cr_assert(next(&f, &dial));
    struct link_id link = link_up(&f, 1, dial.token);
    f.now += 20 * NS_PER_S;
    weft_ns down_at = f.now;
    dialer_link_down(f.dialer, link, true, f.now);
    cr_assert(wait_dial(&f, &dial));
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
        add_seed(&f, endpoint);
    }
    for (int i = 0; i < 4; i++) {
        cr_assert(next(&f, &dial));
    }
    cr_expect_not(next(&f, &dial));
    weft_ns times[100];
    for (size_t i = 0; i < 100; i++) { /* tokens count up from the first of the four */
        dialer_failed(f.dialer, dial.token, "refused", f.now);
        cr_assert(wait_dial(&f, &dial));
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
    learn_one(&f, 1, "10.0.0.1:9338");
    cr_expect_not(wait_dial(&f, &dial));
    fixture_fini(&f);
}

Test(dialer, dials_what_it_learns_at_once_until_it_has_its_degree) {
    struct fixture f;
    struct dial dial;
    fixture_init(&f, true);
    for (uint64_t i = 1; i <= 30; i++) {
        learn_apart(&f, i);
    }
    for (uint64_t i = 1; i <= 8; i++) {
        cr_assert(next(&f, &dial), "all eight without waiting");
        cr_expect(dial.is_peer_known);
        uint64_t peer = 1;
        struct weft_peer_id id = graph_id(peer);
        while (!weft_peer_id_equal(&id, &dial.peer)) {
            id = graph_id(++peer);
            cr_assert_leq(peer, 30);
        }
        link_up(&f, peer, dial.token);
    }
    f.now += 5 * NS_PER_S; /* before the first probe of unreachable peers */
    cr_expect_not(next(&f, &dial));
    fixture_fini(&f);
}

Test(dialer, tries_each_address_of_a_peer_before_it_backs_off) {
    struct fixture f;
    struct dial dial;
    fixture_init(&f, true);
    const char *const addresses[] = {"10.0.0.1:1", "not-a-literal:1", "203.0.113.5:2",
                                     "[fd00::1]:3"};
    learn(&f, 1, addresses, 4);
    static const char *const expected[] = {"10.0.0.1:1", "203.0.113.5:2", "[fd00::1]:3"};
    weft_ns start = f.now;
    for (size_t i = 0; i < 3; i++) {
        cr_assert(next(&f, &dial));
        cr_expect_str_eq(dial.endpoint, expected[i]);
        dialer_failed(f.dialer, dial.token, "refused", f.now);
    }
    cr_expect_not(next(&f, &dial));
    cr_assert(wait_dial(&f, &dial));
    cr_expect_str_eq(dial.endpoint, expected[0]);
    cr_expect_geq(f.now - start, 187 * NS_PER_MS);
    fixture_fini(&f);
}

Test(dialer, forgets_and_replaces_learned_addresses) {
    struct fixture f;
    struct dial dial;
    fixture_init(&f, true);
    struct weft_peer_id peer = graph_id(1);
    learn_one(&f, 1, "10.0.0.1:1");
    learn_one(&f, 1, "10.0.0.2:1");
    cr_assert(next(&f, &dial));
    cr_expect_str_eq(dial.endpoint, "10.0.0.2:1");
    dialer_forget(f.dialer, &peer); /* while it is being dialled */
    dialer_failed(f.dialer, dial.token, "refused", f.now);
    cr_expect_not(wait_dial(&f, &dial));
    learn_one(&f, 1, "10.0.0.1:1");
    learn(&f, 1, NULL, 0);
    cr_expect_not(wait_dial(&f, &dial));
    learn_one(&f, 0, "10.0.0.9:1"); /* our own record */
    cr_expect_not(wait_dial(&f, &dial));
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
        learn_one(&f, i, address);
    }
    int count = 0;
    for (; count < 10 && wait_dial(&f, &dial); count++) {
        struct link_id link = {.value = ++f.link_last};
        dialer_link_up(f.dialer, link, &dial.peer, dial.token, f.now);
    }
    cr_expect_eq(count, 2);
    learn_one(&f, 60, "198.51.100.1:9338");
    cr_assert(wait_dial(&f, &dial));
    cr_expect_str_eq(dial.endpoint, "198.51.100.1:9338");
    add_seed(&f, "203.0.113.77:9338");
    cr_expect(wait_dial(&f, &dial), "what the operator wants is not capped");
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
        learn(&f, i, addresses, 3);
    }
    struct dial dial;
    int peers = 0;
    bool has_late = false;
    struct weft_peer_id seen[100];
    while (peers < 100 && wait_dial(&f, &dial) && f.now < 600 * NS_PER_S) {
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
        dialer_failed(f.dialer, dial.token, "refused", f.now);
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
    cr_assert(next(&f, &dial));
    cr_expect(dial.is_peer_known);
    cr_expect(weft_peer_id_equal(&dial.peer, &pinned));
    link_up(&f, 6, dial.token);
    cr_assert(dialer_target_at(f.dialer, 0, &target));
    cr_expect_eq(target.failure_count, 1);
    cr_expect_str_eq(target.error, "another peer answered");
    dialer_remove_seed(f.dialer, "a:1");
    add_seed(&f, "b:1");
    cr_assert(wait_dial(&f, &dial));
    struct link_id link = link_up(&f, 7, dial.token);
    dialer_link_down(f.dialer, link, false, f.now);
    cr_assert(wait_dial(&f, &dial));
    cr_expect_not(dial.is_peer_known, "a seed may come back with a new key");
    link_up(&f, 8, dial.token);
    cr_expect_not(dialer_target_at(f.dialer, 0, &target));
    fixture_fini(&f);
}

Test(dialer, counts_a_seed_as_kept_up_by_any_link_to_its_peer) {
    struct fixture f;
    struct dial dial;
    fixture_init(&f, false);
    add_seed(&f, "a:1");
    add_seed(&f, "b:1");
    cr_assert(next(&f, &dial));
    link_up(&f, 1, dial.token);
    cr_assert(next(&f, &dial));
    struct link_id duplicate = link_up(&f, 1, dial.token);
    dialer_link_down(f.dialer, duplicate, true, f.now);
    cr_expect_not(wait_dial(&f, &dial));
    fixture_fini(&f);
}

Test(dialer, wants_every_seed_without_discovery) {
    struct fixture f;
    struct dial dial;
    fixture_init(&f, false);
    for (uint64_t i = 1; i <= 12; i++) {
        link_up(&f, i, 0);
    }
    ring(&f, 20);
    add_seed(&f, "a:1");
    cr_expect(next(&f, &dial));
    fixture_fini(&f);
}

/* With discovery a seed that the mesh reaches anyway is left alone; one that it does not is not. */
Test(dialer, forces_a_seeds_link_only_where_it_is_needed) {
    struct fixture f;
    struct dial dial;
    fixture_init(&f, true);
    ring(&f, 20);
    for (uint64_t i = 1; i <= 8; i++) {
        link_up(&f, i, 0);
    }
    struct weft_peer_id reached = graph_id(15);
    struct weft_peer_id lost = graph_id(200);
    cr_assert_eq(dialer_add_seed(f.dialer, "reached:1", &reached), WEFT_OK);
    cr_expect_not(wait_dial(&f, &dial));
    cr_assert_eq(dialer_add_seed(f.dialer, "lost:1", &lost), WEFT_OK);
    cr_assert(wait_dial(&f, &dial));
    cr_expect_str_eq(dial.endpoint, "lost:1");
    dialer_failed(f.dialer, dial.token, "refused", f.now);
    cr_expect(wait_dial(&f, &dial), "it is never given up");
    fixture_fini(&f);
}

/* The other half of a healed partition may have nobody's seed. */
Test(dialer, probes_peers_that_no_path_reaches_now_and_then) {
    struct fixture f;
    struct dial dial;
    fixture_init(&f, true);
    ring(&f, 20);
    for (uint64_t i = 1; i <= 8; i++) {
        link_up(&f, i, 0);
    }
    learn_apart(&f, 15); /* reachable: not worth a link now */
    learn_apart(&f, 99);
    weft_ns start = f.now;
    cr_assert(wait_dial(&f, &dial));
    struct weft_peer_id lost = graph_id(99);
    cr_expect(weft_peer_id_equal(&dial.peer, &lost));
    cr_expect_geq(f.now - start, 7 * NS_PER_S);
    cr_expect_leq(f.now - start, 14 * NS_PER_S);
    fixture_fini(&f);
}

Test(dialer, admits_beyond_the_bound_newcomers_only_and_few) {
    struct fixture f;
    fixture_init(&f, true);
    ring(&f, 20);
    for (uint64_t i = 1; i <= 64; i++) {
        struct weft_peer_id id = graph_id(1000 + i);
        cr_assert(dialer_admit(f.dialer, f.router, &id));
        link_up(&f, 1000 + i, 0);
    }
    struct weft_peer_id known = graph_id(3);
    struct weft_peer_id newcomer = graph_id(500);
    cr_expect_not(dialer_admit(f.dialer, f.router, &known));
    for (uint64_t i = 0; i < 8; i++) {
        cr_expect(dialer_admit(f.dialer, f.router, &newcomer));
        link_up(&f, 600 + i, 0);
    }
    cr_expect_not(dialer_admit(f.dialer, f.router, &newcomer));
    struct weft_peer_id linked = graph_id(1001);
    cr_expect(dialer_admit(f.dialer, f.router, &linked), "a duplicate is the core's to resolve");
    fixture_fini(&f);
}

static bool trim(struct fixture *f, struct link_id *out) {
    return dialer_next_trim(f->dialer, f->router, f->now, out);
}

Test(dialer, makes_room_for_a_newcomer_at_the_cost_of_a_link_that_can_be_spared) {
    struct fixture f;
    struct link_id link;
    fixture_init(&f, true);
    dialer_free(f.dialer);
    f.config.links_max = 10;
    cr_assert_eq(dialer_new(&f.config, &f.dialer), WEFT_OK);
    ring(&f, 10);
    for (uint64_t i = 1; i <= 10; i++) {
        link_up(&f, i, 0);
    }
    cr_expect_not(trim(&f, &link));
    struct weft_peer_id newcomer = graph_id(500);
    cr_assert(dialer_admit(f.dialer, f.router, &newcomer));
    struct link_id new_link = link_up(&f, 500, 0);
    cr_assert(trim(&f, &link));
    cr_expect_neq(link.value, new_link.value, "it depends on us");
    cr_expect_gt(link.value, 2, "the oldest are kept");
    dialer_link_down(f.dialer, link, true, f.now);
    f.now += NS_PER_S;
    cr_expect_not(trim(&f, &link), "one for one");
    fixture_fini(&f);
}

/* Peers 1 .. 14 hang together, all have more than their degree, and their ids decide who trims. */
Test(dialer, trims_from_above_the_slack_down_to_the_degree) {
    struct fixture f;
    struct link_id link;
    fixture_init(&f, true);
    ring(&f, 14);
    for (uint64_t i = 1; i <= 12; i++) {
        link_up(&f, i, 0);
    }
    f.now += 6 * NS_PER_S;
    cr_expect_not(trim(&f, &link), "12 are borne");
    link_up(&f, 13, 0);
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
        while (next(&f, &dial)) {
        }
        cr_assert_gt(dialer_deadline(f.dialer), f.now, "it would spin");
        f.now += 100 * NS_PER_MS;
    }
    cr_expect_eq(count, 5);
    fixture_fini(&f);
}

Test(dialer, trims_no_young_link_no_seed_and_none_that_the_mesh_needs) {
    struct fixture f;
    struct link_id link;
    fixture_init(&f, true);
    ring(&f, 14);
    for (uint64_t i = 1; i <= 14; i++) {
        link_up(&f, i, 0);
    }
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
        link_up(&f, i, 0);
    }
    f.now += 10 * NS_PER_S;
    cr_expect_not(trim(&f, &link), "nothing proves that they can do without us");
    fixture_fini(&f);
}

Test(dialer, keeps_the_nearest) {
    struct fixture f;
    struct link_id link;
    fixture_init(&f, true);
    ring(&f, 20);
    for (uint64_t i = 1; i <= 20; i++) {
        struct link_id up = link_up(&f, i, 0);
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

Test(dialer, lists_targets_without_a_link_seeds_first) {
    struct fixture f;
    struct dial dial;
    struct dialer_target target;
    fixture_init(&f, true);
    learn_one(&f, 1, "10.0.0.1:1");
    learn_one(&f, 2, "10.0.0.2:1");
    cr_expect_not(dialer_target_at(f.dialer, 0, &target), "untried candidates are not listed");
    add_seed(&f, "a:1");
    cr_assert(next(&f, &dial));
    dialer_failed(f.dialer, dial.token, "no such host", f.now);
    cr_assert(next(&f, &dial));
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
    dialer_failed(f.dialer, 4711, "?", f.now);
    dialer_failed(f.dialer, 0, "?", f.now);
    dialer_link_down(f.dialer, (struct link_id){.value = 9}, false, f.now);
    dialer_cost(f.dialer, (struct link_id){.value = 9}, 1);
    dialer_remove_seed(f.dialer, "nowhere:1");
    fixture_fini(&f);
}
