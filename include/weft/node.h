/* SPDX-License-Identifier: Apache-2.0
 *
 * Running a node of the mesh inside a program.
 *
 *   struct weft_node_config config = {.name = "probe-7", .secret = secret, .seeds = seeds, ...};
 *   struct weft_node *node;
 *   char why[WEFT_NODE_TEXT];
 *   if (weft_node_new(&config, &node, why) != WEFT_OK) { ... }
 *   weft_node_channel_open(node, "temperatures", &gossiper);
 *   weft_node_run(node);              the event loop: until weft_node_stop
 *   weft_node_free(node);
 *
 * Threads. A node belongs to the thread that runs it. Only weft_node_post and weft_node_stop may be
 * called from others; everything else is called before weft_node_run, or on its thread from within
 * a function that weft_node_post runs. Several nodes in one process are fine, each on its own
 * thread.
 *
 * Gossip channels (after weave mesh). A channel is a name; every node with a gossiper for it takes
 * part, all others pass its messages on. State must be such that merging is commutative,
 * associative and idempotent: what arrives twice, late or in another order does no harm.
 */
#ifndef WEFT_NODE_H
#define WEFT_NODE_H

#include "weft/types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WEFT_NODE_TEXT 1024                  /* an error sentence with its NUL */
#define WEFT_PAYLOAD_MAX ((size_t)48 * 1024) /* bytes of one channel message */

struct weft_node;

struct weft_node_config {
    const char *name;      /* 1 to WEFT_NAME_MAX letters, digits, '-', '_', '.' */
    const uint8_t *secret; /* the mesh secret, WEFT_KEY_BYTES bytes: the same on every node */
    const char *const
        *listen;         /* "ADDR:PORT", ":PORT" for every address; port 0: the kernel chooses */
    size_t listen_count; /* 0: every address, any free port */
    const char *const *seeds; /* "HOST:PORT" or "PEERID@HOST:PORT": where to find the mesh */
    size_t seed_count;
    const char *state; /* the folder that keeps the identity; NULL: a new one, kept nowhere */
    bool is_quiet;     /* no log lines on stderr */
};

/* Bytes that change hands: made with malloc by the callback that returns them, freed by the
 * library. data NULL means none. */
struct weft_bytes {
    void *data;
    size_t len;
};

/* A channel's four callbacks, and an optional fifth. They run on the node's thread, must not block
 * and must not call into the node: to act on what they learn they weft_node_post. Payloads are
 * borrowed for the call. */
struct weft_gossiper {
    void *ctx;
    /* A message for this node alone. `source` is proven end to end. */
    void (*unicast)(void *ctx, const struct weft_peer_id *source, const void *data, size_t len);
    /* A message for everybody, each exactly once, `source` proven. False: do not pass it on. */
    bool (*broadcast)(void *ctx, const struct weft_peer_id *source, const void *data, size_t len);
    /* Our complete state, for a new neighbour. */
    struct weft_bytes (*complete)(void *ctx);
    /* State of a neighbour: merges it, and returns what of it was new, to be passed on. */
    struct weft_bytes (*gossip)(void *ctx, const void *data, size_t len);
    /* Joins two states that wait for a slow link into one; may be NULL: the newer replaces the
     * older. */
    struct weft_bytes (*merge)(void *ctx, const void *older, size_t older_len, const void *newer,
                               size_t newer_len);
};

/* Makes a node; it listens but does nothing before weft_node_run. `why` (WEFT_NODE_TEXT bytes)
 * receives a sentence on errors. WEFT_ERR_INVALID: a value of the config, or state that others may
 * read. WEFT_ERR_IO: an address in use, a disk. WEFT_ERR_MEMORY, WEFT_ERR_VERSION. */
WEFT_MUST_CHECK enum weft_err weft_node_new(const struct weft_node_config *config,
                                            struct weft_node **out, char *why);

/* Takes NULL. Not while weft_node_run runs. */
void weft_node_free(struct weft_node *node);

/* Runs the node on this thread until it stopped. */
void weft_node_run(struct weft_node *node);

/* Leaves the mesh in good order (at most `patience`), then weft_node_run returns. From any thread.
 * WEFT_ERR_FULL, WEFT_ERR_IO: could not be told; try again. */
WEFT_MUST_CHECK enum weft_err weft_node_stop(struct weft_node *node, weft_ns patience);

/* Runs call(ctx) on the node's thread, soon and in order. From any thread, and from callbacks.
 * WEFT_ERR_FULL when 4,096 calls wait already, WEFT_ERR_MEMORY. */
WEFT_MUST_CHECK enum weft_err weft_node_post(struct weft_node *node, void (*call)(void *ctx),
                                             void *ctx);

/* Who we are, and where we listen ("ADDR:PORT"; NULL past the end). Borrowed. */
const struct weft_peer_id *weft_node_id(const struct weft_node *node);
const char *weft_node_listening(const struct weft_node *node, size_t index);

/* Takes part in a channel; the gossiper is copied. WEFT_ERR_EXISTS, WEFT_ERR_INVALID (the name). */
WEFT_MUST_CHECK enum weft_err weft_node_channel_open(struct weft_node *node, const char *name,
                                                     const struct weft_gossiper *gossiper);
void weft_node_channel_close(struct weft_node *node, const char *name);

/* State of ours that changed: to some neighbours at random, who pass on what is new to them. At
 * most WEFT_PAYLOAD_MAX bytes. WEFT_ERR_NOT_FOUND: no such channel is open here. */
WEFT_MUST_CHECK enum weft_err weft_node_gossip(struct weft_node *node, const char *channel,
                                               const void *data, size_t len);
/* To every node with a gossiper, each once. Errors as weft_node_gossip. */
WEFT_MUST_CHECK enum weft_err weft_node_broadcast(struct weft_node *node, const char *channel,
                                                  const void *data, size_t len);
/* To one node, sealed end to end, at most once. WEFT_ERR_UNREACHABLE, WEFT_ERR_FULL. */
WEFT_MUST_CHECK enum weft_err weft_node_unicast(struct weft_node *node, const char *channel,
                                                const struct weft_peer_id *peer, const void *data,
                                                size_t len);

struct weft_peer {
    struct weft_peer_id id;
    const char *name; /* borrowed for the call */
    bool is_self;
    bool is_reachable;
    uint32_t hops;
    uint64_t cost_us; /* what a message to it costs, roughly its time on the way */
};
/* Walks all known peers, ourselves too, in order of id. `each` must not call into the node. */
void weft_node_each_peer(struct weft_node *node,
                         void (*each)(void *ctx, const struct weft_peer *peer), void *ctx);

#ifdef __cplusplus
}
#endif

#endif
