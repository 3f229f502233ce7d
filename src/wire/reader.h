/* SPDX-License-Identifier: Apache-2.0
 *
 * A bounded cursor over a peer's bytes, binary (big-endian) and msgpack. Failure is sticky: a read
 * past the end yields zero and fails the reader for good, so a decoder reads every field in order
 * and asks once. Nothing is allocated and no declared count is believed beyond the bytes present.
 */
#ifndef WIRE_READER_H
#define WIRE_READER_H

#include "base/span.h"
#include "weft/types.h"

#define WIRE_MSGPACK_DEPTH_MAX 16 /* T10: nesting costs the skipper stack */
#define WIRE_MSGPACK_KEYS_MAX 64  /* T10: keys in one map; our largest has ten */

struct wire_reader {
    struct span rest;
    bool has_failed;
};

struct wire_reader wire_reader_of(struct span bytes);

uint8_t wire_read_u8(struct wire_reader *reader);
uint16_t wire_read_u16(struct wire_reader *reader);
uint32_t wire_read_u32(struct wire_reader *reader);
uint64_t wire_read_u64(struct wire_reader *reader);

/* Borrows the next `len` bytes; empty when there are fewer. */
struct span wire_read_bytes(struct wire_reader *reader, size_t len);

/* Copies the next `len` bytes; zeroes `out` when there are fewer. */
void wire_read_copy(struct wire_reader *reader, void *out, size_t len);

struct weft_peer_id wire_read_peer(struct wire_reader *reader);

/* A length byte, then that many bytes; fails when longer than `max`. */
struct span wire_read_short(struct wire_reader *reader, size_t max);

/* Fails the reader: a value was read that its field does not allow. */
void wire_reader_fail(struct wire_reader *reader);

/* Whether nothing failed and nothing is left over. */
bool wire_reader_done(const struct wire_reader *reader);

/* Whether nothing failed and there is something left: the loop condition of a list. */
bool wire_reader_more(const struct wire_reader *reader);

/* Msgpack. Each fails the reader when the next item is of another type or not in its shortest
 * form's value range; lengths and counts are checked against what is left before anything else.
 * Every array element or map pair takes at least one or two bytes, so a count beyond that fails. */
uint64_t wire_read_mp_uint(struct wire_reader *reader);
struct span wire_read_mp_text(struct wire_reader *reader, size_t max);
struct span wire_read_mp_bytes(struct wire_reader *reader, size_t max);
uint32_t wire_read_mp_array(struct wire_reader *reader, uint32_t max);

/* The number of pairs of a map, at most WIRE_MSGPACK_KEYS_MAX. */
uint32_t wire_read_mp_map(struct wire_reader *reader);

/* Skips one item of any type, nested to at most WIRE_MSGPACK_DEPTH_MAX. */
void wire_skip_mp(struct wire_reader *reader);

/* Borrows the encoding of one whole item (as wire_skip_mp) to walk later. */
struct span wire_read_mp_item(struct wire_reader *reader);

/* Walks a map whose keys are one-character texts, in strictly increasing order, so that duplicate
 * keys cannot stand in it:
 *
 *   struct wire_map map = wire_map_of(&reader);
 *   char key;
 *   while (wire_map_next(&map, &key)) {
 *       switch (key) { ...read the value...; default: wire_skip_mp(&reader); }
 *   }
 */
struct wire_map {
    struct wire_reader *reader;
    uint32_t left;
    char last;
};
struct wire_map wire_map_of(struct wire_reader *reader);
bool wire_map_next(struct wire_map *map, char *key);

#endif
