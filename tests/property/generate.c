/* SPDX-License-Identifier: Apache-2.0
 *
 * Random valid messages. Every choice comes from one seeded generator.
 */
#include "property/generate.h"

#include <criterion/criterion.h>
#include <stdlib.h>

#define SEED_DEFAULT 20240607

uint64_t gen_seed(void) {
    const char *text = getenv("WEFT_TEST_SEED");
    uint64_t seed = text == NULL ? SEED_DEFAULT : strtoull(text, NULL, 10);
    cr_log_info("WEFT_TEST_SEED=%llu", (unsigned long long)seed);
    return seed;
}

void gen_init(struct gen *gen, uint64_t seed) {
    uint8_t bytes[32] = {0};
    memcpy(bytes, &seed, sizeof seed);
    rng_init(&gen->rng, bytes);
    gen->seed = seed;
    gen->used = 0;
    gen->arena = malloc(GEN_ARENA_BYTES);
    cr_assert_not_null(gen->arena);
}

void gen_fini(struct gen *gen) {
    free(gen->arena);
}

void gen_reset(struct gen *gen) {
    gen->used = 0;
}

static uint8_t *gen_room(struct gen *gen, size_t len) {
    cr_assert_leq(len, GEN_ARENA_BYTES - gen->used);
    uint8_t *room = gen->arena + gen->used;
    gen->used += len;
    return room;
}

uint64_t gen_below(struct gen *gen, uint64_t bound) {
    return rng_below(&gen->rng, bound);
}

uint64_t gen_between(struct gen *gen, uint64_t min, uint64_t max) {
    return min + rng_below(&gen->rng, max - min + 1);
}

uint64_t gen_number(struct gen *gen) {
    return rng_next(&gen->rng) >> gen_below(gen, 64);
}

/* 1 .. 2^63-1 */
static uint64_t gen_version(struct gen *gen) {
    uint64_t version = gen_number(gen) >> 1;
    return version == 0 ? 1 : version;
}

struct span gen_bytes(struct gen *gen, size_t min, size_t max) {
    size_t len = (size_t)gen_between(gen, min, max);
    uint8_t *bytes = gen_room(gen, len);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)rng_next(&gen->rng);
    }
    return span_of(bytes, len);
}

struct span gen_printable(struct gen *gen, size_t min, size_t max) {
    size_t len = (size_t)gen_between(gen, min, max);
    uint8_t *bytes = gen_room(gen, len);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)gen_between(gen, 0x20, 0x7e);
    }
    return span_of(bytes, len);
}

struct span gen_name(struct gen *gen) {
    static const char alphabet[] = "abcXYZ0189_-.";
    size_t len = (size_t)gen_between(gen, 1, WEFT_NAME_MAX);
    uint8_t *bytes = gen_room(gen, len);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)alphabet[gen_below(gen, i == 0 ? 11 : 13)];
    }
    return span_of(bytes, len);
}

const char *gen_text(struct gen *gen, size_t max) {
    struct span text = gen_printable(gen, 1, max);
    char *copy = (char *)gen_room(gen, text.len + 1);
    cr_assert(span_to_text(text, copy, text.len + 1));
    return copy;
}

void gen_key(struct gen *gen, struct weft_public_key *out) {
    memcpy(out->bytes, gen_bytes(gen, WEFT_KEY_BYTES, WEFT_KEY_BYTES).data, WEFT_KEY_BYTES);
}

static struct weft_peer_id gen_peer(struct gen *gen) {
    struct weft_peer_id id;
    memcpy(id.bytes, gen_bytes(gen, sizeof id.bytes, sizeof id.bytes).data, sizeof id.bytes);
    return id;
}

static struct wire_travel gen_travel(struct gen *gen) {
    struct wire_travel travel = {
        .area = (uint16_t)gen_number(gen),
        .level = (uint8_t)gen_number(gen),
        .hops = (uint8_t)gen_between(gen, 0, WIRE_HOPS_MAX),
    };
    return travel;
}

static void gen_heartbeat(struct gen *gen, struct wire_heartbeat *out) {
    out->flags = (uint8_t)gen_number(gen);
    out->sent_us = (uint32_t)gen_number(gen);
    out->echo_us = (uint32_t)gen_number(gen);
    out->held_us = (uint32_t)gen_number(gen);
    out->digest = gen_number(gen);
}

static void gen_broadcast(struct gen *gen, struct wire_broadcast *out) {
    out->travel = gen_travel(gen);
    out->flags = (uint8_t)gen_number(gen);
    out->digest = gen_number(gen);
    gen_key(gen, &out->key);
    out->incarnation = gen_version(gen);
    out->sequence = gen_version(gen);
    out->channel = gen_name(gen);
    out->payload = gen_bytes(gen, 0, 300);
    out->signature = gen_bytes(gen, 64, 64);
}

static void gen_carrier(struct gen *gen, struct wire_carrier *out) {
    out->travel = gen_travel(gen);
    out->source = gen_peer(gen);
    out->destination = gen_peer(gen);
    out->flow = (uint32_t)gen_number(gen);
    out->class = (uint8_t)gen_below(gen, WIRE_CLASS_COUNT);
    out->flags = (uint8_t)gen_number(gen);
    out->length = (uint16_t)gen_between(gen, 1, WIRE_PACKET_BYTES_MAX);
}

static void gen_records(struct gen *gen, struct wire_records *out) {
    struct wire_writer writer = wire_writer_of(gen_room(gen, 8192), 8192);
    for (uint64_t count = gen_below(gen, 5); count > 0; count--) {
        struct span record = gen_record(gen);
        wire_write_u16(&writer, (uint16_t)record.len);
        wire_write_bytes(&writer, record);
    }
    out->list = wire_writer_view(&writer);
}

static void gen_sync_item(struct gen *gen, struct wire_writer *writer) {
    struct wire_sync_item item = {0};
    item.mode = (uint8_t)gen_between(gen, WIRE_SYNC_FINGERPRINTS, WIRE_SYNC_WANT);
    item.depth = (uint8_t)gen_below(gen, WIRE_SYNC_DEPTH_MAX); /* 16 is for lists; see unit tests */
    size_t len = ((size_t)item.depth + 1) / 2;
    if (len > 0) {
        memcpy(item.prefix, gen_bytes(gen, len, len).data, len);
        item.prefix[len - 1] &= item.depth % 2 == 0 ? 0xff : 0xf0;
    }
    size_t entries = WIRE_SYNC_CHILDREN * WIRE_SYNC_FINGERPRINT_BYTES;
    if (item.mode != WIRE_SYNC_FINGERPRINTS) {
        item.is_answer = item.mode == WIRE_SYNC_LIST && gen_below(gen, 2) == 1;
        item.count = (uint16_t)gen_below(gen, 8);
        entries = item.count *
                  (item.mode == WIRE_SYNC_LIST ? WIRE_SYNC_ENTRY_BYTES : WIRE_SYNC_PLACE_BYTES);
    }
    item.entries = gen_bytes(gen, entries, entries);
    wire_sync_item_encode(writer, &item);
}

static void gen_sync(struct gen *gen, struct wire_sync *out) {
    struct wire_writer writer = wire_writer_of(gen_room(gen, 8192), 8192);
    for (uint64_t count = gen_below(gen, 6); count > 0; count--) {
        gen_sync_item(gen, &writer);
    }
    out->salt = gen_number(gen);
    out->items = wire_writer_view(&writer);
}

static void gen_heads(struct gen *gen, struct wire_heads *out) {
    struct wire_writer writer = wire_writer_of(gen_room(gen, 1024), 1024);
    for (uint64_t count = gen_below(gen, 6); count > 0; count--) {
        struct wire_head head = {gen_peer(gen), gen_version(gen), gen_number(gen) >> 1};
        wire_head_encode(&writer, &head);
    }
    out->list = wire_writer_view(&writer);
}

static struct span gen_edits(struct gen *gen) {
    struct wire_writer writer = wire_writer_of(gen_room(gen, 512), 512);
    for (uint64_t count = gen_below(gen, 4); count > 0; count--) {
        struct wire_edit edit = {gen_below(gen, 50000), gen_below(gen, 300), gen_bytes(gen, 0, 60)};
        wire_edit_encode(&writer, &edit);
    }
    return wire_writer_view(&writer);
}

static void gen_deltas(struct gen *gen, struct wire_deltas *out) {
    struct wire_writer writer = wire_writer_of(gen_room(gen, 4096), 4096);
    for (uint64_t count = gen_below(gen, 6); count > 0; count--) {
        struct wire_delta delta = {.incarnation = gen_version(gen),
                                   .step = gen_between(gen, 1, 1000),
                                   .edits = gen_edits(gen),
                                   .signature = gen_bytes(gen, 64, 64)};
        delta.version = delta.step + gen_between(gen, 1, 100000);
        memcpy(delta.name, gen_bytes(gen, sizeof delta.name, sizeof delta.name).data,
               sizeof delta.name);
        wire_delta_encode(&writer, &delta);
    }
    out->list = wire_writer_view(&writer);
}

static void gen_notes(struct gen *gen, struct wire_notes *out) {
    out->act = (uint8_t)gen_between(gen, WIRE_NOTES_HAVE, WIRE_NOTES_HOLD);
    size_t len = out->act == WIRE_NOTES_HOLD ? 0 : gen_below(gen, 20) * WIRE_NOTE_BYTES;
    out->list = gen_bytes(gen, len, len);
}

static void gen_pull(struct gen *gen, struct wire_pull *out) {
    out->source = gen_peer(gen);
    out->incarnation = gen_version(gen);
    out->from = gen_between(gen, 1, WIRE_VERSION_LIMIT - UINT16_MAX);
    out->count = (uint16_t)gen_between(gen, 1, UINT16_MAX);
}

static void gen_rekey(struct gen *gen, struct wire_rekey *out) {
    out->step = (uint8_t)gen_between(gen, 1, 3);
    out->message = out->step == 3 ? span_of(NULL, 0) : gen_bytes(gen, 1, 512);
}

bool gen_message(struct gen *gen, uint8_t kind, union wire_any *out) {
    memset(out, 0, sizeof *out);
    switch ((enum wire_kind)kind) {
    case WIRE_HEARTBEAT:
        gen_heartbeat(gen, &out->heartbeat);
        return true;
    case WIRE_UNICAST:
        out->unicast = (struct wire_unicast){gen_travel(gen), gen_peer(gen), gen_peer(gen),
                                             gen_bytes(gen, 1, 300)};
        return true;
    case WIRE_BROADCAST:
        gen_broadcast(gen, &out->broadcast);
        return true;
    case WIRE_GOSSIP:
        out->gossip = (struct wire_gossip){gen_travel(gen), gen_name(gen), gen_bytes(gen, 0, 300)};
        return true;
    case WIRE_CARRIER:
        gen_carrier(gen, &out->carrier);
        return true;
    case WIRE_REKEY:
        gen_rekey(gen, &out->rekey);
        return true;
    case WIRE_CLOSE:
        out->close.reason = (uint8_t)gen_between(gen, 1, 255);
        out->close.text = gen_printable(gen, 0, 200);
        return true;
    case WIRE_RECORDS:
        gen_records(gen, &out->records);
        return true;
    case WIRE_SYNC:
        gen_sync(gen, &out->sync);
        return true;
    case WIRE_PULL:
        gen_pull(gen, &out->pull);
        return true;
    case WIRE_HEADS:
        gen_heads(gen, &out->heads);
        return true;
    case WIRE_DELTAS:
        gen_deltas(gen, &out->deltas);
        return true;
    case WIRE_NOTES:
        gen_notes(gen, &out->notes);
        return true;
    default:
        return false;
    }
}

struct span gen_encode(struct gen *gen, const struct wire_type *type,
                       const union wire_any *message) {
    uint8_t *room = gen_room(gen, WIRE_BODY_BYTES_MAX);
    struct wire_writer writer = wire_writer_of(room, WIRE_BODY_BYTES_MAX);
    type->encode(&writer, message);
    cr_assert_not(writer.has_failed, "%s seed %llu", type->name, (unsigned long long)gen->seed);
    return wire_writer_view(&writer);
}

static struct span gen_service_key(struct gen *gen) {
    struct wire_writer writer = wire_writer_of(gen_room(gen, 127), 127);
    wire_write_bytes(&writer, gen_name(gen));
    wire_write_u8(&writer, '/');
    wire_write_bytes(&writer, gen_name(gen));
    return wire_writer_view(&writer);
}

static struct span gen_record_key(struct gen *gen, uint16_t kind) {
    if (kind == WIRE_RECORD_PEER) {
        return span_of(NULL, 0);
    }
    if (kind == WIRE_RECORD_SERVICE) {
        return gen_service_key(gen);
    }
    return gen_bytes(gen, 0, WIRE_RECORD_KEY_MAX);
}

struct span gen_record(struct gen *gen) {
    struct wire_record record = {0};
    record.kind = (uint16_t)(gen_below(gen, 2) == 0 ? gen_between(gen, 1, 2) : gen_number(gen));
    record.flags = (uint8_t)gen_number(gen);
    record.key = gen_record_key(gen, record.kind);
    gen_key(gen, &record.owner);
    record.incarnation = gen_version(gen);
    record.version = gen_version(gen);
    bool is_tombstone = (record.flags & WIRE_RECORD_TOMBSTONE) != 0;
    record.body = gen_bytes(gen, 0, is_tombstone ? 0 : 300);
    struct wire_writer writer = wire_writer_of(gen_room(gen, 1024), 1024);
    wire_record_encode_unsigned(&writer, &record);
    wire_write_bytes(&writer, gen_bytes(gen, 64, 64));
    return wire_writer_view(&writer);
}

void gen_packet(struct gen *gen, struct wire_packet *out) {
    *out = (struct wire_packet){0};
    out->type = (uint8_t)gen_between(gen, WIRE_PACKET_INIT, WIRE_PACKET_UNKNOWN);
    if (out->type == WIRE_PACKET_INIT || out->type == WIRE_PACKET_RESPONSE) {
        out->sender_index = (uint32_t)gen_number(gen);
        out->rest = gen_bytes(gen, 1, 200);
    }
    if (out->type == WIRE_PACKET_INIT) {
        memcpy(out->init.key.bytes, gen_bytes(gen, 32, 32).data, 32);
        out->init.incarnation = gen_number(gen);
        out->init.instance = gen_number(gen);
        out->init.epoch = gen_number(gen);
        memcpy(out->init.mac, gen_bytes(gen, 16, 16).data, 16);
    } else {
        out->receiver_index = (uint32_t)gen_number(gen);
    }
    if (out->type == WIRE_PACKET_SEALED) {
        out->number = gen_number(gen);
        out->rest = gen_bytes(gen, 16, 300);
    }
}

static void gen_ack(struct gen *gen, struct wire_part_ack *out) {
    out->stream = gen_number(gen);
    out->flags = (uint8_t)gen_number(gen);
    out->cumulative = gen_number(gen) >> 1;
    out->credit = gen_number(gen);
    out->marks = (uint32_t)gen_number(gen);
    out->range_count = (uint8_t)gen_between(gen, 0, WIRE_ACK_RANGES_MAX);
    uint64_t end = out->cumulative;
    for (size_t i = 0; i < out->range_count; i++) {
        out->ranges[i].start = end + gen_between(gen, 1, 1 << 20);
        out->ranges[i].end = out->ranges[i].start + gen_between(gen, 1, 1 << 20);
        end = out->ranges[i].end;
    }
}

static void gen_datagram(struct gen *gen, struct wire_part_datagram *out) {
    out->flow = gen_number(gen);
    out->flags = (uint8_t)gen_number(gen);
    if ((out->flags & WIRE_DATAGRAM_NAMED) != 0) {
        out->name_space = gen_name(gen);
        out->name = gen_name(gen);
    }
    out->bytes = gen_bytes(gen, 0, 300);
}

void gen_part(struct gen *gen, uint8_t type, struct wire_part *out) {
    memset(out, 0, sizeof *out);
    out->type = type;
    switch ((enum wire_part_type)type) {
    case WIRE_PART_OPEN:
        out->as.open =
            (struct wire_part_open){gen_number(gen), gen_number(gen), (uint8_t)gen_number(gen),
                                    gen_name(gen), gen_name(gen)};
        break;
    case WIRE_PART_ACCEPT:
        out->as.accept = (struct wire_part_accept){gen_number(gen), gen_number(gen)};
        break;
    case WIRE_PART_DATA:
        out->as.data = (struct wire_part_data){gen_number(gen), gen_number(gen) >> 1,
                                               (uint8_t)gen_number(gen), gen_bytes(gen, 0, 300)};
        break;
    case WIRE_PART_ACK:
        gen_ack(gen, &out->as.ack);
        break;
    case WIRE_PART_RESET:
        out->as.reset = (struct wire_part_reset){gen_number(gen), (uint16_t)gen_number(gen)};
        break;
    case WIRE_PART_PROBE:
        out->as.probe.stream = gen_number(gen);
        break;
    case WIRE_PART_MESSAGE:
        out->as.message = (struct wire_part_message){gen_name(gen), gen_bytes(gen, 0, 300)};
        break;
    case WIRE_PART_PING:
    case WIRE_PART_PONG:
        out->as.ping.token = gen_number(gen);
        break;
    case WIRE_PART_DATAGRAM:
        gen_datagram(gen, &out->as.datagram);
        break;
    case WIRE_PART_FLOW_END:
        out->as.flow_end = (struct wire_part_flow_end){gen_number(gen), (uint16_t)gen_number(gen)};
        break;
    default:
        out->body = gen_bytes(gen, 0, 100);
    }
}

struct span heap_copy(struct span bytes) {
    uint8_t *copy = malloc(bytes.len == 0 ? 1 : bytes.len);
    cr_assert_not_null(copy);
    if (bytes.len > 0) {
        memcpy(copy, bytes.data, bytes.len);
        return span_of(copy, bytes.len);
    }
    return span_of(copy + 1, 0); /* points past the block: any read is seen */
}

void heap_free(struct span bytes) {
    union {
        const uint8_t *borrowed;
        uint8_t *owned;
    } block = {.borrowed = bytes.len == 0 ? bytes.data - 1 : bytes.data};
    free(block.owned);
}
