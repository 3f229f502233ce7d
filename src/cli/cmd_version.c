/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/commands.h"

/* A daemon that does not run is no fault here: this program's version was asked for too. */
int cmd_version(struct cli *cli) {
    json_t *answer = NULL;
    bool has_daemon = cli_peek(cli, "/v1/version", &answer);
    const char *daemon = field_text(answer, "version");
    if (cli->is_json) {
        json_t *value =
            json_pack("{s:s,s:s?}", "version", WEFT_VERSION, "daemon", has_daemon ? daemon : NULL);
        (void)cli_print_json(value);
        json_decref(value);
    } else {
        (void)puts("weft " WEFT_VERSION);
        if (has_daemon) {
            text_line(stdout, "daemon %s", daemon);
        }
    }
    json_decref(answer);
    return CLI_GOOD;
}
