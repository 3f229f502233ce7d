/* SPDX-License-Identifier: Apache-2.0
 *
 * Small worlds of real cores: they form, they notice, they come back, and one seed tells one story.
 */
#include <criterion/criterion.h>

#include <string.h>

#include "base/time.h"
#include "sim/world.h"

#define NODES 6

struct telling {
    uint32_t links_up;
    uint32_t links_down;
    uint32_t received;
    uint32_t sent;
    uint32_t steps;
};

static void count_sent(void *ctx, uint32_t node, uint32_t to, const struct action *action) {
    struct telling *telling = ctx;
    cr_assert(node != to && action->frame != NULL);
    telling->sent++;
}

static void count_received(void *ctx, uint32_t node, uint32_t from, const struct wire_frame *frame,
                           struct span payload) {
    struct telling *telling = ctx;
    (void)payload;
    cr_assert(node != from && frame->kind != 0);
    telling->received++;
}

static void count_link(void *ctx, uint32_t node, uint32_t other, struct link_id link, bool is_up) {
    struct telling *telling = ctx;
    cr_assert(node != other && link.value != 0);
    telling->links_up += is_up ? 1 : 0;
    telling->links_down += is_up ? 0 : 1;
}

static void count_step(void *ctx, uint32_t node) {
    struct telling *telling = ctx;
    (void)node;
    telling->steps++;
}

static struct scenario plain_scenario(void) {
    struct scenario scenario = {
        .name = "world",
        .nodes = NODES,
        .degree = 8,
        .heartbeat_ns = NS_PER_S,
        .hold_ns = 60 * NS_PER_S,
        .fade_ns = 600 * NS_PER_S,
        .topology = {.kind = TOPOLOGY_RING},
        .link = {.delay_ns = {5 * NS_PER_MS, 20 * NS_PER_MS}, .buffer = 1 << 20},
    };
    scenario.uplink = scenario.link;
    return scenario;
}

static struct world *make(const struct scenario *scenario, uint64_t seed, bool is_sharing) {
    struct scenario_error error;
    const struct world_options options = {
        .scenario = scenario, .seed = seed, .is_sharing = is_sharing};
    struct world *world = world_new(&options, &error);
    cr_assert_not_null(world);
    return world;
}

/* Nodes that reach so many others. */
static uint32_t count_reaching(struct world *world, size_t others) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < world_node_count(world); i++) {
        struct core_status status;
        if (world_core(world, i) == NULL) {
            continue;
        }
        core_get_status(world_core(world, i), &status);
        count += status.peers_reachable == others ? 1 : 0;
    }
    return count;
}

Test(sim_world, forms_a_ring_and_tells_observers) {
    struct scenario scenario = plain_scenario();
    struct telling telling = {0};
    struct world *world = make(&scenario, 1, true);
    world_add_observer(world, &(struct observer){.ctx = &telling,
                                                 .sent = count_sent,
                                                 .received = count_received,
                                                 .link = count_link,
                                                 .stepped = count_step});
    world_run(world, 10 * NS_PER_S);
    cr_expect_eq(world_now(world), 10 * NS_PER_S);
    cr_expect_eq(count_reaching(world, NODES - 1), NODES);
    cr_expect_eq(telling.links_up - telling.links_down, 2 * NODES);
    cr_expect_gt(telling.received, 0);
    cr_expect_geq(telling.sent, telling.received);
    cr_expect_gt(telling.steps, 0);
    world_free(world);
}

Test(sim_world, tells_one_story_a_seed_whether_records_are_shared_or_not) {
    struct scenario scenario = plain_scenario();
    uint64_t hashes[4];
    const uint64_t seeds[4] = {3, 3, 3, 4};
    const bool sharing[4] = {true, true, false, true};
    for (size_t i = 0; i < 4; i++) {
        struct world *world = make(&scenario, seeds[i], sharing[i]);
        world_run(world, 5 * NS_PER_S);
        world_crash(world, 2, WORLD_CRASH_KEEP, true);
        world_run(world, 10 * NS_PER_S);
        hashes[i] = world_trace_hash(world);
        world_free(world);
    }
    cr_expect_eq(hashes[0], hashes[1]);
    cr_expect_eq(hashes[0], hashes[2]);
    cr_expect_neq(hashes[0], hashes[3]);
}

Test(sim_world, shows_a_crash_at_once_and_takes_the_node_back) {
    struct scenario scenario = plain_scenario();
    struct world *world = make(&scenario, 5, true);
    world_run(world, 10 * NS_PER_S);
    world_crash(world, 3, WORLD_CRASH_KEEP, true);
    cr_expect_eq(world_node_state(world, 3), NODE_DOWN);
    cr_expect_null(world_core(world, 3));
    world_run(world, world_now(world) + NS_PER_S);
    cr_expect_eq(count_reaching(world, NODES - 2), NODES - 1);
    world_start(world, 3);
    world_run(world, world_now(world) + 40 * NS_PER_S);
    cr_expect_eq(count_reaching(world, NODES - 1), NODES);
    world_free(world);
}

Test(sim_world, keeps_the_store_over_a_crash_unless_it_is_wiped) {
    struct scenario scenario = plain_scenario();
    struct world *world = make(&scenario, 6, true);
    struct core_status status;
    world_run(world, 10 * NS_PER_S);
    world_crash(world, 1, WORLD_CRASH_KEEP, true);
    world_start(world, 1);
    core_get_status(world_core(world, 1), &status);
    cr_expect_eq(status.peers_known, NODES - 1);
    cr_expect_eq(status.incarnation, 2);
    world_run(world, world_now(world) + 60 * NS_PER_S);
    world_crash(world, 1, WORLD_CRASH_WIPE, true);
    world_start(world, 1);
    core_get_status(world_core(world, 1), &status);
    cr_expect_eq(status.peers_known, 0);
    cr_expect_eq(status.incarnation, 1);
    world_run(world, world_now(world) + 60 * NS_PER_S);
    core_get_status(world_core(world, 1), &status);
    cr_expect_gt(status.incarnation, 2, "it heard of its former life and went above it");
    cr_expect_eq(count_reaching(world, NODES - 1), NODES);
    world_free(world);
}

Test(sim_world, notices_a_machine_without_power_only_by_its_silence) {
    struct scenario scenario = plain_scenario();
    struct world *world = make(&scenario, 7, true);
    world_run(world, 10 * NS_PER_S);
    world_crash(world, 0, WORLD_CRASH_KEEP, false);
    world_run(world, world_now(world) + NS_PER_S);
    cr_expect_eq(count_reaching(world, NODES - 1), NODES - 1);
    world_run(world, world_now(world) + 4 * NS_PER_S);
    cr_expect_eq(count_reaching(world, NODES - 2), NODES - 1);
    world_free(world);
}

Test(sim_world, takes_a_pause_for_what_it_is) {
    struct scenario scenario = plain_scenario();
    struct telling telling = {0};
    struct world *world = make(&scenario, 8, true);
    world_run(world, 10 * NS_PER_S);
    world_add_observer(world, &(struct observer){.ctx = &telling, .link = count_link});
    world_pause(world, 4, true);
    world_run(world, world_now(world) + NS_PER_S);
    world_pause(world, 4, false);
    world_run(world, world_now(world) + 10 * NS_PER_S);
    cr_expect_eq(telling.links_down, 0, "a second is too short to be dead");
    world_pause(world, 4, true);
    world_run(world, world_now(world) + 6 * NS_PER_S);
    cr_expect_eq(count_reaching(world, NODES - 2), NODES - 1);
    world_pause(world, 4, false);
    world_run(world, world_now(world) + 60 * NS_PER_S);
    cr_expect_eq(count_reaching(world, NODES - 1), NODES);
    world_free(world);
}

Test(sim_world, lets_a_node_leave_as_planned) {
    struct scenario scenario = plain_scenario();
    struct world *world = make(&scenario, 9, true);
    world_run(world, 10 * NS_PER_S);
    world_leave(world, 2);
    world_run(world, world_now(world) + 10 * NS_PER_S);
    cr_expect_eq(world_node_state(world, 2), NODE_LEFT);
    cr_expect_eq(count_reaching(world, NODES - 2), NODES - 1);
    world_start(world, 2);
    world_run(world, world_now(world) + 60 * NS_PER_S);
    cr_expect_eq(count_reaching(world, NODES - 1), NODES);
    world_free(world);
}

Test(sim_world, keeps_links_over_an_hour_that_a_clock_skips) {
    struct scenario scenario = plain_scenario();
    struct telling telling = {0};
    struct world *world = make(&scenario, 10, true);
    world_run(world, 10 * NS_PER_S);
    world_add_observer(world, &(struct observer){.ctx = &telling, .link = count_link});
    world_jump_clock(world, 5, 3600 * NS_PER_S);
    cr_expect_eq(world_node_now(world, 5), world_now(world) + 3600 * NS_PER_S);
    world_run(world, world_now(world) + 10 * NS_PER_S);
    cr_expect_eq(telling.links_down, 0);
    cr_expect_eq(count_reaching(world, NODES - 1), NODES);
    world_free(world);
}

Test(sim_world, comes_through_refused_memory) {
    struct scenario scenario = plain_scenario();
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct world *world = make(&scenario, seed, true);
        world_run(world, 5 * NS_PER_S);
        for (uint32_t i = 0; i < NODES; i++) {
            world_refuse_memory(world, i, 100000);
        }
        world_crash(world, 1, WORLD_CRASH_KEEP, true);
        world_start(world, 1);
        world_run(world, world_now(world) + 10 * NS_PER_S);
        for (uint32_t i = 0; i < NODES; i++) {
            world_refuse_memory(world, i, 0);
        }
        world_run(world, world_now(world) + 120 * NS_PER_S);
        cr_expect_eq(count_reaching(world, NODES - 1), NODES, "seed %llu",
                     (unsigned long long)seed);
        world_free(world);
    }
}

Test(sim_world, keeps_nothing_new_on_a_full_disk) {
    struct scenario scenario = plain_scenario();
    struct world *world = make(&scenario, 11, true);
    struct core_status status;
    world_run(world, 10 * NS_PER_S);
    world_fill_disk(world, 1, true);
    for (int i = 0; i < 2; i++) {
        world_crash(world, 1, WORLD_CRASH_KEEP, true);
        world_start(world, 1);
        core_get_status(world_core(world, 1), &status);
        cr_expect_eq(status.incarnation, 2, "the new one could not be kept");
        cr_expect_eq(status.peers_known, NODES - 1);
    }
    world_fill_disk(world, 1, false);
    world_run(world, world_now(world) + 60 * NS_PER_S);
    cr_expect_eq(count_reaching(world, NODES - 1), NODES);
    world_free(world);
}

Test(sim_world, slows_a_node_down_without_losing_it) {
    struct scenario scenario = plain_scenario();
    struct world *world = make(&scenario, 12, true);
    world_run(world, 10 * NS_PER_S);
    world_set_slowness(world, 3, 100);
    world_run(world, world_now(world) + 20 * NS_PER_S);
    cr_expect_eq(count_reaching(world, NODES - 1), NODES);
    world_free(world);
}

/* Calls in the order asked, at their times. */
struct diary {
    struct world *world;
    weft_ns at[4];
    size_t count;
};
static void write_down(void *ctx) {
    struct diary *diary = ctx;
    diary->at[diary->count++] = world_now(diary->world);
    if (diary->count == 3) {
        world_stop(diary->world);
    }
}

Test(sim_world, calls_at_the_time_asked_and_stops_when_told) {
    struct scenario scenario = plain_scenario();
    struct world *world = make(&scenario, 13, true);
    struct diary diary = {.world = world};
    world_at(world, 3 * NS_PER_S, write_down, &diary);
    world_at(world, 2 * NS_PER_S, write_down, &diary);
    world_at(world, 4 * NS_PER_S, write_down, &diary);
    world_at(world, 5 * NS_PER_S, write_down, &diary);
    world_run(world, 60 * NS_PER_S);
    cr_expect_eq(diary.count, 3);
    cr_expect_eq(diary.at[0], 2 * NS_PER_S);
    cr_expect_eq(diary.at[2], 4 * NS_PER_S);
    cr_expect_eq(world_now(world), 4 * NS_PER_S);
    world_free(world);
}

static bool drop_all(void *ctx, uint32_t node, uint32_t to, struct action *action) {
    (void)ctx;
    (void)node;
    (void)to;
    (void)action;
    return false;
}

static void count_from_three(void *ctx, uint32_t node, uint32_t from,
                             const struct wire_frame *frame, struct span payload) {
    uint32_t *count = ctx;
    (void)node;
    (void)frame;
    (void)payload;
    *count += from == 3 ? 1 : 0;
}

Test(sim_world, lets_a_liar_swallow_what_its_core_sends) {
    struct scenario scenario = plain_scenario();
    uint32_t count = 0;
    struct world *world = make(&scenario, 14, true);
    const struct liar liar = {.send = drop_all};
    world_run(world, 10 * NS_PER_S);
    world_set_liar(world, 3, &liar);
    world_run(world, world_now(world) + NS_PER_S); /* what was on its way */
    world_add_observer(world, &(struct observer){.ctx = &count, .received = count_from_three});
    world_run(world, world_now(world) + 10 * NS_PER_S);
    cr_expect_eq(count, 0);
    world_set_liar(world, 3, NULL);
    world_run(world, world_now(world) + 60 * NS_PER_S);
    cr_expect_eq(count_reaching(world, NODES - 1), NODES);
    world_free(world);
}
