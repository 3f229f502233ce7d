/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of this folder share: the node's table of sessions and streams, a session (one
 * per peer) and a stream. Private to src/stream.
 *
 *   struct streams: sessions by peer id, and
 *     slots     stream_id -> stream
 *     ready     sessions with output
 *     events    streams with events
 *   struct session: streams by wire id, and
 *     control   streams that owe a small part
 *     delayed   streams whose ack may wait 5 ms
 *     data      streams with bytes to send, in turn
 *     thin      likewise, of little: they go first
 *     probes    streams that were silent too long
 */
#ifndef STREAM_STATE_H
#define STREAM_STATE_H

#include "base/bucket.h"
#include "base/map.h"
#include "base/ring.h"
#include "base/timers.h"
#include "stream/budget.h"
#include "stream/datagrams.h"
#include "stream/keys.h"
#include "stream/list.h"
#include "stream/opened.h"
#include "stream/streams.h"

/* Bytes of one DATA part: whole packets of this size fit a carrier, whose limit is 65,535. */
#define DATA_BYTES_MAX 61440
#define THIN_BYTES_MAX 16384 /* a stream with no more unacknowledged is thin: a TLS record */
#define SEGMENTS_MAX 1024    /* unacknowledged packets of one stream: bounds bookkeeping */
#define MESSAGE_BYTES_MAX ((size_t)48 * 1024)
#define MESSAGE_QUEUE_BYTES_MAX ((size_t)1024 * 1024)
#define RESETS_MAX 256     /* unanswered resets kept per peer; the far end's probe finds the rest */
#define FAREWELLS_MAX 4096 /* last words of streams that are gone; beyond, probes ask again */
#define FLOW_ENDS_MAX 1024 /* ends of flows not yet told; beyond, the other end asks or waits */
#define TOKENS_MAX 256     /* pings and pongs waiting per peer */
#define SCRATCH_BYTES 65536    /* the largest packet */
#define FRAME_KEEP_BYTES 16384 /* parts from this size on are kept in the packet they came in */
#define TOKEN_PROBE ((uint64_t)1 << 63) /* ping tokens from here on are probes' */
#define TOKEN_PATH UINT32_MAX /* in the place of a slot: the probe of a path, not of a stream */
#define ACK_DELAY (5 * NS_PER_MS)

enum stream_state {
    STREAM_STATE_OPENING,  /* we opened; no answer yet */
    STREAM_STATE_INCOMING, /* the peer opened; we have not accepted yet */
    STREAM_STATE_OPEN,
    STREAM_STATE_REFUSED, /* our open was refused: may be retargeted */
    STREAM_STATE_ENDED,   /* closed or reset: waits for its release */
};

enum stream_due {
    DUE_OPEN = 1,
    DUE_ACCEPT = 2,
    DUE_ACK = 4,
    DUE_PROBE = 8, /* after a path event, with those of other streams */
};

enum timer_kind {
    TIMER_PROBE,     /* stream: silent too long */
    TIMER_ACK,       /* session: delayed acks are due */
    TIMER_HANDSHAKE, /* session: send INIT again */
    TIMER_KEYS,      /* session: rekey, expire */
    TIMER_HOLD,      /* session: without a path too long */
    TIMER_RESETS,    /* session: resets unanswered */
};

/* The service an OPEN names; kept until it is answered or told. */
struct stream_service {
    uint8_t protocol;
    char name_space[WEFT_NAME_MAX + 1];
    char name[WEFT_NAME_MAX + 1];
};

/* Bytes that were written, in blocks. A segment never crosses a block's end, so that a packet is
 * sealed out of one piece; full large blocks hold one or four full packets. */
struct send_chunk {
    struct send_chunk *next;
    uint64_t start;
    uint32_t len;
    uint32_t size;
    uint8_t bytes[];
};

/* Free blocks, to be used again. */
struct send_blocks {
    struct send_chunk *first;
    uint32_t count;
    uint32_t unused; /* the least that lay here since the last trim */
};

enum segment_state {
    SEGMENT_IN_FLIGHT,
    SEGMENT_ARRIVED, /* a range said so; still below it something is missing */
    SEGMENT_LOST,    /* to be sent again */
};

/* What one packet carried of a stream. Segments tile [acked, next) in order of offset. */
struct segment {
    uint64_t start;
    uint64_t order; /* place among all packets sent to this peer */
    weft_ns sent_at;
    struct send_chunk *chunk; /* NULL when it is the FIN alone */
    uint32_t len;             /* without the FIN */
    uint8_t state;            /* enum segment_state */
    bool has_fin;
    bool is_resent; /* an ack may then mean the first copy: proves nothing, times nothing */
    bool is_early;  /* left before the accept: its ack waits for the service's connect */
    bool is_thin;   /* counted apart, as its stream has little under way */
};

struct send_side {
    struct send_chunk *head;
    struct send_chunk *tail;
    struct send_chunk *cursor; /* the block of `next`, or NULL: look from the head */
    struct send_chunk *spare;  /* lent to be read into; not yet behind the tail */
    uint64_t *peer_held; /* what those of all streams of its session take; NULL: it has none */
    size_t held;         /* what the blocks take, however little of them is left to send */
    uint32_t offered;    /* how much of it, or of the tail, was lent; 0: nothing is */
    uint8_t appetite;    /* how large the blocks are that reads fill */
    struct ring segments;
    uint64_t acked;  /* all below arrived and was freed */
    uint64_t next;   /* all from here was never sent */
    uint64_t end;    /* all below was written */
    uint64_t credit; /* the peer takes bytes below this */
    uint32_t lost_count;
    uint32_t marks; /* as last acknowledged */
    bool is_finished;
    bool is_fin_sent;
    bool is_fin_acked;
    bool has_resent;     /* order of offset is not order of sending any more */
    bool wants_writable; /* a write fell short */
};

/* Bytes that arrived, in order of offset, disjoint. */
struct receive_chunk {
    struct receive_chunk *next;
    struct frame *place; /* that this lies in, and that holds on to the packet with the bytes; NULL
                          * when they stand behind */
    const uint8_t *data;
    uint64_t start;
    uint32_t len;
    uint32_t size; /* room behind, when place is NULL */
    uint8_t bytes[];
};

struct receive_side {
    struct receive_chunk *head;
    struct receive_chunk *tail;
    struct receive_chunk *ordered; /* the last one without a gap before it, or NULL */
    uint64_t consumed;
    uint64_t arrived; /* all below arrived */
    uint64_t granted; /* credit told to the peer */
    uint64_t fin;     /* where it ends; UINT64_MAX: not known */
    uint64_t window;
    uint64_t round_from; /* what was consumed when the window's round began */
    weft_ns round_at;
    uint64_t acked;      /* `arrived` as last told */
    uint64_t held_bytes; /* memory of chunks beyond a gap */
    uint32_t held_count; /* how many those are */
    uint32_t packets;    /* since the last ack */
    uint32_t marks;      /* packets that came marked */
};

/* A question how far the other end got; what left before it and is not in its answer is lost. */
struct probe {
    uint32_t count; /* tells answers apart; 0: none is awaited */
    uint64_t order;
    weft_ns sent_at;
};

struct stream {
    struct session *session; /* NULL once refused or ended */
    struct weft_peer_id peer;
    struct stream_id id;
    uint64_t wire_id;
    enum stream_state state;
    enum wire_reset_reason reason;
    uint8_t due; /* bits of enum stream_due */
    uint8_t probe_tries;
    uint16_t events; /* bits 1 << enum stream_event_kind */
    bool is_opener;
    bool is_open_sent;
    bool is_accept_known;       /* the opener has shown that it knows of our accept */
    bool has_early;             /* accepted, but no ack has told of the bytes sent before that */
    bool is_doubtful;           /* they may be lost: asks sooner than after a silence */
    bool is_interrupted;        /* its path was lost; RESUMED is owed */
    uint32_t probe_count;       /* of the last one that left */
    struct probe first_awaited; /* of those that left since there was an answer */
    struct probe last_awaited;  /* between them are others, whose answers tell nothing more */
    weft_ns progress_at;
    struct stream_service *service;
    struct timer timer;
    struct list session_link;
    struct list control_link; /* in session->control or opens when due, or in session->delayed */
    struct list data_link;
    struct list probe_link;
    struct list event_link;
    struct list starved_link;
    struct send_side send;
    struct receive_side receive;
};

enum flow_state {
    FLOW_LIVE,
    FLOW_REFUSED, /* ours: waits for its move or its end */
    FLOW_ENDED,   /* END is owed, then it is freed */
};

/* One end of a datagram flow (flow.h). */
struct flow {
    struct streams *streams;
    struct session *session; /* NULL: none at present */
    struct flow *twin;       /* the other end, where that is ours too */
    struct weft_peer_id peer;
    struct weft_public_key key; /* the peer's; opener only */
    struct flow_id id;
    uint64_t wire_id;
    enum flow_state state;
    enum wire_reset_reason reason;
    bool is_opener;
    bool is_known;    /* opener: the other end has shown that it knows the flow */
    bool is_answered; /* datagrams went both ways */
    bool is_untold;   /* acceptor: INCOMING is owed */
    weft_ns used_at;
    struct list idle_link;    /* in streams->flows.unanswered or answered */
    struct list session_link; /* in session->flows_in or flows_out */
    struct list ready_link;   /* in session->flows_ready while something is queued */
    struct list event_link;   /* in streams->flows.events */
    struct ring queue;        /* struct queued_datagram */
    size_t queue_bytes;
    struct stream_service service;
};

struct queued_datagram {
    struct frame *bytes;
    weft_ns since;
};

/* A datagram that arrived and was not taken yet. */
struct arrived_datagram {
    struct flow_id flow;
    struct frame *bytes;
};

/* Why a flow ended, for the other end. */
struct flow_farewell {
    uint64_t flow;
    uint16_t reason;
};

struct flows {
    struct map *by_id;
    struct list unanswered; /* live ones, idle longest first */
    struct list answered;
    struct list events;  /* flows that owe REFUSED or END */
    struct ring arrived; /* struct arrived_datagram */
    size_t arrived_bytes;
    uint64_t turn;        /* how often all that arrived was taken */
    uint64_t number_next; /* of ids, on the wire too */
    size_t live_count;
    struct datagrams_counters counters;
};

/* A small part that outlives its stream. */
struct farewell {
    uint64_t stream;
    uint64_t cumulative;
    uint32_t marks;
    uint16_t reason; /* WIRE_RESET_NONE: an ack of all, with the FIN */
};

/* A reset that the peer has not answered. */
struct pending_reset {
    uint64_t stream;
    uint16_t reason;
};

struct session {
    struct streams *streams;
    struct weft_peer_id id;
    struct weft_public_key key;
    uint8_t link_key[WEFT_KEY_BYTES];
    struct session_keys *previous; /* receives only */
    struct session_keys *current;
    struct session_keys *next;    /* we answered; not yet used by the peer */
    struct session_keys *pending; /* we asked; not yet answered */
    uint64_t instance;            /* of the peer, proven; 0: none yet */
    uint64_t incarnation;
    uint64_t number;       /* drawn for our hellos: another one tells that we forgot this session */
    uint64_t far_session;  /* the peer's, proven; 0: none yet, or not told */
    struct caller *caller; /* held */
    enum stream_route route;
    bool is_blocked;
    bool is_wanted;   /* a handshake is to be made */
    bool is_init_due; /* ... now */
    bool is_confirm_due;
    bool has_path_probe; /* PROBEs wait in control; a PING ends them */
    bool is_path_probed; /* its PONG is awaited: each stream is looked through for it, once */
    uint8_t init_tries;
    uint8_t inits_made; /* since keys came into force */
    uint8_t reset_tries;
    weft_ns init_at;    /* when the last INIT left */
    weft_ns hurried_at; /* when news made one leave before its time; 0: never */
    weft_ns hint_at;    /* when UNKNOWN was last heeded */
    weft_ns begun_at;
    weft_ns used_at;
    weft_ns hold_until; /* while its timer is armed: then its streams end */
    struct timer ack_timer;
    struct timer handshake_timer;
    struct timer keys_timer;
    struct timer hold_timer;
    struct timer resets_timer;
    struct list ready_link;
    struct list streams_all;
    struct list control;
    struct list opens; /* streams that owe an OPEN, perhaps with their first bytes */
    struct list delayed;
    struct list thin; /* streams that have little to send: ahead of those in data */
    struct list data;
    struct list probes;
    struct map *by_wire_id;
    struct opened_ids *opened; /* ids that the peer opened: none opens twice */
    size_t opened_count;       /* of those, streams that live */
    uint64_t wire_id_next;
    struct ring farewells;   /* struct farewell */
    struct ring resets;      /* struct pending_reset */
    uint64_t lost_resets[2]; /* by who opened: past the highest number whose reset was forgotten */
    struct ring messages;    /* struct frame *: encoded parts */
    struct ring pings;       /* uint64_t */
    struct ring pongs;       /* uint64_t */
    struct map *flows;       /* wire id -> flow; NULL until there was one */
    uint64_t send_held;      /* memory of its streams' send blocks */
    struct list flows_in;    /* opened by the peer, idle longest first */
    struct list flows_out;
    struct list flows_ready; /* with datagrams to send, in turn */
    struct ring flow_ends;   /* struct flow_farewell */
    size_t flows_in_count;
    struct bucket flow_budget;
    bool is_datagrams_turn;
    uint64_t arrived_turn; /* in which these arrived for flows, taken or not */
    size_t arrived_count;
    size_t arrived_bytes;
    uint64_t probe_heard; /* token of the newest probe answered; 0: none */
    size_t message_bytes;
    uint64_t order_next;
    uint64_t epoch_order;    /* packets from this one on took the present path */
    weft_ns unsettled_until; /* what leaves before may yet take another */
    uint32_t path_probe_count;
    uint64_t path_probe_order;
    uint64_t window_bytes;
    uint64_t in_flight_bytes;
    uint64_t early_bytes; /* likewise, of streams not accepted when they left */
    uint64_t thin_bytes;  /* likewise, of streams that have little under way */
    uint64_t cut_order;   /* marks on packets before this one were answered already */
    uint64_t acked_order;
    bool is_slow_start;
    weft_ns rtt;     /* smoothed; 0: not measured yet */
    weft_ns rtt_min; /* of this path, so without its queues */
    struct bucket budget;
    weft_ns deaf_until; /* the budget ran out: its packets are dropped unopened */
};

struct stream_slot {
    struct stream *stream;
    uint32_t generation;
    uint32_t free_next; /* index + 1 of the next free slot; 0: none */
};

/* A packet that belongs to no session: UNKNOWN. */
struct stray {
    struct weft_peer_id destination;
    struct frame *frame;
};

/* A peer that used up what it may cost us, since core asked last. */
struct streams_excess {
    struct weft_peer_id peer;
    const char *what; /* a literal; NULL: nobody */
};

struct streams {
    struct streams_config config;
    struct map *sessions;
    struct map *routes;  /* peers that have a path */
    struct map *indices; /* local_index -> key set */
    struct stream_slot *slots;
    uint32_t slot_count;
    uint32_t slot_free; /* index + 1; 0: none */
    size_t timer_count; /* that may be armed */
    struct timers timers;
    struct list ready;
    struct list events;
    struct list starved; /* streams that wait for room in all send buffers together */
    struct ring notices; /* struct stream_event: messages and pongs */
    size_t notice_bytes; /* of messages among them */
    struct ring strays;
    uint64_t epoch;           /* handshakes begun */
    uint64_t wire_ids_used;   /* by sessions that are gone: new ones begin above */
    struct map *callers;      /* peer id -> caller */
    struct list callers_idle; /* those of no session, heard of longest ago first */
    /* What asking for sessions may cost (caller.h). Pathless: of peers that no path leads to. */
    struct budget key_budget;
    struct bucket pathless_key_budget;
    struct budget rekey_budget; /* of peers with a session */
    struct budget init_budget;
    struct bucket pathless_init_budget;
    struct bucket hint_budget; /* of hints that we send */
    uint64_t send_bytes;       /* memory of all send blocks */
    uint64_t granted_bytes;    /* credit granted, not consumed */
    struct streams_counters counters;
    struct streams_excess excess;
    struct flows flows;
    struct send_blocks lent_blocks; /* one at the most, for the next read */
    struct send_blocks full_blocks; /* for streams that send much */
    uint8_t *scratch; /* SCRATCH_BYTES; made with the first session: most nodes relay only */
};

/* Of messages, and as much of datagrams, that wait for the host, which takes all once a turn: what
 * a link brings in 10 ms at 10 Gbit/s. A node told to keep little keeps little of these too. */
#define UNTAKEN_BYTES_MAX ((size_t)16 * 1024 * 1024)

static inline size_t untaken_bytes_max(const struct streams *streams) {
    size_t share = streams->config.receive_bytes_max / 4;
    return share < UNTAKEN_BYTES_MAX ? share : UNTAKEN_BYTES_MAX;
}

#endif
