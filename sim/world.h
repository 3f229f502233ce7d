/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulated world: nodes, each with a real core, over a virtual network and one virtual clock.
 * The third host of the core besides the daemon and the tests: what the daemon does with sockets,
 * SQLite and the clock, this does with structs, integers and a seed.
 *
 *    earliest of { connections, nodes' deadlines, calls } -> input to one core -> its actions
 *
 * Everything follows from the scenario and the seed. What happens is told to observers (load,
 * faults, checks, metrics, trace) in the order they were added; they may call back into the world
 * and into cores only where said. Running out of memory ends the program, except inside a core
 * under FAULT_MEMORY.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "core/core.h"
#include "sim/metrics.h"
#include "sim/net.h"

struct world;

enum node_state {
    NODE_DOWN, /* not started yet, crashed, or gone */
    NODE_UP,
    NODE_PAUSED, /* up, but takes no input */
    NODE_LEFT,   /* its planned leave is complete */
};

struct world_options {
    const struct scenario *scenario; /* outlives the world */
    uint64_t seed;
    bool
        is_sharing; /* records, graphs: kept once per process (the default); results are the same */
    bool is_byte_mode; /* real links over bytes */
};

/* Called by the world; any may be NULL. `at` is world_now. */
struct observer {
    void *ctx;
    /* A core put a frame on a link; before the network sees it. */
    void (*sent)(void *ctx, uint32_t node, uint32_t to, const struct action *action);
    /* A core is about to be given a frame. `payload`: a carrier's. */
    void (*received)(void *ctx, uint32_t node, uint32_t from, const struct wire_frame *frame,
                     struct span payload);
    /* A link came up (told to the core) or went. */
    void (*link)(void *ctx, uint32_t node, uint32_t other, struct link_id link, bool is_up);
    /* The core's stream event; exactly one observer handles it (world_set_application). */
    void (*pong)(void *ctx, uint32_t node, const struct weft_peer_id *from, uint64_t token);
    void (*traced)(void *ctx, uint32_t node, const struct trace_event *event);
    /* Whether it wants events of this level now; NULL: all. */
    bool (*is_traced)(void *ctx, enum trace_level level);
    void (*state)(void *ctx, uint32_t node, enum node_state state);
    void (*saved)(void *ctx, uint32_t node, const struct record *record, bool is_forgotten);
    /* All actions of one input were performed: the node is at rest, its core may be asked. */
    void (*stepped)(void *ctx, uint32_t node);
};

/* The application of all nodes: load. It may call core_* of that node; the world pumps after. */
struct application {
    void *ctx;
    /* The node has a new core: open channels, offer services. */
    void (*started)(void *ctx, uint32_t node, struct core *core);
    void (*stream)(void *ctx, uint32_t node, const struct stream_event *event);
};

/* Makes node keys, the network and the timetable of starts; nothing has run yet. NULL with *error
 * set when the scenario's topology cannot be made. */
struct world *world_new(const struct world_options *options, struct scenario_error *error);
void world_free(struct world *world);
void world_add_observer(struct world *world, const struct observer *observer); /* copied */
void world_set_application(struct world *world, const struct application *application);

/* Runs until the next thing to do lies after `until`; then the clock stands at `until`. */
void world_run(struct world *world, weft_ns until);
/* Stops world_run after the present step. */
void world_stop(struct world *world);
/* Calls `call` at a time; before or among other things of that time in the order asked. */
void world_at(struct world *world, weft_ns at, void (*call)(void *ctx), void *ctx);
/* Whether frames that carry news of records get lost, once observers saw them sent: from the start
 * on if the scenario wants a warm start (warm.h). */
void world_withhold_news(struct world *world, bool is_withholding);
weft_ns world_now(const struct world *world); /* begins at 1 s */
uint64_t world_step_count(const struct world *world);
/* A hash over everything that was delivered, and when. */
uint64_t world_trace_hash(const struct world *world);

/* Nodes. */
uint32_t world_node_count(const struct world *world);
enum node_state world_node_state(const struct world *world, uint32_t node);
struct core *world_core(struct world *world, uint32_t node); /* NULL while DOWN or LEFT */
/* core_topology_digest by the node's clock; only while it has a core. */
uint64_t world_topology_digest(struct world *world, uint32_t node);
const struct weft_peer_id *world_id(const struct world *world, uint32_t node);
const struct identity *world_identity(const struct world *world, uint32_t node);
bool world_find_node(const struct world *world, const struct weft_peer_id *peer, uint32_t *out);
/* After calls of core_* from outside a callback of that node: performs its actions, re-arms. */
void world_pump(struct world *world, uint32_t node);
struct net *world_net(struct world *world);
const struct plan *world_plan(const struct world *world);
struct metrics *world_metrics(struct world *world);
const struct scenario *world_scenario(const struct world *world);
/* A source of choices of its own for each user: (seed, label). */
void world_rng(const struct world *world, const char *label, struct rng *out);
/* A node's own monotonic clock, which may have jumped. */
weft_ns world_node_now(const struct world *world, uint32_t node);

/* What can befall a node. Nothing happens if the state does not allow it. */
void world_start(struct world *world, uint32_t node);
enum world_crash {
    WORLD_CRASH_KEEP, /* the store survives */
    WORLD_CRASH_WIPE, /* a new disk, the same key */
};
void world_crash(struct world *world, uint32_t node, enum world_crash how, bool is_seen);
void world_leave(struct world *world, uint32_t node);
void world_pause(struct world *world, uint32_t node, bool is_paused);
void world_set_slowness(struct world *world, uint32_t node, uint32_t factor); /* 1: none */
void world_jump_clock(struct world *world, uint32_t node, weft_ns ahead);
void world_refuse_memory(struct world *world, uint32_t node, uint32_t ppm); /* 0: none */
void world_fill_disk(struct world *world, uint32_t node, bool is_full);

/* The hostile peer: may change, drop or add to what a node's core sends. Returns false to drop the
 * action. `send` injects a frame of its own on a link of that node. */
struct liar {
    void *ctx;
    bool (*send)(void *ctx, uint32_t node, uint32_t to, struct action *action);
    /* Byte mode: sealed bytes on their way out, which may be changed. NULL: left alone. */
    void (*bytes)(void *ctx, uint32_t node, uint32_t to, uint8_t *data, size_t len);
};
void world_set_liar(struct world *world, uint32_t node, const struct liar *liar); /* NULL: honest */
bool world_is_liar(const struct world *world, uint32_t node);
/* Sends a frame from `node` over its link as its core would. Takes the references. */
void world_inject(struct world *world, uint32_t node, struct link_id link, struct frame *frame,
                  struct frame *payload, enum wire_class class);
/* Around the work of a callback that a core calls itself (a gossiper): refused memory is the core's
 * lot, not the simulator's. */
void world_callback_enter(struct world *world);
void world_callback_exit(struct world *world);
/* Walks the links that are up at a node. */
void world_each_link(const struct world *world, uint32_t node,
                     void (*each)(void *ctx, struct link_id link, uint32_t other), void *ctx);

#endif
