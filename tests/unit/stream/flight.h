/* SPDX-License-Identifier: Apache-2.0
 *
 * Packets on their way through the test network: a heap by time of arrival, then by sending.
 */
#ifndef TEST_STREAM_FLIGHT_H
#define TEST_STREAM_FLIGHT_H

#include "harness.h"

struct flying {
    weft_ns at;
    uint64_t order;
    unsigned from, to;
    bool is_marked;
    struct frame *frame;
};

void flight_push(struct net *net, struct flying item);

/* The next to arrive; there must be one. */
struct flying flight_pop(struct net *net);

#endif
