/* SPDX-License-Identifier: Apache-2.0
 *
 * What every subcommand works with: what was typed, the daemon, and where output goes. Data goes
 * to stdout, talk to stderr; a subcommand returns the exit status.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "cli/args.h"
#include "cli/text.h"
#include "weft/control.h"

/* The exit statuses: scripts depend on them. */
enum cli_exit {
    CLI_GOOD = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_UNREACHABLE = 3,
    CLI_NOT_FOUND = 4,
    CLI_UNHEALTHY = 5,
    CLI_TIMEOUT = 7,
    CLI_CONFIG = 78,
};

#define CLI_TIMEOUT_MS 10000L /* for an answer that the daemon has at hand */

struct cli;

struct command {
    const char *name;
    const char *usage;   /* one line an alternative, without "weft" */
    const char *summary; /* for the list of commands */
    const char *help;    /* the paragraphs below the usage */
    const struct flag *flags;
    size_t words_min; /* after the command's own */
    size_t words_max;
    int (*run)(struct cli *cli);
};

struct cli {
    const struct command *command;
    struct args args;
    const char **words; /* after the command's own; NULL-ended */
    size_t word_count;
    char *state;
    char *control; /* the socket's path */
    struct weft_control *client;
    bool is_json;
    bool has_colour; /* of stdout */
};

/* The table of commands; the last one's name is NULL. */
extern const struct command cli_commands[];
/* The flags that every command takes. */
extern const struct flag cli_common_flags[];

/* Finds a command by its name, or NULL. */
const struct command *cli_find_command(const char *name);

/* Prints "weft: ..." to stderr and returns `status`. */
__attribute__((format(printf, 2, 3))) int cli_fail(int status, const char *format, ...);
/* The same for a mistake on the command line: says where the help is. Returns CLI_USAGE. */
__attribute__((format(printf, 2, 3))) int cli_usage(const struct cli *cli, const char *format, ...);
/* Prints a line of talk to stderr. */
__attribute__((format(printf, 1, 2))) void cli_say(const char *format, ...);

/* Asks the daemon. On CLI_GOOD `out` is the answer's JSON, the caller's to decref; else what is
 * wrong was said. `body` is taken; NULL for none. */
int cli_ask(struct cli *cli, const char *method, const char *path, json_t *body, json_t **out);
int cli_get(struct cli *cli, const char *path, json_t **out);
/* As cli_ask with a time of its own, for answers that wait for others. */
int cli_ask_within(struct cli *cli, const char *method, const char *path, json_t *body,
                   long timeout_ms, json_t **out);
/* GET without a word when it fails: whether there was a good answer. For polling. */
bool cli_peek(struct cli *cli, const char *path, json_t **out);
/* Says why the client failed. Returns the exit status. */
int cli_client_failed(const struct cli *cli, enum weft_err err);

/* Prints JSON and a line end, in plain ASCII: a terminal may see this too. Flags are jansson's. */
void cli_put_json(const json_t *value, size_t flags);
/* Prints JSON for people and programs, as one document. Returns CLI_GOOD. */
int cli_print_json(const json_t *value);

/* Fields of an object that may be missing or of another type: "" or 0 then. */
const char *field_text(const json_t *object, const char *key);
double field_number(const json_t *object, const char *key);
bool field_is(const json_t *object, const char *key);
bool field_is_null(const json_t *object, const char *key);

/* How a peer is called: its name, or the first characters of its id. */
struct peer_label {
    char text[256];
};
struct peer_label label_of(const char *name, const char *id);
/* The name of a service as it is typed: without the namespace if that is "default", with "/udp"
 * behind it if that is its protocol. */
struct peer_label label_of_service(const char *name_space, const char *name, const char *protocol);

#endif
