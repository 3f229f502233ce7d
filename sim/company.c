/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is in whose company: joined by links that are there, or by those that could be.
 */
#include "base/time.h"
#include "sim/check_internal.h"

/* Who is joined with whom is looked at no more often than this. */
#define JOINED_KEEP (10 * NS_PER_MS)
/* Who has been joined for so long has no reason to be out of sight. */
#define JOINED_LONG (2 * NS_PER_S)

bool company_is_cut(const struct checks *checks, uint32_t a, uint32_t b) {
    const struct net *net = world_net(checks->world);
    return check_is_live(checks, a) && check_is_live(checks, b) &&
           (!net_is_passable(net, a, b) || !net_is_passable(net, b, a));
}

static bool is_passable(const struct checks *checks, uint32_t a, uint32_t b) {
    const struct net *net = world_net(checks->world);
    return check_is_live(checks, a) && check_is_live(checks, b) && net_is_passable(net, a, b) &&
           net_is_passable(net, b, a);
}

static void join_near(const struct checks *checks, uint32_t *parts, uint32_t node) {
    for (uint32_t j = 0; j < checks->nodes[node].near_count; j++) {
        uint32_t other = checks->nodes[node].near[j].other;
        if (node < other && near_is_linked(checks, node, other) &&
            is_passable(checks, node, other)) {
            oracle_join(parts, node, other);
        }
    }
}

static void join_linked(const struct checks *checks, uint32_t *parts) {
    for (uint32_t i = 0; i < checks->node_count; i++) {
        join_near(checks, parts, i);
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

void company_could_be(struct checks *checks) {
    parts_begin(checks, checks->converge.parts);
    join_planned(checks, checks->converge.parts);
    join_linked(checks, checks->converge.parts);
    parts_end(checks, checks->converge.parts);
}

void company_sides(struct checks *checks, uint32_t *out) {
    parts_begin(checks, out);
    join_linked(checks, out);
    parts_end(checks, out);
}

/* Who is joined with whom by links that are there now. */
static void join(struct checks *checks) {
    struct converge *converge = &checks->converge;
    weft_ns now = world_now(checks->world);
    company_sides(checks, converge->joined);
    converge->joined_at = now;
    for (uint32_t i = 0; i < checks->node_count; i++) {
        if (converge->joined[i] != converge->joined_with[i]) {
            converge->joined_with[i] = converge->joined[i];
            converge->joined_since[i] = now;
        }
    }
}

/* While nothing goes wrong all stay joined. */
void company_second(struct checks *checks) {
    if (checks->converge.faults_known > 0) {
        join(checks);
    }
}

bool company_is_joined(struct checks *checks, uint32_t a, uint32_t b) {
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
