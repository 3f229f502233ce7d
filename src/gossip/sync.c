/* SPDX-License-Identifier: Apache-2.0
 *
 * Range-based reconciliation: answers are computed from the set as it is, item by item, until the
 * frame is full; what does not fit is found by the next reconciliation.
 */
#include "gossip/sync.h"

#include <string.h>

#include "base/check.h"

#define SYNC_DOMAIN "weft sync 1"
#define SYNC_CHILDREN ((size_t)16)
#define FINGERPRINT_SHORT_BYTES ((size_t)8)
#define LIST_ENTRY_BYTES (32 + FINGERPRINT_SHORT_BYTES)
#define WANT_ENTRY_BYTES ((size_t)32)

/* The largest item with its header: a list of SYNC_LIST_MAX entries at full depth. */
#define ITEM_BYTES_MAX (2 + 32 + 3 + SYNC_LIST_MAX * LIST_ENTRY_BYTES)

/* Wants that one answered list may lead to, per item written: keeps them on the stack. */
#define WANTS_PER_ITEM 64

struct answering {
    const struct recordset *set;
    struct wire_writer *writer;
    uint64_t salt;
    void (*give)(void *ctx, struct record *record);
    void *ctx;
    struct sync_result result;
};

static struct wire_writer number_writer(uint8_t *bytes, size_t size, uint64_t number) {
    struct wire_writer writer = wire_writer_of(bytes, size);
    wire_write_u64(&writer, number);
    return writer;
}

/* The first 8 bytes of the BLAKE2b-256 of salt and sum. */
static void short_fingerprint(uint64_t salt, const uint8_t sum[32],
                              uint8_t out[FINGERPRINT_SHORT_BYTES]) {
    uint8_t input[8 + 32];
    uint8_t hash[32];
    struct wire_writer writer = number_writer(input, sizeof input, salt);
    wire_write_bytes(&writer, span_of(sum, 32));
    noise_hash(SYNC_DOMAIN, wire_writer_view(&writer), hash);
    memcpy(out, hash, FINGERPRINT_SHORT_BYTES);
}

/* Writes one nibble of a prefix. */
static void prefix_set(uint8_t prefix[32], unsigned depth, uint8_t nibble) {
    if (depth % 2 == 0) {
        prefix[depth / 2] = (uint8_t)(nibble << 4);
    } else {
        prefix[depth / 2] = (uint8_t)((prefix[depth / 2] & 0xf0U) | nibble);
    }
}

/* Zeroes what lies behind the prefix, whatever a peer left there. */
static void prefix_trim(uint8_t prefix[32], unsigned depth) {
    unsigned whole = depth / 2;
    if (depth % 2 != 0) {
        prefix[whole] &= 0xf0U;
        whole++;
    }
    memset(prefix + whole, 0, 32 - whole);
}

/* The short fingerprint of a range, and its count. */
static size_t range_fingerprint(const struct recordset *set, uint64_t salt,
                                const uint8_t prefix[32], unsigned depth,
                                uint8_t out[FINGERPRINT_SHORT_BYTES]) {
    uint8_t sum[32];
    size_t count;
    recordset_range(set, prefix, depth, sum, &count);
    short_fingerprint(salt, sum, out);
    return count;
}

/* Writes the 16 fingerprints of the children of a range. depth < WIRE_SYNC_DEPTH_MAX. */
static void write_fingerprints(const struct recordset *set, uint64_t salt, const uint8_t prefix[32],
                               unsigned depth, struct wire_writer *writer) {
    uint8_t entries[SYNC_CHILDREN * FINGERPRINT_SHORT_BYTES];
    struct wire_sync_item item = {.mode = WIRE_SYNC_FINGERPRINTS, .depth = (uint8_t)depth};
    memcpy(item.prefix, prefix, 32);
    uint8_t child[32];
    memcpy(child, prefix, 32);
    for (size_t i = 0; i < SYNC_CHILDREN; i++) {
        prefix_set(child, depth, (uint8_t)i);
        range_fingerprint(set, salt, child, depth + 1, entries + i * FINGERPRINT_SHORT_BYTES);
    }
    item.entries = span_of(entries, sizeof entries);
    wire_sync_item_encode(writer, &item);
}

void sync_begin(const struct recordset *set, uint64_t salt, struct wire_writer *writer) {
    const uint8_t everything[32] = {0};
    wire_write_u64(writer, salt);
    write_fingerprints(set, salt, everything, 0, writer);
}

/* Writes the list of a range of at most SYNC_LIST_MAX records. */
static void write_list(const struct answering *a, const uint8_t prefix[32], unsigned depth) {
    struct record *records[SYNC_LIST_MAX];
    uint8_t entries[SYNC_LIST_MAX * LIST_ENTRY_BYTES];
    size_t count = recordset_list(a->set, prefix, depth, records, SYNC_LIST_MAX);
    ASSERT(count <= SYNC_LIST_MAX);
    for (size_t i = 0; i < count; i++) {
        memcpy(entries + i * LIST_ENTRY_BYTES, records[i]->place, 32);
        short_fingerprint(a->salt, records[i]->fingerprint, entries + i * LIST_ENTRY_BYTES + 32);
    }
    struct wire_sync_item item = {.mode = WIRE_SYNC_LIST,
                                  .depth = (uint8_t)depth,
                                  .count = (uint16_t)count,
                                  .entries = span_of(entries, count * LIST_ENTRY_BYTES)};
    memcpy(item.prefix, prefix, 32);
    wire_sync_item_encode(a->writer, &item);
}

/* Whether one more item surely fits. */
static bool has_room(const struct answering *a) {
    size_t limit = a->writer->size < WIRE_BODY_BYTES_MAX ? a->writer->size : WIRE_BODY_BYTES_MAX;
    return a->writer->len + ITEM_BYTES_MAX + WANTS_PER_ITEM * WANT_ENTRY_BYTES <= limit;
}

/* One of the 16 ranges differs. */
static void answer_child(struct answering *a, const uint8_t prefix[32], unsigned depth,
                         size_t count) {
    if (!has_room(a)) {
        return;
    }
    a->result.has_answer = true;
    if (count <= SYNC_LIST_MAX) {
        write_list(a, prefix, depth);
    } else {
        write_fingerprints(a->set, a->salt, prefix, depth, a->writer);
    }
}

static enum weft_err answer_fingerprints(struct answering *a, const struct wire_sync_item *item) {
    if (item->depth >= WIRE_SYNC_DEPTH_MAX) {
        return WEFT_ERR_MALFORMED;
    }
    uint8_t child[32];
    memcpy(child, item->prefix, 32);
    for (size_t i = 0; i < SYNC_CHILDREN; i++) {
        uint8_t ours[FINGERPRINT_SHORT_BYTES];
        prefix_set(child, item->depth, (uint8_t)i);
        size_t count = range_fingerprint(a->set, a->salt, child, item->depth + 1U, ours);
        const uint8_t *theirs = item->entries.data + i * FINGERPRINT_SHORT_BYTES;
        if (memcmp(ours, theirs, sizeof ours) != 0) {
            answer_child(a, child, item->depth + 1U, count);
        }
    }
    return WEFT_OK;
}

/* A list walked side by side with our own records of the range, both in order of place. */
struct matching {
    struct answering *a;
    const struct wire_sync_item *item;
    size_t next; /* entry of the list not yet passed */
    size_t want_count;
    uint8_t wants[WANTS_PER_ITEM * WANT_ENTRY_BYTES];
};

static const uint8_t *matching_entry(const struct matching *m) {
    return m->item->entries.data + m->next * LIST_ENTRY_BYTES;
}

static void flush_wants(struct matching *m) {
    if (m->want_count > 0 && has_room(m->a)) {
        struct wire_sync_item item = {.mode = WIRE_SYNC_WANT,
                                      .count = (uint16_t)m->want_count,
                                      .entries =
                                          span_of(m->wants, m->want_count * WANT_ENTRY_BYTES)};
        wire_sync_item_encode(m->a->writer, &item);
        m->a->result.has_answer = true;
    }
    m->want_count = 0;
}

/* We have nothing at this place of theirs, or nothing that counts. */
static void matching_want(struct matching *m, const uint8_t *place) {
    memcpy(m->wants + m->want_count * WANT_ENTRY_BYTES, place, WANT_ENTRY_BYTES);
    m->want_count++;
    if (m->want_count == WANTS_PER_ITEM) {
        flush_wants(m);
    }
}

static void give(struct answering *a, struct record *record) {
    a->result.sent_count++;
    a->give(a->ctx, record);
}

static void matching_pass(void *ctx, struct record *record) {
    struct matching *m = ctx;
    while (m->next < m->item->count && memcmp(matching_entry(m), record->place, 32) < 0) {
        matching_want(m, matching_entry(m));
        m->next++;
    }
    if (m->next < m->item->count && memcmp(matching_entry(m), record->place, 32) == 0) {
        uint8_t ours[FINGERPRINT_SHORT_BYTES];
        short_fingerprint(m->a->salt, record->fingerprint, ours);
        bool is_same = memcmp(matching_entry(m) + 32, ours, sizeof ours) == 0;
        m->next++;
        if (is_same) {
            return;
        }
    }
    give(m->a, record); /* they lack it or have another version: if a newer one, they return it */
}

/* Whether a place begins with the item's prefix. */
static bool is_in_item(const struct wire_sync_item *item, const uint8_t *place) {
    uint8_t trimmed[32];
    memcpy(trimmed, place, 32);
    prefix_trim(trimmed, item->depth);
    return memcmp(trimmed, item->prefix, 32) == 0;
}

/* Entries inside the range, strictly increasing: then one walk side by side is enough. */
static bool list_is_sound(const struct wire_sync_item *item) {
    for (size_t i = 0; i < item->count; i++) {
        const uint8_t *place = item->entries.data + i * LIST_ENTRY_BYTES;
        if (!is_in_item(item, place) ||
            (i > 0 && memcmp(place - LIST_ENTRY_BYTES, place, 32) >= 0)) {
            return false;
        }
    }
    return true;
}

static enum weft_err answer_list(struct answering *a, const struct wire_sync_item *item) {
    if (!list_is_sound(item)) {
        return WEFT_ERR_MALFORMED;
    }
    struct matching matching = {.a = a, .item = item};
    recordset_each_in(a->set, item->prefix, item->depth, matching_pass, &matching);
    for (; matching.next < item->count; matching.next++) {
        matching_want(&matching, matching_entry(&matching));
    }
    flush_wants(&matching);
    return WEFT_OK;
}

static enum weft_err answer_want(struct answering *a, const struct wire_sync_item *item) {
    for (size_t i = 0; i < item->count; i++) {
        size_t slot = recordset_slot_of(a->set, item->entries.data + i * WANT_ENTRY_BYTES);
        struct record *record = recordset_live_at(a->set, slot);
        if (record != NULL) {
            give(a, record);
        }
    }
    return WEFT_OK;
}

static enum weft_err answer_item(struct answering *a, struct wire_sync_item *item) {
    if (item->depth > WIRE_SYNC_DEPTH_MAX) {
        return WEFT_ERR_MALFORMED;
    }
    prefix_trim(item->prefix, item->depth);
    switch (item->mode) {
    case WIRE_SYNC_FINGERPRINTS:
        return answer_fingerprints(a, item);
    case WIRE_SYNC_LIST:
        return answer_list(a, item);
    case WIRE_SYNC_WANT:
        return answer_want(a, item);
    default:
        return WEFT_ERR_MALFORMED;
    }
}

enum weft_err sync_answer(const struct recordset *set, const struct wire_sync *sync,
                          struct wire_writer *writer,
                          void (*give_record)(void *ctx, struct record *record), void *ctx,
                          struct sync_result *out) {
    struct answering answering = {
        .set = set, .writer = writer, .salt = sync->salt, .give = give_record, .ctx = ctx};
    struct wire_reader items = wire_reader_of(sync->items);
    enum weft_err err = WEFT_OK;
    wire_write_u64(writer, sync->salt);
    while (err == WEFT_OK && wire_reader_more(&items)) {
        struct wire_sync_item item;
        err = wire_sync_next(&items, &item);
        if (err == WEFT_OK) {
            err = answer_item(&answering, &item);
        }
    }
    if (err == WEFT_OK) {
        *out = answering.result;
    }
    return err;
}
