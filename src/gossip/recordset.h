/* SPDX-License-Identifier: Apache-2.0
 *
 * The one replicated data type: owner-signed, versioned records keyed by (kind, owner, key). The
 * newest (incarnation, version) wins; deletes are tombstones. Topology is one kind, services
 * another.
 *
 * Each record has a place (BLAKE2b-256 of kind, owner, key) in a 256-bit space and a fingerprint
 * (BLAKE2b-256 of its encoding). The fingerprint of a range of places is the sum of those of the
 * records in it, modulo 2^256: additive, so it changes by one addition and one subtraction
 * (range-based set reconciliation, Meyer 2023). Places are kept in 256 buckets by first byte, each
 * sorted, each with its sum: any range costs at most 256 additions or one bucket's walk.
 *
 * Only records of *live* owners (those that routes reach, and ourselves) count in fingerprints and
 * are given to neighbours: so two sides that agree on the topology agree on the set, and records of
 * a vanished owner turn stale, then fade, without anybody having to agree on a clock.
 *
 * Former lives. The incarnation of an owner's PEER record is its present life. A record of another
 * kind counts only while its incarnation equals that one; one of an older incarnation is refused as
 * older when it arrives and dropped (recordset_drop_former) some time after a newer peer record
 * came. One of a newer incarnation is kept and counts once the peer record that belongs to it is
 * there.
 *
 * Tombstones are records like any other: they count, they are given to neighbours, and they go with
 * their incarnation or when their owner fades. An owner whose tombstones take half of
 * owner_records_max begins a new incarnation, which drops them everywhere at once.
 *
 * Strangers are owners that were never live here nor vouched for (loaded from the store). Once
 * live, an owner that leaves is stale, not a stranger: its records wait for it until they fade.
 */
#ifndef GOSSIP_RECORDSET_H
#define GOSSIP_RECORDSET_H

#include "base/peer_table.h"
#include "noise/identity.h"
#include "wire/record.h"
#include "wire/word.h"

/* Of a place, what names a range: up to 16 nibbles. */
#define PLACE_PREFIX_BYTES WIRE_SYNC_PLACE_BYTES

struct record_pool;

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

    struct record_pool *pool; /* that it is in (pool.h), or NULL */
    struct record *pool_next; /* in its bucket there */
    uint32_t pool_hash;

    struct wire_word *word; /* record_word; NULL until somebody asks */
};

/* Decodes and verifies: WEFT_ERR_MALFORMED, WEFT_ERR_AUTH (bad signature), WEFT_ERR_MEMORY. */
WEFT_MUST_CHECK enum weft_err record_open(struct span encoded, struct record **out);

/* Signs a record of our own. `fields`: kind, flags, key, incarnation, version, body. */
WEFT_MUST_CHECK enum weft_err record_sign(const struct identity *identity,
                                          const struct wire_record *fields, struct record **out);
struct record *record_ref(struct record *record);
void record_unref(struct record *record);
/* The links that a peer record lists, parsed once for all who hold the record; borrowed while the
 * record lives. WEFT_ERR_INVALID for a tombstone or another kind, WEFT_ERR_MALFORMED for a body we
 * cannot read, WEFT_ERR_MEMORY. */
WEFT_MUST_CHECK enum weft_err record_word(struct record *record, struct wire_word **out);
/* Whether (incarnation, version) of a is greater than that of b. */
bool record_is_newer(const struct record *a, const struct record *b);

struct recordset;

/* Bounds, and what happens there. All are refusals with a counter; nothing honest is evicted by
 * what a stranger sends, except strangers' records by strangers' records. */
struct recordset_config {
    struct hash_key hash_key;
    struct peer_table *peers;    /* numbers of owners, shared by many sets; NULL: of its own */
    size_t records_max;          /* 65,536 in all; taken for 2^20 when it is more */
    size_t owner_records_max;    /* 1,024 of one owner */
    size_t owner_bytes_max;      /* 256 KiB of one owner */
    size_t stranger_records_max; /* 2,048 of strangers: beyond, the one heard of longest ago goes;
                                    taken for 65,534 when it is more */
};

/* Bytes of encoded records in all: 20,000 of 500 bytes are 10 MB, so this is far from any honest
 * mesh and near enough to bound what a thousand insiders' keys can occupy. Beyond: refused. */
#define RECORDSET_BYTES_MAX ((size_t)64 << 20)
/* Of those, of strangers: beyond, the one heard of longest ago goes. */
#define RECORDSET_STRANGER_BYTES_MAX ((size_t)8 << 20)
/* Owners that may be live without a record of theirs being known. */
#define RECORDSET_BARE_OWNERS_MAX 65536

enum recordset_verdict {
    RECORDSET_ADDED,   /* new to the set */
    RECORDSET_UPDATED, /* replaced an older version */
    RECORDSET_SAME,    /* known already */
    RECORDSET_OLDER,   /* an older version than ours, or of a former life */
    RECORDSET_REFUSED, /* a bound; nothing changed */
};

WEFT_MUST_CHECK enum weft_err recordset_new(const struct recordset_config *config,
                                            struct recordset **out);
void recordset_free(struct recordset *set);

/* Puts a record in; takes a reference of its own if it keeps it. `now` is when it was heard. Of two
 * records with the same incarnation and version the one with the greater fingerprint stays, so that
 * sets converge whatever their order of arrival. */
enum recordset_verdict recordset_put(struct recordset *set, struct record *record, weft_ns now);

/* Takes the next record that the last recordset_put pushed out; the caller's to unref; NULL when
 * there are no more. What is not taken is released by the next put. */
struct record *recordset_next_evicted(struct recordset *set);

/* A record as heard: what says which it is and orders its versions, not verified. */
struct record_heard {
    uint16_t kind;
    struct weft_peer_id owner;
    struct span key;
    uint64_t incarnation;
    uint64_t version;
    struct span encoded;
};

/* What recordset_put would find, from that alone: costs no signature. Of an equal version the
 * encoding decides whether it is the same record. `slot`: that of the record it was compared with;
 * SIZE_MAX if its place is not in the set. */
enum recordset_verdict recordset_judge(const struct recordset *set,
                                       const struct record_heard *heard, size_t *slot);

/* The place of a record. */
void record_place(uint16_t kind, const struct weft_peer_id *owner, struct span key,
                  uint8_t place[32]);

/* The fingerprint of an encoded record. */
void record_fingerprint(struct span encoded, uint8_t fingerprint[32]);

/* Borrowed, or NULL. */
struct record *recordset_find(const struct recordset *set, uint16_t kind,
                              const struct weft_peer_id *owner, struct span key);
struct record *recordset_find_place(const struct recordset *set, const uint8_t place[32]);

/* The slot of the `nth` record, from 0, whose place begins with a short name: there is more than
 * one by chance, or because an owner made it so. SIZE_MAX if they are not so many. */
size_t recordset_named(const struct recordset *set, const uint8_t name[WIRE_NOTE_NAME_BYTES],
                       size_t nth);

/* Says ahead which names will be looked up, `stride` bytes apart: each look-up is three or four
 * misses of the cache, which so go on side by side. */
void recordset_expect(const struct recordset *set, const uint8_t *names, size_t stride,
                      size_t count);

/* Moves an owner's records, present and future, into or out of the live part. */
void recordset_set_live(struct recordset *set, const struct weft_peer_id *owner, bool is_live,
                        weft_ns now);
bool recordset_is_live(const struct recordset *set, const struct weft_peer_id *owner);

/* An owner that is not live but no stranger either: its records were kept in the store. */
void recordset_vouch(struct recordset *set, const struct weft_peer_id *owner, weft_ns now);
bool recordset_is_stranger(const struct recordset *set, const struct weft_peer_id *owner);

/* The incarnation of the owner's peer record; 0 if there is none. */
uint64_t recordset_incarnation(const struct recordset *set, const struct weft_peer_id *owner);

/* Drops the owner's records of incarnations below `incarnation`, or below its peer record's if that
 * is less, peer record itself excepted; each is handed to `each` first. Returns how many. */
size_t recordset_drop_former(struct recordset *set, const struct weft_peer_id *owner,
                             uint64_t incarnation, void (*each)(void *ctx, struct record *record),
                             void *ctx);

/* Drops all records of an owner that is not live; each dropped one is handed to `each` first. */
void recordset_drop_owner(struct recordset *set, const struct weft_peer_id *owner,
                          void (*each)(void *ctx, struct record *record), void *ctx);

/* An owner that is not live had been away for `absence` already when the store's record of it was
 * put in. Of several records' word the shortest holds. */
void recordset_set_absence(struct recordset *set, const struct weft_peer_id *owner,
                           weft_ns absence);
/* For how long an owner has not been live, as far as we know; 0 while it is, or if unknown. */
weft_ns recordset_absence(const struct recordset *set, const struct weft_peer_id *owner,
                          weft_ns now);

/* The next owner that has not been live since `before`; false when there is none. */
bool recordset_next_faded(const struct recordset *set, weft_ns before, struct weft_peer_id *out);

/* The owner that has not been live for longest, and since when; false when all are live. */
bool recordset_gone_since(const struct recordset *set, weft_ns *since, struct weft_peer_id *out);

/* Walks all records in the order of their slots, which is that in which they came but where one
 * took the place of one that went; or one owner's, its peer record first, then the others in the
 * order they came. `each` must not change the set. */
void recordset_each(const struct recordset *set,
                    void (*each)(void *ctx, struct record *record, bool is_live), void *ctx);
void recordset_each_of(const struct recordset *set, const struct weft_peer_id *owner,
                       void (*each)(void *ctx, struct record *record, bool is_live), void *ctx);

size_t recordset_count(const struct recordset *set);      /* all */
size_t recordset_live_count(const struct recordset *set); /* in the live part */
size_t recordset_live_owner_count(const struct recordset *set);
size_t recordset_stale_count(const struct recordset *set); /* of owners gone, strangers excepted */
size_t recordset_owner_count(const struct recordset *set, const struct weft_peer_id *owner);
size_t recordset_bytes(const struct recordset *set); /* of all encoded records */
uint64_t recordset_refused_count(const struct recordset *set);

/* The fingerprint of all live records whose place begins with the first `depth` nibbles of prefix,
 * and how many they are. depth 0: all. */
void recordset_range(const struct recordset *set, const uint8_t prefix[PLACE_PREFIX_BYTES],
                     unsigned depth, uint8_t sum[32], size_t *count);

/* Walks the live records of a range in order of place; `each` must not change the set. */
void recordset_each_in(const struct recordset *set, const uint8_t prefix[PLACE_PREFIX_BYTES],
                       unsigned depth, void (*each)(void *ctx, struct record *record), void *ctx);

/* Small numbers for bitmaps: each record has a slot for as long as its place is in the set; a newer
 * version keeps it. SIZE_MAX when the record's place is not in the set; NULL for a slot without a
 * live record. */
size_t recordset_slot_of(const struct recordset *set, const struct record *record);
struct record *recordset_at(const struct recordset *set, size_t slot);
struct record *recordset_live_at(const struct recordset *set, size_t slot);
size_t recordset_slot_count(const struct recordset *set); /* slots in use are below this */

/* First 8 bytes, as a number, of the whole live part's fingerprint: what heartbeats carry. */
uint64_t recordset_digest(const struct recordset *set);

#endif
