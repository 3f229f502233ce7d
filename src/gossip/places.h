/* SPDX-License-Identifier: Apache-2.0
 *
 * The ordered side of a record set: slots by place in 256 buckets by first byte, each sorted, each
 * with the sum of the fingerprints that count. Also the struct of a slot, shared with the set's
 * other files (set.h) and nobody else.
 */
#ifndef GOSSIP_PLACES_H
#define GOSSIP_PLACES_H

#include "gossip/recordset.h"

#define PLACE_BUCKETS 256
#define SLOT_NONE UINT32_MAX

/* A number modulo 2^256, least significant limb first. */
struct sum {
    uint64_t limb[4];
};

/* What a slot holds: nothing, a record that left the set and waits to be told of, or a record whose
 * owner is in one of three states (owners.c). */
enum slot_state {
    SLOT_FREE,
    SLOT_EVICTED,
    SLOT_STRANGER,
    SLOT_GONE,
    SLOT_LIVE,
};

struct slot {
    struct record *record; /* a reference; NULL while free */
    uint32_t next;    /* its owner's next slot, in a ring; free or evicted: the next of those */
    uint16_t strange; /* its row in the order of strangers while it is one's */
    uint8_t state;    /* enum slot_state */
    bool is_counted;  /* part of the sums */
};

/* Behind the first byte, which is the bucket's, two more of each place lie here in one piece: a
 * search then need not look into the records, each of which is another miss of the cache. */
struct bucket_of_places {
    uint32_t *slots; /* sorted by place; `size` of them, then as many heads (heads_of) */
    uint32_t count;
    uint32_t size;
    uint32_t counted; /* slots that count */
    struct sum sum;
};

struct places {
    struct bucket_of_places buckets[PLACE_BUCKETS];
    struct sum total;
    size_t counted;
};

/* Takes zeroed memory. */
void places_fini(struct places *places);

/* The slot whose record has the place, or SLOT_NONE. */
uint32_t places_find(const struct places *places, const struct slot *slots,
                     const uint8_t place[32]);

/* The slot of the `nth` record, from 0, whose place begins with these `len` (>= 1) bytes; SLOT_NONE
 * if they are not so many. */
uint32_t places_find_named(const struct places *places, const struct slot *slots,
                           const uint8_t *name, size_t len, size_t nth);

/* Begins to bring into the cache what finding a name will read: first its bucket, then, once that
 * is there, the part of it where the name should lie. */
void places_fetch_bucket(const struct places *places, const uint8_t *name);
void places_fetch_run(const struct places *places, const uint8_t *name);

/* Adds a slot whose record's place is free. False when out of memory, and nothing changed. */
bool places_add(struct places *places, const struct slot *slots, uint32_t slot);
void places_remove(struct places *places, struct slot *slots, uint32_t slot);

/* Makes a slot count or not. */
void places_set_counted(struct places *places, struct slot *slot, bool is_counted);

/* The sum of what counts in a range, and how many that is. */
void places_range(const struct places *places, const struct slot *slots,
                  const uint8_t prefix[PLACE_PREFIX_BYTES], unsigned depth, struct sum *sum,
                  size_t *count);

/* Walks what counts in a range. */
void places_each(const struct places *places, const struct slot *slots,
                 const uint8_t prefix[PLACE_PREFIX_BYTES], unsigned depth,
                 void (*each)(void *ctx, struct record *record), void *ctx);

/* Big-endian. */
void sum_to_bytes(const struct sum *sum, uint8_t out[32]);

#endif
