/* SPDX-License-Identifier: Apache-2.0
 *
 * The whole core against a script: links come and go, peers with valid keys send frames of every
 * kind (as the script says, or well formed and signed around bytes of the script), the application
 * calls, time passes. What the core wants done is taken and judged.
 */
#include "base/check.h"
#include "base/time.h"
#include "core/core.h"
#include "fuzz/fuzz.h"
#include "gossip/recordset.h"

static const uint8_t session_psk[WEFT_KEY_BYTES] = {7};

#define PEERS 6
#define LINKS_MAX 16
#define STEPS_MAX 512
#define STREAMS_MAX 8
#define ROOM_MAX ((size_t)1 << 20)
#define WITH_DELTA 0x40 /* a flag of the script's records that the protocol has not */

enum step {
    STEP_UP,
    STEP_DOWN,
    STEP_FRAME,     /* kind, flags and body of the script */
    STEP_PEER,      /* a signed record of a peer: its links to others */
    STEP_RECORD,    /* a signed record of any kind with a body of the script, perhaps a delta */
    STEP_BROADCAST, /* signed, on a channel */
    STEP_PACKET,    /* unicast or carrier to us or another */
    STEP_HEARTBEAT,
    STEP_ROOM,
    STEP_WAIT,
    STEP_CALL,    /* the application asks for something */
    STEP_DIALLED, /* the last dial failed, or came up as a link */
    STEP_COUNT,
};

struct play {
    struct wire_reader script;
    struct rng rng;
    struct identity self;
    struct identity peers[PEERS];
    struct core *core;
    weft_ns now;
    bool is_up[LINKS_MAX];
    uint64_t next_id;
    struct link_id links[LINKS_MAX];
    size_t owner[LINKS_MAX];
    uint64_t dial;
    size_t stream_count;
    struct stream_id streams[STREAMS_MAX];
    struct flow_id flow; /* the last one opened */
    uint64_t versions;
};

static void on_trace(void *ctx, const struct trace_event *event) {
    (void)ctx;
    fuzz_touch(span_of_text(event->name));
    fuzz_touch(span_of_text(event->detail));
}

static void on_unicast(void *ctx, const struct weft_peer_id *source, struct span payload) {
    (void)ctx;
    fuzz_touch(span_of(source, sizeof *source));
    fuzz_touch(payload);
}

static bool on_broadcast(void *ctx, const struct weft_peer_id *source, struct span payload) {
    on_unicast(ctx, source, payload);
    return payload.len % 2 == 0;
}

static struct frame *on_complete(void *ctx) {
    (void)ctx;
    return frame_copy(span_of_text("state"));
}

static struct frame *on_gossip(void *ctx, struct span payload) {
    (void)ctx;
    return payload.len % 2 == 0 ? frame_copy(payload) : NULL;
}

static const struct gossiper gossiper = {
    .unicast = on_unicast, .broadcast = on_broadcast, .complete = on_complete, .gossip = on_gossip};

static size_t find_link(const struct play *play, struct link_id link) {
    for (size_t i = 0; i < LINKS_MAX; i++) {
        if (play->is_up[i] && play->links[i].value == link.value) {
            return i;
        }
    }
    return LINKS_MAX;
}

static void forget_stream(struct play *play, struct stream_id stream) {
    for (size_t i = 0; i < play->stream_count; i++) {
        if (play->streams[i].value == stream.value) {
            play->streams[i] = play->streams[--play->stream_count];
            return;
        }
    }
}

static void on_stream(struct play *play, const struct stream_event *event) {
    struct streams *streams = core_streams(play->core);
    if (event->kind == STREAM_EVENT_INCOMING) {
        streams_accept(streams, event->stream, play->now);
    } else if (event->kind == STREAM_EVENT_RESET || event->kind == STREAM_EVENT_CLOSED) {
        forget_stream(play, event->stream);
        streams_release(streams, event->stream);
    } else {
        struct span bytes = streams_peek(streams, event->stream);
        fuzz_touch(bytes);
        streams_consume(streams, event->stream, bytes.len, play->now);
    }
}

/* Who comes in is greeted once; answers are only looked at. */
static void on_datagram(struct play *play, const struct datagram_event *event) {
    struct weft_peer_id peer;
    struct datagram_service service;
    if (event->kind == DATAGRAM_EVENT_INCOMING &&
        datagrams_look(core_streams(play->core), event->flow, &peer, &service)) {
        fuzz_touch(service.name);
        core_datagram_send(play->core, event->flow, span_of_text("welcome"), play->now);
    } else if (event->kind == DATAGRAM_EVENT_DATA) {
        fuzz_touch(frame_view(event->payload));
    }
}

/* What is sent must be a whole frame; what is closed or sent on must be a link that is up. */
static void check_send(const struct play *play, const struct action *action) {
    struct wire_reader reader = wire_reader_of(frame_view(action->frame));
    struct wire_frame frame;
    ASSERT(find_link(play, action->link) < LINKS_MAX);
    ASSERT(wire_frame_next(&reader, &frame) == WEFT_OK && wire_reader_done(&reader));
    const struct wire_type *type = wire_type_of(frame.kind);
    union wire_any message;
    ASSERT(type != NULL && type->decode(frame.body, &message) == WEFT_OK);
    ASSERT((frame.kind == WIRE_CARRIER) == (action->payload != NULL));
}

static void perform(struct play *play, const struct action *action) {
    switch (action->kind) {
    case ACTION_SEND:
        check_send(play, action);
        break;
    case ACTION_CLOSE:
        ASSERT(find_link(play, action->link) < LINKS_MAX && action->text != NULL);
        break;
    case ACTION_DIAL:
        fuzz_touch(span_of_text(action->endpoint));
        play->dial = action->token;
        break;
    case ACTION_STREAM:
        on_stream(play, &action->stream_event);
        break;
    case ACTION_SAVE_RECORD:
    case ACTION_FORGET_RECORD:
    case ACTION_SAVE_INCARNATION:
    case ACTION_DATAGRAM:
        on_datagram(play, &action->datagram_event);
        break;
    case ACTION_PONG:
    case ACTION_LEFT:
        break;
    }
}

static void drain(struct play *play) {
    struct action action;
    while (core_next_action(play->core, &action)) {
        perform(play, &action);
        action_release(&action);
    }
}

static void bring_up(struct play *play, uint64_t token) {
    size_t at = 0;
    while (at < LINKS_MAX && play->is_up[at]) {
        at++;
    }
    if (at == LINKS_MAX) {
        return;
    }
    size_t peer = wire_read_u8(&play->script) % (PEERS + 1);
    const struct core_link_info info = {
        .role = token != 0 ? LINK_DIALLED : LINK_ACCEPTED,
        .dial_token = token,
        .key = peer < PEERS ? play->peers[peer].key : play->self.key,
        .name = "peer",
        .incarnation = 1 + wire_read_u8(&play->script),
        .instance = wire_read_u8(&play->script),
        .remote = "192.0.2.1:1",
    };
    play->links[at] = (struct link_id){.value = ++play->next_id};
    play->is_up[at] = true;
    play->owner[at] = peer < PEERS ? peer : 0;
    core_link_up(play->core, play->links[at], &info, play->now);
    const size_t room[WIRE_CLASS_COUNT] = {ROOM_MAX, ROOM_MAX, ROOM_MAX};
    core_link_room(play->core, play->links[at], room, play->now);
}

static size_t some_link(struct play *play) {
    return wire_read_u8(&play->script) % LINKS_MAX;
}

static void bring_down(struct play *play) {
    size_t at = some_link(play);
    uint8_t how = wire_read_u8(&play->script);
    if (!play->is_up[at]) {
        return;
    }
    if (how % 4 == 1) {
        core_link_bye(play->core, play->links[at], (enum wire_close_reason)(how >> 2), play->now);
    } else if (how % 4 == 2) {
        core_link_broken(play->core, play->links[at],
                         how >= 128 ? WEFT_ERR_AUTH : WEFT_ERR_MALFORMED, play->now);
    }
    core_link_down(play->core, play->links[at], play->now);
    play->is_up[at] = false;
}

static void give(struct play *play, size_t at, uint8_t kind, uint8_t flags, struct span body,
                 struct span payload) {
    if (play->is_up[at] && body.len <= WIRE_BODY_BYTES_MAX) {
        const struct wire_frame frame = {.kind = kind, .flags = flags, .body = body};
        core_link_frame(play->core, play->links[at], &frame, loan_of(payload), play->now);
    }
}

static void give_any(struct play *play) {
    size_t at = some_link(play);
    uint8_t kind = wire_read_u8(&play->script);
    uint8_t flags = wire_read_u8(&play->script);
    struct span body = fuzz_take(&play->script, WIRE_BODY_BYTES_MAX);
    give(play, at, kind, flags, body, fuzz_take(&play->script, WIRE_PACKET_BYTES_MAX));
}

/* Signs a record as `owner` and gives it on a link as the only one of a RECORDS frame. */
static void give_record(struct play *play, size_t at, const struct identity *owner,
                        struct wire_record *record) {
    static uint8_t room[WIRE_BODY_BYTES_MAX];
    static uint8_t listed[WIRE_BODY_BYTES_MAX + 2];
    uint8_t signature[SIGNATURE_BYTES];
    record->owner = owner->key;
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    wire_record_encode_unsigned(&writer, record);
    identity_sign(owner, "weft record 1", wire_writer_view(&writer), signature);
    wire_write_bytes(&writer, span_of(signature, sizeof signature));
    struct span bytes = wire_writer_view(&writer);
    struct wire_writer list = wire_writer_of(listed, sizeof listed);
    wire_write_u16(&list, (uint16_t)bytes.len);
    wire_write_bytes(&list, bytes);
    give(play, at, WIRE_RECORDS, 0, wire_writer_view(&list), (struct span){0});
}

static const struct identity *some_owner(struct play *play, size_t *index) {
    *index = wire_read_u8(&play->script) % (PEERS + 1);
    return *index < PEERS ? &play->peers[*index] : &play->self;
}

static uint64_t some_version(struct play *play) {
    uint8_t byte = wire_read_u8(&play->script);
    if (byte == 255) {
        return WIRE_VERSION_LIMIT - 1;
    }
    return byte < 128 ? ++play->versions : (uint64_t)byte + 1;
}

/* The links of a peer by a mask: to the others and to us, in order of peer id. */
static uint32_t links_of(struct play *play, uint8_t mask, struct wire_peer_link *out) {
    uint32_t count = 0;
    for (size_t i = 0; i <= PEERS; i++) {
        const struct weft_peer_id *id = i < PEERS ? &play->peers[i].id : &play->self.id;
        uint32_t at = count;
        if (((unsigned)mask >> i & 1U) == 0) {
            continue;
        }
        for (; at > 0 && weft_peer_id_compare(id, &out[at - 1].peer) < 0; at--) {
            out[at] = out[at - 1];
        }
        out[at] = (struct wire_peer_link){.peer = *id, .cost_us = 1 + wire_read_u16(&play->script)};
        count++;
    }
    return count;
}

static void give_peer(struct play *play) {
    static uint8_t body[WIRE_RECORD_BODY_MAX];
    static const char *const addresses[] = {"192.0.2.7:9338"};
    struct wire_peer_link links[PEERS + 1];
    size_t index;
    size_t at = some_link(play);
    const struct identity *owner = some_owner(play, &index);
    uint8_t flags = wire_read_u8(&play->script);
    const struct wire_peer_source source = {
        .name = "peer",
        .software = "fuzz",
        .instance = 1 + wire_read_u8(&play->script),
        .flags = flags & WIRE_PEER_LEAVING,
        .addresses = addresses,
        .address_count = (unsigned)flags >> 1 & 1U,
        .links = links,
        .link_count = links_of(play, wire_read_u8(&play->script), links),
    };
    struct wire_writer writer = wire_writer_of(body, sizeof body);
    wire_peer_body_encode(&writer, &source);
    struct wire_record record = {.kind = WIRE_RECORD_PEER,
                                 .incarnation = 1 + wire_read_u8(&play->script) % 4,
                                 .version = some_version(play),
                                 .body = wire_writer_view(&writer)};
    give_record(play, at, owner, &record);
}

/* What changes a record that the victim may have; nobody can have signed what comes out. */
static void give_delta(struct play *play, size_t at, const struct weft_peer_id *owner,
                       const struct wire_record *record) {
    static uint8_t room[WIRE_BODY_BYTES_MAX];
    static const uint8_t signature[SIGNATURE_BYTES];
    uint8_t place[32];
    uint8_t step = 1 + wire_read_u8(&play->script) % 3;
    record_place(record->kind, owner, record->key, place);
    struct wire_delta delta = {.incarnation = record->incarnation,
                               .version = record->version + step,
                               .step = step,
                               .edits = fuzz_take(&play->script, 512),
                               .signature = span_of(signature, sizeof signature)};
    memcpy(delta.name, place, sizeof delta.name);
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    wire_delta_encode(&writer, &delta);
    give(play, at, WIRE_DELTAS, 0, wire_writer_view(&writer), (struct span){0});
}

static void give_any_record(struct play *play) {
    size_t index;
    size_t at = some_link(play);
    const struct identity *owner = some_owner(play, &index);
    struct wire_record record = {.kind = wire_read_u8(&play->script) % 4,
                                 .flags = wire_read_u8(&play->script),
                                 .incarnation = 1 + wire_read_u8(&play->script) % 4,
                                 .version = some_version(play)};
    record.key = fuzz_take(&play->script, WIRE_RECORD_KEY_MAX);
    record.body = fuzz_take(&play->script, 2048);
    give_record(play, at, owner, &record);
    if ((record.flags & WITH_DELTA) != 0) {
        give_delta(play, at, &owner->id, &record);
    }
}

static void give_broadcast(struct play *play) {
    static uint8_t room[WIRE_BODY_BYTES_MAX];
    uint8_t signature[SIGNATURE_BYTES] = {0};
    size_t index;
    size_t at = some_link(play);
    const struct identity *source = some_owner(play, &index);
    struct wire_broadcast broadcast = {
        .travel = {.hops = wire_read_u8(&play->script) % (WIRE_HOPS_MAX + 1)},
        .flags = wire_read_u8(&play->script) & WIRE_BROADCAST_FLOOD,
        .digest = core_topology_digest(play->core, play->now),
        .key = source->key,
        .incarnation = 1 + wire_read_u8(&play->script) % 4,
        .sequence = wire_read_u8(&play->script),
        .channel = span_of_text(wire_read_u8(&play->script) % 2 == 0 ? "counter" : "other"),
        .payload = fuzz_take(&play->script, 1024),
        .signature = span_of(signature, sizeof signature),
    };
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    wire_broadcast_encode(&writer, &broadcast);
    struct span bytes = wire_writer_view(&writer);
    if (bytes.len < 13 + SIGNATURE_BYTES) {
        return;
    }
    identity_sign(source, "weft broadcast 1",
                  span_of(bytes.data + 13, bytes.len - 13 - SIGNATURE_BYTES), signature);
    memcpy(room + bytes.len - SIGNATURE_BYTES, signature, SIGNATURE_BYTES);
    give(play, at, WIRE_BROADCAST, 0, bytes, (struct span){0});
}

static void give_packet(struct play *play) {
    static uint8_t room[WIRE_BODY_BYTES_MAX];
    size_t index;
    size_t at = some_link(play);
    const struct wire_travel travel = {.hops = wire_read_u8(&play->script) % (WIRE_HOPS_MAX + 1)};
    const struct weft_peer_id source = some_owner(play, &index)->id;
    const struct weft_peer_id destination = some_owner(play, &index)->id;
    uint8_t choice = wire_read_u8(&play->script);
    struct span packet = fuzz_take(&play->script, 4096);
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    if (choice % 2 == 0) {
        wire_unicast_encode(&writer, &(struct wire_unicast){.travel = travel,
                                                            .source = source,
                                                            .destination = destination,
                                                            .packet = packet});
        give(play, at, WIRE_UNICAST, 0, wire_writer_view(&writer), (struct span){0});
    } else if (packet.len > 0) {
        wire_carrier_encode(&writer, &(struct wire_carrier){.travel = travel,
                                                            .source = source,
                                                            .destination = destination,
                                                            .class = choice >> 1 & 3U,
                                                            .flags = choice >> 3 & 1U,
                                                            .length = (uint16_t)packet.len});
        give(play, at, WIRE_CARRIER, 0, wire_writer_view(&writer), packet);
    }
}

static void give_heartbeat(struct play *play) {
    uint8_t body[32];
    size_t at = some_link(play);
    struct wire_writer writer = wire_writer_of(body, sizeof body);
    const struct wire_heartbeat heartbeat = {
        .flags = wire_read_u8(&play->script) & 3U,
        .sent_us = wire_read_u32(&play->script),
        .echo_us = (uint32_t)(play->now / NS_PER_US) - wire_read_u16(&play->script),
        .held_us = wire_read_u16(&play->script),
        .digest = wire_read_u8(&play->script),
    };
    wire_heartbeat_encode(&writer, &heartbeat);
    give(play, at, WIRE_HEARTBEAT, 0, wire_writer_view(&writer), (struct span){0});
}

static void set_room(struct play *play) {
    size_t at = some_link(play);
    size_t room[WIRE_CLASS_COUNT];
    for (size_t i = 0; i < WIRE_CLASS_COUNT; i++) {
        room[i] = (size_t)wire_read_u8(&play->script) * 4096;
    }
    if (play->is_up[at]) {
        core_link_room(play->core, play->links[at], room, play->now);
    }
}

static void wait(struct play *play) {
    uint16_t ms = wire_read_u16(&play->script);
    weft_ns deadline = core_deadline(play->core);
    if (ms != 0) {
        play->now += ms * NS_PER_MS;
    } else if (deadline != WEFT_NEVER && deadline > play->now) {
        play->now = deadline;
    }
    core_tick(play->core, play->now);
}

static void offer(struct play *play) {
    const struct wire_endpoint endpoint = {.address = span_of_text("127.0.0.1:80"), .weight = 1};
    struct core_offer offered = {
        .protocol = WIRE_PROTOCOL_TCP, .endpoints = &endpoint, .endpoint_count = 1};
    (void)!core_offer(play->core, "default", "web", &offered, play->now);
    offered.protocol = WIRE_PROTOCOL_UDP;
    (void)!core_offer(play->core, "default", "web", &offered, play->now);
}

/* To whoever offers it, perhaps ourselves; the flow before it ends. */
static void open_flow(struct play *play) {
    core_datagram_end(play->core, play->flow, WIRE_RESET_APPLICATION, play->now);
    if (core_datagram_open(play->core, "default", "web", play->now, &play->flow) == WEFT_OK) {
        core_datagram_send(play->core, play->flow, span_of_text("hello"), play->now);
    }
}

static void open_stream(struct play *play) {
    struct stream_id stream;
    if (play->stream_count < STREAMS_MAX &&
        core_stream_open(play->core, "default", "web", WIRE_PROTOCOL_TCP, play->now, &stream) ==
            WEFT_OK) {
        play->streams[play->stream_count++] = stream;
        (void)streams_write(core_streams(play->core), stream, span_of_text("hello"), play->now);
    }
}

static void count_one(void *ctx, const struct core_peer_view *view) {
    size_t *count = ctx;
    ASSERT(wire_name_is_valid(view->body.name));
    (*count)++;
}

static void look(struct play *play) {
    struct core_status status;
    struct weft_peer_id id;
    size_t count = 0;
    core_get_status(play->core, &status);
    core_each_peer(play->core, count_one, &count);
    ASSERT(status.peers_reachable <= PEERS && count <= PEERS + 1 && status.links <= LINKS_MAX);
    (void)!core_resolve_peer(play->core, "peer", &id);
}

static void call(struct play *play) {
    const struct weft_peer_id *peer = &play->peers[wire_read_u8(&play->script) % PEERS].id;
    struct core *core = play->core;
    switch (wire_read_u8(&play->script) % 9) {
    case 0:
        offer(play);
        break;
    case 1:
        (void)!core_withdraw(core, "default", "web", WIRE_PROTOCOL_TCP, play->now);
        break;
    case 2:
        open_stream(play);
        open_flow(play);
        break;
    case 3:
        (void)!core_ping(core, peer, 1, play->now);
        break;
    case 4:
        (void)!core_channel_unicast(core, "counter", peer, span_of_text("one"), play->now);
        break;
    case 5:
        (void)!core_channel_broadcast(core, "counter", span_of_text("all"), play->now);
        break;
    case 6:
        (void)!core_channel_gossip(core, "counter", span_of_text("some"), play->now);
        break;
    case 7:
        core_leave(core, wire_read_u8(&play->script) * NS_PER_MS, play->now);
        break;
    default:
        look(play);
        break;
    }
}

static void finish_dial(struct play *play) {
    uint64_t token = play->dial;
    play->dial = 0;
    if (token == 0) {
        return;
    }
    if (wire_read_u8(&play->script) % 2 == 0) {
        core_dial_failed(play->core, token, "refused", play->now);
    } else {
        bring_up(play, token);
    }
}

static void take_step(struct play *play) {
    switch ((enum step)(wire_read_u8(&play->script) % STEP_COUNT)) {
    case STEP_UP:
        bring_up(play, 0);
        break;
    case STEP_DOWN:
        bring_down(play);
        break;
    case STEP_FRAME:
        give_any(play);
        break;
    case STEP_PEER:
        give_peer(play);
        break;
    case STEP_RECORD:
        give_any_record(play);
        break;
    case STEP_BROADCAST:
        give_broadcast(play);
        break;
    case STEP_PACKET:
        give_packet(play);
        break;
    case STEP_HEARTBEAT:
        give_heartbeat(play);
        break;
    case STEP_ROOM:
        set_room(play);
        break;
    case STEP_WAIT:
        wait(play);
        break;
    case STEP_CALL:
        call(play);
        break;
    case STEP_DIALLED:
        finish_dial(play);
        break;
    case STEP_COUNT:
        break;
    }
}

static void play_init(struct play *play, struct span script) {
    uint8_t seed[32] = {1};
    ASSERT(noise_setup() == WEFT_OK);
    *play = (struct play){.script = wire_reader_of(script), .now = NS_PER_S};
    rng_init(&play->rng, seed);
    identity_from_seed(&play->self, seed);
    for (size_t i = 0; i < PEERS; i++) {
        seed[0]++;
        identity_from_seed(&play->peers[i], seed);
    }
    struct core_config config;
    core_config_defaults(&config);
    config.identity = &play->self;
    config.session_psk = session_psk;
    config.host = (struct host){.ctx = &play->rng, .random = fuzz_random, .trace = on_trace};
    config.name = "victim";
    config.software = "fuzz";
    config.incarnation = 1;
    config.instance = 9;
    config.links_max = LINKS_MAX / 2;
    ASSERT(core_new(&config, play->now, &play->core) == WEFT_OK);
    ASSERT(core_add_seed(play->core, "192.0.2.9:9338", NULL) == WEFT_OK);
    ASSERT(core_channel_open(play->core, "counter", &gossiper, play->now) == WEFT_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct play play;
    play_init(&play, span_of(data, size));
    for (unsigned i = 0; i < STEPS_MAX && wire_reader_more(&play.script); i++) {
        take_step(&play);
        drain(&play);
    }
    look(&play);
    core_free(play.core);
    return 0;
}
