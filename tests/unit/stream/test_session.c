/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions: who may speak, keys that change, restarts, and what a relay can and cannot do.
 */
#include <criterion/criterion.h>

#include "forge.h"
#include "stream/session.h"

#define RECORDED_MAX 4096

static struct net net;

/* What a relay wrote down. */
static struct recorded {
    unsigned from, to;
    struct frame *frame;
} recorded[RECORDED_MAX];
static size_t recorded_count;

static void record(struct net *of, unsigned from, unsigned to, struct frame *frame) {
    (void)of;
    if (recorded_count < RECORDED_MAX) {
        recorded[recorded_count++] = (struct recorded){from, to, frame_copy(frame_view(frame))};
    }
}

static void forget(void) {
    for (size_t i = 0; i < recorded_count; i++) {
        frame_unref(recorded[i].frame);
    }
    recorded_count = 0;
}

static void deliver(unsigned from, unsigned to, struct span bytes) {
    streams_packet(net.nodes[to].streams, &net.nodes[from].identity.id,
                   &net.nodes[from].identity.id, loan_of(bytes), false, net.now);
}

static uint64_t refused(unsigned node) {
    return streams_count(net.nodes[node].streams).packets_refused;
}

static uint64_t spoilt(unsigned node) {
    return streams_count(net.nodes[node].streams).packets_spoilt;
}

struct sessions_seen {
    size_t count;
    struct streams_session_view last;
};

static void see_session(void *ctx, const struct streams_session_view *view) {
    struct sessions_seen *seen = ctx;
    seen->count++;
    seen->last = *view;
}

static struct sessions_seen sessions_of(unsigned node) {
    struct sessions_seen seen = {.count = 0};
    streams_each_session(net.nodes[node].streams, see_session, &seen);
    return seen;
}

Test(session, both_ends_agree_on_the_preferred_cipher) {
    net_init(&net, 1, 2);
    weft_ns begun = net.now;
    struct end *end = net_open(&net, 0, 1, 10);
    end->finishes = false;
    cr_assert_eq(sessions_of(0).count, 0, "no keys are in force yet");
    net_run(&net, net.now + NS_PER_S);
    for (unsigned i = 0; i < 2; i++) {
        struct sessions_seen seen = sessions_of(i);
        cr_assert_eq(seen.count, 1);
        cr_assert_eq(seen.last.cipher, aead_preferred());
        cr_assert(weft_peer_id_equal(&seen.last.peer, &net.nodes[1 - i].identity.id));
        cr_assert(seen.last.since >= begun && seen.last.keys_since >= seen.last.since);
        cr_assert_lt(seen.last.keys_since, begun + NS_PER_S);
        cr_assert_eq(seen.last.streams, 1);
    }
    cr_assert_eq(streams_count(net.nodes[0].streams).sessions, 1);
    net_fini(&net);
}

/* What this machine does best, as far as the next call is concerned. */
static enum aead_cipher preferred;

enum aead_cipher __real_aead_preferred(void);
enum aead_cipher __wrap_aead_preferred(void);
enum aead_cipher __wrap_aead_preferred(void) {
    return preferred != 0 ? preferred : __real_aead_preferred();
}

/* One asks on a machine that prefers one cipher, the other answers on one that prefers another. */
static void expect_cipher(enum aead_cipher asking, enum aead_cipher answering,
                          enum aead_cipher expected) {
    net_init(&net, 2, 2);
    net.channels[0][1].delay = 10 * NS_PER_MS;
    preferred = asking;
    struct end *end = net_open(&net, 0, 1, 10);
    end->finishes = false;
    net_run(&net, net.now + NS_PER_MS);
    cr_assert_eq(net.channels[0][1].packets, 1, "the INIT is under way");
    preferred = answering;
    net_run(&net, net.now + NS_PER_S);
    preferred = 0;
    for (unsigned i = 0; i < 2; i++) {
        cr_expect_eq(sessions_of(i).count, 1);
        cr_expect_eq(sessions_of(i).last.cipher, expected);
    }
    cr_expect_eq(net_far_end(&net, end)->read, 10);
    net_fini(&net);
}

Test(session, uses_aes_only_if_both_ends_prefer_it) {
    const enum aead_cipher chacha = AEAD_CHACHA20_POLY1305;
    const enum aead_cipher aes = AEAD_AES_256_GCM;
    expect_cipher(chacha, chacha, chacha);
    expect_cipher(chacha, aes, chacha);
    expect_cipher(aes, chacha, chacha);
    expect_cipher(aes, aes, aes);
}

Test(session, both_may_ask_at_once) {
    for (uint64_t seed = 0; seed < 20; seed++) {
        net_init(&net, seed, 2);
        (void)net_open(&net, 0, 1, 1000);
        (void)net_open(&net, 1, 0, 1000);
        weft_ns start = net.now;
        cr_assert(net_settle(&net, NS_PER_S), "seed %llu", (unsigned long long)seed);
        cr_assert_lt(net.now - start, 20 * NS_PER_MS, "the tie is broken without a time-out");
        net_fini(&net);
    }
}

Test(session, a_lost_handshake_is_repeated) {
    for (uint64_t seed = 0; seed < 20; seed++) {
        net_init(&net, seed, 2);
        net.channels[0][1].loss_permille = net.channels[1][0].loss_permille = 500;
        (void)net_open(&net, 0, 1, 10);
        (void)net_open(&net, 1, 0, 10);
        cr_assert(net_settle(&net, 1000 * NS_PER_S), "seed %llu", (unsigned long long)seed);
        net_fini(&net);
    }
}

Test(session, ids_of_streams_tell_who_opened_them) {
    net_init(&net, 2, 2);
    struct end *a = net_open(&net, 0, 1, 10);
    struct end *b = net_open(&net, 1, 0, 10);
    bool is_larger = weft_peer_id_compare(&net.nodes[0].identity.id, &net.nodes[1].identity.id) > 0;
    cr_assert_eq(forge_stream(a)->wire_id >> 63, is_larger);
    cr_assert_eq(forge_stream(b)->wire_id >> 63, !is_larger);
    net_fini(&net);
}

Test(session, rekeys_under_load_and_loses_nothing) {
    net_init(&net, 3, 2);
    for (unsigned i = 0; i < 2; i++) {
        net.nodes[i].config.rekey_after = 2 * NS_PER_S;
        net.nodes[i].config.session_max = 3 * NS_PER_S;
        net.channels[i][1 - i].bytes_per_s = 1000000;
        net.channels[i][1 - i].delay = 20 * NS_PER_MS;
    }
    net_restart(&net, 0, 70);
    net_restart(&net, 1, 71);
    net.nodes[1].echoes = true;
    struct end *end = net_open(&net, 0, 1, 100000000);
    uint32_t index = 0;
    unsigned changes = 0;
    for (int i = 0; i < 200; i++) {
        net_run(&net, net.now + 100 * NS_PER_MS);
        const struct session *session = forge_session(&net, 0, 1);
        changes += session->current->local_index != index ? 1 : 0;
        index = session->current->local_index;
        cr_assert(session->previous == NULL || session->previous->made_at + 3 * NS_PER_S > net.now);
    }
    cr_assert_geq(changes, 7);
    cr_assert(!end->was_reset);
    cr_assert_gt(end->read, 18000000);
    cr_assert_eq(streams_count(net.nodes[0].streams).bytes_resent, 0);
    cr_assert_eq(refused(0) + refused(1), 0);
    net_fini(&net);
}

Test(session, keys_that_nobody_uses_are_wiped) {
    net_init(&net, 4, 2);
    (void)net_open(&net, 0, 1, 10);
    cr_assert(net_settle(&net, NS_PER_S));
    net_run(&net, net.now + 181 * NS_PER_S);
    cr_assert_eq(map_count(net.nodes[0].streams->indices), 0);
    cr_assert_eq(map_count(net.nodes[1].streams->indices), 0);
    net_run(&net, net.now + 180 * NS_PER_S);
    cr_assert_eq(streams_count(net.nodes[0].streams).sessions, 0, "nor is anything else kept");
    cr_assert_eq(streams_count(net.nodes[1].streams).sessions, 0);
    (void)net_open(&net, 0, 1, 10);
    cr_assert(net_settle(&net, NS_PER_S), "and made again when needed");
    net_fini(&net);
}

Test(session, an_idle_stream_keeps_its_session) {
    net_init(&net, 5, 2);
    struct end *end = net_open(&net, 0, 1, 10);
    end->finishes = false;
    net_run(&net, net.now + 1000 * NS_PER_S);
    cr_assert(!end->was_reset);
    end->to_write = 10;
    end->finishes = true;
    cr_assert(net_settle(&net, NS_PER_S));
    cr_assert_eq(net_far_end(&net, end)->read, 20);
    net_fini(&net);
}

Test(session, every_repeated_packet_is_refused) {
    net_init(&net, 6, 2);
    net.tap = record;
    net.nodes[1].echoes = true;
    (void)net_open(&net, 0, 1, 300000);
    cr_assert(net_settle(&net, 10 * NS_PER_S));
    net.tap = NULL;
    net_run(&net, net.now + NS_PER_S);
    for (size_t i = 0; i < recorded_count; i++) {
        const struct recorded *item = &recorded[i];
        uint64_t before = refused(item->to);
        uint64_t spoilt_before = spoilt(item->to);
        bool is_sealed = item->frame->data[0] == WIRE_PACKET_SEALED;
        uint64_t received = streams_count(net.nodes[item->to].streams).bytes_received;
        deliver(item->from, item->to, frame_view(item->frame));
        cr_assert_eq(refused(item->to), before + 1, "packet %zu", i);
        cr_assert_eq(spoilt(item->to), spoilt_before + (is_sealed ? 1 : 0), "packet %zu", i);
        deliver(item->to, item->from, frame_view(item->frame)); /* T1, T2: reflected */
        cr_assert_eq(streams_count(net.nodes[item->to].streams).bytes_received, received);
    }
    net_run(&net, net.now + NS_PER_S);
    cr_assert_eq(net.nodes[1].incoming_count, 1);
    forget();
    net_fini(&net);
}

Test(session, every_flipped_bit_is_refused) {
    net_init(&net, 7, 2);
    struct end *end = net_open(&net, 0, 1, 100);
    end->finishes = false;
    net_run(&net, net.now + NS_PER_S);
    net.tap = record;
    net.channels[0][1].is_cut = true;
    end->to_write = 50;
    net_pump(&net);
    cr_assert_eq(recorded_count, 1);
    const struct frame *frame = recorded[0].frame;
    for (size_t bit = 0; bit < (size_t)frame->len * 8; bit++) {
        struct frame *copy = frame_copy(frame_view(frame));
        copy->data[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        uint64_t received = streams_count(net.nodes[1].streams).bytes_received;
        deliver(0, 1, frame_view(copy));
        cr_assert_eq(streams_count(net.nodes[1].streams).bytes_received, received, "bit %zu", bit);
        frame_unref(copy);
    }
    cr_assert_eq(spoilt(1), (frame->len - 5) * 8, "all but its type and index, which name no keys");
    deliver(0, 1, frame_view(frame));
    cr_assert_eq(streams_count(net.nodes[1].streams).bytes_received, 150, "the true one opens");
    forget();
    net_fini(&net);
}

Test(session, truncations_are_refused) {
    net_init(&net, 8, 2);
    net.tap = record;
    (void)net_open(&net, 0, 1, 100);
    cr_assert(net_settle(&net, NS_PER_S));
    net.tap = NULL;
    for (size_t i = 0; i < recorded_count; i++) {
        for (uint32_t len = 0; len < recorded[i].frame->len; len++) {
            deliver(recorded[i].from, recorded[i].to, span_of(recorded[i].frame->data, len));
        }
    }
    (void)net_open(&net, 0, 1, 100);
    cr_assert(net_settle(&net, 3 * NS_PER_S), "nothing was disturbed");
    forget();
    net_fini(&net);
}

Test(session, a_relay_cannot_forge_the_source) {
    net_init(&net, 9, 3);
    net.tap = record;
    struct end *end = net_open(&net, 0, 1, 100);
    net_pump(&net);
    cr_assert_eq(recorded_count, 1);
    streams_packet(net.nodes[1].streams, &net.nodes[2].identity.id, &net.nodes[2].identity.id,
                   loan_of(frame_view(recorded[0].frame)), false, net.now);
    cr_assert_eq(refused(1), 1, "an INIT of 0 under the name of 2");
    cr_assert_eq(map_count(net.nodes[1].streams->sessions), 0);
    cr_assert(net_settle(&net, NS_PER_S));
    cr_assert(end->was_closed);
    cr_assert_eq(spoilt(0) + spoilt(1), 0);
    for (size_t i = 1; i < recorded_count; i++) {
        deliver(2, recorded[i].to, frame_view(recorded[i].frame));
    }
    cr_assert_gt(spoilt(1), 0, "sealed packets of 0 under the name of 2");
    forget();
    net_fini(&net);
}

Test(session, our_own_init_is_refused) {
    net_init(&net, 10, 2);
    net.tap = record;
    (void)net_open(&net, 0, 1, 100);
    net_pump(&net);
    streams_packet(net.nodes[0].streams, &net.nodes[0].identity.id, &net.nodes[0].identity.id,
                   loan_of(frame_view(recorded[0].frame)), false, net.now);
    cr_assert_eq(refused(0), 1);
    forget();
    net_fini(&net);
}

Test(session, another_mesh_gets_no_answer) {
    net_init(&net, 11, 2);
    static const uint8_t other_psk[WEFT_KEY_BYTES] = {8};
    net.nodes[0].config.psk = other_psk;
    net_restart(&net, 0, 99);
    (void)net_open(&net, 0, 1, 100);
    net_run(&net, net.now + 5 * NS_PER_S);
    cr_assert_eq(net.channels[1][0].packets, 0);
    cr_assert_gt(refused(1), 0);
    net_fini(&net);
}

Test(session, a_restart_ends_streams_on_the_other_side) {
    net_init(&net, 12, 2);
    struct end *end = net_open(&net, 0, 1, 5000);
    end->finishes = false;
    net_run(&net, net.now + NS_PER_S);
    net_drop_flying(&net, 0, 1);
    net_restart(&net, 1, 900);
    end->to_write = 10; /* its packet meets a node that knows no such session */
    net_run(&net, net.now + 2 * NS_PER_S);
    cr_assert(end->was_reset);
    cr_assert_eq(end->reason, WIRE_RESET_RESTARTED);
    struct end *next = net_open(&net, 0, 1, 5000);
    cr_assert(net_settle(&net, NS_PER_S));
    cr_assert(next->was_closed);
    net_fini(&net);
}

Test(session, a_stream_opened_after_the_news_of_a_restart_meets_the_new_life) {
    net_init(&net, 16, 2);
    struct end *end = net_open(&net, 0, 1, 5000);
    end->finishes = false;
    net_run(&net, net.now + NS_PER_S);
    const struct weft_peer_id peer = net.nodes[1].identity.id;
    net_drop_flying(&net, 0, 1);
    net_restart(&net, 1, 900);
    streams_peer_life(net.nodes[0].streams, &peer, net.nodes[1].config.incarnation, 900, net.now);
    struct end *next = net_open(&net, 0, 1, 5000);
    cr_assert(net_settle(&net, NS_PER_S));
    cr_assert(end->was_reset);
    cr_assert_eq(end->reason, WIRE_RESET_RESTARTED);
    cr_assert(next->was_closed && !next->was_reset);
    net_fini(&net);
}

Test(session, news_of_the_life_that_is_met_already_or_of_a_former_one_change_nothing) {
    net_init(&net, 17, 2);
    struct end *end = net_open(&net, 0, 1, 5000);
    end->finishes = false;
    net_run(&net, net.now + NS_PER_S);
    const struct weft_peer_id peer = net.nodes[1].identity.id;
    streams_peer_life(net.nodes[0].streams, &peer, 0, 12345, net.now);
    streams_peer_life(net.nodes[0].streams, &net.nodes[0].identity.id, 1000, 12345, net.now);
    end->to_write = 1000;
    end->finishes = true;
    cr_assert(net_settle(&net, NS_PER_S));
    cr_assert(end->was_closed && !end->was_reset);
    net_fini(&net);
}

Test(session, a_restart_of_the_asker_ends_streams_too) {
    net_init(&net, 13, 2);
    struct end *end = net_open(&net, 0, 1, 5000);
    end->finishes = false;
    net_run(&net, net.now + NS_PER_S);
    struct end *far = net_far_end(&net, end);
    net_restart(&net, 0, 900);
    struct end *next = net_open(&net, 0, 1, 5000);
    cr_assert(net_settle(&net, 2 * NS_PER_S));
    cr_assert(next->was_closed);
    cr_assert(far->was_reset && far->reason == WIRE_RESET_RESTARTED);
    net_fini(&net);
}

/* What is left of a session at one end, when a clock, or want of room, made it forget. */
static void forget_session(unsigned at, unsigned of) {
    struct session *session = forge_session(&net, at, of);
    while (!list_is_empty(&session->streams_all)) {
        struct stream *stream =
            LIST_OWNER(list_first(&session->streams_all), struct stream, session_link);
        streams_reset(net.nodes[at].streams, stream->id, WIRE_RESET_TIMEOUT, net.now);
    }
    session_free(session);
}

Test(session, a_stream_that_the_peer_took_and_forgot_is_not_opened_twice) {
    net_init(&net, 20, 2);
    (void)net_open(&net, 0, 1, 100);
    cr_assert(net_settle(&net, NS_PER_S));
    net.channels[1][0].is_cut = true;
    struct end *end = net_open(&net, 0, 1, 5000);
    end->finishes = false;
    net_run(&net, net.now + NS_PER_S);
    cr_assert_eq(net.nodes[1].incoming_count, 2);
    forget_session(1, 0);
    net.channels[1][0].is_cut = false;
    net_run(&net, net.now + 20 * NS_PER_S);
    cr_assert_eq(net.nodes[1].incoming_count, 2);
    cr_assert(end->was_refused);
    cr_assert_eq(end->reason, WIRE_RESET_RESTARTED);
    net_fini(&net);
}

Test(session, ids_of_a_forgotten_session_are_not_used_again) {
    net_init(&net, 21, 2);
    struct end *end = net_open(&net, 0, 1, 5000);
    end->finishes = false;
    net_run(&net, net.now + NS_PER_S);
    uint64_t number = forge_session(&net, 0, 1)->wire_id_next;
    struct end *far = net_far_end(&net, end);
    forget_session(0, 1);
    struct end *next = net_open(&net, 0, 1, 5000);
    cr_assert_gt(forge_session(&net, 0, 1)->wire_id_next, number);
    net_run(&net, net.now + 5 * NS_PER_S);
    cr_assert(far->was_reset && far->reason == WIRE_RESET_RESTARTED);
    cr_assert(next->was_closed);
    net_fini(&net);
}

Test(session, a_late_open_of_a_former_life_opens_nothing) {
    net_init(&net, 22, 2);
    (void)net_open(&net, 0, 1, 100);
    cr_assert(net_settle(&net, NS_PER_S));
    net.channels[0][1].is_cut = true;
    net.tap = record;
    (void)net_open(&net, 0, 1, 5000);
    net_pump(&net);
    net.tap = NULL;
    net.channels[0][1].is_cut = false;
    net_restart(&net, 0, 900);
    struct end *next = net_open(&net, 0, 1, 5000);
    net_run(&net, net.now + NS_PER_S);
    cr_assert_eq(net.nodes[1].incoming_count, 2);
    for (size_t i = 0; i < recorded_count; i++) {
        deliver(0, 1, frame_view(recorded[i].frame));
    }
    net_run(&net, net.now + NS_PER_S);
    cr_assert_eq(net.nodes[1].incoming_count, 2);
    cr_assert(next->was_closed);
    forget();
    net_fini(&net);
}

Test(session, an_old_init_of_a_former_life_ends_nothing) {
    net_init(&net, 14, 2);
    net.tap = record;
    (void)net_open(&net, 0, 1, 5000);
    cr_assert(net_settle(&net, NS_PER_S));
    net.tap = NULL;
    cr_assert_eq(recorded[0].frame->data[0], WIRE_PACKET_INIT);
    net_restart(&net, 0, 900);
    struct end *end = net_open(&net, 0, 1, 5000);
    end->finishes = false;
    net_run(&net, net.now + NS_PER_S);
    for (int i = 0; i < 5; i++) {
        deliver(0, 1, frame_view(recorded[0].frame));
        net_run(&net, net.now + NS_PER_S);
    }
    end->to_write = 1000;
    end->finishes = true;
    cr_assert(net_settle(&net, NS_PER_S));
    cr_assert(end->was_closed);
    forget();
    net_fini(&net);
}

/* Of the session's keys at node 0, as node 1 would say that it does not know them. */
static void hint(void) {
    uint8_t bytes[5] = {WIRE_PACKET_UNKNOWN};
    uint32_t index = forge_session(&net, 0, 1)->current->remote_index;
    for (int k = 0; k < 4; k++) {
        bytes[1 + k] = (uint8_t)(index >> (24 - 8 * k));
    }
    deliver(1, 0, span_of(bytes, sizeof bytes));
    net_pump(&net);
}

Test(session, hints_of_unknown_sessions_do_no_harm) {
    net_init(&net, 15, 2);
    struct end *end = net_open(&net, 0, 1, 3000000);
    net.channels[0][1].bytes_per_s = 1000000;
    net_run(&net, net.now + NS_PER_S);
    uint64_t before = net.channels[0][1].packets;
    for (int i = 0; i < 1000; i++) {
        hint();
    }
    cr_assert_leq(net.channels[0][1].packets - before, 2, "at most one handshake a second");
    cr_assert(net_settle(&net, 60 * NS_PER_S));
    cr_assert(end->was_closed);
    net_fini(&net);
}

/* Seed 939 of chaos-safety-small: nobody asked again, and the streams stood until they were reset.
 */
Test(session, the_handshake_that_a_hint_begins_is_repeated_when_lost) {
    net_init(&net, 22, 2);
    struct end *end = net_open(&net, 0, 1, 10);
    end->finishes = false;
    net_run(&net, net.now + NS_PER_S);
    net.channels[0][1].is_cut = true;
    hint();
    net_run(&net, net.now + 100 * NS_PER_MS);
    net.channels[0][1].is_cut = false;
    net_run(&net, net.now + 5 * NS_PER_S);
    cr_assert_null(forge_session(&net, 0, 1)->pending, "the handshake is still under way");
    net_fini(&net);
}

Test(session, strays_get_a_bounded_number_of_hints) {
    net_init(&net, 16, 2);
    uint8_t stray[WIRE_SEALED_OVERHEAD] = {WIRE_PACKET_SEALED};
    for (int i = 0; i < 10000; i++) {
        stray[1] = (uint8_t)i;
        stray[2] = (uint8_t)(i >> 8);
        deliver(1, 0, span_of(stray, sizeof stray));
    }
    struct stream_packet packet;
    size_t count = 0;
    while (streams_next_packet(net.nodes[0].streams, net.now, &packet)) {
        cr_assert_eq(packet.frame->data[0], WIRE_PACKET_UNKNOWN);
        frame_unref(packet.frame);
        count++;
    }
    cr_assert_leq(count, 100);
    cr_assert_geq(count, 1);
    net_fini(&net);
}

Test(session, the_table_has_a_bound) {
    net_init(&net, 17, 3);
    net.nodes[0].config.peers_max = 1;
    net_restart(&net, 0, 400);
    struct end *end = net_open(&net, 0, 1, 10);
    struct wire_part_open service = {
        .protocol = 1, .name_space = span_of_text("default"), .name = span_of_text("web")};
    struct stream_id stream;
    cr_assert_eq(streams_open(net.nodes[0].streams, &net.nodes[2].identity.id,
                              &net.nodes[2].identity.key, &service, net.now, &stream),
                 WEFT_ERR_FULL);
    cr_assert(net_settle(&net, NS_PER_S));
    cr_assert(end->was_closed);
    struct end *other = net_open(&net, 0, 2, 10);
    cr_assert(net_settle(&net, NS_PER_S), "the idle one made room");
    cr_assert(other->was_closed);
    net_fini(&net);
}

Test(session, nobody_goes_for_a_peer_with_a_wrong_key) {
    net_init(&net, 18, 3);
    net.nodes[0].config.peers_max = 1;
    net_restart(&net, 0, 400);
    (void)net_open(&net, 0, 1, 10);
    cr_assert(net_settle(&net, NS_PER_S));
    struct wire_part_open service = {
        .protocol = 1, .name_space = span_of_text("default"), .name = span_of_text("web")};
    struct stream_id stream;
    cr_assert_eq(streams_open(net.nodes[0].streams, &net.nodes[2].identity.id,
                              &net.nodes[1].identity.key, &service, net.now, &stream),
                 WEFT_ERR_INVALID);
    cr_assert_not_null(forge_session(&net, 0, 1));
    net_fini(&net);
}
