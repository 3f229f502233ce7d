/* SPDX-License-Identifier: Apache-2.0
 *
 * A warm start, `form: {warm: on}`: how a mesh of thousands comes to t=0 without the work of
 * forming, which grows with pairs of nodes times what each tells meanwhile.
 *
 *    links are made from the seeds,          all links told:           as ever:
 *    no news of records are carried   -->    each node is given   -->  routes, settled,
 *    (world.h)                               all records at once       quiet, t=0
 *
 * Each node signs its own word and hears its neighbours' heartbeats as ever; what others said it
 * has as from its own store. A mesh that came to rest after a cold start holds the same records,
 * up to the numbers of their versions: whoever forms from cold also tries links that it gives up.
 */
#ifndef SIM_WARM_H
#define SIM_WARM_H

#include "sim/world.h"

/* If all nodes are up and both ends of each link of the plan tell of it: gives each node what all
 * others say of themselves, carries news from now on, and returns true. Cost: nodes and links; then
 * once nodes times records. */
bool warm_try(struct world *world);

#endif
