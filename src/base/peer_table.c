/* SPDX-License-Identifier: Apache-2.0
 *
 * Ids by number, numbers by hash.
 */
#include "base/peer_table.h"

#include <stdlib.h>

#include "base/check.h"

#define SIZE_FIRST 16
#define CELLS_FIRST 32

void peer_table_init(struct peer_table *table, const struct hash_key *key, uint32_t count_max) {
    ASSERT(count_max >= 1 && count_max < PEER_TABLE_NONE);
    *table = (struct peer_table){.count_max = count_max};
    mix_init(&table->mix, key);
}

void peer_table_fini(struct peer_table *table) {
    free(table->ids);
    free(table->cells);
    free(table->free_numbers);
    *table = (struct peer_table){0};
}

/* Where probing for an id begins. */
static uint32_t home_of(const struct peer_table *table, const struct weft_peer_id *id) {
    return (uint32_t)((uint64_t)mix_hash(&table->mix, id->bytes) * table->cell_count >> 32);
}

static uint32_t cell_behind(const struct peer_table *table, uint32_t cell) {
    return cell + 1 < table->cell_count ? cell + 1 : 0;
}

/* The cell that has the id, or the free one where it belongs. There must be cells. */
static uint32_t cell_of(const struct peer_table *table, const struct weft_peer_id *id) {
    uint32_t cell = home_of(table, id);
    while (table->cells[cell] != 0 &&
           !weft_peer_id_equal(&table->ids[table->cells[cell] - 1], id)) {
        cell = cell_behind(table, cell);
    }
    return cell;
}

uint32_t peer_table_find(const struct peer_table *table, const struct weft_peer_id *id) {
    return table->count > 0 ? table->cells[cell_of(table, id)] - 1 : PEER_TABLE_NONE;
}

static bool cells_reserve(struct peer_table *table) {
    if ((uint64_t)(table->count + 1) * 5 <= (uint64_t)table->cell_count * 4) {
        return true;
    }
    uint32_t former_count = table->cell_count;
    uint32_t count = former_count + former_count / 2 + CELLS_FIRST;
    uint32_t *cells = calloc(count, sizeof *cells);
    if (cells == NULL) {
        return false;
    }
    uint32_t *former = table->cells;
    table->cells = cells;
    table->cell_count = count;
    for (uint32_t i = 0; i < former_count; i++) {
        if (former[i] != 0) {
            cells[cell_of(table, &table->ids[former[i] - 1])] = former[i];
        }
    }
    free(former);
    return true;
}

static bool numbers_reserve(struct peer_table *table) {
    if (table->free_count > 0 || table->used < table->size) {
        return true;
    }
    uint32_t size = table->size + table->size / 4 + SIZE_FIRST;
    size = size < table->count_max ? size : table->count_max;
    struct weft_peer_id *ids = realloc(table->ids, size * sizeof *ids);
    if (ids == NULL) {
        return false;
    }
    table->ids = ids;
    uint32_t *numbers = realloc(table->free_numbers, size * sizeof *numbers);
    if (numbers == NULL) {
        return false;
    }
    table->free_numbers = numbers;
    table->size = size;
    return true;
}

uint32_t peer_table_take(struct peer_table *table, const struct weft_peer_id *id) {
    uint32_t number = peer_table_find(table, id);
    if (number != PEER_TABLE_NONE || table->count >= table->count_max || !cells_reserve(table) ||
        !numbers_reserve(table)) {
        return number;
    }
    number = table->free_count > 0 ? table->free_numbers[--table->free_count] : table->used++;
    table->ids[number] = *id;
    table->cells[cell_of(table, id)] = number + 1;
    table->count++;
    return number;
}

/* Whether what a cell has may move to one that became free: its home does not lie behind that. */
static bool may_move(const struct peer_table *table, uint32_t from, uint32_t to) {
    uint32_t home = home_of(table, &table->ids[table->cells[from] - 1]);
    return to < from ? home <= to || home > from : home <= to && home > from;
}

void peer_table_drop(struct peer_table *table, uint32_t number) {
    ASSERT(number < table->used && table->count > 0);
    uint32_t hole = cell_of(table, &table->ids[number]);
    ASSERT(table->cells[hole] == number + 1);
    for (uint32_t at = cell_behind(table, hole); table->cells[at] != 0;
         at = cell_behind(table, at)) {
        if (may_move(table, at, hole)) {
            table->cells[hole] = table->cells[at];
            hole = at;
        }
    }
    table->cells[hole] = 0;
    table->count--;
    table->free_numbers[table->free_count++] = number;
}
