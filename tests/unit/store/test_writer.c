/* SPDX-License-Identifier: Apache-2.0
 *
 * The thread, with a sink of the test's own: batching, failure and recovery, ending, and callers
 * from several threads (for ThreadSanitizer).
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/writer.h"

struct sink {
    atomic_uint commits;
    atomic_uint ops;
    atomic_uint syncs;
    atomic_int commit_result;
    atomic_int sync_result;
    atomic_uint failing;
    atomic_uint other; /* of those, with another text than the usual */
    atomic_uint recovered;
    struct writer *writer; /* set: the report puts an event of its own */
};

static int sink_commit(void *ctx, const struct store_op *ops, char error[STORE_TEXT_BYTES]) {
    struct sink *sink = ctx;
    int result = atomic_load(&sink->commit_result);
    atomic_fetch_add(&sink->commits, 1);
    for (; result == 0 && ops != NULL; ops = ops->next) {
        atomic_fetch_add(&sink->ops, 1);
    }
    (void)snprintf(error, STORE_TEXT_BYTES, "%s", result == 0 ? "" : "disk is full");
    return result;
}

static int sink_sync(void *ctx, char error[STORE_TEXT_BYTES]) {
    struct sink *sink = ctx;
    int result = atomic_load(&sink->sync_result);
    atomic_fetch_add(&sink->syncs, 1);
    (void)snprintf(error, STORE_TEXT_BYTES, "%s", result == 0 ? "" : "cannot sync");
    return result;
}

/* Asserts nothing: it is called on other threads too. */
static struct store_op *event_op(uint64_t time_ms) {
    struct store_op *op = op_new(
        &(struct store_row){.table = STORE_EVENT, .event = {.time_ms = time_ms, .name = "tick"}},
        false);
    if (op == NULL) {
        abort();
    }
    return op;
}

static void on_report(void *ctx, const struct trace_event *event) {
    struct sink *sink = ctx;
    bool is_failing = strcmp(event->name, "store-failing") == 0;
    atomic_fetch_add(is_failing ? &sink->failing : &sink->recovered, 1);
    if (is_failing && strstr(event->detail, "error=\"disk is full\"") == NULL) {
        atomic_fetch_add(&sink->other, 1); /* no assertion: this is not the test's thread */
    }
    if (sink->writer != NULL) {
        /* as a host that keeps events does */
        atomic_fetch_add(&sink->other, writer_put(sink->writer, event_op(1)) == WEFT_OK ? 0 : 1);
    }
}

static struct writer *start(struct sink *sink, size_t queue_max) {
    struct writer *writer = NULL;
    struct writer_config config = {
        .sink = {.ctx = sink, .commit = sink_commit, .sync = sink_sync},
        .queue_max = queue_max,
        .queue_bytes_max = 1000000,
        .report_ctx = sink,
        .report = on_report,
    };
    cr_assert_eq(writer_start(&config, &writer), WEFT_OK);
    return writer;
}

Test(store_writer, a_flush_waits_for_everything_before_it) {
    struct sink sink = {.commits = 0};
    struct writer *writer = start(&sink, 1000);
    for (unsigned i = 1; i <= 100; i++) {
        cr_assert_eq(writer_put(writer, event_op(i)), WEFT_OK);
        if (i % 10 == 0) {
            cr_assert_eq(writer_flush(writer), WEFT_OK);
            cr_assert_eq(atomic_load(&sink.ops), i);
            cr_assert(atomic_load(&sink.syncs) > 0);
        }
    }
    writer_stop(writer);
}

Test(store_writer, a_burst_is_one_transaction) {
    struct sink sink = {.commits = 0};
    struct writer *writer = start(&sink, 1000);
    for (unsigned i = 0; i < 500; i++) {
        cr_assert_eq(writer_put(writer, event_op(i)), WEFT_OK);
    }
    cr_assert_eq(writer_flush(writer), WEFT_OK);
    cr_assert_leq(atomic_load(&sink.commits), 5, "each of 100 ms at least");
    struct store_counters counters;
    writer_counters(writer, &counters);
    cr_assert_eq(counters.written, 500);
    cr_assert_eq(counters.waiting, 0);
    cr_assert_eq(counters.commits, atomic_load(&sink.commits));
    writer_stop(writer);
}

Test(store_writer, stopping_writes_what_waits_and_syncs_it) {
    struct sink sink = {.commits = 0};
    struct writer *writer = start(&sink, 1000);
    cr_assert_eq(writer_put(writer, event_op(1)), WEFT_OK);
    writer_stop(writer);
    cr_assert_eq(atomic_load(&sink.ops), 1);
    cr_assert_eq(atomic_load(&sink.syncs), 1);
    writer_stop(NULL);
}

Test(store_writer, stopping_with_a_disk_that_fails_ends) {
    struct sink sink = {.commit_result = 13};
    struct writer *writer = start(&sink, 1000);
    cr_assert_eq(writer_put(writer, event_op(1)), WEFT_OK);
    writer_stop(writer); /* ASan would tell if the op were lost */
    cr_assert_eq(atomic_load(&sink.ops), 0);
}

Test(store_writer, trouble_is_told_once_and_its_end_once) {
    struct sink sink = {.commit_result = 13};
    char error[STORE_TEXT_BYTES];
    struct writer *writer = start(&sink, 1000);
    cr_assert_eq(writer_put(writer, event_op(1)), WEFT_OK);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(writer_flush(writer), WEFT_ERR_IO);
    }
    cr_assert(writer_error(writer, error));
    cr_assert_str_eq(error, "disk is full");
    cr_assert_eq(atomic_load(&sink.recovered), 0);
    atomic_store(&sink.commit_result, 0);
    cr_assert_eq(writer_flush(writer), WEFT_OK);
    cr_assert_not(writer_error(writer, error));
    struct store_counters counters;
    writer_counters(writer, &counters);
    cr_assert_geq(counters.failures, 5);
    cr_assert_eq(counters.written, 1);
    writer_stop(writer);
    cr_assert_eq(atomic_load(&sink.failing), 1);
    cr_assert_eq(atomic_load(&sink.other), 0);
    cr_assert_eq(atomic_load(&sink.recovered), 1);
}

Test(store_writer, it_tries_again_by_itself) {
    struct sink sink = {.commit_result = 13};
    char error[STORE_TEXT_BYTES];
    struct writer *writer = start(&sink, 1000);
    cr_assert_eq(writer_put(writer, event_op(1)), WEFT_OK);
    cr_assert_eq(writer_flush(writer), WEFT_ERR_IO);
    atomic_store(&sink.commit_result, 0);
    while (writer_error(writer, error)) { /* ends by the back-off, or by the test's time-out */
    }
    cr_assert_eq(atomic_load(&sink.ops), 1);
    writer_stop(writer);
}

Test(store_writer, a_sync_that_fails_is_not_healed_by_a_commit) {
    struct sink sink = {.sync_result = 13};
    char error[STORE_TEXT_BYTES];
    struct writer *writer = start(&sink, 1000);
    cr_assert_eq(writer_put(writer, event_op(1)), WEFT_OK);
    cr_assert_eq(writer_flush(writer), WEFT_ERR_IO);
    cr_assert(writer_error(writer, error));
    cr_assert_str_eq(error, "cannot sync");
    cr_assert_eq(writer_put(writer, event_op(2)), WEFT_OK);
    cr_assert_eq(writer_flush(writer), WEFT_ERR_IO);
    cr_assert_eq(atomic_load(&sink.ops), 2, "committed all the same");
    cr_assert(writer_error(writer, error));
    atomic_store(&sink.sync_result, 0);
    cr_assert_eq(writer_flush(writer), WEFT_OK, "although nothing new waits");
    cr_assert_not(writer_error(writer, error));
    writer_stop(writer);
    cr_assert_eq(atomic_load(&sink.recovered), 1);
}

Test(store_writer, during_trouble_the_queue_stays_bounded_and_refusals_count) {
    struct sink sink = {.commit_result = 13};
    struct store_counters counters;
    struct writer *writer = start(&sink, 10);
    size_t refused = 0;
    for (unsigned i = 0; i < 50; i++) {
        refused += writer_put(writer, event_op(i)) == WEFT_ERR_FULL ? 1 : 0;
        cr_assert_eq(writer_flush(writer), WEFT_ERR_IO);
    }
    writer_counters(writer, &counters);
    cr_assert_eq(counters.waiting, 10);
    cr_assert_eq(counters.refused, 40);
    cr_assert_eq(refused, 40);
    writer_stop(writer);
}

Test(store_writer, a_report_may_add_an_event) {
    struct sink sink = {.commits = 0};
    struct writer *writer = start(&sink, 1000);
    sink.writer = writer;
    atomic_store(&sink.commit_result, 13);
    cr_assert_eq(writer_put(writer, event_op(1)), WEFT_OK);
    cr_assert_eq(writer_flush(writer), WEFT_ERR_IO);
    atomic_store(&sink.commit_result, 0);
    cr_assert_eq(writer_flush(writer), WEFT_OK);
    writer_stop(writer);
    cr_assert_eq(atomic_load(&sink.failing), 1);
    cr_assert_eq(atomic_load(&sink.other), 0);
    cr_assert_geq(atomic_load(&sink.ops), 2);
}

struct caller {
    struct writer *writer;
    pthread_t thread;
    unsigned refused;
};

static void *put_many(void *argument) {
    struct caller *caller = argument;
    for (unsigned i = 0; i < 300; i++) {
        struct store_row row = {.table = STORE_SEED,
                                .seed = {.endpoint = i % 3 == 0 ? "a:1" : "b:1", .last_seen_s = i}};
        struct store_op *op = i % 2 == 0 ? event_op(i) : op_new(&row, false);
        caller->refused += writer_put(caller->writer, op) == WEFT_OK ? 0 : 1;
        if (i % 50 == 0) {
            caller->refused += writer_flush(caller->writer) == WEFT_OK ? 0 : 1;
        }
    }
    return NULL;
}

Test(store_writer, several_threads_may_put_and_flush) {
    struct sink sink = {.commits = 0};
    struct caller callers[3];
    struct store_counters counters;
    struct writer *writer = start(&sink, 100000);
    for (size_t i = 0; i < 3; i++) {
        callers[i] = (struct caller){.writer = writer};
        cr_assert_eq(pthread_create(&callers[i].thread, NULL, put_many, &callers[i]), 0);
    }
    for (size_t i = 0; i < 3; i++) {
        (void)pthread_join(callers[i].thread, NULL);
        cr_assert_eq(callers[i].refused, 0);
    }
    cr_assert_eq(writer_flush(writer), WEFT_OK);
    writer_counters(writer, &counters);
    cr_assert_eq(counters.written + counters.merged, 900);
    cr_assert_eq(counters.written, atomic_load(&sink.ops));
    writer_stop(writer);
}
