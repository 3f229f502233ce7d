/* SPDX-License-Identifier: Apache-2.0
 *
 * weft-sim: runs the daemon's own core on a virtual clock and network (docs/simulation.md).
 */
#include <locale.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/commands.h"
#include "sim/library.h"

static const struct command *const commands[] = {&cmd_run, &cmd_sweep, &cmd_list, &cmd_bench};
#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

int sim_fail(int status, const char *format, ...) {
    va_list arguments;
    (void)fputs("weft-sim: ", stderr);
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fputc('\n', stderr);
    return status;
}

int sim_read_scenario(const char *file, struct scenario **out) {
    struct scenario_error error = {0};
    char path[LIBRARY_PATH_BYTES];
    if (!library_find(file, path)) {
        return sim_fail(SIM_CONFIG,
                        "%s: no such file, and no scenario of that name (\"weft-sim list\" shows "
                        "those there are)",
                        file);
    }
    enum weft_err err = scenario_read(path, out, &error);
    if (err == WEFT_ERR_INVALID) {
        return sim_fail(SIM_CONFIG, "%s", error.text);
    }
    return err == WEFT_OK ? SIM_GOOD : sim_fail(SIM_CONFIG, "%s: %s", path, weft_err_name(err));
}

bool sim_number(const struct flags *flags, const char *name, uint64_t low, uint64_t fallback,
                uint64_t *out) {
    const char *text = flags_value(flags, name);
    *out = fallback;
    if (text == NULL) {
        return true;
    }
    if (!flags_number(text, out) || *out < low) {
        (void)sim_fail(SIM_USAGE, "%s: \"%s\" is no whole number of at least %llu", name, text,
                       (unsigned long long)low);
        return false;
    }
    return true;
}

static void print_overview(FILE *out) {
    (void)fputs("usage: weft-sim COMMAND [FLAG]... [FILE]...\n\n", out);
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        (void)fprintf(out, "  %-6s %s\n", commands[i]->name, commands[i]->summary);
    }
    (void)fputs("\n\"weft-sim COMMAND --help\" says more; the manual page is weft-sim(1).\n", out);
}

static void print_help(FILE *out, const struct command *command) {
    (void)fprintf(out, "usage: weft-sim %s\n\n%s\n\nFlags:\n", command->usage, command->help);
    for (const struct flag *flag = command->flags; flag->name != NULL; flag++) {
        char left[48];
        (void)snprintf(left, sizeof(left), "%s%s%s", flag->name, flag->value != NULL ? " " : "",
                       flag->value != NULL ? flag->value : "");
        (void)fprintf(out, "  %-20s %s\n", left, flag->help);
    }
}

static int run_parsed(const struct command *command, const struct flags *flags) {
    if (flags_have(flags, "--help")) {
        print_help(stdout, command);
        return SIM_GOOD;
    }
    if (flags->word_count < command->words_min) {
        (void)sim_fail(SIM_USAGE, "%s: which scenario?", command->name);
        return sim_fail(SIM_USAGE, "usage: weft-sim %s", command->usage);
    }
    if (flags->word_count > command->words_max) {
        return sim_fail(SIM_USAGE, "%s: unexpected \"%s\"", command->name,
                        flags->words[command->words_max]);
    }
    return command->run(flags);
}

static int run_command(const struct command *command, int argc, char *const argv[]) {
    struct flags flags;
    char error[FLAGS_ERROR_BYTES];
    int status = SIM_USAGE;
    if (flags_parse(argc, argv, command->flags, &flags, error)) {
        status = run_parsed(command, &flags);
    } else {
        (void)sim_fail(SIM_USAGE, "%s: %s (try \"weft-sim %s --help\")", command->name, error,
                       command->name);
    }
    flags_fini(&flags);
    return status;
}

static const struct command *find_command(const char *name) {
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i]->name, name) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

static int run(int argc, char *const argv[]) {
    const char *name = argc > 1 ? argv[1] : "";
    const struct command *command = find_command(name);
    if (command != NULL) {
        return run_command(command, argc - 2, argv + 2);
    }
    if (strcmp(name, "--version") == 0) {
        (void)puts("weft-sim " WEFT_VERSION);
        return SIM_GOOD;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "help") == 0) {
        print_overview(stdout);
        return SIM_GOOD;
    }
    if (argc > 1) {
        (void)sim_fail(SIM_USAGE, "unknown command \"%s\"", name);
    }
    print_overview(stderr);
    return SIM_USAGE;
}

/* Arrays of ten thousand nodes grow step by step as they hear of each other, and what each leaves
 * behind is of a size that none will ask for again: a third of all memory. Beyond this size, which
 * is more than a frame's, an array has pages of its own: it grows where it is and gives back all.
 * glibc does so too at first, but raises the bound as soon as it is made use of. */
#define OWN_PAGES_BYTES (68 * 1024)

static void set_up_memory(void) {
#ifdef M_MMAP_THRESHOLD
    (void)mallopt(M_MMAP_THRESHOLD, OWN_PAGES_BYTES);
#endif
}

int main(int argc, char *argv[]) {
    set_up_memory();
    (void)setlocale(LC_CTYPE, "");
    (void)signal(SIGPIPE, SIG_IGN); /* a reader that went away is a failed write, below */
    int status = run(argc, argv);
    if ((fflush(stdout) != 0 || ferror(stdout) != 0) && status == SIM_GOOD) {
        status = SIM_FILE;
    }
    return status;
}
