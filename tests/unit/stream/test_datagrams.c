/* SPDX-License-Identifier: Apache-2.0
 *
 * Datagram flows between two or three nodes: what arrives, what is dropped, who is told.
 */
#include <criterion/criterion.h>

#include "forge.h"
#include "stream/flow.h"

#define HELD 256

static struct net net;

/* What one node was told since it was asked last. */
struct heard {
    size_t incoming, data, refused, ends;
    struct flow_id flow; /* of the last event */
    enum wire_reset_reason reason;
    char name[WEFT_NAME_MAX + 1]; /* of the last INCOMING */
    size_t len[HELD];
    uint8_t first[HELD]; /* byte of each datagram */
};

static struct heard heard_by(unsigned index) {
    struct streams *streams = net.nodes[index].streams;
    struct heard heard = {.reason = WIRE_RESET_NONE};
    struct datagram_event event;
    while (datagrams_next_event(streams, &event)) {
        heard.flow = event.flow;
        heard.reason = event.reason;
        heard.refused += event.kind == DATAGRAM_EVENT_REFUSED ? 1 : 0;
        heard.ends += event.kind == DATAGRAM_EVENT_END ? 1 : 0;
        if (event.kind == DATAGRAM_EVENT_INCOMING) {
            struct weft_peer_id peer;
            struct datagram_service service;
            heard.incoming++;
            cr_assert(datagrams_look(streams, event.flow, &peer, &service));
            cr_assert(span_to_text(service.name, heard.name, sizeof heard.name));
        } else if (event.kind == DATAGRAM_EVENT_DATA) {
            if (heard.data < HELD) {
                heard.len[heard.data] = event.payload->len;
                heard.first[heard.data] = event.payload->len > 0 ? event.payload->data[0] : 0;
            }
            heard.data++;
            frame_unref(event.payload);
        }
    }
    return heard;
}

static struct flow_id open_flow(unsigned from, unsigned to) {
    const struct datagram_service service = {span_of_text("default"), span_of_text("dns")};
    const struct identity *peer = &net.nodes[to].identity;
    struct flow_id flow = {0};
    cr_assert_eq(
        datagrams_open(net.nodes[from].streams, &peer->id, &peer->key, &service, net.now, &flow),
        WEFT_OK);
    return flow;
}

static void send_bytes(unsigned from, struct flow_id flow, uint8_t first, size_t len) {
    static uint8_t bytes[WIRE_DATAGRAM_BYTES_MAX + 1];
    bytes[0] = first;
    datagrams_send(net.nodes[from].streams, flow, span_of(bytes, len), net.now);
}

static void run(weft_ns span) {
    net_run(&net, net.now + span);
}

static uint64_t dropped(unsigned index) {
    return datagrams_count(net.nodes[index].streams).dropped;
}

static uint64_t flows(unsigned index) {
    return datagrams_count(net.nodes[index].streams).flows;
}

/* A flow from node 0 to node 1 with one datagram each way; its ids there. */
static struct flow_id far_flow;
static struct flow_id answered_flow(void) {
    struct flow_id flow = open_flow(0, 1);
    send_bytes(0, flow, 1, 10);
    run(50 * NS_PER_MS);
    far_flow = heard_by(1).flow;
    send_bytes(1, far_flow, 2, 20);
    run(50 * NS_PER_MS);
    cr_assert_eq(heard_by(0).data, 1);
    return flow;
}

Test(datagrams, go_both_ways_and_name_their_service_until_answered) {
    net_init(&net, 1, 2);
    struct flow_id flow = open_flow(0, 1);
    send_bytes(0, flow, 7, 100);
    run(50 * NS_PER_MS);
    struct heard there = heard_by(1);
    cr_assert_eq(there.incoming, 1);
    cr_assert_eq(there.data, 1);
    cr_assert_eq(there.len[0], 100);
    cr_assert_eq(there.first[0], 7);
    cr_assert_str_eq(there.name, "dns");
    uint64_t before = net.channels[0][1].bytes;
    send_bytes(0, flow, 7, 100);
    run(50 * NS_PER_MS);
    uint64_t named = net.channels[0][1].bytes - before;
    send_bytes(1, there.flow, 9, 0);
    run(50 * NS_PER_MS);
    struct heard here = heard_by(0);
    cr_assert_eq(here.data, 1);
    cr_assert_eq(here.len[0], 0, "an empty datagram is one");
    cr_assert_eq(here.flow.value, flow.value);
    before = net.channels[0][1].bytes;
    send_bytes(0, flow, 7, 100);
    run(50 * NS_PER_MS);
    cr_assert_eq(net.channels[0][1].bytes - before, 29 + 3 + 9 + 100);
    cr_assert_eq(named, 29 + 3 + 9 + 100 + 2 + strlen("defaultdns"));
    there = heard_by(1);
    cr_assert_eq(there.incoming, 0);
    cr_assert_eq(there.data, 2);
    cr_assert_eq(dropped(0) + dropped(1), 0);
    net_fini(&net);
}

Test(datagrams, wait_for_their_session_and_leave_it_together_in_order) {
    net_init(&net, 2, 2);
    struct flow_id flow = open_flow(0, 1);
    for (uint8_t i = 0; i < 40; i++) {
        send_bytes(0, flow, i, 50);
    }
    run(50 * NS_PER_MS);
    struct heard there = heard_by(1);
    cr_assert_eq(there.data, 40);
    for (size_t i = 0; i < 40; i++) {
        cr_assert_eq(there.first[i], i);
    }
    cr_assert_leq(net.channels[0][1].packets, 3, "init, confirmation, datagrams: %llu",
                  (unsigned long long)net.channels[0][1].packets);
    net_fini(&net);
}

Test(datagrams, the_oldest_gives_way_in_a_full_queue) {
    net_init(&net, 3, 2);
    net_set_routes(&net, 0, 1, STREAM_ROUTE_NONE);
    struct flow_id flow = open_flow(0, 1);
    for (uint8_t i = 0; i < 100; i++) {
        send_bytes(0, flow, i, 10);
    }
    cr_assert_eq(dropped(0), 100 - FLOW_QUEUE_MAX);
    net_set_routes(&net, 0, 1, STREAM_ROUTE_CHANGED);
    run(50 * NS_PER_MS);
    struct heard there = heard_by(1);
    cr_assert_eq(there.data, FLOW_QUEUE_MAX);
    cr_assert_eq(there.first[0], 100 - FLOW_QUEUE_MAX);
    net_set_routes(&net, 0, 1, STREAM_ROUTE_NONE);
    for (uint8_t i = 0; i < 20; i++) {
        send_bytes(0, flow, i, 60000);
    }
    net_set_routes(&net, 0, 1, STREAM_ROUTE_CHANGED);
    run(50 * NS_PER_MS);
    cr_assert_eq(heard_by(1).data, FLOW_QUEUE_BYTES_MAX / 60000);
    net_fini(&net);
}

Test(datagrams, are_dropped_when_they_waited_too_long) {
    net_init(&net, 4, 2);
    struct flow_id flow = answered_flow();
    net_set_routes(&net, 0, 1, STREAM_ROUTE_NONE);
    send_bytes(0, flow, 1, 10);
    run(FLOW_WAIT_MAX);
    send_bytes(0, flow, 2, 10);
    run(NS_PER_S);
    net_set_routes(&net, 0, 1, STREAM_ROUTE_CHANGED);
    run(NS_PER_S);
    struct heard there = heard_by(1);
    cr_assert_eq(there.data, 1);
    cr_assert_eq(there.first[0], 2);
    cr_assert_eq(dropped(0), 1);
    net_fini(&net);
}

Test(datagrams, that_are_lost_are_not_sent_again) {
    net_init(&net, 5, 2);
    struct flow_id flow = answered_flow();
    net.channels[0][1].is_cut = true;
    send_bytes(0, flow, 1, 10);
    run(NS_PER_S);
    net.channels[0][1].is_cut = false;
    uint64_t packets = net.channels[0][1].packets;
    run(10 * NS_PER_S);
    cr_assert_eq(heard_by(1).data, 0);
    cr_assert_eq(net.channels[0][1].packets, packets);
    send_bytes(0, flow, 2, 10);
    run(NS_PER_S);
    cr_assert_eq(heard_by(1).data, 1);
    net_fini(&net);
}

Test(datagrams, the_largest_passes_and_one_byte_more_does_not) {
    net_init(&net, 6, 2);
    struct flow_id flow = open_flow(0, 1);
    send_bytes(0, flow, 1, WIRE_DATAGRAM_BYTES_MAX);
    send_bytes(0, flow, 2, WIRE_DATAGRAM_BYTES_MAX + 1);
    run(50 * NS_PER_MS);
    struct heard there = heard_by(1);
    cr_assert_eq(there.data, 1);
    cr_assert_eq(there.len[0], WIRE_DATAGRAM_BYTES_MAX);
    cr_assert_eq(dropped(0), 1);
    cr_assert_geq(WIRE_DATAGRAM_BYTES_MAX, 65000);
    net_fini(&net);
}

Test(datagrams, a_flow_without_an_answer_ends_after_half_a_minute) {
    net_init(&net, 7, 2);
    struct flow_id flow = open_flow(0, 1);
    send_bytes(0, flow, 1, 10);
    run(29 * NS_PER_S);
    cr_assert_eq(heard_by(1).ends, 0);
    send_bytes(0, flow, 1, 10); /* one way still, but alive */
    run(29 * NS_PER_S);
    cr_assert_eq(heard_by(0).ends + heard_by(1).ends, 0);
    run(2 * NS_PER_S);
    struct heard here = heard_by(0);
    cr_assert_eq(here.ends, 1);
    cr_assert_eq(here.flow.value, flow.value);
    cr_assert_eq(heard_by(1).ends, 1);
    cr_assert_eq(flows(0) + flows(1), 0);
    send_bytes(0, flow, 1, 10); /* to nobody */
    cr_assert_eq(dropped(0), 1);
    net_fini(&net);
}

Test(datagrams, a_flow_with_answers_lives_two_minutes_of_silence) {
    net_init(&net, 8, 2);
    (void)answered_flow();
    run(119 * NS_PER_S);
    cr_assert_eq(heard_by(0).ends + heard_by(1).ends, 0);
    run(2 * NS_PER_S);
    cr_assert_eq(heard_by(0).ends, 1);
    cr_assert_eq(heard_by(1).ends, 1);
    net_fini(&net);
}

Test(datagrams, a_refused_flow_can_be_moved_with_nothing_but_its_next_datagram) {
    net_init(&net, 9, 3);
    struct flow_id flow = open_flow(0, 1);
    send_bytes(0, flow, 1, 10);
    run(50 * NS_PER_MS);
    datagrams_end(net.nodes[1].streams, heard_by(1).flow, WIRE_RESET_CONNECT_FAILED);
    run(50 * NS_PER_MS);
    struct heard here = heard_by(0);
    cr_assert_eq(here.refused, 1);
    cr_assert_eq(here.flow.value, flow.value);
    cr_assert_eq(here.reason, WIRE_RESET_CONNECT_FAILED);
    const struct identity *other = &net.nodes[2].identity;
    datagrams_move(net.nodes[0].streams, flow, &other->id, &other->key, net.now);
    send_bytes(0, flow, 3, 10);
    run(50 * NS_PER_MS);
    struct heard there = heard_by(2);
    cr_assert_eq(there.incoming, 1);
    cr_assert_eq(there.data, 1);
    cr_assert_eq(there.first[0], 3);
    cr_assert_eq(heard_by(1).data, 0);
    net_fini(&net);
}

Test(datagrams, a_living_flow_that_is_moved_ends_where_it_was) {
    net_init(&net, 10, 3);
    struct flow_id flow = answered_flow();
    const struct identity *other = &net.nodes[2].identity;
    datagrams_move(net.nodes[0].streams, flow, &other->id, &other->key, net.now);
    send_bytes(0, flow, 3, 10);
    run(50 * NS_PER_MS);
    cr_assert_eq(heard_by(1).ends, 1);
    cr_assert_eq(heard_by(2).data, 1);
    net_fini(&net);
}

Test(datagrams, a_flow_forgotten_over_there_is_named_again) {
    net_init(&net, 11, 2);
    struct flow_id flow = answered_flow();
    datagrams_end(net.nodes[1].streams, far_flow, WIRE_RESET_APPLICATION);
    run(50 * NS_PER_MS);
    send_bytes(0, flow, 5, 10);
    run(50 * NS_PER_MS);
    struct heard there = heard_by(1);
    cr_assert_eq(there.incoming, 1);
    cr_assert_eq(there.data, 1);
    cr_assert_eq(heard_by(0).ends, 0);
    net_fini(&net);
}

Test(datagrams, a_flow_outlives_the_restart_of_its_peer) {
    net_init(&net, 12, 2);
    struct flow_id flow = answered_flow();
    net_restart(&net, 1, 99);
    for (uint8_t i = 0; i < 10; i++) {
        send_bytes(0, flow, i, 10);
        run(500 * NS_PER_MS);
    }
    struct heard there = heard_by(1);
    cr_assert_eq(there.incoming, 1);
    cr_assert_gt(there.data, 0);
    cr_assert_eq(heard_by(0).ends, 0);
    net_fini(&net);
}

Test(datagrams, a_restarted_opener_leaves_no_flow_behind) {
    net_init(&net, 13, 2);
    (void)answered_flow();
    net_restart(&net, 0, 99);
    struct flow_id flow = open_flow(0, 1);
    send_bytes(0, flow, 1, 10);
    run(5 * NS_PER_S);
    struct heard there = heard_by(1);
    cr_assert_eq(there.ends, 1);
    cr_assert_eq(there.incoming, 1);
    cr_assert_eq(flows(1), 1);
    net_fini(&net);
}

Test(datagrams, a_full_table_ends_the_flow_idle_longest) {
    net_init(&net, 14, 2);
    net.nodes[0].config.flows_max = 10;
    net_restart(&net, 0, 50);
    struct flow_id kept[12];
    for (size_t i = 0; i < 12; i++) {
        kept[i] = open_flow(0, 1);
        send_bytes(0, kept[i], (uint8_t)i, 10);
        send_bytes(0, kept[0], 100, 10);
        run(20 * NS_PER_MS);
    }
    struct heard here = heard_by(0);
    cr_assert_eq(here.ends, 2);
    cr_assert_eq(here.flow.value, kept[2].value, "the third was idle longest but for the second");
    cr_assert_eq(flows(0), 10);
    run(50 * NS_PER_MS);
    cr_assert_eq(flows(1), 10, "the other end was told");
    net_fini(&net);
}

Test(datagrams, one_peer_fills_no_more_than_its_share) {
    net_init(&net, 15, 3);
    struct flow_id other = open_flow(2, 1);
    send_bytes(2, other, 1, 10);
    run(50 * NS_PER_MS);
    for (size_t i = 0; i < 3000; i++) {
        send_bytes(0, open_flow(0, 1), 1, 10);
        run(2 * NS_PER_MS);
        (void)heard_by(1);
    }
    cr_assert_eq(flows(1), net.nodes[1].config.flows_max_per_peer + 1);
    send_bytes(2, other, 2, 10);
    run(50 * NS_PER_MS);
    struct heard there = heard_by(1);
    cr_assert_eq(there.incoming, 0, "the flow of another is still there");
    cr_assert_eq(there.data, 1);
    net_fini(&net);
}

Test(datagrams, to_our_own_node_need_no_session) {
    net_init(&net, 16, 1);
    struct flow_id flow = open_flow(0, 0);
    send_bytes(0, flow, 4, 10);
    struct heard heard = heard_by(0);
    cr_assert_eq(heard.incoming, 1);
    cr_assert_eq(heard.data, 1);
    cr_assert_neq(heard.flow.value, flow.value);
    struct flow_id there = heard.flow;
    send_bytes(0, there, 5, 11);
    heard = heard_by(0);
    cr_assert_eq(heard.data, 1);
    cr_assert_eq(heard.flow.value, flow.value);
    cr_assert_eq(heard.len[0], 11);
    datagrams_end(net.nodes[0].streams, there, WIRE_RESET_CONNECT_FAILED);
    heard = heard_by(0);
    cr_assert_eq(heard.refused, 1);
    cr_assert_eq(heard.flow.value, flow.value);
    datagrams_end(net.nodes[0].streams, flow, WIRE_RESET_APPLICATION);
    cr_assert_eq(flows(0), 0);
    cr_assert_eq(streams_count(net.nodes[0].streams).sessions, 0);
    net_fini(&net);
}

Test(datagrams, pass_bulk_of_the_same_session) {
    net_init(&net, 17, 2);
    net.channels[0][1].bytes_per_s = 10 * 1000 * 1000;
    struct flow_id flow = answered_flow();
    struct end *end = net_open(&net, 0, 1, 3 * 1000 * 1000);
    run(20 * NS_PER_MS);
    (void)heard_by(1);
    cr_assert_lt(end->read, 3 * 1000 * 1000);
    streams_block(net.nodes[0].streams, &net.nodes[1].identity.id, true);
    run(NS_PER_S); /* bulk waits in its stream now */
    send_bytes(0, flow, 1, 10);
    streams_block(net.nodes[0].streams, &net.nodes[1].identity.id, false);
    uint64_t packets = 0;
    bool has_left = false;
    struct stream_packet packet;
    while (!has_left && streams_next_packet(net.nodes[0].streams, net.now, &packet)) {
        packets += packet.class == WIRE_CLASS_STREAM ? 1 : 0;
        has_left = packet.is_datagram;
        frame_unref(packet.frame);
    }
    cr_assert(has_left);
    cr_assert_leq(packets, 2, "at most one packet of bulk goes first");
    net_fini(&net);
}

Test(datagrams, a_blocked_link_holds_them_within_their_bound) {
    net_init(&net, 18, 2);
    struct flow_id flow = answered_flow();
    streams_block(net.nodes[0].streams, &net.nodes[1].identity.id, true);
    for (uint8_t i = 0; i < 200; i++) {
        send_bytes(0, flow, i, 10);
    }
    run(50 * NS_PER_MS);
    cr_assert_eq(heard_by(1).data, 0);
    cr_assert_eq(dropped(0), 200 - FLOW_QUEUE_MAX);
    streams_block(net.nodes[0].streams, &net.nodes[1].identity.id, false);
    run(50 * NS_PER_MS);
    cr_assert_eq(heard_by(1).data, FLOW_QUEUE_MAX);
    net_fini(&net);
}

Test(datagrams, flows_have_labels_of_their_own) {
    net_init(&net, 19, 3);
    struct flow_id one = open_flow(0, 1);
    struct flow_id other = open_flow(0, 1);
    struct flow_id far = open_flow(2, 1);
    send_bytes(0, one, 1, 10);
    send_bytes(0, other, 1, 10);
    send_bytes(2, far, 1, 10);
    run(50 * NS_PER_MS);
    uint32_t labels[] = {flow_label(flow_by_id(net.nodes[0].streams, one)),
                         flow_label(flow_by_id(net.nodes[0].streams, other)),
                         flow_label(flow_by_id(net.nodes[2].streams, far))};
    cr_assert(labels[0] != labels[1] && labels[1] != labels[2] && labels[0] != labels[2]);
    net_fini(&net);
}

/* Relays queue by label: with a stream's, a datagram would wait behind its bytes, or be dropped as
 * one of a flow that has too much there. Streams and flows are numbered alike. */
Test(datagrams, flows_and_streams_have_labels_of_their_own) {
    uint32_t labels[8];
    size_t count = 0;
    net_init(&net, 19, 2);
    (void)answered_flow();
    for (size_t i = 0; i < 4; i++) {
        struct stream_id stream = net_open(&net, 0, 1, 0)->stream;
        cr_assert_eq(streams_write(net.nodes[0].streams, stream, span_of_text("early"), net.now),
                     5);
        send_bytes(0, open_flow(0, 1), 1, 10);
    }
    struct stream_packet packet;
    while (streams_next_packet(net.nodes[0].streams, net.now, &packet)) {
        for (size_t i = 0; packet.class == WIRE_CLASS_STREAM && i < count; i++) {
            cr_assert_neq(packet.flow, labels[i]);
        }
        if (packet.class == WIRE_CLASS_STREAM) {
            cr_assert_lt(count, 8);
            labels[count++] = packet.flow;
        }
        frame_unref(packet.frame);
    }
    cr_assert_eq(count, 8);
    net_fini(&net);
}

/* ---- who breaks the rules ---- */

static struct wire_part datagram_part(uint64_t flow, uint8_t flags) {
    return (struct wire_part){.type = WIRE_PART_DATAGRAM,
                              .as.datagram = {.flow = flow,
                                              .flags = flags,
                                              .name_space = span_of_text("default"),
                                              .name = span_of_text("dns"),
                                              .bytes = span_of_text("x")}};
}

Test(datagrams, of_an_unknown_flow_make_none) {
    net_init(&net, 20, 2);
    (void)answered_flow();
    uint64_t wire_id = flow_by_id(net.nodes[1].streams, far_flow)->wire_id;
    struct wire_part unnamed = datagram_part(wire_id + 1000, 0);
    struct wire_part reversed =
        datagram_part((wire_id ^ (uint64_t)1 << 63) + 1000, WIRE_DATAGRAM_NAMED);
    uint64_t packets = net.channels[1][0].packets;
    for (int i = 0; i < 1000; i++) {
        forge_send(&net, 0, 1, &unnamed, 1);
    }
    forge_send(&net, 0, 1, &reversed, 1);
    run(50 * NS_PER_MS);
    struct heard there = heard_by(1);
    cr_assert_eq(there.incoming + there.data, 0);
    cr_assert_eq(flows(1), 1);
    cr_assert_leq(net.channels[1][0].packets - packets, 2, "one answer to all");
    net_fini(&net);
}

Test(datagrams, a_flood_of_flows_is_bounded) {
    net_init(&net, 21, 2);
    (void)answered_flow();
    uint64_t wire_id = flow_by_id(net.nodes[1].streams, far_flow)->wire_id;
    for (uint64_t i = 0; i < 20000; i++) {
        struct wire_part part = datagram_part(wire_id + 1 + i, WIRE_DATAGRAM_NAMED);
        forge_send(&net, 0, 1, &part, 1);
    }
    cr_assert_eq(flows(1), net.nodes[1].config.flows_max_per_peer);
    cr_assert_leq(datagrams_count(net.nodes[1].streams).opened, 4200);
    cr_assert(forge_was_excess(&net, 1, 0, "opened flows faster than it may"));
    run(50 * NS_PER_MS);
    (void)heard_by(1);
    cr_assert_leq(forge_session(&net, 1, 0)->flow_ends.count, FLOW_ENDS_MAX);
    net_fini(&net);
}

Test(datagrams, an_end_by_the_opener_is_not_answered) {
    net_init(&net, 22, 2);
    struct flow_id flow = answered_flow();
    datagrams_end(net.nodes[0].streams, flow, WIRE_RESET_APPLICATION);
    run(50 * NS_PER_MS);
    cr_assert_eq(heard_by(1).ends, 1);
    uint64_t packets = net.channels[1][0].packets + net.channels[0][1].packets;
    run(NS_PER_S);
    cr_assert_eq(net.channels[1][0].packets + net.channels[0][1].packets, packets);
    net_fini(&net);
}

/* One packet of one peer holds more than there was room for in a turn. */
Test(datagrams, one_peer_leaves_room_to_the_others_of_a_turn) {
    net_init(&net, 23, 3);
    (void)answered_flow();
    uint64_t wire_id = flow_by_id(net.nodes[1].streams, far_flow)->wire_id;
    struct flow_id other = open_flow(2, 1);
    send_bytes(2, other, 1, 10);
    run(50 * NS_PER_MS);
    (void)heard_by(1);
    static struct wire_part parts[4200];
    for (size_t i = 0; i < 4200; i++) {
        parts[i] = datagram_part(wire_id, 0);
    }
    forge_send(&net, 0, 1, parts, 4200);
    forge_send(&net, 0, 1, parts, 4200);
    uint64_t before = datagrams_count(net.nodes[1].streams).received;
    struct flow *flow = flow_by_id(net.nodes[2].streams, other);
    struct wire_part part = datagram_part(flow->wire_id, 0);
    forge_send(&net, 2, 1, &part, 1);
    cr_expect_eq(datagrams_count(net.nodes[1].streams).received, before + 1);
    cr_expect_eq(heard_by(1).data, 4097);
    forge_send(&net, 0, 1, parts, 4000); /* in another turn there is as much again */
    cr_expect_eq(heard_by(1).data, 4000);
    net_fini(&net);
}
