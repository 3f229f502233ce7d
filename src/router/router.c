/* SPDX-License-Identifier: Apache-2.0
 *
 * The router's front: when to compute, and the answers from what was computed last.
 */
#include "router/router.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/time.h"
#include "router/attach.h"
#include "router/changes.h"
#include "router/topology.h"
#include "router/trees.h"

/* News of one event come close together: the records of all who saw it. */
#define SETTLE_NS (10 * NS_PER_MS)
/* Computations of a storm keep this apart; more than the settling, little for whoever waits ... */
#define BRISK_NS (100 * NS_PER_MS)
/* ... for as many as a mesh of 50 needs to form; then this far: within what B6 allows. */
#define BRISK_COUNT 8
#define CALM_NS (600 * NS_PER_MS)
/* Without a change for so long, the storm is over. */
#define QUIET_NS (2 * NS_PER_S)
/* When memory is short, try again after so long. */
#define MEMORY_RETRY_NS NS_PER_S

struct router {
    struct topology topology;
    struct routes routes;
    struct changes changes;
    struct trees trees;
    struct ring attached; /* ids for router_next_attached; at most peers_max */
    weft_ns due;          /* when to compute next; WEFT_NEVER if nothing changed */
    weft_ns computed_at;  /* the last computation; means nothing while there was none */
    weft_ns changed_at;   /* the last change */
    uint32_t storm;       /* computations since the last quiet, but for those of our own losses */
    bool is_loss;         /* the next computation is for a loss of ours: it uses up nobody's turn */
    uint64_t computation_count;
};

enum weft_err router_new(const struct router_config *config, struct router **out) {
    ASSERT(config->peers_max >= 1);
    struct router *router = calloc(1, sizeof *router);
    if (router == NULL) {
        return WEFT_ERR_MEMORY;
    }
    topology_init(&router->topology, &config->self, config->peers_max);
    ring_init(&router->attached, sizeof(struct weft_peer_id), config->peers_max + 1);
    router->routes.self = PATH_NONE;
    router->due = WEFT_NEVER;
    *out = router;
    return WEFT_OK;
}

void router_free(struct router *router) {
    if (router == NULL) {
        return;
    }
    ring_fini(&router->attached);
    trees_clear(&router->trees);
    changes_fini(&router->changes);
    routes_fini(&router->routes);
    topology_fini(&router->topology);
    free(router);
}

/* When the pace of the storm allows the next computation. */
static weft_ns paced(const struct router *router, weft_ns now) {
    if (router->storm == 0) {
        return time_after(now, SETTLE_NS);
    }
    weft_ns gap = router->storm <= BRISK_COUNT ? BRISK_NS : CALM_NS;
    weft_ns allowed = time_after(router->computed_at, gap);
    weft_ns settled = time_after(now, SETTLE_NS);
    return allowed > settled ? allowed : settled;
}

/* A new link of ours waits for nothing but the brisk pace. */
static weft_ns paced_gain(const struct router *router, weft_ns now) {
    weft_ns allowed = time_after(router->computed_at, BRISK_NS);
    return router->computation_count > 0 && allowed > now ? allowed : now;
}

static void change_take(struct router *router, const struct topology_change *change, bool is_ours,
                        weft_ns now) {
    if (!change->is_changed && !is_ours) {
        return; /* a new name or address moves no path */
    }
    if (time_since(router->changed_at, now) >= QUIET_NS) {
        router->storm = 0;
    }
    router->changed_at = now;
    weft_ns due = paced(router, now);
    if (change->is_own_gained || is_ours) {
        due = paced_gain(router, now);
    }
    if (change->is_own_lost) {
        due = now;
        router->is_loss = true;
    }
    router->due = time_min(router->due, due);
}

enum weft_err router_set_peer(struct router *router, const struct weft_peer_id *peer,
                              const struct wire_peer_body *body, weft_ns now) {
    struct topology_change change;
    bool is_new = topology_find(&router->topology, peer) == TOPOLOGY_NONE;
    enum weft_err err = topology_set(&router->topology, peer, body, &change);
    if (err != WEFT_OK) {
        return err;
    }
    bool is_first_word = is_new && weft_peer_id_equal(peer, &router->topology.self);
    change_take(router, &change, is_first_word, now);
    attach_spread(&router->topology, topology_find(&router->topology, peer), &router->attached);
    return WEFT_OK;
}

void router_remove_peer(struct router *router, const struct weft_peer_id *peer, weft_ns now) {
    struct topology_change change = topology_remove(&router->topology, peer);
    change_take(router, &change, false, now);
}

/* Computes into fresh memory and takes it over only when all of it is there. */
static enum weft_err router_compute(struct router *router) {
    struct routes routes = {0};
    struct changes changes = {0};
    enum weft_err err = routes_init(&routes, &router->topology);
    if (err == WEFT_OK) {
        err = changes_build(&router->changes, &router->routes, &routes, &changes);
    }
    if (err != WEFT_OK) {
        routes_fini(&routes);
        return err;
    }
    trees_clear(&router->trees);
    changes_fini(&router->changes);
    routes_fini(&router->routes);
    router->routes = routes;
    router->changes = changes;
    attach_reset(&router->topology, &router->routes);
    return WEFT_OK;
}

bool router_next_attached(struct router *router, struct weft_peer_id *out) {
    return ring_pop(&router->attached, out);
}

bool router_update(struct router *router, weft_ns now) {
    if (router->due > now || router->due == WEFT_NEVER) {
        return false;
    }
    if (router_compute(router) != WEFT_OK) {
        router->due = time_after(now, MEMORY_RETRY_NS);
        return false;
    }
    router->due = WEFT_NEVER;
    router->computation_count++;
    if (!router->is_loss) {
        router->computed_at = now;
        router->storm += router->storm <= BRISK_COUNT ? 1 : 0;
    }
    router->is_loss = false;
    return true;
}

bool router_next_change(struct router *router, struct router_change *out) {
    return changes_next(&router->changes, out);
}

weft_ns router_deadline(const struct router *router) {
    return router->due;
}

static bool is_self(const struct router *router, const struct weft_peer_id *peer) {
    return weft_peer_id_equal(peer, &router->topology.self);
}

struct router_path router_path_to(const struct router *router, const struct weft_peer_id *peer) {
    if (is_self(router, peer)) {
        return (struct router_path){.is_reachable = true, .next_hop = *peer};
    }
    return routes_path(&router->routes, routes_find(&router->routes, peer));
}

size_t router_children(struct router *router, const struct weft_peer_id *source,
                       struct weft_peer_id *out, size_t max) {
    const struct routes *routes = &router->routes;
    uint32_t node = routes_find(routes, source);
    if (node == PATH_NONE || routes->nodes[node].cost_us == PATH_UNREACHED) {
        return 0;
    }
    const struct tree *tree = trees_get(&router->trees, routes, node);
    size_t count = tree == NULL ? 0 : tree->child_count;
    count = count < max ? count : max;
    for (size_t i = 0; i < count; i++) {
        out[i] = routes->ids[tree->children[i]];
    }
    return count;
}

uint64_t router_digest(const struct router *router) {
    return router->routes.digest;
}

size_t router_reachable_count(const struct router *router) {
    return router->routes.reachable_count;
}

uint64_t router_computation_count(const struct router *router) {
    return router->computation_count;
}

size_t router_degree(const struct router *router, const struct weft_peer_id *peer) {
    uint32_t slot = topology_find(&router->topology, peer);
    return slot == TOPOLOGY_NONE ? 0 : router->topology.peers[slot].mutual_count;
}

bool router_can_spare(const struct router *router, const struct weft_peer_id *neighbour) {
    return topology_is_reached_around(&router->topology,
                                      topology_find(&router->topology, neighbour));
}

size_t router_peers_behind(const struct router *router, const struct weft_peer_id *neighbour) {
    uint32_t node = routes_find(&router->routes, neighbour);
    return node == PATH_NONE ? 0 : router->routes.behind[node];
}

size_t router_trace(struct router *router, const struct weft_peer_id *peer,
                    struct weft_peer_id *out, size_t max) {
    const struct routes *routes = &router->routes;
    uint32_t node = routes_find(routes, peer);
    if (node == PATH_NONE || routes->nodes[node].cost_us == PATH_UNREACHED ||
        routes->nodes[node].hops >= max) {
        return 0;
    }
    size_t count = (size_t)routes->nodes[node].hops + 1;
    for (size_t i = count; i > 0; i--) {
        out[i - 1] = routes->ids[node];
        node = routes->nodes[node].parent;
    }
    return count;
}

enum forward_verdict router_forward(const struct router *router,
                                    const struct weft_peer_id *destination,
                                    const struct wire_travel *travel,
                                    struct weft_peer_id *next_hop) {
    if (is_self(router, destination)) {
        return FORWARD_DELIVER;
    }
    if (travel->hops == 0) {
        return FORWARD_NO_HOPS;
    }
    struct router_path path = router_path_to(router, destination);
    if (!path.is_reachable) {
        return FORWARD_NO_ROUTE;
    }
    *next_hop = path.next_hop;
    return FORWARD_SEND;
}
