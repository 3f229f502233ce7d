/* SPDX-License-Identifier: Apache-2.0
 *
 * Properties of the msgpack bodies: peer, service, hello and session hello. Their walks are
 * compared field by field with what went in, and msgpack-c must read what our writer produced.
 */
#include <criterion/criterion.h>
#include <msgpack.h>

#include "property/generate.h"

#define ROUNDS 200
#define BODY_MAX 60000

static struct gen gen;
static uint8_t room[BODY_MAX];

static void setup(void) {
    gen_init(&gen, gen_seed());
}

static void teardown(void) {
    gen_fini(&gen);
}

TestSuite(wire_bodies, .init = setup, .fini = teardown);

typedef bool decode_fn(struct span bytes); /* a signature, not a struct */

static bool peer_decodes(struct span bytes) {
    struct wire_peer_body body;
    return wire_peer_body_decode(bytes, &body) == WEFT_OK;
}

static bool service_decodes(struct span bytes) {
    struct wire_service_body body;
    return wire_service_body_decode(bytes, &body) == WEFT_OK;
}

static bool hello_decodes(struct span bytes) {
    struct wire_hello hello;
    return wire_hello_decode(bytes, &hello) == WEFT_OK;
}

static bool session_hello_decodes(struct span bytes) {
    struct wire_session_hello hello;
    return wire_session_hello_decode(bytes, &hello) == WEFT_OK;
}

static bool decodes_copy(decode_fn *decode, struct span bytes) {
    struct span copy = heap_copy(bytes);
    bool is_good = decode(copy);
    heap_free(copy);
    return is_good;
}

/* A body is exact: cut or stretched it is refused; flipped it is anything but a read out of bounds.
 */
static void check_exact(decode_fn *decode, struct span body) {
    uint8_t changed[BODY_MAX];
    memcpy(changed, body.data, body.len);
    changed[body.len] = 0xc0;
    cr_assert(decodes_copy(decode, body));
    cr_assert_not(decodes_copy(decode, span_of(changed, body.len + 1)));
    size_t step = body.len > 1000 ? 13 : 1;
    for (size_t len = 0; len < body.len; len += step) {
        cr_assert_not(decodes_copy(decode, span_of(body.data, len)), "cut to %zu", len);
    }
    for (int i = 0; i < 50; i++) {
        size_t at = (size_t)gen_below(&gen, body.len);
        uint8_t before = changed[at];
        changed[at] = (uint8_t)gen_number(&gen);
        (void)decodes_copy(decode, span_of(changed, body.len));
        changed[at] = before;
    }
}

static void check_oracle(struct span body) {
    msgpack_unpacked item;
    msgpack_unpacked_init(&item);
    size_t offset = 0;
    cr_assert_eq(msgpack_unpack_next(&item, (const char *)body.data, body.len, &offset),
                 MSGPACK_UNPACK_SUCCESS);
    cr_assert_eq(offset, body.len);
    cr_assert_eq(item.data.type, MSGPACK_OBJECT_MAP);
    msgpack_unpacked_destroy(&item);
}

#define LINKS_TESTED 40
struct peer_input {
    struct wire_peer_source source;
    const char *addresses[WIRE_ADDRESSES_MAX];
    struct wire_peer_link links[LINKS_TESTED];
    char label_keys[WIRE_LABELS_MAX][4];
    const char *labels[2 * WIRE_LABELS_MAX];
};

static void make_links(struct peer_input *input) {
    input->source.link_count = (uint32_t)gen_below(&gen, LINKS_TESTED + 1);
    for (uint32_t i = 0; i < input->source.link_count; i++) {
        memset(input->links[i].peer.bytes, (int)i, WEFT_PEER_ID_BYTES);
        input->links[i].peer.bytes[15] = (uint8_t)gen_number(&gen);
        input->links[i].cost_us = (uint32_t)gen_between(&gen, 1, (uint64_t)1 << 31);
    }
}

static void make_peer(struct peer_input *input) {
    static char name[WEFT_NAME_MAX + 1];
    cr_assert(span_to_text(gen_name(&gen), name, sizeof name));
    memset(input, 0, sizeof *input);
    input->source.name = name;
    input->source.software = gen_text(&gen, 32);
    input->source.instance = gen_number(&gen);
    input->source.area = (uint16_t)gen_number(&gen);
    input->source.flags = (uint32_t)gen_number(&gen);
    input->source.address_count = (uint32_t)gen_below(&gen, WIRE_ADDRESSES_MAX + 1);
    for (uint32_t i = 0; i < input->source.address_count; i++) {
        input->addresses[i] = gen_text(&gen, WIRE_ADDRESS_MAX);
    }
    make_links(input);
    input->source.label_count = (uint32_t)gen_below(&gen, WIRE_LABELS_MAX + 1);
    for (uint32_t i = 0; i < input->source.label_count; i++) {
        input->label_keys[i][0] = 'k';
        input->label_keys[i][1] = (char)('a' + i);
        input->labels[2 * i] = input->label_keys[i];
        input->labels[2 * i + 1] = gen_text(&gen, WEFT_NAME_MAX);
    }
    input->source.addresses = input->addresses;
    input->source.links = input->links;
    input->source.labels = input->labels;
}

static void check_peer_lists(const struct peer_input *input, struct wire_peer_body *body) {
    struct span key;
    struct span value;
    struct wire_peer_link link;
    for (uint32_t i = 0; i < input->source.address_count; i++) {
        cr_assert(wire_list_next_text(&body->addresses, &value));
        cr_assert(span_equal(value, span_of_text(input->addresses[i])));
    }
    for (uint32_t i = 0; i < input->source.link_count; i++) {
        cr_assert(wire_list_next_link(&body->links, &link));
        cr_assert(weft_peer_id_equal(&link.peer, &input->links[i].peer));
        cr_assert_eq(link.cost_us, input->links[i].cost_us);
    }
    for (uint32_t i = 0; i < input->source.label_count; i++) {
        cr_assert(wire_list_next_label(&body->labels, &key, &value));
        cr_assert(span_equal(key, span_of_text(input->labels[2 * i])));
        cr_assert(span_equal(value, span_of_text(input->labels[2 * i + 1])));
    }
    cr_assert_not(wire_list_next_text(&body->addresses, &value));
    cr_assert_not(wire_list_next_link(&body->links, &link));
    cr_assert_not(wire_list_next_label(&body->labels, &key, &value));
}

Test(wire_bodies, a_peer_body_decodes_to_what_was_encoded) {
    for (int round = 0; round < ROUNDS; round++) {
        struct peer_input input;
        struct wire_peer_body body;
        gen_reset(&gen);
        make_peer(&input);
        struct wire_writer writer = wire_writer_of(room, sizeof room);
        wire_peer_body_encode(&writer, &input.source);
        struct span bytes = wire_writer_view(&writer);
        check_oracle(bytes);
        cr_assert_eq(wire_peer_body_decode(bytes, &body), WEFT_OK);
        cr_assert(span_equal(body.name, span_of_text(input.source.name)));
        cr_assert(span_equal(body.software, span_of_text(input.source.software)));
        cr_assert(body.instance == input.source.instance && body.area == input.source.area);
        cr_assert_eq(body.flags, input.source.flags);
        check_peer_lists(&input, &body);
    }
}

Test(wire_bodies, a_peer_body_is_exact) {
    for (int round = 0; round < ROUNDS / 4; round++) {
        struct peer_input input;
        gen_reset(&gen);
        make_peer(&input);
        struct wire_writer writer = wire_writer_of(room, sizeof room);
        wire_peer_body_encode(&writer, &input.source);
        check_exact(peer_decodes, wire_writer_view(&writer));
    }
}

Test(wire_bodies, a_service_body_decodes_to_what_was_encoded_and_is_exact) {
    for (int round = 0; round < ROUNDS; round++) {
        struct wire_endpoint endpoints[WIRE_ENDPOINTS_MAX];
        struct wire_endpoint endpoint;
        struct wire_service_body body;
        uint32_t count = (uint32_t)gen_between(&gen, 1, WIRE_ENDPOINTS_MAX);
        gen_reset(&gen);
        for (uint32_t i = 0; i < count; i++) {
            endpoints[i].address = gen_printable(&gen, 1, WEFT_ENDPOINT_MAX);
            endpoints[i].health = (uint8_t)gen_below(&gen, 3);
            endpoints[i].weight = (uint8_t)gen_between(&gen, 1, 100);
        }
        struct wire_writer writer = wire_writer_of(room, sizeof room);
        wire_service_body_encode(&writer, WIRE_PROTOCOL_UDP, endpoints, count);
        struct span bytes = wire_writer_view(&writer);
        check_oracle(bytes);
        cr_assert_eq(wire_service_body_decode(bytes, &body), WEFT_OK);
        cr_assert_eq(body.protocol, WIRE_PROTOCOL_UDP);
        for (uint32_t i = 0; i < count; i++) {
            cr_assert(wire_list_next_endpoint(&body.endpoints, &endpoint));
            cr_assert(span_equal(endpoint.address, endpoints[i].address));
            cr_assert(endpoint.health == endpoints[i].health);
            cr_assert(endpoint.weight == endpoints[i].weight);
        }
        cr_assert_not(wire_list_next_endpoint(&body.endpoints, &endpoint));
        check_exact(service_decodes, bytes);
    }
}

static void make_hello(struct wire_hello *hello) {
    *hello = (struct wire_hello){0};
    hello->version_min = (uint8_t)gen_between(&gen, 1, 255);
    hello->version_max = (uint8_t)gen_between(&gen, hello->version_min, 255);
    hello->features = gen_number(&gen);
    gen_key(&gen, &hello->key);
    hello->name = gen_name(&gen);
    hello->incarnation = gen_between(&gen, 1, WIRE_VERSION_LIMIT - 1);
    hello->instance = gen_number(&gen);
    hello->area = (uint16_t)gen_number(&gen);
}

static void check_hello(const struct wire_hello *in, const struct wire_hello *out) {
    cr_assert(in->version_min == out->version_min && in->version_max == out->version_max);
    cr_assert(in->features == out->features && in->incarnation == out->incarnation);
    cr_assert(in->instance == out->instance && in->area == out->area);
    cr_assert(span_equal(in->name, out->name));
    cr_assert_arr_eq(in->key.bytes, out->key.bytes, WEFT_KEY_BYTES);
}

Test(wire_bodies, a_hello_decodes_to_what_was_encoded_and_is_exact) {
    for (int round = 0; round < ROUNDS; round++) {
        struct wire_hello hello;
        struct wire_hello out;
        const char *addresses[WIRE_ADDRESSES_MAX + 2];
        struct span text;
        gen_reset(&gen);
        make_hello(&hello);
        for (size_t i = 0; i < WIRE_ADDRESSES_MAX + 2; i++) {
            addresses[i] = gen_text(&gen, WIRE_ADDRESS_MAX);
        }
        struct wire_writer writer = wire_writer_of(room, WIRE_HELLO_BYTES_MAX);
        wire_hello_encode(&writer, &hello, addresses, (uint32_t)gen_below(&gen, 11));
        struct span bytes = wire_writer_view(&writer);
        check_oracle(bytes);
        cr_assert_eq(wire_hello_decode(bytes, &out), WEFT_OK);
        check_hello(&hello, &out);
        for (size_t i = 0; wire_list_next_text(&out.addresses, &text); i++) {
            cr_assert(span_equal(text, span_of_text(addresses[i])));
        }
        check_exact(hello_decodes, bytes);
    }
}

Test(wire_bodies, a_session_hello_decodes_to_what_was_encoded_and_is_exact) {
    for (int round = 0; round < ROUNDS; round++) {
        struct wire_session_hello hello = {0};
        struct wire_session_hello out;
        gen_reset(&gen);
        hello.ciphers = (uint8_t)gen_between(&gen, 1, 255);
        hello.epoch = gen_number(&gen) >> 1;
        gen_key(&gen, &hello.key);
        hello.incarnation = gen_between(&gen, 1, WIRE_VERSION_LIMIT - 1);
        hello.instance = gen_number(&gen);
        hello.session = gen_between(&gen, 0, 1) * gen_number(&gen);
        struct wire_writer writer = wire_writer_of(room, sizeof room);
        wire_session_hello_encode(&writer, &hello);
        struct span bytes = wire_writer_view(&writer);
        check_oracle(bytes);
        cr_assert_eq(wire_session_hello_decode(bytes, &out), WEFT_OK);
        cr_assert(out.ciphers == hello.ciphers && out.epoch == hello.epoch);
        cr_assert(out.incarnation == hello.incarnation && out.instance == hello.instance);
        cr_assert_eq(out.session, hello.session);
        cr_assert_arr_eq(out.key.bytes, hello.key.bytes, WEFT_KEY_BYTES);
        check_exact(session_hello_decodes, bytes);
    }
}

Test(wire_bodies, random_bytes_never_read_past_their_end) {
    decode_fn *const decoders[] = {peer_decodes, service_decodes, hello_decodes,
                                   session_hello_decodes};
    for (int round = 0; round < ROUNDS * 50; round++) {
        gen_reset(&gen);
        uint8_t bytes[200];
        struct span random = gen_bytes(&gen, 2, sizeof bytes);
        memcpy(bytes, random.data, random.len);
        bytes[0] = (uint8_t)(0x80 | (bytes[0] & 15)); /* a map, so that it gets somewhere */
        bytes[1] = 0xa1;
        (void)decodes_copy(decoders[round % 4], span_of(bytes, random.len));
    }
}
