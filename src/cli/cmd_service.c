/* SPDX-License-Identifier: Apache-2.0
 *
 * Own services and forwards: what this node offers, and the local ports that lead elsewhere.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/forwards.h"
#include "cli/table.h"

#define PATH_BYTES 2048

/* "/v1/services/NAME" or with "?endpoint=..."; false if it does not fit. */
static bool service_path(const char *name, const char *endpoint, char out[PATH_BYTES]) {
    char *name_escaped = text_keep(weft_control_escape(name));
    char *endpoint_escaped = text_keep(weft_control_escape(endpoint != NULL ? endpoint : ""));
    int len = snprintf(out, PATH_BYTES, "/v1/services/%s%s%s", name_escaped,
                       endpoint != NULL ? "?endpoint=" : "", endpoint_escaped);
    free(name_escaped);
    free(endpoint_escaped);
    return len > 0 && len < PATH_BYTES;
}

static int show_service(const struct cli *cli, json_t *answer, const char *what) {
    if (cli->is_json) {
        (void)cli_print_json(answer);
    } else {
        cli_say("%s", what);
    }
    json_decref(answer);
    return CLI_GOOD;
}

static int add(struct cli *cli, const char *name, const char *endpoint) {
    char what[512];
    json_t *answer = NULL;
    int status = cli_ask(cli, "POST", "/v1/services",
                         json_pack("{s:s,s:s}", "name", name, "endpoint", endpoint), &answer);
    (void)snprintf(what, sizeof(what), "%.150s is offered from %.280s", name, endpoint);
    return status == CLI_GOOD ? show_service(cli, answer, what) : status;
}

static int withdraw(struct cli *cli, const char *name, const char *endpoint) {
    char path[PATH_BYTES];
    char what[512];
    json_t *answer = NULL;
    if (!service_path(name, endpoint, path)) {
        return cli_usage(cli, "the name is too long");
    }
    int status = cli_ask(cli, "DELETE", path, NULL, &answer);
    (void)snprintf(what, sizeof(what), "%.150s is withdrawn%s%.280s", name,
                   endpoint != NULL ? " from " : "", endpoint != NULL ? endpoint : "");
    return status == CLI_GOOD ? show_service(cli, answer, what) : status;
}

int cmd_service(struct cli *cli) {
    const char *verb = cli->words[0];
    bool is_add = strcmp(verb, "add") == 0;
    if (!is_add && strcmp(verb, "remove") != 0) {
        return cli_usage(cli, "service: expected add or remove, not \"%s\"", verb);
    }
    char *name = text_keep(strdup(cli->words[1]));
    char *equals = strchr(name, '=');
    const char *endpoint = equals != NULL ? equals + 1 : NULL;
    int status;
    if (equals != NULL) {
        *equals = '\0';
    }
    if (name[0] == '\0' || (endpoint != NULL ? endpoint[0] == '\0' : is_add)) {
        status =
            cli_usage(cli, "service %s: expected NAME=HOST:PORT, not \"%s\"", verb, cli->words[1]);
    } else {
        status = is_add ? add(cli, name, endpoint) : withdraw(cli, name, endpoint);
    }
    free(name);
    return status;
}

static int list_forwards(struct cli *cli) {
    static const struct table_column columns[] = {
        {"SERVICE", false}, {"ADDRESS", false}, {"OPEN", true},
        {"ACCEPTED", true}, {"FAILED", true},   {"ERROR", false},
    };
    json_t *rows = NULL;
    json_t *row;
    size_t index;
    struct table table;
    int status = cli_get(cli, "/v1/forwards", &rows);
    if (status != CLI_GOOD) {
        return status;
    }
    table_init(&table, columns, 6);
    json_array_foreach(rows, index, row) {
        table_add(&table, label_of_service(field_text(row, "namespace"), field_text(row, "service"),
                                           field_text(row, "protocol"))
                              .text);
        table_add(&table, field_text(row, "address"));
        table_addf(&table, "%.0f", field_number(row, "connections"));
        table_addf(&table, "%.0f", field_number(row, "accepted"));
        table_addf(&table, "%.0f", field_number(row, "failed"));
        const char *error = field_text(row, "error");
        table_add_styled(&table, STYLE_BAD,
                         error[0] != '\0' ? error : field_text(row, "last_failure"));
    }
    if (cli->is_json) {
        (void)cli_print_json(rows);
    } else if (index > 0) {
        table_print(&table, stdout, cli->has_colour, SIZE_MAX);
    } else {
        cli_say("No forwards. \"weft forward NAME\" makes one.");
    }
    table_fini(&table);
    json_decref(rows);
    return CLI_GOOD;
}

static int remove_forward(struct cli *cli, const char *name) {
    char path[PATH_BYTES];
    char *escaped = text_keep(weft_control_escape(name));
    int len = snprintf(path, sizeof(path), "/v1/forwards/%s", escaped);
    json_t *answer = NULL;
    free(escaped);
    if (len <= 0 || len >= PATH_BYTES || name[0] == '\0') {
        return cli_usage(cli, "forward --remove: no service has that name");
    }
    int status = cli_ask(cli, "DELETE", path, NULL, &answer);
    if (status != CLI_GOOD) {
        return status;
    }
    if (cli->is_json) {
        (void)cli_print_json(answer);
    } else {
        cli_say("The forward of %s is removed", name);
    }
    json_decref(answer);
    return CLI_GOOD;
}

static int add_forward(struct cli *cli) {
    struct forward forward;
    json_t *answer = NULL;
    if (!forward_of(cli->words[0], cli->word_count > 1 ? cli->words[1] : NULL, &forward)) {
        return cli_usage(cli, "forward: expected NAME and PORT or ADDR:PORT");
    }
    int status = forward_ask(cli, &forward, &answer);
    if (status != CLI_GOOD) {
        return status;
    }
    if (cli->is_json) {
        (void)cli_print_json(answer);
    } else {
        text_line(stdout, "%s is at %s", forward.name, field_text(answer, "address"));
    }
    json_decref(answer);
    return CLI_GOOD;
}

int cmd_forward(struct cli *cli) {
    const char *gone = args_value(&cli->args, "--remove");
    if (gone != NULL && cli->word_count > 0) {
        return cli_usage(cli, "forward: either --remove NAME or NAME");
    }
    if (gone != NULL) {
        return remove_forward(cli, gone);
    }
    return cli->word_count > 0 ? add_forward(cli) : list_forwards(cli);
}
