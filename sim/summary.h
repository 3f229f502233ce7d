/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run found, for people: at most SUMMARY_LINES lines of SUMMARY_COLUMNS, so that it fits a
 * terminal of 80 by 24 together with its prompt.
 */
#ifndef SIM_SUMMARY_H
#define SIM_SUMMARY_H

#include "sim/run.h"

#define SUMMARY_COLUMNS 80
#define SUMMARY_LINES 21

/* Prints a finished run. */
void summary_print(FILE *out, const struct run *run);
/* What failed first, when, and how to see it again: two lines; nothing if all held. `file`: as the
 * scenario was named. */
void summary_print_failure(FILE *out, const struct run *run, const char *file);

#endif
