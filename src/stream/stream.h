/* SPDX-License-Identifier: Apache-2.0
 *
 * A stream's life: its places in the tables, its state, its events. Sending is send.c, receiving
 * receive.c.
 */
#ifndef STREAM_STREAM_H
#define STREAM_STREAM_H

#include "stream/state.h"

/* The stream of an id, or NULL if it is gone. */
struct stream *stream_of(const struct streams *streams, struct stream_id id);

/* The peer's stream of a wire id, or NULL. */
struct stream *stream_on_wire(const struct session *session, uint64_t wire_id);

/* A new stream in no session. WEFT_ERR_FULL, WEFT_ERR_MEMORY. */
WEFT_MUST_CHECK enum weft_err stream_new(struct streams *streams, struct stream **out);

/* Joins a session under a wire id. WEFT_ERR_FULL, WEFT_ERR_MEMORY. */
WEFT_MUST_CHECK enum weft_err stream_join(struct stream *stream, struct session *session,
                                          uint64_t wire_id);

/* Leaves its session: no packet speaks of it any more. What must still be said is left behind. */
void stream_leave(struct stream *stream);

/* Frees it and its slot. */
void stream_free(struct streams *streams, struct stream *stream);

/* A fresh id for a stream that we open with this peer. */
uint64_t stream_next_wire_id(struct session *session);

/* Whether this id is one that the peer, not we, may open. */
bool stream_is_peers_id(const struct session *session, uint64_t wire_id);

/* Queues an event. */
void stream_raise(struct streams *streams, struct stream *stream, enum stream_event_kind kind);

/* It owes these small parts now. */
void stream_owe(struct stream *stream, uint8_t due);

/* It owes an ack within ACK_DELAY. */
void stream_owe_ack_later(struct stream *stream, weft_ns now);

/* An ack has just left. */
void stream_acked(struct stream *stream);

/* Queues it for sending if it has something to send. */
void stream_queue(struct stream *stream);

/* Watches for silence while an answer is awaited. */
void stream_watch(struct stream *stream, weft_ns now);
void stream_probe_timer(struct stream *stream, weft_ns now);

/* A probe leaves: it is awaited as the last one, and as the first if none was. */
void stream_probe_leaves(struct stream *stream, weft_ns now);

/* The awaited probe of that count, whose answer has come; false if there is none. On a way of
 * several seconds probes leave before the first answer comes: were only the last one's heeded, none
 * would be for as long as they follow faster. */
WEFT_MUST_CHECK bool stream_take_probe(struct stream *stream, uint32_t count, struct probe *out);

/* Something is to be sent again, or moves: what is missed from now on is missed as soon as at
 * first. Not so a mere answer, or streams that wait for their readers would ask all the time. */
void stream_heard(struct stream *stream, weft_ns now);

/* The peer gave a sign that this stream moves. */
void stream_progress(struct stream *stream, weft_ns now);

/* The incoming stream's service has connected. */
void stream_accept(struct stream *stream, weft_ns now);

/* The far side is known to have accepted. */
void stream_accepted(struct stream *stream);

/* The first ack since then has been taken in: asks for what was sent before and is not in it, as
 * soon as that is more likely lost than on its way. Nothing sent later would prove the loss. */
void stream_check_early(struct stream *stream, weft_ns now);

/* Tells a writer that fell short of room, if there is some worth telling. */
void stream_offer_room(struct streams *streams, struct stream *stream);

/* The same for those that all send buffers together kept waiting, longest first. */
void streams_feed_starved(struct streams *streams);

/* It ends for a reason that came from outside: REFUSED before it was accepted, else RESET. */
void stream_end(struct stream *stream, enum wire_reset_reason reason, weft_ns now);

/* The peer broke the protocol: tells it and ends. */
void stream_violate(struct stream *stream, weft_ns now);

/* Ends it well if all was sent, acknowledged, received and read. */
void stream_close_if_done(struct stream *stream);

/* Events of the session below it. */
void stream_path_changed(struct stream *stream, weft_ns now);
void stream_peer_restarted(struct session *session, weft_ns now);

#endif
