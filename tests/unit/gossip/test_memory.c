/* SPDX-License-Identifier: Apache-2.0
 *
 * Every allocation of a small life fails once: nothing breaks, leaks or is half done.
 */
#include <stdlib.h>

#include <criterion/criterion.h>

#include "base/time.h"
#include "gossip/pool.h"
#include "kit.h"
#include "support/failing_alloc.h"

static struct frame *give_state(void *ctx) {
    (void)ctx;
    return frame_copy(span_of("state", 5));
}

static struct frame *take_state(void *ctx, struct span payload) {
    (void)ctx;
    return frame_copy(payload);
}

/* Passes every frame on from a to b; errors would be the peer's fault, and there is none. */
static void carry(struct solo *from, struct solo *to) {
    struct gossip_output output;
    while (gossip_next_output(from->gossip, from->now, &output)) {
        struct wire_reader reader = wire_reader_of(frame_view(output.frame));
        struct wire_frame frame;
        cr_assert_eq(wire_frame_next(&reader, &frame), WEFT_OK);
        cr_assert_eq(gossip_frame(to->gossip, (struct link_id){1}, &frame, to->now), WEFT_OK);
        frame_unref(output.frame);
    }
}

static void tick(struct solo *solo) {
    solo->now += NS_PER_S;
    gossip_tick(solo->gossip, solo->now);
}

static void exchange(struct solo *a, struct solo *b) {
    for (int i = 0; i < 6; i++) {
        carry(a, b);
        carry(b, a);
        (void)solo_events(a, GOSSIP_RECORD);
        (void)solo_events(b, GOSSIP_RECORD);
        gossip_set_live(a->gossip, &b->identity.id, true, a->now);
        gossip_set_live(b->gossip, &a->identity.id, true, b->now);
        tick(a);
        tick(b);
    }
}

static void publish(struct solo *solo) {
    uint8_t body[512];
    size_t len = kit_peer_body(body, sizeof body, 5, "name");
    enum weft_err err = gossip_publish(solo->gossip, WIRE_RECORD_PEER, span_of(NULL, 0),
                                       span_of(body, len), solo->now);
    cr_assert(err == WEFT_OK || err == WEFT_ERR_MEMORY || err == WEFT_ERR_FULL);
    (void)!gossip_publish(solo->gossip, WIRE_RECORD_SERVICE, span_of_text("d/x"), span_of_text("y"),
                          solo->now);
    (void)!gossip_withdraw(solo->gossip, WIRE_RECORD_SERVICE, span_of_text("d/x"), solo->now);
}

static bool begin(struct solo *solo, uint32_t identity) {
    memset(solo, 0, sizeof *solo);
    kit_identity(identity, &solo->identity);
    solo->rng = kit_rng(identity);
    solo->host = kit_host(&solo->rng);
    solo->now = NS_PER_S;
    struct gossip_config config = solo_config(solo, 1, identity);
    return gossip_new(&config, &solo->gossip) == WEFT_OK;
}

/* Two that meet, talk, broadcast and part; `former` is of a's former life. */
static void live(struct solo *a, struct solo *b, const struct wire_frame *former) {
    struct gossiper gossiper = {.complete = give_state, .gossip = take_state};
    (void)!gossip_channel_open(a->gossip, "c", &gossiper, a->now);
    publish(a);
    publish(b);
    if (gossip_link_up(a->gossip, (struct link_id){1}, &b->identity.id, a->now) != WEFT_OK ||
        gossip_link_up(b->gossip, (struct link_id){1}, &a->identity.id, b->now) != WEFT_OK) {
        return;
    }
    (void)!gossip_channel_broadcast(a->gossip, "c", span_of("hello", 5), a->now);
    (void)!gossip_channel_send(a->gossip, "c", span_of("hello", 5), a->now);
    exchange(a, b);
    const struct wire_frame broken = {.kind = WIRE_RECORDS, .body = span_of("?", 1)};
    (void)!gossip_frame(a->gossip, (struct link_id){1}, former, a->now);
    exchange(a, b);
    cr_assert_eq(gossip_frame(a->gossip, (struct link_id){1}, &broken, a->now), WEFT_ERR_MALFORMED);
    gossip_link_down(a->gossip, (struct link_id){1}, a->now);
    gossip_set_live(a->gossip, &b->identity.id, false, a->now);
    a->now += 700 * NS_PER_S;
    gossip_tick(a->gossip, a->now);
}

Test(gossip_memory, any_allocation_may_fail) {
    static uint8_t bytes[WIRE_BODY_BYTES_MAX];
    struct identity identity;
    kit_identity(1, &identity);
    struct record *record = kit_peer(&identity, 7, 1, 99);
    struct wire_frame former = kit_records_frame(bytes, &record, 1);
    FAILING_ALLOC_EACH(nth) {
        struct solo a;
        struct solo b;
        bool has_begun = begin(&a, 1);
        has_begun = begin(&b, 2) && has_begun;
        if (has_begun) {
            live(&a, &b, &former);
        }
        (void)failing_alloc_disarm();
        solo_fini(&a);
        solo_fini(&b);
    }
    record_unref(record);
}

Test(gossip_memory, what_was_lost_for_want_of_memory_is_made_up_for) {
    for (uint64_t nth = 1; nth < 120; nth++) {
        struct solo a;
        struct solo b;
        cr_assert(begin(&a, 1) && begin(&b, 2));
        cr_assert_eq(gossip_link_up(a.gossip, (struct link_id){1}, &b.identity.id, a.now), WEFT_OK);
        cr_assert_eq(gossip_link_up(b.gossip, (struct link_id){1}, &a.identity.id, b.now), WEFT_OK);
        publish(&a);
        publish(&b);
        failing_alloc_arm(nth);
        exchange(&a, &b);
        (void)failing_alloc_disarm();
        for (int i = 0; i < 8; i++) {
            gossip_digest_heard(a.gossip, (struct link_id){1},
                                recordset_digest(gossip_records(b.gossip)), a.now);
            gossip_digest_heard(b.gossip, (struct link_id){1},
                                recordset_digest(gossip_records(a.gossip)), b.now);
            exchange(&a, &b);
        }
        cr_assert_eq(recordset_digest(gossip_records(a.gossip)),
                     recordset_digest(gossip_records(b.gossip)), "allocation %d", (int)nth);
        cr_assert_eq(recordset_live_count(gossip_records(a.gossip)), 4);
        solo_fini(&a);
        solo_fini(&b);
    }
}

#define POOLED 600 /* so many that the pool's table grows twice */

Test(gossip_memory, a_pool_goes_on_with_what_memory_there_is) {
    const struct hash_key key = {{5}};
    static struct record *records[POOLED];
    for (uint32_t i = 0; i < POOLED; i++) {
        records[i] = kit_shaped(i, 9, 1, 1, 1, 100);
    }
    FAILING_ALLOC_EACH(nth) {
        struct record_pool *pool = record_pool_new(&key, POOLED);
        cr_assert(pool != NULL || failing_alloc_disarm());
        for (uint32_t i = 0; i < POOLED; i++) {
            cr_assert_eq(record_pool_share(pool, records[i]), records[i]);
        }
        cr_assert(pool == NULL || record_pool_count(pool) == POOLED);
        for (uint32_t i = 0; i < POOLED; i++) {
            struct record *found = NULL;
            cr_assert(pool == NULL ||
                      record_pool_open(pool, records[i]->encoded, &found) == WEFT_OK);
            cr_assert(found == NULL || found == records[i]);
            record_unref(found);
        }
        record_pool_free(pool);
    }
    for (uint32_t i = 0; i < POOLED; i++) {
        record_unref(records[i]);
    }
}

Test(gossip_memory, an_owner_is_gone_even_when_there_is_no_memory_to_note_since_when) {
    struct recordset_config config = kit_bounds();
    struct recordset *set = NULL;
    struct weft_peer_id id = kit_owner(1);
    struct weft_peer_id other = kit_owner(2);
    struct weft_peer_id found;
    weft_ns since = 0;
    struct record *record = kit_shaped(1, 1, 0, 1, 1, 100);
    cr_assert_eq(recordset_new(&config, &set), WEFT_OK);
    recordset_set_live(set, &id, true, 1);
    cr_assert_eq(recordset_put(set, record, 1), RECORDSET_ADDED);
    failing_alloc_arm(1);
    recordset_set_live(set, &id, false, 2);
    cr_assert(failing_alloc_disarm());
    cr_assert_not(recordset_is_live(set, &id));
    cr_assert_not(recordset_is_stranger(set, &id));
    cr_assert_eq(recordset_digest(set), 0);
    cr_assert_eq(recordset_stale_count(set), 1);
    cr_assert_eq(recordset_absence(set, &id, 9), 0, "unknown");
    cr_assert_not(recordset_gone_since(set, &since, &found));
    failing_alloc_arm(1);
    recordset_set_live(set, &other, false, 5);
    cr_assert(failing_alloc_disarm());
    recordset_set_live(set, &other, false, 6); /* of no effect but that it is made up for */
    cr_assert(recordset_gone_since(set, &since, &found));
    cr_assert(weft_peer_id_equal(&found, &id));
    cr_assert_eq(since, 6);
    recordset_set_live(set, &id, true, 7);
    cr_assert_not(recordset_gone_since(set, &since, &found));
    cr_assert_neq(recordset_digest(set), 0);
    recordset_free(set);
    record_unref(record);
}

static void drop_one(void *ctx, struct record *record) {
    (void)ctx;
    (void)record;
}

/* Strangers come, are pushed out, become live, go and fade. */
static void set_life(struct recordset *set, struct record *const *records, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        (void)recordset_put(set, records[i], i);
    }
    for (uint32_t i = 0; i < count; i += 2) {
        recordset_set_live(set, &records[i]->owner, true, count);
        recordset_vouch(set, &records[i + 1]->owner, count);
        (void)recordset_put(set, records[i], count);
    }
    for (uint32_t i = 0; i < count; i++) {
        recordset_set_live(set, &records[i]->owner, false, count + 1);
        recordset_drop_owner(set, &records[i]->owner, drop_one, NULL);
    }
}

Test(gossip_memory, a_set_of_records_is_whole_whichever_allocation_fails) {
    static struct record *records[40];
    struct recordset_config config = kit_bounds();
    config.stranger_records_max = 20;
    for (uint32_t i = 0; i < 40; i++) {
        records[i] = kit_shaped(i, 1, 0, 1, 1, 100);
    }
    FAILING_ALLOC_EACH(nth) {
        struct recordset *set = NULL;
        if (recordset_new(&config, &set) != WEFT_OK) {
            continue;
        }
        set_life(set, records, 40);
        (void)failing_alloc_disarm();
        cr_assert_eq(recordset_count(set), 0);
        cr_assert_eq(recordset_bytes(set), 0);
        cr_assert_eq(recordset_digest(set), 0);
        cr_assert_eq(recordset_stale_count(set), 0);
        recordset_free(set);
    }
    for (uint32_t i = 0; i < 40; i++) {
        cr_assert_eq(records[i]->reference_count, 1);
        record_unref(records[i]);
    }
}
