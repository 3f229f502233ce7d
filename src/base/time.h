/* SPDX-License-Identifier: Apache-2.0
 *
 * Units of weft_ns. Time is always an argument: nothing below src/node reads a clock.
 */
#ifndef BASE_TIME_H
#define BASE_TIME_H

#include "weft/types.h"

#define NS_PER_US ((weft_ns)1000)
#define NS_PER_MS ((weft_ns)1000000)
#define NS_PER_S ((weft_ns)1000000000)

/* when + span, stopping at WEFT_NEVER instead of wrapping. */
static inline weft_ns time_after(weft_ns when, weft_ns span) {
    return span > WEFT_NEVER - when ? WEFT_NEVER : when + span;
}

/* How long ago `then` was; zero if it lies in the future. */
static inline weft_ns time_since(weft_ns then, weft_ns now) {
    return now > then ? now - then : 0;
}

static inline weft_ns time_min(weft_ns a, weft_ns b) {
    return a < b ? a : b;
}

static inline weft_ns time_max(weft_ns a, weft_ns b) {
    return a > b ? a : b;
}

#endif
