/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the checks share. check.c owns the results and hands the world's events round;
 * watch.c looks at records, versions, links and bounds; travel.c at frames that travel; near.c
 * keeps who is linked with whom, company.c who is or could be joined; traffic.c counts; converge.c
 * and reroute.c and heal.c time how views and paths become right again; healthy.c counts who was
 * called dead without being so; rest.c looks at the state at rest.
 *
 * Cost. Every event costs O(1): a lookup or two in a table of hashes. What would cost more is
 * sampled, by choices of the seed: a node's links and bounds are looked at every 64 + nodes / 4
 * steps; versions are watched at as many nodes as make a million (node, owner) pairs; beyond 200
 * nodes shortest paths are compared from 32 sources. What watches are fed is public here so that
 * tests can forge it.
 */
#ifndef SIM_CHECK_INTERNAL_H
#define SIM_CHECK_INTERNAL_H

#include "sim/check.h"
#include "sim/oracle.h"
#include "sim/seen.h"

enum check_id {
    CHECK_ORIGIN,
    CHECK_LOAD,
    CHECK_VERSIONS,
    CHECK_BOUNDS,
    CHECK_HOPS,
    CHECK_NUMBERS,
    CHECK_FOREIGN,
    CHECK_REST_TOPOLOGY, /* from here on: at rest */
    CHECK_REST_LINKS,
    CHECK_REST_PATHS,
    CHECK_REST_RECORDS,
    CHECK_REST_STREAMS,
    CHECK_REST_QUIET,
    CHECK_REST_DEPARTED,
    CHECK_COUNT,
};

/* One node that another has, or still has, ends of links with. */
struct near {
    uint32_t other;
    uint32_t ends;
};

struct node_watch {
    struct near *near;
    uint32_t near_count;
    uint32_t near_size;
    enum node_state state;
    weft_ns state_at;      /* since when */
    weft_ns paused_at;     /* when it last was, or 0 */
    uint32_t life;         /* counts its starts */
    weft_ns changed_at;    /* when the sentinel last saw its reach change; 0: never */
    uint32_t changes;      /* of its reach, as the sentinel saw them */
    uint64_t computations; /* of its present core, as last asked */
    uint64_t computed;     /* in all its lives, since t=0 */
    weft_ns computed_at;   /* 0: not in this life */
    uint64_t second_bytes; /* in and out, of this second */
    uint64_t bytes;        /* in and out, since t=0 */
    uint64_t records_in;   /* since t=0 */
};

/* What the whole mesh did in one second. */
struct second {
    uint64_t frames;
    uint64_t bytes;
    uint64_t steps;
    uint32_t up;
    uint32_t links; /* ends */
};

/* One broadcast. */
struct flight {
    uint32_t source;
    uint32_t reach;    /* the most hops that a path from the source needs */
    uint32_t hops_max; /* that a first delivery took */
    bool is_counted;   /* begun after t=0 */
};

/* A node whose next hop towards a destination is no more. */
struct detour {
    uint32_t node;
    uint32_t destination;
};
/* A death, and who has to find another way because of it. */
struct reroute {
    weft_ns since;
    struct detour *detours;
    size_t count;
    bool has_counted; /* one of them found another way */
};

struct converge {
    weft_ns *pending; /* since when views are not right */
    size_t pending_count;
    size_t pending_size;
    size_t faults_known;
    size_t first_open; /* all faults before it are over */
    weft_ns looked_at; /* when ends were last looked for */
    bool *is_over;     /* by fault: its end was seen */
    size_t is_over_size;
    struct reroute *reroutes;
    size_t reroute_count;
    bool is_polling;
    weft_ns busy_since;
    uint32_t cursor; /* the node that was wrong last */
    uint64_t
        wrong_views;    /* what all agreed on when the oracle said that it was wrong; 0: nothing */
    uint32_t blocked_a; /* a link that counts but isn't passable; ORACLE_NONE: none */
    uint32_t blocked_b;
    uint32_t *parts;  /* by node: who could be reached, by sets */
    uint32_t *joined; /* by node: who is joined by links that are there, by sets */
    weft_ns joined_at;
    uint32_t *joined_with; /* the set each was in last (at first that of node 0), and since when */
    weft_ns *joined_since;
};

/* The partition that healed last. */
struct heal {
    bool is_waiting; /* record sets are not equal yet */
    weft_ns since;
    uint32_t cursor;     /* the node that differed last */
    uint32_t *sides;     /* by node */
    struct seen bridges; /* pair of nodes on different sides -> bytes */
    uint64_t bytes_max;  /* of any of them */
};

struct checks {
    struct world *world;
    const struct load *load;
    const struct faults *faults;
    struct metrics *metrics;
    uint32_t node_count;
    struct check_result results[CHECK_COUNT];
    bool is_broken;
    bool has_begun;
    bool was_settled;
    weft_ns viewed_at; /* since when every node reaches every other; WEFT_NEVER: they do not */
    bool is_reported;
    weft_ns started_at;
    weft_ns begun_at;
    struct rng rng;
    struct oracle oracle;
    struct node_watch *nodes;
    uint32_t up_count;
    uint32_t link_ends;
    uint64_t near_epoch; /* grows whenever links come or go */
    uint32_t sentinel;   /* the first healthy node */
    struct converge converge;
    struct heal heal;

    uint32_t watched_nodes; /* versions are watched at the first so many */
    struct seen genuine;    /* hashes of records that their owners sent */
    struct seen own;        /* (node, life, place) -> version its owner sent last */
    struct seen versions;   /* (node, life, place) -> version it holds */
    uint64_t sample_in;     /* steps until the next node is looked at closely */

    struct seen sessions;   /* (source, destination, index) -> the last number, plus one */
    struct seen travels;    /* (packet, node) -> hops when it came, times it came */
    struct seen broadcasts; /* hash -> flight, plus one */
    struct seen deliveries; /* (hash, node) */
    struct flight *flights;
    size_t flight_count;
    size_t flight_size;
    uint32_t *reach_of; /* by source, as of reach_epoch */
    uint64_t *reach_epoch;
    uint32_t *walk; /* scratch of a breadth-first walk */
    uint32_t *walk_hops;
    uint64_t travelled; /* packets that their sources sent */
    uint64_t looped;    /* of those, that came to some relay more than once */
    uint64_t beyond_hops;
    uint64_t broadcast_sends;
    uint64_t broadcast_deliveries;

    struct second *seconds; /* since the start */
    size_t second_count;
    size_t second_size;
    struct second second;       /* the present one, so far */
    struct second seconds_base; /* the mean before t=0; up 0: unknown */
    uint64_t steps_before;
    uint64_t kind_bytes[256]; /* since t=0 */
    uint64_t kind_frames[256];
    uint64_t seed_bytes; /* until t=0 */
    uint64_t told;       /* versions of records, by their owners since */
    uint32_t peak_frame;
    uint64_t link_seconds; /* since t=0 */
    uint64_t false_downs;
    uint64_t healthy_down;
    uint64_t healthy_removed;
    struct metric *node_rate;
    struct metric *beat_latency;
    struct metric *computation_gap;
    struct metric *heal_time;
    struct metric *heal_bytes;
    struct metric *converge_time;
    struct metric *reroute_time;
};

/* check.c */
void check_saw(struct checks *checks, enum check_id id);
__attribute__((format(printf, 3, 4))) void check_break(struct checks *checks, enum check_id id,
                                                       const char *format, ...);
bool check_is_honest(const struct checks *checks, uint32_t node);
bool check_is_healthy(const struct checks *checks, uint32_t node);
/* Up and running. */
bool check_is_live(const struct checks *checks, uint32_t node);
/* Feeds all watches; the world's observer calls these. */
void check_sent(void *ctx, uint32_t node, uint32_t to, const struct action *action);
void check_received(void *ctx, uint32_t node, uint32_t from, const struct wire_frame *frame,
                    struct span payload);
void check_stepped(void *ctx, uint32_t node);

/* watch.c */
void watch_init(struct checks *checks);
void watch_fini(struct checks *checks);
void watch_records_sent(struct checks *checks, uint32_t node, struct span body);
void watch_deltas_sent(struct checks *checks, uint32_t node, struct span body);
void watch_saved(struct checks *checks, uint32_t node, const struct record *record,
                 bool is_forgotten);
void watch_status(struct checks *checks, uint32_t node, const struct core_status *status);
void watch_links(struct checks *checks, uint32_t node);
/* One of the core's links, and the node that the network says is at its far end. */
void watch_link(struct checks *checks, uint32_t node, const struct core_link_view *view,
                uint32_t other);
void watch_stepped(struct checks *checks, uint32_t node);

/* travel.c */
void travel_init(struct checks *checks);
void travel_fini(struct checks *checks);
void travel_sent(struct checks *checks, uint32_t node, const struct wire_frame *frame,
                 struct span payload);
void travel_received(struct checks *checks, uint32_t node, const struct wire_frame *frame,
                     struct span payload);
void travel_report(struct checks *checks);

/* near.c */
void near_link(struct checks *checks, uint32_t node, uint32_t other, bool is_up);
void near_forget(struct checks *checks, uint32_t node);
/* Whether a link between them is up at both ends. */
bool near_is_linked(const struct checks *checks, uint32_t a, uint32_t b);
/* The most hops that a shortest path from `source` has. */
uint32_t near_reach(struct checks *checks, uint32_t source);

/* traffic.c */
void traffic_init(struct checks *checks);
void traffic_sent(struct checks *checks, uint32_t node, const struct action *action);
void traffic_received(struct checks *checks, uint32_t node, const struct wire_frame *frame,
                      struct span payload);
void traffic_beat(struct checks *checks, uint32_t from, struct span body);
void traffic_stepped(struct checks *checks, uint32_t node);
void traffic_state(struct checks *checks, uint32_t node, enum node_state state);
void traffic_begin(struct checks *checks);
/* The mean of `count` whole seconds; frames, bytes and steps are those of a node, times a thousand.
 */
struct second traffic_mean(const struct checks *checks, size_t from, size_t count);
void traffic_report(struct checks *checks);

/* converge.c */
void converge_init(struct checks *checks);
void converge_fini(struct checks *checks);
/* Whether all views are right: each live node's digest is the oracle's, what counts is passable,
 * and who could be together is. */
bool converge_is_right(struct checks *checks);
/* Looks for faults that began or ended. */
void converge_faults(struct checks *checks);
void converge_state(struct checks *checks, uint32_t node, enum node_state state);

/* company.c */
/* Both are up and running, and one of them cannot reach the other. */
bool company_is_cut(const struct checks *checks, uint32_t a, uint32_t b);
/* Makes the sets of live nodes that could be together as things are, in converge.parts. */
void company_could_be(struct checks *checks);
/* Whether links join them, and have for a while: when a partition heals, old word of links that are
 * no more makes nodes seem reached for a moment. */
bool company_is_joined(struct checks *checks, uint32_t a, uint32_t b);
/* Once a second. */
void company_second(struct checks *checks);

/* Writes who is joined with whom now, by sets. */
void company_sides(struct checks *checks, uint32_t *out);

/* heal.c */
void heal_init(struct checks *checks);
void heal_fini(struct checks *checks);
void heal_begin(struct checks *checks, weft_ns since);
void heal_sent(struct checks *checks, uint32_t node, uint32_t to, uint64_t bytes);
/* Whether record sets still differ. */
bool heal_poll(struct checks *checks);

/* healthy.c */
void healthy_traced(struct checks *checks, uint32_t node, const struct trace_event *event);
void healthy_report(struct checks *checks);

/* reroute.c */
void reroute_begin_node(struct checks *checks, uint32_t dead);
void reroute_begin_cuts(struct checks *checks, weft_ns since);
/* Looks who has found another way; false when nobody is left to wait for. */
bool reroute_poll(struct checks *checks);
void reroute_fini(struct checks *checks);

/* rest.c */
/* LIVENESS: whether next hops lead from each node of the core to each other one, at this moment. */
bool rest_all_arrive(struct checks *checks, const bool *is_core);
void rest_streams(struct checks *checks, const bool *is_core);
bool rest_topology(struct checks *checks, const bool *is_core);
void rest_paths(struct checks *checks, const bool *is_core);
void rest_records(struct checks *checks, const bool *is_core);
void rest_quiet(struct checks *checks, const struct second *before, const struct second *after);
void rest_departed(struct checks *checks, const bool *is_core);

#endif
