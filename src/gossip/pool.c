/* SPDX-License-Identifier: Apache-2.0
 *
 * Records in chains by a keyed hash of their signature; the whole encoding decides. Genuine
 * messages of other kinds in a table of hashes, where a newer one takes an older one's place,
 * and so do deltas.
 */
#include "gossip/pool.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/mix.h"
#include "gossip/delta.h"

#define BUCKETS_FIRST 256              /* doubled when there are more records */
#define OWNERS_MAX ((uint32_t)1 << 22) /* that any of the sets has heard of */
#define GENUINE_ROWS 4096 /* of broadcasts: what 10,000 nodes have in flight at a time */
/* Of what 10,000 nodes change within seconds; no memory is taken when a row is filled, so that
 * where memory is short all goes as without a pool. */
#define DELTA_ROWS 16384
/* One link changed takes 85; what a seed tells, through which many join, several hundred, and to
 * make that anew for each neighbour of each node took 4 % of all time while a mesh formed. */
#define DELTA_ROW_BYTES 830
#define GENUINE_DOMAIN "weft genuine 1"

struct genuine {
    uint8_t hash[32]; /* zero: a free row */
};

/* What changed between two records, known by their fingerprints. */
struct delta_row {
    uint8_t record[32];
    uint8_t base[32];
    bool is_set;
    uint16_t len; /* 0: it goes whole */
    uint8_t bytes[DELTA_ROW_BYTES];
};

struct record_pool {
    struct mix mix;
    struct peer_table peers;
    struct record **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;
    size_t count_max;
    uint64_t spared;
    struct genuine genuine[GENUINE_ROWS];
    struct delta_row deltas[DELTA_ROWS];
    uint8_t scratch[RECORD_POOL_SCRATCH_BYTES];
};

struct record_pool *record_pool_new(const struct hash_key *key, size_t count_max) {
    ASSERT(count_max >= 1);
    struct record_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL) {
        return NULL;
    }
    mix_init(&pool->mix, key);
    peer_table_init(&pool->peers, key, OWNERS_MAX);
    pool->count_max = count_max;
    pool->bucket_count = BUCKETS_FIRST;
    pool->buckets = calloc(BUCKETS_FIRST, sizeof(struct record *));
    if (pool->buckets == NULL) {
        free(pool);
        return NULL;
    }
    return pool;
}

void record_pool_free(struct record_pool *pool) {
    if (pool == NULL) {
        return;
    }
    for (size_t i = 0; i < pool->bucket_count; i++) {
        for (struct record *at = pool->buckets[i]; at != NULL; at = at->pool_next) {
            at->pool = NULL;
        }
    }
    free(pool->buckets);
    peer_table_fini(&pool->peers);
    free(pool);
}

struct peer_table *record_pool_peers(struct record_pool *pool) {
    return &pool->peers;
}

static struct record **bucket_of(const struct record_pool *pool, uint32_t hash) {
    return &pool->buckets[hash & (pool->bucket_count - 1)];
}

static void link_in(struct record_pool *pool, struct record *record) {
    struct record **bucket = bucket_of(pool, record->pool_hash);
    record->pool_next = *bucket;
    *bucket = record;
}

/* Twice the buckets; short of memory it goes on with longer chains. */
static void grow(struct record_pool *pool) {
    struct record **old = pool->buckets;
    size_t count = pool->bucket_count;
    struct record **buckets = calloc(count * 2, sizeof(struct record *));
    if (buckets == NULL) {
        return;
    }
    pool->buckets = buckets;
    pool->bucket_count = count * 2;
    for (size_t i = 0; i < count; i++) {
        struct record *at = old[i];
        while (at != NULL) {
            struct record *next = at->pool_next;
            link_in(pool, at);
            at = next;
        }
    }
    free(old);
}

/* Of eight bytes of the signature's point and eight of its scalar: a signer can choose either, but
 * not both. Whatever is shorter than a signature is no record. */
static uint32_t hash_of(const struct record_pool *pool, struct span encoded) {
    uint8_t picked[MIX_BYTES] = {0};
    if (encoded.len >= SIGNATURE_BYTES) {
        const uint8_t *signature = encoded.data + (encoded.len - SIGNATURE_BYTES);
        memcpy(picked, signature, MIX_BYTES / 2);
        memcpy(picked + MIX_BYTES / 2, signature + SIGNATURE_BYTES / 2, MIX_BYTES / 2);
    }
    return mix_hash(&pool->mix, picked);
}

static struct record *find(const struct record_pool *pool, uint32_t hash, struct span encoded) {
    struct record *at = *bucket_of(pool, hash);
    while (at != NULL && (at->pool_hash != hash || !span_equal(at->encoded, encoded))) {
        at = at->pool_next;
    }
    return at;
}

static void enter(struct record_pool *pool, uint32_t hash, struct record *record) {
    if (pool->count >= pool->count_max) {
        return;
    }
    if (pool->count >= pool->bucket_count) {
        grow(pool);
    }
    record->pool = pool;
    record->pool_hash = hash;
    link_in(pool, record);
    pool->count++;
}

struct record *record_pool_find(const struct record_pool *pool, struct span encoded) {
    return pool != NULL ? find(pool, hash_of(pool, encoded), encoded) : NULL;
}

enum weft_err record_pool_open(struct record_pool *pool, struct span encoded, struct record **out) {
    if (pool == NULL) {
        return record_open(encoded, out);
    }
    uint32_t hash = hash_of(pool, encoded);
    struct record *known = find(pool, hash, encoded);
    if (known != NULL) {
        pool->spared++;
        *out = record_ref(known);
        return WEFT_OK;
    }
    enum weft_err err = record_open(encoded, out);
    if (err == WEFT_OK) {
        enter(pool, hash, *out);
    }
    return err;
}

struct record *record_pool_share(struct record_pool *pool, struct record *record) {
    if (pool == NULL) {
        return record;
    }
    uint32_t hash = hash_of(pool, record->encoded);
    struct record *known = find(pool, hash, record->encoded);
    if (known == NULL) {
        enter(pool, hash, record);
        return record;
    }
    known = record_ref(known); /* it may be the same one */
    record_unref(record);
    return known;
}

static struct delta_row *delta_row_of(const struct record *base, const struct record *record) {
    struct record_pool *pool = record->pool;
    return &pool->deltas[(record->pool_hash ^ base->pool_hash) % DELTA_ROWS];
}

static bool is_delta_of(const struct delta_row *row, const struct record *base,
                        const struct record *record) {
    return row->is_set && memcmp(row->record, record->fingerprint, sizeof row->record) == 0 &&
           memcmp(row->base, base->fingerprint, sizeof row->base) == 0;
}

/* In the place of what was in the row. Long ones are rare and made each time. */
static void remember_delta(struct delta_row *row, const struct record *base,
                           const struct record *record, struct span bytes) {
    if (bytes.len > sizeof row->bytes) {
        return;
    }
    row->is_set = true;
    memcpy(row->record, record->fingerprint, sizeof row->record);
    memcpy(row->base, base->fingerprint, sizeof row->base);
    row->len = (uint16_t)bytes.len;
    if (bytes.len > 0) {
        memcpy(row->bytes, bytes.data, bytes.len);
    }
}

bool record_pool_delta(struct wire_writer *writer, const struct record *base,
                       const struct record *record) {
    if (record->pool == NULL || base->pool != record->pool) {
        return delta_write(writer, base, record);
    }
    struct delta_row *row = delta_row_of(base, record);
    if (is_delta_of(row, base, record)) {
        wire_write_bytes(writer, span_of(row->bytes, row->len));
        return row->len > 0;
    }
    size_t before = writer->len;
    bool is_delta = delta_write(writer, base, record);
    remember_delta(row, base, record, span_of(writer->data + before, writer->len - before));
    return is_delta;
}

void record_pool_leave(struct record *record) {
    struct record_pool *pool = record->pool;
    if (pool == NULL) {
        return;
    }
    struct record **at = bucket_of(pool, record->pool_hash);
    while (*at != record) {
        ASSERT(*at != NULL);
        at = &(*at)->pool_next;
    }
    *at = record->pool_next;
    record->pool = NULL;
    pool->count--;
}

/* The row where a message stands if it is remembered, and its hash: over all that verifying
 * depends on. */
static struct genuine *row_of(struct record_pool *pool, const struct weft_public_key *key,
                              const char *domain, struct span signed_bytes, uint8_t hash[32]) {
    uint8_t input[32 + WEFT_KEY_BYTES];
    noise_hash(domain, signed_bytes, input);
    memcpy(input + 32, key->bytes, WEFT_KEY_BYTES);
    noise_hash(GENUINE_DOMAIN, span_of(input, sizeof input), hash);
    return &pool->genuine[((size_t)hash[0] << 8 | hash[1]) % GENUINE_ROWS];
}

bool record_pool_verify(struct record_pool *pool, const struct weft_public_key *key,
                        const char *domain, struct span message,
                        const uint8_t signature[SIGNATURE_BYTES]) {
    if (pool == NULL) {
        return identity_verify(key, domain, message, signature);
    }
    ASSERT(signature == message.data + message.len);
    uint8_t hash[32];
    struct span signed_bytes = span_of(message.data, message.len + SIGNATURE_BYTES);
    struct genuine *row = row_of(pool, key, domain, signed_bytes, hash);
    if (memcmp(row->hash, hash, sizeof hash) == 0) {
        pool->spared++;
        return true;
    }
    if (!identity_verify(key, domain, message, signature)) {
        return false;
    }
    memcpy(row->hash, hash, sizeof hash);
    return true;
}

uint8_t *record_pool_scratch(struct record_pool *pool) {
    return pool->scratch;
}

size_t record_pool_count(const struct record_pool *pool) {
    return pool->count;
}

uint64_t record_pool_spared(const struct record_pool *pool) {
    return pool->spared;
}
