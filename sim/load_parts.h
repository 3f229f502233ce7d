/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the load share. load.c owns its life and the timetable; load_truth.c knows who
 * is in truth connected with whom; load_message.c broadcasts and unicasts, load_service.c services,
 * load_stream.c who opens which stream when, load_flow.c the two ends of one stream and its bytes.
 *
 * Memory: so much a live stream, so much an outstanding message (two bits a node), nothing for what
 * was delivered.
 */
#ifndef SIM_LOAD_PARTS_H
#define SIM_LOAD_PARTS_H

#include "base/map.h"
#include "base/time.h"
#include "sim/load.h"
#include "sim/must.h"

#define LOAD_CHANNEL "sim"
#define LOAD_NAME_SPACE "sim"
#define LOAD_PROTOCOL WIRE_PROTOCOL_TCP

/* A set of nodes. */
struct node_set {
    uint64_t *words;
    uint32_t count;
};
void node_set_init(struct node_set *set, uint32_t node_count);
void node_set_fini(struct node_set *set);
bool node_set_has(const struct node_set *set, uint32_t node);
/* Whether it was not in it (in it) before. */
bool node_set_add(struct node_set *set, uint32_t node);
bool node_set_remove(struct node_set *set, uint32_t node);

/* --- truth --- */

/* Components of the graph of links that are up, pass both ways and whose ends are up and honest. */
struct truth {
    uint32_t *component; /* by node; UINT32_MAX: of none */
    uint32_t *stack;
    bool is_stale;     /* a link or a node changed since */
    bool has_faults;   /* what is cut unseen tells nobody: look again each time */
    weft_ns looked_at; /* WEFT_NEVER: not yet */
};
void truth_init(struct load *load);
void truth_fini(struct load *load);
/* Brings it up to date. Cost: all links, if anything may have changed. */
void truth_look(struct load *load);
/* As last looked. */
bool truth_joins(const struct load *load, uint32_t a, uint32_t b);

/* --- nodes --- */

/* One unicast that was sent. */
struct unicast {
    uint64_t number; /* 0: none */
    weft_ns sent_at;
    uint32_t to;
    bool has_arrived;
    bool is_fresh; /* one of its ends had only just started: it may not have been known yet */
};

struct flow_end;

struct load_node {
    struct load *load;
    uint32_t index;
    uint32_t life;            /* how often it started */
    bool is_up;               /* up, perhaps paused */
    bool is_server;           /* of streams */
    uint8_t hops;             /* of the broadcast frame it is being given */
    weft_ns up_since;         /* of this life */
    weft_ns down_at;          /* of the last life; 0: never */
    weft_ns lied_at;          /* when it was last seen to be a liar; 0: never */
    uint64_t number;          /* of its last unicast */
    struct unicast *unicasts; /* ring, by number */
    uint32_t unicast_size;    /* power of two; 0: sends none */
    struct flow_end *ends;
};

/* --- messages --- */

#define BROADCASTS_MAX 4096 /* that are watched; older ones are counted and forgotten */

struct broadcast {
    struct load *load;
    uint64_t serial; /* 0: none */
    uint32_t origin;
    weft_ns sent_at;
    struct node_set got;
    struct node_set owed; /* connected since before it was sent, and without it */
    bool is_complete;
    weft_ns last_at;  /* when the last copy came */
    weft_ns judge_at; /* 0: sent before the last fault of the timeline */
};

struct messages {
    struct broadcast *broadcasts; /* ring by serial, BROADCASTS_MAX */
    uint64_t serial;              /* of the last */
    uint64_t oldest;              /* that may still be watched */
    weft_ns first_after;          /* time of the last planned fault */
    bool has_first;
    weft_ns whole_at; /* when all had the first of those that all had since then; 0: not yet */
    uint64_t unicast_eligible;
    uint64_t unicast_eligible_arrived;
    struct metric *sent, *delivered, *missed, *late, *latency, *hops, *complete, *whole;
    struct metric *unicast_sent, *unicast_arrived, *unicast_lost, *unicast_refused,
        *unicast_latency;
};
void messages_init(struct load *load);
void messages_fini(struct load *load);
void messages_node_started(struct load *load, struct load_node *node, struct core *core);
/* A node went, or connections did: nothing is owed any more to who is not connected. */
void messages_look(struct load *load);
void messages_forget_node(struct load *load, uint32_t node);
void messages_prepare(struct load *load, const struct scenario_load *spec, struct load_node *node);
void message_broadcast(struct load *load, struct load_node *node, uint64_t bytes);
void message_unicast(struct load *load, struct load_node *node, uint32_t to, uint64_t bytes);
void messages_report(struct load *load);

/* --- services --- */

/* One service of one node. */
struct load_service {
    uint32_t node;
    uint32_t index;  /* among the node's */
    uint32_t number; /* of its last change; told in its endpoint */
    bool is_offered;
    bool is_wanted; /* its load has begun */
    weft_ns changed_at;
    struct node_set owed; /* live nodes whose registry does not know the last change */
};
struct services {
    struct load_service *all; /* by node, then index */
    size_t count;
    size_t *first; /* by node; node_count + 1 */
    struct metric *latency, *stale, *changes, *superseded;
};
void services_init(struct load *load);
void services_fini(struct load *load);
void services_node_started(struct load *load, struct load_node *node, struct core *core);
void services_saved(struct load *load, uint32_t node, const struct record *record);
void services_look(struct load *load);
void services_forget_node(struct load *load, uint32_t node);
/* The node's services of this load begin. */
void services_begin(struct load *load, const struct scenario_load *spec, uint32_t node);
/* One of them, drawn by `rng`, changes. */
void services_change(struct load *load, uint32_t node, struct rng *rng);
void services_report(struct load *load);

/* --- streams --- */

#define FLOW_HEADER_BYTES 16 /* begins what the client writes: the flow's id, and a check on it */
#define FLOW_ANSWER_BYTES 8  /* what acknowledges an upload */

enum flow_side {
    FLOW_CLIENT,
    FLOW_SERVER,
};

/* One end of a stream at a node that lives. */
struct flow_end {
    struct flow *flow; /* NULL at a server until the header came */
    struct load_node *node;
    enum flow_side side;
    struct stream_id stream;
    uint64_t read;
    uint8_t header[FLOW_HEADER_BYTES];
    bool has_end;          /* read the other's end */
    struct flow_end *next; /* of the node */
    struct flow_end **at;  /* what points at it */
};

/* One stream. */
struct flow {
    uint64_t id;
    struct load *load;
    struct slot *slot;
    enum stream_shape shape;
    uint32_t client;
    uint32_t server;
    uint32_t client_life;
    uint32_t server_life;
    uint64_t bytes; /* of the content one way; PING: of one ping */
    uint64_t pings; /* asked so far */
    weft_ns ping_at;
    weft_ns opened_at;
    weft_ns rated_from;  /* 0: is not rated from an age on */
    weft_ns accepted_at; /* 0: not yet */
    weft_ns moved_at;    /* content last arrived */
    weft_ns stall_max;
    weft_ns apart_at;     /* the two were last seen without a path; 0: never */
    uint64_t read_before; /* of what the server read: before `rated_from` */
    bool is_stopping;
    bool is_doomed; /* an end died, or was reset */
    bool was_attached;
    bool is_rated;
    struct flow_end *ends[2]; /* NULL: not there yet, or gone */
    uint64_t written[2];      /* by each side, in all; outlives its end */
    bool has_finished[2];
    struct flow *next;
    struct flow **at;
};

/* A client opens one stream after the other. */
struct slot {
    struct load *load;
    const struct scenario_load *spec;
    struct load_node *node;
    struct flow *flow;
    struct rng rng;
    uint64_t opened;
    bool is_armed; /* a call is due */
    bool is_ping;  /* and it is for a ping */
};

/* The streams of one entry of the scenario's load. */
struct stream_load {
    struct load *load;
    const struct scenario_load *spec;
    struct slot *slots;
    size_t slot_count;
    uint32_t *servers;
    size_t server_count;
    bool has_ended;
};

struct flows {
    struct map *ends; /* by node and stream id */
    struct flow *first;
    uint64_t id;               /* of the last */
    struct stream_load *loads; /* by the scenario's index; slot_count 0 for others */
    uint64_t *rates;           /* of bulk flows, bytes a second */
    size_t rate_count;
    struct metric *opened, *done, *failed, *refused, *open_time, *stall, *rate, *rate_after, *ping,
        *bytes;
};
void flows_init(struct load *load);
void flows_fini(struct load *load);
void flows_node_started(struct load *load, struct load_node *node, struct core *core);
void flows_node_stopped(struct load *load, struct load_node *node);
void flows_event(struct load *load, struct load_node *node, const struct stream_event *event);
void flows_look(struct load *load);
void flows_report(struct load *load);

/* Who opens streams when (load_stream.c). */
void streams_begin(struct load *load, size_t spec);
void streams_end(struct load *load, size_t spec);
/* The slot's stream has ended, well or not, or its client went. */
void slot_is_free(struct slot *slot, bool was_well);
/* Asks the next ping at a time, if the stream is still there then. */
void slot_ping_at(struct slot *slot, weft_ns at);
/* Takes down how fast a bulk flow was, once. */
void flows_rate(struct flow *flow);

/* One stream and its ends (load_flow.c). NULL when it could not be opened now. */
struct flow *flow_open(struct slot *slot, uint32_t server, uint64_t bytes);
/* PING, BULK: writes no more, and ends. */
void flow_stop(struct flow *flow);
void flow_server_name(uint32_t server, char out[WEFT_NAME_MAX + 1]);
/* The server's end has read the header: whose it is. False if the stream was reset for it. */
bool flow_attach(struct flow_end *end);

/* The bytes of a stream (load_bytes.c). */
void end_write(struct flow_end *end);
/* False when the end is gone. */
bool end_read(struct flow_end *end);
void flow_header(uint64_t id, uint8_t out[FLOW_HEADER_BYTES]);
bool flow_of_header(const uint8_t header[FLOW_HEADER_BYTES], uint64_t *id);

/* --- the whole --- */

/* A node's turn at one load comes again and again. */
struct source {
    struct load *load;
    const struct scenario_load *spec;
    size_t spec_index;
    struct load_node *node;
    struct rng rng;
    uint64_t sent;
    const uint32_t *targets; /* UNICAST: whom it may send to */
    size_t target_count;
};

/* One entry of the scenario's load and who it concerns. */
struct load_spec {
    uint32_t *who;
    size_t who_count;
    uint32_t *to;
    size_t to_count;
    struct source *sources;
};

struct load {
    struct world *world;
    const struct scenario *scenario;
    struct metrics *metrics;
    uint32_t node_count;
    struct load_node *nodes;
    struct load_spec *specs;
    struct truth truth;
    struct messages messages;
    struct services services;
    struct flows flows;
    weft_ns begun_at;
    weft_ns ended_at; /* WEFT_NEVER: not yet */
    bool has_begun;
    bool may_lack_memory;  /* the scenario may refuse memory to nodes: then resets are honest */
    const char *invariant; /* NULL: none is broken */
    char detail[240];
};

/* The first breach is kept. */
__attribute__((format(printf, 3, 4))) void load_break(struct load *load, const char *invariant,
                                                      const char *format, ...);
/* Up and not held: its application runs. */
bool load_node_runs(const struct load *load, uint32_t node);
/* It is a liar, or was seen to be one. */
bool load_has_lied(const struct load *load, uint32_t node);
/* It is on a planned leave, or gone: it wants no new work. */
bool load_is_leaving(const struct load *load, uint32_t node);
uint64_t load_draw_bytes(const struct range *range, struct rng *rng);
/* Fills with what a key means at an offset, the same whenever it is asked. */
void load_fill(uint64_t key, uint64_t offset, uint8_t *out, size_t len);

#endif
