/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions about metrics, and their values as people read them.
 */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "sim/metrics_find.h"

#define PPM_ONE 1000000

struct statistic {
    const char *name;
    uint32_t ppm; /* of a quantile */
};

static const struct statistic QUANTILES[] = {
    {"p50", 500000}, {"p90", 900000}, {"p95", 950000}, {"p99", 990000}, {"p999", 999000}, {NULL, 0},
};

const struct metric *metrics_find_asked(const struct metrics *metrics, const char *question,
                                        const char **asked) {
    char name[METRIC_NAME_MAX + 1];
    const struct metric *metric = metrics_find(metrics, question);
    const char *dot = strrchr(question, '.');
    *asked = "";
    if (metric != NULL || dot == NULL || (size_t)(dot - question) > METRIC_NAME_MAX) {
        return metric;
    }
    (void)snprintf(name, sizeof name, "%.*s", (int)(dot - question), question);
    *asked = dot + 1;
    return metrics_find(metrics, name);
}

static bool ask_quantile(const struct metric *metric, const char *asked, int64_t *out) {
    for (const struct statistic *statistic = QUANTILES; statistic->name != NULL; statistic++) {
        if (strcmp(asked, statistic->name) == 0) {
            *out = metric_quantile(metric, statistic->ppm);
            return true;
        }
    }
    return false;
}

static bool ask_sampled(const struct metric *metric, const char *asked, int64_t *out) {
    if (strcmp(asked, "mean") == 0) {
        *out = metric_mean(metric);
    } else if (strcmp(asked, "min") == 0) {
        *out = metric_min(metric);
    } else if (strcmp(asked, "max") == 0) {
        *out = metric_max(metric);
    } else {
        return ask_quantile(metric, asked, out);
    }
    return true;
}

static bool ask_distribution(const struct metric *metric, const char *asked, int64_t *out) {
    if (strcmp(asked, "count") == 0) {
        *out = (int64_t)metric_count(metric);
        return true;
    }
    if (strcmp(asked, "sum") == 0) {
        *out = metric_value(metric);
        return true;
    }
    return metric_count(metric) > 0 && ask_sampled(metric, asked, out);
}

/* A counter is its own mean, extremes and quantiles. */
static bool ask_counter(const struct metric *metric, const char *asked, int64_t *out) {
    static const char *const ALLOWED[] = {"",    "mean", "min", "max", "sum",
                                          "p50", "p90",  "p95", "p99", "p999"};
    for (size_t i = 0; i < sizeof ALLOWED / sizeof ALLOWED[0]; i++) {
        if (strcmp(asked, ALLOWED[i]) == 0) {
            *out = metric_value(metric);
            return true;
        }
    }
    return false;
}

bool metrics_ask(const struct metrics *metrics, const char *question, int64_t *out,
                 enum metric_unit *unit) {
    ASSERT(metrics != NULL && question != NULL && out != NULL && unit != NULL);
    const char *asked = NULL;
    const struct metric *metric = metrics_find_asked(metrics, question, &asked);
    if (metric == NULL) {
        return false;
    }
    bool is_known = metric_is_distribution(metric) ? ask_distribution(metric, asked, out)
                                                   : ask_counter(metric, asked, out);
    if (is_known) {
        *unit = strcmp(asked, "count") == 0 ? UNIT_COUNT : metric_unit_of(metric);
    }
    return is_known;
}

/* Formatting. */

struct scale {
    const char *name;
    uint64_t one;
};

static const struct scale TIME_SCALES[] = {
    {"h", UINT64_C(3600000000000)},
    {"min", UINT64_C(60000000000)},
    {"s", UINT64_C(1000000000)},
    {"ms", 1000000},
    {"us", 1000},
    {"ns", 1},
};

static const struct scale BYTE_SCALES[] = {
    {"GB", 1000000000},
    {"MB", 1000000},
    {"KB", 1000},
    {"B", 1},
};

/* Three digits that matter: "1.23", "12.3", "123", "1234"; zeros at the end are left out. */
static void format_scaled(uint64_t value, const struct scale *scale, const char *sign,
                          char out[32]) {
    uint64_t whole = value / scale->one;
    uint64_t unit = whole >= 100 ? 1 : (whole >= 10 ? 10 : 100);
    uint64_t step = scale->one / unit;
    uint64_t rounded = step == 0 ? whole * unit : (value + step / 2) / step;
    uint64_t fraction = rounded % unit;
    while (unit > 1 && fraction % 10 == 0) {
        fraction /= 10;
        rounded /= 10;
        unit /= 10;
    }
    if (unit == 1) {
        (void)snprintf(out, 32, "%s%llu %s", sign, (unsigned long long)rounded, scale->name);
        return;
    }
    (void)snprintf(out, 32, "%s%llu.%0*llu %s", sign, (unsigned long long)(rounded / unit),
                   unit == 10 ? 1 : 2, (unsigned long long)fraction, scale->name);
}

static void format_by(const struct scale *scales, size_t count, int64_t value, char out[32]) {
    uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    size_t i = 0;
    while (i + 1 < count && size < scales[i].one) {
        i++;
    }
    format_scaled(size, &scales[i], value < 0 ? "-" : "", out);
}

/* "0.103"; six decimals where three would show little. */
static void format_ratio(int64_t value, char out[32]) {
    uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    const char *sign = value < 0 ? "-" : "";
    if (size == 0) {
        (void)snprintf(out, 32, "0");
    } else if (size < 10000) {
        (void)snprintf(out, 32, "%s0.%06llu", sign, (unsigned long long)size);
    } else {
        uint64_t thousandths = size / 1000 + (size % 1000 >= 500 ? 1 : 0);
        (void)snprintf(out, 32, "%s%llu.%03llu", sign, (unsigned long long)(thousandths / 1000),
                       (unsigned long long)(thousandths % 1000));
    }
}

void metric_format(int64_t value, enum metric_unit unit, char out[32]) {
    switch (unit) {
    case UNIT_NS:
        format_by(TIME_SCALES, sizeof TIME_SCALES / sizeof TIME_SCALES[0], value, out);
        return;
    case UNIT_BYTES:
        format_by(BYTE_SCALES, sizeof BYTE_SCALES / sizeof BYTE_SCALES[0], value, out);
        return;
    case UNIT_PPM:
        format_ratio(value, out);
        return;
    case UNIT_COUNT:
        break;
    }
    (void)snprintf(out, 32, "%lld", (long long)value);
}
