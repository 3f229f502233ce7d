/* SPDX-License-Identifier: Apache-2.0
 *
 * Our children in the broadcast trees of others, as far as somebody asked: a small cache that
 * forgets the tree unused for longest and, with every new graph, all of them.
 */
#ifndef ROUTER_TREES_H
#define ROUTER_TREES_H

#include "router/routes.h"

#define TREES_MAX 64

struct tree {
    uint32_t source;    /* node of the graph */
    uint32_t *children; /* nodes; NULL if none */
    uint32_t child_count;
    uint64_t used_at; /* the look-up that used it last */
};

struct trees {
    struct tree *items; /* TREES_MAX of them, or NULL before the first */
    uint32_t count;
    uint64_t lookup_count;
};

/* Takes zeroed memory; leaves it empty and usable. */
void trees_clear(struct trees *trees);

/* The children of ourselves in the tree of `source`, borrowed until the next call; NULL when out of
 * memory. */
const struct tree *trees_get(struct trees *trees, const struct routes *routes, uint32_t source);

#endif
