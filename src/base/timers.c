/* SPDX-License-Identifier: Apache-2.0
 *
 * A binary heap of borrowed timers, ordered by (deadline, order of arming). Each timer knows its
 * place, so that moving and disarming need no search. Places are 1-based: 0 says "not armed" in
 * zeroed memory, and the parent of place p is p / 2.
 */
#include "base/timers.h"

#include <stdlib.h>

#include "base/check.h"

/* The smallest heap worth an allocation. */
#define SIZE_FIRST 16

static bool fires_before(const struct timer *a, const struct timer *b) {
    return a->deadline != b->deadline ? a->deadline < b->deadline : a->order < b->order;
}

static struct timer *timer_at(const struct timers *timers, size_t place) {
    return timers->heap[place - 1];
}

static void put(struct timers *timers, size_t place, struct timer *timer) {
    timers->heap[place - 1] = timer;
    timer->place = place;
}

static void sift_up(struct timers *timers, struct timer *timer) {
    size_t place = timer->place;
    while (place > 1 && fires_before(timer, timer_at(timers, place / 2))) {
        put(timers, place, timer_at(timers, place / 2));
        place /= 2;
    }
    put(timers, place, timer);
}

/* The place of the child of `place` that fires first; beyond the count if there is none. */
static size_t first_child(const struct timers *timers, size_t place) {
    size_t child = 2 * place;
    if (child < timers->count &&
        fires_before(timer_at(timers, child + 1), timer_at(timers, child))) {
        child++;
    }
    return child;
}

static void sift_down(struct timers *timers, struct timer *timer) {
    size_t place = timer->place;
    size_t child = first_child(timers, place);
    while (child <= timers->count && fires_before(timer_at(timers, child), timer)) {
        put(timers, place, timer_at(timers, child));
        place = child;
        child = first_child(timers, place);
    }
    put(timers, place, timer);
}

static void settle(struct timers *timers, struct timer *timer) {
    sift_up(timers, timer);
    sift_down(timers, timer);
}

void timers_fini(struct timers *timers) {
    free(timers->heap);
    *timers = (struct timers){.heap = NULL};
}

enum weft_err timers_reserve(struct timers *timers, size_t count) {
    if (count <= timers->size) {
        return WEFT_OK;
    }
    size_t size = timers->size < SIZE_FIRST ? SIZE_FIRST : timers->size;
    while (size < count && size <= SIZE_MAX / 2) {
        size *= 2; /* callers reserve one more each time they add an object */
    }
    if (size < count || size > SIZE_MAX / sizeof(struct timer *)) {
        return WEFT_ERR_MEMORY;
    }
    struct timer **heap = realloc(timers->heap, size * sizeof(struct timer *));
    if (heap == NULL) {
        return WEFT_ERR_MEMORY;
    }
    timers->heap = heap;
    timers->size = size;
    return WEFT_OK;
}

void timers_arm(struct timers *timers, struct timer *timer, weft_ns deadline) {
    if (deadline == WEFT_NEVER) {
        timers_disarm(timers, timer);
        return;
    }
    if (!timer_is_armed(timer)) {
        ASSERT(timers->count < timers->size);
        timers->count++;
        put(timers, timers->count, timer);
    }
    ASSERT(timer->place <= timers->count && timer_at(timers, timer->place) == timer);
    timer->deadline = deadline;
    timer->order = timers->order_next++;
    settle(timers, timer);
}

void timers_disarm(struct timers *timers, struct timer *timer) {
    if (!timer_is_armed(timer)) {
        return;
    }
    ASSERT(timer->place <= timers->count && timer_at(timers, timer->place) == timer);
    struct timer *last = timer_at(timers, timers->count);
    timers->count--;
    if (last != timer) {
        put(timers, timer->place, last);
        settle(timers, last);
    }
    timer->place = 0;
}

weft_ns timers_deadline(const struct timers *timers) {
    return timers->count > 0 ? timer_at(timers, 1)->deadline : WEFT_NEVER;
}

struct timer *timers_pop(struct timers *timers, weft_ns now) {
    if (timers->count == 0 || timers_deadline(timers) > now) {
        return NULL;
    }
    struct timer *timer = timer_at(timers, 1);
    timers_disarm(timers, timer);
    return timer;
}
