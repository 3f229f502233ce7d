/* SPDX-License-Identifier: Apache-2.0
 *
 * Small numbers for peer ids, so that what is kept of each peer can lie in plain arrays. A number
 * stays its id's until it is given back, and is then the first to be used again.
 *
 * The cores of one process, in the simulator, share one table (router/pool.h): ten thousand of them
 * then look into the same half megabyte, which stays in the cache, instead of into an index of each
 * their own. A shared table gives back no number. Nothing may depend on which number an id has.
 *
 * Open addressing with linear probing, at most four fifths full, under a keyed hash: peers choose
 * their ids.
 */
#ifndef BASE_PEER_TABLE_H
#define BASE_PEER_TABLE_H

#include "base/mix.h"
#include "weft/types.h"

#define PEER_TABLE_NONE UINT32_MAX

struct peer_table {
    struct mix mix;
    struct weft_peer_id *ids; /* by number */
    uint32_t *cells;          /* number + 1; 0: free */
    uint32_t cell_count;
    uint32_t *free_numbers; /* given back */
    uint32_t free_count;
    uint32_t count; /* ids that have a number */
    uint32_t used;  /* numbers ever used: all are below */
    uint32_t size;  /* of ids and free_numbers */
    uint32_t count_max;
};

/* At most count_max (>= 1) ids; allocates nothing. */
void peer_table_init(struct peer_table *table, const struct hash_key *key, uint32_t count_max);
/* Takes zeroed memory. */
void peer_table_fini(struct peer_table *table);

/* The id's number, or PEER_TABLE_NONE if it has none. */
uint32_t peer_table_find(const struct peer_table *table, const struct weft_peer_id *id);

/* The id's number, a new one if it has none; PEER_TABLE_NONE when out of memory or at the bound. */
uint32_t peer_table_take(struct peer_table *table, const struct weft_peer_id *id);

/* Gives a number back that an id has. */
void peer_table_drop(struct peer_table *table, uint32_t number);

#endif
