/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/summary.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/check.h"
#include "base/time.h"
#include "sim/series.h"

/* What does not fit is counted: the first lines are those that need somebody. */
#define BROKEN_MAX 3
#define EXPECTS_MAX 7

__attribute__((format(printf, 2, 3))) static void put(FILE *out, const char *format, ...) {
    char line[SUMMARY_COLUMNS + 1];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    (void)fprintf(out, "%s\n", line);
}

static void format_span(weft_ns span, char out[32]) {
    if (span == WEFT_NEVER) {
        (void)snprintf(out, 32, "never");
    } else {
        metric_format((int64_t)span, UNIT_NS, out);
    }
}

static void print_head(FILE *out, const struct run *run) {
    const struct scenario *scenario = run_options(run)->scenario;
    const struct world *world = run_world(run);
    char formed[32];
    char lasted[32];
    format_span(run_formed(run), formed);
    format_span(run_now(run), lasted);
    put(out, "%s: %u nodes, seed %" PRIu64 ": %s", scenario->name, (unsigned)scenario->nodes,
        run_options(run)->seed, run_is_held(run) ? "HELD" : "BROKEN");
    put(out, "formed: %s; virtual time: %s; events: %" PRIu64 "; trace: %016" PRIx64, formed,
        lasted, world_step_count(world), world_trace_hash(world));
}

static void print_broken(FILE *out, const struct check_result *result) {
    char at[32];
    format_span(time_since(RUN_EPOCH, result->at), at);
    put(out, "  broken at %s: %s", at, result->name);
    put(out, "    %s", result->detail);
}

static void print_invariants(FILE *out, const struct run *run) {
    const struct check_result *results = NULL;
    size_t count = run_invariants(run, &results);
    size_t broken = 0;
    for (size_t i = 0; i < count; i++) {
        broken += results[i].is_broken ? 1 : 0;
    }
    put(out, "Invariants: %zu held, %zu broken", count - broken, broken);
    size_t printed = 0;
    for (size_t i = 0; i < count && printed < BROKEN_MAX; i++) {
        if (results[i].is_broken) {
            print_broken(out, &results[i]);
            printed++;
        }
    }
}

static size_t print_expects_that(FILE *out, const struct run *run, bool is_held, size_t max) {
    const struct run_expect *expects = NULL;
    size_t count = run_expects(run, &expects);
    size_t printed = 0;
    for (size_t i = 0; i < count && printed < max; i++) {
        if (expects[i].is_held == is_held) {
            put(out, "  %-6s  %-44s  %s", is_held ? "held" : "missed", expects[i].expect->text,
                expects[i].text);
            printed++;
        }
    }
    return printed;
}

static void print_expects(FILE *out, const struct run *run) {
    const struct run_expect *expects = NULL;
    size_t count = run_expects(run, &expects);
    size_t held = 0;
    for (size_t i = 0; i < count; i++) {
        held += expects[i].is_held ? 1 : 0;
    }
    if (count == 0) {
        return;
    }
    put(out, "Expected: %zu held, %zu missed", held, count - held);
    size_t printed = print_expects_that(out, run, false, EXPECTS_MAX);
    printed += print_expects_that(out, run, true, EXPECTS_MAX - printed);
    if (printed < count) {
        put(out, "  ... and %zu more", count - printed);
    }
}

static void print_faults(FILE *out, const struct run *run) {
    char line[SUMMARY_COLUMNS + 1] = "Faults:";
    size_t len = strlen(line);
    for (int kind = 0; kind < FAULT_KIND_COUNT && len < SUMMARY_COLUMNS; kind++) {
        uint64_t count = faults_count(run_faults(run), (enum fault_kind)kind);
        if (count > 0) {
            (void)snprintf(line + len, sizeof(line) - len, " %s %" PRIu64,
                           fault_kind_name((enum fault_kind)kind), count);
            len = strlen(line);
        }
    }
    if (len > strlen("Faults:")) {
        put(out, "%s", line);
    }
}

/* What all nodes sent over the whole run, and what for. */
static void print_traffic(FILE *out, const struct run *run) {
    const struct series_row *rows = NULL;
    uint64_t bytes[TRAFFIC_COUNT] = {0};
    uint64_t total = 0;
    size_t count = run_series(run) != NULL ? series_rows(run_series(run), &rows) : 0;
    char line[SUMMARY_COLUMNS + 1];
    char amount[32];
    for (size_t i = 0; i < count; i++) {
        for (int kind = 0; kind < TRAFFIC_COUNT; kind++) {
            bytes[kind] += rows[i].bytes[kind];
            total += rows[i].bytes[kind];
        }
    }
    if (total == 0) {
        return;
    }
    metric_format((int64_t)total, UNIT_BYTES, amount);
    (void)snprintf(line, sizeof(line), "Sent: %s:", amount);
    for (int kind = 0; kind < TRAFFIC_COUNT; kind++) {
        uint64_t percent = (bytes[kind] * 100 + total / 2) / total;
        size_t len = strlen(line);
        if (percent > 0) {
            (void)snprintf(line + len, sizeof(line) - len, " %s %" PRIu64 " %%",
                           series_traffic_name((enum series_traffic)kind), percent);
        }
    }
    put(out, "%s", line);
}

void summary_print(FILE *out, const struct run *run) {
    ASSERT(out != NULL && run != NULL);
    print_head(out, run);
    print_invariants(out, run);
    print_expects(out, run);
    print_faults(out, run);
    print_traffic(out, run);
}

void summary_print_failure(FILE *out, const struct run *run, const char *file) {
    struct run_failure failure;
    if (!run_failure(run, &failure)) {
        return;
    }
    char command[512];
    char at[32];
    format_span(failure.at, at);
    run_replay_command(run, file, command, sizeof(command));
    (void)fprintf(out, "weft-sim: seed %" PRIu64 ", at %s: %s: %s\n", run_options(run)->seed, at,
                  failure.what, failure.detail);
    (void)fprintf(out, "replay: %s\n", command);
}
