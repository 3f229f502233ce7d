/* SPDX-License-Identifier: Apache-2.0
 *
 * A bounded cursor that writes, binary (big-endian) and msgpack (by msgpack-c's packer). Failure is
 * sticky: what does not fit fails the writer for good, and the caller asks once.
 */
#ifndef WIRE_WRITER_H
#define WIRE_WRITER_H

#include "base/span.h"
#include "weft/types.h"

struct wire_writer {
    uint8_t *data;
    size_t len;
    size_t size;
    bool has_failed;
};

/* Writes into the caller's `size` bytes. */
struct wire_writer wire_writer_of(void *data, size_t size);

void wire_write_u8(struct wire_writer *writer, uint8_t value);
void wire_write_u16(struct wire_writer *writer, uint16_t value);
void wire_write_u32(struct wire_writer *writer, uint32_t value);
void wire_write_u64(struct wire_writer *writer, uint64_t value);
void wire_write_bytes(struct wire_writer *writer, struct span bytes);
void wire_write_peer(struct wire_writer *writer, const struct weft_peer_id *id);

/* A length byte, then the bytes; fails when longer than 255. */
void wire_write_short(struct wire_writer *writer, struct span bytes);

void wire_write_mp_uint(struct wire_writer *writer, uint64_t value);
void wire_write_mp_text(struct wire_writer *writer, struct span text);
void wire_write_mp_bytes(struct wire_writer *writer, struct span bytes);
void wire_write_mp_array(struct wire_writer *writer, uint32_t count);
void wire_write_mp_map(struct wire_writer *writer, uint32_t count);

/* A one-character map key. */
void wire_write_mp_key(struct wire_writer *writer, char key);

/* What was written; empty after a failure. */
struct span wire_writer_view(const struct wire_writer *writer);

#endif
