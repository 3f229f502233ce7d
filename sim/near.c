/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is linked with whom, as the world told: short lists by node.
 */
#include "sim/check_internal.h"
#include "sim/must.h"

static struct near *find(const struct node_watch *node, uint32_t other) {
    for (uint32_t i = 0; i < node->near_count; i++) {
        if (node->near[i].other == other) {
            return &node->near[i];
        }
    }
    return NULL;
}

static struct near *add(struct node_watch *node, uint32_t other) {
    if (node->near_count == node->near_size) {
        node->near_size = node->near_size == 0 ? 8 : 2 * node->near_size;
        node->near = must(realloc(node->near, node->near_size * sizeof *node->near));
    }
    node->near[node->near_count] = (struct near){.other = other};
    return &node->near[node->near_count++];
}

void near_link(struct checks *checks, uint32_t node, uint32_t other, bool is_up) {
    struct node_watch *it = &checks->nodes[node];
    struct near *near = find(it, other);
    checks->near_epoch++;
    if (is_up) {
        near = near != NULL ? near : add(it, other);
        near->ends++;
        checks->link_ends++;
    } else if (near != NULL) {
        near->ends--;
        checks->link_ends--;
        if (near->ends == 0) {
            *near = it->near[--it->near_count];
        }
    }
}

void near_forget(struct checks *checks, uint32_t node) {
    struct node_watch *it = &checks->nodes[node];
    for (uint32_t i = 0; i < it->near_count; i++) {
        checks->link_ends -= it->near[i].ends;
    }
    it->near_count = 0;
    checks->near_epoch++;
}

bool near_is_linked(const struct checks *checks, uint32_t a, uint32_t b) {
    return find(&checks->nodes[a], b) != NULL && find(&checks->nodes[b], a) != NULL;
}

/* Appends those next to `from` that were not reached yet. */
static uint32_t spread(struct checks *checks, uint32_t from, uint32_t count) {
    const struct node_watch *it = &checks->nodes[from];
    for (uint32_t i = 0; i < it->near_count; i++) {
        uint32_t other = it->near[i].other;
        if (checks->walk_hops[other] == ORACLE_NONE) {
            checks->walk_hops[other] = checks->walk_hops[from] + 1;
            checks->walk[count++] = other;
        }
    }
    return count;
}

/* Breadth first: the last that is reached is the farthest. */
static uint32_t walk(struct checks *checks, uint32_t source) {
    uint32_t count = 1;
    for (uint32_t i = 0; i < checks->node_count; i++) {
        checks->walk_hops[i] = ORACLE_NONE;
    }
    checks->walk[0] = source;
    checks->walk_hops[source] = 0;
    for (uint32_t at = 0; at < count; at++) {
        count = spread(checks, checks->walk[at], count);
    }
    return checks->walk_hops[checks->walk[count - 1]];
}

uint32_t near_reach(struct checks *checks, uint32_t source) {
    if (checks->reach_epoch[source] != checks->near_epoch) {
        checks->reach_of[source] = walk(checks, source);
        checks->reach_epoch[source] = checks->near_epoch;
    }
    return checks->reach_of[source];
}
