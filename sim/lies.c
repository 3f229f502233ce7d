/* SPDX-License-Identifier: Apache-2.0
 *
 * Lies, by kind: a table of makers each, one of which is drawn. Whatever their content, frames are
 * framed as the protocol says, since the link that carries them is honest.
 */
#include "sim/lies.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/time.h"
#include "sim/must.h"

#define STRANGERS 256
#define SPEAKERS 32 /* of them: each is a source of broadcasts that nodes keep a window for */
#define RECORD_DOMAIN "weft record 1"
#define BROADCAST_DOMAIN "weft broadcast 1"
#define FRAME_BYTES_MAX ((size_t)(WIRE_FRAME_HEADER_BYTES + WIRE_BODY_BYTES_MAX))
#define GARBAGE_BYTES_MAX 2000
#define RECORDS_A_FRAME 8
#define RECORD_BYTES_MAX 4000
#define LINKS_CLAIMED_MAX 16
#define VERSION_LEAP ((uint64_t)1 << 62) /* T11: a version from the far future */

struct strangers {
    struct identity identities[STRANGERS];
    uint64_t version; /* of the next record or broadcast of any of them */
};

struct strangers *strangers_new(struct rng *rng) {
    struct strangers *strangers = must(calloc(1, sizeof(*strangers)));
    for (size_t i = 0; i < STRANGERS; i++) {
        uint8_t seed[IDENTITY_SEED_BYTES];
        for (size_t j = 0; j < sizeof(seed); j++) {
            seed[j] = (uint8_t)rng_next(rng);
        }
        identity_from_seed(&strangers->identities[i], seed);
    }
    return strangers;
}

void strangers_free(struct strangers *strangers) {
    free(strangers);
}

/* ---- parts ---- */

static void fill(struct rng *rng, uint8_t *out, size_t len) {
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)rng_next(rng);
    }
}

static uint32_t any_node(const struct lie_teller *teller) {
    return (uint32_t)rng_below(teller->rng, world_node_count(teller->world));
}

/* Whose name to take: not one's own, whose signature would be true. */
static uint32_t any_other(const struct lie_teller *teller) {
    uint32_t drawn = (uint32_t)rng_below(teller->rng, world_node_count(teller->world) - 1);
    return drawn < teller->node ? drawn : drawn + 1;
}

static const struct identity *any_stranger(const struct lie_teller *teller) {
    return &teller->strangers->identities[rng_below(teller->rng, STRANGERS)];
}

static struct wire_travel full_travel(void) {
    return (struct wire_travel){.hops = WIRE_HOPS_MAX};
}

/* A frame under construction. */
struct draft {
    struct frame *frame;
    struct wire_writer writer;
    size_t begin;
};

static struct draft draft_begin(enum wire_kind kind, uint8_t flags) {
    struct draft draft = {.frame = must(frame_new(FRAME_BYTES_MAX))};
    draft.writer = wire_writer_of(draft.frame->data, FRAME_BYTES_MAX);
    draft.begin = wire_frame_begin(&draft.writer, kind, flags);
    return draft;
}

static struct lie draft_end(struct draft *draft, enum wire_class class) {
    wire_frame_end(&draft->writer, draft->begin);
    ASSERT(!draft->writer.has_failed);
    struct frame *frame = must(frame_copy(wire_writer_view(&draft->writer)));
    frame_unref(draft->frame);
    return (struct lie){.frame = frame, .class = class};
}

/* A session packet of any type, random behind its header. */
static size_t write_packet(const struct lie_teller *teller, uint8_t *out) {
    size_t len = WIRE_SEALED_OVERHEAD + rng_below(teller->rng, 200);
    fill(teller->rng, out, len);
    out[0] = (uint8_t)(WIRE_PACKET_INIT + rng_below(teller->rng, WIRE_PACKET_UNKNOWN));
    return len;
}

/* ---- records ---- */

/* What a lying record says; `signer` is whose key signs it. */
struct claim {
    const struct identity *signer;
    struct weft_public_key owner;
    uint64_t incarnation;
    uint64_t version;
    struct wire_peer_source body;
};

static void write_record(struct wire_writer *list, const struct claim *claim) {
    uint8_t body[RECORD_BYTES_MAX];
    uint8_t bytes[RECORD_BYTES_MAX];
    uint8_t signature[SIGNATURE_BYTES];
    struct wire_writer body_writer = wire_writer_of(body, sizeof(body));
    struct wire_writer writer = wire_writer_of(bytes, sizeof(bytes));
    wire_peer_body_encode(&body_writer, &claim->body);
    const struct wire_record record = {.kind = WIRE_RECORD_PEER,
                                       .owner = claim->owner,
                                       .incarnation = claim->incarnation,
                                       .version = claim->version,
                                       .body = wire_writer_view(&body_writer)};
    wire_record_encode_unsigned(&writer, &record);
    identity_sign(claim->signer, RECORD_DOMAIN, wire_writer_view(&writer), signature);
    wire_write_bytes(&writer, span_of(signature, sizeof(signature)));
    wire_write_u16(list, (uint16_t)writer.len);
    wire_write_bytes(list, wire_writer_view(&writer));
}

static int compare_links(const void *a, const void *b) {
    const struct wire_peer_link *left = a;
    const struct wire_peer_link *right = b;
    return weft_peer_id_compare(&left->peer, &right->peer);
}

/* Links to random others, sorted and without repeats. */
static uint32_t claim_links(const struct lie_teller *teller, struct wire_peer_link *out) {
    uint32_t count = 0;
    for (size_t i = 0; i < LINKS_CLAIMED_MAX; i++) {
        uint32_t node = any_node(teller);
        if (node != teller->node) {
            out[count++] =
                (struct wire_peer_link){.peer = *world_id(teller->world, node), .cost_us = 1};
        }
    }
    qsort(out, count, sizeof(*out), compare_links);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (kept == 0 || !weft_peer_id_equal(&out[kept - 1].peer, &out[i].peer)) {
            out[kept++] = out[i];
        }
    }
    return kept;
}

static struct lie record_of_other(const struct lie_teller *teller) {
    struct draft draft = draft_begin(WIRE_RECORDS, 0);
    const struct claim claim = {.signer = world_identity(teller->world, teller->node),
                                .owner = world_identity(teller->world, any_other(teller))->key,
                                .incarnation = VERSION_LEAP,
                                .version = 1 + rng_below(teller->rng, VERSION_LEAP),
                                .body = {.name = "forged", .software = "", .instance = 1}};
    write_record(&draft.writer, &claim);
    return draft_end(&draft, WIRE_CLASS_CONTROL);
}

/* Truly signed, but about links that are not there; at times from the end of all versions, after
 * which only a new incarnation helps. */
static struct lie record_of_self(const struct lie_teller *teller) {
    struct core_peer_view view;
    struct wire_peer_link links[LINKS_CLAIMED_MAX];
    struct core *core = world_core(teller->world, teller->node);
    const struct identity *self = world_identity(teller->world, teller->node);
    if (core == NULL || !core_find_peer(core, &self->id, &view)) {
        return record_of_other(teller);
    }
    struct draft draft = draft_begin(WIRE_RECORDS, 0);
    bool is_last = rng_below(teller->rng, 8) == 0;
    const struct claim claim = {.signer = self,
                                .owner = self->key,
                                .incarnation = view.incarnation,
                                .version = is_last ? WIRE_VERSION_LIMIT - 1
                                                   : view.version + 1 + rng_below(teller->rng, 9),
                                .body = {.name = "forged",
                                         .software = "",
                                         .instance = view.body.instance,
                                         .links = links,
                                         .link_count = claim_links(teller, links)}};
    write_record(&draft.writer, &claim);
    return draft_end(&draft, WIRE_CLASS_CONTROL);
}

static struct lie records_of_strangers(const struct lie_teller *teller) {
    struct draft draft = draft_begin(WIRE_RECORDS, 0);
    for (size_t i = 0; i < RECORDS_A_FRAME; i++) {
        const struct identity *stranger = any_stranger(teller);
        const struct claim claim = {.signer = stranger,
                                    .owner = stranger->key,
                                    .incarnation = 1,
                                    .version = ++teller->strangers->version,
                                    .body = {.name = "stranger", .software = "", .instance = 1}};
        write_record(&draft.writer, &claim);
    }
    return draft_end(&draft, WIRE_CLASS_CONTROL);
}

/* ---- broadcasts ---- */

/* The part that is signed begins behind travel, flags and digest. */
#define BROADCAST_SIGNED_AT ((size_t)(WIRE_FRAME_HEADER_BYTES + 4 + 1 + 8))

/* Whose it claims to be, on which channel. */
struct speech {
    const struct identity *signer;
    struct weft_public_key owner;
    const char *channel;
    uint64_t sequence;
};

static struct lie broadcast(const struct lie_teller *teller, const struct speech *speech) {
    uint8_t payload[64];
    static const uint8_t none[SIGNATURE_BYTES];
    struct draft draft = draft_begin(WIRE_BROADCAST, 0);
    fill(teller->rng, payload, sizeof(payload));
    const struct wire_broadcast message = {.travel = full_travel(),
                                           .flags = WIRE_BROADCAST_FLOOD,
                                           .key = speech->owner,
                                           .incarnation = 1,
                                           .sequence = speech->sequence,
                                           .channel = span_of_text(speech->channel),
                                           .payload = span_of(payload, sizeof(payload)),
                                           .signature = span_of(none, sizeof(none))};
    wire_broadcast_encode(&draft.writer, &message);
    size_t end = draft.writer.len - SIGNATURE_BYTES;
    struct span said = span_of(draft.frame->data + BROADCAST_SIGNED_AT, end - BROADCAST_SIGNED_AT);
    identity_sign(speech->signer, BROADCAST_DOMAIN, said, draft.frame->data + end);
    return draft_end(&draft, WIRE_CLASS_MESSAGE);
}

/* On the channel that applications listen to: were it taken, they would be given it. */
static struct lie broadcast_of_other(const struct lie_teller *teller) {
    const struct speech speech = {.signer = world_identity(teller->world, teller->node),
                                  .owner = world_identity(teller->world, any_other(teller))->key,
                                  .channel = "sim",
                                  .sequence = 1 + rng_below(teller->rng, VERSION_LEAP)};
    return broadcast(teller, &speech);
}

/* Truly signed by who does not exist: passed on within a quota, and nobody listens. */
static struct lie broadcast_of_stranger(const struct lie_teller *teller) {
    const struct identity *stranger =
        &teller->strangers->identities[rng_below(teller->rng, SPEAKERS)];
    const struct speech speech = {.signer = stranger,
                                  .owner = stranger->key,
                                  .channel = "flood",
                                  .sequence = ++teller->strangers->version};
    return broadcast(teller, &speech);
}

/* ---- headers in the name of others ---- */

static struct lie unicast_from(const struct lie_teller *teller, uint32_t source) {
    uint8_t packet[256];
    struct draft draft = draft_begin(WIRE_UNICAST, 0);
    const struct wire_unicast message = {.travel = full_travel(),
                                         .source = *world_id(teller->world, source),
                                         .destination = *world_id(teller->world, any_node(teller)),
                                         .packet = span_of(packet, write_packet(teller, packet))};
    wire_unicast_encode(&draft.writer, &message);
    return draft_end(&draft, WIRE_CLASS_MESSAGE);
}

static struct lie unicast_of_other(const struct lie_teller *teller) {
    return unicast_from(teller, any_other(teller));
}

static struct lie handshakes(const struct lie_teller *teller) {
    return unicast_from(teller, teller->node);
}

static struct lie carrier_of_other(const struct lie_teller *teller) {
    uint8_t packet[256];
    size_t len = write_packet(teller, packet);
    struct draft draft = draft_begin(WIRE_CARRIER, 0);
    const struct wire_carrier message = {.travel = full_travel(),
                                         .source = *world_id(teller->world, any_other(teller)),
                                         .destination = *world_id(teller->world, any_node(teller)),
                                         .flow = (uint32_t)rng_next(teller->rng),
                                         .class = WIRE_CLASS_STREAM,
                                         .length = (uint16_t)len};
    wire_carrier_encode(&draft.writer, &message);
    struct lie lie = draft_end(&draft, WIRE_CLASS_STREAM);
    lie.payload = must(frame_copy(span_of(packet, len)));
    return lie;
}

/* ---- questions ---- */

static struct lie heads(const struct lie_teller *teller) {
    struct draft draft = draft_begin(WIRE_HEADS, 0);
    for (size_t i = 0; i < 8; i++) {
        const struct wire_head head = {.source = *world_id(teller->world, any_node(teller)),
                                       .incarnation = 1 + rng_below(teller->rng, 4),
                                       .sequence = 1 + rng_below(teller->rng, 1000)};
        wire_head_encode(&draft.writer, &head);
    }
    return draft_end(&draft, WIRE_CLASS_CONTROL);
}

static struct lie pull(const struct lie_teller *teller) {
    struct draft draft = draft_begin(WIRE_PULL, 0);
    const struct wire_pull message = {.source = *world_id(teller->world, any_node(teller)),
                                      .incarnation = 1,
                                      .from = 1,
                                      .count = 64};
    wire_pull_encode(&draft.writer, &message);
    return draft_end(&draft, WIRE_CLASS_CONTROL);
}

/* Fingerprints that differ everywhere: "tell me all you have". */
static struct lie sync(const struct lie_teller *teller) {
    uint8_t entries[WIRE_SYNC_CHILDREN * WIRE_SYNC_FINGERPRINT_BYTES];
    struct draft draft = draft_begin(WIRE_SYNC, 0);
    fill(teller->rng, entries, sizeof(entries));
    const struct wire_sync_item item = {.mode = WIRE_SYNC_FINGERPRINTS,
                                        .entries = span_of(entries, sizeof(entries))};
    wire_write_u64(&draft.writer, rng_next(teller->rng));
    wire_sync_item_encode(&draft.writer, &item);
    return draft_end(&draft, WIRE_CLASS_CONTROL);
}

static struct lie heartbeat(const struct lie_teller *teller) {
    struct draft draft = draft_begin(WIRE_HEARTBEAT, 0);
    const struct wire_heartbeat message = {.flags = WIRE_HEARTBEAT_ANSWER,
                                           .sent_us = (uint32_t)rng_next(teller->rng),
                                           .digest = rng_next(teller->rng)};
    wire_heartbeat_encode(&draft.writer, &message);
    return draft_end(&draft, WIRE_CLASS_CONTROL);
}

/* ---- garbage ---- */

static struct lie garbage_of(const struct lie_teller *teller, uint8_t kind, uint8_t flags) {
    uint8_t body[GARBAGE_BYTES_MAX];
    struct draft draft = draft_begin((enum wire_kind)kind, flags);
    size_t len = rng_below(teller->rng, 4) == 0 ? 0 : rng_below(teller->rng, sizeof(body));
    fill(teller->rng, body, len);
    wire_write_bytes(&draft.writer, span_of(body, len));
    return draft_end(&draft, WIRE_CLASS_CONTROL);
}

/* ---- drawing one ---- */

typedef struct lie (*lie_maker)(const struct lie_teller *teller);

static struct lie draw(const struct lie_teller *teller, const lie_maker *makers, size_t count) {
    return makers[rng_below(teller->rng, count)](teller);
}

struct lie lie_forge(const struct lie_teller *teller) {
    static const lie_maker makers[] = {unicast_of_other,
                                       carrier_of_other,
                                       broadcast_of_other,
                                       record_of_other,
                                       record_of_self,
                                       heads,
                                       pull,
                                       unicast_of_other,
                                       carrier_of_other};
    return draw(teller, makers, sizeof(makers) / sizeof(makers[0]));
}

struct lie lie_flood(const struct lie_teller *teller) {
    static const lie_maker makers[] = {
        records_of_strangers, broadcast_of_stranger, heartbeat, handshakes, sync, pull};
    return draw(teller, makers, sizeof(makers) / sizeof(makers[0]));
}

/* Known kinds with a random body, and kinds that nobody knows. CARRIER is left to forgeries: its
 * payload's length is the link's business. CLOSE and REKEY belong to the link. */
struct lie lie_garbage(const struct lie_teller *teller) {
    size_t count;
    const struct wire_type *types = wire_types(&count);
    uint8_t kind = types[rng_below(teller->rng, count)].kind;
    uint8_t flags = (uint8_t)rng_below(teller->rng, 4);
    if (rng_below(teller->rng, 3) == 0 || kind == WIRE_CARRIER || kind == WIRE_CLOSE ||
        kind == WIRE_REKEY) {
        kind = (uint8_t)(64 + rng_below(teller->rng, 192));
    }
    return garbage_of(teller, kind, flags);
}

/* ---- what the core sends ---- */

struct frame *lie_flip(const struct frame *frame, bool is_framed, struct rng *rng) {
    size_t from = is_framed ? WIRE_FRAME_HEADER_BYTES : 0;
    size_t end = frame->len;
    struct frame *copy = must(frame_copy(frame_view(frame)));
    if (is_framed && frame->data[0] == WIRE_CARRIER) {
        end -= 2;
    }
    if (end > from) {
        uint64_t bit = rng_below(rng, 8 * (end - from));
        copy->data[from + bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
    return copy;
}

static bool is_record_of_others(struct span body, const struct identity *self) {
    struct wire_reader list = wire_reader_of(body);
    struct wire_record record;
    struct span bytes;
    while (wire_reader_more(&list) && wire_records_next(&list, &bytes) == WEFT_OK) {
        if (wire_record_decode(bytes, &record) == WEFT_OK &&
            memcmp(&record.owner, &self->key, sizeof(self->key)) != 0) {
            return true;
        }
    }
    return false;
}

bool lie_is_of_others(const struct frame *frame, const struct identity *self) {
    struct wire_reader reader = wire_reader_of(frame_view(frame));
    struct wire_frame view;
    union wire_any any;
    if (wire_frame_next(&reader, &view) != WEFT_OK) {
        return false;
    }
    const struct wire_type *type = wire_type_of(view.kind);
    if (type == NULL || type->decode(view.body, &any) != WEFT_OK) {
        return false;
    }
    if (view.kind == WIRE_UNICAST) {
        return !weft_peer_id_equal(&any.unicast.source, &self->id);
    }
    if (view.kind == WIRE_CARRIER) {
        return !weft_peer_id_equal(&any.carrier.source, &self->id);
    }
    if (view.kind == WIRE_BROADCAST) {
        return memcmp(&any.broadcast.key, &self->key, sizeof(self->key)) != 0;
    }
    if (view.kind == WIRE_DELTAS || view.kind == WIRE_NOTES) {
        return true; /* hardly ever of its own alone */
    }
    return view.kind == WIRE_RECORDS && is_record_of_others(view.body, self);
}
