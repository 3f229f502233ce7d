/* SPDX-License-Identifier: Apache-2.0
 *
 * The insides of gossip, shared by its files and nobody else:
 *
 *   gossip.c     life cycle, links, dispatch, events, time
 *   hear.c       records that neighbours sent, or the store
 *   lives.c      what is left of former lives, and of owners that are gone
 *   deltas.c     the same as what changed (delta.c, past.c)
 *   notes.c      what neighbours have; asking for it
 *   own.c        records of ours: publishing, raising, clones
 *   spread.c     to which neighbours a thing goes; what is pending for them; RECORDS frames
 *   pace.c       how often a link gets them
 *   reconcile.c  when to compare sets with a neighbour
 *   broadcast.c  broadcasts: signing, windows, passing on     repair.c  heads, pulls, recent ones
 *   channel.c    channels and their gossip                    output.c  the queues of a link
 */
#ifndef GOSSIP_INTERNAL_H
#define GOSSIP_INTERNAL_H

#include "base/bucket.h"
#include "base/link_table.h"
#include "base/map.h"
#include "base/ring.h"
#include "base/rng.h"
#include "base/time.h"
#include "gossip/bits.h"
#include "gossip/chain.h"
#include "gossip/delta.h"
#include "gossip/gossip.h"
#include "gossip/past.h"
#include "gossip/pool.h"
#include "gossip/sync.h"

#define CHANNELS_MAX 256  /* gossipers of one node */
#define EVENTS_MAX 32768  /* beyond: records are refused (and found again by a reconciliation) */
#define EVENTS_MARGIN 512 /* besides owner_records_max: what one record can push out */
#define SOURCES_MAX 16384 /* of broadcasts; beyond, the oldest stranger's goes, or the new one */
#define URGENT_MAX 64     /* changed records that overtake a reconciliation's backlog */
#define CONTROL_MAX 128   /* SYNC, PULL, HEADS frames waiting for a link; beyond: dropped */
#define MESSAGES_MAX                                                                               \
    4096              /* broadcasts waiting for a link; beyond: the oldest goes, heads follow      \
                       */
#define PUSH_BURST 16 /* RECORDS frames of pushes that a link gets as fast as they come, ... */
#define LINK_ROOM_FIRST 65536  /* until core says better */
#define BULK_RECORDS 256       /* a reconciliation may give this many at once ... */
#define BULK_LINKS_MAX 4       /* ... or all of them to so many links at a time (T17) */
#define CROWD_LINKS 24         /* a node with more is crowded: it hears and gives less of each */
#define CULPRITS_MAX 64        /* neighbours whose last naming is remembered */
#define FORMERS_MAX 1024       /* lives begun lately; beyond, the earliest one's former goes */
#define REPEATS_MAX 1024       /* hashes of relayed channel gossip */
#define SURROGATE_QUEUE_MAX 16 /* frames of one channel without gossiper waiting for a link */
#define WINDOW 1024            /* sequence numbers remembered per source */
#define SCRATCH_BYTES RECORD_POOL_SCRATCH_BYTES /* the largest frame, header and all */
#define EVENTS_KEPT 64                /* room for events that is kept while there are none */
#define MISSING_MAX 256               /* records to ask for; beyond, a reconciliation finds them */
#define LAG_FIRST_NS (20 * NS_PER_MS) /* of a push behind the note of it, until it is known */
#define PULL_BACK_MAX 64 /* earlier broadcasts asked for when a source is first heard of */

#define STRANGER_BURST                                                                             \
    20000 /* a newcomer to a mesh of 10,000 hears as many records of strangers                     \
           */
#define STRANGER_RATE 2000
#define STRANGER_BROADCAST_BURST 256
#define STRANGER_BROADCAST_RATE 64
#define RAISE_BURST 4 /* with a clone alive each raise answers one of its own: no war */
#define RAISE_RATE 1

/* What each tick and each record look at in every link stands first and together, in two lines of
 * cache: a node that walks ten links then misses ten or twenty, not forty. */
struct gossip_link {
    struct chain ready_control; /* in gossip.ready_control if it has control to send and room */
    struct weft_peer_id peer;
    struct link_id id;
    size_t weight;
    weft_ns held_until; /* 0: what is pending is not held back */
    weft_ns notes_at;   /* when notes are sent; 0: there are none */
    weft_ns sync_at;    /* when to begin a reconciliation; WEFT_NEVER: not */
    weft_ns up_at;
    size_t degree;   /* links that the neighbour had lately; 0: its record was not here */
    bool is_bulk;    /* a reconciliation gave some of what is pending: it is not held back */
    bool is_eager;   /* is pushed news at once; else it is sent notes of them */
    bool is_feeding; /* was not asked to hold: pushes to us at once, as far as we know */
    bool owes_notes; /* now */
    bool owes_heads; /* a broadcast was dropped: say where we are when the queue has drained */
    bool is_picked;  /* by the draw in progress */

    size_t room;
    struct bits pending; /* slots of records to send */
    struct bits noted;   /* slots of records to send notes of */
    struct bits whole;   /* of those pending, the ones whose older versions it may not have */
    struct bits skipped; /* of those pending, the ones that changed again before they were sent */
    size_t cursor;       /* where the next scan of pending goes on */
    weft_ns noted_at;    /* when it was last sent notes */
    weft_ns push_ready;  /* virtual time at which all frames pushed so far are paid for (GCRA) */
    weft_ns sync_until;  /* while one runs, older versions that come are answered with ours */
    size_t sync_taken;   /* records taken in the running reconciliation */

    struct chain ready_message;
    struct ring control;  /* struct frame * */
    struct ring messages; /* struct frame *: broadcasts */
    size_t message_bytes;
    struct chain gossip; /* struct pending_gossip */
    size_t gossip_bytes;

    struct bucket strangers;
    struct bucket stranger_broadcasts;
    struct bucket bad_deltas;

    uint64_t digest;       /* last heard */
    weft_ns digest_at;     /* when; 0: never */
    weft_ns differs_since; /* 0: does not */
    weft_ns sync_heard_at; /* last SYNC frame; 0: never */
    weft_ns sync_word_at;  /* last of it, or of a record that came of it, or when we began */
    weft_ns bulk_until;    /* one of the BULK_LINKS_MAX until then, or until pending is empty */

    size_t urgent_count;
    uint32_t urgent[URGENT_MAX];
};

/* State of a channel that waits for one link. */
struct pending_gossip {
    struct chain all;
    struct frame *payload;
    uint8_t hops;
    uint8_t channel_len;
    uint8_t channel[WEFT_NAME_MAX];
};

struct channel {
    char name[WEFT_NAME_MAX + 1];
    struct gossiper gossiper;
};

/* A record that a neighbour has in a version that we lack. */
struct missing {
    struct wire_note note;
    struct link_id from;
    weft_ns since;
    weft_ns due; /* when to ask, or to ask no more */
    bool is_asked;
};

/* Who broadcasts, and what of it we have: all up to floor, then by seen, up to top. */
struct source {
    struct weft_peer_id id;
    uint64_t incarnation;
    uint64_t floor; /* all up to here arrived or was given up */
    uint64_t top;   /* the highest that arrived, signed */
    uint64_t shown; /* the highest that somebody says exists: only asked for */
    uint64_t seen[WINDOW / 64];
    weft_ns active_at;
    struct chain gappy; /* in gossip.gappy while something is missing */
    weft_ns pull_at;
    unsigned tries;
    struct link_id shower; /* who showed the gap */
    uint64_t heads_round;  /* of gossip.heads_round: the list being answered has it, and says ... */
    uint64_t heads_incarnation;
    uint64_t heads_sequence;
};

/* A broadcast kept to answer pulls: the whole frame, marked to be flooded. */
struct recent {
    weft_ns at;
    struct frame *frame;
};

/* An owner that began a life; what is left of those before it goes when it is due. */
struct former {
    struct weft_peer_id owner;
    uint64_t incarnation;
    weft_ns due;
};

struct culprit {
    struct weft_peer_id peer;
    weft_ns at;
    bool is_set;
};

struct gossip {
    struct gossip_config config;
    struct gossip_counters counters;
    struct recordset *set;
    struct rng rng;
    struct ring events; /* struct gossip_event */
    weft_ns deadline;
    weft_ns links_due;   /* when the next link has to be sent something, or a set compared */
    weft_ns changed_at;  /* when the live part last changed */
    weft_ns moving_at;   /* when a neighbour was last asked while it went on changing; 0: never */
    struct bits news;    /* slots of records not passed on yet because their owner was not live */
    struct ring formers; /* struct former */
    struct past past;    /* what deltas are made from */
    struct missing *missing; /* MISSING_MAX; NULL until something is */
    size_t missing_count;

    struct link_table links; /* of struct gossip_link, in the order they came up */
    weft_ns first_up_at;     /* when there was a link again after there had been none */
    size_t feeding_count;
    struct bucket calm;
    weft_ns hurry_until; /* what is missing is asked for at once */
    weft_ns hold_at;     /* when a neighbour was last asked to hold */
    weft_ns lag_ns;      /* by which a push comes later than the first note of it, smoothed */
    weft_ns degrees_at;  /* when neighbours' degrees are looked at again */
    struct chain ready_control;
    struct chain ready_message;
    struct frame *single;         /* of the record sent last by itself, while outputs are taken: */
    struct record *single_record; /* all neighbours get the same frame, ... */
    struct record *single_base;   /* if it is a delta, from this version */
    weft_ns round_at;             /* the safety net's next turn */

    struct bucket bulks; /* complete states that a crowded node may give */

    uint64_t incarnation;
    weft_ns joined_at; /* first link of this life; 0: none yet */
    bool owes_raise;   /* memory was short in the middle of one */
    struct bucket raises;
    weft_ns raised_at; /* because of another instance's record; 0: never */
    uint64_t raised_for;
    struct record *rival;   /* the last peer record of ours that another instance wrote, or NULL */
    weft_ns rival_at;       /* when it was heard */
    weft_ns yield_until;    /* it is not outdone before; 0: it was, or need not be */
    weft_ns clone_heard_at; /* a neighbour said that our key lives elsewhere too; 0: never */
    weft_ns clone_at;       /* last told; 0: never */
    uint64_t sequence;      /* of our last broadcast */

    struct map *sources; /* peer id -> struct source */
    struct chain gappy;
    uint64_t heads_round;
    struct map *recents; /* source, incarnation, sequence -> struct recent */
    size_t recent_bytes;

    struct map *channels; /* name -> struct channel */
    uint64_t *repeats;    /* REPEATS_MAX; NULL until something is relayed */
    size_t repeat_next;

    struct culprit *culprits; /* CULPRITS_MAX; NULL until somebody is blamed */
    size_t culprit_next;
    uint8_t *scratch;     /* SCRATCH_BYTES: the frame in the making */
    uint8_t *own_scratch; /* the same, unless it is the pool's */
};

/* gossip.c */
void gossip_arm(struct gossip *gossip, weft_ns when);
/* The same for what the links are looked at for: a walk of them all. */
void gossip_arm_links(struct gossip *gossip, weft_ns when);
struct gossip_link *gossip_link_of(const struct gossip *gossip, struct link_id id);
struct gossip_link *gossip_link_to(const struct gossip *gossip, const struct weft_peer_id *peer);
bool gossip_has_event_room(const struct gossip *gossip);
/* Queues an event; takes a reference of its own to the record. False when out of memory. */
bool gossip_tell(struct gossip *gossip, enum gossip_event_kind kind, struct record *record);
void gossip_blame(struct gossip *gossip, const struct weft_peer_id *peer, const char *detail,
                  weft_ns now);

/* hear.c */
enum weft_err gossip_hear_records(struct gossip *gossip, struct gossip_link *link, struct span body,
                                  weft_ns now);
/* Puts a verified record in, tells of it, passes it on to all but `from` (may be NULL). */
enum recordset_verdict gossip_take(struct gossip *gossip, struct record *record,
                                   struct gossip_link *from, weft_ns now);
/* Hears one encoded record, whole or made from a delta. */
enum weft_err gossip_hear_record(struct gossip *gossip, struct gossip_link *link,
                                 struct span encoded, weft_ns now);

/* lives.c */
/* A record came in: if it is the first peer record of another life than the one before, what is
 * left of that goes in a while, and what waited for it is passed on. */
void lives_changed(struct gossip *gossip, const struct record *record, uint64_t incarnation_before,
                   weft_ns now);
/* Drops at once what is left of an owner's former lives; whether there was any. */
bool lives_make_room(struct gossip *gossip, const struct weft_peer_id *owner);
void lives_tick(struct gossip *gossip, weft_ns now);

/* deltas.c */
enum weft_err gossip_hear_deltas(struct gossip *gossip, struct gossip_link *link, struct span body,
                                 weft_ns now);

/* notes.c */
enum weft_err notes_hear(struct gossip *gossip, struct gossip_link *link, struct span body,
                         weft_ns now);
/* A neighbour has a record in a version that we lack: it is asked for when it is due. */
void notes_miss(struct gossip *gossip, const struct gossip_link *link, const struct wire_note *note,
                weft_ns wait, weft_ns now);
/* A record has come: it is asked for no more. */
void notes_came(struct gossip *gossip, const struct record *record, weft_ns now);
/* What a neighbour pushed was here already. */
void notes_repeat(struct gossip *gossip, struct gossip_link *link, const struct weft_peer_id *owner,
                  weft_ns now);
/* Whether the mesh is one of few: more of what happens is told at once there. */
bool notes_mesh_is_small(const struct gossip *gossip);
/* Whether news are so few that all neighbours are pushed them. */
bool notes_are_calm(struct gossip *gossip, weft_ns now);
/* Puts a record on the notes for a link. */
void notes_add(struct gossip *gossip, struct gossip_link *link, size_t slot, weft_ns now);
/* The notes that are due for a link; NULL if there are none. */
struct frame *notes_take_frame(struct gossip *gossip, struct gossip_link *link, weft_ns now);
void notes_link_up(struct gossip *gossip, struct gossip_link *link);
void notes_link_down(struct gossip *gossip, const struct gossip_link *gone, weft_ns now);
void notes_tick(struct gossip *gossip, weft_ns now);

/* own.c */
void own_heard(struct gossip *gossip, struct gossip_link *link, struct record *record, weft_ns now);
void own_tick(struct gossip *gossip, weft_ns now);

/* spread.c */
/* The record of a slot, to neighbours but `except` (may be NULL) and its owner. */
void spread_record(struct gossip *gossip, size_t slot, const struct gossip_link *except,
                   weft_ns now);
/* Passes on what of the owner's could not be while it was not live. */
void spread_news(struct gossip *gossip, const struct weft_peer_id *owner, weft_ns now);
/* Marks those neighbours but `except` and the owner that are to hear of a thing (is_picked);
 * returns how many. With `now` 0 all are drawn: state of channels, which goes round again. */
size_t spread_pick(struct gossip *gossip, const struct gossip_link *except,
                   const struct weft_peer_id *owner, weft_ns now);
struct gossip_link *spread_any(struct gossip *gossip);
enum pend {
    PEND_NEWS,  /* overtakes a backlog; only what changed if the older version is known */
    PEND_ROW,   /* the same, from before the row of changes */
    PEND_WHOLE, /* overtakes a backlog; as a whole */
    PEND_BULK,  /* what a reconciliation gives, whole: is not held back */
};
bool spread_pend(struct gossip *gossip, struct gossip_link *link, size_t slot, enum pend pend);
/* The neighbour has the record in a slot: nothing is owed it. */
void spread_unpend(struct gossip_link *link, size_t slot);
void spread_unpend_all(struct gossip_link *link);
struct frame *spread_take_frame(struct gossip *gossip, struct gossip_link *link);
/* Lets go of the frame that neighbours share. */
void spread_forget_frame(struct gossip *gossip);

/* pace.c */
/* Whether what is pending for a link must wait; then it does, and pace_tick lets it go on. Else a
 * frame of it is paid for. */
bool pace_holds(struct gossip *gossip, struct gossip_link *link, weft_ns now);
/* Whether the neighbour counts on us, as a site does on its hub. */
bool pace_is_dependent(struct gossip *gossip, struct gossip_link *link, weft_ns now);
/* Whether a neighbour that was not picked for a push is sent a note instead. */
bool pace_sends_note(struct gossip *gossip, struct gossip_link *link, weft_ns now);
/* Whether a neighbour has so many others that it need not hear this from us. */
bool pace_leaves_out(struct gossip *gossip, struct gossip_link *link, weft_ns now);
void pace_tick(struct gossip *gossip, weft_ns now);

/* reconcile.c */
void reconcile_link_up(struct gossip *gossip, struct gossip_link *link, weft_ns now);
enum weft_err reconcile_hear(struct gossip *gossip, struct gossip_link *link, struct span body,
                             weft_ns now);
void reconcile_tick(struct gossip *gossip, weft_ns now);
bool reconcile_is_running(const struct gossip_link *link, weft_ns now);

/* broadcast.c */
enum weft_err broadcast_hear(struct gossip *gossip, struct gossip_link *link, struct span body,
                             weft_ns now);
void broadcast_free(struct gossip *gossip);
struct source *source_find(const struct gossip *gossip, const struct weft_peer_id *id);
/* The source's window, made or moved to a newer incarnation if need be; NULL when there is no room.
 */
struct source *source_get(struct gossip *gossip, const struct weft_peer_id *id,
                          uint64_t incarnation);
bool source_has(const struct source *source, uint64_t sequence);
/* Somebody shows that a sequence number exists; what is missing up to there is pulled. */
void source_show(struct gossip *gossip, struct source *source, uint64_t sequence,
                 const struct gossip_link *shower, weft_ns now);

/* repair.c */
void repair_keep(struct gossip *gossip, const struct wire_broadcast *broadcast,
                 const struct weft_peer_id *source, weft_ns now);
void repair_send_heads(struct gossip *gossip, struct gossip_link *link, weft_ns now);
void repair_link_lost(struct gossip *gossip, weft_ns now);
enum weft_err repair_hear_heads(struct gossip *gossip, struct gossip_link *link,
                                const struct wire_frame *frame, weft_ns now);
enum weft_err repair_hear_pull(struct gossip *gossip, struct gossip_link *link, struct span body);
void repair_tick(struct gossip *gossip, weft_ns now);
void repair_forget(struct gossip *gossip);

/* channel.c */
struct channel *channel_find(const struct gossip *gossip, struct span name);
enum weft_err channel_hear(struct gossip *gossip, struct gossip_link *link, struct span body);
void channel_link_up(struct gossip *gossip, struct gossip_link *link);
void channel_round(struct gossip *gossip, struct gossip_link *link);

/* pending.c */
/* Merges state into what waits for a link. Borrows the payload. */
void pending_put(struct gossip *gossip, struct gossip_link *link, struct span channel,
                 struct frame *payload, uint8_t hops);
struct frame *pending_take_frame(struct gossip *gossip, struct gossip_link *link);
void pending_free(struct gossip_link *link);

/* output.c */
/* A frame in the making, in the scratch: one at a time. */
struct making {
    struct wire_writer writer;
    size_t begin;
};
struct making output_begin(struct gossip *gossip, enum wire_kind kind);
/* NULL when it did not fit or memory is short. */
struct frame *output_end(struct making *making);
/* Queue a frame for a link; both take the reference, NULL does nothing. */
void output_control(struct gossip *gossip, struct gossip_link *link, struct frame *frame);
void output_message(struct gossip *gossip, struct gossip_link *link, struct frame *frame);
/* Call after something became pending or room changed. */
void output_ready(struct gossip *gossip, struct gossip_link *link);
void output_free(struct gossip_link *link);

#endif
