/* SPDX-License-Identifier: Apache-2.0
 *
 * A tiny world with faults, for the tests of sim/fault.h.
 */
#ifndef TESTS_FAULT_RIG_H
#define TESTS_FAULT_RIG_H

#include "base/time.h"
#include "sim/fault.h"
#include "sim/world_internal.h"

#define RIG_NODES_MAX 16
#define RIG_FORM (15 * NS_PER_S)
#define AT NS_PER_S /* of a line, from t=0 */

struct rig {
    struct scenario scenario;
    struct scenario_fault lines[4];
    struct world *world;
    struct faults *faults;
    weft_ns begun;
    uint64_t links_lost;
    bool is_byte_mode;
};

/* So many nodes, good links, nothing that goes wrong. */
struct scenario rig_scenario(uint32_t nodes, enum topology_kind kind);
/* The scenario is set: runs until the mesh has formed, then t=0. */
void rig_form(struct rig *rig, uint64_t seed);
/* Five nodes and these lines, formed. */
void rig_init(struct rig *rig, enum topology_kind kind, const struct scenario_fault *lines,
              size_t count);
void rig_fini(struct rig *rig);
/* Until so long after t=0. */
void rig_run_to(struct rig *rig, weft_ns span);

struct scenario_pick pick_these(uint32_t *list, size_t count);
/* About node 1, once, at AT. */
struct scenario_fault line_of(enum fault_kind kind, uint64_t span);

size_t rig_links(const struct rig *rig, uint32_t node);
uint64_t rig_incarnation(const struct rig *rig, uint32_t node);
bool rig_is_passable(const struct rig *rig, uint32_t a, uint32_t b);
/* Those of `is_in` agree on the topology / reach each other; NULL: all. */
bool rig_is_settled(const struct rig *rig, const bool *is_in);
bool rig_all_reach(const struct rig *rig, const bool *is_in);
/* Everything is as if nothing had ever been wrong. */
void rig_expect_nothing_left(const struct rig *rig);

#endif
