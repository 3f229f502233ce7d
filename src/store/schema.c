/* SPDX-License-Identifier: Apache-2.0
 *
 * Version 1 of the schema, and the machinery for those to come. A released step is never changed:
 * what is new goes into a further one.
 */
#include "store/schema.h"

#include <stdio.h>

#include "base/check.h"

static const char step_1[] =
    "CREATE TABLE record(place BLOB PRIMARY KEY, kind INTEGER NOT NULL, owner BLOB NOT NULL,"
    " key BLOB NOT NULL, encoded BLOB NOT NULL, last_live INTEGER NOT NULL);"
    "CREATE TABLE service(namespace TEXT NOT NULL, name TEXT NOT NULL, protocol INTEGER NOT NULL,"
    " endpoints TEXT NOT NULL, origin TEXT NOT NULL, PRIMARY KEY(namespace, name)) WITHOUT ROWID;"
    "CREATE TABLE forward(namespace TEXT NOT NULL, name TEXT NOT NULL, address TEXT NOT NULL,"
    " port INTEGER NOT NULL, PRIMARY KEY(namespace, name)) WITHOUT ROWID;"
    "CREATE TABLE seed(endpoint TEXT PRIMARY KEY NOT NULL, peer BLOB, last_seen INTEGER NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE TABLE event(id INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, level INTEGER NOT NULL,"
    " name TEXT NOT NULL, detail TEXT NOT NULL);";

static const char *const steps[] = {step_1};

struct schema schema_current(void) {
    return (struct schema){.steps = steps, .version = (int)(sizeof steps / sizeof steps[0])};
}

enum weft_err schema_err_of(int result) {
    switch (result & 0xff) {
    case SQLITE_OK:
        return WEFT_OK;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return WEFT_ERR_MALFORMED;
    case SQLITE_NOMEM:
        return WEFT_ERR_MEMORY;
    default:
        return WEFT_ERR_IO;
    }
}

/* Runs a query for one number; `otherwise` if it yields no row. */
static int query_number(sqlite3 *db, const char *sql, int64_t otherwise, int64_t *out) {
    sqlite3_stmt *query = NULL;
    int result = sqlite3_prepare_v2(db, sql, -1, &query, NULL);
    if (result != SQLITE_OK) {
        return result;
    }
    result = sqlite3_step(query);
    *out = result == SQLITE_ROW ? sqlite3_column_int64(query, 0) : otherwise;
    sqlite3_finalize(query);
    return result == SQLITE_ROW || result == SQLITE_DONE ? SQLITE_OK : result;
}

/* The version found: 0 for an empty file, -1 for a database that is not ours. */
static int found_version(sqlite3 *db, int64_t *out) {
    int64_t tables = 0;
    int64_t has_meta = 0;
    int result = query_number(db, "SELECT count(*) FROM sqlite_master", 0, &tables);
    if (result == SQLITE_OK) {
        result = query_number(db, "SELECT count(*) FROM sqlite_master WHERE name = 'meta'", 0,
                              &has_meta);
    }
    if (result != SQLITE_OK || has_meta == 0) {
        *out = tables == 0 ? 0 : -1;
        return result;
    }
    return query_number(db, "SELECT value FROM meta WHERE key = 'schema_version'", -1, out);
}

static int run_step(sqlite3 *db, const struct schema *schema, int64_t version) {
    char raise[100];
    (void)snprintf(raise, sizeof raise,
                   "INSERT OR REPLACE INTO meta(key, value) VALUES ('schema_version', %lld)",
                   (long long)version + 1);
    int result = sqlite3_exec(db, schema->steps[version], NULL, NULL, NULL);
    return result == SQLITE_OK ? sqlite3_exec(db, raise, NULL, NULL, NULL) : result;
}

/* All steps in one transaction: a file is of its old version or of the new, whatever happens. */
static int run_steps(sqlite3 *db, const struct schema *schema, int64_t version) {
    int result = sqlite3_exec(db,
                              "BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS"
                              " meta(key TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL)"
                              " WITHOUT ROWID",
                              NULL, NULL, NULL);
    for (; result == SQLITE_OK && version < schema->version; version++) {
        result = run_step(db, schema, version);
    }
    if (result == SQLITE_OK) {
        result = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    }
    return result;
}

static enum weft_err refuse_newer(const char *path, int64_t found, int supported, char *error) {
    (void)snprintf(error, STORE_TEXT_BYTES,
                   "%s was written by a newer weft: its schema version is %lld, this program knows"
                   " up to %d; run the newer weft, or choose another state folder",
                   path, (long long)found, supported);
    return WEFT_ERR_VERSION;
}

enum weft_err schema_apply(sqlite3 *db, const struct schema *schema, const char *path,
                           char error[STORE_TEXT_BYTES]) {
    ASSERT(db != NULL && schema->version > 0);
    int64_t found = 0;
    int result = found_version(db, &found);
    if (result == SQLITE_OK && found > schema->version) {
        return refuse_newer(path, found, schema->version, error);
    }
    if (result == SQLITE_OK && found < 0) {
        (void)snprintf(error, STORE_TEXT_BYTES, "%s is not a database of weft's", path);
        return WEFT_ERR_MALFORMED;
    }
    if (result == SQLITE_OK && found < schema->version) {
        result = run_steps(db, schema, found);
    }
    if (result != SQLITE_OK) {
        (void)snprintf(error, STORE_TEXT_BYTES, "%s: %s", path, sqlite3_errmsg(db));
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    }
    return schema_err_of(result);
}
