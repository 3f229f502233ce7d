/* SPDX-License-Identifier: Apache-2.0
 *
 * A small mesh of gossips on virtual time: frames in flight arrive in order after a fixed delay,
 * links are a matrix, heartbeats carry digests once a second, and the routes are made up: they know
 * the real graph (or, where a test says so, an outdated one).
 */
#ifndef TESTS_GOSSIP_NET_H
#define TESTS_GOSSIP_NET_H

#include "base/ring.h"
#include "base/time.h"
#include "gossip/pool.h"
#include "kit.h"

#define NET_NODES_MAX 48
#define NET_LOG_MAX 256

struct net;

struct net_node {
    struct net *net;
    size_t index;
    struct identity identity;
    struct rng rng;
    struct host host;
    struct gossip *gossip;
    bool is_up;
    uint64_t instance;
    uint64_t view; /* added to the digest: views differ while these do */
    size_t faded, clones;
    enum weft_err last_err;
    /* The channel "log": broadcasts heard, by first byte. */
    size_t heard[NET_LOG_MAX];
    /* The channel "sum": the largest number heard; merged by maximum. */
    uint8_t sum;
    size_t sum_calls;
    size_t merges;
    bool has_channels;
};

struct net {
    size_t count;
    weft_ns now;
    weft_ns delay;
    weft_ns heartbeat_at;
    struct net_node nodes[NET_NODES_MAX];
    uint64_t links[NET_NODES_MAX][NET_NODES_MAX]; /* link id, both ways; 0: none */
    uint64_t link_next;
    struct ring flight;
    uint64_t frames[32]; /* sent, by kind */
    uint64_t bytes;
    size_t room;              /* 0: without limit */
    struct record_pool *pool; /* of all nodes, or NULL; net_free frees it */
    uint64_t trace;           /* a hash of all frames so far: when, from where, what */
    /* Frames of this kind between two nodes vanish. */
    uint8_t lose_kind;
    size_t lose_from, lose_to;
};

struct net *net_new(uint64_t seed, size_t count);
void net_free(struct net *net);
void net_start(struct net *net, size_t node, uint64_t incarnation);
void net_stop(struct net *net, size_t node);
void net_join(struct net *net, size_t a, size_t b);
void net_cut(struct net *net, size_t a, size_t b);
/* A ring, and chords drawn from the seed. */
void net_wire(struct net *net, size_t chords);
void net_run(struct net *net, weft_ns span);
bool net_is_equal(const struct net *net);
/* Broadcasts one byte on "log". */
void net_broadcast(struct net *net, size_t node, uint8_t byte);
/* How many nodes besides `source` heard the byte exactly `times` times. */
size_t net_heard(const struct net *net, size_t source, uint8_t byte, size_t times);
void net_publish(struct net *net, size_t node, const char *key, const char *body);

#endif
