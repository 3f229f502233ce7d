/* SPDX-License-Identifier: Apache-2.0
 *
 * The invariants: what must hold at each step, and what must hold once everything is healed and
 * quiet. An oracle that sees the whole world says what is right; cores are only asked.
 */
#ifndef SIM_CHECK_H
#define SIM_CHECK_H

#include "sim/fault.h"
#include "sim/load.h"

struct checks;

struct checks *checks_new(struct world *world, const struct load *load,
                          const struct faults *faults);
void checks_free(struct checks *checks);

/* Whether the mesh is settled: each node that is up reaches each other one and all agree on the
 * topology. Cheap while it is not. */
bool checks_is_settled(struct checks *checks);
/* t=0 is now: what traffic and timers are at rest is known. */
void checks_begin(struct checks *checks);
/* Whether what is at rest may be looked at now: the mesh is settled; in LIVENESS, every two of the
 * core find each other. */
bool checks_may_rest(struct checks *checks);
/* The state at rest, at the end: looks at the traffic of the rest's last third too, so call it when
 * `rest_ns` of the scenario is over. */
void checks_at_rest(struct checks *checks);
/* Writes what was counted (traffic, loops, redundancy, false downs ...) into the metrics, at the
 * end; once, however often it is called. */
void checks_report(struct checks *checks);

struct check_result {
    const char *name; /* "record versions never go back" */
    uint64_t checked; /* how often it was looked at */
    bool is_broken;
    weft_ns at; /* the first time it did not hold */
    char detail[240];
};
size_t checks_results(const struct checks *checks, const struct check_result **out);
/* Whether any is broken; the run stops then. */
bool checks_are_broken(const struct checks *checks);

#endif
