/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/core/victim.h"

#include <stdio.h>

#include "base/check.h"

static const uint8_t session_psk[WEFT_KEY_BYTES] = {7};

#define ROOM ((size_t)1 << 20)

static void on_random(void *ctx, uint8_t *out, size_t len) {
    struct victim *victim = ctx;
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)rng_next(&victim->rng);
    }
}

static void on_trace(void *ctx, const struct trace_event *event) {
    struct victim *victim = ctx;
    (void)snprintf(victim->traced, sizeof victim->traced, "%s", event->name);
}

void victim_init(struct victim *victim) {
    uint8_t seed[32] = {1};
    enum weft_err err = noise_setup();
    ASSERT(err == WEFT_OK);
    *victim = (struct victim){.now = NS_PER_S};
    rng_init(&victim->rng, seed);
    for (size_t i = 0; i <= VICTIM_PEERS; i++) {
        seed[0]++;
        identity_from_seed(&victim->ids[i], seed);
    }
    core_config_defaults(&victim->config);
    victim->config.identity = &victim->ids[VICTIM_SELF];
    victim->config.session_psk = session_psk;
    victim->config.host = (struct host){.ctx = victim, .random = on_random, .trace = on_trace};
    victim->config.name = "victim";
    victim->config.software = "test";
    victim->config.incarnation = 1;
    victim->config.instance = VICTIM_INSTANCE;
}

void victim_start(struct victim *victim) {
    enum weft_err err = core_new(&victim->config, victim->now, &victim->core);
    ASSERT(err == WEFT_OK);
    victim_drain(victim);
}

void victim_fini(struct victim *victim) {
    core_free(victim->core);
    for (size_t i = 0; i < victim->kept_count; i++) {
        record_unref(victim->kept[i]);
    }
}

struct link_id link_of(uint64_t value) {
    return (struct link_id){.value = value};
}

const struct weft_peer_id *victim_peer(const struct victim *victim, size_t peer) {
    return &victim->ids[peer].id;
}

static void on_stream(struct victim *victim, const struct stream_event *event) {
    if (event->kind == STREAM_EVENT_RESET || event->kind == STREAM_EVENT_CLOSED) {
        victim->reset_count++;
        streams_release(core_streams(victim->core), event->stream);
    }
}

static void keep(struct victim *victim, struct record *record) {
    if (victim->kept_count < VICTIM_KEPT_MAX) {
        victim->kept[victim->kept_count++] = record_ref(record);
    }
}

static void perform(struct victim *victim, const struct action *action) {
    switch (action->kind) {
    case ACTION_SEND:
        victim->sent[action->frame->data[0]]++;
        victim->sent_on = action->link;
        break;
    case ACTION_CLOSE:
        victim->close_count++;
        victim->closed = action->link;
        victim->close_reason = action->reason;
        break;
    case ACTION_DIAL:
        victim->dial_count++;
        victim->dial_token = action->token;
        break;
    case ACTION_STREAM:
        on_stream(victim, &action->stream_event);
        break;
    case ACTION_DATAGRAM:
        break;
    case ACTION_PONG:
        victim->pong = action->token;
        break;
    case ACTION_LEFT:
        victim->has_left = true;
        break;
    case ACTION_SAVE_RECORD:
        keep(victim, action->record);
        break;
    case ACTION_FORGET_RECORD:
        victim->forgotten_count++;
        break;
    case ACTION_SAVE_INCARNATION:
        break;
    }
}

void victim_drain(struct victim *victim) {
    struct action action;
    while (core_next_action(victim->core, &action)) {
        perform(victim, &action);
        action_release(&action);
    }
}

void victim_wait(struct victim *victim, weft_ns span) {
    weft_ns end = victim->now + span;
    while (victim->now < end) {
        weft_ns next = core_deadline(victim->core);
        next = next > victim->now + NS_PER_US ? next : victim->now + NS_PER_US;
        victim->now = next < end ? next : end;
        core_tick(victim->core, victim->now);
        victim_drain(victim);
    }
}

void victim_up(struct victim *victim, uint64_t link, size_t peer, enum link_role role) {
    const size_t room[WIRE_CLASS_COUNT] = {ROOM, ROOM, ROOM};
    const struct core_link_info info = {.role = role,
                                        .key = victim->ids[peer].key,
                                        .name = "peer",
                                        .incarnation = 1,
                                        .instance = 1 + peer,
                                        .remote = "192.0.2.1:9338"};
    core_link_up(victim->core, link_of(link), &info, victim->now);
    core_link_room(victim->core, link_of(link), room, victim->now);
    victim_drain(victim);
}

void victim_frame(struct victim *victim, uint64_t link, enum wire_kind kind, struct span body,
                  struct span payload) {
    const struct wire_frame frame = {.kind = (uint8_t)kind, .body = body};
    core_link_frame(victim->core, link_of(link), &frame, loan_of(payload), victim->now);
    victim_drain(victim);
}

void victim_record(struct victim *victim, uint64_t link, size_t owner,
                   const struct wire_record *fields) {
    uint8_t bytes[4096];
    uint8_t list[4100];
    uint8_t signature[SIGNATURE_BYTES];
    struct wire_record record = *fields;
    record.owner = victim->ids[owner].key;
    record.incarnation = record.incarnation > 0 ? record.incarnation : 1;
    record.version = record.version > 0 ? record.version : ++victim->version;
    struct wire_writer writer = wire_writer_of(bytes, sizeof bytes);
    wire_record_encode_unsigned(&writer, &record);
    identity_sign(&victim->ids[owner], "weft record 1", wire_writer_view(&writer), signature);
    wire_write_bytes(&writer, span_of(signature, sizeof signature));
    struct wire_writer records = wire_writer_of(list, sizeof list);
    wire_write_u16(&records, (uint16_t)writer.len);
    wire_write_bytes(&records, wire_writer_view(&writer));
    ASSERT(!writer.has_failed && !records.has_failed);
    victim_frame(victim, link, WIRE_RECORDS, wire_writer_view(&records), (struct span){0});
}

static void add_sorted(struct wire_peer_link *links, size_t count,
                       const struct wire_peer_link *link) {
    size_t at = count;
    for (; at > 0 && weft_peer_id_compare(&link->peer, &links[at - 1].peer) < 0; at--) {
        links[at] = links[at - 1];
    }
    links[at] = *link;
}

void victim_peer_record(struct victim *victim, uint64_t link, size_t owner, const size_t *peers,
                        size_t peer_count, uint32_t cost_us) {
    uint8_t body[2048];
    char name[16];
    struct wire_peer_link links[VICTIM_PEERS + 1];
    for (size_t i = 0; i < peer_count; i++) {
        add_sorted(links, i,
                   &(struct wire_peer_link){.peer = victim->ids[peers[i]].id, .cost_us = cost_us});
    }
    (void)snprintf(name, sizeof name, "peer-%zu", owner);
    const struct wire_peer_source source = {.name = name,
                                            .software = "test",
                                            .instance = 1 + owner,
                                            .links = links,
                                            .link_count = (uint32_t)peer_count};
    struct wire_writer writer = wire_writer_of(body, sizeof body);
    wire_peer_body_encode(&writer, &source);
    victim_record(
        victim, link, owner,
        &(struct wire_record){.kind = WIRE_RECORD_PEER, .body = wire_writer_view(&writer)});
}

void victim_service_record(struct victim *victim, uint64_t link, size_t owner, const char *key) {
    uint8_t body[256];
    const struct wire_endpoint endpoint = {.address = span_of_text("127.0.0.1:80"), .weight = 1};
    struct wire_writer writer = wire_writer_of(body, sizeof body);
    wire_service_body_encode(&writer, WIRE_PROTOCOL_TCP, &endpoint, 1);
    victim_record(victim, link, owner,
                  &(struct wire_record){.kind = WIRE_RECORD_SERVICE,
                                        .key = span_of_text(key),
                                        .body = wire_writer_view(&writer)});
}

void victim_join(struct victim *victim, uint64_t link, size_t peer, uint32_t cost_us) {
    const size_t us[] = {VICTIM_SELF};
    victim_up(victim, link, peer, LINK_ACCEPTED);
    victim_peer_record(victim, link, peer, us, 1, cost_us);
    victim_wait(victim, 100 * NS_PER_MS);
}

struct core_status victim_status(const struct victim *victim) {
    struct core_status status;
    core_get_status(victim->core, &status);
    return status;
}
