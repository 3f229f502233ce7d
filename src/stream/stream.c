/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams: slots with generations, so that an id is never used twice, and the state machine.
 */
#include "stream/stream.h"

#include <stdlib.h>

#include "base/check.h"
#include "stream/buffer.h"
#include "stream/farewell.h"
#include "stream/receive.h"
#include "stream/send.h"
#include "stream/session.h"

#define SLOTS_FIRST 16
#define WIRE_ID_LARGER ((uint64_t)1 << 63) /* ids of the end with the larger peer id */
#define RELAYS_LEARN (250 * NS_PER_MS)     /* mostly: the second of quick changes waits 100 ms */
#define PROBE_SHIFT_MAX 5                  /* after 250 ms, 500 ms, 1 s, ... then every 8 s */
#define SILENCE_MIN (250 * NS_PER_MS)
#define SILENCE_OPENING_MIN NS_PER_S /* who asks again there sends its bytes again */
#define SILENCE_MAX (4 * NS_PER_S)
#define SILENCE_LONGEST (8 * NS_PER_S) /* or eight times the first */
#define EVENT_BIT(kind) ((uint16_t)(1U << (kind)))

struct stream *stream_of(const struct streams *streams, struct stream_id id) {
    uint32_t index = (uint32_t)id.value;
    if (index >= streams->slot_count ||
        streams->slots[index].generation != (uint32_t)(id.value >> 32)) {
        return NULL;
    }
    return streams->slots[index].stream;
}

static struct span wire_key(const uint64_t *wire_id) {
    return span_of(wire_id, sizeof *wire_id);
}

struct stream *stream_on_wire(const struct session *session, uint64_t wire_id) {
    return map_find(session->by_wire_id, wire_key(&wire_id));
}

static enum weft_err grow_slots(struct streams *streams) {
    size_t count = streams->slot_count == 0 ? SLOTS_FIRST : (size_t)streams->slot_count * 2;
    if (count > streams->config.streams_max) {
        count = streams->config.streams_max;
    }
    if (count <= streams->slot_count) {
        return WEFT_ERR_FULL;
    }
    struct stream_slot *slots = realloc(streams->slots, count * sizeof *slots);
    if (slots == NULL) {
        return WEFT_ERR_MEMORY;
    }
    streams->slots = slots;
    for (size_t i = count; i > streams->slot_count; i--) {
        slots[i - 1] = (struct stream_slot){.generation = 1, .free_next = streams->slot_free};
        streams->slot_free = (uint32_t)i;
    }
    streams->slot_count = (uint32_t)count;
    return WEFT_OK;
}

static void take_slot(struct streams *streams, struct stream *stream) {
    uint32_t index = streams->slot_free - 1;
    struct stream_slot *slot = &streams->slots[index];
    ASSERT(slot->stream == NULL);
    streams->slot_free = slot->free_next;
    slot->stream = stream;
    stream->id.value = (uint64_t)slot->generation << 32 | index;
}

enum weft_err stream_new(struct streams *streams, struct stream **out) {
    enum weft_err err = timers_reserve(&streams->timers, streams->timer_count + 1);
    if (err == WEFT_OK && streams->slot_free == 0) {
        err = grow_slots(streams);
    }
    if (err != WEFT_OK) {
        return err;
    }
    struct stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) {
        return WEFT_ERR_MEMORY;
    }
    stream->timer = (struct timer){.kind = TIMER_PROBE, .owner = stream};
    send_init(&stream->send);
    receive_init(&stream->receive, streams);
    take_slot(streams, stream);
    streams->timer_count++;
    *out = stream;
    return WEFT_OK;
}

enum weft_err stream_join(struct stream *stream, struct session *session, uint64_t wire_id) {
    enum weft_err err = map_add(session->by_wire_id, wire_key(&wire_id), stream);
    if (err != WEFT_OK) {
        return err;
    }
    stream->session = session;
    stream->send.peer_held = &session->send_held;
    session->send_held += stream->send.held;
    stream->peer = session->id;
    stream->wire_id = wire_id;
    session->opened_count += stream->is_opener ? 0 : 1;
    session->streams->counters.open++;
    list_push(&session->streams_all, &stream->session_link);
    return WEFT_OK;
}

/* The last ack tells the peer that all is well; without it, it would have to probe. */
static void leave_ack(struct stream *stream) {
    if (list_is_linked(&stream->control_link) && receive_has_all(&stream->receive)) {
        struct farewell farewell = {.stream = stream->wire_id,
                                    .cumulative = stream->receive.arrived,
                                    .marks = stream->receive.marks};
        session_say(stream->session, &farewell);
    }
}

void stream_leave(struct stream *stream) {
    struct session *session = stream->session;
    if (session == NULL || !list_is_linked(&stream->session_link)) {
        return;
    }
    leave_ack(stream);
    session->send_held -= stream->send.held;
    stream->send.peer_held = NULL;
    (void)map_remove(session->by_wire_id, wire_key(&stream->wire_id));
    session->opened_count -= stream->is_opener ? 0 : 1;
    session->streams->counters.open--;
    timers_disarm(&session->streams->timers, &stream->timer);
    list_remove(&stream->session_link);
    list_remove(&stream->control_link);
    list_remove(&stream->data_link);
    list_remove(&stream->probe_link);
    stream->due = 0;
}

void stream_offer_room(struct streams *streams, struct stream *stream) {
    if (stream->send.wants_writable &&
        send_room(streams, stream) >= buffer_worth_waking(streams, &stream->send)) {
        stream->send.wants_writable = false;
        list_remove(&stream->starved_link);
        stream_raise(streams, stream, STREAM_EVENT_WRITABLE);
    }
}

void streams_feed_starved(struct streams *streams) {
    struct list *link;
    while ((link = list_first(&streams->starved)) != NULL) {
        struct stream *stream = LIST_OWNER(link, struct stream, starved_link);
        if (streams->send_bytes + buffer_worth_waking(streams, &stream->send) >
            streams->config.send_bytes_total_max) {
            return;
        }
        stream_offer_room(streams, stream);
        list_remove(link); /* one whose own buffer is full waits for its own acks, or credit */
    }
}

/* Frees what a stream holds besides itself. */
static void release_bytes(struct streams *streams, struct stream *stream) {
    send_fini(stream, streams);
    receive_fini(&stream->receive, streams);
    list_remove(&stream->starved_link);
    free(stream->service);
    stream->service = NULL;
}

void stream_free(struct streams *streams, struct stream *stream) {
    uint32_t index = (uint32_t)stream->id.value;
    struct stream_slot *slot = &streams->slots[index];
    ASSERT(slot->stream == stream);
    stream_leave(stream);
    release_bytes(streams, stream);
    list_remove(&stream->event_link);
    slot->stream = NULL;
    slot->generation++;
    slot->free_next = streams->slot_free;
    streams->slot_free = index + 1;
    streams->timer_count--;
    free(stream);
}

static bool is_larger_than_peer(const struct session *session) {
    return weft_peer_id_compare(&session->streams->config.identity->id, &session->id) > 0;
}

uint64_t stream_next_wire_id(struct session *session) {
    session->wire_id_next++;
    return session->wire_id_next | (is_larger_than_peer(session) ? WIRE_ID_LARGER : 0);
}

bool stream_is_peers_id(const struct session *session, uint64_t wire_id) {
    return ((wire_id & WIRE_ID_LARGER) != 0) != is_larger_than_peer(session);
}

void stream_raise(struct streams *streams, struct stream *stream, enum stream_event_kind kind) {
    stream->events |= EVENT_BIT(kind);
    list_push(&streams->events, &stream->event_link);
}

void stream_owe(struct stream *stream, uint8_t due) {
    struct session *session = stream->session;
    if (stream->due == 0) {
        list_remove(&stream->control_link); /* it may be in `delayed` */
        list_push(due == DUE_OPEN ? &session->opens : &session->control, &stream->control_link);
    }
    stream->due |= due;
    session_wake(session);
}

void stream_owe_ack_later(struct stream *stream, weft_ns now) {
    struct session *session = stream->session;
    if (stream->due != 0) {
        stream->due |= DUE_ACK; /* it may as well go with the rest */
        return;
    }
    list_push(&session->delayed, &stream->control_link);
    if (!timer_is_armed(&session->ack_timer)) {
        timers_arm(&session->streams->timers, &session->ack_timer, time_after(now, ACK_DELAY));
    }
}

void stream_acked(struct stream *stream) {
    stream->due &= (uint8_t)~DUE_ACK;
    if (stream->due == 0) {
        list_remove(&stream->control_link);
    }
}

void stream_queue(struct stream *stream) {
    bool may_send = stream->state == STREAM_STATE_OPEN || stream->state == STREAM_STATE_OPENING;
    if (may_send && send_has_work(&stream->send)) {
        struct session *session = stream->session;
        bool is_thin = stream->state == STREAM_STATE_OPEN && send_is_thin(&stream->send);
        list_push(is_thin ? &session->thin : &session->data, &stream->data_link);
        session_wake(stream->session);
    }
}

static bool is_waiting(const struct stream *stream) {
    return stream->state == STREAM_STATE_OPENING ||
           (stream->state == STREAM_STATE_OPEN && send_is_waiting(&stream->send));
}

/* Four round trips, but no less than 250 ms (a second before there is an answer: until its service
 * has connected the other end has nothing to say) and, as a standing queue is no reason to stop
 * asking, no more than four seconds; longer each time. A question costs two small packets and takes
 * nothing for lost that is late, since it stays behind what it asks for; but where it is what finds
 * a loss, of the last packets of a stream, the application waits for it. */
static weft_ns silence_max(const struct stream *stream) {
    if (stream->is_doubtful) {
        return 2 * stream->session->rtt + ACK_DELAY;
    }
    weft_ns least = stream->state == STREAM_STATE_OPENING ? SILENCE_OPENING_MIN : SILENCE_MIN;
    weft_ns silence = 4 * stream->session->rtt;
    silence = silence < least ? least : silence;
    silence = silence > SILENCE_MAX ? SILENCE_MAX : silence;
    weft_ns longest = silence > SILENCE_LONGEST / 8 ? 8 * silence : SILENCE_LONGEST;
    silence <<= stream->probe_tries;
    return silence > longest ? longest : silence;
}

void stream_watch(struct stream *stream, weft_ns now) {
    if (is_waiting(stream) && !timer_is_armed(&stream->timer)) {
        stream->progress_at = now;
        timers_arm(&stream->session->streams->timers, &stream->timer,
                   time_after(now, silence_max(stream)));
    }
}

/* Asks (again) with all that was sent so far: nobody acknowledges it before accepting. */
static void open_again(struct stream *stream) {
    send_lose_before(stream, stream->session->order_next);
    stream_owe(stream, DUE_OPEN);
    stream_queue(stream);
}

static void probe(struct stream *stream) {
    struct session *session = stream->session;
    stream->is_doubtful = false;
    if (session->route == STREAM_ROUTE_NONE || session->current == NULL) {
        return;
    }
    if (stream->state == STREAM_STATE_OPENING) {
        open_again(stream);
    } else {
        list_push(&session->probes, &stream->probe_link);
        session_wake(session);
    }
    if (stream->probe_tries < PROBE_SHIFT_MAX) {
        stream->probe_tries++;
    }
}

void stream_probe_timer(struct stream *stream, weft_ns now) {
    if (!is_waiting(stream)) {
        return;
    }
    weft_ns due = time_after(stream->progress_at, silence_max(stream));
    if (due <= now) {
        probe(stream);
        stream->progress_at = now;
        due = time_after(now, silence_max(stream));
    }
    timers_arm(&stream->session->streams->timers, &stream->timer, due);
}

void stream_probe_leaves(struct stream *stream, weft_ns now) {
    stream->probe_count = stream->probe_count % (UINT32_MAX >> 1) + 1;
    stream->last_awaited = (struct probe){
        .count = stream->probe_count, .order = stream->session->order_next, .sent_at = now};
    if (stream->first_awaited.count == 0) {
        stream->first_awaited = stream->last_awaited;
    }
}

bool stream_take_probe(struct stream *stream, uint32_t count, struct probe *out) {
    if (count == 0 ||
        (count != stream->first_awaited.count && count != stream->last_awaited.count)) {
        return false;
    }
    if (count == stream->last_awaited.count) {
        *out = stream->last_awaited;
        stream->last_awaited.count = 0;
    } else {
        *out = stream->first_awaited;
    }
    stream->first_awaited = stream->last_awaited;
    return true;
}

void stream_heard(struct stream *stream, weft_ns now) {
    stream->progress_at = now;
    stream->is_doubtful = false;
    if (stream->probe_tries > 0) {
        stream->probe_tries = 0;
        timers_disarm(&stream->session->streams->timers, &stream->timer);
        stream_watch(stream, now);
    }
}

void stream_progress(struct stream *stream, weft_ns now) {
    stream_heard(stream, now);
    if (stream->is_interrupted) {
        stream->is_interrupted = false;
        stream->session->streams->counters.resumed++;
        stream_raise(stream->session->streams, stream, STREAM_EVENT_RESUMED);
    }
}

void stream_accept(struct stream *stream, weft_ns now) {
    stream->state = STREAM_STATE_OPEN;
    free(stream->service);
    stream->service = NULL;
    stream_owe(stream, DUE_ACCEPT | DUE_ACK); /* the ack tells what came before */
    stream_queue(stream);
    stream_watch(stream, now);
    if (receive_is_readable(&stream->receive)) {
        stream_raise(stream->session->streams, stream, STREAM_EVENT_READABLE);
    }
}

void stream_accepted(struct stream *stream) {
    if (stream->state != STREAM_STATE_OPENING) {
        return;
    }
    stream->state = STREAM_STATE_OPEN;
    free(stream->service);
    stream->service = NULL;
    stream->has_early = stream->send.segments.count > 0;
    stream_raise(stream->session->streams, stream, STREAM_EVENT_ACCEPTED);
    stream_queue(stream); /* what was held back for want of room for early bytes */
}

void stream_check_early(struct stream *stream, weft_ns now) {
    weft_ns sent_at = 0;
    if (!stream->has_early || stream->state != STREAM_STATE_OPEN) {
        return;
    }
    stream->has_early = false;
    if (!send_is_in_flight(&stream->send, &sent_at)) {
        return;
    }
    stream->is_doubtful = true;
    stream->progress_at = stream->session->rtt == 0 ? 0 : sent_at;
    stream_probe_timer(stream, now);
}

/* What it reports from now on is how it ended. */
static void drop_events(struct stream *stream) {
    stream->events = 0;
    list_remove(&stream->event_link);
}

void stream_end(struct stream *stream, enum wire_reset_reason reason, weft_ns now) {
    struct streams *streams = stream->session->streams;
    struct session *session = stream->session;
    bool is_opening = stream->state == STREAM_STATE_OPENING;
    bool is_untold = (stream->events & EVENT_BIT(STREAM_EVENT_INCOMING)) != 0;
    stream->reason = reason;
    drop_events(stream);
    stream_leave(stream);
    session_mind_hold(session, now);
    if (is_untold) {
        stream_free(streams, stream); /* nobody has heard of it */
        return;
    }
    if (is_opening) {
        stream->state = STREAM_STATE_REFUSED; /* keeps what was written, for the next peer */
        send_rewind(stream);
    } else {
        stream->state = STREAM_STATE_ENDED;
        release_bytes(streams, stream);
    }
    stream->session = NULL;
    stream_raise(streams, stream, is_opening ? STREAM_EVENT_REFUSED : STREAM_EVENT_RESET);
}

void stream_violate(struct stream *stream, weft_ns now) {
    struct session *session = stream->session;
    uint64_t wire_id = stream->wire_id;
    stream_end(stream, WIRE_RESET_PROTOCOL, now);
    session_say_reset(session, wire_id, WIRE_RESET_PROTOCOL, now);
}

void stream_close_if_done(struct stream *stream) {
    if (stream->state != STREAM_STATE_OPEN || !stream->send.is_fin_acked ||
        !receive_is_done(&stream->receive)) {
        return;
    }
    struct streams *streams = stream->session->streams;
    stream_leave(stream);
    release_bytes(streams, stream);
    stream->session = NULL;
    stream->state = STREAM_STATE_ENDED;
    stream_raise(streams, stream, STREAM_EVENT_CLOSED);
}

/* What is asked over a new path may be lost there, while its relays have yet to learn of it: the
 * first silence on it is a short one, however long those on the old one had become. */
static void watch_anew(struct stream *stream, weft_ns now) {
    if (!is_waiting(stream)) {
        return;
    }
    stream->probe_tries = 0;
    weft_ns silence = silence_max(stream);
    weft_ns first = 4 * stream->session->rtt;
    first = first < RELAYS_LEARN ? RELAYS_LEARN : first;
    first = first > silence ? silence : first;
    stream->progress_at = time_since(silence - first, now);
    timers_arm(&stream->session->streams->timers, &stream->timer, time_after(now, first));
}

void stream_path_changed(struct stream *stream, weft_ns now) {
    watch_anew(stream, now);
    if (stream->state == STREAM_STATE_OPENING) {
        open_again(stream);
        return;
    }
    if (stream->state != STREAM_STATE_OPEN) {
        return;
    }
    if (!stream->is_opener && !stream->is_accept_known) {
        stream_owe(stream, DUE_ACCEPT | DUE_ACK);
    }
    if (stream->receive.arrived > 0) {
        stream_owe(stream, DUE_ACK); /* the last one may have gone the old way */
    }
    bool is_receiving = stream->receive.arrived > 0 && !receive_has_all(&stream->receive);
    stream->is_interrupted = stream->is_interrupted || is_receiving;
    if (send_is_waiting(&stream->send)) {
        stream->is_interrupted = true;
        stream->session->has_path_probe = true;
        send_lose_first(stream);
        stream_owe(stream, DUE_PROBE);
        stream_queue(stream);
    }
}

/* Streams that the peer's former life never heard of may go on with the new one. */
void stream_peer_restarted(struct session *session, weft_ns now) {
    struct list *link = session->streams_all.next;
    while (link != &session->streams_all) {
        struct stream *stream = LIST_OWNER(link, struct stream, session_link);
        link = link->next;
        if (stream->is_open_sent || !stream->is_opener) {
            stream_end(stream, WIRE_RESET_RESTARTED, now);
        }
    }
    session_unsay(session);
    free(session->opened);
    session->opened = NULL;
}
