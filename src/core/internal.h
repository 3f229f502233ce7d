/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of this folder share. core.c owns the life cycle and the order of work; links.c
 * the links and their heartbeats; trials.c those whose peers were lost lately; dials.c what the
 * connection maker wants; own.c what we say of ourselves, the planned leave and the quarantine;
 * events.c what gossip and routes tell; traffic.c frames in and packets out; services.c and offer.c
 * the registry; datagrams.c flows to it; view.c the questions.
 */
#ifndef CORE_INTERNAL_H
#define CORE_INTERNAL_H

#include "base/bucket.h"
#include "base/check.h"
#include "base/defect.h"
#include "base/frame_pool.h"
#include "base/link_table.h"
#include "base/map.h"
#include "base/ring.h"
#include "base/time.h"
#include "core/core.h"

/* Heartbeats missed before a link is dead ... */
#define DEAD_BEATS 3

/* ... but TCP must have had the time to send a lost segment again, and its repeat once more: each
 * takes it a round trip and 200 ms (Linux, measured), and what lies behind the hole waits. With
 * beats 200 ms apart and a round trip of 50 ms that is 750 ms; after 600 ms one segment lost twice
 * was a death (B4). The margin is for timers. Who echoes late is not waited for without bound. */
#define DEAD_REPEATS 2
#define DEAD_REPEAT_MIN (200 * NS_PER_MS)
#define DEAD_RTT_MAX NS_PER_S
#define DEAD_MARGIN (50 * NS_PER_MS)

/* A measured cost is told to the mesh when it differs from the told one by a quarter and by this:
 * less is noise, as is what lies within the spread of its round trips, and each telling costs every
 * node a computation. */
#define COST_STEP_US 1000

/* And costs, other than the first of a link, are told no more often than this, those of all links
 * together: on a busy machine round trips wander all the time, and each telling is a signature to
 * check and a computation for every node of the mesh. */
#define COST_GAP (10 * NS_PER_S)

/* News of a loss may come after the costs moved a path away from there, and what was under way is
 * lost all the same: so long a former path is remembered. A silent peer is noticed after 3 s. */
#define FORMER_PATH (5 * NS_PER_S)

/* What a link costs before its first round trip is known. */
#define COST_FIRST_US 1000

/* Every hop has its price, so that on equal delays fewer hops win. */
#define COST_HOP_US 100

/* Versions of our own record: at most so many at once, then so many a second (B6). */
#define PUBLISH_BURST 10
#define PUBLISH_RATE 5

/* What we gained waits this long after the last telling, so that a node that joins tells its links
 * together: four times as long with each telling that follows another, until a quiet while has gone
 * by. Every telling is heard by the whole mesh, so a large one waits longer: while thousands join,
 * what they gain costs each node no more than 250 records a second. A node with many links does not
 * keep the mesh waiting so long, and a link to somebody whom nobody else reaches is waited with
 * less: the mesh needs it. What we lost is told at once. */
#define PUBLISH_GAP (30 * NS_PER_MS)
#define PUBLISH_GAP_GROWTH 4
#define PUBLISH_GAP_MAX (2 * NS_PER_S)
#define PUBLISH_GAP_NODE (4 * NS_PER_MS)     /* for each node of the mesh, if that is longer ... */
#define PUBLISH_GAP_LARGE (5 * NS_PER_S)     /* ... and this at most */
#define PUBLISH_GAP_FALLEN (500 * NS_PER_MS) /* at most, after most links were lost at once */
#define PUBLISH_GAP_NEEDED (120 * NS_PER_MS) /* at most, while somebody is reached by us alone */
#define PUBLISH_QUIET_GAPS 2                 /* a quiet while is so many of the longest gaps */
#define PUBLISH_MANY_LINKS 24

/* A link that only makes ways shorter is told with its first round trip, not before it. In a large
 * mesh it can wait for others that are told with it, and must not come at the same moment as all
 * those that other neighbours of a dead node found: so much longer for each node, by chance. */
#define PUBLISH_FIRST_WAIT (100 * NS_PER_MS)
#define PUBLISH_GAIN_SPREAD (10 * NS_PER_MS)
#define PUBLISH_GAIN_NODES 100 /* more count as so many */

/* A link to somebody whom nobody else reaches waits so long for each node of the mesh, up to as
 * many, by chance: of all whom a newcomer dialled the first to tell does for the others. And it
 * waits for the answer to the first links that a newcomer told. */
#define PUBLISH_WAY_SPREAD (4 * NS_PER_MS)
#define PUBLISH_ANSWER (500 * NS_PER_MS)

/* A surplus link is closed so long after the mesh was told that it no longer counts: by then nobody
 * sends over it. */
#define SURPLUS_WAIT (300 * NS_PER_MS)

/* Of two links to one peer the one that goes is still heard for so long. */
#define REPLACED_WAIT (300 * NS_PER_MS)

/* Packets of at least this many bytes travel as carriers, sealed once; below it the second seal of
 * a unicast is cheaper than a second span to write. */
#define CARRIER_BYTES_MIN 512

/* A link with less room than this for streams, or for messages, is full for our own behind it. What
 * is left for messages is for those of others, and for acknowledgements, which do not wait. */
#define STREAM_ROOM_MIN ((size_t)128 * 1024)
#define MESSAGE_ROOM_MIN ((size_t)128 * 1024)

/* How long a node whose key lives elsewhere too stays off the mesh before it looks again. */
#define QUARANTINE (60 * NS_PER_S)

/* How long after its last sign a clone is reported: longer than one stays off, and then shows
 * itself again if it is still there. */
#define CLONE_MEMORY (3 * QUARANTINE)

/* Peers of which another instance came over lately: so many are remembered, the last ones. */
#define REPLACED_MAX 16

/* How long the news of a planned leave is given to spread, at least. */
#define LEAVE_SPREAD (300 * NS_PER_MS)
/* And how long closed links are given to say so. */
#define LEAVE_CLOSE (500 * NS_PER_MS)

/* The share of all flows that one peer may open. */
#define FLOWS_SHARE 4

/* What is said on a link beside data and records, which have bounds of their own, costs a unit a
 * frame and a unit for 16 bytes; so does each packet for somebody unknown, one unit. A unit is some
 * 5 us of work at most: who says more a second than this for long takes a tenth of a core, 320 KB/s
 * where an honest neighbour says 20 at its worst. It is named. Nothing is refused for it, as a host
 * reads no more than a turn's work from a link at a time. The burst, 3.2 MB, is more than two
 * halves of 5,000 nodes each say on a link when they meet. */
#define TALK_UNIT_BYTES 16
#define TALK_HEARTBEAT 100 /* units: a few a second are enough, and a young link answers each */
#define TALK_PER_S 20000
#define TALK_BURST 200000

#define CULPRITS_MAX 16
#define OWNER_RECORDS_MAX 1024 /* of one node: its services, and a few of its own */
#define ACTIONS_MAX                                                                                \
    ((size_t)1 << 20) /* a host that does not drain is a bug; 1 M is far beyond any batch */
#define ACTIONS_KEPT                                                                               \
    16 /* room for so many is kept between bursts; no more records wait there to be saved */
#define ATTEMPTS_MAX                                                                               \
    ((size_t)65536)      /* streams not yet accepted: as many as there may be streams              \
                          */
#define PROVIDERS_MAX 64 /* of one service that are tried or shown */

/* What each frame and each look at all links need stands first and together. */
struct core_link {
    struct link_id id;
    struct weft_peer_id peer;
    weft_ns last_heard;
    weft_ns beat_at; /* when the next heartbeat is due */
    weft_ns surplus_at;
    weft_ns trial_until; /* not told to the mesh before, for it was lost lately (damping.h); or 0 */
    bool is_used;        /* of the links to its peer, the one in use: in core.neighbours */
    bool is_closing;     /* ACTION_CLOSE is out: nothing more is sent or believed */
    bool is_surplus;     /* not told to the mesh any more, to be closed at surplus_at */
    bool is_replaced;    /* by another to its peer: only heard, likewise */
    bool has_rtt;
    uint32_t rtt_us; /* smoothed, 1/8 */

    size_t room[WIRE_CLASS_COUNT];
    uint64_t frames_in;
    uint64_t frames_out;
    struct bucket talk;
    uint32_t spread_us; /* how far samples lie from the smoothed round trip, smoothed alike */
    uint32_t cost_us;   /* as told to the mesh, or about to be */

    bool has_echo; /* echo_us was received at echo_at */
    uint32_t echo_us;
    weft_ns echo_at;
    uint32_t floor_us[2];  /* least round trips of this window of samples and of the one before */
    uint32_t floor_count;  /* samples in this window */
    uint32_t dialer_us;    /* as told to the dialer; 0: not yet */
    weft_ns unheard_until; /* others may not know of it yet, who reached its peer before; or 0 */
    weft_ns up_since;
    enum link_role role;
    uint64_t instance;
    uint64_t dial_token;
    char name[WEFT_NAME_MAX + 1];
    char remote[WEFT_ENDPOINT_MAX + 1];
};

/* A stream that nobody has accepted yet, and who has been asked. */
struct attempt {
    struct stream_id stream;
    struct weft_peer_id peer; /* asked now */
    uint8_t protocol;
    char name_space[WEFT_NAME_MAX + 1];
    char name[WEFT_NAME_MAX + 1];
    struct weft_peer_id tried[PROVIDERS_MAX];
    size_t tried_count;
};

/* services.c */
/* As core_providers, for who asks the first of them now: of those that are about as near as the
 * nearest each comes first in its turn. */
size_t core_providers_in_turn(struct core *core, const char *name_space, const char *name,
                              uint8_t protocol, struct core_provider *out, size_t max);

/* A peer whose streams wait for room on the link towards it. */
struct blocked {
    struct weft_peer_id peer;
    struct link_id link;
};

/* The nodes of a path, ourselves first; none if it is not known. */
struct trail {
    struct weft_peer_id *nodes;
    size_t count;
};

/* A peer that streams have to do with: told when the way there changes. Of all others nobody asks,
 * so that their changes cost no computation. */
struct watched {
    struct weft_peer_id peer;
    struct weft_peer_id next_hop;
    uint64_t trail;
    bool is_reachable;   /* as streams were told last, but for what is shaken */
    bool is_shaken;      /* its first link died since */
    struct trail path;   /* the nodes on it */
    struct trail former; /* those on the one before, if it was whole when it was left ... */
    weft_ns moved_at;    /* ... at that time */
};

/* One service of the registry: who offers it. */
struct service {
    char name_space[WEFT_NAME_MAX + 1];
    char name[WEFT_NAME_MAX + 1];
    uint8_t protocol;
    struct record **providers; /* references; never tombstones */
    size_t provider_count;
};

enum leave_state {
    LEAVE_NO,
    LEAVE_SPREADING, /* told the mesh; streams may end */
    LEAVE_CLOSING,   /* links were told to close */
    LEAVE_DONE,
};

/* What changed of what we say of ourselves, the more urgent the later. */
enum own_change {
    OWN_GAINED,      /* a link that makes ways shorter, or its cost: there is no hurry */
    OWN_UNTOLD_LOST, /* a link that the mesh was not told of: there is no hurry either */
    OWN_ONLY_WAY, /* a link to somebody whom nobody else reaches: told soon, if that is so then */
    OWN_WORDS,    /* our addresses and the like: told soon */
    OWN_LOST,     /* told at once */
};

/* An instance of a peer whose link was closed for that of another. */
struct core_replaced {
    struct weft_peer_id peer;
    uint64_t instance;
    weft_ns at;
};

struct core {
    struct core_config config; /* pointers in it are replaced by our copies or not used again */
    struct host host;
    weft_ns now;
    struct router *router;
    struct dialer *dialer;
    struct damping damping;
    struct gossip *gossip;
    struct streams *streams;
    struct ring actions;
    struct frame_pool *frames; /* of what is on its way to others */
    weft_ns trim_at;           /* when the pool is trimmed */
    weft_ns links_due;         /* never later than core_links_deadline, which walks all links */
    struct link_table links;   /* of struct core_link */
    struct map *neighbours;    /* peer id -> struct core_link: the one link in use for each */
    weft_ns unheard_until;     /* of all links, the latest */
    size_t trial_count;   /* links on trial, or a few more: those that went are not taken off */
    struct map *attempts; /* stream id -> struct attempt */
    struct map *tried;    /* flow id -> struct tried (datagrams.c); NULL until one is */
    struct map *blocked;  /* peer id -> struct blocked */
    struct map *watched;  /* peer id -> struct watched */
    struct weft_peer_id watched_last; /* the one asked for last: packets come in rows */
    bool has_watched_last;
    struct map *services; /* key of its records -> struct service */
    weft_ns relearn_at;   /* routes or registry lack what the record set has; 0: nothing */
    uint64_t events_lost; /* of gossip's, as last seen */

    char name[WEFT_NAME_MAX + 1];
    char software[33];
    char *addresses[WIRE_ADDRESSES_MAX];
    uint32_t address_count;
    uint32_t turns; /* of providers that are about as near */
    char *labels[2 * WIRE_LABELS_MAX];
    uint32_t label_count;
    bool is_self_dirty;     /* our record is not what was last told */
    enum own_change untold; /* the most urgent of what changed since */
    struct wire_word *told; /* of our links, to the mesh; NULL: nothing yet */
    weft_ns publish_at;     /* when our record may be told */
    weft_ns published_at;
    weft_ns publish_gap; /* grows while one telling follows another */
    struct bucket publishes;
    weft_ns costs_at; /* when the next change of costs may be told */

    enum leave_state leave;
    weft_ns leave_at;         /* when the state ends at the latest */
    weft_ns leave_spread_at;  /* before this it does not end */
    weft_ns quarantine_until; /* 0: not quarantined */
    weft_ns clone_seen_at;    /* 0: never */
    char clone_addresses[200];
    struct core_replaced replaced[REPLACED_MAX];
    size_t replaced_next;

    struct core_culprit culprits[CULPRITS_MAX];
    size_t culprit_count;
    struct core_spoilt spoilt;
    weft_ns spoilt_told_at; /* in the log; 0: never */
    uint64_t frames_forwarded;
    uint64_t frames_dropped[4];
};

/* core.c */
void core_enter(struct core *core, weft_ns now);          /* every input begins with it */
void core_push(struct core *core, struct action *action); /* takes the action's references */

/* links.c */
struct core_link *core_link_find(const struct core *core, struct link_id link);
struct core_link *core_neighbour(const struct core *core, const struct weft_peer_id *peer);
void core_link_close(struct core *core, struct core_link *link, enum wire_close_reason reason,
                     const char *text);
/* Names the peer for breaking the protocol and closes; both texts are literals. */
void core_link_blame(struct core *core, struct core_link *link, const char *what, const char *text);
void core_links_close_all(struct core *core, enum wire_close_reason reason, const char *text);
void core_links_tick(struct core *core);
weft_ns core_links_deadline(const struct core *core);
void core_links_forgive(struct core *core); /* we were stalled: full time for all */
void core_links_free(struct core *core);
void core_heartbeat_in(struct core *core, struct core_link *link, const struct wire_frame *frame);

/* costs.c */
/* A heartbeat's echo came back: what the link costs, and perhaps news of it. */
void core_cost_measured(struct core *core, struct core_link *link, uint32_t sample_us);

/* dials.c */
void core_dial_and_trim(struct core *core);
/* The mesh was told of our links: surplus ones, which are not among them, can be closed soon. */
void core_surplus_told(struct core *core);

/* trials.c */
void core_trial_begin(struct core *core, struct core_link *link);
void core_trial_heard(struct core *core, struct core_link *link);
/* It has lasted, if the link was not silent to its end. */
void core_trial_due(struct core *core, struct core_link *link);
/* A peer is reached no more: counts it. A link to it that is still up has proved nothing. */
void core_trial_lost(struct core *core, const struct weft_peer_id *peer);
/* The same of peers whom only a link of ours reaches that others have yet to hear of: to them it is
 * lost. Asked when routes were updated. */
void core_trials_lone(struct core *core);
/* A peer whom nothing leads to has spoken: those on trial may be the way to it. */
void core_trials_review(struct core *core);

/* own.c */
WEFT_MUST_CHECK enum weft_err core_own_init(struct core *core);
void core_own_fini(struct core *core);
/* Our links or words changed; our own routes follow now. */
void core_own_changed(struct core *core, enum own_change change);
/* Whether the mesh was told of our link to a peer. */
bool core_is_link_told(const struct core *core, const struct weft_peer_id *peer);
void core_own_tick(struct core *core);
weft_ns core_own_deadline(const struct core *core);

/* clones.c */
void core_clone_seen(struct core *core, const struct record *other);
/* Whether a peer's older link is kept though another instance has come: both of them live, and the
 * older one is to stay. */
bool core_clone_keeps_older(const struct core *core, const struct core_link *older,
                            const struct core_link *newer);
/* Closes a link for that of another instance of the same peer, with what proves it. */
void core_clone_close(struct core *core, struct core_link *link, const struct core_link *kept);

/* events.c */
/* Takes what gossip learned; false when there is more, but the queue of actions is to be drained
 * first: a newcomer's thousands of records are not to stand there all at once. */
WEFT_MUST_CHECK bool core_gossip_events(struct core *core);
/* Something that follows from the record set could not be kept for want of memory: it is made up
 * from all records a little later, as often as it takes. */
void core_lacked_memory(struct core *core);
void core_relearn_tick(struct core *core);
void core_route_events(struct core *core);
void core_culprit(struct core *core, const struct weft_peer_id *peer, const char *detail);
/* A packet in the name of `source` was spoilt when `by` passed it to us. */
void core_packet_spoilt(struct core *core, const struct weft_peer_id *source,
                        const struct weft_peer_id *by);
/* Before streams hear of a peer: from now on they are told of its way. */
void core_watch(struct core *core, const struct weft_peer_id *peer);
void core_watched_free(struct core *core);
/* What was sent to peers behind this neighbour may be lost. */
void core_paths_shaken(struct core *core, const struct weft_peer_id *neighbour);

/* traffic.c */
void core_send(struct core *core, struct core_link *link, struct frame *frame,
               struct frame *payload, enum wire_class class, uint32_t flow);
/* Whether a link takes packets of our own streams and messages. */
bool core_has_room(const size_t room[WIRE_CLASS_COUNT]);
void core_packets_out(struct core *core);
void core_gossip_out(struct core *core);
void core_unblock(struct core *core, const struct core_link *link);
void core_unblock_peer(struct core *core, const struct weft_peer_id *peer);
void core_blocked_free(struct core *core);

/* offer.c */
/* The key of a node that offers something; NULL if its own record has not come yet. */
const struct weft_public_key *core_provider_key(const struct core *core,
                                                const struct weft_peer_id *peer);
void core_stream_events(struct core *core);
void core_attempts_free(struct core *core);

/* datagrams.c */
void core_datagram_events(struct core *core);
void core_tried_free(struct core *core);

/* services.c */
void core_service_record(struct core *core, struct record *record);
void core_service_forget(struct core *core, const struct record *record);
void core_services_free(struct core *core);

static inline struct span peer_span(const struct weft_peer_id *peer) {
    return span_of(peer->bytes, sizeof(peer->bytes));
}

/* The key of a stream or link in a map: its number's bytes. */
static inline struct span number_span(const uint64_t *number) {
    return span_of(number, sizeof(*number));
}

#endif
