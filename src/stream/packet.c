/* SPDX-License-Identifier: Apache-2.0
 *
 * What leaves. Small parts of many streams share a packet of class MESSAGE. Bytes go alone, a
 * stream's own flow in class STREAM, so that one stream's packets stay in order and relays can be
 * fair; they are sealed on their way from the send buffer, which keeps them until they are
 * acknowledged, to the packet.
 */
#include "stream/packet.h"

#include "base/check.h"
#include "base/defect.h"
#include "base/frame_pool.h"
#include "stream/flow.h"
#include "stream/receive.h"
#include "stream/send.h"
#include "stream/session.h"
#include "stream/stream.h"
#include "stream/window.h"

#define SMALL_PART_MAX ((size_t)(WIRE_PART_HEADER_BYTES + 30 + 16 * WIRE_ACK_RANGES_MAX))
#define STREAM_PARTS_MAX (2 * SMALL_PART_MAX) /* open or accept, ack, probe */
#define CONTROL_BYTES_MAX 12288 /* of small parts, so that the largest message fits beside them */
#define MESSAGES_GATHERED_MAX 4096 /* below, a packet of messages is copied to its size */
#define DATA_PART_HEADER (WIRE_PART_HEADER_BYTES + WIRE_DATA_HEADER_BYTES)

static void write_header(struct wire_writer *writer, const struct session_keys *keys) {
    struct wire_packet packet = {
        .type = WIRE_PACKET_SEALED, .receiver_index = keys->remote_index, .number = keys->number};
    wire_packet_encode(writer, &packet);
}

/* Seals what stands behind the header and, behind that, `rest` on its way from where it is; the tag
 * follows. Returns the packet's length. */
static size_t seal(struct session_keys *keys, struct wire_writer *writer, struct span rest) {
    size_t len = writer->len + rest.len;
    ASSERT(!writer->has_failed && len + AEAD_TAG_BYTES <= WIRE_PACKET_BYTES_MAX);
    aead_seal_with(keys->send, keys->number, span_of(writer->data, WIRE_SEALED_HEADER_BYTES),
                   writer->data + WIRE_SEALED_HEADER_BYTES, writer->len - WIRE_SEALED_HEADER_BYTES,
                   rest);
    keys->number += DEFECT(NUMBER_REUSED) && len % 16 == 0 ? 0 : 1;
    return len + AEAD_TAG_BYTES;
}

static void write_part(struct wire_writer *writer, struct wire_part part) {
    wire_part_encode(writer, &part);
}

static void write_ack(struct wire_writer *writer, struct stream *stream) {
    struct wire_part part = {.type = WIRE_PART_ACK};
    receive_ack(stream, stream->session->streams, &part.as.ack);
    wire_part_encode(writer, &part);
    stream_acked(stream);
}

static void write_open(struct wire_writer *writer, struct stream *stream) {
    struct streams *streams = stream->session->streams;
    const struct stream_service *service = stream->service;
    write_part(writer, (struct wire_part){.type = WIRE_PART_OPEN,
                                          .as.open = {
                                              .stream = stream->wire_id,
                                              .credit = receive_grant(&stream->receive, streams),
                                              .protocol = service->protocol,
                                              .name_space = span_of_text(service->name_space),
                                              .name = span_of_text(service->name),
                                          }});
    stream->is_open_sent = true;
}

static void write_accept(struct wire_writer *writer, struct stream *stream) {
    struct streams *streams = stream->session->streams;
    write_part(writer, (struct wire_part){.type = WIRE_PART_ACCEPT,
                                          .as.accept = {stream->wire_id,
                                                        receive_grant(&stream->receive, streams)}});
}

static void write_probe(struct wire_writer *writer, const struct stream *stream) {
    write_part(writer, (struct wire_part){.type = WIRE_PART_PROBE, .as.probe = {stream->wire_id}});
}

static void write_token(struct wire_writer *writer, uint8_t type, uint64_t token) {
    write_part(writer, (struct wire_part){.type = type, .as.ping = {token}});
}

static bool owes_open(const struct stream *stream) {
    return (stream->due & DUE_OPEN) != 0 && stream->state == STREAM_STATE_OPENING;
}

static void write_owed(struct wire_writer *writer, struct stream *stream, weft_ns now) {
    uint8_t due = stream->due;
    if (owes_open(stream)) {
        write_open(writer, stream);
        stream_watch(stream, now);
    }
    if ((due & DUE_ACCEPT) != 0) {
        write_accept(writer, stream);
    }
    if ((due & DUE_ACK) != 0) {
        write_ack(writer, stream);
    }
    if ((due & DUE_PROBE) != 0) {
        write_probe(writer, stream);
        stream_watch(stream, now);
    }
    stream->due = 0;
    list_remove(&stream->control_link);
}

static bool has_room(const struct wire_writer *writer, size_t len) {
    return writer->len + len <= CONTROL_BYTES_MAX;
}

static void write_farewells(struct wire_writer *writer, struct session *session) {
    struct farewell farewell;
    while (has_room(writer, SMALL_PART_MAX) && ring_pop(&session->farewells, &farewell)) {
        if (farewell.reason != WIRE_RESET_NONE) {
            write_part(writer, (struct wire_part){.type = WIRE_PART_RESET,
                                                  .as.reset = {farewell.stream, farewell.reason}});
            continue;
        }
        write_part(writer, (struct wire_part){.type = WIRE_PART_ACK,
                                              .as.ack = {.stream = farewell.stream,
                                                         .flags = WIRE_ACK_FIN,
                                                         .cumulative = farewell.cumulative,
                                                         .credit = farewell.cumulative,
                                                         .marks = farewell.marks}});
    }
}

static void write_flow_ends(struct wire_writer *writer, struct session *session) {
    struct flow_farewell end;
    while (has_room(writer, SMALL_PART_MAX) && ring_pop(&session->flow_ends, &end)) {
        write_part(writer, (struct wire_part){.type = WIRE_PART_FLOW_END,
                                              .as.flow_end = {end.flow, end.reason}});
    }
}

static void write_streams(struct wire_writer *writer, struct session *session, weft_ns now) {
    struct list *link;
    while (has_room(writer, STREAM_PARTS_MAX) && (link = list_first(&session->control)) != NULL) {
        write_owed(writer, LIST_OWNER(link, struct stream, control_link), now);
    }
}

static uint64_t probe_token(uint32_t count, uint32_t index) {
    return TOKEN_PROBE | (uint64_t)(count & (UINT32_MAX >> 1)) << 32 | index;
}

/* Behind the last PROBE: its answer tells that all the acks before it are the probes' answers. */
static void write_path_ping(struct wire_writer *writer, struct session *session) {
    if (!session->has_path_probe) {
        return;
    }
    session->has_path_probe = false;
    session->is_path_probed = true;
    session->path_probe_count = (session->path_probe_count + 1) & (UINT32_MAX >> 1);
    session->path_probe_order = session->order_next;
    write_token(writer, WIRE_PART_PING, probe_token(session->path_probe_count, TOKEN_PATH));
}

static void write_tokens(struct wire_writer *writer, struct ring *tokens, uint8_t type) {
    uint64_t token;
    while (has_room(writer, SMALL_PART_MAX) && ring_pop(tokens, &token)) {
        write_token(writer, type, token);
    }
}

static void write_messages(struct wire_writer *writer, struct session *session) {
    struct frame **first;
    while ((first = ring_at(&session->messages, 0)) != NULL &&
           (*first)->len <= writer->size - AEAD_TAG_BYTES - writer->len) {
        struct frame *frame = *first;
        wire_write_bytes(writer, frame_view(frame));
        session->message_bytes -= frame->len;
        (void)ring_pop(&session->messages, &frame);
        frame_unref(frame);
    }
}

/* Messages wait where streams do: the link would refuse them, and their sender can be told. */
static bool has_messages(const struct session *session) {
    return session->messages.count > 0 && !session->is_blocked;
}

static bool owes_small_parts(const struct session *session) {
    return session->is_confirm_due || session->farewells.count > 0 ||
           !list_is_empty(&session->control) || session->pings.count > 0 ||
           session->pongs.count > 0 || has_messages(session) || session->flow_ends.count > 0;
}

/* Large messages go straight into the packet's frame, NULL for little, which is gathered first. */
static struct frame *frame_for_messages(const struct session *session) {
    if (!has_messages(session) || session->message_bytes < MESSAGES_GATHERED_MAX) {
        return NULL;
    }
    size_t size = CONTROL_BYTES_MAX + session->message_bytes + WIRE_SEALED_OVERHEAD;
    return frame_new(size < WIRE_PACKET_BYTES_MAX ? size : WIRE_PACKET_BYTES_MAX);
}

static bool next_control(struct session *session, weft_ns now, struct stream_packet *out) {
    if (!owes_small_parts(session)) {
        return false;
    }
    struct session_keys *keys = session->current;
    struct frame *frame = frame_for_messages(session);
    struct wire_writer writer =
        frame != NULL ? wire_writer_of(frame->data, frame->size)
                      : wire_writer_of(session->streams->scratch, WIRE_PACKET_BYTES_MAX);
    write_header(&writer, keys);
    write_farewells(&writer, session);
    write_flow_ends(&writer, session);
    write_streams(&writer, session, now);
    if (list_is_empty(&session->control)) {
        write_path_ping(&writer, session);
        write_tokens(&writer, &session->pongs, WIRE_PART_PONG); /* behind the acks they vouch for */
        write_tokens(&writer, &session->pings, WIRE_PART_PING);
    }
    if (has_messages(session)) {
        write_messages(&writer, session);
    }
    session->is_confirm_due = false;
    size_t len = seal(keys, &writer, span_of(NULL, 0));
    if (frame != NULL) {
        frame->len = (uint32_t)len;
    } else {
        frame = frame_pool_copy(session->streams->config.frames, span_of(writer.data, len));
    }
    out->frame = frame;
    out->class = WIRE_CLASS_MESSAGE;
    out->flow = 0;
    return out->frame != NULL;
}

static uint32_t flow_of(const struct stream *stream) {
    return session_label(stream->session, stream->wire_id);
}

/* An OPEN or an ack that waits goes with the bytes for free. */
static size_t owed_bytes(const struct stream *stream) {
    return list_is_linked(&stream->control_link) ? SMALL_PART_MAX : 0;
}

static void write_beside_data(struct wire_writer *writer, struct stream *stream) {
    if (owes_open(stream)) {
        write_open(writer, stream);
        stream->due = 0;
        list_remove(&stream->control_link);
    } else if (list_is_linked(&stream->control_link)) {
        write_ack(writer, stream);
    }
}

/* A packet in place: a frame, its writer behind the header. False when out of memory. */
static bool begin(struct session *session, size_t size, struct stream_packet *out,
                  struct wire_writer *writer) {
    out->frame = frame_pool_take(session->streams->config.frames, size + WIRE_SEALED_OVERHEAD);
    if (out->frame == NULL) {
        return false;
    }
    *writer = wire_writer_of(out->frame->data, size + WIRE_SEALED_HEADER_BYTES);
    write_header(writer, session->current);
    return true;
}

static void end(struct session *session, const struct stream *stream, struct wire_writer *writer,
                struct span rest, struct stream_packet *out) {
    out->frame->len = (uint32_t)seal(session->current, writer, rest);
    out->class = WIRE_CLASS_STREAM;
    out->flow = flow_of(stream);
    session->order_next++;
}

/* Through the stream's own flow, so that the probe does not overtake what it asks for. */
static bool next_probe(struct session *session, weft_ns now, struct stream_packet *out) {
    struct list *link = list_first(&session->probes);
    struct wire_writer writer;
    if (link == NULL || !begin(session, 2 * SMALL_PART_MAX, out, &writer)) {
        return false;
    }
    struct stream *stream = LIST_OWNER(link, struct stream, probe_link);
    list_remove(link);
    stream_probe_leaves(stream, now);
    write_probe(&writer, stream);
    write_token(&writer, WIRE_PART_PING,
                probe_token(stream->probe_count, (uint32_t)stream->id.value));
    end(session, stream, &writer, span_of(NULL, 0), out);
    return true;
}

/* All of the part but its bytes, which follow as they are sealed. */
static void write_data(struct wire_writer *writer, const struct stream *stream,
                       const struct segment *segment) {
    bool has_fin = segment->has_fin && !(DEFECT(FIN_DROPPED) && segment->is_resent);
    uint64_t offset = segment->start + (DEFECT(RESENT_MISPLACED) && segment->is_resent ? 1 : 0);
    const struct wire_part_data data = {
        .stream = stream->wire_id, .offset = offset, .flags = has_fin ? WIRE_DATA_FIN : 0};
    wire_data_begin(writer, &data, segment->len);
}

/* One packet of one stream's bytes; then the stream goes to the end of the line. */
static bool build_data(struct session *session, struct stream *stream, weft_ns now,
                       struct stream_packet *out) {
    struct segment segment;
    struct span bytes;
    struct wire_writer writer;
    if (!send_take(session->streams, stream, now, &segment, &bytes)) {
        return false;
    }
    stream_queue(stream);
    stream_watch(stream, now);
    size_t owed = owed_bytes(stream);
    if (!begin(session, owed + DATA_PART_HEADER + bytes.len, out, &writer)) {
        return false; /* as if lost on the way */
    }
    write_beside_data(&writer, stream);
    write_data(&writer, stream, &segment);
    end(session, stream, &writer, bytes, out);
    return true;
}

/* Whether bytes of this stream may leave as far as its accept is concerned. */
static bool may_carry(const struct session *session, const struct stream *stream) {
    return stream->state != STREAM_STATE_OPENING || window_has_early_room(session);
}

/* An OPEN that is due, with the first bytes behind it if there are some and they may leave; else it
 * goes with the small parts. */
static bool next_open(struct session *session, weft_ns now, struct stream_packet *out) {
    struct list *link;
    while ((link = list_first(&session->opens)) != NULL) {
        struct stream *stream = LIST_OWNER(link, struct stream, control_link);
        list_remove(&stream->data_link);
        if (!session->is_blocked && owes_open(stream) && window_has_early_room(session) &&
            build_data(session, stream, now, out)) {
            return true;
        }
        list_remove(link);
        list_push(&session->control, link);
        stream_queue(stream);
    }
    return false;
}

/* A packet of a stream that has little to say; one that found too much of that under way, or has
 * more to say by now, takes its turn among the others. */
static bool next_thin(struct session *session, weft_ns now, struct stream_packet *out) {
    struct list *link;
    while ((link = list_first(&session->thin)) != NULL) {
        struct stream *stream = LIST_OWNER(link, struct stream, data_link);
        list_remove(link);
        if (!window_has_thin_room(session) || !send_is_thin(&stream->send)) {
            list_push(&session->data, link);
        } else if (build_data(session, stream, now, out)) {
            return true;
        }
    }
    return false;
}

static bool next_data(struct session *session, weft_ns now, struct stream_packet *out) {
    struct list *link;
    while (window_has_room(session) && (link = list_first(&session->data)) != NULL) {
        struct stream *stream = LIST_OWNER(link, struct stream, data_link);
        list_remove(link);
        if (may_carry(session, stream) && build_data(session, stream, now, out)) {
            return true;
        }
    }
    return false;
}

/* Datagrams of one flow that wait together leave together. */
static bool next_datagrams(struct session *session, weft_ns now, struct stream_packet *out) {
    struct flow *flow = flow_next(session, now);
    struct wire_writer writer;
    if (flow == NULL || !begin(session, flow_packet_bytes(flow), out, &writer)) {
        return false;
    }
    flow_write(flow, &writer);
    out->frame->len = (uint32_t)seal(session->current, &writer, span_of(NULL, 0));
    out->class = WIRE_CLASS_STREAM;
    out->flow = flow_label(flow);
    out->is_datagram = true;
    return true;
}

/* Streams and datagrams take turns, and what one leaves the other takes. */
static bool next_in_turn(struct session *session, weft_ns now, struct stream_packet *out) {
    session->is_datagrams_turn = !session->is_datagrams_turn;
    return (session->is_datagrams_turn && next_datagrams(session, now, out)) ||
           next_probe(session, now, out) || next_thin(session, now, out) ||
           next_data(session, now, out) || next_datagrams(session, now, out);
}

static bool has_work(const struct session *session) {
    return !list_is_empty(&session->opens) || !list_is_empty(&session->control) ||
           !list_is_empty(&session->thin) || !list_is_empty(&session->data) ||
           !list_is_empty(&session->probes) || !list_is_empty(&session->flows_ready) ||
           session->messages.count > 0 || session->pings.count > 0 || session->is_wanted;
}

/* Handshakes, which travel without a flow. */
static bool fill_bare(struct frame *frame, struct stream_packet *out) {
    out->class = WIRE_CLASS_MESSAGE;
    out->flow = 0;
    out->frame = frame;
    return frame != NULL;
}

bool packet_next(struct session *session, weft_ns now, struct stream_packet *out) {
    if (session->route == STREAM_ROUTE_NONE) {
        return false;
    }
    out->destination = session->id;
    out->is_datagram = false;
    if (fill_bare(session_take_answer(session, now), out)) {
        return true;
    }
    bool has_something = session->current == NULL ? has_work(session)
                                                  : has_work(session) || owes_small_parts(session);
    bool may_seal = has_something && session_may_seal(session, now);
    if (session->is_init_due) {
        return fill_bare(session_build_init(session, now), out);
    }
    if (!may_seal) {
        return false;
    }
    session->used_at = now;
    return next_open(session, now, out) || next_control(session, now, out) ||
           (!session->is_blocked && next_in_turn(session, now, out));
}
