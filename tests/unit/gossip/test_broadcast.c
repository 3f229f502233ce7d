/* SPDX-License-Identifier: Apache-2.0
 *
 * Broadcasts, channels and queues of one gossip with hand-made neighbours: forged, replayed,
 * malformed, too many, too slow.
 */
#include <stdlib.h>

#include <criterion/criterion.h>

#include "base/time.h"
#include "kit.h"

#define SELF 1

/* A broadcast frame as `identity` would send it. */
struct forged {
    uint8_t bytes[2000];
    struct wire_frame frame;
};

static void forge(struct forged *out, const struct identity *identity, uint64_t incarnation,
                  uint64_t sequence, uint8_t flags, size_t payload_len) {
    static const uint8_t payload[1500];
    uint8_t signature[SIGNATURE_BYTES] = {0};
    struct wire_broadcast broadcast = {.travel = {.hops = WIRE_HOPS_MAX},
                                       .flags = flags,
                                       .digest = 77,
                                       .key = identity->key,
                                       .incarnation = incarnation,
                                       .sequence = sequence,
                                       .channel = span_of_text("log"),
                                       .payload = span_of(payload, payload_len),
                                       .signature = span_of(signature, sizeof signature)};
    struct wire_writer writer = wire_writer_of(out->bytes, sizeof out->bytes);
    wire_broadcast_encode(&writer, &broadcast);
    cr_assert_eq(wire_broadcast_decode(wire_writer_view(&writer), &broadcast), WEFT_OK);
    identity_sign(identity, "weft broadcast 1", broadcast.signed_part,
                  out->bytes + writer.len - SIGNATURE_BYTES);
    out->frame = (struct wire_frame){.kind = WIRE_BROADCAST, .body = wire_writer_view(&writer)};
}

static enum weft_err hear(struct solo *solo, uint64_t link, const struct forged *forged) {
    return gossip_frame(solo->gossip, (struct link_id){link}, &forged->frame, solo->now);
}

static bool count_broadcast(void *ctx, const struct weft_peer_id *source, struct span payload) {
    (void)source;
    (void)payload;
    (*(size_t *)ctx)++;
    return true;
}

/* A gossip with links 1, 2, 3 to identities 2, 3, 4, all live, that counts broadcasts on "log". */
static void start(struct solo *solo, size_t *heard) {
    solo_init(solo, SELF, 1, 11);
    *heard = 0;
    struct gossiper gossiper = {.ctx = heard, .broadcast = count_broadcast};
    cr_assert_eq(gossip_channel_open(solo->gossip, "log", &gossiper, 0), WEFT_OK);
    for (uint32_t i = 1; i <= 3; i++) {
        struct identity peer;
        kit_identity(i + 1, &peer);
        solo_link(solo, i, i + 1);
        gossip_set_live(solo->gossip, &peer.id, true, solo->now);
    }
    (void)solo_outputs(solo, 1, 0);
}

Test(broadcast, replayed_ones_are_dropped_wherever_they_come_from) {
    struct solo solo;
    struct identity source;
    struct forged forged;
    size_t heard;
    start(&solo, &heard);
    kit_identity(2, &source);
    forge(&forged, &source, 1, 1, 0, 10);
    for (uint64_t link = 1; link <= 3; link++) {
        cr_assert_eq(hear(&solo, link, &forged), WEFT_OK);
    }
    cr_assert_eq(heard, 1);
    cr_assert_eq(gossip_count(solo.gossip).broadcasts_repeated, 2);
    forge(&forged, &source, 1, 5000, 0, 10);
    cr_assert_eq(hear(&solo, 1, &forged), WEFT_OK);
    forge(&forged, &source, 1, 1, 0, 10);
    cr_assert_eq(hear(&solo, 1, &forged), WEFT_OK);
    cr_assert_eq(heard, 2, "nor do they come back once the window has moved on");
    forge(&forged, &source, 2, 1, 0, 10);
    cr_assert_eq(hear(&solo, 1, &forged), WEFT_OK);
    forge(&forged, &source, 1, 5001, 0, 10);
    cr_assert_eq(hear(&solo, 1, &forged), WEFT_OK);
    cr_assert_eq(heard, 3, "a former life's come too late");
    solo_fini(&solo);
}

Test(broadcast, a_forged_source_is_the_senders_fault) {
    struct solo solo;
    struct identity source;
    struct forged forged;
    size_t heard;
    start(&solo, &heard);
    kit_identity(3, &source);
    forge(&forged, &source, 1, 1, 0, 10);
    for (size_t i = 4 + 1 + 8; i < forged.frame.body.len; i++) {
        forged.bytes[i] ^= 1;
        enum weft_err err = hear(&solo, 1, &forged);
        cr_assert(err == WEFT_ERR_AUTH || err == WEFT_ERR_MALFORMED, "byte %zu", i);
        forged.bytes[i] ^= 1;
    }
    cr_assert_eq(heard, 0);
    cr_assert_eq(hear(&solo, 1, &forged), WEFT_OK);
    cr_assert_eq(heard, 1);
    solo_fini(&solo);
}

Test(broadcast, of_ours_that_come_back_are_not_heard) {
    struct solo solo;
    struct forged forged;
    size_t heard;
    start(&solo, &heard);
    forge(&forged, &solo.identity, 1, 9, WIRE_BROADCAST_FLOOD, 10);
    cr_assert_eq(hear(&solo, 1, &forged), WEFT_OK);
    cr_assert_eq(heard, 0);
    cr_assert_eq(solo_outputs(&solo, 2, WIRE_BROADCAST), 0);
    solo_fini(&solo);
}

Test(broadcast, goes_to_the_children_of_the_tree_and_else_to_all_but_the_sender) {
    struct solo solo;
    struct identity source;
    struct identity child;
    struct forged forged;
    size_t heard;
    start(&solo, &heard);
    kit_identity(2, &source);
    kit_identity(4, &child);
    solo.children[0] = child.id;
    solo.child_count = 1;
    forge(&forged, &source, 1, 1, 0, 10);
    cr_assert_eq(hear(&solo, 1, &forged), WEFT_OK);
    cr_assert_eq(solo_outputs(&solo, 3, WIRE_BROADCAST), 1);
    solo.digest = 78;
    forge(&forged, &source, 1, 2, 0, 10);
    cr_assert_eq(hear(&solo, 1, &forged), WEFT_OK);
    cr_assert_eq(solo_outputs(&solo, 2, WIRE_BROADCAST), 1);
    solo_fini(&solo);
}

Test(broadcast, with_no_hops_left_is_delivered_but_goes_no_further) {
    struct solo solo;
    struct identity source;
    struct forged forged;
    size_t heard;
    start(&solo, &heard);
    kit_identity(2, &source);
    forge(&forged, &source, 1, 1, WIRE_BROADCAST_FLOOD, 10);
    forged.bytes[3] = 1;
    cr_assert_eq(hear(&solo, 1, &forged), WEFT_OK);
    cr_assert_eq(heard, 1);
    cr_assert_eq(solo_outputs(&solo, 2, WIRE_BROADCAST), 0);
    solo_fini(&solo);
}

Test(broadcast, lying_heads_only_cost_a_few_pulls) {
    struct solo solo;
    struct identity source;
    struct forged forged;
    size_t heard;
    start(&solo, &heard);
    kit_identity(2, &source);
    struct record *peer = kit_peer(&source, 5, 1, 3);
    cr_assert_eq(solo_hear_one(&solo, 1, peer), WEFT_OK);
    record_unref(peer);
    uint8_t bytes[64];
    const uint64_t lies[][2] = {{5, 1000000}, {9, 3}, {5, WIRE_VERSION_LIMIT - 1}};
    for (size_t i = 0; i < 3; i++) {
        struct wire_writer writer = wire_writer_of(bytes, sizeof bytes);
        struct wire_head head = {
            .source = source.id, .incarnation = lies[i][0], .sequence = lies[i][1]};
        wire_head_encode(&writer, &head);
        struct wire_frame frame = {.kind = WIRE_HEADS, .body = wire_writer_view(&writer)};
        cr_assert_eq(gossip_frame(solo.gossip, (struct link_id){1}, &frame, solo.now), WEFT_OK);
    }
    size_t pulls = 0;
    for (int i = 0; i < 1000; i++) {
        solo.now += 50 * NS_PER_MS;
        gossip_tick(solo.gossip, solo.now);
        pulls += solo_outputs(&solo, 1, WIRE_PULL);
    }
    cr_assert_leq(pulls, 60);
    forge(&forged, &source, 5, 1, 0, 10);
    cr_assert_eq(hear(&solo, 1, &forged), WEFT_OK);
    forge(&forged, &source, 5, 2, 0, 10);
    cr_assert_eq(hear(&solo, 1, &forged), WEFT_OK);
    cr_assert_eq(heard, 2, "what was lied about is still heard");
    solo_fini(&solo);
}

/* Hears a list that names one head, or none with sequence 0. */
static void hear_heads(struct solo *solo, const struct weft_peer_id *source, uint64_t sequence,
                       uint8_t flags) {
    uint8_t bytes[64];
    struct wire_writer writer = wire_writer_of(bytes, sizeof bytes);
    struct wire_head head = {.source = *source, .incarnation = 5, .sequence = sequence};
    if (sequence > 0) {
        wire_head_encode(&writer, &head);
    }
    struct wire_frame frame = {
        .kind = WIRE_HEADS, .flags = flags, .body = wire_writer_view(&writer)};
    cr_assert_eq(gossip_frame(solo->gossip, (struct link_id){1}, &frame, solo->now), WEFT_OK);
}

Test(broadcast, heads_are_answered_once_and_answers_never) {
    struct solo solo;
    struct identity source;
    struct forged forged;
    size_t heard;
    start(&solo, &heard);
    kit_identity(2, &source);
    struct record *peer = kit_peer(&source, 5, 1, 3);
    cr_assert_eq(solo_hear_one(&solo, 1, peer), WEFT_OK);
    record_unref(peer);
    forge(&forged, &source, 5, 1, 0, 10);
    cr_assert_eq(hear(&solo, 1, &forged), WEFT_OK);
    (void)solo_outputs(&solo, 1, WIRE_HEADS);
    hear_heads(&solo, &source.id, 0, 0);
    cr_expect_eq(solo_outputs(&solo, 1, WIRE_HEADS), 1, "who lacks it is told");
    hear_heads(&solo, &source.id, 1, 0);
    cr_expect_eq(solo_outputs(&solo, 1, WIRE_HEADS), 0, "who has it is not");
    hear_heads(&solo, &source.id, 0, WIRE_FLAG_ANSWER);
    cr_expect_eq(solo_outputs(&solo, 1, WIRE_HEADS), 0, "two that are each ahead must not go on");
    solo_fini(&solo);
}

Test(broadcast, strangers_sources_are_bounded) {
    struct solo solo;
    struct identity stranger;
    struct forged forged;
    size_t heard;
    start(&solo, &heard);
    for (uint32_t i = 0; i < 600; i++) {
        kit_identity(1000 + i, &stranger);
        forge(&forged, &stranger, 1, 1, 0, 10);
        cr_assert_eq(hear(&solo, 1, &forged), WEFT_OK);
    }
    cr_assert_leq(heard, 256);
    cr_assert_eq(solo_events(&solo, GOSSIP_CULPRIT), 1);
    solo_fini(&solo);
}

Test(broadcast, that_a_slow_link_had_no_room_for_is_offered_by_heads) {
    struct solo solo;
    size_t heard;
    uint8_t payload[40000] = {0};
    start(&solo, &heard);
    solo.digest = 0;
    struct identity child;
    kit_identity(3, &child);
    solo.children[0] = child.id;
    solo.child_count = 1;
    gossip_link_room(solo.gossip, (struct link_id){2}, 0);
    for (int i = 0; i < 200; i++) {
        cr_assert_eq(gossip_channel_broadcast(solo.gossip, "log", span_of(payload, sizeof payload),
                                              solo.now),
                     WEFT_OK);
    }
    cr_assert_eq(solo_outputs(&solo, 2, WIRE_BROADCAST), 0);
    cr_assert_geq(gossip_count(solo.gossip).dropped, 170);
    gossip_link_room(solo.gossip, (struct link_id){2}, 100 << 20);
    struct gossip_output output;
    size_t broadcasts = 0;
    size_t heads = 0;
    while (gossip_next_output(solo.gossip, solo.now, &output)) {
        broadcasts += output.frame->data[0] == WIRE_BROADCAST ? 1 : 0;
        heads += output.frame->data[0] == WIRE_HEADS && output.link.value == 2 ? 1 : 0;
        frame_unref(output.frame);
    }
    cr_assert_leq(broadcasts, 27, "a megabyte at most has waited");
    cr_assert_gt(broadcasts, 20);
    cr_assert_eq(heads, 1);
    solo_fini(&solo);
}

Test(broadcast, limits_of_the_payload_and_the_channel) {
    struct solo solo;
    size_t heard;
    static const uint8_t payload[48 * 1024 + 1];
    start(&solo, &heard);
    cr_assert_eq(gossip_channel_broadcast(solo.gossip, "log", span_of(payload, 48 * 1024 + 1), 0),
                 WEFT_ERR_INVALID);
    cr_assert_eq(gossip_channel_broadcast(solo.gossip, "log", span_of(payload, 48 * 1024), 0),
                 WEFT_OK);
    cr_assert_eq(gossip_channel_broadcast(solo.gossip, "no", span_of(payload, 1), 0),
                 WEFT_ERR_NOT_FOUND);
    solo_fini(&solo);
}

static struct frame *merge_max(void *ctx, struct span older, struct span newer) {
    (*(size_t *)ctx)++;
    return frame_copy(older.data[0] > newer.data[0] ? older : newer);
}

Test(channel, state_that_waits_for_a_slow_link_is_merged_into_one_frame) {
    struct solo solo;
    size_t merges = 0;
    solo_init(&solo, SELF, 1, 11);
    struct gossiper gossiper = {.ctx = &merges, .merge = merge_max};
    cr_assert_eq(gossip_channel_open(solo.gossip, "sum", &gossiper, 0), WEFT_OK);
    solo_link(&solo, 1, 2);
    gossip_link_room(solo.gossip, (struct link_id){1}, 0);
    for (int i = 0; i < 200; i++) {
        uint8_t state = (uint8_t)(i == 50 ? 255 : i);
        cr_assert_eq(gossip_channel_send(solo.gossip, "sum", span_of(&state, 1), 0), WEFT_OK);
    }
    cr_assert_eq(merges, 199);
    gossip_link_room(solo.gossip, (struct link_id){1}, 10000);
    struct gossip_output output;
    size_t frames = 0;
    while (gossip_next_output(solo.gossip, solo.now, &output)) {
        if (output.frame->data[0] == WIRE_GOSSIP) {
            frames++;
            cr_assert_eq(output.frame->data[output.frame->len - 1], 255);
        }
        frame_unref(output.frame);
    }
    cr_assert_eq(frames, 1);
    solo_fini(&solo);
}

Test(channel, a_surrogates_queue_for_a_slow_link_is_bounded) {
    struct solo solo;
    solo_init(&solo, SELF, 1, 11);
    solo_link(&solo, 1, 2);
    solo_link(&solo, 2, 3);
    gossip_link_room(solo.gossip, (struct link_id){2}, 0);
    uint8_t bytes[200];
    for (uint8_t i = 0; i < 100; i++) {
        struct wire_gossip message = {
            .travel = {.hops = 9}, .channel = span_of_text("unknown"), .payload = span_of(&i, 1)};
        for (int repeat = 0; repeat < 2; repeat++) {
            struct wire_writer writer = wire_writer_of(bytes, sizeof bytes);
            wire_gossip_encode(&writer, &message);
            struct wire_frame frame = {.kind = WIRE_GOSSIP, .body = wire_writer_view(&writer)};
            cr_assert_eq(gossip_frame(solo.gossip, (struct link_id){1}, &frame, 0), WEFT_OK);
        }
    }
    cr_assert_eq(gossip_count(solo.gossip).dropped, 100 - 16, "repeats do not even queue");
    gossip_link_room(solo.gossip, (struct link_id){2}, 10000);
    cr_assert_eq(solo_outputs(&solo, 2, WIRE_GOSSIP), 16);
    solo_fini(&solo);
}

Test(channel, names_are_checked_and_taken_once) {
    struct solo solo;
    struct gossiper gossiper = {0};
    solo_init(&solo, SELF, 1, 11);
    cr_assert_eq(gossip_channel_open(solo.gossip, "-bad", &gossiper, 0), WEFT_ERR_INVALID);
    cr_assert_eq(gossip_channel_open(solo.gossip, "good", &gossiper, 0), WEFT_OK);
    cr_assert_eq(gossip_channel_open(solo.gossip, "good", &gossiper, 0), WEFT_ERR_EXISTS);
    cr_assert_not(gossip_channel_unicast(solo.gossip, &solo.identity.id, span_of_text("good"),
                                         span_of("x", 1)));
    gossip_channel_close(solo.gossip, "good");
    cr_assert_eq(gossip_channel_open(solo.gossip, "good", &gossiper, 0), WEFT_OK);
    solo_fini(&solo);
}

Test(queues, a_stalled_link_holds_one_bit_a_record_and_no_more) {
    struct solo solo;
    struct identity peer;
    solo_init(&solo, SELF, 1, 11);
    kit_identity(9, &peer);
    solo_link(&solo, 1, 2);
    solo_link(&solo, 2, 3);
    gossip_set_live(solo.gossip, &peer.id, true, solo.now);
    gossip_link_room(solo.gossip, (struct link_id){2}, 0);
    for (uint64_t version = 1; version <= 300; version++) {
        struct record *record = kit_peer(&peer, 1, version, 5);
        cr_assert_eq(solo_hear_one(&solo, 1, record), WEFT_OK);
        record_unref(record);
    }
    cr_assert_eq(solo_outputs(&solo, 2, WIRE_RECORDS), 0);
    gossip_link_room(solo.gossip, (struct link_id){2}, 65536);
    cr_assert_eq(solo_sent_version(&solo, 2, &peer.id, WIRE_RECORD_PEER), 300);
    cr_assert_eq(solo_outputs(&solo, 2, WIRE_RECORDS), 0, "the newest, once");
    solo_fini(&solo);
}

Test(queues, frames_of_random_bytes_are_survived_and_blamed) {
    struct solo solo;
    struct rng rng = kit_rng(kit_seed());
    size_t heard;
    size_t refused = 0;
    start(&solo, &heard);
    for (int i = 0; i < 30000; i++) {
        static const uint8_t kinds[] = {WIRE_BROADCAST, WIRE_GOSSIP, WIRE_RECORDS,
                                        WIRE_SYNC,      WIRE_PULL,   WIRE_HEADS};
        uint8_t bytes[300];
        size_t len = (size_t)rng_below(&rng, sizeof bytes);
        for (size_t k = 0; k < len; k++) {
            bytes[k] = (uint8_t)(rng_below(&rng, 2) == 0 ? rng_below(&rng, 4) : rng_next(&rng));
        }
        struct wire_frame frame = {.kind = kinds[rng_below(&rng, 6)], .body = span_of(bytes, len)};
        enum weft_err err = gossip_frame(solo.gossip, (struct link_id){1}, &frame, solo.now);
        cr_assert(err == WEFT_OK || err == WEFT_ERR_MALFORMED || err == WEFT_ERR_AUTH);
        refused += err != WEFT_OK ? 1 : 0;
        solo.now += NS_PER_MS;
        gossip_tick(solo.gossip, solo.now);
        (void)solo_outputs(&solo, 1, 0);
    }
    cr_assert_gt(refused, 1000);
    cr_assert_leq(solo_events(&solo, GOSSIP_CULPRIT), 1);
    solo_fini(&solo);
}
