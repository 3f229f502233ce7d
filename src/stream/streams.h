/* SPDX-License-Identifier: Apache-2.0
 *
 * End-to-end sessions and streams. One sealed session per pair of end nodes, shared by all their
 * streams and messages; relays keep no state of either.
 *
 * Session (session.c), per peer:
 *
 *   none --need--> initiating --response--> established --120 s or 2^32 packets--> rekeying
 *     ^               | 1 s, 2 s, 4 s ... resend   |  ^                             |   |
 *     +--give up------+                            |  +--------response-------------+   |
 *     +------------------- 180 s without new keys or a restart of the peer -------------+
 *
 * As in WireGuard there are up to three key sets per peer: previous (receives only), current, next
 * (made by an answered INIT, becomes current with its first sealed packet). When both sides
 * initiate, the one with the smaller peer id wins. Packet numbers are explicit; a window of 8,192
 * refuses repeats. A higher epoch is demanded of each INIT of one instance (replays); another
 * instance means that the peer restarted: its streams end with RESTARTED. UNKNOWN only makes us try
 * a handshake, at most one a second.
 *
 * Stream (stream.c), per direction, over absolute 64-bit offsets:
 *
 *   opening --accept--> open --fin sent and acknowledged, fin received and read--> closed
 *      |                  |
 *      +------reset-------+----> reset
 *
 * The sender keeps every byte until the far end node acknowledged it. The receiver acknowledges
 * nothing before it accepted, so an opener can retarget a refused stream with all its bytes.
 * Resending is triggered by a path event (probe at once, then what the answer shows missing), by
 * proven gaps (bytes sent later over the same path were acknowledged), and for the last packets of
 * a burst by a probe after max(250 ms, 4 round trips) of silence; never by a round-trip timer
 * alone.
 * With no path the stream waits `hold` (60 s), then resets with TIMEOUT.
 *
 * Flow control: credit is absolute and never goes back. Receive window 256 KiB, doubled when a full
 * window was consumed within two round trips, to 16 MiB, within receive_bytes_max for the node.
 * Congestion: a sending window per peer in bytes: doubles each round trip until the first mark or
 * proven loss, then grows by one 64 KiB packet a round trip; a mark takes 15 % off and a loss
 * 30 %, at most once a round trip.
 *
 * Hostile ends: bytes beyond credit, an acknowledgement beyond what was sent, a moved FIN, DATA
 * that contradicts a FIN: RESET_PROTOCOL (T14). Opens are refused beyond streams_max_per_peer; a
 * work budget per peer (20,000 parts a second, burst 40,000; bytes do not count) bounds floods of
 * small parts: beyond it packets are dropped (T15).
 */
#ifndef STREAM_STREAMS_H
#define STREAM_STREAMS_H

#include "base/frame.h"
#include "base/hash.h"
#include "base/host.h"
#include "noise/aead.h"
#include "noise/identity.h"
#include "wire/session.h"

struct streams;

/* Names a stream of this node; never reused while it runs. 0 is none. */
struct stream_id {
    uint64_t value;
};

struct streams_config {
    const struct identity *identity; /* outlives streams */
    const struct host *host;         /* outlives streams */
    struct frame_pool *frames;       /* where packets come from; outlives streams. NULL: the heap */
    const uint8_t *psk; /* WEFT_KEY_BYTES, derived from the mesh secret: "weft session psk";
                         * outlives streams */
    uint64_t incarnation;
    uint64_t instance;
    struct hash_key hash_key;
    size_t peers_max;   /* sessions: 4,096; beyond, the longest idle one without streams goes, but
                         * for who asks us none that was used within a minute */
    size_t streams_max; /* 65,536; beyond, opens are refused */
    size_t streams_max_per_peer; /* opened by one peer: 16,384 */
    size_t window_bytes;         /* first receive window: 256 KiB */
    size_t window_bytes_max;     /* 16 MiB */
    size_t receive_bytes_max;    /* granted credit of all streams not yet consumed: 256 MiB; besides
                                  that each may have WIRE_OPEN_CREDIT */
    size_t send_bytes_max;       /* one stream's send buffer: 4 MiB; write takes no more */
    size_t send_bytes_total_max; /* all streams' send buffers: 256 MiB */
    size_t flows_max;            /* of datagrams: 8,192 */
    size_t flows_max_per_peer;   /* opened by one peer: 2,048 */
    weft_ns flow_idle;           /* 120 s */
    weft_ns flow_unanswered;     /* 30 s */
    weft_ns hold;                /* 60 s */
    weft_ns rekey_after;         /* 120 s */
    weft_ns session_max;         /* 180 s */
};

/* Defaults as above, for everything that has one. */
void streams_config_defaults(struct streams_config *config);

WEFT_MUST_CHECK enum weft_err streams_new(const struct streams_config *config,
                                          struct streams **out);
void streams_free(struct streams *streams);

/* A session packet from `source` (the relay's word; proven by the session or dropped and counted)
 * that came over a link with `neighbour`, opened where it lies if the loan allows that.
 * Peers cannot cause errors here: what they send wrong is answered or counted. */
void streams_packet(struct streams *streams, const struct weft_peer_id *source,
                    const struct weft_peer_id *neighbour, struct loan bytes, bool is_congested,
                    weft_ns now);

enum stream_route {
    STREAM_ROUTE_NONE,    /* no path: wait */
    STREAM_ROUTE_SAME,    /* a path as before, or one that is up again with nothing lost */
    STREAM_ROUTE_CHANGED, /* another path, or the old one lost frames: find out what is missing */
    STREAM_ROUTE_MOVED,   /* another path, as the old one became dearer but still delivers: nothing
                             is missing, only the order between the two means nothing */
};
/* What routes say about a peer. Streams and messages to a peer of which nothing was said yet wait
 * as with NONE. */
void streams_route(struct streams *streams, const struct weft_peer_id *peer,
                   enum stream_route route, weft_ns now);

/* What the peer says of itself, signed: the life it is in. After a restart that we have not met by
 * a handshake yet the keys of its former life are dropped, and so are the streams that it knew;
 * those that had sent nothing go on with the new life. */
void streams_peer_life(struct streams *streams, const struct weft_peer_id *peer,
                       uint64_t incarnation, uint64_t instance, weft_ns now);

/* Whether packets of class STREAM for this peer may be taken by streams_next_packet: the link
 * towards it has room or not. Not blocked at first. Handshakes, messages and acks are given out
 * all the same. Said of a peer without a session it is forgotten. */
void streams_block(struct streams *streams, const struct weft_peer_id *peer, bool is_blocked);

/* Opens a stream to a service that `peer` offers. Data may be written at once; the first 16 KiB
 * leave without waiting for the accept. WEFT_ERR_FULL, WEFT_ERR_MEMORY. `name_space` and `name` are
 * valid names. */
WEFT_MUST_CHECK enum weft_err streams_open(struct streams *streams, const struct weft_peer_id *peer,
                                           const struct weft_public_key *key,
                                           const struct wire_part_open *service, weft_ns now,
                                           struct stream_id *out);

/* Opens the same stream to another peer, with all that was written so far, after
 * STREAM_EVENT_REFUSED. */
WEFT_MUST_CHECK enum weft_err streams_retarget(struct streams *streams, struct stream_id stream,
                                               const struct weft_peer_id *peer,
                                               const struct weft_public_key *key, weft_ns now);

/* The incoming stream's service has connected. Credit and acknowledgements begin. */
void streams_accept(struct streams *streams, struct stream_id stream, weft_ns now);

/* Copies up to `bytes.len` bytes into the send buffer; returns how many were taken. 0 means: wait
 * for STREAM_EVENT_WRITABLE. Nothing is taken after finish or a reset. */
size_t streams_write(struct streams *streams, struct stream_id stream, struct span bytes,
                     weft_ns now);

/* The same without a copy: where the next bytes are to stand, *len of them at most, at least 1.
 * NULL means: wait for STREAM_EVENT_WRITABLE (or the stream has ended). Then streams_written says
 * how many came, perhaps 0, before any other call on this stream. */
uint8_t *streams_write_space(struct streams *streams, struct stream_id stream, size_t *len);
void streams_written(struct streams *streams, struct stream_id stream, size_t len, weft_ns now);

/* How many bytes a write would take now: read no more than this from the application. */
size_t streams_write_room(const struct streams *streams, struct stream_id stream);

/* No more will be written: half-close. */
void streams_finish(struct streams *streams, struct stream_id stream, weft_ns now);

/* Borrows the next contiguous bytes in order, until the next call on this stream; empty when none.
 * Then streams_is_finished tells an end from a wait. */
struct span streams_peek(const struct streams *streams, struct stream_id stream);
/* The same, as up to `max` pieces; returns how many. */
size_t streams_peek_all(const struct streams *streams, struct stream_id stream, struct span *out,
                        size_t max);
void streams_consume(struct streams *streams, struct stream_id stream, size_t len, weft_ns now);
bool streams_is_finished(const struct streams *streams, struct stream_id stream);

/* Ends it both ways and forgets it: no further events. Does nothing if it is gone already. A stream
 * that closed or was reset must be released as well; releasing a living one is a programmer's
 * error. */
void streams_reset(struct streams *streams, struct stream_id stream, enum wire_reset_reason reason,
                   weft_ns now);
void streams_release(struct streams *streams, struct stream_id stream);

/* A message on a channel of `peer`, sealed end to end, at most 48 KiB; at most once: lost if a path
 * dies under it. WEFT_ERR_FULL when 1 MiB waits for this peer, WEFT_ERR_INVALID, WEFT_ERR_MEMORY.
 */
WEFT_MUST_CHECK enum weft_err streams_message(struct streams *streams,
                                              const struct weft_peer_id *peer,
                                              const struct weft_public_key *key,
                                              struct span channel, struct span payload,
                                              weft_ns now);
/* Asks `peer` for a pong with this token, below 2^63 (the upper half marks the pings that go with
 * probes), else WEFT_ERR_INVALID. Other errors as streams_message. */
WEFT_MUST_CHECK enum weft_err streams_ping(struct streams *streams, const struct weft_peer_id *peer,
                                           const struct weft_public_key *key, uint64_t token,
                                           weft_ns now);

/* What to send now. */
struct stream_packet {
    struct weft_peer_id destination;
    enum wire_class class; /* MESSAGE: handshakes, acks, messages; STREAM: data */
    uint32_t flow;
    bool is_datagram;    /* better dropped than late */
    struct frame *frame; /* a session packet; the caller's to unref */
};
bool streams_next_packet(struct streams *streams, weft_ns now, struct stream_packet *out);

enum stream_event_kind {
    STREAM_EVENT_INCOMING, /* peer wants a service: accept or reset */
    STREAM_EVENT_ACCEPTED, /* the far side's connect succeeded */
    STREAM_EVENT_REFUSED,  /* reset before accepted: retarget or release */
    STREAM_EVENT_READABLE, /* bytes or the end are there to peek: raised when there were none before
                            */
    STREAM_EVENT_WRITABLE, /* a write that fell short would now take bytes */
    STREAM_EVENT_RESET,    /* ended by the other side, a time-out or a restart: release */
    STREAM_EVENT_CLOSED,   /* all sent was acknowledged, all received was read: release */
    STREAM_EVENT_RESUMED,  /* goes on after a loss of its path, for the counters */
    STREAM_EVENT_MESSAGE,
    STREAM_EVENT_PONG,
};
struct stream_event {
    enum stream_event_kind kind;
    struct stream_id stream;
    struct weft_peer_id peer;
    enum wire_reset_reason reason;      /* REFUSED, RESET */
    uint8_t protocol;                   /* INCOMING */
    char name_space[WEFT_NAME_MAX + 1]; /* INCOMING */
    char name[WEFT_NAME_MAX + 1];       /* INCOMING: the service; MESSAGE: the channel */
    struct frame *payload;              /* MESSAGE; the caller's to unref */
    uint64_t token;                     /* PONG */
};
bool streams_next_event(struct streams *streams, struct stream_event *out);

/* Messages and pongs among the events that wait. Beyond 16,384 messages are lost. */
size_t streams_notice_count(const struct streams *streams);

/* We heard of ourselves in a later life than we thought to be in, as after a restart from an older
 * copy of our disk: peers take no handshake of what looks like a former life. */
void streams_raise_incarnation(struct streams *streams, uint64_t incarnation);

void streams_tick(struct streams *streams, weft_ns now);
weft_ns streams_deadline(const struct streams *streams);

/* Frees memory that was kept for more of the same and lay unused since the last call: at most 1
 * MiB.
 */
void streams_trim(struct streams *streams);

struct streams_counters {
    uint64_t open;            /* streams now */
    uint64_t opened;          /* ever */
    uint64_t resumed;         /* ever */
    uint64_t sessions;        /* now */
    uint64_t timers;          /* armed now */
    uint64_t packets_refused; /* did not open: forged, flipped, repeated or of an unknown session */
    uint64_t packets_spoilt;  /* of those: somebody on the way altered, repeated or made them up */
    uint64_t bytes_resent;
    uint64_t bytes_sent, bytes_received; /* payload, first time */
};
struct streams_counters streams_count(const struct streams *streams);
/* packets_spoilt alone: asked at each packet. */
uint64_t streams_spoilt_count(const struct streams *streams);

/* What a peer was refused because it had used up its own share of our work, and who: a literal for
 * the log, NULL if nobody was since the last call. It is proven that it was this peer: made-up and
 * repeated packets cost nobody's share. One is kept, so ask after each packet. */
const char *streams_take_excess(struct streams *streams, struct weft_peer_id *peer);

/* Whether there is a session with a peer, established or not: then it must hear of routes. */
bool streams_has_session(const struct streams *streams, const struct weft_peer_id *peer);

/* The sessions whose keys are in force, for status. Cost: all sessions. */
struct streams_session_view {
    struct weft_peer_id peer;
    enum aead_cipher cipher; /* agreed with this peer */
    weft_ns since;           /* when the session began: it outlives its keys */
    weft_ns keys_since;      /* when its keys were made */
    size_t streams;
};
void streams_each_session(const struct streams *streams,
                          void (*each)(void *ctx, const struct streams_session_view *view),
                          void *ctx);

#endif
