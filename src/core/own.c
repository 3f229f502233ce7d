/* SPDX-License-Identifier: Apache-2.0
 *
 * What we say of ourselves: the peer record, the planned leave, and the quarantine of a clone.
 *
 *   no --core_leave--> spreading --streams ended or patience over--> closing --> done
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/internal.h"

static enum weft_err copy_addresses(struct core *core, const char *const *addresses,
                                    uint32_t count) {
    for (uint32_t i = 0; i < core->address_count; i++) {
        free(core->addresses[i]);
    }
    core->address_count = 0;
    for (uint32_t i = 0; i < count && i < WIRE_ADDRESSES_MAX; i++) {
        core->addresses[i] = strdup(addresses[i]);
        if (core->addresses[i] == NULL) {
            return WEFT_ERR_MEMORY;
        }
        core->address_count++;
    }
    return WEFT_OK;
}

enum weft_err core_own_init(struct core *core) {
    core->publish_gap = PUBLISH_GAP;
    (void)snprintf(core->name, sizeof(core->name), "%s", core->config.name);
    (void)snprintf(core->software, sizeof(core->software), "%s", core->config.software);
    enum weft_err err = copy_addresses(core, core->config.addresses, core->config.address_count);
    uint32_t texts = 2 * core->config.label_count;
    for (uint32_t i = 0; err == WEFT_OK && i < texts && i < 2 * WIRE_LABELS_MAX; i++) {
        core->labels[i] = strdup(core->config.labels[i]);
        err = core->labels[i] != NULL ? WEFT_OK : WEFT_ERR_MEMORY;
        core->label_count = (i + 1) / 2;
    }
    return err;
}

void core_own_fini(struct core *core) {
    wire_word_unref(core->told);
    for (uint32_t i = 0; i < core->address_count; i++) {
        free(core->addresses[i]);
    }
    for (uint32_t i = 0; i < 2 * WIRE_LABELS_MAX; i++) {
        free(core->labels[i]);
    }
}

static int by_peer(const void *a, const void *b) {
    const struct wire_peer_link *one = a;
    const struct wire_peer_link *two = b;
    return weft_peer_id_compare(&one->peer, &two->peer);
}

/* Who is given our links. */
enum listener {
    LISTENER_MESH,   /* what they cost now */
    LISTENER_ROUTES, /* what the mesh was told, as long as it was told anything */
};

bool core_is_link_told(const struct core *core, const struct weft_peer_id *peer) {
    return core->told != NULL && wire_word_cost(core->told, peer) != 0;
}

/* Our own routes follow a link's cost, and that we go without it, when the mesh is told of it, not
 * before: where we alone know that a link became dear, we send frames round by those who send them
 * through us, and they circle until all know. A link that nobody was told of yet only makes our
 * ways shorter, which is safe. */
static uint32_t cost_for(const struct core *core, enum listener listener,
                         const struct core_link *link) {
    uint32_t told_us = core->told != NULL ? wire_word_cost(core->told, &link->peer) : 0;
    return listener == LISTENER_ROUTES && told_us != 0 ? told_us : link->cost_us;
}

static bool is_listed(const struct core *core, enum listener listener,
                      const struct core_link *link) {
    bool is_kept = listener == LISTENER_ROUTES && core_is_link_told(core, &link->peer);
    return link->trial_until == 0 && (!link->is_surplus || is_kept);
}

/* Our links in use, sorted by peer; returns how many. */
static uint32_t list_links(const struct core *core, enum listener listener,
                           struct wire_peer_link *out) {
    uint32_t count = 0;
    for (struct map_entry *entry = map_first(core->neighbours);
         entry != NULL && count < WIRE_LINKS_MAX; entry = map_next(entry)) {
        const struct core_link *link = map_value(entry);
        if (is_listed(core, listener, link)) {
            out[count++] = (struct wire_peer_link){.peer = link->peer,
                                                   .cost_us = cost_for(core, listener, link)};
        }
    }
    qsort(out, count, sizeof(*out), by_peer);
    return count;
}

/* Encodes the body of our peer record; empty when it does not fit (it always does). */
static struct span encode_self(const struct core *core, enum listener listener, uint8_t *bytes,
                               size_t size) {
    struct wire_peer_link links[WIRE_LINKS_MAX];
    const struct wire_peer_source source = {
        .name = core->name,
        .software = core->software,
        .instance = core->config.instance,
        .flags = core->leave != LEAVE_NO ? WIRE_PEER_LEAVING : 0,
        .addresses = (const char *const *)core->addresses,
        .address_count = core->address_count,
        .links = links,
        .link_count = list_links(core, listener, links),
        .labels = (const char *const *)core->labels,
        .label_count = core->label_count,
    };
    struct wire_writer writer = wire_writer_of(bytes, size);
    wire_peer_body_encode(&writer, &source);
    return wire_writer_view(&writer);
}

static weft_ns random_below(struct core *core, weft_ns bound) {
    uint8_t bytes[2];
    host_random(&core->host, bytes, sizeof(bytes));
    return bound / 256 * bytes[0] + bound / 65536 * bytes[1];
}

/* What we gained waits so long at most. */
static weft_ns gap_max(const struct core *core) {
    weft_ns gap = router_reachable_count(core->router) * PUBLISH_GAP_NODE;
    if (gap < PUBLISH_GAP_MAX || map_count(core->neighbours) > PUBLISH_MANY_LINKS) {
        return PUBLISH_GAP_MAX;
    }
    return time_min(gap, PUBLISH_GAP_LARGE);
}

static bool is_quiet(const struct core *core) {
    return time_since(core->published_at, core->now) >= PUBLISH_QUIET_GAPS * gap_max(core);
}

/* When a change may be told at the earliest. */
static weft_ns change_due(struct core *core, enum own_change change) {
    if (change == OWN_LOST || core->published_at == 0) {
        return core->now;
    }
    weft_ns gap = is_quiet(core) ? PUBLISH_GAP : core->publish_gap;
    if (dialer_is_hurried(core->dialer, core->now)) {
        gap = time_min(gap, PUBLISH_GAP_FALLEN);
    }
    size_t nodes = router_reachable_count(core->router);
    nodes = nodes < PUBLISH_GAIN_NODES ? nodes : PUBLISH_GAIN_NODES;
    weft_ns wait = 0;
    if (change == OWN_WORDS || change == OWN_ONLY_WAY) {
        gap = time_min(gap, PUBLISH_GAP_NEEDED);
        wait = change == OWN_ONLY_WAY ? random_below(core, nodes * PUBLISH_WAY_SPREAD) : 0;
    } else {
        wait = PUBLISH_FIRST_WAIT + random_below(core, nodes * PUBLISH_GAIN_SPREAD);
    }
    weft_ns together_at = time_after(core->now, wait);
    weft_ns at = time_after(core->published_at, gap);
    return at > together_at ? at : together_at;
}

/* Whether a link that nobody was told of is the only way to its far end as far as is known. */
static bool has_only_way(const struct core *core) {
    for (struct map_entry *entry = map_first(core->neighbours); entry != NULL;
         entry = map_next(entry)) {
        const struct core_link *link = map_value(entry);
        if (!core_is_link_told(core, &link->peer) && !router_can_spare(core->router, &link->peer)) {
            return true;
        }
    }
    return false;
}

static enum weft_err word_of(const struct core *core, struct span encoded, struct wire_word **out) {
    struct wire_peer_body body;
    ASSERT(encoded.len > 0 && wire_peer_body_decode(encoded, &body) == WEFT_OK);
    return wire_word_new(&core->config.identity->id, &body, out);
}

static void route_by_own(struct core *core) {
    uint8_t bytes[WIRE_RECORD_BODY_MAX];
    struct wire_word *word = NULL;
    enum weft_err err =
        word_of(core, encode_self(core, LISTENER_ROUTES, bytes, sizeof(bytes)), &word);
    if (err == WEFT_OK) {
        err = router_set_peer(core->router, word, core->now);
    }
    wire_word_unref(word);
    if (err != WEFT_OK) {
        trace(&core->host, TRACE_ERROR, "out-of-memory", "what=own-routes");
        core_lacked_memory(core);
    }
}

/* Our own routes must never use what we no longer have, so they change at once; the mesh is told as
 * soon as publish_at allows. */
void core_own_changed(struct core *core, enum own_change change) {
    route_by_own(core);
    if (change == OWN_LOST || change == OWN_UNTOLD_LOST) {
        router_own_lost(core->router, core->now);
    }
    weft_ns at = change_due(core, change);
    core->publish_at = core->is_self_dirty ? time_min(core->publish_at, at) : at;
    core->untold = core->is_self_dirty && core->untold > change ? core->untold : change;
    core->is_self_dirty = true;
}

/* Whether the mesh was told just this already: a link was replaced by another to the same peer. */
static bool is_told(const struct core *core, struct span body) {
    const struct record *told = recordset_find(gossip_records(core->gossip), WIRE_RECORD_PEER,
                                               &core->config.identity->id, (struct span){0});
    return told != NULL && !told->is_tombstone && span_equal(told->body, body);
}

/* Without memory for it the routes keep to what was told before, and it is told again later. */
static void note_told(struct core *core, struct span body) {
    struct wire_word *word = NULL;
    if (word_of(core, body, &word) != WEFT_OK) {
        core_lacked_memory(core);
        return;
    }
    wire_word_unref(core->told);
    core->told = word;
    route_by_own(core);
    core_surplus_told(core);
}

static void publish(struct core *core) {
    uint8_t bytes[WIRE_RECORD_BODY_MAX];
    struct span body = encode_self(core, LISTENER_MESH, bytes, sizeof(bytes));
    if (is_told(core, body)) {
        core->is_self_dirty = false;
        note_told(core, body);
        return;
    }
    if (!bucket_take(&core->publishes, 1, PUBLISH_RATE, PUBLISH_BURST, core->now)) {
        core->publish_at = time_after(core->now, NS_PER_S / PUBLISH_RATE);
        return;
    }
    enum weft_err err =
        gossip_publish(core->gossip, WIRE_RECORD_PEER, (struct span){0}, body, core->now);
    core->publish_gap = is_quiet(core)
                            ? PUBLISH_GAP
                            : time_min(core->publish_gap * PUBLISH_GAP_GROWTH, gap_max(core));
    core->published_at = core->now;
    core->is_self_dirty = err != WEFT_OK;
    if (err == WEFT_OK) {
        note_told(core, body);
    }
}

/* Whether we told links of ours lately and nobody is reached yet: those we told them to answer by
 * naming us. */
static bool is_being_answered(const struct core *core) {
    return core->told != NULL && core->told->link_count > 0 &&
           router_reachable_count(core->router) == 0 &&
           time_since(core->published_at, core->now) < PUBLISH_ANSWER;
}

/* A newcomer dials several before any of them has heard of it. Once the mesh knows of the first
 * link the others are gains like any. */
static void only_way_review(struct core *core) {
    if (is_being_answered(core)) {
        core->publish_at = time_after(core->published_at, PUBLISH_ANSWER);
    } else if (!has_only_way(core)) {
        core->untold = OWN_GAINED;
        core->publish_at = change_due(core, OWN_GAINED);
    }
}

static size_t open_links(const struct core *core) {
    return core->links.count;
}

static void leave_enter(struct core *core, enum leave_state state) {
    ASSERT(state == core->leave + 1);
    core->leave = state;
}

static void leave_tick(struct core *core) {
    bool is_over = core->leave_at <= core->now;
    if (core->leave == LEAVE_SPREADING && core->leave_spread_at <= core->now &&
        (is_over || streams_count(core->streams).open == 0)) {
        leave_enter(core, LEAVE_CLOSING);
        core->leave_at = time_after(core->now, LEAVE_CLOSE);
        core_links_close_all(core, WIRE_CLOSE_BYE, "leaving");
    } else if (core->leave == LEAVE_CLOSING && (is_over || open_links(core) == 0)) {
        leave_enter(core, LEAVE_DONE);
        core_push(core, &(struct action){.kind = ACTION_LEFT});
    }
}

void core_own_tick(struct core *core) {
    bool is_due = core->is_self_dirty && core->publish_at <= core->now;
    if (is_due && core->untold == OWN_ONLY_WAY) {
        only_way_review(core);
    }
    if (is_due && core->publish_at <= core->now) {
        publish(core);
    }
    if (core->leave == LEAVE_SPREADING || core->leave == LEAVE_CLOSING) {
        leave_tick(core);
    }
    if (core->quarantine_until != 0 && core->quarantine_until <= core->now) {
        core->quarantine_until = 0;
        trace(&core->host, TRACE_WARN, "clone-quarantine-over", "next=looking again");
    }
}

static weft_ns leave_deadline(const struct core *core) {
    switch (core->leave) {
    case LEAVE_SPREADING:
        return core->leave_spread_at > core->now ? core->leave_spread_at : core->leave_at;
    case LEAVE_CLOSING:
        return core->leave_at;
    case LEAVE_NO:
    case LEAVE_DONE:
        return WEFT_NEVER;
    }
    return WEFT_NEVER;
}

weft_ns core_own_deadline(const struct core *core) {
    weft_ns deadline = core->is_self_dirty ? core->publish_at : WEFT_NEVER;
    if (core->quarantine_until != 0) {
        deadline = time_min(deadline, core->quarantine_until);
    }
    return time_min(deadline, leave_deadline(core));
}

void core_set_addresses(struct core *core, const char *const *addresses, uint32_t count,
                        weft_ns now) {
    core_enter(core, now);
    if (copy_addresses(core, addresses, count) != WEFT_OK) {
        trace(&core->host, TRACE_ERROR, "out-of-memory", "what=own-addresses");
    }
    core_own_changed(core, OWN_WORDS);
}

/* Collects the keys of our own services, so that they can be withdrawn outside the walk. */
struct own_keys {
    struct record *records[OWNER_RECORDS_MAX];
    size_t count;
};

static void collect_service(void *ctx, struct record *record, bool is_live) {
    struct own_keys *keys = ctx;
    (void)is_live;
    if (record->kind == WIRE_RECORD_SERVICE && !record->is_tombstone &&
        keys->count < OWNER_RECORDS_MAX) {
        keys->records[keys->count++] = record_ref(record);
    }
}

static void withdraw_all(struct core *core) {
    struct own_keys keys = {0};
    recordset_each_of(gossip_records(core->gossip), &core->config.identity->id, collect_service,
                      &keys);
    for (size_t i = 0; i < keys.count; i++) {
        if (gossip_withdraw(core->gossip, WIRE_RECORD_SERVICE, keys.records[i]->key, core->now) !=
            WEFT_OK) {
            core->frames_dropped[CORE_DROP_MEMORY]++; /* our going says it too */
        }
        record_unref(keys.records[i]);
    }
}

void core_leave(struct core *core, weft_ns patience, weft_ns now) {
    core_enter(core, now);
    if (core->leave != LEAVE_NO) {
        return;
    }
    leave_enter(core, LEAVE_SPREADING);
    core->leave_spread_at = time_after(now, time_min(LEAVE_SPREAD, patience));
    core->leave_at = DEFECT(LEAVE_ABRUPT) ? core->leave_spread_at : time_after(now, patience);
    withdraw_all(core);
    datagrams_end_incoming(core->streams, WIRE_RESET_STOPPING); /* their openers go elsewhere */
    core_own_changed(core, OWN_LOST);
    trace(&core->host, TRACE_INFO, "leaving", "links=%zu", open_links(core));
}
