/* SPDX-License-Identifier: Apache-2.0
 *
 * A table by slot. Slots are small numbers given out in order, so that records meet in a row of it
 * only in sets that are larger than it.
 */
#include "gossip/past.h"

#include <stdlib.h>

#include "base/check.h"

#define ROWS_FIRST 64
#define ROWS_MAX 2048
#define ROW_NS (10 * NS_PER_S) /* a change that comes later begins another row */

static void row_clear(struct past_row *row) {
    for (uint32_t i = 0; i < row->count; i++) {
        record_unref(row->versions[i]);
    }
    *row = (struct past_row){0};
}

void past_fini(struct past *past) {
    for (uint32_t i = 0; i < past->size; i++) {
        row_clear(&past->rows[i]);
    }
    free(past->rows);
    *past = (struct past){0};
}

/* Makes the table large enough for a slot, or as large as it gets. False when out of memory. */
static bool reserve(struct past *past, size_t slot) {
    uint32_t size = past->size > 0 ? past->size : ROWS_FIRST;
    while (size <= slot && size < ROWS_MAX) {
        size *= 2;
    }
    if (size == past->size) {
        return true;
    }
    struct past_row *rows = calloc(size, sizeof *rows);
    if (rows == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < past->size; i++) {
        rows[i] = past->rows[i]; /* below the size a slot is its own row, in both tables */
    }
    free(past->rows);
    past->rows = rows;
    past->size = size;
    return true;
}

static bool is_same_life(const struct record *a, const struct record *b) {
    return a->incarnation == b->incarnation && memcmp(a->place, b->place, sizeof a->place) == 0;
}

/* The row of a slot if it is the record's. */
static struct past_row *row_of(const struct past *past, size_t slot, const struct record *record) {
    if (past->size == 0 || record == NULL) {
        return NULL;
    }
    struct past_row *row = &past->rows[slot & (past->size - 1)];
    bool is_its = row->count > 0 && row->slot == slot && is_same_life(row->versions[0], record);
    return is_its ? row : NULL;
}

static void row_push(struct past_row *row, struct record *old) {
    if (row->count == PAST_VERSIONS) { /* the first stays */
        record_unref(row->versions[1]);
        memmove(&row->versions[1], &row->versions[2],
                (PAST_VERSIONS - 2) * sizeof(struct record *));
        row->count--;
    }
    row->versions[row->count++] = record_ref(old);
}

void past_add(struct past *past, size_t slot, struct record *old, weft_ns now) {
    ASSERT(slot < UINT32_MAX);
    if (!reserve(past, slot)) {
        return;
    }
    struct past_row *row = row_of(past, slot, old);
    if (row == NULL || time_since(row->changed_at, now) >= ROW_NS) {
        row = &past->rows[slot & (past->size - 1)];
        row_clear(row);
        row->slot = (uint32_t)slot;
    }
    row_push(row, old);
    row->changed_at = now;
    past->changed_at = now;
}

struct record *past_version(const struct past *past, size_t slot, const struct record *record,
                            uint64_t version) {
    const struct past_row *row = row_of(past, slot, record);
    for (uint32_t i = 0; row != NULL && i < row->count; i++) {
        if (row->versions[i]->version == version) {
            return row->versions[i];
        }
    }
    return NULL;
}

struct record *past_first(const struct past *past, size_t slot, const struct record *record) {
    const struct past_row *row = row_of(past, slot, record);
    return row != NULL ? row->versions[0] : NULL;
}

struct record *past_last(const struct past *past, size_t slot, const struct record *record) {
    const struct past_row *row = row_of(past, slot, record);
    return row != NULL ? row->versions[row->count - 1] : NULL;
}

void past_tick(struct past *past, weft_ns now) {
    if (past->size > 0 && time_since(past->changed_at, now) >= PAST_IDLE_NS) {
        past_fini(past);
    }
}
