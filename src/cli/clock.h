/* SPDX-License-Identifier: Apache-2.0
 *
 * Waiting for a condition with a deadline: short steps first, so that what is quick is seen at
 * once.
 */
#ifndef CLI_CLOCK_H
#define CLI_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* Milliseconds of monotonic time. */
int64_t clock_ms(void);

struct waiting {
    int64_t deadline_ms;
    int64_t step_ms;
};

struct waiting waiting_until(int64_t deadline_ms);
/* Sleeps one step (1 to 20 ms); false when the deadline has passed. */
bool waiting_step(struct waiting *waiting);

#endif
