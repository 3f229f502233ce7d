/* SPDX-License-Identifier: Apache-2.0
 *
 * Datagram flows as the core sees them.
 */
#include "stream/datagrams.h"

#include "base/check.h"
#include "stream/flow.h"
#include "stream/session.h"
#include "stream/stream.h"

static bool is_self(const struct streams *streams, const struct weft_peer_id *peer) {
    return weft_peer_id_equal(peer, &streams->config.identity->id);
}

static void lead_to(struct flow *flow, const struct weft_peer_id *peer,
                    const struct weft_public_key *key) {
    ASSERT(key != NULL || is_self(flow->streams, peer));
    flow->peer = *peer;
    flow->key = key == NULL ? flow->streams->config.identity->key : *key;
}

enum weft_err datagrams_open(struct streams *streams, const struct weft_peer_id *peer,
                             const struct weft_public_key *key,
                             const struct datagram_service *service, weft_ns now,
                             struct flow_id *out) {
    struct flow *flow = NULL;
    enum weft_err err = flow_new(streams, now, &flow);
    if (err != WEFT_OK) {
        return err;
    }
    flow->is_opener = true;
    bool is_text = span_to_text(service->name_space, flow->service.name_space,
                                sizeof flow->service.name_space) &&
                   span_to_text(service->name, flow->service.name, sizeof flow->service.name);
    ASSERT(is_text);
    lead_to(flow, peer, key);
    *out = flow->id;
    return WEFT_OK;
}

void datagrams_move(struct streams *streams, struct flow_id id, const struct weft_peer_id *peer,
                    const struct weft_public_key *key, weft_ns now) {
    struct flow *flow = flow_by_id(streams, id);
    if (flow == NULL || flow->state == FLOW_ENDED || !flow->is_opener) {
        return;
    }
    flow_say_end(flow, WIRE_RESET_APPLICATION);
    flow_leave(flow);
    list_remove(&flow->event_link);
    flow->state = FLOW_LIVE;
    lead_to(flow, peer, key);
    flow_touch(flow, now);
}

/* A twin at our own node for a flow that has none. */
static void pair(struct flow *flow, weft_ns now) {
    struct flow *twin = NULL;
    if (flow_new(flow->streams, now, &twin) != WEFT_OK) {
        return;
    }
    twin->peer = flow->peer;
    twin->service = flow->service;
    twin->is_untold = true;
    twin->twin = flow;
    flow->twin = twin;
}

static void send_at_home(struct flow *flow, struct span bytes, weft_ns now) {
    if (flow->twin == NULL && flow->is_opener) {
        pair(flow, now);
    }
    struct flow *twin = flow->twin;
    if (twin == NULL) {
        flow->streams->flows.counters.dropped++;
        return;
    }
    twin->is_answered = twin->is_opener || twin->is_answered;
    flow_touch(twin, now);
    flow->streams->flows.counters.sent++;
    flow_deliver(twin, bytes);
}

/* A session, for a flow of ours that has none at present. */
static enum weft_err attach(struct flow *flow, weft_ns now) {
    struct streams *streams = flow->streams;
    struct session *session = NULL;
    enum weft_err err = session_get(streams, &flow->peer, &flow->key, now, &session);
    if (err != WEFT_OK) {
        return err;
    }
    uint64_t number = ++streams->flows.number_next;
    bool is_theirs = stream_is_peers_id(session, number);
    return flow_join(flow, session, is_theirs ? number | (uint64_t)1 << 63 : number);
}

void datagrams_send(struct streams *streams, struct flow_id id, struct span bytes, weft_ns now) {
    struct flow *flow = flow_by_id(streams, id);
    if (flow == NULL || flow->state != FLOW_LIVE || bytes.len > WIRE_DATAGRAM_BYTES_MAX) {
        streams->flows.counters.dropped++;
        return;
    }
    flow->is_answered = flow->is_answered || !flow->is_opener;
    flow_touch(flow, now);
    if (is_self(streams, &flow->peer)) {
        send_at_home(flow, bytes, now);
    } else if (flow->session != NULL || (flow->is_opener && attach(flow, now) == WEFT_OK)) {
        flow_queue(flow, bytes, now);
    } else {
        streams->flows.counters.dropped++;
    }
}

void datagrams_end(struct streams *streams, struct flow_id id, enum wire_reset_reason reason) {
    struct flow *flow = flow_by_id(streams, id);
    if (flow != NULL) {
        flow_say_end(flow, reason);
        flow_free(flow);
    }
}

void datagrams_end_incoming(struct streams *streams, enum wire_reset_reason reason) {
    struct map_entry *entry = map_first(streams->flows.by_id);
    while (entry != NULL) {
        struct flow *flow = map_value(entry);
        entry = map_next(entry);
        if (!flow->is_opener && flow->state == FLOW_LIVE) {
            flow_say_end(flow, reason);
            flow_end(flow, reason);
        }
    }
}

/* Takes the event of a flow that was refused or has ended; the latter frees it. Whether there is
 * anything to be told. */
static bool take_change(struct flow *flow, struct datagram_event *out) {
    bool has_ended = flow->state == FLOW_ENDED;
    bool is_told = !flow->is_untold;
    *out = (struct datagram_event){.kind = has_ended ? DATAGRAM_EVENT_END : DATAGRAM_EVENT_REFUSED,
                                   .flow = flow->id,
                                   .reason = flow->reason};
    list_remove(&flow->event_link);
    if (has_ended) {
        flow_free(flow);
    }
    return is_told;
}

static bool next_change(struct flows *flows, struct datagram_event *out) {
    struct list *link;
    while ((link = list_first(&flows->events)) != NULL) {
        if (take_change(LIST_OWNER(link, struct flow, event_link), out)) {
            return true;
        }
    }
    return false;
}

bool datagrams_next_event(struct streams *streams, struct datagram_event *out) {
    struct flows *flows = &streams->flows;
    struct arrived_datagram *first;
    while ((first = ring_at(&flows->arrived, 0)) != NULL) {
        struct flow *flow = flow_by_id(streams, first->flow);
        *out = (struct datagram_event){.kind = DATAGRAM_EVENT_INCOMING, .flow = first->flow};
        if (flow != NULL && flow->is_untold && flow->state == FLOW_LIVE) {
            flow->is_untold = false;
            return true;
        }
        struct arrived_datagram arrived;
        (void)ring_pop(&flows->arrived, &arrived);
        flows->arrived_bytes -= arrived.bytes->len;
        flows->turn += flows->arrived.count == 0 ? 1 : 0;
        if (flow != NULL && !flow->is_untold) {
            out->kind = DATAGRAM_EVENT_DATA;
            out->payload = arrived.bytes;
            return true;
        }
        frame_unref(arrived.bytes);
    }
    return next_change(flows, out);
}

bool datagrams_look(const struct streams *streams, struct flow_id id, struct weft_peer_id *peer,
                    struct datagram_service *service) {
    const struct flow *flow = flow_by_id(streams, id);
    if (flow == NULL) {
        return false;
    }
    *peer = flow->peer;
    service->name_space = span_of_text(flow->service.name_space);
    service->name = span_of_text(flow->service.name);
    return true;
}

bool datagrams_is_opener(const struct streams *streams, struct flow_id id) {
    const struct flow *flow = flow_by_id(streams, id);
    return flow != NULL && flow->is_opener;
}

bool datagrams_has_way(const struct streams *streams, struct flow_id id) {
    const struct flow *flow = flow_by_id(streams, id);
    if (flow == NULL) {
        return false;
    }
    struct span key = span_of(flow->peer.bytes, sizeof flow->peer.bytes);
    return is_self(streams, &flow->peer) || map_find(streams->routes, key) != NULL;
}

struct datagrams_counters datagrams_count(const struct streams *streams) {
    struct datagrams_counters counters = streams->flows.counters;
    counters.flows = streams->flows.live_count;
    return counters;
}
