/* SPDX-License-Identifier: Apache-2.0
 *
 * The network's life cycle, its nodes, and what befalls them.
 */
#include "sim/net.h"

#include <string.h>

#include "sim/net_internal.h"

#define EVENTS_MAX ((size_t)1 << 24) /* drained after each timer: far beyond any batch */

struct net *net_new(const struct scenario *scenario, const struct plan *plan, uint64_t seed,
                    struct timers *timers, int timer_kind) {
    struct net *net = must(calloc(1, sizeof(*net)));
    uint8_t bytes[32] = {'n', 'e', 't'};
    memcpy(bytes + 8, &seed, sizeof(seed));
    net->scenario = scenario;
    net->rto_min = scenario->heartbeat_ns < NS_PER_S ? PIPE_RTO_MIN_FAST : PIPE_RTO_MIN;
    net->plan = plan;
    net->timers = timers;
    net->timer_kind = timer_kind;
    rng_init(&net->rng, bytes);
    memcpy(net->delays.bytes, bytes, sizeof(net->delays.bytes));
    net->weather = weather_new(plan->node_count);
    net->nodes = must(calloc(plan->node_count, sizeof(*net->nodes)));
    for (uint32_t i = 0; i < plan->node_count; i++) {
        net->nodes[i].presence = NET_REFUSES;
    }
    ring_init(&net->events, sizeof(struct net_event), EVENTS_MAX);
    return net;
}

void net_free(struct net *net) {
    struct net_event event;
    if (net == NULL) {
        return;
    }
    while (net_next_event(net, &event)) {
        frame_unref(event.frame);
        frame_unref(event.payload);
    }
    ring_fini(&net->events);
    for (uint32_t i = 0; i < net->conn_count; i++) {
        pipe_clear(&net->conns[i]->ends[0].out);
        pipe_clear(&net->conns[i]->ends[1].out);
        free(net->conns[i]);
    }
    for (uint32_t i = 0; i < net->plan->node_count; i++) {
        free(net->nodes[i].waiting);
    }
    free(net->conns);
    free(net->nodes);
    weather_free(net->weather);
    free(net);
}

void net_emit(struct net *net, const struct net_event *event) {
    if (ring_push(&net->events, event) != WEFT_OK) {
        must(NULL);
    }
}

bool net_next_event(struct net *net, struct net_event *out) {
    return ring_pop(&net->events, out);
}

void net_arm(struct net *net, struct timer *timer, weft_ns at) {
    if (timers_reserve(net->timers, net->timers->count + 1) != WEFT_OK) {
        must(NULL);
    }
    timers_arm(net->timers, timer, at);
}

void net_fire(struct net *net, struct timer *timer, weft_ns now) {
    conn_fire(net, timer->owner, timer, now);
}

/* Holding. */

bool net_set_aside(struct net *net, uint32_t index, struct timer *timer) {
    struct net_node *node = &net->nodes[index];
    if (!node->is_held) {
        return false;
    }
    if (node->waiting_count == node->waiting_size) {
        node->waiting_size = node->waiting_size > 0 ? 2 * node->waiting_size : 16;
        node->waiting = must(realloc(node->waiting, node->waiting_size * sizeof(struct timer *)));
    }
    node->waiting[node->waiting_count++] = timer;
    return true;
}

void net_timer_drop(struct net *net, struct timer *timer, uint32_t index) {
    struct net_node *node = &net->nodes[index];
    timers_disarm(net->timers, timer);
    for (size_t i = 0; i < node->waiting_count; i++) {
        if (node->waiting[i] == timer) {
            memmove(&node->waiting[i], &node->waiting[i + 1],
                    (node->waiting_count - i - 1) * sizeof(struct timer *));
            node->waiting_count--;
            return;
        }
    }
}

void net_hold(struct net *net, uint32_t index, bool is_held, weft_ns now) {
    struct net_node *node = &net->nodes[index];
    node->is_held = is_held;
    for (size_t i = 0; !is_held && i < node->waiting_count; i++) {
        net_arm(net, node->waiting[i], now);
    }
    node->waiting_count = is_held ? node->waiting_count : 0;
}

/* Walking connections. They are few thousand at most and faults are rare. */

static bool is_side_at(const struct conn *conn, unsigned side, uint32_t node) {
    return conn->state != CONN_FREE && conn->ends[side].node == node;
}

void net_reset_all_of(struct net *net, uint32_t node, weft_ns now) {
    for (uint32_t i = 0; i < net->conn_count; i++) {
        if (is_side_at(net->conns[i], 0, node) || is_side_at(net->conns[i], 1, node)) {
            conn_reset(net, net->conns[i], now);
        }
    }
}

void net_reset_between(struct net *net, uint32_t a, uint32_t b, weft_ns now) {
    for (uint32_t i = 0; i < net->conn_count; i++) {
        struct conn *conn = net->conns[i];
        bool is_ab = is_side_at(conn, 0, a) && is_side_at(conn, 1, b);
        bool is_ba = is_side_at(conn, 0, b) && is_side_at(conn, 1, a);
        if (is_ab || is_ba) {
            conn_reset(net, conn, now);
        }
    }
}

static void reset_what_is_cut(struct net *net, weft_ns now) {
    for (uint32_t i = 0; i < net->conn_count; i++) {
        struct conn *conn = net->conns[i];
        if (conn->state != CONN_FREE &&
            weather_is_cut(net->weather, conn->ends[0].node, conn->ends[1].node)) {
            conn_reset(net, conn, now);
        }
    }
}

static void end_at(struct net *net, struct conn *conn, unsigned side, bool is_told, weft_ns now) {
    if (is_told) {
        conn_end_close(net, conn, side, PARCEL_RESET, now);
    } else {
        conn_end_vanish(net, conn, side);
    }
}

static void end_sides_at(struct net *net, struct conn *conn, uint32_t node, bool is_told,
                         weft_ns now) {
    for (unsigned side = 0; side < 2; side++) {
        if (is_side_at(conn, side, node)) {
            end_at(net, conn, side, is_told, now);
        }
    }
}

void net_set_presence(struct net *net, uint32_t node, enum net_presence presence, weft_ns now) {
    net->nodes[node].presence = presence;
    for (uint32_t i = 0; presence != NET_LISTENS && i < net->conn_count; i++) {
        end_sides_at(net, net->conns[i], node, presence == NET_REFUSES, now);
    }
}

/* Faults. */

uint64_t net_begin_between(struct net *net, enum net_fault_kind kind, uint32_t a, uint32_t b,
                           weft_ns now) {
    uint64_t fault = weather_begin_between(net->weather, kind, a, b);
    if (kind == NET_CUT) {
        net_reset_between(net, a, b, now);
    }
    return fault;
}

uint64_t net_begin_around(struct net *net, enum net_fault_kind kind, const bool *is_in_side,
                          bool is_both, weft_ns now) {
    uint64_t fault = weather_begin_around(net->weather, kind, is_in_side, is_both);
    if (kind == NET_CUT) {
        reset_what_is_cut(net, now);
    }
    return fault;
}

uint64_t net_begin_loss(struct net *net, uint32_t node, uint32_t ppm, bool is_both) {
    return weather_begin_loss(net->weather, node, ppm, is_both);
}

uint64_t net_begin_delay(struct net *net, uint32_t node, weft_ns delay) {
    return weather_begin_delay(net->weather, node, delay);
}

void net_end(struct net *net, uint64_t fault, weft_ns now) {
    (void)now;
    weather_end(net->weather, fault);
}

void net_end_all(struct net *net, weft_ns now) {
    (void)now;
    weather_end_all(net->weather);
}

bool net_is_passable(const struct net *net, uint32_t a, uint32_t b) {
    return !weather_is_silent(net->weather, a, b) && !weather_is_cut(net->weather, a, b);
}

const struct scenario_quality *net_quality(const struct net *net, uint32_t a, uint32_t b) {
    uint32_t hubs = net->plan->hub_count;
    bool is_uplink = (a < hubs) != (b < hubs);
    return is_uplink ? &net->scenario->uplink : &net->scenario->link;
}

weft_ns net_delay(const struct net *net, uint32_t a, uint32_t b) {
    const struct range *range = &net_quality(net, a, b)->delay_ns;
    const uint32_t pair[2] = {a < b ? a : b, a < b ? b : a};
    uint64_t width = range->high - range->low + 1;
    return range->low + hash_keyed(&net->delays, span_of(pair, sizeof(pair))) % width;
}

struct net_counters net_count(const struct net *net) {
    return net->counters;
}
