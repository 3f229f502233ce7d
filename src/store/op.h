/* SPDX-License-Identifier: Apache-2.0
 *
 * One write on its way to disk: a row to save, or a key to forget, in a single allocation that owns
 * every text and byte it points to. Rows of all tables share one struct, so that queue, back ends
 * and tests handle them alike.
 */
#ifndef STORE_OP_H
#define STORE_OP_H

#include "store/store.h"

enum store_table {
    STORE_INCARNATION,
    STORE_RECORD,
    STORE_SERVICE,
    STORE_FORWARD,
    STORE_SEED,
    STORE_EVENT,
};
#define STORE_TABLE_COUNT 6

struct store_row {
    enum store_table table;
    union {
        uint64_t incarnation;
        struct store_record record;
        struct {
            struct store_service service; /* its endpoints are not set; see `lines` */
            const char *lines;            /* the endpoints, joined by line feeds */
        };
        struct store_forward forward;
        struct store_seed seed;
        struct store_event event;
    };
};

struct store_op {
    struct store_op *previous; /* the queue's links */
    struct store_op *next;
    bool is_removal;
    size_t bytes;         /* of the allocation */
    struct span key;      /* table and what identifies the row; empty: never replaced (events) */
    struct store_row row; /* a removal's row has its identifying fields only */
};

/* Copies a row; NULL when out of memory. Texts that are NULL become empty. */
struct store_op *op_new(const struct store_row *row, bool is_removal);

/* Takes NULL. */
void op_free(struct store_op *op);

/* Frees a chain by its `next` links. */
void op_free_all(struct store_op *first);

/* Where a store's writes go and its rows come from: SQLite, or memory. */
struct store_backend {
    /* Takes the op over, whatever it returns. */
    enum weft_err (*put)(void *self, struct store_op *op);
    enum weft_err (*flush)(void *self);
    /* Hands out the rows of a table; of events the newest `max`, oldest first. */
    enum weft_err (*each)(void *self, enum store_table table, size_t max,
                          void (*each)(void *ctx, const struct store_row *row), void *ctx);
    bool (*error)(void *self, char out[STORE_TEXT_BYTES]);
    void (*counters)(void *self, struct store_counters *out);
    void (*close)(void *self);
};

struct store {
    const struct store_backend *backend;
    void *self;
};

#endif
