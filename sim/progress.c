/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/progress.h"

#include <inttypes.h>
#include <time.h>
#include <unistd.h>

#include "base/time.h"

/* Often enough to see that it moves. */
#define SHOW_EVERY (200 * NS_PER_MS)

static uint64_t read_clock(clockid_t clock) {
    struct timespec spec = {0};
    (void)clock_gettime(clock, &spec);
    return (uint64_t)spec.tv_sec * NS_PER_S + (uint64_t)spec.tv_nsec;
}

uint64_t progress_real_ns(void) {
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t progress_cpu_ns(void) {
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

void progress_init(struct progress *progress, FILE *out) {
    uint64_t now = progress_real_ns();
    *progress = (struct progress){
        .out = isatty(fileno(out)) == 1 ? out : NULL, .begun_ns = now, .shown_ns = now};
}

void progress_fini(struct progress *progress) {
    if (progress->out != NULL) {
        (void)fputs("\r\033[K", progress->out);
        (void)fflush(progress->out);
    }
}

/* Whether it is time to show something; sets the time that went by since it was last. */
static bool is_due(struct progress *progress, uint64_t *since) {
    uint64_t now = progress->out != NULL ? progress_real_ns() : 0;
    if (progress->out == NULL || now < progress->shown_ns + SHOW_EVERY) {
        return false;
    }
    *since = now - progress->shown_ns;
    progress->shown_ns = now;
    return true;
}

/* "3 min" of real time. */
static void format_wait(uint64_t span, char *out, size_t size) {
    uint64_t seconds = span / NS_PER_S;
    if (seconds < 120) {
        (void)snprintf(out, size, "%" PRIu64 " s", seconds);
    } else {
        (void)snprintf(out, size, "%" PRIu64 " min", seconds / 60);
    }
}

void progress_run(void *ctx, const struct run *run) {
    struct progress *progress = ctx;
    uint64_t since = 0;
    if (!is_due(progress, &since)) {
        return;
    }
    uint64_t steps = world_step_count(run_world(run));
    weft_ns now = run_now(run);
    weft_ns end = run_end(run);
    uint64_t rate = (steps - progress->steps) * NS_PER_MS / (since / 1000 + 1);
    weft_ns advanced = now - progress->at;
    char left[32] = "?";
    if (end != WEFT_NEVER && advanced > 0) {
        format_wait((end > now ? end - now : 0) / 1000 * (since / 1000) / (advanced / 1000 + 1) *
                        1000,
                    left, sizeof(left));
    }
    (void)fprintf(progress->out,
                  "\r\033[K%s%" PRIu64 ".%" PRIu64 " s virtual, %" PRIu64
                  " events/s, about %s left",
                  end == WEFT_NEVER ? "forming: " : "", now / NS_PER_S,
                  now % NS_PER_S / (NS_PER_S / 10), rate, left);
    (void)fflush(progress->out);
    progress->steps = steps;
    progress->at = now;
}

void progress_count(struct progress *progress, uint64_t done, uint64_t failed, uint64_t total) {
    uint64_t since = 0;
    if (!is_due(progress, &since)) {
        return;
    }
    uint64_t spent = progress->shown_ns - progress->begun_ns;
    char left[32] = "?";
    if (done > 0) {
        format_wait(spent / done * (total - done), left, sizeof(left));
    }
    (void)fprintf(progress->out,
                  "\r\033[K%" PRIu64 " of %" PRIu64 " runs, %" PRIu64 " failed, about %s left",
                  done, total, failed, left);
    (void)fflush(progress->out);
}
