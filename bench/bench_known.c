/* SPDX-License-Identifier: Apache-2.0
 *
 * Words and records are made here, unsigned: who verifies them is measured elsewhere (newcomer).
 */
#include "bench_known.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/rng.h"
#include "base/time.h"
#include "gossip/sync.h"
#include "pair.h"
#include "router/router.h"
#include "wire/message.h"

#define NODES 1000U
#define LINKS_EACH 8U
#define RECORDS 2000U
#define DIFFERENT 10U
#define RECORD_BYTES 300U
#define TURNS_MAX 20 /* of a reconciliation: three frames and what they carry, normally */

/* ---- paths ---- */

static void ids_make(struct weft_peer_id *ids, uint32_t count) {
    struct rng rng;
    rng_init(&rng, (const uint8_t[32]){1});
    for (uint32_t i = 0; i < count; i++) {
        pair_random(&rng, ids[i].bytes, sizeof ids[i].bytes);
    }
}

static int link_compare(const void *a, const void *b) {
    const struct wire_peer_link *left = a;
    const struct wire_peer_link *right = b;
    return weft_peer_id_compare(&left->peer, &right->peer);
}

/* In a ring, each node is linked to four on each side; the first link costs more by `extra_us`. */
static struct wire_word *word_of(const struct weft_peer_id *ids, uint32_t node, uint32_t extra_us) {
    static uint8_t bytes[2000];
    struct wire_peer_link links[LINKS_EACH];
    for (uint32_t i = 0; i < LINKS_EACH; i++) {
        uint32_t step = 1 + i / 2;
        uint32_t far = (node + (i % 2 == 0 ? step : NODES - step)) % NODES;
        links[i] = (struct wire_peer_link){.peer = ids[far],
                                           .cost_us = 1000 + 100 * i + (i == 0 ? extra_us : 0)};
    }
    qsort(links, LINKS_EACH, sizeof links[0], link_compare);
    const struct wire_peer_source source = {
        .name = "bench", .software = "", .links = links, .link_count = LINKS_EACH};
    struct wire_writer writer = wire_writer_of(bytes, sizeof bytes);
    struct wire_peer_body body;
    struct wire_word *word = NULL;
    wire_peer_body_encode(&writer, &source);
    ASSERT(wire_peer_body_decode(wire_writer_view(&writer), &body) == WEFT_OK);
    ASSERT(wire_word_new(&ids[node], &body, &word) == WEFT_OK);
    return word;
}

static struct router *router_of(const struct weft_peer_id *self) {
    const struct router_config config = {.self = *self, .peers_max = NODES};
    struct router *router = NULL;
    ASSERT(router_new(&config, &router) == WEFT_OK);
    return router;
}

static void tell(struct router *router, const struct weft_peer_id *ids, uint32_t node,
                 uint32_t extra_us, weft_ns now) {
    struct wire_word *word = word_of(ids, node, extra_us);
    ASSERT(router_set_peer(router, word, now) == WEFT_OK);
    wire_word_unref(word);
}

static void compute(struct router *router, const struct weft_peer_id *far, weft_ns now) {
    router_clock(router, now);
    ASSERT(router_update(router, now));
    ASSERT(router_path_to(router, far).is_reachable);
}

void bench_paths_changed(unsigned long count) {
    static struct weft_peer_id ids[NODES];
    weft_ns now = 0;
    ids_make(ids, NODES);
    struct router *router = router_of(&ids[0]);
    for (uint32_t i = 0; i < NODES; i++) {
        tell(router, ids, i, 0, now);
    }
    for (unsigned long i = 0; i < count; i++) {
        now += 5 * NS_PER_S;
        tell(router, ids, 1 + (uint32_t)(i * 37 % (NODES - 1)), 1 + i % 2, now);
        now += 5 * NS_PER_S;
        compute(router, &ids[NODES / 2], now);
    }
    router_free(router);
}

void bench_paths_all(unsigned long count) {
    static struct weft_peer_id ids[NODES];
    static struct wire_word *words[NODES];
    ids_make(ids, NODES);
    for (uint32_t i = 0; i < NODES; i++) {
        words[i] = word_of(ids, i, 0);
    }
    for (unsigned long i = 0; i < count; i++) {
        struct router *router = router_of(&ids[0]);
        for (uint32_t j = 0; j < NODES; j++) {
            ASSERT(router_set_peer(router, words[j], 0) == WEFT_OK);
        }
        compute(router, &ids[NODES / 2], 5 * NS_PER_S);
        ASSERT(router_reachable_count(router) == NODES - 1);
        router_free(router);
    }
    for (uint32_t i = 0; i < NODES; i++) {
        wire_word_unref(words[i]);
    }
}

/* ---- record sets ---- */

/* A service of the owner's, as record_open would have left it. */
static struct record *record_of(const struct weft_peer_id *owner, uint64_t version) {
    struct record *record = calloc(1, sizeof *record + RECORD_BYTES);
    ASSERT(record != NULL);
    uint8_t *encoded = (uint8_t *)(record + 1);
    memcpy(encoded, owner->bytes, sizeof owner->bytes);
    memcpy(encoded + sizeof owner->bytes, &version, sizeof version);
    record->reference_count = 1;
    record->kind = WIRE_RECORD_PEER;
    record->owner = *owner;
    record->incarnation = 1;
    record->version = version;
    record->encoded = span_of(encoded, RECORD_BYTES);
    record->key = span_of(NULL, 0);
    record_place(record->kind, owner, record->key, record->place);
    record_fingerprint(record->encoded, record->fingerprint);
    return record;
}

static void put(struct recordset *set, struct record *record, enum recordset_verdict expected) {
    enum recordset_verdict verdict = recordset_put(set, record, 0);
    ASSERT(verdict == expected);
}

static struct recordset *set_new(void) {
    const struct recordset_config config = {.hash_key = {{7}},
                                            .records_max = 65536,
                                            .owner_records_max = 1024,
                                            .owner_bytes_max = (size_t)256 * 1024,
                                            .stranger_records_max = 2048};
    struct recordset *set = NULL;
    ASSERT(recordset_new(&config, &set) == WEFT_OK);
    return set;
}

struct sides {
    struct recordset *sets[2];
    struct weft_peer_id owners[RECORDS];
    size_t moved; /* records that the second took from the first */
};

static void take(void *ctx, struct record *record) {
    struct sides *sides = ctx;
    put(sides->sets[1], record, RECORDSET_UPDATED);
    sides->moved++;
}

/* What the second has is older, so the first wants it and finds that. */
static void refuse(void *ctx, struct record *record) {
    struct sides *sides = ctx;
    struct record *newer = recordset_find_place(sides->sets[0], record->place);
    ASSERT(newer != NULL && record_is_newer(newer, record));
    take(sides, newer);
}

/* Frames go to and fro, the second set answering first, until one needs no answer. */
static void reconcile(struct sides *sides, uint64_t salt) {
    static uint8_t bodies[2][WIRE_BODY_BYTES_MAX];
    struct wire_writer writer = wire_writer_of(bodies[0], sizeof bodies[0]);
    struct wire_sync sync;
    struct sync_result result = {.has_answer = true};
    sync_begin(sides->sets[0], salt, &writer);
    for (unsigned turn = 0; result.has_answer; turn++) {
        ASSERT(turn < TURNS_MAX);
        bool is_second = turn % 2 == 0;
        ASSERT(wire_sync_decode(wire_writer_view(&writer), &sync) == WEFT_OK);
        writer = wire_writer_of(bodies[is_second], sizeof bodies[0]);
        enum weft_err err = sync_answer(sides->sets[is_second], &sync, &writer,
                                        is_second ? refuse : take, sides, &result);
        ASSERT(err == WEFT_OK);
    }
}

static void sides_init(struct sides *sides) {
    ids_make(sides->owners, RECORDS);
    for (unsigned side = 0; side < 2; side++) {
        sides->sets[side] = set_new();
        for (uint32_t i = 0; i < RECORDS; i++) {
            struct record *record = record_of(&sides->owners[i], 1);
            recordset_set_live(sides->sets[side], &record->owner, true, 0);
            put(sides->sets[side], record, RECORDSET_ADDED);
            record_unref(record);
        }
    }
}

void bench_sync(unsigned long count) {
    static struct sides sides;
    sides_init(&sides);
    for (unsigned long i = 0; i < count; i++) {
        for (uint32_t j = 0; j < DIFFERENT; j++) {
            uint32_t owner = (uint32_t)(i * DIFFERENT + j) * 37U % RECORDS;
            struct record *record = record_of(&sides.owners[owner], i + 2);
            put(sides.sets[0], record, RECORDSET_UPDATED);
            record_unref(record);
        }
        reconcile(&sides, i);
    }
    ASSERT(sides.moved == count * DIFFERENT);
    recordset_free(sides.sets[0]);
    recordset_free(sides.sets[1]);
}
