/* SPDX-License-Identifier: Apache-2.0
 *
 * The record set against a naive model, and each of its rules by name.
 */
#include <stdio.h>
#include <stdlib.h>

#include <criterion/criterion.h>

#include "kit.h"

static struct recordset *new_set(const struct recordset_config *config) {
    struct recordset *set = NULL;
    cr_assert_eq(recordset_new(config, &set), WEFT_OK);
    return set;
}

static enum recordset_verdict put(struct recordset *set, struct record *record, weft_ns now) {
    enum recordset_verdict verdict = recordset_put(set, record, now);
    record_unref(record);
    return verdict;
}

#define SERVICE 2

Test(recordset, keeps_the_newest_version_and_says_what_it_did) {
    struct recordset_config config = kit_bounds();
    struct recordset *set = new_set(&config);
    cr_assert_eq(put(set, kit_shaped(1, 1, 0, 1, 5, 64), 0), RECORDSET_ADDED);
    cr_assert_eq(put(set, kit_shaped(1, 1, 0, 1, 5, 64), 0), RECORDSET_SAME);
    cr_assert_eq(put(set, kit_shaped(1, 1, 0, 1, 4, 64), 0), RECORDSET_OLDER);
    cr_assert_eq(put(set, kit_shaped(1, 1, 0, 1, 6, 64), 0), RECORDSET_UPDATED);
    cr_assert_eq(put(set, kit_shaped(1, 1, 0, 2, 1, 64), 0), RECORDSET_UPDATED,
                 "a newer incarnation beats any version");
    cr_assert_eq(recordset_count(set), 1);
    recordset_free(set);
}

Test(recordset, of_equal_versions_the_greater_fingerprint_stays_in_any_order) {
    struct recordset_config config = kit_bounds();
    struct identity identity;
    kit_identity(1, &identity);
    uint64_t digests[2];
    for (int order = 0; order < 2; order++) {
        struct recordset *set = new_set(&config);
        recordset_set_live(set, &identity.id, true, 0);
        (void)put(set, kit_signed(&identity, 7, "k", 1, 1, order == 0 ? "a" : "b"), 0);
        (void)put(set, kit_signed(&identity, 7, "k", 1, 1, order == 0 ? "b" : "a"), 0);
        (void)put(set, kit_peer(&identity, 1, 1, 9), 0);
        digests[order] = recordset_digest(set);
        cr_assert_eq(recordset_live_count(set), 2);
        recordset_free(set);
    }
    cr_assert_eq(digests[0], digests[1]);
}

Test(recordset, only_records_of_live_owners_count) {
    struct recordset_config config = kit_bounds();
    struct recordset *set = new_set(&config);
    struct weft_peer_id owner = kit_owner(1);
    (void)put(set, kit_shaped(1, 1, 0, 1, 1, 64), 0);
    cr_assert_eq(recordset_digest(set), 0);
    recordset_set_live(set, &owner, true, 1);
    cr_assert_neq(recordset_digest(set), 0);
    cr_assert_eq(recordset_live_count(set), 1);
    recordset_set_live(set, &owner, false, 2);
    cr_assert_eq(recordset_digest(set), 0);
    cr_assert_eq(recordset_stale_count(set), 1);
    cr_assert_not(recordset_is_stranger(set, &owner), "who was live once is no stranger");
    recordset_free(set);
}

static void count_record(void *ctx, struct record *record) {
    (void)record;
    (*(size_t *)ctx)++;
}

Test(recordset, what_is_of_a_former_life_goes_when_the_next_begins) {
    struct recordset_config config = kit_bounds();
    struct recordset *set = new_set(&config);
    struct weft_peer_id owner = kit_owner(1);
    size_t dropped = 0;
    recordset_set_live(set, &owner, true, 0);
    (void)put(set, kit_shaped(1, 1, 0, 1, 1, 64), 0);
    (void)put(set, kit_shaped(1, SERVICE, 1, 1, 9, 64), 0);
    (void)put(set, kit_shaped(1, SERVICE, 2, 2, 1, 64), 0);
    cr_assert_eq(recordset_live_count(set), 2, "the record of a life to come does not count yet");
    (void)put(set, kit_shaped(1, 1, 0, 2, 1, 64), 0);
    cr_assert_eq(recordset_live_count(set), 2, "nor does that of the former life any more");
    cr_assert_eq(recordset_drop_former(set, &owner, 2, count_record, &dropped), 1);
    cr_assert_eq(dropped, 1);
    cr_assert_eq(recordset_count(set), 2);
    cr_assert_eq(put(set, kit_shaped(1, SERVICE, 3, 1, 1, 64), 0), RECORDSET_OLDER);
    recordset_free(set);
}

Test(recordset, one_owner_cannot_take_more_than_its_share) {
    struct recordset_config config = kit_bounds();
    config.owner_records_max = 10;
    config.owner_bytes_max = 2000;
    struct recordset *set = new_set(&config);
    struct weft_peer_id owner = kit_owner(1);
    recordset_set_live(set, &owner, true, 0);
    for (uint32_t i = 0; i < 10; i++) {
        cr_assert_eq(put(set, kit_shaped(1, SERVICE, i, 1, 1, 64), 0), RECORDSET_ADDED);
    }
    cr_assert_eq(put(set, kit_shaped(1, SERVICE, 99, 1, 1, 64), 0), RECORDSET_REFUSED);
    cr_assert_eq(put(set, kit_shaped(1, SERVICE, 1, 1, 2, 1900), 0), RECORDSET_REFUSED,
                 "an update counts its bytes too");
    cr_assert_eq(put(set, kit_shaped(1, SERVICE, 1, 1, 2, 700), 0), RECORDSET_UPDATED);
    cr_assert_eq(recordset_refused_count(set), 2);
    recordset_free(set);
}

Test(recordset, a_million_invented_peers_stay_within_the_bound_and_push_out_nobody_known) {
    struct recordset_config config = kit_bounds();
    struct recordset *set = new_set(&config);
    struct weft_peer_id honest = kit_owner(0xffffffff);
    recordset_set_live(set, &honest, true, 0);
    (void)put(set, kit_shaped(0xffffffff, 1, 0, 1, 1, 64), 0);
    size_t evicted = 0;
    for (uint32_t i = 0; i < 1000000; i++) {
        (void)put(set, kit_shaped(i, 1, 0, 1, 1, 300), i);
        struct record *record;
        while ((record = recordset_next_evicted(set)) != NULL) {
            evicted++;
            record_unref(record);
        }
    }
    cr_assert_eq(recordset_count(set), 2049);
    cr_assert_eq(evicted, 1000000 - 2048);
    cr_assert_leq(recordset_bytes(set), 2049 * 300);
    cr_assert_leq(recordset_slot_count(set), 2050);
    cr_assert_eq(recordset_live_count(set), 1);
    struct weft_peer_id first = kit_owner(0);
    cr_assert_eq(recordset_owner_count(set, &first), 0, "the one heard of longest ago went");
    recordset_free(set);
}

Test(recordset, strangers_bytes_are_bounded_too) {
    struct recordset_config config = kit_bounds();
    struct recordset *set = new_set(&config);
    for (uint32_t i = 0; i < 1000; i++) {
        (void)put(set, kit_shaped(i, 1, 0, 1, 1, 50000), i);
    }
    cr_assert_leq(recordset_bytes(set), RECORDSET_STRANGER_BYTES_MAX);
    cr_assert_gt(recordset_count(set), 100);
    recordset_free(set);
}

Test(recordset, when_full_a_stranger_makes_room_for_a_live_owner) {
    struct recordset_config config = kit_bounds();
    config.records_max = 4;
    struct recordset *set = new_set(&config);
    struct weft_peer_id live = kit_owner(9);
    recordset_set_live(set, &live, true, 0);
    (void)put(set, kit_shaped(1, 1, 0, 1, 1, 64), 0);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(put(set, kit_shaped(9, SERVICE, i, 1, 1, 64), 0), RECORDSET_ADDED);
    }
    cr_assert_eq(put(set, kit_shaped(9, SERVICE, 3, 1, 1, 64), 0), RECORDSET_ADDED);
    cr_assert_eq(put(set, kit_shaped(9, SERVICE, 4, 1, 1, 64), 0), RECORDSET_REFUSED);
    cr_assert_eq(put(set, kit_shaped(2, 1, 0, 1, 1, 64), 0), RECORDSET_REFUSED,
                 "a stranger pushes out nobody but strangers");
    recordset_free(set);
}

Test(recordset, fades_the_owner_gone_longest_first) {
    struct recordset_config config = kit_bounds();
    struct recordset *set = new_set(&config);
    struct weft_peer_id out;
    size_t dropped = 0;
    for (uint32_t i = 1; i <= 3; i++) {
        struct weft_peer_id owner = kit_owner(i);
        (void)put(set, kit_shaped(i, 1, 0, 1, 1, 64), 0);
        recordset_set_live(set, &owner, true, 0);
    }
    struct weft_peer_id second = kit_owner(2);
    struct weft_peer_id first = kit_owner(1);
    recordset_set_live(set, &second, false, 10);
    recordset_set_live(set, &first, false, 20);
    cr_assert_not(recordset_next_faded(set, 10, &out));
    cr_assert(recordset_next_faded(set, 11, &out));
    cr_assert(weft_peer_id_equal(&out, &second));
    recordset_drop_owner(set, &second, count_record, &dropped);
    cr_assert_eq(dropped, 1);
    cr_assert_not(recordset_next_faded(set, 20, &out));
    cr_assert(recordset_next_faded(set, 21, &out));
    recordset_free(set);
}

Test(recordset, judges_without_a_signature_what_putting_would_find) {
    struct recordset_config config = kit_bounds();
    struct recordset *set = new_set(&config);
    struct identity identity;
    kit_identity(4, &identity);
    struct record *record = kit_signed(&identity, 9, "k", 1, 5, "body");
    struct record_heard heard = {.kind = 9,
                                 .owner = identity.id,
                                 .key = span_of("k", 1),
                                 .incarnation = 1,
                                 .version = 5,
                                 .encoded = record->encoded};
    size_t slot = 0;
    cr_assert_eq(recordset_judge(set, &heard, &slot), RECORDSET_ADDED);
    cr_assert_eq(slot, SIZE_MAX);
    (void)recordset_put(set, record, 0);
    cr_assert_eq(recordset_judge(set, &heard, &slot), RECORDSET_SAME);
    cr_assert_eq(recordset_at(set, slot), record);
    heard.version = 4;
    cr_assert_eq(recordset_judge(set, &heard, &slot), RECORDSET_OLDER);
    heard.version = 6;
    cr_assert_eq(recordset_judge(set, &heard, &slot), RECORDSET_UPDATED);
    heard.version = 5;
    heard.encoded = span_of("other", 5);
    cr_assert_eq(recordset_judge(set, &heard, &slot), RECORDSET_UPDATED,
                 "same version, other bytes");
    (void)put(set, kit_peer(&identity, 3, 1, 9), 0);
    heard.key = span_of("new", 3);
    cr_assert_eq(recordset_judge(set, &heard, &slot), RECORDSET_OLDER, "of a former life");
    cr_assert_eq(slot, SIZE_MAX);
    record_unref(record);
    recordset_free(set);
}

/* The model: an array, searched from front to back. */
#define OWNERS 8
#define KEYS 6
struct model {
    bool is_known[OWNERS][KEYS];
    uint64_t incarnation[OWNERS][KEYS];
    uint64_t version[OWNERS][KEYS];
    bool is_live[OWNERS];
};

/* Key 0 is the peer record. */
static bool model_counts(const struct model *model, uint32_t owner, uint32_t key) {
    bool is_present = key == 0 || (model->is_known[owner][0] &&
                                   model->incarnation[owner][key] == model->incarnation[owner][0]);
    return model->is_known[owner][key] && model->is_live[owner] && is_present;
}

static enum recordset_verdict model_put(struct model *model, uint32_t owner, uint32_t key,
                                        uint64_t incarnation, uint64_t version) {
    if (!model->is_known[owner][key]) {
        if (key != 0 && model->is_known[owner][0] && incarnation < model->incarnation[owner][0]) {
            return RECORDSET_OLDER;
        }
    } else {
        uint64_t i = model->incarnation[owner][key];
        uint64_t v = model->version[owner][key];
        if (incarnation == i && version == v) {
            return RECORDSET_SAME;
        }
        if (incarnation < i || (incarnation == i && version < v)) {
            return RECORDSET_OLDER;
        }
    }
    enum recordset_verdict verdict =
        model->is_known[owner][key] ? RECORDSET_UPDATED : RECORDSET_ADDED;
    model->is_known[owner][key] = true;
    model->incarnation[owner][key] = incarnation;
    model->version[owner][key] = version;
    return verdict;
}

static struct record *model_record(const struct model *model, uint32_t owner, uint32_t key) {
    return kit_shaped(owner, key == 0 ? 1 : SERVICE, key, model->incarnation[owner][key],
                      model->version[owner][key], 64);
}

/* A set built anew from the model must look the same: sums do not depend on history. */
static void compare(const struct recordset *set, const struct model *model) {
    struct recordset_config config = kit_bounds();
    struct recordset *fresh = new_set(&config);
    size_t count = 0;
    size_t counted = 0;
    for (uint32_t owner = 0; owner < OWNERS; owner++) {
        struct weft_peer_id id = kit_owner(owner);
        recordset_set_live(fresh, &id, model->is_live[owner], 0);
        for (uint32_t key = 0; key < KEYS; key++) {
            count += model->is_known[owner][key] ? 1 : 0;
            counted += model_counts(model, owner, key) ? 1 : 0;
            if (model->is_known[owner][key]) {
                (void)put(fresh, model_record(model, owner, key), 0);
            }
        }
    }
    cr_assert_eq(recordset_count(set), count);
    cr_assert_eq(recordset_live_count(set), counted);
    for (unsigned depth = 0; depth <= 4; depth++) {
        uint8_t prefix[PLACE_PREFIX_BYTES] = {depth > 0 ? 0x50 : 0};
        uint8_t ours[32];
        uint8_t theirs[32];
        size_t n;
        recordset_range(set, prefix, depth, ours, &n);
        recordset_range(fresh, prefix, depth, theirs, &n);
        cr_assert_arr_eq(ours, theirs, 32);
    }
    recordset_free(fresh);
}

static void model_drop_former(struct recordset *set, struct model *model, uint32_t owner) {
    struct weft_peer_id id = kit_owner(owner);
    size_t dropped = 0;
    size_t expected = 0;
    for (uint32_t key = 1; key < KEYS && model->is_known[owner][0]; key++) {
        if (model->is_known[owner][key] &&
            model->incarnation[owner][key] < model->incarnation[owner][0]) {
            model->is_known[owner][key] = false;
            expected++;
        }
    }
    cr_assert_eq(recordset_drop_former(set, &id, UINT64_MAX, count_record, &dropped), expected);
    cr_assert_eq(dropped, expected);
}

static void model_drop_owner(struct recordset *set, struct model *model, uint32_t owner) {
    struct weft_peer_id id = kit_owner(owner);
    size_t dropped = 0;
    if (!model->is_live[owner]) {
        memset(model->is_known[owner], 0, sizeof model->is_known[owner]);
    }
    recordset_drop_owner(set, &id, count_record, &dropped);
}

Test(recordset, agrees_with_a_naive_model_over_random_operations) {
    struct recordset_config config = kit_bounds();
    struct recordset *set = new_set(&config);
    struct model model = {0};
    struct rng rng = kit_rng(kit_seed());
    for (int step = 0; step < 20000; step++) {
        uint32_t owner = (uint32_t)rng_below(&rng, OWNERS);
        uint32_t key = (uint32_t)rng_below(&rng, KEYS);
        struct weft_peer_id id = kit_owner(owner);
        uint64_t incarnation = 1 + rng_below(&rng, 3) + (uint64_t)step / 5000;
        uint64_t version = 1 + rng_below(&rng, 4);
        switch (rng_below(&rng, 12)) {
        case 0:
            model.is_live[owner] = !model.is_live[owner];
            recordset_set_live(set, &id, model.is_live[owner], (weft_ns)step);
            break;
        case 1:
            model_drop_former(set, &model, owner);
            break;
        case 2:
            model_drop_owner(set, &model, owner);
            break;
        default:
            cr_assert_eq(
                put(set, kit_shaped(owner, key == 0 ? 1 : SERVICE, key, incarnation, version, 64),
                    (weft_ns)step),
                model_put(&model, owner, key, incarnation, version), "step %d", step);
        }
        if (step % 97 == 0) {
            compare(set, &model);
        }
    }
    compare(set, &model);
    recordset_free(set);
}

struct walk {
    const uint8_t *last;
    size_t count;
};

static void walk_in_order(void *ctx, struct record *record) {
    struct walk *walk = ctx;
    cr_assert(walk->last == NULL || memcmp(walk->last, record->place, 32) < 0);
    walk->last = record->place;
    walk->count++;
}

static void count_one(void *ctx, struct record *record) {
    size_t *count = ctx;
    (void)record;
    (*count)++;
}

Test(recordset, ranges_partition_the_set_and_walk_in_order_of_place) {
    struct recordset_config config = kit_bounds();
    struct recordset *set = new_set(&config);
    for (uint32_t i = 0; i < 3000; i++) {
        struct weft_peer_id id = kit_owner(i);
        recordset_set_live(set, &id, true, 0);
        (void)put(set, kit_shaped(i, 1, 0, 1, 1, 64), 0);
    }
    size_t total = 0;
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned nibble = 0; nibble < 16; nibble++) {
            uint8_t prefix[PLACE_PREFIX_BYTES] = {(uint8_t)first, (uint8_t)(nibble << 4)};
            uint8_t sum[32];
            size_t count;
            size_t walked = 0;
            recordset_range(set, prefix, 3, sum, &count);
            recordset_each_in(set, prefix, 3, count_one, &walked);
            cr_assert_eq(walked, count);
            total += count;
        }
    }
    cr_assert_eq(total, 3000);
    struct walk walk = {0};
    uint8_t all[PLACE_PREFIX_BYTES] = {0};
    recordset_each_in(set, all, 0, walk_in_order, &walk);
    cr_assert_eq(walk.count, 3000);
    recordset_free(set);
}

Test(record, refuses_what_its_owner_did_not_sign) {
    struct identity identity;
    kit_identity(1, &identity);
    struct record *record = kit_signed(&identity, 9, "key", 3, 4, "body");
    uint8_t bytes[512];
    struct record *out = NULL;
    for (size_t i = 0; i < record->encoded.len; i++) {
        memcpy(bytes, record->encoded.data, record->encoded.len);
        bytes[i] ^= 0x10;
        enum weft_err err = record_open(span_of(bytes, record->encoded.len), &out);
        cr_assert(err == WEFT_ERR_AUTH || err == WEFT_ERR_MALFORMED, "byte %zu", i);
    }
    cr_assert_eq(record_open(record->encoded, &out), WEFT_OK);
    cr_assert_eq(out->version, 4);
    cr_assert(weft_peer_id_equal(&out->owner, &identity.id));
    cr_assert_arr_eq(out->fingerprint, record->fingerprint, 32);
    record_unref(out);
    record_unref(record);
}

Test(record, cannot_be_signed_beyond_the_limits_of_a_version) {
    struct identity identity;
    struct record *out = NULL;
    kit_identity(1, &identity);
    struct wire_record fields = {.kind = 9, .incarnation = 1, .version = WIRE_VERSION_LIMIT};
    cr_assert_eq(record_sign(&identity, &fields, &out), WEFT_ERR_INVALID);
    fields.version = 0;
    cr_assert_eq(record_sign(&identity, &fields, &out), WEFT_ERR_INVALID);
    fields.version = WIRE_VERSION_LIMIT - 1;
    cr_assert_eq(record_sign(&identity, &fields, &out), WEFT_OK);
    record_unref(out);
}
