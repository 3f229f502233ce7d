/* SPDX-License-Identifier: Apache-2.0
 *
 * A run from beginning to end: that watching it changes nothing, that what fails is said, and what
 * the result and the summary promise.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "sim/must.h"
#include "sim/result.h"
#include "sim/series.h"
#include "sim/summary.h"

#define SMALL                                                                                      \
    "name: small\n"                                                                                \
    "about: A few nodes, one of which dies and returns.\n"                                         \
    "nodes: 6\n"                                                                                   \
    "topology: {kind: ring}\n"                                                                     \
    "discovery: false\n"                                                                           \
    "link: {delay: 2ms..9ms}\n"                                                                    \
    "load:\n"                                                                                      \
    "  - broadcast: {from: all, count: 3, every: 400ms}\n"                                         \
    "run: 4s\n"                                                                                    \
    "rest: 10s\n"
#define CRASH "faults:\n  - {at: 1s, crash: 1, for: 1s}\n"
#define EXPECT "expect:\n  - broadcast.sent >= 15\n  - broadcast.latency.p50 <= 1s\n"
#define MISSED "expect:\n  - broadcast.sent >= 15\n  - broadcast.sent <= 3\n"

static struct scenario *scenario_of(const char *text) {
    struct scenario *scenario = NULL;
    struct scenario_error error = {0};
    enum weft_err err = scenario_parse(text, strlen(text), "small.yaml", &scenario, &error);
    cr_assert_eq(err, WEFT_OK, "%s", error.text);
    return scenario;
}

static struct run *run_of(const struct run_options *options) {
    struct scenario_error error = {0};
    struct run *run = run_new(options, &error);
    cr_assert_not_null(run, "%s", error.text);
    run_all(run);
    return run;
}

static uint64_t hash_of(const struct run_options *options) {
    struct run *run = run_of(options);
    uint64_t hash = world_trace_hash(run_world(run));
    run_free(run);
    return hash;
}

Test(sim_run, same_seed_same_course_another_seed_another) {
    struct scenario *scenario = scenario_of(SMALL CRASH);
    struct run_options options = {.scenario = scenario, .seed = 3};
    uint64_t hash = hash_of(&options);
    cr_assert_eq(hash_of(&options), hash);
    options.seed = 4;
    cr_assert_neq(hash_of(&options), hash);
    scenario_free(scenario);
}

static void count_calls(void *ctx, const struct run *run) {
    (void)run;
    ++*(size_t *)ctx;
}

Test(sim_run, takes_the_same_course_whether_looked_at_or_not) {
    struct scenario *scenario = scenario_of(SMALL CRASH);
    size_t calls = 0;
    struct run_options options = {.scenario = scenario, .seed = 3};
    uint64_t hash = hash_of(&options);
    options.flags = RUN_SERIES;
    options.watch = count_calls;
    options.watch_ctx = &calls;
    options.trace = tmpfile();
    cr_assert_not_null(options.trace);
    cr_assert_eq(hash_of(&options), hash);
    cr_assert_gt(calls, 100);
    cr_assert_gt(ftell(options.trace), 1000);
    cr_assert_eq(fclose(options.trace), 0);
    scenario_free(scenario);
}

static void expect_that_sharing_changes_nothing(const char *text) {
    struct scenario *scenario = scenario_of(text);
    struct run_options options = {.scenario = scenario, .seed = 5};
    uint64_t hash = hash_of(&options);
    options.flags = RUN_NO_SHARING;
    cr_assert_eq(hash_of(&options), hash);
    scenario_free(scenario);
}

Test(sim_run, takes_the_same_course_whether_nodes_share_or_not) {
    expect_that_sharing_changes_nothing(SMALL CRASH);
}

#define WARM                                                                                       \
    "name: warm\n"                                                                                 \
    "nodes: 12\n"                                                                                  \
    "topology: {kind: ring}\n"                                                                     \
    "link: {delay: 2ms..9ms}\n"                                                                    \
    "form: {start-within: 4s, warm: on}\n"                                                         \
    "load:\n"                                                                                      \
    "  - services: {of: all, count: 2, before-form: true}\n"                                       \
    "run: 4s\n"

/* How many others a node reaches at most, and how many records it has at least. */
struct knowledge {
    size_t reached_max;
    size_t records_min;
};

static struct knowledge knowledge_of(const struct run *run) {
    struct world *world = run_world(run);
    struct knowledge knowledge = {.records_min = SIZE_MAX};
    for (uint32_t i = 0; i < world_node_count(world); i++) {
        const struct core *core = world_core(world, i);
        size_t reached = core != NULL ? core_reachable_count(core) : 0;
        size_t records = core != NULL ? recordset_count(core_records(core)) : 0;
        knowledge.reached_max = reached > knowledge.reached_max ? reached : knowledge.reached_max;
        knowledge.records_min = records < knowledge.records_min ? records : knowledge.records_min;
    }
    return knowledge;
}

/* While links are made: nobody knows more than it says itself. */
static void expect_ignorance(void *ctx, const struct run *run) {
    struct world *world = run_world(run);
    for (uint32_t i = 0; i < world_node_count(world) && world_now(world) < 5 * NS_PER_S; i++) {
        const struct core *core = world_core(world, i);
        cr_expect_leq(core != NULL ? recordset_count(core_records(core)) : 0, 3);
        ++*(size_t *)ctx;
    }
}

Test(sim_run, withholds_news_until_the_links_of_a_warm_start_are_made) {
    struct scenario *scenario = scenario_of(WARM);
    size_t looked = 0;
    struct run_options options = {
        .scenario = scenario, .seed = 2, .watch = expect_ignorance, .watch_ctx = &looked};
    struct scenario_error error = {0};
    struct run *run = run_new(&options, &error);
    cr_assert_not_null(run);
    cr_assert(run_form(run));
    cr_assert_gt(looked, 12);
    struct knowledge knowledge = knowledge_of(run);
    cr_expect_eq(knowledge.reached_max, 11);
    cr_expect_eq(knowledge.records_min, 12 * 3);
    run_advance(run, scenario->run_ns);
    run_finish(run);
    cr_expect(run_is_held(run));
    run_free(run);
    scenario_free(scenario);
}

Test(sim_run, takes_the_same_course_from_a_warm_start_whether_nodes_share_or_not) {
    expect_that_sharing_changes_nothing(WARM CRASH);
}

Test(sim_run, starts_warm_over_bytes_too) {
    struct scenario *scenario = scenario_of(WARM CRASH);
    struct run_options options = {.scenario = scenario, .seed = 3, .flags = RUN_BYTES};
    struct run *run = run_of(&options);
    struct run_failure failure;
    cr_assert_not(run_failure(run, &failure), "%s: %s", failure.what, failure.detail);
    run_free(run);
    scenario_free(scenario);
}

Test(sim_run, goes_through_its_phases_at_the_times_of_the_scenario) {
    struct scenario *scenario = scenario_of(SMALL);
    struct run_options options = {.scenario = scenario, .seed = 1};
    struct scenario_error error = {0};
    struct run *run = run_new(&options, &error);
    cr_assert_not_null(run);
    cr_assert_eq(run_now(run), 0);
    cr_assert_eq(run_formed(run), WEFT_NEVER);
    cr_assert_eq(run_end(run), WEFT_NEVER);
    cr_assert(run_form(run));
    cr_assert_eq(run_begun(run), run_formed(run) + scenario->quiet_ns);
    cr_assert_eq(run_end(run), run_begun(run) + 14 * NS_PER_S);
    cr_assert(run_advance(run, scenario->run_ns));
    cr_assert_eq(run_now(run), run_begun(run) + 4 * NS_PER_S);
    run_finish(run);
    cr_assert_eq(run_now(run), run_end(run));
    run_free(run);
    scenario_free(scenario);
}

Test(sim_run, holds_when_all_invariants_and_expectations_do) {
    struct scenario *scenario = scenario_of(SMALL CRASH EXPECT);
    struct run_options options = {.scenario = scenario, .seed = 1};
    struct run *run = run_of(&options);
    struct run_failure failure;
    const struct check_result *invariants = NULL;
    const struct run_expect *expects = NULL;
    cr_assert_not(run_failure(run, &failure), "%s: %s", failure.what, failure.detail);
    cr_assert(run_is_held(run));
    cr_assert_gt(run_invariants(run, &invariants), 5);
    cr_assert_str_eq(invariants[0].name, "the mesh forms in time");
    cr_assert_eq(invariants[0].checked, 1);
    cr_assert_eq(run_expects(run, &expects), 2);
    cr_assert(expects[0].is_held && expects[0].reached >= 15);
    run_free(run);
    scenario_free(scenario);
}

Test(sim_run, names_the_expectation_that_was_missed) {
    struct scenario *scenario = scenario_of(SMALL MISSED);
    struct run_options options = {.scenario = scenario, .seed = 9, .flags = RUN_BYTES};
    struct run *run = run_of(&options);
    struct run_failure failure;
    char command[128];
    cr_assert(run_failure(run, &failure));
    cr_assert_str_eq(failure.what, "broadcast.sent <= 3");
    cr_assert_str_eq(failure.detail, "18");
    cr_assert_not(run_is_held(run));
    run_replay_command(run, "small", command, sizeof(command));
    cr_assert_str_eq(command, "weft-sim run small --seed 9 --bytes");
    run_free(run);
    scenario_free(scenario);
}

Test(sim_run, a_mesh_that_does_not_form_in_time_fails_and_proves_nothing) {
    struct scenario *scenario = scenario_of(SMALL EXPECT "form: {within: 1ms}\n");
    struct run_options options = {.scenario = scenario, .seed = 1};
    struct run *run = run_of(&options);
    struct run_failure failure;
    const struct run_expect *expects = NULL;
    cr_assert(run_failure(run, &failure));
    cr_assert_str_eq(failure.what, "the mesh forms in time");
    cr_assert_eq(run_formed(run), WEFT_NEVER);
    cr_assert_eq(run_expects(run, &expects), 2);
    cr_assert_not(expects[0].is_held);
    cr_assert_str_eq(expects[0].text, "the run ended early");
    run_free(run);
    scenario_free(scenario);
}

static const json_t *field(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    cr_assert_not_null(value, "no %s", key);
    return value;
}

static double number(const json_t *object, const char *key) {
    const json_t *value = field(object, key);
    cr_assert(json_is_number(value), "%s is no number", key);
    return json_number_value(value);
}

static const char *string(const json_t *object, const char *key) {
    const json_t *value = field(object, key);
    cr_assert(json_is_string(value), "%s is no string", key);
    return json_string_value(value);
}

/* The result of the small scenario, sampled; the caller's to decref. */
static json_t *small_result(const char *text) {
    struct scenario *scenario = scenario_of(text);
    struct run_options options = {.scenario = scenario, .seed = 2, .flags = RUN_SERIES};
    struct run *run = run_of(&options);
    json_t *result = result_of(run, "small");
    run_free(run);
    scenario_free(scenario);
    return result;
}

Test(sim_result, says_what_was_run_and_how_it_went) {
    json_t *result = small_result(SMALL CRASH EXPECT);
    const json_t *scenario = field(result, "scenario");
    cr_assert_eq(number(result, "version"), 1);
    cr_assert_str_eq(string(scenario, "name"), "small");
    cr_assert_str_eq(string(scenario, "file"), "small.yaml");
    cr_assert_str_eq(string(scenario, "mode"), "none");
    cr_assert_eq(number(scenario, "nodes"), 6);
    cr_assert_str_eq(string(scenario, "targets"), "");
    cr_assert_eq(number(result, "seed"), 2);
    cr_assert_str_eq(string(result, "command"), "weft-sim run small --seed 2");
    cr_assert_str_eq(string(result, "verdict"), "held");
    cr_assert_eq(strlen(string(result, "trace_hash")), 16);
    cr_assert_gt(number(result, "virtual_s"), 14);
    cr_assert_gt(number(result, "formed_s"), 0);
    cr_assert_gt(number(result, "events"), 100);
    json_decref(result);
}

Test(sim_result, gives_each_invariant_and_expectation) {
    json_t *result = small_result(SMALL MISSED);
    const json_t *item = json_array_get(field(result, "invariants"), 0);
    cr_assert_str_eq(string(item, "name"), "the mesh forms in time");
    cr_assert(json_is_true(field(item, "held")));
    cr_assert(json_is_null(field(item, "at_s")));
    cr_assert_str_eq(string(item, "detail"), "");
    item = json_array_get(field(result, "expects"), 1);
    cr_assert_str_eq(string(item, "text"), "broadcast.sent <= 3");
    cr_assert(json_is_false(field(item, "held")));
    cr_assert_eq(number(item, "reached"), 18);
    cr_assert_str_eq(string(item, "reached_text"), "18");
    cr_assert_str_eq(string(result, "verdict"), "broken");
    json_decref(result);
}

Test(sim_result, gives_metrics_with_their_distributions) {
    json_t *result = small_result(SMALL);
    size_t index = 0;
    const json_t *metric = NULL;
    const json_t *latency = NULL;
    json_array_foreach(field(result, "metrics"), index, metric) {
        latency = strcmp(string(metric, "name"), "broadcast.latency") == 0 ? metric : latency;
    }
    cr_assert_not_null(latency);
    cr_assert_str_eq(string(latency, "kind"), "distribution");
    cr_assert_str_eq(string(latency, "unit"), "ns");
    cr_assert_leq(number(latency, "min"), number(latency, "p50"));
    cr_assert_leq(number(latency, "p50"), number(latency, "p90"));
    cr_assert_leq(number(latency, "p90"), number(latency, "p99"));
    cr_assert_leq(number(latency, "p99"), number(latency, "max"));
    double count = 0;
    const json_t *bucket = NULL;
    json_array_foreach(field(latency, "buckets"), index, bucket) {
        cr_assert_eq(json_array_size(bucket), 3);
        count += json_number_value(json_array_get(bucket, 2));
    }
    cr_assert_eq(count, number(latency, "count"));
    json_decref(result);
}

Test(sim_result, gives_rows_as_wide_as_its_columns) {
    json_t *result = small_result(SMALL);
    const json_t *series = field(result, "series");
    const json_t *columns = field(series, "columns");
    size_t index = 0;
    const json_t *row = NULL;
    cr_assert_str_eq(json_string_value(json_array_get(columns, 0)), "nodes.up");
    cr_assert_str_eq(json_string_value(json_array_get(columns, 3)), "traffic.heartbeat");
    cr_assert_eq(json_array_size(columns), 9);
    cr_assert_gt(json_array_size(field(series, "rows")), 100);
    json_array_foreach(field(series, "rows"), index, row) {
        cr_assert_eq(json_array_size(row), 10);
    }
    row = json_array_get(field(series, "rows"), json_array_size(field(series, "rows")) - 1);
    cr_assert_eq(json_number_value(json_array_get(row, 1)), 6);
    cr_assert_eq(json_number_value(json_array_get(row, 2)), 6, "a ring of six");
    cr_assert_eq(json_number_value(json_array_get(row, 3)), 1, "settled at the end");
    json_decref(result);
}

Test(sim_result, gives_faults_and_what_they_did_to_the_topology) {
    json_t *result = small_result(SMALL CRASH);
    const json_t *fault = json_array_get(field(result, "faults"), 0);
    const json_t *topology = field(result, "topology");
    size_t index = 0;
    size_t downs = 0;
    const json_t *event = NULL;
    cr_assert_str_eq(string(fault, "kind"), "crash");
    cr_assert_gt(number(fault, "at_s"), 1);
    cr_assert(json_is_null(field(topology, "sampled_of")));
    cr_assert_eq(json_array_size(field(topology, "nodes")), 6);
    cr_assert(json_is_null(field(json_array_get(field(topology, "nodes"), 0), "site")));
    json_array_foreach(field(topology, "events"), index, event) {
        const char *kind = json_string_value(json_array_get(event, 1));
        bool is_link = strncmp(kind, "link-", 5) == 0;
        cr_assert_eq(json_array_size(event), is_link ? 4 : 3);
        downs += strcmp(kind, "down") == 0 ? 1 : 0;
    }
    cr_assert_eq(downs, 1);
    json_decref(result);
}

Test(sim_result, names_sites_and_hubs) {
    json_t *result = small_result("name: sites\nnodes: 8\nrun: 1s\n"
                                  "topology: {kind: sites, hubs: 2, site-nodes: 2, uplinks: 2}\n");
    const json_t *nodes = field(field(result, "topology"), "nodes");
    cr_assert_eq(json_array_size(nodes), 8);
    cr_assert(json_is_true(field(json_array_get(nodes, 1), "is_hub")));
    cr_assert(json_is_null(field(json_array_get(nodes, 1), "site")));
    cr_assert(json_is_false(field(json_array_get(nodes, 2), "is_hub")));
    cr_assert_eq(number(json_array_get(nodes, 2), "site"), 0);
    cr_assert_eq(number(json_array_get(nodes, 3), "site"), 0);
    cr_assert_eq(number(json_array_get(nodes, 7), "site"), 2);
    json_decref(result);
}

/* What is printed about a run of `text`; the caller's to free. */
static char *summary_of(const char *text) {
    char *printed = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&printed, &size);
    cr_assert_not_null(out);
    struct scenario *scenario = scenario_of(text);
    struct run_options options = {.scenario = scenario, .seed = 2, .flags = RUN_SERIES};
    struct run *run = run_of(&options);
    summary_print(out, run);
    run_free(run);
    scenario_free(scenario);
    cr_assert_eq(fclose(out), 0);
    return printed;
}

Test(sim_summary, fits_a_terminal_however_much_is_expected) {
    char text[8192] = SMALL CRASH "expect:\n";
    for (int i = 0; i < 60; i++) {
        size_t len = strlen(text);
        (void)snprintf(text + len, sizeof(text) - len,
                       "  - a.metric.that.there.is.not.and.whose.name.is.long.%d <= %d\n", i, i);
    }
    char *printed = summary_of(text);
    size_t lines = 0;
    for (const char *line = printed; *line != '\0'; line += strcspn(line, "\n") + 1) {
        cr_assert_leq(strcspn(line, "\n"), SUMMARY_COLUMNS);
        lines++;
    }
    cr_assert_leq(lines, SUMMARY_LINES);
    cr_assert_not_null(strstr(printed, "Expected: 0 held, 60 missed"));
    cr_assert_not_null(strstr(printed, "... and 53 more"));
    free(printed);
}

Test(sim_summary, shows_what_was_missed_before_what_held) {
    char *printed = summary_of(SMALL MISSED);
    const char *missed = strstr(printed, "missed  broadcast.sent <= 3");
    const char *held = strstr(printed, "held    broadcast.sent >= 15");
    cr_assert_not_null(missed);
    cr_assert_not_null(held);
    cr_assert_lt(missed, held);
    cr_assert_not_null(strstr(printed, "small: 6 nodes, seed 2: BROKEN"));
    free(printed);
}
