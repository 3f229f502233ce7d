/* SPDX-License-Identifier: Apache-2.0
 *
 * weft-sim sweep: many seeds, each in a process of its own.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/commands.h"
#include "sim/jobs.h"
#include "sim/must.h"
#include "sim/progress.h"

/* Of one seed, when nothing else is said. The largest scenario takes less. */
#define CPU_SECONDS 3600
#define JOBS_MAX 1024

static const struct flag sweep_flags[] = {
    {"--seeds", "A..B", "the seeds, both ends included (1..100)"},
    {"--jobs", "N", "so many at a time (one a processor)"},
    {"--bytes", NULL, "carry encrypted bytes over real links, not frames"},
    {"--no-sharing", NULL, "let each node keep records and graph of its own"},
    {"--keep-going", NULL, "do not stop at the first failure"},
    {"--require-all-faults", NULL, "fail unless every kind of fault was drawn"},
    {"--cpu", "SECONDS", "of processor time for each seed (3600)"},
    {"--quiet", NULL, "no progress"},
    SIM_DEFECT_FLAG{"--help", NULL, "print this"},
    {NULL, NULL, NULL},
};

/* What a child answers. Both ends are the same program, so the struct itself is sent. */
struct answer {
    bool is_held;
    uint64_t faults[FAULT_KIND_COUNT];
    weft_ns at;
    char what[400];
    char detail[240];
};
_Static_assert(sizeof(struct answer) <= JOBS_ANSWER_BYTES, "an answer fits the pipe");

struct sweep {
    const char *const *files;
    struct scenario **scenarios; /* by file */
    size_t file_count;
    uint64_t low; /* the seeds */
    uint64_t high;
    unsigned run_flags;
    bool keeps_going;
    uint64_t passed;
    uint64_t failed;
    uint64_t faults[FAULT_KIND_COUNT];
    struct progress progress;
};

/* One seed of one file. */
struct task {
    const struct sweep *sweep;
    size_t file;
    uint64_t seed;
};

/* Tasks are numbered: all files with the first seed, then with the next. */
static struct task task_at(const struct sweep *sweep, uint64_t number) {
    return (struct task){sweep, (size_t)(number % sweep->file_count),
                         sweep->low + number / sweep->file_count};
}

static size_t answer_with(const struct answer *answer, uint8_t out[JOBS_ANSWER_BYTES]) {
    memcpy(out, answer, sizeof(*answer));
    return sizeof(*answer);
}

static size_t run_task(void *ctx, uint8_t out[JOBS_ANSWER_BYTES]) {
    const struct task *task = ctx;
    struct run_options options = {.scenario = task->sweep->scenarios[task->file],
                                  .seed = task->seed,
                                  .flags = task->sweep->run_flags};
    struct scenario_error error = {0};
    struct answer answer = {0};
    struct run_failure failure;
    struct run *run = run_new(&options, &error);
    if (run == NULL) {
        (void)snprintf(answer.what, sizeof(answer.what), "the topology can be made");
        (void)snprintf(answer.detail, sizeof(answer.detail), "%s", error.text);
        return answer_with(&answer, out);
    }
    run_all(run);
    answer.is_held = !run_failure(run, &failure);
    if (!answer.is_held) {
        answer.at = failure.at;
        memcpy(answer.what, failure.what, sizeof(answer.what));
        memcpy(answer.detail, failure.detail, sizeof(answer.detail));
    }
    for (int kind = 0; kind < FAULT_KIND_COUNT; kind++) {
        answer.faults[kind] = faults_count(run_faults(run), (enum fault_kind)kind);
    }
    run_free(run); /* so that a leak is found */
    return answer_with(&answer, out);
}

static void print_replay(const struct task *task) {
    (void)printf("    replay: weft-sim run %s --seed %" PRIu64 "%s%s\n",
                 task->sweep->files[task->file], task->seed,
                 (task->sweep->run_flags & RUN_BYTES) != 0 ? " --bytes" : "",
                 (task->sweep->run_flags & RUN_NO_SHARING) != 0 ? " --no-sharing" : "");
}

static void print_failure(const struct task *task, const struct job_end *end,
                          const struct answer *answer) {
    const char *name = task->sweep->scenarios[task->file]->name;
    if (end->is_good) {
        char at[32];
        metric_format((int64_t)answer->at, UNIT_NS, at);
        (void)printf("%s, seed %" PRIu64 ", at %s: %s: %s\n", name, task->seed, at, answer->what,
                     answer->detail);
    } else {
        (void)printf("%s, seed %" PRIu64 ": %s\n", name, task->seed, end->how);
    }
    if (end->said[0] != '\0') {
        (void)printf("%s\n", end->said);
    }
    print_replay(task);
}

static void take_end(struct sweep *sweep, const struct job_end *end) {
    struct answer answer = {0};
    struct task task = task_at(sweep, end->tag);
    if (end->is_good) {
        ASSERT(end->answer_bytes == sizeof(answer));
        memcpy(&answer, end->answer, sizeof(answer));
    }
    for (int kind = 0; kind < FAULT_KIND_COUNT; kind++) {
        sweep->faults[kind] += answer.faults[kind];
    }
    if (answer.is_held) {
        sweep->passed++;
    } else {
        sweep->failed++;
        progress_fini(&sweep->progress); /* the line makes room */
        print_failure(&task, end, &answer);
    }
}

static uint64_t task_count(const struct sweep *sweep) {
    return (sweep->high - sweep->low + 1) * sweep->file_count;
}

static void run_tasks(struct sweep *sweep, struct jobs *jobs) {
    uint64_t total = task_count(sweep);
    uint64_t next = 0;
    bool is_over = false;
    struct job_end *end = must(malloc(sizeof(*end)));
    while (!is_over) {
        bool may_start = next < total && (sweep->failed == 0 || sweep->keeps_going);
        if (may_start && jobs_have_room(jobs)) {
            struct task task = task_at(sweep, next);
            jobs_start(jobs, next, run_task, &task);
            next++;
        } else if (jobs_wait(jobs, end)) {
            take_end(sweep, end);
            progress_count(&sweep->progress, sweep->passed + sweep->failed, sweep->failed, total);
        } else {
            is_over = true;
        }
    }
    free(end);
}

/* How often each kind of fault was drawn; returns how many never were. Healing is no fault. */
static size_t print_faults(const struct sweep *sweep) {
    size_t missing = 0;
    uint64_t total = 0;
    for (int kind = 0; kind < FAULT_KIND_COUNT; kind++) {
        total += sweep->faults[kind];
        missing += kind != FAULT_HEAL && sweep->faults[kind] == 0 ? 1 : 0;
    }
    if (total > 0) {
        (void)printf("faults:");
        for (int kind = 0; kind < FAULT_KIND_COUNT; kind++) {
            (void)printf(" %s %" PRIu64, fault_kind_name((enum fault_kind)kind),
                         sweep->faults[kind]);
        }
        (void)putchar('\n');
    }
    return missing;
}

static int sweep_all(struct sweep *sweep, const struct flags *flags, size_t job_count,
                     uint64_t cpu_seconds) {
    struct jobs *jobs = jobs_new(job_count, cpu_seconds);
    if (!flags_have(flags, "--quiet")) {
        progress_init(&sweep->progress, stderr);
    }
    run_tasks(sweep, jobs);
    jobs_free(jobs);
    progress_fini(&sweep->progress);
    size_t missing = print_faults(sweep);
    bool is_lacking = missing > 0 && flags_have(flags, "--require-all-faults");
    if (is_lacking) {
        (void)printf("%zu kinds of fault were never drawn\n", missing);
    }
    (void)printf("%" PRIu64 " passed, %" PRIu64 " failed\n", sweep->passed, sweep->failed);
    return sweep->failed > 0 || is_lacking ? SIM_BROKEN : SIM_GOOD;
}

static int read_scenarios(struct sweep *sweep) {
    int status = SIM_GOOD;
    for (size_t i = 0; status == SIM_GOOD && i < sweep->file_count; i++) {
        status = sim_read_scenario(sweep->files[i], &sweep->scenarios[i]);
    }
    return status;
}

static int command_sweep(const struct flags *flags) {
    uint64_t job_count = 0;
    uint64_t cpu_seconds = 0;
    const char *seeds = flags_value(flags, "--seeds");
    struct sweep sweep = {.files = flags->words,
                          .file_count = flags->word_count,
                          .keeps_going = flags_have(flags, "--keep-going")};
    sweep.run_flags = flags_have(flags, "--bytes") ? RUN_BYTES : 0U;
    sweep.run_flags |= flags_have(flags, "--no-sharing") ? RUN_NO_SHARING : 0U;
    if (!flags_range(seeds != NULL ? seeds : "1..100", &sweep.low, &sweep.high) ||
        sweep.high - sweep.low >= UINT64_MAX / (sweep.file_count + 1)) {
        return sim_fail(SIM_USAGE, "--seeds: \"%s\" is no range such as 1..100", seeds);
    }
    if (!sim_number(flags, "--jobs", 1, jobs_max_default(), &job_count) ||
        !sim_number(flags, "--cpu", 1, CPU_SECONDS, &cpu_seconds)) {
        return SIM_USAGE;
    }
    sweep.scenarios = must(calloc(sweep.file_count, sizeof(struct scenario *)));
    int status = sim_choose_defect(flags);
    if (status == SIM_GOOD) {
        status = read_scenarios(&sweep);
    }
    if (status == SIM_GOOD) {
        size_t at_once = job_count < JOBS_MAX ? (size_t)job_count : JOBS_MAX;
        status = sweep_all(&sweep, flags, at_once, cpu_seconds);
    }
    for (size_t i = 0; i < sweep.file_count; i++) {
        scenario_free(sweep.scenarios[i]);
    }
    free(sweep.scenarios);
    return status;
}

const struct command cmd_sweep = {
    .name = "sweep",
    .usage = "sweep FILE... [--seeds A..B] [--jobs N] [--bytes] [--no-sharing] [--keep-going]\n"
             "                      [--require-all-faults] [--cpu SECONDS] [--quiet]",
    .summary = "run scenarios with many seeds",
    .help =
        "Each seed runs in a process of its own, so that a crash is a failure with its seed. Of\n"
        "each failure the command that replays it is printed; the last line is \"N passed, N\n"
        "failed\". Exit status 0 only when none failed.",
    .flags = sweep_flags,
    .words_min = 1,
    .words_max = SIZE_MAX,
    .run = command_sweep,
};
