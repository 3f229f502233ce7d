/* SPDX-License-Identifier: Apache-2.0
 *
 * Ways round a neighbour, for a frame that came from the very one that its path leads back to: one
 * of the two has yet to hear of a change, and between them the frame would go to and fro. As in
 * RFC 5286 it goes to another neighbour, whose own way to the destination passes neither of the
 * two:
 *
 *        S --- P          the frame came from P, and S holds P for the way to D.
 *        |     |          N takes it if  cost(N to D without P) < cost(N to P) + cost(P to D):
 *        N --- D          then N, who knows what S knows, does not send it to P, nor back to S.
 *
 * Costs are taken to be alike both ways, as round trips are.
 */
#ifndef ROUTER_AROUND_H
#define ROUTER_AROUND_H

#include "router/routes.h"

/* How many neighbours' ways round are kept for one graph. It takes two computations to find those
 * of one, so whoever sends us frames of that kind on purpose gets so many each time that routes
 * are due; beyond it such frames are dropped. */
#define AROUNDS_MAX 4

struct around {
    uint32_t neighbour; /* node of the graph */
    uint32_t *firsts;   /* by node: who takes its frames instead; PATH_NONE: nobody */
};

struct arounds {
    struct around items[AROUNDS_MAX];
    uint32_t count;
};

/* Takes zeroed memory; leaves it empty and usable. */
void arounds_clear(struct arounds *arounds);

/* Our neighbour who takes a frame for `node` round `neighbour`, which the path to it begins with;
 * both are nodes of the graph. PATH_NONE if nobody does, or at the bound, or out of memory. */
uint32_t arounds_first(struct arounds *arounds, const struct routes *routes, uint32_t neighbour,
                       uint32_t node);

#endif
