/* SPDX-License-Identifier: Apache-2.0
 *
 * Channels as the application sees them: gossip's, with unicasts through the session of the peer.
 */
#include "core/internal.h"

enum weft_err core_channel_open(struct core *core, const char *name,
                                const struct gossiper *gossiper, weft_ns now) {
    core_enter(core, now);
    return gossip_channel_open(core->gossip, name, gossiper, now);
}

void core_channel_close(struct core *core, const char *name) {
    gossip_channel_close(core->gossip, name);
}

enum weft_err core_channel_gossip(struct core *core, const char *name, struct span payload,
                                  weft_ns now) {
    core_enter(core, now);
    return gossip_channel_send(core->gossip, name, payload, now);
}

enum weft_err core_channel_broadcast(struct core *core, const char *name, struct span payload,
                                     weft_ns now) {
    core_enter(core, now);
    return gossip_channel_broadcast(core->gossip, name, payload, now);
}

/* The peer's key, from its own record; NULL if we never heard of it. */
static const struct weft_public_key *key_of(const struct core *core,
                                            const struct weft_peer_id *peer) {
    const struct record *record =
        recordset_find(gossip_records(core->gossip), WIRE_RECORD_PEER, peer, (struct span){0});
    return record != NULL ? &record->owner_key : NULL;
}

enum weft_err core_channel_unicast(struct core *core, const char *name,
                                   const struct weft_peer_id *peer, struct span payload,
                                   weft_ns now) {
    core_enter(core, now);
    if (weft_peer_id_equal(peer, &core->config.identity->id)) {
        return gossip_channel_unicast(core->gossip, peer, span_of_text(name), payload)
                   ? WEFT_OK
                   : WEFT_ERR_NOT_FOUND;
    }
    const struct weft_public_key *key = key_of(core, peer);
    if (key == NULL) {
        return WEFT_ERR_NOT_FOUND;
    }
    core_watch(core, peer);
    return streams_message(core->streams, peer, key, span_of_text(name), payload, now);
}

enum weft_err core_ping(struct core *core, const struct weft_peer_id *peer, uint64_t token,
                        weft_ns now) {
    core_enter(core, now);
    if (weft_peer_id_equal(peer, &core->config.identity->id)) {
        core_push(core, &(struct action){.kind = ACTION_PONG, .token = token, .peer = *peer});
        return WEFT_OK;
    }
    const struct weft_public_key *key = key_of(core, peer);
    if (key == NULL) {
        return WEFT_ERR_NOT_FOUND;
    }
    if (!router_path_to(core->router, peer).is_reachable) {
        return WEFT_ERR_UNREACHABLE;
    }
    core_watch(core, peer);
    return streams_ping(core->streams, peer, key, token, now);
}
