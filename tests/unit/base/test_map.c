/* SPDX-License-Identifier: Apache-2.0
 *
 * The bounded table against a plain list over random operations; order and bounds by themselves.
 */
#include <criterion/criterion.h>
#include <signal.h>

#include "base/map.h"
#include "base/rng.h"

static const struct hash_key key_one = {.bytes = {1, 2, 3}};
static const struct hash_key key_two = {.bytes = {9, 8, 7}};

/* The model: entries in the order they were added. */
#define MODEL_MAX 64
#define KEY_MAX 300

struct model {
    uint16_t keys[MODEL_MAX];
    size_t count;
};

/* Where the key stands in the model, or its count. */
static size_t model_place(const struct model *model, uint16_t key) {
    size_t place = 0;
    while (place < model->count && model->keys[place] != key) {
        place++;
    }
    return place;
}

static struct span span_of_key(const uint16_t *key) {
    return span_of(key, sizeof *key);
}

static void check_walk(const struct map *map, const struct model *model, unsigned seed) {
    size_t place = 0;
    for (struct map_entry *entry = map_first(map); entry != NULL; entry = map_next(entry)) {
        cr_assert_lt(place, model->count, "seed %u", seed);
        cr_assert(span_equal(map_key(entry), span_of_key(&model->keys[place])), "seed %u", seed);
        place++;
    }
    cr_assert_eq(place, model->count, "seed %u", seed);
    cr_assert_eq(map_count(map), model->count, "seed %u", seed);
}

static void add_one(struct map *map, struct model *model, uint16_t key, uint8_t *values) {
    bool exists = model_place(model, key) < model->count;
    bool is_full = model->count == MODEL_MAX;
    enum weft_err expected = exists ? WEFT_ERR_EXISTS : is_full ? WEFT_ERR_FULL : WEFT_OK;
    cr_assert_eq(map_add(map, span_of_key(&key), &values[key]), expected);
    if (expected == WEFT_OK) {
        model->keys[model->count++] = key;
    }
}

static void remove_one(struct map *map, struct model *model, uint16_t key, uint8_t *values) {
    size_t place = model_place(model, key);
    bool exists = place < model->count;
    cr_assert_eq(map_remove(map, span_of_key(&key)), exists ? &values[key] : NULL);
    if (exists) {
        memmove(&model->keys[place], &model->keys[place + 1],
                (model->count - place - 1) * sizeof model->keys[0]);
        model->count--;
    }
}

Test(map, agrees_with_a_plain_list) {
    uint8_t values[KEY_MAX];
    for (uint8_t seed = 0; seed < 20; seed++) {
        struct rng rng;
        rng_init(&rng, (const uint8_t[32]){seed, 4});
        struct map *map = map_new(MODEL_MAX, &key_one);
        struct model model = {.count = 0};
        for (int step = 0; step < 1500; step++) {
            uint16_t key = (uint16_t)rng_below(&rng, KEY_MAX);
            if (rng_below(&rng, 10) < (step / 300 % 2 == 0 ? 8u : 2u)) {
                add_one(map, &model, key, values);
            } else {
                remove_one(map, &model, key, values);
            }
            bool exists = model_place(&model, key) < model.count;
            cr_assert_eq(map_find(map, span_of_key(&key)), exists ? &values[key] : NULL);
            check_walk(map, &model, seed);
        }
        map_free(map);
    }
}

/* Many more entries than buckets: with either key some collide, and not the same ones. */
Test(map, walks_in_insertion_order_whatever_the_hash_key) {
    struct map *one = map_new(5000, &key_one);
    struct map *two = map_new(5000, &key_two);
    for (uint32_t i = 0; i < 5000; i++) {
        uint32_t key = i * 2654435761u;
        cr_assert_eq(map_add(one, span_of(&key, sizeof key), one), WEFT_OK);
        cr_assert_eq(map_add(two, span_of(&key, sizeof key), two), WEFT_OK);
    }
    struct map_entry *a = map_first(one);
    struct map_entry *b = map_first(two);
    for (uint32_t i = 0; i < 5000; i++) {
        uint32_t key = i * 2654435761u;
        cr_assert(span_equal(map_key(a), span_of(&key, sizeof key)));
        cr_assert(span_equal(map_key(b), span_of(&key, sizeof key)));
        a = map_next(a);
        b = map_next(b);
    }
    cr_expect_null(a);
    cr_expect_null(b);
    map_free(one);
    map_free(two);
}

Test(map, refuses_beyond_its_bound_and_recovers) {
    struct map *map = map_new(1, &key_one);
    cr_expect_eq(map_add(map, span_of_text("a"), map), WEFT_OK);
    cr_expect_eq(map_add(map, span_of_text("b"), map), WEFT_ERR_FULL);
    cr_expect_eq(map_add(map, span_of_text("a"), map), WEFT_ERR_EXISTS);
    cr_expect_eq(map_remove(map, span_of_text("a")), map);
    cr_expect_eq(map_add(map, span_of_text("b"), map), WEFT_OK);
    cr_expect_eq(map_count(map), 1);
    map_free(map);
}

Test(map, tells_prefixes_and_the_empty_key_apart) {
    struct map *map = map_new(10, &key_one);
    int values[3];
    cr_assert_eq(map_add(map, span_of(NULL, 0), &values[0]), WEFT_OK);
    cr_assert_eq(map_add(map, span_of("\0", 1), &values[1]), WEFT_OK);
    cr_assert_eq(map_add(map, span_of("\0\0", 2), &values[2]), WEFT_OK);
    cr_expect_eq(map_find(map, span_of_text("")), &values[0]);
    cr_expect_eq(map_find(map, span_of("\0\0", 1)), &values[1]);
    cr_expect_eq(map_find(map, span_of("\0\0", 2)), &values[2]);
    cr_expect_null(map_find(map, span_of("\0\0\0", 3)));
    map_free(map);
}

Test(map, copies_its_keys) {
    struct map *map = map_new(10, &key_one);
    char key[] = "peer";
    cr_assert_eq(map_add(map, span_of_text(key), map), WEFT_OK);
    key[0] = 'b';
    cr_expect_null(map_find(map, span_of_text(key)));
    cr_expect_eq(map_find(map, span_of_text("peer")), map);
    map_free(map);
}

Test(map, lets_the_current_entry_go_while_walking) {
    struct map *map = map_new(100, &key_one);
    for (uint8_t i = 0; i < 100; i++) {
        cr_assert_eq(map_add(map, span_of(&i, 1), map), WEFT_OK);
    }
    uint8_t expected = 0;
    struct map_entry *entry = map_first(map);
    while (entry != NULL) {
        struct map_entry *next = map_next(entry);
        cr_assert_eq(map_value(entry), map);
        cr_assert_eq(map_key(entry).data[0], expected++);
        cr_assert_eq(map_remove(map, map_key(entry)), map);
        entry = next;
    }
    cr_expect_eq(expected, 100);
    cr_expect_eq(map_count(map), 0);
    cr_expect_null(map_first(map));
    map_free(map);
}

Test(map, when_empty_finds_and_removes_nothing) {
    struct map *map = map_new(10, &key_one);
    cr_expect_null(map_find(map, span_of_text("x")));
    cr_expect_null(map_remove(map, span_of_text("x")));
    cr_expect_null(map_first(map));
    cr_expect_eq(map_count(map), 0);
    map_free(map);
}

Test(map, free_takes_null) {
    map_free(NULL);
}

Test(map, refuses_a_null_value, .signal = SIGABRT) {
    struct map *map = map_new(10, &key_one);
    (void)!map_add(map, span_of_text("x"), NULL);
}

Test(map, needs_a_bound, .signal = SIGABRT) {
    (void)map_new(0, &key_one);
}
