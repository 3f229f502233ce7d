/* SPDX-License-Identifier: Apache-2.0
 *
 * The record set itself: which of two versions stays, which bound refuses, what an eviction takes.
 * Order and sums are in places.c, who is live in owners.c.
 */
#include "gossip/recordset.h"

#include <stdlib.h>

#include "base/check.h"
#include "gossip/set.h"

#define SLOTS_FIRST 64

enum weft_err recordset_new(const struct recordset_config *config, struct recordset **out) {
    ASSERT(config->records_max >= 1 && config->records_max < UINT32_MAX);
    ASSERT(config->owner_records_max >= 1 && config->stranger_records_max >= 1);
    struct recordset *set = calloc(1, sizeof *set);
    if (set == NULL) {
        return WEFT_ERR_MEMORY;
    }
    set->config = *config;
    chain_init(&set->gone);
    chain_init(&set->all);
    chain_init(&set->strangers);
    chain_init(&set->evicted);
    set->owners = map_new(config->records_max + RECORDSET_BARE_OWNERS_MAX, &config->hash_key);
    if (set->owners == NULL) {
        recordset_free(set);
        return WEFT_ERR_MEMORY;
    }
    *out = set;
    return WEFT_OK;
}

static void entry_free(struct entry *entry) {
    record_unref(entry->record);
    free(entry);
}

static void entries_free(struct chain *head) {
    while (!chain_is_empty(head)) {
        struct entry *entry = CHAIN_OF(head->next, struct entry, all);
        chain_remove(&entry->all);
        entry_free(entry);
    }
}

static void owners_free(struct map *owners) {
    if (owners == NULL) {
        return;
    }
    for (struct map_entry *at = map_first(owners); at != NULL; at = map_next(at)) {
        free(map_value(at));
    }
    map_free(owners);
}

void recordset_free(struct recordset *set) {
    if (set == NULL) {
        return;
    }
    entries_free(&set->evicted);
    entries_free(&set->all);
    owners_free(set->owners);
    places_fini(&set->places);
    free(set->slots);
    free(set);
}

static bool slots_reserve(struct recordset *set) {
    if (set->slot_free != 0 || set->slot_count < set->slot_size) {
        return true;
    }
    size_t size = set->slot_size == 0 ? SLOTS_FIRST : set->slot_size * 2;
    struct slot *slots = realloc(set->slots, size * sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    set->slots = slots;
    set->slot_size = size;
    return true;
}

/* There must be room: slots_reserve. */
static void slot_take(struct recordset *set, struct entry *entry) {
    uint32_t index = set->slot_free - 1;
    if (set->slot_free != 0) {
        set->slot_free = set->slots[index].free_next;
    } else {
        index = (uint32_t)set->slot_count++;
    }
    set->slots[index] = (struct slot){.entry = entry};
    entry->slot = index;
}

static void slot_give(struct recordset *set, uint32_t index) {
    set->slots[index] = (struct slot){.free_next = set->slot_free};
    set->slot_free = index + 1;
}

/* Takes an entry out of everything but memory. */
static void entry_unlink(struct recordset *set, struct entry *entry) {
    owner_discount(set, entry);
    places_remove(&set->places, entry);
    slot_give(set, entry->slot);
    chain_remove(&entry->siblings);
    chain_remove(&entry->all);
    if (entry->record->kind == WIRE_RECORD_PEER) {
        entry->owner->incarnation = 0;
    }
}

static struct entry *entry_new(struct record *record, struct owner *owner) {
    struct entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL) {
        return NULL;
    }
    entry->record = record_ref(record);
    entry->owner = owner;
    chain_init(&entry->all);
    chain_init(&entry->siblings);
    chain_init(&entry->strange);
    return entry;
}

/* A peer record says which incarnation is the present one; that decides what else counts. */
static void entry_settle(struct recordset *set, struct entry *entry) {
    if (entry->record->kind == WIRE_RECORD_PEER &&
        entry->owner->incarnation != entry->record->incarnation) {
        entry->owner->incarnation = entry->record->incarnation;
        owner_count_all(set, entry->owner);
    }
    owner_count_entry(set, entry);
}

static enum recordset_verdict entry_add(struct recordset *set, struct record *record,
                                        struct owner *owner) {
    struct entry *entry = entry_new(record, owner);
    if (entry == NULL) {
        return RECORDSET_REFUSED;
    }
    if (!slots_reserve(set) || !places_add(&set->places, entry)) {
        entry_free(entry);
        return RECORDSET_REFUSED;
    }
    slot_take(set, entry);
    chain_append(&set->all, &entry->all);
    chain_append(&owner->entries, &entry->siblings);
    owner_account(set, entry);
    entry_settle(set, entry);
    return RECORDSET_ADDED;
}

/* Pushes the stranger's record heard of longest ago out; false when there is none but `spared`. */
static bool evict_stranger(struct recordset *set, const struct entry *spared) {
    struct chain *link = set->strangers.next;
    if (spared != NULL && link == &spared->strange) {
        link = link->next;
    }
    if (link == &set->strangers) {
        return false;
    }
    struct entry *entry = CHAIN_OF(link, struct entry, strange);
    struct owner *owner = entry->owner;
    entry_unlink(set, entry);
    entry->owner = NULL;
    chain_append(&set->evicted, &entry->all);
    owner_drop_idle(set, owner);
    return true;
}

/* Evicts strangers until `extra` more records of `bytes` more fit all bounds. */
static bool make_room(struct recordset *set, size_t extra, size_t bytes, bool is_stranger,
                      const struct entry *spared) {
    const struct recordset_config *config = &set->config;
    while (set->count + extra > config->records_max || set->bytes + bytes > RECORDSET_BYTES_MAX ||
           (is_stranger && (set->stranger_count + extra > config->stranger_records_max ||
                            set->stranger_bytes + bytes > RECORDSET_STRANGER_BYTES_MAX))) {
        if (!evict_stranger(set, spared)) {
            return false;
        }
    }
    return true;
}

static enum recordset_verdict put_update(struct recordset *set, struct entry *entry,
                                         struct record *record) {
    struct owner *owner = entry->owner;
    size_t before = entry->record->encoded.len;
    size_t after = record->encoded.len;
    size_t more = after > before ? after - before : 0;
    if (owner->bytes + more > set->config.owner_bytes_max ||
        !make_room(set, 0, more, owner->is_stranger, entry)) {
        return RECORDSET_REFUSED;
    }
    places_set_counted(&set->places, entry, false);
    owner_discount(set, entry);
    record_unref(entry->record);
    entry->record = record_ref(record);
    owner_account(set, entry);
    entry_settle(set, entry);
    return RECORDSET_UPDATED;
}

static enum recordset_verdict put_new(struct recordset *set, struct record *record, weft_ns now) {
    const struct recordset_config *config = &set->config;
    size_t bytes = record->encoded.len;
    const struct owner *known = owner_find(set, &record->owner);
    if (known != NULL && (known->count >= config->owner_records_max ||
                          known->bytes + bytes > config->owner_bytes_max)) {
        return RECORDSET_REFUSED;
    }
    if (bytes > config->owner_bytes_max ||
        !make_room(set, 1, bytes, recordset_is_stranger(set, &record->owner), NULL)) {
        return RECORDSET_REFUSED;
    }
    struct owner *owner = owner_get(set, &record->owner, now); /* room may have dropped `known` */
    if (owner == NULL) {
        return RECORDSET_REFUSED;
    }
    enum recordset_verdict verdict = entry_add(set, record, owner);
    owner_drop_idle(set, owner);
    return verdict;
}

static bool is_former(const struct recordset *set, const struct weft_peer_id *owner, uint16_t kind,
                      uint64_t incarnation) {
    return kind != WIRE_RECORD_PEER && incarnation < recordset_incarnation(set, owner);
}

static enum recordset_verdict put_by_order(struct recordset *set, struct record *record,
                                           weft_ns now) {
    struct entry *entry = places_find(&set->places, record->place);
    if (entry == NULL) {
        return is_former(set, &record->owner, record->kind, record->incarnation)
                   ? RECORDSET_OLDER
                   : put_new(set, record, now);
    }
    if (record_is_newer(record, entry->record)) {
        return put_update(set, entry, record);
    }
    if (record_is_newer(entry->record, record)) {
        return RECORDSET_OLDER;
    }
    int order = memcmp(record->fingerprint, entry->record->fingerprint, 32);
    if (order == 0) {
        return RECORDSET_SAME;
    }
    return order > 0 ? put_update(set, entry, record) : RECORDSET_OLDER;
}

enum recordset_verdict recordset_put(struct recordset *set, struct record *record, weft_ns now) {
    entries_free(&set->evicted);
    enum recordset_verdict verdict = put_by_order(set, record, now);
    if (verdict == RECORDSET_REFUSED) {
        set->refused_count++;
    }
    return verdict;
}

struct record *recordset_next_evicted(struct recordset *set) {
    if (chain_is_empty(&set->evicted)) {
        return NULL;
    }
    struct entry *entry = CHAIN_OF(set->evicted.next, struct entry, all);
    struct record *record = entry->record;
    chain_remove(&entry->all);
    free(entry);
    return record;
}

enum recordset_verdict recordset_judge(const struct recordset *set,
                                       const struct weft_peer_id *owner,
                                       const struct wire_record *fields, struct span encoded) {
    const struct record *known = recordset_find(set, fields->kind, owner, fields->key);
    if (known == NULL) {
        return is_former(set, owner, fields->kind, fields->incarnation) ? RECORDSET_OLDER
                                                                        : RECORDSET_ADDED;
    }
    if (fields->incarnation != known->incarnation) {
        return fields->incarnation > known->incarnation ? RECORDSET_UPDATED : RECORDSET_OLDER;
    }
    if (fields->version != known->version) {
        return fields->version > known->version ? RECORDSET_UPDATED : RECORDSET_OLDER;
    }
    return span_equal(known->encoded, encoded) ? RECORDSET_SAME : RECORDSET_UPDATED;
}

struct record *recordset_find(const struct recordset *set, uint16_t kind,
                              const struct weft_peer_id *owner, struct span key) {
    uint8_t place[32];
    record_place(kind, owner, key, place);
    return recordset_find_place(set, place);
}

struct record *recordset_find_place(const struct recordset *set, const uint8_t place[32]) {
    const struct entry *entry = places_find(&set->places, place);
    return entry != NULL ? entry->record : NULL;
}

/* Drops the owner's entries that are of an incarnation below `incarnation`; all if it is 0. */
static void drop_entries(struct recordset *set, struct owner *owner, uint64_t incarnation,
                         void (*each)(void *ctx, struct record *record), void *ctx) {
    struct chain *link = owner->entries.next;
    while (link != &owner->entries) {
        struct entry *entry = CHAIN_OF(link, struct entry, siblings);
        link = link->next;
        if (incarnation != 0 && (entry->record->kind == WIRE_RECORD_PEER ||
                                 entry->record->incarnation >= incarnation)) {
            continue;
        }
        each(ctx, entry->record);
        entry_unlink(set, entry);
        entry_free(entry);
    }
}

void recordset_drop_owner(struct recordset *set, const struct weft_peer_id *id,
                          void (*each)(void *ctx, struct record *record), void *ctx) {
    struct owner *owner = owner_find(set, id);
    if (owner == NULL || owner->is_live) {
        return;
    }
    drop_entries(set, owner, 0, each, ctx);
    owner_drop_idle(set, owner);
}

void recordset_drop_former(struct recordset *set, const struct weft_peer_id *id,
                           void (*each)(void *ctx, struct record *record), void *ctx) {
    struct owner *owner = owner_find(set, id);
    if (owner != NULL && owner->incarnation != 0) {
        drop_entries(set, owner, owner->incarnation, each, ctx);
    }
}

void recordset_each(const struct recordset *set,
                    void (*each)(void *ctx, struct record *record, bool is_live), void *ctx) {
    for (struct chain *link = set->all.next; link != &set->all; link = link->next) {
        const struct entry *entry = CHAIN_OF(link, struct entry, all);
        each(ctx, entry->record, entry->owner->is_live);
    }
}

size_t recordset_count(const struct recordset *set) {
    return set->count;
}

size_t recordset_live_count(const struct recordset *set) {
    return set->places.counted;
}

size_t recordset_live_owner_count(const struct recordset *set) {
    return set->live_owner_count;
}

size_t recordset_stale_count(const struct recordset *set) {
    return set->stale_count;
}

size_t recordset_bytes(const struct recordset *set) {
    return set->bytes;
}

uint64_t recordset_refused_count(const struct recordset *set) {
    return set->refused_count;
}

void recordset_range(const struct recordset *set, const uint8_t prefix[PLACE_PREFIX_BYTES],
                     unsigned depth, uint8_t sum_out[32], size_t *count) {
    struct sum sum;
    places_range(&set->places, prefix, depth, &sum, count);
    sum_to_bytes(&sum, sum_out);
}

void recordset_each_in(const struct recordset *set, const uint8_t prefix[PLACE_PREFIX_BYTES],
                       unsigned depth, void (*each)(void *ctx, struct record *record), void *ctx) {
    places_each(&set->places, prefix, depth, each, ctx);
}

size_t recordset_slot_of(const struct recordset *set, const uint8_t place[32]) {
    const struct entry *entry = places_find(&set->places, place);
    return entry != NULL ? entry->slot : SIZE_MAX;
}

struct record *recordset_live_at(const struct recordset *set, size_t slot) {
    if (slot >= set->slot_count || set->slots[slot].entry == NULL ||
        !set->slots[slot].entry->is_counted) {
        return NULL;
    }
    return set->slots[slot].entry->record;
}

size_t recordset_slot_count(const struct recordset *set) {
    return set->slot_count;
}

uint64_t recordset_digest(const struct recordset *set) {
    return set->places.total.limb[3];
}
