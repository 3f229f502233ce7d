/* SPDX-License-Identifier: Apache-2.0
 *
 * What the oracle remembers of millions of events: a table from 64-bit hashes to two numbers. Open
 * addressing, no memory per entry. Only equality of hashes decides, never their order.
 *
 * A table may forget: it keeps two generations, and turns when the young one is older than `keep`
 * or holds `count_max`; so an entry is known for at least `keep` after it was last touched, unless
 * more than count_max others came since.
 */
#ifndef SIM_SEEN_H
#define SIM_SEEN_H

#include "weft/types.h"

struct seen_entry {
    uint64_t key; /* 0: free */
    uint64_t a;
    uint64_t b;
};
struct seen_slots {
    struct seen_entry *entries;
    size_t size; /* a power of two, or 0 */
    size_t count;
};
struct seen {
    struct seen_slots young;
    struct seen_slots old;
    weft_ns keep; /* WEFT_NEVER: for ever */
    size_t count_max;
    weft_ns turned_at;
};

void seen_init(struct seen *seen, weft_ns keep, size_t count_max);
/* Takes zeroed memory. */
void seen_fini(struct seen *seen);

/* Hashes bytes, and joins hashes and numbers. Not for keys that an adversary chooses. */
uint64_t seen_hash(uint64_t salt, const void *bytes, size_t len);
uint64_t seen_mix(uint64_t a, uint64_t b);

/* The entry, or NULL; valid until the next seen_add. */
struct seen_entry *seen_find(const struct seen *seen, uint64_t key);
/* The entry, made if there is none (then *is_new, a and b zero). */
struct seen_entry *seen_add(struct seen *seen, uint64_t key, weft_ns now, bool *is_new);

#endif
