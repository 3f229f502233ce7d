/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of links, against a plain array over random additions and removals.
 */
#include <criterion/criterion.h>

#include "base/link_table.h"
#include "base/rng.h"

#define LINKS 40

static struct link_id id_of(size_t number) {
    return (struct link_id){.value = UINT64_C(0x100000001) * (number + 1)};
}

struct model {
    size_t numbers[LINKS]; /* in order */
    size_t count;
};

static void expect_equal(const struct link_table *table, const struct model *model, char *items) {
    cr_assert_eq(table->count, model->count);
    for (size_t i = 0; i < model->count; i++) {
        cr_assert(link_id_equal(table->ids[i], id_of(model->numbers[i])));
        cr_assert_eq(table->items[i], (void *)&items[model->numbers[i]]);
    }
}

static void take_out(struct model *model, size_t number) {
    size_t kept = 0;
    for (size_t i = 0; i < model->count; i++) {
        model->numbers[kept] = model->numbers[i];
        kept += model->numbers[i] != number ? 1 : 0;
    }
    model->count = kept;
}

Test(link_table, does_what_a_plain_array_does) {
    struct link_table table = {0};
    struct model model = {.count = 0};
    char items[LINKS] = {0};
    bool is_in[LINKS] = {false};
    struct rng rng;
    rng_init(&rng, (const uint8_t[32]){"links"});
    for (int round = 0; round < 5000; round++) {
        size_t number = (size_t)rng_below(&rng, LINKS);
        void *expected = is_in[number] ? &items[number] : NULL;
        cr_assert_eq(link_table_find(&table, id_of(number)), expected);
        if (rng_below(&rng, 2) == 0) {
            enum weft_err err = link_table_add(&table, id_of(number), &items[number]);
            cr_assert_eq(err, is_in[number] ? WEFT_ERR_EXISTS : WEFT_OK);
            if (err == WEFT_OK) {
                model.numbers[model.count++] = number;
            }
            is_in[number] = true;
        } else {
            cr_assert_eq(link_table_remove(&table, id_of(number)), expected);
            take_out(&model, number);
            is_in[number] = false;
        }
        expect_equal(&table, &model, items);
    }
    link_table_fini(&table);
    cr_assert_eq(table.count, 0);
}
