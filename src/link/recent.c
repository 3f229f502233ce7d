/* SPDX-License-Identifier: Apache-2.0
 *
 * A keyed map to find an entry and a list through all of them in the order they were last asked
 * for.
 */
#include "link/recent.h"

#include <stdlib.h>

#include "base/check.h"

enum weft_err recent_init(struct recent *recent, size_t count_max, const struct hash_key *key) {
    ASSERT(count_max >= 1);
    *recent = (struct recent){.map = map_new(count_max, key), .count_max = count_max};
    return recent->map == NULL ? WEFT_ERR_MEMORY : WEFT_OK;
}

void recent_fini(struct recent *recent) {
    while (recent->newest != NULL) {
        struct recent_entry *entry = recent->newest;
        recent->newest = entry->older;
        free(entry);
    }
    map_free(recent->map);
    *recent = (struct recent){.map = NULL};
}

static void unlink_entry(struct recent *recent, struct recent_entry *entry) {
    struct recent_entry **newer = entry->older == NULL ? &recent->oldest : &entry->older->newer;
    struct recent_entry **older = entry->newer == NULL ? &recent->newest : &entry->newer->older;
    *newer = entry->newer;
    *older = entry->older;
}

static void link_newest(struct recent *recent, struct recent_entry *entry) {
    entry->newer = NULL;
    entry->older = recent->newest;
    struct recent_entry **newer = recent->newest == NULL ? &recent->oldest : &recent->newest->newer;
    *newer = entry;
    recent->newest = entry;
}

static void forget_oldest(struct recent *recent) {
    struct recent_entry *entry = recent->oldest;
    unlink_entry(recent, entry);
    (void)map_remove(recent->map, span_of(entry->key, entry->key_len));
    free(entry);
}

static struct recent_entry *add(struct recent *recent, struct span key) {
    if (map_count(recent->map) >= recent->count_max) {
        forget_oldest(recent);
    }
    struct recent_entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL) {
        return NULL;
    }
    memcpy(entry->key, key.data, key.len);
    entry->key_len = key.len;
    if (map_add(recent->map, key, entry) != WEFT_OK) {
        free(entry);
        return NULL;
    }
    link_newest(recent, entry);
    return entry;
}

struct recent_entry *recent_touch(struct recent *recent, struct span key, bool *is_new) {
    ASSERT(key.len >= 1 && key.len <= RECENT_KEY_BYTES_MAX);
    struct recent_entry *entry = map_find(recent->map, key);
    *is_new = entry == NULL;
    if (entry == NULL) {
        return add(recent, key);
    }
    unlink_entry(recent, entry);
    link_newest(recent, entry);
    return entry;
}
