/* SPDX-License-Identifier: Apache-2.0
 *
 * One link's life, without a socket: bytes in, frames out; frames in, bytes out.
 *
 *   dialler:   sent-1 --message 2--> up (message 3 goes out) --close, fault, silence--> closed
 *   acceptor:  wait-1 --message 1--> wait-3 --message 3--> up ------------------------> closed
 *
 * Handshake: Noise XXpsk0+psk3_25519_ChaChaPoly_BLAKE2b (docs/protocol.md, "Links"). Before it is
 * done at most 1 KiB is buffered and it has 5 s; the acceptor answers nothing to bytes that do not
 * prove the mesh secret, and never more bytes than it got. Afterwards records: 2-byte length,
 * ciphertext; carriers' payloads follow their record unsealed by us. Rekeying (rekey.c) by KKpsk0
 * inside the channel every 120 s or 2^32 records; 180 s without one closes.
 *
 * Sending: by class, each ahead of the next by a bound; within STREAM fair between flows by deficit
 * round robin over the flow label. Bounds, in bytes queued: CONTROL 1 MiB (beyond: the link closes,
 * SLOW); MESSAGE 4 MiB (beyond: refused); STREAM 4 MiB (beyond: refused; a relayed frame then is
 * dropped and counted by the core). Data that has stood in the STREAM queue for over 5 ms during
 * 100 ms gets its carrier's CONGESTED mark (CoDel). A record is sealed only when the host asks for
 * bytes to write, so that what is urgent still overtakes.
 */
#ifndef LINK_LINK_H
#define LINK_LINK_H

#include "base/frame.h"
#include "base/host.h"
#include "base/link_id.h"
#include "link/guard.h"
#include "noise/identity.h"
#include "wire/record.h"

#define LINK_HANDSHAKE_BYTES_MAX 1024
#define LINK_HANDSHAKE_TIMEOUT (5 * (weft_ns)1000000000)

/* What all links of a node share; outlives them. */
struct link_shared {
    const struct identity *identity;
    const struct host *host;
    uint8_t mesh_id[16];
    uint8_t psk[WEFT_KEY_BYTES]; /* derived from the mesh secret: "weft link psk" */
    struct wire_hello hello;     /* key filled in; addresses not read */
    const char *const *addresses;
    uint32_t address_count;
    struct guard *guard;       /* refuses replayed first messages; may be NULL */
    struct frame_pool *blocks; /* counts what links read into, for as long as anybody keeps some of
                                  it, and lends what small reads and writes need for a moment; NULL:
                                  the heap does, and only each link's own bound holds */
    size_t block_bytes_max;    /* of all; beyond, payloads are not lent */
    weft_ns rekey_after;       /* 120 s */
    weft_ns keys_max;          /* 180 s */
    uint64_t rekey_records;    /* 2^32 */
};

/* Zeroes, derives mesh_id and psk from the 32-byte mesh secret, and sets the defaults: times, and
 * the range of versions in hello. The caller sets the rest. */
void link_shared_init(struct link_shared *shared, const uint8_t secret[32]);

struct link;

/* `expected` is who must answer, or NULL. */
WEFT_MUST_CHECK enum weft_err link_new(const struct link_shared *shared, enum link_role role,
                                       const struct weft_peer_id *expected, weft_ns now,
                                       struct link **out);
/* Wipes keys. Takes NULL. */
void link_free(struct link *link);

/* Bytes in: where to read into, at most *len bytes, at least 1. NULL when the link is closed or out
 * of memory. The buffer is only there while bytes are: an idle link holds none. Only after
 * link_next_event said false, so that what is buffered is bounded; the caller that wants no frames
 * now does not read. Ends what events lent. */
uint8_t *link_read_space(struct link *link, size_t *len);
/* `len` bytes were read there; 0 is allowed. Then take the events. */
void link_read_done(struct link *link, size_t len, weft_ns now);

enum link_event_kind {
    LINK_EVENT_UP,    /* authenticated; `hello` is the peer's */
    LINK_EVENT_FRAME, /* one frame, maybe of an unknown kind; a carrier's payload with it */
    LINK_EVENT_DOWN, /* the last event: nothing more will come; if link_wants_write, our CLOSE goes:
                      * as after link_close */
};
struct link_event {
    enum link_event_kind kind;
    struct wire_hello hello;  /* UP; borrowed until the next call */
    struct weft_peer_id peer; /* UP */
    uint8_t version;          /* UP: the wire version both speak */
    struct wire_frame frame;  /* FRAME; borrowed until the next call */
    struct loan payload;      /* FRAME of a carrier: its packet; likewise, but may be kept */
    enum weft_err err;    /* DOWN: AUTH, VERSION, MALFORMED, TIMEOUT, FULL, REFUSED (they closed) */
    uint8_t close_reason; /* DOWN, REFUSED: their enum wire_close_reason; 0: they sent none */
    char detail[200];     /* DOWN: for the log; printable ASCII; never empty */
};
/* Takes the next event; false when more bytes are needed. Ask after link_read_done, link_tick and a
 * link_send that gave FULL for control. None come after link_close, unless the peer lets the close
 * stand for 1 s (DOWN, TIMEOUT). */
bool link_next_event(struct link *link, weft_ns now, struct link_event *out);

/* Frames out. `frame` is a whole encoded frame; `payload`, for carriers only, its packet, else
 * NULL. References are taken of their own. `flow` matters in class STREAM only. WEFT_ERR_FULL at
 * the bound of control (the link goes down) and of messages; streams always find room, others being
 * dropped for it (link_take_cut). WEFT_ERR_TIMEOUT for a datagram that would wait too long,
 * WEFT_ERR_STATE when not up, WEFT_ERR_MEMORY. */
WEFT_MUST_CHECK enum weft_err link_send(struct link *link, struct frame *frame,
                                        struct frame *payload, enum wire_class class, uint32_t flow,
                                        weft_ns now);
/* How many more bytes a class takes. */
size_t link_room(const struct link *link, enum wire_class class);
/* How many frames of streams made room for others since the last call. */
uint64_t link_take_cut(struct link *link);

/* Bytes out: fills `out` with up to `max` spans to write, in order, sealing what is queued; returns
 * how many spans. They stay valid until link_write_done. */
size_t link_write_spans(struct link *link, weft_ns now, struct span *out, size_t max);
/* `len` bytes of them were written. */
void link_write_done(struct link *link, size_t len);
bool link_wants_write(const struct link *link);

/* Sends CLOSE behind what is queued as control and lets no more be sent; the host writes what
 * link_write_spans gives, then closes the socket. */
void link_close(struct link *link, enum wire_close_reason reason, const char *text);

void link_tick(struct link *link, weft_ns now);
weft_ns link_deadline(const struct link *link);

bool link_is_up(const struct link *link);
enum link_role link_role(const struct link *link);

struct link_counters {
    uint64_t bytes_in, bytes_out, frames_in, frames_out, records_in, records_out, rekeys;
    size_t queued_bytes;
};
struct link_counters link_count(const struct link *link);

#endif
