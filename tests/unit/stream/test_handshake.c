/* SPDX-License-Identifier: Apache-2.0
 *
 * Handshakes that are disturbed: by news of routes, by restarts, by who repeats and floods.
 */
#include <criterion/criterion.h>

#include "forge.h"
#include "stream/caller.h"
#include "stream/session.h"

static struct net net;

/* A stream writes now and then for longer than keys live, on a slow way of which there is news all
 * the time: each began the handshake anew, none ended, and the stream ended for want of keys (D1).
 */
static void write_under_news(weft_ns one_way, weft_ns every, enum stream_route route) {
    net_init(&net, 1, 2);
    net.nodes[1].holds_open = true;
    struct end *end = net_open(&net, 0, 1, 100);
    end->finishes = false;
    net_run(&net, net.now + 5 * NS_PER_S);
    const struct end *far = net_far_end(&net, end);
    net.channels[0][1].delay = one_way;
    net.channels[1][0].delay = one_way;
    weft_ns until = net.now + 400 * NS_PER_S;
    while (net.now < until) {
        net_run(&net, net.now + every);
        cr_assert_not(end->was_reset, "after %u s of news every %u ms",
                      (unsigned)(net.now / NS_PER_S), (unsigned)(every / NS_PER_MS));
        cr_assert_not(far->was_reset);
        end->to_write = 10;
        net_set_routes(&net, 0, 1, route);
    }
    cr_expect_gt(far->read, 400);
    net_fini(&net);
}

Test(handshake, news_of_routes_do_not_keep_a_handshake_from_ending, .timeout = 100) {
    write_under_news(300 * NS_PER_MS, 500 * NS_PER_MS, STREAM_ROUTE_MOVED);
    write_under_news(1500 * NS_PER_MS, 4 * NS_PER_S, STREAM_ROUTE_MOVED);
    write_under_news(2 * NS_PER_S, 8 * NS_PER_S, STREAM_ROUTE_CHANGED);
}

/* A first handshake, on a way whose round trip nobody has measured yet, of which there is news all
 * the time. Relays that crash every few seconds under standing queues made a stream wait for its
 * first keys until it was given up (D1). */
static void open_under_news(weft_ns one_way, weft_ns every, enum stream_route before) {
    net_init(&net, 1, 2);
    net.channels[0][1].delay = net.channels[1][0].delay = one_way;
    struct end *end = net_open(&net, 0, 1, 100);
    struct end *back = net_open(&net, 1, 0, 100); /* both ask */
    weft_ns until = net.now + 12 * one_way + NS_PER_S;
    while (net.now < until) {
        net_run(&net, net.now + every);
        net_set_routes(&net, 0, 1, before);
        net_set_routes(&net, 0, 1, STREAM_ROUTE_CHANGED);
    }
    cr_expect(end->was_closed && back->was_closed, "no keys in four round trips");
    cr_expect_lt(net.channels[0][1].packets, 40 + 100 * (unsigned)((until - NS_PER_S) / NS_PER_S));
    net_fini(&net);
}

Test(handshake, news_of_routes_do_not_keep_the_first_one_from_ending, .timeout = 100) {
    open_under_news(25 * NS_PER_MS, 20 * NS_PER_MS, STREAM_ROUTE_CHANGED);
    open_under_news(25 * NS_PER_MS, 20 * NS_PER_MS, STREAM_ROUTE_NONE);
    open_under_news(1500 * NS_PER_MS, 400 * NS_PER_MS, STREAM_ROUTE_CHANGED);
    open_under_news(1500 * NS_PER_MS, 20 * NS_PER_MS, STREAM_ROUTE_NONE);
    open_under_news(3 * NS_PER_S, 2 * NS_PER_S, STREAM_ROUTE_MOVED);
}

/* The peer of node 1 goes away for good while node 1 has last words for it, and comes back as
 * another instance, which counts its streams anew. */
static void return_as_another(void) {
    net_restart(&net, 0, 900);
    streams_peer_life(net.nodes[1].streams, &net.nodes[0].identity.id,
                      net.nodes[0].config.incarnation, 900, net.now);
    net.channels[0][1].is_cut = net.channels[1][0].is_cut = false;
    streams_route(net.nodes[1].streams, &net.nodes[0].identity.id, STREAM_ROUTE_CHANGED, net.now);
}

static void go_away(void) {
    net.channels[0][1].is_cut = net.channels[1][0].is_cut = true;
    streams_route(net.nodes[1].streams, &net.nodes[0].identity.id, STREAM_ROUTE_NONE, net.now);
}

Test(handshake, a_reset_of_the_former_life_does_not_end_a_stream_of_the_next) {
    net_init(&net, 6, 2);
    struct end *end = net_open(&net, 0, 1, 100);
    end->finishes = false;
    net_run(&net, net.now + NS_PER_S);
    struct end *far = net_far_end(&net, end);
    go_away();
    streams_reset(net.nodes[1].streams, far->stream, WIRE_RESET_APPLICATION, net.now);
    far->is_used = false;
    net_run(&net, net.now + NS_PER_S);
    return_as_another();
    struct end *next = net_open(&net, 0, 1, 5000);
    next->finishes = false;
    net_run(&net, net.now + 2 * NS_PER_S);
    cr_assert(next->was_accepted);
    cr_assert(!next->was_reset && !next->was_refused);
    net_fini(&net);
}

/* The same when node 1 hears of the new life by its handshake alone. */
Test(handshake, a_reset_of_the_former_life_goes_with_its_keys) {
    net_init(&net, 7, 2);
    struct end *end = net_open(&net, 0, 1, 100);
    end->finishes = false;
    net_run(&net, net.now + NS_PER_S);
    go_away();
    net_run(&net, net.now + 200 * NS_PER_S);
    net_restart(&net, 0, 900);
    net.channels[0][1].is_cut = net.channels[1][0].is_cut = false;
    streams_route(net.nodes[1].streams, &net.nodes[0].identity.id, STREAM_ROUTE_CHANGED, net.now);
    struct end *next = net_open(&net, 0, 1, 5000);
    next->finishes = false;
    net_run(&net, net.now + 3 * NS_PER_S);
    cr_assert(next->was_accepted);
    cr_assert(!next->was_reset && !next->was_refused);
    net_fini(&net);
}

/* Loses the first sealed packet of node 0. */
static bool has_lost;

static void lose_first(struct net *of, unsigned from, unsigned to, struct frame *frame) {
    (void)to;
    if (from == 0) {
        of->channels[0][1].is_cut = frame->data[0] == WIRE_PACKET_SEALED && !has_lost;
        has_lost = has_lost || frame->data[0] == WIRE_PACKET_SEALED;
    }
}

/* The last ack of a stream that is over waits for a path; that stream of the next life that has the
 * same number would take it for its own, and believe bytes at the far end that never came. */
Test(handshake, an_ack_of_the_former_life_does_not_acknowledge_bytes_of_the_next) {
    net_init(&net, 7, 2);
    net.nodes[1].holds_open = true;
    (void)net_open(&net, 0, 1, 100);
    net_run(&net, net.now + NS_PER_S);
    streams_route(net.nodes[1].streams, &net.nodes[0].identity.id, STREAM_ROUTE_CHANGED, net.now);
    streams_route(net.nodes[1].streams, &net.nodes[0].identity.id, STREAM_ROUTE_NONE, net.now);
    has_lost = false;
    net.tap = lose_first;
    return_as_another();
    struct end *next = net_open(&net, 0, 1, 100);
    net_run(&net, net.now + 100 * NS_PER_S);
    const struct end *far = net_far_end(&net, next);
    cr_assert(!next->was_reset && !next->was_refused);
    cr_assert_not_null(far);
    cr_assert_eq(far->read, 100);
    net_fini(&net);
}

/* Last words of a flow of datagrams, as of a stream. */
Test(handshake, the_end_of_a_former_flow_is_not_told_to_the_next_life) {
    net_init(&net, 8, 2);
    struct end *end = net_open(&net, 0, 1, 100);
    end->finishes = false;
    net_run(&net, net.now + NS_PER_S);
    struct wire_part stray = {
        .type = WIRE_PART_DATAGRAM,
        .as.datagram = {.flow = forge_stream(end)->wire_id, .bytes = span_of_text("x")}};
    go_away();
    forge_send(&net, 0, 1, &stray, 1); /* of a flow that node 1 does not know: it says so */
    cr_assert_gt(forge_session(&net, 1, 0)->flow_ends.count, 0);
    return_as_another();
    cr_assert_eq(forge_session(&net, 1, 0)->flow_ends.count, 0);
    net_fini(&net);
}

/* An INIT that somebody made up who knows of a node what all know. */
static void send_junk(unsigned to, const struct weft_public_key *claimed, uint64_t number) {
    uint8_t bytes[WIRE_INIT_HEADER_BYTES + 200];
    const uint8_t noise[200] = {(uint8_t)number};
    struct weft_peer_id source = peer_id_of_key(claimed);
    struct wire_packet packet = {
        .type = WIRE_PACKET_INIT,
        .sender_index = (uint32_t)number,
        .init = {.key = *claimed, .incarnation = 1000, .instance = 5, .epoch = number},
        .rest = span_of(noise, sizeof noise)};
    memcpy(packet.init.mac, &number, sizeof number);
    struct wire_writer writer = wire_writer_of(bytes, sizeof bytes);
    wire_packet_encode(&writer, &packet);
    streams_packet(net.nodes[to].streams, &source, &source, loan_of(wire_writer_view(&writer)),
                   false, net.now);
}

/* In the name of both other nodes, and of one that does not exist. */
static void flood(unsigned to, unsigned count) {
    static uint64_t number;
    for (unsigned i = 0; i < count; i++) {
        struct weft_public_key minted = {.bytes = {1}};
        number++;
        memcpy(minted.bytes, &number, sizeof number);
        send_junk(to, &net.nodes[0].identity.key, number);
        send_junk(to, &net.nodes[2].identity.key, number);
        send_junk(to, &minted, number);
    }
}

Test(handshake, junk_in_any_name_keeps_no_session_out) {
    net_init(&net, 9, 3);
    flood(1, 3000);
    struct end *end = net_open(&net, 0, 1, 100);
    end->finishes = false;
    for (unsigned ms = 0; ms < 100; ms++) {
        flood(1, 20);
        net_run(&net, net.now + NS_PER_MS);
    }
    cr_assert(end->was_accepted);
    struct weft_peer_id peer;
    cr_assert_null(streams_take_excess(net.nodes[1].streams, &peer), "no name proves anything");
    net_fini(&net);
}

Test(handshake, junk_in_any_name_lets_keys_be_renewed, .timeout = 100) {
    net_init(&net, 10, 3);
    for (unsigned i = 0; i < 2; i++) {
        net.nodes[i].config.rekey_after = 2 * NS_PER_S;
        net.nodes[i].config.session_max = 3 * NS_PER_S;
        net_restart(&net, i, 70 + i);
    }
    struct end *end = net_open(&net, 0, 1, 100);
    end->finishes = false;
    net_run(&net, net.now + NS_PER_S);
    flood(0, 1000);
    flood(1, 1000);
    for (unsigned ms = 0; ms < 8000; ms++) {
        flood(0, 2);
        flood(1, 2);
        end->to_write = ms % 10 == 0 ? 1 : 0;
        net_run(&net, net.now + NS_PER_MS);
        const struct session_keys *keys = forge_session(&net, 0, 1)->current;
        cr_assert(keys != NULL && time_since(keys->made_at, net.now) < 3 * NS_PER_S);
    }
    cr_assert(!end->was_reset);
    net_fini(&net);
}

/* What the node that `tap_ctx` names asks never arrives. */
static void lose_inits(struct net *of, unsigned from, unsigned to, struct frame *frame) {
    (void)to;
    if (of->tap_ctx == &of->nodes[from] && frame->data[0] == WIRE_PACKET_INIT) {
        frame->data[0] = UINT8_MAX;
    }
}

/* Both want keys, and only what one asks gets through, which may be the one that goes second. */
Test(handshake, ends_if_what_one_of_both_asks_gets_through) {
    for (unsigned lost = 0; lost < 2; lost++) {
        net_init(&net, 3 + lost, 2);
        net.tap = lose_inits;
        net.tap_ctx = &net.nodes[lost];
        struct end *one = net_open(&net, 0, 1, 1000);
        struct end *other = net_open(&net, 1, 0, 1000);
        cr_assert(net_settle(&net, 5 * NS_PER_S));
        cr_assert(one->was_closed && other->was_closed);
        net_fini(&net);
    }
}

/* Whoever relayed an INIT once may repeat it: the peer that restarted meanwhile is not kept out. */
static struct frame *recorded;

static void record_init(struct net *of, unsigned from, unsigned to, struct frame *frame) {
    (void)of;
    (void)to;
    if (recorded == NULL && from == 0 && frame->data[0] == WIRE_PACKET_INIT) {
        recorded = frame_copy(frame_view(frame));
    }
}

static void open_and_record(void) {
    net.tap = record_init;
    recorded = NULL;
    (void)net_open(&net, 0, 1, 5000);
    cr_assert(net_settle(&net, NS_PER_S));
    net.tap = NULL;
    cr_assert_not_null(recorded);
}

static void repeat(void) {
    streams_packet(net.nodes[1].streams, &net.nodes[0].identity.id, &net.nodes[0].identity.id,
                   loan_of(frame_view(recorded)), false, net.now);
}

Test(handshake, an_init_of_a_former_life_that_is_repeated_keeps_no_session_out) {
    net_init(&net, 14, 2);
    open_and_record();
    net_restart(&net, 0, 900);
    net.channels[0][1].delay = net.channels[1][0].delay = 10 * NS_PER_MS;
    struct end *end = net_open(&net, 0, 1, 5000);
    for (unsigned ms = 0; ms < 1000; ms += 4) {
        repeat();
        net_run(&net, net.now + 4 * NS_PER_MS);
    }
    cr_assert(end->was_accepted && !end->was_reset);
    frame_unref(recorded);
    net_fini(&net);
}

/* The same of the life before the last, when only a record told of the new one: no keys are in
 * force. */
Test(handshake, an_init_of_a_life_that_is_known_to_be_over_is_refused) {
    net_init(&net, 15, 2);
    open_and_record();
    net_restart(&net, 0, 800);
    (void)net_open(&net, 0, 1, 100);
    cr_assert(net_settle(&net, NS_PER_S));
    streams_peer_life(net.nodes[1].streams, &net.nodes[0].identity.id, 3, 900, net.now);
    repeat();
    cr_assert_null(forge_session(&net, 1, 0)->next);
    frame_unref(recorded);
    net_fini(&net);
}

/* A node that came back from an older copy of its disk looks like a former life, until it hears. */
Test(handshake, who_comes_from_an_old_copy_is_taken_once_it_knows) {
    net_init(&net, 16, 2);
    net_restart(&net, 0, 800);
    (void)net_open(&net, 0, 1, 100);
    cr_assert(net_settle(&net, NS_PER_S));
    net.nodes[0].config.incarnation = 0;
    net_restart(&net, 0, 900);
    struct end *end = net_open(&net, 0, 1, 100);
    net_run(&net, net.now + 4 * NS_PER_S);
    cr_assert(!end->was_accepted);
    streams_raise_incarnation(net.nodes[0].streams, 3);
    net_run(&net, net.now + 8 * NS_PER_S);
    cr_assert(end->was_accepted);
    net_fini(&net);
}

/* Once its records faded nothing tells it of the life it forgot. What was recorded of that one may
 * be repeated once, which costs a handshake that nobody confirms. */
Test(handshake, who_comes_from_an_old_copy_after_its_records_faded_is_taken) {
    net_init(&net, 21, 2);
    net_restart(&net, 0, 800);
    (void)net_open(&net, 0, 1, 100);
    cr_assert(net_settle(&net, NS_PER_S));
    net.nodes[0].config.incarnation = 0;
    net_restart(&net, 0, 900);
    struct end *early = net_open(&net, 0, 1, 100);
    net_run(&net, net.now + 3600 * NS_PER_S);
    cr_assert(early->was_refused || early->was_reset || !early->was_accepted);
    streams_reset(net.nodes[0].streams, early->stream, WIRE_RESET_APPLICATION, net.now);
    net_run(&net, net.now + CALLER_LIFE);
    struct end *end = net_open(&net, 0, 1, 100);
    net_run(&net, net.now + 8 * NS_PER_S);
    cr_assert(end->was_accepted);
    net_fini(&net);
}

Test(handshake, an_init_of_long_ago_is_taken_once) {
    net_init(&net, 22, 2);
    open_and_record();
    net_run(&net, net.now + CALLER_LIFE + NS_PER_S);
    cr_assert_null(forge_session(&net, 1, 0));
    repeat();
    const struct session *session = forge_session(&net, 1, 0);
    cr_assert_not_null(session->next);
    uint32_t index = session->next->local_index;
    for (unsigned i = 0; i < 10; i++) {
        repeat();
    }
    cr_assert_eq(session->next->local_index, index); /* the same answer, said again */
    cr_assert_null(session->current);
    frame_unref(recorded);
    net_fini(&net);
}

Test(handshake, who_asks_without_end_uses_up_its_own_budget) {
    net_init(&net, 17, 3);
    net.channels[2][1].is_cut = true;
    (void)net_open(&net, 2, 1, 100);
    net_pump(&net);
    struct session *session = forge_session(&net, 2, 1);
    for (unsigned i = 0; i < 200; i++) {
        session_ask_anew(session);
        struct frame *init = session_build_init(session, net.now);
        streams_packet(net.nodes[1].streams, &net.nodes[2].identity.id, &net.nodes[2].identity.id,
                       loan_of(frame_view(init)), false, net.now);
        frame_unref(init);
    }
    uint64_t refused = streams_count(net.nodes[1].streams).packets_refused;
    cr_assert_geq(refused, 180);
    cr_assert(forge_was_excess(&net, 1, 2, "asked for sessions more often than it may"));
    struct end *end = net_open(&net, 0, 1, 100);
    end->finishes = false;
    net_run(&net, net.now + 100 * NS_PER_MS);
    cr_assert(end->was_accepted);
    cr_assert_eq(streams_count(net.nodes[1].streams).packets_refused, refused);
    net_fini(&net);
}

/* A relay that withheld all that a peer asked in five minutes brings it at once, and the last of it
 * again and again. */
Test(handshake, who_was_kept_waiting_is_not_named_for_asking) {
    net_init(&net, 28, 3);
    net.channels[2][1].is_cut = true;
    (void)net_open(&net, 2, 1, 100);
    net_pump(&net);
    struct session *session = forge_session(&net, 2, 1);
    for (unsigned i = 0; i < 40; i++) {
        session_ask_anew(session);
        frame_unref(recorded);
        recorded = session_build_init(session, net.now);
        streams_packet(net.nodes[1].streams, &net.nodes[2].identity.id, &net.nodes[2].identity.id,
                       loan_of(frame_view(recorded)), false, net.now);
    }
    for (unsigned i = 0; i < 200; i++) {
        streams_packet(net.nodes[1].streams, &net.nodes[2].identity.id, &net.nodes[2].identity.id,
                       loan_of(frame_view(recorded)), false, net.now);
    }
    struct weft_peer_id peer;
    cr_assert_null(streams_take_excess(net.nodes[1].streams, &peer));
    frame_unref(recorded);
    net_fini(&net);
}

/* Keys that a member minted: what an INIT proves, theirs prove too. */
#define MINTED 3000

struct minted {
    struct identity identity;
    struct caller caller;
    uint64_t epoch;
};

static struct minted minted[MINTED];

static void mint(unsigned victim) {
    uint8_t link_key[WEFT_KEY_BYTES];
    cr_assert_eq(identity_link_key(&net.nodes[victim].identity.key, link_key), WEFT_OK);
    for (uint32_t i = 0; i < MINTED; i++) {
        uint8_t seed[32] = {9};
        memcpy(seed + 1, &i, sizeof i);
        identity_from_seed(&minted[i].identity, seed);
        cr_assert_eq(identity_shared_key(&minted[i].identity, link_key, "weft session init",
                                         minted[i].caller.mac_key),
                     WEFT_OK);
        minted[i].epoch = 0;
    }
}

/* Its MAC is true, what is behind it is junk. */
static void ask_as(struct minted *who, unsigned victim, unsigned neighbour) {
    static const uint8_t noise[150] = {1};
    uint8_t bytes[WIRE_INIT_HEADER_BYTES + 200];
    struct wire_packet packet = {
        .type = WIRE_PACKET_INIT,
        .sender_index = 1,
        .init = {.key = who->identity.key, .incarnation = 1, .instance = 5, .epoch = ++who->epoch},
        .rest = span_of(noise, sizeof noise)};
    caller_mac(&who->caller, &who->identity.id, &net.nodes[victim].identity.id, &packet,
               packet.init.mac);
    struct wire_writer writer = wire_writer_of(bytes, sizeof bytes);
    wire_packet_encode(&writer, &packet);
    streams_packet(net.nodes[victim].streams, &who->identity.id, &net.nodes[neighbour].identity.id,
                   loan_of(wire_writer_view(&writer)), false, net.now);
}

/* Node 1 knows all of them: a minute of 49 new ones a second. Then they ask 6,000 times a second
 * over one link, each no more often than it may. Returns how many of three newcomers node 1 took
 * within half a second each. */
static unsigned newcomers_beside_minted(unsigned neighbour, bool has_paths) {
    unsigned at = 0;
    unsigned taken = 0;
    mint(1);
    for (unsigned i = 0; i < MINTED; i++) {
        if (has_paths) {
            streams_route(net.nodes[1].streams, &minted[i].identity.id, STREAM_ROUTE_SAME, net.now);
        }
        ask_as(&minted[i], 1, neighbour);
        net.now += NS_PER_S / 49;
    }
    cr_assert_eq(map_count(net.nodes[1].streams->callers), MINTED);
    struct end *end = NULL;
    for (unsigned ms = 0; ms < 4500; ms++) {
        if (ms >= 3000 && ms % 500 == 0) {
            taken += end != NULL && end->was_accepted ? 1 : 0;
            end = net_open(&net, ms == 3000 ? 0 : ms / 500 - 4, 1, 100);
            end->finishes = false;
        }
        for (unsigned i = 0; i < 6; i++) {
            ask_as(&minted[at++ % MINTED], 1, neighbour);
        }
        net_run(&net, net.now + NS_PER_MS);
    }
    return taken + (end->was_accepted ? 1 : 0);
}

Test(handshake, keys_that_a_member_minted_keep_no_newcomer_out) {
    net_init(&net, 23, 5);
    cr_assert_eq(newcomers_beside_minted(0, false), 3, "though they come over its own link");
    net_fini(&net);
}

/* A member may also say that it has a link with each of them, and they with it. */
Test(handshake, peers_that_a_member_minted_keep_no_newcomer_of_another_link_out) {
    net_init(&net, 24, 5);
    cr_assert_eq(newcomers_beside_minted(2, true), 3);
    net_fini(&net);
}

/* What the budgets of all refuse may be repeated by whoever relays it, and is as new each time: the
 * peer has asked once. */
Test(handshake, an_init_that_was_refused_and_is_repeated_costs_its_peer_nothing) {
    net_init(&net, 25, 3);
    mint(1);
    streams_route(net.nodes[1].streams, &net.nodes[0].identity.id, STREAM_ROUTE_NONE, net.now);
    for (unsigned i = 0; i < MINTED; i++) { /* known to node 1, each for a second's worth */
        ask_as(&minted[i], 1, 2);
        net.now += NS_PER_S / 49;
    }
    for (unsigned i = 0; i < 200; i++) {
        ask_as(&minted[i], 1, 2);
    }
    net.tap = record_init;
    recorded = NULL;
    struct end *end = net_open(&net, 0, 1, 100);
    end->finishes = false;
    net_pump(&net);
    net.tap = NULL;
    cr_assert_not_null(recorded);
    for (unsigned i = 0; i < 100; i++) {
        repeat();
    }
    cr_assert_not(forge_was_excess(&net, 1, 0, "asked for sessions more often than it may"));
    net.now += NS_PER_S;
    repeat();
    cr_assert_not_null(forge_session(&net, 1, 0), "its share is whole");
    frame_unref(recorded);
    net_fini(&net);
}

Test(handshake, keys_of_callers_have_a_bound) {
    net_init(&net, 18, 2);
    net.nodes[0].config.peers_max = 1;
    net_restart(&net, 0, 900);
    (void)net_open(&net, 0, 1, 100);
    cr_assert(net_settle(&net, NS_PER_S));
    struct streams *streams = net.nodes[0].streams;
    const uint8_t *link_key = forge_session(&net, 0, 1)->link_key;
    const struct caller *held = forge_session(&net, 0, 1)->caller;
    for (uint32_t i = 1; i <= CALLERS_MAX + 10; i++) {
        struct weft_peer_id peer = {.bytes = {(uint8_t)i, (uint8_t)(i >> 8), (uint8_t)(i >> 16)}};
        cr_assert_not_null(caller_get(streams, &peer, link_key));
    }
    cr_assert_eq(map_count(streams->callers), CALLERS_MAX + 1);
    cr_assert_eq(caller_get(streams, &net.nodes[1].identity.id, link_key), held, "in use");
    net_fini(&net);
}

/* Node 0 has room for one session. */
static void fill_the_table(uint64_t seed) {
    net_init(&net, seed, 3);
    net.nodes[0].config.peers_max = 1;
    net_restart(&net, 0, 900);
}

Test(handshake, who_asks_does_not_push_out_who_was_there_a_moment_ago) {
    fill_the_table(19);
    (void)net_open(&net, 1, 0, 100);
    cr_assert(net_settle(&net, NS_PER_S));
    struct end *end = net_open(&net, 2, 0, 100);
    end->finishes = false;
    net_run(&net, net.now + 10 * NS_PER_S);
    cr_assert(!end->was_accepted);
    cr_assert_not_null(forge_session(&net, 0, 1));
    net_run(&net, net.now + 55 * NS_PER_S);
    end = net_open(&net, 2, 0, 100);
    end->finishes = false;
    net_run(&net, net.now + 10 * NS_PER_S);
    cr_assert(end->was_accepted, "the place is free after a minute");
    net_fini(&net);
}

Test(handshake, who_asks_takes_the_place_of_who_never_confirmed) {
    fill_the_table(20);
    net.channels[0][1].is_cut = true;
    (void)net_open(&net, 1, 0, 100);
    net_run(&net, net.now + NS_PER_S);
    cr_assert_not_null(forge_session(&net, 0, 1));
    struct end *end = net_open(&net, 2, 0, 100);
    end->finishes = false;
    net_run(&net, net.now + 500 * NS_PER_MS);
    cr_assert(end->was_accepted);
    cr_assert_null(forge_session(&net, 0, 1));
    net_fini(&net);
}

/* What is to be asked again as it was, as it could not be answered: whoever relayed it may do so as
 * well. Returns whether that cost the peer anything. */
static bool costs_its_peer(unsigned of, unsigned to) {
    for (unsigned i = 0; i < 100; i++) {
        streams_packet(net.nodes[to].streams, &net.nodes[of].identity.id,
                       &net.nodes[of].identity.id, loan_of(frame_view(recorded)), false, net.now);
    }
    const struct caller *caller =
        map_find(net.nodes[to].streams->callers,
                 span_of(&net.nodes[of].identity.id, sizeof net.nodes[of].identity.id));
    bool was_excess = forge_was_excess(&net, to, of, "asked for sessions more often than it may");
    return was_excess || bucket_left(&caller->budget, 2, 16, net.now) < 14;
}

static void record_first(struct net *of, unsigned from, unsigned to, struct frame *frame) {
    if (recorded == NULL && of->tap_ctx == &of->nodes[from] && frame->data[0] == WIRE_PACKET_INIT) {
        recorded = frame_copy(frame_view(frame));
    }
    (void)to;
}

static void record_inits_of(unsigned from) {
    net.tap = record_first;
    net.tap_ctx = &net.nodes[from];
    recorded = NULL;
}

Test(handshake, an_init_without_a_place_that_is_repeated_costs_its_peer_nothing) {
    fill_the_table(26);
    (void)net_open(&net, 1, 0, 100);
    cr_assert(net_settle(&net, NS_PER_S));
    record_inits_of(2);
    (void)net_open(&net, 2, 0, 100);
    net_run(&net, net.now + 10 * NS_PER_MS);
    cr_assert_not_null(recorded);
    cr_assert_not(costs_its_peer(2, 0));
    frame_unref(recorded);
    net_fini(&net);
}

Test(handshake, an_init_behind_our_own_that_is_repeated_costs_its_peer_nothing) {
    net_init(&net, 27, 2);
    unsigned first =
        weft_peer_id_compare(&net.nodes[0].identity.id, &net.nodes[1].identity.id) < 0 ? 0 : 1;
    net.channels[first][1 - first].is_cut = true;
    (void)net_open(&net, first, 1 - first, 100);
    net_run(&net, net.now + 10 * NS_PER_MS);
    record_inits_of(1 - first);
    (void)net_open(&net, 1 - first, first, 100);
    net_run(&net, net.now + 10 * NS_PER_MS);
    cr_assert_not_null(recorded);
    cr_assert_not_null(forge_session(&net, first, 1 - first)->pending);
    cr_assert_not(costs_its_peer(1 - first, first));
    frame_unref(recorded);
    net_fini(&net);
}
