/* SPDX-License-Identifier: Apache-2.0
 *
 * Chaos: what goes wrong, with whom and for how long is drawn by the seed, at the ranges of
 * TigerBeetle's VOPR or wider. Short ones are likelier than long ones: spans are drawn by magnitude
 * first, so that a pause of 100 ms is as likely as one of a minute.
 *
 * LIVENESS, after VOPR: uniform faults hide what only a lasting one shows. At the end a connected
 * part of the plan is healed and left alone, and everything else stays as broken as it is.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/time.h"
#include "sim/fault_state.h"
#include "sim/must.h"

#define RUNNING_MAX 64 /* at a time: beyond, the mesh is not worth the name */
#define DOWN_SHARE 3   /* at most one in so many is down by chaos */
#define LIAR_SHARE 4   /* at most one in so many lies */
#define VICTIM_SHARE 8 /* of one fault, but for partitions */
#define HOUR (3600 * NS_PER_S)
#define LIES_ALL 0x7fU
#define PPM 1000000U

/* Uniform in magnitude, then within it; low >= 1. */
static uint64_t draw_between(struct rng *rng, uint64_t low, uint64_t high) {
    ASSERT(low >= 1 && low <= high);
    unsigned doublings = 0;
    while (doublings < 40 && (low << (doublings + 1)) <= high) {
        doublings++;
    }
    uint64_t base = low << rng_below(rng, doublings + 1);
    uint64_t value = base + rng_below(rng, base);
    return value < high ? value : high;
}

static uint64_t draw_ms(struct rng *rng, uint64_t low, uint64_t high) {
    return draw_between(rng, low * NS_PER_MS, high * NS_PER_MS);
}

/* Each fault's own figures. */
static void draw_span(struct rng *rng, struct scenario_fault *line) {
    static const struct {
        uint32_t low_ms;
        uint32_t high_ms;
    } spans[FAULT_KIND_COUNT] = {
        [FAULT_CRASH] = {100, 60000},
        [FAULT_POWER] = {100, 60000},
        [FAULT_LEAVE] = {1000, 60000},
        [FAULT_PAUSE] = {100, 60000},
        [FAULT_SLOW] = {1000, 60000},
        [FAULT_CUT] = {100, 60000},
        [FAULT_SILENCE] = {100, 60000},
        [FAULT_ONE_WAY] = {100, 60000},
        [FAULT_PARTITION] = {500, 90000},
        [FAULT_FLAP] = {1000, 30000},
        [FAULT_LOSS] = {1000, 60000},
        [FAULT_DELAY] = {1000, 60000},
        [FAULT_CLOCK] = {1, 1},
        [FAULT_MEMORY] = {100, 10000},
        [FAULT_DISK] = {100, 60000},
        [FAULT_LIAR] = {1000, 60000},
        [FAULT_HEAL] = {1, 1},
    };
    line->span_ns = draw_ms(rng, spans[line->kind].low_ms, spans[line->kind].high_ms);
}

static void draw_measure(struct rng *rng, struct scenario_fault *line) {
    switch (line->kind) {
    case FAULT_CRASH:
    case FAULT_POWER:
        line->loses_state = rng_below(rng, 4) == 0;
        break;
    case FAULT_SLOW:
        line->factor = (uint32_t)draw_between(rng, 2, 100);
        break;
    case FAULT_PARTITION:
        line->is_seen = rng_below(rng, 3) == 0;
        line->is_one_way = !line->is_seen && rng_below(rng, 3) == 0;
        break;
    case FAULT_FLAP:
        line->every_ns = draw_ms(rng, 100, 5000);
        break;
    case FAULT_LOSS:
        line->ppm = (uint32_t)draw_between(rng, 1000, 300000);
        line->is_one_way = rng_below(rng, 2) == 0;
        break;
    case FAULT_DELAY:
        line->delay_ns = draw_ms(rng, 1, 1000);
        break;
    case FAULT_CLOCK:
        line->jump_ns = draw_between(rng, NS_PER_MS, HOUR);
        break;
    case FAULT_MEMORY:
        line->ppm = (uint32_t)draw_between(rng, 1000, 50000);
        break;
    case FAULT_LIAR:
        line->lies = 1 + (uint32_t)rng_below(rng, LIES_ALL);
        break;
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
}

static uint32_t share_of(uint32_t nodes, uint32_t share) {
    return nodes / share > 0 ? nodes / share : 1;
}

static uint32_t count_holds(const struct faults *faults, enum fault_kind kind) {
    uint32_t count = 0;
    for (uint32_t node = 0; node < faults->node_count; node++) {
        const struct hold *hold = &faults->holds[node];
        count += kind == FAULT_LIAR ? hold->lies != 0 : hold->is_down;
    }
    return count;
}

/* How many one fault of a kind may concern now; 0: none of it. */
static uint32_t victims_max(const struct faults *faults, enum fault_kind kind) {
    uint32_t nodes = faults->node_count;
    uint32_t most = share_of(nodes, VICTIM_SHARE);
    uint32_t limit = most;
    uint32_t held = 0;
    if (kind == FAULT_PARTITION) {
        return nodes - 1;
    }
    if (kind == FAULT_CRASH || kind == FAULT_POWER || kind == FAULT_LEAVE) {
        limit = nodes > 1 ? share_of(nodes, DOWN_SHARE) : 0;
        held = count_holds(faults, FAULT_CRASH);
    } else if (kind == FAULT_LIAR) {
        limit = nodes / LIAR_SHARE;
        held = count_holds(faults, FAULT_LIAR);
    }
    uint32_t left = limit > held ? limit - held : 0;
    return left < most ? left : most;
}

static void draw_pick(struct rng *rng, uint32_t most, struct scenario_pick *pick) {
    pick->kind = PICK_COUNT;
    pick->among = PICK_ALL;
    pick->count = (uint32_t)draw_between(rng, 1, most);
}

/* The whole of one fault; false when there is no room for its kind now. */
static bool draw_fault(struct faults *faults, enum fault_kind kind, struct scenario_fault *line) {
    struct rng *rng = &faults->chaos_rng;
    uint32_t most = victims_max(faults, kind);
    *line = (struct scenario_fault){.kind = kind, .count = 1};
    if (most == 0) {
        return false;
    }
    draw_pick(rng, most, &line->who);
    if (rng_below(rng, 2) == 0) {
        draw_pick(rng, share_of(faults->node_count, 2), &line->to); /* else any */
    }
    draw_span(rng, line);
    draw_measure(rng, line);
    return true;
}

/* One of the kinds that may be drawn. */
static bool draw_kind(struct faults *faults, enum fault_kind *out) {
    enum fault_kind kinds[FAULT_KIND_COUNT];
    size_t count = 0;
    for (int kind = 0; kind < FAULT_HEAL; kind++) {
        if ((faults->scenario->chaos.kinds & (1U << kind)) != 0) {
            kinds[count++] = (enum fault_kind)kind;
        }
    }
    if (count == 0) {
        return false;
    }
    *out = kinds[rng_below(&faults->chaos_rng, count)];
    return true;
}

static void arm_next(struct faults *faults) {
    uint64_t every = faults->scenario->chaos.every_ns;
    weft_ns wait = 1 + rng_below(&faults->chaos_rng, 2 * every);
    timers_arm(&faults->timers, &faults->chaos, time_after(world_now(faults->world), wait));
}

void chaos_begin(struct faults *faults) {
    const struct scenario_chaos *chaos = &faults->scenario->chaos;
    if (chaos->mode == CHAOS_NONE || chaos->every_ns == 0 || faults->node_count < 2) {
        return;
    }
    if (chaos->until_ns > 0) {
        timers_arm(&faults->timers, &faults->until,
                   time_after(world_now(faults->world), chaos->until_ns));
    }
    arm_next(faults);
}

void chaos_fire(struct faults *faults) {
    enum fault_kind kind;
    struct scenario_fault line;
    if (!draw_kind(faults, &kind)) {
        return;
    }
    if (faults->running_count < RUNNING_MAX && draw_fault(faults, kind, &line)) {
        faults_add(faults, &line, &faults->chaos_rng);
    }
    arm_next(faults);
}

void chaos_end(struct faults *faults) {
    timers_disarm(&faults->timers, &faults->chaos);
    timers_disarm(&faults->timers, &faults->until);
}

/* ---- the core ---- */

/* A plan as lists of neighbours: those of node i are at first[i] .. first[i + 1]. */
struct neighbours {
    size_t *first;
    uint32_t *list;
};

static struct neighbours neighbours_of(const struct plan *plan) {
    struct neighbours out;
    out.first = must(calloc((size_t)plan->node_count + 2, sizeof(*out.first)));
    out.list = must(calloc(2 * plan->edge_count + 1, sizeof(*out.list)));
    for (size_t i = 0; i < plan->edge_count; i++) {
        out.first[plan->edges[i].a + 2]++;
        out.first[plan->edges[i].b + 2]++;
    }
    for (size_t i = 2; i < (size_t)plan->node_count + 2; i++) {
        out.first[i] += out.first[i - 1];
    }
    for (size_t i = 0; i < plan->edge_count; i++) {
        const struct scenario_edge *edge = &plan->edges[i];
        out.list[out.first[edge->a + 1]++] = edge->b;
        out.list[out.first[edge->b + 1]++] = edge->a;
    }
    return out;
}

/* Puts those neighbours of a node on the rim that were not seen before. */
static void widen(struct faults *faults, const struct neighbours *graph, uint32_t node,
                  size_t *rim_count) {
    for (size_t i = graph->first[node]; i < graph->first[node + 1]; i++) {
        uint32_t next = graph->list[i];
        if (!faults->scratch_flags[next]) {
            faults->scratch_flags[next] = true;
            faults->scratch[(*rim_count)++] = next;
        }
    }
}

/* Grows the core from a random node: each next one is drawn from the rim. */
static void grow_core(struct faults *faults, uint32_t size) {
    struct neighbours graph = neighbours_of(world_plan(faults->world));
    uint32_t *rim = faults->scratch;
    size_t rim_count = 1;
    memset(faults->scratch_flags, 0, faults->node_count * sizeof(*faults->scratch_flags));
    rim[0] = (uint32_t)rng_below(&faults->chaos_rng, faults->node_count);
    faults->scratch_flags[rim[0]] = true;
    for (uint32_t grown = 0; grown < size && rim_count > 0; grown++) {
        size_t drawn = rng_below(&faults->chaos_rng, rim_count);
        uint32_t node = rim[drawn];
        rim[drawn] = rim[--rim_count];
        faults->is_core[node] = true;
        widen(faults, &graph, node, &rim_count);
    }
    free(graph.first);
    free(graph.list);
}

/* What lasts now, lasts for ever: flapping connections are left as they are at this moment. */
static void freeze_one(struct faults *faults, struct running *running) {
    timers_disarm(&faults->timers, &running->end);
    timers_disarm(&faults->timers, &running->flap);
    effect_spare_core(faults, running);
    if (running->node_count == 0 && running->grip_count == 0) {
        faults_end(faults, running);
    }
}

void chaos_freeze(struct faults *faults) {
    if (faults->is_core != NULL) {
        return;
    }
    uint64_t size = (uint64_t)faults->node_count * faults->scenario->chaos.core_ppm / PPM;
    timeline_end(faults);
    faults->is_core = must(calloc(faults->node_count, sizeof(*faults->is_core)));
    grow_core(faults, size > 0 ? (uint32_t)size : 1);
    struct running *next = NULL;
    for (struct running *it = faults->first; it != NULL; it = next) {
        next = it->next;
        freeze_one(faults, it);
    }
    faults_arm(faults);
}
