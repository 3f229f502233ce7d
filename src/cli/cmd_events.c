/* SPDX-License-Identifier: Apache-2.0
 *
 * What happened, and what happens.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"

#define PATH_BYTES 128

struct reader {
    const struct cli *cli;
    json_t *all; /* of an answer that ends, as JSON: one array; else NULL */
};

static void print_detail(FILE *out, json_t *detail) {
    const char *key;
    json_t *value;
    json_object_foreach(detail, key, value) {
        char *text = json_is_string(value) ? strdup(json_string_value(value))
                                           : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        bool is_quoted = strchr(text_keep(text), ' ') != NULL || text[0] == '\0';
        (void)fprintf(out, " %s=%s%s%s", key, is_quoted ? "\"" : "", text, is_quoted ? "\"" : "");
        free(text);
    }
}

static enum text_style style_of(const char *level) {
    if (strcmp(level, "error") == 0) {
        return STYLE_BAD;
    }
    return strcmp(level, "warn") == 0 ? STYLE_WARN : STYLE_PLAIN;
}

static void print_event(const struct cli *cli, json_t *event) {
    char *line = NULL;
    size_t size = 0;
    FILE *out = text_keep(open_memstream(&line, &size));
    const char *level = field_text(event, "level");
    (void)fprintf(out, "%s %-5s %s", field_text(event, "time"), level, field_text(event, "event"));
    print_detail(out, json_object_get(event, "detail"));
    (void)fclose(out);
    char *clean = text_clean(text_keep(line));
    text_styled(stdout, cli->has_colour, style_of(level), clean);
    (void)putchar('\n');
    free(clean);
    free(line);
}

/* Ends when nobody reads what is printed. */
static bool on_line(void *ctx, const char *line) {
    struct reader *reader = ctx;
    json_t *event = json_loads(line, 0, NULL);
    if (!json_is_object(event)) {
        json_decref(event);
        return true;
    }
    if (reader->all != NULL) {
        (void)json_array_append(reader->all, event);
    } else if (reader->cli->is_json) {
        cli_put_json(event, JSON_COMPACT); /* a follower's reader takes each as it comes */
    } else {
        print_event(reader->cli, event);
    }
    json_decref(event);
    return fflush(stdout) == 0;
}

int cmd_events(struct cli *cli) {
    char path[PATH_BYTES];
    const char *since = args_value(&cli->args, "--since");
    bool is_following = args_has(&cli->args, "--follow");
    struct reader reader = {.cli = cli};
    if (since != NULL && (since[0] == '\0' || strspn(since, "0123456789") != strlen(since))) {
        return cli_usage(cli, "--since: expected the number of an event, not \"%s\"", since);
    }
    (void)snprintf(path, sizeof(path), "/v1/events?since=%.20s%s", since != NULL ? since : "0",
                   is_following ? "&follow=1" : "");
    enum weft_err err = weft_control_new(cli->control, &cli->client);
    if (err == WEFT_OK) {
        reader.all = cli->is_json && !is_following ? json_array() : NULL;
        err = weft_control_follow(cli->client, path, on_line, &reader);
    }
    if (err == WEFT_OK && reader.all != NULL) {
        (void)cli_print_json(reader.all);
    }
    json_decref(reader.all);
    if (err != WEFT_OK) {
        return cli_client_failed(cli, err);
    }
    if (is_following && ferror(stdout) == 0) {
        cli_say("The daemon ended the list: it stops.");
    }
    return CLI_GOOD;
}
