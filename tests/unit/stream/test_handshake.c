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
