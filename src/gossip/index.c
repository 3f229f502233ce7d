/* SPDX-License-Identifier: Apache-2.0
 *
 * Owners by id: open addressing with linear probing, four bytes a cell, at most four fifths full. A
 * cell names a slot or an aside and keeps ten bits of the hash, so that probing looks at few ids
 * that are not the one. The hash is keyed, for peers choose their ids; nothing walks the cells.
 *
 *   31       30 .. 21     20 .. 0
 *   aside?   tag          number + 1     0: a free cell
 */
#include <stdlib.h>

#include "base/check.h"
#include "gossip/set.h"

#define CELLS_FIRST 16
#define CELL_ASIDE ((uint32_t)1 << 31)
#define CELL_TAG_SHIFT 21
#define CELL_TAG_MASK ((uint32_t)0x3ff << CELL_TAG_SHIFT)
#define CELL_NUMBER_MASK (((uint32_t)1 << CELL_TAG_SHIFT) - 1)
/* How many of an owner's records are looked through for a key before its place is hashed instead:
 * that costs as much as some twenty of them. */
#define SIBLINGS_MAX 16

static uint32_t hash_of(const struct recordset *set, const struct weft_peer_id *id) {
    return mix_hash(&set->mix, id->bytes);
}

/* The low bits of the hash; its high ones say where probing begins. */
static uint32_t tag_of(uint32_t hash) {
    return hash << CELL_TAG_SHIFT & CELL_TAG_MASK;
}

static uint32_t home_of(uint32_t hash, uint32_t cell_count) {
    return (uint32_t)((uint64_t)hash * cell_count >> 32);
}

static uint32_t cell_behind(const struct recordset *set, uint32_t cell) {
    return cell + 1 < set->cell_count ? cell + 1 : 0;
}

static uint32_t number_in(uint32_t content) {
    return (content & CELL_NUMBER_MASK) - 1;
}

static const struct weft_peer_id *id_in(const struct recordset *set, uint32_t content) {
    return (content & CELL_ASIDE) != 0 ? &set->asides.rows[number_in(content)].id
                                       : &set->slots[number_in(content)].record->owner;
}

static struct owner owner_in(const struct recordset *set, uint32_t cell) {
    uint32_t content = set->cells[cell];
    struct owner owner = {.cell = cell, .aside = SLOT_NONE};
    if ((content & CELL_ASIDE) != 0) {
        owner.aside = number_in(content);
        owner.tail = set->asides.rows[owner.aside].tail;
        owner.state = set->asides.rows[owner.aside].state;
    } else {
        owner.tail = number_in(content);
        owner.state = (enum slot_state)set->slots[owner.tail].state;
    }
    return owner;
}

bool index_find(const struct recordset *set, const struct weft_peer_id *id, struct owner *out) {
    if (set->owner_count == 0) {
        return false;
    }
    uint32_t hash = hash_of(set, id);
    uint32_t cell = home_of(hash, set->cell_count);
    for (; set->cells[cell] != 0; cell = cell_behind(set, cell)) {
        if ((set->cells[cell] & CELL_TAG_MASK) == tag_of(hash) &&
            weft_peer_id_equal(id_in(set, set->cells[cell]), id)) {
            *out = owner_in(set, cell);
            return true;
        }
    }
    return false;
}

/* The free cell where an owner of this hash belongs. */
static uint32_t free_cell(const struct recordset *set, uint32_t hash) {
    uint32_t cell = home_of(hash, set->cell_count);
    while (set->cells[cell] != 0) {
        cell = cell_behind(set, cell);
    }
    return cell;
}

static bool cells_reserve(struct recordset *set) {
    uint32_t old_count = set->cell_count;
    if ((uint64_t)(set->owner_count + 1) * 5 <= (uint64_t)old_count * 4) {
        return true;
    }
    uint32_t *old = set->cells;
    uint32_t count = old_count + old_count / 2 + CELLS_FIRST;
    uint32_t *cells = calloc(count, sizeof *cells);
    if (cells == NULL) {
        return false;
    }
    set->cells = cells;
    set->cell_count = count;
    for (uint32_t i = 0; i < old_count; i++) {
        if (old[i] != 0) {
            cells[free_cell(set, hash_of(set, id_in(set, old[i])))] = old[i];
        }
    }
    free(old);
    return true;
}

bool index_add(struct recordset *set, uint32_t aside, struct owner *out) {
    if (!cells_reserve(set)) {
        return false;
    }
    uint32_t hash = hash_of(set, &set->asides.rows[aside].id);
    uint32_t cell = free_cell(set, hash);
    set->cells[cell] = CELL_ASIDE | tag_of(hash) | (aside + 1);
    set->owner_count++;
    *out = owner_in(set, cell);
    return true;
}

void index_point(struct recordset *set, const struct owner *owner) {
    uint32_t tag = set->cells[owner->cell] & CELL_TAG_MASK;
    if (owner->aside != SLOT_NONE) {
        set->cells[owner->cell] = CELL_ASIDE | tag | (owner->aside + 1);
        set->asides.rows[owner->aside].tail = owner->tail;
    } else {
        set->cells[owner->cell] = tag | (owner->tail + 1);
    }
}

/* Whether a cell may move to the one that became free: its home does not lie behind that. */
static bool may_move(const struct recordset *set, uint32_t from, uint32_t to) {
    uint32_t home = home_of(hash_of(set, id_in(set, set->cells[from])), set->cell_count);
    return to < from ? home <= to || home > from : home <= to && home > from;
}

/* What was pushed behind moves up, so that every probe still ends where it should. */
void index_remove(struct recordset *set, const struct owner *owner) {
    uint32_t hole = owner->cell;
    for (uint32_t at = cell_behind(set, hole); set->cells[at] != 0; at = cell_behind(set, at)) {
        if (may_move(set, at, hole)) {
            set->cells[hole] = set->cells[at];
            hole = at;
        }
    }
    set->cells[hole] = 0;
    set->owner_count--;
}

static uint32_t slot_by_place(const struct recordset *set, uint16_t kind,
                              const struct weft_peer_id *owner, struct span key) {
    uint8_t place[32];
    record_place(kind, owner, key, place);
    return places_find(&set->places, set->slots, place);
}

uint32_t index_slot(const struct recordset *set, uint16_t kind, const struct weft_peer_id *id,
                    struct span key) {
    struct owner owner;
    if (!index_find(set, id, &owner) || owner.tail == SLOT_NONE) {
        return SLOT_NONE;
    }
    uint32_t slot = owner.tail;
    for (int i = 0; i < SIBLINGS_MAX; i++) {
        slot = set->slots[slot].next;
        const struct record *record = set->slots[slot].record;
        if (record->kind == kind && span_equal(record->key, key)) {
            return slot;
        }
        if (slot == owner.tail) {
            return SLOT_NONE;
        }
    }
    return slot_by_place(set, kind, id, key);
}
