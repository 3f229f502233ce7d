/* SPDX-License-Identifier: Apache-2.0
 *
 * What `weft help` prints, all of it from the table of commands.
 */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "cli/cli.h"

void help_overview(FILE *out);
/* How it is called, one line a form. */
void help_usage(FILE *out, const struct command *command);
/* Returns CLI_GOOD. */
int help_command(FILE *out, const struct command *command);

#endif
