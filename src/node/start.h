/* SPDX-License-Identifier: Apache-2.0
 *
 * What a node needs from the disk before it can be somebody: log, identity, secret, store and an
 * incarnation of its own.
 */
#ifndef NODE_START_H
#define NODE_START_H

#include "node/internal.h"

/* Errors as node_new. */
WEFT_MUST_CHECK enum weft_err node_start_state(struct node *node,
                                               const struct node_options *options, char *error);
/* Flushes and closes. Takes half-built nodes. */
void node_stop_state(struct node *node);

#endif
