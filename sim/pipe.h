/* SPDX-License-Identifier: Apache-2.0
 *
 * One direction of a connection, as TCP shows it: parcels in order, the wire that sends them one
 * after the other, and when a lost one is tried again. Pure timing; net.c says who is lost.
 */
#ifndef SIM_PIPE_H
#define SIM_PIPE_H

#include "base/frame.h"
#include "base/timers.h"
#include "sim/scenario.h"

#define PIPE_SEGMENT_BYTES 1448
/* Linux: a time-out is so much above the round trip; less where the daemon asks for less, which it
 * does when beats are less than a second apart (TCP_RTO_MIN_US). */
#define PIPE_RTO_MIN (200 * (weft_ns)1000000)
#define PIPE_RTO_MIN_FAST (50 * (weft_ns)1000000)
#define PIPE_RTO_MAX (120 * (weft_ns)1000000000)
#define PIPE_UNSENT_MAX ((size_t)128 * 1024) /* TCP_NOTSENT_LOWAT, as the daemon sets it */
#define PIPE_DUPLICATES 3                    /* segments behind a hole that show it */

enum parcel_mark {
    PARCEL_DATA,
    PARCEL_FIN,
    PARCEL_RESET,
};

struct parcel {
    struct parcel *next;
    struct frame *frame;
    struct frame *payload;
    uint32_t len;
    uint16_t tries; /* that failed */
    enum parcel_mark mark;
    weft_ns sent;
    weft_ns at; /* arrives, or is tried again, not before this */
};

struct pipe {
    struct timer timer; /* of the head */
    struct timer room;  /* when the wire has sent enough to take more */
    struct parcel *head;
    struct parcel *tail;
    size_t in_flight; /* bytes not acknowledged */
    size_t unheard;   /* of those, arrived, but their acknowledgement is lost */
    weft_ns free_at;  /* when the wire has sent what it was given */
    bool wants_room;
};

/* Puts a parcel at the end; it arrives after `delay` from when the wire has sent it. */
void pipe_put(struct pipe *pipe, const struct scenario_quality *quality, struct parcel *parcel,
              weft_ns delay, weft_ns now);
/* Unlinks the head. */
struct parcel *pipe_take(struct pipe *pipe);
/* Drops everything. */
void pipe_clear(struct pipe *pipe);
void parcel_free(struct parcel *parcel);

/* What a write takes now: bounded by what may be unacknowledged and what may wait for the wire. */
size_t pipe_room(const struct pipe *pipe, const struct scenario_quality *quality, weft_ns now);
/* When the wire will have taken half of what may wait for it. */
weft_ns pipe_room_at(const struct pipe *pipe, const struct scenario_quality *quality);

/* How long after it failed to arrive the head is tried again: a round trip if enough stands behind
 * it to show the hole (and something arrives at all), else the time-out. The first one is the probe
 * for a lost tail (RFC 8985), after which the second is not longer; the others double. */
weft_ns pipe_retry_after(const struct pipe *pipe, weft_ns round_trip, weft_ns rto_min,
                         bool is_silent);

/* A head that was lost once is sent again as soon as the acknowledgement of `by`, which left later,
 * is back: RACK of RFC 8985, with its quarter of a round trip for what may only be reordered. A
 * lost repeat is not found so, since a sender that recovers holds new segments back: Linux 6.18
 * waits for the time-out then. True if it is tried earlier now. */
bool pipe_show_hole(struct pipe *pipe, const struct parcel *by, weft_ns round_trip);

#endif
