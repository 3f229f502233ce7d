/* SPDX-License-Identifier: Apache-2.0
 *
 * Invitations and secrets.
 */
#include <errno.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/secret.h"
#include "cli/token.h"

static int print_invite(struct cli *cli) {
    json_t *answer = NULL;
    int status = cli_get(cli, "/v1/invite", &answer);
    if (status != CLI_GOOD) {
        return status;
    }
    if (cli->is_json) {
        (void)cli_print_json(answer);
    } else {
        text_line(stdout, "%s", field_text(answer, "token"));
        cli_say("For another machine: weft up --join TOKEN. Whoever has it can join.");
    }
    json_decref(answer);
    return CLI_GOOD;
}

static void key_text(const struct invite *invite, char out[2 * WEFT_KEY_BYTES + 1]) {
    for (size_t i = 0; i < WEFT_KEY_BYTES; i++) {
        (void)snprintf(out + (2 * i), 3, "%02x", invite->key.bytes[i]);
    }
}

static json_t *addresses_of(const struct invite *invite) {
    json_t *list = json_array();
    for (uint32_t i = 0; i < invite->address_count; i++) {
        (void)json_array_append_new(list, json_string(invite->addresses[i]));
    }
    return list;
}

static void print_contents(const struct cli *cli, const struct invite *invite) {
    char key[(2 * WEFT_KEY_BYTES) + 1];
    char id[WEFT_PEER_ID_TEXT];
    const struct weft_peer_id peer = invite_peer_id(invite);
    key_text(invite, key);
    weft_peer_id_format(&peer, id);
    if (cli->is_json) {
        json_t *value = json_pack("{s:s,s:s,s:s,s:o}", "name", invite->name, "id", id, "key", key,
                                  "addresses", addresses_of(invite));
        (void)cli_print_json(value);
        json_decref(value);
        return;
    }
    text_line(stdout, "inviter    %s", invite->name);
    text_line(stdout, "id         %s", id);
    text_line(stdout, "key        %s", key);
    for (uint32_t i = 0; i < invite->address_count; i++) {
        text_line(stdout, "%s%s", i == 0 ? "addresses  " : "           ", invite->addresses[i]);
    }
    text_line(stdout, "secret     (not shown)");
}

static int show(struct cli *cli, const char *typed) {
    struct invite invite = {0};
    char *text = NULL;
    int status = token_read(cli, typed, &invite, &text);
    if (status == CLI_GOOD) {
        print_contents(cli, &invite);
    }
    token_free(text);
    invite_fini(&invite);
    return status;
}

int cmd_invite(struct cli *cli) {
    if (cli->word_count == 0) {
        return print_invite(cli);
    }
    if (strcmp(cli->words[0], "show") != 0) {
        return cli_usage(cli, "invite: expected show, not \"%s\"", cli->words[0]);
    }
    if (cli->word_count < 2) {
        return cli_usage(cli, "invite show: the token is missing");
    }
    return show(cli, cli->words[1]);
}

int cmd_secret(struct cli *cli) {
    uint8_t secret[WEFT_KEY_BYTES];
    char text[SECRET_TEXT_BYTES];
    if (secret_make(secret) != WEFT_OK) {
        return cli_fail(CLI_FAILED, "no random bytes: %s", strerror(errno));
    }
    secret_format(secret, text);
    if (cli->is_json) {
        const char *digits = strchr(text, '\n') + 1;
        json_t *value = json_pack("{s:s%}", "secret", digits, strcspn(digits, "\n"));
        (void)cli_print_json(value);
        json_decref(value);
    } else {
        (void)fputs(text, stdout);
    }
    secret_wipe(secret, sizeof(secret));
    secret_wipe(text, sizeof(text));
    return CLI_GOOD;
}
