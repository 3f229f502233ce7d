/* SPDX-License-Identifier: Apache-2.0
 *
 * To whom a changed record goes, and what is pending for each: a set of slots, so that a slow link
 * gets the newest version of each record once. A bounded list of urgent slots overtakes the backlog
 * of a reconciliation, which goes in the order of slots.
 */
#include "gossip/internal.h"

#include "base/check.h"

#define FAN_OUT_MIN 4 /* in a mesh of one or two, and while it forms */

/* min(2 log2(n), ...) rounded up, of the owners we know to be live or our neighbours, if more. */
static size_t fan_out(const struct gossip *gossip) {
    size_t live = recordset_live_owner_count(gossip->set);
    size_t peers = live > gossip->link_count ? live : gossip->link_count;
    size_t bits = 0;
    while (((size_t)1 << bits) < peers) {
        bits++;
    }
    return 2 * bits > FAN_OUT_MIN ? 2 * bits : FAN_OUT_MIN;
}

/* Weighs the candidates; returns how many there are. */
static size_t weigh(struct gossip *gossip, const struct gossip_link *except,
                    const struct weft_peer_id *owner, size_t *total) {
    const struct gossip_routes *routes = &gossip->config.routes;
    size_t count = 0;
    *total = 0;
    for (struct chain *at = gossip->link_order.next; at != &gossip->link_order; at = at->next) {
        struct gossip_link *link = CHAIN_OF(at, struct gossip_link, all);
        bool is_out = link == except || (owner != NULL && weft_peer_id_equal(owner, &link->peer));
        link->is_picked = false;
        link->weight = is_out ? 0 : 1 + routes->peers_behind(routes->ctx, &link->peer);
        count += is_out ? 0 : 1;
        *total += link->weight;
    }
    return count;
}

/* Draws one of the remaining candidates, by weight. */
static void draw(struct gossip *gossip, size_t *total) {
    size_t ticket = (size_t)rng_below(&gossip->rng, *total);
    for (struct chain *at = gossip->link_order.next; at != &gossip->link_order; at = at->next) {
        struct gossip_link *link = CHAIN_OF(at, struct gossip_link, all);
        if (ticket < link->weight) {
            link->is_picked = true;
            *total -= link->weight;
            link->weight = 0;
            return;
        }
        ticket -= link->weight;
    }
}

static void pick_all(struct gossip *gossip) {
    for (struct chain *at = gossip->link_order.next; at != &gossip->link_order; at = at->next) {
        struct gossip_link *link = CHAIN_OF(at, struct gossip_link, all);
        link->is_picked = link->weight > 0;
    }
}

size_t spread_pick(struct gossip *gossip, const struct gossip_link *except,
                   const struct weft_peer_id *owner) {
    size_t total;
    size_t count = weigh(gossip, except, owner, &total);
    size_t wanted = fan_out(gossip);
    if (count <= wanted) {
        pick_all(gossip);
        return count;
    }
    for (size_t i = 0; i < wanted; i++) {
        draw(gossip, &total);
    }
    return wanted;
}

struct gossip_link *spread_any(struct gossip *gossip) {
    if (gossip->link_count == 0) {
        return NULL;
    }
    uint64_t index = rng_below(&gossip->rng, gossip->link_count);
    struct chain *at = gossip->link_order.next;
    for (; index > 0; index--) {
        at = at->next;
    }
    return CHAIN_OF(at, struct gossip_link, all);
}

bool spread_pend(struct gossip *gossip, struct gossip_link *link, size_t slot, bool is_urgent) {
    if (link->pending.set_count == 0) {
        link->is_bulk = false;
        link->urgent_count = 0;
    }
    bool is_there = bits_test(&link->pending, slot);
    if (!is_there && !bits_set(&link->pending, slot)) {
        gossip->counters.dropped++;
        return false;
    }
    link->is_bulk = link->is_bulk || !is_urgent;
    if (!is_there && is_urgent && link->urgent_count < URGENT_MAX) {
        link->urgent[link->urgent_count++] = (uint32_t)slot;
    }
    output_ready(gossip, link);
    return true;
}

void spread_record(struct gossip *gossip, size_t slot, const struct gossip_link *except) {
    const struct record *record = recordset_live_at(gossip->set, slot);
    if (record == NULL || gossip->link_count == 0) {
        return;
    }
    bool is_ours = weft_peer_id_equal(&record->owner, &gossip->config.identity->id);
    (void)spread_pick(gossip, except, &record->owner);
    for (struct chain *at = gossip->link_order.next; at != &gossip->link_order; at = at->next) {
        struct gossip_link *link = CHAIN_OF(at, struct gossip_link, all);
        if (link->is_picked && (is_ours || !pace_leaves_out(gossip, link))) {
            (void)spread_pend(gossip, link, slot, true);
        }
    }
}

static void spread_one_news(void *ctx, struct record *record, bool is_live) {
    struct gossip *gossip = ctx;
    size_t slot = recordset_slot_of(gossip->set, record);
    if (is_live && bits_test(&gossip->news, slot) && recordset_live_at(gossip->set, slot) != NULL) {
        bits_clear(&gossip->news, slot);
        spread_record(gossip, slot, NULL);
    }
}

void spread_news(struct gossip *gossip, const struct weft_peer_id *owner) {
    if (gossip->news.set_count > 0) {
        recordset_each_of(gossip->set, owner, spread_one_news, gossip);
    }
}

/* The next pending slot: urgent ones first, then round the set. */
static size_t take_slot(struct gossip_link *link) {
    if (link->urgent_count > 0) {
        size_t slot = link->urgent[0];
        link->urgent_count--;
        memmove(link->urgent, link->urgent + 1, link->urgent_count * sizeof link->urgent[0]);
        return slot;
    }
    size_t slot = bits_next(&link->pending, link->cursor);
    if (slot == SIZE_MAX) {
        slot = bits_next(&link->pending, 0);
    }
    link->cursor = slot == SIZE_MAX ? 0 : slot + 1;
    return slot;
}

/* Appends pending records until `room` bytes are used; at least one. Returns how many. */
static size_t append_records(struct gossip *gossip, struct gossip_link *link,
                             struct wire_writer *writer, size_t room) {
    size_t count = 0;
    while (link->pending.set_count > 0) {
        size_t slot = take_slot(link);
        const struct record *record =
            bits_test(&link->pending, slot) ? recordset_live_at(gossip->set, slot) : NULL;
        size_t after = record != NULL ? writer->len + 2 + record->encoded.len : 0;
        if (count > 0 && after > room) {
            link->cursor = slot; /* stays pending; first of the next frame */
            return count;
        }
        bits_clear(&link->pending, slot);
        if (record != NULL) {
            wire_write_u16(writer, (uint16_t)record->encoded.len);
            wire_write_bytes(writer, record->encoded);
            count++;
        }
    }
    link->urgent_count = 0;
    return count;
}

void spread_forget_frame(struct gossip *gossip) {
    frame_unref(gossip->single);
    record_unref(gossip->single_record);
    gossip->single = NULL;
    gossip->single_record = NULL;
}

/* The slot that is all there is to send, or SIZE_MAX. */
static size_t only_slot(const struct gossip_link *link) {
    if (link->pending.set_count != 1) {
        return SIZE_MAX;
    }
    bool is_urgent = link->urgent_count > 0 && bits_test(&link->pending, link->urgent[0]);
    return is_urgent ? link->urgent[0] : bits_next(&link->pending, 0);
}

/* The frame that a neighbour was just sent, if this one is to be sent the same. */
static struct frame *take_same(struct gossip *gossip, struct gossip_link *link, size_t slot,
                               const struct record *only) {
    if (only == NULL || only != gossip->single_record) {
        return NULL;
    }
    bits_clear(&link->pending, slot);
    link->urgent_count = 0;
    return frame_ref(gossip->single);
}

static void remember_single(struct gossip *gossip, struct record *only, struct frame *frame) {
    spread_forget_frame(gossip);
    if (only != NULL && frame != NULL) {
        gossip->single = frame_ref(frame);
        gossip->single_record = record_ref(only);
    }
}

struct frame *spread_take_frame(struct gossip *gossip, struct gossip_link *link) {
    size_t slot = only_slot(link);
    struct record *only = recordset_live_at(gossip->set, slot);
    struct frame *same = take_same(gossip, link, slot, only);
    if (same != NULL) {
        return same;
    }
    struct making making = output_begin(gossip, WIRE_RECORDS);
    size_t limit = WIRE_FRAME_HEADER_BYTES + WIRE_BODY_BYTES_MAX;
    size_t room = link->room < limit ? link->room : limit;
    if (append_records(gossip, link, &making.writer, room) == 0) {
        return NULL;
    }
    struct frame *frame = output_end(&making);
    if (frame == NULL) {
        gossip->counters.dropped++; /* the digests will differ, a reconciliation finds it */
    }
    remember_single(gossip, only, frame);
    return frame;
}
