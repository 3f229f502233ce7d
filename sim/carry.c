/* SPDX-License-Identifier: Apache-2.0
 *
 * Links over the network. In byte mode an end has a real link, and bytes.c; in frame mode: the
 * connection, the handshake's three messages without their content, then frames as the core made
 * them, whole. What the network has no room for waits in the same queue (classes, fairness, marks)
 * that a real link has.
 */
#include <stdio.h>
#include <string.h>

#include "sim/bytes.h"
#include "sim/carry.h"
#include "sim/world_internal.h"

#define QUEUE_KEY                                                                                  \
    {                                                                                              \
        .bytes = { 'q' }                                                                           \
    }

struct carry *carry_find(const struct node *node, struct link_id link) {
    return link_table_find(&node->links, link);
}

static struct carry *carry_new(struct node *node, const struct net_event *event) {
    struct carry *carry = must(calloc(1, sizeof(*carry)));
    const struct hash_key key = QUEUE_KEY;
    carry->id = event->end;
    carry->node = event->node;
    carry->other = event->other;
    carry->token = event->token;
    carry->state = event->token != 0 ? CARRY_WAIT_2 : CARRY_WAIT_1;
    carry->timer = (struct timer){.kind = TIMER_LINK, .owner = carry};
    sendq_init(&carry->queue, &key);
    if (link_table_add(&node->links, carry->id, carry) != WEFT_OK) {
        must(NULL);
    }
    return carry;
}

static void untouch(struct world *world, const struct carry *carry) {
    for (size_t i = 0; i < world->touched_count; i++) {
        if (world->touched[i] == carry) {
            world->touched[i] = world->touched[--world->touched_count];
            return;
        }
    }
}

static void carry_free(struct world *world, struct carry *carry) {
    timers_disarm(&world->timers, &carry->timer);
    untouch(world, carry);
    sendq_fini(&carry->queue);
    link_free(carry->link);
    free(carry);
}

/* Takes it out of its node. */
static void carry_remove(struct node *node, struct carry *carry) {
    (void)link_table_remove(&node->links, carry->id);
    carry_free(node->world, carry);
}

void carry_drop_all(struct node *node) {
    for (size_t i = 0; i < node->links.count; i++) {
        carry_free(node->world, node->links.items[i]);
    }
    node->links.count = 0;
}

void carry_dial(struct node *node, const struct action *action) {
    uint32_t to;
    uint32_t from = node_index(node);
    bool is_there = node_at_address(node->world, action->endpoint, &to) && to != from &&
                    plan_reaches(&node->world->plan, from, to);
    if (is_there) {
        net_dial(node->world->net, from, to, action->token, node->world->now);
        return;
    }
    host_enter(node);
    core_dial_failed(node->core, action->token, "no route to host", host_now(node));
    host_exit(node);
}

static void shake(struct node *node, const struct carry *carry, size_t message) {
    net_send(node->world->net, carry->id, node->world->shake[message], NULL, node->world->now);
}

void carry_touch(struct world *world, struct carry *carry) {
    if (carry->is_touched) {
        return;
    }
    if (world->touched_count == world->touched_size) {
        world->touched_size = world->touched_size > 0 ? 2 * world->touched_size : 64;
        world->touched =
            must(realloc(world->touched, world->touched_size * sizeof(struct carry *)));
    }
    carry->is_touched = true;
    world->touched[world->touched_count++] = carry;
}

void carry_up(struct node *node, struct carry *carry, const struct core_link_info *info) {
    struct world *world = node->world;
    carry->state = CARRY_UP;
    OBSERVE(world, link, carry->node, carry->other, carry->id, true);
    host_enter(node);
    core_link_up(node->core, carry->id, info, host_now(node));
    host_exit(node);
    carry_touch(world, carry);
}

/* In frame mode everybody is who the network says. */
static void up(struct node *node, struct carry *carry) {
    struct world *world = node->world;
    const struct node *other = &world->nodes[carry->other];
    char name[32];
    char remote[32];
    (void)snprintf(name, sizeof(name), "node-%u", carry->other);
    node_address(carry->other, remote);
    const struct core_link_info info = {
        .role = carry->token != 0 ? LINK_DIALLED : LINK_ACCEPTED,
        .dial_token = carry->token,
        .key = other->identity.key,
        .name = name,
        .incarnation = other->incarnation,
        .instance = other->instance,
        .remote = remote,
    };
    timers_disarm(&world->timers, &carry->timer);
    carry_up(node, carry, &info);
}

/* Room as a link tells it: what its queue takes. */
static void tell_room(struct node *node, struct carry *carry) {
    size_t room[WIRE_CLASS_COUNT];
    carry->is_touched = false;
    if ((carry->link != NULL && !bytes_flush(node, carry)) || carry->state != CARRY_UP) {
        return;
    }
    for (int class = 0; class < WIRE_CLASS_COUNT; class ++) {
        room[class] = carry->link != NULL ? link_room(carry->link, (enum wire_class) class)
                                          : sendq_room(&carry->queue, (enum wire_class) class);
    }
    host_enter(node);
    core_link_room(node->core, carry->id, room, host_now(node));
    host_exit(node);
}

bool carry_tell_room(struct node *node) {
    struct world *world = node->world;
    bool was_any = world->touched_count > 0;
    while (world->touched_count > 0) {
        tell_room(node, world->touched[--world->touched_count]);
    }
    return was_any;
}

/* Sends what waits, as far as the network has room. */
static void drain(struct node *node, struct carry *carry) {
    struct world *world = node->world;
    struct sendq_taken taken;
    while (!sendq_is_empty(&carry->queue) && net_room(world->net, carry->id, world->now) > 0) {
        (void)sendq_peek(&carry->queue);
        sendq_pop(&carry->queue, world->now, &taken);
        if (taken.is_congested && taken.payload != NULL) {
            struct frame *marked = must(frame_copy(frame_view(taken.frame)));
            marked->data[WIRE_CARRIER_FLAGS_AT] |= WIRE_CARRIER_CONGESTED;
            frame_unref(taken.frame);
            taken.frame = marked;
        }
        net_send(world->net, carry->id, taken.frame, taken.payload, world->now);
        frame_unref(taken.frame);
        frame_unref(taken.payload);
    }
    if (sendq_is_empty(&carry->queue)) {
        sendq_relax(&carry->queue);
    }
    carry_touch(world, carry);
}

static void close_link(struct node *node, struct carry *carry, enum wire_close_reason reason,
                       const char *text) {
    struct world *world = node->world;
    uint8_t bytes[WIRE_FRAME_HEADER_BYTES + 1 + 200];
    struct wire_writer writer = wire_writer_of(bytes, sizeof(bytes));
    const struct wire_close body = {.reason = (uint8_t)reason, .text = span_of_text(text)};
    size_t begin = wire_frame_begin(&writer, WIRE_CLOSE, 0);
    wire_close_encode(&writer, &body);
    wire_frame_end(&writer, begin);
    struct frame *frame = must(frame_copy(wire_writer_view(&writer)));
    net_send(world->net, carry->id, frame, NULL, world->now);
    frame_unref(frame);
    net_close(world->net, carry->id, world->now);
}

/* The link is no more: the core is told, if it knew. */
void carry_down(struct node *node, struct carry *carry) {
    struct link_id id = carry->id;
    uint32_t other = carry->other;
    uint64_t token = carry->token;
    bool was_up = carry->state == CARRY_UP;
    struct world *world = node->world;
    carry_remove(node, carry);
    host_enter(node);
    if (was_up) {
        core_link_down(node->core, id, host_now(node));
    } else if (token != 0) {
        core_dial_failed(node->core, token, "the handshake failed", host_now(node));
    }
    host_exit(node);
    if (!was_up) {
        return;
    }
    OBSERVE(world, link, node_index(node), other, id, false);
}

void carry_close(struct node *node, const struct action *action) {
    struct carry *carry = carry_find(node, action->link);
    const char *text = action->text != NULL ? action->text : "";
    if (carry == NULL) {
        return;
    }
    if (carry->link != NULL) {
        bytes_close(node, carry, action->reason, text);
    } else {
        close_link(node, carry, action->reason, text);
    }
    carry_down(node, carry);
}

static void push(struct node *node, struct carry *carry, const struct action *action) {
    enum weft_err err = sendq_push(&carry->queue, action->frame, action->payload, action->class,
                                   action->flow, node->world->now);
    if (err == WEFT_ERR_FULL && action->class == WIRE_CLASS_CONTROL) {
        host_enter(node);
        core_link_broken(node->core, carry->id, err, host_now(node));
        host_exit(node);
        close_link(node, carry, WIRE_CLOSE_SLOW, "you do not read");
        carry_down(node, carry);
        return;
    }
    drain(node, carry);
}

static void send_now(struct node *node, struct carry *carry, const struct action *action) {
    struct world *world = node->world;
    if (carry->link != NULL) {
        bytes_send(node, carry, action);
    } else if (sendq_is_empty(&carry->queue) && net_room(world->net, carry->id, world->now) > 0) {
        net_send(world->net, carry->id, action->frame, action->payload, world->now);
        carry_touch(world, carry);
    } else {
        push(node, carry, action);
    }
}

static bool is_news(const struct action *action) {
    uint8_t kind = action->frame->data[0];
    return kind == WIRE_RECORDS || kind == WIRE_DELTAS || kind == WIRE_NOTES || kind == WIRE_SYNC;
}

void carry_send(struct node *node, struct action *action) {
    struct carry *carry = carry_find(node, action->link);
    struct world *world = node->world;
    if (carry == NULL || carry->state != CARRY_UP) {
        return;
    }
    if (node->is_liar && node->liar.send != NULL &&
        !node->liar.send(node->liar.ctx, node_index(node), carry->other, action)) {
        return;
    }
    OBSERVE(world, sent, node_index(node), carry->other, action);
    if (!world->is_withholding || !is_news(action)) {
        send_now(node, carry, action);
    }
}

void world_inject(struct world *world, uint32_t index, struct link_id link, struct frame *frame,
                  struct frame *payload, enum wire_class class) {
    struct node *node = &world->nodes[index];
    struct carry *carry = carry_find(node, link);
    struct action action = {.kind = ACTION_SEND, .link = link, .frame = frame, .payload = payload};
    action.class = class;
    if (carry != NULL && carry->state == CARRY_UP) {
        send_now(node, carry, &action);
        host_pump(node);
    }
    action_release(&action);
}

static void hear_close(struct node *node, struct carry *carry, struct span body) {
    struct wire_close message;
    host_enter(node);
    if (wire_close_decode(body, &message) == WEFT_OK) {
        core_link_bye(node->core, carry->id, (enum wire_close_reason)message.reason,
                      host_now(node));
    }
    host_exit(node);
    net_close(node->world->net, carry->id, node->world->now);
    carry_down(node, carry);
}

static void hear_frame(struct node *node, struct carry *carry, const struct net_event *event) {
    struct world *world = node->world;
    struct wire_reader reader = wire_reader_of(frame_view(event->frame));
    struct span payload = event->payload != NULL ? frame_view(event->payload) : (struct span){0};
    struct wire_frame frame;
    world_mix_bytes(world, frame_view(event->frame));
    if (wire_frame_next(&reader, &frame) != WEFT_OK || !wire_reader_done(&reader)) {
        host_enter(node);
        core_link_broken(node->core, carry->id, WEFT_ERR_MALFORMED, host_now(node));
        host_exit(node);
        close_link(node, carry, WIRE_CLOSE_PROTOCOL, "malformed frame");
        carry_down(node, carry);
        return;
    }
    if (frame.kind == WIRE_CLOSE) {
        hear_close(node, carry, frame.body);
        return;
    }
    OBSERVE(world, received, node_index(node), carry->other, &frame, payload);
    host_enter(node);
    core_link_frame(node->core, carry->id, &frame, loan_of(payload), host_now(node));
    host_exit(node);
}

static void hear(struct node *node, struct carry *carry, const struct net_event *event) {
    if (carry->link != NULL) {
        bytes_hear(node, carry, frame_view(event->frame));
        return;
    }
    switch (carry->state) {
    case CARRY_WAIT_1:
        shake(node, carry, 1);
        carry->state = CARRY_WAIT_3;
        break;
    case CARRY_WAIT_2:
        shake(node, carry, 2);
        up(node, carry);
        break;
    case CARRY_WAIT_3:
        up(node, carry);
        break;
    case CARRY_UP:
        hear_frame(node, carry, event);
        break;
    }
}

static void connected(struct node *node, const struct net_event *event) {
    struct carry *carry = carry_new(node, event);
    if (node->world->options.is_byte_mode) {
        (void)bytes_begin(node, carry);
        return;
    }
    world_arm(node->world, &carry->timer, node->world->now + LINK_HANDSHAKE_TIMEOUT);
    if (carry->state == CARRY_WAIT_2) {
        shake(node, carry, 0);
    }
}

static void failed(struct node *node, const struct net_event *event) {
    host_enter(node);
    core_dial_failed(node->core, event->token, event->text, host_now(node));
    host_exit(node);
}

void carry_event(struct node *node, struct net_event *event) {
    struct carry *carry = carry_find(node, event->end);
    if (event->kind == NET_CONNECTED) {
        connected(node, event);
    } else if (event->kind == NET_FAILED) {
        failed(node, event);
    } else if (carry == NULL) {
        return; /* of a link that we closed */
    } else if (event->kind == NET_PARCEL) {
        hear(node, carry, event);
    } else if (event->kind == NET_CLOSED) {
        carry_down(node, carry);
    } else if (carry->link != NULL) {
        carry_touch(node->world, carry);
    } else {
        drain(node, carry);
    }
}

void carry_timeout(struct world *world, struct timer *timer) {
    struct carry *carry = timer->owner;
    struct node *node = &world->nodes[carry->node];
    if (carry->link != NULL) {
        bytes_tick(node, carry);
    } else {
        net_close(world->net, carry->id, world->now);
        carry_down(node, carry);
    }
    host_pump(node);
}
