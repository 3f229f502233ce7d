/* SPDX-License-Identifier: Apache-2.0
 *
 * Range-based reconciliation: answers are computed from the set as it is, item by item, until the
 * frame is full; what does not fit is found by the next reconciliation.
 */
#include "gossip/sync.h"

#include <endian.h>
#include <string.h>

#include "base/check.h"
#include "base/defect.h"

#define SHORT_BYTES WIRE_SYNC_FINGERPRINT_BYTES
#define NAME_BYTES WIRE_SYNC_PLACE_BYTES
#define ENTRY_BYTES WIRE_SYNC_ENTRY_BYTES

/* A list's header at full depth, and the largest item that is not cut to the room there is: a list
 * of SYNC_LIST_MAX entries. */
#define LIST_HEADER_BYTES (2 + NAME_BYTES + 3)
#define ITEM_BYTES_MAX (LIST_HEADER_BYTES + SYNC_LIST_MAX * ENTRY_BYTES)

/* Wants that one answered list may lead to, per item written: keeps them on the stack. */
#define WANTS_PER_ITEM 64

struct answering {
    const struct recordset *set;
    struct wire_writer *writer;
    struct hash_key key;
    void (*give)(void *ctx, struct record *record);
    void *ctx;
    struct sync_result result;
};

/* The key of a reconciliation's short fingerprints: the salt, and what keeps it apart from others.
 */
static struct hash_key salt_key(uint64_t salt) {
    struct hash_key key = {
        .bytes = {0, 0, 0, 0, 0, 0, 0, 0, 'w', 'e', 'f', 't', 's', 'y', 'n', 'c'}};
    uint64_t big = htobe64(salt);
    memcpy(key.bytes, &big, sizeof big);
    return key;
}

/* The first 4 bytes of the keyed hash of a sum. A list of 10,000 records needs as many of them, so
 * the hash is a quick one. */
static void short_fingerprint(const struct hash_key *key, const uint8_t sum[32],
                              uint8_t out[SHORT_BYTES]) {
    uint64_t hash = htole64(hash_keyed(key, span_of(sum, 32)));
    memcpy(out, &hash, SHORT_BYTES);
}

/* Writes one nibble of a prefix. */
static void prefix_set(uint8_t prefix[NAME_BYTES], unsigned depth, uint8_t nibble) {
    if (depth % 2 == 0) {
        prefix[depth / 2] = (uint8_t)(nibble << 4);
    } else {
        prefix[depth / 2] = (uint8_t)((prefix[depth / 2] & 0xf0U) | nibble);
    }
}

/* Zeroes what lies behind the prefix, whatever a peer left there. */
static void prefix_trim(uint8_t prefix[NAME_BYTES], unsigned depth) {
    unsigned whole = depth / 2;
    if (depth % 2 != 0) {
        prefix[whole] &= 0xf0U;
        whole++;
    }
    memset(prefix + whole, 0, NAME_BYTES - whole);
}

/* The short fingerprint of a range, and its count. */
static size_t range_fingerprint(const struct recordset *set, const struct hash_key *key,
                                const uint8_t prefix[NAME_BYTES], unsigned depth,
                                uint8_t out[SHORT_BYTES]) {
    uint8_t sum[32];
    size_t count;
    recordset_range(set, prefix, depth, sum, &count);
    short_fingerprint(key, sum, out);
    return count;
}

/* Writes the 16 fingerprints of the children of a range. depth < WIRE_SYNC_DEPTH_MAX. */
static void write_fingerprints(const struct recordset *set, const struct hash_key *key,
                               const uint8_t prefix[NAME_BYTES], unsigned depth,
                               struct wire_writer *writer) {
    uint8_t entries[WIRE_SYNC_CHILDREN * SHORT_BYTES];
    struct wire_sync_item item = {.mode = WIRE_SYNC_FINGERPRINTS, .depth = (uint8_t)depth};
    memcpy(item.prefix, prefix, NAME_BYTES);
    uint8_t child[NAME_BYTES];
    memcpy(child, prefix, NAME_BYTES);
    for (size_t i = 0; i < WIRE_SYNC_CHILDREN; i++) {
        prefix_set(child, depth, (uint8_t)i);
        range_fingerprint(set, key, child, depth + 1, entries + i * SHORT_BYTES);
    }
    item.entries = span_of(entries, sizeof entries);
    wire_sync_item_encode(writer, &item);
}

void sync_begin(const struct recordset *set, uint64_t salt, struct wire_writer *writer) {
    const uint8_t everything[NAME_BYTES] = {0};
    const struct hash_key key = salt_key(salt);
    wire_write_u64(writer, salt);
    write_fingerprints(set, &key, everything, 0, writer);
}

/* How many bytes of the frame are left. */
static size_t room(const struct answering *a) {
    size_t limit = a->writer->size < WIRE_BODY_BYTES_MAX ? a->writer->size : WIRE_BODY_BYTES_MAX;
    return a->writer->len < limit ? limit - a->writer->len : 0;
}

/* The entries of a list on their way into the frame. */
struct listing {
    const struct answering *a;
    size_t left;
};

static void listing_add(void *ctx, struct record *record) {
    struct listing *listing = ctx;
    if (listing->left == 0) {
        return;
    }
    uint8_t fingerprint[SHORT_BYTES];
    short_fingerprint(&listing->a->key, record->fingerprint, fingerprint);
    wire_write_bytes(listing->a->writer, span_of(record->place, NAME_BYTES));
    wire_write_bytes(listing->a->writer, span_of(fingerprint, sizeof fingerprint));
    listing->left--;
}

/* Writes the list of a range that holds `count` records, or as much of it as the frame holds. */
static void write_list(const struct answering *a, const uint8_t prefix[NAME_BYTES], unsigned depth,
                       size_t count) {
    size_t fitting = (room(a) - LIST_HEADER_BYTES) / ENTRY_BYTES;
    struct listing listing = {.a = a, .left = count < fitting ? count : fitting};
    struct wire_sync_item item = {
        .mode = WIRE_SYNC_LIST, .depth = (uint8_t)depth, .count = (uint16_t)listing.left};
    memcpy(item.prefix, prefix, NAME_BYTES);
    wire_sync_item_encode(a->writer, &item);
    recordset_each_in(a->set, prefix, depth, listing_add, &listing);
}

/* Whether one more item surely fits. */
static bool has_room(const struct answering *a) {
    return room(a) >= ITEM_BYTES_MAX + WANTS_PER_ITEM * NAME_BYTES;
}

/* One of the 16 ranges differs. */
static void answer_child(struct answering *a, const uint8_t prefix[NAME_BYTES], unsigned depth,
                         size_t count) {
    a->result.has_answer = true;
    if (count <= SYNC_LIST_MAX || depth == WIRE_SYNC_DEPTH_MAX) {
        write_list(a, prefix, depth, count);
    } else {
        write_fingerprints(a->set, &a->key, prefix, depth, a->writer);
    }
}

static enum weft_err answer_fingerprints(struct answering *a, const struct wire_sync_item *item) {
    if (item->depth >= WIRE_SYNC_DEPTH_MAX) {
        return WEFT_ERR_MALFORMED;
    }
    uint8_t child[NAME_BYTES];
    memcpy(child, item->prefix, NAME_BYTES);
    for (size_t i = 0; i < WIRE_SYNC_CHILDREN && has_room(a); i++) {
        uint8_t ours[SHORT_BYTES];
        prefix_set(child, item->depth, (uint8_t)i);
        size_t count = range_fingerprint(a->set, &a->key, child, item->depth + 1U, ours);
        const uint8_t *theirs = item->entries.data + i * SHORT_BYTES;
        if (memcmp(ours, theirs, sizeof ours) != 0) {
            answer_child(a, child, item->depth + 1U, count);
        }
    }
    return WEFT_OK;
}

/* A list walked side by side with our own records of the range, both in order of place. Records
 * that share a name are matched by fingerprint; each of ours makes up for one of theirs, so that
 * the name is wanted only of who lists more there. */
struct matching {
    struct answering *a;
    const struct wire_sync_item *item;
    size_t next;              /* entry of the list not yet passed */
    uint8_t held[NAME_BYTES]; /* the name of the record of ours met last */
    size_t held_count;        /* ours of that name that make up for no entry yet */
    size_t want_count;
    uint8_t wants[WANTS_PER_ITEM * NAME_BYTES];
};

static const uint8_t *matching_entry(const struct matching *m) {
    return m->item->entries.data + m->next * ENTRY_BYTES;
}

static void flush_wants(struct matching *m) {
    if (m->want_count > 0 && has_room(m->a)) {
        struct wire_sync_item item = {.mode = WIRE_SYNC_WANT,
                                      .count = (uint16_t)m->want_count,
                                      .entries = span_of(m->wants, m->want_count * NAME_BYTES)};
        wire_sync_item_encode(m->a->writer, &item);
        m->a->result.has_answer = true;
    }
    m->want_count = 0;
}

/* Asks for all that has this name, once. */
static void matching_want(struct matching *m, const uint8_t *name) {
    uint8_t *end = m->wants + m->want_count * NAME_BYTES;
    if (m->want_count > 0 && memcmp(end - NAME_BYTES, name, NAME_BYTES) == 0) {
        return;
    }
    memcpy(end, name, NAME_BYTES);
    m->want_count++;
    if (m->want_count == WANTS_PER_ITEM) {
        flush_wants(m);
    }
}

/* Leaves one entry behind: if nothing of ours makes up for it, we lack it. */
static void matching_skip(struct matching *m) {
    const uint8_t *name = matching_entry(m);
    if (m->held_count > 0 && memcmp(name, m->held, NAME_BYTES) == 0) {
        m->held_count--;
    } else {
        matching_want(m, name);
    }
    m->next++;
}

static void matching_hold(struct matching *m, const uint8_t *place) {
    if (memcmp(m->held, place, NAME_BYTES) != 0) {
        memcpy(m->held, place, NAME_BYTES);
        m->held_count = 0;
    }
    m->held_count++;
}

/* Whether this entry of the list is there and has the name of the place. */
static bool matching_names(const struct matching *m, size_t index, const uint8_t *place) {
    return index < m->item->count &&
           memcmp(m->item->entries.data + index * ENTRY_BYTES, place, NAME_BYTES) == 0;
}

/* Whether the list has this very record: all entries below its name are passed. */
static bool matching_has(const struct matching *m, const struct record *record) {
    if (!matching_names(m, m->next, record->place)) {
        return false;
    }
    uint8_t ours[SHORT_BYTES];
    short_fingerprint(&m->a->key, record->fingerprint, ours);
    for (size_t i = m->next; matching_names(m, i, record->place); i++) {
        const uint8_t *theirs = m->item->entries.data + i * ENTRY_BYTES + NAME_BYTES;
        if (memcmp(theirs, ours, sizeof ours) == 0) {
            return true;
        }
    }
    return false;
}

static void give(struct answering *a, struct record *record) {
    a->result.sent_count++;
    if (DEFECT(SYNC_SKIPS) && record->place[31] % 4 == 0) {
        return;
    }
    a->give(a->ctx, record);
}

static void matching_pass(void *ctx, struct record *record) {
    struct matching *m = ctx;
    while (m->next < m->item->count && memcmp(matching_entry(m), record->place, NAME_BYTES) < 0) {
        matching_skip(m);
    }
    matching_hold(m, record->place);
    if (!matching_has(m, record)) {
        give(m->a, record); /* they lack it or have another version: a newer one they return */
    }
}

/* Whether a place begins with the item's prefix. */
static bool is_in_item(const struct wire_sync_item *item, const uint8_t *place) {
    uint8_t trimmed[NAME_BYTES];
    memcpy(trimmed, place, NAME_BYTES);
    prefix_trim(trimmed, item->depth);
    return memcmp(trimmed, item->prefix, NAME_BYTES) == 0;
}

/* Entries inside the range, none below the one before: then one walk side by side is enough. */
static bool list_is_sound(const struct wire_sync_item *item) {
    for (size_t i = 0; i < item->count; i++) {
        const uint8_t *place = item->entries.data + i * ENTRY_BYTES;
        if (!is_in_item(item, place) ||
            (i > 0 && memcmp(place - ENTRY_BYTES, place, NAME_BYTES) > 0)) {
            return false;
        }
    }
    return true;
}

static enum weft_err answer_list(struct answering *a, const struct wire_sync_item *item) {
    if (!list_is_sound(item)) {
        return WEFT_ERR_MALFORMED;
    }
    if (a->result.sent_count > recordset_live_count(a->set)) {
        return WEFT_OK; /* ranges of an honest frame do not overlap: nothing is asked for twice */
    }
    struct matching matching = {.a = a, .item = item};
    recordset_each_in(a->set, item->prefix, item->depth, matching_pass, &matching);
    while (matching.next < item->count) {
        matching_skip(&matching);
    }
    flush_wants(&matching);
    return WEFT_OK;
}

static void give_wanted(void *ctx, struct record *record) {
    give(ctx, record);
}

static enum weft_err answer_want(struct answering *a, const struct wire_sync_item *item) {
    for (size_t i = 0; i < item->count; i++) {
        const uint8_t *name = item->entries.data + i * NAME_BYTES;
        recordset_each_in(a->set, name, WIRE_SYNC_DEPTH_MAX, give_wanted, a);
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
        .set = set, .writer = writer, .key = salt_key(sync->salt), .give = give_record, .ctx = ctx};
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
