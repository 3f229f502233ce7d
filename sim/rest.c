/* SPDX-License-Identifier: Apache-2.0
 *
 * The state at rest, after everything healed and fell quiet. In LIVENESS only the core counts, and
 * the rest may still be at odds with itself at any moment: there the core must reach itself over
 * working paths, and what no two cores could agree on is not asked.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/time.h"
#include "sim/check_internal.h"
#include "sim/must.h"

/* Up to so many nodes all paths are compared; beyond, those from SOURCES_MAX nodes. */
#define ALL_PATHS_MAX 200
#define SOURCES_MAX 32
/* Pairs of a departed node and one that should have forgotten it. */
#define PAIRS_MAX ((uint64_t)1 << 20)
/* By then everybody knows that a node has gone, even over the longest time-outs of the links. */
#define GONE_AFTER (30 * NS_PER_S)
/* And by then, after the fade time, its records are dropped: the hosts look once a minute. */
#define FADED_AFTER (90 * NS_PER_S)
/* More than at the beginning by a quarter, and per node and second by three frames of 150 bytes:
 * reconciliations are a minute apart, and a third of the rest may hold more of them. */
#define SLACK_FRAMES 3
#define SLACK_BYTES 450
#define SLACK_STEPS 8

static bool is_liveness(const struct checks *checks) {
    return world_scenario(checks->world)->chaos.mode == CHAOS_LIVENESS;
}

static bool is_digest_right(struct checks *checks, uint32_t node) {
    const struct oracle *oracle = &checks->oracle;
    const struct core *core = world_core(checks->world, node);
    uint32_t part = oracle->parts[node];
    uint64_t found = world_topology_digest(checks->world, node);
    check_saw(checks, CHECK_REST_TOPOLOGY);
    if (found != oracle->digests[part] || core_reachable_count(core) + 1 != oracle->sizes[part]) {
        check_break(
            checks, CHECK_REST_TOPOLOGY,
            "node %u: expected %u nodes and digest %016" PRIx64 ", found %zu and %016" PRIx64, node,
            oracle->sizes[part], oracle->digests[part], core_reachable_count(core) + 1, found);
        return false;
    }
    return true;
}

static bool is_together(struct checks *checks, uint32_t node) {
    uint32_t with = checks->converge.parts[node];
    check_saw(checks, CHECK_REST_TOPOLOGY);
    if (checks->oracle.parts[node] != checks->oracle.parts[with]) {
        check_break(checks, CHECK_REST_TOPOLOGY,
                    "node %u: expected to be joined with node %u, found apart", node, with);
        return false;
    }
    return true;
}

static void check_real(struct checks *checks, uint32_t a, uint32_t b) {
    const struct net *net = world_net(checks->world);
    check_saw(checks, CHECK_REST_LINKS);
    if (!near_is_linked(checks, a, b)) {
        check_break(checks, CHECK_REST_LINKS,
                    "node %u: tells of a link with node %u that is not up at both ends", a, b);
    } else if (!net_is_passable(net, a, b)) {
        check_break(checks, CHECK_REST_LINKS,
                    "node %u: tells of a link with node %u that nothing passes", a, b);
    }
}

static void check_links_of(struct checks *checks, const bool *is_core, uint32_t node) {
    const struct oracle *oracle = &checks->oracle;
    for (uint32_t i = oracle->rows[node]; i < oracle->rows[node + 1]; i++) {
        if (is_core[oracle->arcs[i].to]) {
            check_real(checks, node, oracle->arcs[i].to);
        }
    }
}

static void check_links(struct checks *checks, const bool *is_core) {
    for (uint32_t u = 0; u < checks->node_count; u++) {
        if (is_core[u]) {
            check_links_of(checks, is_core, u);
        }
    }
}

bool rest_topology(struct checks *checks, const bool *is_core) {
    bool is_right = true;
    oracle_look(&checks->oracle);
    company_could_be(checks);
    for (uint32_t i = 0; i < checks->node_count && is_right; i++) {
        if (is_core[i] && !is_liveness(checks)) {
            is_right = is_digest_right(checks, i) && is_together(checks, i);
        }
    }
    check_links(checks, is_core);
    return is_right;
}

/* One step from next hop to next hop; false where there is none. */
static bool walk_on(const struct checks *checks, uint32_t to, uint32_t *at) {
    uint32_t next = 0;
    struct router_path path =
        core_path_to(world_core(checks->world, *at), world_id(checks->world, to));
    if (!path.is_reachable || !world_find_node(checks->world, &path.next_hop, &next) ||
        world_core(checks->world, next) == NULL) {
        return false;
    }
    *at = next;
    return true;
}

/* Walks to the end; *at is where the walk came to. */
static bool does_arrive(const struct checks *checks, uint32_t from, uint32_t to, uint32_t *at) {
    *at = from;
    for (uint32_t hops = 0; hops < checks->node_count && *at != to; hops++) {
        if (!walk_on(checks, to, at)) {
            return false;
        }
    }
    return *at == to;
}

/* Whether the way leads over a node that drops what is not its own. An insider may (security.md):
 * it beats and tells the truth of its links, so no node knows, and none can route round it. */
static bool is_swallowed(const struct checks *checks, uint32_t from, uint32_t to) {
    uint32_t at = from;
    for (uint32_t hops = 0; hops < checks->node_count; hops++) {
        if (!walk_on(checks, to, &at) || at == to) {
            return false;
        }
        if ((faults_lies_of(checks->faults, at) & LIE_DROP) != 0) {
            return true;
        }
    }
    return false;
}

/* Whose streams must have ended. */
struct ends_asked {
    const struct checks *checks;
    const bool *is_core;
};

static bool must_have_ended(void *ctx, uint32_t client, uint32_t server) {
    const struct ends_asked *asked = ctx;
    bool is_inside =
        !is_liveness(asked->checks) || (asked->is_core[client] && asked->is_core[server]);
    return is_inside && !is_swallowed(asked->checks, client, server) &&
           !is_swallowed(asked->checks, server, client);
}

void rest_streams(struct checks *checks, const bool *is_core) {
    struct ends_asked asked = {.checks = checks, .is_core = is_core};
    size_t left = load_unfinished_of(checks->load, must_have_ended, &asked);
    check_saw(checks, CHECK_REST_STREAMS);
    if (left > 0) {
        check_break(checks, CHECK_REST_STREAMS,
                    "%zu streams or acknowledged messages have not ended, expected 0", left);
    }
}

bool rest_all_arrive(struct checks *checks, const bool *is_core) {
    uint64_t pairs = (uint64_t)checks->node_count * checks->node_count;
    for (uint64_t i = 0; i < pairs; i++) {
        uint32_t from = (uint32_t)(i / checks->node_count);
        uint32_t to = (uint32_t)(i % checks->node_count);
        uint32_t at = from;
        if (is_core[from] && is_core[to] && !does_arrive(checks, from, to, &at)) {
            return false;
        }
    }
    return true;
}

/* LIVENESS: some way must lead there. */
static void check_arrives(struct checks *checks, uint32_t from, uint32_t to) {
    uint32_t at = from;
    check_saw(checks, CHECK_REST_PATHS);
    if (!does_arrive(checks, from, to, &at)) {
        check_break(checks, CHECK_REST_PATHS,
                    "node %u: expected next hops to lead to node %u, found that they end or circle "
                    "at node %u",
                    from, to, at);
    }
}

/* The cost is the oracle's, and the next hop is nearer by the cost of the link to it: so no loop is
 * possible. */
static void check_path(struct checks *checks, uint32_t from, uint32_t to, uint64_t cost_us) {
    const struct weft_peer_id *id = world_id(checks->world, to);
    struct router_path path = core_path_to(world_core(checks->world, from), id);
    uint32_t next = ORACLE_NONE;
    check_saw(checks, CHECK_REST_PATHS);
    bool is_reached = cost_us != ORACLE_UNREACHED;
    if (path.is_reachable != is_reached || (is_reached && path.cost_us != cost_us)) {
        check_break(checks, CHECK_REST_PATHS,
                    "node %u to node %u: expected cost %" PRId64 " us, found %" PRId64, from, to,
                    is_reached ? (int64_t)cost_us : -1,
                    path.is_reachable ? (int64_t)path.cost_us : -1);
        return;
    }
    if (!is_reached || from == to) {
        return;
    }
    const struct core *core = world_find_node(checks->world, &path.next_hop, &next)
                                  ? world_core(checks->world, next)
                                  : NULL;
    uint64_t rest_us = core != NULL && next != to ? core_path_to(core, id).cost_us : 0;
    uint32_t link_us = core != NULL ? oracle_cost(&checks->oracle, from, next) : 0;
    if (link_us == 0 || link_us + rest_us != cost_us) {
        check_break(checks, CHECK_REST_PATHS,
                    "node %u to node %u: expected a next hop on a path of %" PRIu64
                    " us, found node %d, from where it costs %" PRIu64 " us",
                    from, to, cost_us, (int)next, link_us + rest_us);
    }
}

static void paths_from(struct checks *checks, const bool *is_core, uint32_t from) {
    if (!is_core[from]) {
        return;
    }
    const uint64_t *costs = oracle_paths(&checks->oracle, from);
    for (uint32_t to = 0; to < checks->node_count; to++) {
        if (is_core[to] && is_liveness(checks)) {
            check_arrives(checks, from, to);
        } else if (is_core[to]) {
            check_path(checks, from, to, costs[to]);
        }
    }
}

void rest_paths(struct checks *checks, const bool *is_core) {
    if (checks->node_count <= ALL_PATHS_MAX) {
        for (uint32_t i = 0; i < checks->node_count; i++) {
            paths_from(checks, is_core, i);
        }
        return;
    }
    for (uint32_t i = 0; i < SOURCES_MAX; i++) {
        paths_from(checks, is_core, (uint32_t)rng_below(&checks->rng, checks->node_count));
    }
}

/* One record of a core node's as another has it. */
static void check_holds(struct checks *checks, uint32_t node, uint32_t owner) {
    struct core_peer_view own;
    struct core_peer_view held;
    const struct weft_peer_id *id = world_id(checks->world, owner);
    check_saw(checks, CHECK_REST_RECORDS);
    if (core_find_peer(world_core(checks->world, owner), id, &own) &&
        (!core_find_peer(world_core(checks->world, node), id, &held) ||
         held.incarnation != own.incarnation)) {
        check_break(checks, CHECK_REST_RECORDS,
                    "node %u: expected the record of node %u of incarnation %" PRIu64
                    ", found another or none",
                    node, owner, own.incarnation);
    }
}

/* Equal digests mean equal sets; each part is compared with its first node. */
static void check_set(struct checks *checks, uint32_t node, uint32_t first) {
    const struct core *core = world_core(checks->world, node);
    const struct core *other = world_core(checks->world, first);
    check_saw(checks, CHECK_REST_RECORDS);
    if (core_records_digest(core) != core_records_digest(other) ||
        core_live_record_count(core) != core_live_record_count(other)) {
        check_break(checks, CHECK_REST_RECORDS,
                    "node %u: expected the records of node %u, %zu with digest %016" PRIx64
                    ", found %zu with %016" PRIx64,
                    node, first, core_live_record_count(other), core_records_digest(other),
                    core_live_record_count(core), core_records_digest(core));
    }
}

/* LIVENESS: one owner, drawn, for each node of the core. */
static void check_holds_one(struct checks *checks, const bool *is_core, uint32_t node) {
    uint32_t owner = (uint32_t)rng_below(&checks->rng, checks->node_count);
    if (is_core[owner]) {
        check_holds(checks, node, owner);
    }
}

void rest_records(struct checks *checks, const bool *is_core) {
    for (uint32_t i = 0; i < checks->node_count; i++) {
        uint32_t first = checks->oracle.parts[i];
        if (is_core[i] && is_liveness(checks)) {
            check_holds_one(checks, is_core, i);
        } else if (is_core[i] && is_core[first]) {
            check_set(checks, i, first);
        }
    }
}

/* One figure, before and after. */
struct figure {
    const char *what;
    uint64_t before;
    uint64_t after;
    uint64_t slack;
};

static void check_figure(struct checks *checks, const struct figure *figure,
                         const struct second *before, const struct second *after) {
    uint64_t allowed = figure->before * 5 / 4 + figure->slack * 1000;
    if (after->links > before->links && before->links > 0) {
        allowed = allowed * after->links / before->links; /* each link has its heartbeats */
    }
    check_saw(checks, CHECK_REST_QUIET);
    if (figure->after > allowed) {
        check_break(checks, CHECK_REST_QUIET,
                    "all nodes: %s per node and 1000 s: expected at most %" PRIu64
                    " (before the run: %" PRIu64 "), found %" PRIu64,
                    figure->what, allowed, figure->before, figure->after);
    }
}

void rest_quiet(struct checks *checks, const struct second *before, const struct second *after) {
    const struct figure figures[] = {
        {"frames", before->frames, after->frames, SLACK_FRAMES},
        {"bytes", before->bytes, after->bytes, SLACK_BYTES},
        {"steps", before->steps, after->steps, SLACK_STEPS},
    };
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        check_figure(checks, &figures[i], before, after);
    }
}

/* Who is outside the core and has, by the last word that the node heard of them, links that lead
 * from the departed node to a forger. */
struct claim {
    const bool *is_core;
    bool *is_met;    /* by node */
    uint32_t *queue; /* of those met */
    size_t count;
};

/* Puts who this record lists in the queue; true when a forger is among them. */
static bool follow_claims(const struct checks *checks, struct claim *claim,
                          const struct core_peer_view *view) {
    struct wire_list list = view->body.links;
    struct wire_peer_link link;
    uint32_t to = 0;
    while (wire_list_next_link(&list, &link)) {
        if (!world_find_node(checks->world, &link.peer, &to) || claim->is_core[to]) {
            continue;
        }
        if ((faults_lies_of(checks->faults, to) & LIE_FORGE) != 0) {
            return true;
        }
        if (!claim->is_met[to]) {
            claim->is_met[to] = true;
            claim->queue[claim->count++] = to;
        }
    }
    return false;
}

/* A link counts when both ends list it, and whose last word lists a node that forges now has one
 * as long as that node says so: no record tells a lie of its owner's from the truth. */
static bool may_be_claimed(const struct checks *checks, const bool *is_core, uint32_t node,
                           uint32_t gone) {
    struct claim claim = {.is_core = is_core, .count = 1};
    claim.is_met = must(calloc(checks->node_count, sizeof *claim.is_met));
    claim.queue = must(calloc(checks->node_count, sizeof *claim.queue));
    claim.queue[0] = gone;
    claim.is_met[gone] = true;
    bool is_found = false;
    for (size_t i = 0; i < claim.count && !is_found; i++) {
        struct core_peer_view view;
        is_found = core_find_peer(world_core(checks->world, node),
                                  world_id(checks->world, claim.queue[i]), &view) &&
                   follow_claims(checks, &claim, &view);
    }
    free(claim.is_met);
    free(claim.queue);
    return is_found;
}

static void check_gone(struct checks *checks, const bool *is_core, uint32_t node, uint32_t gone) {
    const struct core *core = world_core(checks->world, node);
    const struct weft_peer_id *id = world_id(checks->world, gone);
    struct core_peer_view view;
    weft_ns for_ns = time_since(checks->nodes[gone].state_at, world_now(checks->world));
    uint64_t fade_ns = world_scenario(checks->world)->fade_ns;
    check_saw(checks, CHECK_REST_DEPARTED);
    bool is_reached = for_ns > GONE_AFTER && core_path_to(core, id).is_reachable;
    bool is_kept = for_ns > time_after(fade_ns, FADED_AFTER) && core_find_peer(core, id, &view);
    if ((!is_reached && !is_kept) || may_be_claimed(checks, is_core, node, gone)) {
        return;
    }
    if (is_reached) {
        check_break(checks, CHECK_REST_DEPARTED,
                    "node %u: still reaches node %u, which went %" PRIu64 " s ago", node, gone,
                    for_ns / NS_PER_S);
    }
    if (is_kept) {
        check_break(checks, CHECK_REST_DEPARTED,
                    "node %u: still has the record of node %u, which went %" PRIu64 " s ago", node,
                    gone, for_ns / NS_PER_S);
    }
}

static bool has_gone(const struct checks *checks, uint32_t node) {
    enum node_state state = checks->nodes[node].state;
    return checks->nodes[node].life > 0 && (state == NODE_DOWN || state == NODE_LEFT);
}

/* Beyond a million pairs every so-and-so-many-th node is asked. */
static void check_gone_everywhere(struct checks *checks, const bool *is_core, uint32_t gone) {
    uint64_t pairs = (uint64_t)checks->node_count * checks->node_count;
    uint32_t stride = (uint32_t)(1 + pairs / PAIRS_MAX);
    uint32_t start = (uint32_t)rng_below(&checks->rng, stride);
    for (uint32_t i = start; i < checks->node_count; i += stride) {
        if (is_core[i]) {
            check_gone(checks, is_core, i, gone);
        }
    }
}

void rest_departed(struct checks *checks, const bool *is_core) {
    for (uint32_t gone = 0; gone < checks->node_count; gone++) {
        if (has_gone(checks, gone)) {
            check_gone_everywhere(checks, is_core, gone);
        }
    }
}
