/* SPDX-License-Identifier: Apache-2.0
 *
 * The thread that writes, and the bounded queue that feeds it. It knows no SQL: a sink commits a
 * batch and makes commits durable.
 *
 *              put                            100 ms or a flush
 *   [waiting] <----- callers      [waiting] -------------------> [in flight] --commit--> freed
 *                                     ^                               |
 *                                     +---- failed: back in front ----+   again after 100 ms .. 30
 * s
 *
 * A failed batch goes back before what came since; of two writes of one key only the newer is kept.
 * Waiting and in flight together stay within the bounds.
 */
#ifndef STORE_WRITER_H
#define STORE_WRITER_H

#include "base/time.h"
#include "store/op.h"

#define WRITER_GATHER_NS (100 * NS_PER_MS) /* what comes within this shares a transaction */
#define WRITER_SYNC_NS (500 * NS_PER_MS)   /* a commit is synced after this: durable within 1 s */
#define WRITER_RETRY_MIN_NS (100 * NS_PER_MS)
#define WRITER_RETRY_MAX_NS (30 * NS_PER_S)

/* Both are called on the writer thread, without locks held. 0 is success; else the text is filled.
 */
struct writer_sink {
    void *ctx;
    int (*commit)(void *ctx, const struct store_op *ops, char error[STORE_TEXT_BYTES]);
    int (*sync)(void *ctx, char error[STORE_TEXT_BYTES]);
};

struct writer_config {
    struct writer_sink sink;
    size_t queue_max;
    size_t queue_bytes_max;
    void *report_ctx;
    void (*report)(void *ctx, const struct trace_event *event); /* may be NULL */
};

struct writer;

/* Starts the thread. WEFT_ERR_MEMORY, WEFT_ERR_IO. */
WEFT_MUST_CHECK enum weft_err writer_start(const struct writer_config *config, struct writer **out);

/* One last attempt to write what waits, then ends the thread. Takes NULL. */
void writer_stop(struct writer *writer);

/* Takes the op over. WEFT_ERR_FULL, WEFT_ERR_MEMORY: it was refused and freed. */
WEFT_MUST_CHECK enum weft_err writer_put(struct writer *writer, struct store_op *op);

/* Waits for an attempt that holds everything put so far, sync included. WEFT_ERR_IO if it failed.
 */
WEFT_MUST_CHECK enum weft_err writer_flush(struct writer *writer);

bool writer_error(struct writer *writer, char out[STORE_TEXT_BYTES]);
void writer_counters(struct writer *writer, struct store_counters *out);

#endif
