/* SPDX-License-Identifier: Apache-2.0
 *
 * What the core wants done, done.
 */
#include <stdlib.h>

#include "gossip/recordset.h"
#include "node/internal.h"

static void perform_send(struct node *node, struct action *action) {
    struct tcp *tcp = tcp_find(node, action->link);
    if (tcp == NULL || tcp->state != TCP_STATE_OPEN) {
        return;
    }
    enum weft_err err = link_send(tcp->link, action->frame, action->payload, action->class,
                                  action->flow, node_clock());
    if (err == WEFT_ERR_FULL && action->class == WIRE_CLASS_CONTROL) {
        tcp_close(tcp, WIRE_CLOSE_SLOW, "you do not read");
        core_link_broken(node->core, action->link, err, node_clock());
        return;
    }
    /* FULL: the core lost a race for room. Streams always get theirs, by a cut of others. */
    node->frames_refused += link_take_cut(tcp->link) + (err == WEFT_ERR_FULL ? 1 : 0);
    node->datagrams_late += err == WEFT_ERR_TIMEOUT ? 1 : 0;
    tcp_mark_dirty(tcp);
}

static void perform_close(struct node *node, const struct action *action) {
    struct tcp *tcp = tcp_find(node, action->link);
    if (tcp != NULL) {
        tcp_close(tcp, action->reason, action->text);
    }
}

static void perform_save(struct node *node, const struct action *action) {
    const struct record *record = action->record;
    struct store_record stored = {
        .kind = record->kind,
        .owner = record->owner,
        .key = record->key,
        .encoded = record->encoded,
        .last_live_s = node_wall_ms() / 1000,
    };
    memcpy(stored.place, record->place, sizeof(stored.place));
    if (store_save_record(node->store, &stored) != WEFT_OK) {
        return; /* the store counts and reports it; the mesh will tell us again */
    }
}

static void perform_forget(struct node *node, const struct action *action) {
    if (store_forget_record(node->store, action->record->place) != WEFT_OK) {
        return; /* as above: it fades again after the next start */
    }
}

static void perform_incarnation(struct node *node, const struct action *action) {
    node->incarnation = action->token;
    node->keys->shared.hello.incarnation = action->token;
    if (store_save_incarnation(node->store, action->token) != WEFT_OK) {
        trace(&node->host, TRACE_WARN, "incarnation-unsaved", "incarnation=%llu",
              (unsigned long long)action->token);
    }
}

/* Says why, before the proxy forgets for whom the stream was. */
static void stream_refused(struct node *node, const struct stream_event *event) {
    const char *name_space;
    const char *name;
    if (proxy_stream_service(node->proxy, event->stream.value, &name_space, &name)) {
        node_forward_failed(node, name_space, name, WIRE_PROTOCOL_TCP, event->reason);
    }
}

static void perform_stream(struct node *node, const struct action *action) {
    const struct stream_event *event = &action->stream_event;
    switch (event->kind) {
    case STREAM_EVENT_INCOMING:
        proxy_incoming(node->proxy, event->stream.value, event->name_space, event->name);
        break;
    case STREAM_EVENT_ACCEPTED:
        proxy_stream_event(node->proxy, event->stream.value, PROXY_EVENT_ACCEPTED);
        break;
    case STREAM_EVENT_READABLE:
        proxy_stream_event(node->proxy, event->stream.value, PROXY_EVENT_READABLE);
        break;
    case STREAM_EVENT_WRITABLE:
        proxy_stream_event(node->proxy, event->stream.value, PROXY_EVENT_WRITABLE);
        break;
    case STREAM_EVENT_REFUSED:
    case STREAM_EVENT_RESET:
        stream_refused(node, event);
        proxy_stream_event(node->proxy, event->stream.value, PROXY_EVENT_RESET);
        break;
    case STREAM_EVENT_CLOSED:
        proxy_stream_event(node->proxy, event->stream.value, PROXY_EVENT_CLOSED);
        break;
    case STREAM_EVENT_RESUMED:
    case STREAM_EVENT_MESSAGE:
    case STREAM_EVENT_PONG:
        break; /* the core keeps these to itself */
    }
}

/* The names are there unless the flow has ended meanwhile; then nobody need serve it. */
static void datagram_incoming(struct node *node, struct flow_id flow) {
    struct weft_peer_id peer;
    struct datagram_service service;
    char name_space[WEFT_NAME_MAX + 1];
    char name[WEFT_NAME_MAX + 1];
    if (datagrams_look(core_streams(node->core), flow, &peer, &service) &&
        span_to_text(service.name_space, name_space, sizeof(name_space)) &&
        span_to_text(service.name, name, sizeof(name))) {
        proxy_flow_incoming(node->proxy, flow.value, name_space, name);
    }
}

static void datagram_ended(struct node *node, const struct datagram_event *event) {
    const char *name_space;
    const char *name;
    bool is_refused =
        event->reason != WIRE_RESET_APPLICATION && event->reason != WIRE_RESET_RESTARTED;
    if (is_refused && proxy_flow_service(node->proxy, event->flow.value, &name_space, &name)) {
        node_forward_failed(node, name_space, name, WIRE_PROTOCOL_UDP, event->reason);
    }
    proxy_flow_ended(node->proxy, event->flow.value, is_refused);
}

static void perform_datagram(struct node *node, const struct datagram_event *event) {
    switch (event->kind) {
    case DATAGRAM_EVENT_INCOMING:
        datagram_incoming(node, event->flow);
        break;
    case DATAGRAM_EVENT_DATA:
        proxy_flow_data(node->proxy, event->flow.value, frame_view(event->payload));
        break;
    case DATAGRAM_EVENT_REFUSED:
    case DATAGRAM_EVENT_END:
        datagram_ended(node, event);
        break;
    }
}

void node_perform(struct node *node, struct action *action) {
    switch (action->kind) {
    case ACTION_SEND:
        perform_send(node, action);
        break;
    case ACTION_CLOSE:
        perform_close(node, action);
        break;
    case ACTION_DIAL:
        node_dial(node, action);
        break;
    case ACTION_SAVE_RECORD:
        perform_save(node, action);
        break;
    case ACTION_FORGET_RECORD:
        perform_forget(node, action);
        break;
    case ACTION_SAVE_INCARNATION:
        perform_incarnation(node, action);
        break;
    case ACTION_STREAM:
        perform_stream(node, action);
        break;
    case ACTION_DATAGRAM:
        perform_datagram(node, &action->datagram_event);
        break;
    case ACTION_PONG:
        node_control_pong(node, action->token, node_clock());
        break;
    case ACTION_LEFT:
        node->has_left = true;
        node_break(node);
        break;
    }
}
