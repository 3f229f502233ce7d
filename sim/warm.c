/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/warm.h"

#include <stdlib.h>

#include "sim/must.h"
#include "sim/oracle.h"

/* A core's queue of what it learned has room for more than these, whoever they are of. */
#define LOADED_AT_ONCE 8192

/* What all nodes say of themselves. */
struct words {
    struct record **records; /* references */
    uint32_t *owners;        /* by record: the node */
    size_t count;
    size_t size;
    uint32_t node; /* whose are being collected */
};

static void collect(void *ctx, struct record *record, bool is_live) {
    struct words *words = ctx;
    (void)is_live;
    if (words->count == words->size) {
        words->size = words->size > 0 ? 2 * words->size : 1024;
        words->records = must(realloc(words->records, words->size * sizeof(struct record *)));
        words->owners = must(realloc(words->owners, words->size * sizeof(*words->owners)));
    }
    words->owners[words->count] = words->node;
    words->records[words->count++] = record_ref(record);
}

static struct words words_of(struct world *world) {
    struct words words = {0};
    for (uint32_t node = 0; node < world_node_count(world); node++) {
        words.node = node;
        recordset_each_of(core_records(world_core(world, node)), world_id(world, node), collect,
                          &words);
    }
    return words;
}

static void words_fini(struct words *words) {
    for (size_t i = 0; i < words->count; i++) {
        record_unref(words->records[i]);
    }
    free(words->records);
    free(words->owners);
}

static void tell(struct world *world, uint32_t node, const struct words *words) {
    struct core *core = world_core(world, node);
    weft_ns now = world_node_now(world, node);
    for (size_t i = 0; i < words->count; i++) {
        if (words->owners[i] != node) {
            core_load_record(core, words->records[i]->encoded, 0, now);
        }
        if (i % LOADED_AT_ONCE == LOADED_AT_ONCE - 1) {
            world_pump(world, node);
        }
    }
    world_pump(world, node);
}

static bool are_all_up(const struct world *world) {
    uint32_t count = world_node_count(world);
    uint32_t up = 0;
    while (up < count && world_node_state(world, up) == NODE_UP) {
        up++;
    }
    return up == count;
}

static bool are_all_told(struct world *world) {
    const struct plan *plan = world_plan(world);
    struct oracle oracle;
    size_t told = 0;
    oracle_init(&oracle, world);
    oracle_look(&oracle);
    while (told < plan->edge_count &&
           oracle_cost(&oracle, plan->edges[told].a, plan->edges[told].b) != 0) {
        told++;
    }
    oracle_fini(&oracle);
    return told == plan->edge_count;
}

bool warm_try(struct world *world) {
    if (!are_all_up(world) || !are_all_told(world)) {
        return false;
    }
    struct words words = words_of(world);
    for (uint32_t node = 0; node < world_node_count(world); node++) {
        tell(world, node, &words);
    }
    words_fini(&words);
    world_withhold_news(world, false);
    return true;
}
