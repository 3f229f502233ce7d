/* SPDX-License-Identifier: Apache-2.0
 *
 * A disk that does not do what it should: injected results, and a real limit on the size of files.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

static const int faults[] = {SQLITE_FULL, SQLITE_READONLY, SQLITE_IOERR_WRITE, SQLITE_CORRUPT,
                             SQLITE_BUSY};

Test(store_disk, every_failure_is_survived_reported_once_and_nothing_is_lost) {
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct scratch scratch;
        uint8_t bytes[64];
        char error[STORE_TEXT_BYTES];
        struct tally tally = {.count = 0};
        scratch_init(&scratch);
        struct store *store = scratch_open(&scratch);
        atomic_store(&scratch.fault, faults[i]);
        for (uint32_t number = 0; number < 10; number++) {
            struct store_record record = record_of(number, 9, bytes);
            cr_assert_eq(store_save_record(store, &record), WEFT_OK);
            cr_assert_eq(store_flush(store), WEFT_ERR_IO);
        }
        cr_assert(store_error(store, error));
        cr_assert_not_null(strstr(error, sqlite3_errstr(faults[i])), "%s", error);
        cr_assert_not_null(strstr(error, scratch.path), "%s", error);
        cr_assert_eq(store_save_incarnation(store, 8), WEFT_ERR_IO);
        atomic_store(&scratch.fault, 0);
        cr_assert_eq(store_flush(store), WEFT_OK);
        cr_assert_not(store_error(store, error));
        uint64_t incarnation = 0;
        cr_assert_eq(store_load_incarnation(store, &incarnation), WEFT_OK);
        cr_assert_eq(incarnation, 8, "what was refused then is written now");
        cr_assert_eq(store_each_record(store, tally_record, &tally), WEFT_OK);
        cr_assert_eq(tally.count, 10);
        store_close(store);
        cr_assert_eq(scratch_failing(&scratch), 1);
        cr_assert_eq(scratch_recovered(&scratch), 1);
        scratch_fini(&scratch);
    }
}

Test(store_disk, a_failed_transaction_leaves_nothing_behind) {
    struct scratch scratch;
    uint8_t bytes[64];
    struct tally tally = {.count = 0};
    scratch_init(&scratch);
    struct store *store = scratch_open(&scratch);
    struct store_record record = record_of(1, 1, bytes);
    atomic_store(&scratch.fault, SQLITE_FULL);
    cr_assert_eq(store_save_record(store, &record), WEFT_OK);
    cr_assert_eq(store_flush(store), WEFT_ERR_IO);
    cr_assert_eq(store_each_record(store, tally_record, &tally), WEFT_OK);
    cr_assert_eq(tally.count, 0);
    store_close(store);
    scratch_fini(&scratch);
}

/* In a child, since the limit is the process's: files may grow to `bytes`. Exit status 0 if the
 * store refuses, keeps answering, and goes on when there is room again. */
static int live_with_full_disk(struct scratch *scratch) {
    uint8_t blob[20000] = {1};
    uint8_t bytes[64];
    char error[STORE_TEXT_BYTES];
    struct store *store = scratch_open(scratch);
    struct rlimit limit = {.rlim_cur = 200000, .rlim_max = RLIM_INFINITY};
    (void)signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) {
        return 2;
    }
    enum weft_err err = WEFT_OK;
    for (uint32_t i = 0; err == WEFT_OK && i < 100; i++) {
        struct store_record record = record_of(i, i, bytes);
        record.encoded = span_of(blob, sizeof blob);
        if (store_save_record(store, &record) != WEFT_OK) {
            return 3;
        }
        err = store_flush(store);
    }
    if (err != WEFT_ERR_IO || !store_error(store, error)) {
        return 4;
    }
    limit.rlim_cur = RLIM_INFINITY;
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0 || store_flush(store) != WEFT_OK ||
        store_error(store, error)) {
        return 5;
    }
    store_close(store);
    return scratch_failing(scratch) == 1 && scratch_recovered(scratch) == 1 ? 0 : 6;
}

Test(store_disk, a_disk_that_is_really_full_is_survived) {
    struct scratch scratch;
    int status = 0;
    scratch_init(&scratch);
    pid_t child = fork();
    cr_assert(child >= 0);
    if (child == 0) {
        _exit(live_with_full_disk(&scratch));
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status));
    cr_assert_eq(WEXITSTATUS(status), 0, "status %d", WEXITSTATUS(status));
    struct store *store = scratch_open(&scratch);
    cr_assert_eq(scratch_corrupt(&scratch), 0);
    store_close(store);
    scratch_fini(&scratch);
}

/* Everything is on disk within a second of its save, without anybody asking. */
Test(store_disk, a_save_is_committed_without_a_flush) {
    struct scratch scratch;
    uint8_t bytes[64];
    struct store_counters counters = {.written = 0};
    scratch_init(&scratch);
    struct store *store = scratch_open(&scratch);
    struct store_record record = record_of(1, 1, bytes);
    cr_assert_eq(store_save_record(store, &record), WEFT_OK);
    while (counters.written == 0) { /* or the test's time-out */
        store_get_counters(store, &counters);
    }
    struct tally tally = {.count = 0};
    cr_assert_eq(store_each_record(store, tally_record, &tally), WEFT_OK);
    cr_assert_eq(tally.count, 1);
    store_close(store);
    scratch_fini(&scratch);
}
