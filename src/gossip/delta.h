/* SPDX-License-Identifier: Apache-2.0
 *
 * A new version of a record as what changed in its body since an older one (docs/protocol.md,
 * section 4.10). Pure functions. A peer record of eight links is 550 bytes, the news that one of
 * them is gone 85, of which 64 are the signature: that is over the whole new record as ever, so
 * that a delta proves as much as the record that it makes.
 */
#ifndef GOSSIP_DELTA_H
#define GOSSIP_DELTA_H

#include "gossip/recordset.h"

/* Appends the delta that makes `record` of `base`, an older version of it in the same incarnation.
 * False, and nothing is written, if both are not that, if one is a tombstone, or if the delta would
 * not be much shorter than the record. Cost: linear, but that each difference searches 64 bytes
 * around it; of those it takes at most 32. */
#define DELTA_BYTES_MAX 4352 /* what `writer` must have room for */
bool delta_write(struct wire_writer *writer, const struct record *base,
                 const struct record *record);

/* The encoding that a delta makes of `base`, built in `out`, which has RECORD_BYTES_MAX bytes; its
 * signature is not checked. Empty if the edits do not fit the base's body or make too long a one.
 * Cost: linear in the base and the edits. */
#define RECORD_BYTES_MAX (WIRE_RECORD_OVERHEAD + WIRE_RECORD_KEY_MAX + WIRE_RECORD_BODY_MAX)
struct span delta_apply(const struct wire_delta *delta, const struct record *base, uint8_t *out);

#endif
