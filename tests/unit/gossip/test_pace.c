/* SPDX-License-Identifier: Apache-2.0
 *
 * How often a neighbour is sent pushed records: at once in a quiet mesh, in few frames in a busy
 * one, and not at all what it has meanwhile.
 */
#include <stdio.h>

#include <criterion/criterion.h>

#include "base/time.h"
#include "kit.h"

#define SELF 1
#define KIND 900
#define NEIGHBOURS 8
#define SOURCE 8 /* the link by which all is heard; the links are numbered from 1 */
/* No frame waits longer. */
#define HOLD_MAX (700 * NS_PER_MS)

/* Eight neighbours, and an owner who is live, among so many that news go to all neighbours. */
static void begin_among(struct solo *solo, struct identity *owner, size_t degree) {
    solo_init(solo, SELF, 1, 11);
    solo->degree = degree;
    kit_identity(9, owner);
    for (uint32_t i = 1; i <= NEIGHBOURS; i++) {
        solo_link(solo, i, 100 + i);
    }
    for (uint32_t i = 0; i < 30; i++) {
        struct weft_peer_id other = kit_owner(1000 + i);
        gossip_set_live(solo->gossip, &other, true, solo->now);
    }
    gossip_set_live(solo->gossip, &owner->id, true, solo->now);
    struct record *peer = kit_peer(owner, 1, 1, 5);
    cr_assert_eq(solo_hear_one(solo, SOURCE, peer), WEFT_OK);
    record_unref(peer);
    uint64_t digest = recordset_digest(gossip_records(solo->gossip));
    for (uint64_t link = 1; link <= NEIGHBOURS; link++) { /* no reconciliation runs any more */
        gossip_digest_heard(solo->gossip, (struct link_id){link}, digest, solo->now);
    }
    (void)solo_outputs(solo, 1, WIRE_RECORDS);
}

static void begin(struct solo *solo, struct identity *owner) {
    begin_among(solo, owner, NEIGHBOURS);
}

static void hear_version(struct solo *solo, const struct identity *owner, uint64_t link,
                         uint64_t version) {
    struct record *record = kit_signed(owner, KIND, "key", 1, version, "body");
    cr_assert_eq(solo_hear_one(solo, link, record), WEFT_OK);
    record_unref(record);
    (void)solo_events(solo, GOSSIP_RECORD);
}

/* Frames of records that go out now, by link. */
static void count_frames(struct solo *solo, size_t counts[NEIGHBOURS + 1]) {
    struct gossip_output output;
    while (gossip_next_output(solo->gossip, solo->now, &output)) {
        counts[output.link.value] += kit_tells_records(output.frame) ? 1 : 0;
        frame_unref(output.frame);
    }
}

/* Lets time go by from deadline to deadline. */
static void pass(struct solo *solo, weft_ns span, size_t counts[NEIGHBOURS + 1]) {
    weft_ns end = solo->now + span;
    while (gossip_deadline(solo->gossip) <= end) {
        weft_ns deadline = gossip_deadline(solo->gossip);
        solo->now = deadline > solo->now ? deadline : solo->now;
        gossip_tick(solo->gossip, solo->now);
        count_frames(solo, counts);
    }
    solo->now = end;
}

/* So many versions, `gap` apart. */
static void storm(struct solo *solo, const struct identity *owner, uint64_t versions, weft_ns gap,
                  size_t counts[NEIGHBOURS + 1]) {
    for (uint64_t i = 1; i <= versions; i++) {
        hear_version(solo, owner, SOURCE, i);
        count_frames(solo, counts);
        pass(solo, gap, counts);
    }
}

Test(gossip_pace, a_single_change_goes_to_all_neighbours_at_once) {
    struct solo solo;
    struct identity owner;
    size_t counts[NEIGHBOURS + 1] = {0};
    begin(&solo, &owner);
    hear_version(&solo, &owner, SOURCE, 1);
    count_frames(&solo, counts);
    for (size_t i = 1; i < SOURCE; i++) {
        cr_expect_eq(counts[i], 1, "link %zu", i);
    }
    cr_expect_eq(counts[SOURCE], 0);
    solo_fini(&solo);
}

Test(gossip_pace, a_storm_of_changes_becomes_few_frames_and_the_last_one_arrives) {
    struct solo solo;
    struct identity owner;
    size_t counts[NEIGHBOURS + 1] = {0};
    begin(&solo, &owner);
    storm(&solo, &owner, 475, 4 * NS_PER_MS, counts);
    for (size_t i = 1; i < SOURCE; i++) {
        cr_expect_geq(counts[i], 16, "link %zu", i);
        cr_expect_leq(counts[i], 16 + 1900 / 25 + 1, "link %zu: %zu", i, counts[i]);
    }
    hear_version(&solo, &owner, SOURCE, 2000);
    uint64_t seen = 0;
    weft_ns end = solo.now + HOLD_MAX;
    while (solo.now < end && seen != 2000) {
        solo.now += 10 * NS_PER_MS;
        gossip_tick(solo.gossip, solo.now);
        uint64_t version = solo_sent_version(&solo, 1, &owner.id, KIND);
        seen = version != 0 ? version : seen;
    }
    cr_expect_eq(seen, 2000);
    solo_fini(&solo);
}

/* A note of what we have, or what a neighbour says of it. */
static void hear_notes(struct solo *solo, uint64_t link, enum wire_notes_act act,
                       const struct wire_note *note) {
    uint8_t body[16];
    struct wire_writer writer = wire_writer_of(body, sizeof body);
    wire_write_u8(&writer, (uint8_t)act);
    if (note != NULL) {
        wire_note_encode(&writer, note);
    }
    struct wire_frame frame = {.kind = WIRE_NOTES, .body = wire_writer_view(&writer)};
    cr_assert_eq(gossip_frame(solo->gossip, (struct link_id){link}, &frame, solo->now), WEFT_OK);
}

static struct wire_note note_of(const struct identity *owner, uint8_t version) {
    struct wire_note note = {.incarnation = 1, .version = version};
    uint8_t place[32];
    record_place(KIND, &owner->id, span_of_text("key"), place);
    memcpy(note.name, place, sizeof note.name);
    return note;
}

/* NOTES frames of one act that go to a link while time goes by; other frames are counted as those
 * of records are. */
static size_t notes_sent(struct solo *solo, weft_ns span, enum wire_notes_act act, uint64_t link,
                         size_t counts[NEIGHBOURS + 1]) {
    struct gossip_output output;
    size_t count = 0;
    for (weft_ns end = solo->now + span; solo->now <= end; solo->now += NS_PER_MS) {
        gossip_tick(solo->gossip, solo->now);
        while (gossip_next_output(solo->gossip, solo->now, &output)) {
            const struct frame *frame = output.frame;
            counts[output.link.value] += kit_tells_records(frame) ? 1 : 0;
            count += output.link.value == link && frame->data[0] == WIRE_NOTES &&
                             frame->data[4] == (uint8_t)act
                         ? 1
                         : 0;
            frame_unref(output.frame);
        }
    }
    return count;
}

Test(gossip_pace, who_asked_to_hold_gets_notes_in_a_storm_until_it_wants_some) {
    struct solo solo;
    struct identity owner;
    size_t counts[NEIGHBOURS + 1] = {0};
    begin(&solo, &owner);
    for (uint64_t link = 1; link <= 3; link++) {
        hear_notes(&solo, link, WIRE_NOTES_HOLD, NULL);
    }
    for (uint64_t version = 1; version <= 40; version++) { /* no calm any more */
        hear_version(&solo, &owner, SOURCE, version);
    }
    pass(&solo, 50 * NS_PER_MS, counts);
    memset(counts, 0, sizeof counts);
    hear_version(&solo, &owner, SOURCE, 41);
    hear_version(&solo, &owner, SOURCE, 42);
    hear_version(&solo, &owner, SOURCE, 43);
    hear_version(&solo, &owner, SOURCE, 44);
    struct wire_note note = note_of(&owner, 44);
    hear_notes(&solo, 2, WIRE_NOTES_HAVE, &note);
    hear_version(&solo, &owner, 3, 44);
    cr_expect_eq(notes_sent(&solo, 200 * NS_PER_MS, WIRE_NOTES_HAVE, 1, counts), 1);
    cr_expect_eq(counts[1] + counts[2] + counts[3], 0, "two have it, one is told of it");
    cr_expect_eq(counts[4], 1);
    note.version = 43;
    hear_notes(&solo, 1, WIRE_NOTES_WANT, &note);
    cr_expect_eq(notes_sent(&solo, 0, WIRE_NOTES_HAVE, 1, counts), 0);
    cr_expect_eq(counts[1], 1, "what it wanted");
    hear_version(&solo, &owner, SOURCE, 45);
    (void)notes_sent(&solo, 50 * NS_PER_MS, WIRE_NOTES_HAVE, 1, counts);
    cr_expect_eq(counts[1], 2, "and what comes from now on");
    solo_fini(&solo);
}

Test(gossip_pace, what_a_note_shows_to_be_missing_is_waited_for_and_then_asked_for) {
    struct solo solo;
    struct identity owner;
    size_t counts[NEIGHBOURS + 1] = {0};
    begin(&solo, &owner);
    hear_version(&solo, &owner, SOURCE, 1);
    (void)solo_outputs(&solo, 1, WIRE_RECORDS);
    struct wire_note note = note_of(&owner, 1);
    hear_notes(&solo, 1, WIRE_NOTES_HAVE, &note);
    cr_expect_eq(notes_sent(&solo, NS_PER_S, WIRE_NOTES_WANT, 1, counts), 0, "it is here");
    note.version = 2;
    hear_notes(&solo, 1, WIRE_NOTES_HAVE, &note);
    cr_expect_eq(notes_sent(&solo, 10 * NS_PER_MS, WIRE_NOTES_WANT, 1, counts), 0);
    hear_version(&solo, &owner, SOURCE, 2);
    cr_expect_eq(notes_sent(&solo, NS_PER_S, WIRE_NOTES_WANT, 1, counts), 0, "it came in time");
    note.version = 3;
    hear_notes(&solo, 1, WIRE_NOTES_HAVE, &note);
    cr_expect_eq(notes_sent(&solo, 500 * NS_PER_MS, WIRE_NOTES_WANT, 1, counts), 1);
    hear_notes(&solo, 1, WIRE_NOTES_HAVE, &note);
    cr_expect_eq(notes_sent(&solo, 400 * NS_PER_MS, WIRE_NOTES_WANT, 1, counts), 0, "once");
    cr_expect_eq(notes_sent(&solo, NS_PER_S, WIRE_NOTES_WANT, 1, counts), 0, "and forgotten");
    solo_fini(&solo);
}

Test(gossip_pace, who_pushes_what_is_here_is_asked_to_hold_but_never_the_last) {
    struct solo solo;
    struct identity owner;
    size_t counts[NEIGHBOURS + 1] = {0};
    size_t held = 0;
    begin(&solo, &owner);
    for (uint64_t version = 1; version <= 60; version++) {
        for (uint64_t link = NEIGHBOURS; link >= 1; link--) {
            hear_version(&solo, &owner, link, version);
        }
        for (uint64_t link = 1; link <= NEIGHBOURS; link++) {
            solo.now -= link > 1 ? NS_PER_MS : 0; /* the same moment, for all */
            held += notes_sent(&solo, 0, WIRE_NOTES_HOLD, link, counts);
        }
        solo.now += 10 * NS_PER_MS;
    }
    cr_expect_gt(held, 0);
    cr_expect_lt(held, NEIGHBOURS);
    solo_fini(&solo);
}

Test(gossip_pace, digests_that_agree_take_back_all_that_waits) {
    struct solo solo;
    struct identity owner;
    size_t counts[NEIGHBOURS + 1] = {0};
    begin(&solo, &owner);
    hear_notes(&solo, 1, WIRE_NOTES_HOLD, NULL);
    for (uint64_t version = 1; version <= 60; version++) {
        hear_version(&solo, &owner, SOURCE, version);
        count_frames(&solo, counts);
    }
    memset(counts, 0, sizeof counts);
    uint64_t digest = recordset_digest(gossip_records(solo.gossip));
    gossip_digest_heard(solo.gossip, (struct link_id){1}, digest, solo.now);
    gossip_digest_heard(solo.gossip, (struct link_id){2}, digest, solo.now);
    cr_expect_eq(notes_sent(&solo, NS_PER_S, WIRE_NOTES_HAVE, 1, counts), 0);
    cr_expect_eq(counts[1] + counts[2], 0);
    cr_expect_eq(counts[3], 1);
    solo_fini(&solo);
}

Test(gossip_pace, what_a_neighbour_shows_that_it_has_is_taken_back) {
    struct solo solo;
    struct identity owner;
    size_t counts[NEIGHBOURS + 1] = {0};
    begin(&solo, &owner);
    storm(&solo, &owner, 200, NS_PER_MS, counts);
    pass(&solo, HOLD_MAX, counts);
    size_t rest[NEIGHBOURS + 1] = {0};
    for (uint64_t version = 1001; version <= 1100; version++) {
        hear_version(&solo, &owner, SOURCE, version);
        for (uint64_t link = 1; link < SOURCE; link++) {
            hear_version(&solo, &owner, link, version);
        }
    }
    count_frames(&solo, rest);
    pass(&solo, HOLD_MAX, rest);
    for (size_t i = 1; i < SOURCE; i++) {
        cr_expect_eq(rest[i], 0, "link %zu", i);
    }
    solo_fini(&solo);
}

Test(gossip_pace, after_a_quiet_while_changes_go_at_once_again) {
    struct solo solo;
    struct identity owner;
    size_t counts[NEIGHBOURS + 1] = {0};
    begin(&solo, &owner);
    storm(&solo, &owner, 500, 4 * NS_PER_MS, counts);
    pass(&solo, 10 * NS_PER_S, counts);
    size_t rest[NEIGHBOURS + 1] = {0};
    for (uint64_t version = 1001; version <= 1010; version++) {
        hear_version(&solo, &owner, SOURCE, version);
        count_frames(&solo, rest);
    }
    for (size_t i = 1; i < SOURCE; i++) {
        cr_expect_eq(rest[i], 10, "link %zu", i);
    }
    solo_fini(&solo);
}

Test(gossip_pace, what_a_reconciliation_gives_is_not_held_back) {
    struct solo solo;
    struct identity owner;
    size_t counts[NEIGHBOURS + 1] = {0};
    begin(&solo, &owner);
    storm(&solo, &owner, 100, NS_PER_MS, counts);
    hear_version(&solo, &owner, SOURCE, 1000);
    size_t held[NEIGHBOURS + 1] = {0};
    count_frames(&solo, held);
    uint8_t body[WIRE_BODY_BYTES_MAX];
    struct record *record =
        recordset_find(gossip_records(solo.gossip), KIND, &owner.id, span_of_text("key"));
    struct wire_writer writer = wire_writer_of(body, sizeof body);
    wire_write_u64(&writer, 1);
    wire_sync_item_encode(&writer, &(struct wire_sync_item){.mode = WIRE_SYNC_WANT,
                                                            .count = 1,
                                                            .entries = span_of(record->place, 8)});
    struct wire_frame frame = {.kind = WIRE_SYNC, .body = wire_writer_view(&writer)};
    for (uint64_t link = 1; link < SOURCE; link++) {
        cr_assert_eq(gossip_frame(solo.gossip, (struct link_id){link}, &frame, solo.now), WEFT_OK);
    }
    count_frames(&solo, held);
    for (size_t i = 1; i < SOURCE; i++) {
        cr_expect_eq(held[i], 1, "link %zu", i);
    }
    solo_fini(&solo);
}

Test(gossip_pace, crowded_neighbours_are_left_to_others_but_for_our_own_news) {
    struct solo solo;
    struct identity owner;
    size_t counts[NEIGHBOURS + 1] = {0};
    begin_among(&solo, &owner, 200);
    solo_publish(&solo, "n", 11);
    count_frames(&solo, counts);
    for (size_t i = 1; i <= NEIGHBOURS; i++) {
        cr_expect_eq(counts[i], 1, "link %zu", i);
    }
    storm(&solo, &owner, 100, NS_PER_S, counts);
    for (size_t i = 1; i < SOURCE; i++) {
        cr_expect_leq(counts[i], 1 + 25, "link %zu: %zu, of which 2 are expected", i, counts[i]);
    }
    solo_fini(&solo);
}

/* Records that go out to a link now. */
static size_t count_records(struct solo *solo, uint64_t link) {
    struct gossip_output output;
    size_t count = 0;
    while (gossip_next_output(solo->gossip, solo->now, &output)) {
        struct wire_reader reader =
            wire_reader_of(span_of(output.frame->data + 4, output.frame->len - 4));
        bool counts = output.link.value == link && output.frame->data[0] == WIRE_RECORDS;
        struct span encoded;
        while (counts && wire_reader_more(&reader) &&
               wire_records_next(&reader, &encoded) == WEFT_OK) {
            count++;
        }
        frame_unref(output.frame);
    }
    return count;
}

/* What a neighbour is given that asks for all. */
static size_t given_to(struct solo *solo, uint64_t link) {
    cr_assert_eq(solo_hear_sync(solo, link), WEFT_OK);
    return count_records(solo, link);
}

Test(gossip_pace, a_crowded_node_gives_all_to_few_and_samples_to_the_others) {
    struct solo solo;
    struct identity owner;
    char key[16];
    begin_among(&solo, &owner, 4);
    for (uint32_t i = 0; i < 300; i++) {
        (void)snprintf(key, sizeof key, "%u", (unsigned)i);
        struct record *record = kit_signed(&owner, KIND, key, 1, 1, "b");
        cr_assert_eq(solo_hear_one(&solo, SOURCE, record), WEFT_OK);
        record_unref(record);
    }
    (void)solo_events(&solo, GOSSIP_RECORD);
    for (uint32_t i = 1; i <= 30; i++) {
        solo_link(&solo, 100 + i, 200 + i);
    }
    solo.now += NS_PER_S; /* nobody is telling us any more */
    (void)count_records(&solo, 0);
    for (uint64_t i = 1; i <= 2; i++) {
        cr_expect_eq(given_to(&solo, 100 + i), 301);
    }
    for (uint64_t i = 3; i <= 10; i++) {
        cr_expect_eq(given_to(&solo, 100 + i), 16);
    }
    solo.now += 5 * NS_PER_S;
    solo_link(&solo, 131, 231);
    solo_link(&solo, 132, 232);
    (void)count_records(&solo, 0);
    cr_expect_eq(given_to(&solo, 131), 301, "another one in five seconds");
    cr_expect_eq(given_to(&solo, 132), 16);
    cr_expect_eq(given_to(&solo, 112), 301, "one that stays may have nobody else");
    solo.degree = 5;
    solo.now += 3 * NS_PER_S; /* its degree is looked at anew */
    cr_expect_eq(given_to(&solo, 113), 16, "it has others");
    solo_fini(&solo);
}

/* To how many of sixty neighbours of a crowded node somebody's news go, five seconds after they
 * came. */
static size_t pushed_to_crowd(size_t degree) {
    struct solo solo;
    struct identity owner;
    size_t counts[200] = {0};
    begin_among(&solo, &owner, degree);
    for (uint32_t i = 1; i <= 60; i++) {
        solo_link(&solo, 100 + i, 200 + i);
    }
    uint64_t digest = recordset_digest(gossip_records(solo.gossip));
    solo.now += 5 * NS_PER_S;
    (void)count_records(&solo, 0);
    for (uint64_t i = 1; i <= 60; i++) {
        gossip_digest_heard(solo.gossip, (struct link_id){100 + i}, digest, solo.now);
    }
    hear_version(&solo, &owner, SOURCE, 1);
    struct gossip_output output;
    while (gossip_next_output(solo.gossip, solo.now, &output)) {
        counts[output.link.value] += kit_tells_records(output.frame) ? 1 : 0;
        frame_unref(output.frame);
    }
    size_t pushed = 0;
    for (uint64_t i = 1; i <= 60; i++) {
        pushed += counts[100 + i];
    }
    solo_fini(&solo);
    return pushed;
}

/* Sites hear all from their hubs: drawn at random they would hear most of it only when sets are
 * compared (with 300 sites at 12 hubs the mesh did not form in a minute). */
Test(gossip_pace, a_crowded_node_pushes_to_all_who_count_on_it) {
    cr_expect_eq(pushed_to_crowd(4), 60);
}

/* Those who joined through it and are about to go hear it from the others they have. */
Test(gossip_pace, a_crowded_node_pushes_to_a_few_of_those_who_have_other_links) {
    cr_expect_leq(pushed_to_crowd(5), 6);
}
