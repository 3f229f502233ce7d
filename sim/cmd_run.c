/* SPDX-License-Identifier: Apache-2.0
 *
 * weft-sim run: one scenario, one seed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/commands.h"
#include "sim/must.h"
#include "sim/progress.h"
#include "sim/report.h"
#include "sim/result.h"
#include "sim/summary.h"

static const struct flag run_flags[] = {
    {"--seed", "N", "the number that everything is drawn from (1)"},
    {"--json", "OUT", "write the result as JSON; \"-\": to standard output"},
    {"--report", "OUT.html", "write the report, one page with all it needs"},
    {"--trace", "OUT", "write what happened to whom, a line an event"},
    {"--bytes", NULL, "carry encrypted bytes over real links, not frames"},
    {"--no-sharing", NULL, "let each node keep records and graph of its own"},
    {"--hash", NULL, "print the trace hash and nothing else"},
    {"--quiet", NULL, "print nothing unless something failed"},
    SIM_DEFECT_FLAG{"--help", NULL, "print this"},
    {NULL, NULL, NULL},
};

/* What is asked for. */
struct wanted {
    const char *file;
    const char *json;
    const char *report;
    bool is_hash;
    bool is_quiet;
};

static int fail_write(const char *path) {
    return sim_fail(SIM_FILE, "%s: %s", path, strerror(errno));
}

static int write_json(const char *path, const char *text) {
    bool is_stdout = strcmp(path, "-") == 0;
    FILE *out = is_stdout ? stdout : fopen(path, "we");
    if (out == NULL) {
        return fail_write(path);
    }
    bool is_whole = fputs(text, out) >= 0 && fputc('\n', out) != EOF && fflush(out) == 0;
    if (!is_stdout && fclose(out) != 0) {
        is_whole = false;
    }
    return is_whole ? SIM_GOOD : fail_write(path);
}

/* Writes the files that were asked for. */
static int write_outputs(const struct run *run, const struct wanted *wanted) {
    int status = SIM_GOOD;
    if (wanted->json == NULL && wanted->report == NULL) {
        return SIM_GOOD;
    }
    json_t *result = result_of(run, wanted->file);
    char *text = must(json_dumps(result, JSON_COMPACT | JSON_REAL_PRECISION(12)));
    json_decref(result);
    if (wanted->json != NULL) {
        status = write_json(wanted->json, text);
    }
    if (wanted->report != NULL && report_write(wanted->report, span_of_text(text)) != WEFT_OK) {
        status = fail_write(wanted->report);
    }
    free(text);
    return status;
}

static int say(const struct run *run, const struct wanted *wanted) {
    bool is_held = run_is_held(run);
    if (wanted->is_hash) {
        (void)printf("%016" PRIx64 "\n", world_trace_hash(run_world(run)));
    } else if (!wanted->is_quiet) {
        /* JSON on standard output is for a program, which wants nothing else there. */
        bool is_json = wanted->json != NULL && strcmp(wanted->json, "-") == 0;
        summary_print(is_json ? stderr : stdout, run);
        (void)fflush(stdout);
    }
    if (!is_held) {
        summary_print_failure(stderr, run, wanted->file);
    }
    return is_held ? SIM_GOOD : SIM_BROKEN;
}

static int run_scenario(const struct run_options *options, const struct wanted *wanted) {
    struct scenario_error error = {0};
    struct progress progress;
    struct run_options watched = *options;
    progress_init(&progress, stderr);
    watched.watch = wanted->is_quiet || wanted->is_hash ? NULL : progress_run;
    watched.watch_ctx = &progress;
    struct run *run = run_new(&watched, &error);
    if (run == NULL) {
        return sim_fail(SIM_CONFIG, "%s", error.text);
    }
    run_all(run);
    if (watched.watch != NULL) {
        progress_fini(&progress);
    }
    int written = write_outputs(run, wanted);
    int status = say(run, wanted);
    run_free(run);
    return status != SIM_GOOD ? status : written;
}

static int run_traced(struct run_options *options, const struct wanted *wanted, const char *trace) {
    if (trace == NULL) {
        return run_scenario(options, wanted);
    }
    options->trace = fopen(trace, "we");
    if (options->trace == NULL) {
        return fail_write(trace);
    }
    int status = run_scenario(options, wanted);
    bool is_whole = ferror(options->trace) == 0;
    if (fclose(options->trace) != 0 || !is_whole) {
        return fail_write(trace);
    }
    return status;
}

static int command_run(const struct flags *flags) {
    struct scenario *scenario = NULL;
    struct run_options options = {0};
    struct wanted wanted = {.file = flags->words[0],
                            .json = flags_value(flags, "--json"),
                            .report = flags_value(flags, "--report"),
                            .is_hash = flags_have(flags, "--hash"),
                            .is_quiet = flags_have(flags, "--quiet")};
    if (!sim_number(flags, "--seed", 0, 1, &options.seed)) {
        return SIM_USAGE;
    }
    int status = sim_choose_defect(flags);
    if (status == SIM_GOOD) {
        status = sim_read_scenario(wanted.file, &scenario);
    }
    if (status != SIM_GOOD) {
        return status;
    }
    options.scenario = scenario;
    options.flags = wanted.is_hash ? 0U : RUN_SERIES;
    options.flags |= flags_have(flags, "--bytes") ? RUN_BYTES : 0U;
    options.flags |= flags_have(flags, "--no-sharing") ? RUN_NO_SHARING : 0U;
    status = run_traced(&options, &wanted, flags_value(flags, "--trace"));
    scenario_free(scenario);
    return status;
}

const struct command cmd_run = {
    .name = "run",
    .usage = "run FILE [--seed N] [--json OUT] [--report OUT.html] [--trace OUT] [--bytes]\n"
             "                    [--no-sharing] [--hash] [--quiet]",
    .summary = "run one scenario with one seed",
    .help =
        "FILE is a scenario, or the name of a known one (\"weft-sim list\"). The same seed does\n"
        "the same thing every time. Exit status 0 only when every invariant and every expect\n"
        "line held, 1 otherwise.",
    .flags = run_flags,
    .words_min = 1,
    .words_max = 1,
    .run = command_run,
};
