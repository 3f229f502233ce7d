/* SPDX-License-Identifier: Apache-2.0
 *
 * A flow's life. All live flows stand in one of two lists, those with traffic both ways and those
 * without, idle longest first: their heads are the next to end, by time or for want of room.
 */
#include "stream/flow.h"

#include <stdlib.h>

#include "base/check.h"
#include "stream/session.h"
#include "stream/stream.h"

#define ARRIVED_MAX 8192 /* not yet taken; the host takes all at least once a turn of its loop */
#define PACKET_BYTES_MAX                                                                           \
    16384                /* of several datagrams: loses few at a time, and saves most seals        \
                          */
#define FLOWS_PER_S 5000 /* opened by one peer: each may cost us a socket */
#define FLOWS_BURST 4096

static struct span id_span(const uint64_t *id) {
    return span_of(id, sizeof *id);
}

struct flow *flow_by_id(const struct streams *streams, struct flow_id id) {
    return map_find(streams->flows.by_id, id_span(&id.value));
}

struct flow *flow_on_wire(const struct session *session, uint64_t wire_id) {
    return session->flows == NULL ? NULL : map_find(session->flows, id_span(&wire_id));
}

enum weft_err flow_table_init(struct streams *streams) {
    struct flows *flows = &streams->flows;
    list_init(&flows->unanswered);
    list_init(&flows->answered);
    list_init(&flows->events);
    ring_init(&flows->arrived, sizeof(struct arrived_datagram), ARRIVED_MAX);
    /* Twice: those that ended stay until somebody was told. */
    flows->by_id = map_new(2 * streams->config.flows_max, &streams->config.hash_key);
    return flows->by_id == NULL ? WEFT_ERR_MEMORY : WEFT_OK;
}

void flow_table_fini(struct streams *streams) {
    struct flows *flows = &streams->flows;
    struct map_entry *entry = flows->by_id == NULL ? NULL : map_first(flows->by_id);
    while (entry != NULL) {
        struct flow *flow = map_value(entry);
        entry = map_next(entry);
        flow_free(flow);
    }
    struct arrived_datagram arrived;
    while (ring_pop(&flows->arrived, &arrived)) {
        frame_unref(arrived.bytes);
    }
    ring_fini(&flows->arrived);
    map_free(flows->by_id);
}

/* ---- the tables ---- */

/* The live flow that was idle longest; NULL if there is none. */
static struct flow *idlest(const struct flows *flows) {
    struct list *one = list_first(&flows->unanswered);
    struct list *other = list_first(&flows->answered);
    if (one == NULL || other == NULL) {
        struct list *link = one != NULL ? one : other;
        return link == NULL ? NULL : LIST_OWNER(link, struct flow, idle_link);
    }
    struct flow *a = LIST_OWNER(one, struct flow, idle_link);
    struct flow *b = LIST_OWNER(other, struct flow, idle_link);
    return a->used_at <= b->used_at ? a : b;
}

static void expire(struct flow *flow) {
    flow_say_end(flow, WIRE_RESET_APPLICATION);
    flow_end(flow, WIRE_RESET_APPLICATION);
}

enum weft_err flow_new(struct streams *streams, weft_ns now, struct flow **out) {
    struct flows *flows = &streams->flows;
    if (flows->live_count >= streams->config.flows_max) {
        expire(idlest(flows));
    }
    struct flow *flow = calloc(1, sizeof *flow);
    if (flow == NULL) {
        return WEFT_ERR_MEMORY;
    }
    flow->streams = streams;
    flow->id.value = flows->number_next + 1;
    ring_init(&flow->queue, sizeof(struct queued_datagram), FLOW_QUEUE_MAX);
    if (map_add(flows->by_id, id_span(&flow->id.value), flow) != WEFT_OK) {
        free(flow);
        return WEFT_ERR_MEMORY;
    }
    flows->number_next++;
    flows->live_count++;
    flows->counters.opened++;
    flow_touch(flow, now);
    *out = flow;
    return WEFT_OK;
}

enum weft_err flow_join(struct flow *flow, struct session *session, uint64_t wire_id) {
    struct streams *streams = flow->streams;
    if (session->flows == NULL) {
        session->flows = map_new(streams->config.flows_max, &streams->config.hash_key);
    }
    if (session->flows == NULL || map_add(session->flows, id_span(&wire_id), flow) != WEFT_OK) {
        return WEFT_ERR_MEMORY;
    }
    flow->session = session;
    flow->peer = session->id;
    flow->wire_id = wire_id;
    flow->is_known = false;
    list_push(flow->is_opener ? &session->flows_out : &session->flows_in, &flow->session_link);
    session->flows_in_count += flow->is_opener ? 0 : 1;
    return WEFT_OK;
}

static void drop_queue(struct flow *flow) {
    struct queued_datagram queued;
    while (ring_pop(&flow->queue, &queued)) {
        frame_unref(queued.bytes);
        flow->streams->flows.counters.dropped++;
    }
    flow->queue_bytes = 0;
    list_remove(&flow->ready_link);
}

void flow_leave(struct flow *flow) {
    struct session *session = flow->session;
    drop_queue(flow);
    flow->is_known = false;
    if (flow->twin != NULL) {
        flow->twin->twin = NULL;
        flow->twin = NULL;
    }
    if (session != NULL) {
        (void)map_remove(session->flows, id_span(&flow->wire_id));
        list_remove(&flow->session_link);
        session->flows_in_count -= flow->is_opener ? 0 : 1;
        flow->session = NULL;
    }
}

/* Takes it from the living. */
static void retire(struct flow *flow) {
    flow_leave(flow);
    if (list_is_linked(&flow->idle_link)) {
        list_remove(&flow->idle_link);
        flow->streams->flows.live_count--;
    }
}

void flow_free(struct flow *flow) {
    retire(flow);
    list_remove(&flow->event_link);
    ring_fini(&flow->queue);
    (void)map_remove(flow->streams->flows.by_id, id_span(&flow->id.value));
    free(flow);
}

void flow_touch(struct flow *flow, weft_ns now) {
    struct flows *flows = &flow->streams->flows;
    flow->used_at = now;
    list_remove(&flow->idle_link);
    list_push(flow->is_answered ? &flows->answered : &flows->unanswered, &flow->idle_link);
    if (flow->session != NULL && !flow->is_opener) {
        list_remove(&flow->session_link);
        list_push(&flow->session->flows_in, &flow->session_link);
    }
}

/* ---- the end ---- */

void flow_end(struct flow *flow, enum wire_reset_reason reason) {
    retire(flow);
    flow->state = FLOW_ENDED;
    flow->reason = reason;
    list_push(&flow->streams->flows.events, &flow->event_link);
}

static void say_end(struct session *session, uint64_t wire_id, enum wire_reset_reason reason) {
    struct ring *ends = &session->flow_ends;
    const struct flow_farewell *last = ends->count == 0 ? NULL : ring_at(ends, ends->count - 1);
    if (last != NULL && last->flow == wire_id) {
        return; /* one answer to a burst is enough */
    }
    struct flow_farewell end = {.flow = wire_id, .reason = (uint16_t)reason};
    if (ring_push(ends, &end) == WEFT_OK) {
        session_wake(session);
    }
}

void flow_say_end(struct flow *flow, enum wire_reset_reason reason) {
    if (flow->session != NULL) {
        say_end(flow->session, flow->wire_id, reason);
    } else if (flow->twin != NULL) {
        flow_heard_end(flow->twin, reason);
    }
}

void flow_heard_end(struct flow *flow, enum wire_reset_reason reason) {
    if (!flow->is_opener) {
        flow_end(flow, reason);
    } else if (reason == WIRE_RESET_APPLICATION || reason == WIRE_RESET_UNKNOWN_STREAM) {
        flow->is_known = false; /* forgotten there: the next datagram names it again */
    } else {
        flow_leave(flow);
        flow->state = FLOW_REFUSED;
        flow->reason = reason;
        list_push(&flow->streams->flows.events, &flow->event_link);
    }
}

/* ---- sending ---- */

static void drop_oldest(struct flow *flow) {
    struct queued_datagram queued;
    if (ring_pop(&flow->queue, &queued)) {
        flow->queue_bytes -= queued.bytes->len;
        frame_unref(queued.bytes);
        flow->streams->flows.counters.dropped++;
    }
}

void flow_queue(struct flow *flow, struct span bytes, weft_ns now) {
    struct queued_datagram queued = {.bytes = frame_copy(bytes), .since = now};
    while (flow->queue.count > 0 && (flow->queue.count == FLOW_QUEUE_MAX ||
                                     flow->queue_bytes + bytes.len > FLOW_QUEUE_BYTES_MAX)) {
        drop_oldest(flow);
    }
    if (queued.bytes == NULL || ring_push(&flow->queue, &queued) != WEFT_OK) {
        frame_unref(queued.bytes);
        flow->streams->flows.counters.dropped++;
        return;
    }
    flow->queue_bytes += bytes.len;
    list_push(&flow->session->flows_ready, &flow->ready_link);
    session_wake(flow->session);
}

struct flow *flow_next(struct session *session, weft_ns now) {
    struct list *link;
    while ((link = list_first(&session->flows_ready)) != NULL) {
        struct flow *flow = LIST_OWNER(link, struct flow, ready_link);
        const struct queued_datagram *first;
        while ((first = ring_at(&flow->queue, 0)) != NULL &&
               time_since(first->since, now) > FLOW_WAIT_MAX) {
            drop_oldest(flow);
        }
        if (first != NULL) {
            return flow;
        }
        list_remove(link);
    }
    return NULL;
}

/* The name goes with the first datagram of a packet: the others are read behind it. */
static struct wire_part part_of(const struct flow *flow, const struct queued_datagram *queued,
                                bool is_first) {
    struct wire_part part = {.type = WIRE_PART_DATAGRAM};
    part.as.datagram.flow = flow->wire_id;
    part.as.datagram.bytes = frame_view(queued->bytes);
    if (is_first && flow->is_opener && !flow->is_known) {
        part.as.datagram.flags = WIRE_DATAGRAM_NAMED;
        part.as.datagram.name_space = span_of_text(flow->service.name_space);
        part.as.datagram.name = span_of_text(flow->service.name);
    }
    return part;
}

static size_t bytes_of(const struct wire_part *part) {
    const struct wire_part_datagram *datagram = &part->as.datagram;
    bool is_named = (datagram->flags & WIRE_DATAGRAM_NAMED) != 0;
    return WIRE_PART_HEADER_BYTES + WIRE_DATAGRAM_HEADER_BYTES + datagram->bytes.len +
           (is_named ? 2 + datagram->name_space.len + datagram->name.len : 0);
}

size_t flow_packet_bytes(const struct flow *flow) {
    size_t total = 0;
    const struct queued_datagram *queued;
    for (size_t i = 0; (queued = ring_at(&flow->queue, i)) != NULL; i++) {
        const struct wire_part part = part_of(flow, queued, i == 0);
        size_t bytes = bytes_of(&part);
        if (i > 0 && total + bytes > PACKET_BYTES_MAX) {
            break;
        }
        total += bytes;
    }
    return total;
}

void flow_write(struct flow *flow, struct wire_writer *writer) {
    const struct queued_datagram *queued;
    bool is_first = true;
    while ((queued = ring_at(&flow->queue, 0)) != NULL) {
        const struct wire_part part = part_of(flow, queued, is_first);
        if (writer->len + bytes_of(&part) > writer->size) {
            break;
        }
        wire_part_encode(writer, &part);
        is_first = false;
        struct queued_datagram sent;
        (void)ring_pop(&flow->queue, &sent);
        flow->queue_bytes -= sent.bytes->len;
        frame_unref(sent.bytes);
        flow->streams->flows.counters.sent++;
    }
    list_remove(&flow->ready_link);
    if (flow->queue.count > 0) {
        list_push(&flow->session->flows_ready, &flow->ready_link); /* flows take turns */
    }
}

uint32_t flow_label(const struct flow *flow) {
    return session_label(flow->session, ~flow->wire_id);
}

/* ---- what arrives ---- */

/* Of the room for what arrived a peer gets no more than it leaves to others, until all was taken: a
 * packet holds 4,200 datagrams. */
static bool has_share(struct streams *streams, struct session *session, size_t len) {
    struct flows *flows = &streams->flows;
    size_t bytes_max = untaken_bytes_max(streams);
    if (flows->arrived_bytes + len > bytes_max) {
        return false;
    }
    if (session == NULL) {
        return true; /* of our own node */
    }
    if (session->arrived_turn != flows->turn) {
        session->arrived_turn = flows->turn;
        session->arrived_count = 0;
        session->arrived_bytes = 0;
    }
    session->arrived_count++;
    session->arrived_bytes += len;
    return session->arrived_count <= ARRIVED_MAX - flows->arrived.count &&
           session->arrived_bytes <= bytes_max - flows->arrived_bytes;
}

void flow_deliver(struct flow *flow, struct span bytes) {
    struct flows *flows = &flow->streams->flows;
    struct arrived_datagram arrived = {.flow = flow->id};
    if (has_share(flow->streams, flow->session, bytes.len)) {
        arrived.bytes = frame_copy(bytes);
    }
    if (arrived.bytes == NULL || ring_push(&flows->arrived, &arrived) != WEFT_OK) {
        frame_unref(arrived.bytes);
        flows->counters.dropped++;
        return;
    }
    flows->arrived_bytes += bytes.len;
    flows->counters.received++;
}

/* The peer's own flow of longest idleness makes room for its next one. */
static void bound_peer(struct session *session) {
    if (session->flows_in_count >= session->streams->config.flows_max_per_peer) {
        expire(LIST_OWNER(list_first(&session->flows_in), struct flow, session_link));
    }
}

static struct flow *take_in(struct session *session, const struct wire_part_datagram *datagram,
                            weft_ns now) {
    struct streams *streams = session->streams;
    struct flow *flow = NULL;
    bool is_named = (datagram->flags & WIRE_DATAGRAM_NAMED) != 0;
    if (!is_named || !stream_is_peers_id(session, datagram->flow)) {
        say_end(session, datagram->flow, WIRE_RESET_UNKNOWN_STREAM);
        return NULL;
    }
    if (!bucket_take(&session->flow_budget, 1, FLOWS_PER_S, FLOWS_BURST, now)) {
        streams->flows.counters.dropped++;
        session_exceeded(streams, &session->id, "opened flows faster than it may");
        return NULL;
    }
    bound_peer(session);
    enum weft_err err = flow_new(streams, now, &flow);
    if (err == WEFT_OK) {
        err = flow_join(flow, session, datagram->flow);
    }
    if (err != WEFT_OK) {
        if (flow != NULL) {
            flow_free(flow);
        }
        streams->flows.counters.dropped++;
        return NULL;
    }
    flow->is_untold = true;
    bool is_text = span_to_text(datagram->name_space, flow->service.name_space,
                                sizeof flow->service.name_space) &&
                   span_to_text(datagram->name, flow->service.name, sizeof flow->service.name);
    ASSERT(is_text); /* names were checked when the part was decoded */
    return flow;
}

bool flow_heard(struct session *session, const struct wire_part_datagram *datagram, weft_ns now) {
    struct flow *flow = flow_on_wire(session, datagram->flow);
    if (flow == NULL) {
        flow = take_in(session, datagram, now);
    }
    if (flow == NULL) {
        return false;
    }
    if (flow->is_opener) {
        flow->is_known = true;
        flow->is_answered = true;
    }
    flow_touch(flow, now);
    flow_deliver(flow, datagram->bytes);
    return datagram->bytes.len > 0;
}

/* ---- sessions and time ---- */

/* Those that the peer opened. */
static void end_incoming(struct session *session, enum wire_reset_reason reason) {
    struct list *link = session->flows_in.next;
    while (link != &session->flows_in) {
        struct flow *flow = LIST_OWNER(link, struct flow, session_link);
        link = link->next;
        flow_end(flow, reason);
    }
}

void flow_session_gone(struct session *session) {
    struct list *link;
    end_incoming(session, WIRE_RESET_APPLICATION);
    while ((link = list_first(&session->flows_out)) != NULL) {
        flow_leave(LIST_OWNER(link, struct flow, session_link));
    }
}

void flow_peer_restarted(struct session *session) {
    end_incoming(session, WIRE_RESET_RESTARTED);
    for (struct list *link = session->flows_out.next; link != &session->flows_out;
         link = link->next) {
        LIST_OWNER(link, struct flow, session_link)->is_known = false;
    }
}

static weft_ns deadline_of(const struct list *flows, weft_ns after) {
    struct list *link = list_first(flows);
    return link == NULL ? WEFT_NEVER
                        : time_after(LIST_OWNER(link, struct flow, idle_link)->used_at, after);
}

weft_ns flow_table_deadline(const struct streams *streams) {
    const struct flows *flows = &streams->flows;
    return time_min(deadline_of(&flows->unanswered, streams->config.flow_unanswered),
                    deadline_of(&flows->answered, streams->config.flow_idle));
}

static void tick_list(struct list *flows, weft_ns after, weft_ns now) {
    while (deadline_of(flows, after) <= now) {
        expire(LIST_OWNER(list_first(flows), struct flow, idle_link));
    }
}

void flow_table_tick(struct streams *streams, weft_ns now) {
    tick_list(&streams->flows.unanswered, streams->config.flow_unanswered, now);
    tick_list(&streams->flows.answered, streams->config.flow_idle, now);
}
