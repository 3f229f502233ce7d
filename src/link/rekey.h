/* SPDX-License-Identifier: Apache-2.0
 *
 * New keys for a link that stands: Noise KKpsk0 inside the channel (docs/protocol.md, "Rekeying").
 * Only the dialler starts. Each frame below is the last of its record; a `*` marks from where the
 * sender seals with its new key, which the receiver knows because records come in order.
 *
 *    dialler                         acceptor
 *      step 1: message 1   ------->
 *                          <------- * step 2: message 2
 *      * step 3: empty     ------->
 */
#ifndef LINK_REKEY_H
#define LINK_REKEY_H

#include "link/link.h"
#include "link/record.h"
#include "noise/handshake.h"

#define REKEY_FRAME_BYTES_MAX 64 /* header 4, step 1, message 48 */

#define REKEY_FRESH 8 /* keys younger than an eighth of either bound are not replaced */

enum rekey_stage {
    REKEY_IDLE,
    REKEY_WAIT_2, /* dialler: sent message 1 */
    REKEY_WAIT_3, /* acceptor: sent message 2 */
};

struct rekey {
    enum rekey_stage stage;
    enum link_role role;
    weft_ns since;    /* when the present keys were agreed */
    uint64_t count;   /* how often it was done */
    uint64_t records; /* sealed and opened under the present keys, as the link says */
    weft_ns answered; /* acceptor: when it last sent message 2 */
    uint8_t remote_static[WEFT_KEY_BYTES];
    uint8_t hash[WEFT_KEY_BYTES];         /* of the handshake that made the present keys */
    struct noise_handshake *noise;        /* dialler, WAIT_2 */
    struct aead *next_send;               /* from the record after `frame` on */
    struct aead *next_receive;            /* acceptor, WAIT_3: from the record after step 3 on */
    uint8_t frame[REKEY_FRAME_BYTES_MAX]; /* to send as a record's last frame ... */
    size_t frame_len;                     /* ... if not 0 */
};

/* `keys` are the handshake's. */
void rekey_init(struct rekey *rekey, enum link_role role, const struct noise_keys *keys,
                const uint8_t remote_static[WEFT_KEY_BYTES], weft_ns now);
/* Wipes. Takes zeroed memory. */
void rekey_fini(struct rekey *rekey);

/* Dialler: begins, unless it is under way. WEFT_ERR_MEMORY and what the crypto refuses. */
WEFT_MUST_CHECK enum weft_err rekey_start(struct rekey *rekey, const struct link_shared *shared);

/* A rekey frame came, the frame that `reader` handed out last. May set the reader's next key.
 * False: *fault says what is wrong with it. */
bool rekey_take(struct rekey *rekey, const struct link_shared *shared, struct span body,
                struct record_reader *reader, weft_ns now, struct link_fault *fault);

/* The record that ended with `frame` is sealed: the next has the new key, if there is one. */
void rekey_sealed(struct rekey *rekey, struct record_writer *writer);

/* When the present keys need something done. */
weft_ns rekey_deadline(const struct rekey *rekey, const struct link_shared *shared);

#endif
