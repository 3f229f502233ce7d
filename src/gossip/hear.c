/* SPDX-License-Identifier: Apache-2.0
 *
 * Records heard. The order of checks is the defence: what is cheap first (layout, what we have
 * already), then the quota of strangers, and only then the signature, which costs a thousand times
 * more than all before it.
 */
#include "gossip/internal.h"

#include "base/check.h"

/* Of one reconciliation, the first so many records are passed on, and a quarter of what we hold: a
 * newcomer that is told everything must not tell it back to all its neighbours, while a bridge
 * between two halves must pass on what the other half wrote. */
#define PASS_ON_MIN 64

static void tell_evicted(struct gossip *gossip) {
    struct record *record;
    while ((record = recordset_next_evicted(gossip->set)) != NULL) {
        (void)gossip_tell(gossip, GOSSIP_FADED, record);
        record_unref(record);
    }
}

static bool may_pass_on(const struct gossip *gossip, const struct gossip_link *from, weft_ns now) {
    if (from == NULL || !reconcile_is_running(from, now)) {
        return true;
    }
    size_t quarter = recordset_live_count(gossip->set) / 4;
    return from->sync_taken <= (quarter > PASS_ON_MIN ? quarter : PASS_ON_MIN);
}

/* Passes a record on that has just come in, or notes that it is to be when its owner is live. */
static void pass_on(struct gossip *gossip, struct record *record, struct gossip_link *from,
                    weft_ns now) {
    size_t slot = recordset_slot_of(gossip->set, record);
    bool is_live = recordset_live_at(gossip->set, slot) != NULL;
    bits_clear(&gossip->news, slot);
    gossip->changed_at = is_live ? now : gossip->changed_at;
    if (!may_pass_on(gossip, from, now)) {
        return;
    }
    if (is_live) {
        spread_record(gossip, slot, from, now);
    } else {
        (void)bits_set(&gossip->news, slot); /* short of memory: a reconciliation finds it */
    }
}

/* Makes the event that was told in advance mean nothing. */
static void untell_last(struct gossip *gossip) {
    struct gossip_event *event = ring_at(&gossip->events, gossip->events.count - 1);
    ASSERT(event != NULL && event->kind == GOSSIP_RECORD);
    event->kind = GOSSIP_NOTHING;
    record_unref(event->record);
    event->record = NULL;
}

/* Lets go of what was in the slot before, or keeps it, to tell of what replaced it by the change.
 */
static void keep_past(struct gossip *gossip, size_t slot, struct record *old,
                      enum recordset_verdict verdict, weft_ns now) {
    if (old != NULL && verdict == RECORDSET_UPDATED) {
        past_add(&gossip->past, slot, old, now);
        gossip_arm(gossip, time_after(now, PAST_IDLE_NS));
    }
    record_unref(old);
}

static enum recordset_verdict take(struct gossip *gossip, struct record *record,
                                   struct gossip_link *from, weft_ns now) {
    uint64_t before = recordset_incarnation(gossip->set, &record->owner);
    /* Told first, because a record in the set that nobody was told of would stay unknown for good.
     */
    if (!gossip_has_event_room(gossip) || !gossip_tell(gossip, GOSSIP_RECORD, record)) {
        return RECORDSET_REFUSED;
    }
    size_t slot = recordset_slot_of(gossip->set, record);
    struct record *old = recordset_at(gossip->set, slot);
    old = old != NULL ? record_ref(old) : NULL;
    enum recordset_verdict verdict = recordset_put(gossip->set, record, now);
    keep_past(gossip, slot, old, verdict, now);
    if (verdict != RECORDSET_ADDED && verdict != RECORDSET_UPDATED) {
        untell_last(gossip);
        tell_evicted(gossip);
        return verdict;
    }
    gossip->counters.records_new++;
    notes_came(gossip, record, now);
    tell_evicted(gossip);
    pass_on(gossip, record, from, now);
    lives_changed(gossip, record, before, now);
    if (!recordset_is_live(gossip->set, &record->owner)) {
        gossip_arm(gossip, time_after(now, gossip->config.fade_after));
    }
    return verdict;
}

enum recordset_verdict gossip_take(struct gossip *gossip, struct record *record,
                                   struct gossip_link *from, weft_ns now) {
    enum recordset_verdict verdict = take(gossip, record, from, now);
    if (verdict == RECORDSET_REFUSED && lives_make_room(gossip, &record->owner)) {
        verdict = take(gossip, record, from, now);
    }
    return verdict;
}

/* Sends one record to one neighbour at once, whether it counts or not. */
static void tell_directly(struct gossip *gossip, struct gossip_link *link,
                          const struct record *record) {
    struct making making = output_begin(gossip, WIRE_RECORDS);
    wire_write_u16(&making.writer, (uint16_t)record->encoded.len);
    wire_write_bytes(&making.writer, record->encoded);
    output_control(gossip, link, output_end(&making));
}

/* The neighbour's version is older. It is told of ours if a reconciliation is running: outside one
 * it has probably been told already, by somebody else or by a frame that crossed. Ours may not
 * count: it may be what makes its owner unreachable for us, such as a former life of a node whose
 * state was restored from a copy. Then only the owner can put an end to it, once it has heard. */
static void answer_older(struct gossip *gossip, struct gossip_link *link,
                         const struct record_heard *heard, size_t slot, weft_ns now) {
    bool is_owner = weft_peer_id_equal(&heard->owner, &link->peer);
    bool is_running = reconcile_is_running(link, now);
    const struct record *ours = recordset_at(gossip->set, slot);
    if (ours == NULL || (!is_owner && !is_running)) {
        return;
    }
    if (recordset_live_at(gossip->set, slot) == NULL) {
        tell_directly(gossip, link, ours);
    } else if (is_running) {
        (void)spread_pend(gossip, link, slot, PEND_BULK);
    }
}

/* Whether a record that needs a signature check may have one. */
static bool may_verify(struct gossip *gossip, struct gossip_link *link,
                       const struct weft_peer_id *owner, weft_ns now) {
    if (!gossip_has_event_room(gossip)) {
        gossip->counters.records_refused++;
        return false;
    }
    if (recordset_is_stranger(gossip->set, owner) &&
        !bucket_take(&link->strangers, 1, STRANGER_RATE, STRANGER_BURST, now)) {
        gossip->counters.records_refused++;
        gossip_blame(gossip, &link->peer, "too-many-strangers", now);
        return false;
    }
    return true;
}

/* A verified record of somebody's, ours included. */
static void hear_verified(struct gossip *gossip, struct gossip_link *link, struct record *record,
                          weft_ns now) {
    if (weft_peer_id_equal(&record->owner, &gossip->config.identity->id)) {
        own_heard(gossip, link, record, now);
        return;
    }
    if (reconcile_is_running(link, now)) {
        link->sync_taken++;
        link->sync_word_at = now;
    }
    if (gossip_take(gossip, record, link, now) == RECORDSET_REFUSED) {
        gossip->counters.records_refused++;
        gossip_blame(gossip, &link->peer, "too-many-records", now);
    }
}

/* A record that is new as far as can be told without its signature. */
static enum weft_err hear_news(struct gossip *gossip, struct gossip_link *link,
                               const struct record_heard *heard, weft_ns now) {
    struct record *record;
    if (!may_verify(gossip, link, &heard->owner, now)) {
        return WEFT_OK;
    }
    enum weft_err err = record_pool_open(gossip->config.pool, heard->encoded, &record);
    if (err != WEFT_OK) {
        gossip->counters.records_refused++;
        return err == WEFT_ERR_MEMORY ? WEFT_OK : err;
    }
    hear_verified(gossip, link, record, now);
    if (link->pending.set_count + link->noted.set_count > 0) {
        size_t slot = recordset_slot_of(gossip->set, record);
        if (recordset_at(gossip->set, slot) == record) {
            spread_unpend(link, slot);
        }
    }
    record_unref(record);
    return WEFT_OK;
}

static struct record_heard heard_of(const struct record *record) {
    return (struct record_heard){.kind = record->kind,
                                 .owner = record->owner,
                                 .key = record->key,
                                 .incarnation = record->incarnation,
                                 .version = record->version,
                                 .encoded = record->encoded};
}

/* What is in the pool need not be parsed again. */
static enum weft_err parse(const struct gossip *gossip, struct span encoded,
                           struct record_heard *out) {
    struct wire_record fields;
    const struct record *pooled = record_pool_find(gossip->config.pool, encoded);
    if (pooled != NULL) {
        *out = heard_of(pooled);
        return WEFT_OK;
    }
    enum weft_err err = wire_record_decode(encoded, &fields);
    if (err == WEFT_OK) {
        *out = (struct record_heard){.kind = fields.kind,
                                     .owner = peer_id_of_key(&fields.owner),
                                     .key = fields.key,
                                     .incarnation = fields.incarnation,
                                     .version = fields.version,
                                     .encoded = encoded};
    }
    return err;
}

enum weft_err gossip_hear_record(struct gossip *gossip, struct gossip_link *link,
                                 struct span encoded, weft_ns now) {
    struct record_heard heard;
    size_t slot;
    enum weft_err err = parse(gossip, encoded, &heard);
    if (err != WEFT_OK) {
        return err;
    }
    gossip->counters.records_in++;
    switch (recordset_judge(gossip->set, &heard, &slot)) {
    case RECORDSET_SAME: /* the neighbour has what we have: nothing is owed it */
        spread_unpend(link, slot);
        notes_repeat(gossip, link, &heard.owner, now);
        return WEFT_OK;
    case RECORDSET_OLDER:
        answer_older(gossip, link, &heard, slot, now);
        return WEFT_OK;
    case RECORDSET_ADDED:
    case RECORDSET_UPDATED:
    case RECORDSET_REFUSED:
        break;
    }
    return hear_news(gossip, link, &heard, now);
}

enum weft_err gossip_hear_records(struct gossip *gossip, struct gossip_link *link, struct span body,
                                  weft_ns now) {
    struct wire_records records;
    enum weft_err err = wire_records_decode(body, &records);
    if (err != WEFT_OK) {
        return err;
    }
    struct wire_reader list = wire_reader_of(records.list);
    while (err == WEFT_OK && wire_reader_more(&list)) {
        struct span encoded;
        err = wire_records_next(&list, &encoded);
        if (err == WEFT_OK) {
            err = gossip_hear_record(gossip, link, encoded, now);
        }
    }
    return err;
}

static enum weft_err load_verdict(enum recordset_verdict verdict) {
    switch (verdict) {
    case RECORDSET_ADDED:
    case RECORDSET_UPDATED:
    case RECORDSET_SAME:
        return WEFT_OK;
    case RECORDSET_OLDER:
        return WEFT_ERR_STALE;
    case RECORDSET_REFUSED:
        return WEFT_ERR_FULL;
    }
    return WEFT_ERR_FULL;
}

enum weft_err gossip_load(struct gossip *gossip, struct span encoded, weft_ns absence,
                          weft_ns now) {
    struct record *record;
    enum weft_err err = record_pool_open(gossip->config.pool, encoded, &record);
    if (err != WEFT_OK) {
        return err;
    }
    if (!weft_peer_id_equal(&record->owner, &gossip->config.identity->id)) {
        recordset_vouch(gossip->set, &record->owner, now);
        err = load_verdict(gossip_take(gossip, record, NULL, now));
        bits_clear(&gossip->news, recordset_slot_of(gossip->set, record));
        recordset_set_absence(gossip->set, &record->owner, absence);
    }
    record_unref(record);
    return err;
}
