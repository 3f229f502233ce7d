/* SPDX-License-Identifier: Apache-2.0
 *
 * The insides of a record set, shared by its files and nobody else:
 *
 *   recordset.c  bounds, putting, dropping       places.c     order by place, and the sums
 *   owners.c     who is live, who a stranger     index.c      owners by id, records by key
 *   asides.c     what only absent owners need    strangers.c  the order in which strangers go
 *
 * The simulator holds 10,000 sets of 10,000 records, so memory decides the shape. A settled record,
 * the only one of a live owner, costs some 32 bytes here: a slot (16), its number and head in a
 * bucket of places (6) and in its owner's cell (4), and the slack of growing by an eighth to a
 * quarter. A set that shares its table of owners' numbers with nobody has 30 bytes more for each
 * owner. There is no struct of an owner: an owner is the ring of its records' slots, and its state
 * stands in each of them. The cell of an owner names the last slot of its ring, whose `next` is the
 * first. The first is the peer record if there is one, so that the owner's present incarnation is
 * found at once; the others follow in the order they came.
 *
 *   cells   [ . | b | . | a | . ]                  slots   0      1      2      3      4
 *                |       `------------------------------> [a1] -> itself
 *                `--------------------------------------------------------> [b3] -> [b1] -> [b2] ->
 *
 * What an owner needs besides is kept aside while it is needed: since when it is not live, or that
 * it is live without a record. Then its cell names the aside, and the aside the ring.
 */
#ifndef GOSSIP_SET_H
#define GOSSIP_SET_H

#include "base/peer_table.h"
#include "gossip/places.h"

/* Records of a set at most, whatever the config says: what a cell can name. RECORDSET_BYTES_MAX has
 * room for half as many. */
#define SET_RECORDS_MAX ((size_t)1 << 20)
/* Strangers' records at most, whatever the config says: what a slot can name. */
#define SET_STRANGERS_MAX ((size_t)UINT16_MAX - 1)

/* One owner that is not live, or live without a record. */
struct aside {
    struct weft_peer_id id;
    weft_ns gone_since;  /* valid while not live */
    weft_ns gone_before; /* for how long it had been gone then, when the store told us of it */
    uint32_t prev;       /* among those that are not live, by since when; SLOT_NONE at the ends */
    uint32_t next;       /* also of a free one: the next free one */
    uint32_t tail;       /* the last of the owner's slots, SLOT_NONE without any */
    enum slot_state state;
};

struct asides {
    struct aside *rows;
    uint32_t count; /* in use */
    uint32_t used;  /* ever used since the array was made */
    uint32_t size;
    uint32_t free;  /* SLOT_NONE: none */
    uint32_t first; /* gone longest */
    uint32_t last;
};

/* A stranger's record in the order in which they were heard of. */
struct strange {
    uint32_t slot;
    uint16_t prev; /* STRANGE_NONE at the ends */
    uint16_t next; /* also of a free one */
};

struct strangers {
    struct strange *rows;
    uint16_t count;
    uint16_t used;
    uint16_t size;
    uint16_t free;
    uint16_t first; /* heard of longest ago */
    uint16_t last;
};

#define STRANGE_NONE UINT16_MAX

struct recordset {
    struct recordset_config config;
    struct slot *slots;
    uint32_t slot_count; /* ever used */
    uint32_t slot_size;
    uint32_t slot_free;     /* SLOT_NONE: none */
    uint32_t evicted_first; /* slots whose records wait to be told of; SLOT_NONE: none */
    uint32_t evicted_last;
    struct peer_table *peers; /* says which cell is whose: the pool's, or our own */
    struct peer_table own_peers;
    uint32_t *cells; /* of the owner index, by number of the owner; 0: free */
    uint32_t cell_count;
    uint32_t owner_count;
    struct asides asides;
    struct strangers strangers;
    struct places places;
    size_t count;
    size_t bytes;
    size_t stranger_bytes;
    size_t stale_count;
    size_t live_owner_count;
    uint64_t refused_count;
    bool owes_asides; /* memory was short when an owner went: no note since when */
};

/* An owner as found: valid until another is made or dropped. */
struct owner {
    uint32_t cell;
    uint32_t aside; /* SLOT_NONE: none */
    uint32_t tail;  /* SLOT_NONE: it has no records */
    enum slot_state state;
};

/* index.c */
bool index_find(const struct recordset *set, const struct weft_peer_id *id, struct owner *out);
/* Adds an owner that is not there, by its aside. False when out of memory. */
bool index_add(struct recordset *set, uint32_t aside, struct owner *out);
void index_remove(struct recordset *set, const struct owner *owner);
/* Makes the owner's cell name its aside if it has one, else its tail. */
void index_point(struct recordset *set, const struct owner *owner);
/* The slot of a record, or SLOT_NONE. */
uint32_t index_slot(const struct recordset *set, uint16_t kind, const struct weft_peer_id *owner,
                    struct span key);

/* asides.c. Takes zeroed memory, as do the strangers. */
void asides_init(struct asides *asides);
/* A row of zeros, or SLOT_NONE when out of memory. */
uint32_t asides_take(struct asides *asides);
void asides_give(struct asides *asides, uint32_t row);
/* Into the order of those gone, as the last, and out of it. */
void asides_append(struct asides *asides, uint32_t row);
void asides_remove(struct asides *asides, uint32_t row);
/* Frees the rows if none is in use. */
void asides_trim(struct asides *asides);

/* strangers.c */
void strangers_init(struct strangers *strangers);
/* Room for one more; false when out of memory. */
bool strangers_reserve(struct strangers *strangers);
/* As the last; there must be room. Returns the row. */
uint16_t strangers_append(struct strangers *strangers, uint32_t slot);
void strangers_remove(struct strangers *strangers, uint16_t row);
/* The slot heard of longest ago but `spared`, or SLOT_NONE. */
uint32_t strangers_first(const struct strangers *strangers, uint32_t spared);
void strangers_trim(struct strangers *strangers);

/* owners.c */
/* The owner, made if need be: then a stranger. False when out of memory or at the bound. */
bool owner_open(struct recordset *set, const struct weft_peer_id *id, weft_ns now,
                struct owner *out);
/* Drops an owner that is not live and has no records; else does nothing. */
void owner_drop_idle(struct recordset *set, struct owner *owner);
/* Notes since when owners are gone for which there was no memory then. */
void owner_make_up(struct recordset *set, weft_ns now);
/* Links a slot into the owner's ring, with the owner's state, and out of it. */
void owner_attach(struct recordset *set, struct owner *owner, uint32_t slot);
void owner_detach(struct recordset *set, struct owner *owner, uint32_t slot);
/* The incarnation of its peer record; 0 if there is none. */
uint64_t owner_incarnation(const struct recordset *set, const struct owner *owner);
/* Makes what is of the owner's present life count if it is live: one slot, or all. */
void owner_count_slot(struct recordset *set, const struct owner *owner, uint32_t slot);
void owner_count_all(struct recordset *set, const struct owner *owner);
/* How many records it has, and their bytes. Walks them. */
void owner_weigh(const struct recordset *set, const struct owner *owner, size_t *count,
                 size_t *bytes);
/* Takes a slot's record in or out of all accounts. */
void owner_account(struct recordset *set, uint32_t slot);
void owner_discount(struct recordset *set, uint32_t slot);

#endif
