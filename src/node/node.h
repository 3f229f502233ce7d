/* SPDX-License-Identifier: Apache-2.0
 *
 * The libevent host of one node: sockets, timers, store, proxy and control around a core. It owns
 * everything below it and shares nothing with another node, so one process may hold several.
 *
 *   node_new    reads the identity, opens the store, listens; nothing runs yet
 *   node_run    the event loop, until a planned leave is complete or node_break
 *   node_free   flushes and closes
 *
 * One thread calls all of this, node_post excepted.
 */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include <stdio.h>

#include "core/core.h"
#include "node/config.h"

struct node;

#define NODE_TEXT_BYTES 1024
#define NODE_STATUS_BYTES 160

struct node_options {
    struct config *config; /* its contents are taken, even when node_new fails */
    bool is_embedded;      /* no control socket: for programs that hold a node */
    bool is_ephemeral;     /* no state folder either */
    bool has_secret;
    uint8_t secret[WEFT_KEY_BYTES]; /* the mesh secret, instead of a file */
    FILE *log;                      /* where lines go; NULL: nowhere */
};

/* `error` (NODE_TEXT_BYTES) receives one sentence, also about what may go on (never secrets).
 * WEFT_ERR_INVALID is the operator's to mend (exit status 78): a secret others can read, a state of
 * a newer version. All else is a failure of the moment: a port in use, a full disk. */
WEFT_MUST_CHECK enum weft_err node_new(struct node_options *options, struct node **out,
                                       char *error);
/* Takes NULL and half-built nodes. */
void node_free(struct node *node);

/* Runs until the node has left or was broken off. */
void node_run(struct node *node);

/* A planned leave, at most `patience`; node_run returns after it. Again: node_run returns at once.
 */
void node_leave(struct node *node, weft_ns patience);

/* Whether a planned leave was completed, not broken off. */
bool node_has_left(const struct node *node);

/* node_run returns as soon as it can. */
void node_break(struct node *node);

/* Applies a new configuration: seeds, services, forwards, log level at once; what needs a restart
 * is logged. Takes the contents. */
void node_reload(struct node *node, struct config *config);
/* Tells in the log why a reload was refused. */
void node_reload_refused(struct node *node, const char *why);

/* Runs `call` on the loop's thread, soon. Safe from every thread until node_free. */
WEFT_MUST_CHECK enum weft_err node_post(struct node *node, void (*call)(void *ctx), void *ctx);

/* The core, for calls on the loop's thread; after such calls node_touch makes the node drain it. */
struct core *node_core(struct node *node);
weft_ns node_clock(void);
void node_touch(struct node *node);

const struct weft_peer_id *node_id(const struct node *node);
const char *node_name(const struct node *node);
/* What the node listens on, "host:port"; NULL past the end. Borrowed. */
const char *node_listening(const struct node *node, size_t index);
/* Notes for the log and the status what the process may no longer do: "files,calls", "off". Copied.
 */
void node_set_sandbox(struct node *node, enum trace_level level, const char *text);
/* One line about how it is: "healthy: 3 links, 5 of 6 peers in reach, 2 streams". */
void node_describe(struct node *node, char out[NODE_STATUS_BYTES]);
const char *node_control_path(const struct node *node);
/* The loop, for signals of the program that owns the node. */
struct event_base *node_event_base(struct node *node);

#endif
