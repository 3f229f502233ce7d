/* SPDX-License-Identifier: Apache-2.0
 *
 * The send queue by itself: what goes first, what is fair, what is refused and what is marked.
 */
#include <criterion/criterion.h>

#include "base/frame_pool.h"
#include "link/sendq.h"
#include "unit/link/pair.h"
#include "unit/stream/heap.h"

#define NOW ((weft_ns)1000000000)

static struct sendq queue;

static void setup(void) {
    struct hash_key key = {.bytes = {1, 2, 3}};
    sendq_init(&queue, &key);
}

static void teardown(void) {
    sendq_fini(&queue);
}

TestSuite(link_sendq, .init = setup, .fini = teardown);

static enum weft_err push(size_t len, uint32_t seed, enum wire_class class, uint32_t flow) {
    struct frame *frame = frame_of(WIRE_UNICAST, len, seed);
    enum weft_err err = sendq_push(&queue, frame, NULL, class, flow, NOW);
    frame_unref(frame);
    return err;
}

static enum weft_err push_carrier(uint32_t flow, uint16_t len, weft_ns now) {
    struct frame *frame = carrier_of(flow, len);
    struct frame *payload = payload_of(len, flow);
    enum weft_err err = sendq_push(&queue, frame, payload, WIRE_CLASS_STREAM, flow, now);
    frame_unref(frame);
    frame_unref(payload);
    return err;
}

static enum weft_err push_datagram(uint32_t flow, uint16_t len, weft_ns now) {
    struct frame *frame = carrier_of(flow, len);
    struct frame *payload = payload_of(len, flow);
    frame->data[WIRE_CARRIER_FLAGS_AT] |= WIRE_CARRIER_DATAGRAM;
    enum weft_err err = sendq_push(&queue, frame, payload, WIRE_CLASS_STREAM, flow, now);
    frame_unref(frame);
    frame_unref(payload);
    return err;
}

/* The seed of the next frame, or its flow if it is a carrier. */
static uint32_t pop(weft_ns now, bool *is_congested) {
    struct sendq_taken taken;
    cr_assert_not_null(sendq_peek(&queue));
    cr_assert_eq(sendq_peek(&queue), sendq_peek(&queue));
    struct frame *shown = sendq_peek(&queue)->frame;
    sendq_pop(&queue, now, &taken);
    cr_assert_eq(taken.frame, shown);
    uint32_t seed = taken.frame->data[4];
    if (taken.payload != NULL) {
        const uint8_t *flow = taken.frame->data + 40;
        seed = (uint32_t)flow[0] << 24 | (uint32_t)flow[1] << 16 | (uint32_t)flow[2] << 8 | flow[3];
    }
    if (is_congested != NULL) {
        *is_congested = taken.is_congested;
    }
    frame_unref(taken.frame);
    frame_unref(taken.payload);
    return seed;
}

Test(link_sendq, is_empty_at_first) {
    cr_assert(sendq_is_empty(&queue));
    cr_assert_null(sendq_peek(&queue));
}

Test(link_sendq, sends_what_is_urgent_first) {
    static const enum wire_class classes[] = {WIRE_CLASS_STREAM, WIRE_CLASS_MESSAGE,
                                              WIRE_CLASS_CONTROL};
    for (uint32_t i = 0; i < 9; i++) {
        cr_assert_eq(push(10, i, classes[i % 3], 1), WEFT_OK);
    }
    static const uint32_t order[] = {2, 5, 8, 1, 4, 7, 0, 3, 6};
    for (size_t i = 0; i < 9; i++) {
        cr_assert_eq(pop(NOW, NULL), order[i]);
    }
    cr_assert(sendq_is_empty(&queue));
}

Test(link_sendq, lets_what_is_urgent_overtake_what_was_shown) {
    cr_assert_eq(push(10, 1, WIRE_CLASS_STREAM, 1), WEFT_OK);
    cr_assert_not_null(sendq_peek(&queue));
    cr_assert_eq(push(10, 2, WIRE_CLASS_CONTROL, 0), WEFT_OK);
    cr_assert_eq(pop(NOW, NULL), 2);
    cr_assert_eq(pop(NOW, NULL), 1);
}

/* ---- no class starves another ---- */

/* The class of the next frame, and how many bytes it has. */
static enum wire_class pop_class(size_t *bytes) {
    struct sendq_taken taken;
    size_t before[WIRE_CLASS_COUNT];
    memcpy(before, queue.bytes, sizeof before);
    cr_assert_not_null(sendq_peek(&queue));
    sendq_pop(&queue, NOW, &taken);
    frame_unref(taken.frame);
    frame_unref(taken.payload);
    int class = 0;
    while (queue.bytes[class] == before[class]) {
        class ++;
    }
    *bytes = before[class] - queue.bytes[class] - SENDQ_ITEM_BYTES;
    return (enum wire_class) class;
}

static void keep_waiting(enum wire_class class, size_t len) {
    while (queue.bytes[class] < 200000) {
        cr_assert_eq(push(len, 1, class, 7), WEFT_OK);
    }
}

/* Whatever the sizes of their frames, and whichever classes always have something: each of them
 * gets its share, and none waits for more than the leads of those above it, twice as long where
 * they take turns with others, and a frame of each. */
Test(link_sendq, no_class_starves_another) {
    static const size_t sizes[] = {40, 1400, 16000, 59000};
    struct rng rng;
    rng_init(&rng, (const uint8_t[32]){9});
    for (unsigned try = 0; try < 200; try++) {
        size_t len[WIRE_CLASS_COUNT];
        size_t got[WIRE_CLASS_COUNT] = {0};
        size_t behind[WIRE_CLASS_COUNT] = {0};
        unsigned busy = 1 + (unsigned)rng_below(&rng, 7);
        for (size_t class = 0; class < WIRE_CLASS_COUNT; class ++) {
            len[class] = sizes[rng_below(&rng, 4)];
        }
        for (size_t sum = 0, bytes = 0; sum < 4u << 20; sum += bytes) {
            for (unsigned class = 0; class < WIRE_CLASS_COUNT; class ++) {
                if ((busy >> class & 1) != 0) {
                    keep_waiting((enum wire_class) class, len[class]);
                }
                behind[class] += bytes;
                cr_assert_leq((busy >> class & 1) * behind[class],
                              2 * (SENDQ_CONTROL_LEAD + SENDQ_MESSAGE_LEAD) + 3 * 60000,
                              "try %u: class %u waits", try, class);
            }
            enum wire_class class = pop_class(&bytes);
            behind[class] = 0;
            got[class] += bytes;
        }
        for (unsigned class = 0; class < WIRE_CLASS_COUNT; class ++) {
            cr_assert((busy >> class & 1) == 0 || got[class] > (4u << 20) / 5,
                      "try %u: of classes %x, class %u got %zu", try, busy, class, got[class]);
        }
        teardown();
        setup();
    }
}

/* What a member sends as messages may be bulk: packets of 60 KB beside a stream. */
Test(link_sendq, bulk_of_class_message_leaves_streams_half) {
    size_t got[WIRE_CLASS_COUNT] = {0};
    for (int i = 0; i < 100; i++) {
        size_t bytes = 0;
        keep_waiting(WIRE_CLASS_MESSAGE, 60000);
        keep_waiting(WIRE_CLASS_STREAM, 1400);
        enum wire_class class = pop_class(&bytes);
        got[class] += bytes;
    }
    cr_assert_leq(got[WIRE_CLASS_MESSAGE], got[WIRE_CLASS_STREAM] + SENDQ_MESSAGE_LEAD + 60004);
}

Test(link_sendq, who_waited_for_nobody_has_its_whole_lead) {
    size_t bytes = 0;
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(push(60000, 1, WIRE_CLASS_MESSAGE, 0), WEFT_OK);
    }
    for (int i = 0; i < 9; i++) {
        cr_assert_eq(pop_class(&bytes), WIRE_CLASS_MESSAGE);
    }
    cr_assert_eq(push(1000, 1, WIRE_CLASS_STREAM, 1), WEFT_OK);
    cr_assert_eq(push(100, 1, WIRE_CLASS_MESSAGE, 0), WEFT_OK);
    cr_assert_eq(pop_class(&bytes), WIRE_CLASS_MESSAGE);
    cr_assert_eq(pop_class(&bytes), WIRE_CLASS_MESSAGE);
    cr_assert_eq(pop_class(&bytes), WIRE_CLASS_STREAM);
}

/* ---- fairness ---- */

/* Jain's index of what each of `count` flows got, in thousandths. */
static uint64_t jain(const uint64_t *bytes, size_t count) {
    uint64_t sum = 0;
    uint64_t squares = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t kilobytes = bytes[i] / 1024;
        sum += kilobytes;
        squares += kilobytes * kilobytes;
    }
    return squares == 0 ? 0 : sum * sum * 1000 / (squares * count);
}

/* Flows with packets of very different sizes, all with enough queued; drains part of it. */
static uint64_t fairness(uint32_t flows, size_t drained) {
    uint64_t got[64] = {0};
    for (uint32_t flow = 0; flow < flows; flow++) {
        uint16_t size = (uint16_t)(200 << flow % 8);
        for (size_t left = SENDQ_STREAM_BYTES_MAX / flows; left > size + 200u;
             left -= size + 48u + SENDQ_ITEM_BYTES) {
            cr_assert_eq(push_carrier(flow, size, NOW), WEFT_OK);
        }
    }
    for (size_t sum = 0; sum < drained;) {
        size_t bytes = queue.bytes[WIRE_CLASS_STREAM];
        uint32_t flow = pop(NOW, NULL);
        bytes -= queue.bytes[WIRE_CLASS_STREAM] + SENDQ_ITEM_BYTES;
        got[flow] += bytes;
        sum += bytes;
    }
    return jain(got, flows);
}

Test(link_sendq, is_fair_to_flows_whatever_their_packets) {
    cr_assert_geq(fairness(2, 1 << 20), 990);
    teardown();
    setup();
    cr_assert_geq(fairness(8, 2 << 20), 980);
    teardown();
    setup();
    cr_assert_geq(fairness(16, 2 << 20), 970);
}

Test(link_sendq, a_thin_flow_waits_one_round_at_most) {
    for (uint32_t flow = 0; flow < 10; flow++) {
        for (int i = 0; i < 10; i++) {
            cr_assert_eq(push_carrier(flow, 16000, NOW), WEFT_OK);
        }
    }
    cr_assert_eq(push_carrier(99, 100, NOW), WEFT_OK);
    size_t before = 0;
    while (pop(NOW, NULL) != 99) {
        before++;
    }
    cr_assert_leq(before, 20);
}

static void push_bulk(uint32_t flows, int packets, uint16_t len) {
    for (int i = 0; i < packets; i++) {
        for (uint32_t flow = 0; flow < flows; flow++) {
            cr_assert_eq(push_carrier(flow, len, NOW), WEFT_OK);
        }
    }
}

Test(link_sendq, a_flow_that_had_nothing_waiting_goes_first) {
    push_bulk(4, 10, 60000);
    for (int i = 0; i < 6; i++) {
        (void)pop(NOW, NULL);
    }
    cr_assert_eq(push_carrier(99, 100, NOW), WEFT_OK);
    cr_assert_eq(pop(NOW, NULL), 99);
}

Test(link_sendq, a_flow_that_went_first_then_waits_a_round) {
    push_bulk(4, 10, 16000);
    for (int i = 0; i < 6; i++) {
        (void)pop(NOW, NULL);
    }
    cr_assert_eq(push_carrier(99, 100, NOW), WEFT_OK);
    cr_assert_eq(pop(NOW, NULL), 99);
    cr_assert_eq(push_carrier(99, 100, NOW), WEFT_OK);
    size_t before = 0;
    while (pop(NOW, NULL) != 99) {
        before++;
    }
    cr_assert(before > 0 && before <= 8, "%zu", before);
}

/* Who gives each of its packets a label of its own is always fresh. */
Test(link_sendq, fresh_flows_without_end_starve_nobody) {
    push_bulk(1, 20, 60000);
    (void)pop(NOW, NULL);
    size_t others = 0;
    uint32_t label = 100;
    for (int i = 0; i < 10; i++) {
        for (uint32_t flow = label; flow != 0;) {
            for (int k = 0; k < 2; k++) {
                cr_assert_eq(push_carrier(label++, 1000, NOW), WEFT_OK);
            }
            flow = pop(NOW, NULL);
            others += flow != 0 ? 1 : 0;
        }
    }
    cr_assert_leq(others, 10 * 17, "a quantum for each packet of the round: %zu", others);
}

/* Against a naive model: each flow comes out in its own order, nothing is lost or made up. */
Test(link_sendq, keeps_each_flow_in_order_over_random_operations) {
    for (uint8_t seed = 0; seed < 20; seed++) {
        struct rng rng;
        uint8_t bytes[32] = {seed, 5};
        rng_init(&rng, bytes);
        uint32_t pushed[40] = {0};
        uint32_t popped[40] = {0};
        for (int i = 0; i < 3000; i++) {
            uint32_t flow = (uint32_t)rng_below(&rng, 40);
            struct sendq_taken taken;
            if (rng_below(&rng, 100) < (i < 1500 ? 60 : 40)) {
                struct frame *frame = frame_of(WIRE_UNICAST, 8 + rng_below(&rng, 900), 0);
                memcpy(frame->data + 4, &flow, 4);
                memcpy(frame->data + 8, &pushed[flow], 4);
                cr_assert_eq(sendq_push(&queue, frame, NULL, WIRE_CLASS_STREAM, flow, NOW),
                             WEFT_OK);
                frame_unref(frame);
                pushed[flow]++;
            } else if (sendq_peek(&queue) != NULL) {
                uint32_t number = 0;
                sendq_pop(&queue, NOW, &taken);
                memcpy(&flow, taken.frame->data + 4, 4);
                memcpy(&number, taken.frame->data + 8, 4);
                cr_assert_eq(number, popped[flow], "seed %u flow %u", seed, flow);
                popped[flow]++;
                frame_unref(taken.frame);
            }
        }
        uint64_t left = 0;
        for (size_t flow = 0; flow < 40; flow++) {
            left += pushed[flow] - popped[flow];
        }
        cr_assert_eq(queue.count, left, "seed %u", seed);
        teardown();
        setup();
    }
}

Test(link_sendq, shares_queues_when_there_are_too_many_flows) {
    for (uint32_t flow = 0; flow < 3 * SENDQ_FLOWS_MAX; flow++) {
        cr_assert_eq(push_carrier(flow, 100, NOW), WEFT_OK);
    }
    cr_assert_eq(queue.flow_count, SENDQ_FLOWS_MAX);
    for (uint32_t i = 0; i < 3 * SENDQ_FLOWS_MAX; i++) {
        (void)pop(NOW, NULL);
    }
    cr_assert(sendq_is_empty(&queue));
    cr_assert_eq(queue.flow_count, 0);
}

/* ---- bounds ---- */

static void fill_up(enum wire_class class, size_t bytes_max) {
    size_t used = 0;
    while (push(1000, 1, class, 3) == WEFT_OK) {
        used += 1004 + SENDQ_ITEM_BYTES;
    }
    cr_assert_leq(used, bytes_max);
    cr_assert_gt(used, bytes_max - 1004 - SENDQ_ITEM_BYTES);
    cr_assert_lt(sendq_room(&queue, class), 1004);
    cr_assert_eq(push(1000, 1, class, 3), WEFT_ERR_FULL);
    cr_assert_eq(push(1000, 1, class, 4), WEFT_ERR_FULL);
    size_t room = sendq_room(&queue, class);
    if (room >= 5) {
        cr_assert_eq(push(room - 3, 1, class, 3), WEFT_ERR_FULL);
        cr_assert_eq(push(room - 4, 1, class, 3), WEFT_OK);
    }
}

Test(link_sendq, refuses_at_each_classs_own_bound) {
    fill_up(WIRE_CLASS_CONTROL, SENDQ_CONTROL_BYTES_MAX);
    fill_up(WIRE_CLASS_MESSAGE, SENDQ_MESSAGE_BYTES_MAX);
}

/* Takes all that waits; how much of it is of a flow. */
static size_t taken_of(uint32_t flow) {
    size_t count = 0;
    while (!sendq_is_empty(&queue)) {
        count += pop(NOW, NULL) == flow ? 1 : 0;
    }
    return count;
}

Test(link_sendq, streams_at_their_bound_make_room_in_the_fattest_flow) {
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(push_carrier(2, 1400, NOW), WEFT_OK);
    }
    for (int i = 0; i < 10000; i++) {
        cr_assert_eq(push_carrier(1, 1400, NOW), WEFT_OK);
        cr_assert_leq(queue.bytes[WIRE_CLASS_STREAM], SENDQ_STREAM_BYTES_MAX);
    }
    cr_assert_eq(push_carrier(3, 1400, NOW), WEFT_OK, "a newcomer");
    cr_assert_eq(queue.count + queue.cut_count, 10101);
    cr_assert_eq(queue.datagram_bytes, 0);
    size_t frames = queue.frame_bytes / 48;
    cr_assert_eq(queue.frame_bytes, frames * 48);
    cr_assert_eq(frames, queue.count);
    cr_assert_eq(taken_of(2), 100);
    cr_assert_eq(queue.bytes[WIRE_CLASS_STREAM], 0);
}

Test(link_sendq, of_many_fat_flows_all_lose_and_a_thin_one_does_not) {
    for (uint32_t i = 0; i < 20; i++) {
        cr_assert_eq(push_carrier(7, 1000, NOW), WEFT_OK);
    }
    for (uint32_t i = 0; i < 50000; i++) {
        cr_assert_eq(push_carrier(1000 + i % 100, (uint16_t)(100 + 13 * (i % 100)), NOW), WEFT_OK);
    }
    size_t left[100] = {0};
    size_t thin = 0;
    while (!sendq_is_empty(&queue)) {
        uint32_t flow = pop(NOW, NULL);
        thin += flow == 7 ? 1 : 0;
        left[flow % 100] += flow != 7 ? 100 + 13 * (flow % 100) : 0;
    }
    cr_assert_eq(thin, 20);
    for (size_t i = 0; i < 100; i++) {
        cr_assert_gt(left[i], SENDQ_STREAM_BYTES_MAX / 400, "flow %zu has %zu", i, left[i]);
    }
}

/* A link of 100 Mbit/s, beside a member that takes no notice of marks: an honest pair that sends
 * 10 gets what it sends. Returns how much of it, in thousandths. */
static unsigned honest_share(uint64_t member_mbit) {
    uint64_t member = 0;
    uint64_t honest = 0;
    uint64_t sent = 0;
    uint64_t got = 0;
    uint64_t credit = 0;
    for (weft_ns us = 0; us < 1000000; us += 100) {
        weft_ns now = NOW + us * 1000;
        member += member_mbit * 100 / 8;
        honest += 10 * 100 / 8;
        credit += 100 * 100 / 8;
        for (; member >= 1400; member -= 1400) {
            (void)!push_carrier(1, 1400, now);
        }
        for (; honest >= 1400; honest -= 1400) {
            sent++;
            (void)!push_carrier(2, 1400, now);
        }
        for (; credit >= 1448 && !sendq_is_empty(&queue); credit -= 1448) {
            got += pop(now, NULL) == 2 ? 1 : 0;
        }
    }
    return (unsigned)(got * 1000 / sent);
}

Test(link_sendq, who_takes_no_notice_of_marks_costs_others_nothing) {
    static const uint64_t rates[] = {110, 200, 500, 1000};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        teardown();
        setup();
        unsigned share = honest_share(rates[i]);
        cr_expect_geq(share, 990, "beside %llu Mbit/s: %u", (unsigned long long)rates[i], share);
    }
}

Test(link_sendq, bounds_empty_frames_too) {
    size_t count = 0;
    while (push(0, 1, WIRE_CLASS_CONTROL, 0) == WEFT_OK) {
        count++;
        cr_assert_leq(count, SENDQ_CONTROL_BYTES_MAX / SENDQ_ITEM_BYTES);
    }
}

/* Memory in use by a class full of what a relay makes of packets of `len` bytes. */
static size_t heap_of_full(struct frame_pool *pool, uint16_t len, bool is_carrier) {
    size_t before = heap_bytes();
    for (uint32_t i = 0; sendq_room(&queue, WIRE_CLASS_STREAM) >= len + 64u; i++) {
        struct frame *head = is_carrier ? carrier_of(i % 100, len) : frame_of(WIRE_UNICAST, len, i);
        struct frame *payload = is_carrier ? payload_of(len, i) : NULL;
        struct frame *frame = frame_pool_copy(pool, frame_view(head));
        struct frame *kept = is_carrier ? frame_pool_copy(pool, frame_view(payload)) : NULL;
        cr_assert_eq(sendq_push(&queue, frame, kept, WIRE_CLASS_STREAM, i % 100, NOW), WEFT_OK);
        frame_unref(head);
        frame_unref(payload);
        frame_unref(frame);
        frame_unref(kept);
    }
    size_t used = heap_bytes() - before;
    sendq_drop(&queue, WIRE_CLASS_STREAM);
    sendq_relax(&queue);
    frame_pool_trim(pool);
    frame_pool_trim(pool);
    return used;
}

/* Whatever the sizes of packets that a member sends to a link that stands still: its queue holds at
 * most twice the bound, and what flows and the pool take. */
Test(link_sendq, a_full_queue_holds_at_most_twice_its_bound) {
    static const uint16_t lens[] = {1, 20, 65, 129, 513, 1025, 2000, 2100, 4097, 8193, 16383};
    struct frame_pool *pool = frame_pool_new();
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        size_t of_carriers = heap_of_full(pool, lens[i], true);
        size_t of_unicasts = heap_of_full(pool, lens[i], false);
        cr_expect_leq(of_carriers, 2 * SENDQ_STREAM_BYTES_MAX, "carriers of %u bytes: %zu", lens[i],
                      of_carriers);
        cr_expect_leq(of_unicasts, 2 * SENDQ_STREAM_BYTES_MAX, "unicasts of %u bytes: %zu", lens[i],
                      of_unicasts);
    }
    frame_pool_free(pool);
}

Test(link_sendq, gives_memory_back_once_it_is_empty) {
    cr_assert_eq(push_carrier(1, 100, NOW), WEFT_OK);
    sendq_relax(&queue);
    cr_assert_eq(queue.count, 1);
    (void)pop(NOW, NULL);
    sendq_relax(&queue);
    cr_assert_null(queue.items);
    cr_assert_null(queue.flows);
    cr_assert_null(queue.buckets);
    cr_assert_eq(push_carrier(1, 100, NOW), WEFT_OK);
    cr_assert_eq(pop(NOW, NULL), 1);
}

/* ---- marks ---- */

/* A queue of which one packet a millisecond is taken, each `wait` after it came. Counts marks. */
static size_t marks(weft_ns wait, size_t steps) {
    size_t count = 0;
    for (size_t i = 0; i < wait / NS_PER_MS + 2; i++) {
        cr_assert_eq(push_carrier(7, 1000, NOW + i * NS_PER_MS), WEFT_OK);
    }
    for (size_t i = 0; i < steps; i++) {
        bool is_congested = false;
        weft_ns now = NOW + i * NS_PER_MS + wait;
        (void)pop(now, &is_congested);
        count += is_congested ? 1 : 0;
        cr_assert_eq(push_carrier(7, 1000, now + 2 * NS_PER_MS), WEFT_OK);
    }
    return count;
}

Test(link_sendq, marks_a_flow_that_stands_for_long) {
    cr_assert_eq(marks(20 * NS_PER_MS, 100), 0); /* not for an interval yet */
    teardown();
    setup();
    cr_assert_eq(marks(20 * NS_PER_MS, 300), 200);
}

Test(link_sendq, does_not_mark_short_waits) {
    cr_assert_eq(marks(4 * NS_PER_MS, 1000), 0);
}

Test(link_sendq, a_short_wait_ends_the_standing) {
    bool is_congested = false;
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(push_carrier(7, 1000, NOW + (i == 1 ? 99 * NS_PER_MS : 0)), WEFT_OK);
    }
    (void)pop(NOW + 10 * NS_PER_MS, &is_congested);
    (void)pop(NOW + 100 * NS_PER_MS, &is_congested); /* waited 1 ms */
    (void)pop(NOW + 150 * NS_PER_MS, &is_congested);
    cr_assert(!is_congested);
    (void)pop(NOW + 251 * NS_PER_MS, &is_congested);
    cr_assert(is_congested);
}

Test(link_sendq, does_not_blame_a_thin_flow_for_a_fat_one) {
    bool is_congested = false;
    for (int i = 0; i < 400; i++) {
        cr_assert_eq(push_carrier(1, 1000, NOW), WEFT_OK);
    }
    for (size_t i = 0; i < 40; i++) {
        weft_ns now = NOW + i * 10 * NS_PER_MS;
        cr_assert_eq(push_carrier(2, 100, now), WEFT_OK);
        while (pop(now + 6 * NS_PER_MS, &is_congested) != 2) {
        }
        cr_assert(!is_congested, "step %zu", i);
    }
}

Test(link_sendq, a_fat_flow_of_datagrams_is_refused_where_a_stream_is_not) {
    size_t taken = 0;
    while (push_datagram(7, 1400, NOW) == WEFT_OK) {
        taken += 1400 + 4 + WIRE_CARRIER_HEADER_BYTES;
    }
    cr_assert_leq(taken, SENDQ_DATAGRAM_FLOW_BYTES_MAX);
    cr_assert_gt(taken + 3000, SENDQ_DATAGRAM_FLOW_BYTES_MAX);
    cr_assert_eq(push_datagram(8, 1400, NOW), WEFT_OK, "another flow has its own bound");
    cr_assert_eq(push_carrier(7, 1400, NOW), WEFT_OK, "who sends again may wait");
    (void)pop(NOW, NULL);
    cr_assert_eq(push_datagram(7, 1400, NOW), WEFT_ERR_TIMEOUT);
    while (!sendq_is_empty(&queue)) {
        (void)pop(NOW, NULL);
    }
    cr_assert_eq(push_datagram(7, 1400, NOW), WEFT_OK);
}

Test(link_sendq, datagrams_behind_one_that_waited_long_are_refused) {
    cr_assert_eq(push_datagram(7, 100, NOW), WEFT_OK);
    cr_assert_eq(push_datagram(7, 100, NOW + SENDQ_DATAGRAM_WAIT_MAX), WEFT_OK);
    cr_assert_eq(push_datagram(7, 100, NOW + SENDQ_DATAGRAM_WAIT_MAX + 1), WEFT_ERR_TIMEOUT);
    cr_assert_eq(push_datagram(8, 100, NOW + SENDQ_DATAGRAM_WAIT_MAX + 1), WEFT_OK);
    cr_assert_eq(pop(NOW, NULL), 7);
    cr_assert_eq(push_datagram(7, 100, NOW + SENDQ_DATAGRAM_WAIT_MAX + 1), WEFT_OK);
}

Test(link_sendq, many_flows_of_datagrams_leave_half_to_streams) {
    uint32_t flow = 0;
    for (uint32_t i = 0; i < 20; i++) {
        cr_assert_eq(push_carrier(1000 + i, 60000, NOW), WEFT_OK);
    }
    while (push_datagram(flow, 60000, NOW) == WEFT_OK) {
        flow++;
    }
    cr_assert_eq(flow, SENDQ_DATAGRAM_BYTES_MAX / 60050, "streams before them take nothing off it");
    for (uint32_t i = 0; i < 20; i++) {
        (void)pop(NOW, NULL);
    }
    cr_assert_geq(sendq_room(&queue, WIRE_CLASS_STREAM), SENDQ_STREAM_BYTES_MAX / 3);
    cr_assert_eq(push_carrier(1, 60000, NOW), WEFT_OK);
}

Test(link_sendq, a_queue_full_of_streams_still_takes_datagrams) {
    while (sendq_room(&queue, WIRE_CLASS_STREAM) > 130000) {
        cr_assert_eq(push_carrier(1, 60000, NOW), WEFT_OK);
    }
    cr_assert_eq(push_datagram(2, 1400, NOW), WEFT_OK);
    cr_assert(pop(NOW, NULL) == 2 || pop(NOW, NULL) == 2, "behind one packet of bulk at most");
}
