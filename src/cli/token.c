/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/token.h"

#include <stdlib.h>
#include <string.h>

#include "cli/secret.h"

#define TYPED_BYTES_MAX 8192 /* a token with the blanks of a careless paste */

static char *read_stdin(void) {
    char *text = text_keep(calloc(1, TYPED_BYTES_MAX));
    size_t len = fread(text, 1, TYPED_BYTES_MAX - 1, stdin);
    text[len] = '\0';
    return text;
}

/* What "weft up" prints, pasted whole, is meant as the token in it. */
static const char *skip_command(const char *text) {
    const char *start = strstr(text, INVITE_PREFIX);
    return start != NULL ? start : text;
}

int token_read(const struct cli *cli, const char *typed, struct invite *out, char **text) {
    char error[INVITE_ERROR_BYTES];
    char *token = strcmp(typed, "-") == 0 ? read_stdin() : text_keep(strdup(typed));
    if (invite_decode(skip_command(token), out, error) != WEFT_OK) {
        token_free(token);
        return cli_usage(cli, "%s", error);
    }
    char *copy = text_keep(strdup(skip_command(token)));
    token_free(token);
    *text = copy;
    return CLI_GOOD;
}

void token_free(char *text) {
    if (text != NULL) {
        secret_wipe(text, strlen(text));
        free(text);
    }
}
