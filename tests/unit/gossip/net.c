/* SPDX-License-Identifier: Apache-2.0
 *
 * The small mesh: see net.h. A node takes an owner for live when it knows its peer record and the
 * real graph connects the two.
 */
#include "net.h"

#include <stdlib.h>

#include <criterion/criterion.h>

struct in_flight {
    weft_ns at;
    size_t from, to;
    uint64_t link;
    struct frame *frame;
};

static size_t index_of(const struct net *net, const struct weft_peer_id *id) {
    for (size_t i = 0; i < net->count; i++) {
        if (weft_peer_id_equal(&net->nodes[i].identity.id, id)) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* Breadth first from `root`; parents, SIZE_MAX where not reached. */
static void tree_of(const struct net *net, size_t root, size_t parent[NET_NODES_MAX]) {
    size_t queue[NET_NODES_MAX];
    size_t head = 0;
    size_t tail = 0;
    for (size_t i = 0; i < NET_NODES_MAX; i++) {
        parent[i] = SIZE_MAX;
    }
    parent[root] = root;
    queue[tail++] = root;
    while (head < tail) {
        size_t at = queue[head++];
        for (size_t i = 0; i < net->count; i++) {
            if (net->links[at][i] != 0 && parent[i] == SIZE_MAX) {
                parent[i] = at;
                queue[tail++] = i;
            }
        }
    }
}

static size_t net_children(void *ctx, const struct weft_peer_id *source, struct weft_peer_id *out,
                           size_t max) {
    struct net_node *node = ctx;
    size_t parent[NET_NODES_MAX];
    size_t root = index_of(node->net, source);
    size_t count = 0;
    if (root == SIZE_MAX) {
        return 0;
    }
    tree_of(node->net, root, parent);
    for (size_t i = 0; i < node->net->count; i++) {
        if (i != root && parent[i] == node->index && count < max) {
            out[count++] = node->net->nodes[i].identity.id;
        }
    }
    return count;
}

static uint64_t net_digest(void *ctx) {
    const struct net_node *node = ctx;
    return 1000 + node->view;
}

static size_t net_behind(void *ctx, const struct weft_peer_id *neighbour) {
    (void)ctx;
    (void)neighbour;
    return 1;
}

static bool log_broadcast(void *ctx, const struct weft_peer_id *source, struct span payload) {
    struct net_node *node = ctx;
    (void)source;
    node->heard[payload.data[0]]++;
    return true;
}

static struct frame *sum_complete(void *ctx) {
    struct net_node *node = ctx;
    return node->sum > 0 ? frame_copy(span_of(&node->sum, 1)) : NULL;
}

static struct frame *sum_gossip(void *ctx, struct span payload) {
    struct net_node *node = ctx;
    node->sum_calls++;
    if (payload.len < 1 || payload.data[0] <= node->sum) {
        return NULL;
    }
    node->sum = payload.data[0];
    return frame_copy(payload);
}

static struct frame *sum_merge(void *ctx, struct span older, struct span newer) {
    struct net_node *node = ctx;
    node->merges++;
    return frame_copy(older.data[0] > newer.data[0] ? older : newer);
}

static void open_channels(struct net_node *node, weft_ns now) {
    struct gossiper log = {.ctx = node, .broadcast = log_broadcast};
    struct gossiper sum = {
        .ctx = node, .complete = sum_complete, .gossip = sum_gossip, .merge = sum_merge};
    cr_assert_eq(gossip_channel_open(node->gossip, "log", &log, now), WEFT_OK);
    cr_assert_eq(gossip_channel_open(node->gossip, "sum", &sum, now), WEFT_OK);
}

struct net *net_new(uint64_t seed, size_t count) {
    struct net *net = calloc(1, sizeof *net);
    cr_assert(net != NULL && count <= NET_NODES_MAX);
    net->count = count;
    net->now = NS_PER_S;
    net->delay = 5 * NS_PER_MS;
    net->heartbeat_at = 2 * NS_PER_S;
    ring_init(&net->flight, sizeof(struct in_flight), 1 << 20);
    for (size_t i = 0; i < count; i++) {
        struct net_node *node = &net->nodes[i];
        node->net = net;
        node->index = i;
        node->rng = kit_rng(seed * 1000 + i);
        node->host = kit_host(&node->rng);
        node->has_channels = true;
        kit_identity((uint32_t)i, &node->identity);
    }
    return net;
}

void net_free(struct net *net) {
    struct in_flight flight;
    while (ring_pop(&net->flight, &flight)) {
        frame_unref(flight.frame);
    }
    ring_fini(&net->flight);
    for (size_t i = 0; i < net->count; i++) {
        gossip_free(net->nodes[i].gossip);
        identity_fini(&net->nodes[i].identity);
    }
    record_pool_free(net->pool);
    free(net);
}

/* Who reaches whom has changed: every node hears it of those it knows. */
static void refresh_live(struct net *net, size_t at) {
    struct net_node *node = &net->nodes[at];
    size_t parent[NET_NODES_MAX];
    tree_of(net, at, parent);
    for (size_t i = 0; i < net->count && node->is_up; i++) {
        const struct weft_peer_id *id = &net->nodes[i].identity.id;
        bool is_known = recordset_incarnation(gossip_records(node->gossip), id) != 0;
        if (i != at) {
            gossip_set_live(node->gossip, id, is_known && parent[i] != SIZE_MAX, net->now);
        }
    }
}

static void take_events(struct net_node *node) {
    struct gossip_event event;
    while (gossip_next_event(node->gossip, &event)) {
        node->faded += event.kind == GOSSIP_FADED ? 1 : 0;
        node->clones += event.kind == GOSSIP_CLONE ? 1 : 0;
        if (event.kind == GOSSIP_RECORD && event.record->kind == WIRE_RECORD_PEER) {
            refresh_live(node->net, node->index);
        }
        record_unref(event.record);
    }
}

static size_t link_end(const struct net *net, size_t from, uint64_t link) {
    for (size_t i = 0; i < net->count; i++) {
        if (net->links[from][i] == link) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* Hashes a frame into the trace. */
static void note_frame(struct net *net, size_t from, const struct frame *frame) {
    const struct hash_key key = {{3}};
    uint64_t parts[4] = {net->trace, net->now, from, hash_keyed(&key, frame_view(frame))};
    net->trace = hash_keyed(&key, span_of(parts, sizeof parts));
}

static void take_outputs(struct net_node *node) {
    struct net *net = node->net;
    struct gossip_output output;
    while (gossip_next_output(node->gossip, net->now, &output)) {
        size_t to = link_end(net, node->index, output.link.value);
        uint8_t kind = output.frame->data[0];
        net->frames[kind]++;
        note_frame(net, node->index, output.frame);
        net->bytes += output.frame->len;
        bool is_lost =
            kind == net->lose_kind && net->lose_from == node->index && net->lose_to == to;
        struct in_flight flight = {.at = net->now + net->delay,
                                   .from = node->index,
                                   .to = to,
                                   .link = output.link.value,
                                   .frame = output.frame};
        if (to == SIZE_MAX || is_lost || ring_push(&net->flight, &flight) != WEFT_OK) {
            frame_unref(output.frame);
        }
        if (net->room == 0) {
            gossip_link_room(node->gossip, output.link, 1 << 20);
        }
    }
}

static void pump(struct net_node *node) {
    if (node->is_up) {
        take_events(node);
        take_outputs(node);
    }
}

static void pump_all(struct net *net) {
    for (size_t i = 0; i < net->count; i++) {
        pump(&net->nodes[i]);
    }
}

void net_start(struct net *net, size_t at, uint64_t incarnation) {
    struct net_node *node = &net->nodes[at];
    node->instance = rng_next(&node->rng) >> 1;
    struct gossip_config config = {.identity = &node->identity,
                                   .host = &node->host,
                                   .pool = net->pool,
                                   .routes = {.ctx = node,
                                              .children = net_children,
                                              .digest = net_digest,
                                              .peers_behind = net_behind},
                                   .hash_key = {{(uint8_t)at}},
                                   .incarnation = incarnation,
                                   .instance = node->instance,
                                   .records = kit_bounds(),
                                   .fade_after = 600 * NS_PER_S,
                                   .pending_bytes_max = 1 << 20};
    cr_assert_eq(gossip_new(&config, &node->gossip), WEFT_OK);
    node->is_up = true;
    if (node->has_channels) {
        open_channels(node, net->now);
    }
    uint8_t body[512];
    size_t len = kit_peer_body(body, sizeof body, node->instance, "node");
    cr_assert_eq(gossip_publish(node->gossip, WIRE_RECORD_PEER, span_of(NULL, 0),
                                span_of(body, len), net->now),
                 WEFT_OK);
    pump(node);
}

void net_stop(struct net *net, size_t at) {
    for (size_t i = 0; i < net->count; i++) {
        net_cut(net, at, i);
    }
    gossip_free(net->nodes[at].gossip);
    net->nodes[at].gossip = NULL;
    net->nodes[at].is_up = false;
    memset(net->nodes[at].heard, 0, sizeof net->nodes[at].heard);
}

static void refresh_all(struct net *net) {
    for (size_t i = 0; i < net->count; i++) {
        refresh_live(net, i);
    }
}

void net_join(struct net *net, size_t a, size_t b) {
    if (a == b || net->links[a][b] != 0) {
        return;
    }
    net->link_next++;
    net->links[a][b] = net->link_next;
    net->links[b][a] = net->link_next;
    refresh_all(net);
    struct link_id link = {net->link_next};
    const struct weft_peer_id *id_a = &net->nodes[a].identity.id;
    const struct weft_peer_id *id_b = &net->nodes[b].identity.id;
    cr_assert_eq(gossip_link_up(net->nodes[a].gossip, link, id_b, net->now), WEFT_OK);
    cr_assert_eq(gossip_link_up(net->nodes[b].gossip, link, id_a, net->now), WEFT_OK);
    pump_all(net);
}

void net_cut(struct net *net, size_t a, size_t b) {
    struct link_id link = {net->links[a][b]};
    if (link.value == 0) {
        return;
    }
    net->links[a][b] = 0;
    net->links[b][a] = 0;
    refresh_all(net);
    gossip_link_down(net->nodes[a].gossip, link, net->now);
    gossip_link_down(net->nodes[b].gossip, link, net->now);
    pump_all(net);
}

void net_wire(struct net *net, size_t chords) {
    for (size_t i = 0; i < net->count; i++) {
        net_start(net, i, 1);
    }
    for (size_t i = 0; i + 1 < net->count; i++) {
        net_join(net, i, i + 1);
    }
    net_join(net, net->count - 1, 0);
    for (size_t i = 0; i < chords; i++) {
        struct rng *rng = &net->nodes[0].rng;
        net_join(net, (size_t)rng_below(rng, net->count), (size_t)rng_below(rng, net->count));
    }
}

static void arrive(struct net *net, const struct in_flight *flight) {
    struct net_node *node = &net->nodes[flight->to];
    struct wire_reader reader = wire_reader_of(frame_view(flight->frame));
    struct wire_frame frame;
    if (!node->is_up || net->links[flight->from][flight->to] != flight->link) {
        return; /* the link went down under it */
    }
    cr_assert_eq(wire_frame_next(&reader, &frame), WEFT_OK);
    node->last_err = gossip_frame(node->gossip, (struct link_id){flight->link}, &frame, net->now);
    cr_assert_eq(node->last_err, WEFT_OK, "kind %d", frame.kind);
    pump(node);
}

static void heartbeats(struct net *net) {
    for (size_t a = 0; a < net->count; a++) {
        for (size_t b = 0; b < net->count; b++) {
            if (net->links[a][b] != 0) {
                uint64_t digest = recordset_digest(gossip_records(net->nodes[b].gossip));
                gossip_digest_heard(net->nodes[a].gossip, (struct link_id){net->links[a][b]},
                                    digest, net->now);
            }
        }
    }
    net->heartbeat_at += NS_PER_S;
}

static weft_ns next_time(const struct net *net) {
    const struct in_flight *flight = ring_at(&net->flight, 0);
    weft_ns next = net->heartbeat_at;
    next = flight != NULL ? time_min(next, flight->at) : next;
    for (size_t i = 0; i < net->count; i++) {
        if (net->nodes[i].is_up) {
            next = time_min(next, gossip_deadline(net->nodes[i].gossip));
        }
    }
    return next;
}

void net_run(struct net *net, weft_ns span) {
    weft_ns end = net->now + span;
    pump_all(net);
    for (weft_ns next = next_time(net); next <= end; next = next_time(net)) {
        net->now = next > net->now ? next : net->now;
        const struct in_flight *first = ring_at(&net->flight, 0);
        struct in_flight flight;
        if (first != NULL && first->at <= net->now && ring_pop(&net->flight, &flight)) {
            arrive(net, &flight);
            frame_unref(flight.frame);
            continue;
        }
        if (net->heartbeat_at <= net->now) {
            heartbeats(net);
        }
        for (size_t i = 0; i < net->count; i++) {
            if (net->nodes[i].is_up) {
                gossip_tick(net->nodes[i].gossip, net->now);
                cr_assert_gt(gossip_deadline(net->nodes[i].gossip), net->now, "spins");
                pump(&net->nodes[i]);
            }
        }
    }
    net->now = end;
}

bool net_is_equal(const struct net *net) {
    uint64_t digest = 0;
    for (size_t i = 0; i < net->count; i++) {
        if (net->nodes[i].is_up) {
            uint64_t own = recordset_digest(gossip_records(net->nodes[i].gossip));
            if (digest != 0 && own != digest) {
                return false;
            }
            digest = own;
        }
    }
    return true;
}

void net_broadcast(struct net *net, size_t at, uint8_t byte) {
    cr_assert_eq(
        gossip_channel_broadcast(net->nodes[at].gossip, "log", span_of(&byte, 1), net->now),
        WEFT_OK);
    pump(&net->nodes[at]);
}

size_t net_heard(const struct net *net, size_t source, uint8_t byte, size_t times) {
    size_t count = 0;
    for (size_t i = 0; i < net->count; i++) {
        count += i != source && net->nodes[i].heard[byte] == times ? 1 : 0;
    }
    return count;
}

void net_publish(struct net *net, size_t at, const char *key, const char *body) {
    cr_assert_eq(gossip_publish(net->nodes[at].gossip, WIRE_RECORD_SERVICE, span_of_text(key),
                                span_of_text(body), net->now),
                 WEFT_OK);
    pump(&net->nodes[at]);
}
