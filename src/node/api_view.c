/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables: links, peers, routes, topology.
 */
#include <stdlib.h>

#include "node/api.h"

#define TARGETS_SHOWN 1024

struct table {
    struct node *node;
    json_t *rows;
    json_t *more; /* the second list of an answer that has two */
    weft_ns now;
};

static struct table table_of(const struct api_request *request) {
    return (struct table){.node = request->node, .rows = json_array(), .now = node_clock()};
}

static void link_row(void *ctx, const struct core_link_view *view) {
    struct table *table = ctx;
    const struct tcp *tcp = tcp_find(table->node, view->link);
    struct link_counters count = {0};
    if (tcp != NULL) {
        count = link_count(tcp->link);
    }
    json_t *row = json_pack("{s:o,s:s,s:s,s:s,s:s,s:o}", "peer", api_id(&view->peer), "name",
                            view->name, "address", view->remote, "direction",
                            view->role == LINK_DIALLED ? "out" : "in", "state", "established",
                            "since_s", api_seconds(time_since(view->up_since, table->now)));
    json_t *trial_s = view->trial_until > table->now
                          ? api_seconds(time_since(table->now, view->trial_until))
                          : json_null();
    json_t *rest = json_pack(
        "{s:o,s:I,s:I,s:I,s:s,s:n,s:o}", "rtt_ms",
        view->has_rtt ? api_ms(view->rtt_us * NS_PER_US) : json_null(), "tx_bytes",
        (json_int_t)count.bytes_out, "rx_bytes", (json_int_t)count.bytes_in, "queue_bytes",
        (json_int_t)count.queued_bytes, "error", "", "retry_s", "trial_s", trial_s);
    (void)json_object_update(row, rest);
    json_decref(rest);
    (void)json_array_append_new(table->rows, row);
}

static json_t *target_row(const struct table *table, const struct dialer_target *target) {
    bool is_waiting = !target->is_dialling && target->retry_at != WEFT_NEVER;
    json_t *retry_s =
        is_waiting ? api_seconds(time_since(table->now, target->retry_at)) : json_null();
    json_t *row = json_pack("{s:o,s:o,s:s,s:s,s:s,s:n}", "peer",
                            target->is_peer_known ? api_id(&target->peer) : json_string(""), "name",
                            target->is_peer_known ? api_peer_name(table->node, &target->peer)
                                                  : json_string(""),
                            "address", target->endpoint, "direction", "out", "state",
                            target->is_dialling ? "connecting" : "waiting", "since_s");
    json_t *rest =
        json_pack("{s:n,s:i,s:i,s:i,s:s,s:o,s:n,s:b,s:I}", "rtt_ms", "tx_bytes", 0, "rx_bytes", 0,
                  "queue_bytes", 0, "error", target->error, "retry_s", retry_s, "trial_s", "seed",
                  target->is_seed ? 1 : 0, "tries", (json_int_t)target->failure_count);
    (void)json_object_update(row, rest);
    json_decref(rest);
    return row;
}

void api_get_links(const struct api_request *request) {
    struct table table = table_of(request);
    struct dialer_target target;
    core_each_link(request->node->core, link_row, &table);
    for (size_t i = 0; i < TARGETS_SHOWN && core_target_at(request->node->core, i, &target); i++) {
        (void)json_array_append_new(table.rows, target_row(&table, &target));
    }
    api_reply(request, HTTP_OK, table.rows);
}

static json_t *addresses_of(const struct wire_peer_body *body) {
    struct wire_list list = body->addresses;
    struct span text;
    json_t *array = json_array();
    while (wire_list_next_text(&list, &text)) {
        (void)json_array_append_new(array, api_span(text));
    }
    return array;
}

static json_t *labels_of(const struct wire_peer_body *body) {
    struct wire_list list = body->labels;
    struct span key;
    struct span value;
    json_t *object = json_object();
    while (wire_list_next_label(&list, &key, &value)) {
        char name[WEFT_NAME_MAX + 1];
        if (span_to_text(key, name, sizeof(name))) {
            (void)json_object_set_new(object, name, api_span(value));
        }
    }
    return object;
}

static json_t *next_hop_of(const struct core_peer_view *view) {
    return view->path.is_reachable && !view->is_self ? api_id(&view->path.next_hop)
                                                     : json_string("");
}

static json_t *next_hop_name_of(const struct node *node, const struct core_peer_view *view) {
    return view->path.is_reachable && !view->is_self ? api_peer_name(node, &view->path.next_hop)
                                                     : json_string("");
}

static void peer_row(void *ctx, const struct core_peer_view *view) {
    struct table *table = ctx;
    bool is_near = view->path.is_reachable || view->is_self;
    json_t *row =
        json_pack("{s:o,s:o,s:b,s:o,s:o,s:o,s:I,s:o,s:I}", "id", api_id(&view->id), "name",
                  api_span(view->body.name), "reachable", is_near ? 1 : 0, "hops",
                  is_near ? json_integer(view->path.hops) : json_null(), "cost_ms",
                  is_near ? api_ms(view->path.cost_us * NS_PER_US) : json_null(), "next_hop",
                  next_hop_of(view), "links", (json_int_t)view->body.links.count, "version",
                  api_span(view->body.software), "incarnation", (json_int_t)view->incarnation);
    json_t *rest =
        json_pack("{s:o,s:o,s:o,s:b,s:b,s:b}", "next_hop_name", next_hop_name_of(table->node, view),
                  "addresses", addresses_of(&view->body), "labels", labels_of(&view->body),
                  "name_clash", view->is_name_clash ? 1 : 0, "self", view->is_self ? 1 : 0,
                  "leaving", (view->body.flags & WIRE_PEER_LEAVING) != 0 ? 1 : 0);
    (void)json_object_update(row, rest);
    json_decref(rest);
    (void)json_array_append_new(table->rows, row);
}

void api_get_peers(const struct api_request *request) {
    struct table table = table_of(request);
    core_each_peer(request->node->core, peer_row, &table);
    api_reply(request, HTTP_OK, table.rows);
}

static void route_row(void *ctx, const struct core_peer_view *view) {
    struct table *table = ctx;
    if (view->is_self || !view->path.is_reachable) {
        return;
    }
    (void)json_array_append_new(
        table->rows,
        json_pack("{s:o,s:o,s:o,s:o,s:I,s:o}", "peer", api_id(&view->id), "name",
                  api_span(view->body.name), "next_hop", api_id(&view->path.next_hop),
                  "next_hop_name", api_peer_name(table->node, &view->path.next_hop), "hops",
                  (json_int_t)view->path.hops, "cost_ms", api_ms(view->path.cost_us * NS_PER_US)));
}

void api_get_routes(const struct api_request *request) {
    struct table table = table_of(request);
    core_each_peer(request->node->core, route_row, &table);
    api_reply(request, HTTP_OK, table.rows);
}

/* What the peer at `id` says a link to `to` costs; false if it lists none. */
static bool cost_back(const struct node *node, const struct weft_peer_id *id,
                      const struct weft_peer_id *to, uint32_t *cost_us) {
    struct core_peer_view view;
    struct wire_peer_link link;
    if (!core_find_peer(node->core, id, &view)) {
        return false;
    }
    struct wire_list list = view.body.links;
    while (wire_list_next_link(&list, &link)) {
        if (weft_peer_id_equal(&link.peer, to)) {
            *cost_us = link.cost_us;
            return true;
        }
    }
    return false;
}

/* Each two-way link once, from the end with the smaller id. */
static void topology_links(struct table *table, const struct core_peer_view *view) {
    struct wire_list list = view->body.links;
    struct wire_peer_link link;
    while (wire_list_next_link(&list, &link)) {
        uint32_t back_us = 0;
        if (weft_peer_id_compare(&view->id, &link.peer) >= 0 ||
            !cost_back(table->node, &link.peer, &view->id, &back_us)) {
            continue;
        }
        (void)json_array_append_new(table->more,
                                    json_pack("{s:o,s:o,s:o,s:o}", "a", api_id(&view->id), "b",
                                              api_id(&link.peer), "cost_ab_ms",
                                              api_ms(link.cost_us * NS_PER_US), "cost_ba_ms",
                                              api_ms(back_us * NS_PER_US)));
    }
}

static void topology_row(void *ctx, const struct core_peer_view *view) {
    struct table *table = ctx;
    bool is_near = view->path.is_reachable || view->is_self;
    (void)json_array_append_new(table->rows,
                                json_pack("{s:o,s:o,s:b,s:b}", "id", api_id(&view->id), "name",
                                          api_span(view->body.name), "reachable", is_near ? 1 : 0,
                                          "self", view->is_self ? 1 : 0));
    if (is_near) {
        topology_links(table, view);
    }
}

void api_get_topology(const struct api_request *request) {
    struct table table = table_of(request);
    table.more = json_array();
    core_each_peer(request->node->core, topology_row, &table);
    api_reply(request, HTTP_OK, json_pack("{s:o,s:o}", "nodes", table.rows, "links", table.more));
}
