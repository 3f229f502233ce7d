/* SPDX-License-Identifier: Apache-2.0
 *
 * The subcommands, each in a cmd_*.c; their table is in commands.c. Each returns the exit status.
 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/cli.h"

int cmd_up(struct cli *cli);
int cmd_down(struct cli *cli);
int cmd_stop(struct cli *cli);
int cmd_status(struct cli *cli);
int cmd_watch(struct cli *cli);
int cmd_links(struct cli *cli);
int cmd_peers(struct cli *cli);
int cmd_routes(struct cli *cli);
int cmd_services(struct cli *cli);
int cmd_service(struct cli *cli);
int cmd_forward(struct cli *cli);
int cmd_topology(struct cli *cli);
int cmd_ping(struct cli *cli);
int cmd_trace(struct cli *cli);
int cmd_events(struct cli *cli);
int cmd_invite(struct cli *cli);
int cmd_secret(struct cli *cli);
int cmd_version(struct cli *cli);
int cmd_help(struct cli *cli);

#endif
