/* SPDX-License-Identifier: Apache-2.0
 *
 * Deltas heard. What they change is in the set or was lately (past.h); the record that comes out is
 * heard as if it had come whole, signature and all. A delta whose base is not here is a miss, and
 * the record is asked for. One that makes a record with a wrong signature is a miss too, and proves
 * nothing against the neighbour: two versions of one number, of a node whose key lives twice, make
 * it so. But such a try costs a signature check for 80 bytes, so only so many are made for a
 * neighbour; a forger then gets no further than to be asked for whole records, for which it
 * answers.
 */
#include "gossip/internal.h"

#define DELTAS_BATCH 8  /* looked up side by side */
#define NAMESAKES_MAX 4 /* records of one short name that are tried; two are rare */

#define BAD_DELTA_BURST 16
#define BAD_DELTA_RATE 1

/* Whether another delta of the neighbour's may turn out to be bad. */
static bool may_try(struct gossip *gossip, const struct gossip_link *link, weft_ns now) {
    struct bucket copy = link->bad_deltas;
    bool may = bucket_take(&copy, 1, BAD_DELTA_RATE, BAD_DELTA_BURST, now);
    if (!may) {
        gossip_blame(gossip, &link->peer, "bad-deltas", now);
    }
    return may;
}

/* What a delta is for one record of its name. */
enum fit {
    FIT_BASE, /* it changes a version that we have */
    FIT_HELD, /* we hold what it makes, or something newer */
    FIT_MISS,
};

static enum fit judge(const struct gossip *gossip, const struct wire_delta *delta, size_t slot,
                      struct record **base) {
    struct record *held = recordset_at(gossip->set, slot);
    if (held == NULL || held->incarnation < delta->incarnation) {
        return FIT_MISS;
    }
    if (held->incarnation > delta->incarnation || held->version >= delta->version) {
        return FIT_HELD;
    }
    uint64_t version = delta->version - delta->step;
    *base = held->version == version ? held : past_version(&gossip->past, slot, held, version);
    return *base != NULL ? FIT_BASE : FIT_MISS;
}

/* Whether the delta could be undone; then the record was heard. *err is of what that said. */
static bool try_base(struct gossip *gossip, struct gossip_link *link,
                     const struct wire_delta *delta, const struct record *base, weft_ns now) {
    uint8_t bytes[RECORD_BYTES_MAX];
    struct span encoded = delta_apply(delta, base, bytes);
    if (encoded.len > 0 && gossip_hear_record(gossip, link, encoded, now) == WEFT_OK) {
        return true;
    }
    (void)bucket_take(&link->bad_deltas, 1, BAD_DELTA_RATE, BAD_DELTA_BURST, now);
    return false;
}

static void missed(struct gossip *gossip, struct gossip_link *link, const struct wire_delta *delta,
                   weft_ns now) {
    struct wire_note note = {.incarnation = (uint8_t)delta->incarnation,
                             .version = (uint8_t)delta->version};
    memcpy(note.name, delta->name, sizeof note.name);
    gossip->counters.deltas_missed++;
    notes_miss(gossip, link, &note, 0, now);
}

/* The neighbour has what we have: nothing is owed it. */
static void unpend_if_same(struct gossip *gossip, struct gossip_link *link, size_t slot,
                           const struct wire_delta *delta, weft_ns now) {
    const struct record *held = recordset_at(gossip->set, slot);
    if (held->incarnation == delta->incarnation && held->version == delta->version) {
        spread_unpend(link, slot);
        notes_repeat(gossip, link, &held->owner, now);
    }
}

static void hear_delta(struct gossip *gossip, struct gossip_link *link,
                       const struct wire_delta *delta, weft_ns now) {
    bool is_held = false;
    gossip->counters.records_in++;
    gossip->counters.deltas_in++;
    for (size_t nth = 0; nth < NAMESAKES_MAX; nth++) {
        size_t slot = recordset_named(gossip->set, delta->name, nth);
        if (slot == SIZE_MAX) {
            break;
        }
        struct record *base = NULL;
        enum fit fit = judge(gossip, delta, slot, &base);
        if (fit == FIT_HELD) {
            is_held = true;
            unpend_if_same(gossip, link, slot, delta, now);
        } else if (fit == FIT_BASE && may_try(gossip, link, now) &&
                   try_base(gossip, link, delta, base, now)) {
            return;
        }
    }
    if (!is_held) {
        missed(gossip, link, delta, now);
    }
}

static size_t next_batch(struct wire_reader *list, struct wire_delta batch[DELTAS_BATCH]) {
    size_t count = 0;
    while (count < DELTAS_BATCH && wire_reader_more(list) &&
           wire_deltas_next(list, &batch[count]) == WEFT_OK) {
        count++;
    }
    return count;
}

enum weft_err gossip_hear_deltas(struct gossip *gossip, struct gossip_link *link, struct span body,
                                 weft_ns now) {
    struct wire_deltas deltas;
    enum weft_err err = wire_deltas_decode(body, &deltas);
    if (err != WEFT_OK) {
        return err;
    }
    struct wire_reader list = wire_reader_of(deltas.list);
    struct wire_delta batch[DELTAS_BATCH];
    size_t count;
    while ((count = next_batch(&list, batch)) > 0) {
        recordset_expect(gossip->set, batch[0].name, sizeof batch[0], count);
        for (size_t i = 0; i < count; i++) {
            hear_delta(gossip, link, &batch[i], now);
        }
    }
    return WEFT_OK;
}
