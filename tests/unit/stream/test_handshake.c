/* SPDX-License-Identifier: Apache-2.0
 *
 * Handshakes that are disturbed: by news of routes, by restarts, by who repeats and floods.
 */
#include <criterion/criterion.h>

#include "forge.h"
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
