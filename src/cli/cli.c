/* SPDX-License-Identifier: Apache-2.0
 *
 * What the subcommands share: asking the daemon, and saying what went wrong.
 */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define ID_SHOWN 10 /* characters of an id: 50 bits, enough to be unique in any mesh */

static void say_list(const char *start, const char *format, va_list list) {
    char line[TEXT_LINE_BYTES];
    (void)vsnprintf(line, sizeof(line), format, list);
    text_line(stderr, "%s%s", start, line);
}

int cli_fail(int status, const char *format, ...) {
    va_list list;
    va_start(list, format);
    say_list("weft: ", format, list);
    va_end(list);
    return status;
}

int cli_usage(const struct cli *cli, const char *format, ...) {
    va_list list;
    va_start(list, format);
    say_list("weft: ", format, list);
    va_end(list);
    cli_say("Try: weft help%s%s", cli->command != NULL ? " " : "",
            cli->command != NULL ? cli->command->name : "");
    return CLI_USAGE;
}

void cli_say(const char *format, ...) {
    va_list list;
    va_start(list, format);
    say_list("", format, list);
    va_end(list);
}

int cli_client_failed(const struct cli *cli, enum weft_err err) {
    const char *why = cli->client != NULL ? weft_control_error(cli->client) : "";
    switch ((int)err) {
    case WEFT_ERR_UNREACHABLE:
        return cli_fail(CLI_UNREACHABLE,
                        "no daemon answers on %s (%s); start one with \"weft up\", or name "
                        "another socket with --control",
                        cli->control, why);
    case WEFT_ERR_TIMEOUT:
        return cli_fail(CLI_TIMEOUT, "the daemon at %s did not answer in time", cli->control);
    case WEFT_ERR_INVALID:
        return cli_fail(CLI_UNREACHABLE, "%s: the path is too long for a socket", cli->control);
    case WEFT_ERR_IO:
        return cli_fail(CLI_UNREACHABLE, "the daemon at %s broke off: %s", cli->control, why);
    default:
        return cli_fail(CLI_FAILED, "asking the daemon at %s: %s", cli->control,
                        weft_err_name(err));
    }
}

static int exit_of_http(int http_status) {
    switch (http_status) {
    case 400: /* it could not read what was typed */
        return CLI_USAGE;
    case 404:
        return CLI_NOT_FOUND;
    case 503:
        return CLI_UNHEALTHY;
    case 504:
        return CLI_TIMEOUT;
    default:
        return CLI_FAILED;
    }
}

static enum weft_err client_open(struct cli *cli) {
    return cli->client != NULL ? WEFT_OK : weft_control_new(cli->control, &cli->client);
}

/* The answer's JSON; NULL if it is none. */
static json_t *parse(const struct weft_control_answer *answer) {
    return json_loadb(answer->body, answer->body_bytes, JSON_DECODE_ANY, NULL);
}

static int judge(const struct weft_control_answer *answer, json_t **out) {
    json_t *value = parse(answer);
    if (answer->http_status == 200 && value != NULL) {
        *out = value;
        return CLI_GOOD;
    }
    const char *message = field_text(value, "message");
    int status = exit_of_http(answer->http_status);
    if (message[0] != '\0') {
        (void)cli_fail(status, "%s", message);
    } else {
        (void)cli_fail(status, "the daemon answered with HTTP status %d and no reason",
                       answer->http_status);
    }
    json_decref(value);
    return status;
}

static enum weft_err ask(struct cli *cli, const char *method, const char *path, json_t *body,
                         long timeout_ms, struct weft_control_answer *out) {
    char *text = body != NULL ? text_keep(json_dumps(body, JSON_COMPACT)) : NULL;
    json_decref(body);
    enum weft_err err = client_open(cli);
    if (err == WEFT_OK) {
        err = weft_control_ask(cli->client, method, path, text, timeout_ms, out);
    }
    free(text);
    return err;
}

int cli_ask_within(struct cli *cli, const char *method, const char *path, json_t *body,
                   long timeout_ms, json_t **out) {
    ASSERT(out != NULL);
    struct weft_control_answer answer;
    enum weft_err err = ask(cli, method, path, body, timeout_ms, &answer);
    if (err != WEFT_OK) {
        return cli_client_failed(cli, err);
    }
    int status = judge(&answer, out);
    weft_control_answer_fini(&answer);
    return status;
}

int cli_ask(struct cli *cli, const char *method, const char *path, json_t *body, json_t **out) {
    return cli_ask_within(cli, method, path, body, CLI_TIMEOUT_MS, out);
}

int cli_get(struct cli *cli, const char *path, json_t **out) {
    return cli_ask(cli, "GET", path, NULL, out);
}

bool cli_peek(struct cli *cli, const char *path, json_t **out) {
    struct weft_control_answer answer;
    if (ask(cli, "GET", path, NULL, CLI_TIMEOUT_MS, &answer) != WEFT_OK) {
        return false;
    }
    json_t *value = answer.http_status == 200 ? parse(&answer) : NULL;
    weft_control_answer_fini(&answer);
    if (value != NULL) {
        *out = value;
    }
    return value != NULL;
}

void cli_put_json(const json_t *value, size_t flags) {
    char *text = text_keep(json_dumps(value, flags | JSON_ENSURE_ASCII | JSON_ENCODE_ANY));
    for (const char *at = text; *at != '\0'; at++) {
        /* The one control character that JSON lets through; it can only stand in a string. */
        (void)(*at == '\x7f' ? fputs("\\u007f", stdout) : putchar(*at));
    }
    (void)putchar('\n');
    free(text);
}

int cli_print_json(const json_t *value) {
    cli_put_json(value, JSON_INDENT(2));
    return CLI_GOOD;
}

const char *field_text(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

double field_number(const json_t *object, const char *key) {
    return json_number_value(json_object_get(object, key));
}

bool field_is(const json_t *object, const char *key) {
    return json_is_true(json_object_get(object, key));
}

bool field_is_null(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return value == NULL || json_is_null(value);
}

struct peer_label label_of(const char *name, const char *id) {
    struct peer_label label;
    bool has_name = name[0] != '\0';
    (void)snprintf(label.text, sizeof(label.text), "%.*s", has_name ? 200 : ID_SHOWN,
                   has_name ? name : id);
    return label;
}

struct peer_label label_of_service(const char *name_space, const char *name, const char *protocol) {
    struct peer_label label;
    bool is_default = name_space[0] == '\0' || strcmp(name_space, "default") == 0;
    bool is_udp = strcmp(protocol, "udp") == 0;
    /* The service "udp" of a namespace must not read like one over UDP. */
    bool is_odd = !is_default && (strcmp(name, "udp") == 0 || strcmp(name, "tcp") == 0);
    const char *suffix = is_odd ? "/tcp" : "";
    (void)snprintf(label.text, sizeof(label.text), "%.100s%s%.100s%s", is_default ? "" : name_space,
                   is_default ? "" : "/", name, is_udp ? "/udp" : suffix);
    return label;
}
