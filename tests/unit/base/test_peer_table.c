/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers of peer ids, against a plain array over random takes and drops; and where memory ends.
 */
#include <criterion/criterion.h>

#include "base/peer_table.h"
#include "base/rng.h"
#include "support/failing_alloc.h"

#define IDS 300

static const struct hash_key key = {{3, 1, 4}};

static struct weft_peer_id id_of(uint32_t which) {
    struct weft_peer_id id = {{0}};
    memcpy(id.bytes, &which, sizeof which);
    return id;
}

struct model {
    uint32_t numbers[IDS]; /* PEER_TABLE_NONE: has none */
    uint32_t count;
};

static void expect_like(const struct peer_table *table, const struct model *model) {
    bool is_taken[IDS] = {false};
    cr_assert_eq(table->count, model->count);
    for (uint32_t i = 0; i < IDS; i++) {
        const struct weft_peer_id id = id_of(i);
        uint32_t number = peer_table_find(table, &id);
        cr_assert_eq(number, model->numbers[i]);
        if (number != PEER_TABLE_NONE) {
            cr_assert_lt(number, table->used);
            cr_assert_not(is_taken[number]);
            cr_assert(weft_peer_id_equal(&table->ids[number], &id));
            is_taken[number] = true;
        }
    }
}

static void step(struct peer_table *table, struct model *model, struct rng *rng, uint32_t takes) {
    uint32_t which = (uint32_t)rng_below(rng, IDS);
    const struct weft_peer_id id = id_of(which);
    uint32_t had = model->numbers[which];
    if (rng_below(rng, 4) < takes) {
        uint32_t number = peer_table_take(table, &id);
        cr_assert(had == PEER_TABLE_NONE || number == had);
        model->count += had == PEER_TABLE_NONE ? 1 : 0;
        model->numbers[which] = number;
    } else if (had != PEER_TABLE_NONE) {
        peer_table_drop(table, had);
        model->numbers[which] = PEER_TABLE_NONE;
        model->count--;
    }
}

Test(peer_table, does_what_a_plain_array_does) {
    for (uint32_t takes = 1; takes <= 3; takes++) { /* nearly empty, half full, nearly full */
        struct peer_table table;
        struct model model = {.count = 0};
        struct rng rng;
        rng_init(&rng, (const uint8_t[32]){(uint8_t)takes});
        memset(model.numbers, 0xff, sizeof model.numbers);
        peer_table_init(&table, &key, IDS);
        for (int round = 0; round < 3000; round++) {
            step(&table, &model, &rng, takes);
            if (round % 10 == 0) {
                expect_like(&table, &model);
            }
        }
        cr_assert_leq(table.used, IDS);
        peer_table_fini(&table);
    }
}

Test(peer_table, refuses_at_its_bound_and_goes_on) {
    struct peer_table table;
    peer_table_init(&table, &key, 2);
    const struct weft_peer_id ids[] = {id_of(1), id_of(2), id_of(3)};
    uint32_t first = peer_table_take(&table, &ids[0]);
    cr_assert_neq(peer_table_take(&table, &ids[1]), PEER_TABLE_NONE);
    cr_assert_eq(peer_table_take(&table, &ids[2]), PEER_TABLE_NONE);
    cr_assert_eq(peer_table_find(&table, &ids[2]), PEER_TABLE_NONE);
    peer_table_drop(&table, first);
    cr_assert_eq(peer_table_take(&table, &ids[2]), first);
    cr_assert_eq(peer_table_find(&table, &ids[0]), PEER_TABLE_NONE);
    peer_table_fini(&table);
}

Test(peer_table, goes_on_when_memory_is_short) {
    FAILING_ALLOC_EACH(nth) {
        struct peer_table table;
        peer_table_init(&table, &key, IDS);
        uint32_t numbers[IDS];
        for (uint32_t i = 0; i < IDS; i++) {
            const struct weft_peer_id id = id_of(i);
            numbers[i] = peer_table_take(&table, &id);
        }
        failing_alloc_disarm();
        for (uint32_t i = 0; i < IDS; i++) {
            const struct weft_peer_id id = id_of(i);
            cr_assert_eq(peer_table_find(&table, &id), numbers[i]);
        }
        peer_table_fini(&table);
    }
}
