/* SPDX-License-Identifier: Apache-2.0
 *
 * The insides of the network, shared by net.c (nodes, faults, life cycle) and conn.c (connections)
 * and nobody else.
 */
#ifndef SIM_NET_INTERNAL_H
#define SIM_NET_INTERNAL_H

#include "base/check.h"
#include "base/hash.h"
#include "base/ring.h"
#include "base/time.h"
#include "sim/must.h"
#include "sim/net.h"
#include "sim/pipe.h"
#include "sim/weather.h"

#define CONNECT_TIMEOUT (3 * NS_PER_S) /* as the daemon's */
#define SYN_RETRY NS_PER_S             /* the first time-out of a connection, RFC 6298 */
/* So many time-outs are alike, then they double: Linux since 6.5 (tcp_syn_linear_timeouts). */
#define SYN_LINEAR 4
#define SYN_DOUBLED_MAX 6

enum conn_state {
    CONN_FREE,
    CONN_SYN,     /* the dialler's first packet is on its way */
    CONN_SYN_ACK, /* accepted; the dialler has not heard yet */
    CONN_ACK,     /* the dialler is connected, the acceptor not yet */
    CONN_OPEN,
};

struct conn_end {
    uint32_t node;
    bool is_open;    /* the node has it and gets its events */
    struct pipe out; /* towards the other end */
};

struct conn {
    enum conn_state state;
    uint32_t index; /* in net->conns */
    uint32_t generation;
    uint32_t free_next;      /* index + 1 */
    struct conn_end ends[2]; /* the dialler's first */
    struct timer timer;      /* of the states before OPEN */
    uint64_t token;
    weft_ns begun_at;
    uint32_t tries;
    struct scenario_quality quality;
    weft_ns delay; /* one way, as drawn for the pair */
};

struct net_node {
    enum net_presence presence;
    bool is_held;
    struct timer **waiting; /* fired while it was held */
    size_t waiting_count;
    size_t waiting_size;
};

struct net {
    const struct scenario *scenario;
    const struct plan *plan;
    struct timers *timers;
    int timer_kind;
    weft_ns rto_min; /* of all connections */
    struct rng rng;
    struct hash_key delays; /* pair -> its delay */
    struct weather *weather;
    struct net_node *nodes;
    struct conn **conns;
    uint32_t conn_count; /* slots ever used */
    uint32_t conn_size;
    uint32_t conn_free; /* index + 1 */
    struct ring events;
    struct net_counters counters;
};

/* net.c */
const struct scenario_quality *net_quality(const struct net *net, uint32_t a, uint32_t b);
void net_emit(struct net *net, const struct net_event *event);
void net_arm(struct net *net, struct timer *timer, weft_ns at);
/* Puts a timer that fired aside if its node is held. */
bool net_set_aside(struct net *net, uint32_t node, struct timer *timer);
void net_timer_drop(struct net *net, struct timer *timer, uint32_t node);

/* conn.c */
void conn_fire(struct net *net, struct conn *conn, struct timer *timer, weft_ns now);
/* Both ends are told at once. */
void conn_reset(struct net *net, struct conn *conn, weft_ns now);
/* One end is gone: what it sent still arrives, then the other is told. */
void conn_end_close(struct net *net, struct conn *conn, unsigned side, enum parcel_mark mark,
                    weft_ns now);
/* One end is gone and nobody is told. */
void conn_end_vanish(struct net *net, struct conn *conn, unsigned side);

#endif
