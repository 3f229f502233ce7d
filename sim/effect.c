/* SPDX-License-Identifier: Apache-2.0
 *
 * What each kind of fault does, and how it is undone. What is done to the net is held by number,
 * one grip each. What is done to a node is not undone but worked out again from the faults that
 * still hold it, so that overlapping ones need not know of each other.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/time.h"
#include "sim/fault_state.h"
#include "sim/must.h"

#define FLAP_EVERY NS_PER_S /* where the line does not say */

/* ---- nodes ---- */

static int compare_nodes(const void *a, const void *b) {
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

bool running_has(const struct running *running, uint32_t node) {
    return running->node_count > 0 &&
           bsearch(&node, running->nodes, running->node_count, sizeof(node), compare_nodes) != NULL;
}

static uint32_t larger(uint32_t a, uint32_t b) {
    return a > b ? a : b;
}

static void hold_join(struct hold *hold, const struct scenario_fault *line) {
    switch (line->kind) {
    case FAULT_CRASH:
    case FAULT_POWER:
    case FAULT_LEAVE:
        hold->is_down = true;
        break;
    case FAULT_PAUSE:
        hold->is_paused = true;
        break;
    case FAULT_SLOW:
        hold->factor = larger(hold->factor, line->factor);
        break;
    case FAULT_MEMORY:
        hold->memory_ppm = larger(hold->memory_ppm, line->ppm);
        break;
    case FAULT_DISK:
        hold->has_no_disk = true;
        break;
    case FAULT_LIAR:
        hold->lies |= line->lies;
        break;
    case FAULT_CUT:
    case FAULT_SILENCE:
    case FAULT_ONE_WAY:
    case FAULT_PARTITION:
    case FAULT_FLAP:
    case FAULT_LOSS:
    case FAULT_DELAY:
    case FAULT_CLOCK:
    case FAULT_HEAL:
    case FAULT_KIND_COUNT:
        break;
    }
}

static struct hold hold_of(const struct faults *faults, uint32_t node) {
    struct hold hold = {0};
    for (const struct running *it = faults->first; it != NULL; it = it->next) {
        if (running_has(it, node)) {
            hold_join(&hold, &it->line);
        }
    }
    return hold;
}

/* True when the node starts anew: then nothing of what was applied is there any more. */
static bool revive(struct faults *faults, uint32_t node) {
    enum node_state state = world_node_state(faults->world, node);
    if (!faults->was_downed[node] || (state != NODE_DOWN && state != NODE_LEFT)) {
        return false;
    }
    faults->was_downed[node] = false;
    world_start(faults->world, node);
    return true;
}

void effect_settle(struct faults *faults, uint32_t node) {
    struct world *world = faults->world;
    struct hold want = hold_of(faults, node);
    struct hold have = faults->holds[node];
    bool is_new = !want.is_down && revive(faults, node);
    if (is_new || want.is_paused != have.is_paused) {
        world_pause(world, node, want.is_paused);
    }
    if (is_new || want.factor != have.factor) {
        world_set_slowness(world, node, larger(want.factor, 1));
    }
    if (is_new || want.memory_ppm != have.memory_ppm) {
        world_refuse_memory(world, node, want.memory_ppm);
    }
    if (is_new || want.has_no_disk != have.has_no_disk) {
        world_fill_disk(world, node, want.has_no_disk);
    }
    if (want.lies != have.lies) {
        liars_set(faults->liars, node, want.lies);
    }
    faults->holds[node] = want;
}

static void settle_all(struct faults *faults, const struct running *running) {
    for (size_t i = 0; i < running->node_count; i++) {
        effect_settle(faults, running->nodes[i]);
    }
}

static void down_one(struct faults *faults, const struct scenario_fault *line, uint32_t node) {
    faults->was_downed[node] = true;
    if (line->kind == FAULT_LEAVE) {
        world_leave(faults->world, node);
        return;
    }
    enum world_crash how = line->loses_state ? WORLD_CRASH_WIPE : WORLD_CRASH_KEEP;
    world_crash(faults->world, node, how, line->kind == FAULT_CRASH);
}

static void down(struct faults *faults, const struct running *running) {
    for (size_t i = 0; i < running->node_count; i++) {
        down_one(faults, &running->line, running->nodes[i]);
    }
    settle_all(faults, running);
}

static void jump(struct faults *faults, const struct running *running) {
    for (size_t i = 0; i < running->node_count; i++) {
        world_jump_clock(faults->world, running->nodes[i], running->line.jump_ns);
    }
}

/* ---- the net ---- */

static void grip_add(struct running *running, struct grip grip) {
    if (running->grip_count == running->grip_size) {
        running->grip_size = running->grip_size > 0 ? 2 * running->grip_size : 4;
        running->grips = must(realloc(running->grips, running->grip_size * sizeof(struct grip)));
    }
    running->grips[running->grip_count++] = grip;
}

static enum net_fault_kind net_kind(const struct scenario_fault *line) {
    bool is_cut = line->kind == FAULT_CUT || (line->kind == FAULT_PARTITION && line->is_seen);
    return is_cut ? NET_CUT : NET_SILENCE;
}

static void grip_direction(struct faults *faults, struct running *running, uint32_t a, uint32_t b) {
    struct grip grip = {.kind = GRIP_PAIR, .a = a, .b = b};
    grip.number = net_begin_between(world_net(faults->world), net_kind(&running->line), a, b,
                                    world_now(faults->world));
    grip_add(running, grip);
}

/* Around one node, or around all of them together (GRIP_AROUND). */
static void grip_around(struct faults *faults, struct running *running, enum grip_kind kind,
                        uint32_t node) {
    struct grip grip = {.kind = kind, .a = node};
    bool *side = faults->scratch_flags;
    memset(side, 0, faults->node_count * sizeof(*side));
    for (size_t i = 0; kind == GRIP_AROUND && i < running->node_count; i++) {
        side[running->nodes[i]] = true;
    }
    side[node] = true;
    bool is_one_way = running->line.kind == FAULT_ONE_WAY ||
                      (running->line.kind == FAULT_PARTITION && running->line.is_one_way);
    grip.number = net_begin_around(world_net(faults->world), net_kind(&running->line), side,
                                   !is_one_way, world_now(faults->world));
    grip_add(running, grip);
}

static void sever_pair(struct faults *faults, struct running *running, uint32_t a, uint32_t b) {
    const struct plan *plan = world_plan(faults->world);
    if (a == b || (!plan_reaches(plan, a, b) && !plan_reaches(plan, b, a))) {
        return;
    }
    grip_direction(faults, running, a, b);
    if (running->line.kind == FAULT_SILENCE) {
        grip_direction(faults, running, b, a);
    }
}

/* CUT, SILENCE, ONE_WAY: each of `who` with each of `to`. */
static void sever(struct faults *faults, struct running *running) {
    if (running->line.to.kind == PICK_ALL) {
        for (size_t i = 0; i < running->node_count; i++) {
            grip_around(faults, running, GRIP_NODE, running->nodes[i]);
        }
        return;
    }
    uint32_t *to = must(calloc(faults->node_count, sizeof(*to)));
    size_t count = plan_pick(world_plan(faults->world), &running->line.to, &faults->rng, to);
    for (size_t j = 0; j < count && running->line.who.kind == PICK_ALL; j++) {
        faults->ever[to[j]] |= 1U << running->line.kind;
    }
    for (size_t i = 0; i < running->node_count; i++) {
        for (size_t j = 0; j < count; j++) {
            sever_pair(faults, running, running->nodes[i], to[j]);
        }
    }
    free(to);
}

static void hamper(struct faults *faults, struct running *running) {
    struct net *net = world_net(faults->world);
    const struct scenario_fault *line = &running->line;
    for (size_t i = 0; i < running->node_count; i++) {
        struct grip grip = {.kind = GRIP_NODE, .a = running->nodes[i]};
        grip.number = line->kind == FAULT_LOSS
                          ? net_begin_loss(net, grip.a, line->ppm, !line->is_one_way)
                          : net_begin_delay(net, grip.a, line->delay_ns);
        grip_add(running, grip);
    }
}

static weft_ns flap_every(const struct running *running) {
    return running->line.every_ns > 0 ? running->line.every_ns : FLAP_EVERY;
}

void effect_flap(struct faults *faults, struct running *running) {
    weft_ns now = world_now(faults->world);
    for (size_t i = 0; i < running->node_count; i++) {
        net_reset_all_of(world_net(faults->world), running->nodes[i], now);
    }
    timers_arm(&faults->timers, &running->flap, time_after(now, flap_every(running)));
}

/* ---- begin, end, spare ---- */

void effect_begin(struct faults *faults, struct running *running) {
    switch (running->line.kind) {
    case FAULT_CRASH:
    case FAULT_POWER:
    case FAULT_LEAVE:
        down(faults, running);
        break;
    case FAULT_PAUSE:
    case FAULT_SLOW:
    case FAULT_MEMORY:
    case FAULT_DISK:
    case FAULT_LIAR:
        settle_all(faults, running);
        break;
    case FAULT_CUT:
    case FAULT_SILENCE:
    case FAULT_ONE_WAY:
        sever(faults, running);
        break;
    case FAULT_PARTITION:
        grip_around(faults, running, GRIP_AROUND, running->nodes[0]);
        break;
    case FAULT_FLAP:
        effect_flap(faults, running);
        break;
    case FAULT_LOSS:
    case FAULT_DELAY:
        hamper(faults, running);
        break;
    case FAULT_CLOCK:
        jump(faults, running);
        break;
    case FAULT_HEAL:
        faults_end_all(faults);
        break;
    case FAULT_KIND_COUNT:
        break;
    }
}

static void grip_end(struct faults *faults, struct grip *grip) {
    net_end(world_net(faults->world), grip->number, world_now(faults->world));
}

void effect_end(struct faults *faults, struct running *running) {
    for (size_t i = 0; i < running->grip_count; i++) {
        grip_end(faults, &running->grips[i]);
    }
    running->grip_count = 0;
    settle_all(faults, running);
}

/* The nodes outside the core, which the fault goes on to hold. */
static void spare_nodes(struct faults *faults, struct running *running) {
    size_t spared_count = 0;
    size_t kept = 0;
    for (size_t i = 0; i < running->node_count; i++) {
        uint32_t node = running->nodes[i];
        if (faults->is_core[node]) {
            faults->scratch[spared_count++] = node;
        } else {
            running->nodes[kept++] = node;
        }
    }
    running->node_count = kept;
    for (size_t i = 0; i < spared_count; i++) {
        effect_settle(faults, faults->scratch[i]);
    }
}

/* Grips of core nodes alone, and between two of them, go; a partition is drawn anew around those of
 * its side that are not in the core, which leaves the core on one side. */
static bool is_spared(const struct faults *faults, const struct grip *grip) {
    switch (grip->kind) {
    case GRIP_PAIR:
        return faults->is_core[grip->a] && faults->is_core[grip->b];
    case GRIP_NODE:
        return faults->is_core[grip->a];
    case GRIP_AROUND:
        break;
    }
    return true;
}

void effect_spare_core(struct faults *faults, struct running *running) {
    size_t kept = 0;
    spare_nodes(faults, running);
    for (size_t i = 0; i < running->grip_count; i++) {
        if (is_spared(faults, &running->grips[i])) {
            grip_end(faults, &running->grips[i]);
        } else {
            running->grips[kept++] = running->grips[i];
        }
    }
    running->grip_count = kept;
    if (running->line.kind == FAULT_PARTITION && running->node_count > 0) {
        grip_around(faults, running, GRIP_AROUND, running->nodes[0]);
    }
}
