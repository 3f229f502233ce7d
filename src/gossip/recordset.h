/* SPDX-License-Identifier: Apache-2.0
 *
 * The one replicated data type: owner-signed, versioned records keyed by (kind, owner, key). The
 * newest (incarnation, version) wins; deletes are tombstones. Topology is one kind, services another.
 *
 * Each record has a place (BLAKE2b-256 of kind, owner, key) in a 256-bit space and a fingerprint
 * (BLAKE2b-256 of its encoding). The fingerprint of a range of places is the sum of those of the
 * records in it, modulo 2^256: additive, so it changes by one addition and one subtraction (range-based set
 * reconciliation, Meyer 2023). Places are kept in 256 buckets by first byte, each sorted, each with
 * its sum: any range costs at most 256 additions or one bucket's walk.
 *
 * Only records of *live* owners (those that routes reach, and ourselves) count in fingerprints and
 * are given to neighbours: so two sides that agree on the topology agree on the set, and records of
 * a vanished owner turn stale, then fade, without anybody having to agree on a clock.
 */
#ifndef GOSSIP_RECORDSET_H
#define GOSSIP_RECORDSET_H

#include "base/hash.h"
#include "noise/identity.h"
#include "wire/record.h"

/* One verified record. Counted and immutable. */
struct record {
    uint32_t reference_count;
    uint16_t kind;
    bool is_tombstone;
    struct weft_peer_id owner;
    struct weft_public_key owner_key;
    uint64_t incarnation;
    uint64_t version;
    uint8_t place[32];
    uint8_t fingerprint[32];
    struct span key;     /* into encoded */
    struct span body;    /* into encoded */
    struct span encoded; /* owned by the record */
};

/* Decodes and verifies: WEFT_ERR_MALFORMED, WEFT_ERR_AUTH (bad signature), WEFT_ERR_MEMORY. */
WEFT_MUST_CHECK enum weft_err record_open(struct span encoded, struct record **out);

/* Signs a record of our own. `fields`: kind, flags, key, incarnation, version, body. */
WEFT_MUST_CHECK enum weft_err record_sign(const struct identity *identity,
                                          const struct wire_record *fields, struct record **out);
struct record *record_ref(struct record *record);
void record_unref(struct record *record);
/* Whether (incarnation, version) of a is greater than that of b. */
bool record_is_newer(const struct record *a, const struct record *b);

struct recordset;

/* Bounds, and what happens there. All are refusals with a counter; nothing honest is evicted by
 * what a stranger sends, except strangers' records by strangers' records. */
struct recordset_config {
    struct hash_key hash_key;
    size_t records_max;       /* 65,536 in all */
    size_t owner_records_max; /* 1,024 of one owner */
    size_t owner_bytes_max;   /* 256 KiB of one owner */
    size_t stranger_records_max; /* 2,048 of owners that are not live: beyond, the one heard of longest
                                  * ago goes */
};

enum recordset_verdict {
    RECORDSET_ADDED,   /* new to the set */
    RECORDSET_UPDATED, /* replaced an older version */
    RECORDSET_SAME,    /* known already */
    RECORDSET_OLDER,   /* an older version than ours */
    RECORDSET_REFUSED, /* a bound; nothing changed */
};

WEFT_MUST_CHECK enum weft_err recordset_new(const struct recordset_config *config,
                                            struct recordset **out);
void recordset_free(struct recordset *set);

/* Puts a record in; takes a reference of its own if it keeps it. `now` is when it was heard. */
enum recordset_verdict recordset_put(struct recordset *set, struct record *record, weft_ns now);

/* Borrowed, or NULL. */
struct record *recordset_find(const struct recordset *set, uint16_t kind,
                              const struct weft_peer_id *owner, struct span key);
struct record *recordset_find_place(const struct recordset *set, const uint8_t place[32]);

/* Moves an owner's records, present and future, into or out of the live part. */
void recordset_set_live(struct recordset *set, const struct weft_peer_id *owner, bool is_live,
                        weft_ns now);
bool recordset_is_live(const struct recordset *set, const struct weft_peer_id *owner);

/* Drops all records of an owner that is not live; each dropped one is handed to `each` first. */
void recordset_drop_owner(struct recordset *set, const struct weft_peer_id *owner,
                          void (*each)(void *ctx, struct record *record), void *ctx);

/* Takes the next owner that has not been live since `before`; false when there is none. */
bool recordset_next_faded(const struct recordset *set, weft_ns before, struct weft_peer_id *out);

/* Walks all records, or one owner's, in the order they first came; `each` must not change the set. */
void recordset_each(const struct recordset *set,
                    void (*each)(void *ctx, struct record *record, bool is_live), void *ctx);
void recordset_each_of(const struct recordset *set, const struct weft_peer_id *owner,
                       void (*each)(void *ctx, struct record *record, bool is_live), void *ctx);

size_t recordset_count(const struct recordset *set);      /* all */
size_t recordset_live_count(const struct recordset *set); /* in the live part */
uint64_t recordset_refused_count(const struct recordset *set);

/* The fingerprint of all live records whose place begins with the first `depth` nibbles of prefix, and
 * how many they are. depth 0: all. */
void recordset_range(const struct recordset *set, const uint8_t prefix[32], unsigned depth,
                     uint8_t sum[32], size_t *count);

/* Writes up to `max` live records of a range, in order of place; returns how many there are. */
size_t recordset_list(const struct recordset *set, const uint8_t prefix[32], unsigned depth,
                      struct record **out, size_t max);

/* First 8 bytes, as a number, of the whole live part's fingerprint: what heartbeats carry. */
uint64_t recordset_digest(const struct recordset *set);

#endif
