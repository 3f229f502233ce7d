/* SPDX-License-Identifier: Apache-2.0
 *
 * What gossip learned goes to the routes, the connection maker and the registry; what changed in
 * the routes goes to gossip and the streams.
 */
#include "core/internal.h"

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

static void forget_peer(struct core *core, const struct weft_peer_id *peer) {
    router_remove_peer(core->router, peer, core->now);
    dialer_forget(core->dialer, peer);
}

static void learn_peer(struct core *core, struct record *record) {
    struct wire_peer_body body;
    if (weft_peer_id_equal(&record->owner, &core->config.identity->id)) {
        return;
    }
    if (record->is_tombstone || wire_peer_body_decode(record->body, &body) != WEFT_OK) {
        forget_peer(core, &record->owner);
        return;
    }
    if (router_set_peer(core->router, &record->owner, &body, core->now) != WEFT_OK) {
        core->frames_dropped[CORE_DROP_MEMORY]++;
        return;
    }
    dialer_learn(core->dialer, &record->owner, &body, core->now);
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

/* Who hangs on our graph by the records just heard is live at once, so that its records are passed
 * on without waiting for routes at every hop. */
static void take_attached(struct core *core) {
    struct weft_peer_id peer;
    while (router_next_attached(core->router, &peer)) {
        if (!weft_peer_id_equal(&peer, &core->config.identity->id) &&
            map_add(core->attached, peer_span(&peer), core) == WEFT_OK) {
            gossip_set_live(core->gossip, &peer, true, core->now);
        }
    }
}

/* After a computation: those that turned out not to be reached, of which no change tells. */
static void settle_attached(struct core *core) {
    struct map_entry *entry = map_first(core->attached);
    while (entry != NULL) {
        struct weft_peer_id peer;
        memcpy(peer.bytes, map_key(entry).data, sizeof(peer.bytes));
        entry = map_next(entry);
        (void)map_remove(core->attached, peer_span(&peer));
        if (!router_path_to(core->router, &peer).is_reachable) {
            gossip_set_live(core->gossip, &peer, false, core->now);
        }
    }
}

void core_gossip_events(struct core *core) {
    struct gossip_event event;
    take_attached(core);
    while (gossip_next_event(core->gossip, &event)) {
        gossip_event(core, &event);
        record_unref(event.record);
        take_attached(core);
    }
}

static const char *name_of(const struct core *core, const struct weft_peer_id *peer,
                           char out[WEFT_NAME_MAX + 1]) {
    struct core_peer_view view;
    if (!core_find_peer(core, peer, &view) ||
        !span_to_text(view.body.name, out, WEFT_NAME_MAX + 1)) {
        (void)span_to_text(span_of_text("?"), out, WEFT_NAME_MAX + 1);
    }
    return out;
}

static void trace_reach(struct core *core, const struct router_change *change) {
    char name[WEFT_NAME_MAX + 1];
    char text[WEFT_PEER_ID_TEXT];
    weft_peer_id_format(&change->peer, text);
    if (change->after.is_reachable) {
        trace(&core->host, TRACE_INFO, "peer-up", "peer=%s id=%s hops=%u",
              name_of(core, &change->peer, name), text, change->after.hops);
    } else {
        trace(&core->host, TRACE_INFO, "peer-down", "peer=%s id=%s",
              name_of(core, &change->peer, name), text);
    }
}

static bool is_same_way(const struct router_path *a, const struct router_path *b) {
    return a->is_reachable && b->is_reachable && a->trail == b->trail;
}

static void save_one(void *ctx, struct record *record, bool is_live) {
    (void)is_live;
    push_record(ctx, ACTION_SAVE_RECORD, record);
}

/* The store keeps when an owner was last reachable: now. */
static void save_owner(struct core *core, const struct weft_peer_id *owner) {
    recordset_each_of(gossip_records(core->gossip), owner, save_one, core);
}

static void route_changed(struct core *core, const struct router_change *change) {
    bool is_live = change->after.is_reachable;
    bool was_shaken = map_remove(core->shaken, peer_span(&change->peer)) != NULL;
    if (weft_peer_id_equal(&change->peer, &core->config.identity->id)) {
        return;
    }
    core_unblock_peer(core, &change->peer);
    if (is_live != change->before.is_reachable) {
        gossip_set_live(core->gossip, &change->peer, is_live, core->now);
        trace_reach(core, change);
    }
    if (!is_live) {
        save_owner(core, &change->peer);
        streams_route(core->streams, &change->peer, STREAM_ROUTE_NONE, core->now);
    } else {
        streams_route(core->streams, &change->peer,
                      was_shaken || !is_same_way(&change->before, &change->after)
                          ? STREAM_ROUTE_CHANGED
                          : STREAM_ROUTE_SAME,
                      core->now);
    }
}

/* Peers whose way is as it was, but whose first link died and came back: what was under way is
 * lost. */
static void settle_shaken(struct core *core) {
    struct map_entry *entry = map_first(core->shaken);
    while (entry != NULL) {
        struct weft_peer_id peer;
        memcpy(peer.bytes, map_key(entry).data, sizeof(peer.bytes));
        entry = map_next(entry);
        (void)map_remove(core->shaken, peer_span(&peer));
        if (router_path_to(core->router, &peer).is_reachable) {
            streams_route(core->streams, &peer, STREAM_ROUTE_CHANGED, core->now);
        }
    }
}

void core_route_events(struct core *core) {
    struct router_change change;
    bool is_reach_changed = false;
    if (router_deadline(core->router) > core->now || !router_update(core->router, core->now)) {
        return;
    }
    while (router_next_change(core->router, &change)) {
        is_reach_changed |= change.before.is_reachable != change.after.is_reachable;
        route_changed(core, &change);
    }
    if (is_reach_changed) {
        trace(&core->host, TRACE_DEBUG, "reach", "peers=%zu", router_reachable_count(core->router));
    }
    settle_shaken(core);
    settle_attached(core);
}

struct shaken {
    struct core *core;
    const struct weft_peer_id *neighbour;
};

static void shake(void *ctx, struct record *record, bool is_live) {
    const struct shaken *shaken = ctx;
    struct core *core = shaken->core;
    if (record->kind != WIRE_RECORD_PEER || !is_live) {
        return;
    }
    struct router_path path = router_path_to(core->router, &record->owner);
    if (!path.is_reachable || !weft_peer_id_equal(&path.next_hop, shaken->neighbour)) {
        return;
    }
    streams_route(core->streams, &record->owner, STREAM_ROUTE_NONE, core->now);
    if (map_add(core->shaken, peer_span(&record->owner), core) == WEFT_ERR_MEMORY) {
        core->frames_dropped[CORE_DROP_MEMORY]++;
    }
}

void core_paths_shaken(struct core *core, const struct weft_peer_id *neighbour) {
    struct shaken shaken = {.core = core, .neighbour = neighbour};
    recordset_each(gossip_records(core->gossip), shake, &shaken);
}
