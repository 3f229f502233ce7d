/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "sim/expect.h"
#include "sim/scenario.h"

#define MESH "name: x\nnodes: 3\ntopology: {kind: line}\nexpect:\n  - "

/* Parses one expect line as a file would hold it. */
static struct scenario_expect expect_of(const char *line) {
    char text[300];
    struct scenario *scenario = NULL;
    struct scenario_error error;
    (void)snprintf(text, sizeof text, MESH "%s\n", line);
    cr_assert_eq(scenario_parse(text, strlen(text), "x", &scenario, &error), WEFT_OK, "%s",
                 error.text);
    struct scenario_expect expect = scenario->expects[0];
    scenario_free(scenario);
    return expect;
}

static struct metrics *some_metrics(void) {
    struct metrics *metrics = metrics_new();
    metric_set(metrics_counter(metrics, "broadcast.missed", UNIT_COUNT), 3);
    metric_set(metrics_counter(metrics, "broadcast.redundancy", UNIT_PPM), 100000);
    metric_set(metrics_counter(metrics, "traffic.seed_bytes", UNIT_BYTES), 20000000);
    metric_sample(metrics_distribution(metrics, "broadcast.latency", UNIT_NS), 300000000);
    (void)metrics_distribution(metrics, "reroute.time", UNIT_NS);
    return metrics;
}

static bool holds(const char *line) {
    struct metrics *metrics = some_metrics();
    struct scenario_expect expect = expect_of(line);
    int64_t reached = 0;
    bool is_known = false;
    bool is_held = expect_holds(&expect, metrics, &reached, &is_known);
    cr_assert(is_known, "%s", line);
    metrics_free(metrics);
    return is_held;
}

Test(expect, compares_as_it_is_written) {
    cr_expect(holds("broadcast.missed == 3"));
    cr_expect_not(holds("broadcast.missed == 2"));
    cr_expect(holds("broadcast.missed <= 3"));
    cr_expect_not(holds("broadcast.missed <= 2"));
    cr_expect(holds("broadcast.missed >= 3"));
    cr_expect_not(holds("broadcast.missed >= 4"));
    cr_expect(holds("broadcast.missed < 4"));
    cr_expect_not(holds("broadcast.missed < 3"));
    cr_expect(holds("broadcast.missed > 2"));
    cr_expect_not(holds("broadcast.missed > 3"));
}

Test(expect, takes_each_limit_in_the_unit_of_its_metric) {
    cr_expect(holds("broadcast.missed < 3.5"));
    cr_expect(holds("broadcast.redundancy <= 0.10"));
    cr_expect_not(holds("broadcast.redundancy <= 0.099999"));
    cr_expect(holds("broadcast.redundancy <= 10%"));
    cr_expect(holds("broadcast.redundancy < 1"));
    cr_expect(holds("broadcast.latency.p99 <= 300ms"));
    cr_expect_not(holds("broadcast.latency.p99 < 0.3s"));
    cr_expect(holds("broadcast.latency.p99 > 0"));
    cr_expect(holds("traffic.seed_bytes == 20MB"));
    cr_expect(holds("traffic.seed_bytes >= 160Mbit"));
    cr_expect(holds("reroute.time.count == 0"));
}

static void explains(const char *line, const char *wanted) {
    struct metrics *metrics = some_metrics();
    struct scenario_expect expect = expect_of(line);
    char text[EXPECT_TEXT_MAX];
    expect_explain(&expect, metrics, text);
    cr_expect(strstr(text, wanted) != NULL, "%s: '%s' lacks '%s'", line, text, wanted);
    metrics_free(metrics);
}

/* Fails, says that it is not known, and why. */
static void refuses(const char *line, const char *why) {
    struct metrics *metrics = some_metrics();
    struct scenario_expect expect = expect_of(line);
    int64_t reached = 77;
    bool is_known = true;
    cr_expect_not(expect_holds(&expect, metrics, &reached, &is_known), "%s", line);
    cr_expect_not(is_known, "%s", line);
    cr_expect_eq(reached, 0);
    metrics_free(metrics);
    explains(line, why);
}

Test(expect, what_was_never_measured_does_not_hold) {
    refuses("zebra.stripes >= 0", "no metric of that name");
    refuses("broadcast.mised == 0", "did you mean broadcast.missed?");
    refuses("brodcast.latency.p99 < 1h", "did you mean broadcast.latency?");
    refuses("reroute.time.p99 <= 150ms", "has no sample");
    refuses("broadcast.latency < 1h", "ask for broadcast.latency.p99");
    refuses("broadcast.latency.p98 < 1h", "has no .p98");
    refuses("broadcast.missed.count == 0", "has no .count");
}

Test(expect, a_limit_of_another_kind_does_not_hold) {
    refuses("broadcast.latency.p99 <= 300", "the limit must be a time");
    refuses("broadcast.latency.p99 <= 5KB", "the limit must be a time");
    refuses("broadcast.missed <= 3s", "the limit must be a number");
    refuses("broadcast.missed <= 50%", "the limit must be a number");
    refuses("traffic.seed_bytes <= 99999999", "the limit must be a size");
    refuses("broadcast.redundancy <= 5s", "the limit must be a ratio");
}

Test(expect, tells_what_was_reached) {
    explains("broadcast.latency.p99 <= 300ms", "300 ms");
    explains("broadcast.redundancy <= 0.10", "0.100");
    explains("traffic.seed_bytes <= 1MB", "20 MB");
}

Test(expect, huge_counts_do_not_wrap) {
    struct metrics *metrics = metrics_new();
    struct scenario_expect expect = expect_of("n <= 5");
    int64_t reached = 0;
    bool is_known = false;
    metric_set(metrics_counter(metrics, "n", UNIT_COUNT), INT64_MAX - 1);
    cr_expect_not(expect_holds(&expect, metrics, &reached, &is_known));
    cr_expect(is_known);
    cr_expect_eq(reached, INT64_MAX - 1);
    metrics_free(metrics);
}
