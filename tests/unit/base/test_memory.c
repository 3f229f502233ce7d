/* SPDX-License-Identifier: Apache-2.0
 *
 * Every allocation of this folder failing in turn: the error is told, nothing that was there is
 * lost, and the next try works.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/frame.h"
#include "base/map.h"
#include "base/ring.h"
#include "base/timers.h"
#include "support/failing_alloc.h"

static const struct hash_key hash_key = {.bytes = {1}};

Test(failing_alloc, fails_the_nth_call_once) {
    failing_alloc_arm(2);
    void *first = malloc(1);
    void *second = calloc(1, 1);
    void *third = realloc(first, 100);
    cr_expect_not_null(first);
    cr_expect_null(second);
    cr_expect_not_null(third);
    cr_expect(failing_alloc_disarm());
    free(third);
}

Test(failing_alloc, does_nothing_unless_armed) {
    void *memory = malloc(1);
    cr_expect_not_null(memory);
    cr_expect_not(failing_alloc_disarm());
    free(memory);
}

Test(failing_alloc, runs_once_per_allocation_and_once_without_a_failure) {
    uint64_t runs = 0;
    uint64_t failures = 0;
    FAILING_ALLOC_EACH(nth) {
        runs++;
        for (int i = 0; i < 3; i++) {
            char *text = strdup("text");
            failures += text == NULL ? 1 : 0;
            free(text);
        }
    }
    cr_expect_eq(runs, 4);
    cr_expect_eq(failures, 3);
}

Test(memory, frame_new_and_copy_tell) {
    FAILING_ALLOC_EACH(nth) {
        struct frame *fresh = frame_new(10);
        struct frame *copy = frame_copy(span_of_text("bytes"));
        bool has_failed = failing_alloc_disarm();
        cr_assert_eq(fresh == NULL || copy == NULL, has_failed);
        cr_assert(fresh != NULL || copy != NULL);
        frame_unref(fresh);
        frame_unref(copy);
    }
}

Test(memory, map_new_tells) {
    FAILING_ALLOC_EACH(nth) {
        struct map *map = map_new(10, &hash_key);
        bool has_failed = failing_alloc_disarm();
        cr_assert_eq(map == NULL, has_failed);
        map_free(map);
    }
}

/* Adds 0 .. 499, each tried twice at most; how many failed the first time. */
static int fill(struct map *map) {
    int failures = 0;
    for (int i = 0; i < 500; i++) {
        enum weft_err err = map_add(map, span_of(&i, sizeof i), map);
        if (err != WEFT_OK) {
            cr_assert_eq(err, WEFT_ERR_MEMORY);
            cr_assert_null(map_find(map, span_of(&i, sizeof i)));
            cr_assert_eq(map_count(map), (size_t)i);
            err = map_add(map, span_of(&i, sizeof i), map);
            failures++;
        }
        cr_assert_eq(err, WEFT_OK);
    }
    return failures;
}

/* 500 entries make uthash allocate its table and then double its buckets several times. */
Test(memory, map_add_tells_and_leaves_the_map_as_it_was) {
    uint64_t runs = 0;
    FAILING_ALLOC_EACH(nth) {
        struct map *map = map_new(500, &hash_key);
        if (map == NULL) {
            continue;
        }
        int failures = fill(map);
        cr_assert_eq(failures == 1, failing_alloc_disarm());
        int expected = 0;
        for (struct map_entry *e = map_first(map); e != NULL; e = map_next(e)) {
            cr_assert(span_equal(map_key(e), span_of(&expected, sizeof expected)));
            cr_assert_eq(map_find(map, map_key(e)), map);
            expected++;
        }
        cr_assert_eq(expected, 500);
        map_free(map);
        runs++;
    }
    cr_expect_gt(runs, 502); /* an entry each, the table, its buckets, their growth */
}

Test(memory, ring_push_tells_and_keeps_what_is_queued) {
    FAILING_ALLOC_EACH(nth) {
        struct ring ring;
        int failures = 0;
        ring_init(&ring, sizeof(int), 100);
        for (int i = 0; i < 100; i++) {
            enum weft_err err = ring_push(&ring, &i);
            if (err == WEFT_ERR_MEMORY) {
                failures++;
                err = ring_push(&ring, &i);
            }
            cr_assert_eq(err, WEFT_OK);
        }
        cr_assert_eq(failures == 1, failing_alloc_disarm());
        for (int i = 0; i < 100; i++) {
            int out = -1;
            cr_assert(ring_pop(&ring, &out));
            cr_assert_eq(out, i);
        }
        ring_fini(&ring);
    }
}

Test(memory, timers_reserve_tells_and_keeps_what_is_armed) {
    FAILING_ALLOC_EACH(nth) {
        struct timers timers = {0};
        struct timer timer = {0};
        enum weft_err small = timers_reserve(&timers, 1);
        if (small == WEFT_OK) {
            timers_arm(&timers, &timer, 7);
        }
        enum weft_err large = timers_reserve(&timers, 1000);
        bool has_failed = failing_alloc_disarm();
        cr_assert_eq(small == WEFT_ERR_MEMORY || large == WEFT_ERR_MEMORY, has_failed);
        cr_assert_eq(timers_deadline(&timers), small == WEFT_OK ? 7 : WEFT_NEVER);
        timers_fini(&timers);
    }
}
