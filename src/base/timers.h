/* SPDX-License-Identifier: Apache-2.0
 *
 * Deadlines in a heap. Equal deadlines fire in the order they were armed, so that two runs
 * of one seed do the same. Timers are embedded in what they wake: the heap only borrows them.
 */
#ifndef BASE_TIMERS_H
#define BASE_TIMERS_H

#include "weft/types.h"

struct timer {
    size_t place; /* 1 + its index in the heap; 0 when not armed */
    int kind;     /* the owner's own tag */
    void *owner;  /* what embeds it; borrowed */
};

/* What orders timers stands in the heap itself, so that sifting reads no timer. */
struct timer_place {
    weft_ns deadline;
    uint64_t order; /* when it was armed, to break ties */
    struct timer *timer;
};

struct timers {
    struct timer_place *heap;
    size_t count;
    size_t size;
    uint64_t order_next;
};

/* Takes zeroed memory; timers still armed are simply forgotten. */
void timers_fini(struct timers *timers);

/* Makes room for `count` armed timers in all, so that arming that many cannot fail. */
WEFT_MUST_CHECK enum weft_err timers_reserve(struct timers *timers, size_t count);

/* Arms, or moves, a timer. There must be room (timers_reserve). WEFT_NEVER disarms. */
void timers_arm(struct timers *timers, struct timer *timer, weft_ns deadline);

/* Disarms; nothing happens if it was not armed. */
void timers_disarm(struct timers *timers, struct timer *timer);

/* The earliest deadline, or WEFT_NEVER. */
weft_ns timers_deadline(const struct timers *timers);

/* Disarms and returns the earliest timer that is due at `now`, or NULL. */
struct timer *timers_pop(struct timers *timers, weft_ns now);

static inline bool timer_is_armed(const struct timer *timer) {
    return timer->place != 0;
}

#endif
