/* SPDX-License-Identifier: Apache-2.0
 *
 * Two arrays side by side.
 */
#include "base/link_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define SIZE_FIRST 8

void link_table_fini(struct link_table *table) {
    free(table->ids);
    free(table->items);
    *table = (struct link_table){0};
}

static size_t place_of(const struct link_table *table, struct link_id id) {
    size_t place = 0;
    while (place < table->count && !link_id_equal(table->ids[place], id)) {
        place++;
    }
    return place;
}

static bool reserve(struct link_table *table) {
    if (table->count < table->size) {
        return true;
    }
    size_t size = table->size == 0 ? SIZE_FIRST : 2 * table->size;
    struct link_id *ids = realloc(table->ids, size * sizeof *ids);
    if (ids == NULL) {
        return false;
    }
    table->ids = ids;
    void **items = realloc(table->items, size * sizeof(void *));
    if (items == NULL) {
        return false;
    }
    table->items = items;
    table->size = size;
    return true;
}

enum weft_err link_table_add(struct link_table *table, struct link_id id, void *item) {
    ASSERT(item != NULL);
    if (place_of(table, id) < table->count) {
        return WEFT_ERR_EXISTS;
    }
    if (!reserve(table)) {
        return WEFT_ERR_MEMORY;
    }
    table->ids[table->count] = id;
    table->items[table->count] = item;
    table->count++;
    return WEFT_OK;
}

void *link_table_find(const struct link_table *table, struct link_id id) {
    size_t place = place_of(table, id);
    return place < table->count ? table->items[place] : NULL;
}

void *link_table_remove(struct link_table *table, struct link_id id) {
    size_t place = place_of(table, id);
    if (place == table->count) {
        return NULL;
    }
    void *item = table->items[place];
    size_t behind = table->count - place - 1;
    memmove(&table->ids[place], &table->ids[place + 1], behind * sizeof *table->ids);
    memmove(&table->items[place], &table->items[place + 1], behind * sizeof(void *));
    table->count--;
    return item;
}
