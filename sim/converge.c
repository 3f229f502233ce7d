/* SPDX-License-Identifier: Apache-2.0
 *
 * When all views are right again after something went wrong or ended. Asked 1 ms after, then ever
 * more seldom: at intervals of 1/64 of the time it took so far, at most 100 ms. So what is measured
 * is true to 2 %. Most asking ends at the node that was wrong last.
 */
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "sim/check_internal.h"
#include "sim/must.h"

#define POLL_FIRST NS_PER_MS
#define POLL_LAST (100 * NS_PER_MS)
#define POLL_SHARE 64
/* The ends of faults are looked for no more often than this. */
#define ENDS_KEEP (10 * NS_PER_MS)
void converge_init(struct checks *checks) {
    struct converge *converge = &checks->converge;
    size_t count = (size_t)checks->node_count + 1;
    converge->parts = must(calloc(count, sizeof *converge->parts));
    converge->blocked_a = ORACLE_NONE;
    converge->joined = must(calloc(count, sizeof *converge->joined));
    converge->joined_with = must(calloc(count, sizeof *converge->joined_with));
    converge->joined_since = must(calloc(count, sizeof *converge->joined_since));
    converge->joined_at = WEFT_NEVER;
    checks->converge_time = metrics_distribution(checks->metrics, "converge.time", UNIT_NS);
    checks->reroute_time = metrics_distribution(checks->metrics, "reroute.time", UNIT_NS);
}

void converge_fini(struct checks *checks) {
    struct converge *converge = &checks->converge;
    reroute_fini(checks);
    free(converge->pending);
    free(converge->is_over);
    free(converge->parts);
    free(converge->joined);
    free(converge->joined_with);
    free(converge->joined_since);
}

/* Who asks may have it computed, and then it was computed now. */
static uint64_t digest_of(struct checks *checks, uint32_t node) {
    uint64_t digest = world_topology_digest(checks->world, node);
    traffic_stepped(checks, node);
    return digest;
}

/* Whether a node says what the first of those says that it could be together with; if so it goes
 * into what stands for all they say. */
static bool does_agree(struct checks *checks, uint32_t node, uint64_t *views) {
    uint32_t first = checks->converge.parts[node];
    if (!check_is_live(checks, node)) {
        return true;
    }
    uint64_t digest = digest_of(checks, node);
    *views += seen_mix(digest, (uint64_t)first << 32 | node);
    return digest == digest_of(checks, first);
}

/* Whether all nodes that could be together say the same; then *views stands for all they say. The
 * node that did not is asked first next time. */
static bool do_agree(struct checks *checks, uint64_t *views) {
    struct converge *converge = &checks->converge;
    *views = checks->near_epoch;
    for (uint32_t i = 0; i < checks->node_count; i++) {
        uint32_t node = converge->cursor;
        if (!does_agree(checks, node, views)) {
            return false;
        }
        converge->cursor = (node + 1) % checks->node_count;
    }
    return true;
}

/* The oracle's word: its digest, and its parts no smaller than what could be. */
static bool is_as_oracle_says(struct checks *checks) {
    const struct oracle *oracle = &checks->oracle;
    for (uint32_t i = 0; i < checks->node_count; i++) {
        if (!check_is_live(checks, i)) {
            continue;
        }
        uint32_t part = oracle->parts[i];
        if (digest_of(checks, i) != oracle->digests[part] ||
            part != oracle->parts[checks->converge.parts[i]]) {
            return false;
        }
    }
    return true;
}

/* Whether one of its links counts that no frame crosses; it is asked about first next time. */
static bool has_dead_link(struct checks *checks, uint32_t node) {
    const struct oracle *oracle = &checks->oracle;
    for (uint32_t i = oracle->rows[node]; i < oracle->rows[node + 1]; i++) {
        if (company_is_cut(checks, node, oracle->arcs[i].to)) {
            checks->converge.blocked_a = node;
            checks->converge.blocked_b = oracle->arcs[i].to;
            return true;
        }
    }
    return false;
}

static bool is_some_link_dead(struct checks *checks) {
    checks->converge.blocked_a = ORACLE_NONE;
    for (uint32_t u = 0; u < checks->node_count; u++) {
        if (has_dead_link(checks, u)) {
            return true;
        }
    }
    return false;
}

/* What was wrong is wrong as long as nobody says anything else: the oracle need not look again. */
bool converge_is_right(struct checks *checks) {
    struct converge *converge = &checks->converge;
    uint64_t views = 0;
    if (converge->blocked_a != ORACLE_NONE &&
        near_is_linked(checks, converge->blocked_a, converge->blocked_b) &&
        company_is_cut(checks, converge->blocked_a, converge->blocked_b)) {
        return false;
    }
    company_could_be(checks);
    if (!do_agree(checks, &views) || views == converge->wrong_views) {
        return false;
    }
    oracle_look(&checks->oracle);
    if (!is_as_oracle_says(checks)) {
        converge->wrong_views = views;
        return false;
    }
    return !is_some_link_dead(checks);
}

static void poll(void *ctx);

static void poll_again(struct checks *checks) {
    weft_ns now = world_now(checks->world);
    weft_ns gap = (now - checks->converge.busy_since) / POLL_SHARE;
    gap = gap < POLL_FIRST ? POLL_FIRST : time_min(gap, POLL_LAST);
    checks->converge.is_polling = true;
    world_at(checks->world, time_after(now, gap), poll, checks);
}

static void poll(void *ctx) {
    struct checks *checks = ctx;
    struct converge *converge = &checks->converge;
    weft_ns now = world_now(checks->world);
    converge->is_polling = false;
    converge_faults(checks);
    bool is_waiting = reroute_poll(checks);
    is_waiting |= heal_poll(checks);
    if (converge->pending_count > 0 && converge_is_right(checks)) {
        for (size_t i = 0; i < converge->pending_count; i++) {
            metric_sample(checks->converge_time, (int64_t)time_since(converge->pending[i], now));
        }
        converge->pending_count = 0;
    }
    if ((is_waiting || converge->pending_count > 0) && !converge->is_polling) {
        poll_again(checks);
    }
}

static void wait_from(struct checks *checks, weft_ns since) {
    struct converge *converge = &checks->converge;
    if (converge->pending_count == converge->pending_size) {
        converge->pending_size = converge->pending_size == 0 ? 16 : 2 * converge->pending_size;
        converge->pending =
            must(realloc(converge->pending, converge->pending_size * sizeof *converge->pending));
    }
    converge->pending[converge->pending_count++] = since;
    converge->busy_since = since;
    if (!converge->is_polling) {
        poll_again(checks);
    }
}

/* Faults that change who can be reached; the others end in views as they were. */
static bool does_cut(enum fault_kind kind) {
    switch (kind) {
    case FAULT_CRASH:
    case FAULT_POWER:
    case FAULT_LEAVE:
    case FAULT_CUT:
    case FAULT_SILENCE:
    case FAULT_ONE_WAY:
    case FAULT_PARTITION:
        return true;
    case FAULT_FLAP:
    case FAULT_PAUSE:
    case FAULT_SLOW:
    case FAULT_LOSS:
    case FAULT_DELAY:
    case FAULT_CLOCK:
    case FAULT_MEMORY:
    case FAULT_DISK:
    case FAULT_LIAR:
    case FAULT_HEAL:
    case FAULT_KIND_COUNT:
        return false;
    }
    return false;
}

static bool does_cut_links(enum fault_kind kind) {
    return does_cut(kind) && kind != FAULT_CRASH && kind != FAULT_POWER && kind != FAULT_LEAVE;
}

static void grow_over(struct converge *converge, size_t count) {
    if (count <= converge->is_over_size) {
        return;
    }
    size_t size = 2 * count;
    converge->is_over = must(realloc(converge->is_over, size * sizeof *converge->is_over));
    memset(converge->is_over + converge->is_over_size, 0,
           (size - converge->is_over_size) * sizeof *converge->is_over);
    converge->is_over_size = size;
}

static bool is_end_timed(enum fault_kind kind) {
    return does_cut(kind) || kind == FAULT_FLAP || kind == FAULT_PAUSE;
}

static void look_for_end(struct checks *checks, const struct fault_done *done, size_t index) {
    bool *is_over = &checks->converge.is_over[index];
    if (*is_over || done->until > world_now(checks->world)) {
        return;
    }
    *is_over = true;
    if (is_end_timed(done->kind)) {
        wait_from(checks, done->until);
    }
    if (done->kind == FAULT_PARTITION) {
        heal_begin(checks, done->until);
    }
}

static void look_for_ends(struct checks *checks, const struct fault_done *done, size_t count) {
    struct converge *converge = &checks->converge;
    for (size_t i = converge->first_open; i < count; i++) {
        look_for_end(checks, &done[i], i);
    }
    while (converge->first_open < count && converge->is_over[converge->first_open]) {
        converge->first_open++;
    }
}

/* Asked at every step: as long as nothing new began, the open ones are looked at every 10 ms. */
void converge_faults(struct checks *checks) {
    struct converge *converge = &checks->converge;
    const struct fault_done *done = NULL;
    size_t count = faults_done(checks->faults, &done);
    weft_ns now = world_now(checks->world);
    bool is_new = count > converge->faults_known;
    if (!is_new &&
        (converge->first_open == count || time_since(converge->looked_at, now) < ENDS_KEEP)) {
        return;
    }
    converge->looked_at = now;
    grow_over(converge, count);
    while (converge->faults_known < count) {
        const struct fault_done *fault = &done[converge->faults_known++];
        if (does_cut_links(fault->kind)) {
            reroute_begin_cuts(checks, fault->at);
        }
        if (does_cut(fault->kind)) {
            wait_from(checks, fault->at);
        }
    }
    look_for_ends(checks, done, count);
}

void converge_state(struct checks *checks, uint32_t node, enum node_state state) {
    const struct node_watch *it = &checks->nodes[node];
    bool was_up = it->state == NODE_UP || it->state == NODE_PAUSED;
    if (checks->has_begun && was_up && state == NODE_DOWN) {
        reroute_begin_node(checks, node);
        if (!checks->converge.is_polling && checks->converge.reroute_count > 0) {
            checks->converge.busy_since = world_now(checks->world);
            poll_again(checks);
        }
    }
}
