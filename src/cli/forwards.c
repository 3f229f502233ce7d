/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/forwards.h"

#include <string.h>

static bool is_port(const char *text) {
    size_t len = strspn(text, "0123456789");
    return len > 0 && len <= 5 && text[len] == '\0';
}

/* ":8080" and "8080" are ports of the loopback; anything else must end in ":PORT". */
static bool listen_of(const char *text, char out[FORWARD_LISTEN_BYTES]) {
    const char *only = text[0] == ':' ? text + 1 : text;
    const char *colon = strrchr(text, ':');
    bool is_only = is_port(only);
    if (!is_only && (colon == NULL || !is_port(colon + 1))) {
        return false;
    }
    int len = snprintf(out, FORWARD_LISTEN_BYTES, "%s%s", is_only ? "127.0.0.1:" : "",
                       is_only ? only : text);
    return len > 0 && len < FORWARD_LISTEN_BYTES;
}

bool forward_of(const char *name, const char *listen, struct forward *out) {
    size_t len = strlen(name);
    out->is_any_port = listen == NULL;
    if (len == 0 || len >= sizeof(out->name)) {
        return false;
    }
    memcpy(out->name, name, len + 1);
    return listen_of(listen != NULL ? listen : "0", out->listen);
}

bool forward_parse(const char *text, struct forward *out) {
    char name[FORWARD_NAME_BYTES];
    size_t len = strcspn(text, "=");
    if (len >= sizeof(name)) {
        return false;
    }
    memcpy(name, text, len);
    name[len] = '\0';
    return forward_of(name, text[len] == '=' ? text + len + 1 : NULL, out);
}

int forward_ask(struct cli *cli, const struct forward *forward, json_t **out) {
    return cli_ask(cli, "POST", "/v1/forwards",
                   json_pack("{s:s,s:s}", "service", forward->name, "listen", forward->listen),
                   out);
}

bool forward_is_of(const struct forward *forward, const json_t *row, const char *key) {
    const struct peer_label label = label_of_service(
        field_text(row, "namespace"), field_text(row, key), field_text(row, "protocol"));
    const char *typed =
        strncmp(forward->name, "default/", 8) == 0 ? forward->name + 8 : forward->name;
    size_t len = strlen(typed);
    bool is_plain = len > 4 && strcmp(typed + len - 4, "/tcp") == 0 &&
                    strcmp(label.text + strlen(label.text) - 4, "/tcp") != 0;
    size_t shown = is_plain ? len - 4 : len; /* "web/tcp" is "web" */
    return strlen(label.text) == shown && strncmp(label.text, typed, shown) == 0;
}
