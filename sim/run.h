/* SPDX-License-Identifier: Apache-2.0
 *
 * One run of a scenario with one seed: puts world, load, faults and checks together and takes them
 * through the phases of scenario.h.
 *
 *    run_new -> run_form -> run_advance ... -> run_finish -> run_is_held, result.h, summary.h
 *                  |  not settled in time        ^
 *                  +--- or an invariant broke ---+
 *
 * What is decided here happens at fixed steps of virtual time, so that a run is the same whether it
 * is watched, sampled and traced or not.
 */
#ifndef SIM_RUN_H
#define SIM_RUN_H

#include <stdio.h>

#include "sim/check.h"

struct run;
struct series;

#define RUN_EPOCH ((weft_ns)1000000000) /* the world's start, which people see as 0 */

enum run_flag {
    RUN_BYTES = 1,      /* real links over bytes */
    RUN_NO_SHARING = 2, /* each node holds its own records and graph, as real nodes do */
    RUN_SERIES = 4,     /* sample, for the result */
};

struct run_options {
    const struct scenario *scenario; /* outlives the run */
    uint64_t seed;
    unsigned flags; /* of enum run_flag */
    FILE *trace;    /* what happened to whom, a line an event; NULL: none */
    /* Called now and then, for somebody who waits; may be NULL. */
    void (*watch)(void *ctx, const struct run *run);
    void *watch_ctx;
};

/* NULL with *error set when the scenario's topology cannot be made with this seed. */
struct run *run_new(const struct run_options *options, struct scenario_error *error);
void run_free(struct run *run);

/* Cold start until settled and quiet: t=0. False when that did not come in time or an invariant
 * broke. */
bool run_form(struct run *run);
/* So much of the run; less when an invariant broke, false then. */
bool run_advance(struct run *run, weft_ns span);
/* Heals, rests, checks, and evaluates what was expected. To be called however the run went. */
void run_finish(struct run *run);
/* All of it. */
void run_all(struct run *run);

/* Whether every invariant and every expectation held; after run_finish. */
bool run_is_held(const struct run *run);

/* One expect line and what was reached. */
struct run_expect {
    const struct scenario_expect *expect;
    bool is_held;
    int64_t reached;
    char text[48]; /* as people read it: "211 ms", or why there is nothing */
};
size_t run_expects(const struct run *run, const struct run_expect **out);
/* The invariants, that the mesh forms in time first. */
size_t run_invariants(const struct run *run, const struct check_result **out);

/* The first thing that did not hold; false when all did. */
struct run_failure {
    weft_ns at;     /* of virtual time since the start */
    char what[400]; /* the invariant or the expect line */
    char detail[240];
};
bool run_failure(const struct run *run, struct run_failure *out);

/* The one command that does this again. `file`: as the scenario was named. */
void run_replay_command(const struct run *run, const char *file, char *out, size_t size);

const struct run_options *run_options(const struct run *run);
struct world *run_world(const struct run *run);
const struct faults *run_faults(const struct run *run);
const struct series *run_series(const struct run *run); /* NULL without RUN_SERIES */
weft_ns run_now(const struct run *run);                 /* since the world's start */
weft_ns run_formed(const struct run *run); /* when it was settled; WEFT_NEVER if not (yet) */
weft_ns run_begun(const struct run *run);  /* t=0; WEFT_NEVER before */
weft_ns run_end(const struct run *run);    /* as planned; WEFT_NEVER before t=0 */

#endif
