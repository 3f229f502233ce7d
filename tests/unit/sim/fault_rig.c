/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/sim/fault_rig.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>

/* A list of node 1; picks only read it. */
static uint32_t node_1[] = {1};

struct scenario rig_scenario(uint32_t nodes, enum topology_kind kind) {
    struct scenario scenario = {
        .nodes = nodes,
        .topology = {.kind = kind, .degree = 4},
        .degree = 8,
        .heartbeat_ns = NS_PER_S,
        .hold_ns = 60 * NS_PER_S,
        .fade_ns = 3600 * NS_PER_S,
        .link = {.delay_ns = {2 * NS_PER_MS, 10 * NS_PER_MS}, .buffer = 1 << 20},
        .start_within_ns = NS_PER_S,
        .run_ns = 60 * NS_PER_S,
    };
    scenario.uplink = scenario.link;
    (void)snprintf(scenario.name, sizeof(scenario.name), "test");
    return scenario;
}

static void on_link(void *ctx, uint32_t node, uint32_t other, struct link_id link, bool is_up) {
    struct rig *rig = ctx;
    (void)node;
    (void)other;
    (void)link;
    rig->links_lost += !is_up;
}

void rig_form(struct rig *rig, uint64_t seed) {
    const struct world_options options = {.scenario = &rig->scenario,
                                          .seed = seed,
                                          .is_sharing = true,
                                          .is_byte_mode = rig->is_byte_mode};
    const struct observer observer = {.ctx = rig, .link = on_link};
    struct scenario_error error;
    rig->world = world_new(&options, &error);
    cr_assert_not_null(rig->world);
    world_add_observer(rig->world, &observer);
    rig->faults = faults_new(rig->world);
    world_run(rig->world, RIG_FORM);
    rig->links_lost = 0;
    rig->begun = world_now(rig->world);
    faults_begin(rig->faults);
}

void rig_init(struct rig *rig, enum topology_kind kind, const struct scenario_fault *lines,
              size_t count) {
    *rig = (struct rig){.scenario = rig_scenario(5, kind)};
    memcpy(rig->lines, lines, count * sizeof(*lines));
    rig->scenario.faults = rig->lines;
    rig->scenario.fault_count = count;
    rig_form(rig, 7);
}

void rig_fini(struct rig *rig) {
    faults_free(rig->faults);
    world_free(rig->world);
}

void rig_run_to(struct rig *rig, weft_ns span) {
    world_run(rig->world, rig->begun + span);
}

struct scenario_pick pick_these(uint32_t *list, size_t count) {
    return (struct scenario_pick){.kind = PICK_LIST, .list = list, .list_count = count};
}

struct scenario_fault line_of(enum fault_kind kind, uint64_t span) {
    return (struct scenario_fault){
        .kind = kind, .at_ns = AT, .span_ns = span, .count = 1, .who = pick_these(node_1, 1)};
}

size_t rig_links(const struct rig *rig, uint32_t node) {
    struct core_status status;
    core_get_status(world_core(rig->world, node), &status);
    return status.links;
}

uint64_t rig_incarnation(const struct rig *rig, uint32_t node) {
    struct core_status status;
    core_get_status(world_core(rig->world, node), &status);
    return status.incarnation;
}

bool rig_is_passable(const struct rig *rig, uint32_t a, uint32_t b) {
    return net_is_passable(world_net(rig->world), a, b);
}

bool rig_is_settled(const struct rig *rig, const bool *is_in) {
    uint64_t digest = 0;
    for (uint32_t node = 0; node < rig->scenario.nodes; node++) {
        if (is_in != NULL && !is_in[node]) {
            continue;
        }
        if (world_core(rig->world, node) == NULL) {
            return false;
        }
        uint64_t mine = world_topology_digest(rig->world, node);
        if (digest != 0 && mine != digest) {
            return false;
        }
        digest = mine;
    }
    return true;
}

static bool reaches(const struct rig *rig, uint32_t from, uint32_t to) {
    struct core_peer_view view;
    struct core *core = world_core(rig->world, from);
    return core != NULL && core_find_peer(core, world_id(rig->world, to), &view) &&
           view.path.is_reachable;
}

bool rig_all_reach(const struct rig *rig, const bool *is_in) {
    for (uint32_t a = 0; a < rig->scenario.nodes; a++) {
        for (uint32_t b = 0; b < rig->scenario.nodes; b++) {
            bool matters = a != b && (is_in == NULL || (is_in[a] && is_in[b]));
            if (matters && !reaches(rig, a, b)) {
                return false;
            }
        }
    }
    return true;
}

void rig_expect_nothing_left(const struct rig *rig) {
    cr_assert_eq(faults_running(rig->faults), 0);
    for (uint32_t i = 0; i < rig->scenario.nodes; i++) {
        const struct node *node = &rig->world->nodes[i];
        cr_assert_eq(node->state, NODE_UP, "node %" PRIu32 " is in state %d", i, (int)node->state);
        cr_assert_eq(node->slowness, 1);
        cr_assert_eq(node->refused_ppm, 0);
        cr_assert_not(node->store.is_frozen);
        cr_assert_not(node->is_liar);
        for (uint32_t j = 0; j < rig->scenario.nodes; j++) {
            cr_assert(rig_is_passable(rig, i, j));
        }
    }
}
