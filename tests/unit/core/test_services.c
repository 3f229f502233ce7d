/* SPDX-License-Identifier: Apache-2.0
 *
 * The registry and streams to services, across relays, refusals and failures.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/time.h"
#include "support/mesh.h"

#define SITE_A 0
#define SITE_B 3

/* What the application at SITE_A does: writes a pattern and expects it back. */
struct client {
    struct stream_id stream;
    uint64_t written;
    uint64_t read;
    uint64_t total;
    bool is_accepted;
    bool is_closed;
    bool is_wrong;
    enum wire_reset_reason reset;
    bool refuses[MESH_NODES_MAX]; /* servers that refuse */
    size_t asked[MESH_NODES_MAX];
};

static uint8_t pattern(uint64_t offset) {
    return (uint8_t)(offset * 7 + (offset >> 8) * 13 + (offset >> 16));
}

static void client_write(struct client *client, struct mesh *mesh) {
    uint8_t bytes[4096];
    struct streams *streams = core_streams(mesh_core(mesh, SITE_A));
    while (client->written < client->total) {
        uint64_t left = client->total - client->written;
        size_t len = left < sizeof(bytes) ? (size_t)left : sizeof(bytes);
        for (size_t i = 0; i < len; i++) {
            bytes[i] = pattern(client->written + i);
        }
        size_t taken = streams_write(streams, client->stream, span_of(bytes, len), mesh_now(mesh));
        client->written += taken;
        if (taken < len) {
            return;
        }
    }
    streams_finish(streams, client->stream, mesh_now(mesh));
}

static void client_read(struct client *client, struct mesh *mesh) {
    struct streams *streams = core_streams(mesh_core(mesh, SITE_A));
    struct span bytes = streams_peek(streams, client->stream);
    while (bytes.len > 0) {
        for (size_t i = 0; i < bytes.len; i++) {
            client->is_wrong |= bytes.data[i] != pattern(client->read + i);
        }
        client->read += bytes.len;
        streams_consume(streams, client->stream, bytes.len, mesh_now(mesh));
        bytes = streams_peek(streams, client->stream);
    }
}

static void client_event(struct client *client, struct mesh *mesh,
                         const struct stream_event *event) {
    struct streams *streams = core_streams(mesh_core(mesh, SITE_A));
    client_read(client, mesh);
    if (event->kind == STREAM_EVENT_ACCEPTED) {
        client->is_accepted = true;
    } else if (event->kind == STREAM_EVENT_WRITABLE) {
        client_write(client, mesh);
    } else if (event->kind == STREAM_EVENT_RESET) {
        client->reset = event->reason;
        streams_release(streams, event->stream);
    } else if (event->kind == STREAM_EVENT_CLOSED) {
        client->is_closed = true;
        streams_release(streams, event->stream);
    }
}

static void server_event(struct client *client, struct mesh *mesh, size_t node,
                         const struct stream_event *event) {
    struct streams *streams = core_streams(mesh_core(mesh, node));
    if (event->kind == STREAM_EVENT_INCOMING) {
        client->asked[node]++;
        if (client->refuses[node]) {
            streams_reset(streams, event->stream, WIRE_RESET_CONNECT_FAILED, mesh_now(mesh));
        } else {
            streams_accept(streams, event->stream, mesh_now(mesh));
        }
        return;
    }
    if (event->kind == STREAM_EVENT_RESET || event->kind == STREAM_EVENT_CLOSED) {
        streams_release(streams, event->stream);
        return;
    }
    struct span bytes = streams_peek(streams, event->stream);
    while (bytes.len > 0) {
        size_t taken = streams_write(streams, event->stream, bytes, mesh_now(mesh));
        if (taken == 0) {
            return;
        }
        streams_consume(streams, event->stream, taken, mesh_now(mesh));
        bytes = streams_peek(streams, event->stream);
    }
    if (streams_is_finished(streams, event->stream)) {
        streams_finish(streams, event->stream, mesh_now(mesh));
    }
}

static void on_stream(void *ctx, struct mesh *mesh, size_t node, const struct stream_event *event) {
    struct client *client = ctx;
    if (node == SITE_A) {
        client_event(client, mesh, event);
    } else {
        server_event(client, mesh, node, event);
    }
}

/* Sites 0 and 3 (and 4, another provider) behind the relays 1 and 2. */
static struct mesh *make_sites(struct client *client, uint64_t rate) {
    const struct mesh_config config = {.seed = 3,
                                       .nodes = 5,
                                       .delay = 2 * NS_PER_MS,
                                       .pipe_rate = rate,
                                       .on_stream = on_stream,
                                       .ctx = client};
    struct mesh *mesh = mesh_new(&config);
    mesh_allow_none(mesh);
    for (size_t relay = 1; relay <= 2; relay++) {
        mesh_seed(mesh, 0, relay);
        mesh_seed(mesh, 3, relay);
        mesh_seed(mesh, 4, relay);
    }
    for (size_t i = 0; i < 5; i++) {
        mesh_start(mesh, i);
    }
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 5 * NS_PER_S));
    return mesh;
}

static void offer(struct mesh *mesh, size_t node, const char *name) {
    const struct wire_endpoint endpoint = {.address = span_of_text("127.0.0.1:80"), .weight = 1};
    const struct core_offer offered = {
        .protocol = WIRE_PROTOCOL_TCP, .endpoints = &endpoint, .endpoint_count = 1};
    cr_assert_eq(core_offer(mesh_core(mesh, node), "default", name, &offered, mesh_now(mesh)),
                 WEFT_OK);
    mesh_run(mesh, 500 * NS_PER_MS);
}

static void open_client(struct mesh *mesh, struct client *client, uint64_t total) {
    client->total = total;
    cr_assert_eq(core_stream_open(mesh_core(mesh, SITE_A), "default", "web", WIRE_PROTOCOL_TCP,
                                  mesh_now(mesh), &client->stream),
                 WEFT_OK);
    client_write(client, mesh);
}

static size_t providers_at(struct mesh *mesh, size_t node, enum service_state *state) {
    struct core_provider providers[4];
    size_t count =
        core_providers(mesh_core(mesh, node), "default", "web", WIRE_PROTOCOL_TCP, providers, 4);
    if (count > 0) {
        *state = providers[0].state;
    }
    return count;
}

Test(core_services, every_node_knows_an_offer) {
    struct client client = {0};
    struct mesh *mesh = make_sites(&client, 0);
    enum service_state state = SERVICE_STALE;
    offer(mesh, SITE_B, "web");
    for (size_t i = 0; i < 5; i++) {
        cr_assert_eq(providers_at(mesh, i, &state), 1);
        cr_assert_eq(state, SERVICE_FRESH);
    }
    mesh_free(mesh);
}

Test(core_services, a_dead_provider_is_stale_and_a_withdrawn_service_is_gone) {
    struct client client = {0};
    struct mesh *mesh = make_sites(&client, 0);
    enum service_state state = SERVICE_FRESH;
    offer(mesh, SITE_B, "web");
    mesh_kill(mesh, SITE_B);
    mesh_run(mesh, 500 * NS_PER_MS);
    cr_assert_eq(providers_at(mesh, SITE_A, &state), 1);
    cr_assert_eq(state, SERVICE_STALE);
    struct core_provider stale;
    mesh_run(mesh, 10 * NS_PER_S);
    core_tick(mesh_core(mesh, SITE_A), mesh_now(mesh)); /* it answers as of its last input */
    cr_assert_eq(
        core_providers(mesh_core(mesh, SITE_A), "default", "web", WIRE_PROTOCOL_TCP, &stale, 1), 1);
    cr_assert(stale.absence >= 10 * NS_PER_S && stale.absence < 11 * NS_PER_S);
    offer(mesh, 4, "web");
    cr_assert_eq(providers_at(mesh, SITE_A, &state), 2);
    cr_assert_eq(state, SERVICE_FRESH, "the fresh one comes first");
    cr_assert_eq(
        core_withdraw(mesh_core(mesh, 4), "default", "web", WIRE_PROTOCOL_TCP, mesh_now(mesh)),
        WEFT_OK);
    mesh_run(mesh, 500 * NS_PER_MS);
    cr_assert_eq(providers_at(mesh, SITE_A, &state), 1);
    mesh_free(mesh);
}

Test(core_services, no_news_of_a_former_life_survives) {
    struct client client = {0};
    struct mesh *mesh = make_sites(&client, 0);
    enum service_state state = SERVICE_FRESH;
    offer(mesh, SITE_B, "web");
    mesh_kill(mesh, SITE_B);
    mesh_run(mesh, 500 * NS_PER_MS);
    mesh_start(mesh, SITE_B); /* offers nothing in this life */
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 5 * NS_PER_S));
    mesh_run(mesh, NS_PER_S);
    cr_assert_eq(providers_at(mesh, SITE_A, &state), 1, "it may yet say so again");
    cr_assert_eq(state, SERVICE_STALE);
    mesh_run(mesh, 6 * NS_PER_S);
    for (size_t i = 0; i < 5; i++) {
        cr_assert_eq(providers_at(mesh, i, &state), 0, "node %zu believes it", i);
    }
    mesh_free(mesh);
}

Test(core_services, a_stream_goes_there_and_back_over_a_relay) {
    struct client client = {0};
    struct mesh *mesh = make_sites(&client, 0);
    offer(mesh, SITE_B, "web");
    open_client(mesh, &client, 1000000);
    mesh_run(mesh, 5 * NS_PER_S);
    cr_assert(client.is_accepted);
    cr_assert_eq(client.read, 1000000);
    cr_assert_not(client.is_wrong);
    cr_assert(client.is_closed);
    mesh_free(mesh);
}

Test(core_services, an_unknown_service_is_not_found) {
    struct client client = {0};
    struct mesh *mesh = make_sites(&client, 0);
    struct stream_id stream;
    cr_assert_eq(core_stream_open(mesh_core(mesh, 0), "default", "nothing", WIRE_PROTOCOL_TCP,
                                  mesh_now(mesh), &stream),
                 WEFT_ERR_NOT_FOUND);
    mesh_free(mesh);
}

Test(core_services, the_next_provider_is_asked_before_anything_is_seen) {
    struct client client = {.refuses = {[SITE_B] = true}};
    struct mesh *mesh = make_sites(&client, 0);
    offer(mesh, SITE_B, "web");
    offer(mesh, 4, "web");
    for (unsigned i = 0; i < 2; i++) { /* whichever is preferred, the willing one serves */
        client.read = client.written = 0;
        client.is_closed = false;
        open_client(mesh, &client, 100000);
        mesh_run(mesh, 5 * NS_PER_S);
        cr_assert(client.is_closed);
        cr_assert_eq(client.read, 100000);
        client.refuses[SITE_B] = i % 2 != 0;
        client.refuses[4] = i % 2 == 0;
    }
    cr_assert_eq(client.reset, WIRE_RESET_NONE);
    mesh_free(mesh);
}

Test(core_services, those_about_as_near_take_turns_and_a_nearer_one_has_all) {
    struct client client = {0};
    struct mesh *mesh = make_sites(&client, 0);
    offer(mesh, SITE_B, "web");
    offer(mesh, 4, "web");
    for (unsigned i = 0; i < 6; i++) {
        open_client(mesh, &client, 100);
        mesh_run(mesh, NS_PER_S);
    }
    cr_assert_eq(client.asked[SITE_B], 3);
    cr_assert_eq(client.asked[4], 3);
    offer(mesh, 1, "web"); /* on the way to both */
    for (unsigned i = 0; i < 6; i++) {
        open_client(mesh, &client, 100);
        mesh_run(mesh, NS_PER_S);
    }
    cr_assert_eq(client.asked[1], 6);
    mesh_free(mesh);
}

Test(core_services, when_all_refuse_the_stream_is_reset_with_the_reason) {
    struct client client = {.refuses = {[SITE_B] = true, [4] = true}};
    struct mesh *mesh = make_sites(&client, 0);
    offer(mesh, SITE_B, "web");
    offer(mesh, 4, "web");
    open_client(mesh, &client, 1000);
    mesh_run(mesh, 5 * NS_PER_S);
    cr_assert_eq(client.reset, WIRE_RESET_CONNECT_FAILED);
    cr_assert_eq(client.asked[SITE_B] + client.asked[4], 2);
    mesh_free(mesh);
}

static size_t relay_in_use(struct mesh *mesh) {
    struct weft_peer_id path[4];
    cr_assert_eq(core_trace_path(mesh_core(mesh, SITE_A), mesh_id(mesh, SITE_B), path, 4), 3);
    return mesh_node_of(mesh, &path[1]);
}

Test(core_services, a_stream_outlives_its_relay_many_times) {
    struct client client = {0};
    struct mesh *mesh = make_sites(&client, 20000000);
    offer(mesh, SITE_B, "web");
    open_client(mesh, &client, 40000000);
    for (unsigned i = 0; i < 10; i++) {
        mesh_run(mesh, 137 * NS_PER_MS);
        size_t relay = relay_in_use(mesh);
        mesh_kill(mesh, relay);
        mesh_run(mesh, 60 * NS_PER_MS);
        mesh_start(mesh, relay);
        /* Links that live so shortly are made again with a growing delay. */
        cr_assert(mesh_run_until(mesh, mesh_is_settled, 40 * NS_PER_S), "round %u", i);
    }
    mesh_run(mesh, 60 * NS_PER_S);
    cr_assert_eq(client.reset, WIRE_RESET_NONE, "reset with reason %d", client.reset);
    cr_assert_not(client.is_wrong);
    cr_assert_eq(client.read, 40000000, "read %llu", (unsigned long long)client.read);
    cr_assert(client.is_closed);
    mesh_free(mesh);
}

Test(core_services, a_stream_outlives_a_gap_without_any_path) {
    struct client client = {0};
    struct mesh *mesh = make_sites(&client, 20000000);
    offer(mesh, SITE_B, "web");
    open_client(mesh, &client, 20000000);
    mesh_run(mesh, 200 * NS_PER_MS);
    mesh_kill(mesh, 1);
    mesh_kill(mesh, 2);
    mesh_run(mesh, 20 * NS_PER_S);
    cr_assert_lt(client.read, 20000000);
    mesh_start(mesh, 1);
    mesh_run(mesh, 60 * NS_PER_S);
    cr_assert_eq(client.reset, WIRE_RESET_NONE);
    cr_assert_eq(client.read, 20000000, "read %llu", (unsigned long long)client.read);
    cr_assert_not(client.is_wrong);
    mesh_free(mesh);
}

Test(core_services, a_silent_relay_costs_no_byte) {
    struct client client = {0};
    struct mesh *mesh = make_sites(&client, 20000000);
    offer(mesh, SITE_B, "web");
    open_client(mesh, &client, 20000000);
    mesh_run(mesh, 200 * NS_PER_MS);
    mesh_pause(mesh, relay_in_use(mesh), true);
    mesh_run(mesh, 30 * NS_PER_S);
    cr_assert_eq(client.read, 20000000, "read %llu", (unsigned long long)client.read);
    cr_assert_not(client.is_wrong);
    mesh_free(mesh);
}

Test(core_services, the_end_nodes_restart_ends_the_stream) {
    struct client client = {0};
    struct mesh *mesh = make_sites(&client, 20000000);
    offer(mesh, SITE_B, "web");
    open_client(mesh, &client, 100000000);
    mesh_run(mesh, 200 * NS_PER_MS);
    mesh_kill(mesh, SITE_B);
    mesh_run(mesh, 500 * NS_PER_MS);
    mesh_start(mesh, SITE_B);
    mesh_run(mesh, 10 * NS_PER_S);
    cr_assert_eq(client.reset, WIRE_RESET_RESTARTED, "reset with reason %d", client.reset);
    mesh_free(mesh);
}
