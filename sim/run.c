/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/run.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/time.h"
#include "sim/expect.h"
#include "sim/must.h"
#include "sim/series.h"
#include "sim/trace.h"
#include "sim/warm.h"

/* How often it is asked whether the mesh is settled: what formed.time is known to. Fine enough for
 * goals of seconds, rare enough to cost nothing. */
#define FORM_STEP (50 * NS_PER_MS)
/* A warm start: how often it is asked whether all links were told. Costs a look at all of them. */
#define WARM_STEP (500 * NS_PER_MS)
/* How often it is asked whether an invariant broke, and somebody who waits is told. */
#define ADVANCE_STEP (100 * NS_PER_MS)
/* Whatever a mesh at rest tells has been heard everywhere by then. */
#define NEWS_WITHIN (2 * NS_PER_S)

struct run {
    struct run_options options;
    struct world *world;
    struct load *load;
    struct faults *faults;
    struct checks *checks;
    struct series *series;
    struct trace_file *trace;
    struct check_result forming; /* that it forms in time */
    weft_ns formed;              /* all three: since the world's start, or WEFT_NEVER */
    weft_ns begun;
    weft_ns broken;
    bool is_finished;
    struct check_result *invariants; /* all, after run_finish */
    size_t invariant_count;
    struct run_expect *expects;
};

weft_ns run_now(const struct run *run) {
    return world_now(run->world) - RUN_EPOCH;
}

struct run *run_new(const struct run_options *options, struct scenario_error *error) {
    ASSERT(options->scenario != NULL);
    struct world_options wanted = {.scenario = options->scenario,
                                   .seed = options->seed,
                                   .is_sharing = (options->flags & RUN_NO_SHARING) == 0,
                                   .is_byte_mode = (options->flags & RUN_BYTES) != 0};
    struct world *world = world_new(&wanted, error);
    if (world == NULL) {
        return NULL;
    }
    struct run *run = must(calloc(1, sizeof(*run)));
    run->options = *options;
    run->world = world;
    run->formed = WEFT_NEVER;
    run->begun = WEFT_NEVER;
    run->broken = WEFT_NEVER;
    run->forming.name = "the mesh forms in time";
    /* First, so that what breaks an invariant stands in the trace. */
    run->trace = options->trace != NULL ? trace_file_new(world, options->trace) : NULL;
    run->load = load_new(world);
    run->faults = faults_new(world);
    if (run->trace != NULL) {
        trace_file_watch(run->trace, run->faults);
    }
    run->checks = checks_new(world, run->load, run->faults);
    run->series = (options->flags & RUN_SERIES) != 0 ? series_new(world) : NULL;
    return run;
}

void run_free(struct run *run) {
    if (run == NULL) {
        return;
    }
    trace_file_free(run->trace);
    checks_free(run->checks);
    faults_free(run->faults);
    load_free(run->load);
    series_free(run->series);
    world_free(run->world);
    free(run->invariants);
    free(run->expects);
    free(run);
}

/* Runs to a time, with samples on the way. False when an invariant broke. */
static bool go(struct run *run, weft_ns until) {
    while (!checks_are_broken(run->checks) && world_now(run->world) < until) {
        weft_ns stop = run->series != NULL ? time_min(until, series_due(run->series)) : until;
        world_run(run->world, stop);
        if (run->series != NULL) {
            series_sample(run->series);
        }
    }
    if (run->options.watch != NULL) {
        run->options.watch(run->options.watch_ctx, run);
    }
    if (checks_are_broken(run->checks) && run->broken == WEFT_NEVER) {
        run->broken = run_now(run);
    }
    return run->broken == WEFT_NEVER;
}

/* The same for a span, asking often enough. */
static bool go_on(struct run *run, weft_ns span, weft_ns step) {
    weft_ns until = time_after(world_now(run->world), span);
    bool is_good = true;
    while (is_good && world_now(run->world) < until) {
        is_good = go(run, time_min(until, world_now(run->world) + step));
    }
    return is_good;
}

static void fail_forming(struct run *run) {
    char limit[32];
    metric_format((int64_t)run->options.scenario->form_within_ns, UNIT_NS, limit);
    run->forming.is_broken = true;
    run->forming.at = world_now(run->world);
    (void)snprintf(run->forming.detail, sizeof(run->forming.detail),
                   "not every node reaches every other after %s", limit);
}

/* Until the links of a warm start are made, or time is up. False when an invariant broke. */
static bool warm_up(struct run *run) {
    bool is_good = true;
    while (is_good && !warm_try(run->world) &&
           run_now(run) < run->options.scenario->form_within_ns) {
        is_good = go_on(run, WARM_STEP, WARM_STEP);
    }
    return is_good;
}

bool run_form(struct run *run) {
    const struct scenario *scenario = run->options.scenario;
    bool is_good = !scenario->is_warm || warm_up(run);
    bool is_settled = false;
    run->forming.checked = 1;
    while (is_good && !is_settled && run_now(run) < scenario->form_within_ns) {
        is_good = go(run, world_now(run->world) + FORM_STEP);
        is_settled = is_good && checks_is_settled(run->checks);
    }
    if (is_good && !is_settled) {
        fail_forming(run);
    }
    if (!is_settled) {
        return false;
    }
    run->formed = run_now(run);
    if (!go_on(run, scenario->quiet_ns, ADVANCE_STEP)) {
        return false;
    }
    run->begun = run_now(run);
    checks_begin(run->checks);
    load_begin(run->load);
    faults_begin(run->faults);
    return true;
}

bool run_advance(struct run *run, weft_ns span) {
    ASSERT(run->begun != WEFT_NEVER);
    return go_on(run, span, ADVANCE_STEP);
}

/* A mesh at rest still tells now and then what a link has come to cost, and in LIVENESS who is
 * broken may gain and lose links for ever. That a look falls between the telling and the hearing
 * proves nothing, so it waits until all agree; but not for long. */
static bool await_news(struct run *run) {
    weft_ns until = time_after(run_now(run), NEWS_WITHIN);
    bool is_good = true;
    while (is_good && run_now(run) < until && !checks_may_rest(run->checks)) {
        is_good = go_on(run, ADVANCE_STEP, ADVANCE_STEP);
    }
    return is_good;
}

static void rest(struct run *run) {
    const struct scenario *scenario = run->options.scenario;
    load_end(run->load);
    faults_heal(run->faults);
    if (scenario->rest_ns > 0 && go_on(run, scenario->rest_ns, ADVANCE_STEP) && await_news(run)) {
        checks_at_rest(run->checks);
    }
    if (checks_are_broken(run->checks) && run->broken == WEFT_NEVER) {
        run->broken = run_now(run);
    }
}

static void gather_invariants(struct run *run) {
    const struct check_result *results = NULL;
    size_t count = checks_results(run->checks, &results);
    run->invariants = must(calloc(count + 1, sizeof(run->invariants[0])));
    run->invariants[0] = run->forming;
    for (size_t i = 0; i < count; i++) {
        run->invariants[i + 1] = results[i];
    }
    run->invariant_count = count + 1;
}

static void evaluate(struct run *run, const struct scenario_expect *expect,
                     struct run_expect *out) {
    const struct metrics *metrics = world_metrics(run->world);
    bool is_known = false;
    char text[EXPECT_TEXT_MAX];
    out->expect = expect;
    out->is_held = expect_holds(expect, metrics, &out->reached, &is_known);
    expect_explain(expect, metrics, text);
    if (run->begun == WEFT_NEVER || run->broken != WEFT_NEVER) {
        out->is_held = false; /* what was reached half-way proves nothing */
        (void)snprintf(text, sizeof(text), "the run ended early");
    }
    (void)snprintf(out->text, sizeof(out->text), "%s", text);
}

void run_finish(struct run *run) {
    ASSERT(!run->is_finished);
    const struct scenario *scenario = run->options.scenario;
    if (run->begun != WEFT_NEVER && run->broken == WEFT_NEVER) {
        rest(run);
    }
    load_report(run->load);
    checks_report(run->checks);
    run->expects = must(calloc(scenario->expect_count + 1, sizeof(run->expects[0])));
    for (size_t i = 0; i < scenario->expect_count; i++) {
        evaluate(run, &scenario->expects[i], &run->expects[i]);
    }
    gather_invariants(run);
    run->is_finished = true;
}

void run_all(struct run *run) {
    if (run_form(run)) {
        (void)run_advance(run, run->options.scenario->run_ns);
    }
    run_finish(run);
}

size_t run_expects(const struct run *run, const struct run_expect **out) {
    ASSERT(run->is_finished);
    *out = run->expects;
    return run->options.scenario->expect_count;
}

size_t run_invariants(const struct run *run, const struct check_result **out) {
    ASSERT(run->is_finished);
    *out = run->invariants;
    return run->invariant_count;
}

/* The broken invariant that broke first. */
static const struct check_result *first_broken(const struct run *run) {
    const struct check_result *first = NULL;
    for (size_t i = 0; i < run->invariant_count; i++) {
        const struct check_result *result = &run->invariants[i];
        if (result->is_broken && (first == NULL || result->at < first->at)) {
            first = result;
        }
    }
    return first;
}

bool run_failure(const struct run *run, struct run_failure *out) {
    ASSERT(run->is_finished);
    const struct check_result *broken = first_broken(run);
    *out = (struct run_failure){.at = run_now(run)};
    if (broken != NULL) {
        out->at = broken->at - RUN_EPOCH;
        (void)snprintf(out->what, sizeof(out->what), "%s", broken->name);
        (void)snprintf(out->detail, sizeof(out->detail), "%s", broken->detail);
        return true;
    }
    for (size_t i = 0; i < run->options.scenario->expect_count; i++) {
        if (!run->expects[i].is_held) {
            (void)snprintf(out->what, sizeof(out->what), "%s", run->expects[i].expect->text);
            (void)snprintf(out->detail, sizeof(out->detail), "%s", run->expects[i].text);
            return true;
        }
    }
    return false;
}

bool run_is_held(const struct run *run) {
    struct run_failure failure;
    return !run_failure(run, &failure);
}

void run_replay_command(const struct run *run, const char *file, char *out, size_t size) {
    (void)snprintf(out, size, "weft-sim run %s --seed %llu%s%s", file,
                   (unsigned long long)run->options.seed,
                   (run->options.flags & RUN_BYTES) != 0 ? " --bytes" : "",
                   (run->options.flags & RUN_NO_SHARING) != 0 ? " --no-sharing" : "");
}

const struct run_options *run_options(const struct run *run) {
    return &run->options;
}

struct world *run_world(const struct run *run) {
    return run->world;
}

const struct faults *run_faults(const struct run *run) {
    return run->faults;
}

const struct series *run_series(const struct run *run) {
    return run->series;
}

weft_ns run_formed(const struct run *run) {
    return run->formed;
}

weft_ns run_begun(const struct run *run) {
    return run->begun;
}

weft_ns run_end(const struct run *run) {
    const struct scenario *scenario = run->options.scenario;
    return time_after(run->begun, scenario->run_ns + scenario->rest_ns);
}
