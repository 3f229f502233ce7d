/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames that travel: nobody passes on what did not come, hops count down, no packet number is used
 * twice under a key, packets that come round again are counted. Broadcasts: nobody passes on what
 * its source did not send; sends, deliveries and hops are counted.
 *
 * A sealed packet is told from all others by source, destination and its header (index and number),
 * which no honest node makes twice; handshakes by all their bytes, which may be sent again.
 */
#include <inttypes.h>
#include <string.h>

#include "base/time.h"
#include "sim/check_internal.h"
#include "sim/must.h"

#define TRAVEL_KEEP (20 * NS_PER_S) /* longer than any frame is on its way */
#define TRAVELS_MAX ((size_t)1 << 19)
#define SESSION_KEEP (400 * NS_PER_S)   /* keys are dead after 180 s */
#define BROADCAST_KEEP (180 * NS_PER_S) /* sources' windows and stores are over after 60 s */

void travel_init(struct checks *checks) {
    size_t count = (size_t)checks->node_count + 1;
    seen_init(&checks->sessions, SESSION_KEEP, SIZE_MAX);
    seen_init(&checks->travels, TRAVEL_KEEP, TRAVELS_MAX);
    seen_init(&checks->broadcasts, BROADCAST_KEEP, SIZE_MAX);
    seen_init(&checks->deliveries, BROADCAST_KEEP, SIZE_MAX);
    checks->near_epoch = 1;
    checks->reach_of = must(calloc(count, sizeof *checks->reach_of));
    checks->reach_epoch = must(calloc(count, sizeof *checks->reach_epoch));
    checks->walk = must(calloc(count, sizeof *checks->walk));
    checks->walk_hops = must(calloc(count, sizeof *checks->walk_hops));
}

void travel_fini(struct checks *checks) {
    seen_fini(&checks->sessions);
    seen_fini(&checks->travels);
    seen_fini(&checks->broadcasts);
    seen_fini(&checks->deliveries);
    free(checks->flights);
    free(checks->reach_of);
    free(checks->reach_epoch);
    free(checks->walk);
    free(checks->walk_hops);
}

/* A unicast or a carrier. */
struct packet {
    const struct weft_peer_id *source;
    const struct weft_peer_id *destination;
    uint8_t hops;
    struct span bytes;
    bool is_sealed;
    uint64_t hash;
};

static uint64_t packet_hash(const struct packet *packet) {
    uint64_t hash = seen_hash(2, packet->source->bytes, sizeof packet->source->bytes);
    hash = seen_hash(hash, packet->destination->bytes, sizeof packet->destination->bytes);
    size_t len = packet->is_sealed ? WIRE_SEALED_HEADER_BYTES : packet->bytes.len;
    return seen_hash(hash, packet->bytes.data, len);
}

/* What both kinds come down to; the ids are in the message. */
union travelling {
    struct wire_unicast unicast;
    struct wire_carrier carrier;
};

static bool packet_of(const struct wire_frame *frame, struct span payload,
                      union travelling *message, struct packet *out) {
    if (frame->kind == WIRE_UNICAST) {
        if (wire_unicast_decode(frame->body, &message->unicast) != WEFT_OK) {
            return false;
        }
        *out = (struct packet){.source = &message->unicast.source,
                               .destination = &message->unicast.destination,
                               .hops = message->unicast.travel.hops,
                               .bytes = message->unicast.packet};
    } else {
        if (wire_carrier_decode(frame->body, &message->carrier) != WEFT_OK) {
            return false;
        }
        *out = (struct packet){.source = &message->carrier.source,
                               .destination = &message->carrier.destination,
                               .hops = message->carrier.travel.hops,
                               .bytes = payload};
    }
    out->is_sealed =
        out->bytes.len >= WIRE_SEALED_HEADER_BYTES && out->bytes.data[0] == WIRE_PACKET_SEALED;
    out->hash = packet_hash(out);
    return true;
}

static void check_number(struct checks *checks, uint32_t node, const struct packet *packet) {
    struct wire_packet sealed;
    bool is_new = false;
    if (wire_packet_decode(packet->bytes, &sealed) != WEFT_OK) {
        return;
    }
    uint64_t key = seen_hash(node, packet->destination->bytes, sizeof packet->destination->bytes);
    key = seen_mix(key, (uint64_t)sealed.receiver_index << 32 | checks->nodes[node].life);
    struct seen_entry *entry = seen_add(&checks->sessions, key, world_now(checks->world), &is_new);
    check_saw(checks, CHECK_NUMBERS);
    if (sealed.number < entry->a) {
        check_break(checks, CHECK_NUMBERS,
                    "node %u: packet number of index %08x: expected at least %" PRIu64
                    ", found %" PRIu64,
                    node, sealed.receiver_index, entry->a, sealed.number);
    }
    entry->a = sealed.number + 1;
}

/* The hops of what is passed on are one less than they came with; what came more than once came
 * with different ones. */
static void check_passed_on(struct checks *checks, uint32_t node, const struct packet *packet) {
    const struct seen_entry *came = seen_find(&checks->travels, seen_mix(packet->hash, node));
    check_saw(checks, CHECK_ORIGIN);
    if (came == NULL) {
        char text[WEFT_PEER_ID_TEXT];
        weft_peer_id_format(packet->source, text);
        check_break(checks, CHECK_ORIGIN, "node %u: passes on a packet of %s that never came to it",
                    node, text);
        return;
    }
    if (came->b == 1 && packet->hops + 1U != came->a) {
        check_break(checks, CHECK_HOPS,
                    "node %u: passes a packet on: expected %d hops left, found %u", node,
                    (int)came->a - 1, packet->hops);
    }
}

static void packet_sent(struct checks *checks, uint32_t node, const struct wire_frame *frame,
                        struct span payload) {
    union travelling message;
    struct packet packet;
    if (!packet_of(frame, payload, &message, &packet)) {
        check_break(checks, CHECK_ORIGIN, "node %u: sends a malformed %s", node,
                    wire_type_of(frame->kind)->name);
        return;
    }
    if (packet.hops < WIRE_HOPS_MAX ||
        !weft_peer_id_equal(packet.source, world_id(checks->world, node))) {
        check_passed_on(checks, node, &packet);
        return;
    }
    checks->travelled++;
    if (packet.is_sealed) {
        check_number(checks, node, &packet);
    }
}

static void packet_received(struct checks *checks, uint32_t node, const struct wire_frame *frame,
                            struct span payload) {
    union travelling message;
    struct packet packet;
    bool is_new = false;
    if (!packet_of(frame, payload, &message, &packet)) {
        return; /* a liar's; the core's to refuse */
    }
    if (weft_peer_id_equal(packet.destination, world_id(checks->world, node))) {
        return;
    }
    struct seen_entry *came =
        seen_add(&checks->travels, seen_mix(packet.hash, node), world_now(checks->world), &is_new);
    came->a = packet.hops;
    uint64_t times = ++came->b;
    if (packet.is_sealed && times > 1) {
        (void)seen_add(&checks->travels, seen_mix(packet.hash, ORACLE_NONE),
                       world_now(checks->world), &is_new);
        checks->looped += is_new ? 1 : 0; /* each frame once, however long it goes round */
    }
    /* A liar that repeats frames makes one packet travel as often as it likes, each time with its
     * hops anew. */
    bool may_repeat = faults_lies(checks->faults, LIE_REPLAY) > 0;
    if (packet.is_sealed && times > WIRE_HOPS_MAX && !may_repeat && check_is_honest(checks, node)) {
        check_break(checks, CHECK_HOPS,
                    "node %u: the same packet came: expected at most %d times, found %" PRIu64,
                    node, WIRE_HOPS_MAX, times);
    }
}

static struct flight *flight_of(struct checks *checks, const struct seen_entry *entry) {
    return &checks->flights[entry->a - 1];
}

static void flight_begin(struct checks *checks, struct seen_entry *entry, uint32_t source) {
    if (checks->flight_count == checks->flight_size) {
        checks->flight_size = checks->flight_size == 0 ? 256 : 2 * checks->flight_size;
        checks->flights =
            must(realloc(checks->flights, checks->flight_size * sizeof *checks->flights));
    }
    checks->flights[checks->flight_count++] = (struct flight){
        .source = source, .reach = near_reach(checks, source), .is_counted = checks->has_begun};
    entry->a = checks->flight_count;
}

static uint64_t broadcast_hash(const struct wire_broadcast *broadcast) {
    uint64_t hash = seen_hash(3, broadcast->signed_part.data, broadcast->signed_part.len);
    return seen_hash(hash, broadcast->signature.data, broadcast->signature.len);
}

static bool is_key_of(const struct checks *checks, uint32_t node,
                      const struct weft_public_key *key) {
    const struct weft_public_key *own = &world_identity(checks->world, node)->key;
    return memcmp(own->bytes, key->bytes, sizeof own->bytes) == 0;
}

/* A broadcast that its source did not send: a liar may say anything in its own name, and so may who
 * is no node of ours. */
static void check_source(struct checks *checks, uint32_t node,
                         const struct wire_broadcast *broadcast) {
    struct weft_peer_id id = peer_id_of_key(&broadcast->key);
    uint32_t source = 0;
    if (world_find_node(checks->world, &id, &source) && check_is_honest(checks, source)) {
        check_break(checks, CHECK_ORIGIN,
                    "node %u: passes on broadcast %" PRIu64 " of node %u, which never sent it",
                    node, broadcast->sequence, source);
    }
}

static void broadcast_sent(struct checks *checks, uint32_t node, const struct wire_frame *frame) {
    struct wire_broadcast broadcast;
    bool is_new = false;
    if (wire_broadcast_decode(frame->body, &broadcast) != WEFT_OK) {
        check_break(checks, CHECK_ORIGIN, "node %u: sends a malformed broadcast", node);
        return;
    }
    uint64_t hash = broadcast_hash(&broadcast);
    check_saw(checks, CHECK_ORIGIN);
    checks->broadcast_sends += checks->has_begun ? 1 : 0;
    if (is_key_of(checks, node, &broadcast.key)) {
        struct seen_entry *entry =
            seen_add(&checks->broadcasts, hash, world_now(checks->world), &is_new);
        if (is_new) {
            flight_begin(checks, entry, node);
        }
    } else if (seen_find(&checks->broadcasts, hash) == NULL) {
        check_source(checks, node, &broadcast);
    }
}

static void broadcast_received(struct checks *checks, uint32_t node,
                               const struct wire_frame *frame) {
    struct wire_broadcast broadcast;
    bool is_new = false;
    if (wire_broadcast_decode(frame->body, &broadcast) != WEFT_OK ||
        is_key_of(checks, node, &broadcast.key)) {
        return;
    }
    uint64_t hash = broadcast_hash(&broadcast);
    const struct seen_entry *entry = seen_find(&checks->broadcasts, hash);
    if (entry == NULL) {
        return;
    }
    uint32_t hops = WIRE_HOPS_MAX + 1U - broadcast.travel.hops;
    struct flight *flight = flight_of(checks, entry);
    (void)seen_add(&checks->deliveries,
                   seen_mix(hash, (uint64_t)checks->nodes[node].life << 32 | node),
                   world_now(checks->world), &is_new);
    if (is_new) {
        checks->broadcast_deliveries += flight->is_counted ? 1 : 0;
        flight->hops_max = hops > flight->hops_max ? hops : flight->hops_max;
    }
}

/* Area, level and hops begin the body of each frame that travels. */
static bool check_limit(struct checks *checks, uint32_t node, const struct wire_frame *frame) {
    check_saw(checks, CHECK_HOPS);
    uint8_t hops = frame->body.len > 3 ? frame->body.data[3] : 0;
    if (hops > WIRE_HOPS_MAX) {
        checks->beyond_hops++;
        check_break(checks, CHECK_HOPS,
                    "node %u: sends a frame: expected at most %d hops, found %u", node,
                    WIRE_HOPS_MAX, hops);
        return false;
    }
    return true;
}

void travel_sent(struct checks *checks, uint32_t node, const struct wire_frame *frame,
                 struct span payload) {
    if (!check_is_honest(checks, node) || !check_limit(checks, node, frame)) {
        return;
    }
    if (frame->kind == WIRE_BROADCAST) {
        broadcast_sent(checks, node, frame);
    } else if (frame->kind != WIRE_GOSSIP) {
        packet_sent(checks, node, frame, payload);
    }
}

void travel_received(struct checks *checks, uint32_t node, const struct wire_frame *frame,
                     struct span payload) {
    if (frame->kind == WIRE_BROADCAST) {
        broadcast_received(checks, node, frame);
    } else if (frame->kind != WIRE_GOSSIP) {
        packet_received(checks, node, frame, payload);
    }
}

static int64_t share_ppm(uint64_t part, uint64_t whole) {
    return whole == 0 ? 0 : (int64_t)(part * 1000000 / whole);
}

void travel_report(struct checks *checks) {
    struct metrics *metrics = checks->metrics;
    uint64_t needed = checks->broadcast_deliveries;
    uint64_t sends = checks->broadcast_sends;
    metric_set(metrics_counter(metrics, "broadcast.redundancy", UNIT_PPM),
               share_ppm(sends > needed ? sends - needed : 0, needed));
    struct metric *over = metrics_distribution(metrics, "broadcast.last_hop_over", UNIT_COUNT);
    for (size_t i = 0; i < checks->flight_count; i++) {
        const struct flight *flight = &checks->flights[i];
        if (flight->is_counted) {
            metric_sample(over, (int64_t)flight->hops_max - (int64_t)flight->reach);
        }
    }
    metric_set(metrics_counter(metrics, "loops.frames", UNIT_COUNT), (int64_t)checks->looped);
    metric_set(metrics_counter(metrics, "loops.frames_share", UNIT_PPM),
               share_ppm(checks->looped, checks->travelled));
    metric_set(metrics_counter(metrics, "hops.exceeded", UNIT_COUNT), (int64_t)checks->beyond_hops);
}
