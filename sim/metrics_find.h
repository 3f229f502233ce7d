/* SPDX-License-Identifier: Apache-2.0
 *
 * What asking (metrics_ask.c, expect.c) needs of the store of metrics (metrics.c).
 */
#ifndef SIM_METRICS_FIND_H
#define SIM_METRICS_FIND_H

#include "sim/metrics.h"

/* Names may be no longer: programs choose them, not users. */
#define METRIC_NAME_MAX 79

/* The metric of exactly that name, or NULL. */
const struct metric *metrics_find(const struct metrics *metrics, const char *name);

/* Splits "broadcast.latency.p99" where a metric's name ends: the metric, and what is asked of it
 * ("p99", or "" for the metric itself). NULL when there is no such metric. */
const struct metric *metrics_find_asked(const struct metrics *metrics, const char *question,
                                        const char **asked);

#endif
