/* SPDX-License-Identifier: Apache-2.0
 *
 * Broadcasts: signed by their source, passed on along its tree while views agree, flooded while
 * they differ, delivered once. A window of 1,024 sequence numbers per source tells what is new; a
 * repeat costs no signature check.
 */
#include "gossip/internal.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/defect.h"

#define BROADCAST_DOMAIN "weft broadcast 1"
#define PULL_DELAY_NS (50 * NS_PER_MS) /* what is on its way may still come */
#define PAYLOAD_MAX ((size_t)48 * 1024)

static struct span source_key(const struct weft_peer_id *id) {
    return span_of(id->bytes, sizeof id->bytes);
}

struct source *source_find(const struct gossip *gossip, const struct weft_peer_id *id) {
    return map_find(gossip->sources, source_key(id));
}

static void source_remove(struct gossip *gossip, struct source *source) {
    chain_remove(&source->gappy);
    (void)map_remove(gossip->sources, source_key(&source->id));
    free(source);
}

/* Makes room: the oldest source that is a stranger goes. */
static void evict_source(struct gossip *gossip) {
    for (struct map_entry *at = map_first(gossip->sources); at != NULL; at = map_next(at)) {
        struct source *source = map_value(at);
        if (recordset_is_stranger(gossip->set, &source->id)) {
            source_remove(gossip, source);
            return;
        }
    }
}

static struct source *source_new(struct gossip *gossip, const struct weft_peer_id *id) {
    if (map_count(gossip->sources) >= SOURCES_MAX) {
        evict_source(gossip);
    }
    struct source *source = calloc(1, sizeof *source);
    if (source == NULL || map_add(gossip->sources, source_key(id), source) != WEFT_OK) {
        free(source);
        return NULL;
    }
    source->id = *id;
    chain_init(&source->gappy);
    return source;
}

struct source *source_get(struct gossip *gossip, const struct weft_peer_id *id,
                          uint64_t incarnation) {
    struct source *source = source_find(gossip, id);
    if (source == NULL) {
        source = source_new(gossip, id);
    }
    if (source == NULL) {
        return NULL;
    }
    if (source->incarnation < incarnation) {
        chain_remove(&source->gappy);
        memset(source->seen, 0, sizeof source->seen);
        source->incarnation = incarnation;
        source->floor = 0;
        source->top = 0;
        source->shown = 0;
    }
    return source;
}

bool source_has(const struct source *source, uint64_t sequence) {
    if (sequence <= source->floor) {
        return true;
    }
    if (sequence > source->top) {
        return false;
    }
    uint64_t bit = sequence % WINDOW;
    return (source->seen[bit / 64] >> (bit % 64) & 1) != 0;
}

static void seen_set(struct source *source, uint64_t sequence, bool is_seen) {
    uint64_t bit = sequence % WINDOW;
    uint64_t mask = (uint64_t)1 << (bit % 64);
    source->seen[bit / 64] =
        is_seen ? source->seen[bit / 64] | mask : source->seen[bit / 64] & ~mask;
}

/* Moves the floor up over what is there. */
static void settle_floor(struct source *source) {
    while (source->floor < source->top && source_has(source, source->floor + 1)) {
        source->floor++;
        seen_set(source, source->floor, false);
    }
    if (source->floor == source->top && source->shown <= source->top) {
        chain_remove(&source->gappy);
    }
}

/* Raises top, and the floor behind it if the window is too short. */
static void source_extend(struct gossip *gossip, struct source *source, uint64_t sequence) {
    if (sequence <= source->top) {
        return;
    }
    uint64_t window = source->top == 0 ? PULL_BACK_MAX : WINDOW;
    uint64_t floor = sequence > window ? sequence - window : 0;
    if (floor >= source->top) { /* nothing of the old window remains */
        gossip->counters.broadcasts_lost += source->top - source->floor;
        memset(source->seen, 0, sizeof source->seen);
        source->floor = floor;
    }
    source->top = sequence;
    while (source->floor < floor) {
        source->floor++;
        gossip->counters.broadcasts_lost += source_has(source, source->floor) ? 0 : 1;
        seen_set(source, source->floor, false);
    }
}

void source_show(struct gossip *gossip, struct source *source, uint64_t sequence,
                 const struct gossip_link *shower, weft_ns now) {
    source->shown = sequence > source->shown ? sequence : source->shown;
    settle_floor(source);
    bool is_gappy = source->floor < source->top || source->shown > source->top;
    if (is_gappy && chain_is_empty(&source->gappy)) {
        source->pull_at = time_after(now, PULL_DELAY_NS);
        source->tries = 0;
        source->shower = shower->id;
        chain_append(&gossip->gappy, &source->gappy);
        gossip_arm(gossip, source->pull_at);
    }
}

static void source_note(struct gossip *gossip, struct source *source, uint64_t sequence,
                        const struct gossip_link *from, weft_ns now) {
    source->active_at = now;
    source_extend(gossip, source, sequence);
    seen_set(source, sequence, true);
    source_show(gossip, source, sequence, from, now);
}

void broadcast_free(struct gossip *gossip) {
    if (gossip->sources != NULL) {
        for (struct map_entry *at = map_first(gossip->sources); at != NULL; at = map_next(at)) {
            free(map_value(at));
        }
        map_free(gossip->sources);
    }
    repair_forget(gossip);
}

static struct frame *encode(struct gossip *gossip, const struct wire_broadcast *broadcast) {
    struct making making = output_begin(gossip, WIRE_BROADCAST);
    wire_broadcast_encode(&making.writer, broadcast);
    return output_end(&making);
}

static bool is_child(const struct gossip_link *link, const struct weft_peer_id *children,
                     size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (weft_peer_id_equal(&link->peer, &children[i])) {
            return true;
        }
    }
    return false;
}

/* Picks the links of the tree: our children, and neighbours no route reaches yet, which no tree
 * holds. False when a child has no link any more: then the tree does not do. */
static bool pick_tree(struct gossip *gossip, const struct weft_peer_id *source,
                      const struct gossip_link *from) {
    struct weft_peer_id children[WIRE_LINKS_MAX];
    const struct gossip_routes *routes = &gossip->config.routes;
    size_t count = routes->children(routes->ctx, source, children, WIRE_LINKS_MAX);
    size_t found = 0;
    count = count < WIRE_LINKS_MAX ? count : WIRE_LINKS_MAX;
    for (size_t i = 0; i < gossip->links.count; i++) {
        struct gossip_link *link = gossip->links.items[i];
        bool is_in = is_child(link, children, count);
        ASSERT(link != NULL); /* `from` may be: the analyzer takes them for one */
        link->is_picked = link != from && (is_in || !recordset_is_live(gossip->set, &link->peer));
        found += is_in ? 1 : 0;
    }
    return found >= count;
}

static void pick_flood(struct gossip *gossip, const struct weft_peer_id *source,
                       const struct gossip_link *from) {
    for (size_t i = 0; i < gossip->links.count; i++) {
        struct gossip_link *link = gossip->links.items[i];
        ASSERT(link != NULL); /* `from` may be: the analyzer takes them for one */
        link->is_picked = link != from && !weft_peer_id_equal(&link->peer, source);
    }
}

static void send_picked(struct gossip *gossip, struct frame *frame) {
    for (size_t i = 0; i < gossip->links.count; i++) {
        struct gossip_link *link = gossip->links.items[i];
        if (link->is_picked) {
            output_message(gossip, link, frame != NULL ? frame_ref(frame) : NULL);
        }
    }
}

/* Sends a broadcast on its way; `from` is NULL for one of ours. */
static void send_on(struct gossip *gossip, const struct wire_broadcast *broadcast,
                    const struct weft_peer_id *source, const struct gossip_link *from) {
    struct wire_broadcast onward = *broadcast;
    uint64_t digest = gossip->config.routes.digest(gossip->config.routes.ctx);
    bool is_tree = (broadcast->flags & WIRE_BROADCAST_FLOOD) == 0 && broadcast->digest == digest;
    if (from != NULL && broadcast->travel.hops <= 1) {
        return;
    }
    onward.travel.hops = (uint8_t)(broadcast->travel.hops - (from != NULL ? 1 : 0));
    if (!is_tree || !pick_tree(gossip, source, from)) {
        onward.flags |= WIRE_BROADCAST_FLOOD;
        pick_flood(gossip, source, from);
    }
    struct frame *frame = encode(gossip, &onward);
    send_picked(gossip, frame);
    frame_unref(frame);
}

static struct channel *channel_with_broadcast(const struct gossip *gossip, struct span name) {
    struct channel *channel = channel_find(gossip, name);
    return channel != NULL && channel->gossiper.broadcast != NULL ? channel : NULL;
}

/* Delivers; true if it is to be passed on, which it is where nobody listens. */
static bool deliver(struct gossip *gossip, const struct weft_peer_id *source,
                    const struct wire_broadcast *broadcast) {
    struct channel *channel = channel_with_broadcast(gossip, broadcast->channel);
    if (channel == NULL) {
        return true;
    }
    return channel->gossiper.broadcast(channel->gossiper.ctx, source, broadcast->payload);
}

/* Whether it is known, ours, or of a former life: then there is nothing to verify or do. */
static bool is_repeat(const struct gossip *gossip, const struct weft_peer_id *id,
                      const struct wire_broadcast *broadcast) {
    if (weft_peer_id_equal(id, &gossip->config.identity->id)) {
        return true;
    }
    const struct source *source = source_find(gossip, id);
    if (source == NULL || broadcast->incarnation > source->incarnation) {
        return broadcast->incarnation < recordset_incarnation(gossip->set, id);
    }
    bool is_known = source_has(source, broadcast->sequence) && !DEFECT(BROADCAST_REPEATED);
    return broadcast->incarnation < source->incarnation || is_known;
}

/* Strangers' first broadcasts cost a signature check and a window each: a quota per link. */
static bool may_verify(struct gossip *gossip, struct gossip_link *link,
                       const struct weft_peer_id *id, weft_ns now) {
    if (!recordset_is_stranger(gossip->set, id) ||
        bucket_take(&link->stranger_broadcasts, 1, STRANGER_BROADCAST_RATE,
                    STRANGER_BROADCAST_BURST, now)) {
        return true;
    }
    gossip_blame(gossip, &link->peer, "too-many-strangers", now);
    return false;
}

enum weft_err broadcast_hear(struct gossip *gossip, struct gossip_link *link, struct span body,
                             weft_ns now) {
    struct wire_broadcast broadcast;
    enum weft_err err = wire_broadcast_decode(body, &broadcast);
    if (err != WEFT_OK) {
        return err;
    }
    struct weft_peer_id id = peer_id_of_key(&broadcast.key);
    if (is_repeat(gossip, &id, &broadcast)) {
        gossip->counters.broadcasts_repeated++;
        return WEFT_OK;
    }
    if (!may_verify(gossip, link, &id, now)) {
        return WEFT_OK;
    }
    if (!DEFECT(BROADCAST_UNSIGNED) &&
        !record_pool_verify(gossip->config.pool, &broadcast.key, BROADCAST_DOMAIN,
                            broadcast.signed_part, broadcast.signature.data)) {
        return WEFT_ERR_AUTH;
    }
    struct source *source = source_get(gossip, &id, broadcast.incarnation);
    if (source == NULL) {
        gossip->counters.dropped++;
        return WEFT_OK;
    }
    gossip->counters.broadcasts_new++;
    source_note(gossip, source, broadcast.sequence, link, now);
    repair_keep(gossip, &broadcast, &id, now);
    if (deliver(gossip, &id, &broadcast)) {
        send_on(gossip, &broadcast, &id, link);
    }
    return WEFT_OK;
}

/* Signs one of ours into `encoded`, and decodes it back. */
static enum weft_err sign(const struct gossip *gossip, struct wire_broadcast *broadcast,
                          struct wire_writer *writer) {
    static const uint8_t blank[SIGNATURE_BYTES];
    broadcast->signature = span_of(blank, sizeof blank);
    wire_broadcast_encode(writer, broadcast);
    if (writer->has_failed ||
        wire_broadcast_decode(wire_writer_view(writer), broadcast) != WEFT_OK) {
        return WEFT_ERR_INVALID;
    }
    identity_sign(gossip->config.identity, BROADCAST_DOMAIN, broadcast->signed_part,
                  writer->data + writer->len - SIGNATURE_BYTES);
    return WEFT_OK;
}

enum weft_err gossip_channel_broadcast(struct gossip *gossip, const char *name, struct span payload,
                                       weft_ns now) {
    if (payload.len > PAYLOAD_MAX) {
        return WEFT_ERR_INVALID;
    }
    if (channel_find(gossip, span_of_text(name)) == NULL) {
        return WEFT_ERR_NOT_FOUND;
    }
    uint8_t *bytes = malloc(WIRE_BODY_BYTES_MAX);
    if (bytes == NULL) {
        return WEFT_ERR_MEMORY;
    }
    struct wire_writer writer = wire_writer_of(bytes, WIRE_BODY_BYTES_MAX);
    struct wire_broadcast broadcast = {.travel = {.hops = WIRE_HOPS_MAX},
                                       .digest =
                                           gossip->config.routes.digest(gossip->config.routes.ctx),
                                       .key = gossip->config.identity->key,
                                       .incarnation = gossip->incarnation,
                                       .sequence = gossip->sequence + 1,
                                       .channel = span_of_text(name),
                                       .payload = payload};
    enum weft_err err = sign(gossip, &broadcast, &writer);
    if (err == WEFT_OK) {
        gossip->sequence++;
        repair_keep(gossip, &broadcast, &gossip->config.identity->id, now);
        send_on(gossip, &broadcast, &gossip->config.identity->id, NULL);
    }
    free(bytes);
    return err;
}
