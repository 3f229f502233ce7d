/* SPDX-License-Identifier: Apache-2.0
 *
 * Faults in tiny worlds: each kind has its effect and ends; overlapping ones nest.
 */
#include "unit/sim/fault_rig.h"

#include <criterion/criterion.h>
#include <inttypes.h>

static uint32_t two[] = {2};
static uint32_t pair[] = {0, 1};

/* ---- nodes ---- */

Test(sim_fault, a_crash_is_seen_at_once_and_ends_with_a_restart) {
    struct scenario_fault line = line_of(FAULT_CRASH, 5 * NS_PER_S);
    struct rig rig;
    rig_init(&rig, TOPOLOGY_RING, &line, 1);
    cr_assert_eq(rig_links(&rig, 0), 2);
    rig_run_to(&rig, AT + 100 * NS_PER_MS);
    cr_assert_eq(world_node_state(rig.world, 1), NODE_DOWN);
    cr_assert_eq(rig_links(&rig, 0), 1);
    cr_assert_eq(faults_running(rig.faults), 1);
    rig_run_to(&rig, AT + 5 * NS_PER_S);
    cr_assert_eq(world_node_state(rig.world, 1), NODE_UP);
    cr_assert_eq(rig_incarnation(&rig, 1), 2);
    cr_assert_eq(faults_running(rig.faults), 0);
    rig_fini(&rig);
}

Test(sim_fault, a_crash_that_loses_state_forgets_the_incarnation) {
    struct scenario_fault line = line_of(FAULT_CRASH, 5 * NS_PER_S);
    struct rig rig;
    line.loses_state = true;
    rig_init(&rig, TOPOLOGY_RING, &line, 1);
    rig_run_to(&rig, AT + 5 * NS_PER_S);
    cr_assert_eq(rig_incarnation(&rig, 1), 1);
    rig_fini(&rig);
}

Test(sim_fault, a_loss_of_power_is_seen_only_by_silence) {
    struct scenario_fault line = line_of(FAULT_POWER, 20 * NS_PER_S);
    struct rig rig;
    rig_init(&rig, TOPOLOGY_RING, &line, 1);
    rig_run_to(&rig, AT + 500 * NS_PER_MS);
    cr_assert_eq(world_node_state(rig.world, 1), NODE_DOWN);
    cr_assert_eq(rig_links(&rig, 0), 2);
    rig_run_to(&rig, AT + 10 * NS_PER_S);
    cr_assert_eq(rig_links(&rig, 0), 1);
    rig_run_to(&rig, AT + 21 * NS_PER_S);
    cr_assert_eq(world_node_state(rig.world, 1), NODE_UP);
    rig_fini(&rig);
}

Test(sim_fault, who_leaves_comes_back_after_its_span) {
    struct scenario_fault line = line_of(FAULT_LEAVE, 30 * NS_PER_S);
    struct rig rig;
    rig_init(&rig, TOPOLOGY_RING, &line, 1);
    rig_run_to(&rig, AT + 20 * NS_PER_S);
    cr_assert_eq(world_node_state(rig.world, 1), NODE_LEFT);
    rig_run_to(&rig, AT + 31 * NS_PER_S);
    cr_assert_eq(world_node_state(rig.world, 1), NODE_UP);
    rig_fini(&rig);
}

Test(sim_fault, who_leaves_for_less_than_leaving_takes_comes_back_all_the_same) {
    struct scenario_fault line = line_of(FAULT_LEAVE, 1);
    struct rig rig;
    rig_init(&rig, TOPOLOGY_RING, &line, 1);
    rig_run_to(&rig, AT + 40 * NS_PER_S);
    cr_assert_eq(world_node_state(rig.world, 1), NODE_UP);
    cr_assert_eq(rig_incarnation(&rig, 1), 2);
    rig_fini(&rig);
}

Test(sim_fault, a_pause_holds_the_node_until_it_ends) {
    struct scenario_fault line = line_of(FAULT_PAUSE, 2 * NS_PER_S);
    struct rig rig;
    rig_init(&rig, TOPOLOGY_RING, &line, 1);
    rig_run_to(&rig, AT + NS_PER_S);
    cr_assert_eq(world_node_state(rig.world, 1), NODE_PAUSED);
    rig_run_to(&rig, AT + 2 * NS_PER_S);
    cr_assert_eq(world_node_state(rig.world, 1), NODE_UP);
    rig_fini(&rig);
}

Test(sim_fault, of_two_overlapping_faults_the_end_of_one_is_not_the_end_of_the_other) {
    struct scenario_fault lines[4] = {
        line_of(FAULT_PAUSE, 2 * NS_PER_S), line_of(FAULT_PAUSE, 4 * NS_PER_S),
        line_of(FAULT_SLOW, 4 * NS_PER_S), line_of(FAULT_SLOW, 2 * NS_PER_S)};
    struct rig rig;
    lines[1].at_ns = 2 * AT;
    lines[2].factor = 3;
    lines[3].factor = 20;
    rig_init(&rig, TOPOLOGY_RING, lines, 4);
    const struct node *node = &rig.world->nodes[1];
    rig_run_to(&rig, 2 * AT);
    cr_assert_eq(node->slowness, 20);
    rig_run_to(&rig, AT + 3 * NS_PER_S);
    cr_assert_eq(node->state, NODE_PAUSED);
    cr_assert_eq(node->slowness, 3);
    rig_run_to(&rig, AT + 6 * NS_PER_S);
    cr_assert_eq(node->state, NODE_UP);
    cr_assert_eq(node->slowness, 1);
    rig_fini(&rig);
}

Test(sim_fault, a_node_that_two_faults_hold_down_starts_when_both_are_over) {
    struct scenario_fault lines[2] = {line_of(FAULT_CRASH, 10 * NS_PER_S),
                                      line_of(FAULT_POWER, 2 * NS_PER_S)};
    struct rig rig;
    lines[1].at_ns = 2 * AT;
    rig_init(&rig, TOPOLOGY_RING, lines, 2);
    rig_run_to(&rig, AT + 5 * NS_PER_S);
    cr_assert_eq(world_node_state(rig.world, 1), NODE_DOWN);
    rig_run_to(&rig, AT + 10 * NS_PER_S);
    cr_assert_eq(world_node_state(rig.world, 1), NODE_UP);
    rig_fini(&rig);
}

Test(sim_fault, a_node_that_restarts_under_a_fault_has_it_still) {
    struct scenario_fault lines[2] = {line_of(FAULT_CRASH, 2 * NS_PER_S),
                                      line_of(FAULT_PAUSE, 10 * NS_PER_S)};
    struct rig rig;
    lines[1].at_ns = 2 * AT;
    rig_init(&rig, TOPOLOGY_RING, lines, 2);
    rig_run_to(&rig, AT + 3 * NS_PER_S);
    cr_assert_eq(world_node_state(rig.world, 1), NODE_PAUSED);
    rig_run_to(&rig, 2 * AT + 10 * NS_PER_S);
    cr_assert_eq(world_node_state(rig.world, 1), NODE_UP);
    rig_fini(&rig);
}

Test(sim_fault, memory_and_disk_are_refused_and_come_back) {
    struct scenario_fault lines[2] = {line_of(FAULT_MEMORY, 5 * NS_PER_S),
                                      line_of(FAULT_DISK, 5 * NS_PER_S)};
    struct rig rig;
    lines[0].ppm = 20000;
    rig_init(&rig, TOPOLOGY_RING, lines, 2);
    const struct node *node = &rig.world->nodes[1];
    rig_run_to(&rig, AT + NS_PER_S);
    cr_assert_eq(node->refused_ppm, 20000);
    cr_assert(node->store.is_frozen);
    rig_run_to(&rig, AT + 5 * NS_PER_S);
    cr_assert_eq(node->refused_ppm, 0);
    cr_assert_not(node->store.is_frozen);
    rig_fini(&rig);
}

Test(sim_fault, a_clock_jumps_once) {
    struct scenario_fault line = line_of(FAULT_CLOCK, 0);
    const struct fault_done *done;
    struct rig rig;
    line.jump_ns = 3600 * NS_PER_S;
    rig_init(&rig, TOPOLOGY_RING, &line, 1);
    rig_run_to(&rig, 20 * NS_PER_S);
    cr_assert_eq(world_node_now(rig.world, 1) - world_now(rig.world), 3600 * NS_PER_S);
    cr_assert_eq(world_node_now(rig.world, 2), world_now(rig.world));
    cr_assert_eq(faults_done(rig.faults, &done), 1);
    cr_assert_eq(done->until, done->at);
    cr_assert(rig_all_reach(&rig, NULL));
    rig_fini(&rig);
}

/* ---- between nodes ---- */

Test(sim_fault, a_cut_is_seen_at_once_and_both_ways) {
    struct scenario_fault line = line_of(FAULT_CUT, 5 * NS_PER_S);
    struct rig rig;
    line.to = pick_these(two, 1);
    rig_init(&rig, TOPOLOGY_RING, &line, 1);
    rig_run_to(&rig, AT + 100 * NS_PER_MS);
    cr_assert_not(rig_is_passable(&rig, 1, 2));
    cr_assert_not(rig_is_passable(&rig, 2, 1));
    cr_assert(rig_is_passable(&rig, 1, 0));
    cr_assert_eq(rig_links(&rig, 2), 1);
    rig_run_to(&rig, AT + 15 * NS_PER_S);
    cr_assert(rig_is_passable(&rig, 1, 2));
    cr_assert_eq(rig_links(&rig, 2), 2);
    rig_fini(&rig);
}

Test(sim_fault, silence_is_seen_late_and_one_way_leaves_the_other_open) {
    struct scenario_fault lines[2] = {line_of(FAULT_SILENCE, 10 * NS_PER_S),
                                      line_of(FAULT_ONE_WAY, 10 * NS_PER_S)};
    struct rig rig;
    lines[0].to = pick_these(two, 1);
    lines[1].at_ns = 20 * NS_PER_S;
    lines[1].to = pick_these(two, 1);
    rig_init(&rig, TOPOLOGY_RING, lines, 2);
    rig_run_to(&rig, AT + 100 * NS_PER_MS);
    cr_assert_not(rig_is_passable(&rig, 1, 2));
    cr_assert_not(rig_is_passable(&rig, 2, 1));
    cr_assert_eq(rig_links(&rig, 2), 2);
    rig_run_to(&rig, 21 * NS_PER_S);
    cr_assert_not(rig_is_passable(&rig, 1, 2));
    cr_assert(rig_is_passable(&rig, 2, 1));
    rig_run_to(&rig, 31 * NS_PER_S);
    cr_assert(rig_is_passable(&rig, 1, 2));
    rig_fini(&rig);
}

Test(sim_fault, without_other_ends_a_node_is_cut_from_all) {
    struct scenario_fault line = line_of(FAULT_CUT, 5 * NS_PER_S);
    struct rig rig;
    rig_init(&rig, TOPOLOGY_FULL, &line, 1);
    rig_run_to(&rig, AT + NS_PER_S);
    cr_assert_eq(rig_links(&rig, 1), 0);
    cr_assert_eq(rig_links(&rig, 0), 3);
    rig_fini(&rig);
}

Test(sim_fault, a_partition_parts_sides_and_nothing_else) {
    struct scenario_fault lines[2] = {line_of(FAULT_PARTITION, 10 * NS_PER_S),
                                      line_of(FAULT_PARTITION, 10 * NS_PER_S)};
    struct rig rig;
    lines[0].who = pick_these(pair, 2);
    lines[0].is_seen = true;
    lines[1].who = pick_these(pair, 2);
    lines[1].at_ns = 20 * NS_PER_S;
    lines[1].is_one_way = true;
    rig_init(&rig, TOPOLOGY_FULL, lines, 2);
    rig_run_to(&rig, AT + NS_PER_S);
    cr_assert(rig_is_passable(&rig, 0, 1));
    cr_assert(rig_is_passable(&rig, 3, 4));
    cr_assert_not(rig_is_passable(&rig, 0, 3));
    cr_assert_not(rig_is_passable(&rig, 3, 0));
    cr_assert_eq(rig_links(&rig, 0), 1);
    rig_run_to(&rig, 21 * NS_PER_S);
    cr_assert_not(rig_is_passable(&rig, 0, 3));
    cr_assert(rig_is_passable(&rig, 3, 0));
    rig_run_to(&rig, 50 * NS_PER_S);
    cr_assert(rig_all_reach(&rig, NULL));
    rig_fini(&rig);
}

Test(sim_fault, flapping_resets_again_and_again_until_it_ends) {
    struct scenario_fault line = line_of(FAULT_FLAP, 10 * NS_PER_S);
    struct rig rig;
    line.every_ns = 3 * NS_PER_S;
    rig_init(&rig, TOPOLOGY_RING, &line, 1);
    rig_run_to(&rig, AT + 11 * NS_PER_S);
    uint64_t lost = rig.links_lost;
    cr_assert_geq(lost, 8, "%" PRIu64, lost);
    rig_run_to(&rig, AT + 40 * NS_PER_S);
    cr_assert_eq(rig.links_lost, lost);
    cr_assert(rig_all_reach(&rig, NULL));
    rig_fini(&rig);
}

static void worst_rtt(void *ctx, const struct core_link_view *view) {
    uint32_t *worst = ctx;
    *worst = view->has_rtt && view->rtt_us > *worst ? view->rtt_us : *worst;
}

Test(sim_fault, delay_is_added_and_loss_is_sent_again) {
    struct scenario_fault lines[2] = {line_of(FAULT_DELAY, 30 * NS_PER_S),
                                      line_of(FAULT_LOSS, 30 * NS_PER_S)};
    struct rig rig;
    uint32_t before_us = 0;
    uint32_t after_us = 0;
    lines[0].delay_ns = 300 * NS_PER_MS;
    lines[1].ppm = 100000;
    rig_init(&rig, TOPOLOGY_RING, lines, 2);
    uint64_t lost = net_count(world_net(rig.world)).lost;
    core_each_link(world_core(rig.world, 1), worst_rtt, &before_us);
    rig_run_to(&rig, AT + 30 * NS_PER_S);
    core_each_link(world_core(rig.world, 1), worst_rtt, &after_us);
    cr_assert_gt(after_us, before_us + 200000);
    cr_assert_gt(net_count(world_net(rig.world)).lost, lost);
    rig_fini(&rig);
}

/* ---- the timeline ---- */

Test(sim_fault, a_line_happens_as_often_as_it_says) {
    struct scenario_fault line = line_of(FAULT_PAUSE, 500 * NS_PER_MS);
    const struct fault_done *done;
    struct rig rig;
    line.every_ns = 2 * NS_PER_S;
    line.count = 3;
    line.who = (struct scenario_pick){.kind = PICK_COUNT, .count = 2};
    rig_init(&rig, TOPOLOGY_RING, &line, 1);
    rig_run_to(&rig, 20 * NS_PER_S);
    cr_assert_eq(faults_done(rig.faults, &done), 3);
    cr_assert_eq(done[2].at, rig.begun + AT + 4 * NS_PER_S);
    cr_assert_eq(done[2].until, done[2].at + 500 * NS_PER_MS);
    cr_assert_eq(faults_count(rig.faults, FAULT_PAUSE), 3);
    cr_assert(strncmp(done[0].what, "2 nodes: ", 9) == 0);
    rig_fini(&rig);
}

Test(sim_fault, healing_ends_what_would_last_for_ever) {
    for (int kind = 0; kind < FAULT_HEAL; kind++) {
        struct scenario_fault lines[2] = {line_of((enum fault_kind)kind, 0), {0}};
        struct rig rig;
        lines[0].factor = 50;
        lines[0].ppm = 5000;
        lines[0].every_ns = NS_PER_S;
        lines[0].lies = LIE_DROP | LIE_REORDER;
        lines[0].jump_ns = NS_PER_S;
        lines[0].delay_ns = NS_PER_S;
        lines[1] = line_of(FAULT_HEAL, 0);
        lines[1].at_ns = 20 * NS_PER_S;
        rig_init(&rig, TOPOLOGY_FULL, lines, 2);
        rig_run_to(&rig, 19 * NS_PER_S);
        cr_assert_eq(faults_count(rig.faults, (enum fault_kind)kind), 1);
        cr_assert_eq(faults_running(rig.faults), kind != FAULT_CLOCK);
        cr_assert_eq(faults_of(rig.faults, 1), 1U << kind);
        cr_assert_eq(faults_of(rig.faults, 2), 0);
        rig_run_to(&rig, 20 * NS_PER_S);
        rig_expect_nothing_left(&rig);
        rig_run_to(&rig, 60 * NS_PER_S); /* who flapped is told of half a minute later */
        cr_assert(rig_all_reach(&rig, NULL), "after %s", fault_kind_name((enum fault_kind)kind));
        cr_assert(rig_is_settled(&rig, NULL), "after %s", fault_kind_name((enum fault_kind)kind));
        rig_fini(&rig);
    }
}
