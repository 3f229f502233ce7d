/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection: opened by three packets, then parcels each way, closed end by end. It is freed
 * when both ends are gone; until then a kernel answers what still arrives for an end that is gone
 * with a reset.
 */
#include <string.h>

#include "sim/net_internal.h"

/* The id of one end: (generation, index + 1, side). */
static struct link_id end_id(const struct conn *conn, unsigned side) {
    uint64_t name = (uint64_t)conn->generation << 32 | ((uint64_t)conn->index + 1);
    return (struct link_id){.value = name << 1 | side};
}

static unsigned side_of(struct link_id end) {
    return (unsigned)(end.value & 1U);
}

/* The connection of an id, if it still is that one. */
static struct conn *conn_of(const struct net *net, struct link_id end) {
    uint64_t name = end.value >> 1;
    uint32_t number = (uint32_t)name;
    if (number == 0 || number > net->conn_count) {
        return NULL;
    }
    struct conn *conn = net->conns[number - 1];
    bool is_it = conn->state != CONN_FREE && conn->generation == (uint32_t)(name >> 32);
    return is_it ? conn : NULL;
}

static struct conn *slot_take(struct net *net) {
    if (net->conn_free != 0) {
        struct conn *conn = net->conns[net->conn_free - 1];
        net->conn_free = conn->free_next;
        return conn;
    }
    if (net->conn_count == net->conn_size) {
        net->conn_size = net->conn_size > 0 ? 2 * net->conn_size : 64;
        net->conns = must(realloc(net->conns, net->conn_size * sizeof(struct conn *)));
    }
    struct conn *conn = must(calloc(1, sizeof(*conn)));
    conn->index = net->conn_count;
    net->conns[net->conn_count++] = conn;
    return conn;
}

static struct conn *conn_new(struct net *net) {
    struct conn *conn = slot_take(net);
    *conn = (struct conn){.index = conn->index, .generation = conn->generation + 1};
    struct timer *timers[] = {&conn->timer, &conn->ends[0].out.timer, &conn->ends[0].out.room,
                              &conn->ends[1].out.timer, &conn->ends[1].out.room};
    for (size_t i = 0; i < sizeof(timers) / sizeof(timers[0]); i++) {
        *timers[i] = (struct timer){.kind = net->timer_kind, .owner = conn};
    }
    net->counters.connections++;
    return conn;
}

static void pipe_drop(struct net *net, struct conn *conn, unsigned side) {
    struct pipe *pipe = &conn->ends[side].out;
    for (struct parcel *parcel = pipe->head; parcel != NULL; parcel = parcel->next) {
        net->counters.parcels--;
    }
    net_timer_drop(net, &pipe->timer, conn->ends[1 - side].node);
    net_timer_drop(net, &pipe->room, conn->ends[side].node);
    pipe_clear(pipe);
}

static void conn_free_if_over(struct net *net, struct conn *conn) {
    if (conn->ends[0].is_open || conn->ends[1].is_open || conn->state == CONN_FREE) {
        return;
    }
    pipe_drop(net, conn, 0);
    pipe_drop(net, conn, 1);
    net_timer_drop(net, &conn->timer, conn->ends[0].node);
    net_timer_drop(net, &conn->timer, conn->ends[1].node);
    conn->state = CONN_FREE;
    conn->free_next = net->conn_free;
    net->conn_free = conn->index + 1;
    net->counters.connections--;
}

static void tell(struct net *net, const struct conn *conn, unsigned side,
                 enum net_event_kind kind) {
    net_emit(net, &(struct net_event){.kind = kind,
                                      .node = conn->ends[side].node,
                                      .other = conn->ends[1 - side].node,
                                      .end = end_id(conn, side),
                                      .token = side == 0 ? conn->token : 0});
}

/* Opening. The acceptor's end exists from SYN_ACK on: it may be gone again before ACK. */

static weft_ns trip(const struct net *net, const struct conn *conn, unsigned from) {
    return conn->delay +
           weather_delay(net->weather, conn->ends[from].node, conn->ends[1 - from].node);
}

void net_dial(struct net *net, uint32_t from, uint32_t to, uint64_t token, weft_ns now) {
    ASSERT(from != to);
    struct conn *conn = conn_new(net);
    conn->state = CONN_SYN;
    conn->ends[0] = (struct conn_end){.node = from, .is_open = true, .out = conn->ends[0].out};
    conn->ends[1].node = to;
    conn->token = token;
    conn->begun_at = now;
    conn->quality = *net_quality(net, from, to);
    conn->delay = net_delay(net, from, to);
    net_arm(net, &conn->timer, now + trip(net, conn, 0));
}

static void dial_fail(struct net *net, struct conn *conn, const char *why) {
    struct net_event event = {.kind = NET_FAILED,
                              .node = conn->ends[0].node,
                              .other = conn->ends[1].node,
                              .end = end_id(conn, 0),
                              .token = conn->token,
                              .text = why};
    conn->ends[0].is_open = false;
    conn->ends[1].is_open = false;
    conn_free_if_over(net, conn);
    net_emit(net, &event);
}

static bool is_lost(struct net *net, const struct conn *conn, unsigned from, size_t len) {
    uint32_t a = conn->ends[from].node;
    uint32_t b = conn->ends[1 - from].node;
    uint32_t extra = weather_loss_ppm(net->weather, a, b);
    uint32_t ppm = extra > conn->quality.loss_ppm ? extra : conn->quality.loss_ppm;
    for (size_t i = 0; ppm > 0 && i <= len / PIPE_SEGMENT_BYTES; i++) {
        if (rng_below(&net->rng, 1000000) < ppm) {
            return true;
        }
    }
    return false;
}

static bool is_silent(const struct net *net, const struct conn *conn, unsigned from) {
    uint32_t a = conn->ends[from].node;
    uint32_t b = conn->ends[1 - from].node;
    return net->nodes[b].presence == NET_GONE || net->nodes[a].presence == NET_GONE ||
           weather_is_silent(net->weather, a, b);
}

/* How long until a lost packet of the handshake is sent again. */
static weft_ns open_wait(uint32_t tries) {
    uint32_t doubled = tries < SYN_LINEAR ? 0 : tries - SYN_LINEAR + 1;
    return SYN_RETRY << (doubled < SYN_DOUBLED_MAX ? doubled : SYN_DOUBLED_MAX);
}

/* One of the three packets is lost: once more, later. */
static void open_again(struct net *net, struct conn *conn, weft_ns now) {
    weft_ns wait = open_wait(conn->tries);
    conn->tries++;
    if (conn->state != CONN_ACK && now + wait > conn->begun_at + CONNECT_TIMEOUT) {
        net_arm(net, &conn->timer, conn->begun_at + CONNECT_TIMEOUT);
    } else {
        net_arm(net, &conn->timer, now + wait);
    }
}

static void open_syn(struct net *net, struct conn *conn, weft_ns now) {
    uint32_t to = conn->ends[1].node;
    if (net->nodes[to].presence == NET_REFUSES ||
        weather_is_cut(net->weather, conn->ends[0].node, to)) {
        dial_fail(net, conn, "refused");
        return;
    }
    conn->state = CONN_SYN_ACK;
    net_arm(net, &conn->timer, now + trip(net, conn, 1));
}

static void open_step(struct net *net, struct conn *conn, weft_ns now) {
    switch (conn->state) {
    case CONN_SYN:
        open_syn(net, conn, now);
        break;
    case CONN_SYN_ACK:
        conn->state = CONN_ACK;
        conn->ends[1].is_open = true;
        tell(net, conn, 0, NET_CONNECTED);
        net_arm(net, &conn->timer, now + trip(net, conn, 0));
        break;
    case CONN_ACK:
        conn->state = CONN_OPEN;
        if (conn->ends[1].is_open) { /* else it went before it heard */
            tell(net, conn, 1, NET_CONNECTED);
        }
        if (conn->ends[0].out.head != NULL) {
            net_arm(net, &conn->ends[0].out.timer, conn->ends[0].out.head->at);
        }
        break;
    case CONN_OPEN:
    case CONN_FREE:
        ASSERT(false);
    }
}

static void open_fire(struct net *net, struct conn *conn, weft_ns now) {
    unsigned from = conn->state == CONN_SYN_ACK ? 1 : 0;
    /* Kernels accept while the program is held; programs learn of it later. */
    bool is_told = conn->state != CONN_SYN;
    if (is_told && net_set_aside(net, conn->ends[1 - from].node, &conn->timer)) {
        return;
    }
    if (conn->state != CONN_ACK && now >= conn->begun_at + CONNECT_TIMEOUT) {
        dial_fail(net, conn, "timed out");
    } else if (is_silent(net, conn, from) || is_lost(net, conn, from, 0)) {
        open_again(net, conn, now);
    } else {
        open_step(net, conn, now);
    }
}

/* Carrying. */

/* The parcel arrives and its acknowledgement is back, so that the head is known to be lost. */
static bool is_shown_by(struct net *net, const struct conn *conn, unsigned side,
                        const struct parcel *parcel) {
    return !is_silent(net, conn, side) && !is_silent(net, conn, 1 - side) &&
           !is_lost(net, conn, side, parcel->len) && !is_lost(net, conn, 1 - side, 0);
}

/* Whether the head, lost once, is tried earlier because of a parcel behind it. */
static bool show_hole(struct net *net, struct conn *conn, unsigned side,
                      const struct parcel *parcel) {
    struct pipe *pipe = &conn->ends[side].out;
    weft_ns round_trip = trip(net, conn, 0) + trip(net, conn, 1);
    return pipe->head->tries == 1 && is_shown_by(net, conn, side, parcel) &&
           pipe_show_hole(pipe, parcel, round_trip);
}

static void put(struct net *net, struct conn *conn, unsigned side, struct parcel *parcel,
                weft_ns now) {
    struct pipe *pipe = &conn->ends[side].out;
    weft_ns delay = trip(net, conn, side);
    if (conn->quality.jitter_ns > 0) {
        delay += rng_below(&net->rng, conn->quality.jitter_ns + 1);
    }
    bool is_first = pipe->head == NULL;
    pipe_put(pipe, &conn->quality, parcel, delay, now);
    net->counters.parcels++;
    if (is_first && (conn->state == CONN_OPEN || side == 1)) {
        net_arm(net, &pipe->timer, parcel->at);
    } else if (!is_first && show_hole(net, conn, side, parcel)) {
        net_arm(net, &pipe->timer, pipe->head->at);
    }
}

void net_send(struct net *net, struct link_id end, struct frame *frame, struct frame *payload,
              weft_ns now) {
    struct conn *conn = conn_of(net, end);
    if (conn == NULL || !conn->ends[side_of(end)].is_open) {
        return;
    }
    struct parcel *parcel = must(calloc(1, sizeof(*parcel)));
    parcel->frame = frame_ref(frame);
    parcel->payload = payload != NULL ? frame_ref(payload) : NULL;
    parcel->len = frame->len + (payload != NULL ? payload->len : 0);
    put(net, conn, side_of(end), parcel, now);
}

size_t net_room(struct net *net, struct link_id end, weft_ns now) {
    struct conn *conn = conn_of(net, end);
    if (conn == NULL || !conn->ends[side_of(end)].is_open) {
        return 0;
    }
    struct pipe *pipe = &conn->ends[side_of(end)].out;
    size_t room = pipe_room(pipe, &conn->quality, now);
    if (room == 0) {
        pipe->wants_room = true;
        bool is_wire = conn->quality.rate != 0 && pipe->in_flight < conn->quality.buffer;
        if (is_wire) {
            net_arm(net, &pipe->room, pipe_room_at(pipe, &conn->quality));
        }
    }
    return room;
}

static void offer_room(struct net *net, struct conn *conn, unsigned side, weft_ns now) {
    struct pipe *pipe = &conn->ends[side].out;
    if (pipe->wants_room && conn->ends[side].is_open && pipe_room(pipe, &conn->quality, now) > 0) {
        pipe->wants_room = false;
        tell(net, conn, side, NET_ROOM);
    }
}

/* The far kernel has it; what that acknowledges may be lost on its way back. */
static void acknowledge(struct net *net, struct conn *conn, unsigned side, size_t len) {
    struct pipe *pipe = &conn->ends[side].out;
    if (is_silent(net, conn, 1 - side)) {
        pipe->unheard += len;
        return;
    }
    pipe->in_flight -= len + pipe->unheard;
    pipe->unheard = 0;
}

static void deliver_data(struct net *net, struct conn *conn, unsigned side, struct parcel *parcel,
                         weft_ns now) {
    if (!conn->ends[1 - side].is_open) {
        conn_end_close(net, conn, 1 - side, PARCEL_RESET, now); /* nobody there any more */
        return;
    }
    net_emit(net, &(struct net_event){.kind = NET_PARCEL,
                                      .node = conn->ends[1 - side].node,
                                      .other = conn->ends[side].node,
                                      .end = end_id(conn, 1 - side),
                                      .frame = parcel->frame,
                                      .payload = parcel->payload});
    parcel->frame = NULL;
    parcel->payload = NULL;
}

static void deliver_end(struct net *net, struct conn *conn, unsigned side, bool was_reset) {
    struct conn_end *end = &conn->ends[1 - side];
    if (end->is_open) {
        end->is_open = false;
        net_emit(net, &(struct net_event){.kind = NET_CLOSED,
                                          .node = end->node,
                                          .other = conn->ends[side].node,
                                          .end = end_id(conn, 1 - side),
                                          .was_reset = was_reset});
    }
}

static void deliver(struct net *net, struct conn *conn, unsigned side, weft_ns now) {
    struct pipe *pipe = &conn->ends[side].out;
    struct parcel *parcel = pipe_take(pipe);
    net->counters.parcels--;
    acknowledge(net, conn, side, parcel->len);
    if (pipe->head != NULL) {
        net_arm(net, &pipe->timer, pipe->head->at > now ? pipe->head->at : now);
    }
    if (parcel->mark == PARCEL_DATA) {
        deliver_data(net, conn, side, parcel, now);
        offer_room(net, conn, side, now);
    } else {
        deliver_end(net, conn, side, parcel->mark == PARCEL_RESET);
    }
    parcel_free(parcel);
    conn_free_if_over(net, conn);
}

/* The head's time has come: it arrives, or was lost and is tried again. */
static void pipe_fire(struct net *net, struct conn *conn, unsigned side, weft_ns now) {
    struct pipe *pipe = &conn->ends[side].out;
    bool silent = is_silent(net, conn, side);
    if (silent || is_lost(net, conn, side, pipe->head->len)) {
        weft_ns round_trip = trip(net, conn, 0) + trip(net, conn, 1);
        pipe->head->tries++;
        net->counters.lost++;
        pipe->head->at = now + pipe_retry_after(pipe, round_trip, net->rto_min, silent);
        if (pipe->head->next != NULL) {
            (void)show_hole(net, conn, side, pipe->head->next);
        }
        net_arm(net, &pipe->timer, pipe->head->at);
        return;
    }
    if (!net_set_aside(net, conn->ends[1 - side].node, &pipe->timer)) {
        deliver(net, conn, side, now);
    }
}

void conn_fire(struct net *net, struct conn *conn, struct timer *timer, weft_ns now) {
    for (unsigned side = 0; side < 2; side++) {
        if (timer == &conn->ends[side].out.timer) {
            pipe_fire(net, conn, side, now);
            return;
        }
        if (timer == &conn->ends[side].out.room) {
            offer_room(net, conn, side, now);
            return;
        }
    }
    open_fire(net, conn, now);
}

/* Closing. */

void conn_end_close(struct net *net, struct conn *conn, unsigned side, enum parcel_mark mark,
                    weft_ns now) {
    struct conn_end *end = &conn->ends[side];
    bool is_half_open = conn->state == CONN_SYN || conn->state == CONN_SYN_ACK;
    if (is_half_open && side == 1) {
        dial_fail(net, conn, "refused");
        return;
    }
    end->is_open = false;
    if (is_half_open) {
        conn->ends[0].is_open = false; /* nobody there has heard of it */
    } else if (conn->ends[1 - side].is_open) {
        struct parcel *parcel = must(calloc(1, sizeof(*parcel)));
        parcel->mark = mark;
        put(net, conn, side, parcel, now);
    }
    conn_free_if_over(net, conn);
}

void conn_end_vanish(struct net *net, struct conn *conn, unsigned side) {
    conn->ends[side].is_open = false;
    pipe_drop(net, conn, side);
    conn_free_if_over(net, conn);
}

void conn_reset(struct net *net, struct conn *conn, weft_ns now) {
    (void)now;
    if (conn->state == CONN_SYN || conn->state == CONN_SYN_ACK) {
        dial_fail(net, conn, "reset");
        return;
    }
    deliver_end(net, conn, 0, true);
    if (conn->state == CONN_ACK) {
        conn->ends[1].is_open = false; /* it was never told */
    }
    deliver_end(net, conn, 1, true);
    conn_free_if_over(net, conn);
}

void net_close(struct net *net, struct link_id end, weft_ns now) {
    struct conn *conn = conn_of(net, end);
    if (conn != NULL && conn->ends[side_of(end)].is_open) {
        conn_end_close(net, conn, side_of(end), PARCEL_FIN, now);
    }
}

bool net_is_open(const struct net *net, struct link_id end) {
    const struct conn *conn = conn_of(net, end);
    return conn != NULL && conn->ends[side_of(end)].is_open;
}

uint32_t net_far(const struct net *net, struct link_id end) {
    const struct conn *conn = conn_of(net, end);
    ASSERT(conn != NULL);
    return conn->ends[1 - side_of(end)].node;
}
