/* SPDX-License-Identifier: Apache-2.0
 *
 * What is saved is what is loaded: for every table, over a restart, and over random operations
 * against the store in memory, which is the model.
 */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "support.h"

/* Everything in a store as one text, so that two stores can be compared. */
struct dump {
    char *text;
    size_t len;
    size_t size;
};

__attribute__((format(printf, 2, 3))) static void put(struct dump *dump, const char *format, ...) {
    va_list arguments;
    if (dump->size - dump->len < 2048) {
        dump->size = dump->size * 2 + 65536;
        dump->text = realloc(dump->text, dump->size);
        cr_assert_not_null(dump->text);
    }
    va_start(arguments, format);
    dump->len +=
        (size_t)vsnprintf(dump->text + dump->len, dump->size - dump->len, format, arguments);
    va_end(arguments);
}

static void put_bytes(struct dump *dump, struct span bytes) {
    for (size_t i = 0; i < bytes.len; i++) {
        put(dump, "%02x", bytes.data[i]);
    }
    put(dump, " ");
}

static void dump_record(void *ctx, const struct store_record *record) {
    put(ctx, "record %u %" PRIu64 " ", record->kind, record->last_live_s);
    put_bytes(ctx, span_of(record->place, sizeof record->place));
    put_bytes(ctx, span_of(record->owner.bytes, sizeof record->owner.bytes));
    put_bytes(ctx, record->key);
    put_bytes(ctx, record->encoded);
    put(ctx, "\n");
}

static void dump_service(void *ctx, const struct store_service *service) {
    put(ctx, "service %s/%s %u %s", service->name_space, service->name, service->protocol,
        service->origin);
    for (uint32_t i = 0; i < service->endpoint_count; i++) {
        put(ctx, " %s", service->endpoints[i]);
    }
    put(ctx, "\n");
}

static void dump_forward(void *ctx, const struct store_forward *forward) {
    put(ctx, "forward %s/%s %s %u\n", forward->name_space, forward->name, forward->address,
        forward->port);
}

static void dump_seed(void *ctx, const struct store_seed *seed) {
    put(ctx, "seed %s %d %u %" PRIu64 "\n", seed->endpoint, seed->is_peer_known,
        seed->peer.bytes[3], seed->last_seen_s);
}

static void dump_event(void *ctx, const struct store_event *event) {
    put(ctx, "event %" PRIu64 " %" PRIu64 " %d %s %s\n", event->id, event->time_ms, event->level,
        event->name, event->detail);
}

static char *dump_of(struct store *store, size_t events_max) {
    struct dump dump = {.len = 0};
    uint64_t incarnation = 0;
    cr_assert_eq(store_load_incarnation(store, &incarnation), WEFT_OK);
    put(&dump, "incarnation %" PRIu64 "\n", incarnation);
    cr_assert_eq(store_each_record(store, dump_record, &dump), WEFT_OK);
    cr_assert_eq(store_each_service(store, dump_service, &dump), WEFT_OK);
    cr_assert_eq(store_each_forward(store, dump_forward, &dump), WEFT_OK);
    cr_assert_eq(store_each_seed(store, dump_seed, &dump), WEFT_OK);
    cr_assert_eq(store_each_event(store, events_max, dump_event, &dump), WEFT_OK);
    return dump.text;
}

static void random_record(struct store *store, struct rng rng) {
    uint8_t bytes[64];
    struct store_record record =
        record_of((uint32_t)rng_below(&rng, 30), rng_below(&rng, 1000), bytes);
    record.key.len = rng_below(&rng, record.key.len + 1);
    bool is_removal = rng_below(&rng, 3) == 0;
    cr_assert_eq(is_removal ? store_forget_record(store, record.place)
                            : store_save_record(store, &record),
                 WEFT_OK);
}

static void random_service(struct store *store, struct rng rng) {
    static const char *const names[] = {"a", "a-b", "a.b", "b", "web"};
    static const char *const endpoints[] = {"127.0.0.1:80", "[::1]:443", "db.example:5432"};
    struct store_service service = {.name_space = names[rng_below(&rng, 5)],
                                    .name = names[rng_below(&rng, 5)],
                                    .protocol = (uint8_t)(1 + rng_below(&rng, 2)),
                                    .endpoints = endpoints,
                                    .endpoint_count = (uint32_t)(1 + rng_below(&rng, 3)),
                                    .origin = "cli"};
    bool is_removal = rng_below(&rng, 3) == 0;
    cr_assert_eq(is_removal ? store_forget_service(store, service.name_space, service.name)
                            : store_save_service(store, &service),
                 WEFT_OK);
}

static void random_forward(struct store *store, struct rng rng) {
    static const char *const names[] = {"a", "a-b", "b"};
    struct store_forward forward = {.name_space = names[rng_below(&rng, 3)],
                                    .name = names[rng_below(&rng, 3)],
                                    .address = "127.0.0.1",
                                    .port = (uint16_t)rng_below(&rng, 65536)};
    bool is_removal = rng_below(&rng, 3) == 0;
    cr_assert_eq(is_removal ? store_forget_forward(store, forward.name_space, forward.name)
                            : store_save_forward(store, &forward),
                 WEFT_OK);
}

static void random_seed(struct store *store, struct rng rng) {
    static const char *const endpoints[] = {"10.0.0.1:9338", "10.0.0.10:9338", "relay:1"};
    struct store_seed seed = {.endpoint = endpoints[rng_below(&rng, 3)],
                              .is_peer_known = rng_below(&rng, 2) == 0,
                              .last_seen_s = rng_below(&rng, 100)};
    if (seed.is_peer_known) {
        seed.peer.bytes[3] = (uint8_t)rng_below(&rng, 256);
    }
    bool is_removal = rng_below(&rng, 3) == 0;
    cr_assert_eq(is_removal ? store_forget_seed(store, seed.endpoint)
                            : store_save_seed(store, &seed),
                 WEFT_OK);
}

static void random_event(struct store *store, struct rng rng) {
    struct store_event event = {.time_ms = rng_below(&rng, 1000),
                                .level = (enum trace_level)rng_below(&rng, 4),
                                .name = "peer-up",
                                .detail = "peer=a'b\"c link=3"};
    cr_assert_eq(store_add_event(store, &event), WEFT_OK);
}

/* The same operation on both: the generator is passed by value. */
static void step(struct store *store, struct rng rng) {
    static void (*const operations[])(struct store * store, struct rng rng) = {
        random_record, random_service, random_forward, random_seed, random_event};
    uint64_t choice = rng_below(&rng, sizeof operations / sizeof operations[0]);
    operations[choice](store, rng);
}

Test(store_rows, agrees_with_the_store_in_memory_and_over_restarts) {
    for (uint8_t seed = 1; seed <= 4; seed++) {
        struct scratch scratch;
        struct rng rng;
        struct store *model = NULL;
        scratch_init(&scratch);
        rng_init(&rng, (const uint8_t[32]){seed, 9});
        cr_assert_eq(store_open_memory(&model), WEFT_OK);
        struct store *store = scratch_open(&scratch);
        for (int i = 0; i < 400; i++) {
            (void)rng_next(&rng);
            step(store, rng);
            step(model, rng);
            if (rng_below(&rng, 80) == 0) {
                store_close(store); /* writes what waits */
                store = scratch_open(&scratch);
            }
        }
        cr_assert_eq(store_save_incarnation(store, 77), WEFT_OK);
        cr_assert_eq(store_save_incarnation(model, 77), WEFT_OK);
        char *expected = dump_of(model, 25);
        char *found = dump_of(store, 25);
        cr_assert_str_eq(found, expected, "seed %u", seed);
        cr_assert(strlen(found) > 2000, "seed %u: too little was compared", seed);
        free(expected);
        free(found);
        store_close(store);
        store_close(model);
        scratch_fini(&scratch);
    }
}

static void each_store(void (*check)(struct store *store)) {
    struct scratch scratch;
    struct store *memory = NULL;
    scratch_init(&scratch);
    struct store *store = scratch_open(&scratch);
    cr_assert_eq(store_open_memory(&memory), WEFT_OK);
    check(store);
    check(memory);
    store_close(store);
    store_close(memory);
    scratch_fini(&scratch);
}

static void check_incarnation(struct store *store) {
    uint64_t incarnation = 99;
    cr_assert_eq(store_load_incarnation(store, &incarnation), WEFT_OK);
    cr_assert_eq(incarnation, 0);
    cr_assert_eq(store_save_incarnation(store, 10), WEFT_OK);
    cr_assert_eq(store_save_incarnation(store, 4), WEFT_OK);
    cr_assert_eq(store_load_incarnation(store, &incarnation), WEFT_OK);
    cr_assert_eq(incarnation, 10);
    cr_assert_eq(store_save_incarnation(store, INT64_MAX), WEFT_OK);
    cr_assert_eq(store_save_incarnation(store, (uint64_t)INT64_MAX + 1), WEFT_ERR_INVALID);
    cr_assert_eq(store_load_incarnation(store, &incarnation), WEFT_OK);
    cr_assert_eq(incarnation, INT64_MAX);
}

Test(store_rows, an_incarnation_never_goes_back) {
    each_store(check_incarnation);
}

static void check_service_bounds(struct store *store) {
    char too_long[WEFT_ENDPOINT_MAX + 2];
    const char *endpoints[STORE_ENDPOINTS_MAX + 1];
    struct store_service service = {
        .name_space = "default", .name = "web", .endpoints = endpoints, .endpoint_count = 0};
    memset(too_long, 'a', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = '\0';
    for (size_t i = 0; i <= STORE_ENDPOINTS_MAX; i++) {
        endpoints[i] = "127.0.0.1:1";
    }
    cr_assert_eq(store_save_service(store, &service), WEFT_ERR_INVALID);
    service.endpoint_count = STORE_ENDPOINTS_MAX + 1;
    cr_assert_eq(store_save_service(store, &service), WEFT_ERR_INVALID);
    service.endpoint_count = STORE_ENDPOINTS_MAX;
    cr_assert_eq(store_save_service(store, &service), WEFT_OK);
    static const char *const bad[] = {"", "a:1\nb:2"};
    for (size_t i = 0; i < 2; i++) {
        endpoints[3] = bad[i];
        cr_assert_eq(store_save_service(store, &service), WEFT_ERR_INVALID);
    }
    endpoints[3] = too_long;
    cr_assert_eq(store_save_service(store, &service), WEFT_ERR_INVALID);
    too_long[WEFT_ENDPOINT_MAX] = '\0';
    cr_assert_eq(store_save_service(store, &service), WEFT_OK);
}

Test(store_rows, a_service_that_cannot_be_kept_is_refused) {
    each_store(check_service_bounds);
}

struct event_facts {
    size_t count;
    uint64_t first_time_ms;
    uint64_t last_time_ms;
    uint64_t last_id;
};

static void note_event(void *ctx, const struct store_event *event) {
    struct event_facts *facts = ctx;
    facts->first_time_ms = facts->count == 0 ? event->time_ms : facts->first_time_ms;
    cr_assert(facts->count == 0 || event->id > facts->last_id);
    facts->count++;
    facts->last_time_ms = event->time_ms;
    facts->last_id = event->id;
}

static void check_events(struct store *store) {
    const uint64_t total = STORE_EVENTS_MAX + 500;
    struct event_facts facts = {.count = 0};
    for (uint64_t i = 1; i <= total; i++) {
        struct store_event event = {.time_ms = i, .name = "tick", .detail = NULL};
        cr_assert_eq(store_add_event(store, &event), WEFT_OK);
    }
    cr_assert_eq(store_flush(store), WEFT_OK);
    cr_assert_eq(store_each_event(store, SIZE_MAX, note_event, &facts), WEFT_OK);
    cr_assert_eq(facts.count, STORE_EVENTS_MAX);
    cr_assert_eq(facts.first_time_ms, 501);
    cr_assert_eq(facts.last_time_ms, total);
    facts.count = 0;
    cr_assert_eq(store_each_event(store, 3, note_event, &facts), WEFT_OK);
    cr_assert_eq(facts.count, 3);
    cr_assert_eq(facts.first_time_ms, total - 2);
}

Test(store_rows, the_newest_events_are_kept) {
    each_store(check_events);
}

static void check_empty_parts(struct store *store) {
    struct tally tally = {.count = 0};
    uint8_t bytes[64];
    struct store_record record = record_of(1, 5, bytes);
    record.key = span_of(NULL, 0); /* a peer record's key is empty */
    cr_assert_eq(store_save_record(store, &record), WEFT_OK);
    cr_assert_eq(store_flush(store), WEFT_OK);
    cr_assert_eq(store_each_record(store, tally_record, &tally), WEFT_OK);
    cr_assert_eq(tally.count, 1);
}

Test(store_rows, an_empty_key_is_kept) {
    each_store(check_empty_parts);
}

Test(store_rows, closing_nothing_is_allowed_and_memory_never_fails) {
    struct store *store = NULL;
    char error[STORE_TEXT_BYTES] = "x";
    store_close(NULL);
    cr_assert_eq(store_open_memory(&store), WEFT_OK);
    cr_assert_not(store_error(store, error));
    cr_assert_str_empty(error);
    store_close(store);
}
