/* SPDX-License-Identifier: Apache-2.0
 *
 * A tiny world with all its parts and checks, for tests of the checks.
 */
#ifndef TESTS_SIM_CHECKED_H
#define TESTS_SIM_CHECKED_H

#include <criterion/criterion.h>

#include "base/time.h"
#include "sim/check_internal.h"
#include "sim/load_parts.h"

#define FORM (20 * NS_PER_S)
#define QUIET (20 * NS_PER_S)

struct rig {
    struct scenario scenario;
    struct scenario_load load;
    struct scenario_fault fault;
    struct world *world;
    struct load *loads;
    struct faults *faults;
    struct checks *checks;
};

static inline struct scenario rig_scenario(enum topology_kind kind, uint32_t nodes) {
    struct scenario scenario = {
        .name = "test",
        .nodes = nodes,
        .topology = {.kind = kind, .degree = 4},
        .degree = 8,
        .heartbeat_ns = NS_PER_S,
        .hold_ns = 60 * NS_PER_S,
        .fade_ns = 600 * NS_PER_S,
        .link = {.delay_ns = {2 * NS_PER_MS, 10 * NS_PER_MS}, .buffer = 1 << 20},
        .form_within_ns = FORM,
        .quiet_ns = QUIET,
        .run_ns = 60 * NS_PER_S,
        .rest_ns = 30 * NS_PER_S,
    };
    scenario.uplink = scenario.link;
    return scenario;
}

/* Makes the world; nothing has run. The scenario is set. */
static inline void rig_make(struct rig *rig, uint64_t seed) {
    const struct world_options options = {
        .scenario = &rig->scenario, .seed = seed, .is_sharing = true};
    struct scenario_error error = {.text = ""};
    rig->world = world_new(&options, &error);
    cr_assert_not_null(rig->world, "%s", error.text);
    rig->loads = load_new(rig->world);
    rig->faults = faults_new(rig->world);
    rig->checks = checks_new(rig->world, rig->loads, rig->faults);
}

static inline void rig_run(struct rig *rig, weft_ns span) {
    world_run(rig->world, time_after(world_now(rig->world), span));
}

/* Up to t=0. */
static inline void rig_begin(struct rig *rig) {
    for (int i = 0; i < 200 && !checks_is_settled(rig->checks); i++) {
        rig_run(rig, FORM / 200);
    }
    cr_assert(checks_is_settled(rig->checks));
    rig_run(rig, QUIET);
    checks_begin(rig->checks);
    load_begin(rig->loads);
    faults_begin(rig->faults);
}

static inline struct rig *rig_of(const struct scenario *scenario, const struct scenario_load *load,
                                 const struct scenario_fault *fault) {
    struct rig *rig = must(calloc(1, sizeof *rig));
    rig->scenario = *scenario;
    if (load != NULL) {
        rig->load = *load;
        rig->scenario.loads = &rig->load;
        rig->scenario.load_count = 1;
    }
    if (fault != NULL) {
        rig->fault = *fault;
        rig->scenario.faults = &rig->fault;
        rig->scenario.fault_count = 1;
    }
    rig_make(rig, 3);
    return rig;
}

/* A ring that has begun. */
static inline struct rig *rig_ring(uint32_t nodes, const struct scenario_load *load,
                                   const struct scenario_fault *fault) {
    struct scenario scenario = rig_scenario(TOPOLOGY_RING, nodes);
    struct rig *rig = rig_of(&scenario, load, fault);
    rig_begin(rig);
    return rig;
}

static inline void rig_free(struct rig *rig) {
    checks_free(rig->checks);
    faults_free(rig->faults);
    load_free(rig->loads);
    world_free(rig->world);
    free(rig);
}

static inline const struct check_result *rig_result(const struct rig *rig, enum check_id id) {
    const struct check_result *results = NULL;
    cr_assert_eq(checks_results(rig->checks, &results), (size_t)CHECK_COUNT);
    return &results[id];
}

static inline void rig_expect_whole(const struct rig *rig) {
    for (int id = 0; id < CHECK_COUNT; id++) {
        const struct check_result *result = rig_result(rig, (enum check_id)id);
        cr_expect_not(result->is_broken, "%s: %s", result->name, result->detail);
    }
}

/* Just this one is broken, and says so. */
static inline void rig_expect_broken(const struct rig *rig, enum check_id id) {
    const struct check_result *result = rig_result(rig, id);
    cr_expect(result->is_broken, "%s", result->name);
    cr_expect(strlen(result->detail) > 20, "%s", result->detail);
    cr_expect(checks_are_broken(rig->checks));
    for (int other = 0; other < CHECK_COUNT; other++) {
        const struct check_result *it = rig_result(rig, (enum check_id)other);
        cr_expect(other == (int)id || !it->is_broken, "%s: %s", it->name, it->detail);
    }
}

static inline int64_t rig_ask(const struct rig *rig, const char *question) {
    int64_t value = -1;
    enum metric_unit unit = UNIT_COUNT;
    cr_assert(metrics_ask(world_metrics(rig->world), question, &value, &unit), "%s", question);
    return value;
}

#endif
