/* SPDX-License-Identifier: Apache-2.0
 *
 * The clock: what happens next, and to whom. Everything that waits for a time is a timer in one
 * heap, equal times in the order they were armed.
 */
#include "sim/world.h"

#include <string.h>

#include "sim/world_internal.h"

#define BEGIN NS_PER_S /* time 0 would hide what is never set */
#define POOL_RECORDS_MAX ((size_t)1 << 22)

void world_mix(struct world *world, uint64_t value) {
    /* splitmix64's finalizer over a running state. */
    uint64_t x = world->hash ^ value;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    world->hash = (x ^ (x >> 31)) + UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t lane_mix(uint64_t lane, const uint8_t *bytes) {
    uint64_t word;
    memcpy(&word, bytes, 8); /* little-endian machines only; so is all we run on */
    lane = (lane ^ word) * UINT64_C(0x9fb21c651e98df25);
    return lane ^ lane >> 32;
}

/* Every byte that is delivered comes by here, so four lanes that need not wait for each other. */
void world_mix_bytes(struct world *world, struct span bytes) {
    uint64_t lanes[4] = {bytes.len, 1, 2, 3};
    size_t i = 0;
    for (; i + 32 <= bytes.len; i += 32) {
        lanes[0] = lane_mix(lanes[0], bytes.data + i);
        lanes[1] = lane_mix(lanes[1], bytes.data + i + 8);
        lanes[2] = lane_mix(lanes[2], bytes.data + i + 16);
        lanes[3] = lane_mix(lanes[3], bytes.data + i + 24);
    }
    uint8_t rest[32] = {0};
    memcpy(rest, bytes.data + i, bytes.len - i);
    for (size_t lane = 0; lane < 4; lane++) {
        world_mix(world, lane_mix(lanes[lane], rest + 8 * lane));
    }
}

void world_arm(struct world *world, struct timer *timer, weft_ns at) {
    if (at != WEFT_NEVER && timers_reserve(&world->timers, world->timers.count + 1) != WEFT_OK) {
        must(NULL);
    }
    timers_arm(&world->timers, timer, at);
}

void world_rng(const struct world *world, const char *label, struct rng *out) {
    struct hash_key key = {.bytes = {0}};
    uint8_t seed[32] = {0};
    memcpy(key.bytes, &world->options.seed, sizeof(world->options.seed));
    uint64_t hash = hash_keyed(&key, span_of_text(label));
    memcpy(seed, &world->options.seed, 8);
    memcpy(seed + 8, &hash, 8);
    rng_init(out, seed);
}

/* A frame of so many zeros: a handshake's message in frame mode, about as long as the real one. */
static struct frame *shake_new(size_t len) {
    struct frame *frame = must(frame_new(len));
    memset(frame->data, 0, len);
    frame->len = (uint32_t)len;
    return frame;
}

static struct world *world_alloc(const struct world_options *options) {
    static const size_t shake_bytes[3] = {100, 260, 220};
    struct world *world = must(calloc(1, sizeof(*world)));
    world->options = *options;
    world->scenario = options->scenario;
    world->now = BEGIN;
    world->is_withholding = options->scenario->is_warm;
    world->hash = options->seed;
    world->metrics = must(metrics_new());
    for (size_t i = 0; i < 3; i++) {
        world->shake[i] = shake_new(shake_bytes[i]);
    }
    if (options->is_sharing) {
        const struct hash_key key = {.bytes = {'p', 'o', 'o', 'l'}};
        world->records = must(record_pool_new(&key, POOL_RECORDS_MAX));
        world->graphs = must(graph_pool_new(&key));
    }
    world_rng(world, "memory", &world->memory_rng);
    world_rng(world, "cut", &world->cut_rng);
    return world;
}

static void make_nodes(struct world *world) {
    const struct hash_key key = {.bytes = {'i', 'd'}};
    world->nodes = must(calloc(world->plan.node_count, sizeof(*world->nodes)));
    peer_table_init(&world->by_id, &key, world->plan.node_count);
    for (uint32_t i = 0; i < world->plan.node_count; i++) {
        node_init(world, i);
    }
}

/* The start of one node, as a call. */
static void start_call(void *ctx) {
    struct node *node = ctx;
    world_start(node->world, node_index(node));
}

static void schedule_starts(struct world *world) {
    struct rng rng;
    uint64_t within = world->scenario->start_within_ns;
    world_rng(world, "starts", &rng);
    for (uint32_t i = 0; i < world->plan.node_count; i++) {
        /* The first node is there before the others look for it. */
        weft_ns at = world->now + (within > 0 && i > 0 ? rng_below(&rng, within) : 0);
        world_at(world, at, start_call, &world->nodes[i]);
    }
}

struct world *world_new(const struct world_options *options, struct scenario_error *error) {
    if (noise_setup() != WEFT_OK) {
        must(NULL);
    }
    struct world *world = world_alloc(options);
    if (plan_make(options->scenario, options->seed, &world->plan) != WEFT_OK) {
        (void)snprintf(error->text, sizeof(error->text), "%s: no such topology can be made",
                       options->scenario->name);
        world_free(world);
        return NULL;
    }
    world->net = net_new(world->scenario, &world->plan, options->seed, &world->timers, TIMER_NET);
    make_nodes(world);
    schedule_starts(world);
    return world;
}

static void free_calls(struct world *world) {
    struct timer *timer;
    while ((timer = timers_pop(&world->timers, WEFT_NEVER - 1)) != NULL) {
        if (timer->kind == TIMER_CALL) {
            free(timer->owner);
        }
    }
}

void world_free(struct world *world) {
    if (world == NULL) {
        return;
    }
    for (uint32_t i = 0; world->nodes != NULL && i < world->plan.node_count; i++) {
        node_fini(&world->nodes[i]);
    }
    free_calls(world);
    net_free(world->net);
    timers_fini(&world->timers);
    for (size_t i = 0; i < 3; i++) {
        frame_unref(world->shake[i]);
    }
    record_pool_free(world->records);
    graph_pool_free(world->graphs);
    peer_table_fini(&world->by_id);
    plan_fini(&world->plan);
    metrics_free(world->metrics);
    free(world->touched);
    free(world->nodes);
    free(world);
}

void world_add_observer(struct world *world, const struct observer *observer) {
    ASSERT(world->observer_count < OBSERVERS_MAX);
    world->observers[world->observer_count++] = *observer;
}

void world_set_application(struct world *world, const struct application *application) {
    world->application = *application;
}

void world_at(struct world *world, weft_ns at, void (*function)(void *ctx), void *ctx) {
    struct call *call = must(calloc(1, sizeof(*call)));
    ASSERT(at >= world->now);
    call->timer = (struct timer){.kind = TIMER_CALL, .owner = call};
    call->call = function;
    call->ctx = ctx;
    world_arm(world, &call->timer, at);
}

static void fire_call(struct call *call) {
    struct call copy = *call;
    free(call);
    copy.call(copy.ctx);
}

/* What became of connections, by a timer of the net's or by a fault outside of any step. */
static void take_net_events(struct world *world) {
    struct net_event event;
    while (net_next_event(world->net, &event)) {
        host_net_event(world, &event);
        frame_unref(event.frame);
        frame_unref(event.payload);
    }
}

static void fire(struct world *world, struct timer *timer) {
    switch ((enum world_timer)timer->kind) {
    case TIMER_NET:
        net_fire(world->net, timer, world->now);
        take_net_events(world);
        break;
    case TIMER_NODE:
        host_fire(timer->owner);
        break;
    case TIMER_LINK:
        carry_timeout(world, timer);
        break;
    case TIMER_CALL:
        fire_call(timer->owner);
        break;
    }
}

void world_run(struct world *world, weft_ns until) {
    world->is_stopped = false;
    while (!world->is_stopped) {
        take_net_events(world);
        weft_ns next = timers_deadline(&world->timers);
        if (next > until) {
            world->now = until > world->now ? until : world->now;
            return;
        }
        world->now = next > world->now ? next : world->now;
        world->steps++;
        fire(world, timers_pop(&world->timers, world->now));
    }
}

void world_stop(struct world *world) {
    world->is_stopped = true;
}

void world_withhold_news(struct world *world, bool is_withholding) {
    world->is_withholding = is_withholding;
}

weft_ns world_now(const struct world *world) {
    return world->now;
}

uint64_t world_step_count(const struct world *world) {
    return world->steps;
}

uint64_t world_trace_hash(const struct world *world) {
    return world->hash;
}

uint32_t world_node_count(const struct world *world) {
    return world->plan.node_count;
}

enum node_state world_node_state(const struct world *world, uint32_t node) {
    return world->nodes[node].state;
}

struct core *world_core(struct world *world, uint32_t node) {
    return world->nodes[node].core;
}

uint64_t world_topology_digest(struct world *world, uint32_t node) {
    const struct node *it = &world->nodes[node];
    return core_topology_digest(it->core, host_now(it));
}

const struct weft_peer_id *world_id(const struct world *world, uint32_t node) {
    return &world->nodes[node].identity.id;
}

const struct identity *world_identity(const struct world *world, uint32_t node) {
    return &world->nodes[node].identity;
}

bool world_find_node(const struct world *world, const struct weft_peer_id *peer, uint32_t *out) {
    uint32_t index = peer_table_find(&world->by_id, peer);
    if (index == PEER_TABLE_NONE) {
        return false;
    }
    *out = index;
    return true;
}

struct net *world_net(struct world *world) {
    return world->net;
}

const struct plan *world_plan(const struct world *world) {
    return &world->plan;
}

struct metrics *world_metrics(struct world *world) {
    return world->metrics;
}

const struct scenario *world_scenario(const struct world *world) {
    return world->scenario;
}

weft_ns world_node_now(const struct world *world, uint32_t node) {
    return host_now(&world->nodes[node]);
}

void world_pump(struct world *world, uint32_t node) {
    host_pump(&world->nodes[node]);
}
