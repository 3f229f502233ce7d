/* SPDX-License-Identifier: Apache-2.0
 *
 * The ordered side of a record set: entries by place in 256 buckets by first byte, each sorted,
 * each with the sum of the fingerprints that count. Also the struct of an entry, shared with
 * recordset.c and nobody else.
 */
#ifndef GOSSIP_PLACES_H
#define GOSSIP_PLACES_H

#include "gossip/chain.h"
#include "gossip/recordset.h"

#define PLACE_BUCKETS 256

/* A number modulo 2^256, least significant limb first. */
struct sum {
    uint64_t limb[4];
};

struct owner;

struct entry {
    struct record *record; /* a reference */
    struct owner *owner;
    struct chain all;      /* every entry, in the order they came */
    struct chain siblings; /* those of the same owner */
    struct chain strange;  /* those of strangers, the one heard of longest ago first */
    uint32_t slot;
    bool is_counted; /* part of the sums */
};

struct bucket_of_places {
    struct entry **entries; /* sorted by place */
    size_t count;
    size_t size;
    size_t counted; /* entries that count */
    struct sum sum;
};

struct places {
    struct bucket_of_places buckets[PLACE_BUCKETS];
    struct sum total;
    size_t counted;
};

/* Frees the arrays, not the entries. Takes zeroed memory. */
void places_fini(struct places *places);

/* NULL when there is no entry at the place. */
struct entry *places_find(const struct places *places, const uint8_t place[32]);

/* Adds an entry whose place is free. False when out of memory, and nothing changed. */
bool places_add(struct places *places, struct entry *entry);
void places_remove(struct places *places, struct entry *entry);

/* Makes an entry count or not. */
void places_set_counted(struct places *places, struct entry *entry, bool is_counted);

/* The sum of what counts in a range, and how many that is. */
void places_range(const struct places *places, const uint8_t prefix[PLACE_PREFIX_BYTES],
                  unsigned depth, struct sum *sum, size_t *count);

/* Walks what counts in a range. */
void places_each(const struct places *places, const uint8_t prefix[PLACE_PREFIX_BYTES],
                 unsigned depth, void (*each)(void *ctx, struct record *record), void *ctx);

/* Big-endian. */
void sum_to_bytes(const struct sum *sum, uint8_t out[32]);

#endif
