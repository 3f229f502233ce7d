/* SPDX-License-Identifier: Apache-2.0
 *
 * The owners of a record set: which are live, which are gone and since when, which never were here
 * (strangers). An owner moves between three states; its records move along.
 *
 *   (none) --record--> stranger --live, vouched--> known: live <--> gone --dropped--> (none)
 */
#include <stdlib.h>

#include "base/check.h"
#include "base/time.h"
#include "gossip/set.h"

/* Walks an owner's slots: the peer record, then the others in the order they came. */
#define FOR_SLOTS(set, owner, slot)                                                                \
    for (uint32_t slot = first_slot(set, owner); slot != SLOT_NONE;                                \
         slot = slot_behind(set, owner, slot))

static uint32_t first_slot(const struct recordset *set, const struct owner *owner) {
    return owner->tail != SLOT_NONE ? set->slots[owner->tail].next : SLOT_NONE;
}

static uint32_t slot_behind(const struct recordset *set, const struct owner *owner, uint32_t slot) {
    return slot != owner->tail ? set->slots[slot].next : SLOT_NONE;
}

static bool is_peer_record(const struct recordset *set, uint32_t slot) {
    return set->slots[slot].record->kind == WIRE_RECORD_PEER;
}

static struct aside *aside_of(struct recordset *set, const struct owner *owner) {
    return owner->aside != SLOT_NONE ? &set->asides.rows[owner->aside] : NULL;
}

bool owner_open(struct recordset *set, const struct weft_peer_id *id, weft_ns now,
                struct owner *out) {
    if (index_find(set, id, out)) {
        return true;
    }
    if (set->owner_count >= set->config.records_max + RECORDSET_BARE_OWNERS_MAX) {
        return false;
    }
    uint32_t row = asides_take(&set->asides);
    if (row == SLOT_NONE) {
        return false;
    }
    struct aside *aside = &set->asides.rows[row];
    aside->id = *id;
    aside->state = SLOT_STRANGER;
    aside->gone_since = now;
    if (!index_add(set, row, out)) {
        asides_give(&set->asides, row);
        asides_trim(&set->asides);
        return false;
    }
    asides_append(&set->asides, row);
    return true;
}

/* Gives the owner's aside back. Its cell must name a slot next, or go. */
static void drop_aside(struct recordset *set, struct owner *owner) {
    if (owner->aside != SLOT_NONE) {
        asides_give(&set->asides, owner->aside);
        owner->aside = SLOT_NONE;
    }
}

void owner_drop_idle(struct recordset *set, struct owner *owner) {
    if (owner->state == SLOT_LIVE || owner->tail != SLOT_NONE) {
        return;
    }
    if (owner->aside != SLOT_NONE) {
        asides_remove(&set->asides, owner->aside);
    }
    index_remove(set, owner);
    drop_aside(set, owner);
    asides_trim(&set->asides);
}

/* A live owner with records needs no aside. */
static void settle(struct recordset *set, struct owner *owner) {
    if (owner->state == SLOT_LIVE && owner->tail != SLOT_NONE && owner->aside != SLOT_NONE) {
        drop_aside(set, owner);
        index_point(set, owner);
        asides_trim(&set->asides);
    }
}

/* Notes since when a known owner is gone. False when out of memory. */
static bool note_gone(struct recordset *set, struct owner *owner, weft_ns now) {
    struct aside *aside = aside_of(set, owner);
    if (aside == NULL) {
        owner->aside = asides_take(&set->asides);
        aside = aside_of(set, owner);
        if (aside == NULL) {
            return false;
        }
        aside->id = set->slots[owner->tail].record->owner;
        index_point(set, owner);
    }
    aside->state = SLOT_GONE;
    aside->gone_since = now;
    aside->gone_before = 0;
    asides_append(&set->asides, owner->aside);
    return true;
}

void owner_make_up(struct recordset *set, weft_ns now) {
    for (uint32_t i = 0; i < set->slot_count && set->owes_asides; i++) {
        struct owner owner;
        if (set->slots[i].state == SLOT_GONE &&
            index_find(set, &set->slots[i].record->owner, &owner) && owner.aside == SLOT_NONE &&
            !note_gone(set, &owner, now)) {
            return;
        }
    }
    set->owes_asides = false;
}

void owner_attach(struct recordset *set, struct owner *owner, uint32_t slot) {
    set->slots[slot].state = (uint8_t)owner->state;
    if (owner->tail == SLOT_NONE) {
        set->slots[slot].next = slot;
        owner->tail = slot;
    } else {
        set->slots[slot].next = set->slots[owner->tail].next;
        set->slots[owner->tail].next = slot;
        owner->tail = is_peer_record(set, slot) ? owner->tail : slot; /* else it is the first */
    }
    index_point(set, owner);
    settle(set, owner);
}

void owner_detach(struct recordset *set, struct owner *owner, uint32_t slot) {
    if (set->slots[slot].next == slot) {
        ASSERT(owner->tail == slot && owner->state != SLOT_LIVE);
        owner->tail = SLOT_NONE;
        if (owner->aside != SLOT_NONE) {
            index_point(set, owner);
        } /* else the owner goes now: owner_drop_idle */
        return;
    }
    uint32_t before = owner->tail;
    while (set->slots[before].next != slot) {
        before = set->slots[before].next;
    }
    set->slots[before].next = set->slots[slot].next;
    owner->tail = owner->tail == slot ? before : owner->tail;
    index_point(set, owner);
}

uint64_t owner_incarnation(const struct recordset *set, const struct owner *owner) {
    uint32_t first = first_slot(set, owner);
    return first != SLOT_NONE && is_peer_record(set, first) ? set->slots[first].record->incarnation
                                                            : 0;
}

void owner_count_slot(struct recordset *set, const struct owner *owner, uint32_t slot) {
    struct slot *at = &set->slots[slot];
    bool is_present =
        is_peer_record(set, slot) || at->record->incarnation == owner_incarnation(set, owner);
    places_set_counted(&set->places, at, owner->state == SLOT_LIVE && is_present);
}

void owner_count_all(struct recordset *set, const struct owner *owner) {
    FOR_SLOTS(set, owner, slot) {
        owner_count_slot(set, owner, slot);
    }
}

void owner_weigh(const struct recordset *set, const struct owner *owner, size_t *count,
                 size_t *bytes) {
    *count = 0;
    *bytes = 0;
    FOR_SLOTS(set, owner, slot) {
        (*count)++;
        *bytes += set->slots[slot].record->encoded.len;
    }
}

/* Of one record, in the account of what state its owner is in. */
static void account_state(struct recordset *set, uint32_t slot) {
    struct slot *at = &set->slots[slot];
    if (at->state == SLOT_STRANGER) {
        at->strange = strangers_append(&set->strangers, slot);
        set->stranger_bytes += at->record->encoded.len;
    } else if (at->state == SLOT_GONE) {
        set->stale_count++;
    }
}

static void discount_state(struct recordset *set, uint32_t slot) {
    struct slot *at = &set->slots[slot];
    if (at->state == SLOT_STRANGER) {
        strangers_remove(&set->strangers, at->strange);
        set->stranger_bytes -= at->record->encoded.len;
    } else if (at->state == SLOT_GONE) {
        set->stale_count--;
    }
}

void owner_account(struct recordset *set, uint32_t slot) {
    set->count++;
    set->bytes += set->slots[slot].record->encoded.len;
    account_state(set, slot);
}

void owner_discount(struct recordset *set, uint32_t slot) {
    discount_state(set, slot);
    set->count--;
    set->bytes -= set->slots[slot].record->encoded.len;
}

/* Moves an owner and the accounts of its records from one state to another. */
static void owner_move(struct recordset *set, struct owner *owner, enum slot_state state) {
    ASSERT(state != SLOT_STRANGER); /* or the order of strangers might have no room */
    FOR_SLOTS(set, owner, slot) {
        discount_state(set, slot);
        set->slots[slot].state = (uint8_t)state;
        account_state(set, slot);
    }
    owner->state = state;
    if (owner->aside != SLOT_NONE) {
        aside_of(set, owner)->state = state;
    }
    owner_count_all(set, owner);
    strangers_trim(&set->strangers);
}

static void owner_come(struct recordset *set, struct owner *owner) {
    if (owner->aside != SLOT_NONE) {
        asides_remove(&set->asides, owner->aside);
    }
    owner_move(set, owner, SLOT_LIVE);
    settle(set, owner);
    set->live_owner_count++;
}

/* Without memory for its aside it is gone all the same, and noted later. */
static void owner_go(struct recordset *set, struct owner *owner, weft_ns now) {
    owner_move(set, owner, SLOT_GONE);
    set->live_owner_count--;
    set->owes_asides = !note_gone(set, owner, now) || set->owes_asides;
    owner_drop_idle(set, owner);
}

void recordset_set_live(struct recordset *set, const struct weft_peer_id *id, bool is_live,
                        weft_ns now) {
    struct owner owner;
    owner_make_up(set, now);
    bool is_there = is_live ? owner_open(set, id, now, &owner) : index_find(set, id, &owner);
    if (!is_there || (owner.state == SLOT_LIVE) == is_live) {
        return; /* short of memory an owner stays a stranger: its records wait, nothing breaks */
    }
    if (is_live) {
        owner_come(set, &owner);
    } else {
        owner_go(set, &owner, now);
    }
}

/* The owner's aside while it is not live, or NULL. */
static struct aside *absent(const struct recordset *set, const struct weft_peer_id *id) {
    struct owner owner;
    if (!index_find(set, id, &owner) || owner.state == SLOT_LIVE || owner.aside == SLOT_NONE) {
        return NULL;
    }
    return &set->asides.rows[owner.aside];
}

void recordset_set_absence(struct recordset *set, const struct weft_peer_id *id, weft_ns absence) {
    struct aside *aside = absent(set, id);
    if (aside != NULL && (aside->gone_before == 0 || absence < aside->gone_before)) {
        aside->gone_before = absence;
    }
}

weft_ns recordset_absence(const struct recordset *set, const struct weft_peer_id *id, weft_ns now) {
    const struct aside *aside = absent(set, id);
    return aside != NULL ? time_after(time_since(aside->gone_since, now), aside->gone_before) : 0;
}

bool recordset_is_live(const struct recordset *set, const struct weft_peer_id *id) {
    struct owner owner;
    return index_find(set, id, &owner) && owner.state == SLOT_LIVE;
}

void recordset_vouch(struct recordset *set, const struct weft_peer_id *id, weft_ns now) {
    struct owner owner;
    if (owner_open(set, id, now, &owner) && owner.state == SLOT_STRANGER) {
        owner_move(set, &owner, SLOT_GONE);
    }
}

bool recordset_is_stranger(const struct recordset *set, const struct weft_peer_id *id) {
    struct owner owner;
    return !index_find(set, id, &owner) || owner.state == SLOT_STRANGER;
}

uint64_t recordset_incarnation(const struct recordset *set, const struct weft_peer_id *id) {
    struct owner owner;
    return index_find(set, id, &owner) ? owner_incarnation(set, &owner) : 0;
}

bool recordset_gone_since(const struct recordset *set, weft_ns *since, struct weft_peer_id *out) {
    if (set->asides.first == SLOT_NONE) {
        return false;
    }
    const struct aside *aside = &set->asides.rows[set->asides.first];
    *since = aside->gone_since;
    *out = aside->id;
    return true;
}

bool recordset_next_faded(const struct recordset *set, weft_ns before, struct weft_peer_id *out) {
    weft_ns since;
    struct weft_peer_id id;
    if (!recordset_gone_since(set, &since, &id) || since >= before) {
        return false;
    }
    *out = id;
    return true;
}

void recordset_each_of(const struct recordset *set, const struct weft_peer_id *id,
                       void (*each)(void *ctx, struct record *record, bool is_live), void *ctx) {
    struct owner owner;
    if (!index_find(set, id, &owner)) {
        return;
    }
    FOR_SLOTS(set, &owner, slot) {
        each(ctx, set->slots[slot].record, owner.state == SLOT_LIVE);
    }
}

size_t recordset_owner_count(const struct recordset *set, const struct weft_peer_id *id) {
    struct owner owner;
    size_t count = 0;
    size_t bytes;
    if (index_find(set, id, &owner)) {
        owner_weigh(set, &owner, &count, &bytes);
    }
    return count;
}
