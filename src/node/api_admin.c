/* SPDX-License-Identifier: Apache-2.0
 *
 * Invitations, joining by one, stopping. Only on the Unix socket: an invitation is the mesh secret.
 */
#include <stdio.h>
#include <stdlib.h>

#include "invite/invite.h"
#include "node/api.h"

#define STOP_PATIENCE (5 * NS_PER_S)

static void fill(const struct node *node, struct invite *invite) {
    memcpy(invite->secret, node->keys->secret, sizeof(invite->secret));
    invite->key = node->keys->identity.key;
    (void)snprintf(invite->name, sizeof(invite->name), "%s", node->config.name);
    for (size_t i = 0; i < node->address_count && i < INVITE_ADDRESSES_MAX; i++) {
        (void)snprintf(invite->addresses[i], sizeof(invite->addresses[i]), "%s",
                       node->addresses[i]);
        invite->address_count++;
    }
}

void api_get_invite(const struct api_request *request) {
    char token[INVITE_TEXT_BYTES];
    struct invite invite = {0};
    fill(request->node, &invite);
    enum weft_err err = invite_encode(&invite, token);
    invite_fini(&invite);
    if (err != WEFT_OK) {
        api_error(request, HTTP_SERVUNAVAIL, "no-address",
                  "this node advertises no address that others could dial");
        return;
    }
    api_reply(request, HTTP_OK, json_pack("{s:s}", "token", token));
    noise_wipe(token, sizeof(token));
}

/* Dials the inviter's addresses, now and after a restart. */
static enum weft_err add_seeds(struct node *node, const struct invite *invite) {
    const struct weft_peer_id peer = peer_id_of_key(&invite->key);
    enum weft_err result = WEFT_OK;
    for (uint32_t i = 0; i < invite->address_count; i++) {
        const struct store_seed seed = {
            .endpoint = invite->addresses[i], .is_peer_known = true, .peer = peer};
        enum weft_err err = core_add_seed(node->core, seed.endpoint, &peer);
        if (err == WEFT_OK) {
            err = store_save_seed(node->store, &seed);
        }
        if (err != WEFT_OK && err != WEFT_ERR_EXISTS) {
            result = err;
        }
    }
    return result;
}

static void join(const struct api_request *request, const char *token) {
    struct node *node = request->node;
    char error[INVITE_ERROR_BYTES];
    struct invite invite = {0};
    if (invite_decode(token, &invite, error) != WEFT_OK) {
        api_error(request, HTTP_BADREQUEST, "invalid", "%s", error);
        return;
    }
    const struct weft_peer_id peer = peer_id_of_key(&invite.key);
    bool is_ours = noise_equal(invite.secret, node->keys->secret, sizeof(invite.secret));
    if (!is_ours) {
        api_error(request, 409, "conflict",
                  "the invitation is to another mesh than the one this node belongs to");
    } else if (weft_peer_id_equal(&peer, &node->keys->identity.id)) {
        api_error(request, 409, "conflict", "this invitation is this node's own");
    } else {
        enum weft_err err = add_seeds(node, &invite);
        if (err != WEFT_OK) {
            api_error(request, HTTP_SERVUNAVAIL, weft_err_name(err), "a seed was not added: %s",
                      weft_err_name(err));
        } else {
            api_reply(request, HTTP_OK,
                      json_pack("{s:o,s:s}", "peer", api_id(&peer), "name", invite.name));
        }
    }
    invite_fini(&invite);
}

void api_post_join(const struct api_request *request) {
    json_t *body = api_body(request);
    if (body == NULL) {
        return;
    }
    const char *token = api_text(request, body, "token", true);
    if (token != NULL) {
        join(request, token);
    }
    json_decref(body);
}

void api_post_stop(const struct api_request *request) {
    api_reply(request, HTTP_OK, json_object());
    node_leave(request->node, STOP_PATIENCE);
}
