/* SPDX-License-Identifier: Apache-2.0
 *
 * What arrives. Parts that bring nothing (pings, repeats, opens, resets, probes) cost the peer a
 * budget; parts that bring bytes cost it what it paid to send them (T15).
 */
#include "stream/streams.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/defect.h"
#include "base/frame_pool.h"
#include "stream/farewell.h"
#include "stream/flow.h"
#include "stream/receive.h"
#include "stream/send.h"
#include "stream/session.h"
#include "stream/stream.h"
#include "stream/window.h"
#include "wire/record.h"

#define PARTS_PER_S 20000
#define PARTS_BURST 40000
#define DEAF_FOR (10 * NS_PER_MS)

/* A packet being taken in. */
struct arrival {
    struct session *session;
    struct frame *frame; /* that holds the plaintext, if it may be kept; else NULL */
    bool is_congested;
    weft_ns now;
};

/* UNKNOWN_STREAM is for one that closed: the peer takes it for the last ack. One that was reset is
 * told so; if resets were forgotten unanswered, none as old as those can be told from it. */
static enum wire_reset_reason why_unknown(const struct session *session, uint64_t wire_id) {
    const struct pending_reset *reset;
    for (size_t i = 0; (reset = ring_at(&session->resets, i)) != NULL; i++) {
        if (reset->stream == wire_id) {
            return (enum wire_reset_reason)reset->reason;
        }
    }
    return session_may_have_lost_reset(session, wire_id) ? WIRE_RESET_APPLICATION
                                                         : WIRE_RESET_UNKNOWN_STREAM;
}

static void say_unknown(struct session *session, uint64_t wire_id) {
    const struct farewell *last = session->farewells.count == 0
                                      ? NULL
                                      : ring_at(&session->farewells, session->farewells.count - 1);
    if (last != NULL && last->stream == wire_id && last->reason != WIRE_RESET_NONE) {
        return; /* one answer to a burst is enough */
    }
    struct farewell farewell = {.stream = wire_id,
                                .reason = (uint16_t)why_unknown(session, wire_id)};
    session_say(session, &farewell);
}

/* Each id opens one stream, however often its OPEN is repeated or delayed. */
static bool is_first_open(struct session *session, uint64_t wire_id) {
    uint64_t number = wire_id & (UINT64_MAX >> 1);
    if (session->opened == NULL) {
        session->opened = calloc(1, sizeof *session->opened);
    }
    if (session->opened == NULL || !opened_is_new(session->opened, number)) {
        return false;
    }
    opened_mark(session->opened, number);
    return true;
}

static enum weft_err take_open(struct session *session, const struct wire_part_open *open) {
    struct streams *streams = session->streams;
    struct stream *stream = NULL;
    enum weft_err err = stream_new(streams, &stream);
    if (err != WEFT_OK) {
        return err;
    }
    stream->state = STREAM_STATE_INCOMING;
    stream->service = malloc(sizeof *stream->service);
    err = stream->service == NULL ? WEFT_ERR_MEMORY : stream_join(stream, session, open->stream);
    if (err != WEFT_OK) {
        stream_free(streams, stream);
        return err;
    }
    stream->service->protocol = open->protocol;
    bool is_text = span_to_text(open->name_space, stream->service->name_space,
                                sizeof stream->service->name_space) &&
                   span_to_text(open->name, stream->service->name, sizeof stream->service->name);
    if (!is_text) {
        stream_free(streams, stream);
        return WEFT_ERR_MALFORMED;
    }
    stream->send.credit = open->credit;
    receive_grant_early(&stream->receive, streams);
    streams->counters.opened++;
    stream_raise(streams, stream, STREAM_EVENT_INCOMING);
    return WEFT_OK;
}

static void refuse(struct session *session, uint64_t wire_id, enum wire_reset_reason reason) {
    struct farewell farewell = {.stream = wire_id, .reason = (uint16_t)reason};
    session_say(session, &farewell);
}

static bool handle_open(struct arrival *arrival, const struct wire_part_open *open) {
    struct session *session = arrival->session;
    struct stream *stream = stream_on_wire(session, open->stream);
    if (stream != NULL) {
        if (stream->state == STREAM_STATE_OPEN && !stream->is_opener) {
            stream_owe(stream, DUE_ACCEPT | DUE_ACK);
        }
        return false;
    }
    if (!stream_is_peers_id(session, open->stream) || !wire_name_is_valid(open->name_space) ||
        !wire_name_is_valid(open->name)) {
        refuse(session, open->stream, WIRE_RESET_PROTOCOL);
    } else if (!is_first_open(session, open->stream)) {
        say_unknown(session, open->stream);
    } else if (session->opened_count >= session->streams->config.streams_max_per_peer) {
        session_exceeded(session->streams, &session->id, "opened more streams than it may");
        refuse(session, open->stream, WIRE_RESET_REFUSED);
    } else if (take_open(session, open) != WEFT_OK) {
        refuse(session, open->stream, WIRE_RESET_REFUSED);
    }
    return false;
}

/* Whether an OPEN may still come for this id: lost, to be repeated, or late. */
static bool may_yet_open(const struct session *session, uint64_t wire_id) {
    uint64_t number = wire_id & (UINT64_MAX >> 1);
    return stream_is_peers_id(session, wire_id) &&
           (session->opened == NULL || opened_is_new(session->opened, number));
}

/* Whatever the other end said, it said it because one of us accepted. */
static void agree(struct stream *stream) {
    stream->is_accept_known = true;
    stream_accepted(stream);
}

/* The stream that an ack or a probe is about. Before we accepted there is nothing to speak of. */
static struct stream *find(struct arrival *arrival, uint64_t wire_id) {
    struct stream *stream = stream_on_wire(arrival->session, wire_id);
    if (stream == NULL || stream->state == STREAM_STATE_INCOMING) {
        return NULL;
    }
    agree(stream);
    return stream;
}

static void after_ack(struct arrival *arrival, struct stream *stream) {
    struct streams *streams = arrival->session->streams;
    stream_progress(stream, arrival->now);
    stream_offer_room(streams, stream);
    stream_queue(stream);
    stream_watch(stream, arrival->now);
    stream_close_if_done(stream);
    streams_feed_starved(streams);
    session_wake(arrival->session); /* the window may have opened for others */
}

static bool handle_ack(struct arrival *arrival, const struct wire_part_ack *ack) {
    struct stream *stream = find(arrival, ack->stream);
    if (stream == NULL) {
        return false;
    }
    bool is_news = false;
    enum weft_err err = send_ack(arrival->session->streams, stream, ack, arrival->now, &is_news);
    if (err != WEFT_OK) {
        stream_violate(stream, arrival->now);
        return false;
    }
    if (is_news) {
        after_ack(arrival, stream);
    } else {
        stream_queue(stream); /* a loss may have been proven */
    }
    stream_check_early(stream, arrival->now);
    return is_news;
}

static bool handle_accept(struct arrival *arrival, const struct wire_part_accept *accept) {
    struct stream *stream = stream_on_wire(arrival->session, accept->stream);
    if (stream == NULL || !stream->is_opener) {
        return false;
    }
    bool is_news = stream->state == STREAM_STATE_OPENING;
    stream_accepted(stream);
    if (accept->credit > stream->send.credit) {
        stream->send.credit = accept->credit;
        stream_offer_room(arrival->session->streams, stream);
    }
    stream_progress(stream, arrival->now);
    stream_queue(stream);
    stream_watch(stream, arrival->now);
    return is_news;
}

static void after_data(struct arrival *arrival, struct stream *stream,
                       const struct receive_result *result, bool was_readable) {
    if (stream->state == STREAM_STATE_INCOMING) {
        return; /* held until the accept, which tells of it */
    }
    if (result->is_new) {
        stream_progress(stream, arrival->now);
    }
    /* An end is mostly answered by an end, which takes the ack along; who has said all is waiting.
     */
    bool is_awaited = stream->send.is_fin_sent && receive_has_all(&stream->receive);
    if (result->must_ack || is_awaited) {
        stream_owe(stream, DUE_ACK);
    } else {
        stream_owe_ack_later(stream, arrival->now);
    }
    if (!was_readable && receive_is_readable(&stream->receive)) {
        stream_raise(arrival->session->streams, stream, STREAM_EVENT_READABLE);
    }
    stream_close_if_done(stream); /* an end alone needs no reading */
}

/* Bytes within the credit of the OPEN may have left before the opener knew of our accept. */
static bool is_past_open(const struct stream *stream, const struct wire_part_data *data) {
    return stream->is_opener || data->offset + data->bytes.len > WIRE_OPEN_CREDIT;
}

static bool handle_data(struct arrival *arrival, const struct wire_part_data *data) {
    struct session *session = arrival->session;
    struct stream *stream = stream_on_wire(session, data->stream);
    if (stream == NULL) {
        if (!may_yet_open(session, data->stream)) {
            say_unknown(session, data->stream);
        }
        return false;
    }
    if (stream->state != STREAM_STATE_INCOMING && is_past_open(stream, data)) {
        agree(stream);
    }
    struct receive_result result;
    bool was_readable = receive_is_readable(&stream->receive);
    uint64_t before = stream->receive.arrived;
    if (receive_data(&stream->receive, data, arrival->frame, &result) != WEFT_OK) {
        stream_violate(stream, arrival->now);
        return false;
    }
    stream->receive.marks += arrival->is_congested ? 1 : 0;
    session->streams->counters.bytes_received += stream->receive.arrived - before;
    after_data(arrival, stream, &result, was_readable);
    return result.is_new;
}

/* The peer does not know the stream any more, and all we wait for is that it took our end: it
 * closed, and its last ack was lost. */
static bool has_closed_there(const struct stream *stream, uint16_t reason) {
    return reason == WIRE_RESET_UNKNOWN_STREAM && stream->state == STREAM_STATE_OPEN &&
           stream->send.is_fin_sent && receive_has_all(&stream->receive);
}

static bool handle_reset(struct arrival *arrival, const struct wire_part_reset *reset) {
    struct stream *stream = stream_on_wire(arrival->session, reset->stream);
    if (stream == NULL) {
        return session_reset_answered(arrival->session, reset->stream);
    }
    if (has_closed_there(stream, reset->reason)) {
        struct wire_part_ack all = {.flags = WIRE_ACK_FIN, .cumulative = stream->send.end};
        bool is_news = false;
        enum weft_err err =
            send_ack(arrival->session->streams, stream, &all, arrival->now, &is_news);
        ASSERT(err == WEFT_OK);
        stream_close_if_done(stream);
        return false;
    }
    /* None is what a good end has, and must not be told so here. */
    enum wire_reset_reason reason = reset->reason != WIRE_RESET_NONE
                                        ? (enum wire_reset_reason)reset->reason
                                        : WIRE_RESET_PROTOCOL;
    refuse(arrival->session, reset->stream, reason);
    stream_end(stream, reason, arrival->now);
    return false;
}

static bool handle_probe(struct arrival *arrival, const struct wire_part_probe *probe) {
    struct stream *stream = find(arrival, probe->stream);
    if (stream != NULL) {
        stream_owe(stream, DUE_ACK);
    } else if (stream_on_wire(arrival->session, probe->stream) == NULL) {
        say_unknown(arrival->session, probe->stream);
    }
    return false;
}

static void path_probe_answered(struct session *session) {
    session->is_path_probed = false; /* heeded once */
    for (struct list *link = session->streams_all.next; link != &session->streams_all;
         link = link->next) {
        struct stream *stream = LIST_OWNER(link, struct stream, session_link);
        send_lose_before(stream, session->path_probe_order);
        stream_queue(stream);
    }
}

static void stream_probe_answered(struct session *session, uint32_t index, uint32_t count,
                                  weft_ns now) {
    struct streams *streams = session->streams;
    struct stream *stream = index < streams->slot_count ? streams->slots[index].stream : NULL;
    struct probe probe;
    if (stream == NULL || stream->session != session || !stream_take_probe(stream, count, &probe)) {
        return;
    }
    window_measure(session, time_since(probe.sent_at, now));
    uint32_t lost_before = stream->send.lost_count;
    send_lose_before(stream, probe.order);
    if (stream->send.lost_count > lost_before) {
        window_cut(session, probe.order, WINDOW_CUT_LOSS);
        stream_heard(stream, now);
    }
    stream_queue(stream);
}

static void notice(struct streams *streams, struct stream_event *event) {
    size_t len = event->payload == NULL ? 0 : event->payload->len;
    if (streams->notice_bytes + len > untaken_bytes_max(streams) ||
        ring_push(&streams->notices, event) != WEFT_OK) {
        frame_unref(event->payload); /* a message is delivered at most once */
        return;
    }
    streams->notice_bytes += len;
}

static bool handle_pong(struct arrival *arrival, uint64_t token) {
    struct session *session = arrival->session;
    uint32_t count = (uint32_t)(token >> 32) & (UINT32_MAX >> 1);
    if (token < TOKEN_PROBE) {
        struct stream_event event = {
            .kind = STREAM_EVENT_PONG, .peer = session->id, .token = token};
        notice(session->streams, &event);
    } else if ((uint32_t)token != TOKEN_PATH) {
        stream_probe_answered(session, (uint32_t)token, count, arrival->now);
    } else if (session->is_path_probed && count == session->path_probe_count) {
        path_probe_answered(session);
    }
    return false;
}

static bool handle_ping(struct arrival *arrival, uint64_t token) {
    if (token >= TOKEN_PROBE) {
        arrival->session->probe_heard = token;
    }
    if (ring_push(&arrival->session->pongs, &token) == WEFT_OK) {
        session_wake(arrival->session);
    }
    return false;
}

static bool handle_message(struct arrival *arrival, const struct wire_part_message *message) {
    struct stream_event event = {.kind = STREAM_EVENT_MESSAGE, .peer = arrival->session->id};
    if (!span_to_text(message->channel, event.name, sizeof event.name)) {
        return false;
    }
    bool is_large = arrival->frame != NULL && message->payload.len >= FRAME_KEEP_BYTES;
    event.payload =
        is_large ? frame_slice(arrival->frame, message->payload) : frame_copy(message->payload);
    if (event.payload == NULL) {
        return false;
    }
    if (DEFECT(MESSAGE_TWICE) && message->payload.len % 8 == 0) {
        struct stream_event again = event;
        frame_ref(again.payload);
        notice(arrival->session->streams, &again);
    }
    notice(arrival->session->streams, &event);
    return message->payload.len > 0;
}

static bool handle_flow_end(struct session *session, const struct wire_part_flow_end *end) {
    struct flow *flow = flow_on_wire(session, end->flow);
    if (flow != NULL) {
        flow_heard_end(flow, (enum wire_reset_reason)end->reason);
    }
    return false;
}

/* Acts on one part; whether it brought anything. */
static bool handle(struct arrival *arrival, const struct wire_part *part) {
    switch ((enum wire_part_type)part->type) {
    case WIRE_PART_OPEN:
        return handle_open(arrival, &part->as.open);
    case WIRE_PART_ACCEPT:
        return handle_accept(arrival, &part->as.accept);
    case WIRE_PART_DATA:
        return handle_data(arrival, &part->as.data);
    case WIRE_PART_ACK:
        return handle_ack(arrival, &part->as.ack);
    case WIRE_PART_RESET:
        return handle_reset(arrival, &part->as.reset);
    case WIRE_PART_PROBE:
        return handle_probe(arrival, &part->as.probe);
    case WIRE_PART_MESSAGE:
        return handle_message(arrival, &part->as.message);
    case WIRE_PART_PING:
        return handle_ping(arrival, part->as.ping.token);
    case WIRE_PART_PONG:
        return handle_pong(arrival, part->as.ping.token);
    case WIRE_PART_DATAGRAM:
        return flow_heard(arrival->session, &part->as.datagram, arrival->now);
    case WIRE_PART_FLOW_END:
        return handle_flow_end(arrival->session, &part->as.flow_end);
    }
    return false; /* of a later version: skipped */
}

/* Takes one useless part off the peer's budget; false, and deaf for a while, if that is spent. */
static bool charge(const struct arrival *arrival) {
    struct session *session = arrival->session;
    if (bucket_take(&session->budget, 1, PARTS_PER_S, PARTS_BURST, arrival->now)) {
        return true;
    }
    session->deaf_until = time_after(arrival->now, DEAF_FOR);
    session_exceeded(session->streams, &session->id, "sent more small parts than it may");
    return false;
}

static void handle_all(struct arrival *arrival, struct span plaintext) {
    struct wire_reader reader = wire_reader_of(plaintext);
    bool is_in_budget = plaintext.len > 0 || charge(arrival);
    while (is_in_budget && wire_reader_more(&reader)) {
        struct wire_part part;
        if (wire_part_next(&reader, &part) != WEFT_OK) {
            arrival->session->streams->counters.packets_refused++;
            return;
        }
        is_in_budget = handle(arrival, &part) || charge(arrival);
    }
}

/* Opens in place at `data`; the plaintext stands behind the header. */
static bool open_in_place(struct session_keys *keys, uint64_t number, uint8_t *data, size_t len) {
    return aead_open(keys->receive, number, span_of(data, WIRE_SEALED_HEADER_BYTES),
                     data + WIRE_SEALED_HEADER_BYTES, len - WIRE_SEALED_HEADER_BYTES) == WEFT_OK;
}

/* Where the packet is opened: where it lies if that is ours to write, else in a copy. A large one
 * is put where its bytes may stay until they are read. */
static uint8_t *place_for(struct streams *streams, const struct loan *bytes,
                          struct arrival *arrival) {
    if (bytes->bytes.len >= FRAME_KEEP_BYTES) {
        /* NULL: its bytes are copied once more */
        arrival->frame = frame_pool_keep(streams->config.frames, bytes);
    }
    if (arrival->frame != NULL) {
        return arrival->frame->data;
    }
    if (bytes->block != NULL) {
        return loan_data(bytes);
    }
    memcpy(streams->scratch, bytes->bytes.data, bytes->bytes.len);
    return streams->scratch;
}

static void take(struct streams *streams, struct session_keys *keys, uint64_t number,
                 const struct loan *bytes, struct arrival *arrival) {
    size_t len = bytes->bytes.len;
    uint8_t *data = place_for(streams, bytes, arrival);
    if (!open_in_place(keys, number, data, len)) {
        streams->counters.packets_refused++;
        streams->counters.packets_spoilt++;
        return;
    }
    replay_mark(&keys->replay, number);
    session_confirm(arrival->session, keys, arrival->now);
    handle_all(arrival, span_of(data + WIRE_SEALED_HEADER_BYTES, len - WIRE_SEALED_OVERHEAD));
}

void streams_packet(struct streams *streams, const struct weft_peer_id *source,
                    const struct weft_peer_id *neighbour, struct loan bytes, bool is_congested,
                    weft_ns now) {
    struct wire_packet packet;
    if (wire_packet_decode(bytes.bytes, &packet) != WEFT_OK) {
        streams->counters.packets_refused++;
        return;
    }
    if (packet.type != WIRE_PACKET_SEALED) {
        session_handshake_packet(streams, source, neighbour, &packet, now);
        return;
    }
    struct session_keys *keys = session_keys_for(streams, source, &packet, now);
    if (keys == NULL || keys->session->deaf_until > now) {
        streams->counters.packets_refused++;
        return;
    }
    struct arrival arrival = {.session = keys->session, .is_congested = is_congested, .now = now};
    take(streams, keys, packet.number, &bytes, &arrival);
    frame_unref(arrival.frame);
}
