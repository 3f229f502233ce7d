/* SPDX-License-Identifier: Apache-2.0
 *
 * The links that are up, as the connection maker sees them, and which of them it could do without.
 */
#ifndef ROUTER_LINKS_H
#define ROUTER_LINKS_H

#include "base/link_id.h"
#include "base/rng.h"
#include "router/prefix.h"
#include "router/router.h"

struct router_link {
    struct link_id id;
    struct weft_peer_id peer;
    weft_ns up_at;
    uint32_t cost_us; /* UINT32_MAX until measured */
    struct prefix prefix;
    bool is_duplicate; /* an older link to the same peer exists */
    bool is_closing;   /* given out to be closed */
};

/* In the order they came up: the oldest first. */
struct router_links {
    struct router_link *items;
    size_t count;
    size_t size;
};

/* Takes zeroed memory. */
void router_links_fini(struct router_links *links);

WEFT_MUST_CHECK enum weft_err router_links_add(struct router_links *links,
                                               const struct router_link *link);

/* Removes and copies out; false if there is no such link. */
bool router_links_remove(struct router_links *links, struct link_id id, struct router_link *out);

struct router_link *router_links_find(const struct router_links *links, struct link_id id);

bool router_links_has_peer(const struct router_links *links, const struct weft_peer_id *peer);

/* Peers linked to, without those whose link is being closed. */
size_t router_links_degree(const struct router_links *links);

/* What surplus to look for. */
struct surplus {
    const struct router *router;
    const struct weft_peer_id *self;
    size_t degree;     /* the target */
    size_t slack;      /* what a node bears beyond it */
    weft_ns up_before; /* only links that came up before; WEFT_NEVER for any */
    bool is_crowded;   /* so many links that the far end need not have all of its own */
    bool is_forced;    /* the table is full: only what holds the mesh and the oldest are spared */
    /* Whether a peer is configured to be kept. */
    bool (*is_kept)(const void *ctx, const struct weft_peer_id *peer);
    const void *ctx;
};

/* The most dispensable link or NULL. Spared are links that the mesh or the far end needs, some of
 * the oldest and some of the nearest; chance decides among the rest. Cost: links squared, and a
 * walk of the graph for each of a few candidates. */
struct router_link *router_links_pick_surplus(const struct router_links *links,
                                              const struct surplus *surplus, struct rng *rng);

#endif
