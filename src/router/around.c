/* SPDX-License-Identifier: Apache-2.0
 *
 * Two computations a neighbour: its own tree, and ours without it.
 */
#include "router/around.h"

#include <stdlib.h>

#include "base/check.h"

void arounds_clear(struct arounds *arounds) {
    for (uint32_t i = 0; i < arounds->count; i++) {
        free(arounds->items[i].firsts);
    }
    *arounds = (struct arounds){.count = 0};
}

/* What is needed of the graph while one neighbour's ways round are found. */
struct survey {
    const struct path_graph *graph;
    uint32_t self;
    const struct path_node *without; /* our tree without the neighbour */
    const struct path_node *theirs;  /* the neighbour's tree */
};

static uint32_t first_of(const struct survey *survey, uint32_t node) {
    const struct path_node *way = &survey->without[node];
    if (node == survey->self || way->cost_us == PATH_UNREACHED) {
        return PATH_NONE;
    }
    uint64_t rest_us = way->cost_us - path_cost(survey->graph, survey->self, way->first);
    uint64_t back_us = survey->theirs[way->first].cost_us + survey->theirs[node].cost_us;
    return rest_us < back_us ? way->first : PATH_NONE;
}

static uint32_t *firsts_new(const struct survey *survey) {
    uint32_t *firsts = malloc(((size_t)survey->graph->node_count + 1) * sizeof *firsts);
    for (uint32_t i = 0; firsts != NULL && i < survey->graph->node_count; i++) {
        firsts[i] = first_of(survey, i);
    }
    return firsts;
}

/* The ways round a neighbour; NULL when out of memory. */
static uint32_t *firsts_find(const struct routes *routes, uint32_t neighbour) {
    struct path_node *theirs = frozen_compute(routes->graph, neighbour, 0);
    struct path_node *without = frozen_compute_without(routes->graph, routes->self, neighbour);
    const struct survey survey = {
        .graph = &routes->graph->paths, .self = routes->self, .without = without, .theirs = theirs};
    uint32_t *firsts = theirs != NULL && without != NULL ? firsts_new(&survey) : NULL;
    free(theirs);
    free(without);
    return firsts;
}

static const struct around *around_get(struct arounds *arounds, const struct routes *routes,
                                       uint32_t neighbour) {
    for (uint32_t i = 0; i < arounds->count; i++) {
        if (arounds->items[i].neighbour == neighbour) {
            return &arounds->items[i];
        }
    }
    uint32_t *firsts = arounds->count < AROUNDS_MAX ? firsts_find(routes, neighbour) : NULL;
    if (firsts == NULL) {
        return NULL;
    }
    struct around *around = &arounds->items[arounds->count++];
    *around = (struct around){.neighbour = neighbour, .firsts = firsts};
    return around;
}

uint32_t arounds_first(struct arounds *arounds, const struct routes *routes, uint32_t neighbour,
                       uint32_t node) {
    ASSERT(neighbour < routes->graph->paths.node_count && node < routes->graph->paths.node_count);
    ASSERT(neighbour != routes->self);
    const struct around *around = around_get(arounds, routes, neighbour);
    return around != NULL ? around->firsts[node] : PATH_NONE;
}
