/* SPDX-License-Identifier: Apache-2.0
 *
 * Versions that newer ones replaced lately: what deltas are made and undone from. Changes come in
 * rows: a node that loses a link tells of the loss, then of the link that replaces it, then of its
 * cost. Of each record the versions of the present row are kept, the first and the last three: the
 * first is what a neighbour has that was sent nothing of the row yet.
 *
 * Bounded: 2,048 records, the one that changed longest ago first to go where two meet in the table;
 * all go when nothing has changed for a while. What is not kept costs no more than a whole record.
 */
#ifndef GOSSIP_PAST_H
#define GOSSIP_PAST_H

#include "base/time.h"
#include "gossip/recordset.h"

#define PAST_VERSIONS 4

struct past_row {
    uint32_t slot;
    uint32_t count;                         /* 0: free */
    struct record *versions[PAST_VERSIONS]; /* references; the first of the row, then newer ones */
    weft_ns changed_at;
};

struct past {
    struct past_row *rows; /* a record's is at its slot modulo size; NULL until needed */
    uint32_t size;         /* 0 or a power of two */
    weft_ns changed_at;
};

/* Takes zeroed memory. */
void past_fini(struct past *past);

/* `old`, which was in the slot, was replaced by a newer version. Short of memory nothing is kept.
 */
void past_add(struct past *past, size_t slot, struct record *old, weft_ns now);

/* The kept version of a slot's record, borrowed; NULL if there is none. `record` is in the slot
 * now: what another record left there is not found. */
struct record *past_version(const struct past *past, size_t slot, const struct record *record,
                            uint64_t version);
/* The first version of the row and the last before the present one; NULL if there is none. */
struct record *past_first(const struct past *past, size_t slot, const struct record *record);
struct record *past_last(const struct past *past, size_t slot, const struct record *record);

#define PAST_IDLE_NS (30 * NS_PER_S)
/* Lets all go if nothing has changed for that long. */
void past_tick(struct past *past, weft_ns now);

#endif
