/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening and sealing records. A record is opened whole, then its frames are handed out one by one;
 * a carrier waits for its own payload only, not for the payloads behind it.
 *
 *    inbuf:  [ consumed | frames_at .. frames_end | handed out | payload_at .. end | free ]
 */
#include "link/record.h"

#include "base/check.h"
#include "base/frame_pool.h"
#include "base/time.h"

#define BATCH_SMALL                                                                                \
    2048 /* room for sealed bytes when little is queued: most records of a quiet mesh */
#define PART_TIMEOUT (15 * NS_PER_S)
#define BUDGET_MIN ((size_t)16384)
#define BUDGET_MAX ((size_t)RECORD_PAYLOAD_MAX)
/* The most the buffer must hold: a whole record, its length, and all its payloads. */
#define BUFFERED_MAX (RECORD_LENGTH_BYTES + RECORD_BYTES_MAX + RECORD_PAYLOAD_MAX)

static enum record_result faulty(struct link_fault *fault, enum weft_err err, const char *text) {
    *fault = (struct link_fault){.err = err, .text = text};
    return RECORD_FAULT;
}

/* ---- reading ---- */

static size_t length_at(const struct inbuf *in) {
    const uint8_t *data = in->data + in->begin;
    return (size_t)data[0] << 8 | data[1];
}

static enum record_result record_open(struct record_reader *reader, struct inbuf *in,
                                      struct link_fault *fault) {
    size_t held = in->end - in->begin;
    if (held < RECORD_LENGTH_BYTES) {
        return RECORD_WAIT;
    }
    size_t length = length_at(in);
    if (length < RECORD_BYTES_MIN) {
        return faulty(fault, WEFT_ERR_MALFORMED, "a record too short to hold a frame");
    }
    if (held < RECORD_LENGTH_BYTES + length) {
        return RECORD_WAIT;
    }
    uint8_t *sealed = in->data + in->begin + RECORD_LENGTH_BYTES;
    struct span nothing = {.data = NULL, .len = 0};
    if (aead_open(reader->aead, reader->counter, nothing, sealed, length) != WEFT_OK) {
        return faulty(fault, WEFT_ERR_AUTH, "a record that does not open");
    }
    reader->counter++;
    reader->total++;
    reader->is_open = true;
    reader->frames_at = in->begin + RECORD_LENGTH_BYTES;
    reader->frames_end = reader->frames_at + length - AEAD_TAG_BYTES;
    reader->payload_at = reader->frames_end + AEAD_TAG_BYTES;
    reader->payload_total = 0;
    return RECORD_FRAME;
}

/* All of the open record was handed out: the next begins behind its payloads. */
static void record_close(struct record_reader *reader, struct inbuf *in) {
    in->begin = reader->payload_at;
    reader->is_open = false;
}

/* A carrier: its payload must be there too. */
static enum record_result payload_take(struct record_reader *reader, const struct inbuf *in,
                                       const struct wire_frame *frame, struct loan *payload,
                                       struct link_fault *fault) {
    struct wire_carrier carrier;
    if (wire_carrier_decode(frame->body, &carrier) != WEFT_OK || carrier.length == 0) {
        return faulty(fault, WEFT_ERR_MALFORMED, "a carrier that is not one");
    }
    if (reader->payload_total + carrier.length > RECORD_PAYLOAD_MAX) {
        return faulty(fault, WEFT_ERR_MALFORMED, "more payload than a record may bring");
    }
    if (in->end - reader->payload_at < carrier.length) {
        return RECORD_WAIT;
    }
    *payload = inbuf_lend(in, span_of(in->data + reader->payload_at, carrier.length));
    reader->payload_at += carrier.length;
    reader->payload_total += carrier.length;
    return RECORD_FRAME;
}

static enum record_result frame_take(struct record_reader *reader, const struct inbuf *in,
                                     struct wire_frame *out, struct loan *payload,
                                     struct link_fault *fault) {
    size_t left = reader->frames_end - reader->frames_at;
    struct wire_reader frames = wire_reader_of(span_of(in->data + reader->frames_at, left));
    if (wire_frame_next(&frames, out) != WEFT_OK) {
        return faulty(fault, WEFT_ERR_MALFORMED, "a record whose frames do not fill it");
    }
    *payload = (struct loan){.block = NULL};
    enum record_result result = RECORD_FRAME;
    if (out->kind == WIRE_CARRIER) {
        result = payload_take(reader, in, out, payload, fault);
    }
    if (result == RECORD_FRAME) {
        reader->frames_at = reader->frames_end - frames.rest.len;
    }
    return result;
}

enum record_result record_read(struct record_reader *reader, struct inbuf *in,
                               struct wire_frame *out, struct loan *payload,
                               struct link_fault *fault) {
    ASSERT(reader->aead != NULL);
    if (reader->is_open && record_is_drained(reader)) {
        record_close(reader, in);
    }
    if (!reader->is_open) {
        enum record_result result = record_open(reader, in, fault);
        if (result != RECORD_FRAME) {
            return result;
        }
    }
    enum record_result result = frame_take(reader, in, out, payload, fault);
    reader->has_part = reader->has_part && result == RECORD_WAIT;
    return result;
}

void record_reader_wait(struct record_reader *reader, const struct inbuf *in, weft_ns now) {
    bool has_part = in->begin != in->end || reader->is_open;
    reader->part_at = has_part && reader->has_part ? reader->part_at : now;
    reader->has_part = has_part;
}

weft_ns record_due(const struct record_reader *reader) {
    return reader->has_part ? time_after(reader->part_at, PART_TIMEOUT) : WEFT_NEVER;
}

/* Drops what was handed out of the open record: frames and payloads of the rest move together, and
 * the buffer then begins with them. Only done when the room at the end is short. */
static bool record_pack(struct record_reader *reader, struct inbuf *in) {
    size_t frames = reader->frames_end - reader->frames_at;
    if (!inbuf_gather(in, span_of(in->data + reader->frames_at, frames),
                      span_of(in->data + reader->payload_at, in->end - reader->payload_at),
                      in->size)) {
        return false;
    }
    reader->frames_at = 0;
    reader->frames_end = frames;
    reader->payload_at = frames;
    return true;
}

/* Bytes of payload that the frame which waits still needs; it was decoded once already. */
static size_t payload_wanted(const struct record_reader *reader, const struct inbuf *in) {
    size_t left = reader->frames_end - reader->frames_at;
    if (left < WIRE_FRAME_HEADER_BYTES + WIRE_CARRIER_HEADER_BYTES) {
        return 0;
    }
    const uint8_t *frame = in->data + reader->frames_at;
    return (size_t)frame[WIRE_FRAME_HEADER_BYTES + 42] << 8 | frame[WIRE_FRAME_HEADER_BYTES + 43];
}

/* While a record is open its offsets follow the buffer: packed to begin at 0, it cannot move. */
static uint8_t *open_space(struct record_reader *reader, struct inbuf *in, size_t *len) {
    size_t wanted = payload_wanted(reader, in);
    bool is_packed = reader->frames_at == 0 && reader->payload_at == reader->frames_end;
    bool is_short = in->size - reader->payload_at < wanted || in->size - in->end < in->size / 4;
    if (is_short && !is_packed && !record_pack(reader, in)) {
        return NULL;
    }
    in->begin = 0; /* so that inbuf_space grows but never moves */
    return inbuf_space(in, reader->payload_at + wanted, BUFFERED_MAX, len);
}

uint8_t *record_read_space(struct record_reader *reader, struct inbuf *in, size_t *len) {
    if (reader->is_open && record_is_drained(reader)) {
        record_close(reader, in);
    }
    if (reader->is_open) {
        return open_space(reader, in, len);
    }
    size_t need = in->end - in->begin < RECORD_LENGTH_BYTES ? RECORD_LENGTH_BYTES
                                                            : RECORD_LENGTH_BYTES + length_at(in);
    return inbuf_space(in, need, BUFFERED_MAX, len);
}

void record_reader_fini(struct record_reader *reader) {
    aead_free(reader->aead);
    *reader = (struct record_reader){.aead = NULL};
}

/* ---- writing ---- */

void record_writer_init(struct record_writer *writer) {
    *writer = (struct record_writer){.budget = 4 * BUDGET_MIN};
}

static struct record_batch *batch_new(struct frame_pool *pool, size_t size) {
    struct frame *place = frame_pool_take(pool, sizeof(struct record_batch) + size);
    if (place == NULL) {
        return NULL;
    }
    struct record_batch *batch = (void *)place->data;
    batch->place = place;
    batch->size = size;
    return batch;
}

static void batch_free(struct record_batch *batch) {
    if (batch != NULL) {
        frame_unref(batch->place);
    }
}

/* A batch with room for `plain` bytes of frames; the one at hand if it is large enough. */
static struct record_batch *batch_for(struct record_writer *writer, size_t plain) {
    size_t size = RECORD_LENGTH_BYTES + AEAD_TAG_BYTES + plain;
    size = size <= BATCH_SMALL ? BATCH_SMALL : RECORD_LENGTH_BYTES + RECORD_BYTES_MAX;
    struct record_batch *batch = writer->batch;
    if (batch == NULL || batch->size < size) {
        batch_free(batch);
        batch = batch_new(writer->pool, size);
        writer->batch = batch;
    }
    if (batch != NULL) {
        batch->piece_first = batch->piece_done = 0;
        batch->piece_count = 1; /* the record itself */
    }
    return batch;
}

/* What a record under way holds so far. */
struct filling {
    struct record_batch *batch;
    size_t plain;
    size_t plain_max;
    size_t payload;
    size_t payload_max;
};

static bool may_add(const struct filling *fill, const struct sendq_item *item) {
    if (item == NULL || fill->plain + item->frame->len > fill->plain_max) {
        return false;
    }
    if (item->payload == NULL) {
        return true;
    }
    bool is_first = fill->payload == 0;
    return fill->batch->piece_count < RECORD_SPANS_MAX &&
           (is_first || fill->payload + item->payload->len <= fill->payload_max);
}

static void add(struct filling *fill, const struct sendq_taken *taken) {
    struct record_batch *batch = fill->batch;
    uint8_t *place = batch->data + RECORD_LENGTH_BYTES + fill->plain;
    memcpy(place, taken->frame->data, taken->frame->len);
    fill->plain += taken->frame->len;
    frame_unref(taken->frame);
    if (taken->payload == NULL) {
        return;
    }
    if (taken->is_congested) {
        place[WIRE_CARRIER_FLAGS_AT] |= WIRE_CARRIER_CONGESTED; /* the copy: frames are shared */
    }
    batch->pieces[batch->piece_count++] = (struct record_piece){
        .data = taken->payload->data, .len = taken->payload->len, .payload = taken->payload};
    fill->payload += taken->payload->len;
}

static void seal(struct record_writer *writer, size_t plain) {
    struct record_batch *batch = writer->batch;
    size_t length = plain + AEAD_TAG_BYTES;
    struct span nothing = {.data = NULL, .len = 0};
    batch->data[0] = (uint8_t)(length >> 8);
    batch->data[1] = (uint8_t)length;
    aead_seal(writer->aead, writer->counter, nothing, batch->data + RECORD_LENGTH_BYTES, plain);
    writer->counter++;
    batch->pieces[0] =
        (struct record_piece){.data = batch->data, .len = RECORD_LENGTH_BYTES + length};
    writer->is_split = false;
}

size_t record_seal(struct record_writer *writer, struct sendq *queue, struct span last,
                   weft_ns now) {
    ASSERT(writer->aead != NULL && !record_is_pending(writer));
    struct record_batch *batch = batch_for(writer, queue->frame_bytes + last.len);
    if (batch == NULL) {
        return 0;
    }
    size_t room = batch->size - RECORD_LENGTH_BYTES - AEAD_TAG_BYTES;
    struct filling fill = {
        .batch = batch, .plain_max = room - last.len, .payload_max = writer->budget};
    size_t count = 0;
    struct sendq_taken taken;
    while (may_add(&fill, sendq_peek(queue))) {
        sendq_pop(queue, now, &taken);
        add(&fill, &taken);
        count++;
    }
    if (last.len > 0) {
        memcpy(batch->data + RECORD_LENGTH_BYTES + fill.plain, last.data, last.len);
        fill.plain += last.len;
        count++;
    }
    if (count == 0) {
        batch->piece_count = 0;
        return 0;
    }
    seal(writer, fill.plain);
    return count;
}

size_t record_spans(const struct record_writer *writer, struct span *out, size_t max) {
    if (!record_is_pending(writer)) {
        return 0;
    }
    const struct record_batch *batch = writer->batch;
    size_t done = batch->piece_done;
    size_t count = 0;
    for (size_t i = batch->piece_first; i < batch->piece_count && count < max; i++) {
        out[count++] = span_of(batch->pieces[i].data + done, batch->pieces[i].len - done);
        done = 0;
    }
    return count;
}

/* The last batch went out at one go: bind more at a time. Otherwise less, so that what is urgent
 * waits behind less. */
static void budget_adapt(struct record_writer *writer) {
    size_t budget = writer->is_split ? writer->budget / 2 : writer->budget * 2;
    budget = budget > BUDGET_MAX ? BUDGET_MAX : budget;
    writer->budget = budget < BUDGET_MIN ? BUDGET_MIN : budget;
}

void record_written(struct record_writer *writer, size_t len) {
    struct record_batch *batch = writer->batch;
    while (len > 0) {
        ASSERT(record_is_pending(writer));
        struct record_piece *piece = &batch->pieces[batch->piece_first];
        size_t left = piece->len - batch->piece_done;
        if (len < left) {
            batch->piece_done += len;
            break;
        }
        len -= left;
        frame_unref(piece->payload);
        batch->piece_first++;
        batch->piece_done = 0;
    }
    if (record_is_pending(writer)) {
        writer->is_split = true;
    } else {
        budget_adapt(writer);
    }
}

void record_writer_relax(struct record_writer *writer) {
    if (!record_is_pending(writer)) {
        batch_free(writer->batch);
        writer->batch = NULL;
    }
}

static void batch_drop(struct record_batch *batch) {
    for (size_t i = batch->piece_first; i < batch->piece_count; i++) {
        frame_unref(batch->pieces[i].payload);
    }
    batch->piece_count = 0;
}

void record_writer_fini(struct record_writer *writer) {
    if (writer->batch != NULL) {
        batch_drop(writer->batch);
    }
    batch_free(writer->batch);
    aead_free(writer->aead);
    *writer = (struct record_writer){.aead = NULL};
}
