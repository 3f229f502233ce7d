/* SPDX-License-Identifier: Apache-2.0
 *
 * Reassembly against a model: any pieces in any order give the same bytes, or are dropped and not
 * acknowledged; memory stays within the window.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "base/rng.h"
#include "harness.h"
#include "stream/receive.h"
#include "stream/state.h"

#define LEN 50000

static struct net net;
static uint8_t content[LEN];

static struct wire_part_data piece(uint64_t start, uint64_t end, bool is_fin) {
    return (struct wire_part_data){.offset = start,
                                   .flags = is_fin ? WIRE_DATA_FIN : 0,
                                   .bytes = span_of(content + start, (size_t)(end - start))};
}

static struct stream setup(uint64_t seed, size_t window) {
    net_init(&net, seed, 1);
    net.nodes[0].streams->config.window_bytes = window;
    for (size_t i = 0; i < LEN; i++) {
        content[i] = net_byte(seed, i);
    }
    struct stream stream = {.wire_id = 1};
    receive_init(&stream.receive, net.nodes[0].streams);
    return stream;
}

static struct span first_of(const struct receive_side *receive) {
    struct span first = {.data = NULL, .len = 0};
    (void)receive_peek(receive, &first, 1);
    return first;
}

static void check_list(const struct receive_side *receive) {
    uint64_t at = receive->consumed;
    uint64_t held = 0;
    const struct receive_chunk *last = NULL;
    for (const struct receive_chunk *chunk = receive->head; chunk != NULL; chunk = chunk->next) {
        cr_assert_gt(chunk->start + chunk->len, at);
        cr_assert(last == NULL || chunk->start >= at);
        held += chunk->start > receive->arrived ? 1 : 0;
        at = chunk->start + chunk->len;
        last = chunk;
    }
    cr_assert_eq(receive->tail, last);
    cr_assert_eq(receive->held_count, held);
}

static void read_some(struct stream *stream, uint64_t *read, size_t most) {
    struct span bytes = first_of(&stream->receive);
    size_t len = bytes.len < most ? bytes.len : most;
    cr_assert(len == 0 || memcmp(bytes.data, content + *read, len) == 0);
    (void)receive_consume(net.nodes[0].streams, stream, len, net.now);
    *read += len;
}

Test(receive, any_pieces_give_the_same_bytes) {
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct stream stream = setup(seed, 20000);
        uint64_t read = 0;
        size_t rounds = 0;
        while (!receive_is_done(&stream.receive)) {
            uint64_t granted = receive_grant(&stream.receive, net.nodes[0].streams);
            uint64_t limit = granted < LEN ? granted : LEN;
            uint64_t lowest = stream.receive.arrived > 500 ? stream.receive.arrived - 500 : 0;
            uint64_t start = lowest + rng_below(&net.rng, limit - lowest + 1);
            uint64_t end = start + rng_below(&net.rng, 1 + (seed % 2 == 0 ? 30 : 3000));
            end = end > limit ? limit : end;
            if (rng_below(&net.rng, 4) == 0) {
                start = start > stream.receive.arrived ? stream.receive.arrived : start;
            }
            struct wire_part_data part = piece(start, end, end == LEN);
            struct receive_result result;
            cr_assert_eq(receive_data(&stream.receive, &part, NULL, &result), WEFT_OK);
            check_list(&stream.receive);
            cr_assert_leq(stream.receive.held_bytes, 20000 + 16384);
            read_some(&stream, &read, (size_t)rng_below(&net.rng, 2000));
            cr_assert_lt(++rounds, 1000000);
        }
        cr_assert_eq(read, LEN);
        receive_fini(&stream.receive, net.nodes[0].streams);
        net_fini(&net);
    }
}

/* A reset may come between a socket's turn and the news of the reset. */
Test(receive, what_was_unread_is_not_there_any_more_after_the_end) {
    struct stream stream = setup(1, 20000);
    (void)receive_grant(&stream.receive, net.nodes[0].streams);
    struct wire_part_data part = piece(0, 1000, false);
    struct receive_result result;
    uint64_t read = 0;
    cr_assert_eq(receive_data(&stream.receive, &part, NULL, &result), WEFT_OK);
    read_some(&stream, &read, 100);
    receive_fini(&stream.receive, net.nodes[0].streams);
    cr_expect_eq(first_of(&stream.receive).len, 0);
    net_fini(&net);
}

Test(receive, acks_name_what_lies_beyond_gaps) {
    struct stream stream = setup(1, 20000);
    (void)receive_grant(&stream.receive, net.nodes[0].streams);
    struct receive_result result;
    for (uint64_t i = 0; i < 20; i++) {
        struct wire_part_data part = piece(100 + i * 20, 110 + i * 20, false);
        cr_assert_eq(receive_data(&stream.receive, &part, NULL, &result), WEFT_OK);
        cr_assert(result.must_ack && result.is_new);
    }
    struct wire_part_data joint = piece(110, 120, false);
    cr_assert_eq(receive_data(&stream.receive, &joint, NULL, &result), WEFT_OK);
    struct wire_part_ack ack;
    receive_ack(&stream, net.nodes[0].streams, &ack);
    cr_assert_eq(ack.cumulative, 0);
    cr_assert_eq(ack.range_count, WIRE_ACK_RANGES_MAX);
    cr_assert_eq(ack.ranges[0].start, 100);
    cr_assert_eq(ack.ranges[0].end, 130);
    cr_assert_eq(ack.ranges[1].start, 140);
    receive_fini(&stream.receive, net.nodes[0].streams);
    net_fini(&net);
}

/* As many beyond a gap as are held, then what fills it: 65 bytes of memory a byte, once. */
Test(receive, one_byte_pieces_are_gathered_when_the_gap_is_filled) {
    struct stream stream = setup(3, LEN);
    (void)receive_grant(&stream.receive, net.nodes[0].streams);
    struct receive_result result;
    for (uint64_t from = 0; from < LEN; from += 1000) {
        for (uint64_t i = 1000; i > 0; i--) {
            struct wire_part_data part = piece(from + i - 1, from + i, false);
            cr_assert_eq(receive_data(&stream.receive, &part, NULL, &result), WEFT_OK);
        }
        check_list(&stream.receive);
    }
    uint64_t memory = 0;
    for (const struct receive_chunk *chunk = stream.receive.head; chunk != NULL;
         chunk = chunk->next) {
        memory += sizeof *chunk + chunk->size;
    }
    cr_assert_eq(stream.receive.arrived, LEN);
    cr_assert_leq(memory, 2 * LEN, "%llu", (unsigned long long)memory);
    for (uint64_t read = 0; read < LEN;) {
        read_some(&stream, &read, 7777);
    }
    receive_fini(&stream.receive, net.nodes[0].streams);
    net_fini(&net);
}

/* One part that covers pieces that came before it, the first of which joins the block before. */
Test(receive, a_part_over_gathered_pieces_fills_every_gap) {
    struct stream stream = setup(4, 20000);
    (void)receive_grant(&stream.receive, net.nodes[0].streams);
    const struct wire_part_data parts[] = {piece(0, 5, false), piece(8, 9, false),
                                           piece(12, 13, false), piece(5, 20, false)};
    for (size_t i = 0; i < 4; i++) {
        struct receive_result result;
        cr_assert_eq(receive_data(&stream.receive, &parts[i], NULL, &result), WEFT_OK);
        check_list(&stream.receive);
    }
    cr_assert_eq(stream.receive.arrived, 20);
    uint64_t read = 0;
    while (read < 20) {
        read_some(&stream, &read, 20);
    }
    receive_fini(&stream.receive, net.nodes[0].streams);
    net_fini(&net);
}

Test(receive, one_byte_pieces_stay_within_the_window) {
    struct stream stream = setup(2, 20000);
    (void)receive_grant(&stream.receive, net.nodes[0].streams);
    for (uint64_t at = 19999; at > 0; at--) {
        struct wire_part_data part = piece(at, at + 1, false);
        struct receive_result result;
        cr_assert_eq(receive_data(&stream.receive, &part, NULL, &result), WEFT_OK);
    }
    cr_assert_leq(stream.receive.held_bytes, 20000 + 16384);
    cr_assert_leq(stream.receive.held_count, 1024);
    receive_fini(&stream.receive, net.nodes[0].streams);
    net_fini(&net);
}

Test(receive, keeps_large_parts_in_their_packet) {
    struct stream stream = setup(3, 40000);
    (void)receive_grant(&stream.receive, net.nodes[0].streams);
    struct frame *frame = frame_copy(span_of(content, 30000));
    struct wire_part_data part = {.offset = 0, .bytes = frame_view(frame)};
    struct receive_result result;
    cr_assert_eq(receive_data(&stream.receive, &part, frame, &result), WEFT_OK);
    cr_assert_eq(frame->reference_count, 2);
    cr_assert_eq(first_of(&stream.receive).data, frame->data);
    uint64_t read = 0;
    read_some(&stream, &read, 30000);
    cr_assert_eq(frame->reference_count, 1);
    frame_unref(frame);
    receive_fini(&stream.receive, net.nodes[0].streams);
    net_fini(&net);
}

Test(receive, contradictions_are_refused) {
    struct stream stream = setup(4, 1000);
    (void)receive_grant(&stream.receive, net.nodes[0].streams);
    struct receive_result result;
    struct wire_part_data beyond = piece(990, 1001, false);
    cr_assert_eq(receive_data(&stream.receive, &beyond, NULL, &result), WEFT_ERR_MALFORMED);
    struct wire_part_data held = piece(500, 600, false);
    cr_assert_eq(receive_data(&stream.receive, &held, NULL, &result), WEFT_OK);
    struct wire_part_data early_fin = piece(100, 200, true);
    cr_assert_eq(receive_data(&stream.receive, &early_fin, NULL, &result), WEFT_ERR_MALFORMED);
    struct wire_part_data fin = piece(600, 700, true);
    cr_assert_eq(receive_data(&stream.receive, &fin, NULL, &result), WEFT_OK);
    struct wire_part_data moved_fin = piece(600, 701, true);
    cr_assert_eq(receive_data(&stream.receive, &moved_fin, NULL, &result), WEFT_ERR_MALFORMED);
    struct wire_part_data behind_fin = piece(700, 710, false);
    cr_assert_eq(receive_data(&stream.receive, &behind_fin, NULL, &result), WEFT_ERR_MALFORMED);
    receive_fini(&stream.receive, net.nodes[0].streams);
    net_fini(&net);
}
