/* SPDX-License-Identifier: Apache-2.0
 *
 * Byte mode: each end of a connection is a real link (link/link.h), and what the network carries
 * are chunks of its bytes, cut at any place. What tcp.c is to the daemon, this is to the world.
 *
 *   core --frames--> link --sealed bytes--> | cut by the seed, 1 byte .. 64 KiB | --> net
 *   core <--frames-- link <----------------- chunks as they were cut ---------------- net
 *
 * carry.c owns the ends and calls these instead of its own when the end has a link.
 */
#ifndef SIM_BYTES_H
#define SIM_BYTES_H

#include "link/link.h"
#include "sim/world_internal.h"

/* The connection is there: the handshake begins. False: the end is gone, for want of memory. */
bool bytes_begin(struct node *node, struct carry *carry);
/* A chunk came. The end may be gone afterwards. */
void bytes_hear(struct node *node, struct carry *carry, struct span chunk);
/* Queues a frame; it is sealed and sent with the next flush. */
void bytes_send(struct node *node, struct carry *carry, const struct action *action);
/* Sends what the link has, as far as the network has room. The end may be gone afterwards: false.
 */
bool bytes_flush(struct node *node, struct carry *carry);
/* Says why, and lets go of the connection; the caller tells the core. */
void bytes_close(struct node *node, struct carry *carry, enum wire_close_reason reason,
                 const char *text);
/* The link's deadline has come. The end may be gone afterwards. */
void bytes_tick(struct node *node, struct carry *carry);
/* The node is no more. */
void bytes_fini(struct node *node);

#endif
