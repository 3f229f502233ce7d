/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is reached: a spanning tree over the mutual links, rooted in ourselves, kept as words come
 * and go. It is no shortest-path tree; it only proves that a path exists, and it is cheap to keep:
 *
 *   - a gained link matters only if one end is attached and the other is not: that one, and all
 *     that hang on it, are attached at once, for gossip passes on the records of those who are,
 *     and a mesh that forms must not wait at each hop for routes;
 *   - a lost link matters only if it was a tree edge, which one in four is at a degree of 8. Its
 *     lower end becomes an orphan, still attached, until attach_settle finds it another parent
 *     (nearly always a neighbour of its own) or finds that all that hangs together with it is lost.
 *
 *   parents[slot]:  itself: the root    a slot: attached under it
 *                   ATTACH_ORPHAN: attached so far    TOPOLOGY_NONE: not reached
 */
#ifndef ROUTER_ATTACH_H
#define ROUTER_ATTACH_H

#include "router/topology.h"

#define ATTACH_ORPHAN (UINT32_MAX - 1)

/* Makes our own slot the root. */
void attach_root(struct topology *topology);

/* A mutual link is there, or is no more. Short of memory, or at the bound of the queue, some stay
 * out until attach_settle. */
void attach_gained(struct topology *topology, uint32_t a, uint32_t b);
void attach_lost(struct topology *topology, uint32_t a, uint32_t b);

/* The slot's word goes: it is lost with all its links, which were told lost before. */
void attach_drop(struct topology *topology, uint32_t slot);

/* Takes an attached slot's word out of, or into, the sum that names the graph. */
void attach_uncount(struct topology *topology, uint32_t slot);
void attach_count(struct topology *topology, uint32_t slot);

/* Finds new parents for the orphans; who has none is lost and queued. WEFT_ERR_MEMORY: some orphans
 * are left, or some are not attached yet. Cost: usually a few look-ups an orphan, at worst what
 * hangs together with it. */
WEFT_MUST_CHECK enum weft_err attach_settle(struct topology *topology);

/* Whether a slot is attached; also of TOPOLOGY_NONE. */
bool attach_is_reached(const struct topology *topology, uint32_t slot);

/* The far ends of a slot's mutual links that are not attached, at most `max`; how many. */
size_t attach_behind(const struct topology *topology, uint32_t slot, struct weft_peer_id *out,
                     size_t max);

/* Whether an attached slot would still be attached without its link to us. False when out of
 * memory: the careful answer. */
bool attach_is_reached_around(const struct topology *topology, uint32_t slot);

#endif
