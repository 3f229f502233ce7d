/* SPDX-License-Identifier: Apache-2.0
 *
 * What one link has yet to send. Control goes first, then messages, then streams; fair between
 * flows inside the last by deficit round robin (Shreedhar, Varghese 1995) over the flow label.
 *
 *    control  -> [a b c]                              first in, first out
 *    message  -> [d e]                                first in, first out
 *    stream   -> flow 4 [i] -> ...                    fresh flows, until they had a quantum
 *             -> flow 7 [f g] -> flow 9 [h] -> ...    then the round; an empty flow leaves it
 *
 * Which class a carrier has is its sender's word, and messages may be bulk. So an upper class may
 * be ahead of the lower ones that wait by its lead only; from there on they get a byte for each of
 * its own, until nothing below it waits. What is urgent is small and never meets that bound, and
 * nobody starves: of three classes that always have something, streams get a quarter.
 *
 * A flow that had nothing waiting is fresh and goes ahead of the round, as in FQ-CoDel (RFC 8290):
 * what an echo says does not wait for a packet of every bulk stream. Once it sent a quantum, or has
 * nothing left, it goes to the end of the round. Fresh flows together may send a quantum before
 * the round sends a packet, so however many labels someone makes up, nobody starves.
 *
 * A flow whose data has stood for over 5 ms during 100 ms gets congestion marks until its wait is
 * short again (after CoDel, Nichols and Jacobson 2012; marks instead of drops). Judged per flow as
 * in FQ-CoDel (RFC 8290), so that a thin flow is not blamed for a fat one's queue.
 *
 * Datagrams (WIRE_CARRIER_DATAGRAM) stand in the round too but have little use for a long queue:
 * one is refused where its flow has 1 MiB or has waited 100 ms, and where all datagrams together
 * would take more than half of the class.
 *
 * At its bound class stream cuts its fattest flows, from the head, as FQ-CoDel does: their ends
 * hear soonest of what was lost at the head. Whoever comes next is queued, so a flow that takes no
 * more than its share loses nothing to those that take no notice of marks. A cut leaves an eighth
 * of the class free: it costs a look at every flow, and a node's own streams, which wait for room
 * and so cut nobody, find some beside those it relays.
 *
 * Bounds in bytes per class; every item is charged SENDQ_ITEM_BYTES more than its frames, so that
 * tiny frames are bounded in memory too. Frames out of a pool have room for up to twice what is in
 * them: a class at its bound holds at most twice that. At the bound of control and messages a
 * push is refused. All storage is one pool of items and one of flows, both grown by doubling and
 * given back by sendq_relax.
 */
#ifndef LINK_SENDQ_H
#define LINK_SENDQ_H

#include "base/frame.h"
#include "base/hash.h"
#include "wire/message.h"

#define SENDQ_CONTROL_BYTES_MAX ((size_t)1 << 20) /* a peer that lets this stand does not read */
#define SENDQ_MESSAGE_BYTES_MAX ((size_t)4 << 20) /* one full state of 10,000 nodes, roughly */
#define SENDQ_STREAM_BYTES_MAX ((size_t)4 << 20)  /* 30 ms at 1 Gbit/s; beyond, latency only */
#define SENDQ_STREAM_CUT (SENDQ_STREAM_BYTES_MAX / 8) /* free after a cut */
#define SENDQ_CONTROL_LEAD ((size_t)256 << 10)        /* the news of a thousand nodes */
#define SENDQ_MESSAGE_LEAD ((size_t)64 << 10)         /* a packet of bulk, or a thousand acks */
#define SENDQ_ITEM_BYTES 128 /* an item, the heads of two frames, the allocator's share */
#define SENDQ_QUANTUM 16384  /* bytes a flow earns a round: a TLS record, a quarter of a packet */
#define SENDQ_FLOWS_MAX 1024 /* beyond, flows share: bounds the pool at 48 KiB */
#define SENDQ_TARGET ((weft_ns)5000000)                       /* CoDel's 5 ms */
#define SENDQ_DATAGRAM_BYTES_MAX (SENDQ_STREAM_BYTES_MAX / 2) /* streams always have the rest */
#define SENDQ_DATAGRAM_FLOW_BYTES_MAX ((size_t)1 << 20)       /* 100 ms at 80 Mbit/s */
#define SENDQ_DATAGRAM_WAIT_MAX ((weft_ns)100000000) /* of the flow's first: it gets too little */
#define SENDQ_INTERVAL ((weft_ns)100000000)          /* CoDel's 100 ms: a long round trip */

struct sendq_item {
    struct frame *frame;
    struct frame *payload; /* NULL unless a carrier */
    weft_ns since;
    uint32_t next; /* index, or SENDQ_NONE */
};

struct sendq_list {
    uint32_t head;
    uint32_t tail;
    size_t bytes; /* of items, in a list of those */
};

struct sendq_flow;

struct sendq {
    struct hash_key key; /* peers choose flow labels */
    struct sendq_item *items;
    uint32_t item_size;
    uint32_t item_free; /* head of the list of free items */
    struct sendq_flow *flows;
    uint32_t flow_size;
    uint32_t flow_free;
    uint32_t flow_count;
    uint32_t *buckets;         /* label -> flow, chained */
    struct sendq_list fifo[2]; /* control, message: items */
    struct sendq_list fresh;   /* flows that came since, and go first */
    struct sendq_list round;   /* flows that take turns; one that was fresh may be empty */
    size_t fresh_bytes;        /* sent by fresh flows since the round sent */
    size_t bytes[WIRE_CLASS_COUNT];
    size_t lead[2];        /* bytes of control, message ahead of lower classes that wait: each its
                              own, since messages wait for control too; below streams is nobody */
    size_t datagram_bytes; /* of those among them that are datagrams */
    size_t frame_bytes;    /* of all items without payloads: what records must hold */
    size_t count;
    uint64_t cut_count; /* frames of streams dropped since somebody asked */
};

/* What sendq_pop hands over: the two references are the caller's. */
struct sendq_taken {
    struct frame *frame;
    struct frame *payload;
    bool is_congested;
};

/* Allocates nothing. `key` is copied. */
void sendq_init(struct sendq *queue, const struct hash_key *key);

/* Drops everything. */
void sendq_fini(struct sendq *queue);

/* Queues with references of its own. WEFT_ERR_FULL at the bound of control and messages; streams
 * are queued there, and the fattest flows cut (cut_count). WEFT_ERR_TIMEOUT for a datagram that
 * would wait too long, WEFT_ERR_MEMORY. */
WEFT_MUST_CHECK enum weft_err sendq_push(struct sendq *queue, struct frame *frame,
                                         struct frame *payload, enum wire_class class,
                                         uint32_t flow, weft_ns now);

/* Borrows what goes next, NULL when empty. The same until the next push or pop. Cost: amortised
 * constant; a flow earns a quantum each time the round passes it. */
const struct sendq_item *sendq_peek(struct sendq *queue);

/* Takes what sendq_peek showed; the queue must not be empty. */
void sendq_pop(struct sendq *queue, weft_ns now, struct sendq_taken *out);

/* Bytes of frame and payload that a class still takes in one push. */
size_t sendq_room(const struct sendq *queue, enum wire_class class);

/* Drops all of a class. */
void sendq_drop(struct sendq *queue, enum wire_class class);

/* Gives the pools back if nothing is queued. */
void sendq_relax(struct sendq *queue);

static inline bool sendq_is_empty(const struct sendq *queue) {
    return queue->count == 0;
}

#endif
