/* SPDX-License-Identifier: Apache-2.0
 *
 * One end of a datagram flow: its places in the tables, its queue, its end. The contract with the
 * rest of the node is datagrams.h.
 */
#ifndef STREAM_FLOW_H
#define STREAM_FLOW_H

#include "stream/state.h"

/* The flow of an id, or NULL if it is gone. */
struct flow *flow_by_id(const struct streams *streams, struct flow_id id);

/* The session's flow of a wire id, or NULL. */
struct flow *flow_on_wire(const struct session *session, uint64_t wire_id);

/* A new flow in no session; at flows_max the one idle longest ends. WEFT_ERR_MEMORY. */
WEFT_MUST_CHECK enum weft_err flow_new(struct streams *streams, weft_ns now, struct flow **out);

/* Joins a session under a wire id. WEFT_ERR_MEMORY. */
WEFT_MUST_CHECK enum weft_err flow_join(struct flow *flow, struct session *session,
                                        uint64_t wire_id);

/* Leaves its session, or its twin; what waits to be sent is dropped. */
void flow_leave(struct flow *flow);

/* Frees it at once, without an event. */
void flow_free(struct flow *flow);

/* It is over: raises END, which frees it; of a flow that nobody has heard of nothing is said. */
void flow_end(struct flow *flow, enum wire_reset_reason reason);

/* Tells the other end, if there is one to tell. */
void flow_say_end(struct flow *flow, enum wire_reset_reason reason);

/* The other end said so. */
void flow_heard_end(struct flow *flow, enum wire_reset_reason reason);

/* A datagram came or went. */
void flow_touch(struct flow *flow, weft_ns now);

/* Hands a datagram that arrived to our side of the flow. */
void flow_deliver(struct flow *flow, struct span bytes);

/* Queues a copy for its session, which it has. */
void flow_queue(struct flow *flow, struct span bytes, weft_ns now);

/* The flow whose datagrams go next, or NULL; then how many bytes of parts its packet has, and those
 * parts. */
struct flow *flow_next(struct session *session, weft_ns now);
size_t flow_packet_bytes(const struct flow *flow);
void flow_write(struct flow *flow, struct wire_writer *writer);
/* For fair queueing: its own, and not a stream's. */
uint32_t flow_label(const struct flow *flow);

/* What the peer sent. Whether it brought anything. */
bool flow_heard(struct session *session, const struct wire_part_datagram *datagram, weft_ns now);

/* The session ends, or the peer has forgotten all flows. */
void flow_session_gone(struct session *session);
void flow_peer_restarted(struct session *session);

void flow_table_tick(struct streams *streams, weft_ns now);
weft_ns flow_table_deadline(const struct streams *streams);
WEFT_MUST_CHECK enum weft_err flow_table_init(struct streams *streams);
void flow_table_fini(struct streams *streams);

#endif
