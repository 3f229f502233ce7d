/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames that travel, forged: each breach is caught, and what honest nodes do is not.
 */
#include "checked.h"

/* A sealed packet of `number`, in a unicast. */
struct forged {
    uint8_t bytes[400];
    struct wire_frame frame;
    struct frame *whole;
};

static void forge(struct forged *forged, const struct rig *rig, uint32_t from, uint32_t to,
                  uint8_t hops, uint64_t number) {
    uint8_t packet[64];
    struct wire_writer inner = wire_writer_of(packet, sizeof packet);
    const uint8_t sealed[20] = {1, 2, 3};
    wire_packet_encode(&inner, &(struct wire_packet){.type = WIRE_PACKET_SEALED,
                                                     .receiver_index = 77,
                                                     .number = number,
                                                     .rest = span_of(sealed, sizeof sealed)});
    const struct wire_unicast unicast = {.travel = {.hops = hops},
                                         .source = *world_id(rig->world, from),
                                         .destination = *world_id(rig->world, to),
                                         .packet = wire_writer_view(&inner)};
    struct wire_writer writer = wire_writer_of(forged->bytes, sizeof forged->bytes);
    wire_unicast_encode(&writer, &unicast);
    forged->frame = (struct wire_frame){.kind = WIRE_UNICAST, .body = wire_writer_view(&writer)};
}

static void sent(struct rig *rig, uint32_t node, uint32_t from, uint32_t to, uint8_t hops,
                 uint64_t number) {
    struct forged forged;
    forge(&forged, rig, from, to, hops, number);
    travel_sent(rig->checks, node, &forged.frame, (struct span){0});
}

static void received(struct rig *rig, uint32_t node, uint32_t from, uint32_t to, uint8_t hops,
                     uint64_t number) {
    struct forged forged;
    forge(&forged, rig, from, to, hops, number);
    travel_received(rig->checks, node, &forged.frame, (struct span){0});
}

Test(check_travel, packet_that_counts_down_is_fine) {
    struct rig *rig = rig_ring(6, NULL, NULL);
    sent(rig, 0, 0, 3, 32, 0);
    received(rig, 1, 0, 3, 32, 0);
    sent(rig, 1, 0, 3, 31, 0);
    received(rig, 2, 0, 3, 31, 0);
    sent(rig, 2, 0, 3, 30, 0);
    received(rig, 3, 0, 3, 30, 0);
    rig_expect_whole(rig);
    checks_report(rig->checks);
    cr_expect_eq(rig_ask(rig, "loops.frames_share"), 0);
    rig_free(rig);
}

Test(check_travel, hops_that_do_not_count_down_are_caught) {
    struct rig *rig = rig_ring(6, NULL, NULL);
    received(rig, 1, 0, 3, 20, 0);
    sent(rig, 1, 0, 3, 20, 0);
    rig_expect_broken(rig, CHECK_HOPS);
    rig_free(rig);
}

Test(check_travel, hops_beyond_the_limit_are_caught) {
    struct rig *rig = rig_ring(6, NULL, NULL);
    struct forged forged;
    forge(&forged, rig, 0, 3, 32, 0);
    forged.bytes[3] = 33;
    travel_sent(rig->checks, 0, &forged.frame, (struct span){0});
    rig_expect_broken(rig, CHECK_HOPS);
    checks_report(rig->checks);
    cr_expect_eq(rig_ask(rig, "hops.exceeded"), 1);
    rig_free(rig);
}

Test(check_travel, packet_that_comes_round_is_counted) {
    struct rig *rig = rig_ring(6, NULL, NULL);
    for (uint64_t number = 0; number < 4; number++) {
        sent(rig, 0, 0, 3, 32, number);
        received(rig, 1, 0, 3, 32, number);
        sent(rig, 1, 0, 3, 31, number);
    }
    received(rig, 1, 0, 3, 20, 0);
    sent(rig, 1, 0, 3, 19, 0);
    received(rig, 1, 0, 3, 18, 0);
    rig_expect_whole(rig);
    checks_report(rig->checks);
    cr_expect_eq(rig_ask(rig, "loops.frames"), 1);
    cr_expect_eq(rig_ask(rig, "loops.frames_share"), 250000);
    rig_free(rig);
}

Test(check_travel, packet_that_never_ends_is_caught) {
    struct rig *rig = rig_ring(6, NULL, NULL);
    for (int i = 0; i < 32; i++) {
        received(rig, 1, 0, 3, 20, 0);
    }
    rig_expect_whole(rig);
    received(rig, 1, 0, 3, 20, 0);
    rig_expect_broken(rig, CHECK_HOPS);
    rig_free(rig);
}

Test(check_travel, packet_passed_on_that_never_came_is_caught) {
    struct rig *rig = rig_ring(6, NULL, NULL);
    sent(rig, 1, 0, 3, 31, 5);
    rig_expect_broken(rig, CHECK_ORIGIN);
    rig_free(rig);
}

Test(check_travel, packet_in_the_name_of_another_is_caught) {
    struct rig *rig = rig_ring(6, NULL, NULL);
    sent(rig, 1, 0, 3, 32, 5);
    rig_expect_broken(rig, CHECK_ORIGIN);
    rig_free(rig);
}

Test(check_travel, number_used_twice_is_caught) {
    struct rig *rig = rig_ring(6, NULL, NULL);
    sent(rig, 0, 0, 3, 32, 5);
    sent(rig, 0, 0, 2, 32, 5);
    sent(rig, 1, 1, 3, 32, 5);
    sent(rig, 0, 0, 3, 32, 6);
    rig_expect_whole(rig);
    sent(rig, 0, 0, 3, 32, 6);
    rig_expect_broken(rig, CHECK_NUMBERS);
    rig_free(rig);
}

/* ---- broadcasts ---- */

static size_t broadcast(const struct rig *rig, uint32_t source, uint64_t sequence, uint8_t hops,
                        uint8_t bytes[400], struct wire_frame *out) {
    uint8_t signature[SIGNATURE_BYTES] = {(uint8_t)source, (uint8_t)sequence};
    struct wire_writer writer = wire_writer_of(bytes, 400);
    const struct wire_broadcast message = {
        .travel = {.hops = hops},
        .key = world_identity(rig->world, source)->key,
        .incarnation = 1,
        .sequence = sequence,
        .channel = span_of_text("chat"),
        .payload = span_of_text("hello"),
        .signature = span_of(signature, sizeof signature),
    };
    wire_broadcast_encode(&writer, &message);
    *out = (struct wire_frame){.kind = WIRE_BROADCAST, .body = wire_writer_view(&writer)};
    return out->body.len;
}

static void passes(struct rig *rig, uint32_t node, uint32_t source, uint64_t sequence,
                   uint8_t hops) {
    uint8_t bytes[400];
    struct wire_frame frame;
    cr_assert_gt(broadcast(rig, source, sequence, hops, bytes, &frame), 0);
    travel_sent(rig->checks, node, &frame, (struct span){0});
}

static void hears(struct rig *rig, uint32_t node, uint32_t source, uint64_t sequence,
                  uint8_t hops) {
    uint8_t bytes[400];
    struct wire_frame frame;
    cr_assert_gt(broadcast(rig, source, sequence, hops, bytes, &frame), 0);
    travel_received(rig->checks, node, &frame, (struct span){0});
}

Test(check_travel, broadcast_that_its_source_never_sent_is_caught) {
    struct rig *rig = rig_ring(6, NULL, NULL);
    passes(rig, 1, 1, 4, 32);
    passes(rig, 2, 1, 4, 31);
    rig_expect_whole(rig);
    passes(rig, 2, 1, 5, 31);
    rig_expect_broken(rig, CHECK_ORIGIN);
    rig_free(rig);
}

Test(check_travel, sends_deliveries_and_hops_of_broadcasts_are_counted) {
    struct rig *rig = rig_ring(6, NULL, NULL);
    passes(rig, 0, 0, 1, 32);
    hears(rig, 1, 0, 1, 32);
    passes(rig, 1, 0, 1, 31);
    hears(rig, 2, 0, 1, 31);
    passes(rig, 2, 0, 1, 30);
    hears(rig, 1, 0, 1, 30);
    checks_report(rig->checks);
    cr_expect_eq(rig_ask(rig, "broadcast.redundancy"), 500000, "three sends, two deliveries");
    cr_expect_eq(rig_ask(rig, "broadcast.last_hop_over.max"), 0, "a ring of six reaches three far");
    rig_free(rig);
}

Test(check_travel, hops_beyond_the_reach_of_the_source_are_counted) {
    struct rig *rig = rig_ring(6, NULL, NULL);
    passes(rig, 0, 0, 1, 32);
    hears(rig, 1, 0, 1, 28);
    checks_report(rig->checks);
    cr_expect_eq(rig_ask(rig, "broadcast.last_hop_over.max"), 2, "five hops instead of three");
    rig_free(rig);
}

Test(check_travel, tree_of_a_settled_mesh_is_not_redundant) {
    const struct scenario_load load = {
        .kind = LOAD_BROADCAST, .count = 3, .bytes = {100, 100}, .every_ns = NS_PER_S};
    struct rig *rig = rig_ring(10, &load, NULL);
    rig_run(rig, 10 * NS_PER_S);
    checks_report(rig->checks);
    rig_expect_whole(rig);
    cr_expect_eq(rig_ask(rig, "broadcast.last_hop_over.count"), 30);
    cr_expect_leq(rig_ask(rig, "broadcast.redundancy"), 20000);
    cr_expect_leq(rig_ask(rig, "broadcast.last_hop_over.max"), 1);
    rig_free(rig);
}
