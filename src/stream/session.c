/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions: the table of them, when handshakes are made, and what waits for a path.
 */
#include "stream/session.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/defect.h"
#include "stream/caller.h"
#include "stream/farewell.h"
#include "stream/flow.h"
#include "stream/handshake.h"
#include "stream/send.h"
#include "stream/stream.h"
#include "stream/window.h"

#define INIT_DELAY_SHIFT_MAX 3 /* 1 s, 2 s, 4 s, then every 8 s */
#define INIT_DELAY_MAX (NS_PER_S << INIT_DELAY_SHIFT_MAX)
#define INIT_TRIES_MAX 6 /* without streams: then messages are lost */
/* Since it was used last, against who asks for a new one: half the life of keys, after which an
 * idle session's keys are not renewed either. */
#define IN_USE (60 * NS_PER_S)
#define SESSION_TIMERS 5
#define FORGET_LIVES 2 /* in lives of keys: the peer's last packets under them come sooner */
#define LABEL_FACTOR UINT64_C(0x9e3779b97f4a7c15) /* spreads counters over 32 bits (Knuth) */
#define REKEY_MARGIN 8 /* the responder rekeys later by this share, should the initiator not */

struct session *session_find(const struct streams *streams, const struct weft_peer_id *peer) {
    return map_find(streams->sessions, span_of(peer->bytes, sizeof peer->bytes));
}

void session_exceeded(struct streams *streams, const struct weft_peer_id *peer, const char *what) {
    streams->excess = (struct streams_excess){.peer = *peer, .what = what};
}

static void init_lists(struct session *session) {
    list_init(&session->streams_all);
    list_init(&session->control);
    list_init(&session->opens);
    list_init(&session->delayed);
    list_init(&session->thin);
    list_init(&session->data);
    list_init(&session->probes);
    list_init(&session->flows_in);
    list_init(&session->flows_out);
    list_init(&session->flows_ready);
    ring_init(&session->flow_ends, sizeof(struct flow_farewell), FLOW_ENDS_MAX);
    ring_init(&session->farewells, sizeof(struct farewell), FAREWELLS_MAX);
    ring_init(&session->resets, sizeof(struct pending_reset), RESETS_MAX);
    ring_init(&session->messages, sizeof(struct frame *), MESSAGE_QUEUE_BYTES_MAX);
    ring_init(&session->pings, sizeof(uint64_t), TOKENS_MAX);
    ring_init(&session->pongs, sizeof(uint64_t), TOKENS_MAX);
}

static void init_timers(struct session *session) {
    session->ack_timer = (struct timer){.kind = TIMER_ACK, .owner = session};
    session->handshake_timer = (struct timer){.kind = TIMER_HANDSHAKE, .owner = session};
    session->keys_timer = (struct timer){.kind = TIMER_KEYS, .owner = session};
    session->hold_timer = (struct timer){.kind = TIMER_HOLD, .owner = session};
    session->resets_timer = (struct timer){.kind = TIMER_RESETS, .owner = session};
}

static struct session *session_new(struct streams *streams, const struct weft_peer_id *peer,
                                   weft_ns now) {
    struct session *session = calloc(1, sizeof *session);
    if (session == NULL) {
        return NULL;
    }
    session->streams = streams;
    session->id = *peer;
    session->begun_at = now;
    session->used_at = now;
    while (session->number == 0) {
        host_random(streams->config.host, &session->number, sizeof session->number);
    }
    session->wire_id_next = streams->wire_ids_used;
    init_lists(session);
    init_timers(session);
    window_init(session);
    session->by_wire_id = map_new(streams->config.streams_max, &streams->config.hash_key);
    if (session->by_wire_id == NULL) {
        session_free(session);
        return NULL;
    }
    if (map_find(streams->routes, span_of(peer->bytes, sizeof peer->bytes)) != NULL) {
        session->route = STREAM_ROUTE_SAME;
    }
    return session;
}

static void disarm_all(struct session *session) {
    struct timers *timers = &session->streams->timers;
    timers_disarm(timers, &session->ack_timer);
    timers_disarm(timers, &session->handshake_timer);
    timers_disarm(timers, &session->keys_timer);
    timers_disarm(timers, &session->hold_timer);
    timers_disarm(timers, &session->resets_timer);
}

static void drop_messages(struct session *session) {
    struct frame *frame;
    while (ring_pop(&session->messages, &frame)) {
        frame_unref(frame);
    }
    session->message_bytes = 0;
    ring_clear(&session->pings);
}

/* The peer may still have streams of a session that we forget, so none of its ids is used again. */
static void retire_wire_ids(const struct session *session) {
    struct streams *streams = session->streams;
    if (session->wire_id_next > streams->wire_ids_used) {
        streams->wire_ids_used = session->wire_id_next;
    }
}

void session_free(struct session *session) {
    ASSERT(list_is_empty(&session->streams_all));
    retire_wire_ids(session);
    flow_session_gone(session);
    disarm_all(session);
    drop_messages(session);
    handshake_drop_keys(session, &session->previous);
    handshake_drop_keys(session, &session->current);
    handshake_drop_keys(session, &session->next);
    handshake_drop_keys(session, &session->pending);
    list_remove(&session->ready_link);
    ring_fini(&session->farewells);
    ring_fini(&session->resets);
    ring_fini(&session->messages);
    ring_fini(&session->pings);
    ring_fini(&session->pongs);
    ring_fini(&session->flow_ends);
    map_free(session->flows);
    map_free(session->by_wire_id);
    free(session->opened);
    caller_release(session->streams, session->caller);
    if (session_find(session->streams, &session->id) == session) {
        (void)map_remove(session->streams->sessions,
                         span_of(session->id.bytes, sizeof session->id.bytes));
        session->streams->timer_count -= SESSION_TIMERS;
    }
    free(session);
}

/* Whether somebody has something in it. */
static bool is_empty(const struct session *session) {
    return list_is_empty(&session->streams_all) && session->messages.count == 0 &&
           list_is_empty(&session->flows_in) && list_is_empty(&session->flows_out);
}

/* Of whom room is made for: who asks us must not push out what others still use. */
enum newcomer { NEWCOMER_OURS, NEWCOMER_PEERS };

static bool may_go(const struct session *session, enum newcomer newcomer, weft_ns now) {
    return is_empty(session) && (newcomer == NEWCOMER_OURS || session->current == NULL ||
                                 time_since(session->used_at, now) >= IN_USE);
}

static bool goes_before(const struct session *a, const struct session *b) {
    bool has_keys = a->current != NULL;
    return has_keys == (b->current != NULL) ? a->used_at < b->used_at : !has_keys;
}

/* Makes room in a full table: the one that was idle longest goes, those without keys in force
 * before all others. */
static bool evict_one(struct streams *streams, enum newcomer newcomer, weft_ns now) {
    struct session *oldest = NULL;
    for (struct map_entry *entry = map_first(streams->sessions); entry != NULL;
         entry = map_next(entry)) {
        struct session *session = map_value(entry);
        if (may_go(session, newcomer, now) && (oldest == NULL || goes_before(session, oldest))) {
            oldest = session;
        }
    }
    if (oldest != NULL) {
        session_free(oldest);
    }
    return oldest != NULL;
}

static bool has_scratch(struct streams *streams) {
    if (streams->scratch == NULL) {
        streams->scratch = malloc(SCRATCH_BYTES);
    }
    return streams->scratch != NULL;
}

static enum weft_err add(struct streams *streams, struct session *session) {
    if (!has_scratch(streams)) {
        return WEFT_ERR_MEMORY;
    }
    enum weft_err err = timers_reserve(&streams->timers, streams->timer_count + SESSION_TIMERS);
    if (err == WEFT_OK) {
        err = map_add(streams->sessions, span_of(session->id.bytes, sizeof session->id.bytes),
                      session);
    }
    if (err == WEFT_OK) {
        streams->timer_count += SESSION_TIMERS;
    }
    return err;
}

/* The session of a peer, its place and who asks for it. */
static enum weft_err make(struct streams *streams, const struct weft_peer_id *peer,
                          const struct weft_public_key *key, const uint8_t link_key[WEFT_KEY_BYTES],
                          weft_ns now, struct session **out) {
    struct caller *caller = caller_get(streams, peer, link_key);
    struct session *session = caller == NULL ? NULL : session_new(streams, peer, now);
    if (session == NULL) {
        return WEFT_ERR_MEMORY;
    }
    caller_hold(caller);
    session->caller = caller;
    session->key = *key;
    memcpy(session->link_key, link_key, sizeof session->link_key);
    enum weft_err err = add(streams, session);
    if (err != WEFT_OK) {
        session_free(session);
        return err;
    }
    *out = session;
    return WEFT_OK;
}

static enum weft_err find_or_make(struct streams *streams, const struct weft_peer_id *peer,
                                  const struct weft_public_key *key, enum newcomer newcomer,
                                  weft_ns now, struct session **out) {
    struct session *session = session_find(streams, peer);
    if (session != NULL) {
        *out = session;
        return WEFT_OK;
    }
    uint8_t link_key[WEFT_KEY_BYTES];
    struct weft_peer_id id = peer_id_of_key(key);
    if (!weft_peer_id_equal(&id, peer) || identity_link_key(key, link_key) != WEFT_OK) {
        return WEFT_ERR_INVALID; /* before anybody has to go for it */
    }
    if (map_count(streams->sessions) >= streams->config.peers_max &&
        !evict_one(streams, newcomer, now)) {
        return WEFT_ERR_FULL;
    }
    return make(streams, peer, key, link_key, now, out);
}

enum weft_err session_get(struct streams *streams, const struct weft_peer_id *peer,
                          const struct weft_public_key *key, weft_ns now, struct session **out) {
    return find_or_make(streams, peer, key, NEWCOMER_OURS, now, out);
}

enum weft_err session_admit(struct streams *streams, const struct weft_peer_id *peer,
                            const struct weft_public_key *key, weft_ns now, struct session **out) {
    return find_or_make(streams, peer, key, NEWCOMER_PEERS, now, out);
}

uint32_t session_label(const struct session *session, uint64_t number) {
    return (uint32_t)((number ^ session->number) * LABEL_FACTOR >> 32);
}

void session_wake(struct session *session) {
    list_push(&session->streams->ready, &session->ready_link);
}

/* How long the answer to an INIT may take; what was measured while a path was gone is no guide. */
static weft_ns answer_wait(const struct session *session) {
    weft_ns wait = time_min(2 * session->rtt, INIT_DELAY_MAX);
    return wait > NS_PER_S ? wait : NS_PER_S;
}

/* Of news that come faster than answers only the first is heeded: more would add to what goes in
 * circles while routes are not settled. */
void session_try_now(struct session *session, weft_ns now) {
    bool is_answer_due = session->pending != NULL && session->hurried_at != 0 &&
                         time_since(session->hurried_at, now) < answer_wait(session);
    if (is_answer_due) {
        return;
    }
    session->hurried_at = now;
    session->is_init_due = true;
    session->init_tries = 0;
    session_wake(session);
    timers_arm(&session->streams->timers, &session->handshake_timer,
               time_after(now, answer_wait(session)));
}

void session_greet(struct session *session, weft_ns now) {
    session->is_wanted = true;
    session_try_now(session, now);
    if (!timer_is_armed(&session->handshake_timer)) {
        timers_arm(&session->streams->timers, &session->handshake_timer,
                   time_after(now, answer_wait(session)));
    }
}

void session_ask_anew(struct session *session) {
    if (session->pending != NULL) {
        handshake_drop_keys(session, &session->pending);
        session->is_init_due = session->is_wanted;
        session_wake(session);
    }
}

static weft_ns init_delay(const struct session *session) {
    unsigned shift = session->init_tries;
    weft_ns delay = NS_PER_S << (shift < INIT_DELAY_SHIFT_MAX ? shift : INIT_DELAY_SHIFT_MAX);
    weft_ns wait = answer_wait(session);
    return delay > wait ? delay : wait;
}

/* An INIT of the peer that we answered will be confirmed any moment: no need for our own. */
static bool is_being_greeted(const struct session *session, weft_ns now) {
    return session->next != NULL && time_since(session->next->made_at, now) < NS_PER_S;
}

/* The initiator rekeys; the other end only if that fails. */
static weft_ns rekey_at(const struct session *session) {
    const struct session_keys *keys = session->current;
    weft_ns after = session->streams->config.rekey_after;
    return time_after(keys->made_at, keys->is_initiator ? after : after + after / REKEY_MARGIN);
}

static bool is_in_use(const struct session *session, weft_ns now) {
    return !list_is_empty(&session->streams_all) || session->messages.count > 0 ||
           time_since(session->used_at, now) < session->streams->config.rekey_after / 2;
}

static void rekey_if_due(struct session *session, weft_ns now) {
    if (session->current == NULL || session->is_wanted || !is_in_use(session, now) ||
        (rekey_at(session) > now && session->current->number < KEYS_PACKETS_REKEY)) {
        return;
    }
    session_greet(session, now);
}

bool session_may_seal(struct session *session, weft_ns now) {
    const struct session_keys *keys = session->current;
    if (keys != NULL && keys->number < KEYS_PACKETS_MAX &&
        time_since(keys->made_at, now) < session->streams->config.session_max) {
        rekey_if_due(session, now);
        return true;
    }
    if (session->is_wanted) {
        return false;
    }
    session->is_wanted = true;
    session->init_tries = 0;
    session->is_init_due = !is_being_greeted(session, now);
    timers_arm(&session->streams->timers, &session->handshake_timer,
               time_after(now, answer_wait(session)));
    return false;
}

/* Nobody who waits needs the session: what was to be said goes. */
static void give_up(struct session *session) {
    session->is_wanted = false;
    session->is_init_due = false;
    handshake_drop_keys(session, &session->pending);
    drop_messages(session);
}

void session_handshake_timer(struct session *session, weft_ns now) {
    if (!session->is_wanted) {
        return;
    }
    if (list_is_empty(&session->streams_all) && session->init_tries >= INIT_TRIES_MAX) {
        give_up(session);
        return;
    }
    session->init_tries++;
    session->is_init_due = true;
    session_wake(session);
    timers_arm(&session->streams->timers, &session->handshake_timer,
               time_after(now, init_delay(session)));
}

static weft_ns expiry_of(const struct session *session, const struct session_keys *keys) {
    return keys == NULL ? WEFT_NEVER
                        : time_after(keys->made_at, session->streams->config.session_max);
}

static bool has_keys(const struct session *session) {
    return session->previous != NULL || session->current != NULL || session->next != NULL;
}

/* Without keys, and nobody needs any. */
static bool is_idle(const struct session *session) {
    return !has_keys(session) && session->pending == NULL && !session->is_wanted &&
           list_is_empty(&session->streams_all);
}

static weft_ns forget_at(const struct session *session) {
    return time_after(session->used_at, FORGET_LIVES * session->streams->config.session_max);
}

void handshake_arm_keys_timer(struct session *session, weft_ns now) {
    weft_ns when =
        time_min(expiry_of(session, session->previous),
                 time_min(expiry_of(session, session->current), expiry_of(session, session->next)));
    if (session->current != NULL && !session->is_wanted && rekey_at(session) > now) {
        when = time_min(when, rekey_at(session));
    }
    if (when == WEFT_NEVER) {
        when = forget_at(session) > now ? forget_at(session)
                                        : time_after(now, session->streams->config.session_max);
    }
    timers_arm(&session->streams->timers, &session->keys_timer, when);
}

static void drop_expired(struct session *session, struct session_keys **keys, weft_ns now) {
    if (expiry_of(session, *keys) <= now) {
        handshake_drop_keys(session, keys);
    }
}

/* A session is forgotten long after its last keys died, not with them: a clock that skips an hour
 * makes it old at one end only, and at the other streams end with a session that is forgotten. */
void session_keys_timer(struct session *session, weft_ns now) {
    bool had_keys = has_keys(session);
    drop_expired(session, &session->previous, now);
    drop_expired(session, &session->current, now);
    drop_expired(session, &session->next, now);
    if (!session->is_wanted) { /* the peer's exchange ended first, and ours was lost */
        handshake_drop_keys(session, &session->pending);
    }
    session->used_at = had_keys && !has_keys(session) ? now : session->used_at;
    rekey_if_due(session, now);
    if (is_idle(session) && forget_at(session) <= now) {
        session_free(session);
        return;
    }
    session_mind_hold(session, now);
    handshake_arm_keys_timer(session, now);
}

/* A hold timer that fires so late did not wait: we slept, or were stopped, and a way or keys that
 * came meanwhile we have not heard of. */
#define HOLD_LATE NS_PER_S

void session_mind_hold(struct session *session, weft_ns now) {
    bool is_held = !list_is_empty(&session->streams_all) &&
                   (session->route == STREAM_ROUTE_NONE || session->current == NULL);
    if (!is_held) {
        timers_disarm(&session->streams->timers, &session->hold_timer);
    } else if (!timer_is_armed(&session->hold_timer)) {
        session->hold_until =
            time_after(now, DEFECT(HOLD_SKIPPED) ? 0 : session->streams->config.hold);
        timers_arm(&session->streams->timers, &session->hold_timer, session->hold_until);
    }
}

void session_hold_timer(struct session *session, weft_ns now) {
    struct list *link;
    if (time_since(session->hold_until, now) > HOLD_LATE) {
        session_mind_hold(session, now);
        return;
    }
    while ((link = list_first(&session->streams_all)) != NULL) {
        struct stream *stream = LIST_OWNER(link, struct stream, session_link);
        session_say_reset(session, stream->wire_id, WIRE_RESET_TIMEOUT, now);
        stream_end(stream, WIRE_RESET_TIMEOUT, now);
    }
}

/* Relays follow a change of costs one after the other: until all have, packets of one moment may
 * take two ways. The news takes some hops, and routes follow after 600 ms at the latest. */
#define ROUTES_SETTLE NS_PER_S

/* The peer may have seen the loss before us: what it asked over the new path we answered over the
 * old one. It heeds each answer once, so one too many does no harm. */
static void answer_probe_again(struct session *session) {
    bool is_queued =
        session->probe_heard == 0 || ring_push(&session->pongs, &session->probe_heard) == WEFT_OK;
    (void)is_queued; /* full, or short of memory: the peer's timer asks again */
}

void session_path_moved(struct session *session, weft_ns now) {
    session->epoch_order = session->order_next;
    session->unsettled_until = time_after(now, ROUTES_SETTLE);
    session->rtt_min = session->rtt;
}

void session_path_changed(struct session *session, weft_ns now) {
    session->epoch_order = session->order_next;
    session->rtt_min = session->rtt;
    session->has_path_probe = false;
    for (struct list *link = session->streams_all.next; link != &session->streams_all;
         link = link->next) {
        stream_path_changed(LIST_OWNER(link, struct stream, session_link), now);
    }
    answer_probe_again(session);
    session_say_resets_again(session);
    session_wake(session);
}
