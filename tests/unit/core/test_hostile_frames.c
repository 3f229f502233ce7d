/* SPDX-License-Identifier: Apache-2.0
 *
 * An insider with a valid link sends what it should not.
 */
#include <criterion/criterion.h>

#include "base/rng.h"
#include "base/time.h"
#include "core/internal.h"
#include "support/mesh.h"

static const uint8_t session_psk[WEFT_KEY_BYTES] = {7};

/* One core under test, and a made-up peer on its only link. */
struct bench {
    struct identity identity;
    struct identity peer;
    struct core *core;
    weft_ns now;
    bool is_closed;
    size_t sent;
};

static void no_secret(void *ctx, uint8_t *out, size_t len) {
    (void)ctx;
    memset(out, 42, len);
}

static const struct link_id LINK = {.value = 5};

static void drain(struct bench *bench) {
    struct action action;
    while (core_next_action(bench->core, &action)) {
        bench->is_closed |= action.kind == ACTION_CLOSE;
        bench->sent += action.kind == ACTION_SEND;
        action_release(&action);
    }
}

static void up(struct bench *bench) {
    const struct core_link_info info = {.role = LINK_ACCEPTED,
                                        .key = bench->peer.key,
                                        .name = "mallory",
                                        .incarnation = 1,
                                        .instance = 1,
                                        .remote = "192.0.2.1:1"};
    const size_t room[WIRE_CLASS_COUNT] = {1 << 20, 1 << 20, 1 << 20};
    core_link_up(bench->core, LINK, &info, bench->now);
    core_link_room(bench->core, LINK, room, bench->now);
    drain(bench);
    bench->is_closed = false;
}

static void bench_init(struct bench *bench) {
    uint8_t seed[32] = {1};
    cr_assert_eq(noise_setup(), WEFT_OK);
    *bench = (struct bench){.now = NS_PER_S};
    identity_from_seed(&bench->identity, seed);
    seed[0] = 2;
    identity_from_seed(&bench->peer, seed);
    struct core_config config;
    core_config_defaults(&config);
    config.identity = &bench->identity;
    config.session_psk = session_psk;
    config.host = (struct host){.random = no_secret};
    config.name = "victim";
    config.software = "test";
    config.incarnation = 1;
    config.instance = 9;
    cr_assert_eq(core_new(&config, bench->now, &bench->core), WEFT_OK);
    up(bench);
}

static void give(struct bench *bench, uint8_t kind, uint8_t flags, struct span body,
                 struct span payload) {
    const struct wire_frame frame = {.kind = kind, .flags = flags, .body = body};
    core_link_frame(bench->core, LINK, &frame, loan_of(payload), bench->now);
    drain(bench);
}

Test(core_hostile, an_unknown_kind_is_skipped_unless_essential) {
    struct bench bench;
    bench_init(&bench);
    give(&bench, 200, 0, span_of("what", 4), (struct span){0});
    cr_assert_not(bench.is_closed);
    give(&bench, 200, WIRE_FLAG_ESSENTIAL, span_of("what", 4), (struct span){0});
    cr_assert(bench.is_closed);
    core_free(bench.core);
}

Test(core_hostile, a_malformed_body_of_every_kind_closes_the_link) {
    size_t count;
    const struct wire_type *types = wire_types(&count);
    for (size_t i = 0; i < count; i++) {
        struct bench bench;
        struct core_culprit culprit;
        if (types[i].kind == WIRE_REKEY || types[i].kind == WIRE_CLOSE ||
            types[i].body_bytes_min == 0) {
            continue;
        }
        bench_init(&bench);
        give(&bench, (uint8_t)types[i].kind, 0, span_of("x", types[i].body_bytes_min > 1 ? 1 : 0),
             (struct span){0});
        cr_assert(bench.is_closed, "%s", types[i].name);
        cr_assert_eq(core_culprits(bench.core, &culprit, 1), 1, "%s", types[i].name);
        cr_assert_geq(culprit.count, 1, "%s", types[i].name);
        core_free(bench.core);
    }
}

/* T18: called a duplicate, the one that is pushed out would stay away for half a minute and never
 * hear of the other. */
Test(core_hostile, a_key_in_two_places_is_told_so_by_who_changes_over) {
    struct bench bench;
    struct action action;
    const struct link_id second = {.value = 6};
    bench_init(&bench);
    struct core_link_info info = {.role = LINK_ACCEPTED,
                                  .key = bench.peer.key,
                                  .name = "mallory",
                                  .incarnation = 2,
                                  .instance = 2,
                                  .remote = "192.0.2.2:1"};
    core_link_up(bench.core, second, &info, bench.now);
    enum wire_close_reason reason = WIRE_CLOSE_BYE;
    while (core_next_action(bench.core, &action)) {
        if (action.kind == ACTION_CLOSE) {
            cr_assert_eq(action.link.value, LINK.value);
            reason = action.reason;
        }
        action_release(&action);
    }
    cr_assert_eq(reason, WIRE_CLOSE_CLONE);
    core_free(bench.core);
}

Test(core_hostile, a_link_that_broke_names_its_peer_and_is_not_used_any_more) {
    struct bench bench;
    struct core_culprit culprit;
    bench_init(&bench);
    core_link_broken(bench.core, LINK, WEFT_ERR_AUTH, bench.now);
    cr_assert_eq(core_culprits(bench.core, &culprit, 1), 1);
    core_link_broken(bench.core, LINK, WEFT_ERR_AUTH, bench.now);
    (void)core_culprits(bench.core, &culprit, 1);
    cr_assert_eq(culprit.count, 1);
    core_link_down(bench.core, LINK, bench.now);
    core_link_broken(bench.core, LINK, WEFT_ERR_MALFORMED, bench.now); /* unknown: ignored */
    core_free(bench.core);
}

Test(core_hostile, a_peer_that_does_not_read_is_named_for_that) {
    struct bench bench;
    struct core_culprit culprit;
    bench_init(&bench);
    core_link_broken(bench.core, LINK, WEFT_ERR_FULL, bench.now);
    cr_assert_eq(core_culprits(bench.core, &culprit, 1), 1);
    cr_assert_str_eq(culprit.detail, "does not read what it is sent");
    core_free(bench.core);
}

static bool is_named(const struct bench *bench, const char *detail) {
    struct core_culprit culprit;
    return core_culprits(bench->core, &culprit, 1) == 1 &&
           weft_peer_id_equal(&culprit.peer, &bench->peer.id) &&
           strcmp(culprit.detail, detail) == 0;
}

/* T15: it keeps its link, for it costs the others no more than their turn. */
Test(core_hostile, who_floods_its_link_is_named) {
    static const uint8_t kinds[] = {WIRE_RECORDS, WIRE_HEADS,
                                    200}; /* of which an empty one means nothing */
    for (size_t i = 0; i < sizeof kinds; i++) {
        struct bench bench;
        bench_init(&bench);
        for (unsigned count = 0; count < TALK_BURST; count++) {
            give(&bench, kinds[i], 0, (struct span){0}, (struct span){0});
        }
        cr_assert_not(is_named(&bench, "floods its link with control frames"), "%u", kinds[i]);
        for (unsigned s = 0; s < 10; s++) { /* as much as it may */
            bench.now += NS_PER_S;
            for (unsigned count = 0; count < TALK_PER_S; count++) {
                give(&bench, kinds[i], 0, (struct span){0}, (struct span){0});
            }
        }
        cr_assert_not(is_named(&bench, "floods its link with control frames"), "%u", kinds[i]);
        give(&bench, kinds[i], 0, (struct span){0}, (struct span){0});
        cr_assert(is_named(&bench, "floods its link with control frames"), "%u", kinds[i]);
        cr_assert_not(bench.is_closed);
        core_free(bench.core);
    }
}

Test(core_hostile, who_sends_heartbeats_without_end_is_named) {
    static const uint8_t beat[21];
    struct bench bench;
    bench_init(&bench);
    for (unsigned count = 0; count < TALK_BURST / TALK_HEARTBEAT; count++) {
        give(&bench, WIRE_HEARTBEAT, 0, span_of(beat, sizeof beat), (struct span){0});
    }
    cr_assert_not(is_named(&bench, "floods its link with control frames"));
    give(&bench, WIRE_HEARTBEAT, 0, span_of(beat, sizeof beat), (struct span){0});
    cr_assert(is_named(&bench, "floods its link with control frames"));
    cr_assert_not(bench.is_closed);
    core_free(bench.core);
}

Test(core_hostile, large_control_frames_count_by_their_size) {
    static uint8_t body[60 * 1024];
    struct bench bench;
    bench_init(&bench);
    for (unsigned count = 0; count < TALK_BURST / (1 + sizeof body / TALK_UNIT_BYTES); count++) {
        give(&bench, 200, 0, span_of(body, sizeof body), (struct span){0});
    }
    cr_assert_not(is_named(&bench, "floods its link with control frames"));
    give(&bench, 200, 0, span_of(body, sizeof body), (struct span){0});
    cr_assert(is_named(&bench, "floods its link with control frames"));
    core_free(bench.core);
}

static void give_stray(struct bench *bench, const struct weft_peer_id *destination) {
    uint8_t bytes[256];
    struct wire_writer writer = wire_writer_of(bytes, sizeof bytes);
    const struct wire_unicast unicast = {.travel = {.hops = WIRE_HOPS_MAX},
                                         .source = bench->peer.id,
                                         .destination = *destination,
                                         .packet = span_of("lost", 4)};
    wire_unicast_encode(&writer, &unicast);
    give(bench, WIRE_UNICAST, 0, wire_writer_view(&writer), (struct span){0});
}

Test(core_hostile, who_sends_packets_to_nobody_is_named) {
    const struct weft_peer_id nobody = {{9}};
    struct bench bench;
    struct core_culprit culprit;
    bench_init(&bench);
    for (unsigned count = 0; count < TALK_BURST; count++) {
        give_stray(&bench, &nobody);
    }
    cr_assert_eq(core_culprits(bench.core, &culprit, 1), 0);
    give_stray(&bench, &nobody);
    cr_assert(is_named(&bench, "floods its link with packets for nobody"));
    cr_assert_not(bench.is_closed);
    core_free(bench.core);
}

Test(core_hostile, random_bodies_never_break_the_core) {
    struct rng rng;
    uint8_t seed[32] = {77};
    rng_init(&rng, seed);
    struct bench bench;
    bench_init(&bench);
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t body[200];
        for (size_t j = 0; j < sizeof(body); j++) {
            body[j] = (uint8_t)rng_next(&rng);
        }
        give(&bench, (uint8_t)rng_below(&rng, 24), (uint8_t)rng_below(&rng, 2),
             span_of(body, (size_t)rng_below(&rng, sizeof(body))), span_of(body, 20));
        if (bench.is_closed) {
            core_link_down(bench.core, LINK, bench.now);
            up(&bench);
        }
        bench.now += NS_PER_MS;
    }
    core_free(bench.core);
}

Test(core_hostile, a_hop_limit_of_none_is_dropped_and_counted) {
    struct bench bench;
    bench_init(&bench);
    uint8_t bytes[128];
    struct wire_writer writer = wire_writer_of(bytes, sizeof(bytes));
    const struct wire_unicast unicast = {
        .source = bench.peer.id, .destination = {{3}}, .packet = span_of_text("packet")};
    wire_unicast_encode(&writer, &unicast);
    give(&bench, WIRE_UNICAST, 0, wire_writer_view(&writer), (struct span){0});
    struct core_status status;
    core_get_status(bench.core, &status);
    cr_assert_eq(status.frames_forwarded, 0);
    cr_assert_eq(
        status.frames_dropped[CORE_DROP_NO_HOPS] + status.frames_dropped[CORE_DROP_NO_ROUTE], 1);
    cr_assert_not(bench.is_closed);
    core_free(bench.core);
}

/* The acceptor may see two links of one dialler in another order than the dialler, who decides. */
Test(core_links, of_two_links_from_one_dialler_the_acceptor_keeps_what_the_dialler_keeps) {
    struct bench bench;
    bench_init(&bench);
    const struct core_link_info info = {.role = LINK_ACCEPTED,
                                        .key = bench.peer.key,
                                        .name = "twice",
                                        .incarnation = 1,
                                        .instance = 1,
                                        .remote = "192.0.2.1:2"};
    struct core_status status;
    core_link_up(bench.core, (struct link_id){.value = 6}, &info, bench.now);
    drain(&bench);
    cr_assert_not(bench.is_closed, "both are kept until the dialler has chosen");
    core_link_down(bench.core, LINK, bench.now);
    drain(&bench);
    core_get_status(bench.core, &status);
    cr_assert_eq(status.links, 1);
    core_free(bench.core);
}

Test(core_links, of_two_links_that_we_dialled_the_older_is_kept) {
    struct bench bench;
    bench_init(&bench);
    core_link_down(bench.core, LINK, bench.now);
    struct core_link_info info = {.role = LINK_DIALLED,
                                  .key = bench.peer.key,
                                  .name = "twice",
                                  .incarnation = 1,
                                  .instance = 1,
                                  .remote = "192.0.2.1:2"};
    core_link_up(bench.core, (struct link_id){.value = 6}, &info, bench.now);
    core_link_up(bench.core, (struct link_id){.value = 7}, &info, bench.now);
    struct action action;
    uint64_t closed = 0;
    while (core_next_action(bench.core, &action)) {
        closed = action.kind == ACTION_CLOSE ? action.link.value : closed;
        action_release(&action);
    }
    cr_assert_eq(closed, 7);
    core_free(bench.core);
}

Test(core_links, a_restarted_peer_takes_its_old_links_place) {
    struct bench bench;
    bench_init(&bench);
    const struct core_link_info info = {.role = LINK_ACCEPTED,
                                        .key = bench.peer.key,
                                        .name = "reborn",
                                        .incarnation = 2,
                                        .instance = 2,
                                        .remote = "192.0.2.1:2"};
    core_link_up(bench.core, (struct link_id){.value = 6}, &info, bench.now);
    drain(&bench);
    cr_assert(bench.is_closed, "the old link");
    struct core_status status;
    core_get_status(bench.core, &status);
    cr_assert_eq(status.links, 1);
    core_free(bench.core);
}

/* T7, T12: a record with another's key, or whose signature is of another's words. */
Test(core_hostile, a_record_signed_by_somebody_else_closes_the_link_and_names_the_culprit) {
    struct bench bench;
    bench_init(&bench);
    uint8_t record[512];
    struct wire_writer writer = wire_writer_of(record, sizeof(record));
    const struct wire_record fields = {.kind = 9,
                                       .owner = bench.identity.key,
                                       .incarnation = 5,
                                       .version = 5,
                                       .body = span_of_text("lies")};
    uint8_t signature[SIGNATURE_BYTES];
    wire_record_encode_unsigned(&writer, &fields);
    identity_sign(&bench.peer, "weft record 1", wire_writer_view(&writer), signature);
    wire_write_bytes(&writer, span_of(signature, sizeof(signature)));
    uint8_t body[600];
    struct wire_writer list = wire_writer_of(body, sizeof(body));
    wire_write_u16(&list, (uint16_t)writer.len);
    wire_write_bytes(&list, wire_writer_view(&writer));
    give(&bench, WIRE_RECORDS, 0, wire_writer_view(&list), (struct span){0});
    cr_assert(bench.is_closed);
    struct core_culprit culprits[4];
    cr_assert_eq(core_culprits(bench.core, culprits, 4), 1);
    cr_assert(weft_peer_id_equal(&culprits[0].peer, &bench.peer.id));
    core_free(bench.core);
}

Test(core_hostile, a_carrier_of_another_length_than_its_payload_closes_the_link) {
    struct bench bench;
    bench_init(&bench);
    uint8_t bytes[128];
    struct wire_writer writer = wire_writer_of(bytes, sizeof(bytes));
    const struct wire_carrier carrier = {.travel = {.hops = 4},
                                         .source = bench.peer.id,
                                         .destination = bench.identity.id,
                                         .class = WIRE_CLASS_STREAM,
                                         .length = 100};
    wire_carrier_encode(&writer, &carrier);
    give(&bench, WIRE_CARRIER, 0, wire_writer_view(&writer), span_of_text("short"));
    cr_assert(bench.is_closed);
    core_free(bench.core);
}

Test(core_hostile, our_own_key_on_the_other_side_is_refused) {
    struct bench bench;
    bench_init(&bench);
    const struct core_link_info info = {.role = LINK_ACCEPTED,
                                        .key = bench.identity.key,
                                        .name = "me",
                                        .incarnation = 1,
                                        .instance = 1,
                                        .remote = "192.0.2.1:2"};
    core_link_up(bench.core, (struct link_id){.value = 6}, &info, bench.now);
    drain(&bench);
    cr_assert(bench.is_closed);
    core_free(bench.core);
}
