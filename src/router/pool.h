/* SPDX-License-Identifier: Apache-2.0
 *
 * What the cores of one process share of routes, where there are many: frozen graphs by content,
 * and the shortest-path trees computed over them. It only remembers: with and without a pool every
 * answer is the same, byte for byte. A daemon has none.
 *
 * A graph follows from the words of those who are reached, so it is named by the sum, modulo 2^128,
 * of a keyed hash (SipHash-2-4 under two keys) of each of these words. A core keeps the sum as
 * words come and go, and finds a graph that another has frozen before without walking anything.
 * Bounded: POOL_GRAPHS_MAX graphs, the one unused for longest goes, and POOL_TREES_BYTES of trees.
 *
 * Everything here runs in one thread.
 */
#ifndef ROUTER_POOL_H
#define ROUTER_POOL_H

#include "base/peer_table.h"
#include "wire/word.h"

/* A change reaches ten thousand nodes within a second or so, in many orders: each order of the
 * words of one event is a graph for a moment. 64 of 10,000 nodes are 80 MB. */
#define POOL_GRAPHS_MAX 64
/* Trees of 10,000 nodes take 40 kB: 1,600 of them, so that as many sources may broadcast at once.
 */
#define POOL_TREES_BYTES ((size_t)64 << 20)
/* Peers whose words are known to any of the cores; beyond, words of others are refused. */
#define POOL_PEERS_MAX ((uint32_t)1 << 20)

struct frozen;
struct graph_pool;

/* The name of a graph's content. */
struct graph_key {
    uint64_t parts[2];
};

/* `key`: random, so that no peer can choose words that add up to those of others. NULL when out of
 * memory. */
struct graph_pool *graph_pool_new(const struct hash_key *key);
/* Takes NULL. Cores that use it must be gone. */
void graph_pool_free(struct graph_pool *pool);

/* By which numbers the cores keep peers; they look into the same table, and none drops a number. */
struct peer_table *graph_pool_peers(struct graph_pool *pool);

void graph_key_add(struct graph_key *key, const struct graph_pool *pool, struct wire_word *word);
void graph_key_subtract(struct graph_key *key, const struct graph_pool *pool,
                        struct wire_word *word);

/* A graph that was put, referenced for the caller, or NULL. */
struct frozen *graph_pool_find(struct graph_pool *pool, const struct graph_key *key);
/* Remembers a graph; takes a reference of its own. */
void graph_pool_put(struct graph_pool *pool, const struct graph_key *key, struct frozen *graph);

/* Accounts for a tree that a graph of the pool remembers; beyond the bound the trees of the graphs
 * unused for longest are forgotten first. */
void graph_pool_take_room(struct graph_pool *pool, size_t bytes);
void graph_pool_give_room(struct graph_pool *pool, size_t bytes);

/* How many graphs were asked for, and how many of these were there already. */
struct graph_pool_counters {
    uint64_t asked;
    uint64_t found;
    uint64_t trees; /* computed */
    uint64_t trees_found;
};
struct graph_pool_counters *graph_pool_counters(struct graph_pool *pool);

#endif
