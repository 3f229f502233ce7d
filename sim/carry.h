/* SPDX-License-Identifier: Apache-2.0
 *
 * What carry.c does alike for whole frames and for bytes (bytes.c).
 */
#ifndef SIM_CARRY_H
#define SIM_CARRY_H

#include "sim/world_internal.h"

/* The link is up: the core is told. */
void carry_up(struct node *node, struct carry *carry, const struct core_link_info *info);
/* The link is no more, and so is `carry`: the core is told, if it knew. */
void carry_down(struct node *node, struct carry *carry);
/* Its room is told, and what it has is sent, when the node's present input is done. */
void carry_touch(struct world *world, struct carry *carry);

#endif
