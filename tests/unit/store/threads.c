/* SPDX-License-Identifier: Apache-2.0
 *
 * A store under load from two threads, as in the daemon: one calls everything, the writer reports,
 * and reports add events. A program of its own, since Criterion does not run under ThreadSanitizer,
 * for which this is. Exit status 0 if all went well.
 */
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/store.h"

#define ROUNDS 60

struct world {
    struct store *_Atomic store;
    atomic_int fault;
    atomic_uint reports;
};

static void on_report(void *ctx, const struct trace_event *event) {
    struct world *world = ctx;
    struct store_event row = {.level = event->level, .name = event->name, .detail = event->detail};
    atomic_fetch_add(&world->reports, 1);
    if (store_add_event(atomic_load(&world->store), &row) != WEFT_OK) {
        (void)fprintf(stderr, "an event of the writer's was refused\n");
        _exit(1);
    }
}

static int on_commit(void *ctx) {
    struct world *world = ctx;
    return atomic_load(&world->fault);
}

static void must(bool is_so, const char *what) {
    if (!is_so) {
        (void)fprintf(stderr, "not so: %s\n", what);
        exit(1);
    }
}

static void count_record(void *ctx, const struct store_record *record) {
    *(size_t *)ctx += record->encoded.len == 1 ? 1 : 0;
}

static void save_many(struct store *store, unsigned round) {
    for (uint32_t i = 0; i < 50; i++) {
        uint8_t byte = (uint8_t)round;
        struct store_record record = {.kind = 1, .encoded = span_of(&byte, 1)};
        struct store_event event = {.name = "tick", .detail = "n=1"};
        memcpy(record.place, &i, sizeof i);
        must(store_save_record(store, &record) == WEFT_OK, "a record is taken");
        must(store_add_event(store, &event) == WEFT_OK, "an event is taken");
    }
}

/* Every third round fails; a walk runs beside the writer. */
static void run_round(struct world *world, struct store *store, unsigned round) {
    char error[STORE_TEXT_BYTES];
    struct store_counters counters;
    size_t count = 0;
    bool is_bad = round % 3 == 2;
    atomic_store(&world->fault, is_bad ? SQLITE_FULL : SQLITE_OK);
    save_many(store, round);
    must(store_each_record(store, count_record, &count) == WEFT_OK, "a walk works meanwhile");
    must(store_save_incarnation(store, round + 1) == (is_bad ? WEFT_ERR_IO : WEFT_OK), "a flush");
    must(store_error(store, error) == is_bad || !is_bad, "the error is told");
    store_get_counters(store, &counters);
    must(counters.refused == 0, "nothing is refused");
}

int main(void) {
    char folder[] = "/tmp/weft-threads-XXXXXX";
    char path[64];
    char error[STORE_TEXT_BYTES];
    struct world world = {.fault = 0};
    struct store *store = NULL;
    size_t count = 0;
    must(mkdtemp(folder) != NULL, "a folder");
    (void)snprintf(path, sizeof path, "%s/store.db", folder);
    struct store_config config = {.path = path,
                                  .report_ctx = &world,
                                  .report = on_report,
                                  .fault_ctx = &world,
                                  .fault = on_commit};
    must(store_open(&config, &store, error) == WEFT_OK, error);
    atomic_store(&world.store, store);
    for (unsigned round = 0; round < ROUNDS; round++) {
        run_round(&world, store, round);
    }
    atomic_store(&world.fault, 0);
    must(store_flush(store) == WEFT_OK, "the last flush");
    must(store_each_record(store, count_record, &count) == WEFT_OK && count == 50, "all is there");
    store_close(store);
    must(atomic_load(&world.reports) > 1, "trouble and its end were reported");
    (void)unlink(path);
    (void)rmdir(folder);
    (void)puts("ok");
    return 0;
}
