/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is sent news at once, and who only notes of them (after the eager and the lazy push of
 * Plumtree, Leitao, Pereira and Rodrigues 2007). News travel along few links, which are found by
 * what happens: who is pushed what it has already asks the neighbour to hold, that is, to send
 * notes instead, 6 bytes a record, as long as another neighbour still feeds it. Who is sent a note
 * of what it lacks, and waits in vain for the news, asks for it, and with that to be fed. So the
 * links that feed become a spanning tree, and mend themselves within a fraction of a second.
 *
 *   push --hold--> notes --want--> push
 *
 * Notes wait a little, so that one frame holds those of many changes, and that the notes of both
 * ends cross: who has heard that the other end has a record needs not tell it.
 */
#include "gossip/internal.h"

#include <stdlib.h>

#include "base/check.h"

#define NOTES_BATCH 16  /* looked up side by side */
#define NAMESAKES_MAX 4 /* of one short name; all are meant */

/* A neighbour that was asked answers within this, or its next note is heeded again. */
#define ANSWER_NS NS_PER_S

/* Notes of a first change wait so long, those of others since the last ones longer. */
#define NOTES_NS (10 * NS_PER_MS)
#define NOTES_GAP_NS (150 * NS_PER_MS)

/* So many changes, as the deaths of two nodes make with the links that come in their place, are no
 * storm: they are pushed to all neighbours, so that no broken tree holds them up. */
#define CALM_BURST 32
#define CALM_RATE 16
/* In a larger mesh than this a death or two make many changes, each of which comes to everybody:
 * the tree mends itself sooner than a copy from every neighbour is worth (A6). */
#define SMALL_OWNERS_MAX 64

/* How much longer than a note a push takes is learnt; it is waited for that and more. */
#define LAG_MAX_NS (400 * NS_PER_MS)
#define WAIT_MIN_NS (20 * NS_PER_MS)
/* But no longer in a small mesh: while it forms the lag is at its bound, and the tree is not there
 * yet or broken; a push too many costs little, and half a second was lost here (B9). */
#define WAIT_SMALL_NS (40 * NS_PER_MS)
/* Nothing is waited for so long after a neighbour that fed us has gone: others do not know yet that
 * they are to, and what has to be heard is that it has gone. */
#define HURRY_NS NS_PER_S

/* So many that feed us are plenty: then each that repeats what we have is asked to hold; below, one
 * in so long, because what comes first by one neighbour comes second by another the next time. */
#define FEEDING_PLENTY 2
#define HOLD_GAP_NS (50 * NS_PER_MS)

static struct missing *missing_of(const struct gossip *gossip, const uint8_t *name) {
    for (size_t i = 0; i < gossip->missing_count; i++) {
        if (memcmp(gossip->missing[i].note.name, name, WIRE_NOTE_NAME_BYTES) == 0) {
            return &gossip->missing[i];
        }
    }
    return NULL;
}

static void missing_drop(struct gossip *gossip, struct missing *missing) {
    ASSERT(gossip->missing_count > 0);
    *missing = gossip->missing[--gossip->missing_count];
}

static struct missing *missing_new(struct gossip *gossip, weft_ns now) {
    if (gossip->missing == NULL) {
        gossip->missing = calloc(MISSING_MAX, sizeof *gossip->missing);
    }
    if (gossip->missing == NULL || gossip->missing_count == MISSING_MAX) {
        gossip->counters.dropped++;
        return NULL;
    }
    struct missing *missing = &gossip->missing[gossip->missing_count++];
    *missing = (struct missing){.since = now, .due = WEFT_NEVER};
    return missing;
}

void notes_miss(struct gossip *gossip, const struct gossip_link *link, const struct wire_note *note,
                weft_ns wait, weft_ns now) {
    struct missing *missing = missing_of(gossip, note->name);
    if (missing == NULL) {
        missing = missing_new(gossip, now);
    }
    if (missing == NULL || missing->is_asked) {
        return;
    }
    missing->note = *note;
    missing->from = link->id;
    missing->due = time_min(missing->due, time_after(now, wait));
    gossip_arm(gossip, missing->due);
}

void notes_came(struct gossip *gossip, const struct record *record, weft_ns now) {
    struct missing *missing = gossip->missing_count > 0 ? missing_of(gossip, record->place) : NULL;
    if (missing == NULL) {
        return;
    }
    if (!missing->is_asked) {
        weft_ns lag = time_since(missing->since, now);
        gossip->lag_ns = lag > gossip->lag_ns ? lag : gossip->lag_ns - gossip->lag_ns / 16;
        gossip->lag_ns = time_min(gossip->lag_ns, LAG_MAX_NS);
    }
    missing_drop(gossip, missing);
}

/* What we have of a name. */
static struct wire_note held_note(const struct gossip *gossip, const uint8_t *name) {
    struct wire_note note = {0};
    const struct record *held = recordset_at(gossip->set, recordset_named(gossip->set, name, 0));
    memcpy(note.name, name, sizeof note.name);
    note.incarnation = held != NULL ? (uint8_t)held->incarnation : 0;
    note.version = held != NULL ? (uint8_t)held->version : 0;
    return note;
}

static void set_feeding(struct gossip *gossip, struct gossip_link *link, bool is_feeding) {
    gossip->feeding_count += is_feeding && !link->is_feeding ? 1 : 0;
    gossip->feeding_count -= !is_feeding && link->is_feeding ? 1 : 0;
    link->is_feeding = is_feeding;
}

static struct making notes_begin(struct gossip *gossip, enum wire_notes_act act) {
    struct making making = output_begin(gossip, WIRE_NOTES);
    wire_write_u8(&making.writer, (uint8_t)act);
    return making;
}

/* Asks a neighbour for all that it has and that is due, and to be fed. */
static void ask(struct gossip *gossip, struct gossip_link *link, weft_ns now) {
    struct making making = notes_begin(gossip, WIRE_NOTES_WANT);
    size_t count = 0;
    for (size_t i = 0; i < gossip->missing_count; i++) {
        struct missing *missing = &gossip->missing[i];
        if (missing->due <= now && !missing->is_asked && missing->from.value == link->id.value) {
            struct wire_note note = held_note(gossip, missing->note.name);
            wire_note_encode(&making.writer, &note);
            missing->is_asked = true;
            missing->due = time_after(now, ANSWER_NS);
            count++;
        }
    }
    if (count > 0) {
        gossip->lag_ns = time_min(gossip->lag_ns + gossip->lag_ns / 4, LAG_MAX_NS);
        set_feeding(gossip, link, true);
        output_control(gossip, link, output_end(&making));
    }
}

/* Forgets what was asked for in vain, or is nobody's any more: digests will differ. */
static void forget_due(struct gossip *gossip, weft_ns now) {
    for (size_t i = gossip->missing_count; i > 0; i--) {
        if (gossip->missing[i - 1].due <= now) {
            missing_drop(gossip, &gossip->missing[i - 1]);
        }
    }
}

static weft_ns next_due(const struct gossip *gossip) {
    weft_ns due = WEFT_NEVER;
    for (size_t i = 0; i < gossip->missing_count; i++) {
        due = time_min(due, gossip->missing[i].due);
    }
    return due;
}

void notes_tick(struct gossip *gossip, weft_ns now) {
    if (next_due(gossip) <= now) {
        for (size_t i = 0; i < gossip->links.count; i++) {
            ask(gossip, gossip->links.items[i], now);
        }
        forget_due(gossip, now);
    }
    gossip_arm(gossip, next_due(gossip));
}

void notes_link_up(struct gossip *gossip, struct gossip_link *link) {
    link->is_eager = true;
    set_feeding(gossip, link, true);
}

void notes_link_down(struct gossip *gossip, const struct gossip_link *gone, weft_ns now) {
    if (gone->is_feeding) {
        gossip->feeding_count--;
        gossip->hurry_until = time_after(now, HURRY_NS);
    }
    for (size_t i = 0; gossip->feeding_count < 2 && i < gossip->links.count; i++) {
        struct gossip_link *link = gossip->links.items[i];
        if (!link->is_feeding) {
            set_feeding(gossip, link, true);
            struct making making = notes_begin(gossip, WIRE_NOTES_WANT);
            output_control(gossip, link, output_end(&making));
        }
    }
}

void notes_repeat(struct gossip *gossip, struct gossip_link *link, const struct weft_peer_id *owner,
                  weft_ns now) {
    bool is_early = time_since(gossip->hold_at, now) < HOLD_GAP_NS;
    if (!link->is_feeding || gossip->feeding_count < 2 ||
        (is_early && gossip->feeding_count <= FEEDING_PLENTY) || reconcile_is_running(link, now) ||
        weft_peer_id_equal(owner, &link->peer)) {
        return;
    }
    gossip->hold_at = now;
    set_feeding(gossip, link, false);
    struct making making = notes_begin(gossip, WIRE_NOTES_HOLD);
    output_control(gossip, link, output_end(&making));
}

bool notes_mesh_is_small(const struct gossip *gossip) {
    return recordset_live_owner_count(gossip->set) <= SMALL_OWNERS_MAX;
}

bool notes_are_calm(struct gossip *gossip, weft_ns now) {
    return notes_mesh_is_small(gossip) && bucket_take(&gossip->calm, 1, CALM_RATE, CALM_BURST, now);
}

void notes_add(struct gossip *gossip, struct gossip_link *link, size_t slot, weft_ns now) {
    if (!bits_set(&link->noted, slot)) {
        gossip->counters.dropped++;
        return;
    }
    if (link->notes_at == 0) {
        weft_ns next = link->noted_at != 0 ? time_after(link->noted_at, NOTES_GAP_NS) : 0;
        weft_ns soon = time_after(now, NOTES_NS);
        link->notes_at = next > soon ? next : soon;
        gossip_arm_links(gossip, link->notes_at);
    }
}

struct frame *notes_take_frame(struct gossip *gossip, struct gossip_link *link, weft_ns now) {
    if (!link->owes_notes) {
        return NULL;
    }
    struct making making = notes_begin(gossip, WIRE_NOTES_HAVE);
    size_t count = 0;
    for (size_t slot = bits_next(&link->noted, 0); slot != SIZE_MAX;
         slot = bits_next(&link->noted, slot + 1)) {
        const struct record *record = recordset_live_at(gossip->set, slot);
        if (record != NULL && count < WIRE_BODY_BYTES_MAX / WIRE_NOTE_BYTES) {
            struct wire_note note = {.incarnation = (uint8_t)record->incarnation,
                                     .version = (uint8_t)record->version};
            memcpy(note.name, record->place, sizeof note.name);
            wire_note_encode(&making.writer, &note);
            count++;
        }
    }
    bits_fini(&link->noted);
    link->owes_notes = false;
    link->notes_at = 0;
    link->noted_at = now;
    return count > 0 ? output_end(&making) : NULL;
}

/* How (incarnation, version) of a record compares to that of a note, by their low bytes. */
static int compare(const struct record *record, const struct wire_note *note) {
    int8_t incarnation = (int8_t)((uint8_t)record->incarnation - note->incarnation);
    int8_t version = (int8_t)((uint8_t)record->version - note->version);
    return incarnation != 0 ? incarnation : version;
}

/* A neighbour has no newer version than the note says: it gets ours, as a delta if it can be. */
static void give_slot(struct gossip *gossip, struct gossip_link *link, size_t slot,
                      const struct wire_note *note) {
    const struct record *record = recordset_live_at(gossip->set, slot);
    bool has_none = note->incarnation == 0 && note->version == 0;
    if (record == NULL || (!has_none && compare(record, note) <= 0)) {
        return;
    }
    const struct record *first = past_first(&gossip->past, slot, record);
    const struct record *last = past_last(&gossip->past, slot, record);
    enum pend pend = PEND_WHOLE;
    if (!has_none && last != NULL && compare(last, note) == 0) {
        pend = PEND_NEWS;
    } else if (!has_none && first != NULL && compare(first, note) == 0) {
        pend = PEND_ROW;
    }
    (void)spread_pend(gossip, link, slot, pend);
}

static void hear_want(struct gossip *gossip, struct gossip_link *link,
                      const struct wire_note *note) {
    for (size_t nth = 0; nth < NAMESAKES_MAX; nth++) {
        size_t slot = recordset_named(gossip->set, note->name, nth);
        if (slot == SIZE_MAX) {
            return;
        }
        give_slot(gossip, link, slot, note);
    }
}

/* How long a push is waited for that a note shows to be about. */
static weft_ns patience(const struct gossip *gossip, weft_ns now) {
    if (gossip->hurry_until > now) {
        return 0;
    }
    weft_ns wait = WAIT_MIN_NS + gossip->lag_ns + gossip->lag_ns / 4;
    return notes_mesh_is_small(gossip) ? time_min(wait, WAIT_SMALL_NS) : wait;
}

/* The neighbour has the record in this version: nothing is owed it if that is ours or newer, and
 * something is missing here if it is newer than all of that name. */
static void hear_have(struct gossip *gossip, struct gossip_link *link, const struct wire_note *note,
                      weft_ns now) {
    bool is_held = false;
    for (size_t nth = 0; nth < NAMESAKES_MAX; nth++) {
        size_t slot = recordset_named(gossip->set, note->name, nth);
        const struct record *held = recordset_at(gossip->set, slot);
        if (held == NULL) {
            break;
        }
        is_held = is_held || compare(held, note) >= 0;
        if (compare(held, note) <= 0) {
            spread_unpend(link, slot);
        }
    }
    if (!is_held) {
        notes_miss(gossip, link, note, patience(gossip, now), now);
    }
}

static void hear_note(struct gossip *gossip, struct gossip_link *link, enum wire_notes_act act,
                      const struct wire_note *note, weft_ns now) {
    if (act == WIRE_NOTES_WANT) {
        hear_want(gossip, link, note);
    } else {
        hear_have(gossip, link, note, now);
    }
}

static size_t next_batch(struct wire_reader *list, struct wire_note batch[NOTES_BATCH]) {
    size_t count = 0;
    while (count < NOTES_BATCH && wire_reader_more(list) &&
           wire_notes_next(list, &batch[count]) == WEFT_OK) {
        count++;
    }
    return count;
}

enum weft_err notes_hear(struct gossip *gossip, struct gossip_link *link, struct span body,
                         weft_ns now) {
    struct wire_notes notes;
    enum weft_err err = wire_notes_decode(body, &notes);
    if (err != WEFT_OK) {
        return err;
    }
    if (notes.act != WIRE_NOTES_HAVE) {
        link->is_eager = notes.act == WIRE_NOTES_WANT;
    }
    struct wire_reader list = wire_reader_of(notes.list);
    struct wire_note batch[NOTES_BATCH];
    size_t count;
    while ((count = next_batch(&list, batch)) > 0) {
        recordset_expect(gossip->set, batch[0].name, sizeof batch[0], count);
        for (size_t i = 0; i < count; i++) {
            hear_note(gossip, link, (enum wire_notes_act)notes.act, &batch[i], now);
        }
    }
    return WEFT_OK;
}
