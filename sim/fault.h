/* SPDX-License-Identifier: Apache-2.0
 *
 * What goes wrong: the scenario's timeline, and chaos, drawn by the seed.
 *
 * Each fault is remembered while it lasts, with all that it did. What befalls a node follows from
 * the faults that hold it: it is down, paused or without a disk while any says so, as slow as the
 * worst says; so of two faults that overlap, the end of one does not end the other.
 */
#ifndef SIM_FAULT_H
#define SIM_FAULT_H

#include "sim/world.h"

struct faults;

/* One fault as it happened, for the report. */
struct fault_done {
    weft_ns at;
    weft_ns until; /* WEFT_NEVER while it lasts */
    enum fault_kind kind;
    char what[120]; /* "12 nodes: 3 17 20 ..." */
};

struct faults *faults_new(struct world *world);
void faults_free(struct faults *faults);
/* t=0 is now. */
void faults_begin(struct faults *faults);
/* Ends all that goes on: the dead start, the cut is healed. LIVENESS: only inside the core, and
 * nothing new is drawn. */
void faults_heal(struct faults *faults);
/* Nodes that count at rest: all that are up in NONE and SAFETY; the core in LIVENESS, empty until
 * it is frozen. `out`: node_count. */
void faults_core(const struct faults *faults, bool *out);
size_t faults_done(const struct faults *faults, const struct fault_done **out);
/* Which faults were ever about this node itself, as their `who`, or its lies: bits 1 << FAULT_x.
 * Who has none is healthy. */
uint32_t faults_of(const struct faults *faults, uint32_t node);
/* How the node lies now: bits of enum lie_kind, 0 when it does not. What a liar says and sends is
 * no load. */
uint32_t faults_lies_of(const struct faults *faults, uint32_t node);
/* How often each kind was begun. Metric "fault.KIND" too. */
uint64_t faults_count(const struct faults *faults, enum fault_kind kind);
/* How often each lie was told: frames altered, dropped, held back or made. */
uint64_t faults_lies(const struct faults *faults, enum lie_kind lie);
/* How many faults hold now. */
size_t faults_running(const struct faults *faults);

#endif
