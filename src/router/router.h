/* SPDX-License-Identifier: Apache-2.0
 *
 * Routes: the graph that signed peer records describe, and what follows from it. A link counts when
 * both ends list it. Unicast follows the shortest path by cost; broadcast follows, for each source,
 * that source's own shortest-path tree, which every node computes alike from the same graph (ties
 * fall to fewer hops, then to the smaller peer id), so a settled mesh delivers over n-1 sends.
 *
 * Routes are computed when asked and only after a change: the first change after quiet 10 ms later,
 * in a storm of changes after 100 ms, then 600 ms (B6).
 *
 *   quiet --change--> due in 10 ms --compute--> recent --change--> 100 ms after the last
 * computation, ^                                           |                beyond 8 of those 1 s
 * after it
 *     +----------------- no change for 2 s -------+
 *
 * The loss of a link of our own is computed at once: nothing may be sent to a dead link. A new link
 * of our own waits only until the last computation is 100 ms old (A5).
 */
#ifndef ROUTER_ROUTER_H
#define ROUTER_ROUTER_H

#include "base/hash.h"
#include "wire/record.h"

struct router;

struct router_config {
    struct weft_peer_id self;
    struct hash_key hash_key;
    size_t peers_max; /* nodes in the graph, reachable or not: 16,384 by default */
};

/* How a peer is reached. */
struct router_path {
    bool is_reachable;
    struct weft_peer_id next_hop; /* the neighbour; self for ourselves */
    uint32_t hops;                /* links to cross; 0 for ourselves */
    uint64_t cost_us;
    uint64_t trail; /* a hash of the nodes crossed: differs when the path goes another way */
};

/* What a computation changed for one peer. */
struct router_change {
    struct weft_peer_id peer;
    struct router_path before; /* all zero if it was not known */
    struct router_path after;
};

WEFT_MUST_CHECK enum weft_err router_new(const struct router_config *config, struct router **out);
void router_free(struct router *router);

/* Takes a peer's own word about its links; replaces what it said before. Links to peers we have no
 * word from are kept and count once those list them too. A word that moves no two-way link and no
 * cost of one asks for no computation. WEFT_ERR_FULL beyond peers_max or the bound on links in all
 * (nothing changes; see router/topology.h), WEFT_ERR_MEMORY. Our own first word is computed at
 * once. */
WEFT_MUST_CHECK enum weft_err router_set_peer(struct router *router,
                                              const struct weft_peer_id *peer,
                                              const struct wire_peer_body *body, weft_ns now);

/* Forgets a peer's word (its record faded). */
void router_remove_peer(struct router *router, const struct weft_peer_id *peer, weft_ns now);

/* Takes the next peer that came to hang on our graph by what was set, ahead of the computation that
 * will tell its path; one that turns out not to be reached after all was told by no change, so the
 * caller looks again after router_update. Cost: what is newly attached. */
bool router_next_attached(struct router *router, struct weft_peer_id *out);

/* Computes if a computation is due; true if it did. Changes then wait in router_next_change. */
bool router_update(struct router *router, weft_ns now);

/* Takes the next change of the last computation; false when there are no more. A change not taken
 * before the next computation is merged with that one's. */
bool router_next_change(struct router *router, struct router_change *out);

/* When router_update has something to do next; WEFT_NEVER if nothing changed since. */
weft_ns router_deadline(const struct router *router);

/* The path as last computed; is_reachable false for a peer we do not know. Cost: one lookup. */
struct router_path router_path_to(const struct router *router, const struct weft_peer_id *peer);

/* The neighbours that we must pass a broadcast of `source` to: our children in its tree. At most
 * `max` are written; returns how many. Trees are computed on demand and cached, 64 at most, until
 * the next computation. */
size_t router_children(struct router *router, const struct weft_peer_id *source,
                       struct weft_peer_id *out, size_t max);

/* A digest of the reachable graph (peers, two-way links, costs) as last computed: equal digests
 * mean equal trees. */
uint64_t router_digest(const struct router *router);

/* Peers reachable now, without ourselves. */
size_t router_reachable_count(const struct router *router);

/* How many computations were made: B6, A5. */
uint64_t router_computation_count(const struct router *router);

/* How many two-way links a peer has; 0 if unknown. */
size_t router_degree(const struct router *router, const struct weft_peer_id *peer);

/* Whether the mesh stays whole for us without our link to `neighbour`: it, too, is reached another
 * way. The connection maker asks before it trims. Cost: one breadth-first walk. */
bool router_can_spare(const struct router *router, const struct weft_peer_id *neighbour);

/* For each neighbour, the share of the reachable peers whose path begins there: gossip favours
 * those behind which more of the mesh lies. 0 for no neighbour. */
size_t router_peers_behind(const struct router *router, const struct weft_peer_id *neighbour);

/* The whole path to a peer, ourselves first, the peer last; 0 if there is none or it is longer than
 * `max`. For `weft trace`. */
size_t router_trace(struct router *router, const struct weft_peer_id *peer,
                    struct weft_peer_id *out, size_t max);

/* What is to be done with a travelling frame. */
enum forward_verdict {
    FORWARD_DELIVER,  /* it is for us */
    FORWARD_SEND,     /* to *next_hop, with one hop less */
    FORWARD_NO_ROUTE, /* drop: no path */
    FORWARD_NO_HOPS,  /* drop: the hop limit ran out */
};
enum forward_verdict router_forward(const struct router *router,
                                    const struct weft_peer_id *destination,
                                    const struct wire_travel *travel,
                                    struct weft_peer_id *next_hop);

#endif
