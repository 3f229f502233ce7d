/* SPDX-License-Identifier: Apache-2.0
 *
 * Who asks for sessions, and how often each may.
 */
#include "stream/caller.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "stream/session.h"

#define INITS_PER_S 500 /* about 200 us of Diffie-Hellman each: a tenth of a core */
#define INITS_BURST 1000
/* An honest peer asks once a second at most, but for news of routes and of restarts, each of which
 * may make it ask once more: 16 such in a row are room enough, and cost 3 ms. */
#define CALLER_INITS_PER_S 2
#define CALLER_INITS_BURST 16
/* Refused in a row: who relays for an honest peer can withhold what it asked in a minute or two and
 * bring it all at once, but hardly that of a quarter of an hour. */
#define REFUSED_NAMED 100
/* One that could not be answered may be asked again as it was, by whoever relayed it as well: so it
 * is taken off the common budgets only, and counts no sooner than an honest peer says it again. */
#define AGAIN_AFTER (NS_PER_S / 2)
/* A path is commonly known before its peer asks; the rest make up a tenth of what peers with a path
 * may cost: a hundredth of a core, and 50 of 16,384 keys a second pushed out. */
#define PATHLESS_PER_S 50
#define PATHLESS_BURST 50

static struct span peer_key(const struct weft_peer_id *peer) {
    return span_of(peer->bytes, sizeof peer->bytes);
}

static void caller_free(struct streams *streams, struct caller *caller) {
    list_remove(&caller->idle_link);
    (void)map_remove(streams->callers, peer_key(&caller->id));
    noise_wipe(caller, sizeof *caller);
    free(caller);
}

static struct caller *caller_new(struct streams *streams, const struct weft_peer_id *peer,
                                 const uint8_t link_key[WEFT_KEY_BYTES]) {
    struct caller *caller = calloc(1, sizeof *caller);
    if (caller == NULL) {
        return NULL;
    }
    caller->id = *peer;
    if (identity_shared_key(streams->config.identity, link_key, "weft session init",
                            caller->mac_key) != WEFT_OK ||
        map_add(streams->callers, peer_key(peer), caller) != WEFT_OK) {
        free(caller);
        return NULL;
    }
    list_push(&streams->callers_idle, &caller->idle_link);
    return caller;
}

static struct caller *add(struct streams *streams, const struct weft_peer_id *peer,
                          const uint8_t link_key[WEFT_KEY_BYTES]) {
    if (map_count(streams->callers) >= CALLERS_MAX + streams->config.peers_max) {
        struct list *oldest = list_first(&streams->callers_idle);
        ASSERT(oldest != NULL); /* there are no more than peers_max sessions */
        caller_free(streams, LIST_OWNER(oldest, struct caller, idle_link));
    }
    return caller_new(streams, peer, link_key);
}

struct caller *caller_get(struct streams *streams, const struct weft_peer_id *peer,
                          const uint8_t link_key[WEFT_KEY_BYTES]) {
    struct caller *caller = map_find(streams->callers, peer_key(peer));
    return caller != NULL ? caller : add(streams, peer, link_key);
}

void caller_hold(struct caller *caller) {
    ASSERT(list_is_linked(&caller->idle_link));
    list_remove(&caller->idle_link);
}

void caller_release(struct streams *streams, struct caller *caller) {
    if (caller != NULL) {
        list_push(&streams->callers_idle, &caller->idle_link);
    }
}

void callers_fini(struct streams *streams) {
    struct map_entry *entry = streams->callers == NULL ? NULL : map_first(streams->callers);
    while (entry != NULL) {
        struct caller *caller = map_value(entry);
        entry = map_next(entry);
        caller_free(streams, caller);
    }
    map_free(streams->callers);
}

void caller_mac(const struct caller *caller, const struct weft_peer_id *initiator,
                const struct weft_peer_id *responder, const struct wire_packet *packet,
                uint8_t out[WIRE_INIT_MAC_BYTES]) {
    ASSERT(packet->rest.len <= HANDSHAKE_BYTES_MAX);
    uint8_t bytes[2 * WEFT_PEER_ID_BYTES + WIRE_INIT_HEADER_BYTES + HANDSHAKE_BYTES_MAX];
    struct wire_packet bare = *packet;
    memset(bare.init.mac, 0, sizeof bare.init.mac);
    struct wire_writer writer = wire_writer_of(bytes, sizeof bytes);
    wire_write_bytes(&writer, peer_key(initiator));
    wire_write_bytes(&writer, peer_key(responder));
    wire_packet_encode(&writer, &bare);
    ASSERT(!writer.has_failed);
    noise_mac(caller->mac_key, wire_writer_view(&writer), out, WIRE_INIT_MAC_BYTES);
}

static bool has_path(const struct streams *streams, const struct weft_peer_id *peer) {
    return map_find(streams->routes, peer_key(peer)) != NULL;
}

/* A key costs a Diffie-Hellman, and one more of the peers that were heard of last goes for it. So
 * names that nobody knows a path to share a budget of their own: of them any number can be made. */
static bool may_make(struct streams *streams, const struct weft_peer_id *source,
                     const struct weft_peer_id *neighbour, weft_ns now) {
    if (has_path(streams, source)) {
        return budget_take(&streams->key_budget, neighbour, INITS_PER_S, INITS_BURST, now);
    }
    return bucket_take(&streams->pathless_key_budget, 1, PATHLESS_PER_S, PATHLESS_BURST, now);
}

static struct caller *find_or_make(struct streams *streams, const struct weft_peer_id *source,
                                   const struct weft_public_key *key,
                                   const struct weft_peer_id *neighbour, weft_ns now) {
    struct caller *caller = map_find(streams->callers, peer_key(source));
    if (caller != NULL) {
        return caller;
    }
    uint8_t link_key[WEFT_KEY_BYTES];
    struct weft_peer_id id = peer_id_of_key(key);
    bool is_made = weft_peer_id_equal(&id, source) && may_make(streams, source, neighbour, now) &&
                   identity_link_key(key, link_key) == WEFT_OK;
    return is_made ? add(streams, source, link_key) : NULL;
}

/* What a peer without a session asked last is kept as long as its records: had it come back with an
 * older incarnation before, these would tell it which one to say. */
static void forget_if_old(struct caller *caller, weft_ns now) {
    if (list_is_linked(&caller->idle_link) && time_since(caller->asked_at, now) >= CALLER_LIFE) {
        caller->incarnation = 0;
        caller->instance = 0;
        caller->epoch = 0;
        caller->is_unanswered = false;
    }
}

/* The last one, if it got no answer. */
static bool is_again(const struct caller *caller, const struct wire_init *init) {
    return caller->is_unanswered && init->instance == caller->instance &&
           init->epoch == caller->epoch;
}

/* A repeated INIT is of an epoch that the instance is past, or of a former life. */
static bool is_new(const struct caller *caller, const struct session *session,
                   const struct wire_init *init) {
    if (init->instance == caller->instance) {
        return init->epoch > caller->epoch;
    }
    return init->incarnation >= caller->incarnation &&
           (session == NULL || init->incarnation >= session->incarnation);
}

static bool take_common(struct streams *streams, const struct caller *caller,
                        const struct session *session, const struct weft_peer_id *neighbour,
                        weft_ns now) {
    bool has_session = session != NULL && session->current != NULL;
    if (!has_session && !has_path(streams, &caller->id)) {
        return bucket_take(&streams->pathless_init_budget, 1, PATHLESS_PER_S, PATHLESS_BURST, now);
    }
    struct budget *common = has_session ? &streams->rekey_budget : &streams->init_budget;
    return budget_take(common, neighbour, INITS_PER_S, INITS_BURST, now);
}

static void note(struct streams *streams, struct caller *caller, const struct wire_init *init,
                 weft_ns now) {
    caller->asked_at = now;
    caller->instance = init->instance;
    caller->epoch = init->epoch;
    caller->is_unanswered = false;
    if (init->incarnation > caller->incarnation) {
        caller->incarnation = init->incarnation;
    }
    if (list_is_linked(&caller->idle_link)) {
        list_remove(&caller->idle_link);
        list_push(&streams->callers_idle, &caller->idle_link);
    }
}

/* One that repeats or makes up never comes here, and each INIT does once: so what a peer has no
 * more of it used itself. It may be asked again like one that could not be answered. */
static void refuse(struct streams *streams, struct caller *caller, const struct wire_init *init,
                   weft_ns now) {
    note(streams, caller, init, now);
    caller->is_unanswered = true;
    caller->refused_count++;
    if (caller->refused_count == REFUSED_NAMED) {
        caller->refused_count = 0;
        session_exceeded(streams, &caller->id, "asked for sessions more often than it may");
    }
}

/* A member that mints keys proves each of them: those that no path leads to have little together.
 * What the common budgets refuse is as new when it is repeated, so it costs the peer nothing of its
 * own. */
static bool take_budgets(struct streams *streams, struct caller *caller,
                         const struct session *session, const struct weft_peer_id *neighbour,
                         weft_ns now) {
    caller->refused_count = 0;
    return take_common(streams, caller, session, neighbour, now) &&
           bucket_take(&caller->budget, 1, CALLER_INITS_PER_S, CALLER_INITS_BURST, now);
}

static bool may_cost(struct streams *streams, struct caller *caller,
                     const struct weft_peer_id *neighbour, const struct wire_init *init,
                     weft_ns now) {
    const struct session *session = session_find(streams, &caller->id);
    if (is_again(caller, init)) {
        return time_since(caller->asked_at, now) >= AGAIN_AFTER &&
               take_common(streams, caller, session, neighbour, now);
    }
    if (!is_new(caller, session, init)) {
        return false;
    }
    if (bucket_left(&caller->budget, CALLER_INITS_PER_S, CALLER_INITS_BURST, now) == 0) {
        refuse(streams, caller, init, now);
        return false;
    }
    return take_budgets(streams, caller, session, neighbour, now);
}

bool caller_may_ask(struct streams *streams, const struct weft_peer_id *source,
                    const struct weft_peer_id *neighbour, const struct wire_packet *packet,
                    weft_ns now) {
    const struct weft_peer_id *self = &streams->config.identity->id;
    const struct wire_init *init = &packet->init;
    if (weft_peer_id_equal(source, self) || packet->rest.len > HANDSHAKE_BYTES_MAX) {
        return false;
    }
    struct caller *caller = find_or_make(streams, source, &init->key, neighbour, now);
    if (caller == NULL) {
        return false;
    }
    uint8_t mac[WIRE_INIT_MAC_BYTES];
    caller_mac(caller, source, self, packet, mac);
    forget_if_old(caller, now);
    if (!noise_equal(mac, init->mac, sizeof mac) ||
        !may_cost(streams, caller, neighbour, init, now)) {
        return false;
    }
    note(streams, caller, init, now);
    return true;
}

void caller_not_answered(struct streams *streams, const struct weft_peer_id *source,
                         const struct wire_init *init) {
    struct caller *caller = map_find(streams->callers, peer_key(source));
    if (caller != NULL && caller->instance == init->instance && caller->epoch == init->epoch) {
        caller->is_unanswered = true;
    }
}
