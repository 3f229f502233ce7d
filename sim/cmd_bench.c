/* SPDX-License-Identifier: Apache-2.0
 *
 * weft-sim bench: how fast the simulator is and what memory it takes (target E2). Processor time is
 * measured, not the clock on the wall: the simulator has one thread, so that is what an idle
 * machine's wall would show, and it is the same on a busy one.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/check.h"
#include "base/time.h"
#include "sim/commands.h"
#include "sim/jobs.h"
#include "sim/must.h"
#include "sim/progress.h"

/* Steady state is measured over this many nodes times seconds: half a minute of 1,000. */
#define STEADY_NODE_SECONDS ((uint64_t)100000)
#define STEADY_MAX (30 * NS_PER_S)
#define STEADY_MIN (10 * NS_PER_S)
#define CPU_SECONDS 7200
#define BUFFER_BYTES ((uint64_t)256 << 10)

static const struct flag bench_flags[] = {
    {"--nodes", "N", "so many nodes (1000 and 10000)"},
    {"--seed", "N", "the number that everything is drawn from (1)"},
    {"--warm", NULL, "do not form from cold: give all nodes all records (docs/simulation.md)"},
    {"--no-sharing", NULL, "let each node keep records and graph of its own"},
    {"--bytes", NULL, "carry encrypted bytes over real links, not frames"},
    {"--help", NULL, "print this"},
    {NULL, NULL, NULL},
};

struct bench {
    uint32_t nodes;
    uint64_t seed;
    unsigned run_flags;
    bool is_warm;
};

struct measured {
    bool has_formed;
    weft_ns formed;    /* virtual, until settled */
    weft_ns form_span; /* virtual, until t=0 */
    uint64_t form_cpu; /* ns, until t=0 */
    weft_ns steady;    /* virtual */
    uint64_t steady_cpu;
    uint64_t steps;     /* in the steady state */
    uint64_t bytes_max; /* resident */
};

/* What E2 asks for at a size; 0: nothing. */
struct goal {
    uint32_t nodes;
    uint64_t speed_milli; /* virtual seconds in a thousand seconds of processor time */
    uint64_t bytes_max;
};
static const struct goal goals[] = {
    {1000, 20000, 0},
    {10000, 1000, (uint64_t)8 << 30},
};

/* A mesh as targets.md has it: degree 8, links of 10 to 50 ms, nothing but the protocol's own. */
static struct scenario bench_scenario(uint32_t nodes) {
    struct scenario scenario = {
        .name = "bench",
        .nodes = nodes,
        .topology = {.kind = TOPOLOGY_RANDOM_REGULAR, .degree = 8},
        .degree = 8,
        .heartbeat_ns = NS_PER_S,
        .hold_ns = 60 * NS_PER_S,
        .fade_ns = 600 * NS_PER_S,
        .link = {.delay_ns = {10 * NS_PER_MS, 50 * NS_PER_MS}, .buffer = BUFFER_BYTES},
        .start_within_ns = 10 * NS_PER_S,
        .form_within_ns = 600 * NS_PER_S,
        .quiet_ns = 20 * NS_PER_S,
        .run_ns = STEADY_MAX,
    };
    scenario.uplink = scenario.link;
    return scenario;
}

static weft_ns steady_span(uint32_t nodes) {
    weft_ns span = STEADY_NODE_SECONDS * NS_PER_S / nodes;
    span = span < STEADY_MIN ? STEADY_MIN : span;
    return time_min(span, STEADY_MAX);
}

static void measure(struct run *run, uint32_t nodes, struct measured *out) {
    struct rusage usage;
    uint64_t begun = progress_cpu_ns();
    out->has_formed = run_form(run);
    out->form_cpu = progress_cpu_ns() - begun;
    if (out->has_formed) {
        uint64_t steps = world_step_count(run_world(run));
        out->formed = run_formed(run);
        out->form_span = run_begun(run);
        out->steady = steady_span(nodes);
        begun = progress_cpu_ns();
        out->has_formed = run_advance(run, out->steady);
        out->steady_cpu = progress_cpu_ns() - begun;
        out->steps = world_step_count(run_world(run)) - steps;
    }
    (void)getrusage(RUSAGE_SELF, &usage);
    out->bytes_max = (uint64_t)usage.ru_maxrss * 1024;
}

/* In a process of its own: peak memory is the process's. */
static size_t bench_task(void *ctx, uint8_t answer[JOBS_ANSWER_BYTES]) {
    const struct bench *bench = ctx;
    struct scenario scenario = bench_scenario(bench->nodes);
    scenario.is_warm = bench->is_warm;
    struct run_options options = {
        .scenario = &scenario, .seed = bench->seed, .flags = bench->run_flags};
    struct scenario_error error = {0};
    struct measured measured = {0};
    struct run *run = run_new(&options, &error);
    if (run != NULL) {
        measure(run, bench->nodes, &measured);
        run_free(run);
    } else {
        (void)sim_fail(SIM_CONFIG, "%s", error.text);
    }
    memcpy(answer, &measured, sizeof(measured));
    return sizeof(measured);
}

/* Virtual seconds in a thousand seconds of processor time. */
static uint64_t speed_milli(weft_ns span, uint64_t cpu_ns) {
    return span / NS_PER_US * 1000 / (cpu_ns / NS_PER_US + 1);
}

static void print_speed(const char *what, weft_ns span, uint64_t cpu_ns) {
    uint64_t speed = speed_milli(span, cpu_ns);
    (void)printf("  %-8s %6" PRIu64 ".%" PRIu64 " virtual s in %" PRIu64 ".%" PRIu64
                 " s of processor time: %" PRIu64 ".%02" PRIu64 " x real time\n",
                 what, span / NS_PER_S, span % NS_PER_S / (100 * NS_PER_MS), cpu_ns / NS_PER_S,
                 cpu_ns % NS_PER_S / (100 * NS_PER_MS), speed / 1000, speed % 1000 / 10);
}

/* Prints goal and reached; whether the goal was. */
static bool judge(uint32_t nodes, const struct measured *measured) {
    bool is_reached = true;
    for (size_t i = 0; i < sizeof(goals) / sizeof(goals[0]); i++) {
        if (goals[i].nodes == nodes) {
            uint64_t speed = speed_milli(measured->steady, measured->steady_cpu);
            bool is_fast = speed >= goals[i].speed_milli;
            bool is_small = goals[i].bytes_max == 0 || measured->bytes_max <= goals[i].bytes_max;
            (void)printf("  goal     %" PRIu64 " x real time%s: %s\n", goals[i].speed_milli / 1000,
                         goals[i].bytes_max > 0 ? " in 8 GiB" : "",
                         is_fast && is_small ? "reached" : "missed");
            is_reached = is_fast && is_small;
        }
    }
    return is_reached;
}

static bool print_measured(uint32_t nodes, const struct measured *measured) {
    char formed[32];
    metric_format((int64_t)measured->formed, UNIT_NS, formed);
    (void)printf("%u nodes, degree 8: settled after %s (of virtual time)\n", (unsigned)nodes,
                 formed);
    print_speed("forming", measured->form_span, measured->form_cpu);
    print_speed("steady", measured->steady, measured->steady_cpu);
    (void)printf("  events   %" PRIu64 " a second of processor time, steady\n",
                 measured->steps * 1000 / (measured->steady_cpu / NS_PER_MS + 1));
    (void)printf("  memory   %" PRIu64 " MiB at most, %" PRIu64 " KiB a node\n",
                 measured->bytes_max >> 20, (measured->bytes_max >> 10) / nodes);
    return judge(nodes, measured);
}

static int bench_size(uint32_t nodes, const struct bench *wanted) {
    struct bench bench = *wanted;
    struct measured measured = {0};
    struct jobs *jobs = jobs_new(1, CPU_SECONDS);
    struct job_end *end = must(malloc(sizeof(*end)));
    bench.nodes = nodes;
    jobs_start(jobs, 0, bench_task, &bench);
    bool is_good = jobs_wait(jobs, end) && end->is_good;
    if (is_good) {
        ASSERT(end->answer_bytes == sizeof(measured));
        memcpy(&measured, end->answer, sizeof(measured));
    }
    if (!is_good || !measured.has_formed) {
        (void)printf("%u nodes: %s\n%s\n", (unsigned)nodes,
                     is_good ? "did not settle, or an invariant broke" : end->how, end->said);
        is_good = false;
    }
    is_good = is_good && print_measured(nodes, &measured);
    (void)fflush(stdout);
    free(end);
    jobs_free(jobs);
    return is_good ? SIM_GOOD : SIM_BROKEN;
}

static int command_bench(const struct flags *flags) {
    static const char nodes_flag[] = "--nodes";
    struct bench bench = {0};
    int status = SIM_GOOD;
    bench.run_flags = flags_have(flags, "--bytes") ? RUN_BYTES : 0U;
    bench.run_flags |= flags_have(flags, "--no-sharing") ? RUN_NO_SHARING : 0U;
    bench.is_warm = flags_have(flags, "--warm");
    if (!sim_number(flags, "--seed", 0, 1, &bench.seed)) {
        return SIM_USAGE;
    }
    if (!flags_have(flags, nodes_flag)) {
        status = bench_size(1000, &bench);
        int large = bench_size(10000, &bench);
        return status != SIM_GOOD ? status : large;
    }
    for (size_t i = 0; i < flags->given_count; i++) {
        const struct given_flag *given = &flags->given[i];
        uint64_t nodes = 0;
        if (strcmp(given->flag->name, nodes_flag) != 0) {
            continue;
        }
        if (!flags_number(given->value, &nodes) || nodes < 10 || nodes > SCENARIO_NODES_MAX) {
            return sim_fail(SIM_USAGE, "--nodes: from 10 to %d", SCENARIO_NODES_MAX);
        }
        int one = bench_size((uint32_t)nodes, &bench);
        status = status != SIM_GOOD ? status : one;
    }
    return status;
}

const struct command cmd_bench = {
    .name = "bench",
    .usage = "bench [--nodes N]... [--seed N] [--warm] [--no-sharing] [--bytes]",
    .summary = "measure the simulator's own speed and memory",
    .help = "A mesh of degree 8 with links of 10 to 50 ms is formed from cold and then kept, with\n"
            "nothing to do but its own upkeep. Speed is virtual time over processor time. Exit\n"
            "status 0 only when each size with a goal reached it.",
    .flags = bench_flags,
    .words_min = 0,
    .words_max = 0,
    .run = command_bench,
};
