/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/up.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/clock.h"
#include "cli/paths.h"
#include "cli/secret.h"

#define ANY_PORT ":0"

/* The command line of weftd: strings of its own, NULL-ended. */
struct command_line {
    char **words;
    size_t count;
};

static void push(struct command_line *line, const char *word) {
    line->words[line->count] = text_keep(strdup(word));
    line->count++;
}

static void push_flag(struct command_line *line, const char *flag, const char *value) {
    push(line, flag);
    push(line, value);
}

static void push_forward(struct command_line *line, const struct forward *forward) {
    char value[FORWARD_NAME_BYTES + FORWARD_LISTEN_BYTES + 1];
    (void)snprintf(value, sizeof(value), "%s=%s", forward->name, forward->listen);
    push_flag(line, "--forward", value);
}

/* Flags that are ours, or are handed on in another form. */
static bool is_own(const char *flag) {
    static const char *const own[] = {"--export",  "--service",    "--join",
                                      "--forward", "--foreground", "--state",
                                      "--control", "--json",       NULL};
    for (size_t i = 0; own[i] != NULL; i++) {
        if (strcmp(own[i], flag) == 0) {
            return true;
        }
    }
    return false;
}

static struct command_line line_of(const struct up *up, const char *program, bool wants_any_port) {
    const struct args *args = &up->cli->args;
    struct command_line line = {0};
    size_t words = 8 + (2 * (args->flag_count + up->forward_count + up->export_count));
    line.words = text_keep(calloc(words, sizeof(line.words[0])));
    push(&line, program);
    push_flag(&line, "--state", up->cli->state);
    push_flag(&line, "--control", up->cli->control);
    for (size_t i = 0; i < args->flag_count; i++) {
        if (!is_own(args->flags[i].flag->name)) {
            push_flag(&line, args->flags[i].flag->name, args->flags[i].value);
        }
    }
    for (size_t i = 0; i < up->export_count; i++) {
        push_flag(&line, "--service", up->exports[i]);
    }
    for (size_t i = 0; i < up->forward_count; i++) {
        push_forward(&line, &up->forwards[i].wanted);
    }
    if (wants_any_port) {
        push_flag(&line, "--listen", ANY_PORT);
    }
    return line;
}

static void line_fini(struct command_line *line) {
    for (size_t i = 0; i < line->count; i++) {
        free(line->words[i]);
    }
    free(line->words);
}

/* Where weftd will look for the secret. The caller's to free. */
static char *secret_path(const struct up *up) {
    const char *given = args_value(&up->cli->args, "--secret-file");
    given = given != NULL ? given : getenv("WEFT_SECRET_FILE");
    return given != NULL && given[0] != '\0' ? text_keep(strdup(given))
                                             : paths_join(up->cli->state, "secret");
}

/* The invitation's secret must be there before the daemon would make one of its own. */
static int write_secret(const struct up *up) {
    char *path = secret_path(up);
    int status = CLI_GOOD;
    enum weft_err err = secret_write(path, up->invite.secret);
    if (err == WEFT_ERR_EXISTS) {
        status = cli_fail(CLI_FAILED,
                          "%s holds the secret of another mesh than the invitation's; to be in "
                          "both, give this one another state folder with --state",
                          path);
    } else if (err == WEFT_ERR_MALFORMED) {
        status = cli_fail(CLI_CONFIG, "%s holds no secret: expected 64 hexadecimal digits", path);
    } else if (err != WEFT_OK) {
        status = cli_fail(CLI_FAILED, "%s: %s", path, strerror(errno));
    }
    free(path);
    return status;
}

static bool port_is_busy(int family, const struct sockaddr *address, socklen_t size) {
    const int on = 1;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    bool is_busy = bind(fd, address, size) != 0 && errno == EADDRINUSE;
    (void)close(fd);
    return is_busy;
}

static bool default_port_is_busy(void) {
    const struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(WEFT_DEFAULT_PORT)};
    const struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(WEFT_DEFAULT_PORT)};
    return port_is_busy(AF_INET6, (const struct sockaddr *)&v6, sizeof(v6)) ||
           port_is_busy(AF_INET, (const struct sockaddr *)&v4, sizeof(v4));
}

static bool has_variable(const char *name) {
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0';
}

/* Whether nobody chose the port. A configuration file may have. */
static bool has_default_port(const struct up *up) {
    return !args_has(&up->cli->args, "--listen") && !args_has(&up->cli->args, "--config") &&
           !has_variable("WEFT_LISTEN") && !has_variable("WEFT_CONFIG");
}

/* Until it answers, ends, or the time is over. */
static int wait_ready(struct up *up) {
    struct waiting waiting = waiting_until(up->deadline_ms);
    json_t *answer = NULL;
    while (!cli_peek(up->cli, "/healthz", &answer)) {
        if (daemon_has_ended(&up->daemon)) {
            return CLI_FAILED;
        }
        if (!waiting_step(&waiting)) {
            return CLI_TIMEOUT;
        }
    }
    json_decref(answer);
    return CLI_GOOD;
}

static int start_once(struct up *up, bool wants_any_port) {
    char *program = paths_sibling("weftd");
    struct command_line line = line_of(up, program, wants_any_port);
    const struct daemon_plan plan = {program, line.words, up->is_foreground ? NULL : up->log_path};
    bool is_running = daemon_start(&plan, &up->daemon);
    up->is_started = is_running;
    line_fini(&line);
    free(program);
    return is_running ? wait_ready(up) : CLI_FAILED;
}

static int judge(const struct up *up, int status) {
    if (status == CLI_TIMEOUT) {
        return cli_fail(CLI_TIMEOUT, "weftd (process %d) runs but does not answer on %s",
                        (int)up->daemon.pid, up->cli->control);
    }
    return status == CLI_FAILED && up->daemon.has_ended ? daemon_failed(&up->daemon) : status;
}

int up_start(struct up *up) {
    if (!paths_make_folder(up->cli->state)) {
        return cli_fail(CLI_FAILED, "%s: %s", up->cli->state, strerror(errno));
    }
    int status = up->token != NULL ? write_secret(up) : CLI_GOOD;
    if (status != CLI_GOOD) {
        return status;
    }
    bool wants_any_port = has_default_port(up) && default_port_is_busy();
    status = start_once(up, wants_any_port);
    /* Busy only since we looked, as when many start at once. */
    if (status == CLI_FAILED && up->daemon.has_ended && !wants_any_port && has_default_port(up) &&
        default_port_is_busy()) {
        wants_any_port = true;
        status = start_once(up, true);
    }
    if (wants_any_port && status == CLI_GOOD) {
        cli_say("Port %d is in use; the system chose another (--listen chooses one).",
                WEFT_DEFAULT_PORT);
    }
    return judge(up, status);
}
