/* SPDX-License-Identifier: Apache-2.0
 *
 * Who hangs on our graph, found out as records arrive, ahead of the next computation: gossip passes
 * on the records of those who do, and a mesh that forms must not wait at each hop for routes.
 * A peer is attached when a mutual link leads to it from another that is, or from ourselves.
 * Losses are left to the computation, which sets every mark anew.
 */
#ifndef ROUTER_ATTACH_H
#define ROUTER_ATTACH_H

#include "base/ring.h"
#include "router/routes.h"

/* After `slot` spoke: marks it and all that hang on it, and queues the ids of those newly marked in
 * `fresh`. Short of memory or at the ring's bound some are left out: the computation finds them. */
void attach_spread(struct topology *topology, uint32_t slot, struct ring *fresh);

/* Sets every mark to what was computed. */
void attach_reset(struct topology *topology, const struct routes *routes);

#endif
