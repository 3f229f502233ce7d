/* SPDX-License-Identifier: Apache-2.0
 *
 * The frames that links carry and their bodies: per message a struct and its layout, decode and
 * encode side by side in message.c. docs/protocol.md is normative. All integers are big-endian.
 *
 * A record's plaintext is one or more frames:
 *
 *    0      1       2        4
 *    +------+-------+--------+----------------+
 *    | kind | flags | length | body ...       |
 *    +------+-------+--------+----------------+
 *
 * A frame of an unknown kind is skipped, or closes the link if its flags say that it is essential.
 * Decoders return spans into their input. Decoding functions give WEFT_ERR_MALFORMED for bytes that
 * are not exactly the layout; encoding functions append to a writer, whose failure is sticky.
 */
#ifndef WIRE_MESSAGE_H
#define WIRE_MESSAGE_H

#include "wire/reader.h"
#include "wire/writer.h"

#define WIRE_VERSION_MIN 1
#define WIRE_VERSION_MAX 1
#define WIRE_FRAME_HEADER_BYTES 4
#define WIRE_BODY_BYTES_MAX 60000 /* a record (65,519 bytes of plaintext) holds any one frame */
#define WIRE_HOPS_MAX 32
#define WIRE_ADDRESSES_MAX 8 /* listen addresses one node may advertise */
#define WIRE_ADDRESS_MAX 64  /* "[v6]:port" with a scope; literal addresses only */
#define WIRE_LINKS_MAX 1024  /* links one peer record may list */
#define WIRE_LABELS_MAX 16
#define WIRE_ENDPOINTS_MAX 16 /* endpoints one node may offer for one service */

enum wire_kind {
    WIRE_HEARTBEAT = 1,
    WIRE_UNICAST = 2,
    WIRE_BROADCAST = 3,
    WIRE_GOSSIP = 4,
    WIRE_CARRIER = 5,
    WIRE_REKEY = 16, /* between the two ends of a link; handled below the core, by link */
    WIRE_CLOSE = 17,
    WIRE_RECORDS = 18,
    WIRE_SYNC = 19,
    WIRE_PULL = 20,
    WIRE_HEADS = 21,
    WIRE_DELTAS = 22,
    WIRE_NOTES = 23,
};

#define WIRE_FLAG_ESSENTIAL 0x01
#define WIRE_FLAG_ROUND 0x02  /* unicast, carrier: went round once, and may not again */
#define WIRE_FLAG_ANSWER 0x02 /* heads: only what the asker lacks; not answered again */

struct wire_frame {
    uint8_t kind; /* enum wire_kind, or one we do not know */
    uint8_t flags;
    struct span body;
};

/* Takes the next frame off a record's plaintext. */
WEFT_MUST_CHECK enum weft_err wire_frame_next(struct wire_reader *record, struct wire_frame *out);

/* Begins a frame: writes the header with length 0 and returns where it stands, for _end. */
size_t wire_frame_begin(struct wire_writer *writer, enum wire_kind kind, uint8_t flags);

/* Fills in the length. Fails the writer when the body is longer than WIRE_BODY_BYTES_MAX. */
void wire_frame_end(struct wire_writer *writer, size_t begin);

/* What every frame that travels further than one link carries: area and level are 0 in version 1
 * and passed on as they came; hops is what is left of WIRE_HOPS_MAX.
 *
 *    0      2       3      4
 *    +------+-------+------+
 *    | area | level | hops |
 *    +------+-------+------+
 */
struct wire_travel {
    uint16_t area;
    uint8_t level;
    uint8_t hops;
};

/* Heartbeat: 21 bytes.
 *
 *    0       1         5         9         13       21
 *    +-------+---------+---------+---------+--------+
 *    | flags | sent_us | echo_us | held_us | digest |
 *    +-------+---------+---------+---------+--------+
 *
 * sent_us  the sender's clock in microseconds, modulo 2^32; means nothing to anybody else
 * echo_us  the sent_us last received from the other side, if flags say so
 * held_us  how long ago that was when this left: round trip = now - echo_us - held_us
 * digest   the first 8 bytes of the sender's record-set fingerprint
 */
#define WIRE_HEARTBEAT_ECHO 0x01   /* echo_us and held_us are valid */
#define WIRE_HEARTBEAT_ANSWER 0x02 /* please answer at once */
struct wire_heartbeat {
    uint8_t flags;
    uint32_t sent_us;
    uint32_t echo_us;
    uint32_t held_us;
    uint64_t digest;
};

/* Unicast: travel, source, destination, then a session packet (wire/session.h) to the end. */
struct wire_unicast {
    struct wire_travel travel;
    struct weft_peer_id source; /* a hint for routing: only the session proves it */
    struct weft_peer_id destination;
    struct span packet;
};

/* Carrier header: 44 bytes; `length` bytes of sealed session packet follow the *record*, outside
 * its seal, in the order of the carrier frames in the record.
 *
 *    0        4        20            36     40      41      42       44
 *    +--------+--------+-------------+------+-------+-------+--------+
 *    | travel | source | destination | flow | class | flags | length |
 *    +--------+--------+-------------+------+-------+-------+--------+
 */
#define WIRE_CARRIER_FLAGS_AT (WIRE_FRAME_HEADER_BYTES + 41) /* in an encoded frame */
#define WIRE_CARRIER_CONGESTED 0x01 /* set by a relay whose queue stands; never cleared */
#define WIRE_CARRIER_DATAGRAM 0x02  /* nobody sends it again: dropped rather than kept waiting */
#define WIRE_CARRIER_HEADER_BYTES 44
struct wire_carrier {
    struct wire_travel travel;
    struct weft_peer_id source;
    struct weft_peer_id destination;
    uint32_t flow;
    uint8_t class; /* enum wire_class */
    uint8_t flags;
    uint16_t length; /* 1 .. WIRE_PACKET_BYTES_MAX */
};
#define WIRE_PACKET_BYTES_MAX 65535

/* Classes of sending. A lower number goes first, but only by a bounded lead: beyond that those
 * below it that wait get a byte for each of its own (link/sendq.h). */
enum wire_class {
    WIRE_CLASS_CONTROL = 0, /* heartbeats, records, rekey, close */
    WIRE_CLASS_MESSAGE = 1, /* unicast, broadcast, gossip, acknowledgements */
    WIRE_CLASS_STREAM = 2,  /* stream data: fair between flows */
};
#define WIRE_CLASS_COUNT 3

/* Broadcast. The signature covers key .. payload under the domain "weft broadcast 1"; travel, flags
 * and digest change on the way.
 *
 *    travel(4) flags(1) digest(8)
 *    | key(32) incarnation(8) sequence(8) channel(1+n) length(2) payload   <- signed
 *    | signature(64)
 */
#define WIRE_BROADCAST_FLOOD 0x01 /* a repair, or from where views differed: flood, not tree */
struct wire_broadcast {
    struct wire_travel travel;
    uint8_t flags;
    uint64_t digest; /* of the topology whose tree the sender used */
    struct weft_public_key key;
    uint64_t incarnation;
    uint64_t sequence; /* 1, 2, 3 ... within the incarnation */
    struct span channel;
    struct span payload;
    struct span signature; /* SIGNATURE_BYTES */
    struct span signed_part;
};

/* Gossip: travel, channel(1+n), then the payload to the end. */
struct wire_gossip {
    struct wire_travel travel;
    struct span channel;
    struct span payload;
};

/* Rekey: step(1) then a Noise message. See docs/protocol.md, "Rekeying". */
struct wire_rekey {
    uint8_t step; /* 1, 2, 3 */
    struct span message;
};

enum wire_close_reason {
    WIRE_CLOSE_BYE = 1,       /* the node stops or the operator said so */
    WIRE_CLOSE_DUPLICATE = 2, /* the other link between the same two is kept */
    WIRE_CLOSE_PROTOCOL = 3,  /* you broke the protocol; text says how */
    WIRE_CLOSE_FULL = 4,      /* no room for another link */
    WIRE_CLOSE_CLONE = 5,     /* your key lives in two places */
    WIRE_CLOSE_SILENT = 6,    /* no sign of life */
    WIRE_CLOSE_SLOW = 7,      /* you do not read */
    WIRE_CLOSE_SURPLUS = 8,   /* trimmed to the target degree */
    WIRE_CLOSE_SELF = 9,      /* your key is mine */
};

/* Close: reason(1), text to the end (at most 200 bytes, printable ASCII). */
struct wire_close {
    uint8_t reason;
    struct span text;
};

/* Records: to the end, each length(2) then a signed record (wire/record.h). */
struct wire_records {
    struct span list;
};

/* Takes the next record off the list. */
WEFT_MUST_CHECK enum weft_err wire_records_next(struct wire_reader *list, struct span *out);

/* Here a record is named by the first bytes of its place; the few that share them are all meant. */
#define WIRE_NOTE_NAME_BYTES 4

/* Deltas: to the end, each a new version of a record as what changed in its body since a version
 * that the neighbour is taken to have. Numbers are msgpack's.
 *
 *    name(4) incarnation version step length { skip cut count bytes(count) } signature(64)
 *
 * The version changed from is version - step. `length` is of the edits: each keeps `skip` bytes of
 * the old body, leaves `cut` out and puts `bytes` there; behind the last the rest is kept.
 */
struct wire_deltas {
    struct span list;
};
struct wire_delta {
    uint8_t name[WIRE_NOTE_NAME_BYTES];
    uint64_t incarnation;
    uint64_t version;
    uint64_t step; /* 1 .. version - 1 */
    struct span edits;
    struct span signature; /* 64 bytes */
};
struct wire_edit {
    uint64_t skip;
    uint64_t cut;
    struct span bytes;
};
#define WIRE_EDITS_BYTES_MAX 20000 /* beyond, the whole record is hardly longer */
WEFT_MUST_CHECK enum weft_err wire_deltas_next(struct wire_reader *list, struct wire_delta *out);
void wire_delta_encode(struct wire_writer *writer, const struct wire_delta *delta);
/* The edits of a delta that was decoded are sound: false at their end. */
bool wire_edits_next(struct wire_reader *edits, struct wire_edit *out);
void wire_edit_encode(struct wire_writer *writer, const struct wire_edit *edit);

/* Notes: act(1), then to the end name(4) incarnation(1) version(1): the low bytes of both. */
enum wire_notes_act {
    WIRE_NOTES_HAVE = 1, /* I have these, in these versions, and send what is asked for */
    WIRE_NOTES_WANT = 2, /* I have no more than these versions (0 0: none): send me newer ones */
    WIRE_NOTES_HOLD = 3, /* what you push comes twice: send me notes of it, until I want some */
};
struct wire_notes {
    uint8_t act; /* enum wire_notes_act */
    struct span list;
};
struct wire_note {
    uint8_t name[WIRE_NOTE_NAME_BYTES];
    uint8_t incarnation;
    uint8_t version;
};
#define WIRE_NOTE_BYTES (WIRE_NOTE_NAME_BYTES + 2)
WEFT_MUST_CHECK enum weft_err wire_notes_next(struct wire_reader *list, struct wire_note *out);
void wire_note_encode(struct wire_writer *writer, const struct wire_note *note);

/* Sync: salt(8) then items to the end; see gossip/sync.h for what they mean.
 *
 *    salt(8) { mode(1) depth(1) prefix((depth+1)/2) ... }
 *      mode 1 fingerprints: 16 x 4 bytes, one for each child range
 *      mode 2 list: answer(1) count(2), count x { place(8) fingerprint(4) }: all I hold there
 *      mode 3 want: count(2), count x place(8): send me these
 *
 * A place is named by its first 8 bytes; records that share them are all meant.
 */
#define WIRE_SYNC_CHILDREN ((size_t)16)
#define WIRE_SYNC_PLACE_BYTES ((size_t)8)
#define WIRE_SYNC_FINGERPRINT_BYTES ((size_t)4)
#define WIRE_SYNC_ENTRY_BYTES (WIRE_SYNC_PLACE_BYTES + WIRE_SYNC_FINGERPRINT_BYTES)
#define WIRE_SYNC_DEPTH_MAX 16 /* the nibbles of a place's name */
enum wire_sync_mode {
    WIRE_SYNC_FINGERPRINTS = 1,
    WIRE_SYNC_LIST = 2,
    WIRE_SYNC_WANT = 3,
};
struct wire_sync {
    uint64_t salt;
    struct span items;
};
struct wire_sync_item {
    uint8_t mode;
    uint8_t depth;                         /* nibbles of prefix */
    uint8_t prefix[WIRE_SYNC_PLACE_BYTES]; /* the first depth nibbles; the rest zero */
    bool is_answer;                        /* list: do not send me your list in return */
    uint16_t count;                        /* list, want: entries */
    struct span entries;                   /* 64 bytes; count x 12; count x 8 */
};

/* Takes the next item off the items. */
WEFT_MUST_CHECK enum weft_err wire_sync_next(struct wire_reader *items, struct wire_sync_item *out);
void wire_sync_item_encode(struct wire_writer *writer, const struct wire_sync_item *item);

/* Pull: source(16) incarnation(8) from(8) count(2): send me these broadcasts again. */
struct wire_pull {
    struct weft_peer_id source;
    uint64_t incarnation;
    uint64_t from;
    uint16_t count;
};

/* Heads: to the end, each source(16) incarnation(8) sequence(8): I have all up to here. */
struct wire_heads {
    struct span list;
};
struct wire_head {
    struct weft_peer_id source;
    uint64_t incarnation;
    uint64_t sequence;
};
WEFT_MUST_CHECK enum weft_err wire_heads_next(struct wire_reader *list, struct wire_head *out);
void wire_head_encode(struct wire_writer *writer, const struct wire_head *head);

/* Decoders take a frame's body; encoders append the body only (between _begin and _end). */
WEFT_MUST_CHECK enum weft_err wire_heartbeat_decode(struct span body, struct wire_heartbeat *out);
void wire_heartbeat_encode(struct wire_writer *writer, const struct wire_heartbeat *message);
WEFT_MUST_CHECK enum weft_err wire_unicast_decode(struct span body, struct wire_unicast *out);
void wire_unicast_encode(struct wire_writer *writer, const struct wire_unicast *message);
WEFT_MUST_CHECK enum weft_err wire_broadcast_decode(struct span body, struct wire_broadcast *out);
void wire_broadcast_encode(struct wire_writer *writer, const struct wire_broadcast *message);
WEFT_MUST_CHECK enum weft_err wire_gossip_decode(struct span body, struct wire_gossip *out);
void wire_gossip_encode(struct wire_writer *writer, const struct wire_gossip *message);
WEFT_MUST_CHECK enum weft_err wire_carrier_decode(struct span body, struct wire_carrier *out);
void wire_carrier_encode(struct wire_writer *writer, const struct wire_carrier *message);
WEFT_MUST_CHECK enum weft_err wire_rekey_decode(struct span body, struct wire_rekey *out);
void wire_rekey_encode(struct wire_writer *writer, const struct wire_rekey *message);
WEFT_MUST_CHECK enum weft_err wire_close_decode(struct span body, struct wire_close *out);
void wire_close_encode(struct wire_writer *writer, const struct wire_close *message);
WEFT_MUST_CHECK enum weft_err wire_records_decode(struct span body, struct wire_records *out);
void wire_records_encode(struct wire_writer *writer, const struct wire_records *message);
WEFT_MUST_CHECK enum weft_err wire_sync_decode(struct span body, struct wire_sync *out);
void wire_sync_encode(struct wire_writer *writer, const struct wire_sync *message);
WEFT_MUST_CHECK enum weft_err wire_pull_decode(struct span body, struct wire_pull *out);
void wire_pull_encode(struct wire_writer *writer, const struct wire_pull *message);
WEFT_MUST_CHECK enum weft_err wire_heads_decode(struct span body, struct wire_heads *out);
void wire_heads_encode(struct wire_writer *writer, const struct wire_heads *message);
WEFT_MUST_CHECK enum weft_err wire_deltas_decode(struct span body, struct wire_deltas *out);
void wire_deltas_encode(struct wire_writer *writer, const struct wire_deltas *message);
WEFT_MUST_CHECK enum weft_err wire_notes_decode(struct span body, struct wire_notes *out);
void wire_notes_encode(struct wire_writer *writer, const struct wire_notes *message);

/* THE table (types.c): one row per kind. Walked by the property tests and the fuzzers, so a new row
 * is tested unnamed. */
union wire_any {
    struct wire_heartbeat heartbeat;
    struct wire_unicast unicast;
    struct wire_broadcast broadcast;
    struct wire_gossip gossip;
    struct wire_carrier carrier;
    struct wire_rekey rekey;
    struct wire_close close;
    struct wire_records records;
    struct wire_sync sync;
    struct wire_pull pull;
    struct wire_heads heads;
    struct wire_deltas deltas;
    struct wire_notes notes;
};
struct wire_type {
    enum wire_kind kind;
    enum wire_class class; /* that its frames are sent in; a carrier names its own */
    const char *name;
    size_t body_bytes_min;
    size_t body_bytes_max;
    enum weft_err (*decode)(struct span body, union wire_any *out);
    void (*encode)(struct wire_writer *writer, const union wire_any *message);
};

/* The row of a kind, or NULL for one we do not know. */
const struct wire_type *wire_type_of(uint8_t kind);

/* Every row, in order of kind. */
const struct wire_type *wire_types(size_t *count);

#endif
