/* SPDX-License-Identifier: Apache-2.0
 *
 * Byte mode: real links over bytes that are cut anywhere come to the same as whole frames, and what
 * was changed on the way is never delivered.
 */
#include "unit/sim/fault_rig.h"

#include <criterion/criterion.h>
#include <inttypes.h>

#include "link/link.h"

/* Five nodes, one line or none, in either mode. */
static void form(struct rig *rig, enum topology_kind kind, const struct scenario_fault *line,
                 bool is_byte_mode, uint64_t seed) {
    *rig = (struct rig){.scenario = rig_scenario(5, kind), .is_byte_mode = is_byte_mode};
    if (line != NULL) {
        rig->lines[0] = *line;
        rig->scenario.faults = rig->lines;
        rig->scenario.fault_count = 1;
    }
    rig_form(rig, seed);
}

Test(sim_bytes, a_mesh_of_real_links_forms_as_one_of_frames_does) {
    struct rig rigs[2];
    for (size_t i = 0; i < 2; i++) {
        form(&rigs[i], TOPOLOGY_RING, NULL, i == 1, 3);
        cr_assert(rig_all_reach(&rigs[i], NULL));
        cr_assert(rig_is_settled(&rigs[i], NULL));
        for (uint32_t node = 0; node < 5; node++) {
            cr_assert_eq(rig_links(&rigs[i], node), 2);
        }
        rig_fini(&rigs[i]);
    }
}

Test(sim_bytes, one_seed_gives_the_same_bytes_and_cuts) {
    uint64_t hashes[3];
    for (size_t i = 0; i < 3; i++) {
        struct rig rig;
        form(&rig, TOPOLOGY_FULL, NULL, true, i < 2 ? 3 : 4);
        rig_run_to(&rig, 10 * NS_PER_S);
        hashes[i] = world_trace_hash(rig.world);
        rig_fini(&rig);
    }
    cr_assert_eq(hashes[0], hashes[1]);
    cr_assert_neq(hashes[0], hashes[2]);
}

Test(sim_bytes, links_change_their_keys_and_stay) {
    struct rig rig;
    form(&rig, TOPOLOGY_RING, NULL, true, 3);
    rig_run_to(&rig, 400 * NS_PER_S);
    cr_assert_eq(rig.links_lost, 0);
    for (uint32_t node = 0; node < 5; node++) {
        const struct node *it = &rig.world->nodes[node];
        cr_assert_eq(it->links.count, 2);
        const struct carry *first = it->links.items[0];
        cr_assert_geq(link_count(first->link).rekeys, 3);
    }
    rig_fini(&rig);
}

/* ---- who is between ---- */

struct vandal {
    uint64_t seen;  /* chunks */
    uint64_t which; /* of them is damaged */
    bool is_done;
};

static bool pass_on(void *ctx, uint32_t node, uint32_t to, struct action *action) {
    (void)ctx;
    (void)node;
    (void)to;
    (void)action;
    return true;
}

static void damage(void *ctx, uint32_t node, uint32_t to, uint8_t *data, size_t len) {
    struct vandal *vandal = ctx;
    (void)node;
    (void)to;
    if (vandal->seen++ == vandal->which) {
        data[len / 2] ^= 0x10;
        vandal->is_done = true;
    }
}

Test(sim_bytes, a_flipped_byte_closes_the_link_and_the_mesh_heals) {
    for (uint64_t which = 0; which < 20; which++) {
        struct rig rig;
        struct vandal vandal = {.which = which};
        const struct liar liar = {.ctx = &vandal, .send = pass_on, .bytes = damage};
        form(&rig, TOPOLOGY_RING, NULL, true, 3);
        world_set_liar(rig.world, 1, &liar);
        /* A length that was made longer is noticed when that much has come. */
        rig_run_to(&rig, 120 * NS_PER_S);
        cr_assert(vandal.is_done);
        cr_assert_geq(rig.links_lost, 1, "chunk %" PRIu64, which);
        cr_assert(rig_all_reach(&rig, NULL), "chunk %" PRIu64, which);
        rig_fini(&rig);
    }
}

/* ---- the same in both modes ---- */

Test(sim_bytes, each_fault_comes_to_the_same_in_both_modes) {
    for (int kind = 0; kind < FAULT_HEAL; kind++) {
        struct scenario_fault line = line_of((enum fault_kind)kind, 8 * NS_PER_S);
        size_t links[2];
        line.factor = 50;
        line.ppm = 20000;
        line.every_ns = 2 * NS_PER_S;
        line.lies = LIE_DROP | LIE_REORDER;
        line.jump_ns = 3600 * NS_PER_S;
        line.delay_ns = 200 * NS_PER_MS;
        for (size_t i = 0; i < 2; i++) {
            struct rig rig;
            form(&rig, TOPOLOGY_FULL, &line, i == 1, 9);
            rig_run_to(&rig, AT + 7 * NS_PER_S);
            links[i] = rig_links(&rig, 0);
            rig_run_to(&rig, AT + 60 * NS_PER_S);
            rig_expect_nothing_left(&rig);
            cr_assert(rig_all_reach(&rig, NULL), "%s, mode %zu",
                      fault_kind_name((enum fault_kind)kind), i);
            cr_assert(rig_is_settled(&rig, NULL));
            rig_fini(&rig);
        }
        bool is_flapping = kind == FAULT_FLAP || kind == FAULT_MEMORY;
        cr_assert(is_flapping || links[0] == links[1], "%s: %zu links, %zu with bytes",
                  fault_kind_name((enum fault_kind)kind), links[0], links[1]);
    }
}

Test(sim_bytes, chaos_over_real_links_heals) {
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct rig rig = {.scenario = rig_scenario(8, TOPOLOGY_RANDOM_REGULAR),
                          .is_byte_mode = true};
        rig.scenario.chaos = (struct scenario_chaos){.mode = CHAOS_SAFETY,
                                                     .every_ns = 300 * NS_PER_MS,
                                                     .until_ns = 30 * NS_PER_S,
                                                     .kinds = (1U << FAULT_HEAL) - 1};
        rig_form(&rig, seed);
        rig_run_to(&rig, 45 * NS_PER_S);
        faults_heal(rig.faults);
        rig_expect_nothing_left(&rig);
        rig_run_to(&rig, 150 * NS_PER_S);
        cr_assert(rig_all_reach(&rig, NULL), "seed %" PRIu64, seed);
        cr_assert(rig_is_settled(&rig, NULL), "seed %" PRIu64, seed);
        rig_fini(&rig);
    }
}
