/* SPDX-License-Identifier: Apache-2.0
 *
 * The node's streams as the core sees them: inputs, packets, events, timers.
 */
#include "stream/streams.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/defect.h"
#include "stream/buffer.h"
#include "stream/caller.h"
#include "stream/farewell.h"
#include "stream/flow.h"
#include "stream/packet.h"
#include "stream/send.h"
#include "stream/session.h"
#include "stream/stream.h"
#include "wire/record.h"

#define NOTICES_MAX                                                                                \
    16384 /* messages and pongs not yet taken: one packet's at the most, 5 bytes each, and more;   \
             beyond, messages are lost */
#define STRAYS_MAX 1024 /* hints not yet taken; beyond, they are asked again */
#define ROUTES_MAX 1048576
#define EVENT_BIT(kind) ((uint16_t)(1U << (kind)))

void streams_config_defaults(struct streams_config *config) {
    *config = (struct streams_config){.peers_max = 4096,
                                      .streams_max = 65536,
                                      .streams_max_per_peer = 16384,
                                      .window_bytes = (size_t)256 * 1024,
                                      .window_bytes_max = (size_t)16 * 1024 * 1024,
                                      .receive_bytes_max = (size_t)256 * 1024 * 1024,
                                      .send_bytes_max = (size_t)4 * 1024 * 1024,
                                      .send_bytes_total_max = (size_t)256 * 1024 * 1024,
                                      .flows_max = 8192,
                                      .flows_max_per_peer = 2048,
                                      .flow_idle = 120 * NS_PER_S,
                                      .flow_unanswered = 30 * NS_PER_S,
                                      .hold = 60 * NS_PER_S,
                                      .rekey_after = 120 * NS_PER_S,
                                      .session_max = 180 * NS_PER_S};
}

static enum weft_err make_maps(struct streams *streams) {
    const struct hash_key *key = &streams->config.hash_key;
    streams->sessions = map_new(streams->config.peers_max, key);
    streams->routes = map_new(ROUTES_MAX, key);
    streams->indices = map_new(streams->config.peers_max * 4, key);
    streams->callers = map_new(CALLERS_MAX + streams->config.peers_max, key);
    list_init(&streams->callers_idle);
    bool has_all = streams->sessions != NULL && streams->routes != NULL &&
                   streams->indices != NULL && streams->callers != NULL;
    return has_all ? WEFT_OK : WEFT_ERR_MEMORY;
}

enum weft_err streams_new(const struct streams_config *config, struct streams **out) {
    ASSERT(config->identity != NULL && config->psk != NULL && config->host != NULL);
    ASSERT(config->window_bytes > 0);
    ASSERT(config->flows_max > 1 && config->flows_max <= INT32_MAX);
    ASSERT(config->streams_max > 0 && config->streams_max <= INT32_MAX && config->peers_max > 0);
    ASSERT(config->incarnation > 0);
    struct streams *streams = calloc(1, sizeof *streams);
    if (streams == NULL) {
        return WEFT_ERR_MEMORY;
    }
    streams->config = *config;
    list_init(&streams->ready);
    list_init(&streams->events);
    list_init(&streams->starved);
    ring_init(&streams->notices, sizeof(struct stream_event), NOTICES_MAX);
    ring_init(&streams->strays, sizeof(struct stray), STRAYS_MAX);
    enum weft_err err = flow_table_init(streams);
    if (err == WEFT_OK) {
        err = make_maps(streams);
    }
    if (err != WEFT_OK) {
        streams_free(streams);
        return err;
    }
    *out = streams;
    return WEFT_OK;
}

static void free_streams(struct streams *streams) {
    for (uint32_t i = 0; i < streams->slot_count; i++) {
        if (streams->slots[i].stream != NULL) {
            stream_free(streams, streams->slots[i].stream);
        }
    }
    free(streams->slots);
}

static void free_sessions(struct streams *streams) {
    struct map_entry *entry = streams->sessions == NULL ? NULL : map_first(streams->sessions);
    while (entry != NULL) {
        struct session *session = map_value(entry);
        entry = map_next(entry);
        session_free(session);
    }
}

void streams_free(struct streams *streams) {
    if (streams == NULL) {
        return;
    }
    free_streams(streams);
    free_sessions(streams);
    callers_fini(streams);
    flow_table_fini(streams);
    struct stray stray;
    while (ring_pop(&streams->strays, &stray)) {
        frame_unref(stray.frame);
    }
    struct stream_event event;
    while (ring_pop(&streams->notices, &event)) {
        frame_unref(event.payload);
    }
    ring_fini(&streams->strays);
    ring_fini(&streams->notices);
    timers_fini(&streams->timers);
    map_free(streams->sessions);
    map_free(streams->routes);
    map_free(streams->indices);
    buffers_fini(streams);
    free(streams->scratch);
    free(streams);
}

void streams_raise_incarnation(struct streams *streams, uint64_t incarnation) {
    if (incarnation <= streams->config.incarnation) {
        return;
    }
    streams->config.incarnation = incarnation;
    for (struct map_entry *entry = map_first(streams->sessions); entry != NULL;
         entry = map_next(entry)) {
        session_ask_anew(map_value(entry));
    }
}

/* Remembers which peers have a path, also of those without a session. */
static void note_route(struct streams *streams, const struct weft_peer_id *peer,
                       enum stream_route route) {
    struct span key = span_of(peer->bytes, sizeof peer->bytes);
    if (route == STREAM_ROUTE_NONE) {
        (void)map_remove(streams->routes, key);
        return;
    }
    enum weft_err err = map_add(streams->routes, key, streams);
    (void)err; /* EXISTS, or a route forgotten for want of memory: the next change tells again */
}

void streams_route(struct streams *streams, const struct weft_peer_id *peer,
                   enum stream_route route, weft_ns now) {
    note_route(streams, peer, route);
    struct session *session = session_find(streams, peer);
    if (session == NULL) {
        return;
    }
    session->route = route;
    if (route == STREAM_ROUTE_CHANGED && !DEFECT(PATH_CHANGE_UNTOLD)) {
        session_path_changed(session, now);
    } else if (route == STREAM_ROUTE_MOVED) {
        session_path_moved(session, now);
    }
    if (route != STREAM_ROUTE_NONE && session->is_wanted) {
        session_try_now(session, now);
    }
    session_mind_hold(session, now);
    session_wake(session);
}

void streams_block(struct streams *streams, const struct weft_peer_id *peer, bool is_blocked) {
    struct session *session = session_find(streams, peer);
    if (session != NULL) {
        session->is_blocked = is_blocked;
        session_wake(session);
    }
}

static struct stream_service *copy_service(const struct wire_part_open *open) {
    struct stream_service *service = calloc(1, sizeof *service);
    if (service == NULL) {
        return NULL;
    }
    service->protocol = open->protocol;
    bool is_text =
        span_to_text(open->name_space, service->name_space, sizeof service->name_space) &&
        span_to_text(open->name, service->name, sizeof service->name);
    ASSERT(is_text);
    return service;
}

/* Makes a stream ask its session's peer. */
static void ask(struct stream *stream, weft_ns now) {
    stream->state = STREAM_STATE_OPENING;
    stream->is_open_sent = false;
    stream->is_accept_known = false;
    stream->probe_tries = 0;
    stream->send.credit = WIRE_OPEN_CREDIT;
    stream_owe(stream, DUE_OPEN);
    stream_queue(stream); /* when retargeted: what was written for the peer that refused */
    session_mind_hold(stream->session, now);
}

enum weft_err streams_open(struct streams *streams, const struct weft_peer_id *peer,
                           const struct weft_public_key *key, const struct wire_part_open *service,
                           weft_ns now, struct stream_id *out) {
    struct session *session = NULL;
    struct stream *stream = NULL;
    enum weft_err err = session_get(streams, peer, key, now, &session);
    if (err == WEFT_OK) {
        err = stream_new(streams, &stream);
    }
    if (err != WEFT_OK) {
        return err;
    }
    stream->is_opener = true;
    stream->service = copy_service(service);
    err = stream->service == NULL ? WEFT_ERR_MEMORY
                                  : stream_join(stream, session, stream_next_wire_id(session));
    if (err != WEFT_OK) {
        stream_free(streams, stream);
        return err;
    }
    streams->counters.opened++;
    ask(stream, now);
    *out = stream->id;
    return WEFT_OK;
}

enum weft_err streams_retarget(struct streams *streams, struct stream_id id,
                               const struct weft_peer_id *peer, const struct weft_public_key *key,
                               weft_ns now) {
    struct stream *stream = stream_of(streams, id);
    if (stream == NULL) {
        return WEFT_ERR_NOT_FOUND;
    }
    if (stream->state != STREAM_STATE_REFUSED) {
        return WEFT_ERR_STATE;
    }
    struct session *session = NULL;
    enum weft_err err = session_get(streams, peer, key, now, &session);
    if (err == WEFT_OK) {
        err = stream_join(stream, session, stream_next_wire_id(session));
    }
    if (err == WEFT_OK) {
        ask(stream, now);
    }
    return err;
}

void streams_accept(struct streams *streams, struct stream_id id, weft_ns now) {
    struct stream *stream = stream_of(streams, id);
    if (stream != NULL && stream->state == STREAM_STATE_INCOMING) {
        stream_accept(stream, now);
    }
}

void streams_reset(struct streams *streams, struct stream_id id, enum wire_reset_reason reason,
                   weft_ns now) {
    struct stream *stream = stream_of(streams, id);
    if (stream == NULL) {
        return;
    }
    struct session *session = stream->session;
    uint64_t wire_id = stream->wire_id;
    bool is_known_there = stream->is_open_sent || !stream->is_opener;
    stream_free(streams, stream);
    if (session != NULL) {
        if (is_known_there) {
            session_say_reset(session, wire_id, reason, now);
        }
        session_mind_hold(session, now);
    }
}

void streams_release(struct streams *streams, struct stream_id id) {
    struct stream *stream = stream_of(streams, id);
    if (stream != NULL) {
        ASSERT(stream->session == NULL); /* a living stream is ended by streams_reset */
        stream_free(streams, stream);
    }
}

static struct frame *encode_message(struct span channel, struct span payload) {
    struct frame *frame = frame_new(WIRE_PART_HEADER_BYTES + 1 + channel.len + payload.len);
    if (frame == NULL) {
        return NULL;
    }
    struct wire_part part = {.type = WIRE_PART_MESSAGE,
                             .as.message = {.channel = channel, .payload = payload}};
    struct wire_writer writer = wire_writer_of(frame->data, frame->size);
    wire_part_encode(&writer, &part);
    ASSERT(!writer.has_failed);
    frame->len = (uint32_t)writer.len;
    return frame;
}

enum weft_err streams_message(struct streams *streams, const struct weft_peer_id *peer,
                              const struct weft_public_key *key, struct span channel,
                              struct span payload, weft_ns now) {
    if (payload.len > MESSAGE_BYTES_MAX || !wire_name_is_valid(channel)) {
        return WEFT_ERR_INVALID;
    }
    struct session *session = NULL;
    enum weft_err err = session_get(streams, peer, key, now, &session);
    if (err != WEFT_OK) {
        return err;
    }
    if (session->message_bytes >= MESSAGE_QUEUE_BYTES_MAX) {
        return WEFT_ERR_FULL;
    }
    struct frame *frame = encode_message(channel, payload);
    err = frame == NULL ? WEFT_ERR_MEMORY : ring_push(&session->messages, &frame);
    if (err != WEFT_OK) {
        frame_unref(frame);
        return err;
    }
    session->message_bytes += frame->len;
    session_wake(session);
    return WEFT_OK;
}

enum weft_err streams_ping(struct streams *streams, const struct weft_peer_id *peer,
                           const struct weft_public_key *key, uint64_t token, weft_ns now) {
    if (token >= TOKEN_PROBE) {
        return WEFT_ERR_INVALID;
    }
    struct session *session = NULL;
    enum weft_err err = session_get(streams, peer, key, now, &session);
    if (err == WEFT_OK) {
        err = ring_push(&session->pings, &token);
    }
    if (err == WEFT_OK) {
        session_wake(session);
    }
    return err;
}

static bool next_stray(struct streams *streams, struct stream_packet *out) {
    struct stray stray;
    if (!ring_pop(&streams->strays, &stray)) {
        return false;
    }
    *out = (struct stream_packet){
        .destination = stray.destination, .class = WIRE_CLASS_MESSAGE, .frame = stray.frame};
    return true;
}

bool streams_next_packet(struct streams *streams, weft_ns now, struct stream_packet *out) {
    if (next_stray(streams, out)) {
        return true;
    }
    struct list *link;
    while ((link = list_first(&streams->ready)) != NULL) {
        struct session *session = LIST_OWNER(link, struct session, ready_link);
        list_remove(link);
        if (packet_next(session, now, out)) {
            list_push(&streams->ready, link); /* peers take turns */
            return true;
        }
    }
    return false;
}

/* The lowest kind of the events that wait; one is there. */
static enum stream_event_kind first_event(const struct stream *stream) {
    unsigned kind = 0;
    while ((stream->events & EVENT_BIT(kind)) == 0) {
        kind++;
    }
    return (enum stream_event_kind)kind;
}

static void fill_event(struct stream *stream, struct stream_event *out) {
    *out = (struct stream_event){.kind = first_event(stream),
                                 .stream = stream->id,
                                 .peer = stream->peer,
                                 .reason = stream->reason};
    if (out->kind == STREAM_EVENT_INCOMING) {
        const struct stream_service *service = stream->service;
        out->protocol = service->protocol;
        memcpy(out->name_space, service->name_space, sizeof out->name_space);
        memcpy(out->name, service->name, sizeof out->name);
    }
    stream->events &= (uint16_t)~EVENT_BIT(out->kind);
}

bool streams_next_event(struct streams *streams, struct stream_event *out) {
    struct list *link = list_first(&streams->events);
    if (link == NULL) {
        bool is_one = ring_pop(&streams->notices, out);
        streams->notice_bytes -= is_one && out->payload != NULL ? out->payload->len : 0;
        return is_one;
    }
    struct stream *stream = LIST_OWNER(link, struct stream, event_link);
    fill_event(stream, out);
    if (stream->events == 0) {
        list_remove(link);
    }
    return true;
}

size_t streams_notice_count(const struct streams *streams) {
    return streams->notices.count;
}

static void owe_delayed_acks(struct session *session) {
    struct list *link;
    while ((link = list_first(&session->delayed)) != NULL) {
        stream_owe(LIST_OWNER(link, struct stream, control_link), DUE_ACK);
    }
}

static void fire(struct timer *timer, weft_ns now) {
    switch ((enum timer_kind)timer->kind) {
    case TIMER_PROBE:
        stream_probe_timer(timer->owner, now);
        break;
    case TIMER_ACK:
        owe_delayed_acks(timer->owner);
        break;
    case TIMER_HANDSHAKE:
        session_handshake_timer(timer->owner, now);
        break;
    case TIMER_KEYS:
        session_keys_timer(timer->owner, now);
        break;
    case TIMER_HOLD:
        session_hold_timer(timer->owner, now);
        break;
    case TIMER_RESETS:
        session_resets_timer(timer->owner, now);
        break;
    }
}

void streams_tick(struct streams *streams, weft_ns now) {
    struct timer *timer;
    while ((timer = timers_pop(&streams->timers, now)) != NULL) {
        fire(timer, now);
    }
    flow_table_tick(streams, now);
    streams_feed_starved(streams); /* also those for whom memory was short */
}

weft_ns streams_deadline(const struct streams *streams) {
    return time_min(timers_deadline(&streams->timers), flow_table_deadline(streams));
}

struct streams_counters streams_count(const struct streams *streams) {
    struct streams_counters counters = streams->counters;
    counters.sessions = 0;
    counters.timers = streams->timers.count;
    for (struct map_entry *entry = map_first(streams->sessions); entry != NULL;
         entry = map_next(entry)) {
        const struct session *session = map_value(entry);
        counters.sessions += session->current != NULL ? 1 : 0;
    }
    return counters;
}

uint64_t streams_spoilt_count(const struct streams *streams) {
    return streams->counters.packets_spoilt;
}

const char *streams_take_excess(struct streams *streams, struct weft_peer_id *peer) {
    struct streams_excess excess = streams->excess;
    streams->excess.what = NULL;
    *peer = excess.peer;
    return excess.what;
}

bool streams_has_session(const struct streams *streams, const struct weft_peer_id *peer) {
    return session_find(streams, peer) != NULL;
}

void streams_each_session(const struct streams *streams,
                          void (*each)(void *ctx, const struct streams_session_view *view),
                          void *ctx) {
    for (struct map_entry *entry = map_first(streams->sessions); entry != NULL;
         entry = map_next(entry)) {
        const struct session *session = map_value(entry);
        if (session->current != NULL) {
            const struct streams_session_view view = {.peer = session->id,
                                                      .cipher = session->current->cipher,
                                                      .since = session->begun_at,
                                                      .keys_since = session->current->made_at,
                                                      .streams = map_count(session->by_wire_id)};
            each(ctx, &view);
        }
    }
}
