/* SPDX-License-Identifier: Apache-2.0
 *
 * Sealing: one key, a 64-bit counter nonce, in place. Two ciphers (ChaCha20-Poly1305, AES-256-GCM),
 * each by whoever is faster: libcrypto, whose bulk speed is up to twice libsodium's, and libsodium
 * for what is small. The Noise handshake seals with libsodium.
 *
 * Nonces follow Noise: ChaChaPoly 4 zero bytes then little-endian counter; AESGCM 4 zero bytes then
 * big-endian counter.
 */
#ifndef NOISE_AEAD_H
#define NOISE_AEAD_H

#include "base/span.h"
#include "weft/types.h"

#define AEAD_TAG_BYTES 16

enum aead_cipher {
    AEAD_CHACHA20_POLY1305 = 1, /* the numbers are on the wire (docs/protocol.md) */
    AEAD_AES_256_GCM = 2,
};

/* A key ready for use. The context keeps the expanded key, so make one per direction and key it
 * once, not per packet. */
struct aead;

/* NULL when out of memory. */
struct aead *aead_new(enum aead_cipher cipher, const uint8_t key[WEFT_KEY_BYTES]);

/* Wipes the key. Takes NULL. */
void aead_free(struct aead *aead);

/* Seals `len` bytes at `data` in place; data has room for AEAD_TAG_BYTES more, where the tag goes.
 * ad      authenticated, not sealed; may be empty.
 * counter never twice with one key: the caller's duty. */
void aead_seal(struct aead *aead, uint64_t counter, struct span ad, uint8_t *data, size_t len);

/* The same, but only the first `len` bytes stand at `data` already: those of `rest` follow them and
 * are taken from where they are, sealed as they are moved. `data` has room for all and the tag. */
void aead_seal_with(struct aead *aead, uint64_t counter, struct span ad, uint8_t *data, size_t len,
                    struct span rest);

/* Opens `len` bytes at `data` (ciphertext, then tag) in place; the plaintext is the first
 * len - AEAD_TAG_BYTES. WEFT_ERR_AUTH when the tag does not match or len is too short; the bytes
 * are then undefined and must not be used. */
WEFT_MUST_CHECK enum weft_err aead_open(struct aead *aead, uint64_t counter, struct span ad,
                                        uint8_t *data, size_t len);

/* The cipher this machine's instructions do best: AES-256-GCM with AES-NI and PCLMUL, or the ARMv8
 * equivalents; else ChaCha20-Poly1305. */
enum aead_cipher aead_preferred(void);

/* "chacha20-poly1305" or "aes-256-gcm". */
const char *aead_cipher_name(enum aead_cipher cipher);

#endif
