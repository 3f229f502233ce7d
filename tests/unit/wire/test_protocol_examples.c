/* SPDX-License-Identifier: Apache-2.0
 *
 * docs/protocol.md against the code: every block of example bytes is decoded and encoded again, the
 * signatures in them are checked, and so are the known answers in the text.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "noise/identity.h"
#include "wire/record.h"
#include "wire/session.h"

#define DOCUMENT_MAX (256 * 1024)
#define EXAMPLE_MAX 2048
#define EXAMPLES_MAX 64

struct example {
    char label[40];
    uint8_t bytes[EXAMPLE_MAX];
    size_t len;
};

static struct example *examples;
static size_t example_count;
static char *document;
static uint8_t room[EXAMPLE_MAX];

static int digit_of(char character) {
    static const char digits[] = "0123456789abcdef";
    const char *place = memchr(digits, character, 16);
    return place == NULL ? -1 : (int)(place - digits);
}

/* Reads hex digits up to the closing fence; returns where it stands. */
static const char *read_hex(const char *text, struct example *out) {
    int high = -1;
    for (; *text != '\0' && *text != '`'; text++) {
        int digit = digit_of(*text);
        cr_assert(digit >= 0 || *text == ' ' || *text == '\n', "%s: '%c'", out->label, *text);
        if (digit >= 0 && high >= 0) {
            cr_assert_lt(out->len, EXAMPLE_MAX);
            out->bytes[out->len++] = (uint8_t)(high << 4 | digit);
            high = -1;
        } else if (digit >= 0) {
            high = digit;
        }
    }
    cr_assert_eq(high, -1, "%s: half a byte", out->label);
    return text;
}

static void read_examples(void) {
    static const char fence[] = "\n```hex ";
    const char *at = document;
    for (at = strstr(at, fence); at != NULL; at = strstr(at, fence)) {
        cr_assert_lt(example_count, EXAMPLES_MAX);
        struct example *example = &examples[example_count++];
        at += sizeof fence - 1;
        size_t len = strcspn(at, "\n");
        cr_assert(span_to_text(span_of(at, len), example->label, sizeof example->label));
        at = read_hex(at + len, example);
    }
}

static void setup(void) {
    FILE *file = fopen(PROTOCOL_MD, "r");
    cr_assert_not_null(file);
    document = calloc(DOCUMENT_MAX, 1);
    examples = calloc(EXAMPLES_MAX, sizeof *examples);
    cr_assert(document != NULL && examples != NULL);
    cr_assert_lt(fread(document, 1, DOCUMENT_MAX - 1, file), DOCUMENT_MAX - 1);
    fclose(file);
    cr_assert_eq(noise_setup(), WEFT_OK);
    read_examples();
}

static void teardown(void) {
    free(document);
    free(examples);
}

TestSuite(protocol_examples, .init = setup, .fini = teardown);

static struct span example(const char *label) {
    for (size_t i = 0; i < example_count; i++) {
        if (strcmp(examples[i].label, label) == 0) {
            return span_of(examples[i].bytes, examples[i].len);
        }
    }
    cr_assert_fail("docs/protocol.md has no example \"%s\"", label);
    return span_of(NULL, 0);
}

static struct span example_of(const char *group, const char *name) {
    char label[40];
    snprintf(label, sizeof label, "%s %s", group, name);
    return example(label);
}

static void expect_written(const struct wire_writer *writer, struct span bytes, const char *name) {
    cr_assert(span_equal(wire_writer_view(writer), bytes), "%s encodes otherwise", name);
}

static void check_frame(const struct wire_type *type) {
    struct span bytes = example_of("frame", type->name);
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_frame frame;
    union wire_any message;
    cr_assert_eq(wire_frame_next(&reader, &frame), WEFT_OK);
    cr_assert(wire_reader_done(&reader) && frame.kind == type->kind, "%s", type->name);
    cr_assert_eq(type->decode(frame.body, &message), WEFT_OK, "%s", type->name);
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    size_t begin = wire_frame_begin(&writer, type->kind, frame.flags);
    type->encode(&writer, &message);
    wire_frame_end(&writer, begin);
    expect_written(&writer, bytes, type->name);
}

Test(protocol_examples, every_kind_of_frame_has_an_example_that_holds) {
    size_t count = 0;
    const struct wire_type *types = wire_types(&count);
    for (size_t i = 0; i < count; i++) {
        check_frame(&types[i]);
    }
}

Test(protocol_examples, fields_are_where_the_document_says) {
    struct wire_heartbeat heartbeat;
    struct wire_carrier carrier;
    struct span bytes = example("frame heartbeat");
    cr_assert_eq(wire_heartbeat_decode(span_of(bytes.data + 4, bytes.len - 4), &heartbeat),
                 WEFT_OK);
    cr_assert(heartbeat.flags == WIRE_HEARTBEAT_ECHO && heartbeat.sent_us == 1000000);
    cr_assert(heartbeat.echo_us == 999000 && heartbeat.held_us == 250);
    cr_assert_eq(heartbeat.digest, 0x1122334455667788);
    bytes = example("frame carrier");
    cr_assert_eq(wire_carrier_decode(span_of(bytes.data + 4, bytes.len - 4), &carrier), WEFT_OK);
    cr_assert(carrier.travel.hops == 32 && carrier.flow == 0xcafe0001 && carrier.length == 33);
    cr_assert(carrier.class == WIRE_CLASS_STREAM && carrier.destination.bytes[0] == 0xa0);
}

static struct wire_record check_record(const char *name) {
    struct wire_record record;
    struct span bytes = example_of("record", name);
    cr_assert_eq(wire_record_decode(bytes, &record), WEFT_OK);
    cr_assert(
        identity_verify(&record.owner, "weft record 1", record.signed_part, record.signature.data),
        "%s: wrong signature", name);
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    wire_record_encode_unsigned(&writer, &record);
    wire_write_bytes(&writer, record.signature);
    expect_written(&writer, bytes, name);
    return record;
}

Test(protocol_examples, records_are_whole_and_signed) {
    struct wire_record peer = check_record("peer");
    struct wire_record service = check_record("service");
    struct wire_record tombstone = check_record("tombstone");
    cr_assert(peer.kind == WIRE_RECORD_PEER && peer.version == 7);
    cr_assert(span_equal(peer.body, example("body peer")));
    cr_assert(span_equal(service.body, example("body service")));
    cr_assert(span_equal(service.key, span_of_text("default/web")));
    cr_assert(span_equal(service.key, tombstone.key));
    cr_assert(tombstone.flags == WIRE_RECORD_TOMBSTONE && tombstone.version == 2);
}

Test(protocol_examples, the_broadcast_is_signed) {
    struct wire_broadcast broadcast;
    struct span bytes = example("frame broadcast");
    cr_assert_eq(wire_broadcast_decode(span_of(bytes.data + 4, bytes.len - 4), &broadcast),
                 WEFT_OK);
    cr_assert(identity_verify(&broadcast.key, "weft broadcast 1", broadcast.signed_part,
                              broadcast.signature.data));
}

Test(protocol_examples, bodies_are_what_the_encoders_write) {
    const char *addresses[] = {"10.0.0.1:9338"};
    const char *labels[] = {"zone", "lab"};
    struct wire_peer_link link = {.cost_us = 1500};
    for (uint8_t i = 0; i < WEFT_PEER_ID_BYTES; i++) {
        link.peer.bytes[i] = (uint8_t)(0xa0 + i);
    }
    struct wire_peer_source peer = {.name = "site-a",
                                    .software = "weft 0.1.0",
                                    .instance = 0x0123456789abcdef,
                                    .addresses = addresses,
                                    .address_count = 1,
                                    .links = &link,
                                    .link_count = 1,
                                    .labels = labels,
                                    .label_count = 1};
    struct wire_endpoint endpoint = {span_of_text("127.0.0.1:8080"), WIRE_HEALTH_GOOD, 100};
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    wire_peer_body_encode(&writer, &peer);
    expect_written(&writer, example("body peer"), "body peer");
    writer = wire_writer_of(room, sizeof room);
    wire_service_body_encode(&writer, WIRE_PROTOCOL_TCP, &endpoint, 1);
    expect_written(&writer, example("body service"), "body service");
}

Test(protocol_examples, hellos_are_what_the_encoders_write) {
    const char *addresses[] = {"10.0.0.1:9338"};
    struct wire_hello hello;
    struct wire_session_hello session;
    cr_assert_eq(wire_hello_decode(example("hello"), &hello), WEFT_OK);
    cr_assert(hello.instance == 0x0123456789abcdef && hello.incarnation == 1);
    cr_assert(span_equal(hello.name, span_of_text("site-a")));
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    wire_hello_encode(&writer, &hello, addresses, 1);
    expect_written(&writer, example("hello"), "hello");
    cr_assert_eq(wire_session_hello_decode(example("session hello"), &session), WEFT_OK);
    cr_assert(session.ciphers == 6 && session.epoch == 1);
    writer = wire_writer_of(room, sizeof room);
    wire_session_hello_encode(&writer, &session);
    expect_written(&writer, example("session hello"), "session hello");
}

Test(protocol_examples, packets_hold) {
    static const char *const names[] = {"init", "response", "sealed", "unknown"};
    for (uint8_t i = 0; i < 4; i++) {
        struct wire_packet packet;
        struct span bytes = example_of("packet", names[i]);
        cr_assert_eq(wire_packet_decode(bytes, &packet), WEFT_OK, "%s", names[i]);
        cr_assert_eq(packet.type, i + 1);
        struct wire_writer writer = wire_writer_of(room, sizeof room);
        wire_packet_encode(&writer, &packet);
        expect_written(&writer, bytes, names[i]);
    }
}

Test(protocol_examples, parts_hold) {
    static const char *const names[] = {"open",    "accept", "data", "ack",      "reset",   "probe",
                                        "message", "ping",   "pong", "datagram", "flow-end"};
    for (uint8_t i = 0; i < 11; i++) {
        struct wire_part part;
        struct span bytes = example_of("part", names[i]);
        struct wire_reader reader = wire_reader_of(bytes);
        cr_assert_eq(wire_part_next(&reader, &part), WEFT_OK, "%s", names[i]);
        cr_assert(part.type == i + 1 && wire_reader_done(&reader), "%s", names[i]);
        struct wire_writer writer = wire_writer_of(room, sizeof room);
        wire_part_encode(&writer, &part);
        expect_written(&writer, bytes, names[i]);
    }
}

/* Whether the document's text holds these bytes in hex. */
static bool is_in_text(const uint8_t *bytes, size_t len) {
    char hex[65];
    for (size_t i = 0; i < len; i++) {
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    }
    return strstr(document, hex) != NULL;
}

Test(protocol_examples, known_answers_in_the_text_are_right) {
    struct identity identity;
    uint8_t bytes[32];
    uint8_t secret[32];
    for (uint8_t i = 0; i < 32; i++) {
        bytes[i] = i;
    }
    identity_from_seed(&identity, bytes);
    cr_assert(is_in_text(identity.key.bytes, sizeof identity.key.bytes));
    cr_assert(is_in_text(identity.id.bytes, sizeof identity.id.bytes));
    memset(secret, 0x42, sizeof secret);
    noise_hash("weft mesh id", span_of(secret, sizeof secret), bytes);
    cr_assert(is_in_text(bytes, 16));
    noise_derive(secret, "weft link psk", bytes);
    cr_assert(is_in_text(bytes, sizeof bytes));
    noise_derive(secret, "weft session psk", bytes);
    cr_assert(is_in_text(bytes, sizeof bytes));
    noise_hash("weft fingerprint 1", example("record service"), bytes);
    cr_assert(is_in_text(bytes, sizeof bytes));
    identity_fini(&identity);
}

/* The place of the example node's record of a kind and key. */
static void place_of(uint16_t kind, const char *key, uint8_t out[32]) {
    struct wire_record record = check_record("peer");
    struct weft_peer_id owner = peer_id_of_key(&record.owner);
    struct wire_writer writer = wire_writer_of(room, sizeof room);
    wire_write_u16(&writer, kind);
    wire_write_peer(&writer, &owner);
    wire_write_bytes(&writer, span_of_text(key));
    noise_hash("weft place 1", wire_writer_view(&writer), out);
}

Test(protocol_examples, places_in_the_text_are_right) {
    uint8_t place[32];
    place_of(WIRE_RECORD_PEER, "", place);
    cr_assert(is_in_text(place, sizeof place));
    place_of(WIRE_RECORD_SERVICE, "default/web", place);
    cr_assert(is_in_text(place, sizeof place));
}

Test(protocol_examples, no_example_goes_unchecked) {
    size_t type_count = 0;
    (void)wire_types(&type_count);
    size_t checked = type_count + 3 /* records */ + 2 /* bodies */ + 2 /* hellos */ +
                     4 /* packets */ + 11 /* parts */;
    cr_assert_eq(example_count, checked);
}
