/* SPDX-License-Identifier: Apache-2.0
 *
 * The bounded queue, against a plain array over random pushes and pops.
 */
#include <criterion/criterion.h>
#include <signal.h>

#include "base/ring.h"
#include "base/rng.h"

/* An element whose size is no power of two and has no alignment to lean on. */
struct parcel {
    uint8_t bytes[7];
};

static struct parcel parcel_of(uint32_t number) {
    struct parcel parcel = {{(uint8_t)number, (uint8_t)(number >> 8), (uint8_t)(number >> 16), 4, 5,
                             6, (uint8_t)~number}};
    return parcel;
}

static bool is_parcel(const void *element, uint32_t number) {
    struct parcel expected = parcel_of(number);
    return element != NULL && memcmp(element, &expected, sizeof expected) == 0;
}

/* The model: a queue that never reuses its places. */
struct model {
    uint32_t first;
    uint32_t past;
};

static void compare_all(const struct ring *ring, const struct model *model, unsigned seed) {
    cr_assert_eq(ring->count, model->past - model->first, "seed %u", seed);
    for (uint32_t i = 0; i < model->past - model->first; i++) {
        cr_assert(is_parcel(ring_at(ring, i), model->first + i), "seed %u", seed);
    }
    cr_assert_null(ring_at(ring, ring->count));
    cr_assert_null(ring_at(ring, SIZE_MAX));
    cr_assert_leq(ring->count, ring->count_max);
    cr_assert_leq(ring->size, 2 * ring->count_max, "seed %u", seed);
    cr_assert(ring->head < ring->size || ring->size == 0, "seed %u", seed);
}

static void push_one(struct ring *ring, struct model *model, unsigned seed) {
    struct parcel parcel = parcel_of(model->past);
    bool has_room = ring->count < ring->count_max;
    enum weft_err err = ring_push(ring, &parcel);
    cr_assert_eq(err, has_room ? WEFT_OK : WEFT_ERR_FULL, "seed %u", seed);
    model->past += has_room ? 1 : 0;
}

static void pop_one(struct ring *ring, struct model *model, unsigned seed) {
    struct parcel parcel;
    bool was_empty = model->first == model->past;
    cr_assert_eq(ring_pop(ring, &parcel), !was_empty, "seed %u", seed);
    if (!was_empty) {
        cr_assert(is_parcel(&parcel, model->first), "seed %u", seed);
        model->first++;
    }
}

Test(ring, agrees_with_a_plain_queue) {
    for (uint8_t seed = 0; seed < 40; seed++) {
        struct rng rng;
        rng_init(&rng, (const uint8_t[32]){seed, 2});
        struct ring ring;
        struct model model = {0};
        ring_init(&ring, sizeof(struct parcel), 1 + rng_below(&rng, 40));
        for (int step = 0; step < 500; step++) {
            /* Phases that mostly fill, then mostly drain, so that it grows while wrapped. */
            bool is_push = rng_below(&rng, 10) < (step / 50 % 2 == 0 ? 7u : 3u);
            if (is_push) {
                push_one(&ring, &model, seed);
            } else {
                pop_one(&ring, &model, seed);
            }
            compare_all(&ring, &model, seed);
        }
        ring_fini(&ring);
    }
}

Test(ring, allocates_nothing_until_the_first_push) {
    struct ring ring;
    ring_init(&ring, 1000, 1000);
    cr_expect_null(ring.elements);
    cr_expect_null(ring_at(&ring, 0));
    char element[1000];
    cr_expect_not(ring_pop(&ring, element));
    ring_fini(&ring);
}

Test(ring, of_one_holds_one) {
    struct ring ring;
    ring_init(&ring, sizeof(int), 1);
    for (int i = 0; i < 5; i++) {
        int out = -1;
        cr_assert_eq(ring_push(&ring, &i), WEFT_OK);
        cr_assert_eq(ring_push(&ring, &i), WEFT_ERR_FULL);
        cr_assert(ring_pop(&ring, &out));
        cr_assert_eq(out, i);
    }
    cr_expect_eq(ring.size, 1);
    ring_fini(&ring);
}

Test(ring, lets_its_elements_be_changed_in_place) {
    struct ring ring;
    ring_init(&ring, sizeof(int), 4);
    cr_assert_eq(ring_push(&ring, &(int){1}), WEFT_OK);
    *(int *)ring_at(&ring, 0) = 2;
    int out = 0;
    cr_assert(ring_pop(&ring, &out));
    cr_expect_eq(out, 2);
    ring_fini(&ring);
}

Test(ring, refuses_a_size_beyond_the_address_space) {
    struct ring ring;
    ring_init(&ring, SIZE_MAX / 4, 8);
    cr_expect_eq(ring_push(&ring, ""), WEFT_ERR_MEMORY);
    cr_expect_eq(ring.count, 0);
    ring_fini(&ring);
}

Test(ring, fini_takes_zeroed_memory_and_may_repeat) {
    struct ring ring = {0};
    ring_fini(&ring);
    ring_fini(&ring);
}

Test(ring, needs_a_bound, .signal = SIGABRT) {
    struct ring ring;
    ring_init(&ring, 1, 0);
}

Test(ring, needs_an_element_size, .signal = SIGABRT) {
    struct ring ring;
    ring_init(&ring, 0, 1);
}
