/* SPDX-License-Identifier: Apache-2.0
 *
 * The pool of records: what is in it, what never is, and that gossip does not notice it.
 */
#include <stdlib.h>

#include <criterion/criterion.h>

#include "gossip/delta.h"
#include "net.h"

#define SERVICE 2

static struct record_pool *new_pool(size_t count_max) {
    const struct hash_key key = {{5}};
    struct record_pool *pool = record_pool_new(&key, count_max);
    cr_assert_not_null(pool);
    return pool;
}

/* A signed record's bytes, of which no struct is left. */
static struct frame *encoding(uint32_t owner, uint64_t version) {
    struct identity identity;
    kit_identity(owner, &identity);
    struct record *record = kit_signed(&identity, 9, "key", 1, version, "body");
    struct frame *bytes = frame_copy(record->encoded);
    cr_assert_not_null(bytes);
    record_unref(record);
    return bytes;
}

Test(record_pool, gives_the_one_record_to_all_who_open_the_same_bytes) {
    struct record_pool *pool = new_pool(10);
    struct frame *bytes = encoding(1, 1);
    struct record *first = NULL;
    struct record *second = NULL;
    cr_assert_eq(record_pool_open(pool, frame_view(bytes), &first), WEFT_OK);
    cr_assert_eq(record_pool_open(pool, frame_view(bytes), &second), WEFT_OK);
    cr_assert_eq(first, second);
    cr_assert_eq(first->reference_count, 2, "the pool holds no reference of its own");
    cr_assert_eq(record_pool_spared(pool), 1);
    cr_assert_eq(record_pool_count(pool), 1);
    record_unref(first);
    cr_assert_eq(record_pool_count(pool), 1);
    record_unref(second);
    cr_assert_eq(record_pool_count(pool), 0, "a record leaves with its last reference");
    frame_unref(bytes);
    record_pool_free(pool);
}

Test(record_pool, opens_the_long_way_what_differs_in_one_bit) {
    struct record_pool *pool = new_pool(10);
    struct frame *bytes = encoding(1, 1);
    struct record *good = NULL;
    struct record *bad = NULL;
    cr_assert_eq(record_pool_open(pool, frame_view(bytes), &good), WEFT_OK);
    for (size_t i = 0; i < bytes->len; i++) { /* the last 64 are the signature's */
        bytes->data[i] ^= 0x10;
        enum weft_err err = record_pool_open(pool, frame_view(bytes), &bad);
        cr_assert(err == WEFT_ERR_AUTH || err == WEFT_ERR_MALFORMED, "byte %zu", i);
        bytes->data[i] ^= 0x10;
    }
    cr_assert_eq(record_pool_count(pool), 1, "nothing that was not verified is in it");
    cr_assert_eq(record_pool_spared(pool), 0);
    struct span cut = span_of(bytes->data, 10);
    cr_assert_eq(record_pool_open(pool, cut, &bad), WEFT_ERR_MALFORMED);
    cr_assert_eq(record_pool_open(pool, span_of(NULL, 0), &bad), WEFT_ERR_MALFORMED);
    record_unref(good);
    frame_unref(bytes);
    record_pool_free(pool);
}

Test(record_pool, remembers_no_forgery) {
    struct record_pool *pool = new_pool(10);
    struct frame *bytes = encoding(1, 1);
    struct record *out = NULL;
    bytes->data[bytes->len - 1] ^= 1;
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(record_pool_open(pool, frame_view(bytes), &out), WEFT_ERR_AUTH);
    }
    cr_assert_eq(record_pool_count(pool), 0);
    frame_unref(bytes);
    record_pool_free(pool);
}

Test(record_pool, shares_what_was_signed_here) {
    struct record_pool *pool = new_pool(10);
    struct identity identity;
    kit_identity(1, &identity);
    struct record *own = record_pool_share(pool, kit_signed(&identity, 9, "k", 1, 1, "body"));
    struct record *again = record_pool_share(pool, kit_signed(&identity, 9, "k", 1, 1, "body"));
    cr_assert_eq(own, again, "signatures are deterministic: the same record twice");
    cr_assert_eq(record_pool_share(pool, record_ref(own)), own);
    record_unref(own);
    struct record *opened = NULL;
    cr_assert_eq(record_pool_open(pool, own->encoded, &opened), WEFT_OK);
    cr_assert_eq(opened, own);
    cr_assert_eq(own->reference_count, 3);
    record_unref(own);
    record_unref(own);
    record_unref(own);
    cr_assert_eq(record_pool_count(pool), 0);
    record_pool_free(pool);
}

Test(record_pool, tells_what_changed_as_without_it) {
    struct record_pool *pool = new_pool(10);
    struct identity identity;
    struct record *versions[4];
    char body[200];
    kit_identity(1, &identity);
    memset(body, 'a', sizeof body);
    body[sizeof body - 1] = '\0';
    for (uint64_t i = 0; i < 3; i++) {
        body[20 * i] = 'b';
        versions[i] = record_pool_share(pool, kit_signed(&identity, 9, "k", 1, i + 1, body));
    }
    body[0] = 'c'; /* another third version, of a key that lives twice: both stay apart */
    versions[3] = record_pool_share(pool, kit_signed(&identity, 9, "k", 1, 3, body));
    for (int i = 0; i < 3 * 4 * 4; i++) { /* thrice, each of each */
        struct record *base = versions[i % 4];
        struct record *record = versions[i / 4 % 4];
        uint8_t bytes[2][DELTA_BYTES_MAX];
        struct wire_writer made = wire_writer_of(bytes[0], DELTA_BYTES_MAX);
        struct wire_writer known = wire_writer_of(bytes[1], DELTA_BYTES_MAX);
        bool is_delta = delta_write(&made, base, record);
        cr_assert_eq(is_delta, base->version < record->version);
        cr_assert_eq(record_pool_delta(&known, base, record), is_delta);
        cr_assert(span_equal(wire_writer_view(&known), wire_writer_view(&made)), "round %d", i);
    }
    for (int i = 0; i < 4; i++) {
        record_unref(versions[i]);
    }
    record_pool_free(pool);
}

Test(record_pool, works_on_when_full_and_without_one) {
    struct record_pool *pool = new_pool(1);
    struct frame *bytes[2] = {encoding(1, 1), encoding(1, 2)};
    struct record *first = NULL;
    struct record *second = NULL;
    struct record *third = NULL;
    cr_assert_eq(record_pool_open(pool, frame_view(bytes[0]), &first), WEFT_OK);
    cr_assert_eq(record_pool_open(pool, frame_view(bytes[1]), &second), WEFT_OK);
    cr_assert_eq(record_pool_open(pool, frame_view(bytes[1]), &third), WEFT_OK);
    cr_assert_neq(second, third);
    cr_assert_eq(record_pool_count(pool), 1);
    record_unref(first);
    record_unref(third);
    cr_assert_eq(record_pool_open(pool, frame_view(bytes[0]), &third), WEFT_OK);
    cr_assert_eq(record_pool_count(pool), 1, "there is room again");
    record_unref(third);
    cr_assert_eq(record_pool_open(NULL, frame_view(bytes[0]), &third), WEFT_OK);
    cr_assert_eq(record_pool_share(NULL, third), third);
    record_unref(third);
    record_unref(second);
    frame_unref(bytes[0]);
    frame_unref(bytes[1]);
    record_pool_free(pool);
}

#define MANY 2000

Test(record_pool, grows_and_may_go_before_its_records) {
    struct record_pool *pool = new_pool(MANY);
    static struct record *records[MANY];
    for (uint32_t i = 0; i < MANY; i++) {
        records[i] = record_pool_share(pool, kit_shaped(i, 1, 0, 1, 1, 100));
    }
    cr_assert_eq(record_pool_count(pool), MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        struct record *found = NULL;
        cr_assert_eq(record_pool_open(pool, records[i]->encoded, &found), WEFT_OK);
        cr_assert_eq(found, records[i]);
        record_unref(found);
    }
    for (uint32_t i = 0; i < MANY; i += 2) {
        record_unref(records[i]);
    }
    cr_assert_eq(record_pool_count(pool), MANY / 2);
    record_pool_free(pool);
    for (uint32_t i = 1; i < MANY; i += 2) {
        record_unref(records[i]);
    }
    record_pool_free(NULL);
}

Test(record_pool, verifies_a_message_once) {
    struct record_pool *pool = new_pool(1);
    struct identity identity;
    kit_identity(1, &identity);
    uint8_t bytes[5 + SIGNATURE_BYTES] = "hello";
    struct span message = span_of(bytes, 5);
    identity_sign(&identity, "a", message, bytes + 5);
    cr_assert(record_pool_verify(pool, &identity.key, "a", message, bytes + 5));
    cr_assert_eq(record_pool_spared(pool), 0);
    cr_assert(record_pool_verify(pool, &identity.key, "a", message, bytes + 5));
    cr_assert_eq(record_pool_spared(pool), 1);
    cr_assert_not(record_pool_verify(pool, &identity.key, "b", message, bytes + 5));
    struct identity other;
    kit_identity(2, &other);
    cr_assert_not(record_pool_verify(pool, &other.key, "a", message, bytes + 5));
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] ^= 1;
        for (int again = 0; again < 2; again++) {
            cr_assert_not(record_pool_verify(pool, &identity.key, "a", message, bytes + 5));
        }
        bytes[i] ^= 1;
    }
    cr_assert_eq(record_pool_spared(pool), 1, "no forgery is remembered");
    cr_assert(record_pool_verify(NULL, &identity.key, "a", message, bytes + 5));
    record_pool_free(pool);
}

/* A mesh forms, talks, is cut in two, heals, and one of it restarts: the hash of every frame. */
static uint64_t life(uint64_t seed, bool has_pool, uint64_t *spared, uint64_t *raises) {
    struct net *net = net_new(seed, 12);
    net->pool = has_pool ? new_pool(1000) : NULL;
    net_wire(net, 8);
    net_run(net, 3 * NS_PER_S);
    net_publish(net, 3, "default/web", "one");
    net_publish(net, 7, "default/old", "of a former life");
    net_broadcast(net, 5, 7);
    net_run(net, 3 * NS_PER_S);
    net_cut(net, 4, 5);
    net_cut(net, 0, 11);
    net_publish(net, 3, "default/web", "two");
    net_run(net, 5 * NS_PER_S);
    net_join(net, 4, 5);
    net_stop(net, 7);
    net_start(net, 7, 1); /* the same incarnation: raised above what the others know */
    net_join(net, 7, 6);
    net_join(net, 7, 8);
    net_run(net, 20 * NS_PER_S);
    cr_assert(net_is_equal(net));
    *spared = has_pool ? record_pool_spared(net->pool) : 0;
    *raises = gossip_count(net->nodes[7].gossip).raises;
    uint64_t trace = net->trace;
    net_free(net);
    return trace;
}

Test(record_pool, changes_no_byte_of_what_a_mesh_says) {
    uint64_t seed = kit_seed();
    for (uint64_t i = 0; i < 3; i++) {
        uint64_t spared;
        uint64_t none;
        uint64_t raises[2];
        uint64_t with = life(seed + i, true, &spared, &raises[0]);
        uint64_t without = life(seed + i, false, &none, &raises[1]);
        cr_assert_eq(with, without);
        cr_assert_gt(spared, 100);
        cr_assert_eq(raises[0], raises[1]);
        cr_assert_gt(raises[0], 0);
    }
}
