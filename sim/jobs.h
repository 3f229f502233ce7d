/* SPDX-License-Identifier: Apache-2.0
 *
 * Work in child processes, so that a crash is one job's and no more, and so that each processor has
 * one. A job answers with a few bytes; what it says on standard error is kept for whoever asks.
 */
#ifndef SIM_JOBS_H
#define SIM_JOBS_H

#include "base/span.h"

/* An answer has to fit a pipe that nobody reads yet: POSIX grants 4,096 at once. */
#define JOBS_ANSWER_BYTES 4096
#define JOBS_SAID_BYTES 2048

struct jobs;

/* At most `max` at a time, each with so many seconds of processor time. */
struct jobs *jobs_new(size_t max, uint64_t cpu_seconds);
/* Kills what still runs. */
void jobs_free(struct jobs *jobs);

/* As many as there are processors to run them. */
size_t jobs_max_default(void);

/* Whether there is room for one more. */
bool jobs_have_room(const struct jobs *jobs);
/* In a child: calls `work`, which returns the length of the answer it wrote, and exits 0. */
void jobs_start(struct jobs *jobs, uint64_t tag,
                size_t (*work)(void *ctx, uint8_t answer[JOBS_ANSWER_BYTES]), void *ctx);

struct job_end {
    uint64_t tag;
    bool is_good; /* exited 0 with an answer */
    char how[64]; /* if not: "killed by signal 6 (Aborted)" */
    uint8_t answer[JOBS_ANSWER_BYTES];
    size_t answer_bytes;
    char said[JOBS_SAID_BYTES]; /* the end of its standard error */
};
/* Waits for one to end; false when none runs. */
bool jobs_wait(struct jobs *jobs, struct job_end *out);

#endif
