/* SPDX-License-Identifier: Apache-2.0
 *
 * Reconciliation between bare sets: it ends, it ends equal, and it costs what differs (A12).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <criterion/criterion.h>

#include "kit.h"

#define RECORD_BYTES 300

struct cost {
    size_t messages;
    size_t sync_bytes;
    size_t record_bytes;
    size_t records;
};

/* Records of one direction that wait, in order. */
struct mailbag {
    struct record *records[40000];
    size_t count;
};

static struct recordset *new_set(void) {
    struct recordset_config config = kit_bounds();
    struct recordset *set = NULL;
    cr_assert_eq(recordset_new(&config, &set), WEFT_OK);
    return set;
}

static void put(struct recordset *set, uint32_t owner, uint64_t version) {
    struct record *record = kit_shaped(owner, 1, 0, 1, version, RECORD_BYTES);
    recordset_set_live(set, &record->owner, true, 0);
    (void)recordset_put(set, record, 0);
    record_unref(record);
}

static void collect(void *ctx, struct record *record) {
    struct mailbag *bag = ctx;
    cr_assert_lt(bag->count, sizeof bag->records / sizeof bag->records[0]);
    bag->records[bag->count++] = record_ref(record);
}

/* Hands the bag over; what is older than what the receiver has comes back, as gossip does it. */
static void deliver(struct recordset *from, struct recordset *to, struct mailbag *bag,
                    struct cost *cost) {
    for (size_t i = 0; i < bag->count; i++) {
        struct record *record = bag->records[i];
        cost->records++;
        cost->record_bytes += record->encoded.len;
        recordset_set_live(to, &record->owner, true, 0);
        if (recordset_put(to, record, 0) == RECORDSET_OLDER) {
            struct record *newer = recordset_find_place(to, record->place);
            cost->records++;
            cost->record_bytes += newer->encoded.len;
            (void)recordset_put(from, newer, 0);
        }
        record_unref(record);
    }
    cost->messages += bag->count > 0 ? 1 : 0;
    bag->count = 0;
}

/* One answer of `set` to `body`; returns the length of the next body, 0 if there is none. */
static size_t answer(struct recordset *set, struct recordset *other, uint8_t *body, size_t len,
                     struct cost *cost) {
    static uint8_t reply[WIRE_BODY_BYTES_MAX];
    static struct mailbag bag;
    struct wire_sync sync;
    struct sync_result result;
    struct wire_writer writer = wire_writer_of(reply, sizeof reply);
    cr_assert_eq(wire_sync_decode(span_of(body, len), &sync), WEFT_OK);
    cr_assert_eq(sync_answer(set, &sync, &writer, collect, &bag, &result), WEFT_OK);
    cr_assert_eq(result.sent_count, bag.count);
    deliver(set, other, &bag, cost);
    if (!result.has_answer) {
        return 0;
    }
    cr_assert(!writer.has_failed);
    memcpy(body, reply, writer.len);
    return writer.len;
}

static struct cost reconcile(struct recordset *a, struct recordset *b, uint64_t salt) {
    static uint8_t body[WIRE_BODY_BYTES_MAX];
    struct cost cost = {0};
    struct wire_writer writer = wire_writer_of(body, sizeof body);
    sync_begin(a, salt, &writer);
    size_t len = writer.len;
    for (int turn = 0; len > 0; turn++) {
        cr_assert_lt(turn, 100, "a reconciliation must end");
        cost.messages++;
        cost.sync_bytes += len + WIRE_FRAME_HEADER_BYTES;
        len = turn % 2 == 0 ? answer(b, a, body, len, &cost) : answer(a, b, body, len, &cost);
    }
    return cost;
}

static void print(const char *name, const struct cost *cost) {
    fprintf(stderr, "A12 %-14s messages=%zu sync_bytes=%zu records=%zu record_bytes=%zu\n", name,
            cost->messages, cost->sync_bytes, cost->records, cost->record_bytes);
}

static void fill(struct recordset *set, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        put(set, i, 1);
    }
}

Test(sync, of_equal_sets_is_one_small_message) {
    struct recordset *a = new_set();
    struct recordset *b = new_set();
    fill(a, 10000);
    fill(b, 10000);
    struct cost cost = reconcile(a, b, 1);
    print("equal", &cost);
    cr_assert_eq(cost.messages, 1);
    cr_assert_leq(cost.sync_bytes, 100);
    cr_assert_eq(cost.records, 0);
    recordset_free(a);
    recordset_free(b);
}

static struct cost differing(uint32_t count, uint32_t differ) {
    struct recordset *a = new_set();
    struct recordset *b = new_set();
    fill(a, count);
    fill(b, count);
    for (uint32_t i = 0; i < differ; i++) {
        put(i % 2 == 0 ? a : b, i * 7 % count, 2);
    }
    struct cost cost = reconcile(a, b, 99);
    cr_assert_eq(recordset_digest(a), recordset_digest(b));
    recordset_free(a);
    recordset_free(b);
    return cost;
}

Test(sync, of_one_difference_costs_little) {
    struct cost cost = differing(10000, 1);
    print("1 differs", &cost);
    cr_assert_leq(cost.sync_bytes + cost.record_bytes, 2500);
    cr_assert_leq(cost.messages, 10);
}

Test(sync, of_a_hundred_differences_costs_what_differs) {
    struct cost cost = differing(10000, 100);
    print("100 differ", &cost);
    cr_assert_leq(cost.sync_bytes, 12000);
    cr_assert_leq(cost.records, 200);
    cr_assert_leq(cost.messages, 20);
}

Test(sync, of_an_empty_set_costs_little_more_than_the_records) {
    for (int first = 0; first < 2; first++) {
        struct recordset *full = new_set();
        struct recordset *empty = new_set();
        fill(full, 10000);
        struct cost cost = first == 0 ? reconcile(full, empty, 5) : reconcile(empty, full, 5);
        print(first == 0 ? "full begins" : "empty begins", &cost);
        cr_assert_eq(recordset_digest(full), recordset_digest(empty));
        cr_assert_leq((cost.sync_bytes + cost.record_bytes) * 10, cost.record_bytes * 12);
        cr_assert_eq(cost.records, 10000);
        recordset_free(full);
        recordset_free(empty);
    }
}

Test(sync, makes_random_sets_equal_each_time) {
    struct rng rng = kit_rng(kit_seed());
    for (int round = 0; round < 40; round++) {
        struct recordset *sets[3] = {new_set(), new_set(), new_set()};
        uint32_t count = 1 + (uint32_t)rng_below(&rng, 800);
        for (uint32_t i = 0; i < count; i++) {
            for (int k = 0; k < 3; k++) {
                if (rng_below(&rng, 4) != 0) {
                    put(sets[k], i, 1 + rng_below(&rng, 3));
                }
            }
        }
        (void)reconcile(sets[0], sets[1], rng_next(&rng));
        cr_assert_eq(recordset_digest(sets[0]), recordset_digest(sets[1]), "round %d", round);
        (void)reconcile(sets[1], sets[2], rng_next(&rng));
        (void)reconcile(sets[2], sets[0], rng_next(&rng));
        cr_assert_eq(recordset_digest(sets[0]), recordset_digest(sets[2]), "round %d", round);
        cr_assert_eq(recordset_digest(sets[1]), recordset_digest(sets[2]), "round %d", round);
        for (int k = 0; k < 3; k++) {
            recordset_free(sets[k]);
        }
    }
}

/* A record whose place begins with the same 8 bytes as that of every other made here. */
static void put_namesake(struct recordset *set, uint32_t owner, uint64_t version) {
    struct record *record = kit_shaped(owner, 1, 0, 1, version, RECORD_BYTES);
    memset(record->place, 0x77, WIRE_SYNC_PLACE_BYTES);
    recordset_set_live(set, &record->owner, true, 0);
    cr_assert_neq(recordset_put(set, record, 0), RECORDSET_REFUSED);
    record_unref(record);
}

Test(sync, of_records_that_share_a_name_ends_equal_at_the_second_time) {
    struct rng rng = kit_rng(kit_seed());
    for (int round = 0; round < 200; round++) {
        struct recordset *sets[2] = {new_set(), new_set()};
        uint32_t count = 1 + (uint32_t)rng_below(&rng, round % 2 == 0 ? 4 : 60);
        fill(sets[0], 20);
        fill(sets[1], 20);
        for (uint32_t i = 0; i < 2 * count; i++) {
            if (rng_below(&rng, 3) != 0) {
                put_namesake(sets[i % 2], 100 + i / 2, 1 + rng_below(&rng, 3));
            }
        }
        (void)reconcile(sets[0], sets[1], rng_next(&rng));
        (void)reconcile(sets[round / 2 % 2], sets[1 - round / 2 % 2], rng_next(&rng));
        cr_assert_eq(recordset_digest(sets[0]), recordset_digest(sets[1]), "round %d", round);
        struct cost cost = reconcile(sets[0], sets[1], rng_next(&rng));
        cr_assert_eq(cost.messages, 1);
        recordset_free(sets[0]);
        recordset_free(sets[1]);
    }
}

static void ignore(void *ctx, struct record *record) {
    (void)ctx;
    (void)record;
}

static enum weft_err answer_bytes(struct recordset *set, struct span bytes, size_t *answered) {
    static uint8_t reply[WIRE_BODY_BYTES_MAX];
    struct wire_sync sync;
    struct sync_result result = {0};
    struct wire_writer writer = wire_writer_of(reply, sizeof reply);
    if (wire_sync_decode(bytes, &sync) != WEFT_OK) {
        return WEFT_ERR_MALFORMED;
    }
    enum weft_err err = sync_answer(set, &sync, &writer, ignore, NULL, &result);
    *answered = writer.len;
    if (err == WEFT_OK) {
        cr_assert(!writer.has_failed);
        cr_assert_leq(writer.len, WIRE_BODY_BYTES_MAX);
        cr_assert_eq(wire_sync_decode(wire_writer_view(&writer), &sync), WEFT_OK);
    }
    return err;
}

Test(sync, a_frame_of_hostile_items_costs_at_most_one_frame) {
    struct recordset *set = new_set();
    static uint8_t body[WIRE_BODY_BYTES_MAX];
    fill(set, 5000);
    struct wire_writer writer = wire_writer_of(body, sizeof body);
    uint8_t lies[64];
    memset(lies, 0x5a, sizeof lies);
    wire_write_u64(&writer, 1);
    while (writer.len + 66 < sizeof body) {
        struct wire_sync_item item = {.mode = WIRE_SYNC_FINGERPRINTS,
                                      .entries = span_of(lies, sizeof lies)};
        wire_sync_item_encode(&writer, &item);
    }
    size_t answered;
    cr_assert_eq(answer_bytes(set, wire_writer_view(&writer), &answered), WEFT_OK);
    cr_assert_leq(answered, WIRE_BODY_BYTES_MAX);
    recordset_free(set);
}

Test(sync, refuses_lists_out_of_order_or_out_of_range) {
    struct recordset *set = new_set();
    uint8_t body[400];
    uint8_t entries[2 * WIRE_SYNC_ENTRY_BYTES] = {0};
    size_t answered;
    entries[0] = 2;
    entries[WIRE_SYNC_ENTRY_BYTES] = 1;
    struct wire_sync_item item = {
        .mode = WIRE_SYNC_LIST, .count = 2, .entries = span_of(entries, sizeof entries)};
    struct wire_writer writer = wire_writer_of(body, sizeof body);
    wire_write_u64(&writer, 1);
    wire_sync_item_encode(&writer, &item);
    cr_assert_eq(answer_bytes(set, wire_writer_view(&writer), &answered), WEFT_ERR_MALFORMED);
    item.depth = 1;
    item.prefix[0] = 0x70;
    item.count = 1;
    item.entries.len = WIRE_SYNC_ENTRY_BYTES;
    writer = wire_writer_of(body, sizeof body);
    wire_write_u64(&writer, 1);
    wire_sync_item_encode(&writer, &item);
    cr_assert_eq(answer_bytes(set, wire_writer_view(&writer), &answered), WEFT_ERR_MALFORMED);
    recordset_free(set);
}

Test(sync, a_frame_of_lists_that_lack_everything_gives_the_set_twice_at_most) {
    struct recordset *set = new_set();
    static uint8_t body[WIRE_BODY_BYTES_MAX];
    uint8_t reply[64];
    fill(set, 2000);
    struct wire_writer writer = wire_writer_of(body, sizeof body);
    struct wire_sync_item item = {.mode = WIRE_SYNC_LIST};
    while (writer.len + 5 <= sizeof body) {
        wire_sync_item_encode(&writer, &item);
    }
    struct wire_sync sync = {.salt = 1, .items = wire_writer_view(&writer)};
    struct wire_writer out = wire_writer_of(reply, sizeof reply);
    struct sync_result result;
    cr_assert_eq(sync_answer(set, &sync, &out, ignore, NULL, &result), WEFT_OK);
    cr_assert_geq(result.sent_count, 2000);
    cr_assert_leq(result.sent_count, 4000);
    recordset_free(set);
}

Test(sync, a_list_of_one_name_is_cut_to_what_a_frame_holds) {
    struct recordset *set = new_set();
    for (uint32_t i = 0; i < 6000; i++) {
        put_namesake(set, i, 1);
    }
    uint8_t body[128];
    uint8_t lies[WIRE_SYNC_CHILDREN * WIRE_SYNC_FINGERPRINT_BYTES];
    size_t answered;
    memset(lies, 0x5a, sizeof lies);
    struct wire_sync_item item = {.mode = WIRE_SYNC_FINGERPRINTS,
                                  .depth = WIRE_SYNC_DEPTH_MAX - 1,
                                  .entries = span_of(lies, sizeof lies)};
    memset(item.prefix, 0x77, sizeof item.prefix);
    item.prefix[WIRE_SYNC_PLACE_BYTES - 1] = 0x70;
    struct wire_writer writer = wire_writer_of(body, sizeof body);
    wire_write_u64(&writer, 1);
    wire_sync_item_encode(&writer, &item);
    cr_assert_eq(answer_bytes(set, wire_writer_view(&writer), &answered), WEFT_OK);
    cr_assert_gt(answered, WIRE_BODY_BYTES_MAX - 2 * WIRE_SYNC_ENTRY_BYTES);
    recordset_free(set);
}

Test(sync, a_want_of_a_name_gives_each_record_that_has_it) {
    struct recordset *set = new_set();
    fill(set, 100);
    put_namesake(set, 200, 1);
    put_namesake(set, 201, 1);
    put_namesake(set, 202, 1);
    uint8_t name[WIRE_SYNC_PLACE_BYTES];
    uint8_t body[64];
    uint8_t reply[64];
    struct wire_sync sync = {.salt = 1};
    struct sync_result result;
    memset(name, 0x77, sizeof name);
    struct wire_sync_item item = {
        .mode = WIRE_SYNC_WANT, .count = 1, .entries = span_of(name, sizeof name)};
    struct wire_writer writer = wire_writer_of(body, sizeof body);
    wire_sync_item_encode(&writer, &item);
    sync.items = wire_writer_view(&writer);
    struct wire_writer out = wire_writer_of(reply, sizeof reply);
    cr_assert_eq(sync_answer(set, &sync, &out, ignore, NULL, &result), WEFT_OK);
    cr_assert_eq(result.sent_count, 3);
    cr_assert_not(result.has_answer);
    recordset_free(set);
}

Test(sync, survives_random_bytes) {
    struct rng rng = kit_rng(kit_seed());
    struct recordset *set = new_set();
    fill(set, 300);
    for (int i = 0; i < 20000; i++) {
        uint8_t bytes[200];
        size_t len = (size_t)rng_below(&rng, sizeof bytes);
        size_t answered;
        for (size_t k = 0; k < len; k++) {
            bytes[k] = (uint8_t)(rng_below(&rng, 3) == 0 ? rng_below(&rng, 4) : rng_next(&rng));
        }
        (void)answer_bytes(set, span_of(bytes, len), &answered);
    }
    recordset_free(set);
}
