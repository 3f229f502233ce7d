/* SPDX-License-Identifier: Apache-2.0
 *
 * Short of memory: the Nth allocation fails, for every N. A core that cannot be made says so; one
 * that is running drops work, counts it, and goes on.
 */
#include <criterion/criterion.h>

#include "support/failing_alloc.h"
#include "unit/core/victim.h"

static struct victim victim;

Test(core_memory, a_core_that_cannot_be_made_says_so_and_leaves_nothing) {
    static const char *const labels[] = {"rack", "7"};
    static const char *const addresses[] = {"192.0.2.1:9338"};
    uint64_t failures = 0;
    victim_init(&victim);
    victim.config.labels = labels;
    victim.config.label_count = 1;
    victim.config.addresses = addresses;
    victim.config.address_count = 1;
    FAILING_ALLOC_EACH(nth) {
        struct core *core = NULL;
        enum weft_err err = core_new(&victim.config, victim.now, &core);
        bool has_failed = failing_alloc_disarm();
        cr_assert(err == WEFT_OK || (has_failed && err == WEFT_ERR_MEMORY && core == NULL));
        failures += err != WEFT_OK;
        core_free(core);
    }
    cr_assert_gt(failures, 20);
}

static void packet(size_t destination, size_t len) {
    uint8_t body[1024];
    uint8_t bytes[900] = {3};
    struct wire_writer writer = wire_writer_of(body, sizeof body);
    const struct wire_carrier carrier = {.travel = {.hops = 4},
                                         .source = *victim_peer(&victim, 0),
                                         .destination = *victim_peer(&victim, destination),
                                         .class = WIRE_CLASS_STREAM,
                                         .length = (uint16_t)len};
    wire_carrier_encode(&writer, &carrier);
    victim_frame(&victim, 5, WIRE_CARRIER, wire_writer_view(&writer), span_of(bytes, len));
    const struct wire_unicast unicast = {.travel = {.hops = 4},
                                         .source = *victim_peer(&victim, 0),
                                         .destination = *victim_peer(&victim, destination),
                                         .packet = span_of(bytes, len)};
    writer = wire_writer_of(body, sizeof body);
    wire_unicast_encode(&writer, &unicast);
    victim_frame(&victim, 5, WIRE_UNICAST, wire_writer_view(&writer), (struct span){0});
}

static void note_service(void *ctx, const char *name_space, const char *name,
                         const struct core_provider *provider) {
    size_t *count = ctx;
    cr_assert_str_eq(name_space, "default");
    cr_assert_str_eq(name, "web");
    cr_assert(provider->body.endpoints.count > 0);
    (*count)++;
}

static void note_peer(void *ctx, const struct core_peer_view *view) {
    size_t *count = ctx;
    cr_assert(view->body.name.len > 0);
    (*count)++;
}

/* A little of everything that allocates. */
static void live(void) {
    const size_t narrow[WIRE_CLASS_COUNT] = {1 << 20, 1 << 20, 1 << 10};
    const struct wire_endpoint endpoint = {.address = span_of_text("127.0.0.1:80"), .weight = 1};
    const struct core_offer offered = {
        .protocol = WIRE_PROTOCOL_TCP, .endpoints = &endpoint, .endpoint_count = 1};
    struct stream_id stream;
    size_t seen = 0;
    victim_join(&victim, 5, 0, 100);
    victim_join(&victim, 6, 1, 100);
    victim_service_record(&victim, 5, 0, "default/web");
    packet(1, 600);
    (void)!core_offer(victim.core, "default", "web", &offered, victim.now);
    core_link_room(victim.core, link_of(5), narrow, victim.now);
    if (core_stream_open(victim.core, "default", "web", WIRE_PROTOCOL_TCP, victim.now, &stream) ==
        WEFT_OK) {
        (void)streams_write(core_streams(victim.core), stream, span_of_text("hello"), victim.now);
    }
    (void)!core_ping(victim.core, victim_peer(&victim, 1), 3, victim.now);
    victim_drain(&victim);
    core_each_service(victim.core, note_service, &seen);
    core_each_peer(victim.core, note_peer, &seen);
    core_link_down(victim.core, link_of(5), victim.now);
    victim_wait(&victim, 2 * NS_PER_S);
    core_leave(victim.core, NS_PER_S, victim.now);
    victim_wait(&victim, 200 * NS_PER_MS);
}

/* After the failure the core must still do what it is for. */
static void check_health(void) {
    const struct wire_endpoint endpoint = {.address = span_of_text("127.0.0.1:80"), .weight = 1};
    const struct core_offer offered = {
        .protocol = WIRE_PROTOCOL_TCP, .endpoints = &endpoint, .endpoint_count = 1};
    cr_assert_eq(core_offer(victim.core, "default", "after", &offered, victim.now), WEFT_OK);
    victim_drain(&victim);
    struct core_provider provider;
    cr_assert_eq(core_providers(victim.core, "default", "after", WIRE_PROTOCOL_TCP, &provider, 1),
                 1);
    cr_assert(victim_status(&victim).is_leaving);
    victim_wait(&victim, 5 * NS_PER_S);
    cr_assert(victim.has_left);
}

struct wanted {
    const struct weft_peer_id *owner;
    bool is_peer_kept;
    bool is_service_kept;
};

static void note_kept(void *ctx, struct record *record) {
    struct wanted *wanted = ctx;
    if (weft_peer_id_equal(&record->owner, wanted->owner)) {
        wanted->is_peer_kept = wanted->is_peer_kept || record->kind == WIRE_RECORD_PEER;
        wanted->is_service_kept = wanted->is_service_kept || record->kind == WIRE_RECORD_SERVICE;
    }
}

Test(core_memory, what_the_record_set_kept_reaches_routes_and_registry_in_the_end) {
    static const size_t of_near[] = {VICTIM_SELF, 1};
    static const size_t of_far[] = {0};
    static const size_t to_us[] = {VICTIM_SELF};
    FAILING_ALLOC_EACH(nth) {
        struct core_provider provider;
        (void)failing_alloc_disarm();
        victim_init(&victim);
        victim_start(&victim);
        victim_join(&victim, 5, 0, 100);
        victim_peer_record(&victim, 5, 0, of_near, 2, 100);
        failing_alloc_arm(nth);
        victim_up(&victim, 6, 2, LINK_ACCEPTED);
        (void)failing_alloc_disarm();
        bool is_up = victim_status(&victim).links == 2;
        victim_peer_record(&victim, 5, 2, to_us, 1, 100);
        failing_alloc_arm(nth);
        victim_peer_record(&victim, 5, 1, of_far, 1, 100);
        victim_service_record(&victim, 5, 1, "default/web");
        (void)failing_alloc_disarm();
        victim_wait(&victim, 2 * NS_PER_S);
        cr_assert_eq(core_path_to(victim.core, victim_peer(&victim, 2)).is_reachable, is_up,
                     "at allocation %llu", (unsigned long long)nth);
        struct wanted wanted = {.owner = victim_peer(&victim, 1)};
        core_each_record(victim.core, note_kept, &wanted);
        cr_assert_eq(core_path_to(victim.core, wanted.owner).is_reachable, wanted.is_peer_kept,
                     "at allocation %llu", (unsigned long long)nth);
        cr_assert_eq(core_providers(victim.core, "default", "web", WIRE_PROTOCOL_TCP, &provider, 1),
                     wanted.is_service_kept ? 1U : 0U, "at allocation %llu",
                     (unsigned long long)nth);
        victim_fini(&victim);
    }
}

Test(core_memory, a_running_core_outlives_every_failed_allocation, .timeout = 240) {
    FAILING_ALLOC_EACH(nth) {
        (void)failing_alloc_disarm();
        victim_init(&victim);
        victim_start(&victim);
        failing_alloc_arm(nth);
        live();
        (void)failing_alloc_disarm();
        check_health();
        victim_fini(&victim);
    }
}

/* What a relay does for each packet, once it has done it before. */
Test(core_memory, passing_packets_on_allocates_nothing) {
    victim_init(&victim);
    victim_start(&victim);
    victim_join(&victim, 5, 0, 100);
    victim_join(&victim, 6, 1, 100);
    for (size_t i = 1; i <= 100; i++) {
        packet(1, 8 * i);
    }
    size_t carriers = victim.sent[WIRE_CARRIER];
    size_t unicasts = victim.sent[WIRE_UNICAST];
    cr_assert(carriers > 0 && unicasts > 0);
    failing_alloc_arm(1);
    for (size_t i = 1; i <= 100; i++) {
        packet(1, 8 * i);
    }
    cr_expect(!failing_alloc_disarm());
    cr_expect_eq(victim.sent[WIRE_CARRIER], carriers + 100);
    cr_expect_eq(victim.sent[WIRE_UNICAST], unicasts + 100);
    victim_fini(&victim);
}
