/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run counted and timed, by name. A counter has a value; a distribution has samples in
 * log-linear buckets (values are kept within 1/128 of the truth, extremes exactly). Integers only:
 * times in ns, sizes in bytes, ratios in millionths.
 *
 *   name                    broadcast.latency
 *   what an expect asks     broadcast.latency.p99, .p50, .p90, .p999, .mean, .min, .max, .count,
 *                           .sum; a counter by its bare name, or as a distribution of one sample
 */
#ifndef SIM_METRICS_H
#define SIM_METRICS_H

#include "weft/err.h"
#include "weft/types.h"

enum metric_unit {
    UNIT_COUNT,
    UNIT_NS,
    UNIT_BYTES,
    UNIT_PPM, /* a ratio in millionths */
};

struct metrics;
struct metric;

/* NULL when out of memory. */
struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics);

/* The counter or distribution of that name, made at first; lives as long as the metrics. Never
 * NULL: running out of memory ends the program (a simulator has nobody to protect). */
struct metric *metrics_counter(struct metrics *metrics, const char *name, enum metric_unit unit);
struct metric *metrics_distribution(struct metrics *metrics, const char *name,
                                    enum metric_unit unit);

void metric_add(struct metric *metric, int64_t amount);   /* counter */
void metric_set(struct metric *metric, int64_t value);    /* counter */
void metric_sample(struct metric *metric, int64_t value); /* distribution; negative counts as 0 */

const char *metric_name(const struct metric *metric);
enum metric_unit metric_unit_of(const struct metric *metric);
bool metric_is_distribution(const struct metric *metric);
int64_t metric_value(const struct metric *metric); /* counter: its value; else the sum */
uint64_t metric_count(const struct metric *metric);
int64_t metric_min(const struct metric *metric);
int64_t metric_max(const struct metric *metric);
int64_t metric_mean(const struct metric *metric);
/* The value below which `ppm` millionths of the samples lie; 0 without samples. */
int64_t metric_quantile(const struct metric *metric, uint32_t ppm);

/* Walks all, by name. */
void metrics_each(const struct metrics *metrics,
                  void (*each)(void *ctx, const struct metric *metric), void *ctx);
/* The buckets of a distribution that hold something, smallest first. */
void metric_each_bucket(const struct metric *metric,
                        void (*each)(void *ctx, int64_t low, int64_t high, uint64_t count),
                        void *ctx);

/* What "NAME" or "NAME.p99" stands for now. False when there is no such metric, for the bare name
 * of a distribution, and for a distribution without samples but for .count and .sum. The unit of
 * .count is UNIT_COUNT. */
bool metrics_ask(const struct metrics *metrics, const char *question, int64_t *out,
                 enum metric_unit *unit);

/* "12.3 ms", "4.5 KB", "0.103", "42". */
void metric_format(int64_t value, enum metric_unit unit, char out[32]);

#endif
