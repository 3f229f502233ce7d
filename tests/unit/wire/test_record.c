/* SPDX-License-Identifier: Apache-2.0
 *
 * Records, names, and what the bodies of known kinds refuse (T10, T11). Bodies are packed here with
 * msgpack-c, so that a field can be left out, repeated or given another type.
 */
#include <criterion/criterion.h>
#include <msgpack.h>

#include "wire/record.h"

static uint8_t room[70000];

static bool record_survives(const struct wire_record *record) {
    static const uint8_t signature[64];
    struct wire_record out;
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    wire_record_encode_unsigned(&writer, record);
    wire_write_bytes(&writer, span_of(signature, sizeof signature));
    return !writer.has_failed && wire_record_decode(wire_writer_view(&writer), &out) == WEFT_OK;
}

static struct wire_record good_record(void) {
    return (struct wire_record){.kind = 900, .incarnation = 1, .version = 1};
}

Test(wire_record, versions_lie_between_one_and_two_to_the_63) {
    struct wire_record record = good_record();
    cr_assert(record_survives(&record));
    record.version = 0;
    cr_assert_not(record_survives(&record));
    record.version = WIRE_VERSION_LIMIT - 1;
    cr_assert(record_survives(&record));
    record.version = WIRE_VERSION_LIMIT;
    cr_assert_not(record_survives(&record));
    record.version = UINT64_MAX;
    cr_assert_not(record_survives(&record));
    record = good_record();
    record.incarnation = 0;
    cr_assert_not(record_survives(&record));
    record.incarnation = UINT64_MAX;
    cr_assert_not(record_survives(&record));
}

Test(wire_record, an_unknown_kind_has_any_key_and_body) {
    struct wire_record record = good_record();
    record.key = span_of("\x00\xff", 2);
    record.body = span_of_text("what later versions will know");
    cr_assert(record_survives(&record));
}

Test(wire_record, a_tombstone_has_no_body) {
    struct wire_record record = good_record();
    record.flags = WIRE_RECORD_TOMBSTONE;
    cr_assert(record_survives(&record));
    record.body = span_of_text("x");
    cr_assert_not(record_survives(&record));
    record.flags = 0xfe; /* unknown flags are ignored */
    cr_assert(record_survives(&record));
}

Test(wire_record, keys_and_bodies_are_bounded) {
    static const uint8_t zeroes[WIRE_RECORD_BODY_MAX + 1];
    struct wire_record record = good_record();
    record.key = span_of(zeroes, WIRE_RECORD_KEY_MAX);
    record.body = span_of(zeroes, WIRE_RECORD_BODY_MAX);
    cr_assert(record_survives(&record));
    record.body.len++;
    cr_assert_not(record_survives(&record));
    record.body.len--;
    record.key.len++;
    cr_assert_not(record_survives(&record));
}

/* Decodes a record whose key or body length field was overwritten. */
static bool takes_length(size_t at, size_t width, uint16_t length) {
    struct wire_record record = good_record();
    struct wire_record out;
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    wire_record_encode_unsigned(&writer, &record);
    cr_assert_eq(writer.len, WIRE_RECORD_OVERHEAD - 64);
    memset(room + writer.len, 0, 60000);
    room[at] = (uint8_t)(width == 2 ? length >> 8 : length);
    room[at + 1] = (uint8_t)(width == 2 ? (uint8_t)length : room[at + 1]);
    return wire_record_decode(span_of(room, WIRE_RECORD_OVERHEAD + length), &out) == WEFT_OK;
}

Test(wire_record, body_length_is_believed_up_to_its_bound) {
    cr_assert(takes_length(52, 2, 0));
    cr_assert(takes_length(52, 2, 1));
    cr_assert(takes_length(52, 2, WIRE_RECORD_BODY_MAX - 1));
    cr_assert(takes_length(52, 2, WIRE_RECORD_BODY_MAX));
    cr_assert_not(takes_length(52, 2, WIRE_RECORD_BODY_MAX + 1));
    cr_assert_not(takes_length(52, 2, 59999));
}

Test(wire_record, key_length_beyond_its_bound_is_refused) {
    cr_assert(takes_length(3, 1, 0));
    cr_assert_not(takes_length(3, 1, WIRE_RECORD_KEY_MAX + 1));
    cr_assert_not(takes_length(3, 1, 255));
}

Test(wire_record, a_peer_record_has_no_key) {
    struct wire_record record = good_record();
    record.kind = WIRE_RECORD_PEER;
    cr_assert(record_survives(&record));
    record.key = span_of_text("x");
    cr_assert_not(record_survives(&record));
}

static bool takes_service_key(const char *key) {
    struct wire_record record = good_record();
    record.kind = WIRE_RECORD_SERVICE;
    record.key = span_of_text(key);
    return record_survives(&record);
}

Test(wire_record, a_service_record_is_named_by_namespace_and_name) {
    cr_assert(takes_service_key("default/web"));
    cr_assert_not(takes_service_key(""));
    cr_assert_not(takes_service_key("web"));
    cr_assert_not(takes_service_key("/web"));
    cr_assert_not(takes_service_key("default/"));
    cr_assert(takes_service_key("default/web/udp"));
    cr_assert(takes_service_key("a/b/c"), "a protocol of a later version");
    cr_assert_not(takes_service_key("a/b/c/d"));
    cr_assert_not(takes_service_key("a/b/"));
    cr_assert_not(takes_service_key("a//udp"));
    cr_assert_not(takes_service_key("default/we b"));
}

Test(wire_record, names_are_letters_digits_and_three_marks) {
    char longest[WEFT_NAME_MAX + 2];
    memset(longest, 'n', sizeof longest);
    cr_assert(wire_name_is_valid(span_of(longest, WEFT_NAME_MAX)));
    cr_assert_not(wire_name_is_valid(span_of(longest, WEFT_NAME_MAX + 1)));
    cr_assert(wire_name_is_valid(span_of_text("a")));
    cr_assert(wire_name_is_valid(span_of_text("_site-A.9")));
    static const char *const bad[] = {"", "-a", ".a", "a b", "a/b", "a\n", "\xc3\xa4", "a:b"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_not(wire_name_is_valid(span_of_text(bad[i])), "%s", bad[i]);
    }
    cr_assert_not(wire_name_is_valid(span_of("a\0", 2)));
}

/* A map under construction by msgpack-c. */
struct packed {
    msgpack_sbuffer buffer;
    msgpack_packer packer;
};

static void packed_begin(struct packed *packed, size_t keys) {
    msgpack_sbuffer_init(&packed->buffer);
    msgpack_packer_init(&packed->packer, &packed->buffer, msgpack_sbuffer_write);
    (void)msgpack_pack_map(&packed->packer, keys);
}

static void pack_text(struct packed *packed, const char *text) {
    (void)msgpack_pack_str_with_body(&packed->packer, text, strlen(text));
}

static void pack_field(struct packed *packed, const char *key, uint64_t value) {
    pack_text(packed, key);
    (void)msgpack_pack_uint64(&packed->packer, value);
}

static void pack_name(struct packed *packed, const char *name) {
    pack_text(packed, "n");
    pack_text(packed, name);
}

static struct span packed_view(const struct packed *packed) {
    return span_of(packed->buffer.data, packed->buffer.size);
}

static bool packed_is_peer(struct packed *packed) {
    struct wire_peer_body body;
    bool is_good = wire_peer_body_decode(packed_view(packed), &body) == WEFT_OK;
    msgpack_sbuffer_destroy(&packed->buffer);
    return is_good;
}

Test(wire_record, a_peer_body_needs_a_name_and_an_instance_only) {
    struct packed packed;
    packed_begin(&packed, 2);
    pack_field(&packed, "i", 7);
    pack_name(&packed, "a");
    cr_assert(packed_is_peer(&packed));
    packed_begin(&packed, 1);
    pack_name(&packed, "a");
    cr_assert_not(packed_is_peer(&packed));
    packed_begin(&packed, 1);
    pack_field(&packed, "i", 7);
    cr_assert_not(packed_is_peer(&packed));
}

Test(wire_record, unknown_fields_of_a_body_are_skipped) {
    struct packed packed;
    packed_begin(&packed, 4);
    pack_field(&packed, "B", 1);
    pack_field(&packed, "i", 7);
    pack_name(&packed, "a");
    pack_text(&packed, "z");
    (void)msgpack_pack_array(&packed.packer, 2);
    (void)msgpack_pack_double(&packed.packer, 0.5);
    (void)msgpack_pack_map(&packed.packer, 0);
    cr_assert(packed_is_peer(&packed));
}

static bool takes_peer_field(const char *key, uint64_t value) {
    struct packed packed;
    bool is_before_name = strcmp(key, "n") < 0;
    packed_begin(&packed, 3);
    pack_field(&packed, "i", 7);
    if (is_before_name) {
        pack_field(&packed, key, value);
    }
    pack_name(&packed, "a");
    if (!is_before_name) {
        pack_field(&packed, key, value);
    }
    return packed_is_peer(&packed);
}

Test(wire_record, numbers_of_a_peer_body_are_bounded) {
    cr_assert(takes_peer_field("r", UINT16_MAX));
    cr_assert_not(takes_peer_field("r", UINT16_MAX + 1));
    cr_assert(takes_peer_field("o", UINT32_MAX));
    cr_assert_not(takes_peer_field("o", (uint64_t)UINT32_MAX + 1));
    cr_assert_not(takes_peer_field("i", 1), "the same key twice");
    cr_assert_not(takes_peer_field("l", 1), "a number where a list belongs");
}

/* A peer body whose links are `count` pairs of an id of one repeated byte and a cost. */
static bool takes_links(size_t count, const uint8_t *ids, const uint64_t *costs) {
    struct packed packed;
    packed_begin(&packed, 3);
    pack_field(&packed, "i", 7);
    pack_text(&packed, "l");
    (void)msgpack_pack_array(&packed.packer, count);
    for (size_t i = 0; i < count; i++) {
        uint8_t id[WEFT_PEER_ID_BYTES];
        memset(id, ids[i], sizeof id);
        (void)msgpack_pack_array(&packed.packer, 2);
        (void)msgpack_pack_bin_with_body(&packed.packer, id, sizeof id);
        (void)msgpack_pack_uint64(&packed.packer, costs[i]);
    }
    pack_name(&packed, "a");
    return packed_is_peer(&packed);
}
#define TAKES_LINK(cost) takes_links(1, (const uint8_t[]){1}, (const uint64_t[]){cost})
#define TAKES_LINKS(a, b) takes_links(2, (const uint8_t[]){a, b}, (const uint64_t[]){1, 1})

Test(wire_record, links_have_costs_and_stand_in_order) {
    cr_assert(TAKES_LINK(1));
    cr_assert_not(TAKES_LINK(0));
    cr_assert(TAKES_LINK((uint64_t)1 << 31));
    cr_assert_not(TAKES_LINK(((uint64_t)1 << 31) + 1));
    cr_assert(TAKES_LINKS(1, 2));
    cr_assert_not(TAKES_LINKS(2, 1));
    cr_assert_not(TAKES_LINKS(2, 2));
}

/* A peer body with `count` empty arrays under a key that holds a list. */
static bool takes_count(const char *key, size_t count) {
    struct packed packed;
    packed_begin(&packed, 3);
    pack_text(&packed, key);
    (void)msgpack_pack_array(&packed.packer, count);
    for (size_t i = 0; i < count; i++) {
        pack_text(&packed, "127.0.0.1:1");
    }
    pack_field(&packed, "i", 7);
    pack_name(&packed, "a");
    return packed_is_peer(&packed);
}

Test(wire_record, more_addresses_than_eight_are_refused) {
    cr_assert(takes_count("a", WIRE_ADDRESSES_MAX));
    cr_assert_not(takes_count("a", WIRE_ADDRESSES_MAX + 1));
}

static bool takes_address(const char *address) {
    struct packed packed;
    packed_begin(&packed, 3);
    pack_text(&packed, "a");
    (void)msgpack_pack_array(&packed.packer, 1);
    pack_text(&packed, address);
    pack_field(&packed, "i", 7);
    pack_name(&packed, "a");
    return packed_is_peer(&packed);
}

Test(wire_record, addresses_are_printable_and_short) {
    char text[WIRE_ADDRESS_MAX + 2] = {0};
    memset(text, '1', WIRE_ADDRESS_MAX);
    cr_assert(takes_address(text));
    text[WIRE_ADDRESS_MAX] = '1';
    cr_assert_not(takes_address(text));
    cr_assert_not(takes_address(""));
    cr_assert_not(takes_address("1.2.3.4:\x1b[2J"));
    cr_assert_not(takes_address("\xff"));
}

static bool takes_labels(size_t count, const char *const *keys, const char *value) {
    struct packed packed;
    packed_begin(&packed, 3);
    pack_field(&packed, "i", 7);
    pack_name(&packed, "a");
    pack_text(&packed, "t");
    (void)msgpack_pack_map(&packed.packer, count);
    for (size_t i = 0; i < count; i++) {
        pack_text(&packed, keys[i]);
        pack_text(&packed, value);
    }
    return packed_is_peer(&packed);
}
#define TAKES_LABELS(value, ...)                                                                   \
    takes_labels(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *),                      \
                 (const char *const[]){__VA_ARGS__}, value)

Test(wire_record, labels_stand_in_order_and_are_bounded) {
    cr_assert(TAKES_LABELS("", "a"));
    cr_assert(TAKES_LABELS("a value", "a", "aa", "b"));
    cr_assert_not(TAKES_LABELS("x", "a", "a"));
    cr_assert_not(TAKES_LABELS("x", "aa", "a"));
    cr_assert_not(TAKES_LABELS("x", "not a name"));
    cr_assert_not(TAKES_LABELS("\n", "a"));
    cr_assert(TAKES_LABELS("x", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m",
                           "n", "o", "p"));
    cr_assert_not(TAKES_LABELS("x", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m",
                               "n", "o", "p", "q"));
}

Test(wire_record, addresses_that_no_peer_would_take_are_not_sent) {
    char longer[WIRE_ADDRESS_MAX + 2] = {0};
    memset(longer, '1', WIRE_ADDRESS_MAX + 1);
    const char *addresses[] = {"", longer, "\x01", "10.0.0.1:9338"};
    struct wire_hello hello = {.version_min = 1, .version_max = 1, .incarnation = 1};
    struct wire_hello out;
    struct span text;
    hello.name = span_of_text("a");
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    wire_hello_encode(&writer, &hello, addresses, 4);
    cr_assert_eq(wire_hello_decode(wire_writer_view(&writer), &out), WEFT_OK);
    cr_assert(wire_list_next_text(&out.addresses, &text));
    cr_assert(span_equal(text, span_of_text("10.0.0.1:9338")));
    cr_assert_not(wire_list_next_text(&out.addresses, &text));
}

static bool hello_survives(uint8_t version_min, uint8_t version_max, uint64_t incarnation) {
    struct wire_hello hello = {
        .version_min = version_min, .version_max = version_max, .incarnation = incarnation};
    struct wire_hello out;
    hello.name = span_of_text("a");
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    wire_hello_encode(&writer, &hello, NULL, 0);
    return wire_hello_decode(wire_writer_view(&writer), &out) == WEFT_OK;
}

Test(wire_record, a_hello_has_versions_in_order_and_an_incarnation) {
    cr_assert(hello_survives(1, 1, 1));
    cr_assert(hello_survives(1, 255, WIRE_VERSION_LIMIT - 1));
    cr_assert_not(hello_survives(0, 1, 1));
    cr_assert_not(hello_survives(2, 1, 1));
    cr_assert_not(hello_survives(1, 1, 0));
    cr_assert_not(hello_survives(1, 1, WIRE_VERSION_LIMIT));
}

/* A hello that an unknown field "z" fills up to `size` bytes. */
static bool takes_hello_of(size_t size) {
    static const uint8_t filler[WIRE_HELLO_BYTES_MAX];
    struct wire_hello hello = {.version_min = 1, .version_max = 1, .incarnation = 1};
    struct wire_hello out;
    hello.name = span_of_text("a");
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    wire_hello_encode(&writer, &hello, NULL, 0);
    room[0]++; /* the map has one pair more */
    wire_write_mp_key(&writer, 'z');
    wire_write_mp_bytes(&writer, span_of(filler, size - writer.len - 3));
    cr_assert_eq(writer.len, size);
    return wire_hello_decode(wire_writer_view(&writer), &out) == WEFT_OK;
}

Test(wire_record, a_hello_beyond_its_size_is_refused) {
    cr_assert(takes_hello_of(WIRE_HELLO_BYTES_MAX));
    cr_assert_not(takes_hello_of(WIRE_HELLO_BYTES_MAX + 1));
}

static bool service_survives(uint8_t protocol, const struct wire_endpoint *endpoint) {
    struct wire_service_body out;
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    wire_service_body_encode(&writer, protocol, endpoint, 1);
    return wire_service_body_decode(wire_writer_view(&writer), &out) == WEFT_OK;
}

Test(wire_record, endpoints_are_bounded) {
    struct wire_endpoint endpoint = {.address = span_of_text("h:1"), .health = 2, .weight = 100};
    cr_assert(service_survives(1, &endpoint));
    cr_assert_not(service_survives(0, &endpoint));
    endpoint.health = 3;
    cr_assert_not(service_survives(1, &endpoint));
    endpoint.health = 0;
    endpoint.weight = 0;
    cr_assert_not(service_survives(1, &endpoint));
    endpoint.weight = 101;
    cr_assert_not(service_survives(1, &endpoint));
    endpoint.weight = 1;
    endpoint.address = span_of_text("h\n:1");
    cr_assert_not(service_survives(1, &endpoint));
}

/* A service body with `count` endpoints of `elements` elements each. */
static bool takes_endpoints(size_t count, size_t elements) {
    struct packed packed;
    struct wire_service_body body;
    packed_begin(&packed, 2);
    pack_text(&packed, "e");
    (void)msgpack_pack_array(&packed.packer, count);
    for (size_t i = 0; i < count; i++) {
        (void)msgpack_pack_array(&packed.packer, elements);
        pack_text(&packed, "h:1");
        for (size_t k = 1; k < elements; k++) {
            (void)msgpack_pack_uint64(&packed.packer, 1);
        }
    }
    pack_field(&packed, "p", 1);
    bool is_good = wire_service_body_decode(packed_view(&packed), &body) == WEFT_OK;
    struct wire_endpoint endpoint;
    for (size_t i = 0; is_good && i < count; i++) {
        cr_assert(wire_list_next_endpoint(&body.endpoints, &endpoint));
    }
    msgpack_sbuffer_destroy(&packed.buffer);
    return is_good;
}

Test(wire_record, arrays_may_grow_at_their_end) {
    cr_assert(takes_endpoints(1, 3));
    cr_assert(takes_endpoints(3, 5));
    cr_assert_not(takes_endpoints(1, 2));
    cr_assert_not(takes_endpoints(1, 9));
    cr_assert_not(takes_endpoints(0, 3));
    cr_assert(takes_endpoints(WIRE_ENDPOINTS_MAX, 3));
    cr_assert_not(takes_endpoints(WIRE_ENDPOINTS_MAX + 1, 3));
}

static uint8_t protocol_of(const char *key) {
    struct wire_service_key parts;
    cr_assert(wire_service_key_split(span_of_text(key), &parts));
    cr_assert(span_equal(parts.name_space, span_of_text("lab")));
    cr_assert(span_equal(parts.name, span_of_text("udp")));
    return parts.protocol;
}

Test(wire_record, the_third_part_of_a_service_key_is_its_protocol) {
    cr_assert_eq(protocol_of("lab/udp"), WIRE_PROTOCOL_TCP);
    cr_assert_eq(protocol_of("lab/udp/udp"), WIRE_PROTOCOL_UDP);
    cr_assert_eq(protocol_of("lab/udp/sctp"), 0);
}
