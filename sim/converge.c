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
/* Who is joined with whom is looked at no more often than this, and so are the ends of faults. */
#define JOINED_KEEP (10 * NS_PER_MS)
/* Who has been joined for so long has no reason to be out of sight. */
#define JOINED_LONG (2 * NS_PER_S)
/* A node that was paused is a reason to be taken for dead until its peers' patience is over, and
 * this long. */
#define PAUSE_GRACE (10 * NS_PER_S)

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

static bool is_passable(const struct checks *checks, uint32_t a, uint32_t b) {
    const struct net *net = world_net(checks->world);
    return check_is_live(checks, a) && check_is_live(checks, b) && net_is_passable(net, a, b) &&
           net_is_passable(net, b, a);
}

static void join_linked(const struct checks *checks, uint32_t *parts) {
    for (uint32_t i = 0; i < checks->node_count; i++) {
        for (uint32_t j = 0; j < checks->nodes[i].near_count; j++) {
            uint32_t other = checks->nodes[i].near[j].other;
            if (i < other && near_is_linked(checks, i, other) && is_passable(checks, i, other)) {
                oracle_join(parts, i, other);
            }
        }
    }
}

static void join_planned(const struct checks *checks, uint32_t *parts) {
    const struct plan *plan = world_plan(checks->world);
    for (size_t i = 0; i < plan->edge_count; i++) {
        if (is_passable(checks, plan->edges[i].a, plan->edges[i].b)) {
            oracle_join(parts, plan->edges[i].a, plan->edges[i].b);
        }
    }
}

static void parts_begin(const struct checks *checks, uint32_t *parts) {
    for (uint32_t i = 0; i < checks->node_count; i++) {
        parts[i] = i;
    }
}

static void parts_end(const struct checks *checks, uint32_t *parts) {
    for (uint32_t i = 0; i < checks->node_count; i++) {
        parts[i] = oracle_root(parts, i);
    }
}

void converge_parts(struct checks *checks) {
    parts_begin(checks, checks->converge.parts);
    join_planned(checks, checks->converge.parts);
    join_linked(checks, checks->converge.parts);
    parts_end(checks, checks->converge.parts);
}

static uint64_t digest_of(const struct checks *checks, uint32_t node) {
    return core_topology_digest(world_core(checks->world, node));
}

/* Whether all nodes that could be together say the same. The node that did not is asked first next
 * time. */
static bool do_agree(struct checks *checks) {
    struct converge *converge = &checks->converge;
    for (uint32_t i = 0; i < checks->node_count; i++) {
        uint32_t node = converge->cursor;
        if (check_is_live(checks, node) &&
            digest_of(checks, node) != digest_of(checks, converge->parts[node])) {
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

static bool is_blocked(const struct checks *checks, uint32_t a, uint32_t b) {
    const struct net *net = world_net(checks->world);
    return check_is_live(checks, a) && check_is_live(checks, b) &&
           (!net_is_passable(net, a, b) || !net_is_passable(net, b, a));
}

/* Whether something counts as a link that no frame crosses. */
static bool is_some_link_dead(struct checks *checks) {
    const struct oracle *oracle = &checks->oracle;
    for (uint32_t u = 0; u < checks->node_count; u++) {
        for (uint32_t i = oracle->rows[u]; i < oracle->rows[u + 1]; i++) {
            if (is_blocked(checks, u, oracle->arcs[i].to)) {
                checks->converge.blocked_a = u;
                checks->converge.blocked_b = oracle->arcs[i].to;
                return true;
            }
        }
    }
    checks->converge.blocked_a = ORACLE_NONE;
    return false;
}

bool converge_is_right(struct checks *checks) {
    const struct converge *converge = &checks->converge;
    if (converge->blocked_a != ORACLE_NONE &&
        near_is_linked(checks, converge->blocked_a, converge->blocked_b) &&
        is_blocked(checks, converge->blocked_a, converge->blocked_b)) {
        return false;
    }
    converge_parts(checks);
    if (!do_agree(checks)) {
        return false;
    }
    oracle_look(&checks->oracle);
    return is_as_oracle_says(checks) && !is_some_link_dead(checks);
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

static void look_for_ends(struct checks *checks, const struct fault_done *done, size_t count) {
    struct converge *converge = &checks->converge;
    weft_ns now = world_now(checks->world);
    for (size_t i = converge->first_open; i < count; i++) {
        if (!converge->is_over[i] && done[i].until <= now) {
            converge->is_over[i] = true;
            if (does_cut(done[i].kind) || done[i].kind == FAULT_FLAP ||
                done[i].kind == FAULT_PAUSE) {
                wait_from(checks, done[i].until);
            }
        }
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
        (converge->first_open == count || time_since(converge->looked_at, now) < JOINED_KEEP)) {
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

/* Cuts out what follows "key=" up to the next space. */
static bool value_of(const char *detail, const char *key, char *out, size_t size) {
    const char *at = detail == NULL ? NULL : strstr(detail, key);
    if (at == NULL) {
        return false;
    }
    at += strlen(key);
    size_t len = strcspn(at, " ");
    if (len >= size) {
        return false;
    }
    memcpy(out, at, len);
    out[len] = '\0';
    return true;
}

static bool peer_of(const struct checks *checks, const struct trace_event *event, uint32_t *out) {
    char text[WEFT_PEER_ID_TEXT];
    struct weft_peer_id id;
    return value_of(event->detail, "id=", text, sizeof text) &&
           weft_peer_id_parse(text, &id) == WEFT_OK && world_find_node(checks->world, &id, out);
}

/* Who is joined with whom by links that are there now. */
static void join(struct checks *checks) {
    struct converge *converge = &checks->converge;
    weft_ns now = world_now(checks->world);
    parts_begin(checks, converge->joined);
    join_linked(checks, converge->joined);
    parts_end(checks, converge->joined);
    converge->joined_at = now;
    for (uint32_t i = 0; i < checks->node_count; i++) {
        if (converge->joined[i] != converge->joined_with[i]) {
            converge->joined_with[i] = converge->joined[i];
            converge->joined_since[i] = now;
        }
    }
}

/* While nothing goes wrong all stay joined. */
void converge_second(struct checks *checks) {
    if (checks->converge.faults_known > 0) {
        join(checks);
    }
}

/* Whether links join them, and have for a while: when a partition heals, old word of links that are
 * no more makes nodes seem reached for a moment. */
static bool is_joined(struct checks *checks, uint32_t a, uint32_t b) {
    struct converge *converge = &checks->converge;
    weft_ns now = world_now(checks->world);
    if (converge->joined_at == WEFT_NEVER || time_since(converge->joined_at, now) >= JOINED_KEEP) {
        join(checks);
    }
    weft_ns since = converge->joined_since[a] > converge->joined_since[b]
                        ? converge->joined_since[a]
                        : converge->joined_since[b];
    return converge->joined[a] == converge->joined[b] &&
           (since <= checks->begun_at || time_since(since, now) >= JOINED_LONG);
}

/* The sentinel stands for all healthy nodes: the first that no fault was ever about. */
static bool is_sentinel(struct checks *checks, uint32_t node) {
    while (checks->sentinel < checks->node_count - 1 &&
           !check_is_healthy(checks, checks->sentinel)) {
        checks->sentinel++;
    }
    return node == checks->sentinel && check_is_healthy(checks, node);
}

static void reach_changed(struct checks *checks, uint32_t node, const struct trace_event *event,
                          bool is_lost) {
    uint32_t peer = 0;
    if (!checks->has_begun || !check_is_healthy(checks, node) || !peer_of(checks, event, &peer)) {
        return;
    }
    checks->nodes[peer].changes += is_sentinel(checks, node) ? 1 : 0;
    if (is_lost && check_is_healthy(checks, peer) && check_is_live(checks, peer) &&
        is_joined(checks, node, peer)) {
        checks->healthy_removed++;
    }
}

/* Neither stopped nor lately was. */
static bool is_awake(const struct checks *checks, uint32_t node) {
    const struct node_watch *it = &checks->nodes[node];
    bool is_slow = (faults_of(checks->faults, node) >> FAULT_SLOW & 1U) != 0;
    return check_is_live(checks, node) && !is_slow &&
           (it->paused_at == 0 ||
            time_since(it->paused_at, world_now(checks->world)) > PAUSE_GRACE);
}

/* A link was given up for want of any sign of life. */
static void gave_up(struct checks *checks, uint32_t node, const struct trace_event *event) {
    char name[WEFT_NAME_MAX + 1];
    unsigned long other = 0;
    if (!value_of(event->detail, "peer=node-", name, sizeof name)) {
        return;
    }
    other = strtoul(name, NULL, 10);
    if (other >= checks->node_count || !is_awake(checks, node) ||
        !is_awake(checks, (uint32_t)other) || is_blocked(checks, node, (uint32_t)other)) {
        return;
    }
    checks->false_downs++;
    checks->healthy_down +=
        check_is_healthy(checks, node) && check_is_healthy(checks, (uint32_t)other) ? 1 : 0;
}

void converge_traced(struct checks *checks, uint32_t node, const struct trace_event *event) {
    if (strcmp(event->name, "peer-up") == 0) {
        reach_changed(checks, node, event, false);
    } else if (strcmp(event->name, "peer-down") == 0) {
        reach_changed(checks, node, event, true);
    } else if (strcmp(event->name, "link-silent") == 0) {
        gave_up(checks, node, event);
    }
}

void converge_report(struct checks *checks) {
    struct metrics *metrics = checks->metrics;
    struct metric *changes = metrics_distribution(metrics, "faulty.changes", UNIT_COUNT);
    for (uint32_t i = 0; i < checks->node_count; i++) {
        if (!check_is_healthy(checks, i)) {
            metric_sample(changes, checks->nodes[i].changes);
        }
    }
    metric_set(metrics_counter(metrics, "converge.unfinished", UNIT_COUNT),
               (int64_t)checks->converge.pending_count);
    metric_set(metrics_counter(metrics, "false_downs", UNIT_COUNT), (int64_t)checks->false_downs);
    metric_set(metrics_counter(metrics, "false_downs.rate", UNIT_PPM),
               checks->link_seconds == 0
                   ? 0
                   : (int64_t)(checks->false_downs * 1000000 / checks->link_seconds));
    metric_set(metrics_counter(metrics, "links.healthy_down", UNIT_COUNT),
               (int64_t)checks->healthy_down);
    metric_set(metrics_counter(metrics, "healthy.removed", UNIT_COUNT),
               (int64_t)checks->healthy_removed);
}
