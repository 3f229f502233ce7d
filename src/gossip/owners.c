/* SPDX-License-Identifier: Apache-2.0
 *
 * The owners of a record set: which are live, which are gone and since when, which never were here
 * (strangers). An owner moves between three states; its records move along.
 *
 *   (none) --record--> stranger --live, vouched--> known: live <--> gone --dropped--> (none)
 */
#include "gossip/set.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/time.h"

static struct span owner_key(const struct weft_peer_id *id) {
    return span_of(id->bytes, sizeof id->bytes);
}

struct owner *owner_find(const struct recordset *set, const struct weft_peer_id *id) {
    return map_find(set->owners, owner_key(id));
}

struct owner *owner_get(struct recordset *set, const struct weft_peer_id *id, weft_ns now) {
    struct owner *owner = owner_find(set, id);
    if (owner != NULL) {
        return owner;
    }
    owner = calloc(1, sizeof *owner);
    if (owner == NULL || map_add(set->owners, owner_key(id), owner) != WEFT_OK) {
        free(owner);
        return NULL;
    }
    owner->id = *id;
    owner->is_stranger = true;
    owner->gone_since = now;
    chain_init(&owner->entries);
    chain_append(&set->gone, &owner->gone);
    return owner;
}

void owner_drop_idle(struct recordset *set, struct owner *owner) {
    if (owner->is_live || owner->count > 0) {
        return;
    }
    chain_remove(&owner->gone);
    (void)map_remove(set->owners, owner_key(&owner->id));
    free(owner);
}

void owner_count_entry(struct recordset *set, struct entry *entry) {
    const struct owner *owner = entry->owner;
    bool is_present =
        entry->record->kind == WIRE_RECORD_PEER || entry->record->incarnation == owner->incarnation;
    places_set_counted(&set->places, entry, owner->is_live && is_present);
}

void owner_count_all(struct recordset *set, struct owner *owner) {
    for (struct chain *link = owner->entries.next; link != &owner->entries; link = link->next) {
        owner_count_entry(set, CHAIN_OF(link, struct entry, siblings));
    }
}

/* Of one entry, in the account of what state its owner is in. */
static void account_state(struct recordset *set, struct entry *entry) {
    if (entry->owner->is_stranger) {
        chain_append(&set->strangers, &entry->strange);
        set->stranger_count++;
        set->stranger_bytes += entry->record->encoded.len;
    } else if (!entry->owner->is_live) {
        set->stale_count++;
    }
}

static void discount_state(struct recordset *set, struct entry *entry) {
    if (entry->owner->is_stranger) {
        chain_remove(&entry->strange);
        set->stranger_count--;
        set->stranger_bytes -= entry->record->encoded.len;
    } else if (!entry->owner->is_live) {
        set->stale_count--;
    }
}

void owner_account(struct recordset *set, struct entry *entry) {
    size_t len = entry->record->encoded.len;
    entry->owner->count++;
    entry->owner->bytes += len;
    set->count++;
    set->bytes += len;
    account_state(set, entry);
}

void owner_discount(struct recordset *set, struct entry *entry) {
    size_t len = entry->record->encoded.len;
    discount_state(set, entry);
    entry->owner->count--;
    entry->owner->bytes -= len;
    set->count--;
    set->bytes -= len;
}

/* Moves an owner and the accounts of its entries from one state to another. */
static void owner_move(struct recordset *set, struct owner *owner, bool is_stranger, bool is_live) {
    for (struct chain *link = owner->entries.next; link != &owner->entries; link = link->next) {
        discount_state(set, CHAIN_OF(link, struct entry, siblings));
    }
    owner->is_stranger = is_stranger;
    owner->is_live = is_live;
    for (struct chain *link = owner->entries.next; link != &owner->entries; link = link->next) {
        account_state(set, CHAIN_OF(link, struct entry, siblings));
    }
    owner_count_all(set, owner);
}

void recordset_set_live(struct recordset *set, const struct weft_peer_id *id, bool is_live,
                        weft_ns now) {
    struct owner *owner = is_live ? owner_get(set, id, now) : owner_find(set, id);
    if (owner == NULL || owner->is_live == is_live) {
        return; /* short of memory an owner stays a stranger: its records wait, nothing breaks */
    }
    owner_move(set, owner, false, is_live);
    chain_remove(&owner->gone);
    if (is_live) {
        set->live_owner_count++;
        return;
    }
    set->live_owner_count--;
    owner->gone_since = now;
    owner->gone_before = 0;
    chain_append(&set->gone, &owner->gone);
    owner_drop_idle(set, owner);
}

void recordset_set_absence(struct recordset *set, const struct weft_peer_id *id, weft_ns absence) {
    struct owner *owner = owner_find(set, id);
    if (owner != NULL && (owner->gone_before == 0 || absence < owner->gone_before)) {
        owner->gone_before = absence;
    }
}

weft_ns recordset_absence(const struct recordset *set, const struct weft_peer_id *id, weft_ns now) {
    const struct owner *owner = owner_find(set, id);
    if (owner == NULL || owner->is_live) {
        return 0;
    }
    return time_after(time_since(owner->gone_since, now), owner->gone_before);
}

bool recordset_is_live(const struct recordset *set, const struct weft_peer_id *id) {
    const struct owner *owner = owner_find(set, id);
    return owner != NULL && owner->is_live;
}

void recordset_vouch(struct recordset *set, const struct weft_peer_id *id, weft_ns now) {
    struct owner *owner = owner_get(set, id, now);
    if (owner != NULL && owner->is_stranger) {
        owner_move(set, owner, false, false);
    }
}

bool recordset_is_stranger(const struct recordset *set, const struct weft_peer_id *id) {
    const struct owner *owner = owner_find(set, id);
    return owner == NULL || owner->is_stranger;
}

uint64_t recordset_incarnation(const struct recordset *set, const struct weft_peer_id *id) {
    const struct owner *owner = owner_find(set, id);
    return owner != NULL ? owner->incarnation : 0;
}

bool recordset_gone_since(const struct recordset *set, weft_ns *since, struct weft_peer_id *out) {
    if (chain_is_empty(&set->gone)) {
        return false;
    }
    const struct owner *owner = CHAIN_OF(set->gone.next, struct owner, gone);
    *since = owner->gone_since;
    *out = owner->id;
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
    struct owner *owner = owner_find(set, id);
    if (owner == NULL) {
        return;
    }
    for (struct chain *link = owner->entries.next; link != &owner->entries; link = link->next) {
        each(ctx, CHAIN_OF(link, struct entry, siblings)->record, owner->is_live);
    }
}

size_t recordset_owner_count(const struct recordset *set, const struct weft_peer_id *id) {
    const struct owner *owner = owner_find(set, id);
    return owner != NULL ? owner->count : 0;
}
