/* SPDX-License-Identifier: Apache-2.0
 *
 * weft up: a mesh in one command, and a second machine in it in another.
 */
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/clock.h"
#include "cli/commands.h"
#include "cli/paths.h"
#include "cli/token.h"
#include "cli/up.h"

static int take_export(struct up *up, const char *text) {
    size_t len = strcspn(text, "=");
    if (len == 0 || text[len] == '\0' || strchr(text + len, ':') == NULL) {
        return cli_usage(up->cli, "--export: expected NAME=HOST:PORT, not \"%s\"", text);
    }
    up->exports[up->export_count] = text;
    up->export_count++;
    return CLI_GOOD;
}

static int take_forward(struct up *up, const char *text) {
    if (!forward_parse(text, &up->forwards[up->forward_count].wanted)) {
        return cli_usage(up->cli, "--forward: expected NAME or NAME=[ADDR:]PORT, not \"%s\"", text);
    }
    up->forward_count++;
    return CLI_GOOD;
}

static int take_flag(struct up *up, const struct given_flag *given) {
    const char *name = given->flag->name;
    if (strcmp(name, "--export") == 0 || strcmp(name, "--service") == 0) {
        return take_export(up, given->value);
    }
    return strcmp(name, "--forward") == 0 ? take_forward(up, given->value) : CLI_GOOD;
}

static int read_flags(struct up *up) {
    const struct args *args = &up->cli->args;
    const char *token = args_value(args, "--join");
    int status = CLI_GOOD;
    up->forwards = text_keep(calloc(args->flag_count + 1, sizeof(up->forwards[0])));
    up->exports = text_keep(calloc(args->flag_count + 1, sizeof(up->exports[0])));
    up->is_foreground = args_has(args, "--foreground");
    for (size_t i = 0; i < args->flag_count && status == CLI_GOOD; i++) {
        status = take_flag(up, &args->flags[i]);
    }
    if (status == CLI_GOOD && token != NULL) {
        status = token_read(up->cli, token, &up->invite, &up->token);
    }
    return status;
}

static bool is_applied(const char *flag) {
    static const char *const applied[] = {"--export", "--service", "--join", "--forward",
                                          "--state",  "--control", "--json", NULL};
    for (size_t i = 0; applied[i] != NULL; i++) {
        if (strcmp(applied[i], flag) == 0) {
            return true;
        }
    }
    return false;
}

/* Flags that only a start could apply. */
static void say_ignored(const struct up *up) {
    const struct args *args = &up->cli->args;
    cli_say("The daemon runs already.");
    for (size_t i = 0; i < args->flag_count; i++) {
        const char *name = args->flags[i].flag->name;
        if (!is_applied(name)) {
            cli_say("%s changes nothing now: \"weft down\", then \"weft up\" with it.", name);
        }
    }
}

/* An invitation, unless this node cannot be dialled: then it says why there is none. */
static char *fetch_invite(struct up *up) {
    json_t *answer = NULL;
    if (up->token != NULL || cli_get(up->cli, "/v1/invite", &answer) != CLI_GOOD) {
        return NULL;
    }
    char *token = text_keep(strdup(field_text(answer, "token")));
    json_decref(answer);
    return token;
}

static json_t *forwards_json(const struct up *up) {
    json_t *list = json_array();
    for (size_t i = 0; i < up->forward_count; i++) {
        (void)json_array_append_new(list,
                                    json_pack("{s:s,s:s}", "service", up->forwards[i].wanted.name,
                                              "address", up->forwards[i].address));
    }
    return list;
}

static void print_json(const struct up *up, const json_t *status, const char *token) {
    json_t *value = json_pack("{s:s,s:s,s:s,s:s,s:b,s:s?,s:o}", "id", field_text(status, "id"),
                              "name", field_text(status, "name"), "state", up->cli->state,
                              "control", up->cli->control, "started", up->is_started ? 1 : 0,
                              "invite", token, "forwards", forwards_json(up));
    (void)cli_print_json(value);
    json_decref(value);
}

static void say_who(const struct up *up, const json_t *status) {
    const json_t *listen = json_object_get(status, "listen");
    const char *first = json_string_value(json_array_get(listen, 0));
    cli_say("%s (%s) is up%s%s%s%s", field_text(status, "name"), field_text(status, "id"),
            first != NULL ? ", listening on " : "", first != NULL ? first : "",
            up->is_started && !up->is_foreground ? "; it logs to " : "",
            up->is_started && !up->is_foreground ? up->log_path : "");
}

static void print_text(const struct up *up, const json_t *status, const char *token) {
    say_who(up, status);
    if (token != NULL) {
        cli_say("For another machine; whoever has this can join:");
        text_line(stdout, "weft up --join %s", token);
    }
    for (size_t i = 0; i < up->forward_count; i++) {
        text_line(stdout, "%s is at %s", up->forwards[i].wanted.name, up->forwards[i].address);
    }
}

static void print_result(struct up *up) {
    json_t *status = NULL;
    (void)cli_peek(up->cli, "/v1/status", &status);
    char *token = fetch_invite(up);
    if (up->cli->is_json) {
        print_json(up, status, token);
    } else {
        print_text(up, status, token);
    }
    (void)fflush(stdout);
    token_free(token);
    json_decref(status);
}

/* A daemon that is on its way out is no longer there to be told anything. */
static bool is_running(struct up *up) {
    json_t *status = NULL;
    bool has_answer = cli_peek(up->cli, "/v1/status", &status);
    bool is_leaving = strcmp(field_text(status, "verdict"), "leaving") == 0;
    json_decref(status);
    if (is_leaving) {
        const char *control = up->cli->control;
        cli_say("The daemon that runs is leaving; another starts when it has gone.");
        (void)daemon_wait_gone(control, daemon_pid_of(control), (long)up->deadline_ms);
    }
    return has_answer && !is_leaving;
}

/* A time-out leaves the daemon trying; what cannot become good is taken back. */
static int give_up(struct up *up, int status) {
    if (up->is_started && status != CLI_TIMEOUT && !daemon_has_ended(&up->daemon)) {
        cli_say("The daemon is stopped again.");
        daemon_terminate(&up->daemon);
        (void)daemon_wait_gone(up->cli->control, up->daemon.pid, (long)clock_ms() + UP_MS_MAX);
    }
    return status;
}

static int run(struct up *up) {
    int status = CLI_GOOD;
    up->deadline_ms = clock_ms() + UP_MS_MAX;
    if (is_running(up)) {
        say_ignored(up);
    } else {
        status = up_start(up);
    }
    if (status == CLI_GOOD) {
        status = up_apply(up);
    }
    if (status != CLI_GOOD) {
        return give_up(up, status);
    }
    print_result(up);
    return up->is_foreground && up->is_started ? daemon_wait(&up->daemon) : CLI_GOOD;
}

/* In the foreground signals wait for sigwaitinfo, from before there is a child. */
static void block_signals(void) {
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGHUP);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
}

static int open_client(struct cli *cli) {
    enum weft_err err = weft_control_new(cli->control, &cli->client);
    return err == WEFT_OK ? CLI_GOOD : cli_client_failed(cli, err);
}

int cmd_up(struct cli *cli) {
    struct up up = {.cli = cli};
    int status = read_flags(&up);
    status = status == CLI_GOOD ? open_client(cli) : status;
    if (status == CLI_GOOD) {
        up.log_path = paths_join(cli->state, "weftd.log");
        if (up.is_foreground) {
            block_signals();
        }
        status = run(&up);
    }
    invite_fini(&up.invite);
    token_free(up.token);
    free(up.log_path);
    free(up.exports);
    free(up.forwards);
    return status;
}
