/* SPDX-License-Identifier: Apache-2.0
 *
 * Signed records and the bodies of the kinds we know, decode and encode side by side. The hello has
 * a file of its own. A list is walked whole when its body is decoded, so its _next cannot fail.
 */
#include "wire/record.h"

#include "base/check.h"
#include "wire/body.h"

#define RECORD_SIGNATURE_BYTES 64
#define COST_US_MAX ((uint64_t)1 << 31)
#define SOFTWARE_MAX 32
#define WEIGHT_MAX 100
#define TUPLE_MAX 8 /* a later version may add elements behind those we know; we skip them */

/* "namespace/name", both names. */
/* Takes what stands before the first slash off a key, or all if there is none. */
static struct span take_word(struct span *key) {
    const uint8_t *slash = key->len == 0 ? NULL : memchr(key->data, '/', key->len);
    struct span word = slash == NULL ? *key : span_of(key->data, (size_t)(slash - key->data));
    size_t used = slash == NULL ? word.len : word.len + 1;
    *key = span_of(key->data + used, key->len - used);
    return word;
}

bool wire_service_key_split(struct span key, struct wire_service_key *out) {
    out->name_space = take_word(&key);
    out->name = take_word(&key);
    out->protocol = key.len == 0                           ? WIRE_PROTOCOL_TCP
                    : span_equal(key, span_of_text("udp")) ? WIRE_PROTOCOL_UDP
                                                           : 0;
    return wire_name_is_valid(out->name_space) && wire_name_is_valid(out->name) &&
           (key.len == 0 || wire_name_is_valid(key));
}

static bool is_service_key(struct span key) {
    struct wire_service_key parts;
    return key.len > 0 && key.data[key.len - 1] != '/' && wire_service_key_split(key, &parts);
}

static bool is_key_of_kind(uint16_t kind, struct span key) {
    if (kind == WIRE_RECORD_PEER) {
        return key.len == 0;
    }
    return kind != WIRE_RECORD_SERVICE || is_service_key(key);
}

static uint64_t read_version(struct wire_reader *reader) {
    uint64_t version = wire_read_u64(reader);
    wire_demand(reader, version >= 1 && version < WIRE_VERSION_LIMIT);
    return version;
}

static struct span read_record_body(struct wire_reader *reader) {
    size_t len = wire_read_u16(reader);
    wire_demand(reader, len <= WIRE_RECORD_BODY_MAX);
    return wire_read_bytes(reader, len);
}

enum weft_err wire_record_decode(struct span bytes, struct wire_record *out) {
    struct wire_reader reader = wire_reader_of(bytes);
    out->kind = wire_read_u16(&reader);
    out->flags = wire_read_u8(&reader);
    out->key = wire_read_short(&reader, WIRE_RECORD_KEY_MAX);
    wire_read_copy(&reader, out->owner.bytes, sizeof out->owner.bytes);
    out->incarnation = read_version(&reader);
    out->version = read_version(&reader);
    out->body = read_record_body(&reader);
    out->signed_part = span_of(bytes.data, bytes.len - reader.rest.len);
    out->signature = wire_read_bytes(&reader, RECORD_SIGNATURE_BYTES);
    wire_demand(&reader, (out->flags & WIRE_RECORD_TOMBSTONE) == 0 || out->body.len == 0);
    wire_demand(&reader, is_key_of_kind(out->kind, out->key));
    return wire_verdict(&reader);
}

void wire_record_encode_unsigned(struct wire_writer *writer, const struct wire_record *record) {
    if (record->key.len > WIRE_RECORD_KEY_MAX || record->body.len > WIRE_RECORD_BODY_MAX) {
        writer->has_failed = true;
        return;
    }
    wire_write_u16(writer, record->kind);
    wire_write_u8(writer, record->flags);
    wire_write_short(writer, record->key);
    wire_write_bytes(writer, span_of(record->owner.bytes, sizeof record->owner.bytes));
    wire_write_u64(writer, record->incarnation);
    wire_write_u64(writer, record->version);
    wire_write_u16(writer, (uint16_t)record->body.len);
    wire_write_bytes(writer, record->body);
}

/* Reads the head of an array of elements that we know `known` of. */
static uint32_t read_tuple(struct wire_reader *reader, uint32_t known) {
    uint32_t count = wire_read_mp_array(reader, TUPLE_MAX);
    wire_demand(reader, count >= known);
    return reader->has_failed ? known : count;
}

static void skip_rest(struct wire_reader *reader, uint32_t count, uint32_t known) {
    for (; count > known; count--) {
        wire_skip_mp(reader);
    }
}

static struct wire_peer_link read_link(struct wire_reader *reader) {
    struct wire_peer_link link;
    uint32_t count = read_tuple(reader, 2);
    wire_read_mp_exact(reader, link.peer.bytes, sizeof link.peer.bytes);
    link.cost_us = (uint32_t)wire_read_mp_between(reader, 1, COST_US_MAX);
    skip_rest(reader, count, 2);
    return link;
}

static struct span read_label(struct wire_reader *reader, struct span *value) {
    struct span key = wire_read_mp_name(reader);
    *value = wire_read_mp_printable(reader, 0, WEFT_NAME_MAX);
    return key;
}

static struct wire_endpoint read_endpoint(struct wire_reader *reader) {
    struct wire_endpoint endpoint;
    uint32_t count = read_tuple(reader, 3);
    endpoint.address = wire_read_mp_printable(reader, 1, WEFT_ENDPOINT_MAX);
    endpoint.health = (uint8_t)wire_read_mp_between(reader, 0, WIRE_HEALTH_BAD);
    endpoint.weight = (uint8_t)wire_read_mp_between(reader, 1, WEIGHT_MAX);
    skip_rest(reader, count, 3);
    return endpoint;
}

/* The list whose items lie between `start` and where the reader stands now. */
static struct wire_list list_between(struct span start, const struct wire_reader *reader,
                                     uint32_t count) {
    if (reader->has_failed) {
        return (struct wire_list){span_of(NULL, 0), 0};
    }
    return (struct wire_list){span_of(start.data, start.len - reader->rest.len), count};
}

struct wire_list wire_read_addresses(struct wire_reader *reader) {
    uint32_t count = wire_read_mp_array(reader, WIRE_ADDRESSES_MAX);
    struct span start = reader->rest;
    for (uint32_t i = 0; i < count; i++) {
        (void)wire_read_mp_printable(reader, 1, WIRE_ADDRESS_MAX);
    }
    return list_between(start, reader, count);
}

static struct wire_list read_links(struct wire_reader *reader) {
    uint32_t count = wire_read_mp_array(reader, WIRE_LINKS_MAX);
    struct span start = reader->rest;
    struct wire_peer_link last;
    for (uint32_t i = 0; i < count && !reader->has_failed; i++) {
        struct wire_peer_link link = read_link(reader);
        wire_demand(reader, i == 0 || weft_peer_id_compare(&link.peer, &last.peer) > 0);
        last = link;
    }
    return list_between(start, reader, count);
}

/* Orders texts by their bytes, a prefix first. */
static bool is_before(struct span a, struct span b) {
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.data, b.data, len);
    return order < 0 || (order == 0 && a.len < b.len);
}

static struct wire_list read_labels(struct wire_reader *reader) {
    uint32_t count = wire_read_mp_map(reader);
    struct span start = reader->rest;
    struct span last = span_of(NULL, 0);
    wire_demand(reader, count <= WIRE_LABELS_MAX);
    for (uint32_t i = 0; i < count && !reader->has_failed; i++) {
        struct span value;
        struct span key = read_label(reader, &value);
        wire_demand(reader, is_before(last, key));
        last = key;
    }
    return list_between(start, reader, count);
}

static struct wire_list read_endpoints(struct wire_reader *reader) {
    uint32_t count = wire_read_mp_array(reader, WIRE_ENDPOINTS_MAX);
    struct span start = reader->rest;
    wire_demand(reader, count >= 1);
    for (uint32_t i = 0; i < count; i++) {
        (void)read_endpoint(reader);
    }
    return list_between(start, reader, count);
}

static void read_peer_field(struct wire_reader *reader, char key, struct wire_peer_body *out) {
    switch (key) {
    case 'a':
        out->addresses = wire_read_addresses(reader);
        break;
    case 'i':
        out->instance = wire_read_mp_uint(reader);
        break;
    case 'l':
        out->links = read_links(reader);
        break;
    case 'n':
        out->name = wire_read_mp_name(reader);
        break;
    case 'o':
        out->flags = (uint32_t)wire_read_mp_between(reader, 0, UINT32_MAX);
        break;
    case 'r':
        out->area = (uint16_t)wire_read_mp_between(reader, 0, UINT16_MAX);
        break;
    case 't':
        out->labels = read_labels(reader);
        break;
    case 'v':
        out->software = wire_read_mp_printable(reader, 0, SOFTWARE_MAX);
        break;
    default:
        wire_skip_mp(reader);
    }
}

enum weft_err wire_peer_body_decode(struct span body, struct wire_peer_body *out) {
    struct wire_reader reader = wire_reader_of(body);
    struct wire_map map = wire_map_of(&reader);
    struct wire_fields fields = {0};
    char key;
    *out = (struct wire_peer_body){0};
    while (wire_fields_next(&fields, &map, &key)) {
        read_peer_field(&reader, key, out);
    }
    wire_fields_demand(&fields, &reader, "in");
    return wire_verdict(&reader);
}

void wire_write_addresses(struct wire_writer *writer, const char *const *addresses,
                          uint32_t address_count) {
    ASSERT(addresses != NULL || address_count == 0);
    uint32_t usable[WIRE_ADDRESSES_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < address_count && count < WIRE_ADDRESSES_MAX; i++) {
        struct span text = span_of_text(addresses[i]);
        if (text.len >= 1 && text.len <= WIRE_ADDRESS_MAX && wire_text_is_printable(text)) {
            usable[count++] = i;
        }
    }
    wire_write_mp_array(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        wire_write_mp_text(writer, span_of_text(addresses[usable[i]]));
    }
}

static void write_links(struct wire_writer *writer, const struct wire_peer_link *links,
                        uint32_t count) {
    wire_write_mp_array(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        wire_write_mp_array(writer, 2);
        wire_write_mp_bytes(writer, span_of(links[i].peer.bytes, sizeof links[i].peer.bytes));
        wire_write_mp_uint(writer, links[i].cost_us);
    }
}

static void write_labels(struct wire_writer *writer, const char *const *labels, uint32_t count) {
    wire_write_mp_map(writer, count);
    for (size_t i = 0; i < 2 * (size_t)count; i++) {
        wire_write_mp_text(writer, span_of_text(labels[i]));
    }
}

void wire_peer_body_encode(struct wire_writer *writer, const struct wire_peer_source *source) {
    ASSERT(source->name != NULL && source->software != NULL);
    ASSERT(source->link_count <= WIRE_LINKS_MAX && source->label_count <= WIRE_LABELS_MAX);
    wire_write_mp_map(writer, 8);
    wire_write_mp_key(writer, 'a');
    wire_write_addresses(writer, source->addresses, source->address_count);
    wire_write_mp_key(writer, 'i');
    wire_write_mp_uint(writer, source->instance);
    wire_write_mp_key(writer, 'l');
    write_links(writer, source->links, source->link_count);
    wire_write_mp_key(writer, 'n');
    wire_write_mp_text(writer, span_of_text(source->name));
    wire_write_mp_key(writer, 'o');
    wire_write_mp_uint(writer, source->flags);
    wire_write_mp_key(writer, 'r');
    wire_write_mp_uint(writer, source->area);
    wire_write_mp_key(writer, 't');
    write_labels(writer, source->labels, source->label_count);
    wire_write_mp_key(writer, 'v');
    wire_write_mp_text(writer, span_of_text(source->software));
}

enum weft_err wire_service_body_decode(struct span body, struct wire_service_body *out) {
    struct wire_reader reader = wire_reader_of(body);
    struct wire_map map = wire_map_of(&reader);
    struct wire_fields fields = {0};
    char key;
    *out = (struct wire_service_body){0};
    while (wire_fields_next(&fields, &map, &key)) {
        switch (key) {
        case 'e':
            out->endpoints = read_endpoints(&reader);
            break;
        case 'p':
            out->protocol = (uint8_t)wire_read_mp_between(&reader, 1, UINT8_MAX);
            break;
        default:
            wire_skip_mp(&reader);
        }
    }
    wire_fields_demand(&fields, &reader, "ep");
    return wire_verdict(&reader);
}

void wire_service_body_encode(struct wire_writer *writer, uint8_t protocol,
                              const struct wire_endpoint *endpoints, uint32_t count) {
    ASSERT(count >= 1 && count <= WIRE_ENDPOINTS_MAX);
    wire_write_mp_map(writer, 2);
    wire_write_mp_key(writer, 'e');
    wire_write_mp_array(writer, count);
    for (uint32_t i = 0; i < count; i++) {
        wire_write_mp_array(writer, 3);
        wire_write_mp_text(writer, endpoints[i].address);
        wire_write_mp_uint(writer, endpoints[i].health);
        wire_write_mp_uint(writer, endpoints[i].weight);
    }
    wire_write_mp_key(writer, 'p');
    wire_write_mp_uint(writer, protocol);
}

/* Whether the list has another item; if so, a reader over what is left of it. */
static bool list_open(const struct wire_list *list, struct wire_reader *reader) {
    *reader = wire_reader_of(list->items);
    return list->count > 0;
}

/* Moves the list behind the item just read; false if it was not one. */
static bool list_close(struct wire_list *list, const struct wire_reader *reader) {
    list->items = reader->rest;
    list->count = reader->has_failed ? 0 : list->count - 1;
    return !reader->has_failed;
}

bool wire_list_next_text(struct wire_list *list, struct span *out) {
    struct wire_reader reader;
    if (!list_open(list, &reader)) {
        return false;
    }
    *out = wire_read_mp_text(&reader, SIZE_MAX);
    return list_close(list, &reader);
}

bool wire_list_next_link(struct wire_list *list, struct wire_peer_link *out) {
    struct wire_reader reader;
    if (!list_open(list, &reader)) {
        return false;
    }
    *out = read_link(&reader);
    return list_close(list, &reader);
}

bool wire_list_next_label(struct wire_list *list, struct span *key, struct span *value) {
    struct wire_reader reader;
    if (!list_open(list, &reader)) {
        return false;
    }
    *key = read_label(&reader, value);
    return list_close(list, &reader);
}

bool wire_list_next_endpoint(struct wire_list *list, struct wire_endpoint *out) {
    struct wire_reader reader;
    if (!list_open(list, &reader)) {
        return false;
    }
    *out = read_endpoint(&reader);
    return list_close(list, &reader);
}
