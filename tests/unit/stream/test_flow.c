/* SPDX-License-Identifier: Apache-2.0
 *
 * Windows, credit, fairness, bounds of memory, and the measures D3, D8, D9.
 */
#include <criterion/criterion.h>

#include "forge.h"
#include "heap.h"
#include "stream/receive.h"
#include "stream/stream.h"
#include "stream/window.h"

static struct net net;

Test(flow, a_slow_reader_stalls_nobody_else) {
    net_init(&net, 1, 2);
    net.channels[0][1].bytes_per_s = 12500000;
    struct end *slow = net_open(&net, 0, 1, 30000000);
    net_run(&net, net.now + 10 * NS_PER_MS);
    struct end *slow_far = net_far_end(&net, slow);
    slow_far->read_at_most = slow_far->read;
    struct end *fast = net_open(&net, 0, 1, 10000000);
    net_run(&net, net.now + 1200 * NS_PER_MS);
    cr_assert(fast->was_closed, "10 MB over 100 Mbit/s in 0.8 s");
    const struct receive_side *receive = &forge_stream(slow_far)->receive;
    cr_assert_leq(receive->arrived - receive->consumed, receive->window);
    slow_far->read_at_most = UINT64_MAX;
    net_pump(&net);
    cr_assert(net_settle(&net, 60 * NS_PER_S));
    cr_assert(slow->was_closed);
    net_fini(&net);
}

Test(flow, the_receive_window_grows_only_for_fast_readers) {
    net_init(&net, 2, 2);
    net.channels[0][1].delay = net.channels[1][0].delay = 50 * NS_PER_MS;
    struct end *end = net_open(&net, 0, 1, 60000000);
    net_run(&net, net.now + 3 * NS_PER_S);
    struct end *far = net_far_end(&net, end);
    cr_assert(far->was_closed || forge_stream(far)->receive.window >= 4 * 1024 * 1024);
    net_fini(&net);
    net_init(&net, 2, 2);
    net.channels[0][1].delay = net.channels[1][0].delay = NS_PER_MS;
    net.channels[0][1].bytes_per_s = 1000000;
    end = net_open(&net, 0, 1, 10000000);
    net_run(&net, net.now + 5 * NS_PER_S);
    far = net_far_end(&net, end);
    cr_assert_eq(forge_stream(far)->receive.window, 256 * 1024);
    net_fini(&net);
}

Test(flow, granted_credit_stays_within_the_budget_of_the_node) {
    net_init(&net, 3, 2);
    net.nodes[1].config.receive_bytes_max = 4 * 1024 * 1024;
    net_restart(&net, 1, 77);
    for (int i = 0; i < 100; i++) {
        struct end *end = net_open(&net, 0, 1, 300000);
        end->finishes = false;
    }
    net_run(&net, net.now + 20 * NS_PER_MS);
    for (size_t i = 0; i < net.end_count; i++) {
        net.ends[i].read_at_most = net.ends[i].read;
    }
    net_run(&net, net.now + NS_PER_S);
    cr_assert_leq(net.nodes[1].streams->granted_bytes, 4 * 1024 * 1024 + 100 * 16384);
    for (size_t i = 0; i < net.end_count; i++) {
        net.ends[i].read_at_most = UINT64_MAX;
        net.ends[i].finishes = true;
    }
    net_pump(&net);
    cr_assert(net_settle(&net, 60 * NS_PER_S));
    cr_assert_eq(net.nodes[1].streams->granted_bytes, 0);
    net_fini(&net);
}

Test(flow, streams_take_turns) {
    net_init(&net, 4, 2);
    net.channels[0][1].bytes_per_s = 12500000;
    struct end *ends[10];
    for (unsigned i = 0; i < 10; i++) {
        ends[i] = net_open(&net, 0, 1, 10000000);
    }
    net_run(&net, net.now + 4 * NS_PER_S);
    double sum = 0;
    double squares = 0;
    for (unsigned i = 0; i < 10; i++) {
        double read = (double)net_far_end(&net, ends[i])->read;
        sum += read;
        squares += read * read;
    }
    cr_assert_geq(sum * sum / (10 * squares), 0.98, "Jain's index");
    net_fini(&net);
}

/* D3: full bandwidth after 20 round trips. */
static void measure_growth(weft_ns one_way) {
    net_init(&net, 5, 2);
    net.channels[0][1].delay = net.channels[1][0].delay = one_way;
    net.channels[0][1].bytes_per_s = 12500000;
    struct end *end = net_open(&net, 0, 1, 200000000);
    net_run(&net, net.now + 40 * one_way);
    struct end *far = net_far_end(&net, end);
    uint64_t before = far->read;
    net_run(&net, net.now + 2 * NS_PER_S);
    cr_assert_geq(far->read - before, 22500000, "%llu of 25,000,000 bytes at %llu ms",
                  (unsigned long long)(far->read - before),
                  (unsigned long long)(2 * one_way / NS_PER_MS));
    net_fini(&net);
}

Test(flow, fills_a_path_after_twenty_round_trips) {
    measure_growth(NS_PER_MS / 2);
    measure_growth(5 * NS_PER_MS);
    measure_growth(50 * NS_PER_MS);
    measure_growth(150 * NS_PER_MS);
}

/* How long an echo of 64 bytes takes beside bulk of the same session, the far end's delay of acks
 * included. */
static weft_ns echo_beside_bulk(struct end *ping) {
    weft_ns from = net.now;
    uint64_t upto = ping->read + 64;
    ping->to_write += 64;
    while (ping->read < upto) {
        cr_assert_lt(net.now, from + 10 * NS_PER_S);
        net_run(&net, net.now + NS_PER_MS);
    }
    return net.now - from;
}

Test(flow, a_thin_stream_does_not_wait_for_room_in_a_full_window) {
    net_init(&net, 5, 2);
    net.channels[0][1].delay = net.channels[1][0].delay = 100 * NS_PER_MS;
    net.nodes[1].echoes = true;
    struct end *ping = net_open(&net, 0, 1, 64);
    ping->finishes = false;
    net_run(&net, net.now + NS_PER_S);
    cr_assert_eq(ping->read, 64);
    net.nodes[1].echoes = false;
    for (int i = 0; i < 4; i++) {
        (void)net_open(&net, 0, 1, 100000000);
    }
    const struct session *session = forge_session(&net, 0, 1);
    while (session->in_flight_bytes < session->window_bytes) {
        net_run(&net, net.now + NS_PER_MS);
    }
    cr_assert_leq(echo_beside_bulk(ping), 202 * NS_PER_MS);
    net_fini(&net);
}

Test(flow, a_packet_is_what_leaves_in_a_millisecond) {
    struct session session = {.window_bytes = 1000000};
    cr_assert_eq(window_packet_bytes(&session), DATA_BYTES_MAX, "nothing is known yet");
    session.rtt = 40 * NS_PER_MS;
    cr_assert_eq(window_packet_bytes(&session), 25000);
    session.rtt = NS_PER_S;
    cr_assert_eq(window_packet_bytes(&session), 16384);
    session.rtt = NS_PER_MS;
    cr_assert_eq(window_packet_bytes(&session), DATA_BYTES_MAX);
    session.window_bytes = WINDOW_BYTES_MAX;
    session.rtt = 1;
    cr_assert_eq(window_packet_bytes(&session), DATA_BYTES_MAX);
}

Test(flow, thin_streams_leave_bulk_its_window) {
    net_init(&net, 5, 2);
    net.channels[0][1].delay = net.channels[1][0].delay = 100 * NS_PER_MS;
    for (int i = 0; i < 100; i++) {
        struct end *end = net_open(&net, 0, 1, 64);
        end->finishes = false;
    }
    net_run(&net, net.now + NS_PER_S);
    const struct session *session = forge_session(&net, 0, 1);
    for (size_t i = 0; i < net.end_count; i++) {
        net.ends[i].to_write += net.ends[i].node->index == 0 ? 16000 : 0;
    }
    net_pump(&net);
    cr_assert_gt(session->thin_bytes, session->window_bytes / 4 - 16384);
    cr_assert_leq(session->thin_bytes, session->window_bytes / 4 + 16384);
    cr_assert_gt(session->in_flight_bytes, session->window_bytes / 2, "the rest take turns");
    net_run(&net, net.now + 20 * NS_PER_S);
    cr_assert_eq(session->thin_bytes, 0);
    cr_assert_eq(session->in_flight_bytes, 0);
    net_fini(&net);
}

Test(flow, a_mark_takes_a_share_off_the_window_once_a_round_trip) {
    net_init(&net, 6, 2);
    net.channels[0][1].delay = net.channels[1][0].delay = 10 * NS_PER_MS;
    net.channels[0][1].bytes_per_s = 12500000;
    (void)net_open(&net, 0, 1, 30000000);
    net_run(&net, net.now + 300 * NS_PER_MS);
    uint64_t before = forge_session(&net, 0, 1)->window_bytes;
    net.channels[0][1].mark_permille = 1000;
    weft_ns start = net.now;
    while (forge_session(&net, 0, 1)->window_bytes >= before) {
        net_run(&net, net.now + NS_PER_MS);
        cr_assert_lt(net.now, start + 5 * NS_PER_S);
    }
    uint64_t after = forge_session(&net, 0, 1)->window_bytes;
    cr_assert_geq(after, before * 84 / 100);
    cr_assert_leq(after, before * 9 / 10);
    cr_assert(!forge_session(&net, 0, 1)->is_slow_start);
    net_fini(&net);
}

/* D9: jitter alone proves no loss. */
Test(flow, nothing_is_resent_where_nothing_is_reordered) {
    for (uint64_t seed = 0; seed < 10; seed++) {
        net_init(&net, seed, 2);
        for (unsigned i = 0; i < 2; i++) {
            net.channels[i][1 - i].delay = 10 * NS_PER_MS;
            net.channels[i][1 - i].jitter = 100 * NS_PER_MS;
            net.channels[i][1 - i].bytes_per_s = 5000000;
        }
        net.nodes[1].echoes = true;
        for (unsigned i = 0; i < 4; i++) {
            (void)net_open(&net, 0, 1, 2000000);
        }
        cr_assert(net_settle(&net, 600 * NS_PER_S));
        cr_assert_eq(streams_count(net.nodes[0].streams).bytes_resent, 0);
        cr_assert_eq(streams_count(net.nodes[1].streams).bytes_resent, 0);
        net_fini(&net);
    }
}

/* D8, T16: reading never waits for writing. */
static void echo_with(uint64_t seed, unsigned count, size_t window, size_t buffer) {
    net_init(&net, seed, 2);
    for (unsigned i = 0; i < 2; i++) {
        net.nodes[i].config.window_bytes = window;
        net.nodes[i].config.window_bytes_max = window;
        net.nodes[i].config.send_bytes_max = buffer;
        net.nodes[i].echoes = true;
    }
    net_restart(&net, 0, 50);
    net_restart(&net, 1, 51);
    for (unsigned i = 0; i < count; i++) {
        (void)net_open(&net, i % 2, 1 - i % 2, 20 * window + i);
    }
    cr_assert(net_settle(&net, 3600 * NS_PER_S), "%u streams, window %zu", count, window);
    for (size_t i = 0; i < net.end_count; i++) {
        cr_assert(net.ends[i].was_closed);
    }
    net_fini(&net);
}

Test(flow, echoes_progress_with_tiny_windows) {
    echo_with(1, 1, 1, 1);
    echo_with(2, 1, 10000, 5000);
    echo_with(3, 10, 100, 7);
    echo_with(4, 100, 1000, 1000);
}

Test(flow, a_thousand_echoes_progress) {
    echo_with(5, 1000, 64, 32);
}

static void open_and_close(unsigned count) {
    while (count > 0) {
        unsigned now = count < 500 ? count : 500;
        net.end_count = 0;
        for (unsigned i = 0; i < now; i++) {
            (void)net_open(&net, i % 2, 1 - i % 2, 100);
        }
        cr_assert(net_settle(&net, 600 * NS_PER_S));
        memset(net.ends, 0, sizeof net.ends);
        count -= now;
    }
}

Test(flow, ten_thousand_streams_leave_no_memory_behind) {
    net_init(&net, 7, 2);
    open_and_close(1000);
    size_t before = heap_bytes();
    open_and_close(10000);
    size_t after = heap_bytes();
    cr_assert_leq(after, before + 8192, "%zu bytes more", after - before);
    cr_assert_eq(net.nodes[0].streams->send_bytes, 0);
    net_fini(&net);
}

Test(flow, an_idle_stream_is_small) {
    net_init(&net, 8, 2);
    struct end *first = net_open(&net, 0, 1, 100);
    first->finishes = false;
    net_run(&net, net.now + NS_PER_S);
    size_t before = heap_bytes();
    for (unsigned i = 0; i < 1000; i++) {
        net_open(&net, 0, 1, 100)->finishes = false;
    }
    net_run(&net, net.now + NS_PER_S);
    cr_assert_eq(streams_count(net.nodes[1].streams).open, 1001);
    cr_assert_leq(heap_bytes() - before, 1000 * 2 * 2048, "%zu bytes at both ends of a stream",
                  (heap_bytes() - before) / 1000);
    net_fini(&net);
}

Test(flow, acks_are_few) {
    net_init(&net, 9, 2);
    (void)net_open(&net, 0, 1, 30000000);
    cr_assert(net_settle(&net, 60 * NS_PER_S));
    cr_assert_leq(net.channels[1][0].packets, net.channels[0][1].packets);
    net_fini(&net);
}

Test(flow, a_blocked_link_gets_no_bytes_but_small_parts) {
    net_init(&net, 10, 2);
    struct end *end = net_open(&net, 0, 1, 5000000);
    net_run(&net, net.now + 10 * NS_PER_MS);
    const struct weft_peer_id *far = &net.nodes[1].identity.id;
    streams_block(net.nodes[0].streams, far, true);
    net_run(&net, net.now + 100 * NS_PER_MS);
    uint64_t before = net.channels[0][1].bytes;
    cr_assert_eq(streams_ping(net.nodes[0].streams, far, &net.nodes[1].identity.key, 5, net.now),
                 WEFT_OK);
    net_run(&net, net.now + 100 * NS_PER_MS);
    cr_assert_eq(net.nodes[0].pong_count, 1);
    cr_assert_lt(net.channels[0][1].bytes - before, 1000);
    streams_block(net.nodes[0].streams, far, false);
    cr_assert(net_settle(&net, 60 * NS_PER_S));
    cr_assert(end->was_closed);
    net_fini(&net);
}

Test(flow, all_send_buffers_together_have_a_bound) {
    net_init(&net, 11, 2);
    net.nodes[0].config.send_bytes_total_max = 300000;
    net_restart(&net, 0, 60);
    for (unsigned i = 0; i < 20; i++) {
        (void)net_open(&net, 0, 1, 200000);
    }
    weft_ns end = net.now + 60 * NS_PER_S;
    while (net.now < end && streams_count(net.nodes[0].streams).open > 0) {
        net_run(&net, net.now + NS_PER_MS);
        cr_assert_leq(net.nodes[0].streams->send_bytes, 300000);
    }
    cr_assert(net_settle(&net, NS_PER_S));
    net_fini(&net);
}

/* Sixty-five streams once held all of the common memory, and each byte that was acknowledged went
 * to one of them again. */
Test(flow, who_writes_late_finds_room_beside_those_who_hoard) {
    net_init(&net, 12, 2);
    net.nodes[0].config.send_bytes_total_max = 2000000;
    net.nodes[0].config.send_bytes_max = 200000;
    net_restart(&net, 0, 60);
    net.may_fall_short = true;
    net.channels[0][1].delay = net.channels[1][0].delay = 10 * NS_PER_MS;
    for (unsigned i = 0; i < 40; i++) {
        (void)net_open(&net, 0, 1, 100000000);
    }
    net_run(&net, net.now + NS_PER_S);
    struct end *late = net_open(&net, 0, 1, 10000);
    net_run(&net, net.now + 100 * NS_PER_MS);
    cr_assert_eq(net_far_end(&net, late)->read, 10000);
    net_fini(&net);
}

/* Whole blocks of which the far end had taken a part once filled the common memory, with 64 stalled
 * readers those of a node with 12 MiB. Opened one by one, each takes as much as it ever may. */
static void serve_beside(unsigned count, uint64_t least) {
    net_init(&net, 13, 2);
    net.may_fall_short = true;
    net.nodes[1].answer_bytes = 8000000;
    net.nodes[1].config.send_bytes_total_max = (size_t)12 * 1024 * 1024;
    net.nodes[1].config.receive_bytes_max = (size_t)12 * 1024 * 1024;
    net_restart(&net, 1, 61);
    net.channels[0][1].delay = net.channels[1][0].delay = NS_PER_MS;
    for (unsigned i = 0; i < count; i++) {
        net_open(&net, 0, 1, 0)->read_at_most = 1;
        net_run(&net, net.now + 50 * NS_PER_MS);
    }
    struct end *late = net_open(&net, 0, 1, 0);
    net_run(&net, net.now + NS_PER_S);
    cr_assert_geq(late->read, least, "%llu bytes beside %u", (unsigned long long)late->read, count);
    net_fini(&net);
}

Test(flow, stalled_readers_leave_room_in_the_common_buffers) {
    serve_beside(3, 8000000);
    serve_beside(24, 2000000);
    serve_beside(64, 2000000);
    serve_beside(400, 50000);
}

/* D7: what one stream to node 1 gets in two seconds, beside so many from node 0 to there whose
 * readers stand still. All bounds are a sixteenth of the default, and so are the paths:
 * 6 Mbit/s. */
static uint64_t moved_beside(unsigned stalled, unsigned from) {
    net_init(&net, 14, 3);
    net.may_fall_short = true;
    for (unsigned i = 0; i < 3; i++) {
        struct streams_config *config = &net.nodes[i].config;
        config->window_bytes /= 16;
        config->window_bytes_max /= 16;
        config->receive_bytes_max /= 16;
        config->send_bytes_max /= 16;
        config->send_bytes_total_max /= 16;
        net_restart(&net, i, 70 + i);
        net.channels[i][1].delay = net.channels[1][i].delay = 5 * NS_PER_MS;
        net.channels[i][1].bytes_per_s = 12500000 / 16;
    }
    for (unsigned i = 0; i < stalled; i++) {
        struct end *opened = net_open(&net, 0, 1, 1000000);
        while (net_far_end(&net, opened) == NULL) {
            net_run(&net, net.now + 6 * NS_PER_MS);
        }
        net_far_end(&net, opened)->read_at_most = 1;
    }
    struct end *end = net_open(&net, from, 1, 10000000);
    net_run(&net, net.now + NS_PER_S);
    uint64_t before = net_far_end(&net, end)->read;
    net_run(&net, net.now + 2 * NS_PER_S);
    uint64_t moved = net_far_end(&net, end)->read - before;
    net_fini(&net);
    return moved;
}

static void expect_little_cost(unsigned from) {
    uint64_t alone = moved_beside(0, from);
    uint64_t beside = moved_beside(1000, from);
    cr_assert_geq(beside, alone / 100 * 95, "%llu bytes, and alone %llu",
                  (unsigned long long)beside, (unsigned long long)alone);
}

Test(flow, a_thousand_stalled_readers_cost_another_node_little) {
    expect_little_cost(2);
}

/* They once filled the common memory of their node, and left the next stream there 1.5 %. */
Test(flow, a_thousand_stalled_readers_cost_their_own_node_little) {
    expect_little_cost(0);
}

/* Credit and acknowledgements are the peer's word. */
Test(flow, a_peer_that_acknowledges_nothing_leaves_half_of_the_memory_to_others) {
    net_init(&net, 16, 3);
    net.may_fall_short = true;
    net.nodes[0].config.send_bytes_total_max = 4000000;
    net_restart(&net, 0, 63);
    net.channels[0][2].delay = net.channels[2][0].delay = 10 * NS_PER_MS;
    net.channels[0][1].delay = net.channels[1][0].delay = 10 * NS_PER_MS;
    for (unsigned i = 0; i < 40; i++) {
        struct end *silent = net_open(&net, 0, 1, 100000000);
        net_run(&net, net.now + 60 * NS_PER_MS);
        stream_of(net.nodes[0].streams, silent->stream)->send.credit = UINT64_MAX / 2;
    }
    net.channels[1][0].is_cut = true;
    net_run(&net, net.now + NS_PER_S);
    cr_assert_leq(net.nodes[0].streams->send_bytes, 2000000 + 40);
    struct end *end = net_open(&net, 0, 2, 2000000);
    net_run(&net, net.now + NS_PER_S);
    cr_assert_eq(net_far_end(&net, end)->read, 2000000);
    net_fini(&net);
}

/* While the common memory holds nothing but what waits for readers: each of them is served as soon
 * as its reader goes on, whatever was lost on the way. */
Test(flow, who_waited_for_a_reader_goes_on_with_it_though_the_memory_is_full) {
    struct end *ends[64];
    net_init(&net, 15, 2);
    net.may_fall_short = true;
    net.nodes[0].config.send_bytes_total_max = 300000;
    net_restart(&net, 0, 62);
    net.channels[0][1].delay = net.channels[1][0].delay = NS_PER_MS;
    for (unsigned i = 0; i < 64; i++) {
        ends[i] = net_open(&net, 0, 1, 400000);
        while (net_far_end(&net, ends[i]) == NULL) {
            net_run(&net, net.now + NS_PER_MS);
        }
        net_far_end(&net, ends[i])->read_at_most = 1;
    }
    net_run(&net, net.now + NS_PER_S);
    net.channels[0][1].loss_permille = net.channels[1][0].loss_permille = 50;
    for (unsigned i = 0; i < 64; i++) {
        net_far_end(&net, ends[i])->read_at_most = UINT64_MAX;
    }
    net_pump(&net);
    net_drop_flying(&net, 0, 1); /* all the credit that they just gave */
    cr_assert(net_settle(&net, 60 * NS_PER_S));
    for (unsigned i = 0; i < 64; i++) {
        cr_assert_eq(net_far_end(&net, ends[i])->read, 400000, "stream %u", i);
    }
    net_fini(&net);
}
