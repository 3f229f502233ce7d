/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a core and the order in which its work is done.
 */
#include "core/core.h"

#include <stdlib.h>

#include "core/internal.h"

#define HEARTBEAT_DEFAULT NS_PER_S
#define TRIM_INTERVAL NS_PER_S /* longer than bulk pauses */
#define LINKS_MAX_DEFAULT 512
#define PEERS_MAX_DEFAULT 16384
/* Learned endpoints worth dialling: a random part of the mesh, several times what is dialled (the
 * passive view of HyParView holds 30 for a degree of 5). */
#define CANDIDATES_MIN 128
#define CANDIDATES_PER_LINK 8

void core_config_defaults(struct core_config *config) {
    *config = (struct core_config){
        .degree = 8,
        .links_max = LINKS_MAX_DEFAULT,
        .may_discover = true,
        .heartbeat = HEARTBEAT_DEFAULT,
        .stream_hold = 60 * NS_PER_S,
        .flows_max = 8192,
        .flow_idle = 120 * NS_PER_S,
        .flow_unanswered = 30 * NS_PER_S,
        .fade_after = 86400 * NS_PER_S,
        .peers_max = PEERS_MAX_DEFAULT,
        .buffer_bytes = (size_t)512 * 1024 * 1024,
    };
}

static struct hash_key fresh_hash_key(const struct core *core) {
    struct hash_key key;
    host_random(&core->host, key.bytes, sizeof(key.bytes));
    return key;
}

static size_t ask_children(void *ctx, const struct weft_peer_id *source, struct weft_peer_id *out,
                           size_t max) {
    const struct core *core = ctx;
    return router_children(core->router, source, out, max);
}

static uint64_t ask_digest(void *ctx) {
    const struct core *core = ctx;
    return router_digest(core->router);
}

static size_t ask_peers_behind(void *ctx, const struct weft_peer_id *neighbour) {
    const struct core *core = ctx;
    return router_peers_behind(core->router, neighbour);
}

static size_t ask_degree(void *ctx, const struct weft_peer_id *peer) {
    const struct core *core = ctx;
    return router_listed(core->router, peer);
}

static enum weft_err make_router(struct core *core) {
    const struct router_config config = {
        .self = core->config.identity->id,
        .hash_key = fresh_hash_key(core),
        .peers_max = core->config.peers_max,
        .pool = core->config.graphs,
    };
    return router_new(&config, &core->router);
}

static size_t candidates_for(uint32_t degree) {
    size_t wanted = (size_t)CANDIDATES_PER_LINK * degree;
    return wanted > CANDIDATES_MIN ? wanted : CANDIDATES_MIN;
}

static enum weft_err make_dialer(struct core *core) {
    const struct dialer_config config = {
        .self = core->config.identity->id,
        .host = &core->host,
        .degree = core->config.degree,
        .links_max = core->config.links_max,
        .may_discover = core->config.may_discover,
        .candidates_max = candidates_for(core->config.degree),
    };
    return dialer_new(&config, &core->dialer);
}

static enum weft_err make_gossip(struct core *core) {
    const struct gossip_config config = {
        .identity = core->config.identity,
        .host = &core->host,
        .pool = core->config.pool,
        .routes = {.ctx = core,
                   .children = ask_children,
                   .digest = ask_digest,
                   .peers_behind = ask_peers_behind,
                   .degree = ask_degree},
        .hash_key = fresh_hash_key(core),
        .incarnation = core->config.incarnation,
        .instance = core->config.instance,
        .records = {.hash_key = fresh_hash_key(core),
                    .records_max = 4 * core->config.peers_max,
                    .owner_records_max = OWNER_RECORDS_MAX,
                    .owner_bytes_max = (size_t)256 * 1024,
                    .stranger_records_max = core->config.peers_max},
        .fade_after = core->config.fade_after,
        .pending_bytes_max = (size_t)1024 * 1024,
    };
    return gossip_new(&config, &core->gossip);
}

static enum weft_err make_streams(struct core *core) {
    struct streams_config config;
    streams_config_defaults(&config);
    config.identity = core->config.identity;
    config.host = &core->host;
    config.frames = core->frames;
    config.psk = core->config.session_psk;
    config.incarnation = core->config.incarnation;
    config.instance = core->config.instance;
    config.hash_key = fresh_hash_key(core);
    config.hold = core->config.stream_hold;
    config.flows_max = core->config.flows_max;
    config.flows_max_per_peer = core->config.flows_max / FLOWS_SHARE;
    config.flow_idle = core->config.flow_idle;
    config.flow_unanswered = core->config.flow_unanswered;
    config.receive_bytes_max = core->config.buffer_bytes / 2;
    config.send_bytes_total_max = core->config.buffer_bytes / 2;
    return streams_new(&config, &core->streams);
}

static enum weft_err make_map(struct core *core, size_t count_max, struct map **out) {
    const struct hash_key key = fresh_hash_key(core);
    *out = map_new(count_max, &key);
    return *out != NULL ? WEFT_OK : WEFT_ERR_MEMORY;
}

static enum weft_err make_maps(struct core *core) {
    /* A link above links_max exists while a newcomer is admitted and while a surplus one closes. */
    const size_t links_max = 2 * (size_t)core->config.links_max + 64;
    enum weft_err err = make_map(core, links_max, &core->neighbours);
    if (err == WEFT_OK) {
        err = make_map(core, ATTEMPTS_MAX, &core->attempts);
    }
    if (err == WEFT_OK) {
        err = make_map(core, core->config.peers_max, &core->blocked);
    }
    if (err == WEFT_OK) {
        err = make_map(core, core->config.peers_max, &core->watched);
    }
    if (err == WEFT_OK) {
        err = make_map(core, 4 * core->config.peers_max, &core->services);
    }
    return err;
}

static enum weft_err make_parts(struct core *core) {
    core->frames = frame_pool_new();
    enum weft_err err = core->frames != NULL ? make_maps(core) : WEFT_ERR_MEMORY;
    if (err == WEFT_OK) {
        err = make_router(core);
    }
    if (err == WEFT_OK) {
        err = make_dialer(core);
    }
    if (err == WEFT_OK) {
        err = make_gossip(core);
    }
    if (err == WEFT_OK) {
        err = make_streams(core);
    }
    if (err == WEFT_OK) {
        err = core_own_init(core);
    }
    return err;
}

enum weft_err core_new(const struct core_config *config, weft_ns now, struct core **out) {
    ASSERT(config->identity != NULL && config->session_psk != NULL);
    ASSERT(config->host.random != NULL);
    ASSERT(config->incarnation > 0 && config->heartbeat > 0 && config->links_max > 0);
    ASSERT(wire_name_is_valid(span_of_text(config->name)));
    struct core *core = calloc(1, sizeof(*core));
    if (core == NULL) {
        return WEFT_ERR_MEMORY;
    }
    core->config = *config;
    core->host = config->host;
    core->now = now;
    core->links_due = WEFT_NEVER;
    ring_init(&core->actions, sizeof(struct action), ACTIONS_MAX);
    enum weft_err err = make_parts(core);
    if (err != WEFT_OK) {
        core_free(core);
        return err;
    }
    core_own_changed(core, OWN_WORDS);
    *out = core;
    return WEFT_OK;
}

void core_free(struct core *core) {
    if (core == NULL) {
        return;
    }
    struct action action;
    while (ring_pop(&core->actions, &action)) {
        action_release(&action);
    }
    ring_fini(&core->actions);
    core_attempts_free(core);
    core_tried_free(core);
    core_blocked_free(core);
    core_services_free(core);
    core_links_free(core);
    core_watched_free(core);
    streams_free(core->streams);
    gossip_free(core->gossip);
    dialer_free(core->dialer);
    damping_fini(&core->damping);
    router_free(core->router);
    core_own_fini(core);
    frame_pool_free(core->frames);
    free(core);
}

void core_push(struct core *core, struct action *action) {
    if (ring_push(&core->actions, action) != WEFT_OK) {
        core->frames_dropped[CORE_DROP_MEMORY]++;
        if (action->kind == ACTION_DIAL) {
            dialer_failed(core->dialer, core->router, action->token, "out of memory", core->now);
        }
        action_release(action);
    }
}

/* A deadline missed by half a link's life was missed by us, not by our peers. */
void core_enter(struct core *core, weft_ns now) {
    ASSERT(now >= core->now);
    weft_ns grace = DEAD_BEATS * core->config.heartbeat / 2;
    core->now = now;
    router_clock(core->router, now);
    if (now <= time_after(core->links_due, grace)) {
        return; /* as almost always: this stands before every frame */
    }
    core->links_due = core_links_deadline(core);
    if (now > time_after(core->links_due, grace)) {
        core_links_forgive(core);
    }
}

void core_tick(struct core *core, weft_ns now) {
    core_enter(core, now);
    if (core->links_due <= now) {
        core_links_tick(core);
        core->links_due = core_links_deadline(core);
    }
    if (core->trim_at <= now) { /* not worth a deadline of its own */
        frame_pool_trim(core->frames);
        streams_trim(core->streams);
        core->trim_at = time_after(now, TRIM_INTERVAL);
    }
    core_own_tick(core);
    core_relearn_tick(core);
    if (gossip_deadline(core->gossip) <= now) {
        gossip_tick(core->gossip, now);
    }
    if (streams_deadline(core->streams) <= now) {
        streams_tick(core->streams, now);
    }
}

weft_ns core_deadline(const struct core *core) {
    weft_ns deadline = time_min(core->links_due, core_own_deadline(core));
    deadline = time_min(deadline, router_deadline(core->router));
    if (core->relearn_at != 0) {
        deadline = time_min(deadline, core->relearn_at);
    }
    deadline = time_min(deadline, gossip_deadline(core->gossip));
    deadline = time_min(deadline, streams_deadline(core->streams));
    if (core->leave == LEAVE_NO && core->quarantine_until == 0) {
        deadline = time_min(deadline, dialer_deadline(core->dialer));
    }
    return deadline;
}

/* One round: what gossip learned goes to the routes, what changed there to gossip and streams, and
 * then what all of them want sent becomes actions. */
static void work(struct core *core) {
    if (!core_gossip_events(core)) {
        return;
    }
    core_route_events(core);
    core_own_tick(core);
    core_dial_and_trim(core);
    core_stream_events(core);
    core_datagram_events(core);
    core_gossip_out(core);
    core_packets_out(core);
}

/* A burst's storage is given back when it has been drained. */
static void relax_actions(struct core *core) {
    if (core->actions.size > ACTIONS_KEPT) {
        ring_fini(&core->actions);
        ring_init(&core->actions, sizeof(struct action), ACTIONS_MAX);
    }
}

bool core_next_action(struct core *core, struct action *out) {
    if (ring_pop(&core->actions, out)) {
        return true;
    }
    work(core);
    bool is_there = ring_pop(&core->actions, out);
    if (!is_there) {
        relax_actions(core);
    }
    return is_there;
}

enum weft_err core_add_seed(struct core *core, const char *endpoint,
                            const struct weft_peer_id *peer) {
    return dialer_add_seed(core->dialer, endpoint, peer);
}

void core_remove_seed(struct core *core, const char *endpoint) {
    dialer_remove_seed(core->dialer, endpoint);
}

void core_load_record(struct core *core, struct span encoded, weft_ns absence, weft_ns now) {
    core_enter(core, now);
    enum weft_err err = gossip_load(core->gossip, encoded, absence, now);
    if (err != WEFT_OK) {
        trace(&core->host, TRACE_WARN, "record-not-loaded", "why=%s", weft_err_name(err));
    }
}

struct streams *core_streams(struct core *core) {
    return core->streams;
}
