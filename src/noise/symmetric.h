/* SPDX-License-Identifier: Apache-2.0
 *
 * The symmetric half of a Noise handshake: chaining key, transcript hash and handshake cipher.
 * Noise rev 34, sections 5.1 and 5.2, for ChaChaPoly and BLAKE2b with its 64-byte hash. Private to
 * this folder: handshake.c is its only caller.
 */
#ifndef NOISE_SYMMETRIC_H
#define NOISE_SYMMETRIC_H

#include "base/span.h"
#include "weft/types.h"

#define SYMMETRIC_HASH_BYTES 64 /* HASHLEN of BLAKE2b in Noise */
#define SYMMETRIC_TAG_BYTES 16

/* Wipe with noise_wipe; no pointers inside. */
struct symmetric {
    uint8_t chaining_key[SYMMETRIC_HASH_BYTES];
    uint8_t hash[SYMMETRIC_HASH_BYTES]; /* of the transcript so far */
    uint8_t key[WEFT_KEY_BYTES];        /* meaningless until has_key */
    uint64_t counter;                   /* the key's next nonce */
    bool has_key;
};

/* Starts from the full protocol name, such as "Noise_NN_25519_ChaChaPoly_BLAKE2b". Of ours none is
 * longer than the hash, which would have to be hashed. */
void symmetric_init(struct symmetric *symmetric, struct span protocol_name);

/* Adds bytes that both sides know to the transcript. */
void symmetric_mix_hash(struct symmetric *symmetric, struct span bytes);

/* Derives a new chaining key and cipher key from a Diffie-Hellman result or, in psk handshakes, an
 * ephemeral public key. */
void symmetric_mix_key(struct symmetric *symmetric, const uint8_t input[WEFT_KEY_BYTES]);

/* The same for a psk, which goes into the transcript as well. */
void symmetric_mix_key_and_hash(struct symmetric *symmetric, const uint8_t psk[WEFT_KEY_BYTES]);

/* Bytes that sealing adds: none before the first key. */
size_t symmetric_tag_bytes(const struct symmetric *symmetric);

/* Seals `plain` to `out` (room for plain.len + symmetric_tag_bytes) and adds the result to the
 * transcript; before the first key it only copies. Returns the bytes written. */
size_t symmetric_seal(struct symmetric *symmetric, struct span plain, uint8_t *out);

/* Opens what symmetric_seal wrote; `out` has room for sealed.len - symmetric_tag_bytes, and
 * sealed.len is at least symmetric_tag_bytes. WEFT_ERR_AUTH if the tag does not match. */
WEFT_MUST_CHECK enum weft_err symmetric_open(struct symmetric *symmetric, struct span sealed,
                                             uint8_t *out);

/* The two transport keys: initiator to responder, responder to initiator. */
void symmetric_split(const struct symmetric *symmetric, uint8_t forward[WEFT_KEY_BYTES],
                     uint8_t backward[WEFT_KEY_BYTES]);

#endif
