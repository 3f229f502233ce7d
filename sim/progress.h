/* SPDX-License-Identifier: Apache-2.0
 *
 * The one place of the simulator that reads real clocks: they are shown to people who wait, and
 * what they say decides nothing.
 */
#ifndef SIM_PROGRESS_H
#define SIM_PROGRESS_H

#include <stdint.h>
#include <stdio.h>

#include "sim/run.h"

/* Nanoseconds of real time, from some beginning. */
uint64_t progress_real_ns(void);
/* Nanoseconds of processor time that this process took. */
uint64_t progress_cpu_ns(void);

/* A line that is written over and over, a few times a second, if `out` is a terminal. Zeroed
 * memory shows nothing. */
struct progress {
    FILE *out; /* NULL: shows nothing */
    uint64_t begun_ns;
    uint64_t shown_ns;
    uint64_t steps; /* when it was last shown */
    weft_ns at;     /* and the virtual time then */
};
void progress_init(struct progress *progress, FILE *out);
/* Wipes the line. */
void progress_fini(struct progress *progress);

/* For run_options.watch. */
void progress_run(void *progress, const struct run *run);
/* So many of so many are done. */
void progress_count(struct progress *progress, uint64_t done, uint64_t failed, uint64_t total);

#endif
