/* SPDX-License-Identifier: Apache-2.0
 *
 * Chaos follows from the seed; it leaves nothing behind, or a healthy core.
 */
#include "unit/sim/fault_rig.h"

#include <criterion/criterion.h>
#include <inttypes.h>

static void rig_chaos(struct rig *rig, enum chaos_mode mode, uint32_t nodes, uint64_t seed) {
    *rig = (struct rig){.scenario = rig_scenario(nodes, TOPOLOGY_RANDOM_REGULAR)};
    rig->scenario.chaos = (struct scenario_chaos){.mode = mode,
                                                  .every_ns = 300 * NS_PER_MS,
                                                  .until_ns = 60 * NS_PER_S,
                                                  .kinds = (1U << FAULT_HEAL) - 1,
                                                  .core_ppm = 500000};
    rig_form(rig, seed);
}

Test(sim_chaos, chaos_of_one_seed_draws_the_same_and_of_another_does_not) {
    struct rig rigs[3];
    for (size_t i = 0; i < 3; i++) {
        rig_chaos(&rigs[i], CHAOS_SAFETY, 8, i < 2 ? 11 : 12);
        rig_run_to(&rigs[i], 20 * NS_PER_S);
    }
    const struct fault_done *done[3];
    size_t count = faults_done(rigs[0].faults, &done[0]);
    cr_assert_gt(count, 20);
    cr_assert_eq(faults_done(rigs[1].faults, &done[1]), count);
    cr_assert_gt(faults_done(rigs[2].faults, &done[2]), 5);
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(done[0][i].at, done[1][i].at);
        cr_assert_eq(done[0][i].kind, done[1][i].kind);
        cr_assert_str_eq(done[0][i].what, done[1][i].what);
    }
    cr_assert_eq(world_trace_hash(rigs[0].world), world_trace_hash(rigs[1].world));
    cr_assert_neq(world_trace_hash(rigs[0].world), world_trace_hash(rigs[2].world));
    for (size_t i = 0; i < 3; i++) {
        rig_fini(&rigs[i]);
    }
}

Test(sim_chaos, chaos_draws_every_kind_and_heals_to_a_settled_mesh) {
    struct rig rig;
    rig_chaos(&rig, CHAOS_SAFETY, 8, 5);
    rig_run_to(&rig, 59 * NS_PER_S);
    cr_assert_gt(faults_running(rig.faults), 0);
    for (int kind = 0; kind < FAULT_HEAL; kind++) {
        cr_assert_gt(faults_count(rig.faults, (enum fault_kind)kind), 0, "%s",
                     fault_kind_name((enum fault_kind)kind));
    }
    rig_run_to(&rig, 60 * NS_PER_S + 1);
    rig_run_to(&rig, 75 * NS_PER_S); /* those who were leaving have left, and are back */
    faults_heal(rig.faults);
    rig_expect_nothing_left(&rig);
    rig_run_to(&rig, 200 * NS_PER_S);
    cr_assert(rig_all_reach(&rig, NULL));
    cr_assert(rig_is_settled(&rig, NULL));
    rig_fini(&rig);
}

static uint32_t count_in(const bool *is_in, uint32_t nodes) {
    uint32_t count = 0;
    for (uint32_t node = 0; node < nodes; node++) {
        count += is_in[node];
    }
    return count;
}

/* Whether plan edges inside the core join it. */
static bool is_core_connected(const struct rig *rig, const bool *core) {
    const struct plan *plan = world_plan(rig->world);
    bool is_reached[RIG_NODES_MAX] = {false};
    uint32_t first = 0;
    while (!core[first]) {
        first++;
    }
    is_reached[first] = true;
    for (uint32_t round = 0; round < rig->scenario.nodes; round++) {
        for (size_t i = 0; i < plan->edge_count; i++) {
            const struct scenario_edge *edge = &plan->edges[i];
            if (core[edge->a] && core[edge->b] && (is_reached[edge->a] || is_reached[edge->b])) {
                is_reached[edge->a] = is_reached[edge->b] = true;
            }
        }
    }
    return memcmp(is_reached, core, rig->scenario.nodes * sizeof(bool)) == 0;
}

Test(sim_chaos, liveness_freezes_a_healthy_core_and_leaves_the_rest_broken) {
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct rig rig;
        bool core[RIG_NODES_MAX];
        rig_chaos(&rig, CHAOS_LIVENESS, 12, seed);
        rig_run_to(&rig, 30 * NS_PER_S);
        faults_core(rig.faults, core);
        cr_assert_eq(count_in(core, 12), 0);
        rig_run_to(&rig, 61 * NS_PER_S);
        size_t running = faults_running(rig.faults);
        faults_core(rig.faults, core);
        cr_assert_eq(count_in(core, 12), 6);
        cr_assert(is_core_connected(&rig, core), "seed %" PRIu64, seed);
        faults_heal(rig.faults);
        rig_run_to(&rig, 300 * NS_PER_S);
        cr_assert_eq(faults_running(rig.faults), running);
        cr_assert(rig_all_reach(&rig, core), "seed %" PRIu64, seed);
        for (uint32_t a = 0; a < 12; a++) {
            cr_assert(!core[a] || world_node_state(rig.world, a) == NODE_UP);
            cr_assert(!core[a] || faults_lies_of(rig.faults, a) == 0);
            for (uint32_t b = 0; b < 12; b++) {
                cr_assert(!core[a] || !core[b] || rig_is_passable(&rig, a, b));
            }
        }
        rig_fini(&rig);
    }
}
