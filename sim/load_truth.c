/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is in truth connected with whom: what a mesh that does all it should can deliver. Found by
 * walking the links that are up at both ends; who lies, is held or is down is no way for others.
 */
#include <string.h>

#include "base/check.h"
#include "sim/load_parts.h"

#define BITS_PER_WORD 64U
#define NO_COMPONENT UINT32_MAX

static size_t words_for(uint32_t node_count) {
    return (node_count + BITS_PER_WORD - 1) / BITS_PER_WORD;
}

static uint64_t bit_of(uint32_t node) {
    return (uint64_t)1 << (node % BITS_PER_WORD);
}

void node_set_init(struct node_set *set, uint32_t node_count) {
    set->words = must(calloc(words_for(node_count) + 1, sizeof(*set->words)));
    set->count = 0;
}

void node_set_fini(struct node_set *set) {
    free(set->words);
    *set = (struct node_set){0};
}

bool node_set_has(const struct node_set *set, uint32_t node) {
    return set->words != NULL && (set->words[node / BITS_PER_WORD] & bit_of(node)) != 0;
}

bool node_set_add(struct node_set *set, uint32_t node) {
    if (node_set_has(set, node)) {
        return false;
    }
    set->words[node / BITS_PER_WORD] |= bit_of(node);
    set->count++;
    return true;
}

bool node_set_remove(struct node_set *set, uint32_t node) {
    if (!node_set_has(set, node)) {
        return false;
    }
    set->words[node / BITS_PER_WORD] &= ~bit_of(node);
    set->count--;
    return true;
}

void truth_init(struct load *load) {
    struct truth *truth = &load->truth;
    truth->component = must(calloc(load->node_count, sizeof(*truth->component)));
    truth->stack = must(calloc(load->node_count, sizeof(*truth->stack)));
    truth->is_stale = true;
    truth->has_faults = load->scenario->fault_count > 0 || load->scenario->chaos.mode != CHAOS_NONE;
    truth->looked_at = WEFT_NEVER;
}

void truth_fini(struct load *load) {
    free(load->truth.component);
    free(load->truth.stack);
}

/* A walk from one node on. */
struct walk {
    struct load *load;
    uint32_t from;
    uint32_t component;
    size_t depth;
};

static bool may_carry(struct load *load, uint32_t node) {
    if (world_is_liar(load->world, node)) {
        load->nodes[node].lied_at = world_now(load->world);
        return false;
    }
    return load_node_runs(load, node);
}

static void step(void *ctx, struct link_id link, uint32_t other) {
    struct walk *walk = ctx;
    struct truth *truth = &walk->load->truth;
    const struct net *net = world_net(walk->load->world);
    (void)link;
    if (truth->component[other] != NO_COMPONENT || !may_carry(walk->load, other) ||
        !net_is_passable(net, walk->from, other) || !net_is_passable(net, other, walk->from)) {
        return;
    }
    truth->component[other] = walk->component;
    truth->stack[walk->depth++] = other;
}

static void walk_from(struct load *load, uint32_t start) {
    struct truth *truth = &load->truth;
    struct walk walk = {.load = load, .component = start, .depth = 1};
    truth->component[start] = start;
    truth->stack[0] = start;
    while (walk.depth > 0) {
        walk.from = truth->stack[--walk.depth];
        world_each_link(load->world, walk.from, step, &walk);
    }
}

void truth_look(struct load *load) {
    struct truth *truth = &load->truth;
    weft_ns now = world_now(load->world);
    if (!truth->is_stale && (!truth->has_faults || truth->looked_at == now)) {
        return;
    }
    for (uint32_t i = 0; i < load->node_count; i++) {
        truth->component[i] = NO_COMPONENT;
    }
    for (uint32_t i = 0; i < load->node_count; i++) {
        if (truth->component[i] == NO_COMPONENT && may_carry(load, i)) {
            walk_from(load, i);
        }
    }
    truth->is_stale = false;
    truth->looked_at = now;
}

bool truth_joins(const struct load *load, uint32_t a, uint32_t b) {
    const uint32_t *component = load->truth.component;
    return component[a] != NO_COMPONENT && component[a] == component[b];
}
