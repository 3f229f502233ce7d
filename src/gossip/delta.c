/* SPDX-License-Identifier: Apache-2.0
 *
 * Differences between two bodies, found by trying ever longer pieces cut and put until both sides
 * agree again. That finds a link taken out of a list together with the changed count before it,
 * which no common beginning and end would.
 */
#include "gossip/delta.h"

#include "base/check.h"

#define AGREE_BYTES 4   /* so many equal bytes are no chance: both sides are in step again */
#define SEARCH_BYTES 64 /* cut and put together; a link is at most 24 */
#define EDITS_MAX 32    /* a record that differs in more places goes whole */
#define EDITS_ROOM 4096
#define FLAGS_AT 2 /* in a record: kind(2) flags(1) */

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

static struct span behind(struct span bytes, size_t len) {
    ASSERT(len <= bytes.len);
    return len == 0 ? bytes : span_of(bytes.data + len, bytes.len - len); /* an empty one is NULL */
}

static size_t common_begin(struct span a, struct span b) {
    size_t max = least(a.len, b.len);
    size_t len = 0;
    while (len < max && a.data[len] == b.data[len]) {
        len++;
    }
    return len;
}

static size_t common_end(struct span a, struct span b) {
    size_t max = least(a.len, b.len);
    size_t len = 0;
    while (len < max && a.data[a.len - 1 - len] == b.data[b.len - 1 - len]) {
        len++;
    }
    return len;
}

/* Whether both go on alike, for long enough or to their common end. */
static bool do_agree(struct span a, struct span b) {
    if (a.len < AGREE_BYTES || b.len < AGREE_BYTES) {
        return span_equal(a, b);
    }
    return memcmp(a.data, b.data, AGREE_BYTES) == 0;
}

/* Of all ways to cut and put so many bytes together, one behind which both agree: how much it cuts;
 * SIZE_MAX if there is none. */
static size_t find_cut(struct span old_body, struct span new_body, size_t sum) {
    size_t first = sum > new_body.len ? sum - new_body.len : 0;
    for (size_t cut = first; cut <= least(sum, old_body.len); cut++) {
        if (do_agree(behind(old_body, cut), behind(new_body, sum - cut))) {
            return cut;
        }
    }
    return SIZE_MAX;
}

/* The shortest cut from the old and put of the new behind which both agree; else all but what they
 * end with alike. */
static struct wire_edit find_edit(struct span old_body, struct span new_body) {
    for (size_t sum = 1; sum <= SEARCH_BYTES; sum++) {
        size_t cut = find_cut(old_body, new_body, sum);
        if (cut != SIZE_MAX) {
            return (struct wire_edit){.cut = cut, .bytes = span_of(new_body.data, sum - cut)};
        }
    }
    size_t end = common_end(old_body, new_body);
    return (struct wire_edit){.cut = old_body.len - end,
                              .bytes = span_of(new_body.data, new_body.len - end)};
}

/* Writes all edits; false when there are too many. */
static bool write_edits(struct wire_writer *writer, struct span old_body, struct span new_body) {
    for (int count = 0; count <= EDITS_MAX && !writer->has_failed; count++) {
        size_t same = common_begin(old_body, new_body);
        old_body = behind(old_body, same);
        new_body = behind(new_body, same);
        if (old_body.len == 0 && new_body.len == 0) {
            return true;
        }
        struct wire_edit edit = find_edit(old_body, new_body);
        edit.skip = same;
        wire_edit_encode(writer, &edit);
        old_body = behind(old_body, edit.cut);
        new_body = behind(new_body, edit.bytes.len);
    }
    return false;
}

static bool may_differ_by_body(const struct record *base, const struct record *record) {
    return base->incarnation == record->incarnation && base->version < record->version &&
           !base->is_tombstone && !record->is_tombstone &&
           base->encoded.data[FLAGS_AT] == record->encoded.data[FLAGS_AT] &&
           memcmp(base->place, record->place, sizeof base->place) == 0;
}

bool delta_write(struct wire_writer *writer, const struct record *base,
                 const struct record *record) {
    uint8_t edits[EDITS_ROOM];
    size_t room = least(sizeof edits, record->encoded.len / 2); /* the signature comes on top */
    struct wire_writer into = wire_writer_of(edits, room);
    if (!may_differ_by_body(base, record) || !write_edits(&into, base->body, record->body) ||
        into.has_failed) {
        return false;
    }
    struct wire_delta delta = {.incarnation = record->incarnation,
                               .version = record->version,
                               .step = record->version - base->version,
                               .edits = wire_writer_view(&into)};
    memcpy(delta.name, record->place, sizeof delta.name);
    delta.signature =
        span_of(record->encoded.data + record->encoded.len - SIGNATURE_BYTES, SIGNATURE_BYTES);
    size_t before = writer->len;
    wire_delta_encode(writer, &delta);
    if (writer->has_failed || writer->len - before >= record->encoded.len) {
        writer->len = before;
        writer->has_failed = false; /* it was sound before, and is again */
        return false;
    }
    return true;
}

/* Writes the new body; fails the writer where an edit does not fit. */
static void apply_edits(struct wire_writer *writer, struct span edits, struct span old_body) {
    struct wire_reader reader = wire_reader_of(edits);
    struct wire_edit edit;
    while (wire_edits_next(&reader, &edit)) {
        if (edit.skip > old_body.len || edit.cut > old_body.len - edit.skip) {
            writer->has_failed = true;
            return;
        }
        wire_write_bytes(writer, span_of(old_body.data, edit.skip));
        wire_write_bytes(writer, edit.bytes);
        old_body = behind(old_body, edit.skip + edit.cut);
    }
    wire_write_bytes(writer, old_body);
}

struct span delta_apply(const struct wire_delta *delta, const struct record *base, uint8_t *out) {
    /* Counted from the end: an empty body is NULL, and lies nowhere. */
    size_t body_at = base->encoded.len - SIGNATURE_BYTES - base->body.len;
    size_t version_at = body_at - sizeof(uint16_t) - sizeof(uint64_t);
    struct wire_writer body = wire_writer_of(out + body_at, WIRE_RECORD_BODY_MAX);
    apply_edits(&body, delta->edits, base->body);
    if (body.has_failed) {
        return span_of(NULL, 0);
    }
    struct wire_writer head = wire_writer_of(out, body_at);
    wire_write_bytes(&head, span_of(base->encoded.data, version_at));
    wire_write_u64(&head, delta->version);
    wire_write_u16(&head, (uint16_t)body.len);
    ASSERT(!head.has_failed && head.len == body_at);
    memcpy(out + body_at + body.len, delta->signature.data, SIGNATURE_BYTES);
    return span_of(out, body_at + body.len + SIGNATURE_BYTES);
}
