/* SPDX-License-Identifier: Apache-2.0
 *
 * A bounded memory of keys: when it is full, the one longest not asked for makes room. What
 * strangers can fill is remembered here and nowhere else.
 */
#ifndef LINK_RECENT_H
#define LINK_RECENT_H

#include "base/map.h"
#include "base/span.h"
#include "weft/types.h"

#define RECENT_KEY_BYTES_MAX 32

struct recent_entry {
    struct recent_entry *newer;
    struct recent_entry *older;
    uint64_t values[3]; /* the owner's; zero in a new entry */
    uint8_t key[RECENT_KEY_BYTES_MAX];
    size_t key_len;
};

struct recent {
    struct map *map;
    struct recent_entry *newest;
    struct recent_entry *oldest;
    size_t count_max;
};

/* At most count_max (>= 1) keys. WEFT_ERR_MEMORY. */
WEFT_MUST_CHECK enum weft_err recent_init(struct recent *recent, size_t count_max,
                                          const struct hash_key *key);
/* Takes zeroed memory. */
void recent_fini(struct recent *recent);

/* The entry of a key of 1 to RECENT_KEY_BYTES_MAX bytes, now the newest; made if it is not there,
 * and *is_new says so. NULL when out of memory. */
struct recent_entry *recent_touch(struct recent *recent, struct span key, bool *is_new);

#endif
