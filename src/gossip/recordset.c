/* SPDX-License-Identifier: Apache-2.0
 *
 * The record set itself: which of two versions stays, which bound refuses, what an eviction takes.
 * Order and sums are in places.c, who is live in owners.c; set.h says how it all lies in memory.
 */
#include "gossip/recordset.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/defect.h"
#include "gossip/set.h"

#define SLOTS_FIRST 8

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

enum weft_err recordset_new(const struct recordset_config *config, struct recordset **out) {
    ASSERT(config->records_max >= 1 && config->owner_records_max >= 1);
    ASSERT(config->stranger_records_max >= 1);
    struct recordset *set = calloc(1, sizeof *set);
    if (set == NULL) {
        return WEFT_ERR_MEMORY;
    }
    set->config = *config;
    set->config.records_max = least(config->records_max, SET_RECORDS_MAX);
    set->config.stranger_records_max = least(config->stranger_records_max, SET_STRANGERS_MAX);
    peer_table_init(&set->own_peers, &config->hash_key,
                    (uint32_t)set->config.records_max + RECORDSET_BARE_OWNERS_MAX);
    set->peers = config->peers != NULL ? config->peers : &set->own_peers;
    set->slot_free = SLOT_NONE;
    set->evicted_first = SLOT_NONE;
    set->evicted_last = SLOT_NONE;
    asides_init(&set->asides);
    strangers_init(&set->strangers);
    *out = set;
    return WEFT_OK;
}

void recordset_free(struct recordset *set) {
    if (set == NULL) {
        return;
    }
    for (uint32_t i = 0; i < set->slot_count; i++) {
        record_unref(set->slots[i].record);
    }
    free(set->slots);
    free(set->cells);
    peer_table_fini(&set->own_peers);
    free(set->asides.rows);
    free(set->strangers.rows);
    places_fini(&set->places);
    free(set);
}

static bool slots_reserve(struct recordset *set) {
    if (set->slot_free != SLOT_NONE || set->slot_count < set->slot_size) {
        return true;
    }
    uint32_t size = set->slot_size + set->slot_size / 4 + SLOTS_FIRST;
    struct slot *slots = realloc(set->slots, size * sizeof *slots);
    if (slots == NULL) {
        return false;
    }
    set->slots = slots;
    set->slot_size = size;
    return true;
}

/* There must be room: slots_reserve. Takes a reference of its own. */
static uint32_t slot_take(struct recordset *set, struct record *record) {
    uint32_t slot = set->slot_free;
    if (slot != SLOT_NONE) {
        set->slot_free = set->slots[slot].next;
    } else {
        slot = set->slot_count++;
    }
    set->slots[slot] = (struct slot){.record = record_ref(record), .next = SLOT_NONE};
    return slot;
}

/* Returns the slot's reference to its record. */
static struct record *slot_give(struct recordset *set, uint32_t slot) {
    struct record *record = set->slots[slot].record;
    set->slots[slot] = (struct slot){.next = set->slot_free};
    set->slot_free = slot;
    return record;
}

/* Takes a slot out of everything: its record is all that is left in it. */
static void slot_unlink(struct recordset *set, struct owner *owner, uint32_t slot) {
    owner_discount(set, slot);
    places_remove(&set->places, set->slots, slot);
    owner_detach(set, owner, slot);
}

/* A peer record says which incarnation is the present one; that decides what else counts. */
static void slot_settle(struct recordset *set, const struct owner *owner, uint32_t slot,
                        uint64_t incarnation_before) {
    if (owner_incarnation(set, owner) != incarnation_before) {
        owner_count_all(set, owner);
    } else {
        owner_count_slot(set, owner, slot);
    }
}

static enum recordset_verdict slot_add(struct recordset *set, struct record *record,
                                       struct owner *owner) {
    uint64_t before = owner_incarnation(set, owner);
    if (!slots_reserve(set) ||
        (owner->state == SLOT_STRANGER && !strangers_reserve(&set->strangers))) {
        return RECORDSET_REFUSED;
    }
    uint32_t slot = slot_take(set, record);
    if (!places_add(&set->places, set->slots, slot)) {
        record_unref(slot_give(set, slot));
        return RECORDSET_REFUSED;
    }
    owner_attach(set, owner, slot);
    owner_account(set, slot);
    slot_settle(set, owner, slot, before);
    return RECORDSET_ADDED;
}

/* Lets a slot wait, as the last, for somebody to be told of its record. */
static void evicted_append(struct recordset *set, uint32_t slot) {
    set->slots[slot].state = SLOT_EVICTED;
    set->slots[slot].next = SLOT_NONE;
    if (set->evicted_last != SLOT_NONE) {
        set->slots[set->evicted_last].next = slot;
    } else {
        set->evicted_first = slot;
    }
    set->evicted_last = slot;
}

struct record *recordset_next_evicted(struct recordset *set) {
    uint32_t slot = set->evicted_first;
    if (slot == SLOT_NONE) {
        return NULL;
    }
    set->evicted_first = set->slots[slot].next;
    if (set->evicted_first == SLOT_NONE) {
        set->evicted_last = SLOT_NONE;
    }
    return slot_give(set, slot);
}

/* Pushes the stranger's record heard of longest ago out; false when there is none but `spared`. */
static bool evict_stranger(struct recordset *set, uint32_t spared) {
    struct owner owner;
    uint32_t slot = strangers_first(&set->strangers, spared);
    if (slot == SLOT_NONE || !index_find(set, &set->slots[slot].record->owner, &owner)) {
        return false;
    }
    slot_unlink(set, &owner, slot);
    evicted_append(set, slot);
    owner_drop_idle(set, &owner);
    return true;
}

/* Evicts strangers until `extra` more records of `bytes` more fit all bounds. */
static bool make_room(struct recordset *set, size_t extra, size_t bytes, bool is_stranger,
                      uint32_t spared) {
    const struct recordset_config *config = &set->config;
    while (set->count + extra > config->records_max || set->bytes + bytes > RECORDSET_BYTES_MAX ||
           (is_stranger && (set->strangers.count + extra > config->stranger_records_max ||
                            set->stranger_bytes + bytes > RECORDSET_STRANGER_BYTES_MAX))) {
        if (!evict_stranger(set, spared)) {
            return false;
        }
    }
    return true;
}

/* Whether the owner's share has room for `extra` more records of `bytes` more. */
static bool fits_share(const struct recordset *set, const struct weft_peer_id *id, size_t extra,
                       size_t bytes) {
    struct owner owner;
    size_t count = 0;
    size_t present = 0;
    if (extra + bytes > 0 && index_find(set, id, &owner)) {
        owner_weigh(set, &owner, &count, &present);
    }
    return count + extra <= set->config.owner_records_max &&
           present + bytes <= set->config.owner_bytes_max;
}

static enum recordset_verdict put_update(struct recordset *set, uint32_t slot,
                                         struct record *record) {
    struct owner owner;
    struct record *old = set->slots[slot].record;
    size_t before = old->encoded.len;
    size_t more = record->encoded.len > before ? record->encoded.len - before : 0;
    if (!fits_share(set, &record->owner, 0, more) ||
        !make_room(set, 0, more, set->slots[slot].state == SLOT_STRANGER, slot) ||
        !index_find(set, &record->owner, &owner)) {
        return RECORDSET_REFUSED;
    }
    uint64_t incarnation = owner_incarnation(set, &owner);
    places_set_counted(&set->places, &set->slots[slot], false);
    owner_discount(set, slot);
    set->slots[slot].record = record_ref(record);
    record_unref(old);
    owner_account(set, slot);
    slot_settle(set, &owner, slot, incarnation);
    return RECORDSET_UPDATED;
}

static enum recordset_verdict put_new(struct recordset *set, struct record *record, weft_ns now) {
    struct owner owner;
    size_t bytes = record->encoded.len;
    if (!fits_share(set, &record->owner, 1, bytes) ||
        !make_room(set, 1, bytes, recordset_is_stranger(set, &record->owner), SLOT_NONE) ||
        !owner_open(set, &record->owner, now, &owner)) {
        return RECORDSET_REFUSED;
    }
    enum recordset_verdict verdict = slot_add(set, record, &owner);
    owner_drop_idle(set, &owner);
    return verdict;
}

static bool is_former(const struct recordset *set, const struct weft_peer_id *owner, uint16_t kind,
                      uint64_t incarnation) {
    return kind != WIRE_RECORD_PEER && incarnation < recordset_incarnation(set, owner);
}

static enum recordset_verdict put_by_order(struct recordset *set, struct record *record,
                                           weft_ns now) {
    uint32_t slot = index_slot(set, record->kind, &record->owner, record->key);
    if (slot == SLOT_NONE) {
        return is_former(set, &record->owner, record->kind, record->incarnation)
                   ? RECORDSET_OLDER
                   : put_new(set, record, now);
    }
    const struct record *known = set->slots[slot].record;
    bool is_ignored = DEFECT(TOMBSTONE_IGNORED) && record->is_tombstone;
    if (record_is_newer(record, known) && !is_ignored) {
        return put_update(set, slot, record);
    }
    if (record_is_newer(known, record)) {
        return RECORDSET_OLDER;
    }
    int order = memcmp(record->fingerprint, known->fingerprint, 32);
    if (order == 0) {
        return RECORDSET_SAME;
    }
    return order > 0 ? put_update(set, slot, record) : RECORDSET_OLDER;
}

enum recordset_verdict recordset_put(struct recordset *set, struct record *record, weft_ns now) {
    while (set->evicted_first != SLOT_NONE) {
        record_unref(recordset_next_evicted(set));
    }
    owner_make_up(set, now);
    enum recordset_verdict verdict = put_by_order(set, record, now);
    if (verdict == RECORDSET_REFUSED) {
        set->refused_count++;
    }
    strangers_trim(&set->strangers);
    return verdict;
}

enum recordset_verdict recordset_judge(const struct recordset *set,
                                       const struct record_heard *heard, size_t *slot) {
    uint32_t at = index_slot(set, heard->kind, &heard->owner, heard->key);
    *slot = at != SLOT_NONE ? at : SIZE_MAX;
    if (at == SLOT_NONE) {
        return is_former(set, &heard->owner, heard->kind, heard->incarnation) ? RECORDSET_OLDER
                                                                              : RECORDSET_ADDED;
    }
    const struct record *ours = set->slots[at].record;
    if (heard->incarnation != ours->incarnation) {
        return heard->incarnation > ours->incarnation ? RECORDSET_UPDATED : RECORDSET_OLDER;
    }
    if (heard->version != ours->version) {
        return heard->version > ours->version ? RECORDSET_UPDATED : RECORDSET_OLDER;
    }
    return span_equal(ours->encoded, heard->encoded) ? RECORDSET_SAME : RECORDSET_UPDATED;
}

struct record *recordset_find(const struct recordset *set, uint16_t kind,
                              const struct weft_peer_id *owner, struct span key) {
    uint32_t slot = index_slot(set, kind, owner, key);
    return slot != SLOT_NONE ? set->slots[slot].record : NULL;
}

struct record *recordset_find_place(const struct recordset *set, const uint8_t place[32]) {
    uint32_t slot = places_find(&set->places, set->slots, place);
    return slot != SLOT_NONE ? set->slots[slot].record : NULL;
}

size_t recordset_named(const struct recordset *set, const uint8_t name[WIRE_NOTE_NAME_BYTES],
                       size_t nth) {
    uint32_t slot = places_find_named(&set->places, set->slots, name, WIRE_NOTE_NAME_BYTES, nth);
    return slot != SLOT_NONE ? slot : SIZE_MAX;
}

void recordset_expect(const struct recordset *set, const uint8_t *names, size_t stride,
                      size_t count) {
    for (size_t i = 0; i < count; i++) {
        places_fetch_bucket(&set->places, names + i * stride);
    }
    for (size_t i = 0; i < count; i++) {
        places_fetch_run(&set->places, names + i * stride);
    }
}

/* Drops the owner's records that are of an incarnation below `incarnation`, all if it is 0; returns
 * how many. */
static size_t drop_records(struct recordset *set, struct owner *owner, uint64_t incarnation,
                           void (*each)(void *ctx, struct record *record), void *ctx) {
    size_t dropped = 0;
    uint32_t last = owner->tail;
    uint32_t next = last != SLOT_NONE ? set->slots[last].next : SLOT_NONE;
    for (uint32_t slot = next; slot != SLOT_NONE; slot = next) {
        struct record *record = set->slots[slot].record;
        next = slot != last ? set->slots[slot].next : SLOT_NONE;
        if (incarnation == 0 ||
            (record->kind != WIRE_RECORD_PEER && record->incarnation < incarnation)) {
            each(ctx, record);
            slot_unlink(set, owner, slot);
            record_unref(slot_give(set, slot));
            dropped++;
        }
    }
    return dropped;
}

void recordset_drop_owner(struct recordset *set, const struct weft_peer_id *id,
                          void (*each)(void *ctx, struct record *record), void *ctx) {
    struct owner owner;
    if (!index_find(set, id, &owner) || owner.state == SLOT_LIVE) {
        return;
    }
    (void)drop_records(set, &owner, 0, each, ctx);
    owner_drop_idle(set, &owner);
    strangers_trim(&set->strangers);
}

size_t recordset_drop_former(struct recordset *set, const struct weft_peer_id *id,
                             uint64_t incarnation, void (*each)(void *ctx, struct record *record),
                             void *ctx) {
    struct owner owner;
    uint64_t present = index_find(set, id, &owner) ? owner_incarnation(set, &owner) : 0;
    uint64_t bound = incarnation < present ? incarnation : present;
    return bound != 0 ? drop_records(set, &owner, bound, each, ctx) : 0;
}

void recordset_each(const struct recordset *set,
                    void (*each)(void *ctx, struct record *record, bool is_live), void *ctx) {
    for (uint32_t i = 0; i < set->slot_count; i++) {
        const struct slot *slot = &set->slots[i];
        if (slot->state >= SLOT_STRANGER) {
            each(ctx, slot->record, slot->state == SLOT_LIVE);
        }
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
    places_range(&set->places, set->slots, prefix, depth, &sum, count);
    sum_to_bytes(&sum, sum_out);
}

void recordset_each_in(const struct recordset *set, const uint8_t prefix[PLACE_PREFIX_BYTES],
                       unsigned depth, void (*each)(void *ctx, struct record *record), void *ctx) {
    places_each(&set->places, set->slots, prefix, depth, each, ctx);
}

size_t recordset_slot_of(const struct recordset *set, const struct record *record) {
    uint32_t slot = index_slot(set, record->kind, &record->owner, record->key);
    return slot != SLOT_NONE ? slot : SIZE_MAX;
}

struct record *recordset_at(const struct recordset *set, size_t slot) {
    return slot < set->slot_count && set->slots[slot].state >= SLOT_STRANGER
               ? set->slots[slot].record
               : NULL;
}

struct record *recordset_live_at(const struct recordset *set, size_t slot) {
    return slot < set->slot_count && set->slots[slot].is_counted ? set->slots[slot].record : NULL;
}

size_t recordset_slot_count(const struct recordset *set) {
    return set->slot_count;
}

uint64_t recordset_digest(const struct recordset *set) {
    return set->places.total.limb[3];
}
