/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows for owners that are not live, or live without a record, and the order of those gone. A
 * settled mesh has none, and then there is no array either.
 */
#include <stdlib.h>

#include "base/check.h"
#include "gossip/set.h"

#define ROWS_FIRST 4

void asides_init(struct asides *asides) {
    *asides = (struct asides){.free = SLOT_NONE, .first = SLOT_NONE, .last = SLOT_NONE};
}

static bool reserve(struct asides *asides) {
    if (asides->free != SLOT_NONE || asides->used < asides->size) {
        return true;
    }
    uint32_t size = asides->size + asides->size / 2 + ROWS_FIRST;
    struct aside *rows = realloc(asides->rows, size * sizeof *rows);
    if (rows == NULL) {
        return false;
    }
    asides->rows = rows;
    asides->size = size;
    return true;
}

uint32_t asides_take(struct asides *asides) {
    if (!reserve(asides)) {
        return SLOT_NONE;
    }
    uint32_t row = asides->free;
    if (row != SLOT_NONE) {
        asides->free = asides->rows[row].next;
    } else {
        row = asides->used++;
    }
    asides->rows[row] = (struct aside){.prev = SLOT_NONE, .next = SLOT_NONE, .tail = SLOT_NONE};
    asides->count++;
    return row;
}

void asides_give(struct asides *asides, uint32_t row) {
    ASSERT(row < asides->used && asides->count > 0);
    asides->rows[row].next = asides->free;
    asides->free = row;
    asides->count--;
}

/* The `next` of the row before, or the first of all. */
static uint32_t *next_of(struct asides *asides, uint32_t row) {
    return row != SLOT_NONE ? &asides->rows[row].next : &asides->first;
}

static uint32_t *prev_of(struct asides *asides, uint32_t row) {
    return row != SLOT_NONE ? &asides->rows[row].prev : &asides->last;
}

void asides_append(struct asides *asides, uint32_t row) {
    asides->rows[row].prev = asides->last;
    asides->rows[row].next = SLOT_NONE;
    *next_of(asides, asides->last) = row;
    asides->last = row;
}

void asides_remove(struct asides *asides, uint32_t row) {
    struct aside *aside = &asides->rows[row];
    *next_of(asides, aside->prev) = aside->next;
    *prev_of(asides, aside->next) = aside->prev;
    aside->prev = SLOT_NONE;
    aside->next = SLOT_NONE;
}

void asides_trim(struct asides *asides) {
    if (asides->count == 0) {
        free(asides->rows);
        asides->rows = NULL;
        asides_init(asides);
    }
}
