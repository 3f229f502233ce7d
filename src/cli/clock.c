/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/clock.h"

#include <time.h>

#define STEP_MS_MAX                                                                                \
    20 /* a poll costs the daemon some 50 us: a quarter of a percent of one core                   \
        */

int64_t clock_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return ((int64_t)now.tv_sec * 1000) + (now.tv_nsec / 1000000);
}

struct waiting waiting_until(int64_t deadline_ms) {
    return (struct waiting){deadline_ms, 1};
}

bool waiting_step(struct waiting *waiting) {
    if (clock_ms() >= waiting->deadline_ms) {
        return false;
    }
    const struct timespec step = {0, waiting->step_ms * 1000000};
    (void)nanosleep(&step, NULL);
    waiting->step_ms = waiting->step_ms * 2 < STEP_MS_MAX ? waiting->step_ms * 2 : STEP_MS_MAX;
    return true;
}
