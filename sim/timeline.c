/* SPDX-License-Identifier: Apache-2.0
 *
 * The scenario's own lines: each happens at its time, and again as often as it says.
 */
#include "base/time.h"
#include "sim/fault_state.h"

/* `every` of a flapping line is between its resets. */
static uint64_t times_of(const struct scenario_fault *fault) {
    bool is_repeated = fault->kind != FAULT_FLAP && fault->every_ns > 0 && fault->count > 1;
    return is_repeated ? fault->count : 1;
}

void timeline_begin(struct faults *faults) {
    weft_ns now = world_now(faults->world);
    for (size_t i = 0; i < faults->scenario->fault_count; i++) {
        struct fault_line *line = &faults->lines[i];
        line->fault = &faults->scenario->faults[i];
        line->left = times_of(line->fault);
        line->timer.kind = FAULT_TIMER_LINE;
        line->timer.owner = line;
        timers_arm(&faults->timers, &line->timer, time_after(now, line->fault->at_ns));
    }
}

void timeline_fire(struct faults *faults, struct fault_line *line) {
    if (--line->left > 0) {
        weft_ns next = time_after(world_now(faults->world), line->fault->every_ns);
        timers_arm(&faults->timers, &line->timer, next);
    }
    faults_add(faults, line->fault, &faults->rng);
}

void timeline_end(struct faults *faults) {
    for (size_t i = 0; i < faults->scenario->fault_count; i++) {
        timers_disarm(&faults->timers, &faults->lines[i].timer);
    }
}
