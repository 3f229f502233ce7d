/* SPDX-License-Identifier: Apache-2.0
 *
 * What the decoders of this folder share and nobody else needs: claims about a value just read, and
 * the walk over a map whose fields may be missing or new.
 */
#ifndef WIRE_BODY_H
#define WIRE_BODY_H

#include "wire/record.h"

/* Fails the reader unless the claim about what was just read holds. */
void wire_demand(struct wire_reader *reader, bool holds);

/* Borrows all that is left. */
struct span wire_read_rest(struct wire_reader *reader);

/* A length byte, then a valid name. */
struct span wire_read_name(struct wire_reader *reader);

/* WEFT_OK when nothing failed and nothing is left over, else WEFT_ERR_MALFORMED. */
enum weft_err wire_verdict(const struct wire_reader *reader);

/* A msgpack integer in [min, max]; fails and gives 0 otherwise. */
uint64_t wire_read_mp_between(struct wire_reader *reader, uint64_t min, uint64_t max);

/* A msgpack byte string of exactly `len` bytes; zeroes `out` otherwise. */
void wire_read_mp_exact(struct wire_reader *reader, void *out, size_t len);

/* A msgpack text that is a valid name. */
struct span wire_read_mp_name(struct wire_reader *reader);

/* A msgpack text of min to max printable ASCII characters. */
struct span wire_read_mp_printable(struct wire_reader *reader, size_t min, size_t max);

/* An array of at most WIRE_ADDRESSES_MAX texts of 1 to WIRE_ADDRESS_MAX printable characters. */
struct wire_list wire_read_addresses(struct wire_reader *reader);

/* Writes those of the addresses that may be sent, at most WIRE_ADDRESSES_MAX. */
void wire_write_addresses(struct wire_writer *writer, const char *const *addresses,
                          uint32_t address_count);

/* Which lower-case keys a map had. */
struct wire_fields {
    uint32_t seen; /* bit 0 for 'a' ... bit 25 for 'z' */
};

/* As wire_map_next, and notes the key. */
bool wire_fields_next(struct wire_fields *fields, struct wire_map *map, char *key);

/* Fails the reader unless every one of these keys was seen. */
void wire_fields_demand(const struct wire_fields *fields, struct wire_reader *reader,
                        const char *keys);

#endif
