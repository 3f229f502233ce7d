/* SPDX-License-Identifier: Apache-2.0
 *
 * One loop: sleep until there is something to do, take all that waits, commit it, sync it, or put
 * it back. The lock is never held across a disk access.
 */
#include "store/writer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "base/check.h"
#include "store/queue.h"

struct writer {
    struct writer_config config;
    pthread_t thread;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t work;  /* the thread waits here */
    pthread_cond_t done;  /* flushers wait here */
    struct queue queue;
    weft_ns commit_at;      /* when to write what waits; WEFT_NEVER: nothing waits */
    weft_ns sync_at;        /* when to sync what is committed; WEFT_NEVER: nothing to sync */
    weft_ns retry_delay_ns; /* 0: the last attempt went well */
    uint64_t flush_wanted;  /* flushes asked for */
    uint64_t flush_done;    /* and answered */
    enum weft_err flush_err;
    bool is_stopping;
    char error[STORE_TEXT_BYTES]; /* empty: all is well */
    bool is_sync_failing;         /* then only a sync that goes well clears the error */
    struct store_counters counters;
};

static weft_ns clock_now(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (weft_ns)now.tv_sec * NS_PER_S + (weft_ns)now.tv_nsec;
}

static void report(const struct writer *writer, enum trace_level level, const char *name,
                   const char *detail) {
    if (writer->config.report != NULL) {
        struct trace_event event = {.level = level, .name = name, .detail = detail};
        writer->config.report(writer->config.report_ctx, &event);
    }
}

/* With the lock held. */
static void wait_until(struct writer *writer, weft_ns when) {
    if (when == WEFT_NEVER) {
        (void)pthread_cond_wait(&writer->work, &writer->lock);
        return;
    }
    struct timespec until = {.tv_sec = (time_t)(when / NS_PER_S),
                             .tv_nsec = (long)(when % NS_PER_S)};
    (void)pthread_cond_timedwait(&writer->work, &writer->lock, &until);
}

static bool is_urgent(const struct writer *writer) {
    return writer->is_stopping || writer->flush_wanted != writer->flush_done;
}

/* With the lock held: sleeps until a batch or a sync is due. */
static void wait_for_work(struct writer *writer) {
    weft_ns due = time_min(writer->commit_at, writer->sync_at);
    while (!is_urgent(writer) && clock_now() < due) {
        wait_until(writer, due);
        due = time_min(writer->commit_at, writer->sync_at);
    }
}

/* The delay before the next attempt: doubled each time, up to the bound. */
static weft_ns next_retry(weft_ns delay_ns) {
    weft_ns next = delay_ns == 0 ? WRITER_RETRY_MIN_NS : delay_ns * 2;
    return time_min(next, WRITER_RETRY_MAX_NS);
}

/* With the lock held: what a failed attempt changes. Returns whether it is news. */
static bool note_failure(struct writer *writer, const char *error, bool was_commit) {
    bool is_news = writer->error[0] == '\0';
    writer->retry_delay_ns = next_retry(writer->retry_delay_ns);
    weft_ns retry_at = time_after(clock_now(), writer->retry_delay_ns);
    if (was_commit) {
        writer->commit_at = retry_at;
    } else {
        writer->sync_at = retry_at;
        writer->is_sync_failing = true;
    }
    writer->counters.failures++;
    (void)snprintf(writer->error, sizeof writer->error, "%s", error);
    return is_news;
}

/* With the lock held: an attempt went well; returns whether that is news. A commit may fit where
 * the sync, which grows the database, does not: it proves nothing then. */
static bool note_success(struct writer *writer, bool was_commit) {
    if (was_commit && writer->is_sync_failing) {
        return false;
    }
    bool is_news = writer->error[0] != '\0';
    writer->retry_delay_ns = 0;
    writer->is_sync_failing = false;
    writer->error[0] = '\0';
    return is_news;
}

static bool must_commit(const struct writer *writer, weft_ns now) {
    return writer->queue.first != NULL && (is_urgent(writer) || now >= writer->commit_at);
}

static bool must_sync(const struct writer *writer, weft_ns now) {
    return writer->sync_at != WEFT_NEVER && (is_urgent(writer) || now >= writer->sync_at);
}

/* With the lock held, which is let go meanwhile: commits what waits. Returns 0 or what failed. */
static int run_commit(struct writer *writer, char error[STORE_TEXT_BYTES]) {
    struct store_op *taken = queue_take(&writer->queue);
    writer->commit_at = WEFT_NEVER;
    (void)pthread_mutex_unlock(&writer->lock);
    int result = writer->config.sink.commit(writer->config.sink.ctx, taken, error);
    (void)pthread_mutex_lock(&writer->lock);
    if (result != 0) {
        queue_put_back(&writer->queue, taken);
        return result;
    }
    writer->counters.written += queue_done(&writer->queue, taken);
    writer->counters.commits++;
    writer->sync_at = time_min(writer->sync_at, time_after(clock_now(), WRITER_SYNC_NS));
    return 0;
}

/* Likewise: makes the commits durable. */
static int run_sync(struct writer *writer, char error[STORE_TEXT_BYTES]) {
    writer->sync_at = WEFT_NEVER;
    (void)pthread_mutex_unlock(&writer->lock);
    int result = writer->config.sink.sync(writer->config.sink.ctx, error);
    (void)pthread_mutex_lock(&writer->lock);
    return result;
}

/* With the lock held, which is let go to report. */
static void settle(struct writer *writer, int result, const char *error, bool was_commit) {
    bool is_news =
        result != 0 ? note_failure(writer, error, was_commit) : note_success(writer, was_commit);
    if (!is_news) {
        return;
    }
    (void)pthread_mutex_unlock(&writer->lock);
    char detail[STORE_TEXT_BYTES + 16];
    (void)snprintf(detail, sizeof detail, "error=\"%s\"", error);
    report(writer, result != 0 ? TRACE_ERROR : TRACE_INFO,
           result != 0 ? "store-failing" : "store-recovered", result != 0 ? detail : "");
    (void)pthread_mutex_lock(&writer->lock);
}

/* With the lock held: one attempt at all that is due, then the answer to those who wait for it. */
static void run_once(struct writer *writer) {
    char error[STORE_TEXT_BYTES] = "";
    uint64_t serving = writer->flush_wanted;
    weft_ns now = clock_now();
    bool was_commit = must_commit(writer, now);
    bool was_any = was_commit || must_sync(writer, now);
    int result = was_commit ? run_commit(writer, error) : 0;
    if (result == 0 && must_sync(writer, clock_now())) {
        was_commit = false;
        result = run_sync(writer, error);
    }
    writer->flush_err = result == 0 ? WEFT_OK : WEFT_ERR_IO;
    writer->flush_done = serving;
    (void)pthread_cond_broadcast(&writer->done);
    if (was_any) {
        settle(writer, result, error, was_commit);
    }
}

static void *run(void *argument) {
    struct writer *writer = argument;
    (void)pthread_mutex_lock(&writer->lock);
    bool is_last = false;
    while (!is_last) {
        wait_for_work(writer);
        is_last = writer->is_stopping;
        run_once(writer);
    }
    (void)pthread_mutex_unlock(&writer->lock);
    return NULL;
}

static void init_conditions(struct writer *writer) {
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&writer->lock, NULL);
    (void)pthread_cond_init(&writer->work, &attributes);
    (void)pthread_cond_init(&writer->done, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

static void writer_free(struct writer *writer) {
    queue_fini(&writer->queue);
    (void)pthread_cond_destroy(&writer->work);
    (void)pthread_cond_destroy(&writer->done);
    (void)pthread_mutex_destroy(&writer->lock);
    free(writer);
}

enum weft_err writer_start(const struct writer_config *config, struct writer **out) {
    ASSERT(config != NULL && config->sink.commit != NULL && config->sink.sync != NULL);
    struct hash_key key;
    struct writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL) {
        return WEFT_ERR_MEMORY;
    }
    writer->config = *config;
    writer->commit_at = WEFT_NEVER;
    writer->sync_at = WEFT_NEVER;
    init_conditions(writer);
    if (getrandom(key.bytes, sizeof key.bytes, 0) != (ssize_t)sizeof key.bytes) {
        writer_free(writer);
        return WEFT_ERR_IO;
    }
    enum weft_err err =
        queue_init(&writer->queue, config->queue_max, config->queue_bytes_max, &key);
    if (err == WEFT_OK && pthread_create(&writer->thread, NULL, run, writer) != 0) {
        err = WEFT_ERR_IO;
    }
    if (err != WEFT_OK) {
        writer_free(writer);
        return err;
    }
    *out = writer;
    return WEFT_OK;
}

void writer_stop(struct writer *writer) {
    if (writer == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&writer->lock);
    writer->is_stopping = true;
    (void)pthread_cond_signal(&writer->work);
    (void)pthread_mutex_unlock(&writer->lock);
    (void)pthread_join(writer->thread, NULL);
    writer_free(writer);
}

enum weft_err writer_put(struct writer *writer, struct store_op *op) {
    (void)pthread_mutex_lock(&writer->lock);
    enum weft_err err = queue_put(&writer->queue, op);
    if (err == WEFT_OK && writer->commit_at == WEFT_NEVER) {
        writer->commit_at = time_after(clock_now(), WRITER_GATHER_NS);
        (void)pthread_cond_signal(&writer->work);
    }
    (void)pthread_mutex_unlock(&writer->lock);
    return err;
}

enum weft_err writer_flush(struct writer *writer) {
    (void)pthread_mutex_lock(&writer->lock);
    uint64_t mine = ++writer->flush_wanted;
    (void)pthread_cond_signal(&writer->work);
    while (writer->flush_done < mine) {
        (void)pthread_cond_wait(&writer->done, &writer->lock);
    }
    enum weft_err err = writer->flush_err;
    (void)pthread_mutex_unlock(&writer->lock);
    return err;
}

bool writer_error(struct writer *writer, char out[STORE_TEXT_BYTES]) {
    (void)pthread_mutex_lock(&writer->lock);
    (void)snprintf(out, STORE_TEXT_BYTES, "%s", writer->error);
    (void)pthread_mutex_unlock(&writer->lock);
    return out[0] != '\0';
}

void writer_counters(struct writer *writer, struct store_counters *out) {
    (void)pthread_mutex_lock(&writer->lock);
    *out = writer->counters;
    out->waiting = writer->queue.count;
    out->merged = writer->queue.merged;
    out->refused = writer->queue.refused;
    (void)pthread_mutex_unlock(&writer->lock);
}
