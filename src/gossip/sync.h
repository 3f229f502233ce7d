/* SPDX-License-Identifier: Apache-2.0
 *
 * Reconciliation of two record sets by fingerprints of ranges, 16 ways at a time: costs what
 * differs, not what exists. Stateless on both sides: each SYNC frame is answered from the set as it
 * is.
 *
 *   A                                        B
 *   | fingerprints of the 16 ranges at ""     |
 *   |---------------------------------------->|  for each range that differs:
 *   |   fingerprints at "3", list of "a" ...  |    few records: list, else 16 fingerprints deeper
 *   |<----------------------------------------|
 *   |   records B lacks; want what A lacks    |  a list is answered with the records the other
 *   |---------------------------------------->|  lacks, and a want for those we lack
 *   |   records wanted                        |
 *   |<----------------------------------------|
 *
 * A list is sent instead of fingerprints when a range holds at most 16 records, or cannot be
 * divided any further: a place is named by its first 8 bytes. Records that share them (only an
 * owner's own can be made to, by 2^32 hashes) are sent and wanted together; as a list cannot tell
 * two of them from two versions of one, it may take a second reconciliation until both sides have
 * all. A list is answered with our records of the range that are not in it or differ from it,
 * and a want for the places we lack, so no list ever answers a list (one marked is_answer is taken
 * like any other). Of a record that differs ours is sent, for a fingerprint does not say whose is
 * newer: who then hears an older version than it has sends its own back.
 *
 * Fingerprints are 4 bytes of the BLAKE2b-256 of salt and sum. The salt, fresh for each
 * reconciliation, makes them useless to who prepares collisions, and a miss (1 in 2^32) harmless:
 * digests still differ, so another reconciliation begins, with another salt.
 *
 * Work bound: one SYNC frame in makes at most WIRE_BODY_BYTES_MAX of SYNC out plus the records
 * asked for, which wait in the link's pending set (merged, bounded by the set itself). Fingerprints
 * are passed over once the answer is full, lists once they have led to more records than there are.
 */
#ifndef GOSSIP_SYNC_H
#define GOSSIP_SYNC_H

#include "gossip/recordset.h"

#define SYNC_LIST_MAX 16

/* Writes the opening SYNC body: 16 fingerprints of the whole set. */
void sync_begin(const struct recordset *set, uint64_t salt, struct wire_writer *writer);

/* What a SYNC frame leads to. */
struct sync_result {
    bool has_answer;   /* the writer holds a SYNC body to send back */
    size_t sent_count; /* records handed to `give` */
};

/* Answers one SYNC body. Records the other side lacks or wants go to `give`, one call each.
 * WEFT_ERR_MALFORMED for a body that is not sound. */
WEFT_MUST_CHECK enum weft_err sync_answer(const struct recordset *set, const struct wire_sync *sync,
                                          struct wire_writer *writer,
                                          void (*give)(void *ctx, struct record *record), void *ctx,
                                          struct sync_result *out);

#endif
