/* SPDX-License-Identifier: Apache-2.0
 *
 * Many short streams: what opening and closing one costs in packets and round trips, and that ten
 * thousand a second leave nothing behind. Counted, on virtual time.
 */
#include <criterion/criterion.h>

#include "harness.h"
#include "heap.h"
#include "wire/session.h"

#define BATCH 100
#define BATCH_SPAN (10 * NS_PER_MS) /* so: ten thousand a second */
#define DELAY NS_PER_MS

static struct net net;
static uint64_t handshakes;

static void count_handshakes(struct net *of, unsigned from, unsigned to, struct frame *frame) {
    (void)of;
    (void)from;
    (void)to;
    handshakes += frame->data[0] != WIRE_PACKET_SEALED ? 1 : 0;
}

static uint64_t packets(void) {
    return net.channels[0][1].packets + net.channels[1][0].packets;
}

/* Node 1 echoes; a session with it is there. */
static void begin(uint64_t seed) {
    net_init(&net, seed, 2);
    net.channels[0][1].delay = net.channels[1][0].delay = DELAY;
    net.nodes[1].echoes = true;
    (void)net_open(&net, 0, 1, 100);
    cr_assert(net_settle(&net, NS_PER_S));
    net_run(&net, net.now + NS_PER_S);
    net.tap = count_handshakes;
    handshakes = 0;
}

/* One batch after the other, each of which is opened at once and must be over when the next is due:
 * every byte back, both ends closed. */
static void churn(unsigned count) {
    for (unsigned done = 0; done < count; done += BATCH) {
        net.end_count = 0;
        memset(net.ends, 0, 2 * sizeof(net.ends[0]) * BATCH);
        for (unsigned i = 0; i < BATCH; i++) {
            cr_assert_not_null(net_open(&net, 0, 1, 100));
        }
        net_run(&net, net.now + BATCH_SPAN);
        cr_assert_eq(net.end_count, 2 * BATCH);
        for (size_t i = 0; i < net.end_count; i++) {
            cr_assert(net.ends[i].was_closed && net.ends[i].read == 100, "stream %zu of %u", i,
                      done);
        }
    }
}

Test(churn, ten_thousand_streams_a_second_leave_nothing_behind) {
    begin(1);
    churn(1000);
    weft_ns start = net.now;
    size_t before = heap_bytes();
    churn(10000);
    cr_assert_eq(net.now - start, NS_PER_S);
    cr_assert_leq(heap_bytes(), before + 8192, "%zu bytes more", heap_bytes() - before);
    cr_assert_eq(streams_count(net.nodes[0].streams).open, 0);
    cr_assert_eq(streams_count(net.nodes[1].streams).open, 0);
    cr_assert_eq(streams_count(net.nodes[0].streams).bytes_resent, 0);
    cr_assert_eq(handshakes, 0, "the session was there");
    net_fini(&net);
}

/* Bytes travel one stream to a packet, since they are sealed where they lie; all else (acceptances,
 * acks, ends) shares packets: six for a stream alone, hardly more than one each way among many. */
Test(churn, a_short_stream_among_many_costs_a_packet_each_way) {
    begin(2);
    uint64_t before = packets();
    churn(BATCH);
    uint64_t spent = packets() - before;
    cr_assert_leq(spent, 2 * BATCH + BATCH / 10, "%llu packets for %d streams",
                  (unsigned long long)spent, BATCH);
    net_fini(&net);
}

/* What a stream waits for besides its service: with a session there is no handshake, and its bytes
 * go with the OPEN (early.a_request_costs_one_round_trip). */
Test(churn, only_the_first_stream_to_a_peer_waits_for_a_handshake) {
    net_init(&net, 4, 2);
    net.channels[0][1].delay = net.channels[1][0].delay = DELAY;
    net.nodes[1].echoes = true;
    net.tap = count_handshakes;
    handshakes = 0;
    struct end *first = net_open(&net, 0, 1, 100);
    struct end *second = net_open(&net, 0, 1, 100);
    weft_ns start = net.now;
    net_run(&net, start + 4 * DELAY - 1);
    cr_assert_eq(first->read + second->read, 0);
    net_run(&net, start + 4 * DELAY);
    cr_assert(first->read == 100 && second->read == 100, "one handshake for both");
    cr_assert_eq(handshakes, 2, "a question and an answer");
    net_fini(&net);
}

/* Its OPEN is lost and comes again after a second, which is what 10,000 streams take. */
Test(churn, an_open_that_is_lost_among_many_opens_all_the_same) {
    net_init(&net, 3, 2);
    net.nodes[1].echoes = true;
    (void)net_open(&net, 0, 1, 100);
    cr_assert(net_settle(&net, NS_PER_S));
    net.channels[0][1].is_cut = true;
    struct end *lost = net_open(&net, 0, 1, 100);
    net_pump(&net);
    net.channels[0][1].is_cut = false;
    for (unsigned done = 0; done < 9000; done += 100) {
        for (unsigned i = 0; i < 100; i++) {
            cr_assert_not_null(net_open(&net, 0, 1, 100));
        }
        net_run(&net, net.now + 10 * NS_PER_MS);
        for (size_t i = 0; i < net.end_count; i++) {
            struct end *end = &net.ends[i];
            end->is_used = end->is_used && !end->was_closed;
        }
    }
    net_run(&net, net.now + 10 * NS_PER_S);
    cr_expect(lost->was_closed, "refused %d, reason %d", lost->was_refused, (int)lost->reason);
    net_fini(&net);
}
