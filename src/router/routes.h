/* SPDX-License-Identifier: Apache-2.0
 *
 * What one computation found: the frozen graph, shared where there is a pool, and our own tree over
 * it at 6 bytes a peer: the parent, and by which of our links the path begins. Cost, hops and trail
 * of a path are read off the graph on the way from the peer to us, when somebody asks.
 *
 * Where there is no pool, one core is all that the process has: it keeps the tree in full too, and
 * repairs both after a few links changed instead of computing all anew.
 */
#ifndef ROUTER_ROUTES_H
#define ROUTER_ROUTES_H

#include "router/frozen.h"
#include "router/router.h"

struct routes {
    struct frozen *graph; /* NULL before the first computation */
    bool is_shared;       /* the graph is in a pool */
    bool is_asked;        /* the tree was asked for since the graph last changed */
    uint32_t self;        /* our node */
    uint32_t *parents; /* of each node; NULL until the tree is asked for; the three are one block */
    uint32_t *behind;  /* by our own link: how many peers' paths begin with it */
    uint16_t *firsts;  /* of each node: by which of our links its path begins */
    struct path_node *nodes; /* the tree in full, kept where it can be repaired; else NULL */
};

/* Takes over a reference to the graph; ourselves must be in it. */
void routes_init(struct routes *routes, struct frozen *graph, const struct weft_peer_id *self);
/* Takes zeroed memory; leaves it so. */
void routes_fini(struct routes *routes);

/* Computes our own tree unless it is there. WEFT_ERR_MEMORY. */
WEFT_MUST_CHECK enum weft_err routes_compute(struct routes *routes);

/* Follows the topology's edits, by repair of what they affect; only where the graph is not shared.
 * The same as a computation from scratch. WEFT_ERR_MEMORY: the routes are no longer of use. */
WEFT_MUST_CHECK enum weft_err routes_patch(struct routes *routes, const struct topology *topology);

/* The questions below need the tree. */

/* The path to a node. Cost: its links. */
struct router_path routes_path(const struct routes *routes, uint32_t node);

/* The neighbour that a path to another node begins with. */
const struct weft_peer_id *routes_next_hop(const struct routes *routes, uint32_t node);

/* The neighbour that leads to a peer who is reached (attach.h), but came after the graph was
 * computed: the way to whom it hangs on is known, and there they know it. NULL if there is none.
 * Cost: the length of the chain from the peer up to somebody in the graph. */
const struct weft_peer_id *routes_next_hop_to_new(const struct routes *routes,
                                                  const struct topology *topology,
                                                  const struct weft_peer_id *peer);

/* The nodes of a path, both ends among them, into out[max]; how many, or 0 if they do not fit. */
size_t routes_trace(const struct routes *routes, uint32_t node, struct weft_peer_id *out,
                    size_t max);

/* How many peers' paths begin with a neighbour; 0 for any other node. */
uint32_t routes_behind(const struct routes *routes, uint32_t node);

#endif
