/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "sim/metrics.h"

#define SAMPLES 5000

static struct rng rng_of(uint8_t seed) {
    uint8_t bytes[32] = {seed};
    struct rng rng;
    rng_init(&rng, bytes);
    return rng;
}

static int64_t ask(const struct metrics *metrics, const char *question) {
    int64_t value = -1;
    enum metric_unit unit = UNIT_COUNT;
    cr_assert(metrics_ask(metrics, question, &value, &unit), "%s", question);
    return value;
}

static bool is_known(const struct metrics *metrics, const char *question) {
    int64_t value = 0;
    enum metric_unit unit = UNIT_COUNT;
    return metrics_ask(metrics, question, &value, &unit);
}

Test(metrics, a_name_stands_for_one_metric) {
    struct metrics *metrics = metrics_new();
    struct metric *one = metrics_counter(metrics, "b", UNIT_COUNT);
    struct metric *other = metrics_counter(metrics, "a", UNIT_COUNT);
    cr_assert_neq(one, other);
    for (int i = 0; i < 200; i++) { /* grows past its first room */
        char name[16];
        (void)snprintf(name, sizeof name, "m%d", i);
        metric_add(metrics_counter(metrics, name, UNIT_COUNT), i);
    }
    cr_assert_eq(metrics_counter(metrics, "b", UNIT_COUNT), one);
    cr_assert_eq(ask(metrics, "m137"), 137);
    metrics_free(metrics);
    metrics_free(NULL);
}

static void check_order(void *ctx, const struct metric *metric) {
    const char **last = ctx;
    cr_assert(*last == NULL || strcmp(*last, metric_name(metric)) < 0);
    *last = metric_name(metric);
}

Test(metrics, walks_by_name) {
    struct metrics *metrics = metrics_new();
    const char *last = NULL;
    (void)metrics_counter(metrics, "stream.done", UNIT_COUNT);
    (void)metrics_distribution(metrics, "broadcast.latency", UNIT_NS);
    (void)metrics_counter(metrics, "broadcast", UNIT_COUNT);
    metrics_each(metrics, check_order, (void *)&last);
    cr_assert_str_eq(last, "stream.done");
    metrics_free(metrics);
}

static int compare(const void *left, const void *right) {
    const int64_t *a = left;
    const int64_t *b = right;
    return (*a > *b) - (*a < *b);
}

static int64_t draw(struct rng *rng) {
    return (int64_t)(rng_next(rng) >> (1 + rng_below(rng, 63)));
}

static void assert_near(int64_t found, int64_t truth, uint32_t ppm) {
    int64_t error = found > truth ? found - truth : truth - found;
    cr_assert_leq(error, truth / 128 + 1, "%lld for %lld at %u", (long long)found, (long long)truth,
                  ppm);
    cr_assert_geq(found, truth, "a quantile is never told smaller than it is");
}

Test(metrics, quantiles_are_within_one_in_128_of_sorted_samples) {
    for (uint8_t seed = 0; seed < 20; seed++) {
        struct rng rng = rng_of(seed);
        struct metrics *metrics = metrics_new();
        struct metric *metric = metrics_distribution(metrics, "d", UNIT_NS);
        int64_t *values = calloc(SAMPLES, sizeof(*values));
        for (size_t i = 0; i < SAMPLES; i++) {
            values[i] = draw(&rng);
            metric_sample(metric, values[i]);
        }
        qsort(values, SAMPLES, sizeof(*values), compare);
        for (uint32_t ppm = 1000; ppm <= 1000000; ppm += 1000) {
            size_t rank = ((size_t)SAMPLES * ppm + 999999) / 1000000;
            assert_near(metric_quantile(metric, ppm), values[rank - 1], ppm);
        }
        cr_assert_eq(metric_min(metric), values[0]);
        cr_assert_eq(metric_max(metric), values[SAMPLES - 1]);
        cr_assert_eq(metric_quantile(metric, 1000000), values[SAMPLES - 1]);
        free(values);
        metrics_free(metrics);
    }
}

Test(metrics, small_values_are_exact) {
    struct metrics *metrics = metrics_new();
    struct metric *metric = metrics_distribution(metrics, "hops", UNIT_COUNT);
    for (int64_t value = 0; value < 256; value++) {
        metric_sample(metric, value);
    }
    for (uint32_t i = 1; i <= 256; i++) {
        cr_assert_eq(metric_quantile(metric, (uint32_t)(UINT64_C(1000000) * i / 256)), i - 1);
    }
    metrics_free(metrics);
}

struct buckets {
    uint64_t count;
    int64_t last;
};

static void check_bucket(void *ctx, int64_t low, int64_t high, uint64_t count) {
    struct buckets *buckets = ctx;
    cr_assert(low <= high && low > buckets->last && count > 0);
    cr_assert_leq(high - low, low / 128);
    buckets->last = high;
    buckets->count += count;
}

Test(metrics, buckets_do_not_overlap_and_hold_every_sample) {
    struct metrics *metrics = metrics_new();
    struct metric *metric = metrics_distribution(metrics, "d", UNIT_BYTES);
    struct rng rng = rng_of(9);
    struct buckets buckets = {.last = -1};
    for (size_t i = 0; i < SAMPLES; i++) {
        metric_sample(metric, draw(&rng));
    }
    metric_sample(metric, INT64_MAX);
    metric_each_bucket(metric, check_bucket, &buckets);
    cr_assert_eq(buckets.count, SAMPLES + 1);
    cr_assert_eq(metric_max(metric), INT64_MAX);
    metrics_free(metrics);
}

Test(metrics, negative_samples_count_as_zero_and_sums_stop_at_the_end) {
    struct metrics *metrics = metrics_new();
    struct metric *metric = metrics_distribution(metrics, "d", UNIT_NS);
    metric_sample(metric, -5);
    cr_assert_eq(metric_max(metric), 0);
    cr_assert_eq(metric_min(metric), 0);
    metric_sample(metric, INT64_MAX);
    metric_sample(metric, INT64_MAX);
    cr_assert_eq(ask(metrics, "d.sum"), INT64_MAX);
    metrics_free(metrics);
}

Test(metrics, answers_what_an_expectation_may_ask) {
    struct metrics *metrics = metrics_new();
    struct metric *metric = metrics_distribution(metrics, "broadcast.latency", UNIT_NS);
    for (int64_t i = 1; i <= 100; i++) {
        metric_sample(metric, i);
    }
    cr_expect_eq(ask(metrics, "broadcast.latency.p50"), 50);
    cr_expect_eq(ask(metrics, "broadcast.latency.p90"), 90);
    cr_expect_eq(ask(metrics, "broadcast.latency.p99"), 99);
    cr_expect_eq(ask(metrics, "broadcast.latency.p999"), 100);
    cr_expect_eq(ask(metrics, "broadcast.latency.mean"), 50);
    cr_expect_eq(ask(metrics, "broadcast.latency.min"), 1);
    cr_expect_eq(ask(metrics, "broadcast.latency.max"), 100);
    cr_expect_eq(ask(metrics, "broadcast.latency.count"), 100);
    cr_expect_eq(ask(metrics, "broadcast.latency.sum"), 5050);
    cr_expect_not(is_known(metrics, "broadcast.latency"), "a distribution is not one number");
    cr_expect_not(is_known(metrics, "broadcast.latency.p98"));
    cr_expect_not(is_known(metrics, "broadcast.latency."));
    cr_expect_not(is_known(metrics, "broadcast"));
    cr_expect_not(is_known(metrics, ""));
    metrics_free(metrics);
}

Test(metrics, an_empty_distribution_says_nothing_but_that_it_is_empty) {
    struct metrics *metrics = metrics_new();
    (void)metrics_distribution(metrics, "d", UNIT_NS);
    cr_expect_not(is_known(metrics, "d.max"));
    cr_expect_not(is_known(metrics, "d.p99"));
    cr_expect_eq(ask(metrics, "d.count"), 0);
    cr_expect_eq(ask(metrics, "d.sum"), 0);
    metrics_free(metrics);
}

Test(metrics, a_counter_is_its_own_extreme_but_has_no_count) {
    struct metrics *metrics = metrics_new();
    metric_set(metrics_counter(metrics, "seed.bytes", UNIT_BYTES), 12);
    metric_add(metrics_counter(metrics, "seed.bytes", UNIT_BYTES), 3);
    cr_expect_eq(ask(metrics, "seed.bytes"), 15);
    cr_expect_eq(ask(metrics, "seed.bytes.max"), 15);
    cr_expect_eq(ask(metrics, "seed.bytes.p99"), 15);
    cr_expect_not(is_known(metrics, "seed.bytes.count"));
    metrics_free(metrics);
}

Test(metrics, the_unit_of_a_count_is_a_count) {
    struct metrics *metrics = metrics_new();
    int64_t value = 0;
    enum metric_unit unit = UNIT_COUNT;
    metric_sample(metrics_distribution(metrics, "d", UNIT_NS), 5);
    cr_assert(metrics_ask(metrics, "d.max", &value, &unit));
    cr_expect_eq(unit, UNIT_NS);
    cr_assert(metrics_ask(metrics, "d.count", &value, &unit));
    cr_expect_eq(unit, UNIT_COUNT);
    metrics_free(metrics);
}

static void expect_format(int64_t value, enum metric_unit unit, const char *wanted) {
    char text[32];
    metric_format(value, unit, text);
    cr_expect_str_eq(text, wanted);
}

Test(metrics, formats_for_people) {
    expect_format(0, UNIT_NS, "0 ns");
    expect_format(999, UNIT_NS, "999 ns");
    expect_format(12300000, UNIT_NS, "12.3 ms");
    expect_format(12000000, UNIT_NS, "12 ms");
    expect_format(1234000000, UNIT_NS, "1.23 s");
    expect_format(1500000000, UNIT_NS, "1.5 s");
    expect_format(INT64_C(3805) * 1000000, UNIT_NS, "3.81 s");
    expect_format(INT64_C(90) * 1000000000, UNIT_NS, "1.5 min");
    expect_format(INT64_C(7200) * 1000000000, UNIT_NS, "2 h");
    expect_format(4500, UNIT_BYTES, "4.5 KB");
    expect_format(20050000, UNIT_BYTES, "20.1 MB");
    expect_format(12, UNIT_BYTES, "12 B");
    expect_format(-4500, UNIT_BYTES, "-4.5 KB");
    expect_format(0, UNIT_PPM, "0");
    expect_format(103000, UNIT_PPM, "0.103");
    expect_format(999600, UNIT_PPM, "1.000");
    expect_format(1500000, UNIT_PPM, "1.500");
    expect_format(100, UNIT_PPM, "0.000100");
    expect_format(42, UNIT_COUNT, "42");
    expect_format(INT64_MIN, UNIT_COUNT, "-9223372036854775808");
    expect_format(INT64_MIN, UNIT_NS, "-2562048 h");
}
