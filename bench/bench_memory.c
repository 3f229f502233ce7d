/* SPDX-License-Identifier: Apache-2.0
 *
 * A10: what one daemon's core holds of a mesh of 10,000 nodes, 8 links each, with one service each:
 * all 20,000 signed records come over one link, as they do to a node that joins, and nothing is
 * shared with other cores. Prints resident memory before and after, and the processor time that
 * taking them took.
 *
 *     bench_memory [NODES]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/rng.h"
#include "base/time.h"
#include "core/core.h"

#define NODES_DEFAULT 10000
#define NODES_MIN 10 /* fewer have no 8 different neighbours */
#define LINKS_EACH 8
#define FRAME_BYTES (WIRE_BODY_BYTES_MAX - 2000) /* no record here is larger than the rest */

struct bench {
    uint32_t nodes;
    struct rng rng;
    struct identity self;
    struct identity *others;
    struct core *core;
    uint8_t frame[WIRE_FRAME_HEADER_BYTES + WIRE_BODY_BYTES_MAX];
    struct wire_writer writer;
    size_t begin;
    size_t bytes; /* of all records */
    weft_ns now;
};

static const uint8_t psk[WEFT_KEY_BYTES] = {7};
static const struct link_id the_link = {.value = 1};

static void fill(void *ctx, uint8_t *out, size_t len) {
    struct bench *bench = ctx;
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)rng_next(&bench->rng);
    }
}

static double cpu_ms(void) {
    struct timespec now;
    ASSERT(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) == 0);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static double resident_mb(void) {
    char line[128];
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file != NULL && fgets(line, sizeof line, file) != NULL) {
        const char *second = strchr(line, ' ');
        pages = second != NULL ? strtoul(second, NULL, 10) : 0;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

static void drain(struct bench *bench) {
    struct action action;
    while (core_next_action(bench->core, &action)) {
        action_release(&action);
    }
}

static void frame_begin(struct bench *bench) {
    bench->writer = wire_writer_of(bench->frame, sizeof bench->frame);
    bench->begin = wire_frame_begin(&bench->writer, WIRE_RECORDS, 0);
}

static void frame_flush(struct bench *bench) {
    wire_frame_end(&bench->writer, bench->begin);
    struct wire_reader reader = wire_reader_of(wire_writer_view(&bench->writer));
    struct wire_frame frame;
    ASSERT(wire_frame_next(&reader, &frame) == WEFT_OK);
    core_link_frame(bench->core, the_link, &frame, (struct span){0}, bench->now);
    drain(bench);
    frame_begin(bench);
}

static void give(struct bench *bench, const struct identity *owner, uint16_t kind, const char *key,
                 struct span body) {
    struct record *record = NULL;
    const struct wire_record fields = {
        .kind = kind, .key = span_of_text(key), .incarnation = 1, .version = 1, .body = body};
    ASSERT(record_sign(owner, &fields, &record) == WEFT_OK);
    bench->bytes += record->encoded.len;
    wire_write_u16(&bench->writer, (uint16_t)record->encoded.len);
    wire_write_bytes(&bench->writer, record->encoded);
    record_unref(record);
    if (bench->writer.len > FRAME_BYTES) {
        frame_flush(bench);
    }
}

static int link_compare(const void *a, const void *b) {
    const struct wire_peer_link *left = a;
    const struct wire_peer_link *right = b;
    return weft_peer_id_compare(&left->peer, &right->peer);
}

/* Node i is linked to i +- 1, 2, 3 and 4; node 0 to us too. */
static uint32_t links_make(const struct bench *bench, uint32_t node,
                           struct wire_peer_link links[LINKS_EACH + 1]) {
    uint32_t count = 0;
    for (uint32_t step = 1; step <= LINKS_EACH / 2; step++) {
        links[count++].peer = bench->others[(node + step) % bench->nodes].id;
        links[count++].peer = bench->others[(node + bench->nodes - step) % bench->nodes].id;
    }
    if (node == 0) {
        links[count++].peer = bench->self.id;
    }
    for (uint32_t i = 0; i < count; i++) {
        links[i].cost_us = 1000 + 100 * i;
    }
    qsort(links, count, sizeof links[0], link_compare);
    return count;
}

static void give_node(struct bench *bench, uint32_t node) {
    uint8_t body[2000];
    char name[32];
    char address[32];
    const char *const addresses[] = {address};
    struct wire_peer_link links[LINKS_EACH + 1];
    (void)snprintf(name, sizeof name, "node-%u", node);
    (void)snprintf(address, sizeof address, "10.%u.%u.%u:9338", node >> 16, node >> 8 & 255U,
                   node & 255U);
    struct wire_peer_source source = {.name = name,
                                      .software = "weft 0.1.0",
                                      .instance = node + 1,
                                      .addresses = addresses,
                                      .address_count = 1,
                                      .links = links,
                                      .link_count = links_make(bench, node, links)};
    struct wire_writer writer = wire_writer_of(body, sizeof body);
    wire_peer_body_encode(&writer, &source);
    give(bench, &bench->others[node], WIRE_RECORD_PEER, "", wire_writer_view(&writer));

    char key[64];
    const struct wire_endpoint endpoint = {
        .address = span_of_text("127.0.0.1:8080"), .health = WIRE_HEALTH_GOOD, .weight = 1};
    (void)snprintf(key, sizeof key, "default/service-%u", node);
    writer = wire_writer_of(body, sizeof body);
    wire_service_body_encode(&writer, WIRE_PROTOCOL_TCP, &endpoint, 1);
    give(bench, &bench->others[node], WIRE_RECORD_SERVICE, key, wire_writer_view(&writer));
}

static void core_make(struct bench *bench) {
    struct core_config config;
    core_config_defaults(&config);
    config.identity = &bench->self;
    config.host = (struct host){.ctx = bench, .random = fill};
    config.name = "bench";
    config.software = "weft 0.1.0";
    config.session_psk = psk;
    config.incarnation = 1;
    config.instance = 1;
    config.may_discover = false;
    ASSERT(core_new(&config, bench->now, &bench->core) == WEFT_OK);
    const struct core_link_info info = {.role = LINK_ACCEPTED,
                                        .key = bench->others[0].key,
                                        .name = "node-0",
                                        .incarnation = 1,
                                        .instance = 1,
                                        .remote = "10.0.0.0:9338"};
    core_link_up(bench->core, the_link, &info, bench->now);
    drain(bench);
}

static void identities_make(struct bench *bench) {
    uint8_t seed[32] = {0};
    rng_init(&bench->rng, seed);
    identity_from_seed(&bench->self, seed);
    bench->others = calloc(bench->nodes, sizeof *bench->others);
    ASSERT(bench->others != NULL);
    for (uint32_t i = 0; i < bench->nodes; i++) {
        uint32_t number = i + 1;
        memcpy(seed, &number, sizeof number);
        identity_from_seed(&bench->others[i], seed);
    }
}

int main(int argc, char **argv) {
    static struct bench bench;
    bench.nodes = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : NODES_DEFAULT;
    bench.now = NS_PER_S;
    if (bench.nodes < NODES_MIN || noise_setup() != WEFT_OK) {
        return EXIT_FAILURE;
    }
    identities_make(&bench);
    core_make(&bench);
    double before = resident_mb();
    double begun = cpu_ms();
    frame_begin(&bench);
    for (uint32_t i = 0; i < bench.nodes; i++) {
        give_node(&bench, i);
    }
    frame_flush(&bench);
    bench.now += NS_PER_S;
    core_tick(bench.core, bench.now);
    drain(&bench);
    double taken = cpu_ms() - begun;
    double held = resident_mb();
    const struct router_path path = core_path_to(bench.core, &bench.others[bench.nodes / 2].id);
    printf("%u nodes, %zu records of %.1f MB, %zu reached, %u hops to the farthest\n",
           (unsigned)bench.nodes, core_live_record_count(bench.core), (double)bench.bytes / 1e6,
           core_reachable_count(bench.core), (unsigned)path.hops);
    printf("resident: %.1f MB before, %.1f with all records, %.1f with paths to all\n", before,
           held, resident_mb());
    printf("signing and taking them: %.0f ms\n", taken);
    core_free(bench.core);
    free(bench.others);
    return EXIT_SUCCESS;
}
