/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams between two ends: opening, bytes both ways, half-close, resets, retargeting, messages.
 */
#include <criterion/criterion.h>

#include "forge.h"
#include "harness.h"
#include "stream/farewell.h"

static struct net net;

Test(streams, carries_bytes_and_closes) {
    net_init(&net, 1, 2);
    struct end *end = net_open(&net, 0, 1, 1000000);
    cr_assert(net_settle(&net, 10 * NS_PER_S));
    struct end *far = net_far_end(&net, end);
    cr_assert_not_null(far);
    cr_assert_eq(far->read, 1000000);
    cr_assert(end->was_accepted && end->was_closed && far->was_closed);
    cr_assert_eq(streams_count(net.nodes[0].streams).open, 0);
    cr_assert_eq(streams_count(net.nodes[0].streams).bytes_sent, 1000000);
    cr_assert_eq(streams_count(net.nodes[1].streams).bytes_received, 1000000);
    net_fini(&net);
}

Test(streams, carries_an_empty_stream) {
    net_init(&net, 1, 2);
    struct end *end = net_open(&net, 0, 1, 0);
    cr_assert(net_settle(&net, NS_PER_S));
    cr_assert(end->was_closed && end->has_ended);
    net_fini(&net);
}

Test(streams, echoes_bytes_both_ways) {
    net_init(&net, 2, 2);
    net.nodes[1].echoes = true;
    struct end *end = net_open(&net, 0, 1, 3000000);
    cr_assert(net_settle(&net, 10 * NS_PER_S));
    cr_assert_eq(end->read, 3000000);
    cr_assert(end->was_closed);
    net_fini(&net);
}

Test(streams, answers_after_the_other_side_has_finished) {
    net_init(&net, 4, 2);
    net.nodes[1].accepts = false;
    net.nodes[1].holds_open = true;
    struct end *end = net_open(&net, 0, 1, 5000);
    net_run(&net, net.now + 10 * NS_PER_MS);
    struct end *far = net_far_end(&net, end);
    cr_assert_not_null(far);
    streams_accept(net.nodes[1].streams, far->stream, net.now);
    net_run(&net, net.now + 10 * NS_PER_MS);
    cr_assert(far->has_ended && !end->has_ended, "one way closed, the other open");
    far->to_write = 700000;
    far->finishes = true;
    cr_assert(net_settle(&net, NS_PER_S));
    cr_assert_eq(end->read, 700000);
    cr_assert(end->was_closed && far->was_closed);
    net_fini(&net);
}

Test(streams, closes_within_a_round_trip_of_the_last_byte) {
    net_init(&net, 5, 2);
    struct end *end = net_open(&net, 0, 1, 10);
    weft_ns start = net.now;
    cr_assert(net_settle(&net, NS_PER_S));
    cr_assert(end->was_closed);
    cr_assert_lt(net.now - start,
                 12 * NS_PER_MS); /* handshake, open, data: three round trips of 2 ms */
    net_fini(&net);
}

Test(streams, waits_for_credit_until_accepted) {
    net_init(&net, 6, 2);
    net.nodes[1].accepts = false;
    struct end *end = net_open(&net, 0, 1, 100000);
    net_run(&net, net.now + 20 * NS_PER_S);
    struct end *far = net_far_end(&net, end);
    cr_assert(!end->was_accepted && !end->was_refused);
    cr_assert_eq(net.nodes[1].incoming_count, 1, "a repeated OPEN opens once");
    cr_assert_eq(streams_peek(net.nodes[1].streams, far->stream).len, 0);
    streams_accept(net.nodes[1].streams, far->stream, net.now);
    cr_assert(net_settle(&net, 20 * NS_PER_S));
    cr_assert_eq(far->read, 100000);
    net_fini(&net);
}

Test(streams, refusal_names_its_reason) {
    net_init(&net, 7, 2);
    net.nodes[1].accepts = false;
    net.nodes[1].reason = WIRE_RESET_NO_SERVICE;
    struct end *end = net_open(&net, 0, 1, 100);
    cr_assert(net_settle(&net, NS_PER_S));
    cr_assert(end->was_refused && !end->was_reset);
    cr_assert_eq(end->reason, WIRE_RESET_NO_SERVICE);
    streams_release(net.nodes[0].streams, end->stream);
    net_fini(&net);
}

Test(streams, retarget_keeps_all_that_was_written) {
    net_init(&net, 8, 3);
    net.nodes[1].accepts = false;
    net.nodes[1].reason = WIRE_RESET_CONNECT_FAILED;
    struct end *end = net_open(&net, 0, 1, 2000000);
    net_run(&net, net.now + NS_PER_S);
    cr_assert(end->was_refused);
    cr_assert_geq(end->written, 1000000);
    end->was_refused = false;
    cr_assert_eq(streams_retarget(net.nodes[0].streams, end->stream, &net.nodes[2].identity.id,
                                  &net.nodes[2].identity.key, net.now),
                 WEFT_OK);
    cr_assert_eq(streams_retarget(net.nodes[0].streams, end->stream, &net.nodes[2].identity.id,
                                  &net.nodes[2].identity.key, net.now),
                 WEFT_ERR_STATE);
    cr_assert(net_settle(&net, 10 * NS_PER_S));
    struct end *far = net_far_end(&net, end);
    cr_assert_eq(far->node->index, 2);
    cr_assert_eq(far->read, 2000000);
    net_fini(&net);
}

Test(streams, retarget_carries_a_finish) {
    net_init(&net, 9, 3);
    net.nodes[1].accepts = false;
    net.nodes[1].reason = WIRE_RESET_CONNECT_FAILED;
    struct end *end = net_open(&net, 0, 1, 100);
    net_run(&net, net.now + NS_PER_S);
    cr_assert(end->was_refused && end->has_finished);
    end->was_refused = false;
    cr_assert_eq(streams_retarget(net.nodes[0].streams, end->stream, &net.nodes[2].identity.id,
                                  &net.nodes[2].identity.key, net.now),
                 WEFT_OK);
    cr_assert(net_settle(&net, NS_PER_S));
    cr_assert(end->was_closed);
    net_fini(&net);
}

Test(streams, reset_after_accept_reaches_the_other_end) {
    net_init(&net, 10, 2);
    struct end *end = net_open(&net, 0, 1, 100);
    end->finishes = false;
    net_run(&net, net.now + 100 * NS_PER_MS);
    struct end *far = net_far_end(&net, end);
    streams_reset(net.nodes[1].streams, far->stream, WIRE_RESET_APPLICATION, net.now);
    far->is_used = false;
    cr_assert(net_settle(&net, NS_PER_S));
    cr_assert(end->was_reset);
    cr_assert_eq(end->reason, WIRE_RESET_APPLICATION);
    cr_assert_eq(streams_write(net.nodes[0].streams, end->stream, span_of("x", 1), net.now), 0);
    net_fini(&net);
}

Test(streams, a_lost_reset_is_repeated) {
    net_init(&net, 11, 2);
    struct end *end = net_open(&net, 0, 1, 100);
    end->finishes = false;
    net_run(&net, net.now + 100 * NS_PER_MS);
    struct end *far = net_far_end(&net, end);
    net.channels[1][0].is_cut = true;
    streams_reset(net.nodes[1].streams, far->stream, WIRE_RESET_APPLICATION, net.now);
    far->is_used = false;
    net_run(&net, net.now + 100 * NS_PER_MS);
    net.channels[1][0].is_cut = false;
    cr_assert(net_settle(&net, 3 * NS_PER_S));
    cr_assert(end->was_reset);
    net_fini(&net);
}

Test(streams, a_lost_last_ack_still_closes_well) {
    for (uint64_t seed = 0; seed < 40; seed++) {
        net_init(&net, seed, 2);
        net.channels[0][1].loss_permille = net.channels[1][0].loss_permille = 400;
        struct end *end = net_open(&net, 0, 1, 3000);
        cr_assert(net_settle(&net, 3600 * NS_PER_S), "seed %llu", (unsigned long long)seed);
        cr_assert(end->was_closed, "seed %llu: reason %d", (unsigned long long)seed, end->reason);
        net_fini(&net);
    }
}

Test(streams, a_release_after_a_reset_frees_the_id_for_good) {
    net_init(&net, 12, 2);
    struct end *end = net_open(&net, 0, 1, 0);
    cr_assert(net_settle(&net, NS_PER_S));
    struct stream_id old = end->stream;
    end->is_used = false;
    struct end *next = net_open(&net, 0, 1, 0);
    cr_assert_neq(next->stream.value, old.value);
    cr_assert_eq(streams_write_room(net.nodes[0].streams, old), 0);
    streams_reset(net.nodes[0].streams, old, WIRE_RESET_APPLICATION, net.now);
    streams_release(net.nodes[0].streams, old);
    cr_assert(net_settle(&net, NS_PER_S));
    cr_assert(next->was_closed);
    net_fini(&net);
}

Test(streams, write_beyond_the_buffer_is_told_when_there_is_room) {
    net_init(&net, 13, 2);
    struct end *end = net_open(&net, 0, 1, 20000000);
    cr_assert(net_settle(&net, 60 * NS_PER_S));
    cr_assert_eq(net_far_end(&net, end)->read, 20000000);
    net_fini(&net);
}

Test(streams, messages_and_pings_arrive) {
    net_init(&net, 14, 2);
    struct node *node = &net.nodes[0];
    const struct identity *far = &net.nodes[1].identity;
    cr_assert_eq(streams_message(node->streams, &far->id, &far->key, span_of_text("chat"),
                                 span_of_text("hello"), net.now),
                 WEFT_OK);
    cr_assert_eq(streams_ping(node->streams, &far->id, &far->key, 77, net.now), WEFT_OK);
    net_run(&net, net.now + NS_PER_S);
    cr_assert_eq(net.nodes[1].message_count, 1);
    cr_assert_eq(net.nodes[1].last_message_len, 5);
    cr_assert_arr_eq(net.nodes[1].last_message, "hello", 5);
    cr_assert_eq(node->pong_count, 1);
    cr_assert_eq(node->last_token, 77);
    net_fini(&net);
}

Test(streams, messages_have_bounds) {
    net_init(&net, 15, 2);
    struct node *node = &net.nodes[0];
    const struct identity *far = &net.nodes[1].identity;
    static uint8_t bytes[48 * 1024 + 1];
    cr_assert_eq(streams_message(node->streams, &far->id, &far->key, span_of_text("chat"),
                                 span_of(bytes, sizeof bytes), net.now),
                 WEFT_ERR_INVALID);
    cr_assert_eq(streams_message(node->streams, &far->id, &far->key, span_of_text(""),
                                 span_of(bytes, 1), net.now),
                 WEFT_ERR_INVALID);
    enum weft_err err = WEFT_OK;
    size_t count = 0;
    for (; err == WEFT_OK && count < 1000; count++) {
        err = streams_message(node->streams, &far->id, &far->key, span_of_text("chat"),
                              span_of(bytes, sizeof bytes - 1), net.now);
    }
    cr_assert_eq(err, WEFT_ERR_FULL);
    cr_assert_leq(count, 24);
    net_run(&net, net.now + NS_PER_S);
    cr_assert_eq(net.nodes[1].message_count, count - 1);
    net_fini(&net);
}

Test(streams, a_key_of_another_peer_is_invalid) {
    net_init(&net, 16, 3);
    struct wire_part_open service = {
        .protocol = 1, .name_space = span_of_text("default"), .name = span_of_text("web")};
    struct stream_id stream;
    cr_assert_eq(streams_open(net.nodes[0].streams, &net.nodes[1].identity.id,
                              &net.nodes[2].identity.key, &service, net.now, &stream),
                 WEFT_ERR_INVALID);
    net_fini(&net);
}

Test(streams, open_names_the_service_to_the_other_end) {
    net_init(&net, 17, 2);
    struct wire_part_open service = {
        .protocol = 1, .name_space = span_of_text("prod"), .name = span_of_text("web.a-1")};
    struct stream_id stream;
    cr_assert_eq(streams_open(net.nodes[0].streams, &net.nodes[1].identity.id,
                              &net.nodes[1].identity.key, &service, net.now, &stream),
                 WEFT_OK);
    struct stream_event event = {0};
    for (int i = 0; i < 4; i++) {
        struct stream_packet packet;
        for (unsigned from = 0; from < 2; from++) {
            while (streams_next_packet(net.nodes[from].streams, net.now, &packet)) {
                streams_packet(net.nodes[1 - from].streams, &net.nodes[from].identity.id,
                               &net.nodes[from].identity.id, loan_of(frame_view(packet.frame)),
                               false, net.now);
                frame_unref(packet.frame);
            }
        }
    }
    cr_assert(streams_next_event(net.nodes[1].streams, &event));
    cr_assert_eq(event.kind, STREAM_EVENT_INCOMING);
    cr_assert_str_eq(event.name_space, "prod");
    cr_assert_str_eq(event.name, "web.a-1");
    cr_assert_eq(event.protocol, 1);
    cr_assert(weft_peer_id_equal(&event.peer, &net.nodes[0].identity.id));
    net_fini(&net);
}

/* Both have finished; one has yet to read all, and resets instead. Its reset is lost, and so are
 * those of `others`; the other end asks before they are repeated. */
static void lose_reset(unsigned others) {
    net_init(&net, 21, 2);
    struct end *end = net_open(&net, 0, 1, 100);
    end->finishes = false;
    net_run(&net, net.now + NS_PER_S);
    struct end *far = net_far_end(&net, end);
    cr_assert(end->has_ended && !far->has_ended);
    far->read_at_most = far->read;
    net.channels[1][0].is_cut = true;
    end->to_write = 1000;
    end->finishes = true;
    net_run(&net, net.now + 900 * NS_PER_MS);
    streams_reset(net.nodes[1].streams, far->stream, WIRE_RESET_APPLICATION, net.now);
    for (uint64_t i = 0; i < others; i++) {
        session_say_reset(forge_session(&net, 1, 0), i + 1000, WIRE_RESET_APPLICATION, net.now);
    }
    net_pump(&net);
    net.channels[1][0].is_cut = false;
    net_run(&net, net.now + 20 * NS_PER_S);
    cr_expect_not(end->was_closed, "beside %u", others);
    cr_expect(end->was_reset, "beside %u", others);
    net_fini(&net);
}

Test(streams, a_lost_reset_is_no_good_end) {
    lose_reset(0);
    lose_reset(300);
}

/* What was forgotten of old streams is no reason to take a newer one's good end for a reset: of
 * more resets than are kept some go at once, the rest after five tries. */
static void end_well_after_resets(unsigned count) {
    net_init(&net, 22, 2);
    struct end *first = net_open(&net, 0, 1, 100);
    net_run(&net, net.now + NS_PER_S);
    cr_assert(first->was_closed);
    struct session *session = forge_session(&net, 0, 1);
    uint64_t number = session->wire_id_next;
    session->wire_id_next += count;
    for (uint64_t i = 0; i < count; i++) {
        session_say_reset(forge_session(&net, 1, 0), number + i, WIRE_RESET_APPLICATION, net.now);
    }
    net_run(&net, net.now + 100 * NS_PER_S);
    struct end *end = net_open(&net, 0, 1, 100);
    end->finishes = false;
    net_run(&net, net.now + NS_PER_S);
    net.channels[1][0].is_cut = true;
    end->to_write = 1000;
    end->finishes = true;
    net_run(&net, net.now + 900 * NS_PER_MS);
    net.channels[1][0].is_cut = false;
    net_run(&net, net.now + 20 * NS_PER_S);
    cr_expect(end->was_closed && !end->was_reset, "after %u", count);
    net_fini(&net);
}

Test(streams, forgotten_resets_spoil_no_good_end_of_a_newer_stream) {
    end_well_after_resets(1);
    end_well_after_resets(300);
}
