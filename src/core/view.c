/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions: what the host shows of us. Nothing here changes the core.
 */
#include <stdlib.h>

#include "core/internal.h"

void core_each_link(const struct core *core,
                    void (*each)(void *ctx, const struct core_link_view *view), void *ctx) {
    for (size_t i = 0; i < core->links.count; i++) {
        const struct core_link *link = core->links.items[i];
        const struct core_link_view view = {
            .link = link->id,
            .peer = link->peer,
            .name = link->name,
            .remote = link->remote,
            .role = link->role,
            .up_since = link->up_since,
            .trial_until = link->trial_until,
            .has_rtt = link->has_rtt,
            .rtt_us = link->rtt_us,
            .cost_us = link->cost_us,
            .frames_in = link->frames_in,
            .frames_out = link->frames_out,
        };
        if (!link->is_closing) {
            each(ctx, &view);
        }
    }
}

static bool peer_view(const struct core *core, const struct record *record,
                      struct core_peer_view *out) {
    *out = (struct core_peer_view){
        .id = record->owner,
        .key = record->owner_key,
        .path = router_path_to(core->router, &record->owner),
        .incarnation = record->incarnation,
        .version = record->version,
        .is_self = weft_peer_id_equal(&record->owner, &core->config.identity->id),
    };
    return !record->is_tombstone && wire_peer_body_decode(record->body, &out->body) == WEFT_OK;
}

bool core_find_peer(const struct core *core, const struct weft_peer_id *peer,
                    struct core_peer_view *out) {
    const struct record *record =
        recordset_find(gossip_records(core->gossip), WIRE_RECORD_PEER, peer, (struct span){0});
    return record != NULL && peer_view(core, record, out);
}

/* Peers gathered from the set, to be sorted and marked. */
struct gathered {
    const struct core *core;
    struct core_peer_view *views;
    size_t count;
    size_t max;
};

static void gather(void *ctx, struct record *record, bool is_live) {
    struct gathered *gathered = ctx;
    (void)is_live;
    if (record->kind == WIRE_RECORD_PEER && gathered->count < gathered->max &&
        peer_view(gathered->core, record, &gathered->views[gathered->count])) {
        gathered->count++;
    }
}

static int by_id(const void *a, const void *b) {
    const struct core_peer_view *one = a;
    const struct core_peer_view *two = b;
    return weft_peer_id_compare(&one->id, &two->id);
}

static bool is_present(const struct core_peer_view *view) {
    return view->is_self || view->path.is_reachable;
}

/* By name, those present first: clashes stand next to each other. */
static int by_name_and_presence(const void *a, const void *b) {
    const struct core_peer_view *one = a;
    const struct core_peer_view *two = b;
    size_t len = one->body.name.len < two->body.name.len ? one->body.name.len : two->body.name.len;
    int order = memcmp(one->body.name.data, two->body.name.data, len);
    if (order != 0) {
        return order;
    }
    if (one->body.name.len != two->body.name.len) {
        return one->body.name.len < two->body.name.len ? -1 : 1;
    }
    if (is_present(one) != is_present(two)) {
        return is_present(one) ? -1 : 1;
    }
    return by_id(a, b);
}

static void mark_clashes(struct core_peer_view *views, size_t count) {
    for (size_t i = 1; i < count; i++) {
        if (span_equal(views[i - 1].body.name, views[i].body.name) && is_present(&views[i - 1]) &&
            is_present(&views[i])) {
            views[i - 1].is_name_clash = true;
            views[i].is_name_clash = true;
        }
    }
}

void core_each_peer(const struct core *core,
                    void (*each)(void *ctx, const struct core_peer_view *view), void *ctx) {
    const struct recordset *records = gossip_records(core->gossip);
    struct gathered gathered = {.core = core, .max = recordset_count(records)};
    gathered.views = calloc(gathered.max + 1, sizeof(*gathered.views));
    if (gathered.views == NULL) {
        return;
    }
    recordset_each(records, gather, &gathered);
    qsort(gathered.views, gathered.count, sizeof(*gathered.views), by_name_and_presence);
    mark_clashes(gathered.views, gathered.count);
    qsort(gathered.views, gathered.count, sizeof(*gathered.views), by_id);
    for (size_t i = 0; i < gathered.count; i++) {
        each(ctx, &gathered.views[i]);
    }
    free(gathered.views);
}

/* What a text may mean, dearest first. */
enum meaning {
    MEANS_PRESENT, /* the name of a node that is here */
    MEANS_NAME,    /* of one that no path reaches */
    MEANS_PREFIX,  /* how an id begins */
    MEANING_COUNT,
};

struct search {
    const char *text;
    size_t count[MEANING_COUNT];
    struct weft_peer_id found[MEANING_COUNT];
};

static void search_add(struct search *search, enum meaning meaning, const struct weft_peer_id *id) {
    search->count[meaning]++;
    search->found[meaning] = *id;
}

/* Ids are lower-case; an operator may paste them otherwise. */
static bool is_prefix(const char *prefix, const char *id) {
    for (; *prefix != '\0'; prefix++, id++) {
        bool is_upper = *prefix >= 'A' && *prefix <= 'Z';
        if ((is_upper ? *prefix - 'A' + 'a' : *prefix) != *id) {
            return false;
        }
    }
    return true;
}

static void match(void *ctx, const struct core_peer_view *view) {
    struct search *search = ctx;
    char id[WEFT_PEER_ID_TEXT];
    weft_peer_id_format(&view->id, id);
    if (span_equal(view->body.name, span_of_text(search->text))) {
        search_add(search, is_present(view) ? MEANS_PRESENT : MEANS_NAME, &view->id);
    }
    if (is_prefix(search->text, id)) {
        search_add(search, MEANS_PREFIX, &view->id);
    }
}

/* A whole name wins over a prefix of an id: operators type names. And who is here wins over who is
 * gone: a machine that was set up again has its old name under a new key. */
enum weft_err core_resolve_peer(const struct core *core, const char *text,
                                struct weft_peer_id *out) {
    struct search search = {.text = text};
    if (text[0] == '\0') {
        return WEFT_ERR_NOT_FOUND;
    }
    core_each_peer(core, match, &search);
    for (size_t i = 0; i < MEANING_COUNT; i++) {
        if (search.count[i] == 1) {
            *out = search.found[i];
            return WEFT_OK;
        }
        if (search.count[i] > 1) {
            return WEFT_ERR_EXISTS;
        }
    }
    return WEFT_ERR_NOT_FOUND;
}

size_t core_trace_path(struct core *core, const struct weft_peer_id *peer, struct weft_peer_id *out,
                       size_t max) {
    return router_trace(core->router, peer, out, max);
}

bool core_target_at(const struct core *core, size_t index, struct dialer_target *out) {
    return dialer_target_at(core->dialer, index, out);
}

static void count_peer(void *ctx, struct record *record, bool is_live) {
    struct core_status *status = ctx;
    (void)is_live;
    if (record->kind == WIRE_RECORD_PEER && !record->is_tombstone) {
        status->peers_known++;
    }
}

void core_get_status(const struct core *core, struct core_status *out) {
    *out = (struct core_status){
        .id = core->config.identity->id,
        .incarnation = gossip_incarnation(core->gossip),
        .links = map_count(core->neighbours),
        .peers_reachable = router_reachable_count(core->router),
        .services = map_count(core->services),
        .records = recordset_count(gossip_records(core->gossip)),
        .is_quarantined = core->quarantine_until != 0,
        .is_clone_seen =
            core->clone_seen_at != 0 && time_since(core->clone_seen_at, core->now) < CLONE_MEMORY,
        .is_leaving = core->leave != LEAVE_NO,
        .frames_forwarded = core->frames_forwarded,
        .computations = router_computation_count(core->router),
        .gossip = gossip_count(core->gossip),
        .streams = streams_count(core->streams),
        .spoilt = core->spoilt,
        .datagrams = datagrams_count(core->streams),
    };
    memcpy(out->clone_addresses, core->clone_addresses, sizeof(out->clone_addresses));
    memcpy(out->frames_dropped, core->frames_dropped, sizeof(out->frames_dropped));
    recordset_each(gossip_records(core->gossip), count_peer, out);
    out->peers_known -= out->peers_known > 0 ? 1 : 0; /* ourselves */
}

size_t core_culprits(const struct core *core, struct core_culprit *out, size_t max) {
    size_t count = core->culprit_count < max ? core->culprit_count : max;
    for (size_t i = 0; i < count; i++) {
        out[i] = core->culprits[core->culprit_count - 1 - i];
    }
    return count;
}

uint64_t core_topology_digest(struct core *core, weft_ns now) {
    router_clock(core->router, now);
    return router_digest(core->router);
}

const struct recordset *core_records(const struct core *core) {
    return gossip_records(core->gossip);
}

uint64_t core_records_digest(const struct core *core) {
    return recordset_digest(gossip_records(core->gossip));
}

size_t core_live_record_count(const struct core *core) {
    return recordset_live_count(gossip_records(core->gossip));
}

size_t core_reachable_count(const struct core *core) {
    return router_reachable_count(core->router);
}

uint64_t core_computation_count(const struct core *core) {
    return router_computation_count(core->router);
}

struct router_path core_path_to(const struct core *core, const struct weft_peer_id *peer) {
    return router_path_to(core->router, peer);
}

struct record_walk {
    const struct core *core;
    void (*each)(void *ctx, struct record *record);
    void *ctx;
};

static void walk_record(void *ctx, struct record *record, bool is_live) {
    const struct record_walk *walk = ctx;
    (void)is_live;
    if (!weft_peer_id_equal(&record->owner, &walk->core->config.identity->id)) {
        walk->each(walk->ctx, record);
    }
}

void core_each_record(const struct core *core, void (*each)(void *ctx, struct record *record),
                      void *ctx) {
    struct record_walk walk = {.core = core, .each = each, .ctx = ctx};
    recordset_each(gossip_records(core->gossip), walk_record, &walk);
}
