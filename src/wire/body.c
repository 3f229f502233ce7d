/* SPDX-License-Identifier: Apache-2.0
 *
 * What the decoders share: values that must lie in a range, texts that must be names, maps.
 */
#include "wire/body.h"

void wire_demand(struct wire_reader *reader, bool holds) {
    if (!holds) {
        wire_reader_fail(reader);
    }
}

struct span wire_read_rest(struct wire_reader *reader) {
    return wire_read_bytes(reader, reader->rest.len);
}

struct span wire_read_name(struct wire_reader *reader) {
    struct span name = wire_read_short(reader, WEFT_NAME_MAX);
    wire_demand(reader, wire_name_is_valid(name));
    return name;
}

enum weft_err wire_verdict(const struct wire_reader *reader) {
    return wire_reader_done(reader) ? WEFT_OK : WEFT_ERR_MALFORMED;
}

uint64_t wire_read_mp_between(struct wire_reader *reader, uint64_t min, uint64_t max) {
    uint64_t value = wire_read_mp_uint(reader);
    wire_demand(reader, value >= min && value <= max);
    return reader->has_failed ? 0 : value;
}

void wire_read_mp_exact(struct wire_reader *reader, void *out, size_t len) {
    struct span bytes = wire_read_mp_bytes(reader, len);
    wire_demand(reader, bytes.len == len);
    if (reader->has_failed) {
        memset(out, 0, len);
        return;
    }
    memcpy(out, bytes.data, len);
}

struct span wire_read_mp_name(struct wire_reader *reader) {
    struct span name = wire_read_mp_text(reader, WEFT_NAME_MAX);
    wire_demand(reader, wire_name_is_valid(name));
    return name;
}

struct span wire_read_mp_printable(struct wire_reader *reader, size_t min, size_t max) {
    struct span text = wire_read_mp_text(reader, max);
    wire_demand(reader, text.len >= min && wire_text_is_printable(text));
    return text;
}

static uint32_t bit_of(char key) {
    return key >= 'a' && key <= 'z' ? (uint32_t)1 << (key - 'a') : 0;
}

bool wire_fields_next(struct wire_fields *fields, struct wire_map *map, char *key) {
    if (!wire_map_next(map, key)) {
        return false;
    }
    fields->seen |= bit_of(*key);
    return true;
}

void wire_fields_demand(const struct wire_fields *fields, struct wire_reader *reader,
                        const char *keys) {
    for (; *keys != '\0'; keys++) {
        wire_demand(reader, (fields->seen & bit_of(*keys)) != 0);
    }
}

bool wire_text_is_printable(struct span text) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < 0x20 || text.data[i] > 0x7e) {
            return false;
        }
    }
    return true;
}

static bool is_alphanumeric(uint8_t byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9');
}

bool wire_name_is_valid(struct span name) {
    if (name.len == 0 || name.len > WEFT_NAME_MAX) {
        return false;
    }
    if (name.data[0] == '-' || name.data[0] == '.') {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        uint8_t byte = name.data[i];
        if (!is_alphanumeric(byte) && byte != '-' && byte != '_' && byte != '.') {
            return false;
        }
    }
    return true;
}
