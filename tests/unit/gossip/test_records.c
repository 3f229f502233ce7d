/* SPDX-License-Identifier: Apache-2.0
 *
 * One gossip and hand-made neighbours: which records are taken, passed on, refused; what is done
 * about news of ourselves.
 */
#include <stdio.h>
#include <stdlib.h>

#include <criterion/criterion.h>

#include "base/time.h"
#include "kit.h"

#define SELF 1
#define OTHER 2
#define THIRD 3
#define KIND 900 /* a kind that this version does not know */

static void hear(struct solo *solo, uint64_t link, struct record *record) {
    cr_assert_eq(solo_hear_one(solo, link, record), WEFT_OK);
    record_unref(record);
}

/* Ourselves, with one neighbour, and somebody else whose records come by it. */
static void begin(struct solo *solo, struct identity *peer) {
    solo_init(solo, SELF, 1, 11);
    kit_identity(9, peer);
    solo_link(solo, 1, OTHER);
}

/* Ourselves in our third life, told of and with one neighbour. */
static void begin_known(struct solo *solo) {
    solo_init(solo, SELF, 3, 11);
    solo_publish(solo, "me", 11);
    solo_link(solo, 1, OTHER);
}

static struct record *own(const struct solo *solo, uint16_t kind, const char *key) {
    return recordset_find(gossip_records(solo->gossip), kind, &solo->identity.id,
                          span_of_text(key));
}

Test(gossip_records, a_strangers_record_is_kept_but_passed_on_only_once_it_is_live) {
    struct solo solo;
    struct identity stranger;
    begin(&solo, &stranger);
    solo_link(&solo, 2, THIRD);
    hear(&solo, 1, kit_peer(&stranger, 1, 1, 5));
    cr_assert_eq(solo_events(&solo, GOSSIP_RECORD), 1);
    cr_assert_eq(solo_sent_version(&solo, 2, &stranger.id, WIRE_RECORD_PEER), 0);
    gossip_set_live(solo.gossip, &stranger.id, true, solo.now);
    cr_assert_eq(solo_sent_version(&solo, 2, &stranger.id, WIRE_RECORD_PEER), 1);
    hear(&solo, 1, kit_peer(&stranger, 1, 2, 5));
    cr_assert_eq(solo_sent_version(&solo, 2, &stranger.id, WIRE_RECORD_PEER), 2);
    solo_fini(&solo);
}

Test(gossip_records, what_returns_after_a_partition_is_not_pushed_again) {
    struct solo solo;
    struct identity peer;
    begin(&solo, &peer);
    solo_link(&solo, 2, THIRD);
    gossip_set_live(solo.gossip, &peer.id, true, solo.now);
    hear(&solo, 1, kit_peer(&peer, 1, 1, 5));
    cr_assert_eq(solo_sent_version(&solo, 2, &peer.id, WIRE_RECORD_PEER), 1);
    gossip_set_live(solo.gossip, &peer.id, false, solo.now);
    gossip_set_live(solo.gossip, &peer.id, true, solo.now);
    cr_assert_eq(solo_sent_version(&solo, 2, &peer.id, WIRE_RECORD_PEER), 0);
    solo_fini(&solo);
}

Test(gossip_records, records_of_unknown_kinds_are_stored_and_passed_on) {
    struct solo solo;
    struct identity peer;
    begin(&solo, &peer);
    solo_link(&solo, 2, THIRD);
    gossip_set_live(solo.gossip, &peer.id, true, solo.now);
    hear(&solo, 1, kit_peer(&peer, 1, 1, 5));
    hear(&solo, 1, kit_signed(&peer, KIND, "any key", 1, 3, "of a later version"));
    cr_assert_eq(solo_sent_version(&solo, 2, &peer.id, KIND), 3);
    solo_fini(&solo);
}

Test(gossip_records, a_flipped_bit_is_the_senders_fault) {
    struct solo solo;
    struct identity peer;
    begin(&solo, &peer);
    struct record *record = kit_signed(&peer, KIND, "key", 1, 1, "body");
    uint8_t bytes[512];
    for (size_t i = 0; i < record->encoded.len; i++) {
        struct record forged = *record;
        memcpy(bytes, record->encoded.data, record->encoded.len);
        bytes[i] ^= 1;
        forged.encoded = span_of(bytes, record->encoded.len);
        enum weft_err err = solo_hear_one(&solo, 1, &forged);
        cr_assert(err == WEFT_ERR_AUTH || err == WEFT_ERR_MALFORMED, "byte %zu", i);
    }
    cr_assert_eq(recordset_count(gossip_records(solo.gossip)), 0);
    cr_assert_eq(solo_events(&solo, GOSSIP_CULPRIT), 1, "named once a minute");
    record_unref(record);
    solo_fini(&solo);
}

Test(gossip_records, a_version_of_2_to_the_64_minus_1_is_malformed) {
    struct solo solo;
    struct identity peer;
    begin(&solo, &peer);
    struct record *record = kit_signed(&peer, KIND, "k", 1, 1, "");
    uint8_t bytes[512];
    memcpy(bytes, record->encoded.data, record->encoded.len);
    memset(bytes + 4 + 1 + 32 + 8, 0xff, 8);
    struct record forged = *record;
    forged.encoded.data = bytes;
    cr_assert_eq(solo_hear_one(&solo, 1, &forged), WEFT_ERR_MALFORMED);
    record_unref(record);
    solo_fini(&solo);
}

Test(gossip_records, strangers_in_masses_are_cut_off_and_named_once) {
    struct solo solo;
    struct identity stranger;
    begin(&solo, &stranger);
    /* One stranger, 20,000 shots at the bucket: each is refused by its bounds or taken, and costs.
     */
    struct record *records[100];
    for (size_t i = 0; i < 100; i++) {
        char key[8] = {(char)('a' + i / 26), (char)('a' + i % 26)};
        records[i] = kit_signed(&stranger, KIND, key, 1, 1, "");
    }
    uint8_t *bytes = malloc(WIRE_BODY_BYTES_MAX);
    struct wire_frame frame = kit_records_frame(bytes, records, 100);
    for (uint64_t i = 0; i < 100; i++) {
        cr_assert_eq(gossip_frame(solo.gossip, (struct link_id){1}, &frame, solo.now), WEFT_OK);
    }
    cr_assert_eq(gossip_count(solo.gossip).records_new, 100, "repeats cost no token");
    cr_assert_eq(solo_events(&solo, GOSSIP_CULPRIT), 0);
    free(bytes);
    for (size_t i = 0; i < 100; i++) {
        record_unref(records[i]);
    }
    for (uint64_t version = 2; version < 21000; version++) {
        struct record *record = records[0] = kit_signed(&stranger, KIND, "aa", 1, version, "");
        hear(&solo, 1, record);
    }
    cr_assert_gt(gossip_count(solo.gossip).records_refused, 900);
    cr_assert_eq(solo_events(&solo, GOSSIP_CULPRIT), 1);
    solo_fini(&solo);
}

Test(gossip_records, the_older_lifes_services_vanish_when_the_owner_restarts) {
    struct solo solo;
    struct identity peer;
    begin(&solo, &peer);
    gossip_set_live(solo.gossip, &peer.id, true, solo.now);
    hear(&solo, 1, kit_peer(&peer, 1, 7, 5));
    hear(&solo, 1, kit_signed(&peer, WIRE_RECORD_SERVICE, "default/web", 1, 1, ""));
    hear(&solo, 1, kit_signed(&peer, KIND, "x", 1, 1, ""));
    (void)solo_events(&solo, GOSSIP_RECORD);
    hear(&solo, 1, kit_peer(&peer, 2, 1, 6));
    cr_assert_eq(solo_events(&solo, GOSSIP_FADED), 0, "the new life may not have said all yet");
    cr_assert_eq(recordset_live_count(gossip_records(solo.gossip)), 1);
    solo.now += 5 * NS_PER_S;
    cr_assert_leq(gossip_deadline(solo.gossip), solo.now);
    gossip_tick(solo.gossip, solo.now);
    cr_assert_eq(solo_events(&solo, GOSSIP_FADED), 2);
    hear(&solo, 1, kit_signed(&peer, KIND, "x", 1, 9, "late news of the former life"));
    cr_assert_eq(recordset_owner_count(gossip_records(solo.gossip), &peer.id), 1);
    solo_fini(&solo);
}

/* A node whose state was restored from a copy: what the mesh remembers of its later life makes it
 * unreachable, so nobody would pass that on, and only the node itself can raise above it. */
Test(gossip_records, an_owner_hears_of_its_newer_record_though_that_does_not_count) {
    struct solo solo;
    struct identity peer;
    solo_init(&solo, SELF, 1, 11);
    kit_identity(OTHER, &peer);
    solo_link(&solo, 1, OTHER);
    solo_link(&solo, 2, THIRD);
    hear(&solo, 2, kit_peer(&peer, 50, 7, 5));
    cr_assert_eq(solo_sent_version(&solo, 1, &peer.id, WIRE_RECORD_PEER), 0);
    hear(&solo, 1, kit_peer(&peer, 1, 3, 6));
    cr_assert_eq(solo_sent_version(&solo, 1, &peer.id, WIRE_RECORD_PEER), 7);
    solo_fini(&solo);
}

Test(gossip_records, a_service_that_overtakes_its_peer_record_is_passed_on_after_it) {
    struct solo solo;
    struct identity peer;
    begin(&solo, &peer);
    solo_link(&solo, 2, THIRD);
    gossip_set_live(solo.gossip, &peer.id, true, solo.now);
    hear(&solo, 1, kit_signed(&peer, KIND, "x", 4, 1, ""));
    cr_assert_eq(solo_sent_version(&solo, 2, &peer.id, KIND), 0);
    hear(&solo, 1, kit_peer(&peer, 4, 1, 6));
    cr_assert_eq(solo_sent_version(&solo, 2, &peer.id, KIND), 1);
    solo_fini(&solo);
}

Test(gossip_records, of_a_vanished_owner_fade_after_the_grace_time) {
    struct solo solo;
    struct identity peer;
    begin(&solo, &peer);
    gossip_set_live(solo.gossip, &peer.id, true, solo.now);
    hear(&solo, 1, kit_peer(&peer, 1, 1, 6));
    gossip_set_live(solo.gossip, &peer.id, false, solo.now);
    (void)solo_events(&solo, GOSSIP_FADED);
    gossip_tick(solo.gossip, solo.now + 599 * NS_PER_S);
    cr_assert_eq(solo_events(&solo, GOSSIP_FADED), 0);
    cr_assert_leq(gossip_deadline(solo.gossip), solo.now + 600 * NS_PER_S);
    gossip_tick(solo.gossip, solo.now + 600 * NS_PER_S);
    cr_assert_eq(solo_events(&solo, GOSSIP_FADED), 1);
    cr_assert_eq(recordset_count(gossip_records(solo.gossip)), 0);
    solo_fini(&solo);
}

Test(gossip_own, publishing_the_same_again_changes_nothing) {
    struct solo solo;
    solo_init(&solo, SELF, 3, 11);
    solo_publish(&solo, "me", 11);
    solo_publish(&solo, "me", 11);
    cr_assert_eq(own(&solo, WIRE_RECORD_PEER, "")->version, 1);
    cr_assert_eq(own(&solo, WIRE_RECORD_PEER, "")->incarnation, 3);
    solo_publish(&solo, "me2", 11);
    cr_assert_eq(own(&solo, WIRE_RECORD_PEER, "")->version, 2);
    cr_assert_eq(solo_events(&solo, GOSSIP_RECORD), 2);
    solo_fini(&solo);
}

static void publish_service(struct solo *solo, const char *key, const char *body) {
    cr_assert_eq(gossip_publish(solo->gossip, WIRE_RECORD_SERVICE, span_of_text(key),
                                span_of_text(body), solo->now),
                 WEFT_OK);
}

Test(gossip_own, a_withdrawn_service_is_a_tombstone_that_counts) {
    struct solo solo;
    solo_init(&solo, SELF, 3, 11);
    solo_publish(&solo, "me", 11);
    publish_service(&solo, "default/web", "x");
    cr_assert_eq(
        gossip_withdraw(solo.gossip, WIRE_RECORD_SERVICE, span_of_text("default/no"), solo.now),
        WEFT_ERR_NOT_FOUND);
    uint64_t before = recordset_digest(gossip_records(solo.gossip));
    cr_assert_eq(
        gossip_withdraw(solo.gossip, WIRE_RECORD_SERVICE, span_of_text("default/web"), solo.now),
        WEFT_OK);
    cr_assert(own(&solo, WIRE_RECORD_SERVICE, "default/web")->is_tombstone);
    cr_assert_neq(recordset_digest(gossip_records(solo.gossip)), before);
    cr_assert_eq(recordset_live_count(gossip_records(solo.gossip)), 2);
    publish_service(&solo, "default/web", "x");
    cr_assert_eq(own(&solo, WIRE_RECORD_SERVICE, "default/web")->version, 3);
    solo_fini(&solo);
}

Test(gossip_own, tombstones_that_fill_half_the_quota_end_with_the_incarnation) {
    struct solo solo;
    solo_init(&solo, SELF, 3, 11);
    solo_publish(&solo, "me", 11);
    publish_service(&solo, "default/stays", "x");
    for (int i = 0; i < 513; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "default/s%d", i);
        publish_service(&solo, key, "x");
        cr_assert_eq(gossip_withdraw(solo.gossip, WIRE_RECORD_SERVICE, span_of_text(key), solo.now),
                     WEFT_OK);
    }
    cr_assert_eq(gossip_incarnation(solo.gossip), 4);
    cr_assert_eq(recordset_count(gossip_records(solo.gossip)), 2);
    cr_assert_eq(recordset_live_count(gossip_records(solo.gossip)), 2);
    cr_assert_eq(own(&solo, WIRE_RECORD_SERVICE, "default/stays")->incarnation, 4);
    cr_assert_geq(solo_events(&solo, GOSSIP_OWN), 1);
    solo_fini(&solo);
}

Test(gossip_own, news_of_a_former_life_raises_us_above_it) {
    struct solo solo;
    solo_init(&solo, SELF, 3, 11);
    solo_publish(&solo, "me", 11);
    publish_service(&solo, "default/web", "x");
    solo_link(&solo, 1, OTHER);
    (void)solo_outputs(&solo, 1, WIRE_RECORDS);
    hear(&solo, 1, kit_peer(&solo.identity, 8, 100, 12));
    cr_assert_eq(gossip_incarnation(solo.gossip), 9);
    cr_assert_eq(own(&solo, WIRE_RECORD_PEER, "")->incarnation, 9);
    cr_assert_eq(own(&solo, WIRE_RECORD_SERVICE, "default/web")->incarnation, 9,
                 "all own records carry the present incarnation");
    cr_assert_eq(solo_sent_version(&solo, 1, &solo.identity.id, WIRE_RECORD_PEER), 1);
    hear(&solo, 1, kit_peer(&solo.identity, 8, 200, 12));
    cr_assert_eq(gossip_incarnation(solo.gossip), 9, "once raised, that life is over");
    cr_assert_eq(solo_events(&solo, GOSSIP_CLONE), 0);
    solo_fini(&solo);
}

/* By the rule the other stays if it lives, so it has the last word until it could have shown that.
 */
Test(gossip_own, news_of_a_life_with_the_smaller_instance_wait_for_a_second) {
    struct solo solo;
    begin_known(&solo);
    hear(&solo, 1, kit_peer(&solo.identity, 8, 100, 10));
    hear(&solo, 1, kit_signed(&solo.identity, WIRE_RECORD_SERVICE, "default/old", 8, 101, "x"));
    solo.now += 900 * NS_PER_MS;
    gossip_tick(solo.gossip, solo.now);
    cr_assert_eq(gossip_incarnation(solo.gossip), 3);
    solo.now += 200 * NS_PER_MS;
    gossip_tick(solo.gossip, solo.now);
    cr_assert_eq(gossip_incarnation(solo.gossip), 9);
    cr_assert_eq(solo_events(&solo, GOSSIP_CLONE), 0);
    solo_fini(&solo);
}

/* Each alone proves nothing: the record may be of a former life, the neighbour may lie. */
Test(gossip_own, a_neighbours_word_and_the_others_record_together_prove_a_clone) {
    for (unsigned order = 0; order < 2; order++) {
        struct solo solo;
        begin_known(&solo);
        for (unsigned i = 0; i < 2; i++) {
            cr_assert_eq(solo_events(&solo, GOSSIP_CLONE), 0);
            if (i == order) {
                gossip_clone_heard(solo.gossip, solo.now);
            } else {
                hear(&solo, 1, kit_peer(&solo.identity, 4, 1, 10));
            }
        }
        cr_assert_eq(solo_events(&solo, GOSSIP_CLONE), 1);
        solo.now += 2 * NS_PER_S;
        gossip_tick(solo.gossip, solo.now);
        cr_assert_eq(gossip_incarnation(solo.gossip), 3, "it goes, and leaves it the last word");
        solo_fini(&solo);
    }
}

Test(gossip_own, a_forgotten_service_of_this_incarnation_is_buried) {
    struct solo solo;
    begin_known(&solo);
    hear(&solo, 1, kit_signed(&solo.identity, WIRE_RECORD_SERVICE, "default/old", 3, 6, ""));
    cr_assert(own(&solo, WIRE_RECORD_SERVICE, "default/old")->is_tombstone);
    cr_assert_eq(own(&solo, WIRE_RECORD_SERVICE, "default/old")->version, 7);
    solo_fini(&solo);
}

Test(gossip_own, a_newer_version_of_ours_is_outdone_with_our_own_body) {
    struct solo solo;
    solo_init(&solo, SELF, 3, 11);
    solo_publish(&solo, "me", 11);
    publish_service(&solo, "default/web", "mine");
    solo_link(&solo, 1, OTHER);
    hear(&solo, 1, kit_signed(&solo.identity, WIRE_RECORD_SERVICE, "default/web", 3, 40, "old"));
    const struct record *record = own(&solo, WIRE_RECORD_SERVICE, "default/web");
    cr_assert_eq(record->version, 41);
    cr_assert(span_equal(record->body, span_of_text("mine")));
    solo_fini(&solo);
}

Test(gossip_own, a_saturated_version_ends_in_a_new_incarnation) {
    struct solo solo;
    solo_init(&solo, SELF, 3, 11);
    solo_publish(&solo, "me", 11);
    publish_service(&solo, "default/web", "mine");
    solo_link(&solo, 1, OTHER);
    hear(&solo, 1,
         kit_signed(&solo.identity, WIRE_RECORD_SERVICE, "default/web", 3, WIRE_VERSION_LIMIT - 1,
                    "old"));
    cr_assert_eq(gossip_incarnation(solo.gossip), 4);
    cr_assert_eq(own(&solo, WIRE_RECORD_SERVICE, "default/web")->incarnation, 4);
    cr_assert_leq(own(&solo, WIRE_RECORD_SERVICE, "default/web")->version, 2);
    solo_fini(&solo);
}

Test(gossip_own, a_saturated_incarnation_is_survived) {
    struct solo solo;
    begin_known(&solo);
    hear(&solo, 1, kit_peer(&solo.identity, WIRE_VERSION_LIMIT - 1, 1, 12));
    cr_assert_eq(gossip_incarnation(solo.gossip), 3);
    cr_assert_gt(gossip_count(solo.gossip).records_refused, 0);
    solo_fini(&solo);
}

Test(gossip_own, who_comes_back_above_our_raise_is_a_clone) {
    struct solo solo;
    begin_known(&solo);
    hear(&solo, 1, kit_peer(&solo.identity, 4, 1, 99));
    cr_assert_eq(solo_events(&solo, GOSSIP_CLONE), 0, "once may be a former life");
    solo.now += NS_PER_S;
    hear(&solo, 1, kit_peer(&solo.identity, 6, 1, 99));
    cr_assert_eq(solo_events(&solo, GOSSIP_CLONE), 1);
    solo.now += NS_PER_S;
    hear(&solo, 1, kit_peer(&solo.identity, 8, 1, 99));
    cr_assert_eq(solo_events(&solo, GOSSIP_CLONE), 0, "told once");
    solo_fini(&solo);
}

Test(gossip_own, raising_against_a_clone_is_rate_limited) {
    struct solo solo;
    begin_known(&solo);
    for (uint64_t i = 0; i < 100; i++) {
        hear(&solo, 1, kit_peer(&solo.identity, gossip_incarnation(solo.gossip) + 1, 1, 99));
    }
    cr_assert_leq(gossip_count(solo.gossip).raises, 5);
    solo_fini(&solo);
}

Test(gossip_load, takes_what_the_store_kept_and_refuses_what_was_tampered_with) {
    struct solo solo;
    struct identity peer;
    solo_init(&solo, SELF, 1, 11);
    kit_identity(9, &peer);
    struct record *record = kit_peer(&peer, 2, 1, 6);
    cr_assert_eq(gossip_load(solo.gossip, record->encoded, 0, solo.now), WEFT_OK);
    cr_assert_not(recordset_is_stranger(gossip_records(solo.gossip), &peer.id));
    uint8_t bytes[512];
    memcpy(bytes, record->encoded.data, record->encoded.len);
    bytes[record->encoded.len - 1] ^= 1;
    cr_assert_eq(gossip_load(solo.gossip, span_of(bytes, record->encoded.len), 0, solo.now),
                 WEFT_ERR_AUTH);
    record_unref(record);
    record = kit_signed(&peer, KIND, "x", 1, 1, "");
    cr_assert_eq(gossip_load(solo.gossip, record->encoded, 0, solo.now), WEFT_ERR_STALE);
    record_unref(record);
    solo_fini(&solo);
}

/* The next frame of records, whoever it is for. */
static struct frame *next_records(struct solo *solo) {
    struct gossip_output output;
    while (gossip_next_output(solo->gossip, solo->now, &output)) {
        if (kit_tells_records(output.frame)) {
            return output.frame;
        }
        frame_unref(output.frame);
    }
    return NULL;
}

Test(gossip_records, neighbours_share_the_frame_of_one_record_until_all_is_sent) {
    struct solo solo;
    struct frame *frames[4];
    solo_init(&solo, 1, 1, 1);
    solo_publish(&solo, "one", 1);
    solo_link(&solo, 1, 2);
    solo_link(&solo, 2, 3);
    frames[0] = next_records(&solo);
    frames[1] = next_records(&solo);
    cr_assert_not_null(frames[0]);
    cr_assert_eq(frames[0], frames[1]);
    solo_publish(&solo, "two", 1);
    frames[2] = next_records(&solo);
    frames[3] = next_records(&solo);
    cr_assert_not_null(frames[2]);
    cr_assert_eq(frames[2], frames[3]);
    cr_assert_neq(frames[2], frames[0], "another version, another frame");
    cr_assert_null(next_records(&solo));
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(frames[i]->reference_count, 2 - (uint32_t)i % 2, "gossip keeps none");
        frame_unref(frames[i]);
    }
    solo_publish(&solo, "three", 1);
    struct gossip_output output;
    cr_assert(gossip_next_output(solo.gossip, solo.now, &output));
    frame_unref(output.frame);
    solo_fini(&solo); /* in the middle of it */
}
