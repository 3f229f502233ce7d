/* SPDX-License-Identifier: Apache-2.0
 *
 * Datagrams to services: which provider a flow leads to. It stays with one as long as that is in
 * reach and serves it; then it moves, with the next datagram, to the best that has not refused it.
 */
#include <stdlib.h>

#include "core/internal.h"

#define TRIED_MAX                                                                                  \
    8 /* refusals remembered of one flow; a service of more providers is asked again */

/* Providers that refused a flow since it was last answered. Most flows have none. */
struct tried {
    struct weft_peer_id peers[TRIED_MAX];
    size_t count;
};

static struct tried *tried_of(const struct core *core, struct flow_id flow) {
    return core->tried == NULL ? NULL : map_find(core->tried, number_span(&flow.value));
}

static void tried_forget(struct core *core, struct flow_id flow) {
    if (core->tried != NULL) {
        free(map_remove(core->tried, number_span(&flow.value)));
    }
}

void core_tried_free(struct core *core) {
    if (core->tried != NULL) {
        for (struct map_entry *entry = map_first(core->tried); entry != NULL;
             entry = map_next(entry)) {
            free(map_value(entry));
        }
    }
    map_free(core->tried);
}

/* The table is made with the first refusal: the key costs a draw. */
static bool tried_init(struct core *core) {
    struct hash_key key;
    if (core->tried == NULL) {
        host_random(&core->host, key.bytes, sizeof(key.bytes));
        core->tried = map_new(core->config.flows_max, &key);
    }
    return core->tried != NULL;
}

/* False when it cannot be remembered: then the flow ends. */
static bool tried_add(struct core *core, struct flow_id flow, const struct weft_peer_id *peer) {
    struct tried *tried = tried_of(core, flow);
    if (tried == NULL) {
        tried = calloc(1, sizeof(*tried));
        if (tried == NULL || !tried_init(core) ||
            map_add(core->tried, number_span(&flow.value), tried) != WEFT_OK) {
            free(tried);
            return false;
        }
    }
    if (tried->count == TRIED_MAX) {
        return false;
    }
    tried->peers[tried->count++] = *peer;
    return true;
}

static bool has_refused(const struct tried *tried, const struct weft_peer_id *peer) {
    for (size_t i = 0; tried != NULL && i < tried->count; i++) {
        if (weft_peer_id_equal(&tried->peers[i], peer)) {
            return true;
        }
    }
    return false;
}

/* The best provider but `except` and those that refused; a stale one only if `may_be_stale`. */
struct choice {
    const struct tried *tried;
    const struct weft_peer_id *except; /* NULL: none */
    bool may_be_stale;
    struct weft_peer_id peer;
    const struct weft_public_key *key; /* NULL: ourselves */
};
static bool choose(struct core *core, const struct datagram_service *service,
                   struct choice *choice) {
    struct core_provider providers[PROVIDERS_MAX];
    char name_space[WEFT_NAME_MAX + 1];
    char name[WEFT_NAME_MAX + 1];
    if (!span_to_text(service->name_space, name_space, sizeof(name_space)) ||
        !span_to_text(service->name, name, sizeof(name))) {
        return false;
    }
    size_t count =
        core_providers_in_turn(core, name_space, name, WIRE_PROTOCOL_UDP, providers, PROVIDERS_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct core_provider *provider = &providers[i];
        choice->key = provider->is_self ? NULL : core_provider_key(core, &provider->peer);
        bool is_usable = provider->is_self || choice->key != NULL;
        bool is_near = provider->state == SERVICE_FRESH || choice->may_be_stale;
        bool is_other =
            choice->except == NULL || !weft_peer_id_equal(choice->except, &provider->peer);
        if (is_usable && is_near && is_other && !has_refused(choice->tried, &provider->peer)) {
            choice->peer = provider->peer;
            return true;
        }
    }
    return false;
}

/* Before streams hear of the peer. There is no way to ourselves to be watched. */
static void watch(struct core *core, const struct weft_peer_id *peer) {
    if (!weft_peer_id_equal(peer, &core->config.identity->id)) {
        core_watch(core, peer);
    }
}

enum weft_err core_datagram_open(struct core *core, const char *name_space, const char *name,
                                 weft_ns now, struct flow_id *out) {
    core_enter(core, now);
    struct choice choice = {.may_be_stale = true};
    const struct datagram_service service = {span_of_text(name_space), span_of_text(name)};
    if (!wire_name_is_valid(service.name_space) || !wire_name_is_valid(service.name)) {
        return WEFT_ERR_INVALID;
    }
    if (!choose(core, &service, &choice)) {
        return WEFT_ERR_NOT_FOUND;
    }
    watch(core, &choice.peer);
    return datagrams_open(core->streams, &choice.peer, choice.key, &service, now, out);
}

/* Leads the flow to another provider, if there is one in reach; whether there was. */
static bool move(struct core *core, struct flow_id flow, struct choice *choice,
                 const struct datagram_service *service) {
    if (!choose(core, service, choice)) {
        return false;
    }
    watch(core, &choice->peer);
    datagrams_move(core->streams, flow, &choice->peer, choice->key, core->now);
    return true;
}

void core_datagram_send(struct core *core, struct flow_id flow, struct span bytes, weft_ns now) {
    struct weft_peer_id peer;
    struct datagram_service service;
    core_enter(core, now);
    if (datagrams_look(core->streams, flow, &peer, &service)) {
        watch(core, &peer);
        if (datagrams_is_opener(core->streams, flow) && !datagrams_has_way(core->streams, flow)) {
            struct choice choice = {.tried = tried_of(core, flow), .except = &peer};
            (void)move(core, flow, &choice, &service); /* else it waits for the way */
        }
    }
    datagrams_send(core->streams, flow, bytes, now);
}

void core_datagram_end(struct core *core, struct flow_id flow, enum wire_reset_reason reason,
                       weft_ns now) {
    core_enter(core, now);
    tried_forget(core, flow);
    datagrams_end(core->streams, flow, reason);
}

/* Whether the flow goes on elsewhere. */
static bool refused(struct core *core, struct flow_id flow) {
    struct weft_peer_id peer;
    struct datagram_service service;
    if (!datagrams_look(core->streams, flow, &peer, &service) || !tried_add(core, flow, &peer)) {
        return false;
    }
    struct choice choice = {.tried = tried_of(core, flow)};
    return move(core, flow, &choice, &service);
}

static void datagram_event(struct core *core, struct datagram_event *event) {
    switch (event->kind) {
    case DATAGRAM_EVENT_REFUSED:
        if (refused(core, event->flow)) {
            return;
        }
        datagrams_end(core->streams, event->flow, WIRE_RESET_APPLICATION);
        event->kind = DATAGRAM_EVENT_END;
        tried_forget(core, event->flow);
        break;
    case DATAGRAM_EVENT_END:
    case DATAGRAM_EVENT_DATA:
        tried_forget(core, event->flow);
        break;
    case DATAGRAM_EVENT_INCOMING:
        break;
    }
    core_push(core, &(struct action){.kind = ACTION_DATAGRAM, .datagram_event = *event});
}

void core_datagram_events(struct core *core) {
    struct datagram_event event;
    while (datagrams_next_event(core->streams, &event)) {
        datagram_event(core, &event);
    }
}
