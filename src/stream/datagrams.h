/* SPDX-License-Identifier: Apache-2.0
 *
 * Datagrams to services, inside the sessions of streams.h: not acknowledged, not sent again, not
 * kept in order, each whole or lost. Those of one client form a flow, named by a number within the
 * session of its two end nodes:
 *
 *   opener                                            acceptor
 *     | datagram(flow, "default/dns", bytes) ---------> | knows the flow from now on
 *     | <---------------------- datagram(flow, bytes)   |
 *     | datagram(flow, bytes) ------------------------> | the name is left out once one came back
 *     | <------------------------ flow end(flow, why)   | unknown: name it again; else: not here
 *
 * A flow has no state that could be lost, so its opener may move it to another provider with any
 * datagram. It ends when its own end says so, or after a time without a datagram either way: 30 s
 * while they went only one way, then 120 s (RFC 4787 asks no less of a NAT).
 *
 * Bounds: flows_max flows, flows_max_per_peer opened by one peer, at which the one that was idle
 * longest gives way; FLOW_QUEUE_MAX datagrams and FLOW_QUEUE_BYTES_MAX that wait in a flow for its
 * session or for room on the link, at which the oldest is dropped, as is one that waited for
 * FLOW_WAIT_MAX. A link drops datagrams too rather than let them queue (link/sendq.h).
 *
 * Datagrams to our own node pass from one end of the flow to the other without a session.
 */
#ifndef STREAM_DATAGRAMS_H
#define STREAM_DATAGRAMS_H

#include "stream/streams.h"

#define FLOW_QUEUE_MAX 64 /* a batch that was read at once */
#define FLOW_QUEUE_BYTES_MAX ((size_t)256 * 1024)
#define FLOW_WAIT_MAX (5 * NS_PER_S) /* by then whoever asked has asked again, or gave up */

/* Names a flow of this node; never reused while it runs. 0 is none. */
struct flow_id {
    uint64_t value;
};

struct datagram_service {
    struct span name_space; /* valid names */
    struct span name;
};

/* A flow to a service of `peer`; with our own id, `key` may be NULL. At the bound another flow
 * ends. WEFT_ERR_MEMORY. */
WEFT_MUST_CHECK enum weft_err datagrams_open(struct streams *streams,
                                             const struct weft_peer_id *peer,
                                             const struct weft_public_key *key,
                                             const struct datagram_service *service, weft_ns now,
                                             struct flow_id *out);

/* What is sent from now on goes to another peer, also after DATAGRAM_EVENT_REFUSED. Does nothing if
 * the flow is gone. */
void datagrams_move(struct streams *streams, struct flow_id flow, const struct weft_peer_id *peer,
                    const struct weft_public_key *key, weft_ns now);

/* Sends (a copy), or drops and counts: beyond WIRE_DATAGRAM_BYTES_MAX, without memory, or when the
 * flow is gone. */
void datagrams_send(struct streams *streams, struct flow_id flow, struct span bytes, weft_ns now);

/* Ends it: the other end hears why, there are no further events. Does nothing if it is gone. */
void datagrams_end(struct streams *streams, struct flow_id flow, enum wire_reset_reason reason);

/* Ends all that others opened, with DATAGRAM_EVENT_END for each: their openers may move them. */
void datagrams_end_incoming(struct streams *streams, enum wire_reset_reason reason);

enum datagram_event_kind {
    DATAGRAM_EVENT_INCOMING, /* a peer's flow to a service of ours; data follows */
    DATAGRAM_EVENT_DATA,
    DATAGRAM_EVENT_REFUSED, /* of ours: the peer will not serve it; move or end it */
    DATAGRAM_EVENT_END,     /* it is gone: idle, ended by the opener, or the peer restarted */
};
struct datagram_event {
    enum datagram_event_kind kind;
    struct flow_id flow;
    enum wire_reset_reason reason; /* REFUSED, END */
    struct frame *payload;         /* DATA; the caller's to unref */
};
bool datagrams_next_event(struct streams *streams, struct datagram_event *out);

/* Whom a flow leads to, and the service that it is for. False if it is gone. Borrowed until the
 * flow ends. */
bool datagrams_look(const struct streams *streams, struct flow_id flow, struct weft_peer_id *peer,
                    struct datagram_service *service);

/* Whether we opened it: only then it may be moved. */
bool datagrams_is_opener(const struct streams *streams, struct flow_id flow);

/* Whether what is sent to the flow's peer now has a way to go. */
bool datagrams_has_way(const struct streams *streams, struct flow_id flow);

struct datagrams_counters {
    uint64_t flows;  /* now */
    uint64_t opened; /* ever, both ways */
    uint64_t sent, received;
    uint64_t dropped; /* here: too large, waited too long, too many, no memory */
};
struct datagrams_counters datagrams_count(const struct streams *streams);

#endif
