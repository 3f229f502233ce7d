/* SPDX-License-Identifier: Apache-2.0
 *
 * The queue alone: merging, bounds, putting back; and a random run against a table of what the
 * newest write of each key is.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/rng.h"
#include "store/queue.h"

static const struct hash_key hash_key = {.bytes = {5}};

static struct store_op *op_of(const char *endpoint, uint64_t value) {
    struct store_op *op =
        op_new(&(struct store_row){.table = STORE_SEED,
                                   .seed = {.endpoint = endpoint, .last_seen_s = value}},
               false);
    cr_assert_not_null(op);
    return op;
}

static struct store_op *event_of(uint64_t value) {
    struct store_op *op = op_new(
        &(struct store_row){.table = STORE_EVENT, .event = {.time_ms = value, .name = "tick"}},
        false);
    cr_assert_not_null(op);
    return op;
}

static struct queue queue_of(size_t count_max, size_t bytes_max) {
    struct queue queue;
    cr_assert_eq(queue_init(&queue, count_max, bytes_max, &hash_key), WEFT_OK);
    return queue;
}

Test(store_queue, a_newer_write_of_a_key_replaces_the_waiting_one) {
    struct queue queue = queue_of(10, 100000);
    cr_assert_eq(queue_put(&queue, op_of("a:1", 1)), WEFT_OK);
    cr_assert_eq(queue_put(&queue, op_of("b:1", 2)), WEFT_OK);
    cr_assert_eq(queue_put(&queue, op_of("a:1", 3)), WEFT_OK);
    cr_assert_eq(queue.count, 2);
    cr_assert_eq(queue.merged, 1);
    struct store_op *taken = queue_take(&queue);
    cr_assert_eq(taken->row.seed.last_seen_s, 2);
    cr_assert_eq(taken->next->row.seed.last_seen_s, 3);
    cr_assert_null(taken->next->next);
    cr_assert_eq(queue.count, 2, "in flight, they still count");
    cr_assert_eq(queue_done(&queue, taken), 2);
    cr_assert_eq(queue.count, 0);
    cr_assert_eq(queue.bytes, 0);
    queue_fini(&queue);
}

Test(store_queue, events_are_never_merged) {
    struct queue queue = queue_of(10, 100000);
    cr_assert_eq(queue_put(&queue, event_of(1)), WEFT_OK);
    cr_assert_eq(queue_put(&queue, event_of(1)), WEFT_OK);
    cr_assert_eq(queue.count, 2);
    queue_fini(&queue);
}

Test(store_queue, keys_of_different_tables_and_splits_are_different) {
    struct queue queue = queue_of(10, 100000);
    static const char *const names[][2] = {{"a", "bc"}, {"ab", "c"}};
    for (size_t i = 0; i < 2; i++) {
        for (enum store_table table = STORE_SERVICE; table <= STORE_FORWARD; table++) {
            struct store_row row = {.table = table};
            if (table == STORE_SERVICE) {
                row.service.name_space = names[i][0];
                row.service.name = names[i][1];
            } else {
                row.forward.name_space = names[i][0];
                row.forward.name = names[i][1];
            }
            cr_assert_eq(queue_put(&queue, op_new(&row, true)), WEFT_OK);
        }
    }
    cr_assert_eq(queue.count, 4);
    queue_fini(&queue);
}

Test(store_queue, at_the_bound_a_new_key_is_refused_and_a_known_one_replaced) {
    struct queue queue = queue_of(2, 100000);
    cr_assert_eq(queue_put(&queue, op_of("a:1", 1)), WEFT_OK);
    cr_assert_eq(queue_put(&queue, op_of("b:1", 2)), WEFT_OK);
    cr_assert_eq(queue_put(&queue, op_of("c:1", 3)), WEFT_ERR_FULL);
    cr_assert_eq(queue_put(&queue, op_of("a:1", 4)), WEFT_OK);
    cr_assert_eq(queue.refused, 1);
    cr_assert_eq(queue.merged, 1);
    cr_assert_eq(queue.count, 2);
    queue_fini(&queue);
}

Test(store_queue, what_is_in_flight_counts_against_the_bound) {
    struct queue queue = queue_of(1, 100000);
    cr_assert_eq(queue_put(&queue, op_of("a:1", 1)), WEFT_OK);
    struct store_op *taken = queue_take(&queue);
    cr_assert_eq(queue_put(&queue, op_of("b:1", 1)), WEFT_ERR_FULL);
    (void)queue_done(&queue, taken);
    cr_assert_eq(queue_put(&queue, op_of("b:1", 1)), WEFT_OK);
    queue_fini(&queue);
}

Test(store_queue, bytes_are_bounded_too) {
    struct store_op *probe = op_of("a:1", 1);
    size_t bytes = probe->bytes;
    op_free(probe);
    struct queue queue = queue_of(100, 2 * bytes);
    cr_assert_eq(queue_put(&queue, op_of("a:1", 1)), WEFT_OK);
    cr_assert_eq(queue_put(&queue, op_of("b:1", 1)), WEFT_OK);
    cr_assert_eq(queue_put(&queue, op_of("c:1", 1)), WEFT_ERR_FULL);
    cr_assert_eq(queue_put(&queue, op_of("b:1", 2)), WEFT_OK);
    queue_fini(&queue);
}

Test(store_queue, what_failed_goes_back_in_front_but_never_over_newer_writes) {
    struct queue queue = queue_of(10, 100000);
    cr_assert_eq(queue_put(&queue, op_of("a:1", 1)), WEFT_OK);
    cr_assert_eq(queue_put(&queue, op_of("b:1", 2)), WEFT_OK);
    cr_assert_eq(queue_put(&queue, event_of(3)), WEFT_OK);
    struct store_op *taken = queue_take(&queue);
    cr_assert_eq(queue_put(&queue, op_of("a:1", 4)), WEFT_OK);
    queue_put_back(&queue, taken);
    taken = queue_take(&queue);
    cr_assert_eq(taken->row.seed.last_seen_s, 2);
    cr_assert_eq(taken->next->row.event.time_ms, 3);
    cr_assert_eq(taken->next->next->row.seed.last_seen_s, 4);
    cr_assert_eq(queue_done(&queue, taken), 3);
    queue_fini(&queue);
}

/* Random puts, takes, failures and successes: what arrives at the end is the newest of each key. */
#define KEYS 12

struct model {
    uint64_t newest[KEYS];  /* accepted by the queue */
    uint64_t written[KEYS]; /* in the order the batches committed */
};

static void commit(struct model *model, const struct store_op *op) {
    for (; op != NULL; op = op->next) {
        size_t key = (size_t)(op->row.seed.endpoint[0] - 'a');
        cr_assert_gt(op->row.seed.last_seen_s, model->written[key], "an older write came later");
        model->written[key] = op->row.seed.last_seen_s;
    }
}

Test(store_queue, the_newest_accepted_write_of_each_key_arrives_last) {
    for (uint8_t seed = 0; seed < 50; seed++) {
        struct rng rng;
        struct model model = {.newest = {0}};
        struct queue queue = queue_of(8, 100000);
        struct store_op *taken = NULL;
        rng_init(&rng, (const uint8_t[32]){seed, 3});
        for (uint64_t step = 1; step < 600; step++) {
            uint64_t choice = rng_below(&rng, 10);
            char endpoint[2] = {(char)('a' + rng_below(&rng, KEYS)), '\0'};
            if (choice < 7) {
                bool is_taken = queue_put(&queue, op_of(endpoint, step)) == WEFT_OK;
                size_t key = (size_t)(endpoint[0] - 'a');
                model.newest[key] = is_taken ? step : model.newest[key];
                cr_assert_leq(queue.count, 8, "seed %u", seed);
            } else if (taken == NULL) {
                taken = queue_take(&queue);
            } else if (choice == 7) {
                queue_put_back(&queue, taken);
                taken = NULL;
            } else {
                commit(&model, taken);
                (void)queue_done(&queue, taken);
                taken = NULL;
            }
        }
        queue_put_back(&queue, taken);
        taken = queue_take(&queue);
        commit(&model, taken);
        (void)queue_done(&queue, taken);
        cr_assert_arr_eq(model.written, model.newest, sizeof model.newest, "seed %u", seed);
        cr_assert_eq(queue.bytes, 0);
        queue_fini(&queue);
    }
}
