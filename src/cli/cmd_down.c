/* SPDX-License-Identifier: Apache-2.0
 *
 * Stopping the daemon.
 */
#include "cli/clock.h"
#include "cli/commands.h"
#include "cli/daemon.h"

#define LEAVE_MS_MAX                                                                               \
    20000 /* the daemon gives itself five seconds to leave, then flushes its store */

static int ask_stop(struct cli *cli) {
    json_t *answer = NULL;
    int status = cli_ask(cli, "POST", "/v1/stop", NULL, &answer);
    json_decref(answer);
    return status;
}

static int say_done(const struct cli *cli, const char *what) {
    if (cli->is_json) {
        json_t *value = json_pack("{s:s}", "state", what);
        (void)cli_print_json(value);
        json_decref(value);
    } else {
        cli_say("The daemon %s.", what);
    }
    return CLI_GOOD;
}

int cmd_stop(struct cli *cli) {
    int status = ask_stop(cli);
    return status == CLI_GOOD ? say_done(cli, "leaves") : status;
}

int cmd_down(struct cli *cli) {
    int64_t deadline_ms = clock_ms() + LEAVE_MS_MAX;
    pid_t pid = daemon_pid_of(cli->control);
    int status = ask_stop(cli);
    if (status != CLI_GOOD) {
        return status;
    }
    if (!daemon_wait_gone(cli->control, pid, deadline_ms)) {
        return cli_fail(CLI_TIMEOUT, "the daemon (process %d) is still there after %d s", (int)pid,
                        LEAVE_MS_MAX / 1000);
    }
    return say_done(cli, "has gone");
}
