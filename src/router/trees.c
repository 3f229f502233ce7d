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
    trees->count = 0;
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

/* Which of our neighbours the tree in routes->tree hangs below us; the array has room for all. */
static uint32_t children_collect(const struct routes *routes, uint32_t *children) {
    uint32_t count = 0;
    const struct path_graph *graph = &routes->graph;
    for (uint32_t i = graph->rows[routes->self]; i < graph->rows[routes->self + 1]; i++) {
        uint32_t neighbour = graph->arcs[i].to;
        if (routes->tree[neighbour].parent == routes->self) {
            children[count++] = neighbour;
        }
    }
    return count;
}

const struct tree *trees_get(struct trees *trees, const struct routes *routes, uint32_t source) {
    ASSERT(routes->self != PATH_NONE && source < routes->graph.node_count);
    struct tree *tree = tree_find(trees, source);
    trees->lookup_count++;
    if (tree == NULL) {
        uint32_t self = routes->self;
        size_t neighbour_count = routes->graph.rows[self + 1] - routes->graph.rows[self];
        uint32_t *children = malloc((neighbour_count + 1) * sizeof *children);
        if (children == NULL) {
            return NULL;
        }
        routes_compute_tree(routes, source);
        tree = tree_place(trees);
        *tree = (struct tree){.source = source, .children = children};
        tree->child_count = children_collect(routes, children);
    }
    tree->used_at = trees->lookup_count;
    return tree;
}
