/* SPDX-License-Identifier: Apache-2.0
 *
 * What computations changed and nobody has taken yet, in increasing order of peer. Three sorted
 * walks side by side, the former routes, the new ones and what was left, make the next list; a peer
 * that went and came back before anybody looked is not in it.
 */
#ifndef ROUTER_CHANGES_H
#define ROUTER_CHANGES_H

#include "router/routes.h"

struct changes {
    struct router_change *items;
    size_t count;
    size_t taken; /* items before this one have been taken */
    size_t size;
};

/* Builds into `out`, which is empty, what lies between `before` and `after`, merged with what
 * `left` still holds. WEFT_ERR_MEMORY: `out` stays empty. Cost: linear. */
WEFT_MUST_CHECK enum weft_err changes_build(const struct changes *left, const struct routes *before,
                                            const struct routes *after, struct changes *out);

/* Takes the next change; frees the list with the last. */
bool changes_next(struct changes *changes, struct router_change *out);

/* Takes zeroed memory. */
void changes_fini(struct changes *changes);

#endif
