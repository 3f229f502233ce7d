/* SPDX-License-Identifier: Apache-2.0
 *
 * How long until the last node whose next hop died forwards on a working path. Only neighbours of
 * what died can have had it as next hop; of their destinations 64 are drawn. A path works when the
 * next hops that the cores themselves name lead over links that are up and passable to the end.
 */
#include "base/time.h"
#include "sim/check_internal.h"
#include "sim/must.h"

#define DESTINATIONS_MAX 64
/* Deaths waited for at a time: when half of ten thousand nodes die at once, some do for all. */
#define REROUTES_MAX 256
/* After this nobody waits any more: the destination cannot be reached, or views never get right,
 * which is for others to find. */
#define PATIENCE (60 * NS_PER_S)

static bool can_cross(const struct checks *checks, uint32_t a, uint32_t b) {
    return check_is_live(checks, b) && near_is_linked(checks, a, b) &&
           net_is_passable(world_net(checks->world), a, b);
}

static bool next_of(const struct checks *checks, uint32_t node, uint32_t destination,
                    uint32_t *out) {
    const struct core *core = world_core(checks->world, node);
    struct router_path path = core_path_to(core, world_id(checks->world, destination));
    return path.is_reachable && world_find_node(checks->world, &path.next_hop, out);
}

static bool does_work(const struct checks *checks, const struct detour *detour) {
    uint32_t at = detour->node;
    uint32_t next = 0;
    for (unsigned hops = 0; hops < WIRE_HOPS_MAX && at != detour->destination; hops++) {
        if (!next_of(checks, at, detour->destination, &next) || !can_cross(checks, at, next)) {
            return false;
        }
        at = next;
    }
    return at == detour->destination;
}

static struct reroute *reroute_add(struct checks *checks, weft_ns since) {
    struct converge *converge = &checks->converge;
    if (converge->reroutes == NULL) {
        converge->reroutes = must(calloc(REROUTES_MAX, sizeof *converge->reroutes));
    }
    struct reroute *reroute = &converge->reroutes[converge->reroute_count++];
    *reroute = (struct reroute){.since = since};
    return reroute;
}

/* Drops a death that nobody waits for. */
static void reroute_drop(struct converge *converge, size_t index) {
    free(converge->reroutes[index].detours);
    converge->reroutes[index] = converge->reroutes[--converge->reroute_count];
}

static size_t draw_destinations(struct checks *checks, uint32_t out[DESTINATIONS_MAX]) {
    bool is_all = checks->node_count <= DESTINATIONS_MAX;
    size_t count = is_all ? checks->node_count : DESTINATIONS_MAX;
    for (size_t i = 0; i < count; i++) {
        out[i] = is_all ? (uint32_t)i : (uint32_t)rng_below(&checks->rng, checks->node_count);
    }
    return count;
}

static void add_detour(struct reroute *reroute, uint32_t node, uint32_t destination) {
    if ((reroute->count & (reroute->count - 1)) == 0) { /* full at each power of two */
        size_t size = reroute->count == 0 ? 1 : 2 * reroute->count;
        reroute->detours = must(realloc(reroute->detours, size * sizeof *reroute->detours));
    }
    reroute->detours[reroute->count++] = (struct detour){.node = node, .destination = destination};
}

static void gather(struct checks *checks, struct reroute *reroute, uint32_t node, uint32_t dead,
                   const uint32_t *destinations, size_t count) {
    uint32_t next = 0;
    for (size_t i = 0; i < count && check_is_live(checks, node); i++) {
        uint32_t to = destinations[i];
        if (to != node && check_is_live(checks, to) && next_of(checks, node, to, &next) &&
            next == dead) {
            add_detour(reroute, node, to);
        }
    }
}

/* The neighbours of a node still name it as next hop; it is itself no destination. */
void reroute_begin_node(struct checks *checks, uint32_t dead) {
    uint32_t destinations[DESTINATIONS_MAX];
    if (checks->converge.reroute_count == REROUTES_MAX) {
        return;
    }
    size_t count = draw_destinations(checks, destinations);
    for (size_t i = 0; i < count; i++) {
        destinations[i] =
            destinations[i] == dead ? (dead + 1) % checks->node_count : destinations[i];
    }
    struct reroute *reroute = reroute_add(checks, world_now(checks->world));
    for (uint32_t i = 0; i < checks->nodes[dead].near_count; i++) {
        gather(checks, reroute, checks->nodes[dead].near[i].other, dead, destinations, count);
    }
    if (reroute->count == 0) {
        reroute_drop(&checks->converge, checks->converge.reroute_count - 1);
    }
}

static void gather_cuts(struct checks *checks, struct reroute *reroute, uint32_t node,
                        const uint32_t *destinations, size_t count) {
    for (uint32_t j = 0; j < checks->nodes[node].near_count; j++) {
        uint32_t other = checks->nodes[node].near[j].other;
        if (company_is_cut(checks, node, other)) {
            gather(checks, reroute, node, other, destinations, count);
        }
    }
}

/* All links that no longer pass are one death; the far end may be a destination. */
void reroute_begin_cuts(struct checks *checks, weft_ns since) {
    uint32_t destinations[DESTINATIONS_MAX];
    if (checks->converge.reroute_count == REROUTES_MAX) {
        return;
    }
    size_t count = draw_destinations(checks, destinations);
    struct reroute *reroute = reroute_add(checks, since);
    for (uint32_t i = 0; i < checks->node_count; i++) {
        gather_cuts(checks, reroute, i, destinations, count);
    }
    if (reroute->count == 0) {
        reroute_drop(&checks->converge, checks->converge.reroute_count - 1);
    }
}

/* What cannot be reached by anybody's means, and who died since, is not waited for. */
static void look(struct checks *checks, struct reroute *reroute) {
    const uint32_t *parts = checks->converge.parts;
    size_t kept = 0;
    for (size_t i = 0; i < reroute->count; i++) {
        struct detour detour = reroute->detours[i];
        bool is_possible = check_is_live(checks, detour.node) &&
                           check_is_live(checks, detour.destination) &&
                           parts[detour.node] == parts[detour.destination];
        bool is_found = is_possible && does_work(checks, &detour);
        reroute->has_counted |= is_found;
        if (is_possible && !is_found) {
            reroute->detours[kept++] = detour;
        }
    }
    reroute->count = kept;
}

bool reroute_poll(struct checks *checks) {
    struct converge *converge = &checks->converge;
    weft_ns now = world_now(checks->world);
    if (converge->reroute_count == 0) {
        return false;
    }
    company_could_be(checks);
    for (size_t i = converge->reroute_count; i > 0; i--) {
        struct reroute *reroute = &converge->reroutes[i - 1];
        weft_ns waited = time_since(reroute->since, now);
        look(checks, reroute);
        if (reroute->count == 0 && reroute->has_counted) {
            metric_sample(checks->reroute_time, (int64_t)waited);
        }
        if (reroute->count == 0 || waited > PATIENCE) {
            reroute_drop(converge, i - 1);
        }
    }
    return converge->reroute_count > 0;
}

void reroute_fini(struct checks *checks) {
    struct converge *converge = &checks->converge;
    while (converge->reroute_count > 0) {
        reroute_drop(converge, converge->reroute_count - 1);
    }
    free(converge->reroutes);
}
