/* SPDX-License-Identifier: Apache-2.0
 *
 * A peer with valid keys that breaks the rules: each breach ends its own stream, or is counted;
 * nothing grows, nobody else suffers (T4, T8, T14, T15).
 */
#include <criterion/criterion.h>

#include "forge.h"
#include "stream/datagrams.h"

static struct net net;

/* An open stream from node 0 to node 1, whose opener has sent 100 bytes. */
static struct end *open_stream(uint64_t seed) {
    net_init(&net, seed, 2);
    struct end *end = net_open(&net, 0, 1, 100);
    end->finishes = false;
    net.nodes[1].holds_open = true;
    net_run(&net, net.now + NS_PER_S);
    cr_assert_not_null(net_far_end(&net, end));
    return end;
}

/* What the breach did: both ends are reset for it. */
static void expect_protocol_reset(struct end *end) {
    struct end *far = net_far_end(&net, end);
    net_run(&net, net.now + NS_PER_S);
    cr_assert(end->was_reset && far->was_reset);
    cr_assert_eq(end->reason, WIRE_RESET_PROTOCOL);
    cr_assert_eq(far->reason, WIRE_RESET_PROTOCOL);
    net_fini(&net);
}

static struct wire_part ack_of(const struct end *end, uint64_t cumulative) {
    return (struct wire_part){
        .type = WIRE_PART_ACK,
        .as.ack = {.stream = forge_stream(end)->wire_id, .cumulative = cumulative}};
}

static struct wire_part data_of(const struct end *end, uint64_t offset, size_t len, uint8_t flags) {
    static uint8_t bytes[60000];
    return (struct wire_part){.type = WIRE_PART_DATA,
                              .as.data = {.stream = forge_stream(end)->wire_id,
                                          .offset = offset,
                                          .flags = flags,
                                          .bytes = span_of(bytes, len)}};
}

/* Each has all streams of the session looked through: 5,900 of them in a packet held the loop for
 * 0.4 s. */
Test(hostile, answers_to_path_probes_that_were_never_sent) {
    struct end *end = open_stream(30);
    struct session *session = forge_session(&net, 0, 1);
    struct wire_part part = {.type = WIRE_PART_PONG};
    for (uint64_t count = 0; count < 4; count++) {
        part.as.ping.token = TOKEN_PROBE | count << 32 | TOKEN_PATH;
        forge_send(&net, 1, 0, &part, 1);
        cr_expect_eq(session->path_probe_count, 0, "after %u", (unsigned)count);
    }
    cr_expect_not(end->was_reset);
    net_fini(&net);
}

Test(hostile, a_reset_without_a_reason_is_no_good_end) {
    struct end *end = open_stream(31);
    const struct wire_part part = {.type = WIRE_PART_RESET,
                                   .as.reset = {.stream = forge_stream(end)->wire_id}};
    forge_send(&net, 1, 0, &part, 1);
    net_run(&net, net.now + NS_PER_S);
    cr_assert(end->was_reset);
    cr_assert_eq(end->reason, WIRE_RESET_PROTOCOL);
    net_fini(&net);
}

Test(hostile, an_ack_of_what_was_never_sent) {
    struct end *end = open_stream(1);
    struct wire_part part = ack_of(end, 101);
    forge_send(&net, 1, 0, &part, 1);
    expect_protocol_reset(end);
}

Test(hostile, a_range_of_what_was_never_sent) {
    struct end *end = open_stream(2);
    struct wire_part part = ack_of(end, 100);
    part.as.ack.range_count = 1;
    part.as.ack.ranges[0] = (struct wire_range){UINT64_MAX - 1, UINT64_MAX};
    forge_send(&net, 1, 0, &part, 1);
    expect_protocol_reset(end);
}

Test(hostile, an_ack_of_an_end_that_was_never_sent) {
    struct end *end = open_stream(3);
    struct wire_part part = ack_of(end, 100);
    part.as.ack.flags = WIRE_ACK_FIN;
    forge_send(&net, 1, 0, &part, 1);
    expect_protocol_reset(end);
}

Test(hostile, bytes_beyond_the_credit) {
    struct end *end = open_stream(4);
    struct wire_part part = data_of(end, 256 * 1024 + 100, 1, 0);
    part.as.data.offset = 1 << 20;
    forge_send(&net, 0, 1, &part, 1);
    expect_protocol_reset(end);
}

Test(hostile, bytes_at_the_end_of_the_world) {
    struct end *end = open_stream(5);
    struct wire_part part = data_of(end, UINT64_MAX - 2, 2, 0);
    forge_send(&net, 0, 1, &part, 1);
    expect_protocol_reset(end);
}

Test(hostile, an_end_that_moves) {
    struct end *end = open_stream(6);
    struct wire_part parts[] = {data_of(end, 200, 10, WIRE_DATA_FIN),
                                data_of(end, 200, 20, WIRE_DATA_FIN)};
    forge_send(&net, 0, 1, parts, 2);
    expect_protocol_reset(end);
}

Test(hostile, an_end_before_what_was_sent) {
    struct end *end = open_stream(7);
    struct wire_part part = data_of(end, 50, 0, WIRE_DATA_FIN);
    forge_send(&net, 0, 1, &part, 1);
    expect_protocol_reset(end);
}

Test(hostile, bytes_behind_the_end) {
    struct end *end = open_stream(8);
    struct wire_part parts[] = {data_of(end, 200, 10, WIRE_DATA_FIN), data_of(end, 300, 20, 0)};
    forge_send(&net, 0, 1, parts, 2);
    expect_protocol_reset(end);
}

Test(hostile, bytes_before_the_accept_beyond_the_credit_of_the_open) {
    net_init(&net, 9, 2);
    net.nodes[1].accepts = false;
    struct end *end = net_open(&net, 0, 1, 100);
    end->finishes = false;
    net_run(&net, net.now + NS_PER_S);
    struct wire_part part = data_of(end, WIRE_OPEN_CREDIT - 5, 5, 0);
    forge_send(&net, 0, 1, &part, 1);
    net_run(&net, net.now + NS_PER_S);
    cr_assert(!end->was_refused, "all of the credit may be used");
    part = data_of(end, WIRE_OPEN_CREDIT - 4, 5, 0);
    forge_send(&net, 0, 1, &part, 1);
    net_run(&net, net.now + NS_PER_S);
    cr_assert(end->was_refused);
    cr_assert_eq(end->reason, WIRE_RESET_PROTOCOL);
    net_fini(&net);
}

static struct wire_part open_of(uint64_t stream) {
    return (struct wire_part){.type = WIRE_PART_OPEN,
                              .as.open = {.stream = stream,
                                          .credit = 1000,
                                          .protocol = 1,
                                          .name_space = span_of_text("default"),
                                          .name = span_of_text("s1")}};
}

static uint64_t parity_of(unsigned opener) {
    bool is_larger = weft_peer_id_compare(&net.nodes[opener].identity.id,
                                          &net.nodes[1 - opener].identity.id) > 0;
    return is_larger ? UINT64_C(1) << 63 : 0;
}

Test(hostile, opens_under_the_other_ends_ids) {
    struct end *end = open_stream(10);
    size_t before = net.nodes[1].incoming_count;
    struct wire_part part = open_of(parity_of(1) | 5);
    forge_send(&net, 0, 1, &part, 1);
    net_run(&net, net.now + NS_PER_S);
    cr_assert_eq(net.nodes[1].incoming_count, before);
    cr_assert(!end->was_reset);
    net_fini(&net);
}

Test(hostile, an_id_opens_once) {
    (void)open_stream(11);
    struct wire_part part = open_of(parity_of(0) | 100);
    forge_send(&net, 0, 1, &part, 1);
    net_pump(&net);
    size_t before = net.nodes[1].incoming_count;
    net_run(&net, net.now + NS_PER_S);
    struct wire_part reset = {.type = WIRE_PART_RESET,
                              .as.reset = {parity_of(0) | 100, WIRE_RESET_APPLICATION}};
    forge_send(&net, 0, 1, &reset, 1);
    net_run(&net, net.now + NS_PER_S);
    forge_send(&net, 0, 1, &part, 1);
    net_run(&net, net.now + NS_PER_S);
    cr_assert_eq(net.nodes[1].incoming_count, before);
    net_fini(&net);
}

Test(hostile, a_flood_of_opens_is_bounded) {
    struct end *end = open_stream(12);
    net.nodes[1].streams->config.streams_max_per_peer = 1000;
    net.nodes[1].accepts = false;
    for (uint64_t i = 0; i < 5000; i++) {
        struct wire_part part = open_of(parity_of(0) | (i + 100));
        forge_send(&net, 0, 1, &part, 1);
    }
    cr_assert_leq(streams_count(net.nodes[1].streams).open, 1000);
    cr_assert(forge_was_excess(&net, 1, 0, "opened more streams than it may"));
    (void)end;
    net_fini(&net);
}

Test(hostile, a_budget_bounds_the_work_of_small_parts) {
    struct end *end = open_stream(13);
    struct wire_part pings[50];
    for (size_t i = 0; i < 50; i++) {
        pings[i] =
            (struct wire_part){.type = WIRE_PART_PROBE, .as.probe = {forge_stream(end)->wire_id}};
    }
    uint64_t before = net.channels[1][0].packets;
    for (int i = 0; i < 2000; i++) {
        forge_send(&net, 0, 1, pings, 50);
        net_pump(&net);
    }
    cr_assert_leq(net.channels[1][0].packets - before, 1000, "100,000 parts in one moment");
    cr_assert(forge_was_excess(&net, 1, 0, "sent more small parts than it may"));
    net_run(&net, net.now + 3 * NS_PER_S);
    end->to_write = 100;
    end->finishes = true;
    net_far_end(&net, end)->finishes = true;
    cr_assert(net_settle(&net, 10 * NS_PER_S));
    cr_assert(end->was_closed);
    struct weft_peer_id peer;
    cr_assert_null(streams_take_excess(net.nodes[1].streams, &peer), "told once, and then well");
    net_fini(&net);
}

/* T15: who grants a byte at a time makes many packets of few bytes; no more of them than the budget
 * of small parts lets it ask for, and the stream goes on once it grants more. */
Test(hostile, credit_of_one_byte_at_a_time_costs_no_packet_each) {
    struct end *end = open_stream(18);
    const struct send_side *send = &forge_stream(end)->send;
    net_far_end(&net, end)->read_at_most = 100;
    end->to_write = 1 << 20;
    net_run(&net, net.now + 3 * NS_PER_S);
    cr_assert_eq(send->next, send->credit, "all that was granted is used");
    struct wire_part part = ack_of(end, send->acked);
    uint64_t before = net.channels[0][1].packets;
    for (int i = 0; i < 50000; i++) {
        part.as.ack.credit = send->credit + 1;
        forge_send(&net, 1, 0, &part, 1);
        net_pump(&net);
    }
    cr_assert_leq(net.channels[0][1].packets - before, 1024, "%llu packets in one moment",
                  (unsigned long long)(net.channels[0][1].packets - before));
    cr_assert(!end->was_reset);
    net_fini(&net);
}

Test(hostile, floods_of_empty_packets_and_pings_leave_no_queue) {
    struct end *end = open_stream(14);
    struct wire_part ping = {.type = WIRE_PART_PING, .as.ping = {7}};
    for (int i = 0; i < 60000; i++) {
        forge_send(&net, 0, 1, &ping, i % 2 == 0 ? 1 : 0);
    }
    cr_assert_leq(forge_session(&net, 1, 0)->pongs.count, 256);
    cr_assert(!end->was_reset);
    net_fini(&net);
}

static uint64_t flood(const struct wire_part *part) {
    uint64_t before = net.channels[1][0].bytes;
    for (int i = 0; i < 3000; i++) {
        forge_send(&net, 0, 1, part, 1);
    }
    net_run(&net, net.now + NS_PER_S);
    return net.channels[1][0].bytes - before;
}

Test(hostile, data_of_streams_that_are_gone_is_answered_sparingly) {
    struct end *end = open_stream(15);
    struct wire_part parts[] = {
        open_of(parity_of(0) | 9999),
        {.type = WIRE_PART_RESET, .as.reset = {parity_of(0) | 9999, WIRE_RESET_APPLICATION}}};
    forge_send(&net, 0, 1, parts, 2);
    net_run(&net, net.now + NS_PER_S);
    struct wire_part part = data_of(end, 0, 1, 0);
    part.as.data.stream = parity_of(0) | 9999;
    uint64_t answer = flood(&part);
    cr_assert(answer > 0 && answer <= 200);
    part.as.data.stream = parity_of(0) | 10000;
    cr_assert_eq(flood(&part), 0, "of one that may yet be opened it is not answered");
    cr_assert(!end->was_reset);
    net_fini(&net);
}

Test(hostile, a_reset_of_an_unknown_stream_is_not_answered) {
    (void)open_stream(16);
    struct wire_part reset = {.type = WIRE_PART_RESET,
                              .as.reset = {parity_of(0) | 777, WIRE_RESET_APPLICATION}};
    uint64_t before = net.channels[1][0].packets;
    forge_send(&net, 0, 1, &reset, 1);
    net_run(&net, net.now + NS_PER_S);
    cr_assert_eq(net.channels[1][0].packets, before);
    net_fini(&net);
}

Test(hostile, unknown_parts_are_skipped) {
    struct end *end = open_stream(17);
    struct wire_part parts[] = {{.type = 200, .body = span_of_text("later")},
                                data_of(end, 100, 0, WIRE_DATA_FIN)};
    forge_send(&net, 0, 1, parts, 2);
    net_pump(&net);
    cr_assert(net_far_end(&net, end)->has_ended, "the part behind it counts");
    net_fini(&net);
}

/* Random parts under real keys: nothing crashes, and a fresh stream still works. */
Test(hostile, random_parts_do_no_harm) {
    for (uint64_t seed = 0; seed < 20; seed++) {
        net_init(&net, seed, 2);
        net.nodes[1].holds_open = true;
        for (unsigned i = 0; i < 4; i++) {
            net_open(&net, 0, 1, 5000)->finishes = false;
        }
        net_run(&net, net.now + NS_PER_S);
        struct rng rng = net.rng;
        for (int i = 0; i < 3000; i++) {
            struct wire_part part = {.type = (uint8_t)(1 + rng_below(&rng, 12))};
            uint8_t body[400];
            for (size_t k = 0; k < sizeof body; k++) {
                body[k] = rng_below(&rng, 3) == 0 ? (uint8_t)rng_next(&rng) : 0;
            }
            part.as.data = (struct wire_part_data){.bytes = span_of(body, rng_below(&rng, 400))};
            if (part.type != WIRE_PART_DATA) {
                memcpy(&part.as.reset, body, sizeof part.as.reset);
            }
            if (part.type == WIRE_PART_ACK) {
                part.as.ack = (struct wire_part_ack){.cumulative = rng_below(&rng, 6000),
                                                     .credit = rng_next(&rng),
                                                     .flags = (uint8_t)rng_below(&rng, 2)};
            }
            if (part.type == WIRE_PART_OPEN) {
                part = open_of(0);
            }
            if (part.type == WIRE_PART_MESSAGE) {
                part.as.message =
                    (struct wire_part_message){span_of_text("chat"), span_of(body, 100)};
            }
            if (part.type == WIRE_PART_DATAGRAM) {
                part.as.datagram =
                    (struct wire_part_datagram){.flags = (uint8_t)rng_below(&rng, 2),
                                                .name_space = span_of_text("default"),
                                                .name = span_of_text("dns"),
                                                .bytes = span_of(body, rng_below(&rng, 400))};
            }
            part.as.open.stream = (rng_below(&rng, 2) << 63) | rng_below(&rng, 12);
            part.as.data.offset =
                part.type == WIRE_PART_DATA ? rng_below(&rng, 300000) : part.as.data.offset;
            if (part.type == WIRE_PART_MESSAGE) {
                continue;
            }
            forge_send(&net, 0, 1, &part, 1);
            net_drop_flying(&net, 0, 1);
            struct stream_event event;
            while (i % 10 == 0 && streams_next_event(net.nodes[1].streams, &event)) {
                frame_unref(event.payload);
                if (event.kind == STREAM_EVENT_INCOMING) {
                    streams_accept(net.nodes[1].streams, event.stream, net.now);
                }
            }
            struct datagram_event datagram;
            while (i % 10 == 0 && datagrams_next_event(net.nodes[1].streams, &datagram)) {
                frame_unref(datagram.payload);
            }
            net.now += rng_below(&rng, 10 * NS_PER_MS);
            streams_tick(net.nodes[1].streams, net.now);
        }
        net_fini(&net);
    }
}

/* Messages that nobody has taken yet: bytes beyond a bound are dropped, and those that bring none
 * cost the budget of small parts. */
Test(hostile, messages_that_wait_have_a_bound) {
    static uint8_t bytes[48000];
    (void)open_stream(31);
    struct streams *streams = net.nodes[1].streams;
    struct wire_part part = {
        .type = WIRE_PART_MESSAGE,
        .as.message = {.channel = span_of_text("x"), .payload = span_of(bytes, sizeof bytes)}};
    for (unsigned i = 0; i < 1000; i++) {
        forge_send(&net, 0, 1, &part, 1);
    }
    cr_expect_leq(streams->notice_bytes, (size_t)16 * 1024 * 1024);
    cr_expect_geq(streams->notice_bytes, (size_t)16 * 1024 * 1024 - sizeof bytes);
    net_run(&net, net.now + NS_PER_S);
    cr_expect_eq(streams->notice_bytes, 0);

    static struct wire_part empty[5000];
    for (size_t i = 0; i < 5000; i++) {
        empty[i] = part;
        empty[i].as.message.payload.len = 0;
    }
    for (unsigned i = 0; i < 20; i++) {
        forge_send(&net, 0, 1, empty, 5000);
        struct stream_event event;
        while (streams_next_event(streams, &event)) {
            frame_unref(event.payload);
        }
    }
    cr_expect_gt(forge_session(&net, 1, 0)->deaf_until, net.now);
    net_fini(&net);
}

/* A node with little memory for its streams has little for these too: a quarter of what it has for
 * all that comes. */
Test(hostile, messages_and_datagrams_that_wait_are_bounded_by_the_memory_there_is) {
    static uint8_t bytes[48000];
    enum { RECEIVE_MAX = 2 << 20 };
    net_init(&net, 33, 2);
    net.nodes[1].config.receive_bytes_max = RECEIVE_MAX;
    net_restart(&net, 1, 77);
    struct end *end = net_open(&net, 0, 1, 100);
    end->finishes = false;
    net_run(&net, net.now + NS_PER_S);
    struct streams *streams = net.nodes[1].streams;
    const struct wire_part parts[] = {
        {.type = WIRE_PART_MESSAGE,
         .as.message = {.channel = span_of_text("x"), .payload = span_of(bytes, sizeof bytes)}},
        {.type = WIRE_PART_DATAGRAM,
         .as.datagram = {.flow = forge_stream(end)->wire_id,
                         .flags = WIRE_DATAGRAM_NAMED,
                         .name_space = span_of_text("default"),
                         .name = span_of_text("web"),
                         .bytes = span_of(bytes, sizeof bytes)}}};
    for (unsigned i = 0; i < 100; i++) {
        forge_send(&net, 0, 1, &parts[0], 1);
        forge_send(&net, 0, 1, &parts[1], 1);
    }
    cr_expect_leq(streams->notice_bytes, RECEIVE_MAX / 4);
    cr_expect_geq(streams->notice_bytes, RECEIVE_MAX / 4 - sizeof bytes);
    cr_expect_leq(streams->flows.arrived_bytes, RECEIVE_MAX / 4);
    cr_expect_geq(streams->flows.arrived_bytes, RECEIVE_MAX / 8 - sizeof bytes);
    net_fini(&net);
}
