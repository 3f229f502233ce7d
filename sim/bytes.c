/* SPDX-License-Identifier: Apache-2.0
 *
 * One end of a connection in byte mode: chunks in, events out; frames in, chunks out. The order of
 * calls is that of the daemon's tcp.c.
 */
#include "sim/bytes.h"

#include <stdio.h>
#include <string.h>

#include "sim/carry.h"

#define SPANS_MAX 64                /* of one chunk */
#define CUT_DOUBLINGS 16            /* chunks of up to 64 KiB, each magnitude as likely */
#define HELD_AGAIN (50 * NS_PER_MS) /* a paused node looks at its clock when it goes on */

static const uint8_t secret[32] = "the simulator's mesh secret";

/* What all links of a node share. */
struct bytes_node {
    struct link_shared shared;
    char name[32];
    char address[32];
    const char *addresses[1];
};

/* Of the node's present life. */
static const struct link_shared *shared_of(struct node *node) {
    if (node->bytes == NULL) {
        struct bytes_node *fresh = must(calloc(1, sizeof(*fresh)));
        link_shared_init(&fresh->shared, secret);
        (void)snprintf(fresh->name, sizeof(fresh->name), "node-%u", node_index(node));
        node_address(node_index(node), fresh->address);
        fresh->addresses[0] = fresh->address;
        fresh->shared.identity = &node->identity;
        fresh->shared.host = &node->host;
        fresh->shared.hello.name = span_of_text(fresh->name);
        fresh->shared.hello.key = node->identity.key;
        fresh->shared.addresses = fresh->addresses;
        fresh->shared.address_count = 1;
        node->bytes = fresh;
    }
    node->bytes->shared.hello.incarnation = node->incarnation;
    node->bytes->shared.hello.instance = node->instance;
    return &node->bytes->shared;
}

void bytes_fini(struct node *node) {
    free(node->bytes);
    node->bytes = NULL;
}

/* The link's time is the node's; the world's timers are not. */
static void arm(struct node *node, struct carry *carry) {
    weft_ns now = node->world->now;
    weft_ns deadline = link_deadline(carry->link);
    if (deadline == WEFT_NEVER) {
        world_arm(node->world, &carry->timer, WEFT_NEVER);
        return;
    }
    weft_ns wait = time_since(host_now(node), deadline);
    world_arm(node->world, &carry->timer, time_after(now, wait));
}

/* ---- bytes out ---- */

/* Copies the first `len` bytes of the spans. */
static struct frame *chunk_of(const struct span *spans, size_t count, size_t len) {
    struct frame *chunk = must(frame_new(len));
    for (size_t i = 0; i < count && chunk->len < len; i++) {
        size_t part = spans[i].len < len - chunk->len ? spans[i].len : len - chunk->len;
        memcpy(chunk->data + chunk->len, spans[i].data, part);
        chunk->len += (uint32_t)part;
    }
    return chunk;
}

static size_t draw_cut(struct world *world) {
    size_t base = (size_t)1 << rng_below(&world->cut_rng, CUT_DOUBLINGS + 1);
    return base + rng_below(&world->cut_rng, base);
}

/* One chunk; false when there is nothing to send. */
static bool send_chunk(struct node *node, struct carry *carry) {
    struct world *world = node->world;
    struct span spans[SPANS_MAX];
    size_t total = 0;
    host_enter(node);
    size_t count = link_write_spans(carry->link, host_now(node), spans, SPANS_MAX);
    host_exit(node);
    for (size_t i = 0; i < count; i++) {
        total += spans[i].len;
    }
    if (total == 0) {
        return false;
    }
    size_t cut = draw_cut(world);
    struct frame *chunk = chunk_of(spans, count, cut < total ? cut : total);
    if (node->is_liar && node->liar.bytes != NULL) {
        node->liar.bytes(node->liar.ctx, node_index(node), carry->other, chunk->data, chunk->len);
    }
    net_send(world->net, carry->id, chunk, NULL, world->now);
    host_enter(node);
    link_write_done(carry->link, chunk->len);
    host_exit(node);
    frame_unref(chunk);
    return true;
}

static void send_all(struct node *node, struct carry *carry) {
    while (link_wants_write(carry->link) && send_chunk(node, carry)) {
    }
}

/* ---- the end ---- */

void bytes_close(struct node *node, struct carry *carry, enum wire_close_reason reason,
                 const char *text) {
    host_enter(node);
    link_close(carry->link, reason, text);
    host_exit(node);
    send_all(node, carry);
    net_close(node->world->net, carry->id, node->world->now);
}

/* The link has ended by itself: a fault of the peer's is named, and our reason still goes out. */
static void on_down(struct node *node, struct carry *carry, const struct link_event *event) {
    bool was_up = carry->state == CARRY_UP;
    host_enter(node);
    if (was_up && event->close_reason != 0) {
        core_link_bye(node->core, carry->id, (enum wire_close_reason)event->close_reason,
                      host_now(node));
    }
    if (was_up && link_wants_write(carry->link)) {
        core_link_broken(node->core, carry->id, event->err, host_now(node));
    }
    host_exit(node);
    send_all(node, carry);
    net_close(node->world->net, carry->id, node->world->now);
    carry_down(node, carry);
}

/* ---- bytes in ---- */

static void on_up(struct node *node, struct carry *carry, const struct link_event *event) {
    char name[WEFT_NAME_MAX + 1];
    char remote[32];
    (void)span_to_text(event->hello.name, name, sizeof(name));
    node_address(carry->other, remote);
    const struct core_link_info info = {
        .role = link_role(carry->link),
        .dial_token = carry->token,
        .key = event->hello.key,
        .name = name,
        .incarnation = event->hello.incarnation,
        .instance = event->hello.instance,
        .remote = remote,
    };
    carry_up(node, carry, &info);
}

static void on_frame(struct node *node, struct carry *carry, const struct link_event *event) {
    struct world *world = node->world;
    OBSERVE(world, received, node_index(node), carry->other, &event->frame, event->payload.bytes);
    host_enter(node);
    core_link_frame(node->core, carry->id, &event->frame, event->payload, host_now(node));
    host_exit(node);
}

/* False when the end is gone. */
static bool take_events(struct node *node, struct carry *carry) {
    struct link_event event;
    for (;;) {
        host_enter(node);
        bool is_more = link_next_event(carry->link, host_now(node), &event);
        host_exit(node);
        if (!is_more) {
            return true;
        }
        switch (event.kind) {
        case LINK_EVENT_UP:
            on_up(node, carry, &event);
            break;
        case LINK_EVENT_FRAME:
            on_frame(node, carry, &event);
            break;
        case LINK_EVENT_DOWN:
            on_down(node, carry, &event);
            return false;
        }
    }
}

bool bytes_flush(struct node *node, struct carry *carry) {
    struct net *net = node->world->net;
    while (link_wants_write(carry->link) && net_room(net, carry->id, node->world->now) > 0 &&
           send_chunk(node, carry)) {
    }
    if (!take_events(node, carry)) {
        return false;
    }
    arm(node, carry);
    return true;
}

bool bytes_begin(struct node *node, struct carry *carry) {
    enum link_role role = carry->token != 0 ? LINK_DIALLED : LINK_ACCEPTED;
    const struct link_shared *shared = shared_of(node); /* ours, before memory is refused */
    host_enter(node);
    enum weft_err err = link_new(shared, role, NULL, host_now(node), &carry->link);
    host_exit(node);
    if (err != WEFT_OK) {
        net_close(node->world->net, carry->id, node->world->now);
        carry_down(node, carry);
        return false;
    }
    return bytes_flush(node, carry);
}

/* Reads as much as the link has space for; 0: it has none, which is its end. */
static size_t read_some(struct node *node, struct carry *carry, struct span chunk) {
    size_t len = 0;
    host_enter(node);
    uint8_t *space = link_read_space(carry->link, &len);
    if (space != NULL) {
        len = len < chunk.len ? len : chunk.len;
        memcpy(space, chunk.data, len);
        link_read_done(carry->link, len, host_now(node));
    }
    host_exit(node);
    return space != NULL ? len : 0;
}

void bytes_hear(struct node *node, struct carry *carry, struct span chunk) {
    world_mix_bytes(node->world, chunk);
    while (chunk.len > 0) {
        size_t len = read_some(node, carry, chunk);
        chunk = span_of(chunk.data + len, chunk.len - len);
        if (len == 0) {
            net_close(node->world->net, carry->id, node->world->now);
            carry_down(node, carry);
            return;
        }
        if (!take_events(node, carry)) {
            return;
        }
    }
    if (carry->state == CARRY_UP) {
        host_enter(node);
        core_link_alive(node->core, carry->id, host_now(node));
        host_exit(node);
    }
    carry_touch(node->world, carry);
}

/* ---- frames out, and time ---- */

void bytes_send(struct node *node, struct carry *carry, const struct action *action) {
    host_enter(node);
    enum weft_err err = link_send(carry->link, action->frame, action->payload, action->class,
                                  action->flow, host_now(node));
    host_exit(node);
    (void)err; /* what finds no room is lost, as on any link; for control it ends, at the flush */
    carry_touch(node->world, carry);
}

void bytes_tick(struct node *node, struct carry *carry) {
    if (node->is_held) {
        world_arm(node->world, &carry->timer, time_after(node->world->now, HELD_AGAIN));
        return;
    }
    host_enter(node);
    link_tick(carry->link, host_now(node));
    host_exit(node);
    (void)bytes_flush(node, carry);
}
