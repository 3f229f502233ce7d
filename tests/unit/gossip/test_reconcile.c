/* SPDX-License-Identifier: Apache-2.0
 *
 * With whom sets are compared, and with whom not: a newcomer is told everything by one neighbour,
 * and while everything is moving one at a time is asked.
 */
#include <stdio.h>

#include <criterion/criterion.h>

#include "base/time.h"
#include "kit.h"

#define SELF 1
#define KIND 900
#define TELLER 1 /* the link by which a newcomer is told */
#define TOLD 20  /* records */

/* Records of one owner, live, heard by the first link while a reconciliation runs there. */
static void be_told(struct solo *solo, const struct identity *owner) {
    char key[16];
    for (uint32_t i = 0; i < TOLD; i++) {
        (void)snprintf(key, sizeof key, "%u", (unsigned)i);
        struct record *record = kit_signed(owner, KIND, key, 1, 1, "b");
        cr_assert_eq(solo_hear_one(solo, TELLER, record), WEFT_OK);
        record_unref(record);
    }
    (void)solo_events(solo, GOSSIP_RECORD);
}

/* Begins with one link, over which much has been heard. */
static void begin(struct solo *solo, struct identity *owner) {
    solo_init(solo, SELF, 1, 11);
    kit_identity(9, owner);
    solo_link(solo, TELLER, 101);
    cr_assert_eq(solo_hear_sync(solo, TELLER), WEFT_OK);
    be_told(solo, owner);
    (void)solo_outputs(solo, TELLER, WIRE_SYNC);
}

Test(gossip_reconcile, a_newcomer_that_is_being_told_does_not_ask_or_answer_others) {
    struct solo solo;
    struct identity owner;
    begin(&solo, &owner);
    uint64_t begun = gossip_count(solo.gossip).sync_begun;
    for (uint64_t link = 2; link <= 8; link++) {
        solo_link(&solo, link, 100 + (uint32_t)link);
        cr_assert_eq(solo_hear_sync(&solo, link), WEFT_OK);
        cr_expect_eq(solo_outputs(&solo, link, WIRE_SYNC), 0, "link %d", (int)link);
    }
    cr_expect_eq(gossip_count(solo.gossip).sync_begun, begun);
    solo_fini(&solo);
}

Test(gossip_reconcile, who_tells_no_more_does_not_keep_others_waiting) {
    struct solo solo;
    struct identity owner;
    begin(&solo, &owner);
    solo_publish(&solo, "n", 11);
    solo_link(&solo, 2, 102);
    solo.now += 600 * NS_PER_MS;
    (void)solo_outputs(&solo, 2, WIRE_RECORDS);
    cr_assert_eq(solo_hear_sync(&solo, 2), WEFT_OK);
    cr_expect_gt(solo_outputs(&solo, 2, WIRE_RECORDS), 0);
    solo_fini(&solo);
}

/* Changes of somebody's five times a second, and heartbeats of eight neighbours that differ from
 * ours. Returns the last version. */
static uint64_t keep_moving(struct solo *solo, const struct identity *owner, uint64_t version,
                            uint64_t seconds) {
    uint64_t last = version + 5 * seconds;
    for (uint64_t i = version + 1; i <= last; i++) {
        weft_ns end = solo->now + NS_PER_S / 5;
        struct record *record = kit_signed(owner, KIND, "key", 1, i, "body");
        cr_assert_eq(solo_hear_one(solo, TELLER, record), WEFT_OK);
        record_unref(record);
        (void)solo_events(solo, GOSSIP_RECORD);
        for (uint64_t link = 1; i % 5 == 0 && link <= 8; link++) {
            gossip_digest_heard(solo->gossip, (struct link_id){link}, i, solo->now);
        }
        while (gossip_deadline(solo->gossip) <= end) {
            weft_ns deadline = gossip_deadline(solo->gossip);
            solo->now = deadline > solo->now ? deadline : solo->now;
            gossip_tick(solo->gossip, solo->now);
            (void)solo_outputs(solo, TELLER, WIRE_SYNC);
        }
        solo->now = end;
    }
    return last;
}

Test(gossip_reconcile, while_all_is_moving_one_neighbour_at_a_time_is_asked) {
    struct solo solo;
    struct identity owner;
    solo_init(&solo, SELF, 1, 11);
    kit_identity(9, &owner);
    for (uint64_t link = 1; link <= 8; link++) {
        solo_link(&solo, link, 100 + (uint32_t)link);
    }
    gossip_set_live(solo.gossip, &owner.id, true, solo.now);
    struct record *peer = kit_peer(&owner, 1, 1, 5);
    cr_assert_eq(solo_hear_one(&solo, TELLER, peer), WEFT_OK);
    record_unref(peer);
    uint64_t version = keep_moving(&solo, &owner, 0, 10);
    uint64_t before = gossip_count(solo.gossip).sync_begun;
    (void)keep_moving(&solo, &owner, version, 20);
    uint64_t begun = gossip_count(solo.gossip).sync_begun - before;
    cr_expect_geq(begun, 5, "%llu: what is missing here is found all the same",
                  (unsigned long long)begun);
    cr_expect_leq(begun, 12, "%llu in 20 s", (unsigned long long)begun);
    solo_fini(&solo);
}

#define ASKERS 8
#define HELD 600 /* records: more than one asker may be given beside four others */

/* Bytes of records that wait for each link, taken out. */
static void take_records(struct solo *solo, size_t bytes[ASKERS + 1]) {
    struct gossip_output output;
    memset(bytes, 0, (ASKERS + 1) * sizeof bytes[0]);
    while (gossip_next_output(solo->gossip, solo->now, &output)) {
        if (output.frame->data[0] == WIRE_RECORDS && output.link.value <= ASKERS) {
            bytes[output.link.value] += output.frame->len;
        }
        frame_unref(output.frame);
    }
}

/* T17: all that eight ask for at once is not put together for all of them. */
Test(gossip_reconcile, the_complete_state_is_given_to_four_at_a_time) {
    struct solo solo;
    size_t bytes[ASKERS + 1];
    solo_init(&solo, SELF, 1, 11);
    solo_publish(&solo, "n", 11);
    for (uint32_t i = 0; i < HELD; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "%u", (unsigned)i);
        cr_assert_eq(
            gossip_publish(solo.gossip, KIND, span_of_text(key), span_of_text("body"), solo.now),
            WEFT_OK);
    }
    (void)solo_events(&solo, GOSSIP_RECORD);
    for (uint64_t link = 1; link <= ASKERS; link++) {
        solo_link(&solo, link, 100 + (uint32_t)link);
    }
    solo.now += 10 * NS_PER_S;
    take_records(&solo, bytes); /* what they are told unasked */
    for (uint64_t link = 1; link <= ASKERS; link++) {
        gossip_link_room(solo.gossip, (struct link_id){link}, (size_t)1 << 20);
        cr_assert_eq(solo_hear_sync(&solo, link), WEFT_OK);
    }
    take_records(&solo, bytes);
    size_t whole = 0;
    for (size_t link = 1; link <= ASKERS; link++) {
        whole += bytes[link] > (size_t)HELD * 100 ? 1 : 0;
        cr_expect_gt(bytes[link], 0, "link %zu gets its part", link);
    }
    cr_expect_eq(whole, 4);
    solo_fini(&solo);
}
