/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams between two ends: opening, bytes both ways, half-close, resets, retargeting.
 */
#include <criterion/criterion.h>

#include "harness.h"

static struct net net;

Test(streams, carries_bytes_and_closes) {
    net_init(&net, 1, 2);
    struct end *end = net_open(&net, 0, 1, 1000000);
    cr_assert(net_settle(&net, 10 * NS_PER_S));
    struct end *far = net_far_end(&net, end);
    cr_assert_not_null(far);
    cr_assert_eq(far->read, 1000000);
    cr_assert(end->was_accepted && end->was_closed && far->was_closed);
    net_fini(&net);
}

Test(streams, echoes_bytes_both_ways) {
    net_init(&net, 2, 2);
    net.nodes[1].echoes = true;
    struct end *end = net_open(&net, 0, 1, 3000000);
    cr_assert(net_settle(&net, 10 * NS_PER_S));
    cr_assert_eq(end->read, 3000000);
    cr_assert(end->was_closed);
    net_fini(&net);
}
