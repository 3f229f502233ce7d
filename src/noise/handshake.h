/* SPDX-License-Identifier: Apache-2.0
 *
 * The Noise Protocol Framework, revision 34, for 25519_ChaChaPoly_BLAKE2b: every one-way,
 * fundamental and deferred pattern in the table of pattern.c, with any psk modifiers, bytes in,
 * bytes out. Unmodified Noise: checked against public vectors by tests/noise-vectors.
 *
 *   struct noise_handshake *hs;
 *   noise_handshake_new(&config, &hs);
 *   write, read, write ... until noise_handshake_is_done
 *   noise_handshake_split(hs, &keys); noise_handshake_free(hs);
 */
#ifndef NOISE_HANDSHAKE_H
#define NOISE_HANDSHAKE_H

#include "noise/identity.h"

#define NOISE_MESSAGE_BYTES_MAX 65535
#define NOISE_PSK_MAX 4

struct noise_config {
    const char *pattern; /* with modifiers, such as "XXpsk0+psk3" */
    bool is_initiator;
    struct span prologue;
    const struct noise_keypair *local_static; /* NULL where the pattern has none */
    const uint8_t *remote_static;             /* 32 bytes, where the pattern knows it before */
    const uint8_t (*psks)[WEFT_KEY_BYTES];    /* in the order the modifiers stand */
    size_t psk_count;
    uint8_t ephemeral_secret[WEFT_KEY_BYTES]; /* fresh random bytes; wiped from the copy by _free */
};

struct noise_keys {
    uint8_t send[WEFT_KEY_BYTES];
    uint8_t receive[WEFT_KEY_BYTES];
    /* For channel binding: the FIRST 32 bytes of the 64-byte handshake hash. */
    uint8_t hash[WEFT_KEY_BYTES];
};

struct noise_handshake;

/* WEFT_ERR_INVALID: unknown pattern, a key or psk the pattern needs is missing, a psk too many, or
 * a remote static key that is a low-order point. WEFT_ERR_MEMORY. */
WEFT_MUST_CHECK enum weft_err noise_handshake_new(const struct noise_config *config,
                                                  struct noise_handshake **out);

/* Wipes. Takes NULL. */
void noise_handshake_free(struct noise_handshake *hs);

/* Writes the next message. `out` has room for *len bytes on entry; *len is the message's size on
 * return. WEFT_ERR_FULL if it does not fit (nothing has happened: try with more room),
 * WEFT_ERR_STATE if it is not our turn, WEFT_ERR_AUTH if a Diffie-Hellman result is the all-zero
 * point (the handshake is then dead, as below). `payload` and `out` may not overlap. */
WEFT_MUST_CHECK enum weft_err noise_handshake_write(struct noise_handshake *hs, struct span payload,
                                                    uint8_t *out, size_t *len);

/* Reads the next message; the payload goes to `out`, *len as above. WEFT_ERR_MALFORMED when too
 * short or too long, WEFT_ERR_FULL when the payload has no room in `out`, WEFT_ERR_AUTH when a tag
 * fails or a public key is a low-order point (T21). After any of these the handshake is dead, its
 * secrets are wiped and every later call gives WEFT_ERR_STATE. WEFT_ERR_STATE if it is not the
 * peer's turn: then nothing was read and nothing changes. */
WEFT_MUST_CHECK enum weft_err noise_handshake_read(struct noise_handshake *hs, struct span message,
                                                   uint8_t *out, size_t *len);

bool noise_handshake_is_done(const struct noise_handshake *hs);

/* Whether the next message is ours to write. */
bool noise_handshake_is_our_turn(const struct noise_handshake *hs);

/* Bytes that the next message adds to its payload: keys and tags. 0 when done or dead. */
size_t noise_handshake_overhead(const struct noise_handshake *hs);

/* The peer's static key, once it is known; else NULL, and NULL again when dead. Borrowed from the
 * handshake. */
const uint8_t *noise_handshake_remote_static(const struct noise_handshake *hs);

/* The transport keys; asserts that the handshake is done. For one-way patterns one of the two is
 * unused. The caller wipes `out`. */
void noise_handshake_split(const struct noise_handshake *hs, struct noise_keys *out);

#endif
