/* SPDX-License-Identifier: Apache-2.0
 *
 * A node's life: made, started, crashed, paused, slowed, and what else can befall it.
 */
#include <stdio.h>
#include <string.h>

#include "sim/bytes.h"
#include "sim/world_internal.h"

#define PORT ":9338"
#define START_RETRY NS_PER_S          /* a start that found no memory */
#define LEAVE_PATIENCE (5 * NS_PER_S) /* as the daemon's */

static const uint8_t secret[32] = "the simulator's mesh secret";

uint32_t node_index(const struct node *node) {
    return (uint32_t)(node - node->world->nodes);
}

void node_address(uint32_t index, char out[32]) {
    (void)snprintf(out, 32, "10.%u.%u.%u" PORT, index >> 16, index >> 8 & 255U, index & 255U);
}

bool node_at_address(const struct world *world, const char *endpoint, uint32_t *out) {
    char *end = NULL;
    uint64_t index = 0;
    if (strncmp(endpoint, "10.", 3) != 0) {
        return false;
    }
    const char *at = endpoint + 3;
    for (int i = 0; i < 3; i++) {
        unsigned long part = strtoul(at, &end, 10);
        if (end == at || part > 255) {
            return false;
        }
        index = index << 8 | part;
        at = end + 1;
    }
    *out = (uint32_t)index;
    return strcmp(end, PORT) == 0 && index < world->plan.node_count;
}

static void node_random(void *ctx, uint8_t *out, size_t len) {
    struct node *node = ctx;
    for (size_t i = 0; i < len; i += 8) {
        uint64_t word = rng_next(&node->rng);
        memcpy(out + i, &word, len - i < 8 ? len - i : 8);
    }
}

static void node_trace(void *ctx, const struct trace_event *event) {
    struct node *node = ctx;
    struct world *world = node->world;
    world_callback_enter(world);
    OBSERVE(world, traced, node_index(node), event);
    world_callback_exit(world);
}

static bool node_is_traced(void *ctx, enum trace_level level) {
    const struct node *node = ctx;
    const struct world *world = node->world;
    for (size_t i = 0; i < world->observer_count; i++) {
        const struct observer *observer = &world->observers[i];
        if (observer->traced != NULL &&
            (observer->is_traced == NULL || observer->is_traced(observer->ctx, level))) {
            return true;
        }
    }
    return false;
}

void node_init(struct world *world, uint32_t index) {
    struct node *node = &world->nodes[index];
    uint8_t seed[32] = {'n', 'o', 'd', 'e'};
    memcpy(seed + 8, &world->options.seed, 8);
    memcpy(seed + 16, &index, sizeof(index));
    node->world = world;
    identity_from_seed(&node->identity, seed);
    seed[0] = 'r';
    rng_init(&node->rng, seed);
    node->host = (struct host){
        .ctx = node, .random = node_random, .trace = node_trace, .is_traced = node_is_traced};
    node->timer = (struct timer){.kind = TIMER_NODE, .owner = node};
    node->slowness = 1;
    if (peer_table_take(&world->by_id, &node->identity.id) != index) {
        must(NULL);
    }
}

void node_fini(struct node *node) {
    carry_drop_all(node);
    link_table_fini(&node->links);
    core_free(node->core);
    node->core = NULL;
    bytes_fini(node);
    store_wipe(node);
}

void node_state_set(struct node *node, enum node_state state) {
    struct world *world = node->world;
    node->state = state;
    world_mix(world, (uint64_t)state << 32 | node_index(node));
    OBSERVE(world, state, node_index(node), state);
}

/* A node is held while it is paused, or busy with what it was given before. */
void node_hold(struct node *node) {
    struct world *world = node->world;
    bool is_held = node->state == NODE_PAUSED || node->busy_until > world->now;
    if (is_held != node->is_held) {
        node->is_held = is_held;
        net_hold(world->net, node_index(node), is_held, world->now);
    }
}

static void configure(struct node *node, struct core_config *config) {
    const struct scenario *scenario = node->world->scenario;
    core_config_defaults(config);
    config->identity = &node->identity;
    config->host = node->host;
    config->software = "weft-sim";
    config->session_psk = secret;
    config->incarnation = node->incarnation;
    config->instance = node->instance;
    config->degree = scenario->degree;
    config->may_discover = scenario->has_discovery;
    config->heartbeat = scenario->heartbeat_ns;
    config->stream_hold = scenario->hold_ns;
    config->fade_after = scenario->fade_ns;
    config->pool = node->world->records;
    config->graphs = node->world->graphs;
}

static enum weft_err make_core(struct node *node) {
    struct core_config config;
    char address[32];
    char name[32];
    const char *const addresses[] = {address};
    node_address(node_index(node), address);
    (void)snprintf(name, sizeof(name), "node-%u", node_index(node));
    configure(node, &config);
    config.name = name;
    config.addresses = addresses;
    config.address_count = 1;
    return core_new(&config, host_now(node), &node->core);
}

static void add_seeds(struct node *node) {
    const struct plan *plan = &node->world->plan;
    char address[32];
    for (size_t i = 0; i < plan->edge_count; i++) {
        if (plan->edges[i].a != node_index(node)) {
            continue;
        }
        node_address(plan->edges[i].b, address);
        if (core_add_seed(node->core, address, NULL) != WEFT_OK) {
            return; /* short of memory, as told: it will be found another way, or not */
        }
    }
}

static void start_again(void *ctx) {
    struct node *node = ctx;
    world_start(node->world, node_index(node));
}

void world_start(struct world *world, uint32_t index) {
    struct node *node = &world->nodes[index];
    if (node->state != NODE_DOWN && node->state != NODE_LEFT) {
        return;
    }
    node->starts++;
    node->instance = rng_next(&node->rng) | 1U;
    node->incarnation = node->store.incarnation + 1;
    node->store.incarnation += node->store.is_frozen ? 0 : 1;
    host_enter(node);
    enum weft_err err = make_core(node);
    if (err == WEFT_OK) {
        add_seeds(node);
        store_load(node);
    }
    host_exit(node);
    if (err != WEFT_OK) {
        world_at(world, world->now + START_RETRY, start_again, node);
        return;
    }
    net_set_presence(world->net, index, NET_LISTENS, world->now);
    node_state_set(node, NODE_UP);
    node_hold(node);
    if (world->application.started != NULL) {
        world->application.started(world->application.ctx, index, node->core);
    }
    host_pump(node);
}

void world_crash(struct world *world, uint32_t index, enum world_crash how, bool is_seen) {
    struct node *node = &world->nodes[index];
    if (node->state != NODE_UP && node->state != NODE_PAUSED) {
        return;
    }
    if (how == WORLD_CRASH_WIPE) {
        store_wipe(node);
    } else {
        store_save(node);
    }
    carry_drop_all(node);
    timers_disarm(&world->timers, &node->timer);
    core_free(node->core);
    node->core = NULL;
    node->busy_until = 0;
    node_state_set(node, NODE_DOWN);
    node_hold(node);
    net_set_presence(world->net, index, is_seen ? NET_REFUSES : NET_GONE, world->now);
}

void world_leave(struct world *world, uint32_t index) {
    struct node *node = &world->nodes[index];
    if (node->state == NODE_UP) {
        host_enter(node);
        core_leave(node->core, LEAVE_PATIENCE, host_now(node));
        host_exit(node);
        host_pump(node);
    }
}

void world_pause(struct world *world, uint32_t index, bool is_paused) {
    struct node *node = &world->nodes[index];
    if (is_paused ? node->state != NODE_UP : node->state != NODE_PAUSED) {
        return;
    }
    node_state_set(node, is_paused ? NODE_PAUSED : NODE_UP);
    node_hold(node);
    if (is_paused) {
        timers_disarm(&world->timers, &node->timer);
    } else {
        world_arm(world, &node->timer, world->now);
    }
}

void world_set_slowness(struct world *world, uint32_t node, uint32_t factor) {
    ASSERT(factor >= 1);
    world->nodes[node].slowness = factor;
}

void world_jump_clock(struct world *world, uint32_t index, weft_ns ahead) {
    struct node *node = &world->nodes[index];
    node->ahead += ahead;
    if (node->state == NODE_UP) {
        world_arm(world, &node->timer, world->now);
    }
}

void world_refuse_memory(struct world *world, uint32_t node, uint32_t ppm) {
    world->nodes[node].refused_ppm = ppm;
}

void world_fill_disk(struct world *world, uint32_t index, bool is_full) {
    struct node *node = &world->nodes[index];
    if (is_full && !node->store.is_frozen && node->core != NULL) {
        store_save(node);
    }
    node->store.is_frozen = is_full;
}

void world_set_liar(struct world *world, uint32_t index, const struct liar *liar) {
    struct node *node = &world->nodes[index];
    node->is_liar = liar != NULL;
    node->liar = liar != NULL ? *liar : (struct liar){0};
}

bool world_is_liar(const struct world *world, uint32_t index) {
    return world->nodes[index].is_liar;
}

void world_each_link(const struct world *world, uint32_t index,
                     void (*each)(void *ctx, struct link_id link, uint32_t other), void *ctx) {
    const struct node *node = &world->nodes[index];
    for (size_t i = 0; i < node->links.count; i++) {
        const struct carry *carry = node->links.items[i];
        if (carry->state == CARRY_UP) {
            each(ctx, carry->id, carry->other);
        }
    }
}
