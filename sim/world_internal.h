/* SPDX-License-Identifier: Apache-2.0
 *
 * The insides of the world, shared by its files and nobody else:
 *
 *   world.c  the clock and what happens next; questions      node.c   a node's life and troubles
 *   host.c   inputs to a core, and what it wants done        carry.c  links over the network
 *   bytes.c  the same with real links over bytes
 *   store.c  what a node remembers over a restart            memory.c allocations that are refused
 */
#ifndef SIM_WORLD_INTERNAL_H
#define SIM_WORLD_INTERNAL_H

#include "base/check.h"
#include "base/link_table.h"
#include "base/peer_table.h"
#include "base/time.h"
#include "gossip/pool.h"
#include "router/pool.h"
#include "link/sendq.h"
#include "sim/must.h"
#include "sim/world.h"

#define OBSERVERS_MAX 12

enum world_timer {
    TIMER_NET,
    TIMER_NODE, /* a node's deadline, or the end of its being busy */
    TIMER_LINK, /* a handshake's time is up */
    TIMER_CALL,
};

/* How far a connection has come to be a link. Three messages as in Noise XX; in frame mode they
 * have no content. */
enum carry_state {
    CARRY_WAIT_1, /* acceptor: for the dialler's first message */
    CARRY_WAIT_2, /* dialler: for the answer */
    CARRY_WAIT_3, /* acceptor: for the third */
    CARRY_UP,     /* the core was told */
};

/* What each frame looks at stands first. */
struct carry {
    struct link_id id;
    uint32_t node;
    uint32_t other;
    enum carry_state state;
    bool is_touched;    /* in world->touched */
    bool is_room_asked; /* the network will say when it has room */
    struct link *link;  /* byte mode: the real one; NULL in frame mode */
    uint64_t token;     /* of the dial; 0: accepted */
    struct sendq queue; /* what the network has no room for */
    struct timer timer;
};

/* What a node's disk holds. */
struct store {
    uint64_t incarnation;
    struct record **records; /* references; of others */
    size_t count;
    weft_ns at;     /* when it was written: the world's time */
    bool is_frozen; /* the disk is full: it stays as it is */
};

/* What each event looks at stands first. */
struct node {
    struct world *world;
    struct core *core;
    struct link_table links; /* of struct carry, in the order they were made */
    enum node_state state;
    uint32_t refused_ppm;
    weft_ns ahead; /* its clock, before the world's */
    weft_ns busy_until;
    uint32_t slowness;
    bool is_held;
    bool is_liar;
    struct timer timer;
    struct bytes_node *bytes; /* byte mode: what its links share (bytes.c) */
    uint64_t incarnation;     /* of this life */
    uint64_t instance;
    uint64_t starts;
    struct identity identity;
    struct rng rng;
    struct host host;
    struct store store;
    struct liar liar;
};

/* world_at: kept until it fires. */
struct call {
    struct timer timer;
    void (*call)(void *ctx);
    void *ctx;
};

struct world {
    struct world_options options;
    const struct scenario *scenario;
    struct plan plan;
    struct net *net;
    struct timers timers;
    struct metrics *metrics;
    weft_ns now;
    uint64_t steps;
    uint64_t hash;
    bool is_stopped;
    bool is_withholding; /* frames that carry news of records are not sent */
    struct node *nodes;
    struct peer_table by_id; /* a node's number is its index */
    struct record_pool *records;
    struct graph_pool *graphs;
    struct observer observers[OBSERVERS_MAX];
    size_t observer_count;
    struct application application;
    struct frame *shake[3]; /* the handshake's messages in frame mode */
    struct carry **touched; /* links of the node that is being pumped, to be told their room */
    size_t touched_count;
    size_t touched_size;
    struct rng memory_rng;
    struct rng cut_rng; /* byte mode: where bytes are cut */
};

/* Calls one callback of all observers. */
#define OBSERVE(world, what, ...)                                                                  \
    for (size_t observe_i = 0; observe_i < (world)->observer_count; observe_i++) {                 \
        if ((world)->observers[observe_i].what != NULL) {                                          \
            (world)->observers[observe_i].what((world)->observers[observe_i].ctx, __VA_ARGS__);    \
        }                                                                                          \
    }

/* world.c */
void world_arm(struct world *world, struct timer *timer, weft_ns at);
void world_mix(struct world *world, uint64_t value);
void world_mix_bytes(struct world *world, struct span bytes);

/* node.c */
uint32_t node_index(const struct node *node);
void node_state_set(struct node *node, enum node_state state);
void node_hold(struct node *node); /* after its state or busy_until changed */
void node_init(struct world *world, uint32_t index);
void node_fini(struct node *node);
/* "10.A.B.C:9338" of a node, and back. */
void node_address(uint32_t index, char out[32]);
bool node_at_address(const struct world *world, const char *endpoint, uint32_t *out);

/* host.c */
/* Around each call into a node's core, so that its allocations may be refused. */
void host_enter(struct node *node);
void host_exit(struct node *node);
weft_ns host_now(const struct node *node);
/* Performs what the core wants, re-arms, and counts the work. Nothing happens to a node that is
 * not up. */
void host_pump(struct node *node);
void host_fire(struct node *node); /* its timer */
void host_net_event(struct world *world, struct net_event *event);

/* carry.c */
void carry_dial(struct node *node, const struct action *action);
void carry_event(struct node *node, struct net_event *event);
void carry_send(struct node *node, struct action *action);
void carry_close(struct node *node, const struct action *action);
void carry_timeout(struct world *world, struct timer *timer);
/* Tells the core what the links touched since have room for; false when none was. */
bool carry_tell_room(struct node *node);
/* The process is gone: nobody is told anything. */
void carry_drop_all(struct node *node);
struct carry *carry_find(const struct node *node, struct link_id link);

/* store.c */
void store_save(struct node *node); /* everything, as of now */
void store_load(struct node *node);
void store_wipe(struct node *node);

/* memory.c: while `ppm` > 0, so many of the allocations made are refused. */
void memory_refuse(uint32_t ppm, struct rng *rng);

#endif
