/* SPDX-License-Identifier: Apache-2.0
 *
 * A node's disk. The daemon's store follows the core's saves within moments, so what it holds at a
 * crash is what the core holds then: it is only written down when it matters.
 */
#include <string.h>

#include "sim/world_internal.h"

static void clear(struct store *store) {
    for (size_t i = 0; i < store->count; i++) {
        record_unref(store->records[i]);
    }
    free(store->records);
    store->records = NULL;
    store->count = 0;
}

struct collect {
    struct store *store;
    size_t size;
};

static void keep(void *ctx, struct record *record) {
    struct collect *collect = ctx;
    struct store *store = collect->store;
    if (store->count == collect->size) {
        collect->size = collect->size > 0 ? 2 * collect->size : 64;
        store->records = must(realloc(store->records, collect->size * sizeof(struct record *)));
    }
    store->records[store->count++] = record_ref(record);
}

void store_save(struct node *node) {
    struct collect collect = {.store = &node->store};
    if (node->store.is_frozen) {
        return;
    }
    clear(&node->store);
    core_each_record(node->core, keep, &collect);
    node->store.at = node->world->now;
}

void store_load(struct node *node) {
    const struct store *store = &node->store;
    for (size_t i = 0; i < store->count; i++) {
        core_load_record(node->core, store->records[i]->encoded, node->world->now - store->at,
                         host_now(node));
    }
    if (!store->is_frozen) {
        clear(&node->store); /* it is in the core again, and will be written from there */
    }
}

void store_wipe(struct node *node) {
    clear(&node->store);
    node->store.incarnation = 0;
}
