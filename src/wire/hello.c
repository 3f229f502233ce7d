/* SPDX-License-Identifier: Apache-2.0
 *
 * The hello of the link handshake: who I am, what I speak, where I listen. docs/protocol.md,
 * "Hello".
 */
#include "base/check.h"
#include "wire/body.h"

/* Everything but the addresses: map and keys 10, numbers 4 x 9 and 2 x 2 and 3, key 34, name 65. */
#define HELLO_FIXED_BYTES 160
#define HELLO_ADDRESSES_BYTES (1 + WIRE_ADDRESSES_MAX * (2 + WIRE_ADDRESS_MAX))
_Static_assert(HELLO_FIXED_BYTES + HELLO_ADDRESSES_BYTES <= WIRE_HELLO_BYTES_MAX,
               "every hello that can be encoded must fit");

static void read_hello_field(struct wire_reader *reader, char key, struct wire_hello *out) {
    switch (key) {
    case 'a':
        out->addresses = wire_read_addresses(reader);
        break;
    case 'f':
        out->features = wire_read_mp_uint(reader);
        break;
    case 'h':
        out->version_max = (uint8_t)wire_read_mp_between(reader, 1, UINT8_MAX);
        break;
    case 'i':
        out->instance = wire_read_mp_uint(reader);
        break;
    case 'k':
        wire_read_mp_exact(reader, out->key.bytes, sizeof out->key.bytes);
        break;
    case 'l':
        out->version_min = (uint8_t)wire_read_mp_between(reader, 1, UINT8_MAX);
        break;
    case 'n':
        out->name = wire_read_mp_name(reader);
        break;
    case 'p':
        (void)wire_read_mp_bytes(reader, WIRE_HELLO_BYTES_MAX);
        break;
    case 'r':
        out->area = (uint16_t)wire_read_mp_between(reader, 0, UINT16_MAX);
        break;
    case 'v':
        out->incarnation = wire_read_mp_between(reader, 1, WIRE_VERSION_LIMIT - 1);
        break;
    default:
        wire_skip_mp(reader);
    }
}

enum weft_err wire_hello_decode(struct span bytes, struct wire_hello *out) {
    struct wire_reader reader = wire_reader_of(bytes);
    wire_demand(&reader, bytes.len <= WIRE_HELLO_BYTES_MAX);
    struct wire_map map = wire_map_of(&reader);
    struct wire_fields fields = {0};
    char key;
    *out = (struct wire_hello){0};
    while (wire_fields_next(&fields, &map, &key)) {
        read_hello_field(&reader, key, out);
    }
    wire_fields_demand(&fields, &reader, "hiklnv");
    wire_demand(&reader, out->version_min <= out->version_max);
    return wire_verdict(&reader);
}

void wire_hello_encode(struct wire_writer *writer, const struct wire_hello *hello,
                       const char *const *addresses, uint32_t address_count) {
    ASSERT(wire_name_is_valid(hello->name));
    wire_write_mp_map(writer, 9);
    wire_write_mp_key(writer, 'a');
    wire_write_addresses(writer, addresses, address_count);
    wire_write_mp_key(writer, 'f');
    wire_write_mp_uint(writer, hello->features);
    wire_write_mp_key(writer, 'h');
    wire_write_mp_uint(writer, hello->version_max);
    wire_write_mp_key(writer, 'i');
    wire_write_mp_uint(writer, hello->instance);
    wire_write_mp_key(writer, 'k');
    wire_write_mp_bytes(writer, span_of(hello->key.bytes, sizeof hello->key.bytes));
    wire_write_mp_key(writer, 'l');
    wire_write_mp_uint(writer, hello->version_min);
    wire_write_mp_key(writer, 'n');
    wire_write_mp_text(writer, hello->name);
    wire_write_mp_key(writer, 'r');
    wire_write_mp_uint(writer, hello->area);
    wire_write_mp_key(writer, 'v');
    wire_write_mp_uint(writer, hello->incarnation);
}
