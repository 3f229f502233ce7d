/* SPDX-License-Identifier: Apache-2.0 */
#include "support.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void on_report(void *ctx, const struct trace_event *event) {
    struct scratch *scratch = ctx;
    (void)pthread_mutex_lock(&scratch->lock);
    scratch->failing += strcmp(event->name, "store-failing") == 0 ? 1 : 0;
    scratch->recovered += strcmp(event->name, "store-recovered") == 0 ? 1 : 0;
    scratch->corrupt += strcmp(event->name, "store-corrupt") == 0 ? 1 : 0;
    (void)snprintf(scratch->detail, sizeof scratch->detail, "%s", event->detail);
    (void)pthread_mutex_unlock(&scratch->lock);
}

static int on_commit(void *ctx) {
    struct scratch *scratch = ctx;
    atomic_fetch_add(&scratch->commits, 1);
    return atomic_load(&scratch->fault);
}

void scratch_init(struct scratch *scratch) {
    const char *base = getenv("TMPDIR");
    memset(scratch, 0, sizeof *scratch);
    (void)pthread_mutex_init(&scratch->lock, NULL);
    (void)snprintf(scratch->folder, sizeof scratch->folder, "%.40s/weft-store-XXXXXX",
                   base == NULL ? "/tmp" : base);
    cr_assert_not_null(mkdtemp(scratch->folder));
    (void)snprintf(scratch->path, sizeof scratch->path, "%s/store.db", scratch->folder);
    scratch->config = (struct store_config){.path = scratch->path,
                                            .report_ctx = scratch,
                                            .report = on_report,
                                            .fault_ctx = scratch,
                                            .fault = on_commit};
}

void scratch_fini(struct scratch *scratch) {
    DIR *folder = opendir(scratch->folder);
    cr_assert_not_null(folder);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        (void)unlinkat(dirfd(folder), entry->d_name, 0); /* "." and ".." refuse */
    }
    (void)closedir(folder);
    (void)rmdir(scratch->folder);
    (void)pthread_mutex_destroy(&scratch->lock);
}

static unsigned read_count(struct scratch *scratch, const unsigned *count) {
    (void)pthread_mutex_lock(&scratch->lock);
    unsigned value = *count;
    (void)pthread_mutex_unlock(&scratch->lock);
    return value;
}

unsigned scratch_failing(struct scratch *scratch) {
    return read_count(scratch, &scratch->failing);
}

unsigned scratch_recovered(struct scratch *scratch) {
    return read_count(scratch, &scratch->recovered);
}

unsigned scratch_corrupt(struct scratch *scratch) {
    return read_count(scratch, &scratch->corrupt);
}

struct store *scratch_open(struct scratch *scratch) {
    struct store *store = NULL;
    char error[STORE_TEXT_BYTES];
    cr_assert_eq(store_open(&scratch->config, &store, error), WEFT_OK, "%s", error);
    cr_assert_str_empty(error);
    return store;
}

bool scratch_has(const struct scratch *scratch, const char *name) {
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", scratch->folder, name);
    return access(path, F_OK) == 0;
}

struct store_record record_of(uint32_t number, uint64_t version, uint8_t bytes[64]) {
    struct store_record record = {.kind = 2, .last_live_s = version};
    memset(bytes, (int)(number & 0xff), 64);
    memcpy(bytes, &version, sizeof version);
    memcpy(record.place, &number, sizeof number);
    memset(record.owner.bytes, (int)(number % 7), sizeof record.owner.bytes);
    record.key = span_of_text("default/web");
    record.encoded = span_of(bytes, 64);
    return record;
}

void tally_record(void *ctx, const struct store_record *record) {
    struct tally *tally = ctx;
    tally->count++;
    tally->version = record->last_live_s;
    cr_assert_eq(record->encoded.len, 64);
    cr_assert_eq(memcmp(record->encoded.data, &record->last_live_s, sizeof(uint64_t)), 0);
}
