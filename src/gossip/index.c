/* SPDX-License-Identifier: Apache-2.0
 *
 * Owners by id: a table gives each id a number (base/peer_table.h), and the cell of that number
 * names a slot or an aside.
 *
 *   31       30 .. 0
 *   aside?   number + 1     0: nobody we know
 */
#include <stdlib.h>

#include "base/check.h"
#include "gossip/set.h"

#define CELLS_FIRST 16
#define CELL_ASIDE ((uint32_t)1 << 31)
#define CELL_NUMBER_MASK (CELL_ASIDE - 1)
/* How many of an owner's records are looked through for a key before its place is hashed instead:
 * that costs as much as some twenty of them. */
#define SIBLINGS_MAX 16

static uint32_t number_in(uint32_t content) {
    return (content & CELL_NUMBER_MASK) - 1;
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
    uint32_t cell = peer_table_find(set->peers, id);
    if (cell >= set->cell_count || set->cells[cell] == 0) { /* PEER_TABLE_NONE is beyond */
        return false;
    }
    *out = owner_in(set, cell);
    return true;
}

/* By an eighth: ten thousand sets know ten thousand owners each. */
static bool cells_reserve(struct recordset *set, uint32_t cell) {
    if (cell < set->cell_count) {
        return true;
    }
    uint32_t count = cell + cell / 8 + CELLS_FIRST;
    uint32_t *cells = realloc(set->cells, count * sizeof *cells);
    if (cells == NULL) {
        return false;
    }
    memset(cells + set->cell_count, 0, (count - set->cell_count) * sizeof *cells);
    set->cells = cells;
    set->cell_count = count;
    return true;
}

/* In a pool's table others go by the number too. */
static void cell_give(struct recordset *set, uint32_t cell) {
    if (set->peers == &set->own_peers) {
        peer_table_drop(set->peers, cell);
    }
}

bool index_add(struct recordset *set, uint32_t aside, struct owner *out) {
    uint32_t cell = peer_table_take(set->peers, &set->asides.rows[aside].id);
    if (cell == PEER_TABLE_NONE) {
        return false;
    }
    if (!cells_reserve(set, cell)) {
        cell_give(set, cell);
        return false;
    }
    set->cells[cell] = CELL_ASIDE | (aside + 1);
    set->owner_count++;
    *out = owner_in(set, cell);
    return true;
}

void index_point(struct recordset *set, const struct owner *owner) {
    if (owner->aside != SLOT_NONE) {
        set->cells[owner->cell] = CELL_ASIDE | (owner->aside + 1);
        set->asides.rows[owner->aside].tail = owner->tail;
    } else {
        set->cells[owner->cell] = owner->tail + 1;
    }
}

void index_remove(struct recordset *set, const struct owner *owner) {
    set->cells[owner->cell] = 0;
    set->owner_count--;
    cell_give(set, owner->cell);
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
