/* SPDX-License-Identifier: Apache-2.0
 *
 * The attacker's sessions: those of src/stream, so that all it sends is in order but for how much.
 */
#include "hostile/attacker.h"

#include <stdio.h>

#include "base/time.h"
#include "stream/datagrams.h"

#define OPEN_AT_ONCE 64
#define CALM_TURNS 20
#define CALM_MS 50
#define MEET_MS 5000
#define MEET_TURN_MS 5
#define FLOWS_MAX 1000000

static void hear_packet(void *ctx, const struct wire_frame *frame, struct span payload) {
    struct attacker *attacker = ctx;
    struct wire_unicast unicast;
    struct wire_carrier carrier;
    weft_ns now = insider_now();
    if (frame->kind == WIRE_UNICAST && wire_unicast_decode(frame->body, &unicast) == WEFT_OK) {
        streams_packet(attacker->streams, &unicast.source, &unicast.source, loan_of(unicast.packet),
                       false, now);
    } else if (frame->kind == WIRE_CARRIER &&
               wire_carrier_decode(frame->body, &carrier) == WEFT_OK) {
        streams_packet(attacker->streams, &carrier.source, &carrier.source, loan_of(payload), false,
                       now);
    }
}

static bool streams_ready(struct attacker *attacker, struct span secret) {
    if (attacker->streams != NULL) {
        return true;
    }
    struct streams_config config;
    streams_config_defaults(&config);
    config.identity = &attacker->insider.identity;
    config.host = &attacker->insider.host;
    noise_derive(secret.data, "weft session psk", attacker->session_psk);
    config.psk = attacker->session_psk;
    config.incarnation = 1;
    config.instance = 7;
    config.flows_max = FLOWS_MAX; /* so that none of ours is ended */
    attacker->insider.on_frame = hear_packet;
    attacker->insider.ctx = attacker;
    return streams_new(&config, &attacker->streams) == WEFT_OK;
}

static void send_packet(struct attacker *attacker, const struct stream_packet *packet) {
    struct insider *insider = &attacker->insider;
    static uint8_t plain[INSIDER_PLAIN_MAX];
    const struct span nothing = {.data = NULL, .len = 0};
    struct wire_writer writer = wire_writer_of(plain, sizeof plain);
    const struct wire_unicast unicast = {.travel = {.hops = WIRE_HOPS_MAX},
                                         .source = insider->identity.id,
                                         .destination = packet->destination,
                                         .packet = frame_view(packet->frame)};
    size_t begin = wire_frame_begin(&writer, WIRE_UNICAST, 0);
    wire_unicast_encode(&writer, &unicast);
    wire_frame_end(&writer, begin);
    for (unsigned i = 0; i < attacker->copies; i++) {
        (void)insider_send(insider, wire_writer_view(&writer), nothing);
    }
}

/* Lets the streams say and hear what they have. */
static void streams_pump(struct attacker *attacker) {
    struct stream_packet packet;
    struct stream_event event;
    weft_ns now = insider_now();
    streams_tick(attacker->streams, now);
    while (streams_next_packet(attacker->streams, now, &packet)) {
        send_packet(attacker, &packet);
        frame_unref(packet.frame);
    }
    (void)insider_listen(&attacker->insider, 0);
    while (streams_next_event(attacker->streams, &event)) {
        if (event.kind == STREAM_EVENT_MESSAGE) {
            frame_unref(event.payload);
        } else if (event.kind == STREAM_EVENT_PONG) {
            attacker->has_session = true;
        } else if (event.kind == STREAM_EVENT_RESET || event.kind == STREAM_EVENT_REFUSED) {
            streams_release(attacker->streams, event.stream);
        }
    }
}

/* Waits for a session with the victim: a stream that is over before there is one is never heard
 * of. */
static void meet(struct attacker *attacker) {
    struct insider *insider = &attacker->insider;
    weft_ns end = insider_now() + MEET_MS * NS_PER_MS;
    streams_route(attacker->streams, &insider->victim, STREAM_ROUTE_CHANGED, insider_now());
    if (streams_ping(attacker->streams, &insider->victim, &insider->victim_key, 1, insider_now()) !=
        WEFT_OK) {
        return;
    }
    while (!attacker->has_session && insider_now() < end && !insider->is_down) {
        streams_pump(attacker);
        (void)insider_listen(insider, MEET_TURN_MS);
    }
}

/* Opens streams, and resets them at once. */
static uint64_t open_some(struct attacker *attacker, struct span name) {
    const struct wire_part_open service = {
        .protocol = WIRE_PROTOCOL_TCP, .name_space = span_of_text("default"), .name = name};
    struct stream_id ids[OPEN_AT_ONCE];
    struct insider *insider = &attacker->insider;
    uint64_t count = 0;
    while (count < OPEN_AT_ONCE &&
           streams_open(attacker->streams, &insider->victim, &insider->victim_key, &service,
                        insider_now(), &ids[count]) == WEFT_OK) {
        count++;
    }
    streams_pump(attacker);
    for (uint64_t i = 0; i < count; i++) {
        streams_reset(attacker->streams, ids[i], WIRE_RESET_APPLICATION, insider_now());
    }
    streams_pump(attacker);
    return count;
}

/* Opens flows, and sends one datagram in each. */
static uint64_t flow_some(struct attacker *attacker, struct span name) {
    const struct datagram_service service = {.name_space = span_of_text("default"), .name = name};
    struct insider *insider = &attacker->insider;
    struct datagram_event event;
    struct flow_id flow;
    uint64_t count = 0;
    while (count < OPEN_AT_ONCE &&
           datagrams_open(attacker->streams, &insider->victim, &insider->victim_key, &service,
                          insider_now(), &flow) == WEFT_OK) {
        datagrams_send(attacker->streams, flow, span_of_text("x"), insider_now());
        count++;
    }
    streams_pump(attacker);
    while (datagrams_next_event(attacker->streams, &event)) {
        frame_unref(event.payload);
    }
    return count;
}

/* COUNT MS SERVICE SECRET: so many rounds to that service, then calm, so that the last of it
 * arrives. */
static void flood(struct attacker *attacker,
                  uint64_t (*round)(struct attacker *attacker, struct span name)) {
    struct insider *insider = &attacker->insider;
    uint64_t count = attacker_number(attacker, 1);
    uint64_t sent = 0;
    if (!streams_ready(attacker, attacker_hex(attacker, 4, 0))) {
        (void)printf("down no streams\n");
        return;
    }
    meet(attacker);
    weft_ns end = attacker_end(attacker, 2);
    while (sent < count && insider_now() < end && !insider->is_down) {
        sent += round(attacker, span_of_text(attacker->words[3]));
    }
    for (unsigned i = 0; i < CALM_TURNS && !insider->is_down; i++) {
        streams_pump(attacker);
        (void)insider_listen(insider, CALM_MS);
    }
    (void)printf("sent %llu\n", (unsigned long long)sent);
}

void do_opens(struct attacker *attacker) {
    flood(attacker, open_some);
}

void do_flows(struct attacker *attacker) {
    flood(attacker, flow_some);
}
