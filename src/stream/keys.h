/* SPDX-License-Identifier: Apache-2.0
 *
 * One set of session keys: two directions, the number that names it to the other end, and the
 * replay window. Sealed packets carry explicit numbers because a reroute may reorder them.
 */
#ifndef STREAM_KEYS_H
#define STREAM_KEYS_H

#include "base/frame.h"
#include "base/time.h"
#include "noise/aead.h"
#include "noise/handshake.h"
#include "wire/session.h"

#define REPLAY_WINDOW_PACKETS 8192 /* 500 MB of full packets: more than two paths differ by */
#define REPLAY_WORDS (REPLAY_WINDOW_PACKETS / 64 + 1) /* one more: the newest is filled in part */

/* Which numbers were seen, after RFC 6479: a ring of bit words that slides with the highest. */
struct replay_window {
    uint64_t next; /* the highest number seen, plus one */
    uint64_t words[REPLAY_WORDS];
};

/* Whether a number is new: neither seen nor older than the window, nor the last there is, behind
 * which the window could not move. Changes nothing. */
bool replay_is_new(const struct replay_window *window, uint64_t number);

/* Whether a number was seen for certain: one behind the window is neither new nor known. */
bool replay_was_seen(const struct replay_window *window, uint64_t number);

/* Marks a number that is new as seen. */
void replay_mark(struct replay_window *window, uint64_t number);

struct session;

/* Packets one key set may seal before it must be replaced, and before it must stop; numbers beyond
 * are not opened either. */
#define KEYS_PACKETS_REKEY ((uint64_t)1 << 32)
#define KEYS_PACKETS_MAX (KEYS_PACKETS_REKEY + KEYS_PACKETS_REKEY / 2)

struct session_keys {
    struct session *session;            /* borrowed */
    struct noise_handshake *handshake;  /* until it is done, then NULL */
    struct frame *said;                 /* our INIT or RESPONSE, until they are in force */
    weft_ns said_at;                    /* the INIT: when it first left; the RESPONSE: last */
    bool is_answer_due;                 /* the RESPONSE is to be said, perhaps again */
    bool is_repeated;                   /* said more than once: its answer times nothing */
    uint8_t asked[WIRE_INIT_MAC_BYTES]; /* the MAC of the INIT that we answered */
    struct aead *send;
    struct aead *receive;
    enum aead_cipher cipher;
    uint32_t local_index;  /* what the other end writes into packets for us; drawn at random */
    uint32_t remote_index; /* what we write */
    uint64_t number;       /* the next packet's */
    weft_ns made_at;
    bool is_initiator;
    uint64_t instance;    /* the peer's, as its hello said */
    uint64_t far_session; /* likewise */
    uint64_t incarnation; /* likewise */
    struct replay_window replay;
};

/* An index as a key of the table of key sets. */
static inline struct span keys_index(const uint32_t *index) {
    return span_of(index, sizeof *index);
}

/* NULL when out of memory. */
struct session_keys *keys_new(struct session *session, uint32_t local_index);

/* Wipes. Takes NULL. */
void keys_free(struct session_keys *keys);

/* Ends the handshake and makes the two directions ready. WEFT_ERR_MEMORY. */
WEFT_MUST_CHECK enum weft_err keys_finish(struct session_keys *keys, enum aead_cipher cipher,
                                          weft_ns now);

#endif
