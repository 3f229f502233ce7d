/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps from version to version, on databases in memory with schemas made up for the test.
 */
#include <criterion/criterion.h>
#include <sqlite3.h>

#include "store/schema.h"

static const char *const steps[] = {
    "CREATE TABLE first(a)",
    "CREATE TABLE second(b); INSERT INTO second SELECT a + 1 FROM first",
    "ALTER TABLE second ADD COLUMN c DEFAULT 5",
};
static const char *const broken_steps[] = {
    "CREATE TABLE first(a)",
    "CREATE TABLE half(b); INSERT INTO nowhere VALUES (1)",
};

static sqlite3 *database(void) {
    sqlite3 *db = NULL;
    cr_assert_eq(sqlite3_open(":memory:", &db), SQLITE_OK);
    return db;
}

static enum weft_err apply(sqlite3 *db, const char *const *list, int version, char *error) {
    struct schema schema = {.steps = list, .version = version};
    return schema_apply(db, &schema, "some.db", error);
}

static int64_t number(sqlite3 *db, const char *sql) {
    sqlite3_stmt *query = NULL;
    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &query, NULL), SQLITE_OK, "%s", sql);
    int64_t value = sqlite3_step(query) == SQLITE_ROW ? sqlite3_column_int64(query, 0) : -1;
    sqlite3_finalize(query);
    return value;
}

static int64_t version_of(sqlite3 *db) {
    return number(db, "SELECT value FROM meta WHERE key = 'schema_version'");
}

Test(store_schema, an_older_database_is_brought_up_step_by_step_with_its_rows) {
    char error[STORE_TEXT_BYTES];
    for (int from = 1; from <= 3; from++) {
        sqlite3 *db = database();
        cr_assert_eq(apply(db, steps, from, error), WEFT_OK);
        cr_assert_eq(version_of(db), from);
        cr_assert_eq(sqlite3_exec(db, "INSERT INTO first VALUES (41)", NULL, NULL, NULL),
                     SQLITE_OK);
        cr_assert_eq(apply(db, steps, 3, error), WEFT_OK, "%s", error);
        cr_assert_eq(version_of(db), 3);
        cr_assert_eq(number(db, "SELECT count(*) FROM first WHERE a = 41"), 1);
        cr_assert_eq(number(db, "SELECT b + c FROM second"), from == 1 ? 47 : -1);
        sqlite3_close(db);
    }
}

Test(store_schema, the_present_version_is_left_alone) {
    char error[STORE_TEXT_BYTES];
    sqlite3 *db = database();
    cr_assert_eq(apply(db, steps, 3, error), WEFT_OK);
    int before = sqlite3_total_changes(db);
    cr_assert_eq(apply(db, steps, 3, error), WEFT_OK);
    cr_assert_eq(sqlite3_total_changes(db), before);
    sqlite3_close(db);
}

Test(store_schema, a_newer_version_is_refused_with_both_versions_named) {
    char error[STORE_TEXT_BYTES];
    sqlite3 *db = database();
    cr_assert_eq(apply(db, steps, 3, error), WEFT_OK);
    cr_assert_eq(apply(db, steps, 2, error), WEFT_ERR_VERSION);
    cr_assert_not_null(strstr(error, "some.db"));
    cr_assert_not_null(strstr(error, "version is 3"));
    cr_assert_not_null(strstr(error, "up to 2"));
    sqlite3_close(db);
}

Test(store_schema, a_step_that_fails_leaves_the_old_version_whole) {
    char error[STORE_TEXT_BYTES];
    sqlite3 *db = database();
    cr_assert_eq(apply(db, broken_steps, 1, error), WEFT_OK);
    cr_assert_eq(apply(db, broken_steps, 2, error), WEFT_ERR_IO);
    cr_assert_not_null(strstr(error, "nowhere"), "%s", error);
    cr_assert_eq(version_of(db), 1);
    cr_assert_eq(number(db, "SELECT count(*) FROM sqlite_master WHERE name = 'half'"), 0);
    sqlite3_close(db);
}

Test(store_schema, a_database_without_our_mark_is_not_ours) {
    char error[STORE_TEXT_BYTES];
    sqlite3 *db = database();
    cr_assert_eq(sqlite3_exec(db, "CREATE TABLE x(a)", NULL, NULL, NULL), SQLITE_OK);
    cr_assert_eq(apply(db, steps, 3, error), WEFT_ERR_MALFORMED);
    cr_assert_eq(number(db, "SELECT count(*) FROM sqlite_master"), 1);
    sqlite3_close(db);
}

Test(store_schema, results_become_our_errors) {
    cr_assert_eq(schema_err_of(SQLITE_OK), WEFT_OK);
    cr_assert_eq(schema_err_of(SQLITE_CORRUPT), WEFT_ERR_MALFORMED);
    cr_assert_eq(schema_err_of(SQLITE_CORRUPT_INDEX), WEFT_ERR_MALFORMED);
    cr_assert_eq(schema_err_of(SQLITE_NOTADB), WEFT_ERR_MALFORMED);
    cr_assert_eq(schema_err_of(SQLITE_NOMEM), WEFT_ERR_MEMORY);
    cr_assert_eq(schema_err_of(SQLITE_FULL), WEFT_ERR_IO);
    cr_assert_eq(schema_err_of(SQLITE_IOERR_WRITE), WEFT_ERR_IO);
}
