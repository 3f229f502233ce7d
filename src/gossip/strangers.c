/* SPDX-License-Identifier: Apache-2.0
 *
 * The order in which strangers' records were heard of: who is heard of longest ago goes first. A
 * settled mesh has no strangers, and then there is no array either.
 */
#include <stdlib.h>

#include "base/check.h"
#include "gossip/set.h"

#define ROWS_FIRST 8

void strangers_init(struct strangers *strangers) {
    *strangers =
        (struct strangers){.free = STRANGE_NONE, .first = STRANGE_NONE, .last = STRANGE_NONE};
}

bool strangers_reserve(struct strangers *strangers) {
    if (strangers->free != STRANGE_NONE || strangers->used < strangers->size) {
        return true;
    }
    size_t size = strangers->size + strangers->size / 2U + ROWS_FIRST;
    size = size < SET_STRANGERS_MAX ? size : SET_STRANGERS_MAX;
    struct strange *rows =
        size > strangers->used ? realloc(strangers->rows, size * sizeof *rows) : NULL;
    if (rows == NULL) {
        return false;
    }
    strangers->rows = rows;
    strangers->size = (uint16_t)size;
    return true;
}

uint16_t strangers_append(struct strangers *strangers, uint32_t slot) {
    uint16_t row = strangers->free;
    if (row != STRANGE_NONE) {
        strangers->free = strangers->rows[row].next;
    } else {
        ASSERT(strangers->used < strangers->size);
        row = strangers->used++;
    }
    strangers->rows[row] =
        (struct strange){.slot = slot, .prev = strangers->last, .next = STRANGE_NONE};
    if (strangers->last != STRANGE_NONE) {
        strangers->rows[strangers->last].next = row;
    } else {
        strangers->first = row;
    }
    strangers->last = row;
    strangers->count++;
    return row;
}

void strangers_remove(struct strangers *strangers, uint16_t row) {
    ASSERT(row < strangers->used && strangers->count > 0);
    struct strange *at = &strangers->rows[row];
    if (at->prev != STRANGE_NONE) {
        strangers->rows[at->prev].next = at->next;
    } else {
        strangers->first = at->next;
    }
    if (at->next != STRANGE_NONE) {
        strangers->rows[at->next].prev = at->prev;
    } else {
        strangers->last = at->prev;
    }
    at->next = strangers->free;
    strangers->free = row;
    strangers->count--;
}

uint32_t strangers_first(const struct strangers *strangers, uint32_t spared) {
    uint16_t row = strangers->first;
    if (row != STRANGE_NONE && strangers->rows[row].slot == spared) {
        row = strangers->rows[row].next;
    }
    return row != STRANGE_NONE ? strangers->rows[row].slot : SLOT_NONE;
}

void strangers_trim(struct strangers *strangers) {
    if (strangers->count == 0) {
        free(strangers->rows);
        strangers->rows = NULL;
        strangers_init(strangers);
    }
}
