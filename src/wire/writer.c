/* SPDX-License-Identifier: Apache-2.0
 *
 * The cursor that writes. msgpack-c's packer chooses the shortest form of each item and hands the
 * bytes to `append`, so binary and msgpack share one bound and one failure flag.
 */
#include "wire/writer.h"

#include <endian.h>
#include <msgpack.h>

#include "base/check.h"

struct wire_writer wire_writer_of(void *data, size_t size) {
    ASSERT(data != NULL || size == 0);
    return (struct wire_writer){.data = data, .len = 0, .size = size, .has_failed = false};
}

/* Shaped as msgpack_packer_write: 0, or -1 when the bytes do not fit. */
static int append(void *ctx, const char *bytes, size_t len) {
    struct wire_writer *writer = ctx;
    if (writer->has_failed || len > writer->size - writer->len) {
        writer->has_failed = true;
        return -1;
    }
    if (len > 0) {
        memcpy(writer->data + writer->len, bytes, len);
    }
    writer->len += len;
    return 0;
}

void wire_write_u8(struct wire_writer *writer, uint8_t value) {
    (void)append(writer, (const char *)&value, sizeof value);
}

void wire_write_u16(struct wire_writer *writer, uint16_t value) {
    const uint16_t big = htobe16(value);
    (void)append(writer, (const char *)&big, sizeof big);
}

void wire_write_u32(struct wire_writer *writer, uint32_t value) {
    const uint32_t big = htobe32(value);
    (void)append(writer, (const char *)&big, sizeof big);
}

void wire_write_u64(struct wire_writer *writer, uint64_t value) {
    const uint64_t big = htobe64(value);
    (void)append(writer, (const char *)&big, sizeof big);
}

void wire_write_bytes(struct wire_writer *writer, struct span bytes) {
    (void)append(writer, (const char *)bytes.data, bytes.len);
}

void wire_write_peer(struct wire_writer *writer, const struct weft_peer_id *id) {
    wire_write_bytes(writer, span_of(id->bytes, sizeof id->bytes));
}

void wire_write_short(struct wire_writer *writer, struct span bytes) {
    if (bytes.len > UINT8_MAX) {
        writer->has_failed = true;
        return;
    }
    wire_write_u8(writer, (uint8_t)bytes.len);
    wire_write_bytes(writer, bytes);
}

/* A packer on top of the writer; it holds no state of its own. */
static msgpack_packer packer_of(struct wire_writer *writer) {
    msgpack_packer packer;
    msgpack_packer_init(&packer, writer, append);
    return packer;
}

void wire_write_mp_uint(struct wire_writer *writer, uint64_t value) {
    msgpack_packer packer = packer_of(writer);
    (void)msgpack_pack_uint64(&packer, value);
}

void wire_write_mp_text(struct wire_writer *writer, struct span text) {
    msgpack_packer packer = packer_of(writer);
    (void)msgpack_pack_str(&packer, text.len);
    (void)msgpack_pack_str_body(&packer, text.data, text.len);
}

void wire_write_mp_bytes(struct wire_writer *writer, struct span bytes) {
    msgpack_packer packer = packer_of(writer);
    (void)msgpack_pack_bin(&packer, bytes.len);
    (void)msgpack_pack_bin_body(&packer, bytes.data, bytes.len);
}

void wire_write_mp_array(struct wire_writer *writer, uint32_t count) {
    msgpack_packer packer = packer_of(writer);
    (void)msgpack_pack_array(&packer, count);
}

void wire_write_mp_map(struct wire_writer *writer, uint32_t count) {
    msgpack_packer packer = packer_of(writer);
    (void)msgpack_pack_map(&packer, count);
}

void wire_write_mp_key(struct wire_writer *writer, char key) {
    wire_write_mp_text(writer, span_of(&key, 1));
}

struct span wire_writer_view(const struct wire_writer *writer) {
    return writer->has_failed ? span_of(NULL, 0) : span_of(writer->data, writer->len);
}
