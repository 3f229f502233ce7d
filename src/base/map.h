/* SPDX-License-Identifier: Apache-2.0
 *
 * A bounded table from byte strings to pointers: uthash under a keyed hash, so that a peer that
 * chooses keys cannot choose collisions. Walks go in insertion order and thus never depend on the
 * hash. The map copies keys and borrows values.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/hash.h"
#include "weft/err.h"

struct map;
struct map_entry;

/* An empty map of at most count_max (>= 1) entries; NULL when out of memory. */
struct map *map_new(size_t count_max, const struct hash_key *key);

/* Frees the map, not the values. Takes NULL. */
void map_free(struct map *map);

size_t map_count(const struct map *map);

/* The value, or NULL. */
void *map_find(const struct map *map, struct span key);

/* Adds a value that is not NULL. WEFT_ERR_EXISTS, WEFT_ERR_FULL, WEFT_ERR_MEMORY. */
WEFT_MUST_CHECK enum weft_err map_add(struct map *map, struct span key, void *value);

/* Removes and returns the value, or NULL if there was none. */
void *map_remove(struct map *map, struct span key);

/* Walks in insertion order:
 *
 *   for (struct map_entry *entry = map_first(map); entry != NULL; entry = map_next(entry))
 *
 * The current entry may be removed once its successor has been taken. */
struct map_entry *map_first(const struct map *map);
struct map_entry *map_next(const struct map_entry *entry);
void *map_value(const struct map_entry *entry);
struct span map_key(const struct map_entry *entry);

#endif
