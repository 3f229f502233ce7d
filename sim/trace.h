/* SPDX-License-Identifier: Apache-2.0
 *
 * What happened to whom, as text, a line an event: the thing to grep.
 *
 *    12.345678901 17 sent to=18 kind=records bytes=412
 *    12.355678901 18 received from=17 kind=records bytes=412
 *    12.400000000 -- fault crash 3 nodes: 4 9 17
 */
#ifndef SIM_TRACE_H
#define SIM_TRACE_H

#include <stdio.h>

#include "sim/fault.h"

struct trace_file;

/* Becomes an observer of the world. The file stays the caller's. */
struct trace_file *trace_file_new(struct world *world, FILE *file);
/* The faults to tell of, too, each before what came of it. */
void trace_file_watch(struct trace_file *trace, const struct faults *faults);
/* To be called before the faults are freed. */
void trace_file_free(struct trace_file *trace);

#endif
