/* SPDX-License-Identifier: Apache-2.0
 *
 * What weft-sim is made of besides the simulation: flags, where scenarios are found, child
 * processes.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "sim/flags.h"
#include "sim/jobs.h"
#include "sim/library.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct flag table[] = {
    {"--seed", "N", ""}, {"--quiet", NULL, ""}, {"--json", "OUT", ""}, {NULL, NULL, NULL}};

static bool parse(struct flags *out, char error[FLAGS_ERROR_BYTES], int argc,
                  const char *const *argv) {
    char *copy[16];
    for (int i = 0; i < argc; i++) {
        memcpy(&copy[i], &argv[i], sizeof(copy[i]));
    }
    return flags_parse(argc, copy, table, out, error);
}

Test(sim_flags, stand_before_between_and_after_words) {
    static const char *const argv[] = {"--seed", "7", "a", "--quiet", "b", "--json=x=y", "c"};
    struct flags flags;
    char error[FLAGS_ERROR_BYTES];
    cr_assert(parse(&flags, error, COUNT(argv), argv));
    cr_assert_eq(flags.word_count, 3);
    cr_assert_str_eq(flags.words[0], "a");
    cr_assert_str_eq(flags.words[2], "c");
    cr_assert_str_eq(flags_value(&flags, "--seed"), "7");
    cr_assert_str_eq(flags_value(&flags, "--json"), "x=y");
    cr_assert(flags_have(&flags, "--quiet"));
    flags_fini(&flags);
}

Test(sim_flags, of_two_the_last_counts) {
    static const char *const argv[] = {"--seed=1", "--seed", "2"};
    struct flags flags;
    char error[FLAGS_ERROR_BYTES];
    cr_assert(parse(&flags, error, COUNT(argv), argv));
    cr_assert_str_eq(flags_value(&flags, "--seed"), "2");
    cr_assert_null(flags_value(&flags, "--json"));
    flags_fini(&flags);
}

Test(sim_flags, two_dashes_end_them) {
    static const char *const argv[] = {"--", "--seed", "-x"};
    struct flags flags;
    char error[FLAGS_ERROR_BYTES];
    cr_assert(parse(&flags, error, COUNT(argv), argv));
    cr_assert_eq(flags.word_count, 2);
    cr_assert_eq(flags.given_count, 0);
    flags_fini(&flags);
}

Test(sim_flags, a_lone_dash_is_a_value) {
    static const char *const argv[] = {"--json", "-", "a"};
    struct flags flags;
    char error[FLAGS_ERROR_BYTES];
    cr_assert(parse(&flags, error, COUNT(argv), argv));
    cr_assert_str_eq(flags_value(&flags, "--json"), "-");
    flags_fini(&flags);
}

Test(sim_flags, mistakes_are_named) {
    static const struct {
        const char *argument;
        const char *error;
    } cases[] = {
        {"--sed", "unknown flag --sed"},
        {"--sed=3", "unknown flag --sed"},
        {"--quiet=yes", "--quiet takes no value"},
        {"--seed", "--seed needs a value: N"},
        {"-x", "unknown flag -x"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct flags flags;
        char error[FLAGS_ERROR_BYTES] = "";
        cr_assert_not(parse(&flags, error, 1, &cases[i].argument), "%s", cases[i].argument);
        cr_assert_str_eq(error, cases[i].error);
        flags_fini(&flags);
    }
}

Test(sim_flags, numbers_are_digits_and_nothing_else) {
    uint64_t number = 0;
    cr_assert(flags_number("0", &number) && number == 0);
    cr_assert(flags_number("18446744073709551615", &number) && number == UINT64_MAX);
    static const char *const wrong[] = {"",    "-1",  "+1",  " 1", "1 ",
                                        "0x1", "1e3", "1.5", "a",  "18446744073709551616"};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        number = 5;
        cr_assert_not(flags_number(wrong[i], &number), "\"%s\"", wrong[i]);
        cr_assert_eq(number, 5, "\"%s\" wrote", wrong[i]);
    }
}

Test(sim_flags, ranges_go_up) {
    uint64_t low = 0;
    uint64_t high = 0;
    cr_assert(flags_range("3..7", &low, &high) && low == 3 && high == 7);
    cr_assert(flags_range("9", &low, &high) && low == 9 && high == 9);
    cr_assert(flags_range("4..4", &low, &high) && low == 4 && high == 4);
    static const char *const wrong[] = {"", "..", "1..", "..2", "7..3", "1...2", "1..2..3", "a..b"};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        cr_assert_not(flags_range(wrong[i], &low, &high), "\"%s\"", wrong[i]);
    }
}

/* A folder of scenarios in a folder of its own. */
static void make_folder(char folder[64]) {
    (void)snprintf(folder, 64, "%s", "/tmp/weft-sim-test-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static void make_file(const char *folder, const char *name) {
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    cr_assert_eq(fclose(file), 0);
}

static void remove_files(const char *folder, const char *const *names, size_t count) {
    char path[256];
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        (void)remove(path);
    }
    cr_assert_eq(rmdir(folder), 0);
}

Test(sim_library, lists_scenarios_by_name_and_nothing_else) {
    static const char *const names[] = {"b.yaml", "a.yaml",       "a-b.yaml", "notes.txt",
                                        ".yaml",  ".hidden.yaml", "yaml"};
    char folder[64];
    char **paths = NULL;
    make_folder(folder);
    for (size_t i = 0; i < COUNT(names); i++) {
        make_file(folder, names[i]);
    }
    cr_assert_eq(setenv("WEFT_SCENARIOS", folder, 1), 0);
    size_t count = library_list(&paths);
    cr_assert_eq(count, 3);
    cr_assert_str_eq(strrchr(paths[0], '/'), "/a-b.yaml");
    cr_assert_str_eq(strrchr(paths[1], '/'), "/a.yaml");
    cr_assert_str_eq(strrchr(paths[2], '/'), "/b.yaml");
    library_free(paths, count);
    remove_files(folder, names, COUNT(names));
}

Test(sim_library, finds_a_name_a_path_and_nothing_that_is_not_there) {
    static const char *const names[] = {"storm.yaml"};
    char folder[64];
    char path[LIBRARY_PATH_BYTES];
    char direct[128];
    make_folder(folder);
    make_file(folder, names[0]);
    (void)snprintf(direct, sizeof(direct), "%s/storm.yaml", folder);
    cr_assert_eq(setenv("WEFT_SCENARIOS", folder, 1), 0);
    cr_assert(library_find("storm", path));
    cr_assert_str_eq(path, direct);
    cr_assert(library_find(direct, path));
    cr_assert_str_eq(path, direct);
    cr_assert_not(library_find("calm", path));
    cr_assert_not(library_find("../storm", path));
    cr_assert_not(library_find(folder, path), "a folder is no scenario");
    remove_files(folder, names, COUNT(names));
}

Test(sim_library, a_folder_that_is_not_there_is_none) {
    char folder[LIBRARY_PATH_BYTES];
    char **paths = NULL;
    cr_assert_eq(setenv("WEFT_SCENARIOS", "/nonexistent", 1), 0);
    cr_assert_not(library_folder(folder));
    cr_assert_eq(library_list(&paths), 0);
    library_free(paths, 0);
}

static size_t double_it(void *ctx, uint8_t answer[JOBS_ANSWER_BYTES]) {
    uint64_t value = *(const uint64_t *)ctx * 2;
    memcpy(answer, &value, sizeof(value));
    return sizeof(value);
}

Test(sim_jobs, each_answers_under_its_tag) {
    enum { TASKS = 9 };
    bool is_seen[TASKS] = {false};
    struct jobs *jobs = jobs_new(3, 60);
    struct job_end end;
    uint64_t next = 0;
    size_t ended = 0;
    while (ended < TASKS) {
        for (; next < TASKS && jobs_have_room(jobs); next++) {
            jobs_start(jobs, next, double_it, &next);
        }
        cr_assert(jobs_wait(jobs, &end));
        uint64_t value = 0;
        cr_assert(end.is_good, "%s: %s", end.how, end.said);
        cr_assert_eq(end.answer_bytes, sizeof(value));
        memcpy(&value, end.answer, sizeof(value));
        cr_assert_eq(value, end.tag * 2);
        cr_assert_not(is_seen[end.tag]);
        is_seen[end.tag] = true;
        ended++;
    }
    cr_assert_not(jobs_wait(jobs, &end));
    jobs_free(jobs);
}

Test(sim_jobs, hold_no_more_than_they_may) {
    struct jobs *jobs = jobs_new(2, 60);
    struct job_end end;
    uint64_t value = 1;
    jobs_start(jobs, 0, double_it, &value);
    cr_assert(jobs_have_room(jobs));
    jobs_start(jobs, 1, double_it, &value);
    cr_assert_not(jobs_have_room(jobs));
    cr_assert(jobs_wait(jobs, &end));
    cr_assert(jobs_have_room(jobs));
    jobs_free(jobs); /* with one left */
}

static size_t complain_and_abort(void *ctx, uint8_t answer[JOBS_ANSWER_BYTES]) {
    (void)ctx;
    (void)answer;
    for (int i = 0; i < 1000; i++) {
        (void)fprintf(stderr, "line %d of a long complaint\n", i);
    }
    (void)signal(SIGABRT, SIG_DFL);
    abort();
}

Test(sim_jobs, a_crash_is_told_with_its_last_words) {
    struct jobs *jobs = jobs_new(1, 60);
    struct job_end end;
    jobs_start(jobs, 42, complain_and_abort, NULL);
    cr_assert(jobs_wait(jobs, &end));
    cr_assert_eq(end.tag, 42);
    cr_assert_not(end.is_good);
    cr_assert_not_null(strstr(end.how, "signal 6"), "%s", end.how);
    cr_assert_not_null(strstr(end.said, "line 999 of a long complaint"));
    cr_assert_null(strstr(end.said, "line 1 of"));
    jobs_free(jobs);
}

static size_t spin(void *ctx, uint8_t answer[JOBS_ANSWER_BYTES]) {
    volatile uint64_t *turns = ctx;
    (void)answer;
    (void)signal(SIGXCPU, SIG_DFL);
    while (*turns < UINT64_MAX) {
        ++*turns;
    }
    return 0;
}

Test(sim_jobs, one_that_never_ends_is_ended) {
    struct jobs *jobs = jobs_new(1, 1);
    struct job_end end;
    uint64_t turns = 0;
    jobs_start(jobs, 0, spin, &turns);
    cr_assert(jobs_wait(jobs, &end));
    cr_assert_not(end.is_good);
    cr_assert_str_eq(end.how, "ran out of its processor time");
    jobs_free(jobs);
}

static size_t say_nothing(void *ctx, uint8_t answer[JOBS_ANSWER_BYTES]) {
    (void)answer;
    _exit(*(const int *)ctx);
}

Test(sim_jobs, one_without_an_answer_failed) {
    struct jobs *jobs = jobs_new(1, 60);
    struct job_end end;
    int status = 3;
    jobs_start(jobs, 0, say_nothing, &status);
    cr_assert(jobs_wait(jobs, &end));
    cr_assert_not(end.is_good);
    cr_assert_str_eq(end.how, "exit status 3");
    jobs_free(jobs);
}
