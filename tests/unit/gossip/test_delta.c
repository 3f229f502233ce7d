/* SPDX-License-Identifier: Apache-2.0
 *
 * Deltas: what is made of two versions makes the newer one of the older one again, and nothing that
 * a neighbour sends instead does harm.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "gossip/delta.h"
#include "gossip/past.h"
#include "kit.h"

#define SELF 1
#define OTHER 2
#define THIRD 3
#define KIND 900

static struct record *record_of(const struct identity *identity, uint64_t version,
                                struct span body) {
    struct wire_record fields = {
        .kind = KIND, .key = span_of_text("k"), .incarnation = 1, .version = version, .body = body};
    struct record *record = NULL;
    cr_assert_eq(record_sign(identity, &fields, &record), WEFT_OK);
    return record;
}

static size_t write_delta(uint8_t *out, const struct record *base, const struct record *record) {
    struct wire_writer writer = wire_writer_of(out, DELTA_BYTES_MAX);
    bool is_written = delta_write(&writer, base, record);
    cr_assert(is_written == (writer.len > 0) && !writer.has_failed);
    return writer.len;
}

static struct wire_delta read_delta(const uint8_t *bytes, size_t len) {
    struct wire_deltas deltas;
    struct wire_delta delta;
    cr_assert_eq(wire_deltas_decode(span_of(bytes, len), &deltas), WEFT_OK);
    struct wire_reader reader = wire_reader_of(deltas.list);
    cr_assert_eq(wire_deltas_next(&reader, &delta), WEFT_OK);
    return delta;
}

/* Changes a few places of a body: bytes, pieces out, pieces in. */
static size_t mutate(struct rng *rng, uint8_t *body, size_t len, size_t size) {
    for (uint64_t edits = rng_below(rng, 6); edits > 0; edits--) {
        size_t at = rng_below(rng, len + 1);
        size_t cut = rng_below(rng, 40);
        size_t put = rng_below(rng, 40);
        cut = cut < len - at ? cut : len - at;
        put = put < size - (len - cut) ? put : 0;
        memmove(body + at + put, body + at + cut, len - at - cut);
        for (size_t i = 0; i < put; i++) {
            body[at + i] = (uint8_t)rng_below(rng, 4); /* likely to look alike */
        }
        len = len - cut + put;
    }
    return len;
}

Test(gossip_delta, what_is_made_of_two_versions_makes_the_newer_of_the_older) {
    static uint8_t made[RECORD_BYTES_MAX];
    uint8_t old_body[1200];
    uint8_t new_body[1200];
    uint8_t bytes[DELTA_BYTES_MAX];
    struct rng rng = kit_rng(kit_seed());
    struct identity identity;
    size_t written = 0;
    kit_identity(7, &identity);
    for (int round = 0; round < 300; round++) {
        size_t old_len = rng_below(&rng, 900);
        for (size_t i = 0; i < old_len; i++) {
            old_body[i] = (uint8_t)rng_below(&rng, round % 2 == 0 ? 3 : 256);
        }
        memcpy(new_body, old_body, old_len);
        size_t new_len = mutate(&rng, new_body, old_len, sizeof new_body);
        struct record *base = record_of(&identity, 3, span_of(old_body, old_len));
        struct record *record = record_of(&identity, 5, span_of(new_body, new_len));
        size_t len = write_delta(bytes, base, record);
        if (len > 0) {
            struct wire_delta delta = read_delta(bytes, len);
            cr_assert_lt(len, record->encoded.len);
            cr_assert(span_equal(delta_apply(&delta, base, made), record->encoded));
            written++;
        }
        record_unref(base);
        record_unref(record);
    }
    cr_assert_gt(written, 150);
}

/* A peer record with so many links, but for the one `left_out`. */
static struct record *linked(const struct identity *identity, uint64_t version, uint32_t links,
                             uint32_t left_out) {
    struct wire_peer_link list[64];
    uint8_t body[4096];
    uint32_t count = 0;
    for (uint32_t i = 0; i < links; i++) {
        if (i != left_out) {
            list[count] = (struct wire_peer_link){.cost_us = 20000 + i};
            memset(list[count].peer.bytes, (int)i + 1, sizeof list[count].peer.bytes);
            count++;
        }
    }
    struct wire_peer_source source = {
        .name = "site", .software = "weft", .instance = 77, .links = list, .link_count = count};
    struct wire_writer writer = wire_writer_of(body, sizeof body);
    wire_peer_body_encode(&writer, &source);
    struct wire_record fields = {.kind = WIRE_RECORD_PEER,
                                 .incarnation = 1,
                                 .version = version,
                                 .body = wire_writer_view(&writer)};
    struct record *record = NULL;
    cr_assert_eq(record_sign(identity, &fields, &record), WEFT_OK);
    return record;
}

Test(gossip_delta, a_lost_link_is_told_in_ninety_bytes) {
    uint8_t bytes[DELTA_BYTES_MAX];
    struct identity identity;
    kit_identity(7, &identity);
    for (uint32_t lost = 0; lost < 12; lost++) {
        struct record *base = linked(&identity, 9, 12, UINT32_MAX);
        struct record *record = linked(&identity, 10, 12, lost);
        size_t len = write_delta(bytes, base, record);
        cr_expect(len > 0 && len <= 90, "link %u: %zu bytes", lost, len);
        record_unref(base);
        record_unref(record);
    }
}

Test(gossip_delta, what_is_no_version_after_the_base_has_no_delta) {
    uint8_t bytes[DELTA_BYTES_MAX];
    uint8_t noise[600];
    struct identity identity;
    struct rng rng = kit_rng(5);
    kit_identity(7, &identity);
    struct record *base = record_of(&identity, 5, span_of_text("the body"));
    struct record *older = record_of(&identity, 4, span_of_text("the body!"));
    struct record *gone = kit_tombstone(&identity, KIND, "k", 1, 6);
    struct record *other = kit_signed(&identity, KIND, "l", 1, 6, "the body!");
    struct record *reborn = kit_signed(&identity, KIND, "k", 2, 6, "the body!");
    for (size_t i = 0; i < sizeof noise; i++) {
        noise[i] = (uint8_t)rng_next(&rng);
    }
    struct record *strange = record_of(&identity, 6, span_of(noise, sizeof noise));
    struct record *const none[] = {older, gone, other, reborn, strange};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        cr_expect_eq(write_delta(bytes, base, none[i]), 0, "%zu", i);
        record_unref(none[i]);
    }
    record_unref(base);
}

Test(gossip_delta, edits_that_do_not_fit_make_nothing) {
    static uint8_t made[RECORD_BYTES_MAX];
    static uint8_t filling[WIRE_EDITS_BYTES_MAX];
    static uint8_t edits[WIRE_EDITS_BYTES_MAX];
    uint8_t body[40000] = {0};
    struct identity identity;
    kit_identity(7, &identity);
    struct record *base = record_of(&identity, 5, span_of(body, sizeof body));
    const struct wire_edit wrong[] = {
        {.skip = sizeof body + 1},
        {.cut = sizeof body + 1},
        {.skip = sizeof body, .cut = 1},
        {.skip = 20000, .cut = 20001},
        {.bytes = span_of(filling, WIRE_RECORD_BODY_MAX - sizeof body + 1)},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct wire_writer writer = wire_writer_of(edits, sizeof edits);
        wire_edit_encode(&writer, &wrong[i]);
        struct wire_delta delta = {.incarnation = 1,
                                   .version = 6,
                                   .step = 1,
                                   .edits = wire_writer_view(&writer),
                                   .signature = span_of(filling, 64)};
        cr_expect_eq(delta_apply(&delta, base, made).len, 0, "%zu", i);
    }
    record_unref(base);
}

/* An empty body is NULL: where it stood in the record was once counted from that, and whoever sent
 * a tombstone and then a delta of it had his neighbours write beyond their stack. */
Test(gossip_delta, what_changes_a_record_without_a_body_is_made_like_any) {
    static uint8_t made[RECORD_BYTES_MAX];
    uint8_t edits[64];
    struct identity identity;
    struct wire_writer writer = wire_writer_of(edits, sizeof edits);
    wire_edit_encode(&writer, &(struct wire_edit){.bytes = span_of_text("new")});
    kit_identity(7, &identity);
    struct record *empty = record_of(&identity, 1, span_of(NULL, 0));
    struct record *wanted = record_of(&identity, 2, span_of_text("new"));
    struct wire_delta delta = {
        .incarnation = 1, .version = 2, .step = 1, .edits = wire_writer_view(&writer)};
    delta.signature =
        span_of(wanted->encoded.data + wanted->encoded.len - SIGNATURE_BYTES, SIGNATURE_BYTES);
    cr_assert(span_equal(delta_apply(&delta, empty, made), wanted->encoded));
    struct record *buried = kit_tombstone(&identity, KIND, "k", 1, 1);
    cr_assert_gt(delta_apply(&delta, buried, made).len, 0, "its signature will not hold");
    record_unref(empty);
    record_unref(wanted);
    record_unref(buried);
}

Test(gossip_delta, versions_of_the_row_are_kept_the_first_and_the_last_three) {
    struct past past = {0};
    struct identity identity;
    struct record *versions[9];
    kit_identity(7, &identity);
    for (uint64_t i = 1; i < 9; i++) {
        versions[i] = record_of(&identity, i, span_of_text("body"));
        past_add(&past, 3, versions[i], NS_PER_S);
    }
    const struct record *now = versions[8];
    cr_expect_eq(past_first(&past, 3, now), versions[1]);
    cr_expect_eq(past_last(&past, 3, now), versions[8]);
    cr_expect_eq(past_version(&past, 3, now, 7), versions[7]);
    cr_expect_eq(past_version(&past, 3, now, 1), versions[1]);
    cr_expect_null(past_version(&past, 3, now, 4));
    cr_expect_null(past_first(&past, 4, now), "another slot");
    past_add(&past, 3, versions[8], 20 * NS_PER_S);
    cr_expect_eq(past_first(&past, 3, now), versions[8], "another row");
    past_add(&past, 3 + 4096, versions[2], 20 * NS_PER_S);
    cr_expect_null(past_first(&past, 3, now), "the row went to another slot of a large set");
    past_tick(&past, 20 * NS_PER_S + PAST_IDLE_NS);
    cr_expect_eq(past.size, 0);
    for (uint64_t i = 1; i < 9; i++) {
        cr_expect_eq(versions[i]->reference_count, 1);
        record_unref(versions[i]);
    }
    past_fini(&past);
}

/* A gossip that has version 1 of the owner's record, and two neighbours. */
static void begin(struct solo *solo, struct identity *owner) {
    solo_init(solo, SELF, 1, 11);
    kit_identity(9, owner);
    solo_link(solo, 1, OTHER);
    solo_link(solo, 2, THIRD);
    gossip_set_live(solo->gossip, &owner->id, true, solo->now);
    struct record *record = linked(owner, 1, 8, UINT32_MAX);
    cr_assert_eq(solo_hear_one(solo, 1, record), WEFT_OK);
    record_unref(record);
    (void)solo_outputs(solo, 1, WIRE_RECORDS);
    (void)solo_events(solo, GOSSIP_RECORD);
}

/* The delta from one version, which left out one link, to another; with a byte of the signature
 * flipped if it is forged. */
static void hear_delta(struct solo *solo, const struct identity *owner, uint64_t from, uint64_t to,
                       bool is_forged) {
    uint8_t bytes[DELTA_BYTES_MAX];
    struct record *base = linked(owner, from, 8, from == 1 ? UINT32_MAX : (uint32_t)from % 8);
    struct record *record = linked(owner, to, 8, (uint32_t)to % 8);
    size_t len = write_delta(bytes, base, record);
    cr_assert_gt(len, 0);
    bytes[len - 1] ^= is_forged ? 1 : 0;
    struct wire_frame frame = {.kind = WIRE_DELTAS, .body = span_of(bytes, len)};
    cr_assert_eq(gossip_frame(solo->gossip, (struct link_id){1}, &frame, solo->now), WEFT_OK);
    record_unref(base);
    record_unref(record);
}

static uint64_t held(const struct solo *solo, const struct identity *owner) {
    return recordset_find(gossip_records(solo->gossip), WIRE_RECORD_PEER, &owner->id,
                          span_of(NULL, 0))
        ->version;
}

/* Wants that go to a link now. */
static size_t wants(struct solo *solo, uint64_t link) {
    struct gossip_output output;
    size_t count = 0;
    gossip_tick(solo->gossip, solo->now);
    while (gossip_next_output(solo->gossip, solo->now, &output)) {
        count += output.link.value == link && output.frame->data[0] == WIRE_NOTES &&
                         output.frame->data[4] == WIRE_NOTES_WANT
                     ? 1
                     : 0;
        frame_unref(output.frame);
    }
    return count;
}

Test(gossip_delta, a_delta_is_heard_as_the_record_and_passed_on_as_one) {
    struct solo solo;
    struct identity owner;
    begin(&solo, &owner);
    hear_delta(&solo, &owner, 1, 2, false);
    cr_assert_eq(held(&solo, &owner), 2);
    cr_assert_eq(solo_events(&solo, GOSSIP_RECORD), 1);
    cr_assert_eq(solo_outputs(&solo, 2, WIRE_DELTAS), 1);
    hear_delta(&solo, &owner, 1, 3, false); /* from what was before the row of changes */
    cr_assert_eq(held(&solo, &owner), 3);
    cr_assert_eq(solo_sent_version(&solo, 2, &owner.id, WIRE_RECORD_PEER), 3);
    cr_assert_eq(gossip_count(solo.gossip).deltas_missed, 0);
    solo_fini(&solo);
}

Test(gossip_delta, a_delta_of_what_is_not_here_is_asked_for_once_as_a_whole) {
    struct solo solo;
    struct identity owner;
    begin(&solo, &owner);
    hear_delta(&solo, &owner, 4, 5, false);
    hear_delta(&solo, &owner, 4, 5, false);
    cr_assert_eq(held(&solo, &owner), 1);
    cr_assert_eq(wants(&solo, 1), 1);
    hear_delta(&solo, &owner, 4, 5, false);
    cr_assert_eq(wants(&solo, 1), 0, "asked already");
    struct record *whole = linked(&owner, 5, 8, 5);
    cr_assert_eq(solo_hear_one(&solo, 1, whole), WEFT_OK);
    record_unref(whole);
    cr_assert_eq(held(&solo, &owner), 5);
    cr_assert_eq(wants(&solo, 1), 0);
    solo_fini(&solo);
}

/* How many records are asked for of a link now. */
static size_t asked(struct solo *solo, uint64_t link) {
    struct gossip_output output;
    size_t count = 0;
    gossip_tick(solo->gossip, solo->now);
    while (gossip_next_output(solo->gossip, solo->now, &output)) {
        bool is_want = output.link.value == link && output.frame->data[0] == WIRE_NOTES &&
                       output.frame->data[4] == WIRE_NOTES_WANT;
        count += is_want ? (output.frame->len - 5) / WIRE_NOTE_BYTES : 0;
        frame_unref(output.frame);
    }
    return count;
}

/* They are looked up some at a time. */
Test(gossip_delta, of_a_frame_of_many_notes_or_deltas_each_is_heeded) {
    enum { MANY = 45 };
    static uint8_t bytes[MANY * DELTA_BYTES_MAX];
    struct solo solo;
    struct identity owner;
    begin(&solo, &owner);
    struct wire_writer writer = wire_writer_of(bytes, sizeof bytes);
    wire_write_u8(&writer, WIRE_NOTES_HAVE);
    for (uint8_t i = 0; i < MANY; i++) {
        wire_note_encode(&writer, &(struct wire_note){.name = {i, 7}, .version = 1});
    }
    struct wire_frame notes = {.kind = WIRE_NOTES, .body = wire_writer_view(&writer)};
    cr_assert_eq(gossip_frame(solo.gossip, (struct link_id){1}, &notes, solo.now), WEFT_OK);
    solo.now += NS_PER_S;
    cr_expect_eq(asked(&solo, 1), MANY);
    writer = wire_writer_of(bytes, sizeof bytes);
    struct record *base = linked(&owner, 4, 8, 4);
    struct record *record = linked(&owner, 5, 8, 5);
    for (uint8_t i = 0; i < MANY; i++) {
        size_t begin_at = writer.len;
        cr_assert(delta_write(&writer, base, record));
        memcpy(bytes + begin_at, (const uint8_t[]){i, 8}, 2); /* of other names, not here */
    }
    struct wire_frame deltas = {.kind = WIRE_DELTAS, .body = wire_writer_view(&writer)};
    cr_assert_eq(gossip_frame(solo.gossip, (struct link_id){2}, &deltas, solo.now), WEFT_OK);
    cr_expect_eq(asked(&solo, 2), MANY);
    record_unref(base);
    record_unref(record);
    solo_fini(&solo);
}

/* The kind of the frame that tells of records to a link now; 0: none does. */
static uint8_t kind_sent(struct solo *solo, uint64_t link) {
    struct gossip_output output;
    uint8_t kind = 0;
    while (gossip_next_output(solo->gossip, solo->now, &output)) {
        bool is_it = output.link.value == link && kit_tells_records(output.frame);
        kind = is_it ? output.frame->data[0] : kind;
        frame_unref(output.frame);
    }
    return kind;
}

Test(gossip_delta, who_is_asked_answers_with_what_the_other_lacks) {
    static const uint8_t kinds[] = {WIRE_RECORDS, WIRE_DELTAS, 0};
    struct solo solo;
    struct identity owner;
    struct wire_note note = {.incarnation = 1, .version = 1};
    uint8_t body[16];
    begin(&solo, &owner);
    hear_delta(&solo, &owner, 1, 2, false);
    (void)solo_outputs(&solo, 2, WIRE_DELTAS);
    const struct record *record =
        recordset_find(gossip_records(solo.gossip), WIRE_RECORD_PEER, &owner.id, span_of(NULL, 0));
    memcpy(note.name, record->place, sizeof note.name);
    for (uint8_t version = 0; version <= 2; version++) {
        note.incarnation = version == 0 ? 0 : 1;
        note.version = version;
        struct wire_writer writer = wire_writer_of(body, sizeof body);
        wire_write_u8(&writer, WIRE_NOTES_WANT);
        wire_note_encode(&writer, &note);
        struct wire_frame frame = {.kind = WIRE_NOTES, .body = wire_writer_view(&writer)};
        cr_assert_eq(gossip_frame(solo.gossip, (struct link_id){2}, &frame, solo.now), WEFT_OK);
        cr_expect_eq(kind_sent(&solo, 2), kinds[version]);
    }
    solo_fini(&solo);
}

/* A signature check for 80 bytes is dear: there are 16 of them, then one a second. */
Test(gossip_delta, forged_deltas_change_nothing_and_are_soon_not_looked_at) {
    struct solo solo;
    struct identity owner;
    begin(&solo, &owner);
    for (uint64_t version = 2; version < 200; version++) {
        hear_delta(&solo, &owner, 1, version, true);
    }
    cr_assert_eq(held(&solo, &owner), 1);
    cr_assert_eq(gossip_count(solo.gossip).records_refused, 16);
    cr_assert_eq(solo_events(&solo, GOSSIP_CULPRIT), 1);
    hear_delta(&solo, &owner, 1, 2, false);
    cr_assert_eq(held(&solo, &owner), 1, "asked for whole, though it was genuine");
    solo.now += 2 * NS_PER_S;
    hear_delta(&solo, &owner, 1, 2, false);
    cr_assert_eq(held(&solo, &owner), 2);
    solo_fini(&solo);
}
