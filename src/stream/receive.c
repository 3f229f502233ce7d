/* SPDX-License-Identifier: Apache-2.0
 *
 * Reassembly and credit. The list of chunks is ordered by offset; `ordered` is the last one
 * before the first gap, so that bytes in order are added without a search.
 */
#include "stream/receive.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/defect.h"
#include "base/frame_pool.h"

#define CHUNK_BYTES_MIN                                                                            \
    960 /* bytes in order are gathered in blocks of at least this: with its head, of those that    \
           the allocator keeps at hand */
#define HELD_COUNT_MAX 1024 /* pieces beyond a gap: as many as a sender has packets out */
#define WINDOW_FLOOR 16384  /* every stream may have this, however many there are: no deadlock */
#define RTT_FLOOR (5 * NS_PER_MS) /* faster paths are limited by turns of event loops */
#define FIN_UNKNOWN UINT64_MAX

void receive_init(struct receive_side *receive, const struct streams *streams) {
    *receive = (struct receive_side){.fin = FIN_UNKNOWN, .window = streams->config.window_bytes};
}

static uint64_t cost_of(const struct receive_chunk *chunk) {
    return sizeof *chunk + (chunk->place != NULL ? chunk->place->whole->size : chunk->size);
}

static void chunk_free(struct receive_chunk *chunk) {
    if (chunk->place != NULL) {
        frame_unref(chunk->place);
    } else {
        free(chunk);
    }
}

void receive_fini(struct receive_side *receive, struct streams *streams) {
    ASSERT(streams->granted_bytes >= receive->granted - receive->consumed);
    streams->granted_bytes -= receive->granted - receive->consumed;
    while (receive->head != NULL) {
        struct receive_chunk *chunk = receive->head;
        receive->head = chunk->next;
        chunk_free(chunk);
    }
    receive->tail = NULL;
    receive->ordered = NULL;
    receive->granted = receive->consumed;
    receive->arrived = receive->consumed; /* what was unread is gone */
}

bool receive_has_all(const struct receive_side *receive) {
    return receive->fin == receive->arrived;
}

bool receive_is_done(const struct receive_side *receive) {
    return receive->fin == receive->consumed || (DEFECT(FIN_EARLY) && receive->fin != FIN_UNKNOWN);
}

bool receive_is_readable(const struct receive_side *receive) {
    return receive->arrived > receive->consumed || receive_is_done(receive);
}

static uint64_t highest(const struct receive_side *receive) {
    return receive->tail == NULL ? receive->arrived : receive->tail->start + receive->tail->len;
}

static bool is_possible(const struct receive_side *receive, const struct wire_part_data *part) {
    uint64_t end = part->offset + part->bytes.len;
    bool has_fin = (part->flags & WIRE_DATA_FIN) != 0;
    if (end > receive->granted || end < part->offset) {
        return false;
    }
    if (receive->fin != FIN_UNKNOWN) {
        return end <= receive->fin && (!has_fin || end == receive->fin);
    }
    return !has_fin || end >= highest(receive);
}

/* Bytes between two neighbours in the list that are to be put there. */
struct gap {
    struct receive_chunk *before; /* NULL: at the head */
    struct span bytes;
    uint64_t start;
    struct frame *frame; /* that holds the bytes, or NULL */
    bool is_ordered;     /* no gap before them */
};

/* Adds the bytes to the block before the gap, if they follow it and it has room. */
static bool append(const struct gap *gap) {
    struct receive_chunk *chunk = gap->before;
    if (chunk == NULL || chunk->place != NULL || chunk->start + chunk->len != gap->start ||
        chunk->size - chunk->len < gap->bytes.len) {
        return false;
    }
    memcpy(chunk->bytes + chunk->len, gap->bytes.data, gap->bytes.len);
    chunk->len += (uint32_t)gap->bytes.len;
    return true;
}

/* For bytes that stay in their packet: lies in a frame itself, from where the packet's is. */
static struct receive_chunk *chunk_in_place(const struct gap *gap) {
    struct frame *place = frame_pool_take(gap->frame->pool, sizeof(struct receive_chunk));
    if (place == NULL) {
        return NULL;
    }
    place->whole = frame_ref(gap->frame);
    struct receive_chunk *chunk = (void *)place->data;
    *chunk = (struct receive_chunk){.place = place,
                                    .data = gap->bytes.data,
                                    .start = gap->start,
                                    .len = (uint32_t)gap->bytes.len};
    return chunk;
}

static struct receive_chunk *chunk_with_copy(const struct gap *gap) {
    size_t size = gap->bytes.len;
    if (gap->is_ordered && size < CHUNK_BYTES_MIN) {
        size = CHUNK_BYTES_MIN;
    }
    struct receive_chunk *chunk = malloc(sizeof *chunk + size);
    if (chunk == NULL) {
        return NULL;
    }
    *chunk = (struct receive_chunk){
        .start = gap->start, .len = (uint32_t)gap->bytes.len, .size = (uint32_t)size};
    chunk->data = chunk->bytes;
    memcpy(chunk->bytes, gap->bytes.data, gap->bytes.len);
    return chunk;
}

/* Whether a piece beyond a gap still fits: never more memory than the window, nor a long search. */
static bool may_hold(const struct receive_side *receive, size_t len) {
    uint64_t cost = sizeof(struct receive_chunk) + len;
    return receive->held_count < HELD_COUNT_MAX &&
           receive->held_bytes + cost <= receive->granted - receive->consumed + WINDOW_FLOOR;
}

static void link_chunk(struct receive_side *receive, struct receive_chunk *before,
                       struct receive_chunk *chunk) {
    struct receive_chunk **place = before == NULL ? &receive->head : &before->next;
    chunk->next = *place;
    *place = chunk;
    if (receive->tail == before) {
        receive->tail = chunk;
    }
}

static struct receive_chunk *chunk_after(const struct receive_side *receive,
                                         const struct receive_chunk *before) {
    return before == NULL ? receive->head : before->next;
}

/* Puts bytes into a gap; false if they are dropped. */
static bool fill(struct receive_side *receive, const struct gap *gap) {
    if (append(gap)) {
        return true;
    }
    if (!gap->is_ordered && !may_hold(receive, gap->bytes.len)) {
        return false;
    }
    struct receive_chunk *chunk = gap->frame != NULL ? chunk_in_place(gap) : chunk_with_copy(gap);
    if (chunk == NULL) {
        return false;
    }
    link_chunk(receive, gap->before, chunk);
    if (!gap->is_ordered) {
        receive->held_bytes += cost_of(chunk);
        receive->held_count++;
    } else {
        receive->ordered = chunk;
    }
    return true;
}

static void drop_chunk(struct receive_side *receive, struct receive_chunk *before,
                       struct receive_chunk *chunk) {
    *(before == NULL ? &receive->head : &before->next) = chunk->next;
    receive->tail = receive->tail == chunk ? before : receive->tail;
    chunk_free(chunk);
}

/* A small piece gets the room of a block in order, for those behind it; where memory is short it
 * stays as it is. */
static struct receive_chunk *with_room(struct receive_side *receive, struct receive_chunk *before,
                                       struct receive_chunk *chunk) {
    if (chunk->place != NULL || chunk->size >= CHUNK_BYTES_MIN) {
        return chunk;
    }
    struct receive_chunk *larger = realloc(chunk, sizeof *chunk + CHUNK_BYTES_MIN);
    if (larger == NULL) {
        return chunk;
    }
    *(before == NULL ? &receive->head : &before->next) = larger;
    receive->tail = receive->tail == chunk ? larger : receive->tail;
    larger->size = CHUNK_BYTES_MIN;
    larger->data = larger->bytes;
    return larger;
}

/* The first piece beyond a gap that is there no more; what is in order ends with it then. Small
 * ones are gathered: else single bytes would hold 64 times their size, and no bound would count it.
 */
static void join_one(struct receive_side *receive, struct receive_chunk *next) {
    const struct gap gap = {
        .before = receive->ordered, .start = next->start, .bytes = span_of(next->data, next->len)};
    receive->held_bytes -= cost_of(next);
    receive->held_count--;
    receive->arrived = next->start + next->len;
    if (append(&gap)) {
        drop_chunk(receive, receive->ordered, next);
    } else {
        receive->ordered = with_room(receive, receive->ordered, next);
    }
}

/* Moves the border of what is in order over chunks that a filled gap has joined to it. */
static void join(struct receive_side *receive) {
    if (receive->ordered != NULL) {
        receive->arrived = receive->ordered->start + receive->ordered->len;
    }
    struct receive_chunk *next = chunk_after(receive, receive->ordered);
    while (next != NULL && next->start == receive->arrived) {
        join_one(receive, next);
        next = receive->ordered->next;
    }
}

/* Where a search for an offset may begin: the last chunk known to end at or before it. */
static struct receive_chunk *search_from(const struct receive_side *receive, uint64_t offset) {
    struct receive_chunk *tail = receive->tail;
    if (tail != NULL && tail->start + tail->len <= offset) {
        return tail;
    }
    struct receive_chunk *before = receive->ordered;
    struct receive_chunk *next = before == NULL ? receive->head : before->next;
    while (next != NULL && next->start + next->len <= offset) {
        before = next;
        next = next->next;
    }
    return before;
}

/* Puts what of [at, stop) is missing behind gap->before. False if it was dropped. */
static bool insert_one(struct receive_side *receive, struct gap *gap, uint64_t at, uint64_t stop) {
    gap->bytes = span_of(gap->bytes.data + (at - gap->start), (size_t)(stop - at));
    gap->start = at;
    gap->is_ordered = at == receive->arrived;
    if (!fill(receive, gap)) {
        return false;
    }
    join(receive);
    return true;
}

/* Puts [gap.start, end) where it is missing. *is_new: some was. False if some was dropped. */
static bool insert(struct receive_side *receive, struct gap gap, uint64_t end, bool *is_new) {
    uint64_t at = gap.start;
    gap.before = search_from(receive, at);
    while (at < end) {
        struct receive_chunk *next = chunk_after(receive, gap.before);
        uint64_t stop = next != NULL && next->start < end ? next->start : end;
        if (at < stop && !insert_one(receive, &gap, at, stop)) {
            return false;
        }
        *is_new = *is_new || at < stop;
        if (at < stop && gap.is_ordered) { /* chunks behind it may be gathered in one with it */
            at = receive->arrived;
            gap.before = receive->ordered;
            continue;
        }
        next = chunk_after(receive, gap.before);
        at = next == NULL ? end : next->start + next->len;
        gap.before = next;
    }
    return true;
}

/* A small part in a large packet would keep all of it. */
static struct frame *worth_keeping(struct frame *frame, struct span bytes) {
    bool is_worth = frame != NULL && bytes.len >= FRAME_KEEP_BYTES && bytes.len >= frame->size / 2;
    return is_worth ? frame : NULL;
}

static void take_bytes(struct receive_side *receive, const struct wire_part_data *part,
                       struct frame *frame, struct receive_result *out) {
    uint64_t end = part->offset + part->bytes.len;
    if (end <= receive->arrived) {
        return;
    }
    uint64_t start = part->offset < receive->arrived ? receive->arrived : part->offset;
    size_t skipped = (size_t)(start - part->offset);
    struct gap gap = {.start = start};
    gap.bytes = span_of(part->bytes.data + skipped, part->bytes.len - skipped);
    gap.frame = worth_keeping(frame, gap.bytes);
    out->was_dropped = !insert(receive, gap, end, &out->is_new);
}

enum weft_err receive_data(struct receive_side *receive, const struct wire_part_data *part,
                           struct frame *frame, struct receive_result *out) {
    *out = (struct receive_result){.is_new = false};
    if (!is_possible(receive, part)) {
        return WEFT_ERR_MALFORMED;
    }
    take_bytes(receive, part, frame, out);
    if ((part->flags & WIRE_DATA_FIN) != 0 && receive->fin == FIN_UNKNOWN && !out->was_dropped) {
        receive->fin = part->offset + part->bytes.len;
        out->is_new = true;
    }
    receive->packets++;
    out->must_ack =
        !out->is_new || receive->held_count > 0 || out->was_dropped || receive_must_ack(receive);
    return WEFT_OK;
}

bool receive_must_ack(const struct receive_side *receive) {
    return receive->packets >= 2 || receive->arrived - receive->acked >= receive->window / 8;
}

size_t receive_peek(const struct receive_side *receive, struct span *out, size_t max) {
    const struct receive_chunk *chunk = receive->head;
    uint64_t at = receive->consumed;
    size_t count = 0;
    while (count < max && at < receive->arrived) {
        size_t skipped = (size_t)(at - chunk->start);
        out[count++] = span_of(chunk->data + skipped, chunk->len - skipped);
        at = chunk->start + chunk->len;
        chunk = chunk->next;
    }
    return count;
}

/* A reader that takes a full window within two round trips is held up by the window. */
static void widen(struct streams *streams, struct stream *stream, weft_ns now) {
    struct receive_side *receive = &stream->receive;
    if (receive->consumed - receive->round_from < receive->window) {
        return;
    }
    weft_ns rtt = stream->session == NULL ? 0 : stream->session->rtt_min;
    rtt = rtt < RTT_FLOOR ? RTT_FLOOR : rtt;
    if (time_since(receive->round_at, now) <= 2 * rtt) {
        receive->window *= 2;
    }
    if (receive->window > streams->config.window_bytes_max) {
        receive->window = streams->config.window_bytes_max;
    }
    receive->round_from = receive->consumed;
    receive->round_at = now;
}

static void free_read(struct receive_side *receive) {
    struct receive_chunk *chunk = receive->head;
    while (chunk != NULL && chunk->start + chunk->len <= receive->consumed) {
        receive->head = chunk->next;
        receive->ordered = receive->ordered == chunk ? NULL : receive->ordered;
        receive->tail = receive->tail == chunk ? NULL : receive->tail;
        chunk_free(chunk);
        chunk = receive->head;
    }
}

/* The window as the node-wide budget stands: the fuller it is, the smaller a single share. */
static uint64_t window_now(const struct receive_side *receive, const struct streams *streams) {
    uint64_t own = receive->granted - receive->consumed;
    uint64_t others = streams->granted_bytes - own;
    uint64_t total = streams->config.receive_bytes_max;
    uint64_t share = others >= total ? 0 : (total - others) / 8;
    share = share < WINDOW_FLOOR ? WINDOW_FLOOR : share;
    return share < receive->window ? share : receive->window;
}

bool receive_consume(struct streams *streams, struct stream *stream, size_t len, weft_ns now) {
    struct receive_side *receive = &stream->receive;
    ASSERT(len <= receive->arrived - receive->consumed);
    ASSERT(streams->granted_bytes >= len);
    receive->consumed += len;
    streams->granted_bytes -= len;
    free_read(receive);
    widen(streams, stream, now);
    uint64_t window = window_now(receive, streams);
    uint64_t left = receive->granted - receive->consumed;
    return receive->fin == FIN_UNKNOWN && left + window / 2 <= window;
}

void receive_grant_early(struct receive_side *receive, struct streams *streams) {
    ASSERT(receive->granted == 0);
    streams->granted_bytes += WIRE_OPEN_CREDIT;
    receive->granted = WIRE_OPEN_CREDIT;
}

uint64_t receive_grant(struct receive_side *receive, struct streams *streams) {
    uint64_t want = receive->consumed + window_now(receive, streams);
    if (want > receive->granted && receive->fin == FIN_UNKNOWN) {
        streams->granted_bytes += want - receive->granted;
        receive->granted = want;
    }
    return receive->granted + (DEFECT(CREDIT_OFF_BY_ONE) ? 1 : 0);
}

static void add_ranges(const struct receive_side *receive, struct wire_part_ack *out) {
    const struct receive_chunk *chunk =
        receive->ordered == NULL ? receive->head : receive->ordered->next;
    for (; chunk != NULL; chunk = chunk->next) {
        struct wire_range *last = &out->ranges[out->range_count == 0 ? 0 : out->range_count - 1];
        if (out->range_count > 0 && last->end == chunk->start) {
            last->end = chunk->start + chunk->len;
            continue;
        }
        if (out->range_count == WIRE_ACK_RANGES_MAX) {
            return;
        }
        out->ranges[out->range_count++] =
            (struct wire_range){chunk->start, chunk->start + chunk->len};
    }
}

void receive_ack(struct stream *stream, struct streams *streams, struct wire_part_ack *out) {
    struct receive_side *receive = &stream->receive;
    *out = (struct wire_part_ack){.stream = stream->wire_id,
                                  .flags = receive_has_all(receive) ? WIRE_ACK_FIN : 0,
                                  .cumulative =
                                      DEFECT(ACK_OVER_GAP) ? highest(receive) : receive->arrived,
                                  .credit = receive_grant(receive, streams),
                                  .marks = receive->marks};
    if (!DEFECT(ACK_OVER_GAP)) {
        add_ranges(receive, out);
    }
    receive->acked = receive->arrived;
    receive->packets = 0;
}
