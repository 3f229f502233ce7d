/* SPDX-License-Identifier: Apache-2.0
 *
 * The writes that wait, at most one a key. Not thread-safe: the writer holds its lock.
 */
#ifndef STORE_QUEUE_H
#define STORE_QUEUE_H

#include "base/map.h"
#include "store/op.h"

struct queue {
    struct store_op *first;
    struct store_op *last;
    struct map *by_key; /* the newest waiting op of each key; an op may be missing here */
    size_t count;       /* waiting and taken */
    size_t bytes;
    size_t count_max;
    size_t bytes_max;
    uint64_t merged;
    uint64_t refused;
};

WEFT_MUST_CHECK enum weft_err queue_init(struct queue *queue, size_t count_max, size_t bytes_max,
                                         const struct hash_key *key);

/* Frees what waits. Takes zeroed memory. */
void queue_fini(struct queue *queue);

/* Takes the op over: it joins the end, and a waiting one of its key goes. At a bound:
 * WEFT_ERR_FULL, freed and counted; the waiting one of its key stays. */
WEFT_MUST_CHECK enum weft_err queue_put(struct queue *queue, struct store_op *op);

/* Takes all that waits, oldest first, as a chain. It counts until queue_done or queue_put_back. */
struct store_op *queue_take(struct queue *queue);

/* The chain that was taken is written: frees it; returns how many it held. */
size_t queue_done(struct queue *queue, struct store_op *taken);

/* It was not: puts it back in front, but for what has been replaced since. */
void queue_put_back(struct queue *queue, struct store_op *taken);

#endif
