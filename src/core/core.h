/* SPDX-License-Identifier: Apache-2.0
 *
 * The protocol core: joins gossip, router and streams. No sockets, files, clock, threads: events go
 * in, a queue of actions comes out, plus one deadline. The daemon is one host of it, the simulator
 * the second, tests and fuzzers the third.
 *
 *   in    links up, frames, room, down; the application's calls; the time
 *   out   core_next_action: send, close, dial, deliver, save ...; then core_deadline
 *
 * Work that follows from an input (routes, pushes, packets to send) is done when the host drains
 * the actions, so a host that feeds many frames and then drains pays for it once.
 *
 * Time is monotonic nanoseconds and may not go back (core_tick and all inputs assert it). A gap of
 * more than half the time-out between two inputs past a deadline means that we were stalled: peers
 * get their full time again.
 */
#ifndef CORE_CORE_H
#define CORE_CORE_H

#include "core/action.h"
#include "gossip/gossip.h"
#include "router/dialer.h"
#include "stream/streams.h"

struct core;

struct core_config {
    const struct identity *identity; /* outlives the core */
    struct host host;                /* copied */
    const char *name;                /* copied; a valid name */
    const char *software;            /* copied; "weft 0.1.0" */
    const char *const *addresses;    /* copied: what to advertise, "host:port" literals */
    uint32_t address_count;
    const char *const *labels; /* copied: key, value pairs, sorted */
    uint32_t label_count;
    const uint8_t
        *session_psk; /* WEFT_KEY_BYTES, derived from the mesh secret; outlives the core */
    uint64_t incarnation;
    uint64_t instance;
    uint32_t degree; /* target number of links */
    uint32_t links_max;
    bool may_discover;
    weft_ns heartbeat; /* interval; a link is dead after three without a byte, and
                        * not before TCP could send a lost segment again twice */
    weft_ns stream_hold;
    size_t flows_max;        /* of datagrams */
    weft_ns flow_idle;       /* a flow ends after such a silence ... */
    weft_ns flow_unanswered; /* ... and while datagrams went only one way */
    weft_ns fade_after;
    size_t peers_max;
    size_t buffer_bytes;       /* what streams may keep: half to send, half received and not read */
    struct record_pool *pool;  /* shared by all cores of a process (gossip/pool.h); NULL: none */
    struct graph_pool *graphs; /* likewise (router/pool.h) */
};

/* 1 s heartbeats, degree 8, 512 links, discovery on, 60 s hold, 8,192 flows, 120 and 30 s, 24 h
 * fade, 16,384 peers, 512 MiB of buffers. */
void core_config_defaults(struct core_config *config);

WEFT_MUST_CHECK enum weft_err core_new(const struct core_config *config, weft_ns now,
                                       struct core **out);
void core_free(struct core *core);

/* Links. */
struct core_link_info {
    enum link_role role;
    uint64_t dial_token;        /* of the ACTION_DIAL that made it; 0 if accepted */
    struct weft_public_key key; /* proven */
    const char *name;           /* claimed; copied */
    uint64_t incarnation;
    uint64_t instance;
    const char *remote; /* "host:port" of the other end, for display; copied */
};
void core_link_up(struct core *core, struct link_id link, const struct core_link_info *info,
                  weft_ns now);
/* One frame; `payload` is the packet of a carrier, else empty; both borrowed for the call. */
void core_link_frame(struct core *core, struct link_id link, const struct wire_frame *frame,
                     struct loan payload, weft_ns now);
/* Bytes of whatever kind arrived. */
void core_link_alive(struct core *core, struct link_id link, weft_ns now);
/* How many bytes each class of the link's queue takes now. */
void core_link_room(struct core *core, struct link_id link, const size_t room[WIRE_CLASS_COUNT],
                    weft_ns now);
void core_link_down(struct core *core, struct link_id link, weft_ns now);
/* The other side said that it closes the link, and why; core_link_down follows. After SURPLUS
 * there is no hurry to have it back. */
void core_link_bye(struct core *core, struct link_id link, enum wire_close_reason reason,
                   weft_ns now);
/* What came over the link was not the protocol (MALFORMED) or did not open (AUTH), or the peer let
 * so much wait for it that there is no room for more (FULL): it is named for it; core_link_down
 * follows. */
void core_link_broken(struct core *core, struct link_id link, enum weft_err err, weft_ns now);
void core_dial_failed(struct core *core, uint64_t dial_token, const char *why, weft_ns now);

/* Time. */
void core_tick(struct core *core, weft_ns now);
weft_ns core_deadline(const struct core *core);

/* Output: drain, release each, then sleep until the deadline. */
bool core_next_action(struct core *core, struct action *out);

/* Seeds. Errors as dialer_add_seed. */
WEFT_MUST_CHECK enum weft_err core_add_seed(struct core *core, const char *endpoint,
                                            const struct weft_peer_id *peer);
void core_remove_seed(struct core *core, const char *endpoint);

/* Addresses to advertise changed (copied). */
void core_set_addresses(struct core *core, const char *const *addresses, uint32_t count,
                        weft_ns now);

/* A record from the store, before or after links are up. `absence`: how long ago its owner was last
 * reachable. */
void core_load_record(struct core *core, struct span encoded, weft_ns absence, weft_ns now);

/* Planned leave: advertise it, withdraw the services, wait for the news to spread and for streams
 * to end (at most `patience`), close the links; then ACTION_LEFT. */
void core_leave(struct core *core, weft_ns patience, weft_ns now);

/* Services of our own: one record for each (namespace, name, protocol), with all its endpoints.
 * Replaces. */
struct core_offer {
    uint8_t protocol; /* WIRE_PROTOCOL_TCP or UDP */
    const struct wire_endpoint *endpoints;
    uint32_t endpoint_count; /* 1 .. WIRE_ENDPOINTS_MAX */
};
WEFT_MUST_CHECK enum weft_err core_offer(struct core *core, const char *name_space,
                                         const char *name, const struct core_offer *offer,
                                         weft_ns now);
WEFT_MUST_CHECK enum weft_err core_withdraw(struct core *core, const char *name_space,
                                            const char *name, uint8_t protocol, weft_ns now);

/* One node that offers a service. */
enum service_state {
    SERVICE_FRESH, /* its node is reachable and says so in its present life */
    SERVICE_STALE, /* it is not, or restarted a moment ago: this is what it said last */
};
struct core_provider {
    struct weft_peer_id peer;
    enum service_state state;
    bool is_self;
    uint64_t cost_us;
    weft_ns absence; /* STALE: for how long its node has not been reachable, as far as we know */
    struct wire_service_body body; /* borrowed until the next input */
};
/* The providers of a service, best first: ourselves, then by cost, then stale ones; returns how
 * many of at most `max`. */
size_t core_providers(const struct core *core, const char *name_space, const char *name,
                      uint8_t protocol, struct core_provider *out, size_t max);
/* Walks all services known, ordered by namespace, name and protocol, each provider. */
void core_each_service(const struct core *core,
                       void (*each)(void *ctx, const char *name_space, const char *name,
                                    const struct core_provider *provider),
                       void *ctx);

/* Streams. Opens one to the best provider other than ourselves, those about as near as the nearest
 * in turn; on a refusal the next is tried before anything is reported. WEFT_ERR_NOT_FOUND when
 * nobody else offers it, else as streams_open.
 */
WEFT_MUST_CHECK enum weft_err core_stream_open(struct core *core, const char *name_space,
                                               const char *name, uint8_t protocol, weft_ns now,
                                               struct stream_id *out);
/* As streams_reset, for any stream: one that core_stream_open made is also asked of no further
 * provider. The other calls on an open stream are those of streams.h. */
void core_stream_reset(struct core *core, struct stream_id stream, enum wire_reset_reason reason,
                       weft_ns now);
struct streams *core_streams(struct core *core);

/* Datagrams (stream/datagrams.h). Opens a flow to the best provider, which may be ourselves; it
 * moves to another with its next datagram when that one is out of reach or refuses it.
 * WEFT_ERR_NOT_FOUND: nobody offers the service over UDP; WEFT_ERR_INVALID, WEFT_ERR_MEMORY. */
WEFT_MUST_CHECK enum weft_err core_datagram_open(struct core *core, const char *name_space,
                                                 const char *name, weft_ns now,
                                                 struct flow_id *out);
/* Sends one datagram of any flow, of ours or of others; drops and counts what cannot be sent. */
void core_datagram_send(struct core *core, struct flow_id flow, struct span bytes, weft_ns now);
void core_datagram_end(struct core *core, struct flow_id flow, enum wire_reset_reason reason,
                       weft_ns now);

/* Channels: as gossip.h; a unicast goes through the session with `peer`. */
WEFT_MUST_CHECK enum weft_err core_channel_open(struct core *core, const char *name,
                                                const struct gossiper *gossiper, weft_ns now);
void core_channel_close(struct core *core, const char *name);
WEFT_MUST_CHECK enum weft_err core_channel_gossip(struct core *core, const char *name,
                                                  struct span payload, weft_ns now);
WEFT_MUST_CHECK enum weft_err core_channel_broadcast(struct core *core, const char *name,
                                                     struct span payload, weft_ns now);
WEFT_MUST_CHECK enum weft_err core_channel_unicast(struct core *core, const char *name,
                                                   const struct weft_peer_id *peer,
                                                   struct span payload, weft_ns now);
/* Asks a peer for a pong: ACTION_PONG with the token. WEFT_ERR_UNREACHABLE without a path. */
WEFT_MUST_CHECK enum weft_err core_ping(struct core *core, const struct weft_peer_id *peer,
                                        uint64_t token, weft_ns now);

/* Questions; answers are borrowed until the next input. */
struct core_link_view {
    struct link_id link;
    struct weft_peer_id peer;
    const char *name;
    const char *remote;
    enum link_role role;
    weft_ns up_since;
    weft_ns trial_until; /* the mesh is not told of it before (router/damping.h); 0: it counts */
    bool has_rtt;
    uint32_t rtt_us;
    uint32_t cost_us;
    uint64_t frames_in, frames_out;
};
void core_each_link(const struct core *core,
                    void (*each)(void *ctx, const struct core_link_view *view), void *ctx);

struct core_peer_view {
    struct weft_peer_id id;
    struct weft_public_key key;
    struct wire_peer_body body; /* name, version, addresses, links as it says itself */
    struct router_path path;
    uint64_t incarnation;
    uint64_t version;
    bool is_self;
    bool is_name_clash; /* another reachable node claims the same name; by core_each_peer only */
};
/* In order of peer id. */
void core_each_peer(const struct core *core,
                    void (*each)(void *ctx, const struct core_peer_view *view), void *ctx);
bool core_find_peer(const struct core *core, const struct weft_peer_id *peer,
                    struct core_peer_view *out);
/* By name (who is reachable before who is not), id, or any unique prefix of its text.
 * WEFT_ERR_NOT_FOUND; WEFT_ERR_EXISTS when more than one fits. */
WEFT_MUST_CHECK enum weft_err core_resolve_peer(const struct core *core, const char *text,
                                                struct weft_peer_id *out);
size_t core_trace_path(struct core *core, const struct weft_peer_id *peer, struct weft_peer_id *out,
                       size_t max);
bool core_target_at(const struct core *core, size_t index, struct dialer_target *out);

/* A peer that no path leads to, and that was lost so often that links to it are on trial for long
 * (router/damping.h). */
struct core_damped {
    struct weft_peer_id peer;
    uint32_t losses;     /* each within ten minutes of the one before */
    weft_ns lost_at;     /* the last time */
    weft_ns trial_until; /* of our link to it; 0: there is none, or it counts */
};
/* Returns how many of at most `max`. */
size_t core_damped(const struct core *core, struct core_damped *out, size_t max);

/* Walks the records of others that are kept: what a store that followed every SAVE_RECORD and
 * FORGET_RECORD holds. `each` must not call into the core; it may take references. */
void core_each_record(const struct core *core, void (*each)(void *ctx, struct record *record),
                      void *ctx);

/* Packets for us that were spoilt on the way (streams.h, packets_spoilt). */
struct core_spoilt {
    weft_ns at;                 /* the last one; 0: never */
    struct weft_peer_id source; /* in whose name it came */
    struct weft_peer_id by; /* over which neighbour: it, one behind it, or the network between */
};

struct core_status {
    struct weft_peer_id id;
    uint64_t incarnation;
    size_t links, peers_known, peers_reachable, services, records;
    bool is_quarantined;       /* our key lives elsewhere and the rule chose us */
    bool is_clone_seen;        /* in the last three minutes */
    char clone_addresses[200]; /* of the other */
    bool is_leaving;
    uint64_t frames_forwarded, frames_dropped[4]; /* by enum core_drop */
    uint64_t computations;
    struct gossip_counters gossip;
    struct streams_counters streams;
    struct core_spoilt spoilt;
    struct datagrams_counters datagrams;
};
enum core_drop {
    CORE_DROP_NO_ROUTE,
    CORE_DROP_NO_HOPS,
    CORE_DROP_NO_ROOM,
    CORE_DROP_MEMORY,
};
void core_get_status(const struct core *core, struct core_status *out);

/* Peers that sent what they should not, or do not read, most recent first; at most 16 are
 * remembered. */
struct core_culprit {
    struct weft_peer_id peer;
    const char *detail;
    uint64_t count;
};
size_t core_culprits(const struct core *core, struct core_culprit *out, size_t max);

/* A digest of the reachable topology: equal on all nodes of a settled mesh. Computed now if it is
 * not there. */
uint64_t core_topology_digest(struct core *core, weft_ns now);
/* The digest of the live records that heartbeats carry: equal on all nodes of a settled mesh. */
uint64_t core_records_digest(const struct core *core);
size_t core_live_record_count(const struct core *core);
/* All records, borrowed until the next input. */
const struct recordset *core_records(const struct core *core);

/* What a watcher asks often; each costs at most a lookup. */
size_t core_reachable_count(const struct core *core); /* without ourselves */
uint64_t core_computation_count(const struct core *core);
struct router_path core_path_to(const struct core *core, const struct weft_peer_id *peer);

#endif
