/* SPDX-License-Identifier: Apache-2.0
 *
 * A store that lives as long as its process: the newest row of each key, in a list ordered as
 * store.h promises. Small and plain: it is the model that the tests hold SQLite against, and what a
 * node without a state folder uses.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "store/op.h"

struct memory {
    struct store_op *rows[STORE_TABLE_COUNT]; /* ordered by key; events by id */
    struct store_op *last_event;
    size_t event_count;
    uint64_t next_id;
    struct store_counters counters;
};

/* As SQLite orders: texts and blobs by memcmp, the shorter first. Keys end each part with a NUL. */
static int compare_keys(struct span a, struct span b) {
    size_t len = a.len < b.len ? a.len : b.len;
    int order = memcmp(a.data, b.data, len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* The place in the list where the key stands, or would. */
static struct store_op **find(struct memory *memory, const struct store_op *op) {
    struct store_op **place = &memory->rows[op->row.table];
    while (*place != NULL && compare_keys((*place)->key, op->key) < 0) {
        place = &(*place)->next;
    }
    return place;
}

static void drop(struct store_op **place) {
    struct store_op *old = *place;
    *place = old->next;
    op_free(old);
}

static void add_event(struct memory *memory, struct store_op *op) {
    struct store_op **place =
        memory->last_event == NULL ? &memory->rows[STORE_EVENT] : &memory->last_event->next;
    op->row.event.id = ++memory->next_id;
    *place = op;
    memory->last_event = op;
    if (++memory->event_count > STORE_EVENTS_MAX) {
        drop(&memory->rows[STORE_EVENT]);
        memory->event_count--;
    }
}

static void add_row(struct memory *memory, struct store_op *op) {
    struct store_op **place = find(memory, op);
    bool is_there = *place != NULL && compare_keys((*place)->key, op->key) == 0;
    bool goes_back = is_there && op->row.table == STORE_INCARNATION &&
                     (*place)->row.incarnation > op->row.incarnation;
    if (goes_back) {
        op_free(op);
        return;
    }
    if (is_there) {
        drop(place);
    }
    if (op->is_removal) {
        op_free(op);
        return;
    }
    op->next = *place;
    *place = op;
}

static enum weft_err memory_put(void *ctx, struct store_op *op) {
    struct memory *memory = ctx;
    memory->counters.written++;
    if (op->row.table == STORE_EVENT) {
        add_event(memory, op);
    } else {
        add_row(memory, op);
    }
    return WEFT_OK;
}

static enum weft_err memory_flush(void *ctx) {
    (void)ctx;
    return WEFT_OK;
}

static enum weft_err memory_each(void *ctx, enum store_table table, size_t max,
                                 void (*each)(void *ctx, const struct store_row *row),
                                 void *each_ctx) {
    struct memory *memory = ctx;
    size_t skip = 0;
    if (table == STORE_EVENT && memory->event_count > max) {
        skip = memory->event_count - max;
    }
    for (struct store_op *op = memory->rows[table]; op != NULL; op = op->next) {
        if (skip > 0) {
            skip--;
        } else {
            each(each_ctx, &op->row);
        }
    }
    return WEFT_OK;
}

static bool memory_error(void *ctx, char out[STORE_TEXT_BYTES]) {
    (void)ctx;
    out[0] = '\0';
    return false;
}

static void memory_counters(void *ctx, struct store_counters *out) {
    struct memory *memory = ctx;
    *out = memory->counters;
}

static void memory_close(void *ctx) {
    struct memory *memory = ctx;
    for (size_t i = 0; i < STORE_TABLE_COUNT; i++) {
        op_free_all(memory->rows[i]);
    }
    free(memory);
}

static const struct store_backend memory_backend = {
    .put = memory_put,
    .flush = memory_flush,
    .each = memory_each,
    .error = memory_error,
    .counters = memory_counters,
    .close = memory_close,
};

enum weft_err store_open_memory(struct store **out) {
    ASSERT(out != NULL);
    struct store *store = calloc(1, sizeof *store);
    struct memory *memory = calloc(1, sizeof *memory);
    if (store == NULL || memory == NULL) {
        free(store);
        free(memory);
        return WEFT_ERR_MEMORY;
    }
    *store = (struct store){.backend = &memory_backend, .self = memory};
    *out = store;
    return WEFT_OK;
}
