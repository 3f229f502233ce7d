/* SPDX-License-Identifier: Apache-2.0
 *
 * The database's tables and how an older database becomes the present one: a list of steps, each
 * raising the version by one inside a transaction. Step 0 starts from an empty file.
 */
#ifndef STORE_SCHEMA_H
#define STORE_SCHEMA_H

#include <sqlite3.h>

#include "store/store.h"

struct schema {
    const char *const *steps; /* steps[n] turns version n into n + 1 */
    int version;              /* how many steps there are */
};

/* The present one. */
struct schema schema_current(void);

/* Brings an open database to the schema's version. `path` is for the error text.
 *
 * WEFT_ERR_VERSION   written by a newer weft; nothing was changed
 * WEFT_ERR_MALFORMED damaged, or not a database of ours
 * WEFT_ERR_IO        SQLite refused; the text holds its reason */
WEFT_MUST_CHECK enum weft_err schema_apply(sqlite3 *db, const struct schema *schema,
                                           const char *path, char error[STORE_TEXT_BYTES]);

/* What an SQLite result means to us: damage is WEFT_ERR_MALFORMED, else WEFT_ERR_IO or
 * WEFT_ERR_MEMORY. */
enum weft_err schema_err_of(int result);

#endif
