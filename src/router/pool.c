/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory of a process: a small table that is searched from end to end.
 */
#include "router/pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "router/frozen.h"

struct pooled {
    struct graph_key key;
    struct frozen *graph;
    uint64_t used_at; /* the look-up that used it last */
};

struct graph_pool {
    struct peer_table peers;
    struct hash_key keys[2];
    uint64_t tag_key; /* names this pool's tags in a word; never 0 */
    struct pooled graphs[POOL_GRAPHS_MAX];
    uint32_t count;
    size_t tree_bytes;
    struct graph_pool_counters counters; /* .asked numbers the look-ups too */
};

/* Three keys from one: hashes of three labels under it. */
static uint64_t key_part(const struct hash_key *key, uint8_t label) {
    return hash_keyed(key, span_of(&label, 1));
}

struct graph_pool *graph_pool_new(const struct hash_key *key) {
    struct graph_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL) {
        return NULL;
    }
    for (uint8_t i = 0; i < 4; i++) {
        uint64_t part = key_part(key, i);
        memcpy(pool->keys[i / 2].bytes + sizeof part * (i % 2), &part, sizeof part);
    }
    pool->tag_key = key_part(key, 4) | 1;
    peer_table_init(&pool->peers, key, POOL_PEERS_MAX);
    return pool;
}

/* Cores may go on using the graph; its trees are no longer remembered. */
static void pooled_drop(struct pooled *pooled) {
    frozen_trees_drop(pooled->graph);
    pooled->graph->pool = NULL;
    frozen_unref(pooled->graph);
}

void graph_pool_free(struct graph_pool *pool) {
    if (pool == NULL) {
        return;
    }
    for (uint32_t i = 0; i < pool->count; i++) {
        pooled_drop(&pool->graphs[i]);
    }
    ASSERT(pool->tree_bytes == 0);
    peer_table_fini(&pool->peers);
    free(pool);
}

struct peer_table *graph_pool_peers(struct graph_pool *pool) {
    return &pool->peers;
}

/* A word is hashed once a process; only the note of it changes in the word. */
static const uint64_t *tag_of(const struct graph_pool *pool, struct wire_word *word) {
    if (word->tag_key != pool->tag_key) {
        struct span content = wire_word_content(word);
        word->tag[0] = hash_keyed(&pool->keys[0], content);
        word->tag[1] = hash_keyed(&pool->keys[1], content);
        word->tag_key = pool->tag_key;
    }
    return word->tag;
}

void graph_key_add(struct graph_key *key, const struct graph_pool *pool, struct wire_word *word) {
    const uint64_t *tag = tag_of(pool, word);
    key->parts[0] += tag[0];
    key->parts[1] += tag[1];
}

void graph_key_subtract(struct graph_key *key, const struct graph_pool *pool,
                        struct wire_word *word) {
    const uint64_t *tag = tag_of(pool, word);
    key->parts[0] -= tag[0];
    key->parts[1] -= tag[1];
}

struct frozen *graph_pool_find(struct graph_pool *pool, const struct graph_key *key) {
    pool->counters.asked++;
    for (uint32_t i = 0; i < pool->count; i++) {
        struct pooled *pooled = &pool->graphs[i];
        if (pooled->key.parts[0] == key->parts[0] && pooled->key.parts[1] == key->parts[1]) {
            pooled->used_at = pool->counters.asked;
            pool->counters.found++;
            return frozen_ref(pooled->graph);
        }
    }
    return NULL;
}

/* An empty place: a new one, or that of the graph unused for longest. */
static struct pooled *place_take(struct graph_pool *pool) {
    if (pool->count < POOL_GRAPHS_MAX) {
        return &pool->graphs[pool->count++];
    }
    struct pooled *oldest = &pool->graphs[0];
    for (uint32_t i = 1; i < pool->count; i++) {
        oldest = pool->graphs[i].used_at < oldest->used_at ? &pool->graphs[i] : oldest;
    }
    pooled_drop(oldest);
    return oldest;
}

void graph_pool_put(struct graph_pool *pool, const struct graph_key *key, struct frozen *graph) {
    struct pooled *place = place_take(pool);
    graph->pool = pool;
    *place =
        (struct pooled){.key = *key, .graph = frozen_ref(graph), .used_at = pool->counters.asked};
}

/* The graph unused for longest that remembers trees, or NULL. */
static struct pooled *oldest_with_trees(struct graph_pool *pool) {
    struct pooled *oldest = NULL;
    for (uint32_t i = 0; i < pool->count; i++) {
        struct pooled *pooled = &pool->graphs[i];
        if (pooled->graph->tree_bytes > 0 &&
            (oldest == NULL || pooled->used_at < oldest->used_at)) {
            oldest = pooled;
        }
    }
    return oldest;
}

void graph_pool_take_room(struct graph_pool *pool, size_t bytes) {
    pool->tree_bytes += bytes;
    while (pool->tree_bytes > POOL_TREES_BYTES) {
        struct pooled *oldest = oldest_with_trees(pool);
        if (oldest == NULL) {
            return; /* one tree beyond the bound of all */
        }
        frozen_trees_drop(oldest->graph);
    }
}

void graph_pool_give_room(struct graph_pool *pool, size_t bytes) {
    ASSERT(pool->tree_bytes >= bytes);
    pool->tree_bytes -= bytes;
}

struct graph_pool_counters *graph_pool_counters(struct graph_pool *pool) {
    return &pool->counters;
}
