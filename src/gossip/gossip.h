/* SPDX-License-Identifier: Apache-2.0
 *
 * What spreads: records (topology, services), broadcasts, and the gossip of named channels.
 *
 * Records. A changed record is passed on, only by those to whom it was new, to min(2 log2(live
 * owners), neighbours) neighbours, at least 4, drawn at random, favouring those behind which more
 * of the mesh lies. Our own, and others' while there are few in a mesh of up to 64, are pushed to
 * all of these; else only along links that make up a tree, and the others get notes of 6 bytes
 * (notes.c). What is pending for a link is a set of places, merged: a slow link gets the newest
 * state in bounded memory, one bit a record. What the neighbour meanwhile shows that it has is
 * taken back: by sending it, by a note, by a heartbeat whose digest is ours. Where changes follow
 * each other frames are spaced (pace.c). A record whose owner is not live (yet) is kept but not
 * passed on: strangers cost one hop. When an owner becomes live, those of its records that were
 * never passed on are: what returns after a partition is not pushed again.
 *
 * Deltas. What is pushed is only what changed (delta.h), from the version before, or from the one
 * before the row of changes where the neighbour was sent nothing of the row yet; what kept versions
 * there are is in past.h. Nobody keeps account of what a neighbour has: one that lacks the base
 * asks for the whole record (notes.c). Reconciliations give whole records. What a node stores and
 * what digests cover are whole records, signed as a whole.
 *
 * Reconciliation (sync.h) with a neighbour: at link up if it was not live (after 250 ms if we hold
 * stale records, so that routes can make them live first); when its heartbeats' digest has differed
 * from ours for 300 ms with nothing pending either way and no change here for 400 ms; where changes
 * never end, with one neighbour every 2 s; with a random one every 60 s. Of two ends the one with
 * the smaller id begins, the other 700 ms later if that one has not. Who has just got its first
 * link is told everything by one neighbour; for 2 s it does not ask others while that one talks,
 * nor answer them. At most 4 links at a time are given everything they lack; the others get 256
 * records a round, which is enough to find other neighbours. A node with more than 24 links,
 * through which many join, gives all it has to two, then to one in five seconds, and to the others
 * a sample of 16 records, whose owners can tell the rest; it pushes to six neighbours, and of what
 * others publish its neighbours together push about four copies to it. A reconciliation counts as
 * running until digests agree or for 5 s after the last SYNC frame: while it does, an older version
 * that comes is answered with ours, and of the records taken only the first 64, or a quarter of
 * what we hold, are pushed on (a newcomer must not tell the mesh what the mesh told it).
 *
 * Broadcasts. Signed by their source, numbered 1, 2, 3 ... within its incarnation. Each node passes
 * a new one to its children in the source's tree if the frame's topology digest is its own, and to
 * neighbours that no route reaches yet, else (or if a child has no link) to all neighbours but the
 * sender, marked to be flooded. A window per source (1,024) drops repeats; recent ones are kept (4
 * MiB, 60 s) to answer pulls. A gap is pulled, after 50 ms, from the neighbour that showed it, then
 * from others, six times. At link up, when any link is lost, and after a queue overflowed, heads
 * are exchanged, so that tails are repaired too; who is new to a source is given up to 64 of its
 * recent ones. Heads are not signed: they lead to pulls and change nothing else.
 *
 * Channels. A gossiper has four callbacks; a channel without one here is relayed as it is
 * (surrogate), repeats dropped by a hash of the last 1,024 messages. Besides new neighbours, a
 * random one gets the complete state every 60 s.
 *
 * Own records: publish picks (incarnation, version); all carry the present incarnation, and raising
 * it signs all again. Hearing a newer version of ourselves than we sent raises ours above it; a
 * record of this incarnation that we do not know is buried under a tombstone; what is of an older
 * incarnation dies with our peer record's arrival (recordset.h). A version that reaches its limit,
 * tombstones that take half of our quota, and any other instance's peer record that is not older
 * than ours, move us to the next incarnation. When that instance comes back above our raise within
 * five minutes, or a neighbour closed our link for its sake, the key lives in two places:
 * GOSSIP_CLONE; of the two instances the larger one is to be quarantined. So the larger one waits
 * for a second before it raises: the other, if it lives, shows itself meanwhile, and routes do not
 * go to and fro. Raises are limited to one a second after the first four.
 *
 * Hostile neighbours. What is known already, byte for byte or by a newer version, costs no
 * signature check. Records of strangers pass a bucket per link (burst 20,000, 2,000 a second),
 * broadcasts of strangers another (256, 64 a second); beyond, they are dropped and counted and the
 * neighbour is named. Of deltas that do not make a genuine record a neighbour has 16 and one more
 * a second; beyond, they are not tried but asked for whole.
 */
#ifndef GOSSIP_GOSSIP_H
#define GOSSIP_GOSSIP_H

#include "base/frame.h"
#include "base/host.h"
#include "base/link_id.h"
#include "gossip/recordset.h"

struct gossip;

/* What gossip asks of the routes; pure questions, answered from what was computed last. */
struct gossip_routes {
    void *ctx;
    /* The neighbours that are our children in the tree of `source`. */
    size_t (*children)(void *ctx, const struct weft_peer_id *source, struct weft_peer_id *out,
                       size_t max);
    uint64_t (*digest)(void *ctx);
    size_t (*peers_behind)(void *ctx, const struct weft_peer_id *neighbour);
    /* How many links a peer says it has, 0 while it said nothing; NULL: nobody knows. */
    size_t (*degree)(void *ctx, const struct weft_peer_id *peer);
};

struct gossip_config {
    const struct identity *identity; /* outlives gossip */
    const struct host *host;         /* outlives gossip */
    struct record_pool *pool;        /* of all gossips of this process (pool.h), or NULL */
    struct gossip_routes routes;
    struct hash_key hash_key;
    uint64_t incarnation; /* of this start, 1 .. 2^63-1; raised by gossip when it must */
    uint64_t instance;    /* of this start, random */
    struct recordset_config records;
    weft_ns fade_after; /* records of an owner that is not live are dropped after this: 10 min */
    size_t pending_bytes_max; /* channel gossip waiting for one link: 1 MiB; beyond, the oldest
                                 channel's is dropped */
};

/* A channel's gossiper (weave mesh's four callbacks). They run inside gossip's inputs and must not
 * call into gossip, core or node. Payloads are borrowed for the call; frames returned are taken. */
struct gossiper {
    void *ctx;
    /* A message for us, from `source`, whose session proved it. */
    void (*unicast)(void *ctx, const struct weft_peer_id *source, struct span payload);
    /* A broadcast of `source`, verified, each exactly once. Returns false to not pass it on. */
    bool (*broadcast)(void *ctx, const struct weft_peer_id *source, struct span payload);
    /* The complete state, for a new neighbour; NULL if there is none. */
    struct frame *(*complete)(void *ctx);
    /* State from a neighbour. Merges it and returns what of it was new, to pass on; NULL if
     * nothing. */
    struct frame *(*gossip)(void *ctx, struct span payload);
    /* Joins two states into one that replaces both in a link's queue; NULL: keep the newer only. */
    struct frame *(*merge)(void *ctx, struct span older, struct span newer);
};

WEFT_MUST_CHECK enum weft_err gossip_new(const struct gossip_config *config, struct gossip **out);
void gossip_free(struct gossip *gossip);

/* Links. Up begins a reconciliation, an exchange of heads and the channels' complete states. */
WEFT_MUST_CHECK enum weft_err gossip_link_up(struct gossip *gossip, struct link_id link,
                                             const struct weft_peer_id *peer, weft_ns now);
void gossip_link_down(struct gossip *gossip, struct link_id link, weft_ns now);

/* One frame of kind BROADCAST, GOSSIP, RECORDS, DELTAS, NOTES, SYNC, PULL or HEADS. An error is the
 * peer's fault and means: close the link (MALFORMED, AUTH). Being short of memory drops the frame
 * and counts it.
 */
WEFT_MUST_CHECK enum weft_err gossip_frame(struct gossip *gossip, struct link_id link,
                                           const struct wire_frame *frame, weft_ns now);

/* The digest a neighbour's heartbeat carried. */
void gossip_digest_heard(struct gossip *gossip, struct link_id link, uint64_t digest, weft_ns now);

/* A neighbour closed our link because our key lives in another place too. */
void gossip_clone_heard(struct gossip *gossip, weft_ns now);

/* Routes now reach an owner, or no longer do. */
void gossip_set_live(struct gossip *gossip, const struct weft_peer_id *owner, bool is_live,
                     weft_ns now);

/* Publishes a record of our own if its body or tombstone differs from the present one's. */
WEFT_MUST_CHECK enum weft_err gossip_publish(struct gossip *gossip, uint16_t kind, struct span key,
                                             struct span body, weft_ns now);
WEFT_MUST_CHECK enum weft_err gossip_withdraw(struct gossip *gossip, uint16_t kind, struct span key,
                                              weft_ns now);

/* A record from the store, as saved: verified again. Own records are not loaded but published.
 * `absence`: how long ago its owner was last reachable. */
WEFT_MUST_CHECK enum weft_err gossip_load(struct gossip *gossip, struct span encoded,
                                          weft_ns absence, weft_ns now);

/* Channels. `name` as wire_name_is_valid. The gossiper is copied. */
WEFT_MUST_CHECK enum weft_err gossip_channel_open(struct gossip *gossip, const char *name,
                                                  const struct gossiper *gossiper, weft_ns now);
void gossip_channel_close(struct gossip *gossip, const char *name);
/* State of ours that changed: to random neighbours. */
WEFT_MUST_CHECK enum weft_err gossip_channel_send(struct gossip *gossip, const char *name,
                                                  struct span payload, weft_ns now);
/* To everybody. WEFT_ERR_NOT_FOUND without a gossiper, WEFT_ERR_INVALID when payload > 48 KiB. */
WEFT_MUST_CHECK enum weft_err gossip_channel_broadcast(struct gossip *gossip, const char *name,
                                                       struct span payload, weft_ns now);
/* A unicast that a session delivered; false if the channel has no gossiper here. */
bool gossip_channel_unicast(struct gossip *gossip, const struct weft_peer_id *source,
                            struct span channel, struct span payload);

/* What to send now. Takes frames for links that have room, in turn: control before
 * messages. `link_room` bytes are what each link was last said to have, less what was taken since;
 * 64 KiB before it was said. One frame may overshoot what is left: a link has room while it has
 * any.
 */
struct gossip_output {
    struct link_id link;
    enum wire_class class;
    struct frame *frame; /* a whole frame, header and all; the caller's to unref */
};
bool gossip_next_output(struct gossip *gossip, weft_ns now, struct gossip_output *out);
void gossip_link_room(struct gossip *gossip, struct link_id link, size_t bytes);

/* What happened. */
enum gossip_event_kind {
    GOSSIP_RECORD,  /* added, updated or deleted (is_tombstone); save it, tell router or registry */
    GOSSIP_FADED,   /* dropped, its owner long gone; forget it in the store too */
    GOSSIP_OWN,     /* our incarnation or version was raised; save `incarnation` */
    GOSSIP_CLONE,   /* our key lives elsewhere; `record` is the other's peer record */
    GOSSIP_NOTHING, /* never seen by callers */
    GOSSIP_CULPRIT, /* a neighbour sent what it should not (once a minute and peer): `detail` */
};
struct gossip_event {
    enum gossip_event_kind kind;
    struct record *record;    /* the caller's to unref; NULL for OWN and CULPRIT */
    uint64_t incarnation;     /* OWN */
    struct weft_peer_id peer; /* CULPRIT */
    const char *detail;       /* CULPRIT: a literal */
};
bool gossip_next_event(struct gossip *gossip, struct gossip_event *out);

void gossip_tick(struct gossip *gossip, weft_ns now);
weft_ns gossip_deadline(const struct gossip *gossip);

/* The set, for questions; borrowed. */
const struct recordset *gossip_records(const struct gossip *gossip);
uint64_t gossip_incarnation(const struct gossip *gossip);

/* For status and tests. */
struct gossip_counters {
    uint64_t records_in, records_new, records_refused;
    uint64_t deltas_in;     /* of records_in */
    uint64_t deltas_missed; /* of those: what they change was not here */
    uint64_t broadcasts_new, broadcasts_repeated, broadcasts_pulled;
    uint64_t broadcasts_lost; /* given up after pulling in vain, or out of the window */
    uint64_t sync_begun, sync_frames, sync_bytes;
    uint64_t raises;      /* of our own records, because somebody had newer ones */
    uint64_t dropped;     /* at the bound of a queue, or for want of memory */
    uint64_t events_lost; /* of those, events: what is in the record set was not told */
};
struct gossip_counters gossip_count(const struct gossip *gossip);

#endif
