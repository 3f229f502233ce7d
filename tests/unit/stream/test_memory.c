/* SPDX-License-Identifier: Apache-2.0
 *
 * Each single allocation fails once: nothing crashes or leaks, and what could be begun is carried
 * through all the same.
 */
#include <criterion/criterion.h>

#include "harness.h"
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
