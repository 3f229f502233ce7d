/* SPDX-License-Identifier: Apache-2.0
 *
 * The timer heap against a naive model, which looks at every timer each time it is asked.
 */
#include <criterion/criterion.h>
#include <signal.h>

#include "base/rng.h"
#include "base/timers.h"

#define TIMER_COUNT 60

struct model {
    bool is_armed[TIMER_COUNT];
    weft_ns deadline[TIMER_COUNT];
    uint64_t order[TIMER_COUNT];
    uint64_t order_next;
};

/* The index of what should fire first, or -1. */
static int model_first(const struct model *model) {
    int first = -1;
    for (int i = 0; i < TIMER_COUNT; i++) {
        if (!model->is_armed[i]) {
            continue;
        }
        if (first < 0 || model->deadline[i] < model->deadline[first] ||
            (model->deadline[i] == model->deadline[first] &&
             model->order[i] < model->order[first])) {
            first = i;
        }
    }
    return first;
}

static void model_arm(struct model *model, size_t index, weft_ns deadline) {
    model->is_armed[index] = deadline != WEFT_NEVER;
    model->deadline[index] = deadline;
    model->order[index] = model->order_next++;
}

struct world {
    struct timers timers;
    struct timer all[TIMER_COUNT];
    struct model model;
    weft_ns now;
    unsigned seed;
};

static void world_arm(struct world *world, size_t index, weft_ns deadline) {
    timers_arm(&world->timers, &world->all[index], deadline);
    model_arm(&world->model, index, deadline);
}

static void world_disarm(struct world *world, size_t index) {
    timers_disarm(&world->timers, &world->all[index]);
    world->model.is_armed[index] = false;
}

/* Fires everything due, in the model's order. */
static void world_fire(struct world *world) {
    int first = model_first(&world->model);
    while (first >= 0 && world->model.deadline[first] <= world->now) {
        cr_assert_eq(timers_deadline(&world->timers), world->model.deadline[first]);
        struct timer *timer = timers_pop(&world->timers, world->now);
        cr_assert_eq(timer, &world->all[first], "seed %u: not timer %d", world->seed, first);
        cr_assert_not(timer_is_armed(timer));
        world->model.is_armed[first] = false;
        first = model_first(&world->model);
    }
    cr_assert_null(timers_pop(&world->timers, world->now), "seed %u: fired early", world->seed);
}

static void world_check(const struct world *world) {
    int first = model_first(&world->model);
    weft_ns expected = first < 0 ? WEFT_NEVER : world->model.deadline[first];
    cr_assert_eq(timers_deadline(&world->timers), expected, "seed %u", world->seed);
    for (size_t i = 0; i < TIMER_COUNT; i++) {
        cr_assert_eq(timer_is_armed(&world->all[i]), world->model.is_armed[i], "seed %u: timer %zu",
                     world->seed, i);
    }
}

static void world_step(struct world *world, struct rng *rng) {
    size_t index = rng_below(rng, TIMER_COUNT);
    switch (rng_below(rng, 8)) {
    case 0:
        world_disarm(world, index);
        return;
    case 1:
        world->now += rng_below(rng, 20);
        world_fire(world);
        return;
    case 2:
        world_arm(world, index, WEFT_NEVER);
        return;
    default:
        /* Few different deadlines, so that ties are common; some already past. */
        world_arm(world, index, world->now + rng_below(rng, 30));
        return;
    }
}

Test(timers, agree_with_a_naive_model) {
    for (uint8_t seed = 0; seed < 30; seed++) {
        struct rng rng;
        rng_init(&rng, (const uint8_t[32]){seed, 3});
        struct world world = {.seed = seed, .now = 100};
        cr_assert_eq(timers_reserve(&world.timers, TIMER_COUNT), WEFT_OK);
        for (int step = 0; step < 2000; step++) {
            world_step(&world, &rng);
            world_check(&world);
        }
        world.now = WEFT_NEVER;
        world_fire(&world);
        timers_fini(&world.timers);
    }
}

Test(timers, with_equal_deadlines_fire_in_the_order_of_arming) {
    struct timers timers = {0};
    struct timer all[TIMER_COUNT] = {0};
    cr_assert_eq(timers_reserve(&timers, TIMER_COUNT), WEFT_OK);
    for (size_t i = 0; i < TIMER_COUNT; i++) {
        timers_arm(&timers, &all[i * 7 % TIMER_COUNT], 5);
    }
    for (size_t i = 0; i < TIMER_COUNT; i++) {
        cr_expect_eq(timers_pop(&timers, 5), &all[i * 7 % TIMER_COUNT]);
    }
    timers_fini(&timers);
}

Test(timers, armed_again_go_behind_their_equals) {
    struct timers timers = {0};
    struct timer a = {0};
    struct timer b = {0};
    cr_assert_eq(timers_reserve(&timers, 2), WEFT_OK);
    timers_arm(&timers, &a, 5);
    timers_arm(&timers, &b, 5);
    timers_arm(&timers, &a, 5);
    cr_expect_eq(timers_pop(&timers, 5), &b);
    cr_expect_eq(timers_pop(&timers, 5), &a);
    timers_fini(&timers);
}

Test(timers, never_fire_early) {
    struct timers timers = {0};
    struct timer timer = {.kind = 3, .owner = &timers};
    cr_assert_eq(timers_reserve(&timers, 1), WEFT_OK);
    timers_arm(&timers, &timer, 10);
    cr_expect_null(timers_pop(&timers, 9));
    cr_expect(timer_is_armed(&timer));
    cr_expect_eq(timers_pop(&timers, 10), &timer);
    cr_expect_eq(timer.kind, 3);
    cr_expect_eq(timer.owner, &timers);
    cr_expect_null(timers_pop(&timers, WEFT_NEVER));
    timers_fini(&timers);
}

Test(timers, when_there_are_none_never_come_due) {
    struct timers timers = {0};
    cr_expect_eq(timers_deadline(&timers), WEFT_NEVER);
    cr_expect_null(timers_pop(&timers, WEFT_NEVER));
    struct timer timer = {0};
    timers_disarm(&timers, &timer);
    timers_arm(&timers, &timer, WEFT_NEVER); /* needs no room */
    timers_fini(&timers);
}

Test(timers, keep_what_is_armed_when_the_room_grows) {
    struct timers timers = {0};
    struct timer all[TIMER_COUNT] = {0};
    for (size_t i = 0; i < TIMER_COUNT; i++) {
        cr_assert_eq(timers_reserve(&timers, i + 1), WEFT_OK);
        timers_arm(&timers, &all[i], TIMER_COUNT - i);
    }
    for (size_t i = TIMER_COUNT; i > 0; i--) {
        cr_expect_eq(timers_pop(&timers, WEFT_NEVER), &all[i - 1]);
    }
    timers_fini(&timers);
}

Test(timers, refuse_room_beyond_the_address_space) {
    struct timers timers = {0};
    cr_expect_eq(timers_reserve(&timers, SIZE_MAX), WEFT_ERR_MEMORY);
    cr_expect_eq(timers_reserve(&timers, SIZE_MAX / 8 + 1), WEFT_ERR_MEMORY);
    cr_expect_eq(timers.size, 0);
    timers_fini(&timers);
}

Test(timers, refuse_to_be_armed_without_room, .signal = SIGABRT) {
    struct timers timers = {0};
    struct timer timer = {0};
    timers_arm(&timers, &timer, 1);
}

Test(timers, refuse_a_timer_of_another_heap, .signal = SIGABRT) {
    struct timers mine = {0};
    struct timers other = {0};
    struct timer timer = {0};
    cr_assert_eq(timers_reserve(&other, 1), WEFT_OK);
    timers_arm(&other, &timer, 1);
    timers_disarm(&mine, &timer);
}
