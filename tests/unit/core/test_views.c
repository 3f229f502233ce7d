/* SPDX-License-Identifier: Apache-2.0
 *
 * What a core shows of itself, and the registry by name: order, ties, and what does not appear.
 */
#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>

#include "unit/core/victim.h"

static struct victim victim;

static void setup(void) {
    victim_init(&victim);
    victim_start(&victim);
}

static void teardown(void) {
    victim_fini(&victim);
}

TestSuite(core_views, .init = setup, .fini = teardown);

struct seen_links {
    size_t count;
    struct core_link_view last;
};

static void see_link(void *ctx, const struct core_link_view *view) {
    struct seen_links *seen = ctx;
    seen->count++;
    seen->last = *view;
}

static void echo(weft_ns sent, weft_ns held) {
    uint8_t body[32];
    struct wire_writer writer = wire_writer_of(body, sizeof body);
    const struct wire_heartbeat heartbeat = {.flags = WIRE_HEARTBEAT_ECHO,
                                             .echo_us = (uint32_t)(sent / NS_PER_US),
                                             .held_us = (uint32_t)(held / NS_PER_US)};
    wire_heartbeat_encode(&writer, &heartbeat);
    victim_frame(&victim, 5, WIRE_HEARTBEAT, wire_writer_view(&writer), (struct span){0});
}

Test(core_views, a_link_is_shown_with_its_peer_and_what_was_measured) {
    struct seen_links seen = {0};
    weft_ns up = victim.now;
    victim_up(&victim, 5, 0, LINK_DIALLED);
    victim_wait(&victim, 100 * NS_PER_MS);
    echo(victim.now - 30 * NS_PER_MS, 10 * NS_PER_MS);
    core_each_link(victim.core, see_link, &seen);
    cr_assert_eq(seen.count, 1);
    cr_assert_eq(seen.last.link.value, 5);
    cr_assert(weft_peer_id_equal(&seen.last.peer, victim_peer(&victim, 0)));
    cr_assert_str_eq(seen.last.remote, "192.0.2.1:9338");
    cr_assert_eq(seen.last.role, LINK_DIALLED);
    cr_assert_eq(seen.last.up_since, up);
    cr_assert(seen.last.has_rtt);
    cr_assert(seen.last.rtt_us >= 19000 && seen.last.rtt_us <= 21000, "%u", seen.last.rtt_us);
    cr_assert_eq(seen.last.frames_in, 1);
}

Test(core_views, an_echo_older_than_a_minute_measures_nothing) {
    struct seen_links seen = {0};
    victim_up(&victim, 5, 0, LINK_DIALLED);
    echo(victim.now - 61 * NS_PER_S, 0);
    core_each_link(victim.core, see_link, &seen);
    cr_assert_not(seen.last.has_rtt);
}

Test(core_views, a_link_being_closed_is_not_shown) {
    struct seen_links seen = {0};
    victim_up(&victim, 5, 0, LINK_ACCEPTED);
    victim_frame(&victim, 5, WIRE_UNICAST, span_of_text("x"), (struct span){0});
    core_each_link(victim.core, see_link, &seen);
    cr_assert_eq(seen.count, 0);
    cr_assert_eq(victim.close_count, 1);
}

struct seen_services {
    char text[512];
};

static void see_service(void *ctx, const char *name_space, const char *name,
                        const struct core_provider *provider) {
    struct seen_services *seen = ctx;
    size_t used = strlen(seen->text);
    size_t peer = 0;
    while (!weft_peer_id_equal(&provider->peer, victim_peer(&victim, peer))) {
        peer++;
    }
    (void)snprintf(seen->text + used, sizeof seen->text - used, "%s/%s:%zu%s ", name_space, name,
                   peer, provider->state == SERVICE_STALE ? "?" : "");
}

static void offer(const char *name_space, const char *name) {
    const struct wire_endpoint endpoint = {.address = span_of_text("127.0.0.1:80"), .weight = 1};
    const struct core_offer offered = {
        .protocol = WIRE_PROTOCOL_TCP, .endpoints = &endpoint, .endpoint_count = 1};
    cr_assert_eq(core_offer(victim.core, name_space, name, &offered, victim.now), WEFT_OK);
    victim_drain(&victim);
}

Test(core_views, services_are_walked_by_name_and_providers_best_first) {
    struct seen_services seen = {""};
    const size_t other[] = {1};
    victim_join(&victim, 5, 0, 90000);
    victim_join(&victim, 6, 1, 100);
    victim_peer_record(&victim, 5, 2, other, 1, 100); /* nobody lists a link to it: unreachable */
    for (size_t peer = 0; peer < 3; peer++) {
        victim_service_record(&victim, 5 + peer % 2, peer, "prod/web");
    }
    victim_service_record(&victim, 5, 0, "prod/db");
    victim_service_record(&victim, 5, 0, "dev/web");
    offer("prod", "web");
    core_link_down(victim.core, link_of(5), victim.now);
    victim_wait(&victim, 500 * NS_PER_MS);
    core_each_service(victim.core, see_service, &seen);
    cr_assert(strncmp(seen.text, "dev/web:0? prod/db:0? prod/web:8 prod/web:1 prod/web:", 52) == 0,
              "%s", seen.text);
    cr_assert_eq(victim_status(&victim).services, 3);
}

Test(core_views, the_cheaper_way_comes_first_and_equals_by_id) {
    struct core_provider providers[4];
    victim_join(&victim, 5, 0, 100);
    victim_join(&victim, 6, 1, 100);
    victim_service_record(&victim, 5, 0, "prod/web");
    victim_service_record(&victim, 6, 1, "prod/web");
    cr_assert_eq(core_providers(victim.core, "prod", "web", WIRE_PROTOCOL_TCP, providers, 4), 2);
    cr_assert_eq(providers[0].cost_us, providers[1].cost_us);
    cr_assert_lt(weft_peer_id_compare(&providers[0].peer, &providers[1].peer), 0);
    for (unsigned i = 0; i < 40; i++) { /* the first one's round trip is now 200 ms */
        victim_wait(&victim, 500 * NS_PER_MS);
        echo(victim.now - 200 * NS_PER_MS, 0);
        core_link_alive(victim.core, link_of(6), victim.now);
    }
    cr_assert_eq(core_providers(victim.core, "prod", "web", WIRE_PROTOCOL_TCP, providers, 4), 2);
    cr_assert(weft_peer_id_equal(&providers[0].peer, victim_peer(&victim, 1)));
    cr_assert_gt(providers[1].cost_us, providers[0].cost_us);
    cr_assert_eq(core_providers(victim.core, "prod", "web", WIRE_PROTOCOL_TCP, providers, 1), 1,
                 "no more than asked");
}

Test(core_views, a_name_that_nobody_can_have_has_no_providers) {
    struct core_provider provider;
    char longest[300];
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    cr_assert_eq(core_providers(victim.core, longest, longest, WIRE_PROTOCOL_TCP, &provider, 1), 0);
    cr_assert_eq(core_providers(victim.core, "prod", "none", WIRE_PROTOCOL_TCP, &provider, 1), 0);
}

Test(core_views, a_service_whose_body_says_nothing_is_kept_but_not_shown) {
    victim_join(&victim, 5, 0, 100);
    size_t kept = victim.kept_count;
    victim_record(&victim, 5, 0,
                  &(struct wire_record){.kind = WIRE_RECORD_SERVICE,
                                        .key = span_of_text("prod/web"),
                                        .body = span_of_text("nonsense")});
    cr_assert_eq(victim_status(&victim).services, 0);
    cr_assert_eq(victim.kept_count, kept + 1);
    cr_assert_eq(victim.close_count, 0);
}

Test(core_views, a_peer_that_says_nothing_readable_leaves_the_routes) {
    victim_join(&victim, 5, 0, 100);
    cr_assert_eq(victim_status(&victim).peers_reachable, 1);
    victim_record(
        &victim, 5, 0,
        &(struct wire_record){.kind = WIRE_RECORD_PEER, .body = span_of_text("nonsense")});
    victim_wait(&victim, NS_PER_S);
    cr_assert_eq(victim_status(&victim).peers_reachable, 0);
    struct core_peer_view view;
    cr_assert_not(core_find_peer(victim.core, victim_peer(&victim, 0), &view));
}

Test(core_views, an_id_pasted_in_capitals_is_found) {
    struct weft_peer_id found;
    char text[WEFT_PEER_ID_TEXT];
    victim_join(&victim, 5, 0, 100);
    weft_peer_id_format(victim_peer(&victim, 0), text);
    for (char *at = text; *at != '\0'; at++) {
        *at = (char)toupper((unsigned char)*at);
    }
    cr_assert_eq(core_resolve_peer(victim.core, text, &found), WEFT_OK);
    cr_assert(weft_peer_id_equal(&found, victim_peer(&victim, 0)));
    cr_assert_eq(core_resolve_peer(victim.core, "peer-0", &found), WEFT_OK);
    cr_assert_eq(core_resolve_peer(victim.core, "", &found), WEFT_ERR_NOT_FOUND);
}

Test(core_views, a_seed_is_dialled_and_shown_until_it_is_removed) {
    struct dialer_target target;
    cr_assert_eq(core_add_seed(victim.core, "192.0.2.9:9338", NULL), WEFT_OK);
    victim_wait(&victim, NS_PER_S);
    cr_assert_eq(victim.dial_count, 1);
    cr_assert(core_target_at(victim.core, 0, &target));
    cr_assert_not(core_target_at(victim.core, 1, &target));
    core_dial_failed(victim.core, victim.dial_token, "refused", victim.now);
    core_remove_seed(victim.core, "192.0.2.9:9338");
    victim_wait(&victim, 60 * NS_PER_S);
    cr_assert_eq(victim.dial_count, 1);
    cr_assert_not(core_target_at(victim.core, 0, &target));
}

Test(core_views, culprits_are_the_last_sixteen_newest_first) {
    struct core_culprit culprits[32];
    struct identity identity;
    struct weft_peer_id last = {{0}};
    for (uint8_t i = 0; i < 20; i++) {
        uint8_t seed[32] = {100, i};
        identity_from_seed(&identity, seed);
        const struct core_link_info info = {.role = LINK_ACCEPTED,
                                            .key = identity.key,
                                            .name = "bad",
                                            .incarnation = 1,
                                            .instance = 1,
                                            .remote = "192.0.2.1:1"};
        core_link_up(victim.core, link_of(50U + i), &info, victim.now);
        core_link_broken(victim.core, link_of(50U + i), i % 2 ? WEFT_ERR_AUTH : WEFT_ERR_MALFORMED,
                         victim.now);
        core_link_broken(victim.core, link_of(50U + i), WEFT_ERR_AUTH, victim.now);
        core_link_down(victim.core, link_of(50U + i), victim.now);
        last = identity.id;
    }
    cr_assert_eq(core_culprits(victim.core, culprits, 32), 16);
    cr_assert(weft_peer_id_equal(&culprits[0].peer, &last));
    cr_assert_eq(culprits[0].count, 1, "a link that closes is blamed once");
    cr_assert_str_neq(culprits[0].detail, culprits[1].detail);
}

Test(core_views, who_breaks_the_protocol_again_is_counted_not_listed_twice) {
    struct core_culprit culprits[4];
    for (uint64_t link = 5; link < 8; link++) {
        victim_up(&victim, link, 0, LINK_ACCEPTED);
        victim_frame(&victim, link, WIRE_UNICAST, span_of_text("x"), (struct span){0});
        core_link_down(victim.core, link_of(link), victim.now);
    }
    cr_assert_eq(core_culprits(victim.core, culprits, 4), 1);
    cr_assert_eq(culprits[0].count, 3);
}
