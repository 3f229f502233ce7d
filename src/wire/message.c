/* SPDX-License-Identifier: Apache-2.0
 *
 * The frames and their bodies, decode and encode side by side in the order of message.h. A decoder
 * reads every field and asks the reader once; lists are walked to their end there, so that the
 * _next of a list that was decoded cannot fail. After a failure *out holds no meaning.
 */
#include "wire/message.h"

#include "base/check.h"
#include "wire/body.h"

#define SIGNATURE_BYTES_WIRE 64
#define CLOSE_TEXT_MAX 200    /* a line in somebody else's log, no more */
#define REKEY_MESSAGE_MAX 512 /* a KKpsk0 message is 48 bytes; room for a payload some day */
#define NUMBER_LIMIT WIRE_VERSION_LIMIT /* sequence numbers stay below, as versions do */

enum weft_err wire_frame_next(struct wire_reader *record, struct wire_frame *out) {
    out->kind = wire_read_u8(record);
    out->flags = wire_read_u8(record);
    size_t len = wire_read_u16(record);
    if (len > WIRE_BODY_BYTES_MAX) {
        wire_reader_fail(record);
    }
    out->body = wire_read_bytes(record, len);
    return record->has_failed ? WEFT_ERR_MALFORMED : WEFT_OK;
}

size_t wire_frame_begin(struct wire_writer *writer, enum wire_kind kind, uint8_t flags) {
    size_t begin = writer->len;
    wire_write_u8(writer, (uint8_t)kind);
    wire_write_u8(writer, flags);
    wire_write_u16(writer, 0);
    return begin;
}

void wire_frame_end(struct wire_writer *writer, size_t begin) {
    if (writer->has_failed) {
        return;
    }
    ASSERT(writer->len >= begin + WIRE_FRAME_HEADER_BYTES);
    size_t len = writer->len - begin - WIRE_FRAME_HEADER_BYTES;
    if (len > WIRE_BODY_BYTES_MAX) {
        writer->has_failed = true;
        return;
    }
    writer->data[begin + 2] = (uint8_t)(len >> 8);
    writer->data[begin + 3] = (uint8_t)len;
}

static struct wire_reader body_reader(struct span body) {
    struct wire_reader reader = wire_reader_of(body);
    if (body.len > WIRE_BODY_BYTES_MAX) {
        wire_reader_fail(&reader);
    }
    return reader;
}

/* A number that counts up from `min` and never reaches 2^63. */
static uint64_t read_number(struct wire_reader *reader, uint64_t min) {
    uint64_t number = wire_read_u64(reader);
    wire_demand(reader, number >= min && number < NUMBER_LIMIT);
    return number;
}

static struct wire_travel read_travel(struct wire_reader *reader) {
    struct wire_travel travel;
    travel.area = wire_read_u16(reader);
    travel.level = wire_read_u8(reader);
    travel.hops = wire_read_u8(reader);
    wire_demand(reader, travel.hops <= WIRE_HOPS_MAX);
    return travel;
}

static void write_travel(struct wire_writer *writer, const struct wire_travel *travel) {
    wire_write_u16(writer, travel->area);
    wire_write_u8(writer, travel->level);
    wire_write_u8(writer, travel->hops);
}

enum weft_err wire_heartbeat_decode(struct span body, struct wire_heartbeat *out) {
    struct wire_reader reader = body_reader(body);
    out->flags = wire_read_u8(&reader);
    out->sent_us = wire_read_u32(&reader);
    out->echo_us = wire_read_u32(&reader);
    out->held_us = wire_read_u32(&reader);
    out->digest = wire_read_u64(&reader);
    return wire_verdict(&reader);
}

void wire_heartbeat_encode(struct wire_writer *writer, const struct wire_heartbeat *message) {
    wire_write_u8(writer, message->flags);
    wire_write_u32(writer, message->sent_us);
    wire_write_u32(writer, message->echo_us);
    wire_write_u32(writer, message->held_us);
    wire_write_u64(writer, message->digest);
}

enum weft_err wire_unicast_decode(struct span body, struct wire_unicast *out) {
    struct wire_reader reader = body_reader(body);
    out->travel = read_travel(&reader);
    out->source = wire_read_peer(&reader);
    out->destination = wire_read_peer(&reader);
    wire_demand(&reader, wire_reader_more(&reader));
    out->packet = wire_read_rest(&reader);
    return wire_verdict(&reader);
}

void wire_unicast_encode(struct wire_writer *writer, const struct wire_unicast *message) {
    write_travel(writer, &message->travel);
    wire_write_peer(writer, &message->source);
    wire_write_peer(writer, &message->destination);
    wire_write_bytes(writer, message->packet);
}

enum weft_err wire_broadcast_decode(struct span body, struct wire_broadcast *out) {
    struct wire_reader reader = body_reader(body);
    out->travel = read_travel(&reader);
    out->flags = wire_read_u8(&reader);
    out->digest = wire_read_u64(&reader);
    struct span from_key = reader.rest;
    wire_read_copy(&reader, out->key.bytes, sizeof out->key.bytes);
    out->incarnation = read_number(&reader, 1);
    out->sequence = read_number(&reader, 1);
    out->channel = wire_read_name(&reader);
    out->payload = wire_read_bytes(&reader, wire_read_u16(&reader));
    out->signed_part = span_of(from_key.data, from_key.len - reader.rest.len);
    out->signature = wire_read_bytes(&reader, SIGNATURE_BYTES_WIRE);
    return wire_verdict(&reader);
}

void wire_broadcast_encode(struct wire_writer *writer, const struct wire_broadcast *message) {
    if (message->payload.len > UINT16_MAX || message->signature.len != SIGNATURE_BYTES_WIRE) {
        writer->has_failed = true;
        return;
    }
    write_travel(writer, &message->travel);
    wire_write_u8(writer, message->flags);
    wire_write_u64(writer, message->digest);
    wire_write_bytes(writer, span_of(message->key.bytes, sizeof message->key.bytes));
    wire_write_u64(writer, message->incarnation);
    wire_write_u64(writer, message->sequence);
    wire_write_short(writer, message->channel);
    wire_write_u16(writer, (uint16_t)message->payload.len);
    wire_write_bytes(writer, message->payload);
    wire_write_bytes(writer, message->signature);
}

enum weft_err wire_gossip_decode(struct span body, struct wire_gossip *out) {
    struct wire_reader reader = body_reader(body);
    out->travel = read_travel(&reader);
    out->channel = wire_read_name(&reader);
    out->payload = wire_read_rest(&reader);
    return wire_verdict(&reader);
}

void wire_gossip_encode(struct wire_writer *writer, const struct wire_gossip *message) {
    write_travel(writer, &message->travel);
    wire_write_short(writer, message->channel);
    wire_write_bytes(writer, message->payload);
}

enum weft_err wire_carrier_decode(struct span body, struct wire_carrier *out) {
    struct wire_reader reader = body_reader(body);
    out->travel = read_travel(&reader);
    out->source = wire_read_peer(&reader);
    out->destination = wire_read_peer(&reader);
    out->flow = wire_read_u32(&reader);
    out->class = wire_read_u8(&reader);
    out->flags = wire_read_u8(&reader);
    out->length = wire_read_u16(&reader);
    wire_demand(&reader, out->class < WIRE_CLASS_COUNT && out->length > 0);
    return wire_verdict(&reader);
}

void wire_carrier_encode(struct wire_writer *writer, const struct wire_carrier *message) {
    write_travel(writer, &message->travel);
    wire_write_peer(writer, &message->source);
    wire_write_peer(writer, &message->destination);
    wire_write_u32(writer, message->flow);
    wire_write_u8(writer, message->class);
    wire_write_u8(writer, message->flags);
    wire_write_u16(writer, message->length);
}

enum weft_err wire_rekey_decode(struct span body, struct wire_rekey *out) {
    struct wire_reader reader = body_reader(body);
    out->step = wire_read_u8(&reader);
    wire_demand(&reader, out->step >= 1 && out->step <= 3);
    wire_demand(&reader, reader.rest.len <= REKEY_MESSAGE_MAX);
    wire_demand(&reader, (reader.rest.len == 0) == (out->step == 3));
    out->message = wire_read_rest(&reader);
    return wire_verdict(&reader);
}

void wire_rekey_encode(struct wire_writer *writer, const struct wire_rekey *message) {
    wire_write_u8(writer, message->step);
    wire_write_bytes(writer, message->message);
}

enum weft_err wire_close_decode(struct span body, struct wire_close *out) {
    struct wire_reader reader = body_reader(body);
    out->reason = wire_read_u8(&reader);
    out->text = wire_read_rest(&reader);
    wire_demand(&reader, out->reason != 0 && out->text.len <= CLOSE_TEXT_MAX);
    wire_demand(&reader, wire_text_is_printable(out->text));
    return wire_verdict(&reader);
}

void wire_close_encode(struct wire_writer *writer, const struct wire_close *message) {
    wire_write_u8(writer, message->reason);
    wire_write_bytes(writer, message->text);
}

enum weft_err wire_records_next(struct wire_reader *list, struct span *out) {
    size_t len = wire_read_u16(list);
    wire_demand(list, len >= WIRE_RECORD_OVERHEAD);
    wire_demand(list, len <= WIRE_RECORD_OVERHEAD + WIRE_RECORD_KEY_MAX + WIRE_RECORD_BODY_MAX);
    *out = wire_read_bytes(list, len);
    return list->has_failed ? WEFT_ERR_MALFORMED : WEFT_OK;
}

enum weft_err wire_records_decode(struct span body, struct wire_records *out) {
    struct wire_reader reader = body_reader(body);
    struct span record;
    enum weft_err err = WEFT_OK;
    while (err == WEFT_OK && wire_reader_more(&reader)) {
        err = wire_records_next(&reader, &record);
    }
    out->list = body;
    return wire_verdict(&reader);
}

void wire_records_encode(struct wire_writer *writer, const struct wire_records *message) {
    wire_write_bytes(writer, message->list);
}

/* Reads the prefix; a nibble that depth does not count is zero, so that a range has one spelling.
 */
static void read_prefix(struct wire_reader *items, struct wire_sync_item *out) {
    if (out->depth > WIRE_SYNC_DEPTH_MAX) {
        wire_reader_fail(items);
        return;
    }
    size_t len = ((size_t)out->depth + 1) / 2;
    wire_read_copy(items, out->prefix, len);
    wire_demand(items, out->depth % 2 == 0 || (out->prefix[len - 1] & 0x0f) == 0);
}

/* Reads what stands between the prefix and the entries; returns the bytes of the entries. */
static size_t read_sync_counts(struct wire_reader *items, struct wire_sync_item *out) {
    if (out->mode == WIRE_SYNC_FINGERPRINTS) {
        wire_demand(items, out->depth < WIRE_SYNC_DEPTH_MAX); /* one name has no children */
        return WIRE_SYNC_CHILDREN * WIRE_SYNC_FINGERPRINT_BYTES;
    }
    if (out->mode == WIRE_SYNC_LIST) {
        uint8_t answer = wire_read_u8(items);
        wire_demand(items, answer <= 1);
        out->is_answer = answer == 1;
        out->count = wire_read_u16(items);
        return (size_t)out->count * WIRE_SYNC_ENTRY_BYTES;
    }
    wire_demand(items, out->mode == WIRE_SYNC_WANT);
    out->count = wire_read_u16(items);
    return (size_t)out->count * WIRE_SYNC_PLACE_BYTES;
}

enum weft_err wire_sync_next(struct wire_reader *items, struct wire_sync_item *out) {
    *out = (struct wire_sync_item){0};
    out->mode = wire_read_u8(items);
    out->depth = wire_read_u8(items);
    read_prefix(items, out);
    out->entries = wire_read_bytes(items, read_sync_counts(items, out));
    return items->has_failed ? WEFT_ERR_MALFORMED : WEFT_OK;
}

void wire_sync_item_encode(struct wire_writer *writer, const struct wire_sync_item *item) {
    ASSERT(item->depth <= WIRE_SYNC_DEPTH_MAX);
    wire_write_u8(writer, item->mode);
    wire_write_u8(writer, item->depth);
    wire_write_bytes(writer, span_of(item->prefix, ((size_t)item->depth + 1) / 2));
    if (item->mode == WIRE_SYNC_LIST) {
        wire_write_u8(writer, item->is_answer ? 1 : 0);
    }
    if (item->mode != WIRE_SYNC_FINGERPRINTS) {
        wire_write_u16(writer, item->count);
    }
    wire_write_bytes(writer, item->entries);
}

enum weft_err wire_sync_decode(struct span body, struct wire_sync *out) {
    struct wire_reader reader = body_reader(body);
    struct wire_sync_item item;
    enum weft_err err = WEFT_OK;
    out->salt = wire_read_u64(&reader);
    out->items = reader.rest;
    while (err == WEFT_OK && wire_reader_more(&reader)) {
        err = wire_sync_next(&reader, &item);
    }
    return wire_verdict(&reader);
}

void wire_sync_encode(struct wire_writer *writer, const struct wire_sync *message) {
    wire_write_u64(writer, message->salt);
    wire_write_bytes(writer, message->items);
}

enum weft_err wire_pull_decode(struct span body, struct wire_pull *out) {
    struct wire_reader reader = body_reader(body);
    out->source = wire_read_peer(&reader);
    out->incarnation = read_number(&reader, 1);
    out->from = read_number(&reader, 1);
    out->count = wire_read_u16(&reader);
    wire_demand(&reader, out->count > 0 && out->count <= NUMBER_LIMIT - out->from);
    return wire_verdict(&reader);
}

void wire_pull_encode(struct wire_writer *writer, const struct wire_pull *message) {
    wire_write_peer(writer, &message->source);
    wire_write_u64(writer, message->incarnation);
    wire_write_u64(writer, message->from);
    wire_write_u16(writer, message->count);
}

enum weft_err wire_heads_next(struct wire_reader *list, struct wire_head *out) {
    out->source = wire_read_peer(list);
    out->incarnation = read_number(list, 1);
    out->sequence = read_number(list, 0);
    return list->has_failed ? WEFT_ERR_MALFORMED : WEFT_OK;
}

void wire_head_encode(struct wire_writer *writer, const struct wire_head *head) {
    wire_write_peer(writer, &head->source);
    wire_write_u64(writer, head->incarnation);
    wire_write_u64(writer, head->sequence);
}

enum weft_err wire_heads_decode(struct span body, struct wire_heads *out) {
    struct wire_reader reader = body_reader(body);
    struct wire_head head;
    enum weft_err err = WEFT_OK;
    while (err == WEFT_OK && wire_reader_more(&reader)) {
        err = wire_heads_next(&reader, &head);
    }
    out->list = body;
    return wire_verdict(&reader);
}

void wire_heads_encode(struct wire_writer *writer, const struct wire_heads *message) {
    wire_write_bytes(writer, message->list);
}

/* An edit of a delta being decoded. */
static void read_edit(struct wire_reader *edits, struct wire_edit *out) {
    out->skip = wire_read_mp_between(edits, 0, WIRE_RECORD_BODY_MAX);
    out->cut = wire_read_mp_between(edits, 0, WIRE_RECORD_BODY_MAX);
    out->bytes = wire_read_bytes(edits, wire_read_mp_between(edits, 0, WIRE_EDITS_BYTES_MAX));
}

bool wire_edits_next(struct wire_reader *edits, struct wire_edit *out) {
    if (!wire_reader_more(edits)) {
        return false;
    }
    read_edit(edits, out);
    ASSERT(!edits->has_failed);
    return true;
}

void wire_edit_encode(struct wire_writer *writer, const struct wire_edit *edit) {
    wire_write_mp_uint(writer, edit->skip);
    wire_write_mp_uint(writer, edit->cut);
    wire_write_mp_uint(writer, edit->bytes.len);
    wire_write_bytes(writer, edit->bytes);
}

enum weft_err wire_deltas_next(struct wire_reader *list, struct wire_delta *out) {
    wire_read_copy(list, out->name, sizeof out->name);
    out->incarnation = wire_read_mp_between(list, 1, NUMBER_LIMIT - 1);
    out->version = wire_read_mp_between(list, 1, NUMBER_LIMIT - 1);
    out->step = wire_read_mp_between(list, 1, NUMBER_LIMIT - 1);
    wire_demand(list, out->step < out->version);
    out->edits = wire_read_bytes(list, wire_read_mp_between(list, 0, WIRE_EDITS_BYTES_MAX));
    out->signature = wire_read_bytes(list, SIGNATURE_BYTES_WIRE);
    struct wire_reader edits = wire_reader_of(out->edits);
    struct wire_edit edit;
    while (wire_reader_more(&edits)) {
        read_edit(&edits, &edit);
    }
    wire_demand(list, !edits.has_failed);
    return list->has_failed ? WEFT_ERR_MALFORMED : WEFT_OK;
}

void wire_delta_encode(struct wire_writer *writer, const struct wire_delta *delta) {
    wire_write_bytes(writer, span_of(delta->name, sizeof delta->name));
    wire_write_mp_uint(writer, delta->incarnation);
    wire_write_mp_uint(writer, delta->version);
    wire_write_mp_uint(writer, delta->step);
    wire_write_mp_uint(writer, delta->edits.len);
    wire_write_bytes(writer, delta->edits);
    wire_write_bytes(writer, delta->signature);
}

enum weft_err wire_deltas_decode(struct span body, struct wire_deltas *out) {
    struct wire_reader reader = body_reader(body);
    struct wire_delta delta;
    enum weft_err err = WEFT_OK;
    while (err == WEFT_OK && wire_reader_more(&reader)) {
        err = wire_deltas_next(&reader, &delta);
    }
    out->list = body;
    return wire_verdict(&reader);
}

void wire_deltas_encode(struct wire_writer *writer, const struct wire_deltas *message) {
    wire_write_bytes(writer, message->list);
}

enum weft_err wire_notes_next(struct wire_reader *list, struct wire_note *out) {
    wire_read_copy(list, out->name, sizeof out->name);
    out->incarnation = wire_read_u8(list);
    out->version = wire_read_u8(list);
    return list->has_failed ? WEFT_ERR_MALFORMED : WEFT_OK;
}

void wire_note_encode(struct wire_writer *writer, const struct wire_note *note) {
    wire_write_bytes(writer, span_of(note->name, sizeof note->name));
    wire_write_u8(writer, note->incarnation);
    wire_write_u8(writer, note->version);
}

enum weft_err wire_notes_decode(struct span body, struct wire_notes *out) {
    struct wire_reader reader = body_reader(body);
    out->act = wire_read_u8(&reader);
    out->list = wire_read_rest(&reader);
    wire_demand(&reader, out->act >= WIRE_NOTES_HAVE && out->act <= WIRE_NOTES_HOLD);
    wire_demand(&reader, out->list.len % WIRE_NOTE_BYTES == 0);
    wire_demand(&reader, out->act != WIRE_NOTES_HOLD || out->list.len == 0);
    return wire_verdict(&reader);
}

void wire_notes_encode(struct wire_writer *writer, const struct wire_notes *message) {
    wire_write_u8(writer, message->act);
    wire_write_bytes(writer, message->list);
}
