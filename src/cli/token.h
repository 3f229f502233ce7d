/* SPDX-License-Identifier: Apache-2.0
 *
 * Invitations as they are typed: the token itself, or "-" for standard input, so that it need not
 * stand in the list of processes or in the shell's history.
 */
#ifndef CLI_TOKEN_H
#define CLI_TOKEN_H

#include "cli/cli.h"
#include "invite/invite.h"

/* Reads and decodes it; says what is wrong with it. `out` holds a secret: invite_fini. `text` is
 * the token, for the daemon; the caller's to token_free. Returns the exit status. */
int token_read(const struct cli *cli, const char *typed, struct invite *out, char **text);

/* Wipes and frees. Takes NULL. */
void token_free(char *text);

#endif
