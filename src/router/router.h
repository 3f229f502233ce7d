/* SPDX-License-Identifier: Apache-2.0
 *
 * Routes: the graph that signed peer records describe, and what follows from it. A link counts when
 * both ends list it. Unicast follows the shortest path by cost; broadcast follows, for each source,
 * that source's own shortest-path tree, which every node computes alike from the same graph (ties
 * fall to fewer hops, then to the smaller peer id), so a settled mesh delivers over n-1 sends.
 *
 * Who is reached, and by which path, are two questions. The first is answered at any time from a
 * spanning tree that is kept as words come (attach.h): router_next_reach tells who came and who
 * went. The second, and all that belongs to it (next hops, costs, trees, the digest), is computed
 * only when somebody asks, and only if something changed since: a node that forwards nothing
 * computes nothing.
 *
 * A change makes routes *stale* not at once but when it is due, so that one event's changes make
 * one computation: the first change after quiet 10 ms later, in a storm of changes after 100 ms,
 * then 600 ms (B6). Until then the former answers hold. Who is lost is looked into at the same
 * moment, and in any storm within 100 ms.
 *
 *   fresh --change--> due in 10 ms --router_update--> stale --somebody asks--> fresh
 *                     in a storm 100 ms after the last one was due, beyond 8 of those 600 ms;
 *                     (unless router_hurry said so: those 100 ms too); quiet for 2 s, and the storm
 *                     is over
 *
 * The loss of a link of our own is due at once: nothing may be sent to a dead link. Any other
 * change of our own links, such as a new one or one that is retired, waits only until the last
 * computation is 100 ms past (A5).
 *
 *   needs only the spanning tree        router_next_reach, router_reaches, router_reachable_count,
 *                                       router_degree, router_can_spare, router_loss_of,
 *                                       router_behind
 *   makes stale routes be computed      router_path_to, router_next_hop, router_forward,
 *                                       router_children, router_digest, router_trace
 *   answers from what is there          router_peers_behind
 */
#ifndef ROUTER_ROUTER_H
#define ROUTER_ROUTER_H

#include "base/hash.h"
#include "router/damping.h"
#include "router/pool.h"
#include "wire/message.h"

struct router;

struct router_config {
    struct weft_peer_id self;
    struct hash_key hash_key;
    size_t peers_max;        /* nodes in the graph, reachable or not: 16,384 by default */
    struct graph_pool *pool; /* shared by all cores of a process, outlives them; NULL: none */
};

/* How a peer is reached. */
struct router_path {
    bool is_reachable;
    struct weft_peer_id next_hop; /* the neighbour; self for ourselves */
    uint32_t hops;                /* links to cross; 0 for ourselves */
    uint64_t cost_us;
    uint64_t trail; /* a hash of the nodes crossed: differs when the path goes another way */
};

WEFT_MUST_CHECK enum weft_err router_new(const struct router_config *config, struct router **out);
void router_free(struct router *router);

/* Takes a peer's own word about its links, by reference; replaces what it said before. Links to
 * peers we have no word from are kept and count once those list them too. A word that moves no
 * two-way link and no cost of one makes nothing stale. WEFT_ERR_FULL beyond peers_max or the bound
 * on links in all (nothing changes; see router/topology.h), WEFT_ERR_MEMORY. Our own first word is
 * due at once. */
WEFT_MUST_CHECK enum weft_err router_set_peer(struct router *router, struct wire_word *word,
                                              weft_ns now);

/* What time it is: whoever asks for what is stale has it computed now. */
void router_clock(struct router *router, weft_ns now);

/* A link of ours that our word, just set, no longer has is dead: the change is due now. */
void router_own_lost(struct router *router, weft_ns now);

/* Forgets a peer's word (its record faded). */
void router_remove_peer(struct router *router, const struct weft_peer_id *peer, weft_ns now);

/* Until then a storm is followed 100 ms apart, however long it lasts: much of the mesh fell at
 * once, and all make new links (A4). */
void router_hurry(struct router *router, weft_ns until);

/* Takes the next peer that came to be reached, or is no longer; in order, ourselves excepted. Those
 * who come are told as soon as their word is set, ahead of any path to them; those who go when
 * router_update, or a computation that somebody asked for, has found that nothing leads to them,
 * except for one whose own word was removed: at once. */
bool router_next_reach(struct router *router, struct weft_peer_id *peer, bool *is_reached);

/* Whether a peer is reached: as router_next_reach told last. Cost: one look-up. */
bool router_reaches(const struct router *router, const struct weft_peer_id *peer);

/* If a change is due: finds who is lost and makes the routes stale; true if so. Whoever keeps what
 * a path was then asks again. If only losses are due it finds those, which router_next_reach tells,
 * and returns false. */
bool router_update(struct router *router, weft_ns now);

/* When router_update has something to do next; WEFT_NEVER if nothing changed since the last. */
weft_ns router_deadline(const struct router *router);

/* The path; is_reachable false for a peer we do not know, or short of memory. Cost: one look-up and
 * the length of the path. */
struct router_path router_path_to(struct router *router, const struct weft_peer_id *peer);

/* The neighbour that the path to another peer begins with, or to whom it hangs on if it came since
 * the paths were computed; false if there is no path. Cost: one look-up; of such a peer a few. */
bool router_next_hop(struct router *router, const struct weft_peer_id *peer,
                     struct weft_peer_id *out);

/* The neighbours that we must pass a broadcast of `source` to: our children in its tree. At most
 * `max` are written; returns how many. Trees are computed on demand and cached, 64 at most, until
 * the graph changes. */
size_t router_children(struct router *router, const struct weft_peer_id *source,
                       struct weft_peer_id *out, size_t max);

/* A digest of the graph (peers reached, two-way links, costs): equal digests mean equal trees. 0
 * before we spoke. */
uint64_t router_digest(struct router *router);

/* Peers reached, without ourselves. */
size_t router_reachable_count(const struct router *router);

/* How many computations were made: B6, A5. One found in the pool counts like one made. */
uint64_t router_computation_count(const struct router *router);

/* How many two-way links a peer has; 0 if unknown. */
size_t router_degree(const struct router *router, const struct weft_peer_id *peer);

/* Whether both list the other: the link between them counts. Cost: two look-ups. */
bool router_has_link(const struct router *router, const struct weft_peer_id *one,
                     const struct weft_peer_id *other);

/* What the words say of a peer that is reached no more: whether it went alone. Cost: a look-up for
 * each link that it lists. */
struct damping_loss router_loss_of(const struct router *router, const struct weft_peer_id *peer);

/* The peers that a link to this one would let us reach, beyond itself: its two-way neighbours whom
 * nothing leads to now. At most `max` are written; returns how many. Cost as router_loss_of. */
size_t router_behind(const struct router *router, const struct weft_peer_id *peer,
                     struct weft_peer_id *out, size_t max);

/* How many links a peer lists, two-way or not; 0 if unknown. */
uint32_t router_listed(const struct router *router, const struct weft_peer_id *peer);

/* Whether the mesh stays whole for us without our link to `neighbour`: it, too, is reached another
 * way. The connection maker asks before it trims. Cost: usually a few look-ups, at worst a walk of
 * what is reached through that neighbour alone. */
bool router_can_spare(const struct router *router, const struct weft_peer_id *neighbour);

/* For each neighbour, the share of the reachable peers whose path begins there: gossip favours
 * those behind which more of the mesh lies. 0 for no neighbour, and for all while the routes are
 * stale or nobody asked for a path: a preference is not worth a computation. */
size_t router_peers_behind(const struct router *router, const struct weft_peer_id *neighbour);

/* The whole path to a peer, ourselves first, the peer last; 0 if there is none or it is longer than
 * `max`. For `weft trace`. */
size_t router_trace(struct router *router, const struct weft_peer_id *peer,
                    struct weft_peer_id *out, size_t max);

/* A travelling frame, as it came. */
struct router_passage {
    const struct weft_peer_id *destination;
    const struct weft_peer_id *from; /* the neighbour */
    uint8_t hops;
    bool has_gone_round;
};

/* What is to be done with it. */
enum forward_verdict {
    FORWARD_DELIVER,  /* it is for us */
    FORWARD_SEND,     /* to *next_hop, with one hop less */
    FORWARD_ROUND,    /* likewise, and marked as having gone round */
    FORWARD_NO_ROUTE, /* no path, or only back to where it came from */
    FORWARD_NO_HOPS,  /* drop: the hop limit ran out */
};

/* Nowhere if the destination is reached no more, though a path to it was computed before. And never
 * back to whom it came from: the one of the two that is late would return it, until its hops
 * are spent. A frame whose path begins there goes round (around.h), but once at most, and not while
 * others have yet to hear of a loss. */
enum forward_verdict router_forward(struct router *router, const struct router_passage *passage,
                                    weft_ns now, struct weft_peer_id *next_hop);

#endif
