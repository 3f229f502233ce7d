/* SPDX-License-Identifier: Apache-2.0
 *
 * The virtual network: connections as TCP shows them, and what can befall them. A connection has
 * two ends and, each way, a pipe: parcels in order, each at the earliest one delay after it left.
 *
 *   send -> [ waits for the wire (rate) ] -> [ on its way (delay, jitter) ] -> arrives
 *                                                  | lost, or the way is silent:
 *                                                  +-- again after a time-out of a round trip and
 *                                                      200 ms, one more, then two, four ..., or
 *                                                      as soon as what was sent later is
 *                                                      acknowledged (RACK-TLP, RFC 8985)
 *
 * A parcel is whatever the world gives: a frame and perhaps its payload, or a chunk of bytes; the
 * net holds references and looks at nothing but the length. What is unacknowledged is bounded by
 * the quality's buffer: net_room says what may be sent.
 *
 * Faults are states of a direction between two nodes: cut (resets, refused) and silent (nothing
 * arrives, nobody is told); and of a node: loss, added delay. They add up: a direction is as bad as
 * the worst that holds, and each is ended by the number it was begun with.
 */
#ifndef SIM_NET_H
#define SIM_NET_H

#include "base/frame.h"
#include "base/link_id.h"
#include "base/rng.h"
#include "base/timers.h"
#include "sim/topology.h"

struct net;

/* One end of a connection is a link id; the other end has the lowest bit flipped. */
static inline struct link_id net_other_end(struct link_id end) {
    return (struct link_id){.value = end.value ^ 1U};
}

enum net_event_kind {
    NET_CONNECTED, /* at both ends: TCP's handshake is done */
    NET_FAILED,    /* at the dialler, whose end never was: refused or timed out (`text`) */
    NET_PARCEL,    /* frame and payload are the event's, to unref */
    NET_CLOSED,    /* the other end closed or reset it, or it was cut; `was_reset` */
    NET_ROOM,      /* more may be sent, after net_room had said too little */
};
struct net_event {
    enum net_event_kind kind;
    uint32_t node;  /* to whom */
    uint32_t other; /* the far node */
    struct link_id end;
    uint64_t token; /* of net_dial, at the dialler's end */
    struct frame *frame;
    struct frame *payload;
    bool was_reset;
    const char *text;
};

/* The scenario and plan outlive the net. `timers` is the world's: the net arms its own in it, with
 * kind `timer_kind`, and gets them back by net_fire. */
struct net *net_new(const struct scenario *scenario, const struct plan *plan, uint64_t seed,
                    struct timers *timers, int timer_kind);
void net_free(struct net *net);

/* A timer of the net's fired at `now`. */
void net_fire(struct net *net, struct timer *timer, weft_ns now);
/* Takes the next event; false when there are no more now. */
bool net_next_event(struct net *net, struct net_event *out);

/* Opens a connection; CONNECTED or FAILED follows. */
void net_dial(struct net *net, uint32_t from, uint32_t to, uint64_t token, weft_ns now);
/* Sends over an open connection; takes references of its own. Dropped if it is gone. */
void net_send(struct net *net, struct link_id end, struct frame *frame, struct frame *payload,
              weft_ns now);
/* Bytes that may be sent now without waiting for the wire; 0 when gone. After a 0 for an open end,
 * ROOM follows. */
size_t net_room(struct net *net, struct link_id end, weft_ns now);
/* Closes one end: what was sent still arrives, then CLOSED at the other. No more events here. */
void net_close(struct net *net, struct link_id end, weft_ns now);
bool net_is_open(const struct net *net, struct link_id end);
uint32_t net_far(const struct net *net, struct link_id end); /* of an open end */

/* Nodes. A node that is not listening refuses; one that is `gone` (no power) answers nothing. */
enum net_presence {
    NET_LISTENS,
    NET_REFUSES,
    NET_GONE,
};
/* REFUSES and GONE drop all its connections; with REFUSES the other ends see a reset. */
void net_set_presence(struct net *net, uint32_t node, enum net_presence presence, weft_ns now);
/* A node that is held takes no events until it is released; then all that waited come. */
void net_hold(struct net *net, uint32_t node, bool is_held, weft_ns now);

/* Faults. Each call begins one and returns its number. SIZE of `a` x `b` directions. */
enum net_fault_kind {
    NET_CUT,     /* a -> b and b -> a: reset now, refused as long as it holds */
    NET_SILENCE, /* a -> b only */
};
uint64_t net_begin_between(struct net *net, enum net_fault_kind kind, uint32_t a, uint32_t b,
                           weft_ns now);
/* As between each of `side` and each other node: `is_in_side` has node_count entries, copied.
 * CUT: both ways. SILENCE: from the side outwards, and with `is_both` back as well. */
uint64_t net_begin_around(struct net *net, enum net_fault_kind kind, const bool *is_in_side,
                          bool is_both, weft_ns now);
/* Segments from the node (and, with `is_both`, to it) are lost / take longer. */
uint64_t net_begin_loss(struct net *net, uint32_t node, uint32_t ppm, bool is_both);
uint64_t net_begin_delay(struct net *net, uint32_t node, weft_ns delay);
/* Resets all connections of a node, once. */
void net_reset_all_of(struct net *net, uint32_t node, weft_ns now);
void net_reset_between(struct net *net, uint32_t a, uint32_t b, weft_ns now);
void net_end(struct net *net, uint64_t fault, weft_ns now);
void net_end_all(struct net *net, weft_ns now);

/* What is in force from a to b, for the oracle. */
bool net_is_passable(const struct net *net, uint32_t a, uint32_t b);
/* One-way delay from a to b as drawn, without jitter or faults. */
weft_ns net_delay(const struct net *net, uint32_t a, uint32_t b);

struct net_counters {
    uint64_t connections; /* open now */
    uint64_t parcels;     /* on their way now */
    uint64_t lost;        /* segments' worth of parcels sent again, ever */
};
struct net_counters net_count(const struct net *net);

#endif
