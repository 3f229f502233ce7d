/* SPDX-License-Identifier: Apache-2.0
 *
 * Draws the nodes that a pick means.
 */
#include "base/check.h"
#include "sim/must.h"
#include "sim/topology.h"

#define PPM_ONE 1000000U

static size_t fill(uint32_t *out, uint32_t first, uint32_t end) {
    size_t count = 0;
    for (uint32_t i = first; i < end; i++) {
        out[count++] = i;
    }
    return count;
}

/* All that are to be had of a kind. */
static size_t pool_of(const struct plan *plan, const struct scenario_pick *pick,
                      enum pick_kind kind, uint32_t *out) {
    size_t count = 0;
    switch (kind) {
    case PICK_HUBS:
        return fill(out, 0, plan->hub_count);
    case PICK_SITES:
        return fill(out, plan->hub_count, plan->node_count);
    case PICK_LIST:
        for (size_t i = 0; i < pick->list_count; i++) {
            ASSERT(pick->list[i] < plan->node_count);
            out[count++] = pick->list[i];
        }
        return count;
    case PICK_ALL:
    case PICK_COUNT:
    case PICK_PPM:
        break;
    }
    return fill(out, 0, plan->node_count);
}

static int compare_nodes(const void *left, const void *right) {
    const uint32_t *a = left;
    const uint32_t *b = right;
    return (*a > *b) - (*a < *b);
}

/* Keeps `wanted` of `count`, drawn, in increasing order. */
static size_t keep_some(uint32_t *out, size_t count, size_t wanted, struct rng *rng) {
    if (wanted >= count) {
        return count;
    }
    for (size_t i = 0; i < wanted; i++) {
        size_t other = i + (size_t)rng_below(rng, count - i);
        uint32_t kept = out[i];
        out[i] = out[other];
        out[other] = kept;
    }
    if (wanted > 1) {
        qsort(out, wanted, sizeof(*out), compare_nodes);
    }
    return wanted;
}

/* Rounded to the nearest, but at least one of a share that is not nothing. */
static size_t share_of(size_t count, uint32_t ppm) {
    size_t share = (size_t)(((uint64_t)count * ppm + PPM_ONE / 2) / PPM_ONE);
    return share == 0 && ppm > 0 ? 1 : share;
}

size_t plan_pick(const struct plan *plan, const struct scenario_pick *pick, struct rng *rng,
                 uint32_t *out) {
    ASSERT(plan != NULL && pick != NULL && rng != NULL && out != NULL);
    if (pick->kind != PICK_COUNT && pick->kind != PICK_PPM) {
        return pool_of(plan, pick, pick->kind, out);
    }
    size_t count = pool_of(plan, pick, pick->among, out);
    size_t wanted = pick->kind == PICK_COUNT ? pick->count : share_of(count, pick->ppm);
    return keep_some(out, count, wanted, rng);
}
