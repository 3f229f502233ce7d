/* SPDX-License-Identifier: Apache-2.0
 *
 * The host of a core: what node_pump is to the daemon. Inputs go in, actions come out and are
 * performed until there are none, then the deadline is armed.
 */
#include <string.h>

#include "sim/world_internal.h"

#define CPU_SLOW (20 * (weft_ns)1000) /* what one input costs a slow node, before its factor */

void host_enter(struct node *node) {
    if (node->refused_ppm > 0) {
        memory_refuse(node->refused_ppm, &node->world->memory_rng);
    }
}

void host_exit(struct node *node) {
    if (node->refused_ppm > 0) {
        memory_refuse(0, NULL);
    }
}

weft_ns host_now(const struct node *node) {
    return node->world->now + node->ahead;
}

static void perform_stream(struct node *node, const struct action *action) {
    const struct application *application = &node->world->application;
    if (application->stream != NULL) {
        application->stream(application->ctx, node_index(node), &action->stream_event);
    }
}

static void perform_save(struct node *node, const struct action *action, bool is_forgotten) {
    struct world *world = node->world;
    OBSERVE(world, saved, node_index(node), action->record, is_forgotten);
}

static void perform_pong(struct node *node, const struct action *action) {
    struct world *world = node->world;
    OBSERVE(world, pong, node_index(node), &action->peer, action->token);
}

static void perform_incarnation(struct node *node, const struct action *action) {
    node->incarnation = action->token;
    if (!node->store.is_frozen) {
        node->store.incarnation = action->token;
    }
}

static void perform(struct node *node, struct action *action) {
    switch (action->kind) {
    case ACTION_SEND:
        carry_send(node, action);
        break;
    case ACTION_CLOSE:
        carry_close(node, action);
        break;
    case ACTION_DIAL:
        carry_dial(node, action);
        break;
    case ACTION_SAVE_RECORD:
        perform_save(node, action, false);
        break;
    case ACTION_FORGET_RECORD:
        perform_save(node, action, true);
        break;
    case ACTION_SAVE_INCARNATION:
        perform_incarnation(node, action);
        break;
    case ACTION_STREAM:
        perform_stream(node, action);
        break;
    case ACTION_DATAGRAM:
        break; /* no load opens flows */
    case ACTION_PONG:
        perform_pong(node, action);
        break;
    case ACTION_LEFT:
        node_state_set(node, NODE_LEFT);
        break;
    }
}

static bool next_action(struct node *node, struct action *out) {
    host_enter(node);
    bool is_there = core_next_action(node->core, out);
    host_exit(node);
    return is_there;
}

/* What was left to do is done; the process ends. */
static void end_left(struct node *node) {
    struct world *world = node->world;
    store_save(node);
    carry_drop_all(node);
    timers_disarm(&world->timers, &node->timer);
    core_free(node->core);
    node->core = NULL;
    net_set_presence(world->net, node_index(node), NET_REFUSES, world->now);
}

static void arm(struct node *node) {
    weft_ns deadline = core_deadline(node->core);
    weft_ns at = WEFT_NEVER;
    if (deadline != WEFT_NEVER) {
        at = deadline > node->ahead ? deadline - node->ahead : 0;
        at = at > node->world->now ? at : node->world->now;
    }
    if (node->busy_until > node->world->now) {
        at = node->busy_until; /* to be released then; its deadline is looked at again */
    }
    world_arm(node->world, &node->timer, at);
}

/* A slow node takes its time over each input; others take what the scenario says. */
static void spend(struct node *node) {
    weft_ns cost = node->world->scenario->cpu_ns;
    if (node->slowness > 1) {
        cost = (cost > CPU_SLOW ? cost : CPU_SLOW) * node->slowness;
    }
    if (cost > 0) {
        node->busy_until = node->world->now + cost;
        node_hold(node);
    }
}

void host_pump(struct node *node) {
    struct world *world = node->world;
    struct action action;
    if (node->state != NODE_UP) {
        return;
    }
    do {
        while (node->state == NODE_UP && next_action(node, &action)) {
            perform(node, &action);
            action_release(&action);
        }
    } while (node->state == NODE_UP && carry_tell_room(node));
    if (node->state == NODE_LEFT) {
        end_left(node);
        return;
    }
    spend(node);
    arm(node);
    OBSERVE(world, stepped, node_index(node));
}

void host_fire(struct node *node) {
    struct world *world = node->world;
    if (node->state != NODE_UP) {
        return;
    }
    node_hold(node); /* the end of its being busy, perhaps */
    if (node->busy_until > world->now) {
        world_arm(world, &node->timer, node->busy_until);
        return;
    }
    if (core_deadline(node->core) > host_now(node)) {
        arm(node);
        return;
    }
    world_mix(world, world->now ^ (uint64_t)node_index(node) << 48);
    host_enter(node);
    core_tick(node->core, host_now(node));
    host_exit(node);
    host_pump(node);
}

void host_net_event(struct world *world, struct net_event *event) {
    struct node *node = &world->nodes[event->node];
    if (node->core == NULL) {
        return; /* of a former life */
    }
    world_mix(world, world->now ^ (uint64_t)event->node << 48 ^ (uint64_t)event->kind << 40);
    carry_event(node, event);
    host_pump(node);
}
