/* SPDX-License-Identifier: Apache-2.0
 *
 * Buckets after HdrHistogram: 128 equal ones to each power of two, so that a value and its bucket's
 * end differ by less than 1/128. Below 256 each value has its own.
 *
 *   value   0 .. 255   256 .. 511 (by 2)   512 .. 1023 (by 4)   ...
 *   index   0 .. 255   256 .. 383          384 .. 511
 */
#include "sim/metrics.h"

#include <string.h>

#include "base/check.h"
#include "sim/metrics_find.h"
#include "sim/must.h"

#define LINEAR_BITS 7
#define LINEAR_COUNT ((size_t)1 << LINEAR_BITS)
#define PPM_ONE 1000000U

struct metric {
    char name[METRIC_NAME_MAX + 1];
    enum metric_unit unit;
    bool is_distribution;
    int64_t value; /* counter; else the sum, held at INT64_MAX */
    uint64_t count;
    int64_t min;
    int64_t max;
    uint64_t *buckets;
    size_t bucket_count; /* there is room for; what lies beyond holds nothing */
};

struct metrics {
    struct metric **sorted; /* by name */
    size_t count;
    size_t room;
};

static unsigned shift_of(uint64_t value) {
    unsigned bits = 0;
    for (uint64_t rest = value >> (LINEAR_BITS + 1); rest != 0; rest >>= 1) {
        bits++;
    }
    return bits;
}

static size_t index_of(int64_t value) {
    unsigned shift = shift_of((uint64_t)value);
    return shift * LINEAR_COUNT + ((size_t)value >> shift);
}

static unsigned shift_at(size_t index) {
    return index < 2 * LINEAR_COUNT ? 0 : (unsigned)(index / LINEAR_COUNT) - 1;
}

static int64_t low_at(size_t index) {
    unsigned shift = shift_at(index);
    return (int64_t)((index - shift * LINEAR_COUNT) << shift);
}

static int64_t high_at(size_t index) {
    return low_at(index) + (int64_t)((UINT64_C(1) << shift_at(index)) - 1);
}

struct metrics *metrics_new(void) {
    return must(calloc(1, sizeof(struct metrics)));
}

void metrics_free(struct metrics *metrics) {
    if (metrics == NULL) {
        return;
    }
    for (size_t i = 0; i < metrics->count; i++) {
        free(metrics->sorted[i]->buckets);
        free(metrics->sorted[i]);
    }
    free(metrics->sorted);
    free(metrics);
}

/* Where the metric of that name is, or would be. */
static size_t place_of(const struct metrics *metrics, const char *name) {
    size_t low = 0;
    size_t high = metrics->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(metrics->sorted[middle]->name, name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const struct metric *metrics_find(const struct metrics *metrics, const char *name) {
    size_t place = place_of(metrics, name);
    bool is_there = place < metrics->count && strcmp(metrics->sorted[place]->name, name) == 0;
    return is_there ? metrics->sorted[place] : NULL;
}

static struct metric *insert(struct metrics *metrics, size_t place, const char *name) {
    if (metrics->count == metrics->room) {
        metrics->room = metrics->room == 0 ? 32 : 2 * metrics->room;
        metrics->sorted = must(realloc(metrics->sorted, metrics->room * sizeof(struct metric *)));
    }
    struct metric *metric = must(calloc(1, sizeof(*metric)));
    (void)snprintf(metric->name, sizeof metric->name, "%s", name);
    memmove(&metrics->sorted[place + 1], &metrics->sorted[place],
            (metrics->count - place) * sizeof(struct metric *));
    metrics->sorted[place] = metric;
    metrics->count++;
    return metric;
}

static struct metric *obtain(struct metrics *metrics, const char *name, enum metric_unit unit,
                             bool is_distribution) {
    ASSERT(metrics != NULL && name != NULL && strlen(name) <= METRIC_NAME_MAX);
    size_t place = place_of(metrics, name);
    if (place == metrics->count || strcmp(metrics->sorted[place]->name, name) != 0) {
        struct metric *metric = insert(metrics, place, name);
        metric->unit = unit;
        metric->is_distribution = is_distribution;
    }
    struct metric *metric = metrics->sorted[place];
    ASSERT(metric->unit == unit && metric->is_distribution == is_distribution);
    return metric;
}

struct metric *metrics_counter(struct metrics *metrics, const char *name, enum metric_unit unit) {
    return obtain(metrics, name, unit, false);
}

struct metric *metrics_distribution(struct metrics *metrics, const char *name,
                                    enum metric_unit unit) {
    return obtain(metrics, name, unit, true);
}

static int64_t add_held(int64_t a, int64_t b) {
    int64_t sum = 0;
    if (__builtin_add_overflow(a, b, &sum)) {
        return b > 0 ? INT64_MAX : INT64_MIN;
    }
    return sum;
}

void metric_add(struct metric *metric, int64_t amount) {
    ASSERT(!metric->is_distribution);
    metric->value = add_held(metric->value, amount);
}

void metric_set(struct metric *metric, int64_t value) {
    ASSERT(!metric->is_distribution);
    metric->value = value;
}

static void make_room(struct metric *metric, size_t index) {
    size_t old = metric->bucket_count;
    if (index < old) {
        return;
    }
    metric->bucket_count = (index / LINEAR_COUNT + 1) * LINEAR_COUNT;
    metric->buckets = must(realloc(metric->buckets, metric->bucket_count * sizeof(uint64_t)));
    memset(&metric->buckets[old], 0, (metric->bucket_count - old) * sizeof(uint64_t));
}

void metric_sample(struct metric *metric, int64_t value) {
    ASSERT(metric->is_distribution);
    int64_t sample = value < 0 ? 0 : value;
    size_t index = index_of(sample);
    make_room(metric, index);
    metric->buckets[index]++;
    metric->min = metric->count == 0 || sample < metric->min ? sample : metric->min;
    metric->max = sample > metric->max ? sample : metric->max;
    metric->value = add_held(metric->value, sample);
    metric->count++;
}

const char *metric_name(const struct metric *metric) {
    return metric->name;
}

enum metric_unit metric_unit_of(const struct metric *metric) {
    return metric->unit;
}

bool metric_is_distribution(const struct metric *metric) {
    return metric->is_distribution;
}

int64_t metric_value(const struct metric *metric) {
    return metric->value;
}

uint64_t metric_count(const struct metric *metric) {
    return metric->count;
}

int64_t metric_min(const struct metric *metric) {
    return metric->min;
}

int64_t metric_max(const struct metric *metric) {
    return metric->max;
}

int64_t metric_mean(const struct metric *metric) {
    return metric->count == 0 ? 0 : metric->value / (int64_t)metric->count;
}

/* The rank of the sample asked for: 1 is the smallest. */
static uint64_t rank_of(uint64_t count, uint32_t ppm) {
    uint64_t whole = count / PPM_ONE * ppm;
    uint64_t rest = (count % PPM_ONE * ppm + PPM_ONE - 1) / PPM_ONE;
    uint64_t rank = whole + rest;
    return rank == 0 ? 1 : rank;
}

int64_t metric_quantile(const struct metric *metric, uint32_t ppm) {
    ASSERT(metric->is_distribution && ppm <= PPM_ONE);
    if (metric->count == 0) {
        return 0;
    }
    uint64_t rank = rank_of(metric->count, ppm);
    uint64_t seen = 0;
    size_t index = 0;
    for (; index < metric->bucket_count; index++) {
        seen += metric->buckets[index];
        if (seen >= rank) {
            break;
        }
    }
    int64_t high = high_at(index);
    return high > metric->max ? metric->max : high;
}

void metrics_each(const struct metrics *metrics,
                  void (*each)(void *ctx, const struct metric *metric), void *ctx) {
    for (size_t i = 0; i < metrics->count; i++) {
        each(ctx, metrics->sorted[i]);
    }
}

void metric_each_bucket(const struct metric *metric,
                        void (*each)(void *ctx, int64_t low, int64_t high, uint64_t count),
                        void *ctx) {
    for (size_t i = 0; i < metric->bucket_count; i++) {
        if (metric->buckets[i] > 0) {
            each(ctx, low_at(i), high_at(i), metric->buckets[i]);
        }
    }
}
