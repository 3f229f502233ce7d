/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking peers for an answer: ping and trace.
 */
#include <stdint.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/format.h"
#include "cli/table.h"

#define TIMEOUT_DEFAULT_S 5.0
#define TIMEOUT_MAX_S 60.0 /* the daemon's own bound */
#define TRACE_TIMEOUT_MS 70000L
#define PATIENCE_MS 2000L /* the daemon tells that nothing came; this is only if it does not */

static bool parse_seconds(const char *text, double *out) {
    char *end = NULL;
    double value = text != NULL ? strtod(text, &end) : TIMEOUT_DEFAULT_S;
    *out = value;
    return value > 0 && value <= TIMEOUT_MAX_S && (text == NULL || (end != text && *end == '\0'));
}

int cmd_ping(struct cli *cli) {
    double seconds = 0;
    json_t *answer = NULL;
    if (!parse_seconds(args_value(&cli->args, "--timeout"), &seconds)) {
        return cli_usage(cli, "--timeout: expected seconds, above 0 and up to 60");
    }
    long timeout_ms = (long)(seconds * 1000) + 1;
    json_t *body =
        json_pack("{s:s,s:I}", "peer", cli->words[0], "timeout_ms", (json_int_t)timeout_ms);
    int status = cli_ask_within(cli, "POST", "/v1/ping", body, timeout_ms + PATIENCE_MS, &answer);
    if (status != CLI_GOOD) {
        return status;
    }
    if (cli->is_json) {
        (void)cli_print_json(answer);
    } else {
        text_line(stdout, "%s (%s): %s", field_text(answer, "name"), field_text(answer, "id"),
                  format_ms(field_number(answer, "rtt_ms")).text);
    }
    json_decref(answer);
    return CLI_GOOD;
}

static void print_path(const struct cli *cli, const json_t *path) {
    static const struct table_column columns[] = {
        {"HOP", true}, {"NODE", false}, {"ID", false}, {"RTT", true}};
    struct table table;
    size_t index;
    json_t *hop;
    table_init(&table, columns, 4);
    json_array_foreach(path, index, hop) {
        bool has_rtt = !field_is_null(hop, "rtt_ms");
        table_addf(&table, "%zu", index);
        table_add(&table, field_text(hop, "name"));
        table_add(&table, field_text(hop, "id"));
        table_add_styled(&table, has_rtt ? STYLE_PLAIN : STYLE_BAD,
                         has_rtt ? format_ms(field_number(hop, "rtt_ms")).text : "no answer");
    }
    table_print(&table, stdout, cli->has_colour, SIZE_MAX);
    table_fini(&table);
}

int cmd_trace(struct cli *cli) {
    json_t *answer = NULL;
    int status =
        cli_ask_within(cli, "POST", "/v1/trace", json_pack("{s:s}", "target", cli->words[0]),
                       TRACE_TIMEOUT_MS, &answer);
    if (status != CLI_GOOD) {
        return status;
    }
    const json_t *path = json_object_get(answer, "path");
    size_t count = json_array_size(path);
    if (cli->is_json) {
        (void)cli_print_json(answer);
    } else {
        print_path(cli, path);
    }
    /* The path is known either way; whether its end answered is the question that was asked. */
    if (count > 0 && field_is_null(json_array_get(path, count - 1), "rtt_ms")) {
        status = cli_fail(CLI_TIMEOUT, "%s did not answer in time", cli->words[0]);
    }
    json_decref(answer);
    return status;
}
