/* SPDX-License-Identifier: Apache-2.0
 *
 * To whom a changed record goes, and what is pending for each: a set of slots, so that a slow link
 * gets the newest version of each record once. A bounded list of urgent slots overtakes the backlog
 * of a reconciliation, which goes in the order of slots.
 */
#include "gossip/internal.h"

#include "base/check.h"

#define FAN_OUT_MIN 4   /* in a mesh of one or two, and while it forms */
#define FAN_OUT_CROWD 6 /* of a node through which many join: they have others, or soon will */

/* min(2 log2(n), ...) rounded up, of the owners we know to be live or our neighbours, if more. */
static size_t fan_out(const struct gossip *gossip) {
    size_t live = recordset_live_owner_count(gossip->set);
    size_t peers = live > gossip->links.count ? live : gossip->links.count;
    size_t bits = 0;
    while (((size_t)1 << bits) < peers) {
        bits++;
    }
    size_t wanted = 2 * bits > FAN_OUT_MIN ? 2 * bits : FAN_OUT_MIN;
    bool is_crowded = gossip->links.count > CROWD_LINKS && wanted > FAN_OUT_CROWD;
    return is_crowded ? FAN_OUT_CROWD : wanted;
}

/* Weighs the candidates; returns how many there are. */
static size_t weigh(struct gossip *gossip, const struct gossip_link *except,
                    const struct weft_peer_id *owner, size_t *total) {
    const struct gossip_routes *routes = &gossip->config.routes;
    size_t count = 0;
    *total = 0;
    for (size_t i = 0; i < gossip->links.count; i++) {
        struct gossip_link *link = gossip->links.items[i];
        link->is_picked = false;
        bool is_out = link == except || (owner != NULL && weft_peer_id_equal(owner, &link->peer));
        link->weight = is_out ? 0 : 1 + routes->peers_behind(routes->ctx, &link->peer);
        count += is_out ? 0 : 1;
        *total += link->weight;
    }
    return count;
}

/* Draws one of the remaining candidates, by weight. */
static void draw(struct gossip *gossip, size_t *total) {
    size_t ticket = (size_t)rng_below(&gossip->rng, *total);
    for (size_t i = 0; i < gossip->links.count; i++) {
        struct gossip_link *link = gossip->links.items[i];
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
    for (size_t i = 0; i < gossip->links.count; i++) {
        struct gossip_link *link = gossip->links.items[i];
        link->is_picked = link->weight > 0;
    }
}

/* Picks those that count on us, of those whom we feed. Takes them from the candidates; returns how
 * many. */
static size_t pick_dependent(struct gossip *gossip, size_t *total, weft_ns now) {
    size_t count = 0;
    for (size_t i = 0; i < gossip->links.count; i++) {
        struct gossip_link *link = gossip->links.items[i];
        if (link->weight > 0 && link->is_eager && pace_is_dependent(gossip, link, now)) {
            link->is_picked = true;
            *total -= link->weight;
            link->weight = 0;
            count++;
        }
    }
    return count;
}

size_t spread_pick(struct gossip *gossip, const struct gossip_link *except,
                   const struct weft_peer_id *owner, weft_ns now) {
    size_t total;
    size_t count = weigh(gossip, except, owner, &total);
    size_t wanted = fan_out(gossip);
    if (count <= wanted) {
        pick_all(gossip);
        return count;
    }
    size_t dependent = pick_dependent(gossip, &total, now);
    size_t drawn = count - dependent < wanted ? count - dependent : wanted;
    for (size_t i = 0; i < drawn; i++) {
        draw(gossip, &total);
    }
    return dependent + drawn;
}

struct gossip_link *spread_any(struct gossip *gossip) {
    if (gossip->links.count == 0) {
        return NULL;
    }
    return gossip->links.items[rng_below(&gossip->rng, gossip->links.count)];
}

/* Where it is noted in which form a record is to go; NULL: it is the change since the last version.
 */
static struct bits *form_of(struct gossip_link *link, enum pend pend, bool is_there) {
    if (pend == PEND_WHOLE || pend == PEND_BULK) {
        return &link->whole;
    }
    return is_there || pend == PEND_ROW ? &link->skipped : NULL;
}

bool spread_pend(struct gossip *gossip, struct gossip_link *link, size_t slot, enum pend pend) {
    if (link->pending.set_count == 0) {
        link->is_bulk = false;
        link->urgent_count = 0;
    }
    bool is_there = bits_test(&link->pending, slot);
    struct bits *form = form_of(link, pend, is_there);
    if ((!is_there && !bits_set(&link->pending, slot)) || (form != NULL && !bits_set(form, slot))) {
        gossip->counters.dropped++;
        return false;
    }
    link->is_bulk = link->is_bulk || pend == PEND_BULK;
    if (!is_there && pend != PEND_BULK && link->urgent_count < URGENT_MAX) {
        link->urgent[link->urgent_count++] = (uint32_t)slot;
    }
    output_ready(gossip, link);
    return true;
}

void spread_unpend(struct gossip_link *link, size_t slot) {
    bits_clear(&link->pending, slot);
    bits_clear(&link->whole, slot);
    bits_clear(&link->skipped, slot);
    bits_clear(&link->noted, slot);
}

void spread_unpend_all(struct gossip_link *link) {
    bits_fini(&link->pending);
    bits_fini(&link->whole);
    bits_fini(&link->skipped);
    bits_fini(&link->noted);
    link->urgent_count = 0;
}

/* Our own news go to all who are to hear of them at once: near us they are needed soonest. So do
 * others' where there are few. */
static void spread_to(struct gossip *gossip, struct gossip_link *link, size_t slot, bool is_for_all,
                      weft_ns now) {
    if (is_for_all || link->is_eager) {
        (void)spread_pend(gossip, link, slot, PEND_NEWS);
    } else {
        notes_add(gossip, link, slot, now);
    }
}

void spread_record(struct gossip *gossip, size_t slot, const struct gossip_link *except,
                   weft_ns now) {
    const struct record *record = recordset_live_at(gossip->set, slot);
    if (record == NULL || gossip->links.count == 0) {
        return;
    }
    bool is_ours = weft_peer_id_equal(&record->owner, &gossip->config.identity->id);
    bool is_for_all = notes_are_calm(gossip, now) || is_ours;
    (void)spread_pick(gossip, except, &record->owner, now);
    for (size_t i = 0; i < gossip->links.count; i++) {
        struct gossip_link *link = gossip->links.items[i];
        if (link->is_picked && (is_ours || !pace_leaves_out(gossip, link, now))) {
            spread_to(gossip, link, slot, is_for_all, now);
        } else if ((link->is_picked || link->weight > 0) && pace_sends_note(gossip, link, now)) {
            notes_add(gossip, link, slot, now);
        }
    }
}

struct spreading {
    struct gossip *gossip;
    weft_ns now;
};

static void spread_one_news(void *ctx, struct record *record, bool is_live) {
    struct spreading *spreading = ctx;
    struct gossip *gossip = spreading->gossip;
    size_t slot = recordset_slot_of(gossip->set, record);
    if (is_live && bits_test(&gossip->news, slot) && recordset_live_at(gossip->set, slot) != NULL) {
        bits_clear(&gossip->news, slot);
        spread_record(gossip, slot, NULL, spreading->now);
    }
}

void spread_news(struct gossip *gossip, const struct weft_peer_id *owner, weft_ns now) {
    struct spreading spreading = {gossip, now};
    if (gossip->news.set_count > 0) {
        recordset_each_of(gossip->set, owner, spread_one_news, &spreading);
    }
}

/* The next pending slot: urgent ones first, then round the set. */
static size_t peek_slot(struct gossip_link *link) {
    while (link->urgent_count > 0) {
        if (bits_test(&link->pending, link->urgent[0])) {
            return link->urgent[0];
        }
        link->urgent_count--; /* taken back */
        memmove(link->urgent, link->urgent + 1, link->urgent_count * sizeof link->urgent[0]);
    }
    size_t slot = bits_next(&link->pending, link->cursor);
    return slot != SIZE_MAX ? slot : bits_next(&link->pending, 0);
}

/* What peek_slot gave is sent, or there is nothing to send. */
static void take_slot(struct gossip_link *link, size_t slot) {
    if (link->urgent_count > 0 && link->urgent[0] == slot) {
        link->urgent_count--;
        memmove(link->urgent, link->urgent + 1, link->urgent_count * sizeof link->urgent[0]);
    } else {
        link->cursor = slot + 1;
    }
    spread_unpend(link, slot);
}

/* The version from which a neighbour is told what changed; NULL: it is told all. One that was sent
 * nothing since the row of changes began has what was there before them. */
static struct record *base_for(const struct gossip *gossip, const struct gossip_link *link,
                               size_t slot, const struct record *record) {
    if (bits_test(&link->whole, slot)) {
        return NULL;
    }
    return bits_test(&link->skipped, slot) ? past_first(&gossip->past, slot, record)
                                           : past_last(&gossip->past, slot, record);
}

/* One record as it stands in a frame. */
struct item {
    uint8_t kind; /* of the frame it can stand in */
    struct span whole;
    struct wire_writer delta;
    uint8_t bytes[DELTA_BYTES_MAX];
};

static void item_of(struct item *item, const struct record *record, const struct record *base) {
    item->delta = wire_writer_of(item->bytes, sizeof item->bytes);
    bool is_delta = base != NULL && record_pool_delta(&item->delta, base, record);
    item->kind = is_delta ? WIRE_DELTAS : WIRE_RECORDS;
    item->whole = record->encoded;
}

static size_t item_len(const struct item *item) {
    return item->kind == WIRE_DELTAS ? item->delta.len : sizeof(uint16_t) + item->whole.len;
}

static void item_append(const struct item *item, struct wire_writer *writer) {
    if (item->kind == WIRE_DELTAS) {
        wire_write_bytes(writer, wire_writer_view(&item->delta));
        return;
    }
    wire_write_u16(writer, (uint16_t)item->whole.len);
    wire_write_bytes(writer, item->whole);
}

/* Appends pending records of one form until `room` bytes are used; at least one. Returns how many,
 * and in which kind of frame they belong. */
static size_t append_records(struct gossip *gossip, struct gossip_link *link,
                             struct wire_writer *writer, size_t room, uint8_t *kind) {
    struct item item;
    size_t count = 0;
    while (link->pending.set_count > 0) {
        size_t slot = peek_slot(link);
        const struct record *record = recordset_live_at(gossip->set, slot);
        if (record == NULL) {
            take_slot(link, slot);
            continue;
        }
        item_of(&item, record, base_for(gossip, link, slot, record));
        if (count > 0 && (item.kind != *kind || writer->len + item_len(&item) > room)) {
            return count; /* the first of the next frame */
        }
        *kind = item.kind;
        item_append(&item, writer);
        take_slot(link, slot);
        count++;
    }
    link->urgent_count = 0;
    return count;
}

void spread_forget_frame(struct gossip *gossip) {
    frame_unref(gossip->single);
    record_unref(gossip->single_record);
    record_unref(gossip->single_base);
    gossip->single = NULL;
    gossip->single_record = NULL;
    gossip->single_base = NULL;
}

/* The slot that is all there is to send, or SIZE_MAX. */
static size_t only_slot(struct gossip_link *link) {
    return link->pending.set_count == 1 ? peek_slot(link) : SIZE_MAX;
}

/* The frame that a neighbour was just sent, if this one is to be sent the same. */
static struct frame *take_same(struct gossip *gossip, struct gossip_link *link, size_t slot,
                               const struct record *only, const struct record *base) {
    if (only == NULL || only != gossip->single_record || base != gossip->single_base) {
        return NULL;
    }
    take_slot(link, slot);
    link->urgent_count = 0;
    return frame_ref(gossip->single);
}

static void remember_single(struct gossip *gossip, struct record *only, struct record *base,
                            struct frame *frame) {
    spread_forget_frame(gossip);
    if (only != NULL && frame != NULL) {
        gossip->single = frame_ref(frame);
        gossip->single_record = record_ref(only);
        gossip->single_base = base != NULL ? record_ref(base) : NULL;
    }
}

struct frame *spread_take_frame(struct gossip *gossip, struct gossip_link *link) {
    size_t slot = only_slot(link);
    struct record *only = recordset_live_at(gossip->set, slot);
    struct record *base = only != NULL ? base_for(gossip, link, slot, only) : NULL;
    struct frame *same = take_same(gossip, link, slot, only, base);
    if (same != NULL) {
        return same;
    }
    struct making making = output_begin(gossip, WIRE_RECORDS);
    size_t limit = WIRE_FRAME_HEADER_BYTES + WIRE_BODY_BYTES_MAX;
    size_t room = link->room < limit ? link->room : limit;
    uint8_t kind = WIRE_RECORDS;
    if (append_records(gossip, link, &making.writer, room, &kind) == 0) {
        return NULL;
    }
    making.writer.data[making.begin] = kind;
    struct frame *frame = output_end(&making);
    if (frame == NULL) {
        gossip->counters.dropped++; /* the digests will differ, a reconciliation finds it */
    }
    remember_single(gossip, only, base, frame);
    return frame;
}
