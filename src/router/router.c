/* SPDX-License-Identifier: Apache-2.0
 *
 * The router's front: when a change is due, and the answers, computed if they are stale.
 */
#include "router/router.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/time.h"
#include "router/around.h"
#include "router/attach.h"
#include "router/trees.h"

/* News of one event come close together: the records of all who saw it. */
#define SETTLE_NS (10 * NS_PER_MS)
/* What is due in a storm keeps this apart; more than the settling, little for whoever waits ... */
#define BRISK_NS (100 * NS_PER_MS)
/* ... for as many as a mesh of 50 needs to form; then this far: within what B6 allows. */
#define BRISK_COUNT 8
#define CALM_NS (600 * NS_PER_MS)
/* Who is lost is looked into again after so long for each of whom there is, BRISK_NS at most. The
 * words of all neighbours of one that died seldom come within one SETTLE_NS, and the next look is
 * the one that counts; in a small mesh it costs next to nothing. */
#define LOOK_NODE_NS (200 * NS_PER_US)
/* Without a change for so long, the storm is over. */
#define QUIET_NS (2 * NS_PER_S)
/* Whoever heard of a loss is ahead of its neighbours for about so long: what they send here because
 * of it they would send in circles if it went round by way of others as late as they (B8). */
#define AHEAD_NS (100 * NS_PER_MS)
/* When memory is short, try again after so long. */
#define MEMORY_RETRY_NS NS_PER_S

struct router {
    struct topology topology;
    struct routes routes;
    struct trees trees;
    struct arounds arounds;
    bool is_stale;       /* whoever asks computes first */
    bool was_due;        /* updated_at means something */
    bool is_loss;        /* the next update is for a loss of ours: it uses up nobody's turn */
    bool was_free;       /* the last one used up no turn */
    weft_ns due;         /* when the next update is; WEFT_NEVER if nothing changed */
    weft_ns updated_at;  /* the last one that used up a turn: not for a loss of ours, nor alone */
    weft_ns computed_at; /* the last computation that did; 0: never */
    weft_ns now;         /* as router_clock was told */
    weft_ns changed_at;  /* the last change */
    weft_ns lost_at;     /* the last change that took a link */
    weft_ns settle_at;   /* when to look who is lost; WEFT_NEVER if nobody can be */
    weft_ns settled_at;  /* when that was done last, ahead of an update */
    weft_ns hurry_until; /* brisk however long the storm */
    uint32_t storm;      /* updates since the last quiet, but for those of our own losses */
    uint64_t computation_count;
};

enum weft_err router_new(const struct router_config *config, struct router **out) {
    ASSERT(config->peers_max >= 1);
    struct router *router = calloc(1, sizeof *router);
    if (router == NULL) {
        return WEFT_ERR_MEMORY;
    }
    topology_init(&router->topology, &(struct topology_config){.self = config->self,
                                                               .hash_key = config->hash_key,
                                                               .peers_max = config->peers_max,
                                                               .pool = config->pool});
    router->due = WEFT_NEVER;
    router->settle_at = WEFT_NEVER;
    *out = router;
    return WEFT_OK;
}

/* What was computed from the graph besides our own tree. */
static void cached_drop(struct router *router) {
    trees_clear(&router->trees);
    arounds_clear(&router->arounds);
}

static void routes_drop(struct router *router) {
    cached_drop(router);
    routes_fini(&router->routes);
}

void router_free(struct router *router) {
    if (router == NULL) {
        return;
    }
    routes_drop(router);
    topology_fini(&router->topology);
    free(router);
}

/* When the pace of the storm allows the next update. */
static weft_ns paced(const struct router *router, weft_ns now) {
    if (router->storm == 0) {
        return time_after(now, SETTLE_NS);
    }
    bool is_brisk = router->storm <= BRISK_COUNT || now < router->hurry_until;
    weft_ns gap = is_brisk ? BRISK_NS : CALM_NS;
    weft_ns allowed = time_after(router->updated_at, gap);
    weft_ns settled = time_after(now, SETTLE_NS);
    return allowed > settled ? allowed : settled;
}

/* A link of ours that came, or that we retire, waits for nothing but the brisk pace. */
static weft_ns paced_own(const struct router *router, weft_ns now) {
    weft_ns allowed = time_after(router->updated_at, BRISK_NS);
    return router->was_due && allowed > now ? allowed : now;
}

static weft_ns look_gap(const struct router *router) {
    return time_min(router->topology.attached_count * LOOK_NODE_NS, BRISK_NS);
}

/* Who is lost is looked into at the brisk pace or faster in any storm: it takes no computation, and
 * all that a node says and shows of another hangs on it (B9). */
static void settle_soon(struct router *router, weft_ns now) {
    weft_ns settled = time_after(now, SETTLE_NS);
    weft_ns next = time_after(router->settled_at, look_gap(router));
    weft_ns allowed = router->settled_at != 0 ? next : 0;
    router->settle_at = time_min(router->settle_at, allowed > settled ? allowed : settled);
}

/* Whose word a change came by. */
enum speaker {
    SPEAKER_OTHER,
    SPEAKER_SELF,
    SPEAKER_SELF_FIRST, /* ourselves, for the first time */
};

static void change_take(struct router *router, const struct topology_change *change,
                        enum speaker speaker, weft_ns now) {
    bool is_first = speaker == SPEAKER_SELF_FIRST;
    if (!change->is_changed && !is_first) {
        return; /* a new name or address moves no path */
    }
    if (time_since(router->changed_at, now) >= QUIET_NS) {
        router->storm = 0;
    }
    router->changed_at = now;
    if (change->is_lost) {
        router->lost_at = now;
        settle_soon(router, now);
    }
    weft_ns due = paced(router, now);
    if ((change->is_own_lost || change->is_next_going) && speaker == SPEAKER_OTHER) {
        due = now; /* what is sent there is soon lost, and nobody was told before us (B7) */
        router->is_loss = true;
    } else if (change->is_own_gained || change->is_own_lost || is_first) {
        due = paced_own(router, now);
    }
    router->due = time_min(router->due, due);
}

void router_clock(struct router *router, weft_ns now) {
    router->now = now;
}

void router_own_lost(struct router *router, weft_ns now) {
    if (router->due != WEFT_NEVER) {
        router->due = now;
        router->is_loss = true;
    }
}

enum weft_err router_set_peer(struct router *router, struct wire_word *word, weft_ns now) {
    struct topology_change change;
    enum speaker speaker = SPEAKER_OTHER;
    if (weft_peer_id_equal(&word->owner, &router->topology.self)) {
        speaker = router->topology.self_slot == TOPOLOGY_NONE ? SPEAKER_SELF_FIRST : SPEAKER_SELF;
    }
    enum weft_err err = topology_set(&router->topology, word, &change);
    if (err == WEFT_OK) {
        change_take(router, &change, speaker, now);
    }
    return err;
}

void router_remove_peer(struct router *router, const struct weft_peer_id *peer, weft_ns now) {
    struct topology_change change = topology_remove(&router->topology, peer);
    change_take(router, &change, SPEAKER_OTHER, now);
}

void router_hurry(struct router *router, weft_ns until) {
    router->hurry_until = until;
}

bool router_next_reach(struct router *router, struct weft_peer_id *peer, bool *is_reached) {
    struct topology_reach reach;
    if (!ring_pop(&router->topology.reach, &reach)) {
        topology_reach_trim(&router->topology);
        return false;
    }
    *peer = reach.peer;
    *is_reached = reach.is_reached;
    return true;
}

bool router_reaches(const struct router *router, const struct weft_peer_id *peer) {
    return attach_is_reached(&router->topology, topology_find(&router->topology, peer));
}

static enum weft_err settle(struct router *router, weft_ns now) {
    enum weft_err err = attach_settle(&router->topology);
    router->settled_at = now;
    router->settle_at = err == WEFT_OK ? WEFT_NEVER : time_after(now, MEMORY_RETRY_NS);
    return err;
}

/* Whether an update must wait: whoever asked late had the last computation late, and the next keeps
 * its distance all the same. */
static bool is_early(struct router *router, weft_ns now) {
    weft_ns allowed = time_after(router->computed_at, BRISK_NS);
    if (router->is_loss || router->computed_at == 0 || now >= allowed) {
        return false;
    }
    router->due = allowed;
    return true;
}

/* Then there is no path to compute, and the first link need not wait for its turn. */
static bool is_alone(const struct router *router) {
    return router->topology.attached_count <= 1;
}

bool router_update(struct router *router, weft_ns now) {
    if (router->due > now || router->due == WEFT_NEVER || is_early(router, now)) {
        if (router->settle_at <= now) {
            (void)settle(router, now); /* short of memory it is tried again */
        }
        return false;
    }
    enum weft_err err = settle(router, now);
    router->due = err == WEFT_OK ? WEFT_NEVER : time_after(now, MEMORY_RETRY_NS);
    router->is_stale = true;
    if (router->topology.pool != NULL) {
        routes_drop(router); /* ten thousand cores must not each hold a graph of its own time */
    }
    router->was_free = router->is_loss || is_alone(router);
    if (!router->was_free) {
        router->was_due = true;
        router->updated_at = now;
        router->storm += router->storm <= BRISK_COUNT ? 1 : 0;
    }
    router->is_loss = false;
    return true;
}

weft_ns router_deadline(const struct router *router) {
    return time_min(router->due, router->settle_at);
}

/* The graph as known now, from the pool if there is one that has it. */
static enum weft_err graph_get(struct topology *topology, struct frozen **out) {
    enum weft_err err = attach_settle(topology);
    if (err != WEFT_OK) {
        return err;
    }
    *out = topology->pool != NULL ? graph_pool_find(topology->pool, &topology->key) : NULL;
    if (*out != NULL) {
        return WEFT_OK;
    }
    err = frozen_new(topology, out);
    if (err == WEFT_OK && topology->pool != NULL) {
        graph_pool_put(topology->pool, &topology->key, *out);
    }
    return err;
}

/* Follows few changes of a graph that nobody shares; false if that cannot be. */
static bool routes_follow(struct router *router) {
    struct topology *topology = &router->topology;
    if (topology->pool != NULL || router->routes.graph == NULL ||
        attach_settle(topology) != WEFT_OK || topology->edits.is_anew) {
        return false;
    }
    if (routes_patch(&router->routes, topology) != WEFT_OK) {
        routes_drop(router);
        return false;
    }
    cached_drop(router);
    return true;
}

static void routes_renewed(struct router *router) {
    router->computation_count++;
    router->computed_at = router->was_free ? router->computed_at : router->now;
    router->is_stale = false;
    router->topology.edits = (struct topology_edits){0};
}

/* Memory was short, so that somebody may be told that there is no way: an update lets all ask
 * again. */
static void update_again(struct router *router) {
    router->due = time_min(router->due, time_after(router->settled_at, MEMORY_RETRY_NS));
}

/* Freezes the graph anew; short of memory the former routes hold until somebody asks again, or
 * there are none until then. */
static void routes_renew(struct router *router) {
    struct frozen *graph = NULL;
    if (routes_follow(router)) {
        routes_renewed(router);
    } else if (router->topology.self_slot == TOPOLOGY_NONE) {
        routes_drop(router); /* without our own word nothing is reached */
        router->is_stale = false;
    } else if (graph_get(&router->topology, &graph) == WEFT_OK) {
        routes_drop(router);
        routes_init(&router->routes, graph, &router->topology.self);
        routes_renewed(router);
    } else {
        update_again(router);
    }
}

/* The routes with their graph, or NULL if there are none. */
static struct routes *graph_asked(struct router *router) {
    if (router->is_stale) {
        routes_renew(router);
    }
    return router->routes.graph != NULL ? &router->routes : NULL;
}

/* The routes with our own tree, or NULL if there are none. */
static struct routes *tree_asked(struct router *router) {
    struct routes *routes = graph_asked(router);
    if (routes == NULL) {
        return NULL;
    }
    if (routes_compute(routes) != WEFT_OK) {
        update_again(router);
        return NULL;
    }
    routes->is_asked = true;
    return routes;
}

static bool is_self(const struct router *router, const struct weft_peer_id *peer) {
    return weft_peer_id_equal(peer, &router->topology.self);
}

struct router_path router_path_to(struct router *router, const struct weft_peer_id *peer) {
    if (is_self(router, peer)) {
        return (struct router_path){.is_reachable = true, .next_hop = *peer};
    }
    const struct routes *routes = tree_asked(router);
    uint32_t node = routes != NULL ? frozen_find(routes->graph, peer) : PATH_NONE;
    return node != PATH_NONE ? routes_path(routes, node) : (struct router_path){0};
}

bool router_next_hop(struct router *router, const struct weft_peer_id *peer,
                     struct weft_peer_id *out) {
    const struct routes *routes = tree_asked(router);
    if (routes == NULL || is_self(router, peer)) {
        return false;
    }
    uint32_t node = frozen_find(routes->graph, peer);
    const struct weft_peer_id *next = node != PATH_NONE
                                          ? routes_next_hop(routes, node)
                                          : routes_next_hop_to_new(routes, &router->topology, peer);
    *out = next != NULL ? *next : *out;
    return next != NULL;
}

size_t router_children(struct router *router, const struct weft_peer_id *source,
                       struct weft_peer_id *out, size_t max) {
    const struct routes *routes = graph_asked(router);
    uint32_t node = routes != NULL ? frozen_find(routes->graph, source) : PATH_NONE;
    const struct tree *tree = node != PATH_NONE ? trees_get(&router->trees, routes, node) : NULL;
    size_t count = tree != NULL ? tree->child_count : 0;
    count = count < max ? count : max;
    for (size_t i = 0; i < count; i++) {
        out[i] = routes->graph->ids[tree->children[i]];
    }
    return count;
}

uint64_t router_digest(struct router *router) {
    const struct routes *routes = graph_asked(router);
    return routes != NULL ? routes->graph->digest : 0;
}

size_t router_reachable_count(const struct router *router) {
    const struct topology *topology = &router->topology;
    return topology->attached_count - (topology->self_slot != TOPOLOGY_NONE ? 1 : 0);
}

uint64_t router_computation_count(const struct router *router) {
    return router->computation_count;
}

size_t router_degree(const struct router *router, const struct weft_peer_id *peer) {
    uint32_t slot = topology_find(&router->topology, peer);
    return slot == TOPOLOGY_NONE ? 0 : router->topology.degrees[slot];
}

static bool lists(const struct router *router, const struct weft_peer_id *one,
                  const struct weft_peer_id *other) {
    uint32_t slot = topology_find(&router->topology, one);
    return slot != TOPOLOGY_NONE && wire_word_cost(router->topology.words[slot], other) != 0;
}

bool router_has_link(const struct router *router, const struct weft_peer_id *one,
                     const struct weft_peer_id *other) {
    return lists(router, one, other) && lists(router, other, one);
}

struct damping_loss router_loss_of(const struct router *router, const struct weft_peer_id *peer) {
    uint32_t slot = topology_find(&router->topology, peer);
    struct damping_loss loss = {0};
    if (slot == TOPOLOGY_NONE) {
        return loss;
    }
    const struct wire_word *word = router->topology.words[slot];
    loss.listed = word->link_count;
    loss.is_leaving = (word->flags & WIRE_PEER_LEAVING) != 0;
    for (uint32_t i = 0; i < word->link_count; i++) {
        uint32_t far = topology_find(&router->topology, &word->links[i].peer);
        bool is_denied = attach_is_reached(&router->topology, far) &&
                         wire_word_cost(router->topology.words[far], peer) == 0;
        loss.denying += is_denied ? 1 : 0;
    }
    return loss;
}

size_t router_behind(const struct router *router, const struct weft_peer_id *peer,
                     struct weft_peer_id *out, size_t max) {
    uint32_t slot = topology_find(&router->topology, peer);
    return slot != TOPOLOGY_NONE ? attach_behind(&router->topology, slot, out, max) : 0;
}

uint32_t router_listed(const struct router *router, const struct weft_peer_id *peer) {
    uint32_t slot = topology_find(&router->topology, peer);
    return slot != TOPOLOGY_NONE ? router->topology.words[slot]->link_count : 0;
}

bool router_can_spare(const struct router *router, const struct weft_peer_id *neighbour) {
    uint32_t slot = topology_find(&router->topology, neighbour);
    return slot != TOPOLOGY_NONE && attach_is_reached_around(&router->topology, slot);
}

size_t router_peers_behind(const struct router *router, const struct weft_peer_id *neighbour) {
    const struct routes *routes = &router->routes;
    /* Not whether the tree happens to be there: a repaired one is where a shared one is not. */
    bool is_there = !router->is_stale && routes->is_asked && routes->parents != NULL;
    uint32_t node = is_there ? frozen_find(routes->graph, neighbour) : PATH_NONE;
    return node != PATH_NONE ? routes_behind(routes, node) : 0;
}

size_t router_trace(struct router *router, const struct weft_peer_id *peer,
                    struct weft_peer_id *out, size_t max) {
    const struct routes *routes = tree_asked(router);
    uint32_t node = routes != NULL ? frozen_find(routes->graph, peer) : PATH_NONE;
    return node != PATH_NONE ? routes_trace(routes, node, out, max) : 0;
}

/* The next hop for a frame that came from the very neighbour that its path begins with. */
static bool next_hop_around(struct router *router, const struct weft_peer_id *destination,
                            const struct weft_peer_id *neighbour, struct weft_peer_id *out) {
    const struct routes *routes = &router->routes; /* computed: they gave the next hop */
    uint32_t around = frozen_find(routes->graph, neighbour);
    uint32_t node = frozen_find(routes->graph, destination);
    if (around == PATH_NONE || node == PATH_NONE) {
        return false; /* new: it came after the paths were computed */
    }
    uint32_t first = arounds_first(&router->arounds, routes, around, node);
    if (first == PATH_NONE) {
        return false;
    }
    *out = routes->graph->ids[first];
    return true;
}

/* A frame whose path begins where it came from. */
static enum forward_verdict forward_round(struct router *router,
                                          const struct router_passage *passage, weft_ns now,
                                          struct weft_peer_id *next_hop) {
    bool may_go = !passage->has_gone_round && time_since(router->lost_at, now) >= AHEAD_NS &&
                  next_hop_around(router, passage->destination, passage->from, next_hop);
    return may_go ? FORWARD_ROUND : FORWARD_NO_ROUTE;
}

enum forward_verdict router_forward(struct router *router, const struct router_passage *passage,
                                    weft_ns now, struct weft_peer_id *next_hop) {
    if (is_self(router, passage->destination)) {
        return FORWARD_DELIVER;
    }
    if (passage->hops == 0) {
        return FORWARD_NO_HOPS;
    }
    /* Known before paths follow: they lead to it meanwhile, each node's another way, in circles. */
    bool is_lost = router->due != WEFT_NEVER && !router_reaches(router, passage->destination);
    if (is_lost || !router_next_hop(router, passage->destination, next_hop)) {
        return FORWARD_NO_ROUTE;
    }
    bool is_back = weft_peer_id_equal(next_hop, passage->from);
    return is_back ? forward_round(router, passage, now, next_hop) : FORWARD_SEND;
}
