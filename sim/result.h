/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run found, as JSON (docs/simulation.md, "The result"): for programs, and for the report's
 * page. Times are seconds of virtual time since the world's start.
 */
#ifndef SIM_RESULT_H
#define SIM_RESULT_H

#include <jansson.h>

#include "sim/run.h"

/* The whole result of a finished run. `file`: as the scenario was named. The caller's to decref. */
json_t *result_of(const struct run *run, const char *file);

#endif
