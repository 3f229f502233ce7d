/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulator as a fuzzer: the bytes are a schedule of faults for a small mesh under load, and
 * the oracle is what sim/check.h says must hold, whatever goes wrong: no stream with a gap or a
 * repeat, no loop without end, all record sets equal once everything has healed.
 *
 * A schedule is written as a scenario and read as one, so that a finding is a file for weft-sim: it
 * is printed. Every byte counts: the first is the seed, the next the mesh, then each line of faults
 * takes seven.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "fuzz/fuzz.h"
#include "sim/run.h"

#define FAULTS_MAX 8
#define NODES 5

static const char head[] =
    "name: fuzz\n"
    "about: Found by a fuzzer.\n"
    "nodes: 5\n"
    "fade: 2min\n"
    "link: {delay: 1..20ms, jitter: 2ms}\n"
    "run: 10s\n"
    "rest: 60s\n"
    "load:\n"
    "  - broadcast: {from: 2, count: 0, every: 2s, bytes: 100..500}\n"
    "  - unicast: {from: 2, every: 1s, bytes: 100..500}\n"
    "  - services: {of: all, count: 1, every: 5s, before-form: true}\n"
    "  - streams: {from: 2, to: all, shape: echo, bytes: 1..8KiB, every: 1s}\n";

static const char *const topologies[] = {
    "{kind: ring}", "{kind: line}",
    "{kind: star}", "{kind: full}",
    "{kind: seed}", "{kind: random-regular, degree: 4}",
    "{kind: grid}", "{kind: tree, degree: 2}",
};

/* The list that the low bits of a byte name; never empty. */
static void print_nodes(FILE *out, uint8_t bits) {
    const char *comma = "";
    unsigned chosen = bits & ((1U << NODES) - 1);
    chosen = chosen != 0 ? chosen : 1;
    (void)fputc('[', out);
    for (unsigned node = 0; node < NODES; node++) {
        if ((chosen >> node & 1U) != 0) {
            (void)fprintf(out, "%s%u", comma, node);
            comma = ", ";
        }
    }
    (void)fputc(']', out);
}

static void print_with(FILE *out, uint8_t bits) {
    (void)fputs(", with: ", out);
    print_nodes(out, bits);
}

static void print_lies(FILE *out, uint8_t bits) {
    static const char *const lies[] = {"flip",  "forge", "replay", "reorder",
                                       "flood", "drop",  "garbage"};
    const char *comma = "";
    unsigned chosen = bits % 128 != 0 ? bits : 127;
    (void)fputs(", lies: [", out);
    for (unsigned i = 0; i < 7; i++) {
        if ((chosen >> i & 1U) != 0) {
            (void)fprintf(out, "%s%s", comma, lies[i]);
            comma = ", ";
        }
    }
    (void)fputc(']', out);
}

/* What a kind of fault takes besides when, whom and for how long. */
static void print_rest(FILE *out, enum fault_kind kind, uint8_t more, uint8_t flags) {
    switch (kind) {
    case FAULT_CRASH:
    case FAULT_POWER:
        (void)fprintf(out, ", wipe: %s", (flags & 1) != 0 ? "on" : "off");
        break;
    case FAULT_SLOW:
        (void)fprintf(out, ", factor: %u", 2U + more);
        break;
    case FAULT_CUT:
    case FAULT_SILENCE:
    case FAULT_ONE_WAY:
        print_with(out, more);
        break;
    case FAULT_PARTITION:
        (void)fprintf(out, ", seen: %s, one-way: %s", (flags & 1) != 0 ? "on" : "off",
                      (flags & 3) == 2 ? "on" : "off");
        break;
    case FAULT_FLAP:
        (void)fprintf(out, ", every: %ums", 50U + 20U * more);
        break;
    case FAULT_LOSS:
        (void)fprintf(out, ", share: %u%%, one-way: %s", 1U + more % 99,
                      (flags & 1) != 0 ? "on" : "off");
        break;
    case FAULT_DELAY:
        (void)fprintf(out, ", by: %ums", 1U + 8U * more);
        break;
    case FAULT_CLOCK:
        (void)fprintf(out, ", ahead: %us", 1U + 30U * more);
        break;
    case FAULT_MEMORY:
        (void)fprintf(out, ", share: %u%%", 1U + more % 20);
        break;
    case FAULT_LIAR:
        print_lies(out, more);
        break;
    case FAULT_LEAVE:
    case FAULT_PAUSE:
    case FAULT_DISK:
    case FAULT_HEAL:
    case FAULT_KIND_COUNT:
        break;
    }
}

static void print_fault(FILE *out, struct wire_reader *script) {
    enum fault_kind kind = (enum fault_kind)(wire_read_u8(script) % FAULT_HEAL);
    unsigned at_ms = wire_read_u8(script) * 39U;
    uint8_t who = wire_read_u8(script);
    unsigned span_ms = 1 + wire_read_u8(script) * 40U;
    uint8_t more = wire_read_u8(script);
    uint8_t flags = wire_read_u8(script);
    (void)wire_read_u8(script);
    (void)fprintf(out, "  - {at: %ums, %s: ", at_ms,
                  kind == FAULT_ONE_WAY ? "mute" : fault_kind_name(kind));
    print_nodes(out, who);
    if (kind != FAULT_CLOCK) {
        (void)fprintf(out, ", for: %ums", span_ms);
    }
    print_rest(out, kind, more, flags);
    (void)fputs("}\n", out);
}

/* The schedule as text, to be freed. */
static char *write_scenario(struct wire_reader *script, size_t *len) {
    char *text = NULL;
    FILE *out = open_memstream(&text, len);
    ASSERT(out != NULL);
    (void)fputs(head, out);
    (void)fprintf(out, "topology: %s\n", topologies[wire_read_u8(script) % 8]);
    (void)fprintf(out, "discovery: %s\n", wire_read_u8(script) % 2 == 0 ? "on" : "off");
    (void)fputs(wire_reader_more(script) ? "faults:\n" : "", out);
    for (unsigned i = 0; i < FAULTS_MAX && wire_reader_more(script); i++) {
        print_fault(out, script);
    }
    (void)fclose(out);
    return text;
}

static void expect_held(const struct run *run, const char *text, uint64_t seed) {
    struct run_failure failure;
    if (run_failure(run, &failure)) {
        (void)fprintf(stderr, "seed %u, %.3f s: %s: %s\n%s", (unsigned)seed,
                      (double)failure.at / 1e9, failure.what, failure.detail, text);
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct wire_reader script = wire_reader_of(span_of(data, size));
    struct scenario *scenario = NULL;
    struct scenario_error error;
    size_t len = 0;
    uint64_t seed = 1 + wire_read_u8(&script);
    char *text = write_scenario(&script, &len);
    enum weft_err err = scenario_parse(text, len, "fuzz.yaml", &scenario, &error);
    if (err != WEFT_OK) {
        (void)fprintf(stderr, "%s\n%s", error.text, text);
        abort();
    }
    const struct run_options options = {.scenario = scenario, .seed = seed};
    struct run *run = run_new(&options, &error);
    ASSERT(run != NULL);
    run_all(run);
    expect_held(run, text, seed);
    run_free(run);
    scenario_free(scenario);
    free(text);
    return 0;
}
