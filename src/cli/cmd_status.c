/* SPDX-License-Identifier: Apache-2.0
 *
 * weft status, and its form for supervisors.
 */
#include <string.h>

#include "cli/commands.h"
#include "cli/status.h"

static int show_check(const struct cli *cli, const char *what, bool is_good, const char *verdict) {
    if (cli->is_json) {
        json_t *value = json_pack("{s:s,s:b}", "check", what, "ok", is_good ? 1 : 0);
        (void)cli_print_json(value);
        json_decref(value);
    } else {
        text_line(stdout, "%s%s%s%s", is_good ? "" : "not ", what, verdict[0] != '\0' ? ": " : "",
                  verdict);
    }
    return is_good ? CLI_GOOD : CLI_UNHEALTHY;
}

/* Who cannot be reached is status 3; who answers anything but 200, or too late, is 5. */
static int check(struct cli *cli, const char *what) {
    bool is_live = strcmp(what, "live") == 0;
    if (!is_live && strcmp(what, "ready") != 0) {
        return cli_usage(cli, "--check: expected live or ready, not \"%s\"", what);
    }
    struct weft_control_answer answer = {0};
    enum weft_err err = weft_control_new(cli->control, &cli->client);
    if (err == WEFT_OK) {
        err = weft_control_ask(cli->client, "GET", is_live ? "/healthz" : "/readyz", NULL,
                               CLI_TIMEOUT_MS, &answer);
    }
    if (err == WEFT_ERR_TIMEOUT) {
        return show_check(cli, what, false, "no answer in time");
    }
    if (err != WEFT_OK) {
        return cli_client_failed(cli, err);
    }
    json_t *value = json_loadb(answer.body, answer.body_bytes, JSON_DECODE_ANY, NULL);
    int status = show_check(cli, what, answer.http_status == 200, field_text(value, "verdict"));
    json_decref(value);
    weft_control_answer_fini(&answer);
    return status;
}

int cmd_status(struct cli *cli) {
    const char *what = args_value(&cli->args, "--check");
    if (what != NULL) {
        return check(cli, what);
    }
    json_t *status = NULL;
    int result = cli_get(cli, "/v1/status", &status);
    if (result != CLI_GOOD) {
        return result;
    }
    if (cli->is_json) {
        result = cli_print_json(status);
    } else {
        struct status_space space = status_space_of(cli->has_colour);
        (void)status_print(stdout, status, &space);
    }
    json_decref(status);
    return result;
}
