/* SPDX-License-Identifier: Apache-2.0
 *
 * Each single allocation fails once: nothing crashes or leaks, and what could be begun is carried
 * through all the same.
 */
#include <criterion/criterion.h>

#include "harness.h"
#include "stream/datagrams.h"
#include "support/failing_alloc.h"

static struct net net;

Test(memory, a_failed_constructor_leaves_nothing) {
    net_init(&net, 1, 1);
    FAILING_ALLOC_EACH(nth) {
        struct streams *streams = NULL;
        enum weft_err err = streams_new(&net.nodes[0].config, &streams);
        bool has_failed = failing_alloc_disarm();
        cr_assert_eq(err, has_failed ? WEFT_ERR_MEMORY : WEFT_OK);
        streams_free(streams);
    }
    net_fini(&net);
}

/* Opens, answers, echoes and closes with the nth allocation failing; whether one did. */
static bool run_with_failure(uint64_t nth) {
    net_init(&net, 2, 2);
    net.nodes[1].echoes = true;
    net.may_fall_short = true;
    failing_alloc_arm(nth);
    struct end *end = net_open(&net, 0, 1, 150000);
    net_run(&net, net.now + 100 * NS_PER_MS);
    bool has_failed = failing_alloc_disarm();
    if (end == NULL) {
        cr_assert(has_failed);
        end = net_open(&net, 0, 1, 150000);
    }
    cr_assert(net_settle(&net, 600 * NS_PER_S), "stands still after allocation %llu",
              (unsigned long long)nth);
    cr_assert(end->was_closed || end->was_refused, "allocation %llu: reset %d",
              (unsigned long long)nth, end->reason);
    cr_assert(end->was_refused || end->read == 150000);
    net_fini(&net);
    return has_failed;
}

Test(memory, each_failure_is_survived) {
    uint64_t nth = 1;
    while (run_with_failure(nth)) {
        nth++;
    }
    cr_assert_gt(nth, 40);
}

static size_t take_datagrams(unsigned index) {
    struct datagram_event event;
    size_t count = 0;
    while (datagrams_next_event(net.nodes[index].streams, &event)) {
        count += event.kind == DATAGRAM_EVENT_DATA ? 1 : 0;
        frame_unref(event.payload);
    }
    return count;
}

/* Sends with the nth allocation failing, then once more without; whether one failed. */
static bool send_with_failure(uint64_t nth) {
    const struct datagram_service service = {span_of_text("default"), span_of_text("dns")};
    const struct identity *peer = &net.nodes[1].identity;
    struct flow_id flow = {0};
    net_init(&net, 3, 2);
    failing_alloc_arm(nth);
    for (size_t i = 0; i < 3; i++) {
        if (datagrams_open(net.nodes[0].streams, &peer->id, &peer->key, &service, net.now, &flow) ==
            WEFT_OK) {
            datagrams_send(net.nodes[0].streams, flow, span_of_text("question"), net.now);
        }
        net_run(&net, net.now + 20 * NS_PER_MS);
        (void)take_datagrams(1);
    }
    bool has_failed = failing_alloc_disarm();
    net_run(&net, net.now + 10 * NS_PER_S);
    (void)take_datagrams(1);
    cr_assert_eq(
        datagrams_open(net.nodes[0].streams, &peer->id, &peer->key, &service, net.now, &flow),
        WEFT_OK);
    datagrams_send(net.nodes[0].streams, flow, span_of_text("question"), net.now);
    net_run(&net, net.now + NS_PER_S);
    cr_assert_eq(take_datagrams(1), 1, "allocation %llu", (unsigned long long)nth);
    net_fini(&net);
    return has_failed;
}

Test(memory, datagrams_are_lost_when_it_is_short_and_flows_work_again) {
    uint64_t nth = 1;
    while (send_with_failure(nth)) {
        nth++;
    }
    cr_assert_gt(nth, 20);
}
