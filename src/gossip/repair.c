/* SPDX-License-Identifier: Apache-2.0
 *
 * What a broadcast missed: heads say how far each source has come, pulls ask for what is missing,
 * and the broadcasts of the last minute are kept to answer. Heads go to a new neighbour, to all
 * when one is lost, and after a queue overflowed; who is shown to be behind answers nothing and
 * pulls, who is ahead answers with its own heads.
 */
#include "gossip/internal.h"

#include <stdlib.h>

#include "base/check.h"

#define RECENT_BYTES_MAX ((size_t)4 << 20)
#define RECENT_NS (60 * NS_PER_S)
#define HEADS_MAX 1800   /* that fit one frame */
#define PULL_TRIES_MAX 6 /* then what is missing counts as lost */
#define PULL_RETRY_NS (100 * NS_PER_MS)
#define PULL_COUNT_MAX 256 /* that one pull may ask for, and one answer gives */
#define PULLS_PER_TRY 8

struct recent_key {
    uint8_t bytes[WEFT_PEER_ID_BYTES + 16];
};

static struct recent_key recent_key_of(const struct weft_peer_id *source, uint64_t incarnation,
                                       uint64_t sequence) {
    struct recent_key key;
    struct wire_writer writer = wire_writer_of(key.bytes, sizeof key.bytes);
    wire_write_peer(&writer, source);
    wire_write_u64(&writer, incarnation);
    wire_write_u64(&writer, sequence);
    return key;
}

static void recent_drop(struct gossip *gossip, struct map_entry *entry) {
    struct recent *recent = map_value(entry);
    gossip->recent_bytes -= recent->frame->len;
    (void)map_remove(gossip->recents, map_key(entry));
    frame_unref(recent->frame);
    free(recent);
}

/* Drops what is too old, and the oldest until `more` bytes fit. */
static void recents_trim(struct gossip *gossip, size_t more, weft_ns now) {
    struct map_entry *oldest = map_first(gossip->recents);
    while (oldest != NULL) {
        const struct recent *recent = map_value(oldest);
        if (gossip->recent_bytes + more <= RECENT_BYTES_MAX &&
            time_since(recent->at, now) < RECENT_NS) {
            return;
        }
        recent_drop(gossip, oldest);
        oldest = map_first(gossip->recents);
    }
}

void repair_forget(struct gossip *gossip) {
    if (gossip->recents == NULL) {
        return;
    }
    recents_trim(gossip, RECENT_BYTES_MAX, 0);
    map_free(gossip->recents);
}

void repair_keep(struct gossip *gossip, const struct wire_broadcast *broadcast,
                 const struct weft_peer_id *source, weft_ns now) {
    struct wire_broadcast again = *broadcast;
    again.travel.hops = WIRE_HOPS_MAX;
    again.flags |= WIRE_BROADCAST_FLOOD;
    struct making making = output_begin(gossip, WIRE_BROADCAST);
    wire_broadcast_encode(&making.writer, &again);
    struct frame *frame = output_end(&making);
    struct recent *recent = malloc(sizeof *recent);
    if (frame == NULL || recent == NULL) {
        gossip->counters.dropped++;
        frame_unref(frame);
        free(recent);
        return;
    }
    *recent = (struct recent){.at = now, .frame = frame};
    struct recent_key key = recent_key_of(source, broadcast->incarnation, broadcast->sequence);
    recents_trim(gossip, frame->len, now);
    if (map_add(gossip->recents, span_of(key.bytes, sizeof key.bytes), recent) != WEFT_OK) {
        gossip->counters.dropped++;
        frame_unref(frame);
        free(recent);
        return;
    }
    gossip->recent_bytes += frame->len;
}

/* Whether the source sent anything that somebody may still have. */
static bool is_recent(const struct source *source, weft_ns now) {
    return source->top > 0 && time_since(source->active_at, now) < RECENT_NS;
}

static void write_own_head(const struct gossip *gossip, struct wire_writer *writer) {
    if (gossip->sequence > 0) {
        struct wire_head head = {.source = gossip->config.identity->id,
                                 .incarnation = gossip->incarnation,
                                 .sequence = gossip->sequence};
        wire_head_encode(writer, &head);
    }
}

static void write_head(struct wire_writer *writer, const struct source *source) {
    struct wire_head head = {
        .source = source->id, .incarnation = source->incarnation, .sequence = source->top};
    wire_head_encode(writer, &head);
}

void repair_send_heads(struct gossip *gossip, struct gossip_link *link, weft_ns now) {
    struct making making = output_begin(gossip, WIRE_HEADS);
    size_t count = 0;
    write_own_head(gossip, &making.writer);
    for (struct map_entry *at = map_first(gossip->sources); at != NULL && count < HEADS_MAX;
         at = map_next(at)) {
        const struct source *source = map_value(at);
        if (is_recent(source, now)) {
            write_head(&making.writer, source);
            count++;
        }
    }
    output_control(gossip, link, output_end(&making));
}

void repair_link_lost(struct gossip *gossip, weft_ns now) {
    if (gossip->sequence == 0 && map_count(gossip->sources) == 0) {
        return;
    }
    for (size_t i = 0; i < gossip->links.count; i++) {
        repair_send_heads(gossip, gossip->links.items[i], now);
    }
}

/* Pulls what a head shows to exist. Heads are not signed, so a head changes nothing but that: its
 * incarnation must be the one of the source's peer record, and what only heads show is never taken
 * for lost, or a lie could make us refuse the broadcasts that will carry these numbers. */
static void note_head(struct gossip *gossip, struct gossip_link *link, const struct wire_head *head,
                      weft_ns now) {
    uint64_t incarnation = recordset_incarnation(gossip->set, &head->source);
    if (weft_peer_id_equal(&head->source, &gossip->config.identity->id) ||
        head->incarnation != incarnation || head->sequence == 0 ||
        recordset_is_stranger(gossip->set, &head->source)) {
        return;
    }
    struct source *source = source_find(gossip, &head->source);
    if (source != NULL && (source->incarnation > incarnation ||
                           (source->incarnation == incarnation && source->top >= head->sequence))) {
        return;
    }
    source = source_get(gossip, &head->source, incarnation);
    if (source != NULL) {
        source_show(gossip, source, head->sequence, link, now);
    }
}

/* Writes down beside each source what the list says of it; of ourselves into `own`. */
static enum weft_err read_heads(struct gossip *gossip, struct span list, struct wire_head *own) {
    struct wire_reader reader = wire_reader_of(list);
    struct wire_head head;
    enum weft_err err = WEFT_OK;
    gossip->heads_round++;
    while (err == WEFT_OK && wire_reader_more(&reader)) {
        err = wire_heads_next(&reader, &head);
        if (err == WEFT_OK && weft_peer_id_equal(&head.source, &gossip->config.identity->id)) {
            *own = head;
        }
        struct source *source = err == WEFT_OK ? source_find(gossip, &head.source) : NULL;
        if (source != NULL) {
            source->heads_round = gossip->heads_round;
            source->heads_incarnation = head.incarnation;
            source->heads_sequence = head.sequence;
        }
    }
    return err;
}

/* Sequence 0 of a source that the list does not name. */
static struct wire_head head_of(const struct gossip *gossip, const struct source *source) {
    struct wire_head head = {.source = source->id};
    if (source->heads_round == gossip->heads_round) {
        head.incarnation = source->heads_incarnation;
        head.sequence = source->heads_sequence;
    }
    return head;
}

static bool is_behind(const struct wire_head *theirs, uint64_t incarnation, uint64_t sequence) {
    return theirs->incarnation < incarnation ||
           (theirs->incarnation == incarnation && theirs->sequence < sequence);
}

/* Answers with the heads of those sources that the other side is behind on. It will not answer
 * that: what an answer leaves out is known to who sends it. */
static void answer_heads(struct gossip *gossip, struct gossip_link *link,
                         const struct wire_head *own, weft_ns now) {
    struct making making = output_begin(gossip, WIRE_HEADS);
    size_t before = making.writer.len;
    gossip->scratch[making.begin + 1] = WIRE_FLAG_ANSWER;
    if (is_behind(own, gossip->incarnation, gossip->sequence)) {
        write_own_head(gossip, &making.writer);
    }
    size_t count = 0;
    for (struct map_entry *at = map_first(gossip->sources); at != NULL && count < HEADS_MAX;
         at = map_next(at)) {
        const struct source *source = map_value(at);
        if (!is_recent(source, now)) {
            continue;
        }
        struct wire_head theirs = head_of(gossip, source);
        if (is_behind(&theirs, source->incarnation, source->top)) {
            write_head(&making.writer, source);
            count++;
        }
    }
    if (making.writer.len > before) {
        output_control(gossip, link, output_end(&making));
    }
}

enum weft_err repair_hear_heads(struct gossip *gossip, struct gossip_link *link,
                                const struct wire_frame *frame, weft_ns now) {
    struct wire_heads heads;
    struct wire_head head = {.source = gossip->config.identity->id};
    enum weft_err err = wire_heads_decode(frame->body, &heads);
    if (err == WEFT_OK) {
        err = read_heads(gossip, heads.list, &head);
    }
    if (err != WEFT_OK) {
        return err;
    }
    if ((frame->flags & WIRE_FLAG_ANSWER) == 0) {
        answer_heads(gossip, link, &head, now);
    }
    struct wire_reader list = wire_reader_of(heads.list);
    while (wire_reader_more(&list) && wire_heads_next(&list, &head) == WEFT_OK) {
        note_head(gossip, link, &head, now);
    }
    return WEFT_OK;
}

enum weft_err repair_hear_pull(struct gossip *gossip, struct gossip_link *link, struct span body) {
    struct wire_pull pull;
    enum weft_err err = wire_pull_decode(body, &pull);
    if (err != WEFT_OK) {
        return err;
    }
    uint64_t count = pull.count < PULL_COUNT_MAX ? pull.count : PULL_COUNT_MAX;
    for (uint64_t i = 0; i < count; i++) {
        struct recent_key key = recent_key_of(&pull.source, pull.incarnation, pull.from + i);
        const struct recent *recent =
            map_find(gossip->recents, span_of(key.bytes, sizeof key.bytes));
        bool has_room = recent != NULL && link->message_bytes + recent->frame->len <=
                                              gossip->config.pending_bytes_max;
        if (has_room) { /* else the rest is asked for again */
            gossip->counters.broadcasts_pulled++;
            output_message(gossip, link, frame_ref(recent->frame));
        }
    }
    return WEFT_OK;
}

/* The first try goes to who showed the gap, the next to others. */
static struct gossip_link *pull_from(struct gossip *gossip, const struct source *source) {
    struct gossip_link *shower = gossip_link_of(gossip, source->shower);
    return source->tries == 0 && shower != NULL ? shower : spread_any(gossip);
}

static void send_pull(struct gossip *gossip, struct gossip_link *link, const struct source *source,
                      uint64_t from, uint64_t count) {
    struct wire_pull pull = {.source = source->id,
                             .incarnation = source->incarnation,
                             .from = from,
                             .count = (uint16_t)count};
    struct making making = output_begin(gossip, WIRE_PULL);
    wire_pull_encode(&making.writer, &pull);
    output_control(gossip, link, output_end(&making));
}

/* The length of the run of missing ones at `from`. */
static uint64_t missing_run(const struct source *source, uint64_t from, uint64_t end) {
    uint64_t count = 0;
    while (count < PULL_COUNT_MAX && from + count <= end && !source_has(source, from + count)) {
        count++;
    }
    return count;
}

static void pull_missing(struct gossip *gossip, struct gossip_link *link,
                         const struct source *source) {
    int pulls = 0;
    uint64_t end = source->shown > source->top ? source->shown : source->top;
    uint64_t reach = source->top == 0 ? PULL_BACK_MAX : WINDOW;
    uint64_t at = source->floor + 1;
    at = end > reach && end - reach >= at ? end - reach + 1 : at;
    while (at <= end && pulls < PULLS_PER_TRY) {
        uint64_t count = missing_run(source, at, end);
        if (count > 0) {
            send_pull(gossip, link, source, at, count);
            pulls++;
        }
        at += count > 0 ? count : 1;
    }
}

static void give_up(struct gossip *gossip, struct source *source) {
    for (uint64_t at = source->floor + 1; at <= source->top; at++) {
        gossip->counters.broadcasts_lost += source_has(source, at) ? 0 : 1;
    }
    memset(source->seen, 0, sizeof source->seen);
    source->floor = source->top;
    source->shown = source->top;
    chain_remove(&source->gappy);
}

static void source_tick(struct gossip *gossip, struct source *source, weft_ns now) {
    if (source->pull_at > now) {
        gossip_arm(gossip, source->pull_at);
        return;
    }
    if (source->tries >= PULL_TRIES_MAX) {
        give_up(gossip, source);
        return;
    }
    struct gossip_link *link = pull_from(gossip, source);
    if (link != NULL) {
        pull_missing(gossip, link, source);
        source->tries++;
    } /* without any link there is nobody to ask, and nothing is lost yet */
    source->pull_at = time_after(now, PULL_RETRY_NS << source->tries);
    gossip_arm(gossip, source->pull_at);
}

void repair_tick(struct gossip *gossip, weft_ns now) {
    recents_trim(gossip, 0, now);
    struct chain *at = gossip->gappy.next;
    while (at != &gossip->gappy) {
        struct source *source = CHAIN_OF(at, struct source, gappy);
        at = at->next;
        source_tick(gossip, source, now);
    }
}
