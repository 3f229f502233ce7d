/* SPDX-License-Identifier: Apache-2.0
 *
 * What fault.c, effect.c, timeline.c and chaos.c share; nobody else includes it.
 *
 *   timeline, chaos --faults_add--> running --span over, heal, freeze--> ended
 *                                      |
 *                     grips on the net, holds on nodes (effect.c)
 */
#ifndef SIM_FAULT_STATE_H
#define SIM_FAULT_STATE_H

#include "base/timers.h"
#include "sim/fault.h"
#include "sim/liar.h"

enum fault_timer {
    FAULT_TIMER_LINE,  /* a line of the timeline is due; owner: struct fault_line */
    FAULT_TIMER_END,   /* a fault's span is over; owner: struct running */
    FAULT_TIMER_FLAP,  /* a flapping node's next reset; owner: struct running */
    FAULT_TIMER_CHAOS, /* chaos draws again */
    FAULT_TIMER_UNTIL, /* chaos ends */
    FAULT_TIMER_LIARS, /* a liar speaks */
    FAULT_TIMER_MEND,  /* a node that has left need not be away any more */
};

/* One fault of the net, begun by a running fault. */
enum grip_kind {
    GRIP_PAIR,   /* between a and b */
    GRIP_NODE,   /* of a alone, or around it */
    GRIP_AROUND, /* around the running fault's nodes */
};
struct grip {
    enum grip_kind kind;
    uint64_t number; /* the net's */
    uint32_t a;
    uint32_t b;
};

/* A fault that holds. */
struct running {
    struct running *next; /* in the order they began */
    struct scenario_fault line;
    uint32_t *nodes; /* who; increasing */
    size_t node_count;
    struct grip *grips;
    size_t grip_count;
    size_t grip_size;
    struct timer end;
    struct timer flap;
    size_t done; /* its place in faults->done */
};

/* What the faults that hold a node make of it. All zero: nothing. */
struct hold {
    bool is_down;
    bool is_paused;
    bool has_no_disk;
    uint32_t factor; /* 0 and 1: not slow */
    uint32_t memory_ppm;
    uint32_t lies;
};

/* One line of the timeline. */
struct fault_line {
    const struct scenario_fault *fault;
    uint64_t left; /* how often it still happens */
    struct timer timer;
};

struct faults {
    struct world *world;
    const struct scenario *scenario;
    uint32_t node_count;
    struct rng rng;       /* of the timeline's picks */
    struct rng chaos_rng; /* of chaos */
    struct liars *liars;
    struct timers timers;
    weft_ns wake_at; /* of the call that was asked of the world; NEVER: none */
    bool has_begun;
    struct fault_line *lines;
    struct timer chaos;
    struct timer until;
    struct timer liars_timer;
    struct timer mend;
    struct running *first;
    struct running *last;
    size_t running_count;
    struct hold *holds;  /* by node: what was applied */
    bool *was_downed;    /* by node: by us, and not started since */
    uint32_t *ever;      /* by node: bits 1 << FAULT_x */
    bool *is_core;       /* LIVENESS, once frozen; NULL before */
    uint32_t *scratch;   /* node_count */
    bool *scratch_flags; /* node_count */
    struct fault_done *done;
    size_t done_count;
    size_t done_size;
    uint64_t counts[FAULT_KIND_COUNT];
};

/* fault.c */
/* Begins a fault now; the line is copied (its lists are not looked at later). `rng` draws who. */
void faults_add(struct faults *faults, const struct scenario_fault *line, struct rng *rng);
/* Ends one, or all, now. */
void faults_end(struct faults *faults, struct running *running);
void faults_end_all(struct faults *faults);
/* Asks the world for a call at the next deadline. */
void faults_arm(struct faults *faults);

/* effect.c: what each kind does and how it ends. */
void effect_begin(struct faults *faults, struct running *running);
void effect_end(struct faults *faults, struct running *running);
void effect_flap(struct faults *faults, struct running *running);
/* Makes of a node what the faults that hold it now say. */
void effect_settle(struct faults *faults, uint32_t node);
/* Lets all nodes of faults->is_core go, and what stands between any two of them. */
void effect_spare_core(struct faults *faults, struct running *running);
bool running_has(const struct running *running, uint32_t node);

/* timeline.c */
void timeline_begin(struct faults *faults);
void timeline_fire(struct faults *faults, struct fault_line *line);
void timeline_end(struct faults *faults);

/* chaos.c */
void chaos_begin(struct faults *faults);
void chaos_fire(struct faults *faults);
void chaos_end(struct faults *faults);
/* LIVENESS: draws the core, heals it, and leaves everything else as it is. */
void chaos_freeze(struct faults *faults);

#endif
