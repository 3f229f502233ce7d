/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/expect.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "sim/metrics_find.h"
#include "sim/suggest.h"

#define MILLION 1000000
/* Metrics that a misspelt name is compared with. */
#define CANDIDATES_MAX 512

/* Brings limit and reached to one unit; false if a limit of that kind says nothing of the metric.
 */
static bool align(const struct scenario_expect *expect, enum metric_unit unit, int64_t *reached) {
    switch (expect->unit) {
    case EXPECT_PLAIN:
        if (unit == UNIT_COUNT) {
            bool is_huge = __builtin_mul_overflow(*reached, MILLION, reached);
            *reached = is_huge ? INT64_MAX : *reached; /* counts of nearly 10^13 */
            return true;
        }
        return unit == UNIT_PPM || expect->value == 0;
    case EXPECT_PPM:
        return unit == UNIT_PPM;
    case EXPECT_NS:
        return unit == UNIT_NS;
    case EXPECT_BYTES:
        return unit == UNIT_BYTES;
    }
    return false;
}

static bool compare(int64_t reached, enum expect_op op, int64_t limit) {
    switch (op) {
    case EXPECT_LESS:
        return reached < limit;
    case EXPECT_AT_MOST:
        return reached <= limit;
    case EXPECT_EQUAL:
        return reached == limit;
    case EXPECT_AT_LEAST:
        return reached >= limit;
    case EXPECT_MORE:
        return reached > limit;
    }
    return false;
}

bool expect_holds(const struct scenario_expect *expect, const struct metrics *metrics,
                  int64_t *reached, bool *is_known) {
    ASSERT(expect != NULL && metrics != NULL && reached != NULL && is_known != NULL);
    enum metric_unit unit = UNIT_COUNT;
    int64_t value = 0;
    *reached = 0;
    *is_known = false;
    if (!metrics_ask(metrics, expect->metric, &value, &unit)) {
        return false;
    }
    int64_t aligned = value;
    if (!align(expect, unit, &aligned)) {
        return false;
    }
    *is_known = true;
    *reached = value;
    return compare(aligned, expect->op, expect->value);
}

/* Why it cannot be said. */

static const char *wanted_of(enum metric_unit unit) {
    switch (unit) {
    case UNIT_NS:
        return "a time, such as 300ms";
    case UNIT_BYTES:
        return "a size, such as 20MB, or bytes a second, such as 1.5KB/s";
    case UNIT_PPM:
        return "a ratio, such as 0.10 or 10%";
    case UNIT_COUNT:
        break;
    }
    return "a number";
}

struct candidates {
    const char *names[CANDIDATES_MAX];
    size_t count;
};

static void add_candidate(void *ctx, const struct metric *metric) {
    struct candidates *candidates = ctx;
    if (candidates->count < CANDIDATES_MAX) {
        candidates->names[candidates->count++] = metric_name(metric);
    }
}

/* With and without the last part: it may be a statistic. */
static const char *nearest_metric(const struct metrics *metrics, const char *question) {
    struct candidates candidates = {.count = 0};
    char name[METRIC_NAME_MAX + 1];
    const char *dot = strrchr(question, '.');
    metrics_each(metrics, add_candidate, &candidates);
    const char *near = suggest_nearest(question, candidates.names, candidates.count);
    if (near != NULL || dot == NULL || (size_t)(dot - question) > METRIC_NAME_MAX) {
        return near;
    }
    (void)snprintf(name, sizeof name, "%.*s", (int)(dot - question), question);
    return suggest_nearest(name, candidates.names, candidates.count);
}

static void explain_missing(const struct scenario_expect *expect, const struct metrics *metrics,
                            char out[EXPECT_TEXT_MAX]) {
    const char *near = nearest_metric(metrics, expect->metric);
    if (near == NULL) {
        (void)snprintf(out, EXPECT_TEXT_MAX, "no metric of that name");
        return;
    }
    (void)snprintf(out, EXPECT_TEXT_MAX, "no metric of that name; did you mean %s?", near);
}

static void explain_unasked(const struct metric *metric, const char *asked,
                            char out[EXPECT_TEXT_MAX]) {
    const char *name = metric_name(metric);
    if (!metric_is_distribution(metric)) {
        (void)snprintf(out, EXPECT_TEXT_MAX, "%s is one number; it has no .%s", name, asked);
    } else if (asked[0] == '\0') {
        (void)snprintf(out, EXPECT_TEXT_MAX,
                       "%s is a distribution; ask for %s.p99, .max, .mean ...", name, name);
    } else if (metric_count(metric) == 0) {
        (void)snprintf(out, EXPECT_TEXT_MAX, "%s has no sample", name);
    } else {
        (void)snprintf(out, EXPECT_TEXT_MAX,
                       "%s has no .%s; expected p50, p90, p95, p99, p999, mean, min, max, count or "
                       "sum",
                       name, asked);
    }
}

void expect_explain(const struct scenario_expect *expect, const struct metrics *metrics,
                    char out[EXPECT_TEXT_MAX]) {
    ASSERT(expect != NULL && metrics != NULL && out != NULL);
    enum metric_unit unit = UNIT_COUNT;
    int64_t value = 0;
    const char *asked = NULL;
    const struct metric *metric = metrics_find_asked(metrics, expect->metric, &asked);
    if (metric == NULL) {
        explain_missing(expect, metrics, out);
        return;
    }
    if (!metrics_ask(metrics, expect->metric, &value, &unit)) {
        explain_unasked(metric, asked, out);
        return;
    }
    int64_t aligned = value;
    char text[32];
    metric_format(value, unit, text);
    bool is_fit = align(expect, unit, &aligned);
    (void)snprintf(out, EXPECT_TEXT_MAX, "%s%s%s", text, is_fit ? "" : "; the limit must be ",
                   is_fit ? "" : wanted_of(unit));
}
