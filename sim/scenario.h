/* SPDX-License-Identifier: Apache-2.0
 *
 * A scenario: what mesh, what load, what goes wrong, and what must hold. Read from a YAML file
 * (docs/simulation.md describes every key); nothing in it depends on the seed.
 *
 *    0 ------- form ------- t=0 ----------- run ----------- heal ----- rest ----- end
 *    cold start, until      times of the timeline and       all faults   quiet: the state
 *    settled + quiet        of loads count from here         end          at rest is checked
 */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H

#include "weft/err.h"
#include "weft/types.h"

#define SCENARIO_NAME_MAX 63
#define SCENARIO_NODES_MAX 20000

/* A span of values, drawn uniformly; a single value has low == high. */
struct range {
    uint64_t low;
    uint64_t high;
};

enum topology_kind {
    TOPOLOGY_LINE,
    TOPOLOGY_RING,
    TOPOLOGY_STAR,
    TOPOLOGY_GRID, /* as square as it goes */
    TOPOLOGY_TREE, /* degree: children of a node */
    TOPOLOGY_FULL,
    TOPOLOGY_RANDOM_REGULAR, /* degree */
    TOPOLOGY_SMALL_WORLD,    /* Watts and Strogatz: degree, rewired_ppm */
    TOPOLOGY_SCALE_FREE,     /* Barabasi and Albert: degree: links of a newcomer */
    TOPOLOGY_SITES,  /* hubs, fully joined; sites of site_nodes each, dialling site_uplinks hubs */
    TOPOLOGY_SEED,   /* all dial node 0 (seeds: how many such); discovery does the rest */
    TOPOLOGY_HALVES, /* two random regular halves of `degree`, joined by `bridges` edges */
    TOPOLOGY_LIST,   /* edges as given */
    TOPOLOGY_KIND_COUNT,
};

struct scenario_edge {
    uint32_t a; /* a dials b */
    uint32_t b;
};

struct scenario_topology {
    enum topology_kind kind;
    uint32_t degree;
    uint32_t rewired_ppm;
    uint32_t seeds;
    uint32_t hubs;
    uint32_t site_nodes;
    uint32_t site_uplinks;
    uint32_t bridges;
    struct scenario_edge *edges; /* LIST */
    size_t edge_count;
};

/* One direction of a path between two nodes, as TCP over it shows it. */
struct scenario_quality {
    struct range delay_ns; /* one way; drawn once a pair */
    uint64_t jitter_ns;    /* added to each parcel: 0 .. this */
    uint64_t rate;         /* bytes a second, 0: no limit */
    uint32_t loss_ppm;     /* of segments of 1,448 bytes */
    uint64_t buffer;       /* bytes on their way unacknowledged: the socket's send buffer */
};

/* Which nodes a load or a fault concerns (plan_pick draws them). */
enum pick_kind {
    PICK_ALL,
    PICK_COUNT, /* so many of `among`, drawn by the seed */
    PICK_PPM,   /* this share of `among`, drawn by the seed */
    PICK_LIST,  /* these */
    PICK_HUBS,  /* SITES: the hubs */
    PICK_SITES, /* SITES: all but the hubs */
};
struct scenario_pick {
    enum pick_kind kind;
    enum pick_kind among; /* COUNT, PPM: of ALL, HUBS, SITES or LIST */
    uint32_t count;
    uint32_t ppm;
    uint32_t *list; /* increasing, without repeats */
    size_t list_count;
};

enum load_kind {
    LOAD_BROADCAST, /* each of `who` sends `count` messages, one every `every` (0: all at once) */
    LOAD_UNICAST,   /* each of `who` sends to a random other, one every `every`, `count` or for ever
                     */
    LOAD_SERVICES,  /* each of `who` offers `count` services; with `every`, one of them changes that
                       often */
    LOAD_STREAMS,   /* each of `who` opens a stream to a service of a random `to` (all: any) */
    LOAD_KIND_COUNT,
};
enum stream_shape {
    SHAPE_UPLOAD,   /* `bytes` to the server, which acknowledges the end */
    SHAPE_DOWNLOAD, /* a request, then `bytes` back */
    SHAPE_ECHO,     /* `bytes`, sent back as they come */
    SHAPE_PING,     /* `bytes` to and fro, one every `every`, for ever */
    SHAPE_BULK,     /* as much as goes, for ever */
    SHAPE_COUNT,
};
struct scenario_load {
    enum load_kind kind;
    struct scenario_pick who;
    struct scenario_pick to;
    enum stream_shape shape;
    uint64_t count;     /* of each of `who`; 0: no end */
    struct range bytes; /* of each message or stream */
    uint64_t every_ns;
    uint64_t at_ns;         /* begins; from t=0 */
    uint64_t until_ns;      /* ends; 0: with the run */
    uint64_t rate_after_ns; /* BULK: rated from this age on, too; 0: not */
    uint64_t streams;    /* STREAMS: how many at a time from each; another follows one that ended */
    bool is_before_form; /* SERVICES: offered from the start */
};

enum fault_kind {
    FAULT_CRASH,     /* the process dies, its peers see it; `loses_state`; restarts after `span` */
    FAULT_POWER,     /* as CRASH, but unseen: the machine is gone; restarts after `span` */
    FAULT_LEAVE,     /* planned leave; starts again after `span` */
    FAULT_PAUSE,     /* SIGSTOP for `span` */
    FAULT_SLOW,      /* every input takes `factor` times as long, for `span` */
    FAULT_CUT,       /* the connections of `who` with `to` are reset, and refused for `span` */
    FAULT_SILENCE,   /* the same unseen: nothing arrives, nobody is told */
    FAULT_ONE_WAY,   /* only from `who` to `to` nothing arrives */
    FAULT_PARTITION, /* `who` against the rest, silent; `is_seen`: reset; `is_one_way` */
    FAULT_FLAP,      /* the connections of `who` are reset every `every` for `span` */
    FAULT_LOSS,      /* `ppm` of segments to and from `who` are lost for `span`; is_one_way: from */
    FAULT_DELAY,     /* `delay` is added to all paths of `who` for `span` */
    FAULT_CLOCK,     /* the clock of `who` jumps ahead by `jump` */
    FAULT_MEMORY,    /* of the allocations of `who`, `ppm` are refused, for `span` */
    FAULT_DISK,      /* the store of `who` keeps nothing new, for `span` */
    FAULT_LIAR,      /* `who` misbehaves in the ways of `lies`, for `span` */
    FAULT_HEAL,      /* ends everything that still goes on */
    FAULT_KIND_COUNT,
};

enum lie_kind {
    LIE_FLIP = 1,    /* flips a bit of what it forwards */
    LIE_FORGE = 2,   /* sends frames and records in the name of others */
    LIE_REPLAY = 4,  /* sends again what it once sent or forwarded */
    LIE_REORDER = 8, /* holds frames back and lets later ones pass */
    LIE_FLOOD =
        16, /* sends records of invented peers, broadcasts, pings, opens, as fast as it can */
    LIE_DROP = 32,    /* forwards nothing */
    LIE_GARBAGE = 64, /* frames that are not the protocol */
};

/* One line of the timeline. Each repetition draws its nodes anew (a list stays what it is). */
struct scenario_fault {
    enum fault_kind kind;
    uint64_t at_ns;    /* from t=0 */
    uint64_t span_ns;  /* 0: until healed */
    uint64_t every_ns; /* the line happens `count` times, that far apart; FLAP: see there */
    uint64_t count;    /* at least 1 */
    struct scenario_pick who;
    struct scenario_pick to; /* CUT, SILENCE, ONE_WAY: the other ends; ALL: any */
    uint32_t ppm;
    uint32_t factor;
    uint64_t delay_ns;
    uint64_t jump_ns;
    uint32_t lies; /* of enum lie_kind */
    bool loses_state;
    bool is_seen;
    bool is_one_way;
};

enum chaos_mode {
    CHAOS_NONE,
    CHAOS_SAFETY,   /* faults everywhere; everything heals in the end */
    CHAOS_LIVENESS, /* a healthy core is frozen at `freeze_at`; the rest stays broken for ever */
};
/* Random faults, all of them drawn by the seed (after TigerBeetle's VOPR). */
struct scenario_chaos {
    enum chaos_mode mode;
    uint64_t every_ns; /* mean time between faults */
    uint64_t until_ns; /* SAFETY: healed then; LIVENESS: the core is frozen then */
    uint32_t kinds;    /* bit FAULT_x set: may be drawn */
    uint32_t core_ppm; /* LIVENESS: the share of nodes in the healthy core */
};

enum expect_op {
    EXPECT_LESS,
    EXPECT_AT_MOST,
    EXPECT_EQUAL,
    EXPECT_AT_LEAST,
    EXPECT_MORE,
};
/* What kind of quantity a limit was written as; which metrics it fits is found when it is asked
 * (sim/expect.h). */
enum expect_unit {
    EXPECT_PLAIN, /* "0", "0.10": value in millionths; fits counts and ratios, and 0 fits all */
    EXPECT_PPM,   /* "0.5%": value in millionths; fits ratios */
    EXPECT_NS,    /* "300ms" */
    EXPECT_BYTES, /* "20MB", "1.5KB/s", "90Mbit": bytes, or bytes a second */
};
/* "broadcast.latency.p99 <= 300ms": a question for metrics_ask and what is wanted of the answer. */
struct scenario_expect {
    char text[120]; /* as written */
    char metric[96];
    enum expect_op op;
    enum expect_unit unit;
    int64_t value;
};

struct scenario {
    char name[SCENARIO_NAME_MAX + 1];
    char *about;          /* one sentence or two; owned */
    char *targets;        /* "A1 A2"; owned; "" if none */
    char *file;           /* where it was read; owned */
    uint32_t suite_seeds; /* seeds of it that each push runs; 0: too long for that */
    uint32_t nodes;
    struct scenario_topology topology;
    bool has_discovery; /* may the connection maker dial what it learned? */
    uint32_t degree;    /* its target */
    uint64_t heartbeat_ns;
    uint64_t hold_ns;               /* of streams */
    uint64_t fade_ns;               /* of vanished owners' records */
    struct scenario_quality link;   /* between any two nodes */
    struct scenario_quality uplink; /* SITES: between a site and a hub; as `link` unless given */
    uint64_t cpu_ns;                /* what one input costs a node that is not slow: 0 .. */
    uint64_t start_within_ns;       /* nodes start spread over this */
    bool is_warm;                   /* news of records are withheld until all links are made */
    uint64_t form_within_ns;        /* the mesh must be settled by then, else the run has failed */
    uint64_t quiet_ns;              /* then this long until t=0 */
    uint64_t run_ns;
    uint64_t rest_ns; /* after healing; 0: the state at rest is not checked */
    struct scenario_load *loads;
    size_t load_count;
    struct scenario_fault *faults;
    size_t fault_count;
    struct scenario_chaos chaos;
    struct scenario_expect *expects;
    size_t expect_count;
};

/* What is wrong with a file, and where. */
struct scenario_error {
    char text[320]; /* "sim/scenarios/a1.yaml:12: faults[0].kind: expected one of ..." */
};

/* Reads and checks a file. Errors: WEFT_ERR_NOT_FOUND, WEFT_ERR_INVALID (error is set),
 * WEFT_ERR_MEMORY. *out is the caller's, to scenario_free. */
WEFT_MUST_CHECK enum weft_err scenario_read(const char *file, struct scenario **out,
                                            struct scenario_error *error);
/* The same from text; `file` is only for messages. */
WEFT_MUST_CHECK enum weft_err scenario_parse(const char *text, size_t len, const char *file,
                                             struct scenario **out, struct scenario_error *error);
void scenario_free(struct scenario *scenario);

/* When the last planned fault begins, from t=0; 0 if none is planned. */
weft_ns scenario_last_fault(const struct scenario *scenario);

/* As in files: "crash" ..., "random-regular" ...; "?" for what is none. */
const char *fault_kind_name(enum fault_kind kind);
const char *topology_kind_name(enum topology_kind kind);
const char *load_kind_name(enum load_kind kind);

#endif
