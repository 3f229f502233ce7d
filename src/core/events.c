/* SPDX-License-Identifier: Apache-2.0
 *
 * What gossip learned goes to the routes, the connection maker and the registry; what changed in
 * the routes goes to gossip and the streams.
 */
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"

/* Where memory is short now it will not be there the next moment; each try walks all records. */
#define RELEARN_AFTER NS_PER_S

#define SPOILT_TOLD_EVERY (60 * NS_PER_S)

/* Takes a culprit out of the list, or, if it is new, makes room for it; a known one's count. */
static uint64_t culprit_take(struct core *core, const struct weft_peer_id *peer) {
    size_t at = 0;
    while (at < core->culprit_count && !weft_peer_id_equal(&core->culprits[at].peer, peer)) {
        at++;
    }
    if (at == core->culprit_count && at < CULPRITS_MAX) {
        return 0;
    }
    bool is_known = at < core->culprit_count;
    uint64_t count = is_known ? core->culprits[at].count : 0;
    at = is_known ? at : 0; /* else the one that was quiet for longest goes */
    core->culprit_count--;
    memmove(core->culprits + at, core->culprits + at + 1,
            (core->culprit_count - at) * sizeof(*core->culprits));
    return count;
}

/* Named in the log once, as long as it is remembered. */
void core_culprit(struct core *core, const struct weft_peer_id *peer, const char *detail) {
    uint64_t count = culprit_take(core, peer);
    core->culprits[core->culprit_count++] =
        (struct core_culprit){.peer = *peer, .detail = detail, .count = count + 1};
    if (count == 0) {
        char text[WEFT_PEER_ID_TEXT];
        weft_peer_id_format(peer, text);
        trace(&core->host, TRACE_WARN, "culprit", "peer=%s what=\"%s\"", text, detail);
    }
}

/* Told once a minute at most: it may be every packet. Nobody is blamed, for who did it may stand
 * behind the neighbour as well. */
void core_packet_spoilt(struct core *core, const struct weft_peer_id *source,
                        const struct weft_peer_id *by) {
    core->spoilt = (struct core_spoilt){.at = core->now, .source = *source, .by = *by};
    if (core->spoilt_told_at != 0 &&
        time_since(core->spoilt_told_at, core->now) < SPOILT_TOLD_EVERY) {
        return;
    }
    char source_text[WEFT_PEER_ID_TEXT];
    char by_text[WEFT_PEER_ID_TEXT];
    core->spoilt_told_at = core->now;
    weft_peer_id_format(source, source_text);
    weft_peer_id_format(by, by_text);
    trace(&core->host, TRACE_WARN, "packet-spoilt", "source=%s by=%s count=%llu", source_text,
          by_text, (unsigned long long)streams_spoilt_count(core->streams));
}

static void forget_peer(struct core *core, const struct weft_peer_id *peer) {
    if (DEFECT(DEPARTED_KEPT)) {
        return;
    }
    router_remove_peer(core->router, peer, core->now);
    dialer_forget(core->dialer, peer);
}

/* A bad node may lose its links one by one, and say so as it does. */
static void note_thinned(struct core *core, const struct wire_word *word) {
    if (word->link_count < DAMPING_LINKS_MIN &&
        router_listed(core->router, &word->owner) >= DAMPING_LINKS_MIN) {
        damping_thinned(&core->damping, &word->owner, core->now);
    }
}

/* Its body is read only if its addresses are wanted: all else is in its word, which is parsed once
 * for all who hold the record. */
static void learn_addresses(struct core *core, const struct record *record) {
    struct wire_peer_body body;
    if (dialer_wants(core->dialer, &record->owner) &&
        wire_peer_body_decode(record->body, &body) == WEFT_OK) {
        dialer_learn(core->dialer, &record->owner, &body, core->now);
    }
}

static void learn_peer(struct core *core, struct record *record) {
    if (weft_peer_id_equal(&record->owner, &core->config.identity->id)) {
        return;
    }
    struct wire_word *word = NULL;
    enum weft_err err = record_word(record, &word);
    if (err == WEFT_OK) {
        streams_peer_life(core->streams, &record->owner, record->incarnation, word->instance,
                          core->now);
        note_thinned(core, word);
        err = router_set_peer(core->router, word, core->now);
    }
    if (err == WEFT_OK) {
        learn_addresses(core, record);
        if (core->trial_count > 0 && !router_reaches(core->router, &record->owner)) {
            core_trials_review(core);
        }
        return;
    }
    if (err == WEFT_ERR_INVALID || err == WEFT_ERR_MALFORMED) { /* a tombstone, or unreadable */
        forget_peer(core, &record->owner);
        return;
    }
    if (err == WEFT_ERR_MEMORY) {
        core_lacked_memory(core);
    }
    core->frames_dropped[CORE_DROP_MEMORY]++;
}

void core_lacked_memory(struct core *core) {
    core->relearn_at = time_after(core->now, RELEARN_AFTER);
}

static void relearn_one(void *ctx, struct record *record, bool is_live) {
    (void)is_live;
    if (record->kind == WIRE_RECORD_PEER) {
        learn_peer(ctx, record);
    } else if (record->kind == WIRE_RECORD_SERVICE) {
        core_service_record(ctx, record);
    }
}

void core_relearn_tick(struct core *core) {
    if (core->relearn_at == 0 || core->relearn_at > core->now) {
        return;
    }
    core->relearn_at = 0;
    core_own_changed(core, OWN_WORDS); /* told to the mesh only if it is news there */
    recordset_each(gossip_records(core->gossip), relearn_one, core);
}

static void push_record(struct core *core, enum action_kind kind, struct record *record) {
    core_push(core, &(struct action){.kind = kind, .record = record_ref(record)});
}

static void record_changed(struct core *core, struct record *record) {
    if (record->kind == WIRE_RECORD_PEER) {
        learn_peer(core, record);
    } else if (record->kind == WIRE_RECORD_SERVICE) {
        core_service_record(core, record);
    }
    if (!weft_peer_id_equal(&record->owner, &core->config.identity->id)) {
        push_record(core, ACTION_SAVE_RECORD, record);
    }
}

static void record_faded(struct core *core, struct record *record) {
    if (record->kind == WIRE_RECORD_PEER) {
        forget_peer(core, &record->owner);
    } else if (record->kind == WIRE_RECORD_SERVICE) {
        core_service_forget(core, record);
    }
    push_record(core, ACTION_FORGET_RECORD, record);
}

static void gossip_event(struct core *core, const struct gossip_event *event) {
    switch (event->kind) {
    case GOSSIP_RECORD:
        record_changed(core, event->record);
        break;
    case GOSSIP_FADED:
        record_faded(core, event->record);
        break;
    case GOSSIP_OWN:
        streams_raise_incarnation(core->streams, event->incarnation);
        core_push(core,
                  &(struct action){.kind = ACTION_SAVE_INCARNATION, .token = event->incarnation});
        break;
    case GOSSIP_CLONE:
        core_clone_seen(core, event->record);
        break;
    case GOSSIP_CULPRIT:
        core_culprit(core, &event->peer, event->detail);
        break;
    case GOSSIP_NOTHING:
        break;
    }
}

/* What a peer calls itself; read off its record, for a path would cost a computation. */
static const char *name_of(const struct core *core, const struct weft_peer_id *peer,
                           char out[WEFT_NAME_MAX + 1]) {
    const struct record *record =
        recordset_find(gossip_records(core->gossip), WIRE_RECORD_PEER, peer, (struct span){0});
    struct wire_peer_body body;
    if (record == NULL || record->is_tombstone ||
        wire_peer_body_decode(record->body, &body) != WEFT_OK ||
        !span_to_text(body.name, out, WEFT_NAME_MAX + 1)) {
        (void)span_to_text(span_of_text("?"), out, WEFT_NAME_MAX + 1);
    }
    return out;
}

static void save_one(void *ctx, struct record *record, bool is_live) {
    (void)is_live;
    push_record(ctx, ACTION_SAVE_RECORD, record);
}

/* The store keeps when an owner was last reachable: now. */
static void save_owner(struct core *core, const struct weft_peer_id *owner) {
    recordset_each_of(gossip_records(core->gossip), owner, save_one, core);
}

static void trace_reach(struct core *core, const struct weft_peer_id *peer, bool is_reached) {
    char name[WEFT_NAME_MAX + 1];
    char text[WEFT_PEER_ID_TEXT];
    weft_peer_id_format(peer, text);
    trace(&core->host, TRACE_INFO, is_reached ? "peer-up" : "peer-down", "peer=%s id=%s",
          name_of(core, peer, name), text);
}

static void reach_changed(struct core *core, const struct weft_peer_id *peer, bool is_reached) {
    gossip_set_live(core->gossip, peer, is_reached, core->now);
    if (host_is_traced(&core->host, TRACE_INFO)) {
        trace_reach(core, peer, is_reached);
    }
    if (!is_reached) {
        save_owner(core, peer);
        core_trial_lost(core, peer);
    }
}

/* Who hangs on our graph by the records just heard is live at once, so that its records are passed
 * on without waiting for routes at every hop. */
static void reach_events(struct core *core) {
    struct weft_peer_id peer;
    bool is_reached = false;
    bool is_any = false;
    while (router_next_reach(core->router, &peer, &is_reached)) {
        reach_changed(core, &peer, is_reached);
        is_any = true;
    }
    if (is_any) {
        trace(&core->host, TRACE_DEBUG, "reach", "peers=%zu", router_reachable_count(core->router));
    }
}

static void note_events_lost(struct core *core) {
    uint64_t lost = gossip_count(core->gossip).events_lost;
    if (lost != core->events_lost) {
        core->events_lost = lost;
        core_lacked_memory(core);
    }
}

bool core_gossip_events(struct core *core) {
    struct gossip_event event;
    reach_events(core);
    while (core->actions.count < ACTIONS_KEPT) {
        if (!gossip_next_event(core->gossip, &event)) {
            note_events_lost(core);
            return true;
        }
        gossip_event(core, &event);
        record_unref(event.record);
        reach_events(core);
    }
    return false;
}

static void trail_fini(struct trail *trail) {
    free(trail->nodes);
    *trail = (struct trail){0};
}

static void watched_free(struct watched *watched) {
    if (watched != NULL) {
        trail_fini(&watched->path);
        trail_fini(&watched->former);
        free(watched);
    }
}

/* Of a peer that is no longer watched streams know nothing but that there is no way. */
static void watch_end(struct core *core, struct watched *watched) {
    (void)map_remove(core->watched, peer_span(&watched->peer));
    streams_route(core->streams, &watched->peer, STREAM_ROUTE_NONE, core->now);
    core->has_watched_last = false;
    watched_free(watched);
}

/* Ends the watch of peers without a session. */
static void watched_sweep(struct core *core) {
    struct map_entry *entry = map_first(core->watched);
    while (entry != NULL) {
        struct watched *watched = map_value(entry);
        entry = map_next(entry);
        if (!streams_has_session(core->streams, &watched->peer)) {
            watch_end(core, watched);
        }
    }
}

/* The path that is in use now; short of memory it stays unknown, and a change then counts as one
 * that loses what is under way. */
static struct trail trail_of(struct core *core, const struct weft_peer_id *peer) {
    struct weft_peer_id nodes[WIRE_HOPS_MAX + 2];
    struct trail trail = {0};
    size_t count = router_trace(core->router, peer, nodes, WIRE_HOPS_MAX + 2);
    trail.nodes = count > 0 ? malloc(count * sizeof(*nodes)) : NULL;
    if (trail.nodes != NULL) {
        memcpy(trail.nodes, nodes, count * sizeof(*nodes));
        trail.count = count;
    }
    return trail;
}

/* Whether all its links are still there: then what is under way on it will arrive. */
static bool trail_is_whole(const struct core *core, const struct trail *trail) {
    for (size_t i = 1; i < trail->count; i++) {
        if (!router_has_link(core->router, &trail->nodes[i - 1], &trail->nodes[i])) {
            return false;
        }
    }
    return trail->count > 0;
}

static void watched_note(struct core *core, struct watched *watched,
                         const struct router_path *path) {
    if (watched->trail != path->trail || watched->path.count == 0) {
        trail_fini(&watched->path);
        watched->path = path->is_reachable ? trail_of(core, &watched->peer) : (struct trail){0};
    }
    watched->next_hop = path->next_hop;
    watched->trail = path->trail;
    watched->is_reachable = path->is_reachable;
    watched->is_shaken = false;
}

static struct watched *watch_begin(struct core *core, const struct weft_peer_id *peer) {
    if (map_count(core->watched) >= core->config.peers_max) {
        watched_sweep(core); /* what claimed to be of many peers */
    }
    struct watched *watched = calloc(1, sizeof(*watched));
    if (watched != NULL) {
        watched->peer = *peer;
    }
    if (watched == NULL || map_add(core->watched, peer_span(peer), watched) != WEFT_OK) {
        core->frames_dropped[CORE_DROP_MEMORY]++;
        watched_free(watched);
        return NULL;
    }
    return watched;
}

void core_watch(struct core *core, const struct weft_peer_id *peer) {
    if (core->has_watched_last && weft_peer_id_equal(&core->watched_last, peer)) {
        return;
    }
    if (map_find(core->watched, peer_span(peer)) == NULL) {
        struct watched *watched = watch_begin(core, peer);
        if (watched == NULL) {
            return;
        }
        const struct router_path path = router_path_to(core->router, peer);
        watched_note(core, watched, &path);
        if (path.is_reachable) {
            streams_route(core->streams, peer, STREAM_ROUTE_SAME, core->now);
        }
    }
    core->watched_last = *peer;
    core->has_watched_last = true;
}

void core_watched_free(struct core *core) {
    if (core->watched != NULL) {
        for (struct map_entry *entry = map_first(core->watched); entry != NULL;
             entry = map_next(entry)) {
            watched_free(map_value(entry));
        }
    }
    map_free(core->watched);
}

/* What streams are to be told of a path that is in use from now on. One that moved because costs
 * did loses nothing, unless it turns out that something had died there. */
static enum stream_route judge_route(const struct core *core, const struct watched *watched,
                                     const struct router_path *path) {
    if (!path->is_reachable || !watched->is_reachable) {
        bool is_same = path->is_reachable == watched->is_reachable && !watched->is_shaken;
        enum stream_route other = path->is_reachable ? STREAM_ROUTE_CHANGED : STREAM_ROUTE_NONE;
        return is_same ? STREAM_ROUTE_SAME : other;
    }
    bool is_former_due = watched->former.count > 0 && !trail_is_whole(core, &watched->former) &&
                         time_since(watched->moved_at, core->now) < FORMER_PATH;
    if (watched->is_shaken || is_former_due) {
        return STREAM_ROUTE_CHANGED;
    }
    if (path->trail == watched->trail) {
        return STREAM_ROUTE_SAME;
    }
    return trail_is_whole(core, &watched->path) ? STREAM_ROUTE_MOVED : STREAM_ROUTE_CHANGED;
}

/* Tells streams if the way is another, or as it was over a first link that died and came back: then
 * what was under way is lost. */
static void watched_update(struct core *core, struct watched *watched) {
    const struct router_path path = router_path_to(core->router, &watched->peer);
    enum stream_route route = judge_route(core, watched, &path);
    if (route != STREAM_ROUTE_SAME) {
        trail_fini(&watched->former);
    }
    if (route == STREAM_ROUTE_MOVED) {
        watched->former = watched->path;
        watched->path = (struct trail){0};
        watched->moved_at = core->now;
    }
    watched_note(core, watched, &path);
    if (route != STREAM_ROUTE_SAME) {
        core_unblock_peer(core, &watched->peer);
        streams_route(core->streams, &watched->peer, route, core->now);
    }
}

void core_route_events(struct core *core) {
    if (router_deadline(core->router) > core->now) {
        return;
    }
    bool is_stale = router_update(core->router, core->now);
    reach_events(core);
    core_trials_lone(core);
    if (!is_stale) {
        return;
    }
    watched_sweep(core);
    for (struct map_entry *entry = map_first(core->watched); entry != NULL;
         entry = map_next(entry)) {
        watched_update(core, map_value(entry));
    }
}

void core_paths_shaken(struct core *core, const struct weft_peer_id *neighbour) {
    for (struct map_entry *entry = map_first(core->watched); entry != NULL;
         entry = map_next(entry)) {
        struct watched *watched = map_value(entry);
        if (watched->is_reachable && weft_peer_id_equal(&watched->next_hop, neighbour)) {
            streams_route(core->streams, &watched->peer, STREAM_ROUTE_NONE, core->now);
            watched->is_shaken = true;
        }
    }
}
