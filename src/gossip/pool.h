/* SPDX-License-Identifier: Apache-2.0
 *
 * One record for all: a table of the verified records of many gossips in one process (the
 * simulator's), by their encoding. Who opens an encoding that was verified already takes a
 * reference to that record, which costs no signature check, no parsing and no memory.
 *
 * It is memoization and nothing else. A record is in it from when it was verified, or signed, until
 * its last reference goes: the pool holds none. What is in it was compared byte for byte, so that
 * an encoding with one bit changed, or its bytes under another signature, is opened the long way
 * and found out. Full, it takes no more records, and opening works as without it. Nothing that a
 * gossip decides depends on whether it has one.
 */
#ifndef GOSSIP_POOL_H
#define GOSSIP_POOL_H

#include "gossip/recordset.h"

/* An empty pool of at most count_max (>= 1) records; NULL when out of memory. */
struct record_pool *record_pool_new(const struct hash_key *key, size_t count_max);

/* Its records live on, in no pool; gossips that were given it may then only be freed. Takes NULL.
 */
void record_pool_free(struct record_pool *pool);

/* As record_open. `pool` may be NULL: then it is that. */
WEFT_MUST_CHECK enum weft_err record_pool_open(struct record_pool *pool, struct span encoded,
                                               struct record **out);

/* The record of this encoding, borrowed; NULL if it is not in the pool. `pool` may be NULL. */
struct record *record_pool_find(const struct record_pool *pool, struct span encoded);

/* Puts a record that was signed here in: takes the caller's reference, returns one to the pool's
 * record of this encoding. `pool` may be NULL. */
struct record *record_pool_share(struct record_pool *pool, struct record *record);

/* As delta_write. Of records that are in a pool what came out lately is remembered: all who pass a
 * change on tell of it alike. */
bool record_pool_delta(struct wire_writer *writer, const struct record *base,
                       const struct record *record);

/* For record_unref: the record's last reference goes. */
void record_pool_leave(struct record *record);

/* As identity_verify, of a message of another kind than records, its signature right behind it.
 * What was found genuine lately is remembered, by a hash of all that it depends on; a forgery never
 * is. `pool` may be NULL. */
bool record_pool_verify(struct record_pool *pool, const struct weft_public_key *key,
                        const char *domain, struct span message,
                        const uint8_t signature[SIGNATURE_BYTES]);

/* By which numbers sets keep owners; they look into the same table, and none drops a number. */
struct peer_table *record_pool_peers(struct record_pool *pool);

/* Room to build one frame in, for all who use the pool: none of them keeps anything there from one
 * call to the next. */
#define RECORD_POOL_SCRATCH_BYTES (WIRE_FRAME_HEADER_BYTES + WIRE_BODY_BYTES_MAX)
uint8_t *record_pool_scratch(struct record_pool *pool);

size_t record_pool_count(const struct record_pool *pool);
/* Signature checks that were spared. */
uint64_t record_pool_spared(const struct record_pool *pool);

#endif
