/* SPDX-License-Identifier: Apache-2.0
 *
 * Records of ours. All carry the present incarnation; raising it signs every one again, the peer
 * record last, so that it drops nothing but tombstones and what is left of a former life.
 */
#include "gossip/internal.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/defect.h"

/* An instance that comes back above us so soon is alive. Longer than a clone stays off (the core's
 * QUARANTINE) and then takes to link again: else it would not be found a second time. */
#define CLONE_WINDOW_NS (300 * NS_PER_S)
/* How often one is told of. */
#define CLONE_GAP_NS (10 * NS_PER_S)
/* A neighbour's word that our key lives elsewhere too and the other's record prove it together, if
 * they come so close to each other. */
#define CLONE_PROOF_NS (10 * NS_PER_S)
/* How long who is to go, if the other lives, leaves it the last word: its links come back, and with
 * them word of us, within the dialler's first waits. */
#define YIELD_NS NS_PER_S
#define RAISE_RETRY_NS NS_PER_S

static const struct weft_peer_id *self_of(const struct gossip *gossip) {
    return &gossip->config.identity->id;
}

static bool is_present(const struct gossip *gossip, const struct record *record) {
    return record != NULL && record->incarnation == gossip->incarnation;
}

static enum weft_err put_own(struct gossip *gossip, const struct wire_record *fields, weft_ns now) {
    struct record *record;
    enum weft_err err = record_sign(gossip->config.identity, fields, &record);
    if (err != WEFT_OK) {
        return err;
    }
    record = record_pool_share(gossip->config.pool, record);
    enum recordset_verdict verdict = gossip_take(gossip, record, NULL, now);
    record_unref(record);
    return verdict == RECORDSET_REFUSED ? WEFT_ERR_FULL : WEFT_OK;
}

/* Our records, referenced; the caller frees the array. */
struct own_list {
    struct record **records;
    size_t count;
    size_t size;
};

static void own_list_add(void *ctx, struct record *record, bool is_live) {
    struct own_list *list = ctx;
    (void)is_live;
    if (list->count < list->size) {
        list->records[list->count++] = record_ref(record);
    }
}

static enum weft_err own_list_init(const struct gossip *gossip, struct own_list *list) {
    *list = (struct own_list){.size = recordset_owner_count(gossip->set, self_of(gossip))};
    list->records = calloc(list->size + 1, sizeof(struct record *));
    if (list->records == NULL) {
        return WEFT_ERR_MEMORY;
    }
    recordset_each_of(gossip->set, self_of(gossip), own_list_add, list);
    return WEFT_OK;
}

static void own_list_fini(struct own_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        record_unref(list->records[i]);
    }
    free(list->records);
}

/* Signs one of ours again in the present incarnation. */
static enum weft_err sign_again(struct gossip *gossip, const struct record *record, weft_ns now) {
    struct wire_record fields = {.kind = record->kind,
                                 .key = record->key,
                                 .incarnation = gossip->incarnation,
                                 .version = 1,
                                 .body = record->body};
    return put_own(gossip, &fields, now);
}

static enum weft_err sign_all(struct gossip *gossip, const struct own_list *list, bool is_peer,
                              weft_ns now) {
    enum weft_err err = WEFT_OK;
    for (size_t i = 0; i < list->count && err == WEFT_OK; i++) {
        const struct record *record = list->records[i];
        if ((record->kind == WIRE_RECORD_PEER) == is_peer && !record->is_tombstone &&
            !is_present(gossip, record)) {
            err = sign_again(gossip, record, now);
        }
    }
    return err;
}

/* Brings every own record into the present incarnation; tried again later if memory is short. */
static void move_all(struct gossip *gossip, weft_ns now) {
    struct own_list list;
    enum weft_err err = own_list_init(gossip, &list);
    if (err == WEFT_OK) {
        err = sign_all(gossip, &list, false, now);
        if (err == WEFT_OK) {
            err = sign_all(gossip, &list, true, now);
        }
        own_list_fini(&list);
    }
    gossip->owes_raise = err != WEFT_OK;
    if (gossip->owes_raise) {
        gossip_arm(gossip, time_after(now, RAISE_RETRY_NS));
    }
}

/* Begins a new incarnation. */
static enum weft_err begin_life(struct gossip *gossip, uint64_t incarnation, weft_ns now) {
    if (incarnation >= WIRE_VERSION_LIMIT) {
        return WEFT_ERR_FULL; /* only our own key can have brought us here */
    }
    gossip->incarnation = incarnation;
    gossip->sequence = 0;
    gossip->joined_at = 0;
    (void)gossip_tell(gossip, GOSSIP_OWN, NULL);
    move_all(gossip, now);
    return WEFT_OK;
}

/* Signs and puts a record of ours, its version at least `version_min`. */
static enum weft_err publish(struct gossip *gossip, struct wire_record *fields,
                             uint64_t version_min, weft_ns now) {
    const struct record *known =
        recordset_find(gossip->set, fields->kind, self_of(gossip), fields->key);
    uint64_t version = is_present(gossip, known) ? known->version + 1 : 1;
    version = version < version_min ? version_min : version;
    if (version >= WIRE_VERSION_LIMIT) {
        enum weft_err err = begin_life(gossip, gossip->incarnation + 1, now);
        if (err != WEFT_OK) {
            return err;
        }
        known = recordset_find(gossip->set, fields->kind, self_of(gossip), fields->key);
        version = is_present(gossip, known) ? known->version + 1 : 1;
    }
    fields->incarnation = gossip->incarnation;
    fields->version = version;
    return put_own(gossip, fields, now);
}

enum weft_err gossip_publish(struct gossip *gossip, uint16_t kind, struct span key,
                             struct span body, weft_ns now) {
    if (key.len > WIRE_RECORD_KEY_MAX || body.len > WIRE_RECORD_BODY_MAX) {
        return WEFT_ERR_INVALID;
    }
    const struct record *known = recordset_find(gossip->set, kind, self_of(gossip), key);
    if (is_present(gossip, known) && !known->is_tombstone && span_equal(known->body, body)) {
        return WEFT_OK;
    }
    struct wire_record fields = {.kind = kind, .key = key, .body = body};
    return publish(gossip, &fields, 1, now);
}

static void count_tombstone(void *ctx, struct record *record, bool is_live) {
    size_t *count = ctx;
    (void)is_live;
    *count += record->is_tombstone ? 1 : 0;
}

enum weft_err gossip_withdraw(struct gossip *gossip, uint16_t kind, struct span key, weft_ns now) {
    if (key.len > WIRE_RECORD_KEY_MAX) {
        return WEFT_ERR_INVALID;
    }
    const struct record *known = recordset_find(gossip->set, kind, self_of(gossip), key);
    if (known == NULL) {
        return WEFT_ERR_NOT_FOUND;
    }
    if (known->is_tombstone) {
        return WEFT_OK;
    }
    struct wire_record fields = {.kind = kind, .flags = WIRE_RECORD_TOMBSTONE, .key = key};
    enum weft_err err = publish(gossip, &fields, 1, now);
    size_t tombstones = 0;
    recordset_each_of(gossip->set, self_of(gossip), count_tombstone, &tombstones);
    if (err == WEFT_OK && tombstones * 2 > gossip->config.records.owner_records_max) {
        return begin_life(gossip, gossip->incarnation + 1, now); /* drops them everywhere */
    }
    return err;
}

/* The instance that a peer record speaks of; 0 if its body says nothing. */
static uint64_t instance_of(const struct record *record) {
    struct wire_peer_body body;
    if (record->kind != WIRE_RECORD_PEER || wire_peer_body_decode(record->body, &body) != WEFT_OK) {
        return 0;
    }
    return body.instance;
}

static bool is_recent(weft_ns at, weft_ns span, weft_ns now) {
    return at != 0 && time_since(at, now) < span;
}

static void tell_clone(struct gossip *gossip, weft_ns now) {
    if (!is_recent(gossip->clone_at, CLONE_GAP_NS, now) &&
        gossip_tell(gossip, GOSSIP_CLONE, gossip->rival)) {
        gossip->clone_at = now;
    }
    if (instance_of(gossip->rival) < gossip->config.instance) {
        gossip->yield_until = 0; /* it lives, so it keeps the last word */
    }
}

/* Another instance's peer record above ours. A former life is raised above once and for all; who
 * comes back above that, soon, is alive. So is who took a link of ours: that one of a former life
 * is closed for the next, nobody reads. */
static void watch_clone(struct gossip *gossip, struct record *record, uint64_t instance,
                        weft_ns now) {
    bool is_back =
        gossip->raised_for == instance && is_recent(gossip->raised_at, CLONE_WINDOW_NS, now);
    record_unref(gossip->rival);
    gossip->rival = record_ref(record);
    gossip->rival_at = now;
    if (is_back || is_recent(gossip->clone_heard_at, CLONE_PROOF_NS, now)) {
        tell_clone(gossip, now);
    }
}

void gossip_clone_heard(struct gossip *gossip, weft_ns now) {
    gossip->clone_heard_at = now;
    if (is_recent(gossip->rival_at, CLONE_PROOF_NS, now)) {
        tell_clone(gossip, now);
    }
}

/* Begins a life above the other instance's. */
static enum weft_err outdo(struct gossip *gossip, weft_ns now) {
    gossip->raised_at = now;
    gossip->raised_for = instance_of(gossip->rival);
    gossip->yield_until = 0;
    return begin_life(gossip, gossip->rival->incarnation + 1, now);
}

/* Puts ours above a newer version of the present incarnation that is not ours. */
static enum weft_err raise_one(struct gossip *gossip, struct record *heard,
                               struct gossip_link *link, weft_ns now) {
    struct record *mine = recordset_find_place(gossip->set, heard->place);
    if (mine == NULL && heard->is_tombstone) {
        return gossip_take(gossip, heard, link, now) == RECORDSET_REFUSED ? WEFT_ERR_FULL : WEFT_OK;
    }
    bool is_gone = mine == NULL || mine->is_tombstone;
    struct wire_record fields = {.kind = heard->kind,
                                 .flags = is_gone ? WIRE_RECORD_TOMBSTONE : 0,
                                 .key = heard->key,
                                 .body = is_gone ? span_of(NULL, 0) : mine->body};
    struct record *kept = mine != NULL ? record_ref(mine) : NULL; /* its body is borrowed */
    enum weft_err err = publish(gossip, &fields, heard->version + 1, now);
    record_unref(kept);
    (void)gossip_tell(gossip, GOSSIP_OWN, NULL);
    return err;
}

/* Whether the other has the last word for now: it is not we who stay if it lives, and it may. */
static bool must_yield(struct gossip *gossip, uint64_t instance, weft_ns now) {
    if (instance > gossip->config.instance) {
        return false;
    }
    if (is_recent(gossip->clone_at, CLONE_GAP_NS, now)) {
        gossip->yield_until = 0;
    } else if (gossip->yield_until == 0) {
        gossip->yield_until = time_after(now, YIELD_NS);
        gossip_arm(gossip, gossip->yield_until);
    }
    return true;
}

static bool may_raise(struct gossip *gossip, weft_ns now) {
    bool may = bucket_take(&gossip->raises, 1, RAISE_RATE, RAISE_BURST, now);
    gossip->counters.raises += may ? 1 : 0;
    gossip->counters.records_refused += may ? 0 : 1;
    return may;
}

void own_heard(struct gossip *gossip, struct gossip_link *link, struct record *record,
               weft_ns now) {
    if (record->incarnation < gossip->incarnation || DEFECT(RAISE_FORGOTTEN)) {
        return; /* a former life: our peer record, on its way, drops it everywhere */
    }
    uint64_t instance = instance_of(record);
    bool is_other = instance != 0 && instance != gossip->config.instance;
    if (is_other) {
        watch_clone(gossip, record, instance, now);
        if (must_yield(gossip, instance, now)) {
            return;
        }
    }
    if (gossip->yield_until != 0 && record->incarnation > gossip->incarnation) {
        return; /* what else the other wrote */
    }
    if (!may_raise(gossip, now)) {
        return;
    }
    /* Another instance of the same incarnation may have more versions about: a new life beats all.
     */
    enum weft_err err = WEFT_OK;
    if (is_other) {
        err = outdo(gossip, now);
    } else if (record->incarnation > gossip->incarnation) {
        err = begin_life(gossip, record->incarnation + 1, now);
    } else {
        err = raise_one(gossip, record, link, now);
    }
    if (err != WEFT_OK) {
        gossip->counters.records_refused++;
    }
}

/* The other had its time to show that it lives. */
static void end_yield(struct gossip *gossip, weft_ns now) {
    if (gossip->yield_until > now) {
        gossip_arm(gossip, gossip->yield_until);
        return;
    }
    gossip->yield_until = 0;
    if (gossip->rival->incarnation < gossip->incarnation) {
        return;
    }
    if (!may_raise(gossip, now)) {
        gossip->yield_until = time_after(now, RAISE_RETRY_NS);
        gossip_arm(gossip, gossip->yield_until);
    } else if (outdo(gossip, now) != WEFT_OK) {
        gossip->counters.records_refused++;
    }
}

void own_tick(struct gossip *gossip, weft_ns now) {
    if (gossip->owes_raise) {
        move_all(gossip, now);
    }
    if (gossip->yield_until != 0) {
        end_yield(gossip, now);
    }
}
