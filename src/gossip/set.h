/* SPDX-License-Identifier: Apache-2.0
 *
 * The insides of a record set, shared by recordset.c (bounds, putting, dropping) and owners.c (who
 * is live, who is a stranger) and nobody else.
 */
#ifndef GOSSIP_SET_H
#define GOSSIP_SET_H

#include "base/map.h"
#include "gossip/places.h"

/* One owner: kept while it is live or has records. */
struct owner {
    struct weft_peer_id id;
    struct chain entries; /* entry.siblings, in the order they came */
    struct chain gone;    /* among the owners that are not live, by since when */
    size_t count;
    size_t bytes;
    uint64_t incarnation; /* of its peer record; 0 if there is none */
    weft_ns gone_since;   /* valid while not live */
    weft_ns gone_before;  /* for how long it had been gone then, when the store told us of it */
    bool is_live;
    bool is_stranger;
};

struct slot {
    struct entry *entry; /* NULL while free */
    uint32_t free_next;  /* the next free slot, plus one; 0: none */
};

struct recordset {
    struct recordset_config config;
    struct map *owners;     /* peer id -> struct owner */
    struct chain gone;      /* owner.gone, the one gone longest first */
    struct chain all;       /* entry.all */
    struct chain strangers; /* entry.strange */
    struct chain evicted;   /* entry.all of entries that left the set and wait to be told of */
    struct places places;
    struct slot *slots;
    size_t slot_count; /* ever used */
    size_t slot_size;
    uint32_t slot_free; /* first free slot, plus one; 0: none */
    size_t count;
    size_t bytes;
    size_t stranger_count;
    size_t stranger_bytes;
    size_t stale_count;
    size_t live_owner_count;
    uint64_t refused_count;
};

struct owner *owner_find(const struct recordset *set, const struct weft_peer_id *id);

/* The owner, made if need be: then a stranger. NULL when out of memory or at the bound. */
struct owner *owner_get(struct recordset *set, const struct weft_peer_id *id, weft_ns now);

/* Frees an owner that is not live and has no records; else does nothing. */
void owner_drop_idle(struct recordset *set, struct owner *owner);

/* Makes an entry count if its owner is live and it belongs to the owner's present life. */
void owner_count_entry(struct recordset *set, struct entry *entry);
void owner_count_all(struct recordset *set, struct owner *owner);

/* Takes an entry's bytes in or out of the owner's and the strangers' accounts. */
void owner_account(struct recordset *set, struct entry *entry);
void owner_discount(struct recordset *set, struct entry *entry);

#endif
