/* SPDX-License-Identifier: Apache-2.0
 *
 * Flags and words, and what a mistyped one may have meant.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/suggest.h"

static const struct flag common[] = {
    {"--control", 0, "SOCKET", ""}, {"--json", 0, NULL, ""}, {NULL, 0, NULL, NULL}};
static const struct flag own[] = {
    {"--follow", 'f', NULL, ""}, {"--since", 's', "N", ""}, {NULL, 0, NULL, NULL}};

/* One command line; the words of `line` are its arguments. */
struct run {
    char *argv[16];
    int argc;
    struct args args;
    char error[ARGS_ERROR_BYTES];
    bool is_good;
};

static void run_begin(struct run *run, char *line) {
    *run = (struct run){.argc = 1};
    run->argv[0] = line + strlen(line);
    for (char *word = strsep(&line, " "); word != NULL; word = strsep(&line, " ")) {
        run->argv[run->argc] = word;
        run->argc++;
    }
    run->is_good = args_parse(run->argc, run->argv, common, own, &run->args, run->error);
}

Test(cli_args, flags_stand_anywhere_and_in_every_form) {
    static const char *const lines[] = {"--control x events --since 5 -f --json",
                                        "events --json --control=x -f --since=5",
                                        "--json --follow --control x -s 5 events"};
    for (size_t i = 0; i < 3; i++) {
        char line[128];
        struct run run;
        (void)snprintf(line, sizeof(line), "%s", lines[i]);
        run_begin(&run, line);
        cr_assert(run.is_good, "%s: %s", lines[i], run.error);
        cr_expect_eq(run.args.word_count, 1);
        cr_expect_str_eq(run.args.words[0], "events");
        cr_expect_str_eq(args_value(&run.args, "--control"), "x");
        cr_expect_str_eq(args_value(&run.args, "--since"), "5");
        cr_expect(args_has(&run.args, "--follow"));
        cr_expect(args_has(&run.args, "--json"));
        args_fini(&run.args);
    }
}

Test(cli_args, the_last_of_a_repeated_flag_counts) {
    char line[] = "--control a --control b";
    struct run run;
    run_begin(&run, line);
    cr_assert(run.is_good);
    cr_expect_eq(run.args.flag_count, 2);
    cr_expect_str_eq(args_value(&run.args, "--control"), "b");
    cr_expect_null(args_value(&run.args, "--since"));
    cr_expect_not(args_has(&run.args, "--since"));
    args_fini(&run.args);
}

Test(cli_args, after_two_dashes_and_alone_a_dash_is_a_word) {
    char line[] = "show - -- --json -f";
    struct run run;
    run_begin(&run, line);
    cr_assert(run.is_good);
    cr_assert_eq(run.args.word_count, 4);
    cr_expect_str_eq(run.args.words[1], "-");
    cr_expect_str_eq(run.args.words[2], "--json");
    cr_expect_str_eq(run.args.words[3], "-f");
    args_fini(&run.args);
}

Test(cli_args, a_value_may_begin_with_a_dash_or_be_empty) {
    char line[] = "--since -5 --control=";
    struct run run;
    run_begin(&run, line);
    cr_assert(run.is_good);
    cr_expect_str_eq(args_value(&run.args, "--since"), "-5");
    cr_expect_str_eq(args_value(&run.args, "--control"), "");
    args_fini(&run.args);
}

Test(cli_args, mistakes_are_named) {
    static const struct {
        const char *line;
        const char *error;
    } cases[] = {
        {"--jsno", "unknown flag --jsno; did you mean --json?"},
        {"--nonsense=1", "unknown flag --nonsense"},
        {"-x", "unknown flag -x"},
        {"--json=1", "--json takes no value"},
        {"--since", "--since needs a value: N"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char line[64];
        struct run run;
        (void)snprintf(line, sizeof(line), "%s", cases[i].line);
        run_begin(&run, line);
        cr_expect_not(run.is_good);
        cr_expect_str_eq(run.error, cases[i].error);
        args_fini(&run.args);
    }
}

/* Whether the first word of the line is `expected`, NULL for none. */
static bool first_is(const char *text, const char *expected) {
    char line[64];
    struct run run;
    (void)snprintf(line, sizeof(line), "%s", text);
    run_begin(&run, line);
    args_fini(&run.args);
    const char *found = args_first_word(run.argc, run.argv, common);
    return found == NULL || expected == NULL ? found == expected : strcmp(found, expected) == 0;
}

Test(cli_args, the_first_word_is_found_behind_common_flags) {
    cr_expect(first_is("--control status --json links peers", "links"));
    cr_expect(first_is("--control=x links", "links"));
    cr_expect(first_is("--json", NULL));
    cr_expect(first_is("--control", NULL));
}

static const char *meant(const char *wrong) {
    static const char *const words[] = {"status", "stop", "links", "peers", "up", "watch", NULL};
    struct suggest suggest = suggest_of(wrong);
    for (size_t i = 0; words[i] != NULL; i++) {
        suggest_offer(&suggest, words[i]);
    }
    return suggest.best != NULL ? suggest.best : "";
}

Test(cli_suggest, one_or_two_slips_are_understood) {
    cr_expect_str_eq(meant("statsu"), "status");  /* swapped */
    cr_expect_str_eq(meant("statuss"), "status"); /* too many */
    cr_expect_str_eq(meant("stats"), "status");   /* left out */
    cr_expect_str_eq(meant("lonks"), "links");    /* changed */
    cr_expect_str_eq(meant("ip"), "up");
}

Test(cli_suggest, more_than_that_is_not_guessed) {
    cr_expect_str_eq(meant("configure"), "");
    cr_expect_str_eq(meant("xx"), "");
    cr_expect_str_eq(meant(""), "");
    cr_expect_str_eq(meant("a word that is far longer than any command could ever be"), "");
}
