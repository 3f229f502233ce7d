/* SPDX-License-Identifier: Apache-2.0
 *
 * A token bucket: `burst` at once, then `rate` a second. Integer nanoseconds, no drift.
 */
#ifndef BASE_BUCKET_H
#define BASE_BUCKET_H

#include "base/time.h"

struct bucket {
    weft_ns ready; /* virtual time at which the bucket was last empty of debt (GCRA) */
};

/* Takes `count` tokens if the bucket holds them. rate >= 1, burst >= count. */
static inline bool bucket_take(struct bucket *bucket, uint64_t count, uint64_t rate, uint64_t burst,
                               weft_ns now) {
    weft_ns cost = count * NS_PER_S / rate;
    weft_ns depth = burst * NS_PER_S / rate;
    weft_ns start = bucket->ready > now ? bucket->ready : now;
    if (time_after(start, cost) > time_after(now, depth)) {
        return false;
    }
    bucket->ready = time_after(start, cost);
    return true;
}

/* How many tokens can be taken now, one at a time. rate <= 10^9. */
static inline uint64_t bucket_left(const struct bucket *bucket, uint64_t rate, uint64_t burst,
                                   weft_ns now) {
    weft_ns depth = burst * NS_PER_S / rate;
    weft_ns debt = bucket->ready > now ? bucket->ready - now : 0;
    return debt >= depth ? 0 : (depth - debt) / (NS_PER_S / rate);
}

#endif
