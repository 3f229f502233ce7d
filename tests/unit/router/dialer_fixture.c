/* SPDX-License-Identifier: Apache-2.0
 *
 * The test bench of the connection maker.
 */
#include "dialer_fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>

static void random_fill(void *ctx, uint8_t *out, size_t len) {
    uint64_t *state = ctx;
    struct rng rng = graph_rng(++*state);
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)rng_next(&rng);
    }
}

void fixture_init(struct fixture *fixture, bool may_discover) {
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

void fixture_fini(struct fixture *fixture) {
    dialer_free(fixture->dialer);
    router_free(fixture->router);
}

bool fixture_next(struct fixture *fixture, struct dial *out) {
    return dialer_next_dial(fixture->dialer, fixture->router, fixture->now, out);
}

/* Sleeps from deadline to deadline, a minute at most, until there is a dial. */
bool fixture_wait_dial(struct fixture *fixture, struct dial *out) {
    weft_ns end = fixture->now + 60 * NS_PER_S;
    while (fixture->now < end) {
        if (fixture_next(fixture, out)) {
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

void fixture_learn(struct fixture *fixture, uint64_t peer, const char *const *addresses,
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

void fixture_learn_one(struct fixture *fixture, uint64_t peer, const char *address) {
    fixture_learn(fixture, peer, &address, 1);
}

/* A candidate in a network of its own. */
void fixture_learn_apart(struct fixture *fixture, uint64_t peer) {
    char address[32];
    snprintf(address, sizeof address, "10.0.%u.1:9338", (unsigned)peer);
    fixture_learn_one(fixture, peer, address);
}

struct link_id fixture_link_up(struct fixture *fixture, uint64_t peer, uint64_t token) {
    struct weft_peer_id id = graph_id(peer);
    struct link_id link = {.value = ++fixture->link_last};
    dialer_link_up(fixture->dialer, link, &id, token, fixture->now);
    return link;
}

void fixture_links_up(struct fixture *fixture, uint64_t count) {
    for (uint64_t peer = 1; peer <= count; peer++) {
        (void)fixture_link_up(fixture, peer, 0);
    }
}

void fixture_add_seed(struct fixture *fixture, const char *endpoint) {
    cr_assert_eq(dialer_add_seed(fixture->dialer, endpoint, NULL), WEFT_OK);
}

void fixture_ring(struct fixture *fixture, uint32_t count) {
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
