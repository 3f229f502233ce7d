/* SPDX-License-Identifier: Apache-2.0
 *
 * Signed records, the unit that gossip replicates, and the bodies of the kinds we know.
 *
 *    0      2       3     4          4+k       36+k          44+k      52+k   54+k
 *    +------+-------+-----+----------+---------+-------------+---------+------+------+-----------+
 *    | kind | flags | key | key      | owner's | incarnation | version | body | body | signature |
 *    |      |       | len | 0 .. 127 | key, 32 |             |         | len  |      | 64 bytes  |
 *    +------+-------+-----+----------+---------+-------------+---------+------+------+-----------+
 *
 * The signature covers all before it, under the domain "weft record 1". (incarnation, version)
 * orders the versions of one record; both are 1 .. 2^63-1, so that nothing can wrap (T11, T12).
 */
#ifndef WIRE_RECORD_H
#define WIRE_RECORD_H

#include "wire/message.h"

#define WIRE_RECORD_KEY_MAX 131 /* "namespace/name/udp" */
#define WIRE_RECORD_BODY_MAX 50000
#define WIRE_RECORD_OVERHEAD 118               /* bytes besides key and body */
#define WIRE_VERSION_LIMIT ((uint64_t)1 << 63) /* versions and incarnations stay below */

enum wire_record_kind {
    WIRE_RECORD_PEER = 1, /* key empty; body struct wire_peer_body */
    WIRE_RECORD_SERVICE =
        2, /* key "namespace/name", of UDP "namespace/name/udp"; body struct wire_service_body */
};

#define WIRE_RECORD_TOMBSTONE 0x01 /* deleted: the body is empty */

struct wire_record {
    uint16_t kind;
    uint8_t flags;
    struct span key;
    struct weft_public_key owner;
    uint64_t incarnation;
    uint64_t version;
    struct span body;
    struct span signature;   /* 64 bytes */
    struct span signed_part; /* all before the signature */
};

/* Decodes one record that fills `bytes` exactly. The signature is not checked here. The keys of
 * kinds we know must be as their kind says; of unknown kinds, key and body are any bytes. */
WEFT_MUST_CHECK enum weft_err wire_record_decode(struct span bytes, struct wire_record *out);

/* Appends all but the signature; the caller signs what it sees and appends the 64 bytes. */
void wire_record_encode_unsigned(struct wire_writer *writer, const struct wire_record *record);

/* The key of a service record, "namespace/name" for TCP and "namespace/name/udp" for UDP, taken
 * apart; protocol 0: a third part that is not known. False if it is no such key. */
struct wire_service_key {
    struct span name_space;
    struct span name;
    uint8_t protocol;
};
bool wire_service_key_split(struct span key, struct wire_service_key *out);

/* A list inside a body: validated at decode, walked by its _next. */
struct wire_list {
    struct span items;
    uint32_t count;
};

struct wire_peer_link {
    struct weft_peer_id peer;
    uint32_t cost_us; /* 1 .. 2^31; what the sender pays to send to this neighbour */
};

#define WIRE_PEER_LEAVING 0x01 /* a planned leave: no new paths through me */

/* Peer: a msgpack map {a: [text], i: instance, l: [[id, cost]...], n: name, o: flags, r: area,
 * t: {text: text}, v: software version}; keys in increasing order, unknown ones skipped. */
struct wire_peer_body {
    struct span name;     /* 1 .. WEFT_NAME_MAX bytes: letters, digits, '-', '_', '.' */
    struct span software; /* at most 32 bytes */
    uint64_t instance;    /* drawn at random at each start: tells clones apart */
    uint16_t area;
    uint32_t flags;
    struct wire_list addresses; /* literal "host:port", at most WIRE_ADDRESSES_MAX */
    struct wire_list links;     /* at most WIRE_LINKS_MAX, in strictly increasing order of peer */
    struct wire_list labels;    /* pairs of texts, keys strictly increasing: a name and at most
                                 * WEFT_NAME_MAX printable characters */
};
WEFT_MUST_CHECK enum weft_err wire_peer_body_decode(struct span body, struct wire_peer_body *out);

/* What to encode; the lists are plain arrays here. */
struct wire_peer_source {
    const char *name;
    const char *software;
    uint64_t instance;
    uint16_t area;
    uint32_t flags;
    const char *const *addresses;
    uint32_t address_count;
    const struct wire_peer_link *links; /* sorted by peer */
    uint32_t link_count;
    const char *const *labels; /* key, value, key, value ...; sorted by key */
    uint32_t label_count;      /* pairs */
};
void wire_peer_body_encode(struct wire_writer *writer, const struct wire_peer_source *source);

/* Walk the lists: each takes one item off and returns false at the end. */
bool wire_list_next_text(struct wire_list *list, struct span *out);
bool wire_list_next_link(struct wire_list *list, struct wire_peer_link *out);
bool wire_list_next_label(struct wire_list *list, struct span *key, struct span *value);

enum wire_protocol {
    WIRE_PROTOCOL_TCP = 1,
    WIRE_PROTOCOL_UDP = 2,
};
enum wire_health {
    WIRE_HEALTH_UNKNOWN = 0,
    WIRE_HEALTH_GOOD = 1,
    WIRE_HEALTH_BAD = 2,
};
struct wire_endpoint {
    struct span address; /* "host:port" as the owner will dial it; shown, never dialled by others */
    uint8_t health;
    uint8_t weight; /* 1 .. 100 */
};

/* Service: a msgpack map {e: [[address, health, weight]...], p: protocol}. */
struct wire_service_body {
    uint8_t protocol;
    struct wire_list endpoints; /* 1 .. WIRE_ENDPOINTS_MAX */
};
WEFT_MUST_CHECK enum weft_err wire_service_body_decode(struct span body,
                                                       struct wire_service_body *out);
void wire_service_body_encode(struct wire_writer *writer, uint8_t protocol,
                              const struct wire_endpoint *endpoints, uint32_t count);
bool wire_list_next_endpoint(struct wire_list *list, struct wire_endpoint *out);

/* Whether a text is a name as nodes, services, namespaces and channels have them: 1 to
 * WEFT_NAME_MAX of letters, digits, '-', '_' and '.', not beginning with '-' or '.'. */
bool wire_name_is_valid(struct span name);

/* Whether a text holds nothing but printable ASCII (0x20 to 0x7e), so that it may be logged. */
bool wire_text_is_printable(struct span text);

/* The hello, sent inside the link handshake's payloads: a msgpack map {a: [text], f: features,
 * h: highest wire version, i: instance, k: Ed25519 key, l: lowest wire version, n: name,
 * p: padding (bytes), r: area, v: incarnation}. */
struct wire_hello {
    uint8_t version_min;
    uint8_t version_max;
    uint64_t features; /* bits; unknown ones are ignored */
    struct weft_public_key key;
    struct span name;
    uint64_t incarnation;
    uint64_t instance;
    uint16_t area;
    struct wire_list addresses;
};
#define WIRE_HELLO_BYTES_MAX 800 /* fits the 1 KiB that is buffered before authentication (C4) */
WEFT_MUST_CHECK enum weft_err wire_hello_decode(struct span bytes, struct wire_hello *out);
/* `addresses` and `address_count` as in struct wire_peer_source; out.addresses is not read.
 * Addresses that would exceed WIRE_HELLO_BYTES_MAX are left out. */
void wire_hello_encode(struct wire_writer *writer, const struct wire_hello *hello,
                       const char *const *addresses, uint32_t address_count);

#endif
