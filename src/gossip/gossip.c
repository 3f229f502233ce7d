/* SPDX-License-Identifier: Apache-2.0
 *
 * Gossip's outside: life cycle, links, the dispatch of frames, events, time. Every input ends with
 * frames queued per link (output.c) and events queued here; nothing calls back.
 */
#include "gossip/internal.h"

#include <stdlib.h>

#include "base/check.h"

#define ROUND_NS (60 * NS_PER_S)   /* the safety net: one random neighbour a minute */
#define CULPRIT_NS (60 * NS_PER_S) /* one neighbour is named at most once a minute */

void gossip_arm(struct gossip *gossip, weft_ns when) {
    gossip->deadline = time_min(gossip->deadline, when);
}

void gossip_arm_links(struct gossip *gossip, weft_ns when) {
    gossip->links_due = time_min(gossip->links_due, when);
    gossip_arm(gossip, when);
}

struct gossip_link *gossip_link_of(const struct gossip *gossip, struct link_id id) {
    return link_table_find(&gossip->links, id);
}

struct gossip_link *gossip_link_to(const struct gossip *gossip, const struct weft_peer_id *peer) {
    for (size_t i = 0; i < gossip->links.count; i++) {
        struct gossip_link *link = gossip->links.items[i];
        if (weft_peer_id_equal(&link->peer, peer)) {
            return link;
        }
    }
    return NULL;
}

static enum weft_err maps_init(struct gossip *gossip) {
    const struct hash_key *key = &gossip->config.hash_key;
    gossip->sources = map_new(SOURCES_MAX, key);
    gossip->recents = map_new(SIZE_MAX, key);
    gossip->channels = map_new(CHANNELS_MAX, key);
    bool is_whole = gossip->sources != NULL && gossip->recents != NULL && gossip->channels != NULL;
    return is_whole ? WEFT_OK : WEFT_ERR_MEMORY;
}

/* The pool's scratch, or one of our own. */
static enum weft_err scratch_init(struct gossip *gossip) {
    if (gossip->config.pool != NULL) {
        gossip->scratch = record_pool_scratch(gossip->config.pool);
        return WEFT_OK;
    }
    gossip->own_scratch = malloc(SCRATCH_BYTES);
    gossip->scratch = gossip->own_scratch;
    return gossip->scratch != NULL ? WEFT_OK : WEFT_ERR_MEMORY;
}

static enum weft_err set_init(struct gossip *gossip) {
    struct recordset_config config = gossip->config.records;
    config.peers = gossip->config.pool != NULL ? record_pool_peers(gossip->config.pool) : NULL;
    return recordset_new(&config, &gossip->set);
}

static void gossip_init(struct gossip *gossip, const struct gossip_config *config) {
    uint8_t seed[32];
    gossip->config = *config;
    gossip->incarnation = config->incarnation;
    gossip->deadline = WEFT_NEVER;
    gossip->links_due = WEFT_NEVER;
    gossip->round_at = WEFT_NEVER;
    gossip->lag_ns = LAG_FIRST_NS;
    chain_init(&gossip->ready_control);
    chain_init(&gossip->ready_message);
    chain_init(&gossip->gappy);
    ring_init(&gossip->events, sizeof(struct gossip_event), EVENTS_MAX);
    ring_init(&gossip->formers, sizeof(struct former), FORMERS_MAX);
    host_random(config->host, seed, sizeof seed);
    rng_init(&gossip->rng, seed);
}

enum weft_err gossip_new(const struct gossip_config *config, struct gossip **out) {
    ASSERT(config->identity != NULL && config->host != NULL);
    ASSERT(config->incarnation >= 1 && config->incarnation < WIRE_VERSION_LIMIT);
    ASSERT(config->records.owner_records_max + EVENTS_MARGIN < EVENTS_MAX);
    struct gossip *gossip = calloc(1, sizeof *gossip);
    if (gossip == NULL) {
        return WEFT_ERR_MEMORY;
    }
    gossip_init(gossip, config);
    enum weft_err err = maps_init(gossip);
    if (err == WEFT_OK) {
        err = scratch_init(gossip);
    }
    if (err == WEFT_OK) {
        err = set_init(gossip);
    }
    if (err == WEFT_OK) {
        recordset_set_live(gossip->set, &config->identity->id, true, 0);
        err = recordset_is_live(gossip->set, &config->identity->id) ? WEFT_OK : WEFT_ERR_MEMORY;
    }
    if (err != WEFT_OK) {
        gossip_free(gossip); /* takes half-built objects */
        return err;
    }
    *out = gossip;
    return WEFT_OK;
}

static void link_free(struct gossip_link *link) {
    pending_free(link);
    output_free(link);
    spread_unpend_all(link);
    free(link);
}

static void links_free(struct gossip *gossip) {
    for (size_t i = 0; i < gossip->links.count; i++) {
        link_free(gossip->links.items[i]);
    }
    link_table_fini(&gossip->links);
}

static void channels_free(struct map *channels) {
    if (channels == NULL) {
        return;
    }
    for (struct map_entry *at = map_first(channels); at != NULL; at = map_next(at)) {
        free(map_value(at));
    }
    map_free(channels);
}

void gossip_free(struct gossip *gossip) {
    if (gossip == NULL) {
        return;
    }
    struct gossip_event event;
    while (ring_pop(&gossip->events, &event)) {
        record_unref(event.record);
    }
    ring_fini(&gossip->events);
    ring_fini(&gossip->formers);
    record_unref(gossip->rival);
    links_free(gossip);
    broadcast_free(gossip);
    channels_free(gossip->channels);
    bits_fini(&gossip->news);
    past_fini(&gossip->past);
    free(gossip->missing);
    spread_forget_frame(gossip);
    recordset_free(gossip->set);
    free(gossip->repeats);
    free(gossip->culprits);
    free(gossip->own_scratch);
    free(gossip);
}

static struct gossip_link *link_new(struct link_id id, const struct weft_peer_id *peer) {
    struct gossip_link *link = calloc(1, sizeof *link);
    if (link == NULL) {
        return NULL;
    }
    link->id = id;
    link->peer = *peer;
    link->room = LINK_ROOM_FIRST;
    link->sync_at = WEFT_NEVER;
    chain_init(&link->ready_control);
    chain_init(&link->ready_message);
    chain_init(&link->gossip);
    ring_init(&link->control, sizeof(struct frame *), CONTROL_MAX);
    ring_init(&link->messages, sizeof(struct frame *), MESSAGES_MAX);
    return link;
}

/* The safety net runs while there are links. */
static void arm_round(struct gossip *gossip, weft_ns now) {
    if (gossip->round_at == WEFT_NEVER) {
        gossip->round_at = time_after(now, rng_jitter(&gossip->rng, ROUND_NS));
    }
    gossip_arm(gossip, gossip->round_at);
}

enum weft_err gossip_link_up(struct gossip *gossip, struct link_id id,
                             const struct weft_peer_id *peer, weft_ns now) {
    ASSERT(gossip_link_of(gossip, id) == NULL);
    struct gossip_link *link = link_new(id, peer);
    if (link == NULL) {
        return WEFT_ERR_MEMORY;
    }
    enum weft_err err = link_table_add(&gossip->links, id, link);
    if (err != WEFT_OK) {
        link_free(link);
        return err;
    }
    link->up_at = now;
    gossip->first_up_at = gossip->links.count == 1 ? now : gossip->first_up_at;
    gossip->degrees_at = 0;
    notes_link_up(gossip, link);
    arm_round(gossip, now);
    reconcile_link_up(gossip, link, now);
    repair_send_heads(gossip, link, now);
    channel_link_up(gossip, link);
    return WEFT_OK;
}

void gossip_link_down(struct gossip *gossip, struct link_id id, weft_ns now) {
    struct gossip_link *link = link_table_remove(&gossip->links, id);
    if (link == NULL) {
        return;
    }
    chain_remove(&link->ready_control);
    chain_remove(&link->ready_message);
    notes_link_down(gossip, link, now);
    link_free(link);
    repair_link_lost(gossip, now);
}

static enum weft_err dispatch(struct gossip *gossip, struct gossip_link *link,
                              const struct wire_frame *frame, weft_ns now) {
    switch (frame->kind) {
    case WIRE_RECORDS:
        return gossip_hear_records(gossip, link, frame->body, now);
    case WIRE_DELTAS:
        return gossip_hear_deltas(gossip, link, frame->body, now);
    case WIRE_NOTES:
        return notes_hear(gossip, link, frame->body, now);
    case WIRE_SYNC:
        return reconcile_hear(gossip, link, frame->body, now);
    case WIRE_BROADCAST:
        return broadcast_hear(gossip, link, frame->body, now);
    case WIRE_PULL:
        return repair_hear_pull(gossip, link, frame->body);
    case WIRE_HEADS:
        return repair_hear_heads(gossip, link, frame, now);
    case WIRE_GOSSIP:
        return channel_hear(gossip, link, frame->body);
    default:
        return WEFT_OK; /* not ours: the caller's dispatch is wider than ours */
    }
}

enum weft_err gossip_frame(struct gossip *gossip, struct link_id id, const struct wire_frame *frame,
                           weft_ns now) {
    struct gossip_link *link = gossip_link_of(gossip, id);
    if (link == NULL) {
        return WEFT_OK; /* the link went down with frames in flight */
    }
    enum weft_err err = dispatch(gossip, link, frame, now);
    if (err == WEFT_ERR_AUTH) {
        gossip_blame(gossip, &link->peer, "bad-signature", now);
    } else if (err != WEFT_OK) {
        gossip_blame(gossip, &link->peer, "malformed", now);
        err = WEFT_ERR_MALFORMED;
    }
    return err;
}

void gossip_set_live(struct gossip *gossip, const struct weft_peer_id *owner, bool is_live,
                     weft_ns now) {
    if (weft_peer_id_equal(owner, &gossip->config.identity->id)) {
        return; /* we are live to ourselves, always */
    }
    uint64_t before = recordset_digest(gossip->set);
    recordset_set_live(gossip->set, owner, is_live, now);
    if (recordset_digest(gossip->set) != before) {
        gossip->changed_at = now;
    }
    if (is_live) {
        spread_news(gossip, owner, now);
    } else {
        gossip_arm(gossip, time_after(now, gossip->config.fade_after));
    }
}

bool gossip_has_event_room(const struct gossip *gossip) {
    size_t margin = gossip->config.records.owner_records_max + EVENTS_MARGIN;
    return gossip->events.count + margin <= EVENTS_MAX;
}

static bool push_event(struct gossip *gossip, const struct gossip_event *event) {
    if (ring_push(&gossip->events, event) != WEFT_OK) {
        gossip->counters.dropped++;
        gossip->counters.events_lost++;
        return false;
    }
    return true;
}

bool gossip_tell(struct gossip *gossip, enum gossip_event_kind kind, struct record *record) {
    struct gossip_event event = {
        .kind = kind, .record = record, .incarnation = gossip->incarnation};
    if (!push_event(gossip, &event)) {
        return false;
    }
    if (record != NULL) {
        (void)record_ref(record);
    }
    return true;
}

/* When the neighbour was last named; a fresh row if it was not. NULL when out of memory. */
static struct culprit *culprit_row(struct gossip *gossip, const struct weft_peer_id *peer) {
    if (gossip->culprits == NULL) {
        gossip->culprits = calloc(CULPRITS_MAX, sizeof *gossip->culprits);
    }
    if (gossip->culprits == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < CULPRITS_MAX; i++) {
        struct culprit *row = &gossip->culprits[i];
        if (row->is_set && weft_peer_id_equal(&row->peer, peer)) {
            return row;
        }
    }
    struct culprit *row = &gossip->culprits[gossip->culprit_next];
    gossip->culprit_next = (gossip->culprit_next + 1) % CULPRITS_MAX;
    *row = (struct culprit){.peer = *peer};
    return row;
}

void gossip_blame(struct gossip *gossip, const struct weft_peer_id *peer, const char *detail,
                  weft_ns now) {
    struct culprit *row = culprit_row(gossip, peer);
    if (row == NULL || (row->is_set && time_since(row->at, now) < CULPRIT_NS)) {
        return;
    }
    struct gossip_event event = {.kind = GOSSIP_CULPRIT, .peer = *peer, .detail = detail};
    if (push_event(gossip, &event)) {
        row->is_set = true;
        row->at = now;
    }
}

bool gossip_next_event(struct gossip *gossip, struct gossip_event *out) {
    while (ring_pop(&gossip->events, out)) {
        if (out->kind != GOSSIP_NOTHING) {
            return true;
        }
    }
    if (gossip->events.size > EVENTS_KEPT) { /* after a burst */
        ring_fini(&gossip->events);
        ring_init(&gossip->events, sizeof(struct gossip_event), EVENTS_MAX);
    }
    return false;
}

static void round_tick(struct gossip *gossip, weft_ns now) {
    if (gossip->round_at > now) {
        gossip_arm(gossip, gossip->round_at);
        return;
    }
    gossip->round_at = WEFT_NEVER;
    struct gossip_link *link = spread_any(gossip);
    if (link == NULL) {
        return;
    }
    arm_round(gossip, now);
    link->sync_at = now;
    gossip->links_due = now; /* looked at in this tick */
    repair_send_heads(gossip, link, now);
    channel_round(gossip, link);
}

void gossip_tick(struct gossip *gossip, weft_ns now) {
    if (gossip->deadline > now) {
        return;
    }
    gossip->deadline = WEFT_NEVER;
    own_tick(gossip, now);
    round_tick(gossip, now);
    if (gossip->links_due <= now) {
        gossip->links_due = WEFT_NEVER;
        pace_tick(gossip, now);
        reconcile_tick(gossip, now);
    }
    gossip_arm(gossip, gossip->links_due);
    repair_tick(gossip, now);
    notes_tick(gossip, now);
    past_tick(&gossip->past, now);
    if (gossip->past.size > 0) {
        gossip_arm(gossip, time_after(gossip->past.changed_at, PAST_IDLE_NS));
    }
    lives_tick(gossip, now);
}

weft_ns gossip_deadline(const struct gossip *gossip) {
    return gossip->deadline;
}

const struct recordset *gossip_records(const struct gossip *gossip) {
    return gossip->set;
}

uint64_t gossip_incarnation(const struct gossip *gossip) {
    return gossip->incarnation;
}

struct gossip_counters gossip_count(const struct gossip *gossip) {
    return gossip->counters;
}
