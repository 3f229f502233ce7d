/* SPDX-License-Identifier: Apache-2.0
 *
 * What the command line makes of a daemon's answers, whoever it is that listens on the socket: each
 * command that shows something, against JSON that may be anything. What reaches the terminal has no
 * control character in it: names come from peers, and an escape sequence would be theirs to choose.
 *
 * The first byte chooses the command, the second the HTTP status; what follows, to a line that is
 * "---", is one answer after the other; the last one is repeated.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "cli/cli.h"
#include "fuzz/fuzz.h"

#define ASKS_MAX 6
#define SEPARATOR "\n---\n"
#define WORDS_MAX 5

static char weft[] = "weft";
static char json[] = "--json";

static const struct {
    const char *words[WORDS_MAX];
} commands[] = {
    {{"status", NULL}},
    {{"status", "--json", NULL}},
    {{"links", NULL}},
    {{"peers", NULL}},
    {{"routes", NULL}},
    {{"services", NULL}},
    {{"topology", NULL}},
    {{"topology", "--dot", NULL}},
    {{"trace", "web", NULL}},
    {{"ping", "b", NULL}},
    {{"events", NULL}},
    {{"events", "--json", NULL}},
    {{"events", "-f", NULL}},
    {{"invite", NULL}},
    {{"version", NULL}},
    {{"forward", NULL}},
    {{"forward", "web", NULL}},
    {{"service", "add", "web=:80", NULL}},
    {{"service", "remove", "web", NULL}},
    {{"status", "--check", "ready", NULL}},
    {{"peers", "--json", NULL}},
    {{"links", "--json", NULL}},
};

/* The daemon. */
struct weft_control {
    struct span answers; /* those still to come */
    int http_status;
    unsigned asked;
};
static struct weft_control daemon_at_hand;

/* The next answer; the last one again and again. */
static struct span next_answer(struct weft_control *control) {
    static const size_t separator_len = sizeof SEPARATOR - 1;
    struct span all = control->answers;
    const uint8_t *end = all.len > 0 ? memmem(all.data, all.len, SEPARATOR, separator_len) : NULL;
    if (end == NULL) {
        return all;
    }
    size_t len = (size_t)(end - all.data);
    control->answers = span_of(end + separator_len, all.len - len - separator_len);
    return span_of(all.data, len);
}

enum weft_err weft_control_new(const char *socket_path, struct weft_control **out) {
    ASSERT(socket_path != NULL);
    *out = &daemon_at_hand;
    return WEFT_OK;
}

void weft_control_free(struct weft_control *control) {
    (void)control;
}

const char *weft_control_error(const struct weft_control *control) {
    (void)control;
    return "it said nothing";
}

enum weft_err weft_control_ask(struct weft_control *control, const char *method, const char *path,
                               const char *body, long timeout_ms, struct weft_control_answer *out) {
    ASSERT(control != NULL && method != NULL && path[0] == '/' && timeout_ms > 0);
    fuzz_touch(span_of_text(body != NULL ? body : ""));
    if (++control->asked > ASKS_MAX) {
        return WEFT_ERR_UNREACHABLE;
    }
    struct span answer = next_answer(control);
    char *copy = malloc(answer.len + 1);
    if (copy == NULL) {
        return WEFT_ERR_MEMORY;
    }
    if (answer.len > 0) {
        memcpy(copy, answer.data, answer.len);
    }
    copy[answer.len] = '\0';
    *out = (struct weft_control_answer){control->http_status, answer.len, copy};
    return WEFT_OK;
}

void weft_control_answer_fini(struct weft_control_answer *answer) {
    free(answer->body);
    *answer = (struct weft_control_answer){0};
}

enum weft_err weft_control_follow(struct weft_control *control, const char *path,
                                  bool (*on_line)(void *ctx, const char *line), void *ctx) {
    ASSERT(path[0] == '/');
    char *text = strndup((const char *)control->answers.data, control->answers.len);
    char *rest = text;
    char *line = text != NULL ? strsep(&rest, "\n") : NULL;
    bool goes_on = control->http_status == 200;
    while (goes_on && line != NULL) {
        goes_on = line[0] == '\0' || on_line(ctx, line);
        line = strsep(&rest, "\n");
    }
    free(text);
    return control->http_status == 200 ? WEFT_OK : WEFT_ERR_REFUSED;
}

char *weft_control_escape(const char *text) {
    return strdup(text);
}

/* ---- the command ---- */

static void run(size_t choice) {
    char *argv[WORDS_MAX + 2] = {weft};
    char error[ARGS_ERROR_BYTES];
    int argc = 1;
    struct cli cli = {.command = cli_find_command(commands[choice].words[0])};
    for (size_t i = 0; i < WORDS_MAX && commands[choice].words[i] != NULL; i++) {
        argv[argc++] = strdup(commands[choice].words[i]);
    }
    bool is_good = args_parse(argc, argv, cli_common_flags, cli.command->flags, &cli.args, error);
    ASSERT(is_good);
    cli.words = cli.args.words + 1;
    cli.word_count = cli.args.word_count - 1;
    cli.is_json = args_has(&cli.args, json);
    cli.state = strdup("/nonexistent");
    cli.control = strdup("/nonexistent/control.sock");
    int status = cli.command->run(&cli);
    ASSERT(status >= 0 && status <= CLI_CONFIG);
    args_fini(&cli.args);
    free(cli.state);
    free(cli.control);
    for (int i = 1; i < argc; i++) {
        free(argv[i]);
    }
}

/* The C1 controls too, as UTF-8 has them: some terminals heed those. */
static void check_printed(const char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = (uint8_t)text[i];
        ASSERT(byte == '\n' || (byte >= 0x20 && byte != 0x7f));
        ASSERT(byte != 0xc2 || i + 1 == len || (uint8_t)text[i + 1] >= 0xa0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const int statuses[] = {200, 200, 200, 200, 404, 503, 504, 400};
    char *printed = NULL;
    size_t printed_len = 0;
    if (size < 2) {
        return 0;
    }
    daemon_at_hand = (struct weft_control){.answers = span_of(data + 2, size - 2),
                                           .http_status = statuses[data[1] % 8]};
    FILE *out = open_memstream(&printed, &printed_len);
    FILE *const usual_out = stdout;
    FILE *const usual_err = stderr;
    ASSERT(out != NULL);
    stdout = stderr = out;
    run(data[0] % (sizeof commands / sizeof commands[0]));
    stdout = usual_out;
    stderr = usual_err;
    (void)fclose(out);
    check_printed(printed, printed_len);
    free(printed);
    return 0;
}
