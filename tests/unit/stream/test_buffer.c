/* SPDX-License-Identifier: Apache-2.0
 *
 * The send buffer against a model: whatever is read into it or copied to it, in whatever pieces,
 * stands there in order until it is acknowledged, and its memory is counted to the byte.
 */
#include <criterion/criterion.h>

#include "base/rng.h"
#include "stream/buffer.h"
#include "support/failing_alloc.h"
#include "unit/stream/harness.h"

#define STEPS 4000

static struct net net;
static struct send_side send;
static struct rng rng;

static void setup(uint64_t seed) {
    const uint8_t bytes[32] = {(uint8_t)seed, (uint8_t)(seed >> 8), 1};
    net_init(&net, seed, 1);
    net.nodes[0].config.send_bytes_max = 2000000;
    net.nodes[0].config.send_bytes_total_max = 3000000;
    net_restart(&net, 0, 60);
    send = (struct send_side){.head = NULL};
    rng_init(&rng, bytes);
}

static void teardown(void) {
    buffer_fini(net.nodes[0].streams, &send);
    cr_assert_eq(net.nodes[0].streams->send_bytes, 0);
    net_fini(&net);
}

static void read_once(uint64_t most) {
    size_t len = 0;
    uint8_t *space = buffer_space(net.nodes[0].streams, &send, &len);
    if (space == NULL) {
        cr_assert_eq(buffer_room(net.nodes[0].streams, &send), 0);
        return;
    }
    cr_assert_geq(len, 1);
    len = most < len ? (size_t)most : len;
    for (size_t i = 0; i < len; i++) {
        space[i] = net_byte(1, send.end + i);
    }
    buffer_written(net.nodes[0].streams, &send, len);
}

static void write_once(size_t len) {
    static uint8_t bytes[200000];
    for (size_t i = 0; i < len; i++) {
        bytes[i] = net_byte(1, send.end + i);
    }
    (void)buffer_write(net.nodes[0].streams, &send, span_of(bytes, len));
}

static void check(void) {
    uint64_t at = send.head == NULL ? send.end : send.head->start;
    uint64_t size = 0;
    cr_assert_leq(at, send.acked);
    for (const struct send_chunk *chunk = send.head; chunk != NULL; chunk = chunk->next) {
        cr_assert_eq(chunk->start, at);
        cr_assert_leq(chunk->len, chunk->size);
        cr_assert(chunk->len == 0 ||
                  (chunk->bytes[0] == net_byte(1, at) &&
                   chunk->bytes[chunk->len - 1] == net_byte(1, at + chunk->len - 1)));
        at += chunk->len;
        size += chunk->size;
        cr_assert(chunk->next != NULL || chunk == send.tail);
    }
    cr_assert_eq(at, send.end);
    cr_assert_eq(size, net.nodes[0].streams->send_bytes);
    cr_assert_eq(size, send.held);
    cr_assert_leq(send.end - send.acked, 2000000);
    cr_assert_leq(size, 3000000);
}

static void ack(uint64_t bytes) {
    uint64_t left = send.end - send.acked;
    send.acked += bytes < left ? bytes : left;
    buffer_free_acked(net.nodes[0].streams, &send);
}

Test(buffer, keeps_every_byte_until_it_is_acknowledged) {
    for (uint64_t seed = 1; seed <= 10; seed++) {
        setup(seed);
        for (int i = 0; i < STEPS; i++) {
            uint64_t kind = rng_below(&rng, 8);
            if (kind < 3) {
                read_once(kind == 0 ? UINT64_MAX : rng_below(&rng, 300));
            } else if (kind < 5) {
                write_once((size_t)rng_below(&rng, kind == 3 ? 500 : 200000));
            } else {
                ack(rng_below(&rng, kind == 7 ? 1000000 : 70000));
            }
            check();
        }
        ack(UINT64_MAX);
        cr_assert_null(send.head);
        teardown();
    }
}

Test(buffer, blocks_grow_with_reads_that_fill_them) {
    size_t last = 0;
    setup(1);
    net.nodes[0].config.send_bytes_total_max = 30000000; /* blocks are small where room is */
    net_restart(&net, 0, 61);
    for (int i = 0; i < 4; i++) {
        size_t len = 0;
        cr_assert_not_null(buffer_space(net.nodes[0].streams, &send, &len));
        cr_assert_geq(len, last);
        buffer_written(net.nodes[0].streams, &send, len);
        ack(UINT64_MAX);
        last = len;
    }
    cr_assert_eq(last, (size_t)4 * DATA_BYTES_MAX);
    teardown();
}

Test(buffer, a_request_costs_little_memory) {
    setup(1);
    for (int i = 0; i < 10; i++) {
        read_once(100);
    }
    cr_assert_leq(net.nodes[0].streams->send_bytes, (uint64_t)10 * 1024);
    teardown();
}

Test(buffer, a_read_that_gives_nothing_costs_nothing) {
    setup(1);
    read_once(0);
    cr_assert_null(send.head);
    cr_assert_eq(net.nodes[0].streams->send_bytes, 0);
    teardown();
}

/* Reads `count` full blocks, all unacknowledged together; whether one of them was new. */
static bool allocates(size_t count) {
    failing_alloc_arm(1);
    for (size_t i = 0; i < count; i++) {
        size_t len = 0;
        if (buffer_space(net.nodes[0].streams, &send, &len) != NULL) {
            buffer_written(net.nodes[0].streams, &send, len);
        }
    }
    bool is_new = failing_alloc_disarm();
    ack(UINT64_MAX);
    return is_new;
}

/* A bulk stream that keeps four of them under way allocates none; beyond, or unused for a while,
 * their memory is given back. */
Test(buffer, full_blocks_are_used_again_until_nobody_needs_them) {
    setup(1);
    net.nodes[0].config.send_bytes_max = 30000000;
    net.nodes[0].config.send_bytes_total_max = 900000000;
    net_restart(&net, 0, 62);
    struct streams *streams = net.nodes[0].streams;
    send.appetite = 2;
    cr_expect(allocates(6));
    cr_expect_eq(streams->full_blocks.count, 4);
    streams_trim(streams);
    cr_expect(!allocates(4), "all were in use since they were trimmed last");
    cr_expect(allocates(5));
    streams_trim(streams);
    cr_expect(!allocates(3));
    streams_trim(streams);
    cr_expect_eq(streams->full_blocks.count, 3);
    streams_trim(streams);
    cr_expect_eq(streams->full_blocks.count, 0);
    teardown();
}
