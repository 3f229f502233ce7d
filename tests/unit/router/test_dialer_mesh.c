/* SPDX-License-Identifier: Apache-2.0
 *
 * Many connection makers that join one seed at once, in virtual time: a dial takes 5 ms, news of a
 * link reaches everybody 20 ms later. In the end all hang together, nobody has too many links, and
 * no trim ever cut the mesh.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "graph.h"
#include "router/dialer.h"

#define NODES 50
#define DIAL_NS (5 * NS_PER_MS)
#define NEWS_NS (20 * NS_PER_MS)
#define EVENTS_MAX 4096
#define LINKS_MAX 2000

enum event_kind {
    EVENT_DIALLED, /* a dial has gone through */
    EVENT_NEWS,    /* a node's record reaches everybody */
};

struct event {
    weft_ns at;
    uint64_t order;
    enum event_kind kind;
    uint32_t node;
    uint32_t to;
    uint64_t token;
};

/* A link; both ends call it by its index + 1. */
struct pipe {
    uint32_t a;
    uint32_t b;
    bool is_up;
};

struct world {
    struct graph graph; /* the links that are up, as they are */
    struct dialer *dialers[NODES];
    struct router *routers[NODES];
    struct host host;
    uint64_t random_state;
    struct event events[EVENTS_MAX];
    size_t event_count;
    uint64_t order_last;
    struct pipe pipes[LINKS_MAX];
    size_t pipe_count;
    uint32_t trims;
    weft_ns now;
};

static void random_fill(void *ctx, uint8_t *out, size_t len) {
    struct world *world = ctx;
    struct rng rng = graph_rng(++world->random_state);
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)rng_next(&rng);
    }
}

static void event_add(struct world *world, weft_ns after, struct event event) {
    cr_assert_lt(world->event_count, EVENTS_MAX);
    event.at = world->now + after;
    event.order = ++world->order_last;
    world->events[world->event_count++] = event;
}

static void news(struct world *world, uint32_t node) {
    event_add(world, NEWS_NS, (struct event){.kind = EVENT_NEWS, .node = node});
}

/* What a node knows of itself it knows at once; the others hear of it. */
static void links_changed(struct world *world, uint32_t node) {
    graph_tell(&world->graph, world->routers[node], node, world->now);
    news(world, node);
}

static uint32_t degree_of(const struct world *world, uint32_t node) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < NODES; i++) {
        count += world->graph.costs[node][i] != 0 ? 1 : 0;
    }
    return count;
}

static void record_spread(struct world *world, uint32_t node) {
    char address[32];
    snprintf(address, sizeof address, "10.0.%u.1:9338", node);
    const char *const addresses[] = {address};
    uint8_t buffer[500];
    struct wire_peer_source source = {
        .name = "n", .software = "", .addresses = addresses, .address_count = 1};
    struct wire_writer writer = wire_writer_of(buffer, sizeof buffer);
    wire_peer_body_encode(&writer, &source);
    struct wire_peer_body body;
    cr_assert_eq(wire_peer_body_decode(wire_writer_view(&writer), &body), WEFT_OK);
    for (uint32_t i = 0; i < NODES; i++) {
        /* Before its first link a node hears nothing. */
        if (degree_of(world, i) > 0) {
            dialer_learn(world->dialers[i], &world->graph.ids[node], &body, world->now);
        }
        graph_tell(&world->graph, world->routers[i], node, world->now);
    }
}

static void pipe_open(struct world *world, const struct event *event) {
    uint32_t a = event->node;
    uint32_t b = event->to;
    if (world->graph.costs[a][b] != 0 ||
        !dialer_admit(world->dialers[b], world->routers[b], &world->graph.ids[a])) {
        dialer_failed(world->dialers[a], world->routers[a], event->token, "refused", world->now);
        return;
    }
    cr_assert_lt(world->pipe_count, LINKS_MAX);
    world->pipes[world->pipe_count++] = (struct pipe){.a = a, .b = b, .is_up = true};
    struct link_id link = {.value = world->pipe_count};
    graph_link(&world->graph, a, b, 1000);
    dialer_link_up(world->dialers[a], link, &world->graph.ids[b], event->token, world->now);
    dialer_link_up(world->dialers[b], link, &world->graph.ids[a], 0, world->now);
    links_changed(world, a);
    links_changed(world, b);
}

static bool is_whole(const struct world *world) {
    uint32_t queue[NODES] = {0};
    bool is_seen[NODES] = {true};
    uint32_t count = 1;
    for (uint32_t at = 0; at < count; at++) {
        for (uint32_t i = 0; i < NODES; i++) {
            if (world->graph.costs[queue[at]][i] != 0 && !is_seen[i]) {
                is_seen[i] = true;
                queue[count++] = i;
            }
        }
    }
    return count == NODES;
}

static void pipe_close(struct world *world, struct link_id link) {
    struct pipe *pipe = &world->pipes[link.value - 1];
    cr_assert(pipe->is_up, "a link is trimmed twice");
    pipe->is_up = false;
    bool was_whole = is_whole(world);
    graph_unlink(&world->graph, pipe->a, pipe->b);
    cr_assert(!was_whole || is_whole(world), "a trim cut the mesh");
    dialer_link_down(world->dialers[pipe->a], link, true, world->now);
    dialer_link_down(world->dialers[pipe->b], link, true, world->now);
    links_changed(world, pipe->a);
    links_changed(world, pipe->b);
    world->trims++;
}

static uint32_t node_of(const char *endpoint) {
    unsigned node = 0;
    for (const char *at = endpoint + strlen("10.0."); *at != '.'; at++) {
        node = node * 10 + (unsigned)(*at - '0');
    }
    return node;
}

static void node_run(struct world *world, uint32_t node) {
    struct dial dial;
    struct link_id link;
    (void)router_update(world->routers[node], world->now);
    while (dialer_next_trim(world->dialers[node], world->routers[node], world->now, &link)) {
        pipe_close(world, link);
    }
    while (dialer_next_dial(world->dialers[node], world->routers[node], world->now, &dial)) {
        event_add(world, DIAL_NS,
                  (struct event){.kind = EVENT_DIALLED,
                                 .node = node,
                                 .to = node_of(dial.endpoint),
                                 .token = dial.token});
    }
}

static weft_ns node_deadline(const struct world *world, uint32_t node) {
    return time_min(dialer_deadline(world->dialers[node]), router_deadline(world->routers[node]));
}

/* Takes the next event at or before `limit`, if it comes before all deadlines. */
static bool event_next(struct world *world, weft_ns limit, struct event *out) {
    size_t best = world->event_count;
    for (size_t i = 0; i < world->event_count; i++) {
        const struct event *event = &world->events[i];
        if (best == world->event_count || event->at < world->events[best].at ||
            (event->at == world->events[best].at && event->order < world->events[best].order)) {
            best = i;
        }
    }
    if (best == world->event_count || world->events[best].at > limit) {
        return false;
    }
    *out = world->events[best];
    world->events[best] = world->events[--world->event_count];
    return true;
}

static void world_step(struct world *world, weft_ns end) {
    weft_ns limit = end;
    for (uint32_t i = 0; i < NODES; i++) {
        limit = time_min(limit, node_deadline(world, i));
    }
    struct event event;
    if (event_next(world, limit, &event)) {
        world->now = event.at > world->now ? event.at : world->now;
        if (event.kind == EVENT_DIALLED) {
            pipe_open(world, &event);
        } else {
            record_spread(world, event.node);
        }
    } else {
        world->now = limit > world->now ? limit : world->now;
    }
    for (uint32_t i = 0; i < NODES; i++) {
        if (node_deadline(world, i) <= world->now) {
            node_run(world, i);
        }
        cr_assert(node_deadline(world, i) > world->now ||
                      router_deadline(world->routers[i]) <= world->now ||
                      dialer_deadline(world->dialers[i]) == 0,
                  "node %u spins", i);
    }
}

static void world_run(struct world *world, weft_ns end) {
    uint64_t steps = 0;
    while (world->now < end) {
        world_step(world, end);
        cr_assert_lt(++steps, 1000000, "no progress");
    }
}

static void world_init(struct world *world, uint64_t seed) {
    *world = (struct world){.random_state = seed << 32, .now = NS_PER_S};
    world->host = (struct host){.ctx = world, .random = random_fill};
    world->graph.count = NODES;
    for (uint32_t i = 0; i < NODES; i++) {
        world->graph.ids[i] = graph_id(seed * 1000 + i);
    }
    for (uint32_t i = 0; i < NODES; i++) {
        struct dialer_config config = {.self = world->graph.ids[i],
                                       .host = &world->host,
                                       .degree = 8,
                                       .links_max = 64,
                                       .may_discover = true,
                                       .candidates_max = 100};
        cr_assert_eq(dialer_new(&config, &world->dialers[i]), WEFT_OK);
        world->routers[i] = graph_router(&world->graph, i);
        graph_tell(&world->graph, world->routers[i], i, world->now);
        if (i > 0) {
            cr_assert_eq(dialer_add_seed(world->dialers[i], "10.0.0.1:9338", NULL), WEFT_OK);
        }
    }
}

static void world_fini(struct world *world) {
    for (uint32_t i = 0; i < NODES; i++) {
        dialer_free(world->dialers[i]);
        router_free(world->routers[i]);
    }
}

static void joins_one_seed(uint64_t seed) {
    static struct world world; /* too large for a stack */
    world_init(&world, seed);
    world_run(&world, NS_PER_S + NS_PER_S);
    cr_assert(is_whole(&world), "seed %lu: not joined within a second", seed);
    for (uint32_t i = 0; i < NODES; i++) {
        cr_expect_eq(router_reachable_count(world.routers[i]), NODES - 1,
                     "seed %lu: node %u does not know all within a second", seed, i);
        cr_expect_geq(degree_of(&world, i), 4, "seed %lu: node %u", seed, i);
    }
    world_run(&world, 31 * NS_PER_S);
    cr_assert(is_whole(&world), "seed %lu", seed);
    for (uint32_t i = 0; i < NODES; i++) {
        cr_expect_geq(degree_of(&world, i), 8, "seed %lu: node %u", seed, i);
        cr_expect_leq(degree_of(&world, i), 14, "seed %lu: node %u", seed, i);
    }
    uint32_t trims = world.trims;
    world_run(&world, 61 * NS_PER_S);
    cr_expect_leq(world.trims - trims, 5, "seed %lu: the mesh does not settle", seed);
    world_fini(&world);
}

Test(dialer_mesh, of_50_that_join_one_seed_is_whole_in_a_second_and_bounded_in_30) {
    for (uint64_t seed = 1; seed <= 2; seed++) {
        joins_one_seed(seed);
    }
}
