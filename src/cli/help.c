/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/help.h"

#include <string.h>

#include "cli/commands.h"

static void print_flag(FILE *out, const struct flag *flag) {
    char left[64];
    char letter[8] = "";
    if (flag->help == NULL) {
        return;
    }
    if (flag->letter != 0) {
        (void)snprintf(letter, sizeof(letter), "-%c, ", flag->letter);
    }
    (void)snprintf(left, sizeof(left), "%s%s%s%s", letter, flag->name,
                   flag->value != NULL ? " " : "", flag->value != NULL ? flag->value : "");
    if (strlen(left) > 22) {
        (void)fprintf(out, "  %s\n%26s%s\n", left, "", flag->help);
    } else {
        (void)fprintf(out, "  %-22s  %s\n", left, flag->help);
    }
}

static void print_flags(FILE *out, const struct flag *table) {
    for (; table != NULL && table->name != NULL; table++) {
        print_flag(out, table);
    }
}

void help_overview(FILE *out) {
    (void)fputs("usage: weft [--control SOCKET] [--state DIR] [--json] COMMAND\n\n", out);
    for (const struct command *command = cli_commands; command->name != NULL; command++) {
        (void)fprintf(out, "  %-9s %s\n", command->name, command->summary);
    }
    (void)fputs("\nTwo machines, one mesh:\n\n"
                "  a$ weft up --export web=127.0.0.1:8080\n"
                "  b$ weft up --join weft1:... --forward web\n\n"
                "\"weft help COMMAND\" says more; the manual page is weft(1).\n",
                out);
}

void help_usage(FILE *out, const struct command *command) {
    const char *usage = command->usage;
    const char *start = "usage: ";
    while (*usage != '\0') {
        size_t len = strcspn(usage, "\n");
        (void)fprintf(out, "%sweft %.*s\n", start, (int)len, usage);
        usage += len;
        usage += *usage == '\n' ? 1 : 0;
        start = "       ";
    }
}

int help_command(FILE *out, const struct command *command) {
    help_usage(out, command);
    (void)fprintf(out, "\n%s\n", command->help);
    if (command->flags != NULL) {
        (void)fputs("\nFlags:\n", out);
        print_flags(out, command->flags);
    }
    (void)fputs("\nFlags of every command:\n", out);
    print_flags(out, cli_common_flags);
    return CLI_GOOD;
}

int cmd_help(struct cli *cli) {
    if (cli->word_count == 0) {
        help_overview(stdout);
        return CLI_GOOD;
    }
    const struct command *command = cli_find_command(cli->words[0]);
    if (command == NULL) {
        return cli_fail(CLI_NOT_FOUND, "there is no command \"%s\"; \"weft help\" lists them",
                        cli->words[0]);
    }
    return help_command(stdout, command);
}
