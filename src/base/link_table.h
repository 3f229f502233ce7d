/* SPDX-License-Identifier: Apache-2.0
 *
 * What somebody keeps for each link of a node, by the link's id: asked several times for every
 * frame. A node has a handful of links and some hundreds at most, so their ids stand side by side
 * in the order they came and are searched from end to end: eight of them are one line of cache,
 * where a hash table of the same takes four or five that are nowhere near each other.
 */
#ifndef BASE_LINK_TABLE_H
#define BASE_LINK_TABLE_H

#include <stddef.h>

#include "base/link_id.h"
#include "weft/err.h"

struct link_table {
    struct link_id *ids;
    void **items; /* borrowed */
    size_t count;
    size_t size;
};

/* Takes zeroed memory; frees no item. */
void link_table_fini(struct link_table *table);

/* Adds an item (not NULL) as the last. WEFT_ERR_EXISTS, WEFT_ERR_MEMORY. */
WEFT_MUST_CHECK enum weft_err link_table_add(struct link_table *table, struct link_id id,
                                             void *item);

/* The item, or NULL. */
void *link_table_find(const struct link_table *table, struct link_id id);

/* Takes the item out and returns it; NULL if there was none. The others keep their order. */
void *link_table_remove(struct link_table *table, struct link_id id);

#endif
