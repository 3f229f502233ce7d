/* SPDX-License-Identifier: Apache-2.0
 *
 * B5: all paths of 10,000 nodes and 80,000 arcs, as a daemon computes them when asked: the whole
 * of it (freeze, Dijkstra, digest), and after one link has changed; and one broadcast tree. Prints
 * lines of a name and milliseconds; bench/mesh.py reads them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/rng.h"
#include "base/time.h"
#include "router/router.h"

#define NODES 10000
#define LINKS_EACH 8
#define ROUNDS 21

struct bench {
    struct rng rng;
    struct weft_peer_id ids[NODES];
    struct wire_peer_link links[NODES][LINKS_EACH];
    uint8_t body[2000];
    struct router *router;
    weft_ns now; /* virtual, for the pace */
};

static double wall_ms(void) {
    struct timespec now;
    ASSERT(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int link_compare(const void *a, const void *b) {
    const struct wire_peer_link *left = a;
    const struct wire_peer_link *right = b;
    return weft_peer_id_compare(&left->peer, &right->peer);
}

/* Node i is linked to i +- 1, 7, 137 and 2,311: 8 links each, a small diameter, no duplicate. */
static void links_make(struct bench *bench, uint32_t node) {
    static const uint32_t steps[] = {1, 7, 137, 2311};
    for (uint32_t i = 0; i < LINKS_EACH; i++) {
        uint32_t step = steps[i / 2];
        uint32_t far = (node + (i % 2 == 0 ? step : NODES - step)) % NODES;
        bench->links[node][i] = (struct wire_peer_link){
            .peer = bench->ids[far], .cost_us = 1000 + (uint32_t)rng_below(&bench->rng, 50000)};
    }
    qsort(bench->links[node], LINKS_EACH, sizeof bench->links[node][0], link_compare);
}

static void node_tell(struct bench *bench, uint32_t node) {
    struct wire_peer_source source = {
        .name = "bench", .software = "", .links = bench->links[node], .link_count = LINKS_EACH};
    struct wire_writer writer = wire_writer_of(bench->body, sizeof bench->body);
    wire_peer_body_encode(&writer, &source);
    struct wire_peer_body body;
    ASSERT(wire_peer_body_decode(wire_writer_view(&writer), &body) == WEFT_OK);
    struct wire_word *word = NULL;
    ASSERT(wire_word_new(&bench->ids[node], &body, &word) == WEFT_OK);
    ASSERT(router_set_peer(bench->router, word, bench->now) == WEFT_OK);
    wire_word_unref(word);
}

static double compute(struct bench *bench) {
    bench->now += 10 * NS_PER_S;
    double start = wall_ms();
    ASSERT(router_update(bench->router, bench->now));
    ASSERT(router_path_to(bench->router, &bench->ids[NODES / 2]).is_reachable);
    return wall_ms() - start;
}

static int double_compare(const void *a, const void *b) {
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

static void report(const char *what, double *ms) {
    qsort(ms, ROUNDS, sizeof ms[0], double_compare);
    printf("%s %.4f\n", what, ms[ROUNDS / 2]);
}

static void bench_init(struct bench *bench) {
    rng_init(&bench->rng, (const uint8_t[32]){1});
    for (uint32_t i = 0; i < NODES; i++) {
        for (size_t j = 0; j < sizeof bench->ids[i].bytes; j++) {
            bench->ids[i].bytes[j] = (uint8_t)rng_next(&bench->rng);
        }
    }
    struct router_config config = {.self = bench->ids[0], .peers_max = NODES};
    ASSERT(router_new(&config, &bench->router) == WEFT_OK);
    double start = wall_ms();
    for (uint32_t i = 0; i < NODES; i++) {
        links_make(bench, i);
        node_tell(bench, i);
    }
    printf("load %.4f\n", wall_ms() - start);
}

static void bench_run(struct bench *bench) {
    double ms[ROUNDS];
    printf("all %.4f\n", compute(bench));
    ASSERT(router_reachable_count(bench->router) == NODES - 1);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t node = 1 + (uint32_t)rng_below(&bench->rng, NODES - 1);
        bench->links[node][0].cost_us ^= 1024;
        node_tell(bench, node);
        ms[i] = compute(bench);
    }
    report("changed", ms);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        struct weft_peer_id children[LINKS_EACH];
        double start = wall_ms();
        (void)router_children(bench->router, &bench->ids[1 + i], children, LINKS_EACH);
        ms[i] = wall_ms() - start;
    }
    report("tree", ms);
}

int main(void) {
    struct bench *bench = calloc(1, sizeof *bench);
    ASSERT(bench != NULL);
    bench_init(bench);
    bench_run(bench);
    router_free(bench->router);
    free(bench);
    return 0;
}
