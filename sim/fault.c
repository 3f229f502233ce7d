/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of faults that hold: who begins and ends, when, and what is told of it. All times are in
 * one heap, so that ends can be called off; the world is asked for one call at its earliest.
 */
#include "sim/fault.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/time.h"
#include "sim/fault_state.h"
#include "sim/must.h"

#define WHAT_NODES_MAX 12 /* named in a fault's description */

static void on_state(void *ctx, uint32_t node, enum node_state state) {
    struct faults *faults = ctx;
    if (state == NODE_LEFT && faults->was_downed[node]) {
        timers_arm(&faults->timers, &faults->mend, world_now(faults->world));
        faults_arm(faults);
    }
}

struct faults *faults_new(struct world *world) {
    struct faults *faults = must(calloc(1, sizeof(*faults)));
    faults->world = world;
    faults->scenario = world_scenario(world);
    faults->node_count = world_node_count(world);
    size_t count = faults->node_count;
    world_rng(world, "faults", &faults->rng);
    world_rng(world, "chaos", &faults->chaos_rng);
    faults->wake_at = WEFT_NEVER;
    faults->holds = must(calloc(count, sizeof(*faults->holds)));
    faults->was_downed = must(calloc(count, sizeof(*faults->was_downed)));
    faults->ever = must(calloc(count, sizeof(*faults->ever)));
    faults->scratch = must(calloc(count, sizeof(*faults->scratch)));
    faults->scratch_flags = must(calloc(count, sizeof(*faults->scratch_flags)));
    faults->lines = must(calloc(faults->scenario->fault_count + 1, sizeof(*faults->lines)));
    faults->chaos.kind = FAULT_TIMER_CHAOS;
    faults->until.kind = FAULT_TIMER_UNTIL;
    faults->liars_timer.kind = FAULT_TIMER_LIARS;
    faults->mend.kind = FAULT_TIMER_MEND;
    faults->liars = liars_new(world);
    const struct observer observer = {.ctx = faults, .state = on_state};
    world_add_observer(world, &observer);
    return faults;
}

static void running_free(struct running *running) {
    free(running->nodes);
    free(running->grips);
    free(running);
}

void faults_free(struct faults *faults) {
    if (faults == NULL) {
        return;
    }
    while (faults->first != NULL) {
        struct running *running = faults->first;
        faults->first = running->next;
        running_free(running);
    }
    liars_free(faults->liars);
    timers_fini(&faults->timers);
    free(faults->holds);
    free(faults->was_downed);
    free(faults->ever);
    free(faults->scratch);
    free(faults->scratch_flags);
    free(faults->is_core);
    free(faults->lines);
    free(faults->done);
    free(faults);
}

/* ---- time ---- */

static void reserve(struct faults *faults) {
    size_t count = 2 * (faults->running_count + 1) + faults->scenario->fault_count + 4;
    if (timers_reserve(&faults->timers, count) != WEFT_OK) {
        (void)must(NULL);
    }
}

static void mend(struct faults *faults) {
    for (uint32_t node = 0; node < faults->node_count; node++) {
        if (faults->was_downed[node]) {
            effect_settle(faults, node);
        }
    }
}

static void chaos_over(struct faults *faults) {
    chaos_end(faults);
    if (faults->scenario->chaos.mode == CHAOS_LIVENESS) {
        chaos_freeze(faults);
    } else {
        faults_end_all(faults);
    }
}

static void fire(struct faults *faults, struct timer *timer) {
    switch ((enum fault_timer)timer->kind) {
    case FAULT_TIMER_LINE:
        timeline_fire(faults, timer->owner);
        break;
    case FAULT_TIMER_END:
        faults_end(faults, timer->owner);
        break;
    case FAULT_TIMER_FLAP:
        effect_flap(faults, timer->owner);
        break;
    case FAULT_TIMER_CHAOS:
        chaos_fire(faults);
        break;
    case FAULT_TIMER_UNTIL:
        chaos_over(faults);
        break;
    case FAULT_TIMER_LIARS:
        liars_speak(faults->liars);
        break;
    case FAULT_TIMER_MEND:
        mend(faults);
        break;
    }
}

static void wake(void *ctx) {
    struct faults *faults = ctx;
    weft_ns now = world_now(faults->world);
    if (faults->wake_at > now) {
        return; /* a call of earlier days, since overtaken */
    }
    faults->wake_at = WEFT_NEVER;
    struct timer *timer;
    while ((timer = timers_pop(&faults->timers, now)) != NULL) {
        fire(faults, timer);
    }
    faults_arm(faults);
}

void faults_arm(struct faults *faults) {
    reserve(faults);
    timers_arm(&faults->timers, &faults->liars_timer, liars_deadline(faults->liars));
    weft_ns deadline = timers_deadline(&faults->timers);
    if (deadline < faults->wake_at) {
        faults->wake_at = deadline;
        world_at(faults->world, deadline, wake, faults);
    }
}

/* ---- what is told ---- */

/* Appends; what does not fit is cut off. */
__attribute__((format(printf, 3, 4))) static size_t append(char *out, size_t at, const char *format,
                                                           ...) {
    size_t size = sizeof(((struct fault_done *)NULL)->what);
    va_list list;
    va_start(list, format);
    int len = at < size ? vsnprintf(out + at, size - at, format, list) : 0;
    va_end(list);
    return at + (len > 0 ? (size_t)len : 0);
}

static size_t append_nodes(char *out, size_t at, const uint32_t *nodes, size_t count) {
    at = append(out, at, count == 1 ? "%zu node:" : "%zu nodes:", count);
    for (size_t i = 0; i < count && i < WHAT_NODES_MAX; i++) {
        at = append(out, at, " %" PRIu32, nodes[i]);
    }
    return count > WHAT_NODES_MAX ? append(out, at, " ...") : at;
}

/* What is particular about this one, after its nodes. */
static size_t append_measure(char *out, size_t at, const struct scenario_fault *line) {
    switch (line->kind) {
    case FAULT_CRASH:
    case FAULT_POWER:
        return append(out, at, "%s", line->loses_state ? "; state lost" : "");
    case FAULT_SLOW:
        return append(out, at, "; x%" PRIu32, line->factor);
    case FAULT_PARTITION:
        return append(out, at, "; %s%s", line->is_seen ? "seen" : "unseen",
                      line->is_one_way ? ", one way" : "");
    case FAULT_FLAP:
        return append(out, at, "; every %" PRIu64 " ms", line->every_ns / NS_PER_MS);
    case FAULT_LOSS:
    case FAULT_MEMORY:
        return append(out, at, "; %" PRIu32 ".%02" PRIu32 " %%", line->ppm / 10000,
                      line->ppm / 100 % 100);
    case FAULT_DELAY:
        return append(out, at, "; %" PRIu64 " ms", line->delay_ns / NS_PER_MS);
    case FAULT_CLOCK:
        return append(out, at, "; %" PRIu64 " s ahead", line->jump_ns / NS_PER_S);
    case FAULT_LIAR:
        return append(out, at, "; lies 0x%02" PRIx32, line->lies);
    case FAULT_LEAVE:
    case FAULT_PAUSE:
    case FAULT_CUT:
    case FAULT_SILENCE:
    case FAULT_ONE_WAY:
    case FAULT_DISK:
    case FAULT_HEAL:
    case FAULT_KIND_COUNT:
        break;
    }
    return at;
}

static size_t tell(struct faults *faults, const struct running *running) {
    if (faults->done_count == faults->done_size) {
        faults->done_size = faults->done_size > 0 ? 2 * faults->done_size : 64;
        faults->done = must(realloc(faults->done, faults->done_size * sizeof(struct fault_done)));
    }
    struct fault_done *done = &faults->done[faults->done_count];
    *done = (struct fault_done){
        .at = world_now(faults->world), .until = WEFT_NEVER, .kind = running->line.kind};
    if (running->line.kind == FAULT_HEAL) {
        (void)append(done->what, 0, "everything");
    } else {
        size_t at = append_nodes(done->what, 0, running->nodes, running->node_count);
        (void)append_measure(done->what, at, &running->line);
    }
    return faults->done_count++;
}

static void count_one(struct faults *faults, const struct running *running) {
    enum fault_kind kind = running->line.kind;
    char name[48];
    faults->counts[kind]++;
    (void)snprintf(name, sizeof(name), "fault.%s", fault_kind_name(kind));
    metric_add(metrics_counter(world_metrics(faults->world), name, UNIT_COUNT), 1);
    /* Where nobody is heard by some, those are the faulty ones: effect.c marks them. */
    bool is_deaf = kind == FAULT_ONE_WAY && running->line.who.kind == PICK_ALL &&
                   running->line.to.kind != PICK_ALL;
    for (size_t i = 0; i < running->node_count && !is_deaf; i++) {
        faults->ever[running->nodes[i]] |= 1U << kind;
    }
}

/* ---- begin and end ---- */

/* Nothing of it lasts. */
static bool is_instant(const struct scenario_fault *line) {
    return line->kind == FAULT_CLOCK || line->kind == FAULT_HEAL;
}

static struct running *running_new(struct faults *faults, const struct scenario_fault *line,
                                   struct rng *rng) {
    struct running *running = must(calloc(1, sizeof(*running)));
    running->line = *line;
    running->end.kind = FAULT_TIMER_END;
    running->end.owner = running;
    running->flap.kind = FAULT_TIMER_FLAP;
    running->flap.owner = running;
    if (line->kind != FAULT_HEAL) {
        size_t count = plan_pick(world_plan(faults->world), &line->who, rng, faults->scratch);
        running->nodes = must(malloc((count + 1) * sizeof(*running->nodes)));
        memcpy(running->nodes, faults->scratch, count * sizeof(*running->nodes));
        running->node_count = count;
    }
    return running;
}

static void enlist(struct faults *faults, struct running *running) {
    faults->running_count++;
    reserve(faults);
    if (faults->last != NULL) {
        faults->last->next = running;
    } else {
        faults->first = running;
    }
    faults->last = running;
    if (running->line.span_ns > 0) {
        weft_ns end = time_after(world_now(faults->world), running->line.span_ns);
        timers_arm(&faults->timers, &running->end, end);
    }
}

static void delist(struct faults *faults, struct running *running) {
    struct running *before = NULL;
    struct running *it = faults->first;
    for (; it != running; it = it->next) {
        ASSERT(it != NULL);
        before = it;
    }
    if (before != NULL) {
        before->next = running->next;
    } else {
        faults->first = running->next;
    }
    faults->last = faults->last == running ? before : faults->last;
    faults->running_count--;
    timers_disarm(&faults->timers, &running->end);
    timers_disarm(&faults->timers, &running->flap);
}

void faults_add(struct faults *faults, const struct scenario_fault *line, struct rng *rng) {
    struct running *running = running_new(faults, line, rng);
    if (line->kind != FAULT_HEAL && running->node_count == 0) {
        running_free(running); /* a pick that means nobody */
        return;
    }
    count_one(faults, running);
    running->done = tell(faults, running);
    if (is_instant(line)) {
        faults->done[running->done].until = world_now(faults->world);
        effect_begin(faults, running);
        running_free(running);
        return;
    }
    enlist(faults, running);
    effect_begin(faults, running);
    faults_arm(faults);
}

void faults_end(struct faults *faults, struct running *running) {
    delist(faults, running);
    faults->done[running->done].until = world_now(faults->world);
    effect_end(faults, running);
    running_free(running);
    faults_arm(faults);
}

void faults_end_all(struct faults *faults) {
    while (faults->first != NULL) {
        faults_end(faults, faults->first);
    }
}

/* ---- the whole ---- */

void faults_begin(struct faults *faults) {
    ASSERT(!faults->has_begun);
    faults->has_begun = true;
    reserve(faults);
    timeline_begin(faults);
    chaos_begin(faults);
    faults_arm(faults);
}

void faults_heal(struct faults *faults) {
    timeline_end(faults);
    chaos_end(faults);
    if (faults->scenario->chaos.mode == CHAOS_LIVENESS) {
        chaos_freeze(faults);
    } else {
        faults_end_all(faults);
    }
}

void faults_core(const struct faults *faults, bool *out) {
    for (uint32_t node = 0; node < faults->node_count; node++) {
        out[node] = faults->scenario->chaos.mode == CHAOS_LIVENESS
                        ? faults->is_core != NULL && faults->is_core[node]
                        : world_node_state(faults->world, node) == NODE_UP;
    }
}

size_t faults_done(const struct faults *faults, const struct fault_done **out) {
    *out = faults->done;
    return faults->done_count;
}

uint32_t faults_of(const struct faults *faults, uint32_t node) {
    ASSERT(node < faults->node_count);
    return faults->ever[node];
}

uint32_t faults_lies_of(const struct faults *faults, uint32_t node) {
    ASSERT(node < faults->node_count);
    return faults->holds[node].lies;
}

uint64_t faults_count(const struct faults *faults, enum fault_kind kind) {
    ASSERT(kind < FAULT_KIND_COUNT);
    return faults->counts[kind];
}

uint64_t faults_lies(const struct faults *faults, enum lie_kind lie) {
    return liars_told(faults->liars, lie);
}

size_t faults_running(const struct faults *faults) {
    return faults->running_count;
}
