/* SPDX-License-Identifier: Apache-2.0
 *
 * Builders for the gossip tests.
 */
#include "kit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <criterion/criterion.h>

void kit_identity(uint32_t index, struct identity *out) {
    uint8_t seed[IDENTITY_SEED_BYTES] = {1};
    memcpy(seed + 1, &index, sizeof index);
    cr_assert_eq(noise_setup(), WEFT_OK);
    identity_from_seed(out, seed);
}

static void kit_random(void *ctx, uint8_t *out, size_t len) {
    struct rng *rng = ctx;
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)rng_next(rng);
    }
}

struct host kit_host(struct rng *rng) {
    return (struct host){.ctx = rng, .random = kit_random};
}

struct rng kit_rng(uint64_t seed) {
    uint8_t bytes[32] = {0};
    struct rng rng;
    memcpy(bytes, &seed, sizeof seed);
    rng_init(&rng, bytes);
    return rng;
}

uint64_t kit_seed(void) {
    const char *text = getenv("WEFT_TEST_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : 20261120;
    fprintf(stderr, "WEFT_TEST_SEED=%" PRIu64 "\n", seed);
    return seed;
}

struct recordset_config kit_bounds(void) {
    return (struct recordset_config){.hash_key = {{7}},
                                     .records_max = 65536,
                                     .owner_records_max = 1024,
                                     .owner_bytes_max = 256 * 1024,
                                     .stranger_records_max = 2048};
}

static struct record *sign(const struct identity *identity, const struct wire_record *fields) {
    struct record *record = NULL;
    cr_assert_eq(record_sign(identity, fields, &record), WEFT_OK);
    return record;
}

struct record *kit_signed(const struct identity *identity, uint16_t kind, const char *key,
                          uint64_t incarnation, uint64_t version, const char *body) {
    struct wire_record fields = {.kind = kind,
                                 .key = span_of_text(key),
                                 .incarnation = incarnation,
                                 .version = version,
                                 .body = span_of_text(body)};
    return sign(identity, &fields);
}

struct record *kit_tombstone(const struct identity *identity, uint16_t kind, const char *key,
                             uint64_t incarnation, uint64_t version) {
    struct wire_record fields = {.kind = kind,
                                 .flags = WIRE_RECORD_TOMBSTONE,
                                 .key = span_of_text(key),
                                 .incarnation = incarnation,
                                 .version = version};
    return sign(identity, &fields);
}

size_t kit_peer_body(uint8_t *out, size_t size, uint64_t instance, const char *name) {
    struct wire_writer writer = wire_writer_of(out, size);
    struct wire_peer_source source = {.name = name, .software = "0", .instance = instance};
    wire_peer_body_encode(&writer, &source);
    cr_assert(!writer.has_failed);
    return writer.len;
}

struct record *kit_peer(const struct identity *identity, uint64_t incarnation, uint64_t version,
                        uint64_t instance) {
    uint8_t body[512];
    size_t len = kit_peer_body(body, sizeof body, instance, "peer");
    struct wire_record fields = {.kind = WIRE_RECORD_PEER,
                                 .incarnation = incarnation,
                                 .version = version,
                                 .body = span_of(body, len)};
    return sign(identity, &fields);
}

struct weft_peer_id kit_owner(uint32_t owner) {
    struct weft_peer_id id = {{0xee}};
    memcpy(id.bytes + 1, &owner, sizeof owner);
    return id;
}

struct record *kit_shaped(uint32_t owner, uint16_t kind, uint32_t key, uint64_t incarnation,
                          uint64_t version, size_t bytes) {
    cr_assert_geq(bytes, 32);
    struct record *record = calloc(1, sizeof *record + bytes);
    cr_assert_not_null(record);
    uint8_t *encoded = (uint8_t *)record + sizeof *record;
    memcpy(encoded, &owner, 4);
    memcpy(encoded + 4, &kind, 2);
    memcpy(encoded + 8, &key, 4);
    memcpy(encoded + 12, &incarnation, 8);
    memcpy(encoded + 20, &version, 8);
    record->reference_count = 1;
    record->kind = kind;
    record->owner = kit_owner(owner);
    record->incarnation = incarnation;
    record->version = version;
    record->encoded = span_of(encoded, bytes);
    record->key = kind == WIRE_RECORD_PEER ? span_of(NULL, 0) : span_of(encoded + 8, 4);
    record_place(kind, &record->owner, record->key, record->place);
    noise_hash("test", span_of(encoded, 28), record->fingerprint);
    return record;
}

struct wire_frame kit_records_frame(uint8_t *out, struct record *const *records, size_t count) {
    struct wire_writer writer = wire_writer_of(out, WIRE_BODY_BYTES_MAX);
    for (size_t i = 0; i < count; i++) {
        wire_write_u16(&writer, (uint16_t)records[i]->encoded.len);
        wire_write_bytes(&writer, records[i]->encoded);
    }
    cr_assert(!writer.has_failed);
    return (struct wire_frame){.kind = WIRE_RECORDS, .body = wire_writer_view(&writer)};
}

static size_t solo_children(void *ctx, const struct weft_peer_id *source, struct weft_peer_id *out,
                            size_t max) {
    struct solo *solo = ctx;
    (void)source;
    cr_assert_leq(solo->child_count, max);
    memcpy(out, solo->children, solo->child_count * sizeof *out);
    return solo->child_count;
}

static uint64_t solo_digest(void *ctx) {
    return ((struct solo *)ctx)->digest;
}

static size_t solo_behind(void *ctx, const struct weft_peer_id *neighbour) {
    (void)ctx;
    (void)neighbour;
    return 1;
}

static size_t solo_degree(void *ctx, const struct weft_peer_id *peer) {
    const struct solo *solo = ctx;
    (void)peer;
    return solo->degree;
}

struct gossip_config solo_config(struct solo *solo, uint64_t incarnation, uint64_t instance) {
    return (struct gossip_config){.identity = &solo->identity,
                                  .host = &solo->host,
                                  .routes = {.ctx = solo,
                                             .children = solo_children,
                                             .digest = solo_digest,
                                             .peers_behind = solo_behind,
                                             .degree = solo_degree},
                                  .hash_key = {{9}},
                                  .incarnation = incarnation,
                                  .instance = instance,
                                  .records = kit_bounds(),
                                  .fade_after = 600 * (weft_ns)1000000000,
                                  .pending_bytes_max = 1 << 20};
}

void solo_init(struct solo *solo, uint32_t identity, uint64_t incarnation, uint64_t instance) {
    memset(solo, 0, sizeof *solo);
    kit_identity(identity, &solo->identity);
    solo->rng = kit_rng(identity);
    solo->host = kit_host(&solo->rng);
    solo->digest = 77;
    solo->now = 1000000000;
    struct gossip_config config = solo_config(solo, incarnation, instance);
    cr_assert_eq(gossip_new(&config, &solo->gossip), WEFT_OK);
}

void solo_fini(struct solo *solo) {
    gossip_free(solo->gossip);
    identity_fini(&solo->identity);
}

void solo_link(struct solo *solo, uint64_t link, uint32_t peer) {
    struct identity identity;
    kit_identity(peer, &identity);
    cr_assert_eq(gossip_link_up(solo->gossip, (struct link_id){link}, &identity.id, solo->now),
                 WEFT_OK);
}

enum weft_err solo_hear(struct solo *solo, uint64_t link, struct record *const *records,
                        size_t count) {
    static const size_t size = WIRE_BODY_BYTES_MAX;
    uint8_t *bytes = malloc(size);
    struct wire_frame frame = kit_records_frame(bytes, records, count);
    enum weft_err err = gossip_frame(solo->gossip, (struct link_id){link}, &frame, solo->now);
    free(bytes);
    return err;
}

enum weft_err solo_hear_one(struct solo *solo, uint64_t link, struct record *record) {
    return solo_hear(solo, link, &record, 1);
}

size_t solo_events(struct solo *solo, enum gossip_event_kind kind) {
    struct gossip_event event;
    size_t count = 0;
    while (gossip_next_event(solo->gossip, &event)) {
        count += event.kind == kind ? 1 : 0;
        record_unref(event.record);
    }
    return count;
}

enum weft_err solo_hear_sync(struct solo *solo, uint64_t link) {
    uint8_t body[64];
    struct wire_writer writer = wire_writer_of(body, sizeof body);
    wire_write_u64(&writer, 1);
    wire_sync_item_encode(&writer, &(struct wire_sync_item){.mode = WIRE_SYNC_LIST});
    struct wire_frame frame = {.kind = WIRE_SYNC, .body = wire_writer_view(&writer)};
    return gossip_frame(solo->gossip, (struct link_id){link}, &frame, solo->now);
}

size_t solo_outputs(struct solo *solo, uint64_t link, uint8_t kind) {
    struct gossip_output output;
    size_t count = 0;
    while (gossip_next_output(solo->gossip, solo->now, &output)) {
        count += output.link.value == link && output.frame->data[0] == kind ? 1 : 0;
        frame_unref(output.frame);
    }
    return count;
}

static uint64_t version_in(struct span list, const struct weft_peer_id *owner, uint16_t kind) {
    uint64_t version = 0;
    struct wire_reader reader = wire_reader_of(list);
    while (wire_reader_more(&reader)) {
        struct span encoded;
        struct wire_record fields;
        cr_assert_eq(wire_records_next(&reader, &encoded), WEFT_OK);
        cr_assert_eq(wire_record_decode(encoded, &fields), WEFT_OK);
        struct weft_peer_id id = peer_id_of_key(&fields.owner);
        version = fields.kind == kind && weft_peer_id_equal(&id, owner) ? fields.version : version;
    }
    return version;
}

bool kit_tells_records(const struct frame *frame) {
    return frame->data[0] == WIRE_RECORDS || frame->data[0] == WIRE_DELTAS;
}

/* The same of a frame of deltas, which name records by the set they are in. */
static uint64_t delta_version_in(const struct recordset *set, struct span list,
                                 const struct weft_peer_id *owner, uint16_t kind) {
    uint64_t version = 0;
    struct wire_reader reader = wire_reader_of(list);
    while (wire_reader_more(&reader)) {
        struct wire_delta delta;
        cr_assert_eq(wire_deltas_next(&reader, &delta), WEFT_OK);
        const struct record *record = recordset_at(set, recordset_named(set, delta.name, 0));
        cr_assert_not_null(record);
        bool is_it = record->kind == kind && weft_peer_id_equal(&record->owner, owner);
        version = is_it ? delta.version : version;
    }
    return version;
}

uint64_t solo_sent_version(struct solo *solo, uint64_t link, const struct weft_peer_id *owner,
                           uint16_t kind) {
    struct gossip_output output;
    uint64_t version = 0;
    while (gossip_next_output(solo->gossip, solo->now, &output)) {
        if (output.link.value == link && kit_tells_records(output.frame)) {
            struct span body = span_of(output.frame->data + 4, output.frame->len - 4);
            uint64_t found =
                output.frame->data[0] == WIRE_RECORDS
                    ? version_in(body, owner, kind)
                    : delta_version_in(gossip_records(solo->gossip), body, owner, kind);
            version = found != 0 ? found : version;
        }
        frame_unref(output.frame);
    }
    return version;
}

void solo_publish(struct solo *solo, const char *name, uint64_t instance) {
    uint8_t body[512];
    size_t len = kit_peer_body(body, sizeof body, instance, name);
    cr_assert_eq(gossip_publish(solo->gossip, WIRE_RECORD_PEER, span_of(NULL, 0),
                                span_of(body, len), solo->now),
                 WEFT_OK);
}
