/* SPDX-License-Identifier: Apache-2.0
 *
 * SQL for rows: how each table is written and read. One connection, one thread at a time.
 */
#ifndef STORE_ROWS_H
#define STORE_ROWS_H

#include <sqlite3.h>

#include "store/op.h"

/* The statements of a connection, prepared when first used. */
struct rows {
    sqlite3 *db; /* borrowed */
    sqlite3_stmt *save[STORE_TABLE_COUNT];
    sqlite3_stmt *remove[STORE_TABLE_COUNT];
};

/* Finalizes the statements. Takes zeroed memory. */
void rows_fini(struct rows *rows);

/* Saves or removes one row; an SQLite result code. */
int rows_apply(struct rows *rows, const struct store_op *op);

/* Hands out rows in the order that store.h promises; of events the newest `max`. An SQLite result
 * code. Rows whose lengths cannot be are left out: the file may be damaged where SQLite cannot see.
 */
int rows_each(sqlite3 *db, enum store_table table, size_t max,
              void (*each)(void *ctx, const struct store_row *row), void *ctx);

#endif
