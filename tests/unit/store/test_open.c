/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening: modes, newer and damaged databases, folders that do not let us.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"
#include "support/failing_alloc.h"

static unsigned mode_of(const struct scratch *scratch, const char *name) {
    char path[160];
    struct stat facts;
    (void)snprintf(path, sizeof path, "%s/%s", scratch->folder, name);
    cr_assert_eq(stat(path, &facts), 0, "%s", name);
    return (unsigned)facts.st_mode & 07777;
}

Test(store_open, files_are_for_their_owner_alone_whatever_the_umask) {
    struct scratch scratch;
    scratch_init(&scratch);
    (void)umask(0);
    struct store *store = scratch_open(&scratch);
    cr_assert_eq(store_save_incarnation(store, 1), WEFT_OK);
    cr_assert_eq(mode_of(&scratch, "store.db"), 0600);
    cr_assert_eq(mode_of(&scratch, "store.db-wal"), 0600);
    cr_assert_eq(mode_of(&scratch, "store.db-shm"), 0600);
    store_close(store);
    cr_assert_not(scratch_has(&scratch, "store.db-wal"), "closing leaves one file");
    scratch_fini(&scratch);
}

static void run_sql(const char *path, const char *sql) {
    sqlite3 *db = NULL;
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

Test(store_open, a_database_of_a_newer_weft_is_refused_and_untouched) {
    struct scratch scratch;
    struct store *store = NULL;
    char error[STORE_TEXT_BYTES];
    scratch_init(&scratch);
    store = scratch_open(&scratch);
    cr_assert_eq(store_save_incarnation(store, 12), WEFT_OK);
    store_close(store);
    run_sql(scratch.path, "UPDATE meta SET value = 7 WHERE key = 'schema_version'");
    cr_assert_eq(store_open(&scratch.config, &store, error), WEFT_ERR_VERSION);
    cr_assert_not_null(strstr(error, scratch.path), "%s", error);
    cr_assert_not_null(strstr(error, "version is 7"), "%s", error);
    cr_assert_not_null(strstr(error, "up to 1"), "%s", error);
    run_sql(scratch.path, "UPDATE meta SET value = 1 WHERE key = 'schema_version'");
    uint64_t incarnation = 0;
    store = scratch_open(&scratch);
    cr_assert_eq(store_load_incarnation(store, &incarnation), WEFT_OK);
    cr_assert_eq(incarnation, 12);
    cr_assert_eq(scratch_corrupt(&scratch), 0);
    store_close(store);
    scratch_fini(&scratch);
}

/* Writes over `len` bytes of the file at `offset`; with offset 0 it is no database any more. */
static void scribble(const char *path, off_t offset, size_t len) {
    char noise[8192];
    int file = open(path, O_RDWR | O_CREAT, 0600);
    memset(noise, 0xa5, sizeof noise);
    cr_assert(file >= 0 && len <= sizeof noise);
    cr_assert_eq(pwrite(file, noise, len, offset), (ssize_t)len);
    (void)close(file);
}

static void check_moved_aside(struct scratch *scratch, const char *name, unsigned reports) {
    uint64_t incarnation = 99;
    struct store *store = scratch_open(scratch);
    cr_assert(scratch_has(scratch, name));
    cr_assert_eq(scratch_corrupt(scratch), reports);
    cr_assert_not_null(strstr(scratch->detail, name), "%s", scratch->detail);
    cr_assert_eq(store_load_incarnation(store, &incarnation), WEFT_OK);
    cr_assert_eq(incarnation, 0, "a fresh one");
    cr_assert_eq(store_save_incarnation(store, 5), WEFT_OK);
    store_close(store);
}

Test(store_open, what_is_no_database_is_moved_aside_each_time_under_a_new_name) {
    struct scratch scratch;
    scratch_init(&scratch);
    scribble(scratch.path, 0, 5000);
    check_moved_aside(&scratch, "store.db.corrupt-1", 1);
    scribble(scratch.path, 0, 100);
    check_moved_aside(&scratch, "store.db.corrupt-2", 2);
    scratch_fini(&scratch);
}

Test(store_open, a_database_with_damaged_pages_is_moved_aside) {
    struct scratch scratch;
    uint8_t bytes[64];
    scratch_init(&scratch);
    struct store *store = scratch_open(&scratch);
    for (uint32_t i = 0; i < 1000; i++) {
        struct store_record record = record_of(i, i, bytes);
        cr_assert_eq(store_save_record(store, &record), WEFT_OK);
    }
    store_close(store);
    scribble(scratch.path, 40960, 8192);
    check_moved_aside(&scratch, "store.db.corrupt-1", 1);
    scratch_fini(&scratch);
}

Test(store_open, somebody_elses_database_is_moved_aside_not_written_into) {
    struct scratch scratch;
    scratch_init(&scratch);
    run_sql(scratch.path, "CREATE TABLE recipes(name TEXT)");
    check_moved_aside(&scratch, "store.db.corrupt-1", 1);
    scratch_fini(&scratch);
}

Test(store_open, an_empty_file_is_a_fresh_store) {
    struct scratch scratch;
    scratch_init(&scratch);
    int file = open(scratch.path, O_CREAT | O_WRONLY, 0644);
    (void)close(file);
    struct store *store = scratch_open(&scratch);
    cr_assert_eq(mode_of(&scratch, "store.db"), 0600, "tightened");
    cr_assert_eq(scratch_corrupt(&scratch), 0);
    store_close(store);
    scratch_fini(&scratch);
}

Test(store_open, a_missing_folder_and_a_folder_as_file_are_errors_that_name_the_path) {
    struct scratch scratch;
    struct store *store = NULL;
    char error[STORE_TEXT_BYTES];
    char path[160];
    scratch_init(&scratch);
    (void)snprintf(path, sizeof path, "%s/nowhere/store.db", scratch.folder);
    scratch.config.path = path;
    cr_assert_eq(store_open(&scratch.config, &store, error), WEFT_ERR_IO);
    cr_assert_not_null(strstr(error, path), "%s", error);
    scratch.config.path = scratch.folder;
    cr_assert_eq(store_open(&scratch.config, &store, error), WEFT_ERR_IO);
    cr_assert_not_null(strstr(error, scratch.folder), "%s", error);
    cr_assert_null(store);
    scratch_fini(&scratch);
}

Test(store_open, short_of_memory_nothing_is_opened_or_leaked) {
    struct scratch scratch;
    scratch_init(&scratch);
    FAILING_ALLOC_EACH(nth) {
        struct store *store = NULL;
        char error[STORE_TEXT_BYTES];
        enum weft_err err = store_open(&scratch.config, &store, error);
        bool has_failed = failing_alloc_disarm();
        cr_assert_eq(err, has_failed ? WEFT_ERR_MEMORY : WEFT_OK);
        cr_assert_eq(store == NULL, has_failed);
        store_close(store);
    }
    FAILING_ALLOC_EACH(nth) {
        struct store *store = NULL;
        enum weft_err err = store_open_memory(&store);
        bool has_failed = failing_alloc_disarm();
        cr_assert_eq(err, has_failed ? WEFT_ERR_MEMORY : WEFT_OK);
        store_close(store);
    }
    scratch_fini(&scratch);
}

Test(store_open, short_of_memory_a_save_is_refused_and_the_next_works) {
    struct scratch scratch;
    uint8_t bytes[64];
    struct tally tally = {.count = 0};
    scratch_init(&scratch);
    struct store *store = scratch_open(&scratch);
    uint32_t number = 0;
    FAILING_ALLOC_EACH(nth) {
        struct store_record record = record_of(number++, 1, bytes);
        enum weft_err err = store_save_record(store, &record);
        (void)failing_alloc_disarm();
        cr_assert(err == WEFT_OK || err == WEFT_ERR_MEMORY);
    }
    struct store_record record = record_of(number, 3, bytes);
    cr_assert_eq(store_save_record(store, &record), WEFT_OK);
    cr_assert_eq(store_flush(store), WEFT_OK);
    cr_assert_eq(store_each_record(store, tally_record, &tally), WEFT_OK);
    cr_assert(tally.count >= 2, "the last one and the one that met no failure");
    store_close(store);
    scratch_fini(&scratch);
}
