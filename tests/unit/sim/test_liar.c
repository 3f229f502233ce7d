/* SPDX-License-Identifier: Apache-2.0
 *
 * Lies are told, refused, and forgotten.
 */
#include "unit/sim/fault_rig.h"

#include <criterion/criterion.h>
#include <inttypes.h>

static struct rig *chatting; /* each test is a process of its own */
static uint64_t chat_round;

/* Each node changes a service and pings everybody: so there is something to forward. */
static void chatter(void *ctx) {
    struct rig *rig = ctx;
    const struct wire_endpoint endpoint = {.address = span_of_text("10.0.0.1:80"),
                                           .health = WIRE_HEALTH_GOOD,
                                           .weight = (uint8_t)(1 + chat_round++ % 100)};
    const struct core_offer offer = {
        .protocol = WIRE_PROTOCOL_TCP, .endpoints = &endpoint, .endpoint_count = 1};
    for (uint32_t node = 0; node < rig->scenario.nodes; node++) {
        struct core *core = world_core(rig->world, node);
        weft_ns now = world_node_now(rig->world, node);
        cr_assert_eq(core_offer(core, "test", "web", &offer, now), WEFT_OK);
        for (uint32_t to = 0; to < rig->scenario.nodes; to++) {
            if (to != node) {
                enum weft_err err = core_ping(core, world_id(rig->world, to), 1, now);
                cr_assert(err == WEFT_OK || err == WEFT_ERR_UNREACHABLE || err == WEFT_ERR_FULL);
            }
        }
        world_pump(rig->world, node);
    }
    world_at(rig->world, world_now(rig->world) + NS_PER_S, chatter, rig);
}

static bool is_blamed(const struct rig *rig, uint32_t by, uint32_t whom) {
    struct core_culprit culprits[16];
    size_t count = core_culprits(world_core(rig->world, by), culprits, 16);
    for (size_t i = 0; i < count; i++) {
        if (weft_peer_id_equal(&culprits[i].peer, world_id(rig->world, whom))) {
            return true;
        }
    }
    return false;
}

static void count_known(void *ctx, const struct core_peer_view *view) {
    struct rig *rig = chatting;
    uint32_t node;
    (void)ctx;
    bool is_ours = world_find_node(rig->world, &view->id, &node);
    cr_assert(is_ours || !view->path.is_reachable, "a peer that does not exist is reachable");
}

/* Packets that honest nodes say were spoilt on their way to them. */
static uint64_t spoilt_of(const struct rig *rig) {
    struct core_status status;
    uint64_t count = 0;
    for (uint32_t node = 0; node < 5; node++) {
        core_get_status(world_core(rig->world, node), &status);
        cr_assert_eq(status.spoilt.at != 0, status.streams.packets_spoilt > 0);
        count += node != 1 ? status.streams.packets_spoilt : 0;
    }
    return count;
}

static uint64_t spoilt; /* by the last lie told */

/* Node 1 of a ring tells one lie for 30 s; nodes 0 and 2 are its neighbours. */
static uint64_t tell(enum lie_kind lie, bool *is_anyone_blamed) {
    struct scenario_fault line = line_of(FAULT_LIAR, 30 * NS_PER_S);
    static struct rig rig;
    line.lies = lie;
    rig_init(&rig, TOPOLOGY_RING, &line, 1);
    chatting = &rig;
    chatter(&rig);
    rig_run_to(&rig, AT + 29 * NS_PER_S);
    cr_assert_neq(faults_lies_of(rig.faults, 1), 0);
    for (uint32_t node = 0; node < 5; node++) {
        if (node != 1) {
            core_each_peer(world_core(rig.world, node), count_known, NULL);
        }
    }
    spoilt = spoilt_of(&rig);
    *is_anyone_blamed = is_blamed(&rig, 0, 1) || is_blamed(&rig, 2, 1);
    uint64_t told = faults_lies(rig.faults, lie);
    rig_run_to(&rig, AT + 120 * NS_PER_S);
    cr_assert_eq(faults_lies_of(rig.faults, 1), 0);
    cr_assert(rig_all_reach(&rig, NULL), "the mesh does not heal from lie %d", (int)lie);
    cr_assert_eq(faults_lies(rig.faults, lie) > told + 1000, false);
    rig_fini(&rig);
    return told;
}

Test(sim_liar, forged_frames_are_refused_and_their_sender_is_named) {
    bool is_blamed_for = false;
    cr_assert_gt(tell(LIE_FORGE, &is_blamed_for), 0);
    cr_assert(is_blamed_for);
}

Test(sim_liar, garbage_is_refused_and_its_sender_is_named) {
    bool is_blamed_for = false;
    cr_assert_gt(tell(LIE_GARBAGE, &is_blamed_for), 0);
    cr_assert(is_blamed_for);
}

Test(sim_liar, flipped_bits_are_refused_and_who_flips_is_named) {
    bool is_blamed_for = false;
    cr_assert_gt(tell(LIE_FLIP, &is_blamed_for), 0);
    cr_assert(is_blamed_for);
}

Test(sim_liar, replays_change_nothing) {
    bool is_blamed_for = true;
    cr_assert_gt(tell(LIE_REPLAY, &is_blamed_for), 0);
    cr_assert_not(is_blamed_for);
    cr_assert_gt(spoilt, 0);
}

Test(sim_liar, a_flood_invents_nobody) {
    bool is_blamed_for;
    cr_assert_gt(tell(LIE_FLOOD, &is_blamed_for), 100);
}

Test(sim_liar, reordered_frames_do_no_harm) {
    bool is_blamed_for = true;
    cr_assert_gt(tell(LIE_REORDER, &is_blamed_for), 0);
    cr_assert_not(is_blamed_for);
    cr_assert_eq(spoilt, 0);
}

Test(sim_liar, who_forwards_nothing_is_survived) {
    bool is_blamed_for;
    cr_assert_gt(tell(LIE_DROP, &is_blamed_for), 0);
}

Test(sim_liar, lies_of_one_seed_are_the_same) {
    uint64_t hashes[2];
    for (size_t i = 0; i < 2; i++) {
        struct scenario_fault line = line_of(FAULT_LIAR, 0);
        struct rig rig;
        line.lies = LIE_FLIP | LIE_FORGE | LIE_REPLAY | LIE_REORDER | LIE_FLOOD | LIE_GARBAGE;
        rig_init(&rig, TOPOLOGY_FULL, &line, 1);
        chat_round = 0;
        chatter(&rig);
        rig_run_to(&rig, 20 * NS_PER_S);
        hashes[i] = world_trace_hash(rig.world);
        rig_fini(&rig);
    }
    cr_assert_eq(hashes[0], hashes[1]);
}
