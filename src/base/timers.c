/* SPDX-License-Identifier: Apache-2.0
 *
 * A heap of borrowed timers, ordered by (deadline, order of arming). Each timer knows its place, so
 * that moving and disarming need no search. Each place has four children: half as many levels as
 * with two, and the four stand side by side in memory.
 */
#include "base/timers.h"

#include <stdlib.h>

#include "base/check.h"

/* The smallest heap worth an allocation. */
#define SIZE_FIRST 16
#define CHILDREN 4

static bool fires_before(const struct timer_place *a, const struct timer_place *b) {
    return a->deadline != b->deadline ? a->deadline < b->deadline : a->order < b->order;
}

static void put(struct timers *timers, size_t index, struct timer_place place) {
    timers->heap[index] = place;
    place.timer->place = index + 1;
}

static void sift_up(struct timers *timers, size_t index) {
    struct timer_place place = timers->heap[index];
    while (index > 0) {
        size_t parent = (index - 1) / CHILDREN;
        if (!fires_before(&place, &timers->heap[parent])) {
            break;
        }
        put(timers, index, timers->heap[parent]);
        index = parent;
    }
    put(timers, index, place);
}

/* The child of a place that fires first; the count if there is none. */
static size_t first_child(const struct timers *timers, size_t index) {
    size_t first = index * CHILDREN + 1;
    size_t past = first + CHILDREN < timers->count ? first + CHILDREN : timers->count;
    if (first >= past) {
        return timers->count;
    }
    for (size_t i = first + 1; i < past; i++) {
        first = fires_before(&timers->heap[i], &timers->heap[first]) ? i : first;
    }
    return first;
}

static void sift_down(struct timers *timers, size_t index) {
    struct timer_place place = timers->heap[index];
    size_t child = first_child(timers, index);
    while (child < timers->count && fires_before(&timers->heap[child], &place)) {
        put(timers, index, timers->heap[child]);
        index = child;
        child = first_child(timers, index);
    }
    put(timers, index, place);
}

/* A place whose content changed finds where it belongs. */
static void settle(struct timers *timers, size_t index) {
    const struct timer *timer = timers->heap[index].timer;
    sift_up(timers, index);
    if (timer->place == index + 1) {
        sift_down(timers, index);
    }
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
    if (size < count || size > SIZE_MAX / sizeof(struct timer_place)) {
        return WEFT_ERR_MEMORY;
    }
    struct timer_place *heap = realloc(timers->heap, size * sizeof *heap);
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
        timer->place = timers->count;
    }
    ASSERT(timer->place <= timers->count);
    size_t index = timer->place - 1;
    timers->heap[index] =
        (struct timer_place){.deadline = deadline, .order = timers->order_next++, .timer = timer};
    settle(timers, index);
}

void timers_disarm(struct timers *timers, struct timer *timer) {
    if (!timer_is_armed(timer)) {
        return;
    }
    size_t index = timer->place - 1;
    ASSERT(index < timers->count && timers->heap[index].timer == timer);
    timer->place = 0;
    timers->count--;
    if (index < timers->count) {
        put(timers, index, timers->heap[timers->count]);
        settle(timers, index);
    }
}

weft_ns timers_deadline(const struct timers *timers) {
    return timers->count > 0 ? timers->heap[0].deadline : WEFT_NEVER;
}

struct timer *timers_pop(struct timers *timers, weft_ns now) {
    if (timers->count == 0 || timers_deadline(timers) > now) {
        return NULL;
    }
    struct timer *timer = timers->heap[0].timer;
    timers_disarm(timers, timer);
    return timer;
}
