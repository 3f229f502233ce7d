/* SPDX-License-Identifier: Apache-2.0
 *
 * The bounded map: uthash keeps the buckets and the insertion order, SipHash-2-4 under the owner's
 * key keeps a peer from steering entries into one bucket.
 */
#include "base/map.h"

#include <limits.h>
#include <stdlib.h>

/* uthash ends the process when an allocation fails unless told otherwise. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/check.h"

struct map_entry {
    UT_hash_handle hh;
    void *value;
    size_t key_len;
    uint8_t key[];
};

struct map {
    struct map_entry *head;
    size_t count_max;
    struct hash_key key;
};

/* uthash keeps 32 bits of the hash; 2^32 entries are far beyond any bound in use. */
static unsigned hash_of(const struct map *map, struct span key) {
    return (unsigned)hash_keyed(&map->key, key);
}

static struct map_entry *entry_new(struct span key, void *value) {
    struct map_entry *entry = malloc(sizeof *entry + key.len);
    if (entry == NULL) {
        return NULL;
    }
    memset(entry, 0, sizeof *entry);
    entry->value = value;
    entry->key_len = key.len;
    if (key.len > 0) {
        memcpy(entry->key, key.data, key.len);
    }
    return entry;
}

/* The branches that are counted here are uthash's, in its macros; ours are one a function. */
/* NOLINTBEGIN(readability-function-size,readability-function-cognitive-complexity) */

static struct map_entry *entry_find(const struct map *map, struct span key) {
    if (map->head == NULL || key.len > UINT_MAX) {
        return NULL; /* spares the hash; uthash counts key bytes in an unsigned */
    }
    unsigned hash = hash_of(map, key); /* a variable: the macro evaluates it again and again */
    struct map_entry *entry = NULL;
    HASH_FIND_BYHASHVALUE(hh, map->head, key.data, key.len, hash, entry);
    return entry;
}

/* Links the entry in; false, and nothing changed, when uthash found no memory for its buckets. */
static bool entry_link(struct map *map, struct map_entry *entry) {
    unsigned hash = hash_of(map, map_key(entry));
    HASH_ADD_KEYPTR_BYHASHVALUE(hh, map->head, entry->key, entry->key_len, hash, entry);
    return entry->hh.tbl != NULL;
}

static void entry_unlink(struct map *map, struct map_entry *entry) {
    HASH_DELETE(hh, map->head, entry);
}

/* NOLINTEND(readability-function-size,readability-function-cognitive-complexity) */

struct map *map_new(size_t count_max, const struct hash_key *key) {
    ASSERT(count_max >= 1);
    struct map *map = malloc(sizeof *map);
    if (map != NULL) {
        *map = (struct map){.head = NULL, .count_max = count_max, .key = *key};
    }
    return map;
}

void map_free(struct map *map) {
    if (map == NULL) {
        return;
    }
    struct map_entry *entry = map->head;
    HASH_CLEAR(hh, map->head);
    while (entry != NULL) {
        struct map_entry *next = map_next(entry);
        free(entry);
        entry = next;
    }
    free(map);
}

size_t map_count(const struct map *map) {
    return HASH_COUNT(map->head);
}

void *map_find(const struct map *map, struct span key) {
    struct map_entry *entry = entry_find(map, key);
    return entry != NULL ? entry->value : NULL;
}

enum weft_err map_add(struct map *map, struct span key, void *value) {
    ASSERT(value != NULL && key.len <= UINT_MAX);
    if (entry_find(map, key) != NULL) {
        return WEFT_ERR_EXISTS;
    }
    if (map_count(map) >= map->count_max) {
        return WEFT_ERR_FULL;
    }
    struct map_entry *entry = entry_new(key, value);
    if (entry == NULL) {
        return WEFT_ERR_MEMORY;
    }
    if (!entry_link(map, entry)) {
        free(entry);
        return WEFT_ERR_MEMORY;
    }
    return WEFT_OK;
}

void *map_remove(struct map *map, struct span key) {
    struct map_entry *entry = entry_find(map, key);
    if (entry == NULL) {
        return NULL;
    }
    void *value = entry->value;
    entry_unlink(map, entry);
    free(entry);
    return value;
}

struct map_entry *map_first(const struct map *map) {
    return map->head;
}

struct map_entry *map_next(const struct map_entry *entry) {
    return entry->hh.next;
}

void *map_value(const struct map_entry *entry) {
    return entry->value;
}

struct span map_key(const struct map_entry *entry) {
    return span_of(entry->key, entry->key_len);
}
