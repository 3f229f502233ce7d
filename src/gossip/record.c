/* SPDX-License-Identifier: Apache-2.0
 *
 * One signed record: opened from a peer's bytes or signed for ourselves. A record is one
 * allocation, its encoding behind the struct, and never changes afterwards.
 */
#include "gossip/recordset.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/defect.h"
#include "gossip/pool.h"

#define RECORD_DOMAIN "weft record 1"
#define PLACE_DOMAIN "weft place 1"
#define FINGERPRINT_DOMAIN "weft fingerprint 1"

/* Kind, owner, key: what a place is the hash of. */
#define PLACE_INPUT_BYTES_MAX (2 + WEFT_PEER_ID_BYTES + WIRE_RECORD_KEY_MAX)

void record_place(uint16_t kind, const struct weft_peer_id *owner, struct span key,
                  uint8_t place[32]) {
    ASSERT(key.len <= WIRE_RECORD_KEY_MAX);
    uint8_t input[PLACE_INPUT_BYTES_MAX];
    struct wire_writer writer = wire_writer_of(input, sizeof input);
    wire_write_u16(&writer, kind);
    wire_write_peer(&writer, owner);
    wire_write_bytes(&writer, key);
    noise_hash(PLACE_DOMAIN, wire_writer_view(&writer), place);
}

void record_fingerprint(struct span encoded, uint8_t fingerprint[32]) {
    noise_hash(FINGERPRINT_DOMAIN, encoded, fingerprint);
}

/* Room for an encoding of `len` bytes behind the struct. */
static struct record *record_alloc(size_t len) {
    struct record *record = malloc(sizeof *record + len);
    if (record != NULL) {
        memset(record, 0, sizeof *record);
        record->reference_count = 1;
        record->encoded = span_of((uint8_t *)record + sizeof *record, len);
    }
    return record;
}

static uint8_t *record_bytes(struct record *record) {
    return (uint8_t *)record + sizeof *record;
}

/* Fills the struct from the encoding behind it, which must be sound. */
static enum weft_err record_fill(struct record *record) {
    struct wire_record fields;
    enum weft_err err = wire_record_decode(record->encoded, &fields);
    if (err != WEFT_OK) {
        return err;
    }
    record->kind = fields.kind;
    record->is_tombstone = (fields.flags & WIRE_RECORD_TOMBSTONE) != 0;
    record->owner = peer_id_of_key(&fields.owner);
    record->owner_key = fields.owner;
    record->incarnation = fields.incarnation;
    record->version = fields.version;
    record->key = fields.key;
    record->body = fields.body;
    record_place(record->kind, &record->owner, record->key, record->place);
    record_fingerprint(record->encoded, record->fingerprint);
    return WEFT_OK;
}

static bool is_ordinal(uint64_t number) {
    return number >= 1 && number < WIRE_VERSION_LIMIT;
}

/* Decodes, and checks what the layout alone does not say. */
static enum weft_err record_check(struct span encoded, struct wire_record *fields) {
    enum weft_err err = wire_record_decode(encoded, fields);
    if (err != WEFT_OK) {
        return err;
    }
    bool is_tombstone = (fields->flags & WIRE_RECORD_TOMBSTONE) != 0;
    bool is_sound = is_ordinal(fields->incarnation) && is_ordinal(fields->version) &&
                    (!is_tombstone || fields->body.len == 0);
    return is_sound ? WEFT_OK : WEFT_ERR_MALFORMED;
}

enum weft_err record_open(struct span encoded, struct record **out) {
    struct wire_record fields;
    enum weft_err err = record_check(encoded, &fields);
    if (err != WEFT_OK) {
        return err;
    }
    if (!DEFECT(RECORD_UNSIGNED) &&
        !identity_verify(&fields.owner, RECORD_DOMAIN, fields.signed_part, fields.signature.data)) {
        return WEFT_ERR_AUTH;
    }
    struct record *record = record_alloc(encoded.len);
    if (record == NULL) {
        return WEFT_ERR_MEMORY;
    }
    memcpy(record_bytes(record), encoded.data, encoded.len);
    err = record_fill(record);
    if (err != WEFT_OK) {
        record_unref(record);
        return err;
    }
    *out = record;
    return WEFT_OK;
}

/* Encodes and signs into the record's own bytes. */
static enum weft_err record_write(struct record *record, const struct identity *identity,
                                  const struct wire_record *fields) {
    uint8_t signature[SIGNATURE_BYTES];
    struct wire_writer writer = wire_writer_of(record_bytes(record), record->encoded.len);
    wire_record_encode_unsigned(&writer, fields);
    if (writer.has_failed) {
        return WEFT_ERR_INVALID;
    }
    identity_sign(identity, RECORD_DOMAIN, wire_writer_view(&writer), signature);
    wire_write_bytes(&writer, span_of(signature, sizeof signature));
    if (writer.has_failed || writer.len != record->encoded.len) {
        return WEFT_ERR_INVALID;
    }
    return record_fill(record);
}

enum weft_err record_sign(const struct identity *identity, const struct wire_record *fields,
                          struct record **out) {
    if (fields->key.len > WIRE_RECORD_KEY_MAX || fields->body.len > WIRE_RECORD_BODY_MAX ||
        !is_ordinal(fields->incarnation) || !is_ordinal(fields->version)) {
        return WEFT_ERR_INVALID;
    }
    struct wire_record own = *fields;
    own.owner = identity->key;
    size_t len = WIRE_RECORD_OVERHEAD + own.key.len + own.body.len;
    struct record *record = record_alloc(len);
    if (record == NULL) {
        return WEFT_ERR_MEMORY;
    }
    enum weft_err err = record_write(record, identity, &own);
    if (err != WEFT_OK) {
        record_unref(record);
        return err;
    }
    *out = record;
    return WEFT_OK;
}

struct record *record_ref(struct record *record) {
    ASSERT(record->reference_count > 0 && record->reference_count < UINT32_MAX);
    record->reference_count++;
    return record;
}

void record_unref(struct record *record) {
    if (record == NULL) {
        return;
    }
    ASSERT(record->reference_count > 0);
    record->reference_count--;
    if (record->reference_count == 0) {
        record_pool_leave(record);
        wire_word_unref(record->word);
        free(record);
    }
}

enum weft_err record_word(struct record *record, struct wire_word **out) {
    if (record->kind != WIRE_RECORD_PEER || record->is_tombstone) {
        return WEFT_ERR_INVALID;
    }
    enum weft_err err = WEFT_OK;
    if (record->word == NULL) {
        struct wire_peer_body body;
        err = wire_peer_body_decode(record->body, &body);
        if (err == WEFT_OK) {
            err = wire_word_new(&record->owner, &body, &record->word);
        }
    }
    if (err == WEFT_OK) {
        *out = record->word;
    }
    return err;
}

bool record_is_newer(const struct record *a, const struct record *b) {
    if (a->incarnation != b->incarnation) {
        return a->incarnation > b->incarnation;
    }
    if (DEFECT(VERSION_WRAPS)) {
        return a->version % 16 > b->version % 16;
    }
    return a->version > b->version;
}
