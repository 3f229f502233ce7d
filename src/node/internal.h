/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of this folder share.
 *
 *   loop.c      clock, the one timer, the pump, calls posted from other threads
 *   listen.c    listeners, accepting         dial.c, resolve.c   connecting
 *   tcp.c       sockets of links             perform.c   actions of the core
 *   addresses.c what we advertise            backend.c   streams for the proxy
 *   services.c, forwards.c   own services and local ports, from flags, file and store
 *   events.c    log lines, the event ring    control.c, api_*.c, metrics.c   the control API
 *   problems.c  the verdict                  strangers.c who was not let in
 *
 * The pump: whoever feeds the core asks for one with node_touch. It runs once at the end of the
 * same turn of the loop, drains the core's actions, writes what they queued, tells the core the
 * room that is left, and arms the timer. So frames that came in together leave together.
 */
#ifndef NODE_INTERNAL_H
#define NODE_INTERNAL_H

#include <event2/event.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/map.h"
#include "base/ring.h"
#include "base/time.h"
#include "base/timers.h"
#include "link/guard.h"
#include "link/link.h"
#include "node/log.h"
#include "node/node.h"
#include "node/statedir.h"
#include "proxy/proxy.h"
#include "store/store.h"

#define NODE_SOFTWARE "weft " WEFT_VERSION
#define LISTENERS_MAX (CONFIG_LISTEN_MAX + 1)
#define POSTS_MAX 4096        /* calls that other threads may have waiting */
#define EVENTS_MAX 1000       /* events kept in memory */
#define FOLLOWERS_MAX 32      /* clients of the event stream */
#define OWN_SERVICES_MAX 1024 /* by file, flags and API together; each is a record of ours */
#define ACCEPTS_PER_TURN 64
#define FORWARD_RETRY_S 5              /* a forward that could not listen */
#define READ_BUDGET ((size_t)1 << 20)  /* bytes one socket may read in one turn */
#define WORK_BUDGET 512                /* ... and what its frames may cost (tcp.c) */
#define WRITE_BUDGET ((size_t)2 << 20) /* bytes it may write before others get a turn */

/* A socket that carries a link. */
enum tcp_state {
    TCP_STATE_OPEN,      /* handshaking or up */
    TCP_STATE_CLOSING,   /* CLOSE is being written */
    TCP_STATE_LINGERING, /* written; waiting for the other side to hang up */
    TCP_STATE_DEAD,      /* off the maps, freed at the end of the turn */
};
struct tcp {
    struct node *node;
    struct link_id id;
    struct link *link;
    int fd;
    enum tcp_state state;
    enum link_role role;
    uint64_t dial_token;
    bool is_up;       /* the core knows of it */
    bool is_dirty;    /* in node->dirty */
    bool wants_write; /* the write event is armed: the kernel took less than we had */
    bool is_settled;  /* the guard was told how the handshake ended */
    uint8_t address[16];
    size_t address_len; /* 4 or 16 */
    char remote[WEFT_ENDPOINT_MAX + 1];
    weft_ns since;
    struct timer timer;
    struct event *on_read;
    struct event *on_write;
    struct event *on_owed; /* frames that the work of one turn did not reach */
    struct tcp *dirty_next;
    struct tcp *dead_next;
    int unsent_max;     /* bytes that the kernel may hold unsent, as it was last told */
    int unsent_blocked; /* how many it held when it took no more, -1: was not asked ... */
    weft_ns blocked_at; /* ... and when that was */
    bool was_slow;      /* it then took long to take more: worth asking how much went meanwhile */
    size_t room_told[WIRE_CLASS_COUNT];
};

struct listener {
    struct node *node;
    int fd;
    struct event *event;
    struct event *resume; /* armed while descriptors are short */
    bool is_wildcard;
    int family;
    uint16_t port;
    char host[256]; /* as configured */
    char bound[WEFT_ENDPOINT_MAX + 1];
};

/* One attempt to reach an endpoint (dial.c). */
struct dial_attempt;

enum own_origin {
    OWN_CONFIGURED = 1, /* flag or file */
    OWN_ADDED = 2,      /* through the API: in the store */
};
struct own_endpoint {
    char address[WEFT_ENDPOINT_MAX + 1];
    unsigned origins; /* bits of enum own_origin */
};
struct own_service {
    char name_space[WEFT_NAME_MAX + 1];
    char name[WEFT_NAME_MAX + 1];
    uint8_t protocol;
    struct own_endpoint endpoints[STORE_ENDPOINTS_MAX];
    size_t endpoint_count;
    struct own_service *next;
};

/* A forward that is wanted; the proxy holds those that listen. */
struct own_forward {
    char name_space[WEFT_NAME_MAX + 1];
    char name[WEFT_NAME_MAX + 1];
    uint8_t protocol;
    char address[WEFT_ENDPOINT_MAX + 1]; /* as asked for */
    char bound[WEFT_ENDPOINT_MAX + 1];   /* empty while it does not listen */
    char error[128];                     /* why it does not listen */
    const char *failure;  /* why the last connection that failed did: a literal, or NULL */
    weft_ns failure_told; /* when that was logged */
    unsigned origins;
    struct own_forward *next;
};

struct node_event {
    uint64_t seq;
    uint64_t time_ms; /* wall clock */
    enum trace_level level;
    char *name;
    char *detail;
};

struct post {
    void (*call)(void *ctx);
    void (*drop)(void *ctx); /* instead, when the node ends first; may be NULL */
    void *ctx;
};

struct control;

/* What outlives a link, in memory of libsodium's that no core file holds and that is not swapped
 * out. What needs one of these borrows it: no copy lies elsewhere. */
struct node_keys {
    struct identity identity;
    uint8_t secret[WEFT_KEY_BYTES];      /* the mesh's */
    uint8_t session_psk[WEFT_KEY_BYTES]; /* derived from it */
    struct link_shared shared;           /* holds another */
};

/* An address from which somebody came who was not let in. */
struct stranger {
    uint8_t address[16];
    size_t address_len;
    char remote[WEFT_ENDPOINT_MAX + 1]; /* of the last time */
    char why[96];
    uint64_t count;
    weft_ns at;
};
#define STRANGERS_MAX 4 /* that are shown; the one longest quiet goes */

struct node {
    struct config config;
    struct log *log;
    struct event_base *base;
    struct event *timer;
    struct event *pump;
    struct event *wake;  /* another thread posted */
    struct event *again; /* our own did */
    struct event *watch; /* interface addresses, every few seconds */
    weft_ns timer_at;    /* what `timer` is set for; NEVER: it fired */
    weft_ns started;
    bool is_touched; /* the pump is due this turn */
    bool is_pumping;
    bool is_leaving;
    bool has_left;
    bool is_embedded;
    bool is_ephemeral;
    char sandbox[64]; /* empty: nobody said (a node inside a program) */

    struct node_keys *keys;
    uint64_t incarnation;
    uint64_t instance;
    struct host host;
    struct store *store;
    struct guard *guard;
    struct frame_pool *blocks; /* of links: counts what they read into, keeps what they use again */
    weft_ns trim_at;           /* when what nobody used again is freed */
    struct core *core;
    struct proxy *proxy;
    struct control *control;
    struct statedir statedir; /* lock is -1 while there is none */

    struct listener listeners[LISTENERS_MAX];
    size_t listener_count;
    char *addresses[WIRE_ADDRESSES_MAX]; /* advertised */
    size_t address_count;

    uint64_t link_next;
    struct map *links;       /* link id -> struct tcp, as long as the core may name it */
    struct tcp *link_found;  /* in it, the last that was looked for; or NULL */
    struct timers timers;    /* of struct tcp */
    uint64_t frames_refused; /* by links whose queues were full, or cut there for others */
    uint64_t datagrams_late; /* ours or others', by links where they would have waited too long */
    struct stranger strangers[STRANGERS_MAX]; /* the last first */
    size_t stranger_count;
    size_t tcp_count;
    struct tcp *dirty;
    struct tcp *dead;
    struct dial_attempt *dials;
    struct dial_attempt *dials_dead;

    struct own_service *services;
    size_t service_count;
    struct own_forward *forwards;
    struct event *forward_retry;

    struct ring events;
    struct log_limit log_limit;
    uint64_t event_seq;
    uint64_t events_unsaved; /* not taken by the store or for want of memory */

    int timer_fd;
    int wake_fd;
    pthread_mutex_t posts_lock; /* of what is below */
    struct ring posts;
    pthread_t thread; /* that runs the loop, while it runs */
    bool is_running;
};

/* loop.c */
WEFT_MUST_CHECK enum weft_err node_loop_init(struct node *node);
void node_loop_fini(struct node *node);
WEFT_MUST_CHECK enum weft_err node_post_owned(struct node *node, const struct post *post);
uint64_t node_wall_ms(void);

/* listen.c */
WEFT_MUST_CHECK enum weft_err node_listen(struct node *node, char *error);
void node_unlisten(struct node *node);

/* addresses.c */
void node_addresses_init(struct node *node);
void node_addresses_fini(struct node *node);

/* dial.c */
void node_dial(struct node *node, struct action *action);
void node_dials_reap(struct node *node);
void node_dials_free(struct node *node);

/* tcp.c */
struct tcp_source {
    int fd;
    enum link_role role;
    uint64_t dial_token;
    const struct weft_peer_id *expected; /* or NULL */
    const struct sockaddr *remote;
    struct link_id id; /* 0: drawn */
};
struct link_id node_link_draw(struct node *node);
/* Takes the descriptor, also on failure. */
WEFT_MUST_CHECK enum weft_err tcp_start(struct node *node, const struct tcp_source *source);
struct tcp *tcp_find(struct node *node, struct link_id id);
void tcp_close(struct tcp *tcp, enum wire_close_reason reason, const char *text);
/* Off the maps at once; the core is told if it knew. */
void tcp_kill(struct tcp *tcp, const char *why);
void tcp_mark_dirty(struct tcp *tcp);
/* Writes what links have; whether the core was told of room, or of a link's end. */
bool tcp_flush_dirty(struct node *node);
void tcp_tick(struct node *node);
void tcp_reap(struct node *node);
void tcp_free_all(struct node *node);
/* The 4 or 16 bytes of an address (v4-mapped ones as 4); returns how many. */
size_t tcp_address_bytes(const struct sockaddr *address, uint8_t out[16]);
void tcp_address_text(const struct sockaddr *address, char out[WEFT_ENDPOINT_MAX + 1]);

/* tcp_options.c: asks the kernel for what suits a link. */
void tcp_set_options(const struct node *node, struct tcp *tcp);
/* The kernel takes no more, and takes some again: bounds what it holds unsent by how fast that went
 * meanwhile. */
void tcp_note_blocked(struct tcp *tcp, weft_ns now);
void tcp_fit_unsent(struct tcp *tcp, weft_ns now);

/* perform.c */
void node_perform(struct node *node, struct action *action);

/* backend.c */
struct proxy_backend node_proxy_backend(struct node *node);

/* services.c */
WEFT_MUST_CHECK enum weft_err node_services_init(struct node *node);
void node_services_free(struct node *node);
struct own_service *node_service_find(struct node *node, const char *name_space, const char *name,
                                      uint8_t protocol);
/* Adds an endpoint and tells the mesh. FULL, MEMORY, INVALID. */
WEFT_MUST_CHECK enum weft_err node_service_add(struct node *node, const char *name_space,
                                               const char *name, uint8_t protocol,
                                               const char *endpoint, unsigned origin);
/* Removes one endpoint, or all with NULL. NOT_FOUND. */
WEFT_MUST_CHECK enum weft_err node_service_remove(struct node *node, const char *name_space,
                                                  const char *name, uint8_t protocol,
                                                  const char *endpoint);
/* A service's name as the store keeps it and people type it: "dns", or "dns/udp"; and back: cuts
 * the name short and returns the protocol. */
struct stored_name {
    char text[WEFT_NAME_MAX + 5];
};
struct stored_name node_stored_name(const char *name, uint8_t protocol);
uint8_t node_stored_protocol(struct stored_name *name);
void node_services_reload(struct node *node);

/* forwards.c */
void node_forwards_init(struct node *node);
void node_forwards_free(struct node *node);
struct own_forward *node_forward_find(struct node *node, const char *name_space, const char *name,
                                      uint8_t protocol);
/* Listens; on an error nothing changed and errno is as the proxy left it. */
WEFT_MUST_CHECK enum weft_err node_forward_add(struct node *node, const char *name_space,
                                               const char *name, uint8_t protocol,
                                               const char *address, unsigned origin);
WEFT_MUST_CHECK enum weft_err node_forward_remove(struct node *node, const char *name_space,
                                                  const char *name, uint8_t protocol);
/* Notes why a connection or flow was not taken; `reason` WIRE_RESET_NONE: nobody in reach offers
 * it. Of flows, which cost their client nothing to try again, one a minute is logged. */
void node_forward_failed(struct node *node, const char *name_space, const char *name,
                         uint8_t protocol, enum wire_reset_reason reason);
void node_forwards_reload(struct node *node);

/* events.c */
void node_events_init(struct node *node);
void node_events_load(struct node *node);
void node_events_free(struct node *node);
void node_event(struct node *node, const struct trace_event *event);
/* The event `index` places from the oldest kept; NULL past the end. */
const struct node_event *node_event_at(const struct node *node, size_t index);

/* control.c */
WEFT_MUST_CHECK enum weft_err node_control_start(struct node *node, char *error);
void node_control_stop(struct node *node);
void node_control_event(struct node *node, const struct node_event *event);
void node_control_pong(struct node *node, uint64_t token, weft_ns now);

/* start.c */
void node_reload_log(struct node *node);

/* problems.c */
struct problem {
    char what[160];
    char cause[224];
    char next[160];
};
const char *node_verdict(struct node *node);
/* What is unhealthy, worst first; returns how many of at most `max`. */
size_t node_problems(struct node *node, struct problem *out, size_t max);

/* strangers.c */
/* Notes that somebody from that address (4 or 16 bytes) was not let in; whether it is to be logged,
 * and how often that happened. */
bool node_stranger(struct node *node, struct span address, const char *remote, const char *why,
                   uint64_t *count);

#endif
