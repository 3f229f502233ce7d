/* SPDX-License-Identifier: Apache-2.0
 *
 * weft: the command line. It speaks to one daemon over its control socket and to nothing else; what
 * can be asked is in commands.c, what is answered in docs/api.md.
 */
#include <curl/curl.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/help.h"
#include "cli/paths.h"
#include "cli/suggest.h"

static bool wants_colour(void) {
    const char *no_colour = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");
    bool is_dumb = terminal == NULL || strcmp(terminal, "dumb") == 0;
    return isatty(STDOUT_FILENO) == 1 && !is_dumb && (no_colour == NULL || no_colour[0] == '\0');
}

static int unknown_command(const char *name) {
    struct suggest suggest = suggest_of(name);
    for (const struct command *command = cli_commands; command->name != NULL; command++) {
        suggest_offer(&suggest, command->name);
    }
    (void)cli_fail(CLI_USAGE, "unknown command \"%s\"%s%s%s", name,
                   suggest.best != NULL ? "; did you mean \"" : "",
                   suggest.best != NULL ? suggest.best : "", suggest.best != NULL ? "\"?" : "");
    cli_say("Try: weft help");
    return CLI_USAGE;
}

static int check_words(struct cli *cli) {
    cli->words = cli->args.words + 1;
    cli->word_count = cli->args.word_count - 1;
    if (cli->word_count < cli->command->words_min) {
        (void)cli_usage(cli, "%s: something is missing", cli->command->name);
        help_usage(stderr, cli->command);
        return CLI_USAGE;
    }
    if (cli->word_count > cli->command->words_max) {
        return cli_usage(cli, "%s: unexpected \"%s\"", cli->command->name,
                         cli->words[cli->command->words_max]);
    }
    return CLI_GOOD;
}

static int find_daemon(struct cli *cli) {
    cli->state = paths_state(args_value(&cli->args, "--state"));
    if (cli->state == NULL) {
        return cli_fail(CLI_CONFIG, "HOME is not set: name the state folder with --state");
    }
    cli->control = paths_control(args_value(&cli->args, "--control"), cli->state);
    return CLI_GOOD;
}

static int run_command(struct cli *cli) {
    if (args_has(&cli->args, "--help")) {
        return help_command(stdout, cli->command);
    }
    if (args_has(&cli->args, "--version")) {
        (void)puts("weft " WEFT_VERSION);
        return CLI_GOOD;
    }
    int status = check_words(cli);
    status = status == CLI_GOOD ? find_daemon(cli) : status;
    cli->is_json = args_has(&cli->args, "--json");
    cli->has_colour = wants_colour() && !cli->is_json;
    return status == CLI_GOOD ? cli->command->run(cli) : status;
}

/* Without a command: --help, --version, or a mistake. */
static int run_nothing(struct cli *cli) {
    if (args_has(&cli->args, "--version")) {
        (void)puts("weft " WEFT_VERSION);
        return CLI_GOOD;
    }
    bool is_asked = args_has(&cli->args, "--help");
    help_overview(is_asked ? stdout : stderr);
    return is_asked ? CLI_GOOD : CLI_USAGE;
}

static int run(struct cli *cli, int argc, char *const argv[]) {
    char error[ARGS_ERROR_BYTES];
    const char *name = args_first_word(argc, argv, cli_common_flags);
    cli->command = name != NULL ? cli_find_command(name) : NULL;
    if (name != NULL && cli->command == NULL) {
        return unknown_command(name);
    }
    const struct flag *own = cli->command != NULL ? cli->command->flags : NULL;
    if (!args_parse(argc, argv, cli_common_flags, own, &cli->args, error)) {
        return cli_usage(cli, "%s", error);
    }
    return cli->command != NULL ? run_command(cli) : run_nothing(cli);
}

int main(int argc, char *argv[]) {
    struct cli cli = {0};
    (void)setlocale(LC_CTYPE, "");
    (void)signal(SIGPIPE, SIG_IGN); /* a reader that went away is a failed write, below */
    if (curl_global_init(CURL_GLOBAL_NOTHING) != CURLE_OK) {
        return cli_fail(CLI_FAILED, "libcurl cannot be set up");
    }
    int status = run(&cli, argc, argv);
    if ((fflush(stdout) != 0 || ferror(stdout) != 0) && status == CLI_GOOD) {
        status = CLI_FAILED;
    }
    weft_control_free(cli.client);
    args_fini(&cli.args);
    free(cli.state);
    free(cli.control);
    curl_global_cleanup();
    return status;
}
