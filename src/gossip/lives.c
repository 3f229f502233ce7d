/* SPDX-License-Identifier: Apache-2.0
 *
 * The ends of lives. What an owner said in a former life is kept for a while when its next begins:
 * the peer record that begins it may come long before the rest, by another way, and who asks for a
 * service in between would be told that there is none. Records of owners that are gone fade.
 */
#include "gossip/internal.h"

#include "base/check.h"

/* Where a push was missed, sets are equal again within some 2 s of each hop: a heartbeat, the time
 * for which digests must differ, and the time by which the larger id yields. */
#define FORMER_NS (5 * NS_PER_S)
static void tell_faded(void *ctx, struct record *record) {
    struct gossip *gossip = ctx;
    size_t slot = recordset_slot_of(gossip->set, record);
    if (slot != SIZE_MAX) {
        bits_clear(&gossip->news, slot);
    }
    (void)gossip_tell(gossip, GOSSIP_FADED, record);
}

static size_t drop_former(struct gossip *gossip, const struct former *former) {
    return recordset_drop_former(gossip->set, &former->owner, former->incarnation, tell_faded,
                                 gossip);
}

static void drop_first(struct gossip *gossip) {
    struct former former;
    if (ring_pop(&gossip->formers, &former)) {
        (void)drop_former(gossip, &former);
    }
    if (gossip->formers.count == 0) { /* lives seldom begin: keep no room for them */
        ring_fini(&gossip->formers);
        ring_init(&gossip->formers, sizeof(struct former), FORMERS_MAX);
    }
}

/* Ours need no patience: all are signed anew before the peer record is. */
static void end_former(struct gossip *gossip, const struct record *record, weft_ns now) {
    const struct former former = {.owner = record->owner,
                                  .incarnation = record->incarnation,
                                  .due = time_after(now, FORMER_NS)};
    if (gossip->formers.count == FORMERS_MAX) {
        drop_first(gossip);
    }
    bool is_ours = weft_peer_id_equal(&record->owner, &gossip->config.identity->id);
    if (is_ours || ring_push(&gossip->formers, &former) != WEFT_OK) {
        (void)drop_former(gossip, &former);
        return;
    }
    gossip_arm(gossip, former.due);
}

void lives_changed(struct gossip *gossip, const struct record *record, uint64_t incarnation_before,
                   weft_ns now) {
    if (record->kind == WIRE_RECORD_PEER && record->incarnation != incarnation_before) {
        if (recordset_owner_count(gossip->set, &record->owner) > 1) {
            end_former(gossip, record, now);
        }
        spread_news(gossip, &record->owner, now);
    }
}

bool lives_make_room(struct gossip *gossip, const struct weft_peer_id *owner) {
    const struct former former = {.owner = *owner,
                                  .incarnation = recordset_incarnation(gossip->set, owner)};
    return drop_former(gossip, &former) > 0;
}

static void fade(struct gossip *gossip, weft_ns now) {
    weft_ns since;
    struct weft_peer_id owner;
    while (recordset_gone_since(gossip->set, &since, &owner)) {
        weft_ns due = time_after(since, gossip->config.fade_after);
        if (due > now || !gossip_has_event_room(gossip)) {
            gossip_arm(gossip, due > now ? due : time_after(now, NS_PER_S));
            return;
        }
        recordset_drop_owner(gossip->set, &owner, tell_faded, gossip);
    }
}

static void end_formers(struct gossip *gossip, weft_ns now) {
    const struct former *first = ring_at(&gossip->formers, 0);
    while (first != NULL) {
        if (first->due > now || !gossip_has_event_room(gossip)) {
            gossip_arm(gossip, first->due > now ? first->due : time_after(now, NS_PER_S));
            return;
        }
        drop_first(gossip);
        first = ring_at(&gossip->formers, 0);
    }
}

void lives_tick(struct gossip *gossip, weft_ns now) {
    end_formers(gossip, now);
    fade(gossip, now);
}
