/* SPDX-License-Identifier: Apache-2.0
 *
 * The cache of trees. It is small enough to be searched from end to end.
 */
#include "router/trees.h"

#include <stdlib.h>

#include "base/check.h"

void trees_clear(struct trees *trees) {
    for (uint32_t i = 0; i < trees->count; i++) {
        free(trees->items[i].children);
    }
    free(trees->items);
    *trees = (struct trees){0};
}

static struct tree *tree_find(struct trees *trees, uint32_t source) {
    for (uint32_t i = 0; i < trees->count; i++) {
        if (trees->items[i].source == source) {
            return &trees->items[i];
        }
    }
    return NULL;
}

/* An empty place: a new one, or that of the tree unused for longest. */
static struct tree *tree_place(struct trees *trees) {
    if (trees->count < TREES_MAX) {
        return &trees->items[trees->count++];
    }
    struct tree *oldest = &trees->items[0];
    for (uint32_t i = 1; i < TREES_MAX; i++) {
        oldest = trees->items[i].used_at < oldest->used_at ? &trees->items[i] : oldest;
    }
    free(oldest->children);
    return oldest;
}

/* Our children in a tree, in memory of their own; NULL when out of it. */
static uint32_t *children_new(const struct routes *routes, uint32_t source, uint32_t *count) {
    const uint32_t *rows = routes->graph->paths.rows;
    size_t neighbour_count = rows[routes->self + 1] - rows[routes->self];
    uint32_t *children = malloc((neighbour_count + 1) * sizeof *children);
    if (children != NULL &&
        frozen_children(routes->graph, source, routes->self, children, count) != WEFT_OK) {
        free(children);
        return NULL;
    }
    return children;
}

static struct tree *tree_make(struct trees *trees, const struct routes *routes, uint32_t source) {
    if (trees->items == NULL) {
        trees->items = calloc(TREES_MAX, sizeof *trees->items);
    }
    uint32_t count = 0;
    uint32_t *children = trees->items != NULL ? children_new(routes, source, &count) : NULL;
    if (children == NULL) {
        return NULL;
    }
    struct tree *tree = tree_place(trees);
    *tree = (struct tree){.source = source, .children = children, .child_count = count};
    return tree;
}

const struct tree *trees_get(struct trees *trees, const struct routes *routes, uint32_t source) {
    ASSERT(source < routes->graph->paths.node_count);
    struct tree *tree = tree_find(trees, source);
    trees->lookup_count++;
    if (tree == NULL) {
        tree = tree_make(trees, routes, source);
    }
    if (tree != NULL) {
        tree->used_at = trees->lookup_count;
    }
    return tree;
}
