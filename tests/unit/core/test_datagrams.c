/* SPDX-License-Identifier: Apache-2.0
 *
 * Flows of datagrams in a mesh of cores: which provider they lead to, and when they move.
 */
#include <criterion/criterion.h>

#include "base/time.h"
#include "core/internal.h"
#include "support/mesh.h"

#define CLIENT 0
#define RELAY 1

/* What the nodes were told; servers answer with what they got, unless they refuse. */
struct talk {
    struct flow_id flow; /* the client's */
    size_t incoming[MESH_NODES_MAX];
    size_t got[MESH_NODES_MAX];
    size_t ends[MESH_NODES_MAX];
    size_t last_len;
    enum wire_reset_reason reason; /* of the client's end */
    enum wire_reset_reason refuses[MESH_NODES_MAX];
    struct flow_id served; /* the last one that came in */
    bool is_mute;
};

static void on_datagram(void *ctx, struct mesh *mesh, size_t node,
                        const struct datagram_event *event) {
    struct talk *talk = ctx;
    struct core *core = mesh_core(mesh, node);
    bool is_ours = event->flow.value == talk->flow.value && node == CLIENT;
    switch (event->kind) {
    case DATAGRAM_EVENT_INCOMING:
        talk->incoming[node]++;
        talk->served = event->flow;
        if (talk->refuses[node] != WIRE_RESET_NONE) {
            core_datagram_end(core, event->flow, talk->refuses[node], mesh_now(mesh));
        }
        break;
    case DATAGRAM_EVENT_DATA:
        talk->got[node] += is_ours || node != CLIENT ? 1 : 0;
        talk->last_len = event->payload->len;
        if (!is_ours && !talk->is_mute) {
            core_datagram_send(core, event->flow, frame_view(event->payload), mesh_now(mesh));
        }
        break;
    case DATAGRAM_EVENT_END:
        talk->ends[node]++;
        talk->reason = event->reason;
        break;
    case DATAGRAM_EVENT_REFUSED:
        cr_assert_fail("the core keeps refusals to itself");
    }
}

static void offer(struct mesh *mesh, size_t node, const char *name) {
    const struct wire_endpoint endpoint = {.address = span_of_text("127.0.0.1:53"), .weight = 1};
    const struct core_offer offer = {
        .protocol = WIRE_PROTOCOL_UDP, .endpoints = &endpoint, .endpoint_count = 1};
    cr_assert_eq(core_offer(mesh_core(mesh, node), "default", name, &offer, mesh_now(mesh)),
                 WEFT_OK);
}

/* The client 0 and the servers 2, 3 ... around the relay 1; all servers offer "dns" over UDP. */
static struct mesh *make(struct talk *talk, size_t nodes) {
    const struct mesh_config config = {
        .seed = 5, .nodes = nodes, .delay = NS_PER_MS, .on_datagram = on_datagram, .ctx = talk};
    struct mesh *mesh = mesh_new(&config);
    mesh_allow_none(mesh);
    for (size_t i = 0; i < nodes; i++) {
        if (i != RELAY) {
            mesh_seed(mesh, i, RELAY);
        }
        mesh_start(mesh, i);
    }
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 5 * NS_PER_S));
    for (size_t i = 2; i < nodes; i++) {
        offer(mesh, i, "dns");
    }
    mesh_run(mesh, NS_PER_S);
    return mesh;
}

static enum weft_err open_dns(struct mesh *mesh, struct talk *talk) {
    return core_datagram_open(mesh_core(mesh, CLIENT), "default", "dns", mesh_now(mesh),
                              &talk->flow);
}

static void send_one(struct mesh *mesh, const struct talk *talk, size_t len) {
    static uint8_t bytes[2000];
    core_datagram_send(mesh_core(mesh, CLIENT), talk->flow, span_of(bytes, len), mesh_now(mesh));
    mesh_run(mesh, 100 * NS_PER_MS);
}

static size_t nearest(struct mesh *mesh) {
    struct core_provider best;
    cr_assert_eq(
        core_providers(mesh_core(mesh, CLIENT), "default", "dns", WIRE_PROTOCOL_UDP, &best, 1), 1);
    return mesh_node_of(mesh, &best.peer);
}

Test(core_datagrams, cross_a_relay_and_are_answered) {
    struct talk talk = {0};
    struct mesh *mesh = make(&talk, 3);
    cr_assert_eq(open_dns(mesh, &talk), WEFT_OK);
    send_one(mesh, &talk, 60);
    cr_assert_eq(talk.incoming[2], 1);
    cr_assert_eq(talk.got[2], 1);
    cr_assert_eq(talk.got[CLIENT], 1);
    cr_assert_eq(talk.last_len, 60);
    send_one(mesh, &talk, 1452);
    cr_assert_eq(talk.incoming[2], 1);
    cr_assert_eq(talk.got[CLIENT], 2);
    cr_assert_eq(talk.last_len, 1452);
    struct core_status status;
    core_get_status(mesh_core(mesh, CLIENT), &status);
    cr_assert_eq(status.datagrams.flows, 1);
    cr_assert_eq(status.datagrams.sent, 2);
    cr_assert_eq(status.datagrams.received, 2);
    cr_assert_eq(status.datagrams.dropped, 0);
    mesh_free(mesh);
}

Test(core_datagrams, a_service_of_one_protocol_is_not_the_one_of_the_other) {
    struct talk talk = {0};
    struct mesh *mesh = make(&talk, 3);
    struct stream_id stream;
    struct flow_id flow;
    struct core *client = mesh_core(mesh, CLIENT);
    cr_assert_eq(
        core_stream_open(client, "default", "dns", WIRE_PROTOCOL_TCP, mesh_now(mesh), &stream),
        WEFT_ERR_NOT_FOUND);
    cr_assert_eq(core_datagram_open(client, "default", "web", mesh_now(mesh), &flow),
                 WEFT_ERR_NOT_FOUND);
    cr_assert_eq(core_datagram_open(client, "default", "d ns", mesh_now(mesh), &flow),
                 WEFT_ERR_INVALID);
    const struct wire_endpoint endpoint = {.address = span_of_text("127.0.0.1:54"), .weight = 1};
    const struct core_offer tcp = {
        .protocol = WIRE_PROTOCOL_TCP, .endpoints = &endpoint, .endpoint_count = 1};
    cr_assert_eq(core_offer(mesh_core(mesh, 2), "default", "dns", &tcp, mesh_now(mesh)), WEFT_OK);
    mesh_run(mesh, NS_PER_S);
    struct core_provider provider;
    cr_assert_eq(core_providers(client, "default", "dns", WIRE_PROTOCOL_TCP, &provider, 1), 1);
    cr_assert(span_equal(provider.body.endpoints.items, provider.body.endpoints.items));
    cr_assert_eq(provider.body.protocol, WIRE_PROTOCOL_TCP);
    cr_assert_eq(core_providers(client, "default", "dns", WIRE_PROTOCOL_UDP, &provider, 1), 1);
    cr_assert_eq(provider.body.protocol, WIRE_PROTOCOL_UDP);
    cr_assert_eq(
        core_withdraw(mesh_core(mesh, 2), "default", "dns", WIRE_PROTOCOL_UDP, mesh_now(mesh)),
        WEFT_OK);
    mesh_run(mesh, NS_PER_S);
    cr_assert_eq(core_providers(client, "default", "dns", WIRE_PROTOCOL_UDP, &provider, 1), 0);
    cr_assert_eq(core_providers(client, "default", "dns", WIRE_PROTOCOL_TCP, &provider, 1), 1);
    mesh_free(mesh);
}

Test(core_datagrams, move_to_another_provider_when_theirs_dies) {
    struct talk talk = {0};
    struct mesh *mesh = make(&talk, 4);
    size_t first = nearest(mesh);
    size_t second = first == 2 ? 3 : 2;
    cr_assert_eq(open_dns(mesh, &talk), WEFT_OK);
    send_one(mesh, &talk, 60);
    cr_assert_eq(talk.got[first], 1);
    mesh_kill(mesh, first);
    mesh_run(mesh, NS_PER_S);
    send_one(mesh, &talk, 60);
    cr_assert_eq(talk.got[second], 1, "with the next datagram");
    cr_assert_eq(talk.got[CLIENT], 2);
    cr_assert_eq(talk.ends[CLIENT], 0);
    mesh_start(mesh, first);
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 10 * NS_PER_S));
    send_one(mesh, &talk, 60);
    cr_assert_eq(talk.got[second], 2, "and stay where they are served");
    mesh_free(mesh);
}

Test(core_datagrams, move_on_when_refused_and_end_when_all_have) {
    struct talk talk = {.refuses = {[2] = WIRE_RESET_CONNECT_FAILED}};
    struct mesh *mesh = make(&talk, 4);
    talk.refuses[nearest(mesh)] = WIRE_RESET_CONNECT_FAILED;
    size_t first = nearest(mesh);
    size_t second = first == 2 ? 3 : 2;
    talk.refuses[second] = WIRE_RESET_NONE;
    cr_assert_eq(open_dns(mesh, &talk), WEFT_OK);
    send_one(mesh, &talk, 60);
    cr_assert_eq(talk.incoming[first], 1);
    send_one(mesh, &talk, 60);
    cr_assert_eq(talk.incoming[second], 1);
    cr_assert_eq(talk.got[CLIENT], 1);
    talk.refuses[second] = WIRE_RESET_NO_SERVICE;
    core_datagram_end(mesh_core(mesh, second), talk.served, WIRE_RESET_CONNECT_FAILED,
                      mesh_now(mesh));
    mesh_run(mesh, 100 * NS_PER_MS);
    cr_assert_eq(talk.ends[CLIENT], 0, "an answer makes up for refusals before it");
    send_one(mesh, &talk, 60);
    cr_assert_eq(talk.incoming[first], 2);
    mesh_run(mesh, 100 * NS_PER_MS);
    cr_assert_eq(talk.ends[CLIENT], 1);
    cr_assert_eq(talk.reason, WIRE_RESET_CONNECT_FAILED);
    mesh_free(mesh);
}

Test(core_datagrams, a_withdrawn_service_is_refused_by_name) {
    struct talk talk = {.refuses = {[2] = WIRE_RESET_NO_SERVICE}};
    struct mesh *mesh = make(&talk, 3);
    cr_assert_eq(open_dns(mesh, &talk), WEFT_OK);
    send_one(mesh, &talk, 60);
    mesh_run(mesh, 100 * NS_PER_MS);
    cr_assert_eq(talk.ends[CLIENT], 1);
    cr_assert_eq(talk.reason, WIRE_RESET_NO_SERVICE);
    mesh_free(mesh);
}

Test(core_datagrams, go_on_over_another_path) {
    struct talk talk = {0};
    struct mesh *mesh = make(&talk, 4);
    /* Node 3 becomes a second way to node 2; only node 2 serves. */
    cr_assert_eq(
        core_withdraw(mesh_core(mesh, 3), "default", "dns", WIRE_PROTOCOL_UDP, mesh_now(mesh)),
        WEFT_OK);
    mesh_allow(mesh, CLIENT, 3, true);
    mesh_allow(mesh, 3, 2, true);
    mesh_seed(mesh, CLIENT, 3);
    mesh_seed(mesh, 2, 3);
    mesh_run(mesh, 60 * NS_PER_S);
    cr_assert_eq(open_dns(mesh, &talk), WEFT_OK);
    send_one(mesh, &talk, 60);
    cr_assert_eq(talk.got[2], 1);
    mesh_kill(mesh, RELAY);
    mesh_run(mesh, NS_PER_S);
    send_one(mesh, &talk, 60);
    cr_assert_eq(talk.got[2], 2);
    cr_assert_eq(talk.incoming[2], 1, "the same flow");
    cr_assert_eq(talk.got[CLIENT], 2);
    mesh_free(mesh);
}

Test(core_datagrams, of_a_service_of_our_own_stay_at_home) {
    struct talk talk = {0};
    struct mesh *mesh = make(&talk, 3);
    offer(mesh, CLIENT, "dns");
    mesh_run(mesh, 100 * NS_PER_MS);
    uint64_t carriers = mesh_frames(mesh, WIRE_CARRIER);
    cr_assert_eq(open_dns(mesh, &talk), WEFT_OK);
    send_one(mesh, &talk, 60);
    cr_assert_eq(talk.incoming[CLIENT], 1);
    cr_assert_eq(talk.incoming[2], 0);
    cr_assert_eq(mesh_frames(mesh, WIRE_CARRIER), carriers);
    core_datagram_end(mesh_core(mesh, CLIENT), talk.served, WIRE_RESET_CONNECT_FAILED,
                      mesh_now(mesh));
    mesh_run(mesh, 100 * NS_PER_MS);
    send_one(mesh, &talk, 60);
    cr_assert_eq(talk.incoming[2], 1, "refused at home, asked elsewhere");
    mesh_free(mesh);
}

Test(core_datagrams, a_node_that_leaves_sends_its_flows_elsewhere) {
    struct talk talk = {0};
    struct mesh *mesh = make(&talk, 4);
    size_t first = nearest(mesh);
    size_t second = first == 2 ? 3 : 2;
    cr_assert_eq(open_dns(mesh, &talk), WEFT_OK);
    send_one(mesh, &talk, 60);
    core_leave(mesh_core(mesh, first), 5 * NS_PER_S, mesh_now(mesh));
    mesh_run(mesh, 50 * NS_PER_MS);
    send_one(mesh, &talk, 60);
    cr_assert_eq(talk.got[second], 1);
    cr_assert_eq(talk.ends[CLIENT], 0);
    mesh_run(mesh, 2 * NS_PER_S);
    cr_assert(mesh_has_left(mesh, first), "flows keep nobody from leaving");
    mesh_free(mesh);
}

Test(core_datagrams, the_simplest_mesh_pays_nothing_for_them) {
    struct talk talk = {0};
    struct mesh *mesh = make(&talk, 3);
    uint64_t carriers = mesh_frames(mesh, WIRE_CARRIER);
    uint64_t unicasts = mesh_frames(mesh, WIRE_UNICAST);
    mesh_run(mesh, 60 * NS_PER_S);
    cr_assert_eq(mesh_frames(mesh, WIRE_CARRIER), carriers);
    cr_assert_eq(mesh_frames(mesh, WIRE_UNICAST), unicasts);
    mesh_free(mesh);
}

static void load_record(void *ctx, struct record *record, bool is_live) {
    struct mesh *mesh = ctx;
    (void)is_live;
    core_load_record(mesh_core(mesh, CLIENT), record->encoded, 0, mesh_now(mesh));
}

/* The client restarts with what the far end knew: its store. */
static void restart_client(struct mesh *mesh, size_t server) {
    mesh_kill(mesh, CLIENT);
    mesh_run(mesh, 50 * NS_PER_MS);
    mesh_start(mesh, CLIENT);
    recordset_each(gossip_records(mesh_core(mesh, server)->gossip), load_record, mesh);
}

/* A client that came and went a few times, so that routes to it are computed with a delay, asks the
 * far end of a line of nodes some time after it is back: before all on the way have the way back.
 * Returns how long the answer takes. */
static weft_ns ask_as_a_newcomer(uint64_t seed, size_t nodes, weft_ns after) {
    struct talk talk = {0};
    const struct mesh_config config = {
        .seed = seed, .nodes = nodes, .delay = NS_PER_MS, .on_datagram = on_datagram, .ctx = &talk};
    struct mesh *mesh = mesh_new(&config);
    mesh_allow_none(mesh);
    for (size_t i = 0; i < nodes; i++) {
        mesh_seed(mesh, i, i + 1 < nodes ? i + 1 : i - 1);
        mesh_start(mesh, i);
    }
    cr_assert(mesh_run_until(mesh, mesh_is_settled, 5 * NS_PER_S));
    offer(mesh, nodes - 1, "dns");
    mesh_run(mesh, 5 * NS_PER_S);
    for (size_t i = 0; i < 3; i++) {
        restart_client(mesh, nodes - 1);
        mesh_run(mesh, i < 2 ? 30 * NS_PER_MS : after);
    }
    cr_assert_eq(open_dns(mesh, &talk), WEFT_OK);
    weft_ns begun = mesh_now(mesh);
    core_datagram_send(mesh_core(mesh, CLIENT), talk.flow, span_of_text("?"), begun);
    while (talk.got[CLIENT] == 0 && mesh_now(mesh) - begun < 5 * NS_PER_S) {
        mesh_run(mesh, NS_PER_MS);
    }
    weft_ns took = mesh_now(mesh) - begun;
    mesh_free(mesh);
    return took;
}

Test(core_datagrams, the_first_one_waits_for_the_way_and_no_longer) {
    for (size_t nodes = 2; nodes <= 5; nodes++) {
        for (uint64_t seed = 0; seed < 20; seed++) {
            weft_ns took = ask_as_a_newcomer(seed, nodes, seed * 5 * NS_PER_MS);
            cr_assert_leq(took, 150 * NS_PER_MS, "%zu nodes, seed %d: %d ms", nodes, (int)seed,
                          (int)(took / NS_PER_MS));
        }
    }
}
