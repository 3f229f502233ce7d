/* SPDX-License-Identifier: Apache-2.0
 *
 * The cursor that walks a peer's bytes. Its one idea: every read goes through `take`, which either
 * has the bytes or fails the reader for good, so no decoder can be written that reads past the end.
 * Msgpack items are read as a head (type, then value, length or count) that is checked against what
 * is left before anybody acts on it. Source: the MessagePack specification, 2013 edition.
 */
#include "wire/reader.h"

#include <endian.h>
#include <string.h>

struct wire_reader wire_reader_of(struct span bytes) {
    return (struct wire_reader){.rest = bytes, .has_failed = false};
}

void wire_reader_fail(struct wire_reader *reader) {
    reader->has_failed = true;
    reader->rest = span_of(NULL, 0);
}

/* The next `len` (>= 1) bytes, or NULL and a failed reader. */
static const uint8_t *take(struct wire_reader *reader, size_t len) {
    if (reader->has_failed || len > reader->rest.len) {
        wire_reader_fail(reader);
        return NULL;
    }
    const uint8_t *bytes = reader->rest.data;
    reader->rest = span_of(bytes + len, reader->rest.len - len);
    return bytes;
}

/* An unsigned big-endian integer of 1 to 8 bytes. */
static uint64_t read_uint(struct wire_reader *reader, size_t width) {
    const uint8_t *bytes = take(reader, width);
    uint64_t value = 0;
    for (size_t i = 0; bytes != NULL && i < width; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

uint8_t wire_read_u8(struct wire_reader *reader) {
    const uint8_t *bytes = take(reader, 1);
    return bytes != NULL ? *bytes : 0;
}

/* The fixed widths are one load each: some fifty of them stand in every packet's way. */
uint16_t wire_read_u16(struct wire_reader *reader) {
    const uint8_t *bytes = take(reader, 2);
    uint16_t value = 0;
    if (bytes != NULL) {
        memcpy(&value, bytes, sizeof value);
    }
    return be16toh(value);
}

uint32_t wire_read_u32(struct wire_reader *reader) {
    const uint8_t *bytes = take(reader, 4);
    uint32_t value = 0;
    if (bytes != NULL) {
        memcpy(&value, bytes, sizeof value);
    }
    return be32toh(value);
}

uint64_t wire_read_u64(struct wire_reader *reader) {
    const uint8_t *bytes = take(reader, 8);
    uint64_t value = 0;
    if (bytes != NULL) {
        memcpy(&value, bytes, sizeof value);
    }
    return be64toh(value);
}

struct span wire_read_bytes(struct wire_reader *reader, size_t len) {
    if (len == 0) {
        return span_of(NULL, 0);
    }
    const uint8_t *bytes = take(reader, len);
    return span_of(bytes, bytes == NULL ? 0 : len);
}

void wire_read_copy(struct wire_reader *reader, void *out, size_t len) {
    struct span bytes = wire_read_bytes(reader, len);
    if (len == 0) {
        return;
    }
    if (bytes.len == 0) {
        memset(out, 0, len);
        return;
    }
    memcpy(out, bytes.data, len);
}

struct weft_peer_id wire_read_peer(struct wire_reader *reader) {
    struct weft_peer_id id;
    wire_read_copy(reader, id.bytes, sizeof id.bytes);
    return id;
}

struct span wire_read_short(struct wire_reader *reader, size_t max) {
    size_t len = wire_read_u8(reader);
    if (len > max) {
        wire_reader_fail(reader);
        return span_of(NULL, 0);
    }
    return wire_read_bytes(reader, len);
}

bool wire_reader_done(const struct wire_reader *reader) {
    return !reader->has_failed && reader->rest.len == 0;
}

bool wire_reader_more(const struct wire_reader *reader) {
    return !reader->has_failed && reader->rest.len > 0;
}

/* What the first bytes of an item say it is. */
enum mp_type {
    MP_BAD = 0, /* byte 0xc1, which msgpack never uses, or a head that does not fit */
    MP_PLAIN,   /* nil, boolean, float, negative or signed integer, extension: only ever skipped */
    MP_UINT,
    MP_TEXT,
    MP_BYTES,
    MP_ARRAY,
    MP_MAP,
};

struct mp_head {
    enum mp_type type;
    uint64_t value; /* uint: the value; array, map: the count; else: bytes that follow */
};

/* Rows of the heads 0xc0 .. 0xdf: the value is `fixed` plus an integer of `width` bytes. */
struct mp_row {
    uint8_t type;
    uint8_t width;
    uint8_t fixed;
};

static const struct mp_row mp_rows[32] = {
    {MP_PLAIN, 0, 0},  {MP_BAD, 0, 0},   {MP_PLAIN, 0, 0}, {MP_PLAIN, 0, 0}, /* nil false true */
    {MP_BYTES, 1, 0},  {MP_BYTES, 2, 0}, {MP_BYTES, 4, 0}, {MP_PLAIN, 1, 1}, /* bin; ext and type */
    {MP_PLAIN, 2, 1},  {MP_PLAIN, 4, 1}, {MP_PLAIN, 0, 4}, {MP_PLAIN, 0, 8}, /* ext; float */
    {MP_UINT, 1, 0},   {MP_UINT, 2, 0},  {MP_UINT, 4, 0},  {MP_UINT, 8, 0},  /* uint */
    {MP_PLAIN, 0, 1},  {MP_PLAIN, 0, 2}, {MP_PLAIN, 0, 4}, {MP_PLAIN, 0, 8}, /* int */
    {MP_PLAIN, 0, 2},  {MP_PLAIN, 0, 3}, {MP_PLAIN, 0, 5}, {MP_PLAIN, 0, 9}, /* fixext and type */
    {MP_PLAIN, 0, 17}, {MP_TEXT, 1, 0},  {MP_TEXT, 2, 0},  {MP_TEXT, 4, 0},  /* str */
    {MP_ARRAY, 2, 0},  {MP_ARRAY, 4, 0}, {MP_MAP, 2, 0},   {MP_MAP, 4, 0},   /* array map */
};

/* The head that one byte with its value inside stands for, or the row's. */
static struct mp_head parse_head(struct wire_reader *reader, uint8_t byte) {
    if (byte < 0x80) {
        return (struct mp_head){MP_UINT, byte};
    }
    if (byte < 0x90) {
        return (struct mp_head){MP_MAP, byte & 0x0fU};
    }
    if (byte < 0xa0) {
        return (struct mp_head){MP_ARRAY, byte & 0x0fU};
    }
    if (byte < 0xc0) {
        return (struct mp_head){MP_TEXT, byte & 0x1fU};
    }
    if (byte >= 0xe0) {
        return (struct mp_head){MP_PLAIN, 0}; /* a negative integer in the byte itself */
    }
    const struct mp_row *row = &mp_rows[byte - 0xc0];
    uint64_t value = row->fixed;
    if (row->width > 0) {
        value += read_uint(reader, row->width);
    }
    return (struct mp_head){(enum mp_type)row->type, value};
}

/* The least number of bytes that must follow a head for it to be true. */
static uint64_t bytes_behind(struct mp_head head) {
    switch (head.type) {
    case MP_BAD:
    case MP_UINT:
        break;
    case MP_PLAIN:
    case MP_TEXT:
    case MP_BYTES:
    case MP_ARRAY:
        return head.value;
    case MP_MAP:
        return 2 * head.value;
    }
    return 0;
}

static struct mp_head read_head(struct wire_reader *reader) {
    struct mp_head head = parse_head(reader, wire_read_u8(reader));
    bool is_too_many = head.type == MP_MAP && head.value > WIRE_MSGPACK_KEYS_MAX;
    if (head.type == MP_BAD || is_too_many || bytes_behind(head) > reader->rest.len) {
        wire_reader_fail(reader);
    }
    if (reader->has_failed) {
        return (struct mp_head){MP_BAD, 0};
    }
    return head;
}

/* The value of an item that must be of one type; 0 and a failed reader if it is not. */
static uint64_t read_typed(struct wire_reader *reader, enum mp_type type, uint64_t max) {
    struct mp_head head = read_head(reader);
    if (head.type != type || head.value > max) {
        wire_reader_fail(reader);
        return 0;
    }
    return head.value;
}

uint64_t wire_read_mp_uint(struct wire_reader *reader) {
    return read_typed(reader, MP_UINT, UINT64_MAX);
}

struct span wire_read_mp_text(struct wire_reader *reader, size_t max) {
    return wire_read_bytes(reader, (size_t)read_typed(reader, MP_TEXT, max));
}

struct span wire_read_mp_bytes(struct wire_reader *reader, size_t max) {
    return wire_read_bytes(reader, (size_t)read_typed(reader, MP_BYTES, max));
}

uint32_t wire_read_mp_array(struct wire_reader *reader, uint32_t max) {
    return (uint32_t)read_typed(reader, MP_ARRAY, max);
}

uint32_t wire_read_mp_map(struct wire_reader *reader) {
    return (uint32_t)read_typed(reader, MP_MAP, WIRE_MSGPACK_KEYS_MAX);
}

/* The containers that the skipper stands in: how many items each still has to come. */
struct skip_stack {
    uint64_t left[WIRE_MSGPACK_DEPTH_MAX];
    size_t depth;
};

static void skip_push(struct skip_stack *stack, struct wire_reader *reader, uint64_t items) {
    if (items == 0 && stack->depth < WIRE_MSGPACK_DEPTH_MAX) {
        return;
    }
    if (stack->depth == WIRE_MSGPACK_DEPTH_MAX) {
        wire_reader_fail(reader);
        return;
    }
    stack->left[stack->depth++] = items;
}

/* Counts one item of the innermost container and leaves those that are then complete. */
static void skip_pop(struct skip_stack *stack) {
    while (stack->depth > 0 && stack->left[stack->depth - 1] == 0) {
        stack->depth--;
    }
    if (stack->depth > 0) {
        stack->left[stack->depth - 1]--;
    }
}

/* Reads one head; containers are pushed, everything else is stepped over. */
static void skip_one(struct skip_stack *stack, struct wire_reader *reader) {
    struct mp_head head = read_head(reader);
    if (head.type == MP_ARRAY || head.type == MP_MAP) {
        skip_push(stack, reader, bytes_behind(head));
    } else {
        (void)wire_read_bytes(reader, (size_t)bytes_behind(head));
    }
}

/* Whether any container still waits for items. */
static bool skip_is_open(const struct skip_stack *stack) {
    for (size_t i = 0; i < stack->depth; i++) {
        if (stack->left[i] > 0) {
            return true;
        }
    }
    return false;
}

void wire_skip_mp(struct wire_reader *reader) {
    struct skip_stack stack = {{0}, 0};
    skip_one(&stack, reader);
    while (!reader->has_failed && skip_is_open(&stack)) {
        skip_pop(&stack);
        skip_one(&stack, reader);
    }
}

struct span wire_read_mp_item(struct wire_reader *reader) {
    struct span start = reader->rest;
    wire_skip_mp(reader);
    if (reader->has_failed) {
        return span_of(NULL, 0);
    }
    return span_of(start.data, start.len - reader->rest.len);
}

struct wire_map wire_map_of(struct wire_reader *reader) {
    return (struct wire_map){.reader = reader, .left = wire_read_mp_map(reader), .last = 0};
}

bool wire_map_next(struct wire_map *map, char *key) {
    if (map->left == 0 || map->reader->has_failed) {
        return false;
    }
    struct span text = wire_read_mp_text(map->reader, 1);
    if (text.len != 1 || text.data[0] > 0x7e || text.data[0] <= (uint8_t)map->last) {
        wire_reader_fail(map->reader);
        return false;
    }
    map->left--;
    map->last = (char)text.data[0];
    *key = map->last;
    return true;
}
