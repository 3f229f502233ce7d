/* SPDX-License-Identifier: Apache-2.0
 *
 * A few nodes' streams joined by channels that lose, delay, reorder, repeat and spoil packets, on
 * virtual time and from one seed. Each stream of an application writes a sequence of bytes that
 * follows from its number, and the reader checks each byte against it: whatever is
 * delivered must be exactly a prefix of what was written.
 */
#ifndef TEST_STREAM_HARNESS_H
#define TEST_STREAM_HARNESS_H

#include "base/rng.h"
#include "base/time.h"
#include "stream/streams.h"

#define NODES_MAX 5
#define ENDS_MAX 4096

struct end;

struct node {
    struct net *net;
    unsigned index;
    struct identity identity;
    struct host host;
    struct rng random; /* what host.random draws from */
    struct streams_config config;
    struct streams *streams;
    bool accepts;          /* incoming streams are accepted at once */
    bool echoes;           /* accepted streams send back what they read, then finish */
    bool holds_open;       /* accepted streams do not finish by themselves */
    uint64_t answer_bytes; /* what accepted streams write */
    enum wire_reset_reason
        reason; /* unless accepting: incoming streams are reset with this; 0: they wait */
    size_t incoming_count;
    size_t message_count;
    size_t pong_count;
    uint64_t last_token;
    uint8_t last_message[64];
    size_t last_message_len;
};

/* One end of a stream as an application has it. */
struct end {
    struct node *node;
    struct stream_id stream;
    uint64_t write_seed, read_seed; /* the sequences */
    uint64_t to_write;              /* bytes that it still wants to write */
    uint64_t written, read;
    uint64_t read_at_most; /* stops reading there */
    bool is_used;
    bool is_echo;
    bool finishes; /* half-closes when all is written */
    bool has_finished;
    bool was_accepted, was_refused, was_reset, was_closed, has_ended; /* has_ended: read the end */
    unsigned resumed;
    enum wire_reset_reason reason;
    struct weft_peer_id peer;
    char name[WEFT_NAME_MAX + 1];
};

/* How one direction between two nodes treats packets. */
struct channel {
    unsigned loss_permille;
    unsigned repeat_permille;
    unsigned mark_permille;
    weft_ns delay;
    weft_ns jitter;       /* added at random */
    bool may_reorder;     /* else jitter keeps the order */
    uint64_t bytes_per_s; /* 0: no limit */
    weft_ns busy_until;
    weft_ns last_at;
    bool is_cut;
    uint64_t packets, bytes;
};

struct net {
    weft_ns now;
    struct rng rng;
    uint64_t seed;
    struct node nodes[NODES_MAX];
    struct channel channels[NODES_MAX][NODES_MAX];
    struct end ends[ENDS_MAX];
    size_t end_count;
    struct flying *flying; /* a heap by time, then order */
    size_t flying_count, flying_size;
    uint64_t flying_order;
    void (*tap)(struct net *net, unsigned from, unsigned to, struct frame *frame);
    void *tap_ctx;
    size_t steps;
    bool may_fall_short; /* allocations fail: a write may take less than there was room for */
};

/* Nodes 0 .. count-1 that reach each other at once, with default bounds. */
void net_init(struct net *net, uint64_t seed, unsigned count);
void net_fini(struct net *net);

/* Changes a node's bounds before its first use; starts it anew with `instance`. */
void net_restart(struct net *net, unsigned index, uint64_t instance);

/* Opens a stream; the opener writes `bytes` and half-closes. NULL only when an allocation failed.
 */
struct end *net_open(struct net *net, unsigned from, unsigned to, uint64_t bytes);

/* Runs until nothing happens before `until`, or for good at `until`. */
void net_run(struct net *net, weft_ns until);

/* Runs until every end is closed, reset or refused; false if that takes longer than `span`. */
bool net_settle(struct net *net, weft_ns span);

/* Lets every node act now, without moving time. */
void net_pump(struct net *net);

void net_set_routes(struct net *net, unsigned a, unsigned b, enum stream_route route);

/* Loses what is on its way between two nodes. */
void net_drop_flying(struct net *net, unsigned a, unsigned b);

/* The end of the other side, by the name of the service; NULL if it is not there (yet). */
struct end *net_far_end(struct net *net, const struct end *end);

uint8_t net_byte(uint64_t seed, uint64_t offset);

#endif
