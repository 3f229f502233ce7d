/* SPDX-License-Identifier: Apache-2.0
 *
 * The heap of packets in flight.
 */
#include "flight.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static bool is_before(const struct flying *a, const struct flying *b) {
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void swap(struct flying *a, struct flying *b) {
    struct flying c = *a;
    *a = *b;
    *b = c;
}

void flight_push(struct net *net, struct flying item) {
    if (net->flying_count == net->flying_size) {
        net->flying_size = net->flying_size == 0 ? 64 : net->flying_size * 2;
        net->flying = realloc(net->flying, net->flying_size * sizeof item);
        cr_assert_not_null(net->flying);
    }
    size_t i = net->flying_count++;
    net->flying[i] = item;
    for (; i > 0 && is_before(&net->flying[i], &net->flying[(i - 1) / 2]); i = (i - 1) / 2) {
        swap(&net->flying[i], &net->flying[(i - 1) / 2]);
    }
}

struct flying flight_pop(struct net *net) {
    struct flying first = net->flying[0];
    net->flying[0] = net->flying[--net->flying_count];
    for (size_t i = 0;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < net->flying_count &&
            is_before(&net->flying[child + 1], &net->flying[child])) {
            child++;
        }
        if (child >= net->flying_count || is_before(&net->flying[i], &net->flying[child])) {
            return first;
        }
        swap(&net->flying[i], &net->flying[child]);
        i = child;
    }
}
