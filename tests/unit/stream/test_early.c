/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes right behind an OPEN: one round trip saved, and nothing lost, repeated or read too early
 * when the service is slow, refuses, or either packet is lost or late (the harness checks each
 * byte).
 */
#include <criterion/criterion.h>

#include "forge.h"
#include "stream/stream.h"

static struct net net;

/* What happens to the packets from node 0 to node 1, counted from when it was set. */
struct plan {
    unsigned seen;
    unsigned lost; /* bits: the first packet is bit 0 */
    unsigned late; /* likewise: take 5 ms more */
};
static struct plan plan;

static void follow_plan(struct net *tapped, unsigned from, unsigned to, struct frame *frame) {
    struct channel *channel = &tapped->channels[from][to];
    (void)frame;
    if (from != 0) {
        return;
    }
    channel->may_reorder = true;
    channel->is_cut = plan.seen < 32 && (plan.lost >> plan.seen & 1) != 0;
    bool is_late = plan.seen < 32 && (plan.late >> plan.seen & 1) != 0;
    channel->delay = is_late ? 6 * NS_PER_MS : NS_PER_MS;
    plan.seen++;
}

static void set_plan(unsigned lost, unsigned late) {
    plan = (struct plan){.lost = lost, .late = late};
    net.tap = follow_plan;
}

/* Two nodes with a session between them, whose streams echo. */
static void warm_up(uint64_t seed, unsigned count) {
    net_init(&net, seed, count);
    net.nodes[1].echoes = true;
    struct end *end = net_open(&net, 0, 1, 0);
    cr_assert(net_settle(&net, NS_PER_S));
    cr_assert(end->was_closed);
    net_run(&net, net.now + NS_PER_S);
}

/* The same, and the round trip is known too. */
static void warm_up_measured(uint64_t seed) {
    warm_up(seed, 2);
    forge_session(&net, 0, 1)->rtt = forge_session(&net, 0, 1)->rtt_min = 2 * NS_PER_MS;
}

/* Opens a stream that has its bytes before its OPEN can leave. */
static struct end *open_with_bytes(unsigned from, unsigned to, uint64_t bytes) {
    net_set_routes(&net, from, to, STREAM_ROUTE_NONE);
    struct end *end = net_open(&net, from, to, bytes);
    net_pump(&net);
    net_set_routes(&net, from, to, STREAM_ROUTE_SAME);
    net_pump(&net);
    return end;
}

static void expect_all(struct end *end, weft_ns within) {
    cr_assert(net_settle(&net, within), "seed %llu", (unsigned long long)net.seed);
    struct end *far = net_far_end(&net, end);
    cr_assert(end->was_closed && far->was_closed, "reset %d", end->reason);
    cr_assert_eq(far->read, end->written);
    cr_assert_eq(end->read, far->written);
}

Test(early, a_request_costs_one_round_trip) {
    warm_up(1, 2);
    net.channels[0][1].delay = net.channels[1][0].delay = 10 * NS_PER_MS;
    struct end *end = net_open(&net, 0, 1, 100);
    weft_ns start = net.now;
    net_run(&net, start + 20 * NS_PER_MS - 1);
    cr_assert_eq(end->read, 0);
    net_run(&net, start + 20 * NS_PER_MS);
    cr_assert_eq(end->read, 100);
    expect_all(end, NS_PER_S);
    net_fini(&net);
}

Test(early, bytes_that_are_there_share_the_packet_of_the_open) {
    warm_up(2, 2);
    uint64_t before = net.channels[0][1].packets;
    struct end *end = open_with_bytes(0, 1, 5000);
    cr_assert_eq(net.channels[0][1].packets, before + 1);
    net_run(&net, net.now + NS_PER_MS);
    cr_assert_eq(net_far_end(&net, end)->read, 5000);
    expect_all(end, NS_PER_S);
    net_fini(&net);
}

Test(early, an_open_does_not_wait_for_a_link_without_room) {
    warm_up(3, 2);
    streams_block(net.nodes[0].streams, &net.nodes[1].identity.id, true);
    struct end *end = open_with_bytes(0, 1, 5000);
    net_run(&net, net.now + 2 * NS_PER_MS);
    struct end *far = net_far_end(&net, end);
    cr_assert_not_null(far);
    cr_assert(far->read == 0 && end->was_accepted);
    streams_block(net.nodes[0].streams, &net.nodes[1].identity.id, false);
    expect_all(end, NS_PER_S);
    net_fini(&net);
}

Test(early, bytes_and_end_are_held_and_not_acknowledged_until_the_accept) {
    warm_up(4, 2);
    net.nodes[1].accepts = false;
    net.nodes[1].echoes = false;
    net.nodes[1].holds_open = true;
    uint64_t before = net.channels[1][0].packets;
    struct end *end = net_open(&net, 0, 1, 1000);
    net_run(&net, net.now + 900 * NS_PER_MS);
    struct end *far = net_far_end(&net, end);
    struct streams *streams = net.nodes[1].streams;
    cr_assert_eq(forge_stream(far)->receive.arrived, 1000);
    cr_assert_eq(streams_peek(streams, far->stream).len, 0);
    cr_assert(!streams_is_finished(streams, far->stream));
    cr_assert_eq(net.channels[1][0].packets, before);
    cr_assert_eq(forge_stream(end)->send.acked, 0);
    streams_accept(streams, far->stream, net.now);
    net_run(&net, net.now + NS_PER_MS);
    cr_assert_eq(far->read, 1000);
    cr_assert_eq(forge_stream(end)->send.acked, 1000);
    far->finishes = true;
    expect_all(end, NS_PER_S);
    net_fini(&net);
}

Test(early, an_accept_tells_of_bytes_that_wait) {
    warm_up(5, 2);
    net.nodes[1].accepts = false;
    struct end *end = net_open(&net, 0, 1, 10);
    net_run(&net, net.now + 10 * NS_PER_MS);
    struct stream_event event;
    cr_assert(!streams_next_event(net.nodes[1].streams, &event), "INCOMING was all there was");
    streams_accept(net.nodes[1].streams, net_far_end(&net, end)->stream, net.now);
    cr_assert(streams_next_event(net.nodes[1].streams, &event));
    cr_assert_eq(event.kind, STREAM_EVENT_READABLE);
    net_fini(&net);
}

Test(early, no_more_leaves_than_the_credit_of_the_open) {
    warm_up(6, 2);
    net.nodes[1].accepts = false;
    uint64_t before = net.nodes[1].streams->granted_bytes;
    struct end *end = net_open(&net, 0, 1, 100000);
    net_run(&net, net.now + 900 * NS_PER_MS);
    struct end *far = net_far_end(&net, end);
    cr_assert_eq(forge_stream(end)->send.next, WIRE_OPEN_CREDIT);
    cr_assert_eq(forge_stream(far)->receive.arrived, WIRE_OPEN_CREDIT);
    cr_assert_eq(net.nodes[1].streams->granted_bytes, before + WIRE_OPEN_CREDIT);
    streams_accept(net.nodes[1].streams, far->stream, net.now);
    expect_all(end, NS_PER_S);
    cr_assert_eq(far->read, 100000);
    cr_assert_eq(net.nodes[1].streams->granted_bytes, 0);
    net_fini(&net);
}

Test(early, a_refused_stream_gives_all_bytes_to_the_next_peer) {
    warm_up(7, 3);
    uint64_t before = streams_count(net.nodes[0].streams).bytes_sent;
    net.nodes[1].accepts = false;
    net.nodes[2].echoes = true;
    struct end *end = net_open(&net, 0, 1, 50000);
    net_run(&net, net.now + 100 * NS_PER_MS);
    struct end *first = net_far_end(&net, end);
    cr_assert_eq(forge_stream(first)->receive.arrived, WIRE_OPEN_CREDIT);
    streams_reset(net.nodes[1].streams, first->stream, WIRE_RESET_CONNECT_FAILED, net.now);
    first->is_used = false;
    net_run(&net, net.now + 100 * NS_PER_MS);
    cr_assert(end->was_refused);
    cr_assert_eq(forge_session(&net, 0, 1)->early_bytes, 0);
    end->was_refused = false;
    cr_assert_eq(streams_retarget(net.nodes[0].streams, end->stream, &net.nodes[2].identity.id,
                                  &net.nodes[2].identity.key, net.now),
                 WEFT_OK);
    expect_all(end, NS_PER_S);
    cr_assert_eq(net_far_end(&net, end)->node->index, 2);
    cr_assert_eq(streams_count(net.nodes[0].streams).bytes_sent - before, 50000);
    net_fini(&net);
}

Test(early, bytes_without_their_open_are_dropped_in_silence) {
    warm_up(8, 2);
    uint64_t before = net.channels[1][0].packets;
    set_plan(1, 0); /* the OPEN; the bytes arrive */
    struct end *end = net_open(&net, 0, 1, 3000);
    net_run(&net, net.now + 900 * NS_PER_MS);
    cr_assert_eq(plan.seen, 2);
    cr_assert_eq(net.channels[1][0].packets, before);
    cr_assert(!end->was_refused);
    expect_all(end, 200 * NS_PER_MS);
    net_fini(&net);
}

Test(early, lost_bytes_are_sent_again_within_round_trips_of_the_accept) {
    for (unsigned is_measured = 0; is_measured < 2; is_measured++) {
        warm_up(9, 2);
        forge_session(&net, 0, 1)->rtt = is_measured == 0 ? 0 : 2 * NS_PER_MS;
        set_plan(2, 0); /* the bytes; the OPEN arrives */
        struct end *end = net_open(&net, 0, 1, 3000);
        expect_all(end, 30 * NS_PER_MS);
        net_fini(&net);
    }
}

Test(early, the_answer_to_a_probe_tells_the_round_trip) {
    warm_up(18, 2);
    struct session *session = forge_session(&net, 0, 1);
    session->rtt = session->rtt_min = 0;
    net.nodes[1].echoes = false;
    net.nodes[1].accepts = false;
    set_plan(2, 0);
    struct end *end = net_open(&net, 0, 1, 3000);
    net_run(&net, net.now + 500 * NS_PER_MS);
    net_far_end(&net, end)->finishes = false;
    streams_accept(net.nodes[1].streams, net_far_end(&net, end)->stream, net.now);
    net_run(&net, net.now + 3500 * NS_PER_US); /* the accept, the probe, its answer */
    cr_assert_eq(session->rtt, 2 * NS_PER_MS);
    net_fini(&net);
}

/* OPEN and bytes; accept; answer; end and ack; end and ack; the last ack is the sixth. */
Test(early, a_short_conversation_takes_few_packets) {
    warm_up(19, 2);
    net.nodes[1].holds_open = true;
    uint64_t before = net.channels[0][1].packets + net.channels[1][0].packets;
    net_set_routes(&net, 0, 1, STREAM_ROUTE_NONE);
    struct end *end = net_open(&net, 0, 1, 100);
    end->finishes = false;
    net_pump(&net);
    net_set_routes(&net, 0, 1, STREAM_ROUTE_SAME);
    net_run(&net, net.now + 4 * NS_PER_MS);
    cr_assert_eq(end->read, 100);
    end->finishes = true;
    net_run(&net, net.now + 2 * NS_PER_MS);
    net_far_end(&net, end)->finishes = true; /* the service took a moment to close */
    expect_all(end, 10 * NS_PER_MS);
    net_run(&net, net.now + NS_PER_S);
    cr_assert_eq(net.channels[0][1].packets + net.channels[1][0].packets - before, 6);
    net_fini(&net);
}

Test(early, lost_bytes_are_sent_again_at_once_after_a_slow_accept) {
    warm_up_measured(10);
    net.nodes[1].accepts = false;
    set_plan(2, 0);
    struct end *end = net_open(&net, 0, 1, 3000);
    net_run(&net, net.now + 500 * NS_PER_MS);
    streams_accept(net.nodes[1].streams, net_far_end(&net, end)->stream, net.now);
    expect_all(end, 10 * NS_PER_MS);
    net_fini(&net);
}

Test(early, bytes_that_overtake_their_open_are_sent_again) {
    warm_up(11, 2);
    set_plan(0, 1);
    struct end *end = net_open(&net, 0, 1, 3000);
    expect_all(end, 50 * NS_PER_MS);
    cr_assert_eq(streams_count(net.nodes[0].streams).bytes_resent, 3000);
    net_fini(&net);
}

Test(early, bytes_just_behind_their_open_are_not_asked_for) {
    warm_up_measured(12);
    struct end *end = net_open(&net, 0, 1, 0);
    end->finishes = false;
    net_pump(&net);
    net_run(&net, net.now + NS_PER_MS);
    end->to_write = 3000;
    end->finishes = true;
    uint32_t count = forge_stream(end)->probe_count;
    net_run(&net, net.now + 1200 * NS_PER_US); /* ACCEPT is here, the ack of the bytes is not */
    cr_assert(end->was_accepted && forge_stream(end)->send.acked == 0);
    cr_assert_eq(forge_stream(end)->probe_count, count);
    cr_assert(list_is_empty(&forge_session(&net, 0, 1)->probes));
    expect_all(end, NS_PER_S);
    cr_assert_eq(streams_count(net.nodes[0].streams).bytes_resent, 0);
    net_fini(&net);
}

Test(early, a_change_of_paths_sends_open_and_bytes_again) {
    warm_up(13, 2);
    set_plan(3, 0);
    struct end *end = net_open(&net, 0, 1, 3000);
    net_run(&net, net.now + 10 * NS_PER_MS);
    cr_assert_eq(plan.seen, 2);
    net_set_routes(&net, 0, 1, STREAM_ROUTE_CHANGED);
    net_run(&net, net.now + NS_PER_MS);
    cr_assert_eq(plan.seen, 3, "in one packet");
    cr_assert_eq(net_far_end(&net, end)->read, 3000);
    expect_all(end, NS_PER_S);
    net_fini(&net);
}

Test(early, a_lost_accept_comes_again_with_the_repeated_open) {
    warm_up(14, 2);
    net.channels[1][0].is_cut = true;
    net.nodes[1].echoes = false;
    net.nodes[1].holds_open = true;
    struct end *end = net_open(&net, 0, 1, 3000);
    net_run(&net, net.now + 500 * NS_PER_MS);
    net.channels[1][0].is_cut = false;
    cr_assert(!end->was_accepted);
    net_run(&net, net.now + 600 * NS_PER_MS);
    cr_assert(end->was_accepted);
    cr_assert(forge_stream(end)->send.is_fin_acked, "the ACK came with it");
    net_fini(&net);
}

Test(early, early_bytes_do_not_show_that_the_accept_was_heard) {
    warm_up(15, 2);
    net.channels[1][0].is_cut = true;
    net.nodes[1].echoes = false;
    net.nodes[1].holds_open = true;
    struct end *end = net_open(&net, 0, 1, 0);
    end->finishes = false;
    net_run(&net, net.now + 10 * NS_PER_MS);
    end->to_write = 100;
    net_run(&net, net.now + 10 * NS_PER_MS);
    cr_assert_eq(net_far_end(&net, end)->read, 100);
    net.channels[1][0].is_cut = false;
    streams_route(net.nodes[1].streams, &net.nodes[0].identity.id, STREAM_ROUTE_CHANGED, net.now);
    net_run(&net, net.now + NS_PER_MS);
    cr_assert(end->was_accepted);
    cr_assert_eq(forge_stream(end)->send.acked, 100);
    net_fini(&net);
}

Test(early, a_probe_of_an_unknown_stream_is_answered) {
    warm_up(16, 2);
    struct end *end = net_open(&net, 0, 1, 100);
    end->finishes = false;
    net_run(&net, net.now + NS_PER_S);
    struct session *far = forge_session(&net, 1, 0);
    struct end *far_end = net_far_end(&net, end);
    far_end->is_used = false;
    streams_reset(net.nodes[1].streams, far_end->stream, WIRE_RESET_APPLICATION, net.now);
    net_drop_flying(&net, 0, 1);
    free(far->opened); /* as if the session had been made anew meanwhile */
    far->opened = NULL;
    struct farewell farewell;
    struct pending_reset reset;
    while (ring_pop(&far->farewells, &farewell) || ring_pop(&far->resets, &reset)) {
    }
    end->to_write = 100;
    cr_assert(net_settle(&net, 3 * NS_PER_S));
    cr_assert(end->was_reset);
    cr_assert_eq(end->reason, WIRE_RESET_UNKNOWN_STREAM);
    net_fini(&net);
}

Test(early, services_that_hang_do_not_hold_up_streams_that_move) {
    warm_up(17, 2);
    net.nodes[1].accepts = false;
    for (unsigned i = 0; i < 100; i++) {
        net_open(&net, 0, 1, 16000)->finishes = false;
    }
    net_run(&net, net.now + 100 * NS_PER_MS);
    cr_assert_eq(net.nodes[1].incoming_count, 101, "all have asked");
    const struct session *session = forge_session(&net, 0, 1);
    cr_assert_leq(session->early_bytes, session->window_bytes / 2 + 17000);
    cr_assert_eq(session->in_flight_bytes, 0);
    net.nodes[1].accepts = true;
    struct end *end = net_open(&net, 0, 1, 1000000);
    net_run(&net, net.now + 100 * NS_PER_MS);
    cr_assert(end->was_closed);
    for (size_t i = 0; i < net.end_count; i++) {
        if (net.ends[i].is_used && net.ends[i].node->index == 1) {
            streams_accept(net.nodes[1].streams, net.ends[i].stream, net.now);
        }
        net.ends[i].finishes = true;
    }
    cr_assert(net_settle(&net, 10 * NS_PER_S));
    cr_assert_eq(session->early_bytes, 0);
    net_fini(&net);
}

/* --- at random --- */

static void spoil(struct channel *channel) {
    channel->loss_permille = (unsigned)rng_below(&net.rng, 200);
    channel->repeat_permille = (unsigned)rng_below(&net.rng, 100);
    channel->jitter = 1 + rng_below(&net.rng, 5 * NS_PER_MS);
    channel->may_reorder = rng_below(&net.rng, 2) == 0;
}

static void accept_some(void) {
    for (size_t i = 0; i < net.end_count; i++) {
        const struct end *end = &net.ends[i];
        if (end->is_used && end->node->index == 1 && rng_below(&net.rng, 2) == 0) {
            streams_accept(net.nodes[1].streams, end->stream, net.now);
        }
    }
}

/* A path dies with all on it, or only changes. */
static void change_path(void) {
    if (rng_below(&net.rng, 2) == 0) {
        net_drop_flying(&net, 0, 1);
    }
    net_set_routes(&net, 0, 1, STREAM_ROUTE_CHANGED);
}

static void accept_all(void) {
    net.nodes[1].accepts = true;
    for (size_t i = 0; i < net.end_count; i++) {
        if (net.ends[i].is_used && net.ends[i].node->index == 1) {
            streams_accept(net.nodes[1].streams, net.ends[i].stream, net.now);
        }
    }
}

static void run_at_random(uint64_t seed) {
    net_init(&net, seed, 2);
    net.nodes[1].echoes = seed % 2 == 0;
    net.nodes[1].answer_bytes = seed % 2 == 0 ? 0 : rng_below(&net.rng, 5000);
    net.nodes[1].accepts = seed % 3 != 0;
    spoil(&net.channels[0][1]);
    spoil(&net.channels[1][0]);
    for (unsigned i = 0; i < 6; i++) {
        if (rng_below(&net.rng, 2) == 0) {
            (void)net_open(&net, 0, 1, rng_below(&net.rng, 1U << (4 + rng_below(&net.rng, 12))));
        }
        net_run(&net, net.now + rng_below(&net.rng, 8 * NS_PER_MS));
        accept_some();
        if (rng_below(&net.rng, 3) == 0) {
            change_path();
        }
    }
    accept_all();
}

Test(early, a_thousand_random_requests_and_answers_lose_nothing) {
    for (uint64_t seed = 0; seed < 1000; seed++) {
        run_at_random(seed);
        weft_ns until = net.now + 3600 * NS_PER_S;
        while (!net_settle(&net, 100 * NS_PER_MS)) {
            cr_assert_lt(net.now, until, "seed %llu stands still", (unsigned long long)seed);
            net.now += 100 * NS_PER_MS;
            accept_all();
        }
        for (size_t i = 0; i < net.end_count; i++) {
            const struct end *end = &net.ends[i];
            const struct end *far = net_far_end(&net, end);
            cr_assert(end->was_closed, "seed %llu: reset %d", (unsigned long long)seed,
                      end->reason);
            cr_assert_eq(end->written, far->read, "seed %llu", (unsigned long long)seed);
        }
        cr_assert_eq(net.nodes[0].streams->granted_bytes, 0);
        cr_assert_eq(net.nodes[1].streams->granted_bytes, 0);
        cr_assert_eq(forge_session(&net, 0, 1) == NULL ? 0 : forge_session(&net, 0, 1)->early_bytes,
                     0);
        net_fini(&net);
    }
}
