/* SPDX-License-Identifier: Apache-2.0
 *
 * What the two end nodes say to each other through the relays: session packets, and the parts
 * inside a sealed one. Relays see only the packet's outside.
 *
 *   init      type=1 sender_index(4) key(32) incarnation(8) instance(8) epoch(8) mac(16)
 *             noise message                                  Noise IKpsk0, first message
 *   response  type=2 sender_index(4) receiver_index(4) noise message
 *   sealed    type=3 receiver_index(4) number(8) ciphertext tag(16)      header is the AEAD's ad
 *   unknown   type=4 receiver_index(4)       no session of that index here: a hint
 */
#ifndef WIRE_SESSION_H
#define WIRE_SESSION_H

#include "wire/message.h"

enum wire_packet_type {
    WIRE_PACKET_INIT = 1,
    WIRE_PACKET_RESPONSE = 2,
    WIRE_PACKET_SEALED = 3,
    WIRE_PACKET_UNKNOWN = 4,
};
#define WIRE_SEALED_HEADER_BYTES 13
#define WIRE_SEALED_OVERHEAD (WIRE_SEALED_HEADER_BYTES + 16)

/* What an init says of its sender before anything is opened. The hello in its noise message says
 * the same. The MAC is under a key that the two ends alone share, so that what is made up or
 * repeated costs a hash to refuse, not a Diffie-Hellman. */
#define WIRE_INIT_MAC_BYTES 16
#define WIRE_INIT_HEADER_BYTES 77
struct wire_init {
    struct weft_public_key key; /* Ed25519; the source is its peer id */
    uint64_t incarnation;
    uint64_t instance;
    uint64_t epoch;
    uint8_t mac[WIRE_INIT_MAC_BYTES];
};

struct wire_packet {
    uint8_t type;
    uint32_t sender_index;
    uint32_t receiver_index;
    uint64_t number;
    struct wire_init init;
    struct span rest; /* noise message, or ciphertext and tag */
};
WEFT_MUST_CHECK enum weft_err wire_packet_decode(struct span bytes, struct wire_packet *out);
void wire_packet_encode(struct wire_writer *writer, const struct wire_packet *packet);

/* The payload of both session handshake messages: a msgpack map {c: bits of ciphers offered (init)
 * or the one chosen (response), e: handshake count, i: instance, k: Ed25519 key, s: session,
 * v: incarnation}; without `s` when that is 0. */
struct wire_session_hello {
    uint8_t ciphers; /* init: bit (1 << enum aead_cipher); response: one enum aead_cipher */
    uint64_t epoch;  /* of one incarnation's handshakes to this peer: grows, so replays are seen */
    struct weft_public_key key;
    uint64_t incarnation;
    uint64_t instance;
    uint64_t session; /* another one than before: the sender forgot its session with this peer */
};
WEFT_MUST_CHECK enum weft_err wire_session_hello_decode(struct span bytes,
                                                        struct wire_session_hello *out);
void wire_session_hello_encode(struct wire_writer *writer, const struct wire_session_hello *hello);

/* The parts of a sealed packet: type(1), then by type. Part lengths are explicit, so a receiver can
 * skip an unknown part: type(1) length(2) body. */
enum wire_part_type {
    WIRE_PART_OPEN = 1,
    WIRE_PART_ACCEPT = 2,
    WIRE_PART_DATA = 3,
    WIRE_PART_ACK = 4,
    WIRE_PART_RESET = 5,
    WIRE_PART_PROBE = 6,
    WIRE_PART_MESSAGE = 7,
    WIRE_PART_PING = 8,
    WIRE_PART_PONG = 9,
    WIRE_PART_DATAGRAM = 10,
    WIRE_PART_FLOW_END = 11,
};
#define WIRE_PART_HEADER_BYTES 3

/* Open: stream(8) credit(8) protocol(1) namespace(1+n) name(1+n). Repeated until answered.
 *
 * OPEN grants the opener this much credit implicitly, so that a request need not wait for a round
 * trip: data may follow right behind the OPEN, in the same packet or later ones. The acceptor holds
 * those bytes until the service connected, and acknowledges nothing before it accepts; on accepting
 * it sends ACCEPT and an ACK at once. Data of a stream whose OPEN has not come (lost or late) is
 * dropped in silence. */
#define WIRE_OPEN_CREDIT 16384
struct wire_part_open {
    uint64_t stream;
    uint64_t credit; /* absolute: the opener takes bytes up to this offset */
    uint8_t protocol;
    struct span name_space;
    struct span name;
};

/* Data: stream(8) offset(8) flags(1) bytes to the part's end. */
#define WIRE_DATA_FIN 0x01        /* the stream's direction ends behind these bytes */
#define WIRE_DATA_HEADER_BYTES 17 /* what stands before a data part's bytes */
struct wire_part_data {
    uint64_t stream;
    uint64_t offset;
    uint8_t flags;
    struct span bytes;
};

/* Ack: stream(8) flags(1) cumulative(8) credit(8) marks(4) count(1), count x { start(8) end(8) }.
 * cumulative   every byte below it arrived, and, with WIRE_ACK_FIN, the end too
 * credit       absolute offset up to which the sender may send; never goes back
 * marks        how many congestion-marked packets of this stream arrived so far, modulo 2^32
 * ranges       arrived beyond cumulative, in increasing order, disjoint, none empty or touching
 * Also the answer to a probe, and ACCEPT's carrier of the first credit. */
#define WIRE_ACK_FIN 0x01
#define WIRE_ACK_RANGES_MAX 16
struct wire_range {
    uint64_t start;
    uint64_t end; /* exclusive */
};
struct wire_part_ack {
    uint64_t stream;
    uint8_t flags;
    uint64_t cumulative;
    uint64_t credit;
    uint32_t marks;
    uint8_t range_count;
    struct wire_range ranges[WIRE_ACK_RANGES_MAX];
};

/* Accept: stream(8) credit(8): the service's own connect succeeded. Repeated like an ack. */
struct wire_part_accept {
    uint64_t stream;
    uint64_t credit;
};

enum wire_reset_reason {
    WIRE_RESET_NONE = 0,           /* not reset: how a stream that ended well is reported */
    WIRE_RESET_APPLICATION = 1,    /* the application's connection was reset */
    WIRE_RESET_NO_SERVICE = 2,     /* this node does not offer it */
    WIRE_RESET_CONNECT_FAILED = 3, /* the service did not take the connection */
    WIRE_RESET_REFUSED = 4,        /* limit or policy */
    WIRE_RESET_PROTOCOL = 5,       /* the other end broke the stream protocol */
    WIRE_RESET_UNKNOWN_STREAM = 6, /* no such stream (any more) */
    WIRE_RESET_RESTARTED = 7,      /* the end node restarted; never sent, only concluded */
    WIRE_RESET_TIMEOUT = 8,        /* no path for longer than the hold time */
    WIRE_RESET_STOPPING = 9,       /* the node is shutting down */
};

/* Reset: stream(8) reason(2). Answered with a reset of the same stream, once. */
struct wire_part_reset {
    uint64_t stream;
    uint16_t reason;
};

/* Probe: stream(8): acknowledge now. */
struct wire_part_probe {
    uint64_t stream;
};

/* Message: channel(1+n), payload to the part's end. */
struct wire_part_message {
    struct span channel;
    struct span payload;
};

/* Ping, pong: token(8). */
struct wire_part_ping {
    uint64_t token;
};

/* Datagram: flow(8) flags(1), with WIRE_DATAGRAM_NAMED namespace(1+n) name(1+n), bytes to the
 * part's end, perhaps none. A flow's first datagrams name its service, until one has come back. */
#define WIRE_DATAGRAM_NAMED 0x01
#define WIRE_DATAGRAM_HEADER_BYTES 9
struct wire_part_datagram {
    uint64_t flow;
    uint8_t flags;
    struct span name_space; /* these two only with WIRE_DATAGRAM_NAMED */
    struct span name;
    struct span bytes;
};

/* The most that one packet holds beside the longest name. */
#define WIRE_DATAGRAM_BYTES_MAX                                                                    \
    (WIRE_PACKET_BYTES_MAX - WIRE_SEALED_OVERHEAD - WIRE_PART_HEADER_BYTES -                       \
     WIRE_DATAGRAM_HEADER_BYTES - 2 * (1 + WEFT_NAME_MAX))

/* Flow end: flow(8) reason(2), an enum wire_reset_reason. Not answered. */
struct wire_part_flow_end {
    uint64_t flow;
    uint16_t reason;
};

struct wire_part {
    uint8_t type; /* enum wire_part_type or unknown; unknown ones have no `as` */
    struct span body;
    union {
        struct wire_part_open open;
        struct wire_part_accept accept;
        struct wire_part_data data;
        struct wire_part_ack ack;
        struct wire_part_reset reset;
        struct wire_part_probe probe;
        struct wire_part_message message;
        struct wire_part_ping ping; /* and pong */
        struct wire_part_datagram datagram;
        struct wire_part_flow_end flow_end;
    } as;
};

/* Takes the next part off a sealed packet's plaintext and decodes it. */
WEFT_MUST_CHECK enum weft_err wire_part_next(struct wire_reader *plaintext, struct wire_part *out);
/* Appends header and body of a known type. */
void wire_part_encode(struct wire_writer *writer, const struct wire_part *part);
/* Appends a data part but for its bytes: `len` of them are to stand behind. data->bytes is not
 * read. */
void wire_data_begin(struct wire_writer *writer, const struct wire_part_data *data, size_t len);

#endif
